//! One device: its registers, and what it answers to a question. Pure.

use std::{collections::BTreeMap, time::Duration};

use crate::sensor::register::Function;

/// The registers of a device, and its bits as 0 or 1.
pub type Bank = BTreeMap<(Function, u16), u16>;

/// How a sensor behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FridgeFault {
    /// As it should.
    #[default]
    None,
    /// Never answers.
    Silent,
    /// Answers with noise.
    Garbage,
    /// Answers with a wrong check sum, or, behind a gateway, with another transaction's number.
    WrongCrc,
    /// Says that its probe is missing.
    NoProbe,
    /// Answers this late.
    Slow(Duration),
    /// Refuses with this Modbus exception.
    Exception(u8),
    /// Answers as if it were the device at this address.
    WrongUnit(u8),
    /// Answers with one word or byte more than it was asked for.
    TooMuch,
    /// Answers the first half of a right answer.
    CutOff,
    /// Answers byte by byte, with this pause before each.
    SlowBytes(Duration),
}

/// What a sensor measures, and how it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FridgeState {
    /// In thousandths of a degree Celsius; the sensor tells tenths.
    pub milli_celsius: i32,
    /// In thousandths of relative humidity.
    pub humidity_permille: u16,
    /// How it behaves.
    pub fault: FridgeFault,
}

/// A device on the cable.
#[derive(Debug, Clone)]
pub(super) struct Slave {
    pub(super) state: FridgeState,
    /// Its registers, if it is no transmitter.
    pub(super) bank: Option<Bank>,
}

impl Slave {
    /// A transmitter at 5 °C and 45 % humidity.
    pub(super) fn fridge() -> Slave {
        let state = FridgeState { milli_celsius: 5_000, humidity_permille: 450, fault: FridgeFault::None };
        Slave { state, bank: None }
    }

    /// The answer to a question's function code and data, without address and check sum (Modbus application protocol
    /// V1.1b3, 6.1 to 6.4 and 7).
    pub(super) fn answer(&self, address: u8, function: u8, data: &[u8]) -> Vec<u8> {
        let exception = |code: u8| vec![function | 0x80, code];
        if let FridgeFault::Exception(code) = self.state.fault {
            return exception(code);
        }
        let Ok(known) = Function::try_from(function) else { return exception(1) };
        let [first_high, first_low, count_high, count_low] = *data else { return exception(3) };
        let first = u16::from_be_bytes([first_high, first_low]);
        let count = u16::from_be_bytes([count_high, count_low]);
        let longest = if known.is_bits() { 2_000 } else { 125 };
        if count == 0 || count > longest {
            return exception(3);
        }
        let mut words = Vec::new();
        for register in first..first.saturating_add(count) {
            match self.word(address, known, register) {
                Some(word) => words.push(word),
                // A function of which it has nothing at all is one that it does not know.
                None => return exception(if self.knows(known) { 2 } else { 1 }),
            }
        }
        let mut bytes = if known.is_bits() {
            packed(&words)
        } else {
            words.iter().flat_map(|word| word.to_be_bytes()).collect()
        };
        if self.state.fault == FridgeFault::TooMuch {
            bytes.extend([0, 42]);
        }
        let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
        [&[function, length][..], &bytes].concat()
    }

    fn knows(&self, function: Function) -> bool {
        match &self.bank {
            None => !function.is_bits(),
            Some(bank) => bank.keys().any(|(known, _)| *known == function),
        }
    }

    /// What stands in a register. A transmitter has its temperature in register 1, in signed tenths of a degree, and its
    /// humidity in register 2, in tenths of a per cent, by both functions; its address stands in holding register 257.
    fn word(&self, address: u8, function: Function, register: u16) -> Option<u16> {
        if let Some(bank) = &self.bank {
            return bank.get(&(function, register)).copied();
        }
        match (function, register) {
            (Function::Coils | Function::DiscreteInputs, _) => None,
            (_, 1) if self.state.fault == FridgeFault::NoProbe => Some(0x8000),
            (_, 1) => i16::try_from(self.state.milli_celsius.div_euclid(100)).ok().map(i16::cast_unsigned),
            (_, 2) => Some(self.state.humidity_permille),
            (Function::Holding, 257) => Some(u16::from(address)),
            (Function::Holding, 258) => Some(0),
            _ => None,
        }
    }
}

/// Bits, lowest first (Modbus application protocol V1.1b3, 6.1).
fn packed(bits: &[u16]) -> Vec<u8> {
    let byte =
        |bits: &[u16]| bits.iter().enumerate().fold(0, |byte, (at, bit)| byte | u8::from(*bit != 0) << at);
    bits.chunks(8).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_answers_as_the_standard_s_examples_do() {
        // Modbus application protocol V1.1b3, 6.2: discrete inputs 197 to 218; 6.3: registers 108 to 110.
        let mut slave = Slave::fridge();
        let inputs = [0xacu8, 0xdb, 0x35];
        let bit = |at: usize| u16::from(inputs[at / 8] >> (at % 8) & 1);
        let mut bank: Bank =
            (0..22).map(|at| ((Function::DiscreteInputs, 196 + at), bit(usize::from(at)))).collect();
        bank.extend(
            [(107, 0x022b), (108, 0), (109, 0x0064)].map(|(at, word)| ((Function::Holding, at), word)),
        );
        slave.bank = Some(bank);
        assert_eq!(slave.answer(1, 2, &[0x00, 0xc4, 0x00, 0x16]), [0x02, 0x03, 0xac, 0xdb, 0x35]);
        assert_eq!(
            slave.answer(1, 3, &[0x00, 0x6b, 0x00, 0x03]),
            [0x03, 0x06, 0x02, 0x2b, 0x00, 0x00, 0x00, 0x64]
        );
        assert_eq!(slave.answer(1, 1, &[0x04, 0xa1, 0x00, 0x01]), [0x81, 0x01], "no coils at all");
        assert_eq!(slave.answer(1, 3, &[0x00, 0x6e, 0x00, 0x01]), [0x83, 0x02]);
        assert_eq!(slave.answer(1, 3, &[0x00, 0x6b, 0x00, 0x7e]), [0x83, 0x03]);
    }
}
