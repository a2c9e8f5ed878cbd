//! Books that lack facts: a person sees it, and what is fetched back from the centre is taken in.

use pestle_domain::{
    fact::{Actor, BoxBooksIncomplete, BoxFactsFetched},
    ids::ActId,
    journal::Lane,
};

use super::{
    earlier::{EarlierAct, without},
    live::Tone,
    machine::{Branch, Effect, Now},
    records::PrintIntent,
    sell::said_of,
    under_way::Purpose,
    view::{DeviceState, DeviceView},
};
use crate::fetched::Lacks;

/// Under which name they stand among the devices.
const NAME: &str = "books";

impl Branch {
    /// What the books lack, and what they have back.
    pub fn lacks(&self) -> Lacks {
        Lacks { missing: self.missing().to_vec(), fetched: self.fetched().to_vec() }
    }

    /// Facts that the books lack.
    pub fn missing(&self) -> &[BoxBooksIncomplete] {
        self.books.missing()
    }

    /// Facts that were fetched back.
    pub fn fetched(&self) -> &[BoxBooksIncomplete] {
        self.books.fetched()
    }

    /// Books that lack facts stand among what needs a person, until they have them.
    pub(super) fn show_missing(&mut self, out: &mut Vec<Effect>) {
        let ranges = self.books.missing().iter();
        let ranges: Vec<_> =
            ranges.map(|range| format!("{} to {} of epoch {}", range.from, range.to, range.epoch)).collect();
        if ranges.is_empty() {
            if self.devices.remove(NAME).is_some() {
                out.push(Effect::ShowAll);
            }
            return;
        }
        let detail = format!(
            "this box's own books lack facts {}: stock and known receipts may be wrong. Nothing is lost, the centre has \
             them: they are fetched as soon as it is reached. If this stays, call support",
            ranges.join(", ")
        );
        let (name, class) = (NAME.to_owned(), NAME.to_owned());
        let view =
            DeviceView { name: name.clone(), class, state: DeviceState::Trouble, detail: Some(detail) };
        self.devices.insert(name, view);
        out.push(Effect::ShowAll);
    }

    /// Something is missing that nobody has named: that is a fact, and the centre hears of it.
    pub(super) fn found_missing(
        &mut self,
        now: &mut Now<'_>,
        range: &BoxBooksIncomplete,
        out: &mut Vec<Effect>,
    ) {
        let named = self.under_way.values().filter_map(|one| match &one.purpose {
            Purpose::Missing(range) => Some(range),
            _ => None,
        });
        for range in named.fold(self.books.not_known(range), without) {
            let (act, intent) = (ActId((now.draw)()), PrintIntent { print: false });
            let (bodies, purpose) = (vec![range.clone().into()], Purpose::Missing(range));
            self.append(now, act, Lane::Ledger, &Actor::Machine, bodies, intent, purpose, out);
        }
    }

    /// Facts were fetched that are missing: once the act is on the disk that says so, they are in the books, now and at each
    /// later start. What they alone tell to be missing as well is named by the same act: nobody asks for them again.
    pub(super) fn fetched_facts(
        &mut self,
        now: &mut Now<'_>,
        fetched: BoxFactsFetched,
        acts: Vec<EarlierAct>,
        older: Option<BoxBooksIncomplete>,
        out: &mut Vec<Effect>,
    ) {
        let same = |purpose: &Purpose| matches!(purpose, Purpose::Fetched(one, _) if *one == fetched);
        let under_way = self.under_way.values().any(|one| same(&one.purpose));
        if under_way || !self.books.lacks(fetched.epoch, fetched.from, fetched.to) {
            return;
        }
        let (act, intent) = (ActId((now.draw)()), PrintIntent { print: false });
        let bodies = self.books.fetching(&fetched, older.as_ref());
        let purpose = Purpose::Fetched(fetched, acts);
        self.append(now, act, Lane::Ledger, &Actor::Machine, bodies, intent, purpose, out);
    }

    /// Takes them in, and puts baskets aside that turn out to be paid.
    pub(super) fn take_in(&mut self, fetched: &BoxFactsFetched, acts: &[EarlierAct], out: &mut Vec<Effect>) {
        self.books.take_in(fetched, acts);
        self.recalls_changed();
        let paid: Vec<_> = self
            .tills
            .iter()
            .filter_map(|(till, live)| Some((till.clone(), self.books.done(live.basket.as_ref()?.act)?)))
            .collect();
        for (till, done) in paid {
            if let Some(live) = self.tills.get_mut(&till).filter(|live| live.busy.is_none()) {
                live.basket = None;
                live.question = None;
                live.say(
                    Tone::Info,
                    format!("{} This box had lost it, and has it back.", said_of(&done).message),
                );
                out.push(Effect::Keep(till));
            }
        }
        self.show_missing(out);
        out.push(Effect::ShowAll);
    }
}
