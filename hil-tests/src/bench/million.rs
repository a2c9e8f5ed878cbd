//! A million facts that wait in a box while the centre is away: how long its agent takes to start with them and how much memory,
//! beside one with an empty journal; then the centre comes back, and how fast they drain, beside ingest alone on its core with the very
//! batches. The memory's bound holds for every agent that had them.
//!
//! The backlog is written by the journal alone, faster than any branch sells. So the agent runs once before what is measured, as
//! it did in a branch that sold all this: it folds the facts and writes a checkpoint.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    backlog::Backlog,
    branch_box::BranchBox,
    helper::Helper,
    memory,
    place::Cores,
    real_centre::RealCentre,
    relay::keep_job,
    report::{Reach, Row, short},
    sample,
    stats::{Scale, Spread, per_second},
};
use crate::{processes::Keeper, waiting::until};

/// Sales that wait: 1,000,000 facts.
const SALES: u64 = 250_000;
/// A round takes some minutes.
const ROUNDS: usize = 3;
/// Starts of either box in a round.
const STARTS: usize = 5;
/// Runs of sample sales that no other figure uses begin here.
const RUNS: u64 = 300;
/// Most resident memory, in MiB.
const MEMORY_MIB_MAX: f64 = 96.0;
/// Longest that a start with a million facts may take more than one without, in seconds.
const START_MORE_S: f64 = 1.0;
/// A checkpoint is written some seconds after the start.
const CHECKPOINT_WITHIN: Duration = Duration::from_secs(120);

/// Measures in `folder`.
///
/// # Errors
/// When a program does not start, or a fact does not arrive.
pub async fn measure(folder: &Path, cores: Cores, scale: Scale) -> Result<Vec<Row>> {
    let mut centre = RealCentre::start(&folder.join("million"), cores).await?;
    let feeding = folder.join("million-alone");
    let arguments = ["feed".as_ref(), feeding.as_os_str()];
    let (mut alone, ()) = Helper::start(arguments, Some(&feeding), cores.centre).await?;
    let (mut drains, mut starts, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    let mut peaks = Peaks::default();
    for run in (RUNS..).take(scale.rounds.min(ROUNDS)) {
        let full = centre.enrol(&folder.join("million-box"), "north").await?;
        let empty = centre.enrol(&folder.join("million-empty"), "south").await?;
        let backlog = Backlog::write(&full.folder, full.stream(), run, scale.of(SALES)).await?;
        let (job, _) = keep_job(folder, &full, &backlog).await?;
        backlog.close().await;
        centre.gateway.stop().await;
        peaks.folding.push(settle(&full, cores, &centre.keeper, true).await?);
        settle(&empty, cores, &centre.keeper, false).await?;
        for _ in 0..STARTS.min(scale.rounds) {
            let with_facts = start(&full, cores, &centre.keeper).await?;
            let without = start(&empty, cores, &centre.keeper).await?;
            starts.push((with_facts.took_s, without.took_s));
            idle.push((with_facts.settled_mib, without.settled_mib));
            peaks.waiting.push(with_facts.peak_mib);
        }
        let alone_s = alone.ask::<f64>(&job).await?;
        centre.gateway.start().await?;
        super::centre::settle(&mut centre.owner().await?).await?;
        let drained = centre.drain(&full, cores.branch, job.head.seq).await?;
        drains.push((
            per_second(job.head.seq, drained.took),
            per_second(job.head.seq, Duration::from_secs_f64(alone_s)),
        ));
        peaks.draining.push(drained.peak_mib);
        fs::remove_dir_all(&full.folder)?;
        fs::remove_dir_all(&empty.folder)?;
        fs::remove_file(&job.batches)?;
    }
    drop(alone);
    centre.end().await?;
    let facts = scale.of(SALES) * sample::FACTS_PER_SALE;
    let column =
        |pick: fn(&(f64, f64)) -> f64| short(Spread::of(&idle.iter().map(pick).collect::<Vec<_>>()).median);
    let rounds = drains.len();
    Ok(vec![
        Row::against("drain of a million facts to committed", "facts/s", "ingest alone", &drains, Reach::AtLeast(0.8))
            .noting(format!(
                "{facts} facts a round, {rounds} rounds; gateway with PostgreSQL on core {}, agent on core {}",
                cores.centre, cores.branch
            )),
        peaks.row().noting(format!(
            "settled, while they only wait: {} MiB; with an empty journal: {} MiB (VmRSS, medians)",
            column(|pair| pair.0),
            column(|pair| pair.1)
        )),
        Row::against(
            "start with a million facts waiting",
            "s",
            "empty journal",
            &starts,
            Reach::AtMostAndMore { factor: 1.0, plus: START_MORE_S },
        )
        .noting("from the process's start to the page's address, with a checkpoint of the books as a box that sold them has"),
    ])
}

/// Most memory of each agent that had the facts, in MiB, from its start until it is asked to stop.
#[derive(Debug, Default)]
struct Peaks {
    /// While it folded all of them, without a checkpoint.
    folding: Vec<f64>,
    /// While they waited.
    waiting: Vec<f64>,
    /// While they drained.
    draining: Vec<f64>,
}

impl Peaks {
    /// Every agent counts, that without a checkpoint too: a box whose checkpoints are damaged starts so, with all that waits.
    fn row(&self) -> Row {
        let all = [&self.folding[..], &self.waiting, &self.draining].concat();
        let most = |peaks: &[f64]| short(Spread::of(peaks).max);
        Row::alone("agent's memory, a million facts waiting and draining", "MiB", &all, MEMORY_MIB_MAX).noting(format!(
            "VmHWM of each agent from its start to its stop; judged is the largest of all {}. The largest of {} that fold a million \
             without a checkpoint (as after damage): {}; of {} with them waiting: {}; of {} that drain them: {}",
            all.len(),
            self.folding.len(),
            most(&self.folding),
            self.waiting.len(),
            most(&self.waiting),
            self.draining.len(),
            most(&self.draining),
        ))
    }
}

/// Runs a box's agent once, until it has written a checkpoint, where it has anything to write. Hands back its peak in MiB.
async fn settle(branch_box: &BranchBox, cores: Cores, keeper: &Keeper, sold: bool) -> Result<f64> {
    let mut agent = branch_box.start(cores.branch, keeper)?;
    branch_box.ready(&mut agent).await.with_context(|| branch_box.log_tail())?;
    if sold {
        until("a checkpoint of the books", CHECKPOINT_WITHIN, || {
            let found = has_checkpoint(&branch_box.folder).map_err(|error| error.to_string());
            std::future::ready(found.and_then(|found| found.then_some(()).ok_or_else(|| "none".to_owned())))
        })
        .await?;
    }
    let peak_mib = memory::peak_mib(agent.id())?;
    agent.stop().await;
    Ok(peak_mib)
}

fn has_checkpoint(folder: &Path) -> std::io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            has_checkpoint(&path)?
        } else {
            path.extension().is_some_and(|extension| extension == "checkpoint")
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A start.
struct Started {
    /// Until the agent answers.
    took_s: f64,
    /// That it has once it grows no more.
    settled_mib: f64,
    /// That it ever had.
    peak_mib: f64,
}

async fn start(branch_box: &BranchBox, cores: Cores, keeper: &Keeper) -> Result<Started> {
    // The last start's word must not be taken for this one's.
    let _ = fs::remove_file(branch_box.folder.join("run/addresses.json"));
    let began = Instant::now();
    let mut agent = branch_box.start(cores.branch, keeper)?;
    branch_box.ready(&mut agent).await.with_context(|| branch_box.log_tail())?;
    let took_s = began.elapsed().as_secs_f64();
    let settled_mib = memory::settled_mib(agent.id()).await?;
    let peak_mib = memory::peak_mib(agent.id())?;
    agent.stop().await;
    Ok(Started { took_s, settled_mib, peak_mib })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_every_agent_that_had_the_facts_is_judged() {
        let within = || Peaks { folding: vec![90.0], waiting: vec![80.0, 81.0], draining: vec![96.0] };
        assert!(within().row().ok);
        for above in [
            Peaks { folding: vec![96.1], ..within() },
            Peaks { waiting: vec![80.0, 96.1], ..within() },
            Peaks { draining: vec![96.1], ..within() },
        ] {
            assert!(!above.row().ok, "{above:?}");
        }
    }
}
