//! Element strings: application identifiers and their values, one after the other.
//!
//! Parsing and building stand together; they are inverse to each other. What the data must be: General
//! Specifications 7.8 (processing of element strings).

use serde::Serialize;

use super::GS;
use super::ai::Ai;
use super::error::{Gs1Error, MAX_ELEMENTS};
use super::gtin::Gtin;

/// One application identifier with its value.
#[derive(Debug, Clone, Serialize)]
pub struct Element {
    /// What the value is.
    pub ai: Ai,
    /// The value: characters of ASCII alone, valid for the identifier.
    pub value: String,
    #[serde(skip)]
    at: usize,
}

/// Elements in the order in which they were scanned; each valid by itself.
///
/// Whether they belong together is a question of its own ([`Elements::check_associations`]), since GS1 asks it of
/// all the codes on an item together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Elements(Vec<Element>);

impl Element {
    /// The byte offset of the identifier in the input that it was parsed from; 0 if it was not parsed.
    pub fn at(&self) -> usize {
        self.at
    }
}

/// Two elements are equal if they say the same, wherever they stood.
impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.ai == other.ai && self.value == other.value
    }
}

impl Eq for Element {}

impl Elements {
    /// No elements yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads an element string: FNC1 as GS, one at the beginning and one at the end tolerated, and one after a value
    /// of predefined length too. A value of another identifier ends with GS or with the data.
    ///
    /// # Errors
    /// The first element that is unknown, malformed, or says something else than its namesake before.
    pub fn parse(text: &[u8]) -> Result<Self, Gs1Error> {
        Self::parse_at(text, 0)
    }

    /// As [`Elements::parse`], where `text` begins `base` bytes into the scan.
    pub(super) fn parse_at(text: &[u8], base: usize) -> Result<Self, Gs1Error> {
        let mut pos = usize::from(text.first() == Some(&GS));
        if pos == text.len() {
            return Err(Gs1Error::Empty { at: base });
        }
        let mut elements = Self(Vec::with_capacity(6));
        while pos < text.len() {
            let at = base + pos;
            let ai = Ai::at_start(&text[pos..]).ok_or_else(|| Gs1Error::unknown_ai(at, &text[pos..]))?;
            let rest = &text[pos + ai.len()..];
            let field = &rest[..rest.iter().position(|byte| *byte == GS).unwrap_or(rest.len())];
            let used = checked_length(ai, field, at)?;
            if used < field.len() && !ai.is_predefined_length() {
                return Err(Gs1Error::ValueTooLong { at, ai });
            }
            elements.add(ai, &field[..used], at)?;
            pos += ai.len() + used;
            pos += usize::from(text.get(pos) == Some(&GS));
        }
        Ok(elements)
    }

    /// Adds an element at the end.
    ///
    /// # Errors
    /// An unknown identifier, a value that is not valid for it, or the same identifier with another value before.
    pub fn push(&mut self, ai: &str, value: &str) -> Result<(), Gs1Error> {
        let ai: Ai = ai.parse().map_err(|_| Gs1Error::unknown_ai(0, ai.as_bytes()))?;
        self.push_whole(ai, value.as_bytes(), 0)
    }

    /// Adds an element whose value is known to be the whole of `value`.
    pub(super) fn push_whole(&mut self, ai: Ai, value: &[u8], at: usize) -> Result<(), Gs1Error> {
        let used = checked_length(ai, value, at)?;
        if used < value.len() {
            return Err(Gs1Error::ValueLength { at, ai, len: value.len() });
        }
        self.add(ai, value, at)
    }

    fn add(&mut self, ai: Ai, value: &[u8], at: usize) -> Result<(), Gs1Error> {
        if self.0.len() == MAX_ELEMENTS {
            return Err(Gs1Error::TooManyElements { at });
        }
        if self.0.iter().any(|earlier| earlier.ai == ai && earlier.value.as_bytes() != value) {
            return Err(Gs1Error::Repeated { at, ai });
        }
        // Every charset is ASCII, so nothing is lost.
        self.0.push(Element { ai, value: String::from_utf8_lossy(value).into_owned(), at });
        Ok(())
    }

    /// A GTIN as (01), which stood `at` in the scan.
    pub(super) fn of_gtin(gtin: Gtin, at: usize) -> Result<Self, Gs1Error> {
        let mut elements = Self::new();
        let ai = Ai::at_start(b"01").ok_or_else(|| Gs1Error::unknown_ai(at, b"01"))?;
        elements.push_whole(ai, gtin.as_str().as_bytes(), at)?;
        Ok(elements)
    }

    /// These elements and then those, where none contradicts another.
    pub(super) fn followed_by(mut self, more: &Self) -> Result<Self, Gs1Error> {
        for element in more {
            self.add(element.ai, element.value.as_bytes(), element.at)?;
        }
        Ok(self)
    }

    /// Writes the element string that a symbol carries after its FNC1 in first position: values of predefined length
    /// first (in their order), so that fewest separators are needed; GS after each other one but the last.
    pub fn to_element_string(&self) -> String {
        let mut text = String::with_capacity(self.0.iter().map(|e| e.value.len() + 5).sum());
        let mut separate = false;
        for element in self.in_build_order() {
            if separate {
                text.push(char::from(GS));
            }
            text.push_str(element.ai.as_str());
            text.push_str(&element.value);
            separate = !element.ai.is_predefined_length();
        }
        text
    }

    pub(super) fn in_build_order(&self) -> impl Iterator<Item = &Element> {
        let predefined = self.0.iter().filter(|element| element.ai.is_predefined_length());
        predefined.chain(self.0.iter().filter(|element| !element.ai.is_predefined_length()))
    }

    /// The value of an identifier, if it is there.
    pub fn get(&self, ai: &str) -> Option<&str> {
        self.0.iter().find(|element| element.ai == ai).map(|element| element.value.as_str())
    }

    /// The elements, in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Element> {
        self.0.iter()
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> IntoIterator for &'a Elements {
    type Item = &'a Element;
    type IntoIter = std::slice::Iter<'a, Element>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Checks the value of `ai` that `field` begins with, and says how many bytes it takes.
fn checked_length(ai: Ai, field: &[u8], at: usize) -> Result<usize, Gs1Error> {
    if field.is_empty() {
        return Err(Gs1Error::NoValue { at, ai });
    }
    let mut used = 0;
    for part in ai.spec().parts {
        let rest = &field[used..];
        let text = &rest[..rest.len().min(usize::from(part.max))];
        if part.optional && text.is_empty() {
            break;
        }
        if text.len() < usize::from(part.min) {
            return Err(Gs1Error::ValueLength { at, ai, len: field.len() });
        }
        if let Some(place) = text.iter().position(|byte| !part.charset.holds(*byte)) {
            return Err(Gs1Error::Character { at, ai, place: used + place, found: text[place] });
        }
        for rule in part.rules {
            rule.check(text).map_err(|misfit| Gs1Error::Content {
                at,
                ai,
                place: used + misfit.offset,
                wrong: misfit.wrong,
            })?;
        }
        used += text.len();
    }
    Ok(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a string in which `^` stands for GS and writes what was found, or the error's offset.
    fn check(text: &str, expected: Result<&str, usize>) {
        let found = Elements::parse(text.replace('^', "\u{1D}").as_bytes())
            .map(|elements| elements.to_bracketed())
            .map_err(|error| error.at());
        assert_eq!(found, expected.map(String::from), "{text}");
    }

    #[test]
    fn values_of_predefined_length_need_no_separator_and_others_end_with_one() {
        check("010952012345678817280131", Ok("(01)09520123456788(17)280131"));
        check("010952012345678810A1^17280131", Ok("(01)09520123456788(10)A1(17)280131"));
        check("^010952012345678810A1^217^", Ok("(01)09520123456788(10)A1(21)7"));
        check("0109520123456788^10A1", Ok("(01)09520123456788(10)A1"));
    }

    #[test]
    fn a_swallowed_separator_leaves_what_syntax_allows() {
        check("010952012345678810A1217", Ok("(01)09520123456788(10)A1217"));
        check("010952012345678870032812312359^10A", Ok("(01)09520123456788(7003)2812312359(10)A"));
        // Fixed length, yet not predefined: its end must be marked.
        check("01095201234567887003281231235910A", Err(16));
    }

    #[test]
    fn the_offset_is_that_of_the_elements_identifier() {
        check("", Err(0));
        check("^", Err(0));
        check("891234", Err(0));
        check("^^0109520123456788", Err(1));
        check("01095201234567882", Err(16));
        check("0109520123456788^^10A", Err(17));
        check("0109520123456788172813A1", Err(16));
        check("010952012345678817281301", Err(16));
        check("010952012345678910A", Err(0));
        check("011234567890123^", Err(0));
        check("010952012345678810A^10B", Err(20));
        check("010952012345678810^21A", Err(16));
    }

    #[test]
    fn an_element_that_is_repeated_alike_is_tolerated() {
        check("10A^010952012345678810A", Ok("(10)A(01)09520123456788(10)A"));
    }

    #[test]
    fn building_puts_values_of_predefined_length_first() -> Result<(), Gs1Error> {
        let mut elements = Elements::new();
        elements.push("21", "7")?;
        elements.push("01", "09520123456788")?;
        elements.push("10", "A1")?;
        elements.push("17", "280131")?;
        assert_eq!(elements.to_element_string(), "010952012345678817280131217\u{1D}10A1");
        Ok(())
    }

    #[test]
    fn more_elements_than_a_label_can_have_are_refused() {
        let text = "99A^".repeat(MAX_ELEMENTS + 1);
        check(&text, Err(4 * MAX_ELEMENTS));
        check(&text[4..], Ok("(99)A".repeat(MAX_ELEMENTS).as_str()));
    }
}
