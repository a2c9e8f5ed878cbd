//! The devices that this program plays, and what lies in the box's data folder before its first start. The simulated rig and
//! the virtual machine have the same.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use pestle_drivers::{
    printer::status::Paper,
    scanner::keyboard::layout::Layout,
    sim::{
        fridge::{FridgeFault, SimFridges},
        keyboard::SimKeyboard,
        printer::SimPrinter,
        scanner::SimScanner,
        typist::Typist,
    },
};
use tokio::time::timeout;

use super::{PrinterKind, PrinterState};
use crate::{
    power_cuts::provisioned,
    processes::{build_folder, tool},
};

/// The Modbus number of the fridge's sensor.
pub const FRIDGE_SLAVE: u8 = 1;
/// 80 mm paper.
const DOTS: u16 = 576;
/// A receipt is out within seconds; the machine may be busy with a whole build.
const PAPER_WITHIN: Duration = Duration::from_secs(60);
/// The tills, each with a printer.
pub const TILLS: [&str; 2] = ["till-1", "till-2"];

/// What a person has seen of a printer's papers.
#[derive(Debug)]
pub struct Watched {
    /// The printer.
    pub device: SimPrinter,
    read: usize,
}

/// All devices.
#[derive(Debug)]
pub struct Site {
    /// On a serial line.
    pub scanner: SimScanner,
    /// Types, into this machine's own agent.
    pub keyboard: SimKeyboard,
    /// On a serial line.
    pub serial_printer: Watched,
    /// On the network.
    pub network_printer: Watched,
    /// On a serial bus.
    pub fridge: SimFridges,
    /// What signed the box's certificates.
    pub authority: Vec<u8>,
    folder: PathBuf,
}

/// How the box reaches the devices: device files, and the host of network devices.
#[derive(Debug)]
pub struct Reached {
    /// The serial scanner, as a configuration writes it.
    pub scanner: String,
    /// The keyboard-mode scanner, likewise.
    pub keyboard: String,
    /// The serial printer's device file.
    pub printer: String,
    /// The sensor bus's device file.
    pub fridge: String,
    /// This machine, seen from the box.
    pub host: Ipv4Addr,
    /// What `web.listen` is.
    pub listen: String,
    /// Where the box keeps its data, as the box calls it.
    pub data_dir: String,
}

impl Site {
    /// Plugs the devices in. `serial_printer_on_tcp`: its cable is made by whoever connects.
    ///
    /// # Errors
    /// A device cannot be made, or the disk refuses.
    pub fn new(folder: &Path, serial_printer_on_tcp: bool) -> Result<Self> {
        let devices = folder.join("devices");
        fs::create_dir_all(&devices)?;
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let serial_printer = match serial_printer_on_tcp {
            true => SimPrinter::listen(any_port, DOTS)?,
            false => SimPrinter::plug_in(devices.join("printer"), DOTS)?,
        };
        Ok(Self {
            scanner: SimScanner::plug_in(devices.join("scanner"))?,
            keyboard: SimKeyboard::plug_in(devices.join("keyboard"), Typist::new(Layout::Us))?,
            serial_printer: Watched { device: serial_printer, read: 0 },
            network_printer: Watched { device: SimPrinter::listen(any_port, DOTS)?, read: 0 },
            fridge: SimFridges::plug_in(devices.join("fridge"), &[FRIDGE_SLAVE])?,
            authority: Vec::new(),
            folder: folder.to_owned(),
        })
    }

    /// The devices' own files on this machine.
    pub fn here(&self, data_dir: &Path) -> Reached {
        let devices = self.folder.join("devices");
        let path = |name: &str| devices.join(name).display().to_string();
        Reached {
            scanner: format!("serial:{}", path("scanner")),
            keyboard: format!("keyboard-stream:{}", path("keyboard")),
            printer: path("printer"),
            fridge: path("fridge"),
            host: Ipv4Addr::LOCALHOST,
            listen: "127.0.0.1:0".to_owned(),
            data_dir: data_dir.display().to_string(),
        }
    }

    /// Writes identity, catalogue and opening stock into `data`.
    ///
    /// # Errors
    /// The disk refuses, or the agent does not take its stock.
    pub async fn provision(&mut self, data: &Path) -> Result<()> {
        provisioned::provision(data)?;
        self.authority = fs::read(data.join("identity/ca.pem"))?;
        let config = self.folder.join("stock.toml");
        fs::write(&config, format!("data_dir = {data:?}\n[[till]]\nid = \"till-1\"\n"))?;
        let stock = self.folder.join("stock.csv");
        fs::write(&stock, provisioned::opening_stock()?)?;
        let (config, stock) = (config.display().to_string(), stock.display().to_string());
        tool(&build_folder().join("pestle-agent"), &["--config", &config, "stock-open", &stock], "").await?;
        Ok(())
    }

    /// The agent's configuration.
    ///
    /// # Errors
    /// A printer has no address.
    pub fn configuration(&self, reached: &Reached) -> Result<String> {
        let Reached { scanner, keyboard, printer, fridge, host, listen, data_dir } = reached;
        let port = self.network_printer.device.address().context("a network printer has an address")?.port();
        // A machine in software types as slowly as a person: hence the gap of the scanner that types.
        let tills: String = TILLS.iter().map(|till| format!("[[till]]\nid = \"{till}\"\n\n")).collect();
        Ok(format!(
            "data_dir = {data_dir:?}\n\n[web]\nlisten = {listen:?}\n\n{tills}\
             [[scanner]]\nname = \"counter\"\naddress = {scanner:?}\ntill = \"till-1\"\nproved = true\n\n\
             [[scanner]]\nname = \"second\"\naddress = {keyboard:?}\ntill = \"till-1\"\nidle_gap_ms = 1000\n\n\
             [[printer]]\nname = \"receipts\"\ntill = \"till-1\"\naddress = \"serial:{printer}?baud=115200\"\nmodel = \"epson-tm-t20\"\n\n\
             [[printer]]\nname = \"back-office\"\ntill = \"till-2\"\naddress = \"tcp://{host}:{port}\"\nmodel = \"epson-tm-t88\"\n\n\
             [[sensor]]\nname = \"fridge\"\npath = {fridge:?}\nslave = {FRIDGE_SLAVE}\nprofile = \"xy-md02\"\ninterval_s = 2\n"
        ))
    }

    /// All devices are well, and all papers are read.
    ///
    /// # Errors
    /// A device cannot be plugged in again.
    pub async fn reset(&mut self) -> Result<()> {
        self.scanner.replug().await?;
        self.keyboard.replug().await?;
        self.fridge.replug()?;
        self.fridge.set_fault(FRIDGE_SLAVE, FridgeFault::None)?;
        self.fridge.set_milli_celsius(FRIDGE_SLAVE, 4_200)?;
        for kind in [PrinterKind::Serial, PrinterKind::Network] {
            self.set_printer(kind, PrinterState::Well)?;
            let printer = self.printer(kind);
            printer.read = printer.device.receipts().len();
        }
        Ok(())
    }

    /// The printer of that kind.
    pub fn printer(&mut self, kind: PrinterKind) -> &mut Watched {
        match kind {
            PrinterKind::Serial => &mut self.serial_printer,
            PrinterKind::Network => &mut self.network_printer,
        }
    }

    /// See [`super::Rig::set_printer`].
    ///
    /// # Errors
    /// It cannot be switched on.
    pub fn set_printer(&mut self, kind: PrinterKind, state: PrinterState) -> Result<()> {
        let device = &self.printer(kind).device;
        if state == PrinterState::Off {
            device.power_off();
            return Ok(());
        }
        device.power_on()?;
        device.set_paper(if state == PrinterState::PaperOut { Paper::Out } else { Paper::Enough });
        device.set_cover_open(state == PrinterState::CoverOpen);
        Ok(())
    }

    /// See [`super::Rig::set_fridge`].
    ///
    /// # Errors
    /// There is no such sensor.
    pub fn set_fridge(&mut self, milli_celsius: Option<i32>) -> Result<()> {
        match milli_celsius {
            None => self.fridge.set_fault(FRIDGE_SLAVE, FridgeFault::Silent)?,
            Some(measured) => {
                self.fridge.set_fault(FRIDGE_SLAVE, FridgeFault::None)?;
                self.fridge.set_milli_celsius(FRIDGE_SLAVE, measured)?;
            }
        }
        Ok(())
    }
}

impl Watched {
    /// Papers that nobody has looked at.
    pub fn unread(&self) -> usize {
        self.device.receipts().len().saturating_sub(self.read)
    }

    /// The last paper, as a PNG.
    ///
    /// # Errors
    /// There is none.
    pub fn picture(&self) -> Result<Vec<u8>> {
        let paper = self.device.last_receipt().context("no paper came out yet")?;
        Ok(paper.png()?)
    }

    /// The next paper, when it is there.
    ///
    /// # Errors
    /// None comes.
    pub async fn next(&mut self) -> Result<String> {
        let mut changes = self.device.changes();
        let paper = async {
            loop {
                if let Some(paper) = self.device.receipts().into_iter().nth(self.read) {
                    return paper;
                }
                if changes.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let Ok(paper) = timeout(PAPER_WITHIN, paper).await else {
            bail!("no paper came out within {PAPER_WITHIN:?}; the printer is {:?}", self.device.view());
        };
        self.read += 1;
        Ok(paper.text())
    }
}
