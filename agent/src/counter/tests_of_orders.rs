//! The centre's orders at the counter, without a clock, a disk or a broker.

use pestle_domain::{
    fact::FactBody,
    ids::OrderId,
    order::{Order, OrderBody, OrderHead, OrderLog, RecallIssued, RecallLifted, StockAdjust},
    units::{Quantity, UnixMillis},
    wire::orders::VerifiedOrders,
};
use uuid::Uuid;

use super::{
    machine::Event,
    testing::{Rig, pack_of, shop_of, snapshot},
};

fn log() -> OrderLog {
    OrderLog { tenant: "acme".parse().unwrap(), branch: "north".parse().unwrap() }
}

/// Orders behind `before`, each with its own number as its id.
fn orders(before: OrderHead, bodies: Vec<(u128, OrderBody)>) -> VerifiedOrders {
    let mut head = before;
    let orders = bodies.into_iter().map(|(number, body)| {
        let order =
            Order { id: OrderId(Uuid::from_u128(number)), issued_at: UnixMillis(5), by: "x".into(), body };
        let line = String::from_utf8(order.to_line().unwrap()).unwrap();
        head = head.after(&log(), 1, line.as_bytes());
        (head, line.into())
    });
    let orders = orders.collect();
    VerifiedOrders { before: OrderHead { incarnation: 1, ..before }, orders }
}

fn recall() -> RecallIssued {
    RecallIssued {
        reference: "R-9".into(),
        product: "p-1".parse().unwrap(),
        lot: Some("A".into()),
        reason: "glass found".into(),
        issued: "2026-11-21".parse().unwrap(),
    }
}

fn adjust(delta: i64) -> StockAdjust {
    StockAdjust {
        product: "p-1".parse().unwrap(),
        lot: Some("A".into()),
        delta: Quantity(delta),
        reason: "counted".into(),
    }
}

fn on_hand(rig: &Rig) -> i64 {
    rig.branch.books.ledger.on_hand(&"p-1".parse().unwrap()).0
}

#[test]
fn a_recall_stops_a_basket_that_lies_on_the_counter_and_every_later_scan() {
    let mut rig = Rig::open();
    rig.scan(1, &pack_of(1, "1728010110A^21S1"));
    rig.branch.settings.buzzers = vec!["printer-1".into()];
    rig.hear(Event::Orders(orders(OrderHead::START, vec![(1, recall().into())])));
    assert_eq!(rig.view(1).basket.unwrap().lines[0].recalled, None, "not before the disk has it");
    rig.commit();
    for number in [1, 2] {
        rig.refused_with(number, "Recall R-9: Article 1, lot A, must not be sold");
    }
    assert_eq!(rig.ordered, ["printer-1 beep"]);
    assert_eq!(rig.view(1).basket.unwrap().lines[0].recalled.as_deref(), Some("R-9"));
    let refused = rig.pay(1, 1_000).unwrap_err();
    assert!(refused.message.contains("is recalled (R-9): glass found"), "{}", refused.message);
    rig.scan(2, &pack_of(1, "1728010110A^21S2"));
    rig.refused_with(2, "is recalled (R-9)");
    rig.scan(2, &pack_of(1, "1728010110B^21S2"));
    assert_eq!(rig.view(2).basket.unwrap().lines.len(), 1, "another lot is sold");

    // After a restart, with the snapshot of before.
    let mut rig = rig.restart();
    rig.sign_in(1, "anna", true).unwrap();
    assert_eq!(rig.view(1).basket.unwrap().lines[0].recalled.as_deref(), Some("R-9"));
    rig.hear(Event::Shop(shop_of(snapshot(&[], "v"))));
    assert_eq!(
        rig.view(1).basket.unwrap().lines[0].recalled.as_deref(),
        Some("R-9"),
        "nor does it fall away"
    );
    let mut newer = snapshot(&[], "v");
    newer.orders = Some(rig.branch.orders_state().head);
    rig.hear(Event::Shop(shop_of(newer)));
    assert_eq!(rig.view(1).basket.unwrap().lines[0].recalled, None, "the snapshot knows better");
}

#[test]
fn a_recall_that_is_lifted_lets_the_packs_be_sold_again() {
    let mut rig = Rig::open();
    let lifted = RecallLifted {
        reference: "R-9".into(),
        product: "p-1".parse().unwrap(),
        lot: Some("A".into()),
        reason: "another maker".into(),
    };
    let all = orders(OrderHead::START, vec![(1, recall().into()), (2, lifted.into())]);
    rig.hear(Event::Orders(all));
    rig.commit();
    rig.scan(1, &pack_of(1, "1728010110A^21S1"));
    assert_eq!(rig.view(1).basket.unwrap().lines.len(), 1);
}

#[test]
fn an_adjustment_and_that_it_was_done_are_one_act_and_doubled_messages_do_nothing() {
    let mut rig = Rig::open();
    let both = orders(OrderHead::START, vec![(1, adjust(5).into()), (2, adjust(-1).into())]);
    rig.hear(Event::Orders(both.clone()));
    rig.hear(Event::Orders(both.clone()));
    assert_eq!(rig.branch.orders_state().head, OrderHead::START, "the head moves with the disk");
    assert_eq!(rig.pending.len(), 1, "one at a time");
    rig.commit();
    assert_eq!((on_hand(&rig), rig.branch.orders_state().head), (2 + 4, both.after()));
    let last: Vec<_> = rig.journal.last().unwrap().0.iter().map(|fact| fact.body.kind()).collect();
    assert_eq!(last, ["order.applied", "stock.adjusted"]);
    rig.hear(Event::Orders(both.clone()));
    rig.commit();
    assert_eq!(on_hand(&rig), 6);
    let mut rig = rig.restart();
    rig.hear(Event::Orders(both.clone()));
    rig.commit();
    assert_eq!((on_hand(&rig), rig.branch.orders_state().head), (6, both.after()));
}

#[test]
fn an_order_that_the_disk_did_not_take_is_done_when_it_comes_again() {
    let mut rig = Rig::open();
    let one = orders(OrderHead::START, vec![(1, adjust(5).into())]);
    rig.hear(Event::Orders(one.clone()));
    let (commit, ..) = rig.pending.remove(0);
    rig.hear(Event::Appended(commit, Err("not recorded; the disk is full".into())));
    assert_eq!((on_hand(&rig), rig.branch.orders_state().head), (2, OrderHead::START));
    rig.hear(Event::Orders(one.clone()));
    rig.commit();
    assert_eq!((on_hand(&rig), rig.branch.orders_state().head), (7, one.after()));
}

#[test]
fn after_an_order_of_which_nobody_knows_whether_it_was_done_none_is_done_until_the_next_start() {
    let mut rig = Rig::open();
    let one = orders(OrderHead::START, vec![(1, adjust(5).into())]);
    rig.hear(Event::Orders(one.clone()));
    let (commit, ..) = rig.pending.remove(0);
    rig.hear(Event::Appended(commit, Err("perhaps recorded, perhaps not: the disk failed".into())));
    assert!(rig.branch.orders_state().trouble.as_deref().unwrap().contains("perhaps"));
    rig.hear(Event::Orders(one));
    assert!(rig.pending.is_empty());
}

#[test]
fn orders_that_join_nothing_are_not_done_and_a_person_is_told_when_it_stays_so() {
    let mut rig = Rig::open();
    let first = orders(OrderHead::START, vec![(1, adjust(1).into())]);
    let later = orders(first.after(), vec![(2, adjust(1).into())]);
    for _ in 0..3 {
        assert_eq!(rig.branch.orders_state().trouble, None);
        rig.hear(Event::Orders(later.clone()));
    }
    assert!(rig.pending.is_empty());
    assert!(rig.branch.orders_state().trouble.as_deref().unwrap().contains("call support"));
    rig.hear(Event::Orders(first));
    rig.commit();
    assert_eq!(rig.branch.orders_state().trouble, None);
}

#[test]
fn a_refused_order_of_an_earlier_version_is_tried_again_at_the_next_start() {
    let mut rig = Rig::open();
    let mut newer = orders(OrderHead::START, vec![(1, adjust(5).into())]);
    let line = newer.orders[0].1.replace("\"v\":1", "\"v\":2");
    newer.orders[0] = (OrderHead::START.after(&log(), 1, line.as_bytes()), line.into());
    rig.hear(Event::Orders(newer));
    rig.commit();
    assert_eq!(on_hand(&rig), 2);
    // What an earlier version refused, in words that this one knows.
    for (facts, _) in &mut rig.journal {
        for fact in facts {
            if let FactBody::OrderRefused(refused) = &mut fact.body {
                refused.agent = "0.9.0".into();
                refused.line = refused.line.replace("\"v\":2", "\"v\":1").into();
            }
        }
    }
    let mut rig = rig.restart();
    rig.hear(Event::Tick);
    rig.commit();
    assert_eq!((on_hand(&rig), rig.branch.orders_state().head.seq), (7, 1));
    let mut rig = rig.restart();
    rig.hear(Event::Tick);
    rig.commit();
    assert_eq!(on_hand(&rig), 7, "once");
}

#[test]
fn a_refused_order_whose_second_try_the_disk_did_not_take_is_tried_again_with_the_next_tick() {
    let mut rig = Rig::open();
    let line = {
        let newer = orders(OrderHead::START, vec![(1, adjust(5).into())]);
        newer.orders[0].1.replace("\"v\":1", "\"v\":2")
    };
    let at = OrderHead::START.after(&log(), 1, line.as_bytes());
    let before = OrderHead { incarnation: 1, ..OrderHead::START };
    rig.hear(Event::Orders(VerifiedOrders { before, orders: vec![(at, line.into())] }));
    rig.commit();
    for fact in rig.journal.iter_mut().flat_map(|(facts, _)| facts) {
        if let FactBody::OrderRefused(refused) = &mut fact.body {
            (refused.agent, refused.line) =
                ("0.9.0".into(), refused.line.replace("\"v\":2", "\"v\":1").into());
        }
    }
    let mut rig = rig.restart();
    rig.hear(Event::Tick);
    let (commit, ..) = rig.pending.remove(0);
    rig.hear(Event::Appended(commit, Err("not recorded; the disk is full".into())));
    assert!(rig.pending.is_empty(), "not at once: the disk has just refused");
    rig.hear(Event::Tick);
    rig.commit();
    assert_eq!(on_hand(&rig), 7);
}
