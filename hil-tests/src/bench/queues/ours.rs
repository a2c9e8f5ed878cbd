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
    Outcome,
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

/// Agent and gateway killed on the way, each once.
pub(super) async fn struck(
    centre: &mut RealCentre,
    folder: &Path,
    cores: Cores,
    run: u64,
    sales: u64,
) -> Result<Outcome> {
    let (branch_box, seq) = sold(centre, folder, run, sales).await?;
    let device = branch_box.stream().device;
    let mut owner = centre.owner().await?;
    let began = std::time::Instant::now();
    let mut agent = branch_box.start(cores.branch, &centre.keeper)?;
    arrived(&mut owner, &device, seq / 3).await.with_context(|| branch_box.log_tail())?;
    agent.kill();
    let mut agent = branch_box.start(cores.branch, &centre.keeper)?;
    arrived(&mut owner, &device, 2 * seq / 3).await.with_context(|| branch_box.log_tail())?;
    drop(owner);
    centre.gateway.kill();
    centre.gateway.start().await?;
    let mut owner = centre.owner().await?;
    arrived(&mut owner, &device, seq).await.with_context(|| branch_box.log_tail())?;
    let took = began.elapsed();
    agent.stop().await;
    let (rows, facts): (i64, i64) = sqlx::query_as(
        "SELECT count(*), count(DISTINCT fact_id) FROM ingest.fact JOIN ingest.stream USING (tenant_id, stream_id)
         WHERE device_id = $1 AND lane = 'ledger' AND seq <= $2",
    )
    .bind(device.as_str())
    .bind(i64::try_from(seq)?)
    .fetch_one(&mut owner)
    .await?;
    let (rows, facts) = (u64::try_from(rows)?, u64::try_from(facts)?);
    fs::remove_dir_all(&branch_box.folder)?;
    Ok(Outcome {
        rate: per_second(seq, took),
        told: seq,
        lost: seq.saturating_sub(facts),
        doubled: rows - facts,
    })
}

async fn sold(centre: &RealCentre, folder: &Path, run: u64, sales: u64) -> Result<(BranchBox, u64)> {
    let branch_box = centre.enrol(&folder.join("queues-box"), BRANCH).await?;
    let backlog = Backlog::write(&branch_box.folder, branch_box.stream(), run, sales).await?;
    let seq = backlog.head().seq;
    backlog.close().await;
    Ok((branch_box, seq))
}

async fn arrived(owner: &mut PgConnection, device: &DeviceId, seq: u64) -> Result<()> {
    let owner = tokio::sync::Mutex::new(owner);
    let looked = until("facts at the centre", ARRIVED_WITHIN, || async {
        let mut owner = owner.lock().await;
        let reached = committed(&mut owner, device).await.map_err(|error| error.to_string())?;
        if reached >= seq { Ok(()) } else { Err(format!("{reached} of {seq}")) }
    });
    Ok(looked.await?)
}
