//! What must have changed in the world, kept by the one who did it. Pure.

use std::collections::BTreeMap;

use crate::counter::{Receipt, Sale};
use crate::demo_data::Article;

/// Packs by article, over all lots.
pub type Stock = BTreeMap<String, i64>;

/// The opening stock of a branch as the demo's files have it. `branch` counts as in [`crate::demo_data::BRANCHES`].
pub fn opening(articles: &[Article], branch: usize) -> Stock {
    let packs = |article: &Article| article.lots.iter().map(|lot| i64::from(lot.quantity[branch])).sum();
    articles
        .iter()
        .map(|article| (article.id.clone(), packs(article)))
        .filter(|(_, packs)| *packs > 0)
        .collect()
}

/// One sale as it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// Its receipt.
    pub receipt: Receipt,
    /// Its act, which its receipt carries as a QR code.
    pub act: String,
    /// What it came to, in cents.
    pub total_cents: i64,
    /// Names on the receipt.
    pub names: Vec<String>,
    /// What came out of the printer.
    pub paper: Paper,
}

/// What must have come out of the printer for a sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paper {
    /// Exactly one whole receipt.
    One,
    /// Power went while it was printed: none or one, never two (I9: what is unknown is not printed again by itself).
    AtMostOne,
}

/// What the branch must have now.
#[derive(Debug, Clone)]
pub struct Expected {
    /// By article.
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
    pub fn sold(&mut self, packs: &[(&Article, i64)], sale: &Sale, paper: Paper) {
        for (article, quantity) in packs {
            let on_hand = self.stock.entry(article.id.clone()).or_default();
            // Invariant I5: a pack that the book does not have is found by the act that sells it.
            *on_hand = (*on_hand - quantity).max(0);
        }
        self.sales.push(Made {
            receipt: sale.receipt.clone(),
            act: sale.act.to_string(),
            total_cents: sale.total.minor,
            names: packs.iter().map(|(article, _)| article.name.clone()).collect(),
            paper,
        });
    }

    /// What all sales came to.
    pub fn total_cents(&self) -> i64 {
        self.sales.iter().map(|sale| sale.total_cents).sum()
    }
}

/// Articles whose packs are not as they must be: article, wanted, found.
pub fn differences(wanted: &Stock, found: &Stock) -> Vec<(String, i64, i64)> {
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

    fn receipt(epoch: u32, number: u64) -> Receipt {
        Receipt { till: "till-1".to_owned(), epoch, number }
    }

    #[test]
    fn a_difference_is_seen_on_either_side() {
        let stock =
            |pairs: &[(&str, i64)]| pairs.iter().map(|(id, packs)| ((*id).to_owned(), *packs)).collect();
        let wanted: Stock = stock(&[("a", 1), ("b", 2), ("zero", 0)]);
        let found: Stock = stock(&[("a", 1), ("b", 3), ("c", 1)]);
        assert_eq!(differences(&wanted, &found), [("b".to_owned(), 2, 3), ("c".to_owned(), 0, 1)]);
        assert!(differences(&found, &found).is_empty());
    }

    #[test]
    fn gaps_and_doubles_in_the_receipt_numbers_are_seen() {
        assert!(numbering_faults([receipt(1, 1), receipt(1, 2), receipt(2, 9)].into_iter()).is_empty());
        assert_eq!(numbering_faults([receipt(1, 1), receipt(1, 3)].into_iter()).len(), 1);
        assert_eq!(numbering_faults([receipt(1, 1), receipt(1, 1)].into_iter()).len(), 1);
    }
}
