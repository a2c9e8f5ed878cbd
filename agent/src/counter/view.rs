//! What a till's page shows, as data: the page renders it, machines read it as JSON (`GET /till/{id}/state`).
//!
//! Fields are only ever added. Money is `{"minor":499,"currency":"GBP"}` in minor units; moments are milliseconds since
//! 1970 in UTC.

use pestle_domain::{
    fact::{Provenance, ReceiptNumber},
    gs1::Gtin,
    ids::{ActId, ProductId, SessionId, StaffId, TillId},
    money::{Currency, Money},
    sale::{LineId, LotChoice},
    staff::Role,
    units::{Day, MilliCelsius, Quantity, UnixMillis},
};
use serde::Serialize;

use super::{
    command::StationId,
    live::{Notice, Tone},
    papers::DocumentKind,
    printing::NO_PRINTER,
};
use crate::spool::machine::JobId;

/// One till.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TillView {
    /// Which.
    pub till: TillId,
    /// As the branch calls it.
    pub till_name: String,
    /// The branch.
    pub branch: String,
    /// In which it sells; `None` before the first snapshot.
    pub currency: Option<Currency>,
    /// The day of business.
    pub business_date: Day,
    /// The clock is doubted: somebody has to say the date, when the till is opened or while it is open.
    pub date_doubted: bool,
    /// What the person at the till is about to do.
    pub phase: Phase,
    /// Who serves.
    pub signed_in: Option<Person>,
    /// The cash session.
    pub session: Option<SessionView>,
    /// What lies on the counter.
    pub basket: Option<BasketView>,
    /// A pack whose lot has to be read.
    pub question: Option<QuestionView>,
    /// The last sale of this till.
    pub last_sale: Option<SaleView>,
    /// The last closing of this till.
    pub last_closing: Option<ClosingView>,
    /// Prints that have not ended, the oldest first: of those that are alike the first [`PRINTS_SHOWN`].
    pub prints: Vec<PrintView>,
    /// Those of them that are too many to be asked about one by one.
    pub print_groups: Vec<PrintGroup>,
    /// Those that are told of one by one, and of which [`prints`](Self::prints) does not have all.
    pub print_rest: Vec<PrintGroup>,
    /// Printers of this till for which no more can wait: each new paper costs an old one.
    pub full_printers: Vec<String>,
    /// What was said last.
    pub notice: Option<Notice>,
    /// Refusals that nobody has put aside, the newest last.
    pub refusals: Vec<Notice>,
    /// The link to the centre.
    pub link: LinkView,
    /// All devices of the branch.
    pub devices: Vec<DeviceView>,
    /// What the sensors said last.
    pub readings: Vec<ReadingView>,
    /// The cold places, and what is to be known of their probes.
    pub cold: ColdView,
    /// Devices that are not used before somebody has said on the page for devices which they are.
    pub devices_ask: Vec<String>,
    /// Where somebody is signed in: whose browser this is may see all of it. Never sent.
    #[serde(skip)]
    pub station: Option<StationId>,
    /// What whoever stands before the sign-in is told.
    #[serde(skip)]
    pub farewell: Option<String>,
}

/// What the person at the till is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The box has no catalogue yet.
    NoCatalogue,
    /// Sign in.
    SignIn,
    /// Open the till.
    Closed,
    /// Scan the first pack.
    Ready,
    /// Scan on, or take the money.
    Selling,
    /// Wait: the sale is on its way to the disk.
    Paying,
    /// Hand over the change.
    Change,
}

/// Who serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Person {
    /// Who.
    pub staff: StaffId,
    /// As the counter greets them.
    pub name: Box<str>,
    /// What they are.
    pub role: Role,
    /// Whether this role may count and close the till.
    pub may_close: bool,
    /// Whether this role may open the drawer without a sale.
    pub may_open_drawer: bool,
    /// Whether this role may put cash in or take it out.
    pub may_move_cash: bool,
}

/// The cash session. What is expected in the drawer is not shown: the count is blind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionView {
    /// Which.
    pub id: SessionId,
    /// Counted in.
    pub float: Money,
    /// Sales so far.
    pub sales: u64,
    /// On which day of business it began.
    pub opened_on: Option<Day>,
    /// It was left open overnight: close it.
    pub stale: bool,
}

/// What lies on the counter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BasketView {
    /// To be sent with the payment.
    pub act: ActId,
    /// In the order of their scans.
    pub lines: Vec<LineView>,
    /// Packs of all lines.
    pub packs: Quantity,
    /// What they come to.
    pub total: Money,
    /// Amounts that people hand over for this total: exact, then the next notes.
    pub suggestions: Vec<Money>,
}

/// One line of the basket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineView {
    /// Which.
    pub line: LineId,
    /// The article.
    pub product: ProductId,
    /// As scanned.
    pub gtin: Gtin,
    /// As it will be printed.
    pub name: Box<str>,
    /// Packs.
    pub quantity: Quantity,
    /// Of one pack.
    pub unit_price: Money,
    /// `quantity × unit_price`.
    pub amount: Money,
    /// The price is another one now: the basket keeps its own.
    pub price_changed: bool,
    /// The lot, where it is known.
    pub lot: Option<Box<str>>,
    /// Who says so.
    pub provenance: Option<Provenance>,
    /// Last day of use, where it is known.
    pub expiry: Option<Day>,
    /// Serial numbers that were scanned.
    pub serials: Vec<Box<str>>,
    /// Packs by the book, before this sale. Zero does not stop a sale.
    pub on_hand: Quantity,
    /// The recall that forbids to sell it, by its number.
    pub recalled: Option<Box<str>>,
}

/// A pack whose lot has to be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct QuestionView {
    /// As scanned.
    pub gtin: Gtin,
    /// Of the article.
    pub name: Box<str>,
    /// What the branch has.
    pub choices: Vec<LotChoice>,
}

/// A sale that is on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SaleView {
    /// Its act; the QR code of its receipt.
    pub act: ActId,
    /// Its receipt.
    pub receipt: ReceiptNumber,
    /// What it came to.
    pub total: Money,
    /// What was given.
    pub tendered: Money,
    /// What was handed back.
    pub change: Money,
    /// When it was recorded.
    pub at: UnixMillis,
    /// While it prints `queued`, `sent`, `not_printed` or `unknown`; then what the facts say: `printed`, `copied`,
    /// `given_up`, `unknown`, `cannot_tell`. `none` where the till has no printer.
    pub print: &'static str,
}

/// A closing that is on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClosingView {
    /// Its act.
    pub act: ActId,
    /// By the person.
    pub counted: Money,
    /// By the book.
    pub expected: Money,
    /// Counted less expected.
    pub variance: Money,
    /// Sales of the session.
    pub sales: u64,
    /// When it was recorded.
    pub at: UnixMillis,
}

/// A print that has not ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrintView {
    /// Which.
    pub job: JobId,
    /// The act whose document it is.
    pub document: ActId,
    /// For people.
    pub title: String,
    /// On which printer.
    pub printer: String,
    /// `queued`, `sent`, `not_printed`, `unknown`.
    pub state: &'static str,
    /// Why, where there is something to say.
    pub reason: Option<String>,
    /// It says COPY.
    pub copy: bool,
    /// What it is.
    pub kind: Option<DocumentKind>,
    /// Whose it was, where that till is not set up any more and this one answers for it.
    pub former_till: Option<TillId>,
}

impl PrintView {
    /// Its printer is still set up.
    pub fn has_printer(&self) -> bool {
        self.printer != NO_PRINTER
    }
}

/// So many prints that are alike are each shown; the next ones when these have ended.
pub const PRINTS_SHOWN: usize = 10;

/// With more that are alike, a person is asked about all of them at once.
pub const PRINTS_APART: usize = 3;

/// Prints of one printer, one till, one kind and one state. A label with a patient's name is always told of by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrintGroup {
    /// On which printer.
    pub printer: String,
    /// What they are.
    pub kind: Option<DocumentKind>,
    /// `queued`, `not_printed`, `unknown`.
    pub state: &'static str,
    /// Why the oldest is in it, where there is something to say.
    pub reason: Option<String>,
    /// All of them, the oldest first.
    pub jobs: Vec<JobId>,
    /// The oldest, for people.
    pub first: String,
    /// The newest, for people.
    pub last: String,
    /// Whose they were, where that till is not set up any more and this one answers for them.
    pub former_till: Option<TillId>,
}

impl PrintGroup {
    /// Whether a print is one of these.
    pub fn holds(&self, print: &PrintView) -> bool {
        let of_print = (print.printer.as_str(), print.kind, print.state, &print.former_till);
        (self.printer.as_str(), self.kind, self.state, &self.former_till) == of_print
    }

    /// Its printer is still set up.
    pub fn has_printer(&self) -> bool {
        self.printer != NO_PRINTER
    }

    /// As a person calls them.
    pub fn noun(&self) -> &'static str {
        match self.kind {
            Some(DocumentKind::Receipt) => "receipts",
            Some(DocumentKind::Report) => "reports",
            Some(DocumentKind::ShelfLabel) => "shelf labels",
            Some(DocumentKind::DispensingLabel) => "dispensing labels",
            None => "papers",
        }
    }

    /// For the page's own use: names its place.
    pub fn place(&self) -> String {
        let former = self.former_till.as_ref().map(|till| format!("-{till}")).unwrap_or_default();
        format!("{}-{}-{}{former}", self.printer.replace(' ', "-"), self.noun().replace(' ', "-"), self.state)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.jobs.len()
    }

    /// From which to which, where their titles tell them apart.
    pub fn span(&self) -> String {
        if self.first == self.last {
            String::new()
        } else {
            format!(", from {} to {}", self.first, self.last)
        }
    }

    /// How many are shown by none of a view's prints.
    pub fn more(&self) -> usize {
        self.jobs.len().saturating_sub(PRINTS_SHOWN)
    }

    /// Its jobs, as its buttons name them.
    pub fn named(&self) -> String {
        let jobs: Vec<String> = self.jobs.iter().map(|job| job.0.to_string()).collect();
        jobs.join(",")
    }
}

/// The link to the centre, and what waits to be sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LinkView {
    /// `offline`, `catch_up`, `live` or `draining`.
    pub state: String,
    /// Facts that the centre has not acknowledged.
    pub waiting: u64,
    /// What is wrong, where something is.
    pub detail: Option<String>,
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeviceView {
    /// As configured.
    pub name: String,
    /// `scanner`, `printer` or `sensor`.
    pub class: String,
    /// `ok`, `trouble` or `away`.
    pub state: DeviceState,
    /// What it says, where it says something.
    pub detail: Option<String>,
}

/// How a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// It works.
    Ok,
    /// It is there, and something is wrong.
    Trouble,
    /// It is not there.
    Away,
}

/// The cold places.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ColdView {
    /// In the order of the configuration.
    pub places: Vec<PlaceView>,
    /// Times without readings of the last hours, each in a sentence.
    pub gaps: Vec<String>,
    /// One line about all certificates that are due soon or overdue.
    pub calibration: Option<String>,
    /// One of them is overdue.
    pub calibration_overdue: bool,
}

/// One cold place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlaceView {
    /// As configured.
    pub place: String,
    /// `trouble` where something is to be done, `away` where nobody knows its temperature.
    pub state: DeviceState,
    /// It is too warm or too cold.
    pub out_of_limits: bool,
    /// Thousandths of a degree Celsius, if it is known.
    pub milli_celsius: Option<MilliCelsius>,
    /// Why not, if it is not.
    pub missing: Option<String>,
    /// The sensor whose word that is.
    pub sensor: String,
    /// What is wrong and what to do, the worst first.
    pub details: Vec<String>,
}

/// What a sensor said last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadingView {
    /// As configured.
    pub sensor: String,
    /// The cold place that it hangs in; the page shows that instead.
    pub place: Option<String>,
    /// Thousandths of a degree Celsius, if it said a temperature.
    pub milli_celsius: Option<MilliCelsius>,
    /// Why not, if it did not.
    pub missing: Option<String>,
    /// When.
    pub at: UnixMillis,
}

impl TillView {
    /// What a browser may see. Everything for the one where somebody is signed in; for any other on the branch's network
    /// neither basket nor names nor sales, but how to sign in, and how the box is.
    pub fn seen_by(&self, station: &StationId) -> Self {
        if self.station.as_ref() == Some(station) {
            return self.clone();
        }
        let text = match &self.station {
            Some(_other) => {
                Some("This till is in use at another screen. Sign in here to take it over.".to_owned())
            }
            None => self.farewell.clone(),
        };
        Self {
            phase: if self.phase == Phase::NoCatalogue { Phase::NoCatalogue } else { Phase::SignIn },
            signed_in: None,
            session: None,
            basket: None,
            question: None,
            last_sale: None,
            last_closing: None,
            prints: Vec::new(),
            print_groups: Vec::new(),
            print_rest: Vec::new(),
            full_printers: Vec::new(),
            notice: text.map(|text| Notice { seq: 0, tone: Tone::Info, text }),
            refusals: Vec::new(),
            station: None,
            farewell: None,
            ..self.clone()
        }
    }
}

impl TillView {
    /// Whether a print is asked about, or told of, together with others.
    pub fn is_grouped(&self, print: &PrintView) -> bool {
        self.print_groups.iter().any(|group| group.holds(print))
    }
}

/// `£12.40`, as it stands on British pages.
pub fn shown(money: &Money) -> String {
    let sign = if money.minor < 0 { "−" } else { "" };
    let magnitude = Money { minor: money.minor.saturating_abs(), ..*money }.plain();
    match money.currency {
        Currency::GBP => format!("{sign}£{magnitude}"),
        Currency::EUR => format!("{sign}€{magnitude}"),
        Currency::USD => format!("{sign}${magnitude}"),
        other => format!("{sign}{other} {magnitude}"),
    }
}

/// Amounts that people hand over for `total`: exact, then what rounds it up to a usual note. At most four.
pub fn suggestions(total: Money) -> Vec<Money> {
    if total.minor <= 0 {
        return vec![total];
    }
    let unit = 10i64.pow(total.currency.decimals());
    // Steps of whole units in which notes and large coins come; a yen's are a hundred times as many.
    let scale = if total.currency.decimals() == 0 { 100 } else { 1 };
    let mut amounts = vec![total];
    for step in [5, 10, 20, 50, 100, 200, 500] {
        let step = step * unit * scale;
        let Some(rounded) = total.minor.checked_add(step - 1).map(|sum| sum / step * step) else { break };
        if amounts.last().is_some_and(|last| rounded > last.minor) {
            amounts.push(Money { minor: rounded, ..total });
        }
        if amounts.len() == 4 {
            break;
        }
    }
    amounts
}
