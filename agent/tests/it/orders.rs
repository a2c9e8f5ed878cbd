//! The centre's orders on a real journal: read from the wire, done once, whatever the power does.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use pestle_agent::{
    counter::{handle::Counter, machine::Event},
    identity::DeviceIdentity,
    orders::task::{Unusable, read},
};
use pestle_domain::{
    ids::OrderId,
    order::{Order, OrderBody, OrderHead, OrderLog, RecallIssued, StockAdjust},
    signature::SigningKey,
    units::{Quantity, UnixMillis},
    wire::orders::{Orders, OrdersError, Span, VerifiedOrders, build},
};
use serde_json::json;
use uuid::Uuid;

use crate::{
    branch::{Branch, gtin},
    program,
};

fn log(branch: &str) -> OrderLog {
    OrderLog { tenant: "acme".parse().unwrap(), branch: branch.parse().unwrap() }
}

/// Orders behind `before`, signed as the centre sends them.
fn message(log: &OrderLog, before: OrderHead, bodies: &[OrderBody], key: &SigningKey) -> Vec<u8> {
    let mut after = OrderHead { incarnation: 1, ..before };
    let lines: Vec<Vec<u8>> = (before.seq + 1..)
        .zip(bodies)
        .map(|(number, body)| {
            let id = OrderId(Uuid::from_u128(number.into()));
            let order = Order { id, issued_at: UnixMillis(5), by: "user:x".into(), body: body.clone() };
            let line = order.to_line().unwrap();
            after = after.after(log, 1, &line);
            line
        })
        .collect();
    let span = Span { log: log.clone(), before, after };
    let header = span.sign(key, &SystemRandom::new()).unwrap();
    build(&header, lines.iter().map(Vec::as_slice)).unwrap()
}

fn recall() -> OrderBody {
    let product = "ibuprofen-200".parse().unwrap();
    let (reference, reason) = ("R-5".into(), "glass found".into());
    RecallIssued { reference, product, lot: None, reason, issued: "2026-11-21".parse().unwrap() }.into()
}

fn adjust(packs: i64) -> OrderBody {
    let product = "ibuprofen-200".parse().unwrap();
    StockAdjust { product, lot: None, delta: Quantity(packs), reason: "counted".into() }.into()
}

#[test]
fn only_what_the_centre_wrote_for_this_branch_is_read() {
    let (data, centre) = program::enrolled_box_and_centre();
    let (_, stranger) = program::enrolled_box_and_centre();
    let identity = DeviceIdentity::load(data.path()).unwrap();
    let all = [recall(), adjust(3)];
    let good = message(&log("north"), OrderHead::START, &all, &centre);
    assert_eq!(read(&identity, &good).unwrap().orders.len(), 2);
    let foreign = message(&log("north"), OrderHead::START, &all, &stranger);
    assert!(matches!(read(&identity, &foreign), Err(Unusable::UnknownKey)));
    let named = String::from_utf8(foreign).unwrap();
    let forged = named.replacen(&stranger.id().0, &centre.id().0, 1);
    assert!(matches!(
        read(&identity, forged.as_bytes()),
        Err(Unusable::Orders(OrdersError::WrongSignature(_)))
    ));
    let elsewhere = message(&log("south"), OrderHead::START, &all, &centre);
    assert!(matches!(read(&identity, &elsewhere), Err(Unusable::Elsewhere)));
    let changed = String::from_utf8(good).unwrap().replace("\"delta\":3", "\"delta\":9");
    assert!(matches!(read(&identity, changed.as_bytes()), Err(Unusable::Orders(OrdersError::WrongHash))));
}

/// Waits until the log stands there.
async fn at(counter: &Counter, head: OrderHead) {
    let mut state = counter.orders();
    let reached = state.wait_for(|state| state.head == head);
    tokio::time::timeout(Duration::from_secs(20), reached).await.unwrap().unwrap();
}

fn verified(bodies: &[OrderBody]) -> VerifiedOrders {
    let (_, key) = program::enrolled_box_and_centre();
    let message = message(&log("north"), OrderHead::START, bodies, &key);
    Orders::parse(&message).unwrap().verify(key.public()).unwrap()
}

/// How many facts of a kind the journal has.
fn facts(branch: &Branch, kind: &str) -> usize {
    let mut found = 0;
    let everything = pestle_agent::journal::Place::START;
    let counted =
        branch.ledger.for_each(everything, |_, act| -> Result<(), pestle_agent::journal::JournalError> {
            let words = format!("\"kind\":\"{kind}\"");
            found += act.lines().filter(|line| String::from_utf8_lossy(line).contains(&words)).count();
            Ok(())
        });
    counted.unwrap();
    found
}

#[tokio::test]
async fn orders_are_done_once_through_power_cuts_and_a_recall_outlives_them() {
    let mut branch = Branch::new().await;
    let three = verified(&[adjust(3), recall(), adjust(4)]);
    branch.counter.tell(Event::Orders(three.clone())).await;
    // Power goes at whichever of the three it is, and the centre sends them all again.
    branch = branch.die().await;
    branch.counter.tell(Event::Orders(three.clone())).await;
    at(&branch.counter, three.after()).await;
    for _ in 0..2 {
        branch.counter.tell(Event::Orders(three.clone())).await;
        branch = branch.die().await;
        at(&branch.counter, three.after()).await;
    }
    assert_eq!((facts(&branch, "order.applied"), facts(&branch, "stock.adjusted")), (3, 2));
    branch.open_till("till-1").await;
    branch.done("till-1", "scan", json!({"code": gtin().short()})).await;
    let refusals = branch.state("till-1").await["refusals"].clone();
    let said = refusals.as_array().unwrap().last().unwrap()["text"].as_str().unwrap().to_owned();
    assert!(said.contains("is recalled (R-5)"), "{said}");
}

#[tokio::test]
async fn books_that_are_lost_are_rebuilt_so_that_no_order_is_done_again() {
    let mut branch = Branch::new().await;
    let one = verified(&[adjust(3)]);
    branch.counter.tell(Event::Orders(one.clone())).await;
    at(&branch.counter, one.after()).await;
    branch = branch.restart().await;
    at(&branch.counter, one.after()).await;
    branch.counter.stop().await;
    let kept = std::fs::read_dir(branch.folder.path().join("counter")).unwrap();
    let checkpoints: Vec<_> = kept
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "checkpoint"))
        .collect();
    checkpoints.into_iter().for_each(|path| std::fs::remove_file(path).unwrap());
    branch = branch.die().await;
    at(&branch.counter, one.after()).await;
    branch.counter.tell(Event::Orders(one)).await;
    branch = branch.die().await;
    assert_eq!(facts(&branch, "order.applied"), 1);
}
