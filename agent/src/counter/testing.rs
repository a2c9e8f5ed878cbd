//! A counter for tests: two tills with a printer each, a disk that records at once, and a clock that stands still.

use std::sync::Arc;

use pestle_domain::{
    catalogue::{Product, Recall, Storage, Supply},
    fact::{Act, Actor, ClockQuality, Fact, LotIn, Stamp, StockOpened},
    gs1::Gtin,
    ids::{ActId, FactId, TillId},
    money::{BasisPoints, Currency, Money},
    personal::PatientDetails,
    snapshot::{BranchProfile, Snapshot},
    staff::{Member, Role},
    stock::Discrepancy,
    units::{Quantity, UnixMillis},
};
use uuid::Uuid;

use crate::cold::settings::ColdSettings;

use super::{
    books::Books,
    checkpoint::{self, Where},
    command::{Answer, Command, DateWord, Pin, Refused, Request, StationId, Ticket},
    counters::Count,
    live::Scanned,
    machine::{Branch, CommitId, Effect, Event, Now},
    patient::Sealing,
    preview::{Paper, Preview},
    records::Done,
    settings::{CounterSettings, TillSettings},
    shop::Shop,
    view::TillView,
};

/// A checkpoint as it stands in its file.
pub(super) fn sealed(turn: u64, at: &Where, books: &Books) -> Vec<u8> {
    let (mut encoded, mut file) = (Vec::new(), Vec::new());
    checkpoint::encode(turn, at, books, &mut encoded).unwrap();
    checkpoint::seal(&encoded[..], &mut file).unwrap();
    file
}

pub(super) fn gtin(number: u32) -> Gtin {
    Gtin::with_check_digit(format!("0952{number:09}").as_bytes()).unwrap()
}

pub(super) fn till(number: u32) -> TillId {
    format!("till-{number}").parse().unwrap()
}

pub(super) fn product(number: u32, supply: Supply) -> Product {
    Product {
        id: format!("p-{number}").parse().unwrap(),
        gtins: vec![gtin(number)],
        name: format!("Article {number}").into(),
        price: Money::new(499, Currency::GBP),
        tax: BasisPoints(2_000),
        supply,
        storage: Storage::Ambient,
    }
}

pub(super) fn snapshot(recalls: &[(u32, &str)], verifier: &str) -> Snapshot {
    let member = |id: &str, name: &str, role| Member {
        id: id.parse().unwrap(),
        name: name.into(),
        role,
        pin_verifier: verifier.into(),
        valid_until: None,
    };
    Snapshot {
        form: 1,
        tenant: "acme".parse().unwrap(),
        branch: "north".parse().unwrap(),
        version: 1,
        made_at: UnixMillis(0),
        profile: BranchProfile {
            name: "North Street".into(),
            address: vec!["1 North Street".into()],
            tax_number: "".into(),
            currency: Currency::GBP,
            time_zone: "Europe/London".into(),
            cut_over_minutes: 0,
            receipt_header: vec![],
            receipt_footer: vec![],
        },
        products: vec![
            product(1, Supply::General),
            product(2, Supply::General),
            product(3, Supply::Prescription),
        ],
        recalls: recalls
            .iter()
            .map(|(number, lot)| Recall {
                reference: "R-1".into(),
                product: format!("p-{number}").parse().unwrap(),
                lot: Some((*lot).into()),
                reason: "glass found".into(),
                issued: "2026-11-01".parse().unwrap(),
            })
            .collect(),
        orders: None,
        staff: vec![
            member("anna", "Anna", Role::Manager),
            member("ben", "Ben", Role::Assistant),
            member("tess", "Tess", Role::FieldTech),
            member("ida", "Ida", Role::CentralIt),
        ],
    }
}

pub(super) fn shop(recalls: &[(u32, &str)]) -> Arc<Shop> {
    shop_of(snapshot(recalls, "verifier"))
}

pub(super) fn shop_of(snapshot: Snapshot) -> Arc<Shop> {
    Arc::new(Shop::new(snapshot, Arc::new(|_| time::UtcOffset::UTC)))
}

/// A counter with two tills and one printer each, a disk that records at once, and a printer that is asked by hand.
pub(super) struct Rig {
    pub(super) branch: Branch,
    pub(super) now_ms: u64,
    pub(super) clock: ClockQuality,
    /// By the wall clock.
    pub(super) day: &'static str,
    pub(super) boot: &'static str,
    drawn: u128,
    asked: u64,
    /// Appends that have not been reported.
    pub(super) pending: Vec<(CommitId, Act, Vec<u8>)>,
    /// What the disk has: what a restart folds.
    pub(super) journal: Vec<(Vec<Fact>, Vec<u8>)>,
    answers: Vec<(Ticket, Answer)>,
    /// Prints and kicks, in order.
    pub(super) ordered: Vec<String>,
    pub(super) doubts: Vec<Discrepancy>,
    pub(super) counts: Vec<Count>,
    /// Of the PINs that are to be compared.
    pub(super) verifiers: Vec<Box<str>>,
    /// Details that are to be sealed.
    pub(super) seals: Vec<(Sealing, PatientDetails)>,
}

/// This program's version, as the tests have it.
pub(super) const AGENT: &str = "1.0.0";

/// 2026-11-20 12:00 UTC has certainly passed.
const FLOOR: UnixMillis = UnixMillis(1_795_176_000_000);

impl Rig {
    pub(super) fn new() -> Self {
        Self::with(Books::default(), Vec::new())
    }

    pub(super) fn with(books: Books, baskets: Vec<(TillId, pestle_domain::sale::Basket)>) -> Self {
        let one = |number: u32| TillSettings {
            id: till(number),
            name: format!("Till {number}"),
            printer: Some(format!("printer-{number}")),
            typed_scans: true,
            label_printer: None,
            page_printer: None,
            logo: None,
        };
        let settings = CounterSettings {
            tills: vec![one(1), one(2)],
            idle_sign_out_ms: 60_000,
            epoch: 1,
            agent: AGENT.into(),
            cold: ColdSettings::default(),
            buzzers: Vec::new(),
        };
        let mut rig = Self {
            branch: Branch::new(settings, Some(shop(&[])), books, baskets),
            now_ms: 0,
            clock: ClockQuality::Synchronised,
            day: "2026-11-21",
            boot: "boot",
            drawn: 0,
            asked: 0,
            pending: Vec::new(),
            journal: Vec::new(),
            answers: Vec::new(),
            ordered: Vec::new(),
            doubts: Vec::new(),
            counts: Vec::new(),
            verifiers: Vec::new(),
            seals: Vec::new(),
        };
        for number in [1, 2] {
            rig.hear(Event::PrinterIs(format!("printer-{number}"), Ok(())));
        }
        rig
    }

    /// Two tills, open, with Anna at each; article 1 has two packs of lot A.
    pub(super) fn open() -> Self {
        let mut rig = Self::new();
        rig.stock(1, "A", "2028-01-01", 2);
        for number in [1, 2] {
            rig.sign_in(number, "anna", true).unwrap();
            let act = rig.draw_act();
            rig.ask(number, Command::OpenTill { act, float: pence(10_000), date: DateWord::Silent }).unwrap();
        }
        rig.ordered.clear();
        rig
    }

    /// What a restart after a power cut leaves: the journal, and the baskets as they were kept.
    pub(super) fn restart(self) -> Self {
        let baskets = [1, 2]
            .into_iter()
            .filter_map(|number| Some((till(number), self.branch.basket(&till(number))?.clone())))
            .collect();
        let mut books = Books::default();
        for (facts, attachment) in &self.journal {
            books.apply(facts, attachment);
        }
        Self { journal: self.journal, drawn: self.drawn, ..Self::with(books, baskets) }
    }

    /// Starts again without a receipt printer at the first till.
    pub(super) fn restart_without_printer(self) -> Self {
        self.restart_as(|settings| settings.tills[0].printer = None)
    }

    /// Starts again with another configuration.
    pub(super) fn restart_as(self, change: impl FnOnce(&mut CounterSettings)) -> Self {
        let mut rig = self.restart();
        let mut settings = rig.branch.settings.clone();
        change(&mut settings);
        let books = rig.branch.books.clone();
        rig.branch = Branch::new(settings, Some(shop(&[])), books, Vec::new());
        rig
    }

    pub(super) fn stamp(&self) -> Stamp {
        Stamp {
            boot: self.boot.into(),
            mono_ms: self.now_ms,
            wall_ms: UnixMillis(1_795_000_000_000),
            clock: self.clock,
            business_date: self.day.parse().unwrap(),
        }
    }

    pub(super) fn draw_act(&mut self) -> ActId {
        self.drawn += 1;
        ActId(Uuid::from_u128(self.drawn))
    }

    pub(super) fn stock(&mut self, number: u32, lot: &str, expiry: &str, packs: i64) {
        let line = LotIn {
            product: format!("p-{number}").parse().unwrap(),
            lot: Some(lot.into()),
            expiry: Some(expiry.parse().unwrap()),
            quantity: Quantity(packs),
        };
        let act = self.draw_act();
        let body = StockOpened { lines: vec![line] }.into();
        let facts = Act::new(act, &Actor::Machine, &self.stamp(), vec![body], || FactId(Uuid::nil())).facts;
        self.branch.books.apply(&facts, b"");
        self.journal.push((facts, Vec::new()));
    }

    /// One event, without what the disk says to it.
    pub(super) fn hear(&mut self, event: Event) {
        let (mono_ms, stamp) = (self.now_ms, self.stamp());
        let drawn = &mut self.drawn;
        let mut draw = || {
            *drawn += 1;
            Uuid::from_u128(*drawn)
        };
        let effects = self.branch.handle(&mut Now { mono_ms, stamp, floor: FLOOR, draw: &mut draw }, event);
        for effect in effects {
            match effect {
                Effect::Append { commit, act, attachment, .. } => {
                    self.pending.push((commit, act, attachment))
                }
                Effect::Answer(ticket, answer) => self.answers.push((ticket, answer)),
                Effect::Print { printer, job, document, drawer } => {
                    let copy = if document.copy_of.is_some() { " COPY" } else { "" };
                    let with = if drawer { " with drawer" } else { "" };
                    self.ordered.push(format!("{printer} {} {}{copy}{with}", job.0, document.title));
                }
                Effect::KickDrawer(printer) => self.ordered.push(format!("{printer} kick")),
                Effect::Beep(printer) => self.ordered.push(format!("{printer} beep")),
                Effect::Doubt(doubt) => self.doubts.push(doubt),
                Effect::Count(count) => self.counts.push(count),
                Effect::Seal(sealing, details) => self.seals.push((sealing, details)),
                Effect::CheckPin { verifier, .. } => self.verifiers.push(verifier),
                Effect::Show(_) | Effect::ShowAll | Effect::Keep(_) | Effect::ConfirmDate => {}
            }
        }
    }

    /// The disk reports everything that is on its way.
    pub(super) fn commit(&mut self) {
        while !self.pending.is_empty() {
            let (commit, act, attachment) = self.pending.remove(0);
            self.journal.push((act.facts, attachment));
            self.hear(Event::Appended(commit, Ok(())));
        }
    }

    pub(super) fn send(&mut self, number: u32, command: Command) -> Ticket {
        self.asked += 1;
        let ticket = Ticket(self.asked);
        let station = StationId(format!("station-{number}").into());
        self.hear(Event::Asked(ticket, Request { till: till(number), station, command }));
        ticket
    }

    pub(super) fn answer(&self, ticket: Ticket) -> Option<Answer> {
        self.answers.iter().find(|(of, _)| *of == ticket).map(|(_, answer)| answer.clone())
    }

    pub(super) fn ask(&mut self, number: u32, command: Command) -> Answer {
        let ticket = self.send(number, command);
        self.commit();
        self.answer(ticket).expect("an answer")
    }

    pub(super) fn sign_in(&mut self, number: u32, staff: &str, right: bool) -> Answer {
        let ticket = self.send(number, Command::SignIn { staff: staff.into(), pin: Pin("1234".into()) });
        if self.answer(ticket).is_none() {
            self.hear(Event::PinChecked(ticket, right));
        }
        self.commit();
        self.answer(ticket).expect("an answer")
    }

    pub(super) fn scan(&mut self, number: u32, code: &str) {
        let bytes = code.replace('^', "\u{1D}").into_bytes();
        self.hear(Event::Scanned(till(number), Scanned { bytes, proved: true }));
        self.commit();
    }

    pub(super) fn view(&self, number: u32) -> TillView {
        let mut draw = Uuid::nil;
        let now = Now { mono_ms: self.now_ms, stamp: self.stamp(), floor: FLOOR, draw: &mut draw };
        self.branch.view(&now, &till(number)).expect("the till is configured")
    }

    pub(super) fn look_at(&self, preview: &Preview) -> Result<Paper, Refused> {
        let mut draw = Uuid::nil;
        let now = Now { mono_ms: self.now_ms, stamp: self.stamp(), floor: FLOOR, draw: &mut draw };
        self.branch.preview(&now, preview)
    }

    /// What stands on a till's page about papers.
    pub(super) fn papers_on_page(&self, number: u32) -> String {
        let fragments = crate::web::pages::fragments(&self.view(number)).unwrap();
        fragments.into_iter().find(|(name, _)| *name == "prints").map(|(_, html)| html).unwrap()
    }

    pub(super) fn basket_act(&self, number: u32) -> ActId {
        self.view(number).basket.expect("a basket").act
    }

    pub(super) fn pay(&mut self, number: u32, minor: i64) -> Answer {
        let basket = self.view(number).basket.expect("a basket");
        let (act, total) = (basket.act, basket.total);
        self.ask(number, Command::Pay { act, total, tendered: pence(minor) })
    }

    pub(super) fn refused_with(&self, number: u32, words: &str) {
        let refusals = self.view(number).refusals;
        let last = refusals.last().map(|notice| notice.text.clone()).unwrap_or_default();
        assert!(last.contains(words), "\"{last}\" says nothing of \"{words}\"");
    }

    pub(super) fn kinds(&self) -> Vec<&'static str> {
        self.journal.iter().flat_map(|(facts, _)| facts.iter().map(|fact| fact.body.kind())).collect()
    }

    pub(super) fn sales(&self) -> usize {
        self.kinds().iter().filter(|kind| **kind == "sale.completed").count()
    }
}

pub(super) fn pence(minor: i64) -> Money {
    Money::new(minor, Currency::GBP)
}

pub(super) fn receipt_of(answer: &Answer) -> u64 {
    match answer.as_ref().unwrap().done.as_ref().unwrap() {
        Done::Sold { receipt, .. } => receipt.number,
        other => panic!("{other:?} is no sale"),
    }
}

pub(super) fn pack(number: u32) -> String {
    gtin(number).short().to_owned()
}
pub(super) fn pack_of(number: u32, rest: &str) -> String {
    format!("]d201{}{rest}", gtin(number))
}
