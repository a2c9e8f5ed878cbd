//! A line with Modbus devices on it: RS-485, a converter, or a gateway. One task owns the line and asks one device at a time.
//!
//! Two traps: a silent device hangs a caller for ever, so each question has a time-out; and an answer that comes after
//! its time-out would be read as the answer to the next question, so after any failure the line is closed, opened again,
//! and drained for longer than the longest answer takes. A device that stays silent is asked ever more rarely, and has never
//! more than its share of the line, so that it does not stall the others.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use pestle_domain::units::MilliCelsius;
use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
    time::Instant,
};

pub use super::settings::{
    BusAddress, BusSettings, BusSettingsError, Framing, InputSettings, SensorSettings,
};
use super::{
    NoData, Reading, Sample, Sensor, SensorEvent,
    health::{News, Rest},
    input::{Input, InputKind, InputReading},
    register::{Answers, InputPoint, Question, Register},
    timing,
    wire::{self, Failure, Manners, Wire},
};
use crate::{backoff::Backoff, device::DeviceName, line::Line};

/// Questions that may wait. Each probe and contact is asked by one task, so more than a bus has of them (247 devices, most of
/// them with one) never do.
const QUESTIONS_WAITING_MAX: usize = 512;

/// Events that may wait for the agent.
const EVENTS_WAITING_MAX: usize = 64;

/// A bus that was started. When all of it that is kept is dropped, its task ends and the line is free.
#[derive(Debug)]
pub struct Bus {
    /// The probes, in the order of the settings.
    pub sensors: Vec<ModbusSensor>,
    /// The contacts, in the order of the settings.
    pub inputs: Vec<ModbusInput>,
    /// For questions that belong to no probe.
    pub handle: BusHandle,
    /// What they tell by themselves.
    pub events: mpsc::Receiver<SensorEvent>,
}

/// Starts a bus. Must be called within a tokio runtime.
#[must_use]
pub fn start(settings: BusSettings) -> Bus {
    let (questions, questions_in) = mpsc::channel(QUESTIONS_WAITING_MAX);
    let (events_in, events) = mpsc::channel(EVENTS_WAITING_MAX);
    let sensors: Vec<DeviceName> = settings.sensors.iter().map(|one| one.name.clone()).collect();
    let inputs: Vec<(DeviceName, InputKind)> =
        settings.inputs.iter().filter_map(|one| Some((one.name.clone(), one.point()?.kind))).collect();
    let task = tokio::spawn(Owner::new(settings, events_in).run(questions_in)).abort_handle();
    let handle = BusHandle { questions, _task: Arc::new(AbortOnDrop(task)) };
    let sensor = |(index, name)| ModbusSensor { name, index, bus: handle.clone() };
    let input = |(index, (name, kind))| ModbusInput { name, kind, index, bus: handle.clone() };
    Bus {
        sensors: sensors.into_iter().enumerate().map(sensor).collect(),
        inputs: inputs.into_iter().enumerate().map(input).collect(),
        handle: handle.clone(),
        events,
    }
}

/// A way to the bus's owner.
#[derive(Debug, Clone)]
pub struct BusHandle {
    questions: mpsc::Sender<Command>,
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
enum Command {
    Sample { index: usize, reply: oneshot::Sender<Sample> },
    Input { index: usize, reply: oneshot::Sender<InputReading> },
    Ask { slave: u8, question: Question, reply: oneshot::Sender<Result<Vec<u16>, NoData>> },
    Release { reply: oneshot::Sender<()> },
}

impl BusHandle {
    /// Asks the device at `slave` one question, in turn with all others. It is no concern of a probe's health.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn ask(&self, slave: u8, question: Question) -> Result<Vec<u16>, NoData> {
        self.request(|reply| Command::Ask { slave, question, reply }).await.unwrap_or(Err(NoData::Gone))
    }

    /// Gives the line free until the next question, so that it can be opened in another way.
    pub async fn release(&self) {
        // A bus that has ended has no line.
        let _ended = self.request(|reply| Command::Release { reply }).await;
    }

    async fn request<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.questions.send(command(reply)).await.ok()?;
        answer.await.ok()
    }
}

/// A probe on a bus.
#[derive(Debug)]
pub struct ModbusSensor {
    name: DeviceName,
    index: usize,
    bus: BusHandle,
}

#[async_trait]
impl Sensor for ModbusSensor {
    fn name(&self) -> &DeviceName {
        &self.name
    }

    async fn sample(&self) -> Sample {
        let gone =
            Sample { temperature: Err(NoData::Gone), correction: MilliCelsius(0), humidity_permille: None };
        let index = self.index;
        self.bus.request(|reply| Command::Sample { index, reply }).await.unwrap_or(gone)
    }
}

/// A contact on a bus.
#[derive(Debug)]
pub struct ModbusInput {
    name: DeviceName,
    kind: InputKind,
    index: usize,
    bus: BusHandle,
}

#[async_trait]
impl Input for ModbusInput {
    fn name(&self) -> &DeviceName {
        &self.name
    }

    fn kind(&self) -> InputKind {
        self.kind
    }

    async fn read(&self) -> InputReading {
        let index = self.index;
        self.bus.request(|reply| Command::Input { index, reply }).await.unwrap_or(Err(NoData::Gone))
    }
}

/// The task that owns the line.
struct Owner {
    settings: BusSettings,
    manners: Manners,
    /// The contacts, with what the branch says of them.
    points: Vec<InputPoint>,
    /// Of each device.
    rests: BTreeMap<u8, Rest>,
    /// Of each probe and contact.
    news: BTreeMap<DeviceName, News>,
    wire: Option<Wire>,
    /// The line could not be opened, and is not tried before this.
    away_until: Option<Instant>,
    attempts: Backoff,
    /// Why it could not be opened, once that was told.
    told_away: Option<String>,
    /// A failure threw the wire away, and what was on its way may still come.
    dirty: bool,
    events: mpsc::Sender<SensorEvent>,
}

impl Owner {
    fn new(settings: BusSettings, events: mpsc::Sender<SensorEvent>) -> Owner {
        let manners = Manners::of(&settings);
        let points = settings.inputs.iter().filter_map(InputSettings::point).collect();
        let slaves = settings.sensors.iter().map(|one| one.slave);
        let slaves = slaves.chain(settings.inputs.iter().map(|one| one.slave));
        let rests = slaves.map(|slave| (slave, Rest::new(settings.rest))).collect();
        Owner {
            settings,
            manners,
            points,
            rests,
            news: BTreeMap::new(),
            wire: None,
            away_until: None,
            attempts: Backoff::for_hotplug(),
            told_away: None,
            dirty: false,
            events,
        }
    }

    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Some(command) = commands.recv().await {
            let began = Instant::now();
            // The caller need not wait for the line to be clean again; the next question must. A caller may have given up.
            let slave = match command {
                Command::Sample { index, reply } => {
                    let _gave_up = reply.send(self.sample(index).await);
                    self.settings.sensors[index].slave
                }
                Command::Input { index, reply } => {
                    let _gave_up = reply.send(self.input(index).await);
                    self.settings.inputs[index].slave
                }
                Command::Ask { slave, question, reply } => {
                    let _gave_up = reply.send(self.ask(slave, question).await);
                    slave
                }
                Command::Release { reply } => {
                    self.wire = None;
                    let _gave_up = reply.send(());
                    continue;
                }
            };
            if self.dirty {
                self.clean().await;
            }
            let share = timing::rest_for_a_fair_share(began.elapsed(), self.rests.len());
            if let Some(rest) = self.rests.get_mut(&slave) {
                rest.at_least(now(), share);
            }
        }
    }

    async fn sample(&mut self, index: usize) -> Sample {
        let settings = self.settings.sensors[index].clone();
        let correction = settings
            .calibration
            .as_ref()
            .map_or(MilliCelsius(0), super::calibration::Calibration::correction);
        let humidity = settings.profile.humidity.as_ref();
        let told = match settings.register() {
            None => Err(NoData::Gone),
            Some(register) => self.number(settings.slave, register).await.map(MilliCelsius),
        };
        self.tell(&settings.name, told.map(|_| ()));
        let temperature: Reading = match &settings.calibration {
            None => told,
            Some(calibration) => calibration.apply(told),
        };
        let humidity_permille = match (humidity, told) {
            (None, _) => None,
            // Whatever kept the one from being read would keep the other; a missing probe measures neither.
            (Some(_), Err(why)) => Some(Err(why)),
            (Some(register), Ok(_)) => Some(self.number(settings.slave, register).await),
        };
        Sample { temperature, correction, humidity_permille }
    }

    async fn input(&mut self, index: usize) -> InputReading {
        let InputSettings { name, slave, .. } = self.settings.inputs[index].clone();
        let point = self.points[index].clone();
        let answers = self.answers(slave, &[point.question()]).await;
        let reading = answers.and_then(|answers| point.interpret(&answers));
        self.tell(&name, reading.map(|_| ()));
        reading
    }

    async fn number(&mut self, slave: u8, register: &Register) -> Result<i32, NoData> {
        let answers = self.answers(slave, &register.questions()).await?;
        register.interpret(&answers)
    }

    /// Asks all of `questions`, unless the device is being left alone.
    async fn answers(&mut self, slave: u8, questions: &[Question]) -> Result<Answers, NoData> {
        if let Some(why) = self.rests.get(&slave).and_then(|rest| rest.standing(now())) {
            return Err(why);
        }
        let mut answers = Answers::new();
        for question in questions {
            let answer = self.ask(slave, *question).await;
            if let Some(rest) = self.rests.get_mut(&slave) {
                rest.take(now(), answer.as_ref().map(|_| ()).map_err(|why| *why));
            }
            answers.insert(*question, answer?);
        }
        Ok(answers)
    }

    /// Tells what changed at a probe or a contact, if anything did.
    fn tell(&mut self, name: &DeviceName, result: Result<(), NoData>) {
        let Some(event) = self.news.entry(name.clone()).or_default().take(result) else { return };
        tracing::info!(sensor = %name, ?event, "sensor");
        // Readings must go on even when nobody reads the events.
        if let Err(error) = self.events.try_send(SensorEvent { source: name.clone(), event }) {
            tracing::error!(%error, "a sensor event was dropped");
        }
    }

    /// Asks one question. After any failure of the line it is closed.
    async fn ask(&mut self, slave: u8, question: Question) -> Result<Vec<u16>, NoData> {
        if self.dirty {
            self.clean().await;
        }
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => Wire::new(self.open().await?, self.manners),
        };
        let answer = wire.ask(slave, question).await;
        match answer {
            Err(Failure::Broken(_)) => self.dirty = true,
            Ok(_) | Err(Failure::Refused(_)) => self.wire = Some(wire),
        }
        answer.map_err(Failure::why)
    }

    /// Opens the line. One that is away is tried again after a while, and nobody waits for it meanwhile: on a network each
    /// attempt takes seconds.
    /// A line that is away is tried again and again; why is told once.
    fn is_news(&mut self, why_away: &str) -> bool {
        let news = self.told_away.as_deref() != Some(why_away);
        self.told_away = Some(why_away.to_owned());
        news
    }

    async fn open(&mut self) -> Result<Line, NoData> {
        let began = Instant::now();
        if self.away_until.is_some_and(|until| began < until) {
            return Err(NoData::Gone);
        }
        match self.settings.line.open().await {
            Ok(port) => {
                self.away_until = None;
                self.told_away = None;
                self.attempts.reset();
                Ok(port)
            }
            Err(error) => {
                if self.is_news(&error) {
                    tracing::warn!(bus = %self.settings.line, error, "the sensor bus cannot be opened");
                }
                self.away_until = Some(Instant::now() + self.attempts.pause().max(began.elapsed()));
                Err(NoData::Gone)
            }
        }
    }

    /// Opens the line anew after a failure and listens until nothing is on its way any more. Nothing is, where a gateway's
    /// connection was closed.
    async fn clean(&mut self) {
        self.dirty = false;
        if self.manners.framing == Framing::Tcp {
            return;
        }
        // Away: there is nothing to listen to, and the next question says so.
        let Ok(mut port) = self.open().await else { return };
        wire::drain(&mut port, &self.manners).await;
        self.wire = Some(Wire::new(port, self.manners));
    }
}

/// By the runtime's clock.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        line::{LineAddress, serial::SerialSettings},
        sim::pty::Pty,
    };

    #[test]
    fn why_a_line_is_away_is_told_once_and_again_when_it_is_another_reason() {
        let line = LineAddress::Serial(SerialSettings::new("/dev/ttyUSB0", 9_600).unwrap());
        let (events, _told) = mpsc::channel(1);
        let mut owner = Owner::new(BusSettings::new(line, Vec::new()).unwrap(), events);
        let told = ["gone", "gone", "held by another", "gone"].map(|why| owner.is_news(why));
        assert_eq!(told, [true, false, true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_is_away_is_not_tried_at_each_question_and_is_used_soon_after_it_is_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bus");
        let line = LineAddress::Serial(SerialSettings::new(&path, 9_600).unwrap());
        let (events, _told) = mpsc::channel(1);
        let mut owner = Owner::new(BusSettings::new(line, Vec::new()).unwrap(), events);
        for _ in 0..10 {
            assert_eq!(owner.open().await.unwrap_err(), NoData::Gone);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert_eq!(owner.open().await.unwrap_err(), NoData::Gone);
        let _plugged_in = Pty::plug_in(&path).unwrap();
        assert_eq!(owner.open().await.unwrap_err(), NoData::Gone, "it was away a moment ago");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(owner.open().await.is_ok());
    }
}
