//! What stands around the agent in the appliance's own system, as its kernel says it, and what a box keeps of itself when its power goes.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tokio::time::Instant;
use uuid::Uuid;

use crate::rig::Rig;

/// Its control group, where the kernel counts and holds it (cgroups(7)).
const GROUP: &str = "/sys/fs/cgroup/pestle.slice/pestle-agent.service";
/// Only CAP_NET_BIND_SERVICE, the tenth (capabilities(7)): its pages are at 443.
const BIND_ONLY: &str = "0000000000000400";
/// What the kernel says of its process (proc_pid_status(5)). Its system calls are filtered, and no program that it starts gets more.
const STATUS: [(&str, &str); 7] = [
    ("NoNewPrivs", "1"),
    ("Seccomp", "2"),
    ("CapInh", BIND_ONLY),
    ("CapPrm", BIND_ONLY),
    ("CapEff", BIND_ONLY),
    ("CapBnd", BIND_ONLY),
    ("CapAmb", BIND_ONLY),
];
/// What systemd does for it (`images/package/systemd/pestle-agent.service`), as systemctl(1) shows it.
const UNIT: [(&str, &str); 16] = [
    ("User", "pestle"),
    ("MemoryHigh", "201326592"),
    ("MemoryMax", "268435456"),
    ("TasksMax", "128"),
    ("WatchdogUSec", "30s"),
    ("Restart", "always"),
    ("NoNewPrivileges", "yes"),
    ("ProtectSystem", "strict"),
    ("ProtectHome", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("PrivateTmp", "yes"),
    ("RestrictNamespaces", "yes"),
    ("RestrictSUIDSGID", "yes"),
    ("MemoryDenyWriteExecute", "yes"),
    ("DevicePolicy", "closed"),
];
/// The devices that it may open, and no others; the clock's is for reading, and comes with `ProtectClock`.
const DEVICES: [&str; 6] =
    ["char-input rw", "char-rtc r", "char-ttyACM rw", "char-ttyS rw", "char-ttyUSB rw", "char-usb rw"];
/// Whose devices those are, and its own.
const GROUPS: [&str; 4] = ["dialout", "lp", "pestle", "pestle-input"];
/// What is mounted where: partition, folder in it, file system, and options that it must have (`images/root/etc/fstab`).
const MOUNTS: [(&str, &str, &[&str]); 5] = [
    ("/", "pestle-a / erofs", &["ro"]),
    ("/data", "pestle-data / ext4", &["rw", "nosuid", "nodev", "noexec"]),
    ("/var/lib/pestle", "pestle-data /agent ext4", &["rw", "nosuid", "nodev", "noexec"]),
    ("/var/lib/systemd/timesync", "pestle-data /timesync ext4", &["rw", "nosuid", "nodev", "noexec"]),
    ("/etc/pestle", "pestle-data /etc ext4", &["ro", "nosuid", "nodev", "noexec"]),
];

/// What the kernel, systemd and the mounts say; and where that can be tried, that it is so.
pub(super) async fn around_the_agent(rig: &mut dyn Rig) -> Result<()> {
    of_the_process(rig).await?;
    of_the_unit(rig).await?;
    of_the_mounts(rig).await?;
    // From where the agent stands: only its own folder can be written to, and the disk beneath cannot be read.
    let as_it_sees = "nsenter --mount --target=$(systemctl show --property=MainPID --value pestle-agent)";
    let touch = |folder: &str| format!("{as_it_sees} sh -c 'touch {folder}/tried && rm {folder}/tried'");
    rig.inside(&touch("/var/lib/pestle")).await?;
    let read_disk = "head --bytes=1 /dev/vda | wc --bytes";
    // Who may: the check can fail.
    rig.inside("touch /data/log/tried && rm /data/log/tried").await?;
    ensure!(rig.inside(read_disk).await?.trim() == "1", "root itself cannot read the disk");
    refused(rig, &touch("/data/log"), "Read-only file system").await?;
    refused(rig, &touch("/usr"), "Read-only file system").await?;
    refused(rig, "touch /usr/tried", "Read-only file system").await?;
    let in_its_group = format!("sh -c 'echo $$ > {GROUP}/cgroup.procs && {read_disk}'");
    let said = rig.inside(&in_its_group).await?;
    ensure!(said.contains("Operation not permitted"), "the agent may read the disk: {said}");
    Ok(())
}

async fn of_the_process(rig: &mut dyn Rig) -> Result<()> {
    let ask = "cat /proc/$(systemctl show --property=MainPID --value pestle-agent)/status";
    let said = rig.inside(ask).await?;
    let of = |name: &str| -> Result<String> {
        let line = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let words = line.with_context(|| format!("no {name} in {said}"))?.split_whitespace();
        Ok(words.collect::<Vec<_>>().join(" "))
    };
    for (name, wanted) in STATUS {
        let is = of(name)?;
        ensure!(is == wanted, "the kernel says of the agent {name} {is}, and not {wanted}");
    }
    let own = rig.inside("id --user pestle").await?.trim().to_owned();
    let all_own = [own.as_str(); 4].join(" ");
    ensure!(own != "0" && of("Uid")? == all_own, "the agent runs as {}, and not as {own}", of("Uid")?);
    let ask = format!("getent group {} | cut --delimiter=: --fields=3 | sort --numeric", GROUPS.join(" "));
    let groups = rig.inside(&ask).await?.split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(of("Groups")? == groups, "the agent is in the groups {}, and not {groups}", of("Groups")?);
    Ok(())
}

async fn of_the_unit(rig: &mut dyn Rig) -> Result<()> {
    let said = rig.inside("systemctl show pestle-agent").await?;
    for (name, wanted) in UNIT {
        let is = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        ensure!(is == Some(wanted), "systemd says of the agent {name}={is:?}, and not {wanted}");
    }
    let mut devices: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("DeviceAllow=")).collect();
    devices.sort_unstable();
    ensure!(devices == DEVICES, "the agent may open {devices:?}");
    // And the kernel was told.
    let held = rig.inside(&format!("cat {GROUP}/memory.max {GROUP}/pids.max")).await?;
    ensure!(held.split_whitespace().eq(["268435456", "128"]), "its group holds the agent to {held}");
    Ok(())
}

async fn of_the_mounts(rig: &mut dyn Rig) -> Result<()> {
    for (folder, wanted, options) in MOUNTS {
        let ask =
            format!("findmnt --noheadings --output=PARTLABEL,FSROOT,FSTYPE,OPTIONS --mountpoint {folder}");
        let said = rig.inside(&ask).await?;
        let words: Vec<_> = said.split_whitespace().collect();
        let (place, has) = words.split_at(words.len().saturating_sub(1));
        ensure!(place.join(" ") == wanted, "at {folder} there is {said}");
        let has: Vec<_> = has.iter().flat_map(|has| has.split(',')).collect();
        ensure!(options.iter().all(|option| has.contains(option)), "{folder} is mounted with {has:?}");
    }
    Ok(())
}

/// The command fails, and these words say why.
async fn refused(rig: &mut dyn Rig, command: &str, words: &str) -> Result<()> {
    let tried = rig.inside(command).await;
    let Err(error) = tried else { bail!("`{command}` was done") };
    ensure!(error.to_string().contains(words), "`{command}` failed for another reason: {error:#}");
    Ok(())
}

/// The floor is kept once a minute (`SaveIntervalSec` in `images/root/etc/systemd/timesyncd.conf.d/pestle.conf`), and a start takes its time.
const KEPT_WITHIN: Duration = Duration::from_secs(120);
/// Then it is on the disk: twice ext4's commit interval of five seconds (ext4(5)).
const ON_DISK_AFTER_S: u64 = 10;
/// Where the floor is: the file's own time (systemd-timesyncd.service(8)).
const ASK_FLOOR: &str = "stat --format=%Y /var/lib/systemd/timesync/clock";
const ASK_CLOCK: &str = "date +%s";
/// What `images/root/usr/lib/pestle/data-folders` says.
const CLOCK_SET: &str = "it goes on from the last time that was kept";
/// The first thing that the agent said, by the clock of then (journalctl(1), `short-unix`).
const ASK_AGENT_BEGAN: &str =
    "journalctl --no-pager --output=short-unix --unit=pestle-agent | head -n 1 | cut -d . -f 1";
/// How old a floor may be that was kept since the start: one of the image's making is months old.
const FLOOR_AGE_S_MAX: u64 = 600;

/// The log lies in memory; what pestle-log-tail has kept of it is there after the cut. The machine's clock begins years back, and the system's not
/// before what was kept of it.
pub(super) async fn clock_and_log(rig: &mut dyn Rig) -> Result<()> {
    let mark = Uuid::now_v7().to_string();
    ensure!(rig.inside("systemctl is-active pestle-log-tail.timer").await?.trim() == "active");
    // As its timer does every few minutes.
    let write = format!("echo {mark} | systemd-cat && journalctl --sync");
    rig.inside(&format!("{write} && systemctl start pestle-log-tail")).await?;
    let marked = number(rig, ASK_CLOCK).await?;
    let floor = kept_floor(rig, marked).await?;
    rig.cut_power_and_clock().await?;
    let hardware = number(rig, "cat /sys/class/rtc/rtc0/since_epoch").await?;
    ensure!(hardware < floor, "the machine's own clock says {hardware}, as if it had a battery");
    let clock = number(rig, ASK_CLOCK).await?;
    ensure!(clock >= floor, "the system's clock says {clock}, and {floor} was kept");
    // From what was kept, and not by a time server that the bench may reach; before the agent, which dates what people do.
    let said = rig.inside("journalctl --no-pager --output=cat --unit=pestle-data").await?;
    ensure!(said.contains(CLOCK_SET), "the clock was set by something else: {said}");
    let agent_began = number(rig, ASK_AGENT_BEGAN).await?;
    ensure!(agent_began >= floor, "the agent began at {agent_began}, and {floor} was kept");
    let count = format!("journalctl --no-pager | grep --count {mark}");
    let kept_in = format!("grep --files-with-matches {mark} /data/log/log.*");
    let files = rig.inside(&format!("{count}; {kept_in}")).await?;
    let (in_memory, kept) = files.split_once('\n').context("two answers")?;
    ensure!(in_memory == "0", "the log of before the cut is still in memory: was there a cut?");
    ensure!(kept.lines().count() == 1, "the line of before the cut is kept in {kept:?}");
    Ok(())
}

/// Waits until a floor, and what was written until `since`, lie on the disk.
async fn kept_floor(rig: &mut dyn Rig, since: u64) -> Result<u64> {
    let deadline = Instant::now() + KEPT_WITHIN;
    loop {
        let (floor, clock) = (number(rig, ASK_FLOOR).await?, number(rig, ASK_CLOCK).await?);
        let is_on_disk = clock >= floor.max(since) + ON_DISK_AFTER_S;
        if is_on_disk && floor + FLOOR_AGE_S_MAX > clock {
            return Ok(floor);
        }
        ensure!(Instant::now() < deadline, "at {clock} the last floor is {floor}");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn number(rig: &mut dyn Rig, ask: &str) -> Result<u64> {
    let said = rig.inside(ask).await?;
    said.trim().parse().with_context(|| format!("`{ask}` says {said:?}"))
}
