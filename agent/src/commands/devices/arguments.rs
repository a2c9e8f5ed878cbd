//! What can be written behind `pestle-agent devices`, and which part of it does that.

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use pestle_drivers::{find::sysfs::System, scanner::programming::Purpose};

use super::{DeviceTrouble, configured, learn, list, rebind, search, set_up, test, watch};
use crate::config::Config;

/// What stands behind `pestle-agent devices`.
#[derive(Debug, Clone, Args)]
pub struct DevicesArguments {
    #[command(subcommand)]
    command: DevicesCommand,
    /// Where the kernel lists devices; another place is for simulations.
    #[arg(long, global = true, hide = true, default_value = "/sys")]
    sys: PathBuf,
    /// Where device files are; another place is for simulations.
    #[arg(long, global = true, hide = true, default_value = "/dev")]
    dev: PathBuf,
}

#[derive(Debug, Clone, Subcommand)]
enum DevicesCommand {
    /// What is attached, what it is, by which names it can be bound, and what it is bound to.
    List {
        /// For machines.
        #[arg(long)]
        json: bool,
    },
    /// What comes and goes, until Ctrl-C; with a name, what that device sends. The agent must not run for the latter.
    Watch {
        /// A device of the configuration.
        name: Option<String>,
    },
    /// Let a device of the configuration do its work once: a test page, a scan, a reading. The agent must not run.
    ///
    /// Ends with 0 when it works, 1 when it is there and does not work, 69 when it is not there, 64 when no device has this
    /// name, 75 when the agent is running.
    Test {
        /// A device of the configuration.
        name: String,
        /// How many seconds a person has for a scan.
        #[arg(long, default_value_t = 30)]
        wait: u64,
    },
    /// Have a label printer measure its labels, after another roll was put in. The agent must not run. Ends as `test` does.
    Measure {
        /// A label printer of the configuration.
        name: String,
    },
    /// Sound a printer's buzzer, as an alarm does. The agent must not run. Ends as `test` does.
    Sound {
        /// A printer of the configuration.
        name: String,
    },
    /// Look for sensors on a line whose addresses or whose speed nobody knows, say what each of them is, and what to write into
    /// the configuration. Where a sensor of the configuration is on it, the agent must not run.
    ///
    /// Ends with 0 when somebody answers, 69 when nobody does, 64 when this is no line, 75 when the agent has it.
    Search {
        /// The line as a configuration writes it (`/dev/ttyUSB0`, a name that `list` shows, `tcp://192.0.2.7:4001`,
        /// `modbus-tcp://192.0.2.8`), or the name of a sensor on it. A serial line is tried at 9,600, 19,200, 4,800 and 38,400 baud,
        /// unless it is written with `?baud=`.
        line: String,
        /// Modbus addresses that are asked, from the first to the last.
        #[arg(long, default_value = "1-32", value_parser = search::addresses)]
        addresses: RangeInclusive<u8>,
        /// How many minutes it may take.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
        minutes: u64,
    },
    /// Have a scanner told by the sheet of test codes what it sends, and keep that: lot and serial number are then taken from
    /// it. The agent must not run. Ends as `test` does.
    Learn {
        /// A scanner of the configuration.
        name: String,
        /// How many seconds a person has for each code.
        #[arg(long, default_value_t = 60)]
        wait: u64,
    },
    /// Set a scanner up over its own serial line, by a command of its maker, and say what it answered. Let it learn afterwards. The
    /// agent must not run. Ends as `test` does, and with 64 when the maker has no such command.
    Program {
        /// A scanner of the configuration.
        name: String,
        /// Whose command.
        #[arg(long)]
        maker: String,
        /// What for: factory_default, suffix_cr, transmit_gs and others, as `devices sheet --maker` lists them.
        #[arg(long)]
        purpose: Purpose,
    },
    /// Answer what the box asks about a device: what stands there now is the one of this name. The agent must not run.
    Rebind {
        /// A device of the configuration.
        name: String,
    },
    /// The sheet of test codes, or a maker's own codes: out of a printer of the box, or as a picture.
    Sheet {
        /// The maker whose codes are wanted: they set a scanner up.
        #[arg(long)]
        maker: Option<String>,
        #[command(flatten)]
        to: SheetTo,
    },
}

#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
struct SheetTo {
    /// A printer of the configuration. The agent must not run.
    #[arg(long, value_name = "NAME")]
    printer: Option<String>,
    /// A file, which is replaced.
    #[arg(long, value_name = "FILE")]
    png: Option<PathBuf>,
}

impl DevicesArguments {
    /// Whether it is about devices that only a configuration names.
    #[must_use]
    pub fn need_configuration(&self) -> bool {
        match &self.command {
            DevicesCommand::Test { .. }
            | DevicesCommand::Learn { .. }
            | DevicesCommand::Measure { .. }
            | DevicesCommand::Sound { .. }
            | DevicesCommand::Program { .. }
            | DevicesCommand::Rebind { .. }
            | DevicesCommand::Watch { name: Some(_) } => true,
            DevicesCommand::Sheet { to, .. } => to.printer.is_some(),
            DevicesCommand::List { .. }
            | DevicesCommand::Search { .. }
            | DevicesCommand::Watch { name: None } => false,
        }
    }

    /// Does it. `ask` tells the person at the terminal what to do meanwhile; what is returned is the outcome, where it was
    /// not written as it came.
    ///
    /// # Errors
    /// [`DeviceTrouble`].
    pub async fn execute(
        self,
        config: Option<&Config>,
        ask: fn(&str),
    ) -> Result<Option<String>, DeviceTrouble> {
        let system = System { sys: self.sys, dev: self.dev };
        match (self.command, config) {
            (DevicesCommand::List { json }, config) => {
                let configured = config.map(configured).unwrap_or_default();
                list::list(&system, &configured, json).map(Some)
            }
            (DevicesCommand::Watch { name: Some(name) }, Some(config)) => {
                watch::one(config, &name).await.map(|()| None)
            }
            (DevicesCommand::Test { name, wait }, Some(config)) => {
                test::test(config, &name, Duration::from_secs(wait), ask).await.map(Some)
            }
            (DevicesCommand::Measure { name }, Some(config)) => test::measure(config, &name).await.map(Some),
            (DevicesCommand::Sound { name }, Some(config)) => test::sound(config, &name).await.map(Some),
            (DevicesCommand::Search { line, addresses, minutes }, config) => {
                let longest = Duration::from_secs(minutes * 60);
                search::search(config, &line, addresses, longest, ask).await.map(Some)
            }
            (DevicesCommand::Learn { name, wait }, Some(config)) => {
                learn::learn(config, &name, Duration::from_secs(wait), ask).await.map(Some)
            }
            (DevicesCommand::Program { name, maker, purpose }, Some(config)) => {
                set_up::set_up(config, &name, &maker, purpose).await.map(Some)
            }
            (DevicesCommand::Rebind { name }, Some(config)) => rebind(config, &name).map(Some),
            (DevicesCommand::Sheet { maker, to: SheetTo { png: Some(file), .. } }, config) => {
                learn::draw_page(&learn::page(maker.as_deref())?, config, &file).map(Some)
            }
            (DevicesCommand::Sheet { maker, to: SheetTo { printer: Some(printer), .. } }, Some(config)) => {
                let page = learn::page(maker.as_deref())?;
                learn::print_page(page, config, &printer).await.map(Some)
            }
            // Without a configuration there are no names: see `need_configuration`.
            (_, config) => watch::comings_and_goings(config, &system).await.map(|()| None),
        }
    }
}
