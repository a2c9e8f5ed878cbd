//! What a person decides on what was kept: that it counts all the same, or that nobody needs to look at it any more.
//!
//! A box that lost the end of its store goes on in a new epoch, and says where the one before ended. A batch of that end that a
//! broker held back comes behind it: authentic, in its place, and perhaps the only copy left of what people were told. Nothing in
//! it tells it from what a second live store adds, and so a person decides. Whatever they decide, no act counts twice: should a
//! second store be carried over later, its acts are known by their ids.
//!
//! So it is with what a broker brings of a box that was revoked meanwhile: nobody may be able to send it again. Whether the box is
//! one of ours now says nothing of what it had sold before; its signature and its stream do, and are asked when it is booked.
//! Where its life of the store had ended before it, that is a second question: it is kept once more, and asked by itself.

use std::sync::Arc;

use bytes::Bytes;
use pestle_domain::{
    ids::{DeviceId, TenantId},
    wire::message::Answer,
};

use super::{
    Entry, Ingest, Settled,
    live::Changed,
    quarantine::{self, Closed, Closing},
    rules::{self, FENCED, NOT_ALLOWED, Refusal, Sender, Verified},
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
        "it was kept as {0}, and only what came of an ended life of a store or of a revoked box is booked by hand: what else to do about it, the manual says"
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
    /// It is of a revoked box, and its life of the store had ended before it: whoever books that has to know it.
    #[error(
        "{0}. It is kept under \"Second live store\" now: if no other box sells under this name, book it there"
    )]
    Fenced(String),
    /// It cannot be taken, for the reason that is said.
    #[error("{0}")]
    Refused(String),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Why nothing was closed.
#[derive(Debug, thiserror::Error)]
pub enum NotClosed {
    /// No such row of this tenant.
    #[error("nothing is kept under this number")]
    Unknown,
    /// The person has not seen all of it.
    #[error("it came again since: look at it again")]
    CameAgain,
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Whether a person may book what was kept for that reason.
pub fn may_be_booked(reason: &str) -> bool {
    reason == FENCED || reason == NOT_ALLOWED
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
        if !may_be_booked(&kept.reason) {
            return Err(NotBooked::OtherReason(kept.reason));
        }
        let device = kept.device_id.parse().map_err(|_| DbError::bad_row("device", kept.device_id))?;
        let (sender, mut batch) = self.read_kept(device, kept.bytes.ok_or(NotBooked::NoBytes)?).await?;
        batch.by_hand = kept.reason == FENCED;
        let behind_its_life = Refusal::of_history(&batch, true).message;
        let header = &batch.header;
        let booked =
            Booked { stream: rules::describe(&header.stream), first: header.first, last: header.after().seq };
        match self.settle(vec![Entry::Batch(sender, Box::new(batch))]).await.pop() {
            Some(Settled::Answered(Answer::Committed(_))) => {}
            Some(Settled::Gap(_, _, head)) => {
                let Booked { stream, first, .. } = booked;
                return Err(NotBooked::Gap { stream, from: head.seq + 1, to: first.saturating_sub(1) });
            }
            Some(Settled::Answered(Answer::Refused { message, .. })) if message == behind_its_life => {
                return Err(NotBooked::Fenced(message));
            }
            Some(Settled::Answered(Answer::Refused { message, .. })) => {
                return Err(NotBooked::Refused(message));
            }
            // Its new row has no room.
            Some(Settled::Stuck(Entry::Refused(_, _, refusal))) => {
                return Err(NotBooked::Refused(refusal.message));
            }
            _ => return Err(DbError::lost().into()),
        }
        let mut tx = self.db.tenant(tenant).begin().await?;
        quarantine::note_booked(&mut tx, number, by).await?;
        tx.commit().await.map_err(DbError::from)?;
        self.live.tell(Changed { alarms: true, ..Changed::nothing(tenant.clone()) });
        Ok(booked)
    }

    /// Reads and verifies a batch that was kept, as of a box that was never revoked.
    async fn read_kept(
        &self,
        device: DeviceId,
        bytes: Vec<u8>,
    ) -> Result<(Arc<Sender>, Verified), NotBooked> {
        let Some(known) = self.sender(&device).await? else {
            return Err(NotBooked::Refused(format!("device {device} is not enrolled here")));
        };
        let sender = Arc::new(Sender { revoked: false, ..Sender::clone(&known) });
        let batch = rules::read(&sender, None, Bytes::from(bytes));
        batch.map(|batch| (sender, batch)).map_err(|refusal| NotBooked::Refused(refusal.message))
    }

    /// Nobody needs to look any more at what is kept under `number`, as `by` has decided, who has `seen` that it came so often (`None`
    /// where they do not say). Nothing of it is deleted, and it may still be booked; what comes once more is shown once more.
    ///
    /// # Errors
    /// [`NotClosed`]; it is open as before then.
    pub async fn close_by_hand(
        &self,
        tenant: &TenantId,
        number: i64,
        seen: Option<i64>,
        by: &str,
    ) -> Result<Closed, NotClosed> {
        let mut tx = self.db.tenant(tenant).begin().await?;
        let closed = match quarantine::close(&mut tx, number, seen, by).await? {
            Closing::Closed(closed) => closed,
            Closing::CameAgain => return Err(NotClosed::CameAgain),
            Closing::Unknown => return Err(NotClosed::Unknown),
        };
        tx.commit().await.map_err(DbError::from)?;
        self.live.tell(Changed { alarms: true, ..Changed::nothing(tenant.clone()) });
        Ok(closed)
    }
}
