//! Reads a store that is no longer written, out of the raw bytes of sled's log, without sled.
//!
//! Opening an existing store with sled 0.34 panics on some damage, silently drops records on other, and in both cases
//! writes into the very file (found by running it). So sled writes fresh stores only, and whatever was written is read
//! here: sled keeps values of our size unbroken in its log, a chunk names itself completely, so every chunk whose bytes are
//! whole is found wherever it lies. What is found counts as far as the chain of hashes reaches. The file is never changed.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use pestle_domain::journal::{Head, Stream};

use super::{
    generation::{LOG, StoreError},
    record::{CHUNK_BYTES_MAX, Chunk, ChunkName, Joiner, MAGIC, RecordError, StoredAct},
};
use crate::durable_file::FileError;

/// What is scanned in one go; a sealed log of 200 MiB must not fill a small box's memory.
const BLOCK_BYTES: usize = 1024 * 1024;

/// Where a chunk lies in the log.
#[derive(Debug, Clone, Copy)]
struct Spot {
    offset: u64,
    length: u32,
}

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
    log: Option<File>,
    spots: Vec<Spot>,
    acts: Vec<ActSpot>,
    before: Head,
    beyond: bool,
}

impl RawStore {
    /// Scans the store in `folder` and verifies the acts behind `before`. A log that is not there has none.
    ///
    /// # Errors
    /// [`StoreError::File`] when the disk refuses.
    pub fn open(folder: &Path, stream: &Stream, before: Head) -> Result<Self, StoreError> {
        let path = folder.join(LOG);
        let log = match File::open(&path) {
            Ok(log) => Some(log),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(FileError::disk("open", &path)(error).into()),
        };
        let found =
            log.as_ref().map_or_else(|| Ok(BTreeMap::new()), scan).map_err(FileError::disk("read", &path))?;
        let mut store = Self {
            folder: folder.to_owned(),
            log,
            spots: Vec::new(),
            acts: Vec::new(),
            before,
            beyond: false,
        };
        store.verify(found, stream)?;
        Ok(store)
    }

    /// The head after the last act that joins.
    pub fn head(&self) -> Head {
        self.acts.last().map_or(self.before, |act| act.after)
    }

    /// Whether there are acts behind a place where the chain is broken.
    pub fn is_broken(&self) -> bool {
        self.beyond
    }

    /// The acts from the one that begins at or behind `first` up to fact `until`, until their lines exceed `bytes_max`.
    ///
    /// # Errors
    /// [`StoreError::Record`] when bytes changed since the store was opened, [`StoreError::File`].
    pub fn acts(&self, first: u64, until: u64, bytes_max: usize) -> Result<Vec<StoredAct>, StoreError> {
        let from = self.acts.partition_point(|act| act.first < first);
        let mut acts = Vec::new();
        let mut bytes = 0;
        for spot in self.acts[from..].iter().take_while(|spot| spot.after.seq <= until) {
            let act = self.read_act(spot)?;
            bytes += act.line_bytes();
            acts.push(act);
            if bytes >= bytes_max {
                break;
            }
        }
        Ok(acts)
    }

    /// The act that has the fact at `seq`, and the head before it.
    ///
    /// # Errors
    /// As [`RawStore::acts`].
    pub fn act_with(&self, seq: u64) -> Result<Option<(Head, StoredAct)>, StoreError> {
        let index = self.acts.partition_point(|act| act.after.seq < seq);
        let Some(spot) = self.acts.get(index).filter(|spot| spot.first <= seq) else { return Ok(None) };
        let before = index.checked_sub(1).map_or(self.before, |index| self.acts[index].after);
        Ok(Some((before, self.read_act(spot)?)))
    }

    /// The head of that number, if an act ends there.
    pub fn head_at(&self, seq: u64) -> Option<Head> {
        if seq == self.before.seq {
            return Some(self.before);
        }
        let index = self.acts.partition_point(|act| act.after.seq < seq);
        self.acts.get(index).map(|act| act.after).filter(|head| head.seq == seq)
    }

    /// Bytes of all records.
    pub fn stored_bytes(&self) -> u64 {
        self.spots.iter().map(|spot| u64::from(spot.length)).sum()
    }

    fn verify(&mut self, found: BTreeMap<ChunkName, Spot>, stream: &Stream) -> Result<(), StoreError> {
        let mut head = self.before;
        let mut joiner = Joiner::default();
        let mut begun = 0;
        let mut chunks = found.into_iter().filter(|((first, _), _)| *first > self.before.seq).peekable();
        while let Some(((first, _), spot)) = chunks.peek().copied() {
            if first != head.seq + 1 {
                break;
            }
            let joined = self.read_chunk(&spot, |chunk| joiner.join(chunk))?;
            let act = match joined {
                Ok(Some(act)) if act.verify(stream, &head).is_ok() => Some(act),
                Ok(None) => None,
                Ok(Some(_)) | Err(_) => break,
            };
            chunks.next();
            self.spots.push(spot);
            if let Some(act) = act {
                let end = u32::try_from(self.spots.len()).unwrap_or(u32::MAX);
                self.acts.push(ActSpot { first: act.first, after: act.after, chunks: (begun, end) });
                (begun, head) = (end, act.after);
            }
        }
        // An act whose last parts were never written is what a power cut leaves; whole acts behind it are damage.
        self.beyond = chunks.any(|((first, part), _)| first > head.seq + 1 && part == 0);
        Ok(())
    }

    fn read_act(&self, spot: &ActSpot) -> Result<StoredAct, StoreError> {
        let mut joiner = Joiner::default();
        let (from, to) = (spot.chunks.0 as usize, spot.chunks.1 as usize);
        let mut outcome = Err(RecordError::Parts);
        for chunk in self.spots.get(from..to).unwrap_or_default() {
            outcome = self.read_chunk(chunk, |chunk| joiner.join(chunk))?;
            if outcome.is_err() {
                break;
            }
        }
        let damaged =
            |source| StoreError::Record { path: self.folder.clone(), behind: spot.first - 1, source };
        match outcome.map_err(damaged)? {
            Some(act) if act.after == spot.after => Ok(act),
            _ => Err(damaged(RecordError::Chain)),
        }
    }

    fn read_chunk<T>(
        &self,
        spot: &Spot,
        mut f: impl FnMut(Chunk<'_>) -> Result<T, RecordError>,
    ) -> Result<Result<T, RecordError>, StoreError> {
        let mut bytes = vec![0; spot.length as usize];
        if let Some(log) = &self.log {
            log.read_exact_at(&mut bytes, spot.offset)
                .map_err(FileError::disk("read", &self.folder.join(LOG)))?;
        }
        Ok(Chunk::parse(&bytes).and_then(&mut f))
    }
}

/// Finds every whole chunk. sled copies values when it tidies its pages; the copies are equal, and the first is taken.
fn scan(log: &File) -> io::Result<BTreeMap<ChunkName, Spot>> {
    let mut log = io::BufReader::with_capacity(0, log);
    let mut found = BTreeMap::new();
    let mut buffer = Vec::with_capacity(BLOCK_BYTES + CHUNK_BYTES_MAX);
    let mut base = 0u64;
    loop {
        let got = log.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut buffer)?;
        let ended = got == 0;
        // A chunk that begins behind this may go on in the next block.
        let end = if ended { buffer.len() } else { buffer.len().saturating_sub(CHUNK_BYTES_MAX) };
        let mut at = 0;
        while let Some(step) = find(&buffer[at..end.max(at)], &buffer[at..]) {
            at += step;
            at += match Chunk::parse_unless(&buffer[at..], |name| found.contains_key(name)) {
                Ok(Some(chunk)) => {
                    let length = chunk.stored_bytes();
                    let spot =
                        Spot { offset: base + at as u64, length: u32::try_from(length).unwrap_or(u32::MAX) };
                    found.insert((chunk.first, chunk.part), spot);
                    length
                }
                Ok(None) | Err(_) => 1,
            };
        }
        if ended {
            return Ok(found);
        }
        let done = end.max(at).min(buffer.len());
        buffer.drain(..done);
        base += done as u64;
    }
}

/// Where the magic begins within `range`; it may end in `whole`, which goes on behind `range`.
fn find(range: &[u8], whole: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(step) = range.get(at..)?.iter().position(|byte| *byte == MAGIC[0]) {
        at += step;
        if whole[at..].starts_with(MAGIC) {
            return Some(at);
        }
        at += 1;
    }
    None
}
