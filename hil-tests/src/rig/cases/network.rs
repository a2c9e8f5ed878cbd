//! The branch's own network goes and comes back: between the box and its pages, and between the box and the devices on it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::{article, at_till, device, device_says, print_says, sell, shown};
use crate::{
    counter::CounterError,
    rig::{PrinterKind, PrinterState, Rig, ScannerKind},
    waiting::until,
};

/// The box notices within half a minute that a device on the network does not answer, and its screen looks every quarter of one.
const NOTICED_WITHIN: Duration = Duration::from_secs(90);
/// From the cable that is put in again to a page that answers: the router's address must be asked for again.
const BACK_WITHIN: Duration = Duration::from_secs(60);

/// What the counter and the box's console say of a printer without paper.
const NO_PAPER: &str = "out of paper";

/// Both receipts wait for paper when the cable goes. The one whose printer is on USB comes out all the same; a pack that is scanned meanwhile lies on
/// the counter; the other receipt waits for the network, the box says so on its own screen, and it comes out once.
pub(super) async fn cable_pulled(rig: &mut dyn Rig) -> Result<()> {
    let (near, far) = (PrinterKind::Serial, PrinterKind::Network);
    let first = at_till(rig, near.till()).await?;
    let second = at_till(rig, far.till()).await?;
    shown(&first, "that the scanner is there", device(ScannerKind::Serial.name(), true)).await?;
    let mut receipts = Vec::new();
    for (counter, printer) in [(&first, near), (&second, far)] {
        rig.devices().set_printer(printer, PrinterState::PaperOut).await?;
        shown(counter, "that the printer has no paper", device_says(printer.name(), NO_PAPER)).await?;
        receipts.push(sell(counter, 0).await?.to_string());
        shown(counter, "that the receipt waits for paper", print_says(NO_PAPER)).await?;
    }
    let kept = first.ledger_head().await?;

    rig.set_network(false).await?;
    let look = first.look().await;
    ensure!(matches!(look, Err(CounterError::Gone(_))), "a page answers through a pulled cable: {look:?}");
    rig.scan(ScannerKind::Serial, article(2)?.code.as_bytes()).await?;
    rig.devices().set_printer(near, PrinterState::Well).await?;
    rig.devices().paper(near, &[&receipts[0]]).await?;
    rig.devices().set_printer(far, PrinterState::Well).await?;
    network_is_missed(rig, far).await?;
    rig.devices().nothing_more(far).await?;

    rig.set_network(true).await?;
    let back = Instant::now();
    let here = |till: &crate::counter::Till| till.basket.is_some();
    let till = shown(&first, "the pack that was scanned meanwhile", here).await?;
    ensure!(back.elapsed() < BACK_WITHIN, "the page was back after {:?} only", back.elapsed());
    let lines = till.basket.map(|basket| basket.lines).unwrap_or_default();
    ensure!(lines.len() == 1 && lines[0].name == article(2)?.product, "the counter shows {lines:?}");
    rig.devices().paper(far, &[&receipts[1]]).await?;
    shown(&second, "that nothing waits", |till| till.prints.is_empty()).await?;
    let now = second.ledger_head().await?;
    ensure!(now.epoch == kept.epoch && now.seq >= kept.seq, "{kept:?} was kept, and now there is {now:?}");

    // The next sale is as any other.
    let receipt = super::pay(&first).await?.to_string();
    rig.devices().paper(near, &[&receipt]).await?;
    rig.devices().nothing_more(near).await?;
    rig.devices().nothing_more(far).await
}

/// Waits until the box says on its own console that the printer does not answer.
async fn network_is_missed(rig: &mut dyn Rig, printer: PrinterKind) -> Result<()> {
    let name = format!("{} (printer):", printer.name());
    let rig = tokio::sync::Mutex::new(rig);
    let missed = until("what the box's console says of the printer", NOTICED_WITHIN, || async {
        let screen = rig.lock().await.console().await.map_err(|error| error.to_string())?;
        let line = screen.lines().find(|line| line.contains(&name)).context(screen.clone());
        let line = line.map_err(|error| error.to_string())?;
        // A person who stands before it must not be sent for paper that is there.
        match line.contains(": ok") || line.contains(NO_PAPER) {
            true => Err(screen),
            false => Ok(()),
        }
    });
    Ok(missed.await?)
}
