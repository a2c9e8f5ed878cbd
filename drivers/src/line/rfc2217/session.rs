//! What is said to a converter so that the far serial port is as the device needs it. Pure: bytes in, bytes out.

use std::time::Duration;

use super::codec::{BINARY, COM_PORT, Decoder, SUPPRESS_GO_AHEAD, Said, Verb, negotiate, say};
use crate::line::serial::{FlowControl, Parity};

/// How the far port is to be. Eight data bits always.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FarPort {
    /// Bits per second.
    pub baud: u32,
    /// The parity bit.
    pub parity: Parity,
    /// 1 or 2.
    pub stop_bits: u8,
    /// How the device says "wait".
    pub flow: FlowControl,
    /// What becomes of DTR and RTS.
    pub wires: Wires,
}

/// What becomes of the wires DTR and RTS at the far port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wires {
    /// Raised, as a port of this box has them when it is opened; many scanners are silent without.
    #[default]
    Raise,
    /// Left as the converter has them: an RS-485 adapter whose sender is switched by RTS would never listen again.
    Leave,
}

impl FarPort {
    /// How long `bytes` bytes take on its wire, at 11 bits a byte.
    #[must_use]
    pub fn time_for(&self, bytes: usize) -> Duration {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        Duration::from_micros(bytes.saturating_mul(11_000_000) / u64::from(self.baud.max(1)))
    }
}

/// Why a converter cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConverterError {
    /// It refuses the option.
    #[error(
        "the converter speaks telnet, but refuses RFC 2217: switch \"RFC 2217\" or \"COM port control\" on in its pages, or set the speed there and write tcp://"
    )]
    Refused,
    /// It set something else.
    #[error("the converter set {what} to {got} instead of {wanted}: it cannot do it, or its pages forbid it")]
    Otherwise {
        /// Which setting.
        what: &'static str,
        /// What was asked for, as RFC 2217 numbers it.
        wanted: u32,
        /// What it says it did.
        got: u32,
    },
}

/// What a client says (RFC 2217, 2); a server's answer has this much added.
const SET_BAUD_RATE: u8 = 1;
const SET_DATA_SIZE: u8 = 2;
const SET_PARITY: u8 = 3;
const SET_STOP_SIZE: u8 = 4;
const SET_CONTROL: u8 = 5;
const FLOW_SUSPEND: u8 = 8;
const FLOW_RESUME: u8 = 9;
const SET_LINE_STATE_MASK: u8 = 10;
const SET_MODEM_STATE_MASK: u8 = 11;
const PURGE_DATA: u8 = 12;
const ANSWER: u8 = 100;
/// Values of SET-CONTROL (RFC 2217, 3).
const DTR_ON: u8 = 8;
const RTS_ON: u8 = 11;
/// Of PURGE-DATA: what the converter received from the device.
const PURGE_RECEIVED: u8 = 1;

/// The conversation with a converter.
#[derive(Debug)]
pub struct Session {
    decoder: Decoder,
    wanted: FarPort,
    options: Options,
    /// Settings whose answers are still to come.
    open: Vec<(u8, u32)>,
    stage: Stage,
    suspended: bool,
}

/// What was agreed on besides the COM port itself.
#[derive(Debug, Default)]
struct Options {
    /// What we were asked to do and have answered, so that no two ends answer each other for ever (RFC 1143).
    ours_answered: Vec<u8>,
    theirs_answered: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    // Asked => Setting
    Asked,
    // Setting => Purging
    Setting,
    // Purging => Settled
    Purging,
    Settled,
}

/// Those that we offer at once, and those that we ask for at once.
const OFFERED: &[u8] = &[BINARY, SUPPRESS_GO_AHEAD, COM_PORT];
const ASKED: &[u8] = &[BINARY, SUPPRESS_GO_AHEAD];

impl Session {
    /// Begins; `out` is what is to be sent first.
    #[must_use]
    pub fn begin(wanted: FarPort, out: &mut Vec<u8>) -> Session {
        OFFERED.iter().for_each(|option| negotiate(Verb::Will, *option, out));
        ASKED.iter().for_each(|option| negotiate(Verb::Do, *option, out));
        Session {
            decoder: Decoder::default(),
            wanted,
            options: Options::default(),
            open: Vec::new(),
            stage: Stage::Asked,
            suspended: false,
        }
    }

    /// Is the far port as it was wanted, and what it heard before thrown away?
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.stage == Stage::Settled
    }

    /// Is the far port as it was wanted, whatever it heard before?
    #[must_use]
    pub fn is_set(&self) -> bool {
        matches!(self.stage, Stage::Purging | Stage::Settled)
    }

    /// Did the converter say "wait"?
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.suspended
    }

    /// Has it said anything in telnet's language?
    #[must_use]
    pub fn is_heard(&self) -> bool {
        !self.options.ours_answered.is_empty() || !self.options.theirs_answered.is_empty()
    }

    /// Takes in what arrived; adds the device's bytes to `data` and what is to be answered to `out`.
    ///
    /// # Errors
    /// The converter cannot be used: it refuses, or set something else.
    pub fn hear(
        &mut self,
        bytes: &[u8],
        data: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<(), ConverterError> {
        let mut said = Vec::new();
        self.decoder.push(bytes, data, &mut said);
        for said in said {
            match said {
                Said::Negotiated(verb, option) => self.negotiated(verb, option, out)?,
                Said::Sentence(COM_PORT, sentence) => self.answered(&sentence)?,
                Said::Sentence(..) => {}
            }
        }
        Ok(())
    }

    fn negotiated(&mut self, verb: Verb, option: u8, out: &mut Vec<u8>) -> Result<(), ConverterError> {
        match verb {
            Verb::Do | Verb::Dont => {
                let first = note(&mut self.options.ours_answered, option);
                match (verb, option) {
                    (Verb::Do, COM_PORT) if self.stage == Stage::Asked => self.set(out),
                    (Verb::Dont, COM_PORT) => return Err(ConverterError::Refused),
                    (Verb::Do, option) if !OFFERED.contains(&option) && first => {
                        negotiate(Verb::Wont, option, out);
                    }
                    // An answer to our offer, or a repetition.
                    _ => {}
                }
            }
            Verb::Will | Verb::Wont => {
                let first = note(&mut self.options.theirs_answered, option);
                if verb == Verb::Will && first && !ASKED.contains(&option) {
                    let verb = if option == COM_PORT { Verb::Do } else { Verb::Dont };
                    negotiate(verb, option, out);
                }
            }
        }
        Ok(())
    }

    /// Says how the port is to be.
    fn set(&mut self, out: &mut Vec<u8>) {
        let FarPort { baud, parity, stop_bits, flow, wires } = self.wanted;
        let parity = match parity {
            Parity::None => 1,
            Parity::Odd => 2,
            Parity::Even => 3,
        };
        let flow = match flow {
            FlowControl::None => 1,
            FlowControl::Software => 2,
            FlowControl::Hardware => 3,
        };
        let baud_bytes = baud.to_be_bytes();
        say(COM_PORT, &[&[SET_BAUD_RATE][..], &baud_bytes].concat(), out);
        for (command, value) in [
            (SET_DATA_SIZE, 8),
            (SET_PARITY, parity),
            (SET_STOP_SIZE, stop_bits),
            (SET_CONTROL, flow),
            // Nobody reads reports of modem wires here.
            (SET_LINE_STATE_MASK, 0),
            (SET_MODEM_STATE_MASK, 0),
            // It was sent to nobody.
            (PURGE_DATA, PURGE_RECEIVED),
        ] {
            say(COM_PORT, &[command, value], out);
        }
        if wires == Wires::Raise {
            [DTR_ON, RTS_ON].iter().for_each(|wire| say(COM_PORT, &[SET_CONTROL, *wire], out));
        }
        self.open = vec![
            (SET_BAUD_RATE, baud),
            (SET_DATA_SIZE, 8),
            (SET_PARITY, parity.into()),
            (SET_STOP_SIZE, stop_bits.into()),
            (SET_CONTROL, flow.into()),
        ];
        self.stage = Stage::Setting;
    }

    fn answered(&mut self, sentence: &[u8]) -> Result<(), ConverterError> {
        let Some((command, value)) = sentence.split_first() else { return Ok(()) };
        let command = command.wrapping_sub(ANSWER);
        match command {
            FLOW_SUSPEND => self.suspended = true,
            FLOW_RESUME => self.suspended = false,
            PURGE_DATA if self.stage == Stage::Purging => self.stage = Stage::Settled,
            _ => {}
        }
        let Some(place) = self.open.iter().position(|(asked, _)| *asked == command) else { return Ok(()) };
        let got = match *value {
            [one] => u32::from(one),
            [a, b, c, d] => u32::from_be_bytes([a, b, c, d]),
            _ => return Ok(()),
        };
        let (_, wanted) = self.open.swap_remove(place);
        if got != wanted {
            let what = match command {
                SET_BAUD_RATE => "the speed",
                SET_DATA_SIZE => "the data bits",
                SET_PARITY => "the parity",
                SET_STOP_SIZE => "the stop bits",
                _ => "the flow control",
            };
            return Err(ConverterError::Otherwise { what, wanted, got });
        }
        if self.open.is_empty() && self.stage == Stage::Setting {
            self.stage = Stage::Purging;
        }
        Ok(())
    }
}

/// Notes an option; is it new? More than a handful of options are nonsense.
fn note(known: &mut Vec<u8>, option: u8) -> bool {
    let new = !known.contains(&option);
    if new {
        known.push(option);
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: FarPort = FarPort {
        baud: 19_200,
        parity: Parity::Even,
        stop_bits: 1,
        flow: FlowControl::None,
        wires: Wires::Raise,
    };

    fn negotiated(verb: Verb, option: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        negotiate(verb, option, &mut bytes);
        bytes
    }

    fn said(sentence: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        say(COM_PORT, sentence, &mut bytes);
        bytes
    }

    fn begun() -> Session {
        Session::begin(WANTED, &mut Vec::new())
    }

    /// What the session answers to these bytes.
    fn answer(session: &mut Session, bytes: &[u8]) -> Result<Vec<u8>, ConverterError> {
        let mut out = Vec::new();
        session.hear(bytes, &mut Vec::new(), &mut out).map(|()| out)
    }

    #[test]
    fn the_port_is_settled_when_every_setting_was_confirmed() {
        let mut session = begun();
        let set = answer(&mut session, &negotiated(Verb::Do, COM_PORT)).unwrap();
        assert!(set.starts_with(&said(&[1, 0, 0, 0x4b, 0])), "19200 baud first: {set:?}");
        for confirmed in [&[101, 0, 0, 0x4b, 0][..], &[102, 8], &[105, 1], &[104, 1]] {
            answer(&mut session, &said(confirmed)).unwrap();
            assert!(!session.is_set());
        }
        answer(&mut session, &said(&[103, 3])).unwrap();
        assert!(session.is_set() && !session.is_settled());
        answer(&mut session, &said(&[112, 1])).unwrap();
        assert!(session.is_settled());
    }

    #[test]
    fn a_converter_that_sets_another_speed_is_refused_with_both() {
        let mut session = begun();
        answer(&mut session, &negotiated(Verb::Do, COM_PORT)).unwrap();
        let error = answer(&mut session, &said(&[101, 0, 0, 0x25, 0x80])).unwrap_err().to_string();
        assert!(error.contains("set the speed to 9600 instead of 19200"), "{error}");
    }

    #[test]
    fn a_converter_without_the_option_is_refused_with_what_to_do() {
        let error = answer(&mut begun(), &negotiated(Verb::Dont, COM_PORT)).unwrap_err();
        assert!(error.to_string().contains("refuses RFC 2217"), "{error}");
    }

    #[test]
    fn what_is_asked_beyond_that_is_declined_once_and_what_was_offered_is_not_offered_again() {
        const ECHO: u8 = 1;
        const TERMINAL_TYPE: u8 = 24;
        let mut session = begun();
        assert_eq!(
            answer(&mut session, &negotiated(Verb::Will, ECHO)).unwrap(),
            negotiated(Verb::Dont, ECHO)
        );
        assert!(answer(&mut session, &negotiated(Verb::Will, ECHO)).unwrap().is_empty());
        let declined = answer(&mut session, &negotiated(Verb::Do, TERMINAL_TYPE)).unwrap();
        assert_eq!(declined, negotiated(Verb::Wont, TERMINAL_TYPE));
        assert!(answer(&mut session, &negotiated(Verb::Do, BINARY)).unwrap().is_empty());
        assert!(answer(&mut session, &negotiated(Verb::Will, BINARY)).unwrap().is_empty());
        assert_eq!(
            answer(&mut session, &negotiated(Verb::Will, COM_PORT)).unwrap(),
            negotiated(Verb::Do, COM_PORT)
        );
    }

    #[test]
    fn a_converter_that_says_wait_is_obeyed_until_it_says_go_on() {
        let mut session = begun();
        answer(&mut session, &said(&[108])).unwrap();
        assert!(session.is_suspended());
        answer(&mut session, &said(&[109])).unwrap();
        assert!(!session.is_suspended());
    }
}
