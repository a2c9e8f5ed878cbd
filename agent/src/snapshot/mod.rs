//! The snapshot of catalogue, recalls and staff: fetched from the centre, verified, kept, and swapped in whole.
//!
//! [`verify`] is the rule (pure), [`fetch`] the HTTPS, [`kept`] the file, [`partial`] a download that broke. A snapshot that is refused leaves the one before in
//! use; a box that starts without the centre uses the one that it has.

pub mod fetch;
pub mod kept;
pub mod partial;
pub mod verify;

use std::{path::PathBuf, sync::Arc, time::Duration};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use pestle_domain::{
    causes::with_causes, ids::ProductId, signature::Hash, snapshot::Snapshot, units::UnixMillis,
};
use serde::Serialize;
use tokio::{
    sync::{Notify, watch},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{centre::Centre, clock::Clock, counter::shop::Shop, identity::DeviceIdentity};
use fetch::{Change, FetchError, Fetched};
use partial::Partial;
use verify::{Proof, Refused};

/// The centre is asked this often, and at once on a nudge.
const POLL_EVERY: Duration = Duration::from_secs(60);
/// While there is none at all, a box cannot sell: it asks more often.
const POLL_FIRST: Duration = Duration::from_secs(2);
/// A nudge is answered within this time, drawn evenly: the centre nudges a whole fleet at once.
const NUDGE_SPREAD_MS: u64 = 2_000;
/// A snapshot that the centre was not asked about for so long lacks a day's prices and recalls: a person should know.
const STALE_MS: u64 = 12 * 3_600 * 1_000;

/// What is known of the snapshot, for the health page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SnapshotState {
    /// In use; 0 for none.
    pub version: u64,
    /// When the centre made it.
    pub made_at: Option<UnixMillis>,
    /// When the centre last said that it is current.
    pub checked_at: Option<UnixMillis>,
    /// Articles in it.
    pub products: usize,
    /// Why a newer one is not in use, or the centre cannot be asked.
    pub trouble: Option<String>,
    /// When the centre was last asked in vain for the first time since it answered (monotonic).
    #[serde(skip)]
    pub in_vain_since_ms: Option<u64>,
}

impl SnapshotState {
    /// Why the snapshot in use may be out of date, in a sentence; `None` while it is not. Without any there is another
    /// word for it.
    pub fn stale(&self, now_mono_ms: u64) -> Option<String> {
        let for_ms = now_mono_ms.saturating_sub(self.in_vain_since_ms?);
        (self.version > 0 && for_ms >= STALE_MS).then(|| {
            format!(
                "Prices, recalls and staff are those of {} hours ago or older: {}. Check the branch's line; call support \
                 if it works.",
                for_ms / 3_600_000,
                self.trouble.as_deref().unwrap_or("the centre does not answer")
            )
        })
    }
}

/// How long to wait before a nudge is followed; `random` is any number.
fn nudge_wait(random: u64) -> Duration {
    Duration::from_millis(random % NUDGE_SPREAD_MS)
}

/// What the snapshot's task needs.
#[derive(Debug)]
pub struct SnapshotParts {
    /// Where it is kept.
    pub folder: PathBuf,
    /// Whose it must be.
    pub identity: Arc<DeviceIdentity>,
    /// Learns the branch's time zone, and that the snapshot's making is past.
    pub clock: Arc<Clock>,
    /// Where it is fetched.
    pub centre: Centre,
    /// Ask now.
    pub nudge: Arc<Notify>,
}

/// The snapshot in use, for others to watch.
#[derive(Debug, Clone)]
pub struct Snapshots {
    shop: watch::Receiver<Option<Arc<Shop>>>,
    version: watch::Receiver<u64>,
    state: watch::Receiver<SnapshotState>,
}

impl Snapshots {
    /// Takes the snapshot that is kept, if there is a good one; the task then looks for newer ones.
    pub fn open(parts: SnapshotParts) -> (Self, SnapshotTask) {
        let (shop, shops) = watch::channel(None);
        let (version, versions) = watch::channel(0);
        let (state, states) = watch::channel(SnapshotState::default());
        let partial = Partial::load(&parts.folder);
        let mut task = SnapshotTask { parts, proof: None, partial, shop, version, state };
        match kept::load(&task.parts.folder) {
            Ok(None) => {}
            Ok(Some((proof, body))) => {
                match verify::verify(&proof, &body, &task.parts.identity.identity, 0) {
                    Ok(snapshot) => task.use_it(proof, Ready::new(snapshot)),
                    Err(refused) => task.trouble(format!("the kept snapshot is not used: {refused}")),
                }
            }
            Err(error) => task.trouble(format!("the kept snapshot is not used: {error}")),
        }
        (Self { shop: shops, version: versions, state: states }, task)
    }

    /// Everything that the counter needs of it; `None` until the first was fetched.
    pub fn shop(&self) -> watch::Receiver<Option<Arc<Shop>>> {
        self.shop.clone()
    }

    /// Its version; 0 for none.
    pub fn version(&self) -> watch::Receiver<u64> {
        self.version.clone()
    }

    /// What is known of it.
    pub fn state(&self) -> watch::Receiver<SnapshotState> {
        self.state.clone()
    }

    /// The article of a GTIN.
    pub fn product(&self, gtin: pestle_domain::gs1::Gtin) -> Option<ProductId> {
        let shop = self.shop.borrow();
        shop.as_ref().and_then(|shop| shop.catalogue.by_gtin(gtin)).map(|product| product.id.clone())
    }
}

/// Why a snapshot did not come into use.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The centre could not be asked.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What it sent is not used.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It could not be kept.
    #[error("the snapshot cannot be kept")]
    Kept(#[from] crate::durable_file::FileError),
    /// A fault of the program.
    #[error("the snapshot could not be read: {0}")]
    Failed(String),
}

/// A verified snapshot, indexed.
struct Ready {
    shop: Arc<Shop>,
    version: u64,
    made_at: UnixMillis,
    products: usize,
}

impl Ready {
    fn new(snapshot: Snapshot) -> Self {
        let (version, made_at, products) = (snapshot.version, snapshot.made_at, snapshot.products.len());
        Self { shop: Arc::new(Shop::open(snapshot)), version, made_at, products }
    }
}

/// Looks for newer snapshots.
#[derive(Debug)]
pub struct SnapshotTask {
    parts: SnapshotParts,
    proof: Option<Proof>,
    partial: Partial,
    shop: watch::Sender<Option<Arc<Shop>>>,
    version: watch::Sender<u64>,
    state: watch::Sender<SnapshotState>,
}

impl SnapshotTask {
    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let nudge = self.parts.nudge.clone();
        let mut every = interval(POLL_FIRST);
        every.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let looked = tokio::select! {
                () = stop.cancelled() => return,
                looked = self.look() => looked,
            };
            if let Err(error) = looked {
                self.trouble(with_causes(&error));
            }
            let wait = if self.proof.is_some() { POLL_EVERY } else { POLL_FIRST };
            every.reset_after(wait);
            tokio::select! {
                () = stop.cancelled() => return,
                () = nudge.notified() => {
                    let wait = nudge_wait(self.random_number());
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(wait) => {}
                    }
                }
                _ = every.tick() => {}
            }
        }
    }

    /// Asks the centre once, and takes a newer snapshot into use.
    ///
    /// # Errors
    /// [`SnapshotError`]; the one before stays in use.
    pub async fn look(&mut self) -> Result<(), SnapshotError> {
        if let Some(changed) = self.look_for_changes().await {
            return self.take(changed).await;
        }
        let etag = self.proof.as_ref().map(|proof| proof.etag.as_str());
        let before = self.partial.bytes.len();
        let fetched = self.parts.centre.snapshot(etag, &mut self.partial).await;
        if self.partial.bytes.len() != before {
            let (partial, folder) = (self.partial.clone(), self.parts.folder.clone());
            let kept = tokio::task::spawn_blocking(move || partial.keep(&folder)).await;
            if let Ok(Err(error)) = kept {
                tracing::warn!(%error, "a download that broke is not kept: it begins anew after a restart");
            }
        }
        self.take(fetched?).await
    }

    /// What has changed since the one in use, as far as the centre can tell; `None` where the whole is to be asked for.
    async fn look_for_changes(&self) -> Option<Fetched> {
        let known = self.proof.as_ref().filter(|_| self.partial.bytes.is_empty())?;
        match self.parts.centre.snapshot_delta(known).await {
            Ok(Some(Change::None)) => Some(Fetched::Unchanged),
            Ok(Some(Change::Delta { proof, packed })) => {
                let (folder, known) = (self.parts.folder.clone(), known.clone());
                let told = proof.clone();
                let unpacked =
                    tokio::task::spawn_blocking(move || unpack_over(&folder, &known, &told, &packed));
                match unpacked.await.unwrap_or_else(|error| Err(error.to_string())) {
                    Ok(body) => Some(Fetched::Body { proof, body }),
                    Err(why) => {
                        tracing::warn!(
                            "a delta of the snapshot is not used, and the whole is fetched: {why}"
                        );
                        None
                    }
                }
            }
            Ok(None) => None,
            Err(error) => {
                tracing::debug!(
                    error = with_causes(&error),
                    "what has changed cannot be asked: the whole is"
                );
                None
            }
        }
    }

    /// Takes what the centre answered into use, if it is a newer snapshot that is good.
    ///
    /// # Errors
    /// [`SnapshotError::Refused`], [`SnapshotError::Kept`], [`SnapshotError::Failed`]; the one before stays in use.
    pub async fn take(&mut self, fetched: Fetched) -> Result<(), SnapshotError> {
        match fetched {
            Fetched::Unchanged => {}
            Fetched::Body { proof, body } => {
                let known = self.proof.as_ref().map_or(0, |proof| proof.version);
                let (parts, told) = (self.parts.identity.clone(), proof.clone());
                let folder = self.parts.folder.clone();
                // Hashing, reading and indexing a large catalogue takes long; so does the disk.
                let made = tokio::task::spawn_blocking(move || -> Result<Ready, SnapshotError> {
                    let snapshot = verify::verify(&told, &body, &parts.identity, known)?;
                    kept::keep(&folder, &told, &body)?;
                    Ok(Ready::new(snapshot))
                });
                match made.await {
                    Ok(ready) => self.use_it(proof, ready?),
                    Err(panic) => return Err(SnapshotError::Failed(panic.to_string())),
                }
            }
        }
        let now = self.parts.clock.wall();
        self.state.send_modify(|state| {
            state.checked_at = Some(now);
            state.trouble = None;
            state.in_vain_since_ms = None;
        });
        Ok(())
    }

    fn use_it(&mut self, proof: Proof, ready: Ready) {
        let Ready { shop, version, made_at, products } = ready;
        let clock = &self.parts.clock;
        clock.set_branch(&shop.profile.time_zone, shop.profile.cut_over_minutes);
        clock.raise_floor(made_at);
        tracing::info!(version, products, "a snapshot is in use");
        self.shop.send_replace(Some(shop));
        self.version.send_replace(version);
        self.state.send_modify(|state| {
            (state.version, state.made_at, state.products) = (version, Some(made_at), products);
        });
        self.proof = Some(proof);
    }

    fn random_number(&self) -> u64 {
        let mut bytes = [0; 8];
        // Without randomness all ask at once, and nothing else.
        let _ = SystemRandom::new().fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }

    fn trouble(&self, why: String) {
        let now_ms = self.parts.clock.mono_ms();
        self.state.send_if_modified(|state| {
            state.in_vain_since_ms.get_or_insert(now_ms);
            false
        });
        let is_new = self.state.borrow().trouble.as_ref() != Some(&why);
        if is_new {
            tracing::warn!("{why}");
            self.state.send_modify(|state| state.trouble = Some(why));
        }
    }
}

/// Unpacks a delta over the kept snapshot that `known` proves; what comes out has the hash that `told` names.
fn unpack_over(
    folder: &std::path::Path,
    known: &Proof,
    told: &Proof,
    packed: &[u8],
) -> Result<Vec<u8>, String> {
    let kept = kept::load(folder).map_err(|error| error.to_string())?;
    let (_, before) = kept.filter(|(proof, _)| proof == known).ok_or("the one in use is not the kept one")?;
    let body = fetch::unpack_delta(packed, &before).map_err(|error| with_causes(&error))?;
    if Hash::of(&body) == told.hash { Ok(body) } else { Err("it does not lead to what it names".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nudged_fleet_asks_within_two_seconds_and_not_in_one_moment() {
        let waits = [0, 1, 1_999, 2_000, u64::MAX].map(nudge_wait);
        assert!(waits.iter().all(|wait| *wait < Duration::from_secs(2)), "{waits:?}");
        assert!(waits.iter().collect::<std::collections::BTreeSet<_>>().len() > 2, "{waits:?}");
    }

    #[test]
    fn a_snapshot_is_out_of_date_when_the_centre_was_asked_in_vain_for_half_a_day() {
        let hour = 3_600_000;
        let state = SnapshotState {
            version: 7,
            trouble: Some("no route".into()),
            in_vain_since_ms: Some(hour),
            ..SnapshotState::default()
        };
        assert_eq!(state.stale(12 * hour), None);
        let said = state.stale(14 * hour).unwrap();
        assert!(said.contains("13 hours") && said.contains("no route"), "{said}");
        let none = SnapshotState { version: 0, ..state.clone() };
        assert_eq!(none.stale(99 * hour), None, "without any the page says so itself");
        let answered = SnapshotState { in_vain_since_ms: None, ..state };
        assert_eq!(answered.stale(99 * hour), None);
    }
}
