//! What the centre tells the branch, ready for use at the counter.

use std::{collections::HashMap, fmt, sync::Arc};

use pestle_domain::{
    catalogue::{Catalogue, Recall},
    fact::Actor,
    ids::StaffId,
    order::OrderHead,
    snapshot::{BranchProfile, Snapshot},
    staff::Member,
    units::{Day, UnixMillis},
};
use time::{Duration, OffsetDateTime};

use crate::zone::{self, OffsetAt};

/// One version of a snapshot, indexed. It is swapped as a whole.
#[derive(Clone)]
pub struct Shop {
    /// The snapshot's version.
    pub version: u64,
    /// The last order whose effect the snapshot has, where it says so.
    pub orders: Option<OrderHead>,
    /// How the branch presents itself.
    pub profile: BranchProfile,
    /// Articles and recalls.
    pub catalogue: Catalogue,
    staff: Arc<HashMap<StaffId, Member>>,
    offset_at: OffsetAt,
}

impl fmt::Debug for Shop {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Shop").field("version", &self.version).finish_non_exhaustive()
    }
}

impl Shop {
    /// A snapshot as the box uses it.
    pub fn open(snapshot: Snapshot) -> Self {
        let offset_at = zone::offsets_of(&snapshot.profile.time_zone);
        Self::new(snapshot, offset_at)
    }

    /// Indexes a snapshot. `offset_at` knows the time zone of its profile.
    pub fn new(snapshot: Snapshot, offset_at: OffsetAt) -> Self {
        let Snapshot { version, profile, products, recalls, staff, orders, .. } = snapshot;
        let staff = staff.into_iter().map(|member| (member.id.clone(), member)).collect();
        Self {
            version,
            orders,
            profile,
            catalogue: Catalogue::new(products, recalls),
            staff: Arc::new(staff),
            offset_at,
        }
    }

    /// The same snapshot with other recalls.
    #[must_use]
    pub fn with_recalls(&self, recalls: Vec<Recall>) -> Self {
        Self { catalogue: self.catalogue.with_recalls(recalls), ..self.clone() }
    }

    /// A person who may sign in here.
    pub fn member(&self, id: &StaffId) -> Option<&Member> {
        self.staff.get(id)
    }

    /// Anybody of the branch, for whoever needs a verifier that costs what the centre's do.
    pub fn any_member(&self) -> Option<&Member> {
        self.staff.values().next()
    }

    /// The day of business at a moment.
    pub fn business_date(&self, at: UnixMillis) -> Day {
        let local = self.local(at);
        let since_cut_over = local.checked_sub(Duration::minutes(self.profile.cut_over_minutes.into()));
        Day(since_cut_over.unwrap_or(local).date())
    }

    /// What is printed and shown for who did something.
    pub fn name_of<'a>(&'a self, actor: &'a Actor) -> &'a str {
        match actor {
            Actor::Machine => "the box",
            Actor::Staff(id) => self.member(id).map_or(id.as_str(), |member| &member.name),
        }
    }

    /// A moment on the branch's own clock.
    pub fn local(&self, at: UnixMillis) -> OffsetDateTime {
        at.utc().unwrap_or(OffsetDateTime::UNIX_EPOCH).to_offset((self.offset_at)(at))
    }
}
