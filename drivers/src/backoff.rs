//! How long to wait before the next attempt: doubling, up to a bound. Pure: the caller owns the clock.

use std::time::Duration;

/// What worked for this long is well. A plug with a bad contact comes and goes within moments.
pub const WELL_AFTER: Duration = Duration::from_secs(5);

/// A doubling pause.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// Pauses from `first` up to `longest`.
    #[must_use]
    pub fn new(first: Duration, longest: Duration) -> Backoff {
        Backoff { first, longest, next: first }
    }

    /// For a device that was unplugged: back within a second of being plugged in again, and never a busy loop.
    #[must_use]
    pub fn for_hotplug() -> Backoff {
        Backoff::new(Duration::from_millis(50), Duration::from_secs(1))
    }

    /// The pause before the next attempt; the one after is twice as long.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (self.next * 2).min(self.longest);
        pause
    }

    /// It worked: start from the shortest pause again.
    pub fn reset(&mut self) {
        self.next = self.first;
    }

    /// It was open for so long: if that was [`WELL_AFTER`] or more, start from the shortest pause again.
    pub fn worked_for(&mut self, time: Duration) {
        if time >= WELL_AFTER {
            self.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_start_again_after_some_seconds_of_health() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        let pauses: Vec<u64> = (0..5).map(|_| backoff.pause().as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 5, 5]);
        backoff.worked_for(Duration::from_millis(50));
        assert_eq!(backoff.pause().as_secs(), 5, "a plug with a bad contact");
        backoff.worked_for(WELL_AFTER);
        assert_eq!(backoff.pause().as_secs(), 1);
    }
}
