//! A Mosquitto, as the product configures it, for boxes that a real gateway enrolled; the gateway itself has ended, and a
//! [`super::sink`] can take its place.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Result;
use pestle_domain::ids::DeviceId;

use super::{
    super::{branch_box::BranchBox, helper::Helper, place::Cores},
    sink,
};
use crate::{
    processes::{Keeper, build_folder},
    world::{Gateway, Mosquitto, Place, gateway::stop_left_postmaster, seed},
};

/// The branch, one of the demo's: only its name counts here.
const BRANCH: &str = "north";

/// See the module.
#[derive(Debug)]
pub struct FarEnd {
    /// Ends its processes, whatever becomes of us.
    pub keeper: Keeper,
    mosquitto: Mosquitto,
    gateway_data: PathBuf,
    place: Place,
    core: usize,
}

impl FarEnd {
    /// A new one in `folder`, on the centre's core, with a box enrolled in each of `boxes`.
    ///
    /// # Errors
    /// With the program's own words where one did not come up.
    pub async fn start(folder: &Path, cores: Cores, boxes: &[PathBuf]) -> Result<(Self, Vec<BranchBox>)> {
        let place = Place::at(folder)?;
        stop_left_postmaster(&place);
        place.begin_anew()?;
        let ports = place.remembered()?;
        let keeper = Keeper::of_place(&build_folder().join("pestle-demo"), place.kept()?)?;
        let unstarted = Gateway::prepare(&place, &ports, &keeper)?;
        let mut mosquitto = Mosquitto::prepare(&place, &unstarted, &keeper).await?;
        mosquitto.pin_to(cores.centre);
        mosquitto.start().await?;
        let mut gateway = Gateway::prepare_as(&place, &mosquitto.setup_of(&ports), &keeper)?;
        gateway.start().await?;
        seed::centre(&gateway, &place).await?;
        let mut enrolled = Vec::new();
        for folder in boxes {
            let claim = seed::claim(&gateway, BRANCH).await?;
            enrolled.push(BranchBox::enrol(folder, &gateway.url()?, &claim).await?);
        }
        gateway.stop().await;
        // The broker keeps the session of a gateway that went, and would hand it its share of what comes.
        mosquitto.stop().await;
        mosquitto.start().await?;
        let gateway_data = gateway.data().to_owned();
        Ok((Self { keeper, mosquitto, gateway_data, place, core: cores.centre }, enrolled))
    }

    /// Where boxes connect.
    pub fn boxes(&self) -> SocketAddr {
        self.mosquitto.boxes()
    }

    /// Starts what takes the gateway's place. It ends when it is dropped.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn sink(&self) -> Result<Sink> {
        let gateways = self.mosquitto.gateways().to_string();
        let words = ["sink".as_ref(), self.gateway_data.as_os_str(), gateways.as_ref()];
        let (helper, ()) = Helper::start(words, None, self.core).await?;
        Ok(Sink(helper))
    }

    /// Ends it and forgets it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn end(mut self) -> Result<()> {
        self.mosquitto.stop().await;
        Ok(self.place.remove()?)
    }
}

/// The sink as its parent holds it.
#[derive(Debug)]
pub struct Sink(Helper);

impl Sink {
    /// Waits until it has acknowledged the box's ledger up to `seq`.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn answered(&mut self, device: &DeviceId, seq: u64) -> Result<()> {
        self.0.ask(&sink::Job { device: device.clone(), seq }).await
    }
}
