//! The writer: one thread that puts acts on the disk, many with one sync where many wait.
//!
//! Which acts share a sync, [`super::gather`] says. On a commit's path lie the chain's hashes, sled's insert and flush, and
//! one `fdatasync`; nothing else. After an error a fence is set behind the last fact that was confirmed, before anybody is answered: whatever of an act reached the
//! disk after it does not count, since the caller is told "not recorded". The next act begins another generation. Where even
//! the fence fails, the answer is another one, unless nothing of the act had reached the store: nobody knows what the next
//! start will find.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use pestle_domain::{journal::Head, units::UnixMillis};
use tokio::sync::{mpsc, oneshot};

use super::{
    Committed, JournalError, Life, Place, Shared,
    gather::Gathering,
    generation::{DiskSays, Generation, StoreError, panic_text},
    manifest::{Begun, Entry, Sealed, file, generation_folder},
    record::Draft,
};
use crate::durable_file::{self, FileError, create_folder};

/// Acts that share one sync: all counters of a branch at once, and a bound for what one error takes back.
const GROUP_ACTS_MAX: usize = 64;

/// What the writer is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Record an act.
    Append(Append),
    /// Make the store that the first act needs, and say when that was tried.
    MakeReady(oneshot::Sender<()>),
    /// End, and say when it is done.
    Close(oneshot::Sender<()>),
}

/// An act that was laid out.
#[derive(Debug)]
pub(crate) struct Append {
    /// Taken when it is written.
    pub(crate) draft: Draft,
    pub(crate) facts: u64,
    pub(crate) answer: oneshot::Sender<Result<Committed, JournalError>>,
}

pub(crate) fn spawn(shared: Arc<Shared>, commands: mpsc::Receiver<Command>) -> Result<(), JournalError> {
    let name = format!("journal-{}", shared.stream.lane.as_str());
    let folder = shared.settings.folder.clone();
    let head = *shared.committed();
    let gathering = Gathering::default();
    let writer = Writer { shared, generation: None, head, bytes: 0, gathering };
    thread::Builder::new()
        .name(name)
        .spawn(move || writer.run(commands))
        .map_err(|source| FileError::disk("start a thread for", &folder)(source))?;
    Ok(())
}

struct Writer {
    shared: Arc<Shared>,
    /// `None` before the first act and after an error, until one was begun.
    generation: Option<Arc<Generation>>,
    head: Head,
    /// Of the current generation's records.
    bytes: u64,
    gathering: Gathering,
}

impl Writer {
    fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let worked = catch_unwind(AssertUnwindSafe(|| self.work(&mut commands)));
        if let Err(panic) = worked {
            // Nobody joins the queue any more. Who waits in it hears that the writer died, not that the box is ending.
            commands.close();
            self.shared.died(format!("the journal's writer failed: {}", panic_text(panic.as_ref())));
            if let Some(store) = self.generation.take() {
                Generation::abandon(store);
            }
        }
    }

    /// Until the journal is closed.
    fn work(&mut self, commands: &mut mpsc::Receiver<Command>) {
        let mut taken = Vec::with_capacity(GROUP_ACTS_MAX);
        let mut group = Vec::with_capacity(GROUP_ACTS_MAX);
        let ends = |command: &Command| matches!(command, Command::Close(_));
        while self.gathering.next(commands, &mut taken, GROUP_ACTS_MAX, ends) {
            let mut close = None;
            for command in taken.drain(..) {
                match command {
                    Command::Append(append) => group.push(append),
                    Command::MakeReady(done) => {
                        self.make_ready();
                        // Whoever asked need not wait.
                        let _ = done.send(());
                    }
                    Command::Close(done) => close = Some(done),
                }
            }
            self.commit(&mut group, commands);
            if let Some(done) = close {
                commands.close();
                self.end();
                // Whoever asked may have gone.
                let _ = done.send(());
                return;
            }
            self.rotate_if_full();
        }
        self.end();
    }

    /// Those in `commands` came too late for this one.
    fn commit(&mut self, group: &mut Vec<Append>, commands: &mpsc::Receiver<Command>) {
        if group.is_empty() {
            return;
        }
        let (acts, began) = (group.len(), Instant::now());
        #[cfg(test)]
        super::testing::panic_at(&self.shared.settings.folder, super::testing::Fault::Writer);
        let shared = self.shared.clone();
        let outcome = shared.counters.commits_took.measure(|| {
            self.store().and_then(|store| {
                catch_unwind(AssertUnwindSafe(|| self.write(&store, group))).unwrap_or_else(|panic| {
                    Err(StoreError::Panicked { path: self.folder(), what: panic_text(panic.as_ref()) })
                })
            })
        });
        match outcome {
            Ok((heads, bytes)) => {
                self.gathering.committed(acts, commands.len(), began.elapsed());
                self.committed(group, &heads, bytes);
            }
            Err(error) => {
                self.gathering = Gathering::default();
                self.failed(group, error);
            }
        }
    }

    fn make_ready(&mut self) {
        let made = catch_unwind(AssertUnwindSafe(|| self.store().map(drop))).unwrap_or_else(|panic| {
            Err(StoreError::Panicked { path: self.folder(), what: panic_text(panic.as_ref()) })
        });
        if let Err(error) = made {
            // The first act tries again. Until then the box's health tells it.
            tracing::error!(error = ?error, "the journal's store could not be made");
            self.shared.out_of_room.store(error.disk_says() == DiskSays::Full, Relaxed);
            let told = JournalError::NotRecorded(Arc::new(error)).to_string();
            self.shared.trouble.send_replace(Some(told));
        }
    }

    /// The store; another one if the last commit failed.
    fn store(&mut self) -> Result<Arc<Generation>, StoreError> {
        if let Some(store) = &self.generation {
            return Ok(store.clone());
        }
        self.begin_next()?;
        tracing::info!(lane = self.shared.stream.lane.as_str(), "the journal writes to a new store");
        self.generation
            .clone()
            .ok_or_else(|| StoreError::Panicked { path: self.folder(), what: "no store".to_owned() })
    }

    fn folder(&self) -> PathBuf {
        let book = self.shared.book();
        book.current().generations.last().map(Entry::store).unwrap_or_default()
    }

    fn write(&self, store: &Generation, group: &mut [Append]) -> Result<(Vec<Head>, u64), StoreError> {
        let mut head = self.head;
        let mut bytes = 0;
        let mut heads = Vec::with_capacity(group.len());
        for append in group {
            head = head.after_all(&self.shared.stream, append.draft.lines());
            let chunks = std::mem::take(&mut append.draft).placed(self.head.seq, &head);
            bytes += chunks.iter().map(|(_, chunk)| chunk.len() as u64).sum::<u64>();
            store.insert(chunks)?;
            heads.push(head);
        }
        store.commit()?;
        Ok((heads, bytes))
    }

    fn committed(&mut self, group: &mut Vec<Append>, heads: &[Head], bytes: u64) {
        let epoch = self.shared.stream.epoch;
        let counters = &self.shared.counters;
        let before = self.head;
        self.head = heads.last().copied().unwrap_or(before);
        self.bytes += bytes;
        // Before the answers: who was told must be able to read it back.
        *self.shared.committed() = self.head;
        self.shared.keeper.owe();
        self.shared.out_of_room.store(false, Relaxed);
        self.shared.trouble.send_if_modified(|trouble| trouble.take().is_some());
        counters.acts.fetch_add(group.len() as u64, Relaxed);
        counters.facts.fetch_add(self.head.seq - before.seq, Relaxed);
        counters.commits.fetch_add(1, Relaxed);
        for (append, head) in group.drain(..).zip(heads) {
            let first = Place { epoch, seq: head.seq + 1 - append.facts };
            let last = Place { epoch, seq: head.seq };
            // A caller that went away has its act recorded all the same.
            let _ = append.answer.send(Ok(Committed { first, last, head: *head }));
        }
        self.shared.head.send_replace(self.head);
    }

    fn failed(&mut self, group: &mut Vec<Append>, error: StoreError) {
        let error = Arc::new(error);
        self.shared.counters.failures.fetch_add(group.len() as u64, Relaxed);
        // sled's errors stick: the next commit begins another store. Without a store nothing of the group was written.
        let store = self.generation.take();
        self.shared.stores.set_current(None);
        let fenced = store.as_ref().map_or(Ok(()), |store| {
            let untouched = |_: &StoreError| store.is_untouched_behind(self.head.seq, &error);
            store
                .fence(self.head)
                .or_else(|unfenced| if untouched(&unfenced) { Ok(()) } else { Err(unfenced) })
        });
        let told = match fenced {
            Ok(()) => JournalError::NotRecorded(error.clone()),
            Err(unfenced) => {
                let lane = self.shared.stream.lane.as_str();
                tracing::error!(lane, error = ?unfenced, "what failed to be recorded could not be fenced off");
                JournalError::Unknown(error.clone())
            }
        };
        tracing::error!(lane = self.shared.stream.lane.as_str(), acts = group.len(), error = ?error, "{told}");
        self.shared.out_of_room.store(error.disk_says() == DiskSays::Full, Relaxed);
        self.shared.trouble.send_replace(Some(told.to_string()));
        for append in group.drain(..) {
            let _ = append.answer.send(Err(told.clone()));
        }
        store.into_iter().for_each(Generation::abandon);
    }

    fn rotate_if_full(&mut self) {
        let first = self.shared.book().current().generations.last().map_or(1, Entry::first);
        let limits = &self.shared.settings.limits;
        let facts = self.head.seq + 1 - first;
        if facts < limits.generation_facts && self.bytes < limits.generation_bytes {
            return;
        }
        if let Err(error) = self.begin_next() {
            // The generation grows on, and the next commit tries again.
            tracing::error!(error = ?error, "a full generation of the journal could not be sealed");
        }
    }

    /// Seals the current generation at the last confirmed fact, and begins the next. One without a confirmed fact is
    /// begun again in its place.
    fn begin_next(&mut self) -> Result<(), StoreError> {
        let (old, epoch) = {
            let book = self.shared.book();
            let epoch = book.current();
            (epoch.generations.last().cloned(), epoch.folder.clone())
        };
        let Some(old) = old else { return Ok(()) };
        let again = old.sealed.is_none() && old.begun.before == self.head;
        if old.sealed.is_none() && !again {
            self.shared.keeper.mark();
            let sealed = seal(&old, self.head, now()).inspect_err(|_| {
                // It may be there all the same, and then it counts: nothing may be written behind it.
                if old.folder.join(file::SEALED).exists() {
                    self.generation = None;
                    self.shared.stores.set_current(None);
                }
            })?;
            if let Some(entry) = self.shared.book_mut().current_mut().generations.last_mut() {
                entry.sealed = Some(sealed);
            }
            self.shared.counters.sealed.fetch_add(1, Relaxed);
        }
        // From here on the old one is not written any more, whatever becomes of the next.
        self.generation = None;
        self.shared.stores.set_current(None);
        let next = if again { old } else { begin_generation(&epoch, self.head)? };
        // Somebody may have read what was there before.
        self.shared.stores.close(&next.folder);
        let store = Arc::new(Generation::create(&next.store())?);
        self.shared.stores.set_current(Some((next.folder.clone(), store.clone())));
        if !again {
            self.shared.book_mut().current_mut().generations.push(next);
        }
        self.generation = Some(store);
        self.bytes = 0;
        Ok(())
    }

    fn end(&mut self) {
        self.shared.life.send_replace(Life::Closed);
        self.generation = None;
        self.shared.keeper.end();
        self.shared.stores.close_all();
    }
}

/// Makes the folder of the generation behind `before`, so that it survives a power cut.
pub(crate) fn begin_generation(epoch: &std::path::Path, before: Head) -> Result<Entry, FileError> {
    let folder = generation_folder(epoch, before.seq + 1);
    create_folder(&folder)?;
    let begun = Begun { before };
    durable_file::write_json(&folder.join(file::BEGUN), &begun)?;
    Ok(Entry { folder, begun, sealed: None })
}

/// Writes that a generation takes no more facts, and ends with `last`.
pub(crate) fn seal(entry: &Entry, last: Head, at: UnixMillis) -> Result<Sealed, FileError> {
    let sealed = Sealed { last, facts: last.seq - entry.begun.before.seq, at, acknowledged: None };
    write_seal(&entry.folder, &sealed)?;
    Ok(sealed)
}

/// Writes what is known of a sealed generation.
pub(crate) fn write_seal(folder: &std::path::Path, sealed: &Sealed) -> Result<(), FileError> {
    durable_file::write_json(&folder.join(file::SEALED), sealed)
}

/// The wall clock, for whoever reads the files: nothing is decided by it.
pub(crate) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
