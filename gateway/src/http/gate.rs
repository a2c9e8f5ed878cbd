//! How many connections there may be, and whose. Boxes, whose certificate TLS has verified, have places of their own:
//! however many strangers hold the port busy, a branch fetches its snapshot.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{authority::identity::PeerIdentity, limits};

/// What a port grants.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Handshakes at once; beyond it callers wait in the kernel's queue. One takes a core for about a millisecond.
    pub handshakes: usize,
    /// Connections of everybody without a certificate of ours. Each costs a TLS session of some 20 KB.
    pub open: usize,
    /// Connections of boxes and gateways.
    pub boxes: usize,
    /// Connections from one network without a certificate: a branch's people may sit behind one address.
    pub per_network: usize,
    /// Connections of one box.
    pub per_box: usize,
    /// A caller that does not finish its handshake, or a request's headers, in this time is dropped.
    pub handshake: Duration,
    /// A connection on which nothing is asked or answered for so long is closed.
    pub idle: Duration,
    /// What a closed connection still has to send may take so long: with `idle`, a megabyte over 64 kbit/s. Then it is
    /// cut off; a box goes on by `Range`.
    pub linger: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            handshakes: 512,
            open: 2_048,
            boxes: 4_096,
            per_network: 512,
            per_box: 16,
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(75),
            linger: Duration::from_secs(60),
        }
    }
}

/// Whose connections are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Origin {
    Network(IpAddr),
    Peer(PeerIdentity),
}

/// Gives out places. Cloned, it gives out the same ones.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    bounds: Bounds,
    handshakes: Arc<Semaphore>,
    open: Arc<Semaphore>,
    boxes: Arc<Semaphore>,
    counts: Mutex<HashMap<Origin, usize>>,
    refused: Family<ReasonLabel, Counter>,
}

/// Why a connection was closed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// There is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// One network has too many.
    #[error("too many connections from this network")]
    Network,
    /// One box has too many.
    #[error("too many connections of this box")]
    Box,
    /// All places are taken.
    #[error("too many connections")]
    All,
}

impl Full {
    fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Box => "box",
            Self::All => "all",
        }
    }
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place {
    _counted: Counted,
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Counted {
    gate: Gate,
    origin: Origin,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.gate.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.origin) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.origin);
            }
        }
    }
}

impl Gate {
    /// With all places free.
    pub fn new(bounds: Bounds) -> Self {
        let places = |number| Arc::new(Semaphore::new(number));
        Self(Arc::new(Inner {
            bounds,
            handshakes: places(bounds.handshakes),
            open: places(bounds.open),
            boxes: places(bounds.boxes),
            counts: Mutex::default(),
            refused: Family::default(),
        }))
    }

    /// Under its name in the metrics.
    pub fn register(&self, registry: &mut Registry) {
        let refused = self.0.refused.clone();
        registry.register("http_connections_refused", "Connections closed for want of a place", refused);
    }

    /// What it grants.
    pub fn bounds(&self) -> Bounds {
        self.0.bounds
    }

    /// Waits for the right to begin a handshake.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        self.0.handshakes.clone().acquire_owned().await.ok()
    }

    /// A caller from `address`, of whom nothing else is known yet.
    ///
    /// # Errors
    /// [`Full::Network`].
    pub(super) fn arrive(&self, address: IpAddr, turn: OwnedSemaphorePermit) -> Result<Place, Full> {
        let counted = self.count(Origin::Network(limits::network(address)), self.0.bounds.per_network);
        let counted = counted.ok_or_else(|| self.refuse(Full::Network))?;
        Ok(Place { _counted: counted, _permit: turn })
    }

    /// The same caller after its handshake; `arrived` is given back.
    ///
    /// # Errors
    /// [`Full`].
    pub(super) fn admit(&self, arrived: Place, identity: Option<&PeerIdentity>) -> Result<Place, Full> {
        let (counted, places) = match identity {
            None => (arrived._counted, &self.0.open),
            Some(identity) => {
                let counted = self.count(Origin::Peer(identity.clone()), self.0.bounds.per_box);
                (counted.ok_or_else(|| self.refuse(Full::Box))?, &self.0.boxes)
            }
        };
        let permit = places.clone().try_acquire_owned().map_err(|_| self.refuse(Full::All))?;
        Ok(Place { _counted: counted, _permit: permit })
    }

    fn count(&self, origin: Origin, most: usize) -> Option<Counted> {
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(origin.clone()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Counted { gate: self.clone(), origin })
    }

    fn refuse(&self, full: Full) -> Full {
        self.0.refused.get_or_create(&ReasonLabel { reason: full.as_str() }).inc();
        full
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new(Bounds::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrive(gate: &Gate, address: &str) -> Result<Place, Full> {
        let turn = gate.0.handshakes.clone().try_acquire_owned().unwrap();
        gate.arrive(address.parse().unwrap(), turn)
    }

    fn device(name: &str) -> PeerIdentity {
        let tenant = "demo".parse().unwrap();
        PeerIdentity::Device { tenant, branch: "north".parse().unwrap(), device: name.parse().unwrap() }
    }

    #[test]
    fn strangers_who_hold_all_their_places_leave_those_of_boxes() {
        let gate = Gate::new(Bounds { open: 2, ..Bounds::default() });
        let held: Vec<Place> = (1..=2)
            .map(|n| gate.admit(arrive(&gate, &format!("192.0.2.{n}")).unwrap(), None).unwrap())
            .collect();
        let third = arrive(&gate, "192.0.2.3").unwrap();
        assert_eq!(gate.admit(third, None).unwrap_err(), Full::All);
        let north = gate.admit(arrive(&gate, "192.0.2.3").unwrap(), Some(&device("north-1"))).unwrap();
        drop(held);
        assert!(gate.admit(arrive(&gate, "192.0.2.3").unwrap(), None).is_ok());
        drop(north);
        assert!(gate.0.counts.lock().unwrap().is_empty(), "somebody is counted who is gone");
    }

    #[test]
    fn one_network_and_one_box_have_so_many_and_no_more() {
        let gate = Gate::new(Bounds { per_network: 1, per_box: 1, ..Bounds::default() });
        let held = arrive(&gate, "2001:db8::1").unwrap();
        assert_eq!(arrive(&gate, "2001:db8::2").unwrap_err(), Full::Network);
        let other = arrive(&gate, "2001:db8:0:1::1").unwrap();
        let north = gate.admit(held, Some(&device("north-1"))).unwrap();
        let again = arrive(&gate, "2001:db8::2").unwrap();
        assert_eq!(gate.admit(again, Some(&device("north-1"))).unwrap_err(), Full::Box);
        assert!(gate.admit(other, Some(&device("north-2"))).is_ok());
        drop(north);
    }
}
