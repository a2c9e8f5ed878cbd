//! How long commits take: what the health page and the metrics show, and how a slow disk is noticed while it is slow.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// A commit that took longer is told...
pub const SLOW: Duration = Duration::from_secs(1);
/// ...for so long.
const TOLD_FOR: Duration = Duration::from_secs(60);

/// The commits of one journal since its start, in microseconds.
#[derive(Debug, Default)]
pub struct CommitsTook {
    began: OnceLock<Instant>,
    /// When the one that runs began, counted from `began`; 0 for none.
    running: AtomicU64,
    last: AtomicU64,
    slowest: AtomicU64,
    total: AtomicU64,
    /// How long the last slow one took, and when it ended.
    slow: AtomicU64,
    slow_at: AtomicU64,
}

impl CommitsTook {
    /// Measures one.
    pub(super) fn measure<T>(&self, commit: impl FnOnce() -> T) -> T {
        self.begin(self.now());
        let done = commit();
        self.end(self.now());
        done
    }

    fn begin(&self, now: u64) {
        self.running.store(now, Relaxed);
    }

    fn end(&self, now: u64) {
        let took = now.saturating_sub(self.running.swap(0, Relaxed));
        self.last.store(took, Relaxed);
        self.slowest.fetch_max(took, Relaxed);
        self.total.fetch_add(took, Relaxed);
        if took >= micros(SLOW) {
            self.slow.store(took, Relaxed);
            self.slow_at.store(now, Relaxed);
        }
    }

    /// The last that ended.
    pub fn last(&self) -> Duration {
        Duration::from_micros(self.last.load(Relaxed))
    }

    /// The slowest.
    pub fn slowest(&self) -> Duration {
        Duration::from_micros(self.slowest.load(Relaxed))
    }

    /// All of them together.
    pub fn total(&self) -> Duration {
        Duration::from_micros(self.total.load(Relaxed))
    }

    /// How slow the disk is, if it is: the commit that runs, or one that ended within the last minute.
    pub fn slowest_now(&self) -> Option<Duration> {
        self.slowest_at(self.now())
    }

    fn slowest_at(&self, now: u64) -> Option<Duration> {
        let running = match self.running.load(Relaxed) {
            0 => 0,
            began => now.saturating_sub(began),
        };
        let slow = self.slow.load(Relaxed);
        let is_recent = now.saturating_sub(self.slow_at.load(Relaxed)) <= micros(TOLD_FOR);
        let took = if is_recent { running.max(slow) } else { running };
        (took >= micros(SLOW)).then(|| Duration::from_micros(took))
    }

    /// Above zero.
    fn now(&self) -> u64 {
        micros(self.began.get_or_init(Instant::now).elapsed()) + 1
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_commit_is_told_while_it_runs_and_for_a_minute_after_it() {
        let took = CommitsTook::default();
        let second = 1_000_000;
        took.begin(second);
        assert_eq!(took.slowest_at(second + 900_000), None);
        assert_eq!(took.slowest_at(4 * second), Some(Duration::from_secs(3)));
        took.end(6 * second);
        assert_eq!((took.last(), took.slowest()), (Duration::from_secs(5), Duration::from_secs(5)));
        took.begin(7 * second);
        took.end(7 * second + 3_000);
        assert_eq!(took.last(), Duration::from_millis(3));
        assert_eq!(took.slowest_at(60 * second), Some(Duration::from_secs(5)));
        assert_eq!(took.slowest_at(67 * second), None);
        assert_eq!(took.total(), Duration::from_micros(5_003_000));
    }
}
