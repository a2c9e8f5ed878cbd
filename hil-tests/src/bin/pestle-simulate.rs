//! `pestle-simulate`: lives the lives of many seeds, and makes a failing one short.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program's output is for the person at the terminal"
)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Instant,
};

use anyhow::{Context as _, Result};
use clap::Parser;
use pestle_hil_tests::simulation::{
    self, Failure,
    bug::Bug,
    schedule::{Planned, draw},
};

/// Simulates branches, broker, gateways and disks from seeds, and checks after every step that nothing is lost and nothing
/// counts twice.
#[derive(Debug, Parser)]
#[command(name = "pestle-simulate", version)]
struct CommandLine {
    /// How many seeds
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// This seed alone: tells what happens
    #[arg(long)]
    seed: Option<u64>,
    /// With the steps of this file, instead of the seed's own
    #[arg(long, requires = "seed")]
    schedule: Option<PathBuf>,
    /// Plant a bug
    #[arg(long)]
    bug: Option<Bug>,
    /// Say which seed fails, and do not make it short
    #[arg(long)]
    brief: bool,
    /// Threads
    #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, usize::from))]
    threads: usize,
}

fn main() -> ExitCode {
    match run(&CommandLine::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("pestle-simulate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(line: &CommandLine) -> Result<bool> {
    if let Some(seed) = line.seed {
        return one(seed, line.schedule.as_deref(), line.bug);
    }
    let began = Instant::now();
    let (next, events, acts, destroyed) =
        (AtomicU64::new(line.from), AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let end = line.from.saturating_add(line.seeds);
    let failed = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..line.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= end {
                        return;
                    }
                    match simulation::live(seed, line.bug) {
                        Ok(lived) => {
                            events.fetch_add(lived.events, Relaxed);
                            acts.fetch_add(lived.arrived as u64, Relaxed);
                            destroyed.fetch_add(lived.destroyed as u64, Relaxed);
                        }
                        Err(failure) => {
                            next.store(end, Relaxed);
                            if let Ok(mut failed) = failed.lock() {
                                failed.push((seed, failure));
                            }
                        }
                    }
                }
            });
        }
    });
    let seconds = began.elapsed().as_secs_f64();
    let failed = failed.into_inner().unwrap_or_default().into_iter().min_by_key(|(seed, _)| *seed);
    let Some((seed, failure)) = failed else {
        println!(
            "{} seeds from {} without a failure: {} events, {} acts arrived, {} acts taken by disasters, {seconds:.1} s",
            line.seeds,
            line.from,
            events.into_inner(),
            acts.into_inner(),
            destroyed.into_inner()
        );
        return Ok(true);
    };
    println!("seed {seed} fails after {} ms: {}", failure.at, failure.what);
    if !line.brief {
        println!("making it short …");
        let (short, failure) = simulation::shorten(seed, &draw(seed), line.bug);
        tell(seed, &short, failure.as_ref(), line.bug)?;
    }
    Ok(false)
}

fn one(seed: u64, schedule: Option<&Path>, bug: Option<Bug>) -> Result<bool> {
    let steps: Vec<Planned> = match schedule {
        None => draw(seed),
        Some(path) => {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            serde_json::from_str(&text).with_context(|| format!("{} is no schedule", path.display()))?
        }
    };
    match simulation::replay(seed, steps.clone(), bug, true) {
        Ok(lived) => {
            println!("seed {seed} lives well: {lived:?}");
            Ok(true)
        }
        Err(failure) if schedule.is_some() => {
            tell(seed, &steps, Some(&failure), bug)?;
            Ok(false)
        }
        Err(failure) => {
            println!("seed {seed} fails after {} ms: {}", failure.at, failure.what);
            println!("making it short …");
            let (short, failure) = simulation::shorten(seed, &steps, bug);
            tell(seed, &short, failure.as_ref(), bug)?;
            Ok(false)
        }
    }
}

fn tell(seed: u64, steps: &[Planned], failure: Option<&Failure>, bug: Option<Bug>) -> Result<()> {
    if let Some(failure) = failure {
        for line in &failure.story {
            println!("{line}");
        }
        println!("\nafter {} ms: {}\n", failure.at, failure.what);
    }
    println!("its {} steps:", steps.len());
    for planned in steps {
        println!("  {:>7} ms  {:?}", planned.at, planned.step);
    }
    let file = std::env::temp_dir().join(format!("pestle-simulate-{seed}.json"));
    fs::write(&file, serde_json::to_vec_pretty(steps)?)
        .with_context(|| format!("cannot write {}", file.display()))?;
    let bug = bug.map(|bug| format!(" --bug {bug:?}")).unwrap_or_default();
    println!("\nagain: pestle-simulate --seed {seed} --schedule {}{bug}", file.display());
    Ok(())
}
