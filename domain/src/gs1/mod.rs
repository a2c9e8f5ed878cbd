//! GS1 barcodes: what a scan says, and how to write one.
//!
//! Reading order: [`scan`] is the way in (bytes of one scan → a [`scan::Scan`]); it uses [`symbology`] (what kind of
//! symbol the reader saw), [`element`] (element strings: application identifiers and values), [`digital_link`],
//! [`gtin`] (the linear packs) and [`ppn`] (the German format 06 code). An application identifier is defined in
//! [`ai`] and [`table`]; its value's content is held by [`content`], [`check`], [`codes`], [`coupon`] and [`date`];
//! which identifiers go together is held by [`association`]. [`decode`] prints a scan as one line of JSON.
//!
//! Sources: GS1 General Specifications, Release 26.0 (January 2026); the rules per component and the associations
//! as in GS1's Barcode Syntax Dictionary of early 2026; GS1 Digital Link URI syntax 1.3 and later; ISO/IEC 15424.
//! What GS1's Barcode Syntax Engine accepts and refuses in its default settings is the reference; where this module
//! differs, the item that differs says so.
//!
//! Everything here is pure: no clock (a date rule takes `today`), no I/O, and no panic on any bytes.

pub mod ai;
pub mod association;
pub mod bracket;
pub mod check;
pub mod codes;
pub mod content;
pub mod coupon;
pub mod date;
pub mod decode;
pub mod digital_link;
pub mod element;
pub mod error;
pub mod gtin;
pub mod ppn;
pub mod scan;
pub mod symbology;
pub mod table;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod samples;

pub use ai::Ai;
pub use element::{Element, Elements};
pub use error::Gs1Error;
pub use gtin::{Gtin, GtinError, LinearPack, PackLevel};
pub use scan::Scan;

/// The group separator, 0x1D: how a reader transmits FNC1 between element strings.
pub const GS: u8 = 0x1D;

/// The longest scan that is looked at, in bytes: what the largest QR Code (version 40-L) holds in numeric mode,
/// ISO/IEC 18004. No symbol of GS1 carries more.
pub const MAX_SCAN_BYTES: usize = 7_089;
