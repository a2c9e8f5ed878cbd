//! What the centre's records prove, against somebody who may write the database or the file that is compared.

use aws_lc_rs::rand::SystemRandom;
use pestle_domain::{
    fact::{AdjustReason, StockAdjusted},
    journal::Acknowledgement,
    signature::VerifyingKey,
    units::{Quantity, UnixMillis},
    wire::export::{EXPORT_VERSION, Preface},
};
use pestle_gateway::audit::{self, AuditError, Report};

use super::{
    branch::{Branch, signing_key},
    centre::Centre,
};

async fn verify(centre: &Centre, branch: &Branch) -> Report {
    audit::verify(&centre.db, &branch.stream.tenant, &branch.stream.branch).await.unwrap()
}

/// The file that a box would export: facts `first` to its last, in batches of three.
fn export(branch: &Branch, acknowledgements: Vec<Acknowledgement>, first: u64) -> Vec<u8> {
    let preface = Preface {
        export: EXPORT_VERSION,
        tenant: branch.stream.tenant.clone(),
        branch: branch.stream.branch.clone(),
        device: branch.device(),
        made_at: UnixMillis(1),
        acknowledgements,
    };
    let mut file = serde_json::to_vec(&preface).unwrap();
    file.push(b'\n');
    file.extend(branch.batch(first, branch.last()).1);
    file
}

async fn compare(centre: &Centre, branch: &Branch, file: &[u8]) -> Report {
    let keys: &[VerifyingKey] = std::slice::from_ref(centre.public_key());
    let stream = &branch.stream;
    audit::compare(&centre.db, &stream.tenant, &stream.branch, keys, file).await.unwrap()
}

/// An enrolled branch of which the centre has all.
async fn known(centre: &Centre) -> Branch {
    let mut branch = Branch::new("north", "box-1");
    centre.enrol(&branch).await;
    branch.open(100);
    for _ in 0..3 {
        branch.sell("p-1", 1);
    }
    let answers = centre.ingest.apply(&[branch.batch(1, 3), branch.batch(4, branch.last())]).await;
    assert_eq!(answers.len(), 2);
    branch
}

#[tokio::test]
async fn records_that_nobody_touched_are_whole_and_the_boxs_own() {
    let centre = Centre::new().await;
    let branch = known(&centre).await;
    let report = verify(&centre, &branch).await;
    let expected = format!(
        "north/box-1 term 1 ledger epoch 1: facts 1 to 12 are whole, and those that the box signed with {}",
        branch.key.id()
    );
    assert_eq!(report, Report { holds: vec![expected], ..Report::default() });
}

#[tokio::test]
async fn what_nobody_signed_is_not_proved() {
    let centre = Centre::new().await;
    let mut branch = known(&centre).await;
    // What somebody does who rewrites the records with their chain, and cannot sign.
    centre.as_owner("UPDATE ingest.stream SET head_key = NULL, head_signature = NULL").await;
    let report = verify(&centre, &branch).await;
    assert_eq!((report.holds.len(), report.unproved.len(), report.differs.len()), (0, 1, 0), "{report:?}");
    assert!(report.unproved[0].contains("no signature of the box was kept"), "{report:?}");

    // And who puts a key of their own into the box's place is seen by its name.
    let (theirs, ours) = (signing_key(), branch.key.id().clone());
    branch.key = theirs;
    let signed = branch.header(1, branch.last());
    let rewrite = format!(
        "UPDATE ingest.stream SET head_key = '{0}', head_signature = '\\x{1}';
         UPDATE fleet.device_key SET key_id = '{0}', public_key = '\\x{2}'",
        branch.key.id(),
        hex::encode(signed.signature.as_bytes()),
        hex::encode(branch.key.public().point())
    );
    centre.as_owner_says(&rewrite).await;
    let report = verify(&centre, &branch).await;
    let by = |key: &pestle_domain::signature::KeyId| report.holds[0].contains(&key.to_string());
    assert_eq!((by(branch.key.id()), by(&ours)), (true, false), "{report:?}");

    centre.as_owner("DELETE FROM ingest.fact; DELETE FROM ingest.stream").await;
    let report = verify(&centre, &branch).await;
    assert_eq!((report.holds.len(), report.unproved.len()), (0, 1), "{report:?}");
}

#[tokio::test]
async fn an_export_that_leaves_facts_out_proves_nothing_of_them() {
    let centre = Centre::new().await;
    let branch = known(&centre).await;
    let mut file = export(&branch, Vec::new(), 10);
    let preface = file.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let empty = compare(&centre, &branch, &file[..preface]).await;
    assert!(empty.unproved[0].contains("holds no facts") && empty.holds.is_empty(), "{empty:?}");
    // Facts 3 to 6, and 10 to 12: it begins late, which a box's does, and has a gap, which no box's has.
    let last = file.split_off(preface);
    file.extend(branch.batch(3, 6).1);
    file.extend(last);
    let report = compare(&centre, &branch, &file).await;
    assert_eq!(report.differs, Vec::<String>::new());
    let gap = "north/box-1 term 1 ledger epoch 1: the export lacks facts 7 to 9, so nothing is said of them";
    assert_eq!(report.unproved, [gap]);
    let held = "north/box-1 term 1 ledger epoch 1: 7 facts of the export, which begins with fact 3, are the centre's, byte for byte";
    assert_eq!(report.holds, [held]);
}

#[tokio::test]
async fn records_that_the_centre_has_lost_within_its_head_differ_from_the_export() {
    for (lost, expected) in [
        ("seq BETWEEN 4 AND 12", "fact 4: the centre lacks it"),
        ("seq = 12", "fact 12: the centre lacks it"),
        ("seq = 5", "fact 5: the centre lacks it"),
        ("seq = 3", "fact 3: the centre lacks it"),
    ] {
        let centre = Centre::new().await;
        let branch = known(&centre).await;
        centre.as_owner_says(&format!("DELETE FROM ingest.fact WHERE {lost}")).await;
        let report = compare(&centre, &branch, &export(&branch, Vec::new(), 4)).await;
        assert_eq!(report.holds, Vec::<String>::new(), "{lost}");
        assert!(report.differs[0].contains(expected), "{lost}: {:?}", report.differs);
    }
}

#[tokio::test]
async fn a_record_that_was_changed_taken_out_or_rewritten_with_its_chain_is_named() {
    for (what, change, expected) in [
        (
            "a changed byte",
            "UPDATE ingest.fact SET bytes = overlay(bytes placing '\\x58' from 20) WHERE seq = 7",
            "fact 7: its bytes are not those that were hashed",
        ),
        (
            "a missing record",
            "DELETE FROM ingest.fact WHERE seq = 7",
            "fact 7: it is missing; the next that is there is 8",
        ),
        ("a missing end", "DELETE FROM ingest.fact WHERE seq > 9", "fact 10: facts 10 to 12 are missing"),
        (
            "a head that was turned back with the records",
            "DELETE FROM ingest.fact WHERE seq > 9;
             UPDATE ingest.stream SET head_seq = 9, head_hash = (SELECT hash FROM ingest.fact WHERE seq = 9)",
            "a fact from 1 to 9 is not what the box signed",
        ),
    ] {
        let centre = Centre::new().await;
        let branch = known(&centre).await;
        centre.as_owner(change).await;
        let report = verify(&centre, &branch).await;
        assert_eq!(report.holds, Vec::<String>::new(), "{what}");
        assert!(report.differs[0].contains(expected), "{what}: {:?}", report.differs);
    }
}

#[tokio::test]
async fn an_export_is_compared_record_by_record_and_what_still_waits_is_no_difference() {
    let centre = Centre::new().await;
    let mut branch = known(&centre).await;
    let word = Acknowledgement::sign(
        1,
        branch.stream.clone(),
        branch.head(12),
        centre.signing_key(),
        &SystemRandom::new(),
    );
    branch.sell("p-2", 2);
    let report = compare(&centre, &branch, &export(&branch, vec![word.unwrap()], 4)).await;
    assert_eq!(report.differs, Vec::<String>::new());
    assert_eq!(
        report.holds,
        [
            "north/box-1 term 1 ledger epoch 1: what was acknowledged up to fact 12 (life 1) is here",
            "north/box-1 term 1 ledger epoch 1: 9 facts of the export, which begins with fact 4, are the centre's, byte for \
             byte; facts 13 to 15 have not reached the centre yet"
        ]
    );
}

#[tokio::test]
async fn the_first_record_in_which_the_branch_and_the_centre_differ_is_named() {
    let centre = Centre::new().await;
    let mut branch = known(&centre).await;
    // The box's own key signs another history: a box that was taken over, or a store that was restored and written on.
    let line = String::from_utf8(branch.lines[6].clone()).unwrap().replace("\"receipt\"", "\"Receipt\"");
    branch.lines[6] = line.into_bytes();
    let report = compare(&centre, &branch, &export(&branch, Vec::new(), 1)).await;
    assert_eq!(report.holds, Vec::<String>::new());
    assert!(
        report.differs[0].contains("epoch 1, fact 7: the branch has sale.completed"),
        "{:?}",
        report.differs
    );
}

#[tokio::test]
async fn what_the_box_or_the_centre_never_signed_proves_nothing() {
    let centre = Centre::new().await;
    let branch = known(&centre).await;
    let stranger = signing_key();
    let forged =
        Acknowledgement::sign(1, branch.stream.clone(), branch.head(12), &stranger, &SystemRandom::new());
    let report = compare(&centre, &branch, &export(&branch, vec![forged.unwrap()], 1)).await;
    assert!(report.differs[0].contains("which is no key of this centre"), "{:?}", report.differs);

    let mut other = Branch::new("north", "box-1");
    other.write(vec![
        StockAdjusted {
            product: "p-1".parse().unwrap(),
            lot: None,
            delta: Quantity(1),
            reason: AdjustReason::Correction,
            count_wanted: false,
            note: "".into(),
        }
        .into(),
    ]);
    let report = compare(&centre, &branch, &export(&other, Vec::new(), 1)).await;
    assert!(report.differs[0].contains("which is no key of this box"), "{:?}", report.differs);
}

#[tokio::test]
async fn a_centre_that_was_restored_is_told_by_the_words_that_it_gave_before() {
    let centre = Centre::new().await;
    let branch = known(&centre).await;
    let ahead = Acknowledgement::sign(
        1,
        branch.stream.clone(),
        pestle_domain::journal::Head { seq: 20, ..branch.head(12) },
        centre.signing_key(),
        &SystemRandom::new(),
    );
    let report = compare(&centre, &branch, &export(&branch, vec![ahead.unwrap()], 1)).await;
    assert!(
        report.differs[0]
            .contains("fact 13: the centre acknowledged facts up to 20 in its life 1, and has only 12"),
        "{:?}",
        report.differs
    );
}

#[tokio::test]
async fn an_export_of_another_branch_is_not_compared() {
    let centre = Centre::new().await;
    let branch = known(&centre).await;
    let south = Branch::new("south", "box-2");
    let keys = std::slice::from_ref(centre.public_key());
    let stream = &south.stream;
    let file = export(&branch, Vec::new(), 1);
    let refused = audit::compare(&centre.db, &stream.tenant, &stream.branch, keys, &file[..]).await;
    assert!(matches!(refused, Err(AuditError::OtherBranch { .. })));
}
