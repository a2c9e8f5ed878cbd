//! What the box is told by its configuration: defaults, then a TOML file, then the environment. Read once, turned into
//! types that cannot hold a wrong value, and refused as a whole with one sentence when anything is wrong.
//!
//! The environment names a key as `PESTLE_AGENT_` and its path, `__` between the parts: `PESTLE_AGENT_WEB__LISTEN`.

mod cold;
mod devices;
mod raw;

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use pestle_domain::{
    document::{Block, Document, PICTURE_NAME_CHARS_MAX},
    ids::TillId,
};
use pestle_drivers::{device::DeviceName, find::sysfs::System, sensor::profile::SensorProfiles};

use tracing_subscriber::EnvFilter;

use crate::{cold as cold_chain, journal::Limits, space::machine::Budget};
pub use devices::{Printer, Scanner, SensorBus};
pub use raw::LogFormat;

/// Where the file is looked for when none is named.
pub const DEFAULT_FILE: &str = "/etc/pestle/agent.toml";
/// Before each key in the environment.
pub const ENVIRONMENT_PREFIX: &str = "PESTLE_AGENT";

/// The configuration of a box.
#[derive(Debug, Clone)]
pub struct Config {
    /// Everything that the box keeps.
    pub data_dir: PathBuf,
    /// The pages.
    pub web: Web,
    /// At least one.
    pub tills: Vec<Till>,
    /// By name, each of a till.
    pub scanners: Vec<Scanner>,
    /// By name, each of a till.
    pub printers: Vec<Printer>,
    /// Sensors and contacts, by the line that they share.
    pub buses: Vec<SensorBus>,
    /// The branch's own file of sensor profiles, beside the built-in ones.
    pub sensor_profiles: Option<PathBuf>,
    /// Fridges and cold rooms, by name; their probes and contacts are on the buses.
    pub cold_places: Vec<cold_chain::settings::Place>,
    /// What papers are drawn with.
    pub artwork: Artwork,
    /// Where devices are looked for.
    pub system: System,
    /// Other addresses of the centre than the identity names.
    pub gateway: Gateway,
    /// Of each lane's journal.
    pub journal: Limits,
    /// When the disk has little room.
    pub space: Budget,
    /// How logs are written, and which.
    pub log: Log,
}

/// The box's own pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Web {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Plain HTTP is for the loopback alone; everything else has TLS with the box's web certificate.
    pub tls: bool,
}

/// A cash drawer with its page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Till {
    /// Its id.
    pub id: TillId,
    /// As people call it.
    pub name: String,
    /// What types quickly into its page is a scanner. Where something else does, such as a reader of staff cards, it is left
    /// alone.
    pub typed_scans: bool,
    /// The logo at the head of its receipts: its own, or else the box's. A picture's name, which is its file's without `.png`.
    pub logo: Option<String>,
}

/// Where letters and logos are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artwork {
    /// Folders of fonts, for letters that a printer does not have.
    pub fonts: Vec<PathBuf>,
    /// The folder of the branch's logos, PNG files.
    pub pictures: PathBuf,
}

/// Where the centre is, if not where the identity says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gateway {
    /// `https://host:port`.
    pub https: Option<String>,
    /// `host:port`.
    pub mqtt: Option<String>,
}

/// Logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Text for people or JSON for machines.
    pub format: LogFormat,
    /// As `tracing-subscriber` reads it: `info`, `pestle_agent=debug,info`.
    pub filter: String,
}

/// What is wrong with a configuration, in one sentence that says where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct ConfigError {
    /// The file, or the environment.
    pub place: String,
    /// What is wrong, and what to write instead.
    pub what: String,
}

impl Config {
    /// Reads the configuration from `file` (or, where none is named, from [`DEFAULT_FILE`] if it is there) and the
    /// environment.
    ///
    /// # Errors
    /// [`ConfigError`] says in a sentence what to change where.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let default = Path::new(DEFAULT_FILE);
        let chosen = file.or_else(|| default.exists().then_some(default));
        let text = match chosen {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path).map_err(|error| ConfigError {
                place: path.display().to_string(),
                what: format!("the file cannot be read ({error})"),
            })?,
        };
        let place = chosen.map_or_else(|| "the configuration".to_owned(), |path| path.display().to_string());
        Self::from_parts(
            &place,
            &text,
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    /// The configuration that a file's `text` and an environment give; `place` names the file in errors.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_parts(
        place: &str,
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let raw = raw::parse(place, text, environment)?;
        validate(raw).map_err(|what| ConfigError { place: place.to_owned(), what })
    }

    /// All profiles of sensors that this box knows, those of its own file included.
    ///
    /// # Errors
    /// The file has changed since it was read, and is wrong now.
    pub fn all_sensor_profiles(&self) -> Result<SensorProfiles, String> {
        devices::all_sensor_profiles(self.sensor_profiles.as_deref())
    }

    /// The addresses of the centre: HTTPS and broker.
    pub fn centre<'a>(&'a self, identity: &'a pestle_domain::enrolment::Identity) -> (&'a str, &'a str) {
        (
            self.gateway.https.as_deref().unwrap_or(&identity.https),
            self.gateway.mqtt.as_deref().unwrap_or(&identity.mqtt),
        )
    }
}

fn validate(raw: raw::Raw) -> Result<Config, String> {
    let tills = tills(raw.till, logo("logo", raw.logo)?.as_deref())?;
    let known: BTreeSet<&TillId> = tills.iter().map(|till| &till.id).collect();
    let mut names = BTreeSet::new();
    let mut scanners = Vec::new();
    for one in raw.scanner {
        let name = device_name(&mut names, "scanner", &one.name)?;
        let till = its_till("scanner", &name, &one.till, &known)?;
        scanners.push(devices::scanner(one, name, till)?);
    }
    let own = devices::OwnFiles {
        sensor_profiles: raw.sensor_profiles.as_deref(),
        printer_models: raw.printer_models.as_deref(),
        label_printer_models: raw.label_printer_models.as_deref(),
    };
    let models = devices::Known::new(&own, &devices::Asked::by(&raw.printer, &raw.sensor, &raw.input))?;
    let mut printers = Vec::new();
    for one in raw.printer {
        let name = device_name(&mut names, "printer", &one.name)?;
        let till = its_till("printer", &name, &one.till, &known)?;
        printers.push(devices::printer(one, name, till, &models)?);
    }
    devices::one_of_each_kind(&printers)?;
    let mut sensors = Vec::new();
    for one in raw.sensor {
        let name = device_name(&mut names, "sensor", &one.name)?;
        sensors.push((name, one));
    }
    let mut inputs = Vec::new();
    for one in raw.input {
        let name = device_name(&mut names, "input", &one.name)?;
        inputs.push((name, one));
    }
    let buses = devices::buses(sensors, inputs, &models)?;
    let mut cold_places = Vec::new();
    for one in raw.cold_place {
        let name = device_name(&mut names, "cold_place", &one.name)?;
        cold_places.push(cold::place(one, name, &buses)?);
    }
    cold::each_probe_once(&cold_places)?;
    let listen = web(&raw.web.listen)?;
    Ok(Config {
        data_dir: raw.data_dir,
        web: Web { listen, tls: !listen.ip().is_loopback() },
        tills,
        scanners,
        printers,
        buses,
        sensor_profiles: raw.sensor_profiles,
        cold_places,
        artwork: Artwork { fonts: raw.fonts, pictures: raw.pictures },
        system: System { sys: raw.kernel.sys, dev: raw.kernel.dev },
        gateway: gateway(raw.gateway)?,
        journal: journal(&raw.journal)?,
        space: space(&raw.space)?,
        log: log(raw.log)?,
    })
}

fn log(raw: raw::Log) -> Result<Log, String> {
    match EnvFilter::try_new(&raw.filter) {
        Ok(_) => Ok(Log { format: raw.format, filter: raw.filter }),
        Err(_) => Err(format!(
            "log.filter is \"{}\", which cannot be read: write a level such as \"info\", or \"info,pestle_agent=debug\"",
            raw.filter
        )),
    }
}

fn web(listen: &str) -> Result<SocketAddr, String> {
    let told = listen.replace("localhost", &Ipv4Addr::LOCALHOST.to_string());
    told.parse().map_err(|_| {
        format!("web.listen is \"{listen}\": write an address and a port, such as \"127.0.0.1:8080\" or \"0.0.0.0:8443\"")
    })
}

fn tills(raw: Vec<raw::Till>, logo_of_the_box: Option<&str>) -> Result<Vec<Till>, String> {
    let mut tills: Vec<Till> = Vec::new();
    for one in raw {
        let id: TillId =
            one.id.parse().map_err(|error: pestle_domain::ids::BadSlug| format!("till.id: {error}"))?;
        if tills.iter().any(|till| till.id == id) {
            return Err(format!("two tills have the id \"{id}\": give each its own"));
        }
        let name = if one.name.trim().is_empty() { id.to_string() } else { one.name };
        let own = logo("till.logo", one.logo)?;
        let logo = own.or_else(|| logo_of_the_box.map(str::to_owned));
        tills.push(Till { id, name, typed_scans: one.typed_scans, logo });
    }
    if tills.is_empty() {
        return Err("no till is configured: add [[till]] with id = \"till-1\" and a name".to_owned());
    }
    Ok(tills)
}

/// The picture that a file name such as `branch.png` means. Whether it is there is looked at when it is printed: a new logo
/// needs no restart, and a missing one holds up nothing.
fn logo(key: &str, file: Option<String>) -> Result<Option<String>, String> {
    let Some(file) = file else { return Ok(None) };
    let name = file.strip_suffix(".png").map(str::to_owned);
    let good = |name: &String| {
        let blocks = vec![Block::Picture { name: name.clone() }];
        Document { blocks, ..Document::new(String::new()) }.check().is_ok()
    };
    name.filter(good).map(Some).ok_or_else(|| {
        format!(
            "{key} is \"{file}\": write the name of a PNG file in the folder of pictures, of at most \
             {PICTURE_NAME_CHARS_MAX} letters, digits, - and _, such as \"branch.png\""
        )
    })
}

fn device_name(names: &mut BTreeSet<String>, class: &str, name: &str) -> Result<DeviceName, String> {
    let good = (1..=40).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if !good {
        return Err(format!("{class}.name is \"{name}\": write 1 to 40 letters, digits, - _ or ."));
    }
    if !names.insert(name.to_owned()) {
        return Err(format!("two devices are named \"{name}\": give each its own name"));
    }
    Ok(DeviceName::new(name))
}

fn its_till(class: &str, name: &DeviceName, till: &str, known: &BTreeSet<&TillId>) -> Result<TillId, String> {
    known.iter().find(|id| id.as_str() == till).map(|id| (*id).clone()).ok_or_else(|| {
        let ids: Vec<_> = known.iter().map(|id| id.as_str()).collect();
        format!(
            "{class} \"{name}\" names the till \"{till}\", which is not configured: write one of {}",
            ids.join(", ")
        )
    })
}

fn gateway(raw: raw::Gateway) -> Result<Gateway, String> {
    if let Some(https) = &raw.https {
        https_address(https)
            .ok_or_else(|| format!("gateway.https is \"{https}\": write \"https://host:port\""))?;
    }
    if let Some(mqtt) = &raw.mqtt {
        host_and_port(mqtt).ok_or_else(|| format!("gateway.mqtt is \"{mqtt}\": write \"host:port\""))?;
    }
    Ok(Gateway { https: raw.https, mqtt: raw.mqtt })
}

/// Host and port of an address such as `centre.example:8883` or `[::1]:8883`.
pub fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let good = !host.is_empty() && (host.parse::<IpAddr>().is_ok() || !host.contains([':', '/', ' ', '@']));
    if good { Some((host, port.parse().ok().filter(|port| *port != 0)?)) } else { None }
}

/// Host and port of `https://host[:port]`, without a path.
pub fn https_address(text: &str) -> Option<(&str, u16)> {
    let rest = text.strip_prefix("https://")?.trim_end_matches('/');
    host_and_port(rest)
        .or_else(|| (!rest.is_empty() && !rest.contains([':', '/', ' ', '@'])).then_some((rest, 443)))
}

fn journal(raw: &raw::Journal) -> Result<Limits, String> {
    let bytes = raw::byte_size(&raw.generation_bytes)
        .filter(|bytes| (64 * 1024..=1024 * 1024 * 1024).contains(bytes))
        .ok_or_else(|| {
            format!(
                "journal.generation_bytes is \"{}\": write a size from \"64KiB\" to \"1GiB\"",
                raw.generation_bytes
            )
        })?;
    if !(100..=10_000_000).contains(&raw.generation_facts) {
        return Err(format!("journal.generation_facts is {}: write 100 to 10000000", raw.generation_facts));
    }
    // 0 keeps nothing that the centre has: for measuring, since a centre that is put back has lost it for good.
    if raw.retention_days > 3_650 {
        return Err(format!("journal.retention_days is {}: write 1 to 3650", raw.retention_days));
    }
    Ok(Limits {
        generation_facts: raw.generation_facts,
        generation_bytes: bytes,
        retention: Duration::from_secs(raw.retention_days * 86_400),
    })
}

fn space(raw: &raw::Space) -> Result<Budget, String> {
    let size = |name: &str, text: &str| {
        raw::byte_size(text)
            .filter(|bytes| *bytes <= 1 << 40)
            .ok_or_else(|| format!("space.{name} is \"{text}\": write a size such as \"512MiB\""))
    };
    let budget = Budget {
        low: size("low", &raw.low)?,
        shedding: size("shedding", &raw.shedding)?,
        full: size("full", &raw.full)?,
        reserve: size("reserve", &raw.reserve)?,
    };
    if budget.full == 0 || budget.full >= budget.shedding || budget.shedding >= budget.low {
        return Err("space.low, space.shedding and space.full must get smaller in this order: write \"512MiB\", \"192MiB\" and \"64MiB\"".to_owned());
    }
    if budget.reserve == 0 {
        return Err(
            "space.reserve is \"0\": the box could not end what was begun. Write \"32MiB\"".to_owned()
        );
    }
    Ok(budget)
}

#[cfg(test)]
mod tests;
