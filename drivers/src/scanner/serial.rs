//! A scanner on a serial line (USB serial, RS-232): one task owns the line, cuts scans, and comes back by itself after
//! the cable was pulled.

use std::time::Instant;

use async_trait::async_trait;
use tokio::{io::AsyncReadExt as _, sync::mpsc, task::AbortHandle, time};

use super::{
    Scan, Scanner, ScannerEvent,
    framing::{Frame, Framer, FramingRules},
};
use crate::{
    backoff::Backoff,
    device::{DeviceEvent, DeviceName},
    serial::{SerialPort, SerialSettings, chain},
};

/// Scans that may wait for a counter that is busy. A person scans two a second; when it is full the line is not read,
/// and nothing is lost before the kernel's own 4 KiB are full too.
const EVENTS_WAITING_MAX: usize = 64;

/// All that a serial scanner needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialScannerSettings {
    /// What the branch calls it.
    pub name: DeviceName,
    /// Its line.
    pub serial: SerialSettings,
    /// How it frames scans.
    pub framing: FramingRules,
    /// Was it proved with the sheet of test codes?
    pub proved: bool,
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
        let task = tokio::spawn(run(settings, sender)).abort_handle();
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

/// The receiver has gone: nobody wants scans any more.
struct NobodyListens;

async fn run(settings: SerialScannerSettings, events: mpsc::Sender<ScannerEvent>) {
    let mut backoff = Backoff::for_hotplug();
    let mut told_fault = None;
    loop {
        let told = match settings.serial.open() {
            Ok(line) => {
                told_fault = None;
                let opened = time::Instant::now();
                let told = read_until_gone(&settings, line, &events).await;
                backoff.worked_for(opened.elapsed());
                told
            }
            Err(error) => {
                let reason = chain(&error);
                if told_fault.as_ref() == Some(&reason) {
                    Ok(())
                } else {
                    told_fault = Some(reason.clone());
                    tell(&settings, &events, DeviceEvent::Fault { reason }).await
                }
            }
        };
        if told.is_err() {
            return;
        }
        time::sleep(backoff.pause()).await;
    }
}

async fn tell(
    settings: &SerialScannerSettings,
    events: &mpsc::Sender<ScannerEvent>,
    event: DeviceEvent,
) -> Result<(), NobodyListens> {
    tracing::info!(device = %settings.name, ?event, "scanner");
    let source = settings.name.clone();
    events.send(ScannerEvent::Device { event, source }).await.map_err(|_| NobodyListens)
}

async fn read_until_gone(
    settings: &SerialScannerSettings,
    mut line: SerialPort,
    events: &mpsc::Sender<ScannerEvent>,
) -> Result<(), NobodyListens> {
    tell(settings, events, DeviceEvent::Attached).await?;
    let mut framer = Framer::new(settings.framing.clone());
    let mut buffer = [0u8; 1_024];
    let reason = loop {
        let read = match framer.deadline() {
            None => line.read(&mut buffer).await,
            Some(deadline) => match time::timeout_at(deadline.into(), line.read(&mut buffer)).await {
                Ok(read) => read,
                Err(_elapsed) => {
                    let frame = framer.tick(Instant::now());
                    deliver(settings, frame, events).await?;
                    continue;
                }
            },
        };
        match read {
            Ok(0) => break "the line was closed (unplugged)".to_owned(),
            Ok(count) => {
                let frames = framer.push(Instant::now(), &buffer[..count]);
                deliver(settings, frames, events).await?;
            }
            Err(error) => break format!("the line failed ({error}); probably unplugged"),
        }
    };
    let lost = framer.discard();
    let reason =
        if lost == 0 { reason } else { format!("{reason}; {lost} bytes of an unfinished scan were dropped") };
    tell(settings, events, DeviceEvent::Lost { reason }).await
}

async fn deliver(
    settings: &SerialScannerSettings,
    frames: impl IntoIterator<Item = Frame>,
    events: &mpsc::Sender<ScannerEvent>,
) -> Result<(), NobodyListens> {
    let received_at = Instant::now();
    for frame in frames {
        let source = settings.name.clone();
        let event = match frame {
            Frame::Scan { bytes, whole } => {
                ScannerEvent::Scan(Scan { bytes, received_at, source, proved: settings.proved && whole })
            }
            Frame::Rejected(rejection) => {
                tracing::warn!(device = %source, %rejection, "scan refused");
                ScannerEvent::Rejected { rejection, source }
            }
        };
        events.send(event).await.map_err(|_| NobodyListens)?;
    }
    Ok(())
}
