//! Carries everything over into the epoch that a person decided on, before anything else of the box runs.

use std::path::Path;

use pestle_domain::fact::Stamp;

use super::plan::{Plan, Stage, Swapped, journals};
use crate::{
    counter::{
        fold::FoldError,
        rebase::{self, RebaseError},
    },
    durable_file::FileError,
    journal::{Journal, JournalError, Place, carry},
};

/// What must stay free beside what is built, in bytes: the box goes on selling in it.
const SPARE_BYTES: u64 = 64 * 1024 * 1024;

/// Why nothing was carried over. Everything is as it was then.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// The number was used here before: another store would stand under one name again.
    #[error(
        "epoch {given} cannot be used: this box has been in epoch {highest}. Have another number given at the centre's console"
    )]
    Used {
        /// As it was given.
        given: u32,
        /// The highest of this box.
        highest: u32,
    },
    /// There is no room for the acts to stand on the disk twice.
    #[error(
        "the disk has {free_mib} MiB free, and {needed_mib} are needed to record everything once more. Free the disk or \
         replace it, then decide again at the centre's console"
    )]
    NoRoom {
        /// What there is.
        free_mib: u64,
        /// What it takes.
        needed_mib: u64,
    },
    /// How much room there is cannot be told.
    #[error("the room on the disk cannot be measured")]
    Measure(#[source] std::io::Error),
    /// The journal.
    #[error("the journal cannot be carried over")]
    Journal(#[from] JournalError),
    /// The disk.
    #[error(transparent)]
    File(#[from] FileError),
    /// The books.
    #[error(transparent)]
    Books(#[from] FoldError),
    /// Their checkpoint.
    #[error(transparent)]
    Rebase(#[from] RebaseError),
}

/// Refuses a number that cannot be this box's next. Pure.
///
/// # Errors
/// [`CarryError::Used`].
pub fn check_number(given: u32, highest: u32) -> Result<(), CarryError> {
    if given > highest { Ok(()) } else { Err(CarryError::Used { given, highest }) }
}

/// Refuses where what is built would fill the disk: `bytes` are what the acts take now. Pure.
///
/// # Errors
/// [`CarryError::NoRoom`].
pub fn check_room(bytes: u64, free: u64) -> Result<(), CarryError> {
    const MIB: u64 = 1024 * 1024;
    let needed = bytes.saturating_add(bytes / 4).saturating_add(SPARE_BYTES);
    if free >= needed {
        return Ok(());
    }
    Err(CarryError::NoRoom { free_mib: free / MIB, needed_mib: needed.div_ceil(MIB) })
}

/// The highest epoch that a box's journals have.
pub fn highest_epoch(journals: &[&Journal]) -> u32 {
    journals.iter().flat_map(|journal| journal.epochs()).map(|epoch| epoch.stream.epoch).max().unwrap_or(0)
}

/// Builds the plan's epoch beside both journals, and the books' checkpoints for it; the plan's next stage is handed back and is not
/// written yet. The journals are only read. Blocks on the disk.
///
/// # Errors
/// [`CarryError`]; what was built is thrown away by [`give_up`].
pub fn build(
    data_dir: &Path,
    plan: &Plan,
    (ledger, telemetry): (&Journal, &Journal),
    stamp: &Stamp,
) -> Result<Plan, CarryError> {
    check_number(plan.epoch, highest_epoch(&[ledger, telemetry]))?;
    let bytes = carry::bytes_of(ledger.folder())? + carry::bytes_of(telemetry.folder())?;
    let disk = rustix::fs::statvfs(data_dir).map_err(|error| CarryError::Measure(error.into()))?;
    check_room(bytes, disk.f_bavail * disk.f_frsize)?;
    let mut lanes = Vec::new();
    for journal in [ledger, telemetry] {
        let built = carry::build(journal, plan.epoch, stamp)?;
        if journal.stream().lane == ledger.stream().lane {
            let place = Place { epoch: plan.epoch, seq: built.head.seq };
            rebase::stage(&data_dir.join("counter"), ledger, (built.store, place, built.head))?;
        }
        lanes.push(Swapped { lane: journal.stream().lane, epochs: built.epochs, acts: built.acts });
    }
    Ok(Plan { epoch: plan.epoch, stage: Stage::Swap { lanes } })
}

/// Puts what was built into its place, and drops the plan: may be repeated until it comes to its end. No journal may be open.
/// Says what was done. Blocks on the disk.
///
/// # Errors
/// [`FileError::Disk`].
pub fn swap(data_dir: &Path, plan: &Plan) -> Result<Option<String>, FileError> {
    let Stage::Swap { lanes } = &plan.stage else { return Ok(None) };
    for Swapped { lane, epochs, .. } in lanes {
        carry::swap(&journals(data_dir).join(lane.as_str()), plan.epoch, epochs)?;
    }
    rebase::adopt(&data_dir.join("counter"))?;
    Plan::drop_from(data_dir)?;
    let acts: u64 = lanes.iter().map(|lane| lane.acts).sum();
    Ok(Some(format!(
        "{acts} acts were recorded once more in epoch {}, as it was decided at the centre; the records before it are kept aside.",
        plan.epoch
    )))
}

/// Throws away what was built for a plan that cannot be carried out. Blocks on the disk.
///
/// # Errors
/// [`FileError::Disk`].
pub fn give_up(data_dir: &Path, journals: [&Journal; 2]) -> Result<(), FileError> {
    Plan::drop_from(data_dir)?;
    rebase::give_up(&data_dir.join("counter"))?;
    journals.into_iter().try_for_each(|journal| carry::give_up(journal.folder()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_the_box_has_used_is_refused_with_what_to_do() {
        assert!(check_number(4, 3).is_ok());
        for given in [0, 2, 3] {
            let said = check_number(given, 3).unwrap_err().to_string();
            assert!(said.contains("another number"), "{said}");
        }
    }

    #[test]
    fn what_would_fill_the_disk_is_not_begun() {
        const MIB: u64 = 1024 * 1024;
        assert!(check_room(100 * MIB, 189 * MIB).is_ok());
        let said = check_room(100 * MIB, 188 * MIB).unwrap_err().to_string();
        assert!(said.contains("188 MiB") && said.contains("189 are needed"), "{said}");
        assert!(check_room(u64::MAX, u64::MAX - 1).is_err());
    }
}
