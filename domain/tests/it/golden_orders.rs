//! `golden/orders-v1.jsonl` holds one order of every kind, as the first version wrote it; the chain over them and one signed
//! message are frozen beside it.

use std::fs;

use aws_lc_rs::rand::SystemRandom;
use pestle_domain::{
    ids::OrderId,
    order::*,
    signature::{SigningKey, VerifyingKey},
    units::{Quantity, UnixMillis},
    wire::{
        MESSAGE_BYTES_MAX,
        orders::{self, Header, Orders, OrdersError, Span},
    },
};

use crate::{
    golden_facts::{frozen_lines, golden},
    samples,
};

fn log() -> OrderLog {
    OrderLog { tenant: "acme".parse().unwrap(), branch: "north".parse().unwrap() }
}

/// One order of every kind, in the order of the kinds.
fn bodies() -> Vec<OrderBody> {
    vec![
        RecallIssued {
            reference: "R-7".into(),
            product: samples::product(),
            lot: Some("A12".into()),
            reason: "glass found".into(),
            issued: "2026-11-21".parse().unwrap(),
        }
        .into(),
        RecallLifted {
            reference: "R-7".into(),
            product: samples::product(),
            lot: None,
            reason: "it was another maker".into(),
        }
        .into(),
        StockAdjust {
            product: samples::product(),
            lot: Some("A12".into()),
            delta: Quantity(-3),
            reason: "broken in transit".into(),
        }
        .into(),
        CatalogueChanged { version: 7 }.into(),
        StaffChanged { version: 8 }.into(),
    ]
}

pub(crate) fn all() -> Vec<Order> {
    (50..)
        .zip(bodies())
        .map(|(byte, body)| Order {
            id: OrderId(samples::uuid(byte)),
            issued_at: UnixMillis(1_795_000_000_000),
            by: "user:anna".into(),
            body,
        })
        .collect()
}

fn lines() -> Vec<Vec<u8>> {
    all().iter().map(|order| order.to_line().unwrap()).collect()
}

fn heads(lines: &[Vec<u8>]) -> Vec<OrderHead> {
    let mut head = OrderHead::START;
    lines
        .iter()
        .map(|line| {
            head = head.after(&log(), 2, line);
            head
        })
        .collect()
}

fn message(lines: &[Vec<u8>], key: &SigningKey) -> Vec<u8> {
    let after = *heads(lines).last().unwrap();
    let span = Span { log: log(), before: OrderHead::START, after };
    let header = span.sign(key, &SystemRandom::new()).unwrap();
    orders::build(&header, lines.iter().map(Vec::as_slice)).unwrap()
}

#[test]
fn every_kind_of_order_is_written_as_it_always_was_and_still_read() {
    let written: Vec<String> = lines().into_iter().map(|line| String::from_utf8(line).unwrap()).collect();
    let frozen = frozen_lines("orders-v1.jsonl", &written);
    assert_eq!(frozen, written);
    for (line, order) in frozen.iter().zip(all()) {
        assert_eq!(Order::from_line(line.as_bytes()).unwrap(), Some(order));
    }
    let kinds: Vec<_> = bodies().iter().map(OrderBody::kind).collect();
    assert_eq!(kinds, OrderBody::KINDS, "every kind has a sample");
}

#[test]
fn the_chain_over_the_frozen_orders_ends_where_it_always_did() {
    let text = fs::read_to_string(golden("orders-v1.jsonl")).unwrap();
    let head = text.lines().fold(OrderHead::START, |head, line| head.after(&log(), 2, line.as_bytes()));
    let written = vec![format!("{} {} {}", head.incarnation, head.seq, head.hash)];
    assert_eq!(frozen_lines("orders-chain-v1.txt", &written), written);
}

#[test]
fn the_frozen_orders_message_is_still_read_and_verified() {
    let (path, key_path) = (golden("orders-message-v1.txt"), golden("orders-message-v1.key"));
    if std::env::var("PESTLE_GOLDEN").is_ok_and(|value| value == "append") && !path.exists() {
        let key = samples::key();
        fs::write(&path, message(&lines(), &key)).unwrap();
        fs::write(&key_path, serde_json::to_string(key.public()).unwrap()).unwrap();
    }
    let key: VerifyingKey = serde_json::from_slice(&fs::read(key_path).unwrap()).unwrap();
    let bytes = fs::read(path).unwrap();
    let verified = Orders::parse(&bytes).unwrap().verify(&key).unwrap();
    assert_eq!(verified.before.seq, 0);
    assert_eq!(verified.orders.len(), all().len());
    assert_eq!(verified.after(), *heads(&lines()).last().unwrap());
}

#[test]
fn an_order_of_a_later_version_is_told_apart_from_a_broken_one() {
    let line = String::from_utf8(lines().remove(2)).unwrap();
    assert_eq!(Order::from_line(line.replace("stock.adjust", "stock.count").as_bytes()).unwrap(), None);
    assert_eq!(Order::from_line(line.replacen("\"v\":1", "\"v\":2", 1).as_bytes()).unwrap(), None);
    assert!(Order::from_line(line.replace("\"delta\":-3", "\"delta\":\"x\"").as_bytes()).is_err());
    assert!(Order::from_line(b"{}").is_err());
}

#[test]
fn whatever_is_wrong_with_a_message_of_orders_is_named() {
    let (key, lines) = (samples::key(), lines());
    let good = message(&lines, &key);
    let refused = |bytes: &[u8]| match Orders::parse(bytes) {
        Err(error) => error,
        Ok(orders) => orders.verify(key.public()).expect_err("nothing was found wrong"),
    };
    assert!(matches!(refused(b""), OrdersError::Header(_)));
    assert!(matches!(refused(b"\xff"), OrdersError::Text(_)));
    assert!(matches!(refused(&vec![b'x'; MESSAGE_BYTES_MAX + 1]), OrdersError::TooLong(_)));
    assert!(matches!(refused(b"{\"v\":9}\n"), OrdersError::NewerVersion(9)));
    let text = String::from_utf8(good.clone()).unwrap();
    assert!(matches!(
        refused(text.replace("\"first\":1,", "\"first\":0,").as_bytes()),
        OrdersError::Numbering { first: 0, .. }
    ));
    assert!(matches!(refused(text.replace("R-7", "R-8").as_bytes()), OrdersError::WrongHash));
    let cut = text.trim_end().rsplit_once('\n').unwrap().0;
    assert!(matches!(refused(cut.as_bytes()), OrdersError::Count { .. }));
    let long = text.replace("glass found", &"x".repeat(ORDER_BYTES_MAX));
    assert!(matches!(refused(long.as_bytes()), OrdersError::LongLine(_)));
    let foreign = Orders::parse(&good).unwrap().verify(samples::key().public());
    assert!(matches!(foreign, Err(OrdersError::WrongSignature(_))));
}

#[test]
fn a_signed_head_cannot_be_passed_off_as_the_place_where_a_new_box_begins() {
    let (key, lines) = (samples::key(), lines());
    let bytes = message(&lines, &key);
    let header = Orders::parse(&bytes).unwrap().header;
    let forged = Header { first: 6, count: 0, previous: header.hash, ..header };
    let forged = orders::build(&forged, []).unwrap();
    assert!(matches!(
        Orders::parse(&forged).unwrap().verify(key.public()),
        Err(OrdersError::WrongSignature(_))
    ));
}

#[test]
fn that_orders_begin_a_life_of_the_centre_is_said_and_signed() {
    let (key, lines) = (samples::key(), lines());
    let before = OrderHead { incarnation: 1, ..heads(&lines)[0] };
    let after = before.after(&log(), 2, &lines[1]);
    let sent = |before: OrderHead| {
        let span = Span { log: log(), before, after };
        let header = span.sign(&key, &SystemRandom::new()).unwrap();
        orders::build(&header, [lines[1].as_slice()]).unwrap()
    };
    let read = |bytes: &[u8]| Orders::parse(bytes).unwrap().verify(key.public()).map(|orders| orders.before);
    let said = String::from_utf8(sent(before)).unwrap();
    assert_eq!(read(said.as_bytes()).unwrap(), before);
    let middle = String::from_utf8(sent(OrderHead { incarnation: 2, ..before })).unwrap();
    assert!(!middle.contains("previous_incarnation"));
    assert_eq!(read(middle.as_bytes()).unwrap().incarnation, 2, "nothing is said in the middle of one");

    let field = "\"previous_incarnation\":1,";
    let hash = "\"hash\":";
    for forged in [
        said.replacen(field, "", 1),
        said.replacen(field, "\"previous_incarnation\":0,", 1),
        middle.replacen(hash, &format!("{field}{hash}"), 1),
    ] {
        assert!(matches!(read(forged.as_bytes()), Err(OrdersError::WrongSignature(_))), "{forged}");
    }
}
