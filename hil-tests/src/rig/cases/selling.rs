//! From the scan to the paper.

use anyhow::{Result, ensure};
use pestle_drivers::scanner::learn::sheet::TestCode;
use serde_json::json;

use super::{SHOWN_WITHIN, article, at_till, device, pay, sell, shown};
use crate::{
    counter::{Counter, Till},
    processes::project,
    rig::{PrinterKind, Rig, ScannerKind},
    waiting::until,
};

pub(super) async fn by_keyboard(rig: &mut dyn Rig) -> Result<()> {
    scanned(rig, ScannerKind::Keyboard, PrinterKind::Serial).await?;
    // Where a real kernel read the scan: what the shop sees of it.
    if rig.picture_of_screen().await?.is_some() {
        all_devices_are_on_the_screen(rig).await?;
    }
    if let Some(screen) = rig.picture_of_screen().await?
        && let Some(paper) = rig.devices().picture_of_paper(PrinterKind::Serial).await?
    {
        keep_picture("appliance-console.png", &screen)?;
        keep_picture("appliance-receipt.png", &paper)?;
    }
    Ok(())
}

/// The screen is drawn a few times a minute: those that came last may not be on it yet. What the kernel has on it says so, vcs(4); the
/// serial console is drawn by another process.
async fn all_devices_are_on_the_screen(rig: &mut dyn Rig) -> Result<()> {
    let rig = tokio::sync::Mutex::new(rig);
    let drawn = until("a screen with all devices", SHOWN_WITHIN, || async {
        let screen = rig.lock().await.inside("cat /dev/vcs1").await.map_err(|error| error.to_string())?;
        if screen.contains("): ok") && !screen.contains("AWAY") { Ok(()) } else { Err(screen) }
    });
    Ok(drawn.await?)
}

/// Under `docs/screenshots/`, when pictures are asked for.
fn keep_picture(name: &str, picture: &[u8]) -> Result<()> {
    ensure!(picture.starts_with(b"\x89PNG"), "{name} is no PNG");
    if std::env::var_os("PESTLE_SCREENSHOTS").is_some() {
        std::fs::write(project().join("docs/screenshots").join(name), picture)?;
    }
    Ok(())
}

/// At the till where both are.
pub(super) async fn scanned(rig: &mut dyn Rig, scanner: ScannerKind, printer: PrinterKind) -> Result<()> {
    ensure!(scanner.till() == printer.till(), "{scanner:?} and {printer:?} are at two tills");
    let counter = at_till(rig, scanner.till()).await?;
    // What is typed while it is opened is taken for half a scan.
    shown(&counter, "that the scanner is there", device(scanner.name(), true)).await?;
    let article = article(0)?;
    rig.scan(scanner, article.code.as_bytes()).await?;
    let till = shown(&counter, "the scanned pack", |till| till.basket.is_some()).await?;
    let lines = till.basket.map(|basket| basket.lines).unwrap_or_default();
    ensure!(lines.len() == 1 && lines[0].name == article.product, "another product is shown: {lines:?}");
    let receipt = pay(&counter).await?;
    rig.devices().paper(printer, &[&receipt.to_string(), &article.product, "4.99"]).await
}

pub(super) async fn on_the_network(rig: &mut dyn Rig) -> Result<()> {
    let counter = at_till(rig, PrinterKind::Network.till()).await?;
    let receipt = sell(&counter, 1).await?;
    rig.devices().paper(PrinterKind::Network, &[&receipt.to_string(), &article(1)?.product]).await?;
    // The other till's printer is not concerned.
    rig.devices().nothing_more(PrinterKind::Serial).await
}

/// A scanner that types is believed after it has shown with the sheet of test codes what it types: each symbol with its identifier, GS as
/// a key of its own, and the end of each scan.
pub(super) async fn proved_by_the_sheet(rig: &mut dyn Rig) -> Result<()> {
    let scanner = ScannerKind::Keyboard;
    let counter = at_till(rig, scanner.till()).await?;
    shown(&counter, "that the scanner is there", device(scanner.name(), true)).await?;
    let which = json!({ "device": scanner.name() });
    counter.act_on_devices("learn", which.clone()).await?;
    devices_page_says(&counter, "in any order").await?;
    for code in TestCode::ALL {
        rig.scan(scanner, format!("{}{}", code.symbology_id(), code.data()).as_bytes()).await?;
        let last = TestCode::ALL.last() == Some(&code);
        let words =
            if last { "second is proved.".to_owned() } else { format!("Code {code} was recognised.") };
        devices_page_says(&counter, &words).await?;
    }
    counter.act_on_devices("leave", which).await?;
    with_lot_and_serial(rig, scanner).await
}

async fn devices_page_says(counter: &Counter, words: &str) -> Result<()> {
    let said = until("what the page for devices says", SHOWN_WITHIN, || async {
        let page = counter.devices_page().await.map_err(|error| error.to_string())?;
        if page.contains(words) { Ok(()) } else { Err(format!("{words:?} is not in {page}")) }
    });
    Ok(said.await?)
}

pub(super) async fn with_lot_and_serial(rig: &mut dyn Rig, scanner: ScannerKind) -> Result<()> {
    let counter = at_till(rig, scanner.till()).await?;
    shown(&counter, "that the scanner is there", device(scanner.name(), true)).await?;
    let article = article(0)?;
    let serial = uuid::Uuid::now_v7().simple().to_string();
    let pack = format!("]d2010{}1730073110LOT1\u{1d}21{}", article.code, &serial[12..]);
    rig.scan(scanner, pack.as_bytes()).await?;
    let till = shown(&counter, "the scanned pack", |till| till.basket.is_some()).await?;
    let lines = till.basket.map(|basket| basket.lines).unwrap_or_default();
    ensure!(
        lines.len() == 1 && lines[0].lot.as_deref() == Some("LOT1"),
        "the lot was not read through the separator: {lines:?}"
    );
    let receipt = pay(&counter).await?;
    rig.devices().paper(PrinterKind::Serial, &[&receipt.to_string()]).await?;
    // The same pack once more: its serial was sold.
    rig.scan(scanner, pack.as_bytes()).await?;
    let refused = format!("was sold with receipt {receipt}");
    let is_refused = |till: &Till| till.refusals.iter().any(|refusal| refusal.text.contains(&refused));
    shown(&counter, "that this pack was sold before", is_refused).await?;
    Ok(())
}
