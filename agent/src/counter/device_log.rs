//! Which comings and goings of a device are written down. A plug with a bad contact comes and goes every second, and
//! each fact is a sync of the disk and a line at the centre for ever: past a bound they are held back, counted, and the
//! last one is written when the minute is over. The page shows each at once.

use std::collections::VecDeque;

use pestle_domain::fact::FactBody;

/// Facts of one device that are written within [`WITHIN_MS`].
const FACTS_MAX: usize = 6;
const WITHIN_MS: u64 = 60_000;

/// The facts of one device.
#[derive(Debug, Default)]
pub(super) struct DeviceLog {
    /// When the last ones were written (monotonic).
    written: VecDeque<u64>,
    /// The last one that was not, and how many before it.
    held: Option<(FactBody, u64)>,
}

impl DeviceLog {
    /// A fact of the device; it comes back when it is to be written now.
    pub(super) fn take(&mut self, now_ms: u64, fact: FactBody) -> Option<FactBody> {
        if self.held.is_none() && self.has_room(now_ms) {
            self.written.push_back(now_ms);
            return Some(fact);
        }
        let before = self.held.as_ref().map_or(0, |(_, before)| before + 1);
        self.held = Some((fact, before));
        None
    }

    /// The fact that was held back, once it may be written.
    pub(super) fn due(&mut self, now_ms: u64) -> Option<FactBody> {
        if self.held.is_none() || !self.has_room(now_ms) {
            return None;
        }
        let (fact, before) = self.held.take()?;
        self.written.push_back(now_ms);
        Some(if before == 0 { fact } else { with_note(fact, before) })
    }

    fn has_room(&mut self, now_ms: u64) -> bool {
        while self.written.front().is_some_and(|at| now_ms.saturating_sub(*at) >= WITHIN_MS) {
            self.written.pop_front();
        }
        self.written.len() < FACTS_MAX
    }
}

/// Says how many were left out, where the fact has words.
fn with_note(fact: FactBody, before: u64) -> FactBody {
    let note =
        |reason: &str| format!("{reason} (it came and went; {before} changes before this were not written)");
    match fact {
        FactBody::DeviceLost(mut lost) => {
            lost.reason = note(&lost.reason).into();
            lost.into()
        }
        FactBody::DeviceFault(mut fault) => {
            fault.reason = note(&fault.reason).into();
            fault.into()
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pestle_domain::fact::{DeviceAttached, DeviceLost};

    fn attached() -> FactBody {
        DeviceAttached { name: "scanner-1".into(), class: "scanner".into() }.into()
    }
    fn lost() -> FactBody {
        DeviceLost { name: "scanner-1".into(), class: "scanner".into(), reason: "unplugged".into() }.into()
    }

    #[test]
    fn a_device_that_comes_and_goes_every_second_is_not_written_each_time_and_its_last_state_is() {
        let mut log = DeviceLog::default();
        let mut written = 0;
        for second in 0..600 {
            written += usize::from(log.take(second * 1_000, attached()).is_some());
            written += usize::from(log.take(second * 1_000 + 500, lost()).is_some());
            written += usize::from(log.due(second * 1_000 + 500).is_some());
        }
        assert!((10..=70).contains(&written), "{written} of 1,200");
        assert_eq!(log.due(600_000), None);
        let last = (600..700).find_map(|second| log.due(second * 1_000)).unwrap();
        let FactBody::DeviceLost(last) = last else { panic!("{last:?}") };
        assert!(last.reason.starts_with("unplugged (it came and went;"), "{}", last.reason);
        assert_eq!(log.due(900_000), None, "once");
    }

    #[test]
    fn a_device_that_is_pulled_and_put_back_is_written_at_once() {
        let mut log = DeviceLog::default();
        assert_eq!(log.take(0, lost()), Some(lost()));
        assert_eq!(log.take(2_000, attached()), Some(attached()));
    }
}
