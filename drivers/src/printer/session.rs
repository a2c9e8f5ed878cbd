//! One conversation with an ESC/POS printer, from opening the line until it breaks.
//!
//! Answers carry no question, so after silence the line is given up: a late answer would be taken for the next one.
//! Silence is counted from when the line has sent what stands before the question. It is none while a printer holds its
//! line, as Epson's does by its wires or XOFF when it is offline or full: one that has told its trouble is waited for, and
//! what it holds of a job comes out when it goes on.

mod asking;

use std::{collections::VecDeque, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split},
    time::{Instant, sleep_until, timeout, timeout_at},
};

use crate::line::{Line, LineAddress, pace::LinePace};

use super::{
    DrawerOutcome, NotPrinted, Outcome, Unknown,
    driver::PrinterTimeouts,
    model::{Completion, PrinterModel},
    question::OpenQuestion,
    status::{AUTOMATIC_STATUS_ON, Answer, AnswerReader, Condition, ProcessId, QUEUED_STATUS, Question},
};

/// How often the drawer's pin is asked for after a kick, for printers that do not tell by themselves.
const DRAWER_POLL: Duration = Duration::from_millis(100);

/// Late completions that may wait to be told; more than a printer's buffer holds jobs.
const FINISHED_KEPT_MAX: usize = 32;

/// The line is of no use any more; the text says what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Broken(pub(super) String);

/// An open line and what is known of the printer.
pub(super) struct Session {
    read: ReadHalf<Line>,
    write: WriteHalf<Line>,
    answers: AnswerReader,
    model: PrinterModel,
    address: LineAddress,
    timeouts: PrinterTimeouts,
    pace: LinePace,
    open_question: Option<OpenQuestion>,
    /// When what stands before a question should be printed at last, where the printer may hold its line for it.
    job_by: Option<Instant>,
    /// It told its trouble and then took or answered no question.
    held: bool,
    /// That was so, and it has not told by itself since that it can print.
    untold: bool,
    /// What was held came out all the same: it has forgotten a part of it.
    forgot: bool,
    /// Answers to [`QUEUED_STATUS`] that have not come; they carry no name, so one is asked for at a time.
    queued_open: u32,
    /// One came that nobody had asked for: whatever comes next cannot be told apart either.
    queued_surplus: bool,
    finished: VecDeque<ProcessId>,
    drawer_seen_open: bool,
    condition: Condition,
}

impl Session {
    /// Opens the line and, if the model answers at all, has it say how it is. After a job that broke off (`after_half_a_job`)
    /// the printer may still wait for the rest of an image, and would take all that comes for it.
    pub(super) async fn open(
        address: &LineAddress,
        model: &PrinterModel,
        timeouts: PrinterTimeouts,
        after_half_a_job: bool,
    ) -> Result<Session, Broken> {
        let (read, write) = split(address.open().await.map_err(Broken)?);
        let mut session = Session {
            read,
            write,
            answers: AnswerReader::default(),
            model: model.clone(),
            address: address.clone(),
            timeouts,
            pace: LinePace::of(address),
            open_question: None,
            job_by: None,
            held: false,
            untold: false,
            forgot: false,
            queued_open: 0,
            queued_surplus: false,
            finished: VecDeque::new(),
            drawer_seen_open: false,
            condition: Condition::default(),
        };
        if after_half_a_job {
            session.end_half_a_command().await?;
        }
        if model.status {
            session.write_control(&AUTOMATIC_STATUS_ON).await?;
            session.refresh().await?;
        }
        Ok(session)
    }

    pub(super) fn condition(&self) -> Condition {
        self.condition
    }

    /// The next process that the printer finished and nobody waited for.
    pub(super) fn take_finished(&mut self) -> Option<ProcessId> {
        self.finished.pop_front()
    }

    /// Waits for something from the printer and takes it in. Cancel-safe.
    pub(super) async fn listen(&mut self) -> Result<(), Broken> {
        let mut buffer = [0u8; 256];
        match self.read.read(&mut buffer).await {
            Ok(0) => Err(Broken("the printer closed the line (switched off or unplugged)".to_owned())),
            Ok(count) => {
                self.absorb(&buffer[..count]);
                self.plausible()
            }
            Err(error) => Err(Broken(format!("the line to the printer failed ({error})"))),
        }
    }

    fn plausible(&self) -> Result<(), Broken> {
        if self.forgot {
            let text = "the printer went on with a held receipt without saying that it can: it may have been switched off and on, so look at the paper";
            return Err(Broken(text.to_owned()));
        }
        if self.queued_surplus {
            let text = "the printer answered what nobody had asked: check its cable, and that no other program prints";
            return Err(Broken(text.to_owned()));
        }
        Ok(())
    }

    /// Asks everything that can be asked in real time.
    pub(super) async fn refresh(&mut self) -> Result<(), Broken> {
        if self.model.status {
            for question in Question::ALL {
                if !self.ask(question).await? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Before a job: has a printer whose answers carry no name answer once, so that what comes later is about the job.
    pub(super) async fn align(&mut self) -> Result<(), Broken> {
        if self.model.completion != Completion::QueuedStatus {
            return Ok(());
        }
        self.queued_open += 1;
        self.write_control(&QUEUED_STATUS).await?;
        let deadline = self.answer_by();
        while self.queued_open > 0 {
            if !self.hear_until(deadline).await? {
                let text =
                    "the printer does not say when it is ready: check its cable and its model's settings";
                return Err(Broken(text.to_owned()));
            }
        }
        Ok(())
    }

    /// Sends a job and waits until the printer has said that it is on paper. One attempt, whatever happens.
    pub(super) async fn print(
        &mut self,
        job: &[u8],
        process: ProcessId,
    ) -> Result<Outcome, (Outcome, Broken)> {
        self.untold = false;
        let mut bytes = job.to_vec();
        match self.model.completion {
            Completion::ProcessId => bytes.extend(process.request()),
            Completion::QueuedStatus => bytes.extend(QUEUED_STATUS),
            Completion::None => {}
        }
        if let Some(undelivered) = self.send(&bytes).await? {
            return Ok(undelivered);
        }
        // Only now: what came while the question was still on its way answers something else.
        self.queued_open += u32::from(self.model.completion == Completion::QueuedStatus);
        self.job_by =
            Some(Instant::from_std(self.pace.free_at(Instant::now().into_std())) + self.timeouts.confirm);
        self.confirm(&bytes, process).await
    }

    /// Starts watching the drawer. Returns whether it is open already.
    pub(super) fn watch_drawer(&mut self) -> bool {
        self.drawer_seen_open = false;
        self.model.drawer.open_level.is_some_and(|level| self.condition.drawer_open(level))
    }

    /// Kicks the drawer outside of a job; in real time where the printer is `offline`. False when it cannot: nothing was
    /// sent then.
    pub(super) async fn kick(&mut self, offline: bool) -> Result<bool, Broken> {
        let drawer = self.model.drawer;
        if self.held {
            // It would wait in the line, and open the drawer at some later time.
            return Ok(false);
        }
        let kick = match (offline, drawer.real_time) {
            (false, _) => drawer.kick(),
            (true, true) => drawer.kick_in_real_time(),
            (true, false) => return Ok(false),
        };
        self.write_control(&kick).await?;
        if !self.model.status {
            let by = self.answer_by();
            self.drain(by).await?;
        }
        Ok(true)
    }

    /// Sounds the buzzer, outside of a job.
    pub(super) async fn beep(&mut self) -> Result<Result<(), NotPrinted>, Broken> {
        let Some(buzzer) = self.model.buzzer else { return Ok(Err(NotPrinted::NoBuzzer)) };
        self.refresh().await?;
        if let Some(trouble) = self.condition.trouble() {
            return Ok(Err(NotPrinted::Trouble(trouble)));
        }
        self.write_control(&buzzer.beep()).await.map(Ok)
    }

    /// What became of a kick that was sent at `kicked_at`.
    pub(super) async fn drawer_outcome(&mut self, kicked_at: Instant) -> Result<DrawerOutcome, Broken> {
        if self.model.drawer.open_level.is_none() {
            return Ok(DrawerOutcome::KickedUnseen);
        }
        let deadline = kicked_at + self.model.drawer.opens_within();
        loop {
            if self.drawer_seen_open {
                return Ok(DrawerOutcome::Opened);
            }
            if Instant::now() >= deadline {
                return Ok(DrawerOutcome::NotOpened);
            }
            match timeout(DRAWER_POLL, self.listen()).await {
                Ok(heard) => heard?,
                Err(_elapsed) => {
                    self.ask(Question::Printer).await?;
                }
            }
        }
    }

    /// Sends; `None` when all was accepted. Listens at the same time, so that "paper out" is heard in the middle.
    async fn send(&mut self, bytes: &[u8]) -> Result<Option<Outcome>, (Outcome, Broken)> {
        let deadline = Instant::from_std(self.pace.free_with(Instant::now().into_std(), bytes.len()))
            + self.timeouts.send;
        let mut sent = 0;
        let mut buffer = [0u8; 256];
        while sent < bytes.len() {
            // Not left to the timer alone: a printer that sends without end always has something to be read.
            if Instant::now() >= deadline {
                return self.stuck(sent, bytes.len());
            }
            let failed = tokio::select! {
                read = self.read.read(&mut buffer) => match read {
                    Ok(0) => "the printer closed the line".to_owned(),
                    Ok(count) => {
                        self.absorb(&buffer[..count]);
                        continue;
                    }
                    Err(error) => error.to_string(),
                },
                written = self.write.write(&bytes[sent..]) => match written {
                    Ok(0) => "the line takes nothing".to_owned(),
                    Ok(count) => {
                        sent += count;
                        self.pace.wrote(Instant::now().into_std(), count);
                        continue;
                    }
                    Err(error) => error.to_string(),
                },
                () = sleep_until(deadline) => continue,
            };
            return Err((vanished(sent, bytes.len(), &failed), Broken(failed)));
        }
        Ok(None)
    }

    /// The line took no more for too long. Half a job is on its way, so the line is given up.
    fn stuck(&self, sent: usize, length: usize) -> Result<Option<Outcome>, (Outcome, Broken)> {
        let broken = Broken("the printer took no more bytes".to_owned());
        let outcome = match (sent, self.condition.trouble()) {
            (0, _) => vanished(0, length, &broken.0),
            (_, Some(trouble)) => Outcome::Unknown { reason: Unknown::CutShort { trouble, sent, length } },
            (_, None) => Outcome::Unknown { reason: Unknown::Unconfirmed { sent, length } },
        };
        Err((outcome, broken))
    }

    async fn confirm(&mut self, bytes: &[u8], process: ProcessId) -> Result<Outcome, (Outcome, Broken)> {
        let length = bytes.len();
        let unconfirmed = || Outcome::Unknown { reason: Unknown::Unconfirmed { sent: length, length } };
        let deadline =
            Instant::from_std(self.pace.free_at(Instant::now().into_std())) + self.timeouts.confirm;
        if self.model.completion == Completion::None {
            // Whoever hears the outcome may end the driver, and closing the line throws away what is still in it.
            let drained = self.drain(deadline).await;
            return drained
                .map(|()| Outcome::Unknown { reason: Unknown::CannotTell })
                .map_err(|broken| (unconfirmed(), broken));
        }
        loop {
            if let Err(broken) = self.plausible() {
                return Err((unconfirmed(), broken));
            }
            if self.is_finished(process) {
                return Ok(Outcome::Printed);
            }
            if Instant::now() >= deadline {
                return self.unconfirmed(length);
            }
            let until = deadline
                .min(Instant::from_std(self.pace.free_at(Instant::now().into_std())) + self.timeouts.answer);
            let heard = match timeout_at(until, self.listen()).await {
                Ok(heard) => heard,
                Err(_elapsed) => self.refresh().await,
            };
            if let Err(broken) = heard {
                // Its last words may have been "finished".
                if self.plausible().is_ok() && self.is_finished(process) {
                    return Err((Outcome::Printed, broken));
                }
                let in_time = Instant::now() < deadline;
                let outcome = if in_time { vanished(length, length, &broken.0) } else { unconfirmed() };
                return Err((outcome, broken));
            }
        }
    }

    /// All was sent, and the printer did not say that it is on paper.
    fn unconfirmed(&self, length: usize) -> Result<Outcome, (Outcome, Broken)> {
        if let Some(trouble) = self.condition.trouble() {
            return Ok(Outcome::Unknown { reason: Unknown::Held(trouble) });
        }
        let outcome = Outcome::Unknown { reason: Unknown::Unconfirmed { sent: length, length } };
        match self.model.completion {
            // Its answers have no names: one that comes now would confirm the next job. Begin again.
            Completion::QueuedStatus => {
                Err((outcome, Broken("the printer did not confirm a job".to_owned())))
            }
            Completion::ProcessId | Completion::None => Ok(outcome),
        }
    }

    fn is_finished(&mut self, process: ProcessId) -> bool {
        match self.model.completion {
            Completion::ProcessId => {
                let place = self.finished.iter().position(|finished| *finished == process);
                place.and_then(|place| self.finished.remove(place)).is_some()
            }
            Completion::QueuedStatus => self.queued_open == 0,
            Completion::None => false,
        }
    }

    fn absorb(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match self.answers.push(*byte) {
                Some(Answer::RealTime(answer)) => {
                    if let Some(open) = self.open_question.take() {
                        self.condition.take_real_time(open.question, answer);
                        self.open_question = open.take_answer();
                        // It stood behind the job: the printer has taken all of that.
                        self.job_by = self.job_by.filter(|_| self.open_question.is_some());
                        self.held &= self.open_question.is_some();
                    }
                }
                Some(Answer::Automatic(status)) => self.take_automatic(status),
                Some(Answer::Queued(_)) if self.queued_open > 0 => self.queued_open -= 1,
                Some(Answer::Queued(_)) => {
                    self.queued_surplus = self.model.completion == Completion::QueuedStatus;
                }
                Some(Answer::Finished(_)) if self.untold => self.forgot = true,
                Some(Answer::Finished(process)) => {
                    if self.finished.len() == FINISHED_KEPT_MAX {
                        self.finished.pop_front();
                    }
                    self.finished.push_back(process);
                }
                None => {}
            }
            if self.model.drawer.open_level.is_some_and(|level| self.condition.drawer_open(level)) {
                self.drawer_seen_open = true;
            }
        }
    }

    fn take_automatic(&mut self, status: [u8; 4]) {
        self.condition.take_automatic(status);
        if self.untold && self.condition.trouble().is_none() {
            (self.held, self.untold) = (false, false);
            // Now it goes on with what it holds, and takes the question behind that.
            self.job_by =
                Some(Instant::from_std(self.pace.free_at(Instant::now().into_std())) + self.timeouts.confirm);
        }
    }
}

fn vanished(sent: usize, length: usize, cause: &str) -> Outcome {
    if sent == 0 {
        Outcome::NotPrinted { reason: NotPrinted::Away(cause.to_owned()) }
    } else {
        Outcome::Unknown { reason: Unknown::Vanished { sent, length, cause: cause.to_owned() } }
    }
}
