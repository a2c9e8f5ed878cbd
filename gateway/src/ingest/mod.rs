//! Ingest: what boxes publish becomes facts in the event store, each once, and is acknowledged with a signature.
//!
//! In reading order: [`rules`] verifies a message and judges how it joins the head; [`plan`] decides what one transaction
//! does and [`transaction`] does it: it stores the batches of one tenant and [`fold`]s them, [`repeats`] tells which acts
//! counted before, [`refold`] does so for what an earlier version left; [`store`] is the SQL, [`read`] that of pages;
//! [`Ingest`] takes messages to answers: [`settle`] says what is tried again and how, [`refusal`] keeps what is not taken,
//! [`by_hand`] books what a person takes out of it all the same ([`api`]), [`seal`] signs; [`directory`] tells whose device it is; [`lost`] gives boxes back what they have lost; [`worker`] gathers
//! deliveries into transactions, `gather` says how much goes into one; [`presence`] notes who is there, [`alerts`] what people are told of (in the words of `alert_words`),
//! [`box_words`] what a box says of itself; [`link`] is the connection to the
//! broker; [`live`] tells pages and caches what was committed.
//!
//! What a restart, a second delivery or a lost answer does: nothing. The head row, locked for each transaction,
//! decides what is new, and the answer to what is not is the same acknowledgement again.

mod alert_troubles;
mod alert_words;
pub mod alerts;
pub mod api;
pub mod box_words;
pub mod by_hand;
pub mod directory;
pub mod fold;
mod gather;
pub mod link;
pub mod live;
pub mod lost;
pub mod metrics;
pub mod plan;
pub mod presence;
pub mod quarantine;
pub mod read;
pub mod refold;
mod refusal;
pub mod repeats;
pub mod rules;
pub mod seal;
mod settle;
pub mod store;
pub mod transaction;
pub mod worker;

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use pestle_domain::{
    causes::with_causes,
    ids::{BatchId, DeviceId},
    journal::{Head, Lane, Stream},
    wire::{
        batch::RefusalReason,
        message::{Answer, Heads, StreamHead},
        orders,
    },
};

use crate::{
    app::App,
    db::{Db, DbError},
    inventory::cache::StockCache,
    orders::answer::{self, Behind},
};
use directory::Directory;
use live::Live;
use metrics::IngestMetrics;
use rules::{Refusal, Sender, Verified};
use seal::Seal;
use store::Lock;

/// Ingest from the broker, until the gateway ends.
pub async fn run(app: Arc<App>) {
    let (inbox, deliveries) = tokio::sync::mpsc::channel(link::INBOX_MAX);
    let state = app.broker.metrics().link.clone();
    let link = link::run(app.broker.client_options("ingest"), inbox, state, app.stop.clone());
    tokio::join!(link, worker::run(Ingest::of(&app), deliveries).boxed());
}

/// Messages of one transaction, together: what one commit costs is spread over some 10,000 facts, and what a crash
/// makes to be done again is half a second's work.
pub const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a box waits that is told `busy`, in milliseconds: a restart of the database takes about as long.
pub const BUSY_RETRY_MS: u64 = 2_000;
/// How long a box waits whose batch cannot be stored, in milliseconds: somebody has to mend that first.
pub const STUCK_RETRY_MS: u64 = 60_000;

/// A message as a box published it.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// From the topic: the broker holds each box to its own.
    pub device: DeviceId,
    /// From the topic; `None` where there is none.
    pub lane: Option<Lane>,
    /// The payload.
    pub message: Bytes,
}

/// A message that was read, not yet applied.
#[derive(Debug)]
pub enum Entry {
    /// To be applied.
    Batch(Arc<Sender>, Box<Verified>),
    /// Not taken.
    Refused(Incoming, Option<Arc<Sender>>, Refusal),
    /// The database could not say whose it is.
    Away(Incoming),
}

/// What became of a message.
#[derive(Debug)]
pub enum Settled {
    /// To be told to the box; the message is done with.
    Answered(Answer),
    /// What comes before it is missing, and may be on its way: the batch, and where the centre stands.
    Gap(Arc<Sender>, Box<Verified>, Head),
    /// The database is away: to be tried again.
    Away(Entry),
    /// The database is there and does not take this one: its box is told to wait, and the message is done with.
    Stuck(Entry),
}

/// Takes messages to answers.
#[derive(Clone)]
pub struct Ingest {
    db: Db,
    directory: Directory,
    seal: Arc<dyn Seal>,
    live: Live,
    stock: StockCache,
    metrics: IngestMetrics,
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Ingest").finish_non_exhaustive()
    }
}

impl Ingest {
    /// From its parts; benchmarks and tests need no more.
    pub fn new(db: Db, seal: Arc<dyn Seal>, live: Live, stock: StockCache, metrics: IngestMetrics) -> Self {
        Self { directory: Directory::new(db.clone()), db, seal, live, stock, metrics }
    }

    /// The gateway's own.
    pub fn of(app: &Arc<App>) -> Self {
        Self::new(app.db.clone(), app.clone(), app.live.clone(), app.stock.clone(), app.ingest.clone())
    }

    /// Applies messages without a broker, in groups of one transaction each per tenant; while one group is
    /// committed the next is verified. One answer each, in order: `committed` after the commit, never before.
    pub async fn apply(&self, messages: &[(DeviceId, Vec<u8>)]) -> Vec<Answer> {
        let incoming = messages.iter().map(|(device, message)| Incoming {
            device: device.clone(),
            lane: None,
            message: Bytes::copy_from_slice(message),
        });
        let mut groups: Vec<Vec<Incoming>> = Vec::new();
        let mut bytes = usize::MAX;
        for one in incoming {
            bytes = bytes.saturating_add(one.message.len());
            if bytes > GROUP_BYTES_MAX || groups.is_empty() {
                bytes = one.message.len();
                groups.push(Vec::new());
            }
            if let Some(group) = groups.last_mut() {
                group.push(one);
            }
        }
        let mut answers = Vec::with_capacity(messages.len());
        let mut ready: Vec<Entry> = Vec::new();
        for group in groups.into_iter().map(Some).chain([None]) {
            let prepare = async {
                match group {
                    Some(group) => self.read(group).await,
                    None => Vec::new(),
                }
            };
            let (next, settled) = tokio::join!(prepare, self.settle(std::mem::take(&mut ready)).boxed());
            answers.extend(settled.into_iter().map(|settled| self.last_word(settled)));
            ready = next;
        }
        answers
    }

    /// The answer where nothing more is waited for.
    pub fn last_word(&self, settled: Settled) -> Answer {
        match settled {
            Settled::Answered(answer) => answer,
            Settled::Gap(_, batch, head) => {
                self.metrics.count("rewind");
                Answer::Rewind { batch: batch.header.batch, stream: batch.header.stream.clone(), head }
            }
            Settled::Away(entry) => self.busy(&entry, BUSY_RETRY_MS),
            Settled::Stuck(entry) => {
                self.metrics.count("stuck");
                not_now(&entry, STUCK_RETRY_MS, true)
            }
        }
    }

    /// "Not now", of anything.
    pub fn busy(&self, entry: &Entry, retry_ms: u64) -> Answer {
        self.metrics.count("busy");
        not_now(entry, retry_ms, false)
    }

    /// Reads and verifies messages: the part that needs a processor and no database but for whose they are.
    pub async fn read(&self, incoming: Vec<Incoming>) -> Vec<Entry> {
        let mut asked = Vec::with_capacity(incoming.len());
        let mut away = false;
        for one in &incoming {
            // One wait for a database that is away is enough for the whole group.
            let sender = match self.directory.kept(&one.device).await {
                Some(known) => Ok(known),
                None if away => Err(DbError::lost()),
                None => self.directory.look_up(&one.device).await,
            };
            away |= sender.as_ref().is_err_and(DbError::is_away);
            asked.push((one.clone(), sender));
        }
        let read = move || asked.into_iter().map(|(one, sender)| read_one(one, sender)).collect();
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| {
            tracing::error!(%error, "verifying a group of batches broke down: the group is tried again");
            incoming.into_iter().map(Entry::Away).collect()
        })
    }

    /// What the centre has committed of each stream that a box states: signed, the empty head for one that it has
    /// nothing of. Streams that are not the box's own are left out.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn heads(&self, sender: &Sender, stated: &[StreamHead]) -> Result<Vec<Answer>, DbError> {
        let streams: Vec<&Stream> =
            stated.iter().map(|stated| &stated.stream).filter(|stream| sender.writes(stream)).collect();
        let mut tx = self.db.tenant(&sender.tenant).begin().await?;
        let incarnation = store::incarnation(&mut tx).await?;
        let heads = store::heads(&mut tx, &streams, Lock::No).await?;
        tx.commit().await?;
        let mut answers = Vec::with_capacity(streams.len());
        for (stream, locked) in streams.into_iter().zip(heads) {
            let head = locked.map_or(Head::EMPTY, |locked| locked.head);
            match self.seal.acknowledge(incarnation, stream.clone(), head) {
                Ok(acknowledgement) => answers.push(Answer::Committed(acknowledgement)),
                Err(error) => tracing::error!(%error, "an acknowledgement could not be signed"),
            }
        }
        Ok(answers)
    }

    /// The orders that a box lacks which states its heads, as a message; `None` when it lacks none.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn orders(&self, sender: &Sender, heads: &Heads) -> Result<Option<Vec<u8>>, DbError> {
        if heads.orders.is_none() {
            return Ok(None);
        }
        let mut tx = self.db.tenant(&sender.tenant).begin().await?;
        let behind = answer::behind(&mut tx, sender, heads).await?;
        tx.commit().await?;
        let Some(Behind { span, lines }) = behind else { return Ok(None) };
        let header = match self.seal.orders(span) {
            Ok(header) => header,
            Err(error) => {
                tracing::error!(%error, "orders could not be signed: the box asks again");
                return Ok(None);
            }
        };
        match orders::build(&header, lines.iter().map(Vec::as_slice)) {
            Ok(message) => Ok(Some(message)),
            Err(error) => {
                tracing::error!(%error, "orders cannot be written");
                Ok(None)
            }
        }
    }

    /// Who that is.
    ///
    /// # Errors
    /// [`DbError`].
    pub async fn sender(&self, device: &DeviceId) -> Result<Option<Arc<Sender>>, DbError> {
        self.directory.look_up(device).await
    }

    /// What is counted.
    pub fn metrics(&self) -> &IngestMetrics {
        &self.metrics
    }
}

/// "Not now": what a box is told of an entry; `alone` where the other lanes may go on meanwhile.
pub fn not_now(entry: &Entry, retry_ms: u64, alone: bool) -> Answer {
    let batch = match entry {
        Entry::Batch(_, batch) => Some(batch.header.batch),
        Entry::Refused(_, _, refusal) => refusal.batch,
        Entry::Away(incoming) => named(&incoming.message),
    };
    Answer::Busy { batch: batch.unwrap_or(BatchId(uuid::Uuid::nil())), retry_ms, alone }
}

fn read_one(one: Incoming, sender: Result<Option<Arc<Sender>>, DbError>) -> Entry {
    match sender {
        Err(error) => {
            if !error.is_away() {
                tracing::error!(device = %one.device, error = %with_causes(&error), "whose device this is cannot be read: it waits in its branch");
            }
            Entry::Away(one)
        }
        Ok(None) => {
            let message = format!("device {} is not enrolled here: enrol it", one.device);
            let refusal = Refusal {
                batch: named(&one.message),
                stream: None,
                identity: None,
                reason: RefusalReason::NotAllowed,
                message,
                kept_as: None,
            };
            Entry::Refused(one, None, refusal)
        }
        Ok(Some(sender)) => match rules::read(&sender, one.lane, one.message.clone()) {
            Ok(batch) => Entry::Batch(sender, Box::new(batch)),
            Err(refusal) => Entry::Refused(one, Some(sender), refusal),
        },
    }
}

/// The batch that a message says it is.
fn named(message: &[u8]) -> Option<BatchId> {
    pestle_domain::wire::batch::Batch::parse(message).ok().map(|batch| batch.header.batch)
}
