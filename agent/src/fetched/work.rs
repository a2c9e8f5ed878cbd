//! What is to be asked of the centre next, and what an answer means. Pure.

use std::collections::{BTreeMap, BTreeSet};

use pestle_domain::{
    fact::BoxBooksIncomplete,
    ids::StoreId,
    journal::{Head, Lane, Parent},
    wire::facts::Asked,
};

use super::Lacks;
use crate::journal::EpochState;

/// Lives of the box's store that have ended, as the ones behind them name them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended(BTreeMap<u32, (Head, StoreId)>);

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
        self.0.insert(parent.epoch, (parent.head, parent.store));
    }

    /// The store of a life, as far as it is known.
    pub fn store(&self, epoch: u32) -> Option<StoreId> {
        self.0.get(&epoch).map(|(_, store)| *store)
    }

    /// The chain's value where a life ended.
    pub fn hash_at(&self, epoch: u32, seq: u64) -> Option<pestle_domain::signature::Hash> {
        let (head, _) = self.0.get(&epoch)?;
        (head.seq == seq).then_some(head.hash)
    }

    /// For each: whether the centre has facts behind its end, which the box has lost. A life that came to nothing lost nothing
    /// that another could name.
    pub fn tails(&self) -> Vec<Asked> {
        let asked = |(epoch, (head, store)): (&u32, &(Head, StoreId))| Asked {
            lane: Lane::Ledger,
            epoch: *epoch,
            store: Some(*store),
            from: head.seq + 1,
            to: None,
        };
        self.0.iter().map(asked).collect()
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

/// A life that is older than all that the journal has, of which the first fact of the next one tells: all of it is missing.
pub fn older(parent: &Parent, epochs: &[EpochState]) -> Option<BoxBooksIncomplete> {
    let known = epochs.iter().any(|epoch| epoch.stream.epoch == parent.epoch);
    (!known && parent.head.seq > 0).then_some(BoxBooksIncomplete {
        epoch: parent.epoch,
        from: 1,
        to: parent.head.seq,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pestle_domain::signature::Hash;

    #[test]
    fn what_is_missing_is_asked_for_and_behind_each_end_it_is_asked_whether_there_is_more() {
        let mut ended = Ended::default();
        let (head, store) = (Head { seq: 9, hash: Hash([1; 32]) }, StoreId(uuid::Uuid::from_u128(3)));
        ended.note(&Parent { epoch: 1, head, store });
        let asked = Asked { lane: Lane::Ledger, epoch: 1, store: Some(store), from: 10, to: None };
        assert_eq!(ended.tails(), [asked]);
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
    }
}
