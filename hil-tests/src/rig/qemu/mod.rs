//! The appliance's image in QEMU, in software. Its kernel has the real drivers: a USB keyboard, USB serial adapters (FTDI) for
//! scanner and printer, a serial port for the sensors' bus. The devices behind them are this program's.
//!
//! [`disk`] makes its disk, [`machine`] runs it, [`qmp`] speaks with QEMU's monitor, [`keys`] are what a scanner presses, and
//! [`guest`] is a shell inside. [`recordings`] keep what its kernel makes of keys.
//!
//! [`power_cuts`] and [`disk_cuts`] take its power away: [`write_log`] reads what was written to its disk, [`recording`] keeps that with
//! what was told, [`replay`] makes what a cut leaves of it, and [`left`] looks whether it comes back. [`idle`] measures the agent at rest, [`boot`]
//! its start.

pub mod boot;
pub mod disk;
pub mod disk_cuts;
pub mod guest;
pub mod idle;
pub mod keys;
pub mod left;
pub mod machine;
pub mod power_cuts;
pub mod qmp;
pub mod recording;
pub mod recordings;
pub mod replay;
pub mod write_log;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use async_trait::async_trait;
use serde_json::json;
use tempfile::TempDir;

use super::{
    PrinterKind, PrinterState, Rig, ScannerKind,
    settings::Machine,
    site::{Reached, Site},
};
use crate::{
    counter::Counter,
    processes::{Keeper, build_folder},
    waiting::until,
};
use guest::Guest;
use machine::{HOST, KEYBOARD_SERIAL, PRINTER_SERIAL, Running, SCANNER_SERIAL};

/// How long a device that was pulled may keep what it held.
const PLUGGED_WITHIN: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub struct QemuRig {
    settings: Machine,
    site: Site,
    keeper: Keeper,
    running: Option<Running>,
    place: TempDir,
    /// From the power button to the first answer, of the last start.
    pub booted_in: Duration,
    /// Where the next start keeps what is written to the disk.
    write_log: Option<PathBuf>,
}

impl QemuRig {
    /// A machine with a disk of its own; it is off.
    ///
    /// # Errors
    /// The image is not built, QEMU is not installed, or the disk refuses.
    pub async fn new(settings: Machine) -> Result<Self> {
        let place = tempfile::Builder::new().prefix("pestle-rig-").tempdir()?;
        let mut site = Site::new(place.path(), true)?;
        let data = place.path().join("data");
        fs::create_dir_all(data.join("etc"))?;
        site.provision(&data.join("agent")).await?;
        let adapter =
            |serial: &str| format!("/dev/serial/by-id/usb-QEMU_QEMU_USB_SERIAL_{serial}-if00-port0");
        let reached = Reached {
            // By the names that stay, as a technician reads them from `pestle-agent devices list`.
            scanner: format!("serial:usb:0403:6001:{SCANNER_SERIAL}"),
            keyboard: format!("keyboard:usb:0627:0001:{KEYBOARD_SERIAL}"),
            printer: adapter(PRINTER_SERIAL),
            fridge: "/dev/ttyS1".to_owned(),
            host: HOST,
            listen: "0.0.0.0:443".to_owned(),
            data_dir: "/var/lib/pestle".to_owned(),
        };
        fs::write(data.join("etc/agent.toml"), site.configuration(&reached)?)?;
        let image = settings.image.clone().unwrap_or_else(disk::image);
        disk::make(&image, &data, &place.path().join("disk.img")).await?;
        fs::copy(&settings.firmware.variables, place.path().join("variables.fd")).with_context(|| {
            format!("{} is not there: install ovmf", settings.firmware.variables.display())
        })?;
        let keeper = Keeper::start(&build_folder().join("pestle-demo"))?;
        Ok(Self { settings, site, keeper, running: None, place, booted_in: Duration::ZERO, write_log: None })
    }

    /// Presses the power button, and waits until the counter's page answers.
    ///
    /// # Errors
    /// It does not in time; the end of the console says how far it came.
    pub async fn power_on(&mut self) -> Result<()> {
        let pressed = Instant::now();
        let log = self.write_log.as_deref();
        let running =
            Running::start(&self.settings, self.place.path(), &self.site, &self.keeper, log).await?;
        let console = running.console.clone();
        let counter = Counter::at(address(running.https), &self.site.authority)?.at_till("till-1");
        self.running = Some(running);
        let within = Duration::from_secs(self.settings.boot_within_s);
        let answered = until("the counter's page of the machine", within, || async {
            counter.look().await.map_err(|error| error.to_string())
        });
        if let Err(overdue) = answered.await {
            return Err(overdue).context(self.what_the_machine_says(&console).await);
        }
        self.booted_in = pressed.elapsed();
        Ok(())
    }

    /// A root shell inside the machine, which must be on.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn guest(&self) -> Result<Guest> {
        Guest::connect(self.place.path()).await
    }

    async fn what_the_machine_says(&self, console: &Path) -> String {
        let asked = async { self.guest().await?.run(ASK_OF_A_BAD_START).await };
        asked.await.unwrap_or_else(|error| {
            format!("its shell does not answer either ({error:#}); {}", end_of(console))
        })
    }

    /// As [`QemuRig::power_on`], unless it is on.
    ///
    /// # Errors
    /// As there.
    pub async fn power_on_if_off(&mut self) -> Result<()> {
        match self.running {
            Some(_) => Ok(()),
            None => self.power_on().await,
        }
    }

    /// Its disk.
    pub fn disk(&self) -> PathBuf {
        self.place.path().join("disk.img")
    }

    /// Keeps its disk and what its console said in `folder`, for whoever looks why it did not come back.
    ///
    /// # Errors
    /// There is no room.
    pub fn keep(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        fs::copy(self.place.path().join("console.log"), folder.join("console.log"))?;
        // With its holes.
        left::run("cp", &["--sparse=always".as_ref(), &self.disk(), &folder.join("disk.img")])
    }

    /// The power goes, and stays away.
    pub fn power_off(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.cut();
        }
    }

    fn running(&mut self) -> Result<&mut Running> {
        self.running.as_mut().context("the machine is off")
    }
}

/// What the agent and systemd say of a start that did not end well.
const ASK_OF_A_BAD_START: &str =
    "journalctl -u pestle-agent -n 40 --no-pager -o cat; systemctl --failed --no-pager --plain";

fn address(port: u16) -> String {
    format!("https://localhost:{port}")
}

fn end_of(console: &Path) -> String {
    let bytes = fs::read(console).unwrap_or_default();
    let end = bytes.len().saturating_sub(2_000);
    format!("the end of its console:\n{}", String::from_utf8_lossy(&bytes[end..]))
}

#[async_trait]
impl Rig for QemuRig {
    async fn reset(&mut self) -> Result<()> {
        if self.running.as_mut().is_none_or(|running| running.ended().is_some()) {
            self.power_on().await?;
        }
        self.set_network(true).await?;
        self.site.reset().await
    }

    fn counter(&self, till: &str) -> Result<Counter> {
        let port = self.running.as_ref().context("the machine is off")?.https;
        Ok(Counter::at(address(port), &self.site.authority)?.at_till(till))
    }

    async fn scan(&mut self, scanner: ScannerKind, barcode: &[u8]) -> Result<()> {
        match scanner {
            ScannerKind::Keyboard => self.running()?.type_text(&[barcode, b"\r"].concat()).await,
            ScannerKind::Serial => Ok(self.site.scanner.scan(barcode).await?),
        }
    }

    async fn plug_scanner(&mut self, scanner: ScannerKind, into: bool) -> Result<()> {
        let (id, device) = match scanner {
            ScannerKind::Keyboard => (
                "keyboard",
                json!({ "driver": "usb-kbd", "id": "keyboard", "bus": "usb.0", "port": "1",
                    "serial": KEYBOARD_SERIAL }),
            ),
            ScannerKind::Serial => (
                "scanner-adapter",
                json!({ "driver": "usb-serial", "id": "scanner-adapter", "bus": "usb.0", "port": "2",
                    "chardev": "scanner", "serial": SCANNER_SERIAL }),
            ),
        };
        if !into {
            self.running()?.ask("device_del", json!({ "id": id })).await?;
            return Ok(());
        }
        // QEMU frees what the device held a moment after it is gone.
        let deadline = Instant::now() + PLUGGED_WITHIN;
        loop {
            match self.running()?.ask("device_add", device.clone()).await {
                Err(_) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(200)).await,
                plugged => return plugged.map(drop),
            }
        }
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
        let file = self.place.path().join("screen.png");
        let arguments = json!({ "filename": file, "format": "png" });
        self.running()?.ask("screendump", arguments).await?;
        Ok(Some(fs::read(file)?))
    }

    async fn set_fridge(&mut self, milli_celsius: Option<i32>) -> Result<()> {
        self.site.set_fridge(milli_celsius)
    }

    async fn set_network(&mut self, there: bool) -> Result<()> {
        self.running()?.ask("set_link", json!({ "name": "card", "up": there })).await?;
        Ok(())
    }

    /// QEMU is killed: what it had not written to this machine's files is what a disk without a cache would have written.
    async fn cut_power(&mut self) -> Result<()> {
        match &mut self.running {
            None => bail!("the machine is off"),
            Some(running) => running.cut(),
        }
        self.running = None;
        self.power_on().await
    }
}
