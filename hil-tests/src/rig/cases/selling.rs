//! From the scan to the paper.

use anyhow::{Context as _, Result, ensure};

use super::{at_till, pay, shown};
use crate::{
    counter::Till,
    power_cuts::provisioned,
    processes::project,
    rig::{PrinterKind, Rig, ScannerKind},
};

pub(super) async fn by_keyboard(rig: &mut dyn Rig) -> Result<()> {
    scanned_and_sold(rig, ScannerKind::Keyboard).await?;
    // Where a real kernel read the scan: what the shop sees of it.
    if let Some(screen) = rig.picture_of_screen().await? {
        keep_picture("appliance-console.png", &screen)?;
        keep_picture("appliance-receipt.png", &rig.picture_of_paper(PrinterKind::Serial).await?)?;
    }
    Ok(())
}

/// Under `docs/screenshots/`, when pictures are asked for.
fn keep_picture(name: &str, picture: &[u8]) -> Result<()> {
    ensure!(picture.starts_with(b"\x89PNG"), "{name} is no PNG");
    if std::env::var_os("PESTLE_SCREENSHOTS").is_some() {
        std::fs::write(project().join("docs/screenshots").join(name), picture)?;
    }
    Ok(())
}

pub(super) async fn by_serial_line(rig: &mut dyn Rig) -> Result<()> {
    scanned_and_sold(rig, ScannerKind::Serial).await
}

async fn scanned_and_sold(rig: &mut dyn Rig, scanner: ScannerKind) -> Result<()> {
    let counter = at_till(rig, "till-1").await?;
    let name = match scanner {
        ScannerKind::Keyboard => "second",
        ScannerKind::Serial => "counter",
    };
    // What is typed while it is opened is taken for half a scan.
    let there =
        |till: &Till| till.devices.iter().any(|device| device.name == name && device.detail.is_none());
    shown(&counter, "that the scanner is there", there).await?;
    let article = provisioned::articles()?.into_iter().next().context("an article")?;
    rig.scan(scanner, article.code.as_bytes()).await?;
    let till = shown(&counter, "the scanned pack", |till| till.basket.is_some()).await?;
    let lines = till.basket.map(|basket| basket.lines).unwrap_or_default();
    ensure!(lines.len() == 1 && lines[0].name == article.product, "another product is shown: {lines:?}");
    let receipt = pay(&counter).await?;
    let paper = rig.paper(PrinterKind::Serial).await?;
    ensure!(paper.contains(&receipt.to_string()), "receipt {receipt} does not name itself:\n{paper}");
    ensure!(paper.contains(&article.product) && paper.contains("4.99"), "the paper says:\n{paper}");
    Ok(())
}

pub(super) async fn on_the_network(rig: &mut dyn Rig) -> Result<()> {
    let counter = at_till(rig, "till-2").await?;
    let article = provisioned::articles()?.into_iter().nth(1).context("an article")?;
    counter.scan(&article.code).await?;
    let receipt = pay(&counter).await?;
    let paper = rig.paper(PrinterKind::Network).await?;
    ensure!(
        paper.contains(&receipt.to_string()) && paper.contains(&article.product),
        "the paper says:\n{paper}"
    );
    ensure!(rig.papers_unread(PrinterKind::Serial).await? == 0, "the other till's printer printed too");
    Ok(())
}

pub(super) async fn with_lot_and_serial(rig: &mut dyn Rig) -> Result<()> {
    let counter = at_till(rig, "till-1").await?;
    let article = provisioned::articles()?.into_iter().next().context("an article")?;
    let serial = uuid::Uuid::now_v7().simple().to_string();
    let pack = format!("]d2010{}1730073110LOT1\u{1d}21{}", article.code, &serial[12..]);
    rig.scan(ScannerKind::Serial, pack.as_bytes()).await?;
    let till = shown(&counter, "the scanned pack", |till| till.basket.is_some()).await?;
    let lines = till.basket.map(|basket| basket.lines).unwrap_or_default();
    ensure!(
        lines.len() == 1 && lines[0].lot.as_deref() == Some("LOT1"),
        "the lot was not read through the separator: {lines:?}"
    );
    pay(&counter).await?;
    rig.paper(PrinterKind::Serial).await?;
    // The same pack once more: its serial was sold.
    rig.scan(ScannerKind::Serial, pack.as_bytes()).await?;
    shown(&counter, "that this pack was sold before", |till| !till.refusals.is_empty()).await?;
    Ok(())
}
