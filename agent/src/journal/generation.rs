//! One bounded sled store while it is written, and everything that sled 0.34 needs to be safe against a power cut. No
//! other file of the product names sled's types.
//!
//! What was found by running it (docs/dependencies.md): `flush` does not sync the disk, so each commit ends with an
//! `fdatasync` of sled's own log file; sled's other files are never synced, so they are once after creation; an error
//! sticks, and opening an existing store may panic, lose records or change the file. So a store is created, written and, when
//! the process ends or anything goes wrong, never opened by sled again: [`super::raw`] reads it.

use std::{
    fs::{self, File},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use pestle_domain::journal::Head;

use super::{
    fence::Fence,
    manifest::file,
    raw,
    record::{self, Joiner, Key, RecordError, StoredAct},
};
use crate::durable_file::{FileError, create_folder, sync_folder};

/// What sled may keep in memory of one store, in bytes. Reading goes straight through and writing is append-only, so
/// more would serve nobody.
const CACHE_BYTES: u64 = 2 * 1024 * 1024;
/// sled's log, which holds all data.
pub const LOG: &str = "db";

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// sled reports an error; it sticks.
    #[error("the store in {path} reports an error")]
    Sled {
        /// Which.
        path: PathBuf,
        /// What it says.
        #[source]
        source: sled::Error,
    },
    /// sled gave up.
    #[error("the store in {path} failed: {what}")]
    Panicked {
        /// Which.
        path: PathBuf,
        /// What it said before it gave up.
        what: String,
    },
    /// What sled returned is not what was stored.
    #[error("the store in {path} is damaged behind position {behind}")]
    Record {
        /// Which.
        path: PathBuf,
        /// The last position that was good.
        behind: u64,
        /// What is wrong with the next.
        #[source]
        source: RecordError,
    },
}

/// Why a disk does not take something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskSays {
    /// There is no room, or none for us.
    Full,
    /// It is mounted to be read only, which is what a system does with a disk that fails.
    ReadOnly,
    /// Anything else.
    Other,
}

impl StoreError {
    /// What the disk says at the bottom of it.
    pub fn disk_says(&self) -> DiskSays {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            match error.downcast_ref::<io::Error>().map(io::Error::kind) {
                Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => return DiskSays::Full,
                Some(io::ErrorKind::ReadOnlyFilesystem) => return DiskSays::ReadOnly,
                _ => {}
            }
            if let Some(sled::Error::Io(error)) = error.downcast_ref::<sled::Error>() {
                cause = Some(error);
                continue;
            }
            cause = error.source();
        }
        DiskSays::Other
    }
}

/// An open store.
#[derive(Debug)]
pub struct Generation {
    folder: PathBuf,
    /// Taken when this is dropped, and only then.
    store: Option<sled::Db>,
    log: File,
    fence: Fence,
}

impl Generation {
    /// Creates a store in `folder`. What an attempt before left there is removed: the caller knows that it holds nothing
    /// that counts.
    ///
    /// # Errors
    /// [`StoreError::File`], [`StoreError::Sled`], [`StoreError::Panicked`].
    pub fn create(folder: &Path) -> Result<Self, StoreError> {
        remove(folder)?;
        create_folder(folder)?;
        let store = open_in_own_thread(folder)?;
        let log_path = folder.join(LOG);
        let log = File::options()
            .read(true)
            .write(true)
            .open(&log_path)
            .map_err(FileError::disk("open", &log_path))?;
        let fence = Fence::create(folder)?;
        let generation = Self { folder: folder.to_owned(), store: Some(store), log, fence };
        generation.sync_everything()?;
        Ok(generation)
    }

    /// Puts chunks into the store, all or none. They are on the disk only after [`Generation::commit`].
    ///
    /// # Errors
    /// [`StoreError::Sled`].
    pub fn insert(&self, chunks: Vec<(Key, Vec<u8>)>) -> Result<(), StoreError> {
        let mut chunks = chunks;
        if chunks.len() == 1
            && let Some((key, value)) = chunks.pop()
        {
            return self.db().insert(key, value).map(drop).map_err(|source| self.sled(source));
        }
        let mut batch = sled::Batch::default();
        for (key, value) in chunks {
            batch.insert(&key[..], value);
        }
        self.db().apply_batch(batch).map_err(|source| self.sled(source))
    }

    /// Returns when everything that was inserted is on the disk.
    ///
    /// # Errors
    /// [`StoreError::Sled`], [`StoreError::File`]. The store must then not be used any more.
    pub fn commit(&self) -> Result<(), StoreError> {
        self.db().flush().map_err(|source| self.sled(source))?;
        #[cfg(test)]
        super::testing::fault(&self.folder, super::testing::Fault::Sync)?;
        self.log.sync_data().map_err(FileError::disk("sync", &self.folder.join(LOG)))?;
        Ok(())
    }

    /// Says, durably, that the store ends with `head`, whatever else is found in it.
    ///
    /// # Errors
    /// [`StoreError::File`]: then nobody knows what the next start will find.
    pub fn fence(&self, head: Head) -> Result<(), StoreError> {
        #[cfg(test)]
        super::testing::fault(&self.folder, super::testing::Fault::Fence)?;
        Ok(self.fence.set(head)?)
    }

    /// Whether nothing behind fact `seq` has reached the disk although `error` befell it, and nothing will: sled met the error
    /// itself, writes nothing more after that, and its log holds nothing of it. So it is on a disk that takes no writes, where
    /// no fence can be set either.
    pub fn is_untouched_behind(&self, seq: u64, error: &StoreError) -> bool {
        matches!(error, StoreError::Sled { .. })
            && raw::holds_behind(&self.folder, seq).is_ok_and(|holds| !holds)
    }

    /// Lets go of a store that failed. sled may sync, block or panic then, so it does it in a thread of its own.
    pub fn abandon(store: Arc<Self>) {
        let dropped = thread::Builder::new().name("abandon-store".into()).spawn(move || drop(store));
        if let Err(error) = dropped {
            tracing::warn!(%error, "no thread can be started to let go of a store that failed");
        }
    }

    #[allow(clippy::expect_used, reason = "it is taken when this is dropped, and only then")]
    fn db(&self) -> &sled::Db {
        self.store.as_ref().expect("a store is there until it is dropped")
    }

    /// The acts that begin at or after position `first`, in order. Ends after the first error.
    pub fn acts_from(&self, first: u64) -> impl Iterator<Item = Result<StoredAct, StoreError>> + '_ {
        let mut joiner = Joiner::default();
        let mut behind = first.saturating_sub(1);
        let mut values = self.db().range(record::key(first, 0)..);
        let mut ended = false;
        std::iter::from_fn(move || {
            while !ended {
                let pushed = match values.next() {
                    Some(Ok((key, value))) => joiner.push(&key, &value),
                    Some(Err(source)) => {
                        ended = true;
                        return Some(Err(self.sled(source)));
                    }
                    None if joiner.is_in_the_middle() => Err(RecordError::Parts),
                    None => return None,
                };
                match pushed {
                    Ok(None) => {}
                    Ok(Some(act)) => {
                        behind = act.after.seq;
                        return Some(Ok(act));
                    }
                    Err(source) => {
                        ended = true;
                        return Some(Err(StoreError::Record { path: self.folder.clone(), behind, source }));
                    }
                }
            }
            None
        })
    }

    /// The act that has the fact at `seq`, if it is here.
    ///
    /// # Errors
    /// [`StoreError::Sled`], [`StoreError::Record`].
    pub fn act_with(&self, seq: u64) -> Result<Option<StoredAct>, StoreError> {
        let before = self
            .db()
            .range(..=record::key(seq, u16::MAX))
            .next_back()
            .transpose()
            .map_err(|source| self.sled(source))?;
        let Some((first, _)) = before.and_then(|(key, _)| record::parse_key(&key)) else { return Ok(None) };
        let act = self.acts_from(first).next().transpose()?;
        Ok(act.filter(|act| act.after.seq >= seq))
    }

    fn sled(&self, source: sled::Error) -> StoreError {
        StoreError::Sled { path: self.folder.clone(), source }
    }

    fn sync_everything(&self) -> Result<(), StoreError> {
        self.commit()?;
        let entries = fs::read_dir(&self.folder).map_err(FileError::disk("list", &self.folder))?;
        for entry in entries {
            let path = entry.map_err(FileError::disk("list", &self.folder))?.path();
            match File::open(&path).and_then(|file| file.sync_all()) {
                // sled renames its snapshots by itself: what has gone needs no sync.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other.map_err(FileError::disk("sync", &path))?,
            }
        }
        sync_folder(&self.folder)?;
        sync_folder(self.folder.parent().unwrap_or(Path::new(".")))?;
        Ok(())
    }
}

/// sled syncs its log when it is dropped and panics where the disk refuses that.
impl Drop for Generation {
    fn drop(&mut self) {
        let store = self.store.take();
        #[cfg(test)]
        let folder = self.folder.clone();
        let dropped = catch_unwind(AssertUnwindSafe(move || {
            #[cfg(test)]
            super::testing::panic_at(&folder, super::testing::Fault::Drop);
            drop(store);
        }));
        if let Err(panic) = dropped {
            let what = panic_text(panic.as_ref());
            tracing::warn!(folder = %self.folder.display(), what, "a store could not be closed in order");
        }
    }
}

/// Removes a store with its fence. It is moved away first: the fence never goes while what it fences off is still there.
fn remove(folder: &Path) -> Result<(), FileError> {
    let away = folder.with_extension(file::REMOVED);
    let gone = |path: &Path| match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::disk("remove", path)(error)),
        _ => Ok(()),
    };
    gone(&away)?;
    match fs::rename(folder, &away) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        moved => moved.map_err(FileError::disk("move", folder))?,
    }
    sync_folder(folder.parent().unwrap_or(Path::new(".")))?;
    gone(&away)
}

fn open_in_own_thread(folder: &Path) -> Result<sled::Db, StoreError> {
    let config = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).flush_every_ms(None);
    let opened = thread::Builder::new()
        .name("open-store".into())
        .spawn(move || config.open())
        .map_err(FileError::disk("start a thread for", folder))?
        .join();
    match opened {
        Ok(Ok(store)) => Ok(store),
        Ok(Err(source)) => Err(StoreError::Sled { path: folder.to_owned(), source }),
        Err(panic) => Err(StoreError::Panicked { path: folder.to_owned(), what: panic_text(panic.as_ref()) }),
    }
}

/// What a panic said.
pub fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
        .unwrap_or_else(|| "it gave up without a word".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::JournalError;

    #[test]
    fn a_full_disk_and_one_that_is_read_only_are_told_apart_with_what_to_do() {
        let check = |code: i32, says, word: &str| {
            let refused = || io::Error::from_raw_os_error(code);
            let of_file = StoreError::from(FileError::disk("write", Path::new("x"))(refused()));
            // sled hands out copies of its first error, which have its kind alone.
            let sled = sled::Error::Io(io::Error::new(refused().kind(), "copied"));
            let of_sled = StoreError::Sled { path: "x".into(), source: sled };
            for error in [of_file, of_sled] {
                assert_eq!(error.disk_says(), says, "{error:?}");
                let told = JournalError::NotRecorded(Arc::new(error)).to_string();
                assert!(told.starts_with(crate::journal::NOT_RECORDED) && told.contains(word), "{told}");
            }
        };
        check(28, DiskSays::Full, "disk is full");
        check(122, DiskSays::Full, "disk is full");
        check(30, DiskSays::ReadOnly, "can only be read");
        check(5, DiskSays::Other, "does not take it");
    }
}
