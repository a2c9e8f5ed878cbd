//! A printer's device file (`/dev/usb/lp0`, the kernel's `usblp`): written and read without blocking.
//!
//! What the driver does, and what is made of it here (Linux, drivers/usb/class/usblp.c):
//!
//! | driver | here |
//! |---|---|
//! | one program may have the file open; a second gets EBUSY | told with what to do |
//! | takes at most 8 KiB into one transfer, and says at once that it is written | flushing waits until the transfer is over |
//! | closing kills a transfer that is under way | flush before dropping what must come out |
//! | a printer that sends an empty packet reads as 0 bytes | no end of file: the line goes on |
//! | a printer of a one-way interface cannot be read: EINVAL | reading waits for ever, as with a mute printer |
//! | unplugged: ENODEV | an error that says so |
//!
//! The status byte of `LPGETSTATUS` knows no cover, no cutter, no drawer and not whether anything was printed, and
//! many receipt printers answer it with a constant. So it is not asked: the printer's own language is, on this line's
//! way back.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{FileTypeExt as _, OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::OFlags,
    io::Errno,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, unix::AsyncFd},
    time::{Sleep, sleep},
};

/// Why the file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum UsbPrinterError {
    /// There is no such file.
    #[error(
        "{path} does not exist: check that the printer is plugged in and switched on (its USB goes off with it)"
    )]
    Missing {
        /// What was looked for.
        path: PathBuf,
    },
    /// No permission.
    #[error("{path} may not be opened: add the service's user to the group that owns it (usually lp)")]
    Forbidden {
        /// What was asked for.
        path: PathBuf,
    },
    /// Another program has it.
    #[error(
        "{path} is in use by another program, perhaps a print server such as CUPS: stop it, or give it another printer"
    )]
    Busy {
        /// What was asked for.
        path: PathBuf,
    },
    /// A file, a folder, anything but a device.
    #[error("{path} is no device: write /dev/usb/lp0, or a name from `pestle-agent devices list`")]
    NoDevice {
        /// What was asked for.
        path: PathBuf,
    },
    /// Anything else the system said.
    #[error("{path} could not be opened")]
    Other {
        /// What was asked for.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// How long an empty packet counts as "nothing more for now". Some printers send them without end.
const EMPTY_PAUSE: Duration = Duration::from_millis(50);

/// An open printer. Dropping it closes the file, and with it ends a transfer that is under way.
#[derive(Debug)]
pub struct UsbPrinterLine {
    file: AsyncFd<OwnedFd>,
    reads: Reads,
}

#[derive(Debug)]
enum Reads {
    // Ready => Pausing | Never
    Ready,
    // Pausing => Ready
    Pausing(Pin<Box<Sleep>>),
    // The interface has one way only.
    Never,
}

impl UsbPrinterLine {
    /// Opens a printer's device file. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`UsbPrinterError`]; each says what to check.
    pub fn open(path: &Path) -> Result<UsbPrinterLine, UsbPrinterError> {
        let explained = |error| explain(path, error);
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let custom = i32::try_from(flags.bits()).unwrap_or_default();
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(custom)
            .open(path)
            .map_err(explained)?;
        if !file.metadata().map_err(explained)?.file_type().is_char_device() {
            return Err(UsbPrinterError::NoDevice { path: path.to_owned() });
        }
        UsbPrinterLine::over(file.into()).map_err(explained)
    }

    fn over(file: OwnedFd) -> io::Result<UsbPrinterLine> {
        #[allow(
            deprecated,
            reason = "its replacement is unsafe; an owned descriptor that is never swapped is all that it asks for"
        )]
        let file = AsyncFd::new(file)?;
        Ok(UsbPrinterLine { file, reads: Reads::Ready })
    }
}

fn explain(path: &Path, source: io::Error) -> UsbPrinterError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => UsbPrinterError::Missing { path },
        io::ErrorKind::PermissionDenied => UsbPrinterError::Forbidden { path },
        io::ErrorKind::ResourceBusy => UsbPrinterError::Busy { path },
        io::ErrorKind::IsADirectory => UsbPrinterError::NoDevice { path },
        // The file of a device that has just gone.
        _ if gone(&source) => UsbPrinterError::Missing { path },
        _ => UsbPrinterError::Other { path, source },
    }
}

fn gone(error: &io::Error) -> bool {
    [Errno::NODEV, Errno::NXIO].iter().any(|gone| error.raw_os_error() == Some(gone.raw_os_error()))
}

/// What the system said, in words where it means "unplugged".
fn told(error: Errno) -> io::Error {
    let error = io::Error::from(error);
    match gone(&error) {
        true => io::Error::new(io::ErrorKind::NotConnected, "the printer was unplugged or switched off"),
        false => error,
    }
}

impl AsyncRead for UsbPrinterLine {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.reads {
                Reads::Never => return Poll::Pending,
                Reads::Pausing(pause) => {
                    ready!(pause.as_mut().poll(cx));
                    this.reads = Reads::Ready;
                }
                Reads::Ready => {}
            }
            let mut guard = ready!(this.file.poll_read_ready(cx))?;
            let unfilled = buf.initialize_unfilled();
            match rustix::io::read(this.file.get_ref(), &mut *unfilled) {
                Ok(0) if !unfilled.is_empty() => this.reads = Reads::Pausing(Box::pin(sleep(EMPTY_PAUSE))),
                Ok(count) => {
                    buf.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR) => {}
                Err(Errno::INVAL) => this.reads = Reads::Never,
                Err(error) => return Poll::Ready(Err(told(error))),
            }
        }
    }
}

impl AsyncWrite for UsbPrinterLine {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.file.poll_write_ready(cx))?;
            match rustix::io::write(self.file.get_ref(), buf) {
                Ok(count) => return Poll::Ready(Ok(count)),
                Err(Errno::AGAIN) => guard.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Poll::Ready(Err(told(error))),
            }
        }
    }

    /// Waits until the transfer that is under way is over: the driver takes the next one only then.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut guard = ready!(self.file.poll_write_ready(cx))?;
            let mut asked = [PollFd::from_borrowed_fd(self.file.get_ref().as_fd(), PollFlags::OUT)];
            poll(&mut asked, Some(&Timespec::default())).map_err(io::Error::from)?;
            let said = asked[0].revents();
            if said.intersects(PollFlags::HUP | PollFlags::ERR) {
                return Poll::Ready(Err(told(Errno::NODEV)));
            }
            if said.contains(PollFlags::OUT) {
                return Poll::Ready(Ok(()));
            }
            guard.clear_ready();
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

#[cfg(test)]
mod tests;
