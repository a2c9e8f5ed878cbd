//! A Mosquitto in the branch that bridges to one at the centre, both with persistence, as mosquitto.conf(5) has it.
//!
//! Settings: `persistence true` at both ends, a bridge with QoS 1 and `cleansession false`, and the defaults for everything else: so the
//! database is written every 30 minutes and at an orderly end (`autosave_interval 1800`), 20 messages are on their way
//! (`max_inflight_messages`), and a bridge connects again after 5 to 30 s. Only `max_queued_messages`, which is 1,000 and drops what
//! is more without a word, is lifted, where nothing else is said. The program keeps its session and acknowledges what is committed.

use std::{net::SocketAddr, path::Path};

use anyhow::{Result, bail};
use rumqttc::v5::{AsyncClient, Event, Incoming, MqttOptions, mqttbytes::QoS};

use super::{
    super::place::Cores,
    broker::{Broker, Settings},
};
use crate::world::mosquitto::{free_ports, program};

/// What is bridged.
pub const FILTER: &str = "facts/#";
const TOPIC: &str = "facts/north";
/// Published and not yet answered.
const IN_FLIGHT: u16 = 256;

/// How many messages may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limits {
    /// As Mosquitto has it.
    Defaults,
    /// Any number.
    Lifted,
}

/// The branch's and the centre's.
#[derive(Debug)]
pub struct Pair {
    /// It bridges.
    pub branch: Broker,
    /// To this.
    pub centre: Broker,
}

impl Pair {
    /// New ones in `folder`. Nothing runs yet. In a quick look a bridge connects again at once.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn new(folder: &Path, cores: Cores, limits: Limits, quick: bool) -> Result<Self> {
        let [branch, centre] = free_ports()?;
        let broker = |name: &str, at: SocketAddr, core, more: &str| {
            let folder = folder.join(name);
            // As root it gives up its rights for those of "mosquitto", who may not read a folder of ours.
            let user = if rustix::process::geteuid().is_root() { "user root\n" } else { "" };
            let queued = if limits == Limits::Lifted { "max_queued_messages 0\n" } else { "" };
            let config = format!(
                "{user}listener {} {}\nallow_anonymous true\npersistence true\npersistence_location {}/\n{queued}{more}",
                at.port(),
                at.ip(),
                folder.display()
            );
            Broker::prepare(Settings { name, path: program(), folder: &folder, config, at, core })
        };
        let again = if quick { "restart_timeout 1\n" } else { "" };
        let bridge =
            format!("connection centre\naddress {centre}\ntopic {FILTER} out 1\ncleansession false\n{again}");
        Ok(Self {
            branch: broker("branch", branch, cores.branch, &bridge)?,
            centre: broker("centre", centre, cores.centre, "")?,
        })
    }
}

/// Publishes each line at QoS 1, and hands back how many the broker said it has.
///
/// # Errors
/// When the connection ends.
pub async fn load(at: SocketAddr, lines: &[Vec<u8>]) -> Result<u64> {
    let mut options = MqttOptions::new("branch-till", at.ip().to_string(), at.port());
    options.set_outgoing_inflight_upper_limit(IN_FLIGHT);
    let (client, mut events) = AsyncClient::new(options, usize::from(IN_FLIGHT));
    let lines = lines.to_vec();
    let wanted = lines.len() as u64;
    let publishing = tokio::spawn(async move {
        for line in lines {
            client.publish(TOPIC, QoS::AtLeastOnce, false, line).await?;
        }
        anyhow::Ok(client)
    });
    let mut told = 0;
    while told < wanted {
        match events.poll().await? {
            Event::Incoming(Incoming::PubAck(_)) => told += 1,
            Event::Incoming(Incoming::Disconnect(bye)) => bail!("Mosquitto said {:?}", bye.reason_code),
            _ => {}
        }
    }
    drop(publishing.await??);
    Ok(told)
}
