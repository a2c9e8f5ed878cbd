//! A batch of facts: a header line, then the facts' lines as they were written. It never splits an act.

use serde::{Deserialize, Serialize};

use super::{MESSAGE_BYTES_MAX, WIRE_VERSION};
use crate::{
    fact::{Envelope, FactError},
    ids::{ActId, BatchId},
    journal::{Head, Stream},
    signature::{Hash, KeyId, Signature, SignatureError, VerifyingKey},
};

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the wire.
    pub v: u16,
    /// Names this batch in answers.
    pub batch: BatchId,
    /// Whose facts.
    #[serde(flatten)]
    pub stream: Stream,
    /// Number of the first fact; from 1.
    pub first: u64,
    /// How many facts; from 1.
    pub count: u64,
    /// Chain value before the first.
    pub previous: Hash,
    /// Chain value after the last.
    pub hash: Hash,
    /// The device's key.
    pub key: KeyId,
    /// Over [`Head::statement`] of the last fact.
    pub signature: Signature,
}

impl Header {
    /// The head before this batch.
    pub fn before(&self) -> Head {
        Head { seq: self.first.saturating_sub(1), hash: self.previous }
    }

    /// The head after this batch.
    pub fn after(&self) -> Head {
        Head { seq: self.first.saturating_add(self.count).saturating_sub(1), hash: self.hash }
    }
}

/// A batch as it came, cut into its lines and not yet verified.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    /// The first line.
    pub header: Header,
    /// The facts, byte for byte.
    pub lines: Vec<&'a [u8]>,
}

/// What is wrong with a batch. [`BatchError::reason`] is what the branch is told.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// Longer than any message may be.
    #[error(
        "the batch has {0} bytes, more than {MESSAGE_BYTES_MAX}: upgrade the agent, which should have cut it"
    )]
    TooLong(usize),
    /// The first line cannot be read at all.
    #[error("the header is not the JSON of a batch: look for what else publishes under this box's name")]
    Header(#[source] serde_json::Error),
    /// Written by a newer version.
    #[error("the batch is of wire version {0}, this gateway reads up to {WIRE_VERSION}: upgrade the gateway")]
    NewerVersion(u16),
    /// Numbers begin at 1, and a batch holds something.
    #[error("the header says {count} facts from number {first}, which cannot be: upgrade the agent")]
    Numbering {
        /// As the header says.
        first: u64,
        /// As the header says.
        count: u64,
    },
    /// The header's count is not the number of lines.
    #[error(
        "the header says {told} facts, {found} came: the box sends them again by itself; if this stays, call support"
    )]
    Count {
        /// As the header says.
        told: u64,
        /// Lines.
        found: u64,
    },
    /// The lines do not lead from the header's first to its last chain value.
    #[error(
        "the facts do not give the hash that the header states: the box sends them again by itself; if this stays, its store is damaged: call support"
    )]
    WrongHash,
    /// Not signed by the device's key.
    #[error(
        "the batch was not signed by a key of this box: enrol the box again, or find out who else writes under its name"
    )]
    WrongSignature(#[source] SignatureError),
    /// A line is no fact.
    #[error("fact {index} of the batch cannot be read: the box keeps it; call support")]
    Fact {
        /// From 0.
        index: usize,
        /// What is wrong.
        #[source]
        source: FactError,
    },
    /// The parts of an act are not all there, or not in order.
    #[error("the batch splits act {act}: upgrade the agent, which should have sent it whole")]
    SplitAct {
        /// Which.
        act: ActId,
    },
}

/// Why a batch was refused, as it travels back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalReason {
    /// No JSON, wrong count, wrong numbering, too long.
    Malformed,
    /// A newer wire version.
    NewerVersion,
    /// The chain does not give the stated hash.
    WrongHash,
    /// Not signed by this device's key.
    WrongSignature,
    /// An act is not whole.
    SplitAct,
    /// The stream is not this device's: another tenant, branch, term or device.
    WrongStream,
    /// The same position or the same fact id, with different bytes.
    Contradicts,
    /// The device is revoked, or not known.
    NotAllowed,
}

impl BatchError {
    /// What the branch is told.
    pub fn reason(&self) -> RefusalReason {
        match self {
            Self::NewerVersion(_) => RefusalReason::NewerVersion,
            Self::WrongHash => RefusalReason::WrongHash,
            Self::WrongSignature(_) => RefusalReason::WrongSignature,
            Self::SplitAct { .. } => RefusalReason::SplitAct,
            Self::TooLong(_)
            | Self::Header(_)
            | Self::Numbering { .. }
            | Self::Count { .. }
            | Self::Fact { .. } => RefusalReason::Malformed,
        }
    }
}

/// The message: header and lines, each ended by a line feed.
///
/// # Errors
/// Only where JSON cannot say the header, which no field of ours allows.
pub fn build<'a>(
    header: &Header,
    lines: impl IntoIterator<Item = &'a [u8], IntoIter: Clone>,
) -> Result<Vec<u8>, serde_json::Error> {
    super::with_lines(header, lines)
}

impl<'a> Batch<'a> {
    /// Cuts a message into header and lines. What it says is not believed yet: [`Batch::verify`].
    ///
    /// # Errors
    /// [`BatchError`] for what is no batch of this version.
    pub fn parse(message: &'a [u8]) -> Result<Self, BatchError> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(BatchError::TooLong(message.len()));
        }
        let mut pieces = super::lines_of(message);
        let first = pieces.next().unwrap_or_default();
        let header: Header = match serde_json::from_slice(first) {
            Ok(header) => header,
            Err(error) => return Err(newer_version(first).unwrap_or(BatchError::Header(error))),
        };
        if header.v > WIRE_VERSION {
            return Err(BatchError::NewerVersion(header.v));
        }
        if header.first == 0 || header.count == 0 || header.first.checked_add(header.count).is_none() {
            return Err(BatchError::Numbering { first: header.first, count: header.count });
        }
        let lines: Vec<_> = pieces.collect();
        let found = lines.len() as u64;
        if found != header.count {
            return Err(BatchError::Count { told: header.count, found });
        }
        Ok(Self { header, lines })
    }

    /// Verifies chain and signature, and returns each line's head.
    ///
    /// # Errors
    /// [`BatchError::WrongHash`], [`BatchError::WrongSignature`].
    pub fn verify(&self, key: &VerifyingKey) -> Result<Vec<Head>, BatchError> {
        let before = self.header.before();
        let heads: Vec<Head> = before.each_after(&self.header.stream, self.lines.iter().copied()).collect();
        let head = heads.last().copied().unwrap_or(before);
        if head != self.header.after() {
            return Err(BatchError::WrongHash);
        }
        key.verify(&head.statement(&self.header.stream), &self.header.signature)
            .map_err(BatchError::WrongSignature)?;
        Ok(heads)
    }

    /// Reads the lines' envelopes, and checks that every act is whole.
    ///
    /// # Errors
    /// [`BatchError::Fact`], [`BatchError::SplitAct`].
    pub fn envelopes(&self) -> Result<Vec<Envelope<'a>>, BatchError> {
        let envelopes = self
            .lines
            .iter()
            .enumerate()
            .map(|(index, line)| Envelope::parse(line).map_err(|source| BatchError::Fact { index, source }))
            .collect::<Result<Vec<_>, _>>()?;
        let mut rest = envelopes.as_slice();
        while let Some(first) = rest.first() {
            let count = usize::from(first.of.1);
            let whole = count > 0
                && rest.len() >= count
                && (1..).zip(&rest[..count]).all(|(index, part)| {
                    part.act == first.act && part.of.1 == first.of.1 && part.of.0 == index
                });
            if !whole {
                return Err(BatchError::SplitAct { act: first.act });
            }
            rest = &rest[count..];
        }
        Ok(envelopes)
    }
}

/// A header that cannot be read may be of a version that has other fields.
fn newer_version(line: &[u8]) -> Option<BatchError> {
    #[derive(Deserialize)]
    struct Version {
        v: u16,
    }
    let Version { v } = serde_json::from_slice(line).ok()?;
    (v > WIRE_VERSION).then_some(BatchError::NewerVersion(v))
}
