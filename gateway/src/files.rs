//! Files that must be there after a power cut: written beside, flushed, renamed, and the folder flushed too.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
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

/// Makes a folder and those above it, with `mode` for the last.
///
/// # Errors
/// [`FileError`].
pub fn make_folder(folder: &Path, mode: u32) -> Result<(), FileError> {
    fs::create_dir_all(folder).map_err(FileError::at("create", folder))?;
    fs::set_permissions(folder, fs::Permissions::from_mode(mode)).map_err(FileError::at("protect", folder))
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
}
