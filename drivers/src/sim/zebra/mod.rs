//! A label printer that speaks ZPL, on the network or on a serial cable.
//!
//! [`decode`] reads commands and draws labels, `engine` is the mechanism; `plug` is what it hangs on. This file is
//! the levers, the power, and how long a label takes.

pub mod decode;
mod engine;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time,
};

pub use engine::{Controls, Counts};

use super::{
    SimError,
    plug::{HostEnd, Mechanism, Place, Plug, Power, ended, lock},
};
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
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        lock(&self.tasks).drain(..).for_each(|task| task.abort());
    }
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
        let (place, plug) = Place::listen(address)?;
        let printer = SimZebra::new(place, dpi, head_dots);
        printer.run(plug);
        Ok(printer)
    }

    /// Switches a printer on that is plugged in at the path `link`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// No pseudo-terminal could be made there.
    pub fn plug_in(link: impl Into<PathBuf>, dpi: u16, head_dots: usize) -> Result<SimZebra, SimError> {
        let (place, plug) = Place::cable(link.into())?;
        let printer = SimZebra::new(place, dpi, head_dots);
        printer.run(plug);
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
        let (place, plug) = Place::cable(link.into())?;
        let printer = SimZebra::new(place, dpi, head_dots);
        printer.run(plug.paced(baud));
        Ok(printer)
    }

    /// The network address; `None` for a printer on a cable.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.inner.place.address()
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
        lock(&self.inner.tasks).iter().for_each(JoinHandle::abort);
        self.inner.shared.lose_power();
    }

    /// Plugs the mains in again, at the same address or path. Nothing happens if it has power.
    ///
    /// # Errors
    /// The port was taken meanwhile, or no pseudo-terminal could be made.
    pub async fn power_on(&self) -> Result<(), SimError> {
        let shared = &self.inner.shared;
        if *lock(&shared.power) != Power::Off {
            return Ok(());
        }
        let before = std::mem::take(&mut *lock(&self.inner.tasks));
        ended(before).await;
        let plug = self.inner.place.plug_in()?;
        // Before it is served: a host that comes at once would find it without power.
        *lock(&shared.power) = Power::On;
        self.run(plug);
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

    fn run(&self, plug: Plug) {
        let shared = &self.inner.shared;
        let mechanism = tokio::spawn(run_mechanism(Arc::clone(shared)));
        let service = tokio::spawn(plug.serve(Arc::clone(shared)));
        *lock(&self.inner.tasks) = vec![service, mechanism];
    }

    fn engine(&self) -> MutexGuard<'_, Engine> {
        lock(&self.inner.shared.engine)
    }
}

impl Shared {
    fn changed(&self) {
        self.answers.notify_one();
        self.work.notify_one();
        self.changes.send_modify(|version| *version = version.wrapping_add(1));
    }

    fn lose_power(&self) {
        *lock(&self.power) = Power::Off;
        lock(&self.engine).lose_power();
        self.changed();
    }

    fn through_the_cable<'a>(&self, bytes: &'a [u8]) -> (&'a [u8], bool) {
        let mut cable_for = lock(&self.cable_for);
        let Some(left) = *cable_for else { return (bytes, false) };
        let through = &bytes[..left.min(bytes.len())];
        *cable_for = Some(left - through.len()).filter(|left| *left > 0);
        (through, cable_for.is_none())
    }
}

impl Mechanism for Shared {
    fn wake(&self) -> &Notify {
        &self.answers
    }

    fn take_answers(&self) -> Vec<u8> {
        lock(&self.engine).take_answers()
    }

    /// As far as there is power.
    fn receive(&self, bytes: &[u8]) -> Result<(), HostEnd> {
        let (bytes, pulled) = self.through_the_cable(bytes);
        let (taken, power) = {
            let mut power = lock(&self.power);
            (power.last_for(bytes.len()), *power)
        };
        lock(&self.engine).receive(&bytes[..taken]);
        if power == Power::Off {
            self.lose_power();
            return Err(HostEnd::PowerLost);
        }
        self.changed();
        if pulled { Err(HostEnd::HungUp) } else { Ok(()) }
    }
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
