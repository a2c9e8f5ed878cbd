//! A backlog of 200,000 facts (50,000 sales) from a real agent on one core to "committed" at a real gateway with its
//! PostgreSQL on the other. Against ingest alone on that core, fed with the very batches.
//!
//! The clock of the relay starts when the agent's TCP connection to the broker stands, so that TLS, MQTT and the
//! statement of heads count and the folding of the journal at start-up does not; it stops when the centre's own row
//! of the stream says that the last fact is committed.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use pestle_domain::ids::DeviceId;
use pestle_gateway::postgres::{
    Layout,
    cluster::{self, Access},
};
use sqlx::{Connection as _, PgConnection};

use super::{
    backlog::Backlog,
    branch_box::BranchBox,
    feed::{Job, keep_batches},
    helper::Helper,
    place::Cores,
    report::{Reach, Row, short},
    sample,
    stats::{Scale, Spread, per_second},
};
use crate::{
    processes::{Keeper, Process, build_folder},
    waiting::until,
    world::{Gateway, Place, seed},
};

/// Sales that wait: 200,000 facts.
const SALES: u64 = 50_000;
/// The branch, one of the demo's: only its name counts here.
const BRANCH: &str = "north";
/// Longest wait for a link, and for all of a backlog.
const LINK_WITHIN: Duration = Duration::from_secs(120);
const DRAINED_WITHIN: Duration = Duration::from_secs(600);

/// Measures in `folder`.
///
/// # Errors
/// When a program does not start, or a fact does not arrive.
pub async fn measure(folder: &Path, cores: Cores, scale: Scale) -> Result<Row> {
    let centre = Centre::start(&folder.join("relay"), cores).await?;
    let feeding = folder.join("relay-alone");
    let arguments = ["feed".as_ref(), feeding.as_os_str()];
    let (mut alone, ()) = Helper::start(arguments, Some(&feeding), cores.centre).await?;
    let (mut rounds, mut starts, mut batches) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=scale.rounds as u64 {
        let round = one_round(&centre, &mut alone, folder, cores, run, scale).await?;
        rounds.push((round.relay, round.alone));
        starts.push(round.start_s);
        batches.push(round.batches);
    }
    drop(alone);
    centre.end().await?;
    let name = "relay: backlog to committed at the centre";
    Ok(Row::against(name, "facts/s", "ingest alone", &rounds, Reach::AtLeast(0.7))
        .noting(format!(
            "{} facts a round and a new box each; gateway with PostgreSQL on core {}, agent on core {}",
            scale.of(SALES) * sample::FACTS_PER_SALE,
            cores.centre,
            cores.branch
        ))
        .noting(format!(
            "from the agent's TCP connection on; before it, its start with that backlog took {} s",
            short(Spread::of(&starts).median)
        ))
        .noting(format!(
            "batches, by the relay and to ingest alone: {}",
            batches.iter().map(|(sent, fed)| format!("{sent}/{fed}")).collect::<Vec<_>>().join(", ")
        )))
}

struct Round {
    relay: f64,
    alone: f64,
    start_s: f64,
    /// Sent by the relay, those that it sent again included; fed to ingest alone.
    batches: (u64, usize),
}

async fn one_round(
    centre: &Centre,
    alone: &mut Helper,
    folder: &Path,
    cores: Cores,
    run: u64,
    scale: Scale,
) -> Result<Round> {
    let claim = seed::claim(&centre.gateway, BRANCH).await?;
    let branch_box = BranchBox::enrol(&folder.join("relay-box"), &centre.gateway.url()?, &claim).await?;
    let backlog = Backlog::write(&branch_box.folder, branch_box.stream(), run, scale.of(SALES)).await?;
    let (job, fed) = keep_job(folder, &branch_box, &backlog).await?;
    backlog.close().await;
    let seq = job.head.seq;
    // They take turns at being first.
    let (drained, alone_s) = if run.is_multiple_of(2) {
        let drained = centre.drain(&branch_box, cores.branch, seq).await?;
        (drained, alone.ask::<f64>(&job).await?)
    } else {
        let alone_s = alone.ask::<f64>(&job).await?;
        (centre.drain(&branch_box, cores.branch, seq).await?, alone_s)
    };
    fs::remove_dir_all(&branch_box.folder)?;
    Ok(Round {
        relay: per_second(seq, drained.took),
        alone: per_second(seq, Duration::from_secs_f64(alone_s)),
        start_s: drained.start.as_secs_f64(),
        batches: (drained.batches, fed),
    })
}

async fn keep_job(folder: &Path, branch_box: &BranchBox, backlog: &Backlog) -> Result<(Job, usize)> {
    let signing = &branch_box.identity.signing;
    let path: PathBuf = folder.join("relay-batches");
    let batches = backlog.batches(signing).await?;
    keep_batches(&path, &batches)?;
    let (stream, key) = (branch_box.stream(), signing.public().clone());
    Ok((Job { stream, key, head: backlog.head(), batches: path }, batches.len()))
}

/// The real gateway on its core.
struct Centre {
    gateway: Gateway,
    place: Place,
    keeper: Keeper,
    mqtt_port: u16,
}

struct Drained {
    start: Duration,
    took: Duration,
    batches: u64,
}

impl Centre {
    async fn start(folder: &Path, cores: Cores) -> Result<Self> {
        let place = Place::at(folder)?;
        crate::world::gateway::stop_left_postmaster(&place);
        place.begin_anew()?;
        let keeper = Keeper::of_place(&build_folder().join("pestle-demo"), place.kept()?)?;
        let mut gateway = Gateway::prepare(&place, &place.remembered()?, &keeper)?;
        gateway.pin_to(cores.centre);
        gateway.start().await?;
        seed::centre(&gateway, &place).await?;
        let (_, mqtt) = gateway.sockets()?;
        Ok(Self { gateway, place, keeper, mqtt_port: mqtt.port() })
    }

    /// Starts the box's agent and waits until the centre has everything up to `seq`.
    async fn drain(&self, branch_box: &BranchBox, core: usize, seq: u64) -> Result<Drained> {
        let access = Access::read(&Layout::under(self.place.cluster()))?;
        let mut owner = PgConnection::connect_with(&access.root(cluster::DATABASE)).await?;
        sqlx::raw_sql("CHECKPOINT").execute(&mut owner).await?;
        let links = links_to(self.mqtt_port)?;
        let began = Instant::now();
        let mut agent = branch_box.start(core, &self.keeper)?;
        let linked = until("the link to the broker", LINK_WITHIN, || {
            let stands = links_to(self.mqtt_port).is_ok_and(|now| now > links);
            std::future::ready(
                alive(&mut agent).and_then(|()| if stands { Ok(()) } else { Err("no link".into()) }),
            )
        })
        .await;
        linked.with_context(|| branch_box.log_tail())?;
        let start = began.elapsed();
        let device = branch_box.stream().device;
        let asked = tokio::sync::Mutex::new(&mut owner);
        let drained = until("the last fact at the centre", DRAINED_WITHIN, || async {
            let mut owner = asked.lock().await;
            let reached = committed(&mut owner, &device).await.map_err(|error| error.to_string())?;
            if reached >= seq { Ok(()) } else { Err(format!("{reached} of {seq} facts")) }
        })
        .await;
        drained.with_context(|| branch_box.log_tail())?;
        let took = began.elapsed().saturating_sub(start);
        let web = branch_box.ready(&mut agent).await?;
        let batches = batches_sent(&web).await?;
        agent.stop().await;
        sqlx::raw_sql("CHECKPOINT").execute(&mut owner).await?;
        owner.close().await?;
        Ok(Drained { start, took, batches })
    }

    async fn end(mut self) -> Result<()> {
        self.gateway.stop().await;
        Ok(self.place.remove()?)
    }
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
async fn committed(owner: &mut PgConnection, device: &DeviceId) -> Result<u64> {
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
