//! What was decided and how far it is carried out: `journal/carry-over.json`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use pestle_domain::{fact::BoxBooksIncomplete, journal::Lane};
use serde::{Deserialize, Serialize};

use crate::durable_file::{self, FileError, create_folder, sync_folder};

/// A carrying over that was decided and has not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// In which epoch the box goes on: the centre gave the number.
    pub epoch: u32,
    /// How far it is.
    pub stage: Stage,
}

/// How far a carrying over is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum Stage {
    // Build => Swap, or the plan is dropped
    /// The new epoch is to be built beside the journals. Nothing of them has been changed.
    Build,
    /// It is built whole, and takes their place.
    Swap {
        /// What each lane sets aside.
        lanes: Vec<Swapped>,
    },
}

/// One lane of a swap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swapped {
    /// Which.
    pub lane: Lane,
    /// The epochs whose acts stand in the new one.
    pub epochs: Vec<u32>,
    /// How many acts.
    pub acts: u64,
    /// Facts that could not be read and do not stand in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<BoxBooksIncomplete>,
}

impl Plan {
    /// The one that is under way.
    ///
    /// # Errors
    /// [`FileError`]: the box does not start with a plan that nobody can read, since half of it may be done.
    pub fn read(data_dir: &Path) -> Result<Option<Self>, FileError> {
        durable_file::read_json(&path(data_dir))
    }

    /// Writes it down; from then on every start goes on with it.
    ///
    /// # Errors
    /// [`FileError::Disk`].
    pub fn write(&self, data_dir: &Path) -> Result<(), FileError> {
        create_folder(&journals(data_dir))?;
        durable_file::write_json(&path(data_dir), self)
    }

    /// Makes sure, after a plan to swap could not be written, that none is there: what could not be written may stand there all the
    /// same. The next start would put what was built into the place of what is recorded from now on.
    ///
    /// # Errors
    /// [`FileError`]: nothing may be recorded.
    pub fn take_back(data_dir: &Path) -> Result<(), FileError> {
        match Self::read(data_dir)? {
            Some(Self { stage: Stage::Swap { .. }, .. }) => Self::drop_from(data_dir),
            Some(_) | None => Ok(()),
        }
    }

    /// Drops it: it is carried out, or cannot be.
    ///
    /// # Errors
    /// [`FileError::Disk`].
    pub fn drop_from(data_dir: &Path) -> Result<(), FileError> {
        let path = path(data_dir);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(FileError::disk("remove", &path)(error))
            }
            _ => sync_folder(&journals(data_dir)),
        }
    }
}

/// Where the lanes lie.
pub(crate) fn journals(data_dir: &Path) -> PathBuf {
    data_dir.join("journal")
}

fn path(data_dir: &Path) -> PathBuf {
    journals(data_dir).join("carry-over.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_as_it_was_written_until_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Plan::read(folder.path()).unwrap(), None);
        let swapped = Swapped { lane: Lane::Ledger, epochs: vec![1, 2], acts: 9, left_out: Vec::new() };
        for stage in [Stage::Build, Stage::Swap { lanes: vec![swapped] }] {
            let plan = Plan { epoch: 7, stage };
            plan.write(folder.path()).unwrap();
            assert_eq!(Plan::read(folder.path()).unwrap(), Some(plan));
        }
        Plan::take_back(folder.path()).unwrap();
        assert_eq!(Plan::read(folder.path()).unwrap(), None, "no swap stays");
        let plan = Plan { epoch: 7, stage: Stage::Build };
        plan.write(folder.path()).unwrap();
        Plan::take_back(folder.path()).unwrap();
        assert_eq!(Plan::read(folder.path()).unwrap(), Some(plan), "what was decided stays");
        Plan::drop_from(folder.path()).unwrap();
        Plan::drop_from(folder.path()).unwrap();
        assert_eq!(Plan::read(folder.path()).unwrap(), None);
    }
}
