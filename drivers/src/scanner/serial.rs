//! A scanner on a serial line (USB serial, RS-232): one task owns the line, cuts scans, and comes back by itself after
//! the cable was pulled.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::{io::AsyncReadExt as _, sync::mpsc, task::AbortHandle, time};

use super::{
    Scanner, ScannerEvent,
    delivery::{Delivery, EVENTS_WAITING_MAX, NobodyListens, Opens, Reading, Trust, keep_open},
    framing::{Frame, Framer, FramingRules, Rejection},
    learn::settings::Learned,
};
use crate::{
    device::{DeviceEvent, DeviceName},
    line::{Line, LineAddress},
};

/// All that a serial scanner needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialScannerSettings {
    /// What the branch calls it.
    pub name: DeviceName,
    /// Its line.
    pub line: LineAddress,
    /// How it frames scans.
    pub framing: FramingRules,
    /// Was it proved with the sheet of test codes?
    pub proved: bool,
    /// What was learned with the sheet of test codes; if there is something, it goes before `framing` and `proved`.
    pub learned: Option<Learned>,
}

/// The handle of a serial scanner. Dropping it ends the task and frees the line.
#[derive(Debug)]
pub struct SerialScanner {
    name: DeviceName,
    events: mpsc::Receiver<ScannerEvent>,
    task: AbortHandle,
}

impl SerialScanner {
    /// Starts reading. A device that is not there is told as a fault, and opened when it comes.
    /// Must be called within a tokio runtime.
    #[must_use]
    pub fn start(settings: SerialScannerSettings) -> SerialScanner {
        let (sender, events) = mpsc::channel(EVENTS_WAITING_MAX);
        let name = settings.name.clone();
        let reading = Reading::new(settings.learned.as_ref(), settings.proved);
        let delivery = Delivery { name: name.clone(), reading, events: sender, trust: Trust::default() };
        let task = tokio::spawn(keep_open(settings, delivery)).abort_handle();
        SerialScanner { name, events, task }
    }
}

impl Drop for SerialScanner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait]
impl Scanner for SerialScanner {
    fn name(&self) -> &DeviceName {
        &self.name
    }

    async fn next(&mut self) -> Option<ScannerEvent> {
        self.events.recv().await
    }
}

#[async_trait]
impl Opens for SerialScannerSettings {
    type Line = Line;

    async fn open(&self) -> Result<Line, String> {
        self.line.open().await
    }

    fn may_be_a_twin(&self) -> bool {
        self.line.place().is_some_and(|(place, _class)| place.may_hold_a_twin())
    }

    async fn read_until_gone(&self, line: Line, delivery: &Delivery) -> Result<(), NobodyListens> {
        let learned = self.learned.as_ref().map(|learned| learned.framing(self.framing.idle_gap));
        let framing = learned.unwrap_or_else(|| self.framing.clone());
        read_until_gone(line, framing, delivery).await
    }
}

/// A longer gap than any scanner makes in a scan, and so long enough to be its end.
const GAP_MAX: Duration = Duration::from_secs(1);

/// When a line that does not fall silent is told.
const NEVER_SILENT: Duration = Duration::from_secs(5);

/// Whatever is being sent at the moment of opening began before it: its rest is no scan. A scanner makes no pauses, so a
/// silence of one gap is the end of it. The inner error is that the device has gone meanwhile.
async fn wait_for_silence(
    line: &mut Line,
    framing: &FramingRules,
    delivery: &Delivery,
) -> Result<Result<(), String>, NobodyListens> {
    let gap = framing.idle_gap.min(GAP_MAX);
    let opened = Instant::now();
    let (mut buffer, mut bytes, mut told) = ([0u8; 1_024], 0, false);
    loop {
        match time::timeout(gap, line.read(&mut buffer)).await {
            Err(_silent) => break,
            Ok(Ok(0)) => return Ok(Err("the line was closed (unplugged) while it was opened".to_owned())),
            Ok(Ok(count)) => bytes += count,
            Ok(Err(error)) => {
                return Ok(Err(format!("the line failed ({error}) while it was opened; probably unplugged")));
            }
        }
        if !told && opened.elapsed() >= NEVER_SILENT {
            told = true;
            let reason = "the scanner sends without a pause: check that its speed and parity are those of its line's settings, and its cable";
            delivery.tell(DeviceEvent::Fault { reason: reason.to_owned() }).await?;
        }
    }
    if bytes > 0 {
        delivery.frames([Frame::Rejected(Rejection::CutOff { bytes })]).await?;
    }
    Ok(Ok(()))
}

async fn read_until_gone(
    mut line: Line,
    framing: FramingRules,
    delivery: &Delivery,
) -> Result<(), NobodyListens> {
    if let Err(reason) = wait_for_silence(&mut line, &framing, delivery).await? {
        return delivery.tell(DeviceEvent::Fault { reason }).await;
    }
    let mut framer = Framer::new(framing);
    delivery.tell(DeviceEvent::Attached).await?;
    let mut buffer = [0u8; 1_024];
    let reason = loop {
        let read = match framer.deadline() {
            None => line.read(&mut buffer).await,
            Some(deadline) => match time::timeout_at(deadline.into(), line.read(&mut buffer)).await {
                Ok(read) => read,
                Err(_elapsed) => {
                    delivery.frames(framer.tick(Instant::now())).await?;
                    continue;
                }
            },
        };
        match read {
            Ok(0) => break "the line was closed (unplugged)".to_owned(),
            Ok(count) => delivery.frames(framer.push(Instant::now(), &buffer[..count])).await?,
            Err(error) => break format!("the line failed ({error}); probably unplugged"),
        }
    };
    delivery.lost(reason, framer.discard()).await
}
