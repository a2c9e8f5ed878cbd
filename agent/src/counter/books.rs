//! What the journal's facts add up to: stock, tills, receipt numbers, which acts are done, which packs left, which
//! documents may still have to be printed.
//!
//! [`Books::apply`] is the one way in, at replay and live. Everything here is derived: it may be deleted and is then
//! rebuilt from the journal.

use std::collections::{BTreeMap, BTreeSet};

use pestle_domain::{
    fact::{
        Actor, BoxBooksIncomplete, Fact, FactBody, ReceiptNumber, SaleCompleted, Stamp, TaxShare, TillClosed,
    },
    ids::{ActId, ProductId, SessionId, StaffId, TillId},
    money::Money,
    stock::{Discrepancy, Ledger},
    till::Till,
};

use super::{
    command::CashWay,
    records::{
        CANNOT_TELL, ClosingRecord, Denials, Done, GIVEN_UP, LET_GO, Paper, PrintIntent, Printable,
        SaleRecord, Sums, TillBook,
    },
    remembered::Remembered,
};
use crate::{cold::book::ColdBook, journal::Place, orders::book::OrderBook};

/// Names whose wrong sign-ins are remembered: the staff of a large branch, and some that are nobody's.
pub const DENIALS_MAX: usize = 128;

/// The folded state of a branch.
#[derive(Debug, Clone, PartialEq)]
pub struct Books {
    /// What the branch holds.
    pub ledger: Ledger,
    pub(super) tills: BTreeMap<TillId, TillBook>,
    /// Acts that are done, packs that left.
    pub(super) remembered: Remembered,
    /// Acts that booked opening stock. They are few, and never forgotten: the same file twice must change nothing.
    pub(super) stock_opened: BTreeSet<ActId>,
    /// Facts that could not be had when the books were rebuilt, and were not fetched back since.
    pub(super) missing: Vec<BoxBooksIncomplete>,
    /// Those of them of which no fact tells: the centre has not heard of them.
    pub(super) unnamed: Vec<BoxBooksIncomplete>,
    /// Facts that were fetched back.
    pub(super) fetched: Vec<BoxBooksIncomplete>,
    /// The place of the act that is booked, or was booked last. It is kept beside the books.
    pub(super) at: Place,
    /// Papers without a known end. What bounds them is the bound of a printer's queue, which ends one with a fact before it
    /// takes another.
    pub(super) prints: BTreeMap<ActId, Printable>,
    pub(super) denials: BTreeMap<StaffId, Denials>,
    pub(super) orders: OrderBook,
    pub(super) cold: ColdBook,
    /// Whether acts and packs are remembered; not while older ones are taken in for which there is no room.
    pub(super) remembers: bool,
}

impl Default for Books {
    fn default() -> Self {
        Self {
            ledger: Ledger::default(),
            tills: BTreeMap::new(),
            remembered: Remembered::default(),
            stock_opened: BTreeSet::new(),
            missing: Vec::new(),
            unnamed: Vec::new(),
            fetched: Vec::new(),
            at: Place::START,
            prints: BTreeMap::new(),
            denials: BTreeMap::new(),
            orders: OrderBook::default(),
            cold: ColdBook::default(),
            remembers: true,
        }
    }
}

impl Books {
    /// One till's book; `None` before its first fact.
    pub fn till(&self, till: &TillId) -> Option<&TillBook> {
        self.tills.get(till)
    }

    /// What became of an act that a page sent before.
    pub fn done(&self, act: ActId) -> Option<Done> {
        self.remembered.done(act)
    }

    /// The receipt with which a serial number left.
    pub fn sold(&self, product: &ProductId, serial: &str) -> Option<ReceiptNumber> {
        self.remembered.sold(product, serial)
    }

    /// Whether this act booked opening stock.
    pub fn has_opened_stock(&self, act: ActId) -> bool {
        self.stock_opened.contains(&act)
    }

    /// Whether any opening stock was booked.
    pub fn has_stock_opened(&self) -> bool {
        !self.stock_opened.is_empty()
    }

    /// Facts of this box that are not in these books.
    pub fn missing(&self) -> &[BoxBooksIncomplete] {
        &self.missing
    }

    /// Of the missing facts those that no fact names yet.
    pub fn unnamed(&self) -> &[BoxBooksIncomplete] {
        &self.unnamed
    }

    /// Facts of this box that were fetched back into these books.
    pub fn fetched(&self) -> &[BoxBooksIncomplete] {
        &self.fetched
    }

    /// What is applied next stands there, with its last fact.
    pub fn stand_at(&mut self, place: Place) {
        self.at = place;
    }

    /// The wrong sign-ins of a name since its last right one.
    pub fn denials(&self, staff: &StaffId) -> Option<&Denials> {
        self.denials.get(staff)
    }

    /// Where the centre's orders stand.
    pub fn orders(&self) -> &OrderBook {
        &self.orders
    }

    /// A document of which no fact tells that it is on paper.
    pub fn print(&self, act: &ActId) -> Option<&Printable> {
        self.prints.get(act)
    }

    /// Documents of which no fact tells that they are on paper.
    pub fn prints(&self) -> impl Iterator<Item = &Printable> {
        self.prints.values()
    }

    /// Books one act. Total: whatever is in the journal happened. What cannot be right is returned, to be logged and
    /// counted.
    pub fn apply(&mut self, facts: &[Fact], attachment: &[u8]) -> Vec<Discrepancy> {
        let intent = PrintIntent::from_bytes(attachment);
        let mut found = Vec::new();
        let counted = self.has_counted(facts);
        for fact in facts {
            if counted && fact.body.adds_up() {
                self.note_number(&fact.body);
                continue;
            }
            found.extend(self.ledger.apply(&fact.body));
            self.orders.apply(&fact.body);
            self.cold.apply(&fact.body);
            self.apply_fact(fact, intent);
            if let FactBody::PrintRequested(requested) = &fact.body {
                self.apply_request(fact, requested, attachment);
            }
        }
        found
    }

    /// Whether these facts add up and their act is booked already: a page sent it again while the box could not read what it
    /// had recorded. It happened once.
    pub(super) fn has_counted(&self, facts: &[Fact]) -> bool {
        let order = |fact: &Fact| match &fact.body {
            FactBody::OrderApplied(applied) => self.orders.knows(applied.order),
            _ => false,
        };
        let Some(act) = facts.iter().find(|fact| fact.body.adds_up()).map(|fact| fact.act) else {
            return false;
        };
        self.remembered.knows(act) || self.stock_opened.contains(&act) || facts.iter().any(order)
    }

    /// The number of a receipt is used, also where its sale does not count.
    fn note_number(&mut self, body: &FactBody) {
        if let FactBody::SaleCompleted(sale) = body {
            let book = self.tills.entry(sale.till.clone()).or_default();
            book.last = book.last.max(Some((sale.receipt.epoch, sale.receipt.number)));
        }
    }

    pub(super) fn apply_fact(&mut self, fact: &Fact, intent: PrintIntent) {
        match &fact.body {
            FactBody::SaleCompleted(sale) => self.apply_sale(fact, sale, intent),
            FactBody::TillOpened(opened) => {
                let zero = Money::zero(opened.float.currency);
                let book = self.tills.entry(opened.till.clone()).or_default();
                book.till.apply(&fact.body);
                book.sums = Some(Sums {
                    session: opened.session,
                    opened_at: fact.at.wall_ms,
                    opened_on: fact.at.business_date,
                    float: opened.float,
                    received: zero,
                    paid_in: zero,
                    paid_out: zero,
                    taxes: Vec::new(),
                });
                book.turned_at = Some(self.at);
                book.take_up_stray();
                let (till, session, float) = (opened.till.clone(), opened.session, opened.float);
                self.remember(fact.act, Done::Opened { till, session, float });
            }
            FactBody::TillClosed(closed) => self.apply_closing(fact, closed, intent),
            FactBody::TillReceived(moved) => {
                self.move_money(&moved.till, fact, moved.session, moved.amount, |sums| &mut sums.received);
            }
            FactBody::TillPaidIn(moved) => {
                self.move_money(&moved.till, fact, moved.session, moved.amount, |sums| &mut sums.paid_in);
                let (till, way, amount) = (moved.till.clone(), CashWay::In, moved.amount);
                self.remember(fact.act, Done::Moved { till, way, amount });
            }
            FactBody::TillPaidOut(moved) => {
                self.move_money(&moved.till, fact, moved.session, moved.amount, |sums| &mut sums.paid_out);
                let (till, way, amount) = (moved.till.clone(), CashWay::Out, moved.amount);
                self.remember(fact.act, Done::Moved { till, way, amount });
            }
            FactBody::DrawerOpened(opened) if opened.cause == pestle_domain::fact::DrawerCause::NoSale => {
                self.remember(fact.act, Done::DrawerOpened { till: opened.till.clone() });
            }
            FactBody::StockSold(sold) => {
                for one in &sold.moves {
                    for serial in &one.serials {
                        self.remembered.remember_serial(&one.product, serial, &sold.receipt);
                    }
                }
            }
            FactBody::PatientRegistered(registered) => {
                self.remember(fact.act, Done::Patient { person: registered.details.person, new: true });
            }
            FactBody::PatientAmended(amended) => {
                self.remember(fact.act, Done::Patient { person: amended.details.person, new: false });
            }
            FactBody::PrintCompleted(printed) => self.end_print(printed.document, Paper::Printed),
            FactBody::PrintReprinted(printed) => self.end_print(printed.document, Paper::Copied),
            FactBody::PrintUnknown(unknown) => match &*unknown.reason {
                // Nobody is asked about each receipt of a printer that never answers.
                reason if reason.starts_with(CANNOT_TELL) => {
                    self.end_print(unknown.document, Paper::CannotTell)
                }
                GIVEN_UP | LET_GO => self.end_print(unknown.document, Paper::GivenUp),
                // A person who gave a document up has answered the question; the box alone has not.
                _ if fact.actor != Actor::Machine => self.end_print(unknown.document, Paper::GivenUp),
                _ => self.note_paper(unknown.document, Paper::Unknown),
            },
            FactBody::StockOpened(_) => drop(self.stock_opened.insert(fact.act)),
            FactBody::BoxBooksIncomplete(range) => self.note_named(range),
            FactBody::StaffDenied(denied) => self.note_denial(&denied.staff, &fact.at),
            FactBody::StaffSignedIn(signed_in) => drop(self.denials.remove(&signed_in.staff)),
            _ => {}
        }
    }

    fn end_print(&mut self, document: ActId, paper: Paper) {
        self.prints.remove(&document);
        self.note_paper(document, paper);
    }

    fn note_paper(&mut self, document: ActId, paper: Paper) {
        let its_sale =
            |book: &&mut TillBook| book.last_sale.as_ref().is_some_and(|sale| sale.act == document);
        if let Some(book) = self.tills.values_mut().find(its_sale)
            // A copy on top of the receipt does not take the receipt away.
            && !(book.paper == Paper::Printed && paper != Paper::Printed)
        {
            book.paper = paper;
        }
    }

    fn note_denial(&mut self, staff: &StaffId, at: &Stamp) {
        let wrong = self.denials.get(staff).map_or(0, |denials| denials.wrong).saturating_add(1);
        let denials = Denials { wrong, boot: at.boot.clone(), mono_ms: at.mono_ms };
        self.denials.insert(staff.clone(), denials);
        if self.denials.len() > DENIALS_MAX {
            let least = self.denials.iter().min_by_key(|(_, denials)| denials.wrong);
            if let Some(least) = least.map(|(staff, _)| staff.clone()) {
                self.denials.remove(&least);
            }
        }
    }

    /// A document that is to be printed.
    pub(super) fn await_print(&mut self, printable: Printable) {
        self.prints.insert(printable.act(), printable);
    }

    fn apply_sale(&mut self, fact: &Fact, sale: &SaleCompleted, intent: PrintIntent) {
        let record =
            SaleRecord { act: fact.act, at: fact.at.wall_ms, by: fact.actor.clone(), sale: sale.clone() };
        let book = self.tills.entry(sale.till.clone()).or_default();
        let number = (sale.receipt.epoch, sale.receipt.number);
        book.last = book.last.max(Some(number));
        match book.sums.as_mut().filter(|sums| sums.session == sale.session) {
            Some(sums) => add_taxes(&mut sums.taxes, &sale.taxes),
            None if book.turned_at.is_none_or(|turned| self.at >= turned) => {
                let stray = book.stray(sale.session, Money::zero(sale.total.currency));
                add_taxes(&mut stray.taxes, &sale.taxes);
            }
            None => {}
        }
        book.last_sale = Some(record.clone());
        book.paper = Paper::Open;
        if intent.print {
            self.await_print(Printable::Receipt(Box::new(record)));
        }
        let SaleCompleted { receipt, total, tendered, change, .. } = sale.clone();
        self.remember(fact.act, Done::Sold { receipt, total, tendered, change });
    }

    fn apply_closing(&mut self, fact: &Fact, closed: &TillClosed, intent: PrintIntent) {
        let book = self.tills.entry(closed.till.clone()).or_default();
        book.till.apply(&fact.body);
        // Books that did not see this session begin did not see the end of the one before it either.
        if book.till.session().is_ok_and(|open| open.id != closed.session) {
            book.till = Till::Closed;
            book.sums = None;
        }
        book.turned_at = Some(self.at);
        book.stray = book.stray.take().filter(|stray| stray.session != closed.session);
        if let Some(sums) = book.sums.take_if(|sums| sums.session == closed.session) {
            let record = ClosingRecord {
                act: fact.act,
                at: fact.at.wall_ms,
                by: fact.actor.clone(),
                closed: closed.clone(),
                sums,
            };
            book.last_closing = Some(record.clone());
            if intent.print {
                self.await_print(Printable::Closing(Box::new(record)));
            }
        }
        let TillClosed { till, counted, expected, variance, .. } = closed.clone();
        self.remember(fact.act, Done::Closed { till, counted, expected, variance });
    }

    pub(super) fn move_money(
        &mut self,
        till: &TillId,
        fact: &Fact,
        session: SessionId,
        amount: Money,
        sum: impl Fn(&mut Sums) -> &mut Money,
    ) {
        let book = self.tills.entry(till.clone()).or_default();
        book.till.apply(&fact.body);
        if let Some(sums) = book.sums.as_mut().filter(|sums| sums.session == session) {
            let sum = sum(sums);
            *sum = sum.add(amount).unwrap_or(*sum);
        } else if book.turned_at.is_none_or(|turned| self.at >= turned) {
            book.stray(session, Money::zero(amount.currency)).add(&fact.body, amount);
        }
    }

    pub(super) fn remember(&mut self, act: ActId, done: Done) {
        if self.remembers {
            self.remembered.remember(act, done);
        }
    }
}

pub(super) fn add_taxes(sums: &mut Vec<TaxShare>, shares: &[TaxShare]) {
    for share in shares {
        match sums.iter_mut().find(|sum| sum.rate == share.rate) {
            Some(sum) => {
                sum.gross = sum.gross.add(share.gross).unwrap_or(sum.gross);
                sum.tax = sum.tax.add(share.tax).unwrap_or(sum.tax);
            }
            None => sums.push(*share),
        }
    }
    sums.sort_by_key(|sum| std::cmp::Reverse(sum.rate));
}
