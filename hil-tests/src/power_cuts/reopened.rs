//! A journal as one would write it from sled's documentation, for proofs of the harness: one store that is opened again at
//! each start. The product does not do this: what its own journal reads after a cut needs no `conf` (ADR 0007).

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::Path,
    thread,
};

use anyhow::{Context as _, Result, anyhow};

use super::{
    acts::{self, Size},
    history::{Event, History},
    record::{FOLDER, Recording},
    script::{Recorder, Script},
};
use crate::disk::{mount::Mount, plain::Plain, state::Disk};
use crate::seeded::Seeded;

/// Acts that are recorded before the cuts.
const ACTS: u32 = 40;

/// Records acts in such a journal on a disk that is mounted at `path`. With `conf_synced` all that sled made is synced
/// once; without it all but its `conf`.
///
/// # Errors
/// sled does not work even with power, or the disk cannot be mounted.
pub fn record(path: &Path, conf_synced: bool) -> Result<Recording> {
    let disk = Disk::recording(Plain::empty());
    let mount = Mount::at(path, &disk)?;
    let recorder = Recorder::new(disk.clone());
    let folder = path.join(FOLDER);
    let played = play(&folder, conf_synced, &recorder);
    mount.end()?;
    played?;
    let trace = disk.take_trace();
    let (initial, earlier) = (Plain::empty(), Vec::new());
    Ok(Recording { script: Script::Small, initial, earlier, trace, events: recorder.into_events() })
}

fn play(folder: &Path, conf_synced: bool, recorder: &Recorder) -> Result<()> {
    fs::create_dir(folder)?;
    let store = open(folder)?;
    store.flush()?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if conf_synced || !path.ends_with("conf") {
            File::open(&path)?.sync_all()?;
        }
    }
    File::open(folder)?.sync_all()?;
    File::open(folder.parent().unwrap_or(folder))?.sync_all()?;
    let log = File::options().write(true).open(folder.join("db"))?;
    for number in 0..ACTS {
        recorder.tell(Event::Submitted { number });
        store.insert(number.to_be_bytes(), acts::act(number, Size::Small).attachment)?;
        store.flush()?;
        log.sync_data()?;
        let head = pestle_domain::journal::Head::EMPTY;
        recorder.tell(Event::Told { number, first: u64::from(number), head });
    }
    Ok(())
}

/// sled panics on some of what a cut leaves.
fn open(folder: &Path) -> Result<sled::Db> {
    let config = sled::Config::new().path(folder).flush_every_ms(None);
    let opened = thread::spawn(move || config.open()).join();
    opened.map_err(|_| anyhow!("sled panicked"))?.context("sled does not open it")
}

/// Makes a cut, opens the store as the journal would, and says whether it opens with all that had been told.
///
/// # Errors
/// There is no room in `folder`.
pub fn survives(recording: &Recording, cut: usize, seed: u64, folder: &Path) -> io::Result<bool> {
    let history = History::of(&recording.told_at(cut));
    recording.model_at(cut).cut(&mut Seeded::new(seed)).write(folder)?;
    let numbers = || -> Result<BTreeSet<u32>> {
        if history.told.is_empty() {
            return Ok(BTreeSet::new());
        }
        let store = open(&folder.join(FOLDER))?;
        let keys = store.iter().keys().map(|key| Ok(u32::from_be_bytes(key?.as_ref().try_into()?)));
        keys.collect()
    };
    let survived = numbers().is_ok_and(|found| history.told.keys().all(|number| found.contains(number)));
    fs::remove_dir_all(folder)?;
    Ok(survived)
}
