//! The key that signs acknowledgements and snapshots. Old keys stay: what they signed must verify for ever, and boxes
//! that were enrolled under them know them.

use std::{fs, io, path::Path};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use pestle_domain::signature::{Preimage, Signature, SignatureError, SigningKey, VerifyingKey};

use super::AuthorityError;
use crate::files::{self, FileError};

/// Keys are `<number>.p8`; the highest number signs.
const EXTENSION: &str = "p8";

/// The signing key in use, and the public halves of all there ever were.
#[derive(Debug)]
pub struct Signer {
    current: SigningKey,
    all: Vec<VerifyingKey>,
    random: SystemRandom,
}

impl Signer {
    /// Makes the folder with the first key.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub(super) fn make(folder: &Path) -> Result<(), AuthorityError> {
        files::make_folder(folder, 0o700)?;
        let random = SystemRandom::new();
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(|_| AuthorityError::NoRandom)?;
        files::write_atomically(&folder.join(format!("1.{EXTENSION}")), document.as_ref(), files::SECRET)?;
        Ok(())
    }

    /// Opens the folder of keys; `None` when there is none in it.
    ///
    /// # Errors
    /// [`AuthorityError`].
    pub(super) fn open(folder: &Path) -> Result<Option<Self>, AuthorityError> {
        let mut keys = read_keys(folder)?;
        let all = keys.iter().map(|(_, key)| key.public().clone()).collect();
        Ok(keys.pop().map(|(_, current)| Self { current, all, random: SystemRandom::new() }))
    }

    /// The key in use.
    pub fn current(&self) -> &SigningKey {
        &self.current
    }

    /// All public keys, the oldest first.
    pub fn all(&self) -> &[VerifyingKey] {
        &self.all
    }

    /// For domain functions that sign by themselves.
    pub fn random(&self) -> &SystemRandom {
        &self.random
    }

    /// Signs with the key in use.
    ///
    /// # Errors
    /// [`SignatureError::NoRandom`].
    pub fn sign(&self, statement: &Preimage) -> Result<Signature, SignatureError> {
        self.current.sign(statement, &self.random)
    }
}

fn read_keys(folder: &Path) -> Result<Vec<(u32, SigningKey)>, AuthorityError> {
    let mut keys = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(keys),
        entries => entries.map_err(FileError::at("read", folder))?,
    };
    for entry in entries {
        let path = entry.map_err(FileError::at("read", folder))?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        let (Some(number), true) = (number, path.extension().is_some_and(|extension| extension == EXTENSION))
        else {
            continue;
        };
        let der = fs::read(&path).map_err(FileError::at("read", &path))?;
        keys.push((number, SigningKey::from_pkcs8(&der).map_err(|_| AuthorityError::BadFile(path))?));
    }
    keys.sort_by_key(|(number, _)| *number);
    Ok(keys)
}
