//! One conversation with an office printer: requests and their answers, each on a connection of its own, and what became
//! of a job. A job has a number there, so that it can be asked for, taken back, and recognised later.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use hyper::body::Bytes;
use ipp::{model::StatusCode, parser::IppParseError};
use tokio::time::{Instant, sleep};

use super::{
    super::{
        NotPrinted, Outcome, PrintJob, PrinterStatus, Unknown,
        codepage::Replaced,
        owner::{Conversation, Printed},
        render::{Artwork, MissingPicture},
        session::Broken,
        status::{ProcessId, Trouble},
        trouble::PageTrouble,
    },
    IppSettings,
    http::{self, HttpError},
    late::LateJobs,
    message::{self, Answer, PrinterReport, Ticket},
    page,
    raster::{self, Dots},
    state::{self, JobReport, JobStand, PrinterState},
};

/// Between two looks at a job.
const JOB_POLL: std::time::Duration = std::time::Duration::from_millis(500);

/// The same for all conversations with a printer.
pub(super) type SharedLateJobs = Arc<Mutex<LateJobs>>;

pub(super) struct Session {
    settings: IppSettings,
    artwork: Artwork,
    report: PrinterReport,
    late: SharedLateJobs,
    finished: VecDeque<ProcessId>,
}

/// Pages, ready to be sent.
struct Sheets {
    bytes: Arc<Vec<u8>>,
    pages: u32,
    replaced: Vec<Replaced>,
    missing_pictures: Vec<MissingPicture>,
}

/// A job that the printer has.
#[derive(Debug, Clone, Copy)]
struct Sent {
    job: i32,
    pages: u32,
    length: usize,
    process: ProcessId,
}

#[async_trait]
impl Conversation for Session {
    type Settings = (IppSettings, Artwork, SharedLateJobs);

    async fn open(
        (settings, artwork, late): &Self::Settings,
        _after_half_a_job: bool,
    ) -> Result<Session, Broken> {
        let report = ask_printer(settings).await?;
        tracing::info!(printer = %settings.name, model = report.make_and_model, dpi = report.dpi, dots = ?report.dots, "office printer");
        let mut session = Session {
            settings: settings.clone(),
            artwork: artwork.clone(),
            report: report.clone(),
            late: Arc::clone(late),
            finished: VecDeque::new(),
        };
        session.take_report(report);
        Ok(session)
    }

    fn status(&self) -> PrinterStatus {
        let report = &self.report;
        let (trouble, notice) = state::condition(report.state, &report.reasons, report.accepts_jobs);
        PrinterStatus::Reports { trouble: trouble.map(Trouble::Page), notice }
    }

    async fn refresh(&mut self) -> Result<(), Broken> {
        let report = ask_printer(&self.settings).await?;
        self.take_report(report);
        let held = self.late().held();
        for (process, job) in held {
            match self.ask_job(job).await.map(|report| report.stand()) {
                Ok(JobStand::Done) => self.finished.push_back(process),
                Ok(JobStand::Gone { why, .. }) => {
                    tracing::warn!(printer = %self.settings.name, job, why, "a job that was held is gone");
                }
                Ok(_) | Err(JobUnknown::Unreached(_)) => continue,
                Err(JobUnknown::Forgotten(_)) => {}
            }
            self.late().over(job);
        }
        Ok(())
    }

    async fn print(&mut self, job: &PrintJob, process: ProcessId) -> (Printed, Result<(), Broken>) {
        if let Err(broken) = self.refresh().await {
            return (Printed::not(NotPrinted::Away(broken.0.clone())), Err(broken));
        }
        if let Err(reason) = self.status().ready() {
            return (Printed::not(reason), Ok(()));
        }
        let sheets = match self.draw(job).await {
            Ok(sheets) => sheets,
            Err(reason) => return (Printed::not(reason), Ok(())),
        };
        let ticket = Ticket { title: &job.document.title, paper: self.settings.paper };
        let outcome = match self.hand_over(ticket, &sheets, process).await {
            Ok(sent) => self.follow(sent).await,
            Err(outcome) => outcome,
        };
        let Sheets { replaced, missing_pictures, .. } = sheets;
        (Printed { replaced, missing_pictures, ..Printed::with(outcome) }, Ok(()))
    }

    fn take_finished(&mut self) -> Option<ProcessId> {
        self.finished.pop_front()
    }
}

/// Why pages were not taken, as far as that is known. A printer may print the first page while it takes the others, and
/// refuse in the middle: only a request of which nothing was sent left nothing on paper for certain.
enum SendError {
    /// There is no such request.
    Bad(String),
    /// Nothing was sent.
    NotSent(String),
    /// It answered no.
    Refused(String),
    /// It did not answer, or not so that it can be understood.
    Unanswered(String),
}

impl SendError {
    /// Where there is no job that could be asked.
    fn outcome(self, length: usize) -> Outcome {
        match self {
            SendError::Bad(text) => Outcome::NotPrinted { reason: NotPrinted::BadDocument(text) },
            SendError::NotSent(cause) => away(&cause),
            SendError::Refused(cause) => Outcome::Unknown { reason: Unknown::RefusedLate(cause) },
            SendError::Unanswered(cause) => vanished(length, &cause),
        }
    }
}

/// Why it is not known how a job is.
enum JobUnknown {
    /// The printer could not be asked.
    Unreached(String),
    /// It knows no such job any more, or says nothing of use.
    Forgotten(String),
}

impl Session {
    fn late(&self) -> MutexGuard<'_, LateJobs> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_report(&mut self, report: PrinterReport) {
        let name = &self.settings.name;
        if report.reasons != self.report.reasons {
            tracing::info!(printer = %name, reasons = ?report.reasons, "office printer");
        }
        let forgotten = self.late().printer_on_for(Instant::now().into_std(), report.up_seconds);
        if !forgotten.is_empty() {
            tracing::warn!(printer = %name, jobs = ?forgotten, "the printer began anew; what became of jobs that it held is not known");
        }
        self.report = report;
    }

    /// Draws the pages; takes a moment of computing.
    async fn draw(&self, job: &PrintJob) -> Result<Sheets, NotPrinted> {
        let dots = match self.report {
            PrinterReport { takes_raster: true, dots: Some(dots), .. } => dots,
            // A printer that names the form and no kinds of dots takes grey: PWG 5100.14 makes it the common one.
            PrinterReport { takes_raster: true, dots: None, .. } => Dots::Grey8,
            _ => {
                let text = "it takes no PWG raster, which is the form of our pages: use an IPP Everywhere or AirPrint printer";
                return Err(NotPrinted::Refused(text.to_owned()));
            }
        };
        let (document, artwork) = (job.document.clone(), self.artwork.clone());
        let (paper, dpi) = (self.settings.paper, self.report.dpi);
        let drawing = tokio::task::spawn_blocking(move || {
            let drawn = page::compose(&document, paper, dpi, &artwork).map_err(|error| error.to_string())?;
            let bytes = Arc::new(raster::write(&drawn.pictures, paper, dpi, dots));
            let pages = u32::try_from(drawn.pictures.len()).unwrap_or(u32::MAX);
            Ok(Sheets { bytes, pages, replaced: drawn.replaced, missing_pictures: drawn.missing_pictures })
        });
        let drawn = drawing.await.unwrap_or_else(|error| Err(error.to_string()));
        drawn.map_err(NotPrinted::BadDocument)
    }

    /// Gives the job to the printer. The error is the outcome of a job that it does not have, or may have.
    async fn hand_over(
        &mut self,
        ticket: Ticket<'_>,
        sheets: &Sheets,
        process: ProcessId,
    ) -> Result<Sent, Outcome> {
        let address = &self.settings.address;
        let (pages, length) = (sheets.pages, sheets.bytes.len());
        self.must(message::validate_job(address, ticket)).await?;
        if !self.report.creates_jobs {
            let sending = self.send(message::print_job(address, ticket, &sheets.bytes)).await;
            let answer = sending.map_err(|failed| failed.outcome(length))?;
            // It took the pages, so that it does not say which job came of them leaves all open.
            let job = answer.job_id().map_err(|error| vanished(length, &error.to_string()))?;
            return Ok(Sent { job, pages, length, process });
        }
        let created = self.must(message::create_job(address, ticket)).await?;
        let job = created.job_id().map_err(|error| refused(error.to_string()))?;
        let sent = Sent { job, pages, length, process };
        match self.send(message::send_document(address, job, &sheets.bytes)).await {
            Ok(_) => Ok(sent),
            // The job itself can say what came of it.
            Err(SendError::Unanswered(_)) if self.ask_job(job).await.is_ok() => Ok(sent),
            Err(SendError::Refused(why)) => Err(self.take_back(sent, Some(why)).await),
            Err(failed) => {
                // An announced job without its document would stay in the printer's list.
                self.cancel(job).await;
                Err(failed.outcome(length))
            }
        }
    }

    /// A request without which nothing is printed.
    async fn must(&self, request: Result<Bytes, IppParseError>) -> Result<Answer, Outcome> {
        let request = request.map_err(|error| bad(&error))?;
        let answer = self.post(request).await.map_err(|error| away(error.text()))?;
        accepted(answer)
    }

    /// The request that carries the pages.
    async fn send(&self, request: Result<Bytes, IppParseError>) -> Result<Answer, SendError> {
        let request = request.map_err(|error| SendError::Bad(error.to_string()))?;
        let settings = &self.settings;
        let answer =
            http::post(&settings.address, settings.fingerprint, request, settings.timeouts.send).await;
        match answer.map(Answer::read) {
            Ok(Ok(answer)) if answer.status.is_success() => Ok(answer),
            Ok(Ok(answer)) => Err(SendError::Refused(answer.refusal())),
            Ok(Err(error)) => Err(SendError::Unanswered(error.to_string())),
            Err(HttpError::NotSent(cause)) => Err(SendError::NotSent(cause)),
            Err(HttpError::Refused(cause)) => Err(SendError::Refused(cause)),
            Err(HttpError::Unanswered(cause)) => Err(SendError::Unanswered(cause)),
        }
    }

    async fn post(&self, request: Bytes) -> Result<Answer, HttpError> {
        let settings = &self.settings;
        let answer =
            http::post(&settings.address, settings.fingerprint, request, settings.timeouts.answer).await?;
        Answer::read(answer).map_err(|error| HttpError::Unanswered(error.to_string()))
    }

    /// Follows a job until it is over, or does not go on for too long.
    async fn follow(&mut self, sent: Sent) -> Outcome {
        let timeouts = self.settings.timeouts;
        let (mut last, mut since) = (None, Instant::now());
        loop {
            let stand = match self.ask_job(sent.job).await {
                Ok(report) => {
                    let progress = (report.state, report.impressions);
                    if last.replace(progress) != Some(progress) {
                        since = Instant::now();
                    }
                    self.seen_with_the_printer(report).await
                }
                Err(JobUnknown::Forgotten(cause)) => return vanished(sent.length, &cause),
                Err(JobUnknown::Unreached(cause)) if since.elapsed() >= timeouts.progress => {
                    return vanished(sent.length, &cause);
                }
                Err(JobUnknown::Unreached(_)) => JobStand::Printing,
            };
            match stand {
                JobStand::Done => return Outcome::Printed,
                JobStand::Gone { untouched: true, why, .. } => return refused(why),
                JobStand::Gone { impressions, why, .. } => return partly(sent, impressions, why),
                JobStand::Stopped if since.elapsed() >= timeouts.stopped => return self.held(sent),
                JobStand::Waiting if since.elapsed() >= timeouts.progress => {
                    return self.take_back(sent, None).await;
                }
                JobStand::Printing if since.elapsed() >= timeouts.progress => return self.held(sent),
                JobStand::Stopped | JobStand::Waiting | JobStand::Printing => {}
            }
            sleep(JOB_POLL).await;
        }
    }

    /// A job that "is being printed" by a printer that stands still has stopped too, whatever its own state says.
    async fn seen_with_the_printer(&mut self, report: JobReport) -> JobStand {
        let stand = report.stand();
        if !matches!(stand, JobStand::Waiting | JobStand::Printing | JobStand::Stopped) {
            return stand;
        }
        if let Ok(report) = ask_printer(&self.settings).await {
            self.take_report(report);
        }
        match (stand, self.status().ready()) {
            (JobStand::Printing, Err(_)) => JobStand::Stopped,
            (stand, _) => stand,
        }
    }

    /// The printer keeps the job, and goes on with it when it can: that it is done then is told later.
    fn held(&mut self, sent: Sent) -> Outcome {
        self.late().hold(sent.process, sent.job);
        // Reasons that alone would be notices explain a job that does not go on.
        let (trouble, _) =
            state::condition(PrinterState::Stopped, &self.report.reasons, self.report.accepts_jobs);
        let reason = match trouble.filter(|trouble| *trouble != PageTrouble::Other) {
            Some(trouble) => Unknown::Held(Trouble::Page(trouble)),
            None => Unknown::Unconfirmed { sent: sent.length, length: sent.length },
        };
        Outcome::Unknown { reason }
    }

    /// A job that has not begun, or that was `refused` with its pages, is taken back, so that it does not come out at some
    /// later time.
    async fn take_back(&mut self, sent: Sent, refused_with: Option<String>) -> Outcome {
        self.cancel(sent.job).await;
        let until = Instant::now() + self.settings.timeouts.answer;
        while Instant::now() < until {
            match self.ask_job(sent.job).await.map(|report| report.stand()) {
                Ok(JobStand::Done) => return Outcome::Printed,
                Ok(JobStand::Gone { untouched: true, why, .. }) => {
                    let reason = match refused_with {
                        Some(refusal) => NotPrinted::Refused(refusal),
                        None => self
                            .status()
                            .ready()
                            .err()
                            .unwrap_or(NotPrinted::Refused(format!("it did not begin in time ({why})"))),
                    };
                    return Outcome::NotPrinted { reason };
                }
                Ok(JobStand::Gone { impressions, why, .. }) => return partly(sent, impressions, why),
                Err(JobUnknown::Forgotten(_)) if refused_with.is_some() => break,
                Ok(_) | Err(_) => sleep(JOB_POLL).await,
            }
        }
        let held = self.held(sent);
        refused_with.map_or(held, |cause| Outcome::Unknown { reason: Unknown::RefusedLate(cause) })
    }

    async fn ask_job(&self, job: i32) -> Result<JobReport, JobUnknown> {
        let request = message::get_job(&self.settings.address, job)
            .map_err(|error| JobUnknown::Forgotten(error.to_string()))?;
        let answer =
            self.post(request).await.map_err(|error| JobUnknown::Unreached(error.text().to_owned()))?;
        match answer.status {
            StatusCode::ClientErrorNotFound | StatusCode::ClientErrorGone => {
                Err(JobUnknown::Forgotten("the printer no longer knows the job".to_owned()))
            }
            status if status.is_success() => {
                answer.job().map_err(|error| JobUnknown::Forgotten(error.to_string()))
            }
            _ => Err(JobUnknown::Unreached(answer.refusal())),
        }
    }

    async fn cancel(&self, job: i32) {
        let Ok(request) = message::cancel_job(&self.settings.address, job) else { return };
        let refusal = match self.post(request).await {
            Ok(answer) if answer.status.is_success() => return,
            Ok(answer) => answer.refusal(),
            Err(error) => error.text().to_owned(),
        };
        tracing::warn!(printer = %self.settings.name, job, refusal, "a job could not be taken back");
    }
}

async fn ask_printer(settings: &IppSettings) -> Result<PrinterReport, Broken> {
    let request = message::get_printer(&settings.address).map_err(|error| Broken(error.to_string()))?;
    let answer = http::post(&settings.address, settings.fingerprint, request, settings.timeouts.answer).await;
    let answer = answer.map_err(|error| Broken(error.text().to_owned()))?;
    let answer = Answer::read(answer).map_err(|error| Broken(error.to_string()))?;
    if !answer.status.is_success() {
        return Err(Broken(format!("{} refuses to say how it is: {}", settings.address, answer.refusal())));
    }
    answer.printer().map_err(|error| Broken(error.to_string()))
}

fn accepted(answer: Answer) -> Result<Answer, Outcome> {
    if answer.status.is_success() { Ok(answer) } else { Err(refused(answer.refusal())) }
}

fn refused(why: String) -> Outcome {
    Outcome::NotPrinted { reason: NotPrinted::Refused(why) }
}

fn bad(error: &IppParseError) -> Outcome {
    Outcome::NotPrinted { reason: NotPrinted::BadDocument(error.to_string()) }
}

fn away(cause: &str) -> Outcome {
    Outcome::NotPrinted { reason: NotPrinted::Away(cause.to_owned()) }
}

fn vanished(length: usize, cause: &str) -> Outcome {
    Outcome::Unknown { reason: Unknown::Vanished { sent: length, length, cause: cause.to_owned() } }
}

fn partly(sent: Sent, impressions: Option<u32>, cause: String) -> Outcome {
    Outcome::Unknown { reason: Unknown::Partly { pages: impressions.unwrap_or(0), of: sent.pages, cause } }
}
