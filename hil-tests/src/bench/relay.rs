//! A backlog of 200,000 facts (50,000 sales) from a real agent on one core to "committed" at a real gateway with its
//! PostgreSQL on the other. Against ingest alone on that core, fed with the very batches.
//!
//! The clock of the relay starts when the agent's TCP connection to the broker stands, so that TLS, MQTT and the
//! statement of heads count and the folding of the journal at start-up does not; it stops when the centre's own row
//! of the stream says that the last fact is committed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;

use super::{
    backlog::Backlog,
    branch_box::BranchBox,
    feed::{Job, keep_batches},
    helper::Helper,
    place::Cores,
    real_centre::RealCentre,
    report::{Reach, Row, short},
    sample,
    stats::{Scale, Spread, per_second},
};

/// Sales that wait: 200,000 facts.
const SALES: u64 = 50_000;
/// The branch, one of the demo's: only its name counts here.
const BRANCH: &str = "north";

/// Measures in `folder`.
///
/// # Errors
/// When a program does not start, or a fact does not arrive.
pub async fn measure(folder: &Path, cores: Cores, scale: Scale) -> Result<Row> {
    let centre = RealCentre::start(&folder.join("relay"), cores).await?;
    let feeding = folder.join("relay-alone");
    let arguments = ["feed".as_ref(), feeding.as_os_str()];
    let (mut alone, ()) = Helper::start(arguments, Some(&feeding), cores.centre).await?;
    let (mut rounds, mut starts, mut batches) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=scale.rounds as u64 {
        let round = one_round(&centre, &mut alone, folder, cores, run, scale).await?;
        rounds.push((round.relay, round.alone));
        starts.push(round.start_s);
        batches.push(round.batches);
    }
    drop(alone);
    centre.end().await?;
    let name = "relay: backlog to committed at the centre";
    Ok(Row::against(name, "facts/s", "ingest alone", &rounds, Reach::AtLeast(0.7))
        .noting(format!(
            "{} facts a round and a new box each; gateway with PostgreSQL on core {}, agent on core {}",
            scale.of(SALES) * sample::FACTS_PER_SALE,
            cores.centre,
            cores.branch
        ))
        .noting(format!(
            "from the agent's TCP connection on; before it, its start with that backlog took {} s",
            short(Spread::of(&starts).median)
        ))
        .noting(format!(
            "batches, by the relay and to ingest alone: {}",
            batches.iter().map(|(sent, fed)| format!("{sent}/{fed}")).collect::<Vec<_>>().join(", ")
        )))
}

struct Round {
    relay: f64,
    alone: f64,
    start_s: f64,
    /// Sent by the relay, those that it sent again included; fed to ingest alone.
    batches: (u64, usize),
}

async fn one_round(
    centre: &RealCentre,
    alone: &mut Helper,
    folder: &Path,
    cores: Cores,
    run: u64,
    scale: Scale,
) -> Result<Round> {
    let branch_box = centre.enrol(&folder.join("relay-box"), BRANCH).await?;
    let backlog = Backlog::write(&branch_box.folder, branch_box.stream(), run, scale.of(SALES)).await?;
    let (job, fed) = keep_job(folder, &branch_box, &backlog).await?;
    backlog.close().await;
    let seq = job.head.seq;
    // They take turns at being first.
    let (drained, alone_s) = if run.is_multiple_of(2) {
        let drained = centre.drain(&branch_box, cores.branch, seq).await?;
        (drained, alone.ask::<f64>(&job).await?)
    } else {
        let alone_s = alone.ask::<f64>(&job).await?;
        (centre.drain(&branch_box, cores.branch, seq).await?, alone_s)
    };
    fs::remove_dir_all(&branch_box.folder)?;
    Ok(Round {
        relay: per_second(seq, drained.took),
        alone: per_second(seq, Duration::from_secs_f64(alone_s)),
        start_s: drained.start.as_secs_f64(),
        batches: (drained.batches, fed),
    })
}

/// What ingest alone is to be fed with: the batches of that backlog, in a file; and how many.
pub(super) async fn keep_job(
    folder: &Path,
    branch_box: &BranchBox,
    backlog: &Backlog,
) -> Result<(Job, usize)> {
    let signing = &branch_box.identity.signing;
    let path: PathBuf = folder.join("relay-batches");
    let batches = backlog.batches(signing).await?;
    keep_batches(&path, &batches)?;
    let (stream, key) = (branch_box.stream(), signing.public().clone());
    Ok((Job { stream, key, head: backlog.head(), batches: path }, batches.len()))
}
