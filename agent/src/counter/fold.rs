//! The books at a start: the newest checkpoint that belongs to the journal, and what was recorded behind it; without one,
//! all of the journal; with them what was fetched back from the centre. What is missing is named.

use std::path::{Path, PathBuf};

use pestle_domain::{
    fact::{BoxBooksIncomplete, BoxFactsFetched, Fact, FactBody},
    ids::StoreId,
    journal::Head,
};
use uuid::Uuid;

use super::{books::Books, checkpoint::Where, checkpoints::Checkpoints, earlier::EarlierAct};
use crate::{
    durable_file::FileError,
    journal::{EpochState, Journal, JournalError, Place},
};

/// The books' file before there were checkpoints. It is not read: it knows neither orders nor which acts opened the stock,
/// and the agents that wrote it let no fact of the ledger go, so that the journal has all of them.
const OLD_FILE: &str = "books.json";

/// Why the books cannot be folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The journal cannot be read.
    #[error("the journal cannot be read to rebuild the books")]
    Journal(#[from] JournalError),
    /// The folder cannot be made.
    #[error("the counter's folder cannot be made")]
    Folder(#[from] FileError),
}

/// Facts that were fetched back from the centre and are kept here, for as long as no two checkpoints have them.
pub trait EarlierFacts {
    /// The acts that a fact says were taken in there; `None` where they are not here (any more).
    fn kept(&self, fetched: &BoxFactsFetched) -> Option<Vec<EarlierAct>>;
}

/// Nothing was ever fetched.
#[derive(Debug, Clone, Copy)]
pub struct Nowhere;

impl EarlierFacts for Nowhere {
    fn kept(&self, _fetched: &BoxFactsFetched) -> Option<Vec<EarlierAct>> {
        None
    }
}

/// The books at a start.
#[derive(Debug)]
pub struct Folded {
    /// As far as they can be had.
    pub books: Books,
    /// The last fact in them.
    pub at: Where,
    /// Up to where a checkpoint had them.
    pub kept: Place,
    /// What is missing in them, and no fact names yet: it is to be recorded.
    pub missing: Vec<BoxBooksIncomplete>,
}

/// The books as of the journal's end. Blocks on the disk.
///
/// # Errors
/// [`FoldError::Journal`] when the disk refuses. Facts that are damaged are left out, and stand in the journal's findings.
pub(super) fn fold(
    checkpoints: &Checkpoints,
    journal: &Journal,
    earlier: &dyn EarlierFacts,
) -> Result<Folded, FoldError> {
    let kept = checkpoints.newest(|at| belongs_to(journal, at));
    let (mut books, mut at) = kept.unwrap_or_else(|| {
        let start = Where { store: StoreId(Uuid::nil()), place: Place::START, head: Head::EMPTY };
        (Books::default(), start)
    });
    let kept = at.place;
    books.stand_at(at.place);
    let mut read = Read::behind(at.place);
    let mut doubts = 0usize;
    at.place = journal.for_each(at.place, |first, act| -> Result<(), JournalError> {
        at.head = act.after;
        let last = Place { epoch: first.epoch, seq: act.after.seq };
        read.reach(first, last);
        books.stand_at(last);
        let facts = facts_of(act.lines()).filter(|fact| !read.has_what_was_missing(fact)).collect::<Vec<_>>();
        doubts += books.apply(&facts, act.attachment()).len();
        for fact in &facts {
            take_in(&mut books, earlier, fact);
        }
        Ok(())
    })?;
    if doubts > 0 {
        tracing::warn!(doubts, "the stock book had entries that cannot be right; see the counts wanted");
    }
    let epochs = journal.epochs();
    if let Some(epoch) = epochs.iter().find(|epoch| epoch.stream.epoch == at.place.epoch) {
        at.store = epoch.store;
    }
    let missing = missing_behind(&epochs, kept).into_iter().chain(read.holes(&epochs));
    // Whether it can be recorded or not: no checkpoint may be taken for whole.
    missing.for_each(|range| books.note_missing(&range));
    let missing = books.unnamed.clone();
    Ok(Folded { books, at, kept, missing })
}

/// What a start has read of the journal: runs of facts behind each other.
#[derive(Debug)]
struct Read {
    from: Place,
    runs: Vec<(Place, u64)>,
}

impl Read {
    fn behind(from: Place) -> Self {
        Self { from, runs: Vec::new() }
    }

    fn reach(&mut self, first: Place, last: Place) {
        match self.runs.last_mut() {
            Some((begun, end)) if begun.epoch == first.epoch && *end + 1 == first.seq => *end = last.seq,
            _ => self.runs.push((first, last.seq)),
        }
    }

    /// Whether a fact says that something is missing which was read all the same: the disk gave it this time.
    fn has_what_was_missing(&self, fact: &Fact) -> bool {
        let FactBody::BoxBooksIncomplete(range) = &fact.body else { return false };
        let has = |(first, last): &(Place, u64)| {
            first.epoch == range.epoch && first.seq <= range.from && range.to <= *last
        };
        self.runs.iter().any(has)
    }

    /// Facts that should be in the journal, behind what a checkpoint had, and could not be read.
    fn holes(&self, epochs: &[EpochState]) -> Vec<BoxBooksIncomplete> {
        let mut holes = Vec::new();
        for epoch in epochs.iter().filter(|epoch| epoch.stream.epoch >= self.from.epoch) {
            let number = epoch.stream.epoch;
            let known = if number == self.from.epoch { self.from.seq } else { 0 };
            let mut next = epoch.first_kept.max(known + 1);
            let runs = self.runs.iter().filter(|(first, _)| first.epoch == number);
            let ends =
                runs.map(|(first, last)| (first.seq, *last)).chain([(epoch.head.seq + 1, epoch.head.seq)]);
            for (first, last) in ends {
                if next < first {
                    holes.push(BoxBooksIncomplete { epoch: number, from: next, to: first - 1 });
                }
                next = next.max(last + 1);
            }
        }
        holes
    }
}

/// Takes in what a fact says was fetched. What is not here any more stays missing, and is fetched again.
fn take_in(books: &mut Books, earlier: &dyn EarlierFacts, fact: &Fact) {
    let FactBody::BoxFactsFetched(fetched) = &fact.body else { return };
    if !books.lacks(fetched.epoch, fetched.from, fetched.to) {
        return;
    }
    match earlier.kept(fetched) {
        Some(acts) => books.take_in(fetched, &acts),
        None => tracing::warn!(?fetched, "facts that were fetched from the centre are not here any more"),
    }
}

/// Whether books that were folded up to `at` are books of this journal: it has that very head there, or the facts up to
/// there are just those that have left the box.
fn belongs_to(journal: &Journal, at: &Where) -> bool {
    let epochs = journal.epochs();
    if let Some(epoch) = epochs.iter().find(|epoch| epoch.stream.epoch == at.place.epoch) {
        let known = match journal.hash_at(at.place.epoch, at.place.seq) {
            Ok(known) => known,
            Err(error) => {
                tracing::warn!(%error, "the journal cannot be read where the books were kept");
                None
            }
        };
        return epoch.store == at.store && known == Some(at.head.hash) && at.head.seq == at.place.seq;
    }
    // One that holds what was before it once more would be folded on top of it.
    let next = epochs.iter().find(|epoch| epoch.stream.epoch > at.place.epoch);
    next.filter(|next| next.carried.is_empty()).and_then(|next| next.parent.as_ref()).is_some_and(|parent| {
        (parent.epoch, parent.store, parent.head) == (at.place.epoch, at.store, at.head)
    })
}

/// Facts behind `place` that were in this journal once and are not in it any more. What is damaged is none of these.
fn missing_behind(epochs: &[EpochState], place: Place) -> Vec<BoxBooksIncomplete> {
    let mut missing = Vec::new();
    let mut known = place;
    let mut range = |epoch: u32, from: u64, to: u64| {
        if from <= to {
            missing.push(BoxBooksIncomplete { epoch, from, to });
        }
    };
    for epoch in epochs.iter().filter(|epoch| epoch.stream.epoch >= place.epoch) {
        let number = epoch.stream.epoch;
        if number > known.epoch {
            // What stands in this epoch once more is not missing; what had left the box before that is.
            let mut held = Place::START;
            for carried in epoch.carried.iter().filter(|carried| carried.epoch > known.epoch) {
                // One life has a range for each piece of it that could be read.
                let behind = if held.epoch == carried.epoch { held.seq } else { 0 };
                range(carried.epoch, behind + 1, carried.first.saturating_sub(1));
                held = Place { epoch: carried.epoch, seq: carried.last };
            }
            if epoch.carried.is_empty()
                && let Some(parent) = epoch.parent.as_ref().filter(|parent| parent.epoch > known.epoch)
            {
                range(parent.epoch, 1, parent.head.seq);
            }
            known = Place { epoch: number, seq: 0 };
        }
        range(number, known.seq + 1, epoch.first_kept.saturating_sub(1));
    }
    missing
}

/// Where an agent before the checkpoints kept the books.
pub(super) fn old_path(folder: &Path) -> PathBuf {
    folder.join(OLD_FILE)
}

/// Facts of a stored act. A kind that this version does not know changes no books of this version; a line that cannot
/// be read is told, since the chain vouches that it was written so.
fn facts_of<'a>(lines: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = Fact> {
    lines.filter_map(|line| match Fact::from_line(line) {
        Ok(fact) => fact,
        Err(error) => {
            tracing::error!(%error, "a recorded fact cannot be read and is not in the books");
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use pestle_domain::journal::{Carried, Lane, Parent, Stream};

    use super::*;

    #[test]
    fn what_could_not_be_recorded_once_more_is_missing_and_what_was_is_not() {
        let head = |seq| Head { seq, hash: Head::EMPTY.hash };
        let carried = |epoch, first, last| Carried { epoch, first, last };
        let epoch = EpochState {
            stream: Stream {
                tenant: "acme".parse().unwrap(),
                branch: "north".parse().unwrap(),
                term: 1,
                device: "box-1".parse().unwrap(),
                lane: Lane::Ledger,
                epoch: 7,
            },
            store: StoreId(Uuid::nil()),
            head: head(40),
            acknowledged: Head::EMPTY,
            first_kept: 1,
            parent: Some(Parent { epoch: 2, head: head(20), store: StoreId(Uuid::nil()) }),
            // Facts 1 to 3 had left the box; 8 and 9 could not be read, nor the last two of epoch 2.
            carried: vec![carried(1, 4, 7), carried(1, 10, 12), carried(2, 1, 18), carried(2, 21, 20)],
            witness: None,
        };
        let range = |epoch, from, to| BoxBooksIncomplete { epoch, from, to };
        let expected = [range(1, 1, 3), range(1, 8, 9), range(2, 19, 20)];
        assert_eq!(missing_behind(&[epoch], Place::START), expected);
    }
}
