//! The agent as a process of this machine, its devices simulated over pseudo-terminals and TCP.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use serde::Deserialize;
use tempfile::TempDir;

use super::{Ability, PrinterKind, PrinterState, Rig, ScannerKind, site::Site};
use crate::{
    counter::Counter,
    processes::{Keeper, Process, Program, build_folder},
    world::branch::with_scheme,
};

/// From the start to the first answer; the machine may be busy with a whole build.
const READY_WITHIN: Duration = Duration::from_secs(60);

const NO_CABLE: &str = "the page is asked over loopback, which has no cable";

/// Why this rig cannot do that; `None` when it can.
pub fn unable(ability: Ability) -> Option<&'static str> {
    match ability {
        Ability::NetworkCable => Some(NO_CABLE),
        Ability::KeyboardScanner
        | Ability::SerialScanner
        | Ability::SerialPrinter
        | Ability::NetworkPrinter
        | Ability::Sensors
        | Ability::Plugs
        | Ability::Power => None,
    }
}

/// See the module.
#[derive(Debug)]
pub struct SimRig {
    site: Site,
    program: Program,
    process: Option<Process>,
    keeper: Keeper,
    web: String,
    data: PathBuf,
    _place: TempDir,
}

#[derive(Debug, Deserialize)]
struct Addresses {
    web: String,
}

impl SimRig {
    /// A box with its devices in a throwaway folder; it does not run yet.
    ///
    /// # Errors
    /// The disk refuses, or a program is not built.
    pub async fn new() -> Result<Self> {
        let place = tempfile::Builder::new().prefix("pestle-rig-").tempdir()?;
        let data = place.path().join("box");
        fs::create_dir(&data)?;
        let mut site = Site::new(place.path(), false)?;
        site.provision(&data).await?;
        let config = place.path().join("agent.toml");
        fs::write(&config, site.configuration(&site.here(&data))?)?;
        let program = Program {
            name: "agent".to_owned(),
            path: build_folder().join("pestle-agent"),
            arguments: vec!["--config".to_owned(), config.display().to_string(), "run".to_owned()],
            environment: vec![],
            log: place.path().join("agent.log"),
        };
        let keeper = Keeper::start(&build_folder().join("pestle-demo"))?;
        Ok(Self { site, program, process: None, keeper, web: String::new(), data, _place: place })
    }

    async fn start(&mut self) -> Result<()> {
        let addresses = self.data.join("run/addresses.json");
        // Of the run before.
        let _not_there = fs::remove_file(&addresses);
        let mut process = self.program.start(&self.keeper)?;
        let found: Addresses = process.ready(&addresses, READY_WITHIN).await?;
        self.web = with_scheme(&found.web);
        self.process = Some(process);
        Ok(())
    }
}

#[async_trait]
impl Rig for SimRig {
    async fn reset(&mut self) -> Result<()> {
        if self.process.as_mut().is_none_or(|process| process.ended().is_some()) {
            self.start().await?;
        }
        self.site.reset().await
    }

    fn counter(&self, till: &str) -> Result<Counter> {
        Ok(Counter::at(self.web.clone(), &self.site.authority)?.at_till(till))
    }

    async fn scan(&mut self, scanner: ScannerKind, barcode: &[u8]) -> Result<()> {
        match scanner {
            ScannerKind::Keyboard => {
                let text = std::str::from_utf8(barcode).context("a scanner types text")?;
                Ok(self.site.keyboard.type_text(&format!("{text}\r")).await?)
            }
            ScannerKind::Serial => Ok(self.site.scanner.scan(barcode).await?),
        }
    }

    async fn plug_scanner(&mut self, scanner: ScannerKind, into: bool) -> Result<()> {
        match (scanner, into) {
            (ScannerKind::Keyboard, true) => self.site.keyboard.replug().await?,
            (ScannerKind::Keyboard, false) => self.site.keyboard.unplug().await,
            (ScannerKind::Serial, true) => self.site.scanner.replug().await?,
            (ScannerKind::Serial, false) => self.site.scanner.unplug().await,
        }
        Ok(())
    }

    async fn set_printer(&mut self, printer: PrinterKind, state: PrinterState) -> Result<()> {
        self.site.set_printer(printer, state)
    }

    async fn paper(&mut self, printer: PrinterKind) -> Result<String> {
        self.site.printer(printer).next().await
    }

    async fn papers_unread(&mut self, printer: PrinterKind) -> Result<usize> {
        Ok(self.site.printer(printer).unread())
    }

    async fn picture_of_paper(&mut self, printer: PrinterKind) -> Result<Vec<u8>> {
        self.site.printer(printer).picture()
    }

    async fn picture_of_screen(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    async fn set_fridge(&mut self, milli_celsius: Option<i32>) -> Result<()> {
        self.site.set_fridge(milli_celsius)
    }

    async fn set_network(&mut self, _there: bool) -> Result<()> {
        bail!(NO_CABLE)
    }

    /// The process is killed; what a disk loses beside that is for the campaigns of [`crate::power_cuts`].
    async fn cut_power(&mut self) -> Result<()> {
        self.process.take().context("the box runs")?.kill();
        self.start().await
    }
}
