//! An act as it lies in the store: one or more *chunks*, each a value of its own with its own checksum.
//!
//! sled keeps values of 16 KiB and more in files that it never syncs, so no chunk is larger than [`CHUNK_BYTES_MAX`];
//! a sale fits into one. A chunk names itself completely (magic, position, part of how many, length, checksum), so
//! that [`super::raw`] finds it again in the raw bytes of sled's log.
//!
//! ```text
//! chunk: "PJ2\n" ‖ first seq u64 ‖ part u16 ‖ parts u16 ‖ length u32 ‖ confirmed seq u64 ‖ checksum [8] ‖ slice of the body
//! body:  act id [16] ‖ head after [32] ‖ fact count u16 ‖ (length u32 ‖ line)* ‖ attachment
//! key:   first seq u64 ‖ part u16
//! ```
//!
//! *confirmed* is the last fact that was certainly on the disk before the act was handed to it. Acts that share a sync have
//! not been confirmed when they are written, and a power cut may take any of them and leave the others: without this number
//! what it leaves could not be told from damage. Chunks of agents before it begin with "PJ1\n" and lack it; they are still
//! read.
//!
//! All integers are big-endian, so that keys sort by position. Everything here is pure, and total on any bytes.

use std::ops::Range;

use pestle_domain::{
    ids::ActId,
    journal::{Head, Stream},
    signature::Hash,
};

/// Largest value that is given to sled, header included: half of where its blob files begin.
pub const CHUNK_BYTES_MAX: usize = 8 * 1024;
/// Begins every chunk.
pub const MAGIC: &[u8; 4] = b"PJ2\n";
/// Begins every chunk of agents that did not write what was confirmed.
pub const MAGIC_FIRST: &[u8; 4] = b"PJ1\n";
/// Bytes before a chunk's slice.
pub const CHUNK_HEADER_BYTES: usize = CHUNK_HEADER_BYTES_FIRST + 8;
/// The same in a chunk that begins with [`MAGIC_FIRST`].
const CHUNK_HEADER_BYTES_FIRST: usize = 4 + 8 + 2 + 2 + 4 + 8;
/// Most facts in one act: their number is 16 bits in every fact's `of`.
pub const FACTS_MAX: usize = u16::MAX as usize;

const SLICE_BYTES_MAX: usize = CHUNK_BYTES_MAX - CHUNK_HEADER_BYTES;
/// The slices of older agents were longer by what the header was shorter.
const SLICE_BYTES_MAX_FIRST: usize = CHUNK_BYTES_MAX - CHUNK_HEADER_BYTES_FIRST;
const BODY_HEADER_BYTES: usize = 16 + 32 + 2;

/// What is wrong with stored bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Too short, or a length inside leads past the end.
    #[error("a record is cut short")]
    Cut,
    /// Not one of our chunks.
    #[error("a record does not begin as one")]
    Magic,
    /// The checksum disagrees.
    #[error("a record's checksum is wrong")]
    Checksum,
    /// The chunk lies under another key than it names, or a part is missing.
    #[error("a part of a record is missing")]
    Parts,
    /// The facts do not lead from the head before to the head that the record states.
    #[error("a record does not join the chain")]
    Chain,
    /// A bad sector.
    #[error("the disk cannot read a record")]
    Unreadable,
}

/// An act that is on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAct {
    /// Position of its first fact.
    pub first: u64,
    /// The act.
    pub act: ActId,
    /// The head after its last fact.
    pub after: Head,
    body: Vec<u8>,
    lines: Vec<Range<usize>>,
    attachment: Range<usize>,
}

impl StoredAct {
    /// The facts' lines, byte for byte as they were written.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        self.lines.iter().map(|range| &self.body[range.clone()])
    }

    /// What was stored with the act and is neither hashed nor sent: its print intents.
    pub fn attachment(&self) -> &[u8] {
        &self.body[self.attachment.clone()]
    }

    /// Bytes of all lines, each with the line end that it has in a batch.
    pub fn line_bytes(&self) -> usize {
        self.lines.iter().map(|range| range.len() + 1).sum()
    }

    /// Checks that the facts lead from `before` to the head that the record states.
    ///
    /// # Errors
    /// [`RecordError::Chain`].
    pub fn verify(&self, stream: &Stream, before: &Head) -> Result<(), RecordError> {
        if before.seq + 1 == self.first && before.after_all(stream, self.lines()) == self.after {
            Ok(())
        } else {
            Err(RecordError::Chain)
        }
    }
}

/// Where a chunk lies in the store.
pub type Key = [u8; 10];

/// The key of a part of the act whose first fact is `first`.
pub fn key(first: u64, part: u16) -> Key {
    let mut key = [0; 10];
    key[..8].copy_from_slice(&first.to_be_bytes());
    key[8..].copy_from_slice(&part.to_be_bytes());
    key
}

/// The position and the part that a key names; `None` for what is no key.
pub fn parse_key(bytes: &[u8]) -> Option<(u64, u16)> {
    let bytes: &Key = bytes.try_into().ok()?;
    let (first, part) = bytes.split_at(8);
    Some((u64::from_be_bytes(first.try_into().ok()?), u16::from_be_bytes(part.try_into().ok()?)))
}

/// An act's body before it has its place in the chain: whoever appends lays it out, and not the one thread that writes.
#[derive(Debug, Default)]
pub struct Draft {
    /// Room for a chunk's header, then the body with zeros for the head after it.
    bytes: Vec<u8>,
    facts: u16,
}

impl Draft {
    /// Of an act whose facts, as the writer checks before, are no more than [`FACTS_MAX`].
    pub fn new(act: ActId, lines: &[Vec<u8>], attachment: &[u8]) -> Self {
        let size = lines.iter().map(|line| line.len() + 4).sum::<usize>() + attachment.len();
        let facts = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        let mut bytes = Vec::with_capacity(CHUNK_HEADER_BYTES + BODY_HEADER_BYTES + size);
        bytes.resize(CHUNK_HEADER_BYTES, 0);
        bytes.extend_from_slice(act.0.as_bytes());
        bytes.extend_from_slice(&Hash::ZERO.0);
        bytes.extend_from_slice(&facts.to_be_bytes());
        for line in lines {
            bytes.extend_from_slice(&u32::try_from(line.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend_from_slice(line);
        }
        bytes.extend_from_slice(attachment);
        Self { bytes, facts }
    }

    /// How many facts it has.
    pub fn facts(&self) -> u64 {
        u64::from(self.facts)
    }

    /// The facts' lines.
    pub fn lines(&self) -> impl Iterator<Item = &[u8]> {
        let mut reader = Reader(self.bytes.get(CHUNK_HEADER_BYTES + BODY_HEADER_BYTES..).unwrap_or_default());
        (0..self.facts).map_while(move |_| {
            let length = reader.u32().ok()? as usize;
            reader.take(length).ok()
        })
    }

    /// The chunks that are stored. `after` is the head after its last fact, `confirmed` the last fact that is certainly on the
    /// disk.
    pub fn placed(mut self, confirmed: u64, after: &Head) -> Vec<(Key, Vec<u8>)> {
        let first = after.seq + 1 - self.facts();
        let hash = CHUNK_HEADER_BYTES + 16;
        if let Some(room) = self.bytes.get_mut(hash..hash + after.hash.0.len()) {
            room.copy_from_slice(&after.hash.0);
        }
        let body = self.bytes.get(CHUNK_HEADER_BYTES..).unwrap_or_default();
        let parts = u16::try_from(body.len().div_ceil(SLICE_BYTES_MAX)).unwrap_or(u16::MAX);
        if parts == 1 {
            let header = header(first, (0, 1), confirmed, body);
            self.bytes[..CHUNK_HEADER_BYTES].copy_from_slice(&header);
            return vec![(key(first, 0), self.bytes)];
        }
        (0..parts)
            .zip(body.chunks(SLICE_BYTES_MAX))
            .map(|(part, slice)| {
                let mut chunk = Vec::with_capacity(CHUNK_HEADER_BYTES + slice.len());
                chunk.extend_from_slice(&header(first, (part, parts), confirmed, slice));
                chunk.extend_from_slice(slice);
                (key(first, part), chunk)
            })
            .collect()
    }
}

/// [`Draft::placed`] of an act whose place is known.
pub fn encode(
    act: ActId,
    confirmed: u64,
    after: &Head,
    lines: &[Vec<u8>],
    attachment: &[u8],
) -> Vec<(Key, Vec<u8>)> {
    Draft::new(act, lines, attachment).placed(confirmed, after)
}

fn header(first: u64, (part, parts): (u16, u16), confirmed: u64, slice: &[u8]) -> [u8; CHUNK_HEADER_BYTES] {
    let mut header = [0; CHUNK_HEADER_BYTES];
    let length = u32::try_from(slice.len()).unwrap_or(u32::MAX);
    let fields: [&[u8]; 7] = [
        MAGIC,
        &first.to_be_bytes(),
        &part.to_be_bytes(),
        &parts.to_be_bytes(),
        &length.to_be_bytes(),
        &confirmed.to_be_bytes(),
        &checksum(first, part, parts, Some(confirmed), slice),
    ];
    let mut rest = header.as_mut_slice();
    for field in fields {
        let (room, behind) = rest.split_at_mut(field.len());
        room.copy_from_slice(field);
        rest = behind;
    }
    header
}

/// The first eight bytes of a SHA-256: against accidents; the chain guards against everything else.
fn checksum(first: u64, part: u16, parts: u16, confirmed: Option<u64>, slice: &[u8]) -> [u8; 8] {
    let mut bytes = Vec::with_capacity(20 + slice.len());
    bytes.extend_from_slice(&first.to_be_bytes());
    bytes.extend_from_slice(&part.to_be_bytes());
    bytes.extend_from_slice(&parts.to_be_bytes());
    bytes.extend(confirmed.into_iter().flat_map(u64::to_be_bytes));
    bytes.extend_from_slice(slice);
    let mut sum = [0; 8];
    sum.copy_from_slice(&Hash::of(&bytes).0[..8]);
    sum
}

/// One part of an act, read and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// Position of the act's first fact.
    pub first: u64,
    /// Which part, from 0.
    pub part: u16,
    /// Of how many.
    pub parts: u16,
    /// The last fact that was certainly on the disk before; `None` in a chunk of an older agent.
    pub confirmed: Option<u64>,
    /// A slice of the body.
    pub slice: &'a [u8],
}

/// A chunk's act (its first fact) and part.
pub type ChunkName = (u64, u16);

impl<'a> Chunk<'a> {
    /// [`Chunk::parse`], but `None` without looking further for a chunk whose name is `known`.
    ///
    /// # Errors
    /// As [`Chunk::parse`].
    pub fn parse_unless(
        bytes: &'a [u8],
        known: impl FnOnce(&ChunkName) -> bool,
    ) -> Result<Option<Self>, RecordError> {
        let mut reader = Reader(bytes);
        reader.take(MAGIC.len())?;
        let name = (reader.u64()?, reader.u16()?);
        if known(&name) { Ok(None) } else { Self::parse(bytes).map(Some) }
    }

    /// Reads the chunk at the beginning of `bytes`; what follows it is left alone.
    ///
    /// # Errors
    /// [`RecordError::Magic`], [`RecordError::Cut`], [`RecordError::Checksum`], [`RecordError::Parts`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, RecordError> {
        let (chunk, sum) = Self::cut_out(bytes)?;
        if checksum(chunk.first, chunk.part, chunk.parts, chunk.confirmed, chunk.slice) != sum {
            return Err(RecordError::Checksum);
        }
        chunk.in_order()
    }

    /// [`Chunk::parse`] of bytes whose checksum was right a moment ago, and which the chain of facts will check.
    ///
    /// # Errors
    /// As [`Chunk::parse`], without [`RecordError::Checksum`].
    pub fn parse_again(bytes: &'a [u8]) -> Result<Self, RecordError> {
        Self::cut_out(bytes)?.0.in_order()
    }

    fn in_order(self) -> Result<Self, RecordError> {
        if self.part >= self.parts || self.first == 0 { Err(RecordError::Parts) } else { Ok(self) }
    }

    /// The chunk, and the checksum that it states.
    fn cut_out(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), RecordError> {
        let mut reader = Reader(bytes);
        let magic = reader.take(4)?;
        if !begins(magic) {
            return Err(RecordError::Magic);
        }
        let first = reader.u64()?;
        let part = reader.u16()?;
        let parts = reader.u16()?;
        let length = reader.u32()? as usize;
        let confirmed = if magic == MAGIC { Some(reader.u64()?) } else { None };
        let sum = reader.take(8)?;
        if length > SLICE_BYTES_MAX_FIRST {
            return Err(RecordError::Cut);
        }
        let slice = reader.take(length)?;
        Ok((Self { first, part, parts, confirmed, slice }, sum))
    }

    /// Bytes that it takes.
    pub fn stored_bytes(&self) -> usize {
        let header = if self.confirmed.is_some() { CHUNK_HEADER_BYTES } else { CHUNK_HEADER_BYTES_FIRST };
        header + self.slice.len()
    }
}

/// Whether a chunk may begin here, of this agent or of an older one.
pub fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC) || bytes.starts_with(MAGIC_FIRST)
}

/// Reads an act's body, once its parts were joined.
///
/// # Errors
/// [`RecordError::Cut`] when the lengths inside do not fit.
pub fn decode(first: u64, body: Vec<u8>) -> Result<StoredAct, RecordError> {
    let mut reader = Reader(&body);
    let act = ActId(uuid::Uuid::from_slice(reader.take(16)?).map_err(|_| RecordError::Cut)?);
    let hash = Hash(reader.take(32)?.try_into().map_err(|_| RecordError::Cut)?);
    let count = usize::from(reader.u16()?);
    let mut lines = Vec::with_capacity(count);
    for _ in 0..count {
        let length = reader.u32()? as usize;
        let start = body.len() - reader.0.len();
        reader.take(length)?;
        lines.push(start..start + length);
    }
    if lines.is_empty() {
        return Err(RecordError::Cut);
    }
    let attachment = body.len() - reader.0.len()..body.len();
    let seq = first.checked_add(count as u64 - 1).ok_or(RecordError::Cut)?;
    Ok(StoredAct { first, act, after: Head { seq, hash }, body, lines, attachment })
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(RecordError::Cut)?;
        self.0 = rest;
        Ok(taken)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], RecordError> {
        self.take(N)?.try_into().map_err(|_| RecordError::Cut)
    }
    fn u16(&mut self) -> Result<u16, RecordError> {
        self.array().map(u16::from_be_bytes)
    }
    fn u32(&mut self) -> Result<u32, RecordError> {
        self.array().map(u32::from_be_bytes)
    }
    fn u64(&mut self) -> Result<u64, RecordError> {
        self.array().map(u64::from_be_bytes)
    }
}

/// Joins chunks that come in the order of their keys into acts.
#[derive(Debug, Default)]
pub struct Joiner {
    open: Option<(u64, u16, u16, Vec<u8>)>,
}

impl Joiner {
    /// Takes the next value; returns an act when it was its last part.
    ///
    /// # Errors
    /// [`RecordError`] of the chunk, of the joined body, or [`RecordError::Parts`] where a part is missing.
    pub fn push(&mut self, stored_key: &[u8], value: &[u8]) -> Result<Option<StoredAct>, RecordError> {
        let chunk = Chunk::parse(value)?;
        if parse_key(stored_key) != Some((chunk.first, chunk.part)) || chunk.stored_bytes() != value.len() {
            return Err(RecordError::Parts);
        }
        self.join(chunk)
    }

    /// The same for a chunk that was found without its key.
    ///
    /// # Errors
    /// As [`Joiner::push`].
    pub fn join(&mut self, chunk: Chunk<'_>) -> Result<Option<StoredAct>, RecordError> {
        let mut body = match self.open.take() {
            None if chunk.part == 0 => Vec::with_capacity(usize::from(chunk.parts) * chunk.slice.len()),
            Some((first, part, parts, body))
                if (first, parts) == (chunk.first, chunk.parts) && part + 1 == chunk.part =>
            {
                body
            }
            _ => return Err(RecordError::Parts),
        };
        body.extend_from_slice(chunk.slice);
        if chunk.part + 1 < chunk.parts {
            self.open = Some((chunk.first, chunk.part, chunk.parts, body));
            return Ok(None);
        }
        decode(chunk.first, body).map(Some)
    }

    /// Whether an act's last parts are still to come.
    pub fn is_in_the_middle(&self) -> bool {
        self.open.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::testing::stream;
    use proptest::prelude::*;

    fn join(chunks: &[(Key, Vec<u8>)]) -> Result<Option<StoredAct>, RecordError> {
        let mut joiner = Joiner::default();
        let mut last = None;
        for (key, chunk) in chunks {
            last = joiner.push(key, chunk)?;
        }
        Ok(last)
    }

    proptest! {
        #[test]
        fn an_act_is_read_as_it_was_written(
            before in 0u64..1_000_000,
            lines in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..6_000), 1..6),
            attachment in proptest::collection::vec(any::<u8>(), 0..20_000),
        ) {
            let before = Head { seq: before, hash: Hash::ZERO };
            let act = ActId(uuid::Uuid::from_u128(7));
            let after = before.after_all(&stream(), lines.iter().map(Vec::as_slice));
            let chunks = encode(act, before.seq, &after, &lines, &attachment);
            prop_assert!(chunks.iter().all(|(_, chunk)| chunk.len() <= CHUNK_BYTES_MAX));
            let stored = join(&chunks).unwrap().unwrap();
            prop_assert_eq!((stored.first, stored.act, stored.after), (before.seq + 1, act, after));
            prop_assert!(stored.lines().eq(lines.iter().map(Vec::as_slice)));
            prop_assert_eq!(stored.attachment(), &attachment[..]);
            prop_assert_eq!(stored.verify(&stream(), &before), Ok(()));
        }

        #[test]
        fn one_changed_byte_anywhere_is_found(at in any::<proptest::sample::Index>(), bit in 0u8..8) {
            let lines = vec![b"one".to_vec(), b"two".to_vec()];
            let after = Head::EMPTY.after_all(&stream(), lines.iter().map(Vec::as_slice));
            let mut chunks = encode(ActId(uuid::Uuid::nil()), 0, &after, &lines, b"print");
            let chunk = &mut chunks[0].1;
            let at = at.index(chunk.len());
            chunk[at] ^= 1 << bit;
            prop_assert!(join(&chunks).is_err());
        }

        #[test]
        fn no_bytes_panic(first in any::<u64>(), bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Chunk::parse(&bytes);
            let mut with_magic = MAGIC.to_vec();
            with_magic.extend_from_slice(&bytes);
            let _ = Chunk::parse(&with_magic);
            let _ = decode(first, bytes);
        }
    }

    #[test]
    fn a_chunk_of_an_older_agent_is_read() {
        // As agents wrote it that did not write what was confirmed.
        let stored =
            hex::decode("504a310a0000000000000005000000010000000939295b53092bc595617320697420776173");
        let stored = stored.unwrap();
        let chunk = Chunk::parse(&stored).unwrap();
        let wanted = Chunk { first: 5, part: 0, parts: 1, confirmed: None, slice: b"as it was" };
        assert_eq!((chunk, chunk.stored_bytes()), (wanted, stored.len()));
        let mut newer = stored.clone();
        newer[2] = b'2';
        assert!(Chunk::parse(&newer).is_err(), "no chunk is taken for one of the other form");
    }

    #[test]
    fn a_missing_part_is_an_error_and_never_a_shorter_act() {
        let lines = vec![vec![b'x'; 20_000]];
        let after = Head::EMPTY.after_all(&stream(), lines.iter().map(Vec::as_slice));
        let chunks = encode(ActId(uuid::Uuid::nil()), 0, &after, &lines, b"");
        assert_eq!(chunks.len(), 3);
        assert_eq!(join(&[chunks[0].clone(), chunks[2].clone()]), Err(RecordError::Parts));
        assert_eq!(join(&chunks[1..]), Err(RecordError::Parts));
        assert_eq!(join(&chunks[..2]), Ok(None));
    }
}
