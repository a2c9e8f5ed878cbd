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
        mending::{MakersWays, Way, mending},
        programming::{Comes, Maker, Makers, Purpose},
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
    let (from, comes) = match address.clone() {
        ScannerAddress::Line(line) => (LearnFrom::Line(line), Comes::OverLine),
        ScannerAddress::Keyboard(source) => (LearnFrom::Keyboard(source), Comes::AsKeys),
    };
    let mut session = LearnSession::start(from, scanner.settings.framing.idle_gap);
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
        faults.iter().map(|fault| format!("{fault}{}", codes_for(name, fault.mended_by(), comes))).collect();
    Err(broken(format!("it is not proved, and sells by GTIN alone: {}", words.join("; "))))
}

fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// What mends it, by maker, for the scanner of this name.
fn codes_for(name: &str, purposes: &[Purpose], comes: Comes) -> String {
    let makers = Makers::built_in().map(|makers| mending(&makers, purposes, comes)).unwrap_or_default();
    if makers.is_empty() {
        let titles: Vec<_> = purposes.iter().map(|purpose| format!("\"{}\"", purpose.title())).collect();
        return format!(
            " (no maker's code is known for it here: look for {} in its manual)",
            titles.join(" or ")
        );
    }
    let words: Vec<_> =
        makers.iter().map(|maker| format!("{}: {}", maker.title, ways_words(name, maker))).collect();
    format!(" ({})", words.join("; "))
}

fn ways_words(name: &str, maker: &MakersWays) -> String {
    let one = |way: &Way| {
        let sheet =
            way.printed.then(|| format!("printed by `pestle-agent devices sheet --maker {}`", maker.name));
        let line = way.over_line.then(|| {
            let purpose = way.purpose.name();
            format!("`pestle-agent devices program {name} --maker {} --purpose {purpose}`", maker.name)
        });
        let manual = way.look_up.iter().map(|code| format!("\"{code}\" in its manual"));
        let all: Vec<_> = sheet.into_iter().chain(line).chain(manual).collect();
        format!("{}, {}", way.purpose.title(), all.join(", or "))
    };
    maker.ways.iter().map(one).collect::<Vec<_>>().join(" / ")
}

/// The sheet of test codes, or the codes of a maker.
///
/// # Errors
/// No such maker; the message lists those that there are. Or none of its codes can be printed; the message says what to do
/// instead.
pub fn page(maker: Option<&str>) -> Result<Document, DeviceTrouble> {
    match maker {
        None => Ok(sheet()),
        Some(maker) => {
            let sheet = Makers::built_in().and_then(|makers| makers.get(maker).and_then(Maker::sheet));
            sheet.map_err(|error| DeviceTrouble::NoCode(error.to_string()))
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
