//! From key events to the characters that a scanner types. Pure: the caller owns the device and the clock.
//!
//! What is decoded: Shift, Caps Lock, AltGr (also as Ctrl+Alt, as Windows takes it), dead keys, Ctrl with a letter or a
//! sign (Ctrl+] is GS), F7 to F10 as FS GS RS US, the numeric keypad, and Alt with digits of the keypad (Alt+065 is A,
//! Alt+0029 is GS). Enter is a carriage return, Tab a tabulator: a framer takes them as suffixes. A held key repeats on
//! a keyboard, never on a scanner: repeats are not counted. What has no meaning is told as a [`KeyRefusal`], so that the
//! scan it belongs to is refused whole.

use super::{
    alt_code,
    keys::{
        KEY_CAPSLOCK, KEY_ENTER, KEY_F7, KEY_F8, KEY_F9, KEY_F10, KEY_KPENTER, KEY_LEFTALT, KEY_LEFTCTRL,
        KEY_LEFTMETA, KEY_LEFTSHIFT, KEY_MAX, KEY_NUMLOCK, KEY_RIGHTALT, KEY_RIGHTCTRL, KEY_RIGHTMETA,
        KEY_RIGHTSHIFT, KEY_SCROLLLOCK, KEY_TAB, keypad,
    },
    layout::{Glyph, Layout, Level},
    tables::accented,
};

/// How keys are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeRules {
    /// What the scanner types for.
    pub layout: Layout,
    /// F7, F8, F9 and F10 mean FS, GS, RS and US: what Honeywell's scanners type while their "Control + X mode" is off
    /// (Xenon XP User Guide, table of non-printable control characters, KBDCAS0). Otherwise they are refused.
    pub function_keys: bool,
}

/// What happened to a key: the `value` of an `EV_KEY` event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyChange {
    /// It went up.
    Release,
    /// It went down.
    Press,
    /// It is still down.
    Repeat,
}

/// What a key made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// A character; control characters too.
    Character(char),
    /// A key without a meaning.
    Refused(KeyRefusal),
}

impl Typed {
    /// The character, or the replacement character for a key without a meaning.
    #[must_use]
    pub fn character_or_replacement(&self) -> char {
        match self {
            Typed::Character(character) => *character,
            Typed::Refused(_) => char::REPLACEMENT_CHARACTER,
        }
    }
}

/// Why a key has no meaning.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// No table has it.
    #[error(
        "key {code} types nothing on a keyboard of layout {layout}: the scanner is set up for another country, or types a function key; let it learn with the sheet of test codes"
    )]
    NoCharacter {
        /// Its code.
        code: u16,
        /// The layout that was looked in.
        layout: Layout,
    },
    /// With Alt, Ctrl or the Windows key it is a command, not a character.
    #[error(
        "key {code} came with {modifier}, which makes a command and no character: set the scanner to send control characters as Ctrl+X"
    )]
    Command {
        /// Its code.
        code: u16,
        /// Which modifier.
        modifier: &'static str,
    },
    /// Alt with digits that name no character.
    #[error(
        "Alt+{digits} is no character: set the scanner's country again, or its ALT mode to three or four digits"
    )]
    AltCode {
        /// What was typed while Alt was down.
        digits: String,
    },
    /// A browser's key that is no character.
    #[error(
        "the browser calls a key \"{key}\", which is no character: let the scanner learn with the sheet of test codes"
    )]
    BrowserKey {
        /// Its name there.
        key: String,
    },
    /// It went down while it was down.
    #[error("key {code} went down twice without going up: scan again, and check the scanner's cable")]
    PressedTwice {
        /// Its code.
        code: u16,
    },
}

/// Which keys are down and which locks are on, as a device tells when it is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyState {
    /// Codes of the keys that are down.
    pub down: Vec<u16>,
    /// Caps Lock is on.
    pub caps: bool,
}

/// The state of one keyboard.
#[derive(Debug, Clone)]
pub struct Decoder {
    rules: DecodeRules,
    down: KeySet,
    caps: bool,
    dead: Option<char>,
    alt_digits: String,
}

/// Longest sequence that is kept while Alt is down; Windows knows none beyond four digits.
const ALT_DIGITS_MAX: usize = 5;

impl Decoder {
    /// A keyboard in this state.
    #[must_use]
    pub fn new(rules: DecodeRules, state: &KeyState) -> Decoder {
        let mut decoder =
            Decoder { rules, down: KeySet::default(), caps: false, dead: None, alt_digits: String::new() };
        decoder.resync(state);
        decoder
    }

    /// Events were lost: forgets what was half typed and takes the state as the device tells it now.
    pub fn resync(&mut self, state: &KeyState) {
        self.down = KeySet::default();
        state.down.iter().for_each(|code| self.down.insert(*code));
        self.caps = state.caps;
        self.dead = None;
        self.alt_digits.clear();
    }

    /// Is a key down that is no modifier? At the opening of a device that means that something is being typed.
    #[must_use]
    pub fn is_typing(&self) -> bool {
        self.down.iter().any(|code| !is_modifier(code))
    }

    /// Is this key down?
    #[must_use]
    pub fn is_down(&self, code: u16) -> bool {
        self.down.contains(code)
    }

    /// Does something wait for the next key: an accent, digits of an Alt sequence?
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.dead.is_some() || !self.alt_digits.is_empty()
    }

    /// Sets the modifiers, where somebody else knows them: a browser tells them with each key.
    pub fn set_modifiers(&mut self, shift: bool, ctrl: bool, alt: bool, alt_gr: bool) {
        let mut set = |one: u16, other: u16, down: bool| {
            if !down {
                self.down.remove(one);
                self.down.remove(other);
            } else if !self.down.contains(one) && !self.down.contains(other) {
                self.down.insert(one);
            }
        };
        set(KEY_LEFTSHIFT, KEY_RIGHTSHIFT, shift);
        set(KEY_LEFTCTRL, KEY_RIGHTCTRL, ctrl);
        set(KEY_LEFTALT, KEY_LEFTALT, alt);
        set(KEY_RIGHTALT, KEY_RIGHTALT, alt_gr);
    }

    /// Takes one key event; returns what it typed, in order.
    pub fn key(&mut self, code: u16, change: KeyChange) -> Vec<Typed> {
        match change {
            KeyChange::Repeat => Vec::new(),
            KeyChange::Release => {
                self.down.remove(code);
                if self.is_alt(code) { self.end_alt() } else { Vec::new() }
            }
            KeyChange::Press if self.down.contains(code) => {
                vec![Typed::Refused(KeyRefusal::PressedTwice { code })]
            }
            KeyChange::Press => {
                self.down.insert(code);
                self.press(code)
            }
        }
    }

    /// The line has been silent: an accent that waited stands by itself, an Alt sequence without its end is none.
    pub fn flush(&mut self) -> Vec<Typed> {
        let mut typed: Vec<_> = self.dead.take().map(Typed::Character).into_iter().collect();
        if !self.alt_digits.is_empty() {
            let digits = std::mem::take(&mut self.alt_digits);
            typed.push(Typed::Refused(KeyRefusal::AltCode { digits }));
        }
        typed
    }

    fn press(&mut self, code: u16) -> Vec<Typed> {
        match code {
            KEY_CAPSLOCK => {
                self.caps = !self.caps;
                Vec::new()
            }
            // A scanner's keypad means digits in both states.
            KEY_NUMLOCK | KEY_SCROLLLOCK => Vec::new(),
            _ if is_modifier(code) => Vec::new(),
            _ if self.alt() && keypad(code).is_some_and(|c| c.is_ascii_digit()) => self.alt_digit(code),
            _ => self.after_dead(self.meaning(code)),
        }
    }

    /// What a key means, without the accent before it.
    fn meaning(&self, code: u16) -> Result<Glyph, KeyRefusal> {
        let layout = self.rules.layout;
        let none = KeyRefusal::NoCharacter { code, layout };
        let control = |character| Ok(Glyph { character, dead: false });
        if self.any(KEY_LEFTMETA, KEY_RIGHTMETA) {
            return Err(KeyRefusal::Command { code, modifier: "the Windows key" });
        }
        if self.alt() {
            return Err(KeyRefusal::Command { code, modifier: "Alt" });
        }
        let (ctrl, shift) = (self.ctrl(), self.any(KEY_LEFTSHIFT, KEY_RIGHTSHIFT));
        match code {
            KEY_ENTER | KEY_KPENTER if ctrl => return control('\n'),
            KEY_ENTER | KEY_KPENTER => return control('\r'),
            KEY_TAB if !ctrl && !shift => return control('\t'),
            KEY_F7 if self.rules.function_keys => return control('\u{1c}'),
            KEY_F8 if self.rules.function_keys => return control('\u{1d}'),
            KEY_F9 if self.rules.function_keys => return control('\u{1e}'),
            KEY_F10 if self.rules.function_keys => return control('\u{1f}'),
            _ => {}
        }
        let shifted = shift ^ (self.caps && layout.caps_shifts(code));
        let level = match (self.alt_gr(), shift, shifted) {
            (true, false, _) => Level::AltGr,
            // A fourth level exists on some systems, and no scanner uses it.
            (true, true, _) => return Err(none),
            (false, _, true) => Level::Shift,
            (false, _, false) => Level::Plain,
        };
        if ctrl {
            let made = control_of(layout, code, level);
            return made.ok_or(KeyRefusal::Command { code, modifier: "Ctrl" }).and_then(control);
        }
        layout.glyph(code, level).ok_or(none)
    }

    /// Joins what was typed with an accent that waits.
    fn after_dead(&mut self, meaning: Result<Glyph, KeyRefusal>) -> Vec<Typed> {
        let waiting = self.dead.take();
        match (waiting, meaning) {
            (None, Ok(Glyph { character, dead: true })) => {
                self.dead = Some(character);
                Vec::new()
            }
            (Some(accent), Ok(Glyph { character: ' ', .. })) => vec![Typed::Character(accent)],
            (Some(accent), Ok(Glyph { character, dead })) => match accented(accent, character) {
                Some(made) if !dead => vec![Typed::Character(made)],
                _ => vec![Typed::Character(accent), Typed::Character(character)],
            },
            (None, Ok(Glyph { character, .. })) => vec![Typed::Character(character)],
            (waiting, Err(refusal)) => {
                waiting.map(Typed::Character).into_iter().chain([Typed::Refused(refusal)]).collect()
            }
        }
    }

    fn alt_digit(&mut self, code: u16) -> Vec<Typed> {
        self.alt_digits.extend(keypad(code));
        if self.alt_digits.len() <= ALT_DIGITS_MAX {
            return Vec::new();
        }
        let digits = std::mem::take(&mut self.alt_digits);
        vec![Typed::Refused(KeyRefusal::AltCode { digits })]
    }

    fn end_alt(&mut self) -> Vec<Typed> {
        let digits = std::mem::take(&mut self.alt_digits);
        if digits.is_empty() {
            return Vec::new();
        }
        let made = alt_code::character(&digits).ok_or(KeyRefusal::AltCode { digits });
        self.after_dead(made.map(|character| Glyph { character, dead: false }))
    }

    fn is_alt(&self, code: u16) -> bool {
        code == KEY_LEFTALT || code == KEY_RIGHTALT && !self.rules.layout.has_alt_gr()
    }

    /// AltGr, or Ctrl and Alt together where the layout has a third level.
    fn alt_gr(&self) -> bool {
        let by_both = self.any(KEY_LEFTCTRL, KEY_RIGHTCTRL) && self.down.contains(KEY_LEFTALT);
        self.rules.layout.has_alt_gr() && (self.down.contains(KEY_RIGHTALT) || by_both)
    }

    fn alt(&self) -> bool {
        let right = self.down.contains(KEY_RIGHTALT) && !self.rules.layout.has_alt_gr();
        (self.down.contains(KEY_LEFTALT) || right) && !self.alt_gr()
    }

    /// With AltGr, Windows makes no control characters.
    fn ctrl(&self) -> bool {
        self.any(KEY_LEFTCTRL, KEY_RIGHTCTRL) && !self.alt_gr()
    }

    fn any(&self, one: u16, other: u16) -> bool {
        self.down.contains(one) || self.down.contains(other)
    }
}

/// The control character of Ctrl with a key. The keys beside P and Enter make ESC, GS and FS on every layout, whatever is
/// printed on them (Windows' layouts have a column for it: Ctrl and + is GS on a German keyboard, Ctrl and $ on a French
/// one); the others go by their character.
fn control_of(layout: Layout, code: u16, level: Level) -> Option<char> {
    match code {
        26 => return Some('\u{1b}'),
        27 => return Some('\u{1d}'),
        43 | 86 => return Some('\u{1c}'),
        _ => {}
    }
    match layout.glyph(code, level)?.character {
        c @ ('a'..='z' | 'A'..='Z' | '[' | '\\' | ']' | '^' | '_') => {
            Some(char::from(u8::try_from(c).ok()? & 0x1f))
        }
        // Without Shift, as a terminal takes them.
        '6' => Some('\u{1e}'),
        '-' => Some('\u{1f}'),
        _ => None,
    }
}

fn is_modifier(code: u16) -> bool {
    matches!(
        code,
        KEY_LEFTSHIFT
            | KEY_RIGHTSHIFT
            | KEY_LEFTCTRL
            | KEY_RIGHTCTRL
            | KEY_LEFTALT
            | KEY_RIGHTALT
            | KEY_LEFTMETA
            | KEY_RIGHTMETA
            | KEY_CAPSLOCK
            | KEY_NUMLOCK
            | KEY_SCROLLLOCK
    )
}

/// A bit for each key.
#[derive(Debug, Clone, Default)]
struct KeySet([u64; (KEY_MAX as usize + 1) / 64]);

impl KeySet {
    fn insert(&mut self, code: u16) {
        if let Some(word) = self.0.get_mut(usize::from(code / 64)) {
            *word |= 1 << (code % 64);
        }
    }

    fn remove(&mut self, code: u16) {
        if let Some(word) = self.0.get_mut(usize::from(code / 64)) {
            *word &= !(1 << (code % 64));
        }
    }

    fn contains(&self, code: u16) -> bool {
        self.0.get(usize::from(code / 64)).is_some_and(|word| word & 1 << (code % 64) != 0)
    }

    fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..=KEY_MAX).filter(|code| self.contains(*code))
    }
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
