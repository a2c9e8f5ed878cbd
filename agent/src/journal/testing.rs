//! What the journal's tests have in common.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Mutex,
};

use pestle_domain::{
    fact::{Act, Actor, ClockQuality, DeviceAttached, Stamp},
    ids::{ActId, FactId},
    journal::{Lane, Stream},
    units::UnixMillis,
};

use crate::durable_file::FileError;

/// Of a box in the north.
pub fn stream() -> Stream {
    Stream {
        tenant: "acme".parse().unwrap(),
        branch: "north".parse().unwrap(),
        term: 1,
        device: "box-1".parse().unwrap(),
        lane: Lane::Ledger,
        epoch: 1,
    }
}

/// A moment.
pub fn stamp() -> Stamp {
    Stamp {
        boot: "boot".into(),
        mono_ms: 1,
        wall_ms: UnixMillis(1_790_000_000_000),
        clock: ClockQuality::Free,
        business_date: "2026-11-21".parse().unwrap(),
    }
}

/// An act of `facts` small facts, named by `number`.
pub fn act(number: u128, facts: usize) -> Act {
    let body = || DeviceAttached { name: format!("scanner-{number}").into(), class: "scanner".into() }.into();
    let bodies = std::iter::repeat_with(body).take(facts).collect();
    let mut next = number << 16;
    Act::new(ActId(uuid::Uuid::from_u128(number)), &Actor::Machine, &stamp(), bodies, || {
        next += 1;
        FactId(uuid::Uuid::from_u128(next))
    })
}

/// What a test makes fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The sync at the end of a commit: the bytes are in the file, nobody knows whether on the disk.
    Sync,
    /// Setting a store's fence.
    Fence,
    /// Letting go of a store: it panics.
    Drop,
    /// The writer's thread: it panics with the acts in hand.
    Writer,
    /// A read of the 4 KiB block at this offset of a log.
    Read(u64),
}

/// Faults that are set, each for everything below a folder. Tests run side by side, each in its own folder.
static FAULTS: Mutex<Vec<(PathBuf, Fault)>> = Mutex::new(Vec::new());

/// From now on `fault` happens below `folder`.
pub fn set_fault(folder: &Path, fault: Fault) {
    FAULTS.lock().unwrap().push((folder.to_owned(), fault));
}

/// All faults below `folder` end.
pub fn clear_faults(folder: &Path) {
    FAULTS.lock().unwrap().retain(|(known, _)| known != folder);
}

fn is_set(path: &Path, fault: Fault) -> bool {
    FAULTS.lock().unwrap().iter().any(|(folder, known)| *known == fault && path.starts_with(folder))
}

/// What the disk says where `fault` is set.
///
/// # Errors
/// There.
pub fn fault(path: &Path, fault: Fault) -> Result<(), FileError> {
    if is_set(path, fault) {
        return Err(FileError::disk("use", path)(io::Error::from_raw_os_error(5)));
    }
    Ok(())
}

/// Panics where `fault` is set.
pub fn panic_at(path: &Path, fault: Fault) {
    assert!(!is_set(path, fault), "the test's fault");
}

/// What reading `length` bytes at `offset` says.
///
/// # Errors
/// Where a [`Fault::Read`] is set.
pub fn read_fault(path: &Path, offset: u64, length: usize) -> io::Result<()> {
    let end = offset + length as u64;
    let hit = FAULTS.lock().unwrap().iter().any(|(folder, known)| {
        matches!(known, Fault::Read(bad) if *bad < end && offset < bad + 4096) && path.starts_with(folder)
    });
    if hit { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
}
