//! What a journal proves of itself, with nothing but the centre's last signed word, against somebody who may write any
//! file of the box.

use std::{fs, path::Path};

use aws_lc_rs::rand::SystemRandom;
use pestle_agent::{
    commands::{
        export::{self, Exported},
        verify::{self, Verified},
    },
    journal::{
        Journal, Limits,
        mark::{Mark, MarkFile},
        witness::Witness,
    },
};
use pestle_domain::{
    fact::{Act, DeviceAttached, Fact},
    journal::{Acknowledgement, Head},
    signature::SigningKey,
    units::UnixMillis,
    wire::{batch::Batch, export::Preface},
};

use crate::journal::{act, generations, open_well, settings, signing_key, small, stamp};

/// A branch of `acts` acts of which the centre acknowledged those up to `acknowledged`; act `changed` says something else.
struct Box {
    folder: tempfile::TempDir,
    head: Head,
    ack: Option<Acknowledgement>,
}

fn a_box(acts: u128, acknowledged: u128, changed: Option<u128>, centre: &SigningKey) -> Box {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path(), small());
    let mut ack = None;
    for number in 1..=acts {
        let mut new = act(number, 2, 50);
        if changed == Some(number) {
            change(&mut new.act);
        }
        let head = journal.append_blocking(new).unwrap().head;
        if number == acknowledged {
            let stream = journal.stream().clone();
            let signed = Acknowledgement::sign(1, stream, head, centre, &SystemRandom::new()).unwrap();
            journal.acknowledge(&signed).unwrap();
            ack = Some(signed);
        }
    }
    let head = journal.head();
    journal.close_blocking();
    Box { folder, head, ack }
}

fn change(act: &mut Act) {
    let body = DeviceAttached { name: "another".into(), class: "scanner".into() }.into();
    act.facts[0] = Fact { body, ..act.facts[0].clone() };
}

fn look(folder: &Path, centre: &SigningKey) -> Verified {
    let (journal, report) = Journal::open_read_only(settings(folder, small())).unwrap();
    verify::verify(&journal, &report, |key| (key == centre.id()).then(|| centre.public())).unwrap()
}

/// Makes the mark say that all is well, with the centre's word that is given: what somebody would do who cannot sign.
fn cover_up(one: &Box, word: Option<&Acknowledgement>) {
    let path = one.folder.path().join("epoch-00001/mark");
    let witness = word.and_then(Witness::of);
    let mark = Mark { written: one.head, acknowledged: one.head, incarnation: 1, witness };
    let (mut file, _) = MarkFile::open(&path).unwrap();
    // Both slots.
    file.write(&mark).unwrap();
    file.write(&mark).unwrap();
}

#[test]
fn an_untouched_journal_is_proved_up_to_the_centres_signed_word_and_whole_behind_it() {
    let centre = signing_key();
    let one = a_box(300, 200, None, &centre);
    let verified = look(one.folder.path(), &centre);
    assert_eq!(verified.differs, Vec::<String>::new());
    let expected = "epoch 1: facts 1 to 601 are whole; up to fact 401 they are those that the centre signed";
    assert!(verified.holds[0].starts_with(expected), "{:?}", verified.holds);
}

#[test]
fn a_history_that_was_rewritten_with_a_perfect_chain_is_not_what_the_centre_signed() {
    let centre = signing_key();
    let real = a_box(100, 80, None, &centre);
    let forged = a_box(100, 0, Some(40), &centre);
    cover_up(&forged, real.ack.as_ref());
    let verified = look(forged.folder.path(), &centre);
    assert_eq!(verified.holds, Vec::<String>::new());
    assert!(
        verified.differs[0].contains("is not the one that the centre acknowledged"),
        "{:?}",
        verified.differs
    );
}

#[test]
fn a_word_that_the_centre_never_signed_is_none() {
    let (centre, stranger) = (signing_key(), signing_key());
    let forged = a_box(20, 10, Some(5), &stranger);
    let verified = look(forged.folder.path(), &centre);
    assert!(verified.differs[0].contains("which is no key of the centre"), "{:?}", verified.differs);

    let real = a_box(20, 10, None, &centre);
    let changed = Acknowledgement { head: real.head, ..real.ack.clone().unwrap() };
    cover_up(&real, Some(&changed));
    let verified = look(real.folder.path(), &centre);
    assert!(verified.differs[0].contains("was not signed by the centre"), "{:?}", verified.differs);
}

#[test]
fn facts_that_were_cut_off_and_covered_up_are_missed_since_the_centre_signed_them() {
    let centre = signing_key();
    let real = a_box(50, 50, None, &centre);
    let short = a_box(30, 0, None, &centre);
    cover_up(&short, real.ack.as_ref());
    let verified = look(short.folder.path(), &centre);
    assert!(
        verified.differs[0].contains("the centre acknowledged 101 facts, and only 61 are here"),
        "{:?}",
        verified.differs
    );
}

#[test]
fn a_life_of_the_store_that_was_taken_away_is_named_as_what_nothing_here_can_prove() {
    let centre = signing_key();
    let one = a_box(20, 10, None, &centre);
    for term in [2, 3] {
        let mut later = settings(one.folder.path(), small());
        later.stream.term = term;
        let (journal, _) = Journal::open(later, &stamp()).unwrap();
        journal.append_blocking(act(100 + u128::from(term), 1, 50)).unwrap();
        journal.close_blocking();
    }
    assert_eq!(look(one.folder.path(), &centre).unproved, Vec::<String>::new());
    fs::remove_dir_all(one.folder.path().join("epoch-00002")).unwrap();
    let verified = look(one.folder.path(), &centre);
    assert_eq!(verified.differs, Vec::<String>::new());
    assert!(
        verified.unproved[0].contains("epoch 3 began behind fact 2 of epoch 2, which is not here"),
        "{verified:?}"
    );
}

#[test]
fn facts_of_a_life_that_is_over_which_went_after_a_comparison_are_not_called_changed() {
    for acknowledged in [0, 20] {
        let centre = signing_key();
        let one = a_box(300, acknowledged, None, &centre);
        let mut later = settings(one.folder.path(), small());
        later.stream.term = 2;
        let (journal, _) = Journal::open(later, &stamp()).unwrap();
        journal.all_there(1, 1);
        journal.close_blocking();
        let first = generations(one.folder.path()).remove(0);
        fs::remove_dir_all(first).unwrap();
        let verified = look(one.folder.path(), &centre);
        assert_eq!(verified.differs, Vec::<String>::new());
        let said = &verified.unproved[0];
        assert!(said.contains("were removed, and no acknowledgement was kept that reaches so far"), "{said}");
        assert!(verified.holds[0].contains("are whole"), "{verified:?}");
    }
}

#[test]
fn a_flipped_byte_is_named_by_the_first_fact_that_it_touches() {
    let centre = signing_key();
    let one = a_box(150, 150, None, &centre);
    let log = generations(one.folder.path())[0].join("store/db");
    let mut bytes = fs::read(&log).unwrap();
    let needle = b"scanner-40\"";
    // The store's log may hold a record twice, and one good copy is enough to read it.
    let found: Vec<_> =
        (0..bytes.len() - needle.len()).filter(|at| bytes[*at..].starts_with(needle)).collect();
    assert!(!found.is_empty());
    found.into_iter().for_each(|at| bytes[at] ^= 1);
    fs::write(&log, bytes).unwrap();
    let verified = look(one.folder.path(), &centre);
    // Fact 1 opens the epoch; act 40 begins with fact 80.
    assert!(verified.differs.iter().any(|why| why.contains("epoch 1, fact 80:")), "{:?}", verified.differs);
}

#[test]
fn an_export_is_batches_that_anybody_can_verify() {
    let (centre, device) = (signing_key(), signing_key());
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { generation_facts: 50, ..small() };
    let journal = open_well(folder.path(), limits);
    for number in 1..=40 {
        journal.append_blocking(act(number, 3, 20_000)).unwrap();
    }
    let head = journal.head();
    let stream = journal.stream().clone();
    let ack = Acknowledgement::sign(1, stream, head, &centre, &SystemRandom::new()).unwrap();
    journal.acknowledge(&ack).unwrap();
    let mut file = Vec::new();
    let exported = export::export(&journal, &device, UnixMillis(1), &mut file).unwrap();
    assert_eq!(exported, Exported { facts: 121, missing: Vec::new() });

    let mut lines = file.split_inclusive(|byte| *byte == b'\n').peekable();
    let preface = Preface::parse(lines.next().unwrap()).unwrap();
    assert_eq!(preface.acknowledgements, [ack]);
    let mut reached = Head::EMPTY;
    while let Some(header) = lines.next() {
        let count: serde_json::Value = serde_json::from_slice(header).unwrap();
        let mut message = header.to_vec();
        (0..count["count"].as_u64().unwrap()).for_each(|_| message.extend_from_slice(lines.next().unwrap()));
        let batch = Batch::parse(&message).unwrap();
        assert_eq!(batch.header.before(), reached, "one batch joins the other");
        batch.verify(device.public()).unwrap();
        batch.envelopes().unwrap();
        reached = batch.header.after();
    }
    assert_eq!(reached, head);
    journal.close_blocking();
}
