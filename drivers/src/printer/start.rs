//! One place where a printer of any kind is started.

use std::{fmt, sync::Arc};

use tokio::sync::mpsc;

use super::{
    Printer, PrinterEvent,
    driver::{self, EscPosSettings},
    ipp::{self, IppSettings},
    render::Artwork,
    zpl::{self, ZplSettings, model::StockError},
};
use crate::{
    device::DeviceName,
    line::{LineAddress, place::DevicePlace},
};

/// The kinds of printers, as a configuration names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrinterKind {
    /// A receipt printer.
    EscPos,
    /// A label printer.
    Zpl,
    /// An office printer.
    Ipp,
}

/// All that a printer's driver needs, whatever its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrinterSettings {
    /// A receipt printer.
    EscPos(EscPosSettings),
    /// A label printer.
    Zpl(ZplSettings),
    /// An office printer.
    Ipp(IppSettings),
}

impl PrinterSettings {
    /// How long its labels are along the roll, in tenths of a millimetre; `None` for what prints no labels.
    #[must_use]
    pub fn label_height(&self) -> Option<u16> {
        match self {
            PrinterSettings::Zpl(settings) => Some(settings.stock.size.height),
            PrinterSettings::EscPos(_) | PrinterSettings::Ipp(_) => None,
        }
    }

    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> PrinterKind {
        match self {
            PrinterSettings::EscPos(_) => PrinterKind::EscPos,
            PrinterSettings::Zpl(_) => PrinterKind::Zpl,
            PrinterSettings::Ipp(_) => PrinterKind::Ipp,
        }
    }

    /// Its line; `None` for an office printer, which is asked over HTTP.
    #[must_use]
    pub fn line(&self) -> Option<&LineAddress> {
        match self {
            PrinterSettings::EscPos(settings) => Some(&settings.address),
            PrinterSettings::Zpl(settings) => Some(&settings.address),
            PrinterSettings::Ipp(_) => None,
        }
    }

    /// The same printer elsewhere: wherever its keeper says, or at a file. One on the network stays where it is.
    #[must_use]
    pub fn at(mut self, place: DevicePlace) -> PrinterSettings {
        match &mut self {
            PrinterSettings::EscPos(settings) => settings.address = settings.address.clone().at(place),
            PrinterSettings::Zpl(settings) => settings.address = settings.address.clone().at(place),
            PrinterSettings::Ipp(_) => {}
        }
        self
    }

    /// What the branch calls it.
    #[must_use]
    pub fn name(&self) -> &DeviceName {
        match self {
            PrinterSettings::EscPos(settings) => &settings.name,
            PrinterSettings::Zpl(settings) => &settings.name,
            PrinterSettings::Ipp(settings) => &settings.name,
        }
    }
}

/// For logs and people: where it is.
impl fmt::Display for PrinterSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrinterSettings::EscPos(settings) => settings.address.fmt(f),
            PrinterSettings::Zpl(settings) => settings.address.fmt(f),
            PrinterSettings::Ipp(settings) => settings.address.fmt(f),
        }
    }
}

/// Starts a printer's driver; `artwork` is what labels and pages are drawn with. A printer that is not there is told as a fault, and used when it comes.
/// Must be called within a tokio runtime.
///
/// # Errors
/// Settings that do not go together.
pub fn start(
    settings: PrinterSettings,
    artwork: Artwork,
) -> Result<(Arc<dyn Printer>, mpsc::Receiver<PrinterEvent>), StockError> {
    Ok(match settings {
        PrinterSettings::EscPos(settings) => {
            let (printer, events) = driver::start(settings, artwork);
            (Arc::new(printer), events)
        }
        PrinterSettings::Zpl(settings) => {
            let (printer, events) = zpl::start(settings, artwork)?;
            (Arc::new(printer), events)
        }
        PrinterSettings::Ipp(settings) => {
            let (printer, events) = ipp::start(settings, artwork);
            (Arc::new(printer), events)
        }
    })
}
