//! The names of this box's devices, kept while cables move: who stands behind a name, what is asked of people, and what is
//! remembered of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use pestle_domain::{
    fact::{DeviceFault, FactBody},
    units::UnixMillis,
};
use pestle_drivers::{
    device::DeviceName,
    find::{
        binding::{Binding, Wanted},
        change::Change,
        device::DeviceClass,
        keeper::{self, Keeper, KeeperSettings},
        memory::{Kept, Memory},
        selector::Selector,
        sysfs::System,
    },
    line::{LineAddress, place::DevicePlace},
    sensor::settings::BusSettings,
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    kept::{DeviceFiles, ScannerRecord},
    scanner::{ScannerEnd, ScannerOrder},
};
use crate::{
    clock::Clock,
    config::Config,
    counter::{
        handle::Counter,
        machine::Event,
        view::{DeviceState, DeviceView},
    },
};

/// How a person answers what the box asks about a device.
const TO_DECIDE: &str =
    "Answer on the page for devices, or put the devices back as they were. It is not used before.";

/// How often a simulation's list of devices is looked at: no kernel tells of its changes.
const LOOK_AT_A_SIMULATION: Duration = Duration::from_millis(200);

/// Starts keeping the devices that the configuration names by what stays. Those that it names by a path are whatever is
/// there.
pub(super) fn keep(
    config: &Config,
    files: &DeviceFiles,
    called: &BTreeMap<DeviceName, String>,
    memory: Arc<Remembering>,
) -> (Keeper, mpsc::Receiver<Change>) {
    let mut bindings = files.bindings();
    let wanted = named(config).into_iter().map(|(name, class, place)| {
        let DevicePlace::Selected(selector, _) = place else { return None };
        let kept = bindings.remove(name.as_str());
        let words = called.get(&name).cloned().unwrap_or_else(|| name.to_string());
        Some(Wanted::new(name, class, selector.clone(), kept).called(words))
    });
    let system = config.system.clone();
    let look_every = (system != System::default()).then_some(LOOK_AT_A_SIMULATION);
    keeper::start_with(KeeperSettings { system, look_every }, wanted.flatten().collect(), memory)
}

/// All devices with a device file. What shares a line has the name of the first on it.
pub(super) fn named(config: &Config) -> Vec<(DeviceName, DeviceClass, &DevicePlace)> {
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

/// What the configuration binds by a device file, which is whatever is there: name and file.
pub(super) fn bound_by_files(config: &Config) -> Vec<(DeviceName, PathBuf)> {
    let by_file = |(name, _class, place): (DeviceName, DeviceClass, &DevicePlace)| match place {
        DevicePlace::File(path) => Some((name, path.clone())),
        DevicePlace::Selected(..) | DevicePlace::Kept(_) => None,
    };
    named(config).into_iter().filter_map(by_file).collect()
}

/// What the configuration has at a serial port that is built into the box (`ttyS0`), by its path or by its name.
pub(super) fn at_port(config: &Config, tty: &str) -> Vec<DeviceName> {
    let is_there = |place: &DevicePlace| match place {
        DevicePlace::File(path) => *path == Path::new("/dev").join(tty),
        DevicePlace::Selected(selector, _) => matches!(selector, Selector::Tty(name) if name == tty),
        DevicePlace::Kept(_) => false,
    };
    named(config).into_iter().filter(|(_, _, place)| is_there(place)).map(|(name, ..)| name).collect()
}

/// Under which name a bus is kept.
pub(super) fn bus_name(settings: &BusSettings) -> Option<DeviceName> {
    on_line(settings).next().cloned()
}

/// All that hangs on a line.
pub(super) fn on_line(settings: &BusSettings) -> impl Iterator<Item = &DeviceName> {
    let sensors = settings.sensors.iter().map(|sensor| &sensor.name);
    sensors.chain(settings.inputs.iter().map(|input| &input.name))
}

/// What people call what shares its line: one question is about all of it.
pub(super) fn called(config: &Config) -> BTreeMap<DeviceName, String> {
    let words = config.buses.iter().filter_map(|bus| {
        let mut names = on_line(&bus.settings);
        let first = names.next()?.clone();
        let others: Vec<_> = names.map(DeviceName::as_str).collect();
        let (last, before) = others.split_last()?;
        let others = match before.is_empty() {
            true => (*last).to_owned(),
            false => format!("{} and {last}", before.join(", ")),
        };
        let words = format!("{first} (with {others} on its line)");
        Some((first, words))
    });
    words.collect()
}

/// What is remembered of the devices. What was learned of a scanner goes before another has its name.
#[derive(Debug)]
pub(super) struct Remembering {
    pub(super) files: DeviceFiles,
    pub(super) scanners: watch::Receiver<BTreeMap<String, ScannerEnd>>,
}

impl Memory for Remembering {
    fn keep<'a>(&'a self, bound: &'a [(DeviceName, Binding)]) -> Kept<'a> {
        Box::pin(async move {
            if bound.is_empty() {
                return Ok(());
            }
            let scanners = self.scanners.borrow().clone();
            let (files, all, ends) = (self.files.clone(), bound.to_vec(), scanners.clone());
            let kept = tokio::task::spawn_blocking(move || write(&files, all, &ends));
            let strangers = match kept.await {
                Ok(kept) => kept.map_err(|error| error.to_string())?,
                Err(panicked) => return Err(panicked.to_string()),
            };
            for name in strangers {
                if let Some(scanner) = scanners.get(&name) {
                    distrust(&name, scanner).await;
                }
            }
            Ok(())
        })
    }
}

/// Writes the bindings; returns the scanners that are others than before, of which nothing is known any more. That goes
/// first: a cut in between makes a scanner learn once more, and never believes a stranger.
fn write(
    files: &DeviceFiles,
    bound: Vec<(DeviceName, Binding)>,
    scanners: &BTreeMap<String, ScannerEnd>,
) -> Result<BTreeSet<String>, crate::durable_file::FileError> {
    let before = files.bindings();
    let mut strangers = BTreeSet::new();
    for (name, binding) in &bound {
        let known = before.get(name.as_str()).map(|before| &before.seen);
        let Some(scanner) = scanners.get(name.as_str()) else { continue };
        if known.is_some_and(|known| *known != binding.seen) {
            let stranger = ScannerRecord {
                address: scanner.written.clone(),
                learned: None,
                at: None,
                seen: Some(binding.seen.clone()),
            };
            files.learn(name.as_str(), stranger)?;
            strangers.insert(name.to_string());
        }
    }
    files.bind(bound.into_iter().map(|(name, binding)| (name.to_string(), binding)))?;
    Ok(strangers)
}

/// Waits until nothing that was known of the scanner before is in use any more.
pub(super) async fn distrust(name: &str, scanner: &ScannerEnd) {
    tracing::warn!(scanner = name, "another scanner stands there: it is not believed until it has learned");
    let (done, in_force) = oneshot::channel();
    // A scanner whose task has ended reads nothing.
    if scanner.orders.send(ScannerOrder::Distrust(done)).await.is_ok() {
        let _ended = in_force.await;
    }
}

/// Tells what a person has to decide.
pub(super) async fn watch(
    keeper: Arc<Keeper>,
    mut changes: mpsc::Receiver<Change>,
    called: BTreeMap<DeviceName, String>,
    counter: Counter,
) {
    let words = |name: &DeviceName| called.get(name).cloned().unwrap_or_else(|| name.to_string());
    let mut asked = keeper.questions();
    loop {
        let change = tokio::select! {
            change = changes.recv() => change,
            changed = asked.changed() => {
                if changed.is_err() {
                    return;
                }
                let asks: Vec<String> = asked
                    .borrow_and_update()
                    .iter()
                    .filter(|(_, asked)| !asked.left_alone)
                    .map(|(name, _)| words(name))
                    .collect();
                counter.tell(Event::DevicesAsk(asks)).await;
                continue;
            }
        };
        match change {
            None => return,
            Some(Change::Asks { name, question }) => {
                tell(&counter, &name, format!("{} {TO_DECIDE}", question.words(&name, words))).await;
            }
            Some(Change::Flaps { name }) => {
                let words = "it comes and goes too often and is left alone until it has kept still: check its cable and its plug";
                tell(&counter, &name, words.to_owned()).await;
            }
            // Kept before it was told; the rest the driver tells itself, as the device is opened or goes.
            Some(
                Change::Bound { .. }
                | Change::Came { .. }
                | Change::Went { .. }
                | Change::Moved { .. }
                | Change::Rested { .. },
            ) => {}
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

/// Notes since when each device is as it is.
pub(super) async fn note_since(
    counter: Counter,
    clock: Arc<Clock>,
    since: watch::Sender<BTreeMap<String, UnixMillis>>,
) {
    let views = counter.tills().first().and_then(|till| counter.watch(&till.id));
    let Some(mut views) = views else { return std::future::pending().await };
    let mut before: BTreeMap<String, DeviceState> = BTreeMap::new();
    loop {
        let devices = views.borrow_and_update().devices.clone();
        let now = clock.wall();
        since.send_if_modified(|since| {
            let mut changed = false;
            for device in &devices {
                if before.insert(device.name.clone(), device.state) != Some(device.state) {
                    since.insert(device.name.clone(), now);
                    changed = true;
                }
            }
            changed
        });
        if views.changed().await.is_err() {
            // The counter has ended: the box ends.
            return std::future::pending().await;
        }
    }
}
