//! A gateway process: it gathers deliveries into groups, settles each group in one transaction, parks what lies behind a gap,
//! answers, and only then is done with a message. What `ingest/worker.rs` does with tasks and time-outs.

use std::collections::BTreeMap;

use pestle_domain::{
    ids::DeviceId,
    order::OrderHead,
    wire::message::{Answer, StreamHead},
};
use pestle_gateway::ingest::{
    BUSY_RETRY_MS, Entry, Incoming, STUCK_RETRY_MS, Settled, not_now, rules::Verified,
};

use super::{
    broker::{Message, Said},
    bug::Bug,
    conformance::Asked,
    orders::ORDERS_MAX,
    world::{Happening, World},
};

/// How long a batch behind a gap waits for what another gateway may be committing.
const PARK_MS: u64 = 250;

/// What the next commit does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NextCommit {
    /// It is done.
    #[default]
    Good,
    /// It is not done.
    Fails,
    /// It is done, and nobody hears of it.
    Unheard,
}

/// A gateway.
#[derive(Debug, Default)]
pub struct Gateway {
    /// It runs.
    pub up: bool,
    /// How often it was started.
    pub life: u32,
    /// A group is being read or committed.
    pub busy: bool,
    /// Groups in a row that found the database away.
    pub outage: u32,
    inbox: Vec<(u64, Message)>,
    parked: Vec<(u64, u64, DeviceId, Entry)>,
    group: Vec<(u64, DeviceId, Option<u64>, Work)>,
}

/// A part of a group.
#[derive(Debug)]
enum Work {
    Batch(Box<Entry>),
    Heads(Vec<StreamHead>, OrderHead),
}

impl Gateway {
    /// Killed: what was in memory is gone.
    pub fn die(&mut self) {
        *self = Self { life: self.life + 1, ..Self::default() };
    }
}

impl World {
    /// A delivery has reached a gateway.
    pub(super) fn at_gateway(&mut self, gateway: usize, life: u32, number: u64, mut message: Message) {
        let own = &mut self.gateways[gateway];
        if !own.up || own.life != life {
            return;
        }
        if let Said::Facts(_, bytes) = &mut message.said
            && std::mem::take(&mut self.garble)
        {
            let mut changed = bytes.to_vec();
            let at = changed.len() / 2;
            changed[at] ^= 1;
            *bytes = changed.into();
        }
        self.gateways[gateway].inbox.push((number, message));
        self.gather_soon(gateway, 1);
    }

    fn gather_soon(&mut self, gateway: usize, after: u64) {
        let life = self.gateways[gateway].life;
        self.events.after(after, Happening::Gather { gateway, life });
    }

    /// What has arrived becomes a group: read and verified now, committed a little later.
    pub(super) fn gather(&mut self, gateway: usize, life: u32) {
        let now = self.events.now();
        let own = &mut self.gateways[gateway];
        let due = !own.inbox.is_empty() || own.parked.iter().any(|(until, ..)| *until <= now);
        if own.life != life || own.busy || !due {
            return;
        }
        own.busy = true;
        let parked = std::mem::take(&mut own.parked);
        let inbox = std::mem::take(&mut own.inbox);
        let mut group: Vec<_> = parked
            .into_iter()
            .map(|(until, number, device, entry)| (number, device, Some(until), Work::Batch(Box::new(entry))))
            .collect();
        for (number, Message { device, said }) in inbox {
            let work = match said {
                Said::Heads(stated, orders) => Work::Heads(stated, orders),
                Said::Facts(lane, message) => {
                    let incoming = Incoming { device: device.clone(), lane: Some(lane), message };
                    Work::Batch(Box::new(self.centre.read(incoming)))
                }
            };
            group.push((number, device, None, work));
        }
        self.gateways[gateway].group = group;
        let after = self.roll(6).between(1, 60);
        self.events.after(after, Happening::Commit { gateway, life });
    }

    /// The group's transaction commits, or not; everything in it is answered, or parked.
    pub(super) fn commit(&mut self, gateway: usize, life: u32) -> Result<(), String> {
        let own = &mut self.gateways[gateway];
        if !own.up || own.life != life {
            return Ok(());
        }
        own.busy = false;
        let group = std::mem::take(&mut own.group);
        let (mut places, mut entries, mut stated) = (Vec::new(), Vec::new(), Vec::new());
        for (number, device, until, work) in group {
            match work {
                Work::Heads(heads, orders) => stated.push((number, device, heads, orders)),
                Work::Batch(entry) => {
                    places.push((number, device, until));
                    entries.push(*entry);
                }
            }
        }
        for (number, device, heads, orders) in stated {
            for word in self.centre.heads(&device, &heads).unwrap_or_default() {
                self.say(&device, &word)?;
            }
            if let Some(history) = &mut self.history
                && !self.centre.away
            {
                history.push(Asked::Heads(device.clone(), orders));
            }
            if let Some(message) = self.centre.orders_behind(&device, orders, ORDERS_MAX) {
                self.tell(|| format!("the centre sends {device} orders"));
                self.send_orders(&device, &message);
            }
            self.broker.unacknowledged[gateway].remove(&number);
        }
        if !entries.is_empty() {
            self.settle(gateway, places, entries)?;
        }
        if !self.gateways[gateway].inbox.is_empty() {
            self.gather_soon(gateway, 0);
        }
        Ok(())
    }

    fn settle(
        &mut self,
        gateway: usize,
        places: Vec<(u64, DeviceId, Option<u64>)>,
        entries: Vec<Entry>,
    ) -> Result<(), String> {
        let count = entries.len();
        let settled = self.transact(gateway, entries);
        if settled.len() != count {
            return Err(format!("of {count} messages, {} were settled", settled.len()));
        }
        let now = self.events.now();
        let mut told: BTreeMap<DeviceId, Answer> = BTreeMap::new();
        let mut away = 0;
        for ((number, device, until), settled) in places.into_iter().zip(settled) {
            let word = match settled {
                Settled::Gap(sender, batch, head) => {
                    let deadline = until.unwrap_or(now + PARK_MS);
                    if deadline > now {
                        let entry = Entry::Batch(sender, batch);
                        self.gateways[gateway].parked.push((deadline, number, device, entry));
                        self.gather_soon(gateway, deadline - now);
                        continue;
                    }
                    let (batch, stream) = (batch.header.batch, batch.header.stream.clone());
                    Answer::Rewind { batch, stream, head }
                }
                Settled::Away(entry) => {
                    away += 1;
                    let retry_ms = BUSY_RETRY_MS << self.gateways[gateway].outage.min(4);
                    not_now(&entry, retry_ms.min(30_000), false)
                }
                Settled::Stuck(entry) => not_now(&entry, STUCK_RETRY_MS, true),
                Settled::Answered(word) => word,
            };
            if told.get(&device) != Some(&word) {
                self.say(&device, &word)?;
                told.insert(device, word);
            }
            self.broker.unacknowledged[gateway].remove(&number);
        }
        let outage = &mut self.gateways[gateway].outage;
        *outage = if away == 0 { 0 } else { *outage + 1 };
        Ok(())
    }

    fn transact(&mut self, gateway: usize, entries: Vec<Entry>) -> Vec<Settled> {
        let bug = self.bug;
        if self.next_commit != NextCommit::Fails && !self.centre.away {
            self.note_asked(&entries);
        }
        if bug == Some(Bug::StockTwice) && gateway == 1 {
            for batch in entries.iter().filter_map(batch_of) {
                let head = self.centre.store.head(&batch.header.stream);
                if head.is_some_and(|known| batch.header.after().seq <= known.head.seq) {
                    self.centre.store.fold_again(batch);
                }
            }
        }
        match std::mem::take(&mut self.next_commit) {
            NextCommit::Good => self.centre.settle(entries, bug),
            NextCommit::Unheard => {
                let again: Vec<Entry> = entries.iter().map(copy).collect();
                self.centre.settle(entries, bug);
                again.into_iter().map(Settled::Away).collect()
            }
            NextCommit::Fails => {
                let joined = |store: &super::memory::Memory, batch: &Verified| {
                    let head = store.head(&batch.header.stream);
                    head.is_some_and(|known| known.head == batch.header.before())
                };
                let batches = entries.iter().filter_map(batch_of);
                match bug {
                    Some(Bug::AckBeforeCommit) => {
                        let before = self.centre.store.clone();
                        let counted = self.centre.counted;
                        let settled = self.centre.settle(entries, None);
                        (self.centre.store, self.centre.counted) = (before, counted);
                        return settled;
                    }
                    Some(Bug::HeadWithoutFacts) => {
                        for batch in batches {
                            if joined(&self.centre.store, batch) {
                                self.centre.store.force(batch, false);
                            }
                        }
                    }
                    Some(Bug::ActTorn) => {
                        for batch in batches {
                            self.centre.store.tear(batch, batch.facts.len().saturating_sub(1));
                        }
                    }
                    _ => {}
                }
                entries.into_iter().map(Settled::Away).collect()
            }
        }
    }

    /// Notes what is asked of the store, for the suite that asks another one the same.
    fn note_asked(&mut self, entries: &[Entry]) {
        let Some(history) = &mut self.history else { return };
        let messages = entries.iter().filter_map(|entry| match copy(entry) {
            Entry::Away(_) if matches!(entry, Entry::Away(_)) => None,
            Entry::Away(incoming) => Some(incoming),
            _ => None,
        });
        let messages: Vec<Incoming> = messages.collect();
        if !messages.is_empty() {
            history.push(Asked::Settle(messages));
        }
    }

    /// Answers a box. Whatever is acknowledged is committed.
    fn say(&mut self, device: &DeviceId, word: &Answer) -> Result<(), String> {
        if let Answer::Committed(ack) = word
            && ack.incarnation == self.centre.store.incarnation
            && ack.head.seq > 0
        {
            let row = self.centre.store.row(&ack.stream);
            if row.and_then(|row| row.at(ack.head.seq)).is_none_or(|slot| slot.hash != ack.head.hash) {
                let name = pestle_gateway::ingest::rules::describe(&ack.stream);
                return Err(format!("{name}: fact {} is acknowledged and not committed", ack.head.seq));
            }
        }
        self.tell(|| format!("the centre answers {device}: {}", super::report::word(word)));
        self.answer(device, word);
        Ok(())
    }
}

fn batch_of(entry: &Entry) -> Option<&Verified> {
    match entry {
        Entry::Batch(_, batch) => Some(batch),
        _ => None,
    }
}

/// An entry once more: a batch is read again from its message.
fn copy(entry: &Entry) -> Entry {
    match entry {
        Entry::Batch(sender, batch) => {
            let lane = Some(batch.header.stream.lane);
            Entry::Away(Incoming { device: sender.device.clone(), lane, message: batch.message() })
        }
        Entry::Refused(incoming, ..) | Entry::Away(incoming) => Entry::Away(incoming.clone()),
    }
}
