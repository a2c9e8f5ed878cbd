//! The devices that this program plays, and what lies in the box's data folder before its first start. The simulated rig and
//! the virtual machine have the same.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
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

use super::{
    Devices, PrinterKind, PrinterState, ScannerKind,
    wiring::{WiredPrinter, WiredSensor, Wiring, asked_often},
};
use crate::{
    power_cuts::provisioned,
    processes::{build_folder, tool},
};

/// The Modbus number of the fridge's sensor.
pub const FRIDGE_SLAVE: u8 = 1;
/// [`Wiring::idle_gap_ms`] of scanners that a program plays.
pub const PLAYED_GAP_MS: u64 = 1_000;
/// What is still on its way to a printer has come out by then.
const STILL: Duration = Duration::from_millis(300);
/// What it is.
pub const FRIDGE_PROFILE: &str = "xy-md02";
/// 80 mm paper.
const DOTS: u16 = 576;
/// A receipt is out within seconds; the machine may be busy with a whole build.
const PAPER_WITHIN: Duration = Duration::from_secs(60);
/// Lines of a roll that is about to end: less than any receipt.
const LAST_LINES: u32 = 4;
/// The tills that sell in every campaign, each with a printer.
pub const TILLS: [&str; 2] = [PrinterKind::Serial.till(), PrinterKind::Network.till()];

/// What the serial printer, the network printer and the USB printer are.
pub const MODELS: [&str; 3] = ["epson-tm-t20", "epson-tm-t88", "epson-tm-t20"];

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
    /// Behind what plays a scanner of USB's serial class, where a rig has that.
    pub usb_scanner: SimScanner,
    /// Types, into this machine's own agent.
    pub keyboard: SimKeyboard,
    /// On a serial line.
    pub serial_printer: Watched,
    /// On the network.
    pub network_printer: Watched,
    /// Behind what plays a printer of USB's printer class, where a rig has that.
    pub usb_printer: Watched,
    /// On a serial bus.
    pub fridge: SimFridges,
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
            usb_scanner: SimScanner::plug_in(devices.join("usb-scanner"))?,
            keyboard: SimKeyboard::plug_in(devices.join("keyboard"), Typist::new(Layout::Us))?,
            serial_printer: Watched { device: serial_printer, read: 0 },
            network_printer: Watched { device: SimPrinter::listen(any_port, DOTS)?, read: 0 },
            usb_printer: Watched { device: SimPrinter::listen(any_port, DOTS)?, read: 0 },
            fridge: SimFridges::plug_in(devices.join("fridge"), &[FRIDGE_SLAVE])?,
        })
    }

    /// How an agent on this machine reaches them, the network printer at `network`. Nothing here is on USB.
    pub fn wiring(&self, folder: &Path, network: SocketAddr) -> Wiring {
        let at = |name: &str| folder.join("devices").join(name).display().to_string();
        let printer = format!("serial:{}?baud=115200", at("printer"));
        let fridge = format!("serial:{}", at("fridge"));
        Wiring {
            keyboard_scanner: Some(format!("keyboard-stream:{}", at("keyboard"))),
            serial_scanner: Some(format!("serial:{}", at("scanner"))),
            serial_printer: Some(WiredPrinter::new(printer, MODELS[0])),
            network_printer: Some(WiredPrinter::new(format!("tcp://{network}"), MODELS[1])),
            fridge: Some(WiredSensor {
                address: fridge,
                slave: FRIDGE_SLAVE,
                profile: FRIDGE_PROFILE.to_owned(),
                interval_s: asked_often(),
            }),
            cdc_acm_scanner: None,
            usb_printer: None,
            idle_gap_ms: Some(PLAYED_GAP_MS),
        }
    }

    /// All devices are well, and all papers are read.
    ///
    /// # Errors
    /// A device cannot be plugged in again.
    pub async fn reset(&mut self) -> Result<()> {
        self.scanner.replug().await?;
        self.usb_scanner.replug().await?;
        self.keyboard.replug().await?;
        self.fridge.replug()?;
        self.set_fridge(4_200).await?;
        for kind in PrinterKind::ALL {
            self.set_printer(kind, PrinterState::Well).await?;
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
            PrinterKind::Usb => &mut self.usb_printer,
        }
    }

    /// Holds that barcode under the scanner of that kind.
    ///
    /// # Errors
    /// It is not plugged in, or it types and this is no text.
    pub async fn scan(&self, kind: ScannerKind, barcode: &[u8]) -> Result<()> {
        match kind {
            ScannerKind::Serial => self.scanner.scan(barcode).await?,
            ScannerKind::CdcAcm => self.usb_scanner.scan(barcode).await?,
            ScannerKind::Keyboard => {
                let text = std::str::from_utf8(barcode).context("a scanner that types sends text")?;
                self.keyboard.type_text(&format!("{text}\r")).await?;
            }
        }
        Ok(())
    }

    /// Plugs the scanner of that kind in, or pulls it.
    ///
    /// # Errors
    /// It cannot be plugged in again.
    pub async fn plug_scanner(&mut self, kind: ScannerKind, into: bool) -> Result<()> {
        match (kind, into) {
            (ScannerKind::Serial, true) => self.scanner.replug().await?,
            (ScannerKind::Serial, false) => self.scanner.unplug().await,
            (ScannerKind::CdcAcm, true) => self.usb_scanner.replug().await?,
            (ScannerKind::CdcAcm, false) => self.usb_scanner.unplug().await,
            (ScannerKind::Keyboard, true) => self.keyboard.replug().await?,
            (ScannerKind::Keyboard, false) => self.keyboard.unplug().await,
        }
        Ok(())
    }
}

#[async_trait]
impl Devices for Site {
    async fn set_printer(&mut self, printer: PrinterKind, state: PrinterState) -> Result<()> {
        let device = &self.printer(printer).device;
        device.set_cover_open(state == PrinterState::CoverOpen);
        match state {
            PrinterState::PaperOut => device.set_paper(Paper::Out),
            PrinterState::PaperEnding => device.end_paper_after(LAST_LINES),
            PrinterState::Well | PrinterState::CoverOpen => device.set_paper(Paper::Enough),
        }
        Ok(())
    }

    async fn paper(&mut self, printer: PrinterKind, says: &[&str]) -> Result<()> {
        let paper = self.printer(printer).next().await?;
        // No case asks for one.
        ensure!(!paper.lines().any(|line| line.trim() == "COPY"), "the paper is a copy:\n{paper}");
        for words in says {
            ensure!(has_words(&paper, words), "the paper does not say {words:?}:\n{paper}");
        }
        Ok(())
    }

    async fn nothing_more(&mut self, printer: PrinterKind) -> Result<()> {
        tokio::time::sleep(STILL).await;
        let unread = self.printer(printer).unread();
        ensure!(unread == 0, "{unread} papers lie in the {} printer", printer.name());
        Ok(())
    }

    async fn picture_of_paper(&mut self, printer: PrinterKind) -> Result<Option<Vec<u8>>> {
        let paper = self.printer(printer).device.last_receipt().context("no paper came out yet")?;
        Ok(Some(paper.png()?))
    }

    async fn set_fridge(&mut self, milli_celsius: i32) -> Result<RangeInclusive<i32>> {
        self.fridge.set_fault(FRIDGE_SLAVE, FridgeFault::None)?;
        self.fridge.set_milli_celsius(FRIDGE_SLAVE, milli_celsius)?;
        Ok(milli_celsius..=milli_celsius)
    }

    async fn silence_fridge(&mut self) -> Result<()> {
        Ok(self.fridge.set_fault(FRIDGE_SLAVE, FridgeFault::Silent)?)
    }
}

impl Watched {
    /// Papers that nobody has looked at.
    fn unread(&self) -> usize {
        self.device.receipts().len().saturating_sub(self.read)
    }

    /// The next paper, when it is there.
    async fn next(&mut self) -> Result<String> {
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

/// Receipt 1 does not stand on the paper of receipt 10, or of 21.
fn has_words(paper: &str, words: &str) -> bool {
    let is_apart = |(at, found): (usize, &str)| {
        let (before, behind) = (&paper[..at], &paper[at + found.len()..]);
        !before.ends_with(char::is_alphanumeric) && !behind.starts_with(char::is_alphanumeric)
    };
    paper.match_indices(words).any(is_apart)
}

/// Writes identity, catalogue and opening stock into `data`, using `folder` for what is needed meanwhile; hands back what signed the box's
/// certificates, in PEM.
///
/// # Errors
/// The disk refuses, or the agent does not take its stock.
pub async fn provision(folder: &Path, data: &Path) -> Result<Vec<u8>> {
    provisioned::provision(data)?;
    let authority = fs::read(data.join("identity/ca.pem"))?;
    let config = folder.join("stock.toml");
    fs::write(&config, format!("data_dir = {data:?}\n[[till]]\nid = \"till-1\"\n"))?;
    let stock = folder.join("stock.csv");
    fs::write(&stock, provisioned::opening_stock()?)?;
    let files: [PathBuf; 2] = [config, stock];
    let [config, stock] = files.map(|file| file.display().to_string());
    tool(&build_folder().join("pestle-agent"), &["--config", &config, "stock-open", &stock], "").await?;
    Ok(authority)
}
