//! What the content of a value's component must be, beyond its characters and length.
//!
//! The rules are those that the Barcode Syntax Dictionary names per component (its "linters").

use thiserror::Error;

use super::{check, codes, coupon, date};

/// A rule of content, applied to one component. The component has its charset and length already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// The last digit is GS1's modulo 10 check digit of those before.
    CheckDigit,
    /// The last two characters are GS1's alphanumeric check pair of those before.
    CheckPair,
    /// Begins with a GS1 Company Prefix: four digits at least. Whether it was issued is not looked up.
    CompanyPrefix,
    /// `YYMMDD`, where day 00 stands for the whole month.
    DateOrMonth,
    /// `YYMMDD`.
    Date,
    /// `YYYYMMDD`.
    LongDate,
    /// `HHMM`.
    HourMinute,
    /// `HH`.
    Hour,
    /// `MM`, minutes.
    Minute,
    /// `SS`.
    Second,
    /// A numeric country code of ISO 3166-1.
    Iso3166,
    /// A numeric country code of ISO 3166-1, or 999.
    Iso3166Or999,
    /// A two-letter country code of ISO 3166-1.
    Iso3166Alpha2,
    /// A numeric currency code of ISO 4217.
    Iso4217,
    /// A code for sex of ISO/IEC 5218.
    Iso5218,
    /// Each `%` is followed by two hexadecimal digits (RFC 3986).
    PercentEncoded,
    /// Ten digits up to 1800000000: degrees × 10⁷, counted from the South Pole.
    Latitude,
    /// Ten digits up to 3600000000: degrees × 10⁷, counted eastward.
    Longitude,
    /// 0 or 1.
    YesNo,
    /// A hyphen: the temperature before it is negative.
    Hyphen,
    /// The importer's index of EU 2018/574: a letter, a digit, `-` or `_`.
    ImporterIndex,
    /// GS1's PackageTypeCode list (UN/ECE recommendation 21, extended).
    PackageType,
    /// An AIDC media type of ICCBBA: 01–10 or 80–99.
    MediaType,
    /// `position/end`, neither with a leading zero, position not beyond end.
    PositionInSequence,
    /// Not all zeros.
    NonZero,
    /// 0, 1 or 9: how a roll is wound.
    Winding,
    /// 0.
    Zero,
    /// Piece number and total, of equal width, neither 0, piece not beyond total.
    PieceOfTotal,
    /// An International Bank Account Number, ISO 13616-1.
    Iban,
    /// The first digit is not 0.
    NoLeadingZero,
    /// Not digits alone.
    HasNonDigit,
    /// The North American Coupon Code of (8110).
    Coupon,
    /// The positive offer file coupon code of (8112).
    PositiveOfferCoupon,
    /// At most two `=`, at the end alone; with them the whole is a multiple of three characters. (The multiple is
    /// what GS1's own test asks; base64 itself would say four. Values are normally written without `=`.)
    Base64Padding,
}

/// Where in the component the content is wrong (0-based, in characters), and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misfit {
    /// The first wrong character.
    pub offset: usize,
    /// How it is wrong.
    pub wrong: Wrong,
}

/// How a value's content is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Wrong {
    #[error("the check digit is {found}, it should be {expected}")]
    CheckDigit { expected: char, found: char },
    #[error("the check characters should be {}{}", .expected[0], .expected[1])]
    CheckPair { expected: [char; 2] },
    #[error("it is too short for its check characters")]
    NoCheckPair,
    #[error("it must begin with a GS1 Company Prefix, that is with at least four digits")]
    CompanyPrefix,
    #[error("the month is not 01 to 12")]
    Month,
    #[error("the month has no such day")]
    Day,
    #[error("the hour is not 00 to 23")]
    Hour,
    #[error("the minute is not 00 to 59")]
    Minute,
    #[error("the second is not 00 to 59")]
    Second,
    #[error("it is no country code of ISO 3166")]
    Country,
    #[error("it is no currency code of ISO 4217")]
    Currency,
    #[error("it is no code of ISO/IEC 5218 (0, 1, 2 or 9)")]
    Sex,
    #[error("% must be followed by two hexadecimal digits")]
    Percent,
    #[error("the latitude is beyond 1800000000")]
    Latitude,
    #[error("the longitude is beyond 3600000000")]
    Longitude,
    #[error("it must be 0 or 1")]
    YesNo,
    #[error("only a hyphen may stand here")]
    Hyphen,
    #[error("an importer's index is a letter, a digit, - or _")]
    ImporterIndex,
    #[error("it is no code of GS1's package type list")]
    PackageType,
    #[error("it is no media type (01 to 10, 80 to 99)")]
    MediaType,
    #[error("it must be position/end, without leading zeros, the position not beyond the end")]
    PositionInSequence,
    #[error("it must not be zero")]
    ZeroValue,
    #[error("the winding direction must be 0, 1 or 9")]
    Winding,
    #[error("it must be 0")]
    NotZero,
    #[error("piece and total must not be 00, and the piece not beyond the total")]
    PieceOfTotal,
    #[error("an IBAN has 11 to 34 characters")]
    IbanLength,
    #[error("an IBAN begins with a country's two letters")]
    IbanCountry,
    #[error("an IBAN holds capital letters and digits alone")]
    IbanCharacter,
    #[error("the IBAN's check digits are wrong")]
    IbanCheck,
    #[error("it must not begin with 0")]
    LeadingZero,
    #[error("it must hold a character that is no digit")]
    OnlyDigits,
    #[error("the coupon's {0} is missing, cut short or not allowed")]
    Coupon(&'static str),
    #[error("the = at the end are not where GS1's rule for base64 wants them")]
    Base64Padding,
}

impl Rule {
    /// Checks one component.
    ///
    /// # Errors
    /// Where the content is wrong and how.
    pub fn check(self, text: &[u8]) -> Result<(), Misfit> {
        match self {
            Self::CheckDigit => check_digit(text),
            Self::CheckPair => check_pair(text),
            Self::CompanyPrefix => company_prefix(text),
            Self::DateOrMonth => date::check_yymmdd(text, true),
            Self::Date => date::check_yymmdd(text, false),
            Self::LongDate => date::check_yyyymmdd(text),
            Self::HourMinute => {
                at_most(text, 0, 23, Wrong::Hour).and_then(|()| at_most(text, 2, 59, Wrong::Minute))
            }
            Self::Hour => at_most(text, 0, 23, Wrong::Hour),
            Self::Minute => at_most(text, 0, 59, Wrong::Minute),
            Self::Second => at_most(text, 0, 59, Wrong::Second),
            Self::Iso3166 => holds(codes::is_country_number(text), Wrong::Country),
            Self::Iso3166Or999 => holds(text == b"999" || codes::is_country_number(text), Wrong::Country),
            Self::Iso3166Alpha2 => holds(codes::is_country_letters(text), Wrong::Country),
            Self::Iso4217 => holds(codes::is_currency_number(text), Wrong::Currency),
            Self::Iso5218 => holds(matches!(text, b"0" | b"1" | b"2" | b"9"), Wrong::Sex),
            Self::PercentEncoded => percent_encoded(text),
            Self::Latitude => holds(text <= b"1800000000".as_slice(), Wrong::Latitude),
            Self::Longitude => holds(text <= b"3600000000".as_slice(), Wrong::Longitude),
            Self::YesNo => holds(matches!(text, b"0" | b"1"), Wrong::YesNo),
            Self::Hyphen => holds(text == b"-", Wrong::Hyphen),
            Self::ImporterIndex => holds(is_importer_index(text), Wrong::ImporterIndex),
            Self::PackageType => holds(codes::is_package_type(text), Wrong::PackageType),
            Self::MediaType => holds(is_media_type(text), Wrong::MediaType),
            Self::PositionInSequence => holds(is_position_in_sequence(text), Wrong::PositionInSequence),
            Self::NonZero => holds(text.iter().any(|digit| *digit != b'0'), Wrong::ZeroValue),
            Self::Winding => holds(matches!(text, b"0" | b"1" | b"9"), Wrong::Winding),
            Self::Zero => holds(text.iter().all(|digit| *digit == b'0'), Wrong::NotZero),
            Self::PieceOfTotal => holds(is_piece_of_total(text), Wrong::PieceOfTotal),
            Self::Iban => iban(text),
            Self::NoLeadingZero => holds(text.first() != Some(&b'0'), Wrong::LeadingZero),
            Self::HasNonDigit => holds(!text.iter().all(u8::is_ascii_digit), Wrong::OnlyDigits),
            Self::Coupon => coupon::check_coupon(text),
            Self::PositiveOfferCoupon => coupon::check_positive_offer(text),
            Self::Base64Padding => base64_padding(text),
        }
    }
}

fn holds(good: bool, wrong: Wrong) -> Result<(), Misfit> {
    if good { Ok(()) } else { Err(Misfit { offset: 0, wrong }) }
}

/// Two digits at `offset` that may be `max` at most.
fn at_most(text: &[u8], offset: usize, max: u8, wrong: Wrong) -> Result<(), Misfit> {
    match text.get(offset..offset + 2) {
        Some(&[tens, units])
            if tens.is_ascii_digit()
                && units.is_ascii_digit()
                && (tens - b'0') * 10 + (units - b'0') <= max =>
        {
            Ok(())
        }
        _ => Err(Misfit { offset, wrong }),
    }
}

fn check_digit(text: &[u8]) -> Result<(), Misfit> {
    let Some((&found, body)) = text.split_last() else { return Ok(()) };
    let expected = check::check_digit(body);
    if found == expected {
        return Ok(());
    }
    let wrong = Wrong::CheckDigit { expected: char::from(expected), found: char::from(found) };
    Err(Misfit { offset: body.len(), wrong })
}

fn check_pair(text: &[u8]) -> Result<(), Misfit> {
    let Some((body, found)) = text.split_last_chunk::<2>() else {
        return Err(Misfit { offset: 0, wrong: Wrong::NoCheckPair });
    };
    let expected = check::check_pair(body);
    if *found == expected {
        return Ok(());
    }
    Err(Misfit { offset: body.len(), wrong: Wrong::CheckPair { expected: expected.map(char::from) } })
}

/// The shortest GS1 Company Prefix in use, in digits.
const COMPANY_PREFIX_MIN: usize = 4;

fn company_prefix(text: &[u8]) -> Result<(), Misfit> {
    let digits = text.iter().take(COMPANY_PREFIX_MIN).take_while(|byte| byte.is_ascii_digit()).count();
    if digits == COMPANY_PREFIX_MIN {
        return Ok(());
    }
    Err(Misfit {
        offset: if text.len() < COMPANY_PREFIX_MIN { 0 } else { digits },
        wrong: Wrong::CompanyPrefix,
    })
}

fn percent_encoded(text: &[u8]) -> Result<(), Misfit> {
    let mut offset = 0;
    while let Some(byte) = text.get(offset) {
        if *byte != b'%' {
            offset += 1;
            continue;
        }
        let good = text.get(offset + 1..offset + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
        if !good {
            return Err(Misfit { offset, wrong: Wrong::Percent });
        }
        offset += 3;
    }
    Ok(())
}

fn is_importer_index(text: &[u8]) -> bool {
    matches!(text, [byte] if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn is_media_type(text: &[u8]) -> bool {
    matches!(text, [b'0', b'1'..=b'9'] | b"10" | [b'8' | b'9', b'0'..=b'9'])
}

fn is_position_in_sequence(text: &[u8]) -> bool {
    let Some(slash) = text.iter().position(|byte| *byte == b'/') else { return false };
    let (position, end) = (&text[..slash], &text[slash + 1..]);
    let number =
        |part: &[u8]| part.iter().all(u8::is_ascii_digit) && part.first().is_some_and(|first| *first != b'0');
    // Without leading zeros the longer number is the greater.
    number(position) && number(end) && (position.len(), position) <= (end.len(), end)
}

fn is_piece_of_total(text: &[u8]) -> bool {
    let (piece, total) = text.split_at(text.len() / 2);
    let non_zero = |part: &[u8]| part.iter().any(|digit| *digit != b'0');
    piece.len() == total.len() && non_zero(piece) && non_zero(total) && piece <= total
}

fn iban(text: &[u8]) -> Result<(), Misfit> {
    let misfit = |offset, wrong| Err(Misfit { offset, wrong });
    if !text.get(..2).is_some_and(codes::is_country_letters) {
        return misfit(0, Wrong::IbanCountry);
    }
    if !(11..=34).contains(&text.len()) {
        return misfit(0, Wrong::IbanLength);
    }
    if let Some(offset) = text.iter().position(|byte| !byte.is_ascii_uppercase() && !byte.is_ascii_digit()) {
        return misfit(offset, Wrong::IbanCharacter);
    }
    if check::iban_remainder(text) == 1 { Ok(()) } else { misfit(2, Wrong::IbanCheck) }
}

fn base64_padding(text: &[u8]) -> Result<(), Misfit> {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let body = &text[..text.len() - padding];
    let offset = body.iter().position(|byte| *byte == b'=').unwrap_or(body.len());
    let good = offset == body.len() && padding <= 2 && (padding == 0 || text.len().is_multiple_of(3));
    if good { Ok(()) } else { Err(Misfit { offset, wrong: Wrong::Base64Padding }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: Rule, good: &[&str], bad: &[(&str, usize)]) {
        for text in good {
            assert_eq!(rule.check(text.as_bytes()), Ok(()), "{rule:?} {text}");
        }
        for (text, offset) in bad {
            let found = rule.check(text.as_bytes()).map_err(|misfit| misfit.offset);
            assert_eq!(found, Err(*offset), "{rule:?} {text}");
        }
    }

    #[test]
    fn times_are_checked_by_their_parts() {
        check(Rule::HourMinute, &["0000", "2359"], &[("2400", 0), ("2360", 2)]);
        check(Rule::Minute, &["00", "59"], &[("60", 0)]);
    }

    #[test]
    fn a_position_in_a_sequence_does_not_go_beyond_its_end() {
        check(
            Rule::PositionInSequence,
            &["1/1", "1/3", "9/9", "9/10", "98/99"],
            &[
                ("0/1", 0),
                ("1/0", 0),
                ("2/1", 0),
                ("10/9", 0),
                ("1/02", 0),
                ("//1", 0),
                ("111", 0),
                ("1/", 0),
            ],
        );
    }

    #[test]
    fn a_piece_does_not_go_beyond_its_total() {
        check(
            Rule::PieceOfTotal,
            &["0101", "0203", "9999"],
            &[("0099", 0), ("0100", 0), ("0302", 0), ("0000", 0)],
        );
    }

    #[test]
    fn percent_signs_introduce_two_hexadecimal_digits() {
        check(Rule::PercentEncoded, &["", "A", "%20", "ABC%fFXYZ"], &[("%fg", 0), ("ABC%g", 3), ("A%2", 1)]);
    }

    #[test]
    fn ibans_of_several_countries_pass_and_altered_ones_do_not() {
        check(
            Rule::Iban,
            &[
                "FR7630006000011234567890189",
                "DE91100000000123456789",
                "GB98MIDL07009312345678",
                "BE71096123456769",
                "MT90MALT011000012345MTLCAST001SABC",
            ],
            &[("BE71096123456760", 2), ("XX361234567890", 0), ("FR1234", 0), ("FR12_45678901234", 4)],
        );
    }

    #[test]
    fn base64_padding_follows_the_rule_of_gs1() {
        check(
            Rule::Base64Padding,
            &["123", "12", "12=", "1=="],
            &[("===", 0), ("123=", 3), ("12==", 2), ("1=2", 1)],
        );
    }

    #[test]
    fn a_company_prefix_is_four_digits_at_least() {
        check(Rule::CompanyPrefix, &["1234", "0123A"], &[("123", 0), ("12A4", 2), ("AAAA", 0)]);
    }

    #[test]
    fn small_closed_lists_hold() {
        check(Rule::MediaType, &["01", "10", "80", "99"], &[("00", 0), ("11", 0), ("79", 0)]);
        check(Rule::Winding, &["0", "1", "9"], &[("2", 0)]);
        check(Rule::Iso5218, &["0", "1", "2", "9"], &[("5", 0)]);
        check(Rule::ImporterIndex, &["-", "_", "7", "a", "Z"], &[("=", 0), ("", 0)]);
        check(Rule::Latitude, &["0000000000", "1800000000"], &[("1800000001", 0)]);
        check(Rule::Longitude, &["3015297971", "3600000000"], &[("3600000001", 0)]);
    }
}
