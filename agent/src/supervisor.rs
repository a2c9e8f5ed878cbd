//! Starts the parts in their order, watches them, and ends them in the reverse order within a deadline.
//!
//! A part that ends by itself ends the agent: the service manager starts it anew, which is a state that is tested, while half
//! an agent is one that nobody has thought of.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use pestle_domain::{
    fact::{Act, Actor, BoxStarted, Stamp},
    ids::{ActId, FactId},
    journal::{Lane, Stream},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Notify,
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    clock::Clock,
    config::{Config, host_and_port, https_address},
    counter::{
        keep::Keep,
        machine::{CounterSettings, Event},
        task::{Counter, CounterParts},
        view::LinkView,
    },
    devices, durable_file,
    health::Health,
    identity::DeviceIdentity,
    journal::{Journal, OpenReport, Place, Settings},
    lock::DataLock,
    relay::{LinkState, Relay, RelayParts, connection::ConnectionSettings},
    snapshot::{SnapshotParts, SnapshotTask, Snapshots, fetch::Centre},
    spool, web,
};

/// What ending in order may take; systemd's own limit is far above.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Old generations are looked for this often.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);

/// What every command that touches the box's data stands on. Made before any task runs.
#[derive(Debug)]
pub struct Foundation {
    /// Who the box is.
    pub identity: Arc<DeviceIdentity>,
    /// Time.
    pub clock: Arc<Clock>,
    /// The journal of everything with an effect.
    pub ledger: Journal,
    /// The journal of readings and health.
    pub telemetry: Journal,
    /// What opening the journals found, in sentences.
    pub found: Option<String>,
    _lock: DataLock,
}

impl Foundation {
    /// Takes the data folder, and opens what lies in it. Blocks on the disk.
    ///
    /// # Errors
    /// In words: who else uses the folder, that the box is not enrolled, what the disk refuses.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let identity = Arc::new(DeviceIdentity::load(&config.data_dir)?);
        let lock = DataLock::take(&config.data_dir)?;
        let clock = Arc::new(Clock::open(&config.data_dir)?);
        let open = |lane| open_journal(config, &identity, lane, &clock.stamp());
        let (ledger, first) = open(Lane::Ledger)?;
        let (telemetry, second) = open(Lane::Telemetry)?;
        let found: Vec<_> = [first, second].iter().filter_map(OpenReport::sentences).collect();
        let found = (!found.is_empty()).then(|| found.join(" "));
        Ok(Self { identity, clock, ledger, telemetry, found, _lock: lock })
    }

    /// The snapshot that is kept, and the task that looks for newer ones.
    ///
    /// # Errors
    /// In words: an address or a certificate that cannot be used.
    pub fn snapshots(
        &self,
        config: &Config,
        nudge: Arc<Notify>,
    ) -> anyhow::Result<(Snapshots, SnapshotTask)> {
        let (https, _) = config.centre(&self.identity.identity);
        let (host, port) =
            https_address(https).ok_or_else(|| anyhow!("\"{https}\" is no HTTPS address of the centre"))?;
        let tls = Arc::new(self.identity.client_tls(self.clock.clone(), &[b"http/1.1"])?);
        Ok(Snapshots::open(SnapshotParts {
            folder: config.data_dir.join("snapshot"),
            identity: self.identity.clone(),
            clock: self.clock.clone(),
            centre: Centre { host: host.to_owned(), port, tls },
            nudge,
        }))
    }

    fn relay_parts(
        &self,
        config: &Config,
        snapshots: &Snapshots,
        nudge: Arc<Notify>,
    ) -> anyhow::Result<RelayParts> {
        let (_, mqtt) = config.centre(&self.identity.identity);
        let (host, port) =
            host_and_port(mqtt).ok_or_else(|| anyhow!("\"{mqtt}\" is no address of the broker"))?;
        let tls = Arc::new(self.identity.client_tls(self.clock.clone(), &[])?);
        let device = self.identity.identity.device.clone();
        let connection = ConnectionSettings {
            host: host.to_owned(),
            port,
            tls,
            device,
            agent: env!("CARGO_PKG_VERSION").into(),
        };
        Ok(RelayParts {
            journals: vec![self.ledger.clone(), self.telemetry.clone()],
            identity: self.identity.clone(),
            clock: self.clock.clone(),
            connection,
            snapshot: snapshots.version(),
            snapshot_nudge: nudge,
        })
    }

    /// Ends both journals in order. Blocks.
    pub fn close(&self) {
        self.ledger.close_blocking();
        self.telemetry.close_blocking();
    }
}

fn open_journal(
    config: &Config,
    identity: &DeviceIdentity,
    lane: Lane,
    stamp: &Stamp,
) -> anyhow::Result<(Journal, OpenReport)> {
    let who = &identity.identity;
    let stream = Stream {
        tenant: who.tenant.clone(),
        branch: who.branch.clone(),
        term: who.term,
        device: who.device.clone(),
        lane,
        epoch: 0,
    };
    let folder = config.data_dir.join("journal").join(lane.as_str());
    Journal::open(Settings { folder, stream, limits: config.journal }, stamp)
        .with_context(|| format!("the {} journal cannot be opened", lane.as_str()))
}

/// Runs the box until a signal, or until a part ends by itself.
///
/// # Errors
/// In words: what could not be started, or which part ended.
pub async fn run(config: &Config, foundation: &Foundation) -> anyhow::Result<()> {
    let started_mono_ms = foundation.clock.mono_ms();
    let mut signals = Signals::new()?;
    let stop = CancellationToken::new();
    let nudge = Arc::new(Notify::new());
    let (snapshots, snapshot_task) = foundation.snapshots(config, nudge.clone())?;
    let (relay, relay_task) = Relay::new(foundation.relay_parts(config, &snapshots, nudge)?);
    let listener = web::serve::bind(config.web.listen).await?;
    let address = listener.local_addr()?;
    let tls = match config.web.tls {
        true => Some(Arc::new(foundation.identity.server_tls(foundation.clock.clone())?)),
        false => None,
    };
    foundation.ledger.append(box_started(foundation).into()).await?;

    let settings = CounterSettings::from_config(config, foundation.ledger.stream().epoch);
    let (printers, orders) = spool::task::queues(settings.printers());
    let counter = Counter::start(CounterParts {
        settings,
        ledger: foundation.ledger.clone(),
        telemetry: foundation.telemetry.clone(),
        keep: Keep::new(config.data_dir.join("counter"))?,
        clock: foundation.clock.clone(),
        shop: snapshots.shop(),
        printers,
    })
    .await?;
    let mut devices = devices::start(config, orders, &counter, &foundation.clock);
    let identity = &foundation.identity.identity;
    let health = Health {
        tenant: identity.tenant.clone(),
        branch: identity.branch.clone(),
        device: identity.device.clone(),
        started_mono_ms,
        clock: foundation.clock.clone(),
        journals: vec![foundation.ledger.clone(), foundation.telemetry.clone()],
        relay: relay.clone(),
        snapshots,
        counter: counter.clone(),
    };
    let gate = match (&tls, foundation.identity.web_certificate()) {
        (Some(_), Some(certificate)) => web::guard::Gate::https(address, certificate.clone()),
        _ => web::guard::Gate::plain(address),
    };
    let router = health.router().merge(web::routes::router(counter.clone(), gate));

    let web_stop = CancellationToken::new();
    let mut parts = Parts::default();
    parts.spawn("relay", relay_task.run(stop.clone()));
    parts.spawn("snapshot", snapshot_task.run(stop.clone()));
    parts.spawn("web", web::serve::serve(listener, tls, router, web_stop.clone()));
    parts.spawn("link view", show_link(relay, counter.clone(), stop.clone()));
    parts.spawn(
        "pruning",
        prune(
            foundation.ledger.clone(),
            foundation.telemetry.clone(),
            foundation.clock.clone(),
            stop.clone(),
        ),
    );
    announce(&config.data_dir, address)?;
    tracing::info!(%address, device = %identity.device, branch = %identity.branch, "the box is ready");

    let ended = tokio::select! {
        name = signals.next() => { tracing::info!(signal = name, "shutting down"); None }
        ended = parts.next() => Some(ended),
    };
    // No new business first, then what is on its way to the disk, then what the centre can still have.
    web_stop.cancel();
    let drain = async {
        counter.stop().await;
        devices.shutdown().await;
        stop.cancel();
        parts.all().await;
    };
    if tokio::time::timeout(DRAIN_MAX, drain).await.is_err() {
        tracing::warn!("not everything ended in time; what is on the disk is safe");
    }
    ended.map_or(Ok(()), |name| {
        Err(anyhow!("the part \"{name}\" ended by itself; the log says why. Start the agent again"))
    })
}

fn box_started(foundation: &Foundation) -> Act {
    let body = BoxStarted {
        version: env!("CARGO_PKG_VERSION").into(),
        found: foundation.found.as_deref().map(Into::into),
    };
    let stamp = foundation.clock.stamp();
    Act::new(ActId(Uuid::now_v7()), &Actor::Machine, &stamp, vec![body.into()], || FactId(Uuid::now_v7()))
}

/// Says where the pages are: `run/addresses.json`, for whoever started us.
fn announce(data_dir: &Path, web: std::net::SocketAddr) -> anyhow::Result<()> {
    let file: PathBuf = data_dir.join("run/addresses.json");
    durable_file::create_folder(&data_dir.join("run"))?;
    let text = serde_json::json!({ "web": web.to_string(), "pid": std::process::id() }).to_string();
    durable_file::write(&file, text.as_bytes())?;
    Ok(())
}

async fn show_link(relay: Relay, counter: Counter, stop: CancellationToken) {
    let mut link = relay.watch();
    loop {
        let LinkState { state, waiting, detail, .. } = link.borrow_and_update().clone();
        counter.tell(Event::Link(LinkView { state: state.as_str().to_owned(), waiting, detail })).await;
        let changed = tokio::select! {
            changed = link.changed() => changed,
            () = stop.cancelled() => return,
        };
        if changed.is_err() {
            stop.cancelled().await;
            return;
        }
    }
}

/// Telemetry is folded into nothing, so what the centre has and is old may go. The ledger stays whole: the books can be
/// rebuilt from it alone.
async fn prune(ledger: Journal, telemetry: Journal, clock: Arc<Clock>, stop: CancellationToken) {
    let everything = Place { epoch: u32::MAX, seq: u64::MAX };
    loop {
        for (journal, folded) in [(&ledger, Place::START), (&telemetry, everything)] {
            let (journal, now) = (journal.clone(), clock.wall());
            match tokio::task::spawn_blocking(move || journal.prune(now, folded)).await {
                Ok(Ok(0)) => {}
                Ok(Ok(removed)) => tracing::info!(removed, "old generations of the journal were removed"),
                Ok(Err(error)) => {
                    tracing::error!(%error, "old generations of the journal could not be removed")
                }
                Err(panic) => tracing::error!(%panic, "old generations of the journal could not be removed"),
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(PRUNE_EVERY) => {}
        }
    }
}

/// The parts that must not end by themselves.
#[derive(Default)]
struct Parts(JoinSet<&'static str>);

impl Parts {
    fn spawn(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(async move {
            let part = tokio::spawn(part);
            let guard = AbortOnDrop(part.abort_handle());
            if let Err(error) = part.await {
                tracing::error!(part = name, %error, "a part of the agent failed");
            }
            drop(guard);
            name
        });
    }

    /// The first that ends.
    async fn next(&mut self) -> &'static str {
        match self.0.join_next().await {
            Some(Ok(name)) => name,
            Some(Err(_)) | None => "supervisor",
        }
    }

    async fn all(&mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Signals {
    term: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { term: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
