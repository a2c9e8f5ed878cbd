//! Receipt printers and the drawers behind them.
//!
//! [`model`] knows what differs between printers; [`compose`] turns a document into bytes, through [`codepage`] and
//! [`raster`]; [`status`] understands what a printer answers; [`driver`] owns the line, sends each job once and tells
//! honestly what became of it.

pub mod codepage;
pub mod compose;
pub mod driver;
mod link;
pub mod model;
pub mod raster;
mod session;
pub mod status;

use async_trait::async_trait;
use pestle_domain::document::Document;
use tokio::sync::watch;

pub use link::PrinterAddress;

use crate::device::{DeviceEvent, DeviceName};
use codepage::Replaced;
use status::{Condition, ProcessId, Trouble};

/// Something to print, and whether the drawer opens with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrintJob {
    /// What is printed.
    pub document: Document,
    /// Kick the drawer before printing.
    pub open_drawer: bool,
}

/// What became of a job. It is sent once: whoever wants it again asks a person, and prints a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The printer said that it is on paper.
    Printed,
    /// Nothing of it reached the printer. It may be sent again.
    NotPrinted {
        /// Why, and what to do.
        reason: NotPrinted,
    },
    /// Some or all of it may be on paper, or may come out later. Never send it again without a person.
    Unknown {
        /// What was seen last.
        reason: Unknown,
    },
}

/// Why nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPrinted {
    /// The printer is there and would not print.
    #[error(transparent)]
    Trouble(Trouble),
    /// The printer is not there, or does not answer.
    #[error("the printer is away: {0}")]
    Away(String),
    /// The document holds something that cannot be printed.
    #[error("the document cannot be printed: {0}")]
    BadDocument(String),
    /// The driver has been stopped.
    #[error("the printer's driver has ended: restart the agent")]
    Ended,
}

/// Why it is not known what became of a job that was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unknown {
    /// The line broke after part or all of it was sent.
    #[error("the printer vanished after {sent} of {length} bytes were sent ({cause}): look at the paper")]
    Vanished {
        /// Bytes that the system accepted.
        sent: usize,
        /// Bytes of the job.
        length: usize,
        /// What was seen.
        cause: String,
    },
    /// The printer holds the job, and prints the rest when it can.
    #[error("{0}; the rest of the receipt comes out by itself after that")]
    Held(Trouble),
    /// It did not take or did not confirm the job in time.
    #[error("the printer did not confirm in time ({sent} of {length} bytes were sent): look at the paper")]
    Unconfirmed {
        /// Bytes that the system accepted.
        sent: usize,
        /// Bytes of the job.
        length: usize,
    },
    /// The driver ended while it had the job.
    #[error("the printer's driver ended in the middle of the job: look at the paper, and restart the agent")]
    DriverEnded,
    /// This model never says whether it printed.
    #[error("this printer cannot say whether it printed: look at the paper")]
    CannotTell,
}

/// What became of the drawer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrawerOutcome {
    /// Its sensor saw it open.
    Opened,
    /// It was open before.
    AlreadyOpen,
    /// It was kicked, and its sensor did not see it open: locked, jammed, or its cable is out.
    NotOpened,
    /// It was kicked, and has no sensor.
    KickedUnseen,
    /// The kick was not sent, or the printer broke off.
    NotKicked,
}

/// What became of a print job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrintReport {
    /// On paper or not.
    pub outcome: Outcome,
    /// `None` when the job did not ask for it.
    pub drawer: Option<DrawerOutcome>,
    /// Characters that were not printed as they were written.
    pub replaced: Vec<Replaced>,
    /// Names the job towards the printer; a [`PrinterEvent::FinishedLate`] may come with it. `None` when nothing was sent,
    /// or the model knows no such names.
    pub process: Option<ProcessId>,
}

/// How a printer is, for the page that shows "paper out" before a sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrinterStatus {
    /// Not yet looked at.
    Starting,
    /// It cannot be reached.
    Away {
        /// What was seen, and what to check.
        reason: String,
    },
    /// It answers.
    Here(Condition),
    /// The line is open; this model cannot answer.
    Mute,
}

impl PrinterStatus {
    /// Would a job be printed now? The reason is for a person. A mute printer is believed.
    ///
    /// # Errors
    /// Why not.
    pub fn ready(&self) -> Result<(), NotPrinted> {
        match self {
            PrinterStatus::Starting => Err(NotPrinted::Away("it has not been looked at yet".to_owned())),
            PrinterStatus::Away { reason } => Err(NotPrinted::Away(reason.clone())),
            PrinterStatus::Here(condition) => {
                condition.trouble().map_or(Ok(()), |t| Err(NotPrinted::Trouble(t)))
            }
            PrinterStatus::Mute => Ok(()),
        }
    }
}

/// What a printer tells by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrinterEvent {
    /// It came, went, or cannot be reached.
    Device(DeviceEvent),
    /// A job whose outcome was unknown is on paper after all.
    FinishedLate(ProcessId),
}

/// A printer of any kind.
#[async_trait]
pub trait Printer: Send + Sync + std::fmt::Debug {
    /// What the branch calls it.
    fn name(&self) -> &DeviceName;

    /// Characters across its paper.
    fn columns(&self) -> u8;

    /// Prints, in one attempt. Jobs are taken one after the other. Dropping the future does not take the job back.
    async fn print(&self, job: PrintJob) -> PrintReport;

    /// Opens the drawer alone.
    async fn open_drawer(&self) -> DrawerOutcome;

    /// How it is; changes can be awaited.
    fn status(&self) -> watch::Receiver<PrinterStatus>;
}
