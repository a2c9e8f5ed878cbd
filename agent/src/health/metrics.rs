//! The box's counts, for `/metrics`.

use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};

use super::Health;
use crate::{counter::handle::Counter, relay::Phase};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LaneLabel {
    lane: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WhatLabel {
    what: &'static str,
}

/// Read from the parts at each scrape: the parts count for themselves, off every path.
#[derive(Debug)]
pub(super) struct Metrics {
    pub(super) registry: Registry,
    head: Family<LaneLabel, Gauge>,
    waiting: Family<LaneLabel, Gauge>,
    acts: Family<LaneLabel, Gauge>,
    commits: Family<LaneLabel, Gauge>,
    failures: Family<LaneLabel, Gauge>,
    findings: Family<LaneLabel, Gauge>,
    relay: Family<WhatLabel, Gauge>,
    personal: Family<WhatLabel, Gauge>,
    online: Gauge,
    snapshot: Gauge,
    uptime_s: Gauge,
    commit_times: CommitGauges,
    space_level: Gauge,
    space_free: Gauge,
    space_days: Gauge,
}

/// In microseconds, by lane.
#[derive(Debug)]
struct CommitGauges {
    last: Family<LaneLabel, Gauge>,
    slowest: Family<LaneLabel, Gauge>,
    total: Family<LaneLabel, Gauge>,
}

impl Metrics {
    pub(super) fn new(counter: &Counter) -> Self {
        let mut registry = Registry::with_prefix("pestle_agent");
        counter.counters().register(&mut registry);
        let mut lane = |name: &str, help: &str| {
            let family = Family::<LaneLabel, Gauge>::default();
            registry.register(name, help, family.clone());
            family
        };
        let head = lane("journal_head", "Number of the last fact on the disk");
        let waiting = lane("journal_waiting", "Facts that the centre has not acknowledged");
        let acts = lane("journal_acts", "Acts recorded since the start");
        let commits = lane("journal_commits", "Syncs of the disk since the start");
        let failures = lane("journal_failures", "Acts that the disk refused since the start");
        let commit_times = CommitGauges {
            last: lane("journal_commit_last_microseconds", "How long the last commit took"),
            slowest: lane(
                "journal_commit_slowest_microseconds",
                "How long the slowest commit since the start took",
            ),
            total: lane("journal_commit_microseconds", "How long all commits since the start took together"),
        };
        let findings = lane("journal_findings", "Damages found since the start");
        let relay = Family::<WhatLabel, Gauge>::default();
        registry.register("relay", "What the relay has counted since the start", relay.clone());
        let personal = Family::<WhatLabel, Gauge>::default();
        let help = "Patients' keys by how they stand, and what became of them since the start";
        registry.register("personal_keys", help, personal.clone());
        let mut one = |name: &str, help: &str| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        };
        let online = one("link_online", "Whether the box is connected to the centre");
        let snapshot = one("snapshot_version", "Version of the snapshot in use, 0 for none");
        let uptime_s = one("uptime_seconds", "Time since the start");
        let space_level =
            one("space_level", "Room on the disk: 0 plenty, 1 low, 2 readings are shed, 3 full");
        let space_free = one("space_free_mebibytes", "Free for the box");
        let space_days = one("space_days_left", "How long the room lasts, -1 where nobody can tell");
        Self {
            registry,
            head,
            waiting,
            acts,
            commits,
            failures,
            findings,
            relay,
            personal,
            online,
            snapshot,
            uptime_s,
            commit_times,
            space_level,
            space_free,
            space_days,
        }
    }

    pub(super) fn read(&self, health: &Health) {
        for journal in &health.journals {
            let lane = LaneLabel { lane: journal.stream().lane.as_str() };
            let counters = journal.counters();
            let set = |family: &Family<LaneLabel, Gauge>, value: u64| {
                family.get_or_create(&lane).set(gauge_value(value));
            };
            set(&self.head, journal.head().seq);
            set(&self.waiting, journal.waiting());
            set(&self.acts, counters.acts.load(Relaxed));
            set(&self.commits, counters.commits.load(Relaxed));
            set(&self.failures, counters.failures.load(Relaxed));
            set(&self.findings, journal.findings().len() as u64);
            let micros = |took: std::time::Duration| u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            set(&self.commit_times.last, micros(counters.commits_took.last()));
            set(&self.commit_times.slowest, micros(counters.commits_took.slowest()));
            set(&self.commit_times.total, micros(counters.commits_took.total()));
        }
        let relay = health.relay.counters();
        for (what, count) in [
            ("batches", &relay.batches),
            ("facts", &relay.facts),
            ("acknowledgements", &relay.acknowledgements),
            ("refusals", &relay.refusals),
            ("rewinds", &relay.rewinds),
            ("connections", &relay.connections),
            ("bad_messages", &relay.bad_messages),
            ("alarms", &relay.alarms),
            ("alerts", &relay.alerts),
            ("alerts_dropped", &relay.alerts_dropped),
        ] {
            self.relay.get_or_create(&WhatLabel { what }).set(gauge_value(count.load(Relaxed)));
        }
        let space = *health.space.borrow();
        self.space_level.set(space.level as i64);
        self.space_free.set(gauge_value(space.free_mib));
        self.space_days.set(space.days_left.map_or(-1, i64::from));
        let personal = health.persons.state().borrow().clone();
        for (what, count) in [
            ("waiting", personal.waiting as u64),
            ("leased", personal.leased as u64),
            ("refused", personal.refused as u64),
            ("damaged", personal.damaged as u64),
            ("erased", personal.erased),
            ("ended", personal.ended),
            ("deposited", personal.deposited),
        ] {
            self.personal.get_or_create(&WhatLabel { what }).set(gauge_value(count));
        }
        self.online.set(i64::from(health.relay.watch().borrow().state != Phase::Offline));
        self.snapshot.set(gauge_value(*health.snapshots.version().borrow()));
        self.uptime_s.set(gauge_value(health.clock.mono_ms().saturating_sub(health.started_mono_ms) / 1_000));
    }
}

fn gauge_value(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
