//! `pestle-power-cuts`: the proof of `make power-cuts`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program's output is for the person at the terminal"
)]

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::{Parser, Subcommand};
use pestle_hil_tests::disk::fault::Faults;
use pestle_hil_tests::power_cuts::{
    agent_campaign,
    campaign::{self, Plan},
    kept::KeptCut,
    script::Script,
};

/// Cuts the power of the journal and of the whole agent at random moments, and compares what is left with what was told.
#[derive(Debug, Parser)]
#[command(name = "pestle-power-cuts", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Cut the journal alone
    Journal {
        /// How often
        #[arg(long, default_value_t = 10_000)]
        cuts: usize,
        /// Where chance begins; drawn where none is given
        #[arg(long)]
        seed: Option<u64>,
        /// Use the journal in these ways alone
        #[arg(long)]
        script: Vec<Script>,
    },
    /// Cut the whole agent while it sells
    Agent {
        /// How often
        #[arg(long, default_value_t = 300)]
        cuts: usize,
        /// Where chance begins; drawn where none is given
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Make a cut of the journal that failed again
    Replay {
        /// As the failure named it
        file: PathBuf,
    },
}

fn main() -> ExitCode {
    match execute(CommandLine::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("pestle-power-cuts: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether nothing was wrong.
fn execute(command: Command) -> Result<bool> {
    match command {
        Command::Journal { cuts, seed, script } => {
            let plan = Plan::new(cuts, seed.unwrap_or_else(drawn));
            journal(&if script.is_empty() { plan } else { Plan { scripts: script, ..plan } })
        }
        Command::Agent { cuts, seed } => agent(cuts, seed.unwrap_or_else(drawn)),
        Command::Replay { file } => {
            let wrong = KeptCut::read(&file)?.again()?;
            println!("{}", wrong.as_ref().map_or("nothing is wrong with it".to_owned(), ToString::to_string));
            Ok(wrong.is_none())
        }
    }
}

fn drawn() -> u64 {
    uuid::Uuid::now_v7().as_u64_pair().1
}

fn journal(plan: &Plan) -> Result<bool> {
    println!("{} cuts of the journal, seed {}", plan.cuts, plan.seed);
    let report = campaign::run(plan, &|recording| recording)?;
    for (script, cuts) in &report.cuts {
        println!("  {script:?}: {cuts}");
    }
    println!(
        "{} cuts in {:.1} s; {} told acts were looked for; {} wrong",
        report.total(),
        report.took.as_secs_f64(),
        report.told,
        report.wrong.len()
    );
    let mut kinds = std::collections::BTreeMap::<String, usize>::new();
    for (wrong, _) in &report.wrong {
        let kind = format!("{wrong:?}").chars().take_while(|letter| letter.is_alphanumeric()).collect();
        *kinds.entry(kind).or_default() += 1;
    }
    kinds.iter().for_each(|(kind, count)| println!("  {kind}: {count}"));
    for (wrong, again) in report.wrong.iter().filter(|(_, again)| !again.is_empty()) {
        println!("{wrong}\n  again: {again}");
    }
    Ok(report.wrong.is_empty())
}

fn agent(cuts: usize, seed: u64) -> Result<bool> {
    println!("{cuts} cuts of the whole agent, seed {seed}");
    // The only provider in this program: there is none to replace.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(Box::pin(agent_campaign::run(cuts, seed, &Faults::default())))?;
    println!(
        "{} cuts in {:.1} s, {} of them before the agent answered; {} sales were told, {} payments were not answered ({} of \
         them had been recorded); {} baskets and {} papers were looked for; nothing is wrong",
        report.cuts,
        report.took.as_secs_f64(),
        report.at_start,
        report.sales,
        report.in_flight,
        report.recorded_unheard,
        report.baskets,
        report.papers
    );
    Ok(true)
}
