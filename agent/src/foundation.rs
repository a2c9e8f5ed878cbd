//! What every command that touches the box's data stands on, made before any task runs.

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use pestle_domain::{
    fact::{Act, Actor, BoxStarted},
    ids::{ActId, FactId},
    journal::{Lane, Stream},
};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{
    clock::Clock,
    config::{Config, host_and_port, https_address},
    fetched::{centre::FactsCentre, kept::FetchedPages, task::FetchParts},
    identity::DeviceIdentity,
    journal::{Journal, JournalError, OpenReport, Settings},
    lock::DataLock,
    personal::{Persons, PersonsParts, centre::KeyCentre, task::PersonsTask},
    relay::{RelayParts, connection::ConnectionSettings},
    snapshot::{SnapshotParts, SnapshotTask, Snapshots, fetch::Centre},
    space::task::make_room_to_start,
};

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
    _lock: DataLock,
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
        let open = |lane: Lane| {
            Journal::open(journal_settings(config, &identity, lane), &clock.stamp())
                .with_context(|| format!("the {} journal cannot be opened", lane.as_str()))
        };
        let (ledger, first) = open(Lane::Ledger)?;
        let (telemetry, second) = open(Lane::Telemetry)?;
        Ok(Self { identity, clock, ledger, telemetry, reports: [first, second], _lock: lock })
    }

    /// What opening the journals found, now or before, that no fact tells yet; in sentences.
    pub fn found(&self) -> Option<String> {
        let found: Vec<_> = self.reports.iter().filter_map(OpenReport::sentences).collect();
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

    /// The keys of persons, and the task that brings them to the centre. Blocks on the disk.
    ///
    /// # Errors
    /// As [`Foundation::snapshots`], and what the disk refuses.
    pub fn persons(&self, config: &Config) -> anyhow::Result<(Persons, PersonsTask)> {
        let (https, _) = config.centre(&self.identity.identity);
        let (host, port) =
            https_address(https).ok_or_else(|| anyhow!("\"{https}\" is no HTTPS address of the centre"))?;
        let tls = Arc::new(self.identity.client_tls(self.clock.clone(), &[b"http/1.1"])?);
        let persons = Persons::open(PersonsParts {
            folder: config.data_dir.join("personal"),
            tenant: self.identity.identity.tenant.clone(),
            centre: KeyCentre { host: host.to_owned(), port, tls },
        })
        .context("patients' keys cannot be read")?;
        Ok((persons.clone(), PersonsTask::new(persons, self.clock.clone())))
    }

    /// What is needed to have facts back from the centre that this box's books lack.
    ///
    /// # Errors
    /// As [`Foundation::snapshots`].
    pub fn fetch_parts(&self, config: &Config, pages: &FetchedPages) -> anyhow::Result<FetchParts> {
        let (https, _) = config.centre(&self.identity.identity);
        let (host, port) =
            https_address(https).ok_or_else(|| anyhow!("\"{https}\" is no HTTPS address of the centre"))?;
        let tls = Arc::new(self.identity.client_tls(self.clock.clone(), &[b"http/1.1"])?);
        Ok(FetchParts {
            identity: self.identity.clone(),
            ledger: self.ledger.clone(),
            pages: pages.clone(),
            centre: FactsCentre { host: host.to_owned(), port, tls },
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
        let tls = Arc::new(self.identity.client_tls(self.clock.clone(), &[])?);
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
