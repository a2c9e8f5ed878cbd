//! Which printer a document goes to, and documents that belong to no other act: shelf labels, dispensing labels.
//!
//! A till may have a receipt, a label and a page printer. What has no printer of its own kind goes to the receipt printer.
//! A document that somebody asks for is on the disk before it is printed, as every other is: its fact in the journal, its
//! words beside it. A label with a patient's name is the exception (invariant I11): its words are in memory alone, so that
//! after a restart the box asks whether it came out, and cannot print it again.

use pestle_domain::{
    catalogue::Product,
    document::{
        Document,
        shelf_label::{ShelfCode, ShelfLabel},
    },
    fact::{Actor, Fact, FactBody, PrintRequested},
    ids::{ActId, ProductId, TillId},
    journal::Lane,
    staff::Permission,
    units::Day,
};
use serde::{Deserialize, Serialize};

use super::{
    books::Books,
    command::{Refused, Said, Ticket, Why},
    live::Tone,
    machine::{Branch, Effect, Now},
    records::Printable,
    settings::TillSettings,
    under_way::Purpose,
    view::shown,
};
use crate::spool::machine::Spool;

/// What a document is, as far as its printer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    /// For a customer.
    Receipt,
    /// Of a closed session, or of a day.
    Report,
    /// At a shelf's edge.
    ShelfLabel,
    /// On a medicine, with a patient's name.
    DispensingLabel,
}

/// A document that somebody asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedPaper {
    /// The act that asked for it.
    pub act: ActId,
    /// Where.
    pub till: TillId,
    /// For lists; names nobody.
    pub title: String,
    /// What it says.
    pub words: PaperWords,
}

/// What such a document says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaperWords {
    /// A shelf label.
    ShelfLabel(ShelfLabel),
    /// A dispensing label, whose words are kept in memory alone.
    DispensingLabel,
}

/// What is stored beside the fact of such a document, and never sent. An earlier agent reads of it that there is something to
/// be printed.
#[derive(Debug, Serialize, Deserialize)]
struct PaperIntent {
    print: bool,
    paper: RequestedPaper,
}

/// A dispensing label that is to be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct DispensingPaper {
    /// The act whose label it is.
    pub act: ActId,
    /// Where it is wanted.
    pub till: TillId,
    /// The label.
    pub document: Document,
}

impl std::fmt::Debug for DispensingPaper {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The document names a patient.
        formatter.debug_struct("DispensingPaper").field("act", &self.act).finish_non_exhaustive()
    }
}

impl DocumentKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Receipt => "receipt",
            Self::Report => "report",
            Self::ShelfLabel => "shelf_label",
            Self::DispensingLabel => "dispensing_label",
        }
    }
}

impl TillSettings {
    /// The printer of a kind of document, if the till has one that prints it.
    pub fn printer_for(&self, kind: DocumentKind) -> Option<&str> {
        let own = match kind {
            DocumentKind::Receipt => None,
            DocumentKind::Report => self.page_printer.as_deref(),
            DocumentKind::ShelfLabel | DocumentKind::DispensingLabel => self.label_printer.as_deref(),
        };
        own.or(self.printer.as_deref())
    }

    /// All its printers.
    pub fn printers(&self) -> impl Iterator<Item = &str> {
        [&self.printer, &self.label_printer, &self.page_printer].into_iter().filter_map(Option::as_deref)
    }
}

impl RequestedPaper {
    /// What it is.
    pub fn kind(&self) -> DocumentKind {
        match self.words {
            PaperWords::ShelfLabel(_) => DocumentKind::ShelfLabel,
            PaperWords::DispensingLabel => DocumentKind::DispensingLabel,
        }
    }

    fn attachment(&self) -> Vec<u8> {
        // Texts and ids alone: there is nothing that JSON could refuse.
        serde_json::to_vec(&PaperIntent { print: true, paper: self.clone() }).unwrap_or_default()
    }
}

impl Books {
    /// A document was asked for: it is to be printed, until a fact tells of its end.
    pub(super) fn apply_request(&mut self, fact: &Fact, requested: &PrintRequested, attachment: &[u8]) {
        match serde_json::from_slice::<PaperIntent>(attachment) {
            Ok(intent) => self.await_print(Printable::Requested(Box::new(intent.paper))),
            // Its words do not travel with it: where they are not beside it, there is nothing to print.
            Err(_) if attachment.is_empty() => {}
            Err(error) => {
                tracing::warn!(act = %fact.act, title = %requested.title, %error, "what was to be printed cannot be read");
            }
        }
    }
}

impl Branch {
    /// The printer and queue of a kind of document at a till, if it has one.
    pub(super) fn spool_for(&mut self, till: &TillId, kind: DocumentKind) -> Option<(String, &mut Spool)> {
        let settings = self.settings.tills.iter().find(|one| one.id == *till)?;
        let printer = settings.printer_for(kind)?.to_owned();
        let spool = self.spools.get_mut(&printer)?;
        Some((printer, spool))
    }

    /// Whether a till has a printer for a kind of document.
    pub(super) fn prints_here(&self, till: &TillId, kind: DocumentKind) -> bool {
        self.settings.tills.iter().any(|one| one.id == *till && one.printer_for(kind).is_some())
    }

    /// A person wants the label of an article for its shelf.
    pub(super) fn print_shelf_label(
        &mut self,
        now: &mut Now<'_>,
        ticket: Ticket,
        till: &TillId,
        act: ActId,
        product: &ProductId,
        out: &mut Vec<Effect>,
    ) -> Result<Option<Said>, Refused> {
        let actor = self.permitted(till, Permission::Sell)?.actor();
        let shop = self.shop()?;
        let Some(product) = shop.catalogue.get(product) else {
            let text = "The catalogue has no such article any more. Look it up again.";
            return Err(Refused::new(Why::NotFound, text));
        };
        let label = label_of(product, self.today(now));
        let title = format!("Shelf label of {}", product.name);
        let paper = RequestedPaper { act, till: till.clone(), title, words: PaperWords::ShelfLabel(label) };
        self.request_paper(now, Some(ticket), paper, &actor, out)
    }

    /// Something else of the box wants a dispensing label.
    pub(super) fn print_dispensing_label(
        &mut self,
        now: &mut Now<'_>,
        wanted: DispensingPaper,
        out: &mut Vec<Effect>,
    ) {
        let DispensingPaper { act, till, document } = wanted;
        let title = "Dispensing label".to_owned();
        let paper = RequestedPaper { act, till: till.clone(), title, words: PaperWords::DispensingLabel };
        let actor = self.actor_at(&till);
        self.private_papers.insert(act, document);
        match self.request_paper(now, None, paper, &actor, out) {
            Ok(_) => {}
            Err(refused) => {
                self.private_papers.remove(&act);
                self.tell(&till, Tone::Refused, refused.message, out);
            }
        }
    }

    /// Records that a document was asked for; it is queued once that is on the disk.
    fn request_paper(
        &mut self,
        now: &mut Now<'_>,
        ticket: Option<Ticket>,
        paper: RequestedPaper,
        actor: &Actor,
        out: &mut Vec<Effect>,
    ) -> Result<Option<Said>, Refused> {
        let RequestedPaper { act, till, title, .. } = &paper;
        let on_its_way = self.under_way.values().any(|one| one.facts.iter().any(|fact| fact.act == *act));
        if on_its_way || self.printable(act).is_some() {
            return Ok(Some(Said::words(format!("{title} is waiting for the printer."))));
        }
        if !self.prints_here(till, paper.kind()) {
            return Err(Refused::new(Why::Conflict, "This till has no printer that prints labels."));
        }
        self.has_room()?;
        let document = paper.kind().as_str().into();
        let body = PrintRequested { till: till.clone(), document, title: title.as_str().into() }.into();
        let purpose = Purpose::Paper { ticket, till: till.clone() };
        let attachment = paper.attachment();
        self.append(now, *act, Lane::Ledger, actor, vec![body], attachment, purpose, out);
        Ok(None)
    }

    /// A document that was asked for is on the disk, or is known not to be.
    pub(super) fn paper_recorded(
        &mut self,
        now: &mut Now<'_>,
        (ticket, till): (Option<Ticket>, &TillId),
        facts: &[Fact],
        result: Result<(), String>,
        out: &mut Vec<Effect>,
    ) {
        let Some((act, title)) = facts.iter().find_map(|fact| match &fact.body {
            FactBody::PrintRequested(requested) => Some((fact.act, requested.title.clone())),
            _ => None,
        }) else {
            return;
        };
        let answer = match result {
            Ok(()) => {
                let words = format!("{title} is being printed.");
                self.tell(till, Tone::Info, words.clone(), out);
                self.print_of(now, till, act, facts, out);
                Ok(Said::words(words))
            }
            Err(why) => {
                self.private_papers.remove(&act);
                let words = format!("{title} is not printed: {why}.");
                self.tell(till, Tone::Refused, words.clone(), out);
                Err(Refused::new(Why::Unavailable, words))
            }
        };
        if let Some(ticket) = ticket {
            out.push(Effect::Answer(ticket, answer));
        }
    }

    /// Whether the box still has what a document says, so that it can be printed again.
    pub(super) fn has_words_of(&self, document: ActId) -> bool {
        match self.printable(&document) {
            Some(Printable::Requested(paper)) if paper.words == PaperWords::DispensingLabel => {
                self.private_papers.contains_key(&document)
            }
            _ => true,
        }
    }
}

fn label_of(product: &Product, today: Day) -> ShelfLabel {
    let code = match product.gtins.first().map(|gtin| (gtin.short(), gtin.as_str())) {
        None => ShelfCode::None,
        Some((short, _)) if short.len() == 13 => ShelfCode::Ean13(short.to_owned()),
        Some((short, _)) if short.len() == 8 => ShelfCode::Ean8(short.to_owned()),
        // A UPC-A is an EAN-13 with a zero before it.
        Some((short, _)) if short.len() == 12 => ShelfCode::Ean13(format!("0{short}")),
        Some((_, whole)) => ShelfCode::DataMatrix(format!("01{whole}")),
    };
    ShelfLabel {
        name: product.name.to_string(),
        pack: String::new(),
        price: shown(&product.price),
        unit_price: None,
        code,
        note: format!("Price of {today}"),
    }
}
