//! The log of a branch: written by several gateways, pulled by heads, joined after a restore.

use pestle_domain::{
    ids::OrderId,
    order::{CatalogueChanged, OrderHead, OrderLog},
};
use pestle_gateway::orders::issue::{NotIssued, Whom};
use uuid::Uuid;

use super::desk::{Desk, adjust, applied, id, issue, only, recall};
use crate::ingest::centre::tenant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_that_write_at_the_same_time_keep_every_chain_unbroken() {
    let desk = Desk::new().await;
    desk.south().await;
    let gateways = (0..4).map(|gateway| {
        let db = desk.centre.db.clone();
        tokio::spawn(async move {
            for number in 0..10 {
                let whom = match number % 3 {
                    0 => Whom::Some(vec!["south".parse().unwrap()]),
                    _ => Whom::All,
                };
                issue(&db, (OrderId(Uuid::now_v7()), adjust(gateway * 10 + number + 1)), whom).await.unwrap();
            }
        })
    });
    for gateway in futures::future::join_all(gateways).await {
        gateway.unwrap();
    }
    for (branch, orders) in [("north", 24), ("south", 40)] {
        let log = OrderLog { tenant: tenant(), branch: branch.parse().unwrap() };
        let mut tx = desk.centre.db.tenant(&tenant()).begin().await.unwrap();
        let rows: Vec<(i64, Vec<u8>, Vec<u8>)> = sqlx::query_as(
            "SELECT l.seq, l.hash, i.bytes FROM orders.log l JOIN orders.issued i USING (tenant_id, order_id)
             WHERE branch_id = $1 ORDER BY seq",
        )
        .bind(branch)
        .fetch_all(&mut *tx)
        .await
        .unwrap();
        let mut head = OrderHead::START;
        for (seq, hash, bytes) in &rows {
            head = head.after(&log, 1, bytes);
            assert_eq!((*seq, &hash[..]), (i64::try_from(head.seq).unwrap(), &head.hash.0[..]), "{branch}");
        }
        assert_eq!(rows.len(), orders, "{branch}");
    }
}

#[tokio::test]
async fn the_same_order_again_is_written_once_and_another_under_its_id_is_refused() {
    let desk = Desk::new().await;
    let db = &desk.centre.db;
    assert!(issue(db, (id(1), adjust(5)), Whom::All).await.unwrap());
    assert!(!issue(db, (id(1), adjust(5)), Whom::All).await.unwrap());
    assert!(matches!(issue(db, (id(1), adjust(6)), Whom::All).await, Err(NotIssued::Taken(_))));
    let nowhere = Whom::Some(vec!["nowhere".parse().unwrap()]);
    assert!(matches!(issue(db, (id(2), adjust(5)), nowhere).await, Err(NotIssued::NoBranch(_))));
    assert_eq!(desk.sent(OrderHead::START).await.unwrap().orders.len(), 1);
}

#[tokio::test]
async fn the_same_id_for_other_branches_is_another_order_and_never_believed_to_be_written() {
    let desk = Desk::new().await;
    desk.south().await;
    let db = &desk.centre.db;
    let (north, south, both) = (only(&["north"]), only(&["south"]), only(&["south", "north", "south"]));
    let taken =
        async |order, whom: &Whom| matches!(issue(db, order, whom.clone()).await, Err(NotIssued::Taken(_)));
    assert!(issue(db, (id(1), adjust(5)), north.clone()).await.unwrap());
    assert!(!issue(db, (id(1), adjust(5)), north.clone()).await.unwrap());
    for whom in [&south, &both, &Whom::All] {
        assert!(taken((id(1), adjust(5)), whom).await, "{whom:?}");
    }
    assert!(issue(db, (id(2), recall("R-1")), both.clone()).await.unwrap());
    assert!(
        !issue(db, (id(2), recall("R-1")), only(&["north", "south"])).await.unwrap(),
        "in whichever order"
    );
    assert!(taken((id(2), recall("R-1")), &Whom::All).await, "all are those of later too");
    assert_eq!(desk.recalled("south").await, ["R-1"]);
    assert!(issue(db, (id(3), recall("R-2")), Whom::All).await.unwrap());

    // What was issued before this was kept is for those in whose logs it stands.
    desk.as_root("UPDATE orders.issued SET whom = NULL").await;
    assert!(!issue(db, (id(1), adjust(5)), north.clone()).await.unwrap());
    assert!(taken((id(1), adjust(5)), &south).await);
    assert!(!issue(db, (id(3), recall("R-2")), Whom::All).await.unwrap());
    assert!(taken((id(3), recall("R-2")), &north).await);
}

#[tokio::test]
async fn a_repeat_for_all_is_a_repeat_also_after_a_branch_was_added() {
    let desk = Desk::new().await;
    let db = &desk.centre.db;
    assert!(issue(db, (id(1), recall("R-1")), Whom::All).await.unwrap());
    desk.south().await;
    assert!(!issue(db, (id(1), recall("R-1")), Whom::All).await.unwrap());
    assert_eq!(desk.recalled("south").await, ["R-1"]);
}

#[tokio::test]
async fn any_gateway_sends_what_is_behind_the_stated_head_and_nothing_to_who_has_it_or_knows_no_orders() {
    let desk = Desk::new().await;
    assert_eq!(desk.sent(OrderHead::START).await, None);
    for number in 1..=3 {
        desk.order(number, adjust(1)).await;
    }
    let all = desk.sent(OrderHead::START).await.unwrap();
    assert_eq!((all.before, all.orders.len()), (OrderHead { incarnation: 1, ..OrderHead::START }, 3));
    let other = desk.centre.another_gateway();
    let rest = desk.sent_by(&other, Some(all.orders[0].0)).await.unwrap();
    assert_eq!(rest.orders, all.orders[1..]);
    assert_eq!(desk.sent(all.after()).await, None);
    assert_eq!(desk.sent_by(&other, None).await, None);
    // A box of the branch that came later writes for it now.
    desk.as_root(
        "INSERT INTO fleet.device (tenant_id, device_id, branch_id, term, key_id, enrolled_at)
         VALUES ('acme', 'north-2', 'north', 2, 'x', now())",
    )
    .await;
    assert_eq!(desk.sent(OrderHead::START).await, None);
}

#[tokio::test]
async fn a_long_log_comes_in_messages_that_a_broker_takes() {
    let desk = Desk::new().await;
    let mut tx = desk.centre.db.tenant(&tenant()).begin().await.unwrap();
    for number in 1..=450 {
        let order = (id(number), adjust(1));
        pestle_gateway::orders::issue::issue(&mut tx, &tenant(), order, &Whom::All, &super::desk::writer())
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let (mut head, mut messages, mut orders) = (OrderHead::START, 0, 0);
    while let Some(run) = desk.sent(head).await {
        assert_eq!(run.before.seq, head.seq);
        (head, messages, orders) = (run.after(), messages + 1, orders + run.orders.len());
    }
    assert_eq!((messages, orders), (3, 450));
}

#[tokio::test]
async fn a_restored_centre_goes_on_from_its_own_last_order_and_sends_that_to_a_box_that_is_ahead() {
    let desk = Desk::new().await;
    for number in 1..=3 {
        desk.order(number, adjust(1)).await;
    }
    let before = desk.sent(OrderHead::START).await.unwrap();
    let ahead = before.after();
    desk.as_root(
        "DELETE FROM orders.log WHERE seq > 2; DELETE FROM orders.issued WHERE order_id = '00000000-0000-0000-0000-000000000003';
         UPDATE orders.head h SET seq = 2, hash = (SELECT hash FROM orders.log WHERE seq = 2);
         SELECT ingest.raise_incarnation();",
    )
    .await;
    assert_eq!(desk.sent(ahead).await, None, "nothing is new");
    desk.order(4, adjust(1)).await;
    desk.order(5, adjust(1)).await;
    let after = desk.sent(ahead).await.unwrap();
    assert_eq!((after.before.seq, after.before.hash), (2, before.orders[1].0.hash));
    assert_eq!(after.orders.len(), 2);
    assert!(after.orders.iter().all(|(head, _)| head.incarnation == 2));
    // One that was behind gets first what was written before the restore, and then the rest.
    let first = desk.sent(before.orders[0].0).await.unwrap();
    assert_eq!(first.orders, before.orders[1..2]);
    assert_eq!(desk.sent(first.after()).await.unwrap().orders, after.orders);
}

#[tokio::test]
async fn a_new_box_begins_behind_what_its_snapshot_has_and_what_another_box_did() {
    let mut desk = Desk::new().await;
    desk.order(1, adjust(1)).await;
    desk.order(2, CatalogueChanged { version: 1 }.into()).await;
    let all = desk.sent(OrderHead::START).await.unwrap();
    assert_eq!(all.orders.len(), 2, "nobody has done the first");
    let (at, line) = all.orders[0].clone();
    desk.report(vec![applied(at, &line, pestle_domain::order::OrderHow::InTurn)]).await;
    let there = desk.sent(OrderHead::START).await.unwrap();
    assert!(there.orders.is_empty());
    assert_eq!((there.before.seq, there.before.hash), (2, all.after().hash));
    desk.order(3, adjust(1)).await;
    let there = desk.sent(OrderHead::START).await.unwrap();
    assert_eq!((there.before.seq, there.orders.len()), (2, 0), "and is sent the third from there");
    desk.report(vec![pestle_domain::fact::OrdersJoined { at: there.before }.into()]).await;
    assert_eq!(desk.open().await, [(id(3), "waiting".to_owned())], "the second came by the snapshot");
    assert_eq!(desk.sent(there.before).await.unwrap().orders.len(), 1);
}
