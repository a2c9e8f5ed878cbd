//! Creating, starting, watching and stopping the private cluster.

use std::{
    fs,
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgConnectOptions;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    Layout,
    account::{self, Account, AccountError},
    programs::{self, NoPrograms},
    settings::{Purpose, settings},
};
use crate::{config::PrivateDatabase, files};

/// The bootstrap superuser; used for roles, migrations and nothing else.
pub const ROOT_ROLE: &str = "pestle_root";
/// The role that serves.
pub const SERVE_ROLE: &str = "pestle_serve";
/// The database.
pub const DATABASE: &str = "pestle";

/// How long a start may take. Replaying 2 GB of WAL (`max_wal_size`) after a crash takes a slow disk this long.
const START_DEADLINE: Duration = Duration::from_secs(180);
/// How long a fast shutdown may take before it is made an immediate one.
const STOP_DEADLINE: Duration = Duration::from_secs(20);
/// How often files and processes that cannot be waited for are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// First and longest wait before a server that died is started again.
const RESTART_WAIT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// The server's log is begun anew at the next start once it is larger, in bytes; one old one is kept.
const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// What went wrong with the private cluster.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// No server programs.
    #[error(transparent)]
    Programs(#[from] NoPrograms),
    /// Nobody to run it.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// A secret cannot be kept.
    #[error(transparent)]
    File(#[from] files::FileError),
    /// A folder cannot be made or given.
    #[error("the database's folder {} cannot be prepared", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Somebody else's folder stands where the socket belongs.
    #[error("{} belongs to somebody else: remove it", .0.display())]
    ForeignFolder(PathBuf),
    /// A program cannot be run.
    #[error("{program} cannot be started")]
    Spawn {
        /// Which.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// `initdb` failed.
    #[error("the database could not be created: {0}")]
    Init(String),
    /// The server ended before it was ready.
    #[error("the database did not start ({status}); {} ends with: {tail}", log.display())]
    Ended {
        /// How.
        status: ExitStatus,
        /// Where to read more.
        log: PathBuf,
        /// The last lines.
        tail: String,
    },
    /// The server is not ready in time.
    #[error("the database was not ready after {} s: read {}", START_DEADLINE.as_secs(), .0.display())]
    NotReady(PathBuf),
    /// An old server does not end.
    #[error("an earlier database server (process {0}) does not end: stop it and start the gateway again")]
    OldServer(i32),
    /// The system gave no random numbers.
    #[error("the system gave no random numbers for a password")]
    NoRandom,
}

/// A running private cluster.
#[derive(Debug)]
pub struct PrivateCluster {
    programs: PathBuf,
    layout: Layout,
    account: Option<Account>,
    purpose: Purpose,
    child: Child,
    access: Access,
}

/// How to reach a private cluster.
#[derive(Clone)]
pub struct Access {
    socket: PathBuf,
    root_password: String,
    serve_password: String,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Access").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Access {
    /// For a cluster that another process of ours runs.
    ///
    /// # Errors
    /// The secrets cannot be read: it was never started, or by another user.
    pub fn read(layout: &Layout) -> Result<Self, files::FileError> {
        let secret = |path: &Path| -> Result<String, files::FileError> {
            let text = fs::read_to_string(path).map_err(files::FileError::at("read", path))?;
            Ok(text.trim().to_owned())
        };
        Ok(Self {
            socket: layout.socket.clone(),
            root_password: secret(&layout.root_secret)?,
            serve_password: secret(&layout.serve_secret)?,
        })
    }

    /// As superuser.
    pub fn root(&self, database: &str) -> PgConnectOptions {
        self.role(ROOT_ROLE, &self.root_password, database)
    }

    /// As the role that serves.
    pub fn serve(&self, database: &str) -> PgConnectOptions {
        self.role(SERVE_ROLE, &self.serve_password, database)
    }

    /// The serving role's password, for `ALTER ROLE`.
    pub fn serve_password(&self) -> &str {
        &self.serve_password
    }

    /// As a DSN, for the serving role. The socket's folder stands in the host's place, percent-encoded.
    pub fn dsn_serve(&self, database: &str) -> String {
        self.dsn(SERVE_ROLE, &self.serve_password, database)
    }

    /// As a DSN, for the superuser.
    pub fn dsn_root(&self, database: &str) -> String {
        self.dsn(ROOT_ROLE, &self.root_password, database)
    }

    fn dsn(&self, role: &str, password: &str, database: &str) -> String {
        let host = self.socket.to_string_lossy().replace('%', "%25").replace('/', "%2F").replace(' ', "%20");
        format!("postgres://{role}:{password}@{host}/{database}")
    }

    fn role(&self, role: &str, password: &str, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket)
            .username(role)
            .password(password)
            .database(database)
            .application_name("pestle-gateway")
    }
}

impl PrivateCluster {
    /// Creates the cluster if there is none, stops a server that outlived an earlier gateway, and starts it.
    ///
    /// The caller holds the data folder's lock, so that no second gateway does the same.
    ///
    /// # Errors
    /// [`ClusterError`], naming what to do.
    pub async fn start(config: &PrivateDatabase, purpose: Purpose) -> Result<Self, ClusterError> {
        let programs = programs::find(config.program_dir.as_deref())?;
        let account = account::to_switch_to(&config.run_as)?;
        let layout = Layout::under(&config.cluster_dir);
        if let Some(account) = account {
            account::check_way(&layout.root, &config.run_as, account)?;
        }
        prepare_folder(&layout.root, account)?;
        prepare_folder(&layout.socket, account)?;
        prepare_secret(&layout.root_secret, account)?;
        prepare_secret(&layout.serve_secret, None)?;
        let access = Access::read(&layout)?;
        if !layout.data.join("PG_VERSION").exists() {
            create(&programs, &layout, account).await?;
        }
        stop_survivor(&layout.data).await?;
        let child = launch(&programs, &layout, account, purpose).await?;
        Ok(Self { programs, layout, account, purpose, child, access })
    }

    /// How to reach it.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Process number of the server.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Keeps it running until `stop`, then stops it. A server that dies is started again, with back-off.
    pub async fn keep(mut self, stop: CancellationToken) {
        let mut wait = RESTART_WAIT.0;
        loop {
            let began = Instant::now();
            tokio::select! {
                () = stop.cancelled() => break,
                ended = self.child.wait() => {
                    tracing::error!(status = ?ended.ok(), log = %self.layout.log.display(), "the database server ended by itself");
                }
            }
            if began.elapsed() > Duration::from_secs(60) {
                wait = RESTART_WAIT.0;
            }
            if !self.restart(&mut wait, &stop).await {
                return;
            }
        }
        self.stop().await;
    }

    /// Tries until the server runs again; false when told to stop meanwhile.
    async fn restart(&mut self, wait: &mut Duration, stop: &CancellationToken) -> bool {
        loop {
            tokio::select! {
                () = stop.cancelled() => return false,
                () = sleep(*wait) => {}
            }
            *wait = (*wait * 2).min(RESTART_WAIT.1);
            match launch(&self.programs, &self.layout, self.account, self.purpose).await {
                Ok(child) => {
                    self.child = child;
                    tracing::warn!("the database server was started again");
                    return true;
                }
                Err(error) => {
                    tracing::error!(%error, retry_ms = wait.as_millis(), "the database server cannot be started again yet");
                }
            }
        }
    }

    /// Fast shutdown (open transactions are rolled back), made immediate when it takes too long.
    pub async fn stop(mut self) {
        signal(self.child.id(), Signal::INT);
        if tokio::time::timeout(STOP_DEADLINE, self.child.wait()).await.is_err() {
            tracing::warn!(
                "the database server takes too long to stop: it will replay its log at the next start"
            );
            signal(self.child.id(), Signal::QUIT);
            let _ = tokio::time::timeout(STOP_DEADLINE, self.child.wait()).await;
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

fn folder_error(path: &Path) -> impl FnOnce(io::Error) -> ClusterError {
    let path = path.to_owned();
    move |source| ClusterError::Folder { path, source }
}

/// A folder that the server's account alone may enter.
fn prepare_folder(path: &Path, account: Option<Account>) -> Result<(), ClusterError> {
    use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
    if let Some(above) = path.parent() {
        fs::create_dir_all(above).map_err(folder_error(above))?;
    }
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        other => other.map_err(folder_error(path))?,
    }
    let meta = fs::symlink_metadata(path).map_err(folder_error(path))?;
    let ours = rustix::process::geteuid().as_raw();
    let expected = account.map_or(ours, |account| account.uid);
    if !meta.is_dir() || (meta.uid() != expected && meta.uid() != ours) {
        return Err(ClusterError::ForeignFolder(path.to_owned()));
    }
    fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(folder_error(path))?;
    account::give(path, account).map_err(folder_error(path))
}

/// A file with a generated password, made once.
fn prepare_secret(path: &Path, account: Option<Account>) -> Result<(), ClusterError> {
    if !path.exists() {
        let mut bytes = [0u8; 32];
        SystemRandom::new().fill(&mut bytes).map_err(|_| ClusterError::NoRandom)?;
        files::write_atomically(path, hex::encode(bytes).as_bytes(), files::SECRET)?;
    }
    account::give(path, account).map_err(folder_error(path))
}

/// `initdb` into a folder beside, which is renamed when whole: a start that was cut off begins again.
async fn create(programs: &Path, layout: &Layout, account: Option<Account>) -> Result<(), ClusterError> {
    if layout.data_unfinished.exists() {
        fs::remove_dir_all(&layout.data_unfinished).map_err(folder_error(&layout.data_unfinished))?;
    }
    let program = programs.join("initdb");
    let mut command = command(&program, layout, account);
    command
        .arg("--pgdata")
        .arg(&layout.data_unfinished)
        .arg("--username")
        .arg(ROOT_ROLE)
        .arg("--pwfile")
        .arg(&layout.root_secret)
        .args(["--auth-local=scram-sha-256", "--auth-host=reject", "--data-checksums", "--encoding=UTF8"])
        .args(["--locale=C.UTF-8", "--no-instructions"]);
    let output = command.output().await.map_err(|source| ClusterError::Spawn { program, source })?;
    if !output.status.success() {
        return Err(ClusterError::Init(String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")));
    }
    fs::rename(&layout.data_unfinished, &layout.data).map_err(folder_error(&layout.data))?;
    files::sync_folder(&layout.root)?;
    tracing::info!(folder = %layout.data.display(), "created the private database");
    Ok(())
}

fn command(program: &Path, layout: &Layout, account: Option<Account>) -> Command {
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

async fn launch(
    programs: &Path,
    layout: &Layout,
    account: Option<Account>,
    purpose: Purpose,
) -> Result<Child, ClusterError> {
    let log = open_log(layout).map_err(folder_error(&layout.log))?;
    let also = log.try_clone().map_err(folder_error(&layout.log))?;
    let program = programs.join("postgres");
    let mut command = command(&program, layout, account);
    command.arg("-D").arg(&layout.data).arg("-k").arg(&layout.socket).stdout(log).stderr(also);
    for (name, value) in settings(purpose) {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    let mut child = command.spawn().map_err(|source| ClusterError::Spawn { program, source })?;
    let deadline = Instant::now() + START_DEADLINE;
    while !is_ready(&layout.data, child.id()) {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(ClusterError::Ended { status, log: layout.log.clone(), tail: tail(&layout.log) });
        }
        if Instant::now() > deadline {
            return Err(ClusterError::NotReady(layout.log.clone()));
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(child)
}

fn open_log(layout: &Layout) -> io::Result<fs::File> {
    if fs::metadata(&layout.log).is_ok_and(|meta| meta.len() > LOG_BYTES_MAX) {
        fs::rename(&layout.log, layout.log.with_extension("log.1"))?;
    }
    let mut log = fs::OpenOptions::new().create(true).append(true).mode(files::SECRET).open(&layout.log)?;
    writeln!(log, "-- start --")?;
    Ok(log)
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take_while(|line| *line != "-- start --").take(4).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("; ")
}

/// `postmaster.pid`: the first line is the process, the eighth its state (PostgreSQL's `miscadmin.h`).
fn is_ready(data: &Path, pid: Option<u32>) -> bool {
    let text = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    let mut lines = text.lines();
    lines.next().and_then(|line| line.trim().parse().ok()) == pid
        && lines.nth(6).is_some_and(|state| state.trim() == "ready")
}

/// Stops the server of this folder that an earlier, killed gateway left behind.
async fn stop_survivor(data: &Path) -> Result<(), ClusterError> {
    let Some(pid) = survivor(data) else { return Ok(()) };
    tracing::warn!(
        pid = pid.as_raw_nonzero(),
        "a database server outlived an earlier gateway: stopping it first"
    );
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
    Err(ClusterError::OldServer(pid.as_raw_nonzero().get()))
}

/// The living server of this folder. A number from an old file may belong to another program by now: only a process
/// that works in this folder counts (a postmaster changes into its data folder).
fn survivor(data: &Path) -> Option<Pid> {
    let text = fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let pid: i32 = text.lines().next()?.trim().parse().ok()?;
    let works_in = fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    (works_in == fs::canonicalize(data).ok()?).then(|| Pid::from_raw(pid)).flatten()
}
