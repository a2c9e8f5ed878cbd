//! The small program at the centre: takes messages, puts each as a row into a table, and acknowledges what is committed. A
//! statement takes one message, or what waits, up to a number. `pestle-bench consume`.

use std::{
    collections::HashSet,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use pestle_domain::ids::FactId;
use rumqttc::v5::{
    AsyncClient, Event, EventLoop, Incoming, MqttOptions,
    mqttbytes::{QoS, v5::Publish},
};
use serde::{Deserialize, Serialize};
use sqlx::{ConnectOptions as _, PgConnection, postgres::PgConnectOptions};
use tokio::sync::mpsc;

use super::{
    super::helper,
    bridge, fact_id, nats,
    nats_client::{Connection, Message},
};
use crate::waiting::until;

/// Without an index on the facts' ids: what arrives twice is there twice.
pub const TABLE: &str = "CREATE SCHEMA bench; CREATE TABLE bench.message \
     (received bigserial PRIMARY KEY, fact_id uuid NOT NULL, body bytea NOT NULL)";
/// Where nothing came for so long, nothing will: a bridge connects again within 30 s, and NATS delivers again after 30 s what was
/// not acknowledged.
pub const QUIET: Duration = Duration::from_secs(45);
/// Of a quick look.
pub const QUIET_QUICK: Duration = Duration::from_secs(6);
/// Before the first message, whatever the quiet: two servers have to find each other.
const FIRST_WITHIN: Duration = Duration::from_secs(45);
/// What the centre has is in the table when nothing more came for so long, the branch being down.
pub const STILL: Duration = Duration::from_secs(2);
/// Until the program is at its table.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How often the table is looked at.
const COUNT_EVERY: Duration = Duration::from_millis(20);
/// Between two attempts, while the broker is down: short, so that the program is there before the branch's broker, which tries
/// every few seconds, and its clock begins with the first message that reaches the centre.
const AGAIN_AFTER: Duration = Duration::from_millis(10);
/// How often it is seen whether it is over, while nothing comes.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A server that says nothing for so long is gone: each request ends after a second.
const SILENCE_MAX: Duration = Duration::from_secs(5);
/// Acknowledgements that wait to be sent: some statements' worth.
const REQUESTS_MAX: usize = 1024;
/// What the program is called at the brokers.
const PROGRAM: &str = "centre-program";

/// Where messages come from.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Source {
    /// The hub.
    Nats {
        /// Its address.
        centre: SocketAddr,
    },
    /// The Mosquitto that is bridged to.
    Mqtt {
        /// Its address.
        centre: SocketAddr,
    },
}

/// What to do. It ends once there are enough facts, or nothing comes any more.
#[derive(Debug, Serialize, Deserialize)]
pub struct Job {
    /// Where the table is.
    pub dsn: String,
    /// Where messages come from.
    pub source: Source,
    /// So many different facts end it at once; without a number only the quiet does.
    pub enough: Option<u64>,
    /// Most rows of one statement.
    pub group: usize,
    /// Where nothing came for so long, nothing will.
    pub quiet: Duration,
}

/// What came.
#[derive(Debug, Serialize, Deserialize)]
pub struct Drained {
    /// From the first message to the commit of the last that was not there yet.
    pub seconds: f64,
}

/// The helper's whole life.
///
/// # Errors
/// When nobody listens any more.
pub async fn run() -> Result<()> {
    helper::work((), async |job| consume(job).await).await
}

/// Waits until the program is at its table: from then on it looks for its broker.
///
/// # Errors
/// When it does not come.
pub async fn ready(owner: &mut PgConnection) -> Result<()> {
    let owner = tokio::sync::Mutex::new(owner);
    let looked = until("the program at the centre", READY_WITHIN, || async {
        let mut owner = owner.lock().await;
        let there: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1)",
        )
        .bind(PROGRAM)
        .fetch_one(&mut **owner)
        .await
        .map_err(|error| error.to_string())?;
        if there { Ok(()) } else { Err("it is not there".to_owned()) }
    });
    Ok(looked.await?)
}

/// Waits until the table has so many different facts, or no new one came for `quiet`; hands back how many it has.
///
/// # Errors
/// When the database does not answer.
pub async fn arrived(owner: &mut PgConnection, wanted: u64, quiet: Duration) -> Result<u64> {
    let (mut facts, mut since) = (0, Instant::now());
    loop {
        let now: i64 = sqlx::query_scalar("SELECT count(DISTINCT fact_id) FROM bench.message")
            .fetch_one(&mut *owner)
            .await?;
        let now = u64::try_from(now)?;
        if now > facts {
            (facts, since) = (now, Instant::now());
        }
        if facts >= wanted || since.elapsed() > if facts == 0 { quiet.max(FIRST_WITHIN) } else { quiet } {
            return Ok(facts);
        }
        tokio::time::sleep(COUNT_EVERY).await;
    }
}

async fn consume(job: Job) -> Result<Drained> {
    let options = job.dsn.parse::<PgConnectOptions>()?.application_name(PROGRAM);
    let mut table = Table {
        connection: options.connect().await?,
        enough: job.enough,
        quiet: job.quiet,
        facts: HashSet::new(),
        first: None,
        last: Instant::now(),
        newest: None,
        broken: None,
    };
    match job.source {
        Source::Nats { centre } => from_nats(centre, job.group, &mut table).await,
        Source::Mqtt { centre } => from_mqtt(centre, job.group, &mut table).await,
    }
    if let Some(error) = table.broken {
        return Err(error).context("put messages into the table");
    }
    let seconds = table.first.zip(table.newest).map_or(Duration::ZERO, |(first, newest)| newest - first);
    Ok(Drained { seconds: seconds.as_secs_f64() })
}

struct Table {
    connection: PgConnection,
    enough: Option<u64>,
    quiet: Duration,
    /// What is in the table: a message that comes twice is no second fact.
    facts: HashSet<FactId>,
    first: Option<Instant>,
    /// The last commit; before the first, the beginning.
    last: Instant,
    /// The last commit of a fact that was not there yet.
    newest: Option<Instant>,
    broken: Option<anyhow::Error>,
}

impl Table {
    fn is_over(&self) -> bool {
        self.broken.is_some()
            || self.enough.is_some_and(|enough| self.facts.len() as u64 >= enough)
            || self.last.elapsed() > if self.facts.is_empty() { FIRST_WITHIN } else { self.quiet }
    }

    /// `false` when the database refuses: then it is over.
    async fn put(&mut self, bodies: Vec<Vec<u8>>) -> bool {
        match self.insert(bodies).await {
            Ok(ids) => {
                self.last = Instant::now();
                let before = self.facts.len();
                self.facts.extend(ids);
                if self.facts.len() > before {
                    self.newest = Some(self.last);
                }
                true
            }
            Err(error) => {
                self.broken = Some(error);
                false
            }
        }
    }

    async fn insert(&mut self, bodies: Vec<Vec<u8>>) -> Result<Vec<FactId>> {
        let facts = bodies.iter().map(|body| fact_id(body)).collect::<Result<Vec<_>>>()?;
        let ids: Vec<_> = facts.iter().map(|fact| fact.0).collect();
        let statement =
            "INSERT INTO bench.message (fact_id, body) SELECT * FROM unnest($1::uuid[], $2::bytea[])";
        sqlx::query(statement).bind(ids).bind(bodies).execute(&mut self.connection).await?;
        Ok(facts)
    }
}

async fn from_nats(centre: SocketAddr, group: usize, table: &mut Table) {
    while !table.is_over() {
        // An error is the broker's end: it comes back, or it stays quiet.
        let _ended = nats_connection(centre, group, table).await;
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

async fn nats_connection(centre: SocketAddr, group: usize, table: &mut Table) -> Result<()> {
    let mut connection = Connection::open(centre).await?;
    nats::prepare_centre(&mut connection).await?;
    // Messages that the server still owes us.
    let mut due = 0;
    while !table.is_over() {
        if due <= nats::PULLED / 2 {
            nats::pull(&mut connection).await?;
            due += nats::PULLED;
        }
        let mut taken: Vec<Message> = Vec::new();
        while (taken.is_empty() && due > 0) || (taken.len() < group && connection.has_more()) {
            let message = tokio::time::timeout(SILENCE_MAX, connection.next()).await??;
            if message.status.is_some() {
                // A request ends after a second, whatever came.
                due = 0;
            } else {
                taken.push(message);
                due = due.saturating_sub(1);
            }
        }
        if taken.is_empty() {
            continue;
        }
        table.first.get_or_insert_with(Instant::now);
        if !table.put(taken.iter().map(|message| message.payload.clone()).collect()).await {
            return Ok(());
        }
        for reply in taken.iter().filter_map(|message| message.reply.as_deref()) {
            connection.publish(reply, None, b"+ACK").await?;
        }
        connection.flush().await?;
    }
    Ok(())
}

fn mqtt_client(centre: SocketAddr) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(PROGRAM, centre.ip().to_string(), centre.port());
    options.set_clean_start(false).set_session_expiry_interval(Some(u32::MAX)).set_manual_acks(true);
    AsyncClient::new(options, REQUESTS_MAX)
}

/// Subscribes as the program does, and goes: the broker keeps the session.
///
/// # Errors
/// When the broker does not answer.
pub async fn subscribe_once(centre: SocketAddr) -> Result<()> {
    let (client, mut events) = mqtt_client(centre);
    client.subscribe(bridge::FILTER, QoS::AtLeastOnce).await?;
    while !matches!(events.poll().await?, Event::Incoming(Incoming::SubAck(_))) {}
    Ok(())
}

async fn from_mqtt(centre: SocketAddr, group: usize, table: &mut Table) {
    let (client, events) = mqtt_client(centre);
    // Unbounded, so that whoever polls never waits for us while we wait for room for an acknowledgement: the backlog bounds it.
    let (sender, mut messages) = mpsc::unbounded_channel();
    let polling = tokio::spawn(poll(client.clone(), events, sender));
    while !table.is_over() {
        let Ok(Some(first)) = tokio::time::timeout(LOOK_EVERY, messages.recv()).await else { continue };
        table.first.get_or_insert_with(Instant::now);
        let mut taken = vec![first];
        while taken.len() < group
            && let Ok(next) = messages.try_recv()
        {
            taken.push(next);
        }
        if !table.put(taken.iter().map(|message| message.payload.to_vec()).collect()).await {
            break;
        }
        for message in &taken {
            // Its connection may have ended: the broker then sends it again.
            let _sent = client.ack(message).await;
        }
    }
    polling.abort();
}

async fn poll(client: AsyncClient, mut events: EventLoop, messages: mpsc::UnboundedSender<Publish>) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                let _queued = client.try_subscribe(bridge::FILTER, QoS::AtLeastOnce);
            }
            Ok(Event::Incoming(Incoming::Publish(message))) => {
                if messages.send(message).is_err() {
                    return;
                }
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(AGAIN_AFTER).await,
        }
    }
}
