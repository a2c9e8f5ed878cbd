//! The centre: the real gateway with its private PostgreSQL, started, stopped and killed as a process.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use super::{Place, Remembered, WorldError};
use crate::processes::{Keeper, Process, Program, build_folder, log_tail, tool, was_killed};

/// From the start to the first answer: a new cluster, its migrations and the broker, on two busy cores.
const READY_WITHIN: Duration = Duration::from_secs(90);

/// What `pestle-gateway run` writes when it is ready.
#[derive(Debug, Clone, Deserialize)]
pub struct GatewayAddresses {
    /// `host:port` of pages and REST.
    pub https: String,
    /// `host:port` of the broker.
    pub mqtt: String,
}

/// Which of a world's gateways, and what it stands on.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What logs and folders call it.
    pub name: String,
    /// Its HTTPS port.
    pub https: u16,
    /// By which names it is reached: its certificate bears all of them, and boxes are told the first.
    pub names: Vec<String>,
    /// The broker.
    pub broker: Broker,
    /// The database.
    pub database: Database,
}

/// Where a gateway's broker is.
#[derive(Debug, Clone)]
pub enum Broker {
    /// Its own, at this port.
    BuiltIn(u16),
    /// Another, and what boxes are told.
    External {
        /// Where gateways connect.
        gateways: SocketAddr,
        /// Where boxes connect.
        boxes: SocketAddr,
    },
}

/// Where a gateway's database is.
#[derive(Debug, Clone)]
pub enum Database {
    /// Its private PostgreSQL, in the place's folder for it.
    Private,
    /// The same database, which another gateway runs: as who serves, and as who owns it.
    Shared {
        /// `database.dsn`.
        serve: String,
        /// `database.owner_dsn`.
        owner: String,
    },
}

/// The names of a gateway that nobody reaches from another machine.
pub fn on_loopback() -> Vec<String> {
    ["127.0.0.1", "localhost"].map(str::to_owned).into()
}

impl Setup {
    fn toml(&self, data: &Path, cluster: &Path) -> String {
        let broker = match &self.broker {
            Broker::BuiltIn(port) => format!("listen = \"127.0.0.1:{port}\""),
            Broker::External { gateways, boxes } => {
                format!("external = \"{gateways}\"\npublic = \"{boxes}\"")
            }
        };
        let database = match &self.database {
            Database::Private => format!("cluster_dir = {cluster:?}"),
            Database::Shared { serve, owner } => format!("dsn = {serve:?}\nowner_dsn = {owner:?}"),
        };
        format!(
            "# Written by the demo at each start.\ndata_dir = {data:?}\n\n[https]\nlisten = \"127.0.0.1:{}\"\n\
             public_names = {:?}\n\n[mqtt]\n{broker}\n\n[database]\n{database}\n",
            self.https, self.names
        )
    }
}

/// The gateway of a world.
#[derive(Debug)]
pub struct Gateway {
    program: Program,
    config: PathBuf,
    data: PathBuf,
    place: Place,
    /// Whether the place's PostgreSQL is its own.
    private: bool,
    keeper: Keeper,
    core: Option<usize>,
    process: Option<Process>,
    addresses: Option<GatewayAddresses>,
}

impl Gateway {
    /// Writes the configuration of a world's own gateway, with its broker and its PostgreSQL. Nothing runs yet.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn prepare(place: &Place, ports: &Remembered, keeper: &Keeper) -> Result<Self, WorldError> {
        let setup = Setup {
            name: "gateway".to_owned(),
            https: ports.https,
            names: on_loopback(),
            broker: Broker::BuiltIn(ports.mqtt),
            database: Database::Private,
        };
        Self::prepare_as(place, &setup, keeper)
    }

    /// Writes its configuration. Nothing runs yet.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn prepare_as(place: &Place, setup: &Setup, keeper: &Keeper) -> Result<Self, WorldError> {
        let data = place.folder().join(&setup.name);
        fs::create_dir_all(&data).map_err(WorldError::disk("create", &data))?;
        let config = data.join("gateway.toml");
        let text = setup.toml(&data, place.cluster());
        fs::write(&config, text).map_err(WorldError::disk("write", &config))?;
        let program = Program {
            name: setup.name.clone(),
            path: build_folder().join("pestle-gateway"),
            arguments: vec!["--config".to_owned(), config.display().to_string(), "run".to_owned()],
            environment: vec![],
            log: place.log(&setup.name),
        };
        Ok(Self {
            program,
            config,
            data,
            place: place.clone(),
            private: matches!(setup.database, Database::Private),
            keeper: keeper.clone(),
            core: None,
            process: None,
            addresses: None,
        })
    }

    /// Its data folder.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Holds it and its PostgreSQL on one processor core from the next start on.
    pub fn pin_to(&mut self, core: usize) {
        self.core = Some(core);
    }

    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn start(&mut self) -> Result<GatewayAddresses, WorldError> {
        let file = self.data.join("run/addresses.json");
        let _ = fs::remove_file(&file);
        let program = self.core.map_or_else(|| self.program.clone(), |core| self.program.on_core(core));
        let mut process = program.start(&self.keeper)?;
        let addresses: GatewayAddresses = process.ready(&file, READY_WITHIN).await?;
        self.process = Some(process);
        self.addresses = Some(addresses.clone());
        Ok(addresses)
    }

    /// Where it answers, since the last start.
    ///
    /// # Errors
    /// [`WorldError::NotRunning`] before the first start.
    pub fn addresses(&self) -> Result<&GatewayAddresses, WorldError> {
        self.addresses.as_ref().ok_or(WorldError::NotRunning { name: "gateway".to_owned() })
    }

    /// `https://host:port`.
    ///
    /// # Errors
    /// [`WorldError::NotRunning`] before the first start.
    pub fn url(&self) -> Result<String, WorldError> {
        let https = &self.addresses()?.https;
        Ok(if https.starts_with("https://") { https.clone() } else { format!("https://{https}") })
    }

    /// Where a cable leads for pages and REST, and for the broker.
    ///
    /// # Errors
    /// When it is not running, or named itself by something that is no address.
    pub fn sockets(&self) -> Result<(SocketAddr, SocketAddr), WorldError> {
        let addresses = self.addresses()?;
        let socket = |text: &str| {
            let bare = text.rsplit('/').next().unwrap_or(text);
            bare.parse().map_err(|_| WorldError::Said {
                name: "gateway".to_owned(),
                what: format!("its address is {text:?}"),
            })
        };
        Ok((socket(&addresses.https)?, socket(&addresses.mqtt)?))
    }

    /// Whether it runs.
    pub fn runs(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| process.ended().is_none())
    }

    /// Pulls its plug, and says whether it ran. PostgreSQL stays as the kill leaves it.
    pub fn kill(&mut self) -> bool {
        self.process.take().is_some_and(|mut process| was_killed(process.kill()))
    }

    /// Kills its PostgreSQL alone, as a machine that runs out of memory does.
    ///
    /// # Errors
    /// [`WorldError::NotRunning`] when there is none.
    pub fn kill_database(&self) -> Result<(), WorldError> {
        let id = postmaster(self.place.cluster());
        let id = id.ok_or(WorldError::NotRunning { name: "PostgreSQL".to_owned() })?;
        kill_process(id, Signal::KILL)
            .map_err(|error| WorldError::disk("kill", self.place.cluster())(error.into()))
    }

    /// Asks it to end, and waits.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop().await;
        }
    }

    /// Runs `pestle-gateway admin …` with that standard input and hands back what it printed.
    ///
    /// # Errors
    /// With what it said, when it fails.
    pub async fn admin(&self, arguments: &[&str], input: &str) -> Result<String, WorldError> {
        self.command(&[&["admin"], arguments].concat(), input).await
    }

    /// Checks a branch's history at the centre against what the branch exported, and hands back what holds.
    ///
    /// # Errors
    /// With what does not.
    pub async fn audit(&self, branch: &str, export: &Path) -> Result<String, WorldError> {
        let export = export.display().to_string();
        self.command(&["audit", "verify", "--branch", branch, "--export", &export], "").await
    }

    async fn command(&self, words: &[&str], input: &str) -> Result<String, WorldError> {
        let config = self.config.display().to_string();
        let words = [&["--config", config.as_str()], words].concat();
        Ok(tool(&self.program.path, &words, input).await?)
    }

    /// The end of its log.
    pub fn log_tail(&self) -> String {
        log_tail(&self.program.log)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.process.take());
        if self.private {
            stop_left_postmaster(&self.place);
        }
    }
}

/// Ends a PostgreSQL of this place that a killed gateway left behind and nobody adopted. The place is ours: nobody else
/// works in it.
pub fn stop_left_postmaster(place: &Place) {
    stop_postmaster_in(place.cluster());
}

/// The process id comes from the cluster's own `postmaster.pid`; it is only believed when that process says on its
/// command line that it serves this very folder.
pub(super) fn stop_postmaster_in(cluster: &Path) {
    let Some(id) = postmaster(cluster) else { return };
    // SIGINT is PostgreSQL's "fast" shutdown: it ends its sessions, writes a checkpoint and goes.
    let _ = kill_process(id, Signal::INT);
    let begun = std::time::Instant::now();
    while postmaster(cluster).is_some() {
        if begun.elapsed() > Duration::from_secs(20) {
            let _ = kill_process(id, Signal::QUIT);
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether a PostgreSQL serves that cluster.
pub(super) fn has_postmaster(cluster: &Path) -> bool {
    postmaster(cluster).is_some()
}

fn postmaster(cluster: &Path) -> Option<Pid> {
    let folders = [cluster.to_owned(), cluster.join("data")];
    folders.iter().find_map(|folder| {
        let text = fs::read_to_string(folder.join("postmaster.pid")).ok()?;
        let id: i32 = text.lines().next()?.trim().parse().ok()?;
        let line = fs::read(format!("/proc/{id}/cmdline")).ok()?;
        let serves = line.split(|byte| *byte == 0).any(|word| word == folder.as_os_str().as_encoded_bytes());
        if serves { Pid::from_raw(id) } else { None }
    })
}
