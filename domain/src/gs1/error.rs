//! What can be wrong with a scan, where, and what to do next.
//!
//! **Where**: `at` is a byte offset, 0-based, in the input exactly as it was given (symbology identifier, leading FNC1
//! and brackets included). For an error of an element it is the first digit of its application identifier, whatever
//! is wrong with the element: in an element string, in brackets (the digit after the bracket) and in a Digital Link
//! URI alike. Where the fault has a place inside the value, `place` counts the value's characters from 0, and the
//! message from 1. An error of the whole scan has the offset where the scan's data begin, or where reading stopped.

use thiserror::Error;

use super::MAX_SCAN_BYTES;
use super::ai::Ai;
use super::content::Wrong;
use super::gtin::GtinError;

/// The most elements in one scan; GS1's own engine has the same bound.
pub const MAX_ELEMENTS: usize = 64;

/// Why a scan was refused.
///
/// `UnknownAi` means that the data are in order but the identifier does not exist (a newer standard, or a separator
/// that was swallowed); the others say that something is malformed or does not belong together.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Gs1Error {
    #[error("the scan is empty; scan again")]
    Empty { at: usize },

    #[error(
        "the scan has {len} bytes, more than any GS1 barcode holds ({MAX_SCAN_BYTES}); check the scanner's suffix"
    )]
    ScanTooLong { at: usize, len: usize },

    #[error("there are more than {MAX_ELEMENTS} elements; check the scanner's suffix")]
    TooManyElements { at: usize },

    #[error("this is not GS1 data; scan the code that begins with a GTIN, or the EAN or UPC bars")]
    NotGs1 { at: usize },

    #[error(
        "no application identifier begins with \"{found}\"; if the label is right, check that the scanner sends FNC1 as GS"
    )]
    UnknownAi { at: usize, found: String },

    #[error("({ai}) {} has no value; scan again", .ai.title())]
    NoValue { at: usize, ai: Ai },

    #[error("({ai}) {} has {len} characters, which does not fit its format {}; scan again", .ai.title(), .ai.spec().format())]
    ValueLength { at: usize, ai: Ai, len: usize },

    #[error(
        "({ai}) {} goes on after its format {} is full; check that the scanner sends FNC1 as GS",
        .ai.title(), .ai.spec().format()
    )]
    ValueTooLong { at: usize, ai: Ai },

    #[error("({ai}) {}: character {} ({}) is not allowed in its format {}; scan again",
        .ai.title(), .place + 1, .found.escape_ascii(), .ai.spec().format())]
    Character { at: usize, ai: Ai, place: usize, found: u8 },

    #[error("({ai}) {}, character {}: {wrong}; scan again", .ai.title(), .place + 1)]
    Content { at: usize, ai: Ai, place: usize, wrong: Wrong },

    #[error("({ai}) {} stands here with another value than before; scan the labels one by one", .ai.title())]
    Repeated { at: usize, ai: Ai },

    #[error("({ai}) {} may not stand together with ({other}) {}; the label is wrong", .ai.title(), .other.title())]
    Excluded { at: usize, ai: Ai, other: Ai },

    #[error("({ai}) {} must stand together with ({}); scan the item's other code too", .ai.title(),
        alternatives(*.ai))]
    Required { at: usize, ai: Ai },

    #[error("({ai}) {} needs its serial component beside (8030) DIGSIG", .ai.title())]
    SerialMissing { at: usize, ai: Ai },

    #[error("an application identifier in brackets was expected here, as in (01)09520123456788")]
    Bracket { at: usize },

    #[error("the barcode's number is wrong: {wrong}; scan again")]
    LinearPack { at: usize, wrong: GtinError },

    #[error(
        "the reader says {name}, which has {expected} digits, but sent {len}; check its settings for this barcode"
    )]
    LinearLength { at: usize, name: &'static str, expected: &'static str, len: usize },

    #[error("the character {} may not stand in a URI here", .found.escape_ascii())]
    UriCharacter { at: usize, found: u8 },

    #[error("the URI has no domain name and path")]
    NoDomain { at: usize },

    #[error("the URI holds no GS1 key, as in https://id.gs1.org/01/09520123456788")]
    NoKey { at: usize },

    #[error("the word \"{word}\" is no longer used in GS1 Digital Link; write /{ai}/ instead")]
    ConvenienceAlpha { at: usize, word: &'static str, ai: Ai },

    #[error("({ai}) {} does not qualify this key, or not in this order", .ai.title())]
    KeyQualifier { at: usize, ai: Ai },

    #[error("({ai}) {} may not stand in the query of a GS1 Digital Link URI", .ai.title())]
    NotAnAttribute { at: usize, ai: Ai },

    #[error("({ai}) {} belongs in the path of this URI, not in its query", .ai.title())]
    BelongsInPath { at: usize, ai: Ai },

    #[error("({ai}) {} stands twice in this URI", .ai.title())]
    Duplicate { at: usize, ai: Ai },

    #[error("no element is a key of GS1 Digital Link; add the GTIN or another key")]
    NoKeyToLink { at: usize },

    #[error("the PPN code's field {di}: {wrong}")]
    Ppn { at: usize, di: String, wrong: PpnWrong },
}

/// How a field of a format 06 code (PPN) is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PpnWrong {
    #[error("it does not begin with a data identifier (up to three digits and a capital letter)")]
    NoIdentifier,
    #[error("a PPN has 4 to 22 capital letters and digits, the last two of them digits")]
    Number,
    #[error("the PPN's check digits are wrong; scan again")]
    NumberCheck,
    #[error("the PZN's length or check digit is wrong; scan again")]
    Pzn,
    #[error("it must have 1 to 20 characters, without blanks")]
    Text,
    #[error("the date does not exist")]
    Date,
    #[error("the GTIN's length or check digit is wrong")]
    Gtin,
    #[error("it stands twice")]
    Twice,
}

impl Gs1Error {
    /// The byte offset in the input, as this module's description defines it.
    pub fn at(&self) -> usize {
        match self {
            Self::Empty { at }
            | Self::ScanTooLong { at, .. }
            | Self::TooManyElements { at }
            | Self::NotGs1 { at }
            | Self::UnknownAi { at, .. }
            | Self::NoValue { at, .. }
            | Self::ValueLength { at, .. }
            | Self::ValueTooLong { at, .. }
            | Self::Character { at, .. }
            | Self::Content { at, .. }
            | Self::Repeated { at, .. }
            | Self::Excluded { at, .. }
            | Self::Required { at, .. }
            | Self::SerialMissing { at, .. }
            | Self::Bracket { at }
            | Self::LinearPack { at, .. }
            | Self::LinearLength { at, .. }
            | Self::UriCharacter { at, .. }
            | Self::NoDomain { at }
            | Self::NoKey { at }
            | Self::ConvenienceAlpha { at, .. }
            | Self::KeyQualifier { at, .. }
            | Self::NotAnAttribute { at, .. }
            | Self::BelongsInPath { at, .. }
            | Self::Duplicate { at, .. }
            | Self::NoKeyToLink { at }
            | Self::Ppn { at, .. } => *at,
        }
    }

    pub(super) fn unknown_ai(at: usize, text: &[u8]) -> Self {
        let found = text.iter().take(4).flat_map(|byte| byte.escape_ascii()).map(char::from).collect();
        Self::UnknownAi { at, found }
    }
}

/// What an identifier requires, for a person, within brackets: `01) or (03) with (21`.
fn alternatives(ai: Ai) -> String {
    ai.spec().requires.replace(',', ") or (").replace('+', ") with (")
}
