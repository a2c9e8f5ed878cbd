//! Facts that people are told of: urgent ones early, as copies, from which nothing is counted; all of them once, in words.

use std::time::{Duration, Instant};

use bytes::Bytes;
use pestle_domain::{
    fact::{DeviceFault, FactBody, InputChanged, PlaceChanged, ReadingMissed, StaffDenied},
    journal::Lane,
    staff::Role,
    units::UnixMillis,
};
use pestle_gateway::{
    ingest::alerts::{self, AlertRow},
    testing,
};
use sqlx::{Connection as _, PgConnection};

use super::{
    branch::{Branch, signing_key},
    centre::{Centre, committed, tenant},
    whole::Wired,
};
use crate::platform::client::{enrolled, seed};

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
    let twice = vec![(device.clone(), copy.clone()), (device, copy)];
    assert_eq!(centre.ingest.early(twice.clone()).await, 1);
    assert_eq!(centre.ingest.early(twice).await, 0, "it was seen");
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

fn fridge(state: &str, detail: &str) -> FactBody {
    let (place, trouble) = ("vaccines".into(), "too_warm".into());
    PlaceChanged { place, trouble, state: state.into(), detail: detail.into() }.into()
}

#[tokio::test]
async fn a_fridge_is_told_by_its_name_with_trouble_and_temperature_and_what_can_wait_comes_behind_what_is_urgent()
 {
    let centre = Centre::new().await;
    let mut north = Branch::new("north", "north-1");
    centre.enrol(&north).await;
    north.open(10);
    north.write(vec![fridge("began", "9.2 °C is above 8.0 °C: shut its door")]);
    let mains = ("fridge-1-mains".into(), "power".into());
    north.write(vec![
        InputChanged { input: mains.0, kind: mains.1, state: "away".into(), reason: None }.into(),
    ]);
    north.write(vec![fridge("ended", "5.1 °C")]);
    let (name, class) = ("scanner-1".into(), "device".into());
    let reason = "it comes and goes too often".into();
    north.write(vec![DeviceFault { name, class, reason }.into()]);
    // What a counter sees itself is not news at the centre.
    let (name, class) = ("receipts".into(), "printer".into());
    let last = north.write(vec![DeviceFault { name, class, reason: "no paper".into() }.into()]);
    committed(&centre.one(north.batch(1, last)).await);

    let mut readings = north.copy_up_to(0);
    readings.stream.lane = Lane::Telemetry;
    let missed = ReadingMissed {
        sensor: "air".into(),
        from: UnixMillis(1_795_250_000_000),
        to: UnixMillis(1_795_250_600_000),
        lasted_ms: 600_000,
        cause: "box_off".into(),
        reason: None,
    };
    readings.write(vec![missed.into()]);
    committed(&centre.one(readings.batch(1, 1)).await);

    let told = seen(&centre).await;
    // That the fridge was too warm is over: it can wait.
    let (goes_on, rest) = told.split_at(1);
    assert!(goes_on[0].urgent && goes_on[0].message.starts_with("the mains are away"), "{told:?}");
    assert!(rest.iter().all(|row| row.urgent == row.ended_ms.is_some()), "{told:?}");
    assert_eq!(rest.iter().filter(|row| row.urgent).count(), 1);
    let mut words: Vec<&str> = told.iter().map(|row| row.message.as_str()).collect();
    words.sort_unstable();
    assert_eq!(
        words,
        [
            "no readings of air from 2026-11-21 08:33 UTC to 2026-11-21 08:43 UTC: the box was off",
            "scanner-1: it comes and goes too often",
            "the mains are away at fridge-1-mains: what hangs on them does not cool. Call the branch",
            "vaccines: too warm (9.2 °C is above 8.0 °C: shut its door)",
            "vaccines: too warm, which has ended (5.1 °C)",
        ]
    );
    // Only what is urgent may come before its turn.
    let last = north.write(vec![fridge("ended", "")]);
    let (device, copy) = north.batch(last, last);
    assert_eq!(centre.ingest.early(vec![(device, copy.into())]).await, 0);
}

#[tokio::test]
async fn an_end_is_for_what_began_before_it_and_not_for_a_copy_of_what_began_behind_it() {
    let centre = Centre::new().await;
    let mut north = Branch::new("north", "north-1");
    centre.enrol(&north).await;
    north.open(10);
    let power = |state: &str| -> FactBody {
        let (input, kind) = ("mains".into(), "power".into());
        InputChanged { input, kind, state: state.into(), reason: None }.into()
    };
    // Two days without the centre, in which the mains went, came back, and went again; and a second contact, which did not.
    let first = north.write(vec![power("away")]);
    let other =
        InputChanged { input: "cellar".into(), kind: "power".into(), state: "away".into(), reason: None };
    north.write(vec![other.into()]);
    let end = north.write(vec![power("here")]);
    let again = north.write(vec![power("away")]);
    let goes_on = async || -> Vec<String> {
        let rows = seen(&centre).await;
        assert!(rows.is_sorted_by_key(|row| row.ended_ms.is_some()), "what has ended comes last: {rows:?}");
        rows.into_iter().filter(|row| row.ended_ms.is_none()).map(|row| row.message).collect()
    };
    // The copies come first, each alone.
    for seq in [first, again] {
        let (device, copy) = north.batch(seq, seq);
        assert_eq!(centre.ingest.early(vec![(device, copy.into())]).await, 1);
    }
    assert!(seen(&centre).await.iter().all(|row| row.wall_ms.is_some() && row.ended_ms.is_none()));
    committed(&centre.one(north.batch(1, end)).await);
    let open = goes_on().await;
    assert_eq!(open.len(), 2, "the first has ended, the cellar and the second have not: {open:?}");
    committed(&centre.one(north.batch(again, again)).await);
    assert_eq!(goes_on().await, open, "its turn changes nothing");
    let last = north.write(vec![power("here")]);
    committed(&centre.one(north.batch(last, last)).await);
    let open = goes_on().await;
    assert!(open.len() == 1 && open[0].contains("cellar"), "{open:?}");
}

#[tokio::test]
async fn a_copy_that_the_box_did_not_sign_or_that_is_not_urgent_wakes_nobody() {
    let centre = Centre::new().await;
    let mut north = Branch::new("north", "north-1");
    centre.enrol(&north).await;
    let opened = north.open(10);
    let (device, copy) = north.batch(1, opened);
    assert_eq!(centre.ingest.early(vec![(device, copy.into())]).await, 0);
    let last = north.write(vec![locked()]);
    north.key = signing_key();
    let (device, forged) = north.batch(last, last);
    let nobody = "south-9".parse().unwrap();
    let copies = vec![(device, forged.into()), (nobody, Bytes::from_static(b"{}"))];
    assert_eq!(centre.ingest.early(copies).await, 0);
    assert_eq!(centre.ingest.metrics().strays.get(), 2);
    assert_eq!(seen(&centre).await, []);
}

#[tokio::test]
async fn copies_that_come_while_the_database_is_away_wait_for_it_once_and_are_counted() {
    let centre = Centre::new().await;
    let mut north = Branch::new("north", "north-1");
    centre.enrol(&north).await;
    let mut copies = Vec::new();
    for _ in 0..5 {
        let last = north.write(vec![locked()]);
        let (device, copy) = north.batch(last, last);
        copies.push((device, Bytes::from(copy)));
    }
    // Whose box that is is known then, and whose this is is not.
    assert_eq!(centre.ingest.early(copies[..1].to_vec()).await, 1);
    let mut south = Branch::new("south", "south-1");
    centre.enrol(&south).await;
    let last = south.write(vec![locked()]);
    let (device, copy) = south.batch(last, last);
    copies.push((device, Bytes::from(copy)));
    centre.lock_out().await;
    let began = Instant::now();
    assert_eq!(centre.ingest.early(copies.clone()).await, 0);
    // The pool gives up after three seconds, for whose it is and for what it says; one wait for each copy would be eighteen.
    assert!(began.elapsed() < Duration::from_secs(14), "{:?}", began.elapsed());
    assert_eq!(centre.ingest.metrics().alerts_lost.get(), 6);
    centre.let_in().await;
    assert_eq!(centre.ingest.early(copies).await, 5);
}

/// How many transactions wait for the table of alerts.
async fn waiting(watcher: &mut PgConnection) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FROM pg_locks WHERE relation = 'ingest.alert'::regclass AND NOT granted",
    )
    .fetch_one(watcher)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_waits_for_no_early_copy() {
    let gateway = testing::gateway().await;
    seed(&gateway, Role::Manager).await;
    let enrolled = enrolled(&gateway).await;
    let mut wired = Wired::new(&gateway, &enrolled).await;
    let opened = wired.branch.open(10);
    committed(&wired.send(1, opened).await);
    let last = wired.branch.write(vec![locked()]);
    // Nothing can be noted, for as long as this holds the table.
    let mut root = PgConnection::connect_with(&gateway.database.root()).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE ingest.alert IN ACCESS EXCLUSIVE MODE")
        .execute(&mut root)
        .await
        .unwrap();
    let mut watcher = PgConnection::connect_with(&gateway.database.root()).await.unwrap();
    wired.say("up/alert", wired.branch.batch(last, last).1).await;
    let deadline = Instant::now() + Duration::from_secs(20);
    while waiting(&mut watcher).await == 0 {
        assert!(Instant::now() < deadline, "the copy reaches the database");
        wired.poll_for(Duration::from_millis(20)).await;
    }
    // And more than the broker may have on its way to the gateway: those that find no room are counted.
    for _ in 0..20 {
        for _ in 0..10 {
            wired.say("up/alert", wired.branch.batch(last, last).1).await;
        }
        wired.poll_for(Duration::from_millis(10)).await;
    }
    let sold = wired.branch.sell("p-1", 1);
    // The other lane, since the urgent fact's own turn in the ledger writes into that table too.
    let mut other = pestle_domain::journal::Stream { lane: Lane::Telemetry, ..wired.branch.stream.clone() };
    std::mem::swap(&mut wired.branch.stream, &mut other);
    let lines = std::mem::take(&mut wired.branch.lines);
    let opened = wired.branch.open(1);
    let (_, telemetry) = wired.branch.batch(1, opened);
    wired.say("up/telemetry", telemetry).await;
    assert_eq!(committed(&wired.answer().await).seq, opened);
    assert_eq!(waiting(&mut watcher).await, 1, "and the copy waits on");
    sqlx::raw_sql("COMMIT").execute(&mut root).await.unwrap();
    (wired.branch.stream, wired.branch.lines) = (other, lines);
    committed(&wired.send(last, sold).await);
}

#[tokio::test]
async fn urgent_facts_that_nobody_is_shown_any_more_go_at_last() {
    let centre = Centre::new().await;
    let mut north = Branch::new("north", "north-1");
    centre.enrol(&north).await;
    let count = async || -> i64 { centre.rows::<(i64,)>("SELECT count(*) FROM ingest.alert").await[0].0 };
    for (age, left) in [("0 days", 1), ("2 days", 2), ("36 days", 1)] {
        let last = north.write(vec![locked()]);
        committed(&centre.one(north.batch(last, last)).await);
        assert_eq!(count().await, left, "{age}");
        centre
            .as_owner(match age {
                "0 days" => "UPDATE ingest.alert SET at = at - interval '2 days'",
                _ => "UPDATE ingest.alert SET at = at - interval '36 days'",
            })
            .await;
    }
}
