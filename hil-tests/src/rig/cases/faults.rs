//! What goes wrong in a branch.

use anyhow::{Context as _, Result, ensure};

use super::{article, at_till, device, device_says, print_says, says, sell, shown};
use crate::{
    counter::Till,
    power_cuts::provisioned,
    rig::{PrinterKind, PrinterState, Rig, ScannerKind},
};

/// What the counter says of a printer without paper.
const NO_PAPER: &str = "out of paper";
/// What it says of a device that has gone: where to look.
const GONE: &str = "plugged in";
/// What it says of a sensor that is silent, or whose adapter has gone.
const SILENT: [&str; 2] = ["the sensor does not answer", "the bus adapter is away"];

pub(super) async fn paper_out(rig: &mut dyn Rig, printer: PrinterKind) -> Result<()> {
    let counter = at_till(rig, printer.till()).await?;
    rig.devices().set_printer(printer, PrinterState::PaperOut).await?;
    shown(&counter, "that the printer has no paper", device_says(printer.name(), NO_PAPER)).await?;
    let receipt = sell(&counter, 0).await?;
    shown(&counter, "why the receipt waits", print_says(NO_PAPER)).await?;
    rig.devices().nothing_more(printer).await?;
    rig.devices().set_printer(printer, PrinterState::Well).await?;
    rig.devices().paper(printer, &[&receipt.to_string()]).await?;
    shown(&counter, "that nothing waits", |till| till.prints.is_empty()).await?;
    rig.devices().nothing_more(printer).await
}

pub(super) async fn paper_ending(rig: &mut dyn Rig) -> Result<()> {
    let printer = PrinterKind::Serial;
    let counter = at_till(rig, printer.till()).await?;
    rig.devices().set_printer(printer, PrinterState::PaperEnding).await?;
    let receipt = sell(&counter, 0).await?;
    shown(&counter, "why the receipt has stopped", device_says(printer.name(), NO_PAPER)).await?;
    rig.devices().nothing_more(printer).await?;
    rig.devices().set_printer(printer, PrinterState::Well).await?;
    rig.devices().paper(printer, &[&receipt.to_string()]).await?;
    shown(&counter, "that nothing waits", |till| till.prints.is_empty()).await?;
    rig.devices().nothing_more(printer).await
}

pub(super) async fn printer_unplugged(rig: &mut dyn Rig) -> Result<()> {
    let printer = PrinterKind::Usb;
    let counter = at_till(rig, printer.till()).await?;
    rig.plug_printer(printer, false).await?;
    shown(&counter, "that the printer has gone", device_says(printer.name(), GONE)).await?;
    let receipt = sell(&counter, 0).await?;
    let waits =
        |till: &Till| till.prints.iter().any(|print| print.state == "not_printed" && says(print, GONE));
    shown(&counter, "why the receipt waits", waits).await?;
    rig.plug_printer(printer, true).await?;
    rig.devices().paper(printer, &[&receipt.to_string()]).await?;
    shown(&counter, "that nothing waits", |till| till.prints.is_empty()).await?;
    rig.devices().nothing_more(printer).await
}

/// The printer keeps its power, and what it was sent: it prints that when it has paper. Nobody else knows.
pub(super) async fn pulled_in_mid_job(rig: &mut dyn Rig) -> Result<()> {
    let printer = PrinterKind::Usb;
    let counter = at_till(rig, printer.till()).await?;
    shown(&counter, "that the printer is there", device(printer.name(), true)).await?;
    rig.devices().set_printer(printer, PrinterState::PaperEnding).await?;
    let receipt = sell(&counter, 0).await?;
    shown(&counter, "that the printer has stopped", device_says(printer.name(), NO_PAPER)).await?;
    rig.plug_printer(printer, false).await?;
    let in_doubt = |till: &Till| till.prints.iter().any(|print| print.state == "unknown");
    let till = shown(&counter, "that nobody knows what became of the receipt", in_doubt).await?;
    let job = till.prints.first().context("a print is in doubt")?.job;
    rig.devices().set_printer(printer, PrinterState::Well).await?;
    rig.devices().paper(printer, &[&receipt.to_string()]).await?;
    rig.plug_printer(printer, true).await?;
    shown(&counter, "that the printer is back", device(printer.name(), true)).await?;
    let till = counter.look().await?;
    ensure!(in_doubt(&till), "the printer is back, and nobody was asked: {:?}", till.prints);
    rig.devices().nothing_more(printer).await?;
    counter.answer_print(job, "came_out").await?;
    shown(&counter, "that nothing waits", |till| till.prints.is_empty()).await?;
    let next = sell(&counter, 1).await?;
    rig.devices().paper(printer, &[&next.to_string(), &article(1)?.product]).await?;
    rig.devices().nothing_more(printer).await
}

pub(super) async fn scanner_unplugged(rig: &mut dyn Rig, scanner: ScannerKind) -> Result<()> {
    let counter = at_till(rig, scanner.till()).await?;
    shown(&counter, "that the scanner is there", device(scanner.name(), true)).await?;
    rig.plug_scanner(scanner, false).await?;
    shown(&counter, "that the scanner has gone", device_says(scanner.name(), GONE)).await?;
    rig.plug_scanner(scanner, true).await?;
    shown(&counter, "that the scanner is back", device(scanner.name(), true)).await?;
    rig.scan(scanner, article(0)?.code.as_bytes()).await?;
    let till = shown(&counter, "the scanned pack", |till| till.basket.is_some()).await?;
    let lines = till.basket.map(|basket| basket.lines).unwrap_or_default();
    ensure!(lines.len() == 1 && lines[0].name == article(0)?.product, "another product is shown: {lines:?}");
    Ok(())
}

pub(super) async fn fridge(rig: &mut dyn Rig) -> Result<()> {
    let counter = at_till(rig, "till-1").await?;
    let measured = rig.devices().set_fridge(5_300).await?;
    let reads = |till: &Till| {
        till.readings.iter().any(|reading| {
            reading.sensor == "fridge"
                && reading.milli_celsius.is_some_and(|milli_celsius| measured.contains(&milli_celsius))
        })
    };
    shown(&counter, "what the fridge's sensor measures", reads).await?;
    rig.devices().silence_fridge().await?;
    let silent = |till: &Till| {
        till.readings.iter().any(|reading| {
            reading.sensor == "fridge"
                && reading.milli_celsius.is_none()
                && reading.missing.as_ref().is_some_and(|why| SILENT.iter().any(|words| why.contains(words)))
        })
    };
    shown(&counter, "why there is no temperature", silent).await?;
    Ok(())
}

pub(super) async fn power(rig: &mut dyn Rig) -> Result<()> {
    let counter = at_till(rig, "till-1").await?;
    let before = counter.look().await?.session.context("the till is open")?.sales;
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(sell(&counter, 2).await?);
    }
    rig.cut_power().await?;
    let counter = rig.counter("till-1")?;
    counter.sign_in(&provisioned::SELLER).await?;
    let till = counter.look().await?;
    let last = till.last_sale.context("the last sale is on the page")?;
    ensure!(Some(&last.receipt) == told.last(), "told {told:?}, and the page says {last:?}");
    let after = till.session.context("the till is still open")?.sales;
    ensure!(after == before + 3, "{before} sales before, three were told, and now there are {after}");
    Ok(())
}
