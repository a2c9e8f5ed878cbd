//! Application identifiers: looking one up, and what is known of each.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::content::Rule;
use super::table::TABLE;

/// An application identifier that exists: two to four digits, for example `01` or `3103`.
///
/// It can only be had from the table, so its specification is always there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ai {
    digits: [u8; 4],
    len: u8,
    row: u8,
}

/// The text is not an application identifier of the General Specifications.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "there is no application identifier ({0}); see the list in the GS1 General Specifications, section 3.2"
)]
pub struct UnknownAi(pub String);

/// One line of the table: an identifier, or a range of identifiers that differ in their last digit (`3100`–`3105`).
#[derive(Debug)]
pub struct AiSpec {
    /// The first identifier of the line.
    pub first: &'static str,
    /// The last one; the same as `first` for a single identifier.
    pub last: &'static str,
    /// What the value is made of, in order.
    pub parts: &'static [Part],
    /// The data title of the General Specifications.
    pub title: &'static str,
    /// Groups of identifiers, one of which must be there too: `01,03+21` is "(01), or (03) with (21)"; `31nn` stands
    /// for any of that form. Empty: none needed.
    pub requires: &'static str,
    /// Identifiers (or forms) that may not be there too, with commas between. Empty: none.
    pub excludes: &'static str,
    /// The part that it plays in a Digital Link URI.
    pub link: LinkRole,
}

/// The part that an identifier plays in a Digital Link URI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkRole {
    /// A primary key, with its qualifiers in the order in which they must appear; `|` parts alternatives. It may also
    /// stand in the query of a URI with another key.
    Key { qualifiers: &'static str },
    /// May appear in the query.
    Attribute,
    /// Only as a qualifier in the path, or not at all.
    NoAttribute,
}

/// A component of a value.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// The characters that it may hold.
    pub charset: Charset,
    /// The fewest characters.
    pub min: u8,
    /// The most characters.
    pub max: u8,
    /// May be left out when the value ends before it.
    pub optional: bool,
    /// What the content must be beyond its characters.
    pub rules: &'static [Rule],
}

/// The character sets of the General Specifications, section 7.11.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charset {
    /// Digits.
    Numeric,
    /// "GS1 AI encodable character set 82".
    Set82,
    /// "GS1 AI encodable character set 39".
    Set39,
    /// "GS1 AI encodable character set 64" (file-safe base64), with optional `=` at the end.
    Set64,
}

impl Charset {
    /// Whether the byte belongs to the set.
    pub const fn holds(self, byte: u8) -> bool {
        match self {
            Self::Numeric => byte.is_ascii_digit(),
            Self::Set82 => {
                byte.is_ascii_alphanumeric() || matches!(byte, b'!' | b'"' | b'%'..=b'/' | b':'..=b'?' | b'_')
            }
            Self::Set39 => {
                byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'#' | b'-' | b'/')
            }
            Self::Set64 => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'='),
        }
    }

    const fn letter(self) -> char {
        match self {
            Self::Numeric => 'N',
            Self::Set82 => 'X',
            Self::Set39 => 'Y',
            Self::Set64 => 'Z',
        }
    }
}

impl fmt::Display for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Numeric => "digits",
            Self::Set82 => "GS1's character set 82",
            Self::Set39 => "GS1's character set 39",
            Self::Set64 => "GS1's character set 64",
        })
    }
}

/// How long an identifier is that begins with these two digits; 0 where none does. All identifiers of one such
/// prefix have the same length, so no identifier is the beginning of another.
static LENGTH_BY_PREFIX: [u8; 100] = {
    let mut lengths = [0; 100];
    let mut i = 0;
    while i < TABLE.len() {
        let (first, last) = (TABLE[i].first.as_bytes(), TABLE[i].last.as_bytes());
        let mut prefix = (first[0] - b'0') as usize * 10 + (first[1] - b'0') as usize;
        while prefix <= (last[0] - b'0') as usize * 10 + (last[1] - b'0') as usize {
            assert!(lengths[prefix] == 0 || lengths[prefix] == first.len());
            lengths[prefix] = first.len();
            prefix += 1;
        }
        i += 1;
    }
    let mut bytes = [0; 100];
    let mut i = 0;
    while i < 100 {
        bytes[i] = match lengths[i] {
            2 => 2,
            3 => 3,
            4 => 4,
            _ => 0,
        };
        i += 1;
    }
    bytes
};

impl Ai {
    /// The identifier that these bytes begin with, if there is one.
    pub fn at_start(text: &[u8]) -> Option<Self> {
        let &[tens @ b'0'..=b'9', units @ b'0'..=b'9', ..] = text else { return None };
        let len = LENGTH_BY_PREFIX[usize::from(tens - b'0') * 10 + usize::from(units - b'0')];
        let head = text.get(..usize::from(len)).filter(|head| !head.is_empty())?;
        let found = TABLE.binary_search_by(|spec| {
            if spec.last.as_bytes() < head {
                Ordering::Less
            } else if spec.first.as_bytes() > head {
                Ordering::Greater
            } else {
                Ordering::Equal
            }
        });
        let row = u8::try_from(found.ok()?).ok()?;
        let mut digits = [0; 4];
        digits[..head.len()].copy_from_slice(head);
        head.iter().all(u8::is_ascii_digit).then_some(Self { digits, len, row })
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.digits[..usize::from(self.len)]).unwrap_or_default()
    }

    /// How many digits it has.
    #[allow(clippy::len_without_is_empty, reason = "an identifier is never empty")]
    pub const fn len(self) -> usize {
        self.len as usize
    }

    /// What the General Specifications say of it.
    pub fn spec(self) -> &'static AiSpec {
        &TABLE[usize::from(self.row)]
    }

    /// Its data title, for example `BATCH/LOT`.
    pub fn title(self) -> &'static str {
        self.spec().title
    }

    /// Whether its length is predefined by its first two digits (00–04, 11–20, 31–36, 41), so that no FNC1 follows
    /// it. Every other one, of fixed length too, ends with FNC1 or with the data (General Specifications 7.8.5).
    pub const fn is_predefined_length(self) -> bool {
        matches!(
            (self.digits[0], self.digits[1]),
            (b'0', b'0'..=b'4') | (b'1', b'1'..=b'9') | (b'2', b'0') | (b'3', b'1'..=b'6') | (b'4', b'1')
        )
    }
}

impl AiSpec {
    /// The fewest and the most characters that a value may have.
    pub fn length(&self) -> (usize, usize) {
        let min = self.parts.iter().filter(|part| !part.optional).map(|part| usize::from(part.min)).sum();
        let max = self.parts.iter().map(|part| usize::from(part.max)).sum();
        (min, max)
    }

    /// The value's format in the notation of the General Specifications, for example `N3+X..27`.
    pub fn format(&self) -> String {
        let mut text = String::new();
        for part in self.parts {
            if !text.is_empty() {
                text.push('+');
            }
            let dots = if part.min == part.max { "" } else { ".." };
            let body = format!("{}{dots}{}", part.charset.letter(), part.max);
            text.push_str(&if part.optional { format!("[{body}]") } else { body });
        }
        text
    }
}

/// Whether an identifier has the form `pattern`: its digits, where `n` at the end stands for any digit.
pub(super) fn matches_pattern(ai: Ai, pattern: &str) -> bool {
    let fixed = pattern.trim_end_matches('n');
    ai.len() == pattern.len() && ai.as_str().starts_with(fixed)
}

impl fmt::Display for Ai {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Ai {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ai({})", self.as_str())
    }
}

impl FromStr for Ai {
    type Err = UnknownAi;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::at_start(text.as_bytes())
            .filter(|ai| ai.len() == text.len())
            .ok_or_else(|| UnknownAi(text.chars().take(8).collect()))
    }
}

impl PartialEq<str> for Ai {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Ai {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl Serialize for Ai {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Ai {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_its_ranges_differ_only_in_the_last_digit() {
        for pair in TABLE.windows(2) {
            assert!(pair[0].last < pair[1].first, "{} before {}", pair[0].last, pair[1].first);
        }
        for spec in TABLE {
            assert_eq!(spec.first.len(), spec.last.len());
            let stem = spec.first.len() - 1;
            assert_eq!(spec.first[..stem], spec.last[..stem], "{}", spec.first);
            assert!(spec.first <= spec.last);
        }
    }

    #[test]
    fn no_identifier_is_the_beginning_of_another() {
        let all = every_ai();
        assert!(all.len() > 400, "only {} identifiers", all.len());
        for a in &all {
            for b in &all {
                assert!(a == b || !b.as_str().starts_with(a.as_str()), "{a} begins {b}");
            }
        }
    }

    #[test]
    fn predefined_length_is_a_matter_of_the_first_two_digits_and_such_values_are_fixed() {
        for ai in every_ai() {
            let (min, max) = ai.spec().length();
            let expected = match &ai.as_str()[..2] {
                "00" => 18,
                "01" | "02" | "03" => 14,
                "11" | "12" | "13" | "14" | "15" | "16" | "17" | "18" | "19" => 6,
                "20" => 2,
                "31" | "32" | "33" | "34" | "35" | "36" => 6,
                "41" => 13,
                _ => 0,
            };
            assert_eq!(ai.is_predefined_length(), expected != 0, "{ai}");
            if expected != 0 {
                assert_eq!((min, max), (expected, expected), "{ai}");
            }
        }
    }

    #[test]
    fn only_the_last_component_varies_and_optional_ones_come_last() {
        for spec in TABLE {
            for (i, part) in spec.parts.iter().enumerate() {
                assert!(part.min >= 1 && part.min <= part.max, "{}", spec.first);
                assert!(part.min == part.max || i + 1 == spec.parts.len(), "{}", spec.first);
                assert!(
                    !part.optional || spec.parts[i..].iter().all(|later| later.optional),
                    "{}",
                    spec.first
                );
            }
            assert!(spec.length().1 <= 90, "{}", spec.first);
        }
    }

    #[test]
    fn what_is_required_or_excluded_exists() {
        let all = every_ai();
        let exists = |pattern: &str| all.iter().any(|ai| matches_pattern(*ai, pattern));
        for spec in TABLE {
            for pattern in spec.requires.split([',', '+']).filter(|text| !text.is_empty()) {
                assert!(exists(pattern), "{} requires {pattern}", spec.first);
            }
            for pattern in spec.excludes.split(',').filter(|text| !text.is_empty()) {
                assert!(exists(pattern), "{} excludes {pattern}", spec.first);
            }
            if let LinkRole::Key { qualifiers } = spec.link {
                for qualifier in qualifiers.split([',', '|']).filter(|text| !text.is_empty()) {
                    assert!(exists(qualifier), "{} is qualified by {qualifier}", spec.first);
                }
            }
        }
    }

    #[test]
    fn unknown_identifiers_are_not_found() {
        for text in [
            "", "1", "04", "14", "18", "23", "234", "236", "38", "3106", "3380", "4327", "720", "800",
            "8015", "89", "0A",
        ] {
            assert!(text.parse::<Ai>().is_err(), "{text}");
        }
        assert_eq!(Ai::at_start(b"8012rest").map(|ai| ai.to_string()), Some("8012".into()));
        assert!("011".parse::<Ai>().is_err());
    }

    #[test]
    fn a_format_reads_as_the_general_specifications_write_it() {
        let format = |text: &str| text.parse::<Ai>().map(|ai| ai.spec().format());
        assert_eq!(format("7030"), Ok("N3+X..27".into()));
        assert_eq!(format("8008"), Ok("N6+N2+[N2]+[N2]".into()));
        assert_eq!(format("10"), Ok("X..20".into()));
    }

    pub(crate) fn every_ai() -> Vec<Ai> {
        (0..=9_999)
            .flat_map(|n: u32| [format!("{n:02}"), format!("{n:03}"), format!("{n:04}")])
            .filter_map(|text| text.parse().ok())
            .collect::<std::collections::BTreeSet<Ai>>()
            .into_iter()
            .collect()
    }
}
