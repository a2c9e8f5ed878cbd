//! Label printers that speak ZPL (Zebra, and the many that follow it): the printer of dispensing and shelf labels.
//!
//! [`model`] knows printers and labels; `compose` draws a document on labels, and continues on the next where one is full;
//! [`graphic`] and [`label`] turn the picture into ZPL, so that any script prints on any model; [`status`] understands what
//! the printer answers, [`batch`] decides from it when a job is out. `session` owns the line.

pub mod batch;
pub mod compose;
pub mod graphic;
pub mod label;
pub mod model;
mod session;
pub mod status;

use tokio::sync::mpsc;

use super::{PrinterEvent, PrinterHandle, driver::PrinterTimeouts, owner, render::Artwork};
use crate::{device::DeviceName, line::LineAddress};
use compose::Face;
use model::{LabelStock, StockError, ZplModel};
use session::Session;

/// All that a label printer's driver needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZplSettings {
    /// What the branch calls it.
    pub name: DeviceName,
    /// Where it is.
    pub address: LineAddress,
    /// What it is.
    pub model: ZplModel,
    /// The labels that are in it.
    pub stock: LabelStock,
    /// How long to wait for what.
    pub timeouts: PrinterTimeouts,
}

/// Starts the driver. A printer that is not there is told as a fault, and used when it comes.
/// Must be called within a tokio runtime.
///
/// # Errors
/// The labels do not go with the printer.
pub fn start(
    settings: ZplSettings,
    artwork: Artwork,
) -> Result<(PrinterHandle, mpsc::Receiver<PrinterEvent>), StockError> {
    settings.stock.check(&settings.model)?;
    let (name, poll) = (settings.name.clone(), settings.timeouts.poll);
    let columns = compose::columns(settings.face());
    Ok(owner::start::<Session>(name, columns, poll, (settings, artwork)))
}

impl ZplSettings {
    /// One label as dots.
    #[must_use]
    pub fn face(&self) -> Face {
        let dots = |tenths_mm| usize::from(self.model.dots_for(tenths_mm));
        let size = self.stock.size;
        Face { width: dots(size.width), height: dots(size.height), dpi: self.model.dpi }
    }
}
