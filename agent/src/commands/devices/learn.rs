//! `pestle-agent devices learn NAME`: has a scanner's separator, suffix and layout told by the sheet of test codes, and keeps them.
//! `pestle-agent devices sheet`: the sheet, and the makers' own codes, as a picture or out of a printer.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pestle_domain::{document::Document, units::UnixMillis};
use pestle_drivers::{
    device::DeviceEvent,
    line::place::DevicePlace,
    scanner::{
        learn::{
            learner::Step,
            session::{LearnEvent, LearnFrom, LearnSession},
            sheet::sheet,
            verdict::Verdict,
        },
        programming::Makers,
        start::ScannerAddress,
    },
};
use tokio::time;

use super::{DeviceTrouble, take, test};
use crate::{
    config::Config,
    devices::{
        artwork,
        kept::{DeviceFiles, ScannerRecord},
        picture,
    },
};

/// A path says nothing of what is plugged in there.
const BOUND_BY_PATH: &str = " It is bound by a path, so another scanner in its place would be believed too: bind it by a name from \
                             `pestle-agent devices list`, and learn again.";

/// Learns a scanner; `progress` is told what a person has to do next. What was learned before is replaced.
///
/// # Errors
/// The agent has it, it is not there, nothing is scanned for `wait`, or what it sends cannot be believed, with what mends it.
pub async fn learn(
    config: &Config,
    name: &str,
    wait: Duration,
    progress: impl Fn(&str),
) -> Result<String, DeviceTrouble> {
    let (device, _lock) = take(config, name)?;
    let away = |reason: String| DeviceTrouble::Away { name: name.to_owned(), reason };
    let broken = |reason: String| DeviceTrouble::Broken { name: name.to_owned(), reason };
    let Some(scanner) = config.scanners.iter().find(|one| one.settings.name.as_str() == name) else {
        return Err(broken("it is no scanner: only scanners learn".to_owned()));
    };
    let address = scanner.settings.address.clone();
    let from = match address.clone() {
        ScannerAddress::Line(line) => LearnFrom::Line(line),
        ScannerAddress::Keyboard(source) => LearnFrom::Keyboard(source),
    };
    let mut session = LearnSession::start(from);
    let verdict = loop {
        let Ok(event) = time::timeout(wait, session.next()).await else {
            return Err(broken(format!("nothing was scanned in {} s: begin again", wait.as_secs())));
        };
        match event {
            Some(LearnEvent::Device(DeviceEvent::Lost { reason } | DeviceEvent::Fault { reason })) => {
                return Err(away(reason));
            }
            Some(LearnEvent::Device(DeviceEvent::Attached)) => {}
            Some(LearnEvent::Step(Step::Done(verdict))) => break verdict,
            Some(LearnEvent::Step(step)) => progress(&step.to_string()),
            None => return Err(broken("its driver has ended; this is a fault of the program".to_owned())),
        }
    };
    let Verdict { learned, faults } = verdict;
    if let Some(learned) = learned {
        let files = DeviceFiles::of(&config.data_dir);
        let kept = ScannerRecord {
            address: address.to_string(),
            learned: Some(learned),
            at: Some(now()),
            seen: files.bindings().remove(name).map(|binding| binding.seen),
        };
        files
            .learn(name, kept)
            .map_err(|error| broken(format!("what was learned cannot be kept: {error}")))?;
    }
    if faults.is_empty() {
        let by_path = matches!(device.place, Some((DevicePlace::File(_), _)));
        let warning = if by_path { BOUND_BY_PATH } else { "" };
        return Ok(format!("{name} is proved: lot and serial number are taken from it.{warning}"));
    }
    let words: Vec<_> =
        faults.iter().map(|fault| format!("{fault}{}", codes_for(fault.mended_by()))).collect();
    Err(broken(format!("it is not proved, and sells by GTIN alone: {}", words.join("; "))))
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Which makers' codes mend it.
fn codes_for(purpose: pestle_drivers::scanner::programming::Purpose) -> String {
    let Ok(makers) = Makers::built_in() else { return String::new() };
    let known: Vec<_> = makers
        .iter()
        .filter(|maker| maker.codes_for(purpose).next().is_some())
        .map(|maker| maker.name.clone())
        .collect();
    match known.is_empty() {
        true => String::new(),
        false => format!(" (\"pestle-agent devices sheet --maker\" has a code for {})", known.join(", ")),
    }
}

/// The sheet of test codes, or the codes of a maker.
///
/// # Errors
/// No such maker; the message lists those that there are.
pub fn page(maker: Option<&str>) -> Result<Document, DeviceTrouble> {
    let broken = |error: &dyn std::fmt::Display| DeviceTrouble::Broken {
        name: "the sheet".to_owned(),
        reason: error.to_string(),
    };
    match maker {
        None => Ok(sheet()),
        Some(maker) => {
            let makers = Makers::built_in().map_err(|error| broken(&error))?;
            Ok(makers.get(maker).map_err(|error| broken(&error))?.sheet())
        }
    }
}

/// Writes the page as a picture.
///
/// # Errors
/// It cannot be drawn, or the file cannot be written.
pub fn draw_page(page: &Document, config: Option<&Config>, file: &Path) -> Result<String, DeviceTrouble> {
    let broken = |reason: String| DeviceTrouble::Broken { name: "the sheet".to_owned(), reason };
    let artwork = config.map(|config| artwork(&config.artwork)).unwrap_or_default();
    let png = picture::png(page, &picture::STRIP, &artwork).map_err(|error| broken(error.to_string()))?;
    std::fs::write(file, png)?;
    Ok(format!("the page is in {}", file.display()))
}

/// Prints the page on a printer of the box.
///
/// # Errors
/// As [`test::print`].
pub async fn print_page(page: Document, config: &Config, printer: &str) -> Result<String, DeviceTrouble> {
    let (_device, _lock) = take(config, printer)?;
    test::print(config, printer, page, "the page").await
}
