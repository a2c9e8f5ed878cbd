//! Small files that survive a power cut: written beside, synced, renamed, folder synced.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use pestle_domain::signature::Hash;
use serde::{Serialize, de::DeserializeOwned};

/// What can go wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
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
    /// The contents are not what was written.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// Which.
        path: PathBuf,
        /// In what way.
        what: String,
    },
}

impl FileError {
    /// Turns the system's refusal into an error that names what was done to what.
    pub fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { doing, path: path.to_owned(), source }
    }
}

/// Puts `bytes` under `path` so that after a power cut either the old file or the whole new one is there.
///
/// # Errors
/// [`FileError::Disk`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write_with(path, |file| file.write_all(bytes))
}

/// [`write`], with what `fill` writes, in pieces of any size.
///
/// # Errors
/// [`FileError::Disk`].
pub fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), FileError> {
    replace(path, |beside| write_beside(beside, fill))?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Puts `bytes` under `path` at once, for other programs of this start of the machine: nobody reads half of it, and what is there after
/// a power cut is nobody's concern.
///
/// # Errors
/// [`FileError::Disk`].
pub fn tell(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    replace(path, |beside| create(beside)?.write_all(bytes).map_err(FileError::disk("write", beside)))
}

/// Puts what `write` makes beside `path` in its place.
fn replace(path: &Path, write: impl FnOnce(&Path) -> Result<(), FileError>) -> Result<(), FileError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    let beside = path.with_file_name(name);
    let written =
        write(&beside).and_then(|()| fs::rename(&beside, path).map_err(FileError::disk("rename", path)));
    if written.is_err() {
        // On a full disk half a file would take the room that the next attempt needs. Another error is told already.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn create(path: &Path) -> Result<File, FileError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).map_err(FileError::disk("create", path))
}

fn write_beside(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<(), FileError> {
    let mut file = BufWriter::new(create(path)?);
    fill(&mut file).and_then(|()| file.flush()).map_err(FileError::disk("write", path))?;
    file.get_ref().sync_all().map_err(FileError::disk("sync", path))
}

/// Makes what was created, renamed or removed in `folder` survive a power cut.
///
/// # Errors
/// [`FileError::Disk`].
pub fn sync_folder(folder: &Path) -> Result<(), FileError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(FileError::disk("sync", folder))
}

/// Creates `folder` with its parents, each of them to survive a power cut.
///
/// # Errors
/// [`FileError::Disk`].
pub fn create_folder(folder: &Path) -> Result<(), FileError> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_folder(parent)?;
        fs::create_dir(folder).map_err(FileError::disk("create", folder))?;
        return sync_folder(parent);
    }
    fs::create_dir(folder).map_err(FileError::disk("create", folder))
}

/// Writes `value` as JSON, followed by a line with the JSON's SHA-256.
///
/// # Errors
/// [`FileError::Disk`].
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<(), FileError> {
    let mut text = serde_json::to_vec(value)
        .map_err(|error| FileError::Damaged { path: path.to_owned(), what: error.to_string() })?;
    let hash = Hash::of(&text);
    text.extend_from_slice(format!("\n{hash}\n").as_bytes());
    write(path, &text)
}

/// Whether an error of reading speaks of the disk's own bytes (a bad sector, a checksum of the file system), and not of
/// rights or of this process's limits. Reading again will not help.
pub fn is_unreadable(error: &io::Error) -> bool {
    const TOO_MANY_FILES: [i32; 2] = [23, 24];
    let elsewhere = matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::OutOfMemory
    );
    !elsewhere && !error.raw_os_error().is_some_and(|code| TOO_MANY_FILES.contains(&code))
}

/// Reads what [`write_json`] wrote; `None` when there is no such file.
///
/// # Errors
/// [`FileError::Disk`], or [`FileError::Damaged`] when one byte differs or the disk cannot read them.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    let damaged = |what: &str| FileError::Damaged { path: path.to_owned(), what: what.to_owned() };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if is_unreadable(&error) => {
            return Err(damaged(&format!("the disk cannot read it ({error})")));
        }
        Err(error) => return Err(FileError::disk("read", path)(error)),
    };
    let text = std::str::from_utf8(&bytes).map_err(|_| damaged("no text"))?;
    let (json, hash) = text
        .strip_suffix('\n')
        .and_then(|text| text.rsplit_once('\n'))
        .ok_or_else(|| damaged("its checksum is missing"))?;
    if Hash::of(json.as_bytes()).to_string() != hash {
        return Err(damaged("its checksum is wrong"));
    }
    serde_json::from_str(json).map(Some).map_err(|error| damaged(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_fails_leaves_nothing_beside_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        // A folder that is not empty cannot be replaced.
        fs::create_dir_all(path.join("inside")).unwrap();
        assert!(write(&path, b"1").is_err());
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [path]);
    }

    #[test]
    fn a_json_file_is_read_as_written_and_one_changed_byte_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        assert_eq!(read_json::<Vec<u32>>(&path).unwrap(), None);
        write_json(&path, &vec![1u32, 2]).unwrap();
        assert_eq!(read_json::<Vec<u32>>(&path).unwrap(), Some(vec![1, 2]));
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 1;
            fs::write(&path, &changed).unwrap();
            assert!(matches!(read_json::<Vec<u32>>(&path), Err(FileError::Damaged { .. })), "byte {at}");
        }
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(matches!(read_json::<Vec<u32>>(&path), Err(FileError::Damaged { .. })), "{length} bytes");
        }
    }
}
