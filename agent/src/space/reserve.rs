//! A file that takes room on the disk, so that it can be given up when nothing else is left.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{FallocateFlags, fallocate};

use crate::durable_file::{FileError, sync_folder};

/// What is written at a time where the file system cannot set room aside.
const PIECE_BYTES: usize = 64 * 1024;
/// `st_blocks` counts in these (POSIX `stat`, and Linux for every file system).
const BLOCK_BYTES: u64 = 512;

/// The reserve of a data folder.
#[derive(Debug, Clone)]
pub struct Reserve {
    path: PathBuf,
}

impl Reserve {
    /// In `folder`. Nothing is made yet.
    pub fn new(folder: &Path) -> Self {
        Self { path: folder.join("reserve") }
    }

    /// Bytes that it really takes.
    pub fn bytes(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| metadata.blocks() * BLOCK_BYTES)
    }

    /// Makes it, with room that is really taken. One that is smaller is made anew.
    ///
    /// # Errors
    /// [`FileError::Disk`]; nothing is left of it then.
    pub fn make(&self, bytes: u64) -> Result<(), FileError> {
        self.fill(bytes).inspect_err(|_| {
            // Half a reserve would take room and be none.
            let _ = fs::remove_file(&self.path);
        })?;
        sync_folder(self.path.parent().unwrap_or(Path::new(".")))
    }

    fn fill(&self, bytes: u64) -> Result<(), FileError> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&self.path)
            .map_err(FileError::disk("create", &self.path))?;
        match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                write_out(&mut file, bytes).map_err(FileError::disk("write", &self.path))?;
            }
            allocated => {
                allocated.map_err(|error| FileError::disk("allocate", &self.path)(error.into()))?;
            }
        }
        file.sync_all().map_err(FileError::disk("sync", &self.path))
    }

    /// Gives it up: its room is free when this returns.
    ///
    /// # Errors
    /// [`FileError::Disk`].
    pub fn release(&self) -> Result<(), FileError> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            removed => removed.map_err(FileError::disk("remove", &self.path))?,
        }
        sync_folder(self.path.parent().unwrap_or(Path::new(".")))
    }
}

fn write_out(file: &mut File, bytes: u64) -> io::Result<()> {
    let piece = [0x5a; PIECE_BYTES];
    let mut left = bytes;
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        file.write_all(&piece[..length])?;
        left -= length as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_takes_the_room_that_it_says_and_gives_it_up() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(folder.path());
        assert_eq!(reserve.bytes(), 0);
        reserve.make(1024 * 1024).unwrap();
        assert!((1024 * 1024..1280 * 1024).contains(&reserve.bytes()), "{}", reserve.bytes());
        reserve.make(2 * 1024 * 1024).unwrap();
        assert!(reserve.bytes() >= 2 * 1024 * 1024);
        reserve.release().unwrap();
        reserve.release().unwrap();
        assert_eq!((reserve.bytes(), fs::read_dir(folder.path()).unwrap().count()), (0, 0));
    }

    #[test]
    fn where_no_room_can_be_set_aside_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut file = File::create(&path).unwrap();
        write_out(&mut file, 200_001).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), 200_001);
    }
}
