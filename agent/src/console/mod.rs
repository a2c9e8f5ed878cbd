//! What the box's own screen and serial line show: its name, where its pages are, how it is, and what a person on the spot
//! can do about it. It has no keyboard: nothing here takes input, and what is typed all the same (`terminal`) does nothing.
//!
//! [`screen`] says what stands there and `page` lays it out, both pure; this file looks and draws, again and again, and draws only what
//! has changed.

mod page;
pub mod screen;
mod terminal;

use std::{
    fs,
    io::{self, Write},
    net::IpAddr,
    path::Path,
    time::{Duration, Instant},
};

use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::{appliance, config::Config, identity::DeviceIdentity, web::local};
use screen::{Address, State, Told};
use terminal::StillTerminal;

/// The size of a console whose size nobody knows: what serial terminals have been since the VT100.
const SIZE: (usize, usize) = (80, 24);
/// What the appliance writes down when its data cannot be reached, in sentences (`images/root/usr/lib/pestle/cannot-start`).
const CANNOT_START: &str = "/run/pestle-cannot-start";
/// What came of a technician's stick (`images/root/usr/lib/pestle/setup`).
const SETUP_TOLD: &str = "/run/pestle-setup-told";
/// The whole screen is drawn again so often: a serial terminal that was attached meanwhile shows it, and what the kernel wrote over it
/// goes.
const DRAWN_AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Where nothing but numbers has changed for so long, nobody waits for a change before this screen,
const QUIET_AFTER: Duration = Duration::from_secs(60);
/// and it is looked at so often only: each look costs the box something, day and night.
const LOOK_WHEN_QUIET: Duration = Duration::from_secs(15);
/// Clears the screen, and begins at its top.
const CLEAR: &str = "\x1b[2J\x1b[H";
/// Hides the cursor: nothing can be typed.
const HIDE_CURSOR: &str = "\x1b[?25l";
/// How often a terminal that is held is let go while something is written to it.
const LET_GO_EVERY: Duration = Duration::from_millis(500);
/// For whoever has the terminal afterwards.
const SHOW_CURSOR: &str = "\x1b[?25h\r\n";

/// Shows the box until the process is told to end; the terminal is as it was then. `config` is read anew each time: what is mended is
/// seen.
///
/// # Errors
/// The screen has gone.
pub async fn run(config: Option<&Path>, every: Duration) -> io::Result<()> {
    let (mut term, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let terminal = StillTerminal::of_output()?;
    tokio::select! {
        ended = draw_again_and_again(config, every, &terminal) => ended,
        _ = term.recv() => write(&terminal, SHOW_CURSOR.to_owned()).await,
        _ = interrupt.recv() => write(&terminal, SHOW_CURSOR.to_owned()).await,
    }
}

/// To write to a terminal that is held waits for whoever holds it: it is let go before, and as long as that takes.
async fn write(terminal: &StillTerminal, text: String) -> io::Result<()> {
    let mut writing = tokio::task::spawn_blocking(move || {
        let mut output = io::stdout().lock();
        output.write_all(text.as_bytes())?;
        output.flush()
    });
    loop {
        terminal.let_go()?;
        if let Ok(written) = tokio::time::timeout(LET_GO_EVERY, &mut writing).await {
            return written.unwrap_or_else(|panicked| Err(io::Error::other(panicked)));
        }
    }
}

async fn draw_again_and_again(
    config: Option<&Path>,
    every: Duration,
    terminal: &StillTerminal,
) -> io::Result<()> {
    let mut shown = String::new();
    let (mut changed, mut drawn) = (Instant::now(), None);
    write(terminal, HIDE_CURSOR.to_owned()).await?;
    loop {
        let told = look(config).await;
        let (width, height) = size();
        let text = screen::draw(&told, width, height);
        let is_other = text != shown;
        if is_other || drawn.is_none_or(|drawn: Instant| drawn.elapsed() >= DRAWN_AGAIN_AFTER) {
            // A terminal that is set up for raw output needs both ends of a line.
            write(terminal, format!("{CLEAR}{}", text.replace('\n', "\r\n"))).await?;
            drawn = Some(Instant::now());
        }
        if !screen::is_worded_alike(&text, &shown) {
            changed = Instant::now();
        }
        shown = text;
        let is_quiet = changed.elapsed() >= QUIET_AFTER;
        tokio::time::sleep(if is_quiet { every.max(LOOK_WHEN_QUIET) } else { every }).await;
    }
}

fn size() -> (usize, usize) {
    let known = rustix::termios::tcgetwinsize(io::stdout()).ok();
    known
        .filter(|size| size.ws_col >= 40 && size.ws_row >= 10)
        .map_or(SIZE, |size| (usize::from(size.ws_col), usize::from(size.ws_row)))
}

async fn look(config: Option<&Path>) -> Told {
    if let Ok(what) = fs::read_to_string(CANNOT_START) {
        let state = State::CannotStart(what);
        return Told {
            state,
            port: None,
            addresses: addresses(),
            setup: None,
            troubles: appliance::troubles(),
            version: env!("CARGO_PKG_VERSION"),
        };
    }
    let (state, port) = match Config::load(config) {
        Err(error) => (State::BadConfiguration(error.to_string()), None),
        Ok(config) => {
            let port = config.web.listen.port();
            (state(&config.data_dir).await, Some(port))
        }
    };
    // No stick, no word.
    let setup = fs::read_to_string(SETUP_TOLD).ok();
    let troubles = appliance::troubles();
    Told { state, port, addresses: addresses(), setup, troubles, version: env!("CARGO_PKG_VERSION") }
}

async fn state(data_dir: &Path) -> State {
    match local::health(data_dir).await {
        Ok(health) => match screen::Health::deserialize(health) {
            Ok(health) => State::Running(Box::new(health)),
            Err(error) => State::Silent(format!("its answer cannot be read ({error})")),
        },
        Err(error) => match DeviceIdentity::load(data_dir) {
            Err(identity) => State::NoIdentity(identity.to_string()),
            Ok(_) => State::Silent(error.to_string()),
        },
    }
}

/// Where the box can be reached from outside, without addresses that only neighbours on the cable can use.
fn addresses() -> Vec<Address> {
    let found = if_addrs::get_if_addrs().unwrap_or_default();
    let reachable = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    let mut addresses: Vec<_> = found
        .into_iter()
        .map(|one| Address { ip: one.ip(), card: one.name })
        .filter(|one| reachable(&one.ip))
        .collect();
    addresses.sort();
    addresses
}
