//! The machines against a model of the centre: its log, its restores, and a line that loses, doubles and turns things round.

use std::collections::BTreeSet;

use pestle_domain::{
    fact::{FactBody, OrderApplied},
    ids::OrderId,
    order::{CatalogueChanged, Order, OrderBody, OrderHead, OrderHow, OrderLog, RecallIssued, StockAdjust},
    units::{Quantity, UnixMillis},
    wire::orders::VerifiedOrders,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    book::OrderBook,
    decide::{BAD_DATA, NOT_UNDERSTOOD, decide, retry},
    inbox::{Verdict, judge},
};

const AGENT: &str = "1.0.0";

fn log() -> OrderLog {
    OrderLog { tenant: "acme".parse().unwrap(), branch: "north".parse().unwrap() }
}

fn order(number: u128, body: impl Into<OrderBody>) -> String {
    let order = Order {
        id: OrderId(Uuid::from_u128(number)),
        issued_at: UnixMillis(1_795_000_000_000 + i64::try_from(number).unwrap()),
        by: "user:anna".into(),
        body: body.into(),
    };
    String::from_utf8(order.to_line().unwrap()).unwrap()
}

fn adjust(delta: i64) -> StockAdjust {
    StockAdjust { product: "p-1".parse().unwrap(), lot: None, delta: Quantity(delta), reason: "x".into() }
}

/// The centre as far as one branch's log goes.
#[derive(Debug, Default, Clone)]
struct Centre {
    incarnation: u64,
    entries: Vec<(OrderHead, String)>,
    /// What restores took away.
    lost: Vec<String>,
    issued: u128,
}

impl Centre {
    fn new() -> Self {
        Self { incarnation: 1, ..Self::default() }
    }

    fn head(&self) -> OrderHead {
        self.entries.last().map_or(OrderHead::START, |(head, _)| *head)
    }

    fn write(&mut self, line: String) {
        let head = self.head().after(&log(), self.incarnation, line.as_bytes());
        self.entries.push((head, line));
    }

    fn issue(&mut self) {
        self.issued += 1;
        self.write(order(self.issued, adjust(1)));
    }

    /// Restored to a moment before its last orders.
    fn restore(&mut self, lost: usize) {
        let kept = self.entries.len().saturating_sub(lost);
        self.lost.extend(self.entries.drain(kept..).map(|(_, line)| line));
        self.incarnation += 1;
    }

    /// A person writes an order anew that was lost.
    fn adopt(&mut self, at: prop::sample::Index) {
        if !self.lost.is_empty() {
            let line = self.lost.remove(at.index(self.lost.len()));
            self.write(line);
        }
    }

    /// What it answers to a stated head: the rule of the gateway.
    fn answer(&self, stated: OrderHead, most: usize) -> Option<VerifiedOrders> {
        let known = stated == OrderHead::START || self.entries.iter().any(|(head, _)| *head == stated);
        let first = match known {
            true => self.entries.iter().position(|(head, _)| head.seq > stated.seq)?,
            false => self.entries.iter().position(|(head, _)| head.incarnation > stated.incarnation)?,
        };
        Some(self.run(first, most))
    }

    fn run(&self, first: usize, most: usize) -> VerifiedOrders {
        let incarnation = self.entries[first].0.incarnation;
        let before = first.checked_sub(1).map_or(OrderHead::START, |index| self.entries[index].0);
        let of_one_life =
            self.entries[first..].iter().take_while(|(head, _)| head.incarnation == incarnation);
        VerifiedOrders {
            before,
            orders: of_one_life.take(most).map(|(head, line)| (*head, line.as_str().into())).collect(),
        }
    }
}

/// A branch: its journal, and what it adds up to.
#[derive(Debug, Default)]
struct Branch {
    book: OrderBook,
    journal: Vec<Vec<FactBody>>,
}

impl Branch {
    fn record(&mut self, bodies: Vec<FactBody>) {
        bodies.iter().for_each(|body| self.book.apply(body));
        self.journal.push(bodies);
    }

    /// Takes a message; power goes after so many of its orders.
    fn hear(&mut self, came: &VerifiedOrders, until: usize) -> Verdict {
        let verdict = judge(&self.book, came);
        if let Verdict::Take { skip } = verdict {
            for (at, line) in came.orders.iter().skip(skip).take(until) {
                let bodies = decide(&self.book, *at, line, AGENT);
                self.record(bodies);
            }
        }
        verdict
    }

    /// What a power cut leaves is the journal.
    fn restart(&mut self) {
        let rebuilt = self.journal.iter().flatten().fold(OrderBook::default(), |mut book, body| {
            book.apply(body);
            book
        });
        assert_eq!(rebuilt, self.book, "the books are what the journal says");
        let kept: OrderBook = serde_json::from_str(&serde_json::to_string(&rebuilt).unwrap()).unwrap();
        assert_eq!(kept, rebuilt, "and survive their file");
        self.book = kept;
    }

    fn applied(&self, how: OrderHow) -> Vec<OrderId> {
        let applied = self.journal.iter().flatten().filter_map(|body| match body {
            FactBody::OrderApplied(OrderApplied { order, how: came, .. }) if *came == how => Some(*order),
            _ => None,
        });
        applied.collect()
    }

    fn packs(&self) -> i64 {
        let deltas = self.journal.iter().flatten().map(|body| match body {
            FactBody::StockAdjusted(adjusted) => adjusted.delta.0,
            _ => 0,
        });
        deltas.sum()
    }
}

fn ids(centre: &Centre) -> Vec<OrderId> {
    centre.entries.iter().map(|(_, line)| Order::from_line(line.as_bytes()).unwrap().unwrap().id).collect()
}

#[derive(Debug, Clone)]
enum Step {
    Issue,
    /// The branch states its head, and an answer of so many orders is on its way.
    Ask(usize),
    /// One of the messages on their way arrives, and stays to arrive again; power goes after so many of its orders.
    Arrive(prop::sample::Index, usize),
    Lose(prop::sample::Index),
    Restart,
    Restore(usize),
    Adopt(prop::sample::Index),
}

fn step(restores: bool) -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Issue),
        4 => (1usize..5).prop_map(Step::Ask),
        6 => (any::<prop::sample::Index>(), 0usize..6).prop_map(|(at, until)| Step::Arrive(at, until)),
        2 => any::<prop::sample::Index>().prop_map(Step::Lose),
        1 => Just(Step::Restart),
        (if restores { 2 } else { 0 }) => (0usize..4).prop_map(Step::Restore),
        (if restores { 2 } else { 0 }) => any::<prop::sample::Index>().prop_map(Step::Adopt),
    ]
}

/// Runs the steps, then a quiet line until nothing more comes.
fn run(steps: Vec<Step>) -> (Centre, Branch) {
    let (mut centre, mut branch) = (Centre::new(), Branch::default());
    let mut under_way: Vec<VerifiedOrders> = Vec::new();
    for step in steps {
        match step {
            Step::Issue => centre.issue(),
            Step::Ask(most) => under_way.extend(centre.answer(branch.book.head(), most)),
            Step::Arrive(at, until) if !under_way.is_empty() => {
                let came = under_way[at.index(under_way.len())].clone();
                assert_ne!(branch.hear(&came, until), Verdict::Fork);
            }
            Step::Lose(at) if !under_way.is_empty() => drop(under_way.remove(at.index(under_way.len()))),
            Step::Restart => branch.restart(),
            Step::Restore(lost) => centre.restore(lost),
            Step::Adopt(at) => centre.adopt(at),
            Step::Arrive(..) | Step::Lose(_) => {}
        }
    }
    for _ in 0..200 {
        match centre.answer(branch.book.head(), 3) {
            Some(came) => assert!(matches!(branch.hear(&came, 3), Verdict::Take { .. }), "{came:?}"),
            None => break,
        }
    }
    branch.restart();
    (centre, branch)
}

proptest! {
    #[test]
    fn whatever_the_line_does_every_order_is_done_once_and_in_its_order(
        steps in proptest::collection::vec(step(false), 0..80),
    ) {
        let (centre, branch) = run(steps);
        prop_assert_eq!(branch.applied(OrderHow::InTurn), ids(&centre));
        prop_assert_eq!(branch.applied(OrderHow::Known), vec![], "nothing was judged twice");
        prop_assert_eq!(branch.book.head(), centre.head());
        prop_assert_eq!(branch.packs(), i64::try_from(centre.entries.len()).unwrap());
    }

    #[test]
    fn a_centre_that_is_restored_again_and_again_has_no_order_done_twice(
        steps in proptest::collection::vec(step(true), 0..120),
    ) {
        let (centre, branch) = run(steps);
        let done = branch.applied(OrderHow::InTurn);
        let once: BTreeSet<_> = done.iter().copied().collect();
        prop_assert_eq!(once.len(), done.len(), "an order was done twice");
        for id in ids(&centre) {
            prop_assert!(once.contains(&id), "an order of the log was not done");
        }
        prop_assert!(centre.entries.is_empty() || branch.book.had(centre.head().seq, &centre.head().hash));
        prop_assert_eq!(branch.packs(), i64::try_from(done.len()).unwrap());
    }
}

#[test]
fn a_restored_centre_joins_where_the_branch_once_stood_and_an_adopted_order_is_not_done_again() {
    let (mut centre, mut branch) = (Centre::new(), Branch::default());
    (0..3).for_each(|_| centre.issue());
    branch.hear(&centre.answer(OrderHead::START, 9).unwrap(), 9);
    let lost = centre.entries[2].1.clone();
    centre.restore(1);
    assert_eq!(centre.answer(branch.book.head(), 9), None, "there is nothing new yet");
    // A person adopts what was lost, and then issues another.
    centre.write(lost);
    centre.issue();
    let came = centre.answer(branch.book.head(), 9).unwrap();
    assert_eq!(branch.hear(&came, 9), Verdict::Take { skip: 0 });
    assert_eq!(branch.book.head(), centre.head());
    assert_eq!(branch.applied(OrderHow::Known).len(), 1);
    assert_eq!(branch.packs(), 4);
}

#[test]
fn other_orders_of_the_same_life_are_a_fork_and_never_done() {
    let (mut centre, mut branch) = (Centre::new(), Branch::default());
    (0..3).for_each(|_| centre.issue());
    branch.hear(&centre.run(0, 9), 9);
    // Restored, and nobody raised the incarnation.
    let mut other = centre.clone();
    other.entries.truncate(1);
    (0..4).for_each(|_| other.issue());
    for (first, most) in [(1, 2), (1, 9), (3, 9)] {
        assert_eq!(branch.hear(&other.run(first, most), 9), Verdict::Fork, "from {first}");
    }
    assert_eq!((branch.packs(), branch.book.head()), (3, centre.head()));
}

#[test]
fn what_comes_again_is_known_and_what_misses_something_before_it_waits() {
    let (mut centre, mut branch) = (Centre::new(), Branch::default());
    (0..5).for_each(|_| centre.issue());
    assert_eq!(branch.hear(&centre.run(2, 1), 9), Verdict::Gap);
    assert_eq!(branch.hear(&centre.run(0, 3), 9), Verdict::Take { skip: 0 });
    assert_eq!(branch.hear(&centre.run(0, 3), 9), Verdict::Repeat);
    assert_eq!(branch.hear(&centre.run(1, 1), 9), Verdict::Repeat);
    assert_eq!(branch.hear(&centre.run(1, 9), 9), Verdict::Take { skip: 2 });
    assert_eq!(branch.packs(), 5);
    centre.restore(0);
    centre.issue();
    assert_eq!(branch.hear(&centre.run(5, 9), 9), Verdict::Take { skip: 0 });
    assert_eq!(branch.hear(&centre.run(3, 1), 9), Verdict::Repeat, "of the life before");
}

#[test]
fn a_new_box_takes_up_the_log_where_the_centre_says_and_one_that_is_not_new_does_not() {
    let mut centre = Centre::new();
    (0..4).for_each(|_| centre.issue());
    let there = VerifiedOrders { before: centre.entries[2].0, orders: vec![] };
    let mut branch = Branch::default();
    let Verdict::Join(at) = judge(&branch.book, &there) else { panic!("it is not taken up") };
    branch.record(vec![pestle_domain::fact::OrdersJoined { at }.into()]);
    branch.hear(&centre.answer(branch.book.head(), 9).unwrap(), 9);
    assert_eq!((branch.packs(), branch.book.head()), (1, centre.head()));
    assert_eq!(judge(&branch.book, &there), Verdict::Stale);
}

#[test]
fn a_new_box_takes_orders_of_a_centre_that_was_put_back_to_before_it_took_up_the_log() {
    let mut centre = Centre::new();
    (0..4).for_each(|_| centre.issue());
    let mut branch = Branch::default();
    branch.record(vec![pestle_domain::fact::OrdersJoined { at: centre.head() }.into()]);
    centre.restore(2);
    (0..3).for_each(|_| centre.issue());
    let judged = |centre: &Centre, first| judge(&branch.book, &centre.run(first, 9));
    assert_eq!(judged(&centre, 3), Verdict::Gap, "not from the middle of that life");
    let mut later = centre.clone();
    later.restore(1);
    later.issue();
    assert_eq!(judged(&later, 4), Verdict::Gap, "nor the beginning of the one after it");
    assert_eq!(branch.hear(&centre.answer(branch.book.head(), 2).unwrap(), 9), Verdict::Take { skip: 0 });
    assert_eq!(branch.hear(&centre.answer(branch.book.head(), 9).unwrap(), 9), Verdict::Take { skip: 0 });
    assert_eq!((branch.packs(), branch.book.head()), (3, centre.head()));
    // And again.
    centre.restore(5);
    centre.issue();
    branch.hear(&centre.answer(branch.book.head(), 9).unwrap(), 9);
    assert_eq!((branch.packs(), branch.book.head()), (4, centre.head()));
}

fn reason_of(bodies: &[FactBody]) -> &str {
    match bodies {
        [FactBody::OrderRefused(refused)] => &refused.reason,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn what_is_not_understood_is_refused_kept_and_done_once_after_an_upgrade() {
    let mut branch = Branch::default();
    let newer = order(1, adjust(7)).replace("\"v\":1", "\"v\":2");
    let at = |book: &OrderBook, line: &str| book.head().after(&log(), 1, line.as_bytes());
    let bodies = decide(&branch.book, at(&branch.book, &newer), &newer, "0.9.0");
    assert_eq!(reason_of(&bodies), NOT_UNDERSTOOD);
    branch.record(bodies);
    // The log goes on.
    let next = order(2, adjust(1));
    let bodies = decide(&branch.book, at(&branch.book, &next), &next, "0.9.0");
    branch.record(bodies);
    assert_eq!((branch.packs(), branch.book.head().seq), (1, 2));

    assert_eq!(
        retry(&branch.book, "0.9.0"),
        Vec::<Vec<FactBody>>::new(),
        "the same version refuses it again"
    );
    assert_eq!(retry(&branch.book, "0.9.1"), Vec::<Vec<FactBody>>::new(), "so does this one");
    // What a version does that knows it: here, the same line in words that it knows.
    let readable = serde_json::to_string(&branch.book).unwrap().replace("\\\"v\\\":2", "\\\"v\\\":1");
    branch.book = serde_json::from_str(&readable).unwrap();
    let acts = retry(&branch.book, "1.0.0");
    assert_eq!(acts.len(), 1);
    branch.record(acts.into_iter().next().unwrap());
    assert_eq!((branch.packs(), branch.book.head().seq), (8, 2), "done, and the log stands where it stood");
    assert_eq!(branch.applied(OrderHow::Retried), [OrderId(Uuid::from_u128(1))]);
    assert!(retry(&branch.book, "1.0.1").is_empty());
}

#[test]
fn orders_that_cannot_be_done_are_refused_with_their_reason() {
    let book = OrderBook::default();
    let refused = |line: &str| {
        let at = book.head().after(&log(), 1, line.as_bytes());
        reason_of(&decide(&book, at, line, AGENT)).to_owned()
    };
    assert_eq!(refused("no json"), NOT_UNDERSTOOD);
    assert_eq!(refused(&order(1, adjust(1)).replace("stock.adjust", "stock.burn")), NOT_UNDERSTOOD);
    assert_eq!(refused(&order(1, adjust(0))), BAD_DATA);
    assert_eq!(refused(&order(1, adjust(2_000_000_000))), BAD_DATA);
    assert_eq!(refused(&order(1, adjust(1)).replace("\"delta\":1", "\"delta\":\"one\"")), BAD_DATA);
    let pointing = order(1, CatalogueChanged { version: 4 });
    let at = book.head().after(&log(), 1, pointing.as_bytes());
    assert_eq!(decide(&book, at, &pointing, AGENT).len(), 1, "applied once noted");
}

fn recall(number: u128) -> (String, pestle_domain::catalogue::Recall) {
    let issued = RecallIssued {
        reference: format!("R-{number}").into(),
        product: "p-1".parse().unwrap(),
        lot: Some("A".into()),
        reason: "glass".into(),
        issued: "2026-11-21".parse().unwrap(),
    };
    (order(number, issued.clone()), issued.into())
}

#[test]
fn a_recall_holds_until_a_snapshot_surely_has_it_and_one_that_the_centre_lost_holds_for_ever() {
    let (mut centre, mut branch) = (Centre::new(), Branch::default());
    let (line, one) = recall(101);
    centre.issue();
    centre.write(line.clone());
    branch.hear(&centre.run(0, 9), 9);
    let (before, with) = (centre.entries[0].0, centre.entries[1].0);
    let only = std::slice::from_ref(&one);
    let recalls = |branch: &Branch, position| branch.book.recalls_with(vec![], position);
    for older in [None, Some(OrderHead::START), Some(before)] {
        assert_eq!(recalls(&branch, older), only, "{older:?}");
    }
    assert_eq!(recalls(&branch, Some(with)), [], "the snapshot says it, or says that it is over");
    assert_eq!(branch.book.recalls_with(vec![one.clone()], Some(before)), only, "once");

    // The centre is restored to before it, and goes on: its snapshots know nothing of it.
    centre.restore(1);
    centre.issue();
    let other = centre.head();
    assert_eq!(recalls(&branch, Some(other)), only, "nobody knows yet");
    branch.hear(&centre.answer(branch.book.head(), 9).unwrap(), 9);
    assert_eq!(recalls(&branch, Some(other)), only, "it was lost");
    // A person adopts it.
    centre.write(line);
    branch.hear(&centre.answer(branch.book.head(), 9).unwrap(), 9);
    assert_eq!(recalls(&branch, Some(other)), [one]);
    assert_eq!(recalls(&branch, Some(centre.head())), []);
}

#[test]
fn a_lifted_recall_is_over_for_an_older_snapshot_too() {
    let (mut centre, mut branch) = (Centre::new(), Branch::default());
    let (line, one) = recall(1);
    centre.write(line);
    let lifted = pestle_domain::order::RecallLifted {
        reference: one.reference.clone(),
        product: one.product.clone(),
        lot: one.lot.clone(),
        reason: "over".into(),
    };
    centre.write(order(2, lifted));
    branch.hear(&centre.run(0, 9), 9);
    let has_it = Some(centre.entries[0].0);
    assert_eq!(branch.book.recalls_with(vec![one.clone()], has_it), []);
    assert_eq!(branch.book.recalls_with(vec![one.clone()], Some(centre.head())), [one], "issued anew since");
}
