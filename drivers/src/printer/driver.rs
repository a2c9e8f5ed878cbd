//! A receipt printer that speaks ESC/POS: what it is and where, and how [`super::owner`] talks to it.

use std::time::Duration;

use async_trait::async_trait;
use pestle_domain::{causes::with_causes, document::Document};
use tokio::{sync::mpsc, time::Instant};

use super::{
    DrawerOutcome, NotPrinted, Outcome, PrintJob, PrinterEvent, PrinterStatus,
    compose::{Composed, compose},
    model::{Completion, PrinterModel},
    owner::{self, Conversation, Printed, PrinterHandle},
    render::Artwork,
    session::{Broken, Session},
    status::ProcessId,
};
use crate::{device::DeviceName, line::LineAddress};

/// All that a printer's driver needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EscPosSettings {
    /// What the branch calls it.
    pub name: DeviceName,
    /// Where it is.
    pub address: LineAddress,
    /// What it is.
    pub model: PrinterModel,
    /// How long to wait for what.
    pub timeouts: PrinterTimeouts,
}

/// How long to wait for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrinterTimeouts {
    /// For the answer to a status question; a printer answers within milliseconds, a network may take longer.
    pub answer: Duration,
    /// For a job to be accepted, beyond its time on a serial line.
    pub send: Duration,
    /// For "it is on paper", beyond its time on a serial line. A receipt of 30 cm takes two to four seconds.
    pub confirm: Duration,
    /// Between two looks at a printer that says nothing.
    pub poll: Duration,
}

impl Default for PrinterTimeouts {
    fn default() -> PrinterTimeouts {
        PrinterTimeouts {
            answer: Duration::from_secs(1),
            send: Duration::from_secs(20),
            confirm: Duration::from_secs(20),
            poll: Duration::from_secs(10),
        }
    }
}

/// Starts the driver; `artwork` is the branch's own logos and fonts. A printer that is not there is told as a fault, and used
/// when it comes. Must be called within a tokio runtime.
#[must_use]
pub fn start(settings: EscPosSettings, artwork: Artwork) -> (PrinterHandle, mpsc::Receiver<PrinterEvent>) {
    let (name, columns, poll) = (settings.name.clone(), settings.model.columns, settings.timeouts.poll);
    owner::start::<Receipts>(name, columns, poll, (settings, artwork))
}

/// A session, and what documents are made into bytes with.
struct Receipts {
    session: Session,
    settings: EscPosSettings,
    artwork: Artwork,
}

#[async_trait]
impl Conversation for Receipts {
    type Settings = (EscPosSettings, Artwork);

    const HAS_DRAWER: bool = true;

    async fn open((settings, artwork): &Self::Settings, after_half_a_job: bool) -> Result<Receipts, Broken> {
        let EscPosSettings { address, model, timeouts, .. } = settings;
        let session = Session::open(address, model, *timeouts, after_half_a_job).await?;
        Ok(Receipts { session, settings: settings.clone(), artwork: artwork.clone() })
    }

    fn status(&self) -> PrinterStatus {
        match self.settings.model.status {
            true => PrinterStatus::Here(self.session.condition()),
            false => PrinterStatus::Mute,
        }
    }

    fn confirms_late(&self) -> bool {
        self.settings.model.completion == Completion::ProcessId
    }

    async fn listen(&mut self) -> Result<(), Broken> {
        self.session.listen().await
    }

    async fn refresh(&mut self) -> Result<(), Broken> {
        self.session.refresh().await
    }

    async fn print(&mut self, job: &PrintJob, process: ProcessId) -> (Printed, Result<(), Broken>) {
        let Composed { bytes, replaced, missing_pictures } = match self.compose(&job.document).await {
            Ok(composed) => composed,
            Err(reason) => return (Printed::not(NotPrinted::BadDocument(reason)), Ok(())),
        };
        if let Err(broken) = self.session.refresh().await {
            return (Printed::not(NotPrinted::Away(broken.0.clone())), Err(broken));
        }
        if let Some(trouble) = self.session.condition().trouble() {
            return (Printed::not(NotPrinted::Trouble(trouble)), Ok(()));
        }
        if let Err(broken) = self.session.align().await {
            return (Printed::not(NotPrinted::Away(broken.0.clone())), Err(broken));
        }
        let (outcome, drawer, worked) = self.send(&bytes, job.open_drawer, process).await;
        (Printed { outcome, drawer, replaced, missing_pictures }, worked)
    }

    async fn open_drawer(&mut self) -> (DrawerOutcome, Result<(), Broken>) {
        match self.kick().await {
            Ok(outcome) => (outcome, Ok(())),
            Err(broken) => (DrawerOutcome::NotKicked, Err(broken)),
        }
    }

    async fn beep(&mut self) -> (Result<(), NotPrinted>, Result<(), Broken>) {
        match self.session.beep().await {
            Ok(outcome) => (outcome, Ok(())),
            Err(broken) => (Err(NotPrinted::Away(broken.0.clone())), Err(broken)),
        }
    }

    fn take_finished(&mut self) -> Option<ProcessId> {
        self.session.take_finished()
    }
}

impl Receipts {
    /// Sends a job, behind the drawer's kick if one is wanted, and waits for what becomes of both.
    async fn send(
        &mut self,
        bytes: &[u8],
        open_drawer: bool,
        process: ProcessId,
    ) -> (Outcome, Option<DrawerOutcome>, Result<(), Broken>) {
        let was_open = self.session.watch_drawer();
        let kicked_at = Instant::now();
        let kick = if open_drawer { self.settings.model.drawer.kick().to_vec() } else { Vec::new() };
        let (outcome, worked) = match self.session.print(&[&kick, bytes].concat(), process).await {
            Ok(outcome) => (outcome, Ok(())),
            Err((outcome, broken)) => (outcome, Err(broken)),
        };
        let (drawer, worked) = match worked {
            worked if !open_drawer => (None, worked),
            worked if was_open => (Some(DrawerOutcome::AlreadyOpen), worked),
            Err(broken) => (Some(DrawerOutcome::NotKicked), Err(broken)),
            Ok(()) => match self.session.drawer_outcome(kicked_at).await {
                Ok(drawer) => (Some(drawer), Ok(())),
                Err(broken) => (Some(DrawerOutcome::NotOpened), Err(broken)),
            },
        };
        (outcome, drawer, worked)
    }

    /// Opens the drawer outside of a job.
    async fn kick(&mut self) -> Result<DrawerOutcome, Broken> {
        self.session.refresh().await?;
        let offline = self.session.condition().trouble().is_some();
        if self.session.watch_drawer() {
            return Ok(DrawerOutcome::AlreadyOpen);
        }
        let kicked_at = Instant::now();
        // An ordinary kick waits in the printer's buffer while it is offline: it would open the drawer at some later time.
        if !self.session.kick(offline).await? {
            return Ok(DrawerOutcome::NotKicked);
        }
        self.session.drawer_outcome(kicked_at).await
    }

    /// Apart from the tasks that wait for lines: drawing takes milliseconds, and reads fonts the first time.
    async fn compose(&self, document: &Document) -> Result<Composed, String> {
        let (document, model, artwork) =
            (document.clone(), self.settings.model.clone(), self.artwork.clone());
        let drawn = tokio::task::spawn_blocking(move || {
            compose(&document, &model, &artwork).map_err(|error| with_causes(&error))
        });
        drawn.await.unwrap_or_else(|_panicked| {
            Err("drawing it failed: print it without its special characters".to_owned())
        })
    }
}
