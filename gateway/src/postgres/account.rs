//! Whose processes the cluster's are. PostgreSQL refuses root, so a gateway that runs as root starts it as another
//! account and gives it the cluster's folder; any other gateway starts it as itself.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt as _, chown},
    path::{Path, PathBuf},
};

/// A user and their first group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// User number.
    pub uid: u32,
    /// Group number.
    pub gid: u32,
}

/// Why there is no account to run it.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// No such user.
    #[error(
        "the gateway runs as root and PostgreSQL must not: there is no user \"{0}\" to run it; install the package \"postgresql\" or write another user as database.run_as"
    )]
    Unknown(String),
    /// The user list cannot be read.
    #[error("the list of users cannot be read")]
    Passwd(#[source] io::Error),
    /// A folder on the way is closed to that user.
    #[error("the user \"{user}\", who runs PostgreSQL, cannot enter {}: choose another folder as database.cluster_dir, such as one under /var/lib", folder.display())]
    Closed {
        /// Who.
        user: String,
        /// The first folder that is closed.
        folder: PathBuf,
    },
}

/// The account to switch to, or `None` to stay what we are.
///
/// # Errors
/// [`AccountError::Unknown`] when we are root and `run_as` does not exist.
pub fn to_switch_to(run_as: &str) -> Result<Option<Account>, AccountError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let passwd = fs::read_to_string("/etc/passwd").map_err(AccountError::Passwd)?;
    look_up(&passwd, run_as).map(Some).ok_or_else(|| AccountError::Unknown(run_as.to_owned()))
}

/// `passwd(5)`: name:password:uid:gid:…
fn look_up(passwd: &str, user: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == user).then_some(())?;
        Some(Account { uid: fields.nth(1)?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    })
}

/// Checks that `account` can enter every folder above `folder`.
///
/// # Errors
/// [`AccountError::Closed`] with the first folder that is closed.
pub fn check_way(folder: &Path, user: &str, account: Account) -> Result<(), AccountError> {
    let mut above: Vec<&Path> =
        folder.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
    above.reverse();
    for path in above {
        // What is not there yet is made by us, open enough.
        let Ok(meta) = fs::metadata(path) else { break };
        let class = match (meta.uid() == account.uid, meta.gid() == account.gid) {
            (true, _) => 0o100,
            (false, true) => 0o010,
            (false, false) => 0o001,
        };
        if meta.mode() & class == 0 {
            return Err(AccountError::Closed { user: user.to_owned(), folder: path.to_owned() });
        }
    }
    Ok(())
}

/// Gives a file or folder to `account`, if there is one to switch to.
///
/// # Errors
/// As `chown(2)`.
pub fn give(path: &Path, account: Option<Account>) -> io::Result<()> {
    match account {
        Some(account) => chown(path, Some(account.uid), Some(account.gid)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let passwd =
            "root:x:0:0:root:/root:/bin/bash\npostgres2:x:1:1::/:/bin/sh\npostgres:x:101:104::/:/bin/sh\n";
        assert_eq!(look_up(passwd, "postgres"), Some(Account { uid: 101, gid: 104 }));
        assert_eq!(look_up(passwd, "post"), None);
    }

    #[test]
    fn a_closed_folder_on_the_way_is_named() {
        use std::os::unix::fs::PermissionsExt as _;
        let outer = tempfile::tempdir().unwrap();
        let closed = outer.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(outer.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let nobody = Account { uid: 65_533, gid: 65_533 };
        let said = check_way(&closed.join("cluster"), "nobody", nobody).unwrap_err().to_string();
        assert!(said.contains(closed.to_str().unwrap()), "{said}");
        assert!(check_way(&outer.path().join("cluster"), "nobody", nobody).is_ok());
    }
}
