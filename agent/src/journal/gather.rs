//! Which acts share a sync. Pure.
//!
//! Whoever is at a till waits for the answer before the next act. A commit that began with the first act that comes would divide
//! the tills into two parts that take turns: while one is written, the other comes together, and each sync serves half of them.
//! So the writer waits a moment for as many as there were just before, when they came right after the last commit. A till alone
//! waits for nobody, nor does the first act after a pause.

use std::time::Duration;

/// A commit begins later by no more than this part of what the last one took...
const PART_OF_COMMIT: u32 = 4;
/// ...and by no more than this: on a slow disk a quarter of a second would be felt.
const WAIT_MAX: Duration = Duration::from_millis(2);

/// What the last commit tells about the next.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Gather {
    together: usize,
    took: Duration,
}

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    /// Acts.
    pub(crate) acts: usize,
    /// No longer than this.
    pub(crate) longest: Duration,
}

impl Wait {
    /// Whether more is waited for, once there are so many acts and so much time has passed.
    pub(crate) fn is_on(&self, acts: usize, passed: Duration) -> bool {
        acts < self.acts && passed < self.longest
    }
}

impl Gather {
    /// A commit of `acts` acts took so long, and at its end so many more were `waiting`.
    pub(crate) fn committed(acts: usize, waiting: usize, took: Duration) -> Self {
        Self { together: acts + waiting, took }
    }

    /// What a commit waits for whose first act came so long after the last commit's end.
    pub(crate) fn wait(&self, after: Duration) -> Option<Wait> {
        let longest = (self.took / PART_OF_COMMIT).min(WAIT_MAX);
        (self.together > 1 && after <= self.took).then_some(Wait { acts: self.together, longest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_till_alone_waits_for_nobody() {
        assert_eq!(Gather::default().wait(ms(0)), None);
        assert_eq!(Gather::committed(1, 0, ms(4)).wait(ms(0)), None);
    }

    #[test]
    fn tills_that_would_take_turns_are_waited_for_together_and_not_for_long() {
        let check = |took, expected| {
            let wait = Gather::committed(3, 5, ms(took)).wait(ms(1));
            assert_eq!(wait, Some(Wait { acts: 8, longest: expected }));
        };
        check(4, ms(1));
        check(2_000, WAIT_MAX);
        let wait = Wait { acts: 8, longest: ms(1) };
        assert!(wait.is_on(7, Duration::ZERO));
        assert!(!wait.is_on(8, Duration::ZERO) && !wait.is_on(7, ms(1)));
    }

    #[test]
    fn after_a_pause_nobody_is_waited_for() {
        let gather = Gather::committed(8, 0, ms(4));
        assert!(gather.wait(ms(4)).is_some());
        assert_eq!(gather.wait(ms(5)), None);
    }
}
