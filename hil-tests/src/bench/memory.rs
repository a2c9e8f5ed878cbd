//! What a process takes of memory, as the kernel counts it.

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};

/// Memory is settled when it has not grown for so long.
const STILL_FOR: Duration = Duration::from_secs(3);
/// Or after so long, whatever it does.
const SETTLED_WITHIN: Duration = Duration::from_secs(30);
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Resident memory (VmRSS) in MiB once it does not grow any more.
///
/// # Errors
/// When the process has ended.
pub async fn settled_mib(id: u32) -> Result<f64> {
    let began = Instant::now();
    let (mut most, mut since) = (0, Instant::now());
    while since.elapsed() < STILL_FOR && began.elapsed() < SETTLED_WITHIN {
        let now = kib(id, "VmRSS")?;
        if now > most {
            (most, since) = (now, Instant::now());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(mib(kib(id, "VmRSS")? * 1024))
}

/// The largest resident memory that the process ever had (VmHWM), in MiB.
///
/// # Errors
/// When it has ended.
pub fn peak_mib(id: u32) -> Result<f64> {
    Ok(mib(kib(id, "VmHWM")? * 1024))
}

fn kib(id: u32, what: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).context("the process has ended")?;
    kib_of(&status, what).with_context(|| format!("no {what} in /proc/<pid>/status"))
}

/// `proc_pid_status(5)`: `VmRSS:     1234 kB`.
fn kib_of(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Bytes as MiB, for people.
#[allow(clippy::cast_precision_loss, clippy::float_arithmetic, reason = "a size for people")]
pub fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_s_memory_is_read_from_its_status() {
        let status = "Name:\tpestle-agent\nVmRSSx:\t1 kB\nVmRSS:\t   20480 kB\nThreads:\t4\n";
        assert_eq!(kib_of(status, "VmRSS"), Some(20_480));
        assert_eq!(kib_of(status, "VmSwap"), None);
    }
}
