//! Starts rmqtt inside this process, on threads of its own: its stores keep blocking threads busy for as long as they
//! live, which a runtime that is shared would wait for at its end, and a flood of connections must not slow down REST.

use std::{
    fmt, fs, io,
    net::SocketAddr,
    num::NonZeroU16,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use pestle_domain::ids::DeviceId;
use rmqtt::{context::ServerContext, net::Builder, server::MqttServer};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::{BrokerMetrics, PACKET_BYTES_MAX, Revoked, hooks};
use crate::authority::Credentials;

/// Messages that wait for one slow or absent client. A box asks for what it missed by its heads, so this is comfort.
pub(super) const QUEUE_LENGTH_MAX: usize = 1_000;
/// Messages on their way to one client, unacknowledged. Ingest takes batches by the dozen.
const INFLIGHT_MAX: NonZeroU16 = match NonZeroU16::new(128) {
    Some(most) => most,
    None => NonZeroU16::MIN,
};
/// Retained messages: of each box that may connect its birth and both shadows. Nobody may retain anything else
/// ([`super::rights`]), so that this bounds what was retained under names that are gone.
const RETAINED_MAX: usize = 3 * CONNECTIONS_MAX;
/// Connections.
const CONNECTIONS_MAX: usize = 50_000;
/// How long a session outlives its connection at most.
const SESSION_EXPIRY_MAX: Duration = Duration::from_secs(24 * 3600);
/// Threads. TLS and routing of some thousand boxes; more only when a core has nothing else to do.
const THREADS: usize = 2;
/// How long its stores may take to flush at the end. What they lose is asked for again.
const END_DEADLINE: Duration = Duration::from_secs(2);
/// How long an undelivered message is kept.
const MESSAGE_EXPIRY: Duration = Duration::from_secs(3600);

/// The broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The port is taken.
    #[error(
        "the MQTT port {0} is taken by another program: stop that program, or write another address as mqtt.listen"
    )]
    PortTaken(SocketAddr),
    /// The port cannot be opened for another reason.
    #[error("the MQTT port {address} cannot be opened: {reason}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
    /// Something inside.
    #[error("the broker cannot be started: {0}")]
    Start(String),
}

/// The running broker.
pub struct BuiltIn {
    context: ServerContext,
    address: SocketAddr,
    runtime: Threads,
    ended: CancellationToken,
}

impl fmt::Debug for BuiltIn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("BuiltIn").field("address", &self.address).finish_non_exhaustive()
    }
}

impl BuiltIn {
    /// Starts it; it ends with [`BuiltIn::end`], or when it is dropped.
    ///
    /// # Errors
    /// [`BrokerError`].
    pub async fn start(
        listen: SocketAddr,
        credentials: &Credentials,
        ca_file: &Path,
        data_dir: &Path,
        (revoked, metrics): (Revoked, BrokerMetrics),
    ) -> Result<Self, BrokerError> {
        let failed = |error: &dyn fmt::Display| BrokerError::Start(error.to_string());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("broker")
            .enable_all()
            .build()
            .map_err(|error| failed(&error))?;
        let files = Files {
            chain: text(&credentials.chain_file),
            key: text(&credentials.key_file),
            ca: text(ca_file),
            stores: data_dir.join("broker"),
        };
        let ended = CancellationToken::new();
        let keeper = hooks::Gatekeeper { revoked, metrics };
        let starting = runtime.spawn(serve(listen, files, keeper, ended.clone()));
        // From here on an end that comes early (an error, a caller that gives up) ends the broker too.
        let runtime = Threads(Mutex::new(Some(runtime)));
        let (context, address) = starting.await.map_err(|error| failed(&error))??;
        Ok(Self { context, address, runtime, ended })
    }

    /// Whether the port can be had at all, asked before anything that takes long is begun.
    ///
    /// # Errors
    /// [`BrokerError::PortTaken`], [`BrokerError::Listen`].
    pub fn check_port(listen: SocketAddr) -> Result<(), BrokerError> {
        std::net::TcpListener::bind(listen).map(drop).map_err(|error| refused(listen, error.kind(), &error))
    }

    /// Ends it: connections are cut, stores flushed.
    pub fn end(&self) {
        self.runtime.end();
    }

    /// Resolves once it serves no more: it broke down, or was ended.
    pub async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends the living connections of a box.
    pub(super) async fn disconnect(&self, device: &DeviceId) {
        let work = disconnect(self.context.clone(), device.clone());
        let task = {
            let runtime = self.runtime.0.lock().unwrap_or_else(PoisonError::into_inner);
            runtime.as_ref().map(|runtime| runtime.spawn(work))
        };
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%device, %error, "a revoked box could not be thrown off the broker at once");
        }
    }
}

/// The broker's own threads.
struct Threads(Mutex<Option<Runtime>>);

impl Threads {
    /// A runtime cannot be dropped inside another one: it is given to a thread that waits for its end.
    fn end(&self) {
        let Some(runtime) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let waiter = std::thread::Builder::new().name("broker-end".into());
        if let Err(error) = waiter.spawn(move || runtime.shutdown_timeout(END_DEADLINE)) {
            tracing::error!(%error, "the broker's end is not waited for");
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.end();
    }
}

async fn disconnect(context: ServerContext, device: DeviceId) {
    let shared = context.extends.shared().await;
    let entries: Vec<_> = shared
        .iter()
        .filter(|entry| {
            entry.session().is_some_and(|session| session.id.username.as_deref() == Some(device.as_str()))
        })
        .collect();
    for entry in entries {
        let kicked = match entry.try_lock().await {
            Ok(mut entry) => entry.kick(true, true, true).await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = kicked {
            tracing::warn!(%device, %error, "a revoked box could not be thrown off the broker at once");
        }
    }
}

/// What the broker reads and keeps.
struct Files {
    chain: String,
    key: String,
    ca: String,
    stores: PathBuf,
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Opens the port and the stores, and serves from then on.
async fn serve(
    listen: SocketAddr,
    files: Files,
    keeper: hooks::Gatekeeper,
    ended: CancellationToken,
) -> Result<(ServerContext, SocketAddr), BrokerError> {
    // Bound before the stores are opened: of two gateways the second must not touch the first one's.
    let listener = listener(listen, &files)?;
    let address = listener.local_addr().map_err(|error| BrokerError::Start(error.to_string()))?;
    let context = context(&files.stores, keeper).await?;
    let server = MqttServer::new(context.clone()).listener_by_id(listener, address.port()).build();
    // Cancelled however the task ends: when the broker gives up, panics, or is taken down with its threads.
    let ended = ended.drop_guard();
    tokio::spawn(async move {
        let result = server.run().await;
        tracing::error!(result = ?result.err(), "the broker ended by itself");
        drop(ended);
    });
    Ok((context, address))
}

fn listener(listen: SocketAddr, files: &Files) -> Result<rmqtt::net::Listener, BrokerError> {
    let bound = Builder::new()
        .name("pestle")
        .laddr(listen)
        .reuseaddr(Some(true))
        .nodelay(true)
        .max_connections(CONNECTIONS_MAX)
        .max_packet_size(PACKET_BYTES_MAX)
        .allow_anonymous(false)
        .max_inflight(INFLIGHT_MAX)
        .max_mqueue_len(QUEUE_LENGTH_MAX)
        .max_clientid_len(128)
        .max_topic_levels(8)
        .max_subscriptions(32)
        .handshake_timeout(Duration::from_secs(10))
        .max_session_expiry_interval(SESSION_EXPIRY_MAX)
        .message_expiry_interval(MESSAGE_EXPIRY)
        .tls_cross_certificate(true)
        .tls_cert(Some(files.chain.clone()))
        .tls_key(Some(files.key.clone()))
        .tls_client_ca_certs(Some(files.ca.clone()))
        .cert_cn_as_username(true)
        .bind()
        .map_err(|error| {
            let kind = error.downcast_ref().map_or(io::ErrorKind::Other, io::Error::kind);
            refused(listen, kind, &error)
        })?;
    bound.tls().map_err(|error| BrokerError::Start(error.to_string()))
}

fn refused(listen: SocketAddr, kind: io::ErrorKind, error: &dyn fmt::Display) -> BrokerError {
    match kind {
        io::ErrorKind::AddrInUse => BrokerError::PortTaken(listen),
        _ => BrokerError::Listen { address: listen, reason: error.to_string() },
    }
}

/// Builds the broker's context with its plugins. Its stores are derived: one that cannot be opened (sled panics on a
/// damaged file) is put aside, and the broker starts without it.
async fn context(folder: &Path, keeper: hooks::Gatekeeper) -> Result<ServerContext, BrokerError> {
    let attempt = |folder: PathBuf, keeper: hooks::Gatekeeper| {
        tokio::spawn(async move { build(&folder, keeper).await })
    };
    match attempt(folder.to_owned(), keeper.clone()).await {
        Ok(Ok(context)) => return Ok(context),
        Ok(Err(error)) => tracing::error!(%error, "the broker's store cannot be opened: beginning a new one"),
        Err(_) => tracing::error!("the broker's store is damaged: beginning a new one"),
    }
    let aside = folder.with_extension("damaged");
    let renewed = fs::remove_dir_all(&aside)
        .or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) });
    renewed
        .and_then(|()| fs::rename(folder, &aside))
        .map_err(|error| BrokerError::Start(error.to_string()))?;
    match attempt(folder.to_owned(), keeper).await {
        Ok(Ok(context)) => Ok(context),
        Ok(Err(error)) => Err(BrokerError::Start(error.to_string())),
        Err(error) => Err(BrokerError::Start(error.to_string())),
    }
}

async fn build(folder: &Path, keeper: hooks::Gatekeeper) -> rmqtt::Result<ServerContext> {
    fs::create_dir_all(folder)?;
    let store = |name: &str| {
        // A TOML literal string: no escapes, and no path of ours has a single quote.
        let path = folder.join(name);
        format!(
            "storage.type = \"sled\"\nstorage.sled.path = '{}'\nstorage.sled.cache_capacity = \"8MB\"\n",
            path.display()
        )
    };
    let context = ServerContext::new()
        // Nothing else shares the machine's processor figures with us: no refusing by load.
        .busy_check_enable(false)
        .task_exec_workers(500)
        .task_exec_queue_max(50_000)
        .plugins_config_map_add(
            "rmqtt-retainer",
            format!(
                "{}max_payload_size = \"64KB\"\nmax_retained_messages = {RETAINED_MAX}\nretained_message_ttl = \"0s\"\n",
                store("retained")
            ),
        )
        .plugins_config_map_add("rmqtt-session-storage", store("sessions"))
        .plugins_config_map_add("rmqtt-shared-subscription", "strategy = \"hash_clientid\"\n")
        .build()
        .await;
    rmqtt_retainer::register(&context, true, true).await?;
    rmqtt_session_storage::register(&context, true, true).await?;
    rmqtt_shared_subscription::register(&context, true, true).await?;
    let register = context.extends.hook_mgr().register();
    for point in hooks::POINTS {
        register.add_priority(point, u32::MAX, Box::new(keeper.clone())).await;
    }
    register.start().await;
    Ok(context)
}
