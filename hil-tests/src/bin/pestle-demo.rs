//! `pestle-demo`: the whole product on one machine, for a person (`run`), without one (`check`), or forgotten (`clean`).

#![allow(clippy::print_stdout, reason = "this program's output is for the person at the terminal")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand};
use pestle_hil_tests::ending::Ending;
use pestle_hil_tests::world::{ADMIN, PEOPLE, Place, World, place};
use pestle_hil_tests::{check, demo_data, processes, workbench};
use tokio::net::TcpListener;

/// Pestle on one machine, with simulated devices.
#[derive(Debug, Parser)]
#[command(name = "pestle-demo", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything, print the addresses, and go on until Ctrl-C
    Run,
    /// Start everything in a place of its own, pull every plug, and compare all totals
    Check {
        /// Fewer sales: what the tests run
        #[arg(long)]
        short: bool,
    },
    /// Forget the demo's state
    Clean,
    /// Write the demo's files under hil-tests/data/ anew
    Data,
    /// End what is left when the program that started this one dies
    #[command(hide = true)]
    Keep {
        /// The world whose programs they are
        folder: Option<PathBuf>,
        /// Where its PostgreSQL lives
        cluster: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let line = CommandLine::parse();
    if let Command::Keep { folder, cluster } = line.command {
        return keep(folder.as_deref(), cluster.as_deref());
    }
    // The only provider in this program, and the first call: there is none to replace.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let done = match line.command {
        Command::Run => in_runtime(run),
        Command::Check { short } => in_runtime(async |ending| check(ending, short).await),
        Command::Clean => clean(),
        Command::Data => write_data(),
        Command::Keep { .. } => Ok(()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("pestle-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn in_runtime(work: impl AsyncFnOnce(Ending) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the runtime")?;
    runtime.block_on(async { work(Ending::by_signals()?).await })
}

fn keep(folder: Option<&Path>, cluster: Option<&Path>) -> ExitCode {
    processes::keep();
    let (Some(folder), Some(cluster)) = (folder, cluster) else { return ExitCode::SUCCESS };
    match place::leave(folder, cluster, std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

async fn run(ending: Ending) -> anyhow::Result<()> {
    let place = Place::of_the_demo()?;
    let goes_on = place.is_inhabited();
    let starting = World::start(place, &|doing| println!("· {doing} …"));
    // A world that is dropped half-made ends what it had started.
    let Some(world) = ending.unless(Box::pin(starting)).await else { return Ok(()) };
    let world = Arc::new(world?);
    let listener = TcpListener::bind(("127.0.0.1", world.ports.workbench))
        .await
        .context("the workbench's port is taken: end what uses it, then start again")?;
    let workbench = format!("http://{}", listener.local_addr()?);
    greet(&world, &workbench, goes_on).await;
    let served = ending.unless(workbench::serve(world.clone(), listener)).await;
    println!("\nending …");
    world.stop().await;
    served.unwrap_or(Ok(())).context("the workbench has ended")
}

async fn greet(world: &World, workbench: &str, goes_on: bool) {
    println!();
    if goes_on {
        println!("Pestle runs, and goes on where it ended. (`make demo-clean` forgets it.)");
    } else {
        println!("Pestle runs.");
    }
    println!();
    println!("  workbench  {workbench}   click packs, pull plugs");
    for branch in &world.branches {
        println!("  counter    {}   branch {}", branch.counter(), branch.title());
    }
    println!("  console    {}", world.console().await);
    println!();
    let people = PEOPLE.iter().map(|person| format!("{} ({}, PIN {})", person.id, person.role, person.pin));
    println!("  at the counters  {}", people.collect::<Vec<_>>().join(", "));
    println!("  at the console   {}, password {}", ADMIN.0, ADMIN.1);
    println!();
    println!("  The pages' certificates come from the demo's own authority: your browser will ask once.");
    println!("  Logs are in {}. Ctrl-C ends everything.", world.place.folder().join("logs").display());
}

async fn check(ending: Ending, short: bool) -> anyhow::Result<()> {
    let length = if short { check::Length::Short } else { check::Length::Full };
    match ending.unless(Box::pin(check::run(length, &|line| println!("{line}")))).await {
        Some(outcome) => outcome,
        None => anyhow::bail!("ended before all steps were done"),
    }
}

fn clean() -> anyhow::Result<()> {
    let demo = Place::of_the_demo()?;
    // A check that failed leaves its world for whoever looks into it.
    let check = check::folder_in(demo.folder());
    let check = if check.exists() { Some(Place::at(&check)?) } else { None };
    for place in check.into_iter().chain([demo]) {
        pestle_hil_tests::world::gateway::stop_left_postmaster(&place);
        place.remove()?;
    }
    println!("The demo's state is forgotten.");
    Ok(())
}

fn write_data() -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    std::fs::create_dir_all(&folder)?;
    for file in demo_data::files() {
        std::fs::write(folder.join(&file.name), &file.text)?;
        println!("wrote hil-tests/data/{}", file.name);
    }
    Ok(())
}
