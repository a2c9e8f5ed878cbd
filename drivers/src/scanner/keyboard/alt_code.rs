//! What Alt with digits of the numeric keypad types on Windows, and which digits type a character. Pure, both ways.
//!
//! With a leading zero the number is of Windows' code page 1252, without one of code page 437. Below 32 Windows draws
//! pictures for the second form; a scanner that types them means the control characters, and so they are here.

use crate::printer::codepage::CodePage;

/// The character of `digits`; `None` for a number that names none.
#[must_use]
pub fn character(digits: &str) -> Option<char> {
    let byte: u8 = digits.parse().ok()?;
    let page = if digits.starts_with('0') { CodePage::Wpc1252 } else { CodePage::Pc437 };
    Some(page.decode(byte)).filter(|c| *c != char::REPLACEMENT_CHARACTER)
}

/// The digits that type `character`: four with a leading zero, of code page 1252.
#[must_use]
pub fn four_digits(character: char) -> Option<String> {
    let byte =
        if character.is_ascii() { u8::try_from(character).ok() } else { CodePage::Wpc1252.encode(character) };
    byte.map(|byte| format!("{byte:04}"))
}

/// The three digits that type `character`, of code page 437; a leading zero where the number is below 100.
#[must_use]
pub fn three_digits(character: char) -> Option<String> {
    let byte =
        if character.is_ascii() { u8::try_from(character).ok() } else { CodePage::Pc437.encode(character) };
    byte.map(|byte| format!("{byte:03}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_type_what_windows_types_and_control_characters_besides() {
        let made = ["065", "0065", "65", "0029", "029", "29", "130", "0233", "0128", "013"].map(character);
        let expected = ['A', 'A', 'A', '\u{1d}', '\u{1d}', '\u{1d}', 'é', 'é', '€', '\r'].map(Some);
        assert_eq!(made, expected);
    }

    #[test]
    fn a_number_that_is_no_character_is_none() {
        assert_eq!(["", "256", "0256", "99999", "0129", "x"].map(character), [None; 6]);
    }

    #[test]
    fn every_character_that_has_digits_is_read_back_from_them() {
        for c in (0..=127u8).map(char::from).chain("éÄß£".chars()) {
            for digits in [four_digits(c), three_digits(c)].into_iter().flatten() {
                assert_eq!(character(&digits), Some(c), "{digits}");
            }
        }
    }
}
