//! What was recorded of the readings before this start: so that a gap that began before it is known when it ends.

use pestle_domain::fact::Fact;

use crate::journal::{Journal, JournalError, Place};

/// Facts that are read back: some hours of a branch with eight probes. A gap that began before them is told from there on.
const FACTS_MAX: u64 = 2_000;

/// The last facts of the telemetry, in their order. Blocks on the disk.
///
/// # Errors
/// The journal cannot be read.
pub fn last_facts(telemetry: &Journal) -> Result<Vec<Fact>, JournalError> {
    let mut facts = Vec::new();
    telemetry.for_each(behind(telemetry), |_place, act| -> Result<(), JournalError> {
        // A line of a later version says nothing of gaps that this one knows of.
        facts.extend(act.lines().filter_map(|line| Fact::from_line(line).ok().flatten()));
        Ok(())
    })?;
    Ok(facts)
}

/// Behind which fact the last ones begin. Each act of the telemetry is one fact, so that one begins anywhere.
fn behind(telemetry: &Journal) -> Place {
    let mut wanted = FACTS_MAX;
    for epoch in telemetry.epochs().iter().rev() {
        let (epoch, last) = (epoch.stream.epoch, epoch.head.seq);
        if last >= wanted {
            return Place { epoch, seq: last - wanted };
        }
        wanted -= last;
    }
    Place::START
}
