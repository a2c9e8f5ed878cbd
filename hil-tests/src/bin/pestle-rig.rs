//! `pestle-rig`: what is done with the virtual machine beside its cases.

#![allow(clippy::print_stdout, reason = "this program's output is for the person at the terminal")]

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};
use clap::{Parser, Subcommand};
use pestle_hil_tests::{
    ending::Ending,
    rig::{
        qemu::{
            QemuRig, boot,
            disk_cuts::{self, Plan},
            idle, power_cuts, recordings,
        },
        settings::{Machine, Settings},
    },
};

/// Starts the appliance's image in QEMU and looks at it.
#[derive(Debug, Parser)]
#[command(name = "pestle-rig", version)]
struct CommandLine {
    /// The rig's file.
    #[arg(long, default_value = "hil-tests/rigs/qemu.toml")]
    rig: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start it, run commands inside as root, and print what they say.
    Shell {
        /// With the USB printer and the USB serial scanner that its kernel plays
        #[arg(long)]
        usb: bool,
        /// Commands, one an argument.
        commands: Vec<String>,
        /// With its fridge read once a minute, as `idle` has it
        #[arg(long, conflicts_with = "usb")]
        rest: bool,
    },
    /// Start it, press keys, and keep what its kernel makes of them: the recordings that the drivers' tests replay.
    Keys {
        /// Where they are kept.
        #[arg(default_value = "drivers/tests/data/keys")]
        folder: PathBuf,
    },
    /// Start it, and measure what the agent takes when nothing happens
    Idle,
    /// Start it and a plain Debian in turns, and measure how long each takes
    Boot {
        /// What `hil-tests/stock-debian.sh` made
        stock: PathBuf,
        /// Starts of each that count
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// Cut its power again and again while it sells and prints
    PowerCuts {
        /// How often
        #[arg(long, default_value_t = 30)]
        cuts: usize,
        /// Where chance begins
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Record what it writes to its disk while it sells, and cut that off at many points
    DiskCuts {
        /// How often
        #[arg(long, default_value_t = 5_000)]
        points: usize,
        /// Sales of each till that are recorded
        #[arg(long, default_value_t = 25)]
        sales: usize,
        /// Where chance begins
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// The folder of a recording that was kept, instead of a new one
        #[arg(long)]
        recording: Option<PathBuf>,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let line = CommandLine::parse();
    // The provider of the whole program; there is none to replace.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let Settings::Qemu(machine) = Settings::read(&line.rig)? else {
        bail!("{} is no virtual machine", line.rig.display());
    };
    let ending = Ending::by_signals()?;
    let work = async {
        match line.command {
            Command::Shell { usb, rest, commands } => {
                let rig = match (usb, rest) {
                    (true, _) => QemuRig::with_gadgets(machine).await?,
                    (false, true) => QemuRig::at_rest(machine).await?,
                    (false, false) => QemuRig::new(machine).await?,
                };
                shell(rig, &commands).await
            }
            Command::Keys { folder } => Box::pin(keys(machine, &folder)).await,
            Command::Idle => {
                let idle = Box::pin(idle::watch(machine)).await?;
                println!("{idle:#?}");
                ensure!(idle.is_kept(), "the agent takes more than it may");
                Ok(())
            }
            Command::Boot { stock, rounds } => {
                let report = Box::pin(boot::measure(machine, &stock, rounds)).await?;
                println!("{report}");
                ensure!(report.is_kept(), "the start takes longer than it may");
                Ok(())
            }
            Command::PowerCuts { cuts, seed } => {
                println!("{:#?}", Box::pin(power_cuts::run(machine, cuts, seed)).await?);
                Ok(())
            }
            Command::DiskCuts { points, sales, seed, recording } => {
                let plan = Plan { sales, points, seed };
                let report = match recording {
                    None => Box::pin(disk_cuts::run(machine, plan)).await?,
                    Some(folder) => disk_cuts::run_again(&folder, plan).await?,
                };
                println!("{report:#?}");
                Ok(())
            }
        }
    };
    ending.unless(work).await.unwrap_or(Ok(()))
}

async fn shell(mut rig: QemuRig, commands: &[String]) -> Result<()> {
    rig.power_on().await?;
    println!("the counter's page answered after {:.1} s", rig.booted_in.as_secs_f64());
    let mut guest = rig.guest().await?;
    for command in commands {
        println!("$ {command}\n{}", guest.run(command).await?);
    }
    Ok(())
}

async fn keys(machine: Machine, folder: &Path) -> Result<()> {
    let mut rig = QemuRig::new(machine).await?;
    rig.power_on().await?;
    for name in recordings::record(&mut rig, folder).await? {
        println!("{}", folder.join(name).with_extension("events").display());
    }
    Ok(())
}
