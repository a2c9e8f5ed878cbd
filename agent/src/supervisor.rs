//! Starts the parts in their order, watches them, and ends them in the reverse order within a deadline.
//!
//! A part that ends by itself ends the agent: the service manager starts it anew, which is a state that is tested, while half
//! an agent is one that nobody has thought of.

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
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    appeal,
    clock::Clock,
    config::Config,
    counter::{
        handle::{Counter, CounterParts},
        keep::Keep,
        machine::{CounterSettings, Event},
        view::{DeviceState, DeviceView, LinkView},
    },
    devices::{self, desk::Devices, kept::DeviceFiles, page_scanners::PageScanners},
    durable_file,
    fetched::task::{FetchParts, FetchTask},
    foundation::Foundation,
    health::Health,
    journal::Journal,
    orders::{self, task::OrdersParts},
    personal::{PersonalState, Persons, task::PersonsTask},
    relay::{
        LinkState, Relay,
        driver::{OrdersEnd, RelayTask},
    },
    service_manager,
    snapshot::{SnapshotTask, Snapshots},
    space::{self, Space},
    spool, web,
};

/// What ending in order may take; systemd's own limit is far above.
const DRAIN_MAX: Duration = Duration::from_secs(10);
/// Whether the snapshot is out of date is looked at this often: it goes by hours.
const LOOK_EVERY: Duration = Duration::from_secs(60);

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
    let (counter, devices) = start_counter(config, foundation, &prepared).await?;
    let address = prepared.address;
    let stops = Stops::default();
    let begin_again = CancellationToken::new();
    let appeal =
        foundation.appeal_parts(config, (&prepared.relay, &counter), address, begin_again.clone())?;
    let mut parts = start_parts(config, foundation, prepared, &counter, devices, &stops);
    parts.spawn("appeal", appeal::task::run(appeal, stops.rest.clone()));
    announce(&config.data_dir, address)?;
    let status = format!(
        "{} of branch {}: pages on {address}",
        foundation.identity.identity.device, foundation.identity.identity.branch
    );
    service_manager::ready(&status);
    let identity = &foundation.identity.identity;
    tracing::info!(%address, device = %identity.device, branch = %identity.branch, "the box is ready");

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
    started_mono_ms: u64,
    snapshots: Snapshots,
    snapshot_task: SnapshotTask,
    persons: Persons,
    persons_task: PersonsTask,
    relay: Relay,
    relay_task: RelayTask,
    listener: TcpListener,
    local: Option<UnixListener>,
    address: SocketAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
    nudge: Arc<Notify>,
    keep: Keep,
    fetch: FetchParts,
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
    Ok(Prepared {
        started_mono_ms,
        snapshots,
        snapshot_task,
        persons,
        persons_task,
        relay,
        relay_task,
        listener,
        local,
        address,
        tls,
        nudge,
        keep,
        fetch,
    })
}

async fn start_counter(
    config: &Config,
    foundation: &Foundation,
    prepared: &Prepared,
) -> anyhow::Result<(Counter, (JoinSet<()>, Devices))> {
    let settings = CounterSettings::from_config(config, foundation.ledger.stream().epoch);
    let (printers, orders) = spool::task::queues(settings.printers());
    let counter = Counter::start(CounterParts {
        settings,
        ledger: foundation.ledger.clone(),
        telemetry: foundation.telemetry.clone(),
        keep: prepared.keep.clone(),
        clock: foundation.clock.clone(),
        shop: prepared.snapshots.shop(),
        persons: prepared.persons.clone(),
        printers,
    })
    .await?;
    let devices = devices::start(config, orders, &counter, &foundation.clock);
    Ok((counter, devices))
}

/// Who is told to stop, in this order.
#[derive(Default)]
struct Stops {
    web: CancellationToken,
    rest: CancellationToken,
}

fn start_parts(
    config: &Config,
    foundation: &Foundation,
    prepared: Prepared,
    counter: &Counter,
    (devices, of_the_box): (JoinSet<()>, Devices),
    stops: &Stops,
) -> Parts {
    let Prepared {
        started_mono_ms,
        snapshots,
        snapshot_task,
        persons,
        persons_task,
        relay,
        relay_task,
        listener,
        local,
        address,
        tls,
        nudge,
        fetch,
        keep: _,
    } = prepared;
    let clock = foundation.clock.clone();
    let (data_dir, budget) = (config.data_dir.clone(), config.space);
    let stop = || stops.rest.clone();
    let mut parts = Parts::default();
    for (name, journal) in
        [("ledger journal", &foundation.ledger), ("telemetry journal", &foundation.telemetry)]
    {
        parts.spawn(name, watch_journal(journal.clone(), stop()));
    }
    parts.spawn("counter", watch_counter(counter.clone()));
    parts.spawn("devices", watch_devices(devices, stop()));
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
    parts.spawn("patients' keys view", show_persons(persons.clone(), counter.clone(), stop()));
    let links = show_centre(relay.clone(), snapshots.clone(), counter.clone(), clock.clone(), stop());
    parts.spawn("link view", links);
    let room = watch::Sender::new(Space::default());
    let watched = space::task::Parts {
        data_dir,
        budget,
        ledger: foundation.ledger.clone(),
        telemetry: foundation.telemetry.clone(),
        counter: counter.clone(),
        clock: clock.clone(),
        space: room.clone(),
    };
    parts.spawn("space", space::task::run(watched, stop()));
    let identity = &foundation.identity.identity;
    let health = Health {
        tenant: identity.tenant.clone(),
        branch: identity.branch.clone(),
        device: identity.device.clone(),
        started_mono_ms,
        clock,
        journals: vec![foundation.ledger.clone(), foundation.telemetry.clone()],
        space: room.subscribe(),
        relay,
        snapshots,
        persons,
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
    let router = health.merge(web::routes::router(counter.clone(), of_the_box, scanners, gate));
    parts.spawn("web", web::serve::serve(listener, tls, router, stops.web.clone()));
    parts
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
    durable_file::write(&file, text.as_bytes())?;
    Ok(())
}

/// Ends when a thread of the journal has failed.
async fn watch_journal(journal: Journal, stop: CancellationToken) {
    tokio::select! {
        why = journal.died() => tracing::error!(lane = journal.stream().lane.as_str(), "{why}"),
        () = stop.cancelled() => {}
    }
}

/// Ends when the counter's loop has.
async fn watch_counter(counter: Counter) {
    counter.ended().await;
}

/// Ends when any device's task has: none ends by itself but by a fault.
async fn watch_devices(mut devices: JoinSet<()>, stop: CancellationToken) {
    tokio::select! {
        Some(ended) = devices.join_next() => {
            tracing::error!(fault = ?ended.err(), "the task of a device ended by itself");
        }
        () = stop.cancelled() => {}
    }
    devices.shutdown().await;
}

/// Shows at the tills what the link does, and that the snapshot is out of date.
async fn show_centre(
    relay: Relay,
    snapshots: Snapshots,
    counter: Counter,
    clock: Arc<Clock>,
    stop: CancellationToken,
) {
    let (mut link, snapshot) = (relay.watch(), snapshots.state());
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = None;
    loop {
        let LinkState { state, waiting, detail, .. } = link.borrow_and_update().clone();
        counter.tell(Event::Link(LinkView { state: state.as_str().to_owned(), waiting, detail })).await;
        let stale = snapshot.borrow().stale(clock.mono_ms());
        if shown != stale {
            counter.tell(Event::Device(catalogue_view(stale.clone()), None)).await;
            shown = stale;
        }
        tokio::select! {
            Ok(()) = link.changed() => {}
            _ = look.tick() => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Shows at the tills that patients' keys wait for the centre, or that a person must look at them. A box that never had
/// any shows nothing.
async fn show_persons(persons: Persons, counter: Counter, stop: CancellationToken) {
    let mut state = persons.state();
    let mut shown: Option<DeviceView> = None;
    loop {
        let view = persons_view(&state.borrow_and_update());
        if shown.as_ref() != Some(&view) && (shown.is_some() || view.detail.is_some()) {
            counter.tell(Event::Device(view.clone(), None)).await;
            shown = Some(view);
        }
        tokio::select! {
            Ok(()) = state.changed() => {}
            () = stop.cancelled() => return,
        }
    }
}

fn persons_view(persons: &PersonalState) -> DeviceView {
    let concern = persons.concern();
    let state = if concern.is_some() { DeviceState::Trouble } else { DeviceState::Ok };
    let detail = concern.or_else(|| persons.waits());
    DeviceView { name: "patients' keys".into(), class: "keys".into(), state, detail }
}

/// A snapshot that is out of date stands among the devices that need a person.
fn catalogue_view(stale: Option<String>) -> DeviceView {
    let state = if stale.is_some() { DeviceState::Trouble } else { DeviceState::Ok };
    DeviceView { name: "catalogue".into(), class: "catalogue".into(), state, detail: stale }
}

/// The parts that must not end by themselves.
#[derive(Default)]
struct Parts {
    tasks: JoinSet<&'static str>,
    ended: watch::Sender<Option<&'static str>>,
}

impl Parts {
    fn spawn(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        let ended = self.ended.clone();
        self.tasks.spawn(async move {
            let part = tokio::spawn(part);
            let guard = AbortOnDrop(part.abort_handle());
            if let Err(error) = part.await {
                tracing::error!(part = name, %error, "a part of the agent failed");
            }
            drop(guard);
            ended.send_if_modified(|first| first.replace(name).is_none());
            name
        });
    }

    /// The first that ended, for the health page.
    fn ended(&self) -> watch::Receiver<Option<&'static str>> {
        self.ended.subscribe()
    }

    /// The first that ends.
    async fn next(&mut self) -> &'static str {
        match self.tasks.join_next().await {
            Some(Ok(name)) => name,
            Some(Err(_)) | None => "supervisor",
        }
    }

    async fn all(&mut self) {
        while self.tasks.join_next().await.is_some() {}
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    const SOON: Duration = Duration::from_secs(10);

    async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
        tokio::time::timeout(SOON, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
    }

    #[test]
    fn a_snapshot_that_is_out_of_date_stands_among_what_needs_a_person_with_what_to_do() {
        let stale = catalogue_view(Some("Prices are old: call support".into()));
        assert_eq!((stale.state, stale.detail.is_some()), (DeviceState::Trouble, true));
        assert_eq!(catalogue_view(None).state, DeviceState::Ok);
    }

    #[test]
    fn keys_that_wait_are_shown_and_those_that_the_centre_refuses_need_a_person() {
        let waiting = persons_view(&PersonalState { waiting: 3, ..PersonalState::default() });
        assert_eq!(
            (waiting.state, &*waiting.detail.unwrap()),
            (DeviceState::Ok, "3 of patients' keys wait for the centre")
        );
        let refused = persons_view(&PersonalState { waiting: 3, refused: 1, ..PersonalState::default() });
        assert_eq!(refused.state, DeviceState::Trouble);
        assert!(refused.detail.unwrap().contains("Call support"));
        let damaged = persons_view(&PersonalState { damaged: 1, ..PersonalState::default() });
        assert_eq!(damaged.state, DeviceState::Trouble);
        assert_eq!(persons_view(&PersonalState::default()).detail, None);
    }

    #[tokio::test]
    async fn a_part_that_ends_or_fails_is_named_to_the_supervisor_and_to_the_health_page() {
        let mut parts = Parts::default();
        let mut ended = parts.ended();
        parts.spawn("relay", pending());
        parts.spawn("counter", async { panic!("as a fault would") });
        assert_eq!(soon("the end of a part", parts.next()).await, "counter");
        soon("its word", ended.changed()).await.unwrap();
        assert_eq!(*ended.borrow(), Some("counter"));
    }

    #[tokio::test]
    async fn a_device_whose_task_ends_ends_the_part_and_a_box_without_devices_goes_on() {
        let mut devices = JoinSet::new();
        devices.spawn(pending());
        devices.spawn(async { panic!("as a driver might") });
        soon("the end of the devices", watch_devices(devices, CancellationToken::new())).await;

        let stop = CancellationToken::new();
        let none = tokio::spawn(watch_devices(JoinSet::new(), stop.clone()));
        tokio::task::yield_now().await;
        assert!(!none.is_finished());
        stop.cancel();
        soon("the end in order", none).await.unwrap();
    }
}
