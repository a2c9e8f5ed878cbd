//! One scan in, one line of JSON out: for `pestle-agent decode`, for technicians, and to compare parsers.
//!
//! Good: `{"ok":true,"elements":[{"ai":"01","value":"09520123456788"},…]}`, elements in scanned order. A linear
//! barcode gives (01) with 14 digits; a Digital Link its elements. Data that a symbology identifier marks as something
//! else than GS1's are good too, with no elements and, beside them, `"kind"`: a PPN code has `"kind":"ppn"`, `"ppn"`,
//! `"pzn"` (if German), `"fields":[{"di":"9N","value":…},…]`; anything else `"kind":"other"` and `"data"`.
//!
//! Bad: `{"ok":false,"error":"…","at":n}`; what `at` counts is said in [`super::error`]. Beyond what a scan must hold,
//! the elements must belong together ([`super::association`]), as they must for GS1's engine. Data without symbology
//! identifier that are no GS1 data, and web addresses without a GS1 key, are bad.

use serde::Serialize;

use super::digital_link;
use super::element::Elements;
use super::error::Gs1Error;
use super::ppn::{DataField, Ppn};
use super::scan::Scan;
use super::symbology::SymbologyId;

/// Decodes one scan. `^` counts as GS here, except in data that are no GS1 data; CR and LF at the end are dropped.
pub fn line(raw: &[u8]) -> String {
    let raw = raw.strip_suffix(b"\n").unwrap_or(raw);
    let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
    let answer = match decode(raw) {
        Ok(found) => found,
        Err(error) => Answer::Bad { ok: false, error: error.to_string(), at: error.at() },
    };
    // Strings and numbers alone: serialising them cannot fail.
    serde_json::to_string(&answer).unwrap_or_default()
}

/// One line of output; what is absent is left out.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Elements {
        ok: bool,
        elements: Elements,
    },
    Ppn {
        ok: bool,
        elements: Elements,
        kind: &'static str,
        ppn: String,
        pzn: Option<String>,
        fields: Vec<DataField>,
    },
    Other {
        ok: bool,
        elements: Elements,
        kind: &'static str,
        data: String,
    },
    Bad {
        ok: bool,
        error: String,
        at: usize,
    },
}

fn decode(raw: &[u8]) -> Result<Answer, Gs1Error> {
    let with_gs: Vec<u8> = raw.iter().map(|byte| if *byte == b'^' { super::GS } else { *byte }).collect();
    let good = |elements| Answer::Elements { ok: true, elements };
    match Scan::parse(&with_gs)? {
        Scan::ElementString(elements) => elements.check_associations().map(|()| good(elements)),
        Scan::DigitalLink(link) => link.elements.check_associations().map(|()| good(link.elements)),
        Scan::Gtin(gtin, _) => Elements::of_gtin(gtin, 0).map(good),
        Scan::Ppn(ppn) => Ok(ppn_answer(&ppn)),
        Scan::Other { symbology, data } => {
            let at = if symbology.is_some() { SymbologyId::LEN } else { 0 };
            if digital_link::looks_like_uri(data.as_bytes()) {
                return Err(Gs1Error::NoKey { at });
            }
            if symbology.is_none() {
                return Err(Gs1Error::NotGs1 { at });
            }
            let data = String::from_utf8_lossy(&raw[at..]).into_owned();
            Ok(Answer::Other { ok: true, elements: Elements::new(), kind: "other", data })
        }
    }
}

fn ppn_answer(ppn: &Ppn) -> Answer {
    Answer::Ppn {
        ok: true,
        elements: Elements::new(),
        kind: "ppn",
        ppn: ppn.number().to_owned(),
        pzn: ppn.pzn().map(str::to_owned),
        fields: ppn.fields().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_scan_is_one_line_of_elements() {
        let expected =
            r#"{"ok":true,"elements":[{"ai":"01","value":"09520123456788"},{"ai":"10","value":"A\"1"}]}"#;
        for text in [
            "]d2010952012345678810A\"1",
            "^010952012345678810A\"1^",
            "010952012345678810A\"1\r\n",
            "010952012345678810A\"1\u{1D}",
            "(01)09520123456788(10)A\"1",
            "https://id.gs1.org/01/09520123456788/10/A%221",
        ] {
            assert_eq!(line(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn a_linear_barcode_is_its_gtin() {
        for text in ["]E09520123456788", "9520123456788", "]I109520123456788"] {
            assert_eq!(
                line(text.as_bytes()),
                r#"{"ok":true,"elements":[{"ai":"01","value":"09520123456788"}]}"#
            );
        }
    }

    #[test]
    fn a_bad_scan_says_what_and_where() {
        for (text, at, word) in [
            ("010952012345678917280131", 0, "check digit"),
            ("]d2010952012345678810A^17281301", 23, "month"),
            ("010952012345678810A^891", 20, "89"),
            ("10A", 0, "must stand together"),
            ("]C1010952012345678837123", 3, "may not stand together"),
            ("(01)09520123456788(17)28013", 19, "format"),
            ("9520123456789", 0, "check digit"),
            ("HELLO", 0, "not GS1"),
            ("]Q1https://example.com/about", 3, "no GS1 key"),
            ("", 0, "empty"),
        ] {
            let json: serde_json::Value = serde_json::from_str(&line(text.as_bytes())).expect("JSON");
            assert_eq!(json["ok"], false, "{text}");
            assert_eq!(json["at"], at, "{text}: {json}");
            assert!(json["error"].as_str().is_some_and(|error| error.contains(word)), "{text}: {json}");
        }
    }

    #[test]
    fn a_ppn_and_other_data_say_their_kind() {
        assert_eq!(
            line(b"]d1[)>\x1E06\x1D9N110375286414\x1D1TA1\x1E\x04"),
            concat!(
                r#"{"ok":true,"elements":[],"kind":"ppn","ppn":"110375286414","pzn":"03752864","#,
                r#""fields":[{"di":"9N","value":"110375286414"},{"di":"1T","value":"A1"}]}"#
            )
        );
        assert_eq!(line(b"]C0A^B"), r#"{"ok":true,"elements":[],"kind":"other","data":"A^B"}"#);
    }
}
