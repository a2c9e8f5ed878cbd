//! What the box says about itself: `/health` for people and scripts, `/metrics` for Prometheus.

mod metrics;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};
use pestle_domain::ids::{BranchId, DeviceId, TenantId};
use prometheus_client::encoding::text::encode;
use serde::Serialize;
use tokio::sync::watch;

use crate::{
    appliance,
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
use metrics::Metrics;

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
            system: appliance::troubles(),
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
    system: Vec<String>,
}

/// How the box is, and why it is not well. Being offline is normal.
fn judge(condition: &Condition<'_>) -> (Status, Vec<String>) {
    let Condition { journals, snapshot, personal, stale, link, ended, space, counter_works, system } =
        condition;
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
    found.extend(system.iter().map(|why| (Status::Degraded, why.clone())));
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
        system: Vec<String>,
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
            system: Vec::new(),
        };
        change(&mut parts);
        let Parts { journal, snapshot, personal, stale, link, ended, space, counter_works, system } = parts;
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
            system,
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
        check(Status::Degraded, "firewall", |parts| parts.system.push("the firewall did not start".into()));
        check(Status::Failing, "relay", |parts| parts.ended = Some("relay"));
        check(Status::Failing, "counter", |parts| parts.counter_works = false);
        // The worst counts, and all is said.
        check(Status::Failing, "damaged", |parts| {
            parts.journal.trouble = Some("not recorded".into());
            parts.journal.findings.push("damaged".into());
        });
    }
}
