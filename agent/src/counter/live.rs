//! What the counter keeps per till beside the books: who is there, what lies on the counter, what was said last.

use pestle_domain::{
    fact::Actor,
    ids::{ActId, PersonId, StaffId},
    money::Money,
    sale::{Basket, LotChoice, Pack},
    staff::Role,
};
use serde::{Deserialize, Serialize};

use super::{
    command::{CashWay, StationId, Ticket},
    typed::Batches,
};

/// Scans that wait while a payment is being recorded (milliseconds). A person scans two packs a second; past this the
/// disk is in trouble, and the page says so.
pub const HELD_SCANS_MAX: usize = 16;

/// Refusals, and what else stays on the page until somebody has seen it: so many of each.
pub const REFUSALS_MAX: usize = 5;

/// One till as it is now.
#[derive(Debug, Clone, Default)]
pub struct LiveTill {
    /// What lies on the counter; `None` before the first pack.
    pub basket: Option<Basket>,
    /// The pack whose lot somebody has to read.
    pub question: Option<LotQuestion>,
    /// Who serves.
    pub signed_in: Option<SignedIn>,
    /// Why nobody does any more, for whoever stands before the sign-in. Names nobody.
    pub farewell: Option<String>,
    /// What is on its way to the disk.
    pub busy: Option<Busy>,
    /// What its page's scanner typed, so that nothing of it counts twice.
    pub typed: Batches,
    /// Scans that came meanwhile.
    pub held: Vec<Scanned>,
    /// What was said last.
    pub notice: Option<Notice>,
    /// Refusals that nobody has put aside yet, the newest last.
    pub refusals: Vec<Notice>,
    /// What is told as refusals are, and is not over with the next sale: it stays until somebody has put it aside.
    pub unseen: Vec<Notice>,
    /// The last sale has just been made: its change is shown until the next scan.
    pub just_sold: bool,
    /// Numbers the notices.
    pub notices: u64,
}

/// A pack whose lot has to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LotQuestion {
    /// As scanned.
    pub pack: Pack,
    /// Of the article.
    pub name: Box<str>,
    /// What the branch has.
    pub choices: Vec<LotChoice>,
}

/// Somebody who serves at a till.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// Who.
    pub staff: StaffId,
    /// As the counter greets them.
    pub name: Box<str>,
    /// What they are.
    pub role: Role,
    /// At which browser.
    pub station: StationId,
    /// When something was last done (monotonic).
    pub last_ms: u64,
}

impl SignedIn {
    /// As facts name them.
    pub fn actor(&self) -> Actor {
        Actor::Staff(self.staff.clone())
    }
}

/// An act of a till that is on its way to the disk. One at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Busy {
    /// Which.
    pub act: ActId,
    /// What was asked for: only the same again is a repeat.
    pub asked: Asked,
    /// Who waits for it: the page, and its repeats.
    pub tickets: Vec<Ticket>,
}

/// What a till's own act was asked to do, with its amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Sell.
    Pay {
        /// What the basket came to on the person's page.
        total: Money,
        /// Handed over.
        tendered: Money,
    },
    /// Begin a session.
    Open {
        /// Counted.
        float: Money,
    },
    /// End it.
    Close {
        /// Counted.
        counted: Money,
    },
    /// Open the drawer without a sale.
    Drawer,
    /// Put cash in or take it out.
    Move {
        /// Which way.
        way: CashWay,
        /// How much.
        amount: Money,
    },
    /// Register a patient, or amend the one that is named.
    Patient(Option<PersonId>),
}

/// A scan, from a scanner or typed into the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scanned {
    /// As it came, without prefix and suffix.
    pub bytes: Vec<u8>,
    /// Whether the scanner was proved to keep the separators.
    pub proved: bool,
}

/// How a notice is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// It went well.
    Good,
    /// Worth knowing.
    Info,
    /// It was not done.
    Refused,
}

/// Something that the person at the till is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Rises with each notice of this till, so that a page knows what is new.
    pub seq: u64,
    /// How it is meant.
    pub tone: Tone,
    /// What happened, and what to do next.
    pub text: String,
}

impl LiveTill {
    /// Says something. A refusal stays until it is put aside, or the next sale is made.
    pub fn say(&mut self, tone: Tone, text: impl Into<String>) {
        let notice = self.next(tone, text.into());
        if tone == Tone::Refused {
            keep(&mut self.refusals, &notice);
        }
        self.notice = Some(notice);
    }

    /// Says what went wrong beside the work at this till, and goes on saying it until it is put aside.
    pub fn say_until_seen(&mut self, text: impl Into<String>) {
        let notice = self.next(Tone::Refused, text.into());
        keep(&mut self.unseen, &notice);
        self.notice = Some(notice);
    }

    fn next(&mut self, tone: Tone, text: String) -> Notice {
        self.notices += 1;
        Notice { seq: self.notices, tone, text }
    }
}

/// The same again is said again, not twice.
fn keep(notices: &mut Vec<Notice>, notice: &Notice) {
    notices.retain(|earlier| earlier.text != notice.text);
    if notices.len() >= REFUSALS_MAX {
        notices.remove(0);
    }
    notices.push(notice.clone());
}
