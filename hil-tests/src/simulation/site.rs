//! A box: its disk, which outlives every fault but its own, and the agent that runs on it or not. The link, the acts in hand
//! and the books are the product's; the loop around them is what `relay/driver.rs` and `counter/task.rs` do.

use std::{
    collections::{BTreeMap, VecDeque},
    rc::Rc,
    sync::Arc,
};

use aws_lc_rs::rand::SystemRandom;
use pestle_agent::{
    counter::books::Books,
    journal::ack::Word,
    relay::{
        answers::word_of,
        hand::Hand,
        lane::StreamKey,
        link::{Effect, Event, Link},
        state::Phase,
    },
};
use pestle_domain::{
    fact::{Act, Actor, ClockQuality, EpochOpened, Fact, FactBody, Stamp},
    ids::{ActId, BatchId, StoreId},
    journal::{AckVerdict, Acknowledgement, Lane, Stream},
    order::OrderHead,
    signature::{SigningKey, VerifyingKey},
    units::{Day, UnixMillis},
    wire::{
        batch::RefusalReason,
        message::{Answer, StreamHead},
    },
};
use pestle_gateway::ingest::rules::Sender;
use uuid::Uuid;

use super::{
    bug::Bug,
    deeds::Draft,
    disk::{Disk, OnDisk},
    journal::Journal,
    oracle::fact_id,
    orders::Desk,
    schedule::Deed,
};

/// The wall clock at the beginning: 21 November 2026.
pub(super) const WALL_MS: i64 = 1_795_250_000_000;

/// A box.
pub struct Site {
    /// In which branch it stands.
    pub branch: usize,
    /// Who it is.
    pub sender: Arc<Sender>,
    /// The first epoch that it may open.
    pub first_epoch: u32,
    /// Its key.
    pub signing: Arc<SigningKey>,
    /// Its disk.
    pub disk: Disk,
    /// A copy of the disk that somebody made.
    pub copy: Option<Disk>,
    /// By how much its clock is wrong.
    pub clock_ms: i64,
    /// How often its agent was started.
    pub life: u32,
    /// What runs.
    pub agent: Option<Agent>,
    /// The next sync fails.
    pub sync_fails: bool,
    /// The line is cut.
    pub line_cut: bool,
    /// A person has not switched it off for good.
    pub in_use: bool,
    /// It runs beside the box that it was copied from.
    pub is_clone: bool,
    /// What a person has asked for at a till and was not answered: repeated after a restart.
    pub asked: BTreeMap<usize, (ActId, Deed)>,
}

/// A running agent.
#[derive(Debug)]
pub struct Agent {
    /// Ledger and telemetry.
    pub lanes: [Journal; 2],
    /// The link.
    pub link: Link,
    /// Acts on their way.
    pub hand: Hand,
    /// What the ledger adds up to.
    pub books: Books,
    /// Its connection, and whether that is up.
    pub connection: Option<(u64, bool)>,
    /// Acts that wait for the writer, by lane.
    pub queue: [VecDeque<Waiting>; 2],
    /// Acts whose sync is under way, by lane.
    pub syncing: [Vec<Waiting>; 2],
    /// The centre has said something that this store cannot have: a person has to look.
    pub contradicted: bool,
    /// The centre's orders.
    pub desk: Desk,
    /// What a person should have seen.
    pub alarms: u64,
    /// Answers that could not be believed.
    pub bad_messages: u64,
    /// The last word on each stream whose signature was verified.
    believed: BTreeMap<StreamKey, Acknowledgement>,
}

/// An act on its way to the disk.
#[derive(Debug, Clone)]
pub struct Waiting {
    /// Its number with the oracle.
    pub attempt: usize,
    /// At which till.
    pub till: usize,
    /// What is recorded.
    pub facts: Vec<Fact>,
}

/// The index of a lane.
pub fn lane_index(lane: Lane) -> usize {
    usize::from(lane == Lane::Telemetry)
}

fn key(stream: &Stream) -> StreamKey {
    StreamKey { lane: stream.lane, epoch: stream.epoch }
}

impl std::fmt::Debug for Site {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Site").field("device", &self.sender.device).finish_non_exhaustive()
    }
}

impl Site {
    /// A box with an empty disk, switched off.
    pub fn new(branch: usize, sender: Arc<Sender>, first_epoch: u32, signing: Arc<SigningKey>) -> Self {
        Self {
            branch,
            sender,
            first_epoch,
            signing,
            disk: Disk::default(),
            copy: None,
            clock_ms: 0,
            life: 0,
            agent: None,
            sync_fails: false,
            line_cut: false,
            in_use: true,
            is_clone: false,
            asked: BTreeMap::new(),
        }
    }

    /// Its own clock.
    pub fn wall(&self, now: u64) -> UnixMillis {
        UnixMillis(WALL_MS + i64::try_from(now).unwrap_or(0) + self.clock_ms)
    }

    /// A moment, by its clocks.
    pub fn stamp(&self, now: u64) -> Option<Stamp> {
        let business_date: Day = "2026-11-21".parse().ok()?;
        let boot = format!("boot-{}", self.life).into();
        Some(Stamp { boot, mono_ms: now, wall_ms: self.wall(now), clock: ClockQuality::Free, business_date })
    }

    /// The facts of an act.
    pub fn facts(&self, now: u64, act: ActId, attempt: usize, bodies: Vec<FactBody>) -> Option<Vec<Fact>> {
        let mut parts = 0..;
        let ids = || fact_id(attempt, parts.next().unwrap_or(u32::MAX));
        Some(Act::new(act, &Actor::Machine, &self.stamp(now)?, bodies, ids).facts)
    }

    fn stream(&self, lane: Lane) -> Stream {
        Stream {
            tenant: self.sender.tenant.clone(),
            branch: self.sender.branch.clone(),
            term: self.sender.term,
            device: self.sender.device.clone(),
            lane,
            epoch: self.first_epoch,
        }
    }

    /// Starts the agent: opens the journals, replays the books. New epochs are opened by `begin`, which names their store and
    /// numbers the act.
    pub fn start(&mut self, now: u64, bug: Option<Bug>, mut begin: impl FnMut() -> (StoreId, ActId, usize)) {
        self.life += 1;
        let (wall, stamp) = (self.wall(now), self.stamp(now));
        let lanes = Lane::ALL.map(|lane| {
            let stream = self.stream(lane);
            let (store, act, attempt) = begin();
            let folder = &mut self.disk.lanes[lane_index(lane)];
            if let Some(stamp) = &stamp {
                folder.age = folder.age.at(stamp);
            }
            let (mut journal, new) = Journal::open(folder, &stream, (store, wall), bug);
            if new {
                let manifest = folder.epochs.last().map(|epoch| epoch.manifest.clone());
                let (parent, carried) =
                    manifest.map(|manifest| (manifest.parent, manifest.carried)).unwrap_or_default();
                let opened = EpochOpened { store, parent, carried }.into();
                if let Some(facts) = self.facts(now, act, attempt, vec![opened]) {
                    self.record(lane, &facts, attempt);
                    self.sync(&mut journal, lane, now);
                }
            }
            journal
        });
        let books = self.disk.books(bug == Some(Bug::ReceiptReused));
        self.agent = Some(Agent {
            lanes,
            link: Link::new(),
            hand: Hand::default(),
            books,
            connection: None,
            queue: Default::default(),
            syncing: Default::default(),
            contradicted: false,
            desk: Desk::default(),
            alarms: 0,
            bad_messages: 0,
            believed: BTreeMap::new(),
        });
    }

    /// Writes an act behind what is written; it is not synced.
    pub fn record(&mut self, lane: Lane, facts: &[Fact], attempt: usize) {
        let folder = &mut self.disk.lanes[lane_index(lane)];
        let Some(stream) = folder.epochs.last().map(|epoch| epoch.manifest.stream.clone()) else { return };
        let lines: Vec<Vec<u8>> = facts.iter().filter_map(|fact| fact.to_line().ok()).collect();
        let after = Journal::written(folder).after_all(&stream, lines.iter().map(Vec::as_slice));
        if let Some(act) = OnDisk::new(facts, &lines, &after, attempt) {
            Journal::write(folder, Rc::new(act));
        }
    }

    /// A sync of everything that is written has returned.
    pub fn sync(&mut self, journal: &mut Journal, lane: Lane, now: u64) {
        let wall = self.wall(now);
        let folder = &mut self.disk.lanes[lane_index(lane)];
        let acts =
            folder.epochs.last().and_then(|epoch| epoch.generations.last()).map_or(0, |g| g.acts.len());
        journal.synced(folder, acts, wall);
    }

    /// The power goes; `kept` acts of each lane that were not synced are there all the same.
    pub fn cut(&mut self, kept: usize) {
        self.agent = None;
        self.life += 1;
        for lane in &mut self.disk.lanes {
            if let Some(epoch) = lane.epochs.last_mut() {
                epoch.cut(kept);
            }
        }
    }

    /// Makes acts wait for the writer.
    pub fn ask(&mut self, now: u64, (act, attempt, till): (ActId, usize, usize), draft: Draft, lane: Lane) {
        let Some(facts) = self.facts(now, act, attempt, draft.bodies) else { return };
        if let Some(agent) = &mut self.agent {
            agent.queue[lane_index(lane)].push_back(Waiting { attempt, till, facts });
        }
    }

    /// The writer takes what waits, if no sync is under way. Says whether one begins.
    pub fn write_group(&mut self, lane: Lane) -> bool {
        let index = lane_index(lane);
        let Some(agent) = &mut self.agent else { return false };
        if !agent.syncing[index].is_empty() || agent.queue[index].is_empty() {
            return false;
        }
        let group: Vec<Waiting> = agent.queue[index].drain(..).collect();
        for one in &group {
            self.record(lane, &one.facts, one.attempt);
        }
        if let Some(agent) = &mut self.agent {
            agent.syncing[index] = group;
        }
        true
    }

    /// The sync has returned: who waited is to be told; true for "recorded".
    pub fn group_synced(&mut self, now: u64, lane: Lane) -> (Vec<Waiting>, bool) {
        let index = lane_index(lane);
        let Some(mut agent) = self.agent.take() else { return (Vec::new(), false) };
        let group = std::mem::take(&mut agent.syncing[index]);
        let good = !std::mem::take(&mut self.sync_fails);
        if good {
            self.sync(&mut agent.lanes[index], lane, now);
            for one in group.iter().filter(|_| lane == Lane::Ledger) {
                agent.books.apply(&one.facts, &[]);
            }
        } else {
            Journal::fenced(&mut self.disk.lanes[index]);
        }
        self.agent = Some(agent);
        (group, good)
    }

    /// What the link knows of the journals.
    pub fn known(&self) -> Vec<pestle_agent::relay::link::Known> {
        let Some(agent) = &self.agent else { return Vec::new() };
        let each = Lane::ALL.into_iter().flat_map(|lane| {
            let index = lane_index(lane);
            agent.lanes[index].known(&self.disk.lanes[index], lane)
        });
        each.collect()
    }

    /// What the box states of itself.
    pub fn stated(&self) -> Vec<StreamHead> {
        let Some(agent) = &self.agent else { return Vec::new() };
        let lanes = agent.lanes.iter().zip(&self.disk.lanes);
        lanes
            .flat_map(|(journal, folder)| journal.heads(folder))
            .map(|(stream, head)| StreamHead { stream: stream.clone(), head })
            .collect()
    }

    /// Where the box says that it stands in the log of orders.
    pub fn orders_stated(&self) -> OrderHead {
        self.agent.as_ref().map_or(OrderHead::START, |agent| agent.desk.stated(agent.books.orders()))
    }

    /// Gives the link an event.
    pub fn take(&mut self, now: u64, event: Event, ids: &mut dyn FnMut() -> BatchId) -> Vec<Effect> {
        let Some(agent) = &mut self.agent else { return Vec::new() };
        agent.link.handle(now, event, ids)
    }

    /// A read of the journal has ended.
    pub fn read(&mut self, stream: StreamKey, from: u64) -> Option<Event> {
        let index = lane_index(stream.lane);
        let agent = self.agent.as_mut()?;
        Some(match agent.lanes[index].read(&self.disk.lanes[index], stream.epoch, from) {
            None => Event::Unreadable(stream, format!("facts from {from} on are not there")),
            Some((before, acts)) => Event::Read(stream, agent.hand.take(stream, before, acts)),
        })
    }

    /// The facts of a run as a signed message.
    ///
    /// # Errors
    /// As [`Hand::batch`].
    pub fn batch(&self, stream: StreamKey, run: pestle_agent::relay::lane::Run) -> Result<Vec<u8>, String> {
        let folder = &self.disk.lanes[lane_index(stream.lane)];
        let epoch = folder.epochs.iter().find(|epoch| epoch.manifest.stream.epoch == stream.epoch);
        let (Some(agent), Some(epoch)) = (&self.agent, epoch) else {
            return Err("there is no such stream".to_owned());
        };
        agent.hand.batch((stream, &epoch.manifest.stream), run, &self.signing, &SystemRandom::new())
    }

    /// What the link learns from an answer, as `relay/answers.rs` tells it.
    pub fn heard(
        &mut self,
        answer: Answer,
        centre: &VerifyingKey,
        (now, bug): (u64, Option<Bug>),
    ) -> Option<Event> {
        match answer {
            Answer::Committed(mut ack) => {
                let agent = self.agent.as_mut()?;
                let stream = key(&ack.stream);
                let index = lane_index(stream.lane);
                // The same word over and over is verified once: what a signature says of it does not change.
                if agent.believed.get(&stream) != Some(&ack) {
                    if ack.verify(centre).is_err() {
                        agent.bad_messages += 1;
                        return None;
                    }
                    agent.believed.insert(stream, ack.clone());
                }
                if bug == Some(Bug::EarlyLifeAck)
                    && let Some((_, known)) = agent.lanes[index].standings.get(&stream.epoch)
                {
                    ack.incarnation = ack.incarnation.max(*known);
                }
                let (seq, incarnation) = (ack.head.seq, ack.incarnation);
                let word = agent.lanes[index].acknowledge(&self.disk.lanes[index], &ack, now, bug);
                match &word {
                    Word::Judged(AckVerdict::Committed(head)) => agent.hand.let_go(stream, head.seq),
                    Word::Judged(AckVerdict::Contradicts { .. }) => agent.contradicted = true,
                    _ => {}
                }
                word_of(stream, seq, incarnation, word)
            }
            Answer::Rewind { batch, stream, head } => {
                let known = key(&stream);
                let index = lane_index(stream.lane);
                let folder = &self.disk.lanes[index];
                let agent = self.agent.as_mut()?;
                let same = folder.epochs.iter().any(|epoch| epoch.manifest.stream == stream);
                let own = agent.lanes[index].hash_at(folder, known.epoch, head.seq);
                let ours = same && own == Some(head.hash);
                agent.contradicted |= !ours && agent.link.stream_of(batch).is_some();
                Some(Event::Rewind { stream: known, batch, seq: head.seq, ours })
            }
            Answer::Refused { batch, reason, message, .. } => {
                let agent = self.agent.as_mut()?;
                let own = batch.is_some_and(|batch| agent.link.stream_of(batch).is_some());
                agent.contradicted |= own && reason == RefusalReason::Contradicts;
                Some(Event::Refused { batch, reason, message })
            }
            Answer::Busy { batch, retry_ms, alone } => {
                Some(Event::Busy { retry_ms, alone: alone.then_some(batch) })
            }
        }
    }

    /// Nothing waits, nothing is held, and the link is live.
    pub fn is_at_rest(&self) -> bool {
        let Some(agent) = &self.agent else { return false };
        let idle = agent.queue.iter().all(VecDeque::is_empty) && agent.syncing.iter().all(Vec::is_empty);
        idle && agent.link.waiting() == 0
            && agent.link.phase() == Phase::Live
            && agent.link.detail().is_none()
            && !agent.contradicted
    }

    /// Why it is not at rest, in words.
    pub fn unrest(&self) -> String {
        match &self.agent {
            None => "its agent does not run".to_owned(),
            Some(agent) => format!(
                "{}, {} facts wait, {}",
                agent.link.phase().as_str(),
                agent.link.waiting(),
                agent.link.detail().unwrap_or_else(|| "nothing is held".to_owned())
            ),
        }
    }
}

/// An id whose number says what it is.
pub fn named(kind: u64, number: u64) -> Uuid {
    Uuid::from_u64_pair(kind, number)
}
