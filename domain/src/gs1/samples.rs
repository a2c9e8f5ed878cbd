//! One good value for every application identifier: what the tests try the table with.

use super::ai::{Ai, Charset, Part};
use super::check;
use super::content::Rule;

/// A value that fits the identifier: as short as can be, or as long.
pub(super) fn value(ai: Ai, long: bool) -> String {
    match ai.as_str() {
        "8110" => "012345612345611110123".into(),
        "8112" => "001234561234560123456".into(),
        "8007" => if long { "MT90MALT011000012345MTLCAST001SABC" } else { "BE71096123456769" }.into(),
        "8013" | "8014" => {
            let body = if long { "1987654Ad4X4bL5ttr2310c" } else { "1234A" };
            format!("{body}{}", check::check_pair(body.as_bytes()).map(char::from).iter().collect::<String>())
        }
        _ => ai
            .spec()
            .parts
            .iter()
            .filter(|part| long || !part.optional)
            .map(|part| component(part, long))
            .collect(),
    }
}

fn component(part: &Part, long: bool) -> String {
    let len = usize::from(if long { part.max } else { part.min });
    let fixed = |text: &str| text.to_owned();
    match part.rules.first() {
        Some(Rule::CheckDigit) => {
            let body: String = "952012345678901234".chars().take(len - 1).collect();
            format!("{body}{}", char::from(check::check_digit(body.as_bytes())))
        }
        Some(Rule::DateOrMonth) => fixed("280200"),
        Some(Rule::Date) => fixed("280229"),
        Some(Rule::LongDate) => fixed("20000229"),
        Some(Rule::HourMinute) => fixed("2359"),
        Some(Rule::Hour) => fixed("23"),
        Some(Rule::Minute | Rule::Second) => fixed("59"),
        Some(Rule::Iso3166) => fixed("276"),
        Some(Rule::Iso3166Or999) => fixed("999"),
        Some(Rule::Iso3166Alpha2) => fixed("DE"),
        Some(Rule::Iso4217) => fixed("978"),
        Some(Rule::PieceOfTotal) => fixed("0102"),
        Some(Rule::Hyphen) => fixed("-"),
        Some(Rule::PackageType) => fixed(if long { "APE" } else { "8" }),
        Some(Rule::MediaType) => fixed("01"),
        Some(Rule::PositionInSequence) => fixed("1/2"),
        Some(Rule::Zero | Rule::YesNo) => fixed("0"),
        Some(Rule::CompanyPrefix) => "9520"
            .chars()
            .chain("A1-/#".chars().cycle())
            .take(len.max(4))
            .collect::<String>()
            .replace('#', if part.charset == Charset::Set39 { "#" } else { "_" }),
        _ if part.charset == Charset::Numeric => "1".repeat(len),
        _ if part.charset == Charset::Set39 => "A".repeat(len),
        Some(Rule::PercentEncoded) => {
            "%20A".chars().cycle().take(len / 4 * 4).chain("BBBB".chars()).take(len).collect()
        }
        _ => "Ab-_9".chars().cycle().take(len).collect(),
    }
}
