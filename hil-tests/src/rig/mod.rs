//! Benches on which the same cases run: simulated devices on this machine, the appliance's image in QEMU, or real devices and a
//! person. A case speaks only with a [`Rig`]; what a rig cannot do it says with its reason, and the case is reported as ignored.
//!
//! [`settings`] reads which rig is meant; [`wiring`] is what a box is told of its devices; [`site`] are the devices that this
//! program plays itself; [`here`] is the box as a process of this machine. [`sim`], [`qemu`] and [`bench`] are the rigs;
//! [`cases`] what is tried on each.

pub mod bench;
pub mod cases;
pub mod here;
pub mod qemu;
pub mod settings;
pub mod sim;
pub mod site;
pub mod wiring;

use std::ops::RangeInclusive;

use anyhow::{Result, bail};
use async_trait::async_trait;

use crate::counter::Counter;

/// What a case may ask of a rig.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// A scanner.
    Scanner(ScannerKind),
    /// A receipt printer.
    Printer(PrinterKind),
    /// Paper that ends in the middle of a receipt.
    PaperEnding,
    /// Fridge sensors on Modbus RTU.
    Sensors,
    /// Pulling a device's plug and putting it in again.
    Plugs,
    /// The network cable.
    NetworkCable,
    /// The power of the whole box.
    Power,
    /// A disk of which every write is known.
    Disk,
    /// A technician's stick that sets the box up.
    Stick,
    /// A keyboard for a person, beside the scanners.
    Keyboard,
    /// A box as it leaves the factory: the whole image as it is shipped, on an empty disk.
    Factory,
    /// What the appliance's system has around the agent: its fences, a firewall, a watchdog, a clock that does not fall back, the log's end.
    System,
}

/// A scanner of a rig.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScannerKind {
    /// Types as a keyboard.
    Keyboard,
    /// Serial line, or an adapter for one.
    Serial,
    /// USB's own serial class.
    CdcAcm,
}

/// A receipt printer of a rig; each is a till's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrinterKind {
    /// Serial line, or an adapter for one.
    Serial,
    /// Network.
    Network,
    /// USB's own printer class.
    Usb,
}

impl ScannerKind {
    /// All.
    pub const ALL: [Self; 3] = [Self::Keyboard, Self::Serial, Self::CdcAcm];

    /// What the box calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keyboard => "second",
            Self::Serial => "counter",
            Self::CdcAcm => "usb-counter",
        }
    }

    /// Where it lies.
    pub const fn till(self) -> &'static str {
        match self {
            Self::Keyboard | Self::Serial => "till-1",
            Self::CdcAcm => "till-3",
        }
    }
}

impl PrinterKind {
    /// All.
    pub const ALL: [Self; 3] = [Self::Serial, Self::Network, Self::Usb];

    /// What the box calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Serial => "receipts",
            Self::Network => "back-office",
            Self::Usb => "usb-receipts",
        }
    }

    /// Where it stands.
    pub const fn till(self) -> &'static str {
        match self {
            Self::Serial => "till-1",
            Self::Network => "till-2",
            Self::Usb => "till-3",
        }
    }
}

/// What keeps a printer from printing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrinterState {
    /// Nothing.
    Well,
    /// No paper.
    PaperOut,
    /// Its cover is open.
    CoverOpen,
    /// Paper for a few more lines only.
    PaperEnding,
}

/// What a technician's stick takes home from a box.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenHome {
    /// What came of what it brought.
    pub result: String,
    /// What is plugged in, and what it is bound to.
    pub devices: String,
    /// The end of the log of the box's start.
    pub log: String,
}

/// What devices do and show by themselves, whatever they are plugged into.
#[async_trait]
pub trait Devices: Send + Sync {
    /// Brings a printer into a state.
    async fn set_printer(&mut self, printer: PrinterKind, state: PrinterState) -> Result<()>;

    /// Waits for the next paper out of a printer that nobody has looked at; all of `says` stands on it.
    async fn paper(&mut self, printer: PrinterKind, says: &[&str]) -> Result<()>;

    /// No paper has come out of it that nobody has looked at.
    async fn nothing_more(&mut self, printer: PrinterKind) -> Result<()>;

    /// The paper that a printer printed last, as a PNG; `None` when nobody has a picture.
    async fn picture_of_paper(&mut self, printer: PrinterKind) -> Result<Option<Vec<u8>>>;

    /// Warms or cools the fridge's sensor towards so many thousandths of a degree, and says between what it now measures.
    async fn set_fridge(&mut self, milli_celsius: i32) -> Result<RangeInclusive<i32>>;

    /// The fridge's sensor answers no more.
    async fn silence_fridge(&mut self) -> Result<()>;
}

/// A box with its devices.
#[async_trait]
pub trait Rig: Send + Sync {
    /// Brings it to where every case begins, once nothing lies on its counters any more ([`cases::Case::attempt`]): the box runs, all devices
    /// are there and well, the papers that came out are nobody's.
    async fn reset(&mut self) -> Result<()>;

    /// A browser at a till.
    ///
    /// # Errors
    /// The box is off.
    fn counter(&self, till: &str) -> Result<Counter>;

    /// What stands around the box.
    fn devices(&mut self) -> &mut dyn Devices;

    /// A barcode passes under a scanner's beam; GS (0x1D) stands between elements.
    async fn scan(&mut self, scanner: ScannerKind, barcode: &[u8]) -> Result<()>;

    /// Pulls or puts in a scanner's plug.
    async fn plug_scanner(&mut self, scanner: ScannerKind, into: bool) -> Result<()>;

    /// Pulls or puts in the plug of a person's keyboard. While it is in, all keys are its.
    async fn plug_keyboard(&mut self, _into: bool) -> Result<()> {
        bail!("this rig has no keyboard beside its scanners")
    }

    /// A person presses keys of that keyboard, by QEMU's names, all at once, and lets them go.
    async fn press(&mut self, _keys: &[&str]) -> Result<()> {
        bail!("this rig has no keyboard beside its scanners")
    }

    /// Pulls or puts in the plug of a printer's cable; the printer keeps its power.
    async fn plug_printer(&mut self, printer: PrinterKind, into: bool) -> Result<()>;

    /// The network cable is in, or out.
    async fn set_network(&mut self, _there: bool) -> Result<()> {
        bail!("this rig has no network cable")
    }

    /// The box's power goes without a word, and comes back.
    async fn cut_power(&mut self) -> Result<()> {
        bail!("this rig's power cannot be cut")
    }

    /// As [`Rig::cut_power`]; the battery of the box's clock is empty, and the clock begins years back. The next reset sets it right.
    async fn cut_power_and_clock(&mut self) -> Result<()> {
        bail!("this rig's clock has no battery of its own")
    }

    /// Another box like this one sells at two tills, and its power goes `cuts` times in the middle of that: each sale that was told is
    /// there once, and is on paper.
    ///
    /// # Errors
    /// It is not, or the rig cannot.
    async fn cut_power_while_selling(&mut self, _cuts: usize) -> Result<()> {
        bail!("this rig's power cannot be cut")
    }

    /// What another box like this one writes to its disk while it sells is cut off at `points` points: what is left comes back, with each sale
    /// that had been told.
    ///
    /// # Errors
    /// It does not, or the rig cannot.
    async fn cut_off_writes(&mut self, _points: usize) -> Result<()> {
        bail!("nobody sees what this rig's box writes to its disk")
    }

    /// The box's configuration as it was when the rig was made.
    ///
    /// # Errors
    /// It is the rig's own matter, or cannot be read.
    fn configuration(&self) -> Result<String> {
        bail!("this rig's box is configured by the rig alone")
    }

    /// Plugs in a stick with these files, pulls it when the box has no more use for it, and says what the box wrote on it.
    async fn stick(&mut self, _files: &[(&str, String)]) -> Result<TakenHome> {
        bail!("this rig's box takes no stick")
    }

    /// Another box stands in this one's place, as it left the factory: nobody's, and switched on. The next reset puts the own one back.
    async fn box_from_factory(&mut self) -> Result<()> {
        bail!("this rig has no other box")
    }

    /// From now on its pages bear what this authority has signed (PEM): it was enrolled at another centre.
    ///
    /// # Errors
    /// The rig's box is always the same centre's.
    fn trust(&mut self, _authority: Vec<u8>) -> Result<()> {
        bail!("this rig's box is always the same centre's")
    }

    /// The box's firewall works, or it fails as it would at a start.
    async fn set_firewall(&mut self, _works: bool) -> Result<()> {
        bail!("this rig's box has no firewall of ours")
    }

    /// Whether something inside the box that listens beside its pages, as a forgotten service would, is reached from the branch's network.
    async fn stranger_is_reached(&mut self) -> Result<bool> {
        bail!("this rig's box has no firewall of ours")
    }

    /// The agent does nothing any more, without ending, until the box's own watchdog has noticed.
    async fn hang_agent(&mut self) -> Result<()> {
        bail!("nobody on this rig would start the agent again")
    }

    /// Carries a command out inside the box, as the owner of the machine may, and says what it printed.
    ///
    /// # Errors
    /// It fails, or the rig has no shell there.
    async fn inside(&mut self, _command: &str) -> Result<String> {
        bail!("nobody has a shell in this rig's box")
    }

    /// What the box shows on its own console now, to whoever stands before it.
    async fn console(&mut self) -> Result<String>;

    /// What the box's own screen shows, as a PNG; `None` when it has none.
    async fn picture_of_screen(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
}
