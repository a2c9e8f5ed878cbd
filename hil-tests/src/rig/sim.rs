//! The agent as a process of this machine, its devices simulated over pseudo-terminals and TCP. The counter's page and the network printer
//! are reached through a cable that can be pulled.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;

use super::{Ability, Devices, PrinterKind, Rig, ScannerKind, here::BoxHere, site::Site, wiring::Wiring};
use crate::{
    counter::Counter,
    network::{Cable, Weather},
};

const NO_USB: &str =
    "what is on USB's own classes is the kernel's matter, and no pseudo-terminal is one of them";

/// Why this rig cannot do that; `None` when it can.
pub fn unable(ability: Ability) -> Option<&'static str> {
    match ability {
        Ability::Scanner(ScannerKind::CdcAcm) | Ability::Printer(PrinterKind::Usb) => Some(NO_USB),
        Ability::Scanner(_)
        | Ability::Printer(_)
        | Ability::PaperEnding
        | Ability::Sensors
        | Ability::Plugs
        | Ability::NetworkCable
        | Ability::Power => None,
        Ability::Disk => Some("the disk is the one of this machine"),
        Ability::Stick => {
            Some("the appliance's own system takes the stick, and here the agent runs without it")
        }
        Ability::Keyboard => Some("its agent has the scanners' keys alone, no kernel's keyboards"),
        Ability::Factory => {
            Some("it is the appliance's image that leaves the factory, and here the agent runs without it")
        }
        Ability::System => Some("it is the appliance's own system, and here the agent runs without it"),
    }
}

/// See the module.
#[derive(Debug)]
pub struct SimRig {
    site: Site,
    wiring: Wiring,
    to_page: Cable,
    to_printer: Cable,
    here: BoxHere,
}

impl SimRig {
    /// A box with its devices in a throwaway folder; it does not run yet.
    ///
    /// # Errors
    /// The disk refuses, or a program is not built.
    pub async fn new() -> Result<Self> {
        let place = tempfile::Builder::new().prefix("pestle-rig-").tempdir()?;
        let site = Site::new(place.path(), false)?;
        let printer = site.network_printer.device.address().context("a network printer has an address")?;
        let to_printer = Cable::lay(printer).await?;
        // Where the page is comes with the box's start.
        let to_page = Cable::lay(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let wiring = site.wiring(place.path(), to_printer.address());
        Ok(Self { site, wiring, to_page, to_printer, here: BoxHere::new(place).await? })
    }

    async fn start(&mut self) -> Result<()> {
        self.here.start(&self.wiring).await?;
        let (_, port) = self.here.web()?.rsplit_once(':').context("an address has a port")?;
        self.to_page.lead_to(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?)));
        Ok(())
    }
}

#[async_trait]
impl Rig for SimRig {
    async fn reset(&mut self) -> Result<()> {
        self.start().await?;
        self.set_network(true).await?;
        self.site.reset().await
    }

    fn counter(&self, till: &str) -> Result<Counter> {
        let (scheme_and_host, _) = self.here.web()?.rsplit_once(':').context("an address has a port")?;
        self.here.counter(till, &format!("{scheme_and_host}:{}", self.to_page.address().port()))
    }

    fn devices(&mut self) -> &mut dyn Devices {
        &mut self.site
    }

    async fn scan(&mut self, scanner: ScannerKind, barcode: &[u8]) -> Result<()> {
        self.site.scan(scanner, barcode).await
    }

    async fn plug_scanner(&mut self, scanner: ScannerKind, into: bool) -> Result<()> {
        self.site.plug_scanner(scanner, into).await
    }

    async fn plug_printer(&mut self, printer: PrinterKind, _into: bool) -> Result<()> {
        bail!("the cable of the {} printer has no plug here", printer.name())
    }

    async fn set_network(&mut self, there: bool) -> Result<()> {
        for cable in [&self.to_page, &self.to_printer] {
            cable.set(if there { Weather::FAIR } else { Weather::Blackhole });
        }
        Ok(())
    }

    async fn cut_power(&mut self) -> Result<()> {
        self.here.kill()?;
        self.start().await
    }

    async fn console(&mut self) -> Result<String> {
        self.here.console()
    }
}
