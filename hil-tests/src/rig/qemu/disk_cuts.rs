//! What the machine writes to its disk while two people sell is recorded, and cut off at thousands of points: what a cut leaves is
//! recovered and opened without a start, and compared with what had been told by then.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};

use super::{
    left::{Recovery, Workplace},
    recording::Recording,
    replay::Replay,
};
use crate::{processes::build_folder, rig::settings::Machine, seeded::Seeded};

/// Points are looked at side by side: one waits for the kernel while the other computes.
const WORKERS: usize = 2;

/// What is recorded, and how often it is cut.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Sales of each till.
    pub sales: usize,
    /// Cuts.
    pub points: usize,
    /// Where chance begins.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug)]
pub struct DiskReport {
    /// Entries of the log, and flushes among them.
    pub entries: usize,
    /// Of them flushes.
    pub flushes: usize,
    /// Sales that were told.
    pub sales: usize,
    /// Points that were looked at.
    pub points: usize,
    /// Of them those with writes that were not safe.
    pub unsafe_points: usize,
    /// Of them those in which the first superblock was torn.
    pub other_superblocks: usize,
    /// Sales that had to be there, over all points.
    pub sales_found: usize,
    /// What the check said of a disk that had forgotten everything.
    pub forgetful_disk: String,
    /// For the recording.
    pub recorded_in: Duration,
    /// For the points.
    pub replayed_in: Duration,
}

/// Records, and looks at all points.
///
/// # Errors
/// The first point that is wrong, with the seed, the point, and where it and the recording are kept.
pub async fn run(machine: Machine, plan: Plan) -> Result<DiskReport> {
    let begun = Instant::now();
    let recording = Recording::make(machine, plan).await?;
    let recorded_in = begun.elapsed();
    let recording = Arc::new(recording);
    look_at_all(recording.clone(), plan, recorded_in).await.map_err(|error| {
        let folder = kept_in().join(format!("recording-{}", plan.seed));
        let kept = recording.save(&folder);
        let kept = kept.map_or_else(|error| format!("{error:#}"), |()| folder.display().to_string());
        anyhow!(
            "{error:#}\nagain: pestle-rig disk-cuts --recording {kept} --seed {} --points {}",
            plan.seed,
            plan.points
        )
    })
}

/// As [`run`], with a recording that was kept.
///
/// # Errors
/// As there; what is there is no recording.
pub async fn run_again(folder: &Path, plan: Plan) -> Result<DiskReport> {
    look_at_all(Arc::new(Recording::load(folder)?), plan, Duration::ZERO).await
}

/// Has the threads end between two points when nobody waits for them any more: a disk stays mounted else.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The journal blocks, which no task of the runtime may.
async fn look_at_all(recording: Arc<Recording>, plan: Plan, recorded_in: Duration) -> Result<DiskReport> {
    let stop = Stop(Arc::default());
    let stopped = stop.0.clone();
    let looking = move || look_at_points(&recording, plan, recorded_in, &stopped);
    tokio::task::spawn_blocking(looking).await.map_err(|_| anyhow!("a check panicked"))?
}

fn look_at_points(
    recording: &Recording,
    plan: Plan,
    recorded_in: Duration,
    stopped: &AtomicBool,
) -> Result<DiskReport> {
    let begun = Instant::now();
    let mut points: Vec<(usize, usize)> =
        (0..plan.points).map(|number| (point(recording, plan.seed, number), number)).collect();
    points.sort_unstable();
    let (forgetful_disk, seen) = std::thread::scope(|scope| {
        let forgetful = scope.spawn(|| sees_what_is_lost(recording));
        let each = points.len().div_ceil(WORKERS).max(1);
        let workers: Vec<_> = points
            .chunks(each)
            .map(|points| scope.spawn(|| look(recording, points, plan, stopped)))
            .collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Result<Seen>>| {
            worker.join().map_err(|_| anyhow!("a check panicked"))?
        };
        let forgetful = forgetful.join().map_err(|_| anyhow!("a check panicked"))??;
        Ok::<_, anyhow::Error>((forgetful, workers.into_iter().map(join).collect::<Result<Vec<_>>>()?))
    })?;
    let entries = &recording.log.entries;
    Ok(DiskReport {
        entries: entries.len(),
        flushes: entries.iter().filter(|entry| entry.flush).count(),
        sales: recording.sales(),
        points: points.len(),
        unsafe_points: seen.iter().map(|seen| seen.unsafe_points).sum(),
        other_superblocks: seen.iter().map(|seen| seen.other_superblocks).sum(),
        sales_found: seen.iter().map(|seen| seen.sales_found).sum(),
        forgetful_disk,
        recorded_in,
        replayed_in: begun.elapsed(),
    })
}

/// After how many entries the power goes.
fn point(recording: &Recording, seed: u64, number: usize) -> usize {
    Seeded::of_all(&[seed, number as u64, 0]).index(recording.log.entries.len() + 1)
}

#[derive(Debug, Default)]
struct Seen {
    unsafe_points: usize,
    other_superblocks: usize,
    sales_found: usize,
}

/// Looks at points, which are in order.
fn look(recording: &Recording, points: &[(usize, usize)], plan: Plan, stopped: &AtomicBool) -> Result<Seen> {
    let place = Workplace::new(recording.part().end - recording.part().start)?;
    let mut replay = Replay::new(&recording.log, recording.before.clone(), recording.part().clone());
    let mut seen = Seen::default();
    for (entries, number) in points {
        ensure!(!stopped.load(Ordering::Relaxed), "told to end");
        replay.advance(*entries);
        let left = replay.cut(&mut Seeded::of_all(&[plan.seed, *number as u64, 2]));
        let (account, unheard) = recording.by_then(*entries)?;
        seen.unsafe_points += usize::from(replay.waiting() > 0);
        seen.sales_found += account.len();
        let recovery = place.check(&left, &account, &unheard).map_err(|error| {
            let kept = keep(&place, plan.seed, *number);
            anyhow!(
                "seed {}, point {number}, after {entries} writes and flushes, {} of them not safe: {error:#}\nwhat was left is kept: {kept}",
                plan.seed,
                replay.waiting()
            )
        })?;
        seen.other_superblocks += usize::from(recovery == Recovery::OtherSuperblock);
    }
    Ok(seen)
}

fn kept_in() -> PathBuf {
    build_folder().join("power-cuts")
}

fn keep(place: &Workplace, seed: u64, number: usize) -> String {
    let folder = kept_in().join(format!("writes-{seed}-{number}"));
    place.keep(&folder).map_or_else(|error| format!("{error:#}"), |()| folder.display().to_string())
}

/// The check itself is tried: a disk that lies about the flushes behind the last sale but one, and loses what came after, must not pass.
fn sees_what_is_lost(recording: &Recording) -> Result<String> {
    let place = Workplace::new(recording.part().end - recording.part().start)?;
    let (account, unheard) = recording.by_then(recording.log.entries.len())?;
    ensure!(!account.is_empty(), "nothing was sold");
    let mut replay = Replay::new(&recording.log, recording.before.clone(), recording.part().clone());
    replay.advance(recording.last_sale_but_one().context("one sale is too few to try the check")?);
    let seen = place.check(&replay.safe, &account, &unheard);
    seen.err()
        .map(|error| format!("{error:#}"))
        .context("the last sale was taken away, and the check did not see it")
}
