//! The till: a cash session belongs to a drawer, begins with a float and ends with a blind count.

use serde::{Deserialize, Serialize};

use crate::{
    fact::{FactBody, TillClosed, TillOpened, TillPaidIn, TillPaidOut},
    ids::{SessionId, TillId},
    money::{Money, MoneyError},
};

/// What a till is doing.
///
/// ```text
/// Closed ── till.opened ──► Open ── till.closed ──► Closed
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Till {
    /// No session: nothing is sold.
    #[default]
    Closed,
    /// In a session.
    Open(Session),
}

/// A cash session as the book sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Which.
    pub id: SessionId,
    /// Counted in at the start.
    pub float: Money,
    /// What should be in the drawer now.
    pub expected: Money,
    /// Sales so far.
    pub sales: u64,
}

/// Why a till cannot do that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TillRefusal {
    /// It has a session already.
    #[error("this till is open already: close it first")]
    AlreadyOpen,
    /// It has none.
    #[error("this till is closed: open it with a counted float first")]
    NotOpen,
    /// Less than nothing was counted.
    #[error("the amount cannot be below zero: count the drawer again")]
    Negative,
    /// Nothing, or less, was to be put in or taken out.
    #[error("the amount must be above zero: type it again")]
    NotAboveZero,
    /// Not the branch's currency, or too large.
    #[error("the amount cannot be booked")]
    Money(#[from] MoneyError),
}

impl Till {
    /// The open session.
    ///
    /// # Errors
    /// [`TillRefusal::NotOpen`].
    pub fn session(&self) -> Result<&Session, TillRefusal> {
        match self {
            Self::Open(session) => Ok(session),
            Self::Closed => Err(TillRefusal::NotOpen),
        }
    }

    /// Begins a session.
    ///
    /// # Errors
    /// [`TillRefusal::AlreadyOpen`], [`TillRefusal::Negative`].
    pub fn open(&self, till: &TillId, session: SessionId, float: Money) -> Result<TillOpened, TillRefusal> {
        match self {
            Self::Open(_) => Err(TillRefusal::AlreadyOpen),
            Self::Closed if float.minor < 0 => Err(TillRefusal::Negative),
            Self::Closed => Ok(TillOpened { till: till.clone(), session, float }),
        }
    }

    /// Ends the session with what a person counted without seeing what was expected.
    ///
    /// # Errors
    /// [`TillRefusal::NotOpen`], [`TillRefusal::Negative`], [`TillRefusal::Money`].
    pub fn close(&self, till: &TillId, counted: Money) -> Result<TillClosed, TillRefusal> {
        let session = self.session()?;
        if counted.minor < 0 {
            return Err(TillRefusal::Negative);
        }
        Ok(TillClosed {
            till: till.clone(),
            session: session.id,
            counted,
            expected: session.expected,
            variance: counted.sub(session.expected)?,
            sales: session.sales,
        })
    }

    /// Puts cash in without a sale: change from the bank.
    ///
    /// # Errors
    /// [`TillRefusal::NotOpen`], [`TillRefusal::NotAboveZero`].
    pub fn pay_in(&self, till: &TillId, amount: Money, reason: Box<str>) -> Result<TillPaidIn, TillRefusal> {
        let session = self.session()?.id;
        match amount.minor > 0 {
            true => Ok(TillPaidIn { till: till.clone(), session, amount, reason }),
            false => Err(TillRefusal::NotAboveZero),
        }
    }

    /// Takes cash out without a sale: to the safe. How much there is, the count says.
    ///
    /// # Errors
    /// As [`Till::pay_in`].
    pub fn pay_out(
        &self,
        till: &TillId,
        amount: Money,
        reason: Box<str>,
    ) -> Result<TillPaidOut, TillRefusal> {
        let TillPaidIn { till, session, amount, reason } = self.pay_in(till, amount, reason)?;
        Ok(TillPaidOut { till, session, amount, reason })
    }

    /// Books a fact of this till. Total: what cannot be (a movement of another session) changes nothing here; the
    /// centre books it as an adjustment of the session that it names.
    pub fn apply(&mut self, fact: &FactBody) {
        match (&mut *self, fact) {
            // Closed => Open, and a second opening supersedes: the fact happened
            (_, FactBody::TillOpened(opened)) => {
                *self = Self::Open(Session {
                    id: opened.session,
                    float: opened.float,
                    expected: opened.float,
                    sales: 0,
                });
            }
            // Open => Closed
            (Self::Open(session), FactBody::TillClosed(closed)) if closed.session == session.id => {
                *self = Self::Closed;
            }
            // Open => Open
            (Self::Open(session), fact) => {
                if let Some(movement) = movement(fact)
                    && movement.session == session.id
                    && let Ok(expected) = session.expected.add(movement.amount)
                {
                    session.expected = expected;
                    session.sales += u64::from(matches!(fact, FactBody::TillReceived(_)));
                }
            }
            (Self::Closed, _) => {}
        }
    }
}

/// Money that moved in a session: positive into the drawer, negative out of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement<'a> {
    /// Whose drawer.
    pub till: &'a TillId,
    /// The session that it belongs to for ever.
    pub session: SessionId,
    /// Signed.
    pub amount: Money,
}

/// What `fact` moves in a drawer after its opening; `None` for facts that move no cash.
pub fn movement(fact: &FactBody) -> Option<Movement<'_>> {
    let negative = |money: Money| Money { minor: -money.minor, ..money };
    let (till, session, amount) = match fact {
        FactBody::TillReceived(received) => (&received.till, received.session, received.amount),
        FactBody::TillPaidIn(paid) => (&paid.till, paid.session, paid.amount),
        FactBody::TillPaidOut(paid) => (&paid.till, paid.session, negative(paid.amount)),
        _ => return None,
    };
    Some(Movement { till, session, amount })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fact::{ReceiptNumber, Tender, TillPaidOut, TillReceived},
        money::Currency,
    };

    fn till() -> TillId {
        "till-1".parse().unwrap()
    }
    fn session(byte: u8) -> SessionId {
        SessionId(uuid::Uuid::from_bytes([byte; 16]))
    }
    fn pence(minor: i64) -> Money {
        Money::new(minor, Currency::GBP)
    }
    fn received(id: SessionId, minor: i64) -> FactBody {
        let receipt = ReceiptNumber { till: till(), epoch: 1, number: 1 };
        TillReceived { till: till(), session: id, tender: Tender::Cash, amount: pence(minor), receipt }.into()
    }

    #[test]
    fn a_session_expects_its_float_and_what_moved_since() {
        let mut book = Till::default();
        assert_eq!(book.close(&till(), pence(0)), Err(TillRefusal::NotOpen));
        book.apply(&book.open(&till(), session(1), pence(10_000)).unwrap().into());
        book.apply(&received(session(1), 499));
        book.apply(&received(session(2), 9_999));
        let out =
            TillPaidOut { till: till(), session: session(1), amount: pence(100), reason: "stamps".into() };
        book.apply(&out.into());
        assert_eq!(book.open(&till(), session(3), pence(0)), Err(TillRefusal::AlreadyOpen));
        let closed = book.close(&till(), pence(10_400)).unwrap();
        assert_eq!((closed.expected, closed.variance, closed.sales), (pence(10_399), pence(1), 1));
        book.apply(&closed.into());
        assert_eq!(book, Till::Closed);
    }

    #[test]
    fn a_count_below_zero_is_refused() {
        let mut book = Till::default();
        assert_eq!(book.open(&till(), session(1), pence(-1)), Err(TillRefusal::Negative));
        book.apply(&book.open(&till(), session(1), pence(0)).unwrap().into());
        assert_eq!(book.close(&till(), pence(-1)), Err(TillRefusal::Negative));
    }
}
