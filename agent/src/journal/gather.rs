//! Which acts share a sync.
//!
//! Whoever is at a till waits for the answer before the next act. A commit that began with the first act that comes would divide
//! the tills into two parts that take turns: while one is written, the other comes together, and each sync serves half of them.
//! So the writer waits a moment for as many as there were just before, when they came right after the last commit. A till alone
//! waits for nobody, nor does the first act after a pause.

use std::{
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

/// A commit begins later by no more than this part of what the last one took...
const PART_OF_COMMIT: u32 = 4;
/// ...and by no more than this: on a slow disk a quarter of a second would be felt.
const WAIT_MAX: Duration = Duration::from_millis(2);

/// What the last commit tells about the next.
#[derive(Debug, Default, Clone, Copy)]
struct Last {
    together: usize,
    took: Duration,
}

/// What a commit waits for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Wait {
    /// Until there are so many acts.
    acts: usize,
    /// No longer than this.
    longest: Duration,
}

impl Last {
    /// What a commit waits for whose first act came so long after this one's end.
    fn wait(&self, after: Duration) -> Wait {
        if self.together < 2 || after > self.took {
            return Wait::default();
        }
        Wait { acts: self.together, longest: (self.took / PART_OF_COMMIT).min(WAIT_MAX) }
    }
}

/// Gathers what shares a sync out of a queue.
#[derive(Debug)]
pub struct Gathering {
    last: Last,
    ended: Instant,
}

impl Default for Gathering {
    fn default() -> Self {
        Self { last: Last::default(), ended: Instant::now() }
    }
}

impl Gathering {
    /// Blocks until something comes, and puts it into `group` with what shares a sync with it: no more than `most`, and
    /// nothing behind one that `ends` it. False when nothing comes any more.
    pub fn next<T>(
        &self,
        from: &mut mpsc::Receiver<T>,
        group: &mut Vec<T>,
        most: usize,
        ends: impl Fn(&T) -> bool,
    ) -> bool {
        let mut next = from.blocking_recv();
        let wait = self.last.wait(self.ended.elapsed());
        let until = Instant::now() + wait.longest;
        while let Some(one) = next {
            let is_last = ends(&one);
            group.push(one);
            if is_last || group.len() >= most {
                break;
            }
            next = match from.try_recv() {
                Err(_) if group.len() < wait.acts => receive_until(from, until),
                received => received.ok(),
            };
        }
        !group.is_empty()
    }

    /// A commit of `acts` acts has just ended; so many more were `waiting`. Told before anybody is answered: whoever has an
    /// answer may be back at once, and would count twice.
    pub fn committed(&mut self, acts: usize, waiting: usize, took: Duration) {
        *self = Self { last: Last { together: acts + waiting, took }, ended: Instant::now() };
    }
}

/// What comes next, if it comes before `until`. Blocks.
fn receive_until<T>(from: &mut mpsc::Receiver<T>, until: Instant) -> Option<T> {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(received) = from.poll_recv(&mut context) {
            return received;
        }
        let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
        thread::park_timeout(left);
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
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
        assert_eq!(Last::default().wait(ms(0)), Wait::default());
        assert_eq!(Last { together: 1, took: ms(4) }.wait(ms(0)), Wait::default());
    }

    #[test]
    fn tills_that_would_take_turns_are_waited_for_together_and_not_for_long() {
        let check = |took, longest| {
            let wait = Last { together: 8, took: ms(took) }.wait(ms(1));
            assert_eq!(wait, Wait { acts: 8, longest });
        };
        check(4, ms(1));
        check(2_000, WAIT_MAX);
    }

    #[test]
    fn after_a_pause_nobody_is_waited_for() {
        let last = Last { together: 8, took: ms(4) };
        assert_eq!(last.wait(ms(4)).acts, 8);
        assert_eq!(last.wait(ms(5)), Wait::default());
    }

    #[test]
    fn a_group_is_what_waits_and_who_is_expected_up_to_its_end() {
        let (sender, mut receiver) = mpsc::channel(16);
        let mut gathering = Gathering::default();
        let mut group = Vec::new();
        for one in 1..=3 {
            sender.try_send(one).unwrap();
        }
        assert!(gathering.next(&mut receiver, &mut group, 2, |_| false));
        assert_eq!(std::mem::take(&mut group), [1, 2], "no more than fit");
        gathering.committed(2, 1, Duration::from_secs(60));
        for one in 4..=6 {
            sender.try_send(one).unwrap();
        }
        assert!(gathering.next(&mut receiver, &mut group, 16, |one| *one == 5));
        assert_eq!(std::mem::take(&mut group), [3, 4, 5], "nothing behind its end");
        drop(sender);
        assert!(gathering.next(&mut receiver, &mut group, 16, |_| false));
        assert_eq!(std::mem::take(&mut group), [6]);
        assert!(!gathering.next(&mut receiver, &mut group, 16, |_| false));
    }

    #[test]
    fn what_comes_is_received_at_once_and_what_does_not_come_is_not_waited_for_longer() {
        let (sender, mut receiver) = mpsc::channel(4);
        let soon = || Instant::now() + ms(5);
        assert_eq!(receive_until::<u8>(&mut receiver, soon()), None);
        sender.try_send(1).unwrap();
        assert_eq!(receive_until(&mut receiver, soon()), Some(1));
        let late = thread::spawn(move || {
            thread::sleep(ms(5));
            sender.try_send(2)
        });
        assert_eq!(receive_until(&mut receiver, Instant::now() + Duration::from_secs(60)), Some(2));
        late.join().unwrap().unwrap();
        assert_eq!(
            receive_until(&mut receiver, Instant::now() + Duration::from_secs(60)),
            None,
            "all are gone"
        );
    }
}
