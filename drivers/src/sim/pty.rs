//! A pseudo-terminal as a serial cable: the simulator holds one end, the driver opens the other by a path that stays the
//! same when the cable is pulled and plugged in again.

use std::{
    fs, io,
    os::{fd::OwnedFd, unix::fs::symlink},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::{
    fs::{Mode, OFlags, fcntl_setfl},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, ioctl_tiocnxcl, tcgetattr, tcsetattr},
};
use tokio::{
    io::unix::AsyncFd,
    task::AbortHandle,
    time::{self, Instant},
};

use super::SimError;

/// How long a write may wait for a reader. A pseudo-terminal holds 4 KiB.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// The simulator's end of the cable. Dropping it pulls the plug: the driver's end reads end-of-file.
#[derive(Debug)]
pub struct Pty {
    master: AsyncFd<OwnedFd>,
    freeing: AbortHandle,
    device_path: PathBuf,
    link: PathBuf,
    pace: Option<Pace>,
}

/// A real line's speed, which a pseudo-terminal has not.
#[derive(Debug)]
struct Pace {
    /// What a byte takes.
    byte: Duration,
    /// When the next one has come.
    next: Mutex<Instant>,
}

/// A machine that is busy reads late, and the line has gone on meanwhile.
const LATE_MAX: Duration = Duration::from_millis(300);

/// A paced line is read in pieces as large as a UART's buffer.
const PACED_BYTES_MAX: usize = 16;

impl Pty {
    /// Makes a pseudo-terminal and links it at `link`; a link that an earlier run left there is replaced.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The system has no pseudo-terminals left, or `link` cannot be made (its folder is missing, or a real file is there).
    pub fn plug_in(link: &Path) -> Result<Pty, SimError> {
        Self::make(link).map_err(|source| SimError::Pty { path: link.to_owned(), source })
    }

    /// The same, as slow as a line of `baud` bits a second is, at 10 bits a byte.
    #[must_use]
    pub fn paced(mut self, baud: u32) -> Pty {
        let byte = Duration::from_secs(10) / baud.max(1);
        self.pace = Some(Pace { byte, next: Mutex::new(Instant::now()) });
        self
    }

    fn make(link: &Path) -> io::Result<Pty> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        fcntl_setfl(&master, OFlags::RDWR | OFlags::NONBLOCK)?;
        let name = ptsname(&master, Vec::new())?;
        let device_path = PathBuf::from(name.to_string_lossy().into_owned());
        let device =
            rustix::fs::open(&device_path, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        // As it is made, a terminal echoes and edits; before the driver opens it, too, it must only carry bytes.
        let mut settings = tcgetattr(&device)?;
        settings.make_raw();
        tcsetattr(&device, OptionalActions::Now, &settings)?;
        replace_link(&device_path, link)?;
        #[allow(
            deprecated,
            reason = "its replacement is unsafe; an owned descriptor that is never swapped is all that it asks for"
        )]
        let master = AsyncFd::new(master)?;
        let freeing = tokio::spawn(keep_free(device)).abort_handle();
        Ok(Pty { master, freeing, device_path, link: link.to_owned(), pace: None })
    }

    /// Reads what the driver wrote. Cancel-safe.
    ///
    /// # Errors
    /// What the system said.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(pace) = &self.pace else { return self.read_at_once(buffer).await };
        let next = *lock(&pace.next);
        time::sleep_until(next).await;
        let most = buffer.len().min(PACED_BYTES_MAX);
        let count = self.read_at_once(&mut buffer[..most]).await?;
        let bytes = u32::try_from(count).unwrap_or(u32::MAX);
        *lock(&pace.next) = next.max(Instant::now() - LATE_MAX) + pace.byte * bytes;
        Ok(count)
    }

    async fn read_at_once(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.master.readable().await?;
            if let Ok(read) = ready.try_io(|fd| Ok(rustix::io::read(fd, &mut *buffer)?)) {
                return read;
            }
        }
    }

    /// Writes all, or fails when nobody has read for some seconds.
    ///
    /// # Errors
    /// What the system said, or a time-out.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = time::timeout(WRITE_TIMEOUT, self.master.writable()).await??;
            if let Ok(written) = ready.try_io(|fd| Ok(rustix::io::write(fd, bytes)?)) {
                bytes = bytes.get(written?..).unwrap_or_default();
            }
        }
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Pty {
    fn drop(&mut self) {
        self.freeing.abort();
        // Only our own link: another cable may have been plugged in there since.
        if fs::read_link(&self.link).is_ok_and(|target| target == self.device_path) {
            let _already_gone = fs::remove_file(&self.link);
        }
    }
}

/// How soon a line is free again after the program that had it was killed.
const FREE_AFTER: Duration = Duration::from_millis(100);

/// Holds the driver's end open, so that the master does not hang up while no driver has it; and takes the mark
/// "exclusive" off it, which a real port loses when a program that was killed had it open, and this one would not.
/// Drivers are kept apart by their file locks meanwhile.
async fn keep_free(device: OwnedFd) {
    loop {
        let _best_effort = ioctl_tiocnxcl(&device);
        time::sleep(FREE_AFTER).await;
    }
}

fn replace_link(target: &Path, link: &Path) -> io::Result<()> {
    match fs::symlink_metadata(link) {
        Ok(there) if there.is_symlink() => fs::remove_file(link)?,
        Ok(_) => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no link is in the way"));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    symlink(target, link)
}
