//! Recording everything once more: an epoch that holds all acts of those before it, as they were, behind the fact that opens it.
//!
//! It is what resolves a fork. The centre joins one history of a stream; what another store wrote under the same name can only
//! come to it in a stream of its own. All kept acts are carried, acknowledged ones too: the streams that they stand in are not
//! sent any more, and a centre that is put back to the minute before must be able to have them again. By their facts' ids the
//! centre knows those that it has, and gives them no second effect.
//!
//! ```text
//!   lane/epoch-00001                       lane/aside/before-00007/epoch-00001     untouched
//!   lane/building/epoch-00007   ──swap──►  lane/epoch-00007                        goes on
//! ```
//!
//! [`build`] writes beside the journal and changes nothing in it; [`swap`] is renames alone, and may be repeated until it comes to
//! its end. Who decides and in which order is [`crate::appeal`].

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use pestle_domain::{
    fact::{BoxBooksIncomplete, Envelope, Stamp},
    ids::{ActId, StoreId},
    journal::{Carried, Head, Parent, Stream},
    units::UnixMillis,
};
use uuid::Uuid;

use super::{
    EpochState, Journal, JournalError, Limits, Place, StoreError,
    generation::Generation,
    load::numbered,
    manifest::{Entry, EpochManifest, epoch_folder, file, parse_epoch_folder},
    mark::{Mark, MarkFile},
    open::{epoch_opened, make_mark},
    record::{self, StoredAct},
    writer::{begin_generation, seal},
};
use crate::durable_file::{self, FileError, create_folder, sync_folder};

/// What is handed to the disk between two syncs, in bytes of lines. Nobody waits for any one act, and all of it is thrown away
/// where it does not come to its end.
const COMMIT_BYTES: usize = 4 * 1024 * 1024;

/// An epoch that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The new store.
    pub store: StoreId,
    /// After its last fact.
    pub head: Head,
    /// Acts that were carried.
    pub acts: u64,
    /// The epochs that they stood in, which are to be set aside.
    pub epochs: Vec<u32>,
    /// Facts of them that could not be read, as was known before.
    pub left_out: Vec<BoxBooksIncomplete>,
}

/// Whether an act is recorded once more: all are, but what a store says of itself alone.
pub fn is_carried(kind: &str) -> bool {
    kind != "epoch.opened"
}

/// Whether an epoch's acts may stand in another one of `stream`'s box: facts are booked where their stream says, and what
/// happened in one branch never counts in another.
pub fn may_carry(epoch: &Stream, stream: &Stream) -> bool {
    (&epoch.tenant, &epoch.branch, epoch.lane) == (&stream.tenant, &stream.branch, stream.lane)
}

/// What the new epoch says that it holds: each life with its facts that were still here, but for those `left_out`, and what those say
/// in turn.
pub fn carried_of<'a>(
    epochs: impl IntoIterator<Item = &'a EpochState>,
    left_out: &[BoxBooksIncomplete],
) -> Vec<Carried> {
    let of = |epoch: &EpochState| {
        let number = epoch.stream.epoch;
        let mut first = epoch.first_kept;
        let mut own = Vec::new();
        for hole in left_out.iter().filter(|hole| hole.epoch == number) {
            own.push(Carried { epoch: number, first, last: hole.from.saturating_sub(1) });
            first = hole.to + 1;
        }
        // A hole at the end is told by a range with nothing in it behind.
        own.push(Carried { epoch: number, first, last: epoch.head.seq });
        epoch.carried.iter().copied().chain(own).collect::<Vec<_>>()
    };
    epochs.into_iter().flat_map(of).collect()
}

/// Builds epoch `number` beside the journal, out of everything that is in it. What an attempt before left there is removed. Blocks on
/// the disk; nothing may be recorded meanwhile.
///
/// What is known to be damaged is left out, and the new epoch does not say that it holds it; a finding that does not say where the
/// damage ends stands for the rest of its generation. What cannot be read just now and is
/// no finding yet would be lost with the epoch that is set aside: nothing is built then.
///
/// # Errors
/// [`JournalError::Store`] when the disk refuses, [`JournalError::Hole`] when it does not read what it should: the journal is as
/// it was.
pub fn build(journal: &Journal, number: u32, stamp: &Stamp) -> Result<Built, JournalError> {
    let known = journal.known_findings();
    let mut left_out = Vec::new();
    loop {
        let built = attempt(journal, number, stamp, &left_out)?;
        if built.left_out == left_out {
            return Ok(built);
        }
        let is_new = |hole: &&BoxBooksIncomplete| !known.iter().any(|finding| finding.explains(hole));
        // What differs from one reading to the next is no damage that is known either.
        let fresh = built.left_out.iter().find(is_new).or_else(|| left_out.first());
        if let Some(BoxBooksIncomplete { epoch, from, to }) = fresh.cloned() {
            return Err(JournalError::Hole { epoch, from, to, kept: journal.folder().to_owned() });
        }
        // The epoch's first fact says what it holds: it is written anew.
        left_out = built.left_out;
    }
}

fn attempt(
    journal: &Journal,
    number: u32,
    stamp: &Stamp,
    left_out: &[BoxBooksIncomplete],
) -> Result<Built, JournalError> {
    let settings = &journal.shared.settings;
    let building = settings.folder.join(file::BUILDING);
    remove(&building)?;
    create_folder(&building)?;
    let stream = Stream { epoch: number, ..settings.stream.clone() };
    let epochs: Vec<EpochState> =
        journal.epochs().into_iter().filter(|epoch| may_carry(&epoch.stream, &stream)).collect();
    let manifest = EpochManifest {
        stream,
        store: StoreId(Uuid::now_v7()),
        parent: epochs.last().map(|epoch| Parent {
            epoch: epoch.stream.epoch,
            head: epoch.head,
            store: epoch.store,
        }),
        carried: carried_of(&epochs, left_out),
    };
    let mut builder = Builder::begin(&building, &manifest, settings.limits)?;
    let opened = epoch_opened(&manifest, stamp);
    let lines: Vec<Vec<u8>> = opened
        .facts
        .iter()
        .map(|fact| fact.to_line())
        .collect::<Result<_, _>>()
        .map_err(|_| JournalError::Unwritable)?;
    builder.push(opened.id, &lines, &[], stamp.wall_ms)?;
    let numbers: Vec<u32> = epochs.iter().map(|epoch| epoch.stream.epoch).collect();
    let (mut acts, mut holes) = (0, Vec::new());
    let push = |place: Place, act: &StoredAct| -> Result<(), JournalError> {
        if numbers.contains(&place.epoch) && act_is_carried(act) {
            let lines: Vec<Vec<u8>> = act.lines().map(<[u8]>::to_vec).collect();
            builder.push(act.act, &lines, act.attachment(), stamp.wall_ms)?;
            acts += 1;
        }
        Ok(())
    };
    journal.for_each_and_hole(Place::START, push, |hole| holes.push(hole))?;
    holes.retain(|hole: &BoxBooksIncomplete| numbers.contains(&hole.epoch));
    let head = builder.end(stamp.wall_ms)?;
    Ok(Built { store: manifest.store, head, acts, epochs: numbers, left_out: holes })
}

/// An act that cannot be read is carried as well: the chain vouches that it was written so.
fn act_is_carried(act: &StoredAct) -> bool {
    act.lines().next().and_then(|line| Envelope::parse(line).ok()).is_none_or(|fact| is_carried(&fact.kind))
}

/// Puts the epoch that was built into the place of `epochs`, which are set aside untouched. It may be repeated after a power cut
/// until it comes to its end, and does nothing then. Blocks on the disk.
///
/// # Errors
/// [`FileError::Disk`].
pub fn swap(lane: &Path, number: u32, epochs: &[u32]) -> Result<(), FileError> {
    let aside = lane.join(file::ASIDE).join(format!("before-{number:05}"));
    create_folder(&aside)?;
    for (_, folder) in numbered(lane, |name| parse_epoch_folder(name).filter(|found| epochs.contains(found)))?
    {
        let place = aside.join(folder.file_name().unwrap_or_default());
        fs::rename(&folder, &place).map_err(FileError::disk("move", &folder))?;
    }
    sync_folder(&aside)?;
    sync_folder(lane)?;
    let built = epoch_folder(&lane.join(file::BUILDING), number);
    if built.exists() {
        fs::rename(&built, epoch_folder(lane, number)).map_err(FileError::disk("move", &built))?;
        sync_folder(lane)?;
    }
    remove(&lane.join(file::BUILDING))
}

/// Throws away what was built and is not wanted. Blocks on the disk.
///
/// # Errors
/// [`FileError::Disk`].
pub fn give_up(lane: &Path) -> Result<(), FileError> {
    remove(&lane.join(file::BUILDING))
}

/// Bytes that everything in the lane takes, and so what its acts take once more. Blocks on the disk.
///
/// # Errors
/// [`FileError::Disk`].
pub fn bytes_of(lane: &Path) -> Result<u64, FileError> {
    let mut bytes = 0;
    for (_, folder) in numbered(lane, parse_epoch_folder)? {
        bytes += folder_bytes(&folder)?;
    }
    Ok(bytes)
}

fn folder_bytes(folder: &Path) -> Result<u64, FileError> {
    let mut bytes = 0;
    for ((), path) in numbered(folder, |_| Some(()))? {
        let about = fs::symlink_metadata(&path).map_err(FileError::disk("look at", &path))?;
        bytes += if about.is_dir() { folder_bytes(&path)? } else { about.len() };
    }
    Ok(bytes)
}

fn remove(folder: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(FileError::disk("remove", folder)(error))
        }
        Err(_) => Ok(()),
        Ok(()) => sync_folder(folder.parent().unwrap_or(Path::new("."))),
    }
}

/// Writes an epoch that nobody reads before it is whole.
struct Builder<'a> {
    manifest: &'a EpochManifest,
    folder: PathBuf,
    limits: Limits,
    head: Head,
    entry: Entry,
    store: Arc<Generation>,
    /// The last fact that was synced.
    confirmed: u64,
    /// Handed over since.
    unsynced: usize,
    /// Of the generation.
    bytes: u64,
}

impl<'a> Builder<'a> {
    fn begin(building: &Path, manifest: &'a EpochManifest, limits: Limits) -> Result<Self, JournalError> {
        let folder = epoch_folder(building, manifest.stream.epoch);
        create_folder(&folder)?;
        durable_file::write_json(&folder.join(file::EPOCH), manifest)?;
        make_mark(&folder)?;
        let entry = begin_generation(&folder, Head::EMPTY)?;
        let store = Arc::new(Generation::create(&entry.store())?);
        Ok(Self {
            manifest,
            folder,
            limits,
            head: Head::EMPTY,
            entry,
            store,
            confirmed: 0,
            unsynced: 0,
            bytes: 0,
        })
    }

    fn push(
        &mut self,
        act: ActId,
        lines: &[Vec<u8>],
        attachment: &[u8],
        now: UnixMillis,
    ) -> Result<(), StoreError> {
        if self.head.seq - self.entry.begun.before.seq >= self.limits.generation_facts
            || self.bytes >= self.limits.generation_bytes
        {
            self.rotate(now)?;
        }
        self.head = self.head.after_all(&self.manifest.stream, lines.iter().map(Vec::as_slice));
        let chunks = record::encode(act, self.confirmed, &self.head, lines, attachment);
        let size: usize = chunks.iter().map(|(_, chunk)| chunk.len()).sum();
        self.store.insert(chunks)?;
        self.bytes += size as u64;
        self.unsynced += size;
        if self.unsynced >= COMMIT_BYTES { self.sync() } else { Ok(()) }
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.store.commit()?;
        self.confirmed = self.head.seq;
        self.unsynced = 0;
        Ok(())
    }

    fn rotate(&mut self, now: UnixMillis) -> Result<(), StoreError> {
        self.sync()?;
        seal(&self.entry, self.head, now)?;
        self.entry = begin_generation(&self.folder, self.head)?;
        self.store = Arc::new(Generation::create(&self.entry.store())?);
        self.bytes = 0;
        Ok(())
    }

    /// Everything is on the disk; the mark says so, and the last generation is sealed, since its store is not opened again.
    fn end(mut self, now: UnixMillis) -> Result<Head, StoreError> {
        self.sync()?;
        seal(&self.entry, self.head, now)?;
        let (mut mark, _) = MarkFile::open(&self.folder.join(file::MARK))?;
        mark.write(&Mark { written: self.head, ..Mark::EMPTY })?;
        sync_folder(&self.folder)?;
        Ok(self.head)
    }
}

#[cfg(test)]
#[path = "carry_tests.rs"]
mod tests;
