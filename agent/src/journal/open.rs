//! Opening a journal: what was found wrong is written down, then repaired: the generation that was being written is sealed
//! at the last act that joins, and a new one begins; a new epoch, where facts may have been lost. Its store is made by the writer,
//! who alone needs it.

use std::{
    fs,
    path::{Path, PathBuf},
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
    load::{Loaded, Undescribed, load, numbered},
    manifest::{Book, Epoch, EpochManifest, epoch_folder, file, parse_epoch_folder},
    mark::{Mark, MarkFile},
    raw::RawStore,
    told::Findings,
    writer::{begin_generation, seal},
};
use crate::durable_file::{self, FileError, create_folder, sync_folder};

/// An opened lane.
pub(crate) struct Opened {
    pub(crate) book: Book,
    pub(crate) head: Head,
    pub(crate) findings: Findings,
    /// A generation that was scanned, with its folder.
    pub(crate) scanned: Option<(PathBuf, RawStore)>,
}

/// Opens, checks and repairs the lane in `settings.folder`.
pub(crate) fn open(settings: &Settings, now: UnixMillis) -> Result<Opened, JournalError> {
    create_folder(&settings.folder)?;
    finish_removals(&settings.folder)?;
    let loaded = load(settings, now)?;
    let places = places_aside(&settings.folder, &loaded.undescribed);
    let findings = write_down(&settings.folder, &loaded, &places)?;
    let goes_on = last_goes_on(&loaded, &findings, &settings.stream);
    for (undescribed, place) in loaded.undescribed.iter().zip(&places) {
        set_aside(&settings.folder, &undescribed.folder, place)?;
    }
    for epoch in loaded.epochs.iter().filter(|epoch| is_redescribed(epoch, &loaded.findings)) {
        durable_file::write_json(&epoch.folder.join(file::EPOCH), &epoch.manifest)?;
    }
    let scanned = loaded.scanned;
    let mut epochs = loaded.epochs;
    if let Some(epoch) = epochs.last_mut().filter(|_| loaded.unsealed)
        && let Some(entry) = epoch.generations.last_mut()
    {
        entry.sealed = Some(seal(entry, epoch.head, now)?);
    }
    if !goes_on {
        let number = next_number(&settings.folder)?.max(settings.stream.epoch);
        epochs.push(begin_epoch(settings, number, epochs.last())?);
    }
    let mut book = Book { epochs };
    let current = book.current_mut();
    if current.generations.is_empty() {
        make_mark(&current.folder)?;
    }
    if current.generations.last().is_none_or(|entry| entry.sealed.is_some()) {
        current.generations.push(begin_generation(&current.folder, current.head)?);
    }
    let head = current.head;
    // One that had no fact is made anew.
    let last = current.generations.last().map(|entry| entry.folder.clone());
    let scanned = scanned.filter(|(scanned, _)| last.as_ref() != Some(scanned));
    Ok(Opened { book, head, findings, scanned })
}

/// The lane as it lies there, for whoever only looks: nothing is changed.
pub(crate) fn look(settings: &Settings, now: UnixMillis) -> Result<(Book, Findings), JournalError> {
    let loaded = load(settings, now)?;
    let mut findings = Findings::read(&settings.folder)?;
    findings.add(loaded.findings);
    findings.add(loaded.undescribed.into_iter().map(|one| unreadable(&one.what, one.folder)));
    let mut epochs = loaded.epochs;
    if epochs.is_empty() {
        let stream = Stream { epoch: 1, ..settings.stream.clone() };
        let manifest =
            EpochManifest { stream, store: StoreId(Uuid::nil()), parent: None, carried: Vec::new() };
        epochs.push(empty_epoch(epoch_folder(&settings.folder, 1), manifest));
    }
    Ok((Book { epochs }, findings))
}

/// The act that opens a new epoch.
pub(crate) fn epoch_opened(manifest: &EpochManifest, stamp: &Stamp) -> Act {
    let EpochManifest { store, parent, carried, .. } = manifest.clone();
    let opened = EpochOpened { store, parent, carried };
    Act::new(ActId(Uuid::now_v7()), &Actor::Machine, stamp, vec![opened.into()], || FactId(Uuid::now_v7()))
}

/// Writes down what was found, before anything is repaired, and returns all that waits to be told.
fn write_down(lane: &Path, loaded: &Loaded, places: &[PathBuf]) -> Result<Findings, FileError> {
    let mut findings = Findings::read(lane)?;
    let aside = loaded.undescribed.iter().zip(places);
    let mut new = findings.add(aside.map(|(one, place)| unreadable(&one.what, place.clone())));
    new |= findings.add(loaded.findings.iter().cloned());
    if new {
        findings.write(lane)?;
    }
    Ok(findings)
}

fn is_redescribed(epoch: &Epoch, findings: &[Finding]) -> bool {
    findings.contains(&Finding::Redescribed { epoch: epoch.number() })
}

fn unreadable(what: &str, kept: PathBuf) -> Finding {
    Finding::EpochUnreadable { what: what.to_owned(), kept }
}

/// The last epoch as it was found.
#[derive(Debug, Clone, Copy)]
pub struct Last<'a> {
    /// Whose facts it has.
    pub stream: &'a Stream,
    /// As far as the centre has it.
    pub acknowledged: u64,
    /// Whether it lost facts at its end, or may have.
    pub end_lost: bool,
}

/// Whether the last epoch may go on: it is this box's (`stream`), nothing was lost at its end, and nothing that it lost
/// before stands between its next facts and the centre.
pub fn goes_on<'f>(last: Last<'_>, stream: &Stream, findings: impl IntoIterator<Item = &'f Finding>) -> bool {
    let number = last.stream.epoch;
    let blocked = findings.into_iter().any(|finding| finding.blocks(number, last.acknowledged));
    // Another device, branch or term: its facts are another stream's.
    let same_stream = Stream { epoch: number, ..stream.clone() } == *last.stream;
    same_stream && !last.end_lost && !blocked
}

fn last_goes_on(loaded: &Loaded, findings: &Findings, stream: &Stream) -> bool {
    let Some(epoch) = loaded.epochs.last() else { return false };
    let last = Last {
        stream: &epoch.manifest.stream,
        acknowledged: epoch.acknowledged.seq,
        end_lost: loaded.end_lost,
    };
    goes_on(last, stream, findings.all()) && loaded.undescribed.is_empty()
}

/// Removes what the power cut off while it was being removed.
fn finish_removals(lane: &Path) -> Result<(), FileError> {
    let is_leftover = |name: &str| name.strip_suffix(file::REMOVED)?.strip_suffix('.').map(drop);
    let mut folders = vec![lane.to_owned()];
    folders.extend(numbered(lane, parse_epoch_folder)?.into_iter().map(|(_, folder)| folder));
    for folder in folders {
        for ((), leftover) in numbered(&folder, is_leftover)? {
            fs::remove_dir_all(&leftover).map_err(FileError::disk("remove", &leftover))?;
        }
    }
    Ok(())
}

/// One more than any epoch that was ever here, those that were set aside among them.
fn next_number(lane: &Path) -> Result<u32, FileError> {
    let kept = numbered(lane, parse_epoch_folder)?;
    let aside = numbered(&lane.join(file::DAMAGED), |name| {
        parse_epoch_folder(name.split_once('.').map_or(name, |(name, _)| name))
    })?;
    let mut carried = Vec::new();
    for (_, folder) in numbered(&lane.join(file::ASIDE), |name| Some(name.to_owned()))? {
        carried.extend(numbered(&folder, parse_epoch_folder)?);
    }
    Ok(kept.iter().chain(&aside).chain(&carried).map(|(number, _)| *number).max().unwrap_or(0) + 1)
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
        carried: Vec::new(),
    };
    durable_file::write_json(&folder.join(file::EPOCH), &manifest)?;
    Ok(empty_epoch(folder, manifest))
}

/// Sees to it that an epoch has its mark before it has a generation: the power may have gone between its description and its
/// mark, and where there are facts, a mark that is missing is damage.
pub(super) fn make_mark(epoch: &Path) -> Result<(), FileError> {
    let (mut mark, found) = MarkFile::open(&epoch.join(file::MARK))?;
    if found.is_none() {
        mark.write(&Mark::EMPTY)?;
    }
    Ok(())
}

fn empty_epoch(folder: PathBuf, manifest: EpochManifest) -> Epoch {
    Epoch {
        folder,
        manifest,
        generations: Vec::new(),
        head: Head::EMPTY,
        acknowledged: Head::EMPTY,
        incarnation: 0,
        witness: None,
    }
}

/// Where each is kept from now on: under `damaged/`, by a name that is free.
fn places_aside(lane: &Path, undescribed: &[Undescribed]) -> Vec<PathBuf> {
    let damaged = lane.join(file::DAMAGED);
    let free = |one: &Undescribed| {
        let name = one.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        (1..)
            .map(|number: u32| damaged.join(format!("{name}.{number}")))
            .find(|path| !path.exists())
            .unwrap_or_else(|| damaged.join(name))
    };
    undescribed.iter().map(free).collect()
}

/// Moves `folder` to `place`, untouched.
fn set_aside(lane: &Path, folder: &Path, place: &Path) -> Result<(), FileError> {
    let damaged = lane.join(file::DAMAGED);
    create_folder(&damaged)?;
    fs::rename(folder, place).map_err(FileError::disk("move", folder))?;
    sync_folder(&damaged)?;
    sync_folder(folder.parent().unwrap_or(lane))
}
