//! What the numbers and the data in a printer's commands stand for. Pure.

use crate::printer::{codepage::CodePage, symbols::code128::Element};

/// Epson's numbers.
pub(super) fn code_page(number: u8) -> CodePage {
    match number {
        2 => CodePage::Pc850,
        3 => CodePage::Pc860,
        4 => CodePage::Pc863,
        5 => CodePage::Pc865,
        13 => CodePage::Pc857,
        14 => CodePage::Pc737,
        15 => CodePage::Iso8859_7,
        16 => CodePage::Wpc1252,
        17 => CodePage::Pc866,
        18 => CodePage::Pc852,
        19 => CodePage::Pc858,
        33 => CodePage::Pc775,
        34 => CodePage::Pc855,
        39 => CodePage::Iso8859_2,
        40 => CodePage::Iso8859_15,
        45 => CodePage::Wpc1250,
        46 => CodePage::Wpc1251,
        47 => CodePage::Wpc1253,
        48 => CodePage::Wpc1254,
        51 => CodePage::Wpc1257,
        _ => CodePage::Pc437,
    }
}

/// The digits of an EAN; a printer adds the check digit where the host leaves it out.
pub(super) fn ean_digits(system: u8, data: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(data).into_owned();
    let without_check = match system {
        67 => 12,
        68 => 7,
        _ => return text,
    };
    if text.len() == without_check && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let weighed = text.bytes().rev().zip([3, 1].into_iter().cycle());
        let sum: u32 = weighed.map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
        text.push_str(&((10 - sum % 10) % 10).to_string());
    }
    text
}

/// The system of `GS k` that is Code 128.
pub(super) const CODE128: u8 = 73;

/// What `GS k 73` is told: `{A`, `{B` and `{C` choose a code set, in C a byte is a pair of digits, `{1` and `{3` are
/// functions, `{S` takes the next character from the other of A and B (here both are ASCII), `{{` is a brace.
pub(super) fn code128_elements(data: &[u8]) -> Vec<Element> {
    let mut elements = Vec::new();
    let mut pairs = false;
    let mut rest = data;
    loop {
        let taken = match rest {
            [] => return elements,
            [b'{', b'C', ..] => {
                pairs = true;
                2
            }
            [b'{', b'A' | b'B', ..] => {
                pairs = false;
                2
            }
            [b'{', b'S', ..] => 2,
            [b'{', b'1', ..] => {
                elements.push(Element::Fnc1);
                2
            }
            [b'{', b'3', ..] => {
                elements.push(Element::Fnc3);
                2
            }
            [b'{', b'{', ..] => {
                elements.push(Element::Ascii(b'{'));
                2
            }
            [pair, ..] if pairs => {
                elements.extend([Element::Ascii(b'0' + pair / 10 % 10), Element::Ascii(b'0' + pair % 10)]);
                1
            }
            [byte, ..] => {
                elements.push(Element::Ascii(*byte));
                1
            }
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
}

/// As a scanner would say it: a later FNC1 is GS, and one at the start is not said.
pub(super) fn readable(element: &Element) -> Option<char> {
    match element {
        Element::Ascii(byte) => Some(char::from(*byte)),
        Element::Fnc1 => Some('\u{1d}'),
        Element::Fnc3 => None,
    }
}

#[cfg(test)]
mod tests {
    use pestle_domain::document::Fnc3;

    use super::*;
    use crate::printer::symbols::code128::{gs1, native, plain, scanner_code};

    #[test]
    fn a_check_digit_that_is_left_out_is_added() {
        assert_eq!(ean_digits(67, b"952123454321"), "9521234543213");
        assert_eq!(ean_digits(67, b"9521234543213"), "9521234543213");
        assert_eq!(ean_digits(68, b"9638507"), "96385074");
    }

    #[test]
    fn a_code128_is_read_as_it_was_meant() {
        for elements in [
            plain("T1-{7}"),
            plain("ab1234\tA"),
            plain("99100"),
            gs1("10AB\u{1d}21"),
            scanner_code("B001", Fnc3::First),
            scanner_code("~A.", Fnc3::Last),
        ] {
            assert_eq!(code128_elements(&native(&elements).unwrap()), elements);
        }
    }
}
