//! Devices that are not there: each speaks its real counterpart's bytes over a pseudo-terminal or TCP, and can be told
//! to fail the way the real one does.
//!
//! [`scanner`] types barcodes; [`printer`] understands ESC/POS, keeps what it printed and draws it; [`fridge`] is a row of
//! Modbus RTU sensors. [`pty`] is the cable. All methods of the handles are plain, so that a web page can drive them.

pub mod fridge;
pub mod printer;
pub mod pty;
pub mod scanner;

use std::{io, path::PathBuf};

/// Why a simulator could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    /// No pseudo-terminal, or no link to it.
    #[error("no pseudo-terminal could be made at {path}")]
    Pty {
        /// The link that was asked for.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The port is taken, most likely.
    #[error("the simulated printer could not listen on {address}: is the port taken?")]
    Listen {
        /// The address that was asked for.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The device is unplugged or without power.
    #[error("the simulated device is unplugged; plug it in first")]
    Unplugged,
    /// Nothing reads the line, and its buffer is full.
    #[error("nobody reads the line")]
    NobodyReads,
    /// There is no sensor with this number on the bus.
    #[error("there is no slave {0} on this bus")]
    NoSuchSlave(u8),
}
