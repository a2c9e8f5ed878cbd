//! What the agent takes of a small box: resident memory when nothing happens, and the size of its program.

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use super::{
    backlog::Backlog,
    branch_box::BranchBox,
    memory::{self, mib},
    place::Cores,
    report::{Row, short},
    stats::Scale,
};
use crate::{
    processes::{Keeper, build_folder},
    world::{Branch, World, seed},
};

/// Most resident memory, in MiB.
const MEMORY_MIB_MAX: f64 = 40.0;
/// Largest program, in MiB.
const PROGRAM_MIB_MAX: f64 = 25.0;
/// Sales whose two packs each fill the agent's memory of serial numbers (200,000) and of acts (50,000): years and weeks
/// of a busy branch (`counter::books`).
const SALES_OF_FULL_BOOKS: u64 = 100_000;
/// A run of sample sales that no other figure uses.
const RUN: u64 = 90;

/// Resident memory of the first branch's agent after each of some starts, with the demo's catalogue and devices.
///
/// # Errors
/// When the agent does not start.
pub async fn memory(world: &World, scale: Scale) -> Result<Row> {
    let branch = world.branches.first().context("a world without branches")?;
    let mut rounds = Vec::new();
    for _ in 0..scale.rounds {
        branch.stop().await;
        branch.start().await?;
        rounds.push(settled(branch).await?);
    }
    Ok(Row::alone("agent's resident memory, idle", "MiB", &rounds, MEMORY_MIB_MAX)
        .noting("VmRSS, each after a start, with the demo's catalogue, a scanner, a printer and a fridge"))
}

/// The same for a box whose books are at their bounds: noted, not judged. The centre ends first, so that nothing is
/// sent meanwhile.
///
/// # Errors
/// When the box cannot be enrolled, or its agent does not start.
pub async fn full_books(world: &World, folder: &Path, cores: Cores, scale: Scale) -> Result<String> {
    let (branch_box, sales) = {
        let mut gateway = world.gateway.lock().await;
        let slug = &world.branches.first().context("a world without branches")?.slug;
        let claim = seed::claim(&gateway, slug).await?;
        let branch_box = BranchBox::enrol(&folder.join("full-box"), &gateway.url()?, &claim).await?;
        gateway.stop().await;
        (branch_box, scale.of(SALES_OF_FULL_BOOKS))
    };
    Backlog::write(&branch_box.folder, branch_box.stream(), RUN, sales).await?.close().await;
    let keeper = Keeper::start(&build_folder().join("pestle-demo"))?;
    let mut agent = branch_box.start(cores.branch, &keeper)?;
    branch_box.ready(&mut agent).await.with_context(|| branch_box.log_tail())?;
    let memory = memory::settled_mib(agent.id()).await?;
    agent.stop().await;
    Ok(format!(
        "with books at their bounds ({sales} sales, {} serial numbers in the journal): {} MiB",
        2 * sales,
        short(memory)
    ))
}

/// Memory in MiB once it does not grow any more.
async fn settled(branch: &Branch) -> Result<f64> {
    memory::settled_mib(branch.process_id().await.context("the agent does not run")?).await
}

/// The agent's program without symbols.
///
/// # Errors
/// When `strip` (Debian's binutils, which every C compiler brings) cannot be run.
pub fn program(folder: &Path) -> Result<Row> {
    let program = build_folder().join("pestle-agent");
    let stripped = folder.join("pestle-agent.stripped");
    let output = Command::new("strip")
        .arg("--strip-all")
        .arg("-o")
        .arg(&stripped)
        .arg(&program)
        .output()
        .context("run strip: install binutils")?;
    if !output.status.success() {
        bail!("strip said: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let size = fs::metadata(&stripped)?.len();
    let built = mib(fs::metadata(&program)?.len());
    Ok(Row::alone("agent's program, stripped", "MiB", &[mib(size)], PROGRAM_MIB_MAX).noting(format!(
        "`strip --strip-all` of the release build, which has {} MiB as it is built",
        short(built)
    )))
}
