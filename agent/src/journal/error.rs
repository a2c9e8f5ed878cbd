//! Why an act was not recorded, or facts could not be read. What a person sees begins with the consequence.

use std::{path::PathBuf, sync::Arc};

use super::{ACT_BYTES_MAX, StoreError, generation::DiskSays};
use crate::durable_file::FileError;

/// Why an act was not recorded, or facts could not be read. What a person sees begins with the consequence.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// The disk or the store failed. Nothing of the act is kept, and it may be tried again.
    #[error("{NOT_RECORDED}; {}", because(.0))]
    NotRecorded(#[source] Arc<StoreError>),
    /// The disk failed in the middle, and not even that could be written down. The next start will show it.
    #[error(
        "perhaps recorded, perhaps not: the box's disk failed in the middle. Restart the box and look whether it is there \
         before you do it again; call support"
    )]
    Unknown(#[source] Arc<StoreError>),
    /// The writer has ended by a fault of the program; the agent starts anew.
    #[error("not recorded; the box's recorder failed and starts anew by itself. Do it again in a minute")]
    Died,
    /// The act is larger than any that can be sent.
    #[error("not recorded; it is too large ({bytes} bytes, at most {ACT_BYTES_MAX}). Do it in smaller parts")]
    TooLarge {
        /// Lines and attachment.
        bytes: usize,
    },
    /// An act has one to 65,535 facts, and JSON must be able to say each.
    #[error("not recorded; the program made an act that cannot be written. Call support")]
    Unwritable,
    /// The agent is ending.
    #[error("not recorded; the box is shutting down. Do it again when it is back")]
    Closed,
    /// Facts are missing from the disk.
    #[error(
        "facts {from} to {to} of epoch {epoch} cannot be read any more; what is left of them is in {kept}"
    )]
    Hole {
        /// In which epoch.
        epoch: u32,
        /// The first.
        from: u64,
        /// The last.
        to: u64,
        /// Where the damaged store lies.
        kept: PathBuf,
    },
    /// Reading or opening failed.
    #[error("the journal cannot be read")]
    Store(#[source] Arc<StoreError>),
    /// The blocking thread panicked, which sled does on damaged bytes.
    #[error("the journal cannot be read: {0}")]
    Panicked(String),
}

/// Why the disk took nothing, and what to do.
fn because(error: &StoreError) -> &'static str {
    match error.disk_says() {
        DiskSays::Full => {
            "the box's disk is full. Finish nothing new, call support, and do it again when there is room"
        }
        DiskSays::ReadOnly => {
            "the box's disk takes nothing any more, it can only be read. Call support, and do it again when it is mended"
        }
        DiskSays::Other => "the box's disk does not take it. Call support, then do it again",
    }
}

impl From<StoreError> for JournalError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}
impl From<FileError> for JournalError {
    fn from(error: FileError) -> Self {
        StoreError::from(error).into()
    }
}

impl JournalError {
    /// Whether nothing was recorded for certain, so that the same may be done again at once.
    pub fn is_certain(&self) -> bool {
        !matches!(self, Self::Unknown(_))
    }
}

/// How the words of each error begin after which nothing was recorded for certain.
pub const NOT_RECORDED: &str = "not recorded";
