//! From acts to paper: which document belongs to which act, and the facts of what became of it.

use std::collections::{BTreeMap, BTreeSet};

use pestle_domain::{
    document::{Document, shelf_label::shelf_label},
    fact::{Actor, DrawerCause, Fact, FactBody, PrintCompleted, PrintReprinted, PrintUnknown},
    ids::{ActId, TillId},
    journal::Lane,
    receipt::{Circumstances, SessionSums, closing_report, copy_note, receipt},
};

use super::{
    command::{Refused, Said, Why},
    counters::{Count, PrintEnd},
    live::Tone,
    machine::{Branch, Effect, Now},
    papers::{DocumentKind, PaperWords},
    records::{CANNOT_TELL, GIVEN_UP, LET_GO, Printable},
    settings::TillSettings,
    shop::Shop,
};
use crate::spool::machine::{self as spool, Ended, JOBS_MAX, Job, JobId, Spool, State, Word};

/// Whose papers these are: those of a till that had a printer for them when they were recorded, and has none now, or is itself
/// gone. It is no name that a device could have, and stands in no fact.
pub(super) const NO_PRINTER: &str = "no printer";

/// As facts name a printer: not at all where none is set up any more.
fn named(printer: &str) -> Box<str> {
    if printer == NO_PRINTER { "".into() } else { printer.into() }
}

impl Branch {
    /// Queues what an act has to print, and opens the drawer where it asks for that.
    pub(super) fn print_of(
        &mut self,
        now: &mut Now<'_>,
        till: &TillId,
        act: ActId,
        facts: &[Fact],
        out: &mut Vec<Effect>,
    ) {
        let drawer = facts.iter().find_map(|fact| match &fact.body {
            FactBody::DrawerOpened(opened) => Some(opened.cause),
            _ => None,
        });
        let Some(printable) = self.books.print(&act) else {
            if let Some(DrawerCause::NoSale | DrawerCause::Till) = drawer {
                self.kick_drawer_of(till, out);
            }
            return;
        };
        let (title, kind) = (printable.title(), printable.kind());
        let receipts = self.spool_for(till, DocumentKind::Receipt).map(|(printer, _)| printer);
        if let Some((printer, spool)) = self.spool_for(till, kind) {
            // The drawer hangs on the receipt printer; what another one prints does not hold it up.
            let with_drawer = drawer.is_some() && receipts.as_ref() == Some(&printer);
            let effects = spool.enqueue(act, till.clone(), title, false, with_drawer);
            if drawer.is_some() && !with_drawer {
                self.kick_drawer_of(till, out);
            }
            self.spool_effects(now, &printer, effects, &Actor::Machine, out);
        }
    }

    /// A paper came out without its logo: whoever serves there is told, since nobody sees it from the box.
    pub(super) fn picture_left_out(&mut self, printer: &str, why: &str, out: &mut Vec<Effect>) {
        let prints_there = |till: &&TillSettings| till.printers().any(|one| one == printer);
        let tills: Vec<TillId> =
            self.settings.tills.iter().filter(prints_there).map(|one| one.id.clone()).collect();
        for till in tills {
            let text = format!("Receipts are printed without their logo: {why}.");
            self.tell(&till, Tone::Refused, text, out);
        }
    }

    fn kick_drawer_of(&mut self, till: &TillId, out: &mut Vec<Effect>) {
        if let Some((printer, _)) = self.spool_for(till, DocumentKind::Receipt) {
            out.push(Effect::KickDrawer(printer));
        }
    }

    /// What a document says that is on its way, or is to be.
    pub(super) fn printable(&self, document: &ActId) -> Option<&Printable> {
        self.reprinted.get(document).or_else(|| self.books.print(document))
    }

    pub(super) fn print_ended(
        &mut self,
        now: &mut Now<'_>,
        printer: &str,
        job: JobId,
        ended: Ended,
        out: &mut Vec<Effect>,
    ) {
        let Some(spool) = self.spools.get_mut(printer) else { return };
        if matches!(ended, Ended::NotPrinted { .. }) {
            out.push(Effect::Count(Count::Print(PrintEnd::NotPrinted)));
        }
        let effects = spool.ended(job, ended);
        self.spool_effects(now, printer, effects, &Actor::Machine, out);
        out.push(Effect::ShowAll);
    }

    pub(super) fn print_finished_late(
        &mut self,
        now: &mut Now<'_>,
        printer: &str,
        process: [u8; 4],
        out: &mut Vec<Effect>,
    ) {
        let Some(spool) = self.spools.get_mut(printer) else { return };
        let effects = spool.finished_late(process);
        self.spool_effects(now, printer, effects, &Actor::Machine, out);
        out.push(Effect::ShowAll);
    }

    pub(super) fn printer_is(
        &mut self,
        now: &mut Now<'_>,
        printer: &str,
        ready: Result<(), String>,
        out: &mut Vec<Effect>,
    ) {
        let Some(spool) = self.spools.get_mut(printer) else { return };
        let effects = spool.printer_is(ready);
        self.spool_effects(now, printer, effects, &Actor::Machine, out);
        out.push(Effect::ShowAll);
    }

    /// A person's word on one print, or on many alike.
    pub(super) fn answer_prints(
        &mut self,
        now: &mut Now<'_>,
        till: &TillId,
        jobs: &[JobId],
        word: Word,
        out: &mut Vec<Effect>,
    ) -> Result<Said, Refused> {
        let actor = self.actor_at(till);
        let here: BTreeMap<JobId, ActId> =
            self.jobs_of(till).into_iter().map(|job| (job.id, job.document)).collect();
        let (mut answered, mut left) = (0, None);
        let nowhere: BTreeSet<JobId> =
            self.spools.get(NO_PRINTER).into_iter().flat_map(Spool::jobs).map(|job| job.id).collect();
        for job in jobs {
            let Some(document) = here.get(job) else { continue };
            let cannot = match word {
                Word::PrintCopy if nowhere.contains(job) => Some(PRINTERLESS),
                Word::PrintCopy if !self.has_words_of(*document) => Some(WORDLESS),
                _ => None,
            };
            if cannot.is_some() {
                left = cannot;
                continue;
            }
            let effects = self
                .spools
                .iter_mut()
                .find_map(|(printer, spool)| Some((printer.clone(), spool.word(*job, word)?)));
            let Some((printer, effects)) = effects else { continue };
            answered += 1;
            self.spool_effects(now, &printer, effects, &actor, out);
        }
        match (answered, left) {
            (0, None) => Err(Refused::new(
                Why::Conflict,
                "This print needs no answer any more. Look at the list again.",
            )),
            (0, Some(why)) => Err(Refused::new(Why::Conflict, why)),
            (1, None) => Ok(Said::words(said_of(word, 1))),
            // What became of one is seen; of many, and of those that are left of them, it is said on the page, too.
            (_, left) => {
                let text = [Some(said_of(word, answered)), left.map(str::to_owned)];
                let text = text.into_iter().flatten().collect::<Vec<_>>().join(" ");
                self.tell(till, Tone::Info, text.clone(), out);
                Ok(Said::words(text))
            }
        }
    }

    pub(super) fn reprint(
        &mut self,
        now: &mut Now<'_>,
        till: &TillId,
        out: &mut Vec<Effect>,
    ) -> Result<Said, Refused> {
        let actor = self.actor_at(till);
        let sale = self.books.till(till).and_then(|book| book.last_sale.clone());
        let sale =
            sale.ok_or_else(|| Refused::new(Why::NotFound, "There is no sale of this till to print."))?;
        let printable = Printable::Receipt(Box::new(sale));
        let (act, title) = (printable.act(), printable.title());
        let open = self.jobs_of(till).into_iter().find(|job| job.document == act);
        match open.map(|job| &job.state) {
            Some(State::Unknown { .. }) => {
                return Err(Refused::new(
                    Why::Conflict,
                    "Look whether the receipt came out, and answer the question about it.",
                ));
            }
            Some(_) => return Ok(Said::words(format!("{title} is waiting for the printer."))),
            None => {}
        }
        let Some((printer, spool)) = self.spool_for(till, DocumentKind::Receipt) else {
            return Err(Refused::new(Why::Conflict, "This till has no receipt printer."));
        };
        let effects = spool.enqueue(act, till.clone(), title.clone(), true, false);
        self.reprinted.insert(act, printable);
        self.spool_effects(now, &printer, effects, &actor, out);
        Ok(Said::words(format!("A copy of {title} is being printed.")))
    }

    pub(super) fn spool_effects(
        &mut self,
        now: &mut Now<'_>,
        printer: &str,
        effects: Vec<spool::Effect>,
        actor: &Actor,
        out: &mut Vec<Effect>,
    ) {
        for effect in effects {
            match effect {
                spool::Effect::Send(job) => self.send(now, printer, &job, out),
                spool::Effect::KickDrawer => out.push(Effect::KickDrawer(printer.into())),
                spool::Effect::Completed(job) => {
                    let (document, name) = (job.document, named(printer));
                    let (body, end) = if job.copy {
                        (PrintReprinted { document, printer: name }.into(), PrintEnd::Copied)
                    } else {
                        (PrintCompleted { document, printer: name }.into(), PrintEnd::Printed)
                    };
                    self.end_print(now, &job, actor, body, end, out);
                }
                spool::Effect::Unknown(job, reason) => {
                    let body = PrintUnknown {
                        document: job.document,
                        printer: named(printer),
                        reason: (*reason).into(),
                    };
                    self.append_plain(now, Lane::Ledger, &Actor::Machine, vec![body.into()], out);
                    out.push(Effect::Count(Count::Print(PrintEnd::Unknown)));
                    let text = format!(
                        "It is not known whether {} came out. Look at the printer {printer}, then answer below.",
                        job.title
                    );
                    self.tell(&job.till, Tone::Info, text, out);
                }
                spool::Effect::GivenUp(job) => {
                    let reason = GIVEN_UP.into();
                    let body = PrintUnknown { document: job.document, printer: named(printer), reason };
                    self.end_print(now, &job, actor, body.into(), PrintEnd::GivenUp, out);
                }
                spool::Effect::LetGo(job) => self.let_go(now, printer, &job, out),
                // The printer's chip says it once; the paper is in front of the person.
                spool::Effect::CannotTell(job) => {
                    let reason = CANNOT_TELL.into();
                    let body = PrintUnknown { document: job.document, printer: named(printer), reason };
                    self.end_print(now, &job, &Actor::Machine, body.into(), PrintEnd::CannotTell, out);
                }
            }
        }
    }

    /// No more papers can wait: this one is given up, and whoever serves is told until they have seen it.
    fn let_go(&mut self, now: &mut Now<'_>, printer: &str, job: &Job, out: &mut Vec<Effect>) {
        let body = PrintUnknown { document: job.document, printer: named(printer), reason: LET_GO.into() };
        self.end_print(now, job, &Actor::Machine, body.into(), PrintEnd::LetGo, out);
        let what = match job.state {
            State::Unknown { .. } => "is not asked about any more",
            _ => "will not be printed",
        };
        let others = match printer {
            NO_PRINTER => "other papers whose printer is not set up any more wait for an answer".to_owned(),
            printer => format!("other papers wait for {printer}"),
        };
        let text = format!("{} {what}: {JOBS_MAX} {others}. What it tells of is recorded.", job.called());
        if let Some(live) = self.tills.get_mut(&job.till) {
            live.say_until_seen(text);
        }
    }

    #[allow(clippy::too_many_arguments, reason = "each is one part of the story of one print")]
    fn end_print(
        &mut self,
        now: &mut Now<'_>,
        job: &Job,
        actor: &Actor,
        body: FactBody,
        end: PrintEnd,
        out: &mut Vec<Effect>,
    ) {
        out.push(Effect::Count(Count::Print(end)));
        self.reprinted.remove(&job.document);
        self.private_papers.remove(&job.document);
        self.append_plain(now, Lane::Ledger, actor, vec![body], out);
        out.push(Effect::Show(job.till.clone()));
    }

    fn send(&mut self, now: &mut Now<'_>, printer: &str, job: &Job, out: &mut Vec<Effect>) {
        let document = match (&self.shop, self.printable(&job.document)) {
            (Some(shop), Some(printable)) => {
                let private = self.private_papers.get(&job.document);
                let logo = self.logo_of(&job.till);
                document_of((printable, private), shop, now, (job, logo), &self.actor_at(&job.till))
            }
            // A snapshot is never taken away, and a job keeps its printable: this prints the title rather than nothing.
            _ => Document::new(job.title.clone()),
        };
        out.push(Effect::Print { printer: printer.into(), job: job.id, document, drawer: job.drawer });
        out.push(Effect::Show(job.till.clone()));
    }

    /// The picture at the head of a till's receipts.
    pub(super) fn logo_of(&self, till: &TillId) -> Option<&str> {
        self.settings.tills.iter().find(|one| one.id == *till)?.logo.as_deref()
    }

    pub(super) fn actor_at(&self, till: &TillId) -> Actor {
        let signed_in = self.tills.get(till).and_then(|live| live.signed_in.as_ref());
        signed_in.map_or(Actor::Machine, super::live::SignedIn::actor)
    }
}

/// A label with a patient's name is nowhere on the disk.
const WORDLESS: &str = "The box keeps no label with a patient's name. Look whether it came out; if it did not, say that it is not needed, and print it from the dispensing once more.";

/// See [`NO_PRINTER`].
const PRINTERLESS: &str = "There is no printer for it any more. Look whether it came out; if it did not, say that it is not needed, or have its printer set up again first.";

fn said_of(word: Word, papers: usize) -> String {
    match (word, papers) {
        (Word::CameOut, 1) => "Noted: the paper is there.".into(),
        (Word::CameOut, papers) => format!("Noted: {papers} papers are there."),
        (Word::PrintCopy, 1) => "A copy is being printed.".into(),
        (Word::PrintCopy, papers) => format!("{papers} copies are being printed."),
        (Word::GiveUp, 1) => "Noted: it will not be printed.".into(),
        (Word::GiveUp, papers) => format!("Noted: {papers} papers will not be printed."),
    }
}

pub(super) fn document_of(
    (printable, private): (&Printable, Option<&Document>),
    shop: &Shop,
    now: &Now<'_>,
    (job, logo): (&Job, Option<&str>),
    asked_by: &Actor,
) -> Document {
    let document = match printable {
        Printable::Requested(paper) => match &paper.words {
            PaperWords::ShelfLabel(label) => shelf_label(label),
            // One whose words are gone is never sent: see `Branch::has_words_of`.
            PaperWords::DispensingLabel => {
                private.cloned().unwrap_or_else(|| Document::new(job.title.clone()))
            }
        },
        Printable::Receipt(record) => {
            let on = Circumstances {
                profile: &shop.profile,
                act: record.act,
                at: shop.local(record.at),
                staff: shop.name_of(&record.by),
                logo,
            };
            receipt(&record.sale, &on)
        }
        Printable::Closing(record) => {
            let on = Circumstances {
                profile: &shop.profile,
                act: record.act,
                at: shop.local(record.at),
                staff: shop.name_of(&record.by),
                logo: None,
            };
            let sums = SessionSums {
                opened_at: shop.local(record.sums.opened_at),
                float: record.sums.float,
                received: record.sums.received,
                paid_in: record.sums.paid_in,
                paid_out: record.sums.paid_out,
                taxes: record.sums.taxes.clone(),
            };
            closing_report(&record.closed, &sums, &on)
        }
    };
    if job.copy {
        let note = copy_note(&job.title, shop.local(now.stamp.wall_ms), shop.name_of(asked_by));
        return document.as_copy(note);
    }
    document
}
