//! What the machine writes to its disk while two people sell is recorded, and cut off at thousands of points: what a cut leaves is
//! recovered and opened without a start, and compared with what had been told by then.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use pestle_domain::ids::ActId;
use tempfile::TempDir;

use super::{
    QemuRig,
    left::{self, Workplace},
    replay::{Blocks, Replay},
    write_log::{WriteLog, entries_flushed},
};
use crate::{
    counter::Receipt,
    power_cuts::{
        account::{Account, Paid},
        provisioned,
        till::Till,
    },
    processes::build_folder,
    rig::{Rig as _, settings::Machine, site::TILLS},
    seeded::Seeded,
};

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
    /// Sales that had to be there, over all points.
    pub sales_found: usize,
    /// What the check said of a disk that had forgotten everything.
    pub forgetful_disk: String,
    /// For the recording.
    pub recorded_in: Duration,
    /// For the points.
    pub replayed_in: Duration,
}

/// A sale that was told when so many entries of the log were safe.
#[derive(Debug, Clone)]
struct Told {
    paid: Paid,
    receipt: Receipt,
    entries: usize,
}

/// A machine's writes.
struct Recording {
    log: WriteLog,
    /// The data partition before the first of them, and where it lies.
    before: Blocks,
    from: u64,
    to: u64,
    told: Vec<Told>,
    /// Sent, and not answered when the power went.
    in_flight: Vec<ActId>,
    _place: TempDir,
}

/// Records, and looks at all points.
///
/// # Errors
/// The first point that is wrong, with the seed, the point, and where it is kept.
pub async fn run(machine: Machine, plan: Plan) -> Result<DiskReport> {
    let begun = Instant::now();
    let recording = record(machine, plan).await?;
    let recorded_in = begun.elapsed();
    let begun = Instant::now();
    let mut points: Vec<(usize, usize)> =
        (0..plan.points).map(|number| (point(&recording, plan.seed, number), number)).collect();
    points.sort_unstable();
    // The journal blocks, which no task of the runtime may.
    let (forgetful_disk, seen) = std::thread::scope(|scope| {
        let forgetful = scope.spawn(|| sees_what_is_lost(&recording));
        let each = points.len().div_ceil(WORKERS).max(1);
        let workers: Vec<_> =
            points.chunks(each).map(|points| scope.spawn(|| look(&recording, points, plan))).collect();
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
        sales: recording.told.len(),
        points: points.len(),
        unsafe_points: seen.iter().map(|seen| seen.unsafe_points).sum(),
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

async fn record(machine: Machine, plan: Plan) -> Result<Recording> {
    let mut rig = QemuRig::new(machine).await?;
    let place = tempfile::Builder::new().prefix("pestle-writes-").tempdir()?;
    let path = place.path().join("writes.log");
    fs::write(&path, b"")?;
    let part = left::data_partition(&rig.disk())?;
    let before = left::read(&rig.disk(), &part)?;
    rig.write_log = Some(path.clone());
    rig.power_on().await?;
    let mut tills = Vec::new();
    for (number, name) in TILLS.into_iter().enumerate() {
        let own = Seeded::of_all(&[plan.seed, number as u64, 1]);
        let mut till = Till::new(name, rig.counter(name)?, provisioned::articles()?, own);
        till.come_back(rig.counter(name)?, &mut Account::default(), None).await?;
        tills.push(till);
    }
    let [first, second] = tills.as_mut_slice() else { return Err(anyhow!("there are two tills")) };
    let (one, two) = tokio::join!(sell(first, plan.sales, &path), sell(second, plan.sales, &path));
    let told = [one?, two?].concat();
    // In the middle of printing, and of whatever else goes on.
    rig.power_off();
    let in_flight = tills.iter().filter_map(|till| till.in_flight.as_ref()).map(|paid| paid.act).collect();
    let log = WriteLog::parse(fs::read(&path)?)?;
    Ok(Recording { log, before, from: part.start, to: part.end, told, in_flight, _place: place })
}

/// Sells, and notes for each sale how far the log was when the answer came.
async fn sell(till: &mut Till, sales: usize, log: &Path) -> Result<Vec<Told>> {
    let mut told = Vec::new();
    while told.len() < sales {
        till.one_sale().await?;
        let entries = entries_flushed(log)?;
        told.extend(till.take_told().into_iter().map(|(paid, receipt)| Told { paid, receipt, entries }));
    }
    Ok(told)
}

#[derive(Debug, Default)]
struct Seen {
    unsafe_points: usize,
    sales_found: usize,
}

/// Looks at points, which are in order.
fn look(recording: &Recording, points: &[(usize, usize)], plan: Plan) -> Result<Seen> {
    let place = Workplace::new(recording.to - recording.from)?;
    let mut replay = Replay::new(&recording.log, recording.before.clone(), recording.from, recording.to);
    let mut seen = Seen::default();
    for (entries, number) in points {
        replay.advance(*entries);
        let left = replay.cut(&mut Seeded::of_all(&[plan.seed, *number as u64, 2]));
        let (account, unheard) = by_then(recording, *entries)?;
        seen.unsafe_points += usize::from(replay.waiting() > 0);
        seen.sales_found += account.len();
        place.check(&left, &account, &unheard).map_err(|error| {
            let kept = keep(&place, plan.seed, *number);
            anyhow!(
                "seed {}, point {number}, after {entries} writes and flushes, {} of them not safe: {error:#}\nwhat was left is kept: {kept}",
                plan.seed,
                replay.waiting()
            )
        })?;
    }
    Ok(seen)
}

/// What had been told after so many entries, and what may be there beside that.
fn by_then(recording: &Recording, entries: usize) -> Result<(Account, Vec<ActId>)> {
    let mut account = Account::default();
    let mut unheard = recording.in_flight.clone();
    for told in &recording.told {
        if told.entries <= entries {
            account.sold(&told.paid, &told.receipt).map_err(anyhow::Error::msg)?;
        } else {
            unheard.push(told.paid.act);
        }
    }
    Ok((account, unheard))
}

fn keep(place: &Workplace, seed: u64, number: usize) -> String {
    let folder: PathBuf = build_folder().join("power-cuts").join(format!("writes-{seed}-{number}"));
    place.keep(&folder).map_or_else(|error| format!("{error:#}"), |()| folder.display().to_string())
}

/// The check itself is tried: a disk that forgets all that it was told to keep must not pass.
fn sees_what_is_lost(recording: &Recording) -> Result<String> {
    let place = Workplace::new(recording.to - recording.from)?;
    let (account, unheard) = by_then(recording, recording.log.entries.len())?;
    ensure!(!account.is_empty(), "nothing was sold");
    let seen = place.check(&recording.before, &account, &unheard);
    seen.err()
        .map(|error| format!("{error:#}"))
        .context("all that was sold was taken away, and the check did not see it")
}
