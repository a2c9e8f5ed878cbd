//! Where key events come from: an input device of the kernel, which is grabbed; or, with the feature `sim`, a socket that
//! carries the same records. Only opening them differs.

use std::{
    fs::OpenOptions,
    io,
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
    path::{Path, PathBuf},
};

use evdev::{EventType, InputEvent, KeyCode, LedCode, SynchronizationCode, raw_stream::RawDevice};
use rustix::fs::OFlags;
use tokio::io::unix::AsyncFd;
#[cfg(feature = "sim")]
use tokio::{io::AsyncReadExt as _, net::UnixStream};

use super::decode::KeyState;
use crate::{find::device::DeviceClass, line::place::DevicePlace};

/// Where a scanner's keys are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// An input device: by its path (`/dev/input/event7`, or better a name under `/dev/input/by-id` or `by-path`, which stays), or
    /// by a name that is looked up at each opening.
    Device(DevicePlace),
    /// A Unix socket on which a simulator writes records.
    #[cfg(feature = "sim")]
    Stream(PathBuf),
}

/// Why a keyboard cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such file.
    #[error(
        "{path} does not exist: check that the scanner is plugged in, and compare with the names under /dev/input/by-id"
    )]
    Missing {
        /// What was looked for.
        path: PathBuf,
    },
    /// No permission.
    #[error("{path} may not be opened: add the service's user to the group that owns it (usually input)")]
    Forbidden {
        /// What was asked for.
        path: PathBuf,
    },
    /// Another program has grabbed it.
    #[error("{path} is held by another program: stop it, or give it another device")]
    Busy {
        /// What was asked for.
        path: PathBuf,
    },
    /// It has no keys that a scanner types.
    #[error(
        "{path} has no digits and no Enter key: it is not the keyboard of a scanner; choose the name that ends in -event-kbd"
    )]
    NotAKeyboard {
        /// What was asked for.
        path: PathBuf,
    },
    /// Its Caps Lock stays on.
    #[error("{path} has Caps Lock on and it cannot be switched off: plug the scanner out and in again")]
    CapsLock {
        /// What was asked for.
        path: PathBuf,
    },
    /// Nobody knows where it is, or it must not be opened now; a sentence that says what to check.
    #[error("{0}")]
    Nowhere(String),
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

/// An open source of records. Dropping it gives the device free.
#[derive(Debug)]
pub enum KeyLine {
    /// A device that is grabbed.
    Device(AsyncFd<RawDevice>),
    /// A simulator.
    #[cfg(feature = "sim")]
    Stream(UnixStream),
}

impl KeySource {
    /// Opens it, and grabs a device: from then on no console, desktop or other program sees what the scanner types.
    /// Nothing but this one device is opened. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// See [`OpenError`]; each says what to check.
    pub async fn open(&self) -> Result<KeyLine, OpenError> {
        match self {
            KeySource::Device(place) => {
                let path = place.look_up(DeviceClass::Input).await.map_err(OpenError::Nowhere)?;
                let device = open_device(&path)?;
                place.confirm(DeviceClass::Input, &path).await.map_err(OpenError::Nowhere)?;
                Ok(KeyLine::Device(device))
            }
            #[cfg(feature = "sim")]
            KeySource::Stream(path) => {
                UnixStream::connect(path).await.map(KeyLine::Stream).map_err(|error| explain(path, error))
            }
        }
    }
}

impl KeyLine {
    /// Reads whole records (24 bytes each) from a device; any bytes of them from a simulator. `Ok(0)` when it has gone.
    /// Cancel-safe.
    ///
    /// # Errors
    /// What the system said; ENODEV after an unplug.
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            KeyLine::Device(device) => loop {
                let mut ready = device.readable().await?;
                if let Ok(read) = ready.try_io(|fd| Ok(rustix::io::read(fd.get_ref().as_fd(), &mut *buffer)?))
                {
                    return read;
                }
            },
            #[cfg(feature = "sim")]
            KeyLine::Stream(stream) => stream.read(buffer).await,
        }
    }

    /// Which keys are down now. The kernel throws away key events that wait to be read, so that state and events fit. A
    /// simulator is asked nothing: none.
    ///
    /// # Errors
    /// What the system said.
    pub fn state(&self) -> io::Result<KeyState> {
        match self {
            KeyLine::Device(device) => {
                let down = device.get_ref().get_key_state()?.iter().map(|key| key.code()).collect();
                Ok(KeyState { down, caps: false })
            }
            #[cfg(feature = "sim")]
            KeyLine::Stream(_) => Ok(KeyState::default()),
        }
    }
}

fn open_device(path: &Path) -> Result<AsyncFd<RawDevice>, OpenError> {
    let explain = |error| explain(path, error);
    let flags = (OFlags::NONBLOCK | OFlags::CLOEXEC).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(flags);
    // Writing is for Caps Lock's light alone.
    let file = options.clone().write(true).open(path).or_else(|_| options.open(path)).map_err(explain)?;
    let mut device = RawDevice::from_fd(OwnedFd::from(file)).map_err(explain)?;
    let has = |key| device.supported_keys().is_some_and(|keys| keys.contains(key));
    if ![KeyCode::KEY_ENTER, KeyCode::KEY_0, KeyCode::KEY_1].into_iter().all(has) {
        return Err(OpenError::NotAKeyboard { path: path.to_owned() });
    }
    device.grab().map_err(explain)?;
    caps_lock_off(&mut device, path)?;
    #[allow(
        deprecated,
        reason = "its replacement is unsafe; an owned descriptor that is never swapped is all that it asks for"
    )]
    AsyncFd::new(device).map_err(explain)
}

/// A console sets the lights of all keyboards alike: if a person has Caps Lock on elsewhere, this scanner may turn its
/// capitals round, or not. After the grab the light is ours, so the question is settled before it types.
fn caps_lock_off(device: &mut RawDevice, path: &Path) -> Result<(), OpenError> {
    let explain = |error| explain(path, error);
    let is_on = |device: &RawDevice| -> io::Result<bool> {
        let has_one = device.supported_leds().is_some_and(|leds| leds.contains(LedCode::LED_CAPSL));
        Ok(has_one && device.get_led_state()?.contains(LedCode::LED_CAPSL))
    };
    if !is_on(device).map_err(explain)? {
        return Ok(());
    }
    let off = InputEvent::new(EventType::LED.0, LedCode::LED_CAPSL.0, 0);
    let report = InputEvent::new(EventType::SYNCHRONIZATION.0, SynchronizationCode::SYN_REPORT.0, 0);
    let switched = device.send_events(&[off, report]);
    if switched.is_err() || is_on(device).map_err(explain)? {
        return Err(OpenError::CapsLock { path: path.to_owned() });
    }
    Ok(())
}

fn explain(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => OpenError::Missing { path },
        io::ErrorKind::PermissionDenied => OpenError::Forbidden { path },
        io::ErrorKind::ResourceBusy => OpenError::Busy { path },
        // Not an input device: it does not know the question what it can do (ENOTTY).
        _ if source.raw_os_error() == Some(rustix::io::Errno::NOTTY.raw_os_error()) => {
            OpenError::NotAKeyboard { path }
        }
        _ => OpenError::Other { path, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_no_keyboard_is_refused_with_what_to_check() {
        let missing = KeySource::Device(DevicePlace::File("/dev/input/by-id/usb-none-event-kbd".into()))
            .open()
            .await
            .unwrap_err();
        assert!(missing.to_string().contains("check that the scanner is plugged in"), "{missing}");
        let other = KeySource::Device(DevicePlace::File("/dev/null".into())).open().await.unwrap_err();
        assert!(other.to_string().contains("not the keyboard of a scanner"), "{other}");
    }
}
