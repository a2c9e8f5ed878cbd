//! USB devices that the guest's own kernel plays: a printer and a scanner of USB's serial class. Its drivers (usblp, cdc_acm) meet them as
//! they meet real ones; behind each is a device of this program, on a port of the machine that no cable of the box has.
//!
//! The scripts come in through the machine's firmware tables, as the shell does ([`super::guest`]), and are carried out by it.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use super::guest::Guest;
use crate::rig::site::Site;

/// The printer, as a technician reads it from `pestle-agent devices list`.
pub const PRINTER: &str = "usb:0525:a4a8:USBP0001";
/// The scanner, likewise.
pub const SCANNER: &str = "usb:0525:a4a7:ACMS0001";

/// Where the guest's kernel shows what the firmware's tables hold (Linux, drivers/firmware/qemu_fw_cfg.c).
const TABLES: &str = "/sys/firmware/qemu_fw_cfg/by_name";
/// QEMU's place for names of its users (its docs/specs/fw_cfg.txt).
const FOLDER: &str = "opt/pestle.bench";
const SCRIPTS: [(&str, &str); 2] =
    [("gadgets.sh", include_str!("gadgets/gadgets.sh")), ("bridge.pl", include_str!("gadgets/bridge.pl"))];

/// A device that the guest plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gadget {
    /// A receipt printer of USB's printer class.
    Printer,
    /// A scanner of USB's serial class (CDC-ACM).
    Scanner,
}

impl Gadget {
    const fn name(self) -> &'static str {
        match self {
            Self::Printer => "printer",
            Self::Scanner => "scanner",
        }
    }

    /// Plugs it in or pulls it, in a machine whose tables hold the scripts.
    ///
    /// # Errors
    /// The guest's kernel has no such gadget, or does not answer.
    pub async fn plug(self, guest: &mut Guest, into: bool) -> Result<()> {
        let name = self.name();
        let how = if into { "plug" } else { "pull" };
        guest
            .run(&format!("modprobe qemu_fw_cfg; sh {TABLES}/{FOLDER}/gadgets.sh/raw {how} {name}"))
            .await
            .with_context(|| format!("cannot {how} the USB {name}"))?;
        Ok(())
    }
}

/// QEMU's arguments for a machine in `place`: the scripts, and a port to each device. They stand behind those of the shell, whose
/// controller has the ports.
///
/// # Errors
/// The disk refuses, or the printer has no address.
pub fn arguments(place: &Path, site: &Site) -> Result<Vec<String>> {
    let mut arguments = Vec::new();
    for (name, text) in SCRIPTS {
        let file = place.join(name);
        fs::write(&file, text)?;
        arguments.extend(["-fw_cfg".to_owned(), format!("name={FOLDER}/{name},file={}", file.display())]);
    }
    let printer = site.usb_printer.device.address().context("the printer's cable ends at a port")?.port();
    let lines = [
        (Gadget::Printer, format!("socket,id=usb-printer,host=127.0.0.1,port={printer},reconnect=1")),
        (Gadget::Scanner, format!("serial,id=usb-scanner,path={}", site.usb_scanner.path().display())),
    ];
    for (gadget, line) in lines {
        let name = gadget.name();
        let port = format!("virtserialport,chardev=usb-{name},name=pestle.bench.{name}");
        arguments.extend(["-chardev".to_owned(), line, "-device".to_owned(), port]);
    }
    Ok(arguments)
}
