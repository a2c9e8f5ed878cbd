//! Papers before they are printed, or after: what a till's receipts and reports look like. Pure; the caller draws them.

use pestle_domain::{
    document::Document,
    ids::{ActId, TillId},
    staff::Permission,
};

use super::{
    command::{Refused, StationId, Why},
    machine::{Branch, Now},
    papers::DocumentKind,
    printing::document_of,
    records::Printable,
};
use crate::spool::machine::{Job, JobId, State};

/// Which paper a browser asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// At which till.
    pub till: TillId,
    /// From which browser.
    pub station: StationId,
    /// The act whose paper it is: a sale's, a closing's.
    pub act: ActId,
    /// As the copy that would be printed.
    pub copy: bool,
}

/// A paper, and which printer it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paper {
    /// What stands on it.
    pub document: Document,
    /// The till's printer, if it has one.
    pub printer: Option<String>,
}

impl Branch {
    /// A paper of a till that waits to be printed, of its last sale, or of its last closing. Nothing is printed or recorded.
    ///
    /// # Errors
    /// The browser is not the one where somebody is signed in, there is no such paper here, or it is not this person's to see.
    pub fn preview(&self, now: &Now<'_>, preview: &Preview) -> Result<Paper, Refused> {
        let Preview { till, station, act, copy } = preview;
        let live = self.tills.get(till).and_then(|live| live.signed_in.as_ref());
        if live.is_none_or(|person| person.station != *station) {
            let text = "Nobody is signed in at this screen. Sign in first.";
            return Err(Refused::new(Why::Authentication, text));
        }
        let printable = self.printable_of(till, *act).ok_or_else(|| {
            Refused::new(
                Why::NotFound,
                "There is no such paper at this till any more. Look at the list again.",
            )
        })?;
        // What names a patient is for those who serve.
        let right = match printable.kind() {
            DocumentKind::DispensingLabel => Permission::Sell,
            DocumentKind::Receipt | DocumentKind::Report | DocumentKind::ShelfLabel => {
                Permission::AnswerPrints
            }
        };
        self.permitted(till, right)?;
        let shop = self.shop()?;
        let job = Job {
            id: JobId(0),
            document: *act,
            till: till.clone(),
            former_till: None,
            title: printable.title(),
            copy: *copy,
            drawer: false,
            state: State::Queued,
        };
        let document = document_of(
            (&printable, self.private_papers.get(act)),
            &shop,
            now,
            (&job, self.logo_of(till)),
            &self.actor_at(till),
        );
        let printer =
            self.settings.tills.iter().find(|one| one.id == *till).and_then(|one| one.printer.clone());
        Ok(Paper { document, printer })
    }

    fn printable_of(&self, till: &TillId, act: ActId) -> Option<Printable> {
        let waiting = self.printable(&act).filter(|one| self.answers_for(one.till()).0 == *till).cloned();
        waiting.or_else(|| {
            let book = self.books.till(till)?;
            let sale = book.last_sale.clone().map(|sale| Printable::Receipt(Box::new(sale)));
            let closing = book.last_closing.clone().map(|closing| Printable::Closing(Box::new(closing)));
            [sale, closing].into_iter().flatten().find(|printable| printable.act() == act)
        })
    }
}
