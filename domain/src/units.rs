//! Numbers with their unit. All are integers (invariant I6).

use std::{fmt, iter::Sum, ops};

use serde::{Deserialize, Serialize};
use time::{Date, Month, OffsetDateTime};

/// A moment in milliseconds since 1970-01-01 00:00 UTC, as some clock told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// The calendar moment in UTC; `None` outside the years -9999 to 9999.
    pub fn utc(self) -> Option<OffsetDateTime> {
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000).ok()
    }
}

/// A temperature in thousandths of a degree Celsius.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MilliCelsius(pub i32);

impl fmt::Display for MilliCelsius {
    /// One decimal, rounded half away from zero: `4.2 °C`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0.abs() + 50) / 100;
        let sign = if self.0 < 0 && tenths > 0 { "-" } else { "" };
        write!(formatter, "{sign}{}.{} °C", tenths / 10, tenths % 10)
    }
}

/// A number of the smallest unit in which a product is kept (a pack). Negative where it is a change, or where the
/// book disagrees with the shelf.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Quantity(pub i64);

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// One pack.
    pub const ONE: Self = Self(1);
    /// The most that one line of a sale or of a delivery may carry. A mistyped barcode in the quantity field has
    /// at least eight digits, and is caught by this.
    pub const LINE_MAX: Self = Self(9_999);
}

impl ops::Add for Quantity {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}
impl ops::Sub for Quantity {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}
impl ops::AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}
impl ops::Neg for Quantity {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}
impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(quantities: I) -> Self {
        quantities.fold(Self::ZERO, |sum, quantity| sum + quantity)
    }
}
impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A calendar day, written `2026-11-21` (ISO 8601).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(pub Date);

/// The text is no calendar day.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no date: write it as 2026-11-21")]
pub struct BadDay(String);

impl std::str::FromStr for Day {
    type Err = BadDay;
    fn from_str(text: &str) -> Result<Self, BadDay> {
        let bad = || BadDay(text.chars().take(40).collect());
        let bytes = text.as_bytes();
        let digits = |range: ops::Range<usize>| -> Option<u16> {
            bytes[range]
                .iter()
                .try_fold(0u16, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u16::from(byte - b'0')))
        };
        if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
            return Err(bad());
        }
        let (Some(year), Some(month), Some(day)) = (digits(0..4), digits(5..7), digits(8..10)) else {
            return Err(bad());
        };
        let month = u8::try_from(month).ok().and_then(|month| Month::try_from(month).ok()).ok_or_else(bad)?;
        let day = u8::try_from(day).map_err(|_| bad())?;
        Date::from_calendar_date(i32::from(year), month, day).map(Self).map_err(|_| bad())
    }
}
impl TryFrom<String> for Day {
    type Error = BadDay;
    fn try_from(text: String) -> Result<Self, BadDay> {
        text.parse()
    }
}
impl From<Day> for String {
    fn from(day: Day) -> String {
        day.to_string()
    }
}
impl fmt::Display for Day {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04}-{:02}-{:02}", self.0.year(), u8::from(self.0.month()), self.0.day())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temperature_is_shown_with_one_decimal() {
        for (milli, shown) in
            [(4_200, "4.2 °C"), (-20_500, "-20.5 °C"), (-49, "0.0 °C"), (50, "0.1 °C"), (8_049, "8.0 °C")]
        {
            assert_eq!(MilliCelsius(milli).to_string(), shown);
        }
    }

    #[test]
    fn a_day_is_read_as_it_is_written_and_nonsense_is_refused() {
        assert_eq!("2028-02-29".parse::<Day>().unwrap().to_string(), "2028-02-29");
        for bad in [
            "2027-02-29",
            "2026-13-01",
            "2026-1-01",
            "26-01-01",
            "",
            "2026-11-21T00",
            "２０２６-1",
            "2026-11-2é",
        ] {
            assert!(bad.parse::<Day>().is_err(), "{bad}");
        }
    }
}
