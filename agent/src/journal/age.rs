//! How long a store has been in use: retention is counted by this, and not by the wall clock. A clock that was wrong and is put right,
//! or that another machine has, makes nothing old. What passes while the machine is off is not counted: that keeps facts for longer, and never
//! for less.

use std::path::Path;

use pestle_domain::fact::Stamp;
use serde::{Deserialize, Serialize};

use super::manifest::file;
use crate::durable_file::{self, FileError};

/// It is written when so much more has passed: what passed since is lost with the power.
const KEPT_EVERY_MS: u64 = 600_000;

/// `age.json`, beside the epochs of a lane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Age {
    /// Milliseconds in use.
    pub age_ms: u64,
    /// In which start of the machine that was.
    pub boot: Box<str>,
    /// And how long after it.
    pub mono_ms: u64,
}

impl Age {
    /// Later. What passed counts within one start of the machine, whether the agent ran or not.
    #[must_use]
    pub fn at(&self, now: &Stamp) -> Self {
        let passed = if self.boot == now.boot { now.mono_ms.saturating_sub(self.mono_ms) } else { 0 };
        Self { age_ms: self.age_ms.saturating_add(passed), boot: now.boot.clone(), mono_ms: now.mono_ms }
    }
}

/// An age as it is known and as it is kept.
#[derive(Debug, Default)]
pub(super) struct KeptAge {
    known: Age,
    written_ms: Option<u64>,
}

impl KeptAge {
    /// As it lies in `folder`. One that cannot be read begins anew: every date is then ahead of it, and counts from now.
    pub(super) fn open(folder: &Path, now: &Stamp) -> Self {
        let kept = durable_file::read_json::<Age>(&folder.join(file::AGE)).unwrap_or_else(|error| {
            tracing::warn!(%error, "how long the journal has been in use is counted anew: acknowledged facts stay here for longer");
            None
        });
        let written_ms = kept.as_ref().map(|age| age.age_ms);
        Self { known: kept.unwrap_or_default().at(now), written_ms }
    }

    /// The age now; written where enough has passed.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(super) fn at(&mut self, folder: &Path, now: &Stamp) -> Result<u64, FileError> {
        self.known = self.known.at(now);
        let age = self.known.age_ms;
        if self.written_ms.is_none_or(|written| age >= written.saturating_add(KEPT_EVERY_MS)) {
            durable_file::write_json(&folder.join(file::AGE), &self.known)?;
            self.written_ms = Some(age);
        }
        Ok(age)
    }

    /// The age now.
    pub(super) fn look(&self, now: &Stamp) -> u64 {
        self.known.at(now).age_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::testing;

    fn stamp(boot: &str, mono_ms: u64) -> Stamp {
        Stamp { boot: boot.into(), mono_ms, ..testing::stamp() }
    }

    #[test]
    fn what_passes_within_one_start_of_the_machine_counts_and_nothing_else_does() {
        let first = Age::default().at(&stamp("a", 5_000));
        assert_eq!(first.age_ms, 0, "what was before the store is not its age");
        let later = first.at(&stamp("a", 65_000));
        assert_eq!(later.age_ms, 60_000);
        let after = later.at(&stamp("b", 1_000_000));
        assert_eq!(after.age_ms, 60_000, "off for nobody knows how long");
        assert_eq!(after.at(&stamp("b", 1_000_500)).age_ms, 60_500);
        assert_eq!(after.at(&stamp("b", 10)).age_ms, 60_000, "it never falls");
    }

    #[test]
    fn it_is_kept_from_time_to_time_and_one_that_cannot_be_read_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let kept = |now: &Stamp| KeptAge::open(folder.path(), now).look(now);
        let mut age = KeptAge::open(folder.path(), &stamp("a", 0));
        assert_eq!(age.at(folder.path(), &stamp("a", 1_000)).unwrap(), 1_000);
        assert_eq!(age.at(folder.path(), &stamp("a", KEPT_EVERY_MS)).unwrap(), KEPT_EVERY_MS);
        assert_eq!(kept(&stamp("b", 9)), 1_000, "the last that was written");
        assert_eq!(kept(&stamp("a", 2_000)), 2_000, "the agent alone began anew");
        age.at(folder.path(), &stamp("a", 2 * KEPT_EVERY_MS)).unwrap();
        assert_eq!(kept(&stamp("b", 9)), 2 * KEPT_EVERY_MS);
        std::fs::write(folder.path().join(file::AGE), "x").unwrap();
        assert_eq!(kept(&stamp("b", 9)), 0);
    }
}
