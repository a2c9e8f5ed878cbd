//! Benches on which the same cases run: simulated devices on this machine, or the appliance's image in QEMU. A case speaks only with a [`Rig`]; what a rig cannot do it says with its reason, and the case is reported as ignored.
//!
//! [`settings`] reads which rig is meant; [`site`] are the devices that this program plays itself; [`sim`] and
//! [`qemu`] are the rigs; [`cases`] what is tried on each.

pub mod cases;
pub mod qemu;
pub mod settings;
pub mod sim;
pub mod site;

use anyhow::Result;
use async_trait::async_trait;

use crate::counter::Counter;

/// What a case may ask of a rig.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// A scanner that types, through the kernel's input devices.
    KeyboardScanner,
    /// A scanner on a serial line.
    SerialScanner,
    /// A receipt printer on a serial line.
    SerialPrinter,
    /// A receipt printer on the network.
    NetworkPrinter,
    /// Fridge sensors on Modbus RTU.
    Sensors,
    /// Pulling a device's plug and putting it in again.
    Plugs,
    /// The network cable.
    NetworkCable,
    /// The power of the whole box.
    Power,
}

/// A scanner of a rig.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScannerKind {
    /// Types as a keyboard.
    Keyboard,
    /// Serial line.
    Serial,
}

/// A printer of a rig.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrinterKind {
    /// Serial line, the printer of `till-1`.
    Serial,
    /// Network, the printer of `till-2`.
    Network,
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
    /// No power.
    Off,
}

/// A box with its devices.
#[async_trait]
pub trait Rig: Send + Sync {
    /// Brings it to where every case begins: the box runs, all devices are there and well, no basket is open, nobody has
    /// been told anything that is left.
    async fn reset(&mut self) -> Result<()>;

    /// A browser at a till.
    ///
    /// # Errors
    /// The box is off.
    fn counter(&self, till: &str) -> Result<Counter>;

    /// A barcode passes under a scanner's beam; GS (0x1D) stands between elements.
    async fn scan(&mut self, scanner: ScannerKind, barcode: &[u8]) -> Result<()>;

    /// Pulls or puts in a scanner's plug.
    async fn plug_scanner(&mut self, scanner: ScannerKind, into: bool) -> Result<()>;

    /// Brings a printer into a state.
    async fn set_printer(&mut self, printer: PrinterKind, state: PrinterState) -> Result<()>;

    /// Waits for the next paper out of a printer that nobody has looked at, and says what stands on it.
    async fn paper(&mut self, printer: PrinterKind) -> Result<String>;

    /// Papers that have come out and that nobody has looked at.
    async fn papers_unread(&mut self, printer: PrinterKind) -> Result<usize>;

    /// The paper that a printer printed last, as a PNG.
    async fn picture_of_paper(&mut self, printer: PrinterKind) -> Result<Vec<u8>>;

    /// What the box's own screen shows, as a PNG; `None` when it has none.
    async fn picture_of_screen(&mut self) -> Result<Option<Vec<u8>>>;

    /// Sets what the fridge's sensor measures; `None` when it falls silent.
    async fn set_fridge(&mut self, milli_celsius: Option<i32>) -> Result<()>;

    /// The network cable is in, or out.
    async fn set_network(&mut self, there: bool) -> Result<()>;

    /// The box's power goes without a word, and comes back.
    async fn cut_power(&mut self) -> Result<()>;
}
