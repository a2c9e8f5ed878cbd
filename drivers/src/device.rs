//! What all devices have in common: a name, and coming and going.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a branch calls one of its devices: "scanner-1". Unique within the box, used in facts, logs and on pages.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DeviceName(String);

impl DeviceName {
    /// Takes the name as it stands in the configuration.
    pub fn new(name: impl Into<String>) -> DeviceName {
        DeviceName(name.into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A device came, went, or is in trouble. The agent writes these as `device.attached`, `device.lost` and `device.fault`.
///
/// A driver tells a change once, however often it tries in between.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeviceEvent {
    /// It is there and open.
    Attached,
    /// It was there and has gone; the driver goes on trying by itself.
    Lost {
        /// What was seen, in a sentence.
        reason: String,
    },
    /// It cannot be opened, or it is there and does not work.
    Fault {
        /// What was seen and what to check, in a sentence.
        reason: String,
    },
}
