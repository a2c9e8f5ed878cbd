//! Why readings are missing between two others: the box was off, it did not ask, the line or the mains were away, or the
//! sensor was silent. From what was recorded, in the order of the record. Pure.
//!
//! The box cannot write down that it is off. It is seen afterwards: each record carries the boot id (invariant I7), and
//! two records that follow each other with different ones have a start of the machine between them.

use std::time::Duration;

use pestle_domain::{fact::Stamp, units::UnixMillis};

use super::input::InputState;

/// One record about a sensor, or about the mains where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// When, by the box.
    pub at: Stamp,
    /// What was recorded.
    pub what: Recorded,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// A temperature.
    Reading,
    /// None, with the reason's code, see [`NoData::code`](super::NoData::code).
    Missing(Box<str>),
    /// How the mains' contact stands since then.
    Power(InputState),
}

/// A time without readings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hole {
    /// The last record before it, or the first one that says that there is no reading.
    pub from: UnixMillis,
    /// The first record behind it.
    pub to: UnixMillis,
    /// How long it was: by the machine's own clock, which no person sets, or by the wall clock where it was off.
    pub lasted: Duration,
    /// Why.
    pub cause: Cause,
}

/// Why there are no readings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The machine was started anew: it was off, or was starting.
    BoxOff,
    /// The machine ran and recorded nothing: the agent was stopped, or sheds readings since its disk is full.
    NotAsked,
    /// The line to the sensors was away.
    BusAway,
    /// The mains were away where the sensor is.
    PowerAway,
    /// The sensor told nothing, or no temperature; by the reason's code.
    SensorSilent(Box<str>),
}

impl Cause {
    /// The cause as it stands in facts; kept for ever.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Cause::BoxOff => "box_off",
            Cause::NotAsked => "not_asked",
            Cause::BusAway => "bus_away",
            Cause::PowerAway => "power_away",
            Cause::SensorSilent(_) => "sensor_silent",
        }
    }

    fn of(code: &str, power_away: bool) -> Cause {
        match code {
            "power_away" => Cause::PowerAway,
            "timeout" | "gone" | "crc" | "garbled" if power_away => Cause::PowerAway,
            "gone" => Cause::BusAway,
            _ => Cause::SensorSilent(code.into()),
        }
    }
}

/// The holes in what was recorded about one sensor, oldest first. Two records that are further apart than `longest` (a bit
/// more than its interval) are a hole even if neither of them says so.
#[must_use]
pub fn holes(records: &[Record], longest: Duration) -> Vec<Hole> {
    let mut watch = GapWatch::new(longest);
    let mut holes: Vec<Hole> = records.iter().flat_map(|record| watch.take(record)).collect();
    holes.extend(watch.open);
    holes
}

/// Follows what is recorded about one sensor, record by record: the same as [`holes`], for whoever wants each hole once it is
/// over.
#[derive(Debug, Clone)]
pub struct GapWatch {
    longest: Duration,
    before: Option<Stamp>,
    missing: Option<Box<str>>,
    power_away: bool,
    open: Option<Hole>,
}

impl GapWatch {
    /// Two records that are further apart than `longest` (a bit more than the sensor's interval) are a hole.
    #[must_use]
    pub fn new(longest: Duration) -> GapWatch {
        GapWatch { longest, before: None, missing: None, power_away: false, open: None }
    }

    /// The hole that is not over yet, as far as it has come.
    #[must_use]
    pub fn open(&self) -> Option<&Hole> {
        self.open.as_ref()
    }

    /// Takes in the next record; the holes that are over by it, oldest first. A reading ends each.
    pub fn take(&mut self, record: &Record) -> Vec<Hole> {
        let mut over = Vec::new();
        if let Some(before) = self.before.take() {
            match self.cause(&before, &record.at) {
                None => over.extend(self.open.take()),
                Some(cause) => over.extend(self.widen(cause, &before, &record.at)),
            }
        }
        match &record.what {
            Recorded::Reading => {
                self.missing = None;
                over.extend(self.open.take());
            }
            Recorded::Missing(code) => self.missing = Some(code.clone()),
            Recorded::Power(state) => self.power_away = *state == InputState::Raised,
        }
        self.before = Some(record.at.clone());
        over
    }

    /// Why there was no reading between two records that follow each other; `None` where one was not to be expected.
    fn cause(&mut self, before: &Stamp, after: &Stamp) -> Option<Cause> {
        let is_long = between(before, after) > self.longest;
        if before.boot == after.boot {
            return match &self.missing {
                _ if is_long => Some(Cause::NotAsked),
                Some(code) => Some(Cause::of(code, self.power_away)),
                None => None,
            };
        }
        // How the mains stood before says nothing of how they stand after a start.
        self.power_away = false;
        (is_long || self.missing.is_some()).then_some(Cause::BoxOff)
    }

    /// Makes the open hole reach to `after`; the one that was open, where it had another cause.
    fn widen(&mut self, cause: Cause, before: &Stamp, after: &Stamp) -> Option<Hole> {
        let lasted = between(before, after);
        if let Some(open) = self.open.as_mut().filter(|open| open.cause == cause) {
            open.to = after.wall_ms;
            open.lasted = open.lasted.saturating_add(lasted);
            return None;
        }
        self.open.replace(Hole { from: before.wall_ms, to: after.wall_ms, lasted, cause })
    }
}

fn between(before: &Stamp, after: &Stamp) -> Duration {
    let by_wall = after.wall_ms.0.saturating_sub(before.wall_ms.0);
    let milliseconds = if before.boot == after.boot {
        after.mono_ms.saturating_sub(before.mono_ms)
    } else {
        u64::try_from(by_wall).unwrap_or(0)
    };
    Duration::from_millis(milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pestle_domain::fact::ClockQuality;

    const MINUTE: i64 = 60_000;

    fn at(boot: &str, minute: i64, what: Recorded) -> Record {
        let mono_ms = u64::try_from(minute * MINUTE).unwrap();
        let at = Stamp {
            boot: boot.into(),
            mono_ms,
            wall_ms: UnixMillis(minute * MINUTE),
            clock: ClockQuality::Synchronised,
            business_date: "2026-11-22".parse().unwrap(),
        };
        Record { at, what }
    }

    fn missing(code: &str) -> Recorded {
        Recorded::Missing(code.into())
    }

    fn check(records: &[Record], expected: &[(i64, i64, Cause)]) {
        let found: Vec<(i64, i64, Cause)> = holes(records, Duration::from_secs(90))
            .into_iter()
            .map(|hole| (hole.from.0 / MINUTE, hole.to.0 / MINUTE, hole.cause))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn readings_in_time_have_no_hole() {
        check(&[at("a", 1, Recorded::Reading), at("a", 2, Recorded::Reading)], &[]);
        check(&[at("a", 1, Recorded::Reading), at("b", 2, Recorded::Reading)], &[]);
    }

    #[test]
    fn a_box_that_was_off_is_told_from_one_that_did_not_ask() {
        check(
            &[at("a", 1, Recorded::Reading), at("b", 30, Recorded::Reading), at("b", 31, Recorded::Reading)],
            &[(1, 30, Cause::BoxOff)],
        );
        check(&[at("a", 1, Recorded::Reading), at("a", 30, Recorded::Reading)], &[(1, 30, Cause::NotAsked)]);
    }

    #[test]
    fn a_line_that_is_away_a_silent_sensor_and_a_broken_probe_each_have_their_name() {
        check(
            &[
                at("a", 1, Recorded::Reading),
                at("a", 2, missing("timeout")),
                at("a", 3, missing("timeout")),
                at("a", 4, missing("gone")),
                at("a", 5, missing("no_probe")),
                at("a", 6, Recorded::Reading),
            ],
            &[
                (2, 4, Cause::SensorSilent("timeout".into())),
                (4, 5, Cause::BusAway),
                (5, 6, Cause::SensorSilent("no_probe".into())),
            ],
        );
    }

    #[test]
    fn silence_while_the_mains_are_away_is_the_mains_until_they_are_back() {
        check(
            &[
                at("a", 1, Recorded::Reading),
                at("a", 2, Recorded::Power(InputState::Raised)),
                at("a", 3, missing("timeout")),
                at("a", 4, missing("power_away")),
                at("a", 5, Recorded::Power(InputState::AtRest)),
                at("a", 6, missing("timeout")),
                at("a", 7, Recorded::Reading),
            ],
            &[(3, 6, Cause::PowerAway), (6, 7, Cause::SensorSilent("timeout".into()))],
        );
    }

    #[test]
    fn a_power_cut_that_takes_the_box_along_is_the_mains_and_then_the_box() {
        check(
            &[
                at("a", 1, Recorded::Reading),
                at("a", 2, Recorded::Power(InputState::Raised)),
                at("a", 3, missing("timeout")),
                at("b", 60, missing("timeout")),
                at("b", 61, Recorded::Reading),
            ],
            &[(3, 60, Cause::BoxOff), (60, 61, Cause::SensorSilent("timeout".into()))],
        );
    }

    #[test]
    fn each_hole_is_told_once_when_a_reading_or_another_cause_ends_it() {
        let mut watch = GapWatch::new(Duration::from_secs(90));
        let mut told = |record: Record| -> Vec<Cause> {
            watch.take(&record).into_iter().map(|hole| hole.cause).collect()
        };
        let silent = || Cause::SensorSilent("timeout".into());
        assert_eq!(told(at("a", 1, Recorded::Reading)), []);
        assert_eq!(told(at("a", 2, missing("timeout"))), []);
        assert_eq!(told(at("a", 3, missing("timeout"))), []);
        assert_eq!(told(at("b", 60, missing("timeout"))), [silent()], "then the box was off");
        assert_eq!(told(at("b", 61, Recorded::Reading)), [Cause::BoxOff, silent()]);
        assert_eq!(told(at("b", 62, Recorded::Reading)), []);
        assert_eq!(told(at("c", 90, Recorded::Reading)), [Cause::BoxOff]);
        assert!(watch.open().is_none());
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_hole_of_negative_length() {
        let mut records = [at("a", 30, Recorded::Reading), at("b", 1, missing("timeout"))];
        records[1].at.wall_ms = UnixMillis(-5);
        assert_eq!(holes(&records, Duration::from_secs(90)), []);
        let set_back = [at("a", 30, missing("timeout")), at("b", 1, Recorded::Reading)];
        assert_eq!(holes(&set_back, Duration::from_secs(90))[0].lasted, Duration::ZERO);
    }
}
