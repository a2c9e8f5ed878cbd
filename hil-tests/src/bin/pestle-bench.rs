//! `pestle-bench`: the figures of `make bench`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this program's output is for the person at the terminal"
)]

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};
use pestle_hil_tests::bench::{feed, link, load, place, queues, report::Kept, run, stats::Scale, stock_port};
use pestle_hil_tests::ending::Ending;

/// Measures Pestle against its baselines, prints the table and writes bench.json beside the build.
#[derive(Debug, Parser)]
#[command(name = "pestle-bench", version)]
struct CommandLine {
    /// Measure these alone: commit, group, scan, receipt, relay, link, ingest, queues, stock, footprint, million, disk. Their rows take the
    /// place of their own in bench.json. disk is measured only when it is named: it takes a quarter of an hour
    figures: Vec<String>,
    /// Few rounds of little: to see that all of it works. Its figures say nothing, and nothing is written
    #[arg(long)]
    quick: bool,
    #[command(subcommand)]
    helper: Option<HelperCommand>,
}

/// What this program does as its own helper.
#[derive(Debug, Subcommand)]
enum HelperCommand {
    /// Feed batches to ingest
    #[command(hide = true)]
    Feed { folder: PathBuf },
    /// Serve the gateway's routes and one that does nothing
    #[command(hide = true)]
    Serve { folder: PathBuf },
    /// Take the gateway's place, sign and store nothing
    #[command(hide = true)]
    Sink { gateway_data: PathBuf, broker: SocketAddr },
    /// Publish batches with rumqttc alone
    #[command(hide = true)]
    Publish,
    /// Put messages of a queue into a table
    #[command(hide = true)]
    Consume,
    /// Ask a port as fast as it answers
    #[command(hide = true)]
    Load,
}

fn main() -> ExitCode {
    let line = CommandLine::parse();
    // The only provider in this program, and the first call: there is none to replace.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let outcome = tokio::runtime::Runtime::new().context("cannot start the runtime").and_then(|runtime| {
        let outcome = runtime.block_on(execute(line));
        // After Ctrl-C a measurement may still be blocked: nothing of it is waited for.
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("pestle-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything was reached.
async fn execute(line: CommandLine) -> Result<bool> {
    match line.helper {
        Some(HelperCommand::Feed { folder }) => Box::pin(feed::run(&folder)).await.map(|()| true),
        Some(HelperCommand::Serve { folder }) => Box::pin(stock_port::run(&folder)).await.map(|()| true),
        Some(HelperCommand::Sink { gateway_data, broker }) => {
            Box::pin(link::sink::run(&gateway_data, broker)).await.map(|()| true)
        }
        Some(HelperCommand::Publish) => Box::pin(link::publish::run()).await.map(|()| true),
        Some(HelperCommand::Consume) => Box::pin(queues::consumer::run()).await.map(|()| true),
        Some(HelperCommand::Load) => Box::pin(load::run()).await.map(|()| true),
        None => Box::pin(measure(&line.figures, line.quick)).await,
    }
}

async fn measure(figures: &[String], quick: bool) -> Result<bool> {
    let scale = if quick { Scale::QUICK } else { Scale::WHOLE };
    let path = place::report_file();
    // Before anything is measured: nothing of it is lost to a file that cannot be read.
    let kept = if quick { Ok(Kept::default()) } else { Kept::read(&path) };
    let kept = kept
        .with_context(|| format!("read what was measured before; move {} out of the way", path.display()))?;
    let ending = Ending::by_signals()?;
    let measured = Box::pin(run::run(figures, scale, &|name| println!("· measuring {name} …")));
    let Some(report) = ending.unless(measured).await else { bail!("ended before all was measured") };
    let mut report = report?;
    if quick {
        report.discount();
    }
    println!();
    print!("{}", report.table(true));
    if !quick {
        report.write(&path, kept).with_context(|| format!("write {}", path.display()))?;
        println!("\nwritten to {}; what is there of other figures is kept", path.display());
    }
    if figures.is_empty() {
        for name in run::left_out(figures) {
            println!("{name}: only when named: make bench FIGURES={name}");
        }
    }
    if quick {
        println!("\nThis was a quick look: nothing of it is a measurement.");
    }
    Ok(report.all_reached())
}
