//! The words between the counter's machine and its shell: what can happen, and what is to be done about it.

use std::sync::Arc;

use pestle_domain::{
    document::Document,
    fact::{Act, BoxBooksIncomplete, BoxFactsFetched, FactBody, Stamp},
    ids::TillId,
    journal::Lane,
    personal::{PatientDetails, Sealed},
    stock::Discrepancy,
    units::UnixMillis,
    wire::orders::VerifiedOrders,
};
use pestle_drivers::sensor::Reading;
use uuid::Uuid;

use super::{
    command::{Answer, Pin, Request, Ticket},
    counters::Count,
    earlier::EarlierAct,
    live::Scanned,
    papers::DispensingPaper,
    patient::Sealing,
    shop::Shop,
    view::{DeviceView, LinkView},
};
use crate::{
    space::Space,
    spool::machine::{DrawerEnd, Ended, JobId},
};

/// Time and identity, as the shell saw and drew them.
pub struct Now<'a> {
    /// Since the start of the machine.
    pub mono_ms: u64,
    /// What facts of this moment carry.
    pub stamp: Stamp,
    /// A time that has certainly passed, whatever the wall clock says.
    pub floor: UnixMillis,
    /// Draws an identity (UUID version 7).
    pub draw: &'a mut dyn FnMut() -> Uuid,
}

impl std::fmt::Debug for Now<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Now").field("mono_ms", &self.mono_ms).finish_non_exhaustive()
    }
}

/// An append on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub u64);

/// Something that happened to the counter.
#[derive(Debug)]
pub enum Event {
    /// A person asks for something; somebody waits for the answer.
    Asked(Ticket, Request),
    /// A scanner read something for a till.
    Scanned(TillId, Scanned),
    /// A scanner read something that is no barcode; in words for the page.
    ScanRejected(TillId, String),
    /// An append has returned.
    Appended(CommitId, Result<(), String>),
    /// A PIN was compared.
    PinChecked(Ticket, bool),
    /// A patient's details were sealed, and the key is on the disk; or why not.
    Sealed(Sealing, Result<Sealed, String>),
    /// A print has ended.
    PrintEnded(String, JobId, Ended),
    /// A dispensing label is wanted.
    DispensingLabel(DispensingPaper),
    /// A drawer that was told to open did or did not.
    DrawerEnded(String, DrawerEnd),
    /// This printer left out a paper's picture, and why. Told once, until one was printed or the reason is another.
    PictureLeftOut(String, String),
    /// A printer confirmed a job late.
    PrintFinishedLate(String, [u8; 4]),
    /// A printer says whether it would print.
    PrinterIs(String, Result<(), String>),
    /// A device came, went, or is in trouble.
    Device(DeviceView, Option<FactBody>),
    /// Which devices wait for a person to say which they are; none when all was answered.
    DevicesAsk(Vec<String>),
    /// A sensor, by its name, was asked.
    Reading(String, Reading),
    /// The link to the centre.
    Link(LinkView),
    /// A new snapshot.
    Shop(Arc<Shop>),
    /// The disk has more or less room.
    Space(Space),
    /// Orders of the centre, verified.
    Orders(VerifiedOrders),
    /// Facts are missing in the books that nobody has named yet.
    Missing(BoxBooksIncomplete),
    /// Facts that were missing, fetched and verified: they are kept on the disk. And older ones, if they tell of any that the
    /// box has not.
    Fetched(BoxFactsFetched, Vec<EarlierAct>, Option<BoxBooksIncomplete>),
    /// Time passes.
    Tick,
    /// The box is shutting down.
    Ending,
}

/// Something that the shell is to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Append, then report [`Event::Appended`]. In the order of these effects.
    Append {
        /// Named in the report.
        commit: CommitId,
        /// Into which stream.
        lane: Lane,
        /// What.
        act: Act,
        /// Stored beside it, never sent.
        attachment: Vec<u8>,
    },
    /// Compare a PIN with its verifier, then report [`Event::PinChecked`].
    CheckPin {
        /// Named in the report.
        ticket: Ticket,
        /// argon2id, as a PHC string.
        verifier: Box<str>,
        /// As typed.
        pin: Pin,
    },
    /// Seal a patient's details, with the key on the disk first, then report [`Event::Sealed`].
    Seal(Sealing, PatientDetails),
    /// Tell whoever waits.
    Answer(Ticket, Answer),
    /// The page of this till has changed.
    Show(TillId),
    /// All pages have changed.
    ShowAll,
    /// The basket of this till has changed.
    Keep(TillId),
    /// Print, then report [`Event::PrintEnded`].
    Print {
        /// On which printer.
        printer: String,
        /// Named in the report.
        job: JobId,
        /// What.
        document: Document,
        /// With the drawer.
        drawer: bool,
    },
    /// Open the drawer behind this printer, then report [`Event::DrawerEnded`].
    KickDrawer(String),
    /// Make this printer beep.
    Beep(String),
    /// A person said that the date is right.
    ConfirmDate,
    /// Count it.
    Count(Count),
    /// The book cannot be right: log and count.
    Doubt(Discrepancy),
}
