//! rumqttc by itself: publishes batches at QoS 1 with a box's certificate, and waits for the broker's word for each.
//! `pestle-bench publish`.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Instant};

use anyhow::{Result, bail};
use pestle_agent::identity::DeviceIdentity;
use pestle_domain::{
    journal::Lane,
    wire::{
        MESSAGE_BYTES_MAX,
        topic::{Channel, Topic},
    },
};
use rumqttc::{
    TlsConfiguration, Transport,
    v5::{AsyncClient, Event, Incoming, MqttOptions, mqttbytes::QoS},
};
use rustls::time_provider::DefaultTimeProvider;
use serde::{Deserialize, Serialize};

use super::super::{feed::read_batches, helper};

/// What to publish where, and as whom. The answer is the seconds from before the connection to the last PUBACK.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    /// Where boxes connect.
    pub broker: SocketAddr,
    /// Of the box whose certificate is shown.
    pub data_dir: PathBuf,
    /// As [`super::super::feed::keep_batches`] wrote them.
    pub batches: PathBuf,
}

/// As the agent has them (`relay::connection`).
const IN_FLIGHT_MAX: u16 = 64;
const REQUESTS_MAX: usize = 128;

/// The helper's whole life.
///
/// # Errors
/// When nobody listens any more.
pub async fn run() -> Result<()> {
    helper::work((), async |job| publish(job).await).await
}

async fn publish(job: Job) -> Result<f64> {
    let identity = DeviceIdentity::load(&job.data_dir)?;
    let device = identity.identity.device.clone();
    let batches = read_batches(&job.batches, &device)?;
    let tls = identity.client_tls(Arc::new(DefaultTimeProvider))?;
    let mut options = MqttOptions::new(device.as_str(), job.broker.ip().to_string(), job.broker.port());
    options
        .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(tls))))
        .set_clean_start(true)
        .set_max_packet_size(u32::try_from(MESSAGE_BYTES_MAX + 1024).ok())
        .set_outgoing_inflight_upper_limit(IN_FLIGHT_MAX)
        .set_request_channel_capacity(REQUESTS_MAX);
    let topic = Topic { device, channel: Channel::Facts(Lane::Ledger) }.to_string();
    let began = Instant::now();
    let (client, mut events) = AsyncClient::new(options, REQUESTS_MAX);
    let mut waiting = batches.len();
    let publishing = tokio::spawn(async move {
        for (_, batch) in batches {
            client.publish(topic.clone(), QoS::AtLeastOnce, false, batch).await?;
        }
        // The connection ends with its last handle: kept until the broker has answered.
        anyhow::Ok(client)
    });
    while waiting > 0 {
        match events.poll().await? {
            Event::Incoming(Incoming::PubAck(_)) => waiting -= 1,
            Event::Incoming(Incoming::Disconnect(bye)) => bail!("the broker said {:?}", bye.reason_code),
            _ => {}
        }
    }
    let took = began.elapsed().as_secs_f64();
    drop(publishing.await??);
    Ok(took)
}
