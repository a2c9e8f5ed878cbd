//! Temperature sensors: a reading, or the reason why there is none. Never a made-up number.
//!
//! [`profile`] says which register holds what and what a word means; [`answer`] tells what was wrong with an answer that
//! could not be read; [`bus`] owns an RS-485 line with several slaves on it.

pub mod answer;
pub mod bus;
pub mod profile;

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
}

/// All that a sensor tells at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The temperature.
    pub temperature: Reading,
    /// Relative humidity in thousandths; `None` when this kind of sensor has none.
    pub humidity_permille: Option<Result<i32, NoData>>,
}

/// A sensor came, went, or reads badly. Told when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SensorEvent {
    /// Which sensor.
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
