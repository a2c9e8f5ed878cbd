//! What was learned about a scanner, as it is stored; and how its scans are read by it. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use pestle_domain::gs1::{
    GS,
    symbology::{Carries, SymbologyId},
};

use crate::scanner::{
    framing::FramingRules,
    keyboard::{decode::DecodeRules, layout::Layout},
};

/// How a scanner sends. Only [`Learned::new`] and reading a stored one make it, and both refuse what cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawLearned", into = "RawLearned")]
pub struct Learned {
    raw: RawLearned,
}

/// The same before it is checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawLearned {
    /// How its characters arrive.
    pub wire: Wire,
    /// What it sends for the separator of a GS1 element string.
    pub separator: Separator,
    /// What it sends before each scan; may be empty.
    #[serde(default)]
    pub prefix: String,
    /// What it sends behind each scan. Empty where it sends nothing: then no scan of it is ever proved.
    #[serde(default)]
    pub suffix: String,
    /// It tells what kind of symbol it saw (`]d2`, ISO/IEC 15424), behind the prefix.
    #[serde(default)]
    pub symbology_ids: bool,
}

/// How a scanner's characters arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Wire {
    /// As bytes: USB serial, RS-232, the network.
    Serial,
    /// As keys that this box decodes.
    Keyboard {
        /// The country it types for.
        layout: Layout,
    },
    /// As keys of a browser.
    Page {
        /// The country it types for; none where only the browser knows.
        layout: Option<Layout>,
    },
}

/// What arrives where an element string has its separator, FNC1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Separator {
    /// GS itself: the byte 0x1D, or Ctrl+] or Alt+029 of a keyboard.
    Gs,
    /// The key F8.
    F8,
    /// Printable characters in its place, which no element string holds.
    StandIn {
        /// One to four of them.
        text: String,
    },
    /// Nothing, or something that element strings hold too: where an element ends cannot be told.
    Unknown,
}

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// It could stand within a barcode.
    #[error(
        "the suffix {0:?} has no control character that barcodes never hold: set the scanner to end each scan with a carriage return"
    )]
    Suffix(String),
    /// It holds something that ends a scan, or that no prefix is.
    #[error("the prefix {0:?} cannot be told from a barcode's end: take the scanner's prefix off")]
    Prefix(String),
    /// It could be data.
    #[error(
        "{0:?} in place of GS can be a part of a barcode: set the scanner to send GS itself, or a character such as | or ~"
    )]
    StandIn(String),
    /// A serial line has no keys.
    #[error("a serial scanner has no F8 key: let it learn again")]
    NoKeys,
}

/// Longest stand-in, in characters.
const STAND_IN_MAX: usize = 4;

/// Longest prefix or suffix, in bytes.
const AFFIX_MAX: usize = 16;

impl Learned {
    /// Checks settings.
    ///
    /// # Errors
    /// What in them could change a barcode.
    pub fn new(raw: RawLearned) -> Result<Learned, SettingsError> {
        let RawLearned { wire, separator, prefix, suffix, .. } = &raw;
        let is_affix = |text: &str| text.len() <= AFFIX_MAX && text.is_ascii();
        let is_suffix = |text: &str| is_affix(text) && text.bytes().any(never_in_a_barcode);
        if !suffix.is_empty() && !is_suffix(suffix) {
            return Err(SettingsError::Suffix(suffix.clone()));
        }
        let holds_suffix = !suffix.is_empty() && prefix.contains(suffix.as_str());
        if !is_affix(prefix) || holds_suffix {
            return Err(SettingsError::Prefix(prefix.clone()));
        }
        match separator {
            Separator::StandIn { text } if !can_stand_in(text) => Err(SettingsError::StandIn(text.clone())),
            Separator::F8 if *wire == Wire::Serial => Err(SettingsError::NoKeys),
            _ => Ok(Learned { raw }),
        }
    }

    /// The settings themselves.
    #[must_use]
    pub fn raw(&self) -> &RawLearned {
        &self.raw
    }

    /// Does the scanner tell where each element ends and where each scan ends? Only then are lot and serial believed.
    #[must_use]
    pub fn is_proof(&self) -> bool {
        self.raw.separator != Separator::Unknown && !self.raw.suffix.is_empty()
    }

    /// How its scans are framed; `silence` is after how much of it one without its end is taken for cut off, which no test code tells.
    #[must_use]
    pub fn framing(&self, silence: Duration) -> FramingRules {
        let suffix = &self.raw.suffix;
        let suffixes = if suffix.is_empty() { Vec::new() } else { vec![suffix.clone().into_bytes()] };
        FramingRules {
            suffixes,
            needs_suffix: !suffix.is_empty(),
            prefix: self.raw.prefix.clone().into_bytes(),
            needs_prefix: !self.raw.prefix.is_empty(),
            idle_gap: silence,
            ..FramingRules::default()
        }
    }

    /// How its keys are read; `None` where no keys of it reach us, or only a browser knows them.
    #[must_use]
    pub fn decoding(&self) -> Option<DecodeRules> {
        let layout = match self.raw.wire {
            Wire::Serial | Wire::Page { layout: None } => return None,
            Wire::Keyboard { layout } | Wire::Page { layout: Some(layout) } => layout,
        };
        Some(DecodeRules { layout, function_keys: self.raw.separator == Separator::F8 })
    }

    /// A framed scan as the barcode has it, GS put back; and whether its lot and serial may be believed.
    #[must_use]
    pub fn read(&self, bytes: Vec<u8>, whole: bool) -> (Vec<u8>, bool) {
        let id = SymbologyId::split(&bytes).map(|(id, _)| id);
        // A scanner that names the symbology always does: without the name, the beginning is missing.
        let complete = whole && id.is_some() == self.raw.symbology_ids;
        let Separator::StandIn { text } = &self.raw.separator else {
            return (bytes, complete && self.is_proof());
        };
        let stand_in = text.as_bytes();
        let has_separators = match id {
            Some(id) => {
                id.carries() == Carries::ElementString || bytes[SymbologyId::LEN..].starts_with(b"[)>")
            }
            None => {
                let data = bytes.strip_prefix(stand_in).unwrap_or(&bytes);
                data.starts_with(b"[)>") || data.len() > 14 && data[..2].iter().all(u8::is_ascii_digit)
            }
        };
        let bytes = if has_separators { put_back(&bytes, stand_in) } else { bytes };
        (bytes, complete && self.is_proof())
    }
}

impl TryFrom<RawLearned> for Learned {
    type Error = SettingsError;

    fn try_from(raw: RawLearned) -> Result<Learned, SettingsError> {
        Learned::new(raw)
    }
}

impl From<Learned> for RawLearned {
    fn from(learned: Learned) -> RawLearned {
        learned.raw
    }
}

/// May this stand for GS? It has to hold a character that no element string has, or data could be taken for it.
#[must_use]
pub fn can_stand_in(text: &str) -> bool {
    (1..=STAND_IN_MAX).contains(&text.len())
        && text.bytes().all(|b| matches!(b, b' '..=b'~'))
        && text.bytes().any(|b| !in_element_strings(b))
}

/// GS1 AI encodable character sets 82, 39 and 64 (GS1 General Specifications, figures 7.11-1 to 7.11-3): all that the
/// values of element strings hold.
fn in_element_strings(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!\"%&'()*+,-./:;<=>?_#".contains(&byte)
}

/// Control characters, but for those of ISO/IEC 15434 envelopes and GS.
fn never_in_a_barcode(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, 0x04 | 0x1c..=0x1f)
}

fn put_back(bytes: &[u8], stand_in: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, tail)) = rest.split_first() {
        match rest.strip_prefix(stand_in) {
            Some(after) => {
                out.push(GS);
                rest = after;
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw() -> RawLearned {
        RawLearned {
            wire: Wire::Serial,
            separator: Separator::Gs,
            prefix: String::new(),
            suffix: "\r".into(),
            symbology_ids: false,
        }
    }

    fn stand_in(text: &str) -> Separator {
        Separator::StandIn { text: text.into() }
    }

    fn check(raw: RawLearned, sent: &str, expected: &str, proved: bool) {
        let learned = Learned::new(raw).unwrap();
        let (bytes, believed) = learned.read(sent.as_bytes().to_vec(), true);
        assert_eq!((String::from_utf8(bytes).unwrap().as_str(), believed), (expected, proved), "{sent}");
    }

    #[test]
    fn settings_that_could_change_a_barcode_are_refused() {
        let refused = |raw: RawLearned| Learned::new(raw).unwrap_err();
        let suffix = |suffix: &str| RawLearned { suffix: suffix.into(), ..raw() };
        for text in ["A", "#", "\u{1d}", "\u{4}", "x\u{1e}", "\u{fffd}\r"] {
            assert_eq!(refused(suffix(text)), SettingsError::Suffix(text.into()));
        }
        let prefix = RawLearned { prefix: "\r".into(), ..raw() };
        assert_eq!(refused(prefix), SettingsError::Prefix("\r".into()));
        for text in ["", "A", "<GS>", "#", "é", "\u{1c}", "|||||"] {
            let raw = RawLearned { separator: stand_in(text), ..raw() };
            assert_eq!(refused(raw), SettingsError::StandIn(text.into()));
        }
        let f8 = RawLearned { separator: Separator::F8, ..raw() };
        assert_eq!(refused(f8), SettingsError::NoKeys);
    }

    #[test]
    fn a_stand_in_becomes_gs_in_element_strings_alone() {
        let piped = || RawLearned { separator: stand_in("|"), ..raw() };
        check(piped(), "010952123454321310A1|217", "010952123454321310A1\u{1d}217", true);
        check(piped(), "|010952123454321310A1|217", "\u{1d}010952123454321310A1\u{1d}217", true);
        check(piped(), "SHELF|7", "SHELF|7", true);
        check(piped(), "[)>\u{1e}06|9NX\u{1e}\u{4}", "[)>\u{1e}06\u{1d}9NX\u{1e}\u{4}", true);
        let with_ids = || RawLearned { symbology_ids: true, ..piped() };
        check(with_ids(), "]d2010952123454321310A1|217", "]d2010952123454321310A1\u{1d}217", true);
        check(with_ids(), "]Q1https://x.example/a|b", "]Q1https://x.example/a|b", true);
    }

    #[test]
    fn a_stand_in_of_several_characters_is_found_wherever_the_data_begin() {
        let both = RawLearned { separator: stand_in("A|"), ..raw() };
        check(both, "010952123454321310XAA|21A", "010952123454321310XA\u{1d}21A", true);
    }

    #[test]
    fn a_scan_that_lacks_its_symbology_identifier_or_its_end_is_not_believed() {
        let with_ids = RawLearned { symbology_ids: true, ..raw() };
        check(with_ids.clone(), "]d2010952123454321310A1", "]d2010952123454321310A1", true);
        check(with_ids, "0952123454321310A1", "0952123454321310A1", false);
        check(raw(), "]d2010952123454321310A1", "]d2010952123454321310A1", false);
        assert!(!Learned::new(raw()).unwrap().read(b"96385074".to_vec(), false).1);
    }

    #[test]
    fn without_separator_or_suffix_nothing_is_believed() {
        check(RawLearned { separator: Separator::Unknown, ..raw() }, "96385074", "96385074", false);
        check(RawLearned { suffix: String::new(), ..raw() }, "96385074", "96385074", false);
    }

    #[test]
    fn stored_settings_are_checked_when_they_are_read() {
        let learned = Learned::new(RawLearned {
            wire: Wire::Keyboard { layout: Layout::German },
            separator: stand_in("|"),
            ..raw()
        })
        .unwrap();
        let json = serde_json::to_string(&learned).unwrap();
        assert_eq!(serde_json::from_str::<Learned>(&json).unwrap(), learned);
        let wrong = json.replace('|', "A");
        let error = serde_json::from_str::<Learned>(&wrong).unwrap_err().to_string();
        assert!(error.contains("can be a part of a barcode"), "{error}");
    }
}
