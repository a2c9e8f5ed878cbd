//! The counter's decisions: events in, effects out. No clock, no randomness, no I/O: all of them come in with [`Now`].
//!
//! What a person does goes one way: judged here, appended to the journal, booked when the append has returned, and only
//! then shown, printed and answered (invariant I1). A till has one act on its way at a time; tills do not wait for each
//! other, and each settlement counts what the others have on the way as taken.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use pestle_domain::{
    document::Document,
    fact::{Actor, FactBody},
    ids::{ActId, StaffId, TillId},
    journal::Lane,
    sale::Basket,
    staff::PinThrottle,
};

use super::{
    books::Books,
    command::{Command, Refused, Request, Said, Ticket, Why},
    counters::Count,
    device_log::DeviceLog,
    live::{Asked, LiveTill, Scanned, Tone},
    orders::OrderDesk,
    records::Printable,
    room::Room,
    settings::{CounterSettings, TillSettings},
    shop::Shop,
    sign_in::Check,
    today::SaidDate,
    under_way::UnderWay,
    view::{DeviceView, LinkView, ReadingView},
};
use crate::{
    cold::desk::ColdDesk,
    journal::Place,
    spool::machine::{Job, Spool},
};

pub use super::event::{CommitId, Effect, Event, Now};

/// The whole counter of a branch.
#[derive(Debug)]
pub struct Branch {
    pub(super) settings: CounterSettings,
    /// What is sold by: the snapshot with the orders that it does not have.
    pub(super) shop: Option<Arc<Shop>>,
    pub(super) snapshot: Option<Arc<Shop>>,
    pub(super) desk: OrderDesk,
    pub(super) books: Books,
    pub(super) tills: BTreeMap<TillId, LiveTill>,
    pub(super) spools: BTreeMap<String, Spool>,
    /// Documents that were on paper and are printed once more. Those that were not yet are in the books.
    pub(super) reprinted: BTreeMap<ActId, Printable>,
    /// What names a patient, and so is on no disk.
    pub(super) private_papers: BTreeMap<ActId, Document>,
    pub(super) under_way: BTreeMap<CommitId, UnderWay>,
    pub(super) checks: HashMap<Ticket, Check>,
    pub(super) throttles: HashMap<StaffId, PinThrottle>,
    pub(super) strangers: HashMap<Box<str>, PinThrottle>,
    pub(super) stranger_records: HashMap<TillId, PinThrottle>,
    pub(super) devices: BTreeMap<String, DeviceView>,
    device_logs: BTreeMap<String, DeviceLog>,
    pub(super) readings: BTreeMap<String, ReadingView>,
    pub(super) cold: ColdDesk,
    pub(super) devices_ask: Vec<String>,
    pub(super) link: LinkView,
    pub(super) room: Room,
    pub(super) said_date: Option<SaidDate>,
    pub(super) next_commit: u64,
}

impl Branch {
    /// A counter at its start: the books as the journal has them, the baskets as they were kept. A basket whose act is
    /// done was paid; any other is back on its page, and both are said.
    pub fn new(
        settings: CounterSettings,
        shop: Option<Arc<Shop>>,
        books: Books,
        baskets: Vec<(TillId, Basket)>,
    ) -> Self {
        let tills = settings.tills.iter().map(|till| (till.id.clone(), LiveTill::default())).collect();
        let printers: BTreeSet<String> = settings.printers().map(str::to_owned).collect();
        let spools =
            printers.into_iter().zip(0..).map(|(printer, index)| (printer, Spool::of(index))).collect();
        let cold = ColdDesk::new(settings.cold.clone());
        let mut branch = Self {
            settings,
            shop: None,
            snapshot: None,
            desk: OrderDesk::default(),
            books,
            tills,
            spools,
            reprinted: BTreeMap::new(),
            private_papers: BTreeMap::new(),
            under_way: BTreeMap::new(),
            checks: HashMap::new(),
            throttles: HashMap::new(),
            strangers: HashMap::new(),
            stranger_records: HashMap::new(),
            devices: BTreeMap::new(),
            device_logs: BTreeMap::new(),
            readings: BTreeMap::new(),
            cold,
            devices_ask: Vec::new(),
            link: LinkView::default(),
            room: Room::default(),
            said_date: None,
            next_commit: 1,
        };
        branch.show_missing(&mut Vec::new());
        if let Some(shop) = shop {
            branch.shop_came(shop);
        }
        branch.orders_opened();
        branch.recover_prints();
        branch.recover_baskets(baskets);
        branch
    }

    /// Decides what follows from `event`.
    pub fn handle(&mut self, now: &mut Now<'_>, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        let out = &mut effects;
        match event {
            Event::Asked(ticket, request) => self.asked(now, ticket, request, out),
            Event::Scanned(till, scanned) => self.scanned(now, &till, scanned, out),
            Event::ScanRejected(till, text) => {
                out.push(Effect::Count(Count::ScanRejected));
                self.tell(&till, Tone::Refused, text, out);
            }
            Event::Appended(commit, result) => self.appended(now, commit, result, out),
            Event::Sealed(sealing, sealed) => self.sealed(now, &sealing, sealed, out),
            Event::PinChecked(ticket, right) => self.pin_checked(now, ticket, right, out),
            Event::PrintEnded(printer, job, ended) => self.print_ended(now, &printer, job, ended, out),
            Event::PrintFinishedLate(printer, process) => {
                self.print_finished_late(now, &printer, process, out)
            }
            Event::PictureLeftOut(printer, why) => self.picture_left_out(&printer, &why, out),
            Event::DispensingLabel(wanted) => self.print_dispensing_label(now, wanted, out),
            Event::DrawerEnded(printer, end) => self.drawer_ended(&printer, end, out),
            Event::PrinterIs(printer, ready) => self.printer_is(now, &printer, ready, out),
            Event::Device(device, fact) => self.device_changed(now, device, fact, out),
            Event::DevicesAsk(names) => {
                self.devices_ask = names;
                out.push(Effect::ShowAll);
            }
            Event::Reading(sensor, reading) => self.reading_came(now, sensor, reading, out),
            Event::Link(link) => {
                if self.link != link {
                    self.link = link;
                    out.push(Effect::ShowAll);
                }
            }
            Event::Shop(shop) => {
                self.shop_came(shop);
                self.staff_changed(now, out);
                out.push(Effect::ShowAll);
            }
            Event::Orders(came) => self.orders_came(now, came, out),
            Event::Missing(range) => self.found_missing(now, &range, out),
            Event::Fetched(fetched, acts, older) => self.fetched_facts(now, fetched, acts, older, out),
            Event::Tick => {
                self.next_order(now, out);
                self.sign_out_idle(now, out);
                self.write_held_device_facts(now, out);
                self.look_at_room(now, out);
                self.look_at_the_cold(now, out);
                self.let_excess_papers_go(now, out);
            }
            Event::Space(space) => self.space_changed(now, space, out),
            Event::Ending => self.report_shed(now, out),
        }
        effects
    }

    /// What is booked next stands there in the journal.
    pub fn stand_at(&mut self, place: Place) {
        self.books.stand_at(place);
    }

    /// The books, for whoever keeps or shows them.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// What lies at a till.
    pub fn basket(&self, till: &TillId) -> Option<&Basket> {
        self.tills.get(till)?.basket.as_ref()
    }

    /// The tills, as configured.
    pub fn till_settings(&self) -> &[TillSettings] {
        &self.settings.tills
    }

    fn device_changed(
        &mut self,
        now: &mut Now<'_>,
        device: DeviceView,
        fact: Option<FactBody>,
        out: &mut Vec<Effect>,
    ) {
        let name = device.name.clone();
        self.devices.insert(name.clone(), device);
        if let Some(fact) = fact {
            self.contact_changed(now, &fact, out);
            match self.device_logs.entry(name).or_default().take(now.mono_ms, fact) {
                Some(fact) => self.append_plain(now, Lane::Ledger, &Actor::Machine, vec![fact], out),
                None => out.push(Effect::Count(Count::DeviceFactHeldBack)),
            }
        }
        out.push(Effect::ShowAll);
    }

    fn write_held_device_facts(&mut self, now: &mut Now<'_>, out: &mut Vec<Effect>) {
        let due: Vec<FactBody> =
            self.device_logs.values_mut().filter_map(|log| log.due(now.mono_ms)).collect();
        for fact in due {
            self.append_plain(now, Lane::Ledger, &Actor::Machine, vec![fact], out);
        }
    }

    fn asked(&mut self, now: &mut Now<'_>, ticket: Ticket, request: Request, out: &mut Vec<Effect>) {
        if !self.tills.contains_key(&request.till) {
            let refused =
                Refused::new(Why::NotFound, "This branch has no such till. Choose one on the start page.");
            out.push(Effect::Answer(ticket, Err(refused)));
            return;
        }
        let (till, is_sign_in) = (request.till.clone(), matches!(request.command, Command::SignIn { .. }));
        match self.carry_out(now, ticket, request, out) {
            // The answer comes once the act is on the disk, or the PIN is compared.
            Ok(None) => {}
            Ok(Some(said)) => {
                out.push(Effect::Show(till));
                out.push(Effect::Answer(ticket, Ok(said)));
            }
            Err(refused) => {
                out.push(Effect::Count(Count::Refused(refused.why)));
                // What is refused at sign-in is shown in the answer alone: others may be looking at the page.
                if !is_sign_in && refused.why != Why::Authentication {
                    self.tell(&till, Tone::Refused, refused.message.clone(), out);
                }
                out.push(Effect::Answer(ticket, Err(refused)));
            }
        }
    }

    fn carry_out(
        &mut self,
        now: &mut Now<'_>,
        ticket: Ticket,
        request: Request,
        out: &mut Vec<Effect>,
    ) -> Result<Option<Said>, Refused> {
        let Request { till, station, command } = request;
        if let Command::SignIn { staff, pin } = command {
            return self.sign_in(now, ticket, till, station, &staff, pin, out).map(|()| None);
        }
        self.touch(now, &till, &station)?;
        self.may_ask(&till, &command)?;
        match command {
            Command::SignIn { .. } => Ok(None),
            Command::SignOut => self.sign_out(&till).map(Some),
            Command::OpenTill { act, float, date } => {
                self.open_till(now, ticket, &till, act, float, date, out)
            }
            Command::ConfirmDate { date } => self.confirm_date(now, date, out).map(Some),
            Command::CloseTill { act, counted } => self.close_till(now, ticket, &till, act, counted, out),
            Command::Scan { bytes } => {
                // What was typed by hand is not believed for lot and serial.
                self.scanned(now, &till, Scanned { bytes, proved: false }, out);
                Ok(Some(Said::words("")))
            }
            Command::TypedScans { batch, scans } => Ok(Some(self.typed_scans(now, &till, batch, scans, out))),
            Command::Add { product } => self.add_by_hand(now, &till, &product, out).map(Some),
            Command::SetQuantity { line, quantity } => {
                self.set_quantity(&till, line, quantity, out).map(Some)
            }
            Command::Void { line } => self.void(&till, line, out).map(Some),
            Command::VoidAll => self.void_all(&till, out).map(Some),
            Command::ChooseLot { line, lot } => self.choose_lot(now, &till, line, &lot, out).map(Some),
            Command::Dismiss => {
                if let Some(live) = self.tills.get_mut(&till) {
                    live.question = None;
                    live.refusals.clear();
                    live.unseen.clear();
                    live.notice = None;
                }
                Ok(Some(Said::words("")))
            }
            Command::Pay { act, total, tendered } => {
                self.pay(now, ticket, &till, act, Asked::Pay { total, tendered }, out)
            }
            Command::MoveCash { act, way, amount, reason } => {
                self.move_cash(now, ticket, &till, act, (way, amount), &reason, out)
            }
            Command::OpenDrawer { act } => self.open_drawer(now, ticket, &till, act, out),
            Command::RegisterPatient { act, details } => {
                self.keep_patient(now, ticket, &till, act, None, details, out)
            }
            Command::AmendPatient { act, person, details } => {
                self.keep_patient(now, ticket, &till, act, Some(person), details, out)
            }
            Command::ShelfLabel { act, product } => {
                self.print_shelf_label(now, ticket, &till, act, &product, out)
            }
            // That this person may is all that was asked.
            Command::MendDevices => Ok(Some(Said::words(""))),
            Command::Reprint => self.reprint(now, &till, out).map(Some),
            Command::AnswerPrints { jobs, word } => {
                self.answer_prints(now, &till, &jobs, word, out).map(Some)
            }
        }
    }

    pub(super) fn tell(&mut self, till: &TillId, tone: Tone, text: impl Into<String>, out: &mut Vec<Effect>) {
        if let Some(live) = self.tills.get_mut(till) {
            live.say(tone, text);
            out.push(Effect::Show(till.clone()));
        }
    }

    pub(super) fn shop(&self) -> Result<Arc<Shop>, Refused> {
        self.shop.clone().ok_or_else(|| {
            Refused::new(
                Why::Unavailable,
                "This box has no catalogue yet. It comes by itself when the centre is reached; call support if it stays away.",
            )
        })
    }

    /// The jobs that belong to a till.
    pub(super) fn jobs_of(&self, till: &TillId) -> Vec<&Job> {
        self.spools.values().flat_map(Spool::jobs).filter(|job| job.till == *till).collect()
    }
}
