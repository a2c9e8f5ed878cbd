//! The product's own programs as child processes: started with their logs in files, known to be ready, killed in
//! any way, and never left behind.
//!
//! Three nets catch a process, the next one where the one before has a hole: [`Process::stop`] in the ordinary way;
//! `Drop`, when a test fails; and the [`Keeper`], a small process of its own that outlives even a SIGKILL of this one.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::de::DeserializeOwned;
use tokio::io::AsyncWriteExt as _;

use crate::waiting::until;

/// How long a program may take to drain after SIGTERM before it is killed: the agent's own deadline is 10 s.
pub const DRAIN: Duration = Duration::from_secs(20);

/// How much of a log an error quotes.
const LOG_TAIL_BYTES: u64 = 2_000;

/// What can go wrong with a program.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It is not where the build puts it.
    #[error("{path} is not built. Run `cargo build --workspace --bins`, or start the demo with `make demo`")]
    NotBuilt {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The system refused to start it, or its log could not be opened.
    #[error("cannot start {name}")]
    Start {
        /// The program's name.
        name: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It ended although it was wanted.
    #[error("{name} ended with {status}. The end of {log}:\n{tail}")]
    Ended {
        /// The program's name.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// A tool said no.
    #[error("{name} said: {what}")]
    Said {
        /// What was called.
        name: String,
        /// Its words.
        what: String,
    },
    /// It runs, but does not say that it is ready.
    #[error("{name} runs, but was not ready in {within:?}: {last}. The end of {log}:\n{tail}")]
    NotReady {
        /// The program's name.
        name: String,
        /// How long it was waited for.
        within: Duration,
        /// What was missing.
        last: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
}

/// What to start and how.
#[derive(Debug, Clone)]
pub struct Program {
    /// What logs and errors call it: `gateway`, `agent-north`.
    pub name: String,
    /// The file to execute.
    pub path: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What is added to this process's environment.
    pub environment: Vec<(String, String)>,
    /// Where its output is appended.
    pub log: PathBuf,
}

impl Program {
    /// The same, held on one processor core with all that it starts (`taskset(1)`, which every Debian has).
    #[must_use]
    pub fn on_core(&self, core: usize) -> Self {
        let mut arguments = vec!["-c".to_owned(), core.to_string(), self.path.display().to_string()];
        arguments.extend_from_slice(&self.arguments);
        Self { path: PathBuf::from("/usr/bin/taskset"), arguments, ..self.clone() }
    }

    /// Starts it in a process group of its own, so that Ctrl-C at the terminal reaches us alone and we end it in order.
    ///
    /// # Errors
    /// When the file is missing, the log cannot be opened or the system refuses.
    pub fn start(&self, keeper: &Keeper) -> Result<Process, ProcessError> {
        let refused = |source| ProcessError::Start { name: self.name.clone(), source };
        if !self.path.exists() {
            return Err(ProcessError::NotBuilt { path: self.path.clone() });
        }
        let log = open_log(&self.log).map_err(refused)?;
        let child = Command::new(&self.path)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().map_err(refused)?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .map_err(refused)?;
        keeper.watch(child.id());
        Ok(Process {
            name: self.name.clone(),
            child,
            log: self.log.clone(),
            ended: None,
            keeper: keeper.clone(),
        })
    }
}

fn open_log(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// A running program, ended at the latest when this is dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
    keeper: Keeper,
}

impl Process {
    /// The process id, which is also its group's.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            self.ended = Some(status);
            self.keeper.forget(self.child.id());
        }
        self.ended
    }

    /// Waits until the program has written the file `addresses` about itself, and reads it.
    ///
    /// The caller removes an old file before the start; that the process id in it is ours is checked here as well.
    ///
    /// # Errors
    /// When the program ends, or says nothing within `within`.
    pub async fn ready<T: DeserializeOwned>(
        &mut self,
        addresses: &Path,
        within: Duration,
    ) -> Result<T, ProcessError> {
        let looked = until("ready", within, || {
            let outcome = match self.ended() {
                Some(status) => Ok(Err(status)),
                None => read_addresses(addresses, self.id()).map(Ok),
            };
            std::future::ready(outcome)
        })
        .await;
        match looked {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(status)) => Err(ProcessError::Ended {
                name: self.name.clone(),
                status,
                log: self.log.clone(),
                tail: log_tail(&self.log),
            }),
            Err(overdue) => Err(ProcessError::NotReady {
                name: self.name.clone(),
                within,
                last: overdue.last,
                log: self.log.clone(),
                tail: log_tail(&self.log),
            }),
        }
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    /// [`ProcessError::NotReady`] when it still runs after `within`.
    pub async fn wait(&mut self, within: Duration) -> Result<ExitStatus, ProcessError> {
        let ended = until("the end", within, || {
            std::future::ready(self.ended().ok_or_else(|| "it still runs".to_owned()))
        })
        .await;
        ended.map_err(|overdue| ProcessError::NotReady {
            name: self.name.clone(),
            within,
            last: overdue.last,
            log: self.log.clone(),
            tail: log_tail(&self.log),
        })
    }

    /// Pulls the plug: SIGKILL to the whole group, without a word before, and reaps it.
    pub fn kill(&mut self) -> ExitStatus {
        self.signal(Signal::KILL);
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            // A killed process cannot stay: `wait` blocks for as long as the kernel needs to take it down.
            if let Ok(status) = self.child.wait() {
                self.ended = Some(status);
                self.keeper.forget(self.child.id());
                return status;
            }
        }
    }

    /// Asks it to end (SIGTERM), and pulls the plug only when it does not within [`DRAIN`].
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        match self.wait(DRAIN).await {
            Ok(status) => status,
            Err(_) => self.kill(),
        }
    }

    fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            signal_group(self.child.id(), signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let begun = Instant::now();
        while self.ended().is_none() && begun.elapsed() < DRAIN {
            std::thread::sleep(Duration::from_millis(10));
        }
        if self.ended().is_none() {
            self.kill();
        }
    }
}

fn signal_group(id: u32, signal: Signal) {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended a moment ago: then there is nobody to tell.
        let _ = kill_process_group(pid, signal);
    }
}

#[derive(serde::Deserialize)]
struct Whose {
    pid: u32,
}

fn read_addresses<T: DeserializeOwned>(path: &Path, id: u32) -> Result<T, String> {
    let text = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let whose: Whose =
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    if whose.pid != id {
        return Err(format!("{} was written by process {}", path.display(), whose.pid));
    }
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Runs one of our tools to its end with `input` on its standard input, and hands back what it printed. A tool whose
/// caller goes away is killed.
///
/// # Errors
/// With the tool's own words, when it fails.
pub async fn tool(program: &Path, arguments: &[&str], input: &str) -> Result<String, ProcessError> {
    let file = program.file_name().unwrap_or_default().to_string_lossy();
    // What is done, without options and their values' folders: `pestle-agent stock-open`.
    let verb = arguments.iter().find(|word| !word.starts_with('-') && !word.contains('/')).unwrap_or(&"");
    let name = format!("{file} {verb}");
    if !program.exists() {
        return Err(ProcessError::NotBuilt { path: program.to_owned() });
    }
    let refused = |source| ProcessError::Start { name: name.clone(), source };
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C at the terminal reaches us alone.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(refused)?;
    if let Some(mut pipe) = child.stdin.take() {
        // A tool that asks nothing may have ended by now.
        let _ = pipe.write_all(input.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(refused)?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(said(&output.stdout));
    }
    Err(ProcessError::Said { name, what: format!("{}{}", said(&output.stderr), said(&output.stdout)) })
}

/// The end of a log, for an error message.
pub fn log_tail(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        Ok(tail)
    };
    match read() {
        Ok(tail) => String::from_utf8_lossy(&tail).into_owned(),
        Err(error) => format!("(the log cannot be read: {error})"),
    }
}

/// A world whose programs a keeper watches.
#[derive(Debug)]
pub struct Kept {
    /// Where it lives.
    pub folder: PathBuf,
    /// Where its PostgreSQL lives.
    pub cluster: PathBuf,
    /// A share of the lock that keeps other programs out; nobody comes in before the keeper has ended.
    pub hold: File,
}

/// A process that ends what this one has started, should this one die without doing so.
///
/// It reads process group ids from a pipe whose other end only we hold. When the pipe closes, because we ended in any
/// way at all, it asks what is left to end, and kills it if it does not.
#[derive(Debug, Clone)]
pub struct Keeper {
    line: Arc<Mutex<Option<ChildStdin>>>,
}

impl Keeper {
    /// Starts the keeper: `program keep`, where `program` is `pestle-demo`.
    ///
    /// # Errors
    /// When it is not built or the system refuses.
    pub fn start(program: &Path) -> Result<Self, ProcessError> {
        Self::spawn(program, &[], Stdio::null())
    }

    /// The same for a world: at the end it looks after the world's PostgreSQL too, which is the gateway's child and none
    /// of ours, and keeps the place closed for as long as that takes.
    ///
    /// # Errors
    /// When it is not built or the system refuses.
    pub fn of_place(program: &Path, kept: Kept) -> Result<Self, ProcessError> {
        // The keeper says nothing on its standard output: that is where it holds the lock.
        Self::spawn(program, &[&kept.folder, &kept.cluster], Stdio::from(kept.hold))
    }

    fn spawn(program: &Path, arguments: &[&Path], output: Stdio) -> Result<Self, ProcessError> {
        if !program.exists() {
            return Err(ProcessError::NotBuilt { path: program.to_owned() });
        }
        let refused = |source| ProcessError::Start { name: "keeper".to_owned(), source };
        let mut child = Command::new(program)
            .arg("keep")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(refused)?;
        let line = child.stdin.take();
        Ok(Self { line: Arc::new(Mutex::new(line)) })
    }

    /// For tests of things that start nothing.
    pub fn nobody() -> Self {
        Self { line: Arc::new(Mutex::new(None)) }
    }

    /// Lets go of the pipe as a dying parent does: the keeper ends what it knows.
    pub fn abandon(&self) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn watch(&self, id: u32) {
        self.say(&format!("+{id}\n"));
    }

    fn forget(&self, id: u32) {
        self.say(&format!("-{id}\n"));
    }

    fn say(&self, word: &str) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipe) = line.as_mut()
            && pipe.write_all(word.as_bytes()).is_err()
        {
            *line = None;
        }
    }
}

/// The keeper's whole life: listens on standard input, then ends what is left. Called by `pestle-demo keep`.
pub fn keep() {
    let mut left = Vec::<u32>::new();
    for word in std::io::stdin().lines().map_while(Result::ok) {
        let Some(id) = word.get(1..).and_then(|digits| digits.parse::<u32>().ok()) else { continue };
        left.retain(|known| *known != id);
        if word.starts_with('+') {
            left.push(id);
        }
    }
    for id in &left {
        signal_group(*id, Signal::TERM);
    }
    let begun = Instant::now();
    while begun.elapsed() < DRAIN && left.iter().any(|id| group_lives(*id)) {
        std::thread::sleep(Duration::from_millis(50));
    }
    for id in &left {
        signal_group(*id, Signal::KILL);
    }
}

fn group_lives(id: u32) -> bool {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process_group(pid).is_ok())
}

/// Where the build put the workspace's programs: beside this one, or one folder up for a test.
pub fn build_folder() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let folder = own.parent().map(Path::to_owned).unwrap_or_default();
    if folder.ends_with("deps") { folder.parent().map(Path::to_owned).unwrap_or_default() } else { folder }
}

/// The project's root.
pub fn project() -> PathBuf {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.parent().unwrap_or(crate_folder).to_owned()
}

/// Whether a status says "killed by SIGKILL", as a pulled plug leaves it.
pub fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw())
}
