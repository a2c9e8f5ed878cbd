//! An RS-485 line with Modbus RTU sensors on it. One task owns the line and asks one slave at a time.
//!
//! Two traps: a silent slave hangs a caller for ever, so each question has a time-out; and an answer that comes after
//! its time-out would be read as the answer to the next question, so after any failure the line is closed, opened again,
//! and drained for longer than the longest answer takes. A slave that stays silent is asked ever more rarely, so that it
//! does not stall the others.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use async_trait::async_trait;
use pestle_domain::units::MilliCelsius;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    sync::{mpsc, oneshot},
    task::AbortHandle,
    time::{self, Instant},
};
use tokio_modbus::{
    Error as ModbusError,
    client::{Context, Reader as _, rtu},
    slave::{Slave, SlaveContext as _},
};

use super::{
    NoData, Sample, Sensor, SensorEvent,
    answer::why_no_answer,
    profile::{Function, Register, SensorProfile},
};
use crate::{
    backoff::Backoff,
    device::{DeviceEvent, DeviceName},
    serial::{SerialPort, SerialSettings, chain},
};

/// Questions that may wait. Each sensor is asked by one task, so more than the slaves of a bus (247) never do.
const QUESTIONS_WAITING_MAX: usize = 256;

/// Events that may wait for the agent.
const EVENTS_WAITING_MAX: usize = 64;

/// The longest frame (Modbus over serial line, 2.5.1).
const FRAME_BYTES_MAX: u32 = 256;

/// How long the line is drained at the most, when something talks without end.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// All that a bus needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusSettings {
    /// Its line.
    pub serial: SerialSettings,
    /// How long a slave may take to answer.
    pub answer_timeout: Duration,
    /// How long a slave that failed is left alone; doubling from the first to the second.
    pub rest: (Duration, Duration),
    /// The sensors on it.
    pub sensors: Vec<SensorSettings>,
}

/// A sensor on a bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SensorSettings {
    /// What the branch calls it.
    pub name: DeviceName,
    /// Its address, 1 to 247.
    pub slave: u8,
    /// What it is.
    pub profile: SensorProfile,
}

/// Why a bus is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusSettingsError {
    /// Not an address of a slave.
    #[error("{name}: a Modbus address is 1 to 247, not {slave}")]
    Address {
        /// Which sensor.
        name: DeviceName,
        /// Its address.
        slave: u8,
    },
    /// Two sensors with one address would answer at once.
    #[error("{first} and {second} both have address {slave}; give one of them another")]
    SameAddress {
        /// One.
        first: DeviceName,
        /// The other.
        second: DeviceName,
        /// Their address.
        slave: u8,
    },
}

impl BusSettings {
    /// A bus with usual times: 500 ms for an answer, 1 to 30 s of rest.
    ///
    /// # Errors
    /// An address that is none, or that two sensors share.
    pub fn new(
        serial: SerialSettings,
        sensors: Vec<SensorSettings>,
    ) -> Result<BusSettings, BusSettingsError> {
        for (index, sensor) in sensors.iter().enumerate() {
            let (name, slave) = (sensor.name.clone(), sensor.slave);
            if !(1..=247).contains(&slave) {
                return Err(BusSettingsError::Address { name, slave });
            }
            if let Some(same) = sensors.iter().take(index).find(|other| other.slave == slave) {
                return Err(BusSettingsError::SameAddress { first: same.name.clone(), second: name, slave });
            }
        }
        let rest = (Duration::from_secs(1), Duration::from_secs(30));
        Ok(BusSettings { serial, answer_timeout: Duration::from_millis(500), rest, sensors })
    }
}

/// A sensor on a Modbus line. When all sensors of a bus are dropped, its task ends and the line is free.
#[derive(Debug)]
pub struct ModbusSensor {
    name: DeviceName,
    index: usize,
    questions: mpsc::Sender<Question>,
    _task: Arc<AbortOnDrop>,
}

#[derive(Debug)]
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug)]
struct Question {
    index: usize,
    reply: oneshot::Sender<Sample>,
}

/// Starts a bus; returns its sensors in the order of the settings, and what they tell by themselves.
/// Must be called within a tokio runtime.
#[must_use]
pub fn start(settings: BusSettings) -> (Vec<ModbusSensor>, mpsc::Receiver<SensorEvent>) {
    let (questions, questions_in) = mpsc::channel(QUESTIONS_WAITING_MAX);
    let (events, events_out) = mpsc::channel(EVENTS_WAITING_MAX);
    let names: Vec<DeviceName> = settings.sensors.iter().map(|sensor| sensor.name.clone()).collect();
    let task = tokio::spawn(Bus::new(settings, events).run(questions_in)).abort_handle();
    let task = Arc::new(AbortOnDrop(task));
    let sensor =
        |(index, name)| ModbusSensor { name, index, questions: questions.clone(), _task: Arc::clone(&task) };
    (names.into_iter().enumerate().map(sensor).collect(), events_out)
}

#[async_trait]
impl Sensor for ModbusSensor {
    fn name(&self) -> &DeviceName {
        &self.name
    }

    async fn sample(&self) -> Sample {
        let (reply, sample) = oneshot::channel();
        let gone = Sample { temperature: Err(NoData::Gone), humidity_permille: None };
        if self.questions.send(Question { index: self.index, reply }).await.is_err() {
            return gone;
        }
        sample.await.unwrap_or(gone)
    }
}

/// What the bus knows of one slave.
#[derive(Debug)]
struct SlaveHealth {
    backoff: Backoff,
    state: Health,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    // Unknown => Well | Resting
    Unknown,
    // Well => Resting
    Well,
    // Resting => Well | Resting
    Resting { until: Instant, why: NoData },
}

impl SlaveHealth {
    fn new(rest: (Duration, Duration)) -> SlaveHealth {
        SlaveHealth { backoff: Backoff::new(rest.0, rest.1), state: Health::Unknown }
    }

    /// The standing answer, while the slave is left alone.
    fn resting(&self, now: Instant) -> Option<NoData> {
        match self.state {
            Health::Resting { until, why } if now < until => Some(why),
            _ => None,
        }
    }

    /// Takes in what became of a question; returns what changed, if anything did.
    fn take(&mut self, now: Instant, result: Result<(), NoData>) -> Option<DeviceEvent> {
        let before = self.state;
        match result {
            Ok(()) => {
                self.backoff.reset();
                self.state = Health::Well;
                (before != Health::Well).then_some(DeviceEvent::Attached)
            }
            Err(why) => {
                // A slave that answers, if only to refuse, or a line that is away, stalls nobody.
                let silent = matches!(why, NoData::Timeout | NoData::Crc | NoData::Garbled);
                let until = if silent { now + self.backoff.pause() } else { now };
                self.state = Health::Resting { until, why };
                let reason = why.to_string();
                match before {
                    Health::Resting { why: told, .. } if told == why => None,
                    Health::Well if matches!(why, NoData::Timeout | NoData::Gone) => {
                        Some(DeviceEvent::Lost { reason })
                    }
                    _ => Some(DeviceEvent::Fault { reason }),
                }
            }
        }
    }
}

struct Bus {
    settings: BusSettings,
    slaves: Vec<SlaveHealth>,
    line: Option<Line>,
    events: mpsc::Sender<SensorEvent>,
}

/// The open line, and what was heard on it since the last question.
struct Line {
    modbus: Context,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Bus {
    fn new(settings: BusSettings, events: mpsc::Sender<SensorEvent>) -> Bus {
        let slaves = settings.sensors.iter().map(|_| SlaveHealth::new(settings.rest)).collect();
        Bus { settings, slaves, line: None, events }
    }

    async fn run(mut self, mut questions: mpsc::Receiver<Question>) {
        while let Some(Question { index, reply }) = questions.recv().await {
            let sample = self.sample(index).await;
            let _caller_gave_up = reply.send(sample);
            // The caller need not wait for this; the next question must.
            if self.line.is_none() && self.slaves[index].state != Health::Unknown {
                self.drain().await;
            }
        }
    }

    async fn sample(&mut self, index: usize) -> Sample {
        let profile = self.settings.sensors[index].profile.clone();
        let temperature = match self.slaves[index].resting(Instant::now()) {
            Some(why) => {
                return Sample {
                    temperature: Err(why),
                    humidity_permille: profile.humidity.map(|_| Err(why)),
                };
            }
            None => self.ask(index, &profile.temperature).await.map(MilliCelsius),
        };
        let change = self.slaves[index].take(Instant::now(), temperature.map(|_| ()));
        if let Some(event) = change {
            self.tell(index, event);
        }
        let humidity_permille = match (profile.humidity, temperature) {
            (None, _) => None,
            // Whatever kept the one from being read would keep the other; a missing probe measures neither.
            (Some(_), Err(why)) => Some(Err(why)),
            (Some(register), Ok(_)) => Some(self.ask(index, &register).await),
        };
        Sample { temperature, humidity_permille }
    }

    /// Asks for one register. After any failure of the line it is closed.
    async fn ask(&mut self, index: usize, register: &Register) -> Result<i32, NoData> {
        let slave = self.settings.sensors[index].slave;
        let answer_timeout = self.settings.answer_timeout + self.settings.serial.time_for(16);
        let mut line = match self.line.take() {
            Some(line) => line,
            None => self.open(index)?,
        };
        line.forget_heard();
        line.modbus.set_slave(Slave(slave));
        let question = async {
            match register.function {
                Function::Holding => line.modbus.read_holding_registers(register.register, 1).await,
                Function::Input => line.modbus.read_input_registers(register.register, 1).await,
            }
        };
        let function = match register.function {
            Function::Holding => 3,
            Function::Input => 4,
        };
        let why = |line: &Line| why_no_answer(slave, function, &line.heard());
        let answer = match time::timeout(answer_timeout, question).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(ModbusError::Protocol(_))) => return Err(NoData::Garbled),
            Ok(Err(ModbusError::Transport(error))) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(why(&line));
            }
            Ok(Err(ModbusError::Transport(error))) => {
                tracing::warn!(bus = %self.settings.serial.path().display(), %error, "the sensor bus has gone");
                return Err(NoData::Gone);
            }
            Err(_elapsed) => return Err(why(&line)),
        };
        self.line = Some(line);
        match answer {
            Ok(words) => match words[..] {
                [word] => register.interpret(word),
                _ => Err(NoData::Garbled),
            },
            Err(exception) => Err(NoData::Exception(exception.into())),
        }
    }

    fn open(&self, index: usize) -> Result<Line, NoData> {
        let port = self.settings.serial.open().map_err(|error| {
            let sensor = &self.settings.sensors[index].name;
            tracing::warn!(%sensor, error = chain(&error), "the sensor bus cannot be opened");
            NoData::Gone
        })?;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let modbus = rtu::attach(Tapped { port, heard: Arc::clone(&heard) });
        Ok(Line { modbus, heard })
    }

    /// Reads and throws away what is still on its way, until the line has been quiet for longer than the longest frame.
    async fn drain(&mut self) {
        // Away: there is nothing to drain, and the next question says so.
        let Ok(mut port) = self.settings.serial.open() else { return };
        let quiet = self.settings.serial.time_for(FRAME_BYTES_MAX) + self.settings.answer_timeout / 4;
        let end = Instant::now() + DRAIN_MAX;
        let mut buffer = [0u8; 256];
        while Instant::now() < end {
            match time::timeout(quiet, port.read(&mut buffer)).await {
                Err(_quiet) => return,
                Ok(Ok(0) | Err(_)) => return,
                Ok(Ok(_)) => {}
            }
        }
    }

    fn tell(&self, index: usize, event: DeviceEvent) {
        let source = self.settings.sensors[index].name.clone();
        tracing::info!(sensor = %source, ?event, "sensor");
        // Readings must go on even when nobody reads the events.
        if let Err(error) = self.events.try_send(SensorEvent { source, event }) {
            tracing::error!(%error, "a sensor event was dropped");
        }
    }
}

impl Line {
    fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn forget_heard(&self) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// The port, with a note of what was read: the Modbus library drops what it cannot read, and does not say so.
#[derive(Debug)]
struct Tapped {
    port: SerialPort,
    heard: Arc<Mutex<Vec<u8>>>,
}

/// More than this is not kept: it is nonsense by then.
const HEARD_BYTES_MAX: usize = 512;

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let poll = Pin::new(&mut self.port).poll_read(cx, buf);
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let room = HEARD_BYTES_MAX.saturating_sub(heard.len());
        heard.extend(buf.filled().iter().skip(before).take(room));
        drop(heard);
        poll
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.port).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.port).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.port).poll_shutdown(cx)
    }
}
