//! What every command that touches the box's data stands on, made before any task runs.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use anyhow::{Context as _, anyhow};
use pestle_domain::{
    causes::with_causes,
    fact::{Act, Actor, BoxStarted},
    ids::{ActId, FactId},
    journal::{Lane, Stream},
};
use rustls::{ClientConfig, client::Resumption};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    appeal::{
        carry,
        plan::{Plan, Stage},
        statement,
        task::AppealParts,
    },
    centre::Centre,
    clock::Clock,
    config::{Config, host_and_port, https_address},
    counter::handle::Counter,
    durable_file,
    fetched::{kept::FetchedPages, task::FetchParts},
    identity::DeviceIdentity,
    journal::{Journal, JournalError, OpenReport, Settings},
    lock::DataLock,
    personal::{Persons, PersonsParts, task::PersonsTask},
    relay::{Relay, RelayParts, connection::ConnectionSettings},
    snapshot::{SnapshotParts, SnapshotTask, Snapshots},
    space::task::make_room_to_start,
};

/// Half of a plan may be done, and nobody knows which half: to begin beside it could sell a pack twice.
const UNREADABLE_PLAN: &str = "what was decided about this box's contradiction cannot be read, and may be half done. Change \
                               nothing in the data folder, and call support";

/// See the module's text.
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
    reports: [OpenReport; 2],
    /// That a fork was resolved before anything else ran, or why it could not be.
    carried: Carried,
    /// Mutual TLS with the centre, without a protocol; made with the first that needs it.
    tls: OnceLock<ClientConfig>,
    _lock: DataLock,
}

/// What became of a fork's resolution at this start.
#[derive(Debug, Clone, Default)]
struct Carried {
    done: Option<String>,
    trouble: Option<String>,
}

type Opened = (Journal, OpenReport);

/// Opens the journals side by side: each waits for its own disk accesses most of the time.
fn both(open: impl Fn(Lane) -> anyhow::Result<Opened> + Sync) -> anyhow::Result<(Opened, Opened)> {
    std::thread::scope(|scope| {
        let telemetry = scope.spawn(|| open(Lane::Telemetry));
        let ledger = open(Lane::Ledger);
        let telemetry = telemetry.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok((ledger?, telemetry?))
    })
}

impl Foundation {
    /// Takes the data folder, and opens what lies in it. Blocks on the disk.
    ///
    /// # Errors
    /// In words: who else uses the folder, that the box is not enrolled, what the disk refuses.
    pub fn open(config: &Config) -> anyhow::Result<Self> {
        let identity = Arc::new(DeviceIdentity::load(&config.data_dir)?);
        // Before the lock, which is a file too.
        make_room_to_start(&config.data_dir, config.space);
        let lock = DataLock::take(&config.data_dir)?;
        let clock = Arc::new(Clock::open(&config.data_dir)?);
        let data_dir = &config.data_dir;
        let mut carried = Carried::default();
        let mut plan = Plan::read(data_dir).context(UNREADABLE_PLAN)?;
        if let Some(cut_off) = plan.take_if(|plan| matches!(plan.stage, Stage::Swap { .. })) {
            // The power went in the middle of it. No journal is opened before it is finished.
            carried.done = carry::swap(data_dir, &cut_off)?;
        }
        let open = |lane: Lane| {
            let opened = Journal::open(journal_settings(config, &identity, lane), &clock.stamp())
                .with_context(|| format!("the {} journal cannot be opened", lane.as_str()))?;
            // While the rest of the start goes on. The other lane's comes after it, and a plan's journals may be closed again.
            if lane == Lane::Ledger && plan.is_none() {
                let _made = opened.0.make_ready();
            }
            Ok(opened)
        };
        // Both lie in it, and only one can make it.
        durable_file::create_folder(&data_dir.join("journal"))?;
        let ((mut ledger, mut first), (mut telemetry, mut second)) = both(open)?;
        if let Some(plan) = &plan {
            match carry::decide(data_dir, plan, (&ledger, &telemetry), &clock.stamp())? {
                Ok(built) => {
                    ledger.close_blocking();
                    telemetry.close_blocking();
                    carried.done = carry::swap(data_dir, &built)?;
                    ((ledger, first), (telemetry, second)) = both(open)?;
                }
                Err(error) => {
                    let why = with_causes(&error);
                    tracing::error!("a contradiction could not be resolved: {why}");
                    carried.trouble = Some(why);
                }
            }
        }
        if let Some(done) = &carried.done {
            tracing::warn!("{done}");
        }
        Ok(Self {
            identity,
            clock,
            ledger,
            telemetry,
            reports: [first, second],
            carried,
            tls: OnceLock::new(),
            _lock: lock,
        })
    }

    /// That a fork was resolved before anything else ran; in a sentence.
    ///
    /// # Errors
    /// In a sentence, why it could not be.
    pub fn carried_over(&self) -> Result<Option<&str>, &str> {
        match &self.carried.trouble {
            Some(trouble) => Err(trouble),
            None => Ok(self.carried.done.as_deref()),
        }
    }

    /// What opening the journals found, now or before, that no fact tells yet; in sentences.
    pub fn found(&self) -> Option<String> {
        let found: Vec<_> = self
            .carried
            .done
            .clone()
            .into_iter()
            .chain(self.reports.iter().filter_map(OpenReport::sentences))
            .collect();
        (!found.is_empty()).then(|| found.join(" "))
    }

    /// Records that the box has started, with what was found. Only then is it told.
    ///
    /// # Errors
    /// As [`Journal::append`]; what was found is then told at the next start.
    pub async fn record_start(&self) -> Result<(), JournalError> {
        let body =
            BoxStarted { version: env!("CARGO_PKG_VERSION").into(), found: self.found().map(Into::into) };
        let (stamp, id) = (self.clock.stamp(), ActId(Uuid::now_v7()));
        let act = Act::new(id, &Actor::Machine, &stamp, vec![body.into()], || FactId(Uuid::now_v7()));
        self.ledger.append(act.into()).await?;
        let told = [&self.ledger, &self.telemetry].map(Clone::clone).into_iter().zip(self.reports.clone());
        let noted = tokio::task::spawn_blocking(move || {
            told.for_each(|(journal, report)| journal.findings_told(&report));
        });
        noted.await.map_err(|error| JournalError::Panicked(error.to_string()))
    }

    fn tls(&self, protocols: &[&[u8]]) -> anyhow::Result<Arc<ClientConfig>> {
        let mut tls = match self.tls.get() {
            Some(made) => made.clone(),
            None => {
                let made = self.identity.client_tls(self.clock.clone())?;
                self.tls.get_or_init(|| made).clone()
            }
        };
        // A session that one service began is none that another could go on with.
        tls.resumption = Resumption::default();
        tls.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(tls))
    }

    /// Where the centre is asked over HTTPS.
    fn centre(&self, config: &Config) -> anyhow::Result<Centre> {
        let (https, _) = config.centre(&self.identity.identity);
        let (host, port) =
            https_address(https).ok_or_else(|| anyhow!("\"{https}\" is no HTTPS address of the centre"))?;
        Ok(Centre { host: host.to_owned(), port, tls: self.tls(&[b"http/1.1"])? })
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
        Ok(Snapshots::open(SnapshotParts {
            folder: config.data_dir.join("snapshot"),
            identity: self.identity.clone(),
            clock: self.clock.clone(),
            centre: self.centre(config)?,
            nudge,
        }))
    }

    /// The keys of persons, and the task that brings them to the centre. Blocks on the disk.
    ///
    /// # Errors
    /// As [`Foundation::snapshots`], and what the disk refuses.
    pub fn persons(&self, config: &Config) -> anyhow::Result<(Persons, PersonsTask)> {
        let persons = Persons::open(PersonsParts {
            folder: config.data_dir.join("personal"),
            tenant: self.identity.identity.tenant.clone(),
            centre: self.centre(config)?,
        })
        .context("patients' keys cannot be read")?;
        Ok((persons.clone(), PersonsTask::new(persons, self.clock.clone())))
    }

    /// What is needed to have facts back from the centre that this box's books lack.
    ///
    /// # Errors
    /// As [`Foundation::snapshots`].
    pub fn fetch_parts(&self, config: &Config, pages: &FetchedPages) -> anyhow::Result<FetchParts> {
        Ok(FetchParts {
            identity: self.identity.clone(),
            ledger: self.ledger.clone(),
            telemetry: self.telemetry.clone(),
            pages: pages.clone(),
            centre: self.centre(config)?,
        })
    }

    /// What the task needs that asks the centre what to do about a contradiction; `begin_again` is cancelled when the agent is to
    /// begin again.
    ///
    /// # Errors
    /// As [`Foundation::snapshots`].
    pub fn appeal_parts(
        &self,
        config: &Config,
        (relay, counter): (&Relay, &Counter),
        pages: SocketAddr,
        begin_again: CancellationToken,
    ) -> anyhow::Result<AppealParts> {
        Ok(AppealParts {
            journals: vec![self.ledger.clone(), self.telemetry.clone()],
            link: relay.watch(),
            centre: self.centre(config)?,
            place: statement::place(&config.data_dir, pages.to_string(), self.clock.wall()),
            data_dir: config.data_dir.clone(),
            counter: counter.clone(),
            trouble: self.carried.trouble.clone(),
            begin_again,
        })
    }

    /// What the relay needs; `nudge` is told when the centre has a newer snapshot.
    ///
    /// # Errors
    /// As [`Foundation::snapshots`].
    pub fn relay_parts(
        &self,
        config: &Config,
        snapshots: &Snapshots,
        nudge: Arc<Notify>,
    ) -> anyhow::Result<RelayParts> {
        let (_, mqtt) = config.centre(&self.identity.identity);
        let (host, port) =
            host_and_port(mqtt).ok_or_else(|| anyhow!("\"{mqtt}\" is no address of the broker"))?;
        let tls = self.tls(&[])?;
        let connection = ConnectionSettings {
            host: host.to_owned(),
            port,
            tls,
            device: self.identity.identity.device.clone(),
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

/// A journal as it lies there, to be looked at while the agent is stopped: nothing is repaired or changed.
#[derive(Debug)]
pub struct Look {
    /// Who the box is.
    pub identity: DeviceIdentity,
    /// To be read.
    pub journal: Journal,
    /// What is wrong with it.
    pub report: OpenReport,
    _lock: DataLock,
}

impl Look {
    /// Takes the data folder. Blocks on the disk.
    ///
    /// # Errors
    /// As [`Foundation::open`].
    pub fn open(config: &Config, lane: Lane) -> anyhow::Result<Self> {
        let identity = DeviceIdentity::load(&config.data_dir)?;
        let lock = DataLock::take(&config.data_dir)?;
        let settings = journal_settings(config, &identity, lane);
        let (journal, report) = Journal::open_read_only(settings)
            .with_context(|| format!("the {} journal cannot be read", lane.as_str()))?;
        Ok(Self { identity, journal, report, _lock: lock })
    }
}

fn journal_settings(config: &Config, identity: &DeviceIdentity, lane: Lane) -> Settings {
    let who = &identity.identity;
    let stream = Stream {
        tenant: who.tenant.clone(),
        branch: who.branch.clone(),
        term: who.term,
        device: who.device.clone(),
        lane,
        epoch: who.first_epoch,
    };
    let folder = config.data_dir.join("journal").join(lane.as_str());
    Settings { folder, stream, limits: config.journal }
}
