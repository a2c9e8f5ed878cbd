//! Configuration: defaults, then a TOML file, then the environment (`PESTLE_GATEWAY_HTTPS__LISTEN=…`).
//!
//! It is read into a raw form first and turned once into [`Config`], which cannot hold a wrong value. An unknown key
//! is refused with the file that has it and the nearest known name: a mistyped key that is silently ignored is a
//! default that nobody chose.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use config::{Environment, File, FileFormat, Source as _, Value, ValueKind};
use serde::{Deserialize, Deserializer};

/// Exit status for wrong configuration (BSD `sysexits.h`, `EX_USAGE`).
pub const EXIT_BAD_CONFIGURATION: u8 = 64;
/// Where everything is kept unless the configuration says otherwise.
pub const DEFAULT_DATA_DIR: &str = "/var/lib/pestle-gateway";

/// Every key there is.
const KEYS: &[&str] = &[
    "data_dir",
    "https.listen",
    "https.public_names",
    "mqtt.listen",
    "mqtt.external",
    "mqtt.public",
    "database.dsn",
    "database.owner_dsn",
    "database.program_dir",
    "database.cluster_dir",
    "database.run_as",
    "log.filter",
    "log.format",
];

/// The whole, validated.
#[derive(Debug, Clone)]
pub struct Config {
    /// Keys, certificates, addresses, the broker's store and, by default, the private cluster.
    pub data_dir: PathBuf,
    /// Where pages and REST are served.
    pub https: Https,
    /// Which broker.
    pub broker: BrokerChoice,
    /// The broker's address that an enrolled box is told, `host:port`; `None` where it is the one that we use.
    pub mqtt_public: Option<String>,
    /// Which database.
    pub database: DatabaseChoice,
    /// What is logged, and how.
    pub log: Log,
}

/// Where pages and REST are served.
#[derive(Debug, Clone)]
pub struct Https {
    /// Address; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Names and addresses under which branches and browsers reach the centre; they go into the certificate, and the
    /// first one is what an enrolled box is told. Never empty.
    pub public_names: Vec<String>,
}

/// Which broker.
#[derive(Debug, Clone)]
pub enum BrokerChoice {
    /// In this process, at this address; port 0 takes a free one.
    BuiltIn(SocketAddr),
    /// Somewhere else, `host:port`; it must trust the gateway's authority (see [`crate::broker`]).
    External(String),
}

/// Which database.
#[derive(Debug, Clone)]
pub enum DatabaseChoice {
    /// A cluster of our own.
    Private(PrivateDatabase),
    /// Somewhere else.
    Dsn {
        /// For serving: a role that may `SET ROLE pestle_serve`.
        serve: String,
        /// For migrations: a role that may create roles, or `SET ROLE pestle_owner`.
        owner: String,
    },
}

/// A cluster of our own.
#[derive(Debug, Clone)]
pub struct PrivateDatabase {
    /// Folder with `initdb` and `postgres`; `None` takes the newest `/usr/lib/postgresql/*/bin`.
    pub program_dir: Option<PathBuf>,
    /// Folder of the cluster. The user below must be able to enter it.
    pub cluster_dir: PathBuf,
    /// Whose processes they are when the gateway runs as root, since PostgreSQL refuses root.
    pub run_as: String,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct Log {
    /// As tracing's `EnvFilter` reads it.
    pub filter: String,
    /// For people or for machines.
    pub format: LogFormat,
}

/// For people or for machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One readable line each.
    Text,
    /// One JSON object each.
    Json,
}

/// What is wrong with the configuration; each sentence says what to write instead.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read, or is no TOML, or a value has the wrong type.
    #[error("the configuration cannot be used: {0}")]
    Read(String),
    /// A key that nobody reads.
    #[error("{origin} has the unknown key \"{key}\": {hint}")]
    UnknownKey {
        /// The key with its section.
        key: String,
        /// The file, or the environment.
        origin: String,
        /// The nearest known name, or all of them.
        hint: String,
    },
    /// A value that cannot be meant.
    #[error("{key} is \"{value}\": {hint}")]
    BadValue {
        /// Which.
        key: &'static str,
        /// As it was given.
        value: String,
        /// What to write instead.
        hint: &'static str,
    },
}

impl Config {
    /// Reads defaults, `file` (if any) and the environment.
    ///
    /// # Errors
    /// [`ConfigError`], each with one sentence for the person who wrote the file.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let environment = Environment::with_prefix("PESTLE_GATEWAY").prefix_separator("_").separator("__");
        Self::from_sources(file, environment)
    }

    fn from_sources(file: Option<&Path>, environment: Environment) -> Result<Self, ConfigError> {
        let mut builder = config::Config::builder();
        if let Some(file) = file {
            builder = builder.add_source(File::from(file).format(FileFormat::Toml).required(true));
        }
        let read = |error: config::ConfigError| match (&error, file) {
            (config::ConfigError::FileParse { cause, .. }, Some(file)) => {
                ConfigError::Read(format!("{}: {}", file.display(), one_sentence(&cause.to_string())))
            }
            _ => ConfigError::Read(one_sentence(&error.to_string())),
        };
        let merged = builder.add_source(environment).build().map_err(read)?;
        refuse_unknown_keys(&merged.collect().map_err(read)?)?;
        validate(merged.try_deserialize().map_err(read)?)
    }
}

/// What a parser says, without its picture of the line (`3 | listen =` and a caret below it).
fn one_sentence(said: &str) -> String {
    let picture = |line: &str| {
        line.trim_start_matches(|letter: char| letter.is_ascii_digit()).trim_start().starts_with('|')
    };
    let lines: Vec<&str> =
        said.lines().map(str::trim).filter(|line| !line.is_empty() && !picture(line)).collect();
    lines.join(": ")
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Raw {
    data_dir: Option<PathBuf>,
    https: RawHttps,
    mqtt: RawMqtt,
    database: RawDatabase,
    log: RawLog,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawHttps {
    listen: Option<String>,
    #[serde(deserialize_with = "list_or_text")]
    public_names: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawMqtt {
    listen: Option<String>,
    external: Option<String>,
    public: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawDatabase {
    dsn: Option<String>,
    owner_dsn: Option<String>,
    program_dir: Option<PathBuf>,
    cluster_dir: Option<PathBuf>,
    run_as: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawLog {
    filter: Option<String>,
    format: Option<LogFormat>,
}

/// A list in the file, names joined by commas in the environment.
fn list_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Either::deserialize(deserializer)? {
        Either::List(list) => list,
        Either::Text(text) => {
            text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
        }
    })
}

fn refuse_unknown_keys(root: &config::Map<String, Value>) -> Result<(), ConfigError> {
    let mut found = Vec::new();
    for (name, value) in root {
        collect_keys(name, value, &mut found);
    }
    found.sort();
    for (key, origin) in found {
        if KEYS.contains(&key.as_str()) {
            continue;
        }
        let nearest = KEYS.iter().max_by(|one, other| {
            strsim::jaro_winkler(one, &key).total_cmp(&strsim::jaro_winkler(other, &key))
        });
        let hint = match nearest {
            Some(near) if strsim::jaro_winkler(near, &key) > 0.75 => format!("did you mean \"{near}\"?"),
            _ => format!("the known keys are {}", KEYS.join(", ")),
        };
        return Err(ConfigError::UnknownKey { key, origin, hint });
    }
    Ok(())
}

fn collect_keys(key: &str, value: &Value, found: &mut Vec<(String, String)>) {
    if let ValueKind::Table(table) = &value.kind {
        for (name, inner) in table {
            collect_keys(&format!("{key}.{name}"), inner, found);
        }
        // An empty section with a wrong name is a mistake as well.
        if !table.is_empty() || KEYS.iter().any(|known| known.starts_with(&format!("{key}."))) {
            return;
        }
    }
    found.push((key.to_owned(), value.origin().unwrap_or("the environment").to_owned()));
}

fn validate(raw: Raw) -> Result<Config, ConfigError> {
    let data_dir = raw.data_dir.unwrap_or_else(|| DEFAULT_DATA_DIR.into());
    let data_dir = folder("data_dir", &data_dir)?;
    let https_listen = address("https.listen", raw.https.listen.as_deref().unwrap_or("127.0.0.1:8443"))?;
    let https = Https {
        listen: https_listen,
        public_names: public_names(raw.https.public_names, https_listen.ip())?,
    };
    let broker = match raw.mqtt.external {
        Some(external) => BrokerChoice::External(host_and_port("mqtt.external", external)?),
        None => BrokerChoice::BuiltIn(address(
            "mqtt.listen",
            raw.mqtt.listen.as_deref().unwrap_or("127.0.0.1:8883"),
        )?),
    };
    let mqtt_public = raw.mqtt.public.map(|public| host_and_port("mqtt.public", public)).transpose()?;
    let database = match raw.database.dsn {
        Some(serve) => {
            DatabaseChoice::Dsn { owner: raw.database.owner_dsn.unwrap_or_else(|| serve.clone()), serve }
        }
        None => DatabaseChoice::Private(PrivateDatabase {
            program_dir: raw.database.program_dir,
            cluster_dir: match raw.database.cluster_dir {
                // The server is started in that folder itself, where a relative path means another one.
                Some(given) => folder("database.cluster_dir", &given)?,
                None => data_dir.join("postgres"),
            },
            run_as: raw.database.run_as.unwrap_or_else(|| "postgres".into()),
        }),
    };
    let filter = raw.log.filter.unwrap_or_else(|| "info,rmqtt=warn,rmqtt_net=warn,sqlx=warn".into());
    if tracing_subscriber::EnvFilter::try_new(&filter).is_err() {
        return Err(ConfigError::BadValue {
            key: "log.filter",
            value: filter,
            hint: "write error, warn, info, debug or trace, and where one part shall differ its name, such as info,rmqtt=warn",
        });
    }
    let log = Log { filter, format: raw.log.format.unwrap_or(LogFormat::Text) };
    Ok(Config { data_dir, https, broker, mqtt_public, database, log })
}

fn folder(key: &'static str, given: &Path) -> Result<PathBuf, ConfigError> {
    std::path::absolute(given).map_err(|_| ConfigError::BadValue {
        key,
        value: given.display().to_string(),
        hint: "write the path of a folder",
    })
}

fn address(key: &'static str, text: &str) -> Result<SocketAddr, ConfigError> {
    text.parse().map_err(|_| ConfigError::BadValue {
        key,
        value: text.to_owned(),
        hint: "write an address and a port, such as 127.0.0.1:8443 or [::]:8443",
    })
}

fn public_names(names: Vec<String>, listen: IpAddr) -> Result<Vec<String>, ConfigError> {
    if names.is_empty() {
        if listen.is_unspecified() {
            return Err(ConfigError::BadValue {
                key: "https.listen",
                value: listen.to_string(),
                hint: "listening on all addresses needs https.public_names, the names that branches use to reach the centre",
            });
        }
        return Ok(vec![listen.to_string()]);
    }
    let usable = |name: &String| {
        name.parse::<IpAddr>().is_ok()
            || (!name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)))
    };
    match names.iter().find(|name| !usable(name)) {
        None => Ok(names),
        Some(bad) => Err(ConfigError::BadValue {
            key: "https.public_names",
            value: bad.clone(),
            hint: "write host names or IP addresses, without https:// and without a port",
        }),
    }
}

fn host_and_port(key: &'static str, text: String) -> Result<String, ConfigError> {
    let good =
        text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if good {
        return Ok(text);
    }
    Err(ConfigError::BadValue {
        key,
        value: text,
        hint: "write the broker's host and port, such as mqtt.example.net:8883",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(toml: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, toml).unwrap();
        let variables =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let source = Environment::with_prefix("PESTLE_GATEWAY")
            .prefix_separator("_")
            .separator("__")
            .source(Some(variables));
        Config::from_sources(Some(&file), source)
    }

    fn refusal(toml: &str) -> String {
        load(toml, &[]).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_file_gives_the_defaults() {
        let config = load("", &[]).unwrap();
        assert_eq!(config.https.listen.to_string(), "127.0.0.1:8443");
        assert_eq!(config.https.public_names, ["127.0.0.1"]);
        assert!(matches!(config.broker, BrokerChoice::BuiltIn(address) if address.port() == 8883));
        assert!(matches!(config.database, DatabaseChoice::Private(database)
            if database.cluster_dir == Path::new("/var/lib/pestle-gateway/postgres")));
    }

    #[test]
    fn the_environment_outranks_the_file() {
        let config = load(
            "[https]\nlisten = \"127.0.0.1:1\"",
            &[
                ("PESTLE_GATEWAY_HTTPS__LISTEN", "127.0.0.1:0"),
                ("PESTLE_GATEWAY_HTTPS__PUBLIC_NAMES", "centre.example, 10.0.0.1"),
                ("PESTLE_GATEWAY_DATA_DIR", "/srv/pestle"),
            ],
        )
        .unwrap();
        assert_eq!(config.https.listen.port(), 0);
        assert_eq!(config.https.public_names, ["centre.example", "10.0.0.1"]);
        assert_eq!(config.data_dir, Path::new("/srv/pestle"));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_file_and_the_nearest_name() {
        let said = refusal("[https]\nlistn = \"127.0.0.1:1\"");
        assert!(said.contains("gateway.toml"), "{said}");
        assert!(said.contains("\"https.listn\""), "{said}");
        assert!(said.contains("did you mean \"https.listen\"?"), "{said}");
        assert!(refusal("[postgres]").contains("unknown key \"postgres\""));
    }

    #[test]
    fn a_wrong_value_is_refused_with_what_to_write() {
        assert!(refusal("[https]\nlisten = \"8443\"").contains("write an address and a port"));
        assert!(refusal("[https]\nlisten = \"0.0.0.0:8443\"").contains("https.public_names"));
        assert!(refusal("[https]\npublic_names = [\"https://x\"]").contains("without https://"));
        assert!(refusal("[mqtt]\nexternal = \"broker\"").contains("host and port"));
        assert!(refusal("[log]\nformat = \"xml\"").contains("xml"));
        let filter = refusal("[log]\nfilter = \"info,rmqtt=loud\"");
        assert!(filter.contains("log.filter") && filter.contains("info,rmqtt=warn"), "{filter}");
    }

    #[test]
    fn a_file_that_is_no_toml_is_refused_in_one_sentence_with_its_name_and_line() {
        for (toml, line, why) in
            [("[https\nlisten = 1", "line 1", "unclosed table"), ("[https]\nlisten =", "line 2", "expected")]
        {
            let said = refusal(toml);
            assert_eq!(said.lines().count(), 1, "{said}");
            for part in ["gateway.toml", line, why] {
                assert!(said.contains(part), "{said}");
            }
        }
    }
}
