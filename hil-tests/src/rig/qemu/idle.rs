//! What the agent takes when nothing happens, as the machine's kernel counts it.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};

use super::{QemuRig, guest::Guest};
use crate::rig::settings::Machine;

/// What a start has begun is over by then: the first snapshots, the first look at the centre, a screen that changes.
const SETTLED_AFTER: Duration = Duration::from_secs(90);
/// Looked at so often for so long: what comes once a minute comes into each.
const MINUTES: u64 = 3;
const WATCHED_S: u64 = 60;
/// Its folder in `/proc`.
const AGENT: &str = "/proc/$(systemctl show -p MainPID --value pestle-agent)";

/// For each thread: its number, nanoseconds that it ran, how often it was given a processor (`schedstat`, the kernel's
/// Documentation/scheduler/sched-stats.rst), and its name.
const THREADS: &str = r#"task/*; do read -r ran waited times < $task/schedstat && echo "${task##*/} $ran $times $(cat $task/comm)"; done"#;

/// The agent at rest.
#[derive(Debug)]
pub struct Idle {
    /// Millionths of one core.
    pub cpu_per_million: u64,
    /// Who takes it, the greatest first.
    pub threads: Vec<Thread>,
    /// Memory that only it has, and its part of what it shares, in KiB.
    pub pss_kib: u64,
    /// All memory of it that is in use, in KiB.
    pub rss_kib: u64,
}

/// A thread of it that is there from the beginning to the end.
#[derive(Debug)]
pub struct Thread {
    /// As the kernel knows it.
    pub name: String,
    /// Millionths of one core.
    pub cpu_per_million: u64,
    /// How often it runs, in a minute.
    pub runs_per_minute: u64,
}

/// Of one core, at the most: 1 %.
const CPU_PER_MILLION_MAX: u64 = 10_000;
/// All memory in use, at the most: 40 MiB.
const RSS_KIB_MAX: u64 = 40 * 1_024;

impl Idle {
    /// Whether both bounds are kept.
    pub const fn is_kept(&self) -> bool {
        self.cpu_per_million <= CPU_PER_MILLION_MAX && self.rss_kib <= RSS_KIB_MAX
    }
}

/// Starts a machine and watches its agent for three minutes, with all devices and nobody at the tills.
///
/// # Errors
/// The machine does not answer.
pub async fn watch(machine: Machine) -> Result<Idle> {
    let mut rig = QemuRig::at_rest(machine).await?;
    rig.power_on().await?;
    let mut guest = rig.guest().await?;
    tokio::time::sleep(SETTLED_AFTER).await;
    let threads_before = threads(&mut guest).await?;
    let before = used_ns(&mut guest).await?;
    for _ in 0..MINUTES {
        // By the machine's own clock: one in software may be slower than ours.
        guest.run(&format!("sleep {WATCHED_S}")).await?;
    }
    let took = used_ns(&mut guest).await? - before;
    let threads = between(&threads_before, threads(&mut guest).await?);
    let memory = guest.run(&format!("cat {AGENT}/smaps_rollup")).await?;
    let of = |name: &str| -> Result<u64> {
        let line = memory.lines().find(|line| line.starts_with(name)).context("no such line")?;
        Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
    };
    Ok(Idle { cpu_per_million: per_million(took), threads, pss_kib: of("Pss:")?, rss_kib: of("Rss:")? })
}

/// By the number of the thread: what it ran in nanoseconds, how often, and its name.
type Threads = BTreeMap<u32, (u64, u64, String)>;

async fn threads(guest: &mut Guest) -> Result<Threads> {
    let said = guest.run(&format!("for task in {AGENT}/{THREADS}")).await?;
    let thread = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let mut number = || words.next()?.parse::<u64>().ok();
        let (id, ran, times) = (number()?, number()?, number()?);
        Some((u32::try_from(id).ok()?, (ran, times, words.next()?.trim().to_owned())))
    };
    said.lines().map(|line| thread(line).with_context(|| format!("no thread: {line}"))).collect()
}

/// Of one core, while it was watched.
const fn per_million(nanoseconds: u64) -> u64 {
    nanoseconds / (MINUTES * WATCHED_S * 1_000)
}

fn between(before: &Threads, after: Threads) -> Vec<Thread> {
    let mut threads: Vec<Thread> = after
        .into_iter()
        .filter_map(|(id, (ran, times, name))| {
            let (ran_before, times_before, _) = before.get(&id)?;
            // A number that was given to another thread meanwhile may have counted less.
            Some(Thread {
                name,
                cpu_per_million: per_million(ran.checked_sub(*ran_before)?),
                runs_per_minute: times.checked_sub(*times_before)? / MINUTES,
            })
        })
        .collect();
    threads.sort_by_key(|thread| std::cmp::Reverse(thread.cpu_per_million));
    threads
}

/// What its control group has used, in nanoseconds: counted at each change of a task, where `/proc/PID/stat` may count by the tick
/// that a timer shares with who waits for it.
async fn used_ns(guest: &mut Guest) -> Result<u64> {
    let said = guest.run("systemctl show -p CPUUsageNSec --value pestle-agent").await?;
    said.trim().parse().with_context(|| format!("no count of nanoseconds: {said}"))
}
