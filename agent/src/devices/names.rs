//! The names of this box's devices, kept while cables move: who stands behind a name, what is asked of people, and what is
//! remembered of it.

use std::collections::BTreeMap;

use pestle_domain::fact::{DeviceFault, FactBody};
use pestle_drivers::{
    device::DeviceName,
    find::{
        binding::Wanted,
        change::Change,
        device::DeviceClass,
        keeper::{self, Keeper, KeeperSettings},
    },
    line::{LineAddress, place::DevicePlace},
};
use tokio::sync::mpsc;

use super::kept::DeviceFiles;
use crate::{
    config::Config,
    counter::{
        handle::Counter,
        machine::Event,
        view::{DeviceState, DeviceView},
    },
};

/// How a person answers what the box asks about a device: it has no button for it.
const TO_DECIDE: &str = "Put the devices back as they were; or, if it is to stay so, have a technician stop the agent and run \
                         `pestle-agent devices rebind` with its name. It is not used before.";

/// Starts keeping the devices that the configuration names by what stays. Those that it names by a path are whatever is
/// there.
pub(super) fn keep(config: &Config, files: &DeviceFiles) -> (Keeper, mpsc::Receiver<Change>) {
    let mut bindings = files.bindings();
    let wanted = named(config).into_iter().map(|(name, class, place)| {
        let DevicePlace::Selected(selector, _) = place else { return None };
        let kept = bindings.remove(name.as_str());
        Some(Wanted::new(name, class, selector.clone(), kept))
    });
    keeper::start(KeeperSettings::default(), wanted.flatten().collect())
}

/// All devices with a device file. What shares a line has the name of the first on it.
fn named(config: &Config) -> Vec<(DeviceName, DeviceClass, &DevicePlace)> {
    let scanners = config.scanners.iter().filter_map(|one| {
        let (place, class) = one.settings.address.place()?;
        Some((one.settings.name.clone(), class, place))
    });
    let printers = config.printers.iter().filter_map(|one| {
        let (place, class) = one.settings.line().and_then(LineAddress::place)?;
        Some((one.settings.name().clone(), class, place))
    });
    let buses = config.buses.iter().filter_map(|one| {
        let (place, class) = one.settings.line.place()?;
        Some((bus_name(&one.settings)?, class, place))
    });
    scanners.chain(printers).chain(buses).collect()
}

/// Under which name a bus is kept.
pub(super) fn bus_name(settings: &pestle_drivers::sensor::settings::BusSettings) -> Option<DeviceName> {
    let sensors = settings.sensors.iter().map(|sensor| &sensor.name);
    sensors.chain(settings.inputs.iter().map(|input| &input.name)).next().cloned()
}

/// Remembers what is bound, and tells what a person has to decide.
pub(super) async fn watch(
    keeper: Keeper,
    mut changes: mpsc::Receiver<Change>,
    files: DeviceFiles,
    counter: Counter,
) {
    let mut bound: BTreeMap<String, _> = files.bindings();
    while let Some(change) = changes.recv().await {
        tracing::info!(?change, "device");
        match change {
            Change::Bound { name, binding } => {
                let before = bound.insert(name.to_string(), binding.clone());
                if let Err(error) = files.bind(name.as_str(), binding.clone()) {
                    tracing::error!(%error, device = %name, "which device this is could not be kept");
                }
                // Another device than the one that was set up: nothing that was learned holds for it.
                if before.is_some_and(|before| before.seen != binding.seen) {
                    forget_setting(&files, &name);
                }
            }
            Change::Asks { name, question } => {
                tell(&counter, &name, format!("{} {TO_DECIDE}", question.words(&name))).await;
            }
            Change::Flaps { name } => {
                let words = "it comes and goes too often and is left alone until it has kept still: check its cable and its plug";
                tell(&counter, &name, words.to_owned()).await;
            }
            // The driver tells these itself, as the device is opened or goes.
            Change::Came { .. } | Change::Went { .. } | Change::Moved { .. } | Change::Rested { .. } => {}
        }
    }
    drop(keeper);
}

fn forget_setting(files: &DeviceFiles, name: &DeviceName) {
    match files.unlearn(name.as_str()) {
        Ok(true) => {
            tracing::warn!(device = %name, "another scanner stands there: it is to be set up with the sheet of test codes")
        }
        Ok(false) => {}
        Err(error) => {
            tracing::error!(%error, device = %name, "how the scanner before was set up could not be forgotten")
        }
    }
}

async fn tell(counter: &Counter, name: &DeviceName, words: String) {
    let fact: FactBody =
        DeviceFault { name: name.as_str().into(), class: "device".into(), reason: words.as_str().into() }
            .into();
    let view = DeviceView {
        name: name.to_string(),
        class: "device".into(),
        state: DeviceState::Trouble,
        detail: Some(words),
    };
    counter.tell(Event::Device(view, Some(fact))).await;
}
