//! Opening a journal: what is on the disk is compared with what was written about it, the generation that was being
//! written is sealed at the last act that joins, and a new one begins; a new epoch, where facts may have been lost.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use pestle_domain::{
    fact::{Act, Actor, EpochOpened, Stamp},
    ids::{ActId, FactId, StoreId},
    journal::{Head, Parent, Stream},
    units::UnixMillis,
};
use uuid::Uuid;

use super::{
    Finding, JournalError, Settings,
    generation::Generation,
    manifest::{
        Begun, Book, Entry, Epoch, EpochManifest, Sealed, epoch_folder, file, parse_epoch_folder,
        parse_generation_folder,
    },
    mark::{Mark, MarkFile},
    raw::RawStore,
    writer::{begin_generation, seal},
};
use crate::durable_file::{self, FileError, create_folder, sync_folder};

/// An opened lane.
pub(crate) struct Opened {
    pub(crate) book: Book,
    /// The current generation's folder.
    pub(crate) folder: PathBuf,
    pub(crate) generation: Arc<Generation>,
    pub(crate) head: Head,
    pub(crate) findings: Vec<Finding>,
}

/// Opens and checks the lane in `settings.folder`.
pub(crate) fn open(settings: &Settings, now: UnixMillis) -> Result<Opened, JournalError> {
    create_folder(&settings.folder)?;
    let mut findings = Vec::new();
    let mut epochs = Vec::new();
    for folder in epoch_folders(&settings.folder)? {
        if let Some(epoch) = load_epoch(&settings.folder, folder, now, &mut findings)? {
            epochs.push(epoch);
        }
    }
    let unreadable = findings.iter().any(|finding| matches!(finding, Finding::EpochUnreadable { .. }));
    let goes_on = match epochs.last_mut() {
        Some(epoch) => check_last(epoch, now, &mut findings)? && !unreadable,
        None => false,
    };
    // Another device, branch or term: its facts are another stream's.
    let same_stream = epochs.last().is_some_and(|epoch| {
        Stream { epoch: epoch.number(), ..settings.stream.clone() } == epoch.manifest.stream
    });
    if !(goes_on && same_stream) {
        let number = next_number(&settings.folder)?;
        epochs.push(begin_epoch(settings, number, epochs.last())?);
    }
    let mut book = Book { epochs };
    let current = book.current_mut();
    if current.generations.last().is_none_or(|entry| entry.sealed.is_some()) {
        current.generations.push(begin_generation(&current.folder, current.head)?);
    }
    let last = current.generations.last();
    let (folder, store) = last.map(|entry| (entry.folder.clone(), entry.store())).unwrap_or_default();
    let generation = Arc::new(Generation::create(&store)?);
    let head = current.head;
    Ok(Opened { book, folder, generation, head, findings })
}

/// The act that opens a new epoch.
pub(crate) fn epoch_opened(book: &Book, stamp: &Stamp) -> Act {
    let manifest = &book.current().manifest;
    let opened = EpochOpened { store: manifest.store, parent: manifest.parent.clone() };
    Act::new(ActId(Uuid::now_v7()), &Actor::Machine, stamp, vec![opened.into()], || FactId(Uuid::now_v7()))
}

fn epoch_folders(lane: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut found = numbered(lane, parse_epoch_folder)?;
    found.sort_unstable_by_key(|(number, _)| *number);
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn numbered<N>(folder: &Path, parse: impl Fn(&str) -> Option<N>) -> Result<Vec<(N, PathBuf)>, FileError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FileError::disk("list", folder)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(FileError::disk("list", folder))?;
        if let Some(number) = entry.file_name().to_str().and_then(&parse) {
            found.push((number, entry.path()));
        }
    }
    Ok(found)
}

/// One more than any epoch that was ever here, those that were set aside among them.
fn next_number(lane: &Path) -> Result<u32, FileError> {
    let kept = numbered(lane, parse_epoch_folder)?;
    let aside = numbered(&lane.join(file::DAMAGED), |name| {
        parse_epoch_folder(name.split_once('.').map_or(name, |(name, _)| name))
    })?;
    Ok(kept.iter().chain(&aside).map(|(number, _)| *number).max().unwrap_or(0) + 1)
}

fn begin_epoch(settings: &Settings, number: u32, parent: Option<&Epoch>) -> Result<Epoch, FileError> {
    let folder = epoch_folder(&settings.folder, number);
    create_folder(&folder)?;
    let manifest = EpochManifest {
        stream: Stream { epoch: number, ..settings.stream.clone() },
        store: StoreId(Uuid::now_v7()),
        parent: parent.map(|epoch| Parent {
            epoch: epoch.number(),
            head: epoch.head,
            store: epoch.manifest.store,
        }),
    };
    durable_file::write_json(&folder.join(file::EPOCH), &manifest)?;
    MarkFile::open(&folder.join(file::MARK))?;
    Ok(Epoch { folder, manifest, generations: Vec::new(), head: Head::EMPTY, acknowledged: Head::EMPTY })
}

/// Reads what an epoch says of itself; `None` when it was set aside, or when it was never begun in full.
fn load_epoch(
    lane: &Path,
    folder: PathBuf,
    now: UnixMillis,
    findings: &mut Vec<Finding>,
) -> Result<Option<Epoch>, FileError> {
    let manifest: EpochManifest = match durable_file::read_json(&folder.join(file::EPOCH)) {
        Ok(Some(manifest)) => manifest,
        Ok(None) if numbered(&folder, parse_generation_folder)?.is_empty() => return Ok(None),
        Ok(None) => return set_epoch_aside(lane, &folder, "its description is missing", findings),
        Err(FileError::Damaged { what, .. }) => return set_epoch_aside(lane, &folder, &what, findings),
        Err(error) => return Err(error),
    };
    let (_, mark) = MarkFile::open(&folder.join(file::MARK))?;
    if mark.is_none() {
        findings.push(Finding::MarkLost { epoch: manifest.stream.epoch });
    }
    let mark = mark.unwrap_or(Mark::EMPTY);
    let generations = load_generations(&folder, now)?;
    let head = generations.last().map_or(mark.written, |entry| match entry.sealed {
        Some(sealed) => sealed.last,
        None => entry.begun.before,
    });
    // What was pruned had been acknowledged, whatever became of the mark.
    let pruned = generations.first().map_or(Head::EMPTY, |entry| entry.begun.before);
    let acknowledged = if mark.acknowledged.seq >= pruned.seq { mark.acknowledged } else { pruned };
    for pair in generations.windows(2) {
        let (last, next) = (pair[0].sealed.map(|sealed| sealed.last.seq), pair[1].first());
        if let Some(last) = last
            && last + 1 < next
        {
            findings.push(Finding::Gap { epoch: manifest.stream.epoch, from: last + 1, to: next - 1 });
        }
    }
    Ok(Some(Epoch { folder, manifest, generations, head, acknowledged }))
}

fn set_epoch_aside(
    lane: &Path,
    folder: &Path,
    what: &str,
    findings: &mut Vec<Finding>,
) -> Result<Option<Epoch>, FileError> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let kept = set_aside(lane, folder, &name)?;
    findings.push(Finding::EpochUnreadable { what: what.to_owned(), kept });
    Ok(None)
}

fn load_generations(epoch: &Path, now: UnixMillis) -> Result<Vec<Entry>, FileError> {
    let mut folders = numbered(epoch, parse_generation_folder)?;
    folders.sort_unstable_by_key(|(first, _)| *first);
    let mut entries: Vec<Entry> = Vec::with_capacity(folders.len());
    for (first, folder) in folders {
        let joined = entries.last().and_then(|entry| entry.sealed).map(|sealed| sealed.last);
        let begun = match durable_file::read_json::<Begun>(&folder.join(file::BEGUN)) {
            Ok(Some(begun)) if begun.before.seq + 1 == first => begun,
            Ok(_) | Err(FileError::Damaged { .. }) => match joined {
                Some(before) if before.seq + 1 == first => Begun { before },
                // The very first fact of an epoch has nothing before it.
                _ if first == 1 => Begun { before: Head::EMPTY },
                // Nobody knows the head before it: no act of it can be proved, and the check will say so.
                _ => Begun { before: Head { seq: first.saturating_sub(1), hash: Head::EMPTY.hash } },
            },
            Err(error) => return Err(error),
        };
        // A damaged one counts as not sealed: the contents are read through and it is written anew.
        let sealed = match durable_file::read_json::<Sealed>(&folder.join(file::SEALED)) {
            Err(FileError::Damaged { .. }) => None,
            other => other?,
        };
        entries.push(Entry { folder, begun, sealed });
    }
    // A generation is begun only once the one before it is sealed: where that cannot be read, the next one says it.
    for index in 1..entries.len() {
        let last = entries[index].begun.before;
        let before = &mut entries[index - 1];
        if before.sealed.is_none() {
            before.sealed =
                Some(Sealed { last, facts: last.seq.saturating_sub(before.begun.before.seq), at: now });
        }
    }
    Ok(entries)
}

/// Checks the end of the last epoch, and seals what was being written there. Says whether the epoch may go on.
fn check_last(epoch: &mut Epoch, now: UnixMillis, findings: &mut Vec<Finding>) -> Result<bool, JournalError> {
    let mark = MarkFile::open(&epoch.folder.join(file::MARK))?.1.unwrap_or(Mark::EMPTY);
    let stream = epoch.manifest.stream.clone();
    let Some(entry) = epoch.generations.last_mut().filter(|entry| entry.sealed.is_none()) else {
        let lost = mark.written.seq > epoch.head.seq;
        if lost {
            findings.push(Finding::Gap {
                epoch: stream.epoch,
                from: epoch.head.seq + 1,
                to: mark.written.seq,
            });
        }
        return Ok(!lost);
    };
    let store = RawStore::open(&entry.store(), &stream, entry.begun.before)?;
    let head = store.head();
    epoch.head = head;
    let finding = judge(&store, &mark, entry, stream.epoch);
    if head != entry.begun.before || finding.is_some() {
        entry.sealed = Some(seal(entry, head, now)?);
    }
    let good = finding.is_none();
    findings.extend(finding);
    Ok(good)
}

/// Compares what can be read with what was certainly written.
fn judge(store: &RawStore, mark: &Mark, entry: &Entry, epoch: u32) -> Option<Finding> {
    let readable = store.head();
    let damaged =
        |what| Finding::Damaged { epoch, first: entry.first(), readable, what, kept: entry.store() };
    if store.is_broken() {
        Some(damaged("an act inside it is not whole"))
    } else if mark.written.seq > readable.seq {
        Some(Finding::TailLost { epoch, marked: mark.written, readable, kept: entry.store() })
    } else if mark.written.seq >= entry.begun.before.seq
        && store.head_at(mark.written.seq) != Some(mark.written)
    {
        Some(damaged("its acts are not those that were marked as written"))
    } else {
        None
    }
}

/// Moves `folder` under `damaged/`, untouched, and returns where it lies.
fn set_aside(lane: &Path, folder: &Path, name: &str) -> Result<PathBuf, FileError> {
    let damaged = lane.join(file::DAMAGED);
    create_folder(&damaged)?;
    let kept = (1..)
        .map(|number: u32| damaged.join(format!("{name}.{number}")))
        .find(|path| !path.exists())
        .unwrap_or_else(|| damaged.join(name));
    fs::rename(folder, &kept).map_err(FileError::disk("move", folder))?;
    sync_folder(&damaged)?;
    sync_folder(folder.parent().unwrap_or(lane))?;
    Ok(kept)
}
