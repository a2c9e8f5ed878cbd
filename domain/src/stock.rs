//! The stock ledger: what each fact does to the book, and which lots a sale takes.
//!
//! [`deltas`] is the one rule. The branch sums it in memory ([`Ledger`]), the centre in its database: both must show
//! the same figure. The ledger is total: it never refuses a fact of the past, it reports a [`Discrepancy`].

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{
    fact::{AdjustReason, FactBody, Lot, LotMove, Provenance, StockAdjusted},
    ids::ProductId,
    units::{Day, Quantity},
};

/// What one fact adds to the book of one lot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta<'a> {
    /// The article.
    pub product: &'a ProductId,
    /// The lot; `None` for packs of which nobody knows it.
    pub lot: Option<&'a Lot>,
    /// Last day of use, where the fact tells it.
    pub expiry: Option<Day>,
    /// Added to what is on hand.
    pub on_hand: Quantity,
}

/// What `fact` does to the book; empty for facts that are none of stock's.
pub fn deltas(fact: &FactBody) -> Vec<Delta<'_>> {
    match fact {
        FactBody::StockOpened(crate::fact::StockOpened { lines })
        | FactBody::StockReceived(crate::fact::StockReceived { lines, .. }) => lines
            .iter()
            .map(|line| Delta {
                product: &line.product,
                lot: line.lot.as_ref(),
                expiry: line.expiry,
                on_hand: line.quantity,
            })
            .collect(),
        FactBody::StockSold(sold) => sold
            .moves
            .iter()
            .map(|one| Delta {
                product: &one.product,
                lot: one.lot.as_ref(),
                expiry: None,
                on_hand: -one.quantity,
            })
            .collect(),
        FactBody::StockAdjusted(adjusted) => vec![Delta {
            product: &adjusted.product,
            lot: adjusted.lot.as_ref(),
            expiry: None,
            on_hand: adjusted.delta,
        }],
        FactBody::StockCounted(counted) => vec![Delta {
            product: &counted.product,
            lot: counted.lot.as_ref(),
            expiry: None,
            on_hand: counted.difference,
        }],
        _ => Vec::new(),
    }
}

/// What the book says of one lot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LotBalance {
    /// The lot; `None` for packs of which nobody knows it.
    pub lot: Option<Lot>,
    /// Last day of use.
    pub expiry: Option<Day>,
    /// Packs. Below zero where the book is wrong.
    pub on_hand: Quantity,
}

/// The book cannot be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Discrepancy {
    /// More left than was there.
    BelowZero {
        /// The article.
        product: ProductId,
        /// The lot.
        lot: Option<Lot>,
        /// What the book says now.
        on_hand: Quantity,
    },
    /// Two facts give one lot different last days; the earlier day is kept.
    ExpiryDisagrees {
        /// The article.
        product: ProductId,
        /// The lot.
        lot: Option<Lot>,
    },
}

/// The branch's book in memory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    lots: HashMap<ProductId, Vec<LotBalance>>,
}

impl Ledger {
    /// Books `fact`.
    pub fn apply(&mut self, fact: &FactBody) -> Vec<Discrepancy> {
        let mut found = Vec::new();
        for delta in deltas(fact) {
            self.add(&delta, &mut found);
        }
        found
    }

    fn add(&mut self, delta: &Delta<'_>, found: &mut Vec<Discrepancy>) {
        if !self.lots.contains_key(delta.product) {
            self.lots.insert(delta.product.clone(), Vec::new());
        }
        let Some(lots) = self.lots.get_mut(delta.product) else { return };
        let index = match lots.iter().position(|balance| balance.lot.as_ref() == delta.lot) {
            Some(index) => index,
            None => {
                lots.push(LotBalance {
                    lot: delta.lot.cloned(),
                    expiry: delta.expiry,
                    on_hand: Quantity::ZERO,
                });
                lots.len() - 1
            }
        };
        let balance = &mut lots[index];
        balance.on_hand += delta.on_hand;
        if let (Some(kept), Some(told)) = (balance.expiry, delta.expiry)
            && kept != told
        {
            found.push(Discrepancy::ExpiryDisagrees {
                product: delta.product.clone(),
                lot: delta.lot.cloned(),
            });
        }
        balance.expiry = [balance.expiry, delta.expiry].into_iter().flatten().min();
        if balance.on_hand < Quantity::ZERO && delta.on_hand < Quantity::ZERO {
            found.push(Discrepancy::BelowZero {
                product: delta.product.clone(),
                lot: delta.lot.cloned(),
                on_hand: balance.on_hand,
            });
        }
    }

    /// Packs of all lots.
    pub fn on_hand(&self, product: &ProductId) -> Quantity {
        self.lots(product).iter().map(|balance| balance.on_hand).sum()
    }

    /// All lots of an article that the book knows, empty ones among them.
    pub fn lots(&self, product: &ProductId) -> &[LotBalance] {
        self.lots.get(product).map_or(&[], Vec::as_slice)
    }

    /// Every article with its lots, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&ProductId, &[LotBalance])> {
        self.lots.iter().map(|(product, lots)| (product, lots.as_slice()))
    }

    /// The last day of use of a lot.
    pub fn expiry(&self, product: &ProductId, lot: &str) -> Option<Day> {
        self.lots(product)
            .iter()
            .find(|balance| balance.lot.as_deref() == Some(lot))
            .and_then(|balance| balance.expiry)
    }
}

/// What a sale asks of the book.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The article.
    pub product: &'a ProductId,
    /// The lot, where somebody knows it, and from where.
    pub lot: Option<(&'a Lot, Provenance)>,
    /// Packs; above zero.
    pub quantity: Quantity,
    /// Serial numbers that were scanned.
    pub serials: &'a [Box<str>],
}

/// What a sale takes from the book.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// By lot; their sum is what was wanted.
    pub moves: Vec<LotMove>,
    /// Packs in the hand that the book did not have, to be booked before the moves.
    pub finds: Vec<StockAdjusted>,
}

impl Ledger {
    /// Decides which lots give what is wanted. `usable` says whether a lot may be sold at all (not expired, not
    /// recalled).
    ///
    /// A lot that somebody read from the pack is booked as read. Otherwise the usable lot that expires first gives
    /// first (FEFO). What the book lacks was found: a pack in the hand is sold (invariant I5), the find is recorded
    /// and a count wanted.
    pub fn take(&self, wanted: &Wanted<'_>, usable: impl Fn(&LotBalance) -> bool) -> Taken {
        let mut taken = Taken::default();
        if let Some((lot, provenance)) = wanted.lot {
            let on_hand = self
                .lots(wanted.product)
                .iter()
                .find(|balance| balance.lot.as_ref() == Some(lot))
                .map_or(Quantity::ZERO, |balance| balance.on_hand);
            taken.book(wanted, Some(lot), provenance, wanted.quantity, on_hand);
        } else {
            let mut left = wanted.quantity;
            let mut lots: Vec<_> = self
                .lots(wanted.product)
                .iter()
                .filter(|balance| balance.on_hand > Quantity::ZERO && usable(balance))
                .collect();
            lots.sort_by_key(|balance| (balance.expiry.is_none(), balance.expiry, balance.lot.clone()));
            for balance in lots {
                let part = left.min(balance.on_hand);
                if part > Quantity::ZERO {
                    let provenance =
                        if balance.lot.is_some() { Provenance::AssumedFefo } else { Provenance::Unknown };
                    taken.book(wanted, balance.lot.as_ref(), provenance, part, part);
                    left = left - part;
                }
            }
            if left > Quantity::ZERO {
                taken.book(wanted, None, Provenance::Unknown, left, Quantity::ZERO);
            }
        }
        if let Some(first) = taken.moves.first_mut() {
            first.serials = wanted.serials.to_vec();
        }
        taken
    }
}

impl Taken {
    fn book(
        &mut self,
        wanted: &Wanted<'_>,
        lot: Option<&Lot>,
        provenance: Provenance,
        quantity: Quantity,
        on_hand: Quantity,
    ) {
        self.moves.push(LotMove {
            product: wanted.product.clone(),
            lot: lot.cloned(),
            provenance,
            quantity,
            serials: Vec::new(),
        });
        let short = quantity - on_hand.max(Quantity::ZERO);
        if short > Quantity::ZERO {
            self.finds.push(StockAdjusted {
                product: wanted.product.clone(),
                lot: lot.cloned(),
                delta: short,
                reason: AdjustReason::FoundAtSale,
                count_wanted: true,
                note: "".into(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fact::{LotIn, ReceiptNumber, StockOpened, StockSold},
        ids::TillId,
    };
    use proptest::prelude::*;

    fn product() -> ProductId {
        "p-1".parse().unwrap()
    }

    fn lot_in(lot: Option<&str>, expiry: &str, quantity: i64) -> LotIn {
        LotIn {
            product: product(),
            lot: lot.map(Into::into),
            expiry: Some(expiry.parse().unwrap()),
            quantity: Quantity(quantity),
        }
    }

    fn ledger(lines: Vec<LotIn>) -> Ledger {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.apply(&StockOpened { lines }.into()), []);
        ledger
    }

    fn wanted<'a>(product: &'a ProductId, quantity: i64) -> Wanted<'a> {
        Wanted { product, lot: None, quantity: Quantity(quantity), serials: &[] }
    }

    fn receipt() -> ReceiptNumber {
        ReceiptNumber { till: "till-1".parse::<TillId>().unwrap(), epoch: 1, number: 1 }
    }

    #[test]
    fn the_lot_that_expires_first_gives_first_and_blocked_ones_give_nothing() {
        let ledger = ledger(vec![
            lot_in(Some("LATE"), "2028-01-01", 5),
            lot_in(Some("BAD"), "2026-01-01", 5),
            lot_in(Some("SOON"), "2027-01-01", 2),
        ]);
        let id = product();
        let taken = ledger.take(&wanted(&id, 3), |balance| balance.lot.as_deref() != Some("BAD"));
        let moves: Vec<_> =
            taken.moves.iter().map(|one| (one.lot.as_deref(), one.quantity.0, one.provenance)).collect();
        assert_eq!(
            moves,
            [(Some("SOON"), 2, Provenance::AssumedFefo), (Some("LATE"), 1, Provenance::AssumedFefo)]
        );
        assert_eq!(taken.finds, []);
    }

    #[test]
    fn a_pack_in_the_hand_is_sold_when_the_book_has_none_and_a_count_is_wanted() {
        let mut ledger = ledger(vec![lot_in(Some("A"), "2027-01-01", 1)]);
        let id = product();
        let lot: Lot = "A".into();
        let wanted = Wanted { lot: Some((&lot, Provenance::Scanned)), ..wanted(&id, 3) };
        let taken = ledger.take(&wanted, |_| true);
        assert_eq!(taken.finds.len(), 1);
        assert_eq!((taken.finds[0].delta, taken.finds[0].count_wanted), (Quantity(2), true));
        for find in taken.finds {
            assert_eq!(ledger.apply(&find.into()), []);
        }
        assert_eq!(ledger.apply(&StockSold { receipt: receipt(), moves: taken.moves }.into()), []);
        assert_eq!(ledger.on_hand(&id), Quantity::ZERO);
    }

    #[test]
    fn a_fact_of_the_past_is_booked_even_when_the_book_goes_below_zero() {
        let mut ledger = Ledger::default();
        let one = LotMove {
            product: product(),
            lot: None,
            provenance: Provenance::Unknown,
            quantity: Quantity(2),
            serials: vec![],
        };
        let found = ledger.apply(&StockSold { receipt: receipt(), moves: vec![one] }.into());
        assert!(matches!(found[..], [Discrepancy::BelowZero { on_hand: Quantity(-2), .. }]));
        assert_eq!(ledger.on_hand(&product()), Quantity(-2));
    }

    proptest! {
        #[test]
        fn what_is_taken_is_what_was_wanted_and_never_leaves_the_book_negative(
            stock in proptest::collection::vec((0u8..4, 0i64..9), 0..6), quantity in 1i64..20, block in 0u8..5,
        ) {
            let mut ledger = Ledger::default();
            let lines = stock.iter().map(|(lot, packs)| lot_in(Some(&format!("L{lot}")), "2027-05-05", *packs)).collect();
            ledger.apply(&StockOpened { lines }.into());
            let id = product();
            let before = ledger.on_hand(&id);
            let blocked = format!("L{block}");
            let taken = ledger.take(&wanted(&id, quantity), |balance| balance.lot.as_deref() != Some(&blocked));
            prop_assert_eq!(taken.moves.iter().map(|one| one.quantity).sum::<Quantity>(), Quantity(quantity));
            prop_assert!(taken.moves.iter().all(|one| one.lot.as_deref() != Some(&blocked)));
            let found: Quantity = taken.finds.iter().map(|find| find.delta).sum();
            for find in taken.finds {
                ledger.apply(&find.into());
            }
            prop_assert_eq!(ledger.apply(&StockSold { receipt: receipt(), moves: taken.moves }.into()), vec![]);
            prop_assert_eq!(ledger.on_hand(&id), before + found - Quantity(quantity));
        }
    }
}
