//! Temperatures and contacts: a reading, or the reason why there is none. Never a made-up number.
//!
//! From the wire up: [`answer`] tells what was wrong with an answer that could not be read; [`timing`] and [`health`] are
//! the line's manners; [`wire`] asks one question, and
//! [`bus`] owns a line with several devices on it, by RS-485 or a network. [`register`] and [`profile`]
//! say which register holds what, [`input`] what a contact means. [`probe`] tells which profile fits a device, [`scan`]
//! looks for devices. [`place`] makes one cold place of two probes, a door and the mains, with their [`calibration`];
//! [`gap`] says why readings are missing.

pub mod answer;
pub mod bus;
pub mod calibration;
pub mod gap;
pub mod health;
pub mod input;
pub mod place;
pub mod probe;
pub mod profile;
pub mod register;
pub mod scan;
pub mod settings;
pub mod timing;
pub mod wire;

use async_trait::async_trait;
use pestle_domain::units::MilliCelsius;
use serde::{Deserialize, Serialize};

use crate::device::{DeviceEvent, DeviceName};

/// A temperature, or why there is none.
pub type Reading = Result<MilliCelsius, NoData>;

/// Why there is no reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum NoData {
    /// Nothing came back in time. A slave that was silent is left alone for a while, and this is its answer meanwhile.
    #[error("the sensor does not answer: check its power, the two bus wires, its address and its speed")]
    Timeout,
    /// An answer came, and its check sum is wrong.
    #[error(
        "the sensor's answer was damaged on the way: check the bus wires, their shield and the terminator"
    )]
    Crc,
    /// Something came that is no answer to what was asked.
    #[error("something on the bus talks nonsense: look for two devices with one address, or another speed")]
    Garbled,
    /// The slave refused, with its Modbus exception code.
    #[error("the sensor refused the question (Modbus exception {0}): check that its profile fits the device")]
    Exception(u8),
    /// The device says that its probe is missing or broken.
    #[error("the probe is missing or broken: check the probe's cable")]
    NoProbe,
    /// A number that this sensor cannot measure.
    #[error("the sensor tells {0} thousandths, which it cannot measure: check its profile and its probe")]
    OutOfRange(i32),
    /// The serial line is not there.
    #[error("the bus adapter is away: check that it is plugged in")]
    Gone,
    /// The device tells Fahrenheit, which would be read as another temperature.
    #[error("the device is set to Fahrenheit: set it to degrees Celsius")]
    NotCelsius,
    /// The device's setting of its decimals has a value that the profile does not know.
    #[error(
        "the device's setting of its decimals is {0}, which its profile does not know: set it to one decimal"
    )]
    UnknownScale(u16),
    /// The mains are away where the sensor is, by their own contact.
    #[error("the power is away where the sensor is: check the mains and the fuse of the cold place")]
    PowerAway,
}

impl NoData {
    /// The reason as it stands in facts; kept for ever.
    #[must_use]
    pub fn code(self) -> String {
        match self {
            NoData::Timeout => "timeout".into(),
            NoData::Crc => "crc".into(),
            NoData::Garbled => "garbled".into(),
            NoData::Exception(code) => format!("exception_{code}"),
            NoData::NoProbe => "no_probe".into(),
            NoData::OutOfRange(_) => "out_of_range".into(),
            NoData::Gone => "gone".into(),
            NoData::NotCelsius => "not_celsius".into(),
            NoData::UnknownScale(_) => "unknown_scale".into(),
            NoData::PowerAway => "power_away".into(),
        }
    }

    /// Whether finding it out took the line's time: silence does, a refusal and a line that is away do not.
    #[must_use]
    pub fn takes_time(self) -> bool {
        matches!(self, NoData::Timeout | NoData::Crc | NoData::Garbled)
    }
}

/// All that a sensor tells at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The temperature, corrected by `correction`.
    pub temperature: Reading,
    /// What was added to what the device told, by the probe's certificate; zero without one.
    pub correction: MilliCelsius,
    /// Relative humidity in thousandths; `None` when this kind of sensor has none.
    pub humidity_permille: Option<Result<i32, NoData>>,
}

/// A sensor or a contact came, went, or reads badly. Told when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SensorEvent {
    /// Which one.
    pub source: DeviceName,
    /// What happened.
    pub event: DeviceEvent,
}

/// A sensor of any kind.
#[async_trait]
pub trait Sensor: Send + Sync + std::fmt::Debug {
    /// What the branch calls it.
    fn name(&self) -> &DeviceName;

    /// Reads it now. Bounded in time: a silent sensor is a reason, not a wait.
    async fn sample(&self) -> Sample;

    /// Reads its temperature now.
    async fn read(&self) -> Reading {
        self.sample().await.temperature
    }
}
