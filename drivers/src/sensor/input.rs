//! Contacts: doors, the mains, a device's own alarms. Each is at rest, raised, or not known, with the reason; a contact that
//! bounces is one change. Pure, but for the trait that drivers implement.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::NoData;
use crate::device::DeviceName;

/// A state, or why there is none.
pub type InputReading = Result<InputState, NoData>;

/// What a contact tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    /// Whether a door is open.
    Door,
    /// Whether the mains are there.
    Power,
    /// An alarm of the device itself.
    Alarm,
}

/// How a contact stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputState {
    /// Closed, there, quiet.
    AtRest,
    /// Open, away, ringing.
    Raised,
}

impl InputKind {
    /// The kind as it stands in facts and configurations.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            InputKind::Door => "door",
            InputKind::Power => "power",
            InputKind::Alarm => "alarm",
        }
    }

    /// The state in the words of this kind, as it stands in facts and on pages.
    #[must_use]
    pub fn word(self, state: InputState) -> &'static str {
        match (self, state) {
            (InputKind::Door, InputState::AtRest) => "closed",
            (InputKind::Door, InputState::Raised) => "open",
            (InputKind::Power, InputState::AtRest) => "here",
            (InputKind::Power, InputState::Raised) => "away",
            (InputKind::Alarm, InputState::AtRest) => "quiet",
            (InputKind::Alarm, InputState::Raised) => "ringing",
        }
    }
}

/// A contact of any kind.
#[async_trait]
pub trait Input: Send + Sync + std::fmt::Debug {
    /// What the branch calls it.
    fn name(&self) -> &DeviceName;

    /// What it tells.
    fn kind(&self) -> InputKind;

    /// Reads it now. Bounded in time: silence is a reason, not a wait.
    async fn read(&self) -> InputReading;
}

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputChange {
    /// It stands so now, and has for the time that it takes to be believed.
    Now(InputState),
    /// It cannot be read any more. How it stood last is not how it stands.
    Unknown(NoData),
}

/// Believes a contact when it has stood alike for a while. The caller owns the clock and feeds each reading in.
///
/// ```text
/// unknown ──(stood alike for `settle`)──► known ──(cannot be read)──► unknown
///                                           └──(stood otherwise for `settle`)──► known, otherwise
/// ```
#[derive(Debug, Clone)]
pub struct Debounce {
    settle: Duration,
    told: Option<InputReading>,
    candidate: Option<(InputState, Instant)>,
}

impl Debounce {
    /// A contact must stand alike for `settle`; zero believes each reading.
    #[must_use]
    pub fn new(settle: Duration) -> Debounce {
        Debounce { settle, told: None, candidate: None }
    }

    /// How it stands, as far as that was told.
    #[must_use]
    pub fn known(&self) -> Option<InputState> {
        self.told.and_then(Result::ok)
    }

    /// Takes in a reading of `now`.
    pub fn take(&mut self, now: Instant, reading: InputReading) -> Option<InputChange> {
        let state = match reading {
            Ok(state) => state,
            Err(why) => {
                self.candidate = None;
                // A reason that takes the place of another is still no state.
                let news = !matches!(self.told, Some(Err(_)));
                self.told = Some(Err(why));
                return news.then_some(InputChange::Unknown(why));
            }
        };
        if self.told == Some(Ok(state)) {
            self.candidate = None;
            return None;
        }
        let since = match self.candidate {
            Some((candidate, since)) if candidate == state => since,
            _ => now,
        };
        if now.saturating_duration_since(since) < self.settle {
            self.candidate = Some((state, since));
            return None;
        }
        self.candidate = None;
        self.told = Some(Ok(state));
        Some(InputChange::Now(state))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use InputState::{AtRest, Raised};

    struct Contact {
        start: Instant,
        debounce: Debounce,
    }

    impl Contact {
        fn new(settle_ms: u64) -> Contact {
            Contact { start: Instant::now(), debounce: Debounce::new(Duration::from_millis(settle_ms)) }
        }

        fn at(&mut self, ms: u64, reading: InputReading) -> Option<InputChange> {
            self.debounce.take(self.start + Duration::from_millis(ms), reading)
        }
    }

    #[test]
    fn a_contact_that_bounces_is_one_change() {
        let mut door = Contact::new(1_000);
        assert_eq!(door.at(0, Ok(AtRest)), None);
        assert_eq!(door.at(1_000, Ok(AtRest)), Some(InputChange::Now(AtRest)));
        let bounces = [(2_000, Raised), (2_100, AtRest), (2_200, Raised), (2_900, Raised)];
        assert!(bounces.iter().all(|(ms, state)| door.at(*ms, Ok(*state)).is_none()));
        assert_eq!(door.at(3_200, Ok(Raised)), Some(InputChange::Now(Raised)));
        assert_eq!(door.at(9_000, Ok(Raised)), None, "told once");
    }

    #[test]
    fn a_contact_that_cannot_be_read_is_unknown_with_the_reason_and_comes_back_by_itself() {
        let mut power = Contact::new(0);
        assert_eq!(power.at(0, Ok(AtRest)), Some(InputChange::Now(AtRest)));
        assert_eq!(power.at(1, Err(NoData::Timeout)), Some(InputChange::Unknown(NoData::Timeout)));
        assert_eq!(power.debounce.known(), None);
        assert_eq!(power.at(2, Err(NoData::Gone)), None, "still unknown");
        assert_eq!(power.at(3, Ok(AtRest)), Some(InputChange::Now(AtRest)), "told again, although as before");
    }

    #[test]
    fn silence_between_two_readings_does_not_count_as_standing_alike() {
        let mut door = Contact::new(1_000);
        assert_eq!(door.at(0, Ok(Raised)), None);
        assert!(door.at(500, Err(NoData::Timeout)).is_some());
        assert_eq!(door.at(1_500, Ok(Raised)), None, "counted anew");
        assert_eq!(door.at(2_500, Ok(Raised)), Some(InputChange::Now(Raised)));
    }
}
