//! What QEMU's `blklogwrites` keeps of a disk: every write, in the order in which the disk took them, and every flush. Pure but for
//! [`entries_flushed`].
//!
//! The form is that of Linux's dm-log-writes (kernel documentation, `admin-guide/device-mapper/log-writes.rst`; QEMU's
//! `block/blklogwrites.c`), all numbers little-endian: sector 0 is magic, version, number of entries (8 bytes each) and sector size (4);
//! then for each entry a sector with the first sector, the number of sectors, flags and the length of a mark (8 bytes each), and
//! behind it what was written. QEMU counts an entry in sector 0 at the next flush, before it tells the machine that the flush is done.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _, path::Path};

const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
const FLUSH: u64 = 1;
const FUA: u64 = 1 << 1;
const DISCARD: u64 = 1 << 2;
const MARK: u64 = 1 << 3;
/// Of magic, version, count and sector size.
const SUPER_BYTES: usize = 28;
/// Of an entry's own numbers.
const ENTRY_BYTES: usize = 32;

/// Why it is no log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoLog {
    /// Not a log at all, or of another version.
    #[error("this is no log of a disk's writes")]
    Strange,
    /// It ends within an entry.
    #[error("the log ends within its entry {0}")]
    Short(usize),
    /// An entry has flags that nobody knows.
    #[error("entry {0} of the log has unknown flags {1:#x}")]
    Flags(usize, u64),
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where on the disk, in bytes.
    pub at: u64,
    /// How many bytes.
    pub length: u64,
    /// All that was written before it is safe.
    pub flush: bool,
    /// It is safe itself.
    pub fua: bool,
    /// It was given back: it has no bytes.
    pub discard: bool,
    /// Its bytes in the log; none of a flush, a discard or a mark.
    pub data: Range<usize>,
}

/// A log.
#[derive(Debug, Clone)]
pub struct WriteLog {
    bytes: Vec<u8>,
    /// In order.
    pub entries: Vec<Entry>,
    /// Bytes of a sector.
    pub sector: usize,
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
}

impl WriteLog {
    /// Reads a log.
    ///
    /// # Errors
    /// [`NoLog`].
    pub fn parse(bytes: Vec<u8>) -> Result<Self, NoLog> {
        let (count, sector) = head(&bytes).ok_or(NoLog::Strange)?;
        let mut entries = Vec::new();
        let mut at = sector;
        for index in 0..count {
            let short = || NoLog::Short(index);
            let read = |field: usize| number(&bytes, at + 8 * field).ok_or_else(short);
            let (first, sectors, flags, _mark) = (read(0)?, read(1)?, read(2)?, read(3)?);
            if flags & !(FLUSH | FUA | DISCARD | MARK) != 0 {
                return Err(NoLog::Flags(index, flags));
            }
            at += sector;
            let discard = flags & DISCARD != 0;
            let size = sector as u64;
            let length = sectors.checked_mul(size).ok_or_else(short)?;
            // A mark's text follows in the entry's own sector.
            let stored = if discard || flags & MARK != 0 { 0 } else { length };
            let end = usize::try_from(stored).ok().and_then(|stored| at.checked_add(stored));
            let end = end.filter(|end| *end <= bytes.len()).ok_or_else(short)?;
            let from = first.checked_mul(size).ok_or_else(short)?;
            let entry = Entry {
                at: from,
                length,
                flush: flags & FLUSH != 0,
                fua: flags & FUA != 0,
                discard,
                data: at..end,
            };
            entries.push(entry);
            at = end;
        }
        Ok(Self { bytes, entries, sector })
    }

    /// The log as it was read.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What an entry wrote.
    pub fn data(&self, entry: &Entry) -> &[u8] {
        self.bytes.get(entry.data.clone()).unwrap_or_default()
    }
}

/// Number of entries, and bytes of a sector.
fn head(bytes: &[u8]) -> Option<(usize, usize)> {
    let sector = bytes.get(24..SUPER_BYTES)?.try_into().ok().map(u32::from_le_bytes)?;
    let sector =
        usize::try_from(sector).ok().filter(|size| size.is_power_of_two() && *size >= ENTRY_BYTES)?;
    let is_log = number(bytes, 0)? == MAGIC && number(bytes, 8)? == VERSION;
    Some((usize::try_from(number(bytes, 16)?).ok()?, sector)).filter(|_| is_log)
}

/// How many entries lie before the last flush that is done, in a log that is being written.
///
/// # Errors
/// It cannot be read.
pub fn entries_flushed(log: &Path) -> io::Result<usize> {
    let mut bytes = [0; SUPER_BYTES];
    // Nothing is there before the first flush.
    match File::open(log)?.read_exact_at(&mut bytes, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
        read => read?,
    }
    Ok(head(&bytes).map_or(0, |(count, _)| count))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A log of these: first sector, what was written, flags.
    pub(crate) fn log(entries: &[(u64, &[u8], u64)]) -> Vec<u8> {
        let count = entries.len() as u64;
        let mut bytes: Vec<u8> = [MAGIC, VERSION, count].into_iter().flat_map(u64::to_le_bytes).collect();
        bytes.extend(512u32.to_le_bytes());
        bytes.resize(512, 0);
        for (first, data, flags) in entries {
            let sectors = (data.len() / 512) as u64;
            let begin = bytes.len();
            bytes.extend([*first, sectors, *flags, 0].into_iter().flat_map(u64::to_le_bytes));
            bytes.resize(begin + 512, 0);
            if flags & DISCARD == 0 {
                bytes.extend_from_slice(data);
            }
        }
        bytes
    }

    #[test]
    fn writes_flushes_and_discards_are_read_with_their_places() {
        let (one, two) = ([1; 512], [2; 1_024]);
        let bytes = log(&[(3, &one, 0), (0, &[], FLUSH), (9, &two, DISCARD), (7, &two, FUA)]);
        let log = WriteLog::parse(bytes).unwrap();
        let seen: Vec<_> = log.entries.iter().map(|entry| (entry.at, entry.length, entry.flush)).collect();
        assert_eq!(seen, [(1_536, 512, false), (0, 0, true), (4_608, 1_024, false), (3_584, 1_024, false)]);
        assert_eq!(log.data(&log.entries[0]), one);
        assert!(log.data(&log.entries[2]).is_empty());
        assert!(log.entries[2].discard && log.entries[3].fua);
        assert_eq!(log.data(&log.entries[3]), two);
    }

    #[test]
    fn what_is_no_log_is_refused() {
        let whole = log(&[(3, &[1; 512], 0), (0, &[], FLUSH)]);
        assert_eq!(WriteLog::parse(vec![0; 4_096]).unwrap_err(), NoLog::Strange);
        assert_eq!(WriteLog::parse(whole[..20].to_vec()).unwrap_err(), NoLog::Strange);
        assert_eq!(WriteLog::parse(whole[..1_200].to_vec()).unwrap_err(), NoLog::Short(0));
        assert_eq!(WriteLog::parse(log(&[(0, &[], 16)])).unwrap_err(), NoLog::Flags(0, 16));
    }

    #[test]
    fn a_log_that_is_being_written_tells_how_far_it_is_flushed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, b"").unwrap();
        assert_eq!(entries_flushed(&path).unwrap(), 0);
        std::fs::write(&path, log(&[(3, &[1; 512], 0), (0, &[], FLUSH)])).unwrap();
        assert_eq!(entries_flushed(&path).unwrap(), 2);
    }
}
