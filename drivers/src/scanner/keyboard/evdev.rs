//! The driver of a scanner in keyboard mode: one task owns the device, cuts scans, and comes back by itself after the
//! cable was pulled. Several run beside each other; none knows of keyboards that it was not given.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use pestle_domain::causes::with_causes;
use tokio::{sync::mpsc, task::AbortHandle, time};

use super::{
    decode::{DecodeRules, KeyState},
    reader::KeyReader,
    record::{EV_KEY, RECORD_BYTES, RecordCutter},
    source::{KeyLine, KeySource},
};
use crate::{
    device::{DeviceEvent, DeviceName},
    scanner::{
        Scanner, ScannerEvent,
        delivery::{Delivery, EVENTS_WAITING_MAX, NobodyListens, Opens, Reading, Trust, keep_open},
        framing::{Frame, FramingRules, Rejection},
        learn::settings::Learned,
    },
};

/// All that a scanner in keyboard mode needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyboardScannerSettings {
    /// What the branch calls it.
    pub name: DeviceName,
    /// Its device.
    pub source: KeySource,
    /// What it types for, while nothing was learned.
    pub decoding: DecodeRules,
    /// How it frames scans, while nothing was learned.
    pub framing: FramingRules,
    /// What was learned with the sheet of test codes; goes before the two above. Without it no scan is proved.
    pub learned: Option<Learned>,
}

/// The handle of a scanner in keyboard mode. Dropping it ends the task and gives the device free.
#[derive(Debug)]
pub struct KeyboardScanner {
    name: DeviceName,
    events: mpsc::Receiver<ScannerEvent>,
    task: AbortHandle,
}

impl KeyboardScanner {
    /// Starts reading. A device that is not there is told as a fault, and opened when it comes.
    /// Must be called within a tokio runtime.
    #[must_use]
    pub fn start(settings: KeyboardScannerSettings) -> KeyboardScanner {
        let (sender, events) = mpsc::channel(EVENTS_WAITING_MAX);
        let name = settings.name.clone();
        let reading = Reading::new(settings.learned.as_ref(), false);
        let delivery = Delivery { name: name.clone(), reading, events: sender, trust: Trust::default() };
        let task = tokio::spawn(keep_open(settings, delivery)).abort_handle();
        KeyboardScanner { name, events, task }
    }
}

impl Drop for KeyboardScanner {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[async_trait]
impl Scanner for KeyboardScanner {
    fn name(&self) -> &DeviceName {
        &self.name
    }

    async fn next(&mut self) -> Option<ScannerEvent> {
        self.events.recv().await
    }
}

/// Records that are read at once: the kernel keeps 64 for a keyboard (`EVDEV_MIN_BUFFER_SIZE`), or a few more.
const RECORDS_AT_ONCE: usize = 64;

#[async_trait]
impl Opens for KeyboardScannerSettings {
    type Line = KeyLine;

    async fn open(&self) -> Result<KeyLine, String> {
        self.source.open().await.map_err(|error| with_causes(&error))
    }

    fn may_be_a_twin(&self) -> bool {
        match &self.source {
            KeySource::Device(place) => place.may_hold_a_twin(),
            #[cfg(feature = "sim")]
            KeySource::Stream(_) => false,
        }
    }

    async fn read_until_gone(&self, line: KeyLine, delivery: &Delivery) -> Result<(), NobodyListens> {
        let learned = self.learned.as_ref();
        let framing = learned.map(|learned| learned.framing(self.framing.idle_gap));
        let framing = framing.unwrap_or_else(|| self.framing.clone());
        let decoding = learned.and_then(Learned::decoding).unwrap_or(self.decoding);
        let reader = KeyReader::new(decoding, framing.clone(), &KeyState::default());
        read_until_gone(line, reader, &framing, delivery).await
    }
}

async fn read_until_gone(
    mut line: KeyLine,
    mut reader: KeyReader,
    framing: &FramingRules,
    delivery: &Delivery,
) -> Result<(), NobodyListens> {
    let mut cutter = RecordCutter::default();
    let mut buffer = [0u8; RECORDS_AT_ONCE * RECORD_BYTES];
    if let Err(reason) = wait_for_silence(&mut line, &mut cutter, framing, delivery).await? {
        return delivery.tell(DeviceEvent::Fault { reason }).await;
    }
    match line.state() {
        Ok(state) => reader.resync(&state),
        Err(error) => return delivery.tell(DeviceEvent::Fault { reason: gone(&error) }).await,
    }
    delivery.tell(DeviceEvent::Attached).await?;
    let reason = loop {
        let read = match reader.deadline() {
            None => line.read(&mut buffer).await,
            Some(deadline) => match time::timeout_at(deadline.into(), line.read(&mut buffer)).await {
                Ok(read) => read,
                Err(_elapsed) => {
                    delivery.frames(reader.tick(Instant::now())).await?;
                    continue;
                }
            },
        };
        match read {
            Ok(0) => break "the device was closed (unplugged)".to_owned(),
            Ok(count) => {
                let frames = reader.push(Instant::now(), &cutter.push(&buffer[..count]));
                if reader.is_lost() {
                    match line.state() {
                        Ok(state) => reader.resync(&state),
                        Err(error) => break gone(&error),
                    }
                }
                delivery.frames(frames).await?;
            }
            Err(error) => break gone(&error),
        }
    };
    delivery.lost(reason, reader.discard()).await
}

/// When a keyboard that does not fall silent is told.
const NEVER_SILENT: Duration = Duration::from_secs(5);

/// Whatever is being typed at the moment of opening began before it: its rest is no scan. A scanner makes no pauses, so a
/// silence of one gap is the end of it. Only what is pressed counts: a key that is stuck repeats without end, and is known
/// to be down afterwards. The inner error is that the device has gone meanwhile.
async fn wait_for_silence(
    line: &mut KeyLine,
    cutter: &mut RecordCutter,
    framing: &FramingRules,
    delivery: &Delivery,
) -> Result<Result<(), String>, NobodyListens> {
    let opened = time::Instant::now();
    let (mut silent_at, mut presses, mut told) = (opened + framing.idle_gap, 0, false);
    let mut buffer = [0u8; RECORDS_AT_ONCE * RECORD_BYTES];
    // Not left to the timer alone: something always is to be read where keys are stuck.
    while time::Instant::now() < silent_at {
        match time::timeout_at(silent_at, line.read(&mut buffer)).await {
            Err(_silent) => break,
            Ok(Ok(0)) => return Ok(Err("the device was closed (unplugged) while it was opened".to_owned())),
            Ok(Err(error)) => return Ok(Err(gone(&error))),
            Ok(Ok(count)) => {
                let records = cutter.push(&buffer[..count]);
                let pressed = records.iter().filter(|r| r.kind == EV_KEY && r.value == 1).count();
                if pressed > 0 {
                    presses += pressed;
                    silent_at = time::Instant::now() + framing.idle_gap;
                }
            }
        }
        if !told && opened.elapsed() >= NEVER_SILENT {
            told = true;
            let reason = "keys are pressed without a pause: check that nothing lies on it, and plug it out and in again";
            delivery.tell(DeviceEvent::Fault { reason: reason.to_owned() }).await?;
        }
    }
    if presses > 0 {
        delivery.frames([Frame::Rejected(Rejection::CutOff { bytes: presses })]).await?;
    }
    Ok(Ok(()))
}

fn gone(error: &std::io::Error) -> String {
    format!("the device failed ({error}); probably unplugged")
}
