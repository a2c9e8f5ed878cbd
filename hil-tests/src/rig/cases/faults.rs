//! What goes wrong in a branch.

use anyhow::{Context as _, Result, ensure};

use super::{at_till, pay, shown};
use crate::{
    power_cuts::provisioned,
    rig::{PrinterKind, PrinterState, Rig, ScannerKind},
};

pub(super) async fn paper_out(rig: &mut dyn Rig) -> Result<()> {
    let counter = at_till(rig, "till-1").await?;
    rig.set_printer(PrinterKind::Serial, PrinterState::PaperOut).await?;
    let trouble = |till: &crate::counter::Till| {
        till.devices.iter().any(|device| {
            device.name == "receipts"
                && device.detail.as_ref().is_some_and(|detail| detail.contains("out of paper"))
        })
    };
    shown(&counter, "that the printer has no paper", trouble).await?;
    let article = provisioned::articles()?.into_iter().next().context("an article")?;
    counter.scan(&article.code).await?;
    let receipt = pay(&counter).await?;
    let held = |till: &crate::counter::Till| {
        till.prints
            .iter()
            .any(|print| print.reason.as_ref().is_some_and(|reason| reason.contains("out of paper")))
    };
    shown(&counter, "why the receipt waits", held).await?;
    ensure!(rig.papers_unread(PrinterKind::Serial).await? == 0, "something was printed without paper");
    rig.set_printer(PrinterKind::Serial, PrinterState::Well).await?;
    let paper = rig.paper(PrinterKind::Serial).await?;
    ensure!(paper.contains(&receipt.to_string()), "another receipt came out:\n{paper}");
    shown(&counter, "that nothing waits", |till| till.prints.is_empty()).await?;
    ensure!(rig.papers_unread(PrinterKind::Serial).await? == 0, "it came out twice");
    Ok(())
}

pub(super) async fn scanner_unplugged(rig: &mut dyn Rig) -> Result<()> {
    let counter = at_till(rig, "till-1").await?;
    rig.plug_scanner(ScannerKind::Serial, false).await?;
    let away = |away: bool| {
        move |till: &crate::counter::Till| {
            till.devices.iter().any(|device| device.name == "counter" && device.detail.is_some() == away)
        }
    };
    shown(&counter, "that the scanner has gone", away(true)).await?;
    rig.plug_scanner(ScannerKind::Serial, true).await?;
    shown(&counter, "that the scanner is back", away(false)).await?;
    let article = provisioned::articles()?.into_iter().next().context("an article")?;
    rig.scan(ScannerKind::Serial, article.code.as_bytes()).await?;
    shown(&counter, "the scanned pack", |till| till.basket.is_some()).await?;
    Ok(())
}

pub(super) async fn fridge(rig: &mut dyn Rig) -> Result<()> {
    let counter = at_till(rig, "till-1").await?;
    rig.set_fridge(Some(5_300)).await?;
    let reads = |till: &crate::counter::Till| {
        till.readings.iter().any(|reading| reading.sensor == "fridge" && reading.milli_celsius == Some(5_300))
    };
    shown(&counter, "5.3 degrees", reads).await?;
    rig.set_fridge(None).await?;
    let silent = |till: &crate::counter::Till| {
        till.readings.iter().any(|reading| {
            reading.sensor == "fridge"
                && reading.milli_celsius.is_none()
                && reading.missing.as_ref().is_some_and(|why| why.contains("does not answer"))
        })
    };
    shown(&counter, "why there is no temperature", silent).await?;
    Ok(())
}

pub(super) async fn power(rig: &mut dyn Rig) -> Result<()> {
    let article = provisioned::articles()?.into_iter().nth(2).context("an article")?;
    let counter = at_till(rig, "till-1").await?;
    let before = counter.look().await?.session.context("the till is open")?.sales;
    let mut told = Vec::new();
    for _ in 0..3 {
        counter.scan(&article.code).await?;
        told.push(pay(&counter).await?);
        counter.dismiss().await?;
    }
    rig.cut_power().await?;
    let counter = rig.counter("till-1")?;
    counter.sign_in(&provisioned::SELLER).await?;
    let till = counter.look().await?;
    let last = till.last_sale.context("the last sale is on the page")?;
    ensure!(Some(&last.receipt.number) == told.last(), "told {told:?}, and the page says {last:?}");
    let after = till.session.context("the till is still open")?.sales;
    ensure!(after == before + 3, "{before} sales before, three were told, and now there are {after}");
    Ok(())
}
