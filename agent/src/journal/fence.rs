//! The fence: up to where a store counts, although it may hold more.
//!
//! When an act reached the store and the sync after it failed, the caller is told "not recorded", and yet the act's bytes
//! may be on the disk. So before the answer the fence says, durably, with which head the store ends. It is a file whose
//! room was written when the store was made: setting it needs no free space.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use pestle_domain::{journal::Head, signature::Hash};

use crate::durable_file::FileError;

const FILE: &str = "fence";
const MAGIC: &[u8; 4] = b"PF1\n";
const SUMMED_BYTES: usize = 4 + 8 + 32;
const FENCE_BYTES: usize = SUMMED_BYTES + 32;
/// A page: what the file system gives room for at least.
const ROOM_BYTES: usize = 4096;

/// The fence of a store that is being written.
#[derive(Debug)]
pub struct Fence {
    file: File,
    path: PathBuf,
}

impl Fence {
    /// Makes the room for it in `store`. The caller syncs file and folder.
    ///
    /// # Errors
    /// [`FileError::Disk`].
    pub fn create(store: &Path) -> Result<Self, FileError> {
        let path = store.join(FILE);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .map_err(FileError::disk("create", &path))?;
        file.write_all_at(&[0; ROOM_BYTES], 0).map_err(FileError::disk("write", &path))?;
        Ok(Self { file, path })
    }

    /// Says, durably, that the store ends with `head`.
    ///
    /// # Errors
    /// [`FileError::Disk`]: then nobody knows what the next start will find.
    pub fn set(&self, head: Head) -> Result<(), FileError> {
        self.file.write_all_at(&encode(head), 0).map_err(FileError::disk("write", &self.path))?;
        self.file.sync_data().map_err(FileError::disk("sync", &self.path))
    }
}

/// The head with which the store ends; `None` where no fence was set.
pub fn read(store: &Path) -> Option<Head> {
    let mut bytes = [0; FENCE_BYTES];
    File::open(store.join(FILE)).ok()?.read_exact_at(&mut bytes, 0).ok()?;
    decode(&bytes)
}

fn encode(head: Head) -> [u8; FENCE_BYTES] {
    let mut bytes = [0; FENCE_BYTES];
    bytes[..4].copy_from_slice(MAGIC);
    bytes[4..12].copy_from_slice(&head.seq.to_be_bytes());
    bytes[12..SUMMED_BYTES].copy_from_slice(&head.hash.0);
    let sum = Hash::of(&bytes[..SUMMED_BYTES]);
    bytes[SUMMED_BYTES..].copy_from_slice(&sum.0);
    bytes
}

fn decode(bytes: &[u8; FENCE_BYTES]) -> Option<Head> {
    if &bytes[..4] != MAGIC || Hash::of(&bytes[..SUMMED_BYTES]).0 != bytes[SUMMED_BYTES..] {
        return None;
    }
    let seq = u64::from_be_bytes(bytes[4..12].try_into().ok()?);
    Some(Head { seq, hash: Hash(bytes[12..SUMMED_BYTES].try_into().ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_read_as_it_was_set_and_a_torn_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path()), None);
        let fence = Fence::create(folder.path()).unwrap();
        assert_eq!(read(folder.path()), None);
        let head = Head { seq: 7, hash: Hash::of(b"seven") };
        fence.set(head).unwrap();
        assert_eq!(read(folder.path()), Some(head));
        assert_eq!(std::fs::metadata(folder.path().join(FILE)).unwrap().len(), 4096, "in place");
        fence.file.write_all_at(b"x", 20).unwrap();
        assert_eq!(read(folder.path()), None);
    }
}
