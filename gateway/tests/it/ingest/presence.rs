//! Who is there, and how much waits: births, deaths and heads as rows that people read.

use std::time::Duration;

use pestle_domain::{
    ids::ConnectionId,
    snapshot::BranchProfile,
    staff::Role,
    units::UnixMillis,
    wire::message::{Heads, Nudge, Presence, Status, StreamHead},
};
use pestle_gateway::{
    fleet::store::{Device, device},
    tenancy,
    testing::{self, TestGateway},
};
use uuid::Uuid;

use super::{centre::committed, whole::Wired};
use crate::platform::client::{enrolled, seed, tenant};

struct Rig {
    gateway: TestGateway,
    wired: Wired,
}

impl Rig {
    async fn new() -> Self {
        let gateway = testing::gateway().await;
        seed(&gateway, Role::Manager).await;
        let enrolled = enrolled(&gateway).await;
        let wired = Wired::new(&gateway, &enrolled).await;
        Self { gateway, wired }
    }

    async fn says(&self, connection: ConnectionId, state: Presence) {
        let status = Status { v: 1, connection, state, at: UnixMillis(0), agent: "0.1.0".into() };
        self.wired.say("status", serde_json::to_vec(&status).unwrap()).await;
    }

    async fn states(&mut self, connection: ConnectionId, seq: u64, waiting: u64, snapshot: u64) {
        let stated =
            StreamHead { stream: self.wired.branch.stream.clone(), head: self.wired.branch.head(seq) };
        let heads = Heads {
            v: 1,
            connection,
            streams: vec![stated],
            waiting,
            snapshot,
            agent: "0.2.0".into(),
            orders: None,
        };
        self.wired.say("up/heads", serde_json::to_vec(&heads).unwrap()).await;
        self.wired.answer().await;
    }

    async fn row(&mut self) -> Device {
        // The link between two events has to be polled, or nothing that was said leaves it.
        self.wired.poll_for(Duration::from_millis(50)).await;
        let mut tx = self.gateway.running.app.db.tenant(&tenant()).begin().await.unwrap();
        device(&mut tx, &self.wired.branch.device()).await.unwrap().unwrap()
    }

    /// Waits until the row is as `want` says.
    async fn shows(&mut self, what: &str, want: impl Fn(&Device) -> bool) {
        for _ in 0..400 {
            if want(&self.row().await) {
                return;
            }
        }
        panic!("the row never shows {what}: {:?}", self.row().await);
    }
}

fn session() -> ConnectionId {
    ConnectionId(Uuid::now_v7())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_death_ends_no_newer_session_and_any_word_brings_a_box_back() {
    let mut at = Rig::new().await;
    assert!(!at.row().await.online);
    let (old, new) = (session(), session());
    at.says(old, Presence::Online).await;
    at.shows("the birth", |row| row.online && row.last_seen.is_some()).await;
    at.says(new, Presence::Online).await;
    at.says(old, Presence::Offline).await;
    // Both were taken when the heads of the new session are answered.
    at.states(new, 0, 0, 3).await;
    let row = at.row().await;
    assert!(row.online, "the old session's death is late");
    assert_eq!((row.snapshot, row.agent.as_deref()), (Some(3), Some("0.2.0")));
    at.says(new, Presence::Offline).await;
    at.shows("the death", |row| !row.online).await;
    assert_eq!(at.row().await.snapshot, Some(3), "a death takes nothing that is known away");
    at.states(new, 0, 0, 3).await;
    assert!(at.row().await.online, "a word after a death");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_falls_with_each_commit_and_not_only_when_it_is_stated_again() {
    let mut at = Rig::new().await;
    let opened = at.wired.branch.open(10);
    let sold = at.wired.branch.sell("p-1", 1);
    at.states(session(), sold, sold, 1).await;
    assert_eq!(at.row().await.waiting, Some(i64::try_from(sold).unwrap()));
    committed(&at.wired.send(1, opened).await);
    assert_eq!(at.row().await.waiting, Some(i64::try_from(sold - opened).unwrap()));
    committed(&at.wired.send(opened + 1, sold).await);
    assert_eq!(at.row().await.waiting, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_box_is_told_of_a_newer_snapshot_within_seconds() {
    let mut at = Rig::new().await;
    let app = at.gateway.running.app.clone();
    at.states(session(), 0, 0, 1).await;
    let profile = |name: &str| BranchProfile { name: name.into(), ..branch_profile() };
    let version = async {
        let mut tx = app.db.tenant(&tenant()).begin().await.unwrap();
        let branch = tenancy::store::Branch { id: "north".parse().unwrap(), profile: profile("North") };
        assert!(tenancy::store::change_branch(&mut tx, &branch).await.unwrap());
        let version = tenancy::store::revision(&mut tx).await.unwrap().version;
        tx.commit().await.unwrap();
        version
    };
    // The task has looked once when the broker answered; a change from now on is a newer one.
    at.wired.poll_for(Duration::from_secs(3)).await;
    let version = version.await;
    assert_eq!(at.wired.nudge().await, Nudge::Snapshot { version });
}

fn branch_profile() -> BranchProfile {
    pestle_gateway::tenancy::rules::profile(crate::platform::client::profile()).unwrap()
}
