//! The broker between boxes and gateways, and the lines to it. It promises little: what waits in it is lost when it forgets,
//! and dropped, the oldest first, when it is too much.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use pestle_domain::{
    ids::DeviceId,
    journal::Lane,
    order::OrderHead,
    wire::message::{Answer, StreamHead},
};

use super::{
    schedule::GATEWAYS,
    world::{Happening, World},
};

/// Messages that wait while no gateway is there.
const WAITING_MAX: usize = 64;

/// What a box publishes.
#[derive(Debug, Clone)]
pub struct Message {
    /// Whose topic.
    pub device: DeviceId,
    /// What.
    pub said: Said,
}

/// By channel.
#[derive(Debug, Clone)]
pub enum Said {
    /// A batch of facts.
    Facts(Lane, Bytes),
    /// Where the box stands, with its facts and with its orders.
    Heads(Vec<StreamHead>, OrderHead),
}

/// The weather on all lines.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// Of 1,000 messages, how many are lost.
    pub lost: u64,
    /// Of 1,000, how many come twice.
    pub twice: u64,
    /// Longest delay.
    pub slow_ms: u64,
}

/// The broker.
#[derive(Debug, Default)]
pub struct Broker {
    /// It restarts.
    pub away: bool,
    /// Which connection each client id has, and whose it is.
    pub sessions: BTreeMap<DeviceId, (usize, u64)>,
    /// What no gateway was there for.
    pub waiting: VecDeque<Message>,
    /// What each gateway has and is not done with.
    pub unacknowledged: [BTreeMap<u64, Message>; GATEWAYS],
    /// Messages that were dropped since too many waited.
    pub dropped: u64,
    deliveries: u64,
}

impl World {
    /// How often a message comes, and after how long each time.
    fn fates(&mut self) -> Vec<u64> {
        let weather = self.weather;
        let mut roll = self.roll(1);
        let copies =
            if roll.per_mille(weather.lost) { 0 } else { 1 + u64::from(roll.per_mille(weather.twice)) };
        (0..copies).map(|_| 1 + roll.below(weather.slow_ms.max(20))).collect()
    }

    /// A box publishes.
    pub(super) fn publish(&mut self, site: usize, message: Message) {
        if self.sites[site].line_cut || self.broker.away {
            return;
        }
        for after in self.fates() {
            self.events.after(after, Happening::AtBroker(message.clone()));
        }
    }

    /// A message has reached the broker: one of the gateways gets it, usually the same for one box.
    pub(super) fn at_broker(&mut self, message: Message) {
        if self.broker.away {
            return;
        }
        let sticky =
            message.device.as_str().len() + message.device.as_str().bytes().map(usize::from).sum::<usize>();
        let mut roll = self.roll(2);
        let first = if roll.per_mille(self.unsteady) { roll.index(GATEWAYS) } else { sticky % GATEWAYS };
        let taker = [first, (first + 1) % GATEWAYS].into_iter().find(|at| self.gateways[*at].up);
        match taker {
            Some(gateway) => self.deliver(gateway, message),
            None => {
                if self.broker.waiting.len() == WAITING_MAX {
                    self.broker.waiting.pop_front();
                    self.broker.dropped += 1;
                }
                self.broker.waiting.push_back(message);
            }
        }
    }

    fn deliver(&mut self, gateway: usize, message: Message) {
        self.broker.deliveries += 1;
        let number = self.broker.deliveries;
        self.broker.unacknowledged[gateway].insert(number, message.clone());
        let (life, after) = (self.gateways[gateway].life, self.roll(3).between(1, 15));
        self.events.after(after, Happening::AtGateway { gateway, life, number, message });
    }

    /// A gateway answers a box.
    pub(super) fn answer(&mut self, device: &DeviceId, answer: &Answer) {
        if self.broker.away {
            return;
        }
        let Some((site, connection)) = self.broker.sessions.get(device).copied() else { return };
        for after in self.fates() {
            self.events.after(after, Happening::AtBox { site, connection, answer: Box::new(answer.clone()) });
        }
    }

    /// A gateway sends orders to a box.
    pub(super) fn send_orders(&mut self, device: &DeviceId, message: &Bytes) {
        if self.broker.away {
            return;
        }
        let Some((site, connection)) = self.broker.sessions.get(device).copied() else { return };
        for after in self.fates() {
            self.events.after(after, Happening::OrdersAtBox { site, connection, message: message.clone() });
        }
    }

    /// A gateway went, or came: what it was not done with goes to another one.
    pub(super) fn redeliver(&mut self, gateway: usize) {
        let mut again: Vec<Message> =
            std::mem::take(&mut self.broker.unacknowledged[gateway]).into_values().collect();
        if self.gateways.iter().any(|gateway| gateway.up) {
            again.extend(std::mem::take(&mut self.broker.waiting));
        }
        for message in again {
            self.at_broker(message);
        }
    }

    /// A connection is taken: the broker ends the one that the client id had.
    pub(super) fn connected(&mut self, site: usize, connection: u64) {
        let device = self.sites[site].sender.device.clone();
        if let Some((other, old)) = self.broker.sessions.insert(device, (site, connection))
            && old != connection
        {
            let after = self.roll(4).between(1, 200);
            self.events.after(after, Happening::LinkDown { site: other, connection: old });
        }
    }

    /// The broker has forgotten everything, and comes back after a while.
    pub(super) fn broker_forgets(&mut self, ms: u64) {
        self.broker.away = true;
        self.broker.waiting.clear();
        self.broker.unacknowledged = Default::default();
        for (_, (site, connection)) in std::mem::take(&mut self.broker.sessions) {
            let after = self.roll(5).between(1, 3_000);
            self.events.after(after, Happening::LinkDown { site, connection });
        }
        self.events.after(ms, Happening::BrokerBack);
    }
}
