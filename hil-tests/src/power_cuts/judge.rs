//! The real journal opens what a power cut left, and what it says is compared with what had been told.

use std::{collections::BTreeSet, path::Path};

use pestle_agent::journal::{Journal, JournalError, Limits, OpenReport, Place, Settings, StoredAct};
use pestle_domain::journal::Head;

use super::{
    acts::{self, Size},
    history::History,
};

/// The number of the act that is recorded after the cut.
const AFTERWARDS: u32 = 2_000_000;

/// What is wrong with what a cut left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// The store does not open.
    #[error("the store does not open: {0}")]
    DoesNotOpen(String),
    /// An act was told as recorded, and is not there.
    #[error("act {number} was told as recorded, and is not there")]
    Lost {
        /// Which.
        number: u32,
    },
    /// An act is there twice.
    #[error("act {number} is there twice")]
    Doubled {
        /// Which.
        number: u32,
    },
    /// What is there is not what was recorded.
    #[error("{0}")]
    Differs(String),
    /// The journal says that it was damaged, and it was not.
    #[error("a power cut is told as damage: {0}")]
    CalledDamage(String),
    /// The journal panicked.
    #[error("the journal panicked: {0}")]
    Panicked(String),
    /// It does not go on.
    #[error("it does not go on: {0}")]
    DoesNotGoOn(String),
}

/// Opens the journal in `folder`, compares it with what was told, records one more act, and opens it again.
///
/// # Errors
/// What is wrong.
pub fn judge(folder: &Path, limits: Limits, history: &History) -> Result<(), Wrong> {
    let (journal, report) = open(folder, limits).map_err(|error| Wrong::DoesNotOpen(error.to_string()))?;
    let compared = quiet(&journal, &report).and_then(|()| {
        let acts = all(&journal)?;
        compare(&journal, &acts, history)?;
        quiet(&journal, &report)?;
        Ok(acts)
    });
    let acts = match compared {
        Ok(acts) => acts,
        Err(wrong) => {
            journal.close_blocking();
            return Err(wrong);
        }
    };
    let goes_on = |error: JournalError| Wrong::DoesNotGoOn(error.to_string());
    let more = journal.append_blocking(acts::act(AFTERWARDS, Size::Small)).map_err(goes_on);
    journal.close_blocking();
    drop(journal);
    let more = more?;
    let (journal, report) = open(folder, limits).map_err(goes_on)?;
    let again = quiet(&journal, &report).and_then(|()| all(&journal));
    let head = journal.head();
    journal.close_blocking();
    let again = again?;
    let kept =
        again.len().checked_sub(1).map(|last| again[..last] == acts[..] && again[last].after == more.head);
    if kept == Some(true) && head == more.head {
        Ok(())
    } else {
        Err(Wrong::DoesNotGoOn("what was recorded after the cut is not there at the next start".to_owned()))
    }
}

fn open(folder: &Path, limits: Limits) -> Result<(Journal, OpenReport), JournalError> {
    let settings = Settings { folder: folder.to_owned(), stream: acts::stream(), limits };
    Journal::open(settings, &acts::stamp())
}

fn quiet(journal: &Journal, report: &OpenReport) -> Result<(), Wrong> {
    let mut found: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    found.extend(journal.findings().iter().map(ToString::to_string));
    if found.is_empty() { Ok(()) } else { Err(Wrong::CalledDamage(found.join(" "))) }
}

fn all(journal: &Journal) -> Result<Vec<StoredAct>, Wrong> {
    let mut acts = Vec::new();
    let read = journal.for_each(Place::START, |_, act| -> Result<(), JournalError> {
        acts.push(act.clone());
        Ok(())
    });
    read.map_err(|error| Wrong::Differs(error.to_string()))?;
    Ok(acts)
}

fn compare(journal: &Journal, found: &[StoredAct], history: &History) -> Result<(), Wrong> {
    let differs = |what: String| Err(Wrong::Differs(what));
    let epochs = journal.epochs();
    let [epoch] = epochs.as_slice() else {
        return differs(format!("{} epochs where one was begun", epochs.len()));
    };
    chain(journal, epoch.first_kept, found)?;
    let mut seen = BTreeSet::new();
    if let Some(number) =
        found.iter().filter_map(|act| acts::number(act.act)).find(|number| !seen.insert(*number))
    {
        return Err(Wrong::Doubled { number });
    }
    for act in found {
        let Some(number) = acts::number(act.act) else { continue };
        if !history.submitted.contains(&number) {
            return differs(format!("act {number} is there, and nobody recorded it"));
        }
        if history.refused.contains(&number) {
            return differs(format!("act {number} was told as not recorded, and is there"));
        }
        if let Some((first, head)) = history.told.get(&number)
            && (*first, *head) != (act.first, act.after)
        {
            return differs(format!("act {number} stands elsewhere than was told"));
        }
        same(number, act)?;
    }
    for (number, (first, head)) in &history.told {
        let may_be_gone = *first < epoch.first_kept && head.seq <= history.may_be_gone;
        if !seen.contains(number) && !may_be_gone {
            return Err(Wrong::Lost { number: *number });
        }
    }
    if epoch.acknowledged.seq > history.acknowledged {
        return differs("more counts as acknowledged than was".to_owned());
    }
    // Nothing goes before the mark says durably that the centre has it.
    if epoch.acknowledged.seq + 1 < epoch.first_kept {
        return differs(format!(
            "facts before {} are gone, and only {} count as acknowledged",
            epoch.first_kept, epoch.acknowledged.seq
        ));
    }
    Ok(())
}

/// Every fact hangs on the one before, from the first that is kept to the head.
fn chain(journal: &Journal, first_kept: u64, found: &[StoredAct]) -> Result<(), Wrong> {
    let stream = journal.stream();
    let before = first_kept - 1;
    let hash = if before == 0 { Ok(Some(Head::EMPTY.hash)) } else { journal.hash_at(stream.epoch, before) };
    let Ok(Some(hash)) = hash else {
        return Err(Wrong::Differs(format!("nobody knows the head before fact {first_kept}")));
    };
    let mut head = Head { seq: before, hash };
    for act in found {
        if act.verify(stream, &head).is_err() {
            return Err(Wrong::Differs(format!("the chain is broken behind fact {}", head.seq)));
        }
        head = act.after;
    }
    if head == journal.head() {
        Ok(())
    } else {
        Err(Wrong::Differs(format!("it ends at fact {}, its head is {}", head.seq, journal.head().seq)))
    }
}

/// Whole, byte for byte.
fn same(number: u32, act: &StoredAct) -> Result<(), Wrong> {
    let size = if number.is_multiple_of(2) { Size::Small } else { Size::Large };
    let recorded = acts::act(number, size);
    let lines: Vec<_> = recorded.act.facts.iter().filter_map(|fact| fact.to_line().ok()).collect();
    let is_same = act.lines().eq(lines.iter().map(Vec::as_slice)) && act.attachment() == recorded.attachment;
    if is_same { Ok(()) } else { Err(Wrong::Differs(format!("act {number} is not what was recorded"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::power_cuts::{history::Event, script::Script};

    const LIMITS: Script = Script::Small;

    /// A journal with the acts 0, 2 and 4, and what was told of it.
    fn recorded(folder: &Path, numbers: &[u32]) -> Vec<Event> {
        let (journal, _) = open(folder, LIMITS.limits()).unwrap();
        let mut events = Vec::new();
        for number in numbers {
            let done = journal.append_blocking(acts::act(*number, Size::Small)).unwrap();
            events.push(Event::Submitted { number: *number });
            events.push(Event::Told { number: *number, first: done.first.seq, head: done.head });
        }
        journal.close_blocking();
        events
    }

    /// What is judged of a journal with `numbers` when what was told is changed.
    fn check(numbers: &[u32], change: impl FnOnce(&mut History)) -> Result<(), Wrong> {
        let folder = tempfile::tempdir().unwrap();
        let mut history = History::of(&recorded(folder.path(), numbers));
        change(&mut history);
        judge(folder.path(), LIMITS.limits(), &history)
    }

    #[test]
    fn whatever_was_told_otherwise_is_seen() {
        assert_eq!(check(&[0, 2, 4], |_| ()), Ok(()));
        assert_eq!(check(&[0, 2, 2], |_| ()), Err(Wrong::Doubled { number: 2 }));
        let lost = check(&[0, 2], |told| {
            let place = told.told[&2];
            told.told.insert(4, place);
        });
        assert_eq!(lost, Err(Wrong::Lost { number: 4 }));
        let differs = |change: &dyn Fn(&mut History), words: &str| {
            let Err(Wrong::Differs(what)) = check(&[0, 2, 4], change) else { panic!("{words}") };
            assert!(what.contains(words), "{what}");
        };
        differs(&|told| told.submitted.retain(|number| *number != 2), "nobody recorded it");
        differs(&|told| told.refused.extend([2]), "told as not recorded");
        differs(&|told| told.told.get_mut(&2).unwrap().0 += 1, "stands elsewhere");
    }

    #[test]
    fn an_act_that_is_not_what_was_recorded_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, _) = open(folder.path(), LIMITS.limits()).unwrap();
        let mut changed = acts::act(2, Size::Small);
        changed.attachment.push(0);
        journal.append_blocking(changed).unwrap();
        journal.close_blocking();
        let history = History::of(&[Event::Submitted { number: 2 }]);
        let Err(Wrong::Differs(what)) = judge(folder.path(), LIMITS.limits(), &history) else { panic!() };
        assert!(what.contains("not what was recorded"), "{what}");
    }

    #[test]
    fn more_that_counts_as_acknowledged_than_was_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let told = recorded(folder.path(), &[0]);
        let (journal, _) = open(folder.path(), LIMITS.limits()).unwrap();
        let word = acts::acknowledgement(journal.stream(), journal.head()).unwrap();
        journal.acknowledge(&word).unwrap();
        journal.close_blocking();
        let Err(Wrong::Differs(what)) = judge(folder.path(), LIMITS.limits(), &History::of(&told)) else {
            panic!()
        };
        assert!(what.contains("acknowledged"), "{what}");
    }

    #[test]
    fn a_store_that_does_not_open_and_one_that_speaks_of_damage_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let told = recorded(folder.path(), &[0, 2]);
        let log = folder.path().join("epoch-00001/generation-0000000000000001/store/db");
        std::fs::write(&log, b"").unwrap();
        let judged = judge(folder.path(), LIMITS.limits(), &History::of(&told));
        assert!(matches!(judged, Err(Wrong::CalledDamage(_))), "{judged:?}");
        let in_the_way = folder.path().join("file");
        std::fs::write(&in_the_way, b"").unwrap();
        let judged = judge(&in_the_way, LIMITS.limits(), &History::of(&told));
        assert!(matches!(judged, Err(Wrong::DoesNotOpen(_))), "{judged:?}");
    }
}
