//! The demo's catalogue, recalls, people and opening stock: about 200 packs that look like a pharmacy's, made by rule from the
//! table in [`medicines`], so that two runs of the generator give the same bytes.
//!
//! The pack numbers are GTIN-13 under GS1's demonstration prefix 952, which no real article bears. The files in
//! `hil-tests/data/` are this module's output ([`files`]); a test compares them.

mod csv;
mod medicines;

use std::sync::atomic::{AtomicU64, Ordering};

use pestle_domain::catalogue::{Storage, Supply};
use pestle_domain::gs1::check::check_digit;

use medicines::{Kind, MEDICINES, Medicine};

pub use csv::{File, file, files};

/// GS1's demonstration prefix and a company number of our choice: the first seven digits of each GTIN-13.
const COMPANY: &str = "9520123";

/// Value-added tax inside the price, in basis points: medicines, and other goods.
const TAX_MEDICINE: u32 = 700;
const TAX_GOODS: u32 = 1_900;

/// Substances that are sold without prescription, but by or under a pharmacist.
const PHARMACY_ONLY: &[&str] = &[
    "Aciclovir",
    "Beclometasone",
    "Chlorphenamine",
    "Clotrimazole",
    "Dextromethorphan",
    "Fluconazole",
    "Hydrocortisone",
    "Levonorgestrel",
    "Minoxidil",
    "Naproxen",
    "Omeprazole",
];

/// The two branches of the demo.
pub const BRANCHES: [&str; 2] = ["north", "south"];

/// One article with its lots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Article {
    /// The chain's own number: `p0001`.
    pub id: String,
    /// GTIN-13.
    pub gtin: String,
    /// As on the receipt.
    pub name: String,
    /// Of one pack, in euro cents, tax included.
    pub price_cents: u32,
    /// In basis points.
    pub tax: u32,
    /// Who may have it.
    pub supply: Supply,
    /// How it is kept.
    pub storage: Storage,
    /// Its lots, good ones first.
    pub lots: Vec<DemoLot>,
}

/// One lot of an article.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoLot {
    /// As printed on the pack.
    pub lot: String,
    /// Last day of use, `YYYY-MM-DD`.
    pub expiry: String,
    /// Why one would scan it.
    pub state: LotState,
    /// Opening stock, in packs, in the order of [`BRANCHES`].
    pub quantity: [u32; 2],
}

/// Whether a lot may be sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LotState {
    /// It may.
    Good,
    /// Past its last day of use.
    Expired,
    /// Called back by its maker.
    Recalled,
}

impl Article {
    /// Whether a counter sale may carry it.
    pub fn sold_at_counter(&self) -> bool {
        self.supply.sold_at_counter()
    }

    /// The first lot in that state.
    pub fn lot(&self, state: LotState) -> Option<&DemoLot> {
        self.lots.iter().find(|lot| lot.state == state)
    }

    /// What a GS1 DataMatrix on a pack of this lot says, as a scanner sends it: symbology identifier, GTIN, expiry,
    /// lot, FNC1, serial number (GS1 General Specifications, 3 and 5.6).
    pub fn data_matrix(&self, lot: &DemoLot, serial: &str) -> String {
        let expiry = lot.expiry[2..].replace('-', "");
        format!("]d2010{}17{expiry}10{}\u{1d}21{serial}", self.gtin, lot.lot)
    }

    /// What an EAN-13 on a pack says, with its symbology identifier.
    pub fn ean13(&self) -> String {
        format!("]E0{}", self.gtin)
    }
}

/// All articles, in the order of their numbers.
pub fn articles() -> Vec<Article> {
    let lines = MEDICINES
        .iter()
        .flat_map(|medicine| medicine.packs.iter().map(move |pack| (medicine, pack)))
        .zip(1_u32..);
    lines.map(|((medicine, pack), number)| article(medicine, *pack, number)).collect()
}

fn article(medicine: &Medicine, (strength, units, price_cents): (&str, u32, u32), number: u32) -> Article {
    let body = format!("{COMPANY}{number:05}");
    let gtin = format!("{body}{}", char::from(check_digit(body.as_bytes())));
    let amount = match medicine.form {
        "tablet"
        | "capsule"
        | "chewable tablet"
        | "effervescent tablet"
        | "patch"
        | "lozenge"
        | "powder"
        | "chewing gum"
        | "inhalation capsule" => format!(", {units} pcs"),
        _ if units == 1 => String::new(),
        "pre-filled pen" | "cartridge" | "pre-filled syringe" | "dressing" | "device" | "solution" => {
            format!(", {units} pcs")
        }
        "inhaler" | "nasal spray" if units >= 60 => format!(", {units} doses"),
        "cream" | "gel" | "ointment" => format!(", {units} g"),
        _ => format!(", {units} ml"),
    };
    Article {
        id: format!("p{number:04}"),
        gtin,
        name: format!("{} {strength} {}{amount}", medicine.name, medicine.form),
        price_cents,
        tax: if medicine.kind == Kind::Goods { TAX_GOODS } else { TAX_MEDICINE },
        supply: match medicine.kind {
            Kind::Otc if PHARMACY_ONLY.contains(&medicine.name) => Supply::Pharmacy,
            Kind::Otc | Kind::Goods => Supply::General,
            Kind::Rx | Kind::RxCold => Supply::Prescription,
            Kind::Controlled => Supply::Controlled,
        },
        storage: if medicine.kind == Kind::RxCold { Storage::Cold } else { Storage::Ambient },
        lots: lots(medicine.kind, number),
    }
}

/// One to three good lots; every ninth article has an expired one beside them, every twenty-fifth a recalled one.
fn lots(kind: Kind, number: u32) -> Vec<DemoLot> {
    let largest = match kind {
        Kind::Otc | Kind::Goods => 60,
        Kind::Rx => 40,
        Kind::RxCold | Kind::Controlled => 8,
    };
    let mut lots = Vec::new();
    for index in 0..=number % 3 {
        let dice = Dice::new(number, index);
        lots.push(DemoLot {
            lot: lot_code(&dice),
            expiry: last_day(2029 + dice.up_to(1, 3), 1 + dice.up_to(2, 12)),
            state: LotState::Good,
            quantity: [4 + dice.up_to(3, largest), 2 + dice.up_to(4, largest)],
        });
    }
    for (every, index, state) in [(9, 10, LotState::Expired), (25, 11, LotState::Recalled)] {
        if number % every == 4 {
            let dice = Dice::new(number, index);
            let year = if state == LotState::Expired { 2024 } else { 2029 };
            lots.push(DemoLot {
                lot: lot_code(&dice),
                expiry: last_day(year, 1 + dice.up_to(2, 12)),
                state,
                quantity: [1 + dice.up_to(3, 4), dice.up_to(4, 3)],
            });
        }
    }
    lots
}

/// A letter, two digits, a letter, two digits, as many makers number their lots.
fn lot_code(dice: &Dice) -> String {
    let letter = |index| char::from(b"ABCDEFGHJKLMNPRSTUVWXYZ"[dice.up_to(index, 23) as usize]);
    format!("{}{:02}{}{:02}", letter(5), dice.up_to(6, 100), letter(7), dice.up_to(8, 100))
}

fn last_day(year: u32, month: u32) -> String {
    let day = match month {
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    format!("{year}-{month:02}-{day}")
}

/// Serial numbers of packs, each given once: a real pack's serial number is its own, and a counter refuses it twice.
#[derive(Debug)]
pub struct Serials {
    begun_ms: u128,
    given: AtomicU64,
}

impl Serials {
    /// A row that no earlier run has used, because it begins with the time.
    pub fn since_now() -> Self {
        let begun = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self { begun_ms: begun.as_millis(), given: AtomicU64::new(0) }
    }

    /// The next one.
    pub fn next(&self) -> String {
        format!("S{}N{}", self.begun_ms, self.given.fetch_add(1, Ordering::Relaxed))
    }
}

/// Numbers that look random and are the same in each run: SplitMix64 (Steele, Lea and Flood, 2014) of what is asked.
struct Dice {
    seed: u64,
}

impl Dice {
    fn new(number: u32, index: u32) -> Self {
        Self { seed: (u64::from(number) << 32) | u64::from(index) }
    }

    /// The `index`-th throw, at least 0 and below `end`.
    fn up_to(&self, index: u32, end: u32) -> u32 {
        let mut bits = self
            .seed
            .wrapping_mul(31)
            .wrapping_add(u64::from(index))
            .wrapping_add(1)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((bits ^ (bits >> 31)) % u64::from(end.max(1))).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn there_are_two_hundred_articles_with_numbers_of_their_own() {
        let all = articles();
        assert_eq!(all.len(), 200);
        let gtins = all.iter().map(|article| article.gtin.as_str()).collect::<HashSet<_>>();
        let names = all.iter().map(|article| article.name.as_str()).collect::<HashSet<_>>();
        assert_eq!((gtins.len(), names.len()), (200, 200));
        for article in &all {
            assert!(article.gtin.starts_with("952") && article.gtin.len() == 13);
            assert_eq!(check_digit(&article.gtin.as_bytes()[..12]), article.gtin.as_bytes()[12]);
        }
    }

    #[test]
    fn no_article_has_two_lots_of_one_name() {
        for article in articles() {
            let lots = article.lots.iter().map(|lot| &lot.lot).collect::<HashSet<_>>();
            assert_eq!(lots.len(), article.lots.len(), "{}", article.name);
        }
    }

    #[test]
    fn the_shelf_has_everything_that_a_counter_can_meet() {
        let all = articles();
        let count = |wanted: &dyn Fn(&Article) -> bool| all.iter().filter(|article| wanted(article)).count();
        assert!(count(&|article| article.sold_at_counter()) > 80);
        assert!(count(&|article| article.supply == Supply::Controlled) > 5);
        assert!(count(&|article| article.storage == Storage::Cold) > 5);
        assert!(count(&|article| article.sold_at_counter() && article.lot(LotState::Expired).is_some()) > 5);
        assert!(count(&|article| article.sold_at_counter() && article.lot(LotState::Recalled).is_some()) > 2);
    }
}
