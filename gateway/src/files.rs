//! Files that must be there after a power cut: written beside, flushed, renamed, and the folder flushed too.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

/// Readable by its owner alone.
pub const SECRET: u32 = 0o600;
/// Readable by everybody on this machine.
pub const PUBLIC: u32 = 0o644;

/// What could not be done to which file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: check that the folder exists and who may write there", path.display())]
pub struct FileError {
    /// In words.
    pub action: &'static str,
    /// To which file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl FileError {
    /// For `map_err`.
    pub fn at(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { action, path, source }
    }
}

/// Writes the whole file so that a reader sees the old one or the new one, and a power cut leaves one of them.
///
/// # Errors
/// [`FileError`] naming the step that failed.
pub fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&beside)
        .map_err(FileError::at("create", &beside))?;
    file.set_permissions(fs::Permissions::from_mode(mode)).map_err(FileError::at("protect", &beside))?;
    file.write_all(bytes).map_err(FileError::at("write", &beside))?;
    file.sync_all().map_err(FileError::at("flush", &beside))?;
    fs::rename(&beside, path).map_err(FileError::at("put in place", path))?;
    sync_folder(folder)
}

/// Flushes a folder's list of names.
///
/// # Errors
/// [`FileError`].
pub fn sync_folder(folder: &Path) -> Result<(), FileError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(FileError::at("flush", folder))
}

/// Makes a folder, with `mode`, and those above it. One that is there keeps its mode, which is its operator's choice;
/// but where nobody else may enter (`mode` has no bits for group and others), nobody else may from now on.
///
/// # Errors
/// [`FileError`].
pub fn make_folder(folder: &Path, mode: u32) -> Result<(), FileError> {
    let protect = |mode: u32| {
        fs::set_permissions(folder, fs::Permissions::from_mode(mode))
            .map_err(FileError::at("protect", folder))
    };
    if let Some(above) = folder.parent() {
        fs::create_dir_all(above).map_err(FileError::at("create", above))?;
    }
    match fs::DirBuilder::new().mode(mode).create(folder) {
        // Whatever the umask is: the database's account must be able to pass.
        Ok(()) => protect(mode),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {
            let now = fs::metadata(folder).map_err(FileError::at("look at", folder))?.mode() & 0o7777;
            if mode & 0o077 == 0 && now & 0o077 != 0 { protect(now & !0o077) } else { Ok(()) }
        }
        Err(error) => Err(FileError::at("create", folder)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_keeps_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write_atomically(&path, b"one", SECRET).unwrap();
        write_atomically(&path, b"two", SECRET).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, SECRET);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_its_operator_closed_stays_closed() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("a/data");
        let mode = || fs::metadata(&folder).unwrap().permissions().mode() & 0o7777;
        make_folder(&folder, 0o755).unwrap();
        assert_eq!(mode(), 0o755);
        for chosen in [0o700, 0o2770] {
            fs::set_permissions(&folder, fs::Permissions::from_mode(chosen)).unwrap();
            make_folder(&folder, 0o755).unwrap();
            assert_eq!(mode(), chosen);
        }
        make_folder(&folder, 0o700).unwrap();
        assert_eq!(mode(), 0o2700, "a folder of secrets is closed to others");
    }
}
