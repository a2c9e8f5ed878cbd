//! What the counter keeps beside the journal: checkpoints of the folded books, and the open baskets. A basket is kept within
//! moments of each change, off the scan's path: after a power cut it may lack the last pack.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use pestle_domain::{ids::TillId, sale::Basket};
use tokio::sync::watch;

use super::{
    checkpoint::Where,
    checkpoints::Checkpoints,
    fold::{self, EarlierFacts, FoldError, Folded},
};
use crate::{
    durable_file::{self, FileError},
    fetched::kept::FetchedPages,
    journal::{Journal, Place},
};

/// Where the counter keeps its files.
#[derive(Debug, Clone)]
pub struct Keep {
    folder: PathBuf,
    checkpoints: Checkpoints,
    fetched: FetchedPages,
}

impl Keep {
    /// Uses `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn new(folder: impl Into<PathBuf>) -> Result<Self, FileError> {
        let folder = folder.into();
        durable_file::create_folder(&folder)?;
        let fetched = FetchedPages::new(folder.join("fetched"));
        Ok(Self { checkpoints: Checkpoints::new(&folder), fetched, folder })
    }

    fn basket_path(&self, till: &TillId) -> PathBuf {
        self.folder.join(format!("basket-{till}.json"))
    }

    /// The books as of the journal's end, with what was fetched back into `earlier`; what is missing is named. Blocks on the disk.
    ///
    /// # Errors
    /// [`FoldError::Journal`]: the disk refuses.
    pub fn fold(&self, journal: &Journal, earlier: &dyn EarlierFacts) -> Result<Folded, FoldError> {
        fold::fold(&self.checkpoints, journal, earlier)
    }

    /// What was fetched back from the centre and is not in two checkpoints yet.
    pub fn fetched(&self) -> &FetchedPages {
        &self.fetched
    }

    /// Up to here the ledger may go: the older of two checkpoints has its facts.
    pub fn watch_safe(&self) -> watch::Receiver<Place> {
        self.checkpoints.watch_safe()
    }

    /// Which checkpoint is the next.
    pub fn next_turn(&self) -> u64 {
        self.checkpoints.next_turn()
    }

    /// Keeps a checkpoint of the books, which [`super::checkpoint::encode`] made. Blocks on the disk.
    ///
    /// # Errors
    /// The disk refuses; the kept ones stay.
    pub fn keep_books(&self, turn: u64, at: &Where, encoded: impl Read) -> Result<(), FileError> {
        self.checkpoints.write(turn, at.place, encoded)?;
        // Two checkpoints are newer than whatever an older agent kept.
        if self.checkpoints.are_two() { remove(&fold::old_path(&self.folder)) } else { Ok(()) }
    }

    /// Keeps the basket of a till; none removes it. Blocks on the disk.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn keep_basket(&self, till: &TillId, basket: Option<&Basket>) -> Result<(), FileError> {
        let path = self.basket_path(till);
        match basket {
            Some(basket) => durable_file::write_json(&path, basket),
            None => remove(&path),
        }
    }

    /// The basket that a till had. One that cannot be read is told and lost: the packs are on the counter.
    pub fn basket(&self, till: &TillId) -> Option<Basket> {
        durable_file::read_json(&self.basket_path(till)).unwrap_or_else(|error| {
            tracing::warn!(%till, %error, "the open basket cannot be read; its packs have to be scanned again");
            None
        })
    }
}

fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::disk("remove", path)(error)),
        _ => Ok(()),
    }
}
