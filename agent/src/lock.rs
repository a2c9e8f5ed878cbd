//! One agent per data folder: two writers of one journal would fork it.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

use crate::durable_file::{FileError, create_folder};

/// Why the folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process has it.
    #[error(
        "{folder} is in use by {holder}: stop that one first (`systemctl stop pestle-agent`), then do it again"
    )]
    InUse {
        /// Whose data.
        folder: PathBuf,
        /// As far as it is known.
        holder: String,
    },
    /// Root is asked to write into the folder of another user, who could not read it afterwards.
    #[error(
        "{folder} belongs to {owner}: do it as that user (`runuser -u {owner} -- …`), or the agent cannot read what you leave there"
    )]
    NotItsOwner {
        /// Whose data.
        folder: PathBuf,
        /// The user's name, or number.
        owner: String,
    },
    /// The disk refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Held for as long as this lives; the system gives it back when the process ends in whatever way.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

impl DataLock {
    /// Takes `data_dir` for this process.
    ///
    /// # Errors
    /// [`LockError::InUse`] names the process that has it.
    pub fn take(data_dir: &Path) -> Result<Self, LockError> {
        create_folder(data_dir)?;
        refuse_root(data_dir)?;
        let path = data_dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(FileError::disk("open", &path))?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            let known = file.read_to_string(&mut holder).is_ok() && !holder.trim().is_empty();
            let holder =
                if known { format!("process {}", holder.trim()) } else { "another process".to_owned() };
            return Err(LockError::InUse { folder: data_dir.to_owned(), holder });
        }
        let id = format!("{}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(id.as_bytes()))
            .map_err(FileError::disk("write", &path))?;
        Ok(Self { _file: file })
    }
}

/// Root can write everywhere; what it leaves in a folder of the agent's user shuts the agent out.
fn refuse_root(data_dir: &Path) -> Result<(), LockError> {
    let owner = fs::metadata(data_dir).map_err(FileError::disk("look at", data_dir))?.uid();
    if !rustix::process::geteuid().is_root() || owner == 0 {
        return Ok(());
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let owner = user_name(&users, owner).map_or_else(|| owner.to_string(), str::to_owned);
    Err(LockError::NotItsOwner { folder: data_dir.to_owned(), owner })
}

/// Whose number that is, in the form of passwd(5).
fn user_name(users: &str, number: u32) -> Option<&str> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(number)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_agent_is_told_who_has_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataLock::take(folder.path()).unwrap();
        let said = DataLock::take(folder.path()).unwrap_err().to_string();
        assert!(said.contains(&format!("in use by process {}", std::process::id())), "{said}");
        drop(first);
        DataLock::take(folder.path()).unwrap();
    }

    #[test]
    fn root_is_sent_to_the_folder_s_owner() {
        let folder = tempfile::tempdir().unwrap();
        if !rustix::process::geteuid().is_root() {
            // Another user is kept out by the folder itself.
            return;
        }
        std::os::unix::fs::chown(folder.path(), Some(65_534), None).unwrap();
        let said = DataLock::take(folder.path()).unwrap_err().to_string();
        assert!(said.contains("runuser -u nobody -- "), "{said}");
        assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing was left there");
    }

    #[test]
    fn a_user_is_named_as_passwd_says() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\npestle:x:982:982::/:/usr/sbin/nologin\n";
        assert_eq!((user_name(users, 982), user_name(users, 1)), (Some("pestle"), None));
    }
}
