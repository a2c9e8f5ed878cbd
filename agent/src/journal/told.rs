//! What was found and has not been told yet. A damage is found once: the repair that follows hides it from the next start.
//! So it is written down before the repair, and stands there until the fact that tells it is on the disk.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Finding, manifest::file};
use crate::durable_file::{self, FileError};

/// `findings.json` of a lane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Not told yet, the oldest first.
    pub pending: Vec<Finding>,
    /// Told: what is found again at each start is not told again.
    pub told: Vec<Finding>,
}

impl Findings {
    /// What is written down in the lane's folder. A file that cannot be read is begun anew: findings are found again, or
    /// stand in the log.
    ///
    /// # Errors
    /// [`FileError::Disk`].
    pub fn read(lane: &Path) -> Result<Self, FileError> {
        match durable_file::read_json(&lane.join(file::FINDINGS)) {
            Ok(found) => Ok(found.unwrap_or_default()),
            Err(error @ FileError::Damaged { .. }) => {
                tracing::error!(%error, "what was found damaged before cannot be read");
                Ok(Self::default())
            }
            Err(error) => Err(error),
        }
    }

    /// Writes it down.
    ///
    /// # Errors
    /// [`FileError::Disk`].
    pub fn write(&self, lane: &Path) -> Result<(), FileError> {
        durable_file::write_json(&lane.join(file::FINDINGS), self)
    }

    /// Takes what was found; says whether anything of it is new.
    pub fn add(&mut self, found: impl IntoIterator<Item = Finding>) -> bool {
        let before = self.pending.len();
        for finding in found {
            if !self.pending.contains(&finding) && !self.told.contains(&finding) {
                self.pending.push(finding);
            }
        }
        self.pending.len() > before
    }

    /// `told` stand in a fact now. What vanishes with its repair needs no memory; the rest is remembered.
    pub fn tell(&mut self, told: &[Finding]) {
        self.pending.retain(|finding| !told.contains(finding));
        for finding in told {
            let is_found_again = matches!(finding, Finding::Gap { .. } | Finding::Damaged { .. });
            if is_found_again && !self.told.contains(finding) {
                self.told.push(finding.clone());
            }
        }
    }

    /// All, told or not.
    pub fn all(&self) -> impl Iterator<Item = &Finding> {
        self.pending.iter().chain(&self.told)
    }
}
