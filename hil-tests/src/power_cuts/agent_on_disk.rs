//! The real agent with its data folder on a disk that can be cut off and fail.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;

use super::provisioned;
use crate::seeded::Seeded;
use crate::{
    counter::Counter,
    disk::{mount::Mount, plain::Plain, state::Disk},
    processes::{Keeper, Process, Program, build_folder, log_tail, tool},
    waiting::until,
    world::branch::with_scheme,
};

/// From the start to the first answer; the machine may be busy with a whole build.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// The box's tills; the printer stands at the first.
pub const TILLS: [&str; 2] = ["till-1", "till-2"];

#[derive(Debug, Deserialize)]
struct Addresses {
    pid: u32,
    web: String,
}

/// See the module.
#[derive(Debug)]
pub struct AgentOnDisk {
    /// The disk under it.
    pub disk: Disk,
    mount: Option<Mount>,
    place: PathBuf,
    program: Program,
    process: Option<Process>,
    keeper: Keeper,
    web: String,
    authority: Vec<u8>,
}

impl AgentOnDisk {
    /// A new box in `place`, with stock on its shelf; its agent does not run yet. `printer` is the first till's.
    ///
    /// # Errors
    /// No disk can be mounted, or the agent does not take its stock.
    pub async fn new(place: &Path, printer: Option<String>) -> Result<Self> {
        let data = place.join("box");
        let disk = Disk::new(Plain::empty());
        let mount = Mount::at(&data, &disk)?;
        provisioned::provision(&data)?;
        let authority = fs::read(data.join("identity/ca.pem"))?;
        let tills: String = TILLS.iter().map(|till| format!("[[till]]\nid = \"{till}\"\n")).collect();
        let printer = printer.map(|address| {
            format!(
                "[[printer]]\nname = \"receipts\"\ntill = \"till-1\"\naddress = \"tcp://{address}\"\nmodel = \"epson-tm-t20\"\n"
            )
        });
        let config = place.join("agent.toml");
        let generations = "[journal]\ngeneration_facts = 300\n";
        let text = format!(
            "data_dir = {data:?}\n[web]\nlisten = \"127.0.0.1:0\"\n{generations}{tills}{}",
            printer.unwrap_or_default()
        );
        fs::write(&config, text)?;
        let program = Program {
            name: "agent".to_owned(),
            path: build_folder().join("pestle-agent"),
            arguments: vec!["--config".to_owned(), config.display().to_string(), "run".to_owned()],
            environment: vec![],
            log: place.join("agent.log"),
        };
        let keeper = Keeper::start(&build_folder().join("pestle-demo"))?;
        let (place, web) = (place.to_owned(), String::new());
        let mut made =
            Self { disk, mount: Some(mount), place, program, process: None, keeper, web, authority };
        let stock = made.place.join("stock.csv");
        fs::write(&stock, provisioned::opening_stock()?)?;
        made.command(&["stock-open", &stock.display().to_string()]).await?;
        // What a technician has set up lies safely on the disk.
        made.remount(|disk| disk.now())?;
        Ok(made)
    }

    /// Runs another of the agent's commands. The agent must not run.
    ///
    /// # Errors
    /// With its own words.
    pub async fn command(&self, words: &[&str]) -> Result<String> {
        let config = self.place.join("agent.toml").display().to_string();
        Ok(tool(&self.program.path, &[&["--config", config.as_str()], words].concat(), "").await?)
    }

    /// Starts the agent, and waits until it answers or its power goes. Says whether it answers.
    ///
    /// # Errors
    /// It ends by itself.
    pub async fn start(&mut self) -> Result<bool> {
        let addresses = self.data().join("run/addresses.json");
        let mut process = self.program.start(&self.keeper)?;
        let id = process.id();
        let looked = until("the agent", READY_WITHIN, || {
            let outcome = if self.disk.is_frozen() {
                Ok(None)
            } else if let Some(status) = process.ended() {
                Ok(Some(Err(status)))
            } else {
                // Not through the mount: who asks a disk without power waits.
                read_addresses(&self.disk, id).map(|web| Some(Ok(web)))
            };
            std::future::ready(outcome)
        })
        .await
        .with_context(|| format!("{}\n{}", addresses.display(), self.log_tail()))?;
        self.process = Some(process);
        match looked {
            None => Ok(false),
            Some(Ok(web)) => {
                self.web = with_scheme(&web);
                Ok(true)
            }
            Some(Err(status)) => bail!("the agent ended with {status}:\n{}", self.log_tail()),
        }
    }

    /// A browser at a till.
    ///
    /// # Errors
    /// The box's authority cannot be read.
    pub fn counter(&self, till: &str) -> Result<Counter> {
        Ok(Counter::at(self.web.clone(), &self.authority)?.at_till(till))
    }

    /// The agent is killed, as it is when its power goes. The disk may be without power already, or goes on.
    pub fn kill(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        if let Some(group) = i32::try_from(process.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process_group(group, Signal::KILL);
        }
        // Whoever waits for the disk dies with the answer.
        if self.disk.is_frozen() {
            self.disk.let_go();
        }
        process.kill();
    }

    /// Asks the agent to end, and waits.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop().await;
        }
    }

    /// The power goes now, if it has not yet, and comes back: what is left on the disk is drawn from `seeded`.
    ///
    /// # Errors
    /// The disk cannot be mounted again.
    pub fn cut(&mut self, seeded: &mut Seeded) -> Result<()> {
        self.kill();
        self.remount(|disk| disk.cut(seeded))
    }

    fn remount(&mut self, left: impl FnOnce(&Disk) -> Plain) -> Result<()> {
        if let Some(mount) = self.mount.take() {
            mount.end()?;
        }
        self.disk = Disk::new(left(&self.disk));
        self.mount = Some(Mount::at(&self.data(), &self.disk)?);
        Ok(())
    }

    /// Its `data_dir`.
    pub fn data(&self) -> PathBuf {
        self.place.join("box")
    }

    /// The end of the agent's log.
    pub fn log_tail(&self) -> String {
        log_tail(&self.program.log)
    }
}

impl Drop for AgentOnDisk {
    fn drop(&mut self) {
        self.kill();
    }
}

fn read_addresses(disk: &Disk, id: u32) -> Result<String, String> {
    let bytes = disk.read(Path::new("run/addresses.json")).ok_or("no addresses")?;
    let addresses: Addresses = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    if addresses.pid == id { Ok(addresses.web) } else { Err(format!("of process {}", addresses.pid)) }
}
