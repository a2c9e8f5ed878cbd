//! An open line with Modbus on it: one question at a time, each after the silence that it needs, each with its time. What
//! cannot be read says why; after any failure the wire is thrown away, since an answer that comes late would be read as the
//! answer to the next question.

use std::{
    fmt, io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf},
    time::{self, Instant},
};
use tokio_modbus::{
    Error as ModbusError, Request, Response,
    client::{Client as _, Context, rtu, tcp},
    slave::{Slave, SlaveContext as _},
};

use super::{
    NoData,
    answer::why_no_answer,
    register::{Function, Question},
    settings::{BusSettings, Framing},
    timing,
};
use crate::line::Line;

/// The longest frame (Modbus over serial line V1.02, 2.5.1).
const FRAME_BYTES_MAX: u32 = 256;

/// How long the line is listened to at the most, when something talks without end.
const NOISE_MAX: Duration = Duration::from_secs(2);

/// Bytes that are kept of what was heard, to say what was wrong with it.
const HEARD_BYTES_MAX: usize = 512;

/// Bytes of a right answer in Modbus TCP before its data: header, function, length (Modbus messaging on TCP/IP V1.0b, 3.1.3).
const TCP_BEFORE_DATA: usize = 9;

/// Exception 11: behind a gateway the device did not answer (Modbus application protocol V1.1b3, 7).
const GATEWAY_TARGET_SILENT: u8 = 11;

/// How a line behaves, as far as the times go.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// How Modbus is spoken on it.
    pub framing: Framing,
    /// One character on the serial line; zero where a gateway has it in hand.
    pub character: Duration,
    /// What a device may take to begin its answer.
    pub device: Duration,
}

impl Manners {
    pub(super) fn of(settings: &BusSettings) -> Manners {
        Manners {
            framing: settings.framing,
            character: settings.character(),
            device: settings.answer_timeout,
        }
    }

    /// So long a line must be quiet before it is believed that nothing is on its way any more: longer than the longest
    /// frame takes.
    fn quiet(&self) -> Duration {
        self.character * FRAME_BYTES_MAX + self.device / 4
    }
}

/// Why a question has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The device refused it; the wire is as good as before.
    Refused(NoData),
    /// The wire must be thrown away.
    Broken(NoData),
}

impl Failure {
    pub(super) fn why(self) -> NoData {
        match self {
            Failure::Refused(why) | Failure::Broken(why) => why,
        }
    }
}

/// The open line.
pub struct Wire {
    modbus: Context,
    tap: Tap,
    manners: Manners,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("tap", &self.tap).field("manners", &self.manners).finish_non_exhaustive()
    }
}

impl Wire {
    /// Takes an open line into use. Must be called within a tokio runtime.
    #[must_use]
    pub fn new(port: Line, manners: Manners) -> Wire {
        let tap = Tap::new(port);
        let modbus = match manners.framing {
            Framing::Rtu => rtu::attach(tap.clone()),
            Framing::Tcp => tcp::attach(tap.clone()),
        };
        Wire { modbus, tap, manners }
    }

    /// Asks the device at `slave`. The answer has what was asked for: as many words, or as many bits as 0 and 1.
    ///
    /// # Errors
    /// Why there is none, and whether the wire is of use after it.
    pub async fn ask(&mut self, slave: u8, question: Question) -> Result<Vec<u16>, Failure> {
        let Manners { framing, character, device } = self.manners;
        if framing == Framing::Rtu {
            self.tap.settle(timing::gap_before_a_question(character)).await.map_err(Failure::Broken)?;
        }
        self.tap.forget_heard();
        self.modbus.set_slave(Slave(slave));
        let Question { function, register, count } = question;
        // Not by the functions of the crate's Reader: their debug build panics at an answer of another length.
        let request = match function {
            Function::Coils => Request::ReadCoils(register, count),
            Function::DiscreteInputs => Request::ReadDiscreteInputs(register, count),
            Function::Holding => Request::ReadHoldingRegisters(register, count),
            Function::Input => Request::ReadInputRegisters(register, count),
        };
        let patience = timing::answer_time(device, character, &question);
        let answer = time::timeout(patience, self.modbus.call(request)).await;
        let unreadable = || match framing {
            Framing::Rtu => why_no_answer(slave, function.code(), &self.tap.heard()),
            Framing::Tcp if self.tap.heard().is_empty() => NoData::Timeout,
            Framing::Tcp => NoData::Garbled,
        };
        let answered = match answer {
            Err(_elapsed) => return Err(Failure::Broken(unreadable())),
            Ok(Err(ModbusError::Protocol(_))) => return Err(Failure::Broken(NoData::Garbled)),
            Ok(Err(ModbusError::Transport(error))) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(Failure::Broken(unreadable()));
            }
            Ok(Err(ModbusError::Transport(error))) => {
                tracing::warn!(%error, "the sensor bus has gone");
                return Err(Failure::Broken(NoData::Gone));
            }
            Ok(Ok(answered)) => answered,
        };
        // A message of Modbus TCP has no check sum: that it is as long as a right answer is all that there is.
        let length = TCP_BEFORE_DATA + question.data_bytes();
        let whole = framing == Framing::Rtu || self.tap.heard().len() == length;
        match answered {
            Ok(response) => {
                words(&question, response).filter(|_| whole).ok_or(Failure::Broken(NoData::Garbled))
            }
            Err(exception) => Err(Failure::Refused(match u8::from(exception) {
                GATEWAY_TARGET_SILENT if framing == Framing::Tcp => NoData::Timeout,
                code => NoData::Exception(code),
            })),
        }
    }
}

/// The words of a right answer; `None` where it has another number of them.
fn words(question: &Question, response: Response) -> Option<Vec<u16>> {
    let count = usize::from(question.count);
    match (question.function, response) {
        (Function::Coils, Response::ReadCoils(bits))
        | (Function::DiscreteInputs, Response::ReadDiscreteInputs(bits)) => {
            // Bits come in whole bytes.
            (bits.len() == question.data_bytes() * 8)
                .then(|| bits.into_iter().take(count).map(u16::from).collect())
        }
        (Function::Holding, Response::ReadHoldingRegisters(words))
        | (Function::Input, Response::ReadInputRegisters(words)) => (words.len() == count).then_some(words),
        _ => None,
    }
}

/// Reads a line that was opened anew after a failure, and throws away what is still on its way, until it has been quiet for
/// longer than the longest frame takes.
pub(super) async fn drain(port: &mut Line, manners: &Manners) {
    let end = Instant::now() + NOISE_MAX;
    let mut buffer = [0u8; 256];
    while Instant::now() < end {
        match time::timeout(manners.quiet(), port.read(&mut buffer)).await {
            Err(_quiet) => return,
            Ok(Ok(0) | Err(_)) => return,
            Ok(Ok(_)) => {}
        }
    }
    tracing::warn!("something talks on the sensor bus without end");
}

/// The port, shared between Modbus and whoever listens for silence; and what was heard on it.
#[derive(Debug, Clone)]
struct Tap(Arc<Mutex<Tapped>>);

#[derive(Debug)]
struct Tapped {
    port: Line,
    heard: Vec<u8>,
    last: Instant,
}

impl Tap {
    fn new(port: Line) -> Tap {
        // As if something had been heard just now: who knows what was on the line before it was opened.
        Tap(Arc::new(Mutex::new(Tapped { port, heard: Vec::new(), last: Instant::now() })))
    }

    fn with<T>(&self, what: impl FnOnce(&mut Tapped) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn heard(&self) -> Vec<u8> {
        self.with(|tapped| tapped.heard.clone())
    }

    fn forget_heard(&self) {
        self.with(|tapped| tapped.heard.clear());
    }

    /// When something was said last, by us or by others.
    fn last(&self) -> Instant {
        self.with(|tapped| tapped.last)
    }

    /// Waits until nothing was said for `silence`, and throws away what was.
    async fn settle(&mut self, silence: Duration) -> Result<(), NoData> {
        let end = Instant::now() + NOISE_MAX;
        let mut buffer = [0u8; 64];
        loop {
            let quiet_at = self.last() + silence;
            match time::timeout_at(quiet_at, self.read(&mut buffer)).await {
                Err(_quiet) => return Ok(()),
                Ok(Ok(0) | Err(_)) => return Err(NoData::Gone),
                Ok(Ok(_)) if Instant::now() >= end => return Err(NoData::Garbled),
                Ok(Ok(_)) => {}
            }
        }
    }
}

impl AsyncRead for Tap {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|tapped| {
            let before = buf.filled().len();
            let poll = Pin::new(&mut tapped.port).poll_read(cx, buf);
            let new = buf.filled().get(before..).unwrap_or_default();
            if !new.is_empty() {
                tapped.last = Instant::now();
                let room = HEARD_BYTES_MAX.saturating_sub(tapped.heard.len());
                tapped.heard.extend(new.iter().take(room));
            }
            poll
        })
    }
}

impl AsyncWrite for Tap {
    fn poll_write(self: Pin<&mut Self>, cx: &mut TaskContext<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|tapped| {
            tapped.last = Instant::now();
            Pin::new(&mut tapped.port).poll_write(cx, buf)
        })
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.with(|tapped| Pin::new(&mut tapped.port).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.with(|tapped| Pin::new(&mut tapped.port).poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests;
