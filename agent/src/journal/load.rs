//! What lies in a lane's folder, compared with what was written about it. Nothing is changed here: [`super::open`] repairs,
//! and `journal show` only looks.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use pestle_domain::{
    fact::{EpochOpened, Fact, FactBody},
    journal::{Head, Stream},
    units::UnixMillis,
};

use super::{
    Finding, JournalError, Settings, fence,
    manifest::{
        Begun, Entry, Epoch, EpochManifest, Sealed, file, generation_folder, parse_epoch_folder,
        parse_generation_folder,
    },
    mark::{self, Mark},
    raw::RawStore,
};
use crate::durable_file::{self, FileError};

/// A lane as it lies there.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// Those that describe themselves, the oldest first. The head of the last is as far as it can be read.
    pub(crate) epochs: Vec<Epoch>,
    /// Those that nobody can describe.
    pub(crate) undescribed: Vec<Undescribed>,
    /// Whether the last generation of the last epoch holds anything, and so is to be sealed at that epoch's head.
    pub(crate) unsealed: bool,
    /// What is wrong with epochs that describe themselves.
    pub(crate) findings: Vec<Finding>,
    /// Whether the last epoch lost facts at its end, or may have.
    pub(crate) end_lost: bool,
    /// The last generation of the last epoch as it was scanned, with its folder: it is read next.
    pub(crate) scanned: Option<(PathBuf, RawStore)>,
}

/// An epoch that cannot be described.
#[derive(Debug)]
pub(crate) struct Undescribed {
    pub(crate) folder: PathBuf,
    pub(crate) what: String,
}

/// Reads and checks the lane in `settings.folder`. `now` dates what was sealed without a readable date.
pub(crate) fn load(settings: &Settings, now: UnixMillis) -> Result<Loaded, JournalError> {
    let mut loaded = Loaded::default();
    for folder in epoch_folders(&settings.folder)? {
        match describe(&folder, &settings.stream)? {
            Description::Good(manifest) => {
                let epoch = load_epoch(folder, *manifest, now, &mut loaded.findings)?;
                loaded.epochs.push(epoch);
            }
            Description::Rebuilt(manifest) => {
                loaded.findings.push(Finding::Redescribed { epoch: manifest.stream.epoch });
                let epoch = load_epoch(folder, *manifest, now, &mut loaded.findings)?;
                loaded.epochs.push(epoch);
            }
            Description::Unreadable(what) => loaded.undescribed.push(Undescribed { folder, what }),
            Description::NeverBegun => {}
        }
    }
    if let Some(epoch) = loaded.epochs.last_mut() {
        let known = loaded.findings.len();
        (loaded.unsealed, loaded.scanned) = check_end(epoch, &mut loaded.findings)?;
        loaded.end_lost = loaded.findings.len() > known;
    }
    Ok(loaded)
}

fn epoch_folders(lane: &Path) -> Result<Vec<PathBuf>, FileError> {
    let mut found = numbered(lane, parse_epoch_folder)?;
    found.sort_unstable_by_key(|(number, _)| *number);
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// The folders whose names `parse` takes.
pub(crate) fn numbered<N>(
    folder: &Path,
    parse: impl Fn(&str) -> Option<N>,
) -> Result<Vec<(N, PathBuf)>, FileError> {
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

enum Description {
    Good(Box<EpochManifest>),
    /// Its file cannot be read; its first fact says the same.
    Rebuilt(Box<EpochManifest>),
    Unreadable(String),
    /// The power went before its first generation was made: nothing can be in it.
    NeverBegun,
}

/// What an epoch says of itself; where that cannot be read, what its first fact says.
fn describe(folder: &Path, stream: &Stream) -> Result<Description, FileError> {
    let what = match durable_file::read_json(&folder.join(file::EPOCH)) {
        Ok(Some(manifest)) => return Ok(Description::Good(Box::new(manifest))),
        Ok(None) if numbered(folder, parse_generation_folder)?.is_empty() => {
            return Ok(Description::NeverBegun);
        }
        Ok(None) => "its description is missing".to_owned(),
        Err(FileError::Damaged { what, .. }) => what,
        Err(error) => return Err(error),
    };
    Ok(match from_first_fact(folder, stream) {
        Some(manifest) => Description::Rebuilt(Box::new(manifest)),
        None => Description::Unreadable(what),
    })
}

/// The chain's hashes cover the stream: the first act joins only under the right one.
fn from_first_fact(folder: &Path, stream: &Stream) -> Option<EpochManifest> {
    let epoch = parse_epoch_folder(folder.file_name()?.to_str()?)?;
    let store = generation_folder(folder, 1).join(file::STORE);
    (1..=stream.term).rev().find_map(|term| {
        let stream = Stream { epoch, term, ..stream.clone() };
        let first = RawStore::open(&store, &stream, Head::EMPTY).ok()?.acts(1, u64::MAX, 1).ok()?.pop()?;
        let fact = Fact::from_line(first.lines().next()?).ok()??;
        let FactBody::EpochOpened(opened) = fact.body else { return None };
        let EpochOpened { store, parent, carried } = opened;
        Some(EpochManifest { stream, store, parent, carried })
    })
}

fn load_epoch(
    folder: PathBuf,
    manifest: EpochManifest,
    now: UnixMillis,
    findings: &mut Vec<Finding>,
) -> Result<Epoch, FileError> {
    let number = manifest.stream.epoch;
    let generations = load_generations(&folder, now)?;
    let read = mark::read(&folder.join(file::MARK));
    // An epoch that has no generation yet may not have its mark either.
    if read.is_none() && !generations.is_empty() {
        findings.push(Finding::MarkLost { epoch: number });
    }
    let mark = read.unwrap_or(Mark::EMPTY);
    let head = generations.last().map_or(mark.written, |entry| match entry.sealed {
        Some(sealed) => sealed.last,
        None => entry.begun.before,
    });
    let first = generations.first().map_or(Head::EMPTY, |entry| entry.begun.before);
    let mut gap = |last: u64, next: u64| {
        if last + 1 < next {
            findings.push(Finding::Gap { epoch: number, from: last + 1, to: next - 1 });
        }
    };
    // Only what was acknowledged is ever removed, and the mark says it before.
    let acknowledged = match read {
        Some(mark) => {
            gap(mark.acknowledged.seq, first.seq + 1);
            mark.acknowledged
        }
        None => first,
    };
    for pair in generations.windows(2) {
        if let Some(sealed) = pair[0].sealed {
            gap(sealed.last.seq, pair[1].first());
        }
    }
    let Mark { incarnation, witness, .. } = mark;
    Ok(Epoch { folder, manifest, generations, head, acknowledged, incarnation, witness })
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
            before.sealed = Some(Sealed {
                last,
                facts: last.seq.saturating_sub(before.begun.before.seq),
                at: now,
                acknowledged: None,
            });
        }
    }
    Ok(entries)
}

/// Finds how far the last epoch can be read. Says whether its last generation is to be sealed there, and hands out what it
/// scanned.
fn check_end(
    epoch: &mut Epoch,
    findings: &mut Vec<Finding>,
) -> Result<(bool, Option<(PathBuf, RawStore)>), JournalError> {
    let mark = mark::read(&epoch.folder.join(file::MARK)).unwrap_or(Mark::EMPTY);
    let stream = &epoch.manifest.stream;
    let Some(entry) = epoch.generations.last().filter(|entry| entry.sealed.is_none()) else {
        if mark.written.seq > epoch.head.seq {
            findings.push(Finding::Gap {
                epoch: stream.epoch,
                from: epoch.head.seq + 1,
                to: mark.written.seq,
            });
        }
        return Ok((false, None));
    };
    let store = RawStore::open(&entry.store(), stream, entry.begun.before)?;
    let fence = fence::read(&entry.store());
    let finding = judge(&store, fence, &mark, entry, stream.epoch);
    // What lies behind a fence was told as "not recorded".
    let fenced = fence.filter(|fence| store.head_at(fence.seq) == Some(*fence));
    // What lies behind a damaged act was sold all the same: it cannot reach the centre, but it belongs in the books.
    let behind = store.end_behind(fence.unwrap_or(mark.written)).map(|end| fence.unwrap_or(end));
    epoch.head = fenced.or(behind).unwrap_or(store.head());
    let unsealed = epoch.head != entry.begun.before || finding.is_some();
    findings.extend(finding);
    let folder = entry.folder.clone();
    Ok((unsealed, Some((folder, store))))
}

/// Compares what can be read with what was certainly written.
fn judge(store: &RawStore, fence: Option<Head>, mark: &Mark, entry: &Entry, epoch: u32) -> Option<Finding> {
    let readable = store.head();
    let written = fence.filter(|fence| fence.seq > mark.written.seq).unwrap_or(mark.written);
    let damaged = |what: &str| Finding::Damaged {
        epoch,
        first: entry.first(),
        readable,
        until: None,
        what: what.to_owned(),
        kept: entry.store(),
    };
    if (fence.is_none() && store.is_broken()) || store.end_behind(written).is_some() {
        Some(damaged("an act inside it is not whole"))
    } else if written.seq > readable.seq {
        Some(Finding::TailLost { epoch, marked: written, readable, kept: entry.store() })
    } else if written.seq >= entry.begun.before.seq && store.head_at(written.seq) != Some(written) {
        Some(damaged("its acts are not those that were marked as written"))
    } else if fence.is_none() && store.unreadable() > 0 {
        Some(damaged("the disk cannot read some of its blocks"))
    } else {
        None
    }
}
