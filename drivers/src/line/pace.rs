//! When a slow line is through with what was written to it. The system takes some kilobytes at once and sends them
//! byte by byte: at 9600 baud what fills its buffer is on its way for nearly five seconds. A question stands behind all
//! of it, so its answer is waited for from there on. Pure.

use std::time::Instant;

use super::LineAddress;

/// What is still on its way to a device, by the speed of its line.
#[derive(Debug, Clone)]
pub(crate) struct LinePace {
    address: LineAddress,
    free_at: Option<Instant>,
}

impl LinePace {
    /// Of a line to which nothing was written yet.
    pub(crate) fn of(address: &LineAddress) -> LinePace {
        LinePace { address: address.clone(), free_at: None }
    }

    /// The system took `bytes` at `now`.
    pub(crate) fn wrote(&mut self, now: Instant, bytes: usize) {
        self.free_at = Some(self.free_with(now, bytes));
    }

    /// When all is sent that was written until `now`; `now` itself where nothing is on its way.
    pub(crate) fn free_at(&self, now: Instant) -> Instant {
        self.free_at.map_or(now, |free_at| free_at.max(now))
    }

    /// When all is sent if `bytes` are written now.
    pub(crate) fn free_with(&self, now: Instant, bytes: usize) -> Instant {
        self.free_at(now) + self.address.time_for(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_written_waits_behind_what_was_written_before() {
        let mut pace = LinePace::of(&"serial:/dev/ttyS0?baud=9600".parse().unwrap());
        let now = Instant::now();
        assert_eq!(pace.free_at(now), now);
        pace.wrote(now, 960);
        assert_eq!(pace.free_at(now), now + Duration::from_millis(1_100));
        let later = now + Duration::from_millis(100);
        pace.wrote(later, 960);
        assert_eq!(pace.free_at(later), now + Duration::from_millis(2_200));
        let idle = now + Duration::from_secs(9);
        assert_eq!(pace.free_with(idle, 96), idle + Duration::from_millis(110));
    }

    #[test]
    fn a_network_has_no_pace() {
        let mut pace = LinePace::of(&LineAddress::Tcp(([192, 0, 2, 7], 9_100).into()));
        let now = Instant::now();
        pace.wrote(now, 1_000_000);
        assert_eq!(pace.free_at(now), now);
    }
}
