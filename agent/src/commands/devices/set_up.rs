//! `pestle-agent devices program NAME --maker MAKER --purpose PURPOSE`: sets a scanner up over its own serial line.

use pestle_drivers::scanner::{
    over_line::SetUpLine,
    programming::{Makers, Purpose},
    start::ScannerAddress,
};

use super::{DeviceTrouble, take};
use crate::{
    config::Config,
    devices::{
        kept::{DeviceFiles, ScannerRecord},
        trial::{self, Tried},
    },
};

/// Sends the maker's command; returns what to tell when the scanner took it. What was learned of it is forgotten before.
///
/// # Errors
/// The agent has it, it is not there, the maker has no such command, or the scanner did not say that it took it.
pub async fn set_up(
    config: &Config,
    name: &str,
    maker: &str,
    purpose: Purpose,
) -> Result<String, DeviceTrouble> {
    let no_code = |error: &dyn std::fmt::Display| DeviceTrouble::NoCode(error.to_string());
    let makers = Makers::built_in().map_err(|error| no_code(&error))?;
    let command = makers.get(maker).and_then(|maker| maker.command_for(purpose));
    let command = command.map_err(|error| no_code(&error))?;
    let (_device, _lock) = take(config, name)?;
    let broken = |reason: String| DeviceTrouble::Broken { name: name.to_owned(), reason };
    let Some(scanner) = config.scanners.iter().find(|one| one.settings.name.as_str() == name) else {
        return Err(broken("it is no scanner: only scanners are set up by their makers' codes".to_owned()));
    };
    let ScannerAddress::Line(address) = &scanner.settings.address else {
        return Err(broken(trial::NO_LINE.to_owned()));
    };
    let away = |reason: String| DeviceTrouble::Away { name: name.to_owned(), reason };
    let line = SetUpLine::open(address).await.map_err(away)?;
    let files = DeviceFiles::of(&config.data_dir);
    let nothing = ScannerRecord {
        address: scanner.settings.address.to_string(),
        learned: None,
        at: None,
        seen: files.bindings().remove(name).map(|binding| binding.seen),
    };
    files.learn(name, nothing).map_err(|error| {
        broken(format!("that it is set up anew cannot be kept, so nothing was sent: {error}"))
    })?;
    match trial::set_up(name, &line.send(command).await) {
        Tried::Works(words) => Ok(words),
        Tried::CannotTell(words) | Tried::Unknown(words) | Tried::Away(words) | Tried::Broken(words) => {
            Err(broken(words))
        }
    }
}
