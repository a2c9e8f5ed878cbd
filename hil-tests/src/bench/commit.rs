//! A sale's durable commit, one till: from the call to the answer, against an append and `fdatasync` of the same
//! bytes to a plain file on the same disk. The two take turns act by act, and take turns at being first, so that both
//! meet the same disk in the same mood.

use std::{
    fs::{self, File, OpenOptions},
    io::Write as _,
    path::Path,
    time::Instant,
};

use anyhow::{Context as _, Result};
use pestle_agent::journal::{Journal, Limits, NewAct, Settings};
use pestle_domain::fact::Act;

use super::{
    report::{Reach, Row, short},
    sample::{self, Sales},
    stats::{Scale, Spread, quantile, sorted},
};

/// Commits a round: enough for a p99 that is more than one outlier.
const COMMITS: u64 = 600;
/// Not counted: the first commits of a store pay for its growth.
const WARM_UP: u64 = 100;

/// Times of one round in microseconds, sorted.
#[derive(Debug)]
pub struct Round {
    /// The journal.
    pub ours: Vec<f64>,
    /// The plain file.
    pub plain: Vec<f64>,
}

/// Measures in `folder`, which must lie on a real disk.
///
/// # Errors
/// When the disk refuses.
pub fn measure(folder: &Path, scale: Scale) -> Result<Row> {
    let mut rounds = Vec::with_capacity(scale.rounds);
    let (mut p99s, mut plain_p99s) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        let round = one_round(folder, scale)?;
        rounds.push((quantile(&round.ours, 0.5), quantile(&round.plain, 0.5)));
        p99s.push(quantile(&round.ours, 0.99));
        plain_p99s.push(quantile(&round.plain, 0.99));
    }
    let name = "durable commit of a sale, one till, p50";
    let p99 = |values: &[f64]| short(Spread::of(values).median);
    Ok(Row::against(name, "µs", "append + fdatasync", &rounds, Reach::AtMost(2.0)).noting(format!(
        "{} commits a round; p99: {} µs, of the plain file {} µs",
        scale.of(COMMITS),
        p99(&p99s),
        p99(&plain_p99s)
    )))
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
    let mut plain = OpenOptions::new().create(true).append(true).open(folder.join("plain"))?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (warm_up, commits) = (scale.of(WARM_UP), scale.of(COMMITS));
    for index in 1..=warm_up + commits {
        let act = Sales::of(0).sale(index);
        let bytes = lines(&act)?;
        let one = || timed(|| Ok(journal.append_blocking(NewAct::from(act)).map(drop)?));
        let mut other = || timed(|| append(&mut plain, &bytes));
        let (one, other) = if index % 2 == 0 {
            let first = one()?;
            (first, other()?)
        } else {
            let first = other()?;
            (one()?, first)
        };
        if index > warm_up {
            ours.push(one);
            theirs.push(other);
        }
    }
    journal.close_blocking();
    drop(journal);
    fs::remove_dir_all(&folder)?;
    Ok(Round { ours: sorted(ours), plain: sorted(theirs) })
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
