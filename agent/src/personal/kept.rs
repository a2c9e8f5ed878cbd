//! One person's key as a file: `<data_dir>/personal/<person>.json`, with a checksum, readable by its owner alone.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use pestle_domain::{ids::PersonId, personal::PersonKey, units::UnixMillis};
use serde::{Deserialize, Serialize};

use crate::durable_file::{self, FileError};

const EXTENSION: &str = "json";
/// Of what a power cut left of a key that was being written. It may be a whole key.
const HALF: &str = "json.part";

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

/// What lies in the folder.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Keys.
    pub kept: Vec<Kept>,
    /// Persons whose files cannot be read.
    pub damaged: BTreeSet<PersonId>,
    /// Files that cannot be read and name nobody.
    pub nameless: usize,
}

/// The folder of keys.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Makes the folder where there is none, closes it to everybody else, and removes what a power cut left of keys that
    /// were being written: nothing was sealed with one that was new, and of one that was not the whole file is there.
    ///
    /// # Errors
    /// [`FileError::Disk`].
    pub fn open(path: PathBuf) -> Result<Self, FileError> {
        durable_file::create_folder(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))
            .map_err(FileError::disk("protect", &path))?;
        let folder = Self(path);
        let mut removed = false;
        for path in folder.files()? {
            if path.to_string_lossy().ends_with(&format!(".{HALF}")) {
                removed |= remove_if_there(&path)?;
            }
        }
        if removed {
            durable_file::sync_folder(&folder.0)?;
        }
        Ok(folder)
    }

    /// What lies here. Those that were refused wait again.
    ///
    /// # Errors
    /// [`FileError::Disk`] when the folder cannot be read.
    pub fn load(&self) -> Result<Found, FileError> {
        let mut found = Found::default();
        for path in self.files()? {
            if path.extension().is_none_or(|extension| extension != EXTENSION) {
                continue;
            }
            let why = match durable_file::read_json::<Kept>(&path) {
                Ok(Some(kept)) if self.file(kept.key.person) == path => {
                    found.kept.push(kept);
                    continue;
                }
                Ok(None) => continue,
                Ok(Some(_)) => format!("{} holds another's", path.display()),
                Err(error) => error.to_string(),
            };
            tracing::error!("a patient's key cannot be read and is left as it is: {why}");
            let named = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).map(PersonId);
            match named {
                Some(person) => drop(found.damaged.insert(person)),
                None => found.nameless += 1,
            }
        }
        for kept in &mut found.kept {
            if kept.state == State::Refused {
                kept.state = State::Waiting;
            }
        }
        Ok(found)
    }

    fn files(&self) -> Result<Vec<PathBuf>, FileError> {
        let entries = fs::read_dir(&self.0).map_err(FileError::disk("read", &self.0))?;
        entries
            .map(|entry| entry.map(|entry| entry.path()).map_err(FileError::disk("read", &self.0)))
            .collect()
    }

    /// Writes a key; when this returns it survives a power cut.
    ///
    /// # Errors
    /// [`FileError::Disk`].
    pub fn put(&self, kept: &Kept) -> Result<(), FileError> {
        durable_file::write_json(&self.file(kept.key.person), kept)
    }

    /// Removes whatever there is of a key, and says whether there was anything; when this returns it does not come back with
    /// a power cut.
    ///
    /// # Errors
    /// [`FileError::Disk`].
    pub fn remove(&self, person: PersonId) -> Result<bool, FileError> {
        let half = remove_if_there(&self.0.join(format!("{person}.{HALF}")))?;
        let removed = remove_if_there(&self.file(person))? || half;
        if removed {
            durable_file::sync_folder(&self.0)?;
        }
        Ok(removed)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    fn file(&self, person: PersonId) -> PathBuf {
        self.0.join(format!("{person}.{EXTENSION}"))
    }
}

fn remove_if_there(path: &Path) -> Result<bool, FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(FileError::disk("remove", path)(error)),
        Ok(()) => Ok(true),
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
        fs::write(folder.path().join("x.json"), "{").unwrap();

        let mut found = folder.load().unwrap();
        found.kept.sort_by_key(|one| one.key.person);
        let again = Kept { state: State::Waiting, ..refused };
        assert_eq!(found.kept, [leased.clone(), waiting, again]);
        let damaged = [4, 5].map(|byte| PersonId(Uuid::from_bytes([byte; 16])));
        assert_eq!((found.damaged, found.nameless), (BTreeSet::from(damaged), 1));
        assert_eq!(fs::read(&broken).unwrap(), bytes);

        assert!(folder.remove(leased.key.person).unwrap());
        assert!(!folder.remove(leased.key.person).unwrap());
        assert!(!folder.file(leased.key.person).exists());
    }

    #[test]
    fn what_a_power_cut_left_beside_a_key_goes_with_it_and_at_the_next_start() {
        let outer = tempfile::tempdir().unwrap();
        let folder = Folder::open(outer.path().join("personal")).unwrap();
        let renewed = kept(1, State::Leased { until: UnixMillis(5) });
        let half = folder.path().join(format!("{}.json.part", renewed.key.person));
        for _ in 0..2 {
            folder.put(&renewed).unwrap();
            fs::copy(folder.file(renewed.key.person), &half).unwrap();
            folder.remove(renewed.key.person).unwrap();
            assert!(!half.exists() && !folder.file(renewed.key.person).exists());
        }
        folder.put(&renewed).unwrap();
        fs::copy(folder.file(renewed.key.person), &half).unwrap();
        let folder = Folder::open(folder.path().to_owned()).unwrap();
        assert!(!half.exists());
        assert_eq!(folder.load().unwrap().kept, [renewed]);
    }
}
