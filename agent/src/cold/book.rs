//! What the facts about the cold add up to. Derived: the counter's books hold it, and rebuild it from the journal.

use std::collections::{BTreeMap, BTreeSet};

use pestle_domain::fact::{FactBody, ProbeCalibrated};
use serde::{Deserialize, Serialize};

/// See the module. It has an entry for each name that was ever configured, which are few.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ColdBook {
    /// By probe, the certificate that was told last.
    calibrated: BTreeMap<Box<str>, ProbeCalibrated>,
    /// Place and trouble of what was told to have begun, and not to have ended.
    standing: BTreeSet<(Box<str>, Box<str>)>,
}

impl ColdBook {
    /// Takes in a fact; those about other things change nothing.
    pub fn apply(&mut self, body: &FactBody) {
        match body {
            FactBody::ProbeCalibrated(calibrated) => {
                self.calibrated.insert(calibrated.sensor.clone(), calibrated.clone());
            }
            FactBody::PlaceChanged(changed) => {
                let key = (changed.place.clone(), changed.trouble.clone());
                if &*changed.state == "began" {
                    self.standing.insert(key);
                } else {
                    self.standing.remove(&key);
                }
            }
            _ => {}
        }
    }

    /// Whether this very certificate was told.
    pub fn knows(&self, calibrated: &ProbeCalibrated) -> bool {
        self.calibrated.get(&calibrated.sensor) == Some(calibrated)
    }

    /// Whether this trouble of a place was told to have begun, and not to have ended.
    pub fn stands(&self, place: &str, trouble: &str) -> bool {
        self.standing.contains(&(place.into(), trouble.into()))
    }

    /// All such troubles: place and trouble.
    pub fn standing(&self) -> impl Iterator<Item = (&str, &str)> {
        self.standing.iter().map(|(place, trouble)| (&**place, &**trouble))
    }
}
