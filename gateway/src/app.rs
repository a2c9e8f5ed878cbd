//! What every handler and task has at hand.

use std::{net::SocketAddr, sync::Arc, time::Instant};

use pestle_domain::units::UnixMillis;
use time::OffsetDateTime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    authority::Authority,
    broker::Broker,
    config::Config,
    db::Db,
    enrolment::Tries,
    http::metrics::Metrics,
    identity::Identity,
    ingest::{live::Live, metrics::IngestMetrics},
    inventory::cache::StockCache,
    patients::erasures::Erasures,
    snapshot::Snapshots,
};

/// Shared by handlers and tasks, as `Arc<App>`.
#[derive(Debug)]
pub struct App {
    /// As validated.
    pub config: Config,
    /// The serving pool.
    pub db: Db,
    /// Certificates and the signing key.
    pub authority: Authority,
    /// The broker, and how to reach it.
    pub broker: Broker,
    /// Where the port really is.
    pub https: SocketAddr,
    /// What is counted.
    pub metrics: Metrics,
    /// Of them, what ingest counts (`IngestMetrics::default()` at start).
    pub ingest: IngestMetrics,
    /// Sign-in and tokens.
    pub identity: Identity,
    /// How often claim codes may be tried.
    pub enrolment: Tries,
    /// Who was erased, as a file beside the authority.
    pub erasures: Arc<Erasures>,
    /// Packed snapshots.
    pub snapshots: Snapshots,
    /// Stock as it was last read (`StockCache::default()` at start).
    pub stock: StockCache,
    /// What ingest has just committed, for pages that watch (`Live::default()` at start).
    pub live: Live,
    /// Told when boxes have something to ask for (`Notify::new()` at start): the task that nudges them looks at once.
    pub nudge: Notify,
    /// When the gateway started.
    pub started: Instant,
    /// Cancelled when the gateway is to end: long answers (event streams) watch it.
    pub stop: CancellationToken,
}

impl App {
    /// This machine's clock. Rules take the result as an argument.
    pub fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    /// A clock that never goes back, in milliseconds since the gateway's start: for limits and waits.
    pub fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// This machine's clock, as facts and messages write it.
    pub fn now_ms(&self) -> UnixMillis {
        let nanos = self.now().unix_timestamp_nanos();
        UnixMillis(i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX))
    }

    /// The address that an enrolled box is told for HTTPS.
    pub fn public_https(&self) -> String {
        format!("https://{}", self.public(self.https.port()))
    }

    /// The broker's address that an enrolled box is told, `host:port`.
    pub fn public_mqtt(&self) -> String {
        match (&self.config.mqtt_public, &self.config.broker) {
            (Some(public), _) => public.clone(),
            (None, crate::config::BrokerChoice::External(address)) => address.clone(),
            (None, crate::config::BrokerChoice::BuiltIn(_)) => self.public(self.broker.port()),
        }
    }

    fn public(&self, port: u16) -> String {
        let name = self.config.https.public_names.first().map_or("localhost", String::as_str);
        if name.contains(':') { format!("[{name}]:{port}") } else { format!("{name}:{port}") }
    }
}
