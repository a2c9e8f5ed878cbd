//! [`Remembered`] as bytes, in a fixed and compact form: 200,000 packs and 50,000 acts are some 9 MB. They pass in small pieces,
//! since the C library keeps for itself what large blocks took once they are freed. Whoever keeps it adds the checksum. Pure, and
//! total on any bytes.
//!
//! ```text
//! tills:   count u32 ‖ (length u8 ‖ name)*
//! acts:    count u32 ‖ (act id [16] ‖ tag u8 ‖ fields by tag)*      the oldest first
//! serials: count u32 ‖ (key [16] ‖ receipt)*                        the oldest first
//! receipt: till u32 ‖ epoch u32 ‖ number u64
//! ```
//!
//! Integers are big-endian, a currency is its three letters, a till its number in the list. Tags are only ever added.

use std::io::{self, Read, Write};

use pestle_domain::{
    ids::{ActId, SessionId, TillId},
    money::Currency,
};
use uuid::Uuid;

use super::{Compact, Receipt, Remembered, SerialKey, TillNumber};
use crate::counter::command::CashWay;

const SOLD: u8 = 1;
const OPENED: u8 = 2;
const CLOSED: u8 = 3;
const CASH_IN: u8 = 4;
const CASH_OUT: u8 = 5;
const DRAWER_OPENED: u8 = 6;
/// As JSON.
const WHOLE: u8 = 7;

/// The bytes are not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what is remembered of acts and packs is not as it was written")]
pub struct Malformed;

/// Puts all of it into `out`.
///
/// # Errors
/// Those of `out`; and where JSON cannot say an act, which no field of ours allows.
pub fn encode(remembered: &Remembered, out: &mut impl Write) -> io::Result<()> {
    count(remembered.tills.len(), out)?;
    for till in &remembered.tills {
        let name = till.as_str().as_bytes();
        // A slug has at most 40 characters.
        out.write_all(&[u8::try_from(name.len()).unwrap_or(u8::MAX)])?;
        out.write_all(name)?;
    }
    count(remembered.acts.len(), out)?;
    for (act, done) in remembered.acts.iter() {
        out.write_all(act.0.as_bytes())?;
        encode_act(done, out)?;
    }
    count(remembered.serials.len(), out)?;
    for (key, receipt) in remembered.serials.iter() {
        out.write_all(&key.0)?;
        encode_receipt(receipt, out)?;
    }
    Ok(())
}

fn count(number: usize, out: &mut impl Write) -> io::Result<()> {
    // Bounded by the books' own bounds.
    out.write_all(&u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes())
}

fn encode_receipt(receipt: &Receipt, out: &mut impl Write) -> io::Result<()> {
    out.write_all(&receipt.till.0.to_be_bytes())?;
    out.write_all(&receipt.epoch.to_be_bytes())?;
    out.write_all(&receipt.number.to_be_bytes())
}

fn encode_money(currency: Currency, amounts: &[i64], out: &mut impl Write) -> io::Result<()> {
    out.write_all(currency.code().as_bytes())?;
    for amount in amounts {
        out.write_all(&amount.to_be_bytes())?;
    }
    Ok(())
}

fn encode_act(done: &Compact, out: &mut impl Write) -> io::Result<()> {
    match done {
        Compact::Sold { receipt, currency, total, tendered, change } => {
            out.write_all(&[SOLD])?;
            encode_receipt(receipt, out)?;
            encode_money(*currency, &[*total, *tendered, *change], out)?;
        }
        Compact::Opened { till, session, currency, float } => {
            out.write_all(&[OPENED])?;
            out.write_all(&till.0.to_be_bytes())?;
            out.write_all(session.0.as_bytes())?;
            encode_money(*currency, &[*float], out)?;
        }
        Compact::Closed { till, currency, counted, expected, variance } => {
            out.write_all(&[CLOSED])?;
            out.write_all(&till.0.to_be_bytes())?;
            encode_money(*currency, &[*counted, *expected, *variance], out)?;
        }
        Compact::Moved { till, way, currency, amount } => {
            out.write_all(&[if *way == CashWay::In { CASH_IN } else { CASH_OUT }])?;
            out.write_all(&till.0.to_be_bytes())?;
            encode_money(*currency, &[*amount], out)?;
        }
        Compact::DrawerOpened { till } => {
            out.write_all(&[DRAWER_OPENED])?;
            out.write_all(&till.0.to_be_bytes())?;
        }
        Compact::Whole(done) => {
            let json = serde_json::to_vec(done)?;
            out.write_all(&[WHOLE])?;
            count(json.len(), out)?;
            out.write_all(&json)?;
        }
    }
    Ok(())
}

/// Reads what [`encode`] wrote; nothing may be left.
///
/// # Errors
/// [`Malformed`], also where the bytes cannot be had.
pub fn decode(bytes: impl Read) -> Result<Remembered, Malformed> {
    let mut reader = Reader(bytes);
    let mut remembered = Remembered::default();
    for _ in 0..reader.u32()? {
        let mut name = [0; u8::MAX as usize];
        let [length] = reader.array()?;
        let name = name.get_mut(..usize::from(length)).ok_or(Malformed)?;
        reader.fill(name)?;
        let name = std::str::from_utf8(name).map_err(|_| Malformed)?;
        remembered.tills.push(name.parse::<TillId>().map_err(|_| Malformed)?);
    }
    let tills = u32::try_from(remembered.tills.len()).map_err(|_| Malformed)?;
    let acts = reader.u32()?;
    remembered.acts.make_room(acts);
    for _ in 0..acts {
        let act = ActId(Uuid::from_bytes(reader.array()?));
        let done = reader.act(tills)?;
        remembered.acts.insert(act, done);
    }
    let serials = reader.u32()?;
    remembered.serials.make_room(serials);
    for _ in 0..serials {
        let key = SerialKey(reader.array()?);
        let receipt = reader.receipt(tills)?;
        remembered.serials.insert(key, receipt);
    }
    match reader.0.read(&mut [0]) {
        Ok(0) => Ok(remembered),
        _ => Err(Malformed),
    }
}

struct Reader<R>(R);

impl<R: Read> Reader<R> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Malformed> {
        self.0.read_exact(bytes).map_err(|_| Malformed)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    fn till(&mut self, tills: u32) -> Result<TillNumber, Malformed> {
        let number = self.u32()?;
        if number < tills { Ok(TillNumber(number)) } else { Err(Malformed) }
    }

    fn receipt(&mut self, tills: u32) -> Result<Receipt, Malformed> {
        let till = self.till(tills)?;
        Ok(Receipt { till, epoch: self.u32()?, number: self.array().map(u64::from_be_bytes)? })
    }

    fn currency(&mut self) -> Result<Currency, Malformed> {
        std::str::from_utf8(&self.array::<3>()?).map_err(|_| Malformed)?.parse().map_err(|_| Malformed)
    }

    fn amount(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    fn act(&mut self, tills: u32) -> Result<Compact, Malformed> {
        let tag = self.array::<1>()?[0];
        Ok(match tag {
            SOLD => Compact::Sold {
                receipt: self.receipt(tills)?,
                currency: self.currency()?,
                total: self.amount()?,
                tendered: self.amount()?,
                change: self.amount()?,
            },
            OPENED => Compact::Opened {
                till: self.till(tills)?,
                session: SessionId(Uuid::from_bytes(self.array()?)),
                currency: self.currency()?,
                float: self.amount()?,
            },
            CLOSED => Compact::Closed {
                till: self.till(tills)?,
                currency: self.currency()?,
                counted: self.amount()?,
                expected: self.amount()?,
                variance: self.amount()?,
            },
            CASH_IN | CASH_OUT => Compact::Moved {
                till: self.till(tills)?,
                way: if tag == CASH_IN { CashWay::In } else { CashWay::Out },
                currency: self.currency()?,
                amount: self.amount()?,
            },
            DRAWER_OPENED => Compact::DrawerOpened { till: self.till(tills)? },
            WHOLE => {
                let length = u64::from(self.u32()?);
                let mut json = Vec::new();
                // Not more is taken than is there, whatever the length says.
                (&mut self.0).take(length).read_to_end(&mut json).map_err(|_| Malformed)?;
                let done = serde_json::from_slice(&json).map_err(|_| Malformed)?;
                Compact::Whole(Box::new(done))
            }
            _ => return Err(Malformed),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::remembered::tests::{done, till};
    use pestle_domain::fact::ReceiptNumber;
    use proptest::prelude::*;

    fn some(acts: u64, serials: u64) -> Remembered {
        let mut remembered = Remembered::default();
        for number in 0..acts {
            remembered.remember(ActId(Uuid::from_u128(number.into())), done(number));
        }
        for number in 0..serials {
            let receipt = ReceiptNumber { till: till(4), epoch: 2, number };
            remembered.remember_serial(&"p-1".parse().unwrap(), &format!("S{number}"), &receipt);
        }
        remembered
    }

    fn bytes(remembered: &Remembered) -> Vec<u8> {
        let mut bytes = Vec::new();
        encode(remembered, &mut bytes).unwrap();
        bytes
    }

    proptest! {
        #[test]
        fn what_is_remembered_is_read_as_it_was_written(acts in 0u64..40, serials in 0u64..40) {
            let remembered = some(acts, serials);
            prop_assert!(decode(&bytes(&remembered)[..]).unwrap() == remembered);
        }

        #[test]
        fn no_bytes_panic(changed in any::<proptest::sample::Index>(), byte in any::<u8>(), length in any::<proptest::sample::Index>()) {
            let whole = bytes(&some(12, 3));
            prop_assert!(decode(&whole[..length.index(whole.len())]).is_err());
            let mut changed_bytes = whole.clone();
            changed_bytes[changed.index(whole.len())] = byte;
            let _ = decode(&changed_bytes[..]);
        }
    }
}
