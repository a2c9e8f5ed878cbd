//! The books at a start: the newest checkpoint that belongs to the journal, and what was recorded behind it; without one,
//! all of the journal. What can be had nowhere is named.

use std::path::{Path, PathBuf};

use pestle_domain::{
    fact::{BoxBooksIncomplete, Fact},
    ids::StoreId,
    journal::Head,
};
use uuid::Uuid;

use super::{books::Books, checkpoint::Where, checkpoints::Checkpoints};
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

/// Where facts may be had that have left the box: the centre has them all.
pub trait EarlierFacts {
    /// Shows the acts of `range` to `book`, in order, each as its facts and its attachment, and says whether that was done. It
    /// shows all of them or none.
    fn fetch(&self, range: &BoxBooksIncomplete, book: &mut dyn FnMut(&[Fact], &[u8])) -> bool;
}

/// Nothing can be fetched.
#[derive(Debug, Clone, Copy)]
pub struct Nowhere;

impl EarlierFacts for Nowhere {
    fn fetch(&self, _range: &BoxBooksIncomplete, _book: &mut dyn FnMut(&[Fact], &[u8])) -> bool {
        false
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
    /// What is missing in them, and no fact tells it yet.
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
    let mut doubts = 0usize;
    let mut missing = missing_behind(&journal.epochs(), at.place);
    missing.retain(|range| {
        !earlier.fetch(range, &mut |facts, attachment| doubts += books.apply(facts, attachment).len())
    });
    at.place = journal.for_each(at.place, |_first, act| -> Result<(), JournalError> {
        at.head = act.after;
        doubts += books.apply(&facts_of(act.lines()), act.attachment()).len();
        Ok(())
    })?;
    if doubts > 0 {
        tracing::warn!(doubts, "the stock book had entries that cannot be right; see the counts wanted");
    }
    if let Some(epoch) = journal.epochs().into_iter().find(|epoch| epoch.stream.epoch == at.place.epoch) {
        at.store = epoch.store;
    }
    missing.retain(|range| !books.missing().contains(range));
    Ok(Folded { books, at, kept, missing })
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
            for carried in epoch.carried.iter().filter(|carried| carried.epoch > known.epoch) {
                range(carried.epoch, 1, carried.first.saturating_sub(1));
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
fn facts_of<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Vec<Fact> {
    lines
        .filter_map(|line| match Fact::from_line(line) {
            Ok(fact) => fact,
            Err(error) => {
                tracing::error!(%error, "a recorded fact cannot be read and is not in the books");
                None
            }
        })
        .collect()
}
