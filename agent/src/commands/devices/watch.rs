//! `pestle-agent devices watch`: what comes and goes; with a name, what that device says.

use std::{
    io::Write as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pestle_drivers::{
    device::DeviceEvent,
    find::{device::FoundDevice, sysfs, uevent::Uevents},
    line::LineAddress,
    scanner::{self, ScannerEvent},
    sensor::{
        Sensor as _, bus,
        input::{Input as _, InputKind, InputReading},
    },
};
use tokio::{io::AsyncReadExt as _, time};

use super::{DeviceTrouble, configured, take};
use crate::{
    config::Config,
    devices::{
        kept::DeviceFiles,
        trial::{readable, reading_words},
    },
};

/// How often it looks beside the kernel's word.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often a sensor is asked. Twice a minute would do for a fridge; a person who waits for it wants to see it move.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// Tells what comes and goes, until it is ended. Opens nothing.
///
/// # Errors
/// It is not known what is attached, or nobody reads any more.
pub async fn comings_and_goings(
    config: Option<&Config>,
    system: &sysfs::System,
) -> Result<(), DeviceTrouble> {
    let configured = config.map(configured).unwrap_or_default();
    let bell = Uevents::listen().ok();
    let mut before: Vec<FoundDevice> = Vec::new();
    loop {
        let now = sysfs::scan(system)?;
        for (sign, gone_or_come) in [("-", missing(&before, &now)), ("+", missing(&now, &before))] {
            for device in gone_or_come {
                let bound = super::list::listing(std::slice::from_ref(device), &configured);
                let names =
                    bound.attached.first().map(|device| device.bound_to.join(", ")).unwrap_or_default();
                let names = if names.is_empty() { String::new() } else { format!(", bound to {names}") };
                let selector = device.selectors.first().map(ToString::to_string).unwrap_or_default();
                say(&format!("{sign} {selector}  {} ({}){names}", device.name(), device.words()))?;
            }
        }
        before = now;
        let rung = async {
            let heard = match &bell {
                Some(bell) => bell.heard().await.is_ok(),
                None => false,
            };
            if !heard {
                std::future::pending::<()>().await;
            }
        };
        let _either = time::timeout(LOOK_EVERY, rung).await;
    }
}

/// What is in the one and not in the other.
fn missing<'a>(these: &'a [FoundDevice], those: &[FoundDevice]) -> Vec<&'a FoundDevice> {
    let same = |one: &FoundDevice, other: &FoundDevice| {
        (&one.file, &one.kind, &one.usb) == (&other.file, &other.kind, &other.usb)
    };
    these.iter().filter(|one| !those.iter().any(|other| same(one, other))).collect()
}

/// Tells what a device says, until it goes or this is ended: the bytes of a scanner or printer, the readings of a
/// sensor.
///
/// # Errors
/// The agent has it, it is not there, or it goes.
pub async fn one(config: &Config, name: &str) -> Result<(), DeviceTrouble> {
    let (device, _lock) = take(config, name)?;
    match device.class {
        "sensor" => readings(config, name).await,
        "input" => contacts(config, name).await,
        // What it types is no bytes.
        "scanner" if device.line.is_none() => scans(config, name).await,
        _ => match &device.line {
            Some(line) => bytes(name, line).await,
            None => Err(DeviceTrouble::Broken {
                name: name.to_owned(),
                reason: "an office printer sends nothing by itself; try `pestle-agent devices test`"
                    .to_owned(),
            }),
        },
    }
}

/// What a scanner reads, by its driver: the bytes of each scan, whatever kind of line it has.
async fn scans(config: &Config, name: &str) -> Result<(), DeviceTrouble> {
    let known = config.scanners.iter().find(|one| one.settings.name.as_str() == name);
    let Some(mut settings) = known.map(|one| one.settings.clone()) else {
        return Err(DeviceTrouble::Unknown { name: name.to_owned(), known: String::new() });
    };
    let address = settings.address.to_string();
    // As the agent reads it: with another layout, its keys would be other characters.
    settings.learned = DeviceFiles::of(&config.data_dir).learned(name, &address);
    let mut scanner = scanner::start::start(settings);
    while let Some(event) = scanner.next().await {
        match event {
            ScannerEvent::Scan(scan) => say(&readable(&scan.bytes))?,
            ScannerEvent::Rejected { rejection, .. } => say(&format!("refused: {rejection}"))?,
            ScannerEvent::Device { event: DeviceEvent::Attached, .. } => {
                say(&format!("{name} is open at {address}; what it reads stands below, until Ctrl-C"))?;
            }
            ScannerEvent::Device {
                event: DeviceEvent::Lost { reason } | DeviceEvent::Fault { reason },
                ..
            } => {
                return Err(DeviceTrouble::Away { name: name.to_owned(), reason });
            }
        }
    }
    Ok(())
}

async fn bytes(name: &str, line: &LineAddress) -> Result<(), DeviceTrouble> {
    let away = |reason: String| DeviceTrouble::Away { name: name.to_owned(), reason };
    let mut open = line.open().await.map_err(away)?;
    say(&format!("{name} is open at {line}; what it sends stands below, until Ctrl-C"))?;
    let mut buffer = [0u8; 1_024];
    loop {
        match open.read(&mut buffer).await {
            Ok(0) => return Err(away("the line was closed (unplugged)".to_owned())),
            Ok(count) => say(&readable(&buffer[..count]))?,
            Err(error) => return Err(away(format!("the line failed ({error})"))),
        }
    }
}

async fn readings(config: &Config, name: &str) -> Result<(), DeviceTrouble> {
    let Some((sensor, _events)) = start_sensor(config, name) else {
        return Err(DeviceTrouble::Unknown { name: name.to_owned(), known: String::new() });
    };
    loop {
        say(&reading_words(name, &sensor.sample().await))?;
        time::sleep(ASK_EVERY).await;
    }
}

/// A sensor with its line, the others of the line left alone.
pub(super) fn start_sensor(
    config: &Config,
    name: &str,
) -> Option<(bus::ModbusSensor, tokio::sync::mpsc::Receiver<pestle_drivers::sensor::SensorEvent>)> {
    let bus =
        config.buses.iter().find(|bus| bus.settings.sensors.iter().any(|one| one.name.as_str() == name))?;
    let mut settings = bus.settings.clone();
    settings.sensors.retain(|one| one.name.as_str() == name);
    settings.inputs.clear();
    let bus::Bus { mut sensors, events, .. } = bus::start(settings);
    Some((sensors.pop()?, events))
}

/// A contact with its line, the others of the line left alone.
pub(super) fn start_input(
    config: &Config,
    name: &str,
) -> Option<(bus::ModbusInput, tokio::sync::mpsc::Receiver<pestle_drivers::sensor::SensorEvent>)> {
    let bus =
        config.buses.iter().find(|bus| bus.settings.inputs.iter().any(|one| one.name.as_str() == name))?;
    let mut settings = bus.settings.clone();
    settings.inputs.retain(|one| one.name.as_str() == name);
    settings.sensors.clear();
    let bus::Bus { mut inputs, events, .. } = bus::start(settings);
    Some((inputs.pop()?, events))
}

/// What a contact says.
pub(super) fn contact_words(name: &str, kind: InputKind, reading: InputReading) -> String {
    match reading {
        Ok(state) => format!("{name}: {} is {}", kind.as_str(), kind.word(state)),
        Err(why) => format!("{name}: no reading, {why}"),
    }
}

async fn contacts(config: &Config, name: &str) -> Result<(), DeviceTrouble> {
    let Some((input, _events)) = start_input(config, name) else {
        return Err(DeviceTrouble::Unknown { name: name.to_owned(), known: String::new() });
    };
    loop {
        say(&contact_words(name, input.kind(), input.read().await))?;
        time::sleep(ASK_EVERY).await;
    }
}

/// A line with the time of day in UTC: what matters is what came after what.
fn say(words: &str) -> Result<(), DeviceTrouble> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, milliseconds) = (since.as_secs() % 86_400, since.subsec_millis());
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let mut out = std::io::stdout();
    writeln!(out, "{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z  {words}")?;
    Ok(out.flush()?)
}
