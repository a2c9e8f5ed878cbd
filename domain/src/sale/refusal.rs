//! Why the counter does not do something, in the words that the person at the till reads.

use serde::{Deserialize, Serialize};

use super::LINES_MAX;
use crate::{
    catalogue::Supply,
    fact::{Lot, ReceiptNumber},
    gs1::Gtin,
    money::{Money, MoneyError},
    units::{Day, Quantity},
};

/// Why the counter does not do that. The text tells the person what happened, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No article has this number.
    #[error("No article has the number {gtin}. Check the pack, or add the article by name.")]
    UnknownGtin {
        /// As scanned.
        gtin: Gtin,
    },
    /// No article of this name.
    #[error("The catalogue has no such article any more. Search again.")]
    UnknownProduct,
    /// Prescription and controlled medicines.
    #[error("{name} is {}: it is dispensed on prescription, not sold here. Ask the pharmacist.", supply_words(*.supply))]
    NotAtCounter {
        /// The article.
        name: Box<str>,
        /// Its class.
        supply: Supply,
    },
    /// The lot, or every lot, is recalled.
    #[error("{name}{} is recalled ({reference}): {reason}. Do not sell it: put the pack aside for the pharmacist.", lot_words(.lot.as_deref()))]
    Recalled {
        /// The article.
        name: Box<str>,
        /// The lot that was read or chosen.
        lot: Option<Lot>,
        /// The recall's number.
        reference: Box<str>,
        /// In words.
        reason: Box<str>,
    },
    /// Past its last day.
    #[error("{name}{} expired on {expiry}. Do not sell it: put the pack aside and take another.", lot_words(.lot.as_deref()))]
    Expired {
        /// The article.
        name: Box<str>,
        /// The lot, where known.
        lot: Option<Lot>,
        /// Its last day.
        expiry: Day,
    },
    /// The very same pack is in the basket.
    #[error(
        "This very pack of {name} is already scanned (serial {serial}). Put it with the others and scan the next one."
    )]
    AlreadyScanned {
        /// The article.
        name: Box<str>,
        /// Its serial number.
        serial: Box<str>,
    },
    /// The very same pack was sold.
    #[error(
        "This very pack of {name} (serial {serial}) was sold with receipt {receipt}. Put it aside and ask the pharmacist."
    )]
    SerialSold {
        /// The article.
        name: Box<str>,
        /// Its serial number.
        serial: Box<str>,
        /// With which it left.
        receipt: ReceiptNumber,
    },
    /// Some lot of this article must not be sold, and nobody knows this pack's lot.
    #[error("Some packs of {name} must not be sold. Read the lot on this pack and choose it.")]
    LotNeeded {
        /// The article.
        name: Box<str>,
        /// Lots that the branch has.
        choices: Vec<LotChoice>,
    },
    /// Not 1 to 9,999.
    #[error("A quantity is 1 to {}. To take the line off, void it.", Quantity::LINE_MAX)]
    Quantity,
    /// Fewer packs than serial numbers.
    #[error("{serials} packs of this line were scanned one by one. Void the line and scan those that stay.")]
    SerialsOnLine {
        /// How many.
        serials: usize,
    },
    /// No such line in this basket.
    #[error("This line is no longer in the basket. Look at the basket again.")]
    NoSuchLine,
    /// The scanner read this lot on the pack.
    #[error("The lot of this line was read from the pack. Void the line and scan the pack again.")]
    LotWasRead,
    /// [`LINES_MAX`] reached.
    #[error("A basket holds {LINES_MAX} lines. Take the money for these, then go on with a new basket.")]
    Full,
    /// Nothing to pay for.
    #[error("The basket is empty. Scan a pack first.")]
    Empty,
    /// Less than it costs.
    #[error("{missing} is missing. Ask for the rest, or void a line.")]
    Short {
        /// Total less tendered.
        missing: Money,
    },
    /// More change than any note asks for.
    #[error("{tendered} cannot be right. Type the amount that was handed over.")]
    TooMuch {
        /// As typed.
        tendered: Money,
    },
    /// A price in another currency, or past 64 bits.
    #[error("The amount cannot be booked: {0}. Void the line and call support.")]
    Money(#[from] MoneyError),
}

fn supply_words(supply: Supply) -> &'static str {
    match supply {
        Supply::General | Supply::Pharmacy => "sold over the counter",
        Supply::Prescription => "a prescription medicine",
        Supply::Controlled => "a controlled drug",
    }
}

fn lot_words(lot: Option<&str>) -> String {
    lot.map(|lot| format!(", lot {lot},")).unwrap_or_default()
}

/// A lot that a person may say is the one on the pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LotChoice {
    /// As the maker wrote it.
    pub lot: Lot,
    /// Last day of use.
    pub expiry: Option<Day>,
    /// Packs by the book.
    pub on_hand: Quantity,
    /// It would be refused: it is listed so that the person who reads it on the pack is told why.
    pub blocked: bool,
}
