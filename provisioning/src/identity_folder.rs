//! Where a box keeps who it is: `<data_dir>/identity/`.
//!
//! | file | what | read by |
//! |---|---|---|
//! | `device.key.pem` | the private key, PKCS #8, mode 0600; it never leaves the box | agent |
//! | `device.cert.pem` | client certificate for the links to the centre | agent |
//! | `web.cert.pem` | server certificate for the box's own pages, same key | agent |
//! | `ca.pem` | the centre's certificate authority | agent, tablets |
//! | `identity.json` | [`Identity`] | agent, people |
//!
//! The folder appears whole, by one rename. Until then the key lies in `identity.pending/`, so that an enrolment whose
//! answer was lost is repeated with the same key and the centre recognises it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use pestle_domain::enrolment::Identity;
use rcgen::KeyPair;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::answer::Verified;

/// The folder that says who the box is.
pub const IDENTITY: &str = "identity";
/// The same, while it is being made.
pub const PENDING: &str = "identity.pending";
/// The private key in it.
pub const KEY: &str = "device.key.pem";

/// What can go wrong with the folder.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The box is somebody already.
    #[error(
        "this box is already {device} of branch {branch} ({folder}). If it shall become another box, give --replace: \
         the old identity is kept beside the new one"
    )]
    Taken {
        /// Who it is.
        device: String,
        /// Where.
        branch: String,
        /// The folder.
        folder: PathBuf,
    },
    /// The box is nobody yet.
    #[error("this box has no identity in {folder}: enrol it with `pestle-provision enrol`")]
    Nobody {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// A file that cannot be used.
    #[error("{path} is not what it should be ({what}). Move the folder away and enrol the box anew")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// In what way.
        what: String,
    },
    /// The disk refused.
    #[error("cannot {doing} {path}")]
    Disk {
        /// Doing what.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    move |source| FolderError::Disk { doing, path: path.to_owned(), source }
}

/// Who the box is.
///
/// # Errors
/// [`FolderError::Nobody`] before the first enrolment, [`FolderError::Damaged`] when the file cannot be understood.
pub fn read(data_dir: &Path) -> Result<Identity, FolderError> {
    let folder = data_dir.join(IDENTITY);
    let path = folder.join("identity.json");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !folder.exists() => {
            return Err(FolderError::Nobody { folder });
        }
        Err(error) => return Err(disk("read", &path)(error)),
    };
    serde_json::from_slice(&text).map_err(|error| FolderError::Damaged { path, what: error.to_string() })
}

/// Refuses when the box is somebody already.
///
/// # Errors
/// [`FolderError::Taken`], also when the identity that is there cannot be read: nobody knows what would be lost.
pub fn must_be_free(data_dir: &Path) -> Result<(), FolderError> {
    match read(data_dir) {
        Err(FolderError::Nobody { .. }) => Ok(()),
        Err(other) => Err(other),
        Ok(who) => Err(FolderError::Taken {
            device: who.device.to_string(),
            branch: who.branch.to_string(),
            folder: data_dir.join(IDENTITY),
        }),
    }
}

/// The key of an enrolment that was begun and not finished, or a new one, on the disk before it is used.
///
/// # Errors
/// When the disk refuses, or an unfinished enrolment left a key that cannot be read.
pub fn pending_key(data_dir: &Path) -> Result<KeyPair, FolderError> {
    let folder = data_dir.join(PENDING);
    let path = folder.join(KEY);
    if let Ok(pem) = fs::read_to_string(&path) {
        return KeyPair::from_pem(&pem)
            .map_err(|error| FolderError::Damaged { path, what: format!("no private key: {error}") });
    }
    fs::create_dir_all(data_dir).map_err(disk("create", data_dir))?;
    if !folder.exists() {
        fs::DirBuilder::new().mode(0o700).create(&folder).map_err(disk("create", &folder))?;
    }
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)
        .map_err(|error| disk("make a key for", &path)(io::Error::other(error)))?;
    // Written beside and renamed: a half-written key would be taken for an unfinished enrolment's.
    let beside = folder.join("device.key.pem.part");
    write(&beside, key.serialize_pem().as_bytes(), 0o600)?;
    fs::rename(&beside, &path).map_err(disk("name", &path))?;
    sync_folder(&folder)?;
    sync_folder(data_dir)?;
    Ok(key)
}

/// Writes what the centre answered beside the key, and makes the folder the box's identity by one rename.
///
/// An older identity is kept as `identity.replaced-N`: its certificate may still be needed to read what it signed.
///
/// # Errors
/// When the disk refuses; the box is then who it was before.
pub fn install(data_dir: &Path, verified: &Verified) -> Result<PathBuf, FolderError> {
    let pending = data_dir.join(PENDING);
    let identity = data_dir.join(IDENTITY);
    let who = serde_json::to_vec_pretty(&verified.identity)
        .map_err(|error| disk("write", &pending)(io::Error::other(error)))?;
    for (name, bytes) in [
        ("device.cert.pem", verified.certificate_pem.as_bytes()),
        ("web.cert.pem", verified.web_certificate_pem.as_bytes()),
        ("ca.pem", verified.ca_pem.as_bytes()),
        ("identity.json", who.as_slice()),
    ] {
        write(&pending.join(name), bytes, 0o644)?;
    }
    sync_folder(&pending)?;
    if identity.exists() {
        renameat_with(CWD, &pending, CWD, &identity, RenameFlags::EXCHANGE)
            .map_err(|error| disk("replace", &identity)(error.into()))?;
        let kept = (1_u32..)
            .map(|number| data_dir.join(format!("identity.replaced-{number}")))
            .find(|path| !path.exists())
            .unwrap_or_else(|| data_dir.join("identity.replaced"));
        fs::rename(&pending, &kept).map_err(disk("keep the old identity as", &kept))?;
    } else {
        fs::rename(&pending, &identity).map_err(disk("name", &identity))?;
    }
    sync_folder(data_dir)?;
    Ok(identity)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FolderError> {
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(mode)
        .open(path)
        .map_err(disk("write", path))?;
    file.write_all(bytes).map_err(disk("write", path))?;
    file.sync_all().map_err(disk("write", path))
}

fn sync_folder(path: &Path) -> Result<(), FolderError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(disk("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn verified(device: &str) -> Verified {
        let identity = Identity {
            tenant: "demo".parse().unwrap(),
            branch: "north".parse().unwrap(),
            device: device.parse().unwrap(),
            term: 1,
            https: "https://127.0.0.1:1".to_owned(),
            mqtt: "127.0.0.1:2".to_owned(),
            centre_keys: vec![],
            first_epoch: 1,
            earlier: vec![],
        };
        Verified {
            identity,
            certificate_pem: "certificate".to_owned(),
            web_certificate_pem: "web".to_owned(),
            ca_pem: "ca".to_owned(),
        }
    }

    #[test]
    fn an_enrolment_that_is_repeated_uses_the_key_of_the_first_attempt() {
        let data = tempfile::tempdir().unwrap();
        let first = pending_key(data.path()).unwrap().serialize_der();
        assert_eq!(pending_key(data.path()).unwrap().serialize_der(), first);
        let mode = fs::metadata(data.path().join(PENDING).join(KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_identity_appears_whole_and_leaves_nothing_pending() {
        let data = tempfile::tempdir().unwrap();
        assert!(matches!(read(data.path()), Err(FolderError::Nobody { .. })));
        must_be_free(data.path()).unwrap();
        pending_key(data.path()).unwrap();
        install(data.path(), &verified("box-1")).unwrap();
        assert_eq!(read(data.path()).unwrap().device.as_str(), "box-1");
        assert!(!data.path().join(PENDING).exists());
        assert!(matches!(must_be_free(data.path()), Err(FolderError::Taken { .. })));
    }

    #[test]
    fn a_replaced_identity_is_kept_beside_the_new_one() {
        let data = tempfile::tempdir().unwrap();
        for device in ["box-1", "box-2", "box-3"] {
            pending_key(data.path()).unwrap();
            install(data.path(), &verified(device)).unwrap();
        }
        assert_eq!(read(data.path()).unwrap().device.as_str(), "box-3");
        for (number, device) in [(1, "box-1"), (2, "box-2")] {
            let path = data.path().join(format!("identity.replaced-{number}/identity.json"));
            let kept: Identity = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
            assert_eq!(kept.device.as_str(), device);
        }
    }

    #[test]
    fn an_identity_that_cannot_be_read_is_not_taken_for_none() {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join(IDENTITY)).unwrap();
        assert!(must_be_free(data.path()).is_err());
        fs::write(data.path().join(IDENTITY).join("identity.json"), "{").unwrap();
        assert!(matches!(must_be_free(data.path()), Err(FolderError::Damaged { .. })));
    }
}
