//! Early copies of urgent facts: seen once, and nothing is counted from them.

use bytes::Bytes;
use pestle_domain::fact::{FactBody, StaffDenied};
use pestle_gateway::ingest::alerts::{self, AlertRow};

use super::{
    branch::{Branch, signing_key},
    centre::{Centre, committed, tenant},
};

fn locked() -> FactBody {
    let (staff, till) = ("anna".parse().unwrap(), "till-1".parse().unwrap());
    StaffDenied { staff, till, reason: "locked".into() }.into()
}

async fn seen(centre: &Centre) -> Vec<AlertRow> {
    let mut tx = centre.db.tenant(&tenant()).begin().await.unwrap();
    alerts::latest(&mut tx, 10).await.unwrap()
}

#[tokio::test]
async fn an_urgent_fact_is_seen_before_its_turn_once_and_has_its_effect_in_its_turn_alone() {
    let centre = Centre::new().await;
    let mut north = Branch::new("north", "north-1");
    centre.enrol(&north).await;
    let opened = north.open(10);
    north.sell("p-1", 2);
    let last = north.write(vec![locked()]);
    let (device, copy) = north.batch(last, last);
    let copy = Bytes::from(copy);
    assert_eq!(centre.ingest.alert(&device, copy.clone()).await.unwrap(), 1);
    assert_eq!(centre.ingest.alert(&device, copy).await.unwrap(), 0, "it was seen");
    let early = seen(&centre).await;
    assert_eq!((early.len(), early[0].early), (1, true));
    assert!(early[0].message.contains("anna is locked at till-1"), "{}", early[0].message);
    assert_eq!(centre.on_hand("north", "p-1").await, 0, "nothing is booked");
    let facts: Vec<(i64,)> = centre.rows("SELECT count(*) FROM ingest.fact").await;
    assert_eq!(facts, [(0,)]);

    let head = committed(&centre.one(north.batch(1, last)).await);
    assert_eq!((head.seq, opened < head.seq), (last, true));
    assert_eq!(seen(&centre).await, early, "its turn tells nothing new");
    // One that no copy told of is seen with its turn.
    let last = north.write(vec![locked()]);
    committed(&centre.one(north.batch(last, last)).await);
    let both = seen(&centre).await;
    assert_eq!(both.iter().filter(|row| !row.early).count(), 1);
    assert_eq!(both.len(), 2);
}

#[tokio::test]
async fn a_copy_that_the_box_did_not_sign_or_that_is_not_urgent_wakes_nobody() {
    let centre = Centre::new().await;
    let mut north = Branch::new("north", "north-1");
    centre.enrol(&north).await;
    let opened = north.open(10);
    let (device, copy) = north.batch(1, opened);
    assert_eq!(centre.ingest.alert(&device, copy.into()).await.unwrap(), 0);
    let last = north.write(vec![locked()]);
    north.key = signing_key();
    let (device, forged) = north.batch(last, last);
    assert_eq!(centre.ingest.alert(&device, forged.into()).await.unwrap(), 0);
    let nobody = "south-9".parse().unwrap();
    assert_eq!(centre.ingest.alert(&nobody, Bytes::from_static(b"{}")).await.unwrap(), 0);
    assert_eq!(seen(&centre).await, []);
}
