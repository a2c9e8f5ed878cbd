//! Where a box keeps who it is: `<data_dir>/identity/`.
//!
//! | file | what | read by |
//! |---|---|---|
//! | `device.key.pem` | the private key, PKCS #8, mode 0600; it never leaves the box | agent |
//! | `device.cert.pem` | client certificate for the links to the centre | agent |
//! | `web.cert.pem` | server certificate for the box's own pages, same key | agent |
//! | `ca.pem` | the centre's certificate authority | agent, tablets |
//! | `identity.json` | [`Identity`] | agent, people |
//! | `replaces` | which identity this one took the place of, by its content; only after `--replace` | this tool |
//!
//! The folder appears whole, by one rename. Until then the key lies in `identity.pending/`, so that an enrolment whose
//! answer was lost is repeated with the same key and the centre recognises it.
//!
//! Replacing an identity takes two renames (new and old change places, the old one gets its own name), and the power
//! may go between any two steps. What `identity.pending/` holds is then read from the folders themselves ([`settle`]):
//!
//! | in `identity.pending/` | what it is | what is done |
//! |---|---|---|
//! | a key alone | an enrolment that waits for its answer | it is repeated with that key |
//! | what `identity/replaces` names | the old identity, after the exchange | it is named `identity.replaced-N` |
//! | `identity.json`, and not that | an answer that was not installed yet | it is installed |

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use pestle_domain::enrolment::Identity;
use pestle_domain::signature::Hash;
use rcgen::KeyPair;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::answer::Verified;

/// The folder that says who the box is.
pub const IDENTITY: &str = "identity";
/// The same, while it is being made.
pub const PENDING: &str = "identity.pending";
/// The private key in it.
pub const KEY: &str = "device.key.pem";
/// Who the box is, in it.
const WHO: &str = "identity.json";
/// Which identity it took the place of, in it.
const REPLACES: &str = "replaces";

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
    /// Root is asked to write into the folder of the agent's user, who could not read it afterwards.
    #[error(
        "{folder} belongs to user number {owner}: run this as that user (on the appliance and with the Debian package: \
         `runuser -u pestle -- pestle-provision …`), or the agent cannot read the box's own key"
    )]
    NotItsOwner {
        /// The agent's folder.
        folder: PathBuf,
        /// Whose it is.
        owner: u32,
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
    let path = folder.join(WHO);
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

/// Finishes an installation that was cut off between two of its steps, and says who the box is since; `None` when
/// there was none. The first thing that an enrolment does.
///
/// # Errors
/// When the disk refuses.
pub fn settle(data_dir: &Path) -> Result<Option<Identity>, FolderError> {
    let (pending, identity) = (data_dir.join(PENDING), data_dir.join(IDENTITY));
    if !pending.exists() {
        return Ok(None);
    }
    if identity.exists() && fs::read_to_string(identity.join(REPLACES)).ok() == Some(mark(&pending)) {
        keep_aside(data_dir)?;
        return read(data_dir).map(Some);
    }
    let whole = fs::read(pending.join(WHO)).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let Some(who): Option<Identity> = whole else { return Ok(None) };
    if identity.exists() && !pending.join(REPLACES).exists() {
        // An older version of this tool made no mark; it exchanged the two before anything else could be cut off.
        keep_aside(data_dir)?;
        return read(data_dir).map(Some);
    }
    put_in_place(data_dir)?;
    Ok(Some(who))
}

/// Which identity a folder holds, by its content: never two alike, since no two boxes have one key.
fn mark(folder: &Path) -> String {
    let content = |name: &str| fs::read(folder.join(name)).unwrap_or_default();
    Hash::of(&[content(KEY), content(WHO)].concat()).to_string()
}

/// Gives up the key of an enrolment that cannot come to an end with it; the next one makes another.
///
/// # Errors
/// When the disk refuses.
pub fn drop_pending(data_dir: &Path) -> Result<(), FolderError> {
    let pending = data_dir.join(PENDING);
    match fs::remove_dir_all(&pending) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(disk("remove", &pending)(error)),
        _ => sync_folder(data_dir),
    }
}

/// The key of an enrolment that was begun and not finished, or a new one, on the disk before it is used.
///
/// # Errors
/// When the disk refuses, or an unfinished enrolment left a key that cannot be read.
pub fn pending_key(data_dir: &Path) -> Result<KeyPair, FolderError> {
    refuse_root(data_dir)?;
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

fn refuse_root(data_dir: &Path) -> Result<(), FolderError> {
    let owner = match fs::metadata(data_dir) {
        Ok(folder) => folder.uid(),
        // It is made now, as the user that asks.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(disk("look at", data_dir)(error)),
    };
    if rustix::process::geteuid().is_root() && owner != 0 {
        return Err(FolderError::NotItsOwner { folder: data_dir.to_owned(), owner });
    }
    Ok(())
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
    ] {
        write(&pending.join(name), bytes, 0o644)?;
    }
    if identity.exists() {
        write(&pending.join(REPLACES), mark(&identity).as_bytes(), 0o644)?;
    }
    sync_folder(&pending)?;
    // Last, and by a rename: it says that everything else is there.
    let part = pending.join("identity.json.part");
    write(&part, &who, 0o644)?;
    fs::rename(&part, pending.join(WHO)).map_err(disk("name", &part))?;
    sync_folder(&pending)?;
    put_in_place(data_dir)?;
    Ok(identity)
}

/// Makes the whole folder `identity.pending/` the box's identity.
fn put_in_place(data_dir: &Path) -> Result<(), FolderError> {
    let (pending, identity) = (data_dir.join(PENDING), data_dir.join(IDENTITY));
    if identity.exists() {
        renameat_with(CWD, &pending, CWD, &identity, RenameFlags::EXCHANGE)
            .map_err(|error| disk("replace", &identity)(error.into()))?;
        sync_folder(data_dir)?;
        return keep_aside(data_dir);
    }
    fs::rename(&pending, &identity).map_err(disk("name", &identity))?;
    sync_folder(data_dir)
}

/// Gives the old identity, which lies in `identity.pending/` after the exchange, its own name.
fn keep_aside(data_dir: &Path) -> Result<(), FolderError> {
    let kept = (1_u32..)
        .map(|number| data_dir.join(format!("identity.replaced-{number}")))
        .find(|path| !path.exists())
        .unwrap_or_else(|| data_dir.join("identity.replaced"));
    fs::rename(data_dir.join(PENDING), &kept).map_err(disk("keep the old identity as", &kept))?;
    sync_folder(data_dir)
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
    fn root_makes_no_key_that_the_agent_s_user_cannot_read() {
        let data = tempfile::tempdir().unwrap();
        if !rustix::process::geteuid().is_root() {
            return;
        }
        std::os::unix::fs::chown(data.path(), Some(65_534), None).unwrap();
        let said = pending_key(data.path()).unwrap_err().to_string();
        assert!(said.contains("user number 65534") && said.contains("runuser -u pestle"), "{said}");
        assert!(fs::read_dir(data.path()).unwrap().next().is_none());
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

    fn key(folder: &Path) -> String {
        fs::read_to_string(folder.join(KEY)).unwrap()
    }

    /// A box that is box-1, told to become box-2; the power goes before the step `cut`, counted from 0.
    fn cut_off_while_replacing(cut: usize) -> (tempfile::TempDir, [String; 2]) {
        let data = tempfile::tempdir().unwrap();
        pending_key(data.path()).unwrap();
        install(data.path(), &verified("box-1")).unwrap();
        pending_key(data.path()).unwrap();
        let (pending, identity) = (data.path().join(PENDING), data.path().join(IDENTITY));
        let keys = [key(&identity), key(&pending)];
        install(data.path(), &verified("box-2")).unwrap();
        // Back to where it was cut off.
        let kept = data.path().join("identity.replaced-1");
        fs::rename(&kept, &pending).unwrap();
        if cut == 0 {
            renameat_with(CWD, &pending, CWD, &identity, RenameFlags::EXCHANGE).unwrap();
        }
        (data, keys)
    }

    #[test]
    fn a_power_cut_between_the_steps_of_a_replacement_loses_neither_identity() {
        for cut in [0, 1] {
            let (data, [old, new]) = cut_off_while_replacing(cut);
            assert_eq!(settle(data.path()).unwrap().unwrap().device.as_str(), "box-2", "cut {cut}");
            assert_eq!(key(&data.path().join(IDENTITY)), new);
            assert_eq!(key(&data.path().join("identity.replaced-1")), old);
            assert!(settle(data.path()).unwrap().is_none(), "once is enough");
            assert_ne!(
                pending_key(data.path()).unwrap().serialize_pem(),
                old,
                "an old key for a new attempt"
            );
        }
    }

    #[test]
    fn an_exchange_that_an_older_version_left_unfinished_is_finished() {
        let (data, [old, new]) = cut_off_while_replacing(1);
        fs::remove_file(data.path().join(IDENTITY).join(REPLACES)).unwrap();
        settle(data.path()).unwrap().unwrap();
        assert_eq!(key(&data.path().join(IDENTITY)), new);
        assert_eq!(key(&data.path().join("identity.replaced-1")), old);
    }

    #[test]
    fn a_first_answer_that_was_written_and_not_installed_is_installed() {
        let data = tempfile::tempdir().unwrap();
        pending_key(data.path()).unwrap();
        install(data.path(), &verified("box-1")).unwrap();
        fs::rename(data.path().join(IDENTITY), data.path().join(PENDING)).unwrap();
        assert_eq!(settle(data.path()).unwrap().unwrap().device.as_str(), "box-1");
        assert_eq!(read(data.path()).unwrap().device.as_str(), "box-1");
    }

    #[test]
    fn a_key_that_waits_for_its_answer_is_left_as_it_is() {
        let data = tempfile::tempdir().unwrap();
        let waiting = pending_key(data.path()).unwrap().serialize_der();
        fs::write(data.path().join(PENDING).join(WHO), "{ half").unwrap();
        assert!(settle(data.path()).unwrap().is_none());
        assert_eq!(pending_key(data.path()).unwrap().serialize_der(), waiting);
    }
}
