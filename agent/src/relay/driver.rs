//! The relay's loop: it owns the connection and the acts on their way, and runs the link's effects.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use pestle_domain::{
    ids::{BatchId, ConnectionId},
    journal::{AckVerdict, Acknowledgement, Head, Lane, Stream},
    wire::{
        WIRE_VERSION, batch,
        message::{Answer, Heads, Nudge, StreamHead},
        topic::Channel,
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    connection::{Connection, ConnectionSettings, Word},
    lane::{Act, READ_BYTES, Run, StreamKey},
    link::{Effect, Event, Known, Link},
    state::LinkState,
};
use crate::{
    clock::Clock,
    identity::DeviceIdentity,
    journal::{Journal, JournalError, StoredAct},
};

/// How often the link looks at the time: a tenth of its shortest wait that people notice.
const TICK: Duration = Duration::from_millis(200);
/// Words of the connection and finished reads that may wait for the loop.
const INBOX_MAX: usize = 64;
/// What leaving in order may take.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// What the relay needs.
#[derive(Debug)]
pub struct RelayParts {
    /// One per lane.
    pub journals: Vec<Journal>,
    /// Whose key signs, and which keys count.
    pub identity: Arc<DeviceIdentity>,
    /// Time.
    pub clock: Arc<Clock>,
    /// Where to connect.
    pub connection: ConnectionSettings,
    /// Version of the snapshot in use, for the heads.
    pub snapshot: watch::Receiver<u64>,
    /// Told when the centre has a newer snapshot.
    pub snapshot_nudge: Arc<tokio::sync::Notify>,
}

/// What the relay has done since the start, for the metrics.
#[derive(Debug, Default)]
pub struct RelayCounters {
    /// Batches handed to the broker.
    pub batches: AtomicU64,
    /// Facts in them; those that were sent again count again.
    pub facts: AtomicU64,
    /// Acknowledgements that let something go.
    pub acknowledgements: AtomicU64,
    /// Batches that the centre refused.
    pub refusals: AtomicU64,
    /// Rewinds that the centre asked for.
    pub rewinds: AtomicU64,
    /// Times that the connection came up.
    pub connections: AtomicU64,
    /// Messages of the centre that could not be read or verified.
    pub bad_messages: AtomicU64,
    /// What a person should have seen.
    pub alarms: AtomicU64,
}

/// The relay's handle.
#[derive(Debug, Clone)]
pub struct Relay {
    state: watch::Receiver<LinkState>,
    counters: Arc<RelayCounters>,
}

impl Relay {
    /// Makes the relay; it does nothing until its task runs.
    pub fn new(parts: RelayParts) -> (Self, RelayTask) {
        let (state, watched) = watch::channel(LinkState::default());
        let counters = Arc::new(RelayCounters::default());
        let (inbox, arrived) = mpsc::channel(INBOX_MAX);
        let (words, heard) = mpsc::channel(INBOX_MAX);
        let streams = parts
            .journals
            .iter()
            .flat_map(Journal::epochs)
            .map(|epoch| (key(&epoch.stream), epoch.stream))
            .collect();
        let task = RelayTask {
            parts,
            link: Link::new(),
            streams,
            acts: BTreeMap::new(),
            connection: None,
            state,
            counters: counters.clone(),
            random: SystemRandom::new(),
            inbox,
            arrived: Some(arrived),
            words,
            heard: Some(heard),
            finished: false,
        };
        (Self { state: watched, counters }, task)
    }

    /// What the link is doing, and each change.
    pub fn watch(&self) -> watch::Receiver<LinkState> {
        self.state.clone()
    }

    /// What it has done since the start.
    pub fn counters(&self) -> &RelayCounters {
        &self.counters
    }
}

type ReadOutcome = (StreamKey, Result<Vec<StoredAct>, JournalError>);

/// The relay's loop.
#[derive(Debug)]
pub struct RelayTask {
    parts: RelayParts,
    link: Link,
    streams: BTreeMap<StreamKey, Stream>,
    /// Read and not acknowledged, in order.
    acts: BTreeMap<StreamKey, VecDeque<StoredAct>>,
    connection: Option<Connection>,
    state: watch::Sender<LinkState>,
    counters: Arc<RelayCounters>,
    random: SystemRandom,
    inbox: mpsc::Sender<ReadOutcome>,
    arrived: Option<mpsc::Receiver<ReadOutcome>>,
    words: mpsc::Sender<(ConnectionId, Word)>,
    heard: Option<mpsc::Receiver<(ConnectionId, Word)>>,
    finished: bool,
}

fn key(stream: &Stream) -> StreamKey {
    StreamKey { lane: stream.lane, epoch: stream.epoch }
}

impl RelayTask {
    /// Runs until `stop`, and then for as long as draining takes.
    pub async fn run(mut self, stop: CancellationToken) {
        let (Some(mut arrived), Some(mut heard)) = (self.arrived.take(), self.heard.take()) else { return };
        let mut heads = self.watch_heads();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut draining = false;
        self.take(Event::Heads(self.known()));
        while !self.finished {
            let event = tokio::select! {
                _ = tick.tick() => Some(Event::Tick),
                _ = heads.changed() => Some(Event::Heads(self.known())),
                Some((stream, read)) = arrived.recv() => Some(self.read(stream, read)),
                Some((connection, word)) = heard.recv() => self.heard(connection, word).await,
                () = stop.cancelled(), if !draining => {
                    draining = true;
                    Some(Event::Drain)
                }
            };
            if let Some(event) = event {
                self.take(event);
            }
        }
        if let Some(connection) = self.connection.take() {
            connection.leave(&self.parts.clock, LEAVE_MAX).await;
        }
    }

    /// One watch that changes with any journal's head.
    fn watch_heads(&self) -> watch::Receiver<u64> {
        let (changes, watched) = watch::channel(0);
        let changes = Arc::new(changes);
        for journal in &self.parts.journals {
            let mut heads = journal.watch_head();
            let changes = changes.clone();
            tokio::spawn(async move {
                while heads.changed().await.is_ok() && !changes.is_closed() {
                    changes.send_modify(|count| *count += 1);
                }
            });
        }
        watched
    }

    fn known(&self) -> Vec<Known> {
        self.parts
            .journals
            .iter()
            .flat_map(|journal| {
                let lane = journal.stream().lane;
                journal.progress().into_iter().map(move |epoch| Known {
                    stream: StreamKey { lane, epoch: epoch.epoch },
                    head: epoch.head,
                    acknowledged: epoch.acknowledged,
                })
            })
            .collect()
    }

    fn take(&mut self, event: Event) {
        let now_ms = self.parts.clock.mono_ms();
        let effects = self.link.handle(now_ms, event, &mut || BatchId(Uuid::now_v7()));
        for effect in effects {
            if let Err(why) = self.run_effect(effect) {
                self.lose_connection(why);
            }
        }
        self.publish_state();
    }

    fn lose_connection(&mut self, why: String) {
        if let Some(connection) = self.connection.take() {
            connection.drop_now();
            let random = self.random_number();
            self.take(Event::Disconnected { why, random });
        }
    }

    fn run_effect(&mut self, effect: Effect) -> Result<(), String> {
        match effect {
            Effect::Connect => {
                let id = ConnectionId(Uuid::now_v7());
                let opened =
                    Connection::open(&self.parts.connection, id, &self.parts.clock, self.words.clone());
                if let Some(old) = self.connection.replace(opened) {
                    old.drop_now();
                }
                Ok(())
            }
            Effect::Read(stream, from) => {
                self.begin_read(stream, from);
                Ok(())
            }
            Effect::Send(stream, run) => self.send(stream, run),
            Effect::StateHeads => self.state_heads(),
            Effect::Alarm(why) => {
                self.counters.alarms.fetch_add(1, Relaxed);
                tracing::error!("{why}");
                Ok(())
            }
            Effect::Finished => {
                self.finished = true;
                Ok(())
            }
        }
    }

    fn begin_read(&self, stream: StreamKey, from: u64) {
        let Some(journal) = self.journal(stream.lane).cloned() else { return };
        let inbox = self.inbox.clone();
        tokio::spawn(async move {
            let read = journal.read(stream.epoch, from, READ_BYTES).await;
            // The loop ended: nobody wants it any more.
            let _ = inbox.send((stream, read)).await;
        });
    }

    fn read(&mut self, stream: StreamKey, read: Result<Vec<StoredAct>, JournalError>) -> Event {
        let read = match read {
            Ok(read) => read,
            Err(error) => return Event::Unreadable(stream, error.to_string()),
        };
        let acts = read
            .iter()
            .map(|act| Act { first: act.first, last: act.after.seq, bytes: act.line_bytes() })
            .collect();
        let kept = self.acts.entry(stream).or_default();
        if let Some(first) = read.first() {
            // A read after a rewind takes the place of what was read before it.
            while kept.back().is_some_and(|act| act.first >= first.first) {
                kept.pop_back();
            }
        }
        kept.extend(read);
        Event::Read(stream, acts)
    }

    fn send(&mut self, stream: StreamKey, run: Run) -> Result<(), String> {
        let (Some(connection), Some(name)) = (&self.connection, self.streams.get(&stream)) else {
            return Err("there is no connection".to_owned());
        };
        let kept = self.acts.get(&stream).map(VecDeque::iter).into_iter().flatten();
        let acts: Vec<&StoredAct> = kept
            .skip_while(|act| act.first < run.first)
            .take_while(|act| act.after.seq <= run.last)
            .collect();
        let (Some(first), Some(last)) = (acts.first(), acts.last()) else {
            return Err("the acts to be sent are not in memory".to_owned());
        };
        let previous = self.before(stream, first).ok_or("the head before a batch is not known")?;
        let signing = &self.parts.identity.signing;
        let signature =
            signing.sign(&last.after.statement(name), &self.random).map_err(|error| error.to_string())?;
        let header = batch::Header {
            v: WIRE_VERSION,
            batch: run.batch,
            stream: name.clone(),
            first: run.first,
            count: run.last + 1 - run.first,
            previous: previous.hash,
            hash: last.after.hash,
            key: signing.id().clone(),
            signature,
        };
        let lines = acts.iter().flat_map(|act| act.lines());
        let message = batch::build(&header, lines).map_err(|error| error.to_string())?;
        connection.publish(Channel::Facts(stream.lane), message, false)?;
        self.counters.batches.fetch_add(1, Relaxed);
        self.counters.facts.fetch_add(header.count, Relaxed);
        Ok(())
    }

    /// The head before an act: of the act before it, or from the journal.
    fn before(&self, stream: StreamKey, act: &StoredAct) -> Option<Head> {
        let seq = act.first - 1;
        let kept = self.acts.get(&stream)?;
        let index = kept.partition_point(|other| other.first < act.first);
        if let Some(previous) = index.checked_sub(1).and_then(|index| kept.get(index))
            && previous.after.seq == seq
        {
            return Some(previous.after);
        }
        let hash = self.journal(stream.lane)?.hash_at(stream.epoch, seq).ok()??;
        Some(Head { seq, hash })
    }

    fn state_heads(&self) -> Result<(), String> {
        let Some(connection) = &self.connection else { return Ok(()) };
        let streams = self
            .parts
            .journals
            .iter()
            .flat_map(Journal::epochs)
            .map(|epoch| StreamHead { stream: epoch.stream, head: epoch.head })
            .collect();
        let heads = Heads {
            v: WIRE_VERSION,
            connection: connection.id,
            streams,
            waiting: self.link.waiting(),
            snapshot: *self.parts.snapshot.borrow(),
            agent: self.parts.connection.agent.clone(),
        };
        let message = serde_json::to_vec(&heads).map_err(|error| error.to_string())?;
        connection.publish(Channel::Heads, message, false)
    }

    async fn heard(&mut self, from: ConnectionId, word: Word) -> Option<Event> {
        if self.connection.as_ref().is_none_or(|connection| connection.id != from) {
            return None;
        }
        match word {
            Word::Up => {
                self.counters.connections.fetch_add(1, Relaxed);
                tracing::info!(host = self.parts.connection.host, "connected to the centre");
                if let Some(connection) = &self.connection
                    && let Err(why) = connection.announce(&self.parts.clock)
                {
                    self.lose_connection(why);
                    return None;
                }
                Some(Event::Connected)
            }
            Word::Down(why) => {
                tracing::warn!(host = self.parts.connection.host, %why, "the link to the centre is down");
                if let Some(connection) = self.connection.take() {
                    connection.drop_now();
                }
                Some(Event::Disconnected { why, random: self.random_number() })
            }
            Word::Message(Channel::Ack, message) => match serde_json::from_slice::<Answer>(&message) {
                Ok(answer) => self.answered(answer).await,
                Err(error) => self.bad_message(&format!("an answer cannot be read: {error}")),
            },
            Word::Message(Channel::Nudge, message) => match serde_json::from_slice::<Nudge>(&message) {
                Ok(Nudge::Heads) => Some(Event::Nudged),
                Ok(Nudge::Snapshot { .. }) => {
                    self.parts.snapshot_nudge.notify_one();
                    None
                }
                Err(error) => self.bad_message(&format!("a nudge cannot be read: {error}")),
            },
            Word::Message(..) => None,
        }
    }

    fn bad_message(&self, why: &str) -> Option<Event> {
        self.counters.bad_messages.fetch_add(1, Relaxed);
        tracing::warn!("a message of the centre was left aside: {why}");
        None
    }

    async fn answered(&mut self, answer: Answer) -> Option<Event> {
        match answer {
            Answer::Committed(ack) => self.acknowledged(ack).await,
            Answer::Rewind { batch, stream, head } => {
                self.counters.rewinds.fetch_add(1, Relaxed);
                let known = key(&stream);
                let same = self.streams.get(&known) == Some(&stream);
                let ours = same && self.has_head(known, head).await;
                Some(Event::Rewind { stream: known, batch, seq: head.seq, ours })
            }
            Answer::Refused { batch, reason, message, .. } => {
                self.counters.refusals.fetch_add(1, Relaxed);
                tracing::warn!(?batch, ?reason, message, "the centre refused a batch");
                Some(Event::Refused { batch, reason, message })
            }
            Answer::Busy { retry_ms, .. } => Some(Event::Busy { retry_ms }),
        }
    }

    async fn acknowledged(&mut self, ack: Acknowledgement) -> Option<Event> {
        let verified = match self.parts.identity.centre_key(&ack.key) {
            None => {
                return self.bad_message("an acknowledgement is signed with a key that is not the centre's");
            }
            Some(centre) => ack.verify(centre),
        };
        if let Err(error) = verified {
            return self.bad_message(&format!("an acknowledgement: {error}"));
        }
        let stream = key(&ack.stream);
        let journal = self.journal(stream.lane)?.clone();
        let (seq, incarnation) = (ack.head.seq, ack.incarnation);
        let judged = tokio::task::spawn_blocking(move || journal.acknowledge(&ack)).await;
        match judged {
            Ok(Ok(AckVerdict::Committed(head))) => {
                self.counters.acknowledgements.fetch_add(1, Relaxed);
                if let Some(kept) = self.acts.get_mut(&stream) {
                    // The last acknowledged act stays: its head is what the next batch begins with.
                    while kept.get(1).is_some_and(|act| act.first <= head.seq + 1) {
                        kept.pop_front();
                    }
                }
                let at = self.parts.clock.wall();
                self.state.send_modify(|state| state.last_ack_at = Some(at));
                Some(Event::Acknowledged { stream, seq, incarnation })
            }
            Ok(Ok(AckVerdict::Old)) => Some(Event::Acknowledged { stream, seq, incarnation }),
            Ok(Ok(AckVerdict::Contradicts { centre })) => Some(Event::Contradicted(
                stream,
                format!("the centre has committed fact {} of this box with other contents", centre.seq),
            )),
            Ok(Ok(AckVerdict::OtherStream)) => None,
            Ok(Err(error)) => self.bad_message(&error.to_string()),
            Err(error) => self.bad_message(&error.to_string()),
        }
    }

    async fn has_head(&self, stream: StreamKey, head: Head) -> bool {
        let Some(journal) = self.journal(stream.lane).cloned() else { return false };
        let own = tokio::task::spawn_blocking(move || journal.hash_at(stream.epoch, head.seq)).await;
        matches!(own, Ok(Ok(Some(hash))) if hash == head.hash)
    }

    fn journal(&self, lane: Lane) -> Option<&Journal> {
        self.parts.journals.iter().find(|journal| journal.stream().lane == lane)
    }

    fn random_number(&self) -> u64 {
        let mut bytes = [0; 8];
        // Without randomness there is no jitter, and nothing else.
        let _ = self.random.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }

    fn publish_state(&self) {
        let (phase, waiting, detail) = (self.link.phase(), self.link.waiting(), self.link.detail());
        self.state.send_if_modified(|state| {
            let changed = (state.state, state.waiting, &state.detail) != (phase, waiting, &detail);
            (state.state, state.waiting, state.detail) = (phase, waiting, detail);
            changed
        });
    }
}
