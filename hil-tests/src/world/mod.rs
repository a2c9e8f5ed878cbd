//! A whole world in little: the gateway, two enrolled branches with their simulated devices, and the cables between.
//!
//! The demo, its check and the tests of the whole all begin here. Every program is the real one; only the hardware is
//! simulated, and speaks the devices' own bytes.

pub mod branch;
pub mod gateway;
mod hold;
pub mod mosquitto;
pub mod people;
pub mod place;
pub(crate) mod seed;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Mutex;

pub use branch::{Branch, Power, SCANNER};
pub use gateway::Gateway;
pub use mosquitto::Mosquitto;
pub use people::{ADMIN, PEOPLE, Person};
pub use place::{Place, Remembered};

use crate::network::Cable;
use crate::processes::{Keeper, ProcessError, build_folder};

/// The chain of the demo.
pub const TENANT: &str = "demo";

/// Why the world could not be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// A folder that a world must not take.
    #[error("{folder} has files in it that are not the demo's: name another folder in PESTLE_DEMO_DIR")]
    NotOurs {
        /// Which.
        folder: PathBuf,
    },
    /// Two programs in one place.
    #[error("{who} runs (process {process}) in {folder}: end it first")]
    Held {
        /// `the demo`, `a demo-check` …
        who: String,
        /// Its process id.
        process: u32,
        /// Where.
        folder: PathBuf,
    },
    /// A program did not start or stay.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A simulated device refused.
    #[error(transparent)]
    Device(#[from] pestle_drivers::sim::SimError),
    /// The disk or the system refused.
    #[error("cannot {doing} {path}")]
    Disk {
        /// Doing what.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A program that was asked for something said no.
    #[error("{name} said: {what}")]
    Said {
        /// Which.
        name: String,
        /// Its words.
        what: String,
    },
    /// Asked for something that needs a running program.
    #[error("{name} is not running")]
    NotRunning {
        /// Which.
        name: String,
    },
}

impl WorldError {
    pub(crate) fn disk(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Disk { doing, path: path.to_owned(), source }
    }
}

/// The whole.
#[derive(Debug)]
pub struct World {
    /// Where it lives.
    pub place: Place,
    /// Its ports.
    pub ports: Remembered,
    /// Ends what is left of it, whatever becomes of us.
    pub keeper: Keeper,
    /// The centre.
    pub gateway: Mutex<Gateway>,
    /// The broker, where it is not the gateway's own.
    pub mosquitto: Option<Mutex<Mosquitto>>,
    /// The pharmacies, in the order of [`crate::demo_data::BRANCHES`].
    pub branches: Vec<Arc<Branch>>,
}

impl World {
    /// Makes the world of that place, or goes on with the one that is there. `tell` hears what is being done.
    ///
    /// # Errors
    /// With the program's own words where one did not come up.
    pub async fn start(place: Place, tell: &dyn Fn(&str)) -> Result<Self, WorldError> {
        Self::start_over(place, Brokered::ByTheGateway, tell).await
    }

    /// The same over the broker that is named.
    ///
    /// # Errors
    /// As [`World::start`].
    pub async fn start_over(
        place: Place,
        brokered: Brokered,
        tell: &dyn Fn(&str),
    ) -> Result<Self, WorldError> {
        let new = !place.is_inhabited();
        gateway::stop_left_postmaster(&place);
        if new {
            // What is there is a start that was broken off: nothing in it is whole.
            place.begin_anew()?;
        }
        let ports = place.remembered()?;
        let keeper = Keeper::of_place(&build_folder().join("pestle-demo"), place.kept()?)?;

        let mut gateway = Gateway::prepare(&place, &ports, &keeper)?;
        let mosquitto = match brokered {
            Brokered::ByTheGateway => None,
            Brokered::ByMosquitto => {
                tell("starting Mosquitto");
                let mut mosquitto = Mosquitto::prepare(&place, &gateway, &keeper).await?;
                mosquitto.start().await?;
                gateway = Gateway::prepare_as(&place, &mosquitto.setup_of(&ports), &keeper)?;
                Some(mosquitto)
            }
        };
        tell("starting the gateway with its PostgreSQL");
        gateway.start().await?;
        if new {
            tell("loading the catalogue and the people");
            seed::centre(&gateway, &place).await?;
        }

        let (https, mut mqtt) = gateway.sockets()?;
        mqtt = mosquitto.as_ref().map_or(mqtt, Mosquitto::boxes);
        let mut branches = Vec::new();
        for (slug, counter) in crate::demo_data::BRANCHES.into_iter().zip(&ports.counters) {
            let cables = (lay(https).await?, lay(mqtt).await?);
            let branch = Branch::prepare(slug, &place, *counter, cables, &keeper)?;
            if !branch.is_enrolled() {
                tell(&format!("enrolling the box of branch {slug}"));
                let claim = seed::claim(&gateway, slug).await?;
                branch.enrol(&gateway.url()?, &claim).await?;
                branch.open_stock(&seed::stock(slug)).await?;
            }
            tell(&format!("starting the agent of branch {slug}"));
            branch.start().await?;
            branches.push(Arc::new(branch));
        }
        place.remember(&ports)?;
        let (gateway, mosquitto) = (Mutex::new(gateway), mosquitto.map(Mutex::new));
        Ok(Self { place, ports, keeper, gateway, mosquitto, branches })
    }

    /// The branch of that name.
    pub fn branch(&self, slug: &str) -> Option<&Arc<Branch>> {
        self.branches.iter().find(|branch| branch.slug == slug)
    }

    /// The console's address; the last one while the gateway is being restarted.
    pub async fn console(&self) -> String {
        self.gateway.lock().await.url().map(|url| format!("{url}/console")).unwrap_or_default()
    }

    /// Brings the gateway back after it was killed or stopped.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn restart_gateway(&self) -> Result<(), WorldError> {
        let mut gateway = self.gateway.lock().await;
        gateway.start().await?;
        let (https, mqtt) = gateway.sockets()?;
        for branch in &self.branches {
            branch.https.lead_to(https);
            if self.mosquitto.is_none() {
                branch.mqtt.lead_to(mqtt);
            }
        }
        Ok(())
    }

    /// Ends everything in order: branches first, so that they can say goodbye.
    pub async fn stop(&self) {
        let stopping = self.branches.iter().map(|branch| branch.stop());
        futures::future::join_all(stopping).await;
        self.gateway.lock().await.stop().await;
        if let Some(mosquitto) = &self.mosquitto {
            mosquitto.lock().await.stop().await;
        }
    }
}

/// Who carries the messages of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brokered {
    /// The broker inside the gateway.
    ByTheGateway,
    /// A Mosquitto of its own, as `admin mosquitto` configures it.
    ByMosquitto,
}

async fn lay(upstream: std::net::SocketAddr) -> Result<Cable, WorldError> {
    Cable::lay(upstream).await.map_err(WorldError::disk("lay a cable to", Path::new("the gateway")))
}
