//! Drawers: which till has one, and what is said when one did not open.

use pestle_domain::ids::TillId;

use super::{
    counters::Count,
    live::Tone,
    machine::{Branch, Effect},
};
use crate::spool::machine::DrawerEnd;

const NOT_OPENED: &str = "The drawer did not open: open it with its key, and check its cable to the printer.";

impl Branch {
    /// Whether a kick can open a drawer at this till: it hangs on the till's printer.
    pub(super) fn has_drawer(&self, till: &TillId) -> bool {
        self.settings.tills.iter().any(|one| one.id == *till && one.printer.is_some())
    }

    /// The printer says what became of a kick.
    pub(super) fn drawer_ended(&mut self, printer: &str, end: DrawerEnd, out: &mut Vec<Effect>) {
        if end != DrawerEnd::NotOpened {
            return;
        }
        out.push(Effect::Count(Count::DrawerNotOpened));
        let with_it = |till: &&super::settings::TillSettings| till.printer.as_deref() == Some(printer);
        let tills: Vec<TillId> =
            self.settings.tills.iter().filter(with_it).map(|one| one.id.clone()).collect();
        for till in tills {
            self.tell(&till, Tone::Refused, NOT_OPENED, out);
        }
    }
}
