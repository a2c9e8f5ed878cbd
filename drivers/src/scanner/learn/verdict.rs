//! What the scans of the sheet say about a scanner. Pure.

use std::{collections::BTreeMap, time::Instant};

use pestle_domain::gs1::symbology::{Carries, SymbologyId};
use serde::{Deserialize, Serialize};

use super::{
    settings::{Learned, RawLearned, Separator, SettingsError, Wire, can_stand_in},
    sheet::TestCode,
};
use crate::scanner::{
    framing::{Frame, Framer, FramingRules},
    programming::Purpose,
};

/// The end of learning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How the scanner sends, to be stored. Where its separator or suffix cannot be used, its scans are read by this and
    /// never proved. None where its scans cannot be read at all.
    pub learned: Option<Learned>,
    /// What is wrong, and what mends it. Empty for a scanner that is proved.
    pub faults: Vec<Fault>,
}

/// Why a scanner is not proved. Each says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// Nothing came for FNC1.
    #[error(
        "the scanner swallows the separator GS, so a lot cannot be told from what follows it: scan its maker's code for sending GS (control characters), or for factory default, then learn again"
    )]
    SeparatorSwallowed,
    /// Something came that barcodes hold as well.
    #[error(
        "the scanner sends {sent:?} in place of the separator GS, and barcodes can hold that too: scan its maker's code for sending GS (control characters), or set it to | or ~, then learn again"
    )]
    SeparatorUnusable {
        /// What came.
        sent: String,
    },
    /// Not the same at all places.
    #[error(
        "the scanner does not send the same for each separator GS: scan its maker's codes for factory default and USB serial, then learn again"
    )]
    SeparatorVaries,
    /// Nothing came behind the data.
    #[error(
        "the scanner sends nothing behind a scan, so an end that was cut off cannot be told: scan its maker's code for the suffix CR, then learn again"
    )]
    NoSuffix,
    /// Something came that cannot be a suffix.
    #[error(
        "the scanner ends its scans with {sent:?}, which barcodes can hold or which is no character: scan its maker's code for the suffix CR, then learn again"
    )]
    SuffixUnusable {
        /// What came.
        sent: String,
    },
    /// The prefix holds what cannot be told from data.
    #[error("the scanner's prefix {sent:?} cannot be used: take it off (factory default), then learn again")]
    PrefixUnusable {
        /// What came.
        sent: String,
    },
    /// Prefix, suffix or symbology identifier differ from code to code.
    #[error(
        "the scanner sends other {what} with one kind of code than with another: scan its maker's code for factory default, then set it up and learn again"
    )]
    Varies {
        /// Which of them.
        what: String,
    },
    /// It named the DataMatrix as one that is not GS1's.
    #[error(
        "the scanner calls a GS1 DataMatrix {id}, not ]d2: update its firmware, or switch its symbology identifiers off, then learn again"
    )]
    NotCalledGs1 {
        /// What it called it.
        id: String,
    },
    /// Capitals arrive as small letters, or the other way round.
    #[error(
        "the scanner changes capitals and small letters: switch its case conversion and Caps Lock settings off (factory default), then learn again"
    )]
    CaseChanged,
    /// Other characters arrive than are printed.
    #[error(
        "the scanner types for a country that is not known here (code {code} arrives as {sent:?}): scan its maker's code for the keyboard of the United States, then learn again"
    )]
    CharactersChanged {
        /// Which code.
        code: TestCode,
        /// What came.
        sent: String,
    },
    /// The codes were typed for several countries.
    #[error("the codes were typed for different countries: learn again, with one scanner")]
    CountryVaries,
    /// It does not read the DataMatrix.
    #[error(
        "the scanner does not read GS1 DataMatrix: switch that symbology on with its maker's code, or use another scanner; without it there are no lots and serials"
    )]
    NoDataMatrix,
    /// With what was learned, the codes are not read back.
    #[error("with what was learned, code {code} is not read back as it is printed: learn again")]
    NotReadBack {
        /// Which code.
        code: TestCode,
    },
}

impl Fault {
    /// Which of the maker's codes mend it, the first one first.
    #[must_use]
    pub fn mended_by(&self) -> &'static [Purpose] {
        match self {
            Fault::SeparatorSwallowed | Fault::SeparatorUnusable { .. } => {
                &[Purpose::TransmitGs, Purpose::FactoryDefault]
            }
            Fault::NoSuffix | Fault::SuffixUnusable { .. } => &[Purpose::SuffixCr],
            Fault::CharactersChanged { .. } | Fault::CountryVaries => &[Purpose::KeyboardUs],
            Fault::SeparatorVaries => &[Purpose::FactoryDefault, Purpose::UsbSerial],
            Fault::PrefixUnusable { .. }
            | Fault::Varies { .. }
            | Fault::NotCalledGs1 { .. }
            | Fault::CaseChanged
            | Fault::NoDataMatrix
            | Fault::NotReadBack { .. } => &[Purpose::FactoryDefault],
        }
    }
}

/// One test code as it arrived, read in one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sighting {
    pub(super) wire: Wire,
    /// All that arrived.
    pub(super) text: String,
    /// Before the data.
    pub(super) before: String,
    /// Between its parts.
    pub(super) separators: Vec<String>,
    /// Behind the data.
    pub(super) after: String,
    pub(super) has_f8: bool,
}

/// Finds a test code in what arrived.
pub(super) fn find(code: TestCode, text: &str) -> Option<(String, Vec<String>, String)> {
    let mut parts = code.parts().iter();
    let (before, mut rest) = text.split_once(parts.next()?)?;
    let mut separators = Vec::new();
    for part in parts {
        let (separator, after) = rest.split_once(part)?;
        separators.push(separator.to_owned());
        rest = after;
    }
    Some((before.to_owned(), separators, rest.to_owned()))
}

/// Judges what was seen of one scanner, all of it read in the same way.
pub(super) fn judge(seen: &BTreeMap<TestCode, Sighting>, now: Instant) -> Verdict {
    match settings_of(seen) {
        Err(fault) => Verdict { learned: None, faults: vec![fault] },
        Ok((raw, faults)) => match Learned::new(raw) {
            Ok(learned) => read_back(learned, faults, seen, now),
            Err(error) => Verdict { learned: None, faults: vec![fault_of(error)] },
        },
    }
}

fn fault_of(error: SettingsError) -> Fault {
    match error {
        SettingsError::Suffix(sent) => Fault::SuffixUnusable { sent },
        SettingsError::Prefix(sent) => Fault::PrefixUnusable { sent },
        SettingsError::StandIn(sent) => Fault::SeparatorUnusable { sent },
        SettingsError::NoKeys => Fault::SeparatorVaries,
    }
}

fn settings_of(seen: &BTreeMap<TestCode, Sighting>) -> Result<(RawLearned, Vec<Fault>), Fault> {
    let mut faults = Vec::new();
    let separators = || seen.values().flat_map(|one| &one.separators);
    let sent = same(separators().map(String::as_str)).map_err(|()| Fault::SeparatorVaries)?;
    let has_f8 = seen.iter().any(|(code, one)| code.has_separators() && one.has_f8);
    let separator = match sent {
        None => {
            faults.push(Fault::NoDataMatrix);
            Separator::Unknown
        }
        Some("") => {
            faults.push(Fault::SeparatorSwallowed);
            Separator::Unknown
        }
        Some("\u{1d}") if has_f8 => Separator::F8,
        Some("\u{1d}") => Separator::Gs,
        Some(text) if can_stand_in(text) => Separator::StandIn { text: text.to_owned() },
        Some(text) => {
            faults.push(Fault::SeparatorUnusable { sent: text.to_owned() });
            Separator::Unknown
        }
    };
    let (prefix, symbology_ids) = fronts(seen, None).or_else(|_| fronts(seen, sent))?;
    let suffix = same(seen.values().map(|one| one.after.as_str()))
        .map_err(|()| Fault::Varies { what: "suffixes".to_owned() })?
        .unwrap_or_default();
    if suffix.is_empty() {
        faults.push(Fault::NoSuffix);
    }
    if separator != Separator::F8 && seen.values().any(|one| one.has_f8) {
        return Err(Fault::SuffixUnusable { sent: suffix.to_owned() });
    }
    let wire = seen.values().map(|one| one.wire).next().ok_or(Fault::NoDataMatrix)?;
    let (prefix, suffix) = (prefix.to_owned(), suffix.to_owned());
    Ok((RawLearned { wire, separator, prefix, suffix, symbology_ids }, faults))
}

/// The prefix that all have in common, and whether they have symbology identifiers. `separator` is what may stand for the
/// FNC1 at the beginning of a GS1 symbol.
fn fronts<'a>(
    seen: &'a BTreeMap<TestCode, Sighting>,
    separator: Option<&str>,
) -> Result<(&'a str, bool), Fault> {
    let varies = |what: &str| Fault::Varies { what: what.to_owned() };
    let fronts: Vec<_> = seen.iter().map(|(code, one)| (code, front(*code, one, separator))).collect();
    let prefix = same(fronts.iter().map(|(_, (prefix, _))| *prefix)).map_err(|()| varies("prefixes"))?;
    let with_id = fronts.iter().filter(|(_, (_, id))| id.is_some()).count();
    if with_id != 0 && with_id != fronts.len() {
        return Err(varies("symbology identifiers"));
    }
    let called = fronts.iter().filter(|(code, _)| code.has_separators()).filter_map(|(_, (_, id))| *id);
    let is_gs1 = |id: &str| {
        SymbologyId::split(id.as_bytes()).is_some_and(|(id, _)| id.carries() == Carries::ElementString)
    };
    match called.into_iter().find(|id| !is_gs1(id)) {
        Some(id) => Err(Fault::NotCalledGs1 { id: id.to_owned() }),
        None => Ok((prefix.unwrap_or_default(), with_id != 0)),
    }
}

/// The prefix and the symbology identifier of what stands before the data. A scanner may send the FNC1 at the beginning of
/// a GS1 symbol as a separator too; that is no part of either.
fn front<'a>(code: TestCode, one: &'a Sighting, separator: Option<&str>) -> (&'a str, Option<&'a str>) {
    let before = match separator {
        Some(separator) if code.has_separators() && !separator.is_empty() => {
            one.before.strip_suffix(separator).unwrap_or(&one.before)
        }
        _ => &one.before,
    };
    let at = before.len().saturating_sub(SymbologyId::LEN);
    match (before.get(..at), before.get(at..)) {
        (Some(prefix), Some(id)) if SymbologyId::split(id.as_bytes()).is_some() => (prefix, Some(id)),
        _ => (before, None),
    }
}

/// What all of them are; `None` if there are none.
fn same<'a>(mut all: impl Iterator<Item = &'a str>) -> Result<Option<&'a str>, ()> {
    let Some(first) = all.next() else { return Ok(None) };
    if all.all(|one| one == first) { Ok(Some(first)) } else { Err(()) }
}

/// The proof: what arrived, framed and read by what was learned, is what is printed.
fn read_back(
    learned: Learned,
    mut faults: Vec<Fault>,
    seen: &BTreeMap<TestCode, Sighting>,
    now: Instant,
) -> Verdict {
    let knows_separators = learned.raw().separator != Separator::Unknown;
    let wrong = seen
        .iter()
        .filter(|(code, _)| knows_separators || !code.has_separators())
        .find(|(code, one)| !is_read_back(**code, &one.text, &learned, now));
    if let Some((code, _)) = wrong {
        faults.push(Fault::NotReadBack { code: *code });
        return Verdict { learned: None, faults };
    }
    Verdict { learned: Some(learned), faults }
}

fn is_read_back(code: TestCode, text: &str, learned: &Learned, now: Instant) -> bool {
    let framing = learned.framing(FramingRules::default().idle_gap);
    let silence = framing.idle_gap;
    let mut framer = Framer::new(framing);
    let mut frames = framer.push(now, text.as_bytes());
    frames.extend(framer.tick(now + silence));
    let [Frame::Scan { bytes, whole }] = &frames[..] else { return false };
    let (bytes, proved) = learned.read(bytes.clone(), *whole);
    let data = SymbologyId::split(&bytes).map_or(bytes.as_slice(), |(_, data)| data);
    let data = if code.has_separators() { data.strip_prefix(b"\x1d").unwrap_or(data) } else { data };
    data == code.data().as_bytes() && proved == learned.is_proof()
}
