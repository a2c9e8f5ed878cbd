//! What may be sold, and that the sums hold.

use proptest::prelude::*;

use super::*;
use crate::{
    catalogue::{Storage, Supply},
    fact::{LotIn, LotMove, StockAdjusted, StockOpened},
    ids::SessionId,
};

const TODAY: &str = "2026-11-21";

fn gtin(number: u32) -> Gtin {
    Gtin::with_check_digit(format!("0952{number:09}").as_bytes()).unwrap()
}
fn product(number: u32, minor: i64, tax: u32, supply: Supply) -> Product {
    Product {
        id: format!("p-{number}").parse().unwrap(),
        gtins: vec![gtin(number)],
        name: format!("Article {number}").into(),
        price: Money::new(minor, Currency::GBP),
        tax: BasisPoints(tax),
        supply,
        storage: Storage::Ambient,
    }
}
fn pack(number: u32) -> Pack {
    Pack { gtin: gtin(number), lot: None, serial: None, expiry: None, proved: true }
}
fn pack_of(number: u32, lot: &str, serial: &str) -> Pack {
    Pack { lot: Some(lot.into()), serial: (!serial.is_empty()).then(|| serial.into()), ..pack(number) }
}
fn basket() -> Basket {
    Basket::new(ActId(uuid::Uuid::nil()), Currency::GBP)
}
fn pence(minor: i64) -> Money {
    Money::new(minor, Currency::GBP)
}
fn payment(minor: i64) -> Payment {
    let receipt = ReceiptNumber { till: "till-1".parse().unwrap(), epoch: 1, number: 7 };
    Payment { tendered: pence(minor), session: SessionId(uuid::Uuid::nil()), receipt, drawer: true }
}
fn none_sold(_: &ProductId, _: &str) -> Option<ReceiptNumber> {
    None
}

/// A branch with articles 1 (20 %), 2 (5 %), 3 (prescription), 4 (controlled).
struct Branch {
    catalogue: Catalogue,
    ledger: Ledger,
}
impl Branch {
    fn new(lots: &[(u32, &str, &str, i64)], recalls: &[(u32, Option<&str>)]) -> Self {
        let products = vec![
            product(1, 499, 2000, Supply::General),
            product(2, 250, 500, Supply::Pharmacy),
            product(3, 900, 0, Supply::Prescription),
            product(4, 900, 0, Supply::Controlled),
        ];
        let recalls = recalls.iter().map(|(number, lot)| Recall {
            reference: "R-9".into(),
            product: format!("p-{number}").parse().unwrap(),
            lot: lot.map(Into::into),
            reason: "glass found".into(),
            issued: TODAY.parse().unwrap(),
        });
        let lines = lots.iter().map(|(number, lot, expiry, quantity)| LotIn {
            product: format!("p-{number}").parse().unwrap(),
            lot: Some((*lot).into()),
            expiry: Some(expiry.parse().unwrap()),
            quantity: Quantity(*quantity),
        });
        let mut ledger = Ledger::default();
        ledger.apply(&StockOpened { lines: lines.collect() }.into());
        Self { catalogue: Catalogue::new(products, recalls.collect()), ledger }
    }
    fn world(&self) -> World<'_> {
        World {
            catalogue: &self.catalogue,
            ledger: &self.ledger,
            under_way: &[],
            today: TODAY.parse().unwrap(),
            sold: &none_sold,
        }
    }
}

/// Adds one pack to an empty basket, and expects the refusal whose text holds `words`.
fn check_refused(branch: &Branch, pack: Pack, words: &str) {
    let mut basket = basket();
    let said = basket.add(pack, &branch.world()).unwrap_err().to_string();
    assert!(said.contains(words), "{said}");
    assert_eq!(basket, super::tests::basket(), "a refusal leaves the basket as it was");
}

#[test]
fn an_unknown_number_and_what_is_dispensed_are_refused_with_the_reason() {
    let branch = Branch::new(&[], &[]);
    check_refused(&branch, pack(9), &gtin(9).to_string());
    check_refused(&branch, pack(3), "Article 3 is a prescription medicine");
    check_refused(&branch, pack(4), "Article 4 is a controlled drug");
}

#[test]
fn a_recalled_lot_is_refused_and_another_lot_is_sold() {
    let branch = Branch::new(&[], &[(1, Some("BAD")), (2, None)]);
    check_refused(&branch, pack_of(1, "BAD", ""), "Article 1, lot BAD, is recalled (R-9): glass found");
    check_refused(&branch, pack_of(2, "ANY", ""), "is recalled");
    assert!(basket().add(pack_of(1, "GOOD", ""), &branch.world()).is_ok());
}

#[test]
fn an_expired_pack_is_refused_by_its_code_or_by_the_book_and_its_last_day_is_sold() {
    let branch = Branch::new(&[(1, "OLD", "2026-11-20", 2), (1, "LAST", TODAY, 2)], &[]);
    check_refused(&branch, pack_of(1, "OLD", ""), "expired on 2026-11-20");
    let mut by_code = pack_of(2, "X", "");
    by_code.expiry = Some("2026-10-31".parse().unwrap());
    check_refused(&branch, by_code, "expired on 2026-10-31");
    assert!(basket().add(pack_of(1, "LAST", ""), &branch.world()).is_ok());
}

#[test]
fn an_unproved_scanner_supplies_the_number_alone() {
    let branch = Branch::new(&[], &[]);
    let mut basket = basket();
    let unproved = Pack { proved: false, ..pack_of(1, "A1217", "7") };
    basket.add(unproved.clone(), &branch.world()).unwrap();
    basket.add(unproved, &branch.world()).unwrap();
    assert_eq!((&basket.lines()[0].lot, basket.lines()[0].serials.len()), (&None, 0));
    assert_eq!(basket.lines()[0].quantity, Quantity(2));
}

#[test]
fn the_same_serial_twice_is_already_scanned_and_a_sold_one_is_refused() {
    let branch = Branch::new(&[], &[]);
    let mut basket = basket();
    basket.add(pack_of(1, "A", "S1"), &branch.world()).unwrap();
    let again = basket.add(pack_of(1, "A", "S1"), &branch.world());
    assert!(matches!(again, Err(Refusal::AlreadyScanned { .. })), "{again:?}");
    basket.add(pack_of(1, "A", "S2"), &branch.world()).unwrap();
    assert_eq!((basket.lines().len(), basket.lines()[0].quantity), (1, Quantity(2)));
    assert_eq!(basket.set_quantity(LineId(1), Quantity(1)), Err(Refusal::SerialsOnLine { serials: 2 }));

    let sold = |_: &ProductId, serial: &str| (serial == "S3").then(|| payment(0).receipt);
    let world = World { sold: &sold, ..branch.world() };
    let refused = basket.add(pack_of(1, "A", "S3"), &world).unwrap_err().to_string();
    assert!(refused.contains("was sold with receipt till-1/1/7"), "{refused}");
}

#[test]
fn a_pack_without_a_lot_asks_for_it_where_a_blocked_lot_may_be_in_the_hand() {
    let branch = Branch::new(
        &[(1, "OLD", "2026-01-01", 1), (1, "NEW", "2028-01-01", 4), (1, "GONE", "2025-01-01", 0)],
        &[],
    );
    let mut basket = basket();
    let Err(Refusal::LotNeeded { choices, .. }) = basket.add(pack(1), &branch.world()) else { panic!() };
    let seen: Vec<_> = choices.iter().map(|choice| (&*choice.lot, choice.blocked)).collect();
    assert_eq!(seen, [("OLD", true), ("NEW", false)]);
    assert!(basket.add_with_lot(pack(1), "OLD".into(), &branch.world()).is_err());
    basket.add_with_lot(pack(1), "NEW".into(), &branch.world()).unwrap();
    assert_eq!(basket.lines()[0].lot.as_ref().unwrap().provenance, Provenance::Chosen);
    check_refused(&Branch::new(&[], &[(1, Some("ELSEWHERE"))]), pack(1), "Read the lot on this pack");
}

#[test]
fn a_recall_that_arrives_while_the_basket_is_open_stops_the_payment() {
    let mut branch = Branch::new(&[(1, "A", "2028-01-01", 4)], &[]);
    let mut basket = basket();
    let line = basket.add(pack(1), &branch.world()).unwrap();
    branch.catalogue = Branch::new(&[], &[(1, Some("B"))]).catalogue;
    assert!(matches!(settle(&basket, &payment(500), &branch.world()), Err(Refusal::LotNeeded { .. })));
    basket.choose_lot(line, "A".into(), &branch.world()).unwrap();
    assert!(settle(&basket, &payment(500), &branch.world()).is_ok());
    branch.catalogue = Branch::new(&[], &[(1, Some("A"))]).catalogue;
    assert!(matches!(settle(&basket, &payment(500), &branch.world()), Err(Refusal::Recalled { .. })));
}

#[test]
fn quantities_and_money_that_cannot_be_are_refused() {
    let branch = Branch::new(&[], &[]);
    let mut basket = basket();
    assert_eq!(settle(&basket, &payment(0), &branch.world()), Err(Refusal::Empty));
    let line = basket.add(pack(1), &branch.world()).unwrap();
    for bad in [0, -1, 10_000, 9_520_123_456_788] {
        assert_eq!(basket.set_quantity(line, Quantity(bad)), Err(Refusal::Quantity));
    }
    let short = settle(&basket, &payment(400), &branch.world());
    assert_eq!(short, Err(Refusal::Short { missing: pence(99) }));
    let typed_barcode = settle(&basket, &payment(952_012_345_678_800), &branch.world());
    assert!(matches!(typed_barcode, Err(Refusal::TooMuch { .. })));
    basket.void(line).unwrap();
    assert_eq!(basket.set_quantity(line, Quantity(1)), Err(Refusal::NoSuchLine));
}

#[test]
fn two_tills_that_take_the_last_pack_at_once_record_one_find() {
    let branch = Branch::new(&[(1, "A", "2028-01-01", 1)], &[]);
    let mut basket = basket();
    basket.add(pack(1), &branch.world()).unwrap();
    let first = settle(&basket, &payment(500), &branch.world()).unwrap();
    let under_way: Vec<&FactBody> = first.bodies.iter().collect();
    let world = World { under_way: &under_way, ..branch.world() };
    let second = settle(&basket, &payment(500), &world).unwrap();
    let mut ledger = branch.ledger.clone();
    for fact in first.bodies.iter().chain(&second.bodies) {
        assert_eq!(ledger.apply(fact), []);
    }
    assert_eq!(ledger.on_hand(&"p-1".parse().unwrap()), Quantity::ZERO);
}

fn moves(bodies: &[FactBody]) -> Vec<&LotMove> {
    bodies
        .iter()
        .filter_map(|body| if let FactBody::StockSold(sold) = body { Some(&sold.moves) } else { None })
        .flatten()
        .collect()
}

proptest! {
    #[test]
    fn what_is_paid_is_what_is_sold_is_what_leaves_the_stock(
        scans in proptest::collection::vec((1u32..=2, 0u8..4), 1..30),
        stock in proptest::collection::vec((1u32..=2, 0u8..3, 0i64..5), 0..6),
        extra in 0i64..5_000,
    ) {
        let lots: Vec<String> = stock.iter().map(|(_, lot, _)| format!("L{lot}")).collect();
        let rows: Vec<_> = stock.iter().zip(&lots).map(|((number, _, packs), lot)| (*number, lot.as_str(), "2028-01-01", *packs)).collect();
        let mut branch = Branch::new(&rows, &[]);
        let mut basket = basket();
        for (number, lot) in &scans {
            let scanned = if *lot == 3 { pack(*number) } else { pack_of(*number, &format!("L{lot}"), "") };
            basket.add(scanned, &branch.world()).unwrap();
        }
        let total = basket.total().unwrap();
        let Settlement { bodies, sale } = settle(&basket, &payment(total.minor + extra), &branch.world()).unwrap();

        let sum = |amounts: Vec<Money>| amounts.iter().map(|amount| amount.minor).sum::<i64>();
        prop_assert_eq!(sum(sale.lines.iter().map(|line| line.amount).collect()), sale.total.minor);
        prop_assert_eq!(sale.tendered.minor - sale.change.minor, sale.total.minor);
        prop_assert_eq!(sum(sale.taxes.iter().map(|share| share.gross).collect()), sale.total.minor);
        prop_assert!(sale.taxes.iter().all(|share| share.tax == share.rate.tax_inside(share.gross)));
        prop_assert!(sale.taxes.is_sorted_by(|one, other| one.rate > other.rate));

        let mut before = std::collections::HashMap::new();
        for number in 1..=2u32 {
            let id: ProductId = format!("p-{number}").parse().unwrap();
            let sold: Quantity = sale.lines.iter().filter(|line| line.product == id).map(|line| line.quantity).sum();
            let moved: Quantity = moves(&bodies).iter().filter(|one| one.product == id).map(|one| one.quantity).sum();
            prop_assert_eq!(sold, moved);
            let found: Quantity = bodies.iter().map(|body| match body {
                FactBody::StockAdjusted(StockAdjusted { product, delta, .. }) if *product == id => *delta,
                _ => Quantity::ZERO,
            }).sum();
            before.insert(id.clone(), branch.ledger.on_hand(&id) + found - sold);
        }
        for body in &bodies {
            prop_assert_eq!(branch.ledger.apply(body), vec![]);
        }
        for (id, expected) in before {
            prop_assert_eq!(branch.ledger.on_hand(&id), expected);
            prop_assert!(expected >= Quantity::ZERO);
        }
    }
}
