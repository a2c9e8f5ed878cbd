//! Pestle in the same place: a box with the same facts, and the same blows.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use pestle_domain::ids::DeviceId;
use sqlx::PgConnection;

use super::{
    super::{
        backlog::Backlog,
        branch_box::BranchBox,
        place::Cores,
        real_centre::{RealCentre, committed},
        stats::per_second,
    },
    Blows, FIRST_BLOW_AT,
    effects::Effects,
};
use crate::waiting::until;

/// The branch, one of the demo's: only its name counts here.
const BRANCH: &str = "north";
/// For a share of the facts, with a program that has to start again.
const ARRIVED_WITHIN: Duration = Duration::from_secs(120);

/// Facts a second.
pub(super) async fn calm(
    centre: &RealCentre,
    folder: &Path,
    cores: Cores,
    run: u64,
    sales: u64,
) -> Result<f64> {
    let (branch_box, seq) = sold(centre, folder, run, sales).await?;
    let drained = centre.drain(&branch_box, cores.branch, seq).await?;
    fs::remove_dir_all(&branch_box.folder)?;
    Ok(per_second(seq, drained.took))
}

/// What became of a backlog on whose way agent and gateway were killed.
#[derive(Debug)]
pub(super) struct Struck {
    facts: u64,
    blows: Blows,
    /// Between what was sold and what it did at the centre.
    pub(super) differences: Vec<String>,
}

impl std::fmt::Display for Struck {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { facts, blows, differences } = self;
        match &differences[..] {
            [] => write!(formatter, "stock, cash and sales of {facts} facts are as they were sold")?,
            [first, ..] => {
                write!(formatter, "of {facts} facts {} sums differ, the first: {first}", differences.len())?
            }
        }
        write!(formatter, " (killed: {blows})")
    }
}

/// Agent and gateway killed on the way, each once.
pub(super) async fn struck(
    centre: &mut RealCentre,
    folder: &Path,
    cores: Cores,
    run: u64,
    sales: u64,
) -> Result<Struck> {
    let (branch_box, seq) = sold(centre, folder, run, sales).await?;
    let device = branch_box.stream().device;
    let mut owner = centre.owner().await?;
    let earlier = Effects::at_centre(&mut owner, BRANCH).await?;
    let mut agent = branch_box.start(cores.branch, &centre.keeper)?;
    arrived(&mut owner, &device, seq / FIRST_BLOW_AT).await.with_context(|| branch_box.log_tail())?;
    agent.kill();
    let before = committed(&mut owner, &device).await?.min(seq);
    let waiting = seq - before;
    let mut agent = branch_box.start(cores.branch, &centre.keeper)?;
    let half = before + waiting.div_ceil(2);
    let now = arrived(&mut owner, &device, half).await.with_context(|| branch_box.log_tail())?;
    let blows = Blows { waiting, came: now.min(seq) - before };
    drop(owner);
    centre.gateway.kill();
    centre.gateway.start().await?;
    let mut owner = centre.owner().await?;
    arrived(&mut owner, &device, seq).await.with_context(|| branch_box.log_tail())?;
    agent.stop().await;
    let found = Effects::at_centre(&mut owner, BRANCH).await?.since(&earlier);
    fs::remove_dir_all(&branch_box.folder)?;
    Ok(Struck { facts: seq, blows, differences: Effects::of_sales(run, sales).differences(&found) })
}

async fn sold(centre: &RealCentre, folder: &Path, run: u64, sales: u64) -> Result<(BranchBox, u64)> {
    let branch_box = centre.enrol(&folder.join("queues-box"), BRANCH).await?;
    let backlog = Backlog::write(&branch_box.folder, branch_box.stream(), run, sales).await?;
    let seq = backlog.head().seq;
    backlog.close().await;
    Ok((branch_box, seq))
}

async fn arrived(owner: &mut PgConnection, device: &DeviceId, seq: u64) -> Result<u64> {
    let owner = tokio::sync::Mutex::new(owner);
    let looked = until("facts at the centre", ARRIVED_WITHIN, || async {
        let mut owner = owner.lock().await;
        let reached = committed(&mut owner, device).await.map_err(|error| error.to_string())?;
        if reached >= seq { Ok(reached) } else { Err(format!("{reached} of {seq}")) }
    });
    Ok(looked.await?)
}
