//! The raw log of a store: its blocks as the disk gives them, and the whole chunks that lie in them.

use std::{collections::BTreeMap, fs::File, io, os::unix::fs::FileExt as _, path::Path};

use super::super::record::{self, CHUNK_BYTES_MAX, Chunk, ChunkName, MAGIC, RecordError};

/// What is scanned in one go; a sealed log of 200 MiB must not fill a small box's memory.
const BLOCK_BYTES: usize = 1024 * 1024;
/// What is given up at a time where the disk cannot read: a sector of most disks, a page of every system.
const SECTOR_BYTES: usize = 4096;
/// A sector that fails is asked for so often: some come back.
const SECTOR_TRIES: usize = 3;

/// A log as it is read; a trait, so that a test can be the disk.
pub(super) trait ReadLog: std::fmt::Debug + Send + Sync {
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

/// The file.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    #[cfg(test)]
    path: std::path::PathBuf,
}

impl Log {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: File::open(path)?,
            #[cfg(test)]
            path: path.to_owned(),
        })
    }
}

impl ReadLog for Log {
    fn size(&self) -> io::Result<u64> {
        self.file.metadata().map(|metadata| metadata.len())
    }
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        #[cfg(test)]
        crate::journal::testing::read_fault(&self.path, offset, bytes.len())?;
        self.file.read_at(bytes, offset)
    }
}

/// A stretch of the log in memory, for whoever reads acts that lie one behind the other.
#[derive(Debug)]
pub(super) struct Window<'a> {
    log: Option<&'a dyn ReadLog>,
    /// Read in one go.
    ahead: usize,
    offset: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(super) fn over(log: Option<&'a dyn ReadLog>, ahead: usize) -> Self {
        Self { log, ahead, offset: 0, bytes: Vec::new() }
    }

    /// The bytes of a chunk; of a log that is not there, none.
    pub(super) fn bytes_of(&mut self, spot: &Spot) -> Result<&[u8], RecordError> {
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
pub(super) struct Spot {
    pub(super) offset: u64,
    pub(super) length: u32,
    /// What the chunk says was on the disk before it.
    pub(super) confirmed: Option<u64>,
}

/// Finds every whole chunk, and counts the sectors that the disk could not read. sled copies values when it tidies its
/// pages; the copies are equal, and the first is taken.
pub(super) fn scan(log: &dyn ReadLog) -> io::Result<(BTreeMap<ChunkName, Spot>, u64)> {
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
    use crate::journal::testing::stream;
    use pestle_domain::{ids::ActId, journal::Head};

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
    fn a_log_that_is_shorter_than_it_says_ends_where_it_ends() {
        let bytes = log(4);
        let length = bytes.len() as u64 + 10_000;
        let (found, _) = found(&Disk { bytes, bad: vec![], length });
        assert_eq!(found, [1, 2, 3, 4]);
    }
}
