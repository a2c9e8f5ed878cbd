//! The line to a device, opened with an error that says what to check, read and written without blocking anything. No
//! driver knows which kind of line it has.
//!
//! | written | line |
//! |---|---|
//! | `serial:/dev/ttyS0?baud=19200&parity=even&stop_bits=2&flow=hardware` | a serial port or USB serial ([`serial`]); 9600 baud, no parity, one stop bit and no flow control where it says nothing |
//! | `usblp:/dev/usb/lp0` | a USB printer's device file ([`usb_printer`]) |
//! | `tcp://192.0.2.7:9100` | the network, bytes as they are ([`tcp`]): a printer, or a converter whose port is set in its own pages |
//! | `rfc2217://192.0.2.7:2217?baud=19200` | a converter whose port is set from here ([`rfc2217`]) |
//!
//! In place of a device file there may be a selector: `serial:usb:05e0:1701:S21357?baud=9600`, `usblp:usb-port:1-2`
//! ([`place`]).

pub(crate) mod pace;
pub mod place;
pub mod rfc2217;
pub mod serial;
pub mod tcp;
pub mod usb_printer;
mod written;

use std::{fmt, net::SocketAddr, time::Duration};

use pestle_domain::causes::with_causes;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::find::device::DeviceClass;
use place::DevicePlace;
use rfc2217::FarPort;
use serial::{FlowControl, SerialSettings};
use usb_printer::UsbPrinterLine;

/// Where a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LineAddress {
    /// On a serial line or USB serial.
    Serial(SerialSettings),
    /// A USB printer's device file.
    UsbPrinter(DevicePlace),
    /// On the network, its bytes as they are: a printer (the usual port is 9100), or a serial device behind a
    /// converter.
    Tcp(SocketAddr),
    /// A serial device behind a converter whose port is set from here.
    Rfc2217(SocketAddr, FarPort),
}

/// Any line in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + fmt::Debug + Send + Sync + Unpin {}
impl<T: AsyncRead + AsyncWrite + fmt::Debug + Send + Sync + Unpin> Duplex for T {}

/// An open line. Dropping it frees it.
pub type Line = Box<dyn Duplex>;

impl LineAddress {
    /// Opens the line.
    ///
    /// # Errors
    /// A sentence that says what to check.
    pub async fn open(&self) -> Result<Line, String> {
        match self {
            LineAddress::Serial(settings) => {
                settings.open().await.map(|line| Box::new(line) as Line).map_err(|error| with_causes(&error))
            }
            LineAddress::UsbPrinter(place) => {
                let path = place.look_up(DeviceClass::Printer).await?;
                let line = UsbPrinterLine::open(&path).map_err(|error| with_causes(&error))?;
                place.confirm(DeviceClass::Printer, &path).await?;
                Ok(Box::new(line))
            }
            LineAddress::Tcp(address) => Ok(Box::new(tcp::connect(*address).await?)),
            LineAddress::Rfc2217(address, port) => Ok(Box::new(rfc2217::open(*address, *port).await?)),
        }
    }

    /// How long `bytes` bytes take on the line, at 11 bits a byte. Nothing on a network.
    #[must_use]
    pub fn time_for(&self, bytes: usize) -> Duration {
        match self {
            LineAddress::Serial(settings) => settings.far_port().time_for(bytes),
            LineAddress::Rfc2217(_, port) => port.time_for(bytes),
            // 64 kB in 60 ms at USB's full speed: less than what any time-out allows anyway.
            LineAddress::UsbPrinter(_) | LineAddress::Tcp(_) => Duration::ZERO,
        }
    }

    /// Can the device keep us from sending, while the line itself is as it should be? A wire or a byte says "wait" on a
    /// serial line with flow control, a refused transfer on USB. A network that stands still for long is a broken one.
    #[must_use]
    pub fn holds_back(&self) -> bool {
        match self {
            LineAddress::Serial(settings) => settings.far_port().flow != FlowControl::None,
            LineAddress::Rfc2217(_, port) => port.flow != FlowControl::None,
            LineAddress::UsbPrinter(_) => true,
            LineAddress::Tcp(_) => false,
        }
    }

    /// What stands where the device is, and as what it is opened. `None` on the network.
    #[must_use]
    pub fn place(&self) -> Option<(&DevicePlace, DeviceClass)> {
        match self {
            LineAddress::Serial(settings) => Some((settings.place(), DeviceClass::Serial)),
            LineAddress::UsbPrinter(place) => Some((place, DeviceClass::Printer)),
            LineAddress::Tcp(_) | LineAddress::Rfc2217(..) => None,
        }
    }

    /// The same line, its device elsewhere: wherever its keeper says, or at a file. A line on the network stays what it is.
    #[must_use]
    pub fn at(self, place: DevicePlace) -> LineAddress {
        match self {
            LineAddress::Serial(settings) => LineAddress::Serial(settings.at(place)),
            LineAddress::UsbPrinter(_) => LineAddress::UsbPrinter(place),
            far @ (LineAddress::Tcp(_) | LineAddress::Rfc2217(..)) => far,
        }
    }
}

/// For logs: where it is, without its settings.
impl fmt::Display for LineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LineAddress::Serial(settings) => write!(f, "{}", settings.place()),
            LineAddress::UsbPrinter(place) => write!(f, "{place}"),
            LineAddress::Tcp(address) | LineAddress::Rfc2217(address, _) => write!(f, "{address}"),
        }
    }
}
