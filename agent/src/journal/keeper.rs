//! What is done for the journal off the commit's path: the mark is written, unused stores are closed.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use pestle_domain::journal::Head;

use super::{
    JournalError, Shared,
    generation::panic_text,
    manifest::{Book, file},
    mark::{Mark, MarkFile},
};
use crate::durable_file::FileError;

/// At the latest so long after a commit the mark says it.
const MARK_AFTER: Duration = Duration::from_secs(1);
/// With nothing to mark: unused stores are closed.
const LOOK_AT_REST: Duration = Duration::from_secs(10);
/// Marks that are not waited for come no closer together: while a backlog drains, acknowledgements come by the hundred, and
/// what a mark does not say of them is only sent once more.
const MARKS_APART: Duration = Duration::from_millis(100);

enum Wake {
    /// Mark within [`MARK_AFTER`].
    Owed,
    Mark,
    /// Mark, and say whether it was written.
    MarkNow(Sender<bool>),
    End(Sender<()>),
}

/// Wakes the keeper.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    wakes: Sender<Wake>,
    /// A mark is owed, and the keeper knows it.
    owed: Arc<AtomicBool>,
}

pub(crate) struct Wakes {
    wakes: Receiver<Wake>,
    owed: Arc<AtomicBool>,
}

impl Handle {
    pub(crate) fn new() -> (Self, Wakes) {
        let (sender, receiver) = channel();
        let owed = Arc::new(AtomicBool::new(false));
        (Self { wakes: sender, owed: owed.clone() }, Wakes { wakes: receiver, owed })
    }

    /// Something was committed: the keeper is woken for the first of them only.
    pub(crate) fn owe(&self) {
        if !self.owed.swap(true, Ordering::AcqRel) {
            // As below.
            let _ = self.wakes.send(Wake::Owed);
        }
    }

    /// The mark is to be written soon.
    pub(crate) fn mark(&self) {
        // When the keeper has ended, so has the journal, with a last mark.
        let _ = self.wakes.send(Wake::Mark);
    }

    /// Writes the mark and says whether it is on the disk; the log says why not. Blocks.
    pub(crate) fn mark_now(&self) -> bool {
        let (done, marked) = channel();
        self.wakes.send(Wake::MarkNow(done)).is_ok() && marked.recv().unwrap_or(false)
    }

    /// Writes the last mark and ends the keeper.
    pub(crate) fn end(&self) {
        let (done, ended) = channel();
        if self.wakes.send(Wake::End(done)).is_ok() {
            let _ = ended.recv();
        }
    }
}

pub(crate) fn spawn(shared: Arc<Shared>, wakes: Wakes) -> Result<(), JournalError> {
    let folder = shared.settings.folder.clone();
    thread::Builder::new()
        .name(format!("keeper-{}", shared.stream.lane.as_str()))
        .spawn(move || {
            let ran = catch_unwind(AssertUnwindSafe(|| run(&shared, &wakes)));
            if let Err(panic) = ran {
                shared.died(format!("the keeper of the mark failed: {}", panic_text(panic.as_ref())));
            }
        })
        .map_err(|source| FileError::disk("start a thread for", &folder)(source))?;
    Ok(())
}

fn run(shared: &Shared, wakes: &Wakes) {
    let mut marks: Vec<Written> = Vec::new();
    let mut last_written: Option<Instant> = None;
    let mut owed_until = Some(Instant::now() + MARK_AFTER);
    loop {
        let mut ends = Vec::new();
        let mut waiting = Vec::new();
        let mut take = |wake| match wake {
            Wake::Owed | Wake::Mark => {}
            Wake::MarkNow(done) => waiting.push(done),
            Wake::End(done) => ends.push(done),
        };
        let due = last_written.map(|written| written + MARKS_APART);
        let rest = owed_until.map_or(LOOK_AT_REST, |until| until.saturating_duration_since(Instant::now()));
        match wakes.wakes.recv_timeout(rest) {
            Ok(Wake::Owed) => {
                owed_until.get_or_insert_with(|| Instant::now() + MARK_AFTER);
                continue;
            }
            Ok(wake) => gather(wake, &wakes.wakes, due).for_each(&mut take),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        // Before the head is read, whose lock orders the two: what is committed from here on is owed anew.
        wakes.owed.store(false, Ordering::Release);
        owed_until = None;
        #[cfg(test)]
        super::testing::panic_at(&shared.settings.folder, super::testing::Fault::Keeper);
        let written = write_marks(shared, &mut marks);
        if let Err(error) = &written {
            tracing::error!(error = ?error, "the journal's mark could not be written");
            owed_until = Some(Instant::now() + MARK_AFTER);
        }
        last_written = Some(Instant::now());
        for done in waiting {
            // Whoever asked may have gone.
            let _ = done.send(written.is_ok());
        }
        shared.stores.close_unused();
        if !ends.is_empty() {
            for done in ends {
                let _ = done.send(());
            }
            return;
        }
    }
}

/// What one mark answers: what came, and what comes until it is due, as long as nobody waits for it.
fn gather(first: Wake, wakes: &Receiver<Wake>, due: Option<Instant>) -> impl Iterator<Item = Wake> {
    let mut is_waited_for = is_pressing(&first);
    let mut first = Some(first);
    std::iter::from_fn(move || {
        let next = first.take().or_else(|| {
            let left =
                due.filter(|_| !is_waited_for).map(|due| due.saturating_duration_since(Instant::now()));
            wakes.recv_timeout(left.unwrap_or_default()).ok()
        })?;
        is_waited_for |= is_pressing(&next);
        Some(next)
    })
}

const fn is_pressing(wake: &Wake) -> bool {
    matches!(wake, Wake::MarkNow(_) | Wake::End(_))
}

struct Written {
    epoch: u32,
    file: MarkFile,
    last: Mark,
}

fn write_marks(shared: &Shared, written: &mut Vec<Written>) -> Result<(), FileError> {
    let head = *shared.committed();
    for (epoch, path, mark) in wanted(&shared.book(), head) {
        let index = match written.iter().position(|known| known.epoch == epoch) {
            Some(index) => index,
            None => {
                let (file, found) = MarkFile::open(&path)?;
                written.push(Written { epoch, file, last: found.unwrap_or(Mark::EMPTY) });
                written.len() - 1
            }
        };
        let known = &mut written[index];
        if known.last != mark {
            known.file.write(&mark)?;
            known.last = mark;
        }
    }
    Ok(())
}

fn wanted(book: &Book, head: Head) -> Vec<(u32, std::path::PathBuf, Mark)> {
    let current = book.current().number();
    book.epochs
        .iter()
        .map(|epoch| {
            let number = epoch.number();
            let written = if number == current { head } else { epoch.head };
            (
                number,
                epoch.folder.join(file::MARK),
                Mark {
                    written,
                    acknowledged: epoch.acknowledged,
                    incarnation: epoch.incarnation,
                    witness: epoch.witness,
                },
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    /// So many wakes are answered by the first mark, which is due after that.
    fn answered(wakes: impl IntoIterator<Item = Wake>, due_after: Option<Duration>) -> (usize, Duration) {
        let (sender, receiver) = channel();
        for wake in wakes {
            sender.send(wake).unwrap();
        }
        let begun = Instant::now();
        let first = receiver.recv().unwrap();
        let answered = gather(first, &receiver, due_after.map(|after| begun + after)).count();
        (answered, begun.elapsed())
    }

    #[test]
    fn marks_that_nobody_waits_for_come_no_closer_together_than_they_are_due() {
        let apart = Duration::from_millis(50);
        let (count, took) = answered((0..100).map(|_| Wake::Mark), Some(apart));
        assert_eq!(count, 100);
        assert!(took >= apart, "the mark was written after {took:?}");
        // The first one of all is not waited for.
        assert_eq!(answered([Wake::Mark, Wake::Mark], None).0, 2);
    }

    #[test]
    fn a_mark_that_somebody_waits_for_is_written_at_once_with_what_came() {
        let now = || Wake::MarkNow(channel().0);
        assert_eq!(answered([now()], Some(LONG)).0, 1);
        assert_eq!(answered([Wake::Mark, Wake::Mark, now(), Wake::Mark], Some(LONG)).0, 4);
        assert_eq!(answered([Wake::Mark, Wake::End(channel().0)], Some(LONG)).0, 2);
    }
}
