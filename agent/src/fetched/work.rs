//! What is to be asked of the centre next, and what an answer means. Pure.

use std::collections::{BTreeMap, BTreeSet};

use pestle_domain::{
    fact::BoxBooksIncomplete,
    ids::StoreId,
    journal::{Head, Lane, Parent},
    wire::facts::Asked,
};

use super::Lacks;
use crate::journal::{EpochState, Place, aside::SetAside};

/// Lives of the box's store that have ended, as the ones behind them name them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    named: BTreeMap<u32, (Head, StoreId)>,
    aside: BTreeMap<u32, SetAside>,
}

impl Ended {
    /// As the journal knows them.
    pub fn of(epochs: &[EpochState]) -> Self {
        let mut ended = Self::default();
        for parent in epochs.iter().filter_map(|epoch| epoch.parent.as_ref()) {
            ended.note(parent);
        }
        ended
    }

    /// Notes one.
    pub fn note(&mut self, parent: &Parent) {
        self.named.insert(parent.epoch, (parent.head, parent.store));
    }

    /// Those that were set aside: of an epoch that two stores wrote, the centre may have the other one's facts.
    pub fn learn(&mut self, aside: Vec<SetAside>) {
        for one in aside {
            if let Some(parent) = &one.parent {
                self.named.entry(parent.epoch).or_insert((parent.head, parent.store));
            }
            self.aside.insert(one.epoch, one);
        }
    }

    /// The store of a life, as far as it is known.
    pub fn store(&self, epoch: u32) -> Option<StoreId> {
        let named = self.named.get(&epoch).map(|(_, store)| *store);
        named.or_else(|| self.aside.get(&epoch).map(|one| one.store))
    }

    /// The chain's value where a life ended, and where one that was set aside had it written down.
    pub fn hash_at(&self, epoch: u32, seq: u64) -> Option<pestle_domain::signature::Hash> {
        let named = self.named.get(&epoch).map(|(head, _)| head);
        let aside = self.aside.get(&epoch).into_iter().flat_map(|one| &one.heads);
        named.into_iter().chain(aside).find(|head| head.seq == seq).map(|head| head.hash)
    }

    /// For each: whether the centre has facts behind its end, which the box has lost. A life that came to nothing lost nothing
    /// that another could name.
    pub fn tails(&self, lane: Lane) -> Vec<Asked> {
        let asked = |(epoch, (head, store)): (&u32, &(Head, StoreId))| Asked {
            lane,
            epoch: *epoch,
            store: Some(*store),
            from: head.seq + 1,
            to: None,
        };
        self.named.iter().map(asked).collect()
    }
}

/// The next page that the books lack, but for those that are `left` alone (epoch and first fact).
pub fn next_page(lacks: &Lacks, ended: &Ended, left: &BTreeSet<(u32, u64)>) -> Option<Asked> {
    let range = lacks.missing.iter().find(|range| !left.contains(&(range.epoch, range.from)))?;
    Some(Asked {
        lane: Lane::Ledger,
        epoch: range.epoch,
        store: ended.store(range.epoch),
        from: range.from,
        to: Some(range.to),
    })
}

/// What the centre has behind the end of a life: missing here, unless it was fetched back before. `None` for nothing.
pub fn tail(asked: &Asked, last: u64) -> Option<BoxBooksIncomplete> {
    (asked.from <= last).then_some(BoxBooksIncomplete { epoch: asked.epoch, from: asked.from, to: last })
}

/// Kept pages that the books do not need any more, but for a power cut: until two checkpoints have what they took in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    pages: Vec<BoxBooksIncomplete>,
    /// All of them were taken in before this place.
    before: Option<Place>,
}

impl Done {
    /// Looks at the pages that lie there, with the ledger's `head` as it was after the books lacked `lacks`. When one was taken in
    /// nobody has noted, since a slow disk may record it after whoever asked has stopped waiting: before `head`, where it was not
    /// among these the last time.
    pub fn look(&mut self, pages: &[BoxBooksIncomplete], lacks: &Lacks, head: Place) {
        let touches = |one: &BoxBooksIncomplete, page: &BoxBooksIncomplete| {
            one.epoch == page.epoch && one.from <= page.to && page.from <= one.to
        };
        let needed = |page: &BoxBooksIncomplete| lacks.missing.iter().any(|one| touches(one, page));
        let now: Vec<_> = pages.iter().filter(|page| !needed(page)).cloned().collect();
        if now.iter().any(|page| !self.pages.contains(page)) {
            self.before = self.before.max(Some(head));
        }
        self.pages = now;
    }

    /// Those that can go, where two checkpoints have the ledger up to `safe`.
    pub fn in_checkpoints(&self, safe: Place) -> &[BoxBooksIncomplete] {
        if self.waits_for(safe) { &[] } else { &self.pages }
    }

    /// Whether any is left for which a checkpoint is to be written.
    pub fn waits_for(&self, safe: Place) -> bool {
        !self.pages.is_empty() && self.before.is_some_and(|before| safe < before)
    }
}

/// A life that is older than all that the journal has, also once more, of which the first fact of the next one tells: all of it is
/// missing.
pub fn older(parent: &Parent, epochs: &[EpochState]) -> Option<BoxBooksIncomplete> {
    let has = |epoch: &EpochState| {
        epoch.stream.epoch == parent.epoch
            || epoch.carried.iter().any(|carried| carried.epoch == parent.epoch)
    };
    let known = epochs.iter().any(has);
    (!known && parent.head.seq > 0).then_some(BoxBooksIncomplete {
        epoch: parent.epoch,
        from: 1,
        to: parent.head.seq,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::testing;
    use pestle_domain::{
        journal::{Carried, Stream},
        signature::Hash,
    };

    #[test]
    fn what_was_set_aside_is_asked_for_by_its_store_and_its_chain_is_compared() {
        let store = |number| StoreId(uuid::Uuid::from_u128(number));
        let head = |seq, byte| Head { seq, hash: Hash([byte; 32]) };
        let parent = |epoch, store, head| Parent { epoch, head, store };
        // Epochs 2 and 3 were recorded once more in epoch 7; epoch 1 had left the box before.
        let mut ended = Ended::default();
        ended.note(&parent(3, store(3), head(30, 3)));
        let aside = |epoch, parent, heads| SetAside { epoch, store: store(epoch.into()), parent, heads };
        ended.learn(vec![
            aside(2, Some(parent(1, store(1), head(10, 1))), vec![head(5, 2)]),
            aside(3, Some(parent(2, store(2), head(20, 2))), vec![head(6, 3)]),
        ]);
        let lacks =
            |epoch| Lacks { missing: vec![BoxBooksIncomplete { epoch, from: 1, to: 5 }], fetched: vec![] };
        for epoch in 1..=3 {
            let asked = next_page(&lacks(epoch), &ended, &BTreeSet::new()).unwrap();
            assert_eq!(asked.store, Some(store(epoch.into())), "{epoch}");
        }
        let values =
            [(1, 10), (2, 5), (2, 20), (3, 6), (3, 30), (3, 5)].map(|(epoch, seq)| ended.hash_at(epoch, seq));
        assert_eq!(values, [1, 2, 2, 3, 3, 0].map(|byte| (byte > 0).then_some(Hash([byte; 32]))));
        let asked: Vec<_> = ended.tails(Lane::Ledger).iter().map(|asked| (asked.epoch, asked.from)).collect();
        assert_eq!(asked, [(1, 11), (2, 21), (3, 31)]);
    }

    #[test]
    fn what_is_missing_is_asked_for_and_behind_each_end_it_is_asked_whether_there_is_more() {
        let mut ended = Ended::default();
        let (head, store) = (Head { seq: 9, hash: Hash([1; 32]) }, StoreId(uuid::Uuid::from_u128(3)));
        ended.note(&Parent { epoch: 1, head, store });
        let asked = Asked { lane: Lane::Ledger, epoch: 1, store: Some(store), from: 10, to: None };
        assert_eq!(ended.tails(Lane::Ledger), [asked]);
        assert_eq!((ended.hash_at(1, 9), ended.hash_at(1, 8)), (Some(head.hash), None));
        assert_eq!(tail(&asked, 9), None);
        let lost = BoxBooksIncomplete { epoch: 1, from: 10, to: 12 };
        assert_eq!(tail(&asked, 12), Some(lost.clone()));

        let lacks = Lacks { missing: vec![lost], fetched: Vec::new() };
        let none = BTreeSet::new();
        assert_eq!(next_page(&lacks, &ended, &none), Some(Asked { to: Some(12), ..asked }));
        assert_eq!(next_page(&lacks, &ended, &BTreeSet::from([(1, 10)])), None);
        assert_eq!(next_page(&Lacks::default(), &ended, &none), None);
        let parent = Parent { epoch: 1, head, store };
        assert_eq!(older(&parent, &[]), Some(BoxBooksIncomplete { epoch: 1, from: 1, to: 9 }));
        // What stands in another epoch once more is not missing.
        let carried = |epoch| EpochState {
            stream: Stream { epoch: 7, ..testing::stream() },
            store,
            head,
            acknowledged: Head::EMPTY,
            first_kept: 1,
            parent: None,
            carried: vec![Carried { epoch, first: 4, last: 9 }],
            witness: None,
        };
        assert_eq!(older(&parent, &[carried(1)]), None);
        assert!(older(&parent, &[carried(2)]).is_some());
    }

    #[test]
    fn a_page_goes_only_once_two_checkpoints_have_it_however_late_it_was_recorded() {
        let range = |from, to| BoxBooksIncomplete { epoch: 1, from, to };
        let at = |seq| Place { epoch: 2, seq };
        let lacks = |missing: &[BoxBooksIncomplete]| Lacks { missing: missing.to_vec(), fetched: Vec::new() };
        let (one, two) = (range(1, 10), range(11, 20));
        let pages = [one.clone(), two.clone()];
        let mut done = Done::default();
        // The first is in the books since 50; the second waits for a slow disk, and whoever fetched it has given up.
        done.look(&pages, &lacks(&[range(11, 30)]), at(50));
        assert_eq!((done.in_checkpoints(at(49)), done.waits_for(at(49))), (&[][..], true));
        assert_eq!((done.in_checkpoints(at(50)), done.waits_for(at(50))), (&[one][..], false));
        // It was recorded somewhere before 90, and the checkpoints that are there may not have it.
        done.look(&pages, &lacks(&[range(21, 30)]), at(90));
        assert_eq!(done.in_checkpoints(at(60)), []);
        // Nothing new since: the place stays where it was.
        done.look(&pages, &lacks(&[range(21, 30)]), at(200));
        assert_eq!((done.in_checkpoints(at(89)).len(), done.in_checkpoints(at(90)).len()), (0, 2));
        done.look(&[], &lacks(&[]), at(300));
        assert!(!done.waits_for(Place::START));
    }
}
