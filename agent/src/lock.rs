//! One agent per data folder: two writers of one journal would fork it.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use crate::durable_file::{FileError, create_folder};

/// Why the folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "{folder} is in use by {holder}: stop that one first (`systemctl stop pestle-agent`), then do it again"
    )]
    InUse {
        /// Whose data.
        folder: PathBuf,
        /// As far as it is known.
        holder: String,
    },
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Held for as long as this lives; the system gives it back when the process ends in whatever way.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

impl DataLock {
    /// Takes `data_dir` for this process.
    ///
    /// # Errors
    /// [`LockError::InUse`] names the process that has it.
    pub fn take(data_dir: &Path) -> Result<Self, LockError> {
        create_folder(data_dir)?;
        let path = data_dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(FileError::disk("open", &path))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            let known = file.read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
            let holder =
                if known { format!("process {}", holder.trim()) } else { "another process".to_owned() };
            return Err(LockError::InUse { folder: data_dir.to_owned(), holder });
        }
        let id = format!("{}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(id.as_bytes()))
            .map_err(FileError::disk("write", &path))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_is_told_who_has_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataLock::take(folder.path()).unwrap();
        let said = DataLock::take(folder.path()).unwrap_err().to_string();
        assert!(said.contains(&format!("in use by process {}", std::process::id())), "{said}");
        drop(first);
        DataLock::take(folder.path()).unwrap();
    }
}
