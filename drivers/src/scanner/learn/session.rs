//! Learning over a line: one task owns the scanner while a person scans the sheet. The scanner's driver must have been
//! dropped before, since a line is opened once.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use pestle_domain::causes::with_causes;
use tokio::{io::AsyncReadExt, sync::mpsc, task::AbortHandle, time};

use super::{
    burst::Burst,
    learner::{Learner, Step},
    verdict::Verdict,
};
use crate::{
    backoff::Backoff,
    device::DeviceEvent,
    line::{Line, LineAddress},
    scanner::keyboard::{
        record::{RECORD_BYTES, RecordCutter},
        source::{KeyLine, KeySource},
    },
};

/// Where the scanner is that is to be learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LearnFrom {
    /// On a serial line or the network.
    Line(LineAddress),
    /// A keyboard.
    Keyboard(KeySource),
}

/// What learning tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LearnEvent {
    /// The scanner came, went, or cannot be opened.
    Device(DeviceEvent),
    /// What to do next; after [`Step::Done`] nothing follows, and the line is free.
    Step(Step),
}

/// Learning in progress. Dropping it ends it and frees the line.
#[derive(Debug)]
pub struct LearnSession {
    events: mpsc::Receiver<LearnEvent>,
    give_up: mpsc::Sender<()>,
    task: AbortHandle,
}

/// Silence that ends a burst, of which it is not yet known how it ends: several times a scanner's longest pause, and short
/// beside a person's.
const BURST_SILENCE: Duration = Duration::from_millis(200);

/// Steps that may wait for a page. A person makes one in a second.
const EVENTS_WAITING_MAX: usize = 16;

/// More than any scan of the sheet has, even as key events (some 200 keys with modifiers, 6 records each).
const BURST_BYTES_MAX: usize = 256 * 1_024;

impl LearnSession {
    /// Opens the scanner and begins. Must be called within a tokio runtime. `idle_gap` is the silence after which its scans have ended, as
    /// configured: one that sends so slowly is waited for as long.
    #[must_use]
    pub fn start(from: LearnFrom, idle_gap: Duration) -> LearnSession {
        LearnSession::start_with_silence(from, idle_gap.max(BURST_SILENCE))
    }

    /// The same, for a line on which bursts end after another silence.
    #[must_use]
    pub fn start_with_silence(from: LearnFrom, silence: Duration) -> LearnSession {
        let (sender, events) = mpsc::channel(EVENTS_WAITING_MAX);
        let (give_up, given_up) = mpsc::channel(1);
        let task = Task { from, silence, events: sender, given_up, learner: Learner::new() };
        let task = tokio::spawn(task.run()).abort_handle();
        LearnSession { events, give_up, task }
    }

    /// The next event; waits for it. `None` after the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<LearnEvent> {
        self.events.recv().await
    }

    /// The scanner does not react to the code that is asked for: ends with what there is.
    pub fn give_up(&self) {
        // Full means that somebody said so already; closed, that it has ended.
        let _said = self.give_up.try_send(());
    }
}

impl Drop for LearnSession {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Task {
    from: LearnFrom,
    silence: Duration,
    events: mpsc::Sender<LearnEvent>,
    given_up: mpsc::Receiver<()>,
    learner: Learner,
}

/// It is over: done, given up, or nobody listens.
struct Over;

impl Task {
    async fn run(mut self) {
        let mut backoff = Backoff::for_hotplug();
        let mut told_fault = None;
        loop {
            let told = match self.open().await {
                Ok(line) => {
                    told_fault = None;
                    self.learn(line).await
                }
                Err(reason) if told_fault.as_ref() == Some(&reason) => Ok(()),
                Err(reason) => {
                    told_fault = Some(reason.clone());
                    self.tell(LearnEvent::Device(DeviceEvent::Fault { reason })).await
                }
            };
            if told.is_err() {
                return;
            }
            time::sleep(backoff.pause()).await;
        }
    }

    async fn open(&self) -> Result<Box<dyn Bursts>, String> {
        match &self.from {
            LearnFrom::Line(address) => Ok(Box::new(address.open().await?)),
            LearnFrom::Keyboard(source) => {
                Ok(Box::new(source.open().await.map_err(|error| with_causes(&error))?))
            }
        }
    }

    async fn tell(&self, event: LearnEvent) -> Result<(), Over> {
        self.events.send(event).await.map_err(|_| Over)
    }

    async fn done(&self, verdict: Verdict) -> Over {
        let _nobody = self.tell(LearnEvent::Step(Step::Done(verdict))).await;
        Over
    }

    /// Until the line goes.
    async fn learn(&mut self, mut line: Box<dyn Bursts>) -> Result<(), Over> {
        self.tell(LearnEvent::Device(DeviceEvent::Attached)).await?;
        self.tell(LearnEvent::Step(self.learner.step())).await?;
        let mut buffer = [0u8; 64 * RECORD_BYTES];
        let mut bytes = Vec::new();
        loop {
            let silence = if bytes.is_empty() { Duration::MAX } else { self.silence };
            let read = tokio::select! {
                read = time::timeout(silence, line.read(&mut buffer)) => read,
                Some(()) = self.given_up.recv() => {
                    return Err(self.done(self.learner.give_up(Instant::now())).await);
                }
            };
            match read {
                Err(_silent) => {
                    let burst = line.burst(std::mem::take(&mut bytes));
                    match self.learner.burst(Instant::now(), &burst) {
                        Step::Done(verdict) => return Err(self.done(verdict).await),
                        step => self.tell(LearnEvent::Step(step)).await?,
                    }
                }
                Ok(Ok(0)) => return self.lost("the line was closed (unplugged)".to_owned()).await,
                Ok(Err(error)) => return self.lost(format!("the line failed ({error})")).await,
                // What is beyond is noise of a line that never rests; the burst is judged as another barcode.
                Ok(Ok(count)) if bytes.len() < BURST_BYTES_MAX => bytes.extend_from_slice(&buffer[..count]),
                Ok(Ok(_)) => {}
            }
        }
    }

    async fn lost(&self, reason: String) -> Result<(), Over> {
        self.tell(LearnEvent::Device(DeviceEvent::Lost { reason })).await
    }
}

/// A line of either kind.
#[async_trait]
trait Bursts: Send {
    async fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize>;
    fn burst(&self, bytes: Vec<u8>) -> Burst;
}

#[async_trait]
impl Bursts for Line {
    async fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        AsyncReadExt::read(self, buffer).await
    }

    fn burst(&self, bytes: Vec<u8>) -> Burst {
        Burst::Bytes(bytes)
    }
}

#[async_trait]
impl Bursts for KeyLine {
    async fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        KeyLine::read(self, buffer).await
    }

    fn burst(&self, bytes: Vec<u8>) -> Burst {
        Burst::Keys(RecordCutter::default().push(&bytes))
    }
}
