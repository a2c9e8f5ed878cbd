//! When the counter's loop writes what may be lost: open baskets at each change, checkpoints of the books when it is worth it.
//! Both off the loop.

use std::{
    fs::File,
    io::{self, BufWriter, Seek as _},
    time::Duration,
};

use futures::FutureExt as _;
use pestle_domain::ids::TillId;
use rustix::fs::{MemfdFlags, memfd_create};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use super::{
    books::Books,
    checkpoint::{self, Where},
    counters::Count,
    keep::Keep,
    task::Task,
};

/// Facts behind a checkpoint that make the next worth it: what a restart has to read again, which takes less than a second
/// (docs/adr/0013).
const WORTH_FACTS: u64 = 10_000;
/// A checkpoint is no more frequent than this...
const APART_MIN: Duration = Duration::from_secs(10);
/// ...nor than this many times what the last one took: a slow disk is for the sales.
const APART_TIMES: u32 = 50;
/// Of what is written at a time.
const PIECE_BYTES: usize = 32 * 1024;
/// And after this time there is one, if anything changed.
const APART_MAX: Duration = Duration::from_secs(3_600);

/// The checkpoint that was written last, or tried.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) at: Where,
    pub(super) tried: Instant,
    pub(super) took: Duration,
    /// Somebody waits for one: it would let a generation of the journal go.
    pub(super) wanted: bool,
}

impl Kept {
    pub(super) fn new(at: Where) -> Self {
        Self { at, tried: Instant::now(), took: Duration::ZERO, wanted: false }
    }
}

/// Whether a checkpoint is worth it, `facts` behind the last one and so long after it was tried.
fn is_due(facts: u64, since: Duration, took: Duration, wanted: bool) -> bool {
    let apart = APART_MIN.max(took.saturating_mul(APART_TIMES)).min(APART_MAX);
    let worth = facts >= WORTH_FACTS || wanted;
    // A second checkpoint at the same place lets go what only the first one had.
    (facts > 0 || wanted) && ((worth && since >= apart) || since >= APART_MAX)
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
        if let Some(writing) = self.writing.take_if(|writing| writing.is_finished()) {
            // A failed one is tried again when the next is due.
            if let Some(Ok(Some((at, took)))) = writing.now_or_never() {
                self.kept.at = at;
                self.kept.took = took;
            }
        }
        let facts = self.facts_behind_checkpoint();
        let since = self.kept.tried.elapsed();
        // Whoever wants one gains by it only where the older one lies behind.
        let wanted = self.kept.wanted && *self.parts.keep.watch_safe().borrow() < self.at.place;
        if self.writing.is_none() && is_due(facts, since, self.kept.took, wanted) {
            self.kept.tried = Instant::now();
            self.kept.wanted = false;
            self.writing = self.begin_checkpoint();
        }
    }

    fn facts_behind_checkpoint(&self) -> u64 {
        let (at, kept) = (self.at.place, self.kept.at.place);
        if at.epoch == kept.epoch { at.seq.saturating_sub(kept.seq) } else { at.seq }
    }

    /// The books as bytes, made here and written elsewhere.
    pub(super) fn begin_checkpoint(&self) -> Option<JoinHandle<Option<(Where, Duration)>>> {
        let (keep, at, turn) = (self.parts.keep.clone(), self.at, self.parts.keep.next_turn());
        match encoded(turn, &at, self.branch.books()) {
            Ok(encoded) => Some(tokio::task::spawn_blocking(move || write(&keep, turn, at, encoded))),
            Err(error) => {
                tracing::error!(%error, "the books cannot be written as bytes");
                None
            }
        }
    }
}

/// The bytes in a file that is in memory alone and gone when it is closed. A block of that size would stay with the C library
/// after it was freed, for the rest of the process's life.
fn encoded(turn: u64, at: &Where, books: &Books) -> io::Result<File> {
    let file = memfd_create("books", MemfdFlags::CLOEXEC)?;
    let mut writer = BufWriter::with_capacity(PIECE_BYTES, File::from(file));
    checkpoint::encode(turn, at, books, &mut writer)?;
    let mut file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(file)
}

fn write(keep: &Keep, turn: u64, at: Where, encoded: File) -> Option<(Where, Duration)> {
    let began = Instant::now();
    match keep.keep_books(turn, &at, encoded) {
        Ok(()) => Some((at, began.elapsed())),
        Err(error) => {
            tracing::warn!(%error, "the books cannot be kept; the next start reads more of the journal");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_written_when_it_saves_more_than_it_costs() {
        let check = |facts, since_s, took_ms, wanted, expected| {
            let (since, took) = (Duration::from_secs(since_s), Duration::from_millis(took_ms));
            assert_eq!(is_due(facts, since, took, wanted), expected, "{facts} {since_s} {took_ms} {wanted}");
        };
        check(0, 1_000_000, 0, false, false);
        check(WORTH_FACTS, 9, 20, false, false);
        check(WORTH_FACTS, 10, 20, false, true);
        check(WORTH_FACTS - 1, 3_599, 20, false, false);
        check(1, 3_600, 20, false, true);
        // A disk on which one took two seconds is left alone for a hundred.
        check(1_000_000, 99, 2_000, false, false);
        check(1_000_000, 100, 2_000, false, true);
        // And one that takes for ever still has one an hour.
        check(1, 3_600, 1_000_000, false, true);
        // One that lets a generation go, even where nothing was recorded since.
        check(0, 10, 20, true, true);
    }
}
