//! What facts say of orders: done, refused, done after all, lost by a restore, done twice.

use pestle_domain::{
    fact::{FactBody, OrderRefused, OrdersJoined},
    order::{Order, OrderHead, OrderHow},
};
use pestle_gateway::{
    db::Tx,
    orders::{
        issue::{self as issuing, NotIssued, Whom},
        read,
    },
};

use super::desk::{Desk, adjust, applied, id, issue, lifting, only, recall};
use crate::ingest::centre::tenant;

fn refused(at: OrderHead, line: &str, named: bool) -> FactBody {
    let order = Order::from_line(line.as_bytes()).unwrap().unwrap().id;
    OrderRefused {
        at,
        order: named.then_some(order),
        kind: "stock.adjust".into(),
        reason: "not_understood".into(),
        detail: "this agent does not know it".into(),
        agent: "0.1.0".into(),
        line: line.into(),
    }
    .into()
}

#[tokio::test]
async fn an_order_waits_is_refused_and_is_done_after_an_upgrade() {
    let mut desk = Desk::new().await;
    for number in 1..=3 {
        desk.order(number, adjust(1)).await;
    }
    let orders = desk.sent(OrderHead::START).await.unwrap().orders;
    let waiting = |number| (id(number), "waiting".to_owned());
    assert_eq!(desk.open().await, [waiting(1), waiting(2), waiting(3)]);
    let body = |index: usize, how| applied(orders[index].0, &orders[index].1, how);
    desk.report(vec![body(0, OrderHow::InTurn)]).await;
    desk.report(vec![refused(orders[1].0, &orders[1].1, true)]).await;
    // One that the box could not even read is told by its place.
    desk.report(vec![refused(orders[2].0, &orders[2].1, false)]).await;
    let troubled = |number| (id(number), "refused".to_owned());
    let mut open = desk.open().await;
    open.sort();
    assert_eq!(open, [troubled(2), troubled(3)]);
    desk.report(vec![body(1, OrderHow::Retried)]).await;
    desk.report(vec![body(2, OrderHow::Retried)]).await;
    assert_eq!(desk.open().await, []);
}

#[tokio::test]
async fn an_order_that_a_restore_lost_is_shown_and_adopted_under_its_own_id() {
    let mut desk = Desk::new().await;
    desk.order(1, adjust(1)).await;
    desk.order(2, adjust(7)).await;
    let orders = desk.sent(OrderHead::START).await.unwrap().orders;
    desk.restore(1).await;
    for (at, line) in &orders {
        desk.report(vec![applied(*at, line, OrderHow::InTurn)]).await;
    }
    assert_eq!(desk.open().await, [(id(2), "lost".to_owned())]);

    desk.adopt(id(2)).await.unwrap();
    assert_eq!(desk.open().await, []);
    let again = desk.sent(orders[1].0).await.unwrap();
    assert_eq!((again.before.hash, &again.orders[0].1), (orders[0].0.hash, &orders[1].1));
    assert_eq!(again.after().incarnation, 2);
    // The box notes that it knows it, and has done it once.
    desk.report(vec![applied(again.after(), &again.orders[0].1, OrderHow::Known)]).await;
    assert_eq!(desk.open().await, []);
}

#[tokio::test]
async fn an_order_that_two_boxes_or_an_old_copy_did_is_shown_as_done_twice() {
    let mut desk = Desk::new().await;
    desk.order(1, adjust(1)).await;
    let (at, line) = desk.sent(OrderHead::START).await.unwrap().orders.remove(0);
    desk.report(vec![applied(at, &line, OrderHow::InTurn)]).await;
    desk.report(vec![applied(at, &line, OrderHow::InTurn)]).await;
    assert_eq!(desk.open().await, [(id(1), "twice".to_owned())]);
}

#[tokio::test]
async fn an_order_that_was_lost_and_done_twice_is_shown_as_both() {
    let mut desk = Desk::new().await;
    desk.order(1, adjust(1)).await;
    let (at, line) = desk.sent(OrderHead::START).await.unwrap().orders.remove(0);
    desk.restore(0).await;
    for _ in 0..2 {
        desk.report(vec![applied(at, &line, OrderHow::InTurn)]).await;
    }
    let mut open = desk.open().await;
    open.sort();
    assert_eq!(open, [(id(1), "lost".to_owned()), (id(1), "twice".to_owned())]);
    desk.adopt(id(1)).await.unwrap();
    assert_eq!(desk.open().await, [(id(1), "twice".to_owned())]);
}

#[tokio::test]
async fn recalls_that_were_lost_with_their_ends_hold_as_they_did_in_whichever_order_they_are_adopted() {
    let orders = [
        recall("R-1"),
        lifting("R-1"),
        recall("R-2"),
        lifting("R-2"),
        recall("R-2"),
        recall("R-3"),
        lifting("R-3"),
    ];
    // As the console lists them, the other way round, the last of a recall before its first and behind it.
    for (adopted, told) in [
        ([1, 2, 3, 4, 5, 6, 7], false),
        ([1, 2, 3, 4, 5, 6, 7], true),
        ([7, 6, 5, 4, 3, 2, 1], true),
        ([5, 2, 1, 7, 4, 3, 6], false),
        ([4, 3, 6, 5, 2, 7, 1], true),
    ] {
        let mut desk = Desk::new().await;
        desk.order(9, adjust(1)).await;
        for (number, body) in (1..).zip(&orders) {
            desk.order(number, body.clone()).await;
        }
        let orders = desk.sent(OrderHead::START).await.unwrap().orders;
        desk.restore(1).await;
        desk.as_root("DELETE FROM catalogue.recall").await;
        for (at, line) in &orders {
            desk.report(vec![applied(*at, line, OrderHow::InTurn)]).await;
        }
        let mut stands = orders.last().unwrap().0;
        for order in adopted {
            desk.adopt(id(order)).await.unwrap();
            // The box may have it from its new place before the next is adopted.
            if told {
                let again = desk.sent(stands).await.unwrap();
                stands = again.after();
                for (at, line) in &again.orders {
                    desk.report(vec![applied(*at, line, OrderHow::Known)]).await;
                }
            }
        }
        assert_eq!(desk.recalled("north").await, ["R-2"], "{adopted:?}, told: {told}");
        assert_eq!(desk.open().await, []);
    }
}

#[tokio::test]
async fn a_recall_that_was_issued_for_a_branch_and_then_for_all_is_in_force_once_both_are_adopted() {
    let mut desk = Desk::new().await;
    desk.order(9, adjust(1)).await;
    for (number, whom) in [(1, only(&["north"])), (2, Whom::All)] {
        assert!(issue(&desk.centre.db, (id(number), recall("R-1")), whom).await.unwrap());
    }
    let orders = desk.sent(OrderHead::START).await.unwrap().orders;
    desk.restore(1).await;
    desk.as_root("DELETE FROM catalogue.recall").await;
    for (at, line) in &orders {
        desk.report(vec![applied(*at, line, OrderHow::InTurn)]).await;
    }
    desk.adopt(id(1)).await.unwrap();
    desk.adopt(id(2)).await.unwrap();
    assert_eq!(desk.recalled("north").await, ["R-1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_adopt_an_order_at_once_one_hears_that_it_was_done() {
    let mut desk = Desk::new().await;
    desk.order(1, adjust(7)).await;
    let (at, line) = desk.sent(OrderHead::START).await.unwrap().orders.remove(0);
    desk.restore(0).await;
    desk.report(vec![applied(at, &line, OrderHow::InTurn)]).await;
    let adopt = async |tx: &mut Tx| {
        let order = Order::from_line(line.as_bytes()).unwrap().unwrap();
        let (north, line) = ("north".parse().unwrap(), line.as_bytes().to_vec());
        issuing::adopt(tx, &tenant(), &north, (order, line), "Somebody").await
    };
    let acme = tenant();
    let db = desk.centre.db.tenant(&acme);
    let (mut one, mut other) = (db.begin().await.unwrap(), db.begin().await.unwrap());
    adopt(&mut one).await.unwrap();
    // The other waits for the first, whose transaction is not over.
    let (_, late) = tokio::join!(one.commit(), adopt(&mut other));
    assert!(matches!(late, Err(NotIssued::Overtaken)), "{late:?}");
    drop(other);
    // And so does who comes when it stands in the log already, and had looked before that.
    let mut last = db.begin().await.unwrap();
    assert!(matches!(adopt(&mut last).await, Err(NotIssued::Overtaken)));
    assert_eq!(desk.open().await, []);
}

#[tokio::test]
async fn what_a_box_refused_its_successor_has_by_its_snapshot_whichever_word_comes_first() {
    for refused_late in [false, true] {
        let mut desk = Desk::new().await;
        desk.order(1, adjust(1)).await;
        desk.order(2, recall("R-1")).await;
        let orders = desk.sent(OrderHead::START).await.unwrap().orders;
        desk.report(vec![applied(orders[0].0, &orders[0].1, OrderHow::InTurn)]).await;
        let (at, line) = &orders[1];
        let mut told = vec![refused(*at, line, true), OrdersJoined { at: *at }.into()];
        if refused_late {
            told.reverse();
        }
        for one in told {
            desk.report(vec![one]).await;
        }
        assert_eq!(desk.open().await, [], "refused late: {refused_late}");
    }
}

#[tokio::test]
async fn what_was_refused_before_a_box_began_anew_is_to_be_ordered_anew_and_is_not_done_twice() {
    for refused_late in [false, true] {
        let mut desk = Desk::new().await;
        desk.order(1, adjust(1)).await;
        desk.order(2, adjust(2)).await;
        let orders = desk.sent(OrderHead::START).await.unwrap().orders;
        let ((first, one), (second, two)) = (orders[0].clone(), orders[1].clone());
        let mut told = vec![
            refused(first, &one, true),
            applied(second, &two, OrderHow::InTurn),
            OrdersJoined { at: second }.into(),
        ];
        if refused_late {
            told.reverse();
        }
        for one in told {
            desk.report(vec![one]).await;
        }
        assert_eq!(desk.open().await, [(id(1), "left_behind".to_owned())], "refused late: {refused_late}");
        // A box without orders is not sent the first, since it would do the second again with it.
        assert_eq!(desk.sent(OrderHead::START).await.unwrap().orders, []);
        let mut tx = desk.centre.db.tenant(&tenant()).begin().await.unwrap();
        let filter = read::OrderFilter { order: Some(id(1).0), ..read::OrderFilter::default() };
        let (rows, _) = read::orders(&mut tx, &filter, 1, 0).await.unwrap();
        assert_eq!((&*rows[0].branches[0].state, &*rows[0].branches[0].reason), ("refused", "left_behind"));
        drop(tx);
        // What the new box refuses itself it tries again itself.
        desk.order(3, adjust(3)).await;
        let (third, three) = desk.sent(second).await.unwrap().orders.remove(0);
        desk.report(vec![refused(third, &three, true)]).await;
        assert!(desk.open().await.contains(&(id(3), "refused".to_owned())));
    }
}

#[tokio::test]
async fn what_was_refused_before_a_restore_is_left_behind_by_a_box_that_began_anew_after_it() {
    let mut desk = Desk::new().await;
    for number in 1..=5 {
        desk.order(number, adjust(1)).await;
    }
    let orders = desk.sent(OrderHead::START).await.unwrap().orders;
    desk.restore(1).await;
    desk.order(6, adjust(1)).await;
    let joined = desk.sent(orders[0].0).await.unwrap().after();
    assert!(joined.incarnation > orders[4].0.incarnation && joined.seq < orders[4].0.seq);
    desk.report(vec![refused(orders[4].0, &orders[4].1, true)]).await;
    assert!(desk.open().await.contains(&(id(5), "refused".to_owned())));
    desk.report(vec![OrdersJoined { at: joined }.into()]).await;
    assert!(desk.open().await.contains(&(id(5), "left_behind".to_owned())));
}

#[tokio::test]
async fn what_was_judged_is_not_read_again_for_what_is_open() {
    let mut desk = Desk::new().await;
    for number in 1..=3 {
        desk.order(number, adjust(1)).await;
    }
    let orders = desk.sent(OrderHead::START).await.unwrap().orders;
    desk.report(vec![applied(orders[0].0, &orders[0].1, OrderHow::InTurn)]).await;
    desk.report(vec![refused(orders[1].0, &orders[1].1, false)]).await;
    let flags: Vec<(i64, bool)> = desk.centre.rows("SELECT seq, settled FROM orders.log ORDER BY seq").await;
    assert_eq!(flags, [(1, true), (2, true), (3, false)]);
}
