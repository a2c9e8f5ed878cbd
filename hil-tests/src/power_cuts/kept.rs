//! A cut that failed, in a file: what was done to the disk depends on threads and clocks, so the trace itself is kept.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use super::{campaign, judge::Wrong, record::Recording};
use crate::processes::build_folder;

/// One cut, to be made again.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptCut {
    /// What was done.
    pub recording: Recording,
    /// Before which operation the power went.
    pub cut: usize,
    /// What was lost is drawn from it.
    pub seed: u64,
}

impl KeptCut {
    /// Writes it beside the build, and says where.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&self) -> io::Result<PathBuf> {
        let folder = build_folder().join("power-cuts");
        fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{:?}-{}.json", self.recording.script, self.seed));
        fs::write(&path, serde_json::to_vec(self)?)?;
        Ok(path)
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is not there, or is none.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&bytes).with_context(|| format!("{} is no kept cut", path.display()))
    }

    /// Makes it again, and says what is wrong with it.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn again(&self) -> Result<Option<Wrong>> {
        let place = campaign::place()?;
        let model = self.recording.model_at(self.cut);
        Ok(campaign::make_cut(&self.recording, &model, self.cut, self.seed, &place.path().join("state"))?
            .err())
    }
}
