//! What facts say of orders, gathered for one transaction. Pure.

use std::collections::BTreeMap;

use pestle_domain::{
    fact::FactBody,
    ids::OrderId,
    order::{OrderHead, OrderHow},
};

/// What one branch made of one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome<'a> {
    /// Which; `None` where the branch could not read that.
    pub order: Option<OrderId>,
    /// Its kind, as the branch read it.
    pub kind: &'a str,
    /// `applied` or `refused`.
    pub state: &'static str,
    /// Why it was refused, for machines.
    pub reason: &'a str,
    /// The same in words.
    pub detail: &'a str,
    /// As the branch has it from the centre.
    pub line: &'a str,
    /// Its place in the log: where it was carried out, the one in which that was done.
    pub at: OrderHead,
    /// How often these facts say that it was carried out.
    pub done: i32,
}

/// Everything that one transaction says of orders. Sorted, so that transactions beside each other lock in one order.
#[derive(Debug, Default)]
pub struct Outcomes<'a> {
    /// By branch and order.
    pub judged: BTreeMap<(&'a str, [u8; 32]), Outcome<'a>>,
    /// Branches in which a new box took up the log.
    pub joined: Vec<(&'a str, OrderHead)>,
}

impl<'a> Outcomes<'a> {
    /// Notes a fact; those that are none of orders' do nothing.
    pub fn add(&mut self, branch: &'a str, body: &'a FactBody) {
        match body {
            FactBody::OrdersJoined(joined) => self.joined.push((branch, joined.at)),
            FactBody::OrderApplied(applied) => self.note(
                branch,
                Outcome {
                    order: Some(applied.order),
                    kind: &applied.kind,
                    state: "applied",
                    reason: "",
                    detail: "",
                    line: &applied.line,
                    at: applied.at,
                    done: i32::from(applied.how != OrderHow::Known),
                },
            ),
            FactBody::OrderRefused(refused) => self.note(
                branch,
                Outcome {
                    order: refused.order,
                    kind: &refused.kind,
                    state: "refused",
                    reason: &refused.reason,
                    detail: &refused.detail,
                    line: &refused.line,
                    at: refused.at,
                    done: 0,
                },
            ),
            _ => {}
        }
    }

    /// Whether there is anything to be booked.
    pub fn is_empty(&self) -> bool {
        self.judged.is_empty() && self.joined.is_empty()
    }

    fn note(&mut self, branch: &'a str, outcome: Outcome<'a>) {
        // What has no name of its own is told apart by its place.
        let mut key = outcome.at.hash.0;
        if let Some(order) = outcome.order {
            key = [0; 32];
            key[..16].copy_from_slice(order.0.as_bytes());
        }
        match self.judged.get_mut(&(branch, key)) {
            Some(earlier) => {
                let done = earlier.done + outcome.done;
                if earlier.state == "applied" {
                    if outcome.done > 0 {
                        earlier.at = outcome.at;
                    }
                    earlier.done = done;
                } else {
                    *earlier = Outcome { done, ..outcome };
                }
            }
            None => drop(self.judged.insert((branch, key), outcome)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pestle_domain::{
        fact::{OrderApplied, OrderRefused},
        signature::Hash,
    };
    use uuid::Uuid;

    fn at(seq: u64) -> OrderHead {
        OrderHead { incarnation: 1, seq, hash: Hash::of(&seq.to_be_bytes()) }
    }

    #[test]
    fn what_was_refused_and_then_done_is_done_and_what_was_done_stays_so() {
        let order = OrderId(Uuid::from_u128(7));
        let refused: FactBody = OrderRefused {
            at: at(1),
            order: Some(order),
            kind: "stock.adjust".into(),
            reason: "not_understood".into(),
            detail: "x".into(),
            agent: "0.1.0".into(),
            line: "{}".into(),
        }
        .into();
        let applied = |how| -> FactBody {
            OrderApplied { at: at(1), order, kind: "stock.adjust".into(), how, line: "{}".into() }.into()
        };
        let (retried, known) = (applied(OrderHow::Retried), applied(OrderHow::Known));
        for facts in [[&refused, &retried, &known], [&retried, &refused, &known]] {
            let mut outcomes = Outcomes::default();
            facts.into_iter().for_each(|fact| outcomes.add("north", fact));
            let all: Vec<_> = outcomes.judged.values().map(|one| (one.state, one.done)).collect();
            assert_eq!(all, [("applied", 1)]);
        }
    }
}
