//! The cold: between which temperatures a place has to stay, and from when on people must be told that it does not.

use serde::{Deserialize, Serialize};

use crate::units::MilliCelsius;

/// A place that is too warm is told after so long: its door may be open while a delivery is put in. The consecutive limit
/// of the usual excursion profile for goods that are stored at 2 to 8 °C.
pub const TOO_WARM_TOLD_AFTER_MS: u64 = 30 * 60 * 1_000;

/// The same for one that is too cold. It is shorter: what freezes is spoilt at once.
pub const TOO_COLD_TOLD_AFTER_MS: u64 = 20 * 60 * 1_000;

/// A place without a reading is told after so long: readings are taken every five minutes at the least.
pub const NO_READING_TOLD_AFTER_MS: u64 = 5 * 60 * 1_000;

/// Between which temperatures a cold place has to stay; both are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The coldest.
    low: MilliCelsius,
    /// The warmest.
    high: MilliCelsius,
}

/// Why limits are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{low} to {high} is no range of a cold place: write the lower one first, both between -100 and 50 °C"
)]
pub struct BadLimits {
    low: MilliCelsius,
    high: MilliCelsius,
}

/// How a temperature stands to the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Within them.
    Within,
    /// Above the warmest.
    TooWarm,
    /// Below the coldest.
    TooCold,
}

impl Limits {
    /// Medicines and vaccines that are kept in a fridge: 2 to 8 °C.
    pub const FRIDGE: Self = Self { low: MilliCelsius(2_000), high: MilliCelsius(8_000) };

    /// From the coldest to the warmest that is allowed.
    ///
    /// # Errors
    /// The wrong way round, or where no pharmacy keeps anything.
    pub fn new(low: MilliCelsius, high: MilliCelsius) -> Result<Self, BadLimits> {
        if low >= high || low < MilliCelsius(-100_000) || high > MilliCelsius(50_000) {
            return Err(BadLimits { low, high });
        }
        Ok(Self { low, high })
    }

    /// The coldest that is allowed.
    pub fn low(self) -> MilliCelsius {
        self.low
    }

    /// The warmest that is allowed.
    pub fn high(self) -> MilliCelsius {
        self.high
    }

    /// How a temperature stands to them.
    pub fn judge(self, temperature: MilliCelsius) -> Standing {
        match temperature {
            warm if warm > self.high => Standing::TooWarm,
            cold if cold < self.low => Standing::TooCold,
            _ => Standing::Within,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fridge_keeps_two_to_eight_degrees_both_allowed() {
        for (milli, expected) in [
            (1_999, Standing::TooCold),
            (2_000, Standing::Within),
            (8_000, Standing::Within),
            (8_001, Standing::TooWarm),
        ] {
            assert_eq!(Limits::FRIDGE.judge(MilliCelsius(milli)), expected, "{milli}");
        }
    }

    #[test]
    fn limits_the_wrong_way_round_are_refused_with_what_to_write() {
        let bad = Limits::new(MilliCelsius(8_000), MilliCelsius(2_000)).unwrap_err();
        assert!(bad.to_string().contains("write the lower one first"), "{bad}");
        assert!(Limits::new(MilliCelsius(-25_000), MilliCelsius(-15_000)).is_ok());
    }
}
