//! The books as they are kept in a file: lists, since JSON's keys are text.

use pestle_domain::{
    fact::{LotIn, ReceiptNumber, StockOpened},
    ids::{ActId, ProductId, StaffId, TillId},
    stock::LotBalance,
};
use serde::{Deserialize, Serialize};

use super::{
    books::Books,
    records::{Denials, Done, Printable, TillBook},
};
use crate::orders::book::OrderBook;

/// [`Books`] as they are kept in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeptBooks {
    lots: Vec<(ProductId, Vec<LotBalance>)>,
    tills: Vec<(TillId, TillBook)>,
    acts: Vec<(ActId, Done)>,
    serials: Vec<(ProductId, Box<str>, ReceiptNumber)>,
    prints: Vec<Printable>,
    denials: Vec<(StaffId, Denials)>,
    orders: OrderBook,
}

impl From<&Books> for KeptBooks {
    fn from(books: &Books) -> Self {
        let acts = books.acts_in_order.iter().filter_map(|act| Some((*act, books.acts.get(act)?.clone())));
        let serials = books.serials_in_order.iter().filter_map(|(product, serial)| {
            Some((product.clone(), serial.clone(), books.sold(product, serial)?.clone()))
        });
        Self {
            lots: books.ledger.iter().map(|(product, lots)| (product.clone(), lots.to_vec())).collect(),
            tills: books.tills.iter().map(|(till, book)| (till.clone(), book.clone())).collect(),
            acts: acts.collect(),
            serials: serials.collect(),
            prints: books.prints.values().cloned().collect(),
            denials: books.denials.iter().map(|(staff, denials)| (staff.clone(), denials.clone())).collect(),
            orders: books.orders.clone(),
        }
    }
}

impl From<KeptBooks> for Books {
    fn from(kept: KeptBooks) -> Self {
        let mut books = Self {
            tills: kept.tills.into_iter().collect(),
            denials: kept.denials.into_iter().collect(),
            orders: kept.orders,
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
        for (act, done) in kept.acts {
            books.remember(act, done);
        }
        for (product, serial, receipt) in kept.serials {
            books.remember_serial(&product, &serial, &receipt);
        }
        books.prints = kept.prints.into_iter().map(|print| (print.act(), print)).collect();
        books
    }
}
