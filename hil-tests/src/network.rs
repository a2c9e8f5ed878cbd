//! The network between a branch and the centre, as a cable that a test or a person can cut.
//!
//! A [`Cable`] is a TCP proxy on the loopback: the agent is told the cable's address instead of the gateway's.
//! TLS passes through untouched, so certificates are checked end to end as they would be in a branch.
//!
//! What it does to traffic is one value, [`Weather`], which may change at any time and holds for connections that
//! are open as for new ones.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

/// One read's worth of bytes. TLS records end at 16 KiB, so a larger buffer would only hide delays.
const CHUNK_BYTES: usize = 16 * 1024;

/// How many chunks may be under way in one direction of one connection: 1 MiB, more than a long fat line holds.
const CHUNKS_UNDER_WAY: usize = 64;

/// What the cable does to the bytes that enter it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// Bytes pass; each is `delay` older when it leaves.
    Fair {
        /// One-way delay, the same in both directions.
        delay: Duration,
    },
    /// Every connection is reset, new ones too: a router that answers "no route", or a gateway that is gone.
    Reset,
    /// Nothing passes and nobody is told: a pulled cable. Connections that were open go on when it is healed.
    Blackhole,
    /// Bytes pass until `bytes` more have gone up (branch to centre); then that connection is reset in the middle
    /// of whatever it was saying, and the weather is fair again.
    BreakAfter {
        /// Bytes towards the centre that are still let through, counted over all connections.
        bytes: u64,
    },
}

impl Weather {
    /// Nothing in the way.
    pub const FAIR: Self = Self::Fair { delay: Duration::ZERO };

    /// Whether bytes pass.
    pub fn passes(self) -> bool {
        matches!(self, Self::Fair { .. } | Self::BreakAfter { .. })
    }
}

/// A cable that lies between a local port and `upstream`, until it is dropped.
#[derive(Debug)]
pub struct Cable {
    address: SocketAddr,
    weather: Arc<watch::Sender<Weather>>,
    carried: Arc<AtomicU64>,
    upstream: Arc<watch::Sender<SocketAddr>>,
    accepting: JoinHandle<()>,
}

impl Cable {
    /// Lays a cable from a free port of the loopback to `upstream`.
    ///
    /// # Errors
    /// When the loopback has no free port.
    pub async fn lay(upstream: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let weather = Arc::new(watch::Sender::new(Weather::FAIR));
        let carried = Arc::new(AtomicU64::new(0));
        let upstream = Arc::new(watch::Sender::new(upstream));
        let accepting = tokio::spawn(accept(listener, upstream.clone(), weather.clone(), carried.clone()));
        Ok(Self { address, weather, carried, upstream, accepting })
    }

    /// Where the branch connects.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes that reached the other end so far, both directions together.
    pub fn carried_bytes(&self) -> u64 {
        self.carried.load(Ordering::Relaxed)
    }

    /// What the cable is doing now.
    pub fn weather(&self) -> Weather {
        *self.weather.borrow()
    }

    /// Changes what the cable does, for open connections too.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }

    /// Lets bytes pass again.
    pub fn heal(&self) {
        self.set(Weather::FAIR);
    }

    /// Leads new connections to another address: a gateway that came back on another port.
    pub fn lead_to(&self, upstream: SocketAddr) {
        self.upstream.send_replace(upstream);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    upstream: Arc<watch::Sender<SocketAddr>>,
    weather: Arc<watch::Sender<Weather>>,
    carried: Arc<AtomicU64>,
) {
    // Dropped with this task, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        let Ok((near, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let to = *upstream.borrow();
        connections.spawn(connection(near, to, weather.clone(), carried.clone()));
    }
}

/// Carries one connection until either end closes it or the weather resets it.
async fn connection(
    near: TcpStream,
    upstream: SocketAddr,
    weather: Arc<watch::Sender<Weather>>,
    carried: Arc<AtomicU64>,
) {
    let mut sky = weather.subscribe();
    // A blackhole swallows the first packet as well: the far end hears of nothing until it is healed.
    if sky.wait_for(|now| *now != Weather::Blackhole).await.is_err() || *sky.borrow() == Weather::Reset {
        reset(near);
        return;
    }
    let Ok(far) = TcpStream::connect(upstream).await else {
        reset(near);
        return;
    };
    // Latency is what the weather says, not what Nagle adds. A socket that refuses is merely slower.
    let _ = near.set_nodelay(true);
    let _ = far.set_nodelay(true);
    let (mut near, mut far) = (near, far);
    let broken = {
        let (near_in, near_out) = near.split();
        let (far_in, far_out) = far.split();
        let up = pass(near_in, far_out, Direction::Up, &weather, &carried);
        let down = pass(far_in, near_out, Direction::Down, &weather, &carried);
        tokio::select! {
            ended = async { tokio::try_join!(up, down) } => ended.is_err(),
            _ = sky.wait_for(|now| *now == Weather::Reset) => true,
        }
    };
    if broken {
        reset(near);
        reset(far);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// [`Weather::BreakAfter`] has come true on this connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Broken;

/// Carries one direction of one connection: a reader that stamps each chunk with when it may leave, and a writer.
async fn pass(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    direction: Direction,
    weather: &watch::Sender<Weather>,
    carried: &AtomicU64,
) -> Result<(), Broken> {
    let (queue, mut due) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_UNDER_WAY);
    let reading = async move {
        let mut buffer = vec![0; CHUNK_BYTES];
        while let Ok(count) = from.read(&mut buffer).await {
            let delay = match *weather.borrow() {
                Weather::Fair { delay } => delay,
                _ => Duration::ZERO,
            };
            if count == 0 || queue.send((Instant::now() + delay, buffer[..count].to_vec())).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    let writing = async move {
        let mut sky = weather.subscribe();
        while let Some((when, chunk)) = due.recv().await {
            tokio::time::sleep_until(when).await;
            // Bytes that lie in a cut cable wait; the reset is the business of `connection`.
            if sky.wait_for(|now| now.passes()).await.is_err() {
                break;
            }
            let allowed = allowance(weather, direction, chunk.len());
            if to.write_all(&chunk[..allowed]).await.is_err() {
                break;
            }
            carried.fetch_add(allowed as u64, Ordering::Relaxed);
            if allowed < chunk.len() {
                weather.send_replace(Weather::FAIR);
                return Err(Broken);
            }
        }
        // The other end closed its half: say so, and let the opposite direction finish.
        let _ = to.shutdown().await;
        Ok(())
    };
    tokio::try_join!(reading, writing).map(|_| ())
}

/// How much of a chunk may pass, taking it off what [`Weather::BreakAfter`] still allows.
fn allowance(weather: &watch::Sender<Weather>, direction: Direction, length: usize) -> usize {
    let mut allowed = length;
    if direction == Direction::Up {
        weather.send_if_modified(|now| match now {
            Weather::BreakAfter { bytes } => {
                allowed = length.min(usize::try_from(*bytes).unwrap_or(usize::MAX));
                *bytes = bytes.saturating_sub(length as u64);
                false
            }
            _ => false,
        });
    }
    allowed
}

/// Closes a connection with RST instead of FIN, as a dead router does.
fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
    drop(stream);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An upstream that sends back what it gets, and a cable to it.
    async fn echo_behind_a_cable() -> Cable {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        Cable::lay(address).await.unwrap()
    }

    async fn echoed(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
        stream.write_all(text).await?;
        let mut back = vec![0; text.len()];
        stream.read_exact(&mut back).await?;
        Ok(back)
    }

    #[tokio::test]
    async fn fair_weather_carries_bytes_both_ways_unchanged() {
        let cable = echo_behind_a_cable().await;
        let mut stream = TcpStream::connect(cable.address()).await.unwrap();
        let long = (0..200_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>();
        let (mut from, mut to) = stream.split();
        let mut back = vec![0; long.len()];
        let (sent, got) = tokio::join!(to.write_all(&long), from.read_exact(&mut back));
        sent.unwrap();
        got.unwrap();
        assert_eq!(back, long);
        assert_eq!(cable.carried_bytes(), 400_000);
    }

    #[tokio::test]
    async fn a_reset_ends_open_connections_and_new_ones_until_it_is_healed() {
        let cable = echo_behind_a_cable().await;
        let mut stream = TcpStream::connect(cable.address()).await.unwrap();
        assert_eq!(echoed(&mut stream, b"before").await.unwrap(), b"before");
        cable.set(Weather::Reset);
        let mut one = [0];
        assert_eq!(stream.read(&mut one).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        let mut refused = TcpStream::connect(cable.address()).await.unwrap();
        assert!(echoed(&mut refused, b"during").await.is_err());
        cable.heal();
        let mut again = TcpStream::connect(cable.address()).await.unwrap();
        assert_eq!(echoed(&mut again, b"after").await.unwrap(), b"after");
    }

    #[tokio::test]
    async fn a_blackhole_holds_the_bytes_and_lets_them_go_when_it_is_healed() {
        let cable = echo_behind_a_cable().await;
        let mut stream = TcpStream::connect(cable.address()).await.unwrap();
        assert_eq!(echoed(&mut stream, b"before").await.unwrap(), b"before");
        cable.set(Weather::Blackhole);
        let waited = tokio::time::timeout(Duration::from_millis(50), echoed(&mut stream, b"during")).await;
        assert!(waited.is_err(), "nothing may come back through a pulled cable");
        cable.heal();
        let mut back = [0; 6];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"during");
    }

    #[tokio::test]
    async fn a_break_lets_exactly_the_ordered_bytes_through_and_is_fair_afterwards() {
        let cable = echo_behind_a_cable().await;
        cable.set(Weather::BreakAfter { bytes: 4 });
        let mut stream = TcpStream::connect(cable.address()).await.unwrap();
        assert!(echoed(&mut stream, b"cut in the middle").await.is_err());
        assert_eq!(cable.weather(), Weather::FAIR);
        let mut again = TcpStream::connect(cable.address()).await.unwrap();
        assert_eq!(echoed(&mut again, b"whole").await.unwrap(), b"whole");
    }

    #[tokio::test]
    async fn a_delay_holds_each_byte_for_that_long_in_each_direction() {
        let cable = echo_behind_a_cable().await;
        cable.set(Weather::Fair { delay: Duration::from_millis(30) });
        let mut stream = TcpStream::connect(cable.address()).await.unwrap();
        let begun = Instant::now();
        assert_eq!(echoed(&mut stream, b"slow").await.unwrap(), b"slow");
        assert!(begun.elapsed() >= Duration::from_millis(60));
    }
}
