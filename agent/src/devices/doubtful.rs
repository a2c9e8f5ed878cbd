//! A device about which a person is asked shows itself, whatever its name turns out to be: its driver is started for a moment
//! at the socket in question, apart from all that uses names.

use std::time::Duration;

use pestle_drivers::{
    device::DeviceEvent,
    find::{change::Spot, identify},
    line::place::DevicePlace,
    printer::{self, render::Artwork, start::PrinterSettings},
    scanner::{self, ScannerEvent, start::ScannerSettings},
    sensor::{Sensor as _, bus, input::Input as _, settings::BusSettings},
};
use tokio::time::{self, Instant};

use super::trial::{self, Tried};

/// How often the lamps of an adapter flicker and rest.
const FLICKERS: u32 = 8;

/// A device as it is configured, to be opened elsewhere than its name leads to.
#[derive(Debug, Clone)]
pub(super) enum Doubtful {
    /// It prints where it is.
    Printer(PrinterSettings),
    /// What it reads is shown, and sells nothing.
    Scanner(ScannerSettings),
    /// The lamps of its adapter flicker.
    Line(BusSettings),
}

impl Doubtful {
    /// What is being done meanwhile, for the page.
    pub(super) fn doing(&self) -> &'static str {
        match self {
            Self::Printer(_) => "what stands in its socket prints where it is",
            Self::Scanner(_) => {
                "scan anything with what stands in its socket: it stands here and sells nothing"
            }
            Self::Line(_) => "the lamps of what stands in its socket flicker and rest in turns",
        }
    }

    /// Does it once at this place.
    pub(super) async fn show(self, spot: &Spot, wait: Duration, artwork: Artwork) -> Tried {
        let (place, socket) = (DevicePlace::File(spot.file.clone()), spot.socket());
        match self {
            Self::Printer(settings) => {
                let document = identify::mark_of_socket(settings.name(), &socket);
                match printer::start::start(settings.at(place), artwork) {
                    Ok((printer, _events)) => trial::print(&*printer, document, "where it is").await,
                    Err(error) => Tried::Broken(error.to_string()),
                }
            }
            Self::Scanner(mut settings) => {
                settings.address = settings.address.at(place);
                read(settings, &socket, wait).await
            }
            Self::Line(mut settings) => {
                settings.line = settings.line.at(place);
                flicker(settings, &socket).await
            }
        }
    }
}

/// The first scan of what stands there.
async fn read(settings: ScannerSettings, socket: &str, wait: Duration) -> Tried {
    let mut scanner = scanner::start::start(settings);
    let end = Instant::now() + wait;
    loop {
        match time::timeout_at(end, scanner.next()).await {
            Ok(Some(ScannerEvent::Scan(scan))) => {
                return Tried::Works(format!(
                    "the scanner in your hand is at {socket}: {}",
                    trial::scan_words(&scan)
                ));
            }
            Ok(Some(ScannerEvent::Device {
                event: DeviceEvent::Fault { reason } | DeviceEvent::Lost { reason },
                ..
            })) => {
                return Tried::Away(reason);
            }
            Ok(Some(_)) => {}
            Ok(None) => {
                return Tried::Broken("its driver has ended; this is a fault of the program".to_owned());
            }
            Err(_elapsed) => {
                let seconds = wait.as_secs();
                return Tried::CannotTell(format!(
                    "nothing was read at {socket} in {seconds} s: the scanner in your hand is another"
                ));
            }
        }
    }
}

async fn flicker(settings: BusSettings, socket: &str) -> Tried {
    let bus = bus::start(settings);
    let ask = || async {
        // What is said there counts for nobody.
        match (bus.sensors.first(), bus.inputs.first()) {
            (Some(sensor), _) => drop(sensor.sample().await),
            (None, Some(input)) => drop(input.read().await),
            (None, None) => {}
        }
    };
    identify::blink(ask, FLICKERS).await;
    bus.handle.release().await;
    Tried::CannotTell(format!("the lamps of the adapter at {socket} flickered: look which one it was"))
}
