//! When the counter's loop writes what may be lost: open baskets at each change, the folded books now and then. Both off
//! the loop.

use std::time::Duration;

use pestle_domain::ids::{StoreId, TillId};
use tokio::{sync::mpsc, time::Instant};

use super::{books_kept::KeptBooks, counters::Count, keep::Keep, task::Task};
use crate::journal::Place;

/// Acts after which the folded books are kept: what a restart has to replay at most.
const KEEP_ACTS: u32 = 1_000;
/// And after this time, if anything changed.
const KEEP_EVERY: Duration = Duration::from_secs(300);

/// How far the books are kept.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) place: Place,
    pub(super) acts: u32,
    pub(super) at: Instant,
}

/// Whether a till's basket is being written, and whether it changed meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BasketWrite {
    Running,
    RunningAndChanged,
}

impl Task {
    /// Writes a till's basket off the loop, one write at a time, the newest state last.
    ///
    /// The write begins with the scan and takes one sync of a file and of its folder, some milliseconds. So at a hand's
    /// pace (250 ms and more from pack to pack) a power cut loses nothing that was scanned before the last pack, and not
    /// that one either once its write has returned. At a machine's pace it may lose what came during one write, and the
    /// write after it.
    pub(super) fn keep_basket(&mut self, till: &TillId, written: &mpsc::Sender<TillId>) {
        if let Some(running) = self.baskets.get_mut(till) {
            *running = BasketWrite::RunningAndChanged;
            return;
        }
        self.baskets.insert(till.clone(), BasketWrite::Running);
        let (keep, till, basket) = (self.parts.keep.clone(), till.clone(), self.branch.basket(till).cloned());
        let (written, counters) = (written.clone(), self.counters.clone());
        tokio::task::spawn_blocking(move || {
            if let Err(error) = keep.keep_basket(&till, basket.as_ref()) {
                tracing::warn!(%till, %error, "the open basket cannot be kept; after a power cut its packs have to be scanned again");
                counters.count(Count::BasketNotKept);
            }
            let _ended = written.blocking_send(till);
        });
    }

    pub(super) fn basket_written(&mut self, till: &TillId, written: &mpsc::Sender<TillId>) {
        if self.baskets.remove(till) == Some(BasketWrite::RunningAndChanged) {
            self.keep_basket(till, written);
        }
    }

    pub(super) fn keep_books_if_due(&mut self) {
        let changed = self.kept.place != self.place;
        let writing = self.books_written.as_ref().is_some_and(|written| !written.is_finished());
        if !changed || writing || (self.kept.acts < KEEP_ACTS && self.kept.at.elapsed() < KEEP_EVERY) {
            return;
        }
        self.kept = Kept { place: self.place, acts: 0, at: Instant::now() };
        let (keep, store, place) = (self.parts.keep.clone(), self.store, self.place);
        let books = KeptBooks::from(self.branch.books());
        self.books_written =
            Some(tokio::task::spawn_blocking(move || keep_books(&keep, store, place, books)));
    }
}

pub(super) fn keep_books(keep: &Keep, store: StoreId, place: Place, books: KeptBooks) {
    if let Err(error) = keep.keep_books(store, place, books) {
        tracing::warn!(%error, "the folded books cannot be kept; the next start reads more of the journal");
    }
}
