//! An ESC/POS printer as the branch sees it: one task owns the line, keeps its status fresh, and takes jobs one by one.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::Duration,
};

use async_trait::async_trait;
use pestle_domain::document::Document;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::AbortHandle,
    time::{self, Instant},
};

use super::{
    DrawerOutcome, NotPrinted, Outcome, PrintJob, PrintReport, Printer, PrinterEvent, PrinterStatus, Unknown,
    compose::{Composed, compose},
    model::{Completion, PrinterModel},
    render::Artwork,
    session::{Broken, Session},
    status::ProcessId,
};
use crate::{
    backoff::Backoff,
    device::{DeviceEvent, DeviceName},
    line::{LineAddress, serial::chain},
};

/// Jobs that may wait; the spooler keeps the rest, on disk.
const JOBS_WAITING_MAX: usize = 4;

/// Events that may wait for the agent; a printer does not come and go faster than it is read.
const EVENTS_WAITING_MAX: usize = 64;

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
            poll: Duration::from_secs(3),
        }
    }
}

/// The handle of a printer. Dropping it ends the task and frees the line.
#[derive(Debug)]
pub struct EscPosPrinter {
    name: DeviceName,
    columns: u8,
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<PrinterStatus>,
    task: AbortHandle,
}

#[derive(Debug)]
enum Command {
    Print(PrintJob, oneshot::Sender<PrintReport>),
    OpenDrawer(oneshot::Sender<DrawerOutcome>),
    Beep(oneshot::Sender<Result<(), NotPrinted>>),
}

impl EscPosPrinter {
    /// Starts the driver. A printer that is not there is told as a fault, and used when it comes.
    /// Must be called within a tokio runtime.
    #[must_use]
    pub fn start(settings: EscPosSettings) -> (EscPosPrinter, mpsc::Receiver<PrinterEvent>) {
        EscPosPrinter::start_with(settings, Artwork::default())
    }

    /// As [`EscPosPrinter::start`], with the branch's own logos and fonts.
    #[must_use]
    pub fn start_with(
        settings: EscPosSettings,
        artwork: Artwork,
    ) -> (EscPosPrinter, mpsc::Receiver<PrinterEvent>) {
        let (commands, commands_in) = mpsc::channel(JOBS_WAITING_MAX);
        let (events_out, events) = mpsc::channel(EVENTS_WAITING_MAX);
        let (status_out, status) = watch::channel(PrinterStatus::Starting);
        let (name, columns) = (settings.name.clone(), settings.model.columns);
        let owner = Owner {
            settings,
            artwork,
            commands: commands_in,
            status: status_out,
            events: events_out,
            jobs: first_job(),
            // The agent itself may have ended in the middle of one.
            half_a_job: true,
        };
        let task = tokio::spawn(owner.run()).abort_handle();
        (EscPosPrinter { name, columns, commands, status, task }, events)
    }
}

impl EscPosPrinter {
    /// Makes the printer beep, so that a person finds it. Nothing is printed.
    ///
    /// # Errors
    /// Why it did not: it is away, in trouble (a beep would wait in its buffer), or has no buzzer that we can sound.
    pub async fn beep(&self) -> Result<(), NotPrinted> {
        let (reply, outcome) = oneshot::channel();
        self.commands.send(Command::Beep(reply)).await.map_err(|_gone| NotPrinted::Ended)?;
        outcome.await.unwrap_or(Err(NotPrinted::Ended))
    }
}

impl Drop for EscPosPrinter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait]
impl Printer for EscPosPrinter {
    fn name(&self) -> &DeviceName {
        &self.name
    }

    fn columns(&self) -> u8 {
        self.columns
    }

    async fn print(&self, job: PrintJob) -> PrintReport {
        let opens_drawer = job.open_drawer;
        let (reply, report) = oneshot::channel();
        if self.commands.send(Command::Print(job, reply)).await.is_err() {
            return refused(NotPrinted::Ended, opens_drawer);
        }
        // A task that died may have died in the middle of this job.
        report.await.unwrap_or_else(|_dropped| PrintReport {
            outcome: Outcome::Unknown { reason: Unknown::DriverEnded },
            ..refused(NotPrinted::Ended, opens_drawer)
        })
    }

    async fn open_drawer(&self) -> DrawerOutcome {
        let (reply, outcome) = oneshot::channel();
        if self.commands.send(Command::OpenDrawer(reply)).await.is_err() {
            return DrawerOutcome::NotKicked;
        }
        outcome.await.unwrap_or(DrawerOutcome::NotKicked)
    }

    fn status(&self) -> watch::Receiver<PrinterStatus> {
        self.status.clone()
    }
}

/// Where the numbering of jobs starts: anywhere, so that a printer that still holds a job of an earlier run does not seem
/// to confirm one of this run.
fn first_job() -> u32 {
    let random = RandomState::new().build_hasher().finish();
    u32::try_from(random % 1_000_000).unwrap_or(0)
}

fn refused(reason: NotPrinted, opens_drawer: bool) -> PrintReport {
    PrintReport {
        outcome: Outcome::NotPrinted { reason },
        drawer: opens_drawer.then_some(DrawerOutcome::NotKicked),
        replaced: Vec::new(),
        missing_pictures: Vec::new(),
        process: None,
    }
}

/// The task behind the handle.
struct Owner {
    settings: EscPosSettings,
    artwork: Artwork,
    commands: mpsc::Receiver<Command>,
    status: watch::Sender<PrinterStatus>,
    events: mpsc::Sender<PrinterEvent>,
    jobs: u32,
    /// A job broke off or is held, and nothing was sent since that would end its last command.
    half_a_job: bool,
}

/// Why a session ended.
enum End {
    /// The line broke; try again.
    Broken(Broken),
    /// The handle has gone.
    Stopped,
}

impl Owner {
    async fn run(mut self) {
        let mut backoff = Backoff::for_hotplug();
        let mut told_fault = None;
        loop {
            let settings = &self.settings;
            let away =
                match Session::open(&settings.address, &settings.model, settings.timeouts, self.half_a_job)
                    .await
                {
                    Ok(session) => {
                        told_fault = None;
                        self.half_a_job = false;
                        self.tell(PrinterEvent::Device(DeviceEvent::Attached));
                        let opened = Instant::now();
                        let end = self.serve(session).await;
                        backoff.worked_for(opened.elapsed());
                        match end {
                            End::Stopped => return,
                            End::Broken(Broken(reason)) => {
                                self.tell(PrinterEvent::Device(DeviceEvent::Lost { reason: reason.clone() }));
                                reason
                            }
                        }
                    }
                    Err(Broken(reason)) => {
                        if told_fault.as_ref() != Some(&reason) {
                            told_fault = Some(reason.clone());
                            self.tell(PrinterEvent::Device(DeviceEvent::Fault { reason: reason.clone() }));
                        }
                        reason
                    }
                };
            self.publish(PrinterStatus::Away { reason: away.clone() });
            if self.refuse_for(backoff.pause(), &away).await.is_none() {
                return;
            }
        }
    }

    /// Answers jobs with "away" until it is time to try again. `None` when the handle has gone.
    async fn refuse_for(&mut self, pause: Duration, reason: &str) -> Option<()> {
        let until = Instant::now() + pause;
        loop {
            match time::timeout_at(until, self.commands.recv()).await {
                Err(_elapsed) => return Some(()),
                Ok(None) => return None,
                Ok(Some(command)) => refuse(command, NotPrinted::Away(reason.to_owned())),
            }
        }
    }

    async fn serve(&mut self, mut session: Session) -> End {
        loop {
            self.publish_condition(&session);
            while let Some(process) = session.take_finished() {
                self.tell(PrinterEvent::FinishedLate(process));
            }
            let worked = tokio::select! {
                command = self.commands.recv() => match command {
                    None => return End::Stopped,
                    Some(command) => self.carry_out(&mut session, command).await,
                },
                heard = session.listen() => heard,
                () = time::sleep(self.settings.timeouts.poll) => session.refresh().await,
            };
            if let Err(broken) = worked {
                return End::Broken(broken);
            }
        }
    }

    async fn carry_out(&mut self, session: &mut Session, command: Command) -> Result<(), Broken> {
        match command {
            Command::Print(job, reply) => {
                let (report, worked) = self.print(session, &job).await;
                tracing::info!(printer = %self.settings.name, job = job.document.title, outcome = ?report.outcome, "print");
                let _caller_gave_up = reply.send(report);
                worked
            }
            Command::OpenDrawer(reply) => {
                let (outcome, worked) = match open_drawer(session).await {
                    Ok(outcome) => (outcome, Ok(())),
                    Err(broken) => (DrawerOutcome::NotKicked, Err(broken)),
                };
                let _caller_gave_up = reply.send(outcome);
                worked
            }
            Command::Beep(reply) => {
                let (outcome, worked) = match session.beep().await {
                    Ok(outcome) => (outcome, Ok(())),
                    Err(broken) => (Err(NotPrinted::Away(broken.0.clone())), Err(broken)),
                };
                let _caller_gave_up = reply.send(outcome);
                worked
            }
        }
    }

    async fn print(&mut self, session: &mut Session, job: &PrintJob) -> (PrintReport, Result<(), Broken>) {
        let model = &self.settings.model;
        let Composed { bytes, replaced, missing_pictures } = match self.compose(&job.document).await {
            Ok(composed) => composed,
            Err(reason) => return (refused(NotPrinted::BadDocument(reason), job.open_drawer), Ok(())),
        };
        if let Err(broken) = session.refresh().await {
            return (refused(NotPrinted::Away(broken.0.clone()), job.open_drawer), Err(broken));
        }
        if let Some(trouble) = session.condition().trouble() {
            return (refused(NotPrinted::Trouble(trouble), job.open_drawer), Ok(()));
        }
        if let Err(broken) = session.align().await {
            return (refused(NotPrinted::Away(broken.0.clone()), job.open_drawer), Err(broken));
        }
        self.jobs = self.jobs.wrapping_add(1);
        let process = ProcessId::numbered(self.jobs);
        let was_open = session.watch_drawer();
        let kicked_at = Instant::now();
        let kick = if job.open_drawer { model.drawer.kick().to_vec() } else { Vec::new() };
        let (outcome, worked) = match session.print(&[kick, bytes].concat(), process).await {
            Ok(outcome) => (outcome, Ok(())),
            Err((outcome, broken)) => (outcome, Err(broken)),
        };
        // Also of a job that the printer holds: a line that breaks later takes the rest along that it did not take yet.
        self.half_a_job = matches!(outcome, Outcome::Unknown { .. });
        let (drawer, worked) = match worked {
            worked if !job.open_drawer => (None, worked),
            worked if was_open => (Some(DrawerOutcome::AlreadyOpen), worked),
            Err(broken) => (Some(DrawerOutcome::NotKicked), Err(broken)),
            Ok(()) => match session.drawer_outcome(kicked_at).await {
                Ok(drawer) => (Some(drawer), Ok(())),
                Err(broken) => (Some(DrawerOutcome::NotOpened), Err(broken)),
            },
        };
        let process = (model.completion == Completion::ProcessId).then_some(process);
        (PrintReport { outcome, drawer, replaced, missing_pictures, process }, worked)
    }

    /// Apart from the tasks that wait for lines: drawing takes milliseconds, and reads fonts the first time.
    async fn compose(&self, document: &Document) -> Result<Composed, String> {
        let (document, model, artwork) =
            (document.clone(), self.settings.model.clone(), self.artwork.clone());
        let drawn = tokio::task::spawn_blocking(move || {
            compose(&document, &model, &artwork).map_err(|error| chain(&error))
        });
        drawn.await.unwrap_or_else(|_panicked| {
            Err("drawing it failed: print it without its special characters".to_owned())
        })
    }

    fn publish_condition(&self, session: &Session) {
        self.publish(match self.settings.model.status {
            true => PrinterStatus::Here(session.condition()),
            false => PrinterStatus::Mute,
        });
    }

    fn publish(&self, status: PrinterStatus) {
        self.status.send_if_modified(|current| {
            let changed = *current != status;
            *current = status;
            changed
        });
    }

    fn tell(&self, event: PrinterEvent) {
        tracing::info!(printer = %self.settings.name, ?event, "printer");
        // A printer must print even when nobody reads its events.
        if let Err(error) = self.events.try_send(event) {
            tracing::error!(printer = %self.settings.name, %error, "a printer event was dropped");
        }
    }
}

fn refuse(command: Command, reason: NotPrinted) {
    match command {
        Command::Print(job, reply) => {
            let _caller_gave_up = reply.send(refused(reason, job.open_drawer));
        }
        Command::OpenDrawer(reply) => {
            let _caller_gave_up = reply.send(DrawerOutcome::NotKicked);
        }
        Command::Beep(reply) => {
            let _caller_gave_up = reply.send(Err(reason));
        }
    }
}

async fn open_drawer(session: &mut Session) -> Result<DrawerOutcome, Broken> {
    session.refresh().await?;
    let offline = session.condition().trouble().is_some();
    if session.watch_drawer() {
        return Ok(DrawerOutcome::AlreadyOpen);
    }
    let kicked_at = Instant::now();
    // An ordinary kick waits in the printer's buffer while it is offline: it would open the drawer at some later time.
    if !session.kick(offline).await? {
        return Ok(DrawerOutcome::NotKicked);
    }
    session.drawer_outcome(kicked_at).await
}
