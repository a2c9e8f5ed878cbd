//! What the facts about orders add up to. Derived: the counter's books hold it, and rebuild it from the journal.

use std::collections::{BTreeMap, VecDeque};

use pestle_domain::{
    catalogue::Recall,
    fact::{FactBody, OrderApplied, OrderRefused},
    ids::OrderId,
    order::{Order, OrderBody, OrderHead, OrderHow},
    units::UnixMillis,
};
use serde::{Deserialize, Serialize};

/// Heads that are remembered: a centre that was restored joins at one of them. A busy branch's orders of some weeks, which
/// is longer than the centre's recovery window.
const HEADS_MAX: usize = 4_096;
/// Orders that are remembered as done, one by one; some years' worth. Older ones are known by their date alone.
const KNOWN_MAX: usize = 50_000;
/// How many are forgotten at a time.
const FORGOTTEN_AT_ONCE: usize = 1_000;
/// Refused orders that wait for a later version. More of them means that nobody looks at the centre's alarms.
const REFUSED_MAX: usize = 1_000;

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderBook {
    head: OrderHead,
    /// The oldest first; those that a restored centre has abandoned among them.
    heads: VecDeque<OrderHead>,
    /// Orders that were carried out, with the moment at which the centre wrote them.
    known: BTreeMap<OrderId, UnixMillis>,
    /// Orders that the centre wrote up to then may be known and forgotten.
    forgotten_until: Option<UnixMillis>,
    refused: BTreeMap<OrderId, Refused>,
    recalls: Vec<RecallChange>,
    snapshot_wanted: u64,
    /// Refused orders that are not waited with any more, because too many wait.
    #[serde(default)]
    given_up: u64,
}

/// An order that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Its place in the log.
    pub at: OrderHead,
    /// Why; see the fact.
    pub reason: Box<str>,
    /// The agent's version that refused it.
    pub agent: Box<str>,
    /// As the centre wrote it.
    pub line: Box<str>,
}

/// What an order did to the recalls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct RecallChange {
    order: OrderId,
    /// Its place in the log; no snapshot before it has it.
    at: OrderHead,
    /// The centre was restored to a moment before this order, and has not sent it again: no snapshot has it.
    abandoned: bool,
    lifted: bool,
    recall: Recall,
}

/// Whether a snapshot has what an order did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contained {
    Yes,
    No,
    Unknown,
}

impl Default for OrderBook {
    fn default() -> Self {
        Self {
            head: OrderHead::START,
            heads: VecDeque::new(),
            known: BTreeMap::new(),
            forgotten_until: None,
            refused: BTreeMap::new(),
            recalls: Vec::new(),
            snapshot_wanted: 0,
            given_up: 0,
        }
    }
}

impl OrderBook {
    /// The last order that was judged.
    pub fn head(&self) -> OrderHead {
        self.head
    }

    /// Whether the branch's log stood here once, as far as that is remembered. Every log began empty.
    pub fn had(&self, seq: u64, hash: &pestle_domain::signature::Hash) -> bool {
        OrderHead::START.is_at(seq, hash) || self.heads.iter().any(|head| head.is_at(seq, hash))
    }

    /// Whether this place lies before everything that is remembered, in a life of the centre's database that is known here: as it does for
    /// a box that took the log up behind it. Nobody here can say whether the branch's log stood there.
    pub fn is_before_memory(&self, place: &OrderHead) -> bool {
        let oldest = self.heads.front();
        place.incarnation <= self.head.incarnation && oldest.is_some_and(|oldest| place.seq < oldest.seq)
    }

    /// The head at a number in one life of the centre's database, as far as it is remembered.
    pub fn head_at(&self, incarnation: u64, seq: u64) -> Option<OrderHead> {
        self.heads.iter().rev().find(|head| head.incarnation == incarnation && head.seq == seq).copied()
    }

    /// Whether an order was carried out.
    pub fn knows(&self, order: OrderId) -> bool {
        self.known.contains_key(&order)
    }

    /// Whether an order that the centre wrote then may have been carried out, and nobody remembers.
    pub fn may_have_forgotten(&self, issued_at: UnixMillis) -> bool {
        self.forgotten_until.is_some_and(|until| issued_at <= until)
    }

    /// Orders that were refused and not carried out since.
    pub fn refused(&self) -> impl Iterator<Item = (OrderId, &Refused)> {
        self.refused.iter().map(|(id, refused)| (*id, refused))
    }

    /// Refused orders that no later version tries again: the centre has to order them anew.
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    /// Orders point to this version of the snapshot, or a later one; 0 for none.
    pub fn snapshot_wanted(&self) -> u64 {
        self.snapshot_wanted
    }

    /// Books one fact; those that are none of orders' do nothing.
    pub fn apply(&mut self, body: &FactBody) {
        match body {
            FactBody::OrdersJoined(joined) => self.advance(joined.at),
            FactBody::OrderApplied(applied) => self.apply_applied(applied),
            FactBody::OrderRefused(refused) => self.apply_refused(refused),
            _ => {}
        }
    }

    /// Books an order that was carried out before what is known here: it is not done again, and the log stands where it stands.
    pub fn apply_earlier(&mut self, applied: &OrderApplied) {
        if applied.how == OrderHow::Known || self.knows(applied.order) {
            return;
        }
        let (head, heads, recalls) = (self.head, self.heads.clone(), std::mem::take(&mut self.recalls));
        self.apply_applied(applied);
        let earlier = std::mem::replace(&mut self.recalls, recalls);
        (self.head, self.heads) = (head, heads);
        // What a later order said of the same packs holds.
        let new =
            |change: &RecallChange| !self.recalls.iter().any(|known| same(&known.recall, &change.recall));
        let new: Vec<RecallChange> = earlier.into_iter().filter(new).collect();
        self.recalls.splice(..0, new);
    }

    fn apply_applied(&mut self, applied: &OrderApplied) {
        let OrderApplied { at, order, how, line, .. } = applied;
        if *how != OrderHow::Retried {
            self.advance(*at);
        }
        self.refused.remove(order);
        if *how == OrderHow::Known {
            for change in self.recalls.iter_mut().filter(|change| change.order == *order) {
                (change.at, change.abandoned) = (*at, false);
            }
            return;
        }
        // It was read when it was carried out.
        let Ok(Some(read)) = Order::from_line(line.as_bytes()) else { return };
        self.remember(*order, read.issued_at);
        self.snapshot_wanted = self.snapshot_wanted.max(read.body.snapshot().unwrap_or(0));
        let (lifted, recall) = match read.body {
            OrderBody::RecallIssued(issued) => (false, issued.into()),
            OrderBody::RecallLifted(lifted) => {
                let pestle_domain::order::RecallLifted { reference, product, lot, reason } = lifted;
                let issued = pestle_domain::units::Day(time::Date::MIN);
                (true, Recall { reference, product, lot, reason, issued })
            }
            _ => return,
        };
        self.recalls.retain(|earlier| !same(&earlier.recall, &recall));
        self.recalls.push(RecallChange { order: *order, at: *at, abandoned: false, lifted, recall });
    }

    fn apply_refused(&mut self, refused: &OrderRefused) {
        let OrderRefused { at, order, reason, agent, line, .. } = refused.clone();
        self.advance(at);
        if let Some(order) = order {
            self.refused.insert(order, Refused { at, reason, agent, line });
        }
        while self.refused.len() > REFUSED_MAX {
            let oldest =
                self.refused.iter().min_by_key(|(_, refused)| refused.at.seq).map(|(order, _)| *order);
            oldest.and_then(|order| self.refused.remove(&order));
            self.given_up += 1;
        }
    }

    /// The log goes on at `at`: right behind the head, or behind an earlier one that a restored centre joined at.
    fn advance(&mut self, at: OrderHead) {
        if at.seq <= self.head.seq {
            for change in self.recalls.iter_mut().filter(|change| change.at.seq >= at.seq) {
                change.abandoned = true;
            }
        }
        self.head = at;
        self.heads.push_back(at);
        if self.heads.len() > HEADS_MAX {
            self.heads.pop_front();
        }
    }

    fn remember(&mut self, order: OrderId, issued_at: UnixMillis) {
        self.known.insert(order, issued_at);
        if self.known.len() < KNOWN_MAX + FORGOTTEN_AT_ONCE {
            return;
        }
        let mut by_age: Vec<(UnixMillis, OrderId)> = self.known.iter().map(|(id, at)| (*at, *id)).collect();
        by_age.sort_unstable();
        for (at, id) in by_age.into_iter().take(FORGOTTEN_AT_ONCE) {
            self.known.remove(&id);
            self.forgotten_until = self.forgotten_until.max(Some(at));
        }
    }

    /// The recalls in force: those of a snapshot that states `position`, changed by the orders that it does not have.
    /// In doubt a pack is recalled.
    pub fn recalls_with(&self, snapshot: Vec<Recall>, position: Option<OrderHead>) -> Vec<Recall> {
        let mut recalls = snapshot;
        for change in &self.recalls {
            match (self.contained(change, position), change.lifted) {
                (Contained::Yes, _) | (Contained::Unknown, true) => {}
                (Contained::No, true) => recalls.retain(|recall| !same(recall, &change.recall)),
                (Contained::No | Contained::Unknown, false) => {
                    if !recalls.iter().any(|recall| same(recall, &change.recall)) {
                        recalls.push(change.recall.clone());
                    }
                }
            }
        }
        recalls
    }

    /// Whether orders changed the recalls at all.
    pub fn changes_recalls(&self) -> bool {
        !self.recalls.is_empty()
    }

    fn contained(&self, change: &RecallChange, position: Option<OrderHead>) -> Contained {
        let Some(position) = position.filter(|_| !change.abandoned) else { return Contained::No };
        if position.seq < change.at.seq || position.incarnation < change.at.incarnation {
            return Contained::No;
        }
        // A later life of the centre may have lost this order: only a place that this box has been at tells.
        let one_history =
            position.incarnation == change.at.incarnation || self.had(position.seq, &position.hash);
        if one_history { Contained::Yes } else { Contained::Unknown }
    }
}

/// Whether two speak of the same recall.
fn same(one: &Recall, other: &Recall) -> bool {
    one.reference == other.reference && one.product == other.product && one.lot == other.lot
}
