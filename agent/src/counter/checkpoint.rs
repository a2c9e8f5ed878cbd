//! A checkpoint: the books at a place of the journal, as the bytes of one file. Pure.
//!
//! ```text
//! "PCK1" ‖ turn u64 ‖ length u32 ‖ where (JSON) ‖ length u32 ‖ books (JSON) ‖ acts and packs ‖ SHA-256 of all before it
//! ```
//!
//! Integers are big-endian. The number in the magic is the form's; JSON's fields are only ever added, and the last part has
//! its own tags ([`super::remembered::bytes`]). Another form is not read: the journal is.

use std::io::{self, BufReader, Read, Write};

use aws_lc_rs::digest;
use pestle_domain::{ids::StoreId, journal::Head};
use serde::{Deserialize, Serialize};

use super::{
    books::Books,
    books_kept::KeptBooks,
    remembered::bytes::{self, Malformed},
};
use crate::journal::Place;

const MAGIC: &[u8; 4] = b"PCK1";
const HASH_BYTES: usize = digest::SHA256_OUTPUT_LEN;
/// What is read at a time: no large block, which the C library would keep for itself once it is freed.
const PIECE_BYTES: usize = 32 * 1024;

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
    /// The disk refuses.
    #[error("it cannot be read")]
    Unreadable(#[source] io::Error),
}

impl From<io::Error> for BadCheckpoint {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Form } else { Self::Unreadable(error) }
    }
}

/// How a checkpoint begins. Its checksum was not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// Rises with each that is written.
    pub turn: u64,
    /// Up to where.
    pub at: Where,
}

/// Writes a checkpoint, but for its checksum: see [`seal`].
///
/// # Errors
/// Those of `out`; and where JSON cannot say it, which no field of ours allows.
pub fn encode(turn: u64, at: &Where, books: &Books, out: &mut impl Write) -> io::Result<()> {
    out.write_all(MAGIC)?;
    out.write_all(&turn.to_be_bytes())?;
    let where_json = serde_json::to_vec(at)?;
    let books_json = serde_json::to_vec(&KeptBooks::from(books))?;
    for json in [where_json, books_json] {
        // A branch's stock is some megabytes.
        out.write_all(&u32::try_from(json.len()).unwrap_or(u32::MAX).to_be_bytes())?;
        out.write_all(&json)?;
    }
    bytes::encode(&books.remembered, out)
}

/// Copies what [`encode`] made and puts the checksum behind it: it takes some milliseconds, and need not be done where the books
/// are used.
///
/// # Errors
/// Those of both ends.
pub fn seal(from: impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut from = Hashed::new(from);
    io::copy(&mut BufReader::with_capacity(PIECE_BYTES, &mut from), to)?;
    to.write_all(&from.hash())
}

/// Reads how a file begins.
///
/// # Errors
/// [`BadCheckpoint`].
pub fn begin(file: impl Read) -> Result<Begun, BadCheckpoint> {
    begun(&mut BufReader::new(file))
}

/// Checks a whole file of `length` bytes, and reads nothing of its books.
///
/// # Errors
/// [`BadCheckpoint`].
pub fn check(file: impl Read, length: u64) -> Result<Begun, BadCheckpoint> {
    read_sealed(file, length, |contents| {
        let begun = begun(contents)?;
        io::copy(contents, &mut io::sink())?;
        Ok(begun)
    })
}

/// Checks and reads a whole file of `length` bytes.
///
/// # Errors
/// [`BadCheckpoint`].
pub fn read(file: impl Read, length: u64) -> Result<(Begun, Books), BadCheckpoint> {
    read_sealed(file, length, |contents| {
        let begun = begun(contents)?;
        let length = u32::from_be_bytes(array(contents)?);
        let kept: KeptBooks = serde_json::from_reader(contents.by_ref().take(u64::from(length)))?;
        let mut books = Books::from(kept);
        books.remembered = bytes::decode(contents)?;
        Ok((begun, books))
    })
}

fn read_sealed<T>(
    mut file: impl Read,
    length: u64,
    read: impl FnOnce(&mut BufReader<&mut Hashed<io::Take<&mut dyn Read>>>) -> Result<T, BadCheckpoint>,
) -> Result<T, BadCheckpoint> {
    let contents = length.checked_sub(HASH_BYTES as u64).ok_or(BadCheckpoint::Form)?;
    let file: &mut dyn Read = &mut file;
    let mut hashed = Hashed::new(file.take(contents));
    let outcome = read(&mut BufReader::with_capacity(PIECE_BYTES, &mut hashed));
    // Of two reasons the checksum is the deeper one; a disk's own words are deeper still.
    if !matches!(outcome, Err(BadCheckpoint::Unreadable(_))) {
        io::copy(&mut hashed, &mut io::sink())?;
        let Hashed { from, context } = hashed;
        let mut stated = [0; HASH_BYTES];
        from.into_inner().read_exact(&mut stated)?;
        if context.finish().as_ref() != stated {
            return Err(BadCheckpoint::Checksum);
        }
    }
    outcome
}

fn begun(contents: &mut impl Read) -> Result<Begun, BadCheckpoint> {
    if array::<4>(contents)? != *MAGIC {
        return Err(BadCheckpoint::Form);
    }
    let turn = u64::from_be_bytes(array(contents)?);
    Ok(Begun { turn, at: serde_json::from_slice(&part(contents)?)? })
}

fn array<const N: usize>(from: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Not more is taken than is there, whatever the length says.
fn part(from: &mut impl Read) -> Result<Vec<u8>, BadCheckpoint> {
    let length = u32::from_be_bytes(array(from)?);
    let mut bytes = Vec::new();
    from.take(u64::from(length)).read_to_end(&mut bytes)?;
    if bytes.len() == length as usize { Ok(bytes) } else { Err(BadCheckpoint::Form) }
}

/// Bytes as they pass, with the hash of all that passed.
struct Hashed<R> {
    from: R,
    context: digest::Context,
}

impl<R> Hashed<R> {
    fn new(from: R) -> Self {
        Self { from, context: digest::Context::new(&digest::SHA256) }
    }

    fn hash(self) -> [u8; HASH_BYTES] {
        let mut hash = [0; HASH_BYTES];
        hash.copy_from_slice(self.context.finish().as_ref());
        hash
    }
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(bytes)?;
        self.context.update(&bytes[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter::testing::{Rig, pack_of, sealed};
    use pestle_domain::signature::Hash;

    fn at() -> Where {
        let head = Head { seq: 9, hash: Hash::of(b"nine") };
        Where { store: StoreId(uuid::Uuid::from_u128(3)), place: Place { epoch: 2, seq: 9 }, head }
    }

    fn file() -> (Books, Vec<u8>) {
        let mut rig = Rig::open();
        rig.scan(1, &pack_of(1, "10A^21S1"));
        rig.pay(1, 500).unwrap();
        let bytes = sealed(7, &at(), &rig.branch.books);
        (rig.branch.books, bytes)
    }

    #[test]
    fn a_checkpoint_is_read_as_it_was_written() {
        let (books, bytes) = file();
        let begun = Begun { turn: 7, at: at() };
        let length = bytes.len() as u64;
        assert_eq!(begin(&bytes[..]).unwrap(), begun);
        assert_eq!(check(&bytes[..], length).unwrap(), begun);
        assert_eq!(read(&bytes[..], length).unwrap(), (begun, books));
    }

    #[test]
    fn its_checksum_is_the_sha_256_of_all_before_it() {
        let (_, bytes) = file();
        let (contents, hash) = bytes.split_at(bytes.len() - HASH_BYTES);
        assert_eq!(Hash::of(contents).0, hash);
    }

    #[test]
    fn one_changed_byte_and_each_missing_end_is_found() {
        let (_, bytes) = file();
        for index in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[index] ^= 1;
            for (bytes, what) in [(&changed[..], "changed"), (&bytes[..index], "missing from")] {
                let length = bytes.len() as u64;
                assert!(read(bytes, length).is_err(), "{what} {index}");
                assert!(check(bytes, length).is_err(), "{what} {index}");
            }
        }
    }
}
