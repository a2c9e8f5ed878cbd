//! A disk as a power cut leaves it, made of its recorded writes. Pure but for [`Blocks::write_to`].
//!
//! What was written before the last flush is there. Of what was written after it, each write is there, is not, or is there in some of its
//! sectors: a disk with a cache promises no more, and writes a sector whole or not at all.

use std::{collections::BTreeMap, fs::File, io, ops::Range, os::unix::fs::FileExt as _};

use super::write_log::{Entry, WriteLog};
use crate::seeded::Seeded;

/// Bytes of a block: what file systems write at a time.
pub const BLOCK: usize = 4_096;

/// A part of a disk, by its blocks; those that are not here are zeros.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Blocks(BTreeMap<u64, Box<[u8]>>);

impl Blocks {
    /// Of all bytes of a part, in pieces of whole blocks.
    pub fn push(&mut self, at: u64, bytes: &[u8]) {
        for (index, block) in bytes.chunks(BLOCK).enumerate() {
            if block.iter().any(|byte| *byte != 0) {
                self.write(at + (index * BLOCK) as u64, block);
            }
        }
    }

    /// Writes `bytes` at `at`.
    pub fn write(&mut self, mut at: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let within = usize::try_from(at % BLOCK as u64).unwrap_or(0);
            let (now, rest) = bytes.split_at(bytes.len().min(BLOCK - within));
            let block = self.0.entry(at / BLOCK as u64).or_insert_with(|| vec![0; BLOCK].into());
            block[within..within + now.len()].copy_from_slice(now);
            at += now.len() as u64;
            bytes = rest;
        }
    }

    /// Writes them to `file`, which becomes `length` bytes long.
    ///
    /// # Errors
    /// There is no room.
    pub fn write_to(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)?;
        for (at, block) in self.iter() {
            let room = usize::try_from(length.saturating_sub(at)).unwrap_or(BLOCK).min(BLOCK);
            file.write_all_at(&block[..room], at)?;
        }
        Ok(())
    }

    /// Where each block is, and what stands in it.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.0.iter().map(|(number, block)| (number * BLOCK as u64, &**block))
    }
}

/// How far a log was replayed. Time goes forward only.
#[derive(Debug, Clone)]
pub struct Replay<'a> {
    log: &'a WriteLog,
    /// The part of the disk that is looked at, in bytes.
    from: u64,
    to: u64,
    /// What is safe.
    pub safe: Blocks,
    next: usize,
    waiting: Vec<&'a Entry>,
}

impl<'a> Replay<'a> {
    /// Before the first write; `safe` is what lay in `part` of the disk, in bytes.
    pub fn new(log: &'a WriteLog, safe: Blocks, part: Range<u64>) -> Self {
        Self { log, from: part.start, to: part.end, safe, next: 0, waiting: Vec::new() }
    }

    /// Goes on until so many entries have happened.
    pub fn advance(&mut self, entries: usize) {
        let log = self.log;
        while self.next < entries.min(log.entries.len()) {
            let entry = &log.entries[self.next];
            self.next += 1;
            if entry.flush {
                for waiting in std::mem::take(&mut self.waiting) {
                    self.write(waiting, |_| true);
                }
            }
            // What was given back may still be there, or not: nobody relies on it, and it stays.
            if entry.data.is_empty() || entry.discard {
                continue;
            }
            if entry.fua { self.write(entry, |_| true) } else { self.waiting.push(entry) }
        }
    }

    /// Writes that are not safe.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The disk after a power cut now.
    pub fn cut(&self, seeded: &mut Seeded) -> Blocks {
        let mut left = Self { safe: self.safe.clone(), waiting: Vec::new(), ..*self };
        // From nothing that was not flushed to all of it: both ends are likely on real disks.
        let whole = [0, 20, 50, 80, 100][seeded.index(5)];
        let torn = [0, 30][seeded.index(2)];
        for entry in &self.waiting {
            if seeded.percent(torn) {
                left.write(entry, |_| seeded.percent(50));
            } else if seeded.percent(whole) {
                left.write(entry, |_| true);
            }
        }
        left.safe
    }

    fn write(&mut self, entry: &Entry, mut is_there: impl FnMut(usize) -> bool) {
        let mut at = entry.at;
        for (index, sector) in self.log.data(entry).chunks(self.log.sector).enumerate() {
            if is_there(index) && at >= self.from && at + sector.len() as u64 <= self.to {
                self.safe.write(at - self.from, sector);
            }
            at += sector.len() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::write_log::tests::log, *};

    fn sector(blocks: &Blocks, number: u64) -> u8 {
        let at = number * 512;
        let block = blocks.iter().find(|(from, _)| (*from..from + BLOCK as u64).contains(&at));
        block.map_or(0, |(from, block)| block[usize::try_from(at - from).unwrap()])
    }

    #[test]
    fn what_was_flushed_is_there_and_of_the_rest_every_mixture_of_sectors() {
        let bytes = log(&[(8, &[1; 512], 0), (0, &[], 1), (9, &[2; 1_024], 0), (9, &[3; 512], 0)]);
        let log = WriteLog::parse(bytes).unwrap();
        let mut replay = Replay::new(&log, Blocks::default(), 0..1 << 20);
        replay.advance(1);
        assert_eq!((replay.waiting(), sector(&replay.safe, 8)), (1, 0));
        replay.advance(4);
        assert_eq!((replay.waiting(), sector(&replay.safe, 8)), (2, 1));
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..400 {
            let left = replay.cut(&mut Seeded::new(seed));
            assert_eq!(sector(&left, 8), 1, "what was flushed is lost");
            seen.insert((sector(&left, 9), sector(&left, 10)));
            assert_eq!(left, replay.cut(&mut Seeded::new(seed)), "a seed says it all");
        }
        assert_eq!(Vec::from_iter(seen), [(0, 0), (0, 2), (2, 0), (2, 2), (3, 0), (3, 2)]);
    }

    #[test]
    fn only_the_part_that_is_looked_at_is_kept() {
        let bytes = log(&[(0, &[1; 512], 0), (8, &[2; 1_024], 0), (100, &[3; 512], 0), (0, &[], 1)]);
        let log = WriteLog::parse(bytes).unwrap();
        let mut replay = Replay::new(&log, Blocks::default(), 9 * 512..10 * 512);
        replay.advance(4);
        assert_eq!(replay.safe.iter().count(), 1);
        assert_eq!(sector(&replay.safe, 0), 2);
    }
}
