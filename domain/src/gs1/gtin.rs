//! GTINs, and the linear packs that carry nothing else.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::check;

/// A Global Trade Item Number: 14 digits whose check digit holds. GTIN-8, -12 and -13 are padded left with zeros, which
/// leaves their check digit right (General Specifications 7.9).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Gtin([u8; 14]);

/// Why digits are no GTIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum GtinError {
    #[error("it has {len} characters; a GTIN has 8, 12, 13 or 14 digits")]
    Length { len: usize },
    #[error("it has {len} characters; UPC-E has 6, 7 or 8 digits, and 0 or 1 before the last seven")]
    UpcE { len: usize },
    #[error("it holds something else than digits")]
    NotDigits,
    #[error("its check digit is {found}, it should be {expected}")]
    CheckDigit { expected: char, found: char },
}

/// The linear barcode that a GTIN came in. Readers send UPC-A and UPC-E as EAN-13 unless they are told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinearPack {
    /// EAN-13, or UPC sent as 13 digits.
    Ean13,
    /// EAN-8.
    Ean8,
    /// UPC-A, 12 digits.
    UpcA,
    /// UPC-E, expanded.
    UpcE,
    /// ITF-14, or 14 digits of which the reader does not say where it had them.
    Itf14,
}

/// What a GTIN's first of 14 digits says (General Specifications 2.1.6 and 2.1.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PackLevel {
    /// 0: the item itself.
    Item,
    /// 1 to 8: a grouping of items of its own; which one, the maker says.
    Grouping(u8),
    /// 9: a variable measure item.
    VariableMeasure,
}

impl Gtin {
    /// Reads 8, 12, 13 or 14 digits.
    ///
    /// # Errors
    /// Another length, something else than digits, or a wrong check digit.
    pub fn from_digits(text: &[u8]) -> Result<Self, GtinError> {
        if !matches!(text.len(), 8 | 12 | 13 | 14) {
            return Err(GtinError::Length { len: text.len() });
        }
        let mut digits = [b'0'; 14];
        digits[14 - text.len()..].copy_from_slice(text);
        Self::checked(digits)
    }

    /// Reads UPC-E: six digits (number system 0, no check digit), seven (number system first, no check digit) or
    /// eight (number system, six digits, check digit), and expands them to the UPC-A that they stand for.
    ///
    /// # Errors
    /// Another length or number system, something else than digits, or a wrong check digit.
    pub fn from_upc_e(text: &[u8]) -> Result<Self, GtinError> {
        let wrong = GtinError::UpcE { len: text.len() };
        if !text.iter().all(u8::is_ascii_digit) {
            return Err(GtinError::NotDigits);
        }
        let (system, six, check) = match text {
            six if six.len() == 6 => (b'0', six, None),
            [system, six @ ..] if six.len() == 6 => (*system, six, None),
            [system, six @ .., check] if six.len() == 6 => (*system, six, Some(*check)),
            _ => return Err(wrong),
        };
        let &[a, b, c, d, e, last] = six else { return Err(wrong) };
        if !matches!(system, b'0' | b'1') {
            return Err(wrong);
        }
        // ISO/IEC 15420: the last digit says which zeros were left out.
        let z = b'0';
        let tail = match last {
            b'0'..=b'2' => [a, b, last, z, z, z, z, c, d, e],
            b'3' => [a, b, c, z, z, z, z, z, d, e],
            b'4' => [a, b, c, d, z, z, z, z, z, e],
            _ => [a, b, c, d, e, z, z, z, z, last],
        };
        let mut digits = [z; 14];
        digits[2] = system;
        digits[3..13].copy_from_slice(&tail);
        digits[13] = check.unwrap_or_else(|| check::check_digit(&digits[..13]));
        Self::checked(digits)
    }

    /// Completes a GTIN without check digit: 13 digits.
    ///
    /// # Errors
    /// Another length, or something else than digits.
    pub fn with_check_digit(body: &[u8]) -> Result<Self, GtinError> {
        if body.len() != 13 {
            return Err(GtinError::Length { len: body.len() + 1 });
        }
        let mut digits = [0; 14];
        digits[..13].copy_from_slice(body);
        digits[13] = check::check_digit(body);
        Self::checked(digits)
    }

    fn checked(digits: [u8; 14]) -> Result<Self, GtinError> {
        if !digits.iter().all(u8::is_ascii_digit) {
            return Err(GtinError::NotDigits);
        }
        let expected = check::check_digit(&digits[..13]);
        if digits[13] != expected {
            let (expected, found) = (char::from(expected), char::from(digits[13]));
            return Err(GtinError::CheckDigit { expected, found });
        }
        Ok(Self(digits))
    }

    /// All 14 digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The digits as they stand under the bars: 8, 12, 13 or 14, without the zeros that pad them.
    pub fn short(&self) -> &str {
        let zeros = self.0.iter().take_while(|digit| **digit == b'0').count();
        &self.as_str()[match zeros {
            0 => 0,
            1 => 1,
            2..=5 => 2,
            _ => 6,
        }..]
    }

    /// What its first digit says.
    pub fn pack_level(&self) -> PackLevel {
        match self.0[0] {
            b'0' => PackLevel::Item,
            b'9' => PackLevel::VariableMeasure,
            digit => PackLevel::Grouping(digit - b'0'),
        }
    }
}

impl fmt::Display for Gtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Gtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gtin({})", self.as_str())
    }
}

impl FromStr for Gtin {
    type Err = GtinError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_digits(text.as_bytes())
    }
}

impl Serialize for Gtin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Gtin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorter_gtins_are_padded_to_fourteen_digits() {
        for (text, padded) in [
            ("02345673", "00000002345673"),
            ("416000336108", "00416000336108"),
            ("9520123456788", "09520123456788"),
            ("24012345678905", "24012345678905"),
        ] {
            let gtin: Gtin = text.parse().expect("a good GTIN");
            assert_eq!(gtin.to_string(), padded);
            assert_eq!(gtin.short().parse(), Ok(gtin));
        }
    }

    #[test]
    fn what_is_no_gtin_is_refused_with_the_reason() {
        let parse = |text: &str| text.parse::<Gtin>();
        assert_eq!(parse("952012345678"), Err(GtinError::CheckDigit { expected: '2', found: '8' }));
        assert_eq!(parse("9520123456789"), Err(GtinError::CheckDigit { expected: '8', found: '9' }));
        assert_eq!(parse("95201234567"), Err(GtinError::Length { len: 11 }));
        assert_eq!(parse("952012345678X"), Err(GtinError::NotDigits));
        assert_eq!(parse(""), Err(GtinError::Length { len: 0 }));
    }

    #[test]
    fn upc_e_expands_by_its_last_digit() {
        for (upc_e, upc_a) in [
            ("01234505", "012000003455"),
            ("01234514", "012100003454"),
            ("01234523", "012200003453"),
            ("01234531", "012300000451"),
            ("01234543", "012340000053"),
            ("01234558", "012345000058"),
            ("01234590", "012345000096"),
        ] {
            let upc_a =
                format!("{}{}", &upc_a[..11], char::from(check::check_digit(&upc_a.as_bytes()[..11])));
            let upc_e = format!("{}{}", &upc_e[..7], &upc_a[11..]);
            for text in [&upc_e[..], &upc_e[..7], &upc_e[1..7]] {
                assert_eq!(Gtin::from_upc_e(text.as_bytes()), upc_a.parse(), "{text}");
            }
        }
        assert_eq!(Gtin::from_upc_e(b"04252614").map(|gtin| gtin.to_string()), Ok("00042100005264".into()));
        assert!(Gtin::from_upc_e(b"04252615").is_err());
        assert!(Gtin::from_upc_e(b"24252614").is_err());
        assert!(Gtin::from_upc_e(b"42526").is_err());
    }

    #[test]
    fn the_first_digit_says_the_pack_level() {
        let level = |text: &str| text.parse().map(|gtin: Gtin| gtin.pack_level());
        assert_eq!(level("09520123456788"), Ok(PackLevel::Item));
        assert_eq!(level("24012345678905"), Ok(PackLevel::Grouping(2)));
        assert_eq!(level("95012345678903"), Ok(PackLevel::VariableMeasure));
    }

    #[test]
    fn a_gtin_travels_as_a_string() {
        let gtin: Gtin = "9520123456788".parse().expect("a good GTIN");
        let json = serde_json::to_string(&gtin).expect("serialises");
        assert_eq!(json, "\"09520123456788\"");
        assert_eq!(serde_json::from_str::<Gtin>(&json).ok(), Some(gtin));
        assert!(serde_json::from_str::<Gtin>("\"9520123456789\"").is_err());
    }
}
