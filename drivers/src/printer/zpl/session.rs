//! One conversation with a ZPL printer, from opening the line until it breaks.

use async_trait::async_trait;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf, split},
    time::{Instant, sleep, sleep_until, timeout_at},
};

use super::{
    super::{
        Calibration, NotPrinted, Outcome, PrintJob, PrinterStatus, Unknown,
        bitmap::Bitmap,
        owner::{Conversation, Printed},
        render::Artwork,
        session::Broken,
        status::{ProcessId, Trouble},
        trouble::{LabelTrouble, Notice},
    },
    ZplSettings,
    batch::{Batch, BatchWatch},
    compose, label,
    status::{
        Answer, AnswerReader, CALIBRATE, CANCEL_ALL, CANCEL_PARTIAL, ERROR_STATUS, ErrorStatus, HOST_STATUS,
        HostStatus, IDENTIFY,
    },
};
use crate::line::{Line, pace::LinePace};

/// Between two looks at a printer that prints. A label takes half a second.
const PRINTING_POLL: Duration = Duration::from_millis(150);

/// How long a calibration takes at most: it feeds two to four labels.
const CALIBRATION_MAX: Duration = Duration::from_secs(20);

/// An open line and what is known of the printer.
pub(super) struct Session {
    read: ReadHalf<Line>,
    write: WriteHalf<Line>,
    answers: AnswerReader,
    settings: ZplSettings,
    artwork: Artwork,
    pace: LinePace,
    trouble: Option<LabelTrouble>,
    notice: Option<Notice>,
}

/// What the printer answered when asked how it is.
enum Told {
    Host(HostStatus),
    /// It kept silent, and told its errors when asked for those.
    ErrorsOnly(Option<LabelTrouble>),
}

#[async_trait]
impl Conversation for Session {
    type Settings = (ZplSettings, Artwork);

    async fn open((settings, artwork): &Self::Settings, _after_half_a_job: bool) -> Result<Session, Broken> {
        let (read, write) = split(settings.address.open().await.map_err(Broken)?);
        let mut session = Session {
            read,
            write,
            answers: AnswerReader::default(),
            settings: settings.clone(),
            artwork: artwork.clone(),
            pace: LinePace::of(&settings.address),
            trouble: None,
            notice: None,
        };
        if session.settings.model.status {
            session.align().await?;
        }
        session.end_half_a_label().await?;
        session.refresh().await?;
        session.write_control(&label::opening(&session.settings.stock)).await?;
        Ok(session)
    }

    fn status(&self) -> PrinterStatus {
        match self.settings.model.status {
            true => PrinterStatus::Reports { trouble: self.trouble.map(Trouble::Label), notice: self.notice },
            false => PrinterStatus::Mute,
        }
    }

    async fn listen(&mut self) -> Result<(), Broken> {
        // Nothing was asked, so what comes is a late answer at most.
        self.hear().await.map(|_late| ())
    }

    async fn refresh(&mut self) -> Result<(), Broken> {
        if !self.settings.model.status {
            return Ok(());
        }
        let told = self.ask_how_it_is().await?;
        self.notice = None;
        match told {
            Told::ErrorsOnly(_) => return Ok(()),
            Told::Host(status) if status.settings_lost => self.notice = Some(Notice::SettingsLost),
            Told::Host(status) if status.too_cold => self.notice = Some(Notice::HeadCold),
            Told::Host(_) => {}
        }
        // Some errors have no place in the host status: the cutter's, a broken head.
        if self.settings.model.error_status
            && let Some(errors) = self.ask_errors().await?
        {
            self.trouble = self.trouble.or(errors.trouble());
            self.notice = self.notice.or(errors.notice());
        }
        Ok(())
    }

    async fn print(&mut self, job: &PrintJob, _process: ProcessId) -> (Printed, Result<(), Broken>) {
        let composed = match self.draw(job).await {
            Ok(composed) => composed,
            Err(reason) => return (Printed::not(NotPrinted::BadDocument(reason)), Ok(())),
        };
        if self.settings.model.status {
            let ready = match self.align().await {
                Ok(()) => self.refresh().await,
                Err(broken) => Err(broken),
            };
            if let Err(broken) = ready {
                return (Printed::not(NotPrinted::Away(broken.0.clone())), Err(broken));
            }
            if let Some(trouble) = self.trouble {
                return (Printed::not(NotPrinted::Trouble(trouble.into())), Ok(()));
            }
        }
        let (outcome, worked) = match self.send_labels(&composed.pictures).await {
            Ok(outcome) => (outcome, Ok(())),
            Err((outcome, broken)) => (outcome, Err(broken)),
        };
        (
            Printed {
                replaced: composed.replaced,
                missing_pictures: composed.missing_pictures,
                ..Printed::with(outcome)
            },
            worked,
        )
    }

    async fn calibrate(&mut self) -> (Calibration, Result<(), Broken>) {
        match self.measure().await {
            Ok(calibration) => (calibration, Ok(())),
            Err(broken) => (Calibration::Failed(NotPrinted::Away(broken.0.clone())), Err(broken)),
        }
    }

    fn take_finished(&mut self) -> Option<ProcessId> {
        None
    }
}

impl Session {
    /// Apart from the tasks that wait for lines: drawing takes milliseconds, and reads fonts the first time.
    async fn draw(&self, job: &PrintJob) -> Result<compose::Composed, String> {
        let (document, face, artwork) = (job.document.clone(), self.settings.face(), self.artwork.clone());
        let drawing = tokio::task::spawn_blocking(move || compose::compose(&document, face, &artwork));
        match drawing.await {
            Ok(drawn) => drawn.map_err(|error| error.to_string()),
            Err(_panicked) => Err("drawing it failed: print it without its special characters".to_owned()),
        }
    }

    /// After a line that broke in the middle of a label the printer waits for the rest of it, and would put the next
    /// label on top of that. Only that half is thrown away: labels that it holds whole come out.
    async fn end_half_a_label(&mut self) -> Result<(), Broken> {
        if !self.settings.model.status {
            return self.write_control(CANCEL_PARTIAL).await;
        }
        for cancel in [CANCEL_PARTIAL, CANCEL_ALL] {
            match self.ask_how_it_is().await? {
                Told::Host(status) if status.partial_format => self.write_control(cancel).await?,
                Told::Host(_) | Told::ErrorsOnly(_) => return Ok(()),
            }
        }
        match self.ask_how_it_is().await? {
            Told::Host(status) if status.partial_format => {
                Err(Broken("the label printer still holds half a label: switch it off and on".to_owned()))
            }
            Told::Host(_) | Told::ErrorsOnly(_) => Ok(()),
        }
    }

    async fn send_labels(&mut self, pictures: &[Bitmap]) -> Result<Outcome, (Outcome, Broken)> {
        let bytes: Vec<u8> =
            pictures.iter().flat_map(|picture| label::format(picture, &self.settings.stock)).collect();
        self.send(&bytes).await?;
        if !self.settings.model.status {
            // Whoever hears the outcome may end the driver, and closing the line throws away what is still in it.
            self.drain(bytes.len()).await?;
            return Ok(Outcome::Unknown { reason: Unknown::CannotTell });
        }
        self.confirm(pictures.len(), bytes.len()).await
    }

    /// Asks what it is, and throws away what came before the answer: it belonged to an earlier question.
    async fn align(&mut self) -> Result<(), Broken> {
        self.write_control(IDENTIFY).await?;
        match self.answer_to(|answer| matches!(answer, Answer::Identity(_))).await? {
            Some(_) => Ok(()),
            None => Err(Broken(
                "the label printer does not answer: check that it is on, its cable, and its model's settings"
                    .to_owned(),
            )),
        }
    }

    async fn ask_how_it_is(&mut self) -> Result<Told, Broken> {
        self.write_control(HOST_STATUS).await?;
        let answer = self.answer_to(|answer| matches!(answer, Answer::Status(_))).await?;
        if let Some(Answer::Status(status)) = answer {
            self.trouble = status.trouble();
            return Ok(Told::Host(status));
        }
        // The programming guide lets it be silent while it is in trouble.
        let errors = match self.settings.model.error_status {
            true => self.ask_errors().await?,
            false => None,
        };
        let errors = errors.ok_or_else(|| {
            let text = "the label printer does not say how it is: look at its lamps, close its head, put labels and ribbon in";
            Broken(text.to_owned())
        })?;
        self.trouble = errors.trouble().or(Some(LabelTrouble::Fault));
        self.notice = errors.notice();
        Ok(Told::ErrorsOnly(errors.trouble()))
    }

    async fn ask_errors(&mut self) -> Result<Option<ErrorStatus>, Broken> {
        self.write_control(ERROR_STATUS).await?;
        match self.answer_to(|answer| matches!(answer, Answer::Errors(_))).await? {
            Some(Answer::Errors(errors)) => Ok(Some(errors)),
            _ => Ok(None),
        }
    }

    /// Waits for the answer that is wanted; others are late ones. `None` after silence.
    async fn answer_to(&mut self, wanted: impl Fn(&Answer) -> bool) -> Result<Option<Answer>, Broken> {
        let deadline = self.answer_by();
        // Not left to the timer alone: a printer that sends without end always has something to be read.
        while Instant::now() < deadline {
            let Ok(heard) = timeout_at(deadline, self.hear()).await else { return Ok(None) };
            if let Some(answer) = heard?.into_iter().rfind(&wanted) {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// Waits for something from the printer. Cancel-safe.
    async fn hear(&mut self) -> Result<Vec<Answer>, Broken> {
        let mut buffer = [0u8; 256];
        match self.read.read(&mut buffer).await {
            Ok(0) => {
                let text = "the label printer closed the line (switched off or unplugged)";
                Err(Broken(text.to_owned()))
            }
            Ok(count) => Ok(buffer[..count].iter().filter_map(|byte| self.answers.push(*byte)).collect()),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Until when an answer to a question that is asked now may be waited for: it stands behind all that is on its way.
    fn answer_by(&self) -> Instant {
        Instant::from_std(self.pace.free_at(Instant::now().into_std())) + self.settings.timeouts.answer
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), (Outcome, Broken)> {
        let deadline = Instant::from_std(self.pace.free_with(Instant::now().into_std(), bytes.len()))
            + self.settings.timeouts.send;
        let mut sent = 0;
        while sent < bytes.len() {
            let cause = tokio::select! {
                written = self.write.write(&bytes[sent..]) => match written {
                    Ok(0) => "the line takes nothing".to_owned(),
                    Ok(count) => {
                        sent += count;
                        self.pace.wrote(Instant::now().into_std(), count);
                        continue;
                    }
                    Err(error) => error.to_string(),
                },
                () = sleep_until(deadline) => "the label printer took no more bytes".to_owned(),
            };
            return Err((vanished(sent, bytes.len(), &cause), Broken(cause)));
        }
        Ok(())
    }

    /// Waits until all that was written has left the system.
    async fn drain(&mut self, length: usize) -> Result<(), (Outcome, Broken)> {
        let by =
            Instant::from_std(self.pace.free_at(Instant::now().into_std())) + self.settings.timeouts.confirm;
        let cause = match timeout_at(by, self.write.flush()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => "the label printer took no more bytes".to_owned(),
        };
        Err((vanished(length, length, &cause), Broken(cause)))
    }

    async fn confirm(&mut self, labels: usize, length: usize) -> Result<Outcome, (Outcome, Broken)> {
        let least = self.settings.model.least_time(labels, &self.settings.stock);
        let timeouts = self.settings.timeouts;
        let sent_at = Instant::now();
        let mut watch = BatchWatch::new(least);
        let allowed = timeouts.confirm + self.settings.address.time_for(length) + least * 2;
        loop {
            let told =
                self.ask_how_it_is().await.map_err(|broken| (vanished(length, length, &broken.0), broken))?;
            let batch = match told {
                Told::Host(status) => watch.take(sent_at.elapsed(), &status),
                Told::ErrorsOnly(trouble) => {
                    watch.stopped(sent_at.elapsed(), trouble.unwrap_or(LabelTrouble::Fault))
                }
            };
            let unknown = |reason| Ok(Outcome::Unknown { reason });
            match batch {
                Batch::Printed => return Ok(Outcome::Printed),
                Batch::Interrupted(trouble) => return unknown(Unknown::Interrupted(trouble.into())),
                // A person is told soon; what the printer holds comes out when it can.
                Batch::Stopped { trouble, time } if time >= timeouts.poll => {
                    return unknown(Unknown::Held(trouble.into()));
                }
                Batch::Stopped { .. } | Batch::Printing => {}
            }
            if sent_at.elapsed() >= allowed {
                return unknown(Unknown::Unconfirmed { sent: length, length });
            }
            sleep(PRINTING_POLL).await;
        }
    }

    /// Calibrates, and waits until the printer stands still again.
    async fn measure(&mut self) -> Result<Calibration, Broken> {
        if !self.settings.model.status {
            self.write_control(CALIBRATE).await?;
            return Ok(Calibration::Unseen);
        }
        self.align().await?;
        self.write_control(CALIBRATE).await?;
        let began = Instant::now();
        let mut before = None;
        loop {
            sleep(PRINTING_POLL).await;
            // While it feeds, it may be silent.
            self.write_control(HOST_STATUS).await?;
            let answer = self.answer_to(|answer| matches!(answer, Answer::Status(_))).await?;
            if let Some(Answer::Status(status)) = answer {
                self.trouble = status.trouble();
                if status.idle() && before == Some(status) {
                    return Ok(self.measured(status.label_dots));
                }
                before = Some(status);
            }
            if began.elapsed() >= CALIBRATION_MAX {
                let trouble = self.trouble.unwrap_or(LabelTrouble::NoLabels);
                return Ok(Calibration::Failed(NotPrinted::Trouble(trouble.into())));
            }
            if let Some(trouble) = self.trouble.filter(|_| began.elapsed() >= self.settings.timeouts.poll) {
                return Ok(Calibration::Failed(NotPrinted::Trouble(trouble.into())));
            }
        }
    }

    fn measured(&self, dots: u32) -> Calibration {
        let tenths_mm = u64::from(dots) * 254 / u64::from(self.settings.model.dpi);
        Calibration::Done { label_tenths_mm: u16::try_from(tenths_mm).unwrap_or(u16::MAX) }
    }

    async fn write_control(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        match timeout_at(self.answer_by(), self.write.write_all(bytes)).await {
            Ok(Ok(())) => {
                self.pace.wrote(Instant::now().into_std(), bytes.len());
                Ok(())
            }
            Ok(Err(error)) => Err(failed(&error)),
            Err(_elapsed) => {
                Err(Broken("the label printer takes no bytes: check its power and cable".to_owned()))
            }
        }
    }
}

fn failed(error: &std::io::Error) -> Broken {
    Broken(format!("the line to the label printer failed ({error})"))
}

fn vanished(sent: usize, length: usize, cause: &str) -> Outcome {
    if sent == 0 {
        Outcome::NotPrinted { reason: NotPrinted::Away(cause.to_owned()) }
    } else {
        Outcome::Unknown { reason: Unknown::Vanished { sent, length, cause: cause.to_owned() } }
    }
}
