//! Durable sales a second with eight tills: the journal, and what else could be under the same thread.
//!
//! Every till waits for its answer before its next sale. The journal's writer takes the sales that wait together into one
//! commit; SQLite and redb are put behind a thread that does just that ([`store`]), and are measured without it as well,
//! each till with a transaction of its own. All take turns on the same disk.

pub mod store;

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use pestle_agent::journal::{Journal, Limits, NewAct, Settings};

use super::{
    report::{Reach, Row, short},
    sample::{self, Sales},
    stats::{Scale, Spread, per_second},
};
use store::{Grouped, Kind, Shared};

/// Tills that sell at the same time.
const TILLS: u64 = 8;
/// Sales of all tills together in one round of one contestant. Eight tills take about a second on a disk that syncs in
/// 0.3 ms.
const SALES: u64 = 4_000;
/// Of one till alone.
const SALES_ALONE: u64 = 800;

/// Measures in `folder`, which must lie on a real disk.
///
/// # Errors
/// When the disk refuses.
pub fn measure(folder: &Path, scale: Scale) -> Result<Vec<Row>> {
    let folder = folder.join("group");
    let (mut alone, mut ours, mut together) = (Vec::new(), Vec::new(), Vec::new());
    let mut others: [Vec<f64>; 4] = Default::default();
    let mut sled_alone = Vec::new();
    for round in 0..scale.rounds as u64 {
        let anew = |name: &str| -> Result<PathBuf> {
            let folder = folder.join(name);
            super::place::make_anew(&folder)?;
            Ok(folder)
        };
        alone.push(journal(&anew("alone")?, 1, scale.of(SALES_ALONE))?.0);
        let (sold, acts_a_commit) = journal(&anew("journal")?, TILLS, scale.of(SALES))?;
        ours.push(sold);
        together.push(acts_a_commit);
        for (index, kind) in [Kind::Sqlite, Kind::Redb].into_iter().enumerate() {
            let store = Grouped::open(kind, &anew("grouped")?)?;
            others[index].push(sell(TILLS, scale.of(SALES), |sale| store.commit(bytes_of(round, sale)?))?);
            store.close()?;
            let store = Shared::open(kind, &anew("alone")?)?;
            others[2 + index]
                .push(sell(TILLS, scale.of(SALES), |sale| store.commit(sale, &bytes_of(round, sale)?))?);
        }
        let store = Grouped::open(Kind::Sled, &anew("grouped")?)?;
        sled_alone.push(sell(TILLS, scale.of(SALES), |sale| store.commit(bytes_of(round, sale)?))?);
        store.close()?;
        std::fs::remove_dir_all(&folder)?;
    }
    let [sqlite, redb, sqlite_alone, redb_alone] = others;
    let median = |rounds: &[f64]| short(Spread::of(rounds).median);
    let pairs = |other: &[f64]| ours.iter().copied().zip(other.iter().copied()).collect::<Vec<_>>();
    let better = if Spread::of(&sqlite).median > Spread::of(&redb).median { &sqlite } else { &redb };
    let name = "durable sales, 8 tills";
    Ok(vec![
        Row::against(name, "sales/s", "one till", &pairs(&alone), Reach::AtLeast(4.0))
            .noting(format!("{} acts share a commit", median(&together))),
        Row::against(
            name,
            "sales/s",
            "the better of SQLite and redb, grouped alike",
            &pairs(better),
            Reach::AtLeast(0.8),
        )
        .noting(format!(
            "grouped alike: SQLite (WAL, synchronous=FULL) {} sales/s, redb {}, and sled without our chain {}; with a \
             transaction for each sale: SQLite {}, redb {}",
            median(&sqlite),
            median(&redb),
            median(&sled_alone),
            median(&sqlite_alone),
            median(&redb_alone)
        )),
    ])
}

/// Sales a second, and how many of them shared a commit.
fn journal(folder: &Path, tills: u64, sales: u64) -> Result<(f64, f64)> {
    let settings =
        Settings { folder: folder.join("journal"), stream: sample::stream(0), limits: Limits::default() };
    let (journal, _) = Journal::open(settings, &sample::stamp(0)).context("open the journal")?;
    let sold = sell(tills, sales, |sale| {
        Ok(journal.append_blocking(NewAct::from(Sales::of(0).sale(sale))).map(drop)?)
    });
    let counters = journal.counters();
    let commits = u32::try_from(counters.commits.load(Relaxed))?.max(1);
    let acts_a_commit = f64::from(u32::try_from(counters.acts.load(Relaxed))?) / f64::from(commits);
    journal.close_blocking();
    Ok((sold?, acts_a_commit))
}

/// The sale's facts, as the journal stores them.
fn bytes_of(run: u64, sale: u64) -> Result<Vec<u8>> {
    let act = Sales::of(run).sale(sale);
    let lines = act.facts.iter().map(|fact| fact.to_line()).collect::<Result<Vec<_>, _>>()?;
    Ok(lines.concat())
}

/// Sales a second, when `tills` threads make `sales` together, each waiting for its answer.
fn sell(tills: u64, sales: u64, commit: impl Fn(u64) -> Result<()> + Sync) -> Result<f64> {
    let next = AtomicU64::new(1);
    let began = Instant::now();
    thread::scope(|scope| {
        let till = || -> Result<()> {
            loop {
                let sale = next.fetch_add(1, Relaxed);
                if sale > sales {
                    return Ok(());
                }
                commit(sale)?;
            }
        };
        let threads: Vec<_> = (0..tills).map(|_| scope.spawn(till)).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(sold) => sold,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(per_second(sales, began.elapsed().max(Duration::from_nanos(1))))
}
