//! What a machine without power has on its disk: its data partition, recovered as at a start of the box, and opened by
//! the agent's own code.

use std::{
    fs::{self, File},
    io,
    ops::Range,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context as _, Result, ensure};
use pestle_agent::{commands::show::show, config::Config, foundation::Foundation};
use pestle_domain::ids::ActId;
use tempfile::TempDir;

use super::replay::{BLOCK, Blocks};
use crate::power_cuts::account::Account;

/// The data partition's name in the disk's table (`images/disk.sh`).
const DATA: &str = "pestle-data";
/// GUID partition tables (UEFI 2.10, 5.3): entries of 128 bytes from sector 2, the first sector at 32, the name in UTF-16 at 56.
const SECTOR: u64 = 512;
const TABLE_AT: u64 = 2 * SECTOR;
const ENTRIES: usize = 128;
const ENTRY_BYTES: usize = 128;
/// Read at a time.
const PIECE: usize = 256 * BLOCK;

/// Where the data partition lies on a disk, to the disk's end: it grows there.
///
/// # Errors
/// The disk has none.
pub fn data_partition(disk: &Path) -> Result<Range<u64>> {
    let file = File::open(disk)?;
    let mut table = vec![0; ENTRIES * ENTRY_BYTES];
    file.read_exact_at(&mut table, TABLE_AT)?;
    let name: Vec<u8> = DATA.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let entry = table.chunks(ENTRY_BYTES).find(|entry| entry[56..].starts_with(&name));
    let entry = entry.with_context(|| format!("{} has no partition {DATA}", disk.display()))?;
    let first = u64::from_le_bytes(entry[32..40].try_into()?);
    Ok(first * SECTOR..file.metadata()?.len())
}

/// Reads a part of a disk.
///
/// # Errors
/// It cannot be read.
pub fn read(disk: &Path, part: &Range<u64>) -> io::Result<Blocks> {
    let file = File::open(disk)?;
    let mut blocks = Blocks::default();
    let mut bytes = vec![0; PIECE];
    let mut at = part.start;
    while at < part.end {
        let now = usize::try_from(part.end - at).unwrap_or(PIECE).min(PIECE);
        file.read_exact_at(&mut bytes[..now], at)?;
        blocks.push(at - part.start, &bytes[..now]);
        at += now as u64;
    }
    Ok(blocks)
}

/// A place for what was left, in memory where the machine has such a file system.
#[derive(Debug)]
pub struct Workplace {
    folder: TempDir,
    length: u64,
}

impl Workplace {
    /// For partitions of `length` bytes.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn new(length: u64) -> Result<Self> {
        let memory = Path::new("/dev/shm");
        let builder = || {
            let mut builder = tempfile::Builder::new();
            builder.prefix("pestle-left-");
            builder
        };
        let folder = if memory.is_dir() { builder().tempdir_in(memory) } else { builder().tempdir() }?;
        fs::create_dir(folder.path().join("mount"))?;
        Ok(Self { folder, length })
    }

    /// Has the file system in `blocks` recovered as the box does it, and the agent open its stores; compares them with what was told.
    /// `unheard` may be there or not.
    ///
    /// # Errors
    /// What does not come back, or differs.
    pub fn check(&self, blocks: &Blocks, account: &Account, unheard: &[ActId]) -> Result<Recovery> {
        let (data, recovery) = self.recovered(blocks)?;
        let opened = opened(&data).context("the stores do not open")?;
        account.compare(&opened, unheard).map_err(anyhow::Error::msg)?;
        Ok(recovery)
    }

    /// The data folder that lies in `blocks`, after the file system's own recovery: `e2fsck`, as systemd-fsck@.service calls it with
    /// `fsck.repair=yes` on the kernel's command line (`images/build.sh`), and the kernel's at the mount.
    fn recovered(&self, blocks: &Blocks) -> Result<(PathBuf, Recovery)> {
        let at = |name: &str| self.folder.path().join(name);
        let (image, mount, data) = (at("image"), at("mount"), at("data"));
        let _before = fs::remove_dir_all(&data);
        blocks.write_to(&File::create(&image)?, self.length)?;
        let recovery = check_file_system(&image)?;
        run("mount", &["-t".as_ref(), "ext4".as_ref(), "-o".as_ref(), "loop".as_ref(), &image, &mount])
            .context("the file system does not come back")?;
        let copied = run("cp", &["-r".as_ref(), &mount.join("agent"), &data]);
        run("umount", &[&mount])?;
        copied?;
        // What was recovered needs no repair.
        run("e2fsck", &["-fn".as_ref(), &image]).context("the file system is damaged")?;
        Ok((data, recovery))
    }

    /// Keeps what was looked at last in `folder`.
    ///
    /// # Errors
    /// There is no room.
    pub fn keep(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)?;
        run("cp", &["-r".as_ref(), "--sparse=always".as_ref(), self.folder.path(), folder])
    }
}

/// How a file system came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// It was whole, or its journal made it so.
    Journal,
    /// Its first superblock was torn, and a copy of it taken.
    OtherSuperblock,
}

/// e2fsck(8): 0 is no error, 1 is errors that were mended; systemd-fsck mounts after both.
const MENDED: i32 = 1;

fn check_file_system(image: &Path) -> Result<Recovery> {
    let output = call("e2fsck", &["-y".as_ref(), image])?;
    let said = said(&output);
    let comes_back = output.status.code().is_some_and(|code| code <= MENDED);
    ensure!(comes_back, "the file system does not come back: e2fsck ended with {}: {said}", output.status);
    Ok(if said.contains("trying backup blocks") { Recovery::OtherSuperblock } else { Recovery::Journal })
}

pub(super) fn run(program: &str, arguments: &[&Path]) -> Result<()> {
    let output = call(program, arguments)?;
    ensure!(output.status.success(), "{program} ended with {}: {}", output.status, said(&output));
    Ok(())
}

fn call(program: &str, arguments: &[&Path]) -> Result<Output> {
    // Debian has some of them where only root looks.
    let path = "/usr/sbin:/usr/bin:/sbin:/bin";
    Command::new(program)
        .args(arguments)
        .env("PATH", path)
        .env("LC_ALL", "C")
        .output()
        .context(program.to_owned())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&*output.stdout, &*output.stderr].concat()).trim().to_owned()
}

/// Opens the stores as the agent does, and says what stands in the journal as `pestle-agent journal show` does.
fn opened(data: &Path) -> Result<String> {
    let config = data.with_extension("toml");
    fs::write(
        &config,
        format!("data_dir = {data:?}\n[[till]]\nid = \"till-1\"\n[[till]]\nid = \"till-2\"\n"),
    )?;
    let config = Config::load(Some(&config))?;
    let foundation = Foundation::open(&config)?;
    let mut shown = Vec::new();
    let read = show(&foundation.ledger, &mut shown);
    let persons = foundation.persons(&config).map(drop);
    let found = foundation.found();
    foundation.close();
    read?;
    persons?;
    ensure!(found.is_none(), "a power cut is told as damage: {found:?}");
    Ok(String::from_utf8(shown)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where ext4 has its superblock, and how long that is; disks write its halves one after the other.
    const SUPERBLOCK: Range<u64> = 1_024..2_048;

    /// As `images/disk.sh` makes it, in small.
    fn file_system(folder: &Path) -> PathBuf {
        let image = folder.join("image");
        File::create(&image).unwrap().set_len(256 << 20).unwrap();
        let options = ["-q", "-b", "4096", "-J", "size=32"].map(Path::new);
        run("mkfs.ext4", &[&options[..], &[&image]].concat()).unwrap();
        image
    }

    #[test]
    fn a_torn_superblock_is_taken_from_its_copy() {
        let folder = tempfile::tempdir().unwrap();
        let image = file_system(folder.path());
        assert_eq!(check_file_system(&image).unwrap(), Recovery::Journal);
        let file = File::options().read(true).write(true).open(&image).unwrap();
        let mut half = [0; 512];
        file.read_exact_at(&mut half, SUPERBLOCK.start).unwrap();
        // When it was written last (ext4's layout: s_wtime at 0x30): any change breaks its check sum.
        half[0x30] ^= 1;
        file.write_all_at(&half, SUPERBLOCK.start).unwrap();
        assert!(
            run("e2fsck", &["-p".as_ref(), &image]).is_err(),
            "the repair that nobody is asked about dares it"
        );
        assert_eq!(check_file_system(&image).unwrap(), Recovery::OtherSuperblock);
        assert_eq!(check_file_system(&image).unwrap(), Recovery::Journal);
    }

    #[test]
    fn what_is_no_file_system_does_not_come_back() {
        let folder = tempfile::tempdir().unwrap();
        let image = file_system(folder.path());
        let file = File::options().write(true).open(&image).unwrap();
        file.write_all_at(&vec![0x5a; 200 << 20], 0).unwrap();
        check_file_system(&image).unwrap_err();
    }
}
