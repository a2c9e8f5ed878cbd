//! The second log in the simulated world: a person at the centre orders something, a box that states where it stands is sent what
//! lies behind, and carries it out one by one, each as an act of its ledger. Messages travel in their real bytes.
//!
//! What a box makes of them is the product's own rule; what the centre's log is to be asked is done here in memory as
//! `orders/answer.rs` does it in SQL.

use std::collections::{BTreeMap, VecDeque};

use aws_lc_rs::rand::SystemRandom;
use bytes::Bytes;
use pestle_agent::orders::{
    book::OrderBook,
    decide::{act_of, decide},
    inbox::{Verdict, judge},
};
use pestle_domain::{
    fact::{FactBody, OrdersJoined},
    ids::{ActId, DeviceId, OrderId, ProductId},
    order::{Order, OrderHead, OrderLog, StockAdjust},
    units::Quantity,
    wire::orders::{Orders, Span, build},
};
use pestle_gateway::{ingest::rules::Sender, orders::book::Outcomes};

use super::{
    bug::Bug,
    centre::Centre,
    conformance::{Asked, OrderRow},
    deeds::{Draft, Effect, PRODUCTS},
    site::named,
    world::{World, branch_name, centre_key},
};

/// Most orders in one message: few, so that a box has to ask again.
pub(super) const ORDERS_MAX: usize = 2;
/// No person stands at this till.
const NO_TILL: usize = usize::MAX;

/// The centre's logs, and what it heard of them.
#[derive(Debug, Clone, Default)]
pub struct OrderLogs {
    branches: BTreeMap<String, Vec<Logged>>,
    /// By branch and order.
    outcomes: BTreeMap<(String, OrderId), Judged>,
}

/// An order in its place.
#[derive(Debug, Clone)]
struct Logged {
    at: OrderHead,
    order: OrderId,
    line: Box<str>,
}

/// What a branch made of an order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Judged {
    applied: bool,
    done: i32,
}

/// A run of orders, or the place at which a new box takes up the log.
type Behind<'a> = (OrderHead, OrderHead, Vec<&'a Logged>);

impl OrderLogs {
    fn of(&self, branch: &str) -> &[Logged] {
        self.branches.get(branch).map_or(&[], Vec::as_slice)
    }

    fn write(&mut self, log: &OrderLog, incarnation: u64, order: OrderId, line: Box<str>) {
        let logged = self.branches.entry(log.branch.to_string()).or_default();
        let before = logged.last().map_or(OrderHead::START, |last| last.at);
        let at = before.after(log, incarnation, line.as_bytes());
        logged.push(Logged { at, order, line });
    }

    /// What facts say of orders.
    pub fn fold<'a>(&mut self, facts: impl Iterator<Item = (&'a str, &'a FactBody)>) {
        let mut outcomes = Outcomes::default();
        facts.for_each(|(branch, body)| outcomes.add(branch, body));
        for ((branch, _), outcome) in outcomes.judged {
            let Some(order) = outcome.order else { continue };
            let judged = self.outcomes.entry((branch.to_owned(), order)).or_default();
            judged.applied |= outcome.state == "applied";
            judged.done += outcome.done;
        }
    }

    /// What a box lacks that stands at `stated`; `None` for nothing.
    fn behind(&self, branch: &str, stated: OrderHead, most: usize) -> Option<Behind<'_>> {
        let log = self.of(branch);
        let is_open = |logged: &&Logged| !self.outcomes.contains_key(&(branch.to_owned(), logged.order));
        if stated == OrderHead::START {
            // Nothing of these orders stands in a snapshot: what somebody has judged is passed over.
            let open = log.iter().find(is_open).map(|logged| logged.at.seq);
            if open == Some(1) {
                return self.run(branch, 1, most);
            }
            let place = log.iter().rev().find(|logged| open.is_none_or(|open| logged.at.seq < open))?;
            return Some((place.at, place.at, Vec::new()));
        }
        let known = log.iter().any(|logged| logged.at.is_at(stated.seq, &stated.hash));
        let later = || log.iter().find(|logged| logged.at.incarnation > stated.incarnation);
        let first = if known { stated.seq + 1 } else { later()?.at.seq };
        self.run(branch, first, most)
    }

    /// The orders from number `first` on that were written in one life of the database, `most` of them.
    fn run(&self, branch: &str, first: u64, most: usize) -> Option<Behind<'_>> {
        let log = self.of(branch);
        let from = log.iter().position(|logged| logged.at.seq == first)?;
        let before = from.checked_sub(1).map_or(OrderHead::START, |before| log[before].at);
        let life = log[from].at.incarnation;
        let run: Vec<&Logged> =
            log[from..].iter().take_while(|logged| logged.at.incarnation == life).take(most).collect();
        let after = run.last()?.at;
        Some((before, after, run))
    }

    /// Number and order of each place of a branch's log.
    pub fn places(&self, branch: &str) -> impl Iterator<Item = (u64, OrderId)> {
        self.of(branch).iter().map(|logged| (logged.at.seq, logged.order))
    }

    /// The heads that a branch's log has had.
    pub fn heads(&self, branch: &str) -> impl Iterator<Item = OrderHead> {
        self.of(branch).iter().map(|logged| logged.at)
    }

    /// All places, for comparison with another store.
    pub fn rows(&self) -> BTreeMap<(String, i64), OrderRow> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let row = |branch: &String, logged: &Logged| {
            let judged = self.outcomes.get(&(branch.clone(), logged.order));
            let row = OrderRow {
                incarnation: number(logged.at.incarnation),
                hash: logged.at.hash.to_string(),
                order: logged.order.to_string(),
                settled: judged.is_some(),
                state: judged
                    .map_or("", |judged| if judged.applied { "applied" } else { "refused" })
                    .to_owned(),
                done: judged.map_or(0, |judged| judged.done),
            };
            ((branch.clone(), number(logged.at.seq)), row)
        };
        self.branches
            .iter()
            .flat_map(|(branch, log)| log.iter().map(move |logged| row(branch, logged)))
            .collect()
    }
}

/// What a box has of orders beside its books.
#[derive(Debug, Default)]
pub struct Desk {
    waiting: VecDeque<(OrderHead, Box<str>)>,
    under_way: Option<ActId>,
    /// Where the box says that it stands; it moves when all that came is judged.
    stated: Option<OrderHead>,
}

impl Desk {
    /// Where the box says that it stands.
    pub fn stated(&self, book: &OrderBook) -> OrderHead {
        self.stated.unwrap_or(book.head())
    }
}

fn log_of(sender: &Sender) -> OrderLog {
    OrderLog { tenant: sender.tenant.clone(), branch: sender.branch.clone() }
}

impl Centre {
    /// Writes an order into a branch's log; its line.
    pub fn issue(&mut self, log: &OrderLog, order: &Order) -> Option<String> {
        let line = String::from_utf8(order.to_line().ok()?).ok()?;
        self.store.changes += 1;
        self.store.orders.write(log, self.store.incarnation, order.id, line.as_str().into());
        Some(line)
    }

    /// What is to be sent to a box that stands at `stated`, signed. Only the writing box of a branch is sent orders.
    pub fn orders_behind(&self, device: &DeviceId, stated: OrderHead, most: usize) -> Option<Bytes> {
        let sender = self.senders.get(device).filter(|sender| !sender.revoked && !self.away)?;
        if sender.term + 1 < self.next_term(sender.branch.as_str()) {
            return None;
        }
        let (before, after, run) = self.store.orders.behind(sender.branch.as_str(), stated, most)?;
        let span = Span { log: log_of(sender), before, after };
        let header = span.sign(&centre_key(), &SystemRandom::new()).ok()?;
        build(&header, run.iter().map(|logged| logged.line.as_bytes())).ok().map(Bytes::from)
    }
}

impl World {
    /// A person at the centre corrects a branch's book.
    pub(super) fn issue_order(&mut self, branch: usize, product: usize, packs: i64) {
        let Some(product) = PRODUCTS.get(product).and_then(|name| name.parse::<ProductId>().ok()) else {
            return;
        };
        let Some(sender) =
            self.centre.senders.values().find(|one| one.branch.as_str() == branch_name(branch))
        else {
            return;
        };
        if self.centre.away || packs == 0 {
            return;
        }
        let log = log_of(sender);
        let id = OrderId(named(6, self.number()));
        let (lot, reason) = ("A", "counted".into());
        let ordered = (product.as_str().into(), lot.into(), packs);
        let body = StockAdjust { product, lot: Some(lot.into()), delta: Quantity(packs), reason }.into();
        let order = Order { id, issued_at: self.centre_clock(), by: "office".into(), body };
        let Some(line) = self.centre.issue(&log, &order) else { return };
        self.oracle.ordered(branch, (id, &line), ordered);
        if let Some(history) = &mut self.history {
            history.push(Asked::Issue(log.clone(), Box::new(order)));
        }
        self.tell(|| format!("the centre orders {packs} packs in {}", log.branch));
    }

    /// Orders have reached a box.
    pub(super) fn orders_at_box(
        &mut self,
        site: usize,
        connection: u64,
        message: &Bytes,
    ) -> Result<(), String> {
        let bug = self.bug;
        let own = &mut self.sites[site];
        let (line_cut, branch) = (own.line_cut, own.sender.branch.clone());
        let Some(agent) = &mut own.agent else { return Ok(()) };
        if agent.connection != Some((connection, true)) || line_cut {
            return Ok(());
        }
        let read = Orders::parse(message).and_then(|orders| orders.verify(centre_key().public()));
        let Ok(came) = read else {
            agent.bad_messages += 1;
            return Ok(());
        };
        // What comes while others are judged comes again: the head is stated when they are.
        if agent.desk.under_way.is_some() || !agent.desk.waiting.is_empty() {
            return Ok(());
        }
        let verdict = match judge(agent.books.orders(), &came) {
            Verdict::Repeat if bug == Some(Bug::OrderRepeated) => Verdict::Take { skip: 0 },
            Verdict::Take { skip } if bug == Some(Bug::OrderSkipped) => Verdict::Take { skip: skip + 1 },
            verdict => verdict,
        };
        match verdict {
            Verdict::Take { skip } => {
                agent.desk.waiting = came.orders.into_iter().skip(skip).collect();
                self.next_order(site);
            }
            Verdict::Join(at) => self.carry_out(site, None, vec![OrdersJoined { at }.into()]),
            Verdict::Repeat | Verdict::Stale | Verdict::Gap => {}
            Verdict::Fork => {
                return Err(format!("box {site} of {branch} is sent other orders than it has carried out"));
            }
        }
        Ok(())
    }

    /// Judges the next order, if none is on its way to the disk.
    pub(super) fn next_order(&mut self, site: usize) {
        let bug = self.bug;
        let Some(agent) = &mut self.sites[site].agent else { return };
        if agent.desk.under_way.is_some() {
            return;
        }
        let Some((at, line)) = agent.desk.waiting.pop_front() else {
            let head = agent.books.orders().head();
            if agent.desk.stated.replace(head) != Some(head) {
                self.take(site, pestle_agent::relay::link::Event::Nudged);
            }
            return;
        };
        let mut bodies = match bug {
            // Nobody remembers what was carried out.
            Some(Bug::OrderRepeated) => decide(&OrderBook::default(), at, &line, "sim"),
            _ => decide(agent.books.orders(), at, &line, "sim"),
        };
        if bug == Some(Bug::OrderWithoutEffect) {
            bodies.retain(|body| !matches!(body, FactBody::StockAdjusted(_)));
        }
        self.carry_out(site, Some(&line), bodies);
    }

    /// Records what a box makes of an order's line, or of its place in the log.
    fn carry_out(&mut self, site: usize, line: Option<&str>, bodies: Vec<FactBody>) {
        let number = self.number();
        let order = bodies.iter().find_map(|body| match body {
            FactBody::OrderApplied(applied) => Some(applied.order),
            _ => None,
        });
        let act = order.map_or(ActId(named(7, number)), act_of);
        let branch = self.sites[site].branch;
        if let Some(agent) = &mut self.sites[site].agent {
            let stated = agent.desk.stated(agent.books.orders());
            agent.desk.stated = Some(stated);
            agent.desk.under_way = Some(act);
        }
        let effect = match line {
            Some(line) => self.oracle.effect_of_order((site, branch), line, &bodies),
            None => Effect::default(),
        };
        self.begin(site, (branch, NO_TILL, act), Draft { bodies, effect });
    }

    /// An order's act is on the disk, or is known not to be: then all that waits comes again by itself.
    pub(super) fn order_synced(&mut self, site: usize, act: ActId, good: bool) {
        let Some(agent) = &mut self.sites[site].agent else { return };
        if agent.desk.under_way != Some(act) {
            return;
        }
        agent.desk.under_way = None;
        if !good {
            agent.desk.waiting.clear();
        }
        self.next_order(site);
    }

    /// Whether a box has everything that was ordered in its branch.
    pub(super) fn has_its_orders(&self, site: usize) -> bool {
        let own = &self.sites[site];
        let Some(agent) = &own.agent else { return false };
        let idle = agent.desk.under_way.is_none() && agent.desk.waiting.is_empty();
        let stated = agent.desk.stated(agent.books.orders());
        idle && self.centre.orders_behind(&own.sender.device, stated, ORDERS_MAX).is_none()
    }
}
