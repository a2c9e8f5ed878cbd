//! Papers that an earlier start of the box has left: nobody saw whether they came out, and their printer, or their till, may not
//! be set up any more.
//!
//! | what is gone | where they are asked about |
//! |---|---|
//! | nothing | at their till, in the queue of its printer |
//! | the printer | at their till; they cannot be printed again there |
//! | the till, renamed or taken out | at the first till that is set up, with whose they were; they cannot be printed again |

use pestle_domain::ids::TillId;

use super::{
    machine::{Branch, Effect, Now},
    printing::NO_PRINTER,
};
use crate::spool::machine::Spool;

/// Papers that one queue lets go in a second, where a start found more than it keeps: each is a fact of its own, and sales
/// are recorded between them.
const LET_GO_AT_ONCE_MAX: usize = 20;

impl Branch {
    /// Puts documents whose end no fact tells before a person.
    pub(super) fn recover_prints(&mut self) {
        let open = self.books.prints();
        let open: Vec<_> = open.map(|one| (one.act(), one.till().clone(), one.title(), one.kind())).collect();
        for (act, till, title, kind) in open {
            let (at, former) = self.answers_for(&till);
            if former.is_none()
                && let Some((_, spool)) = self.spool_for(&at, kind)
            {
                spool.recover(act, at, None, title);
                continue;
            }
            let printers = u32::try_from(self.spools.len()).unwrap_or(u32::MAX);
            let nowhere = self.spools.entry(NO_PRINTER.into()).or_insert_with(|| Spool::of(printers));
            nowhere.recover(act, at, former, title);
        }
    }

    /// The till that answers for the papers of this one: itself, or the first where it is not set up any more; then with whose
    /// they were.
    pub(super) fn answers_for(&self, till: &TillId) -> (TillId, Option<TillId>) {
        let tills = || self.settings.tills.iter().map(|one| &one.id);
        match tills().next() {
            Some(first) if !tills().any(|one| one == till) => (first.clone(), Some(till.clone())),
            _ => (till.clone(), None),
        }
    }

    /// A queue never has more than it keeps for long, whatever a start found.
    pub(super) fn let_excess_papers_go(&mut self, now: &mut Now<'_>, out: &mut Vec<Effect>) {
        let printers: Vec<String> = self.spools.keys().cloned().collect();
        for printer in printers {
            let Some(spool) = self.spools.get_mut(&printer) else { continue };
            let effects = spool.let_excess_go(LET_GO_AT_ONCE_MAX);
            self.spool_effects(now, &printer, effects, &pestle_domain::fact::Actor::Machine, out);
        }
    }
}
