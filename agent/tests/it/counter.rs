//! The counter with a real journal under it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail as the test does"
)]

use std::time::Duration;

use axum::http::StatusCode;
use pestle_agent::journal::{JournalError, Place};
use pestle_domain::fact::Envelope;
use serde_json::json;

use crate::branch::{Branch, PIN};

fn kinds(branch: &Branch) -> Vec<String> {
    let mut kinds = Vec::new();
    let read = branch.ledger.for_each(Place::START, |_, act| -> Result<(), JournalError> {
        kinds.extend(act.lines().map(|line| Envelope::parse(line).unwrap().kind.into_owned()));
        Ok(())
    });
    read.unwrap();
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_is_in_the_journal_when_it_is_answered_and_known_after_a_restart() {
    let mut branch = Branch::new().await;
    branch.open_till("till-1").await;
    branch.scan("till-1").await;
    branch.scan("till-1").await;
    let state = branch.state("till-1").await;
    assert_eq!(state["phase"], "selling");
    assert_eq!(state["basket"]["lines"][0]["quantity"], 2);
    assert_eq!(state["basket"]["total"], json!({"minor": 998, "currency": "GBP"}));
    let pay = branch.payment("till-1", "10.00").await;
    let answer = branch.done("till-1", "pay", pay.clone()).await;
    assert_eq!(answer["data"]["done"], "sold");
    assert_eq!(answer["data"]["receipt"], json!({"till": "till-1", "epoch": 1, "number": 1}));
    assert_eq!(answer["data"]["change"]["minor"], 2);
    // This till has no drawer.
    let sold = ["stock.adjusted", "sale.completed", "till.received", "stock.sold"];
    let all = tokio::task::block_in_place(|| kinds(&branch));
    assert!(all.ends_with(&sold.map(str::to_owned)), "{all:?}");

    for kill in [false, true] {
        branch = if kill { branch.die().await } else { branch.restart().await };
        branch.done("till-1", "sign-in", json!({"staff": "anna", "pin": PIN})).await;
        let again = branch.done("till-1", "pay", pay.clone()).await;
        assert_eq!(again["data"], answer["data"], "a repeat is the same sale");
        assert_eq!(branch.state("till-1").await["session"]["sales"], 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_basket_that_was_not_paid_is_back_after_a_restart() {
    let mut branch = Branch::new().await;
    branch.open_till("till-2").await;
    branch.scan("till-2").await;
    let act = branch.state("till-2").await["basket"]["act"].clone();
    let mut branch = branch.restart().await;
    let state = branch.state("till-2").await;
    assert_eq!((&state["phase"], &state["basket"]), (&json!("sign_in"), &json!(null)));
    branch.done("till-2", "sign-in", json!({"staff": "anna", "pin": PIN})).await;
    let state = branch.state("till-2").await;
    assert_eq!(state["basket"]["act"], act);
    assert!(state["notice"]["text"].as_str().unwrap().contains("your basket is back"), "{state}");
}

/// From one pack to the next, for a person in a hurry.
const HAND: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_takes_no_pack_that_was_scanned_at_a_hands_pace() {
    let mut branch = Branch::new().await;
    branch.open_till("till-1").await;
    for _ in 0..4 {
        branch.scan("till-1").await;
        // The hand's pace itself, which is what the promise is about.
        tokio::time::sleep(HAND).await;
    }
    let mut branch = branch.die().await;
    branch.done("till-1", "sign-in", json!({"staff": "anna", "pin": PIN})).await;
    assert_eq!(branch.state("till-1").await["basket"]["packs"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_pin_is_refused_and_recorded() {
    let mut branch = Branch::new().await;
    let (status, answer) = branch.post("till-1", "sign-in", json!({"staff": "anna", "pin": "0000"})).await;
    assert_eq!((status, &answer["error"]), (StatusCode::UNAUTHORIZED, &json!("AUTHENTICATION")));
    // The denial is appended before the answer is made, so a later act stands behind it.
    branch.open_till("till-1").await;
    let all = tokio::task::block_in_place(|| kinds(&branch));
    assert!(all.contains(&"staff.denied".to_owned()), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_disk_takes_nothing_the_person_is_told_and_the_basket_stays() {
    let mut branch = Branch::new().await;
    branch.open_till("till-1").await;
    branch.scan("till-1").await;
    let basket = branch.state("till-1").await["basket"].clone();
    branch.ledger.close().await;
    let pay = branch.payment("till-1", "5.00").await;
    let (status, answer) = branch.post("till-1", "pay", pay).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer["message"].as_str().unwrap().starts_with("Not recorded"), "{answer}");
    assert_eq!(branch.state("till-1").await["basket"], basket);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_tills_that_pay_at_the_same_moment_both_end_right() {
    let mut branch = Branch::new().await;
    for till in ["till-1", "till-2"] {
        branch.open_till(till).await;
    }
    for round in 1..=20u64 {
        let mut pays = Vec::new();
        for till in ["till-1", "till-2"] {
            branch.scan(till).await;
            pays.push((till, branch.payment(till, "5").await));
        }
        let asked = pays.into_iter().map(|(till, pay)| {
            let counter = branch.counter.clone();
            let request = branch.request(till, pay);
            async move { counter.ask(request).await }
        });
        for answer in futures::future::join_all(asked).await {
            let done = serde_json::to_value(answer.unwrap().done).unwrap();
            assert_eq!(done["receipt"]["number"], round);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_watches_the_counters_loop_hears_of_its_end() {
    let branch = crate::branch::Branch::new().await;
    let counter = branch.counter.clone();
    assert!(counter.is_alive());
    let watched = tokio::spawn({
        let counter = counter.clone();
        async move { counter.ended().await }
    });
    assert!(!watched.is_finished());
    branch.counter.stop().await;
    tokio::time::timeout(std::time::Duration::from_secs(10), watched).await.unwrap().unwrap();
    assert!(!counter.is_alive());
}
