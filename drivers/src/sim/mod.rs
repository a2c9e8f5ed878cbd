//! Devices that are not there: each speaks its real counterpart's bytes over a pseudo-terminal or TCP, and can be told
//! to fail the way the real one does.
//!
//! [`scanner`] types barcodes, and [`keyboard`] does by keys ([`typist`] knows which); [`printer`] understands ESC/POS, keeps what it printed and draws it;
//! [`zebra`] is a label printer; [`fridge`] is a row of Modbus devices. [`pty`] is the cable. All methods of the handles are plain, so that a web page can drive them.
//! [`attached`] is the kernel's list of what is plugged in.

pub mod attached;
pub mod fridge;
pub mod keyboard;
mod plug;
pub mod ports;
pub mod printer;
pub mod pty;
pub mod scanner;
pub mod typist;
pub mod zebra;

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
    #[error("the simulated device could not listen on {address}: is the port taken?")]
    Listen {
        /// The address that was asked for.
        address: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// No socket for a keyboard's records.
    #[error("no socket could be made at {path}")]
    Keyboard {
        /// The path that was asked for.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A character that the layout does not have.
    #[error("the simulated keyboard has no keys for all of {0:?}")]
    NoSuchKey(String),
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
