//! The mark: how far a store has certainly been written, and how far the centre has it. It is what tells a store whose
//! tail vanished from one that never had it.
//!
//! One file of two slots, written in turn and each with its own checksum, so that a write that a power cut tears
//! leaves the one before. Written off the commit's path: on each acknowledgement, on sealing, and at most one second after a
//! commit. What can go unseen is therefore a tail of one second that nobody at the centre has.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use pestle_domain::{journal::Head, signature::Hash};

use crate::durable_file::{FileError, sync_folder};

/// Apart by a page, so that no torn page holds both.
const SLOT_OFFSETS: [u64; 2] = [0, 4096];
const SLOT_BYTES: usize = 8 + 2 * 40 + 32;

/// What a slot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The last fact that was on the disk.
    pub written: Head,
    /// The last fact that the centre had committed.
    pub acknowledged: Head,
}

impl Mark {
    /// Of a new store.
    pub const EMPTY: Self = Self { written: Head::EMPTY, acknowledged: Head::EMPTY };
}

fn encode(turn: u64, mark: &Mark) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..8].copy_from_slice(&turn.to_be_bytes());
    for (index, head) in [mark.written, mark.acknowledged].into_iter().enumerate() {
        let at = 8 + 40 * index;
        slot[at..at + 8].copy_from_slice(&head.seq.to_be_bytes());
        slot[at + 8..at + 40].copy_from_slice(&head.hash.0);
    }
    let sum = Hash::of(&slot[..SLOT_BYTES - 32]);
    slot[SLOT_BYTES - 32..].copy_from_slice(&sum.0);
    slot
}

fn decode(slot: &[u8; SLOT_BYTES]) -> Option<(u64, Mark)> {
    if Hash::of(&slot[..SLOT_BYTES - 32]).0 != slot[SLOT_BYTES - 32..] {
        return None;
    }
    let turn = u64::from_be_bytes(slot[..8].try_into().ok()?);
    let head = |at: usize| -> Option<Head> {
        let seq = u64::from_be_bytes(slot[at..at + 8].try_into().ok()?);
        Some(Head { seq, hash: Hash(slot[at + 8..at + 40].try_into().ok()?) })
    };
    Some((turn, Mark { written: head(8)?, acknowledged: head(48)? }))
}

/// The file of one epoch.
#[derive(Debug)]
pub struct MarkFile {
    file: File,
    path: PathBuf,
    turn: u64,
}

impl MarkFile {
    /// Opens or creates it, and tells what it says; `None` when neither slot can be read.
    ///
    /// # Errors
    /// [`FileError::Disk`].
    pub fn open(path: &Path) -> Result<(Self, Option<Mark>), FileError> {
        let existed = path.exists();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(FileError::disk("open", path))?;
        let newest = SLOT_OFFSETS
            .into_iter()
            .filter_map(|offset| {
                let mut slot = [0; SLOT_BYTES];
                file.read_exact_at(&mut slot, offset).ok()?;
                decode(&slot)
            })
            .max_by_key(|(turn, _)| *turn);
        let mut mark = Self { file, path: path.to_owned(), turn: newest.map_or(0, |(turn, _)| turn) };
        if !existed {
            mark.write(&Mark::EMPTY)?;
            sync_folder(path.parent().unwrap_or(Path::new(".")))?;
        }
        Ok((mark, newest.map(|(_, mark)| mark).or((!existed).then_some(Mark::EMPTY))))
    }

    /// Writes `mark` into the older slot and syncs it.
    ///
    /// # Errors
    /// [`FileError::Disk`].
    pub fn write(&mut self, mark: &Mark) -> Result<(), FileError> {
        let turn = self.turn + 1;
        let offset = SLOT_OFFSETS[usize::from(turn.is_multiple_of(2))];
        self.file.write_all_at(&encode(turn, mark), offset).map_err(FileError::disk("write", &self.path))?;
        self.file.sync_data().map_err(FileError::disk("sync", &self.path))?;
        self.turn = turn;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_write_leaves_the_mark_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark");
        let head = |seq| Head { seq, hash: Hash::of(&[7]) };
        let (mut file, found) = MarkFile::open(&path).unwrap();
        assert_eq!(found, Some(Mark::EMPTY));
        for seq in 1..=5 {
            file.write(&Mark { written: head(seq), acknowledged: head(seq - 1) }).unwrap();
        }
        let newest = Mark { written: head(5), acknowledged: head(4) };
        assert_eq!(MarkFile::open(&path).unwrap().1, Some(newest));
        // The sixth write after the first empty one went to slot 1.
        file.file.write_all_at(b"torn", SLOT_OFFSETS[1]).unwrap();
        assert_eq!(MarkFile::open(&path).unwrap().1.unwrap().written.seq, 4);
        file.file.write_all_at(b"torn", SLOT_OFFSETS[0]).unwrap();
        assert_eq!(MarkFile::open(&path).unwrap().1, None);
    }
}
