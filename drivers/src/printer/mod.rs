//! Receipt printers and the drawers behind them, label printers, office printers.
//!
//! Receipts: [`model`] knows what differs between printers; [`compose`] turns a document into bytes, through [`codepage`], and
//! through [`render`] and [`raster`] what no code page has; [`symbols`] draws codes; [`bitmap`] is a picture; [`status`]
//! understands what a printer answers; [`driver`] owns the line, sends each job once and tells honestly what became of it.
//! Labels: [`zpl`]. Pages: [`ipp`]. For both, `flow` divides a document where one is full, [`trouble`] says in words what
//! keeps them from printing, and `owner` is the task behind them. [`start`](start::start) starts a printer of any kind.

pub mod bitmap;
pub mod codepage;
pub mod compose;
pub mod driver;
mod flow;
pub mod ipp;
pub mod model;
mod owner;
mod question;
pub mod raster;
pub mod render;
mod session;
pub mod start;
pub mod status;
pub mod symbols;
pub mod trouble;
pub mod zpl;

use async_trait::async_trait;
use pestle_domain::document::Document;
use tokio::sync::watch;

use crate::device::{DeviceEvent, DeviceName};
use codepage::Replaced;
pub use owner::PrinterHandle;
use render::MissingPicture;
use status::{Condition, Paper, ProcessId, Trouble};
use trouble::Notice;

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
    /// The printer refused or gave up the job before any of it was on paper.
    #[error("the printer refused the job: {0}")]
    Refused(String),
    /// It was asked to beep and cannot.
    #[error(
        "this printer has no buzzer, or its model does not say how it is sounded: look for its name on the test page"
    )]
    NoBuzzer,
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
    #[error("{0}; the rest comes out by itself after that")]
    Held(Trouble),
    /// It took no more for too long, and the rest was given up.
    #[error("{trouble}; it took {sent} of {length} bytes, and the rest does not come out: look at the paper")]
    CutShort {
        /// What keeps it from printing.
        trouble: Trouble,
        /// Bytes that the system accepted.
        sent: usize,
        /// Bytes of the job.
        length: usize,
    },
    /// It stood still in the middle, and has nothing more to print now; somebody may have cancelled it there.
    #[error("{0} (that was in the middle of the job; it is ready again): look whether all of it came out")]
    Interrupted(Trouble),
    /// It refused the job when its pages, or some of them, had been sent.
    #[error("the printer refused the job after pages of it were sent ({0}): look whether any came out")]
    RefusedLate(String),
    /// It gave up in the middle.
    #[error("the printer stopped after {pages} of {of} pages ({cause}): look at the pages")]
    Partly {
        /// Pages that it says are on paper.
        pages: u32,
        /// Pages of the job.
        of: u32,
        /// What it said.
        cause: String,
    },
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
    /// Pictures that were left out, and why.
    pub missing_pictures: Vec<MissingPicture>,
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
    /// It answers; a label or an office printer.
    Reports {
        /// What keeps it from printing.
        trouble: Option<Trouble>,
        /// What it would like to have soon.
        notice: Option<Notice>,
    },
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
            PrinterStatus::Reports { trouble, .. } => trouble.map_or(Ok(()), |t| Err(NotPrinted::Trouble(t))),
            PrinterStatus::Mute => Ok(()),
        }
    }

    /// What a person should know about a printer that prints: paper or toner that ends soon. `None` when all is well, or
    /// when [`ready`](PrinterStatus::ready) says what is wrong.
    #[must_use]
    pub fn notice(&self) -> Option<String> {
        match self {
            PrinterStatus::Here(condition) if condition.paper == Paper::NearEnd => {
                Some("the paper is nearly used up: have a new roll ready".to_owned())
            }
            PrinterStatus::Reports { trouble: None, notice } => notice.map(|notice| notice.to_string()),
            PrinterStatus::Mute => Some("it cannot say whether it printed: look at the paper".to_owned()),
            _ => None,
        }
    }
}

/// What became of measuring the paper anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Calibration {
    /// It has measured a label. Compare: half or twice of what is configured means that it saw the wrong gaps.
    Done {
        /// How long it takes a label to be, in tenths of a millimetre.
        label_tenths_mm: u16,
    },
    /// It was told to, and cannot answer.
    Unseen,
    /// It could not.
    Failed(NotPrinted),
    /// This kind of printer has nothing to measure.
    NotNeeded,
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

    /// Can there be a drawer behind it? Without one, [`DrawerOutcome::NotKicked`] is all that is ever told.
    fn has_drawer(&self) -> bool {
        true
    }

    /// Opens the drawer alone.
    async fn open_drawer(&self) -> DrawerOutcome;

    /// Makes it beep, so that a person looks up. Nothing is printed.
    ///
    /// # Errors
    /// Why it did not: it is away, in trouble, or has no buzzer that we can sound.
    async fn beep(&self) -> Result<(), NotPrinted> {
        Err(NotPrinted::NoBuzzer)
    }

    /// Has it measure its labels anew, after a roll of another size was put in.
    async fn calibrate(&self) -> Calibration {
        Calibration::NotNeeded
    }

    /// How it is; changes can be awaited.
    fn status(&self) -> watch::Receiver<PrinterStatus>;
}
