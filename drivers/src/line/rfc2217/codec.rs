//! Telnet's bytes in both directions: data with its escape, negotiations, and the sentences of an option. Pure.
//!
//! RFC 854 (commands), RFC 855 (options), RFC 856 (binary), RFC 858 (no "go ahead"), RFC 2217 (COM port control).

/// "Interpret as command"; as data it is sent twice.
const IAC: u8 = 255;
const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;
/// A sentence of an option begins.
const SB: u8 = 250;
/// It ends.
const SE: u8 = 240;

/// Bytes are bytes: no line ends are made up, no eighth bit is taken off.
pub(super) const BINARY: u8 = 0;
/// No "go ahead" after each turn.
pub(super) const SUPPRESS_GO_AHEAD: u8 = 3;
/// RFC 2217's own.
pub(super) const COM_PORT: u8 = 44;

/// A sentence of an option is not longer than this here: RFC 2217's longest is a converter's signature, a line of text.
const SENTENCE_BYTES_MAX: usize = 512;

/// A negotiating word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// "I do it", or "may I".
    Will,
    /// "I do not".
    Wont,
    /// "Do it", or "please do".
    Do,
    /// "Do not".
    Dont,
}

/// What came besides data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// A negotiation about an option.
    Negotiated(Verb, u8),
    /// A sentence of an option, its escapes taken off.
    Sentence(u8, Vec<u8>),
}

impl Verb {
    fn byte(self) -> u8 {
        match self {
            Verb::Will => WILL,
            Verb::Wont => WONT,
            Verb::Do => DO,
            Verb::Dont => DONT,
        }
    }

    fn of(byte: u8) -> Option<Verb> {
        [Verb::Will, Verb::Wont, Verb::Do, Verb::Dont].into_iter().find(|verb| verb.byte() == byte)
    }
}

/// Adds data to what is sent.
pub(super) fn escape(data: &[u8], out: &mut Vec<u8>) {
    for byte in data {
        out.push(*byte);
        if *byte == IAC {
            out.push(IAC);
        }
    }
}

/// Adds a negotiation to what is sent.
pub(super) fn negotiate(verb: Verb, option: u8, out: &mut Vec<u8>) {
    out.extend([IAC, verb.byte(), option]);
}

/// Adds a sentence of an option to what is sent.
pub(super) fn say(option: u8, sentence: &[u8], out: &mut Vec<u8>) {
    out.extend([IAC, SB, option]);
    escape(sentence, out);
    out.extend([IAC, SE]);
}

/// Takes what arrives apart, however it is cut.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    state: State,
    sentence: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    // Data => Command
    #[default]
    Data,
    // Command => Data | Negotiation | Sentence
    Command,
    // Negotiation => Data
    Negotiation(Verb),
    // Sentence => SentenceCommand
    Sentence,
    // SentenceCommand => Sentence | Data
    SentenceCommand,
}

impl Decoder {
    /// Takes bytes in; adds what was data to `data` and the rest to `said`.
    pub(super) fn push(&mut self, bytes: &[u8], data: &mut Vec<u8>, said: &mut Vec<Said>) {
        for &byte in bytes {
            self.state = match (self.state, byte) {
                (State::Data, IAC) => State::Command,
                (State::Data, byte) => {
                    data.push(byte);
                    State::Data
                }
                (State::Command, IAC) => {
                    data.push(IAC);
                    State::Data
                }
                (State::Command, SB) => {
                    self.sentence.clear();
                    State::Sentence
                }
                // Commands without an operand (a break, "are you there") mean nothing to a device.
                (State::Command, byte) => Verb::of(byte).map_or(State::Data, State::Negotiation),
                (State::Negotiation(verb), option) => {
                    said.push(Said::Negotiated(verb, option));
                    State::Data
                }
                (State::Sentence, IAC) => State::SentenceCommand,
                (State::SentenceCommand, SE) => {
                    if let Some((option, sentence)) = self.sentence.split_first() {
                        said.push(Said::Sentence(*option, sentence.to_vec()));
                    }
                    State::Data
                }
                (State::Sentence | State::SentenceCommand, byte) => {
                    if self.sentence.len() < SENTENCE_BYTES_MAX {
                        self.sentence.push(byte);
                    }
                    State::Sentence
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, Vec<Said>) {
        let (mut decoder, mut data, mut said) = (Decoder::default(), Vec::new(), Vec::new());
        for piece in pieces {
            decoder.push(piece, &mut data, &mut said);
        }
        (data, said)
    }

    #[test]
    fn every_byte_survives_however_the_network_cuts_it() {
        let every: Vec<u8> = (0..=255).chain([255, 255, 0, 13, 10, 255]).collect();
        let mut sent = Vec::new();
        escape(&every, &mut sent);
        assert_eq!(sent.len(), every.len() + 4);
        for cut in 0..=sent.len() {
            let (head, tail) = sent.split_at(cut);
            assert_eq!(decode([head, tail]), (every.clone(), vec![]), "cut at {cut}");
        }
    }

    #[test]
    fn negotiations_and_sentences_stand_between_the_data() {
        let mut sent = b"a".to_vec();
        negotiate(Verb::Will, COM_PORT, &mut sent);
        sent.push(b'b');
        // 65,283 baud is 0x0000FF03: a number with an escape in it.
        say(COM_PORT, &[1, 0, 0, 255, 3], &mut sent);
        sent.extend([b'c', IAC, 246, b'd']);
        let expected =
            vec![Said::Negotiated(Verb::Will, COM_PORT), Said::Sentence(COM_PORT, vec![1, 0, 0, 255, 3])];
        for cut in 0..=sent.len() {
            let (head, tail) = sent.split_at(cut);
            assert_eq!(decode([head, tail]), (b"abcd".to_vec(), expected.clone()), "cut at {cut}");
        }
    }

    #[test]
    fn a_sentence_without_end_takes_no_memory() {
        let (mut decoder, mut data, mut said) = (Decoder::default(), Vec::new(), Vec::new());
        decoder.push(&[IAC, SB], &mut data, &mut said);
        for _ in 0..1_000 {
            decoder.push(&[7; 1_000], &mut data, &mut said);
        }
        assert!(decoder.sentence.capacity() <= 2 * SENTENCE_BYTES_MAX);
        decoder.push(&[IAC, SE, b'x'], &mut data, &mut said);
        assert_eq!(data, b"x");
    }
}
