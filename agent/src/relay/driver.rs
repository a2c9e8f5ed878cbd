//! The relay's loop: it owns the connection and the acts on their way, and runs the link's effects. What the centre says
//! is read and verified in [`super::answers`].

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use pestle_domain::{
    appeal::Torn,
    ids::{BatchId, ConnectionId},
    journal::{Lane, Stream},
    signature::Hash,
    wire::{
        WIRE_VERSION,
        message::{Heads, StreamHead},
        topic::Channel,
    },
};
use tokio::{
    sync::{broadcast, mpsc, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    alerts::Alerts,
    connection::{Connection, ConnectionSettings, Down, Word},
    early::{AlertRead, urgent},
    hand::Hand,
    lane::{READ_BYTES, Run, StreamKey},
    link::{Effect, Event, Known, LOOK_APART_MAX, Link},
    state::LinkState,
};
use crate::{
    clock::Clock,
    identity::DeviceIdentity,
    journal::{Committed, Journal, JournalError, StoredAct},
    orders::OrdersState,
};

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
    /// Urgent acts that were sent early.
    pub alerts: AtomicU64,
    /// Urgent acts that were not sent early, or not a second time, because there were too many: they come in their turn.
    pub alerts_dropped: AtomicU64,
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
        let (alert_inbox, alerts_read) = mpsc::channel(INBOX_MAX);
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
            hand: Hand::default(),
            connection: None,
            told_down: None,
            state,
            counters: counters.clone(),
            random: SystemRandom::new(),
            inbox,
            arrived: Some(arrived),
            words,
            heard: Some(heard),
            orders: None,
            urgent: None,
            alerts: Alerts::default(),
            alert_inbox,
            alerts_read: Some(alerts_read),
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

/// Acts that were read, and the chain's value before the first of them.
type ReadOutcome = (StreamKey, Result<(Hash, Vec<StoredAct>), JournalError>);

/// The relay's loop.
#[derive(Debug)]
pub struct RelayTask {
    pub(super) parts: RelayParts,
    pub(super) link: Link,
    pub(super) streams: BTreeMap<StreamKey, Stream>,
    pub(super) hand: Hand,
    pub(super) connection: Option<Connection>,
    /// Why there is none, as the log has it.
    pub(super) told_down: Option<Down>,
    pub(super) state: watch::Sender<LinkState>,
    pub(super) counters: Arc<RelayCounters>,
    pub(super) random: SystemRandom,
    inbox: mpsc::Sender<ReadOutcome>,
    arrived: Option<mpsc::Receiver<ReadOutcome>>,
    words: mpsc::Sender<(ConnectionId, Word)>,
    heard: Option<mpsc::Receiver<(ConnectionId, Word)>>,
    orders: Option<OrdersEnd>,
    pub(super) urgent: Option<broadcast::Receiver<Committed>>,
    pub(super) alerts: Alerts,
    pub(super) alert_inbox: mpsc::Sender<AlertRead>,
    alerts_read: Option<mpsc::Receiver<AlertRead>>,
    finished: bool,
}

/// Who takes the centre's orders.
#[derive(Debug)]
pub struct OrdersEnd {
    /// Messages as they came.
    pub inbox: mpsc::Sender<Vec<u8>>,
    /// Where the log stands: it is stated with the heads, and they are stated when it moves.
    pub state: watch::Receiver<OrdersState>,
}

pub(super) fn key(stream: &Stream) -> StreamKey {
    StreamKey { lane: stream.lane, epoch: stream.epoch }
}

/// Waits until the log of orders has moved; for ever where there is none.
async fn moved(orders: &mut Option<watch::Receiver<OrdersState>>) {
    if let Some(state) = orders
        && state.changed().await.is_ok()
    {
        return;
    }
    std::future::pending().await
}

impl RelayTask {
    /// Hands orders to `end` from now on.
    #[must_use]
    pub fn with_orders(self, end: OrdersEnd) -> Self {
        Self { orders: Some(end), ..self }
    }

    /// Orders that nobody has room for come again: the next heads ask for them.
    pub(super) fn hand_over_orders(&self, message: Vec<u8>) {
        if let Some(orders) = &self.orders
            && orders.inbox.try_send(message).is_err()
        {
            tracing::debug!("orders came while others wait to be read: the centre sends them again");
        }
    }

    /// Runs until `stop`, and then for as long as draining takes.
    pub async fn run(mut self, stop: CancellationToken) {
        let (Some(mut arrived), Some(mut heard), Some(mut alerts_read)) =
            (self.arrived.take(), self.heard.take(), self.alerts_read.take())
        else {
            return;
        };
        let mut told = self.urgent.take();
        let mut heads = self.watch_heads();
        let mut look_at = Instant::now();
        let mut orders = self.orders.as_ref().map(|orders| orders.state.clone());
        let mut draining = false;
        self.take(Event::Heads(self.known()));
        while !self.finished {
            let event = tokio::select! {
                () = sleep_until(look_at) => {
                    look_at = Instant::now() + LOOK_APART_MAX;
                    Some(Event::Tick)
                }
                _ = heads.changed() => Some(Event::Heads(self.known())),
                alert = urgent(&mut told) => {
                    self.alerts.note(alert);
                    None
                }
                Some(read) = alerts_read.recv() => {
                    self.send_early(read);
                    None
                }
                () = moved(&mut orders) => Some(Event::Nudged),
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
            // However much happens, a look that is due is not put off.
            look_at = look_at.min(Instant::now() + self.link.nothing_for(self.parts.clock.mono_ms()));
            self.look_for_alerts();
            // Whichever of these gave one up: a new one, a connection that ended, one that was sent.
            self.counters.alerts_dropped.store(self.alerts.dropped(), Relaxed);
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
                    incarnation: epoch.incarnation,
                })
            })
            .collect()
    }

    fn take(&mut self, event: Event) {
        if matches!(event, Event::Disconnected { .. } | Event::TakenOver { .. }) {
            self.alerts.disconnected();
        }
        let now_ms = self.parts.clock.mono_ms();
        let effects = self.link.handle(now_ms, event, &mut || BatchId(Uuid::now_v7()));
        for effect in effects {
            if let Err(why) = self.run_effect(effect) {
                self.lose_connection(why);
            }
        }
        self.publish_state();
    }

    pub(super) fn lose_connection(&mut self, why: String) {
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
            Effect::GiveUp(why) => Err(why),
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
            let read = tokio::task::spawn_blocking(move || {
                let acts = journal.read_blocking(stream.epoch, from, READ_BYTES)?;
                let before = journal.hash_at(stream.epoch, from.saturating_sub(1))?;
                before.map(|before| (before, acts)).ok_or(JournalError::Hole {
                    epoch: stream.epoch,
                    from: from.saturating_sub(1),
                    to: from.saturating_sub(1),
                    kept: journal.folder().to_owned(),
                })
            });
            let read = read.await.unwrap_or_else(|error| Err(JournalError::Panicked(error.to_string())));
            // The loop ended: nobody wants it any more.
            let _ = inbox.send((stream, read)).await;
        });
    }

    fn read(&mut self, stream: StreamKey, read: Result<(Hash, Vec<StoredAct>), JournalError>) -> Event {
        let (before, read) = match read {
            Ok(read) => read,
            Err(error) => {
                let is_current = self.journal(stream.lane).is_some_and(|j| j.stream().epoch == stream.epoch);
                let then = match error {
                    JournalError::Hole { .. } if is_current => {
                        ". Restart the box: what is sold after that reaches the centre again; and call support"
                    }
                    // It never joins: the box records everything once more, in an epoch that the centre gives.
                    JournalError::Hole { from, to, .. } => {
                        let why = format!(
                            "{error}. What was recorded behind them waits in this box until somebody decides at the centre's \
                             console that it goes on"
                        );
                        return Event::Torn(stream, Torn { from, to }, why);
                    }
                    _ => ": call support",
                };
                return Event::Unreadable(stream, format!("{error}{then}"));
            }
        };
        Event::Read(stream, self.hand.take(stream, before, read))
    }

    fn send(&mut self, stream: StreamKey, run: Run) -> Result<(), String> {
        let (Some(connection), Some(name)) = (&self.connection, self.streams.get(&stream)) else {
            return Err("there is no connection".to_owned());
        };
        let signing = &self.parts.identity.signing;
        let message = self.hand.batch((stream, name), run, signing, &self.random)?;
        connection.publish(Channel::Facts(stream.lane), message, false)?;
        self.counters.batches.fetch_add(1, Relaxed);
        self.counters.facts.fetch_add(run.last + 1 - run.first, Relaxed);
        Ok(())
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
            orders: self.orders.as_ref().map(|orders| orders.state.borrow().head),
        };
        let message = serde_json::to_vec(&heads).map_err(|error| error.to_string())?;
        connection.publish(Channel::Heads, message, false)
    }

    pub(super) fn journal(&self, lane: Lane) -> Option<&Journal> {
        self.parts.journals.iter().find(|journal| journal.stream().lane == lane)
    }

    pub(super) fn random_number(&self) -> u64 {
        let mut bytes = [0; 8];
        // Without randomness there is no jitter, and nothing else.
        let _ = self.random.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }

    fn publish_state(&self) {
        let link = &self.link;
        self.state.send_if_modified(|state| {
            let now = LinkState {
                state: link.phase(),
                waiting: link.waiting(),
                last_ack_at: state.last_ack_at,
                detail: link.detail(),
                contradicted: link.contradicted_streams(),
                torn: link.torn_streams(),
                rival: link.has_rival(),
            };
            let changed = *state != now;
            *state = now;
            changed
        });
    }
}
