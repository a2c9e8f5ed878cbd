//! Batches that were kept as `fenced`, and that a person books all the same.
//!
//! A box that lost the end of its store goes on in a new epoch, and says where the one before ended. A batch of that end that a
//! broker held back comes behind it: authentic, in its place, and perhaps the only copy left of what people were told. Nothing in
//! it tells it from what a second live store adds, and so a person decides. Whatever they decide, no act counts twice: should a
//! second store be carried over later, its acts are known by their ids.

use pestle_domain::{ids::TenantId, wire::message::Answer};

use super::{
    Entry, Incoming, Ingest, Settled,
    live::Changed,
    quarantine,
    rules::{self, FENCED},
};
use crate::db::DbError;

/// What was booked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Booked {
    /// Of which stream, for people.
    pub stream: String,
    /// Its first fact.
    pub first: u64,
    /// Its last fact.
    pub last: u64,
}

/// Why nothing was booked.
#[derive(Debug, thiserror::Error)]
pub enum NotBooked {
    /// No such row of this tenant.
    #[error("nothing is kept under this number")]
    Unknown,
    /// It was refused for another reason.
    #[error(
        "this was not kept because its life of the store had ended ({0}): what the box still has it sends by itself, and a contradiction is decided where it is shown"
    )]
    OtherReason(String),
    /// The device had filled its share.
    #[error("of this one the bytes were not kept, since too many of the box are: call support")]
    NoBytes,
    /// What comes before it is missing.
    #[error(
        "facts {from} to {to} of {stream} come before it and are not here: book the batch that has them first"
    )]
    Gap {
        /// Of which stream.
        stream: String,
        /// The first that is missing.
        from: u64,
        /// The last that is missing.
        to: u64,
    },
    /// It cannot be taken, for the reason that is said.
    #[error("{0}")]
    Refused(String),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Ingest {
    /// Books what is kept under `number`, as `by` has decided. A repeat books nothing more.
    ///
    /// # Errors
    /// [`NotBooked`]; nothing was booked then.
    pub async fn book_by_hand(&self, tenant: &TenantId, number: i64, by: &str) -> Result<Booked, NotBooked> {
        let mut tx = self.db.tenant(tenant).begin().await?;
        let kept = quarantine::find(&mut tx, number).await?.ok_or(NotBooked::Unknown)?;
        tx.commit().await.map_err(DbError::from)?;
        if kept.reason != FENCED {
            return Err(NotBooked::OtherReason(kept.reason));
        }
        let device = kept.device_id.parse().map_err(|_| DbError::bad_row("device", kept.device_id))?;
        let message = kept.bytes.ok_or(NotBooked::NoBytes)?.into();
        let (sender, mut batch) = match self.read(vec![Incoming { device, lane: None, message }]).await.pop()
        {
            Some(Entry::Batch(sender, batch)) => (sender, batch),
            Some(Entry::Refused(_, _, refusal)) => return Err(NotBooked::Refused(refusal.message)),
            Some(Entry::Away(_)) | None => return Err(DbError::lost().into()),
        };
        batch.by_hand = true;
        let header = &batch.header;
        let booked =
            Booked { stream: rules::describe(&header.stream), first: header.first, last: header.after().seq };
        match self.settle(vec![Entry::Batch(sender, batch)]).await.pop() {
            Some(Settled::Answered(Answer::Committed(_))) => {}
            Some(Settled::Gap(_, _, head)) => {
                let Booked { stream, first, .. } = booked;
                return Err(NotBooked::Gap { stream, from: head.seq + 1, to: first.saturating_sub(1) });
            }
            Some(Settled::Answered(Answer::Refused { message, .. })) => {
                return Err(NotBooked::Refused(message));
            }
            _ => return Err(DbError::lost().into()),
        }
        let mut tx = self.db.tenant(tenant).begin().await?;
        quarantine::note_booked(&mut tx, number, by).await?;
        tx.commit().await.map_err(DbError::from)?;
        self.live.tell(Changed { alarms: true, ..Changed::nothing(tenant.clone()) });
        Ok(booked)
    }
}
