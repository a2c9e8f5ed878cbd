//! The command line.

mod admin;
mod audit;

use std::{fmt, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use pestle_gateway::{
    config::{Config, Log, LogFormat},
    run,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// The centre of Pestle.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Arguments {
    /// Configuration file (TOML). Without it: defaults and `PESTLE_GATEWAY_…` variables.
    #[arg(long, global = true)]
    pub(crate) config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway until SIGTERM or Ctrl-C.
    Run,
    /// Work on the centre's data beside a running gateway.
    #[command(subcommand)]
    Admin(admin::Command),
    /// Prove what the centre's records are, beside a running gateway.
    #[command(subcommand)]
    Audit(audit::Command),
}

/// Says why, in one sentence, and gives the status to exit with.
#[allow(clippy::print_stderr, reason = "the last word of a program that cannot go on, with or without a log")]
pub(crate) fn fail(error: &(impl fmt::Display + ?Sized), status: u8) -> ExitCode {
    eprintln!("pestle-gateway: {error}");
    ExitCode::from(status)
}

/// Logs to standard error.
pub(crate) fn start_log(log: &Log) {
    // Validated with the configuration.
    let filter = EnvFilter::new(&log.filter);
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text => builder.with_ansi(false).init(),
    }
}

/// Executes the command.
pub(crate) async fn execute(command: Command, config: Config) -> anyhow::Result<()> {
    match command {
        Command::Run => run(config).await,
        Command::Admin(command) => admin::execute(command, &config).await,
        Command::Audit(command) => audit::execute(command, &config).await,
    }
}

async fn run(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut told_to_end = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let stop = CancellationToken::new();
    let mut starting = Box::pin(run::start_unless(config, &stop));
    let started = tokio::select! {
        started = &mut starting => started?,
        () = told_to_end() => {
            tracing::info!("told to stop before everything was started");
            stop.cancel();
            match starting.await {
                Ok(gateway) => gateway.stop().await,
                Err(run::StartError::Stopped) => {}
                Err(error) => return Err(error.into()),
            }
            return Ok(());
        }
    };
    let mut gateway = started;
    let failed = tokio::select! {
        () = told_to_end() => None,
        name = gateway.failed() => Some(name),
    };
    tracing::info!("stopping");
    gateway.stop().await;
    match failed {
        Some(name) => anyhow::bail!("the task \"{name}\" ended by itself: read the log above"),
        None => Ok(()),
    }
}
