//! The appliance's own system around the agent: what fails there is told, and the branch works on.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::{SELLER, article, at_till, sell, shown};
use crate::{
    counter::Counter,
    rig::{PrinterKind, Rig},
    waiting::until,
};

/// The box's screen is looked at that seldom when nothing changes, and a machine in software is slow.
const SAID_WITHIN: Duration = Duration::from_secs(60);
/// On the console, when the firewall does not run.
const NO_FIREWALL: &str = "The firewall did not start";
/// A row that stands below what is wrong.
const BELOW: &str = "\nDevices ";

/// It lets in nothing beside the pages. Its console and its health say that it is missing, for as long as it is; nobody is kept from selling.
pub(super) async fn firewall(rig: &mut dyn Rig) -> Result<()> {
    let printer = PrinterKind::Serial;
    let counter = at_till(rig, printer.till()).await?;
    says_no_firewall(rig, &counter, false).await?;
    lets_strangers_in(rig, false).await?;
    rig.set_firewall(false).await?;
    says_no_firewall(rig, &counter, true).await?;
    // Who is not reached otherwise is reached now: the firewall keeps them away, and nothing else.
    lets_strangers_in(rig, true).await?;
    let receipt = sell(&counter, 0).await?.to_string();
    rig.devices().paper(printer, &[&receipt]).await?;
    rig.set_firewall(true).await?;
    says_no_firewall(rig, &counter, false).await?;
    lets_strangers_in(rig, false).await
}

async fn lets_strangers_in(rig: &mut dyn Rig, wanted: bool) -> Result<()> {
    let reached = rig.stranger_is_reached().await?;
    ensure!(
        reached == wanted,
        "what listens in the box beside its page is {}reached",
        if reached { "" } else { "not " }
    );
    Ok(())
}

async fn says_no_firewall(rig: &mut dyn Rig, counter: &Counter, wanted: bool) -> Result<()> {
    let rig = tokio::sync::Mutex::new(rig);
    let what =
        format!("the console to say {}that there is no firewall", if wanted { "" } else { "no more " });
    let said = until(&what, SAID_WITHIN, || async {
        let screen = rig.lock().await.console().await.map_err(|error| error.to_string())?;
        // What is drawn below it is there: the whole screen was looked at.
        let is_whole = screen.contains(BELOW);
        if is_whole && screen.contains(NO_FIREWALL) == wanted { Ok(()) } else { Err(screen) }
    });
    said.await?;
    let reasons = counter.health().await?["reasons"].to_string();
    ensure!(reasons.contains(NO_FIREWALL) == wanted, "the box's health says {reasons}");
    Ok(())
}

/// An agent that does nothing any more is started again by the system; what was told, and the basket, are there.
pub(super) async fn hang(rig: &mut dyn Rig) -> Result<()> {
    let printer = PrinterKind::Serial;
    let counter = at_till(rig, printer.till()).await?;
    let before = counter.look().await?.session.context("the till is open")?.sales;
    let receipt = sell(&counter, 0).await?;
    rig.devices().paper(printer, &[&receipt.to_string()]).await?;
    counter.scan(&article(1)?.code).await?;
    let kept = counter.ledger_head().await?;
    rig.hang_agent().await?;
    shown(&counter, "the sign-in of an agent that was started again", |till| till.phase == "sign_in").await?;
    counter.sign_in(&SELLER).await?;
    let till = counter.look().await?;
    let last = till.last_sale.context("the last sale is on the page")?.receipt;
    ensure!(last == receipt, "receipt {receipt} was told, and the page says {last}");
    let after = till.session.context("the till is still open")?.sales;
    ensure!(after == before + 1, "{before} sales before, one was told, and now there are {after}");
    let lines = till.basket.map(|basket| basket.lines).unwrap_or_default();
    ensure!(lines.len() == 1 && lines[0].name == article(1)?.product, "the counter shows {lines:?}");
    let now = counter.ledger_head().await?;
    ensure!(now.epoch == kept.epoch && now.seq >= kept.seq, "{kept:?} was kept, and now there is {now:?}");
    rig.devices().nothing_more(printer).await
}
