//! The handle of this box's devices, for its pages: what there is, what is asked of people, and what can be done by hand while
//! the box sells on.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use pestle_domain::{document::Document, ids::TillId, units::UnixMillis};
use pestle_drivers::{
    device::DeviceName,
    find::{
        change::{Spot, Standing},
        identify,
        keeper::Keeper,
        question::Answer,
    },
    printer::{
        Printer,
        render::{Artwork, Canvas},
        start::{PrinterKind, PrinterSettings},
    },
    scanner::{
        learn::sheet::sheet,
        mending::command_over_line,
        programming::{Maker, Makers, ProgrammingError, Purpose},
    },
    sensor::{Sensor, input::Input},
};
use tokio::sync::{mpsc::error::TrySendError, watch};

use super::{
    board::{Board, Sources, board},
    changes::Changes,
    doubtful::Doubtful,
    listed::{Kind, Listed},
    picture::{self, PictureError},
    questions::{self, Card},
    scanner::{ScannerEnd, ScannerOrder, TRIED_FOR},
    trial,
    work::{Learning, Work, WorkBoard},
};
use crate::{
    clock::Clock,
    counter::{handle::Counter, view::TillView},
};

/// How often the lamps of a line flicker and rest: long enough to walk to them.
const FLICKERS: u32 = 8;

/// Why something was not done with a device. Each says what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeskRefusal {
    /// No such device, or not one with which that can be done.
    #[error("There is no device named {0} with which that can be done: look at the page again.")]
    NoSuchDevice(String),
    /// One thing at a time.
    #[error("Something is being done with {0} just now: wait until it has ended, or end it there.")]
    Busy(String),
    /// The question has changed.
    #[error("That is not asked any more: look at the page again, and answer what it asks now.")]
    NotAsked,
    /// The answer was not taken.
    #[error("{0}.")]
    NotTaken(String),
    /// What the page does not offer for this scanner.
    #[error(
        "{name} was not set up: \"{purpose}\" of {maker} is not sent from this page. Look at the codes on the card of {name}, and use what it offers; what makes it another kind of device is sent by a technician, with `pestle-agent devices program`."
    )]
    NotOffered {
        /// The scanner.
        name: String,
        /// Whose code.
        maker: String,
        /// What it would do.
        purpose: &'static str,
    },
    /// It cannot be drawn.
    #[error("{0}.")]
    NoPicture(String),
}

/// A printer of the box.
#[derive(Debug, Clone)]
pub(super) struct PrinterEnd {
    pub(super) till: TillId,
    pub(super) settings: PrinterSettings,
    pub(super) printer: Arc<dyn Printer>,
    /// It sounds alarms.
    pub(super) buzzer: bool,
}

/// What is asked on a line so that its lamps flicker.
#[derive(Debug, Clone)]
pub(super) enum LineEnd {
    Sensor(Arc<dyn Sensor>),
    Contact(Arc<dyn Input>),
}

/// The devices of this box. Cloned handles are of the same.
#[derive(Debug, Clone)]
pub struct Devices(Arc<Desk>);

#[derive(Debug)]
pub(super) struct Desk {
    pub(super) listed: Vec<Listed>,
    /// What people call a device that shares its line.
    pub(super) called: BTreeMap<DeviceName, String>,
    pub(super) keeper: Arc<Keeper>,
    pub(super) scanners: BTreeMap<String, ScannerEnd>,
    pub(super) printers: BTreeMap<String, PrinterEnd>,
    pub(super) lines: BTreeMap<String, LineEnd>,
    /// How each device that the finder keeps is opened where a question is about it.
    pub(super) doubtful: BTreeMap<String, Doubtful>,
    pub(super) board: WorkBoard,
    pub(super) since: watch::Receiver<BTreeMap<String, UnixMillis>>,
    pub(super) artwork: Artwork,
    pub(super) counter: Counter,
    pub(super) clock: Arc<Clock>,
}

impl Devices {
    pub(super) fn new(desk: Desk) -> Self {
        Self(Arc::new(desk))
    }

    /// What a page waits for beside its till's view.
    pub fn changes(&self) -> Changes {
        Changes {
            attached: self.0.keeper.attached(),
            asked: self.0.keeper.questions(),
            work: self.0.board.watch(),
            since: self.0.since.clone(),
            proofs: self.0.scanners.values().map(|scanner| scanner.proof.clone()).collect(),
        }
    }

    /// All that the page shows now; `view` is of any till.
    pub fn board(&self, view: &TillView) -> Board {
        let desk = &self.0;
        let shop = desk.counter.shop();
        let local = |at: UnixMillis| {
            let shop = shop.as_deref()?;
            let at = shop.local(at);
            let day = pestle_domain::units::Day(at.date());
            let today = shop.local(desk.clock.wall()).date() == at.date();
            let time = format!("{:02}:{:02}", at.hour(), at.minute());
            Some(if today { time } else { format!("{day} {time}") })
        };
        let files: BTreeMap<PathBuf, String> = desk.files();
        board(&Sources {
            listed: &desk.listed,
            devices: &view.devices,
            readings: &view.readings,
            since: &desk.since.borrow(),
            attached: &desk.keeper.attached().borrow(),
            files: &files,
            cards: self.cards(),
            proofs: &desk
                .scanners
                .iter()
                .map(|(name, end)| (name.clone(), end.proof.borrow().clone()))
                .collect(),
            work: &desk.board.watch().borrow(),
            local: &local,
            now: desk.clock.wall(),
        })
    }

    fn cards(&self) -> Vec<Card> {
        questions::cards(&self.0.keeper.questions().borrow(), |name| self.0.called(name))
    }

    /// Takes a person's answer to the question that they saw. When this returns, it is kept and in force.
    ///
    /// # Errors
    /// The question has changed, or the answer cannot be kept.
    pub async fn answer(&self, id: &str, key: &str) -> Result<String, DeskRefusal> {
        let desk = &self.0;
        let asked = desk.keeper.questions();
        let card = self.cards().into_iter().find(|card| card.id == id).ok_or(DeskRefusal::NotAsked)?;
        let answer = card.answer(key).ok_or(DeskRefusal::NotAsked)?;
        let first = card.about.first().and_then(|name| asked.borrow().get(name).cloned());
        let first = first.ok_or(DeskRefusal::NotAsked)?;
        for name in card.takes(answer, &first.question) {
            // The answer for the one may change what is asked about the other.
            let question = asked.borrow().get(name).map(|asked| asked.question.clone());
            let Some(question) = question.filter(|question| question.answers().contains(&answer)) else {
                continue;
            };
            desk.keeper
                .answer(name, &question, answer)
                .await
                .map_err(|error| DeskRefusal::NotTaken(error.to_string()))?;
        }
        let names: Vec<_> = card.about.iter().map(ToString::to_string).collect();
        Ok(match answer {
            Answer::LeaveAlone => format!(
                "Noted: nothing is used as {} until something else is plugged in.",
                names.join(" and ")
            ),
            Answer::UseWhatIsThere | Answer::FollowTheDevice => {
                format!("Noted: {} is used from now on.", names.join(" and "))
            }
        })
    }

    /// Has a device show itself: a printer prints its name, a scanner shows what it reads, the lamps of a line flicker.
    ///
    /// # Errors
    /// No such device, or something is being done with it.
    pub fn identify(&self, name: &str) -> Result<String, DeskRefusal> {
        let desk = &self.0;
        if let Some((doubtful, spot)) = desk.in_question(name) {
            let doing = doubtful.doing();
            if !desk.board.begin(name, Work::Doing(doing.to_owned())) {
                return Err(DeskRefusal::Busy(name.to_owned()));
            }
            let (board, artwork, name) = (desk.board.clone(), desk.artwork.clone(), name.to_owned());
            tokio::spawn(async move {
                let tried = doubtful.show(&spot, TRIED_FOR, artwork).await;
                tracing::info!(device = name, ?spot, ?tried, "what is asked about showed itself");
                board.show(&name, Work::Came(tried));
            });
            return Ok(format!("{doing}."));
        }
        if let Some(end) = desk.printers.get(name) {
            let till = desk.till_name(&end.till);
            let document = identify::mark(&DeviceName::new(name), &format!("of {till}, at {}", end.settings));
            return self.print(name, document, "its name").map(|()| format!("{name} prints its name."));
        }
        if desk.scanners.contains_key(name) {
            let until = UnixMillis(desk.clock.wall().0 + i64::try_from(TRIED_FOR.as_millis()).unwrap_or(0));
            self.order(name, Work::Trying { until, read: Vec::new() }, ScannerOrder::Try)?;
            return Ok(format!("Scan anything with {name}: for 30 s it stands here and sells nothing."));
        }
        let line = desk.lines.get(name).cloned().ok_or_else(|| DeskRefusal::NoSuchDevice(name.to_owned()))?;
        if !desk.board.begin(name, Work::Doing("its lamps flicker and rest in turns".to_owned())) {
            return Err(DeskRefusal::Busy(name.to_owned()));
        }
        let (board, name) = (desk.board.clone(), name.to_owned());
        let said = format!("The lamps of the adapter of {name} flicker and rest in turns.");
        tokio::spawn(async move {
            let tried = line.flicker(&name).await;
            board.show(&name, Work::Came(tried));
        });
        Ok(said)
    }

    /// Begins learning.
    ///
    /// # Errors
    /// No such scanner, or something is being done with it.
    pub fn learn(&self, name: &str) -> Result<String, DeskRefusal> {
        self.order(name, Work::Learning(Learning::begin()), ScannerOrder::Learn)?;
        Ok(format!(
            "{name} learns: scan A, B, C and D of the sheet, in any order. It sells nothing meanwhile."
        ))
    }

    /// Sets a scanner up over its serial line, by a command of its maker that its card offers.
    ///
    /// # Errors
    /// No such scanner, it has no such line, its card does not offer that, or something is being done with it.
    pub fn set_up(&self, name: &str, maker: &str, purpose: Purpose) -> Result<String, DeskRefusal> {
        let listed = self.0.listed.iter().find(|one| one.name == name && one.kind.is_scanner());
        match listed.map(|one| one.kind) {
            Some(Kind::SerialScanner) => {}
            Some(_) => return Err(DeskRefusal::NotTaken(format!("{name}: {}", trial::NO_LINE))),
            None => return Err(DeskRefusal::NoSuchDevice(name.to_owned())),
        }
        let refused = |error: ProgrammingError| DeskRefusal::NotTaken(error.to_string());
        let makers = Makers::built_in().map_err(refused)?;
        let (maker, title) = (makers.get(maker).map_err(refused)?, purpose.title());
        let command = command_over_line(maker, purpose).ok_or_else(|| DeskRefusal::NotOffered {
            name: name.to_owned(),
            maker: maker.title.clone(),
            purpose: title,
        })?;
        let doing = Work::Doing(format!("it is set up over its line ({title}), and sells nothing meanwhile"));
        self.order(name, doing, ScannerOrder::SetUp(command.to_owned()))?;
        Ok(format!("{name} is set up over its line: {title}."))
    }

    /// Learns without the codes that the scanner does not read.
    ///
    /// # Errors
    /// No such scanner.
    pub fn give_up(&self, name: &str) -> Result<String, DeskRefusal> {
        let scanner = self.0.scanners.get(name).ok_or_else(|| DeskRefusal::NoSuchDevice(name.to_owned()))?;
        // Full means that it is told so already, or something else first.
        let _told = scanner.orders.try_send(ScannerOrder::GiveUp);
        Ok("Noted: it is judged by what was scanned so far.".to_owned())
    }

    /// Ends what is being done with a scanner, or puts away what ended.
    ///
    /// # Errors
    /// It takes no order just now.
    pub fn leave(&self, name: &str) -> Result<String, DeskRefusal> {
        let desk = &self.0;
        desk.board.put_away(name);
        if desk.board.watch().borrow().contains_key(name)
            && let Some(scanner) = desk.scanners.get(name)
        {
            scanner
                .orders
                .try_send(ScannerOrder::Sell)
                .map_err(|_full| DeskRefusal::Busy(name.to_owned()))?;
        }
        Ok(String::new())
    }

    /// Prints the sheet of test codes, or a maker's codes.
    ///
    /// # Errors
    /// No such printer or maker, or something is being printed there by hand.
    pub fn print_sheet(&self, printer: &str, maker: Option<&str>) -> Result<String, DeskRefusal> {
        let document = sheet_of(maker)?;
        let what = if maker.is_some() { "the maker's codes" } else { "the sheet of test codes" };
        self.print(printer, document, what)?;
        Ok(format!("{printer} prints {what}."))
    }

    /// The sheet of test codes, or a maker's codes, as a picture.
    ///
    /// # Errors
    /// No such maker.
    pub fn sheet_picture(&self, maker: Option<&str>) -> Result<Vec<u8>, DeskRefusal> {
        self.picture(&sheet_of(maker)?, None)
    }

    /// A document as the printer of this name would print it. Takes milliseconds; call it where that may block.
    ///
    /// # Errors
    /// It cannot be drawn.
    pub fn picture(&self, document: &Document, printer: Option<&str>) -> Result<Vec<u8>, DeskRefusal> {
        let end = printer.and_then(|name| self.0.printers.get(name));
        let paper: Canvas = end.map_or(picture::STRIP, |end| picture::paper(&end.settings));
        picture::png(document, &paper, &self.0.artwork)
            .map_err(|error: PictureError| DeskRefusal::NoPicture(error.to_string()))
    }

    /// Where a scanner's sheet is printed: on the receipt printer of its till, else on any.
    pub fn sheet_printer(&self, scanner: &str) -> Option<String> {
        let till = self.0.listed.iter().find(|one| one.name == scanner)?.till.clone();
        let receipts =
            || self.0.printers.iter().filter(|(_, end)| end.settings.kind() == PrinterKind::EscPos);
        let own = receipts().find(|(_, end)| Some(&end.till) == till.as_ref());
        own.or_else(|| receipts().next()).map(|(name, _)| name.clone())
    }

    /// Has a label printer measure its labels, after another roll was put in.
    ///
    /// # Errors
    /// It is no label printer, or something is being done with it.
    pub fn measure(&self, name: &str) -> Result<String, DeskRefusal> {
        let end = self.0.printers.get(name);
        let height = end.and_then(|end| end.settings.label_height());
        let height = height.ok_or_else(|| DeskRefusal::NoSuchDevice(name.to_owned()))?;
        self.with_printer(name, "it measures its labels", async move |printer: Arc<dyn Printer>| {
            trial::measure(&*printer, height).await
        })?;
        Ok(format!("{name} feeds some labels and measures them."))
    }

    /// Sounds the buzzer that sounds alarms.
    ///
    /// # Errors
    /// It has none, or something is being done with it.
    pub fn sound(&self, name: &str) -> Result<String, DeskRefusal> {
        if !self.sounds(name) {
            return Err(DeskRefusal::NoSuchDevice(name.to_owned()));
        }
        self.with_printer(name, "it sounds", async |printer: Arc<dyn Printer>| {
            trial::sound(&*printer).await
        })?;
        Ok(format!("{name} sounds as it does for an alarm."))
    }

    /// Whether a device sounds alarms.
    pub fn sounds(&self, name: &str) -> bool {
        self.0.printers.get(name).is_some_and(|end| end.buzzer)
    }

    fn print(&self, name: &str, document: Document, what: &'static str) -> Result<(), DeskRefusal> {
        self.with_printer(name, &format!("it prints {what}"), async move |printer: Arc<dyn Printer>| {
            trial::print(&*printer, document, what).await
        })
    }

    /// Does something with a printer, one thing at a time; what came of it stands in its card.
    fn with_printer<Doing>(
        &self,
        name: &str,
        doing: &str,
        what: impl FnOnce(Arc<dyn Printer>) -> Doing + Send + 'static,
    ) -> Result<(), DeskRefusal>
    where
        Doing: Future<Output = trial::Tried> + Send,
    {
        let end = self.0.printers.get(name).ok_or_else(|| DeskRefusal::NoSuchDevice(name.to_owned()))?;
        let board = self.0.board.clone();
        if !board.begin(name, Work::Doing(doing.to_owned())) {
            return Err(DeskRefusal::Busy(name.to_owned()));
        }
        let (printer, name, doing) = (end.printer.clone(), name.to_owned(), doing.to_owned());
        tokio::spawn(async move {
            let tried = what(printer).await;
            tracing::info!(printer = name, ?tried, doing, "by hand from the page for devices");
            board.show(&name, Work::Came(tried));
        });
        Ok(())
    }

    fn order(&self, name: &str, work: Work, order: ScannerOrder) -> Result<(), DeskRefusal> {
        let desk = &self.0;
        let scanner = desk.scanners.get(name).ok_or_else(|| DeskRefusal::NoSuchDevice(name.to_owned()))?;
        if !desk.board.begin(name, work) {
            return Err(DeskRefusal::Busy(name.to_owned()));
        }
        match scanner.orders.try_send(order) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {
                desk.board.clear(name);
                Err(DeskRefusal::Busy(name.to_owned()))
            }
        }
    }
}

impl Desk {
    fn called(&self, name: &DeviceName) -> String {
        self.called.get(name).cloned().unwrap_or_else(|| name.to_string())
    }

    /// How a device is opened about which a person is asked, and where it stands.
    fn in_question(&self, name: &str) -> Option<(Doubtful, Spot)> {
        let keeper_name = &self.listed.iter().find(|one| one.name == name)?.keeper_name;
        let spot = self.keeper.questions().borrow().get(&DeviceName::new(keeper_name))?.there.clone()?;
        Some((self.doubtful.get(name)?.clone(), spot))
    }

    fn till_name(&self, till: &TillId) -> String {
        let known = self.counter.tills().iter().find(|one| one.id == *till);
        known.map_or_else(|| till.to_string(), |till| till.name.clone())
    }

    /// The device files that configured devices have now, with whose they are.
    fn files(&self) -> BTreeMap<PathBuf, String> {
        let files = self.listed.iter().flat_map(|one| {
            let kept = self.keeper.standing(&DeviceName::new(&one.keeper_name));
            let files = match (kept, &one.path) {
                (Some(Standing::Here(spot)), _) => vec![spot.file],
                // A path may be a link, such as those below /dev/serial/by-id.
                (None, Some(path)) => {
                    [Some(path.clone()), std::fs::canonicalize(path).ok()].into_iter().flatten().collect()
                }
                _ => Vec::new(),
            };
            files.into_iter().map(|file| (file, one.name.clone()))
        });
        files.collect()
    }
}

impl LineEnd {
    async fn flicker(&self, name: &str) -> trial::Tried {
        match self {
            Self::Sensor(sensor) => {
                let ask = || async {
                    sensor.sample().await;
                };
                identify::blink(ask, FLICKERS).await;
                trial::reading(&DeviceName::new(name), &sensor.sample().await)
            }
            Self::Contact(input) => {
                let ask = || async {
                    // What it says is told to everybody by its own task.
                    let _state = input.read().await;
                };
                identify::blink(ask, FLICKERS).await;
                match input.read().await {
                    Ok(state) => trial::Tried::Works(format!("{name} is {}.", input.kind().word(state))),
                    Err(why) => trial::Tried::Away(why.to_string()),
                }
            }
        }
    }
}

fn sheet_of(maker: Option<&str>) -> Result<Document, DeskRefusal> {
    let Some(maker) = maker else { return Ok(sheet()) };
    let makers = Makers::built_in().map_err(|error| DeskRefusal::NoPicture(error.to_string()))?;
    makers.get(maker).and_then(Maker::sheet).map_err(|error| DeskRefusal::NotTaken(error.to_string()))
}
