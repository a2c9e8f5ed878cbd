//! What a box is told of its devices. Pure.

use std::fmt::Write as _;

use serde::Deserialize;

use super::{PrinterKind, ScannerKind};

/// How a box reaches its devices, as its configuration writes it; a device that is not there is not configured.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Wiring {
    /// The scanner that types.
    pub keyboard_scanner: Option<String>,
    /// The scanner on a serial line.
    pub serial_scanner: Option<String>,
    /// The scanner of USB's serial class.
    pub cdc_acm_scanner: Option<String>,
    /// The printer on a serial line.
    pub serial_printer: Option<WiredPrinter>,
    /// The printer on the network.
    pub network_printer: Option<WiredPrinter>,
    /// The printer of USB's printer class.
    pub usb_printer: Option<WiredPrinter>,
    /// The fridge's sensor.
    pub fridge: Option<WiredSensor>,
    /// After how long a silence a scan has ended, in milliseconds, where it is not the agent's own choice: a machine in software types as
    /// slowly as a person, and a busy one passes on in pieces what a played scanner sends at once.
    pub idle_gap_ms: Option<u64>,
}

/// A printer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WiredPrinter {
    /// Where it is.
    pub address: String,
    /// What it is.
    pub model: String,
}

/// A sensor.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WiredSensor {
    /// Where it is.
    pub address: String,
    /// Its Modbus number.
    pub slave: u8,
    /// What it is.
    pub profile: String,
    /// How often it is asked, in seconds.
    #[serde(default = "asked_often")]
    pub interval_s: u64,
}

/// So often that no case waits long for a reading.
pub const fn asked_often() -> u64 {
    2
}

impl WiredPrinter {
    /// A printer that is there.
    pub fn new(address: impl Into<String>, model: &str) -> Self {
        Self { address: address.into(), model: model.to_owned() }
    }
}

impl Wiring {
    /// A scanner's address.
    pub fn scanner(&self, kind: ScannerKind) -> Option<&str> {
        let address = match kind {
            ScannerKind::Keyboard => &self.keyboard_scanner,
            ScannerKind::Serial => &self.serial_scanner,
            ScannerKind::CdcAcm => &self.cdc_acm_scanner,
        };
        address.as_deref()
    }

    /// A printer.
    pub fn printer(&self, kind: PrinterKind) -> Option<&WiredPrinter> {
        match kind {
            PrinterKind::Serial => self.serial_printer.as_ref(),
            PrinterKind::Network => self.network_printer.as_ref(),
            PrinterKind::Usb => self.usb_printer.as_ref(),
        }
    }

    /// The agent's configuration, for a box that listens on `listen` and keeps its data in `data_dir`.
    pub fn configuration(&self, listen: &str, data_dir: &str) -> String {
        let mut text = format!("data_dir = {data_dir:?}\n\n[web]\nlisten = {listen:?}\n");
        // The third counter is there for what is on USB's own classes.
        let usb = self.cdc_acm_scanner.is_some() || self.usb_printer.is_some();
        for kind in PrinterKind::ALL.into_iter().filter(|kind| usb || *kind != PrinterKind::Usb) {
            push(&mut text, "till", &[format!("id = {:?}", kind.till())]);
        }
        for kind in ScannerKind::ALL {
            let Some(address) = self.scanner(kind) else { continue };
            let proved = matches!(kind, ScannerKind::Serial | ScannerKind::CdcAcm);
            let gap = self.idle_gap_ms.map(|gap| format!("idle_gap_ms = {gap}")).unwrap_or_default();
            let more = format!("proved = {proved}\n{gap}");
            let lines = device(kind.name(), address, [format!("till = {:?}", kind.till()), more]);
            push(&mut text, "scanner", &lines);
        }
        for kind in PrinterKind::ALL {
            let Some(WiredPrinter { address, model }) = self.printer(kind) else { continue };
            let more = [format!("till = {:?}", kind.till()), format!("model = {model:?}")];
            push(&mut text, "printer", &device(kind.name(), address, more));
        }
        if let Some(WiredSensor { address, slave, profile, interval_s }) = &self.fridge {
            let more =
                [format!("slave = {slave}\nprofile = {profile:?}"), format!("interval_s = {interval_s}")];
            push(&mut text, "sensor", &device("fridge", address, more));
        }
        text
    }
}

fn device(name: &str, address: &str, more: [String; 2]) -> Vec<String> {
    [format!("name = {name:?}"), format!("address = {address:?}")].into_iter().chain(more).collect()
}

fn push(text: &mut String, table: &str, lines: &[String]) {
    let lines = lines.join("\n");
    // Writing to a string cannot fail.
    let _written = write!(text, "\n[[{table}]]\n{lines}\n");
}
