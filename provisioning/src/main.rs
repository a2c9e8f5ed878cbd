//! `pestle-provision`: the command line.

#![allow(clippy::print_stdout, reason = "this program's output is for the person at the terminal")]

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use pestle_provisioning::enrol::RETRY_AFTER;
use pestle_provisioning::{Enrolment, enrol, identity_folder};

/// Brings a box to life at a branch.
#[derive(Debug, Parser)]
#[command(name = "pestle-provision", version)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make this box the branch's box: key, certificates and name, from a claim code
    Enrol {
        /// The centre's address, as printed with the claim code: https://host:port
        #[arg(long)]
        gateway: String,
        /// The claim code: seven groups of four
        #[arg(long, env = "PESTLE_CLAIM", hide_env_values = true)]
        code: String,
        /// Where the box keeps its state
        #[arg(long, default_value = "/var/lib/pestle")]
        data_dir: PathBuf,
        /// Give up the identity that this box has (it is kept beside the new one)
        #[arg(long)]
        replace: bool,
    },
    /// Say who this box is
    Show {
        /// Where the box keeps its state
        #[arg(long, default_value = "/var/lib/pestle")]
        data_dir: PathBuf,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let line = CommandLine::parse();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    // The only provider in this program, and the first call: there is none to replace.
    let _ = provider.as_ref().clone().install_default();
    match line.command {
        Command::Enrol { gateway, code, data_dir, replace } => {
            let asked =
                Enrolment { gateway, claim: code, data_dir, replace, retry_after: RETRY_AFTER.to_vec() };
            let before = identity_folder::read(&asked.data_dir).ok();
            let who = enrol(&asked, &provider).await?;
            println!("This box is now {} of branch {} ({}).", who.device, who.branch, who.tenant);
            println!("Its key and certificates are in {}.", asked.data_dir.join("identity").display());
            match before {
                Some(before) if who.earlier.contains(&before.device) => {
                    println!(
                        "What {} recorded and had not sent yet goes to the centre under its new name.",
                        before.device
                    );
                }
                Some(before) if before.device != who.device => println!(
                    "This centre does not know {}: what it recorded and had not sent yet stays on this box. Tell the head office.",
                    before.device
                ),
                _ => {}
            }
            println!("Next: start the agent.");
        }
        Command::Show { data_dir } => {
            let who = identity_folder::read(&data_dir)?;
            println!("device  {}\nbranch  {}\nchain   {}", who.device, who.branch, who.tenant);
            println!("term    {}\ncentre  {}\nbroker  {}", who.term, who.https, who.mqtt);
        }
    }
    Ok(())
}
