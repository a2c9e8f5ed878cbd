//! The shell around one printer: takes orders one by one, and reports what became of each.

use std::{collections::HashMap, sync::Arc};

use pestle_domain::document::{Block, Document};
use pestle_drivers::printer::{
    DrawerOutcome, Outcome, PrintJob, PrintReport, Printer, PrinterEvent, Unknown,
};
use tokio::sync::mpsc;

use super::machine::{DrawerEnd, Ended, JobId};
use crate::counter::{handle::Counter, machine::Event};

/// Orders that may wait for one printer: the spool sends one job at a time, and drawers are opened by hand.
const ORDERS_WAITING_MAX: usize = 16;

/// What the counter asks of a printer.
#[derive(Debug)]
pub enum PrintOrder {
    /// Print, in one attempt.
    Print {
        /// Named in the report.
        job: JobId,
        /// What.
        document: Document,
        /// With the drawer.
        drawer: bool,
    },
    /// Open the drawer alone.
    KickDrawer,
    /// Sound an alarm.
    Beep,
}

/// The queues of all printers: the counter has one end, the printers' shells have the other.
pub type Orders = HashMap<String, mpsc::Receiver<PrintOrder>>;

/// Makes a queue per printer.
pub fn queues<'a>(
    printers: impl IntoIterator<Item = &'a str>,
) -> (HashMap<String, mpsc::Sender<PrintOrder>>, Orders) {
    let (mut senders, mut orders) = (HashMap::new(), HashMap::new());
    for printer in printers {
        let (sender, receiver) = mpsc::channel(ORDERS_WAITING_MAX);
        senders.insert(printer.to_owned(), sender);
        orders.insert(printer.to_owned(), receiver);
    }
    (senders, orders)
}

/// Carries out orders until the counter has gone.
pub async fn run(printer: Arc<dyn Printer>, mut orders: mpsc::Receiver<PrintOrder>, counter: Counter) {
    let name = printer.name().to_string();
    let mut without = Vec::new();
    while let Some(order) = orders.recv().await {
        let drawer = match order {
            PrintOrder::Print { job, document, drawer } => {
                let pictured = document.blocks.iter().any(|block| matches!(block, Block::Picture { .. }));
                let report = printer.print(PrintJob { document, open_drawer: drawer }).await;
                for replaced in &report.replaced {
                    tracing::warn!(printer = name, ?replaced, "a character was printed as another");
                }
                for missing in &report.missing_pictures {
                    tracing::warn!(printer = name, ?missing, "a paper was printed without its picture");
                }
                // A logo that is missing is missing on each receipt: it is said once. What was not printed says nothing of it.
                let came_out = !matches!(report.outcome, Outcome::NotPrinted { .. });
                if pictured && came_out && without != report.missing_pictures {
                    without.clone_from(&report.missing_pictures);
                    if let Some(missing) = without.first() {
                        counter.tell(Event::PictureLeftOut(name.clone(), missing.reason.clone())).await;
                    }
                }
                let drawer = report.drawer.filter(|_| !asks_for_the_drawer_alone(&report));
                counter.tell(Event::PrintEnded(name.clone(), job, ended(report))).await;
                drawer
            }
            PrintOrder::KickDrawer => Some(printer.open_drawer().await),
            PrintOrder::Beep => {
                // The page says what is wrong; the sound only has people look at it.
                if let Err(reason) = printer.beep().await {
                    tracing::warn!(printer = name, %reason, "an alarm was not sounded");
                }
                None
            }
        };
        if let Some(outcome) = drawer {
            counter.tell(Event::DrawerEnded(name.clone(), drawer_end(outcome))).await;
        }
    }
}

/// Nothing was sent, so the spool will ask for the drawer alone, and that is its story.
fn asks_for_the_drawer_alone(report: &PrintReport) -> bool {
    matches!(report.outcome, Outcome::NotPrinted { .. }) && report.drawer == Some(DrawerOutcome::NotKicked)
}

/// Tells the counter whenever the printer's readiness changes.
pub async fn watch_status(printer: Arc<dyn Printer>, counter: Counter) {
    let name = printer.name().to_string();
    let mut status = printer.status();
    loop {
        let ready = status.borrow_and_update().ready().map_err(|reason| reason.to_string());
        counter.tell(Event::PrinterIs(name.clone(), ready)).await;
        if status.changed().await.is_err() {
            return;
        }
    }
}

/// A late confirmation, for the counter; `None` for what is told elsewhere.
pub fn late(event: &PrinterEvent) -> Option<[u8; 4]> {
    match event {
        PrinterEvent::FinishedLate(process) => Some(process.0),
        PrinterEvent::Device(_) => None,
    }
}

fn ended(report: PrintReport) -> Ended {
    let drawer_kicked = !matches!(report.drawer, None | Some(DrawerOutcome::NotKicked));
    match report.outcome {
        Outcome::Printed => Ended::Printed,
        Outcome::NotPrinted { reason } => Ended::NotPrinted { reason: reason.to_string(), drawer_kicked },
        Outcome::Unknown { reason: Unknown::CannotTell } => Ended::CannotTell,
        Outcome::Unknown { reason } => {
            Ended::Unknown { reason: reason.to_string(), process: report.process.map(|process| process.0) }
        }
    }
}

fn drawer_end(outcome: DrawerOutcome) -> DrawerEnd {
    match outcome {
        DrawerOutcome::Opened | DrawerOutcome::AlreadyOpen => DrawerEnd::Open,
        DrawerOutcome::KickedUnseen => DrawerEnd::Unseen,
        DrawerOutcome::NotOpened | DrawerOutcome::NotKicked => DrawerEnd::NotOpened,
    }
}
