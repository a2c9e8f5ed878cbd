//! What facts say of orders: done, refused, done after all, lost by a restore, done twice.

use pestle_domain::{
    fact::{FactBody, OrderRefused},
    order::{Order, OrderHead, OrderHow},
};
use pestle_gateway::orders::{issue, read};

use super::desk::{Desk, adjust, applied, id};
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
    desk.as_root(
        "DELETE FROM orders.log WHERE seq > 1; DELETE FROM orders.issued WHERE order_id = '00000000-0000-0000-0000-000000000002';
         UPDATE orders.head h SET seq = 1, hash = (SELECT hash FROM orders.log WHERE seq = 1);
         SELECT ingest.raise_incarnation();",
    )
    .await;
    for (at, line) in &orders {
        desk.report(vec![applied(*at, line, OrderHow::InTurn)]).await;
    }
    assert_eq!(desk.open().await, [(id(2), "lost".to_owned())]);

    let (db, north) = (&desk.centre.db, "north".parse().unwrap());
    let mut tx = db.tenant(&tenant()).begin().await.unwrap();
    let line = read::lost(&mut tx, "north", id(2)).await.unwrap().unwrap();
    assert_eq!(line, orders[1].1.as_bytes());
    let order = Order::from_line(&line).unwrap().unwrap();
    issue::adopt(&mut tx, &tenant(), &north, (&order, &line), "Somebody").await.unwrap();
    tx.commit().await.unwrap();
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
async fn a_box_with_other_orders_than_a_centre_whose_incarnation_was_not_raised_is_shown() {
    let desk = Desk::new().await;
    for number in 1..=2 {
        desk.order(number, adjust(1)).await;
    }
    let ahead = desk.sent(OrderHead::START).await.unwrap().after();
    let forks = async || {
        let mut tx = desk.centre.db.tenant(&tenant()).begin().await.unwrap();
        read::forks(&mut tx).await.unwrap().len()
    };
    desk.sent(ahead).await;
    assert_eq!(forks().await, 0);
    desk.as_root(
        "DELETE FROM orders.log WHERE seq > 1; UPDATE orders.head h SET seq = 1, hash = (SELECT hash FROM orders.log WHERE seq = 1)",
    )
    .await;
    assert_eq!(desk.sent(ahead).await, None);
    assert_eq!(forks().await, 1);
    desk.as_root("SELECT ingest.raise_incarnation()").await;
    assert_eq!(forks().await, 0, "after a restore in order a box may be ahead");
}
