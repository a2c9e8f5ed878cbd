//! A sale's durable commit, one till: from the call to the answer, against an append and `fdatasync` of the same
//! bytes to a plain file on the same disk. They take turns act by act, and take turns at being first, so that all
//! meet the same disk in the same mood.
//!
//! A file that grows makes each `fdatasync` write its size too, which on a journalling file system costs a commit of
//! the file system's own; the store writes into room that it has already. So the same append is measured a second time
//! into a file whose room was written before, and told beside it: the harder comparison.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::Path,
    time::Instant,
};

use anyhow::{Context as _, Result};
use pestle_agent::journal::{Journal, Limits, NewAct, Settings};
use pestle_domain::fact::Act;

use super::{
    report::{Reach, Row, short},
    sample::{self, Sales},
    stats::{Scale, quantile, sorted},
};

/// Commits a round: enough for a p99 that is more than one outlier.
const COMMITS: u64 = 600;
/// Not counted: the first commits of a store pay for its growth.
const WARM_UP: u64 = 100;
/// A sale's lines are about 2 KiB; room for twice that is enough for each.
const ACT_BYTES_MAX: u64 = 4 * 1024;

/// Times of one round in microseconds, sorted.
#[derive(Debug)]
pub struct Round {
    /// The journal.
    pub ours: Vec<f64>,
    /// The plain file.
    pub plain: Vec<f64>,
    /// The plain file that had its room already.
    pub roomy: Vec<f64>,
}

/// Measures in `folder`, which must lie on a real disk. Judged against a file that grows, as any program's first journal
/// does; how it stands against one that does not is told beside it.
///
/// # Errors
/// When the disk refuses.
pub fn measure(folder: &Path, scale: Scale) -> Result<Vec<Row>> {
    let mut rounds = Vec::with_capacity(scale.rounds);
    for _ in 0..scale.rounds {
        rounds.push(one_round(folder, scale)?);
    }
    let row = |name: &str, at: f64, most: f64| {
        let against = |baseline: fn(&Round) -> &[f64]| {
            let of = |round: &Round| (quantile(&round.ours, at), quantile(baseline(round), at));
            let rounds: Vec<_> = rounds.iter().map(of).collect();
            Row::against(name, "µs", "append + fdatasync", &rounds, Reach::AtMost(most))
        };
        let roomy = against(|round| &round.roomy);
        let [low, high] = roomy.ratio_spread.unwrap_or_default();
        against(|round| &round.plain).noting(format!(
            "against a file that has its room already: {} µs, {} × [{}–{}]",
            short(roomy.baseline.unwrap_or_default()),
            short(roomy.ratio.unwrap_or_default()),
            short(low),
            short(high)
        ))
    };
    Ok(vec![
        row("durable commit of a sale, one till, p50", 0.5, 1.9)
            .noting(format!("{} commits a round", scale.of(COMMITS))),
        row("durable commit of a sale, one till, p99", 0.99, 2.5),
    ])
}

/// One round in a new journal, which is removed afterwards.
///
/// # Errors
/// When the disk refuses.
pub fn one_round(folder: &Path, scale: Scale) -> Result<Round> {
    let folder = folder.join("commit");
    super::place::make_anew(&folder)?;
    let settings =
        Settings { folder: folder.join("journal"), stream: sample::stream(0), limits: Limits::default() };
    let (journal, _) = Journal::open(settings, &sample::stamp(0)).context("open the journal")?;
    let (warm_up, commits) = (scale.of(WARM_UP), scale.of(COMMITS));
    let mut plain = OpenOptions::new().create(true).append(true).open(folder.join("plain"))?;
    let mut roomy = Roomy::create(&folder.join("roomy"), warm_up + commits)?;
    let mut times: [Vec<f64>; 3] = Default::default();
    for index in 1..=warm_up + commits {
        let act = Sales::of(0).sale(index);
        let bytes = lines(&act)?;
        let mut act = Some(act);
        for turn in 0..3 {
            let whose = usize::try_from((index + turn) % 3)?;
            let took = match whose {
                0 => {
                    let act = act.take().context("an act is committed once")?;
                    timed(|| Ok(journal.append_blocking(NewAct::from(act)).map(drop)?))?
                }
                1 => timed(|| append(&mut plain, &bytes))?,
                _ => timed(|| roomy.write(&bytes))?,
            };
            if index > warm_up {
                times[whose].push(took);
            }
        }
    }
    let [ours, plain_times, roomy_times] = times.map(sorted);
    journal.close_blocking();
    drop(journal);
    fs::remove_dir_all(&folder)?;
    Ok(Round { ours, plain: plain_times, roomy: roomy_times })
}

/// A file whose bytes were all written before, so that a write changes nothing but data.
struct Roomy {
    file: File,
    end: u64,
}

impl Roomy {
    fn create(path: &Path, acts: u64) -> Result<Self> {
        let mut file = OpenOptions::new().create_new(true).write(true).open(path)?;
        let room = vec![0; usize::try_from(acts * ACT_BYTES_MAX)?];
        file.write_all(&room)?;
        file.sync_all()?;
        Ok(Self { file, end: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, self.end)?;
        self.file.sync_data()?;
        self.end += bytes.len() as u64;
        Ok(())
    }
}

fn lines(act: &Act) -> Result<Vec<u8>> {
    let lines = act.facts.iter().map(|fact| fact.to_line()).collect::<Result<Vec<_>, _>>()?;
    Ok(lines.concat())
}

fn append(file: &mut File, bytes: &[u8]) -> Result<()> {
    file.write_all(bytes)?;
    file.sync_data()?;
    Ok(())
}

/// Microseconds that `work` takes.
#[allow(clippy::float_arithmetic, reason = "a time in microseconds")]
fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed().as_secs_f64() * 1e6)
}
