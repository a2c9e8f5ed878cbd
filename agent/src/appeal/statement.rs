//! What a box says of itself to the person who decides.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fs,
    path::Path,
};

use pestle_domain::{
    appeal::{Appeal, BoxPlace, CONTESTED_MAX, Contested, Torn, tell_at},
    fact::Envelope,
    ids::AppealId,
    journal::Head,
    units::UnixMillis,
};

use super::carry::highest_epoch;
use crate::{
    journal::{EpochState, Journal, JournalError},
    relay::lane::StreamKey,
};

/// Chain values that were read already: the journal's history does not change, and reading it costs the disk.
#[derive(Debug, Default)]
pub struct Told(HashMap<StreamKey, Known>);

#[derive(Debug, Clone)]
struct Known {
    first_at: UnixMillis,
    values: Vec<Head>,
}

/// What is known of the machine itself.
pub fn place(data_dir: &Path, pages: String, running_since: UnixMillis) -> BoxPlace {
    let line = |path: &str| fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default();
    BoxPlace {
        host: line("/proc/sys/kernel/hostname").into(),
        address: "".into(),
        pages: pages.into(),
        machine: line("/etc/machine-id").into(),
        data_dir: data_dir.display().to_string().into(),
        running_since,
    }
}

/// What is asked. Blocks on the disk.
///
/// # Errors
/// [`JournalError`].
pub fn appeal(
    appeal: AppealId,
    place: BoxPlace,
    journals: &[Journal],
    to_decide: &BTreeMap<StreamKey, Option<Torn>>,
    told: &mut Told,
) -> Result<Appeal, JournalError> {
    let all: Vec<&Journal> = journals.iter().collect();
    let mut contested = Vec::new();
    for journal in journals {
        for epoch in journal.epochs() {
            let key = StreamKey { lane: epoch.stream.lane, epoch: epoch.stream.epoch };
            if let Some(torn) = to_decide.get(&key).filter(|_| contested.len() < CONTESTED_MAX) {
                contested.push(Contested { torn: *torn, ..of_stream(journal, epoch, told.0.entry(key))? });
            }
        }
    }
    Ok(Appeal { appeal, place, highest_epoch: highest_epoch(&all), contested })
}

fn of_stream(
    journal: &Journal,
    epoch: EpochState,
    told: Entry<'_, StreamKey, Known>,
) -> Result<Contested, JournalError> {
    let number = epoch.stream.epoch;
    let known = match told {
        Entry::Occupied(known) => known.into_mut(),
        Entry::Vacant(free) => {
            let mut values = Vec::new();
            for seq in tell_at(epoch.first_kept, epoch.head.seq) {
                if let Some(hash) = journal.hash_at(number, seq)? {
                    values.push(Head { seq, hash });
                }
            }
            free.insert(Known { first_at: recorded_at(journal, number, epoch.first_kept)?, values })
        }
    };
    Ok(Contested {
        waiting: epoch.waiting(),
        head: epoch.head,
        store: epoch.store,
        first_at: known.first_at,
        last_at: last_at(journal, &epoch)?,
        values: known.values.clone(),
        torn: None,
        stream: epoch.stream,
    })
}

/// When the act that begins at `seq` was recorded, by the box's clock; 1970 where it cannot be read.
fn recorded_at(journal: &Journal, epoch: u32, seq: u64) -> Result<UnixMillis, JournalError> {
    let acts = match journal.read_blocking(epoch, seq, 1) {
        Ok(acts) => acts,
        Err(JournalError::Hole { .. }) => Vec::new(),
        Err(error) => return Err(error),
    };
    let line = acts.first().and_then(|act| act.lines().next());
    let at = line.and_then(|line| Envelope::parse(line).ok()).map(|fact| fact.at.wall_ms);
    Ok(at.unwrap_or(UnixMillis(0)))
}

/// When the last act was recorded. Where it begins is not known: from some facts back it is found within a few.
fn last_at(journal: &Journal, epoch: &EpochState) -> Result<UnixMillis, JournalError> {
    for back in 0..16 {
        let seq = epoch.head.seq.saturating_sub(back).max(epoch.first_kept);
        match journal.read_blocking(epoch.stream.epoch, seq, 1) {
            Ok(acts) if !acts.is_empty() => return recorded_at(journal, epoch.stream.epoch, seq),
            _ => {}
        }
    }
    Ok(UnixMillis(0))
}
