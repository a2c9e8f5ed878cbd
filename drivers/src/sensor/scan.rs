//! Looking for devices on a line whose addresses, or whose speed, nobody knows: for a technician, bounded in time. The line is
//! opened for this alone: one that is in use is refused by the system, with a sentence that says so.

use std::{fmt, ops::RangeInclusive, str::FromStr, time::Duration};

use tokio::time::Instant;

use super::{
    NoData,
    bus::{self, Bus, BusHandle},
    probe::{ProbeReport, probe},
    profile::SensorProfiles,
    register::{Function, Question},
    settings::{BusAddress, BusSettings, Framing},
};
use crate::line::{LineAddress, serial::SerialSettings};

/// Speeds at which sensors are delivered, the usual one first.
const SPEEDS: [u32; 4] = [9_600, 19_200, 4_800, 38_400];

/// Addresses that are looked at unless others are asked for. Devices are delivered with 1, and people count on from there.
pub const ADDRESSES: RangeInclusive<u8> = 1..=32;

/// How long a device may take to answer here. Sensors take some tens of milliseconds.
const PATIENCE: Duration = Duration::from_millis(150);

/// How long a scan lasts at the most unless told otherwise: the usual addresses at all speeds, with some devices found.
pub const SCAN_MAX: Duration = Duration::from_secs(180);

/// What is asked to see whether anybody is there: any answer will do, a refusal too. Some devices are silent to a function
/// that they do not know, so two are asked.
const KNOCKS: [Question; 2] = [
    Question { function: Function::Holding, register: 0, count: 1 },
    Question { function: Function::Input, register: 1, count: 1 },
];

/// What is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanPlan {
    /// The line in each way that it is opened, with how a configuration writes that.
    pub lines: Vec<(String, BusAddress)>,
    /// Addresses that are asked.
    pub addresses: RangeInclusive<u8>,
    /// How long the whole may take.
    pub longest: Duration,
}

impl ScanPlan {
    /// The usual addresses on these lines.
    #[must_use]
    pub fn on(lines: Vec<(String, BusAddress)>) -> ScanPlan {
        ScanPlan { lines, addresses: ADDRESSES, longest: SCAN_MAX }
    }

    /// The usual addresses on a serial line at each of the usual speeds; its parity is as it is.
    #[must_use]
    pub fn at_each_speed(settings: &SerialSettings) -> ScanPlan {
        let at = |baud: &u32| settings.clone().with_baud(*baud).ok();
        let lines = SPEEDS.iter().filter_map(at).map(|settings| {
            let line = LineAddress::Serial(settings);
            (line.written(), BusAddress { line, framing: Framing::Rtu })
        });
        ScanPlan::on(lines.collect())
    }
}

/// The usual addresses on a line as a configuration writes it. A serial line may be a mere file or name, and where its speed is
/// not written it is opened with each of the usual ones; a converter or a gateway has its own.
impl FromStr for ScanPlan {
    type Err = String;

    fn from_str(text: &str) -> Result<ScanPlan, String> {
        let is_bare =
            text.starts_with('/') || ["usb:", "usb-port:", "tty:"].iter().any(|kind| text.starts_with(kind));
        let text = if is_bare { format!("serial:{text}") } else { text.to_owned() };
        let address: BusAddress = text.parse()?;
        Ok(match &address.line {
            LineAddress::Serial(settings) if !text.contains("baud=") => ScanPlan::at_each_speed(settings),
            _ => ScanPlan::on(vec![(text, address)]),
        })
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanReport {
    /// Each device, with how its line was opened.
    pub found: Vec<(String, ProbeReport)>,
    /// What was not looked at.
    pub left_out: Vec<LeftOut>,
}

/// A part of the plan that was not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The line as it would have been opened.
    pub line: String,
    /// Which addresses.
    pub addresses: RangeInclusive<u8>,
    /// Why.
    pub why: WhyNot,
}

/// Why something was not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhyNot {
    /// The time was up.
    TimeUp,
    /// The line could not be opened in this way: a sentence that says what to do.
    NotOpened(String),
}

/// Looks for devices and probes each that answers. A line that opens in one way and not in another, such as an adapter that does not
/// know each speed or that was pulled meanwhile, is looked at where it opens, and the report says the rest.
///
/// # Errors
/// The line opens in none of the ways, most often since it is in use: a sentence that says what to do.
pub async fn scan(plan: &ScanPlan, profiles: &SensorProfiles) -> Result<ScanReport, String> {
    let end = Instant::now() + plan.longest;
    let mut report = ScanReport { found: Vec::new(), left_out: Vec::new() };
    let mut opened = false;
    let mut refused = None;
    for (called, address) in &plan.lines {
        let left_out = |addresses, why| LeftOut { line: called.clone(), addresses, why };
        let bus = match open(address).await {
            Ok(bus) => bus,
            Err(why) => {
                refused.get_or_insert_with(|| why.clone());
                report.left_out.push(left_out(plan.addresses.clone(), WhyNot::NotOpened(why)));
                continue;
            }
        };
        opened = true;
        for slave in plan.addresses.clone() {
            if Instant::now() >= end {
                report.left_out.push(left_out(slave..=*plan.addresses.end(), WhyNot::TimeUp));
                break;
            }
            if is_there(&bus.handle, slave).await {
                report.found.push((called.clone(), probe(&bus.handle, slave, profiles).await));
            }
        }
        bus.handle.release().await;
    }
    match refused {
        Some(why) if !opened => Err(why),
        _ => Ok(report),
    }
}

/// The line with nobody on it yet.
async fn open(address: &BusAddress) -> Result<Bus, String> {
    // The owner tells only "gone"; here a person waits for the reason.
    drop(address.line.open().await?);
    let mut settings =
        BusSettings::at(address.clone(), Vec::new(), Vec::new()).map_err(|error| error.to_string())?;
    if settings.framing == Framing::Rtu {
        settings.answer_timeout = PATIENCE;
    }
    Ok(bus::start(settings))
}

async fn is_there(bus: &BusHandle, slave: u8) -> bool {
    for question in KNOCKS {
        match bus.ask(slave, question).await {
            Ok(_) | Err(NoData::Exception(_)) => return true,
            Err(_) => {}
        }
    }
    false
}

/// For a technician.
impl fmt::Display for ScanReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.found.is_empty() {
            f.write_str(
                "nobody answers: check the devices' power, swap the two bus wires, and look for the terminator",
            )?;
        }
        for (index, (called, report)) in self.found.iter().enumerate() {
            let between = if index == 0 { "" } else { "\n" };
            write!(f, "{between}{called}, {report}")?;
        }
        for LeftOut { line, addresses, why } in &self.left_out {
            let (first, last) = (addresses.start(), addresses.end());
            match why {
                WhyNot::TimeUp => {
                    write!(f, "\nnot looked at, since the time was up: {line}, addresses {first} to {last}")?
                }
                WhyNot::NotOpened(why) => write!(f, "\nnot looked at: {line}: {why}")?,
            }
        }
        Ok(())
    }
}
