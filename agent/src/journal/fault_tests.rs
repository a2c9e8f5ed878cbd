//! The journal on a disk that fails in the middle of something.

use std::{path::Path, time::Duration};

use super::{
    Finding, Journal, JournalError, Limits, NOT_RECORDED, OpenReport, Place, Settings,
    testing::{Fault, act, clear_faults, set_fault, stamp, stream},
};

fn open(folder: &Path) -> (Journal, OpenReport) {
    let limits = Limits { generation_facts: 20, ..Limits::default() };
    Journal::open(Settings { folder: folder.to_owned(), stream: stream(), limits }, &stamp()).unwrap()
}

fn open_well(folder: &Path) -> Journal {
    let (journal, report) = open(folder);
    assert_eq!(report.findings, []);
    // With its store: a fault is to meet an act, not the making of the store.
    journal.make_ready().blocking_recv().unwrap();
    journal
}

fn append(journal: &Journal, number: u128) -> Result<(), JournalError> {
    journal.append_blocking(act(number, 3).into()).map(drop)
}

/// The numbers of the acts that can be read.
fn acts(journal: &Journal) -> Vec<u128> {
    let mut acts = Vec::new();
    let all = journal.for_each(Place::START, |_, act| -> Result<(), JournalError> {
        acts.push(act.act.0.as_u128());
        Ok(())
    });
    all.unwrap();
    acts.retain(|number| *number < 1 << 40);
    acts
}

fn end(journal: Journal) {
    journal.close_blocking();
    drop(journal);
}

#[test]
fn what_was_told_as_not_recorded_is_not_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path());
    append(&journal, 1).unwrap();
    set_fault(folder.path(), Fault::Sync);
    let refused = append(&journal, 2).unwrap_err();
    assert!(refused.is_certain() && refused.to_string().starts_with(NOT_RECORDED), "{refused}");
    end(journal);
    clear_faults(folder.path());
    let journal = open_well(folder.path());
    assert_eq!(acts(&journal), [1], "the act's bytes are in the file, and do not count");

    // The same where the generation holds nothing that counts.
    set_fault(folder.path(), Fault::Sync);
    append(&journal, 3).unwrap_err();
    end(journal);
    clear_faults(folder.path());
    let journal = open_well(folder.path());
    assert_eq!(acts(&journal), [1]);

    // And a store that is begun again in its place has no fence any more.
    set_fault(folder.path(), Fault::Sync);
    append(&journal, 4).unwrap_err();
    clear_faults(folder.path());
    append(&journal, 5).unwrap();
    end(journal);
    let journal = open_well(folder.path());
    assert_eq!(acts(&journal), [1, 5]);
    append(&journal, 6).unwrap();
    assert_eq!(acts(&journal), [1, 5, 6]);
    end(journal);
}

#[test]
fn where_even_the_fence_fails_nobody_is_told_that_nothing_was_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path());
    set_fault(folder.path(), Fault::Sync);
    set_fault(folder.path(), Fault::Fence);
    let told = append(&journal, 1).unwrap_err();
    assert!(!told.is_certain() && !told.to_string().contains(NOT_RECORDED), "{told}");
    assert!(told.to_string().contains("look whether it is there"), "{told}");
    end(journal);
    clear_faults(folder.path());
    let journal = open_well(folder.path());
    assert_eq!(acts(&journal), [1], "here it was");
    end(journal);
}

#[test]
fn a_store_that_panics_when_it_is_let_go_harms_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path());
    set_fault(folder.path(), Fault::Sync);
    set_fault(folder.path(), Fault::Drop);
    assert!(append(&journal, 1).unwrap_err().is_certain());
    assert!(journal.watch_trouble().borrow().is_some());
    clear_faults(folder.path());
    append(&journal, 2).unwrap();
    assert!(journal.watch_trouble().borrow().is_none());
    set_fault(folder.path(), Fault::Drop);
    end(journal);
    clear_faults(folder.path());
    let journal = open_well(folder.path());
    assert_eq!(acts(&journal), [2]);
    end(journal);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_died_is_no_box_that_shuts_down_and_somebody_hears_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let journal = tokio::task::spawn_blocking(move || open_well(&path)).await.unwrap();
    set_fault(folder.path(), Fault::Writer);
    let told = journal.append(act(1, 1).into()).await.unwrap_err();
    assert!(!told.is_certain(), "{told}: the writer had it in hand");
    let why = tokio::time::timeout(Duration::from_secs(10), journal.died()).await.unwrap();
    assert!(why.contains("the test's fault"), "{why}");
    let refused = journal.append(act(2, 1).into()).await.unwrap_err();
    assert!(matches!(refused, JournalError::Died), "{refused}");
    assert!(journal.watch_trouble().borrow().is_some());
    journal.close().await;
    clear_faults(folder.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_died_is_told_too_and_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let journal = tokio::task::spawn_blocking(move || open_well(&path)).await.unwrap();
    set_fault(folder.path(), Fault::Keeper);
    let why = tokio::time::timeout(Duration::from_secs(10), journal.died()).await.unwrap();
    assert!(why.contains("keeper"), "{why}");
    tokio::time::timeout(Duration::from_secs(10), journal.close()).await.unwrap();
    clear_faults(folder.path());
}

#[test]
fn a_sector_that_cannot_be_read_does_not_stop_the_box_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path());
    for number in 1..=5 {
        append(&journal, number).unwrap();
    }
    end(journal);
    let log = std::fs::read(folder.path().join("epoch-00001/generation-0000000000000001/store/db")).unwrap();
    let chunk = |number: usize| {
        (0..log.len()).filter(|at| log[*at..].starts_with(b"PJ2\n")).nth(number).unwrap() as u64
    };
    set_fault(folder.path(), Fault::Read(chunk(3) / 4096 * 4096));
    let (journal, report) = open(folder.path());
    assert!(matches!(report.findings[..], [Finding::Damaged { .. } | Finding::TailLost { .. }]));
    assert_eq!(journal.stream().epoch, 2);
    append(&journal, 9).unwrap();
    let left = acts(&journal);
    assert_eq!(left.last(), Some(&9));
    end(journal);
    clear_faults(folder.path());
}

#[test]
fn a_sealed_store_with_a_bad_sector_has_a_hole_and_what_is_behind_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path());
    for number in 1..=20 {
        append(&journal, number).unwrap();
    }
    end(journal);
    let first = folder.path().join("epoch-00001/generation-0000000000000001");
    set_fault(&first, Fault::Read(0));
    let journal = open_well(folder.path());
    let left = acts(&journal);
    let last: Vec<u128> = (21 - left.len() as u128..=20).collect();
    assert!(
        left == last && (10..20).contains(&left.len()),
        "what lies in the sector alone is lost: {left:?}"
    );
    assert!(matches!(journal.findings()[..], [Finding::Damaged { .. }]), "{:?}", journal.findings());
    end(journal);
    clear_faults(&first);
}

#[test]
fn every_error_after_which_nothing_was_recorded_says_so_first() {
    for error in [
        JournalError::TooLarge { bytes: 1 },
        JournalError::Unwritable,
        JournalError::Closed,
        JournalError::Died,
    ] {
        assert!(error.is_certain() && error.to_string().starts_with(NOT_RECORDED), "{error}");
    }
}

#[test]
fn a_store_that_cannot_be_made_is_told_before_anybody_records_and_the_next_act_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    end(open_well(folder.path()));
    let (journal, _) = open(folder.path());
    set_fault(folder.path(), Fault::Sync);
    journal.make_ready().blocking_recv().unwrap();
    let trouble = || journal.watch_trouble().borrow().clone();
    assert!(trouble().is_some_and(|told| told.starts_with(NOT_RECORDED)), "{:?}", trouble());
    clear_faults(folder.path());
    append(&journal, 1).unwrap();
    assert_eq!((acts(&journal), trouble()), (vec![1], None));
    end(journal);
}
