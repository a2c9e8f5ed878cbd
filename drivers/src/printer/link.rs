//! The line to a printer: serial or TCP, opened with a time-out, read and written without blocking anything.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time,
};

use crate::serial::{SerialSettings, chain};

/// Where a printer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrinterAddress {
    /// On a serial line or USB serial.
    Serial(SerialSettings),
    /// On the network; the usual port is 9100.
    Tcp(SocketAddr),
}

/// Any line in both directions.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// How long a printer on the LAN may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

impl PrinterAddress {
    /// Opens the line, or says in a sentence what to check.
    pub(super) async fn open(&self) -> Result<Box<dyn Duplex>, String> {
        match self {
            PrinterAddress::Serial(settings) => {
                settings.open().map(|line| Box::new(line) as Box<dyn Duplex>).map_err(|error| chain(&error))
            }
            PrinterAddress::Tcp(address) => {
                let connect = time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
                let stream =
                    connect.map_err(|_elapsed| silent(address))?.map_err(|e| refused(address, &e))?;
                // Status questions are three bytes; they must not wait for more.
                stream.set_nodelay(true).map_err(|e| refused(address, &e))?;
                Ok(Box::new(stream))
            }
        }
    }

    /// How long `bytes` bytes take on the line. Nothing on a network.
    pub(super) fn time_for(&self, bytes: usize) -> Duration {
        match self {
            PrinterAddress::Serial(settings) => settings.time_for(u32::try_from(bytes).unwrap_or(u32::MAX)),
            PrinterAddress::Tcp(_) => Duration::ZERO,
        }
    }
}

fn silent(address: &SocketAddr) -> String {
    format!("{address} does not answer: check the printer's power, its network cable and its address")
}

fn refused(address: &SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!(
                "{address} refuses the connection: check the port (usually 9100), and that no other program prints"
            )
        }
        _ => format!(
            "{address} cannot be reached ({error}): check the printer's power, network cable and address"
        ),
    }
}
