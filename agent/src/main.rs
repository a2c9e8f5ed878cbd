//! `pestle-agent`: the branch daemon, and the few commands that a technician runs beside it.

use std::{
    fs::File,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, anyhow};
use clap::{Args, Parser, Subcommand};
use pestle_agent::{
    appeal::plan::{Plan, Stage},
    commands::{
        check, decode,
        devices::{DeviceTrouble, arguments::DevicesArguments},
        export, show,
        stock_open::{self, StockError, StockFileError},
        verify,
    },
    config::{Config, DEFAULT_FILE, LogFormat},
    console,
    counter::keep::Keep,
    fetched,
    foundation::{Foundation, Look},
    identity::{DeviceIdentity, IdentityError},
    lock::DataLock,
    supervisor::{self, Ended},
};
use pestle_domain::{journal::Lane, units::UnixMillis};
use tracing_subscriber::EnvFilter;

/// A wrong configuration (sysexits.h: EX_USAGE, as architecture and operations documents name it).
const EXIT_CONFIG: u8 = 64;
/// The box is not enrolled (sysexits.h: EX_CONFIG): restarting does not help.
const EXIT_NOT_ENROLLED: u8 = 78;

/// A file of stock has something wrong in it (sysexits.h: EX_DATAERR): nothing of it was booked.
const EXIT_STOCK_FILE: u8 = 65;
/// Stock was booked from another file (sysexits.h: EX_CANTCREAT).
const EXIT_NOT_FIRST: u8 = 73;

/// The computer in the branch: sells, remembers, and tells the centre.
#[derive(Debug, Parser)]
#[command(name = "pestle-agent", version)]
struct Arguments {
    /// The configuration file. Without it, /etc/pestle/agent.toml is read if it is there.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the box until it is told to stop. This is what happens without a command.
    Run,
    /// Read scanned strings from standard input, one a line, and print what each means as a line of JSON.
    Decode,
    /// Show on this terminal how the box is, until the program is ended: what the box's own screen shows.
    Console {
        /// Seconds between two looks.
        #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
        every: u64,
    },
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Book a branch's first stock from a file with the columns gtin,lot,expiry,quantity. The agent must not run.
    StockOpen {
        /// The file.
        file: PathBuf,
        /// Refuse it when another file was booked before.
        #[arg(long)]
        first: bool,
    },
    /// Look at the journal, or carry it over. The agent must not run.
    #[command(subcommand)]
    Journal(JournalCommand),
    /// See which devices are attached, watch them, and test those that are configured.
    Devices(DevicesArguments),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Say whether the configuration is good, what it says, and what in it needs care.
    Check {
        /// Also refuse what an appliance cannot work with: pages that no till reaches, data outside of its data partition.
        #[arg(long)]
        appliance: bool,
    },
}

#[derive(Debug, Subcommand)]
enum JournalCommand {
    /// Print every fact.
    Show(OfLane),
    /// Prove that every fact is what it was when the centre acknowledged it, and that none is missing since; else name
    /// the first that differs. What nothing here can prove is said too.
    Verify(OfLane),
    /// Write the whole history to a file, signed, for the centre's "pestle-gateway audit verify".
    Export {
        /// The file, which must not be there yet.
        file: PathBuf,
        #[command(flatten)]
        of: OfLane,
    },
    /// Resolve a contradiction with the centre: record everything once more in the epoch that was decided on there. The running
    /// agent does it by itself; this is for a box whose agent does not run.
    CarryOver {
        /// The epoch's number, from the centre's console.
        #[arg(long)]
        epoch: u32,
    },
}

#[derive(Debug, Args)]
struct OfLane {
    /// ledger (everything with an effect) or telemetry.
    #[arg(long, default_value = "ledger", value_parser = lane)]
    lane: Lane,
}

fn lane(text: &str) -> Result<Lane, String> {
    text.parse().map_err(|()| "write ledger or telemetry".to_owned())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if matches!(arguments.command, Some(Command::Decode)) {
        return finish(
            decode::decode(io::stdin().lock(), io::stdout().lock()).context("decoding ended early"),
        );
    }
    if let Some(Command::Console { every }) = arguments.command {
        let shown = runtime().and_then(|runtime| {
            let screen = console::run(arguments.config.as_deref(), Duration::from_secs(every));
            runtime.block_on(screen).context("this terminal has gone")
        });
        return finish(shown);
    }
    let config = match (Config::load(arguments.config.as_deref()), &arguments.command) {
        (Ok(config), _) => config,
        // What is attached is wanted before there is a configuration.
        (Err(error), Some(Command::Devices(devices))) if !devices.need_configuration() => {
            complain(&format!("what is bound is not shown, since there is no configuration yet: {error}"));
            return finish(look_at_devices(None, devices.clone()));
        }
        (Err(error), _) => {
            complain(&error.to_string());
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    if rustls::crypto::aws_lc_rs::default_provider().install_default().is_err() {
        complain("two cryptographic providers were installed; this is a fault of the program");
        return ExitCode::FAILURE;
    }
    finish(match arguments.command.unwrap_or(Command::Run) {
        Command::Decode | Command::Console { .. } => Ok(()),
        Command::Config(ConfigCommand::Check { appliance }) => {
            let faults = if appliance { check::unfit_for_the_appliance(&config) } else { Vec::new() };
            if !faults.is_empty() {
                let file = arguments.config.as_deref().unwrap_or(Path::new(DEFAULT_FILE)).display();
                faults.iter().for_each(|fault| complain(&format!("{file}: {fault}")));
                return ExitCode::from(EXIT_CONFIG);
            }
            say(&check::summary(&config))
        }
        Command::Run => start_log(&config).and_then(|()| run(&config)),
        Command::StockOpen { file, first } => open_stock(&config, &file, first),
        Command::Journal(command) => look_at_journal(&config, command),
        Command::Devices(devices) => look_at_devices(Some(&config), devices),
    })
}

fn look_at_devices(config: Option<&Config>, arguments: DevicesArguments) -> anyhow::Result<()> {
    // On standard error: what a script reads is the outcome alone.
    let outcome = runtime()?.block_on(arguments.execute(config, complain))?;
    outcome.map_or(Ok(()), |outcome| say(&outcome))
}

fn run(config: &Config) -> anyhow::Result<()> {
    // A thread's first few kilobytes would take two megabytes, on a box that has one gigabyte for everything. Where the kernel
    // does not do as it is told, more memory is used, and nothing else differs.
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::info!(%error, "memory is taken in huge pages");
    }
    for concern in check::concerns(config) {
        tracing::warn!("{concern}");
    }
    loop {
        // What opening finds stands in the log.
        let foundation = Foundation::open(config)?;
        let outcome = runtime()?.block_on(supervisor::run(config, &foundation));
        foundation.close();
        if outcome? == Ended::Told {
            return Ok(());
        }
    }
}

/// What the person at the centre decided, by a technician's hand: for a box whose agent does not come so far.
fn carry_over(config: &Config, epoch: u32) -> anyhow::Result<()> {
    DeviceIdentity::load(&config.data_dir)?;
    let plan = Plan { epoch, stage: Stage::Build };
    match Plan::read(&config.data_dir) {
        Ok(Some(under_way)) if under_way.epoch != epoch => {
            return Err(anyhow!(
                "epoch {} was decided before and is not finished: name that",
                under_way.epoch
            ));
        }
        Ok(Some(_)) => {}
        Ok(None) => {
            let _lock = DataLock::take(&config.data_dir)?;
            plan.write(&config.data_dir)?;
        }
        // To open the box says what to do.
        Err(_) => {}
    }
    let foundation = Foundation::open(config)?;
    tell_found(foundation.found());
    let outcome = foundation.carried_over().map(|done| done.unwrap_or("Nothing was to be done.").to_owned());
    let outcome = outcome.map_err(|why| anyhow!("nothing was changed: {why}"));
    foundation.close();
    say(&outcome?)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("the runtime cannot be started")
}

fn start_log(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log.filter)
        .with_context(|| format!("log.filter \"{}\" cannot be read: write \"info\"", config.log.filter))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    match config.log.format {
        LogFormat::Text => log.with_ansi(false).init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}

fn open_stock(config: &Config, file: &Path, first: bool) -> anyhow::Result<()> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let text = stock_open::text(&bytes).with_context(|| format!("{} was not booked", file.display()))?;
    let foundation = Foundation::open(config)?;
    tell_found(foundation.found());
    let outcome = book_stock(config, &foundation, text, first)
        .with_context(|| format!("{} was not booked", file.display()));
    foundation.close();
    let booked = outcome?;
    say(&match booked {
        stock_open::Booked { lines: 0, .. } => {
            format!("{} was booked before: nothing was changed.", file.display())
        }
        stock_open::Booked { lines, .. } => format!("{lines} lines of stock were booked."),
    })
}

fn book_stock(
    config: &Config,
    foundation: &Foundation,
    text: &str,
    first: bool,
) -> anyhow::Result<stock_open::Booked> {
    let (snapshots, mut task) = foundation.snapshots(config, Arc::default())?;
    if *snapshots.version().borrow() == 0 {
        // A box that was never started has no catalogue yet.
        runtime()?
            .block_on(task.look())
            .context("this box has no catalogue yet, and it cannot be fetched")?;
    }
    let stock = stock_open::parse(text, |gtin| snapshots.product(gtin))?;
    let acts = stock_open::acts(text, &stock, &foundation.clock.stamp());
    let keep = Keep::new(config.data_dir.join("counter"))?;
    let mut folded = keep.fold(&foundation.ledger, keep.fetched())?;
    if !folded.missing.is_empty() || !folded.books.missing().is_empty() {
        // Whether the file was booked before stands in what is missing.
        let parts = foundation.fetch_parts(config, keep.fetched())?;
        runtime()?
            .block_on(fetched::now::complete(&parts, &mut folded, &foundation.clock))
            .context(StockError::BooksIncomplete)?;
    }
    Ok(stock_open::book(&foundation.ledger, &folded.books, acts, first)?)
}

fn look_at_journal(config: &Config, command: JournalCommand) -> anyhow::Result<()> {
    match command {
        JournalCommand::Show(OfLane { lane }) => {
            let look = Look::open(config, lane)?;
            tell_found(look.report.sentences());
            Ok(show::show(&look.journal, &mut io::BufWriter::new(io::stdout().lock()))?)
        }
        JournalCommand::CarryOver { epoch } => carry_over(config, epoch),
        JournalCommand::Verify(OfLane { lane }) => verify_journal(&Look::open(config, lane)?),
        JournalCommand::Export { file, of } => export_journal(&Look::open(config, of.lane)?, &file),
    }
}

fn verify_journal(look: &Look) -> anyhow::Result<()> {
    let verified = verify::verify(&look.journal, &look.report, |key| look.identity.centre_key(key))?;
    for sentence in verified.holds.iter().chain(&verified.unproved) {
        say(sentence)?;
    }
    let Some((last, others)) = verified.differs.split_last() else { return Ok(()) };
    others.iter().for_each(|sentence| complain(sentence));
    Err(anyhow!("{last}"))
}

fn export_journal(look: &Look, file: &Path) -> anyhow::Result<()> {
    let cannot = || format!("cannot write {}", file.display());
    let output = File::create_new(file).with_context(cannot)?;
    let mut output = io::BufWriter::new(output);
    let written = export::export(&look.journal, &look.identity.signing, wall_clock(), &mut output)?;
    output.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all().with_context(cannot)?;
    for (epoch, first, last) in &written.missing {
        complain(&format!("facts {first} to {last} of epoch {epoch} cannot be read and are not in the file"));
    }
    say(&format!("{} facts were written to {}", written.facts, file.display()))
}

fn wall_clock() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// What is wrong with the journal is told by every command: it is no fact until the agent has started.
fn tell_found(found: Option<String>) {
    if let Some(found) = found {
        complain(&found);
    }
}

fn finish(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            if let Some(trouble) = error.downcast_ref::<DeviceTrouble>() {
                return ExitCode::from(trouble.exit_code());
            }
            if error.downcast_ref::<StockFileError>().is_some() {
                return ExitCode::from(EXIT_STOCK_FILE);
            }
            if matches!(error.downcast_ref(), Some(StockError::NotFirst)) {
                return ExitCode::from(EXIT_NOT_FIRST);
            }
            let not_enrolled = matches!(error.downcast_ref(), Some(IdentityError::NotEnrolled { .. }));
            if not_enrolled { ExitCode::from(EXIT_NOT_ENROLLED) } else { ExitCode::FAILURE }
        }
    }
}

fn say(text: &str) -> anyhow::Result<()> {
    Ok(writeln!(io::stdout(), "{text}")?)
}

fn complain(text: &str) {
    // Nobody listens on standard error: the exit code still tells.
    let _ = writeln!(io::stderr(), "pestle-agent: {text}");
}
