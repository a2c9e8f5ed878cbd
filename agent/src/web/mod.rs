//! The counter's pages: rendered here, pushed live, served over HTTPS on the branch's network and over plain HTTP on
//! loopback.
//!
//! [`routes`] is the table of addresses; [`actions`] turns what a page sends into commands; [`pages`] renders;
//! [`stream`] pushes; [`typed`] takes what a scanner types into the page; [`devices`] is the page for devices, [`makers_codes`] lists what
//! sets a scanner up; [`guard`] keeps
//! other sites and other browsers out; [`assets`] are the files that do not change;
//! [`serve`] is the listening loop, whose clients have to say something soon ([`first_byte`]); [`local`] tells programs of the
//! box itself how it is.

pub mod actions;
pub mod assets;
pub mod devices;
mod first_byte;
pub mod guard;
pub mod local;
pub mod makers_codes;
pub mod pages;
pub mod routes;
pub mod serve;
pub mod stream;
pub mod typed;
