//! One stream on its way: which acts were read, which batches are in flight, and what an answer changes. Pure.
//!
//! ```text
//!            acknowledged        sent            read          head
//! ───────────────┼────────────────┼───────────────┼─────────────┼───►
//!   may be pruned   in flight        to be sent      to be read
//! ```

use std::collections::VecDeque;

use pestle_domain::{appeal::Torn, ids::BatchId, journal::Lane, wire::batch::RefusalReason};
use serde::Serialize;

use super::BATCH_BYTES_MAX;

/// Batches of the ledger in flight, at most 6 MiB: a whole transaction of the gateway (4 MiB) and half of the next, so that
/// it gathers one while it commits the other.
pub const LEDGER_WINDOW: usize = 32;
/// Telemetry has one at a time, and so never stands before the ledger for longer than one message takes.
const TELEMETRY_WINDOW: usize = 1;
/// How many batches of a lane may be in flight, over all its streams.
pub fn window_of(lane: Lane) -> usize {
    match lane {
        Lane::Ledger => LEDGER_WINDOW,
        Lane::Telemetry => TELEMETRY_WINDOW,
    }
}

/// How much is read ahead, in bytes of lines: a window and what is read in two goes.
const READ_AHEAD_BYTES: usize = 40 * BATCH_BYTES_MAX;
/// What is read in one go.
pub const READ_BYTES: usize = 4 * BATCH_BYTES_MAX;
/// An answer takes milliseconds; after so long it was lost, and the centre is asked where it stands.
pub const ANSWER_MS_MAX: u64 = 10_000;
/// A culprit, or a stream that the centre does not want, is tried again after this.
const HELD_MS: u64 = 300_000;

/// Names a stream of this box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct StreamKey {
    /// Ledger before telemetry.
    pub lane: Lane,
    /// Older before newer.
    pub epoch: u32,
}

/// An act that was read: where it lies and how long its lines are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Act {
    /// Its first fact.
    pub first: u64,
    /// Its last fact.
    pub last: u64,
    /// Of its lines, with line ends.
    pub bytes: usize,
}

/// A run of whole acts to be sent as one batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Its name in answers.
    pub batch: BatchId,
    /// The first fact.
    pub first: u64,
    /// The last fact.
    pub last: u64,
}

#[derive(Debug, Clone, Copy)]
struct Flight {
    run: Run,
    acts: usize,
    sent_at_ms: u64,
}

/// Why a stream stands still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// In words, for a person.
    pub why: String,
    /// When it is tried again (monotonic).
    until_ms: u64,
}

/// One stream on its way.
#[derive(Debug)]
pub struct Stream {
    /// Which.
    pub key: StreamKey,
    /// The last fact that is on the disk.
    pub head: u64,
    /// The last fact that the centre has, by its signed word alone.
    pub acknowledged: u64,
    /// In which life of the centre's database; 0 while none was told.
    pub incarnation: u64,
    /// What lies behind this is to be sent. An unsigned rewind moves it, and nothing else.
    from: u64,
    /// Read and not acknowledged, in order.
    acts: VecDeque<Act>,
    /// How many of `acts` are in flight.
    sent: usize,
    flights: VecDeque<Flight>,
    /// When the centre last acknowledged something new (monotonic).
    progress_at_ms: u64,
    /// A read is under way.
    reading: bool,
    /// Most acts in a batch: one half of what was refused, until its culprit is found.
    acts_max: usize,
    /// Up to here batches are halved.
    suspect_until: u64,
    held: Option<Held>,
    /// Why nothing more is read, and until when. What was read before is sent meanwhile.
    unread: Option<Held>,
    /// The centre has another history than this store. It stays so over broken connections, until the centre takes more of it.
    contradicted: bool,
    /// Facts that the centre lacks and that cannot be read any more. What lies behind them cannot join.
    torn: Option<Torn>,
    /// Up to which fact the centre has signed for this stream, which is over and has less here. It can acknowledge nothing of what it
    /// is sent again then; that it refuses what is not the same, it still can.
    ahead: Option<u64>,
}

/// What a refusal led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// Another batch than those in flight: nothing.
    Unknown,
    /// It is sent again in halves.
    Halved,
    /// This act alone is refused: the stream stands still before it, and a person has to look.
    Culprit(Act),
    /// Whatever is in it, it would be refused.
    Whole,
}

impl Stream {
    /// A stream at rest; nothing is known of the centre's life.
    pub fn new(key: StreamKey, head: u64, acknowledged: u64) -> Self {
        Self {
            key,
            head,
            acknowledged,
            incarnation: 0,
            from: acknowledged,
            acts: VecDeque::new(),
            sent: 0,
            flights: VecDeque::new(),
            progress_at_ms: 0,
            reading: false,
            acts_max: usize::MAX,
            suspect_until: 0,
            held: None,
            unread: None,
            contradicted: false,
            torn: None,
            ahead: None,
        }
    }

    /// Whether the centre has another history than this store.
    pub fn is_contradicted(&self) -> bool {
        self.contradicted
    }

    /// Where facts cannot be read any more that the centre lacks.
    pub fn torn(&self) -> Option<Torn> {
        self.torn
    }

    /// The centre has said that it has another history, in these words: the stream stands still, and a person decides.
    pub fn contradict(&mut self, now_ms: u64, why: String) {
        self.contradicted = true;
        self.unsend();
        self.hold(now_ms, why);
    }

    /// The centre has more of it than this box, up to `seq`.
    pub fn is_behind(&mut self, seq: u64) {
        self.ahead = Some(seq);
    }

    /// Nothing came for what is in flight: where the centre has more than this box, nothing will. The stream stands still then, in the
    /// words that are returned, and others have its place. Its chain is compared elsewhere; what is acknowledged by that, or
    /// by a centre that was restored, lets it go on.
    pub fn stand_behind(&mut self, now_ms: u64) -> Option<String> {
        let seq = self.ahead?;
        let why = format!(
            "the centre has {} facts up to {seq} of epoch {}, which ends with fact {} here: this box has lost the rest. Facts {} to {} wait \
             until they were compared with the centre's; all that was recorded later is sent. If this stays for an hour, call support",
            self.key.lane.as_str(),
            self.key.epoch,
            self.head,
            self.acknowledged + 1,
            self.head,
        );
        self.unsend();
        self.hold(now_ms, why.clone());
        Some(why)
    }

    /// Facts that the centre has not acknowledged.
    pub fn waiting(&self) -> u64 {
        self.head.saturating_sub(self.acknowledged)
    }

    /// Facts that wait and are not even in flight.
    pub fn unsent(&self) -> u64 {
        self.head.saturating_sub(self.sent_to())
    }

    /// Up to which fact it is acknowledged or in flight.
    pub fn sent_to(&self) -> u64 {
        self.flights.back().map_or(self.from, |flight| flight.run.last)
    }

    /// Batches in flight.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Why it stands still, if it does, or will where it cannot read on.
    pub fn held(&self) -> Option<&str> {
        self.held.as_ref().or(self.unread.as_ref()).map(|held| held.why.as_str())
    }

    /// Where the next read begins, when one is due; marks it as begun.
    pub fn begin_read(&mut self, now_ms: u64) -> Option<u64> {
        self.unread.take_if(|unread| now_ms >= unread.until_ms);
        let next = self.acts.back().map_or(self.from, |act| act.last) + 1;
        let ahead: usize = self.acts.iter().skip(self.sent).map(|act| act.bytes).sum();
        let may = !self.reading && self.held.is_none() && self.unread.is_none();
        let due = may && next <= self.head && ahead < READ_AHEAD_BYTES / 2;
        due.then(|| {
            self.reading = true;
            next
        })
    }

    /// A read has ended. Acts that do not follow on what is known belong to a read from before a rewind.
    pub fn read(&mut self, acts: &[Act]) {
        self.reading = false;
        self.torn = None;
        for act in acts {
            let next = self.acts.back().map_or(self.from, |act| act.last) + 1;
            if act.first == next {
                self.acts.push_back(*act);
            }
        }
    }

    /// These facts cannot be read any more: the stream stands still before them, but for another attempt now and then, and a person
    /// decides. True if that is new.
    pub fn tear(&mut self, now_ms: u64, torn: Torn, why: String) -> bool {
        self.unreadable(now_ms, why);
        self.torn.replace(torn) != Some(torn)
    }

    /// A read has failed: the next is tried in a while.
    pub fn unreadable(&mut self, now_ms: u64, why: String) {
        self.reading = false;
        self.unread = Some(Held { why, until_ms: now_ms + HELD_MS });
    }

    /// The next batch, if the window has room.
    pub fn next_batch(&mut self, now_ms: u64, id: impl FnOnce() -> BatchId) -> Option<Run> {
        self.held.take_if(|held| now_ms >= held.until_ms);
        let window = if self.suspect_until > self.acknowledged { 1 } else { window_of(self.key.lane) };
        if self.held.is_some() || self.flights.len() >= window {
            return None;
        }
        let mut bytes = 0;
        let mut count = 0usize;
        for act in self.acts.iter().skip(self.sent).take(self.acts_max) {
            if count > 0 && bytes + act.bytes > BATCH_BYTES_MAX {
                break;
            }
            bytes += act.bytes;
            count += 1;
        }
        let first = self.acts.get(self.sent)?.first;
        let last = self.acts.get(self.sent + count.checked_sub(1)?)?.last;
        let run = Run { batch: id(), first, last };
        self.sent += count;
        self.flights.push_back(Flight { run, acts: count, sent_at_ms: now_ms });
        Some(run)
    }

    /// The centre has everything up to `seq`.
    pub fn acknowledge(&mut self, now_ms: u64, seq: u64) {
        self.is_not_behind();
        if seq > self.acknowledged {
            self.progress_at_ms = now_ms;
            self.contradicted = false;
            if self.torn.take_if(|torn| torn.to <= seq).is_some() {
                self.unread = None;
            }
        }
        self.acknowledged = self.acknowledged.max(seq);
        self.from = self.from.max(seq);
        while let Some(act) = self.acts.front()
            && act.last <= self.from
        {
            self.acts.pop_front();
            self.sent = self.sent.saturating_sub(1);
        }
        while let Some(flight) = self.flights.front()
            && flight.run.last <= self.from
        {
            self.flights.pop_front();
        }
        // The centre had more than we had read: what was read begins anew behind it.
        if self.acts.front().is_some_and(|act| act.first != self.from + 1) {
            self.forget();
        }
        self.suspicion_ends();
    }

    /// Sends again from behind `seq`. What was acknowledged stays so: nobody signed this.
    pub fn rewind(&mut self, seq: u64) {
        self.forget();
        self.from = seq.min(self.head);
    }

    /// The centre's database was restored and has everything up to `seq` alone.
    pub fn restored(&mut self, seq: u64) {
        self.is_not_behind();
        self.rewind(seq);
        self.acknowledged = self.acknowledged.min(seq);
    }

    /// Whether `batch` is in flight.
    pub fn has(&self, batch: BatchId) -> bool {
        self.flights.iter().any(|flight| flight.run.batch == batch)
    }

    /// The centre refuses a batch.
    pub fn refused(&mut self, now_ms: u64, batch: BatchId, reason: RefusalReason, message: &str) -> Refused {
        let Some(flight) = self.flights.iter().find(|flight| flight.run.batch == batch).copied() else {
            return Refused::Unknown;
        };
        let culprit = self.acts.iter().find(|act| act.first == flight.run.first).copied();
        self.unsend();
        let Some(act) = culprit else { return Refused::Unknown };
        match reason {
            RefusalReason::NewerVersion
            | RefusalReason::NotAllowed
            | RefusalReason::WrongStream
            | RefusalReason::WrongSignature => {
                self.hold(now_ms, format!("the centre refuses what this box sends: {message}"));
                Refused::Whole
            }
            _ if flight.acts == 1 => {
                self.contradicted |= reason == RefusalReason::Contradicts;
                let facts = format!("facts {} to {}", act.first, act.last);
                self.hold(now_ms, format!("the centre refuses {facts}, and so all after them: {message}"));
                Refused::Culprit(act)
            }
            _ => {
                self.acts_max = flight.acts / 2;
                self.suspect_until = self.suspect_until.max(flight.run.last);
                Refused::Halved
            }
        }
    }

    /// The centre cannot take anything now: what is in flight is to be sent again.
    pub fn unsend(&mut self) {
        self.flights.clear();
        self.sent = 0;
    }

    /// Whether the oldest batch in flight waits too long for its answer: since it was sent, and since the answer before. On
    /// a slow line a whole window takes longer than any one answer may.
    pub fn overdue(&self, now_ms: u64, longest_ms: u64) -> bool {
        let since = |flight: &Flight| flight.sent_at_ms.max(self.progress_at_ms);
        self.flights.front().is_some_and(|flight| now_ms.saturating_sub(since(flight)) > longest_ms)
    }

    /// The connection has gone: everything in flight is sent again, and what was held is tried again. What a rewind let
    /// out is sent after all, unless the centre signs for it.
    pub fn disconnected(&mut self) {
        self.unsend();
        (self.held, self.unread) = (None, None);
        if self.from > self.acknowledged {
            self.rewind(self.acknowledged);
        }
    }

    /// The centre cannot store what is in flight: it is sent again behind `until_ms`, and others go on meanwhile.
    pub fn stand_aside(&mut self, until_ms: u64) {
        self.unsend();
        let why = format!(
            "the centre cannot store what this box sends of the {} lane: it waits here and is sent again, and somebody there has to look",
            self.key.lane.as_str()
        );
        self.held = Some(Held { why, until_ms });
    }

    /// Stands still for a while, and says why.
    pub fn hold(&mut self, now_ms: u64, why: String) {
        self.held = Some(Held { why, until_ms: now_ms + HELD_MS });
    }

    fn is_not_behind(&mut self) {
        if self.ahead.take().is_some() {
            self.held = None;
        }
    }

    fn suspicion_ends(&mut self) {
        if self.suspect_until <= self.acknowledged {
            self.acts_max = usize::MAX;
            self.suspect_until = 0;
        }
    }

    fn forget(&mut self) {
        self.acts.clear();
        self.unsend();
    }
}
