//! `pestle-agent devices test NAME`: opens a device as it is configured, and lets it do its work once.

use std::time::Duration;

use pestle_domain::document::{Block, Document, Style};
use pestle_drivers::{
    device::DeviceEvent,
    printer::{self, start::PrinterSettings},
    scanner::{self, ScannerEvent},
    sensor::{NoData, Sensor as _, input::Input as _},
};
use tokio::time;

use super::{DeviceTrouble, take, watch};
use crate::{
    config::Config,
    devices::{
        artwork,
        kept::{self, DeviceFiles},
        trial::{self, Tried},
    },
    lock::DataLock,
};

/// Runs a device's own check; returns what to tell when it works. `progress` is told what a person has to do meanwhile.
///
/// # Errors
/// The agent has it, it is not there, or it does not work.
pub async fn test(
    config: &Config,
    name: &str,
    wait: Duration,
    progress: impl Fn(&str),
) -> Result<String, DeviceTrouble> {
    let (device, _lock) = take(config, name)?;
    match device.class {
        "scanner" => test_scanner(config, name, wait, progress).await,
        "printer" => test_printer(config, name).await,
        "input" => test_contact(config, name).await,
        _ => test_sensor(config, name).await,
    }
}

fn away(name: &str, reason: impl ToString) -> DeviceTrouble {
    DeviceTrouble::Away { name: name.to_owned(), reason: reason.to_string() }
}

fn broken(name: &str, reason: impl ToString) -> DeviceTrouble {
    DeviceTrouble::Broken { name: name.to_owned(), reason: reason.to_string() }
}

async fn test_scanner(
    config: &Config,
    name: &str,
    wait: Duration,
    progress: impl Fn(&str),
) -> Result<String, DeviceTrouble> {
    let known = config.scanners.iter().find(|one| one.settings.name.as_str() == name);
    let mut settings =
        known.map(|one| one.settings.clone()).ok_or_else(|| away(name, "it is not configured"))?;
    let files = DeviceFiles::of(&config.data_dir);
    kept::take_known(&mut settings, &files);
    let mut scanner = scanner::start::start(settings);
    let end = time::Instant::now() + wait;
    loop {
        let Ok(event) = time::timeout_at(end, scanner.next()).await else {
            let reason = format!(
                "nothing was scanned in {} s: if its lamp was on and it beeped, check that it is set up for the kind of line that is configured (keyboard, USB serial, RS-232), and a serial line's speed",
                wait.as_secs()
            );
            return Err(broken(name, reason));
        };
        match event {
            Some(ScannerEvent::Device { event: DeviceEvent::Attached, .. }) => {
                progress(&format!("{name} is open. Scan any barcode now."));
            }
            Some(ScannerEvent::Device {
                event: DeviceEvent::Fault { reason } | DeviceEvent::Lost { reason },
                ..
            }) => {
                return Err(away(name, reason));
            }
            Some(ScannerEvent::Rejected { rejection, .. }) => return Err(broken(name, rejection)),
            Some(ScannerEvent::Scan(scan)) => {
                return Ok(trial::scan_words(&scan));
            }
            None => return Err(broken(name, "its driver has ended; this is a fault of the program")),
        }
    }
}

async fn test_printer(config: &Config, name: &str) -> Result<String, DeviceTrouble> {
    let known = config.printers.iter().find(|one| one.settings.name().as_str() == name);
    let place = known.map(|one| one.settings.to_string()).unwrap_or_default();
    print(config, name, test_page(name, &place), "a test page").await
}

/// Prints a document once; `what` names it in the answer.
///
/// # Errors
/// The printer is not there, or does not print.
pub(super) async fn print(
    config: &Config,
    name: &str,
    document: Document,
    what: &str,
) -> Result<String, DeviceTrouble> {
    let known = config.printers.iter().find(|one| one.settings.name().as_str() == name);
    let settings = known.map(|one| one.settings.clone()).ok_or_else(|| away(name, "it is not configured"))?;
    let artwork = artwork(&config.artwork);
    let (printer, _events) = printer::start::start(settings, artwork).map_err(|error| broken(name, error))?;
    outcome(name, trial::print(&*printer, document, what).await)
}

/// Has a label printer measure its labels.
///
/// # Errors
/// As [`test`].
pub async fn measure(config: &Config, name: &str) -> Result<String, DeviceTrouble> {
    let (settings, _lock) = printer_of(config, name)?;
    let height = settings.label_height().ok_or_else(|| broken(name, "it is no label printer"))?;
    let (printer, _events) =
        printer::start::start(settings, artwork(&config.artwork)).map_err(|error| broken(name, error))?;
    outcome(name, trial::measure(&*printer, height).await)
}

/// Sounds a printer's buzzer.
///
/// # Errors
/// As [`test`].
pub async fn sound(config: &Config, name: &str) -> Result<String, DeviceTrouble> {
    let (settings, _lock) = printer_of(config, name)?;
    let (printer, _events) =
        printer::start::start(settings, artwork(&config.artwork)).map_err(|error| broken(name, error))?;
    outcome(name, trial::sound(&*printer).await)
}

fn printer_of(config: &Config, name: &str) -> Result<(PrinterSettings, Option<DataLock>), DeviceTrouble> {
    let (_device, lock) = take(config, name)?;
    let known = config.printers.iter().find(|one| one.settings.name().as_str() == name);
    let settings = known.map(|one| one.settings.clone()).ok_or_else(|| broken(name, "it is no printer"))?;
    Ok((settings, lock))
}

fn outcome(name: &str, tried: Tried) -> Result<String, DeviceTrouble> {
    match tried {
        Tried::Works(words) | Tried::CannotTell(words) => Ok(words),
        Tried::Away(reason) => Err(away(name, reason)),
        Tried::Broken(reason) | Tried::Unknown(reason) => Err(broken(name, reason)),
    }
}

fn test_page(name: &str, place: &str) -> Document {
    let text = |text: &str| Block::Text { text: text.to_owned(), style: Style::default() };
    let mut document = Document::new(format!("Test page of {name}"));
    document.blocks = vec![
        Block::Heading { text: name.to_owned() },
        text("This is a test page, no receipt."),
        text(place),
        Block::Rule,
        text("äöü ÄÖÜ ß é è ñ ç £ €"),
        Block::Columns { left: "left".to_owned(), right: "right".to_owned(), bold: false },
        Block::Total { label: "Total".to_owned(), amount: "0.00".to_owned(), strong: true },
        Block::Qr { data: format!("pestle-test {name}") },
        // GS1's own example number: prefix 952 is for demonstration.
        Block::Ean13 { data: "9521234543213".to_owned() },
        Block::Feed { lines: 1 },
        Block::Cut,
    ];
    document
}

async fn test_contact(config: &Config, name: &str) -> Result<String, DeviceTrouble> {
    let (input, _events) =
        watch::start_input(config, name).ok_or_else(|| away(name, "it is not configured"))?;
    match input.read().await {
        Ok(state) => Ok(format!("{}.", watch::contact_words(name, input.kind(), Ok(state)))),
        Err(why @ (NoData::Timeout | NoData::Gone)) => Err(away(name, why)),
        Err(why) => Err(broken(name, why)),
    }
}

async fn test_sensor(config: &Config, name: &str) -> Result<String, DeviceTrouble> {
    let (sensor, _events) =
        watch::start_sensor(config, name).ok_or_else(|| away(name, "it is not configured"))?;
    let sample = sensor.sample().await;
    outcome(name, trial::reading(sensor.name(), &sample))
}
