//! Reads a store that is no longer written, out of the raw bytes of sled's log, without sled.
//!
//! Opening an existing store with sled 0.34 panics on some damage, silently drops records on other, and in both cases
//! writes into the very file (found by running it). So sled writes fresh stores only, and whatever was written is read
//! here: sled keeps values of our size unbroken in its log, a chunk names itself completely, so every chunk whose bytes are
//! whole is found wherever it lies. What is found counts as far as the chain of hashes reaches. Behind a break, whole acts
//! are still there to be read (an *island*): each has its checksum, and they are chained among themselves. The file is never
//! changed.
//!
//! A block that the disk cannot read is left out, like a damaged one: what lies around it is still found.

mod log;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use pestle_domain::journal::{Head, Stream};

use super::{
    generation::{LOG, StoreError},
    record::{Chunk, ChunkName, Joiner, RecordError, StoredAct},
};
use crate::durable_file::{FileError, is_unreadable};
use log::{Log, ReadLog, Spot, Window, scan};

/// What is read ahead of acts that lie one behind the other. sled writes some ten sales before it tidies a page, whose copies
/// would be read for nothing.
const AHEAD_BYTES: usize = 24 * 1024;

/// An act and the chunks that it lies in.
#[derive(Debug, Clone, Copy)]
struct ActSpot {
    first: u64,
    after: Head,
    chunks: (u32, u32),
}

/// A store that is no longer written, verified from its first act to the last that joins.
#[derive(Debug)]
pub struct RawStore {
    folder: PathBuf,
    log: Option<Box<dyn ReadLog>>,
    spots: Vec<Spot>,
    acts: Vec<ActSpot>,
    /// How many of `acts` join from `before` on; the rest are islands.
    joined: usize,
    before: Head,
    beyond: bool,
    unreadable: u64,
}

/// Whether the log in `folder` holds any chunk of an act that begins behind fact `seq`.
///
/// # Errors
/// [`StoreError::File`] when the disk refuses, and so nobody knows.
pub fn holds_behind(folder: &Path, seq: u64) -> Result<bool, StoreError> {
    let path = folder.join(LOG);
    let log = Log::open(&path).map_err(FileError::disk("open", &path))?;
    let (found, unreadable) = scan(&log).map_err(FileError::disk("read", &path))?;
    Ok(unreadable > 0 || found.keys().any(|(first, _)| *first > seq))
}

/// An act that was there when the store was opened and cannot be read any more.
#[derive(Debug)]
pub struct Lost {
    /// Its last fact.
    pub last: u64,
    /// Why.
    pub source: StoreError,
}

impl RawStore {
    /// Scans the store in `folder` and verifies the acts behind `before`. A log that is not there has none, and neither has
    /// one that the disk cannot read at all.
    ///
    /// # Errors
    /// [`StoreError::File`] when the disk refuses, for another reason than a bad sector.
    pub fn open(folder: &Path, stream: &Stream, before: Head) -> Result<Self, StoreError> {
        let path = folder.join(LOG);
        let (log, unreadable): (Option<Box<dyn ReadLog>>, u64) = match Log::open(&path) {
            Ok(log) => (Some(Box::new(log)), 0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (None, 0),
            Err(error) if is_unreadable(&error) => (None, 1),
            Err(error) => return Err(FileError::disk("open", &path)(error).into()),
        };
        let (found, sectors) = match &log {
            Some(log) => scan(log.as_ref()).map_err(FileError::disk("read", &path))?,
            None => Default::default(),
        };
        let mut store = Self {
            folder: folder.to_owned(),
            log,
            spots: Vec::new(),
            acts: Vec::new(),
            joined: 0,
            before,
            beyond: false,
            unreadable: unreadable + sectors,
        };
        store.verify(found, stream);
        Ok(store)
    }

    /// Blocks of the log that the disk could not read.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// The head after the last act that joins.
    pub fn head(&self) -> Head {
        self.joined().last().map_or(self.before, |act| act.after)
    }

    /// The end of the island that `written` lies in, a head that was certainly written: everything in it was, too.
    pub fn end_behind(&self, written: Head) -> Option<Head> {
        let islands = &self.acts[self.joined..];
        let index = islands.iter().position(|act| act.after == written)?;
        let mut end = written;
        for act in &islands[index + 1..] {
            if act.first == end.seq + 1 {
                end = act.after;
            }
        }
        Some(end)
    }

    fn joined(&self) -> &[ActSpot] {
        &self.acts[..self.joined]
    }

    /// The last fact before `last` or at it that cannot be read; `None` where all can.
    pub fn last_missing(&self, last: u64) -> Option<u64> {
        let mut missing = None;
        let mut next = self.before.seq + 1;
        for act in self.acts.iter().take_while(|act| act.after.seq <= last) {
            if act.first > next {
                missing = Some(act.first - 1);
            }
            next = act.after.seq + 1;
        }
        if next <= last { Some(last) } else { missing }
    }

    /// Whether acts are missing that had been confirmed, as what lies behind them says.
    pub fn is_broken(&self) -> bool {
        self.beyond
    }

    /// The acts from the one that begins at or behind `first` up to fact `until`, until their lines exceed `bytes_max`, or
    /// until one of them is missing or cannot be read: whoever goes on behind them meets the hole.
    ///
    /// # Errors
    /// [`Lost`] when the first of them cannot be read any more.
    pub fn acts(&self, first: u64, until: u64, bytes_max: usize) -> Result<Vec<StoredAct>, Lost> {
        let from = self.acts.partition_point(|act| act.first < first);
        let mut acts = Vec::new();
        let mut bytes = 0;
        let mut window = Window::over(self.log.as_deref(), AHEAD_BYTES);
        for spot in self.acts[from..].iter().take_while(|spot| spot.after.seq <= until) {
            if acts.last().is_some_and(|act: &StoredAct| act.after.seq + 1 != spot.first) {
                break;
            }
            let act = match self.read_act(spot, &mut window) {
                Ok(act) => act,
                Err(source) if acts.is_empty() => return Err(Lost { last: spot.after.seq, source }),
                Err(_) => break,
            };
            bytes += act.line_bytes();
            acts.push(act);
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(acts)
    }

    /// The act that has the fact at `seq`, and the head before it, which nobody knows for the first act of an island.
    ///
    /// # Errors
    /// [`StoreError::Record`] when bytes changed since the store was opened, or cannot be read any more.
    pub fn act_with(&self, seq: u64) -> Result<Option<(Option<Head>, StoredAct)>, StoreError> {
        let index = self.acts.partition_point(|act| act.after.seq < seq);
        let Some(spot) = self.acts.get(index).filter(|spot| spot.first <= seq) else { return Ok(None) };
        let before = index.checked_sub(1).map_or(self.before, |index| self.acts[index].after);
        let joins = before.seq + 1 == spot.first;
        let act = self.read_act(spot, &mut Window::over(self.log.as_deref(), 0))?;
        Ok(Some((joins.then_some(before), act)))
    }

    /// The head of that number, if an act that joins ends there.
    pub fn head_at(&self, seq: u64) -> Option<Head> {
        if seq == self.before.seq {
            return Some(self.before);
        }
        let joined = self.joined();
        let index = joined.partition_point(|act| act.after.seq < seq);
        joined.get(index).map(|act| act.after).filter(|head| head.seq == seq)
    }

    /// Bytes of all records.
    pub fn stored_bytes(&self) -> u64 {
        self.spots.iter().map(|spot| u64::from(spot.length)).sum()
    }

    fn verify(&mut self, found: BTreeMap<ChunkName, Spot>, stream: &Stream) {
        let mut head = self.before;
        let log = self.log.take();
        let mut window = Window::over(log.as_deref(), AHEAD_BYTES);
        let mut chunks = found.into_iter().filter(|((first, _), _)| *first > self.before.seq).peekable();
        while let Some(((first, part), spot)) = chunks.peek().copied() {
            // A power cut takes any part of what was not confirmed, and leaves the others. Only what was confirmed must be
            // there; of acts of an older agent nobody knows, and so whole acts behind a gap count as damage.
            let known = spot.confirmed.map(|confirmed| confirmed > self.head().seq);
            self.beyond |= known.unwrap_or(first > self.head().seq + 1 && part == 0);
            let begun = self.spots.len();
            while let Some((_, spot)) = chunks.next_if(|((next, _), _)| *next == first) {
                self.spots.push(spot);
            }
            let is_island = first > head.seq + 1;
            match join(&self.spots[begun..], &mut window, |bytes| Chunk::parse_again(bytes)) {
                Ok(act) if is_island || act.verify(stream, &head).is_ok() => {
                    if self.joined == self.acts.len() && !is_island {
                        self.joined += 1;
                    }
                    let number = |index| u32::try_from(index).unwrap_or(u32::MAX);
                    let chunks = (number(begun), number(self.spots.len()));
                    self.acts.push(ActSpot { first, after: act.after, chunks });
                    head = act.after;
                }
                Ok(_) | Err(_) => self.spots.truncate(begun),
            }
        }
        self.log = log;
    }

    fn read_act(&self, spot: &ActSpot, window: &mut Window<'_>) -> Result<StoredAct, StoreError> {
        let damaged =
            |source| StoreError::Record { path: self.folder.clone(), behind: spot.first - 1, source };
        let (from, to) = (spot.chunks.0 as usize, spot.chunks.1 as usize);
        let spots = self.spots.get(from..to).unwrap_or_default();
        let act = join(spots, window, |bytes| Chunk::parse(bytes)).map_err(damaged)?;
        if act.after == spot.after { Ok(act) } else { Err(damaged(RecordError::Chain)) }
    }
}

/// The act that lies in these chunks, each of them read by `parse`.
fn join(
    spots: &[Spot],
    window: &mut Window<'_>,
    parse: fn(&[u8]) -> Result<Chunk<'_>, RecordError>,
) -> Result<StoredAct, RecordError> {
    let mut joiner = Joiner::default();
    let mut joined = None;
    for spot in spots {
        joined = parse(window.bytes_of(spot)?).and_then(|chunk| joiner.join(chunk))?;
    }
    joined.ok_or(RecordError::Parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{record, testing::stream};
    use pestle_domain::ids::ActId;

    #[test]
    fn acts_that_were_not_confirmed_may_be_missing_before_one_that_is_there_and_confirmed_ones_may_not() {
        // The second of three acts never reached the disk; the third says what had been confirmed when it was written.
        let check = |confirmed: u64, is_broken: bool| {
            let folder = tempfile::tempdir().unwrap();
            let mut head = Head::EMPTY;
            let mut bytes = Vec::new();
            for number in 1..=3_u64 {
                let line = format!("line {number}").into_bytes();
                head = head.after(&stream(), &line);
                let before = if number == 3 { confirmed } else { 0 };
                let chunks = record::encode(ActId(uuid::Uuid::nil()), before, &head, &[line], b"");
                bytes.extend(chunks.into_iter().filter(|_| number != 2).flat_map(|(_, chunk)| chunk));
            }
            std::fs::write(folder.path().join(LOG), bytes).unwrap();
            let store = RawStore::open(folder.path(), &stream(), Head::EMPTY).unwrap();
            assert_eq!((store.head().seq, store.is_broken()), (1, is_broken), "{confirmed} were confirmed");
        };
        check(0, false);
        check(1, false);
        check(2, true);
    }
}
