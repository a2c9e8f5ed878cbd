//! One file: its bytes as programs see them, and what of them is not synced yet. Pure.

use std::collections::BTreeMap;

use crate::seeded::Seeded;

/// What a disk writes whole or not at all.
pub const SECTOR_BYTES: usize = 512;

type Sector = [u8; SECTOR_BYTES];

/// A sector that was written since the last sync.
#[derive(Debug, Clone)]
struct Unsynced {
    /// What it held: the synced content first, the newest last.
    contents: Vec<Sector>,
    /// A sync of it failed. The system takes its pages for clean then: no later sync writes them, unless somebody
    /// writes them again.
    given_up: bool,
}

/// How many in a hundred of the un-synced sectors a cut leaves as they are. Those in which nothing was before have a number
/// of their own: a program that moves what it stored is hurt most where the copy is lost and the original written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Of sectors that were zero.
    pub fresh: u64,
    /// Of the others.
    pub written_over: u64,
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct FileBytes {
    bytes: Vec<u8>,
    unsynced: BTreeMap<usize, Unsynced>,
    /// The lengths that it had since the last sync, the synced one first; empty when it has not changed.
    lengths: Vec<usize>,
    /// A sync of the length failed: no later one makes it good, unless it changes again.
    length_given_up: bool,
}

impl FileBytes {
    /// A file that lies there, all of it synced.
    pub fn synced(bytes: Vec<u8>) -> Self {
        Self { bytes, ..Self::default() }
    }

    /// As programs see it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Writes `new` at `offset`; what lies between the end and there is zero.
    pub fn write(&mut self, offset: usize, new: &[u8]) {
        if new.is_empty() {
            return;
        }
        let end = offset + new.len();
        self.change(offset, end, |bytes| {
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[offset..end].copy_from_slice(new);
        });
    }

    /// Cuts it, or lets it grow by zeros.
    pub fn set_length(&mut self, length: usize) {
        let before = self.bytes.len();
        self.change(length.min(before), before, |bytes| bytes.resize(length, 0));
    }

    /// Everything that it holds is on the disk now, but for what an earlier sync gave up.
    pub fn sync(&mut self) {
        self.unsynced.retain(|_, sector| sector.given_up);
        if !self.length_given_up {
            self.lengths.clear();
        }
    }

    /// A sync failed: what it should have written is on the disk or not, and is not tried again.
    pub fn fail_sync(&mut self) {
        self.unsynced.values_mut().for_each(|sector| sector.given_up = true);
        self.length_given_up = !self.lengths.is_empty();
    }

    /// Whether everything is on the disk.
    pub fn is_synced(&self) -> bool {
        self.unsynced.is_empty() && self.lengths.is_empty()
    }

    /// What a power cut leaves of it: of each sector and of the length any that was since the last sync. So many in a
    /// hundred stay as they are.
    pub fn cut(&self, seeded: &mut Seeded, keep: Keep) -> Vec<u8> {
        let length = match self.lengths.as_slice() {
            [] => self.bytes.len(),
            lengths if seeded.percent(keep.fresh) => *lengths.last().unwrap_or(&self.bytes.len()),
            lengths => lengths[seeded.index(lengths.len())],
        };
        let mut left = self.bytes.clone();
        left.resize(length.max(self.bytes.len()), 0);
        for (number, sector) in &self.unsynced {
            let (from, whole) = (number * SECTOR_BYTES, &sector.contents);
            let newest = whole.len() - 1;
            let is_fresh = whole[0] == [0; SECTOR_BYTES];
            let keep = if is_fresh { keep.fresh } else { keep.written_over };
            let content = if seeded.percent(keep) { &whole[newest] } else { &whole[seeded.index(newest)] };
            let end = (from + SECTOR_BYTES).min(left.len());
            if from < end {
                left[from..end].copy_from_slice(&content[..end - from]);
            }
        }
        left.truncate(length);
        left
    }

    /// Does `change`, which touches the bytes from `from` to `to` alone, and the length.
    fn change(&mut self, from: usize, to: usize, change: impl FnOnce(&mut Vec<u8>)) {
        let length = self.bytes.len();
        let touched = from / SECTOR_BYTES..to.div_ceil(SECTOR_BYTES);
        for number in touched.clone() {
            let before = sector(&self.bytes, number);
            let unsynced = self.unsynced.entry(number);
            unsynced.or_insert_with(|| Unsynced { contents: vec![before], given_up: false });
        }
        change(&mut self.bytes);
        for number in touched {
            let after = sector(&self.bytes, number);
            if let Some(unsynced) = self.unsynced.get_mut(&number) {
                unsynced.contents.push(after);
                unsynced.given_up = false;
            }
        }
        if self.bytes.len() != length {
            if self.lengths.is_empty() {
                self.lengths.push(length);
            }
            self.lengths.push(self.bytes.len());
            self.length_given_up = false;
        }
    }
}

fn sector(bytes: &[u8], number: usize) -> Sector {
    let mut sector = [0; SECTOR_BYTES];
    let rest = bytes.get(number * SECTOR_BYTES..).unwrap_or_default();
    let there = rest.len().min(SECTOR_BYTES);
    sector[..there].copy_from_slice(&rest[..there]);
    sector
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// All that a cut may leave, as far as many seeds find it.
    fn cuts(file: &FileBytes) -> BTreeSet<Vec<u8>> {
        let keep = |seed| Keep { fresh: seed % 101, written_over: seed % 97 };
        (0..400).map(|seed| file.cut(&mut Seeded::new(seed), keep(seed))).collect()
    }

    #[test]
    fn what_was_synced_is_left_whole_whatever_the_seed() {
        let mut file = FileBytes::default();
        file.write(0, &[1; 1_300]);
        file.write(600, &[2; 10]);
        file.sync();
        assert!(file.is_synced());
        assert_eq!(cuts(&file), BTreeSet::from([file.bytes().to_vec()]));
    }

    #[test]
    fn each_sector_is_lost_for_itself_and_so_is_the_length() {
        let mut file = FileBytes::synced(vec![1; 1_024]);
        file.write(0, &[2; 1_024]);
        file.write(1_024, &[3; 100]);
        let found = cuts(&file);
        let state = |one: u8, two: u8, rest: &[u8]| [&[one; 512][..], &[two; 512], rest].concat();
        for (one, two) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            for rest in [&[][..], &[3; 100], &[0; 100]] {
                assert!(found.contains(&state(one, two, rest)), "{one} {two} {}", rest.len());
            }
        }
        assert_eq!(found.len(), 12, "and nothing else");
    }

    #[test]
    fn a_copy_may_be_lost_whose_original_is_written_over() {
        let mut file = FileBytes::synced([[1; 512], [0; 512]].concat());
        file.write(512, &[1; 512]);
        file.write(0, &[2; 512]);
        let left = file.cut(&mut Seeded::new(1), Keep { fresh: 0, written_over: 100 });
        assert_eq!(left, [[2; 512], [0; 512]].concat());
    }

    #[test]
    fn what_was_cut_off_may_come_back_and_what_grew_again_reads_zero() {
        let mut file = FileBytes::synced(vec![1; 700]);
        file.set_length(100);
        file.set_length(700);
        assert_eq!(file.bytes(), [&[1; 100][..], &[0; 600]].concat());
        let found = cuts(&file);
        assert!(found.contains(&vec![1; 700]), "nothing of it reached the disk");
        assert!(found.contains(file.bytes()), "all of it did");
        assert!(found.contains(&vec![1; 100]), "the cut did, the growth did not");
        assert!(found.iter().all(|left| left[..100] == [1; 100]));
    }

    #[test]
    fn a_sync_that_failed_is_not_made_good_by_one_that_succeeds() {
        let mut file = FileBytes::synced(vec![1; 512]);
        file.write(0, &[2; 512]);
        file.fail_sync();
        file.sync();
        assert_eq!(cuts(&file), BTreeSet::from([vec![1; 512], vec![2; 512]]));
        file.write(0, &[3; 512]);
        file.sync();
        assert_eq!(cuts(&file), BTreeSet::from([vec![3; 512]]), "written again, synced again");
    }

    #[test]
    fn nor_is_a_length_unless_it_changes_again() {
        let mut file = FileBytes::synced(vec![1; 512]);
        file.write(512, &[2; 512]);
        file.fail_sync();
        file.sync();
        assert!(cuts(&file).contains(&vec![1; 512]));
        file.write(1_024, &[3; 512]);
        file.sync();
        assert!(cuts(&file).iter().all(|left| left.len() == 1_536));
    }
}
