//! A second process of this program, held on one core, that does jobs: what is pinned must not share a runtime with
//! what is not.
//!
//! The parent writes a job as a line of JSON to the helper's standard input, and the helper answers each with a line.
//! It ends when its input does.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
};

use crate::world::{Place, gateway::stop_left_postmaster};

/// How long a helper may take to end once it has no more jobs: the last one goes on until it is done, and a PostgreSQL
/// writes its checkpoint.
const END_WITHIN: Duration = Duration::from_secs(30);

/// `sysconf(_SC_CLK_TCK)` of Linux on every platform that Debian has: `/proc/<pid>/stat` counts in these.
const TICKS_PER_SECOND: f64 = 100.0;

/// A helper as its parent holds it.
#[derive(Debug)]
pub struct Helper {
    child: Child,
    jobs: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Where it keeps a PostgreSQL, if it does.
    world: Option<PathBuf>,
}

impl Helper {
    /// Starts this program with `arguments` on `core`, and hands back what it says once it is ready. `world` is where it
    /// keeps a PostgreSQL of its own, should it do so.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start<R: DeserializeOwned>(
        arguments: impl IntoIterator<Item = impl AsRef<OsStr>>,
        world: Option<&Path>,
        core: usize,
    ) -> Result<(Self, R)> {
        let mut child = Command::new("taskset")
            .arg("-c")
            .arg(core.to_string())
            .arg(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Ctrl-C at the terminal reaches us alone; the helper ends when its input does.
            .process_group(0)
            .spawn()
            .context("start a helper with taskset")?;
        let jobs = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("the helper has no output")?);
        let mut helper = Self { child, jobs, answers, world: world.map(Path::to_owned) };
        let ready = helper.hear().await?;
        Ok((helper, ready))
    }

    /// Has it do a job, and waits until it is done.
    ///
    /// # Errors
    /// What went wrong there.
    pub async fn ask<A: DeserializeOwned>(&mut self, job: &impl Serialize) -> Result<A> {
        let mut line = serde_json::to_vec(job)?;
        line.push(b'\n');
        let jobs = self.jobs.as_mut().context("the helper has ended")?;
        jobs.write_all(&line).await?;
        jobs.flush().await?;
        self.hear().await
    }

    async fn hear<A: DeserializeOwned>(&mut self) -> Result<A> {
        let mut line = String::new();
        if self.answers.read_line(&mut line).await? == 0 {
            bail!("the helper has ended; what it said stands above");
        }
        let answer: Result<A, String> = serde_json::from_str(&line)?;
        answer.map_err(|error| anyhow!("a helper said: {error}"))
    }

    /// Seconds of processor time that it has used.
    ///
    /// # Errors
    /// When it has ended.
    #[allow(clippy::float_arithmetic, reason = "a time in seconds")]
    pub fn busy_s(&self) -> Result<f64> {
        let id = self.child.id().context("the helper has ended")?;
        let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
        Ok(f64::from(busy_ticks(&stat).context("/proc/<pid>/stat has another form")?) / TICKS_PER_SECOND)
    }
}

/// `proc_pid_stat(5)`: the fields behind the name in brackets begin with the third; 14 and 15 are user and system time.
fn busy_ticks(stat: &str) -> Option<u32> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<u32>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.jobs.take());
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if begun.elapsed() > END_WITHIN {
                // It hangs. What it leaves behind is ended in its place.
                let _ = self.child.start_kill();
                if let Some(Ok(place)) = self.world.as_deref().map(Place::at) {
                    stop_left_postmaster(&place);
                    let _ = place.remove();
                }
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// A helper's own side: says `ready`, then does each job, until there are no more.
///
/// # Errors
/// When nobody listens any more, or a job cannot be read.
pub async fn work<J: DeserializeOwned, A: Serialize>(
    ready: impl Serialize,
    mut job: impl AsyncFnMut(J) -> Result<A>,
) -> Result<()> {
    tell(&Ok(ready))?;
    // Nothing else happens on this thread while it waits for the next job.
    for line in io::stdin().lines() {
        let done = job(serde_json::from_str(&line?)?).await;
        tell(&done.map_err(|error| format!("{error:#}")))?;
    }
    Ok(())
}

fn tell(done: &Result<impl Serialize, String>) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, done)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_a_process_used_is_read_behind_its_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 0 0 0 120 30 0 0 20 0 1 0 5 6 7";
        assert_eq!(busy_ticks(stat), Some(150));
        assert_eq!(busy_ticks("7"), None);
    }
}
