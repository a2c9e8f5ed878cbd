//! What facts do to the centre's stock, gathered for one transaction. Pure; the rule itself is the domain's.

use std::collections::BTreeMap;

use pestle_domain::{fact::FactBody, stock};
use time::Date;

/// Where a fact stands, for what is derived from it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The branch in which it happened.
    pub branch: &'a str,
    /// The event store's number of the stream.
    pub stream: i64,
    /// Its number in the stream.
    pub seq: i64,
}

/// One book line of one branch: product and lot. The lot is empty where nobody knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BookLine<'a> {
    /// The branch.
    pub branch: &'a str,
    /// The article.
    pub product: &'a str,
    /// The lot, or empty.
    pub lot: &'a str,
}

/// What a transaction does to one book line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Packs added; negative for what left.
    pub on_hand: i64,
    /// The earliest last day of use that was told.
    pub expiry: Option<Date>,
    /// Whether two different days were told.
    pub expiries_differ: bool,
    /// Whether anything left.
    pub left: bool,
    /// The last fact that touched it.
    pub last: (i64, i64),
}

/// Movements of one transaction by column, as they are sent to the database.
#[derive(Debug, Default)]
pub struct Movements<'a> {
    /// Event store's number of the stream.
    pub streams: Vec<i64>,
    /// Number in the stream.
    pub seqs: Vec<i64>,
    /// Line of the fact, from 0.
    pub lines: Vec<i32>,
    /// Branch.
    pub branches: Vec<&'a str>,
    /// Article.
    pub products: Vec<&'a str>,
    /// Lot, or empty.
    pub lots: Vec<&'a str>,
    /// Last day of use, where told.
    pub expiries: Vec<Option<Date>>,
    /// Packs.
    pub on_hands: Vec<i64>,
    /// Kind of the fact.
    pub kinds: Vec<&'static str>,
}

/// Everything that one transaction does to stock.
#[derive(Debug, Default)]
pub struct Booked<'a> {
    /// One row each.
    pub movements: Movements<'a>,
    /// By book line, sorted: concurrent transactions lock balances in one order.
    pub changes: BTreeMap<BookLine<'a>, Change>,
}

impl<'a> Booked<'a> {
    /// Books a fact; those that are none of stock's do nothing.
    pub fn add(&mut self, place: Place<'a>, body: &'a FactBody) {
        for (line, delta) in (0..).zip(stock::deltas(body)) {
            let lot = delta.lot.map_or("", |lot| &**lot);
            let expiry = delta.expiry.map(|day| day.0);
            let on_hand = delta.on_hand.0;
            let rows = &mut self.movements;
            rows.streams.push(place.stream);
            rows.seqs.push(place.seq);
            rows.lines.push(line);
            rows.branches.push(place.branch);
            rows.products.push(delta.product.as_str());
            rows.lots.push(lot);
            rows.expiries.push(expiry);
            rows.on_hands.push(on_hand);
            rows.kinds.push(body.kind());

            let key = BookLine { branch: place.branch, product: delta.product.as_str(), lot };
            let change = self.changes.entry(key).or_insert(Change {
                on_hand: 0,
                expiry,
                expiries_differ: false,
                left: false,
                last: (place.stream, place.seq),
            });
            change.on_hand = change.on_hand.saturating_add(on_hand);
            change.expiries_differ |=
                matches!((change.expiry, expiry), (Some(one), Some(other)) if one != other);
            change.expiry = [change.expiry, expiry].into_iter().flatten().min();
            change.left |= on_hand < 0;
            change.last = (place.stream, place.seq);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pestle_domain::{
        fact::{LotIn, StockCounted, StockOpened},
        units::Quantity,
    };

    #[test]
    fn changes_of_one_lot_add_up_and_each_keeps_its_movement() {
        let line = |expiry: &str, packs| LotIn {
            product: "p-1".parse().unwrap(),
            lot: Some("A".into()),
            expiry: Some(expiry.parse().unwrap()),
            quantity: Quantity(packs),
        };
        let opened: FactBody =
            StockOpened { lines: vec![line("2028-01-01", 5), line("2027-01-01", 2)] }.into();
        let counted: FactBody = StockCounted {
            product: "p-1".parse().unwrap(),
            lot: Some("A".into()),
            expected: Quantity(7),
            found: Quantity(4),
            difference: Quantity(-3),
        }
        .into();
        let mut booked = Booked::default();
        booked.add(Place { branch: "north", stream: 1, seq: 1 }, &opened);
        booked.add(Place { branch: "north", stream: 1, seq: 2 }, &counted);
        assert_eq!(booked.movements.on_hands, [5, 2, -3]);
        let change = booked.changes[&BookLine { branch: "north", product: "p-1", lot: "A" }];
        assert_eq!(
            (change.on_hand, change.left, change.expiries_differ, change.last),
            (4, true, true, (1, 2))
        );
        assert_eq!(change.expiry, Some("2027-01-01".parse::<pestle_domain::units::Day>().unwrap().0));
    }
}
