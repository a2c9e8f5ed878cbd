//! Troubles of a cold place that are told: recorded, said at the counter, sounded. A trouble is told once it has stood for a
//! while, and is over once it has been away for a while: a door that is open while a delivery is put in is no news, and a
//! temperature at the edge of its limits is one trouble and not one a minute. The page shows each at once.

use pestle_domain::cold_chain::{NO_READING_TOLD_AFTER_MS, TOO_COLD_TOLD_AFTER_MS, TOO_WARM_TOLD_AFTER_MS};

/// A trouble that was told is over when it has been away for so long.
const OVER_AFTER_MS: u64 = 5 * 60 * 1_000;

/// What can be wrong with a cold place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// Above its limits.
    TooWarm,
    /// Below its limits.
    TooCold,
    /// No probe tells its temperature.
    NoReading,
    /// Its probes tell different temperatures.
    Disagreement,
    /// The first probe tells nothing, the second one counts.
    FellBack,
    /// The second probe tells nothing.
    SecondAway,
}

impl Alarm {
    /// All, the worst first.
    pub const ALL: [Self; 6] =
        [Self::TooWarm, Self::TooCold, Self::NoReading, Self::Disagreement, Self::FellBack, Self::SecondAway];

    /// As it stands in facts; kept for ever.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooWarm => "too_warm",
            Self::TooCold => "too_cold",
            Self::NoReading => "no_reading",
            Self::Disagreement => "disagreement",
            Self::FellBack => "fell_back",
            Self::SecondAway => "second_away",
        }
    }

    /// Whether what is kept there may be spoilt: then whoever serves is told, and printers sound.
    pub fn is_grave(self) -> bool {
        matches!(self, Self::TooWarm | Self::TooCold | Self::NoReading)
    }

    fn told_after_ms(self) -> u64 {
        match self {
            Self::TooWarm => TOO_WARM_TOLD_AFTER_MS,
            Self::TooCold => TOO_COLD_TOLD_AFTER_MS,
            Self::NoReading | Self::Disagreement | Self::FellBack | Self::SecondAway => {
                NO_READING_TOLD_AFTER_MS
            }
        }
    }
}

/// How long a trouble has stood, or has been away.
///
/// ```text
/// AWAY ──(seen)──► STANDS ──(not seen)──► AWAY     each since a moment of the monotonic clock
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lasting {
    stands: bool,
    since_ms: u64,
}

/// What is to be told of a trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It has begun.
    Began,
    /// It is over.
    Ended,
}

impl Told {
    /// As it stands in facts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Began => "began",
            Self::Ended => "ended",
        }
    }
}

impl Lasting {
    /// As it is first seen.
    pub fn new(now_ms: u64, stands: bool) -> Self {
        Self { stands, since_ms: now_ms }
    }

    /// Takes in how it is now.
    pub fn take(&mut self, now_ms: u64, stands: bool) {
        if self.stands != stands {
            *self = Self::new(now_ms, stands);
        }
    }

    /// What is to be told of it now, where `known` is whether it was told to have begun and not to have ended.
    pub fn to_tell(self, now_ms: u64, alarm: Alarm, known: bool) -> Option<Told> {
        let lasted = now_ms.saturating_sub(self.since_ms);
        match (self.stands, known) {
            (true, false) => (lasted >= alarm.told_after_ms()).then_some(Told::Began),
            (false, true) => (lasted >= OVER_AFTER_MS).then_some(Told::Ended),
            _ => None,
        }
    }
}
