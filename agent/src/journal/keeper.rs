//! What is done for the journal off the commit's path: the mark is written, unused stores are closed.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::Duration,
};

use pestle_domain::journal::Head;

use super::{
    JournalError, Shared,
    manifest::{Book, file},
    mark::{Mark, MarkFile},
};
use crate::durable_file::FileError;

/// At the latest so long after a commit the mark says it.
const MARK_AFTER: Duration = Duration::from_secs(1);

enum Wake {
    Mark,
    End(Sender<()>),
}

/// Wakes the keeper.
#[derive(Debug, Clone)]
pub(crate) struct Handle(Sender<Wake>);

pub(crate) struct Wakes(Receiver<Wake>);

impl Handle {
    pub(crate) fn new() -> (Self, Wakes) {
        let (sender, receiver) = channel();
        (Self(sender), Wakes(receiver))
    }

    /// The mark is to be written now.
    pub(crate) fn mark(&self) {
        // When the keeper has ended, so has the journal, with a last mark.
        let _ = self.0.send(Wake::Mark);
    }

    /// Writes the last mark and ends the keeper.
    pub(crate) fn end(&self) {
        let (done, ended) = channel();
        if self.0.send(Wake::End(done)).is_ok() {
            let _ = ended.recv();
        }
    }
}

pub(crate) fn spawn(shared: Arc<Shared>, wakes: Wakes) -> Result<(), JournalError> {
    let folder = shared.settings.folder.clone();
    thread::Builder::new()
        .name(format!("keeper-{}", shared.stream.lane.as_str()))
        .spawn(move || run(&shared, &wakes))
        .map_err(|source| FileError::disk("start a thread for", &folder)(source))?;
    Ok(())
}

fn run(shared: &Shared, wakes: &Wakes) {
    let mut marks: Vec<Written> = Vec::new();
    loop {
        let wake = wakes.0.recv_timeout(MARK_AFTER);
        let ended = match &wake {
            Ok(Wake::Mark) => {
                // Many acknowledgements that wait need one mark.
                let mut end = None;
                while let Ok(more) = wakes.0.try_recv() {
                    if let Wake::End(done) = more {
                        end = Some(done);
                    }
                }
                end
            }
            Ok(Wake::End(done)) => Some(done.clone()),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        if let Err(error) = write_marks(shared, &mut marks) {
            tracing::error!(error = ?error, "the journal's mark could not be written");
        }
        shared.stores.close_unused();
        if let Some(done) = ended {
            let _ = done.send(());
            return;
        }
    }
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
            (number, epoch.folder.join(file::MARK), Mark { written, acknowledged: epoch.acknowledged })
        })
        .collect()
}
