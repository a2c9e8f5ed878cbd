//! What happens to the centre and to the line: killed at its worst moments, restored from an old copy, out of reach.

use std::path::Path;

use anyhow::{Context, ensure};
use pestle_gateway::config::PrivateDatabase;
use pestle_gateway::postgres::{PrivateCluster, cluster, settings::Purpose};
use sqlx::Connection as _;

use super::super::owner::Owner;
use super::super::till::Pack;
use super::{AT_THE_CENTRE, Story};
use crate::centre::Centre;
use crate::demo_data::BRANCHES;
use crate::network::Weather;
use crate::processes::tool;
use crate::waiting::until;

/// Bytes that pass before the gateway is killed: more than a TLS handshake takes, less than the backlog of ten sales.
const HALF_A_BATCH: u64 = 12_000;

/// Whether a box that lost power between the loss of the centre's database and its return sends again what the centre
/// has lost: the incarnation that it heard of last is on its disk.
const INCARNATION_OUTLIVES_THE_BOX: bool = true;

/// A pulled cable is noticed by the silence: MQTT's keep-alive, half as long again, and the machine's own business.
const SILENCE_NOTICED_WITHIN: std::time::Duration = std::time::Duration::from_secs(120);

/// Facts of a sale without discrepancies: `sale.completed`, `till.received`, `stock.sold`, `drawer.opened`, and then
/// `print.completed`.
const FACTS_OF_A_SALE: u64 = 5;

/// The account that PostgreSQL runs as when we are root; as `database.run_as` has it by default.
const RUN_AS: &str = "postgres";

impl Story<'_> {
    async fn some_sales(&mut self, sales: usize) -> anyhow::Result<()> {
        for _ in 0..sales {
            let article = self.article()?;
            self.north.sell(&[Pack::good(article)?]).await?;
        }
        Ok(())
    }

    async fn owner(&self) -> anyhow::Result<Owner> {
        Owner::of(&self.world.place).await
    }

    pub(super) async fn gateway_returns(&mut self) -> anyhow::Result<()> {
        self.world.restart_gateway().await?;
        self.centre = Centre::of(self.world).await?;
        Ok(())
    }

    /// The line breaks in the middle of a batch, and the gateway dies before the batch can come again. Hands back how
    /// many facts the box alone had.
    pub(super) async fn killed_half_way(&mut self, sales: usize) -> anyhow::Result<u64> {
        self.north.branch.set_line(Weather::Reset);
        self.some_sales(sales).await?;
        self.north.settled().await?;
        let head = self.north.counter.ledger_head().await?;
        self.north.branch.https.heal();
        let cable = &self.north.branch.mqtt;
        cable.set(Weather::BreakAfter { bytes: HALF_A_BATCH });
        until("the line to break in the middle of a batch", AT_THE_CENTRE, || {
            let broken = cable.weather() == Weather::FAIR;
            std::future::ready(if broken { Ok(()) } else { Err(format!("{:?}", cable.weather())) })
        })
        .await?;
        // The line stays down, so that nothing comes while the database is asked.
        cable.set(Weather::Reset);
        self.world.gateway.lock().await.kill();
        let lacked = self.owner().await?.lacks(BRANCHES[0], head).await?;
        self.some_sales(1).await.context("selling while the centre is dead")?;
        cable_heals(self);
        self.gateway_returns().await?;
        self.all_equal().await?;
        Ok(lacked)
    }

    /// A batch has come whole and is in a transaction that cannot end, since somebody holds the stream's row: then the
    /// gateway dies. Hands back how many facts the box alone had.
    pub(super) async fn killed_while_booking(&mut self) -> anyhow::Result<u64> {
        let (mut holder, mut observer) = (self.owner().await?, self.owner().await?);
        holder.hold_streams(BRANCHES[0]).await?;
        self.some_sales(2).await?;
        let watched = tokio::sync::Mutex::new(&mut observer);
        until("the batch to be in a transaction", AT_THE_CENTRE, || async {
            let waiting = watched.lock().await.waiting_for_locks().await;
            match waiting.map_err(|error| format!("{error:#}"))? {
                0 => Err("no transaction waits for the stream".to_owned()),
                _ => Ok(()),
            }
        })
        .await?;
        let head = self.north.counter.ledger_head().await?;
        self.world.gateway.lock().await.kill();
        let lacked = observer.lacks(BRANCHES[0], head).await?;
        drop(holder);
        self.some_sales(1).await.context("selling while the centre is dead")?;
        self.gateway_returns().await?;
        self.all_equal().await?;
        Ok(lacked)
    }

    pub(super) async fn database_killed(&mut self) -> anyhow::Result<()> {
        self.world.gateway.lock().await.kill_database()?;
        self.some_sales(3).await.context("selling while the database is dead")?;
        self.all_equal().await
    }

    /// What the centre books after its copy was made is lost with the restore; the raised incarnation tells the boxes.
    pub(super) async fn restored(&mut self) -> anyhow::Result<()> {
        let kept = self.world.place.folder().join("centre.kept");
        let cluster = self.world.place.cluster().to_owned();
        self.all_equal().await?;
        self.world.gateway.lock().await.stop().await;
        copy(&cluster, &kept).await?;
        self.gateway_returns().await?;
        self.some_sales(3).await?;
        self.all_equal().await.context("before the restore")?;
        let head = self.north.counter.ledger_head().await?;
        self.world.gateway.lock().await.stop().await;
        std::fs::remove_dir_all(&cluster)?;
        copy(&kept, &cluster).await?;
        raise_incarnation(&cluster).await?;
        if INCARNATION_OUTLIVES_THE_BOX {
            // What the box last heard of the centre must be on its disk.
            self.north.settled().await?;
            self.north.power_cut().await?;
        }
        self.gateway_returns().await?;
        // Nobody sells anything meanwhile: the box finds out by itself.
        self.all_equal().await.context("after the restore")?;
        self.some_sales(1).await?;
        self.all_equal().await.context("after the next sale")?;
        let committed = self.owner().await?.committed(BRANCHES[0], head.epoch).await?;
        ensure!(committed >= head.seq, "{committed} of {} facts came again", head.seq);
        std::fs::remove_dir_all(&kept)?;
        Ok(())
    }

    pub(super) async fn without_network(&mut self, sales: usize) -> anyhow::Result<()> {
        self.north.settled().await?;
        self.north.branch.set_line(Weather::Blackhole);
        self.some_sales(sales).await?;
        self.north.settled().await?;
        self.north.offline_with(sales as u64 * FACTS_OF_A_SALE, SILENCE_NOTICED_WITHIN).await?;
        self.north.branch.set_line(Weather::FAIR);
        Ok(())
    }
}

fn cable_heals(story: &Story<'_>) {
    story.north.branch.set_line(Weather::FAIR);
}

/// Copies a stopped cluster with its owners and rights, as an administrator does.
async fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let words = ["--archive", "--no-target-directory"].map(str::to_owned);
    let paths = [from.display().to_string(), to.display().to_string()];
    let words: Vec<&str> = words.iter().chain(&paths).map(String::as_str).collect();
    tool(Path::new("/bin/cp"), &words, "").await?;
    Ok(())
}

/// What the operations manual has an administrator do after a restore, before the gateway starts.
async fn raise_incarnation(folder: &Path) -> anyhow::Result<()> {
    let private =
        PrivateDatabase { program_dir: None, cluster_dir: folder.to_owned(), run_as: RUN_AS.to_owned() };
    let cluster = PrivateCluster::start(&private, Purpose::Serve).await?;
    let raised = async {
        let options = cluster.access().root(cluster::DATABASE);
        let mut owner = sqlx::PgConnection::connect_with(&options).await?;
        sqlx::query("SELECT ingest.raise_incarnation()").execute(&mut owner).await?;
        owner.close().await
    };
    let raised = raised.await;
    cluster.stop().await;
    Ok(raised?)
}
