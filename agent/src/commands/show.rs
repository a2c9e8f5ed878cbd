//! `pestle-agent journal show`: the facts of this box's journal, one line each, while the agent is stopped.

use std::io::Write;

use crate::journal::{Journal, JournalError, Place};

/// Why it ended early.
#[derive(Debug, thiserror::Error)]
pub enum ShowError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Nobody reads any more.
    #[error("cannot write")]
    Write(#[from] std::io::Error),
}

/// Writes each fact as `epoch/number`, a tab, and its line.
///
/// # Errors
/// [`ShowError`].
pub fn show(journal: &Journal, output: &mut impl Write) -> Result<(), ShowError> {
    journal.for_each(Place::START, |place, act| -> Result<(), ShowError> {
        for (seq, line) in (place.seq..).zip(act.lines()) {
            write!(output, "{}/{seq}\t", place.epoch)?;
            output.write_all(line)?;
            output.write_all(b"\n")?;
        }
        Ok(())
    })?;
    Ok(output.flush()?)
}
