//! `pestle-chaos`: kills real programs at random under load, and compares all totals.

#![allow(clippy::print_stdout, reason = "this program's output is for the person at the terminal")]

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context as _, bail};
use clap::Parser;
use pestle_hil_tests::{
    chaos::{self, Plan},
    ending::Ending,
    world::Place,
};

/// Kills agents, gateways, PostgreSQL and Mosquitto at random while two branches sell.
#[derive(Debug, Parser)]
#[command(name = "pestle-chaos", version)]
struct CommandLine {
    /// How many rounds; half of them over Mosquitto
    #[arg(long, default_value_t = 10)]
    rounds: u32,
    /// Who is hit when; drawn if it is not given
    #[arg(long)]
    seed: Option<u64>,
    /// Where; beside the demo if it is not given
    #[arg(long)]
    folder: Option<PathBuf>,
}

fn main() -> ExitCode {
    let line = CommandLine::parse();
    // The only provider in this program, and the first call: there is none to replace.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let outcome = tokio::runtime::Runtime::new().context("cannot start the runtime").and_then(|runtime| {
        runtime.block_on(async {
            let folder = match line.folder {
                Some(folder) => folder,
                None => Place::folder_of_the_demo()?.join("chaos"),
            };
            let drawn =
                std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            let seed = line.seed.unwrap_or(u64::from(drawn.subsec_nanos()));
            println!("{} rounds, seed {seed}", line.rounds);
            let plan = Plan { rounds: line.rounds, seed };
            let tell = |text: &str| println!("{text}");
            let played = Box::pin(chaos::run(&folder, plan, &tell));
            match Ending::by_signals()?.unless(played).await {
                Some(played) => played,
                None => bail!("ended before all rounds were played"),
            }
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("pestle-chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}
