//! One server process: starting it until it is ready, stopping it, and finding one that an earlier gateway left.
//!
//! ```text
//! launch ─► starting (recovery: as long as it takes) ─► ready ─► stopped and reaped
//!              │ told to stop, or silent too long                     ▲
//!              └──────────────────────────────────────────────────────┘
//! ```

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    Layout,
    account::Account,
    cluster::{ClusterError, folder_error},
    settings::{Purpose, settings},
};
use crate::files;

/// How long a fast shutdown may take before it is made an immediate one.
const STOP_DEADLINE: Duration = Duration::from_secs(20);
/// How often files and processes that cannot be waited for are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The server's log is begun anew at the next start once it is larger, in bytes; one old one is kept.
const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// What each start writes first, so that [`tail`] does not show an earlier one's end.
const LOG_START: &str = "-- start --";

/// How long a start is waited for.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// A server that does not even say that it is starting is given up after this. One that says so is never: it
    /// replays its log, and whoever interrupts that makes the next start begin with it anew.
    silent: Duration,
    /// While it is starting, the log says so this often.
    say_every: Duration,
}

const PATIENCE: Patience = Patience { silent: Duration::from_secs(180), say_every: Duration::from_secs(10) };

/// A server that is ready.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
}

impl Server {
    /// Starts the server and waits until it is ready. When it does not come so far, nothing of it is left.
    ///
    /// # Errors
    /// [`ClusterError::Ended`], [`ClusterError::NotReady`], [`ClusterError::Stopped`] once `stop` is cancelled.
    pub(super) async fn launch(
        programs: &Path,
        layout: &Layout,
        account: Option<Account>,
        purpose: Purpose,
        stop: &CancellationToken,
    ) -> Result<Self, ClusterError> {
        let log = open_log(layout).map_err(folder_error(&layout.log))?;
        let also = log.try_clone().map_err(folder_error(&layout.log))?;
        let program = programs.join("postgres");
        let mut command = command(&program, layout, account);
        command.arg("-D").arg(&layout.data).arg("-k").arg(&layout.socket).stdout(log).stderr(also);
        for (name, value) in settings(purpose) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let child = command.spawn().map_err(|source| ClusterError::Spawn { program, source })?;
        Self { child }.until_ready(layout, stop, PATIENCE).await
    }

    async fn until_ready(
        mut self,
        layout: &Layout,
        stop: &CancellationToken,
        patience: Patience,
    ) -> Result<Self, ClusterError> {
        let began = Instant::now();
        let mut say_at = began + patience.say_every;
        let mut silent_until = began + patience.silent;
        let why = loop {
            let state = state(&layout.data, self.child.id());
            if state == State::Ready {
                return Ok(self);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                let (log, tail) = (layout.log.clone(), tail(&layout.log));
                return Err(ClusterError::Ended { status, log, tail });
            }
            let now = Instant::now();
            if state == State::Starting {
                silent_until = now + patience.silent;
            }
            if now >= silent_until {
                break ClusterError::NotReady { seconds: began.elapsed().as_secs(), log: layout.log.clone() };
            }
            if now >= say_at {
                say_at = now + patience.say_every;
                tracing::info!(
                    seconds = began.elapsed().as_secs(), log = %layout.log.display(),
                    "the database server is starting: after a crash it replays its log first"
                );
            }
            tokio::select! {
                () = sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => break ClusterError::Stopped,
            }
        };
        self.stop().await;
        Err(why)
    }

    /// Resolves when the server ends by itself.
    ///
    /// # Errors
    /// As `waitpid(2)`.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Process number, until it was reaped.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Fast shutdown (open transactions are rolled back), made immediate when it takes too long. Waits until it is gone.
    pub(super) async fn stop(mut self) {
        for (how, deadline) in
            [(Signal::INT, STOP_DEADLINE), (Signal::QUIT, STOP_DEADLINE), (Signal::KILL, STOP_DEADLINE)]
        {
            signal(self.child.id(), how);
            if tokio::time::timeout(deadline, self.child.wait()).await.is_ok() {
                return;
            }
            tracing::warn!(
                "the database server takes too long to stop: it will replay its log at the next start"
            );
        }
    }
}

fn signal(pid: Option<u32>, signal: Signal) {
    let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid
        && let Err(error) = kill_process(pid, signal)
    {
        tracing::warn!(%error, "the database server cannot be signalled");
    }
}

/// One of the server's programs, to be run as the cluster's account.
pub(super) fn command(program: &Path, layout: &Layout, account: Option<Account>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("LANG", "C.UTF-8").env("PATH", "/usr/bin:/bin").current_dir(&layout.root);
    command.stdin(Stdio::null());
    // A terminal's Ctrl-C goes to the gateway alone, which stops the server last.
    command.process_group(0);
    if let Some(account) = account {
        command.uid(account.uid).gid(account.gid);
    }
    command
}

fn open_log(layout: &Layout) -> io::Result<fs::File> {
    if fs::metadata(&layout.log).is_ok_and(|meta| meta.len() > LOG_BYTES_MAX) {
        fs::rename(&layout.log, layout.log.with_extension("log.1"))?;
    }
    let mut log = fs::OpenOptions::new().create(true).append(true).mode(files::SECRET).open(&layout.log)?;
    writeln!(log, "{LOG_START}")?;
    Ok(log)
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take_while(|line| *line != LOG_START).take(4).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("; ")
}

/// What a server says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing yet, or it is another server's file.
    Silent,
    /// It recovers, or is about to.
    Starting,
    /// It takes connections.
    Ready,
    /// It ends.
    Stopping,
}

/// `postmaster.pid`: the first line is the process, the eighth its state (PostgreSQL's `pidfile.h`).
fn state(data: &Path, pid: Option<u32>) -> State {
    let text = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let mut lines = text.lines();
    if pid.is_none() || lines.next().and_then(|line| line.trim().parse().ok()) != pid {
        return State::Silent;
    }
    match lines.nth(6).map(str::trim) {
        Some("starting") => State::Starting,
        Some("ready") => State::Ready,
        Some("stopping") => State::Stopping,
        _ => State::Silent,
    }
}

/// Stops the server of this folder that an earlier, killed gateway left behind.
///
/// One that recovers is let finish first: interrupted, it would begin anew at the next start.
///
/// # Errors
/// [`ClusterError::OldServer`] when it does not end.
pub(super) async fn stop_survivor(data: &Path, stop: &CancellationToken) -> Result<(), ClusterError> {
    let Some(pid) = survivor(data) else { return Ok(()) };
    let number = pid.as_raw_nonzero();
    tracing::warn!(pid = number, "a database server outlived an earlier gateway: stopping it first");
    let recovers =
        || survivor(data) == Some(pid) && state(data, u32::try_from(number.get()).ok()) == State::Starting;
    let mut say_at = Instant::now() + PATIENCE.say_every;
    while recovers() && !stop.is_cancelled() {
        if Instant::now() >= say_at {
            say_at += PATIENCE.say_every;
            tracing::info!(pid = number, "that database server still replays its log: waiting for it");
        }
        sleep(LOOK_EVERY).await;
    }
    for how in [Signal::INT, Signal::QUIT] {
        let _ = kill_process(pid, how);
        let deadline = Instant::now() + STOP_DEADLINE;
        while survivor(data) == Some(pid) {
            if Instant::now() > deadline {
                break;
            }
            sleep(LOOK_EVERY).await;
        }
        if survivor(data) != Some(pid) {
            return Ok(());
        }
    }
    Err(ClusterError::OldServer(number.get()))
}

/// The living server of this folder. A number from an old file may belong to another program by now: only a process
/// that says on its command line that it serves this folder counts. (Where a process works is not for everybody to
/// read: root in a container without `CAP_SYS_PTRACE` may not.)
fn survivor(data: &Path) -> Option<Pid> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    serves(&line, data).then(|| Pid::from_raw(pid)).flatten()
}

/// Whether a command line (words that end with a zero) has `-D` and that folder.
fn serves(line: &[u8], data: &Path) -> bool {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    let words: Vec<&OsStr> = line.split(|byte| *byte == 0).map(OsStr::from_bytes).collect();
    let same = |word: &OsStr| {
        let word = Path::new(word);
        word == data
            || fs::canonicalize(word).is_ok_and(|word| fs::canonicalize(data).is_ok_and(|data| word == data))
    };
    words.windows(2).any(|pair| pair[0] == "-D" && same(pair[1]))
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
