//! Ingest: what boxes publish becomes facts in the event store, each once, and is acknowledged with a signature.
//!
//! In reading order: [`rules`] verifies a message and judges how it joins the head; [`transaction`] stores and folds the
//! batches of one tenant; [`store`] is its SQL; [`Ingest`] takes messages to answers, with what is tried again and how;
//! [`directory`] tells whose device it is; [`worker`] gathers deliveries into transactions; [`presence`] notes who is
//! there; [`link`] is the connection to the broker; [`live`] tells pages and caches what was committed.
//!
//! What a restart, a second delivery or a lost answer does: nothing. The head row, locked for each transaction,
//! decides what is new, and the answer to what is not is the same acknowledgement again.

pub mod directory;
pub mod link;
pub mod live;
pub mod metrics;
pub mod presence;
pub mod rules;
pub mod store;
pub mod transaction;
pub mod worker;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use bytes::Bytes;
use futures::{FutureExt as _, future::join_all};
use pestle_domain::{
    ids::{BatchId, DeviceId, TenantId},
    journal::{Acknowledgement, Head, Lane, Stream},
    signature::SignatureError,
    wire::{
        batch::RefusalReason,
        message::{Answer, StreamHead},
    },
};

use crate::{
    app::App,
    authority::signer::Signer,
    db::{Db, DbError},
    http::error::chain,
    inventory::cache::StockCache,
};
use directory::Directory;
use live::{Changed, Live};
use metrics::IngestMetrics;
use rules::{Refusal, Sender, Verified};
use store::{Lock, Quarantined};
use transaction::{Done, Failed, Mode, Outcome};

/// Ingest from the broker, until the gateway ends.
pub async fn run(app: Arc<App>) {
    let (inbox, deliveries) = tokio::sync::mpsc::channel(link::INBOX_MAX);
    let link = link::run(app.broker.client_options("ingest"), inbox, app.stop.clone());
    tokio::join!(link, worker::run(Ingest::of(&app), deliveries, app.stop.clone()).boxed());
}

/// Messages of one transaction, together: what one commit costs is spread over some 10,000 facts, and what a crash
/// makes to be done again is half a second's work.
pub const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a box waits that is told `busy`, in milliseconds: a restart of the database takes about as long.
pub const BUSY_RETRY_MS: u64 = 2_000;
/// How often a transaction is tried that another gateway overtook.
const RACES_MAX: usize = 3;

/// Signs what the database has committed.
pub trait Seal: Send + Sync {
    /// Signs that `stream` is committed up to `head`.
    ///
    /// # Errors
    /// [`SignatureError::NoRandom`].
    fn acknowledge(
        &self,
        incarnation: u64,
        stream: Stream,
        head: Head,
    ) -> Result<Acknowledgement, SignatureError>;
}

impl Seal for Signer {
    fn acknowledge(
        &self,
        incarnation: u64,
        stream: Stream,
        head: Head,
    ) -> Result<Acknowledgement, SignatureError> {
        Acknowledgement::sign(incarnation, stream, head, self.current(), self.random())
    }
}

impl Seal for App {
    fn acknowledge(
        &self,
        incarnation: u64,
        stream: Stream,
        head: Head,
    ) -> Result<Acknowledgement, SignatureError> {
        self.authority.signer().acknowledge(incarnation, stream, head)
    }
}

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
    /// The database is away, or took nothing: to be tried again.
    Away(Entry),
}

/// A batch with its place among the messages that it came with.
type Placed = (usize, Arc<Sender>, Box<Verified>);

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

    /// The gateway's own. Once per process, since it registers its metrics.
    pub fn of(app: &Arc<App>) -> Self {
        let metrics = app.metrics.register(IngestMetrics::register);
        Self::new(app.db.clone(), app.clone(), app.live.clone(), app.stock.clone(), metrics)
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
            Settled::Away(entry) => self.busy(&entry),
        }
    }

    /// "Not now."
    pub fn busy(&self, entry: &Entry) -> Answer {
        self.metrics.count("busy");
        let batch = match entry {
            Entry::Batch(_, batch) => Some(batch.header.batch),
            Entry::Refused(_, _, refusal) => refusal.batch,
            Entry::Away(incoming) => named(&incoming.message),
        };
        Answer::Busy { batch: batch.unwrap_or(BatchId(uuid::Uuid::nil())), retry_ms: BUSY_RETRY_MS }
    }

    /// Reads and verifies messages: the part that needs a processor and no database but for whose they are.
    pub async fn read(&self, incoming: Vec<Incoming>) -> Vec<Entry> {
        let mut asked = Vec::with_capacity(incoming.len());
        let mut away = false;
        for one in &incoming {
            // One wait for a database that is away is enough for the whole group.
            let sender = match self.directory.kept(&one.device).await {
                Some(known) => Ok(known),
                None if away => Err(lost()),
                None => self.directory.look_up(&one.device).await,
            };
            away |= sender.is_err();
            asked.push((one.clone(), sender));
        }
        let read = move || asked.into_iter().map(|(one, sender)| read_one(one, sender)).collect();
        tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| {
            tracing::error!(%error, "verifying a group of batches broke down: the group is tried again");
            incoming.into_iter().map(Entry::Away).collect()
        })
    }

    /// Reads again what found the database away; the rest stays as it is.
    pub async fn read_again(&self, entries: Vec<Entry>) -> Vec<Entry> {
        let lost: Vec<Incoming> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Away(incoming) => Some(incoming.clone()),
                _ => None,
            })
            .collect();
        let mut found = self.read(lost).await.into_iter();
        let again = |entry| match entry {
            Entry::Away(incoming) => found.next().unwrap_or(Entry::Away(incoming)),
            known => known,
        };
        entries.into_iter().map(again).collect()
    }

    /// Applies what was read; one [`Settled`] each, in order. Tenants go beside each other, each in one transaction.
    pub async fn settle(&self, entries: Vec<Entry>) -> Vec<Settled> {
        let mut settled: Vec<Option<Settled>> = Vec::with_capacity(entries.len());
        let mut by_tenant: BTreeMap<TenantId, Vec<Placed>> = BTreeMap::new();
        for (index, entry) in entries.into_iter().enumerate() {
            settled.push(match entry {
                Entry::Batch(sender, batch) => {
                    by_tenant.entry(sender.tenant.clone()).or_default().push((index, sender, batch));
                    None
                }
                Entry::Refused(incoming, sender, refusal) => {
                    Some(self.refuse(incoming, sender, refusal).await)
                }
                away @ Entry::Away(_) => Some(Settled::Away(away)),
            });
        }
        let mut tenants = Vec::with_capacity(by_tenant.len());
        for (tenant, batches) in by_tenant {
            tenants.push(self.settle_tenant(tenant, batches).boxed());
        }
        for (index, one) in join_all(tenants).await.into_iter().flatten() {
            settled[index] = Some(one);
        }
        settled.into_iter().flatten().collect()
    }

    async fn settle_tenant(&self, tenant: TenantId, mut batches: Vec<Placed>) -> Vec<(usize, Settled)> {
        batches.sort_by(|(_, _, one), (_, _, other)| {
            (&one.header.stream, one.header.first).cmp(&(&other.header.stream, other.header.first))
        });
        let all: Vec<&Verified> = batches.iter().map(|(_, _, batch)| &**batch).collect();
        let mut results: Vec<Result<(u64, Outcome), DbError>> = Vec::with_capacity(all.len());
        match self.transact(&tenant, &all, Mode::Usual).await {
            Ok(done) => results.extend(done.outcomes.iter().map(|outcome| Ok((done.incarnation, *outcome)))),
            Err(error) if all.len() == 1 || error.is_away() => {
                results.extend(self.alone(&tenant, &all, error).await)
            }
            Err(error) => {
                tracing::warn!(%tenant, error = %chain(&error), batches = all.len(), "a transaction failed: each batch is tried alone");
                self.metrics.retried_alone.inc();
                for batch in &all {
                    results.push(match self.transact(&tenant, &[*batch], Mode::Usual).await {
                        Ok(done) => first(&done),
                        Err(error) => {
                            self.alone(&tenant, &[*batch], error).await.pop().unwrap_or_else(|| Err(lost()))
                        }
                    });
                }
            }
        }
        let mut seals = Seals::new(&*self.seal);
        let mut settled = Vec::with_capacity(batches.len());
        for ((index, sender, batch), result) in batches.into_iter().zip(results) {
            let one = match result {
                Ok((incarnation, outcome)) => {
                    self.tell(&mut seals, incarnation, outcome, sender, batch).await
                }
                Err(_) => Settled::Away(Entry::Batch(sender, batch)),
            };
            settled.push((index, one));
        }
        settled
    }

    /// What a transaction that failed with `error` comes to, for `batches` that are one, or that nothing can be done for.
    async fn alone(
        &self,
        tenant: &TenantId,
        batches: &[&Verified],
        error: DbError,
    ) -> Vec<Result<(u64, Outcome), DbError>> {
        if let ([batch], false) = (batches, error.is_away()) {
            let mode = if error.is_duplicate() { Mode::KnownFacts } else { Mode::StoreOnly };
            let mut last = self.transact(tenant, &[*batch], mode).await;
            if mode == Mode::KnownFacts && last.as_ref().is_err_and(|error| !error.is_away()) {
                last = self.transact(tenant, &[*batch], Mode::StoreOnly).await;
            }
            let stream = rules::describe(&batch.header.stream);
            match last {
                Ok(done) => {
                    tracing::error!(%tenant, stream, first = batch.header.first, ?mode, error = %chain(&error), "a batch was taken with care");
                    return vec![first(&done)];
                }
                Err(last) => {
                    tracing::error!(%tenant, stream, first = batch.header.first, error = %chain(&last), "a batch cannot be stored: it waits in the branch");
                }
            }
        }
        batches.iter().map(|_| Err(lost())).collect()
    }

    /// One transaction, tried again where another gateway was faster, and those who watch are told.
    async fn transact(&self, tenant: &TenantId, batches: &[&Verified], mode: Mode) -> Result<Done, DbError> {
        for _ in 0..RACES_MAX {
            let began = Instant::now();
            match transaction::apply(&self.db, tenant, batches, mode).boxed().await {
                Ok(done) => {
                    self.metrics.database_away.set(0);
                    self.metrics.transaction_seconds.observe(began.elapsed().as_secs_f64());
                    self.metrics.facts.inc_by(done.facts as u64);
                    self.metrics.unfolded.inc_by(done.unfolded as u64);
                    self.spread(&done.changed).await;
                    return Ok(done);
                }
                Err(Failed::Raced) => {}
                Err(Failed::Db(error)) if is_overtaken(&error) => {}
                Err(Failed::Db(error)) => {
                    self.metrics.database_away.set(i64::from(error.is_away()));
                    return Err(error);
                }
            }
        }
        Err(lost())
    }

    async fn spread(&self, changed: &Changed) {
        self.stock.forget(&changed.tenant, &changed.stock).await;
        self.live.tell(changed.clone());
    }

    async fn tell(
        &self,
        seals: &mut Seals<'_>,
        incarnation: u64,
        outcome: Outcome,
        sender: Arc<Sender>,
        batch: Box<Verified>,
    ) -> Settled {
        match outcome {
            Outcome::Committed(head) => match seals.acknowledge(incarnation, &batch.header.stream, head) {
                Ok(acknowledgement) => {
                    self.metrics.count("committed");
                    Settled::Answered(Answer::Committed(acknowledgement))
                }
                // It is committed; the box asks again, and is told then.
                Err(error) => {
                    tracing::error!(%error, "an acknowledgement could not be signed");
                    Settled::Away(Entry::Batch(sender, batch))
                }
            },
            Outcome::Gap(head) => Settled::Gap(sender, batch, head),
            Outcome::Contradicts(head) => {
                let header = &batch.header;
                let message = format!(
                    "the centre has other bytes for facts of {}, {} to {}: two stores write under one name, or an old copy was restored",
                    rules::describe(&header.stream),
                    header.first,
                    header.after().seq
                );
                let refusal = Refusal {
                    batch: Some(header.batch),
                    stream: Some(header.stream.clone()),
                    reason: RefusalReason::Contradicts,
                    message,
                };
                let lane = Some(header.stream.lane);
                let incoming = Incoming { device: sender.device.clone(), lane, message: batch.message() };
                self.refuse_at(incoming, Some(sender), refusal, Some(head)).await
            }
        }
    }

    async fn refuse(&self, incoming: Incoming, sender: Option<Arc<Sender>>, refusal: Refusal) -> Settled {
        self.refuse_at(incoming, sender, refusal, None).await
    }

    /// Refuses: counted, logged, and kept with its bytes for people. Nothing is answered before it is kept.
    async fn refuse_at(
        &self,
        incoming: Incoming,
        sender: Option<Arc<Sender>>,
        refusal: Refusal,
        head: Option<Head>,
    ) -> Settled {
        tracing::warn!(device = %incoming.device, reason = ?refusal.reason, message = refusal.message, "a batch was refused");
        let head = match &sender {
            None => head,
            Some(known) => match self.keep_refused(&incoming, known, &refusal).await {
                Ok(found) => head.or(found),
                Err(error) if error.is_away() => {
                    return Settled::Away(Entry::Refused(incoming, sender, refusal));
                }
                Err(error) => {
                    tracing::error!(error = %chain(&error), "a refused batch could not be kept");
                    head
                }
            },
        };
        self.metrics.count("refused");
        let Refusal { batch, reason, message, .. } = refusal;
        Settled::Answered(Answer::Refused { batch, reason, message, head })
    }

    async fn keep_refused(
        &self,
        incoming: &Incoming,
        sender: &Sender,
        refusal: &Refusal,
    ) -> Result<Option<Head>, DbError> {
        let mut tx = self.db.tenant(&sender.tenant).begin().await?;
        let reason = reason_text(refusal.reason);
        let kept = Quarantined {
            device: &incoming.device,
            channel: incoming.lane.map_or("-", Lane::as_str),
            batch: refusal.batch,
            reason: &reason,
            message: &refusal.message,
            bytes: &incoming.message,
        };
        store::quarantine(&mut tx, &sender.tenant, &kept).await?;
        let head = match &refusal.stream {
            Some(stream) => store::heads(&mut tx, &[stream], Lock::No).await?.pop().flatten(),
            None => None,
        };
        tx.commit().await?;
        self.live.tell(Changed { alarms: true, ..Changed::nothing(sender.tenant.clone()) });
        Ok(head.map(|locked| locked.head))
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

/// One signature per stream and head, however many batches it answers.
struct Seals<'a> {
    seal: &'a dyn Seal,
    last: Option<Acknowledgement>,
}

impl<'a> Seals<'a> {
    fn new(seal: &'a dyn Seal) -> Self {
        Self { seal, last: None }
    }

    fn acknowledge(
        &mut self,
        incarnation: u64,
        stream: &Stream,
        head: Head,
    ) -> Result<Acknowledgement, SignatureError> {
        match &self.last {
            Some(last) if last.stream == *stream && last.head == head && last.incarnation == incarnation => {
                Ok(last.clone())
            }
            _ => {
                let made = self.seal.acknowledge(incarnation, stream.clone(), head)?;
                self.last = Some(made.clone());
                Ok(made)
            }
        }
    }
}

fn read_one(one: Incoming, sender: Result<Option<Arc<Sender>>, DbError>) -> Entry {
    match sender {
        Err(_) => Entry::Away(one),
        Ok(None) => {
            let message = format!("device {} is not enrolled here: enrol it", one.device);
            let refusal = Refusal {
                batch: named(&one.message),
                stream: None,
                reason: RefusalReason::NotAllowed,
                message,
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

/// A reason as it is written on the wire.
fn reason_text(reason: RefusalReason) -> String {
    serde_json::to_value(reason).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn first(done: &Done) -> Result<(u64, Outcome), DbError> {
    done.outcomes.first().map(|outcome| (done.incarnation, *outcome)).ok_or_else(lost)
}

/// Nothing was stored; somebody tries again.
fn lost() -> DbError {
    DbError::Away(sqlx::Error::WorkerCrashed)
}

/// Deadlock, serialisation failure or lock time-out (SQLSTATE class 40, 55P03): trying again helps.
fn is_overtaken(error: &DbError) -> bool {
    let DbError::Statement(error) = error else { return false };
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.starts_with("40") || code == "55P03")
}
