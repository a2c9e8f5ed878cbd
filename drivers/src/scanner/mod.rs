//! Barcode scanners: a stream of scans, in the order in which they were read.
//!
//! [`framing`] cuts the bytes of a line into scans and is pure; [`serial`] owns a serial line, [`keyboard`] a scanner that
//! pretends to be a keyboard, [`page`] reads one that types into a browser. How a scanner is set up is learned with a
//! sheet of test codes ([`learn`]), and mended with its maker's own codes ([`programming`]), of which some are sent over its
//! line ([`over_line`]); [`mending`] tells which of them help. [`start`] starts one of any kind.

mod delivery;
pub mod framing;
pub mod keyboard;
pub mod learn;
pub mod mending;
pub mod over_line;
pub mod page;
pub mod programming;
mod purpose;
pub mod serial;
pub mod start;

use std::time::Instant;

use async_trait::async_trait;

use crate::device::{DeviceEvent, DeviceName};
use framing::Rejection;

/// One barcode as the scanner sent it, its prefix and suffix taken off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The bytes; GS (0x1D) is kept, it separates GS1 elements.
    pub bytes: Vec<u8>,
    /// When the last byte was read from the line.
    pub received_at: Instant,
    /// Which scanner.
    pub source: DeviceName,
    /// Was this scanner proved with the sheet of test codes, and did a suffix end the scan? An unproved one may swallow
    /// GS, and a scan without its suffix may lack its end: take GTINs from them, never lot or serial.
    pub proved: bool,
}

/// What comes out of a scanner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScannerEvent {
    /// A barcode.
    Scan(Scan),
    /// Something arrived that is no barcode. A person should scan again.
    Rejected {
        /// Why.
        rejection: Rejection,
        /// Which scanner.
        source: DeviceName,
    },
    /// The scanner came, went, or cannot be opened.
    Device {
        /// What happened.
        event: DeviceEvent,
        /// Which scanner.
        source: DeviceName,
    },
}

/// A scanner of any kind.
#[async_trait]
pub trait Scanner: Send + std::fmt::Debug {
    /// What the branch calls it.
    fn name(&self) -> &DeviceName;

    /// The next event; waits for it. `None` after the driver has ended. Cancel-safe.
    async fn next(&mut self) -> Option<ScannerEvent>;
}
