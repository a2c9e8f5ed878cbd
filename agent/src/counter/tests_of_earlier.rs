//! Books that lacked facts and had them back are the books that never lacked them, whichever they were.

use pestle_domain::{
    fact::{
        Act, Actor, AdjustReason, BoxBooksIncomplete, BoxFactsFetched, FactBody, LotMove, Provenance,
        ReceiptNumber, SaleCompleted, StockAdjusted, StockSold, TaxShare, Tender, TillClosed, TillOpened,
        TillPaidIn, TillPaidOut, TillReceived,
    },
    ids::{ActId, FactId, SessionId},
    money::BasisPoints,
    signature::Hash,
    units::Quantity,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    books::Books,
    earlier::EarlierAct,
    event::Event,
    testing::{Rig, pence, till},
};
use crate::journal::Place;

/// What somebody does at a till.
#[derive(Debug, Clone, Copy)]
enum Deed {
    Open,
    Close,
    PayIn,
    PayOut,
    Sell,
    Adjust,
}

/// A journal of one epoch, as a box writes it: a session at a time at each till, receipts in order.
fn journal(deeds: &[(u32, Deed)]) -> Vec<EarlierAct> {
    let stamp = Rig::new().stamp();
    let mut sessions = [None; 3];
    let (mut receipts, mut acts, mut seq) = ([0u64; 3], Vec::new(), 0u64);
    for (index, (number, deed)) in (1u128..).zip(deeds) {
        let (at, id) = (*number as usize, till(*number));
        let bodies: Vec<FactBody> = match (deed, sessions[at]) {
            (Deed::Adjust, _) => {
                let (product, delta) = ("p-1".parse().unwrap(), Quantity(5));
                let (reason, note) = (AdjustReason::Correction, "".into());
                vec![StockAdjusted { product, lot: None, delta, reason, count_wanted: false, note }.into()]
            }
            (_, None) => {
                let session = SessionId(Uuid::from_u128(1_000 + index));
                sessions[at] = Some(session);
                vec![TillOpened { till: id, session, float: pence(100) }.into()]
            }
            (Deed::Open | Deed::PayIn, Some(session)) => {
                vec![TillPaidIn { till: id, session, amount: pence(7), reason: "x".into() }.into()]
            }
            (Deed::PayOut, Some(session)) => {
                vec![TillPaidOut { till: id, session, amount: pence(3), reason: "x".into() }.into()]
            }
            (Deed::Close, Some(session)) => {
                sessions[at] = None;
                let (counted, expected, variance) = (pence(0), pence(0), pence(0));
                vec![TillClosed { till: id, session, counted, expected, variance, sales: 0 }.into()]
            }
            (Deed::Sell, Some(session)) => {
                receipts[at] += 1;
                let receipt = ReceiptNumber { till: id.clone(), epoch: 1, number: receipts[at] };
                let (total, change) = (pence(20), pence(0));
                let one = LotMove {
                    product: "p-1".parse().unwrap(),
                    lot: None,
                    provenance: Provenance::Scanned,
                    quantity: Quantity(1),
                    serials: vec![format!("S{index}").into()],
                };
                vec![
                    SaleCompleted {
                        till: id.clone(),
                        session,
                        receipt: receipt.clone(),
                        lines: vec![],
                        total,
                        taxes: vec![TaxShare { rate: BasisPoints(2_000), gross: total, tax: pence(3) }],
                        tender: Tender::Cash,
                        tendered: total,
                        change,
                    }
                    .into(),
                    TillReceived {
                        till: id,
                        session,
                        tender: Tender::Cash,
                        amount: total,
                        receipt: receipt.clone(),
                    }
                    .into(),
                    StockSold { receipt, moves: vec![one] }.into(),
                ]
            }
        };
        let act = ActId(Uuid::from_u128(index));
        let act = Act::new(act, &Actor::Machine, &stamp, bodies, || FactId(Uuid::nil()));
        let first = Place { epoch: 1, seq: seq + 1 };
        let facts = act.facts.into_iter().map(|fact| {
            seq += 1;
            (seq, fact)
        });
        acts.push(EarlierAct { first, facts: facts.collect(), again: false });
    }
    acts
}

fn last(act: &EarlierAct) -> u64 {
    act.facts.last().unwrap().0
}

fn apply(books: &mut Books, act: &EarlierAct) {
    books.stand_at(Place { epoch: 1, seq: last(act) });
    let facts: Vec<_> = act.facts.iter().map(|(_, fact)| fact.clone()).collect();
    books.apply(&facts, b"");
}

fn fetched(acts: &[EarlierAct]) -> BoxFactsFetched {
    let (from, to) = (acts[0].first.seq, last(acts.last().unwrap()));
    BoxFactsFetched { epoch: 1, from, to, hash: Hash([0; 32]) }
}

fn deeds() -> impl Strategy<Value = Vec<(u32, Deed)>> {
    let deed = prop_oneof![
        Just(Deed::Open),
        Just(Deed::Close),
        Just(Deed::PayIn),
        Just(Deed::PayOut),
        Just(Deed::Sell),
        Just(Deed::Sell),
        Just(Deed::Sell),
        Just(Deed::Adjust),
    ];
    proptest::collection::vec((1u32..3, deed), 2..25)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn books_that_have_what_they_lacked_are_as_if_they_had_never_lacked_it(
        deeds in deeds(),
        from: proptest::sample::Index,
        length: proptest::sample::Index,
        page: proptest::sample::Index,
        late: proptest::sample::Index,
    ) {
        let acts = journal(&deeds);
        let from = from.index(acts.len());
        let to = from + 1 + length.index(acts.len() - from);
        let hole = &acts[from..to];
        let mut whole = Books::default();
        for act in &acts {
            apply(&mut whole, act);
        }
        let mut lacking = Books::default();
        let range = fetched(hole);
        lacking.note_missing(&BoxBooksIncomplete { epoch: 1, from: range.from, to: range.to });
        let behind = &acts[to..];
        // It comes back at any later time, in two pages.
        let (before, after) = behind.split_at(late.index(behind.len() + 1));
        for act in acts[..from].iter().chain(before) {
            apply(&mut lacking, act);
        }
        let (one, two) = hole.split_at(page.index(hole.len()));
        for page in [one, two].into_iter().filter(|page| !page.is_empty()) {
            for _ in 0..2 {
                lacking.take_in(&fetched(page), page);
            }
        }
        for act in after {
            apply(&mut lacking, act);
        }
        prop_assert_eq!(lacking.missing(), &[]);
        prop_assert_eq!(lacking.fetched(), &[BoxBooksIncomplete { epoch: 1, from: range.from, to: range.to }]);
        prop_assert_eq!(&lacking.ledger, &whole.ledger);
        for number in 1..3 {
            let (one, other) = (lacking.till(&till(number)), whole.till(&till(number)));
            prop_assert_eq!(one.map(|book| book.till), other.map(|book| book.till));
            prop_assert_eq!(one.map(|book| &book.sums), other.map(|book| &book.sums));
            prop_assert_eq!(one.map(|book| book.last), other.map(|book| book.last));
            prop_assert_eq!(one.map(|book| &book.last_sale), other.map(|book| &book.last_sale));
        }
        for act in &acts {
            let id = act.facts[0].1.act;
            prop_assert_eq!(lacking.done(id), whole.done(id));
        }
    }
}

#[test]
fn an_act_that_was_sent_again_while_its_first_record_was_missing_counts_once_and_its_number_is_used() {
    let acts = journal(&[(1, Deed::Open), (1, Deed::Sell), (1, Deed::Sell)]);
    let mut books = Books::default();
    apply(&mut books, &acts[0]);
    let lost = &acts[1..2];
    let range = fetched(lost);
    books.note_missing(&BoxBooksIncomplete { epoch: 1, from: range.from, to: range.to });
    // The page sends the act of the lost sale again: the box gives it the next number that it knows.
    let mut again = acts[1].clone();
    for (seq, fact) in &mut again.facts {
        *seq += 100;
        if let FactBody::SaleCompleted(sale) = &mut fact.body {
            sale.receipt.number = 9;
        }
    }
    apply(&mut books, &again);
    let once = books.clone();
    books.take_in(&range, lost);
    assert_eq!(books.missing(), []);
    assert_eq!((&books.ledger, books.till(&till(1))), (&once.ledger, once.till(&till(1))));
    let act = acts[1].facts[0].1.act;
    assert_eq!(books.done(act), once.done(act), "the answer that was given stays");

    // And the other way round: it is there again before the repeat is booked.
    let mut books = Books::default();
    for act in &acts[..2] {
        apply(&mut books, act);
    }
    let once = books.clone();
    apply(&mut books, &again);
    assert_eq!(
        (&books.ledger, &books.till(&till(1)).unwrap().sums),
        (&once.ledger, &once.till(&till(1)).unwrap().sums)
    );
    assert_eq!(books.till(&till(1)).unwrap().next_number(1), 10);
    assert_eq!(books.done(act), once.done(act));
}

#[test]
fn what_stands_elsewhere_too_and_what_is_not_missing_is_not_taken_in() {
    let acts = journal(&[(1, Deed::Adjust), (1, Deed::Adjust)]);
    let mut books = Books::default();
    books.take_in(&fetched(&acts), &acts);
    assert_eq!(books, Books::default(), "nothing is missing");
    books.note_missing(&BoxBooksIncomplete { epoch: 1, from: 1, to: 2 });
    let again: Vec<_> = acts.iter().map(|act| EarlierAct { again: true, ..act.clone() }).collect();
    books.take_in(&fetched(&again), &again);
    assert_eq!(books.ledger, Books::default().ledger);
    assert_eq!((books.missing().len(), books.fetched().len()), (0, 1));
    // What is known as missing or was fetched is not named again.
    let range = |epoch, from, to| BoxBooksIncomplete { epoch, from, to };
    assert_eq!(books.not_known(&range(1, 1, 5)), [range(1, 3, 5)]);
    books.note_missing(&range(1, 4, 4));
    assert_eq!(books.not_known(&range(1, 1, 5)), [range(1, 3, 3), range(1, 5, 5)]);
    assert_eq!(books.not_known(&range(2, 1, 5)), [range(2, 1, 5)]);
}

#[test]
fn ranges_that_turn_out_to_be_missing_at_the_same_time_are_all_named_and_each_once() {
    let range = |epoch, from, to| BoxBooksIncomplete { epoch, from, to };
    let mut rig = Rig::new();
    // A slow disk: nothing of it is recorded before the last is told.
    for told in [range(1, 10, 12), range(2, 5, 9), range(1, 1, 11), range(2, 5, 9)] {
        rig.hear(Event::Missing(told));
    }
    rig.commit();
    let wanted = [range(1, 1, 9), range(1, 10, 12), range(2, 5, 9)];
    assert_eq!(rig.branch.missing(), wanted);
    assert_eq!(rig.kinds(), ["box.books_incomplete"; 3]);
}

#[test]
fn what_only_a_fetched_page_tells_to_be_missing_is_named_by_the_act_that_takes_the_page_in() {
    let acts = journal(&[(1, Deed::Open)]);
    let older = BoxBooksIncomplete { epoch: 0, from: 1, to: 9 };
    let mut rig = Rig::new();
    rig.hear(Event::Missing(BoxBooksIncomplete { epoch: 1, from: 1, to: 1 }));
    rig.commit();
    let came = || Event::Fetched(fetched(&acts), acts.clone(), Some(older.clone()));
    // The disk refuses: the page is in nobody's books, and is asked for again.
    rig.hear(came());
    let (commit, ..) = rig.pending.remove(0);
    assert_eq!(rig.pending, []);
    rig.hear(Event::Appended(commit, Err("the disk is full".to_owned())));
    assert_eq!((rig.branch.missing()[0].epoch, rig.branch.fetched()), (1, &[][..]));
    rig.hear(came());
    rig.commit();
    assert_eq!(rig.kinds(), ["box.books_incomplete", "box.books_incomplete", "box.facts_fetched"]);
    assert_eq!(rig.branch.missing(), std::slice::from_ref(&older));
    // And so it is after a restart.
    assert!(rig.restart().branch.missing().contains(&older));
}

#[test]
fn what_no_fact_names_yet_is_kept_apart_until_one_does_or_it_is_there_again() {
    let range = |from, to| BoxBooksIncomplete { epoch: 1, from, to };
    let acts = journal(&[(1, Deed::Adjust), (1, Deed::Adjust), (1, Deed::Adjust)]);
    let mut books = Books::default();
    books.note_missing(&range(1, 9));
    assert_eq!((books.missing(), books.unnamed()), (&[range(1, 9)][..], &[range(1, 9)][..]));
    books.take_in(&fetched(&acts), &acts);
    assert_eq!((books.missing(), books.unnamed()), (&[range(4, 9)][..], &[range(4, 9)][..]));
    books.note_named(&range(4, 6));
    assert_eq!((books.missing(), books.unnamed()), (&[range(4, 9)][..], &[range(7, 9)][..]));
    books.note_named(&range(7, 12));
    let missing = [range(4, 9), range(10, 12)];
    assert_eq!((books.missing(), books.unnamed()), (&missing[..], &[][..]));
}
