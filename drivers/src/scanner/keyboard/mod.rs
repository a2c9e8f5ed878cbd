//! Scanners that pretend to be a keyboard.
//!
//! In reading order: [`record`] are the kernel's events as bytes, [`keys`] their codes, [`layout`] what a key types in a
//! country (its tables beside it), [`alt_code`] what Alt with digits types; [`decode`] turns keys into characters and
//! [`reader`] these into scans. All of that is pure. [`source`] opens and grabs the one device that it was given, and
//! [`evdev`] is the driver that owns it.

pub mod alt_code;
pub mod decode;
pub mod evdev;
pub mod keys;
pub mod layout;
pub mod reader;
pub mod record;
pub mod source;
mod tables;
