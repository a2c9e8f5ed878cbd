//! `pestle-agent devices list`: what is attached, by which names it can be bound, and what it is bound to.

use std::{fmt::Write as _, path::Path};

use pestle_drivers::{
    find::{device::FoundDevice, sysfs},
    line::place::DevicePlace,
};
use serde::Serialize;

use super::{Configured, DeviceTrouble};

/// All that is known of devices now. Its JSON form is for machines: fields are added, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// What is attached to the box.
    pub attached: Vec<Attached>,
    /// What the configuration names.
    pub configured: Vec<Bound>,
}

/// A device that is attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attached {
    /// Its device file as of now.
    pub file: String,
    /// As it calls itself.
    pub name: String,
    /// What it is and where.
    pub what: String,
    /// Names that stay, the best first.
    pub selectors: Vec<String>,
    /// What to know before it is bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
    /// The configured names that it is bound to.
    pub bound_to: Vec<String>,
}

/// A device of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bound {
    /// What the branch calls it.
    pub name: String,
    /// scanner, printer or sensor.
    pub class: &'static str,
    /// Its line, as it was written.
    pub line: String,
    /// Is it there?
    #[serde(flatten)]
    pub state: BoundState,
}

/// Is a configured device there?
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum BoundState {
    /// Its file is one of the attached.
    Attached {
        /// Its device file as of now.
        file: String,
    },
    /// Not found.
    Absent {
        /// What to check.
        why: String,
    },
    /// On the network, where nothing is looked for: `devices test` tries it.
    Network,
}

/// Puts what is attached and what is configured together.
#[must_use]
pub fn listing(found: &[FoundDevice], configured: &[Configured]) -> Listing {
    let configured: Vec<_> = configured.iter().map(|device| (device, state(device, found))).collect();
    let attached = found.iter().map(|device| {
        let file = device.file.display().to_string();
        let is_here =
            |state: &BoundState| matches!(state, BoundState::Attached { file: there } if *there == file);
        let names =
            configured.iter().filter(|(_, state)| is_here(state)).map(|(device, _)| device.name.clone());
        Attached {
            bound_to: names.collect(),
            name: device.name(),
            what: device.words(),
            selectors: device.selectors.iter().map(ToString::to_string).collect(),
            remark: device.remark.as_ref().map(pestle_drivers::find::device::Remark::words),
            file,
        }
    });
    Listing {
        attached: attached.collect(),
        configured: configured
            .iter()
            .map(|(device, state)| Bound {
                name: device.name.clone(),
                class: device.class,
                line: device.address.clone(),
                state: state.clone(),
            })
            .collect(),
    }
}

fn state(device: &Configured, found: &[FoundDevice]) -> BoundState {
    let Some((place, class)) = &device.place else { return BoundState::Network };
    let there = match place {
        DevicePlace::Selected(selector, _) => {
            selector.find(*class, found).map(|device| device.file.clone()).map_err(|error| error.to_string())
        }
        // A path may be a link, such as those below /dev/serial/by-id.
        DevicePlace::File(path) => {
            real(path).map_err(|_| format!("{} does not exist: check that it is plugged in", path.display()))
        }
        DevicePlace::Kept(place) => place.file(),
    };
    match there {
        Ok(file) => BoundState::Attached { file: file.display().to_string() },
        Err(why) => BoundState::Absent { why },
    }
}

fn real(path: &Path) -> std::io::Result<std::path::PathBuf> {
    std::fs::canonicalize(path)
}

/// Looks, and gives the text for a person or for a machine.
///
/// # Errors
/// It is not known what is attached.
pub fn list(system: &sysfs::System, configured: &[Configured], json: bool) -> Result<String, DeviceTrouble> {
    let listing = listing(&sysfs::scan(system)?, configured);
    if json {
        return Ok(serde_json::to_string_pretty(&listing).map_err(std::io::Error::from)?);
    }
    Ok(for_a_person(&listing))
}

fn for_a_person(listing: &Listing) -> String {
    let mut text = String::new();
    let mut line = |words: std::fmt::Arguments<'_>| {
        let _never_fails = writeln!(text, "{words}");
    };
    if listing.attached.is_empty() {
        line(format_args!("Nothing that could be bound is attached to this box."));
    }
    for device in &listing.attached {
        line(format_args!("{}  {}", device.file, device.name));
        line(format_args!("    is        {}", device.what));
        line(format_args!("    names     {}", device.selectors.join("  or  ")));
        if let Some(remark) = &device.remark {
            line(format_args!("    note      {remark}"));
        }
        let bound =
            if device.bound_to.is_empty() { "nothing".to_owned() } else { device.bound_to.join(", ") };
        line(format_args!("    bound to  {bound}"));
    }
    let elsewhere =
        listing.configured.iter().filter(|bound| !matches!(bound.state, BoundState::Attached { .. }));
    for (number, bound) in elsewhere.enumerate() {
        if number == 0 {
            line(format_args!("\nConfigured, and not among these:"));
        }
        let words = match &bound.state {
            BoundState::Absent { why } => why.as_str(),
            _ => "on the network: `pestle-agent devices test` tries it",
        };
        line(format_args!("    {} {} ({}): {words}", bound.class, bound.name, bound.line));
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pestle_drivers::sim::attached::{SimSystem, SimUsbDevice};

    fn bound(name: &str, line: &str) -> Configured {
        let line: pestle_drivers::line::LineAddress = line.parse().unwrap();
        let place = line.place().map(|(place, class)| (place.clone(), class));
        Configured {
            name: name.to_owned(),
            class: "scanner",
            address: line.to_string(),
            place,
            line: Some(line),
        }
    }

    #[test]
    fn a_person_reads_what_it_is_how_to_name_it_and_what_it_is_bound_to() {
        let folder = tempfile::tempdir().unwrap();
        let sim = SimSystem::new(folder.path()).unwrap();
        sim.plug_in("1-2", &SimUsbDevice::scanner("S21357")).unwrap();
        sim.plug_in("1-4.1", &SimUsbDevice::clone_adapter()).unwrap();
        let configured = [
            bound("scanner-1", "serial:usb:05e0:1701:S21357"),
            bound("scanner-2", "serial:usb-port:1-9"),
            bound("scanner-3", "tcp://192.0.2.7:4001"),
        ];
        let text = list(&sim.system(), &configured, false).unwrap();
        let dev = sim.system().dev.display().to_string();
        let expected = format!(
            "{dev}/ttyACM0  Symbol Technologies, Inc, 2008 Symbol Bar Code Scanner\n    is        barcode scanner on USB serial, at USB port 1-2\n    names     usb:05e0:1701:S21357  or  usb-port:1-2\n    bound to  scanner-1\n"
        );
        assert!(text.starts_with(&expected), "{text}");
        for words in [
            "names     usb-port:1-4.1\n    note      it has no serial number of its own",
            "bound to  nothing",
            "scanner scanner-2 (usb-port:1-9): usb-port:1-9 is not attached",
            "scanner scanner-3 (192.0.2.7:4001): on the network",
        ] {
            assert!(text.contains(words), "{words:?} is not in\n{text}");
        }
    }

    #[test]
    fn a_machine_reads_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let sim = SimSystem::new(folder.path()).unwrap();
        assert_eq!(
            list(&sim.system(), &[], false).unwrap(),
            "Nothing that could be bound is attached to this box."
        );
        sim.plug_in("1-2", &SimUsbDevice::scanner("S21357")).unwrap();
        let configured =
            [bound("scanner-1", "serial:usb-port:1-2"), bound("scanner-2", "serial:usb-port:1-3")];
        let text = list(&sim.system(), &configured, true).unwrap();
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["attached"][0]["bound_to"], serde_json::json!(["scanner-1"]));
        assert_eq!(json["attached"][0]["selectors"][0], "usb:05e0:1701:S21357");
        assert_eq!(json["configured"][0]["state"], "attached");
        assert_eq!(json["configured"][1]["state"], "absent");
    }
}
