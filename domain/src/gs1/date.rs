//! Dates as GS1 writes them, and what year two digits mean.

use time::{Date, Month};

use super::content::{Misfit, Wrong};

/// Checks `YYMMDD`; day 00 only if `month_only` is allowed. Each fourth year is taken as a leap year, which holds for
/// every year that the century rule can reach until 2050.
///
/// # Errors
/// A month or a day that does not exist.
pub fn check_yymmdd(text: &[u8], month_only: bool) -> Result<(), Misfit> {
    let misfit = |offset, wrong| Err(Misfit { offset, wrong });
    let Some([year, month, day]) = two_digit_parts(text) else { return misfit(0, Wrong::Month) };
    check_month_and_day(year % 4 == 0, month, day, month_only)
        .or_else(|(part, wrong)| misfit(part * 2 + 2, wrong))
}

/// Checks `YYYYMMDD`.
///
/// # Errors
/// A month or a day that does not exist.
pub fn check_yyyymmdd(text: &[u8]) -> Result<(), Misfit> {
    let misfit = |offset, wrong| Err(Misfit { offset, wrong });
    let (century, rest) = text.split_at(text.len().min(2));
    let (Some([century]), Some([year, month, day])) = (two_digit_parts(century), two_digit_parts(rest))
    else {
        return misfit(0, Wrong::Month);
    };
    let leap = if year == 0 { century % 4 == 0 } else { year % 4 == 0 };
    check_month_and_day(leap, month, day, false).or_else(|(part, wrong)| misfit(part * 2 + 4, wrong))
}

/// The date that `YYMMDD` means, seen from `today`; day 00 is the last day of the month. `None` if it is none.
///
/// The century (General Specifications 7.12): a two-digit year 51 or more ahead of today's is of the last century,
/// one 50 or more behind is of the next, any other of this.
pub fn from_yymmdd(text: &str, today: Date) -> Option<Date> {
    let [year, month, day] = two_digit_parts(text.as_bytes())?;
    let month = Month::try_from(month).ok()?;
    let year = full_year(year, today.year());
    let last = month.length(year);
    match day {
        0 => Date::from_calendar_date(year, month, last).ok(),
        // 29 February, where the century rule leads to a century that has none.
        29 if month == Month::February => Date::from_calendar_date(year, month, last).ok(),
        _ => Date::from_calendar_date(year, month, day).ok(),
    }
}

/// `YYMMDD` of a date, with the day: day 00 is read, never written.
pub fn to_yymmdd(date: Date) -> String {
    format!("{:02}{:02}{:02}", date.year().rem_euclid(100), u8::from(date.month()), date.day())
}

fn full_year(two_digits: u8, this_year: i32) -> i32 {
    let century = this_year - this_year.rem_euclid(100);
    let ahead = i32::from(two_digits) - this_year.rem_euclid(100);
    let shift = match ahead {
        51.. => -100,
        ..=-50 => 100,
        _ => 0,
    };
    century + shift + i32::from(two_digits)
}

fn check_month_and_day(leap: bool, month: u8, day: u8, month_only: bool) -> Result<(), (usize, Wrong)> {
    let month = Month::try_from(month).map_err(|_| (0, Wrong::Month))?;
    let last = month.length(if leap { 2000 } else { 2001 });
    if day > last || (day == 0 && !month_only) { Err((1, Wrong::Day)) } else { Ok(()) }
}

/// `N` numbers of two digits each, and nothing else.
fn two_digit_parts<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != N * 2 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut parts = [0; N];
    for (part, pair) in parts.iter_mut().zip(text.chunks_exact(2)) {
        *part = (pair[0] - b'0') * 10 + (pair[1] - b'0');
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::date;

    fn check(text: &str, today: Date, expected: Option<Date>) {
        assert_eq!(from_yymmdd(text, today), expected, "{text} seen from {today}");
    }

    #[test]
    fn day_00_is_the_last_day_of_the_month() {
        check("280200", date!(2026 - 11 - 21), Some(date!(2028 - 02 - 29)));
        check("270200", date!(2026 - 11 - 21), Some(date!(2027 - 02 - 28)));
        check("261200", date!(2026 - 11 - 21), Some(date!(2026 - 12 - 31)));
    }

    #[test]
    fn the_century_is_the_nearest_by_the_rule_of_gs1() {
        check("760101", date!(2026 - 01 - 01), Some(date!(2076 - 01 - 01)));
        check("770101", date!(2026 - 01 - 01), Some(date!(1977 - 01 - 01)));
        check("260101", date!(2076 - 01 - 01), Some(date!(2126 - 01 - 01)));
        check("270101", date!(2076 - 01 - 01), Some(date!(2027 - 01 - 01)));
        check("000101", date!(1999 - 12 - 31), Some(date!(2000 - 01 - 01)));
        check("990101", date!(2000 - 01 - 01), Some(date!(1999 - 01 - 01)));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in ["", "26131", "261301", "260001", "260431", "26043A", "2604300"] {
            check(text, date!(2026 - 01 - 01), None);
        }
    }

    #[test]
    fn a_month_or_day_that_does_not_exist_is_found_where_it_stands() {
        let found = |text: &str, month_only| {
            check_yymmdd(text.as_bytes(), month_only).map_err(|m| (m.offset, m.wrong))
        };
        assert_eq!(found("201310", true), Err((2, Wrong::Month)));
        assert_eq!(found("200230", true), Err((4, Wrong::Day)));
        assert_eq!(found("210229", true), Err((4, Wrong::Day)));
        assert_eq!(found("000229", true), Ok(()));
        assert_eq!(found("200600", true), Ok(()));
        assert_eq!(found("200600", false), Err((4, Wrong::Day)));
        assert_eq!(check_yyyymmdd(b"21000229").map_err(|m| m.offset), Err(6));
        assert_eq!(check_yyyymmdd(b"20000229"), Ok(()));
        assert_eq!(check_yyyymmdd(b"20201300").map_err(|m| m.offset), Err(4));
    }

    #[test]
    fn writing_a_date_and_reading_it_gives_the_date() {
        let today = date!(2026 - 11 - 21);
        for day in [date!(2026 - 01 - 31), date!(2028 - 02 - 29), date!(1999 - 12 - 31)] {
            check(&to_yymmdd(day), today, Some(day));
        }
    }
}
