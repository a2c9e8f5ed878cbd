//! Starts the parts in their order, watches them, and ends them in the reverse order within a deadline.
//!
//! A part that ends by itself ends the agent: the service manager starts it anew, which is a state that is tested, while half
//! an agent is one that nobody has thought of.

mod parts;
mod shown;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::anyhow;
use tokio::{
    net::{TcpListener, UnixListener},
    signal::unix::{SignalKind, signal},
    sync::{Notify, watch},
};
use tokio_util::sync::CancellationToken;

use crate::{
    appeal,
    config::Config,
    counter::{
        handle::{Counter, CounterParts},
        keep::Keep,
        settings::CounterSettings,
    },
    devices::{self, changes::DevicesToCome, kept::DeviceFiles, page_scanners::PageScanners},
    durable_file,
    fetched::task::{FetchParts, FetchTask},
    foundation::Foundation,
    health::Health,
    orders::{self, task::OrdersParts},
    personal::{Persons, task::PersonsTask},
    relay::{
        Relay,
        driver::{OrdersEnd, RelayTask},
    },
    service_manager,
    snapshot::{SnapshotTask, Snapshots},
    space::{self, Space},
    spool::{self, task::Orders},
    web,
};
use parts::{Parts, watch_counter, watch_devices, watch_journal};

/// What ending in order may take; systemd's own limit is far above.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Why the box ended in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Told,
    /// It is to begin again at once: what was decided at the centre is carried out before its parts run.
    ToBeginAgain,
}

/// Runs the box until a signal, until a decision of the centre has it begin again, or until a part ends by itself.
///
/// # Errors
/// In words: what could not be started, or which part ended.
pub async fn run(config: &Config, foundation: &Foundation) -> anyhow::Result<Ended> {
    let mut signals = Signals::new()?;
    let prepared = prepare(config, foundation).await?;
    foundation.record_start().await?;
    let (counter, papers) = start_counter(config, foundation, &prepared).await?;
    let Prepared { pages, rest, keep: _ } = prepared;
    let address = pages.address;
    let stops = Stops::default();
    let begin_again = CancellationToken::new();
    let appeal = foundation.appeal_parts(config, (&rest.relay, &counter), address, begin_again.clone())?;
    let mut parts = Parts::default();
    let (devices, to_come) = devices::changes::to_come();
    start_pages(config, foundation, (pages, &rest), (&counter, to_come), &stops, &mut parts);
    announce(&config.data_dir, address)?;
    let status = format!(
        "{} of branch {}: pages on {address}",
        foundation.identity.identity.device, foundation.identity.identity.branch
    );
    service_manager::ready(&status);
    let identity = &foundation.identity.identity;
    tracing::info!(%address, device = %identity.device, branch = %identity.branch, "the box is ready");
    // From here on somebody may sell. What takes longer, and what is away at times anyway, comes behind that.
    let (tasks, opened) = devices::start(config, papers, &counter, &foundation.clock);
    devices.send_replace(Some(opened));
    parts.spawn("devices", watch_devices(tasks, stops.rest.clone()));
    start_rest(config, foundation, rest, &counter, &stops, &mut parts);
    parts.spawn("appeal", appeal::task::run(appeal, stops.rest.clone()));

    let ended = tokio::select! {
        name = signals.next() => { tracing::info!(signal = name, "shutting down"); Ok(Ended::Told) }
        () = begin_again.cancelled() => {
            tracing::info!("beginning again, as it was decided at the centre");
            Ok(Ended::ToBeginAgain)
        }
        name = parts.next() => {
            Err(anyhow!("the part \"{name}\" ended by itself; the log says why. Start the agent again"))
        }
    };
    match &ended {
        Ok(Ended::ToBeginAgain) => service_manager::beginning_again(),
        Ok(Ended::Told) | Err(_) => service_manager::ending(),
    }
    drain(&counter, &stops, &mut parts).await;
    ended
}

/// What is made before anything runs: whatever is wrong with the configuration or the network is said at once.
struct Prepared {
    pages: Pages,
    keep: Keep,
    rest: Rest,
}

/// What the pages are served with.
struct Pages {
    started_mono_ms: u64,
    listener: TcpListener,
    local: Option<UnixListener>,
    address: SocketAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
}

/// What does not run yet when the pages do.
struct Rest {
    snapshots: Snapshots,
    snapshot_task: SnapshotTask,
    persons: Persons,
    persons_task: PersonsTask,
    relay: Relay,
    relay_task: RelayTask,
    nudge: Arc<Notify>,
    fetch: FetchParts,
    room: watch::Sender<Space>,
}

async fn prepare(config: &Config, foundation: &Foundation) -> anyhow::Result<Prepared> {
    let started_mono_ms = foundation.clock.mono_ms();
    let nudge = Arc::new(Notify::new());
    let (snapshots, snapshot_task) = foundation.snapshots(config, nudge.clone())?;
    let (persons, persons_task) = foundation.persons(config)?;
    let (relay, relay_task) = Relay::new(foundation.relay_parts(config, &snapshots, nudge.clone())?);
    let keep = Keep::new(config.data_dir.join("counter"))?;
    let fetch = foundation.fetch_parts(config, keep.fetched())?;
    let listener = web::serve::bind(config.web.listen).await?;
    let address = listener.local_addr()?;
    durable_file::create_folder(&config.data_dir.join("run"))?;
    let local = web::local::bind(&config.data_dir)
        .inspect_err(|error| tracing::warn!(%error, "the box's own console cannot ask how it is"))
        .ok();
    let tls = match config.web.tls {
        true => Some(Arc::new(foundation.identity.server_tls(foundation.clock.clone())?)),
        false => None,
    };
    let pages = Pages { started_mono_ms, listener, local, address, tls };
    let room = watch::Sender::new(Space::default());
    let rest =
        Rest { snapshots, snapshot_task, persons, persons_task, relay, relay_task, nudge, fetch, room };
    Ok(Prepared { pages, keep, rest })
}

async fn start_counter(
    config: &Config,
    foundation: &Foundation,
    prepared: &Prepared,
) -> anyhow::Result<(Counter, Orders)> {
    let settings = CounterSettings::from_config(config, foundation.ledger.stream().epoch);
    let (printers, orders) = spool::task::queues(settings.printers());
    let counter = Counter::start(CounterParts {
        settings,
        ledger: foundation.ledger.clone(),
        telemetry: foundation.telemetry.clone(),
        keep: prepared.keep.clone(),
        clock: foundation.clock.clone(),
        shop: prepared.rest.snapshots.shop(),
        persons: prepared.rest.persons.clone(),
        printers,
    })
    .await?;
    Ok((counter, orders))
}

/// Who is told to stop, in this order.
#[derive(Default)]
struct Stops {
    web: CancellationToken,
    rest: CancellationToken,
}

/// What a counter sells with, and what watches that: before all else.
fn start_pages(
    config: &Config,
    foundation: &Foundation,
    (pages, rest): (Pages, &Rest),
    (counter, devices): (&Counter, DevicesToCome),
    stops: &Stops,
    parts: &mut Parts,
) {
    let Pages { started_mono_ms, listener, local, address, tls } = pages;
    let stop = || stops.rest.clone();
    for (name, journal) in
        [("ledger journal", &foundation.ledger), ("telemetry journal", &foundation.telemetry)]
    {
        parts.spawn(name, watch_journal(journal.clone(), stop()));
    }
    parts.spawn("counter", watch_counter(counter.clone()));
    let identity = &foundation.identity.identity;
    let health = Health {
        tenant: identity.tenant.clone(),
        branch: identity.branch.clone(),
        device: identity.device.clone(),
        started_mono_ms,
        clock: foundation.clock.clone(),
        journals: vec![foundation.ledger.clone(), foundation.telemetry.clone()],
        space: rest.room.subscribe(),
        relay: rest.relay.clone(),
        snapshots: rest.snapshots.clone(),
        persons: rest.persons.clone(),
        counter: counter.clone(),
        ended: parts.ended(),
    };
    let gate = match (&tls, foundation.identity.web_certificate()) {
        (Some(_), Some(certificate)) => web::guard::Gate::https(address, certificate.clone()),
        _ => web::guard::Gate::plain(address),
    };
    let health = health.router();
    let scanners = PageScanners::open(DeviceFiles::of(&config.data_dir));
    parts.spawn("local status", web::local::serve(local, health.clone(), stop()));
    parts.spawn("watchdog", service_manager::watchdog(counter.clone(), stop()));
    let router = health.merge(web::routes::router(counter.clone(), devices, scanners, gate));
    parts.spawn("web", web::serve::serve(listener, tls, router, stops.web.clone()));
}

/// The centre, and the room on the disk.
fn start_rest(
    config: &Config,
    foundation: &Foundation,
    rest: Rest,
    counter: &Counter,
    stops: &Stops,
    parts: &mut Parts,
) {
    let Rest { snapshots, snapshot_task, persons, persons_task, relay, relay_task, nudge, fetch, room } =
        rest;
    // Before the first reading, which should not wait for it.
    let _made = foundation.telemetry.make_ready();
    let clock = foundation.clock.clone();
    let stop = || stops.rest.clone();
    let (inbox, orders) = orders::task::inbox();
    let end = OrdersEnd { inbox, state: counter.orders() };
    parts.spawn("relay", relay_task.with_orders(end).with_alerts(counter.urgent()).run(stop()));
    let desk = OrdersParts {
        identity: foundation.identity.clone(),
        counter: counter.clone(),
        snapshot: snapshots.version(),
        nudge,
    };
    parts.spawn("orders", orders::task::run(desk, orders, stop()));
    parts.spawn("earlier facts", FetchTask::new(fetch, counter.clone()).run(stop()));
    parts.spawn("snapshot", snapshot_task.run(stop()));
    parts.spawn("patients' keys", persons_task.run(stop()));
    parts.spawn("patients' keys view", shown::show_persons(persons, counter.clone(), stop()));
    let links = shown::show_centre(relay, snapshots, counter.clone(), clock.clone(), stop());
    parts.spawn("link view", links);
    let watched = space::task::Parts {
        data_dir: config.data_dir.clone(),
        budget: config.space,
        ledger: foundation.ledger.clone(),
        telemetry: foundation.telemetry.clone(),
        counter: counter.clone(),
        clock,
        space: room,
    };
    parts.spawn("space", space::task::run(watched, stop()));
}

/// No new business first, then what is on its way to the disk, then what the centre can still have.
async fn drain(counter: &Counter, stops: &Stops, parts: &mut Parts) {
    stops.web.cancel();
    let drained = async {
        counter.stop().await;
        stops.rest.cancel();
        parts.all().await;
    };
    if tokio::time::timeout(DRAIN_MAX, drained).await.is_err() {
        tracing::warn!("not everything ended in time; what is on the disk is safe");
    }
}

/// Says where the pages are: `run/addresses.json`, for whoever started us.
fn announce(data_dir: &Path, web: SocketAddr) -> anyhow::Result<()> {
    let file: PathBuf = data_dir.join("run/addresses.json");
    let text = serde_json::json!({ "web": web.to_string(), "pid": std::process::id() }).to_string();
    durable_file::tell(&file, text.as_bytes())?;
    Ok(())
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
