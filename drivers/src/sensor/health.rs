//! What is known of the devices on a line: one that is silent is left alone for a while, and what changes at a probe or a
//! contact is told once. Pure: the caller owns the clock.

use std::time::{Duration, Instant};

use super::NoData;
use crate::{backoff::Backoff, device::DeviceEvent};

/// How long a device is left alone.
#[derive(Debug)]
pub struct Rest {
    backoff: Backoff,
    standing: Option<(Instant, NoData)>,
}

impl Rest {
    /// A device that takes the line's time and answers nothing rests from the first to the second of `rest`, doubling.
    #[must_use]
    pub fn new(rest: (Duration, Duration)) -> Rest {
        Rest { backoff: Backoff::new(rest.0, rest.1), standing: None }
    }

    /// The standing answer, while the device is left alone.
    #[must_use]
    pub fn standing(&self, now: Instant) -> Option<NoData> {
        self.standing.and_then(|(until, why)| (now < until).then_some(why))
    }

    /// Takes in what became of a question. A device that answers, if only to refuse, stalls nobody; neither does a line that
    /// is away, whose devices are as well as they were.
    pub fn take(&mut self, now: Instant, result: Result<(), NoData>) {
        match result {
            Err(why) if why.takes_time() => self.standing = Some((now + self.backoff.pause(), why)),
            Err(NoData::Gone) => self.standing = None,
            Ok(()) | Err(_) => {
                self.backoff.reset();
                self.standing = None;
            }
        }
    }

    /// The rest that has begun, if one has, lasts for `rest` from `now` at least.
    pub fn at_least(&mut self, now: Instant, rest: Duration) {
        if let Some((until, _)) = &mut self.standing {
            *until = (*until).max(now + rest);
        }
    }
}

/// What was told of a probe or a contact.
#[derive(Debug, Default)]
pub struct News {
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    // Unknown => Well | Failing
    #[default]
    Unknown,
    // Well => Failing
    Well,
    // Failing => Well | Failing
    Failing(NoData),
}

impl News {
    /// Takes in what became of reading it; returns what changed, if anything did.
    pub fn take(&mut self, result: Result<(), NoData>) -> Option<DeviceEvent> {
        let before = self.state;
        match result {
            Ok(()) => {
                self.state = State::Well;
                (before != State::Well).then_some(DeviceEvent::Attached)
            }
            Err(why) => {
                self.state = State::Failing(why);
                let reason = why.to_string();
                match before {
                    // The same reason with another number is no news.
                    State::Failing(told) if told.code() == why.code() => None,
                    State::Well if matches!(why, NoData::Timeout | NoData::Gone) => {
                        Some(DeviceEvent::Lost { reason })
                    }
                    _ => Some(DeviceEvent::Fault { reason }),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_silent_device_rests_ever_longer_and_an_answer_ends_that() {
        let start = Instant::now();
        let mut rest = Rest::new((SECOND, SECOND * 4));
        rest.take(start, Err(NoData::Timeout));
        assert_eq!(rest.standing(start), Some(NoData::Timeout));
        assert_eq!(rest.standing(start + SECOND), None);
        rest.take(start + SECOND, Err(NoData::Timeout));
        assert_eq!(rest.standing(start + SECOND * 2), Some(NoData::Timeout), "two seconds now");
        rest.take(start + SECOND * 3, Ok(()));
        assert_eq!(rest.standing(start + SECOND * 3), None);
        rest.take(start + SECOND * 3, Err(NoData::Crc));
        assert_eq!(rest.standing(start + SECOND * 4), None, "one second again");
    }

    #[test]
    fn one_that_refuses_is_not_left_alone_and_one_that_took_long_rests_for_its_share() {
        let start = Instant::now();
        let mut rest = Rest::new((SECOND, SECOND * 4));
        for harmless in [NoData::Exception(2), NoData::Gone, NoData::NoProbe] {
            rest.take(start, Err(harmless));
            rest.at_least(start, SECOND * 60);
            assert_eq!(rest.standing(start), None, "{harmless:?}");
        }
        rest.take(start, Err(NoData::Crc));
        rest.at_least(start, SECOND * 7);
        assert_eq!(rest.standing(start + SECOND * 6), Some(NoData::Crc));
        assert_eq!(rest.standing(start + SECOND * 7), None);
    }

    #[test]
    fn coming_and_going_are_told_once() {
        let mut news = News::default();
        assert_eq!(news.take(Ok(())), Some(DeviceEvent::Attached));
        assert_eq!(news.take(Ok(())), None);
        assert!(matches!(news.take(Err(NoData::Timeout)), Some(DeviceEvent::Lost { .. })));
        assert_eq!(news.take(Err(NoData::Timeout)), None);
        assert!(matches!(news.take(Err(NoData::OutOfRange(1))), Some(DeviceEvent::Fault { .. })));
        assert_eq!(news.take(Err(NoData::OutOfRange(2))), None);
        assert_eq!(news.take(Ok(())), Some(DeviceEvent::Attached));
    }
}
