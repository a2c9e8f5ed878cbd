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

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use pestle_domain::journal::{Head, Stream};

use super::{
    generation::{LOG, StoreError},
    record::{self, CHUNK_BYTES_MAX, Chunk, ChunkName, Joiner, MAGIC, RecordError, StoredAct},
};
use crate::durable_file::{FileError, is_unreadable};

/// What is scanned in one go; a sealed log of 200 MiB must not fill a small box's memory.
const BLOCK_BYTES: usize = 1024 * 1024;
/// What is read ahead of acts that lie one behind the other. sled writes some ten sales before it tidies a page, whose copies
/// would be read for nothing.
const AHEAD_BYTES: usize = 24 * 1024;
/// What is given up at a time where the disk cannot read: a sector of most disks, a page of every system.
const SECTOR_BYTES: usize = 4096;
/// A sector that fails is asked for so often: some come back.
const SECTOR_TRIES: usize = 3;

/// A log as it is read; a trait, so that a test can be the disk.
trait ReadLog: std::fmt::Debug + Send + Sync {
    fn size(&self) -> io::Result<u64>;
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let read = self.read_up_to(bytes, offset)?;
        if read < bytes.len() { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Fills `bytes`, or as much of them as the log has.
    fn read_up_to(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(got) => filled += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

#[derive(Debug)]
struct Log {
    file: File,
    #[cfg(test)]
    path: PathBuf,
}

impl ReadLog for Log {
    fn size(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        #[cfg(test)]
        super::testing::read_fault(&self.path, offset, bytes.len())?;
        self.file.read_at(bytes, offset)
    }
}

/// A stretch of the log in memory, for whoever reads acts that lie one behind the other.
#[derive(Debug)]
struct Window<'a> {
    log: Option<&'a dyn ReadLog>,
    /// Read in one go.
    ahead: usize,
    offset: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    fn over(log: Option<&'a dyn ReadLog>, ahead: usize) -> Self {
        Self { log, ahead, offset: 0, bytes: Vec::new() }
    }

    /// The bytes of a chunk; of a log that is not there, none.
    fn bytes_of(&mut self, spot: &Spot) -> Result<&[u8], RecordError> {
        let length = spot.length as usize;
        let within = |window: &Self| {
            let start = usize::try_from(spot.offset.checked_sub(window.offset)?).ok()?;
            let end = start.checked_add(length).filter(|end| *end <= window.bytes.len())?;
            Some(start..end)
        };
        if within(self).is_none()
            && let Some(log) = self.log
        {
            self.offset = spot.offset;
            self.bytes.resize(length.max(self.ahead), 0);
            let read = log.read_up_to(&mut self.bytes, spot.offset);
            self.bytes.truncate(read.unwrap_or(0));
            if self.bytes.len() < length {
                // A sector behind the chunk may be the one that cannot be read.
                self.bytes.resize(length, 0);
                let read = log.read_exact_at(&mut self.bytes, spot.offset);
                read.inspect_err(|_| self.bytes.clear()).map_err(|_| RecordError::Unreadable)?;
            }
        }
        Ok(within(self).and_then(|range| self.bytes.get(range)).unwrap_or_default())
    }
}

/// Where a chunk lies in the log.
#[derive(Debug, Clone, Copy)]
struct Spot {
    offset: u64,
    length: u32,
    /// What the chunk says was on the disk before it.
    confirmed: Option<u64>,
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
    let file = File::open(&path).map_err(FileError::disk("open", &path))?;
    let log = Log {
        file,
        #[cfg(test)]
        path: path.clone(),
    };
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
        let (log, unreadable): (Option<Box<dyn ReadLog>>, u64) = match File::open(&path) {
            Ok(file) => {
                let log = Log {
                    file,
                    #[cfg(test)]
                    path: path.clone(),
                };
                (Some(Box::new(log)), 0)
            }
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
    /// until one of them cannot be read.
    ///
    /// # Errors
    /// [`Lost`] when the first of them cannot be read any more.
    pub fn acts(&self, first: u64, until: u64, bytes_max: usize) -> Result<Vec<StoredAct>, Lost> {
        let from = self.acts.partition_point(|act| act.first < first);
        let mut acts = Vec::new();
        let mut bytes = 0;
        let mut window = Window::over(self.log.as_deref(), AHEAD_BYTES);
        for spot in self.acts[from..].iter().take_while(|spot| spot.after.seq <= until) {
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

/// Finds every whole chunk, and counts the sectors that the disk could not read. sled copies values when it tidies its
/// pages; the copies are equal, and the first is taken.
fn scan(log: &dyn ReadLog) -> io::Result<(BTreeMap<ChunkName, Spot>, u64)> {
    let size = log.size()?;
    let mut found = BTreeMap::new();
    let mut buffer = Vec::with_capacity(BLOCK_BYTES + CHUNK_BYTES_MAX);
    let mut base = 0u64;
    let mut unreadable = 0;
    loop {
        let got = read_block(log, base + buffer.len() as u64, size, &mut buffer, &mut unreadable);
        let ended = got == 0;
        // A chunk that begins behind this may go on in the next block.
        let end = if ended { buffer.len() } else { buffer.len().saturating_sub(CHUNK_BYTES_MAX) };
        let mut at = 0;
        while let Some(step) = find(&buffer[at..end.max(at)], &buffer[at..]) {
            at += step;
            at += match Chunk::parse_unless(&buffer[at..], |name| found.contains_key(name)) {
                Ok(Some(chunk)) => {
                    let length = chunk.stored_bytes();
                    let spot = Spot {
                        offset: base + at as u64,
                        length: u32::try_from(length).unwrap_or(u32::MAX),
                        confirmed: chunk.confirmed,
                    };
                    found.insert((chunk.first, chunk.part), spot);
                    length
                }
                Ok(None) | Err(_) => 1,
            };
        }
        if ended {
            return Ok((found, unreadable));
        }
        let done = end.max(at).min(buffer.len());
        buffer.drain(..done);
        base += done as u64;
    }
}

/// Puts the next block behind what is in `buffer`, and returns its length: 0 at the end. Sectors that cannot be read are
/// zeros, and counted.
fn read_block(
    log: &dyn ReadLog,
    offset: u64,
    size: u64,
    buffer: &mut Vec<u8>,
    unreadable: &mut u64,
) -> usize {
    let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
    let length = left.min(BLOCK_BYTES);
    let start = buffer.len();
    buffer.resize(start + length, 0);
    if length == 0 || log.read_exact_at(&mut buffer[start..], offset).is_ok() {
        return length;
    }
    for (index, sector) in buffer[start..].chunks_mut(SECTOR_BYTES).enumerate() {
        let at = offset + (index * SECTOR_BYTES) as u64;
        let read = (0..SECTOR_TRIES).any(|_| log.read_exact_at(sector, at).is_ok());
        if !read {
            sector.fill(0);
            *unreadable += 1;
        }
    }
    length
}

/// Where the magic begins within `range`; it may end in `whole`, which goes on behind `range`.
fn find(range: &[u8], whole: &[u8]) -> Option<usize> {
    memchr::memchr_iter(MAGIC[0], range).find(|at| record::begins(&whole[*at..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{record, testing::stream};
    use pestle_domain::ids::ActId;

    /// A log in memory with sectors that cannot be read.
    #[derive(Debug)]
    struct Disk {
        bytes: Vec<u8>,
        bad: Vec<u64>,
        length: u64,
    }

    impl ReadLog for Disk {
        fn size(&self) -> io::Result<u64> {
            Ok(self.length)
        }
        fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
            let end = offset + bytes.len() as u64;
            if self.bad.iter().any(|bad| *bad < end && offset < bad + SECTOR_BYTES as u64) {
                return Err(io::Error::from_raw_os_error(5));
            }
            let from = usize::try_from(offset).unwrap().min(self.bytes.len());
            let got = bytes.len().min(self.bytes.len() - from);
            bytes[..got].copy_from_slice(&self.bytes[from..from + got]);
            Ok(got)
        }
    }

    /// Acts of one line, each in a sector of its own.
    fn log(acts: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut head = Head::EMPTY;
        for number in 1..=acts {
            let line = format!("line {number}").into_bytes();
            head = head.after(&stream(), &line);
            for (_, chunk) in record::encode(ActId(uuid::Uuid::nil()), head.seq - 1, &head, &[line], b"") {
                bytes.extend(chunk);
            }
            bytes.resize(bytes.len().next_multiple_of(SECTOR_BYTES), 0);
        }
        bytes
    }

    fn found(disk: &Disk) -> (Vec<u64>, u64) {
        let (found, unreadable) = scan(disk).unwrap();
        (found.into_keys().map(|(first, _)| first).collect(), unreadable)
    }

    #[test]
    fn a_sector_that_cannot_be_read_costs_what_lies_in_it_and_nothing_else() {
        // More than one block, with faults at its border and at the end.
        let acts = 600;
        let bytes = log(acts);
        let length = bytes.len() as u64;
        let all: Vec<u64> = (1..=acts).collect();
        assert_eq!(found(&Disk { bytes: bytes.clone(), bad: vec![], length }), (all.clone(), 0));
        let bad: Vec<u64> = [0, 254, 255, 256, 599].map(|sector| sector * SECTOR_BYTES as u64).to_vec();
        let left: Vec<u64> =
            all.into_iter().filter(|act| !bad.contains(&((act - 1) * SECTOR_BYTES as u64))).collect();
        assert_eq!(found(&Disk { bytes, bad, length }), (left, 5));
    }

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

    #[test]
    fn a_log_that_is_shorter_than_it_says_ends_where_it_ends() {
        let bytes = log(4);
        let length = bytes.len() as u64 + 10_000;
        let (found, _) = found(&Disk { bytes, bad: vec![], length });
        assert_eq!(found, [1, 2, 3, 4]);
    }
}
