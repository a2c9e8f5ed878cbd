//! `pestle-agent journal export`: this box's history as a file, signed, for whoever checks it or has no network to it.

use std::io::Write;

use aws_lc_rs::rand::SystemRandom;
use pestle_domain::{
    ids::BatchId,
    journal::{Head, Stream},
    signature::{SignatureError, SigningKey},
    units::UnixMillis,
    wire::{
        WIRE_VERSION,
        batch::{self, Header},
        export::{EXPORT_VERSION, Preface},
    },
};
use uuid::Uuid;

use crate::{
    journal::{Journal, JournalError, StoredAct},
    relay::BATCH_BYTES_MAX,
};

/// Why it ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The box cannot sign.
    #[error("cannot sign")]
    Sign(#[from] SignatureError),
    /// JSON.
    #[error("cannot write a header")]
    Header(#[from] serde_json::Error),
    /// The file.
    #[error("cannot write")]
    Write(#[from] std::io::Error),
}

/// What was written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exported {
    /// Facts.
    pub facts: u64,
    /// Ranges that cannot be read: epoch, first and last.
    pub missing: Vec<(u32, u64, u64)>,
}

/// Writes every fact that is here, in order over all epochs, signed with the box's key. Blocks on the disk.
///
/// # Errors
/// [`ExportError`].
pub fn export(
    journal: &Journal,
    signing: &SigningKey,
    made_at: UnixMillis,
    output: &mut impl Write,
) -> Result<Exported, ExportError> {
    let epochs = journal.epochs();
    let who = journal.stream();
    let preface = Preface {
        export: EXPORT_VERSION,
        tenant: who.tenant.clone(),
        branch: who.branch.clone(),
        device: who.device.clone(),
        made_at,
        acknowledgements: epochs.iter().filter_map(|epoch| epoch.witness.clone()).collect(),
    };
    serde_json::to_writer(&mut *output, &preface)?;
    output.write_all(b"\n")?;
    let mut exported = Exported::default();
    for epoch in &epochs {
        let number = epoch.stream.epoch;
        let mut next = epoch.first_kept;
        let mut before = journal.hash_at(number, next - 1)?;
        while next <= epoch.head.seq {
            match journal.read_blocking(number, next, BATCH_BYTES_MAX) {
                Ok(acts) => {
                    let Some(last) = acts.last().map(|act| act.after) else { break };
                    // Behind a hole nobody may know the value before the first act, and without it nothing can be proved.
                    if let Some(hash) = before {
                        let mut head = Head { seq: next - 1, hash };
                        exported.facts += last.seq - head.seq;
                        for run in runs(&acts) {
                            output.write_all(&message(signing, &epoch.stream, head, run)?)?;
                            head = run.last().map_or(head, |act| act.after);
                        }
                    } else {
                        exported.missing.push((number, next, last.seq));
                    }
                    (next, before) = (last.seq + 1, Some(last.hash));
                }
                Err(JournalError::Hole { from, to, .. }) => {
                    exported.missing.push((number, from, to));
                    (next, before) = (to + 1, journal.hash_at(number, to)?);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    output.flush()?;
    Ok(exported)
}

/// Runs of acts of which each fits into a message.
fn runs(acts: &[StoredAct]) -> Vec<&[StoredAct]> {
    let (mut runs, mut from, mut bytes) = (Vec::new(), 0, 0);
    for (index, act) in acts.iter().enumerate() {
        if index > from && bytes + act.line_bytes() > BATCH_BYTES_MAX {
            runs.push(&acts[from..index]);
            (from, bytes) = (index, 0);
        }
        bytes += act.line_bytes();
    }
    runs.push(&acts[from..]);
    runs
}

fn message(
    signing: &SigningKey,
    stream: &Stream,
    before: Head,
    acts: &[StoredAct],
) -> Result<Vec<u8>, ExportError> {
    let after = acts.last().map_or(before, |act| act.after);
    let header = Header {
        v: WIRE_VERSION,
        batch: BatchId(Uuid::now_v7()),
        stream: stream.clone(),
        first: before.seq + 1,
        count: after.seq - before.seq,
        previous: before.hash,
        hash: after.hash,
        key: signing.id().clone(),
        signature: signing.sign(&after.statement(stream), &SystemRandom::new())?,
    };
    Ok(batch::build(&header, acts.iter().flat_map(StoredAct::lines))?)
}
