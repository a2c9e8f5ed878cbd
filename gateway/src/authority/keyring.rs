//! The keys that wrap every person's key in the database: files beside the authority, so that whoever has the database
//! alone, or a copy of it, reads nobody's name.
//!
//! `<data_dir>/authority/personal/<name>.key`, 32 bytes each, readable by their owner alone. One is made where there is
//! none; none is ever replaced or removed: what it wrapped needs it. Several gateways of one centre have the same files.

use std::{
    collections::BTreeSet,
    fs, io,
    path::Path,
    sync::{Mutex, PoisonError},
};

use aws_lc_rs::rand::SystemRandom;
use pestle_domain::{
    ids::{PersonId, TenantId},
    personal::{self, KEY_BYTES, NONCE_BYTES, PersonKey, PersonalError, SecretKey},
};
use prometheus_client::{metrics::counter::Counter, registry::Registry};
use zeroize::Zeroizing;

use super::AuthorityError;
use crate::files::{self, FileError};

/// Of the files.
const EXTENSION: &str = "key";

/// A person's key as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// Which key of the ring wrapped it.
    pub kek: String,
    /// Drawn for it.
    pub nonce: [u8; NONCE_BYTES],
    /// The key, sealed.
    pub text: Vec<u8>,
}

/// Why a wrapped key is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnwrapError {
    /// Its key-encryption key is not here.
    #[error(
        "the key-encryption key {0} is not in authority/personal: copy it there from the other gateway, or from the backup of \
         the authority, and restart this gateway"
    )]
    NoSuchKey(String),
    /// The row was changed.
    #[error(
        "the stored key of a person does not open: restore the database, or the authority that belongs to it"
    )]
    Damaged(#[source] PersonalError),
}

/// The open ring.
#[derive(Debug)]
pub struct KeyRing {
    /// By name; the first wraps.
    keys: Vec<(String, SecretKey)>,
    random: SystemRandom,
    /// Names that were asked for and are not here.
    missing: Mutex<BTreeSet<String>>,
    closed: Counter,
}

impl KeyRing {
    /// Opens the folder, making the first key where there is none.
    ///
    /// # Errors
    /// [`AuthorityError`]. What cannot be read is never replaced.
    pub(super) fn open(folder: &Path) -> Result<Self, AuthorityError> {
        files::make_folder(folder, 0o700)?;
        let random = SystemRandom::new();
        let mut keys = read(folder)?;
        if keys.is_empty() {
            let key = SecretKey::draw(&random).map_err(|_| AuthorityError::NoRandom)?;
            let name = key.name();
            files::write_atomically(
                &folder.join(format!("{name}.{EXTENSION}")),
                key.as_bytes(),
                files::SECRET,
            )?;
            tracing::info!(
                name,
                "made a key that wraps patients' keys: put the authority's folder into every backup"
            );
            keys.push((name, key));
        }
        Ok(Self { keys, random, missing: Mutex::default(), closed: Counter::default() })
    }

    /// Under its name in the metrics.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Persons' keys that were asked for and could not be opened";
        registry.register("patients_keys_closed", help, self.closed.clone());
    }

    /// Whether it has that key; the first time that it has not, that is said in the log.
    pub fn look_for(&self, name: &str) -> bool {
        if self.keys.iter().any(|(known, _)| known == name) {
            return true;
        }
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        if missing.insert(name.to_owned()) {
            let error = UnwrapError::NoSuchKey(name.to_owned());
            tracing::error!("patients' keys cannot be opened: {error}");
        }
        false
    }

    /// The names of keys that were needed and are not here.
    pub fn missing(&self) -> Vec<String> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Wraps a person's key.
    ///
    /// # Errors
    /// [`PersonalError::NoRandom`].
    pub fn wrap(&self, tenant: &TenantId, key: &PersonKey) -> Result<Wrapped, PersonalError> {
        let (kek, secret) = self.keys.first().ok_or(PersonalError::BadKey)?;
        let nonce = personal::draw_nonce(&self.random)?;
        let about = personal::wrapping(tenant, key.person, key.generation);
        let text = secret.seal(&about, nonce, key.secret.as_bytes())?;
        Ok(Wrapped { kek: kek.clone(), nonce, text })
    }

    /// Gives a person's key back.
    ///
    /// # Errors
    /// [`UnwrapError`].
    pub fn unwrap(
        &self,
        tenant: &TenantId,
        person: PersonId,
        generation: u32,
        wrapped: &Wrapped,
    ) -> Result<PersonKey, UnwrapError> {
        self.open_one(tenant, person, generation, wrapped).inspect_err(|error| {
            self.closed.inc();
            if let UnwrapError::NoSuchKey(name) = error {
                self.look_for(name);
            }
        })
    }

    fn open_one(
        &self,
        tenant: &TenantId,
        person: PersonId,
        generation: u32,
        wrapped: &Wrapped,
    ) -> Result<PersonKey, UnwrapError> {
        let found = self.keys.iter().find(|(name, _)| *name == wrapped.kek);
        let (_, secret) = found.ok_or_else(|| UnwrapError::NoSuchKey(wrapped.kek.clone()))?;
        let about = personal::wrapping(tenant, person, generation);
        let plain = secret.open(&about, wrapped.nonce, &wrapped.text).map_err(UnwrapError::Damaged)?;
        let bytes: &[u8; KEY_BYTES] =
            plain.as_slice().try_into().map_err(|_| UnwrapError::Damaged(PersonalError::BadKey))?;
        Ok(PersonKey { person, generation, secret: SecretKey::from_bytes(bytes) })
    }
}

fn read(folder: &Path) -> Result<Vec<(String, SecretKey)>, AuthorityError> {
    let mut keys = Vec::new();
    for entry in fs::read_dir(folder).map_err(FileError::at("read", folder))? {
        let path = entry.map_err(FileError::at("read", folder))?.path();
        if path.extension().is_none_or(|extension| extension != EXTENSION) {
            continue;
        }
        let bytes = match fs::read(&path) {
            Ok(bytes) => Zeroizing::new(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(FileError::at("read", &path)(error).into()),
        };
        let bad = || AuthorityError::BadFile(path.clone());
        let bytes: &[u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| bad())?;
        let key = SecretKey::from_bytes(bytes);
        // Its name is a hash of it: one changed bit would open nobody's fields, and be found too late.
        let name = key.name();
        if path.file_stem().and_then(|stem| stem.to_str()) != Some(&*name) {
            return Err(bad());
        }
        keys.push((name, key));
    }
    keys.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn tenant(name: &str) -> TenantId {
        name.parse().unwrap()
    }

    fn person_key() -> PersonKey {
        let person = PersonId(uuid::Uuid::from_bytes([4; 16]));
        PersonKey::first(person, &SystemRandom::new()).unwrap()
    }

    #[test]
    fn a_persons_key_is_opened_by_the_ring_that_wrapped_it_for_its_own_person_and_chain_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (ring, key) = (KeyRing::open(folder.path()).unwrap(), person_key());
        let wrapped = ring.wrap(&tenant("acme"), &key).unwrap();
        let again = KeyRing::open(folder.path()).unwrap();
        assert_eq!(again.unwrap(&tenant("acme"), key.person, 1, &wrapped).unwrap(), key);
        assert!(matches!(
            again.unwrap(&tenant("other"), key.person, 1, &wrapped),
            Err(UnwrapError::Damaged(PersonalError::CannotOpen))
        ));
        assert!(again.unwrap(&tenant("acme"), key.person, 2, &wrapped).is_err());
        assert!(!wrapped.text.windows(KEY_BYTES).any(|bytes| bytes == key.secret.as_bytes()));
        let elsewhere = tempfile::tempdir().unwrap();
        let other = KeyRing::open(elsewhere.path()).unwrap();
        let said = other.unwrap(&tenant("acme"), key.person, 1, &wrapped).unwrap_err();
        assert_eq!(said, UnwrapError::NoSuchKey(wrapped.kek.clone()));
        assert_eq!((other.missing(), other.closed.get()), (vec![wrapped.kek.clone()], 1), "and it is told");
        // As the words say: the file is copied from the other gateway.
        let name = format!("{}.key", wrapped.kek);
        fs::copy(folder.path().join(&name), elsewhere.path().join(&name)).unwrap();
        let both = KeyRing::open(elsewhere.path()).unwrap();
        assert_eq!(both.unwrap(&tenant("acme"), key.person, 1, &wrapped).unwrap(), key);
    }

    #[test]
    fn a_key_is_its_owners_alone_and_a_changed_one_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        KeyRing::open(folder.path()).unwrap();
        let file = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let mut bytes = fs::read(&file).unwrap();
        bytes[0] ^= 1;
        fs::write(&file, &bytes).unwrap();
        let said = KeyRing::open(folder.path()).unwrap_err().to_string();
        assert!(said.contains("backup"), "{said}");
        assert_eq!(fs::read(&file).unwrap(), bytes);
    }
}
