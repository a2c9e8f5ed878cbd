//! The books when the ledger is recorded once more in a new epoch ([`crate::journal::carry`]): the acts are the same, their place is
//! another. So the books as they are become the new epoch's checkpoints: nothing is folded twice, and what has left the box
//! and stands in the checkpoints alone is not lost.
//!
//! They are made beside those that count, and put over them once the new epoch has its place.

use std::{
    fs,
    path::{Path, PathBuf},
};

use pestle_domain::{ids::StoreId, journal::Head};

use super::{
    checkpoint::{self, Where},
    checkpoints::FILES,
    fold::FoldError,
    keep::Keep,
};
use crate::{
    durable_file::{self, FileError, create_folder, sync_folder},
    journal::{Journal, Place},
};

const STAGED: &str = "staged";

/// Why no checkpoint was made.
#[derive(Debug, thiserror::Error)]
pub enum RebaseError {
    /// The books cannot be had.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// They cannot be written as bytes.
    #[error("the books cannot be written as bytes")]
    Encode(#[source] std::io::Error),
    /// The disk refuses.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Makes both checkpoints of the books of `ledger` as they will be once its acts stand in `store`, up to `place`. Blocks on the disk.
///
/// # Errors
/// [`RebaseError`].
pub fn stage(
    folder: &Path,
    ledger: &Journal,
    (store, place, head): (StoreId, Place, Head),
) -> Result<(), RebaseError> {
    let keep = Keep::new(folder)?;
    // The facts that say what was fetched lie before the checkpoints' place in the new epoch: no later fold takes the pages in.
    // What is missing and has no fact yet is in these books, and is named in the new epoch.
    let books = keep.fold(ledger, keep.fetched())?.books;
    let staged = folder.join(STAGED);
    create_folder(&staged)?;
    let at = Where { store, place, head };
    for (turn, name) in (keep.next_turn()..).zip(FILES) {
        let mut encoded = Vec::new();
        checkpoint::encode(turn, &at, &books, &mut encoded).map_err(RebaseError::Encode)?;
        durable_file::write_with(&staged.join(name), |file| checkpoint::seal(encoded.as_slice(), file))?;
    }
    Ok(())
}

/// Puts the staged checkpoints over those that counted. It may be repeated until it comes to its end. Blocks on the disk.
///
/// # Errors
/// [`FileError::Disk`].
pub fn adopt(folder: &Path) -> Result<(), FileError> {
    for name in FILES {
        let staged: PathBuf = folder.join(STAGED).join(name);
        if staged.exists() {
            let path = folder.join(name);
            fs::rename(&staged, &path).map_err(FileError::disk("move", &staged))?;
        }
    }
    give_up(folder)
}

/// Throws staged checkpoints away. Blocks on the disk.
///
/// # Errors
/// [`FileError::Disk`].
pub fn give_up(folder: &Path) -> Result<(), FileError> {
    let staged = folder.join(STAGED);
    if !staged.exists() {
        return Ok(());
    }
    // What was moved out of it is durable before it goes.
    sync_folder(folder)?;
    fs::remove_dir_all(&staged).map_err(FileError::disk("remove", &staged))?;
    sync_folder(folder)
}
