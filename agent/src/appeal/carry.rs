//! Carries everything over into the epoch that a person decided on, before anything else of the box runs.

use std::path::Path;

use pestle_domain::{
    causes::with_causes,
    fact::{BoxBooksIncomplete, Stamp},
    journal::Lane,
};

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

/// Builds the plan's epoch and writes down that it is built: from then on it is finished, whatever happens. Where that cannot be done the
/// plan is given up, as far as the disk lets it be, and the journals are as they were; one that stays is begun again at the
/// next start. Blocks on the disk.
///
/// # Errors
/// [`FileError`] alone where nobody knows whether it was written down: nothing may be recorded. The inner one says why not, where
/// the box can go on as it was.
pub fn decide(
    data_dir: &Path,
    plan: &Plan,
    journals: (&Journal, &Journal),
    stamp: &Stamp,
) -> Result<Result<Plan, CarryError>, FileError> {
    let built = build(data_dir, plan, journals, stamp);
    let error = match built.and_then(|built| built.write(data_dir).map(|()| built).map_err(CarryError::File))
    {
        Ok(built) => return Ok(Ok(built)),
        Err(error) => error,
    };
    Plan::take_back(data_dir)?;
    if let Err(error) = give_up(data_dir, [journals.0, journals.1]) {
        let why = with_causes(&error);
        tracing::error!(
            "what was built for a plan that cannot be carried out could not be thrown away: {why}"
        );
    }
    Ok(Err(error))
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
        lanes.push(Swapped {
            lane: journal.stream().lane,
            epochs: built.epochs,
            acts: built.acts,
            left_out: built.left_out,
        });
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
    let left_out: Vec<_> =
        lanes.iter().flat_map(|lane| lane.left_out.iter().map(|range| (lane.lane, range))).collect();
    Ok(Some(format!(
        "{acts} acts were recorded once more in epoch {}, as it was decided at the centre; the records before it are kept aside.{}",
        plan.epoch,
        left_out_in_words(&left_out)
    )))
}

fn left_out_in_words(left_out: &[(Lane, &BoxBooksIncomplete)]) -> String {
    if left_out.is_empty() {
        return String::new();
    }
    let one = |(lane, range): &(Lane, &BoxBooksIncomplete)| {
        format!("{} facts {} to {} of epoch {}", lane.as_str(), range.from, range.to, range.epoch)
    };
    let ranges: Vec<_> = left_out.iter().map(one).collect();
    format!(" Not among them, since they cannot be read: {}. Call support.", ranges.join(", "))
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
    use pestle_domain::journal::Stream;

    use super::*;
    use crate::journal::{
        Limits, Settings,
        testing::{act, stamp, stream},
    };

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

    #[test]
    fn a_plan_that_cannot_be_carried_out_stops_nothing_even_where_it_cannot_be_thrown_away() {
        for broken in
            ["journal/ledger/building", "journal/telemetry/building", "journal/carry-over.json.part"]
        {
            let folder = tempfile::tempdir().unwrap();
            let data = folder.path();
            let open = |lane: Lane| {
                let settings = Settings {
                    folder: data.join("journal").join(lane.as_str()),
                    stream: Stream { lane, ..stream() },
                    limits: Limits::default(),
                };
                Journal::open(settings, &stamp()).unwrap().0
            };
            let (ledger, telemetry) = (open(Lane::Ledger), open(Lane::Telemetry));
            ledger.append_blocking(act(1, 2).into()).unwrap();
            let plan = Plan { epoch: 7, stage: Stage::Build };
            plan.write(data).unwrap();
            // What stands there is in the way of whatever is to be written or removed.
            let in_the_way = data.join(broken);
            if broken.ends_with(".part") {
                std::fs::create_dir(&in_the_way).unwrap();
            } else {
                std::fs::write(&in_the_way, "").unwrap();
            }
            decide(data, &plan, (&ledger, &telemetry), &stamp()).unwrap().unwrap_err();
            ledger.append_blocking(act(2, 2).into()).unwrap();
            let left = Plan::read(data).unwrap();
            assert!(left.is_none_or(|left| left.stage == Stage::Build), "{broken}: nothing is swapped");
            ledger.close_blocking();
            telemetry.close_blocking();
        }
    }

    #[test]
    fn what_could_not_be_carried_is_named() {
        assert_eq!(left_out_in_words(&[]), "");
        let range = BoxBooksIncomplete { epoch: 2, from: 5, to: 9 };
        let words = left_out_in_words(&[(Lane::Ledger, &range)]);
        assert!(words.contains("ledger facts 5 to 9 of epoch 2"), "{words}");
    }
}
