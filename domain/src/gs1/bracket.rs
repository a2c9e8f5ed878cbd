//! The form that people read and write: `(01)09520123456788(10)A1`.
//!
//! A `(` inside a value is written `\(`, as GS1's engine does; no value can hold a backslash.

use super::ai::Ai;
use super::element::Elements;
use super::error::Gs1Error;

impl Elements {
    /// Reads the form with brackets.
    ///
    /// # Errors
    /// A bracket that is missing, or the first element that is unknown, malformed or contradicts one before.
    pub fn parse_bracketed(text: &str) -> Result<Self, Gs1Error> {
        parse_at(text.as_bytes(), 0)
    }

    /// Writes the form with brackets, in the elements' order.
    pub fn to_bracketed(&self) -> String {
        let mut text = String::new();
        for element in self {
            text.push('(');
            text.push_str(element.ai.as_str());
            text.push(')');
            text.push_str(&element.value.replace('(', "\\("));
        }
        text
    }
}

/// Reads the form with brackets, where `text` begins `base` bytes into the scan.
pub(super) fn parse_at(text: &[u8], base: usize) -> Result<Elements, Gs1Error> {
    if text.is_empty() {
        return Err(Gs1Error::Empty { at: base });
    }
    let mut elements = Elements::new();
    let mut pos = 0;
    while pos < text.len() {
        if text[pos] != b'(' {
            return Err(Gs1Error::Bracket { at: base + pos });
        }
        let at = base + pos + 1;
        let name = &text[pos + 1..];
        let Some(close) = name.iter().position(|byte| *byte == b')') else {
            return Err(Gs1Error::Bracket { at: base + pos });
        };
        let name = &name[..close];
        let ai = Ai::at_start(name)
            .filter(|ai| ai.len() == name.len())
            .ok_or_else(|| Gs1Error::unknown_ai(at, name))?;
        pos += close + 2;
        let (value, end) = unescaped_value(text, pos);
        elements.push_whole(ai, &value, at)?;
        pos = end;
    }
    Ok(elements)
}

/// The value that begins at `pos`, without its escapes, and where it ends.
fn unescaped_value(text: &[u8], mut pos: usize) -> (Vec<u8>, usize) {
    let mut value = Vec::new();
    while let Some(byte) = text.get(pos) {
        if *byte == b'(' {
            if value.last() != Some(&b'\\') {
                break;
            }
            value.pop();
        }
        value.push(*byte);
        pos += 1;
    }
    (value, pos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, usize>) {
        let found = Elements::parse_bracketed(text)
            .map(|elements| elements.to_element_string().replace('\u{1D}', "^"))
            .map_err(|error| error.at());
        assert_eq!(found, expected.map(String::from), "{text}");
    }

    #[test]
    fn brackets_read_as_the_element_string() {
        check("(01)12345678901231", Ok("0112345678901231"));
        check("(01)12345678901231(10)12345", Ok("01123456789012311012345"));
        check("(10)12345(11)991225", Ok("119912251012345"));
        check("(3900)12345(10)A", Ok("390012345^10A"));
    }

    #[test]
    fn an_escaped_bracket_belongs_to_the_value() {
        check("(10)12345\\(11)991225", Ok("1012345(11)991225"));
        check("(10)12345\\(", Ok("1012345("));
    }

    #[test]
    fn what_is_not_well_formed_is_refused_where_it_stands() {
        check("(10)(11)98765", Err(1));
        check("(10)12345(11)", Err(10));
        check("(1A)12345", Err(1));
        check("1(12345", Err(0));
        check("()12345", Err(1));
        check("(12345)12345", Err(1));
        check("(15", Err(0));
        check("(", Err(0));
        check("(01)123456789012312(10)12345", Err(1));
        check("(10)12345^", Err(1));
        check("(17)9(90)217", Err(1));
    }
}
