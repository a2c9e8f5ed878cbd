//! What ingest counts (`pestle_gateway_ingest_…`).

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{
        counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, histogram::exponential_buckets,
    },
    registry::Registry,
};

/// Cloned, it counts into the same place.
#[derive(Debug, Clone)]
pub struct IngestMetrics {
    /// Facts stored.
    pub facts: Counter,
    /// Of them, stored unfolded.
    pub unfolded: Counter,
    /// Batches by what became of them.
    pub batches: Family<OutcomeLabel, Counter>,
    /// Messages that nothing can be done with: from nobody, or on no topic of ours.
    pub strays: Counter,
    /// Early copies of urgent facts.
    pub alerts: Counter,
    /// Of them, those that could not be noted: their facts came in their turn alone.
    pub alerts_lost: Counter,
    /// Messages that perhaps nobody can send again, and with which the broker was told to be done before they were kept.
    pub last_copies_given_up: Counter,
    /// Transactions that had to be repeated batch by batch.
    pub retried_alone: Counter,
    /// 1 while the database is away.
    pub database_away: Gauge,
    /// Seconds from the first lock to the commit.
    pub transaction_seconds: Histogram,
}

/// Which outcome.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct OutcomeLabel {
    /// `committed`, `rewind`, `refused`, `busy` or `stuck`.
    pub outcome: &'static str,
}

impl Default for IngestMetrics {
    fn default() -> Self {
        Self {
            facts: Counter::default(),
            unfolded: Counter::default(),
            batches: Family::default(),
            strays: Counter::default(),
            alerts: Counter::default(),
            alerts_lost: Counter::default(),
            last_copies_given_up: Counter::default(),
            retried_alone: Counter::default(),
            database_away: Gauge::default(),
            // 1 ms to 16 s.
            transaction_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 15)),
        }
    }
}

impl IngestMetrics {
    /// Registers everything.
    pub fn register(&self, registry: &mut Registry) {
        let sub = registry.sub_registry_with_prefix("ingest");
        sub.register("facts", "Facts stored", self.facts.clone());
        sub.register("facts_unfolded", "Facts stored without their effects", self.unfolded.clone());
        sub.register("batches", "Batches by what became of them", self.batches.clone());
        sub.register("strays", "Messages from nobody or on no topic of ours", self.strays.clone());
        sub.register("alerts", "Early copies of urgent facts", self.alerts.clone());
        sub.register("alerts_lost", "Early copies that could not be noted", self.alerts_lost.clone());
        sub.register(
            "last_copies_given_up",
            "Messages that perhaps nobody can send again, done with before they were kept",
            self.last_copies_given_up.clone(),
        );
        sub.register("retried_alone", "Transactions repeated batch by batch", self.retried_alone.clone());
        sub.register("database_away", "1 while the database is away", self.database_away.clone());
        sub.register("transaction_seconds", "Lock to commit", self.transaction_seconds.clone());
    }

    /// Counts one batch.
    pub fn count(&self, outcome: &'static str) {
        self.batches.get_or_create(&OutcomeLabel { outcome }).inc();
    }
}
