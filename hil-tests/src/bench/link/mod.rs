//! The link alone: the facts of a backlog a second, from a real agent over a Mosquitto to a far end that signs
//! acknowledgements and stores nothing ([`sink`]). Against rumqttc by itself, which publishes the very batches at QoS 1 to
//! the same broker over the same TLS ([`publish`]), with nobody subscribed. The agent, and rumqttc, on one core; Mosquitto and
//! the far end on the other.
//!
//! Both clocks end with the broker's or the far end's word for the last batch. rumqttc's begins before its connection, the
//! agent's when its TCP connection stands.

pub mod far_end;
pub mod publish;
pub mod sink;

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    backlog::Backlog,
    branch_box::BranchBox,
    feed::keep_batches,
    helper::Helper,
    place::Cores,
    real_centre::start_linked,
    report::{Reach, Row},
    sample,
    stats::{Scale, per_second},
};
use far_end::FarEnd;

/// Sales that wait: 200,000 facts.
const SALES: u64 = 50_000;
/// Runs of sample sales that no other figure uses begin here.
const RUNS: u64 = 100;

/// Measures in `folder`.
///
/// # Errors
/// When a program does not start, or a batch does not arrive.
pub async fn measure(folder: &Path, cores: Cores, scale: Scale) -> Result<Row> {
    let boxes: Vec<_> = (0..scale.rounds).map(|round| folder.join(format!("link-box-{round}"))).collect();
    let (far_end, boxes) = FarEnd::start(&folder.join("link"), cores, &boxes).await?;
    let (mut raw, ()) = Helper::start(["publish"], None, cores.branch).await?;
    let mut rounds = Vec::new();
    let mut batches = Vec::new();
    for (run, branch_box) in (RUNS..).zip(&boxes) {
        let backlog = Backlog::write(&branch_box.folder, branch_box.stream(), run, scale.of(SALES)).await?;
        let (seq, made) = (backlog.head().seq, backlog.batches(&branch_box.identity.signing).await?);
        backlog.close().await;
        let kept = folder.join("link-batches");
        keep_batches(&kept, &made)?;
        batches.push(made.len());
        drop(made);
        let job =
            publish::Job { broker: far_end.boxes(), data_dir: branch_box.folder.clone(), batches: kept };
        // They take turns at being first.
        let (ours, plain) = if run.is_multiple_of(2) {
            let ours = drain(&far_end, branch_box, cores, seq).await?;
            (ours, raw.ask::<f64>(&job).await?)
        } else {
            let plain = raw.ask::<f64>(&job).await?;
            (drain(&far_end, branch_box, cores, seq).await?, plain)
        };
        rounds.push((per_second(seq, ours), per_second(seq, Duration::from_secs_f64(plain))));
        fs::remove_dir_all(&branch_box.folder)?;
    }
    drop(raw);
    far_end.end().await?;
    let name = "link alone: backlog to a far end that only signs";
    Ok(Row::against(name, "facts/s", "rumqttc QoS 1", &rounds, Reach::AtLeast(0.5)).noting(format!(
        "{} facts a round in {} batches, a new box each, over a Mosquitto with mutual TLS; agent and rumqttc on core {}, \
         Mosquitto and the far end on core {}",
        scale.of(SALES) * sample::FACTS_PER_SALE,
        batches.first().copied().unwrap_or_default(),
        cores.branch,
        cores.centre
    )))
}

/// From the agent's TCP connection to the far end's answer to the last fact.
async fn drain(far_end: &FarEnd, branch_box: &BranchBox, cores: Cores, seq: u64) -> Result<Duration> {
    let mut sink = far_end.sink().await?;
    let (mut agent, _) =
        start_linked(branch_box, cores.branch, &far_end.keeper, far_end.boxes().port()).await?;
    let began = Instant::now();
    sink.answered(&branch_box.stream().device, seq).await.with_context(|| branch_box.log_tail())?;
    let took = began.elapsed();
    agent.stop().await;
    Ok(took)
}
