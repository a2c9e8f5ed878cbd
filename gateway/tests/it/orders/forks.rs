//! Boxes that have other orders than their branch's log: which are shown, and what is said of them.

use pestle_domain::order::OrderHead;
use pestle_gateway::orders::read;

use super::desk::{Desk, adjust, id, issue, only};
use crate::ingest::centre::tenant;

const NONE: Vec<(String, String)> = Vec::new();

fn seen(device: &str, why: &str) -> Vec<(String, String)> {
    vec![(device.to_owned(), why.to_owned())]
}

/// Box and reason.
async fn forks(desk: &Desk) -> Vec<(String, String)> {
    let mut tx = desk.centre.db.tenant(&tenant()).begin().await.unwrap();
    read::forks(&mut tx).await.unwrap().into_iter().map(|row| (row.device_id, row.why)).collect()
}

#[tokio::test]
async fn a_box_with_other_orders_than_a_centre_whose_incarnation_was_not_raised_is_shown() {
    let desk = Desk::new().await;
    for number in 1..=2 {
        desk.order(number, adjust(1)).await;
    }
    let ahead = desk.sent(OrderHead::START).await.unwrap().after();
    desk.sent(ahead).await;
    assert_eq!(forks(&desk).await, NONE);
    desk.as_root(
        "DELETE FROM orders.log WHERE seq > 1; UPDATE orders.head h SET seq = 1, hash = (SELECT hash FROM orders.log WHERE seq = 1)",
    )
    .await;
    assert_eq!(desk.sent(ahead).await, None);
    assert_eq!(forks(&desk).await, seen("north-1", "same_life"));
    desk.as_root("SELECT ingest.raise_incarnation()").await;
    assert_eq!(forks(&desk).await, NONE, "after a restore in order a box may be ahead");
}

#[tokio::test]
async fn a_box_with_the_orders_of_another_branch_is_told_apart_from_a_restore_without_a_raised_incarnation() {
    let mut desk = Desk::new().await;
    let south = desk.south().await;
    issue(&desk.centre.db, (id(1), adjust(1)), only(&["south"])).await.unwrap();
    let north = std::mem::replace(&mut desk.north, south);
    let theirs = desk.sent(OrderHead::START).await.unwrap().after();
    desk.north = north;
    assert_eq!(desk.sent(theirs).await, None);
    assert_eq!(forks(&desk).await, seen("north-1", "another_branch"));
    // It is so whatever restores there were since.
    desk.as_root("SELECT ingest.raise_incarnation()").await;
    assert_eq!(forks(&desk).await, seen("north-1", "another_branch"));
}

#[tokio::test]
async fn a_box_that_was_replaced_or_revoked_has_no_orders_that_anybody_should_see_to() {
    for end in [
        "INSERT INTO fleet.device (tenant_id, device_id, branch_id, term, key_id, enrolled_at)
         VALUES ('acme', 'north-2', 'north', 2, 'x', now())",
        "UPDATE fleet.device SET revoked_at = now()",
    ] {
        let desk = Desk::new().await;
        desk.order(1, adjust(1)).await;
        let mut elsewhere = desk.sent(OrderHead::START).await.unwrap().after();
        elsewhere.hash.0[0] ^= 1;
        desk.sent(elsewhere).await;
        assert_eq!(forks(&desk).await, seen("north-1", "same_life"));
        desk.as_root(end).await;
        assert_eq!(forks(&desk).await, NONE, "{end}");
    }
}

#[tokio::test]
async fn a_box_that_does_not_go_on_after_a_restore_is_shown_once_it_had_time_to() {
    let desk = Desk::new().await;
    desk.order(1, adjust(1)).await;
    desk.order(2, adjust(2)).await;
    let ahead = desk.sent(OrderHead::START).await.unwrap().after();
    desk.restore(1).await;
    assert_eq!(desk.sent(ahead).await, None);
    desk.order(3, adjust(3)).await;
    desk.sent(ahead).await.unwrap();
    let heard = async |ago: &str| {
        desk.as_root(&format!(
            "INSERT INTO fleet.presence (tenant_id, device_id, last_seen) VALUES ('acme', 'north-1', now() - interval '{ago}')
             ON CONFLICT (tenant_id, device_id) DO UPDATE SET last_seen = excluded.last_seen"
        ))
        .await;
    };
    heard("0 minutes").await;
    assert_eq!(forks(&desk).await, NONE, "it was just told");
    desk.as_root(
        "UPDATE orders.issued SET issued_at = issued_at - interval '1 hour';
         UPDATE orders.place SET at = at - interval '1 hour'",
    )
    .await;
    heard("59 minutes").await;
    assert_eq!(forks(&desk).await, NONE, "it was not heard of since");
    heard("1 minute").await;
    assert_eq!(forks(&desk).await, seen("north-1", "does_not_join"));
    // It goes on.
    let on = desk.sent(ahead).await.unwrap().after();
    assert_eq!(desk.sent(on).await, None);
    assert_eq!(forks(&desk).await, NONE);
}
