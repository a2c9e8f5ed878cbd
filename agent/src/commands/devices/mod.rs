//! `pestle-agent devices`: what is attached and what it is bound to, what comes and goes, and whether a bound device works.
//!
//! [`arguments`] says what can be asked for. [`list`] and [`watch`] without a name open nothing, so they may run beside the agent. What opens a device takes
//! the box's lock first: the agent keeps its devices, and who wants to see one is told where.

pub mod arguments;
pub mod learn;
pub mod list;
pub mod search;
pub mod set_up;
pub mod test;
pub mod watch;

use std::{io, path::Path};

use pestle_drivers::{
    find::{device::DeviceClass, sysfs::ScanError},
    line::{LineAddress, place::DevicePlace},
    scanner::start::ScannerAddress,
};

use crate::{
    config::Config,
    devices::kept::DeviceFiles,
    lock::{DataLock, LockError},
};

/// Why a command about devices ended without what was asked for.
#[derive(Debug, thiserror::Error)]
pub enum DeviceTrouble {
    /// The configuration has no such name.
    #[error("no device is named \"{name}\" in the configuration; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Neither a name of the configuration nor a line.
    #[error("{0}")]
    NoLine(String),
    /// A maker of whom nothing is known, or of whom no such code is.
    #[error("{0}")]
    NoCode(String),
    /// The agent has the devices.
    #[error(
        "the agent is running and has its devices: see {name} on its page ({page}), or stop it first (`systemctl stop pestle-agent`)"
    )]
    AgentRuns {
        /// What was asked for.
        name: String,
        /// Where its pages are.
        page: String,
    },
    /// The box's folder cannot be locked.
    #[error(transparent)]
    Lock(LockError),
    /// It cannot be opened, or does not answer.
    #[error("{name} is not there: {reason}")]
    Away {
        /// Which.
        name: String,
        /// What was seen, and what to check.
        reason: String,
    },
    /// It is there and does not do what it should.
    #[error("{name} is there and does not work: {reason}")]
    Broken {
        /// Which.
        name: String,
        /// What was seen, and what to check.
        reason: String,
    },
    /// It is not known what is attached.
    #[error("it is not known what is attached")]
    Scan(#[from] ScanError),
    /// Nobody reads any more.
    #[error("cannot write")]
    Write(#[from] io::Error),
}

impl DeviceTrouble {
    /// As sysexits.h numbers them: EX_USAGE, EX_UNAVAILABLE, EX_TEMPFAIL; 1 for what is there and does not work.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            DeviceTrouble::Unknown { .. } | DeviceTrouble::NoLine(_) | DeviceTrouble::NoCode(_) => 64,
            DeviceTrouble::Away { .. } => 69,
            DeviceTrouble::AgentRuns { .. } => 75,
            DeviceTrouble::Lock(_)
            | DeviceTrouble::Broken { .. }
            | DeviceTrouble::Scan(_)
            | DeviceTrouble::Write(_) => 1,
        }
    }
}

/// A device of the configuration.
#[derive(Debug, Clone)]
pub struct Configured {
    /// What the branch calls it.
    pub name: String,
    /// scanner, printer, sensor or input.
    pub class: &'static str,
    /// Where it is, as it was written.
    pub address: String,
    /// Where its device file is, and as what it is opened; `None` on the network.
    pub place: Option<(DevicePlace, DeviceClass)>,
    /// Its line, if its bytes can be watched; several sensors may share one.
    pub line: Option<LineAddress>,
}

/// All devices of the configuration.
#[must_use]
pub fn configured(config: &Config) -> Vec<Configured> {
    let one = |name: String, class, address: String, place: Option<(&DevicePlace, DeviceClass)>, line| {
        let place = place.map(|(place, class)| (place.clone(), class));
        Configured { name, class, address, place, line }
    };
    let scanners = config.scanners.iter().map(|scanner| {
        let address = &scanner.settings.address;
        let line = match address {
            ScannerAddress::Line(line) => Some(line.clone()),
            ScannerAddress::Keyboard(_) => None,
        };
        one(scanner.settings.name.to_string(), "scanner", address.to_string(), address.place(), line)
    });
    let printers = config.printers.iter().map(|printer| {
        let (settings, line) = (&printer.settings, printer.settings.line());
        let place = line.and_then(LineAddress::place);
        one(settings.name().to_string(), "printer", settings.to_string(), place, line.cloned())
    });
    let sensors = config.buses.iter().flat_map(|bus| {
        let line = &bus.settings.line;
        let sensors = bus.settings.sensors.iter().map(|sensor| (&sensor.name, "sensor"));
        let all = sensors.chain(bus.settings.inputs.iter().map(|input| (&input.name, "input")));
        all.map(move |(name, class)| {
            one(name.to_string(), class, line.to_string(), line.place(), Some(line.clone()))
        })
    });
    scanners.chain(printers).chain(sensors).collect()
}

/// The device of this name, and the right to open it for as long as the lock is held.
fn take(config: &Config, name: &str) -> Result<(Configured, Option<DataLock>), DeviceTrouble> {
    let all = configured(config);
    let Some(device) = all.iter().find(|device| device.name == name) else {
        let known: Vec<_> = all.into_iter().map(|device| device.name).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(DeviceTrouble::Unknown { name: name.to_owned(), known });
    };
    Ok((device.clone(), lock(config, name)?))
}

/// The right to open the box's devices, among them `name`, for as long as it is held.
fn lock(config: &Config, name: &str) -> Result<Option<DataLock>, DeviceTrouble> {
    // A box that was never started has no folder, and this command should not be who makes it.
    if !config.data_dir.exists() {
        return Ok(None);
    }
    match DataLock::take(&config.data_dir) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::InUse { .. }) => {
            Err(DeviceTrouble::AgentRuns { name: name.to_owned(), page: page(&config.data_dir) })
        }
        Err(error) => Err(DeviceTrouble::Lock(error)),
    }
}

/// A technician decides: what stands where the configuration says is the device of this name from the next start on.
///
/// # Errors
/// The agent runs, no device has the name, or the disk refuses.
pub fn rebind(config: &Config, name: &str) -> Result<String, DeviceTrouble> {
    let (device, _lock) = take(config, name)?;
    let broken = |reason: String| DeviceTrouble::Broken { name: name.to_owned(), reason };
    let known = DeviceFiles::of(&config.data_dir).unbind(name);
    let forgotten =
        match known.map_err(|error| broken(format!("what was known could not be forgotten: {error}")))? {
            true => "what was known of the one before is forgotten",
            false => "nothing was known of one before",
        };
    let learn = if device.class == "scanner" { " Set it up: `pestle-agent devices learn`." } else { "" };
    Ok(format!("{name} is whatever stands at {} at the next start; {forgotten}.{learn}", device.address))
}

/// Where the running agent's pages are, as it says itself.
fn page(data_dir: &Path) -> String {
    let told = std::fs::read(data_dir.join("run/addresses.json")).unwrap_or_default();
    let told: serde_json::Value = serde_json::from_slice(&told).unwrap_or_default();
    told["web"].as_str().map_or_else(|| "its address is in its log".to_owned(), str::to_owned)
}
