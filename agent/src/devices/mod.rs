//! The devices of this box: opened as configured, their scans brought to the right till, their state to the pages and
//! into the journal.
//!
//! [`names`] keeps who stands behind a name, [`kept`] what is remembered of it, [`swapped`] sees what the finder cannot keep,
//! [`other_kind`] a scanner that is set up as another kind;
//! [`scanner`] sells, is tried and learns, [`contacts`] are doors and mains. For the page: [`desk`] is the handle, [`changes`] what a page waits for, [`board`] what it shows
//! of those that are [`listed`], [`questions`] what is asked, [`work`] what is done by hand, [`trial`] how a device is tried, and
//! [`picture`] papers as pictures; [`doubtful`] lets a device show itself about which a person is asked.

pub mod board;
pub mod changes;
mod contacts;
pub mod desk;
mod doubtful;
pub mod kept;
pub mod listed;
mod names;
pub mod other_kind;
pub mod page_scanners;
pub mod picture;
pub mod questions;
pub mod scanner;
mod swapped;
pub mod trial;
pub mod work;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use pestle_domain::{
    fact::{DeviceAttached, DeviceFault, DeviceLost, FactBody},
    ids::TillId,
};
use pestle_drivers::{
    device::{DeviceEvent, DeviceName},
    find::{device::DeviceClass, keeper::Keeper, sysfs},
    line::place::DevicePlace,
    printer::{
        self, Printer, PrinterEvent, PrinterStatus,
        render::{Artwork, fonts::Fonts, pictures::Pictures},
        start::PrinterKind,
    },
    scanner::start::ScannerAddress,
    sensor::{Sensor, bus, input::Input},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::{self, MissedTickBehavior},
};

use desk::{Desk, Devices, LineEnd, PrinterEnd};
use doubtful::Doubtful;
use kept::DeviceFiles;
use listed::{Kind, Listed};
use names::Remembering;
use scanner::ScannerParts;
use work::WorkBoard;

use crate::{
    clock::Clock,
    config::{self, Config, Scanner, SensorBus},
    counter::{
        handle::Counter,
        machine::Event,
        view::{DeviceState, DeviceView},
    },
    spool::task::{self as spool, Orders},
};

/// Opens all devices of the configuration. They work until the returned set is dropped or aborted; a device that is not
/// there is told, and used when it comes. Must be called within a tokio runtime.
pub fn start(
    config: &Config,
    mut orders: Orders,
    counter: &Counter,
    clock: &Arc<Clock>,
) -> (JoinSet<()>, Devices) {
    let mut tasks = JoinSet::new();
    let files = DeviceFiles::of(&config.data_dir);
    if let Some(what) = files.damage() {
        tasks.spawn(tell_trouble(counter.clone(), "names of the devices".to_owned(), "device", what));
    }
    let called = names::called(config);
    let (scanners_out, scanners) = watch::channel(BTreeMap::new());
    let memory = Arc::new(Remembering { files: files.clone(), scanners });
    let (keeper, changes) = names::keep(config, &files, &called, memory);
    let keeper = Arc::new(keeper);
    let board = WorkBoard::default();
    let mut scanners = BTreeMap::new();
    for one in &config.scanners {
        let parts = scanner_parts(one, config, &keeper, (&files, &board), counter, clock);
        let (end, task) = scanner::scanner(parts);
        tasks.spawn(task);
        scanners.insert(one.settings.name.to_string(), end);
    }
    scanners_out.send_replace(scanners.clone());
    let artwork = artwork(&config.artwork);
    let printers = config
        .printers
        .iter()
        .filter_map(|one| start_printer(one, &keeper, artwork.clone(), &mut orders, counter, &mut tasks));
    let printers = printers.collect();
    let lines = config.buses.iter().cloned();
    let lines = lines.filter_map(|bus| start_bus(bus, &keeper, counter, &mut tasks)).collect();
    let paths = paths(config);
    tasks.spawn(swapped::watch(keeper.clone(), paths, files, scanners.clone()));
    tasks.spawn(names::watch(keeper.clone(), changes, called.clone(), counter.clone()));
    let (since_out, since) = watch::channel(BTreeMap::new());
    tasks.spawn(names::note_since(counter.clone(), clock.clone(), since_out));
    let (counter, clock) = (counter.clone(), clock.clone());
    let listed = listed(config);
    let doubtful = doubtful(config);
    let desk = Desk {
        listed,
        called,
        keeper,
        scanners,
        printers,
        lines,
        doubtful,
        board,
        since,
        artwork,
        counter,
        clock,
    };
    (tasks, Devices::new(desk))
}

/// Each device as it is configured, by the name under which the page lists it.
fn doubtful(config: &Config) -> BTreeMap<String, Doubtful> {
    let scanners = config
        .scanners
        .iter()
        .map(|one| (one.settings.name.to_string(), Doubtful::Scanner(one.settings.clone())));
    let printers = config
        .printers
        .iter()
        .map(|one| (one.settings.name().to_string(), Doubtful::Printer(one.settings.clone())));
    let lines = config.buses.iter().filter_map(|bus| {
        Some((names::bus_name(&bus.settings)?.to_string(), Doubtful::Line(bus.settings.clone())))
    });
    scanners.chain(printers).chain(lines).collect()
}

/// Scanners that are bound by a path, whose device the finder does not keep.
fn paths(config: &Config) -> BTreeMap<String, PathBuf> {
    let paths = config.scanners.iter().filter_map(|one| match one.settings.address.place()? {
        (DevicePlace::File(path), _) => Some((one.settings.name.to_string(), path.clone())),
        _ => None,
    });
    paths.collect()
}

fn scanner_parts(
    one: &Scanner,
    config: &Config,
    keeper: &Arc<Keeper>,
    (files, board): (&DeviceFiles, &WorkBoard),
    counter: &Counter,
    clock: &Arc<Clock>,
) -> ScannerParts {
    let Scanner { till, mut settings } = one.clone();
    let written = settings.address.to_string();
    let mut known = kept::take_known(&mut settings, files);
    if settings.learned.is_none() && settings.proved && settings.framing.suffixes.is_empty() {
        tracing::warn!(
            scanner = %settings.name,
            "a scanner without a suffix is never believed for lot and serial: set its suffix up, and say so in the configuration"
        );
    }
    let path = match settings.address.place() {
        Some((DevicePlace::File(path), _)) => Some(path.clone()),
        _ => None,
    };
    // While the box was off, another scanner may have been plugged in at the path.
    let was = known.as_ref().and_then(|known| known.seen.clone());
    let now = path.as_ref().filter(|_| was.is_some()).and_then(|path| {
        sysfs::scan(&config.system).ok().and_then(|attached| swapped::stands_at(path, &attached))
    });
    if let (Some(was), Some(now), Some(known)) = (&was, now, &mut known)
        && !was.looks_like(&now.looks)
    {
        tracing::warn!(scanner = %settings.name, "another scanner stands there: it is not believed until it has learned");
        known.learned = None;
        settings.learned = None;
        settings.proved = false;
    }
    let (name, keeper_of, files_of) = (settings.name.clone(), keeper.clone(), files.clone());
    let stands_there = move || match &path {
        Some(path) => swapped::stands_at(path, &keeper_of.attached().borrow()).map(|stands| stands.looks),
        None => files_of.bindings().remove(name.as_str()).map(|binding| binding.seen),
    };
    if let Some(place) = keeper.place(&settings.name) {
        settings.address = settings.address.at(DevicePlace::Kept(place));
    }
    ScannerParts {
        till,
        settings,
        written,
        known,
        files: files.clone(),
        board: board.clone(),
        counter: counter.clone(),
        clock: clock.clone(),
        stands_there: Arc::new(stands_there),
    }
}

/// The devices as the page lists them, in the order of the configuration.
fn listed(config: &Config) -> Vec<Listed> {
    let path = |place: Option<(&DevicePlace, DeviceClass)>| match place {
        Some((DevicePlace::File(path), _)) => Some(path.clone()),
        _ => None,
    };
    let till_name =
        |id: &TillId| config.tills.iter().find(|till| till.id == *id).map(|till| till.name.clone());
    let one = |name: &DeviceName, kind, till: Option<&TillId>, address: String, path| Listed {
        name: name.to_string(),
        keeper_name: name.to_string(),
        kind,
        till: till.cloned(),
        till_name: till.and_then(till_name),
        address,
        path,
        members: Vec::new(),
        papers: BTreeMap::new(),
    };
    let scanners = config.scanners.iter().map(|Scanner { till, settings }| {
        let kind = match settings.address {
            ScannerAddress::Line(_) => Kind::SerialScanner,
            ScannerAddress::Keyboard(_) => Kind::KeyboardScanner,
        };
        let address = settings.address.to_string();
        one(&settings.name, kind, Some(till), address, path(settings.address.place()))
    });
    let printers = config.printers.iter().map(|config::Printer { till, settings, .. }| {
        let kind = match settings.kind() {
            PrinterKind::EscPos => Kind::ReceiptPrinter,
            PrinterKind::Zpl => Kind::LabelPrinter,
            PrinterKind::Ipp => Kind::PagePrinter,
        };
        let place = settings.line().and_then(pestle_drivers::line::LineAddress::place);
        one(settings.name(), kind, Some(till), settings.to_string(), path(place))
    });
    let lines = config.buses.iter().filter_map(|bus| {
        let settings = &bus.settings;
        let name = names::bus_name(settings)?;
        let members = names::on_line(settings).map(ToString::to_string).collect();
        let listed =
            one(&name, Kind::SensorLine, None, settings.line.to_string(), path(settings.line.place()));
        let papers = settings
            .sensors
            .iter()
            .filter_map(|sensor| Some((sensor.name.to_string(), sensor.calibration.as_ref()?.to_string())));
        Some(Listed { members, papers: papers.collect(), ..listed })
    });
    scanners.chain(printers).chain(lines).collect()
}

/// What the configuration binds by a device file, and by which. Nobody is asked when such a device was exchanged, and it is not
/// rested when it comes and goes: only what is named by what stays is kept.
pub fn bound_by_files(config: &Config) -> Vec<(DeviceName, PathBuf)> {
    names::bound_by_files(config)
}

/// What the configuration has at a serial port that is built into the box (`ttyS0`), by its path or by its name.
pub fn at_port(config: &Config, tty: &str) -> Vec<DeviceName> {
    names::at_port(config, tty)
}

/// What papers are drawn with; nothing is loaded before the first letter that needs it.
pub fn artwork(config: &crate::config::Artwork) -> Artwork {
    Artwork {
        fonts: Fonts::in_folders(config.fonts.clone()),
        pictures: Pictures::in_folder(config.pictures.clone()),
    }
}

fn start_printer(
    one: &config::Printer,
    keeper: &Keeper,
    artwork: Artwork,
    orders: &mut Orders,
    counter: &Counter,
    tasks: &mut JoinSet<()>,
) -> Option<(String, PrinterEnd)> {
    let name = one.settings.name().to_string();
    let settings = match keeper.place(one.settings.name()) {
        Some(place) => one.settings.clone().at(DevicePlace::Kept(place)),
        None => one.settings.clone(),
    };
    let (printer, events) = match printer::start::start(settings, artwork) {
        Ok(started) => started,
        Err(error) => {
            // The configuration was checked for this.
            tracing::error!(printer = name, %error, "this printer cannot be used as it is configured");
            let detail = format!(
                "it cannot be used as it is configured ({error}): correct its table in agent.toml, or call support"
            );
            tasks.spawn(tell_trouble(counter.clone(), name, "printer", detail));
            return None;
        }
    };
    tasks.spawn(watch_printer(printer.clone(), events, counter.clone()));
    if let Some(orders) = orders.remove(&name) {
        tasks.spawn(spool::watch_status(printer.clone(), counter.clone()));
        tasks.spawn(spool::run(printer.clone(), orders, counter.clone()));
    }
    let (till, settings) = (one.till.clone(), one.settings.clone());
    Some((name, PrinterEnd { till, settings, printer, buzzer: one.buzzer }))
}

fn start_bus(
    bus: SensorBus,
    keeper: &Keeper,
    counter: &Counter,
    tasks: &mut JoinSet<()>,
) -> Option<(String, LineEnd)> {
    let name = names::bus_name(&bus.settings)?.to_string();
    let SensorBus { mut settings, intervals, settling } = bus;
    if let Some(place) = names::bus_name(&settings).and_then(|name| keeper.place(&name)) {
        settings.line = settings.line.at(DevicePlace::Kept(place));
    }
    let bus::Bus { sensors, inputs, events, .. } = bus::start(settings);
    tasks.spawn(watch_bus(events, counter.clone()));
    let mut line = None;
    for (sensor, (_name, every)) in sensors.into_iter().zip(intervals) {
        let sensor: Arc<dyn Sensor> = Arc::new(sensor);
        line.get_or_insert_with(|| LineEnd::Sensor(sensor.clone()));
        tasks.spawn(sample(sensor, every, counter.clone()));
    }
    for (input, settle) in inputs.into_iter().zip(settling) {
        let input: Arc<dyn Input> = Arc::new(input);
        line.get_or_insert_with(|| LineEnd::Contact(input.clone()));
        tasks.spawn(contacts::watch(input, settle, counter.clone()));
    }
    Some((name, line?))
}

/// Tells the tills of something that stays wrong until somebody mends it and the agent starts again.
async fn tell_trouble(counter: Counter, name: String, class: &'static str, detail: String) {
    let view = DeviceView { name, class: class.into(), state: DeviceState::Trouble, detail: Some(detail) };
    counter.tell(Event::Device(view, None)).await;
}

async fn watch_printer(
    printer: Arc<dyn Printer>,
    mut events: mpsc::Receiver<PrinterEvent>,
    counter: Counter,
) {
    let name = printer.name().to_string();
    let mut status = printer.status();
    loop {
        tokio::select! {
            event = events.recv() => match event {
                None => return,
                Some(PrinterEvent::Device(event)) => {
                    let (view, fact) = device_change("printer", &name, &event);
                    // A line that is open says nothing of paper and cover; the status does, and may have come first.
                    let view = match event {
                        DeviceEvent::Attached => printer_view(&name, &status.borrow()),
                        DeviceEvent::Lost { .. } | DeviceEvent::Fault { .. } => view,
                    };
                    counter.tell(Event::Device(view, Some(fact))).await;
                }
                Some(late) => if let Some(process) = spool::late(&late) {
                    counter.tell(Event::PrintFinishedLate(name.clone(), process)).await;
                },
            },
            changed = status.changed() => {
                if changed.is_err() {
                    return;
                }
                let view = printer_view(&name, &status.borrow_and_update());
                counter.tell(Event::Device(view, None)).await;
            }
        }
    }
}

fn printer_view(name: &str, status: &PrinterStatus) -> DeviceView {
    let (state, detail) = match (status, status.ready()) {
        (PrinterStatus::Away { .. } | PrinterStatus::Starting, Err(reason)) => {
            (DeviceState::Away, Some(reason.to_string()))
        }
        (_, Err(reason)) => (DeviceState::Trouble, Some(reason.to_string())),
        (PrinterStatus::Mute, Ok(())) => {
            (DeviceState::Ok, Some("it cannot say whether it printed: look at the paper".into()))
        }
        (_, Ok(())) => match status.notice() {
            Some(notice) => (DeviceState::Trouble, Some(notice)),
            None => (DeviceState::Ok, None),
        },
    };
    DeviceView { name: name.into(), class: "printer".into(), state, detail }
}

async fn watch_bus(mut events: mpsc::Receiver<pestle_drivers::sensor::SensorEvent>, counter: Counter) {
    while let Some(told) = events.recv().await {
        counter.tell(device_event("sensor", told.source.as_str(), &told.event)).await;
    }
}

async fn sample(sensor: Arc<dyn Sensor>, every: Duration, counter: Counter) {
    let name = sensor.name().to_string();
    let mut tick = time::interval(every);
    // After a suspension one reading is enough.
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let reading = sensor.read().await;
        counter.tell(Event::Reading(name.clone(), reading)).await;
    }
}

fn device_event(class: &str, name: &str, event: &DeviceEvent) -> Event {
    let (view, fact) = device_change(class, name, event);
    Event::Device(view, Some(fact))
}

fn device_change(class: &str, name: &str, event: &DeviceEvent) -> (DeviceView, FactBody) {
    let (named, classed): (Box<str>, Box<str>) = (name.into(), class.into());
    let (state, detail, fact): (_, _, FactBody) = match event {
        DeviceEvent::Attached => {
            (DeviceState::Ok, None, DeviceAttached { name: named, class: classed }.into())
        }
        DeviceEvent::Lost { reason } => {
            let fact = DeviceLost { name: named, class: classed, reason: reason.as_str().into() };
            (DeviceState::Away, Some(reason.clone()), fact.into())
        }
        DeviceEvent::Fault { reason } => {
            let fact = DeviceFault { name: named, class: classed, reason: reason.as_str().into() };
            (DeviceState::Away, Some(reason.clone()), fact.into())
        }
    };
    (DeviceView { name: name.into(), class: class.into(), state, detail }, fact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printer_without_paper_is_in_trouble_and_says_what_to_do() {
        let view = printer_view("printer-1", &PrinterStatus::Away { reason: "unplugged".into() });
        assert_eq!(view.state, DeviceState::Away);
        let condition = pestle_drivers::printer::status::Condition {
            paper: pestle_drivers::printer::status::Paper::Out,
            ..Default::default()
        };
        let view = printer_view("printer-1", &PrinterStatus::Here(condition));
        assert_eq!(view.state, DeviceState::Trouble);
        assert!(view.detail.is_some_and(|text| text.contains("put in a new roll")));
    }
}
