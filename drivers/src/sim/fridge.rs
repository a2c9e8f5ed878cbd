//! A row of Modbus devices on one serial cable or behind one network address, each in its own fridge. As they are plugged in
//! they are temperature and humidity transmitters (XY-MD02); any other device is made of its registers and bits.

mod cable;
mod slave;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{net::TcpListener, task::AbortHandle};

use super::{SimError, pty::Pty};
use crate::sensor::{register::Function, settings::Framing};
use slave::Slave;
pub use slave::{Bank, FridgeFault, FridgeState};

/// The bus with its fridges. Cloned handles drive the same bus.
#[derive(Debug, Clone)]
pub struct SimFridges {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    place: Place,
    slaves: Mutex<BTreeMap<u8, Slave>>,
    heard: Mutex<Heard>,
    cable: Mutex<Option<AbortHandle>>,
}

/// Where the bus can be opened.
#[derive(Debug)]
enum Place {
    /// At this path, a pseudo-terminal.
    Pty(PathBuf),
    /// At this address of the network.
    Network(SocketAddr),
}

/// What the bus heard since the start.
#[derive(Debug, Default)]
struct Heard {
    asked: BTreeMap<u8, u64>,
    last: Option<Instant>,
    shortest_silence: Option<Duration>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(task) = self.cable.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

impl SimFridges {
    /// Plugs a bus in at the path `link`, with a sensor at each address; all at 5 °C and 45 % humidity.
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// No pseudo-terminal could be made there.
    pub fn plug_in(link: impl Into<PathBuf>, addresses: &[u8]) -> Result<SimFridges, SimError> {
        let bus = SimFridges::made(Place::Pty(link.into()), addresses);
        bus.replug()?;
        Ok(bus)
    }

    /// Puts such a bus on the loopback's network, at a free port: behind a converter that carries its bytes, or behind a
    /// Modbus TCP gateway.
    ///
    /// # Errors
    /// No port could be had.
    pub async fn on_network(framing: Framing, addresses: &[u8]) -> Result<SimFridges, SimError> {
        let listen = |source| SimError::Listen { address: "127.0.0.1:0".into(), source };
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let bus = SimFridges::made(Place::Network(address), addresses);
        let slaves = bus.reach();
        *bus.cable() = Some(tokio::spawn(cable::listen(listener, framing, slaves)).abort_handle());
        Ok(bus)
    }

    fn made(place: Place, addresses: &[u8]) -> SimFridges {
        let slaves = addresses.iter().map(|address| (*address, Slave::fridge())).collect();
        let shared =
            Shared { place, slaves: Mutex::new(slaves), heard: Mutex::default(), cable: Mutex::new(None) };
        SimFridges { shared: Arc::new(shared) }
    }

    /// The path that a driver opens; empty for a bus on the network.
    #[must_use]
    pub fn path(&self) -> &Path {
        match &self.shared.place {
            Place::Pty(link) => link,
            Place::Network(_) => Path::new(""),
        }
    }

    /// The address of the network that a driver opens.
    #[must_use]
    pub fn network(&self) -> Option<SocketAddr> {
        match self.shared.place {
            Place::Pty(_) => None,
            Place::Network(address) => Some(address),
        }
    }

    /// The state of all sensors by address.
    #[must_use]
    pub fn states(&self) -> BTreeMap<u8, FridgeState> {
        self.slaves().iter().map(|(address, slave)| (*address, slave.state)).collect()
    }

    /// How often a sensor was asked since the start, answered or not.
    #[must_use]
    pub fn asked(&self, address: u8) -> u64 {
        self.heard().asked.get(&address).copied().unwrap_or(0)
    }

    /// The shortest time between the end of one frame and the beginning of the next question.
    #[must_use]
    pub fn shortest_silence(&self) -> Option<Duration> {
        self.heard().shortest_silence
    }

    /// Sets a fridge's temperature.
    ///
    /// # Errors
    /// There is no such sensor.
    pub fn set_milli_celsius(&self, address: u8, milli_celsius: i32) -> Result<(), SimError> {
        self.change(address, |slave| slave.state.milli_celsius = milli_celsius)
    }

    /// Sets a fridge's humidity.
    ///
    /// # Errors
    /// There is no such sensor.
    pub fn set_humidity_permille(&self, address: u8, permille: u16) -> Result<(), SimError> {
        self.change(address, |slave| slave.state.humidity_permille = permille)
    }

    /// Sets how a sensor behaves.
    ///
    /// # Errors
    /// There is no such sensor.
    pub fn set_fault(&self, address: u8, fault: FridgeFault) -> Result<(), SimError> {
        self.change(address, |slave| slave.state.fault = fault)
    }

    /// Makes the device at `address`, which may be new, one of these registers and bits instead of a transmitter.
    pub fn set_bank(&self, address: u8, bank: Bank) {
        self.slaves().entry(address).or_insert_with(Slave::fridge).bank = Some(bank);
    }

    /// Sets one register, or one bit as 0 or 1, of a device that is made of them.
    ///
    /// # Errors
    /// There is no such device.
    pub fn set_word(
        &self,
        address: u8,
        function: Function,
        register: u16,
        word: u16,
    ) -> Result<(), SimError> {
        self.change(address, |slave| {
            slave.bank.get_or_insert_default().insert((function, register), word);
        })
    }

    /// Pulls the bus adapter, or the network cable of the converter.
    pub fn unplug(&self) {
        if let Some(task) = self.cable().take() {
            task.abort();
        }
    }

    /// Plugs the bus adapter in again, at the same path. A bus on the network stays away.
    ///
    /// # Errors
    /// No pseudo-terminal could be made there.
    pub fn replug(&self) -> Result<(), SimError> {
        let mut cable = self.cable();
        let Place::Pty(link) = &self.shared.place else { return Ok(()) };
        if cable.is_none() {
            let pty = Pty::plug_in(link)?;
            *cable = Some(tokio::spawn(cable::serve_pty(pty, self.reach())).abort_handle());
        }
        Ok(())
    }

    /// What the cable sees of the devices. It keeps no handle, so that the bus ends with its last one.
    fn reach(&self) -> cable::Reach {
        let shared = Arc::downgrade(&self.shared);
        Arc::new(move |heard| {
            let shared = shared.upgrade()?;
            let mut log = shared.heard.lock().unwrap_or_else(PoisonError::into_inner);
            match heard {
                cable::Heard::Beginning => {
                    let silence = log.last.map(|last| last.elapsed());
                    log.shortest_silence = log.shortest_silence.into_iter().chain(silence).min();
                    None
                }
                cable::Heard::End => {
                    log.last = Some(Instant::now());
                    None
                }
                cable::Heard::Question(address) => {
                    *log.asked.entry(address).or_default() += 1;
                    shared.slaves.lock().unwrap_or_else(PoisonError::into_inner).get(&address).cloned()
                }
            }
        })
    }

    fn change(&self, address: u8, change: impl FnOnce(&mut Slave)) -> Result<(), SimError> {
        self.slaves().get_mut(&address).map(change).ok_or(SimError::NoSuchSlave(address))
    }

    fn slaves(&self) -> MutexGuard<'_, BTreeMap<u8, Slave>> {
        self.shared.slaves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.shared.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cable(&self) -> MutexGuard<'_, Option<AbortHandle>> {
        self.shared.cable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
