//! What the journal found wrong with itself, each in a sentence that a person can act on.

use std::{fmt, path::PathBuf};

use pestle_domain::{fact::BoxBooksIncomplete, journal::Head};
use serde::{Deserialize, Serialize};

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    /// Acts that were certainly on the disk are not there any more.
    TailLost {
        /// In which epoch.
        epoch: u32,
        /// As far as it was certainly written.
        marked: Head,
        /// As far as it can be read.
        readable: Head,
        /// Where the store lies, untouched.
        kept: PathBuf,
    },
    /// A store's bytes are damaged.
    Damaged {
        /// In which epoch.
        epoch: u32,
        /// The first fact of the generation.
        first: u64,
        /// As far as its acts can be read.
        readable: Head,
        /// The last fact of it that cannot be read; `None` where nobody knows.
        until: Option<u64>,
        /// What is wrong.
        what: String,
        /// Where the store lies, untouched.
        kept: PathBuf,
    },
    /// Facts between two generations are gone.
    Gap {
        /// In which epoch.
        epoch: u32,
        /// The first that is missing.
        from: u64,
        /// The last that is missing.
        to: u64,
    },
    /// The mark cannot be read, so that nobody can say whether a tail was lost.
    MarkLost {
        /// In which epoch.
        epoch: u32,
    },
    /// What an epoch says of itself could not be read, and was made anew from its first fact.
    Redescribed {
        /// Which epoch.
        epoch: u32,
    },
    /// What an epoch says of itself cannot be read.
    EpochUnreadable {
        /// What is wrong.
        what: String,
        /// Where it lies now.
        kept: PathBuf,
    },
}

impl Finding {
    /// Whether facts may have been lost by it, so that a new epoch has to begin.
    pub fn ends_epoch(&self) -> bool {
        !matches!(self, Self::MarkLost { .. } | Self::Redescribed { .. })
    }

    /// Whether `other` says no more than this does: the same, or damage of the same store that reaches no further.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Damaged { epoch, first, until, .. },
                Self::Damaged { epoch: its_epoch, first: its_first, until: its_until, .. },
            ) => {
                (epoch, first) == (its_epoch, its_first)
                    && until.is_none_or(|until| its_until.is_some_and(|its_until| its_until <= until))
            }
            _ => self == other,
        }
    }

    /// Whether these facts cannot be read because of it.
    pub fn explains(&self, hole: &BoxBooksIncomplete) -> bool {
        match self {
            Self::Damaged { epoch, first, until, .. } => {
                *epoch == hole.epoch && *first <= hole.from && until.is_none_or(|until| hole.to <= until)
            }
            Self::Gap { epoch, from, to } => *epoch == hole.epoch && *from <= hole.from && hole.to <= *to,
            Self::TailLost { .. }
            | Self::MarkLost { .. }
            | Self::Redescribed { .. }
            | Self::EpochUnreadable { .. } => false,
        }
    }

    /// Whether it stands between `epoch`'s facts and the centre, which has them up to `acknowledged`: what is written
    /// behind such a hole in the same epoch would never arrive.
    pub fn blocks(&self, epoch: u32, acknowledged: u64) -> bool {
        match self {
            Self::TailLost { epoch: own, .. } => *own == epoch,
            Self::Damaged { epoch: own, until, .. } => {
                *own == epoch && until.is_none_or(|until| until > acknowledged)
            }
            Self::Gap { epoch: own, to, .. } => *own == epoch && *to > acknowledged,
            Self::MarkLost { .. } | Self::Redescribed { .. } | Self::EpochUnreadable { .. } => false,
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TailLost { epoch, marked, readable, kept } => write!(
                formatter,
                "The journal's epoch {epoch} was written up to fact {}, but only {} can be read: facts {} to {} were \
                 lost with the disk, unless the centre has them. The store is kept in {}.",
                marked.seq,
                readable.seq,
                readable.seq + 1,
                marked.seq,
                kept.display()
            ),
            Self::Damaged { epoch, first, readable, what, kept, .. } => write!(
                formatter,
                "The journal's store from fact {first} of epoch {epoch} is damaged ({what}); it can be read up to fact \
                 {}. Check the disk, and compare the last sales with the centre. The damaged store is kept in {}.",
                readable.seq,
                kept.display()
            ),
            Self::Gap { epoch, from, to } => write!(
                formatter,
                "Facts {from} to {to} of the journal's epoch {epoch} are not on the disk any more: unless the centre \
                 has them, they are lost."
            ),
            Self::MarkLost { epoch } => write!(
                formatter,
                "The mark of the journal's epoch {epoch} cannot be read: whether its last facts were lost cannot be \
                 told. Check the disk, and compare the last sales with the centre."
            ),
            Self::Redescribed { epoch } => write!(
                formatter,
                "The description of the journal's epoch {epoch} could not be read and was made anew from its first \
                 fact: nothing was lost. Check the disk."
            ),
            Self::EpochUnreadable { what, kept } => write!(
                formatter,
                "The journal's description of an epoch cannot be read ({what}). The epoch is kept in {}. Call support: its \
                 facts that the centre does not have can be read out of it.",
                kept.display()
            ),
        }
    }
}
