//! What the counter keeps beside the journal: the folded books with the place up to which they are folded, and the
//! open baskets. The books may be deleted; they are then rebuilt from the journal. A basket is kept within moments of
//! each change, off the scan's path: after a power cut it may lack the last pack.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use pestle_domain::{
    fact::Fact,
    ids::{StoreId, TillId},
    sale::Basket,
};
use serde::{Deserialize, Serialize};

use super::{books::Books, books_kept::KeptBooks};
use crate::{
    durable_file::{self, FileError},
    journal::{Journal, JournalError, Place},
};

/// The form of the books' file; another form is rebuilt. 3 has the centre's orders: an older agent's books know nothing of
/// them, and would have them done twice.
const FORM: u16 = 3;

#[derive(Debug, Serialize, Deserialize)]
struct BooksFile {
    form: u16,
    /// Which store's facts: a place in another store means nothing.
    store: StoreId,
    place: Place,
    books: KeptBooks,
}

/// Where the counter keeps its files.
#[derive(Debug, Clone)]
pub struct Keep {
    folder: PathBuf,
}

/// Why the books cannot be folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The journal cannot be read.
    #[error("the journal cannot be read to rebuild the books")]
    Journal(#[from] JournalError),
    /// The folder cannot be made.
    #[error("the counter's folder cannot be made")]
    Folder(#[from] FileError),
}

impl Keep {
    /// Uses `folder`, which is made if it is not there.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn new(folder: impl Into<PathBuf>) -> Result<Self, FileError> {
        let folder = folder.into();
        durable_file::create_folder(&folder)?;
        Ok(Self { folder })
    }

    fn books_path(&self) -> PathBuf {
        self.folder.join("books.json")
    }

    fn basket_path(&self, till: &TillId) -> PathBuf {
        self.folder.join(format!("basket-{till}.json"))
    }

    /// The books as of the journal's end: the kept ones and what came after, or all of the journal. Blocks on the
    /// disk.
    ///
    /// # Errors
    /// [`FoldError::Journal`]: with facts missing, no figure of the books could be believed.
    pub fn fold(&self, journal: &Journal) -> Result<(Books, Place), FoldError> {
        let (mut books, behind) = self.kept_books(journal).unwrap_or((Books::default(), Place::START));
        let mut doubts = 0u64;
        let place = journal.for_each(behind, |_place, act| -> Result<(), JournalError> {
            let facts = facts_of(act.lines());
            doubts += books.apply(&facts, act.attachment()).len() as u64;
            Ok(())
        })?;
        if doubts > 0 {
            tracing::warn!(doubts, "the stock book had entries that cannot be right; see the counts wanted");
        }
        Ok((books, place.max(behind)))
    }

    /// The kept books, if they belong to this journal and do not run ahead of it.
    fn kept_books(&self, journal: &Journal) -> Option<(Books, Place)> {
        let path = self.books_path();
        let file: BooksFile = match durable_file::read_json(&path) {
            Ok(file) => file?,
            Err(error) => {
                tracing::warn!(%error, "the folded books cannot be read and are rebuilt from the journal");
                return None;
            }
        };
        let fits = file.form == FORM
            && journal.epochs().iter().any(|epoch| {
                epoch.store == file.store
                    && epoch.stream.epoch == file.place.epoch
                    && file.place.seq <= epoch.head.seq
            });
        if !fits {
            tracing::warn!(
                "the folded books are of another store or version and are rebuilt from the journal"
            );
            return None;
        }
        Some((file.books.into(), file.place))
    }

    /// Keeps the books folded up to `place`. Blocks on the disk.
    ///
    /// # Errors
    /// The disk refuses; the kept ones stay.
    pub fn keep_books(&self, store: StoreId, place: Place, books: KeptBooks) -> Result<(), FileError> {
        durable_file::write_json(&self.books_path(), &BooksFile { form: FORM, store, place, books })
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

/// Facts of a stored act. A kind that this version does not know changes no books of this version; a line that cannot
/// be read is told, since the chain vouches that it was written so.
fn facts_of<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Vec<Fact> {
    lines
        .filter_map(|line| match Fact::from_line(line) {
            Ok(fact) => fact,
            Err(error) => {
                tracing::error!(%error, "a recorded fact cannot be read and is not in the books");
                None
            }
        })
        .collect()
}
