//! How long the room on the disk lasts, from how it went in the last two days. Pure.

use std::collections::VecDeque;

/// A point is noted this often: what comes and goes within an hour (a checkpoint, a snapshot) is no trend.
const POINT_EVERY_MS: u64 = 3_600_000;
/// Points that are kept: two days, so that a night does not look like the end of business.
const POINTS_MAX: usize = 48;
/// A trend is told from this many points on.
const POINTS_MIN: usize = 6;

const DAY_MS: u64 = 86_400_000;

/// Free bytes, once an hour.
#[derive(Debug, Clone, Default)]
pub struct Trend {
    points: VecDeque<(u64, u64)>,
}

impl Trend {
    /// Notes what is free now (monotonic).
    pub fn note(&mut self, now_ms: u64, free: u64) {
        let is_time = self.points.back().is_none_or(|(at, _)| now_ms.saturating_sub(*at) >= POINT_EVERY_MS);
        if is_time {
            self.points.push_back((now_ms, free));
            if self.points.len() > POINTS_MAX {
                self.points.pop_front();
            }
        }
    }

    /// In how many days `left` more bytes are used; `None` where that cannot be told, or where the room does not get less.
    pub fn days(&self, left: u64) -> Option<u32> {
        let (first, last) = (self.points.front()?, self.points.back()?);
        if self.points.len() < POINTS_MIN {
            return None;
        }
        let used = u128::from(first.1.checked_sub(last.1).filter(|used| *used > 0)?);
        let within = u128::from(last.0 - first.0);
        let days = u128::from(left) * within / used / u128::from(DAY_MS);
        Some(u32::try_from(days).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn the_days_left_follow_from_what_was_used_in_the_last_two_days() {
        let mut trend = Trend::default();
        for hour in 0..200u64 {
            // 100 bytes an hour at first, then 10: the last two days count.
            let free = if hour < 100 { 1_000_000 - 100 * hour } else { 990_000 - 10 * (hour - 100) };
            trend.note(hour * HOUR, free);
            trend.note(hour * HOUR + 1_000, 0);
        }
        assert_eq!(trend.days(2_400), Some(10));
        assert_eq!(trend.days(0), Some(0));
    }

    #[test]
    fn nothing_is_told_from_a_few_hours_or_where_the_room_does_not_get_less() {
        let mut trend = Trend::default();
        for hour in 0..5u64 {
            trend.note(hour * HOUR, 1_000 - hour);
        }
        assert_eq!(trend.days(100), None);
        for hour in 5..60u64 {
            trend.note(hour * HOUR, 2_000);
        }
        assert_eq!(trend.days(100), None);
    }
}
