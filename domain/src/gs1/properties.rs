//! What holds for any input.

use proptest::prelude::*;

use super::ai::Ai;
use super::bracket;
use super::decode;
use super::digital_link::{self, DigitalLink};
use super::element::Elements;
use super::gtin::Gtin;
use super::ppn::Ppn;
use super::samples;
use super::scan::Scan;
use super::table::TABLE;
use super::{GS, date};

/// Any elements, each good, no identifier twice with different values.
fn elements() -> impl Strategy<Value = Elements> {
    let from_table = (0..TABLE.len(), any::<bool>(), any::<bool>()).prop_map(|(row, last, long)| {
        let spec = &TABLE[row];
        let ai: Ai = if last { spec.last } else { spec.first }.parse().expect("it is in the table");
        (ai.to_string(), samples::value(ai, long))
    });
    let free = (
        prop::sample::select(vec!["10", "21", "22", "240", "400", "90", "91", "99", "8200"]),
        "[!\"%-?A-Z_a-z]{1,20}",
    )
        .prop_map(|(ai, value)| (ai.to_owned(), value));
    prop::collection::vec(prop_oneof![from_table, free], 1..12).prop_map(|pairs| {
        let mut elements = Elements::new();
        for (ai, value) in pairs {
            // A second value for the same identifier is refused; the first stays.
            let _ = elements.push(&ai, &value);
        }
        elements
    })
}

/// Bytes that look like scans more often than random ones do.
fn scan_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "]d2",
            "]C1",
            "]E0",
            "]E4",
            "]I1",
            "]Q1",
            "01",
            "09520123456788",
            "10",
            "17",
            "280131",
            "21",
            "(01)",
            "(10)",
            "\u{1D}",
            "^",
            "https://a/",
            "/01/",
            "/10/",
            "?",
            "&",
            "=",
            "%",
            "%2F",
            "#",
            "[)>\u{1E}06\u{1D}",
            "9N",
            "110375286414",
            "\u{1E}\u{4}",
            "8110",
            "8007",
            "8013",
            "\\(",
            ")",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
        "[0-9]{1,14}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn nothing_panics_on_any_bytes(raw in scan_bytes()) {
        let _ = Scan::parse(&raw).map(|scan| {
            let today = time::macros::date!(2026 - 11 - 21);
            (scan.gtin(), scan.lot().map(str::to_owned), scan.serial().map(str::to_owned), scan.expiry(today))
        });
        let _ = Elements::parse(&raw);
        let _ = bracket::parse_at(&raw, 0);
        let _ = Ppn::parse(&raw);
        let _ = (Gtin::from_digits(&raw), Gtin::from_upc_e(&raw), Gtin::with_check_digit(&raw));
        let _ = DigitalLink::parse(&String::from_utf8_lossy(&raw));
    }

    #[test]
    fn decoding_any_bytes_gives_one_line_of_json_whose_offset_is_within_the_input(raw in scan_bytes()) {
        let line = decode::line(&raw);
        prop_assert!(!line.contains(['\n', '\r']));
        let json: serde_json::Value = serde_json::from_str(&line)?;
        let at = json["at"].as_u64().and_then(|at| usize::try_from(at).ok());
        prop_assert!(json["ok"] == true && json["elements"].is_array() || at.is_some_and(|at| at <= raw.len()), "{line}");
    }

    #[test]
    fn parsing_what_was_built_gives_the_elements(elements in elements()) {
        let text = elements.to_element_string();
        let found = Elements::parse(text.as_bytes())?;
        prop_assert!(elements.in_build_order().eq(found.iter()));
        prop_assert_eq!(found.to_element_string(), text.clone());
        prop_assert!(!text.ends_with(char::from(GS)));
        prop_assert_eq!(Elements::parse_bracketed(&elements.to_bracketed())?, elements);
    }

    #[test]
    fn offsets_point_at_each_elements_identifier(elements in elements()) {
        let raw = format!("]d2{}", elements.to_element_string());
        if let Scan::ElementString(found) = Scan::parse(raw.as_bytes())? {
            for element in &found {
                prop_assert!(raw[element.at()..].starts_with(element.ai.as_str()));
            }
        }
    }

    #[test]
    fn reading_a_link_that_was_built_gives_the_same_elements(elements in elements()) {
        if let Ok(uri) = digital_link::build(&elements) {
            let link = DigitalLink::parse(&uri)?;
            for element in &elements {
                prop_assert_eq!(link.elements.get(element.ai.as_str()), Some(element.value.as_str()));
            }
            prop_assert_eq!(digital_link::build(&link.elements)?, uri);
        }
    }

    #[test]
    fn one_wrong_digit_never_makes_another_gtin(body in "[0-9]{13}", place in 0_usize..14, other in b'0'..=b'9') {
        let gtin = Gtin::with_check_digit(body.as_bytes())?;
        let mut digits = gtin.as_str().as_bytes().to_vec();
        if digits[place] != other {
            digits[place] = other;
            prop_assert!(Gtin::from_digits(&digits).is_err());
        }
    }

    #[test]
    fn a_date_that_was_written_is_read_within_half_a_century(days in -18_000_i64..18_000) {
        let today = time::macros::date!(2026 - 11 - 21);
        let day = today + time::Duration::days(days);
        prop_assert_eq!(date::from_yymmdd(&date::to_yymmdd(day), today), Some(day));
    }
}
