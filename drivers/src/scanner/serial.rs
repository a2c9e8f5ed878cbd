//! A scanner on a serial line (USB serial, RS-232): one task owns the line, cuts scans, and comes back by itself after
//! the cable was pulled.

use std::time::Instant;

use async_trait::async_trait;
use tokio::{io::AsyncReadExt as _, sync::mpsc, task::AbortHandle, time};

use super::{
    Scanner, ScannerEvent,
    delivery::{Delivery, EVENTS_WAITING_MAX, NobodyListens, Opens, Reading, keep_open},
    framing::{Framer, FramingRules},
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
        let delivery = Delivery { name: name.clone(), reading, events: sender };
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

    async fn read_until_gone(&self, line: Line, delivery: &Delivery) -> Result<(), NobodyListens> {
        let framing = self.learned.as_ref().map_or_else(|| self.framing.clone(), Learned::framing);
        read_until_gone(line, Framer::new(framing), delivery).await
    }
}

async fn read_until_gone(
    mut line: Line,
    mut framer: Framer,
    delivery: &Delivery,
) -> Result<(), NobodyListens> {
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
