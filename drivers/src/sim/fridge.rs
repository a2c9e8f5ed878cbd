//! A row of Modbus RTU temperature and humidity transmitters (XY-MD02) on one serial cable, each in its own fridge.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    task::AbortHandle,
    time::{self, timeout},
};

use super::{SimError, pty::Pty};
use crate::sensor::answer::{crc_is_right, with_crc};

/// A pause that ends a frame. The standard says 3.5 characters; a loaded machine needs more, and no question is longer
/// than eight bytes here.
const FRAME_GAP: Duration = Duration::from_millis(20);

/// How a sensor behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FridgeFault {
    /// As it should.
    #[default]
    None,
    /// Never answers.
    Silent,
    /// Answers with noise.
    Garbage,
    /// Answers with a wrong check sum.
    WrongCrc,
    /// Says that its probe is missing.
    NoProbe,
    /// Answers this late.
    Slow(Duration),
    /// Refuses with this Modbus exception.
    Exception(u8),
}

/// What a sensor measures, and how it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FridgeState {
    /// In thousandths of a degree Celsius; the sensor tells tenths.
    pub milli_celsius: i32,
    /// In thousandths of relative humidity.
    pub humidity_permille: u16,
    /// How it behaves.
    pub fault: FridgeFault,
}

/// The bus with its fridges. Cloned handles drive the same bus.
#[derive(Debug, Clone)]
pub struct SimFridges {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    link: PathBuf,
    slaves: Mutex<BTreeMap<u8, FridgeState>>,
    asked: Mutex<BTreeMap<u8, u64>>,
    cable: Mutex<Option<AbortHandle>>,
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
        let cool = FridgeState { milli_celsius: 5_000, humidity_permille: 450, fault: FridgeFault::None };
        let shared = Shared {
            link: link.into(),
            slaves: Mutex::new(addresses.iter().map(|address| (*address, cool)).collect()),
            asked: Mutex::default(),
            cable: Mutex::new(None),
        };
        let bus = SimFridges { shared: Arc::new(shared) };
        bus.replug()?;
        Ok(bus)
    }

    /// The path that a driver opens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.link
    }

    /// The state of all sensors by address.
    #[must_use]
    pub fn states(&self) -> BTreeMap<u8, FridgeState> {
        self.slaves().clone()
    }

    /// How often a sensor was asked since the start, answered or not.
    #[must_use]
    pub fn asked(&self, address: u8) -> u64 {
        let asked = self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.get(&address).copied().unwrap_or(0)
    }

    /// Sets a fridge's temperature.
    ///
    /// # Errors
    /// There is no such sensor.
    pub fn set_milli_celsius(&self, address: u8, milli_celsius: i32) -> Result<(), SimError> {
        self.change(address, |state| state.milli_celsius = milli_celsius)
    }

    /// Sets a fridge's humidity.
    ///
    /// # Errors
    /// There is no such sensor.
    pub fn set_humidity_permille(&self, address: u8, permille: u16) -> Result<(), SimError> {
        self.change(address, |state| state.humidity_permille = permille)
    }

    /// Sets how a sensor behaves.
    ///
    /// # Errors
    /// There is no such sensor.
    pub fn set_fault(&self, address: u8, fault: FridgeFault) -> Result<(), SimError> {
        self.change(address, |state| state.fault = fault)
    }

    /// Pulls the bus adapter.
    pub fn unplug(&self) {
        if let Some(task) = self.cable().take() {
            task.abort();
        }
    }

    /// Plugs the bus adapter in again, at the same path.
    ///
    /// # Errors
    /// No pseudo-terminal could be made there.
    pub fn replug(&self) -> Result<(), SimError> {
        let mut cable = self.cable();
        if cable.is_none() {
            let pty = Pty::plug_in(&self.shared.link)?;
            // Weak, so that the bus ends with its last handle.
            let shared = Arc::downgrade(&self.shared);
            let look = move |address: u8| {
                let shared = shared.upgrade()?;
                *shared.asked.lock().unwrap_or_else(PoisonError::into_inner).entry(address).or_default() += 1;
                let slaves = shared.slaves.lock().unwrap_or_else(PoisonError::into_inner);
                slaves.get(&address).copied()
            };
            *cable = Some(tokio::spawn(serve(pty, look)).abort_handle());
        }
        Ok(())
    }

    fn change(&self, address: u8, change: impl FnOnce(&mut FridgeState)) -> Result<(), SimError> {
        self.slaves().get_mut(&address).map(change).ok_or(SimError::NoSuchSlave(address))
    }

    fn slaves(&self) -> MutexGuard<'_, BTreeMap<u8, FridgeState>> {
        self.shared.slaves.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cable(&self) -> MutexGuard<'_, Option<AbortHandle>> {
        self.shared.cable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(pty: Pty, look: impl Fn(u8) -> Option<FridgeState>) {
    let mut frame = Vec::new();
    let mut buffer = [0u8; 64];
    loop {
        let read = if frame.is_empty() {
            pty.read(&mut buffer).await
        } else {
            match timeout(FRAME_GAP, pty.read(&mut buffer)).await {
                Ok(read) => read,
                Err(_gap) => {
                    frame.clear();
                    continue;
                }
            }
        };
        let Ok(count) = read else { return };
        frame.extend_from_slice(&buffer[..count]);
        // Every question that this device knows has eight bytes.
        if frame.len() < 8 {
            continue;
        }
        let question = std::mem::take(&mut frame);
        let Some(state) = question.first().and_then(|address| look(*address)) else { continue };
        if let FridgeFault::Slow(pause) = state.fault {
            time::sleep(pause).await;
        }
        if let Some(answer) = answer(&question, state)
            && pty.write_all(&answer).await.is_err()
        {
            return;
        }
    }
}

/// What the sensor answers; `None` for silence. Pure.
fn answer(question: &[u8], state: FridgeState) -> Option<Vec<u8>> {
    let [address, function, register_high, register_low, count_high, count_low, _, _] = *question else {
        return None;
    };
    if !crc_is_right(question) {
        return None;
    }
    let exception = |code: u8| Some(with_crc(&[address, function | 0x80, code]));
    match state.fault {
        FridgeFault::Silent => return None,
        FridgeFault::Garbage => return Some(vec![0x55, 0xaa, 0x00, 0xff, 0x13, 0x37, 0x42, 0x99, 0x01]),
        FridgeFault::Exception(code) => return exception(code),
        FridgeFault::None | FridgeFault::WrongCrc | FridgeFault::NoProbe | FridgeFault::Slow(_) => {}
    }
    if !matches!(function, 3 | 4) {
        return exception(1);
    }
    let first = u16::from_be_bytes([register_high, register_low]);
    let count = u16::from_be_bytes([count_high, count_low]);
    if count == 0 || count > 2 {
        return exception(3);
    }
    let mut words = Vec::new();
    for register in first..first.saturating_add(count) {
        let Some(word) = word(register, state) else { return exception(2) };
        words.extend(word.to_be_bytes());
    }
    let length = u8::try_from(words.len()).ok()?;
    let mut answer = with_crc(&[&[address, function, length][..], &words].concat());
    if state.fault == FridgeFault::WrongCrc {
        let last = answer.len() - 1;
        answer[last] ^= 0x5a;
    }
    Some(answer)
}

/// Register 1: signed tenths of a degree. Register 2: tenths of a per cent.
fn word(register: u16, state: FridgeState) -> Option<u16> {
    match register {
        1 if state.fault == FridgeFault::NoProbe => Some(0x8000),
        1 => i16::try_from(state.milli_celsius.div_euclid(100)).ok().map(i16::cast_unsigned),
        2 => Some(state.humidity_permille),
        _ => None,
    }
}
