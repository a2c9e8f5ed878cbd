//! Creating, starting, watching and stopping the private cluster.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use rustix::process::{Pid, Signal, kill_process_group};
use sqlx::postgres::PgConnectOptions;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Layout,
    account::{self, Account, AccountError},
    programs::{self, NoPrograms},
    server::{self, Server, command},
    settings::Purpose,
};
use crate::{
    config::PrivateDatabase,
    files,
    lock::{Lock, LockError},
};

/// The bootstrap superuser; used for roles, migrations and nothing else.
pub const ROOT_ROLE: &str = "pestle_root";
/// The role that serves.
pub const SERVE_ROLE: &str = "pestle_serve";
/// The database.
pub const DATABASE: &str = "pestle";

/// First and longest wait before a server that died is started again.
const RESTART_WAIT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

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
    /// The server neither starts nor ends.
    #[error("the database said nothing for {seconds} s: read {}", log.display())]
    NotReady {
        /// How long it was waited for, in seconds.
        seconds: u64,
        /// Where to read more.
        log: PathBuf,
    },
    /// Told to stop before it was ready.
    #[error("the start of the database was given up")]
    Stopped,
    /// Two gateways on one cluster.
    #[error(
        "another gateway (process {pid}) runs the database in {}: stop it, or give this one another database.cluster_dir",
        folder.display()
    )]
    Locked {
        /// The cluster's folder.
        folder: PathBuf,
        /// The other's process number, as far as known.
        pid: String,
    },
    /// The database's folder lost some of what it held, or never was one.
    #[error(
        "{} holds files, but no whole database (PG_VERSION is missing): put the database's backup back there, or move the folder away to begin with an empty one",
        .0.display()
    )]
    NotWhole(PathBuf),
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
    server: Server,
    access: Access,
    _lock: Lock,
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
    /// # Errors
    /// [`ClusterError`], naming what to do.
    pub async fn start(config: &PrivateDatabase, purpose: Purpose) -> Result<Self, ClusterError> {
        Self::start_unless(config, purpose, &CancellationToken::new()).await
    }

    /// As [`PrivateCluster::start`], given up as soon as `stop` is cancelled. Recovery after a crash takes as long as
    /// it takes, and is waited for.
    ///
    /// # Errors
    /// [`ClusterError`], [`ClusterError::Stopped`] among them. No process of ours is left then.
    pub async fn start_unless(
        config: &PrivateDatabase,
        purpose: Purpose,
        stop: &CancellationToken,
    ) -> Result<Self, ClusterError> {
        let programs = programs::find(config.program_dir.as_deref())?;
        let account = account::to_switch_to(&config.run_as)?;
        let layout = Layout::under(&config.cluster_dir);
        if let Some(account) = account {
            account::check_way(&layout.root, &config.run_as, account)?;
        }
        prepare_folder(&layout.root, account)?;
        // Two gateways with data folders of their own may still be told the same cluster.
        let lock = Lock::take(&layout.root).map_err(|error| match error {
            LockError::Held(pid) => ClusterError::Locked { folder: layout.root.clone(), pid },
            LockError::File(error) => error.into(),
        })?;
        prepare_folder(&layout.socket, account)?;
        prepare_secret(&layout.root_secret, account)?;
        prepare_secret(&layout.serve_secret, None)?;
        let access = Access::read(&layout)?;
        if !layout.data.join("PG_VERSION").exists() {
            create(&programs, &layout, account, stop).await?;
        }
        server::stop_survivor(&layout.data, stop).await?;
        let server = Server::launch(&programs, &layout, account, purpose, stop).await?;
        Ok(Self { programs, layout, account, purpose, server, access, _lock: lock })
    }

    /// How to reach it.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Process number of the server.
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    /// Keeps it running until `stop`, then stops it. A server that dies is started again, with back-off.
    pub async fn keep(mut self, stop: CancellationToken) {
        let mut wait = RESTART_WAIT.0;
        loop {
            let began = Instant::now();
            tokio::select! {
                () = stop.cancelled() => break,
                ended = self.server.ended() => {
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

    /// Tries until the server runs again; false when told to stop meanwhile, and then nothing runs.
    async fn restart(&mut self, wait: &mut Duration, stop: &CancellationToken) -> bool {
        loop {
            tokio::select! {
                () = stop.cancelled() => return false,
                () = sleep(*wait) => {}
            }
            *wait = (*wait * 2).min(RESTART_WAIT.1);
            match Server::launch(&self.programs, &self.layout, self.account, self.purpose, stop).await {
                Ok(server) => {
                    self.server = server;
                    tracing::warn!("the database server was started again");
                    return true;
                }
                Err(ClusterError::Stopped) => return false,
                Err(error) => {
                    tracing::error!(%error, retry_ms = wait.as_millis(), "the database server cannot be started again yet");
                }
            }
        }
    }

    /// Fast shutdown (open transactions are rolled back), made immediate when it takes too long.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}

pub(super) fn folder_error(path: &Path) -> impl FnOnce(io::Error) -> ClusterError {
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

/// Whether that folder is there and something lies in it.
fn is_filled(folder: &Path) -> Result<bool, ClusterError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_some()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(ClusterError::Folder { path: folder.to_owned(), source }),
    }
}

/// `initdb` into a folder beside, which is renamed when whole: a start that was cut off begins again.
async fn create(
    programs: &Path,
    layout: &Layout,
    account: Option<Account>,
    stop: &CancellationToken,
) -> Result<(), ClusterError> {
    if is_filled(&layout.data)? {
        return Err(ClusterError::NotWhole(layout.data.clone()));
    }
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
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| ClusterError::Spawn { program: program.clone(), source })?;
    let group = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    let mut ended = std::pin::pin!(child.wait_with_output());
    let output = tokio::select! {
        output = &mut ended => output,
        () = stop.cancelled() => {
            // With the servers that it starts for a moment: they are of its process group.
            if let Some(group) = group {
                let _ = kill_process_group(group, Signal::KILL);
            }
            let _ = ended.await;
            return Err(ClusterError::Stopped);
        }
    };
    let output = output.map_err(|source| ClusterError::Spawn { program, source })?;
    if !output.status.success() {
        return Err(ClusterError::Init(String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")));
    }
    fs::rename(&layout.data_unfinished, &layout.data).map_err(folder_error(&layout.data))?;
    files::sync_folder(&layout.root)?;
    tracing::info!(folder = %layout.data.display(), "created the private database");
    Ok(())
}
