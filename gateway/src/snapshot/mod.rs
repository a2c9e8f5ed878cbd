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

use std::{sync::Arc, time::Duration};

use moka::future::Cache;
use pestle_domain::ids::{BranchId, TenantId};

/// Packed snapshots that are kept: a catalogue of 20,000 articles packs to about 1 MB.
const KEPT_MAX: u64 = 64;
/// How long one that nobody asks for is kept.
const KEPT_IDLE: Duration = Duration::from_secs(600);

/// Packed snapshots by tenant, branch and version.
#[derive(Debug, Clone)]
pub struct Snapshots(Cache<(TenantId, BranchId, u64), Arc<rules::Packed>>);

impl Default for Snapshots {
    fn default() -> Self {
        Self(Cache::builder().max_capacity(KEPT_MAX).time_to_idle(KEPT_IDLE).build())
    }
}
