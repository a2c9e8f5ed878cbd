//! Office printers, through the Internet Printing Protocol: registers and reports on A4 or Letter.
//!
//! [`address`] and [`tls`] say where a printer is and how it is known; `message` builds requests and reads answers;
//! [`state`] understands what it says about itself and its jobs; [`page`] draws pages, [`raster`] writes them in the form
//! that every IPP Everywhere printer takes. `session` does the talking, through `http`; `late` knows the jobs
//! that the printer still holds.

pub mod address;
mod http;
mod late;
pub mod message;
pub mod page;
pub mod raster;
mod session;
pub mod state;
pub mod tls;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::mpsc, time::Instant};

use super::{PrinterEvent, PrinterHandle, owner, render::Artwork};
use crate::device::DeviceName;
use address::IppAddress;
use late::LateJobs;
use raster::Paper;
use session::Session;
use tls::Fingerprint;

/// All that an office printer's driver needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IppSettings {
    /// What the branch calls it.
    pub name: DeviceName,
    /// Where it is.
    pub address: IppAddress,
    /// For `ipps`: the printer's certificate.
    pub fingerprint: Option<Fingerprint>,
    /// What is in its tray.
    pub paper: Paper,
    /// How long to wait for what.
    pub timeouts: IppTimeouts,
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IppTimeouts {
    /// For an answer without pages.
    pub answer: Duration,
    /// For pages to be taken. A small printer takes them no faster than it prints.
    pub send: Duration,
    /// For a job to go on: from waiting to printing, from page to page. A sleeping printer warms up for a minute.
    pub progress: Duration,
    /// For a printer that stands still in the middle of a job to be mended before a person is told.
    pub stopped: Duration,
    /// Between two looks at a printer that has nothing to do. Shorter would keep many from sleeping.
    pub poll: Duration,
}

impl Default for IppTimeouts {
    fn default() -> IppTimeouts {
        IppTimeouts {
            answer: Duration::from_secs(10),
            send: Duration::from_secs(120),
            progress: Duration::from_secs(120),
            stopped: Duration::from_secs(5),
            poll: Duration::from_secs(30),
        }
    }
}

/// Starts the driver. A printer that is not there is told as a fault, and used when it comes.
/// Must be called within a tokio runtime.
#[must_use]
pub fn start(settings: IppSettings, artwork: Artwork) -> (PrinterHandle, mpsc::Receiver<PrinterEvent>) {
    let (name, poll) = (settings.name.clone(), settings.timeouts.poll);
    let late = Arc::new(Mutex::new(LateJobs::none(Instant::now().into_std())));
    owner::start::<Session>(name, page::COLUMNS, poll, (settings, artwork, late))
}
