//! The devices of a box, as its configuration names them.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use pestle_domain::{causes::with_causes, ids::TillId};
use pestle_drivers::{
    device::DeviceName,
    line::{LineAddress, serial::SerialSettings},
    printer::{
        driver::EscPosSettings,
        ipp::IppSettings,
        model::{PrinterModel, PrinterModels},
        start::{PrinterKind, PrinterSettings},
        zpl::{ZplSettings, model::ZplModels},
    },
    scanner::{
        framing::FramingRules,
        keyboard::layout::Layout,
        start::{ScannerAddress, ScannerSettings},
    },
    sensor::{
        calibration::Calibration,
        profile::{SensorProfile, SensorProfiles},
        settings::{BusAddress, BusSettings, Framing, InputSettings, SensorSettings},
    },
};

use super::raw;

/// A scanner.
#[derive(Debug, Clone)]
pub struct Scanner {
    /// Whose baskets it fills.
    pub till: TillId,
    /// For the driver.
    pub settings: ScannerSettings,
}

/// A printer. Each till may have one of each kind.
#[derive(Debug, Clone)]
pub struct Printer {
    /// Whose papers it prints.
    pub till: TillId,
    /// For the driver.
    pub settings: PrinterSettings,
    /// It sounds alarms.
    pub buzzer: bool,
}

/// A line with sensors and contacts, and how often each is asked.
#[derive(Debug, Clone)]
pub struct SensorBus {
    /// For the driver.
    pub settings: BusSettings,
    /// In the order of the settings' sensors.
    pub intervals: Vec<(DeviceName, Duration)>,
    /// How long a contact must stand before it is believed, in the order of the settings' inputs.
    pub settling: Vec<Duration>,
}

/// Where the branch's own models and profiles are, beside the built-in ones.
#[derive(Debug)]
pub(super) struct Known {
    printers: PrinterModels,
    label_printers: ZplModels,
    profiles: SensorProfiles,
}

impl Known {
    /// Those of the built-in ones that are asked for, and those of the branch's own files.
    pub(super) fn new(files: &OwnFiles<'_>, asked: &Asked<'_>) -> Result<Self, String> {
        let Asked { receipt_printers, label_printers, sensors } = asked;
        let mut profiles = SensorProfiles::built_in_of(sensors).map_err(|error| error.to_string())?;
        if let Some(more) = own_sensor_profiles(files.sensor_profiles)? {
            profiles = profiles.with(more);
        }
        let mut printers = PrinterModels::built_in_of(receipt_printers).map_err(|error| error.to_string())?;
        if let Some((name, text)) = own("printer_models", files.printer_models)? {
            let more =
                PrinterModels::parse(&text).map_err(|error| format!("{name}: {}", with_causes(&error)))?;
            printers = printers.with(more);
        }
        let mut label_printers = ZplModels::built_in_of(label_printers).map_err(|error| error.to_string())?;
        if let Some((name, text)) = own("label_printer_models", files.label_printer_models)? {
            let more = ZplModels::parse(&text).map_err(|error| format!("{name}: {}", with_causes(&error)))?;
            label_printers = label_printers.with(more);
        }
        Ok(Self { printers, label_printers, profiles })
    }
}

/// Which models and profiles a configuration names.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    receipt_printers: BTreeSet<&'a str>,
    label_printers: BTreeSet<&'a str>,
    sensors: BTreeSet<&'a str>,
}

impl<'a> Asked<'a> {
    /// By these printers, sensors and contacts.
    pub(super) fn by(
        printers: &'a [raw::Printer],
        sensors: &'a [raw::Sensor],
        inputs: &'a [raw::Input],
    ) -> Self {
        let of = |kind: PrinterKind| printers.iter().filter(move |one| one.kind == kind);
        let receipt_printer =
            |one: &'a raw::Printer| one.model.as_deref().unwrap_or(MODEL_OF_ANY_RECEIPT_PRINTER);
        let probes = sensors.iter().filter_map(|one| one.profile.as_deref());
        Self {
            receipt_printers: of(PrinterKind::EscPos).map(receipt_printer).collect(),
            label_printers: of(PrinterKind::Zpl).filter_map(|one| one.model.as_deref()).collect(),
            sensors: probes.chain(inputs.iter().map(|one| one.profile.as_str())).collect(),
        }
    }
}

/// The branch's own files of models and profiles, as far as it has any.
#[derive(Debug)]
pub(super) struct OwnFiles<'a> {
    pub(super) sensor_profiles: Option<&'a Path>,
    pub(super) printer_models: Option<&'a Path>,
    pub(super) label_printer_models: Option<&'a Path>,
}

/// Name and text of a file that `key` gives.
fn own(key: &str, file: Option<&Path>) -> Result<Option<(String, String)>, String> {
    let Some(file) = file else { return Ok(None) };
    let name = file.display().to_string();
    let text =
        std::fs::read_to_string(file).map_err(|error| format!("{key}: {name} cannot be read ({error})"))?;
    Ok(Some((name, text)))
}

/// The profiles of the branch's own file.
fn own_sensor_profiles(file: Option<&Path>) -> Result<Option<SensorProfiles>, String> {
    let read = |(name, text): (String, String)| {
        SensorProfiles::read(&name, &text).map_err(|error| error.to_string())
    };
    own("sensor_profiles", file)?.map(read).transpose()
}

/// The built-in profiles and those of the branch's own file.
pub(super) fn all_sensor_profiles(file: Option<&Path>) -> Result<SensorProfiles, String> {
    let built_in = SensorProfiles::built_in().map_err(|error| error.to_string())?;
    Ok(match own_sensor_profiles(file)? {
        Some(more) => built_in.with(more),
        None => built_in,
    })
}

/// What a receipt printer is taken for that the configuration does not name: it says "processed" in the way that nearly
/// all can. Taken for one that says more, a clone would end each receipt as unknown.
const MODEL_OF_ANY_RECEIPT_PRINTER: &str = "generic-80";

/// A serial line's `path` and `baud`, or an `address` of any kind: one of the two.
fn serial_or_address<Address>(
    address: Option<String>,
    path: Option<PathBuf>,
    baud: u32,
    from_line: impl FnOnce(LineAddress) -> Address,
) -> Result<Address, String>
where
    Address: std::str::FromStr<Err = String>,
{
    match (address, path) {
        (Some(address), None) => address.parse(),
        (None, Some(path)) => SerialSettings::new(path, baud)
            .map(|serial| from_line(LineAddress::Serial(serial)))
            .map_err(|error| error.to_string()),
        (None, None) => Err("it has neither address nor path: write where it is".to_owned()),
        (Some(_), Some(_)) => Err("it has both address and path: write one of them".to_owned()),
    }
}

pub(super) fn scanner(raw: raw::Scanner, name: DeviceName, till: TillId) -> Result<Scanner, String> {
    let said = |what: String| format!("scanner \"{name}\": {what}");
    let address = serial_or_address(raw.address, raw.path, raw.baud, ScannerAddress::Line).map_err(said)?;
    let layout: Layout =
        match raw.layout {
            None => Layout::Us,
            Some(layout) => layout.parse().map_err(
                |error: pestle_drivers::scanner::keyboard::layout::UnknownLayout| said(error.to_string()),
            )?,
        };
    if raw.proved && matches!(address, ScannerAddress::Keyboard(_)) {
        return Err(said(
            "a scanner that types is proved with the sheet of test codes alone: leave proved out".to_owned(),
        ));
    }
    let mut framing = FramingRules::default();
    if let Some(gap) = raw.idle_gap_ms {
        // Below it a busy box would cut scans; beyond it two scans of a person would be one.
        if !(20..=1_000).contains(&gap) {
            return Err(said(format!("idle_gap_ms is {gap}: write 20 to 1000 milliseconds")));
        }
        framing.idle_gap = Duration::from_millis(gap);
    }
    if let Some(suffix) = raw.suffix {
        framing.suffixes = suffix.bytes();
    }
    // A scanner that was set up or proved is known to send its suffix; what a silence ends was cut off.
    framing.needs_suffix = !framing.suffixes.is_empty() && (raw.suffix.is_some() || raw.proved);
    let settings = ScannerSettings { name, address, layout, framing, proved: raw.proved, learned: None };
    Ok(Scanner { till, settings })
}

pub(super) fn printer(
    raw: raw::Printer,
    name: DeviceName,
    till: TillId,
    known: &Known,
) -> Result<Printer, String> {
    let device = name.clone();
    let said = |what: String| format!("printer \"{device}\": {what}");
    let only_for =
        |what: &str, kind: &str| Err(said(format!("{what} is for printers of kind \"{kind}\" alone")));
    if raw.kind != PrinterKind::EscPos && raw.columns.is_some() {
        return only_for("columns", "escpos");
    }
    if raw.kind != PrinterKind::EscPos && raw.buzzer.is_some() {
        return only_for("buzzer", "escpos");
    }
    if raw.kind != PrinterKind::Zpl && raw.label.is_some() {
        return only_for("label", "zpl");
    }
    if raw.kind != PrinterKind::Ipp && (raw.paper.is_some() || raw.fingerprint.is_some()) {
        return only_for("paper and fingerprint", "ipp");
    }
    let line = |address: &str| address.parse::<LineAddress>().map_err(said);
    let mut buzzer = false;
    let settings = match raw.kind {
        PrinterKind::EscPos => {
            let model = raw.model.as_deref().unwrap_or(MODEL_OF_ANY_RECEIPT_PRINTER);
            let mut model = known.printers.get(model).map_err(|error| said(error.to_string()))?.clone();
            if let Some(columns) = raw.columns {
                if !(24..=64).contains(&columns) {
                    return Err(said(format!("columns is {columns}: receipt printers have 24 to 64")));
                }
                model.columns = columns;
            }
            buzzer = with_buzzer(&mut model, raw.buzzer).map_err(said)?;
            let address = line(&raw.address)?;
            PrinterSettings::EscPos(EscPosSettings { name, address, model, timeouts: Default::default() })
        }
        PrinterKind::Zpl => {
            let model = raw.model.as_deref().ok_or_else(|| {
                said("it has no model: write one, such as model = \"zebra-zd421-203\"".to_owned())
            })?;
            let model = known.label_printers.get(model).map_err(|error| said(error.to_string()))?.clone();
            let stock = raw.label.ok_or_else(|| {
                said(
                    "it has no label: write which labels are in it, such as label = { size = \"70x35\" }"
                        .to_owned(),
                )
            })?;
            stock.check(&model).map_err(|error| said(error.to_string()))?;
            let address = line(&raw.address)?;
            PrinterSettings::Zpl(ZplSettings { name, address, model, stock, timeouts: Default::default() })
        }
        PrinterKind::Ipp => {
            if raw.model.is_some() {
                return Err(said("office printers say themselves what they are: leave model out".to_owned()));
            }
            let address = raw.address.parse().map_err(said)?;
            let paper = raw.paper.unwrap_or(pestle_drivers::printer::ipp::raster::Paper::A4);
            let (fingerprint, timeouts) = (raw.fingerprint, Default::default());
            PrinterSettings::Ipp(IppSettings { name, address, fingerprint, paper, timeouts })
        }
    };
    Ok(Printer { till, settings, buzzer })
}

/// Whether a printer sounds alarms; a buzzer that is written takes the place of the model's.
fn with_buzzer(model: &mut PrinterModel, said: Option<raw::SaidBuzzer>) -> Result<bool, String> {
    match said {
        None | Some(raw::SaidBuzzer::AsTheModel(false)) => Ok(false),
        Some(raw::SaidBuzzer::AsTheModel(true)) if model.buzzer.is_some() => Ok(true),
        Some(raw::SaidBuzzer::AsTheModel(true)) => Err(
            "its model does not say how it is sounded, since a buzzer is an option of most: write it as its manual says, such as buzzer = { command = \"esc_b\", times = 3, duration = 4 }"
                .to_owned(),
        ),
        Some(raw::SaidBuzzer::AsWritten(buzzer)) => {
            model.buzzer = Some(buzzer);
            Ok(true)
        }
    }
}

/// Two printers of one kind at one till would leave open which of them prints.
pub(super) fn one_of_each_kind(printers: &[Printer]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for printer in printers {
        let kind = match printer.settings.kind() {
            PrinterKind::EscPos => "receipt",
            PrinterKind::Zpl => "label",
            PrinterKind::Ipp => "page",
        };
        if !seen.insert((&printer.till, kind)) {
            return Err(format!(
                "till \"{}\" has two {kind} printers: bind one of them to another till",
                printer.till
            ));
        }
    }
    Ok(())
}

/// At which most sensors are delivered; for one that no profile describes.
const USUAL_BAUD: u32 = 9_600;

/// A line while what hangs on it is collected.
struct Bus {
    address: BusAddress,
    sensors: Vec<SensorSettings>,
    inputs: Vec<InputSettings>,
    intervals: Vec<(DeviceName, Duration)>,
    settling: Vec<Duration>,
}

/// The lines of all sensors and contacts; what names the same line shares it.
pub(super) fn buses(
    sensors: Vec<(DeviceName, raw::Sensor)>,
    inputs: Vec<(DeviceName, raw::Input)>,
    known: &Known,
) -> Result<Vec<SensorBus>, String> {
    let mut buses: Vec<Bus> = Vec::new();
    for (name, raw) in sensors {
        add_sensor(&mut buses, name, raw, known)?;
    }
    for (name, raw) in inputs {
        add_input(&mut buses, name, raw, known)?;
    }
    let finished = buses.into_iter().map(|bus| {
        let settings =
            BusSettings::at(bus.address, bus.sensors, bus.inputs).map_err(|error| error.to_string())?;
        Ok(SensorBus { settings, intervals: bus.intervals, settling: bus.settling })
    });
    finished.collect()
}

fn add_sensor(buses: &mut Vec<Bus>, name: DeviceName, raw: raw::Sensor, known: &Known) -> Result<(), String> {
    let device = name.clone();
    let said = |what: String| format!("sensor \"{device}\": {what}");
    let profile = match (&raw.profile, raw.register) {
        (Some(profile), None) => {
            known.profiles.get(profile).map_err(|error| said(error.to_string()))?.clone()
        }
        (None, Some(register)) => SensorProfile::generic(raw.baud.unwrap_or(USUAL_BAUD), register)
            .map_err(|error| said(error.to_string()))?,
        (None, None) => {
            return Err(said(
                "it has neither profile nor register: write what it is, or where its temperature stands"
                    .into(),
            ));
        }
        (Some(_), Some(_)) => return Err(said("it has both profile and register: write one of them".into())),
    };
    // Every 5 minutes at the least (cold chain), and a bus of several sensors must get round.
    if !(1..=300).contains(&raw.interval_s) {
        return Err(said(format!("interval_s is {}: write 1 to 300 seconds", raw.interval_s)));
    }
    let baud = raw.baud.unwrap_or(profile.baud);
    let address = serial_or_address(raw.address, raw.path, baud, on_serial_line).map_err(said)?;
    let calibration = raw.calibration.map(|raw| {
        Calibration::new(raw.certificate, raw.date, raw.due, raw.correction_milli)
            .map_err(|error| said(error.to_string()))
    });
    let mut settings = SensorSettings::new(name.clone(), raw.slave, profile);
    settings.calibration = calibration.transpose()?;
    if let Some(probe) = raw.probe {
        settings.probe = probe;
    }
    let bus = bus_at(buses, address).map_err(said)?;
    bus.intervals.push((name, Duration::from_secs(raw.interval_s)));
    bus.sensors.push(settings);
    Ok(())
}

fn add_input(buses: &mut Vec<Bus>, name: DeviceName, raw: raw::Input, known: &Known) -> Result<(), String> {
    let device = name.clone();
    let said = |what: String| format!("input \"{device}\": {what}");
    let profile = known.profiles.get(&raw.profile).map_err(|error| said(error.to_string()))?.clone();
    if raw.settle_s > 60 {
        return Err(said(format!("settle_s is {}: write 0 to 60 seconds", raw.settle_s)));
    }
    let baud = raw.baud.unwrap_or(profile.baud);
    let address = serial_or_address(raw.address, raw.path, baud, on_serial_line).map_err(said)?;
    let mut settings = InputSettings::new(name, raw.slave, profile, raw.input);
    settings.kind = raw.kind;
    settings.raised_when = raw.raised_when;
    let bus = bus_at(buses, address).map_err(said)?;
    bus.inputs.push(settings);
    bus.settling.push(Duration::from_secs(raw.settle_s));
    Ok(())
}

fn on_serial_line(line: LineAddress) -> BusAddress {
    BusAddress { line, framing: Framing::Rtu }
}

/// The bus at this address; one with the same place and other settings is refused.
fn bus_at(buses: &mut Vec<Bus>, address: BusAddress) -> Result<&mut Bus, String> {
    let index = match buses.iter().position(|bus| bus.address.to_string() == address.to_string()) {
        Some(index) if buses[index].address != address => {
            return Err(
                "it has another speed than the others on its line: give them all the same baud".to_owned()
            );
        }
        Some(index) => index,
        None => {
            let empty = Bus {
                address,
                sensors: Vec::new(),
                inputs: Vec::new(),
                intervals: Vec::new(),
                settling: Vec::new(),
            };
            buses.push(empty);
            buses.len() - 1
        }
    };
    Ok(&mut buses[index])
}
