//! A connection to a device on the network, which notices in bounded time when the other end has gone without a word: a
//! cable that is pulled sends no goodbye.
//!
//! Two things are watched, each by the kernel. A quiet connection is probed; when the probes stay unanswered it
//! fails, and reading tells. What was sent and is not acknowledged fails it too. A converter that has lost power is
//! noticed within [`GONE_AFTER`] in either case.

use std::{io, net::SocketAddr, os::fd::AsFd, time::Duration};

use rustix::net::sockopt;
use tokio::{net::TcpStream, time};

/// How long a device on the LAN may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A quiet connection is probed after this, and then as often: a probe costs two packets of 60 bytes.
const PROBE_EVERY: Duration = Duration::from_secs(5);

/// So many probes may be lost; a switch that restarts (a spanning tree takes 30 s to open a port, RSTP 6) must not cost
/// more than one reconnection, and people wait for what is dead.
const PROBES_MAX: u32 = 3;

/// What is sent and not acknowledged fails after this (TCP_USER_TIMEOUT, RFC 5482). With probes on, Linux ends a
/// quiet connection by it as well, at the first probe after that time (tcp(7)).
pub const GONE_AFTER: Duration = Duration::from_secs(20);

/// Connects.
pub(super) async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    let connect = time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
    let stream = connect.map_err(|_elapsed| silent(&address))?.map_err(|error| refused(&address, &error))?;
    // Status questions are three bytes; they must not wait for more.
    stream.set_nodelay(true).and_then(|()| watch(&stream)).map_err(|error| refused(&address, &error))?;
    Ok(stream)
}

fn watch(stream: impl AsFd) -> io::Result<()> {
    let gone_after = u32::try_from(GONE_AFTER.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, PROBE_EVERY)?;
    sockopt::set_tcp_keepintvl(&stream, PROBE_EVERY)?;
    sockopt::set_tcp_keepcnt(&stream, PROBES_MAX)?;
    Ok(sockopt::set_tcp_user_timeout(&stream, gone_after)?)
}

fn silent(address: &SocketAddr) -> String {
    format!("{address} does not answer: check the device's power, its network cable and its address")
}

fn refused(address: &SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!(
                "{address} refuses the connection: check the port (9100 for most printers), and that no other program uses the device"
            )
        }
        _ => format!(
            "{address} cannot be reached ({error}): check the device's power, network cable and address"
        ),
    }
}
