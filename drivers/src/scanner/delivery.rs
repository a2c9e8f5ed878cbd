//! What all scanner drivers do alike: open, tell coming and going once, hand over scans, try again.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use async_trait::async_trait;
use tokio::{sync::mpsc, time};

use super::{Scan, ScannerEvent, framing::Frame, learn::settings::Learned};
use crate::{
    backoff::Backoff,
    device::{DeviceEvent, DeviceName},
};

/// Scans that may wait for a counter that is busy. A person scans two a second; when it is full the line is not read,
/// and nothing is lost before the kernel's own buffers are full too.
pub(super) const EVENTS_WAITING_MAX: usize = 64;

/// What stands behind a field of variable length in a GS1 code.
const GS: u8 = 0x1d;

/// The receiver has gone: nobody wants scans any more.
#[derive(Debug)]
pub(super) struct NobodyListens;

/// The way to whoever listens.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) name: DeviceName,
    pub(super) reading: Reading,
    pub(super) events: mpsc::Sender<ScannerEvent>,
    pub(super) trust: Trust,
}

/// Is the scanner still the one that was proved? One without a number of its own that was away may be another of the same
/// kind, set up as it left its maker: such a one leaves out GS, and lot and serial number would run into each other. A scan
/// with a GS in it shows that it does not. Pure but for the mark.
#[derive(Debug, Default)]
pub(super) struct Trust {
    doubted: AtomicBool,
}

impl Trust {
    fn was_away(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    /// May this scan's lot and serial number be believed, which its settings would allow?
    fn allows(&self, bytes: &[u8]) -> bool {
        if bytes.contains(&GS) {
            self.doubted.store(false, Ordering::Relaxed);
        }
        !self.doubted.load(Ordering::Relaxed)
    }
}

/// How a scan's bytes are read.
#[derive(Debug)]
pub(super) enum Reading {
    /// As they are; believed if the configuration says so.
    AsIs { proved: bool },
    /// By what was learned.
    Learned(Learned),
}

impl Reading {
    pub(super) fn new(learned: Option<&Learned>, proved: bool) -> Reading {
        learned.map_or(Reading::AsIs { proved }, |learned| Reading::Learned(learned.clone()))
    }
}

impl Delivery {
    pub(super) async fn tell(&self, event: DeviceEvent) -> Result<(), NobodyListens> {
        tracing::info!(device = %self.name, ?event, "scanner");
        let source = self.name.clone();
        self.events.send(ScannerEvent::Device { event, source }).await.map_err(|_| NobodyListens)
    }

    /// Tells that the device has gone, and what it took along.
    pub(super) async fn lost(&self, reason: String, bytes_dropped: usize) -> Result<(), NobodyListens> {
        let reason = match bytes_dropped {
            0 => reason,
            lost => format!("{reason}; {lost} bytes of an unfinished scan were dropped"),
        };
        self.tell(DeviceEvent::Lost { reason }).await
    }

    pub(super) async fn frames(&self, frames: impl IntoIterator<Item = Frame>) -> Result<(), NobodyListens> {
        let received_at = Instant::now();
        for frame in frames {
            let source = self.name.clone();
            let event = match frame {
                Frame::Scan { bytes, whole } => {
                    let (bytes, proved) = match &self.reading {
                        Reading::AsIs { proved } => (bytes, *proved && whole),
                        Reading::Learned(learned) => learned.read(bytes, whole),
                    };
                    let proved = proved && self.trust.allows(&bytes);
                    ScannerEvent::Scan(Scan { bytes, received_at, source, proved })
                }
                Frame::Rejected(rejection) => {
                    tracing::warn!(device = %source, %rejection, "scan refused");
                    ScannerEvent::Rejected { rejection, source }
                }
            };
            self.events.send(event).await.map_err(|_| NobodyListens)?;
        }
        Ok(())
    }
}

/// A line that can be opened, and read until it goes.
#[async_trait]
pub(super) trait Opens: Send + Sync {
    /// The open line.
    type Line: Send;

    /// Opens it; an error is a sentence that says what to check.
    async fn open(&self) -> Result<Self::Line, String>;

    /// Can a scanner that looks the same have come in its place while it was away?
    fn may_be_a_twin(&self) -> bool;

    /// Reads it, and tells coming, going and scans.
    async fn read_until_gone(&self, line: Self::Line, delivery: &Delivery) -> Result<(), NobodyListens>;
}

/// Opens a line and reads it until it goes, for ever; a line that cannot be opened is told once for each reason.
pub(super) async fn keep_open(opens: impl Opens, delivery: Delivery) {
    let mut backoff = Backoff::for_hotplug();
    let mut told_fault = None;
    let mut was_here = false;
    loop {
        let told = match opens.open().await {
            Ok(line) => {
                told_fault = None;
                if std::mem::replace(&mut was_here, true) && opens.may_be_a_twin() {
                    delivery.trust.was_away();
                }
                let opened = time::Instant::now();
                let told = opens.read_until_gone(line, &delivery).await;
                backoff.worked_for(opened.elapsed());
                told
            }
            Err(reason) if told_fault.as_ref() == Some(&reason) => Ok(()),
            Err(reason) => {
                told_fault = Some(reason.clone());
                delivery.tell(DeviceEvent::Fault { reason }).await
            }
        };
        if told.is_err() {
            return;
        }
        time::sleep(backoff.pause()).await;
    }
}
