//! One person's key as a file: `<data_dir>/personal/<person>.json`, with a checksum, readable by its owner alone.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use pestle_domain::{ids::PersonId, personal::PersonKey, units::UnixMillis};
use serde::{Deserialize, Serialize};

use crate::durable_file::{self, FileError};

const EXTENSION: &str = "json";

/// A key and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The key.
    pub key: PersonKey,
    /// Where it stands.
    pub state: State,
}

/// Where a key stands.
///
/// ```text
/// Waiting ──deposited──► Leased ──over, or erased──► (gone)
///    ▲                      │
///    └──the centre lost it──┘      Waiting ──another is there──► Refused
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Made here; the centre does not have it. Never dropped.
    Waiting,
    /// The centre has another one and does not take this. Never dropped; tried again at each start.
    Refused,
    /// The centre lends it.
    Leased {
        /// By the centre's clock; it is dropped then.
        until: UnixMillis,
    },
}

/// The folder of keys.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes the folder where there is none, and closes it to everybody else.
    ///
    /// # Errors
    /// [`FileError::Disk`].
    pub fn open(path: PathBuf) -> Result<Self, FileError> {
        durable_file::create_folder(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
            .map_err(FileError::disk("protect", &path))?;
        Ok(Self(path))
    }

    /// All keys, and how many files are damaged. Those that were refused wait again.
    ///
    /// # Errors
    /// [`FileError::Disk`] when the folder cannot be read.
    pub fn load(&self) -> Result<(Vec<Kept>, usize), FileError> {
        let (mut found, mut damaged) = (Vec::new(), 0);
        for entry in fs::read_dir(&self.0).map_err(FileError::disk("read", &self.0))? {
            let path = entry.map_err(FileError::disk("read", &self.0))?.path();
            // Beside it lie halves of files that a power cut left: of keys that nothing was sealed with.
            if path.extension().is_none_or(|extension| extension != EXTENSION) {
                continue;
            }
            match durable_file::read_json::<Kept>(&path) {
                Ok(Some(kept)) if self.file(kept.key.person) == path => found.push(kept),
                Ok(None) => {}
                Ok(Some(_)) => {
                    damaged += 1;
                    tracing::error!(file = %path.display(), "a patient's key lies under another's name and is left as it is");
                }
                Err(error) => {
                    damaged += 1;
                    tracing::error!(%error, "a patient's key cannot be read and is left as it is");
                }
            }
        }
        for kept in &mut found {
            if kept.state == State::Refused {
                kept.state = State::Waiting;
            }
        }
        Ok((found, damaged))
    }

    /// Writes a key; when this returns it survives a power cut.
    ///
    /// # Errors
    /// [`FileError::Disk`].
    pub fn put(&self, kept: &Kept) -> Result<(), FileError> {
        durable_file::write_json(&self.file(kept.key.person), kept)
    }

    /// Removes a key; when this returns it does not come back with a power cut.
    ///
    /// # Errors
    /// [`FileError::Disk`].
    pub fn remove(&self, person: PersonId) -> Result<(), FileError> {
        let path = self.file(person);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(FileError::disk("remove", &path)(error)),
            Ok(()) => durable_file::sync_folder(&self.0),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn file(&self, person: PersonId) -> PathBuf {
        self.0.join(format!("{person}.{EXTENSION}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use uuid::Uuid;

    fn kept(byte: u8, state: State) -> Kept {
        let person = PersonId(Uuid::from_bytes([byte; 16]));
        Kept { key: PersonKey::first(person, &SystemRandom::new()).unwrap(), state }
    }

    #[test]
    fn keys_are_read_as_they_were_written_by_their_owner_alone_and_a_damaged_one_is_left_as_it_is() {
        let outer = tempfile::tempdir().unwrap();
        let folder = Folder::open(outer.path().join("personal")).unwrap();
        let leased = kept(1, State::Leased { until: UnixMillis(5) });
        let (waiting, refused) = (kept(2, State::Waiting), kept(3, State::Refused));
        for one in [&leased, &waiting, &refused, &kept(4, State::Waiting)] {
            folder.put(one).unwrap();
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(folder.path()), mode(&folder.file(leased.key.person))), (0o700, 0o600));
        let broken = folder.file(PersonId(Uuid::from_bytes([4; 16])));
        let mut bytes = fs::read(&broken).unwrap();
        bytes[30] ^= 1;
        fs::write(&broken, &bytes).unwrap();
        fs::copy(folder.file(waiting.key.person), folder.file(PersonId(Uuid::from_bytes([5; 16])))).unwrap();
        fs::write(folder.path().join("half.json.part"), "{").unwrap();

        let (mut found, damaged) = folder.load().unwrap();
        found.sort_by_key(|one| one.key.person);
        let again = Kept { state: State::Waiting, ..refused };
        assert_eq!((found, damaged), (vec![leased.clone(), waiting, again], 2));
        assert_eq!(fs::read(&broken).unwrap(), bytes);

        folder.remove(leased.key.person).unwrap();
        folder.remove(leased.key.person).unwrap();
        assert!(!folder.file(leased.key.person).exists());
    }
}
