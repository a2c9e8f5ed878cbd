//! A real Mosquitto in place of the gateway's own broker, configured by the product's own command.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use pestle_drivers::sim::ports;
use tokio::net::TcpStream;

use super::gateway::{Broker, Database, Setup, on_loopback};
use super::{Gateway, Place, Remembered, WorldError};
use crate::processes::{Keeper, Process, Program, was_killed};
use crate::waiting::until;

/// Longer than its start takes on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// See the module.
#[derive(Debug)]
pub struct Mosquitto {
    program: Program,
    keeper: Keeper,
    boxes: SocketAddr,
    gateways: SocketAddr,
    process: Option<Process>,
}

impl Mosquitto {
    /// Has `gateway` write the configuration. Nothing runs yet.
    ///
    /// # Errors
    /// With the gateway's own words, or when the disk refuses.
    pub async fn prepare(place: &Place, gateway: &Gateway, keeper: &Keeper) -> Result<Self, WorldError> {
        let folder = place.folder().join("mosquitto");
        let [boxes, gateways] = free_ports().map_err(WorldError::disk("find free ports for", &folder))?;
        let text = (folder.display().to_string(), boxes.to_string(), gateways.to_string());
        let words = ["mosquitto", &text.0, "--boxes", &text.1, "--gateways", &text.2];
        gateway.admin(&words, "").await?;
        let config = folder.join("mosquitto.conf");
        if rustix::process::geteuid().is_root() {
            // As root it gives up its rights for those of "mosquitto", who may not read a folder of ours.
            let text = fs::read_to_string(&config).map_err(WorldError::disk("read", &config))?;
            fs::write(&config, format!("user root\n{text}")).map_err(WorldError::disk("write", &config))?;
        }
        let program = Program {
            name: "mosquitto".to_owned(),
            path: program(),
            arguments: vec!["-c".to_owned(), config.display().to_string()],
            environment: vec![],
            log: place.log("mosquitto"),
        };
        Ok(Self { program, keeper: keeper.clone(), boxes, gateways, process: None })
    }

    /// Holds it on one processor core from the next start on.
    pub fn pin_to(&mut self, core: usize) {
        self.program = self.program.on_core(core);
    }

    /// Starts it and waits until it takes connections.
    ///
    /// # Errors
    /// When it does not.
    pub async fn start(&mut self) -> Result<(), WorldError> {
        let mut process = self.program.start(&self.keeper)?;
        let answers = until("Mosquitto", READY_WITHIN, || async {
            TcpStream::connect(self.boxes).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
        if let Err(overdue) = answers {
            process.kill();
            let what = format!("{overdue}: {}", crate::processes::log_tail(&self.program.log));
            return Err(WorldError::Said { name: "mosquitto".to_owned(), what });
        }
        self.process = Some(process);
        Ok(())
    }

    /// Pulls its plug: what it holds in memory is gone.
    pub fn kill(&mut self) -> bool {
        self.process.take().is_some_and(|mut process| was_killed(process.kill()))
    }

    /// Asks it to end, and waits.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.stop().await;
        }
    }

    /// Where boxes connect.
    pub fn boxes(&self) -> SocketAddr {
        self.boxes
    }

    /// Where gateways connect.
    pub fn gateways(&self) -> SocketAddr {
        self.gateways
    }

    /// As a gateway's configuration has it.
    pub fn broker(&self) -> Broker {
        Broker::External { gateways: self.gateways, boxes: self.boxes }
    }

    /// A world's own gateway over it.
    pub fn setup_of(&self, ports: &Remembered) -> Setup {
        Setup {
            name: "gateway".to_owned(),
            https: ports.https,
            names: on_loopback(),
            broker: self.broker(),
            database: Database::Private,
        }
    }
}

/// Where Debian puts it, or whoever builds it.
pub(crate) fn program() -> PathBuf {
    let places = ["/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"];
    places.into_iter().map(Path::new).find(|path| path.exists()).unwrap_or(Path::new(places[0])).to_owned()
}

/// For a program that has to be told its ports: free ones of this machine.
pub(crate) fn free_ports() -> std::io::Result<[SocketAddr; 2]> {
    Ok(ports::free()?.map(|port: u16| (Ipv4Addr::LOCALHOST, port).into()))
}
