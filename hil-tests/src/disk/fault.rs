//! What a disk is told to refuse, and how slow it is. Pure.

use std::{path::Path, time::Duration};

/// What a disk says no with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It cannot: a bad sector, a cable (EIO).
    Cannot,
    /// There is no room (ENOSPC).
    Full,
    /// It takes no writes (EROFS).
    ReadOnly,
}

/// Operations that may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// Reading a file's bytes.
    Read,
    /// Syncing a file.
    Sync,
}

/// Some of the next operations of one kind fail with [`Refusal::Cannot`].
#[derive(Debug, Clone)]
pub struct Failing {
    /// Of which kind.
    pub touch: Touch,
    /// On files of this name alone; empty for all.
    pub name: String,
    /// On files below a folder of this name alone; empty for all.
    pub below: String,
    /// So many go well before.
    pub after: u32,
    /// So many fail then.
    pub times: u32,
}

/// All that a disk is told.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// Bytes that fit on it, in whole blocks; `None` for more than anybody writes.
    pub quota: Option<u64>,
    /// It takes no writes.
    pub read_only: bool,
    /// How long a sync of a file takes.
    pub sync_takes: Duration,
    /// Syncs of files of this name are answered and not done, as by a disk with a volatile cache that lies.
    pub lies_about: Option<String>,
    /// What fails now and then.
    pub failing: Vec<Failing>,
}

impl Failing {
    fn is_meant(&self, path: &Path) -> bool {
        let mut folders = path.parent().into_iter().flat_map(Path::components);
        (self.name.is_empty() || path.file_name() == Some(self.name.as_ref()))
            && (self.below.is_empty() || folders.any(|folder| folder.as_os_str() == self.below.as_str()))
    }
}

impl Faults {
    /// Whether one more operation on a file goes well, by the path at which it was made. Counts it.
    ///
    /// # Errors
    /// [`Refusal::Cannot`].
    pub fn touch(&mut self, touch: Touch, path: &Path) -> Result<(), Refusal> {
        let mut fails = false;
        for failing in
            self.failing.iter_mut().filter(|failing| failing.touch == touch && failing.is_meant(path))
        {
            if failing.after > 0 {
                failing.after -= 1;
            } else if failing.times > 0 {
                failing.times -= 1;
                fails = true;
            }
        }
        if fails { Err(Refusal::Cannot) } else { Ok(()) }
    }

    /// Whether something may be changed at all.
    ///
    /// # Errors
    /// [`Refusal::ReadOnly`].
    pub fn change(&self) -> Result<(), Refusal> {
        if self.read_only { Err(Refusal::ReadOnly) } else { Ok(()) }
    }

    /// Whether `more` bytes fit beside the `used` ones.
    ///
    /// # Errors
    /// [`Refusal::Full`].
    pub fn room(&self, used: u64, more: u64) -> Result<(), Refusal> {
        match self.quota {
            Some(quota) if more > 0 && used + more > quota => Err(Refusal::Full),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operation_that_was_named_fails_and_no_other() {
        let (name, below) = ("db".to_owned(), "ledger".to_owned());
        let failing = Failing { touch: Touch::Sync, name, below, after: 1, times: 2 };
        let mut faults = Faults { failing: vec![failing], ..Faults::default() };
        let mut touch = |touch, path: &str| faults.touch(touch, Path::new(path));
        for other in ["ledger/mark", "telemetry/db", "db", "ledger"] {
            assert_eq!(touch(Touch::Sync, other), Ok(()));
        }
        assert_eq!(touch(Touch::Read, "ledger/store/db"), Ok(()));
        let found: Vec<_> = (0..4).map(|_| touch(Touch::Sync, "journal/ledger/store/db").is_ok()).collect();
        assert_eq!(found, [true, false, false, true]);
    }
}
