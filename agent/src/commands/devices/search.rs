//! `pestle-agent devices search LINE`: which sensors answer on a line, what each is, and what to write so that it is used.

use std::{fmt::Write as _, ops::RangeInclusive, time::Duration};

use pestle_drivers::{
    line::LineAddress,
    sensor::{
        probe::{ProbeReport, Verdict},
        profile::SensorProfiles,
        scan::{ScanPlan, ScanReport, scan},
        settings::{BusAddress, Framing},
    },
};

use super::{DeviceTrouble, lock};
use crate::config::Config;

/// `1-32`, or one address.
///
/// # Errors
/// No addresses of Modbus devices (Modbus over Serial Line V1.02, 2.2: 1 to 247).
pub fn addresses(text: &str) -> Result<RangeInclusive<u8>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if (1..=last).contains(&first) && last <= 247 => Ok(first..=last),
        _ => Err("write the first and the last address, such as 1-32; devices have 1 to 247".to_owned()),
    }
}

/// Looks for sensors; `progress` is told what a person waits for. Returns what to tell when somebody answers.
///
/// # Errors
/// It is no line, the agent has it, it cannot be opened, or nobody answers.
pub async fn search(
    config: Option<&Config>,
    line: &str,
    addresses: RangeInclusive<u8>,
    longest: Duration,
    progress: impl Fn(&str),
) -> Result<String, DeviceTrouble> {
    let plan = plan_of(config, line)?;
    let _lock = match config {
        Some(config) if is_configured(config, &plan) => lock(config, line)?,
        _ => None,
    };
    let profiles = match config {
        Some(config) => config.all_sensor_profiles(),
        None => SensorProfiles::built_in().map_err(|error| error.to_string()),
    };
    let profiles =
        profiles.map_err(|reason| DeviceTrouble::Broken { name: "the file of profiles".into(), reason })?;
    let ways: Vec<&str> = plan.lines.iter().map(|(written, _)| written.as_str()).collect();
    progress(&format!(
        "looking for sensors at addresses {} to {} of {}; this takes {} min at the most",
        addresses.start(),
        addresses.end(),
        ways.join(", "),
        longest.as_secs() / 60
    ));
    let away = |reason: String| DeviceTrouble::Away { name: line.to_owned(), reason };
    let report = scan(&ScanPlan { addresses, longest, ..plan }, &profiles).await.map_err(away)?;
    if report.found.is_empty() {
        return Err(away(report.to_string()));
    }
    Ok(told(&report))
}

/// The line of a sensor of this name, or the one that is written there.
fn plan_of(config: Option<&Config>, line: &str) -> Result<ScanPlan, DeviceTrouble> {
    let buses = config.into_iter().flat_map(|config| &config.buses);
    for bus in buses {
        let names = bus.settings.sensors.iter().map(|one| &one.name);
        if names.chain(bus.settings.inputs.iter().map(|one| &one.name)).any(|name| name.as_str() == line) {
            let address = BusAddress { line: bus.settings.line.clone(), framing: bus.settings.framing };
            return Ok(match (&address.line, address.framing) {
                // What is looked for may have another speed than the one that is known.
                (LineAddress::Serial(settings), _) => ScanPlan::at_each_speed(settings),
                (LineAddress::Tcp(socket), Framing::Tcp) => {
                    ScanPlan::on(vec![(format!("modbus-tcp://{socket}"), address)])
                }
                (line, _) => ScanPlan::on(vec![(line.written(), address)]),
            });
        }
    }
    line.parse().map_err(|reason| {
        DeviceTrouble::NoLine(format!(
            "no sensor of the configuration is named \"{line}\", and as a line: {reason}"
        ))
    })
}

/// Whether the agent has this line when it runs. One that goes by two names is refused by the system.
fn is_configured(config: &Config, plan: &ScanPlan) -> bool {
    let lines: Vec<String> = super::configured(config).into_iter().map(|device| device.address).collect();
    plan.lines.iter().any(|(_, address)| lines.contains(&address.to_string()))
}

/// What was found, and the tables that make the box use it.
fn told(report: &ScanReport) -> String {
    let mut text = report.to_string();
    for (written, device) in &report.found {
        if let Some(profile) = profile_of(device) {
            // Writing to a string cannot fail.
            let _infallible = write!(
                text,
                "\n\n[[sensor]]\nname = \"{}\"\naddress = \"{written}\"\nslave = {}\nprofile = {profile}",
                format_args!("sensor-{}", device.slave),
                device.slave,
            );
        }
    }
    text
}

/// The profile as a configuration writes it, with what a person has to find out first.
fn profile_of(device: &ProbeReport) -> Option<String> {
    match &device.verdict {
        Verdict::Fits(profile) => Some(format!("\"{profile}\"")),
        Verdict::CannotTell(profiles) => {
            let (first, others) = profiles.split_first()?;
            let or = match others {
                [] => String::new(),
                _ => format!(", or \"{}\"", others.join("\", \"")),
            };
            // Read with another's scale, 4 °C may be 40: the box does not take this before a person has looked.
            Some(format!("# compare with a thermometer, then write \"{first}\"{or}"))
        }
        Verdict::Silent(_) | Verdict::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_modbus_devices() {
        for (text, range) in [("1-32", 1..=32), ("17", 17..=17), ("1 - 247", 1..=247)] {
            assert_eq!(addresses(text), Ok(range));
        }
        for text in ["", "0-5", "5-4", "1-248", "1-300", "a-b", "-"] {
            assert!(addresses(text).unwrap_err().contains("1 to 247"), "{text}");
        }
    }
}
