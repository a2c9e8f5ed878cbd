//! What must have changed in the world, kept by the one who did it. Pure.

use std::collections::BTreeMap;

use crate::counter::{Receipt, Sale};
use crate::demo_data::{Article, LotState};

/// Packs by article and lot; the lot is empty where nobody knows it.
pub type Stock = BTreeMap<(String, String), i64>;

/// The opening stock of a branch as the demo's files have it. `branch` counts as in [`crate::demo_data::BRANCHES`].
pub fn opening(articles: &[Article], branch: usize) -> Stock {
    let lots = articles.iter().flat_map(|article| article.lots.iter().map(move |lot| (article, lot)));
    lots.map(|(article, lot)| ((article.id.clone(), lot.lot.clone()), i64::from(lot.quantity[branch])))
        .filter(|(_, packs)| *packs > 0)
        .collect()
}

/// Packs of one article that go over the counter together.
#[derive(Debug, Clone, Copy)]
pub struct Sold<'a> {
    /// Which.
    pub article: &'a Article,
    /// The lot, where a DataMatrix named it; an EAN-13 does not.
    pub lot: Option<&'a str>,
    /// How many.
    pub quantity: i64,
}

/// One line of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoldLine {
    /// The article's number.
    pub article: String,
    /// Its lot, where it was read.
    pub lot: Option<String>,
    /// As printed.
    pub name: String,
    /// Packs.
    pub quantity: i64,
    /// Of one pack, in cents.
    pub unit_cents: i64,
    /// The rate inside, in basis points.
    pub tax: u32,
}

/// One sale as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its receipt.
    pub receipt: Receipt,
    /// Its act, which its receipt carries as a QR code.
    pub act: String,
    /// What was sold, in the order of the scans.
    pub lines: Vec<SoldLine>,
    /// What it came to, in cents.
    pub total_cents: i64,
    /// What was handed over, in cents.
    pub tendered_cents: i64,
    /// What was handed back, in cents.
    pub change_cents: i64,
    /// What came out of the printer.
    pub paper: Paper,
}

/// What must have come out of the printer for a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paper {
    /// Exactly one whole receipt, and no copy.
    One,
    /// Power went while it was printed: one whole receipt, or none and then a copy that a person asked for; never two
    /// (I9: what is unknown is not printed again by itself).
    OneOrCopy,
}

/// What the branch must have now.
#[derive(Debug, Clone)]
pub struct Expected {
    /// By article and lot.
    pub stock: Stock,
    /// In the order in which they were made.
    pub sales: Vec<Made>,
}

impl Expected {
    /// Before the first sale.
    pub fn new(stock: Stock) -> Self {
        Self { stock, sales: vec![] }
    }

    /// A sale counts: takes the packs off, and notes its receipt.
    pub fn sold(&mut self, packs: &[Sold<'_>], sale: &Sale, paper: Paper) {
        // A pack whose lot was read takes its own first; then the others take what expires first.
        for named in [true, false] {
            for pack in packs.iter().filter(|pack| pack.lot.is_some() == named) {
                self.take(pack);
            }
        }
        self.sales.push(Made {
            receipt: sale.receipt.clone(),
            act: sale.act.to_string(),
            lines: lines_of(packs),
            total_cents: sale.total.minor,
            tendered_cents: sale.tendered.minor,
            change_cents: sale.change.minor,
            paper,
        });
    }

    /// Invariant I5: a pack that the book does not have is found by the act that sells it, so no lot goes below zero.
    fn take(&mut self, pack: &Sold<'_>) {
        let id = &pack.article.id;
        if let Some(lot) = pack.lot {
            let on_hand = self.stock.entry((id.clone(), lot.to_owned())).or_default();
            *on_hand = (*on_hand - pack.quantity).max(0);
            return;
        }
        let mut good: Vec<_> = pack.article.lots.iter().filter(|lot| lot.state == LotState::Good).collect();
        good.sort_by(|one, other| (&one.expiry, &one.lot).cmp(&(&other.expiry, &other.lot)));
        let mut left = pack.quantity;
        for lot in good {
            if let Some(on_hand) = self.stock.get_mut(&(id.clone(), lot.lot.clone())) {
                let part = left.min(*on_hand);
                *on_hand -= part;
                left -= part;
            }
        }
    }

    /// Packs of an article, over all lots.
    pub fn on_hand(&self, article: &Article) -> i64 {
        self.stock.iter().filter(|((id, _), _)| *id == article.id).map(|(_, packs)| packs).sum()
    }

    /// Packs of one lot.
    pub fn on_hand_of(&self, article: &Article, lot: &str) -> i64 {
        self.stock.get(&(article.id.clone(), lot.to_owned())).copied().unwrap_or(0)
    }

    /// What all sales came to.
    pub fn total_cents(&self) -> i64 {
        self.sales.iter().map(|sale| sale.total_cents).sum()
    }

    /// Packs of all sales.
    pub fn packs(&self) -> i64 {
        self.sales.iter().flat_map(|sale| &sale.lines).map(|line| line.quantity).sum()
    }
}

/// Packs of one article and one lot share a line.
fn lines_of(packs: &[Sold<'_>]) -> Vec<SoldLine> {
    let mut lines: Vec<SoldLine> = Vec::new();
    for pack in packs {
        let same = |line: &&mut SoldLine| line.article == pack.article.id && line.lot.as_deref() == pack.lot;
        match lines.iter_mut().find(same) {
            Some(line) => line.quantity += pack.quantity,
            None => lines.push(SoldLine {
                article: pack.article.id.clone(),
                lot: pack.lot.map(str::to_owned),
                name: pack.article.name.clone(),
                quantity: pack.quantity,
                unit_cents: i64::from(pack.article.price_cents),
                tax: pack.article.tax,
            }),
        }
    }
    lines
}

/// Lots whose packs are not as they must be: article and lot, wanted, found.
pub fn differences(wanted: &Stock, found: &Stock) -> Vec<((String, String), i64, i64)> {
    let all = wanted.keys().chain(found.keys()).collect::<std::collections::BTreeSet<_>>();
    all.into_iter()
        .map(|id| {
            let packs = |stock: &Stock| stock.get(id).copied().unwrap_or(0);
            (id.clone(), packs(wanted), packs(found))
        })
        .filter(|(_, wanted, found)| wanted != found)
        .collect()
}

/// Receipt numbers that stand there twice, and gaps between them, within each till and epoch.
pub fn numbering_faults(receipts: impl Iterator<Item = Receipt>) -> Vec<String> {
    let mut rows: BTreeMap<(String, u32), Vec<u64>> = BTreeMap::new();
    for receipt in receipts {
        rows.entry((receipt.till, receipt.epoch)).or_default().push(receipt.number);
    }
    let mut faults = Vec::new();
    for ((till, epoch), mut numbers) in rows {
        numbers.sort_unstable();
        for pair in numbers.windows(2) {
            match pair[1] - pair[0] {
                0 => faults.push(format!("{till}/{epoch}/{} stands there twice", pair[0])),
                1 => {}
                _ => faults.push(format!("nothing between {till}/{epoch}/{} and {}", pair[0], pair[1])),
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo_data::articles;

    fn receipt(epoch: u32, number: u64) -> Receipt {
        Receipt { till: "till-1".to_owned(), epoch, number }
    }

    fn stock(lots: &[(&str, &str, i64)]) -> Stock {
        lots.iter().map(|(id, lot, packs)| (((*id).to_owned(), (*lot).to_owned()), *packs)).collect()
    }

    #[test]
    fn a_difference_is_seen_on_either_side_and_in_the_lot_alone() {
        let wanted = stock(&[("a", "x", 1), ("b", "x", 2), ("zero", "x", 0)]);
        let found = stock(&[("a", "y", 1), ("b", "x", 2)]);
        let lot = |lot: &str| ("a".to_owned(), lot.to_owned());
        assert_eq!(differences(&wanted, &found), [(lot("x"), 1, 0), (lot("y"), 0, 1)]);
        assert!(differences(&found, &found).is_empty());
    }

    /// An article with two good lots, and those lots in the order of their last days.
    fn two_lots() -> (Article, String, String) {
        let article = articles().into_iter().find(|article| article.lots.len() == 2).unwrap();
        let mut lots = article.lots.clone();
        lots.sort_by(|one, other| one.expiry.cmp(&other.expiry));
        (article, lots[0].lot.clone(), lots[1].lot.clone())
    }

    #[test]
    fn a_pack_without_lot_takes_what_expires_first_after_those_whose_lot_was_read() {
        let (article, soon, late) = two_lots();
        let mut expected = Expected::new(stock(&[(&article.id, &soon, 2), (&article.id, &late, 5)]));
        let packs = |lot, quantity| Sold { article: &article, lot, quantity };
        let sale = |packs: &[Sold<'_>], expected: &mut Expected| {
            let cents = |minor| pestle_domain::money::Money::new(minor, pestle_domain::money::Currency::EUR);
            let sale = Sale {
                act: pestle_domain::ids::ActId(uuid::Uuid::nil()),
                receipt: receipt(1, 1),
                total: cents(1),
                tendered: cents(1),
                change: cents(0),
                print: String::new(),
            };
            expected.sold(packs, &sale, Paper::One);
        };
        // The reading of the lot comes last in the basket, and takes first in the book.
        sale(&[packs(None, 2), packs(Some(&soon), 1)], &mut expected);
        assert_eq!((expected.on_hand_of(&article, &soon), expected.on_hand_of(&article, &late)), (0, 4));
        sale(&[packs(None, 9)], &mut expected);
        assert_eq!(expected.on_hand(&article), 0, "what the book does not have is found");
        assert_eq!(expected.packs(), 12);
        assert_eq!(lines_of(&[packs(None, 1), packs(Some(&soon), 1), packs(None, 1)]).len(), 2);
    }

    #[test]
    fn gaps_and_doubles_in_the_receipt_numbers_are_seen() {
        assert!(numbering_faults([receipt(1, 1), receipt(1, 2), receipt(2, 9)].into_iter()).is_empty());
        assert_eq!(numbering_faults([receipt(1, 1), receipt(1, 3)].into_iter()).len(), 1);
        assert_eq!(numbering_faults([receipt(1, 1), receipt(1, 1)].into_iter()).len(), 1);
    }
}
