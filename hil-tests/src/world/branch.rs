//! One pharmacy: its box with the real agent, its simulated devices, and the two cables to the centre.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use pestle_drivers::sim::fridge::SimFridges;
use pestle_drivers::sim::printer::SimPrinter;
use pestle_drivers::sim::scanner::SimScanner;
use serde::Deserialize;
use tokio::sync::{Mutex, watch};

use super::{Place, WorldError};
use crate::network::{Cable, Weather};
use crate::processes::{Keeper, Process, Program, build_folder, log_tail, tool, was_killed};

/// From the start to the first answer: opening the journal and folding it.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The Modbus number of the fridge's sensor.
pub const FRIDGE_SLAVE: u8 = 1;

/// What the branch's scanner is called.
pub const SCANNER: &str = "counter";

/// A busy machine passes on in pieces what a scanner sends at once, and tests keep it busy.
const IDLE_GAP_MS: u64 = 250;

/// The printable width of 80 mm paper: 48 columns.
const PRINTER_DOTS: u16 = 576;

/// What `pestle-agent run` writes when it is ready.
#[derive(Debug, Clone, Deserialize)]
struct AgentAddresses {
    web: String,
}

/// Whether the box has power.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Power {
    /// No process.
    Unplugged,
    /// A process that does not answer yet.
    Starting,
    /// It answers.
    Running,
    /// It ended by itself; the words say how.
    Ended(String),
}

/// One pharmacy.
#[derive(Debug)]
pub struct Branch {
    /// `north`.
    pub slug: String,
    /// The till's scanner.
    pub scanner: SimScanner,
    /// The till's receipt printer, with the drawer on it.
    pub printer: SimPrinter,
    /// The fridge's sensor on its bus.
    pub fridge: SimFridges,
    /// The cable of pages, snapshots and REST.
    pub https: Cable,
    /// The cable of the broker.
    pub mqtt: Cable,
    folder: PathBuf,
    config: PathBuf,
    program: Program,
    keeper: Keeper,
    process: Mutex<Option<Process>>,
    power: watch::Sender<Power>,
    web: watch::Sender<String>,
}

impl Branch {
    /// Plugs the devices in and writes the agent's configuration. The agent does not run yet.
    ///
    /// # Errors
    /// When a device cannot be made or the disk refuses.
    pub fn prepare(
        slug: &str,
        place: &Place,
        counter_port: u16,
        (https, mqtt): (Cable, Cable),
        keeper: &Keeper,
    ) -> Result<Self, WorldError> {
        let folder = place.branch(slug);
        let devices = folder.join("devices");
        fs::create_dir_all(&devices).map_err(WorldError::disk("create", &devices))?;
        let scanner = SimScanner::plug_in(devices.join("scanner"))?;
        let printer = SimPrinter::listen(SocketAddr::from(([127, 0, 0, 1], 0)), PRINTER_DOTS)?;
        let fridge = SimFridges::plug_in(devices.join("fridge"), &[FRIDGE_SLAVE])?;

        let config = folder.join("agent.toml");
        let text = format!(
            "# Written by the demo at each start.\ndata_dir = {folder:?}\n\n\
             [web]\nlisten = \"127.0.0.1:{counter_port}\"\n\n\
             [gateway]\nhttps = \"https://{}\"\nmqtt = \"{}\"\n\n\
             [[till]]\nid = \"till-1\"\nname = \"Till 1\"\n\n\
             [[scanner]]\nname = \"{SCANNER}\"\npath = {:?}\nbaud = 9600\ntill = \"till-1\"\nproved = true\n\
             idle_gap_ms = {IDLE_GAP_MS}\n\n\
             [[printer]]\nname = \"receipts\"\ntill = \"till-1\"\naddress = \"tcp://{}\"\nmodel = \"epson-tm-t20\"\n\n\
             [[sensor]]\nname = \"fridge\"\npath = {:?}\nslave = {FRIDGE_SLAVE}\nprofile = \"xy-md02\"\ninterval_s = 2\n",
            https.address(),
            mqtt.address(),
            scanner.path(),
            printer.address().ok_or(WorldError::NotRunning { name: "printer".to_owned() })?,
            fridge.path(),
        );
        fs::write(&config, text).map_err(WorldError::disk("write", &config))?;
        let program = Program {
            name: format!("agent-{slug}"),
            path: build_folder().join("pestle-agent"),
            arguments: vec!["--config".to_owned(), config.display().to_string(), "run".to_owned()],
            environment: vec![],
            log: place.log(&format!("agent-{slug}")),
        };
        Ok(Self {
            slug: slug.to_owned(),
            scanner,
            printer,
            fridge,
            https,
            mqtt,
            folder,
            config,
            program,
            keeper: keeper.clone(),
            process: Mutex::new(None),
            power: watch::Sender::new(Power::Unplugged),
            web: watch::Sender::new(String::new()),
        })
    }

    /// As people call it: `North`.
    pub fn title(&self) -> String {
        let mut letters = self.slug.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
    }

    /// Whether the box has an identity.
    pub fn is_enrolled(&self) -> bool {
        self.folder.join("identity/identity.json").exists()
    }

    /// Enrols the box with the technician's tool, as one would in a branch.
    ///
    /// # Errors
    /// With the tool's own words.
    pub async fn enrol(&self, gateway: &str, claim: &str) -> Result<(), WorldError> {
        let folder = self.folder.display().to_string();
        let words = ["enrol", "--gateway", gateway, "--code", claim, "--data-dir", &folder];
        tool(&build_folder().join("pestle-provision"), &words, "").await?;
        Ok(())
    }

    /// Books the opening stock (lines `gtin,lot,expiry,quantity`) before the first start.
    ///
    /// # Errors
    /// With the agent's own words.
    pub async fn open_stock(&self, csv: &str) -> Result<(), WorldError> {
        let file = self.folder.join("opening-stock.csv");
        fs::write(&file, csv).map_err(WorldError::disk("write", &file))?;
        self.command(&["stock-open", &file.display().to_string()]).await?;
        Ok(())
    }

    /// Every fact of the box's ledger, as its own command prints them. The agent must not run.
    ///
    /// # Errors
    /// With the agent's own words.
    pub async fn journal(&self) -> Result<String, WorldError> {
        self.command(&["journal", "show"]).await
    }

    /// Has the box prove its ledger, and hands back what holds. The agent must not run.
    ///
    /// # Errors
    /// With what does not.
    pub async fn verify(&self) -> Result<String, WorldError> {
        self.command(&["journal", "verify"]).await
    }

    /// Exports the box's ledger into its folder and says where. The agent must not run.
    ///
    /// # Errors
    /// With the agent's own words.
    pub async fn export(&self) -> Result<PathBuf, WorldError> {
        let file = self.folder.join("export.jsonl");
        let _ = fs::remove_file(&file);
        self.command(&["journal", "export", &file.display().to_string()]).await?;
        Ok(file)
    }

    async fn command(&self, words: &[&str]) -> Result<String, WorldError> {
        let config = self.config.display().to_string();
        let words = [&["--config", config.as_str()], words].concat();
        Ok(tool(&self.program.path, &words, "").await?)
    }

    /// Puts the plug in and waits until the agent answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn start(&self) -> Result<(), WorldError> {
        let mut held = self.process.lock().await;
        if held.as_mut().is_some_and(|process| process.ended().is_none()) {
            return Ok(());
        }
        self.power.send_replace(Power::Starting);
        let file = self.folder.join("run/addresses.json");
        let _ = fs::remove_file(&file);
        let started = async {
            let mut process = self.program.start(&self.keeper)?;
            let addresses: AgentAddresses = process.ready(&file, READY_WITHIN).await?;
            Ok::<_, WorldError>((process, addresses))
        };
        match started.await {
            Ok((process, addresses)) => {
                *held = Some(process);
                self.web.send_replace(with_scheme(&addresses.web));
                self.power.send_replace(Power::Running);
                Ok(())
            }
            Err(error) => {
                self.power.send_replace(Power::Ended(error.to_string()));
                Err(error)
            }
        }
    }

    /// Pulls the plug: SIGKILL, in the middle of whatever it does.
    pub async fn pull_the_plug(&self) -> bool {
        let killed = self.process.lock().await.take().is_some_and(|mut process| was_killed(process.kill()));
        self.power.send_replace(Power::Unplugged);
        killed
    }

    /// Asks the agent to end, and waits.
    pub async fn stop(&self) {
        if let Some(mut process) = self.process.lock().await.take() {
            process.stop().await;
        }
        self.power.send_replace(Power::Unplugged);
    }

    /// Whether the box has power; looks whether the process still lives, unless it is just being started.
    pub fn power(&self) -> Power {
        if let Ok(mut held) = self.process.try_lock()
            && let Some(status) = held.as_mut().and_then(Process::ended)
        {
            *held = None;
            self.power.send_replace(Power::Ended(format!("The agent ended with {status}.")));
        }
        self.power.borrow().clone()
    }

    /// The counter page's address since the last start; empty before it.
    pub fn counter(&self) -> String {
        self.web.borrow().clone()
    }

    /// The process id of the agent, while it runs.
    pub async fn process_id(&self) -> Option<u32> {
        self.process.lock().await.as_ref().map(Process::id)
    }

    /// The box's certificate authority, for those who open its pages.
    ///
    /// # Errors
    /// Before it is enrolled.
    pub fn authority(&self) -> Result<Vec<u8>, WorldError> {
        let path = self.folder.join("identity/ca.pem");
        fs::read(&path).map_err(WorldError::disk("read", &path))
    }

    /// Sets both cables to the same weather.
    pub fn set_line(&self, weather: Weather) {
        self.https.set(weather);
        self.mqtt.set(weather);
    }

    /// The end of the agent's log.
    pub fn log_tail(&self) -> String {
        log_tail(&self.program.log)
    }
}

/// A program's own word for its address, as a base of URLs.
pub(crate) fn with_scheme(address: &str) -> String {
    let whole = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    whole.trim_end_matches('/').to_owned()
}
