//! Rows into words. Pure: the time comes in.

use pestle_domain::money::{Currency, Money};
use time::{Date, OffsetDateTime, macros::format_description};

/// How a state is coloured; it is always written as well.
pub const GOOD: &str = "good";
/// See [`GOOD`].
pub const WAIT: &str = "wait";
/// See [`GOOD`].
pub const BAD: &str = "bad";
/// See [`GOOD`].
pub const CALM: &str = "calm";

/// At and below how many packs a lot is called low, while nobody has set a level for it.
pub const LOW_AT: i64 = 3;
/// Facts that may wait in a box that is online before it is called behind: a few seconds of a busy branch.
const BEHIND_ABOVE: i64 = 500;

/// An amount as people write it, `GBP 12.50`; the bare number for a currency that this version does not know.
pub fn money(minor: i64, currency: &str) -> String {
    match currency.parse::<Currency>() {
        Ok(currency) => Money::new(minor, currency).to_string(),
        Err(_) => format!("{minor} {currency}"),
    }
}

/// An amount that may be missing.
pub fn money_or_dash(minor: Option<i64>, currency: &str) -> String {
    minor.map_or_else(|| "–".into(), |minor| money(minor, currency))
}

/// How long ago: `now`, `12 s ago`, `5 min ago`, `3 h ago`, `4 d ago`.
pub fn ago(then: OffsetDateTime, now: OffsetDateTime) -> String {
    let seconds = (now - then).whole_seconds().max(0);
    match seconds {
        0..=4 => "now".into(),
        5..=59 => format!("{} s ago", seconds / 5 * 5),
        60..=3_599 => format!("{} min ago", seconds / 60),
        3_600..=86_399 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} d ago", seconds / 86_400),
    }
}

/// A branch's clock as its people read it, `21 Nov 14:03:09`; with `UTC` behind it where its zone (an IANA name) is not
/// known, and a dash where it tells nothing sensible.
pub fn moment(wall_ms: i64, zone: &str) -> String {
    let Ok(at) = jiff::Timestamp::from_millisecond(wall_ms) else { return "–".into() };
    match jiff::tz::TimeZone::get(zone) {
        Ok(zone) => at.to_zoned(zone).strftime("%-d %b %H:%M:%S").to_string(),
        Err(_) => at.strftime("%-d %b %H:%M:%S UTC").to_string(),
    }
}

/// A day, `21 Nov 2026`.
pub fn day(day: Date) -> String {
    let form = format_description!("[day padding:none] [month repr:short] [year]");
    day.format(&form).unwrap_or_else(|_| day.to_string())
}

/// What a box is at: colour and words.
pub fn presence(
    enrolled: bool,
    revoked: bool,
    online: Option<bool>,
    waiting: Option<i64>,
) -> (&'static str, &'static str) {
    match (enrolled, revoked, online) {
        (false, ..) => (CALM, "No box"),
        (true, true, _) => (BAD, "Revoked"),
        (true, false, None) => (WAIT, "Never seen"),
        (true, false, Some(false)) => (BAD, "Offline"),
        (true, false, Some(true)) if waiting.unwrap_or(0) > BEHIND_ABOVE => (WAIT, "Behind"),
        (true, false, Some(true)) => (GOOD, "Online"),
    }
}

/// What a lot is at: colour and words.
pub fn stock(on_hand: i64, expiry: Option<Date>, today: Date) -> (&'static str, &'static str) {
    match on_hand {
        ..0 => (BAD, "Below zero"),
        0 => (CALM, "None left"),
        _ if expiry.is_some_and(|expiry| expiry < today) => (BAD, "Expired"),
        1..=LOW_AT => (WAIT, "Low"),
        _ => (GOOD, "In stock"),
    }
}

/// What a session is at: colour and words.
pub fn till(state: &str, variance_minor: Option<i64>, late_count: i64) -> (&'static str, &'static str) {
    match (state, variance_minor) {
        ("open", _) => (GOOD, "Open"),
        ("unknown", _) => (WAIT, "Opening missing"),
        _ if late_count > 0 => (WAIT, "Closed, adjusted"),
        (_, Some(0)) => (CALM, "Closed"),
        _ => (BAD, "Closed, differs"),
    }
}

/// A refusal's word for people.
pub fn reason(reason: &str) -> &str {
    match reason {
        "malformed" => "Unreadable",
        "newer_version" => "Newer version",
        "wrong_hash" => "Wrong hash",
        "wrong_signature" => "Wrong signature",
        "split_act" => "Split act",
        "wrong_stream" => "Wrong stream",
        "contradicts" => "Contradiction",
        "fenced" => "Second live store",
        "not_allowed" => "Not allowed",
        "unfolded" => "Not understood",
        "repeated" => "Recorded twice",
        "below_zero" => "Below zero",
        "expiry_disagrees" => "Expiry disagrees",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::{date, datetime};

    #[test]
    fn ages_are_told_in_the_unit_that_fits() {
        let now = datetime!(2026-11-21 12:00 UTC);
        for (seconds, said) in [
            (0, "now"),
            (-9, "now"),
            (13, "10 s ago"),
            (61, "1 min ago"),
            (7_300, "2 h ago"),
            (200_000, "2 d ago"),
        ] {
            assert_eq!(ago(now - time::Duration::seconds(seconds), now), said);
        }
    }

    #[test]
    fn a_lot_below_zero_is_never_called_anything_milder() {
        let today = date!(2026 - 11 - 21);
        assert_eq!(stock(-1, Some(date!(2020 - 01 - 01)), today).1, "Below zero");
        assert_eq!(stock(5, Some(date!(2020 - 01 - 01)), today).1, "Expired");
        assert_eq!(stock(3, None, today).1, "Low");
        assert_eq!(stock(4, Some(today), today).1, "In stock");
    }

    #[test]
    fn amounts_and_moments_are_written_for_people() {
        assert_eq!(money(1_250, "GBP"), "GBP 12.50");
        assert_eq!(money(5, "XYZ"), "5 XYZ");
        assert_eq!(moment(0, "Europe/Berlin"), "1 Jan 01:00:00");
        assert_eq!(moment(0, "nowhere"), "1 Jan 00:00:00 UTC");
        assert_eq!(moment(i64::MAX, "Europe/Berlin"), "–");
        assert_eq!(day(date!(2026 - 11 - 01)), "1 Nov 2026");
    }
}
