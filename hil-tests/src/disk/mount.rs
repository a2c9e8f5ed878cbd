//! A disk under a path of this machine, taken away again when the handle goes.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use fuser::{BackgroundSession, Config, MountOption};

use super::{serve::Server, state::Disk};

/// How the names begin by which our mounts stand in the system's list; the process id of who answers follows.
const NAME: &str = "pestle-disk-";
/// Threads that answer: while one plays a slow sync, the others go on.
const THREADS: usize = 12;

/// Why a disk is not there.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The machine has no FUSE, or does not let us.
    #[error(
        "a disk cannot be mounted at {path}. It needs /dev/fuse, and root or the package fuse3 (hil-tests/setup.sh test \
         installs it)"
    )]
    Refused {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// A mounted disk.
#[derive(Debug)]
pub struct Mount {
    path: PathBuf,
    session: Option<BackgroundSession>,
}

impl Mount {
    /// Mounts `disk` at `path`, which is made if it is not there.
    ///
    /// # Errors
    /// [`MountError`].
    pub fn at(path: &Path, disk: &Disk) -> Result<Self, MountError> {
        let refused = |source| MountError::Refused { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(refused)?;
        let mut config = Config::default();
        config.mount_options =
            vec![MountOption::FSName(format!("{NAME}{}", std::process::id())), MountOption::NoSuid];
        config.n_threads = Some(THREADS);
        let session = fuser::spawn_mount(Server::new(disk.clone()), path, &config).map_err(refused)?;
        Ok(Self { path: path.to_owned(), session: Some(session) })
    }

    /// Where.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes it away, and waits until nobody has anything on it open any more.
    ///
    /// # Errors
    /// The threads that answered failed.
    pub fn end(mut self) -> io::Result<()> {
        take_away(&self.path);
        match self.session.take().map_or(Ok(()), BackgroundSession::join) {
            // The kernel let the disk go while it was handing over a last question. No program waits for such an answer:
            // whoever has one to wait for has a file open, and the disk stays.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => Ok(()),
            ended => ended,
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Not waited for: after a test that failed, something on it may stay open for as long as the test's process.
        if self.session.is_some() {
            take_away(&self.path);
        }
    }
}

/// Takes away the disks whose programs were killed before they could do it: nobody answers for them any more.
///
/// # Errors
/// The system's list of mounts cannot be read.
pub fn sweep() -> io::Result<()> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    for line in mounts.lines().filter_map(|line| line.strip_prefix(NAME)) {
        let mut words = line.split_whitespace();
        let (Some(id), Some(path)) = (words.next(), words.next()) else { continue };
        if !Path::new("/proc").join(id).exists() {
            take_away(Path::new(path));
        }
    }
    Ok(())
}

/// The path is free at once; the disk goes with the last file on it that is closed.
fn take_away(path: &Path) {
    let detached = rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH);
    if detached.is_err() {
        // Who is not root asks the program that may. It may be gone already.
        let _ = Command::new("fusermount3").args(["-u", "-z"]).arg(path).output();
    }
}
