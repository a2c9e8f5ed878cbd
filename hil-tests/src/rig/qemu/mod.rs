//! The appliance's image in QEMU, in software. Its kernel has the real drivers: a USB keyboard, USB serial adapters (FTDI) for
//! scanner and printer, a serial port for the sensors' bus, and a printer and a scanner of USB's own classes that its own
//! kernel plays. The devices behind them are this program's.
//!
//! [`disk`] makes its disk, [`machine`] runs it, [`qmp`] speaks with QEMU's monitor, [`keys`] are what a scanner presses,
//! [`guest`] is a shell inside, [`gadgets`] are the USB devices that it plays, and [`stranger`] is what its firewall keeps away. [`recordings`] keep what its kernel makes of keys.
//!
//! [`power_cuts`] and [`disk_cuts`] take its power away: [`write_log`] reads what was written to its disk, [`recording`] keeps that with
//! what was told, [`replay`] makes what a cut leaves of it, and [`left`] looks whether it comes back. [`idle`] measures the agent at rest, [`boot`]
//! its start. [`stick`] is a technician's, and `other_box` a machine that it makes somebody; `as_rig` is how the cases use all that.

mod as_rig;
pub mod boot;
pub mod disk;
pub mod disk_cuts;
pub mod gadgets;
pub mod guest;
pub mod idle;
pub mod keys;
pub mod left;
pub mod machine;
mod other_box;
pub mod power_cuts;
pub mod qmp;
pub mod recording;
pub mod recordings;
pub mod replay;
pub mod stick;
pub mod stranger;
pub mod write_log;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::{
    Ability, Rig as _, ScannerKind,
    settings::Machine,
    site::{self, Site},
    wiring::{WiredPrinter, WiredSensor, Wiring, asked_often},
};
use crate::{
    processes::{Keeper, build_folder},
    waiting::until,
};
use gadgets::Gadget;
use guest::Guest;
use machine::{HOST, Hardware, KEYBOARD_SERIAL, PRINTER_SERIAL, Running, SCANNER_SERIAL, Start};
use other_box::OtherBox;

/// A page that is there answers within that, also on a machine in software.
const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);

/// Where a clock without a battery begins: years before the image was made.
const CLOCK_WITHOUT_BATTERY: &str = "2020-01-01T00:00:00";

/// What a machine keeps beyond its power: the disk, and the variables of its firmware.
const DISK: &str = "disk.img";
const VARIABLES: &str = "variables.fd";

/// Why a machine cannot do that.
pub fn unable(ability: Ability) -> Option<&'static str> {
    let mounts = rustix::process::geteuid().is_root();
    (ability == Ability::Disk && !mounts)
        .then_some("what is left on the disk is mounted here, which root alone may: sudo make hil")
}

/// See the module.
#[derive(Debug)]
pub struct QemuRig {
    settings: Machine,
    site: Site,
    authority: Vec<u8>,
    keeper: Keeper,
    /// Whether the guest plays USB devices.
    gadgets: bool,
    /// Plugs that a case pulled and has not put in again.
    pulled_scanners: Vec<ScannerKind>,
    pulled_printer: bool,
    /// A person's keyboard is plugged in, too.
    keyboard_beside: bool,
    firewall_fails: bool,
    /// The machine's clock begins anew at each start.
    battery_is_empty: bool,
    other_box: Option<OtherBox>,
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
        Self::with(settings, false, asked_often()).await
    }

    /// The same with the USB devices that the guest's kernel plays: each start takes some seconds longer.
    ///
    /// # Errors
    /// As [`QemuRig::new`].
    pub async fn with_gadgets(settings: Machine) -> Result<Self> {
        Self::with(settings, true, asked_often()).await
    }

    /// One whose sensor is asked as often as in a branch, once a minute (the configuration's default), where others ask so
    /// often that no case waits.
    ///
    /// # Errors
    /// As [`QemuRig::new`].
    pub async fn at_rest(settings: Machine) -> Result<Self> {
        Self::with(settings, false, 60).await
    }

    async fn with(settings: Machine, gadgets: bool, interval_s: u64) -> Result<Self> {
        let place = tempfile::Builder::new().prefix("pestle-rig-").tempdir()?;
        let site = Site::new(place.path(), true)?;
        let data = place.path().join("data");
        fs::create_dir_all(data.join("etc"))?;
        let authority = site::provision(place.path(), &data.join("agent")).await?;
        let configuration =
            wiring(&site, gadgets, interval_s)?.configuration("0.0.0.0:443", "/var/lib/pestle");
        fs::write(data.join("etc/agent.toml"), configuration)?;
        disk::make(&image(&settings), &data, &place.path().join(DISK)).await?;
        firmware(&settings, place.path())?;
        let keeper = Keeper::start(&build_folder().join("pestle-demo"))?;
        Ok(Self {
            settings,
            site,
            authority,
            keeper,
            gadgets,
            pulled_scanners: Vec::new(),
            pulled_printer: false,
            keyboard_beside: false,
            firewall_fails: false,
            battery_is_empty: false,
            other_box: None,
            running: None,
            place,
            booted_in: Duration::ZERO,
            write_log: None,
        })
    }

    /// Presses the power button, and waits until the counter's page answers.
    ///
    /// # Errors
    /// It does not in time; the end of the console says how far it came.
    pub async fn power_on(&mut self) -> Result<()> {
        let pressed = Instant::now();
        self.press_power_button().await?;
        self.page_answers(Duration::from_secs(self.settings.boot_within_s)).await?;
        self.booted_in = pressed.elapsed();
        self.plug_gadgets().await
    }

    async fn press_power_button(&mut self) -> Result<()> {
        let start = Start {
            log: self.write_log.as_deref(),
            clock: self.battery_is_empty.then_some(CLOCK_WITHOUT_BATTERY),
            hardware: if self.other_box.is_some() { Hardware::Common } else { Hardware::Virtual },
        };
        let running =
            Running::start(&self.settings, self.place.path(), &self.site, &self.keeper, start).await?;
        self.running = Some(running);
        Ok(())
    }

    async fn plug_gadgets(&self) -> Result<()> {
        if self.gadgets {
            let mut guest = self.guest().await?;
            Gadget::Printer.plug(&mut guest, true).await?;
            Gadget::Scanner.plug(&mut guest, true).await?;
        }
        Ok(())
    }

    /// A root shell inside the machine, which must be on.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn guest(&self) -> Result<Guest> {
        Guest::connect(self.place.path()).await
    }

    async fn page_answers(&mut self, within: Duration) -> Result<()> {
        let counter = self.counter("till-1")?;
        let answered = until("the counter's page of the machine", within, || async {
            // QEMU takes each connection at once, and keeps it waiting while nobody listens inside.
            let looked = tokio::time::timeout(ANSWER_WITHIN, counter.look()).await;
            looked.map_err(|elapsed| elapsed.to_string())?.map_err(|error| error.to_string())
        });
        if let Err(overdue) = answered.await {
            let console = self.running()?.console.clone();
            return Err(overdue).context(self.what_the_machine_says(&console).await);
        }
        Ok(())
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
        self.place.path().join(DISK)
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

/// What `make image` built.
fn image(settings: &Machine) -> PathBuf {
    settings.image.clone().unwrap_or_else(disk::image)
}

/// The firmware of a machine that was never switched on, in `place`.
fn firmware(settings: &Machine, place: &Path) -> Result<()> {
    let variables = &settings.firmware.variables;
    fs::copy(variables, place.join(VARIABLES))
        .with_context(|| format!("{} is not there: install ovmf", variables.display()))?;
    Ok(())
}

/// By the names that stay, as a technician reads them from `pestle-agent devices list`.
fn wiring(site: &Site, gadgets: bool, interval_s: u64) -> Result<Wiring> {
    let network = site.network_printer.device.address().context("a network printer has an address")?;
    let printer = format!("serial:usb:0403:6001:{PRINTER_SERIAL}?baud=115200");
    let [serial_model, network_model, usb_model] = site::MODELS;
    Ok(Wiring {
        keyboard_scanner: Some(format!("keyboard:usb:0627:0001:{KEYBOARD_SERIAL}")),
        serial_scanner: Some(format!("serial:usb:0403:6001:{SCANNER_SERIAL}")),
        cdc_acm_scanner: gadgets.then(|| format!("serial:{}", gadgets::SCANNER)),
        serial_printer: Some(WiredPrinter::new(printer, serial_model)),
        network_printer: Some(WiredPrinter::new(format!("tcp://{HOST}:{}", network.port()), network_model)),
        usb_printer: gadgets.then(|| WiredPrinter::new(format!("usblp:{}", gadgets::PRINTER), usb_model)),
        fridge: Some(WiredSensor {
            address: "serial:/dev/ttyS1".to_owned(),
            slave: site::FRIDGE_SLAVE,
            profile: site::FRIDGE_PROFILE.to_owned(),
            interval_s,
        }),
        idle_gap_ms: Some(site::PLAYED_GAP_MS),
    })
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
