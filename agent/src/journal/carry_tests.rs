//! What a carrying over takes along, leaves out by name, and survives.

use super::*;
use crate::journal::{
    Settings,
    testing::{Fault, act, clear_faults, set_fault, stamp, stream},
};

fn settings(folder: &Path) -> Settings {
    let limits = Limits { generation_facts: 7, ..Limits::default() };
    Settings { folder: folder.to_owned(), stream: stream(), limits }
}

fn open(folder: &Path) -> Journal {
    let (journal, report) = Journal::open(settings(folder), &stamp()).unwrap();
    assert_eq!(report.findings, []);
    journal
}

/// Every act but those that open epochs: its lines and its attachment.
fn contents(journal: &Journal) -> Vec<(ActId, Vec<Vec<u8>>, Vec<u8>)> {
    let mut found = Vec::new();
    let all = journal.for_each(Place::START, |_, act| -> Result<(), JournalError> {
        if act_is_carried(act) {
            let lines = act.lines().map(<[u8]>::to_vec).collect();
            found.push((act.act, lines, act.attachment().to_vec()));
        }
        Ok(())
    });
    all.unwrap();
    found
}

fn written(folder: &Path, acts: u128) -> Vec<(ActId, Vec<Vec<u8>>, Vec<u8>)> {
    let journal = open(folder);
    for number in 1..=acts {
        let attachment = vec![7; usize::try_from(number).unwrap()];
        journal.append_blocking(super::super::NewAct { act: act(number, 3), attachment }).unwrap();
    }
    let contents = contents(&journal);
    journal.close_blocking();
    contents
}

#[test]
fn every_act_stands_in_the_new_epoch_once_as_it_was_and_the_old_one_is_aside_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let before = written(folder.path(), 9);
    let journal = open(folder.path());
    let old = journal.epochs().pop().unwrap();
    let built = build(&journal, 5, &stamp()).unwrap();
    assert_eq!(contents(&journal), before, "building changes nothing");
    journal.close_blocking();
    let bytes = folder_bytes(&epoch_folder(folder.path(), 1)).unwrap();
    swap(folder.path(), 5, &built.epochs).unwrap();
    let journal = open(folder.path());
    assert_eq!(contents(&journal), before);
    let epochs = journal.epochs();
    let [new] = epochs.as_slice() else { panic!("{epochs:?}") };
    assert_eq!((new.stream.epoch, new.store, new.head), (5, built.store, built.head));
    assert_eq!(new.parent, Some(Parent { epoch: 1, head: old.head, store: old.store }));
    assert_eq!(new.carried, [Carried { epoch: 1, first: 1, last: old.head.seq }]);
    assert_eq!(new.acknowledged, Head::EMPTY, "the centre has nothing of it yet");
    let aside = folder.path().join("aside/before-00005/epoch-00001");
    assert_eq!(folder_bytes(&aside).unwrap(), bytes);
    // It goes on, and so does the next start.
    journal.append_blocking(act(100, 1).into()).unwrap();
    journal.close_blocking();
    let journal = open(folder.path());
    assert_eq!(journal.stream().epoch, 5);
    assert_eq!(contents(&journal).len(), before.len() + 1);
}

#[test]
fn a_swap_that_the_power_cuts_off_anywhere_is_finished_by_the_next_one() {
    // The renames of a swap, each of which may be the last that reached the disk.
    for done in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let lane = folder.path();
        let before = written(lane, 4);
        let journal = open(lane);
        let built = build(&journal, 2, &stamp()).unwrap();
        journal.close_blocking();
        let aside = lane.join("aside/before-00002");
        if done >= 1 {
            fs::create_dir_all(&aside).unwrap();
            fs::rename(lane.join("epoch-00001"), aside.join("epoch-00001")).unwrap();
        }
        if done >= 2 {
            fs::rename(lane.join("building/epoch-00002"), lane.join("epoch-00002")).unwrap();
        }
        for _ in 0..2 {
            swap(lane, 2, &built.epochs).unwrap();
        }
        let journal = open(lane);
        assert_eq!((contents(&journal), journal.stream().epoch), (before, 2), "{done}");
        assert!(!lane.join("building").exists() && aside.join("epoch-00001").exists());
    }
}

#[test]
fn a_build_that_was_cut_off_begins_again_and_what_is_given_up_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let before = written(folder.path(), 4);
    let journal = open(folder.path());
    let first = build(&journal, 3, &stamp()).unwrap();
    let again = build(&journal, 3, &stamp()).unwrap();
    assert_ne!(first.store, again.store, "another store");
    assert_eq!(first.acts, again.acts);
    give_up(folder.path()).unwrap();
    journal.close_blocking();
    let journal = open(folder.path());
    assert_eq!((contents(&journal), journal.stream().epoch), (before, 1));
    assert!(!folder.path().join("building").exists());
}

#[test]
fn what_was_carried_is_carried_again_and_its_ranges_are_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let before = written(folder.path(), 3);
    for number in [4, 9] {
        let journal = open(folder.path());
        let built = build(&journal, number, &stamp()).unwrap();
        journal.close_blocking();
        swap(folder.path(), number, &built.epochs).unwrap();
    }
    let journal = open(folder.path());
    assert_eq!(contents(&journal), before);
    let epochs: Vec<u32> = journal.epochs()[0].carried.iter().map(|range| range.epoch).collect();
    assert_eq!(epochs, [1, 4]);
}

#[test]
fn the_facts_of_another_branch_are_left_where_they_are() {
    let own = stream();
    assert!(may_carry(&Stream { device: "box-2".parse().unwrap(), term: 2, epoch: 9, ..own.clone() }, &own));
    assert!(!may_carry(&Stream { branch: "south".parse().unwrap(), ..own.clone() }, &own));
    assert!(!may_carry(&Stream { tenant: "other".parse().unwrap(), ..own.clone() }, &own));
}

#[test]
fn acts_that_cannot_be_read_and_are_no_finding_yet_are_not_left_behind() {
    let folder = tempfile::tempdir().unwrap();
    let before = written(folder.path(), 9);
    let journal = open(folder.path());
    let first = folder.path().join("epoch-00001/generation-0000000000000001");
    set_fault(&first, Fault::Read(0));
    let refused = build(&journal, 5, &stamp());
    clear_faults(&first);
    assert!(
        matches!(refused, Err(JournalError::Hole { epoch: 1, .. } | JournalError::Store(_))),
        "{refused:?}"
    );
    journal.close_blocking();
    let (journal, _) = Journal::open(settings(folder.path()), &stamp()).unwrap();
    assert_eq!(contents(&journal), before, "the journal is as it was");
}

#[test]
fn the_new_epoch_does_not_say_that_it_holds_what_is_known_to_be_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let before = written(folder.path(), 9);
    let damaged = folder.path().join("epoch-00001/generation-0000000000000001");
    let journal = open(folder.path());
    set_fault(&damaged, Fault::Read(0));
    assert!(matches!(build(&journal, 5, &stamp()), Err(JournalError::Hole { .. })), "nobody knew of it");
    let end = journal.epochs()[0].head.seq;
    let built = build(&journal, 5, &stamp()).unwrap();
    let [hole] = built.left_out.as_slice() else { panic!("{:?}", built.left_out) };
    assert_eq!(
        usize::try_from(built.acts).unwrap(),
        before.len() - usize::try_from(hole.to + 1 - hole.from).unwrap() / 3
    );
    journal.close_blocking();
    clear_faults(&damaged);
    swap(folder.path(), 5, &built.epochs).unwrap();
    let (journal, _) = Journal::open(settings(folder.path()), &stamp()).unwrap();
    let carried = journal.epochs().pop().unwrap().carried;
    let of_first: Vec<_> = carried.into_iter().filter(|range| range.epoch == 1).collect();
    assert_eq!(
        of_first,
        [
            Carried { epoch: 1, first: 1, last: hole.from - 1 },
            Carried { epoch: 1, first: hole.to + 1, last: end }
        ]
    );
}

/// Starts twice more, as a box does between what it found and a person's decision: the first start tells it.
fn told_and_started_again(folder: &Path) -> Journal {
    let (journal, report) = Journal::open(settings(folder), &stamp()).unwrap();
    assert_ne!(report.findings, [], "it is told");
    journal.findings_told(&report);
    journal.close_blocking();
    open(folder)
}

#[test]
fn what_was_damaged_and_told_long_ago_keeps_nobody_from_going_on() {
    let folder = tempfile::tempdir().unwrap();
    let before = written(folder.path(), 9);
    fs::remove_dir_all(folder.path().join("epoch-00001/generation-0000000000000008")).unwrap();
    let journal = told_and_started_again(folder.path());
    let built = build(&journal, 5, &stamp()).unwrap();
    let [BoxBooksIncomplete { epoch: 1, from: 8, to }] = built.left_out[..] else {
        panic!("{:?}", built.left_out)
    };
    assert_eq!(usize::try_from(built.acts).unwrap(), before.len() - usize::try_from(to + 1 - 8).unwrap() / 3);
    journal.close_blocking();
}

#[test]
fn a_hole_between_two_acts_that_are_read_at_once_is_left_out_by_name_and_only_once_it_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let before = written(folder.path(), 9);
    // The epoch's first act has one fact, each other one three: facts 2 to 4 are damaged.
    let log = folder.path().join("epoch-00001/generation-0000000000000001/store/db");
    let mut bytes = fs::read(&log).unwrap();
    let second = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"PJ2\n")).nth(1).unwrap();
    bytes[second + 40] ^= 1;
    fs::write(&log, bytes).unwrap();
    let journal = open(folder.path());
    let refused = build(&journal, 5, &stamp());
    assert!(matches!(refused, Err(JournalError::Hole { epoch: 1, from: 2, to: 4, .. })), "{refused:?}");
    journal.close_blocking();

    let journal = told_and_started_again(folder.path());
    let end = journal.epochs()[0].head.seq;
    let built = build(&journal, 5, &stamp()).unwrap();
    assert_eq!(built.left_out, [BoxBooksIncomplete { epoch: 1, from: 2, to: 4 }]);
    assert_eq!(usize::try_from(built.acts).unwrap(), before.len() - 1);
    journal.close_blocking();
    swap(folder.path(), 5, &built.epochs).unwrap();
    let (journal, _) = Journal::open(settings(folder.path()), &stamp()).unwrap();
    assert_eq!(contents(&journal), before[1..]);
    let of_first: Vec<_> =
        journal.epochs().pop().unwrap().carried.into_iter().filter(|range| range.epoch == 1).collect();
    assert_eq!(
        of_first,
        [Carried { epoch: 1, first: 1, last: 1 }, Carried { epoch: 1, first: 5, last: end }]
    );
}
