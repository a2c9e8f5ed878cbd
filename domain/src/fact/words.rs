//! What facts are made of: lines, lots, reasons.

use serde::{Deserialize, Serialize};

use crate::{
    gs1::Gtin,
    ids::{ProductId, TillId},
    money::{BasisPoints, Money},
    units::{Day, MilliCelsius, Quantity},
};

/// Where a line's lot comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// Read from the pack by a scanner that is proved.
    Scanned,
    /// Picked by a person from the lots on hand.
    Chosen,
    /// Nobody said: the lot that expires first is booked.
    AssumedFefo,
    /// Nobody said, and the book has none.
    Unknown,
}

/// A lot as the maker wrote it: 1 to 20 characters (GS1 AI 10).
pub type Lot = Box<str>;

/// The receipt's number: no gap without its reason, no duplicate. `epoch` is that of the store that gave it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ReceiptNumber {
    /// Whose block.
    pub till: TillId,
    /// Of which life of the store.
    pub epoch: u32,
    /// Rises by one with each sale of this till in this epoch.
    pub number: u64,
}

impl std::fmt::Display for ReceiptNumber {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}/{}", self.till, self.epoch, self.number)
    }
}

/// How something was paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tender {
    /// Notes and coins.
    Cash,
}

/// One line of a sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaleLine {
    /// The article.
    pub product: ProductId,
    /// The pack's number as it was scanned or chosen.
    pub gtin: Gtin,
    /// As it was printed.
    pub name: Box<str>,
    /// Packs; above zero.
    pub quantity: Quantity,
    /// Of one pack, tax included.
    pub unit_price: Money,
    /// `quantity × unit_price`.
    pub amount: Money,
    /// The rate inside the amount.
    pub tax: BasisPoints,
}

/// The tax of all lines at one rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxShare {
    /// The rate.
    pub rate: BasisPoints,
    /// Sum of the lines at this rate, tax included.
    pub gross: Money,
    /// The tax inside, by [`BasisPoints::tax_inside`].
    pub tax: Money,
}

/// Packs of one lot that left with a sale.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LotMove {
    /// The article.
    pub product: ProductId,
    /// The lot; `None` when nobody knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot: Option<Lot>,
    /// Where the lot comes from.
    pub provenance: Provenance,
    /// Packs; above zero.
    pub quantity: Quantity,
    /// Serial numbers that were scanned (GS1 AI 21).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serials: Vec<Box<str>>,
}

/// Packs of one lot that came in or were counted in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LotIn {
    /// The article.
    pub product: ProductId,
    /// The lot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lot: Option<Lot>,
    /// Last day of use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<Day>,
    /// Packs; above zero.
    pub quantity: Quantity,
}

/// Why the book was set right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdjustReason {
    /// A pack in the hand that the book did not have: it was sold (invariant I5).
    FoundAtSale,
    /// By a person, with a note.
    Correction,
}

/// Why a drawer was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrawerCause {
    /// To put money in for a sale.
    Sale,
    /// The till was opened or closed.
    Till,
    /// Without a sale.
    NoSale,
}

/// What a sensor said: a temperature, or why there is none (invariant I9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sample {
    /// A temperature.
    Temperature(MilliCelsius),
    /// No number, and why: `timeout`, `crc`, `no_probe`, `gone` …
    Missing(Box<str>),
}
