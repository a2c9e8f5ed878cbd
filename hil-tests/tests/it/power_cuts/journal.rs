//! The journal alone.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use pestle_hil_tests::disk::op::Op;
use pestle_hil_tests::power_cuts::campaign::{self, Plan, Report};
use pestle_hil_tests::power_cuts::judge::Wrong;
use pestle_hil_tests::power_cuts::record::Recording;
use pestle_hil_tests::power_cuts::reopened;
use pestle_hil_tests::seeded::Seeded;

use super::drawn;

/// Cuts of each run of the tests; `make power-cuts` makes more.
const CUTS: usize = 1_000;

fn spoiled(seed: u64, forgotten: impl Fn(&Op, &str) -> bool + Sync) -> Report {
    let plan = Plan { keep: false, ..Plan::new(140, seed) };
    let dropped = AtomicUsize::new(0);
    let forgotten = |op: &Op, name: &str| {
        let drop = forgotten(op, name);
        dropped.fetch_add(usize::from(drop), Relaxed);
        drop
    };
    let report = campaign::run(&plan, &|recording: Recording| recording.forgetting(forgotten)).unwrap();
    assert!(dropped.into_inner() > 0, "there was nothing to be forgotten");
    report
}

fn lost(report: &Report) -> usize {
    report.count(|wrong| matches!(wrong, Wrong::Lost { .. }))
}

#[test]
fn no_act_that_was_told_is_lost_or_doubled_by_a_power_cut_and_every_store_opens() {
    let seed = drawn();
    let report = campaign::run(&Plan::new(CUTS, seed), &|recording| recording).unwrap();
    let wrong: Vec<_> = report.wrong.iter().map(|(wrong, again)| format!("{wrong}\n  {again}")).collect();
    assert!(wrong.is_empty(), "seed {seed}: {} of {CUTS} cuts\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(report.total(), CUTS);
    assert_eq!(report.cuts.len(), 8, "every script was cut: {:?}", report.cuts);
    assert!(report.told > 5 * CUTS as u64, "only {} told acts were looked for", report.told);
}

#[test]
fn the_harness_catches_a_journal_that_only_calls_sleds_flush() {
    // Without our fdatasync, sled's own `sync_file_range` is all that is left: it reaches no disk for certain.
    let report = spoiled(1, |op, name| matches!(op, Op::Sync { data_only: true, .. }) && name == "db");
    assert!(lost(&report) > 10, "{} of {} cuts lost something", lost(&report), report.total());
}

#[test]
fn the_harness_catches_a_journal_that_does_not_sync_what_sled_has_made() {
    let report = spoiled(2, |op, name| match op {
        Op::Sync { data_only: false, .. } => !name.contains(".json"),
        Op::SyncFolder { .. } => name == "store",
        _ => false,
    });
    assert!(lost(&report) > 10, "{} of {} cuts lost something", lost(&report), report.total());
}

#[test]
fn the_journal_itself_reads_nothing_after_a_cut_that_sled_keeps_in_its_conf() {
    let report = spoiled(4, |op, name| matches!(op, Op::Sync { .. }) && name == "conf");
    assert_eq!(report.wrong, []);
}

/// How many of `cuts` a journal that opens its sled store again does not survive.
fn not_survived(conf_synced: bool, cuts: usize) -> usize {
    let place = campaign::place().unwrap();
    let recording = reopened::record(&place.path().join("disk"), conf_synced).unwrap();
    let mut seeded = Seeded::new(3);
    let state = place.path().join("state");
    (0..cuts)
        .filter(|_| {
            let cut = seeded.index(recording.trace.len() + 1);
            !reopened::survives(&recording, cut, seeded.next_u64(), &state).unwrap()
        })
        .count()
}

#[test]
fn the_harness_catches_a_journal_that_forgets_sleds_conf() {
    let (remembered, forgotten) = (not_survived(true, 100), not_survived(false, 100));
    println!("not survived: {remembered} of 100 with conf synced, {forgotten} without");
    assert!(forgotten > remembered + 20, "{remembered} with it, {forgotten} without");
}
