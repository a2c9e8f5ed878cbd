//! Jobs that the printer still holds after their outcome was told as unknown, over all conversations with it. Pure.
//!
//! A job is known by its number alone, and a printer that was switched off and on may give the same numbers anew: another's
//! end must not be told as ours. So the jobs are forgotten when the printer has begun anew, which its `printer-up-time`
//! (RFC 8011, 5.4.29) tells.

use std::time::Instant;

use super::super::status::ProcessId;

/// Jobs whose end is still of interest; more than an office printer holds.
const KEPT_MAX: usize = 32;

/// So many seconds may the answer that tells the time have been on its way, or its clock be wrong since the last look.
const SAME_START_SECONDS: u64 = 20;

/// See the module.
#[derive(Debug)]
pub(super) struct LateJobs {
    jobs: Vec<(ProcessId, i32)>,
    began: Instant,
    /// When the printer was switched on, in seconds from `began`.
    printer_started: Option<i64>,
}

impl LateJobs {
    pub(super) fn none(now: Instant) -> LateJobs {
        LateJobs { jobs: Vec::new(), began: now, printer_started: None }
    }

    /// The printer has said that it has been on for `up_seconds`. Returns the jobs that are no longer followed.
    pub(super) fn printer_on_for(&mut self, now: Instant, up_seconds: Option<i32>) -> Vec<(ProcessId, i32)> {
        let since = i64::try_from(now.duration_since(self.began).as_secs()).unwrap_or(i64::MAX);
        let started = up_seconds.map(|up| since.saturating_sub(i64::from(up)));
        let before = std::mem::replace(&mut self.printer_started, started);
        match (before, started) {
            (Some(before), Some(now)) if before.abs_diff(now) <= SAME_START_SECONDS => Vec::new(),
            _ => std::mem::take(&mut self.jobs),
        }
    }

    pub(super) fn hold(&mut self, process: ProcessId, job: i32) {
        if self.jobs.len() == KEPT_MAX {
            self.jobs.remove(0);
        }
        self.jobs.push((process, job));
    }

    pub(super) fn held(&self) -> Vec<(ProcessId, i32)> {
        self.jobs.clone()
    }

    pub(super) fn over(&mut self, job: i32) {
        self.jobs.retain(|(_, held)| *held != job);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn jobs_are_followed_as_long_as_the_printer_was_not_switched_on_anew() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let process = ProcessId::numbered(7);
        let mut late = LateJobs::none(began);
        assert!(late.printer_on_for(at(1), Some(1_000)).is_empty());
        late.hold(process, 12);
        assert!(late.printer_on_for(at(3_600), Some(4_602)).is_empty());
        assert_eq!(late.held(), [(process, 12)]);
        assert_eq!(late.printer_on_for(at(3_700), Some(30)), [(process, 12)]);
        late.hold(process, 1);
        // It was on for longer when it was seen last, and is a new start all the same.
        assert_eq!(late.printer_on_for(at(4_000), Some(100)), [(process, 1)]);
        late.hold(process, 2);
        assert_eq!(
            late.printer_on_for(at(4_001), None),
            [(process, 2)],
            "one that does not tell is not believed"
        );
    }

    #[test]
    fn a_job_that_is_over_is_followed_no_more_and_only_the_last_ones_are() {
        let mut late = LateJobs::none(Instant::now());
        for job in 0..40 {
            late.hold(ProcessId::numbered(0), job);
        }
        late.over(20);
        let jobs: Vec<i32> = late.held().into_iter().map(|(_, job)| job).collect();
        assert_eq!((jobs.len(), jobs[0], jobs.contains(&20)), (31, 8, false));
    }
}
