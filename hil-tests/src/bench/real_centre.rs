//! The real gateway with its PostgreSQL on its core, and how a box's backlog is drained into it.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use pestle_domain::ids::DeviceId;
use pestle_gateway::postgres::{
    Layout,
    cluster::{self, Access},
};
use sqlx::{Connection as _, PgConnection};

use super::{branch_box::BranchBox, memory, place::Cores};
use crate::{
    processes::{Keeper, Process, build_folder},
    waiting::until,
    world::{Gateway, Place, seed},
};

/// Longest wait for a link, and for all of a backlog.
const LINK_WITHIN: Duration = Duration::from_secs(120);
const DRAINED_WITHIN: Duration = Duration::from_secs(600);

/// See the module.
#[derive(Debug)]
pub struct RealCentre {
    /// The gateway.
    pub gateway: Gateway,
    /// Ends its processes, whatever becomes of us.
    pub keeper: Keeper,
    place: Place,
    mqtt_port: u16,
}

/// A backlog that went to the centre.
#[derive(Debug)]
pub struct Drained {
    /// From the agent's start to its TCP connection.
    pub start: Duration,
    /// From there to the centre's own word that the last fact is committed.
    pub took: Duration,
    /// That the agent sent, those that it sent again included.
    pub batches: u64,
    /// The agent's largest resident memory, in MiB, its start included, until it is asked to stop.
    pub peak_mib: f64,
}

impl RealCentre {
    /// A new one in `folder`, with the demo's chain.
    ///
    /// # Errors
    /// When a program does not start.
    pub async fn start(folder: &Path, cores: Cores) -> Result<Self> {
        let place = Place::at(folder)?;
        crate::world::gateway::stop_left_postmaster(&place);
        place.begin_anew()?;
        let keeper = Keeper::of_place(&build_folder().join("pestle-demo"), place.kept()?)?;
        let mut gateway = Gateway::prepare(&place, &place.remembered()?, &keeper)?;
        gateway.pin_to(cores.centre);
        gateway.start().await?;
        seed::centre(&gateway, &place).await?;
        let (_, mqtt) = gateway.sockets()?;
        Ok(Self { gateway, keeper, place, mqtt_port: mqtt.port() })
    }

    /// Enrols a new box of that branch of the demo in `folder`.
    ///
    /// # Errors
    /// With the tools' own words.
    pub async fn enrol(&self, folder: &Path, branch: &str) -> Result<BranchBox> {
        let claim = seed::claim(&self.gateway, branch).await?;
        BranchBox::enrol(folder, &self.gateway.url()?, &claim).await
    }

    /// The database as its owner, whom no row-level security holds up.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn owner(&self) -> Result<PgConnection> {
        Ok(PgConnection::connect_with(&self.access()?.root(cluster::DATABASE)).await?)
    }

    /// The same as a URL.
    ///
    /// # Errors
    /// When the cluster was never made.
    pub fn owner_dsn(&self) -> Result<String> {
        Ok(self.access()?.dsn_root(cluster::DATABASE))
    }

    fn access(&self) -> Result<Access> {
        Ok(Access::read(&Layout::under(self.place.cluster()))?)
    }

    /// Starts the box's agent and waits until the centre has everything up to `seq`.
    ///
    /// # Errors
    /// When the agent ends, or a fact does not arrive.
    pub async fn drain(&self, branch_box: &BranchBox, core: usize, seq: u64) -> Result<Drained> {
        let mut owner = self.owner().await?;
        sqlx::raw_sql("CHECKPOINT").execute(&mut owner).await?;
        let (mut agent, start) = start_linked(branch_box, core, &self.keeper, self.mqtt_port).await?;
        let began = Instant::now();
        let device = branch_box.stream().device;
        let asked = tokio::sync::Mutex::new(&mut owner);
        let drained = until("the last fact at the centre", DRAINED_WITHIN, || async {
            let mut owner = asked.lock().await;
            let reached = committed(&mut owner, &device).await.map_err(|error| error.to_string())?;
            if reached >= seq { Ok(()) } else { Err(format!("{reached} of {seq} facts")) }
        })
        .await;
        drained.with_context(|| branch_box.log_tail())?;
        let took = began.elapsed();
        let web = branch_box.ready(&mut agent).await?;
        let batches = batches_sent(&web).await?;
        let peak_mib = memory::peak_mib(agent.id())?;
        agent.stop().await;
        sqlx::raw_sql("CHECKPOINT").execute(&mut owner).await?;
        owner.close().await?;
        Ok(Drained { start, took, batches, peak_mib })
    }

    /// Ends it and forgets it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub async fn end(mut self) -> Result<()> {
        self.gateway.stop().await;
        Ok(self.place.remove()?)
    }
}

/// Starts the box's agent, and waits until its TCP connection to the broker at `mqtt_port` stands; how long that took.
///
/// # Errors
/// When the agent ends instead.
pub async fn start_linked(
    branch_box: &BranchBox,
    core: usize,
    keeper: &Keeper,
    mqtt_port: u16,
) -> Result<(Process, Duration)> {
    let links = links_to(mqtt_port)?;
    let began = Instant::now();
    let mut agent = branch_box.start(core, keeper)?;
    let linked = until("the link to the broker", LINK_WITHIN, || {
        let stands = links_to(mqtt_port).is_ok_and(|now| now > links);
        std::future::ready(
            alive(&mut agent).and_then(|()| if stands { Ok(()) } else { Err("no link".into()) }),
        )
    })
    .await;
    linked.with_context(|| branch_box.log_tail())?;
    Ok((agent, began.elapsed()))
}

/// The agent's own counter of batches that it has handed to the link.
async fn batches_sent(web: &str) -> Result<u64> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let text = client.get(format!("{web}/metrics")).send().await?.error_for_status()?.text().await?;
    counted(&text, "batches").context("the agent's metrics do not tell the batches of its relay")
}

/// `pestle_agent_relay{what="batches"} 17`, with or without the `_total` that a counter has.
fn counted(metrics: &str, what: &str) -> Option<u64> {
    let label = format!("{{what=\"{what}\"}}");
    let line =
        metrics.lines().find(|line| line.starts_with("pestle_agent_relay") && line.contains(&label))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

fn alive(agent: &mut Process) -> Result<(), String> {
    agent.ended().map_or(Ok(()), |status| Err(format!("the agent ended with {status}")))
}

/// Up to where the centre has committed the box's ledger.
///
/// # Errors
/// When the database does not answer.
pub async fn committed(owner: &mut PgConnection, device: &DeviceId) -> Result<u64> {
    let seq: Option<i64> =
        sqlx::query_scalar("SELECT head_seq FROM ingest.stream WHERE device_id = $1 AND lane = 'ledger'")
            .bind(device.as_str())
            .fetch_optional(owner)
            .await?;
    Ok(u64::try_from(seq.unwrap_or_default())?)
}

/// TCP connections that stand towards a port of this machine.
fn links_to(port: u16) -> Result<usize> {
    Ok(count_links(&fs::read_to_string("/proc/net/tcp")?, port))
}

/// `proc_pid_net(5)`: number, local address, remote address, state (01 is established), all in hexadecimal.
fn count_links(table: &str, port: u16) -> usize {
    let suffix = format!(":{port:04X}");
    let stands = |line: &&str| {
        let mut fields = line.split_whitespace().skip(2);
        fields.next().is_some_and(|remote| remote.ends_with(&suffix)) && fields.next() == Some("01")
    };
    table.lines().skip(1).filter(stands).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_relay_s_batches_are_read_from_the_agent_s_metrics() {
        let metrics =
            "# HELP x\npestle_agent_relay{what=\"facts\"} 9\npestle_agent_relay{what=\"batches\"} 17\n";
        assert_eq!(counted(metrics, "batches"), Some(17));
        assert_eq!(counted(metrics, "rewinds"), None);
    }

    #[test]
    fn only_connections_that_stand_and_lead_to_the_port_are_counted() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue\n\
                     \x20  0: 0100007F:22B3 00000000:0000 0A 00000000:00000000\n\
                     \x20  1: 0100007F:A1B2 0100007F:22B3 01 00000000:00000000\n\
                     \x20  2: 0100007F:22B3 0100007F:A1B2 01 00000000:00000000\n\
                     \x20  3: 0100007F:A1B4 0100007F:22B3 06 00000000:00000000\n";
        assert_eq!(count_links(table, 0x22b3), 1);
    }
}
