//! What a till's page and a box's health say, as far as the checks read it.

use pestle_domain::{ids::ActId, money::Money};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the page shows, as far as the check reads it.
#[derive(Debug, Clone, Deserialize)]
pub struct Till {
    /// `sign_in`, `closed`, `ready`, `selling`, `paying`, `change`, `no_catalogue`.
    pub phase: String,
    /// What lies on the counter.
    pub basket: Option<Basket>,
    /// A pack whose lot has to be read.
    pub question: Option<Value>,
    /// The last sale of this till.
    pub last_sale: Option<Sale>,
    /// The last closing.
    pub last_closing: Option<Closing>,
    /// Prints that have not ended.
    pub prints: Vec<Print>,
    /// Refusals that nobody has put aside, the newest last.
    pub refusals: Vec<Refusal>,
    /// The link to the centre.
    pub link: Link,
    /// What the sensors said last.
    pub readings: Vec<Reading>,
    /// The cash session.
    pub session: Option<Session>,
    /// Devices, and what else may need a person.
    #[serde(default)]
    pub devices: Vec<Device>,
}

/// A device, or what else stands among them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Device {
    /// As configured, or as the box calls it.
    pub name: String,
    /// What is wrong.
    pub detail: Option<String>,
}

/// Something that was not done.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Refusal {
    /// What happened, and what to do next.
    pub text: String,
}

/// The cash session.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Session {
    /// Which.
    pub id: String,
    /// Sales so far.
    pub sales: u64,
}

/// What lies on the counter.
#[derive(Debug, Clone, Deserialize)]
pub struct Basket {
    /// To be sent with the payment.
    pub act: ActId,
    /// In the order of their scans.
    pub lines: Vec<Line>,
    /// What they come to.
    pub total: Money,
}

/// One line of the basket.
#[derive(Debug, Clone, Deserialize)]
pub struct Line {
    /// Its number in the basket.
    pub line: u32,
    /// As scanned.
    pub gtin: String,
    /// As it will be printed.
    pub name: String,
    /// Packs.
    pub quantity: i64,
    /// `quantity × unit price`.
    pub amount: Money,
    /// The lot, where it is known.
    pub lot: Option<String>,
    /// Packs by the book, before this sale.
    pub on_hand: i64,
}

/// A sale that is on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Sale {
    /// Its act.
    pub act: ActId,
    /// Its receipt.
    pub receipt: Receipt,
    /// What it came to.
    pub total: Money,
    /// What was handed over.
    pub tendered: Money,
    /// What was handed back.
    pub change: Money,
    /// What became of its print.
    pub print: String,
}

/// A receipt's number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Receipt {
    /// Which till.
    pub till: String,
    /// Which life of the store.
    pub epoch: u32,
    /// Which.
    pub number: u64,
}

impl std::fmt::Display for Receipt {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}/{}", self.till, self.epoch, self.number)
    }
}

/// A closing that is on the disk.
#[derive(Debug, Clone, Deserialize)]
pub struct Closing {
    /// By the book.
    pub expected: Money,
    /// Counted less expected.
    pub variance: Money,
    /// Sales of the session.
    pub sales: u64,
}

/// A print that has not ended.
#[derive(Debug, Clone, Deserialize)]
pub struct Print {
    /// Names it in an answer.
    pub job: u64,
    /// The act whose document it is.
    pub document: ActId,
    /// `queued`, `sent`, `not_printed`, `unknown`.
    pub state: String,
    /// Why, where there is something to say.
    pub reason: Option<String>,
}

/// How far a box's ledger is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerHead {
    /// Which life of the store.
    pub epoch: u32,
    /// The last fact on the disk.
    pub seq: u64,
}

/// `GET /health`, as far as the check reads it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct HealthReport {
    pub(super) journal: Vec<LaneReport>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct LaneReport {
    pub(super) lane: String,
    pub(super) epoch: u32,
    pub(super) head: u64,
}

/// The link to the centre.
#[derive(Debug, Clone, Deserialize)]
pub struct Link {
    /// `offline`, `catch_up`, `live`, `draining`.
    pub state: String,
    /// Facts that the centre has not acknowledged.
    pub waiting: u64,
}

/// What a sensor said last.
#[derive(Debug, Clone, Deserialize)]
pub struct Reading {
    /// Which sensor.
    pub sensor: String,
    /// Thousandths of a degree.
    pub milli_celsius: Option<i32>,
    /// Why there is none.
    pub missing: Option<String>,
}
