//! Facts on their way back: a box that lost some, or that can no longer read them, asks the centre for them over HTTPS. The
//! answer is a *page*: a header line, then the facts' lines as they were written. It never splits an act.
//!
//! The lines make the chain from [`PageHeader::previous`] to the head that the centre's acknowledgement signs: nothing between
//! can be left out, changed or added. That it begins where the box's own chain ends, the box compares itself.

use serde::{Deserialize, Serialize};

use super::MESSAGE_BYTES_MAX;
use crate::{
    ids::StoreId,
    journal::{Acknowledgement, Head, Lane},
    signature::{Hash, SignatureError, VerifyingKey},
};

/// Where boxes ask.
pub const FACTS_PATH: &str = "/api/v1/device/facts";
/// The version that this code writes.
pub const FACTS_VERSION: u16 = 1;
/// Lines of one page: taking them into the books is work of some ten milliseconds.
pub const PAGE_FACTS_MAX: usize = 1_000;
/// Largest page. An act alone may be as large as a message, and a page ends behind the first that is past half of this.
pub const PAGE_BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX;

/// What a box asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Of which lane.
    pub lane: Lane,
    /// Of which life of its store.
    pub epoch: u32,
    /// That store's id, where the box knows it.
    pub store: Option<StoreId>,
    /// The first fact.
    pub from: u64,
    /// The last; `None` for as far as the centre has them.
    pub to: Option<u64>,
}

/// The first line of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageHeader {
    /// [`FACTS_VERSION`].
    pub facts: u16,
    /// Number of the first fact.
    pub first: u64,
    /// How many; 0 where the centre has none there.
    pub count: u64,
    /// The chain's value before the first.
    pub previous: Hash,
    /// The last fact of the stream that the centre has.
    pub last: u64,
    /// Facts of the page that stand elsewhere too, and count there.
    pub again: Vec<u64>,
    /// The centre's signed word on the last fact of the page.
    pub acknowledgement: Acknowledgement,
}

/// A page as it came.
#[derive(Debug, Clone)]
pub struct Page<'a> {
    /// The first line.
    pub header: PageHeader,
    /// The facts, byte for byte.
    pub lines: Vec<&'a [u8]>,
}

/// What is wrong with a page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The first line.
    #[error("its first line is no header of a page")]
    Header(#[source] serde_json::Error),
    /// Written by a newer version.
    #[error(
        "it is of version {0}, and {FACTS_VERSION} is the newest that can be read here: upgrade the agent"
    )]
    Newer(u16),
    /// The header's count is not the number of lines.
    #[error("its header says {told} facts, {found} came")]
    Count {
        /// As the header says.
        told: u64,
        /// Lines.
        found: u64,
    },
    /// The lines do not lead from the header's first chain value to the acknowledged head.
    #[error("its facts do not give the chain value that the centre signed")]
    WrongHash,
    /// Not signed by the centre's key.
    #[error("it was not signed by the centre's key")]
    WrongSignature(#[source] SignatureError),
}

/// The message: header and lines, each ended by a line feed.
///
/// # Errors
/// Only where JSON cannot say the header, which no field of ours allows.
pub fn build<'a>(
    header: &PageHeader,
    lines: impl IntoIterator<Item = &'a [u8], IntoIter: Clone>,
) -> Result<Vec<u8>, serde_json::Error> {
    super::with_lines(header, lines)
}

impl<'a> Page<'a> {
    /// Cuts a message into header and lines. What it says is not believed yet: [`Page::verify`].
    ///
    /// # Errors
    /// [`PageError`].
    pub fn parse(message: &'a [u8]) -> Result<Self, PageError> {
        #[derive(Deserialize)]
        struct Version {
            facts: u16,
        }
        let mut pieces = super::lines_of(message);
        let first = pieces.next().unwrap_or_default();
        let Version { facts } = serde_json::from_slice(first).map_err(PageError::Header)?;
        if facts > FACTS_VERSION {
            return Err(PageError::Newer(facts));
        }
        let header: PageHeader = serde_json::from_slice(first).map_err(PageError::Header)?;
        let lines: Vec<_> = pieces.collect();
        let found = lines.len() as u64;
        if found != header.count {
            return Err(PageError::Count { told: header.count, found });
        }
        Ok(Self { header, lines })
    }

    /// The head before its first fact.
    pub fn before(&self) -> Head {
        Head { seq: self.header.first.saturating_sub(1), hash: self.header.previous }
    }

    /// The head after its last fact.
    pub fn after(&self) -> Head {
        self.header.acknowledgement.head
    }

    /// Computes the chain anew, and checks the centre's signature where there are facts.
    ///
    /// # Errors
    /// [`PageError::WrongHash`], [`PageError::WrongSignature`].
    pub fn verify(&self, centre: &VerifyingKey) -> Result<(), PageError> {
        let acknowledgement = &self.header.acknowledgement;
        self.chain()?;
        acknowledgement.verify(centre).map_err(PageError::WrongSignature)
    }

    /// Computes the chain anew: the page is whole, whoever kept it.
    ///
    /// # Errors
    /// [`PageError::WrongHash`].
    pub fn chain(&self) -> Result<(), PageError> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let acknowledgement = &self.header.acknowledgement;
        let after = self.before().after_all(&acknowledgement.stream, self.lines.iter().copied());
        if after == acknowledgement.head { Ok(()) } else { Err(PageError::WrongHash) }
    }
}
