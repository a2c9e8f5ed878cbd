//! One suite for every event store: the same history, the same answers, the same state at the end. The histories are what the
//! gateways of simulated lives asked of the store in memory; another store is asked the same.

use std::{collections::BTreeMap, sync::Arc};

use pestle_domain::{
    ids::{DeviceId, OrderId},
    journal::{Head, Stream},
    order::{Order, OrderHead, OrderLog, StockAdjust},
    signature::SigningKey,
    units::{Quantity, UnixMillis},
    wire::{batch::RefusalReason, message::Answer, orders::Orders},
};
use pestle_gateway::ingest::{
    Entry, Incoming, Settled,
    rules::{Sender, describe},
};

use super::{centre::Centre, memory::Memory, site::named};

/// Most orders that the real centre puts into one message (`orders/answer.rs`).
const ORDERS_MAX: usize = 200;

/// What was asked of a store.
#[derive(Debug, Clone)]
pub enum Asked {
    /// A box was enrolled.
    Enrol(Arc<Sender>),
    /// Messages were settled together.
    Settle(Vec<Incoming>),
    /// A person ordered something in a branch.
    Issue(OrderLog, Box<Order>),
    /// A box said where it stands in its branch's log of orders.
    Heads(DeviceId, OrderHead),
    /// The database was put back, and had all that it had before: what is written from now on is of its next life.
    NewLife,
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
    /// To a box that said where it stands: the orders behind a head, each with the head after it, byte for byte; none for a place alone.
    Orders(OrderHead, Vec<(OrderHead, Box<str>)>),
    /// To such a box: what no box can read.
    BadOrders(String),
    /// To such a box: it lacks nothing.
    NoOrders,
}

impl Said {
    /// What a message with orders says, if there is one.
    pub fn of_orders(message: Option<&[u8]>) -> Self {
        let Some(message) = message else { return Self::NoOrders };
        let key = super::world::centre_key();
        match Orders::parse(message).and_then(|orders| orders.verify(key.public())) {
            Ok(came) => Self::Orders(came.before, came.orders),
            Err(error) => Self::BadOrders(error.to_string()),
        }
    }
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
    /// The logs of orders, by branch and number.
    pub orders: BTreeMap<(String, i64), OrderRow>,
}

/// A place in a log of orders, and what became of the order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderRow {
    /// In which life of the database it was written.
    pub incarnation: i64,
    /// The chain's value.
    pub hash: String,
    /// Which order.
    pub order: String,
    /// Whether the branch has judged it.
    pub settled: bool,
    /// `applied` or `refused`; empty for neither.
    pub state: String,
    /// How often it was carried out.
    pub done: i32,
}

/// An event store, as far as gateways know it.
pub trait EventStore {
    /// Enrols a box.
    fn enrol(&mut self, sender: &Arc<Sender>);
    /// Settles messages in one go; one word each, in order.
    fn settle(&mut self, messages: Vec<Incoming>) -> Vec<Said>;
    /// Writes an order into a branch's log.
    fn issue(&mut self, log: &OrderLog, order: &Order);
    /// The orders that a box is sent which says where it stands.
    fn orders(&mut self, device: &DeviceId, stated: OrderHead) -> Said;
    /// Begins its next life, with all that it has.
    fn new_life(&mut self);
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
            Asked::Issue(log, order) => store.issue(log, order),
            Asked::Heads(device, stated) => words.push(vec![store.orders(device, *stated)]),
            Asked::NewLife => store.new_life(),
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

    fn issue(&mut self, log: &OrderLog, order: &Order) {
        self.0.issue(log, order);
    }

    fn orders(&mut self, device: &DeviceId, stated: OrderHead) -> Said {
        Said::of_orders(self.0.orders_behind(device, stated, ORDERS_MAX).as_deref())
    }

    fn new_life(&mut self) {
        self.0.store.incarnation += 1;
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
    state.orders = store.orders.rows();
    state
}

/// Questions for the end of a history: logs of further lives of the database, one of `bulk` orders, and then what every
/// box would be sent, wherever it says that it stands: at a place of any branch's log, at one that was lost with a restore, at none.
pub fn last_questions(centre: &mut Centre, bulk: u64) -> Vec<Asked> {
    let mut asked = Vec::new();
    let devices: Vec<DeviceId> = centre.senders.keys().cloned().collect();
    let log_of =
        |sender: &Arc<Sender>| OrderLog { tenant: sender.tenant.clone(), branch: sender.branch.clone() };
    let logs: BTreeMap<String, OrderLog> =
        centre.senders.values().map(|sender| (sender.branch.to_string(), log_of(sender))).collect();
    let mut number = 0;
    for many in [2, bulk, 1] {
        asked.push(Asked::NewLife);
        centre.store.incarnation += 1;
        for log in logs.values() {
            for _ in 0..many {
                number += 1;
                let Ok(product) = "p-1".parse() else { continue };
                let body = StockAdjust { product, lot: None, delta: Quantity(1), reason: "counted".into() };
                let id = OrderId(named(9, number));
                let order =
                    Order { id, issued_at: UnixMillis(1_000), by: "office".into(), body: body.into() };
                centre.issue(log, &order);
                asked.push(Asked::Issue(log.clone(), Box::new(order)));
            }
        }
    }
    let mut heads = vec![OrderHead::START];
    for log in logs.keys() {
        let all: Vec<OrderHead> = centre.store.orders.heads(log).collect();
        // Of a long log its ends are asked.
        let ends = all.iter().enumerate().filter(|(at, _)| *at < 8 || at + 8 > all.len());
        for (_, head) in ends {
            let mut lost = *head;
            lost.hash.0[0] ^= 1;
            heads.extend([*head, lost]);
        }
    }
    for device in devices {
        asked.extend(heads.iter().map(|head| Asked::Heads(device.clone(), *head)));
    }
    asked
}
