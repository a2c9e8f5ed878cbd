//! The devices of this box: opened as configured, their scans brought to the right till, their state to the pages and
//! into the journal.

mod contacts;
pub mod kept;
mod names;
pub mod page_scanners;

use std::{sync::Arc, time::Duration};

use pestle_domain::{
    fact::{DeviceAttached, DeviceFault, DeviceLost, FactBody},
    ids::TillId,
};
use pestle_drivers::{
    device::DeviceEvent,
    find::keeper::Keeper,
    printer::{
        self, Printer, PrinterEvent, PrinterStatus,
        render::{Artwork, fonts::Fonts, pictures::Pictures},
    },
    scanner::{self, ScannerEvent, framing::Rejection},
    sensor::{Sensor, bus},
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{self, MissedTickBehavior},
};

use kept::DeviceFiles;

use crate::{
    config::{self, Config, Scanner, SensorBus},
    counter::{
        handle::Counter,
        live::Scanned,
        machine::Event,
        view::{DeviceState, DeviceView},
    },
    spool::task::{self as spool, Orders},
};

/// Opens all devices of the configuration. They work until the returned set is dropped or aborted; a device that is not
/// there is told, and used when it comes. Must be called within a tokio runtime.
pub fn start(config: &Config, mut orders: Orders, counter: &Counter) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let files = DeviceFiles::of(&config.data_dir);
    let (keeper, changes) = names::keep(config, &files);
    for Scanner { till, mut settings } in config.scanners.iter().cloned() {
        settings.learned = files.learned(settings.name.as_str(), &settings.address.to_string());
        if settings.learned.is_none() && settings.proved && settings.framing.suffixes.is_empty() {
            tracing::warn!(
                scanner = %settings.name,
                "a scanner without a suffix is never believed for lot and serial: set its suffix up, and say so in the configuration"
            );
        }
        if let Some(place) = keeper.place(&settings.name) {
            settings.address = settings.address.kept(place);
        }
        tasks.spawn(read_scanner(scanner::start::start(settings), till, counter.clone()));
    }
    let artwork = artwork(&config.artwork);
    for one in &config.printers {
        start_printer(one, &keeper, artwork.clone(), &mut orders, counter, &mut tasks);
    }
    for bus in config.buses.iter().cloned() {
        start_bus(bus, &keeper, counter, &mut tasks);
    }
    tasks.spawn(names::watch(keeper, changes, files, counter.clone()));
    tasks
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
) {
    let name = one.settings.name().to_string();
    let settings = match keeper.place(one.settings.name()) {
        Some(place) => one.settings.clone().kept(place),
        None => one.settings.clone(),
    };
    let (printer, events) = match printer::start::start(settings, artwork) {
        Ok(started) => started,
        Err(error) => {
            // The configuration was checked for this.
            tracing::error!(printer = name, %error, "this printer cannot be used as it is configured");
            return;
        }
    };
    tasks.spawn(watch_printer(printer.clone(), events, counter.clone()));
    if let Some(orders) = orders.remove(&name) {
        tasks.spawn(spool::watch_status(printer.clone(), counter.clone()));
        tasks.spawn(spool::run(printer, orders, counter.clone()));
    }
}

fn start_bus(bus: SensorBus, keeper: &Keeper, counter: &Counter, tasks: &mut JoinSet<()>) {
    let SensorBus { mut settings, intervals, settling } = bus;
    if let Some(place) = names::bus_name(&settings).and_then(|name| keeper.place(&name)) {
        settings.line = settings.line.kept(place);
    }
    let bus::Bus { sensors, inputs, events, .. } = bus::start(settings);
    tasks.spawn(watch_bus(events, counter.clone()));
    for (sensor, (_name, every)) in sensors.into_iter().zip(intervals) {
        tasks.spawn(sample(Arc::new(sensor), every, counter.clone()));
    }
    for (input, settle) in inputs.into_iter().zip(settling) {
        tasks.spawn(contacts::watch(Arc::new(input), settle, counter.clone()));
    }
}

async fn read_scanner(mut scanner: Box<dyn scanner::Scanner>, till: TillId, counter: Counter) {
    while let Some(event) = scanner.next().await {
        match event {
            ScannerEvent::Scan(scan) => {
                let scanned = Scanned { bytes: scan.bytes, proved: scan.proved };
                counter.tell(Event::Scanned(till.clone(), scanned)).await;
            }
            ScannerEvent::Rejected { rejection, .. } => {
                counter.tell(Event::ScanRejected(till.clone(), rejection_words(&rejection))).await;
            }
            ScannerEvent::Device { event, source } => {
                counter.tell(device_event("scanner", source.as_str(), &event)).await;
            }
        }
    }
}

/// For the page.
pub(crate) fn rejection_words(rejection: &Rejection) -> String {
    match rejection {
        Rejection::CutOff { .. } => {
            "That scan was cut off: scan again. If it comes back, check the scanner's cable.".into()
        }
        Rejection::TooLong { .. } | Rejection::Garbage { .. } | Rejection::Key { .. } => {
            format!("That was no barcode: {rejection}.")
        }
    }
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
