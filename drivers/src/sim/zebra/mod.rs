//! A label printer that speaks ZPL, on the network or on a serial cable.
//!
//! [`decode`] reads commands and draws labels, `engine` is the mechanism. This file is the plug: who is connected, whether
//! there is power, and how long a label takes.

pub mod decode;
mod engine;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, watch},
    task::AbortHandle,
    time,
};

pub use engine::{Controls, Counts};

use super::{SimError, pty::Pty};
use crate::printer::bitmap::Bitmap;
use engine::Engine;

/// A simulated label printer. Cloned handles drive the same printer; it ends with the last of them.
#[derive(Debug, Clone)]
pub struct SimZebra {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    place: Place,
    /// The plug and the mechanism.
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        lock(&self.tasks).drain(..).for_each(|task| task.abort());
    }
}

#[derive(Debug, Clone)]
enum Place {
    Tcp(SocketAddr),
    Serial(PathBuf),
}

#[derive(Debug)]
struct Shared {
    engine: Mutex<Engine>,
    power: Mutex<Power>,
    /// The cable is pulled once so many more bytes have been received; power stays.
    cable_for: Mutex<Option<usize>>,
    label_time: Mutex<Duration>,
    /// There may be something for the host.
    answers: Notify,
    /// There may be something to print.
    work: Notify,
    changes: watch::Sender<u64>,
}

/// The mains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Power {
    // On => Off | OnFor
    On,
    // OnFor => Off, after so many more bytes have been received
    OnFor(usize),
    // Off => On
    Off,
}

/// How the printer is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ZebraView {
    /// It has power.
    pub powered: bool,
    /// Levers and sensors.
    pub controls: Controls,
    /// Counts since the start.
    pub counts: Counts,
    /// Labels that are still to come.
    pub queued: usize,
    /// What `~SD` set it to.
    pub darkness: u8,
}

impl SimZebra {
    /// Switches a printer on that listens on `address`; port 0 takes a free one, which it then keeps. `head_dots` is the
    /// width of its head. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The port is taken.
    pub fn listen(address: SocketAddr, dpi: u16, head_dots: usize) -> Result<SimZebra, SimError> {
        let listener = bind(address)?;
        let address = listener.local_addr().map_err(|source| listen_error(address, source))?;
        let printer = SimZebra::new(Place::Tcp(address), dpi, head_dots);
        printer.run(accept_hosts(listener, Arc::clone(&printer.inner.shared)));
        Ok(printer)
    }

    /// Switches a printer on that is plugged in at the path `link`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// No pseudo-terminal could be made there.
    pub fn plug_in(link: impl Into<PathBuf>, dpi: u16, head_dots: usize) -> Result<SimZebra, SimError> {
        let link = link.into();
        let pty = Pty::plug_in(&link)?;
        let printer = SimZebra::new(Place::Serial(link), dpi, head_dots);
        printer.run(serve_cable(pty, Arc::clone(&printer.inner.shared)));
        Ok(printer)
    }

    /// The same on a cable as slow as a line of `baud` bits a second. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// No pseudo-terminal could be made there.
    pub fn plug_in_at(
        link: impl Into<PathBuf>,
        dpi: u16,
        head_dots: usize,
        baud: u32,
    ) -> Result<SimZebra, SimError> {
        let link = link.into();
        let pty = Pty::plug_in(&link)?.paced(baud);
        let printer = SimZebra::new(Place::Serial(link), dpi, head_dots);
        printer.run(serve_cable(pty, Arc::clone(&printer.inner.shared)));
        Ok(printer)
    }

    /// The network address; `None` for a printer on a cable.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.inner.place {
            Place::Tcp(address) => Some(*address),
            Place::Serial(_) => None,
        }
    }

    /// How it is now.
    #[must_use]
    pub fn view(&self) -> ZebraView {
        let powered = *lock(&self.inner.shared.power) != Power::Off;
        let engine = self.engine();
        ZebraView {
            powered,
            controls: engine.controls,
            counts: engine.counts,
            queued: engine.queued(),
            darkness: engine.darkness(),
        }
    }

    /// The labels that came out, oldest first (the last 1,000).
    #[must_use]
    pub fn labels(&self) -> Vec<Bitmap> {
        self.engine().labels.clone()
    }

    /// Changes after each byte, label and lever; the number itself means nothing.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.shared.changes.subscribe()
    }

    /// Waits until the printer is as asked. The caller sets the deadline. Cancel-safe.
    pub async fn wait_until(&self, mut is: impl FnMut(&ZebraView) -> bool) -> ZebraView {
        let mut changes = self.changes();
        loop {
            changes.mark_unchanged();
            let view = self.view();
            if is(&view) {
                return view;
            }
            // The sender lives in `self`.
            let _always_open = changes.changed().await;
        }
    }

    /// Moves levers: opens the head, takes the roll out, presses PAUSE.
    pub fn control(&self, change: impl FnOnce(&mut Controls)) {
        change(&mut self.engine().controls);
        self.inner.shared.changed();
    }

    /// The roll ends after so many more labels.
    pub fn end_labels_after(&self, labels: u32) {
        self.engine().labels_left = Some(labels);
    }

    /// Puts a roll in whose labels are so many dots long; a calibration finds that out.
    pub fn set_roll(&self, label_dots: u32) {
        self.engine().roll_label_dots = label_dots;
    }

    /// How long a label takes.
    pub fn set_label_time(&self, time: Duration) {
        *lock(&self.inner.shared.label_time) = time;
    }

    /// Sends bytes that nobody asked for, as a bad contact does.
    pub fn make_noise(&self, bytes: &[u8]) {
        self.engine().make_noise(bytes);
        self.inner.shared.changed();
    }

    /// Power goes once so many more bytes have been received.
    pub fn vanish_after(&self, bytes: usize) {
        *lock(&self.inner.shared.power) = Power::OnFor(bytes);
    }

    /// The cable is pulled once so many more bytes have been received. The printer keeps power, and what it has; one on the
    /// network takes the next connection by itself.
    pub fn unplug_after(&self, bytes: usize) {
        *lock(&self.inner.shared.cable_for) = Some(bytes);
    }

    /// Pulls the mains plug.
    pub fn power_off(&self) {
        lock(&self.inner.tasks).drain(..).for_each(|task| task.abort());
        self.inner.shared.lose_power();
    }

    /// Plugs the mains in again, at the same address or path. Nothing happens if it has power.
    ///
    /// # Errors
    /// The port was taken meanwhile, or no pseudo-terminal could be made.
    pub fn power_on(&self) -> Result<(), SimError> {
        let shared = &self.inner.shared;
        if *lock(&shared.power) != Power::Off {
            return Ok(());
        }
        lock(&self.inner.tasks).drain(..).for_each(|task| task.abort());
        match &self.inner.place {
            Place::Tcp(address) => self.run(accept_hosts(bind(*address)?, Arc::clone(shared))),
            Place::Serial(link) => self.run(serve_cable(Pty::plug_in(link)?, Arc::clone(shared))),
        }
        *lock(&shared.power) = Power::On;
        shared.changed();
        Ok(())
    }

    fn new(place: Place, dpi: u16, head_dots: usize) -> SimZebra {
        let shared = Shared {
            engine: Mutex::new(Engine::new(dpi, head_dots)),
            power: Mutex::new(Power::On),
            cable_for: Mutex::new(None),
            label_time: Mutex::new(Duration::from_millis(20)),
            answers: Notify::new(),
            work: Notify::new(),
            changes: watch::Sender::new(0),
        };
        SimZebra { inner: Arc::new(Inner { shared: Arc::new(shared), place, tasks: Mutex::default() }) }
    }

    fn run(&self, plug: impl Future<Output = ()> + Send + 'static) {
        let mechanism = tokio::spawn(run_mechanism(Arc::clone(&self.inner.shared)));
        *lock(&self.inner.tasks) = vec![tokio::spawn(plug).abort_handle(), mechanism.abort_handle()];
    }

    fn engine(&self) -> MutexGuard<'_, Engine> {
        lock(&self.inner.shared.engine)
    }
}

/// Why a host's line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HostEnd {
    HungUp,
    PowerLost,
}

impl Shared {
    fn changed(&self) {
        self.answers.notify_one();
        self.work.notify_one();
        self.changes.send_modify(|version| *version = version.wrapping_add(1));
    }

    /// Takes bytes from the host, as far as there is power.
    fn receive(&self, bytes: &[u8]) -> Result<(), HostEnd> {
        let (bytes, pulled) = self.through_the_cable(bytes);
        let (taken, power) = match *lock(&self.power) {
            Power::On => (bytes.len(), Power::On),
            Power::OnFor(left) if bytes.len() < left => (bytes.len(), Power::OnFor(left - bytes.len())),
            Power::OnFor(left) => (left, Power::Off),
            Power::Off => (0, Power::Off),
        };
        *lock(&self.power) = power;
        lock(&self.engine).receive(&bytes[..taken]);
        if power == Power::Off {
            self.lose_power();
            return Err(HostEnd::PowerLost);
        }
        self.changed();
        if pulled { Err(HostEnd::HungUp) } else { Ok(()) }
    }

    fn through_the_cable<'a>(&self, bytes: &'a [u8]) -> (&'a [u8], bool) {
        let mut cable_for = lock(&self.cable_for);
        let Some(left) = *cable_for else { return (bytes, false) };
        let through = &bytes[..left.min(bytes.len())];
        *cable_for = Some(left - through.len()).filter(|left| *left > 0);
        (through, cable_for.is_none())
    }

    fn lose_power(&self) {
        *lock(&self.power) = Power::Off;
        lock(&self.engine).lose_power();
        self.changed();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
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

/// Moves one label after the other past the head.
async fn run_mechanism(shared: Arc<Shared>) {
    loop {
        if lock(&shared.engine).begin() {
            let label_time = *lock(&shared.label_time);
            time::sleep(label_time).await;
            lock(&shared.engine).finish();
            shared.changed();
        } else {
            shared.work.notified().await;
        }
    }
}

/// One host at a time, as most printers do; the next one waits.
async fn accept_hosts(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { return };
        let _best_effort = stream.set_nodelay(true);
        if serve(&Line::Tcp(stream), &shared).await == HostEnd::PowerLost {
            return;
        }
    }
}

async fn serve_cable(pty: Pty, shared: Arc<Shared>) {
    serve(&Line::Serial(pty), &shared).await;
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

async fn serve(line: &Line, shared: &Shared) -> HostEnd {
    let mut buffer = [0u8; 1_024];
    loop {
        let answers = lock(&shared.engine).take_answers();
        if !answers.is_empty() && line.write_all(&answers).await.is_err() {
            return HostEnd::HungUp;
        }
        tokio::select! {
            () = shared.answers.notified() => {}
            read = line.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return HostEnd::HungUp,
                Ok(count) => {
                    if let Err(end) = shared.receive(&buffer[..count]) {
                        return end;
                    }
                }
            },
        }
    }
}
