//! The configuration as it is written: names and shapes, nothing checked yet but the names.

use std::{collections::HashMap, path::PathBuf};

use config::{Environment, File, FileFormat};
use pestle_domain::units::{Day, MilliCelsius};
use pestle_drivers::{
    printer::{
        ipp::{raster::Paper, tls::Fingerprint},
        model::Buzzer,
        start::PrinterKind,
        zpl::model::LabelStock,
    },
    sensor::{input::InputKind, register::Register},
};
use serde::Deserialize;

use super::{ConfigError, ENVIRONMENT_PREFIX};
use crate::space::machine::Budget;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Raw {
    pub(super) data_dir: PathBuf,
    pub(super) web: Web,
    pub(super) till: Vec<Till>,
    pub(super) scanner: Vec<Scanner>,
    pub(super) printer: Vec<Printer>,
    pub(super) sensor: Vec<Sensor>,
    pub(super) input: Vec<Input>,
    pub(super) cold_place: Vec<ColdPlace>,
    pub(super) sensor_profiles: Option<PathBuf>,
    pub(super) printer_models: Option<PathBuf>,
    pub(super) label_printer_models: Option<PathBuf>,
    pub(super) fonts: Vec<PathBuf>,
    pub(super) pictures: PathBuf,
    pub(super) logo: Option<String>,
    pub(super) kernel: Kernel,
    pub(super) gateway: Gateway,
    pub(super) journal: Journal,
    pub(super) space: Space,
    pub(super) log: Log,
}

impl Default for Raw {
    fn default() -> Self {
        Self {
            data_dir: "/var/lib/pestle".into(),
            web: Web::default(),
            till: Vec::new(),
            scanner: Vec::new(),
            printer: Vec::new(),
            sensor: Vec::new(),
            input: Vec::new(),
            cold_place: Vec::new(),
            sensor_profiles: None,
            printer_models: None,
            label_printer_models: None,
            fonts: vec!["/usr/share/fonts".into()],
            pictures: "/etc/pestle/pictures".into(),
            logo: None,
            kernel: Kernel::default(),
            gateway: Gateway::default(),
            journal: Journal::default(),
            space: Space::default(),
            log: Log::default(),
        }
    }
}

/// Where the kernel tells of devices; another place than its own is for simulations.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Kernel {
    pub(super) sys: PathBuf,
    pub(super) dev: PathBuf,
}

impl Default for Kernel {
    fn default() -> Self {
        Self { sys: "/sys".into(), dev: "/dev".into() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Web {
    pub(super) listen: String,
}

impl Default for Web {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8080".to_owned() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Till {
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default = "yes")]
    pub(super) typed_scans: bool,
    pub(super) logo: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scanner {
    pub(super) name: String,
    pub(super) address: Option<String>,
    pub(super) path: Option<PathBuf>,
    #[serde(default = "scanner_baud")]
    pub(super) baud: u32,
    pub(super) till: String,
    pub(super) layout: Option<String>,
    pub(super) idle_gap_ms: Option<u64>,
    #[serde(default)]
    pub(super) proved: bool,
    pub(super) suffix: Option<Suffix>,
}

/// What a scanner sends behind a scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Suffix {
    Cr,
    Lf,
    CrLf,
    Tab,
    None,
}

impl Suffix {
    pub(super) fn bytes(self) -> Vec<Vec<u8>> {
        match self {
            Self::Cr => vec![b"\r".to_vec()],
            Self::Lf => vec![b"\n".to_vec()],
            Self::CrLf => vec![b"\r\n".to_vec()],
            Self::Tab => vec![b"\t".to_vec()],
            Self::None => Vec::new(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Printer {
    pub(super) name: String,
    pub(super) till: String,
    #[serde(default = "printer_kind")]
    pub(super) kind: PrinterKind,
    pub(super) address: String,
    pub(super) model: Option<String>,
    pub(super) columns: Option<u8>,
    pub(super) label: Option<LabelStock>,
    pub(super) paper: Option<Paper>,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) buzzer: Option<SaidBuzzer>,
}

/// Whether a printer sounds alarms: as its model does, or as is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum SaidBuzzer {
    AsTheModel(bool),
    AsWritten(Buzzer),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sensor {
    pub(super) name: String,
    pub(super) address: Option<String>,
    pub(super) path: Option<PathBuf>,
    pub(super) slave: u8,
    pub(super) profile: Option<String>,
    pub(super) register: Option<Register>,
    pub(super) probe: Option<String>,
    #[serde(default = "sensor_interval")]
    pub(super) interval_s: u64,
    pub(super) baud: Option<u32>,
    pub(super) calibration: Option<Calibration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Calibration {
    pub(super) certificate: String,
    pub(super) date: Day,
    pub(super) due: Day,
    pub(super) correction_milli: MilliCelsius,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) address: Option<String>,
    pub(super) path: Option<PathBuf>,
    pub(super) slave: u8,
    pub(super) profile: String,
    pub(super) input: String,
    pub(super) kind: Option<InputKind>,
    pub(super) raised_when: Option<bool>,
    #[serde(default = "input_settle")]
    pub(super) settle_s: u64,
    pub(super) baud: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ColdPlace {
    pub(super) name: String,
    pub(super) probe: String,
    pub(super) second: Option<String>,
    pub(super) power: Option<String>,
    pub(super) door: Option<String>,
    pub(super) difference_max_milli: Option<MilliCelsius>,
    pub(super) low_milli: Option<MilliCelsius>,
    pub(super) high_milli: Option<MilliCelsius>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Gateway {
    pub(super) https: Option<String>,
    pub(super) mqtt: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Journal {
    pub(super) retention_days: u64,
    pub(super) generation_facts: u64,
    pub(super) generation_bytes: String,
}

impl Default for Journal {
    fn default() -> Self {
        Self { retention_days: 35, generation_facts: 100_000, generation_bytes: "64MiB".to_owned() }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Space {
    pub(super) low: String,
    pub(super) shedding: String,
    pub(super) full: String,
    pub(super) reserve: String,
}

impl Default for Space {
    fn default() -> Self {
        let Budget { low, shedding, full, reserve } = Budget::default();
        let text = |bytes: u64| bytes.to_string();
        Self { low: text(low), shedding: text(shedding), full: text(full), reserve: text(reserve) }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    pub(super) format: LogFormat,
    pub(super) filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".to_owned() }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

fn yes() -> bool {
    true
}
fn scanner_baud() -> u32 {
    9_600
}
fn printer_kind() -> PrinterKind {
    PrinterKind::EscPos
}
/// A door that bounces and a mains that blinks are no news.
fn input_settle() -> u64 {
    2
}
/// Every minute, as cold chain guidance asks for.
fn sensor_interval() -> u64 {
    60
}

/// Bytes of a size such as `64MiB`, `512KiB` or `1048576`.
pub(super) fn byte_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let (digits, factor) = [("KiB", 1024), ("MiB", 1024 * 1024), ("GiB", 1024 * 1024 * 1024)]
        .into_iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.trim_end(), factor)))
        .unwrap_or((text, 1));
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// Never with `try_parsing`: it turns the name "0012345" into the number 12345.
pub(super) fn parse(
    place: &str,
    text: &str,
    environment: impl IntoIterator<Item = (String, String)>,
) -> Result<Raw, ConfigError> {
    let ours = |name: &str| name.strip_prefix(ENVIRONMENT_PREFIX).is_some_and(|rest| rest.starts_with('_'));
    let variables: HashMap<String, String> = environment.into_iter().filter(|(name, _)| ours(name)).collect();
    let source = Environment::with_prefix(ENVIRONMENT_PREFIX)
        .prefix_separator("_")
        .separator("__")
        .source(Some(variables.clone()));
    config::Config::builder()
        .add_source(File::from_str(text, FileFormat::Toml))
        .add_source(source)
        .build()
        .and_then(config::Config::try_deserialize)
        .map_err(|error| explain(place, &variables, &error.to_string()))
}

/// Says where, and for an unknown name which known one is nearest.
fn explain(place: &str, variables: &HashMap<String, String>, error: &str) -> ConfigError {
    let mut quoted = error.split('`').skip(1).step_by(2);
    if !error.contains("unknown field")
        && let Some(variable) = named_variable(variables, error)
    {
        return ConfigError { place: variable.to_owned(), what: one_line(error) };
    }
    let Some(unknown) = error.contains("unknown field").then(|| quoted.next()).flatten() else {
        return ConfigError { place: place.to_owned(), what: one_line(error) };
    };
    let nearest = quoted
        .map(|known| (strsim::damerau_levenshtein(unknown, known), known))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known);
    let advice = nearest.map_or_else(String::new, |known| format!(": the nearest name is \"{known}\""));
    let variable = variables.keys().find(|name| {
        name.to_ascii_lowercase()
            .strip_prefix("pestle_agent_")
            .is_some_and(|path| path.split("__").any(|part| part == unknown))
    });
    ConfigError {
        place: variable.map_or_else(|| place.to_owned(), Clone::clone),
        what: format!("\"{unknown}\" is no name of a setting{advice}"),
    }
}

/// The variable whose setting an error is about.
fn named_variable<'a>(variables: &'a HashMap<String, String>, error: &str) -> Option<&'a str> {
    variables.keys().map(String::as_str).find(|name| {
        let path = name.to_ascii_lowercase();
        let path = path.strip_prefix("pestle_agent_").map(|path| path.replace("__", ".")).unwrap_or_default();
        !path.is_empty() && error.contains(&format!("`{path}`"))
    })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
