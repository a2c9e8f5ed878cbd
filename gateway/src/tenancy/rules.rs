//! From what people write about a branch to what the domain knows.

use pestle_domain::{money::Currency, snapshot::BranchProfile};

/// Longest name or printed line, in characters: a receipt has 32 to 48 columns.
const LINE_LENGTH_MAX: usize = 80;
/// Most lines of an address, a header or a footer.
const LINES_MAX: usize = 8;
/// The day may end at noon at the latest.
const CUT_OVER_MINUTES_MAX: u16 = 720;

/// A branch as people write it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize, utoipa::ToSchema)]
pub struct RawProfile {
    /// On the receipt and on the pages.
    pub name: String,
    /// Lines of the address, as printed.
    #[serde(default)]
    pub address: Vec<String>,
    /// As printed; may be empty.
    #[serde(default)]
    pub tax_number: String,
    /// ISO 4217, such as GBP.
    pub currency: String,
    /// IANA name, such as Europe/London.
    pub time_zone: String,
    /// The day of business ends this many minutes after midnight, 0 to 720.
    #[serde(default)]
    pub cut_over_minutes: u16,
    /// Above the lines of a receipt.
    #[serde(default)]
    pub receipt_header: Vec<String>,
    /// Below the total.
    #[serde(default)]
    pub receipt_footer: Vec<String>,
}

/// What is wrong with a branch's profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadProfile {
    /// A text.
    #[error("{field}: write 1 to {LINE_LENGTH_MAX} printable characters")]
    Line {
        /// Which.
        field: &'static str,
    },
    /// Too many lines.
    #[error("{field}: write at most {LINES_MAX} lines")]
    Lines {
        /// Which.
        field: &'static str,
    },
    /// Not a currency.
    #[error("currency: {0}")]
    Currency(String),
    /// Not an IANA zone.
    #[error("time_zone: write an IANA name such as Europe/London")]
    TimeZone,
    /// Out of range.
    #[error("cut_over_minutes: write 0 to {CUT_OVER_MINUTES_MAX}")]
    CutOver,
}

/// Checks every field.
///
/// # Errors
/// [`BadProfile`] naming the field.
pub fn profile(raw: RawProfile) -> Result<BranchProfile, BadProfile> {
    let currency: Currency =
        raw.currency.parse().map_err(|error| BadProfile::Currency(format!("{error}")))?;
    if !is_zone_name(&raw.time_zone) {
        return Err(BadProfile::TimeZone);
    }
    if raw.cut_over_minutes > CUT_OVER_MINUTES_MAX {
        return Err(BadProfile::CutOver);
    }
    let tax_number = raw.tax_number.trim();
    if !tax_number.is_empty() {
        check_line("tax_number", tax_number)?;
    }
    Ok(BranchProfile {
        name: check_line("name", &raw.name)?.into(),
        address: lines("address", &raw.address)?,
        tax_number: tax_number.into(),
        currency,
        time_zone: raw.time_zone.into(),
        cut_over_minutes: raw.cut_over_minutes,
        receipt_header: lines("receipt_header", &raw.receipt_header)?,
        receipt_footer: lines("receipt_footer", &raw.receipt_footer)?,
    })
}

fn check_line<'a>(field: &'static str, text: &'a str) -> Result<&'a str, BadProfile> {
    let text = text.trim();
    let length = text.chars().count();
    let good = (1..=LINE_LENGTH_MAX).contains(&length) && !text.chars().any(char::is_control);
    if good { Ok(text) } else { Err(BadProfile::Line { field }) }
}

fn lines(field: &'static str, lines: &[String]) -> Result<Vec<Box<str>>, BadProfile> {
    if lines.len() > LINES_MAX {
        return Err(BadProfile::Lines { field });
    }
    lines.iter().map(|line| check_line(field, line).map(Into::into)).collect()
}

/// The form of an IANA name: parts of letters, digits, `_`, `-` and `+`, joined by `/`. Whether the zone exists is
/// known where zones are kept: the branch refuses one that it does not have.
fn is_zone_name(text: &str) -> bool {
    text == "UTC"
        || (text.len() <= 64
            && text.contains('/')
            && text.split('/').all(|part| {
                part.starts_with(|first: char| first.is_ascii_uppercase())
                    && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-+".contains(&byte))
            }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw() -> RawProfile {
        RawProfile {
            name: " North Street ".into(),
            currency: "EUR".into(),
            time_zone: "Europe/Berlin".into(),
            ..RawProfile::default()
        }
    }

    #[test]
    fn a_profile_is_trimmed_and_typed() {
        let profile = profile(raw()).unwrap();
        assert_eq!((&*profile.name, profile.currency), ("North Street", Currency::EUR));
    }

    #[test]
    fn each_wrong_field_is_named() {
        let check = |change: fn(&mut RawProfile), field: &str| {
            let mut raw = raw();
            change(&mut raw);
            let said = profile(raw).unwrap_err().to_string();
            assert!(said.starts_with(field), "{said}");
        };
        check(|raw| raw.name.clear(), "name");
        check(|raw| raw.currency = "XYZ".into(), "currency");
        check(|raw| raw.time_zone = "CET".into(), "time_zone");
        check(|raw| raw.time_zone = "Europe/../x".into(), "time_zone");
        check(|raw| raw.cut_over_minutes = 721, "cut_over_minutes");
        check(|raw| raw.address = vec!["x".into(); 9], "address");
        check(|raw| raw.receipt_footer = vec!["a\u{1b}b".into()], "receipt_footer");
    }
}
