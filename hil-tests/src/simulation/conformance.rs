//! One suite for every event store: the same history, the same answers, the same state at the end. The histories are what the
//! gateways of simulated lives asked of the store in memory; another store is asked the same.

use std::{collections::BTreeMap, sync::Arc};

use pestle_domain::{
    journal::{Head, Stream},
    signature::SigningKey,
    wire::{batch::RefusalReason, message::Answer},
};
use pestle_gateway::ingest::{
    Entry, Incoming, Settled,
    rules::{Sender, describe},
};

use super::{centre::Centre, memory::Memory};

/// What was asked of a store.
#[derive(Debug, Clone)]
pub enum Asked {
    /// A box was enrolled.
    Enrol(Arc<Sender>),
    /// Messages were settled together.
    Settle(Vec<Incoming>),
}

/// What a store said to one message, without what is drawn anew each time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Committed up to a head.
    Committed(u64, Stream, Head),
    /// What lies before it is missing.
    Gap(Head),
    /// Not taken.
    Refused(RefusalReason, Option<Head>),
    /// Not now.
    Busy,
}

impl From<&Settled> for Said {
    fn from(settled: &Settled) -> Self {
        match settled {
            Settled::Answered(Answer::Committed(ack)) => {
                Self::Committed(ack.incarnation, ack.stream.clone(), ack.head)
            }
            Settled::Answered(Answer::Refused { reason, head, .. }) => Self::Refused(*reason, *head),
            Settled::Answered(Answer::Rewind { head, .. }) | Settled::Gap(_, _, head) => Self::Gap(*head),
            Settled::Answered(Answer::Busy { .. }) | Settled::Away(_) | Settled::Stuck(_) => Self::Busy,
        }
    }
}

/// A session's float, receipts, payments in and out, sales, late movements, and count.
pub type SessionSums = (Option<i64>, i64, i64, i64, i64, i64, Option<i64>);

/// What is in a store, in words and numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// By stream.
    pub heads: BTreeMap<String, (i64, String)>,
    /// By stream and number: the fact's id, the chain's value, and whether it is a duplicate.
    pub facts: BTreeMap<(String, i64), (String, String, bool)>,
    /// By device, reason and identity: how often.
    pub quarantine: BTreeMap<(String, String, String), i64>,
    /// By branch, article and lot.
    pub stock: BTreeMap<(String, String, String), i64>,
    /// By branch and session.
    pub sessions: BTreeMap<(String, String), SessionSums>,
    /// By branch and day: sales and pence.
    pub days: BTreeMap<(String, String), (i64, i64)>,
}

/// An event store, as far as gateways know it.
pub trait EventStore {
    /// Enrols a box.
    fn enrol(&mut self, sender: &Arc<Sender>);
    /// Settles messages in one go; one word each, in order.
    fn settle(&mut self, messages: Vec<Incoming>) -> Vec<Said>;
    /// What is in it.
    fn state(&mut self) -> State;
}

/// Asks a store everything of a history: its words, and its state at the end.
pub fn ask(history: &[Asked], store: &mut dyn EventStore) -> (Vec<Vec<Said>>, State) {
    let mut words = Vec::new();
    for asked in history {
        match asked {
            Asked::Enrol(sender) => store.enrol(sender),
            Asked::Settle(messages) => words.push(store.settle(messages.clone())),
        }
    }
    (words, store.state())
}

/// The one in memory.
#[derive(Debug)]
pub struct InMemory(Centre);

impl InMemory {
    /// An empty one, which signs with `key`.
    pub fn new(key: Arc<SigningKey>) -> Self {
        Self(Centre::new(key))
    }
}

impl EventStore for InMemory {
    fn enrol(&mut self, sender: &Arc<Sender>) {
        self.0.senders.insert(sender.device.clone(), sender.clone());
    }

    fn settle(&mut self, messages: Vec<Incoming>) -> Vec<Said> {
        let entries: Vec<Entry> = messages.into_iter().map(|message| self.0.read(message)).collect();
        self.0.settle(entries, None).iter().map(Said::from).collect()
    }

    fn state(&mut self) -> State {
        state_of(&self.0.store)
    }
}

fn state_of(store: &Memory) -> State {
    let number = |seq: u64| i64::try_from(seq).unwrap_or(i64::MAX);
    let mut state = State::default();
    for row in &store.streams {
        let name = describe(&row.stream);
        state.heads.insert(name.clone(), (number(row.head.seq), row.head.hash.to_string()));
        for slot in &row.slots {
            let fact = (slot.fact.to_string(), slot.hash.to_string(), slot.duplicate);
            state.facts.insert((name.clone(), number(slot.seq)), fact);
        }
    }
    for ((device, reason, identity), times) in &store.quarantine {
        state.quarantine.insert((device.clone(), reason.clone(), hex::encode(identity)), *times);
    }
    state.stock.clone_from(&store.balances);
    for ((branch, session), sums) in &store.sessions {
        let sums =
            (sums.float, sums.received, sums.paid_in, sums.paid_out, sums.sales, sums.late, sums.counted);
        state.sessions.insert((branch.clone(), session.to_string()), sums);
    }
    state.days.clone_from(&store.days);
    state
}
