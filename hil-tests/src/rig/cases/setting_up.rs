//! A box that a technician sets up with a stick.

use anyhow::{Result, ensure};

use super::{SELLER, at_till, shown};
use crate::{
    counter::Counter,
    rig::{PrinterKind, Rig},
};

/// A till that only the stick's configuration has.
const ADDED: &str = "till-9";

/// A configuration that is wrong changes nothing, and the stick says why; one that is right is in use at once, also by the page.
/// The basket that lay on the counter lies there still.
pub(super) async fn by_stick(rig: &mut dyn Rig) -> Result<()> {
    let before = rig.configuration()?;
    let counter = at_till(rig, PrinterKind::Serial.till()).await?;
    counter.scan(&super::article(0)?.code).await?;
    let kept = counter.ledger_head().await?;

    let wrong = before.replace("model = ", "modle = ");
    ensure!(wrong != before, "the rig's configuration names no model");
    let said = rig.stick(&[("agent.toml", wrong)]).await?;
    ensure!(said.contains("was not taken") && said.contains("modle"), "the stick says {said:?}");
    shown(&counter, "the basket after a stick that was refused", |till| till.basket.is_some()).await?;

    let more = format!("{before}\n[[till]]\nid = {ADDED:?}\n");
    let said = rig.stick(&[("agent.toml", more)]).await?;
    ensure!(said.contains("agent.toml was taken"), "the stick says {said:?}");
    let added = rig.counter(ADDED)?;
    shown(&added, "the till that the stick has brought", |till| till.phase == "sign_in").await?;
    basket_after_the_start(&counter).await?;
    let now = counter.ledger_head().await?;
    ensure!(now.epoch == kept.epoch && now.seq >= kept.seq, "{kept:?} was kept, and now there is {now:?}");

    let said = rig.stick(&[("agent.toml", before.clone())]).await?;
    ensure!(said.contains("agent.toml was taken"), "the stick says {said:?}");
    basket_after_the_start(&counter).await?;
    // The same stick once more is no reason to start the agent again.
    let said = rig.stick(&[("agent.toml", before)]).await?;
    ensure!(said.contains("nothing new"), "the stick says {said:?}");
    ensure!(counter.look().await?.basket.is_some(), "the agent was started again for nothing");
    Ok(())
}

/// An agent that has begun anew asks who is there, and then shows what lay on the counter.
async fn basket_after_the_start(counter: &Counter) -> Result<()> {
    shown(counter, "the sign-in of the agent that was started again", |till| till.phase == "sign_in").await?;
    counter.sign_in(&SELLER).await?;
    let till = counter.look().await?;
    ensure!(till.basket.is_some_and(|basket| basket.lines.len() == 1), "the basket has other lines");
    Ok(())
}
