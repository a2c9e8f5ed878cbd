//! One run of a virtual machine: its command line, its process, its monitor.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result};
use pestle_drivers::sim::ports;
use serde_json::json;

use super::{gadgets, guest, keys::stroke, qmp::Monitor};
use crate::{
    processes::{Keeper, Process, Program, log_tail},
    rig::{settings::Machine, site::Site},
};

/// This machine, as QEMU's user network shows it to the guest.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// The serial number of the USB keyboard.
pub const KEYBOARD_SERIAL: &str = "KEYB0001";
/// The serial number of the keyboard that a person may plug in.
pub const BESIDE_SERIAL: &str = "KEYB0002";
/// The serial number of the scanner's USB adapter.
pub const SCANNER_SERIAL: &str = "SCAN0001";
/// The serial number of the printer's USB adapter.
pub const PRINTER_SERIAL: &str = "PRNT0001";
/// A port of the guest that leads outside as that of its pages does, so that its own firewall alone decides who is reached there.
pub const STRANGER: u16 = 4_444;
/// Events that QEMU's keyboard keeps until the guest asks for them; it drops what comes beyond (`QUEUE_LENGTH` in its `hw/input/hid.c`).
pub const WAITING_MAX: usize = 16;
/// For one key that goes down or up: the guest asks every 8 ms and is told one of them, and a machine in software is late. A key whose release was
/// dropped would repeat for ever.
const EVENT_EVERY: Duration = Duration::from_millis(12);

/// What one start has that others have not.
#[derive(Debug, Clone, Copy, Default)]
pub struct Start<'a> {
    /// What is written to the disk is kept in this file, an empty one.
    pub log: Option<&'a Path>,
    /// When the machine's clock believes to be; without it, this machine's time.
    pub clock: Option<&'a str>,
    /// What its disk and its network card are.
    pub hardware: Hardware,
}

/// What a machine's disk and network card are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hardware {
    /// Made for virtual machines: the fastest there is.
    #[default]
    Virtual,
    /// As in a machine that a shop buys: NVMe, and a card of Intel's.
    Common,
}

/// A virtual machine that runs.
#[derive(Debug)]
pub struct Running {
    process: Process,
    monitor: Monitor,
    /// Where the guest's port 443 is on this machine.
    pub https: u16,
    /// Where the guest's port [`STRANGER`] is, which no program of the box uses.
    pub stranger: u16,
    /// What the guest wrote to its first serial port.
    pub console: PathBuf,
}

impl Running {
    /// Presses the power button of a machine whose disk, firmware variables and logs lie in `place`.
    ///
    /// # Errors
    /// QEMU is not installed, or ends at once.
    pub async fn start(
        machine: &Machine,
        place: &Path,
        site: &Site,
        keeper: &Keeper,
        start: Start<'_>,
    ) -> Result<Self> {
        let ports @ [https, stranger] = ports::free()?;
        let socket = place.join("qmp.sock");
        // Of the run before.
        let _not_there = fs::remove_file(&socket);
        let console = place.join("console.log");
        let program = Program {
            name: "qemu".to_owned(),
            path: PathBuf::from("/usr/bin/qemu-system-x86_64"),
            arguments: arguments(machine, place, site, ports, start)?,
            environment: vec![],
            log: place.join("qemu.log"),
        };
        let process = program.start(keeper)?;
        let monitor = Monitor::connect(&socket)
            .await
            .with_context(|| format!("QEMU did not start:\n{}", log_tail(&program.log)))?;
        Ok(Self { process, monitor, https, stranger, console })
    }

    /// A scanner types `text` into the USB keyboard.
    ///
    /// # Errors
    /// No key types a byte of it, or QEMU refuses.
    pub async fn type_text(&mut self, text: &[u8]) -> Result<()> {
        for byte in text {
            let stroke = stroke(*byte).with_context(|| format!("no key types {byte:#04x}"))?;
            let held = [stroke.shift.then_some("shift"), stroke.control.then_some("ctrl")];
            let down: Vec<&str> = held.into_iter().flatten().chain([stroke.key]).collect();
            self.press(&down).await?;
        }
        Ok(())
    }

    /// Keys go down together and up again, no faster than the guest asks for them.
    ///
    /// # Errors
    /// As [`Running::keys`].
    pub async fn press(&mut self, keys: &[&str]) -> Result<()> {
        self.keys(keys, true).await?;
        self.keys(keys, false).await?;
        tokio::time::sleep(EVENT_EVERY * 2 * u32::try_from(keys.len())?).await;
        Ok(())
    }

    /// Keys of the USB keyboard, by QEMU's names, go down in this order, or up in the other.
    ///
    /// # Errors
    /// QEMU knows no such key, or has gone.
    pub async fn keys(&mut self, keys: &[&str], down: bool) -> Result<()> {
        let event = |key: &&str| json!({ "type": "key", "data": { "down": down, "key": { "type": "qcode", "data": key } } });
        let events: Vec<_> = match down {
            true => keys.iter().map(event).collect(),
            false => keys.iter().rev().map(event).collect(),
        };
        self.monitor.ask("input-send-event", json!({ "events": events })).await.map(drop)
    }

    /// Has QEMU do something else.
    ///
    /// # Errors
    /// It refuses, or has gone.
    pub async fn ask(&mut self, command: &str, arguments: serde_json::Value) -> Result<serde_json::Value> {
        self.monitor.ask(command, arguments).await
    }

    /// The power goes.
    pub fn cut(&mut self) {
        self.process.kill();
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.process.ended()
    }
}

/// Everything that the emulation knows but one: with `erms` Linux clears memory byte by byte, and where a page has held a program
/// before, the emulation looks at each byte whether it has to translate anew. One page took half a second, which no real machine takes,
/// and it fell on whoever was given that page.
const PROCESSOR: &str = "max,-erms";

fn arguments(
    machine: &Machine,
    place: &Path,
    site: &Site,
    [https, stranger]: [u16; 2],
    start: Start<'_>,
) -> Result<Vec<String>> {
    let at = |name: &str| place.join(name).display().to_string();
    let printer = site.serial_printer.device.address().context("the printer's cable ends at a port")?;
    let Machine { memory_mib, processors, firmware, .. } = machine;
    let card = match start.hardware {
        Hardware::Virtual => "virtio-net-pci",
        Hardware::Common => "e1000e",
    };
    let lines = [
        "-nodefaults -display none -no-user-config".to_owned(),
        format!("-machine q35,accel=tcg -cpu {PROCESSOR} -smp {processors} -m {memory_mib}"),
        format!("-drive if=pflash,format=raw,readonly=on,file={}", firmware.code.display()),
        format!("-drive if=pflash,format=raw,file={}", at("variables.fd")),
        format!(
            "-netdev user,id=lan,hostfwd=tcp:127.0.0.1:{https}-:443,hostfwd=tcp:127.0.0.1:{stranger}-:{STRANGER}"
        ),
        format!("-device {card},netdev=lan,id=card"),
        "-vga std".to_owned(),
        // The first serial port is the console, the second the sensors' bus.
        format!("-serial file:{}", at("console.log")),
        format!("-chardev serial,id=bus,path={} -serial chardev:bus", at("devices/fridge")),
        "-device qemu-xhci,id=usb".to_owned(),
        format!("-device usb-kbd,id=keyboard,bus=usb.0,port=1,serial={KEYBOARD_SERIAL}"),
        format!("-chardev serial,id=scanner,path={}", at("devices/scanner")),
        format!(
            "-device usb-serial,id=scanner-adapter,bus=usb.0,port=2,chardev=scanner,serial={SCANNER_SERIAL}"
        ),
        format!("-chardev socket,id=printer,host=127.0.0.1,port={},reconnect=1", printer.port()),
        format!(
            "-device usb-serial,id=printer-adapter,bus=usb.0,port=3,chardev=printer,serial={PRINTER_SERIAL}"
        ),
        format!("-qmp unix:{},server=on,wait=off", at("qmp.sock")),
    ];
    let clock = start.clock.map(|clock| format!("-rtc base={clock}"));
    let lines = lines.into_iter().chain(clock).chain(disk(place, start));
    let arguments: Vec<_> =
        lines.flat_map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect();
    Ok([arguments, guest::arguments(place), gadgets::arguments(place, site)?].concat())
}

/// The disk. cache=writeback: QEMU hands each write to this machine's kernel and each of the guest's flushes becomes an fdatasync. So a
/// SIGKILL of QEMU loses what QEMU itself still holds (requests that have not been carried out) and nothing that it wrote: this machine's page cache
/// outlives it, flushed or not. A real disk loses its cache as well; that is tried with the recorded writes ([`super::disk_cuts`]).
fn disk(place: &Path, start: Start<'_>) -> Vec<String> {
    let image = place.join("disk.img").display().to_string();
    let device = match start.hardware {
        Hardware::Virtual => "virtio-blk-pci,drive=disk,bootindex=0",
        Hardware::Common => "nvme,drive=disk,serial=DISK0001,bootindex=0",
    };
    match start.log {
        None => vec![
            format!("-drive if=none,id=disk,format=raw,cache=writeback,discard=unmap,file={image}"),
            format!("-device {device}"),
        ],
        // QEMU before 9.0 spoils the log when zeros are written without their bytes; so the guest is not offered that.
        Some(log) => vec![
            format!("-blockdev driver=file,node-name=plain,filename={image}"),
            format!("-blockdev driver=file,node-name=log,filename={}", log.display()),
            "-blockdev driver=blklogwrites,node-name=disk,file=plain,log=log".to_owned(),
            "-device virtio-blk-pci,drive=disk,bootindex=0,discard=off,write-zeroes=off".to_owned(),
        ],
    }
}
