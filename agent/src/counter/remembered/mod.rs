//! What the books remember of acts that are done and of packs that left: [`Remembered`], in little memory. [`recent`] is the
//! map that forgets its oldest entry, [`bytes`] is the form in which all of it is kept in a file. Pure.
//!
//! A pack is remembered by 128 bits of a SHA-256 of its article and serial number: two packs of which one would be taken for
//! the other come once in 2⁶⁴ packs. A till's name is written once and named by its number.

pub mod bytes;
pub mod recent;

use pestle_domain::{
    fact::ReceiptNumber,
    ids::{ActId, ProductId, SessionId, TillId},
    money::{Currency, Money},
    signature::Preimage,
};

use super::{command::CashWay, records::Done};
use recent::Recent;

/// Acts that are remembered for repeats: a busy branch's 35 days at some 1,400 sales a day, which is how long its facts
/// stay on the box.
pub const ACTS_MAX: usize = 50_000;

/// Serial numbers that are remembered. What a branch sells one by one in two years; older packs are past their expiry
/// or known to the verification system.
pub const SERIALS_MAX: usize = 200_000;

/// Says what is hashed: nothing else that is hashed begins so.
const SERIAL_LABEL: &str = "pestle-sold-serial-v1";

/// A till, by its number in [`Remembered::tills`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct TillNumber(u32);

/// An article with its serial number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct SerialKey([u8; 16]);

/// A receipt, in little room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Receipt {
    till: TillNumber,
    epoch: u32,
    number: u64,
}

/// [`Done`], in little room: all amounts of an act are in one currency.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Compact {
    Sold {
        receipt: Receipt,
        currency: Currency,
        total: i64,
        tendered: i64,
        change: i64,
    },
    Opened {
        till: TillNumber,
        session: SessionId,
        currency: Currency,
        float: i64,
    },
    Closed {
        till: TillNumber,
        currency: Currency,
        counted: i64,
        expected: i64,
        variance: i64,
    },
    Moved {
        till: TillNumber,
        way: CashWay,
        currency: Currency,
        amount: i64,
    },
    DrawerOpened {
        till: TillNumber,
    },
    /// One that is not as the others are: nothing that was recorded is refused here.
    Whole(Box<Done>),
}

/// See the module's text.
#[derive(Debug, Clone)]
pub struct Remembered {
    tills: Vec<TillId>,
    acts: Recent<ActId, Compact>,
    serials: Recent<SerialKey, Receipt>,
}

impl Default for Remembered {
    fn default() -> Self {
        Self { tills: Vec::new(), acts: Recent::new(ACTS_MAX), serials: Recent::new(SERIALS_MAX) }
    }
}

/// By what is remembered, not by the numbers that the tills have.
impl PartialEq for Remembered {
    fn eq(&self, other: &Self) -> bool {
        let acts =
            |of: &Self| -> Vec<_> { of.acts.iter().map(|(act, done)| (*act, of.whole(done))).collect() };
        let serials = |of: &Self| -> Vec<_> {
            of.serials.iter().map(|(key, receipt)| (*key, of.receipt(receipt))).collect()
        };
        acts(self) == acts(other) && serials(self) == serials(other)
    }
}

impl Remembered {
    /// What became of an act.
    pub fn done(&self, act: ActId) -> Option<Done> {
        self.whole(self.acts.get(&act)?)
    }

    /// Whether an act is remembered.
    pub fn knows(&self, act: ActId) -> bool {
        self.acts.get(&act).is_some()
    }

    /// Whether an act and a pack can be remembered without forgetting others.
    pub fn has_room(&self) -> bool {
        self.acts.len() < ACTS_MAX && self.serials.len() < SERIALS_MAX
    }

    /// The receipt with which a pack left.
    pub fn sold(&self, product: &ProductId, serial: &str) -> Option<ReceiptNumber> {
        self.receipt(self.serials.get(&key_of(product, serial))?)
    }

    /// Remembers what became of an act. Past [`ACTS_MAX`] the oldest is forgotten.
    pub fn remember(&mut self, act: ActId, done: Done) {
        let compact = self.compact(done);
        self.acts.insert(act, compact);
    }

    /// Remembers that a pack left. Past [`SERIALS_MAX`] the oldest is forgotten.
    pub fn remember_serial(&mut self, product: &ProductId, serial: &str, receipt: &ReceiptNumber) {
        let receipt = self.short(receipt);
        self.serials.insert(key_of(product, serial), receipt);
    }

    fn short(&mut self, receipt: &ReceiptNumber) -> Receipt {
        Receipt { till: self.till_number(&receipt.till), epoch: receipt.epoch, number: receipt.number }
    }

    fn receipt(&self, short: &Receipt) -> Option<ReceiptNumber> {
        Some(ReceiptNumber { till: self.till(short.till)?, epoch: short.epoch, number: short.number })
    }

    /// A branch has as many tills as it ever had drawers: a handful.
    fn till_number(&mut self, till: &TillId) -> TillNumber {
        let index = self.tills.iter().position(|known| known == till).unwrap_or_else(|| {
            self.tills.push(till.clone());
            self.tills.len() - 1
        });
        TillNumber(u32::try_from(index).unwrap_or(u32::MAX))
    }

    fn till(&self, number: TillNumber) -> Option<TillId> {
        self.tills.get(number.0 as usize).cloned()
    }

    fn compact(&mut self, done: Done) -> Compact {
        let one_currency =
            |amounts: &[Money]| amounts.windows(2).all(|pair| pair[0].currency == pair[1].currency);
        match done {
            Done::Sold { receipt, total, tendered, change } if one_currency(&[total, tendered, change]) => {
                Compact::Sold {
                    receipt: self.short(&receipt),
                    currency: total.currency,
                    total: total.minor,
                    tendered: tendered.minor,
                    change: change.minor,
                }
            }
            Done::Opened { till, session, float } => Compact::Opened {
                till: self.till_number(&till),
                session,
                currency: float.currency,
                float: float.minor,
            },
            Done::Closed { till, counted, expected, variance }
                if one_currency(&[counted, expected, variance]) =>
            {
                Compact::Closed {
                    till: self.till_number(&till),
                    currency: counted.currency,
                    counted: counted.minor,
                    expected: expected.minor,
                    variance: variance.minor,
                }
            }
            Done::Moved { till, way, amount } => Compact::Moved {
                till: self.till_number(&till),
                way,
                currency: amount.currency,
                amount: amount.minor,
            },
            Done::DrawerOpened { till } => Compact::DrawerOpened { till: self.till_number(&till) },
            other => Compact::Whole(Box::new(other)),
        }
    }

    fn whole(&self, compact: &Compact) -> Option<Done> {
        let money = |minor: i64, currency: Currency| Money { minor, currency };
        Some(match *compact {
            Compact::Sold { ref receipt, currency, total, tendered, change } => Done::Sold {
                receipt: self.receipt(receipt)?,
                total: money(total, currency),
                tendered: money(tendered, currency),
                change: money(change, currency),
            },
            Compact::Opened { till, session, currency, float } => {
                Done::Opened { till: self.till(till)?, session, float: money(float, currency) }
            }
            Compact::Closed { till, currency, counted, expected, variance } => Done::Closed {
                till: self.till(till)?,
                counted: money(counted, currency),
                expected: money(expected, currency),
                variance: money(variance, currency),
            },
            Compact::Moved { till, way, currency, amount } => {
                Done::Moved { till: self.till(till)?, way, amount: money(amount, currency) }
            }
            Compact::DrawerOpened { till } => Done::DrawerOpened { till: self.till(till)? },
            Compact::Whole(ref done) => (**done).clone(),
        })
    }
}

fn key_of(product: &ProductId, serial: &str) -> SerialKey {
    let hash = Preimage::new(SERIAL_LABEL).bytes(product.as_str().as_bytes()).bytes(serial.as_bytes()).hash();
    let mut key = [0; 16];
    key.copy_from_slice(&hash.0[..16]);
    SerialKey(key)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use uuid::Uuid;

    pub(in crate::counter) fn till(number: usize) -> TillId {
        format!("till-{number}").parse().unwrap()
    }

    /// One of each, named by `number`.
    pub(in crate::counter) fn done(number: u64) -> Done {
        let pence = |minor| Money::new(minor, Currency::GBP);
        let (till, minor) = (till(usize::try_from(number % 3).unwrap()), i64::try_from(number).unwrap());
        match number % 6 {
            0 => Done::Sold {
                receipt: ReceiptNumber { till, epoch: 7, number },
                total: pence(minor),
                tendered: pence(minor + 5),
                change: pence(5),
            },
            1 => {
                Done::Opened { till, session: SessionId(Uuid::from_u128(number.into())), float: pence(minor) }
            }
            2 => {
                Done::Closed { till, counted: pence(minor), expected: pence(minor + 2), variance: pence(-2) }
            }
            3 => Done::Moved { till, way: CashWay::Out, amount: Money::new(minor, Currency::JPY) },
            4 => Done::DrawerOpened { till },
            _ => Done::Closed {
                till,
                counted: pence(minor),
                expected: Money::new(minor, Currency::EUR),
                variance: pence(0),
            },
        }
    }

    #[test]
    fn each_kind_of_act_is_remembered_as_it_was() {
        let mut remembered = Remembered::default();
        for number in 0..60 {
            remembered.remember(ActId(Uuid::from_u128(number.into())), done(number));
        }
        for number in 0..60 {
            assert_eq!(remembered.done(ActId(Uuid::from_u128(number.into()))), Some(done(number)));
        }
        assert_eq!(remembered.done(ActId(Uuid::from_u128(60))), None);
    }

    #[test]
    fn a_pack_is_known_by_article_and_serial_together() {
        let mut remembered = Remembered::default();
        let receipt = |number| ReceiptNumber { till: till(1), epoch: 1, number };
        let (one, other): (ProductId, ProductId) = ("p-1".parse().unwrap(), "p-11".parse().unwrap());
        remembered.remember_serial(&one, "1S", &receipt(1));
        remembered.remember_serial(&other, "S", &receipt(2));
        assert_eq!(remembered.sold(&one, "1S"), Some(receipt(1)));
        assert_eq!(remembered.sold(&other, "S"), Some(receipt(2)));
        assert_eq!(remembered.sold(&one, "S"), None);
        assert_eq!(remembered.sold(&other, "1S"), None);
    }

    #[test]
    fn what_is_remembered_compares_by_its_tills_names() {
        let (mut one, mut other) = (Remembered::default(), Remembered::default());
        other.remember_serial(
            &"p-9".parse().unwrap(),
            "x",
            &ReceiptNumber { till: till(2), epoch: 1, number: 1 },
        );
        let mut third = other.clone();
        for of in [&mut one, &mut other] {
            of.remember(ActId(Uuid::nil()), Done::DrawerOpened { till: till(1) });
        }
        assert!(one != other);
        third.remember(ActId(Uuid::nil()), Done::DrawerOpened { till: till(2) });
        assert!(other != third, "another till");
        third.remember(ActId(Uuid::nil()), Done::DrawerOpened { till: till(1) });
        assert!(other == third);
    }
}
