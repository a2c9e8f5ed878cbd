//! A checkpoint: the books at a place of the journal, as the bytes of one file. Pure.
//!
//! ```text
//! "PCK1" ‖ turn u64 ‖ length u32 ‖ where (JSON) ‖ length u32 ‖ books (JSON) ‖ acts and packs ‖ SHA-256 of all before it
//! ```
//!
//! Integers are big-endian. The number in the magic is the form's; JSON's fields are only ever added, and the last part has
//! its own tags ([`super::remembered::bytes`]). Another form is not read: the journal is.

use pestle_domain::{ids::StoreId, journal::Head, signature::Hash};
use serde::{Deserialize, Serialize};

use super::{
    books::Books,
    books_kept::KeptBooks,
    remembered::bytes::{self, Malformed},
};
use crate::journal::Place;

const MAGIC: &[u8; 4] = b"PCK1";
const HASH_BYTES: usize = 32;

/// Of which store, and up to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Where {
    /// A place in another store means nothing.
    pub store: StoreId,
    /// The last fact that is in the books.
    pub place: Place,
    /// The journal's head there: a journal that has another one is not the one that was folded.
    pub head: Head,
}

/// Why bytes are no checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum BadCheckpoint {
    /// Too short, or of another form.
    #[error("it is no checkpoint of this form")]
    Form,
    /// A byte differs.
    #[error("its checksum is wrong")]
    Checksum,
    /// The JSON parts.
    #[error("its contents cannot be read")]
    Json(#[from] serde_json::Error),
    /// The rest.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// A checkpoint whose checksum is right, before its books are read.
#[derive(Debug)]
pub struct Sealed<'a> {
    /// Rises with each that is written.
    pub turn: u64,
    /// Up to where.
    pub at: Where,
    books: &'a [u8],
    remembered: &'a [u8],
}

/// The bytes of a checkpoint.
///
/// # Errors
/// Only where JSON cannot say it, which no field of ours allows.
pub fn encode(turn: u64, at: &Where, books: &Books) -> Result<Vec<u8>, serde_json::Error> {
    let mut out = Vec::new();
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&turn.to_be_bytes());
    let where_json = serde_json::to_vec(at)?;
    let books_json = serde_json::to_vec(&KeptBooks::from(books))?;
    for json in [where_json, books_json] {
        // A branch's stock is some megabytes.
        out.extend_from_slice(&u32::try_from(json.len()).unwrap_or(u32::MAX).to_be_bytes());
        out.extend_from_slice(&json);
    }
    bytes::encode(&books.remembered, &mut out)?;
    Ok(out)
}

/// Puts the checksum behind what [`encode`] made: it takes some milliseconds, and need not be done where the books are used.
pub fn seal(bytes: &mut Vec<u8>) {
    let hash = Hash::of(bytes);
    bytes.extend_from_slice(&hash.0);
}

/// Checks the bytes of a file, and reads up to where it goes.
///
/// # Errors
/// [`BadCheckpoint`].
pub fn open(file: &[u8]) -> Result<Sealed<'_>, BadCheckpoint> {
    let (bytes, hash) =
        file.len().checked_sub(HASH_BYTES).map(|at| file.split_at(at)).ok_or(BadCheckpoint::Form)?;
    let rest = bytes.strip_prefix(MAGIC).ok_or(BadCheckpoint::Form)?;
    if Hash::of(bytes).0 != hash {
        return Err(BadCheckpoint::Checksum);
    }
    let (turn, rest) = rest.split_first_chunk().ok_or(BadCheckpoint::Form)?;
    let (at, rest) = part(rest)?;
    let (books, remembered) = part(rest)?;
    Ok(Sealed { turn: u64::from_be_bytes(*turn), at: serde_json::from_slice(at)?, books, remembered })
}

fn part(bytes: &[u8]) -> Result<(&[u8], &[u8]), BadCheckpoint> {
    let (length, rest) = bytes.split_first_chunk().ok_or(BadCheckpoint::Form)?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or(BadCheckpoint::Form)
}

impl Sealed<'_> {
    /// The books.
    ///
    /// # Errors
    /// [`BadCheckpoint::Json`], [`BadCheckpoint::Malformed`].
    pub fn books(&self) -> Result<Books, BadCheckpoint> {
        let mut books = Books::from(serde_json::from_slice::<KeptBooks>(self.books)?);
        books.remembered = bytes::decode(self.remembered)?;
        Ok(books)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::testing::{Rig, pack_of};

    fn at() -> Where {
        let head = Head { seq: 9, hash: Hash::of(b"nine") };
        Where { store: StoreId(uuid::Uuid::from_u128(3)), place: Place { epoch: 2, seq: 9 }, head }
    }

    fn file() -> (Books, Vec<u8>) {
        let mut rig = Rig::open();
        rig.scan(1, &pack_of(1, "10A^21S1"));
        rig.pay(1, 500).unwrap();
        let mut bytes = encode(7, &at(), &rig.branch.books).unwrap();
        seal(&mut bytes);
        (rig.branch.books, bytes)
    }

    #[test]
    fn a_checkpoint_is_read_as_it_was_written() {
        let (books, bytes) = file();
        let opened = open(&bytes).unwrap();
        assert_eq!((opened.turn, opened.at), (7, at()));
        assert_eq!(opened.books().unwrap(), books);
    }

    #[test]
    fn one_changed_byte_and_each_missing_end_is_found() {
        let (_, bytes) = file();
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            assert!(open(&changed).is_err(), "byte {index}");
            assert!(open(&bytes[..index]).is_err(), "{index} bytes");
        }
    }
}
