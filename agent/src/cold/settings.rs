//! Cold places and probes as configured.

use std::time::Duration;

use pestle_domain::cold_chain::Limits;
use pestle_drivers::{
    device::DeviceName,
    sensor::{calibration::Calibration, place::ColdPlace},
};

/// All of a branch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColdSettings {
    /// Fridges and rooms.
    pub places: Vec<Place>,
    /// All probes, in a place or not.
    pub probes: Vec<Probe>,
}

/// A cold place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its probes and contacts. No certificates: those are told of each probe, see [`Probe`].
    pub place: ColdPlace,
    /// Between which temperatures it has to stay.
    pub limits: Limits,
}

/// A probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// As configured.
    pub sensor: DeviceName,
    /// How often it is asked.
    pub interval: Duration,
    /// Its certificate. The driver applies the correction, and nobody else does.
    pub calibration: Option<Calibration>,
}

impl Place {
    /// What the branch calls it.
    pub fn name(&self) -> &str {
        self.place.name.as_str()
    }

    /// Its probes, the first first.
    pub fn sensors(&self) -> impl Iterator<Item = &str> {
        let probes = [Some(&self.place.primary), self.place.second.as_ref()];
        probes.into_iter().flatten().map(|probe| probe.sensor.as_str())
    }
}

impl Probe {
    /// Two readings that are further apart than this are a hole: a turn that was late is none, a turn that was left out is.
    pub fn longest(&self) -> Duration {
        self.interval + (self.interval / 2).max(Duration::from_secs(2))
    }
}
