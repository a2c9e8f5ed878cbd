//! Which stores are open: the current generation's always, and of those that are no longer written no more than two at a
//! time, since the index of one costs some megabytes.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use pestle_domain::journal::Stream;

use super::{
    generation::{Generation, StoreError},
    manifest::Entry,
    raw::RawStore,
};

/// Sealed stores that stay open: the one that the relay reads, and the next or one that a person looks at.
const SEALED_OPEN_MAX: usize = 2;
/// A sealed store that nobody read for this long is closed when the keeper looks next.
const UNUSED_MAX: Duration = Duration::from_secs(5);

/// The open stores.
#[derive(Debug)]
pub struct Stores {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    current: Option<(PathBuf, Arc<Generation>)>,
    /// The one used last is the last.
    sealed: Vec<(PathBuf, Arc<RawStore>, Instant)>,
}

impl Stores {
    /// Takes a store that was scanned already.
    pub fn keep_open(&self, folder: PathBuf, store: RawStore) {
        self.lock().sealed.push((folder, Arc::new(store), Instant::now()));
    }

    /// None is written yet, or ever, for whoever only looks.
    pub fn without_current() -> Self {
        Self { inner: Mutex::new(Inner { current: None, sealed: Vec::new() }) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The store that is being written, if it is this generation's.
    pub fn current(&self, entry: &Entry) -> Option<Arc<Generation>> {
        let inner = self.lock();
        inner.current.as_ref().filter(|(folder, _)| *folder == entry.folder).map(|(_, store)| store.clone())
    }

    /// The store of a generation that is no longer written, scanned and verified if it is not open yet.
    ///
    /// # Errors
    /// [`StoreError`] when the disk refuses.
    pub fn sealed(&self, entry: &Entry, stream: &Stream) -> Result<Arc<RawStore>, StoreError> {
        let known = self.open_sealed(&entry.folder);
        // Scanning takes long, and meanwhile the others read on. Two that scan the same cost time alone.
        let store = match known {
            Some(store) => store,
            None => Arc::new(RawStore::open(&entry.store(), stream, entry.begun.before)?),
        };
        let mut inner = self.lock();
        inner.sealed.retain(|(folder, ..)| *folder != entry.folder);
        inner.sealed.push((entry.folder.clone(), store.clone(), Instant::now()));
        let surplus = inner.sealed.len().saturating_sub(SEALED_OPEN_MAX);
        inner.sealed.drain(..surplus);
        Ok(store)
    }

    fn open_sealed(&self, folder: &Path) -> Option<Arc<RawStore>> {
        let inner = self.lock();
        inner.sealed.iter().find(|(known, ..)| known == folder).map(|(_, store, _)| store.clone())
    }

    /// The writer goes on with another generation's store; `None` while it has none.
    pub fn set_current(&self, current: Option<(PathBuf, Arc<Generation>)>) {
        // The one before is let go of outside of the lock: sled syncs it.
        let _before = std::mem::replace(&mut self.lock().current, current);
    }

    /// Closes the store of the generation in `folder`, should it be open.
    pub fn close(&self, folder: &Path) {
        self.lock().sealed.retain(|(path, ..)| path != folder);
    }

    /// Closes what nobody read for a while.
    pub fn close_unused(&self) {
        let now = Instant::now();
        self.lock().sealed.retain(|(_, _, used)| now.duration_since(*used) < UNUSED_MAX);
    }

    /// Closes all.
    pub fn close_all(&self) {
        self.set_current(None);
        self.lock().sealed.clear();
    }
}
