//! What a disk is told to refuse, and how slow it is. Pure.

use std::time::Duration;

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

impl Faults {
    /// Whether one more operation on a file goes well. Counts it.
    ///
    /// # Errors
    /// [`Refusal::Cannot`].
    pub fn touch(&mut self, touch: Touch, name: &str) -> Result<(), Refusal> {
        let mut fails = false;
        for failing in &mut self.failing {
            if failing.touch != touch || (!failing.name.is_empty() && failing.name != name) {
                continue;
            }
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
        let failing = Failing { touch: Touch::Sync, name: "db".to_owned(), after: 1, times: 2 };
        let mut faults = Faults { failing: vec![failing], ..Faults::default() };
        assert_eq!(faults.touch(Touch::Sync, "mark"), Ok(()));
        assert_eq!(faults.touch(Touch::Read, "db"), Ok(()));
        let found: Vec<_> = (0..4).map(|_| faults.touch(Touch::Sync, "db").is_ok()).collect();
        assert_eq!(found, [true, false, false, true]);
    }
}
