//! Symbology identifiers: what kind of symbol the reader saw (ISO/IEC 15424:2025).
//!
//! `]`, a letter for the symbology, a digit or letter for its options; the data follow.

use std::fmt;

/// A symbology identifier, for example `]d2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SymbologyId {
    code: char,
    modifier: char,
}

/// What the data behind a symbology identifier are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carries {
    /// GS1 element strings: the symbol begins with FNC1, or is GS1 DataBar or a GS1 Composite.
    ElementString,
    /// The digits of EAN-13, or of UPC-A or UPC-E as the same 13 digits.
    Ean13OrUpc,
    /// As before, and two or five digits of an add-on.
    Ean13OrUpcWithAddOn,
    /// The eight digits of EAN-8.
    Ean8,
    /// Digits of Interleaved 2 of 5: ITF-14 if there are 14.
    Itf,
    /// Digits of Interleaved 2 of 5, whose check digit the reader has verified and kept.
    ItfWithoutCheckDigit,
    /// Data of any kind; perhaps a Digital Link URI or a PPN.
    Other,
}

impl SymbologyId {
    /// How many bytes it takes at the beginning of a scan.
    pub const LEN: usize = 3;

    /// Splits a scan into its symbology identifier and the data, if it begins with one.
    pub fn split(raw: &[u8]) -> Option<(Self, &[u8])> {
        match raw {
            [b']', code, modifier, data @ ..]
                if code.is_ascii_alphabetic() && modifier.is_ascii_alphanumeric() =>
            {
                Some((Self { code: char::from(*code), modifier: char::from(*modifier) }, data))
            }
            _ => None,
        }
    }

    /// What the data are. Modifiers that add ECI to FNC1 in first position (`]d5`, `]Q4`, `]J4`) carry element strings
    /// too, since no element string holds the backslash that ECI uses.
    pub const fn carries(self) -> Carries {
        match (self.code, self.modifier) {
            ('C', '1') | ('e', '0' | '1') | ('d', '2' | '5') | ('Q', '3' | '4') | ('J', '1' | '4') => {
                Carries::ElementString
            }
            ('E', '0') => Carries::Ean13OrUpc,
            ('E', '3') => Carries::Ean13OrUpcWithAddOn,
            ('E', '4') => Carries::Ean8,
            ('I', '0' | '1') => Carries::Itf,
            ('I', '3') => Carries::ItfWithoutCheckDigit,
            _ => Carries::Other,
        }
    }

    /// The symbology's name, for a person.
    pub const fn name(self) -> &'static str {
        match (self.code, self.modifier) {
            ('C', '1') => "GS1-128",
            ('C', _) => "Code 128",
            ('e', _) => "GS1 DataBar or Composite",
            ('d', '2' | '5') => "GS1 DataMatrix",
            ('d', _) => "Data Matrix",
            ('Q', '3' | '4') => "GS1 QR Code",
            ('Q', _) => "QR Code",
            ('J', '1' | '4') => "GS1 DotCode",
            ('J', _) => "DotCode",
            ('E', '4') => "EAN-8",
            ('E', '1' | '2') => "EAN/UPC add-on",
            ('E', _) => "EAN-13 or UPC",
            ('I', _) => "Interleaved 2 of 5",
            ('A', _) => "Code 39",
            ('F', _) => "Codabar",
            ('G', _) => "Code 93",
            ('L', _) => "PDF417",
            ('z', _) => "Aztec Code",
            _ => "another symbology",
        }
    }
}

impl fmt::Display for SymbologyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "]{}{}", self.code, self.modifier)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_identifier_says_what_its_data_are() {
        for (text, carries) in [
            ("]C1", Carries::ElementString),
            ("]e0", Carries::ElementString),
            ("]d2", Carries::ElementString),
            ("]Q3", Carries::ElementString),
            ("]J1", Carries::ElementString),
            ("]E0", Carries::Ean13OrUpc),
            ("]E4", Carries::Ean8),
            ("]I1", Carries::Itf),
            ("]C0", Carries::Other),
            ("]d1", Carries::Other),
            ("]Q1", Carries::Other),
            ("]J0", Carries::Other),
            ("]X0", Carries::Other),
        ] {
            let found = SymbologyId::split(text.as_bytes())
                .map(|(id, data)| (id.to_string(), id.carries(), data.len()));
            assert_eq!(found, Some((text.into(), carries, 0)));
        }
    }

    #[test]
    fn what_does_not_begin_with_an_identifier_is_left_whole() {
        for text in ["", "]", "]C", "]11", "]d-", "01", "d20"] {
            assert_eq!(SymbologyId::split(text.as_bytes()), None, "{text}");
        }
    }
}
