//! What the centre ordered, as the oracle knows it: written down when a person ordered it, never put back, and never asked of the
//! product. From it follows what an act that carries an order out must come to, and what must be at the centre in the end.

use std::collections::HashMap;

use pestle_domain::{
    fact::{Fact, FactBody, OrderRefused},
    ids::OrderId,
    order::OrderHow,
};

use super::{Effect, Oracle};
use crate::simulation::schedule::PACKS_IMPOSSIBLE;

/// What was ordered, by the line that says it.
#[derive(Debug, Default)]
pub(super) struct OrderAccount(HashMap<Box<str>, Ordered>);

/// One order.
#[derive(Debug)]
struct Ordered {
    branch: usize,
    order: OrderId,
    /// Article, lot, packs.
    stock: (Box<str>, Box<str>, i64),
}

impl OrderAccount {
    fn is_impossible(&self, order: OrderId) -> bool {
        self.0.values().any(|one| one.order == order && one.stock.2 >= PACKS_IMPOSSIBLE)
    }
}

/// What facts at the centre say of an order.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Done {
    applied: bool,
    refused: bool,
    times: u32,
}

impl Oracle {
    /// A person at the centre has ordered so many packs of a lot into a branch's book (article, lot, packs), with `line`.
    pub fn ordered(
        &mut self,
        branch: usize,
        (order, line): (OrderId, &str),
        stock: (Box<str>, Box<str>, i64),
    ) {
        self.orders.0.insert(line.into(), Ordered { branch, order, stock });
    }

    /// What the act must come to in which a box judges the order that `line` says. Of what the box made of it (`bodies`) only
    /// its word counts: whether it carries the order out, has done so before, or refuses it. What that changes was said by
    /// whoever ordered it; and that a box knows an order is believed where its disk has it carried out.
    pub fn effect_of_order(
        &mut self,
        (site, branch): (usize, usize),
        line: &str,
        bodies: &[FactBody],
    ) -> Effect {
        let Some(ordered) = self.orders.0.get(line).filter(|one| one.branch == branch) else {
            self.broken = Some(format!("box {site} judges what nobody ordered in branch {branch}"));
            return Effect::default();
        };
        let word = bodies.iter().find_map(|body| match body {
            FactBody::OrderApplied(applied) => Some(applied.how),
            _ => None,
        });
        let stock = match word {
            None => Vec::new(),
            Some(OrderHow::Known) if self.has_carried_out(site, ordered) => Vec::new(),
            Some(_) => vec![ordered.stock.clone()],
        };
        Effect { order: Some(ordered.order), stock, ..Effect::default() }
    }

    fn has_carried_out(&self, site: usize, ordered: &Ordered) -> bool {
        self.attempts.iter().enumerate().any(|(number, attempt)| {
            attempt.branch == ordered.branch
                && attempt.effect.order == Some(ordered.order)
                && !attempt.effect.stock.is_empty()
                && self.disks[site].has(number)
        })
    }

    /// Counts a fact that has arrived, if it says that an order was carried out.
    pub(super) fn count_order(&mut self, number: usize, line: &[u8]) {
        let attempt = &self.attempts[number];
        if attempt.effect.order.is_none() {
            return;
        }
        match Fact::from_line(line).ok().flatten().map(|fact| fact.body) {
            Some(FactBody::OrderApplied(applied)) => {
                let done = self.centre.orders.entry((attempt.branch, applied.order)).or_default();
                done.applied = true;
                done.times += u32::from(applied.how != OrderHow::Known);
            }
            Some(FactBody::OrderRefused(OrderRefused { order: Some(order), .. })) => {
                self.centre.orders.entry((attempt.branch, order)).or_default().refused = true;
            }
            _ => {}
        }
    }

    /// What is wrong with a branch's log (number and order) once everything has arrived: an order that nobody carried out and no
    /// disaster took, or one that was done twice although one box alone was there.
    ///
    /// # Errors
    /// In words.
    pub fn orders_are_done(
        &self,
        branch: usize,
        log: impl Iterator<Item = (u64, OrderId)>,
    ) -> Result<(), String> {
        let may_be_twice = self.forked[branch] || self.parted[branch];
        for (seq, order) in log {
            let done = self.centre.orders.get(&(branch, order)).copied().unwrap_or_default();
            // A new box takes the log up behind what the centre has heard of; a centre that is put back after that, to before
            // it heard, shows the order as waiting for good.
            if !done.applied && self.order_is_destroyed(branch, order) {
                continue;
            }
            if self.orders.is_impossible(order) {
                match (done.applied, done.refused) {
                    (true, _) => {
                        return Err(format!(
                            "order {seq} of branch {branch} was carried out, which nobody can"
                        ));
                    }
                    (false, false) => return Err(format!("order {seq} of branch {branch} was never judged")),
                    (false, true) => continue,
                }
            }
            if !done.applied {
                return Err(format!("order {seq} of branch {branch} was never carried out"));
            }
            if done.times != 1 && !may_be_twice {
                return Err(format!("order {seq} of branch {branch} was carried out {} times", done.times));
            }
        }
        Ok(())
    }

    /// Whether a disaster took an act that carried it out.
    fn order_is_destroyed(&self, branch: usize, order: OrderId) -> bool {
        self.attempts
            .iter()
            .any(|one| one.destroyed && one.branch == branch && one.effect.order == Some(order))
    }
}
