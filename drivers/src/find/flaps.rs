//! A device that comes and goes without end: a worn plug, a cable under a foot, a hub without enough power. Pure.
//!
//! It is told once and left alone; each opening in between would start a scan or a receipt that the next moment cuts
//! off.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// So many goings …
///
/// A person who tries cable and socket pulls it two or three times; the plugs with bad contacts that are reported
/// publicly come and go several times within seconds.
pub const GOINGS: usize = 5;

/// … within this time are flapping. A device whose firmware is written or which restarts by itself goes two or three
/// times in a minute.
pub const WITHIN: Duration = Duration::from_secs(60);

/// It is taken back when it has neither come nor gone for this long: by then somebody has mended it, or let the cable
/// lie. Shorter would report the same plug again and again, longer would keep people waiting in front of a mended
/// one.
pub const REST: Duration = Duration::from_secs(30);

/// Counts the comings and goings of one device.
#[derive(Debug, Clone, Default)]
pub(super) struct Flaps {
    goings: VecDeque<Instant>,
    last_change: Option<Instant>,
}

impl Flaps {
    /// It came or went.
    pub(super) fn changed(&mut self, now: Instant, here: bool) {
        self.last_change = Some(now);
        if !here {
            self.goings.push_back(now);
            if self.goings.len() > GOINGS {
                self.goings.pop_front();
            }
        }
    }

    /// Has it gone too often?
    pub(super) fn too_many(&self, now: Instant) -> bool {
        let recent = |at: &&Instant| now.saturating_duration_since(**at) <= WITHIN;
        self.goings.iter().filter(recent).count() >= GOINGS
    }

    /// When its rest is over, if nothing happens until then.
    pub(super) fn rested_at(&self) -> Option<Instant> {
        Some(self.last_change? + REST)
    }

    /// Its rest is over: what was before does not count.
    pub(super) fn forget(&mut self) {
        self.goings.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_goings_in_a_minute_are_too_many_and_five_in_six_minutes_are_not() {
        for (pause_s, expected) in [(1, true), (14, true), (16, false), (72, false)] {
            let start = Instant::now();
            let mut flaps = Flaps::default();
            let at = |number: u64| start + Duration::from_secs(number * pause_s);
            for number in 0..20 {
                flaps.changed(at(number), false);
                flaps.changed(at(number), true);
            }
            assert_eq!(flaps.too_many(at(19)), expected, "{pause_s} s");
            assert_eq!(flaps.rested_at(), Some(at(19) + REST));
        }
    }
}
