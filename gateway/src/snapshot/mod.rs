//! The snapshot: what a branch needs to work by itself, as one compressed file that a box fetches over HTTPS.
//!
//! In reading order: [`rules`] packs and signs; [`store`] gathers; [`range`] reads the part of a file that a box still
//! lacks; [`api`] serves.
//!
//! Its version is the tenant's revision, its content follows from the revision alone (the time in it is that of the
//! revision), so two gateways give the same bytes and a fetch that was cut off goes on at any of them.

pub mod api;
pub mod range;
pub mod rules;
pub mod store;

use std::{future::Future, sync::Arc, time::Duration};

use moka::future::Cache;
use pestle_domain::{
    ids::{BranchId, TenantId},
    signature::Hash,
    snapshot::Snapshot,
};
use tokio::sync::Semaphore;

use crate::http::error::ApiError;

/// Packed snapshots that are kept: a catalogue of 20,000 articles packs to about 1 MB.
const KEPT_MAX: u64 = 64;
/// How long one that nobody asks for is kept.
const KEPT_IDLE: Duration = Duration::from_secs(600);

/// Packed at once. Each takes a core for as long as a catalogue takes to compress, and its JSON in memory.
const AT_ONCE: usize = 2;

/// Packed snapshots by tenant, branch and version.
#[derive(Debug, Clone)]
pub struct Snapshots {
    kept: Cache<(TenantId, BranchId, u64), Arc<rules::Packed>>,
    places: Arc<Semaphore>,
}

impl Default for Snapshots {
    fn default() -> Self {
        Self {
            kept: Cache::builder().max_capacity(KEPT_MAX).time_to_idle(KEPT_IDLE).build(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }
}

impl Snapshots {
    /// The snapshot of that key: kept, or made by `gather` and `pack`. Of many who ask for one at once, one makes it
    /// and all get it. `gather` runs here and `pack` on a thread for such work, a few at a time.
    ///
    /// # Errors
    /// What `gather` says; INTERNAL.
    pub async fn get(
        &self,
        key: (TenantId, BranchId, u64),
        gather: impl Future<Output = Result<Snapshot, ApiError>>,
        pack: impl FnOnce(&Snapshot) -> Result<rules::Packed, rules::PackError> + Send + 'static,
    ) -> Result<Arc<rules::Packed>, ApiError> {
        let made = Box::pin(self.kept.try_get_with(key, async {
            let place = self.places.clone().acquire_owned().await;
            let place = place.map_err(|error| ApiError::internal("snapshot", &error))?;
            let gathered = gather.await?;
            let packing = tokio::task::spawn_blocking(move || {
                let packed = pack(&gathered);
                drop(place);
                packed
            });
            let packed = packing.await.map_err(|error| ApiError::internal("snapshot", &error))?;
            packed.map(Arc::new).map_err(|error| ApiError::internal("snapshot", &error))
        }));
        made.await.map_err(|error| ApiError::clone(&error))
    }
}

impl Snapshots {
    /// What leads from the version `from`, whose JSON has `hash`, to `to`; `None` where this gateway does not have that
    /// version at hand any more, or the whole is shorter.
    ///
    /// # Errors
    /// INTERNAL.
    pub async fn delta(
        &self,
        (key, hash): ((TenantId, BranchId, u64), Hash),
        to: Arc<rules::Packed>,
    ) -> Result<Option<rules::Delta>, ApiError> {
        let Some(from) = self.kept.get(&key).await.filter(|from| from.hash == hash) else { return Ok(None) };
        let place = self.places.clone().acquire_owned().await;
        let place = place.map_err(|error| ApiError::internal("snapshot", &error))?;
        let whole = to.body.len();
        let making = tokio::task::spawn_blocking(move || {
            let made = rules::delta(&from, &to);
            drop(place);
            made
        });
        let made = making.await.map_err(|error| ApiError::internal("delta", &error))?;
        let made = made.map_err(|error| ApiError::internal("delta", &error))?;
        Ok(Some(made).filter(|delta| delta.body.len() < whole))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn of_many_boxes_that_ask_at_once_one_has_the_snapshot_made() {
        let snapshots = Snapshots::default();
        let gathered = Arc::new(AtomicUsize::new(0));
        let key = || ("demo".parse().unwrap(), "north".parse().unwrap(), 7);
        let asked = (0..20).map(|_| {
            let (snapshots, gathered) = (snapshots.clone(), gathered.clone());
            let gather = async move {
                gathered.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Err(ApiError::not_found("no such branch"))
            };
            async move { snapshots.get(key(), gather, |_| unreachable!("nothing was gathered")).await }
        });
        for outcome in futures::future::join_all(asked).await {
            assert_eq!(outcome.unwrap_err().message, "no such branch");
        }
        assert_eq!(gathered.load(Ordering::Relaxed), 1);
    }
}
