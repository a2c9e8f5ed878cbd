//! The journal after everything that a disk can do to it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use pestle_agent::journal::{Finding, Journal, JournalError, Place, mark};

use crate::journal::{act, all, generations, numbers, open, open_well, small};

/// A journal of `acts` acts of three facts, closed; returns its generations.
fn written(folder: &Path, acts: u128) -> Vec<PathBuf> {
    let journal = open_well(folder, small());
    for number in 1..=acts {
        journal.append_blocking(act(number, 3, 100)).unwrap();
    }
    journal.close_blocking();
    drop(journal);
    generations(folder)
}

fn log_of(generation: &Path) -> PathBuf {
    generation.join("store/db")
}

/// What must hold after any damage: the acts that are read are those that were written, in order; new ones are recorded;
/// and a second start finds nothing new. Returns which were read.
fn goes_on(folder: &Path) -> (Vec<u128>, Vec<Finding>) {
    let (journal, report) = open(folder, small());
    let kept = numbers(&all_with_holes(&journal));
    assert!(kept.is_sorted_by(|one, next| one < next), "{kept:?}");
    journal.append_blocking(act(1_000_000, 2, 0)).unwrap();
    journal.findings_told(&report);
    journal.close_blocking();
    drop(journal);
    let (journal, again) = open(folder, small());
    assert_eq!(again.findings, Vec::<Finding>::new());
    assert_eq!(numbers(&all_with_holes(&journal)).last(), Some(&1_000_000));
    journal.close_blocking();
    (kept, report.findings)
}

#[test]
fn a_tail_that_was_cut_off_is_noticed_and_nothing_before_it_is_lost() {
    for cut in [1u64, 100, 2_000, 20_000, 100_000] {
        let folder = tempfile::tempdir().unwrap();
        let generations = written(folder.path(), 50);
        let log = log_of(&generations[0]);
        let length = fs::metadata(&log).unwrap().len();
        fs::File::options().write(true).open(&log).unwrap().set_len(length.saturating_sub(cut)).unwrap();
        let (kept, findings) = goes_on(folder.path());
        assert_eq!(kept, (1..=50).take(kept.len()).collect::<Vec<_>>(), "what is left is the beginning");
        if kept.len() < 50 {
            assert_eq!(findings.len(), 1, "{cut} bytes cut off, {kept:?} kept");
            assert!(findings[0].ends_epoch());
        }
    }
}

#[test]
fn a_store_that_vanished_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let generations = written(folder.path(), 20);
    fs::remove_file(log_of(&generations[0])).unwrap();
    let (kept, findings) = goes_on(folder.path());
    assert_eq!(kept.len(), 0);
    assert!(findings[0].ends_epoch());

    let folder = tempfile::tempdir().unwrap();
    let generations = written(folder.path(), 20);
    fs::remove_dir_all(generations[0].join("store")).unwrap();
    let (_, findings) = goes_on(folder.path());
    let said = findings[0].to_string();
    assert!(said.contains("facts 1 to 61 were lost with the disk"), "{said}");
}

#[test]
fn a_flipped_byte_anywhere_in_the_open_store_costs_the_act_that_it_hits_alone() {
    let template = tempfile::tempdir().unwrap();
    let made = written(template.path(), 40);
    let log = log_of(&made[0]);
    let length = usize::try_from(fs::metadata(&log).unwrap().len()).unwrap();
    let relative = log.strip_prefix(template.path()).unwrap().to_owned();
    let mut seen = 0;
    for at in (0..length).step_by(length / 24) {
        let folder = tempfile::tempdir().unwrap();
        copy(template.path(), folder.path());
        let log = folder.path().join(&relative);
        let mut bytes = fs::read(&log).unwrap();
        bytes[at] ^= 0x55;
        fs::write(&log, bytes).unwrap();
        let (kept, findings) = goes_on(folder.path());
        assert!(kept.len() >= 39, "byte {at}: one act is lost at most, {kept:?} are kept");
        if kept.len() < 40 {
            assert!(!findings.is_empty(), "byte {at}: {kept:?} kept and nothing said");
        }
        seen += usize::from(!findings.is_empty());
    }
    assert!(seen > 0, "no flip was noticed: the test does not test");
}

#[test]
fn what_sled_would_not_open_is_read_all_the_same_and_never_changed() {
    let folder = tempfile::tempdir().unwrap();
    let generations = written(folder.path(), 200);
    assert!(generations.len() >= 3);
    // sled's own header of the first segment: nothing of ours is hit, and sled would drop the segment.
    let log = log_of(&generations[0]);
    let mut bytes = fs::read(&log).unwrap();
    bytes[3] ^= 0xFF;
    fs::write(&log, &bytes).unwrap();
    let journal = open_well(folder.path(), small());
    assert_eq!(numbers(&all(&journal)), (1..=200).collect::<Vec<_>>());
    assert_eq!(journal.findings(), []);
    journal.close_blocking();
    assert_eq!(fs::read(&log).unwrap(), bytes);
}

#[test]
fn facts_that_a_sealed_store_lost_for_good_are_named_and_everything_around_them_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let generations = written(folder.path(), 200);
    let log = log_of(&generations[1]);
    fs::write(&log, b"").unwrap();
    let journal = open_well(folder.path(), small());
    let seen = numbers(&all_with_holes(&journal));
    assert!(seen.len() >= 120, "{}", seen.len());
    assert!(seen.contains(&1) && seen.contains(&200), "what is around the hole is read");
    let [Finding::Damaged { readable: behind, .. }] = journal.findings()[..] else {
        panic!("{:?}", journal.findings())
    };
    let error = journal.read_blocking(1, behind.seq + 1, 1).unwrap_err();
    assert!(error.to_string().contains("cannot be read any more"), "{error}");
    let JournalError::Hole { to, .. } = error else { panic!("{error:?}") };
    assert!(!journal.read_blocking(1, to + 1, 1).unwrap().is_empty(), "what is behind the hole is read");
    journal.append_blocking(act(7_000, 1, 0)).unwrap();
    journal.close_blocking();
}

#[test]
fn one_damaged_act_of_a_sealed_store_costs_that_act_alone() {
    let folder = tempfile::tempdir().unwrap();
    let generations = written(folder.path(), 200);
    let log = log_of(&generations[1]);
    let mut bytes = fs::read(&log).unwrap();
    let chunks: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"PJ2\n")).collect();
    let damaged = chunks[20];
    let name = bytes[damaged + 4..damaged + 12].to_vec();
    // sled may have copied it.
    for at in chunks {
        if bytes[at + 4..at + 12] == name {
            bytes[at + 40] ^= 1;
        }
    }
    fs::write(&log, &bytes).unwrap();
    let first = u64::from_be_bytes(name.try_into().unwrap());
    let journal = open_well(folder.path(), small());
    let seen = numbers(&all_with_holes(&journal));
    let lost: Vec<u128> = (1..=200).filter(|number| !seen.contains(number)).collect();
    assert_eq!(lost.len(), 1, "{lost:?}");
    let hole = journal.read_blocking(1, first, 1).unwrap_err();
    assert!(matches!(hole, JournalError::Hole { to, .. } if to == first + 2), "{hole}");
    // The centre may have what is missing here, and then the rest can still be sent to it.
    let behind = journal.read_blocking(1, first + 3, 1).unwrap();
    assert_eq!(behind[0].first, first + 3);
    assert_eq!(journal.hash_at(1, behind[0].after.seq).unwrap(), Some(behind[0].after.hash));
    let [Finding::Damaged { until: Some(until), .. }] = journal.findings()[..] else {
        panic!("{:?}", journal.findings())
    };
    assert_eq!(until, first + 2);
    journal.close_blocking();
}

fn all_with_holes(journal: &Journal) -> Vec<pestle_domain::ids::ActId> {
    let mut seen = Vec::new();
    journal
        .for_each(Place::START, |_, act| -> Result<(), JournalError> {
            seen.push(act.act);
            Ok(())
        })
        .unwrap();
    seen
}

#[test]
fn a_generation_whose_seal_is_damaged_is_read_to_where_the_next_begins() {
    let folder = tempfile::tempdir().unwrap();
    let generations = written(folder.path(), 200);
    let (last, before) = (generations.len() - 1, generations.len() - 2);
    for damaged in [0, before, last] {
        fs::write(generations[damaged].join("sealed.json"), b"{}").unwrap();
    }
    let journal = open_well(folder.path(), small());
    assert_eq!(numbers(&all(&journal)), (1..=200).collect::<Vec<_>>());
    journal.close_blocking();
}

#[test]
fn an_act_that_was_torn_by_a_power_cut_was_never_confirmed_and_is_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path(), small());
    journal.append_blocking(act(1, 1, 0)).unwrap();
    let marked = generations(folder.path())[0].parent().unwrap().join("mark");
    journal.close_blocking();
    drop(journal);
    let mark = fs::read(&marked).unwrap();
    let journal = open_well(folder.path(), small());
    journal.append_blocking(act(2, 1, 30_000)).unwrap();
    journal.close_blocking();
    drop(journal);
    // As if the plug had been pulled before the second mark, with the last of the act's four parts missing.
    fs::write(&marked, mark).unwrap();
    let log = log_of(&generations(folder.path())[1]);
    let bytes = fs::read(&log).unwrap();
    let parts: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"PJ2\n")).collect();
    fs::write(&log, &bytes[..parts[3]]).unwrap();
    let (kept, findings) = goes_on(folder.path());
    assert_eq!((kept, findings.len()), (vec![1], 0));
}

#[test]
fn a_lost_mark_is_told_and_stops_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let generations = written(folder.path(), 5);
    let mark = generations[0].parent().unwrap().join("mark");
    fs::write(&mark, [0; 8_000]).unwrap();
    let (journal, report) = open(folder.path(), small());
    assert_eq!(report.findings, [Finding::MarkLost { epoch: 1 }]);
    assert_eq!(numbers(&all(&journal)), [1, 2, 3, 4, 5]);
    journal.close_blocking();
}

#[test]
fn a_power_cut_before_an_epoch_had_its_mark_is_no_damage_and_neither_is_the_next_one() {
    for left in [None, Some(&b""[..])] {
        let folder = tempfile::tempdir().unwrap();
        let epoch = folder.path().join("epoch-00001");
        open_well(folder.path(), small()).close_blocking();
        for generation in generations(folder.path()) {
            fs::remove_dir_all(generation).unwrap();
        }
        // Its name, its bytes or both had not reached the disk.
        fs::remove_file(epoch.join("mark")).unwrap();
        if let Some(bytes) = left {
            fs::write(epoch.join("mark"), bytes).unwrap();
        }
        let journal = open_well(folder.path(), small());
        assert!(mark::read(&epoch.join("mark")).is_some(), "it has one before it has facts");
        journal.close_blocking();
        assert_eq!(journal.stream().epoch, 1);
    }
}

#[test]
fn an_epoch_whose_description_is_damaged_is_described_by_its_first_fact() {
    let folder = tempfile::tempdir().unwrap();
    let generations = written(folder.path(), 5);
    let manifest = generations[0].parent().unwrap().join("epoch.json");
    let whole = fs::read(&manifest).unwrap();
    fs::write(&manifest, b"{}").unwrap();
    let (journal, report) = open(folder.path(), small());
    assert_eq!(report.findings, [Finding::Redescribed { epoch: 1 }]);
    assert_eq!(journal.stream().epoch, 1);
    assert_eq!(numbers(&all(&journal)), [1, 2, 3, 4, 5]);
    assert_eq!(fs::read(&manifest).unwrap(), whole);
    journal.close_blocking();
}

#[test]
fn an_epoch_that_nobody_can_describe_is_set_aside_whole() {
    let folder = tempfile::tempdir().unwrap();
    let generations = written(folder.path(), 5);
    // As a disk answers that cannot read a sector: an error of reading, and no bytes.
    let manifest = generations[0].parent().unwrap().join("epoch.json");
    fs::remove_file(&manifest).unwrap();
    fs::create_dir(&manifest).unwrap();
    fs::write(log_of(&generations[0]), b"").unwrap();
    let (journal, report) = open(folder.path(), small());
    assert!(matches!(report.findings[..], [Finding::EpochUnreadable { .. }]), "{:?}", report.findings);
    assert_eq!(journal.stream().epoch, 2, "a number is never used twice");
    journal.append_blocking(act(6, 1, 0)).unwrap();
    journal.close_blocking();
}

#[test]
fn what_was_found_is_told_at_each_start_until_a_fact_tells_it() {
    let folder = tempfile::tempdir().unwrap();
    let generations = written(folder.path(), 20);
    fs::write(log_of(&generations[0]), b"").unwrap();
    let found = |told: bool| {
        let (journal, report) = open(folder.path(), small());
        assert_eq!(journal.stream().epoch, 2, "and but one epoch begins");
        if told {
            journal.findings_told(&report);
        }
        journal.close_blocking();
        report.findings
    };
    let first = found(false);
    assert!(matches!(first[..], [Finding::TailLost { .. }]), "{first:?}");
    assert_eq!(found(false), first, "the power went before it was told");
    assert_eq!(found(true), first);
    assert_eq!(found(true), []);
}

#[test]
fn a_generation_whose_folder_is_gone_hides_nothing_that_lies_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let generations = written(folder.path(), 200);
    assert!(generations.len() >= 3);
    fs::remove_dir_all(&generations[1]).unwrap();
    let (journal, report) = open(folder.path(), small());
    let [Finding::Gap { epoch: 1, from, to }] = report.findings[..] else { panic!("{:?}", report.findings) };
    let seen = numbers(&all_with_holes(&journal));
    assert!(seen.contains(&1) && seen.contains(&200), "{seen:?}");
    let error = journal.read_blocking(1, from, 1).unwrap_err();
    assert!(matches!(error, JournalError::Hole { to: end, .. } if end == to), "{error}");
    assert_eq!(journal.stream().epoch, 2, "what is sold now does not wait behind the hole");
    journal.findings_told(&report);
    journal.append_blocking(act(9_000, 1, 0)).unwrap();
    journal.close_blocking();
    drop(journal);
    let (journal, again) = open(folder.path(), small());
    assert_eq!((again.findings, journal.stream().epoch), (vec![], 2), "told once");
    journal.close_blocking();
}

#[test]
fn the_oldest_generation_goes_only_by_pruning() {
    let folder = tempfile::tempdir().unwrap();
    let generations = written(folder.path(), 200);
    fs::remove_dir_all(&generations[0]).unwrap();
    let (journal, report) = open(folder.path(), small());
    assert!(matches!(report.findings[..], [Finding::Gap { from: 1, .. }]), "{:?}", report.findings);
    assert_eq!(journal.stream().epoch, 2);
    assert!(numbers(&all_with_holes(&journal)).contains(&200));
    journal.close_blocking();
}

#[test]
fn a_removal_that_the_power_cut_off_is_finished_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let generations = written(folder.path(), 5);
    let epoch = generations[0].parent().unwrap();
    let leftovers =
        [epoch.join("generation-0000000000000009.removed"), folder.path().join("epoch-00000.removed")];
    for leftover in &leftovers {
        fs::create_dir_all(leftover.join("store")).unwrap();
    }
    let journal = open_well(folder.path(), small());
    assert_eq!(numbers(&all(&journal)), [1, 2, 3, 4, 5]);
    assert!(leftovers.iter().all(|leftover| !leftover.exists()));
    journal.close_blocking();
}

#[test]
fn behind_a_hole_that_the_centre_lacks_a_new_epoch_begins_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let generations = written(folder.path(), 200);
    fs::write(log_of(&generations[1]), b"").unwrap();
    let journal = open_well(folder.path(), small());
    let head = journal.head();
    // As the relay reads it.
    let hole = journal.read_blocking(1, 205, 1);
    assert!(matches!(hole, Err(JournalError::Hole { .. })), "{hole:?}");
    assert_eq!(journal.stream().epoch, 1, "the day goes on");
    journal.close_blocking();
    drop(journal);
    let (journal, report) = open(folder.path(), small());
    assert!(matches!(report.findings[..], [Finding::Damaged { .. }]), "{:?}", report.findings);
    assert_eq!(journal.stream().epoch, 2);
    let opened = journal.read_blocking(2, 1, 1).unwrap();
    let line = String::from_utf8(opened[0].lines().next().unwrap().to_vec()).unwrap();
    assert!(line.contains(&head.hash.to_string()), "its parent is the last head that can be read: {line}");
    journal.close_blocking();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
