//! How long the box takes from its power button to a page that sells, beside a plain Debian to its login in the same machine
//! (`hil-tests/stock-debian.sh`).

use std::{
    fmt, fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};

use super::{
    QemuRig,
    machine::{Running, Start},
};
use crate::{bench::stats::Spread, processes::tool, rig::settings::Machine, waiting::until};

/// What Debian's login says (agetty(8), `/etc/issue`).
const LOGIN: &[u8] = b"login:";
/// The agent's unit, asked by systemd's own clock.
const ASK_THE_UNIT: &str = "systemctl show pestle-agent -p ExecMainStartTimestampMonotonic \
                            -p ExecMainHandoffTimestampMonotonic -p ActiveEnterTimestampMonotonic";

/// Starts that were measured, in turns.
#[derive(Debug)]
pub struct BootReport {
    /// The power button to a page that sells, in seconds.
    pub box_s: Spread,
    /// The power button to a login of plain Debian, in seconds.
    pub debian_s: Spread,
    /// What systemd does for the agent before it is executed: its sandbox; in seconds of the machine's clock.
    pub sandbox_s: Spread,
    /// The agent's own part: from its execution to "ready", likewise.
    pub agent_s: Spread,
}

/// The box's time in Debian's, at the most.
const RATIO_MAX: f64 = 1.5;
/// The agent's own part, at the most.
const AGENT_S_MAX: f64 = 1.0;

impl BootReport {
    /// The box's time in Debian's.
    #[allow(clippy::float_arithmetic, reason = "a ratio of measurements")]
    pub fn ratio(&self) -> f64 {
        self.box_s.median / self.debian_s.median
    }

    /// Whether both bounds are kept.
    pub fn is_kept(&self) -> bool {
        self.ratio() <= RATIO_MAX && self.agent_s.median <= AGENT_S_MAX
    }
}

impl fmt::Display for BootReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |of: &Spread| format!("{:.2} s ({:.2} to {:.2})", of.median, of.min, of.max);
        writeln!(formatter, "power button to a page that sells  {}", seconds(&self.box_s))?;
        writeln!(formatter, "plain Debian to its login          {}", seconds(&self.debian_s))?;
        writeln!(formatter, "ratio                              {:.2}, at most {RATIO_MAX}", self.ratio())?;
        writeln!(formatter, "the sandbox that systemd makes     {}", seconds(&self.sandbox_s))?;
        write!(
            formatter,
            "the agent's own part               {}, at most {AGENT_S_MAX} s",
            seconds(&self.agent_s)
        )
    }
}

/// Measures `rounds` starts of each, in turns, after one of each that does not count.
///
/// # Errors
/// One of them does not start.
pub async fn measure(machine: Machine, stock: &Path, rounds: usize) -> Result<BootReport> {
    ensure!(rounds > 0, "at least one start is measured");
    let mut ours = QemuRig::new(machine.clone()).await?;
    let debian = QemuRig::new(machine).await?;
    fs::metadata(stock).with_context(|| {
        format!("{} is not there: make it with hil-tests/stock-debian.sh", stock.display())
    })?;
    let [mut box_s, mut debian_s, mut sandbox_s, mut agent_s] = [const { Vec::new() }; 4];
    for round in 0..=rounds {
        let login = to_login(&debian, stock).await?;
        ours.power_on().await?;
        let (sandbox, agent) = agent_part(&ours).await?;
        ours.power_off();
        if round > 0 {
            box_s.push(ours.booted_in.as_secs_f64());
            debian_s.push(login.as_secs_f64());
            sandbox_s.push(sandbox.as_secs_f64());
            agent_s.push(agent.as_secs_f64());
        }
    }
    Ok(BootReport {
        box_s: Spread::of(&box_s),
        debian_s: Spread::of(&debian_s),
        sandbox_s: Spread::of(&sandbox_s),
        agent_s: Spread::of(&agent_s),
    })
}

/// Each start with the disk as it was made: a machine whose power is taken leaves a repair to the next.
async fn to_login(rig: &QemuRig, stock: &Path) -> Result<Duration> {
    let disk = rig.disk().display().to_string();
    tool(Path::new("/bin/cp"), &["--sparse=always", &stock.display().to_string(), &disk], "").await?;
    let pressed = Instant::now();
    let start = Start::default();
    let mut running = Running::start(&rig.settings, rig.place.path(), &rig.site, &rig.keeper, start).await?;
    let within = Duration::from_secs(rig.settings.boot_within_s);
    let console = running.console.clone();
    let seen = until("a login of plain Debian", within, || async {
        let said = fs::read(&console).map_err(|error| error.to_string())?;
        let there = said.windows(LOGIN.len()).any(|window| window == LOGIN);
        there
            .then_some(())
            .ok_or_else(|| String::from_utf8_lossy(&said[said.len().saturating_sub(500)..]).into())
    });
    let seen = seen.await;
    let took = pressed.elapsed();
    running.cut();
    seen?;
    Ok(took)
}

/// Before its execution, and from there to "ready".
async fn agent_part(rig: &QemuRig) -> Result<(Duration, Duration)> {
    let said = rig.guest().await?.run(ASK_THE_UNIT).await?;
    let of = |name: &str| -> Result<u64> {
        let line = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        Ok(line.with_context(|| format!("no {name} in {said}"))?.trim().parse()?)
    };
    let (forked, executed) =
        (of("ExecMainStartTimestampMonotonic")?, of("ExecMainHandoffTimestampMonotonic")?);
    let ready = of("ActiveEnterTimestampMonotonic")?;
    let between = |from: u64, to: u64| to.checked_sub(from).map(Duration::from_micros);
    let parts = between(forked, executed).zip(between(executed, ready));
    parts.context("the agent was ready before it began")
}
