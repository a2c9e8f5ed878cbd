//! The books as they are kept in a file, but for the many acts and packs, which are kept as bytes beside it
//! ([`super::remembered::bytes`]): lists, since JSON's keys are text.

use pestle_domain::{
    fact::{BoxBooksIncomplete, LotIn, StockOpened},
    ids::{ActId, ProductId, StaffId, TillId},
    stock::LotBalance,
};
use serde::{Deserialize, Serialize};

use super::{
    books::Books,
    records::{Denials, Printable, TillBook},
};
use crate::{cold::book::ColdBook, orders::book::OrderBook};

/// [`Books`] without what they remember of acts and packs. Fields are only ever added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptBooks {
    lots: Vec<(ProductId, Vec<LotBalance>)>,
    tills: Vec<(TillId, TillBook)>,
    prints: Vec<Printable>,
    denials: Vec<(StaffId, Denials)>,
    stock_opened: Vec<ActId>,
    missing: Vec<BoxBooksIncomplete>,
    /// Older agents wrote none: what they kept as missing counts as named.
    #[serde(default)]
    unnamed: Vec<BoxBooksIncomplete>,
    #[serde(default)]
    fetched: Vec<BoxBooksIncomplete>,
    orders: OrderBook,
    /// Older agents wrote none: certificates and troubles are told once more.
    #[serde(default)]
    cold: ColdBook,
}

impl From<&Books> for KeptBooks {
    fn from(books: &Books) -> Self {
        Self {
            lots: books.ledger.iter().map(|(product, lots)| (product.clone(), lots.to_vec())).collect(),
            tills: books.tills.iter().map(|(till, book)| (till.clone(), book.clone())).collect(),
            prints: books.prints.values().cloned().collect(),
            denials: books.denials.iter().map(|(staff, denials)| (staff.clone(), denials.clone())).collect(),
            stock_opened: books.stock_opened.iter().copied().collect(),
            missing: books.missing.clone(),
            unnamed: books.unnamed.clone(),
            fetched: books.fetched.clone(),
            orders: books.orders.clone(),
            cold: books.cold.clone(),
        }
    }
}

impl From<KeptBooks> for Books {
    fn from(kept: KeptBooks) -> Self {
        let mut books = Self {
            tills: kept.tills.into_iter().collect(),
            denials: kept.denials.into_iter().collect(),
            stock_opened: kept.stock_opened.into_iter().collect(),
            missing: kept.missing,
            unnamed: kept.unnamed,
            fetched: kept.fetched,
            orders: kept.orders,
            cold: kept.cold,
            ..Self::default()
        };
        let lines = kept.lots.into_iter().flat_map(|(product, lots)| {
            lots.into_iter().map(move |balance| LotIn {
                product: product.clone(),
                lot: balance.lot,
                expiry: balance.expiry,
                quantity: balance.on_hand,
            })
        });
        // A balance below zero was reported when it came about.
        let _known = books.ledger.apply(&StockOpened { lines: lines.collect() }.into());
        books.prints = kept.prints.into_iter().map(|print| (print.act(), print)).collect();
        books
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_agent_kept_as_missing_is_read_and_counts_as_named() {
        let range = |from, to| BoxBooksIncomplete { epoch: 1, from, to };
        let mut books = Books::default();
        books.note_missing(&range(1, 9));
        let mut kept = serde_json::to_value(KeptBooks::from(&books)).unwrap();
        let whole = Books::from(serde_json::from_value::<KeptBooks>(kept.clone()).unwrap());
        assert_eq!((whole.missing(), whole.unnamed()), (&[range(1, 9)][..], &[range(1, 9)][..]));
        // As it was before the field, and before the one before it.
        for field in ["unnamed", "fetched"] {
            assert!(kept.as_object_mut().unwrap().remove(field).is_some(), "{field}");
            let old = Books::from(serde_json::from_value::<KeptBooks>(kept.clone()).unwrap());
            assert_eq!((old.missing(), old.unnamed()), (&[range(1, 9)][..], &[][..]));
        }
    }
}
