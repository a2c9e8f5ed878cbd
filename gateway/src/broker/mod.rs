//! The broker: rmqtt inside this process, or one elsewhere.
//!
//! In reading order: [`rights`] says, purely, who may publish and subscribe what; [`hooks`] asks it on every
//! connection, publication and subscription of the built-in broker; [`builtin`] starts that broker; [`client`] is how
//! the gateway itself connects, to whichever broker it is; [`mosquitto`] writes what a Mosquitto needs to take its place;
//! [`metrics`] counts what was refused and lost.
//!
//! Nothing is trusted to a broker's memory: a box keeps every fact until the centre's own signed acknowledgement, and
//! heads are exchanged on every connection. So a broker that forgets costs time, never data.
//!
//! # An external Mosquitto
//!
//! `mqtt.external` names the listener that the gateways use and `mqtt.public` the one that boxes are told, and
//! `pestle-gateway admin mosquitto` writes Mosquitto's side ([`mosquitto`]). Revocation then needs Mosquitto's
//! `crlfile` or its restart: the built-in broker asks the gateway on each connection.

pub mod builtin;
pub mod client;
pub mod hooks;
pub mod metrics;
pub mod mosquitto;
pub mod rights;

use std::{
    collections::HashSet,
    sync::{Arc, PoisonError, RwLock},
};

use pestle_domain::ids::DeviceId;

pub use client::ClientTls;
pub use metrics::BrokerMetrics;

/// Largest MQTT packet, in bytes: a batch of 256 KiB with its header, and room for what later versions add.
pub const PACKET_BYTES_MAX: u32 = 512 * 1024;

/// The boxes that may not connect any more.
#[derive(Debug, Clone, Default)]
pub struct Revoked(Arc<RwLock<HashSet<DeviceId>>>);

impl Revoked {
    /// Whether this box was revoked.
    pub fn has(&self, device: &DeviceId) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(device)
    }

    /// Replaces the whole set; returns who is new in it.
    pub fn replace(&self, devices: HashSet<DeviceId>) -> Vec<DeviceId> {
        let mut set = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let new = devices.difference(&set).cloned().collect();
        *set = devices;
        new
    }

    /// Adds one.
    pub fn add(&self, device: DeviceId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(device);
    }
}

/// The broker in use.
#[derive(Debug)]
pub struct Broker {
    host: String,
    port: u16,
    instance: String,
    revoked: Revoked,
    tls: ClientTls,
    builtin: Option<builtin::BuiltIn>,
    metrics: BrokerMetrics,
}

impl Broker {
    /// One in this process; `instance` is [`client::instance`].
    pub fn built_in(
        broker: builtin::BuiltIn,
        instance: String,
        revoked: Revoked,
        tls: ClientTls,
        metrics: BrokerMetrics,
    ) -> Self {
        let address = broker.address();
        let host =
            if address.ip().is_unspecified() { "127.0.0.1".to_owned() } else { address.ip().to_string() };
        Self { host, port: address.port(), instance, revoked, tls, builtin: Some(broker), metrics }
    }

    /// One elsewhere, `host:port`; `instance` is [`client::instance`].
    pub fn external(address: &str, instance: String, tls: ClientTls) -> Self {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "8883"));
        Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: port.parse().unwrap_or(8883),
            instance,
            revoked: Revoked::default(),
            tls,
            builtin: None,
            metrics: BrokerMetrics::default(),
        }
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where the gateway reaches it, `host:port`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// What is counted about it, the state of ingest's link among it.
    pub fn metrics(&self) -> &BrokerMetrics {
        &self.metrics
    }

    /// Resolves when the built-in broker ended, by itself or with [`Broker::end`]; never for one elsewhere.
    pub async fn ended(&self) {
        match &self.builtin {
            Some(builtin) => builtin.ended().await,
            None => std::future::pending().await,
        }
    }

    /// The boxes that may not connect.
    pub fn revoked(&self) -> &Revoked {
        &self.revoked
    }

    /// MQTT 5 options for a connection of the gateway itself, mutual TLS included.
    ///
    /// `purpose` distinguishes connections (`ingest`); the client id is `gateway:<purpose>-<instance>`, so that several
    /// gateways do not throw each other off one broker (MQTT 5, 3.1.4-3). Acknowledgements are manual; at a broker elsewhere the session outlives a connection by ten minutes. Keep-alive is 15 s.
    pub fn client_options(&self, purpose: &str) -> rumqttc::v5::MqttOptions {
        let session = if self.builtin.is_some() { client::Session::Fresh } else { client::Session::Kept };
        client::options((&self.host, self.port), &format!("{purpose}-{}", self.instance), &self.tls, session)
    }

    /// Ends the built-in broker; one elsewhere goes on.
    pub fn end(&self) {
        if let Some(builtin) = &self.builtin {
            builtin.end();
        }
    }

    /// Ends the living connections of a box and keeps it from coming back (built-in broker only).
    pub async fn shut_out(&self, device: &DeviceId) {
        self.revoked.add(device.clone());
        if let Some(builtin) = &self.builtin {
            builtin.disconnect(device).await;
        }
    }
}
