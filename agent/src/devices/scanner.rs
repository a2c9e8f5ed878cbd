//! One scanner of the box: it sells, is tried, or learns; one after the other, on the same line, without a restart.
//!
//! ```text
//! Selling ◄──► Tried (30 s; what it reads is shown and sells nothing)
//!    ▲
//!    ├───────► Learns (until it is proved, left, or silent for 5 minutes; nothing is sold)
//!    └───────► Set up over its line (until it has answered, 3 s; nothing is sold)
//! ```

use std::{sync::Arc, time::Duration};

use pestle_domain::{ids::TillId, units::UnixMillis};
use pestle_drivers::{
    device::DeviceEvent,
    find::binding::Fingerprint,
    scanner::{
        self, ScannerEvent,
        framing::Rejection,
        learn::{
            session::{LearnEvent, LearnFrom, LearnSession},
            verdict::Verdict,
        },
        over_line::SetUpLine,
        start::{ScannerAddress, ScannerSettings},
    },
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{self, Instant},
};

use super::{
    device_change,
    kept::{DeviceFiles, ScannerRecord},
    trial::{self, Tried},
    work::{LearnEnd, Learning, Work, WorkBoard},
};
use crate::{
    clock::Clock,
    counter::{
        handle::Counter,
        live::Scanned,
        machine::Event,
        view::{DeviceState, DeviceView},
    },
};

/// How long a scanner is tried: to take it, find a pack, and scan it twice.
pub const TRIED_FOR: Duration = Duration::from_secs(30);

/// Silence that ends learning: to print the sheet and to fetch it from another room.
pub const LEARNS_SILENTLY_FOR: Duration = Duration::from_secs(5 * 60);

/// The line is opened anew when learning begins, and is away for as long as that takes: that is nothing to tell.
const LINE_CHANGES_HANDS: Duration = Duration::from_secs(2);

/// Orders that may wait: a person gives one at a time.
const ORDERS_WAITING_MAX: usize = 8;

/// What a scanner is told.
#[derive(Debug)]
pub(super) enum ScannerOrder {
    /// Show what is read, and sell nothing of it.
    Try,
    /// Learn with the sheet of test codes.
    Learn,
    /// End what was begun: sell.
    Sell,
    /// Learn without the codes that it does not read.
    GiveUp,
    /// Be set up by this command of its maker, over its line.
    SetUp(String),
    /// Another scanner stands there: believe nothing of it. Answered once nothing that was known is in use any more.
    Distrust(oneshot::Sender<()>),
}

/// How far a scanner is believed, for the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// By the sheet of test codes; when, where that is known.
    Learned(Option<UnixMillis>),
    /// It was learned how it sends, and that is not enough.
    NotEnough,
    /// By the configuration.
    Configured,
    /// Another scanner came in the place of the one that was known, or it was set up anew since.
    Another,
    /// Nothing is known of it.
    Never,
}

impl Proof {
    pub(super) fn of(settings: &ScannerSettings, known: Option<&ScannerRecord>) -> Self {
        match (known, &settings.learned) {
            (Some(known), Some(learned)) if learned.is_proof() => Self::Learned(known.at),
            (_, Some(_)) => Self::NotEnough,
            (Some(_), None) => Self::Another,
            (None, None) if settings.proved => Self::Configured,
            (None, None) => Self::Never,
        }
    }
}

/// The way to a scanner.
#[derive(Debug, Clone)]
pub(super) struct ScannerEnd {
    /// As the configuration wrote where it is.
    pub(super) written: String,
    pub(super) orders: mpsc::Sender<ScannerOrder>,
    pub(super) proof: watch::Receiver<Proof>,
}

/// All that a scanner's task needs.
pub(super) struct ScannerParts {
    pub(super) till: TillId,
    /// What is known of it is taken in.
    pub(super) settings: ScannerSettings,
    pub(super) written: String,
    pub(super) known: Option<ScannerRecord>,
    pub(super) files: DeviceFiles,
    pub(super) board: WorkBoard,
    pub(super) counter: Counter,
    pub(super) clock: Arc<Clock>,
    /// What stands there now, where the finder can tell.
    pub(super) stands_there: Arc<dyn Fn() -> Option<Fingerprint> + Send + Sync>,
}

/// A scanner's way and its task, which is to be spawned and ends only by a fault.
pub(super) fn scanner(parts: ScannerParts) -> (ScannerEnd, impl Future<Output = ()> + Send) {
    let (orders, orders_in) = mpsc::channel(ORDERS_WAITING_MAX);
    let (proof_out, proof) = watch::channel(Proof::of(&parts.settings, parts.known.as_ref()));
    let end = ScannerEnd { written: parts.written.clone(), orders, proof };
    let view = DeviceView {
        name: parts.settings.name.to_string(),
        class: "scanner".into(),
        state: DeviceState::Away,
        detail: Some("it has not been looked for yet".into()),
    };
    let task = Task { parts, proof: proof_out, view, orders: orders_in };
    (end, task.run())
}

struct Task {
    parts: ScannerParts,
    proof: watch::Sender<Proof>,
    /// As its driver told last.
    view: DeviceView,
    orders: mpsc::Receiver<ScannerOrder>,
}

/// What follows on selling.
enum Next {
    Learn,
    /// Set it up over its line, by this command.
    SetUp(String),
    /// With other settings.
    Sell,
    /// The driver has ended by a fault.
    Ended,
}

impl Task {
    async fn run(mut self) {
        loop {
            match self.sell().await {
                Next::Learn => self.learn().await,
                Next::SetUp(command) => self.set_up(&command).await,
                Next::Sell => {}
                Next::Ended => return,
            }
        }
    }

    fn name(&self) -> String {
        self.parts.settings.name.to_string()
    }

    /// Sells, and is tried in between.
    async fn sell(&mut self) -> Next {
        let mut scanner = scanner::start::start(self.parts.settings.clone());
        let mut tried_until: Option<Instant> = None;
        loop {
            tokio::select! {
                event = scanner.next() => match event {
                    None => return Next::Ended,
                    Some(event) => self.happened(event, tried_until.is_some()).await,
                },
                order = next(&mut self.orders) => match order {
                    ScannerOrder::Try => {
                        tried_until = Some(Instant::now() + TRIED_FOR);
                        self.say_busy("it is tried on the page for devices: what it reads sells nothing for 30 s").await;
                    }
                    ScannerOrder::Sell | ScannerOrder::GiveUp => {
                        if tried_until.take().is_some() {
                            self.tried().await;
                        }
                    }
                    ScannerOrder::Learn => {
                        drop(scanner);
                        return Next::Learn;
                    }
                    ScannerOrder::SetUp(command) => {
                        drop(scanner);
                        return Next::SetUp(command);
                    }
                    ScannerOrder::Distrust(done) => {
                        drop(scanner);
                        self.distrust(done);
                        if tried_until.is_some() {
                            self.tried().await;
                        }
                        return Next::Sell;
                    }
                },
                () = until(tried_until) => {
                    tried_until = None;
                    self.tried().await;
                }
            }
        }
    }

    async fn happened(&mut self, event: ScannerEvent, tried: bool) {
        let Self { parts: ScannerParts { till, board, counter, settings, .. }, .. } = self;
        let name = settings.name.as_str();
        match event {
            ScannerEvent::Scan(scan) if tried => {
                board.change(name, |work| work.read(trial::scan_words(&scan)))
            }
            ScannerEvent::Rejected { rejection, .. } if tried => {
                board.change(name, |work| work.read(rejection_words(&rejection)));
            }
            ScannerEvent::Scan(scan) => {
                let scanned = Scanned { bytes: scan.bytes, proved: scan.proved };
                counter.tell(Event::Scanned(till.clone(), scanned)).await;
            }
            ScannerEvent::Rejected { rejection, .. } => {
                counter.tell(Event::ScanRejected(till.clone(), rejection_words(&rejection))).await;
            }
            ScannerEvent::Device { event, source } => {
                let (view, fact) = device_change("scanner", source.as_str(), &event);
                self.view = view.clone();
                counter.tell(Event::Device(view, Some(fact))).await;
            }
        }
    }

    /// Says at the till why its scans sell nothing.
    async fn say_busy(&self, why: &str) {
        let view =
            DeviceView { state: DeviceState::Trouble, detail: Some(why.to_owned()), ..self.view.clone() };
        self.parts.counter.tell(Event::Device(view, None)).await;
    }

    async fn tried(&mut self) {
        let name = self.name();
        self.parts.board.change(&name, |work| {
            let Work::Trying { read, .. } = work else { return };
            *work = Work::Came(match read.is_empty() {
                false => Tried::Works(format!("{name} was tried, and sells again. Read last: {}", read[0])),
                true => Tried::Broken(format!(
                    "Nothing was scanned with {name}. If its lamp was on and it beeped, check that it is set up for the kind of line that is configured (keyboard, USB serial, RS-232), and a serial line's speed."
                )),
            });
        });
        self.parts.counter.tell(Event::Device(self.view.clone(), None)).await;
    }

    fn distrust(&mut self, done: oneshot::Sender<()>) {
        self.believe_nothing();
        // Whoever asked may have stopped waiting.
        let _gone = done.send(());
    }

    fn believe_nothing(&mut self) {
        self.parts.settings.learned = None;
        self.parts.settings.proved = false;
        self.proof.send_replace(Proof::Another);
    }

    /// Sets it up over its line. The driver has been dropped.
    async fn set_up(&mut self, command: &str) {
        let name = self.name();
        self.say_busy("it is set up on the page for devices: its scans sell nothing until that has ended")
            .await;
        let tried = self.send(&name, command).await;
        tracing::info!(scanner = name, ?tried, "set up over its line");
        self.parts.board.show(&name, Work::Came(tried));
    }

    /// What it learned holds for the scanner as it was set up: it is forgotten, durably, before the command is sent.
    async fn send(&mut self, name: &str, command: &str) -> Tried {
        let ScannerAddress::Line(address) = self.parts.settings.address.clone() else {
            return Tried::Broken(trial::NO_LINE.to_owned());
        };
        let line = match SetUpLine::open(&address).await {
            Ok(line) => line,
            Err(reason) => return Tried::Away(reason),
        };
        let nothing = ScannerRecord {
            address: self.parts.written.clone(),
            learned: None,
            at: None,
            seen: (self.parts.stands_there)(),
        };
        if let Err(error) = self.keep(nothing).await {
            tracing::error!(error, scanner = name, "that a scanner is set up anew cannot be kept");
            return Tried::Broken(format!(
                "that it is set up anew cannot be kept, so nothing was sent ({error}): call support"
            ));
        }
        self.believe_nothing();
        trial::set_up(name, &line.send(command).await)
    }

    /// Keeps what is known of it.
    async fn keep(&self, record: ScannerRecord) -> Result<(), String> {
        let (files, name) = (self.parts.files.clone(), self.name());
        let kept = tokio::task::spawn_blocking(move || {
            files.learn(&name, record).map_err(|error| error.to_string())
        });
        kept.await.unwrap_or_else(|panicked| Err(panicked.to_string()))
    }

    /// Learns until the end. The driver has been dropped.
    async fn learn(&mut self) {
        let name = self.name();
        self.say_busy("it learns on the page for devices: its scans sell nothing until that has ended").await;
        let from = match self.parts.settings.address.clone() {
            ScannerAddress::Line(line) => LearnFrom::Line(line),
            ScannerAddress::Keyboard(source) => LearnFrom::Keyboard(source),
        };
        match self.session(&name, from).await {
            // A person left: nothing is to be shown.
            None => self.parts.board.clear(&name),
            Some(Ok(verdict)) => {
                let end = self.take(verdict).await;
                self.end(&name, end);
            }
            Some(Err(end)) => self.end(&name, end),
        }
    }

    fn end(&self, name: &str, end: LearnEnd) {
        self.parts.board.change(name, |work| {
            if let Work::Learning(learning) = work {
                learning.end = Some(end);
            }
        });
    }

    async fn session(&mut self, name: &str, from: LearnFrom) -> Option<Result<Verdict, LearnEnd>> {
        let mut session = LearnSession::start(from, self.parts.settings.framing.idle_gap);
        let began = Instant::now();
        let mut silent_until = began + LEARNS_SILENTLY_FOR;
        let mut away: Option<String> = None;
        let show = |change: &mut dyn FnMut(&mut Learning)| {
            self.parts.board.change(name, |work| {
                if let Work::Learning(learning) = work {
                    change(learning);
                }
            });
        };
        loop {
            let tell_away = away.as_ref().map(|_| (began + LINE_CHANGES_HANDS).max(Instant::now()));
            tokio::select! {
                event = session.next() => match event {
                    None => return Some(Err(LearnEnd::Failed("learning has ended by a fault of the program: begin again".to_owned()))),
                    Some(LearnEvent::Device(DeviceEvent::Attached)) => {
                        away = None;
                        show(&mut |learning| (learning.open, learning.away) = (true, None));
                    }
                    Some(LearnEvent::Device(DeviceEvent::Lost { reason } | DeviceEvent::Fault { reason })) => {
                        away = Some(reason);
                        show(&mut |learning| learning.open = false);
                    }
                    Some(LearnEvent::Step(step)) => {
                        let mut verdict = None;
                        let mut step = Some(step);
                        show(&mut |learning| {
                            let before = learning.last.clone();
                            verdict = step.take().and_then(|step| learning.step(step));
                            if learning.last != before {
                                silent_until = Instant::now() + LEARNS_SILENTLY_FOR;
                            }
                        });
                        if let Some(verdict) = verdict {
                            return Some(Ok(verdict));
                        }
                    }
                },
                order = next(&mut self.orders) => match order {
                    ScannerOrder::Sell => return None,
                    ScannerOrder::GiveUp => session.give_up(),
                    // One thing at a time: the page's board lets none of these be begun meanwhile.
                    ScannerOrder::Try | ScannerOrder::Learn | ScannerOrder::SetUp(_) => {}
                    ScannerOrder::Distrust(done) => {
                        // What it has scanned so far was another's.
                        drop(session);
                        self.distrust(done);
                        return Some(Err(LearnEnd::Failed("another scanner was plugged in: begin again".to_owned())));
                    }
                },
                () = until(tell_away) => {
                    let reason = away.take();
                    show(&mut |learning| learning.away.clone_from(&reason));
                }
                () = time::sleep_until(silent_until) => {
                    return Some(Err(LearnEnd::Silent(LEARNS_SILENTLY_FOR.as_secs() / 60)));
                }
            }
        }
    }

    /// Keeps what was learned, then uses it, then tells.
    async fn take(&mut self, verdict: Verdict) -> LearnEnd {
        let Verdict { learned, faults } = verdict;
        if let Some(learned) = learned {
            let record = ScannerRecord {
                address: self.parts.written.clone(),
                learned: Some(learned.clone()),
                at: Some(self.parts.clock.wall()),
                seen: (self.parts.stands_there)(),
            };
            if let Err(error) = self.keep(record.clone()).await {
                tracing::error!(error, scanner = self.name(), "what a scanner taught cannot be kept");
                return LearnEnd::Failed(format!(
                    "what was learned cannot be kept, and is not used ({error}): call support"
                ));
            }
            self.parts.settings.learned = Some(learned);
            self.proof.send_replace(Proof::of(&self.parts.settings, Some(&record)));
        }
        match faults.is_empty() {
            true => LearnEnd::Proved,
            false => LearnEnd::not_proved(&faults),
        }
    }
}

/// The next order; for ever none once nobody can give any.
async fn next(orders: &mut mpsc::Receiver<ScannerOrder>) -> ScannerOrder {
    match orders.recv().await {
        Some(order) => order,
        None => std::future::pending().await,
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// For the page.
pub(crate) fn rejection_words(rejection: &Rejection) -> String {
    match rejection {
        Rejection::CutOff { .. } => {
            "That scan was cut off: scan again. If it comes back, check the scanner's cable.".into()
        }
        Rejection::TooLong { .. } | Rejection::Garbage { .. } | Rejection::Key { .. } => {
            format!("That was no barcode: {rejection}.")
        }
    }
}
