//! What may be asked of the counter, and what it answers.

use std::fmt;

use pestle_domain::{
    fact::Lot,
    ids::{ActId, PersonId, ProductId, TillId},
    money::Money,
    personal::PatientDetails,
    sale::LineId,
    units::{Day, Quantity},
};

use serde::{Deserialize, Serialize};

use super::{
    records::Done,
    typed::{BatchId, TypedScan},
};
use crate::spool::machine::{JobId, Word};

/// One browser at the counter; drawn when it first comes, kept in its cookie.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct StationId(pub Box<str>);

impl fmt::Debug for StationId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Whoever knows it acts as the person who is signed in there.
        formatter.write_str("StationId(..)")
    }
}

/// A PIN on its way to its verifier; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(pub Box<str>);

impl fmt::Debug for Pin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Pin(..)")
    }
}

/// Names an answer that somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A command with where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// At which till.
    pub till: TillId,
    /// From which browser.
    pub station: StationId,
    /// What.
    pub command: Command,
}

/// What a person does at the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Says who they are.
    SignIn {
        /// As typed.
        staff: String,
        /// As typed.
        pin: Pin,
    },
    /// Leaves; the basket stays.
    SignOut,
    /// Begins a session.
    OpenTill {
        /// Recognises a repeat.
        act: ActId,
        /// Counted.
        float: Money,
        /// What the person says about the date; asked where the clock is doubted.
        date: DateWord,
    },
    /// Says the date at a till that is open; asked where the clock is doubted.
    ConfirmDate {
        /// What the person says about it.
        date: DateWord,
    },
    /// Ends the session.
    CloseTill {
        /// Recognises a repeat.
        act: ActId,
        /// Counted without seeing what is expected.
        counted: Money,
    },
    /// A person typed a code.
    Scan {
        /// As typed, separators as GS.
        bytes: Vec<u8>,
    },
    /// A scanner typed into the page.
    TypedScans {
        /// Recognises a repeat.
        batch: BatchId,
        /// What was scanned, in order.
        scans: Vec<TypedScan>,
    },
    /// An article chosen by name.
    Add {
        /// Which.
        product: ProductId,
    },
    /// Sets a line's packs.
    SetQuantity {
        /// Which line.
        line: LineId,
        /// How many.
        quantity: Quantity,
    },
    /// Takes a line off.
    Void {
        /// Which line.
        line: LineId,
    },
    /// Takes all lines off.
    VoidAll,
    /// Says the lot: of a line, or of the pack that the page asks about.
    ChooseLot {
        /// Which line; `None` for the pack in question.
        line: Option<LineId>,
        /// As read.
        lot: Lot,
    },
    /// Puts aside the pack in question, and the messages.
    Dismiss,
    /// Takes the money.
    Pay {
        /// The basket that the person saw.
        act: ActId,
        /// What it came to on their page.
        total: Money,
        /// Handed over.
        tendered: Money,
    },
    /// Opens the drawer without a sale.
    OpenDrawer {
        /// Recognises a repeat.
        act: ActId,
    },
    /// Puts cash in, or takes it out, without a sale.
    MoveCash {
        /// Recognises a repeat.
        act: ActId,
        /// Which way.
        way: CashWay,
        /// Above zero.
        amount: Money,
        /// What for.
        reason: String,
    },
    /// Registers a patient.
    RegisterPatient {
        /// Recognises a repeat.
        act: ActId,
        /// As typed.
        details: PatientDetails,
    },
    /// Sets right what is known of a patient.
    AmendPatient {
        /// Recognises a repeat.
        act: ActId,
        /// Whom.
        person: PersonId,
        /// All of it, as typed.
        details: PatientDetails,
    },
    /// Prints the label of an article for its shelf.
    ShelfLabel {
        /// Recognises a repeat while it is printed.
        act: ActId,
        /// Which.
        product: ProductId,
    },
    /// Prints the last receipt once more, as a copy.
    Reprint,
    /// Does something on the page for devices: the counter says whether that is this person's to do.
    MendDevices,
    /// Says what became of prints, of one or of many alike.
    AnswerPrints {
        /// Which.
        jobs: Vec<JobId>,
        /// What.
        word: Word,
    },
}

/// Which way cash goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CashWay {
    /// Into the drawer.
    In,
    /// Out of it.
    Out,
}

/// What a person says about the date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateWord {
    /// Nothing.
    Silent,
    /// The date on the page is right.
    AsShown,
    /// It is this one.
    Is(Day),
}

/// What the person is told when it went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// In words.
    pub message: String,
    /// What the act came to.
    pub done: Option<Done>,
}

impl Said {
    /// Words alone.
    pub fn words(message: impl Into<String>) -> Self {
        Self { message: message.into(), done: None }
    }
}

/// Why the counter does not do that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// What kind of reason, for machines.
    pub why: Why,
    /// What happened, and what to do next.
    pub message: String,
}

/// What kind of reason. The words and numbers are those of the centre's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// What was asked for cannot be.
    Validation,
    /// Nobody is signed in here, or the PIN is wrong.
    Authentication,
    /// This person may not.
    Authorization,
    /// There is no such thing.
    NotFound,
    /// Not in this state.
    Conflict,
    /// Too many tries.
    RateLimited,
    /// It could not be recorded.
    Unavailable,
    /// The box was called by a name that is not its own.
    Misdirected,
}

impl Why {
    /// As it stands in the answer, and its HTTP status.
    pub fn code(self) -> (&'static str, u16) {
        match self {
            Self::Validation => ("VALIDATION", 422),
            Self::Authentication => ("AUTHENTICATION", 401),
            Self::Authorization => ("AUTHORIZATION", 403),
            Self::NotFound => ("NOT_FOUND", 404),
            Self::Conflict => ("CONFLICT", 409),
            Self::RateLimited => ("RATE_LIMITED", 429),
            Self::Unavailable => ("UNAVAILABLE", 503),
            Self::Misdirected => ("MISDIRECTED", 421),
        }
    }
}

impl Refused {
    /// A reason in words.
    pub fn new(why: Why, message: impl Into<String>) -> Self {
        Self { why, message: message.into() }
    }
}

/// What somebody who asked is told.
pub type Answer = Result<Said, Refused>;
