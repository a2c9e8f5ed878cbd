//! The centre's orders at the counter: each becomes one act of the journal, one at a time, in the order of the log; what it
//! did and that it was done are on the disk together, or neither is.

use std::{collections::VecDeque, sync::Arc};

use pestle_domain::{
    fact::{Actor, Fact, FactBody, OrdersJoined},
    ids::ActId,
    journal::Lane,
    order::{Order, OrderBody, OrderHead, OrderHow},
    wire::orders::VerifiedOrders,
};

use super::{
    counters::Count,
    live::Tone,
    machine::{Branch, Effect, Now},
    records::PrintIntent,
    shop::Shop,
    under_way::Purpose,
};
use crate::{
    journal::NOT_RECORDED,
    orders::{
        OrdersState,
        decide::{act_of, decide, retry},
        inbox::{Verdict, judge},
    },
};

/// Answers in a row that join nothing before a person is told: the first may have been overtaken by others.
const UNJOINED_MAX: u32 = 3;

/// What the counter keeps of orders beside the books.
#[derive(Debug, Clone, Default)]
pub(super) struct OrderDesk {
    /// To be judged, in order, each with the head after it.
    waiting: VecDeque<(OrderHead, Box<str>)>,
    /// Acts of refused orders that this version understands.
    retried: VecDeque<Vec<FactBody>>,
    /// An order's act is on its way to the disk.
    under_way: bool,
    /// Refused orders were looked at since the start.
    looked: bool,
    unjoined: u32,
    trouble: Option<String>,
    state: OrdersState,
}

impl Branch {
    /// Where the log stands, for whoever asks the centre for more. It moves when everything that came is judged.
    pub fn orders_state(&self) -> &OrdersState {
        &self.desk.state
    }

    /// At the start: the log stands where the books say.
    pub(super) fn orders_opened(&mut self) {
        let book = self.books.orders();
        (self.desk.state.head, self.desk.state.snapshot_wanted) = (book.head(), book.snapshot_wanted());
    }

    /// Verified orders of the centre have come.
    pub(super) fn orders_came(&mut self, now: &mut Now<'_>, came: VerifiedOrders, out: &mut Vec<Effect>) {
        // What comes while others are judged comes again: the head is stated when they are.
        if self.desk.under_way || !self.desk.waiting.is_empty() {
            return;
        }
        let verdict = judge(self.books.orders(), &came);
        match verdict {
            Verdict::Take { skip } => {
                self.desk.unjoined = 0;
                self.desk.trouble = None;
                self.desk.waiting = came.orders.into_iter().skip(skip).collect();
            }
            Verdict::Join(at) => {
                let joined = OrdersJoined { at };
                self.append_order(now, vec![joined.into()], out);
            }
            Verdict::Repeat | Verdict::Stale => {}
            Verdict::Gap => {
                self.desk.unjoined = self.desk.unjoined.saturating_add(1);
                out.push(Effect::Count(Count::OrdersUnjoined));
                if self.desk.unjoined >= UNJOINED_MAX {
                    self.desk.trouble = Some(
                        "The centre's orders do not follow on those that this box has: call support."
                            .to_owned(),
                    );
                }
            }
            Verdict::Fork => {
                out.push(Effect::Count(Count::OrdersUnjoined));
                self.desk.trouble = Some(
                    "The centre sends other orders than this box has carried out under their numbers: they are not carried out. Call support."
                        .to_owned(),
                );
            }
        }
        self.next_order(now, out);
    }

    /// Judges the next order, if none is on its way to the disk.
    pub(super) fn next_order(&mut self, now: &mut Now<'_>, out: &mut Vec<Effect>) {
        if !self.desk.looked {
            self.desk.looked = true;
            self.desk.retried = retry(self.books.orders(), &self.settings.agent).into();
        }
        if !self.desk.under_way {
            if let Some(bodies) = self.desk.retried.pop_front() {
                self.append_order(now, bodies, out);
            } else if let Some((at, line)) = self.desk.waiting.pop_front() {
                let bodies = decide(self.books.orders(), at, &line, &self.settings.agent);
                self.append_order(now, bodies, out);
            }
        }
        if !self.desk.under_way {
            let book = self.books.orders();
            self.desk.state = OrdersState {
                head: book.head(),
                snapshot_wanted: book.snapshot_wanted(),
                trouble: self.desk.trouble.clone().or_else(|| given_up(book.given_up())),
            };
        }
    }

    fn append_order(&mut self, now: &mut Now<'_>, bodies: Vec<FactBody>, out: &mut Vec<Effect>) {
        self.desk.under_way = true;
        // An order that is carried out again, since the box has lost that it was done, is the same act to the centre.
        let done = bodies.iter().find_map(|body| match body {
            FactBody::OrderApplied(applied) => Some(applied.order),
            _ => None,
        });
        let act = done.map_or_else(|| ActId((now.draw)()), act_of);
        let intent = PrintIntent { print: false };
        self.append(now, act, Lane::Ledger, &Actor::Machine, bodies, intent, Purpose::Order, out);
    }

    /// An order's act is on the disk, or is known not to be: then all that waits comes again by itself, what the centre sends
    /// with the next heads, what was refused with the next tick.
    pub(super) fn order_recorded(
        &mut self,
        now: &mut Now<'_>,
        facts: &[Fact],
        result: Result<(), String>,
        out: &mut Vec<Effect>,
    ) {
        match result {
            Ok(()) => {
                facts.iter().for_each(|fact| self.order_booked(&fact.body, out));
                self.desk.under_way = false;
                self.next_order(now, out);
            }
            Err(why) => {
                self.desk.waiting.clear();
                self.desk.retried.clear();
                if why.starts_with(NOT_RECORDED) {
                    (self.desk.under_way, self.desk.looked) = (false, false);
                } else {
                    // Nobody knows whether it was done: until the next start shows it, nothing is done after it.
                    self.desk.state.trouble = Some(format!("An order of the centre is {why}."));
                }
            }
        }
    }

    fn order_booked(&mut self, body: &FactBody, out: &mut Vec<Effect>) {
        match body {
            FactBody::OrderRefused(_) => out.push(Effect::Count(Count::OrderRefused)),
            FactBody::OrderApplied(applied) => {
                out.push(Effect::Count(Count::OrderApplied));
                let order = Order::from_line(applied.line.as_bytes()).ok().flatten();
                if applied.how != OrderHow::Known
                    && let Some(Order { body, .. }) = order
                {
                    self.order_shows(&body, out);
                }
            }
            _ => {}
        }
    }

    fn order_shows(&mut self, body: &OrderBody, out: &mut Vec<Effect>) {
        let (tone, text) = match body {
            OrderBody::RecallIssued(recall) => {
                let packs = self.packs(&recall.product, recall.lot.as_deref());
                let text = format!(
                    "Recall {}: {packs} must not be sold. {}. Put the packs aside for the pharmacist.",
                    recall.reference,
                    recall.reason.trim_end_matches('.')
                );
                (Tone::Refused, text)
            }
            OrderBody::RecallLifted(recall) => {
                let packs = self.packs(&recall.product, recall.lot.as_deref());
                (Tone::Info, format!("Recall {} is over: {packs} may be sold again.", recall.reference))
            }
            _ => return,
        };
        if tone == Tone::Refused {
            self.sound(out);
        }
        self.recalls_changed();
        for live in self.tills.values_mut() {
            live.say(tone, text.clone());
        }
        out.push(Effect::ShowAll);
    }

    fn packs(&self, product: &pestle_domain::ids::ProductId, lot: Option<&str>) -> String {
        let known = self.shop.as_ref().and_then(|shop| shop.catalogue.get(product));
        let name = known.map_or(product.as_str(), |product| &product.name);
        match lot {
            Some(lot) => format!("{name}, lot {lot},"),
            None => format!("{name}, every lot,"),
        }
    }

    /// A snapshot has come into use.
    pub(super) fn shop_came(&mut self, shop: Arc<Shop>) {
        self.snapshot = Some(shop);
        self.recalls_changed();
    }

    /// What is sold by is the snapshot with the orders that it does not have.
    pub(super) fn recalls_changed(&mut self) {
        let book = self.books.orders();
        self.shop = self.snapshot.as_ref().map(|snapshot| match book.changes_recalls() {
            false => snapshot.clone(),
            true => {
                let recalls = snapshot.catalogue.recalls().cloned().collect();
                Arc::new(snapshot.with_recalls(book.recalls_with(recalls, snapshot.orders)))
            }
        });
    }
}

fn given_up(orders: u64) -> Option<String> {
    (orders > 0).then(|| {
        format!("{orders} refused orders are not tried again by a newer agent, because too many wait: order them anew at the centre.")
    })
}
