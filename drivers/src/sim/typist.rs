//! How a scanner sends what it read: what it puts around and into the data ([`ScannerSetup`]), and which keys it presses
//! for that ([`Typist`]). Pure: settings and a barcode in, characters or records out.

use crate::scanner::keyboard::{
    alt_code,
    keys::{
        KEY_ENTER, KEY_F8, KEY_LEFTALT, KEY_LEFTCTRL, KEY_LEFTSHIFT, KEY_RIGHTALT, KEY_TAB, keypad_digit,
    },
    layout::{Layout, Level},
    record::{EV_KEY, EV_MSC, EV_SYN, KeyRecord, SYN_REPORT},
};

/// Stands for the key F8 in a text that is typed: a private-use character.
pub const F8: char = '\u{f8f8}';

/// How a scanner is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScannerSetup {
    /// Sent before each scan.
    pub prefix: String,
    /// Sent behind each scan.
    pub suffix: String,
    /// Names the symbology.
    pub symbology_ids: bool,
    /// Sent for each separator; [`F8`] for the key, empty where it swallows them.
    pub separator: String,
    /// Sends the FNC1 at the beginning of a symbol as a separator too.
    pub first_fnc1: bool,
}

impl ScannerSetup {
    /// What is sent for a symbol: its identifier (`]d2`), and its data with separators as GS.
    #[must_use]
    pub fn sent(&self, id: &str, data: &str) -> String {
        let ScannerSetup { prefix, suffix, separator, .. } = self;
        let id_sent = if self.symbology_ids { id } else { "" };
        let begins_with_fnc1 = matches!(id, "]d2" | "]C1" | "]Q3");
        let first = if self.first_fnc1 && begins_with_fnc1 { separator.as_str() } else { "" };
        format!("{prefix}{id_sent}{first}{}{suffix}", data.replace('\u{1d}', separator))
    }
}

/// What a scanner presses for control characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlKeys {
    /// Ctrl and a letter or sign.
    Ctrl,
    /// Alt and three digits of the keypad.
    AltThreeDigits,
    /// Alt and four digits, the first of them a zero.
    AltFourDigits,
}

/// How a scanner types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Typist {
    /// The country it is set to.
    pub layout: Layout,
    /// For control characters.
    pub controls: ControlKeys,
    /// Types every character with Alt and digits, whatever the layout.
    pub all_by_alt: bool,
}

impl Typist {
    /// A scanner of that country, as they are delivered.
    #[must_use]
    pub fn new(layout: Layout) -> Typist {
        Typist { layout, controls: ControlKeys::Ctrl, all_by_alt: false }
    }

    /// The records of typing `text`, a millisecond apart; `None` if some character cannot be typed.
    #[must_use]
    pub fn press(&self, text: &str) -> Option<Vec<KeyRecord>> {
        let mut hand = Hand::default();
        for character in text.chars() {
            self.character(character, &mut hand)?;
        }
        Some(hand.records)
    }

    fn character(&self, character: char, hand: &mut Hand) -> Option<()> {
        match character {
            F8 => hand.tap(KEY_F8),
            '\r' => hand.tap(KEY_ENTER),
            '\t' => hand.tap(KEY_TAB),
            _ if character.is_control() || self.all_by_alt => return self.control(character, hand),
            _ => {
                for stroke in self.layout.strokes(character)? {
                    match stroke.level {
                        Level::Plain => hand.tap(stroke.code),
                        Level::Shift => hand.with(KEY_LEFTSHIFT, &[stroke.code]),
                        Level::AltGr => hand.with(KEY_RIGHTALT, &[stroke.code]),
                    }
                }
            }
        }
        Some(())
    }

    fn control(&self, character: char, hand: &mut Hand) -> Option<()> {
        let digits = match self.controls {
            ControlKeys::Ctrl if character.is_control() => {
                // The places of the brackets and the backslash on a US keyboard, and of the letters on this one.
                let code = match character {
                    '\u{1b}' => 26,
                    '\u{1d}' => 27,
                    '\u{1c}' => 43,
                    '\u{1}'..='\u{1a}' => {
                        let letter = char::from(u8::try_from(character).ok()? | 0x60);
                        self.layout.strokes(letter)?.first()?.code
                    }
                    _ => return None,
                };
                hand.with(KEY_LEFTCTRL, &[code]);
                return Some(());
            }
            ControlKeys::AltThreeDigits => alt_code::three_digits(character)?,
            ControlKeys::Ctrl | ControlKeys::AltFourDigits => alt_code::four_digits(character)?,
        };
        let codes: Option<Vec<u16>> = digits.bytes().map(|digit| keypad_digit(digit - b'0')).collect();
        hand.with(KEY_LEFTALT, &codes?);
        Some(())
    }
}

/// Presses keys and keeps the records.
#[derive(Debug, Default)]
struct Hand {
    records: Vec<KeyRecord>,
    at_us: u64,
}

impl Hand {
    fn tap(&mut self, code: u16) {
        self.change(code, 1);
        self.change(code, 0);
    }

    fn with(&mut self, modifier: u16, codes: &[u16]) {
        self.change(modifier, 1);
        codes.iter().for_each(|code| self.tap(*code));
        self.change(modifier, 0);
    }

    /// As usbhid reports: the scan code, the key, the end of the report.
    fn change(&mut self, code: u16, value: i32) {
        self.at_us += 1_000;
        let at_us = self.at_us;
        self.records.extend([
            KeyRecord { at_us, kind: EV_MSC, code: 4, value: i32::from(code) | 0x7_0000 },
            KeyRecord { at_us, kind: EV_KEY, code, value },
            KeyRecord { at_us, kind: EV_SYN, code: SYN_REPORT, value: 0 },
        ]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scanner::keyboard::decode::{DecodeRules, Decoder, KeyChange, KeyState, Typed};

    fn decoded(typist: &Typist, text: &str) -> String {
        let rules = DecodeRules { layout: typist.layout, function_keys: true };
        let mut decoder = Decoder::new(rules, &KeyState::default());
        let records = typist.press(text).unwrap();
        let keys = records.iter().filter(|record| record.kind == EV_KEY);
        let typed = keys.flat_map(|record| {
            decoder.key(record.code, if record.value == 1 { KeyChange::Press } else { KeyChange::Release })
        });
        typed
            .map(|typed| match typed {
                Typed::Character(c) => c,
                Typed::Refused(refusal) => panic!("{refusal}"),
            })
            .collect()
    }

    #[test]
    fn whatever_is_typed_in_any_layout_and_way_is_decoded_to_the_same() {
        let text: String = (' '..='~').chain("\u{1d}\r\t\u{1}\u{1a}éÄ".chars()).collect();
        for layout in Layout::ALL {
            for controls in [ControlKeys::Ctrl, ControlKeys::AltThreeDigits, ControlKeys::AltFourDigits] {
                for all_by_alt in [false, true] {
                    let typist = Typist { layout, controls, all_by_alt };
                    let text: String =
                        text.chars().filter(|c| typist.press(&c.to_string()).is_some()).collect();
                    assert!(text.len() > 97, "{typist:?} types {text:?}");
                    assert_eq!(decoded(&typist, &text), text, "{typist:?}");
                }
            }
        }
    }

    #[test]
    fn a_setup_says_what_is_sent_for_a_symbol() {
        let setup = ScannerSetup {
            prefix: "\u{2}".into(),
            suffix: "\r\n".into(),
            symbology_ids: true,
            separator: "|".into(),
            first_fnc1: true,
        };
        assert_eq!(setup.sent("]d2", "10A\u{1d}21B"), "\u{2}]d2|10A|21B\r\n");
        assert_eq!(setup.sent("]E0", "9521234543213"), "\u{2}]E09521234543213\r\n");
    }
}
