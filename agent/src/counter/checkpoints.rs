//! The two newest checkpoints on the disk. They are written in turn, each over the older one, so that at every moment one
//! is whole and, but for the first minutes of a box, the one before it too.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

use super::{
    books::Books,
    checkpoint::{self, BadCheckpoint, Begun, Where},
};
use crate::{
    durable_file::{self, FileError},
    journal::Place,
};

pub(super) const FILES: [&str; 2] = ["books-0.checkpoint", "books-1.checkpoint"];

#[derive(Debug, Clone, Copy)]
struct Slot {
    turn: u64,
    place: Place,
}

/// See the module's text. Clones are the same two files.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    paths: [PathBuf; 2],
    slots: Arc<Mutex<[Option<Slot>; 2]>>,
    safe: watch::Sender<Place>,
}

impl Checkpoints {
    /// Those in `folder`. None counts before [`Checkpoints::newest`] has looked.
    pub fn new(folder: &Path) -> Self {
        Self {
            paths: FILES.map(|name| folder.join(name)),
            slots: Arc::default(),
            safe: watch::Sender::new(Place::START),
        }
    }

    /// Up to here the books can be had without the journal, even if the newest checkpoint is lost:
    /// [`Place::START`] while there are not two.
    pub fn watch_safe(&self) -> watch::Receiver<Place> {
        self.safe.subscribe()
    }

    /// Looks at both, and returns the books of the newest one that is whole and of which `fits` says that it belongs to the
    /// journal. What does not fit counts as not there. Blocks on the disk.
    pub fn newest(&self, fits: impl Fn(&Where) -> bool) -> Option<(Books, Where)> {
        *self.slots() = [None; 2];
        let mut begun: Vec<(usize, Begun)> = Vec::new();
        for (index, path) in self.paths.iter().enumerate() {
            begun.extend(read(path, |file, _| checkpoint::begin(file)).map(|begun| (index, begun)));
        }
        // Nothing of it is proved yet: one whose turn is damaged is found by its checksum when its turn comes.
        begun.sort_by_key(|(_, begun)| std::cmp::Reverse(begun.turn));
        let mut newest = None;
        for (index, begun) in begun {
            let path = &self.paths[index];
            // Of the one before the newest the checksum is enough.
            let fits = fits(&begun.at);
            let found = if newest.is_some() || !fits {
                read(path, checkpoint::check).map(|begun| (begun, None))
            } else {
                read(path, checkpoint::read).map(|(begun, books)| (begun, Some(books)))
            };
            let Some((begun, books)) = found else { continue };
            if !fits {
                tracing::warn!(
                    path = %path.display(), at = ?begun.at,
                    "a checkpoint of the books is of another store or ahead of this journal, and is not used"
                );
                continue;
            }
            self.slots()[index] = Some(Slot { turn: begun.turn, place: begun.at.place });
            newest = newest.or(books.map(|books| (books, begun.at)));
        }
        self.publish();
        newest
    }

    /// The turn of the next one.
    pub fn next_turn(&self) -> u64 {
        self.slots().iter().flatten().map(|slot| slot.turn).max().unwrap_or(0) + 1
    }

    /// Writes what [`checkpoint::encode`] made with [`Checkpoints::next_turn`], which is read from where it stands, over the older
    /// one, durably. One at a time. Blocks on the disk.
    ///
    /// # Errors
    /// [`FileError::Disk`]: the two that were there are there, or one of them and this one.
    pub fn write(&self, turn: u64, place: Place, encoded: impl Read) -> Result<(), FileError> {
        let index = {
            let slots = self.slots();
            let turn_of = |index: usize| slots[index].map_or(0, |slot| slot.turn);
            usize::from(turn_of(1) < turn_of(0))
        };
        durable_file::write_with(&self.paths[index], |file| checkpoint::seal(encoded, file))?;
        self.slots()[index] = Some(Slot { turn, place });
        self.publish();
        Ok(())
    }

    /// Whether both are there.
    pub fn are_two(&self) -> bool {
        self.slots().iter().all(Option::is_some)
    }

    fn publish(&self) {
        let safe = match *self.slots() {
            [Some(one), Some(other)] => one.place.min(other.place),
            _ => Place::START,
        };
        self.safe.send_replace(safe);
    }

    fn slots(&self) -> MutexGuard<'_, [Option<Slot>; 2]> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What `read` makes of a file and its length. `None` where there is none, and for one that cannot be read or is not whole, which
/// is told.
fn read<T>(path: &Path, read: impl FnOnce(File, u64) -> Result<T, BadCheckpoint>) -> Option<T> {
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let outcome = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => Err(BadCheckpoint::Unreadable(error)),
        Ok((length, file)) => read(file, length),
    };
    outcome
        .inspect_err(|error| {
            tracing::warn!(path = %path.display(), %error, "a checkpoint of the books is damaged, and is not used");
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use pestle_domain::{ids::StoreId, journal::Head, signature::Hash};

    fn at(seq: u64) -> Where {
        let head = Head { seq, hash: Hash::of(&seq.to_be_bytes()) };
        Where { store: StoreId(uuid::Uuid::nil()), place: Place { epoch: 1, seq }, head }
    }

    fn write(checkpoints: &Checkpoints, seq: u64) {
        let turn = checkpoints.next_turn();
        let mut bytes = Vec::new();
        checkpoint::encode(turn, &at(seq), &Books::default(), &mut bytes).unwrap();
        checkpoints.write(turn, at(seq).place, &bytes[..]).unwrap();
    }

    fn newest(folder: &Path, up_to: u64) -> (Option<u64>, u64) {
        let checkpoints = Checkpoints::new(folder);
        let found = checkpoints.newest(|at| at.place.seq <= up_to).map(|(_, at)| at.place.seq);
        (found, checkpoints.watch_safe().borrow().seq)
    }

    #[test]
    fn the_newest_is_taken_and_the_journal_is_safe_to_prune_up_to_the_one_before_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(newest(folder.path(), u64::MAX), (None, 0));
        let checkpoints = Checkpoints::new(folder.path());
        write(&checkpoints, 10);
        assert_eq!(newest(folder.path(), u64::MAX), (Some(10), 0), "one alone lets nothing go");
        for seq in [20, 30, 40] {
            write(&checkpoints, seq);
            assert_eq!(checkpoints.watch_safe().borrow().seq, seq - 10);
            assert_eq!(newest(folder.path(), u64::MAX), (Some(seq), seq - 10));
        }
        assert_eq!(newest(folder.path(), 30), (Some(30), 0), "one that is ahead of the journal is none");
        assert_eq!(newest(folder.path(), 20), (None, 0));
    }

    #[test]
    fn when_the_newest_is_damaged_the_one_before_it_is_taken_and_the_damaged_one_is_written_next() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path());
        for seq in [10, 20, 30] {
            write(&checkpoints, seq);
        }
        // 10, 20, 30 went to the first, the second, the first.
        let path = folder.path().join(FILES[0]);
        let mut bytes = fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(newest(folder.path(), u64::MAX), (Some(20), 0));
        let checkpoints = Checkpoints::new(folder.path());
        checkpoints.newest(|_| true).unwrap();
        write(&checkpoints, 25);
        assert_eq!(newest(folder.path(), u64::MAX), (Some(25), 20));
    }

    #[test]
    fn what_a_power_cut_leaves_of_a_write_is_not_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path());
        for seq in [10, 20] {
            write(&checkpoints, seq);
        }
        fs::write(folder.path().join(format!("{}.part", FILES[0])), b"PCK1 and no more").unwrap();
        assert_eq!(newest(folder.path(), u64::MAX), (Some(20), 10));
        write(&checkpoints, 30);
        assert_eq!(newest(folder.path(), u64::MAX), (Some(30), 20));
    }
}
