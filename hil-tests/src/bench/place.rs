//! Where is measured: a folder on a real disk, and processor cores that can be told apart.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use crate::processes::build_folder;

/// `TMPFS_MAGIC` (linux/magic.h): a "disk" on which flushing costs nothing.
const TMPFS: u64 = 0x0102_1994;
/// `RAMFS_MAGIC` (linux/magic.h).
const RAMFS: u64 = 0x8584_58f6;

/// The folder that everything is measured in, made anew: `PESTLE_BENCH_DIR`, or `bench` beside the build.
///
/// # Errors
/// When it is not on a disk, or the disk refuses.
pub fn work_folder() -> Result<PathBuf> {
    let chosen = std::env::var_os("PESTLE_BENCH_DIR").map(PathBuf::from);
    let folder = chosen.unwrap_or_else(|| target().join("bench-work"));
    make_anew(&folder)?;
    let folder = fs::canonicalize(folder)?;
    let system = rustix::fs::statfs(&folder)?;
    if u64::try_from(system.f_type).is_ok_and(|kind| kind == TMPFS || kind == RAMFS) {
        bail!(
            "{} lies in memory, where nothing has to be flushed: name a folder on a disk in PESTLE_BENCH_DIR",
            folder.display()
        );
    }
    Ok(folder)
}

/// Where the report is written: `bench.json` in the build's folder.
pub fn report_file() -> PathBuf {
    target().join("bench.json")
}

/// The build's folder, `target`.
fn target() -> PathBuf {
    let programs = build_folder();
    programs.parent().map(Path::to_owned).unwrap_or(programs)
}

/// An empty folder.
///
/// # Errors
/// When the disk refuses.
pub fn make_anew(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("remove {}", folder.display()))
        }
        _ => fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display())),
    }
}

/// Two processor cores: the centre's, and the branch's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cores {
    /// Of gateway and PostgreSQL.
    pub centre: usize,
    /// Of what talks to them.
    pub branch: usize,
}

impl Cores {
    /// The first two that we may use.
    ///
    /// # Errors
    /// When there is but one.
    pub fn find() -> Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let list =
            status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
        match cores(list)[..] {
            [centre, branch, ..] => Ok(Self { centre, branch }),
            _ => bail!("centre and branch are measured on a processor core each, and there is only one here"),
        }
    }
}

/// Cores of a list as the kernel writes it: `0-3,8`.
fn cores(list: &str) -> Vec<usize> {
    let run = |run: &str| {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    list.split(',').filter_map(run).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_read_as_the_kernel_lists_them() {
        assert_eq!(cores("\t0-1\n"), [0, 1]);
        assert_eq!(cores("2,5-6"), [2, 5, 6]);
        assert!(cores("").is_empty());
    }
}
