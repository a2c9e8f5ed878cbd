//! A serial port that is elsewhere: a converter on the network that speaks RFC 2217, whose speed, parity and flow
//! control are set from here.
//!
//! `codec` and [`session`] decide what is said and do no I/O; this file owns the connection.
//! Between the two ends a byte 0xFF is doubled, and nothing
//! else changes.

mod codec;
pub mod session;

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::TcpStream,
    time,
};

pub use session::{ConverterError, FarPort, Wires};

use super::tcp;
use session::Session;

/// How long a converter may take to agree and to set its port, once it has accepted the connection.
const NEGOTIATE_TIMEOUT: Duration = Duration::from_secs(3);

/// Bytes that are taken from a writer at once: what may be on its way without the network having taken it.
const CHUNK_BYTES: usize = 4_096;

/// Bytes of the device that wait for a reader who does not come, while a writer listens for "go on".
const HEARD_BYTES_MAX: usize = 64 * 1_024;

/// How long a converter that has set its port may take to say that it threw away what it had heard before: a few
/// never say it.
const PURGE_TIMEOUT: Duration = Duration::from_millis(500);

/// Connects and sets the far port.
pub(super) async fn open(address: SocketAddr, wanted: FarPort) -> Result<Rfc2217Line, String> {
    let stream = tcp::connect(address).await?;
    let mut out = Vec::new();
    let session = Session::begin(wanted, &mut out);
    let mut line = Rfc2217Line { stream, session, out, heard: Vec::new(), reader: None, writer: None };
    match time::timeout(NEGOTIATE_TIMEOUT, line.settle(address)).await {
        Ok(settled) => settled.map(|()| line),
        Err(_elapsed) if line.session.is_heard() => Err(format!(
            "{address} speaks telnet and does not say that its port is set: check that RFC 2217 is switched on in the converter's pages"
        )),
        Err(_elapsed) => Err(format!(
            "{address} accepts the connection and does not answer in telnet's language: if it is a raw port, set its speed in its own pages and write tcp://{address}"
        )),
    }
}

fn broken(address: SocketAddr, error: &io::Error) -> String {
    format!(
        "{address} ended the connection ({error}): most converters take one connection at a time, so check that no other program uses it"
    )
}

/// An open far port.
#[derive(Debug)]
pub struct Rfc2217Line {
    stream: TcpStream,
    session: Session,
    /// Escaped, not yet taken by the network.
    out: Vec<u8>,
    /// Of the device, not yet taken by a reader.
    heard: Vec<u8>,
    /// Who waits for what the other may hear first: a reader for the device's bytes, a writer for "go on".
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Rfc2217Line {
    /// Negotiates until the port is set. What the device sent before was sent to nobody, and at another speed.
    async fn settle(&mut self, address: SocketAddr) -> Result<(), String> {
        let mut buffer = [0u8; 1_024];
        while !self.session.is_settled() {
            self.stream.write_all(&self.out).await.map_err(|error| broken(address, &error))?;
            self.out.clear();
            let count = match time::timeout(PURGE_TIMEOUT, self.stream.read(&mut buffer)).await {
                Err(_elapsed) if self.session.is_set() => return Ok(()),
                Err(_elapsed) => continue,
                Ok(Ok(0)) => return Err(broken(address, &io::ErrorKind::UnexpectedEof.into())),
                Ok(read) => read.map_err(|error| broken(address, &error))?,
            };
            // Byte by byte: what stands behind the last answer is the device's.
            for byte in &buffer[..count] {
                if !self.session.is_settled() {
                    self.heard.clear();
                }
                let heard = self.session.hear(&[*byte], &mut self.heard, &mut self.out);
                heard.map_err(|error| format!("{address}: {error}"))?;
            }
        }
        Ok(())
    }

    /// Sends what waits.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.out))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.out.drain(..sent);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once. `false` is the end of the line.
    fn poll_hear(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut bytes = [0u8; 1_024];
        let mut buffer = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        if buffer.filled().is_empty() {
            return Poll::Ready(Ok(false));
        }
        // A converter whose port was set does not unset it; if it says so, the line is no longer the device's.
        let heard = self.session.hear(buffer.filled(), &mut self.heard, &mut self.out);
        heard.map_err(io::Error::other)?;
        Poll::Ready(Ok(true))
    }
}

impl AsyncRead for Rfc2217Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            // Answers to what was heard go out with the next chance; a full network is the writer's matter.
            if let Poll::Ready(Err(error)) = self.poll_send(cx) {
                return Poll::Ready(Err(error));
            }
            if !self.heard.is_empty() {
                let count = self.heard.len().min(buf.remaining());
                buf.put_slice(&self.heard[..count]);
                self.heard.drain(..count);
                return Poll::Ready(Ok(()));
            }
            self.reader = Some(cx.waker().clone());
            let goes_on = ready!(self.poll_hear(cx))?;
            if let Some(writer) = self.writer.take() {
                writer.wake();
            }
            if !goes_on {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Rfc2217Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(cx))?;
        while self.session.is_suspended() {
            // Nobody else may be listening for "go on".
            if self.heard.len() >= HEARD_BYTES_MAX {
                return Poll::Ready(Err(io::Error::other(
                    "the device sends, nobody reads, and the converter says wait",
                )));
            }
            self.writer = Some(cx.waker().clone());
            let goes_on = ready!(self.poll_hear(cx))?;
            if let Some(reader) = self.reader.take() {
                reader.wake();
            }
            if !goes_on {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        }
        let count = buf.len().min(CHUNK_BYTES);
        let mut out = std::mem::take(&mut self.out);
        codec::escape(&buf[..count], &mut out);
        self.out = out;
        match self.poll_send(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(count)),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
