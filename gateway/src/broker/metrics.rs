//! What is counted about the broker (`pestle_gateway_broker_…`), and how often the log says so.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The log tells of one kind of refusal or loss at most this often, in milliseconds, and then of how many.
const SAY_EVERY_MS: u64 = 10_000;

/// Cloned, it counts into the same place.
#[derive(Debug, Clone, Default)]
pub struct BrokerMetrics {
    /// Ingest's link to the broker.
    pub link: Link,
    /// What the built-in broker refused, by kind.
    pub refused: Family<KindLabel, Counter>,
    /// Messages that the built-in broker gave up, by reason. Boxes ask for what they miss; a steady rise means that
    /// somebody reads too slowly.
    pub dropped: Family<ReasonLabel, Counter>,
    refusals: Arc<Quiet>,
    drops: Arc<Quiet>,
}

/// What was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct KindLabel {
    /// `connection`, `subscription`, `publication` or `retained`.
    pub kind: &'static str,
}

/// Why a message was given up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// `queue_full`, `window_full`, `expired`, `refused`, `connection` or `other`.
    pub reason: &'static str,
}

impl BrokerMetrics {
    /// Under their names.
    pub fn register(&self, registry: &mut Registry) {
        let link = self.link.0.clone();
        registry.register("broker_link_up", "1 while ingest is linked to the broker", link);
        registry.register("broker_refused", "Refused by the built-in broker", self.refused.clone());
        registry.register(
            "broker_messages_dropped",
            "Messages given up by the built-in broker",
            self.dropped.clone(),
        );
    }

    /// Counts a refusal; how many there were since the log last told of one, when it is time to tell again.
    pub(super) fn refuse(&self, kind: &'static str, now_ms: u64) -> Option<u64> {
        self.refused.get_or_create(&KindLabel { kind }).inc();
        self.refusals.count(now_ms)
    }

    /// Counts a message that was given up; as [`BrokerMetrics::refuse`].
    pub(super) fn drop_one(&self, reason: &'static str, now_ms: u64) -> Option<u64> {
        self.dropped.get_or_create(&ReasonLabel { reason }).inc();
        self.drops.count(now_ms)
    }
}

/// Whether ingest's link to the broker stands: the link says it, `/health` and metrics read it.
#[derive(Debug, Clone, Default)]
pub struct Link(Gauge);

impl Link {
    /// Says whether it stands.
    pub fn set(&self, stands: bool) {
        self.0.set(i64::from(stands));
    }

    /// Whether it stands.
    pub fn stands(&self) -> bool {
        self.0.get() == 1
    }
}

/// Says something once in a while, with how often it happened since. Whoever can cause a line can otherwise fill a disk.
#[derive(Debug, Default)]
struct Quiet {
    /// Zero: never yet.
    said_at_ms: AtomicU64,
    since: AtomicU64,
}

impl Quiet {
    fn count(&self, now_ms: u64) -> Option<u64> {
        let since = self.since.fetch_add(1, Ordering::Relaxed) + 1;
        let said = self.said_at_ms.load(Ordering::Relaxed);
        let now_ms = now_ms.max(1);
        if said != 0 && now_ms < said.saturating_add(SAY_EVERY_MS) {
            return None;
        }
        // Of two at once, one says it.
        self.said_at_ms.compare_exchange(said, now_ms, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        self.since.fetch_sub(since, Ordering::Relaxed);
        Some(since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_next_ones_together() {
        let quiet = Quiet::default();
        assert_eq!(quiet.count(5), Some(1));
        assert_eq!(quiet.count(6), None);
        assert_eq!(quiet.count(SAY_EVERY_MS), None);
        assert_eq!(quiet.count(SAY_EVERY_MS + 5), Some(3));
    }
}
