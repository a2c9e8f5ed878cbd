//! Where is measured: a folder on a real disk, and processor cores that can be told apart.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};
use uuid::Uuid;

use crate::processes::build_folder;

/// `TMPFS_MAGIC` (linux/magic.h): a "disk" on which flushing costs nothing.
const TMPFS: u64 = 0x0102_1994;
/// `RAMFS_MAGIC` (linux/magic.h).
const RAMFS: u64 = 0x8584_58f6;

/// The folder that everything is measured in: a new one each time, removed when this is dropped. Nothing else is ever
/// removed.
#[derive(Debug)]
pub struct WorkFolder(PathBuf);

impl WorkFolder {
    /// A new one in `PESTLE_BENCH_DIR`, or beside the build.
    ///
    /// # Errors
    /// When it is not on a disk, or the disk refuses.
    pub fn make() -> Result<Self> {
        let chosen = std::env::var_os("PESTLE_BENCH_DIR").map(PathBuf::from);
        Self::make_in(&chosen.unwrap_or_else(target))
    }

    fn make_in(parent: &Path) -> Result<Self> {
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        let parent = fs::canonicalize(parent)?;
        let system = rustix::fs::statfs(&parent)?;
        if u64::try_from(system.f_type).is_ok_and(|kind| kind == TMPFS || kind == RAMFS) {
            bail!(
                "{} lies in memory, where nothing has to be flushed: name a folder on a disk in PESTLE_BENCH_DIR",
                parent.display()
            );
        }
        let folder = parent.join(format!("pestle-bench-{}", Uuid::now_v7()));
        fs::create_dir(&folder).with_context(|| format!("create {}", folder.display()))?;
        Ok(Self(folder))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        // What is left is named after us, and in nobody's way.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Where the report is written: `bench.json` in the build's folder.
pub fn report_file() -> PathBuf {
    target().join("bench.json")
}

/// The build's folder, `target`.
pub(super) fn target() -> PathBuf {
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
    fn only_the_folder_that_was_made_is_removed() {
        // On a disk, as the work tree is; `/tmp` may lie in memory.
        let parent = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let mine = parent.path().join("letters.txt");
        fs::write(&mine, "not the bench's").unwrap();
        let (one, other) =
            (WorkFolder::make_in(parent.path()).unwrap(), WorkFolder::make_in(parent.path()).unwrap());
        assert_ne!(one.path(), other.path());
        fs::write(one.path().join("left"), "").unwrap();
        drop((one, other));
        let left: Vec<_> = fs::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert_eq!(fs::read_to_string(&mine).unwrap(), "not the bench's");
    }

    #[test]
    fn cores_are_read_as_the_kernel_lists_them() {
        assert_eq!(cores("\t0-1\n"), [0, 1]);
        assert_eq!(cores("2,5-6"), [2, 5, 6]);
        assert!(cores("").is_empty());
    }
}
