//! What can be hit: a world with a second gateway that shares its database and its broker.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use pestle_gateway::postgres::{
    Layout,
    cluster::{self, Access},
};
use tokio::sync::Mutex;

use super::blows::{Blow, Victim};
use crate::world::{
    Branch, Brokered, Gateway, Place, World,
    gateway::{Broker, Database, Setup, on_loopback},
};

/// A program whose port was taken while it was down is started again for so long.
const BACK_WITHIN: Duration = Duration::from_secs(120);

/// See the module.
#[derive(Debug)]
pub struct Field {
    /// The first gateway, the branches, and the Mosquitto where there is one.
    pub world: World,
    second: Mutex<Gateway>,
}

impl Field {
    /// Starts everything in a new place.
    ///
    /// # Errors
    /// With the program's own words where one did not come up.
    pub async fn start(place: Place, brokered: Brokered, tell: &(dyn Fn(&str) + Sync)) -> Result<Self> {
        let world = World::start_over(place, brokered, &|doing| tell(&format!("     ·  {doing}"))).await?;
        tell("     ·  starting the second gateway");
        let access = Access::read(&Layout::under(world.place.cluster()))?;
        let broker = match &world.mosquitto {
            Some(mosquitto) => mosquitto.lock().await.broker(),
            None => {
                let at = SocketAddr::from(([127, 0, 0, 1], world.ports.mqtt));
                Broker::External { gateways: at, boxes: at }
            }
        };
        let setup = Setup {
            name: "gateway-2".to_owned(),
            https: 0,
            names: on_loopback(),
            broker,
            database: Database::Shared {
                serve: access.dsn_serve(cluster::DATABASE),
                owner: access.dsn_root(cluster::DATABASE),
            },
        };
        let mut second = Gateway::prepare_as(&world.place, &setup, &world.keeper)?;
        // All gateways of a centre have one authority.
        copy_secret(&world.place.gateway().join("authority"), &second.data().join("authority"))
            .context("copying the authority")?;
        second.start().await?;
        Ok(Self { world, second: Mutex::new(second) })
    }

    /// Kills, waits, and starts again: all blows of a round, each at its moment. Says who was hit: whoever is down already is
    /// not.
    ///
    /// # Errors
    /// When one does not come back.
    pub async fn strike(&self, blows: &[Blow]) -> Result<Vec<Victim>> {
        let began = tokio::time::Instant::now();
        let hit = try_join_all(blows.iter().map(|blow| async move {
            tokio::time::sleep_until(began + blow.after).await;
            let hit = self.kill(blow.victim).await;
            tokio::time::sleep(blow.down).await;
            self.start_again(blow.victim)
                .await
                .with_context(|| format!("starting {:?} again", blow.victim))?;
            anyhow::Ok(hit.then_some(blow.victim))
        }))
        .await?;
        // A private PostgreSQL ends its gateway's work when it is killed; whoever ended for that reason starts again.
        self.start_again(Victim::FirstGateway).await?;
        self.start_again(Victim::SecondGateway).await?;
        Ok(hit.into_iter().flatten().collect())
    }

    /// Whether there was anything to kill.
    async fn kill(&self, victim: Victim) -> bool {
        match victim {
            Victim::Agent(number) => self.branch(number).pull_the_plug().await,
            Victim::FirstGateway => self.world.gateway.lock().await.kill(),
            Victim::SecondGateway => self.second.lock().await.kill(),
            // It may be down already, with the gateway that runs it.
            Victim::Database => self.world.gateway.lock().await.kill_database().is_ok(),
            Victim::Broker => match &self.world.mosquitto {
                Some(mosquitto) => mosquitto.lock().await.kill(),
                None => false,
            },
        }
    }

    /// Starts what does not run. Tries again while that fails: a connection of somebody's may have its port, and the
    /// second gateway needs the first one's PostgreSQL.
    async fn start_again(&self, victim: Victim) -> Result<()> {
        let began = Instant::now();
        loop {
            match self.start_if_down(victim).await {
                Err(error) if began.elapsed() > BACK_WITHIN => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                Ok(()) => return Ok(()),
            }
        }
    }

    async fn start_if_down(&self, victim: Victim) -> Result<()> {
        match victim {
            Victim::Agent(number) => self.branch(number).start().await?,
            Victim::FirstGateway => {
                let runs = self.world.gateway.lock().await.runs();
                if !runs {
                    self.world.restart_gateway().await?;
                }
            }
            Victim::SecondGateway => {
                let mut second = self.second.lock().await;
                if !second.runs() {
                    second.start().await?;
                }
            }
            // Its gateway starts it again by itself.
            Victim::Database => {}
            Victim::Broker => {
                if let Some(mosquitto) = &self.world.mosquitto {
                    mosquitto.lock().await.start().await?;
                }
            }
        }
        Ok(())
    }

    fn branch(&self, number: usize) -> &Arc<Branch> {
        &self.world.branches[number % self.world.branches.len()]
    }

    /// Ends everything in order.
    pub async fn stop(&self) {
        self.second.lock().await.stop().await;
        self.world.stop().await;
    }
}

/// Copies a folder that nobody else may read.
fn copy_secret(from: &Path, to: &Path) -> std::io::Result<()> {
    if !to.exists() {
        fs::DirBuilder::new().mode(0o700).recursive(true).create(to)?;
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_secret(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
            fs::set_permissions(&target, fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}
