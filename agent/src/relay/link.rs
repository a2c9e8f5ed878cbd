//! The link to the centre as a state machine. Pure: time and randomness come in, effects go out.
//!
//! ```text
//!             Connected                 nothing unsent
//!   Offline ────────────► CatchUp ◄───────────────────► Live
//!      ▲                     │        something unsent     │
//!      └──── Disconnected ───┴─────────────────────────────┘
//!   any ── Drain ──► Draining ── nothing waits, or Disconnected, or the deadline ──► Finished
//! ```

use std::{cmp::Ordering, collections::BTreeMap, time::Duration};

use pestle_domain::{appeal::Torn, ids::BatchId, journal::Lane, wire::batch::RefusalReason};

pub use super::event::{Effect, Event, Known};
use super::{
    lane::{ANSWER_MS_MAX, Refused, Stream, StreamKey, window_of},
    rival::{LASTED_MS, RIVAL, Rival},
    state::{Phase, TornStream},
};
use crate::journal::ack::compare_lives;

/// Heads are stated this often, so that whatever was lost heals by itself.
const HEADS_EVERY_MS: u64 = 30_000;
/// The first wait after a broken connection; doubled with each failure, and drawn evenly below that.
const BACKOFF_MS_FIRST: u64 = 500;
/// No longer than this: a shop whose line is back wants to see it within half a minute.
const BACKOFF_MS_MAX: u64 = 30_000;
/// A refused connection is not tried again at once, whatever was drawn.
const BACKOFF_MS_MIN: u64 = 100;
/// TCP, TLS, the broker's answer (rumqttc's own bound is half of this) and its answer to our subscription.
const CONNECT_MS_MAX: u64 = 20_000;
/// Bounds for what a busy gateway may ask.
const BUSY_MS: std::ops::RangeInclusive<u64> = 100..=60_000;
/// How often the link looks at the time while something is on its way: a tenth of its shortest wait that people notice.
const LOOK_APART_MIN: Duration = Duration::from_millis(200);
/// And while nothing is.
pub const LOOK_APART_MAX: Duration = Duration::from_secs(5);
/// What shutting down waits for the centre's last answers.
const DRAIN_MS_MAX: u64 = 3_000;

/// The machine.
#[derive(Debug)]
pub struct Link {
    phase: Phase,
    streams: BTreeMap<StreamKey, Stream>,
    failures: u32,
    connect_at_ms: Option<u64>,
    /// While a connection is being opened: it is given up then.
    connect_until_ms: Option<u64>,
    heads_at_ms: u64,
    asked_at_ms: u64,
    busy_until_ms: u64,
    drain_until_ms: Option<u64>,
    finished: bool,
    why_offline: Option<String>,
    connected_at_ms: Option<u64>,
    rival: Rival,
}

impl Link {
    /// Offline, about to connect.
    pub fn new() -> Self {
        Self {
            phase: Phase::Offline,
            streams: BTreeMap::new(),
            failures: 0,
            connect_at_ms: Some(0),
            connect_until_ms: None,
            heads_at_ms: 0,
            asked_at_ms: 0,
            busy_until_ms: 0,
            drain_until_ms: None,
            finished: false,
            why_offline: None,
            connected_at_ms: None,
            rival: Rival::default(),
        }
    }

    /// What it is doing.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Facts that the centre has not acknowledged.
    pub fn waiting(&self) -> u64 {
        self.streams.values().map(Stream::waiting).sum()
    }

    /// Why it is offline, or what is refused.
    pub fn detail(&self) -> Option<String> {
        let held = self.streams.values().find_map(|stream| stream.held().map(str::to_owned));
        let why = if self.phase == Phase::Offline { self.why_offline.clone() } else { held };
        self.rival.words().map(str::to_owned).or(why)
    }

    /// The streams of which the centre has another history than this store.
    pub fn contradicted_streams(&self) -> Vec<StreamKey> {
        self.streams.values().filter(|stream| stream.is_contradicted()).map(|stream| stream.key).collect()
    }

    /// The streams that are torn.
    pub fn torn_streams(&self) -> Vec<TornStream> {
        let torn = |stream: &Stream| stream.torn().map(|torn| TornStream { stream: stream.key, torn });
        self.streams.values().filter_map(torn).collect()
    }

    /// Whether another box was lately at the broker under this name.
    pub fn has_rival(&self) -> bool {
        self.rival.words().is_some()
    }

    /// The stream that a batch in flight belongs to.
    pub fn stream_of(&self, batch: BatchId) -> Option<StreamKey> {
        self.streams.values().find(|stream| stream.has(batch)).map(|stream| stream.key)
    }

    /// Takes an event at `now_ms` (monotonic); `ids` names new batches.
    pub fn handle(&mut self, now_ms: u64, event: Event, ids: &mut dyn FnMut() -> BatchId) -> Vec<Effect> {
        let mut effects = Vec::new();
        match event {
            Event::Tick => self.tick(now_ms, &mut effects),
            Event::Heads(known) => self.heads(now_ms, &known),
            Event::Connected => self.connected(now_ms, &mut effects),
            Event::Disconnected { why, random } => self.disconnected(now_ms, why, random, &mut effects),
            Event::TakenOver { random } => {
                effects.extend(self.rival.came(now_ms).map(|words| Effect::Alarm(words.to_owned())));
                self.disconnected(now_ms, RIVAL.to_owned(), random, &mut effects);
            }
            // No read below the head is empty: to read on at once would never end.
            Event::Read(stream, acts) if acts.is_empty() => {
                let why = "the journal has nothing where facts should be: call support".to_owned();
                self.unreadable(now_ms, stream, why, &mut effects);
            }
            Event::Read(stream, acts) => {
                if let Some(stream) = self.streams.get_mut(&stream) {
                    stream.read(&acts);
                }
            }
            Event::Torn(stream, torn, why) => self.torn(now_ms, stream, torn, why, &mut effects),
            Event::Unreadable(stream, why) => self.unreadable(now_ms, stream, why, &mut effects),
            Event::Acknowledged { stream, seq, incarnation } => {
                self.acknowledged(now_ms, stream, seq, incarnation, &mut effects)
            }
            Event::Rewind { stream, batch, seq, ours } => {
                self.rewind(now_ms, stream, batch, seq, ours, &mut effects)
            }
            Event::Ahead { stream, seq } => {
                if let Some(stream) = self.streams.get_mut(&stream) {
                    stream.is_behind(seq);
                }
            }
            Event::Contradicted(stream, why) => self.contradicted(now_ms, stream, why, &mut effects),
            Event::Refused { batch, reason, message } => {
                self.refused(now_ms, batch, reason, &message, &mut effects)
            }
            Event::Busy { retry_ms, alone } => {
                let until_ms = now_ms + retry_ms.clamp(*BUSY_MS.start(), *BUSY_MS.end());
                match alone {
                    Some(batch) => {
                        let stuck = self.streams.values_mut().find(|stream| stream.has(batch));
                        stuck.into_iter().for_each(|stream| stream.stand_aside(until_ms));
                    }
                    None => {
                        self.busy_until_ms = until_ms;
                        self.streams.values_mut().for_each(Stream::unsend);
                    }
                }
            }
            Event::Nudged => effects.push(Effect::StateHeads),
            Event::Drain => {
                self.drain_until_ms = Some(now_ms + DRAIN_MS_MAX);
            }
        }
        self.go_on(now_ms, &mut effects, ids);
        effects
    }

    /// For how long [`Event::Tick`] has nothing to do, if nothing else happens; never longer than [`LOOK_APART_MAX`].
    pub fn nothing_for(&self, now_ms: u64) -> Duration {
        let due_at_ms = match self.phase {
            Phase::Offline => [self.connect_at_ms, self.connect_until_ms],
            _ => [Some(self.heads_at_ms), None],
        };
        let first = due_at_ms.into_iter().chain([self.rival.until_ms(), self.drain_until_ms]).flatten().min();
        let is_busy = self.is_connected() && self.waiting() > 0;
        let until = first.map_or(LOOK_APART_MAX, |at| Duration::from_millis(at.saturating_sub(now_ms)));
        until.clamp(LOOK_APART_MIN, if is_busy { LOOK_APART_MIN } else { LOOK_APART_MAX })
    }

    /// Up to which fact a stream is acknowledged or on its way; `None` for one that is not known.
    pub fn sent_to(&self, stream: StreamKey) -> Option<u64> {
        self.streams.get(&stream).map(Stream::sent_to)
    }

    /// Whether a connection is up.
    pub fn is_connected(&self) -> bool {
        self.phase != Phase::Offline
    }

    fn tick(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        self.rival.tick(now_ms);
        if self.phase == Phase::Offline {
            if self.connect_until_ms.take_if(|until| now_ms >= *until).is_some() {
                effects.push(Effect::GiveUp(
                    "the centre's broker takes the connection and then says nothing".to_owned(),
                ));
                return;
            }
            if self.connect_at_ms.is_some_and(|at| now_ms >= at) && self.drain_until_ms.is_none() {
                self.connect_at_ms = None;
                self.connect_until_ms = Some(now_ms + CONNECT_MS_MAX);
                effects.push(Effect::Connect);
            }
            return;
        }
        let overdue = self.streams.values().any(|stream| stream.overdue(now_ms, ANSWER_MS_MAX));
        let asked_recently = now_ms.saturating_sub(self.asked_at_ms) < ANSWER_MS_MAX;
        if now_ms >= self.heads_at_ms || (overdue && !asked_recently) {
            self.asked_at_ms = now_ms;
            self.heads_at_ms = now_ms + HEADS_EVERY_MS;
            effects.push(Effect::StateHeads);
        }
        // What it had to say against them it has said by now; nothing else will come.
        for stream in self.streams.values_mut().filter(|stream| stream.overdue(now_ms, ANSWER_MS_MAX)) {
            effects.extend(stream.stand_behind(now_ms).map(Effect::Alarm));
        }
        // Asked, and still no answer: what is in flight was lost.
        for stream in self.streams.values_mut().filter(|stream| stream.overdue(now_ms, 3 * ANSWER_MS_MAX)) {
            stream.unsend();
        }
    }

    fn heads(&mut self, now_ms: u64, known: &[Known]) {
        for one in known {
            let stream = self.streams.entry(one.stream).or_insert_with(|| {
                let mut stream = Stream::new(one.stream, one.head, one.acknowledged);
                stream.incarnation = one.incarnation;
                stream
            });
            stream.head = one.head;
            // The journal may know it from elsewhere than from an answer here: what a page of facts proves, say.
            if one.acknowledged > stream.acknowledged
                && compare_lives(stream.incarnation, one.incarnation).is_ge()
            {
                stream.acknowledge(now_ms, one.acknowledged);
                stream.incarnation = one.incarnation;
            }
        }
    }

    fn connected(&mut self, now_ms: u64, effects: &mut Vec<Effect>) {
        // Offline => CatchUp
        self.phase = Phase::CatchUp;
        self.connected_at_ms = Some(now_ms);
        self.connect_at_ms = None;
        self.connect_until_ms = None;
        self.why_offline = None;
        self.busy_until_ms = 0;
        self.heads_at_ms = now_ms + HEADS_EVERY_MS;
        self.asked_at_ms = now_ms;
        effects.push(Effect::StateHeads);
    }

    fn disconnected(&mut self, now_ms: u64, why: String, random: u64, effects: &mut Vec<Effect>) {
        // CatchUp | Live | Offline => Offline
        self.phase = Phase::Offline;
        self.streams.values_mut().for_each(Stream::disconnected);
        let lasted_ms = self.connected_at_ms.take().map(|at| now_ms.saturating_sub(at));
        // Only after a good connection does the wait before the next begin small again. Two boxes with one name throw each other off;
        // without this they would do it as fast as they can connect.
        if lasted_ms.is_some_and(|lasted| lasted >= LASTED_MS) {
            self.failures = 0;
        }
        let alarm = match lasted_ms {
            Some(lasted) => self.rival.connection_ended(now_ms, lasted),
            None => self.rival.seems_there(now_ms),
        };
        effects.extend(alarm.map(|words| Effect::Alarm(words.to_owned())));
        let ceiling = BACKOFF_MS_FIRST.saturating_mul(1 << self.failures.min(16)).min(BACKOFF_MS_MAX);
        self.failures = self.failures.saturating_add(1);
        self.connect_at_ms = Some(now_ms + (random % (ceiling + 1)).max(BACKOFF_MS_MIN));
        self.connect_until_ms = None;
        self.why_offline = Some(why);
        if self.drain_until_ms.is_some() {
            self.finish(effects);
        }
    }

    fn unreadable(&mut self, now_ms: u64, stream: StreamKey, why: String, effects: &mut Vec<Effect>) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.unreadable(now_ms, why.clone());
            effects.push(Effect::Alarm(why));
        }
    }

    fn torn(&mut self, now_ms: u64, stream: StreamKey, torn: Torn, why: String, effects: &mut Vec<Effect>) {
        if let Some(stream) = self.streams.get_mut(&stream)
            && stream.tear(now_ms, torn, why.clone())
        {
            effects.push(Effect::Alarm(why));
        }
    }

    fn acknowledged(
        &mut self,
        now_ms: u64,
        stream: StreamKey,
        seq: u64,
        incarnation: u64,
        effects: &mut Vec<Effect>,
    ) {
        let Some(stream) = self.streams.get_mut(&stream) else { return };
        match compare_lives(stream.incarnation, incarnation) {
            // Under way since before the restore: it would undo what the restore asked for.
            Ordering::Less => return,
            Ordering::Greater if seq < stream.acknowledged => {
                effects.push(Effect::Alarm(format!(
                    "the centre's database was restored and lacks facts {} to {} of the {} lane; they are sent again",
                    seq + 1,
                    stream.acknowledged,
                    stream.key.lane.as_str()
                )));
                stream.restored(seq);
            }
            Ordering::Greater | Ordering::Equal => stream.acknowledge(now_ms, seq),
        }
        stream.incarnation = incarnation;
    }

    fn rewind(
        &mut self,
        now_ms: u64,
        stream: StreamKey,
        batch: BatchId,
        seq: u64,
        ours: bool,
        effects: &mut Vec<Effect>,
    ) {
        let Some(known) = self.streams.get_mut(&stream) else { return };
        // Batches that were sent behind a gapped one come back too: one rewind is enough.
        if !known.has(batch) {
            return;
        }
        if ours {
            known.rewind(seq);
        } else {
            let why = format!(
                "the centre stands at fact {seq} of this box's epoch {}, which this box does not have",
                stream.epoch
            );
            self.contradicted(now_ms, stream, why, effects);
        }
    }

    fn contradicted(&mut self, now_ms: u64, stream: StreamKey, why: String, effects: &mut Vec<Effect>) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.contradict(now_ms, format!("{why}: its store was restored from an old copy, or another box writes under its name. Call support"));
        }
        effects.push(Effect::Alarm(why));
    }

    fn refused(
        &mut self,
        now_ms: u64,
        batch: Option<BatchId>,
        reason: RefusalReason,
        message: &str,
        effects: &mut Vec<Effect>,
    ) {
        let Some(batch) = batch else {
            // The centre could not read whose it was; the answer that is missing will be noticed.
            effects.push(Effect::Alarm(format!("the centre could not read a batch: {message}")));
            return;
        };
        for stream in self.streams.values_mut().filter(|stream| stream.has(batch)) {
            match stream.refused(now_ms, batch, reason, message) {
                Refused::Unknown | Refused::Halved => {}
                Refused::Culprit(act) => effects.push(Effect::Alarm(format!(
                    "the centre refuses facts {} to {} of the {} lane: {message}. They are kept; call support",
                    act.first,
                    act.last,
                    stream.key.lane.as_str()
                ))),
                Refused::Whole => {
                    effects.push(Effect::Alarm(format!("the centre refuses what this box sends: {message}")));
                }
            }
        }
    }

    /// What the state asks for, after every event: reads, batches, phases, the end.
    fn go_on(&mut self, now_ms: u64, effects: &mut Vec<Effect>, ids: &mut dyn FnMut() -> BatchId) {
        if !self.is_connected() {
            if self.drain_until_ms.is_some() {
                self.finish(effects);
            }
            return;
        }
        if now_ms >= self.busy_until_ms {
            // Each lane has its own share of what is on its way, over all its streams, the
            // oldest first. So neither lane waits for more than the other's share.
            let in_flight = |lane| -> usize {
                let of_lane = self.streams.values().filter(|stream| stream.key.lane == lane);
                of_lane.map(Stream::in_flight).sum()
            };
            let mut room = Lane::ALL.map(|lane| (lane, window_of(lane).saturating_sub(in_flight(lane))));
            for stream in self.streams.values_mut() {
                let Some((_, room)) = room.iter_mut().find(|(lane, _)| *lane == stream.key.lane) else {
                    continue;
                };
                while *room > 0
                    && let Some(run) = stream.next_batch(now_ms, &mut *ids)
                {
                    *room -= 1;
                    effects.push(Effect::Send(stream.key, run));
                }
                if let Some(from) = stream.begin_read(now_ms) {
                    effects.push(Effect::Read(stream.key, from));
                }
            }
        }
        let ledger_unsent =
            self.streams.values().any(|stream| stream.key.lane == Lane::Ledger && stream.unsent() > 0);
        let unsent = ledger_unsent || self.streams.values().any(|stream| stream.unsent() > 0);
        self.phase = match self.drain_until_ms {
            // CatchUp | Live => Draining
            Some(_) => Phase::Draining,
            // Live => CatchUp
            None if unsent => Phase::CatchUp,
            // CatchUp => Live
            None => Phase::Live,
        };
        if let Some(until) = self.drain_until_ms
            && (now_ms >= until || self.waiting() == 0)
        {
            self.finish(effects);
        }
    }

    fn finish(&mut self, effects: &mut Vec<Effect>) {
        if !self.finished {
            self.finished = true;
            effects.push(Effect::Finished);
        }
    }
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
