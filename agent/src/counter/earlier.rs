//! Facts that the books lack, and that were fetched back from the centre: taken into books that know later ones. Pure.
//!
//! What adds up is added, whenever it comes. What says how things are (which session is open, which sale was the last) counts
//! only where nothing later said it. An act that was booked meanwhile, because a page sent it again, is not booked twice.

use pestle_domain::{
    fact::{BoxBooksIncomplete, BoxFactsFetched, Fact, FactBody, TillClosed, TillOpened},
    ids::TillId,
    money::Money,
    till::Till,
};

use super::{
    books::{Books, add_taxes},
    records::{Done, PrintIntent, Stray, TillBook},
    remembered::ACTS_MAX,
};
use crate::journal::Place;

/// Facts at the end of a missing range whose acts are remembered one by one; a sale is some four facts. The acts before them
/// would be forgotten again, or make later ones forgotten.
const REMEMBERED_FACTS: u64 = 4 * ACTS_MAX as u64;

/// An act as the centre gave it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EarlierAct {
    /// Where its first fact stands.
    pub first: Place,
    /// Those that this version understands, each with its number.
    pub facts: Vec<(u64, Fact)>,
    /// It stands elsewhere too, and counts there.
    pub again: bool,
}

impl Books {
    /// Whether all of a range is missing here.
    pub fn lacks(&self, epoch: u32, from: u64, to: u64) -> bool {
        let covers =
            |range: &BoxBooksIncomplete| range.epoch == epoch && range.from <= from && to <= range.to;
        from <= to && self.missing.iter().any(covers)
    }

    /// Notes what cannot be read, as far as it is not known as missing and was not fetched back. No fact names it yet.
    pub fn note_missing(&mut self, range: &BoxBooksIncomplete) {
        for one in self.not_known(range) {
            self.missing.push(one.clone());
            self.unnamed.push(one);
        }
        self.missing.sort_by_key(|range| (range.epoch, range.from));
    }

    /// The same of what a fact names.
    pub fn note_named(&mut self, range: &BoxBooksIncomplete) {
        self.note_missing(range);
        self.unnamed = without(std::mem::take(&mut self.unnamed), range);
    }

    /// The parts of a range that are neither known as missing nor fetched back.
    pub fn not_known(&self, range: &BoxBooksIncomplete) -> Vec<BoxBooksIncomplete> {
        let known = self.missing.iter().chain(&self.fetched);
        known.fold(vec![range.clone()], without)
    }

    /// What an act says that takes facts in, which tell of `older` ones that are missing as well.
    pub fn fetching(&self, fetched: &BoxFactsFetched, older: Option<&BoxBooksIncomplete>) -> Vec<FactBody> {
        let older = older.map(|older| self.not_known(older)).unwrap_or_default();
        older.into_iter().map(FactBody::from).chain([fetched.clone().into()]).collect()
    }

    /// Takes facts in that were fetched back. Nothing happens where they are not missing, so that doing it again does nothing.
    pub fn take_in(&mut self, fetched: &BoxFactsFetched, acts: &[EarlierAct]) {
        let BoxFactsFetched { epoch, from, to, .. } = *fetched;
        if !self.lacks(epoch, from, to) {
            return;
        }
        let behind = self.missing.iter().filter(|range| range.epoch == epoch && range.to > to);
        let remembered = behind.map(|range| range.to - to).max().unwrap_or(0) <= REMEMBERED_FACTS;
        let stood = self.at;
        for act in acts.iter().filter(|act| !act.again) {
            self.take_act(act, remembered);
        }
        self.at = stood;
        let taken = BoxBooksIncomplete { epoch, from, to };
        self.missing = without(std::mem::take(&mut self.missing), &taken);
        self.unnamed = without(std::mem::take(&mut self.unnamed), &taken);
        self.fetched.push(taken);
        self.fetched.sort_by_key(|range| (range.epoch, range.from));
        self.fetched.dedup_by(|next, before| {
            let joins = before.epoch == next.epoch && before.to + 1 == next.from;
            if joins {
                before.to = next.to;
            }
            joins
        });
    }

    fn take_act(&mut self, act: &EarlierAct, remembered: bool) {
        let facts: Vec<Fact> = act.facts.iter().map(|(_, fact)| fact.clone()).collect();
        let counted = self.has_counted(&facts);
        let remembers = remembered && self.remembered.has_room();
        for (seq, fact) in &act.facts {
            if counted && fact.body.adds_up() {
                continue;
            }
            self.at = Place { epoch: act.first.epoch, seq: *seq };
            // It only adds: what goes below zero by it has been told, or is made up for by what is fetched next.
            let _told = self.ledger.apply(&fact.body);
            self.take_fact(fact, remembers);
        }
    }

    fn take_fact(&mut self, fact: &Fact, remembers: bool) {
        let quiet = PrintIntent { print: false };
        match &fact.body {
            FactBody::OrderApplied(applied) => self.orders.apply_earlier(applied),
            FactBody::SaleCompleted(sale) => {
                let (epoch, number) = (sale.receipt.epoch, sale.receipt.number);
                let book = self.tills.get(&sale.till);
                let is_last = book.is_none_or(|book| book.last < Some((epoch, number)));
                let before = book.map(|book| (book.last, book.last_sale.clone(), book.paper));
                self.take_or_forget(fact, quiet, remembers);
                if let (false, Some((last, last_sale, paper)), Some(book)) =
                    (is_last, before, self.tills.get_mut(&sale.till))
                {
                    (book.last, book.last_sale, book.paper) = (last, last_sale, paper);
                }
            }
            FactBody::TillOpened(opened) if self.turns(&opened.till) => {
                self.take_or_forget(fact, quiet, remembers);
            }
            FactBody::TillClosed(closed) if self.turns(&closed.till) => {
                self.take_or_forget(fact, quiet, remembers);
            }
            // The till has gone on since; that it was done is remembered all the same.
            FactBody::TillOpened(TillOpened { till, session, float }) if remembers => {
                let done = Done::Opened { till: till.clone(), session: *session, float: *float };
                self.remember_earlier(fact, done);
            }
            FactBody::TillClosed(TillClosed { till, counted, expected, variance, .. }) if remembers => {
                let (till, counted, expected, variance) = (till.clone(), *counted, *expected, *variance);
                self.remember_earlier(fact, Done::Closed { till, counted, expected, variance });
            }
            FactBody::StockSold(_) if !remembers => {}
            FactBody::TillReceived(_)
            | FactBody::TillPaidIn(_)
            | FactBody::TillPaidOut(_)
            | FactBody::StockOpened(_)
            | FactBody::StockSold(_)
            | FactBody::DrawerOpened(_)
            | FactBody::PatientRegistered(_)
            | FactBody::PatientAmended(_)
            | FactBody::PrintCompleted(_)
            | FactBody::PrintReprinted(_)
            | FactBody::PrintUnknown(_) => self.take_or_forget(fact, quiet, remembers),
            _ => {}
        }
    }

    fn remember_earlier(&mut self, fact: &Fact, done: Done) {
        if !self.remembered.knows(fact.act) {
            self.remember(fact.act, done);
        }
    }

    fn turns(&self, till: &TillId) -> bool {
        self.tills.get(till).is_none_or(|book| book.turns_at(self.at))
    }

    /// Books a fact; what became of its act is remembered only where that makes nothing later forgotten, and what was answered
    /// meanwhile stays the answer.
    fn take_or_forget(&mut self, fact: &Fact, intent: PrintIntent, remembers: bool) {
        let known = self.remembered.done(fact.act);
        self.remembers = remembers;
        self.apply_fact(fact, intent);
        self.remembers = true;
        if let Some(known) = known {
            self.remember(fact.act, known);
        }
    }
}

impl TillBook {
    /// A session has begun in whose name something was moved already.
    pub(super) fn take_up_stray(&mut self) {
        let (Till::Open(session), Some(sums)) = (&mut self.till, &mut self.sums) else { return };
        let Some(stray) = self.stray.take_if(|stray| stray.session == session.id) else { return };
        let Stray { received, paid_in, paid_out, sales, taxes, .. } = stray;
        let add = |to: &mut Money, amount: Money| *to = to.add(amount).unwrap_or(*to);
        add(&mut sums.received, received);
        add(&mut sums.paid_in, paid_in);
        add(&mut sums.paid_out, paid_out);
        add_taxes(&mut sums.taxes, &taxes);
        add(&mut session.expected, received);
        add(&mut session.expected, paid_in);
        session.expected = session.expected.sub(paid_out).unwrap_or(session.expected);
        session.sales = session.sales.saturating_add(sales);
    }
}

impl Stray {
    /// Books a movement of its session.
    pub(super) fn add(&mut self, body: &FactBody, amount: Money) {
        let sum = match body {
            FactBody::TillPaidIn(_) => &mut self.paid_in,
            FactBody::TillPaidOut(_) => &mut self.paid_out,
            _ => {
                self.sales = self.sales.saturating_add(1);
                &mut self.received
            }
        };
        *sum = sum.add(amount).unwrap_or(*sum);
    }
}

/// What is left of ranges without one of them.
pub(crate) fn without(
    ranges: Vec<BoxBooksIncomplete>,
    taken: &BoxBooksIncomplete,
) -> Vec<BoxBooksIncomplete> {
    let mut left = Vec::new();
    for range in ranges {
        let apart = range.epoch != taken.epoch || range.to < taken.from || taken.to < range.from;
        if apart {
            left.push(range);
            continue;
        }
        let part = |from, to| BoxBooksIncomplete { epoch: range.epoch, from, to };
        if range.from < taken.from {
            left.push(part(range.from, taken.from - 1));
        }
        if taken.to < range.to {
            left.push(part(taken.to + 1, range.to));
        }
    }
    left
}
