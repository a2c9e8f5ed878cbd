//! The journal on a real disk, undamaged.

use std::{
    path::{Path, PathBuf},
    sync::atomic::Ordering::Relaxed,
    thread,
    time::{Duration, Instant},
};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use pestle_agent::journal::{
    Finding, Journal, JournalError, Limits, NewAct, OpenReport, Place, Settings, ack::Word, mark,
};
use pestle_domain::{
    fact::{Act, Actor, ClockQuality, DeviceAttached, Stamp},
    ids::{ActId, FactId},
    journal::{AckVerdict, Acknowledgement, Head, Lane, Stream},
    signature::SigningKey,
    units::UnixMillis,
};
use uuid::Uuid;

pub(crate) fn stream() -> Stream {
    Stream {
        tenant: "acme".parse().unwrap(),
        branch: "north".parse().unwrap(),
        term: 1,
        device: "box-1".parse().unwrap(),
        lane: Lane::Ledger,
        epoch: 0,
    }
}

pub(crate) fn stamp() -> Stamp {
    Stamp {
        boot: "boot".into(),
        mono_ms: 1,
        wall_ms: UnixMillis(1_790_000_000_000),
        clock: ClockQuality::Free,
        business_date: "2026-11-21".parse().unwrap(),
    }
}

/// An act of `facts` facts with `size` bytes of attachment, named by `number`.
pub(crate) fn act(number: u128, facts: usize, size: usize) -> NewAct {
    let body = || DeviceAttached { name: format!("scanner-{number}").into(), class: "scanner".into() }.into();
    let bodies = std::iter::repeat_with(body).take(facts).collect();
    let mut next = number << 16;
    let act = Act::new(ActId(Uuid::from_u128(number)), &Actor::Machine, &stamp(), bodies, || {
        next += 1;
        FactId(Uuid::from_u128(next))
    });
    NewAct { act, attachment: vec![7; size] }
}

pub(crate) fn small() -> Limits {
    Limits { generation_facts: 200, generation_bytes: 1024 * 1024, ..Limits::default() }
}

pub(crate) fn settings(folder: &Path, limits: Limits) -> Settings {
    Settings { folder: folder.to_owned(), stream: stream(), limits }
}

pub(crate) fn open(folder: &Path, limits: Limits) -> (Journal, OpenReport) {
    Journal::open(settings(folder, limits), &stamp()).unwrap()
}

/// Opens, expects that all is well.
pub(crate) fn open_well(folder: &Path, limits: Limits) -> Journal {
    let (journal, report) = open(folder, limits);
    assert_eq!(report.findings, Vec::<Finding>::new());
    journal
}

/// The ids of all acts, and a check that they are chained without a gap.
pub(crate) fn all(journal: &Journal) -> Vec<ActId> {
    let mut acts = Vec::new();
    let mut next = None;
    journal
        .for_each(Place::START, |place, act| -> Result<(), JournalError> {
            if let Some((epoch, seq)) = next
                && epoch == place.epoch
            {
                assert_eq!(seq, place.seq, "no gap");
            }
            next = Some((place.epoch, act.after.seq + 1));
            acts.push(act.act);
            Ok(())
        })
        .unwrap();
    acts
}

pub(crate) fn numbers(acts: &[ActId]) -> Vec<u128> {
    acts.iter().map(|act| act.0.as_u128()).filter(|number| *number < 1 << 40).collect()
}

pub(crate) fn generations(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for epoch in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if epoch.file_name().unwrap().to_str().unwrap().starts_with("epoch-") {
            let entries = std::fs::read_dir(&epoch).unwrap().map(|entry| entry.unwrap().path());
            found.extend(entries.filter(|path| path.is_dir()));
        }
    }
    found.sort();
    found
}

pub(crate) fn signing_key() -> SigningKey {
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
    SigningKey::from_pkcs8(document.as_ref()).unwrap()
}

pub(crate) fn ack(journal: &Journal, head: Head) -> Acknowledgement {
    Acknowledgement::sign(1, journal.stream().clone(), head, &signing_key(), &SystemRandom::new()).unwrap()
}

#[test]
fn a_restart_continues_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path(), small());
    for number in 1..=5 {
        let committed = journal.append_blocking(act(number, 2, 10)).unwrap();
        assert_eq!(committed.last.seq, committed.first.seq + 1);
        assert_eq!(committed.head, journal.head());
    }
    let head = journal.head();
    assert_eq!(head.seq, 11, "one fact opens the epoch, then five acts of two");
    journal.close_blocking();
    assert!(matches!(journal.append_blocking(act(6, 1, 0)), Err(JournalError::Closed)));
    drop(journal);

    let journal = open_well(folder.path(), small());
    assert_eq!(journal.head(), head);
    journal.append_blocking(act(6, 1, 0)).unwrap();
    assert_eq!(numbers(&all(&journal)), [1, 2, 3, 4, 5, 6]);
    journal.close_blocking();
}

/// Long enough for a mark after each commit on a busy machine, shorter than the keeper's rest without one.
const MARKED_WITHIN: Duration = Duration::from_secs(6);

#[test]
fn a_commit_is_soon_marked_and_so_is_one_after_a_rest() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path(), small());
    let path = folder.path().join("epoch-00001/mark");
    for number in 1..=3 {
        journal.append_blocking(act(number, 1, 0)).unwrap();
        let told = Instant::now();
        while mark::read(&path).is_none_or(|mark| mark.written != journal.head()) {
            assert!(told.elapsed() < MARKED_WITHIN, "act {number} is not in the mark");
            thread::sleep(Duration::from_millis(20));
        }
    }
    journal.close_blocking();
}

#[test]
fn an_act_is_read_back_with_its_lines_and_its_attachment() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path(), small());
    let sale = act(1, 4, 30_000);
    journal.append_blocking(sale.clone()).unwrap();
    let read = journal.read_blocking(1, 2, 1).unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].attachment(), &sale.attachment[..]);
    let lines: Vec<Vec<u8>> = sale.act.facts.iter().map(|fact| fact.to_line().unwrap()).collect();
    assert!(read[0].lines().eq(lines.iter().map(Vec::as_slice)));
    journal.close_blocking();
}

#[test]
fn no_act_is_ever_kept_in_a_file_that_sled_does_not_sync() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path(), Limits::default());
    for number in 1..=60 {
        journal.append_blocking(act(number, 8, 60_000)).unwrap();
    }
    journal.close_blocking();
    let blobs = generations(folder.path())[0].join("store/blobs");
    let count = std::fs::read_dir(&blobs).map_or(0, Iterator::count);
    assert_eq!(count, 0, "sled made blob files");
}

#[test]
fn an_act_that_no_batch_could_carry_is_refused_before_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path(), small());
    let said = journal.append_blocking(act(1, 1, 200_000)).unwrap_err().to_string();
    assert!(said.starts_with("not recorded; it is too large"), "{said}");
    let nothing = NewAct { act: Act { id: ActId(Uuid::nil()), facts: Vec::new() }, attachment: Vec::new() };
    assert!(matches!(journal.append_blocking(nothing), Err(JournalError::Unwritable)));
    assert_eq!(journal.head().seq, 1);
    journal.close_blocking();
}

#[tokio::test(flavor = "multi_thread")]
async fn acts_that_arrive_together_share_one_sync() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let journal = tokio::task::spawn_blocking(move || open_well(&path, Limits::default())).await.unwrap();
    let before = journal.counters().commits.load(Relaxed);
    let appends: Vec<_> = (1..=200)
        .map(|number| {
            let journal = journal.clone();
            tokio::spawn(async move { journal.append(act(number, 1, 0)).await.unwrap() })
        })
        .collect();
    let mut last = Vec::new();
    for append in appends {
        last.push(append.await.unwrap().last.seq);
    }
    last.sort_unstable();
    last.dedup();
    assert_eq!(last.len(), 200, "each has its own position");
    let commits = journal.counters().commits.load(Relaxed) - before;
    assert!(commits < 150, "{commits} syncs for 200 acts");
    journal.close().await;
}

#[test]
fn a_full_generation_is_sealed_and_everything_is_read_across_it() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path(), small());
    for number in 1..=300 {
        journal.append_blocking(act(number, 3, 0)).unwrap();
    }
    let expected: Vec<u128> = (1..=300).collect();
    assert_eq!(numbers(&all(&journal)), expected);
    assert_eq!(generations(folder.path()).len(), 5, "901 facts, 200 and a little each");
    journal.close_blocking();
    drop(journal);
    let journal = open_well(folder.path(), small());
    assert_eq!(numbers(&all(&journal)), expected);
    assert_eq!(journal.waiting(), 901);
    for seq in [1, 2, 203, 204, 500, 901] {
        assert!(journal.hash_at(1, seq).unwrap().is_some(), "{seq}");
    }
    assert_eq!(journal.hash_at(1, 902).unwrap(), None);
    journal.close_blocking();
}

#[test]
fn a_generation_goes_only_when_it_is_acknowledged_and_old_and_folded() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path(), small());
    for number in 1..=150 {
        journal.append_blocking(act(number, 3, 0)).unwrap();
    }
    let head = journal.head();
    let later = days(36);
    let folded = Place { epoch: 1, seq: head.seq };
    assert_eq!(journal.prune(&later, folded).unwrap(), 0, "not acknowledged");

    let forged = Head { seq: head.seq, hash: pestle_domain::signature::Hash::ZERO };
    assert_eq!(
        journal.acknowledge(&ack(&journal, forged)).unwrap(),
        Word::Judged(AckVerdict::Contradicts { centre: forged })
    );
    assert_eq!(journal.prune(&later, folded).unwrap(), 0, "another head was acknowledged");

    let committed = Word::Judged(AckVerdict::Committed(head));
    assert_eq!(journal.acknowledge(&ack(&journal, head)).unwrap(), committed);
    assert_eq!(journal.acknowledge(&ack(&journal, head)).unwrap(), Word::Judged(AckVerdict::Old));
    assert_eq!(journal.waiting(), 0);
    assert_eq!(journal.prune(&days(0), folded).unwrap(), 0, "not old enough");
    // A clock that is set, and one that is doubted, make nothing old and keep nothing.
    for clock in [ClockQuality::Synchronised, ClockQuality::Doubted] {
        let set = Stamp { wall_ms: UnixMillis(i64::MAX), clock, ..days(0) };
        assert_eq!(journal.prune(&set, folded).unwrap(), 0, "the same moment by another clock");
    }
    assert_eq!(journal.prune(&later, Place::START).unwrap(), 0, "not folded");
    assert_eq!(journal.prune(&later, folded).unwrap(), 2, "the open one stays");
    assert_eq!(generations(folder.path()).len(), 1);
    journal.close_blocking();
    drop(journal);

    let journal = open_well(folder.path(), small());
    assert_eq!(journal.head(), head);
    assert_eq!(journal.waiting(), 0, "the acknowledgement survived");
    assert!(journal.epochs()[0].first_kept > 200);
    journal.close_blocking();
}

/// So many days after the journal was opened, the machine running all the time.
fn days(days: u64) -> Stamp {
    let stamp = stamp();
    Stamp { mono_ms: stamp.mono_ms + days * 86_400_000, ..stamp }
}

#[test]
fn an_acknowledgement_that_an_older_agent_dated_by_the_clock_counts_from_now() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path(), small());
    for number in 1..=70 {
        journal.append_blocking(act(number, 3, 0)).unwrap();
    }
    journal.acknowledge(&ack(&journal, journal.head())).unwrap();
    let folded = Place { epoch: 1, seq: u64::MAX };
    assert_eq!(journal.prune(&days(0), folded).unwrap(), 0);
    journal.close_blocking();
    drop(journal);
    let first = generations(folder.path())[0].join("sealed.json");
    let mut sealed: serde_json::Value =
        serde_json::from_str(std::fs::read_to_string(&first).unwrap().lines().next().unwrap()).unwrap();
    let since = sealed["acknowledged"].as_object_mut().unwrap();
    assert_eq!(since.remove("age_ms"), Some(0.into()));
    since.insert("at".to_owned(), 86_400_000.into());
    pestle_agent::durable_file::write_json(&first, &sealed).unwrap();

    let journal = open_well(folder.path(), small());
    journal.acknowledge(&ack(&journal, journal.head())).unwrap();
    assert_eq!(journal.prune(&days(36), folded).unwrap(), 0, "dated now");
    assert_eq!(journal.prune(&days(70), folded).unwrap(), 0);
    assert!(journal.prune(&days(72), folded).unwrap() >= 1);
    journal.close_blocking();
}

#[test]
fn what_passes_while_the_machine_is_off_is_not_counted_and_another_machines_clock_makes_nothing_old() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path(), small());
    for number in 1..=70 {
        journal.append_blocking(act(number, 3, 0)).unwrap();
    }
    let folded = Place { epoch: 1, seq: u64::MAX };
    journal.acknowledge(&ack(&journal, journal.head())).unwrap();
    assert_eq!(journal.prune(&days(0), folded).unwrap(), 0);
    assert_eq!(journal.prune(&days(20), folded).unwrap(), 0);
    journal.close_blocking();
    drop(journal);
    let other = |days: u64| Stamp {
        boot: "another machine".into(),
        mono_ms: days * 86_400_000,
        wall_ms: UnixMillis(i64::MAX),
        ..stamp()
    };
    let (journal, _) = Journal::open(settings(folder.path(), small()), &other(100)).unwrap();
    journal.acknowledge(&ack(&journal, journal.head())).unwrap();
    assert_eq!(journal.prune(&other(100), folded).unwrap(), 0);
    assert_eq!(journal.prune(&other(114), folded).unwrap(), 0, "thirty-four in all");
    assert!(journal.prune(&other(115), folded).unwrap() >= 1, "thirty-five in all");
    journal.close_blocking();
}

#[test]
fn retention_counts_from_the_acknowledgement_and_not_from_the_seal() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path(), small());
    for number in 1..=70 {
        journal.append_blocking(act(number, 3, 0)).unwrap();
    }
    let folded = Place { epoch: 1, seq: u64::MAX };
    // Forty days offline; then the centre has it, and may be put back to the minute before.
    assert_eq!(journal.prune(&days(40), folded).unwrap(), 0, "not acknowledged");
    journal.acknowledge(&ack(&journal, journal.head())).unwrap();
    assert_eq!(journal.prune(&days(40), folded).unwrap(), 0, "acknowledged a moment ago");
    assert_eq!(journal.prune(&days(74), folded).unwrap(), 0);
    journal.close_blocking();
    drop(journal);
    let journal = open_well(folder.path(), small());
    assert_eq!(journal.prune(&days(76), folded).unwrap(), 0, "not heard of the centre since the start");
    journal.acknowledge(&ack(&journal, journal.head())).unwrap();
    assert!(journal.prune(&days(76), folded).unwrap() >= 1, "the date of the acknowledgement was kept");
    journal.close_blocking();
}

#[test]
fn a_restored_centre_is_believed_once_and_after_a_restart_too() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path(), small());
    let mut heads = Vec::new();
    for number in 1..=5 {
        heads.push(journal.append_blocking(act(number, 3, 0)).unwrap().head);
    }
    let (middle, last) = (heads[1], heads[4]);
    let in_life = |journal: &Journal, incarnation: u64, head: Head| {
        let stream = journal.stream().clone();
        Acknowledgement::sign(incarnation, stream, head, &signing_key(), &SystemRandom::new()).unwrap()
    };
    let first_life = in_life(&journal, 1, last);
    assert_eq!(journal.acknowledge(&first_life).unwrap(), Word::Judged(AckVerdict::Committed(last)));
    journal.close_blocking();
    drop(journal);

    // The box was off during the restore.
    let journal = open_well(folder.path(), small());
    assert_eq!((journal.waiting(), journal.progress()[0].incarnation), (0, 1));
    let second_life = in_life(&journal, 2, middle);
    assert_eq!(journal.acknowledge(&second_life).unwrap(), Word::Restored(middle));
    assert_eq!(journal.waiting(), last.seq - middle.seq);
    assert_eq!(journal.acknowledge(&first_life).unwrap(), Word::OfEarlierLife);
    journal.close_blocking();
    drop(journal);

    let journal = open_well(folder.path(), small());
    assert_eq!(
        journal.acknowledge(&first_life).unwrap(),
        Word::OfEarlierLife,
        "a replay after another restart"
    );
    assert_eq!((journal.waiting(), journal.progress()[0].incarnation), (last.seq - middle.seq, 2));
    let again = in_life(&journal, 2, last);
    assert_eq!(journal.acknowledge(&again).unwrap(), Word::Judged(AckVerdict::Committed(last)));
    assert_eq!(journal.waiting(), 0);
    journal.close_blocking();
}

#[test]
fn whoever_only_looks_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path(), small());
    for number in 1..=70 {
        journal.append_blocking(act(number, 3, 0)).unwrap();
    }
    journal.close_blocking();
    drop(journal);
    // A damage that opening would repair.
    let log = generations(folder.path()).last().unwrap().join("store/db");
    std::fs::write(&log, b"").unwrap();
    let before = everything_in(folder.path());
    let (journal, report) = Journal::open_read_only(settings(folder.path(), small())).unwrap();
    assert!(matches!(report.findings[..], [Finding::TailLost { .. }]), "{:?}", report.findings);
    let seen = numbers(&all(&journal));
    assert_eq!(seen, (1..=67).collect::<Vec<_>>());
    assert!(matches!(journal.append_blocking(act(71, 1, 0)), Err(JournalError::Closed)));
    drop(journal);
    assert_eq!(everything_in(folder.path()), before);
    assert_eq!(open(folder.path(), small()).1.findings, report.findings, "it is still found");
}

/// Every file below `folder` with its bytes.
fn everything_in(folder: &Path) -> std::collections::BTreeMap<PathBuf, Vec<u8>> {
    let mut found = std::collections::BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.insert(path.clone(), Vec::new());
            found.extend(everything_in(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn another_term_begins_another_epoch_and_the_old_one_is_still_read() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path(), small());
    journal.append_blocking(act(1, 1, 0)).unwrap();
    let head = journal.head();
    let store = journal.epochs()[0].store;
    journal.close_blocking();
    drop(journal);
    let mut settings = settings(folder.path(), small());
    settings.stream.term = 2;
    let (journal, report) = Journal::open(settings, &stamp()).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!((journal.stream().epoch, journal.stream().term), (2, 2));
    let opened = journal.read_blocking(2, 1, 1).unwrap();
    let line = String::from_utf8(opened[0].lines().next().unwrap().to_vec()).unwrap();
    assert!(line.contains("epoch.opened") && line.contains(&store.to_string()), "{line}");
    assert!(line.contains(&head.hash.to_string()), "{line}");
    journal.append_blocking(act(2, 1, 0)).unwrap();
    assert_eq!(numbers(&all(&journal)), [1, 2]);
    journal.close_blocking();
}

#[test]
fn an_act_that_the_disk_refused_is_not_there_afterwards_and_the_next_is_recorded_as_soon_as_it_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open_well(folder.path(), small());
    journal.append_blocking(act(1, 1, 0)).unwrap();
    // The writer's next generation cannot be begun: where its folder would be, there is a file.
    let epoch = generations(folder.path())[0].parent().unwrap().to_owned();
    let in_the_way = epoch.join("generation-0000000000000201");
    std::fs::write(&in_the_way, b"").unwrap();
    for number in 2..=67 {
        journal.append_blocking(act(number, 3, 0)).unwrap();
    }
    assert_eq!(journal.head().seq, 200, "the generation is full");
    let refused = journal.append_blocking(act(70, 1, 0)).unwrap_err();
    assert!(refused.to_string().starts_with("not recorded; the box's disk"), "{refused}");
    assert!(journal.watch_trouble().borrow().is_some());
    assert_eq!(numbers(&all(&journal)), (1..=67).collect::<Vec<_>>(), "what was confirmed is read meanwhile");

    std::fs::remove_file(&in_the_way).unwrap();
    journal.append_blocking(act(71, 1, 0)).unwrap();
    assert!(journal.watch_trouble().borrow().is_none());
    let expected: Vec<u128> = (1..=67).chain([71]).collect();
    assert_eq!(numbers(&all(&journal)), expected);
    journal.close_blocking();
    drop(journal);
    assert_eq!(numbers(&all(&open_well(folder.path(), small()))), expected);
}

#[test]
fn a_box_that_follows_another_opens_no_epoch_of_the_branch_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = settings(folder.path(), Limits::default());
    settings.stream.epoch = 4;
    let (journal, _) = Journal::open(settings.clone(), &stamp()).unwrap();
    assert_eq!(journal.stream().epoch, 4);
    journal.close_blocking();
    drop(journal);
    // Told once and for all: the next start goes on in the same.
    let (journal, _) = Journal::open(settings, &stamp()).unwrap();
    assert_eq!(journal.stream().epoch, 4);
    journal.close_blocking();
}
