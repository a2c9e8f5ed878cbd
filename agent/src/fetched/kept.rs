//! The folder in which fetched pages lie until the books no longer need them: one file for each act of the ledger that took one
//! in, named by its range.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use pestle_domain::{
    causes::with_causes,
    fact::{BoxBooksIncomplete, BoxFactsFetched},
};

use super::page;
use crate::{
    counter::{earlier::EarlierAct, fold::EarlierFacts},
    durable_file::{self, FileError},
};

/// How the names end.
const SUFFIX: &str = ".page";

/// See the module's text. Clones are the same folder.
#[derive(Debug, Clone)]
pub struct FetchedPages {
    folder: PathBuf,
}

impl FetchedPages {
    /// Those in `folder`, which is made when the first is kept.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    fn path(&self, epoch: u32, from: u64, to: u64) -> PathBuf {
        self.folder.join(format!("{epoch}-{from}-{to}{SUFFIX}"))
    }

    /// Keeps a page durably. Blocks on the disk.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn keep(&self, fetched: &BoxFactsFetched, message: &[u8]) -> Result<(), FileError> {
        durable_file::create_folder(&self.folder)?;
        durable_file::write(&self.path(fetched.epoch, fetched.from, fetched.to), message)
    }

    /// The ranges that lie here. Blocks on the disk.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn ranges(&self) -> Result<Vec<BoxBooksIncomplete>, FileError> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(FileError::disk("read", &self.folder))?,
        };
        let mut ranges = Vec::new();
        for entry in entries {
            let entry = entry.map_err(FileError::disk("read", &self.folder))?;
            ranges.extend(entry.file_name().to_str().and_then(parse_name));
        }
        Ok(ranges)
    }

    /// Removes a page. Blocks on the disk.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn remove(&self, range: &BoxBooksIncomplete) -> Result<(), FileError> {
        let path = self.path(range.epoch, range.from, range.to);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(FileError::disk("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }
}

fn parse_name(name: &str) -> Option<BoxBooksIncomplete> {
    let mut numbers = name.strip_suffix(SUFFIX)?.split('-');
    let range = BoxBooksIncomplete {
        epoch: numbers.next()?.parse().ok()?,
        from: numbers.next()?.parse().ok()?,
        to: numbers.next()?.parse().ok()?,
    };
    numbers.next().is_none().then_some(range)
}

impl EarlierFacts for FetchedPages {
    fn kept(&self, fetched: &BoxFactsFetched) -> Option<Vec<EarlierAct>> {
        let path = self.path(fetched.epoch, fetched.from, fetched.to);
        let told = |path: &Path, why: &str| {
            tracing::warn!(path = %path.display(), why, "a page of fetched facts cannot be used: it is fetched again");
        };
        let message = match fs::read(&path) {
            Ok(message) => message,
            Err(error) => {
                told(&path, &error.to_string());
                return None;
            }
        };
        page::read(&message, fetched).inspect_err(|error| told(&path, &with_causes(error))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_range_and_other_files_are_left_alone() {
        let range = BoxBooksIncomplete { epoch: 2, from: 7, to: 1_000 };
        let pages = FetchedPages::new("fetched".into());
        let path = pages.path(range.epoch, range.from, range.to);
        assert_eq!(parse_name(path.file_name().unwrap().to_str().unwrap()), Some(range));
        for name in ["2-7-1000.page.part", "2-7.page", "2-7-8-9.page", "x-7-8.page", "notes.txt"] {
            assert_eq!(parse_name(name), None, "{name}");
        }
    }
}
