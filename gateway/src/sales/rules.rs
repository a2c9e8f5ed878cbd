//! What facts do to the centre's sales and cash sessions, gathered for one transaction. Pure.

use std::collections::{BTreeMap, HashSet};

use pestle_domain::{
    fact::{FactBody, SaleCompleted},
    money::Money,
    till,
};
use time::Date;
use uuid::Uuid;

use crate::inventory::rules::Place;

/// What of a fact's envelope sales are interested in.
#[derive(Debug, Clone, Copy)]
pub struct Circumstance<'a> {
    /// Where the fact stands.
    pub place: Place<'a>,
    /// The box.
    pub device: &'a str,
    /// The fact.
    pub fact: Uuid,
    /// Its act.
    pub act: Uuid,
    /// Who did it.
    pub actor: &'a str,
    /// By the device's clock, in milliseconds since 1970 UTC.
    pub wall_ms: i64,
    /// Day of business.
    pub day: Date,
}

/// A session of one branch in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey<'a> {
    /// The branch.
    pub branch: &'a str,
    /// The session.
    pub session: Uuid,
    /// ISO 4217.
    pub currency: &'static str,
}

/// How a session began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening<'a> {
    /// Counted into the drawer, minor units.
    pub float_minor: i64,
    /// By the device's clock.
    pub wall_ms: i64,
    /// Who.
    pub actor: &'a str,
    /// Day of business.
    pub day: Date,
}

/// How a session ended, as the branch told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing<'a> {
    /// By the person, minor units.
    pub counted_minor: i64,
    /// By the branch's book.
    pub expected_minor: i64,
    /// Their difference.
    pub variance_minor: i64,
    /// Sales by the branch's book.
    pub sales: i64,
    /// By the device's clock.
    pub wall_ms: i64,
    /// Who.
    pub actor: &'a str,
}

/// What a transaction does to one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionChange<'a> {
    /// Whose drawer.
    pub till: &'a str,
    /// The box.
    pub device: &'a str,
    /// If it began.
    pub opening: Option<Opening<'a>>,
    /// From sales, minor units.
    pub received_minor: i64,
    /// Put in.
    pub paid_in_minor: i64,
    /// Taken out; positive.
    pub paid_out_minor: i64,
    /// How many sales.
    pub sales: i64,
    /// Of the sums, what came after the closing.
    pub late_minor: i64,
    /// How many movements came after the closing.
    pub late_count: i64,
    /// If it ended.
    pub closing: Option<Closing<'a>>,
}

/// A sale, beside its lines.
#[derive(Debug, Clone, Copy)]
pub struct SaleRow<'a> {
    /// Where, when and by whom.
    pub at: Circumstance<'a>,
    /// What.
    pub sale: &'a SaleCompleted,
    /// Sum of the tax inside, minor units.
    pub tax_minor: i64,
}

/// Money that moved in a drawer.
#[derive(Debug, Clone, Copy)]
pub struct MovementRow<'a> {
    /// Where, when and by whom.
    pub at: Circumstance<'a>,
    /// Whose drawer.
    pub till: &'a str,
    /// Of which session.
    pub session: Uuid,
    /// `received`, `paid_in` or `paid_out`.
    pub kind: &'static str,
    /// Positive into the drawer.
    pub amount: Money,
    /// In a person's words, or the receipt.
    pub reason: &'a str,
    /// It came after its session was closed.
    pub late: bool,
}

/// Totals of a day that a transaction adds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DayChange {
    /// How many sales.
    pub sales: i64,
    /// Tax included, minor units.
    pub gross_minor: i64,
    /// The tax inside.
    pub tax_minor: i64,
}

/// A branch's day in one currency: branch, day, ISO 4217.
pub type DayKey<'a> = (&'a str, Date, &'static str);

/// Everything that one transaction does to sales and tills.
#[derive(Debug, Default)]
pub struct Takings<'a> {
    /// One each.
    pub sales: Vec<SaleRow<'a>>,
    /// One each.
    pub movements: Vec<MovementRow<'a>>,
    /// Sorted: concurrent transactions lock rows in one order.
    pub sessions: BTreeMap<SessionKey<'a>, SessionChange<'a>>,
    /// Sorted likewise.
    pub days: BTreeMap<DayKey<'a>, DayChange>,
    /// Sessions that were closed before, in the database or in this transaction.
    closed: HashSet<(String, Uuid)>,
}

/// The session in which `body` moves money after the opening: whether it is closed already must be known to book it.
pub fn session_moved(body: &FactBody) -> Option<Uuid> {
    till::movement(body).map(|movement| movement.session.0)
}

impl<'a> Takings<'a> {
    /// Nothing yet. `closed` are the sessions (branch, session) that the database knows as closed, of those that
    /// [`session_moved`] names.
    pub fn new(closed: HashSet<(String, Uuid)>) -> Self {
        Self { closed, ..Self::default() }
    }

    /// Books a fact; those that are none of sales' do nothing.
    pub fn add(&mut self, at: Circumstance<'a>, body: &'a FactBody) {
        match body {
            FactBody::SaleCompleted(sale) => {
                let tax_minor =
                    sale.taxes.iter().fold(0i64, |sum, share| sum.saturating_add(share.tax.minor));
                let day = self.days.entry((at.place.branch, at.day, sale.total.currency.code())).or_default();
                day.sales += 1;
                day.gross_minor = day.gross_minor.saturating_add(sale.total.minor);
                day.tax_minor = day.tax_minor.saturating_add(tax_minor);
                self.sales.push(SaleRow { at, sale, tax_minor });
            }
            FactBody::TillOpened(opened) => {
                let session = self.session(at, opened.session.0, opened.float, opened.till.as_str());
                session.opening.get_or_insert(Opening {
                    float_minor: opened.float.minor,
                    wall_ms: at.wall_ms,
                    actor: at.actor,
                    day: at.day,
                });
            }
            FactBody::TillClosed(closed) => {
                let session = self.session(at, closed.session.0, closed.counted, closed.till.as_str());
                session.closing.get_or_insert(Closing {
                    counted_minor: closed.counted.minor,
                    expected_minor: closed.expected.minor,
                    variance_minor: closed.variance.minor,
                    sales: i64::try_from(closed.sales).unwrap_or(i64::MAX),
                    wall_ms: at.wall_ms,
                    actor: at.actor,
                });
                self.closed.insert((at.place.branch.to_owned(), closed.session.0));
            }
            other => self.add_movement(at, other),
        }
    }

    fn add_movement(&mut self, at: Circumstance<'a>, body: &'a FactBody) {
        let Some(moved) = till::movement(body) else { return };
        let (kind, reason): (_, &'a str) = match body {
            FactBody::TillPaidIn(paid) => ("paid_in", &paid.reason),
            FactBody::TillPaidOut(paid) => ("paid_out", &paid.reason),
            _ => ("received", ""),
        };
        let late =
            !self.closed.is_empty() && self.closed.contains(&(at.place.branch.to_owned(), moved.session.0));
        let amount = moved.amount;
        let session = self.session(at, moved.session.0, amount, moved.till.as_str());
        let sum = match kind {
            "paid_in" => &mut session.paid_in_minor,
            "paid_out" => &mut session.paid_out_minor,
            _ => &mut session.received_minor,
        };
        *sum = sum.saturating_add(if kind == "paid_out" { -amount.minor } else { amount.minor });
        session.sales += i64::from(kind == "received");
        if late {
            session.late_minor = session.late_minor.saturating_add(amount.minor);
            session.late_count += 1;
        }
        let (till, session) = (moved.till.as_str(), moved.session.0);
        self.movements.push(MovementRow { at, till, session, kind, amount, reason, late });
    }

    fn session(
        &mut self,
        at: Circumstance<'a>,
        session: Uuid,
        amount: Money,
        till: &'a str,
    ) -> &mut SessionChange<'a> {
        let key = SessionKey { branch: at.place.branch, session, currency: amount.currency.code() };
        self.sessions.entry(key).or_insert(SessionChange {
            till,
            device: at.device,
            opening: None,
            received_minor: 0,
            paid_in_minor: 0,
            paid_out_minor: 0,
            sales: 0,
            late_minor: 0,
            late_count: 0,
            closing: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pestle_domain::{
        fact::{ReceiptNumber, Tender, TillClosed, TillOpened, TillPaidOut, TillReceived},
        ids::{SessionId, TillId},
        money::Currency,
    };

    fn at(seq: i64) -> Circumstance<'static> {
        Circumstance {
            place: Place { branch: "north", stream: 1, seq },
            device: "box-1",
            fact: Uuid::from_u128(u128::try_from(seq).unwrap()),
            act: Uuid::nil(),
            actor: "staff:anna",
            wall_ms: 0,
            day: Date::from_ordinal_date(2026, 1).unwrap(),
        }
    }

    fn pence(minor: i64) -> Money {
        Money::new(minor, Currency::GBP)
    }

    #[test]
    fn money_that_comes_after_the_count_is_an_adjustment_of_its_session() {
        let (till, session): (TillId, _) = ("till-1".parse().unwrap(), SessionId(Uuid::from_u128(7)));
        let receipt = ReceiptNumber { till: till.clone(), epoch: 1, number: 1 };
        let received = |minor| -> FactBody {
            let (till, receipt) = (till.clone(), receipt.clone());
            TillReceived { till, session, tender: Tender::Cash, amount: pence(minor), receipt }.into()
        };
        let facts: Vec<FactBody> = vec![
            TillOpened { till: till.clone(), session, float: pence(1_000) }.into(),
            received(500),
            TillPaidOut { till: till.clone(), session, amount: pence(100), reason: "stamps".into() }.into(),
            TillClosed {
                till: till.clone(),
                session,
                counted: pence(1_400),
                expected: pence(1_400),
                variance: pence(0),
                sales: 1,
            }
            .into(),
            received(250),
        ];
        let mut takings = Takings::default();
        for (seq, fact) in (1..).zip(&facts) {
            takings.add(at(seq), fact);
        }
        let change = takings.sessions.values().next().unwrap();
        assert_eq!((change.received_minor, change.paid_out_minor, change.sales), (750, 100, 2));
        assert_eq!((change.late_minor, change.late_count), (250, 1));
        assert_eq!(
            takings.movements.iter().map(|row| row.amount.minor).collect::<Vec<_>>(),
            [500, -100, 250]
        );

        let mut later = Takings::new(HashSet::from([("north".to_owned(), session.0)]));
        later.add(at(9), &facts[1]);
        assert!(later.movements[0].late);
    }
}
