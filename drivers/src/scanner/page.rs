//! A scanner that is plugged into a tablet or a PC and types into our page. Pure: keys as the browser tells them in,
//! scans out.
//!
//! The page collects the events `keydown` and `keyup` and sends them as one batch when no key has come for
//! [`BATCH_SILENCE_MS`]. A scanner types far quicker than a person, so a batch is a scan or a part of a person's typing,
//! and which of the two shows in its keys' times. `docs/hardware/scanners.md` says what the page has to send.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{
    framing::{Frame, Framer, FramingRules},
    keyboard::{
        decode::{DecodeRules, Decoder, KeyChange, KeyRefusal, KeyState, Typed},
        keys::{self, keypad_digit},
        layout::Layout,
    },
    learn::settings::{Learned, Separator, Wire},
};

/// Silence after which the page sends what it has. A person's keys are mostly further apart; the slowest scanners (over
/// Bluetooth) pause for some 20 ms.
pub const BATCH_SILENCE_MS: u32 = 60;

/// Most keys of a batch: no barcode of a pack has half as many. What is beyond is refused, not cut.
pub const BATCH_KEYS_MAX: usize = 8_192;

/// A scan has this many characters at the least; the shortest codes on packs have seven or eight.
pub const CHARACTERS_MIN: usize = 6;

/// The mean time between two characters of a scan, at the most. A person who types 120 words a minute needs 100 ms.
pub const MEAN_GAP_US_MAX: u64 = 40_000;

/// A key as the browser tells it: the fields of its `KeyboardEvent`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageKey {
    /// `event.type` is `keydown`; else `keyup`.
    pub down: bool,
    /// `event.key`: what the system makes of it.
    pub key: String,
    /// `event.code`: which key it is (W3C UI Events KeyboardEvent code Values).
    pub code: String,
    /// `event.ctrlKey`
    #[serde(default)]
    pub ctrl: bool,
    /// `event.altKey`
    #[serde(default)]
    pub alt: bool,
    /// `event.shiftKey`
    #[serde(default)]
    pub shift: bool,
    /// `event.getModifierState("AltGraph")`
    #[serde(default)]
    pub alt_graph: bool,
    /// `event.repeat`
    #[serde(default)]
    pub repeat: bool,
    /// `event.timeStamp` in whole microseconds.
    pub at_us: u64,
}

/// What a batch was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageInput {
    /// A scanner typed it.
    Scanned(Vec<PageFrame>),
    /// A person typed it: nothing of it is a scan.
    Typing,
}

/// What the framer made of a batch, read by what was learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageFrame {
    /// A barcode.
    Scan {
        /// Its bytes, GS put back.
        bytes: Vec<u8>,
        /// Lot and serial may be believed.
        proved: bool,
    },
    /// Something that is no barcode.
    Rejected(super::framing::Rejection),
}

/// How a page-typed scanner is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageRules {
    /// What was learned with the sheet of test codes. Without it the browser's characters are taken as they are, and no
    /// scan is proved.
    pub learned: Option<Learned>,
}

/// Reads a batch that arrived at `now`.
#[must_use]
pub fn read_batch(rules: &PageRules, now: Instant, keys: &[PageKey]) -> PageInput {
    if !is_a_scanner_s(keys) {
        return PageInput::Typing;
    }
    let learned = rules.learned.as_ref();
    let usual = FramingRules::default();
    let silence = usual.idle_gap;
    let framing = learned.map_or(usual, |learned| learned.framing(silence));
    let silence = framing.idle_gap + Duration::from_millis(1);
    let mut framer = Framer::new(framing);
    let layout = learned.and_then(|learned| match learned.raw().wire {
        Wire::Page { layout } => layout,
        Wire::Serial | Wire::Keyboard { .. } => None,
    });
    let function_keys = learned.is_none_or(|learned| learned.raw().separator == Separator::F8);
    let mut frames = Vec::new();
    for typed in typed(keys.get(..BATCH_KEYS_MAX).unwrap_or(keys), layout, function_keys) {
        match typed {
            Typed::Character(character) => {
                frames.extend(framer.push(now, character.encode_utf8(&mut [0; 4]).as_bytes()));
            }
            Typed::Refused(refusal) => framer.refuse_key(now, refusal),
        }
    }
    if keys.len() > BATCH_KEYS_MAX {
        frames.push(framer.cut_off(now));
    }
    frames.extend(framer.tick(now + silence));
    PageInput::Scanned(frames.into_iter().map(|frame| read_frame(learned, frame)).collect())
}

/// Did a scanner type this? Many characters, close together.
#[must_use]
pub fn is_a_scanner_s(keys: &[PageKey]) -> bool {
    let typing = |key: &&PageKey| key.down && !key.repeat && !is_modifier(&key.key);
    let times: Vec<u64> = keys.iter().filter(typing).map(|key| key.at_us).collect();
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return false };
    let gaps = u64::try_from(times.len() - 1).unwrap_or(u64::MAX);
    // Times that run backwards are no clock's: then only the page's own silence tells.
    let took = last.saturating_sub(*first);
    times.len() >= CHARACTERS_MIN && took <= gaps.saturating_mul(MEAN_GAP_US_MAX)
}

/// The text that keys type: by the keys themselves for a layout, or as the browser says.
pub(super) fn text(keys: &[PageKey], layout: Option<Layout>, function_keys: bool) -> String {
    typed(keys, layout, function_keys).iter().map(Typed::character_or_replacement).collect()
}

impl PageKey {
    /// Is the key F8 pressed?
    pub(super) fn is_f8(&self) -> bool {
        self.down && (self.code == "F8" || self.key == "F8")
    }
}

fn read_frame(learned: Option<&Learned>, frame: Frame) -> PageFrame {
    match (frame, learned) {
        (Frame::Rejected(rejection), _) => PageFrame::Rejected(rejection),
        (Frame::Scan { bytes, .. }, None) => PageFrame::Scan { bytes, proved: false },
        (Frame::Scan { bytes, whole }, Some(learned)) => {
            let (bytes, proved) = learned.read(bytes, whole);
            PageFrame::Scan { bytes, proved }
        }
    }
}

fn typed(keys: &[PageKey], layout: Option<Layout>, function_keys: bool) -> Vec<Typed> {
    match layout {
        Some(layout) => by_code(keys, DecodeRules { layout, function_keys }),
        None => by_key(keys, function_keys),
    }
}

/// By which keys were pressed. The system's own layout and Caps Lock do not matter: a scanner that types a capital presses
/// Shift, and that is what it means.
fn by_code(keys: &[PageKey], rules: DecodeRules) -> Vec<Typed> {
    let mut decoder = Decoder::new(rules, &KeyState::default());
    let mut typed = Vec::new();
    for key in keys.iter().filter(|key| !key.repeat) {
        let code = kernel_code(&key.code).unwrap_or(keys::KEY_MAX);
        let change = if key.down { KeyChange::Press } else { KeyChange::Release };
        if key.down && !is_modifier(&key.key) {
            decoder.set_modifiers(key.shift, key.ctrl, key.alt, key.alt_graph);
            // A key whose `keyup` another window got.
            let _was_down = decoder.key(code, KeyChange::Release);
        }
        if !(key.down && decoder.is_down(code)) {
            typed.extend(decoder.key(code, change));
        }
    }
    typed.extend(decoder.flush());
    typed
}

/// As the browser says.
fn by_key(keys: &[PageKey], function_keys: bool) -> Vec<Typed> {
    keys.iter()
        .filter(|key| key.down && !key.repeat && !is_modifier(&key.key))
        .map(|key| character(key, function_keys))
        .collect()
}

fn character(key: &PageKey, function_keys: bool) -> Typed {
    let mut characters = key.key.chars();
    let alt_gr = key.alt_graph || key.ctrl && key.alt;
    match (key.key.as_str(), characters.next(), characters.next()) {
        ("Enter", ..) => Typed::Character('\r'),
        ("Tab", ..) => Typed::Character('\t'),
        ("F8", ..) if function_keys => Typed::Character('\u{1d}'),
        (_, Some(']'), None) if key.ctrl && !alt_gr => Typed::Character('\u{1d}'),
        // Some systems hand over the control character itself.
        (_, Some(one), None) if alt_gr || !key.ctrl && !key.alt || one.is_control() => Typed::Character(one),
        _ => Typed::Refused(KeyRefusal::BrowserKey { key: key.key.clone() }),
    }
}

fn is_modifier(key: &str) -> bool {
    matches!(
        key,
        "Shift" | "Control" | "Alt" | "AltGraph" | "CapsLock" | "NumLock" | "ScrollLock" | "Meta" | "Fn"
    )
}

/// The kernel's code of a browser's.
fn kernel_code(code: &str) -> Option<u16> {
    const LETTERS: &str = "qwertyuiop\0\0\0\0asdfghjkl\0\0\0\0\0zxcvbnm";
    const NAMED: &[(&str, u16)] = &[
        ("Minus", 12),
        ("Equal", 13),
        ("Tab", keys::KEY_TAB),
        ("BracketLeft", 26),
        ("BracketRight", 27),
        ("Enter", keys::KEY_ENTER),
        ("ControlLeft", keys::KEY_LEFTCTRL),
        ("Semicolon", 39),
        ("Quote", 40),
        ("Backquote", 41),
        ("ShiftLeft", keys::KEY_LEFTSHIFT),
        ("Backslash", 43),
        ("Comma", 51),
        ("Period", 52),
        ("Slash", 53),
        ("ShiftRight", keys::KEY_RIGHTSHIFT),
        ("NumpadMultiply", 55),
        ("AltLeft", keys::KEY_LEFTALT),
        ("Space", keys::KEY_SPACE),
        ("CapsLock", keys::KEY_CAPSLOCK),
        ("F7", keys::KEY_F7),
        ("F8", keys::KEY_F8),
        ("F9", keys::KEY_F9),
        ("F10", keys::KEY_F10),
        ("NumLock", keys::KEY_NUMLOCK),
        ("ScrollLock", keys::KEY_SCROLLLOCK),
        ("NumpadSubtract", 74),
        ("NumpadAdd", 78),
        ("NumpadDecimal", keys::KEY_KPDOT),
        ("IntlBackslash", 86),
        ("NumpadEnter", keys::KEY_KPENTER),
        ("ControlRight", keys::KEY_RIGHTCTRL),
        ("NumpadDivide", 98),
        ("AltRight", keys::KEY_RIGHTALT),
        ("MetaLeft", keys::KEY_LEFTMETA),
        ("MetaRight", keys::KEY_RIGHTMETA),
    ];
    let digit = |rest: &str| rest.parse::<u8>().ok().filter(|digit| *digit <= 9);
    if let Some(letter) = code.strip_prefix("Key") {
        let letter = letter.chars().next()?.to_ascii_lowercase();
        let place = LETTERS.chars().position(|c| c == letter && c != '\0')?;
        return u16::try_from(place + 16).ok();
    }
    if let Some(digit) = code.strip_prefix("Digit").and_then(digit) {
        return Some(if digit == 0 { 11 } else { u16::from(digit) + 1 });
    }
    if let Some(digit) = code.strip_prefix("Numpad").and_then(digit) {
        return keypad_digit(digit);
    }
    NAMED.iter().find(|(name, _)| *name == code).map(|(_, code)| *code)
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
