//! The mark: how far a store has certainly been written, and how far the centre has it. It is what tells a store whose
//! tail vanished from one that never had it.
//!
//! One file of two slots, written in turn and each with its own checksum, so that a write that a power cut tears
//! leaves the one before. Written off the commit's path: on each acknowledgement, on sealing, and at most one second after a
//! commit. What can go unseen is therefore a tail of one second that nobody at the centre has.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use pestle_domain::{journal::Head, signature::Hash};

use super::witness::{WITNESS_BYTES, Witness};
use crate::durable_file::{FileError, sync_folder};

/// Apart by a page, so that no torn page holds both.
const SLOT_OFFSETS: [u64; 2] = [0, 4096];
const SLOT_BYTES: usize = 8 + 2 * 40 + 8 + WITNESS_BYTES + 32;
/// Without the centre's signature, as agents before it wrote them; still read.
const SLOT_BYTES_SECOND: usize = 8 + 2 * 40 + 8 + 32;
/// Without the incarnation, too.
const SLOT_BYTES_FIRST: usize = 8 + 2 * 40 + 32;

/// What a slot says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// The last fact that was on the disk.
    pub written: Head,
    /// The last fact that the centre had committed.
    pub acknowledged: Head,
    /// In which life of the centre's database; 0 when none was told yet.
    pub incarnation: u64,
    /// The centre's last signed word on this epoch, which may be older than what it acknowledges by now.
    pub witness: Option<Witness>,
}

impl Mark {
    /// Of a new store.
    pub const EMPTY: Self =
        Self { written: Head::EMPTY, acknowledged: Head::EMPTY, incarnation: 0, witness: None };
}

fn encode(turn: u64, mark: &Mark) -> [u8; SLOT_BYTES] {
    let mut slot = [0; SLOT_BYTES];
    slot[..8].copy_from_slice(&turn.to_be_bytes());
    for (index, head) in [mark.written, mark.acknowledged].into_iter().enumerate() {
        let at = 8 + 40 * index;
        slot[at..at + 8].copy_from_slice(&head.seq.to_be_bytes());
        slot[at + 8..at + 40].copy_from_slice(&head.hash.0);
    }
    slot[88..96].copy_from_slice(&mark.incarnation.to_be_bytes());
    if let Some(witness) = &mark.witness {
        slot[96..96 + WITNESS_BYTES].copy_from_slice(&witness.to_bytes());
    }
    let sum = Hash::of(&slot[..SLOT_BYTES - 32]);
    slot[SLOT_BYTES - 32..].copy_from_slice(&sum.0);
    slot
}

fn decode(slot: &[u8; SLOT_BYTES]) -> Option<(u64, Mark)> {
    let sum_fits = |bytes: usize| Hash::of(&slot[..bytes - 32]).0 == slot[bytes - 32..bytes];
    let number = |at: usize| Some(u64::from_be_bytes(slot[at..at + 8].try_into().ok()?));
    let (incarnation, witness) = if sum_fits(SLOT_BYTES) {
        (number(88)?, Witness::from_bytes(slot[96..96 + WITNESS_BYTES].try_into().ok()?))
    } else if sum_fits(SLOT_BYTES_SECOND) {
        (number(88)?, None)
    } else if sum_fits(SLOT_BYTES_FIRST) {
        (0, None)
    } else {
        return None;
    };
    let head = |at: usize| -> Option<Head> {
        Some(Head { seq: number(at)?, hash: Hash(slot[at + 8..at + 40].try_into().ok()?) })
    };
    Some((number(0)?, Mark { written: head(8)?, acknowledged: head(48)?, incarnation, witness }))
}

/// What the file at `path` says, without changing anything; `None` when it is not there or cannot be read.
pub fn read(path: &Path) -> Option<Mark> {
    newest(&File::open(path).ok()?).map(|(_, mark)| mark)
}

fn newest(file: &File) -> Option<(u64, Mark)> {
    let slot = |offset| {
        // The last slot of an older file is shorter; what it lacks stays zero.
        [SLOT_BYTES, SLOT_BYTES_SECOND, SLOT_BYTES_FIRST].into_iter().find_map(|bytes| {
            let mut slot = [0; SLOT_BYTES];
            file.read_exact_at(&mut slot[..bytes], offset).ok()?;
            decode(&slot)
        })
    };
    SLOT_OFFSETS.into_iter().filter_map(slot).max_by_key(|(turn, _)| *turn)
}

/// The file of one epoch.
#[derive(Debug)]
pub struct MarkFile {
    file: File,
    path: PathBuf,
    turn: u64,
}

impl MarkFile {
    /// Opens or creates it, and tells what it says; `None` when neither slot can be read.
    ///
    /// # Errors
    /// [`FileError::Disk`].
    pub fn open(path: &Path) -> Result<(Self, Option<Mark>), FileError> {
        let existed = path.exists();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(FileError::disk("open", path))?;
        let newest = newest(&file);
        let mut mark = Self { file, path: path.to_owned(), turn: newest.map_or(0, |(turn, _)| turn) };
        if !existed {
            mark.write(&Mark::EMPTY)?;
            sync_folder(path.parent().unwrap_or(Path::new(".")))?;
        }
        Ok((mark, newest.map(|(_, mark)| mark).or((!existed).then_some(Mark::EMPTY))))
    }

    /// Writes `mark` into the older slot and syncs it.
    ///
    /// # Errors
    /// [`FileError::Disk`].
    pub fn write(&mut self, mark: &Mark) -> Result<(), FileError> {
        let turn = self.turn + 1;
        let offset = SLOT_OFFSETS[usize::from(turn.is_multiple_of(2))];
        self.file.write_all_at(&encode(turn, mark), offset).map_err(FileError::disk("write", &self.path))?;
        self.file.sync_data().map_err(FileError::disk("sync", &self.path))?;
        self.turn = turn;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_write_leaves_the_mark_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark");
        let head = |seq| Head { seq, hash: Hash::of(&[7]) };
        let (mut file, found) = MarkFile::open(&path).unwrap();
        assert_eq!(found, Some(Mark::EMPTY));
        for seq in 1..=5 {
            let mark =
                Mark { written: head(seq), acknowledged: head(seq - 1), incarnation: 3, witness: None };
            file.write(&mark).unwrap();
        }
        let newest = Mark { written: head(5), acknowledged: head(4), incarnation: 3, witness: None };
        assert_eq!(MarkFile::open(&path).unwrap().1, Some(newest));
        // The sixth write after the first empty one went to slot 1.
        file.file.write_all_at(b"torn", SLOT_OFFSETS[1]).unwrap();
        assert_eq!(MarkFile::open(&path).unwrap().1.unwrap().written.seq, 4);
        file.file.write_all_at(b"torn", SLOT_OFFSETS[0]).unwrap();
        assert_eq!(MarkFile::open(&path).unwrap().1, None);
    }

    #[test]
    fn a_mark_of_an_older_agent_is_read() {
        for (bytes, incarnation) in [(SLOT_BYTES_FIRST, 0), (SLOT_BYTES_SECOND, 3)] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("mark");
            let head = |seq| Head { seq, hash: Hash::of(&[7]) };
            let old = |turn: u64, seq| {
                let mark = Mark { written: head(seq), acknowledged: head(1), incarnation, witness: None };
                let mut slot = encode(turn, &mark)[..bytes].to_vec();
                let sum = Hash::of(&slot[..bytes - 32]);
                slot[bytes - 32..].copy_from_slice(&sum.0);
                slot
            };
            let mut file = old(2, 8);
            file.resize(4096, 0);
            file.extend(old(3, 9));
            std::fs::write(&path, file).unwrap();
            let newest = Mark { written: head(9), acknowledged: head(1), incarnation, witness: None };
            assert_eq!(read(&path), Some(newest));
            let (mut file, found) = MarkFile::open(&path).unwrap();
            assert_eq!(found, Some(newest));
            let next = Mark { incarnation: 5, ..newest };
            file.write(&next).unwrap();
            assert_eq!(read(&path), Some(next));
        }
    }

    #[test]
    fn the_centres_signed_word_comes_back_as_it_was_signed() {
        use aws_lc_rs::{
            rand::SystemRandom,
            signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
        };
        use pestle_domain::{
            journal::{Acknowledgement, Lane, Stream},
            signature::SigningKey,
        };
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let key = SigningKey::from_pkcs8(document.as_ref()).unwrap();
        let stream = Stream {
            tenant: "acme".parse().unwrap(),
            branch: "north".parse().unwrap(),
            term: 1,
            device: "box-1".parse().unwrap(),
            lane: Lane::Ledger,
            epoch: 1,
        };
        let head = Head { seq: 7, hash: Hash::of(b"seven") };
        let ack = Acknowledgement::sign(2, stream.clone(), head, &key, &random).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mark");
        let mark = Mark { written: head, acknowledged: head, incarnation: 2, witness: Witness::of(&ack) };
        MarkFile::open(&path).unwrap().0.write(&mark).unwrap();
        let kept = read(&path).unwrap().witness.unwrap().acknowledgement(stream);
        assert_eq!(kept, ack);
        assert_eq!(kept.verify(key.public()), Ok(()));
    }
}
