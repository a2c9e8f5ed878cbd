//! An ESC/POS receipt printer with a cutter and a cash drawer, on the network or on a serial cable.
//!
//! [`decode`] reads commands, `engine` carries them out as the mechanism would, [`receipt`] is the paper, and `picture`
//! draws it; `plug` is what it hangs on. This file is the levers, the sensors and the power.

mod codes;
pub mod decode;
mod engine;
mod picture;
pub mod receipt;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

pub use engine::{Controls, Counts};
pub use picture::PictureError;
pub use receipt::Receipt;

use super::{
    SimError,
    plug::{HostEnd, Mechanism, Place, Plug, Power, ended, lock},
};
use crate::printer::status::Paper;
use engine::Engine;

/// Bytes that wait for paper before the printer takes no more.
const BUFFER_BYTES_MAX: usize = 64 * 1_024;

/// A simulated printer. Cloned handles drive the same printer; it ends with the last of them.
#[derive(Debug, Clone)]
pub struct SimPrinter {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    place: Place,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }
}

#[derive(Debug)]
struct Shared {
    engine: Mutex<Engine>,
    power: Mutex<Power>,
    /// The cable is pulled once so many more bytes have been received; power stays.
    cable_for: Mutex<Option<usize>>,
    /// There may be something for the host, or room in the buffer.
    wake: Notify,
    /// Counts up at each change of anything.
    changes: watch::Sender<u64>,
}

/// The paper that these bytes print, on a printer of so many dots that has all it needs: the last piece that was cut, or
/// what hangs out.
#[must_use]
pub fn paper_of(bytes: &[u8], dots: u16) -> Receipt {
    let mut engine = Engine::new(dots);
    engine.receive(bytes);
    engine.receipts.pop().unwrap_or_else(|| engine.hanging())
}

/// How the printer is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrinterView {
    /// It has power.
    pub powered: bool,
    /// Levers, sensors and lamps.
    pub controls: Controls,
    /// Counts since the start.
    pub counts: Counts,
    /// Bytes that wait in its buffer.
    pub waiting_bytes: usize,
}

impl SimPrinter {
    /// Switches a printer on that listens on `address`; port 0 takes a free one, which it then keeps.
    /// `dots` is the printable width: 576 for 48 columns, 512 for 42, 384 for 32.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The port is taken.
    pub fn listen(address: SocketAddr, dots: u16) -> Result<SimPrinter, SimError> {
        let (place, plug) = Place::listen(address)?;
        let printer = SimPrinter::new(place, dots);
        printer.run(plug);
        Ok(printer)
    }

    /// Switches a printer on that is plugged in at the path `link`.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// No pseudo-terminal could be made there.
    pub fn plug_in(link: impl Into<PathBuf>, dots: u16) -> Result<SimPrinter, SimError> {
        let (place, plug) = Place::cable(link.into())?;
        let printer = SimPrinter::new(place, dots);
        printer.run(plug);
        Ok(printer)
    }

    /// The same on a cable as slow as a line of `baud` bits a second. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// No pseudo-terminal could be made there.
    pub fn plug_in_at(link: impl Into<PathBuf>, dots: u16, baud: u32) -> Result<SimPrinter, SimError> {
        let (place, plug) = Place::cable(link.into())?;
        let printer = SimPrinter::new(place, dots);
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
    pub fn view(&self) -> PrinterView {
        let powered = *lock(&self.inner.shared.power) != Power::Off;
        let engine = self.engine();
        PrinterView {
            powered,
            controls: engine.controls,
            counts: engine.counts,
            waiting_bytes: engine.waiting(),
        }
    }

    /// The receipts that came out, oldest first (the last 2,000).
    #[must_use]
    pub fn receipts(&self) -> Vec<Receipt> {
        self.engine().receipts.clone()
    }

    /// The last receipt that came out.
    #[must_use]
    pub fn last_receipt(&self) -> Option<Receipt> {
        self.engine().receipts.last().cloned()
    }

    /// What hangs out of the printer, uncut.
    #[must_use]
    pub fn hanging(&self) -> Receipt {
        self.engine().hanging()
    }

    /// Takes the receipts that came out, oldest first, and none is lost that comes out meanwhile; counts go on.
    #[must_use]
    pub fn take_receipts(&self) -> Vec<Receipt> {
        let taken = std::mem::take(&mut self.engine().receipts);
        self.changed();
        taken
    }

    /// Throws the printed receipts away; counts go on.
    pub fn clear_receipts(&self) {
        self.engine().receipts.clear();
        self.changed();
    }

    /// Changes after each byte and each lever; the number itself means nothing.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.shared.changes.subscribe()
    }

    /// Waits until the printer is as asked. The caller sets the deadline. Cancel-safe.
    pub async fn wait_until(&self, mut is: impl FnMut(&PrinterView) -> bool) -> PrinterView {
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

    /// Sets the paper roll. Putting paper in prints what was held.
    pub fn set_paper(&self, paper: Paper) {
        self.control(|controls| controls.paper = paper);
    }

    /// The paper ends after so many more lines.
    pub fn end_paper_after(&self, lines: u32) {
        self.engine().lines_left = Some(lines);
        self.changed();
    }

    /// Opens or closes the cover.
    pub fn set_cover_open(&self, open: bool) {
        self.control(|controls| controls.cover_open = open);
    }

    /// Takes it offline without a reason that it could tell.
    pub fn set_offline(&self, offline: bool) {
        self.control(|controls| controls.offline = offline);
    }

    /// Jams or clears the cutter.
    pub fn set_cutter_jammed(&self, jammed: bool) {
        self.control(|controls| controls.cutter_jammed = jammed);
    }

    /// Hangs it: connected, and dead.
    pub fn set_hung(&self, hung: bool) {
        self.control(|controls| controls.hung = hung);
    }

    /// Pulls the drawer open or pushes it shut.
    pub fn set_drawer_open(&self, open: bool) {
        self.control(|controls| controls.drawer_open = open);
    }

    /// Sends bytes that nobody asked for, as a bad contact does.
    pub fn make_noise(&self, bytes: &[u8]) {
        self.engine().make_noise(bytes);
        self.changed();
    }

    /// Locks the drawer, so that kicks do nothing.
    pub fn set_drawer_locked(&self, locked: bool) {
        self.control(|controls| controls.drawer_locked = locked);
    }

    /// Power goes once so many more bytes have been received.
    pub fn vanish_after(&self, bytes: usize) {
        *lock(&self.inner.shared.power) = Power::OnFor(bytes);
    }

    /// The cable is pulled once so many more bytes have been received. The printer keeps power, and what it has.
    pub fn unplug_after(&self, bytes: usize) {
        *lock(&self.inner.shared.cable_for) = Some(bytes);
    }

    /// Pulls the cable now. The printer keeps power, and what it has.
    pub fn unplug(&self) {
        self.abort();
        self.changed();
    }

    /// Plugs the cable in again, at the same path. A network printer takes the next connection by itself.
    ///
    /// # Errors
    /// No pseudo-terminal could be made there.
    pub async fn replug(&self) -> Result<(), SimError> {
        if matches!(self.inner.place, Place::Serial(_)) {
            let plug = self.plug_again().await?;
            self.run(plug);
        }
        self.changed();
        Ok(())
    }

    /// The cover is opened after so many more lines.
    pub fn open_cover_after(&self, lines: u32) {
        self.engine().cover_opens_after = Some(lines);
        self.changed();
    }

    /// Takes its CTS or DTR line away, or gives it back: it reads no byte meanwhile.
    pub fn set_busy(&self, busy: bool) {
        self.control(|controls| controls.busy = busy);
    }

    /// From now on it reads no byte while it cannot print, as one whose switches make BUSY mean "offline or full".
    pub fn set_busy_when_offline(&self, busy: bool) {
        self.control(|controls| controls.busy_when_offline = busy);
    }

    /// Power goes and comes back so soon that the cable's other end does not notice.
    pub fn forget_all(&self) {
        self.engine().lose_power();
        self.changed();
    }

    /// Sends XOFF once so many more bytes have been received; see [`SimPrinter::send_xon`].
    pub fn send_xoff_after(&self, bytes: usize) {
        self.engine().xoff_after = Some(bytes);
    }

    /// Sends XON.
    pub fn send_xon(&self) {
        self.make_noise(&[0x11]);
    }

    /// Pulls the mains plug.
    pub fn power_off(&self) {
        self.abort();
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
        let plug = self.plug_again().await?;
        // Before it is served: a host that comes at once would find it without power.
        *lock(&shared.power) = Power::On;
        self.run(plug);
        self.changed();
        Ok(())
    }

    fn new(place: Place, dots: u16) -> SimPrinter {
        let shared = Shared {
            engine: Mutex::new(Engine::new(dots)),
            power: Mutex::new(Power::On),
            cable_for: Mutex::new(None),
            wake: Notify::new(),
            changes: watch::Sender::new(0),
        };
        SimPrinter { inner: Arc::new(Inner { shared: Arc::new(shared), place, task: Mutex::new(None) }) }
    }

    fn run(&self, plug: Plug) {
        let service = tokio::spawn(plug.serve(Arc::clone(&self.inner.shared)));
        *lock(&self.inner.task) = Some(service);
    }

    /// A new plug at the old place, once the one of before is gone: its port would be taken.
    async fn plug_again(&self) -> Result<Plug, SimError> {
        let before = lock(&self.inner.task).take();
        ended(before).await;
        self.inner.place.plug_in()
    }

    fn abort(&self) {
        if let Some(task) = &*lock(&self.inner.task) {
            task.abort();
        }
    }

    fn engine(&self) -> MutexGuard<'_, Engine> {
        lock(&self.inner.shared.engine)
    }

    fn control(&self, change: impl FnOnce(&mut Controls)) {
        self.engine().control(change);
        self.changed();
    }

    fn changed(&self) {
        self.inner.shared.changed();
    }
}

impl Shared {
    fn changed(&self) {
        self.wake.notify_one();
        self.changes.send_modify(|version| *version = version.wrapping_add(1));
    }

    fn lose_power(&self) {
        *lock(&self.power) = Power::Off;
        lock(&self.engine).lose_power();
        self.changed();
    }
}

impl Mechanism for Shared {
    fn wake(&self) -> &Notify {
        &self.wake
    }

    fn take_answers(&self) -> Vec<u8> {
        lock(&self.engine).take_answers()
    }

    fn has_room(&self) -> bool {
        let engine = lock(&self.engine);
        engine.waiting() < BUFFER_BYTES_MAX && !engine.is_busy()
    }

    /// As far as there is power.
    fn receive(&self, bytes: &[u8]) -> Result<(), HostEnd> {
        let mut cable_for = lock(&self.cable_for);
        let bytes = match *cable_for {
            Some(left) => bytes.get(..left).unwrap_or(bytes),
            None => bytes,
        };
        let pulled = cable_for.as_mut().is_some_and(|left| {
            *left -= bytes.len();
            *left == 0
        });
        if pulled {
            *cable_for = None;
        }
        drop(cable_for);
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
