//! What the box says about itself: `/health` for people and scripts, `/metrics` for Prometheus.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use pestle_domain::ids::{BranchId, DeviceId, TenantId};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{family::Family, gauge::Gauge},
    registry::Registry,
};
use serde::Serialize;
use tokio::sync::watch;

use crate::{
    clock::Clock,
    counter::{
        handle::Counter,
        view::{DeviceView, ReadingView},
    },
    journal::{Finding, Journal},
    personal::{PersonalState, Persons},
    relay::{LinkState, Phase, Relay},
    snapshot::{SnapshotState, Snapshots},
    space::{Level, Space},
};

/// Everything that is asked for its state.
#[derive(Debug, Clone)]
pub struct Health {
    /// The chain.
    pub tenant: TenantId,
    /// The pharmacy.
    pub branch: BranchId,
    /// The box.
    pub device: DeviceId,
    /// Since when it runs (monotonic).
    pub started_mono_ms: u64,
    /// Time.
    pub clock: Arc<Clock>,
    /// One per lane.
    pub journals: Vec<Journal>,
    /// The link.
    pub relay: Relay,
    /// The snapshot.
    pub snapshots: Snapshots,
    /// Patients' keys.
    pub persons: Persons,
    /// Knows the devices.
    pub counter: Counter,
    /// The room on the disk.
    pub space: watch::Receiver<Space>,
    /// The part of the agent that ended first, if any did.
    pub ended: watch::Receiver<Option<&'static str>>,
}

#[derive(Debug, Serialize)]
struct Report {
    status: Status,
    version: &'static str,
    tenant: TenantId,
    branch: BranchId,
    device: DeviceId,
    uptime_s: u64,
    /// Why it is not `ok`, each in a sentence.
    reasons: Vec<String>,
    journal: Vec<JournalReport>,
    link: LinkState,
    snapshot: SnapshotState,
    space: Space,
    /// Patients' keys: how many stand how.
    personal: PersonalState,
    devices: Vec<DeviceView>,
    readings: Vec<ReadingView>,
}

/// How the box is; the last is the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// All is well; being offline is normal.
    Ok,
    /// It sells, and a person should look.
    Degraded,
    /// Nothing can be recorded.
    Failing,
}

#[derive(Debug, Serialize)]
struct JournalReport {
    lane: &'static str,
    epoch: u32,
    head: u64,
    waiting: u64,
    trouble: Option<String>,
    findings: Vec<String>,
    commit_last_ms: u64,
    commit_slowest_ms: u64,
    /// The disk is slow: so long does something take that is being recorded, or was in the last minute.
    slow_ms: Option<u64>,
}

impl Health {
    /// `/health` and `/metrics`.
    pub fn router(self) -> Router {
        let metrics = Arc::new(Metrics::new(&self.counter));
        Router::new()
            .route("/health", get(health))
            .route("/metrics", get(move |state| self::metrics(state, metrics.clone())))
            .with_state(self)
    }

    fn report(&self) -> Report {
        let journal: Vec<_> = self.journals.iter().map(journal_report).collect();
        let snapshot = self.snapshots.state().borrow().clone();
        let link = self.relay.watch().borrow().clone();
        let personal = self.persons.state().borrow().clone();
        // Every till's view shows all devices of the branch.
        let view = self.counter.tills().first().and_then(|till| self.counter.watch(&till.id));
        let (devices, readings) = view
            .map(|view| (view.borrow().devices.clone(), view.borrow().readings.clone()))
            .unwrap_or_default();
        let condition = Condition {
            journals: &journal,
            stale: snapshot.stale(self.clock.mono_ms()),
            snapshot: &snapshot,
            personal: &personal,
            link: &link,
            ended: *self.ended.borrow(),
            space: *self.space.borrow(),
            counter_works: self.counter.is_alive(),
        };
        let (status, reasons) = judge(&condition);
        Report {
            status,
            reasons,
            version: env!("CARGO_PKG_VERSION"),
            tenant: self.tenant.clone(),
            branch: self.branch.clone(),
            device: self.device.clone(),
            uptime_s: self.clock.mono_ms().saturating_sub(self.started_mono_ms) / 1_000,
            journal,
            link,
            snapshot,
            space: *self.space.borrow(),
            personal,
            devices,
            readings,
        }
    }
}

fn journal_report(journal: &Journal) -> JournalReport {
    let took = &journal.counters().commits_took;
    JournalReport {
        lane: journal.stream().lane.as_str(),
        epoch: journal.stream().epoch,
        head: journal.head().seq,
        waiting: journal.waiting(),
        trouble: journal.watch_trouble().borrow().clone(),
        findings: journal.findings().iter().map(Finding::to_string).collect(),
        commit_last_ms: millis(took.last()),
        commit_slowest_ms: millis(took.slowest()),
        slow_ms: took.slowest_now().map(millis),
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What the box's health follows from.
struct Condition<'a> {
    journals: &'a [JournalReport],
    snapshot: &'a SnapshotState,
    personal: &'a PersonalState,
    stale: Option<String>,
    link: &'a LinkState,
    ended: Option<&'static str>,
    space: Space,
    counter_works: bool,
}

/// How the box is, and why it is not well. Being offline is normal.
fn judge(condition: &Condition<'_>) -> (Status, Vec<String>) {
    let Condition { journals, snapshot, personal, stale, link, ended, space, counter_works } = condition;
    let mut found = Vec::new();
    let trouble = journals.iter().filter_map(|journal| journal.trouble.clone());
    found.extend(trouble.map(|why| (Status::Failing, why)));
    if let Some(part) = ended {
        found.push((Status::Failing, format!("The part \"{part}\" of the agent ended; it starts anew.")));
    }
    if !counter_works {
        found.push((
            Status::Failing,
            "The counter does not take anything any more: restart the agent.".into(),
        ));
    }
    if snapshot.version == 0 {
        let why = "This box has no catalogue yet: it cannot sell until it reached the centre once.";
        found.push((Status::Degraded, why.to_owned()));
    }
    found.extend(stale.clone().map(|why| (Status::Degraded, why)));
    found.extend(personal.concern().map(|why| (Status::Degraded, why)));
    if link.state != Phase::Offline || link.rival {
        found.extend(link.detail.clone().map(|why| (Status::Degraded, why)));
    }
    if let Some(why) = space_reason(space) {
        found.push((Status::Degraded, why));
    }
    let slow = journals.iter().filter_map(|journal| Some((journal.lane, journal.slow_ms?)));
    found.extend(slow.map(|(lane, ms)| {
        (Status::Degraded, format!("The disk is slow: {ms} ms for one commit of the {lane} journal."))
    }));
    let damages = journals.iter().flat_map(|journal| &journal.findings);
    found.extend(damages.map(|why| (Status::Degraded, why.clone())));
    let status = found.iter().map(|(status, _)| *status).max().unwrap_or(Status::Ok);
    (status, found.into_iter().map(|(_, why)| why).collect())
}

fn space_reason(space: &Space) -> Option<String> {
    let Space { level, free_mib, .. } = space;
    let follows = match level {
        Level::Plenty => return None,
        Level::Low => "it sells on",
        Level::Shedding => "readings are not recorded",
        Level::Full => "no new business begins",
    };
    let days = space.days_left.map_or_else(String::new, |days| format!(", for about {days} days"));
    Some(format!("The disk has little room ({free_mib} MiB{days}): {follows}."))
}

async fn health(State(health): State<Health>) -> impl IntoResponse {
    let report = health.report();
    (code(report.status), Json(report))
}

fn code(status: Status) -> StatusCode {
    match status {
        Status::Failing => StatusCode::SERVICE_UNAVAILABLE,
        Status::Ok | Status::Degraded => StatusCode::OK,
    }
}

async fn metrics(State(health): State<Health>, metrics: Arc<Metrics>) -> impl IntoResponse {
    metrics.read(&health);
    let mut text = String::new();
    match encode(&mut text, &metrics.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

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
struct Metrics {
    registry: Registry,
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
    fn new(counter: &Counter) -> Self {
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

    fn read(&self, health: &Health) {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> JournalReport {
        JournalReport {
            lane: "ledger",
            epoch: 1,
            head: 9,
            waiting: 0,
            trouble: None,
            findings: Vec::new(),
            commit_last_ms: 3,
            commit_slowest_ms: 40,
            slow_ms: None,
        }
    }

    /// A box's parts, well at first.
    struct Parts {
        journal: JournalReport,
        snapshot: SnapshotState,
        personal: PersonalState,
        stale: Option<String>,
        link: LinkState,
        ended: Option<&'static str>,
        space: Space,
        counter_works: bool,
    }

    /// What is said of a box that is well but for what `change` does.
    fn check(expected: Status, word: &str, change: impl FnOnce(&mut Parts)) {
        let mut parts = Parts {
            journal: journal(),
            snapshot: SnapshotState { version: 7, ..SnapshotState::default() },
            personal: PersonalState::default(),
            stale: None,
            link: LinkState { state: Phase::Live, ..LinkState::default() },
            ended: None,
            space: Space { free_mib: 300, ..Space::default() },
            counter_works: true,
        };
        change(&mut parts);
        let Parts { journal, snapshot, personal, stale, link, ended, space, counter_works } = parts;
        let journals = [journal];
        let condition = Condition {
            journals: &journals,
            snapshot: &snapshot,
            personal: &personal,
            stale,
            link: &link,
            ended,
            space,
            counter_works,
        };
        let (status, reasons) = judge(&condition);
        assert_eq!(status, expected, "{reasons:?}");
        assert_eq!(reasons.is_empty(), expected == Status::Ok, "{reasons:?}");
        assert!(reasons.join(" ").contains(word), "{reasons:?}");
        let code = code(status);
        assert_eq!(code == StatusCode::SERVICE_UNAVAILABLE, expected == Status::Failing);
    }

    #[test]
    fn each_state_of_the_box_has_its_word() {
        let link =
            |state, detail: &str| LinkState { state, detail: Some(detail.into()), ..LinkState::default() };
        check(Status::Ok, "", |_| {});
        check(Status::Ok, "", |parts| parts.link = link(Phase::Offline, "no route"));
        check(Status::Degraded, "refused", |parts| parts.link = link(Phase::CatchUp, "refused"));
        check(Status::Degraded, "no catalogue", |parts| parts.snapshot.version = 0);
        check(Status::Ok, "", |parts| parts.personal.waiting = 2);
        check(Status::Degraded, "other keys", |parts| parts.personal.refused = 1);
        check(Status::Degraded, "left as they are", |parts| parts.personal.damaged = 1);
        check(Status::Degraded, "hours ago", |parts| parts.stale = Some("hours ago".into()));
        check(Status::Degraded, "damaged", |parts| parts.journal.findings.push("damaged".into()));
        check(Status::Degraded, "300 MiB): it sells on", |parts| parts.space.level = Level::Low);
        check(Status::Degraded, "no new business", |parts| parts.space.level = Level::Full);
        check(Status::Degraded, "4000 ms for one commit", |parts| parts.journal.slow_ms = Some(4_000));
        check(Status::Failing, "not recorded", |parts| parts.journal.trouble = Some("not recorded".into()));
        check(Status::Failing, "relay", |parts| parts.ended = Some("relay"));
        check(Status::Failing, "counter", |parts| parts.counter_works = false);
        // The worst counts, and all is said.
        check(Status::Failing, "damaged", |parts| {
            parts.journal.trouble = Some("not recorded".into());
            parts.journal.findings.push("damaged".into());
        });
    }
}
