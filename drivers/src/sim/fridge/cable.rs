//! The cable between devices and driver: frames in, frames out, with whatever goes wrong on the way.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{self, timeout},
};

use super::slave::{FridgeFault, Slave};
use crate::{
    sensor::{
        answer::{crc_is_right, with_crc},
        settings::Framing,
    },
    sim::pty::Pty,
};

/// A pause that ends a frame. The standard says 3.5 characters; a loaded machine needs more, and no question is longer
/// than eight bytes here.
const FRAME_GAP: Duration = Duration::from_millis(20);

/// What the cable hears.
pub(super) enum Heard {
    /// The first byte of a question.
    Beginning,
    /// A question to this address.
    Question(u8),
    /// The last byte of an answer.
    End,
}

/// Tells the bus what was heard; returns the device that was asked.
pub(super) type Reach = Arc<dyn Fn(Heard) -> Option<Slave> + Send + Sync>;

/// Something that bytes go through.
trait Cable: Send + Sync {
    fn read(&mut self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;
}

impl Cable for Pty {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Pty::read(self, buffer).await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        Pty::write_all(self, bytes).await
    }
}

impl Cable for TcpStream {
    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match AsyncReadExt::read(self, buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            count => Ok(count),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await
    }
}

/// Serves a pseudo-terminal until it is pulled.
pub(super) async fn serve_pty(pty: Pty, reach: Reach) {
    serve(pty, Framing::Rtu, reach).await;
}

/// Serves all who connect, each by itself, as converters and gateways do.
pub(super) async fn listen(listener: TcpListener, framing: Framing, reach: Reach) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // What is written goes out at once, also byte by byte.
        let _best_effort = stream.set_nodelay(true);
        connections.spawn(serve(stream, framing, reach.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(mut cable: impl Cable, framing: Framing, reach: Reach) {
    let mut frame = Vec::new();
    let mut buffer = [0u8; 64];
    loop {
        let read = if frame.is_empty() {
            cable.read(&mut buffer).await
        } else {
            match timeout(FRAME_GAP, cable.read(&mut buffer)).await {
                Ok(read) => read,
                Err(_gap) => {
                    frame.clear();
                    continue;
                }
            }
        };
        let Ok(count) = read else { return };
        if frame.is_empty() {
            reach(Heard::Beginning);
        }
        frame.extend_from_slice(&buffer[..count]);
        let Some(question) = Question::take(&mut frame, framing) else { continue };
        let Some(slave) = reach(Heard::Question(question.address)) else { continue };
        if answer(&mut cable, &question, &slave).await.is_err() {
            return;
        }
        reach(Heard::End);
    }
}

struct Question {
    address: u8,
    function: u8,
    data: Vec<u8>,
    /// Modbus TCP: transaction and protocol.
    header: Option<[u8; 4]>,
}

impl Question {
    /// A whole question, if one is there. Every question that these devices know has four bytes of data.
    fn take(frame: &mut Vec<u8>, framing: Framing) -> Option<Question> {
        match framing {
            Framing::Rtu if frame.len() >= 8 => {
                let whole = std::mem::take(frame);
                let right = whole.len() == 8 && crc_is_right(&whole);
                right.then(|| Question {
                    address: whole[0],
                    function: whole[1],
                    data: whole[2..6].to_vec(),
                    header: None,
                })
            }
            Framing::Tcp if frame.len() >= 12 => {
                let whole: Vec<u8> = frame.drain(..12).collect();
                let header = [whole[0], whole[1], whole[2], whole[3]];
                Some(Question {
                    address: whole[6],
                    function: whole[7],
                    data: whole[8..12].to_vec(),
                    header: Some(header),
                })
            }
            _ => None,
        }
    }
}

async fn answer(cable: &mut impl Cable, question: &Question, slave: &Slave) -> io::Result<()> {
    let fault = slave.state.fault;
    match fault {
        FridgeFault::Silent => return Ok(()),
        FridgeFault::Slow(pause) => time::sleep(pause).await,
        _ => {}
    }
    let address = if let FridgeFault::WrongUnit(other) = fault { other } else { question.address };
    let body = slave.answer(question.address, question.function, &question.data);
    let mut bytes = framed(question.header, address, &body);
    match fault {
        FridgeFault::Garbage => bytes = vec![0x55, 0xaa, 0x00, 0xff, 0x13, 0x37, 0x42, 0x99, 0x01],
        FridgeFault::WrongCrc if question.header.is_some() => bytes[1] ^= 0x5a,
        FridgeFault::WrongCrc => {
            if let Some(last) = bytes.last_mut() {
                *last ^= 0x5a;
            }
        }
        FridgeFault::CutOff => bytes.truncate(bytes.len() / 2),
        FridgeFault::SlowBytes(pause) => {
            for byte in bytes {
                time::sleep(pause).await;
                cable.write(&[byte]).await?;
            }
            return Ok(());
        }
        _ => {}
    }
    cable.write(&bytes).await
}

/// With what goes around an answer: address and check sum, or the header of Modbus TCP (Modbus messaging on TCP/IP V1.0b,
/// 3.1.3).
fn framed(header: Option<[u8; 4]>, address: u8, body: &[u8]) -> Vec<u8> {
    let addressed = [&[address][..], body].concat();
    match header {
        None => with_crc(&addressed),
        Some(header) => {
            let length = u16::try_from(addressed.len()).unwrap_or(u16::MAX);
            [&header[..], &length.to_be_bytes(), &addressed].concat()
        }
    }
}
