//! Books from a checkpoint and what was recorded behind it are the books of everything, whatever was recorded and wherever the
//! checkpoints were.

use pestle_domain::{
    fact::{
        Act, Actor, AdjustReason, BoxBooksIncomplete, DrawerCause, DrawerOpened, Fact, FactBody, LotIn,
        LotMove, PrintCompleted, PrintUnknown, Provenance, ReceiptNumber, SaleCompleted, StaffDenied,
        StaffSignedIn, StockAdjusted, StockOpened, StockSold, TaxShare, Tender, TillClosed, TillOpened,
        TillPaidIn, TillPaidOut, TillReceived,
    },
    ids::{ActId, FactId, SessionId, StoreId, TillId},
    journal::Head,
    money::{BasisPoints, Money},
    units::Quantity,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    books::Books,
    checkpoint::{self, Where},
    records::PrintIntent,
    testing::{Rig, pence, sealed, till},
};
use crate::journal::Place;

/// Few of each, so that acts meet.
fn a_till() -> impl Strategy<Value = TillId> {
    (1u32..4).prop_map(till)
}

fn a_session() -> impl Strategy<Value = SessionId> {
    (1u128..4).prop_map(|number| SessionId(Uuid::from_u128(number)))
}

fn an_amount() -> impl Strategy<Value = Money> {
    (-500i64..5_000).prop_map(pence)
}

fn a_lot() -> impl Strategy<Value = Option<Box<str>>> {
    proptest::option::of(prop_oneof![Just("A".into()), Just("B".into())])
}

fn a_receipt() -> impl Strategy<Value = ReceiptNumber> {
    (a_till(), 1u32..3, 1u64..30).prop_map(|(till, epoch, number)| ReceiptNumber { till, epoch, number })
}

fn a_body() -> impl Strategy<Value = FactBody> {
    let product = || (1u32..4).prop_map(|number| format!("p-{number}").parse().unwrap());
    let staff = || prop_oneof![Just("anna"), Just("ben")].prop_map(|id| id.parse().unwrap());
    prop_oneof![
        (a_till(), a_session(), an_amount()).prop_map(|(till, session, float)| TillOpened {
            till,
            session,
            float
        }
        .into()),
        (a_till(), a_session(), an_amount(), an_amount()).prop_map(|(till, session, counted, expected)| {
            TillClosed { till, session, counted, expected, variance: pence(0), sales: 3 }.into()
        }),
        (a_till(), a_session(), an_amount()).prop_map(|(till, session, amount)| TillPaidIn {
            till,
            session,
            amount,
            reason: "x".into()
        }
        .into()),
        (a_till(), a_session(), an_amount()).prop_map(|(till, session, amount)| TillPaidOut {
            till,
            session,
            amount,
            reason: "x".into()
        }
        .into()),
        (a_till(), a_session(), an_amount(), a_receipt()).prop_map(|(till, session, amount, receipt)| {
            TillReceived { till, session, tender: Tender::Cash, amount, receipt }.into()
        }),
        (a_till(), a_session(), an_amount(), a_receipt()).prop_map(|(till, session, total, receipt)| {
            let tax = TaxShare { rate: BasisPoints(2_000), gross: total, tax: pence(3) };
            let (tendered, change) = (total, pence(0));
            SaleCompleted {
                till,
                session,
                receipt,
                lines: vec![],
                total,
                taxes: vec![tax],
                tender: Tender::Cash,
                tendered,
                change,
            }
            .into()
        }),
        a_till().prop_map(|till| DrawerOpened { till, cause: DrawerCause::NoSale }.into()),
        (product(), a_lot(), 1i64..9).prop_map(|(product, lot, packs)| {
            let expiry = lot.as_ref().map(|_| "2028-01-01".parse().unwrap());
            StockOpened { lines: vec![LotIn { product, lot, expiry, quantity: Quantity(packs) }] }.into()
        }),
        (product(), a_lot(), 0u32..40, a_receipt()).prop_map(|(product, lot, serial, receipt)| {
            let serials = vec![format!("S{serial}").into()];
            let one =
                LotMove { product, lot, provenance: Provenance::Scanned, quantity: Quantity(1), serials };
            StockSold { receipt, moves: vec![one] }.into()
        }),
        (product(), a_lot(), -3i64..4).prop_map(|(product, lot, delta)| {
            let (reason, note) = (AdjustReason::Correction, "".into());
            StockAdjusted { product, lot, delta: Quantity(delta), reason, count_wanted: false, note }.into()
        }),
        (0u128..30).prop_map(|act| {
            PrintCompleted { document: ActId(Uuid::from_u128(act)), printer: "p".into() }.into()
        }),
        (0u128..30).prop_map(|act| {
            let document = ActId(Uuid::from_u128(act));
            PrintUnknown { document, printer: "p".into(), reason: "it vanished".into() }.into()
        }),
        (staff(), a_till())
            .prop_map(|(staff, till)| StaffDenied { staff, till, reason: "pin".into() }.into()),
        (staff(), a_till()).prop_map(|(staff, till)| StaffSignedIn { staff, till }.into()),
        (1u32..3, 1u64..9).prop_map(|(epoch, to)| BoxBooksIncomplete { epoch, from: 1, to }.into()),
    ]
}

/// Acts of one to three facts; some have an id that was there before, as only a fault could make them.
fn acts() -> impl Strategy<Value = Vec<(Vec<Fact>, Vec<u8>)>> {
    let act = (0u128..60, any::<bool>(), any::<bool>(), proptest::collection::vec(a_body(), 1..4));
    proptest::collection::vec(act, 1..50).prop_map(|acts| {
        let stamp = Rig::new().stamp();
        acts.into_iter()
            .map(|(id, by_staff, print, bodies)| {
                let actor = if by_staff { Actor::Staff("anna".parse().unwrap()) } else { Actor::Machine };
                let id = ActId(Uuid::from_u128(id));
                let act = Act::new(id, &actor, &stamp, bodies, || FactId(Uuid::nil()));
                (act.facts, PrintIntent { print }.to_bytes())
            })
            .collect()
    })
}

fn through_a_checkpoint(books: &Books) -> Books {
    let at = Where { store: StoreId(Uuid::nil()), place: Place::START, head: Head::EMPTY };
    let bytes = sealed(1, &at, books);
    checkpoint::read(&bytes[..], bytes.len() as u64).unwrap().1
}

proptest! {
    #[test]
    fn books_from_checkpoints_and_what_came_after_them_are_the_books_of_everything(
        acts in acts(), places in proptest::collection::vec(any::<proptest::sample::Index>(), 0..4),
    ) {
        let mut whole = Books::default();
        let mut restarted = Books::default();
        for (index, (facts, attachment)) in acts.iter().enumerate() {
            whole.apply(facts, attachment);
            restarted.apply(facts, attachment);
            if places.iter().any(|place| place.index(acts.len()) == index) {
                restarted = through_a_checkpoint(&restarted);
            }
        }
        prop_assert_eq!(restarted, whole);
    }
}
