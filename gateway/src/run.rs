//! Starts everything in order, watches it, and ends it in the opposite order.
//!
//! ```text
//! lock ► authority ► HTTPS port ► database ► schema ► broker ► tasks ► addresses.json
//! ```
//!
//! At the end: `addresses.json` goes, tasks and ports stop and drain, connections are given back, the private
//! database stops last.

mod addresses;
mod supervisor;

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Instant};

use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use addresses::Addresses;
pub use supervisor::Supervisor;

use crate::{
    app::App,
    authority::{Authority, AuthorityError},
    broker::{
        self, Broker, BrokerMetrics, ClientTls, Revoked,
        builtin::{BrokerError, BuiltIn},
    },
    config::{BrokerChoice, Config, DatabaseChoice},
    db::{self, Db, DbError, schema},
    enrolment::Tries,
    files::{self, FileError},
    fleet,
    http::{gate::Gate, metrics::Metrics, routes, serve},
    identity::{Identity, token::Tokens},
    lock::{Lock, LockError},
    patients::erasures::{self, Erasures, ErasuresError},
    postgres::{ClusterError, PrivateCluster, cluster, settings::Purpose},
    snapshot::Snapshots,
};

/// Why the gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file or folder.
    #[error(transparent)]
    File(#[from] FileError),
    /// Two gateways on one data folder.
    #[error("another gateway (process {pid}) works in {}: stop it, or give this one another data_dir", folder.display())]
    Locked {
        /// The folder.
        folder: PathBuf,
        /// The other's process number, as far as known.
        pid: String,
    },
    /// Told to stop before everything was started.
    #[error("the start was given up: the gateway was told to stop")]
    Stopped,
    /// Certificates.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// TLS.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The port is taken.
    #[error(
        "the HTTPS port {0} is taken by another program: stop that program, or write another address as https.listen"
    )]
    PortTaken(SocketAddr),
    /// The port cannot be opened for another reason.
    #[error("the HTTPS port {address} cannot be opened")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The private database.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// The database.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The broker.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// Who was erased.
    #[error(transparent)]
    Erasures(#[from] ErasuresError),
}

/// A gateway that runs.
#[derive(Debug)]
pub struct Running {
    /// What handlers and tasks share.
    pub app: Arc<App>,
    tasks: Supervisor,
    database: Option<(CancellationToken, tokio::task::JoinHandle<()>)>,
    addresses: PathBuf,
    _lock: Lock,
}

/// Starts a gateway. When this returns, both ports answer.
///
/// # Errors
/// [`StartError`], each saying what to do. What was started before the error is stopped.
pub async fn start(config: Config) -> Result<Running, StartError> {
    start_unless(config, &CancellationToken::new()).await
}

/// As [`start`], given up as soon as `stop` is cancelled: creating or recovering a database may take minutes.
///
/// # Errors
/// [`StartError`], [`StartError::Stopped`] among them. What was started before the error is stopped.
pub async fn start_unless(config: Config, stop: &CancellationToken) -> Result<Running, StartError> {
    files::make_folder(&config.data_dir, 0o755)?;
    let run_folder = config.data_dir.join("run");
    files::make_folder(&run_folder, 0o755)?;
    let lock = Lock::take(&run_folder).map_err(|error| match error {
        LockError::Held(pid) => StartError::Locked { folder: run_folder.clone(), pid },
        LockError::File(error) => error.into(),
    })?;
    let now = OffsetDateTime::now_utc();
    let authority = Authority::open(&config.data_dir, now)?;
    let erasures = Arc::new(Erasures::open(&config.data_dir)?);
    let listener = listen(config.https.listen).await?;
    if let BrokerChoice::BuiltIn(address) = config.broker {
        // Before minutes are spent on the database; the broker itself opens the port later.
        BuiltIn::check_port(address)?;
    }
    let (database, db) = start_database(&config, stop).await?;
    let rest = start_rest(config, (authority, erasures), listener, db, run_folder, now);
    match stop.run_until_cancelled(rest).await.unwrap_or(Err(StartError::Stopped)) {
        Ok((app, tasks, addresses)) => Ok(Running { app, tasks, database, addresses, _lock: lock }),
        Err(error) => {
            stop_database(database).await;
            Err(error)
        }
    }
}

type DatabaseTask = Option<(CancellationToken, tokio::task::JoinHandle<()>)>;

async fn start_database(config: &Config, stop: &CancellationToken) -> Result<(DatabaseTask, Db), StartError> {
    match &config.database {
        DatabaseChoice::Dsn { serve, owner } => {
            let (serve, owner) = (db::parse_dsn(serve)?, db::parse_dsn(owner)?);
            let ready = schema::apply(&owner);
            stop.run_until_cancelled(ready).await.ok_or(StartError::Stopped)??;
            Ok((None, Db::new(serve)))
        }
        DatabaseChoice::Private(private) => {
            let running = match PrivateCluster::start_unless(private, Purpose::Serve, stop).await {
                Err(ClusterError::Stopped) => return Err(StartError::Stopped),
                other => other?,
            };
            let access = running.access().clone();
            let end = CancellationToken::new();
            let task = tokio::spawn(running.keep(end.clone()));
            let task = Some((end, task));
            let ready = async {
                schema::prepare(&access.root("postgres"), cluster::DATABASE, access.serve_password()).await?;
                schema::apply(&access.root(cluster::DATABASE)).await
            };
            let error = match stop.run_until_cancelled(ready).await {
                Some(Ok(())) => return Ok((task, Db::new(access.serve(cluster::DATABASE)))),
                Some(Err(error)) => error.into(),
                None => StartError::Stopped,
            };
            stop_database(task).await;
            Err(error)
        }
    }
}

async fn stop_database(task: DatabaseTask) {
    if let Some((stop, task)) = task {
        stop.cancel();
        if let Err(error) = task.await {
            tracing::error!(%error, "the task that keeps the database ended badly");
        }
    }
}

async fn start_rest(
    config: Config,
    (authority, erasures): (Authority, Arc<Erasures>),
    listener: TcpListener,
    db: Db,
    run_folder: PathBuf,
    now: OffsetDateTime,
) -> Result<(Arc<App>, Supervisor, PathBuf), StartError> {
    let stop = CancellationToken::new();
    // An error on the way ends what was started before it.
    let started = stop.clone().drop_guard();
    db.check().await?;
    // A database that was restored has people again who were erased: before anybody can read them.
    erasures::start(&erasures, &db, authority.keyring()).await?;
    let names = &config.https.public_names;
    let tls = ClientTls::new(&authority, authority.gateway_client(now)?)?;
    let instance = broker::client::instance(&config.data_dir)?;
    let broker = match &config.broker {
        BrokerChoice::External(address) => Broker::external(address, instance, tls),
        BrokerChoice::BuiltIn(listen) => {
            // Before the first box can connect.
            let revoked = Revoked::default();
            revoked.replace(fleet::watch::read(&db).await?);
            let server = authority.server(names, now)?;
            let ca = authority.ca_file();
            let counted = BrokerMetrics::default();
            let shared = (revoked.clone(), counted.clone());
            let builtin = BuiltIn::start(*listen, &server, &ca, &config.data_dir, shared).await?;
            Broker::built_in(builtin, instance, revoked, tls, counted)
        }
    };
    let https = listener
        .local_addr()
        .map_err(|source| StartError::Listen { address: config.https.listen, source })?;
    let server_tls = serve::tls(&authority, authority.server(names, now)?)?;
    let identity = Identity::new(Tokens::new(&authority.token_key()?));
    let app = Arc::new(App {
        config,
        db,
        authority,
        broker,
        https,
        metrics: Metrics::default(),
        ingest: crate::ingest::metrics::IngestMetrics::default(),
        identity,
        enrolment: Tries::default(),
        erasures,
        snapshots: Snapshots::default(),
        nudge: tokio::sync::Notify::new(),
        started: Instant::now(),
        stock: crate::inventory::cache::StockCache::default(),
        live: crate::ingest::live::Live::default(),
        stop: stop.clone(),
    });
    app.metrics.register(|registry| app.broker.metrics().register(registry));
    app.metrics.register(|registry| app.ingest.register(registry));
    app.metrics.register(|registry| app.erasures.register(registry));
    app.metrics.register(|registry| app.authority.keyring().register(registry));
    let mut tasks = Supervisor::new(stop);
    spawn_tasks(&mut tasks, &app);
    let gate = Gate::default();
    app.metrics.register(|registry| gate.register(registry));
    let router = routes::router(app.clone());
    tasks.spawn("https", serve::serve_behind(gate, listener, server_tls, router, app.stop.clone()));
    let addresses = Addresses::of(&app).write(&run_folder)?;
    started.disarm();
    tracing::info!(https = %app.https, mqtt = app.broker.address(), "the gateway is ready");
    Ok((app, tasks, addresses))
}

/// The modules' own work. One line each.
fn spawn_tasks(tasks: &mut Supervisor, app: &Arc<App>) {
    tasks.spawn("broker", watch_broker(app.clone()));
    tasks.spawn("revocations", fleet::watch::run(app.clone()));
    tasks.spawn("ingest", crate::ingest::run(app.clone()));
    tasks.spawn("refolding", crate::ingest::refold::run(app.clone()));
    tasks.spawn("nudges", fleet::nudge::run(app.clone()));
    tasks.spawn("erasures", erasures::run(app.clone()));
}

/// Ends when the broker does: a gateway without it takes nothing from any branch, and is started anew.
async fn watch_broker(app: Arc<App>) {
    tokio::select! {
        () = app.broker.ended() => {}
        () = app.stop.cancelled() => {}
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::PortTaken(address),
        _ => StartError::Listen { address, source },
    })
}

impl Running {
    /// Resolves when a task ended that must not: the gateway cannot go on.
    pub async fn failed(&mut self) -> &'static str {
        self.tasks.failed().await
    }

    /// Ends everything in order.
    pub async fn stop(self) {
        if let Err(error) = std::fs::remove_file(&self.addresses) {
            tracing::warn!(%error, "addresses.json cannot be removed");
        }
        self.tasks.stop().await;
        self.app.broker.end();
        self.app.db.close().await;
        stop_database(self.database).await;
    }
}
