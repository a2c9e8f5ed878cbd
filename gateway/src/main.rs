//! `pestle-gateway`: the centre.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;
use pestle_gateway::config::{Config, EXIT_BAD_CONFIGURATION};

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        return cli::fail("the TLS provider was set twice", 1);
    }
    let config = match Config::load(arguments.config.as_deref()) {
        Ok(config) => config,
        Err(error) => return cli::fail(&error, EXIT_BAD_CONFIGURATION),
    };
    cli::start_log(&config.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::fail(&error, 1),
    };
    let outcome = runtime.block_on(cli::execute(arguments.command, config));
    // Everything was ended in order; a blocking thread that is still at work is not waited for.
    runtime.shutdown_background();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::fail(&format!("{error:#}"), 1),
    }
}
