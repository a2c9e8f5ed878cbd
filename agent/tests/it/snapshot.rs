//! The snapshot that a box keeps: what it uses when the centre is away, and when the centre sends something else.

use std::{path::Path, sync::Arc};

use aws_lc_rs::rand::SystemRandom;
use pestle_agent::{
    centre::Centre,
    clock::Clock,
    identity::DeviceIdentity,
    snapshot::{
        SnapshotError, SnapshotParts, SnapshotTask, Snapshots,
        fetch::Fetched,
        kept,
        verify::{Proof, Refused},
    },
};
use pestle_domain::{
    signature::{Hash, SigningKey},
    snapshot::{Snapshot, statement},
};

use crate::{branch, program};

fn version(version: u64) -> Snapshot {
    Snapshot { version, ..branch::snapshot() }
}

/// As the centre sends it.
fn signed(snapshot: &Snapshot, key: &SigningKey) -> (Proof, Vec<u8>) {
    let body = serde_json::to_vec(snapshot).unwrap();
    let hash = Hash::of(&body);
    let statement = statement(&snapshot.tenant, &snapshot.branch, snapshot.version, &hash);
    let signature = key.sign(&statement, &SystemRandom::new()).unwrap();
    let proof =
        Proof { version: snapshot.version, hash, key: key.id().clone(), signature, etag: String::new() };
    (proof, body)
}

/// As the agent does at its start; its centre does not answer.
fn open(data: &Path) -> (Snapshots, SnapshotTask) {
    // Another test may have installed it.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let identity = Arc::new(DeviceIdentity::load(data).unwrap());
    let clock = Arc::new(Clock::open(data).unwrap());
    let mut tls = identity.client_tls(clock.clone()).unwrap();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    let tls = Arc::new(tls);
    Snapshots::open(SnapshotParts {
        folder: data.join("snapshot"),
        identity,
        clock,
        centre: Centre { host: "127.0.0.1".into(), port: 1, tls },
        nudge: Arc::default(),
    })
}

fn in_use(snapshots: &Snapshots) -> u64 {
    let version = *snapshots.version().borrow();
    assert_eq!(snapshots.shop().borrow().as_ref().map_or(0, |shop| shop.version), version);
    assert_eq!(snapshots.state().borrow().version, version);
    version
}

#[test]
fn what_is_kept_is_loaded_as_it_was_and_a_damaged_file_is_told() {
    let (data, centre) = program::enrolled_box_and_centre();
    let folder = data.path().join("snapshot");
    assert!(kept::load(&folder).unwrap().is_none());
    let (proof, body) = signed(&version(7), &centre);
    kept::keep(&folder, &proof, &body).unwrap();
    assert_eq!(kept::load(&folder).unwrap(), Some((proof.clone(), body.clone())));
    assert_eq!(in_use(&open(data.path()).0), 7);

    let file = folder.join("current.snapshot");
    let whole = std::fs::read(&file).unwrap();
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    for damaged in [&whole[..whole.len() - 1], &changed[..], b"no line end", b""] {
        std::fs::write(&file, damaged).unwrap();
        let (snapshots, _) = open(data.path());
        assert_eq!(in_use(&snapshots), 0);
        let trouble = snapshots.state().borrow().trouble.clone().unwrap();
        assert!(trouble.contains("the kept snapshot is not used"), "{trouble}");
    }
}

#[tokio::test]
async fn a_newer_snapshot_that_is_refused_leaves_the_old_one_in_use_and_kept() {
    let (data, centre) = program::enrolled_box_and_centre();
    let (_, stranger) = program::enrolled_box_and_centre();
    let (proof, body) = signed(&version(7), &centre);
    kept::keep(&data.path().join("snapshot"), &proof, &body).unwrap();
    let (snapshots, mut task) = open(data.path());

    let (forged, other) = signed(&version(8), &stranger);
    let refused = task.take(Fetched::Body { proof: forged, body: other }).await;
    assert!(matches!(refused, Err(SnapshotError::Refused(Refused::UnknownKey(_)))), "{refused:?}");
    let (older, other) = signed(&version(6), &centre);
    let refused = task.take(Fetched::Body { proof: older, body: other }).await;
    assert!(matches!(refused, Err(SnapshotError::Refused(Refused::Older { .. }))), "{refused:?}");
    assert_eq!(in_use(&snapshots), 7);
    assert_eq!(in_use(&open(data.path()).0), 7);

    let (newer, other) = signed(&version(8), &centre);
    task.take(Fetched::Body { proof: newer, body: other }).await.unwrap();
    assert_eq!((in_use(&snapshots), in_use(&open(data.path()).0)), (8, 8));
}

#[test]
fn a_box_whose_centre_is_away_starts_with_the_snapshot_that_it_keeps() {
    let (data, centre) = program::enrolled_box_and_centre();
    let (proof, body) = signed(&version(7), &centre);
    kept::keep(&data.path().join("snapshot"), &proof, &body).unwrap();
    let (_running, web) = program::start(data.path());
    let health = program::get(&web, "/health");
    assert!(health.contains(r#""status":"ok""#), "{health}");
    assert!(health.contains(r#""snapshot":{"version":7"#), "{health}");
    let page = program::get(&web, "/till/till-1");
    assert!(page.contains("North &lt;Street&gt;") || page.contains("North &#60;Street&#62;"), "{page}");
}
