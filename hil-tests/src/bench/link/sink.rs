//! A far end that signs acknowledgements and stores nothing: `pestle-bench sink <gateway's data folder> <broker>`.
//!
//! It has the gateway's keys and certificate. It reads a batch's header, believes it, and says that it is committed; heads
//! that a box states are answered with what was acknowledged since this program began.

use std::{collections::HashMap, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, bail};
use pestle_domain::{
    ids::DeviceId,
    journal::{Acknowledgement, Head, Lane, Stream},
    wire::{
        batch::Batch,
        message::{Answer, Heads},
        topic::{Channel, Topic, gateway_subscribes},
    },
};
use pestle_gateway::{authority::Authority, broker};
use rumqttc::{
    TlsConfiguration, Transport,
    v5::{
        AsyncClient, Event, Incoming, MqttOptions,
        mqttbytes::{QoS, v5::Filter},
    },
};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::{sync::watch, task::JoinHandle};

use super::super::helper;

/// To wait for: everything of a box's ledger up to a fact is acknowledged.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    /// Whose.
    pub device: DeviceId,
    /// Up to where.
    pub seq: u64,
}

/// A million facts take less than this.
const ANSWERED_WITHIN: Duration = Duration::from_secs(600);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Answers that may wait to be written: more than a box has batches on their way.
const REQUESTS_MAX: usize = 1024;
/// No database was ever restored here.
const INCARNATION: u64 = 1;

/// Where each box's ledger stands.
type Ledgers = HashMap<DeviceId, u64>;

/// The helper's whole life.
///
/// # Errors
/// When the broker does not take it, or nobody listens any more.
pub async fn run(gateway_data: &Path, broker: SocketAddr) -> Result<()> {
    let now = OffsetDateTime::now_utc();
    let authority = Authority::open(gateway_data, now)?;
    let credentials = authority.gateway_client(now)?;
    let mut roots = RootCertStore::empty();
    roots.add(authority.ca_der().clone())?;
    let tls = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(credentials.chain, credentials.key)?;
    let mut options = MqttOptions::new("gateway:bench-sink", broker.ip().to_string(), broker.port());
    options
        .set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(tls))))
        .set_keep_alive(KEEP_ALIVE)
        .set_clean_start(true)
        .set_max_packet_size(Some(broker::PACKET_BYTES_MAX));
    let ledgers = watch::Sender::new(Ledgers::new());
    let (client, mut events) = AsyncClient::new(options, REQUESTS_MAX);
    let filters = gateway_subscribes().map(|path| Filter::new(path, QoS::AtLeastOnce));
    client.subscribe_many(filters).await?;
    loop {
        if matches!(events.poll().await?, Event::Incoming(Incoming::SubAck(_))) {
            break;
        }
    }
    let mut sink = Sink { authority, client, heads: HashMap::new(), ledgers: ledgers.clone() };
    let mut listening: JoinHandle<Result<()>> = tokio::spawn(async move {
        loop {
            if let Event::Incoming(Incoming::Publish(message)) = events.poll().await? {
                sink.hear(&message.topic, &message.payload)?;
            }
        }
    });
    let working = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Handle::current();
        runtime.block_on(helper::work((), async |job: Job| answered(&ledgers, &job).await))
    });
    tokio::select! {
        ended = working => ended?,
        ended = &mut listening => ended?,
    }
}

async fn answered(ledgers: &watch::Sender<Ledgers>, job: &Job) -> Result<()> {
    let mut ledgers = ledgers.subscribe();
    let reached = ledgers.wait_for(|all| all.get(&job.device).is_some_and(|seq| *seq >= job.seq));
    let Ok(reached) = tokio::time::timeout(ANSWERED_WITHIN, reached).await.map(|reached| reached.map(drop))
    else {
        bail!("the sink stands at {:?} of {} facts", ledgers.borrow().get(&job.device), job.seq);
    };
    reached.context("the sink has ended")
}

struct Sink {
    authority: Authority,
    client: AsyncClient,
    heads: HashMap<Stream, Head>,
    ledgers: watch::Sender<Ledgers>,
}

impl Sink {
    fn hear(&mut self, topic: &[u8], payload: &[u8]) -> Result<()> {
        let topic: Option<Topic> = std::str::from_utf8(topic).ok().and_then(|topic| topic.parse().ok());
        let Some(Topic { device, channel }) = topic else { return Ok(()) };
        match channel {
            Channel::Facts(_) => self.take(device, payload),
            Channel::Heads => {
                let stated: Heads = serde_json::from_slice(payload)?;
                for one in stated.streams {
                    let head = self.heads.get(&one.stream).copied().unwrap_or(Head::EMPTY);
                    self.acknowledge(device.clone(), one.stream, head)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn take(&mut self, device: DeviceId, payload: &[u8]) -> Result<()> {
        let header = Batch::parse(payload)?.header;
        let (before, after) = (header.before(), header.after());
        let known = self.heads.entry(header.stream.clone()).or_insert(Head::EMPTY);
        if after.seq > known.seq {
            if before != *known {
                let (batch, stream, head) = (header.batch, header.stream, *known);
                return self.say(device, &Answer::Rewind { batch, stream, head });
            }
            *known = after;
        }
        let head = *known;
        if header.stream.lane == Lane::Ledger {
            self.ledgers.send_modify(|all| {
                all.insert(device.clone(), head.seq);
            });
        }
        self.acknowledge(device, header.stream, head)
    }

    fn acknowledge(&self, device: DeviceId, stream: Stream, head: Head) -> Result<()> {
        let signer = self.authority.signer();
        let word = Acknowledgement::sign(INCARNATION, stream, head, signer.current(), signer.random())?;
        self.say(device, &Answer::Committed(word))
    }

    fn say(&self, device: DeviceId, answer: &Answer) -> Result<()> {
        let topic = Topic { device, channel: Channel::Ack }.to_string();
        Ok(self.client.try_publish(topic, QoS::AtLeastOnce, false, serde_json::to_vec(answer)?)?)
    }
}
