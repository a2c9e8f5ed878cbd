//! A box that a technician sets up with a stick.

use anyhow::{Result, ensure};

use super::{SELLER, at_till, shown};
use crate::{
    counter::{Counter, Till},
    rig::{PrinterKind, Rig, ScannerKind, TakenHome, site::FRIDGE_PROFILE},
};

/// A till that only the stick's configuration has.
const ADDED: &str = "till-9";
/// A profile that only the stick's file has.
const OWN_PROFILE: &str = "the-branch-s-own";
/// What the fridge measures; its sensor tells tenths of a degree.
const MEASURED_MILLI: i32 = 5_300;

/// A set that is wrong in one file changes nothing, and the stick says why; one that is right is in use at once, also by the page, with the
/// profile that it brings; a profile alone is taken too. The basket that lay on the counter lies there still. Each stick takes home
/// what is plugged in.
pub(super) async fn by_stick(rig: &mut dyn Rig) -> Result<()> {
    let before = rig.configuration()?;
    rig.devices().set_fridge(MEASURED_MILLI).await?;
    let counter = at_till(rig, PrinterKind::Serial.till()).await?;
    counter.scan(&super::article(0)?.code).await?;
    shown(&counter, "what the fridge's sensor measures", fridge_reads(MEASURED_MILLI)).await?;
    let kept = counter.ledger_head().await?;

    let with_profile =
        before.replace(&format!("profile = {FRIDGE_PROFILE:?}"), &format!("profile = {OWN_PROFILE:?}"));
    ensure!(with_profile != before, "the rig's configuration has no fridge of the profile {FRIDGE_PROFILE}");
    let with_profile = format!("sensor_profiles = \"/etc/pestle/sensors.toml\"\n{with_profile}");
    let wrong = with_profile.replace("model = ", "modle = ");
    ensure!(wrong != with_profile, "the rig's configuration names no model");
    let home = rig.stick(&[("agent.toml", wrong), ("sensors.toml", own_profile(50))]).await?;
    let said = &home.result;
    ensure!(said.contains("was not taken") && said.contains("modle"), "the stick says {said:?}");
    names_what_is_plugged_in(&home)?;
    // Good for a box beside others, and nobody would reach this one any more.
    let unreached = before.replace("0.0.0.0:443", "127.0.0.1:8080");
    ensure!(unreached != before, "the rig's box does not listen on 443");
    let said = rig.stick(&[("agent.toml", unreached)]).await?.result;
    ensure!(said.contains("was not taken") && said.contains("0.0.0.0:443"), "the stick says {said:?}");
    shown(&counter, "the basket after a stick that was refused", |till| till.basket.is_some()).await?;

    // The sensor's tenths are read as twentieths: by that the profile is known to be the stick's.
    let more = format!("{with_profile}\n[[till]]\nid = {ADDED:?}\n");
    let said = rig.stick(&[("agent.toml", more), ("sensors.toml", own_profile(50))]).await?.result;
    for file in ["agent.toml", "sensors.toml"] {
        ensure!(said.contains(&format!("{file} was taken")), "the stick says {said:?}");
    }
    // What works, and not as well as it could, is said with it.
    ensure!(said.contains("fridge is bound by the device file"), "the stick says {said:?}");
    let added = rig.counter(ADDED)?;
    shown(&added, "the till that the stick has brought", |till| till.phase == "sign_in").await?;
    basket_after_the_start(&counter).await?;
    shown(&counter, "half of what the sensor measures", fridge_reads(MEASURED_MILLI / 2)).await?;
    let now = counter.ledger_head().await?;
    ensure!(now.epoch == kept.epoch && now.seq >= kept.seq, "{kept:?} was kept, and now there is {now:?}");

    let said = rig.stick(&[("sensors.toml", own_profile(100))]).await?.result;
    ensure!(said.contains("sensors.toml was taken"), "the stick says {said:?}");
    basket_after_the_start(&counter).await?;
    shown(&counter, "what the sensor measures, by the mended profile", fridge_reads(MEASURED_MILLI)).await?;

    let said = rig.stick(&[("agent.toml", before.clone())]).await?.result;
    ensure!(said.contains("agent.toml was taken"), "the stick says {said:?}");
    basket_after_the_start(&counter).await?;
    // The same stick once more is no reason to start the agent again.
    let home = rig.stick(&[("agent.toml", before)]).await?;
    ensure!(home.result.contains("nothing new"), "the stick says {:?}", home.result);
    names_what_is_plugged_in(&home)?;
    ensure!(counter.look().await?.basket.is_some(), "the agent was started again for nothing");
    Ok(())
}

/// Tills that only the sets below have.
const COUNTS: &str = "till-8";
const COUNTS_NOT: &str = "till-7";

/// The power goes while a stick is taken: a set that has the name by which it counts, and was not moved yet, is moved by the next start, and one
/// that was still being copied is not used. (The names are those of `images/root/usr/lib/pestle/setup`.)
pub(super) async fn cut_off(rig: &mut dyn Rig) -> Result<()> {
    let before = rig.configuration()?;
    for (folder, till) in [("/data/etc.ready", COUNTS), ("/data/etc.new", COUNTS_NOT)] {
        let more = format!("[[till]]\nid = \"{till}\"");
        let copy = format!("mkdir {folder} && cp /data/etc/agent.toml {folder}/");
        rig.inside(&format!("{copy} && printf '\\n%s\\n' '{more}' >>{folder}/agent.toml && sync")).await?;
    }
    rig.cut_power().await?;
    let added = rig.counter(COUNTS)?;
    shown(&added, "the till of the set that counts", |till| till.phase == "sign_in").await?;
    let other = rig.counter(COUNTS_NOT)?.look().await;
    ensure!(other.is_err(), "a set that did not count is used: {other:?}");
    rig.inside("test ! -e /data/etc.ready").await?;

    let said = rig.stick(&[("agent.toml", before)]).await?.result;
    ensure!(said.contains("agent.toml was taken"), "the stick says {said:?}");
    let counter = rig.counter(PrinterKind::Serial.till())?;
    shown(&counter, "the sign-in of the agent that was started again", |till| till.phase == "sign_in")
        .await?;
    rig.inside("test ! -e /data/etc.new").await.map(drop)
}

/// The fridge's sensor as the built-in profile has it, but for how many thousandths of a degree a count stands for.
fn own_profile(scale: u32) -> String {
    format!(
        "[{OWN_PROFILE}]\ntitle = \"Sensor of this branch\"\nsource = \"the built-in {FRIDGE_PROFILE}\"\nbaud = 9600\n\n\
         [{OWN_PROFILE}.probe.1]\nfunction = 4\nregister = 1\nscale = {scale}\nmin = -40_000\nmax = 80_000\n"
    )
}

fn fridge_reads(milli: i32) -> impl FnMut(&Till) -> bool {
    move |till| {
        let mut readings = till.readings.iter();
        readings.any(|reading| reading.sensor == "fridge" && reading.milli_celsius == Some(milli))
    }
}

/// As a technician needs it to write a configuration, and central IT to see what was.
fn names_what_is_plugged_in(home: &TakenHome) -> Result<()> {
    let TakenHome { devices, log, .. } = home;
    let scanner = format!("bound to  {}", ScannerKind::Serial.name());
    ensure!(devices.lines().any(|line| line.trim() == scanner), "devices.txt does not name it: {devices}");
    ensure!(devices.contains("names     usb:"), "devices.txt has no names to bind by: {devices}");
    ensure!(log.contains("pestle-agent"), "the log has nothing of the agent: {log:.2000}");
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
