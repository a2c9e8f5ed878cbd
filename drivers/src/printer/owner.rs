//! The task behind a printer of any kind: it owns the printer, keeps its status fresh, and takes jobs one by one.
//! What it says to which kind of printer is a [`Conversation`].

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::AbortHandle,
    time::{self, Instant},
};

use super::{
    Calibration, DrawerOutcome, NotPrinted, Outcome, PrintJob, PrintReport, Printer, PrinterEvent,
    PrinterStatus, Unknown, codepage::Replaced, render::MissingPicture, session::Broken, status::ProcessId,
};
use crate::{
    backoff::Backoff,
    device::{DeviceEvent, DeviceName},
};

/// Jobs that may wait; the spooler keeps the rest, on disk.
const JOBS_WAITING_MAX: usize = 4;

/// Events that may wait for the agent; a printer does not come and go faster than it is read.
const EVENTS_WAITING_MAX: usize = 64;

/// One conversation with a printer, from reaching it until it breaks.
#[async_trait]
pub(super) trait Conversation: Sized + Send + 'static {
    /// What it needs to know.
    type Settings: Clone + Send + Sync + 'static;

    /// Whether a drawer may hang on printers of this kind.
    const HAS_DRAWER: bool = false;

    /// Reaches the printer and has it say how it is. After a job that broke off (`after_half_a_job`) it may still wait for
    /// the rest.
    async fn open(settings: &Self::Settings, after_half_a_job: bool) -> Result<Self, Broken>;

    /// How the printer is, as far as it has said.
    fn status(&self) -> PrinterStatus;

    /// Whether it may say of a job that it has finished, after its outcome was told as unknown.
    fn confirms_late(&self) -> bool {
        true
    }

    /// Waits for what the printer says by itself, and for the end of the line. Cancel-safe. One that has no line while
    /// nothing is asked says nothing.
    async fn listen(&mut self) -> Result<(), Broken> {
        std::future::pending().await
    }

    /// Has it say how it is.
    async fn refresh(&mut self) -> Result<(), Broken>;

    /// Prints, in one attempt.
    async fn print(&mut self, job: &PrintJob, process: ProcessId) -> (Printed, Result<(), Broken>);

    /// Measures its paper anew.
    async fn calibrate(&mut self) -> (Calibration, Result<(), Broken>) {
        (Calibration::NotNeeded, Ok(()))
    }

    /// Opens the drawer, outside of a job.
    async fn open_drawer(&mut self) -> (DrawerOutcome, Result<(), Broken>) {
        (DrawerOutcome::NotKicked, Ok(()))
    }

    /// Sounds its buzzer.
    async fn beep(&mut self) -> (Result<(), NotPrinted>, Result<(), Broken>) {
        (Err(NotPrinted::NoBuzzer), Ok(()))
    }

    /// The next job that was finished after its outcome had been told as unknown.
    fn take_finished(&mut self) -> Option<ProcessId>;
}

/// What became of a job.
#[derive(Debug)]
pub(super) struct Printed {
    /// On paper or not.
    pub(super) outcome: Outcome,
    /// What became of the drawer, where the job should open one and the printer has one.
    pub(super) drawer: Option<DrawerOutcome>,
    /// Characters that were not printed as they were written.
    pub(super) replaced: Vec<Replaced>,
    /// Pictures that were left out.
    pub(super) missing_pictures: Vec<MissingPicture>,
}

impl Printed {
    /// Nothing to remark on.
    pub(super) fn with(outcome: Outcome) -> Printed {
        Printed { outcome, drawer: None, replaced: Vec::new(), missing_pictures: Vec::new() }
    }

    /// Nothing was sent.
    pub(super) fn not(reason: NotPrinted) -> Printed {
        Printed::with(Outcome::NotPrinted { reason })
    }
}

/// The handle of a printer. Dropping it ends the task and frees the line.
#[derive(Debug)]
pub struct PrinterHandle {
    name: DeviceName,
    columns: u8,
    has_drawer: bool,
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<PrinterStatus>,
    task: AbortHandle,
}

#[derive(Debug)]
enum Command {
    Print(PrintJob, oneshot::Sender<PrintReport>),
    Calibrate(oneshot::Sender<Calibration>),
    OpenDrawer(oneshot::Sender<DrawerOutcome>),
    Beep(oneshot::Sender<Result<(), NotPrinted>>),
}

/// Starts the task. Must be called within a tokio runtime.
pub(super) fn start<C: Conversation>(
    name: DeviceName,
    columns: u8,
    poll: Duration,
    settings: C::Settings,
) -> (PrinterHandle, mpsc::Receiver<PrinterEvent>) {
    let (commands, commands_in) = mpsc::channel(JOBS_WAITING_MAX);
    let (events_out, events) = mpsc::channel(EVENTS_WAITING_MAX);
    let (status_out, status) = watch::channel(PrinterStatus::Starting);
    let owner = Owner::<C> {
        name: name.clone(),
        settings,
        poll,
        commands: commands_in,
        status: status_out,
        events: events_out,
        jobs: first_job(),
        // The agent itself may have ended in the middle of one.
        half_a_job: true,
    };
    let task = tokio::spawn(owner.run()).abort_handle();
    (PrinterHandle { name, columns, has_drawer: C::HAS_DRAWER, commands, status, task }, events)
}

impl Drop for PrinterHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait]
impl Printer for PrinterHandle {
    fn name(&self) -> &DeviceName {
        &self.name
    }

    fn columns(&self) -> u8 {
        self.columns
    }

    fn has_drawer(&self) -> bool {
        self.has_drawer
    }

    async fn print(&self, job: PrintJob) -> PrintReport {
        let opens_drawer = job.open_drawer;
        let (reply, report) = oneshot::channel();
        if self.commands.send(Command::Print(job, reply)).await.is_err() {
            return report_of(Printed::not(NotPrinted::Ended), opens_drawer, None);
        }
        // A task that died may have died in the middle of this job.
        report.await.unwrap_or_else(|_dropped| {
            let outcome = Outcome::Unknown { reason: Unknown::DriverEnded };
            report_of(Printed::with(outcome), opens_drawer, None)
        })
    }

    async fn open_drawer(&self) -> DrawerOutcome {
        let (reply, outcome) = oneshot::channel();
        if self.commands.send(Command::OpenDrawer(reply)).await.is_err() {
            return DrawerOutcome::NotKicked;
        }
        outcome.await.unwrap_or(DrawerOutcome::NotKicked)
    }

    /// A beep at a printer in trouble would wait in its buffer: it is refused.
    async fn beep(&self) -> Result<(), NotPrinted> {
        let (reply, outcome) = oneshot::channel();
        self.commands.send(Command::Beep(reply)).await.map_err(|_gone| NotPrinted::Ended)?;
        outcome.await.unwrap_or(Err(NotPrinted::Ended))
    }

    async fn calibrate(&self) -> Calibration {
        let (reply, calibration) = oneshot::channel();
        if self.commands.send(Command::Calibrate(reply)).await.is_err() {
            return Calibration::Failed(NotPrinted::Ended);
        }
        calibration.await.unwrap_or(Calibration::Failed(NotPrinted::Ended))
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

/// A drawer that should be opened and of which the printer told nothing was not kicked.
fn report_of(printed: Printed, opens_drawer: bool, process: Option<ProcessId>) -> PrintReport {
    let Printed { outcome, drawer, replaced, missing_pictures } = printed;
    let sent = !matches!(outcome, Outcome::NotPrinted { .. });
    let drawer = opens_drawer.then(|| drawer.unwrap_or(DrawerOutcome::NotKicked));
    PrintReport { outcome, drawer, replaced, missing_pictures, process: process.filter(|_| sent) }
}

/// The task behind the handle.
struct Owner<C: Conversation> {
    name: DeviceName,
    settings: C::Settings,
    poll: Duration,
    commands: mpsc::Receiver<Command>,
    status: watch::Sender<PrinterStatus>,
    events: mpsc::Sender<PrinterEvent>,
    jobs: u32,
    /// A job broke off or is held, and nothing was sent since that would end its last command.
    half_a_job: bool,
}

/// Why a conversation ended.
enum End {
    /// It broke; try again.
    Broken(Broken),
    /// The handle has gone.
    Stopped,
}

impl<C: Conversation> Owner<C> {
    async fn run(mut self) {
        let mut backoff = Backoff::for_hotplug();
        let mut told_fault = None;
        loop {
            let away = match C::open(&self.settings, self.half_a_job).await {
                Ok(conversation) => {
                    told_fault = None;
                    self.half_a_job = false;
                    self.tell(PrinterEvent::Device(DeviceEvent::Attached));
                    let opened = Instant::now();
                    let end = self.serve(conversation).await;
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

    async fn serve(&mut self, mut conversation: C) -> End {
        loop {
            self.publish(conversation.status());
            while let Some(process) = conversation.take_finished() {
                self.tell(PrinterEvent::FinishedLate(process));
            }
            let worked = tokio::select! {
                command = self.commands.recv() => match command {
                    None => return End::Stopped,
                    Some(command) => self.carry_out(&mut conversation, command).await,
                },
                heard = conversation.listen() => heard,
                () = time::sleep(self.poll) => conversation.refresh().await,
            };
            if let Err(broken) = worked {
                return End::Broken(broken);
            }
        }
    }

    async fn carry_out(&mut self, conversation: &mut C, command: Command) -> Result<(), Broken> {
        match command {
            Command::Print(job, reply) => {
                self.jobs = self.jobs.wrapping_add(1);
                let process = ProcessId::numbered(self.jobs);
                let (printed, worked) = conversation.print(&job, process).await;
                // Also of a job that the printer holds: a line that breaks later takes the rest along that it did not take yet.
                self.half_a_job = matches!(printed.outcome, Outcome::Unknown { .. });
                let late = conversation.confirms_late().then_some(process);
                let report = report_of(printed, job.open_drawer, late);
                tracing::info!(printer = %self.name, job = job.document.title, outcome = ?report.outcome, "print");
                let _caller_gave_up = reply.send(report);
                worked
            }
            Command::Calibrate(reply) => {
                let (calibration, worked) = conversation.calibrate().await;
                tracing::info!(printer = %self.name, ?calibration, "calibrate");
                let _caller_gave_up = reply.send(calibration);
                worked
            }
            Command::OpenDrawer(reply) => {
                let (outcome, worked) = conversation.open_drawer().await;
                let _caller_gave_up = reply.send(outcome);
                worked
            }
            Command::Beep(reply) => {
                let (outcome, worked) = conversation.beep().await;
                let _caller_gave_up = reply.send(outcome);
                worked
            }
        }
    }

    fn publish(&self, status: PrinterStatus) {
        self.status.send_if_modified(|current| {
            let changed = *current != status;
            *current = status;
            changed
        });
    }

    fn tell(&self, event: PrinterEvent) {
        tracing::info!(printer = %self.name, ?event, "printer");
        // A printer must print even when nobody reads its events.
        if let Err(error) = self.events.try_send(event) {
            tracing::error!(printer = %self.name, %error, "a printer event was dropped");
        }
    }
}

fn refuse(command: Command, reason: NotPrinted) {
    match command {
        Command::Print(job, reply) => {
            let _caller_gave_up = reply.send(report_of(Printed::not(reason), job.open_drawer, None));
        }
        Command::Calibrate(reply) => {
            let _caller_gave_up = reply.send(Calibration::Failed(reason));
        }
        Command::OpenDrawer(reply) => {
            let _caller_gave_up = reply.send(DrawerOutcome::NotKicked);
        }
        Command::Beep(reply) => {
            let _caller_gave_up = reply.send(Err(reason));
        }
    }
}
