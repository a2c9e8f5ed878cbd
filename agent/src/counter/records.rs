//! What the books remember of single acts: sales, closings, what is to be printed, what a repeat is answered.

use pestle_domain::{
    fact::{Actor, ReceiptNumber, SaleCompleted, TaxShare, TillClosed},
    ids::{ActId, PersonId, SessionId, TillId},
    money::Money,
    till::Till,
    units::{Day, UnixMillis},
};
use serde::{Deserialize, Serialize};

use super::{
    command::CashWay,
    live::Asked,
    papers::{DocumentKind, RequestedPaper},
};
use crate::journal::Place;

/// How the reason of `print.unknown` begins where the printer never says whether it printed.
pub const CANNOT_TELL: &str = "this printer cannot say whether it printed";

/// The reason of `print.unknown` where a document will not be printed any more.
pub const GIVEN_UP: &str = "given up: not printed again";

/// The reason of `print.unknown` where more papers waited for a printer than are kept.
pub const LET_GO: &str = "let go: too many papers wait for this printer";

/// What is stored beside an act and never sent: what is to be printed once it is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrintIntent {
    /// Whether a document belongs to this act.
    pub print: bool,
}

impl PrintIntent {
    /// The attachment's bytes; none when nothing is to be printed.
    pub fn to_bytes(self) -> Vec<u8> {
        if self.print { br#"{"print":true}"#.to_vec() } else { Vec::new() }
    }

    /// Reads an attachment. Bytes of a later version mean: there was something.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match serde_json::from_slice(bytes) {
            Ok(intent) => intent,
            Err(_newer_or_none) => Self { print: !bytes.is_empty() },
        }
    }
}

/// As it is attached to an act.
impl From<PrintIntent> for Vec<u8> {
    fn from(intent: PrintIntent) -> Vec<u8> {
        intent.to_bytes()
    }
}

/// A sale, as far as a receipt and a repeat need it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleRecord {
    /// The act.
    pub act: ActId,
    /// When it was recorded.
    pub at: UnixMillis,
    /// By whom.
    pub by: Actor,
    /// What.
    pub sale: SaleCompleted,
}

/// A closed session, as far as its report needs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosingRecord {
    /// The act.
    pub act: ActId,
    /// When it was recorded.
    pub at: UnixMillis,
    /// By whom.
    pub by: Actor,
    /// What was counted.
    pub closed: TillClosed,
    /// What it came to.
    pub sums: Sums,
}

/// What a session came to so far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Which.
    pub session: SessionId,
    /// When it began.
    pub opened_at: UnixMillis,
    /// On which day of business.
    pub opened_on: Day,
    /// Counted in.
    pub float: Money,
    /// Cash from sales.
    pub received: Money,
    /// Put in without a sale.
    pub paid_in: Money,
    /// Taken out without a sale.
    pub paid_out: Money,
    /// Tax of its sales, the highest rate first. The sum of what the receipts say, so that both can be compared.
    pub taxes: Vec<TaxShare>,
}

/// A document that belongs to an act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Printable {
    /// A receipt.
    Receipt(Box<SaleRecord>),
    /// The report of a closed session.
    Closing(Box<ClosingRecord>),
    /// What somebody asked for.
    Requested(Box<RequestedPaper>),
}

impl Printable {
    /// The act that it belongs to.
    pub fn act(&self) -> ActId {
        match self {
            Self::Receipt(record) => record.act,
            Self::Closing(record) => record.act,
            Self::Requested(paper) => paper.act,
        }
    }

    /// The till that it belongs to.
    pub fn till(&self) -> &TillId {
        match self {
            Self::Receipt(record) => &record.sale.till,
            Self::Closing(record) => &record.closed.till,
            Self::Requested(paper) => &paper.till,
        }
    }

    /// For lists and questions.
    pub fn title(&self) -> String {
        match self {
            Self::Receipt(record) => format!("Receipt {}", record.sale.receipt.number),
            Self::Closing(record) => format!("Closing of {}", record.closed.till),
            Self::Requested(paper) => paper.title.clone(),
        }
    }

    /// What it is, as far as its printer goes.
    pub fn kind(&self) -> DocumentKind {
        match self {
            Self::Receipt(_) => DocumentKind::Receipt,
            Self::Closing(_) => DocumentKind::Report,
            Self::Requested(paper) => paper.kind(),
        }
    }
}

/// What became of an act that was sent before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "done")]
pub enum Done {
    /// A sale.
    Sold {
        /// Its receipt.
        receipt: ReceiptNumber,
        /// What it came to.
        total: Money,
        /// What was given.
        tendered: Money,
        /// What was handed back.
        change: Money,
    },
    /// A session began.
    Opened {
        /// Where.
        till: TillId,
        /// Which.
        session: SessionId,
        /// Counted in.
        float: Money,
    },
    /// A session ended.
    Closed {
        /// Where.
        till: TillId,
        /// By the person.
        counted: Money,
        /// By the book.
        expected: Money,
        /// Counted less expected.
        variance: Money,
    },
    /// Cash was put in or taken out.
    Moved {
        /// Where.
        till: TillId,
        /// Which way.
        way: CashWay,
        /// How much.
        amount: Money,
    },
    /// A patient was registered, or what is known of one was set right.
    Patient {
        /// Whom.
        person: PersonId,
        /// Whether they are new.
        new: bool,
    },
    /// The drawer was told to open without a sale.
    DrawerOpened {
        /// Where.
        till: TillId,
    },
}

impl Done {
    /// Whether this is what `asked` asks for at `till`: then it is a repeat.
    pub fn answers(&self, at: &TillId, asked: &Asked) -> bool {
        match (self, *asked) {
            (Self::Sold { receipt, total, tendered, .. }, Asked::Pay { total: seen, tendered: given }) => {
                receipt.till == *at && *total == seen && *tendered == given
            }
            (Self::Opened { till, float, .. }, Asked::Open { float: counted }) => {
                till == at && *float == counted
            }
            (Self::Closed { till, counted, .. }, Asked::Close { counted: again }) => {
                till == at && *counted == again
            }
            (Self::Moved { till, way, amount }, Asked::Move { way: again, amount: typed }) => {
                till == at && *way == again && *amount == typed
            }
            (Self::DrawerOpened { till }, Asked::Drawer) => till == at,
            // Its facts name no till, and what was typed is kept nowhere.
            (Self::Patient { person, new }, Asked::Patient(asked)) => {
                asked.map_or(*new, |asked| !new && asked == *person)
            }
            _ => false,
        }
    }
}

/// What is known of the paper of a till's last sale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Paper {
    /// No fact has told yet.
    #[default]
    Open,
    /// It was printed.
    Printed,
    /// A copy was printed.
    Copied,
    /// Nobody knows.
    Unknown,
    /// It went to a printer that cannot say.
    CannotTell,
    /// It was given up.
    GivenUp,
}

/// Wrong sign-ins of one name since its last right one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denials {
    /// How many.
    pub wrong: u32,
    /// Which start of the machine the last one was in.
    pub boot: Box<str>,
    /// When, by that start's clock.
    pub mono_ms: u64,
}

/// One till's book.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TillBook {
    /// Its session, if one is open.
    pub till: Till,
    /// What the open session came to.
    pub sums: Option<Sums>,
    /// The last receipt's epoch and number.
    pub last: Option<(u32, u64)>,
    /// The last sale.
    pub last_sale: Option<SaleRecord>,
    /// Its paper.
    pub paper: Paper,
    /// The last closing.
    pub last_closing: Option<ClosingRecord>,
    /// Where a session last began or ended: what is fetched back from before it changes no session any more.
    #[serde(default)]
    pub turned_at: Option<Place>,
    /// What was moved in a session that these books did not see begin.
    #[serde(default)]
    pub stray: Option<Stray>,
}

/// What was moved in a session whose beginning the books lack. Once that is fetched back, it is part of the session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stray {
    /// Which.
    pub session: SessionId,
    /// Cash from sales.
    pub received: Money,
    /// Put in without a sale.
    pub paid_in: Money,
    /// Taken out without a sale.
    pub paid_out: Money,
    /// How many sales.
    pub sales: u64,
    /// Tax of its sales.
    pub taxes: Vec<TaxShare>,
}

impl TillBook {
    /// Whether a session that began or ended at `place` is later than what these books know of the till. Books that an
    /// earlier agent kept do not know where: then they are right.
    pub fn turns_at(&self, place: Place) -> bool {
        match self.turned_at {
            Some(known) => place > known,
            None => self.till == Till::Closed && self.sums.is_none() && self.last_closing.is_none(),
        }
    }

    /// The book of movements in a session that was not seen to begin; a later session takes the place of an earlier one.
    pub fn stray(&mut self, session: SessionId, zero: Money) -> &mut Stray {
        let empty =
            || Stray { session, received: zero, paid_in: zero, paid_out: zero, sales: 0, taxes: Vec::new() };
        self.stray = self.stray.take().filter(|stray| stray.session == session);
        self.stray.get_or_insert_with(empty)
    }

    /// The number of the next receipt in this life of the store.
    pub fn next_number(&self, epoch: u32) -> u64 {
        match self.last {
            Some((of, number)) if of == epoch => number + 1,
            _ => 1,
        }
    }
}
