//! Serial lines: settings that cannot be wrong, and opening them with an error that says what to check.
//!
//! Two traps of the operating system are handled by the callers: an unplugged line reads as `Ok(0)` (or EIO), and a
//! write has no time-out of its own.
//!
//! Two more are handled here. Closing waits for what is still to be sent, by default up to 30 s where the device says
//! "wait" (`closing_wait` of the kernel's serial core), and would stop a thread of the runtime for as long: so it is thrown
//! away first, and whoever wants it out flushes. And `tcdrain` waits without bound: so flushing looks, again and again, how
//! much is still there.

use std::{
    io,
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};
use tokio_serial::{ClearBuffer, SerialPort as _, SerialPortBuilderExt as _, SerialStream};

use super::{
    place::DevicePlace,
    rfc2217::{FarPort, Wires},
};
use crate::find::{device::DeviceClass, selector::SelectorError};

/// Speeds that serial devices are sold with. A pseudo-terminal accepts any number, a real port does not.
const BAUD_RATES: [u32; 10] = [1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800];

/// A serial line as the configuration states it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSerialSettings {
    /// A name that stays, such as `usb:05e0:1701:S21357` (see [`crate::find::selector`]), or a device file.
    pub path: PathBuf,
    /// Bits per second.
    pub baud: u32,
    /// Parity; none by default.
    #[serde(default)]
    pub parity: Parity,
    /// Stop bits, 1 or 2.
    #[serde(default = "one")]
    pub stop_bits: u8,
    /// How the device says "wait".
    #[serde(default)]
    pub flow: FlowControl,
}

fn one() -> u8 {
    1
}

/// The parity bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parity {
    /// No parity bit.
    #[default]
    None,
    /// Even.
    Even,
    /// Odd.
    Odd,
}

/// How the device says "wait".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowControl {
    /// Not at all.
    #[default]
    None,
    /// RTS and CTS wires.
    Hardware,
    /// XON and XOFF bytes from the device stop us. What we send is not looked at: the bytes of an image may be any.
    Software,
}

/// A serial line that can be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialSettings {
    raw: RawSerialSettings,
    place: DevicePlace,
}

/// Why settings are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// Not a usual speed.
    #[error(
        "{path}: {baud} baud is not a usual speed; use one of 9600, 19200, 38400, 57600, 115200 as the device's manual says"
    )]
    Baud {
        /// The line.
        path: PathBuf,
        /// What was asked for.
        baud: u32,
    },
    /// Neither 1 nor 2.
    #[error("{path}: stop_bits is 1 or 2, not {stop_bits}")]
    StopBits {
        /// The line.
        path: PathBuf,
        /// What was asked for.
        stop_bits: u8,
    },
    /// No path.
    #[error("the serial line has no path; give one that `pestle-agent devices list` shows")]
    NoPath,
    /// Neither a path nor a selector.
    #[error(transparent)]
    Selector(#[from] SelectorError),
}

/// Why a line could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such file.
    #[error(
        "{path} does not exist: check that the device is plugged in and has power, and compare with `pestle-agent devices list`"
    )]
    Missing {
        /// What was looked for.
        path: PathBuf,
    },
    /// No permission.
    #[error("{path} may not be opened: add the service's user to the group that owns it (usually dialout)")]
    Forbidden {
        /// What was asked for.
        path: PathBuf,
    },
    /// Another program holds it.
    #[error("{path} is in use by another program: stop it, or give it another device")]
    Busy {
        /// What was asked for.
        path: PathBuf,
    },
    /// The device that the name stands for is not there, or must not be used now.
    #[error("{0}")]
    Away(String),
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

impl TryFrom<RawSerialSettings> for SerialSettings {
    type Error = SettingsError;

    fn try_from(raw: RawSerialSettings) -> Result<SerialSettings, SettingsError> {
        if raw.path.as_os_str().is_empty() {
            return Err(SettingsError::NoPath);
        }
        if !BAUD_RATES.contains(&raw.baud) {
            return Err(SettingsError::Baud { path: raw.path, baud: raw.baud });
        }
        if !(1..=2).contains(&raw.stop_bits) {
            return Err(SettingsError::StopBits { path: raw.path, stop_bits: raw.stop_bits });
        }
        let place = DevicePlace::written(&raw.path.to_string_lossy())?;
        Ok(SerialSettings { raw, place })
    }
}

impl SerialSettings {
    /// A line with 8 data bits, no parity, one stop bit and no flow control.
    ///
    /// # Errors
    /// An empty path or an unusual speed.
    pub fn new(path: impl Into<PathBuf>, baud: u32) -> Result<SerialSettings, SettingsError> {
        let path = path.into();
        RawSerialSettings { path, baud, parity: Parity::None, stop_bits: 1, flow: FlowControl::None }
            .try_into()
    }

    /// The device file or selector, as it was written.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.raw.path
    }

    /// Where the device is.
    #[must_use]
    pub fn place(&self) -> &DevicePlace {
        &self.place
    }

    /// The same line at another speed.
    ///
    /// # Errors
    /// It is not a usual one.
    pub fn with_baud(self, baud: u32) -> Result<SerialSettings, SettingsError> {
        let place = self.place;
        SerialSettings::try_from(RawSerialSettings { baud, ..self.raw }).map(|settings| settings.at(place))
    }

    /// The same line, elsewhere.
    #[must_use]
    pub fn at(self, place: DevicePlace) -> SerialSettings {
        SerialSettings { place, ..self }
    }

    /// The same for a port that a converter on the network has.
    #[must_use]
    pub fn far_port(&self) -> FarPort {
        let RawSerialSettings { baud, parity, stop_bits, flow, .. } = self.raw;
        FarPort { baud, parity, stop_bits, flow, wires: Wires::Raise }
    }

    /// How long `bytes` bytes take on the wire, at 11 bits a byte.
    #[must_use]
    pub fn time_for(&self, bytes: u32) -> Duration {
        self.far_port().time_for(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    /// Opens the line in raw mode, for this process alone. What was waiting in it is thrown away: it was sent to
    /// nobody.
    ///
    /// # Errors
    /// See [`OpenError`]; each says what to check.
    pub async fn open(&self) -> Result<SerialPort, OpenError> {
        let raw = &self.raw;
        let path = self.place.look_up(DeviceClass::Serial).await.map_err(OpenError::Away)?;
        let parity = match raw.parity {
            Parity::None => tokio_serial::Parity::None,
            Parity::Even => tokio_serial::Parity::Even,
            Parity::Odd => tokio_serial::Parity::Odd,
        };
        let flow = match raw.flow {
            FlowControl::None => tokio_serial::FlowControl::None,
            FlowControl::Hardware => tokio_serial::FlowControl::Hardware,
            FlowControl::Software => tokio_serial::FlowControl::Software,
        };
        let stop = if raw.stop_bits == 2 { tokio_serial::StopBits::Two } else { tokio_serial::StopBits::One };
        let builder = tokio_serial::new(path.to_string_lossy(), raw.baud)
            .data_bits(tokio_serial::DataBits::Eight)
            .parity(parity)
            .stop_bits(stop)
            .flow_control(flow);
        let stream = builder.open_native_async().map_err(|error| explain(&path, error.into()))?;
        stream.clear(ClearBuffer::Input).map_err(|error| explain(&path, error.into()))?;
        let port = SerialPort { stream, flushing: None };
        self.place.confirm(DeviceClass::Serial, &path).await.map_err(OpenError::Away)?;
        Ok(port)
    }
}

fn explain(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    // serialport folds EBUSY and a held lock into "NoDevice", which arrives here as NotFound: look ourselves.
    match source.kind() {
        io::ErrorKind::NotFound if path.exists() => OpenError::Busy { path },
        io::ErrorKind::NotFound => OpenError::Missing { path },
        io::ErrorKind::PermissionDenied => OpenError::Forbidden { path },
        io::ErrorKind::ResourceBusy | io::ErrorKind::WouldBlock => OpenError::Busy { path },
        _ => OpenError::Other { path, source },
    }
}

/// Between two looks at what is still to be sent; four bytes at 9600 baud.
const FLUSH_LOOK: Duration = Duration::from_millis(4);

/// An open line. Other programs cannot open it until it is dropped. What it has not sent by then is thrown away.
#[derive(Debug)]
pub struct SerialPort {
    stream: SerialStream,
    flushing: Option<Pin<Box<Sleep>>>,
}

impl Drop for SerialPort {
    /// Gives the line free. The mark "exclusive" belongs to the terminal, not to our descriptor: where somebody else
    /// keeps the terminal open, as the other end of a pseudo-terminal may, it would outlive us and lock ourselves
    /// out.
    fn drop(&mut self) {
        let cleared = self.stream.clear(ClearBuffer::Output);
        if let Err(error) = cleared.and_then(|()| self.stream.set_exclusive(false)) {
            // Usual after an unplug: then there is nothing to give free.
            tracing::debug!(%error, "the serial line could not be given free");
        }
    }
}

impl AsyncRead for SerialPort {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for SerialPort {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    /// Waits until the system has nothing more to send. A converter's chip or a UART may still hold some bytes.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some(pause) = &mut self.flushing {
                ready!(pause.as_mut().poll(cx));
                self.flushing = None;
            }
            if self.stream.bytes_to_write()? == 0 {
                return Poll::Ready(Ok(()));
            }
            self.flushing = Some(Box::pin(sleep(FLUSH_LOOK)));
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unusual_speed_is_refused_since_a_pseudo_terminal_would_accept_it() {
        let error = SerialSettings::new("/dev/ttyS0", 9_601).unwrap_err();
        assert!(error.to_string().contains("9601 baud is not a usual speed"), "{error}");
    }

    #[tokio::test]
    async fn a_missing_device_file_is_named_with_what_to_check() {
        let settings = SerialSettings::new("/dev/there-is-no-such-port", 9_600).unwrap();
        let error = settings.open().await.unwrap_err();
        assert!(matches!(&error, OpenError::Missing { .. }), "{error:?}");
        assert!(error.to_string().starts_with("/dev/there-is-no-such-port does not exist: check"), "{error}");
    }
}
