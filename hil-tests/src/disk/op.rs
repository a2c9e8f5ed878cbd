//! What programs do to a disk, in the order in which it was done. A list of these is a *trace*. Pure.

use serde::{Deserialize, Serialize};

/// A file or folder of one disk; never given twice.
pub type Node = u64;

/// The folder at the top.
pub const ROOT: Node = 1;

/// A name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// In which folder.
    pub folder: Node,
    /// What it is called there.
    pub name: String,
}

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// A new file or folder.
    Create {
        /// Where.
        place: Place,
        /// What.
        node: Node,
        /// A folder, and no file.
        folder: bool,
    },
    /// Bytes were written.
    Write {
        /// Into which file.
        node: Node,
        /// Where.
        offset: u64,
        /// Which.
        #[serde(with = "hex::serde")]
        bytes: Vec<u8>,
    },
    /// A file was cut or grew.
    SetLength {
        /// Which.
        node: Node,
        /// In bytes.
        length: u64,
    },
    /// A name became another; what had that name before is gone.
    Rename {
        /// Before.
        from: Place,
        /// After.
        to: Place,
    },
    /// A name went.
    Remove {
        /// Which.
        place: Place,
    },
    /// A file was synced.
    Sync {
        /// Which.
        node: Node,
        /// With `fdatasync`, and not `fsync`.
        data_only: bool,
        /// The disk said that it could not.
        failed: bool,
    },
    /// A folder was synced.
    SyncFolder {
        /// Which.
        node: Node,
    },
    /// Something happened outside of the disk: the number of an event that whoever records keeps.
    Note(usize),
}
