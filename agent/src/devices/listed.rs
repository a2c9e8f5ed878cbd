//! What the configuration says of the devices, as the page lists them. Pure.

use std::{collections::BTreeMap, path::PathBuf};

use pestle_domain::ids::TillId;

/// A device as configured, or a line with all that hangs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What the branch calls it; of a line the first that hangs on it.
    pub name: String,
    /// Under which name the finder keeps it.
    pub keeper_name: String,
    /// What it is.
    pub kind: Kind,
    /// At which till; `None` for what belongs to the branch.
    pub till: Option<TillId>,
    /// The till, as people call it.
    pub till_name: Option<String>,
    /// Where it is, as the configuration writes it.
    pub address: String,
    /// Its device file, where the configuration names one by its path.
    pub path: Option<PathBuf>,
    /// Names of all that hang on the line.
    pub members: Vec<String>,
    /// By probe: its certificate, in words.
    pub papers: BTreeMap<String, String>,
}

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sends bytes.
    SerialScanner,
    /// Types.
    KeyboardScanner,
    /// For receipts.
    ReceiptPrinter,
    /// For labels.
    LabelPrinter,
    /// For pages.
    PagePrinter,
    /// Sensors and contacts on one line.
    SensorLine,
}

impl Kind {
    /// For the page.
    pub fn words(self) -> &'static str {
        match self {
            Self::SerialScanner => "Barcode scanner, serial",
            Self::KeyboardScanner => "Barcode scanner that types",
            Self::ReceiptPrinter => "Receipt printer",
            Self::LabelPrinter => "Label printer",
            Self::PagePrinter => "Office printer",
            Self::SensorLine => "Sensors on one line",
        }
    }

    /// Can its labels be measured?
    pub fn has_labels(self) -> bool {
        self == Self::LabelPrinter
    }

    /// Is it a scanner?
    pub fn is_scanner(self) -> bool {
        matches!(self, Self::SerialScanner | Self::KeyboardScanner)
    }
}
