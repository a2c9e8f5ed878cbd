//! Disk that a box uses after ten million facts have passed through it, against after one million: nothing may stay of what the
//! centre has and the retention time lets go, which is set to nothing here.
//!
//! A million is written by the journal while the agent does not run; then the agent folds it and sends it to a far end that
//! acknowledges at once ([`super::link::sink`]) and keeps up with it. What counts is taken once nothing goes any more.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

use super::{
    backlog::Backlog,
    branch_box::BranchBox,
    link::far_end::{FarEnd, Sink},
    memory::mib,
    place::Cores,
    report::{Reach, Row, short},
    sample,
    stats::Scale,
};

/// Sales of one million facts.
const SALES: u64 = 250_000;
/// Millions.
const MILLIONS: u64 = 10;
/// Of a quick look.
const MILLIONS_QUICK: u64 = 2;
/// Runs of sample sales that no other figure uses begin here.
const RUNS: u64 = 400;
/// The disk is settled when nothing went for so long: two checkpoints are written at least 10 s apart, and let go what lies
/// before the older one.
const STILL_FOR: Duration = Duration::from_secs(40);
/// Of a quick look.
const STILL_FOR_QUICK: Duration = Duration::from_secs(2);
/// The room that a box keeps for bad days (`space.reserve`): always the same, and left out, so that it hides no growth.
const RESERVE: &str = "reserve";
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Measures in `folder`.
///
/// # Errors
/// When a program does not start, or a fact does not arrive.
pub async fn measure(folder: &Path, cores: Cores, scale: Scale) -> Result<Row> {
    let millions = if scale.counts() { MILLIONS } else { MILLIONS_QUICK };
    let (far_end, boxes) = FarEnd::start(&folder.join("disk"), cores, &[folder.join("disk-box")]).await?;
    let branch_box = boxes.first().context("no box was enrolled")?;
    branch_box.configure("\n[journal]\nretention_days = 0\n")?;
    let mut sink = far_end.sink().await?;
    let mut sizes = Vec::new();
    let began = Instant::now();
    for million in 0..millions {
        let still = if scale.counts() { STILL_FOR } else { STILL_FOR_QUICK };
        let still = (million == 0 || million + 1 == millions).then_some(still);
        let sales = scale.of(SALES);
        sizes.push(pass(&far_end, branch_box, &mut sink, cores, (RUNS + million, sales), still).await?);
    }
    let took = began.elapsed();
    drop(sink);
    far_end.end().await?;
    let of = |pick: fn(&Size) -> u64| sizes.iter().map(pick);
    let most = of(|size| size.most).max().unwrap_or_default();
    let settled: Vec<f64> = of(|size| size.settled).map(mib).collect();
    let (first, last) =
        settled.first().copied().zip(settled.last().copied()).context("nothing was measured")?;
    let name = "disk after ten million facts";
    let facts = scale.of(SALES) * sample::FACTS_PER_SALE;
    Ok(Row::against(name, "MiB", "after one million", &[(last, first)], Reach::AtMost(1.2)).noting(format!(
        "one round: {millions} times {facts} facts through one box in {} s, blocks of its whole data folder but the reserve; the most that was seen while a \
         million waited: {} MiB; after each: {}",
        took.as_secs(),
        short(mib(most)),
        settled.iter().map(|size| short(*size)).collect::<Vec<_>>().join(", ")
    )))
}

/// In bytes.
struct Size {
    most: u64,
    settled: u64,
}

/// Sells, sends, and looks at what is left.
async fn pass(
    far_end: &FarEnd,
    branch_box: &BranchBox,
    sink: &mut Sink,
    cores: Cores,
    (run, sales): (u64, u64),
    still: Option<Duration>,
) -> Result<Size> {
    let backlog = Backlog::write(&branch_box.folder, branch_box.stream(), run, sales).await?;
    let seq = backlog.head().seq;
    backlog.close().await;
    let most = used(&branch_box.folder)?;
    let mut agent = branch_box.start(cores.branch, &far_end.keeper)?;
    sink.answered(&branch_box.stream().device, seq).await.with_context(|| branch_box.log_tail())?;
    branch_box.ready(&mut agent).await.with_context(|| branch_box.log_tail())?;
    let (mut least, mut since) = (used(&branch_box.folder)?, Instant::now());
    while still.is_some_and(|still| since.elapsed() < still) {
        tokio::time::sleep(LOOK_EVERY).await;
        let now = used(&branch_box.folder)?;
        if now < least {
            (least, since) = (now, Instant::now());
        }
    }
    agent.stop().await;
    Ok(Size { most, settled: used(&branch_box.folder)? })
}

/// Bytes of the blocks of all files below `folder` but the reserve. Files that go meanwhile count as gone.
fn used(folder: &Path) -> io::Result<u64> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut sum = 0;
    for entry in entries {
        let path = entry?.path();
        sum += match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => used(&path)?,
            Ok(_) if path.file_name().is_some_and(|name| name == RESERVE) => 0,
            // stat(2): in units of 512 bytes, whatever the file system's blocks are.
            Ok(found) => found.blocks() * 512,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_folder_uses_is_the_blocks_of_all_files_below_it_but_the_reserve() {
        let folder = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let before = used(folder.path()).unwrap();
        let below = folder.path().join("a/b");
        fs::create_dir_all(&below).unwrap();
        let file = fs::File::create(below.join("c")).unwrap();
        io::Write::write_all(&mut &file, &[7; 100_000]).unwrap();
        file.sync_all().unwrap();
        fs::write(below.join(RESERVE), [7; 300_000]).unwrap();
        let grown = used(folder.path()).unwrap() - before;
        assert!((100_000..200_000).contains(&grown), "{grown}");
        assert_eq!(used(&folder.path().join("none")).unwrap(), 0);
    }
}
