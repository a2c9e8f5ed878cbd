//! Many cuts, all from one seed: recordings are made, cut at random moments, and judged, on all cores at once.

use std::{
    collections::BTreeMap,
    fs, io,
    panic::catch_unwind,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use super::{
    history::History,
    judge::{Wrong, judge},
    kept::KeptCut,
    record::{FOLDER, Recording},
    script::Script,
};
use crate::disk::{model::Model, mount, plain::Plain};
use crate::{seeded::Seeded, simulation::words};

/// Cuts that are made from one recording and the recoveries after it: enough to spread what a recording costs, few
/// enough that a run of 1,000 plays each script.
const CUTS_EACH: usize = 100;
/// How often the power goes again while the journal recovers.
const RECOVERIES: usize = 2;
/// What is kept of the failures at most: one is looked at, thousands fill a disk.
const KEPT_MAX: usize = 5;

/// What came of a campaign.
#[derive(Debug, Default)]
pub struct Report {
    /// Cuts by script.
    pub cuts: BTreeMap<Script, usize>,
    /// Acts that had been told, summed over all cuts.
    pub told: u64,
    /// What went wrong, with the command that makes the cut again.
    pub wrong: Vec<(Wrong, String)>,
    /// How long it took.
    pub took: Duration,
}

impl Report {
    /// All cuts.
    pub fn total(&self) -> usize {
        self.cuts.values().sum()
    }

    /// How many are wrong in a way.
    pub fn count(&self, is: impl Fn(&Wrong) -> bool) -> usize {
        self.wrong.iter().filter(|(wrong, _)| is(wrong)).count()
    }
}

/// A folder in memory, where the machine has one: thousands of stores are made there, and nothing of them has to last.
///
/// # Errors
/// There is no room.
pub fn place() -> io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
}

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many cuts.
    pub cuts: usize,
    /// Where chance begins.
    pub seed: u64,
    /// What is recorded, in turns.
    pub scripts: Vec<Script>,
    /// Whether cuts that fail are kept in files. Those of a proof of the harness are not.
    pub keep: bool,
}

impl Plan {
    /// Cuts of every script.
    pub fn new(cuts: usize, seed: u64) -> Self {
        Self { cuts, seed, scripts: Script::FROM_NOTHING.to_vec(), keep: true }
    }
}

/// Does what `plan` says. `change` is done to each recording first: nothing, or what a proof of the harness forgets.
///
/// # Errors
/// No disk can be mounted, or the journal does not work even with power.
pub fn run(plan: &Plan, change: &(impl Fn(Recording) -> Recording + Sync)) -> Result<Report> {
    mount::sweep()?;
    let begun = Instant::now();
    let place = place().context("no room for the states")?;
    let shares = split(plan.cuts);
    let next = AtomicUsize::new(0);
    let report = Mutex::new(Report::default());
    let work = |worker: usize| -> Result<()> {
        loop {
            let index = next.fetch_add(1, Relaxed);
            let Some(cuts) = shares.get(index) else { return Ok(()) };
            let folder = place.path().join(format!("worker-{worker}"));
            let script = plan.scripts[index % plan.scripts.len()];
            let seeded = Seeded::of(plan.seed, index as u64);
            let mut job = Job { seeded, folder, keep: plan.keep, report: &report };
            job.run(script, *cuts, change).with_context(|| format!("{script:?}, seed {}", plan.seed))?;
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|worker| scope.spawn(move || work(worker))).collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?)
    })?;
    let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
    report.took = begun.elapsed();
    Ok(report)
}

/// How many cuts each recording gives.
fn split(cuts: usize) -> Vec<usize> {
    let recordings = cuts.div_ceil(CUTS_EACH).max(1);
    (0..recordings).map(|index| cuts / recordings + usize::from(index < cuts % recordings)).collect()
}

/// A recording, its recoveries, and their cuts.
struct Job<'a> {
    seeded: Seeded,
    folder: std::path::PathBuf,
    keep: bool,
    report: &'a Mutex<Report>,
}

impl Job<'_> {
    fn run(&mut self, script: Script, cuts: usize, change: &impl Fn(Recording) -> Recording) -> Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mount = self.folder.join("disk");
        let recording = Recording::make(script, &mut self.seeded, &mount, Plain::empty(), Vec::new())?;
        let mut recording = change(recording);
        // Half of the cuts hit what was recorded first, the rest the recoveries from such cuts.
        let share = cuts / 2 / RECOVERIES;
        self.cut(&recording, cuts - share * RECOVERIES)?;
        for _ in 0..RECOVERIES {
            let cut = self.seeded.index(recording.trace.len() + 1);
            let seed = self.seeded.next_u64();
            let left = recording.model_at(cut).cut(&mut Seeded::new(seed));
            let told = recording.told_at(cut);
            let next = Recording::make(Script::Recovery, &mut self.seeded, &mount, left, told);
            match next {
                Ok(next) => recording = change(next),
                Err(error) => return self.must_be_wrong(&recording, cut, seed, error),
            }
            self.cut(&recording, share)?;
        }
        Ok(())
    }

    /// The journal did not recover from a cut: that very cut is judged and kept, so that it can be made again. One that is
    /// judged to be well is a fault of whatever recorded it.
    fn must_be_wrong(
        &self,
        recording: &Recording,
        cut: usize,
        seed: u64,
        error: anyhow::Error,
    ) -> Result<()> {
        let judged = make_cut(recording, &recording.model_at(cut), cut, seed, &self.folder.join("state"))?;
        let is_well = judged.is_ok();
        self.note(recording, cut, seed, judged)?;
        if is_well { Err(error) } else { Ok(()) }
    }

    /// Cuts `recording` at `count` moments.
    fn cut(&mut self, recording: &Recording, count: usize) -> Result<()> {
        let mut cuts: Vec<(usize, u64)> = (0..count)
            .map(|_| (self.seeded.index(recording.trace.len() + 1), self.seeded.next_u64()))
            .collect();
        cuts.sort_unstable();
        let mut model = Model::new(recording.initial.clone());
        let mut done = 0;
        for (cut, seed) in cuts {
            recording.trace[done..cut].iter().for_each(|op| model.apply(op));
            done = cut;
            let judged = make_cut(recording, &model, cut, seed, &self.folder.join("state"))?;
            self.note(recording, cut, seed, judged)?;
        }
        Ok(())
    }

    fn note(&self, recording: &Recording, cut: usize, seed: u64, judged: Result<u64, Wrong>) -> Result<()> {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        *report.cuts.entry(recording.script).or_default() += 1;
        match judged {
            Ok(told) => report.told += told,
            Err(wrong) => {
                let again = if self.keep && report.wrong.len() < KEPT_MAX {
                    let kept = KeptCut { recording: recording.clone(), cut, seed };
                    format!("pestle-power-cuts replay {}", kept.write()?.display())
                } else {
                    String::new()
                };
                report.wrong.push((wrong, again));
            }
        }
        Ok(())
    }
}

/// Leaves in `folder` what a cut leaves of `model`, and judges it. Says how many acts had been told.
///
/// # Errors
/// There is no room in `folder`.
pub fn make_cut(
    recording: &Recording,
    model: &Model,
    cut: usize,
    seed: u64,
    folder: &Path,
) -> Result<Result<u64, Wrong>> {
    let history = History::of(&recording.told_at(cut));
    model.cut(&mut Seeded::new(seed)).write(folder)?;
    let folder_of_journal = folder.join(FOLDER);
    let judged = catch_unwind(|| judge(&folder_of_journal, recording.script.limits(), &history))
        .unwrap_or_else(|panic| Err(Wrong::Panicked(words(&*panic).to_owned())));
    fs::remove_dir_all(folder)?;
    Ok(judged.map(|()| history.told.len() as u64))
}
