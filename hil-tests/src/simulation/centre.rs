//! The centre as its gateways share it: the event store, who is enrolled, and the answers that follow from a transaction.
//! What `ingest/settle.rs` and `ingest/refusal.rs` do around the database is done here around the one in memory.

use std::{collections::BTreeMap, sync::Arc};

use aws_lc_rs::rand::SystemRandom;
use pestle_domain::{
    ids::{BatchId, DeviceId},
    journal::{Acknowledgement, Head, Stream},
    signature::{Hash, SigningKey},
    wire::{
        batch::{Batch, RefusalReason},
        message::{Answer, StreamHead},
    },
};
use pestle_gateway::ingest::{
    Entry, Incoming, Settled,
    plan::{Mode, Outcome},
    rules::{self, Refusal, Sender, Verified},
};

use super::{bug::Bug, memory::Memory};

/// How often a message can have been answered `refused` and not be found in the quarantine: never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    /// Messages that were refused.
    pub refused: i64,
    /// Of them, those of a device that nobody knows: counted, and not kept.
    pub unknown: i64,
}

/// The centre.
pub struct Centre {
    /// The event store.
    pub store: Memory,
    /// Who is enrolled. It is not put back with the database: a box that was enrolled since is enrolled again.
    pub senders: BTreeMap<DeviceId, Arc<Sender>>,
    /// The database cannot be reached.
    pub away: bool,
    /// What was refused in this life of the database.
    pub counted: Counted,
    key: Arc<SigningKey>,
    signed: BTreeMap<Stream, Acknowledgement>,
}

impl std::fmt::Debug for Centre {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Centre").field("store", &self.store).finish_non_exhaustive()
    }
}

/// The batch that a message says it is.
fn named(message: &[u8]) -> Option<BatchId> {
    Batch::parse(message).ok().map(|batch| batch.header.batch)
}

/// A reason as it is written on the wire.
pub fn reason_text(reason: RefusalReason) -> String {
    serde_json::to_value(reason).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

impl Centre {
    /// With an empty database.
    pub fn new(key: Arc<SigningKey>) -> Self {
        Self {
            store: Memory::default(),
            senders: BTreeMap::new(),
            away: false,
            counted: Counted::default(),
            key,
            signed: BTreeMap::new(),
        }
    }

    /// Reads and verifies a message, as `Ingest::read` does.
    pub fn read(&self, one: Incoming) -> Entry {
        if self.away {
            return Entry::Away(one);
        }
        match self.senders.get(&one.device).cloned() {
            None => {
                let message = format!("device {} is not enrolled here: enrol it", one.device);
                let batch = named(&one.message);
                let reason = RefusalReason::NotAllowed;
                Entry::Refused(
                    one,
                    None,
                    Refusal { batch, stream: None, identity: None, reason, message, kept_as: None },
                )
            }
            Some(sender) => match rules::read(&sender, one.lane, one.message.clone()) {
                Ok(batch) => Entry::Batch(sender, Box::new(batch)),
                Err(refusal) => Entry::Refused(one, Some(sender), refusal),
            },
        }
    }

    /// Applies what was read; one each, in order.
    pub fn settle(&mut self, entries: Vec<Entry>, bug: Option<Bug>) -> Vec<Settled> {
        if self.away {
            return entries.into_iter().map(Settled::Away).collect();
        }
        let mut settled: Vec<Option<Settled>> = Vec::with_capacity(entries.len());
        let mut batches = Vec::new();
        for (index, entry) in entries.into_iter().enumerate() {
            settled.push(match entry {
                Entry::Batch(sender, batch) => {
                    batches.push((index, sender, batch));
                    None
                }
                Entry::Refused(incoming, sender, refusal) => {
                    Some(self.refuse(&incoming, sender.as_deref(), refusal, None))
                }
                away @ Entry::Away(_) => Some(Settled::Away(away)),
            });
        }
        batches.sort_by(|(_, _, one), (_, _, other)| {
            (&one.header.stream, one.header.first).cmp(&(&other.header.stream, other.header.first))
        });
        let all: Vec<&Verified> = batches.iter().map(|(_, _, batch)| &**batch).collect();
        let outcomes = match self.store.apply(&all, Mode::Usual, bug) {
            Ok(outcomes) => outcomes.into_iter().map(Some).collect(),
            Err(_) => all.iter().map(|batch| self.alone(batch, bug)).collect::<Vec<_>>(),
        };
        for ((index, sender, batch), outcome) in batches.into_iter().zip(outcomes) {
            let one = match outcome {
                Some(outcome) => self.tell(outcome, sender, batch, bug),
                None => Settled::Stuck(Entry::Batch(sender, batch)),
            };
            if let Some(slot) = settled.get_mut(index) {
                *slot = Some(one);
            }
        }
        settled.into_iter().flatten().collect()
    }

    /// One batch, ever more carefully.
    fn alone(&mut self, batch: &Verified, bug: Option<Bug>) -> Option<Outcome> {
        let mut mode = Mode::Usual;
        loop {
            match self.store.apply(&[batch], mode, bug) {
                Ok(outcomes) => return outcomes.first().copied(),
                Err(_) => mode = mode.more_careful(true)?,
            }
        }
    }

    fn tell(
        &mut self,
        outcome: Outcome,
        sender: Arc<Sender>,
        batch: Box<Verified>,
        bug: Option<Bug>,
    ) -> Settled {
        let stream = &batch.header.stream;
        match outcome {
            Outcome::Committed(head) => match self.acknowledge(stream, head) {
                Some(answer) => Settled::Answered(answer),
                None => Settled::Away(Entry::Batch(sender, batch)),
            },
            Outcome::Gap(_) if bug == Some(Bug::GapApplied) => {
                self.store.force(&batch, true);
                match self.acknowledge(stream, batch.header.after()) {
                    Some(answer) => Settled::Answered(answer),
                    None => Settled::Away(Entry::Batch(sender, batch)),
                }
            }
            Outcome::Gap(head) => Settled::Gap(sender, batch, head),
            Outcome::Contradicts(head) | Outcome::Fenced(head) => {
                let refusal = Refusal::of_history(&batch, matches!(outcome, Outcome::Fenced(_)));
                let lane = Some(batch.header.stream.lane);
                let incoming = Incoming { device: sender.device.clone(), lane, message: batch.message() };
                self.refuse(&incoming, Some(&sender), refusal, Some(head))
            }
        }
    }

    fn refuse(
        &mut self,
        incoming: &Incoming,
        sender: Option<&Sender>,
        refusal: Refusal,
        head: Option<Head>,
    ) -> Settled {
        let word = refusal.word();
        let Refusal { batch, stream, identity, reason, message, .. } = refusal;
        let mut head = head;
        self.counted.refused += 1;
        if sender.is_some() {
            let identity = identity.unwrap_or_else(|| Hash::of(&incoming.message));
            self.store.quarantine(incoming.device.to_string(), &word, identity);
            head = head.or_else(|| Some(self.store.head(stream.as_deref()?)?.head));
        } else {
            self.counted.unknown += 1;
        }
        Settled::Answered(Answer::Refused { batch, reason, message, head })
    }

    /// The centre's signed word; one signature for one head, however often it is told.
    fn acknowledge(&mut self, stream: &Stream, head: Head) -> Option<Answer> {
        let incarnation = self.store.incarnation;
        if let Some(signed) = self.signed.get(stream)
            && signed.head == head
            && signed.incarnation == incarnation
        {
            return Some(Answer::Committed(signed.clone()));
        }
        let signed =
            Acknowledgement::sign(incarnation, stream.clone(), head, &self.key, &SystemRandom::new()).ok()?;
        self.signed.insert(stream.clone(), signed.clone());
        Some(Answer::Committed(signed))
    }

    /// What the centre has committed of each stream that a box states, as `Ingest::heads` tells it. `None` while the
    /// database is away, or for a device that nobody knows.
    pub fn heads(&mut self, device: &DeviceId, stated: &[StreamHead]) -> Option<Vec<Answer>> {
        let sender = self.senders.get(device).cloned().filter(|sender| !sender.revoked && !self.away)?;
        let own = stated.iter().filter(|stated| sender.writes(&stated.stream));
        let answer = |stated: &StreamHead| {
            let head = self.store.head(&stated.stream).map_or(Head::EMPTY, |locked| locked.head);
            self.acknowledge(&stated.stream, head)
        };
        own.map(answer).collect()
    }

    /// Enrols a box: its term is the branch's next, and its first epoch one that the centre knows of nobody.
    pub fn enrol(&mut self, sender: Sender) -> Arc<Sender> {
        let sender = Arc::new(sender);
        self.senders.insert(sender.device.clone(), sender.clone());
        sender
    }

    /// The next term of a branch.
    pub fn next_term(&self, branch: &str) -> u32 {
        let own = self.senders.values().filter(|sender| sender.branch.as_str() == branch);
        own.map(|sender| sender.term).max().unwrap_or(0) + 1
    }
}
