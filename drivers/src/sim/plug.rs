//! How a simulated printer is attached, whatever it prints: on the network or on a cable, and with power or without. What it
//! does with the bytes is its [`Mechanism`].

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

use super::{SimError, ports, pty::Pty};

/// What takes a host's bytes and answers.
pub(super) trait Mechanism: Send + Sync + 'static {
    /// Rings when there may be something for the host, or room again.
    fn wake(&self) -> &Notify;

    /// What is to be sent to the host, once.
    fn take_answers(&self) -> Vec<u8>;

    /// Whether it takes bytes now.
    fn has_room(&self) -> bool {
        true
    }

    /// Takes bytes from the host.
    fn receive(&self, bytes: &[u8]) -> Result<(), HostEnd>;
}

/// Where it is attached.
#[derive(Debug)]
pub(super) enum Place {
    /// On the network.
    Tcp(SocketAddr),
    /// On a cable, linked at this path.
    Serial(PathBuf),
}

/// The open plug of a place.
#[derive(Debug)]
pub(super) enum Plug {
    Tcp(TcpListener),
    Serial(Pty),
}

/// Why a host's line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HostEnd {
    HungUp,
    PowerLost,
}

/// The mains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Power {
    // On => Off | OnFor
    On,
    // OnFor => Off, after so many more bytes have been received
    OnFor(usize),
    // Off => On
    Off,
}

impl Power {
    /// Of `bytes` that arrive, how many arrive before it goes.
    pub(super) fn last_for(&mut self, bytes: usize) -> usize {
        let (taken, power) = match *self {
            Power::On => (bytes, Power::On),
            Power::OnFor(left) if bytes < left => (bytes, Power::OnFor(left - bytes)),
            Power::OnFor(left) => (left, Power::Off),
            Power::Off => (0, Power::Off),
        };
        *self = power;
        taken
    }
}

impl Place {
    /// On the network at `address`; port 0 takes a free one, which the place then keeps: it listens there again when its power
    /// is back, so it is none that a connection may have taken meanwhile.
    pub(super) fn listen(mut address: SocketAddr) -> Result<(Place, Plug), SimError> {
        if address.port() == 0 {
            let [port] = ports::free().map_err(|source| listen_error(address, source))?;
            address.set_port(port);
        }
        let listener = bind(address)?;
        let address = listener.local_addr().map_err(|source| listen_error(address, source))?;
        Ok((Place::Tcp(address), Plug::Tcp(listener)))
    }

    /// On a cable at `link`.
    pub(super) fn cable(link: PathBuf) -> Result<(Place, Plug), SimError> {
        let pty = Pty::plug_in(&link)?;
        Ok((Place::Serial(link), Plug::Serial(pty)))
    }

    /// Plugs it in again.
    pub(super) fn plug_in(&self) -> Result<Plug, SimError> {
        match self {
            Place::Tcp(address) => bind(*address).map(Plug::Tcp),
            Place::Serial(link) => Pty::plug_in(link).map(Plug::Serial),
        }
    }

    /// The network address; `None` on a cable.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self {
            Place::Tcp(address) => Some(*address),
            Place::Serial(_) => None,
        }
    }
}

impl Plug {
    /// As slow as a line of `baud` bits a second; the network has no such speed.
    pub(super) fn paced(self, baud: u32) -> Plug {
        match self {
            Plug::Serial(pty) => Plug::Serial(pty.paced(baud)),
            Plug::Tcp(listener) => Plug::Tcp(listener),
        }
    }

    /// Serves hosts until power or the cable goes. On the network one at a time, as most printers do; the next one waits.
    pub(super) async fn serve(self, mechanism: Arc<impl Mechanism>) {
        match self {
            Plug::Serial(pty) => {
                serve(&Line::Serial(pty), &*mechanism).await;
            }
            Plug::Tcp(listener) => loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                let _best_effort = stream.set_nodelay(true);
                if serve(&Line::Tcp(stream), &*mechanism).await == HostEnd::PowerLost {
                    return;
                }
            },
        }
    }
}

/// Ends the tasks of a plug. When this returns, its port or its path is free.
pub(super) async fn ended(tasks: impl IntoIterator<Item = JoinHandle<()>>) {
    for task in tasks {
        task.abort();
        // That it was aborted is no error here; what panicked has said so.
        let _ended = task.await;
    }
}

/// A lock that a failed test does not take with it.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn bind(address: SocketAddr) -> Result<TcpListener, SimError> {
    let listen = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    };
    listen().map_err(|source| listen_error(address, source))
}

fn listen_error(address: SocketAddr, source: io::Error) -> SimError {
    SimError::Listen { address: address.to_string(), source }
}

#[derive(Debug)]
enum Line {
    Tcp(TcpStream),
    Serial(Pty),
}

impl Line {
    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Line::Serial(pty) => pty.read(buffer).await,
            Line::Tcp(stream) => loop {
                stream.readable().await?;
                match stream.try_read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    read => return read,
                }
            },
        }
    }

    async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        match self {
            Line::Serial(pty) => pty.write_all(bytes).await,
            Line::Tcp(stream) => {
                while !bytes.is_empty() {
                    stream.writable().await?;
                    match stream.try_write(bytes) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        written => bytes = bytes.get(written?..).unwrap_or_default(),
                    }
                }
                Ok(())
            }
        }
    }
}

async fn serve(line: &Line, mechanism: &impl Mechanism) -> HostEnd {
    let mut buffer = [0u8; 1_024];
    loop {
        let answers = mechanism.take_answers();
        if !answers.is_empty() && line.write_all(&answers).await.is_err() {
            return HostEnd::HungUp;
        }
        tokio::select! {
            () = mechanism.wake().notified() => {}
            read = line.read(&mut buffer), if mechanism.has_room() => match read {
                Ok(0) | Err(_) => return HostEnd::HungUp,
                Ok(count) => {
                    if let Err(end) = mechanism.receive(&buffer[..count]) {
                        return end;
                    }
                }
            },
        }
    }
}
