//! The box as a process of this machine: the agent, with its pages on loopback and its console in a file.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use tempfile::TempDir;

use super::{site, wiring::Wiring};
use crate::{
    counter::Counter,
    processes::{Keeper, Process, Program, build_folder},
    world::branch::with_scheme,
};

/// From the start to the first answer; the machine may be busy with a whole build.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub struct BoxHere {
    place: TempDir,
    keeper: Keeper,
    authority: Vec<u8>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    agent: Process,
    /// Ends with it.
    _console: Process,
    web: String,
}

#[derive(Debug, Deserialize)]
struct Addresses {
    web: String,
}

impl BoxHere {
    /// A box in a throwaway folder that sells the bench's catalogue; it does not run yet.
    ///
    /// # Errors
    /// The disk refuses, or a program is not built.
    pub async fn new(place: TempDir) -> Result<Self> {
        let data = place.path().join("box");
        fs::create_dir(&data)?;
        let authority = site::provision(place.path(), &data).await?;
        let keeper = Keeper::start(&build_folder().join("pestle-demo"))?;
        Ok(Self { place, keeper, authority, running: None })
    }

    /// Starts it unless it runs, with these devices.
    ///
    /// # Errors
    /// It does not get ready.
    pub async fn start(&mut self, wiring: &Wiring) -> Result<()> {
        if self.running.as_mut().is_some_and(|running| running.agent.ended().is_none()) {
            return Ok(());
        }
        let data = self.data();
        fs::write(self.config(), wiring.configuration("127.0.0.1:0", &data.display().to_string()))?;
        let addresses = data.join("run/addresses.json");
        // Of the run before.
        let _not_there = fs::remove_file(&addresses);
        let mut agent = self.program("run").start(&self.keeper)?;
        let found: Addresses = agent.ready(&addresses, READY_WITHIN).await?;
        let console = self.program("console").start(&self.keeper)?;
        self.running = Some(Running { agent, _console: console, web: with_scheme(&found.web) });
        Ok(())
    }

    /// The process is killed; what a disk loses beside that is for the campaigns of [`crate::power_cuts`].
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.running.take().context("the box runs")?.agent.kill();
        Ok(())
    }

    /// Where its pages are.
    ///
    /// # Errors
    /// It does not run.
    pub fn web(&self) -> Result<&str> {
        Ok(&self.running.as_ref().context("the box is off")?.web)
    }

    /// A browser at a till, at the box's own address or where a cable leads there.
    ///
    /// # Errors
    /// The authority cannot be read.
    pub fn counter(&self, till: &str, address: &str) -> Result<Counter> {
        Ok(Counter::at(address.to_owned(), &self.authority)?.at_till(till))
    }

    /// What it shows on its console.
    ///
    /// # Errors
    /// It never ran.
    pub fn console(&self) -> Result<String> {
        last_screen(&fs::read(self.log("console"))?)
    }

    fn data(&self) -> PathBuf {
        self.place.path().join("box")
    }

    fn config(&self) -> PathBuf {
        self.place.path().join("agent.toml")
    }

    fn log(&self, command: &str) -> PathBuf {
        self.place.path().join(format!("{command}.log"))
    }

    fn program(&self, command: &str) -> Program {
        Program {
            name: format!("agent {command}"),
            path: build_folder().join("pestle-agent"),
            arguments: vec!["--config".to_owned(), self.config().display().to_string(), command.to_owned()],
            environment: vec![],
            log: self.log(command),
        }
    }
}

/// The last that a terminal showed, after all that was ever written to it: it is cleared before each drawing.
///
/// # Errors
/// Nothing was drawn yet.
pub fn last_screen(written: &[u8]) -> Result<String> {
    let text = String::from_utf8_lossy(written).replace('\r', "");
    let (_, last) = text.rsplit_once("\x1b[2J\x1b[H").context("the console has shown nothing yet")?;
    Ok(last.to_owned())
}
