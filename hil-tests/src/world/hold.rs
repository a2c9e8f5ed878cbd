//! Who works in a place: one program at a time, and whoever comes second is told who was first.
//!
//! The hold is a lock (flock(2)) on the file that marks the place. A world's [`crate::processes::Keeper`] shares it, so
//! that a place is free only once what its dead program left behind has ended too.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::WorldError;
use crate::processes::DRAIN;

/// How long a place is waited for whose program has ended: its keeper ends what is left, within [`DRAIN`], and then the
/// database.
const KEEPER_WITHIN: Duration = Duration::from_secs(DRAIN.as_secs() + 25);

/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Takes the hold of the place that `mark` marks.
///
/// # Errors
/// [`WorldError::Held`] when a living program has it, or the disk refuses.
pub(super) fn take(mark: &Path, folder: &Path) -> Result<File, WorldError> {
    let begun = Instant::now();
    loop {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(mark)
            .map_err(WorldError::disk("open", mark))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            // Whoever had it may have removed the place just now: then this file is nobody's mark any more.
            Ok(()) if !is_at(&file, mark) => {}
            Ok(()) => {
                sign(&mut file).map_err(WorldError::disk("write", mark))?;
                return Ok(file);
            }
            Err(Errno::WOULDBLOCK) => {
                let holder = Holder::of(mark);
                let is_ending = holder.is_gone() || holder.process == std::process::id();
                if !is_ending || begun.elapsed() > KEEPER_WITHIN {
                    let Holder { process, who } = holder;
                    return Err(WorldError::Held { who, process, folder: folder.to_owned() });
                }
                std::thread::sleep(LOOK_EVERY);
            }
            Err(error) => return Err(WorldError::disk("lock", mark)(error.into())),
        }
    }
}

/// Whether `file` is what stands at `path` now.
pub(super) fn is_at(file: impl AsFd, path: &Path) -> bool {
    let (Ok(held), Ok(there)) = (rustix::fs::fstat(file), fs::metadata(path)) else { return false };
    (held.st_dev, held.st_ino) == (there.dev(), there.ino())
}

fn sign(file: &mut File) -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().take(2).collect();
    let name = who(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{} {name}", std::process::id())
}

/// What a program calls itself to the one that comes second. Pure.
fn who(arguments: &[&str]) -> &'static str {
    let program = arguments.first().map(|path| path.rsplit('/').next().unwrap_or(path));
    match (program, arguments.get(1)) {
        (Some("pestle-demo"), Some(&"run")) => "the demo",
        (Some("pestle-demo"), Some(&"check")) => "a demo-check",
        (Some("pestle-demo"), Some(&"clean")) => "a demo-clean",
        (Some("pestle-bench"), _) => "a bench",
        _ => "a test",
    }
}

/// Who signed the mark.
struct Holder {
    process: u32,
    who: String,
}

impl Holder {
    fn of(mark: &Path) -> Self {
        let text = fs::read_to_string(mark).unwrap_or_default();
        let (process, who) = text.trim().split_once(' ').unwrap_or_default();
        let who = if who.is_empty() { "another program" } else { who };
        Self { process: process.parse().unwrap_or_default(), who: who.to_owned() }
    }

    /// It has ended, or is but waiting for its parent to notice (`Z` in `proc_pid_stat(5)`).
    fn is_gone(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process)).unwrap_or_default();
        stat.rsplit_once(')').is_none_or(|(_, fields)| fields.trim_start().starts_with('Z'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_called_by_what_it_was_asked_for() {
        assert_eq!(who(&["target/debug/pestle-demo", "run"]), "the demo");
        assert_eq!(who(&["/x/pestle-demo", "clean"]), "a demo-clean");
        assert_eq!(who(&["pestle-bench", "--quick"]), "a bench");
        assert_eq!(who(&["/x/deps/it-0123"]), "a test");
    }

    #[test]
    fn the_second_is_refused_with_the_first_one_s_name_and_comes_in_once_that_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("mark");
        let first = take(&mark, folder.path()).unwrap();
        // As if another program had it: process 1 lives.
        fs::write(&mark, "1 the demo\n").unwrap();
        let said = take(&mark, folder.path()).unwrap_err().to_string();
        assert!(said.contains("the demo runs") && said.contains("process 1"), "{said}");
        assert!(said.contains("end it first"), "{said}");
        drop(first);
        let second = take(&mark, folder.path()).unwrap();
        assert!(is_at(&second, &mark));
        // A place that was removed and made again is free for the next.
        fs::remove_file(&mark).unwrap();
        assert!(!is_at(&second, &mark));
        take(&mark, folder.path()).unwrap();
    }
}
