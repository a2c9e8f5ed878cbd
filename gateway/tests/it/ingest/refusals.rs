//! What ingest does not take, and what it takes with care.

use pestle_domain::{
    fact::{AdjustReason, FactBody, StockAdjusted},
    ids::BatchId,
    signature::Hash,
    units::Quantity,
    wire::{batch::RefusalReason, message::Answer},
};
use uuid::Uuid;

use super::{
    branch::{Branch, signing_key},
    centre::{Centre, committed, refused},
};

#[tokio::test]
async fn a_batch_with_a_wrong_hash_or_signature_is_refused_kept_and_costs_nothing() {
    let centre = Centre::new().await;
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    let last = branch.open(10);

    let mut header = branch.header(1, last);
    header.hash = Hash::of(b"else");
    let wrong = (branch.device(), branch.with_header(&header));
    assert_eq!(refused(&centre.one(wrong.clone()).await), RefusalReason::WrongHash);
    assert_eq!(refused(&centre.one(wrong).await), RefusalReason::WrongHash);
    // A box that tries again makes another batch of the same.
    header.batch = BatchId(Uuid::now_v7());
    let retried = (branch.device(), branch.with_header(&header));
    assert_eq!(refused(&centre.one(retried).await), RefusalReason::WrongHash);

    let honest = std::mem::replace(&mut branch.key, signing_key());
    let forged = branch.batch(1, last);
    assert_eq!(refused(&centre.one(forged).await), RefusalReason::WrongSignature);
    let mut header = branch.header(1, last);
    header.key = honest.id().clone();
    let forged = (branch.device(), branch.with_header(&header));
    assert_eq!(refused(&centre.one(forged).await), RefusalReason::WrongSignature);

    let rows: Vec<(String, i64)> =
        centre.rows("SELECT reason, times FROM ingest.quarantine ORDER BY quarantine_id").await;
    assert_eq!(rows[0], ("wrong_hash".to_owned(), 3), "{rows:?}");
    assert_eq!(rows.len(), 3);
    branch.key = honest;
    assert_eq!(committed(&centre.one(branch.batch(1, last)).await), branch.head(last));
}

#[tokio::test]
async fn a_stream_that_is_not_the_device_s_own_is_refused() {
    let centre = Centre::new().await;
    let mut branch = Branch::new("north", "box-1");
    let other = Branch::new("south", "box-2");
    centre.enrol(&branch).await;
    centre.enrol(&other).await;
    let last = branch.open(10);
    let (_, message) = branch.batch(1, last);
    assert_eq!(refused(&centre.one((other.device(), message.clone())).await), RefusalReason::WrongStream);
    let nobody = ("box-9".parse().unwrap(), message);
    assert_eq!(refused(&centre.one(nobody).await), RefusalReason::NotAllowed);
    for change in [
        |branch: &mut Branch| branch.stream.term = 2,
        |branch: &mut Branch| branch.stream.branch = "south".parse().unwrap(),
        |branch: &mut Branch| branch.stream.tenant = "other".parse().unwrap(),
    ] {
        let own = branch.stream.clone();
        change(&mut branch);
        assert_eq!(refused(&centre.one(branch.batch(1, last)).await), RefusalReason::WrongStream);
        branch.stream = own;
    }
}

#[tokio::test]
async fn what_is_no_batch_of_this_version_is_refused_with_its_reason() {
    let centre = Centre::new().await;
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    let last = branch.open(10);
    let device = branch.device();
    let one = |bytes: Vec<u8>| centre.one((device.clone(), bytes));
    assert_eq!(refused(&one(b"\x00\xff no JSON".to_vec()).await), RefusalReason::Malformed);
    assert_eq!(refused(&one(b"{\"v\":2,\"form\":\"new\"}\n".to_vec()).await), RefusalReason::NewerVersion);

    branch.sell("p-1", 1);
    let split = branch.batch(last + 1, last + 2);
    assert_eq!(refused(&centre.one(split).await), RefusalReason::SplitAct);

    branch.lines.truncate(usize::try_from(last).unwrap());
    branch.lines.push(b"this is signed, and no JSON".to_vec());
    assert_eq!(refused(&centre.one(branch.batch(last + 1, last + 1)).await), RefusalReason::Malformed);
}

#[tokio::test]
async fn a_fact_that_this_version_does_not_understand_keeps_its_place_and_waits() {
    let centre = Centre::new().await;
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    let last = branch.open(10);
    let line = String::from_utf8(branch.lines[usize::try_from(last - 1).unwrap()].clone()).unwrap();
    let fresh = |line: &str| {
        let id = line.split("\"id\":\"").nth(1).unwrap()[..36].to_owned();
        line.replace(&id, &Uuid::now_v7().to_string())
    };
    branch.lines.push(fresh(&line.replace("till.opened", "till.weighed")).into_bytes());
    branch.lines.push(
        fresh(&line.replace("\"float\":{", "\"float\":{\"minor\":true,\"was\":{").replace("}}}", "}}}}"))
            .into_bytes(),
    );
    branch.adjust(i64::MAX);
    let last = branch.adjust(-3);
    assert_eq!(committed(&centre.one(branch.batch(1, last)).await), branch.head(last));

    let unfolded: Vec<(i64, String)> =
        centre.rows("SELECT seq, kind FROM ingest.fact WHERE NOT folded ORDER BY seq").await;
    let kinds: Vec<&str> = unfolded.iter().map(|(_, kind)| kind.as_str()).collect();
    assert_eq!(kinds, ["till.weighed", "till.opened", "stock.adjusted"]);
    let doubted: Vec<(i64,)> =
        centre.rows("SELECT count(*) FROM ingest.quarantine WHERE reason = 'unfolded'").await;
    assert_eq!(doubted, [(2,)], "a newer kind is no doubt, impossible data is");
    assert_eq!(centre.on_hand("north", "p-1").await, 7);
    centre.assert_books_balance().await;
}

#[tokio::test]
async fn a_fact_id_that_comes_again_has_no_second_effect_and_with_other_bytes_contradicts() {
    let centre = Centre::new().await;
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    let last = branch.open(10);
    let again = branch.adjust(-1);
    let line = branch.lines[usize::try_from(again - 1).unwrap()].clone();
    branch.lines.push(line.clone());
    let last_twice = branch.last();
    assert_eq!(committed(&centre.one(branch.batch(1, last)).await), branch.head(last));
    assert_eq!(committed(&centre.one(branch.batch(last + 1, last_twice)).await), branch.head(last_twice));
    assert_eq!(centre.on_hand("north", "p-1").await, 9);
    let repeated = branch.batch(last_twice, last_twice);
    assert_eq!(committed(&centre.one(repeated).await), branch.head(last_twice));

    branch.lines.push(String::from_utf8(line).unwrap().replace("\"delta\":-1", "\"delta\":-2").into_bytes());
    let forked = branch.batch(last_twice + 1, last_twice + 1);
    assert_eq!(refused(&centre.one(forked).await), RefusalReason::Contradicts);
    assert_eq!(centre.on_hand("north", "p-1").await, 9);
    centre.assert_books_balance().await;
}

#[tokio::test]
async fn a_text_that_no_database_can_hold_stops_nobody() {
    let centre = Centre::new().await;
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    branch.open(10);
    let note: FactBody = StockAdjusted {
        product: "p-1".parse().unwrap(),
        lot: Some("A\0".into()),
        delta: Quantity(1),
        reason: AdjustReason::Correction,
        count_wanted: false,
        note: "".into(),
    }
    .into();
    branch.write(vec![note]);
    let last = branch.adjust(-1);
    let answer = centre.one(branch.batch(1, last)).await;
    assert!(matches!(answer, Answer::Committed(_)), "{answer:?}");
    assert_eq!(centre.on_hand("north", "p-1").await, 9);
}
