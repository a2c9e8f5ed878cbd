//! Files and folders as they lie on a disk while nobody uses it.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Component, Path},
};

use serde::{Deserialize, Serialize};

/// A file or a folder with all that is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Plain {
    /// Its bytes.
    File(#[serde(with = "hex::serde")] Vec<u8>),
    /// By name.
    Folder(BTreeMap<String, Plain>),
}

impl Plain {
    /// A folder with nothing in it.
    pub fn empty() -> Self {
        Self::Folder(BTreeMap::new())
    }

    /// What lies under `path`, seen from here.
    pub fn at(&self, path: &Path) -> Option<&Self> {
        path.components().try_fold(self, |at, part| match (at, part) {
            (Self::Folder(entries), Component::Normal(name)) => entries.get(name.to_str()?),
            _ => None,
        })
    }

    /// Reads what lies under `path` on a real disk.
    ///
    /// # Errors
    /// The disk refuses, or something there is neither file nor folder, or has a name that is no text.
    pub fn read(path: &Path) -> io::Result<Self> {
        if !fs::symlink_metadata(path)?.is_dir() {
            return fs::read(path).map(Self::File);
        }
        let mut entries = BTreeMap::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let name = entry.file_name().into_string().map_err(|_| io::ErrorKind::InvalidData)?;
            entries.insert(name, Self::read(&entry.path())?);
        }
        Ok(Self::Folder(entries))
    }

    /// Writes it under `path`, where nothing may be yet. Nothing is synced: it is for tests that read it at once.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::File(bytes) => fs::write(path, bytes),
            Self::Folder(entries) => {
                fs::create_dir(path)?;
                entries.iter().try_for_each(|(name, entry)| entry.write(&path.join(name)))
            }
        }
    }
}
