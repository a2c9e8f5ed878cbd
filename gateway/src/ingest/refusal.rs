//! What is not taken: counted, logged, kept with its bytes for people, and then answered.

use std::sync::Arc;

use pestle_domain::{
    causes::with_causes,
    ids::DeviceId,
    journal::{Head, Lane},
    signature::Hash,
    wire::message::Answer,
};

use super::{
    Entry, Incoming, Ingest, Settled,
    live::Changed,
    quarantine::{self, Kept, Quarantined},
    rules::{FENCED, Refusal, Sender},
    settle::{RACES_MAX, is_overtaken},
    store::{self, Lock},
};
use crate::db::DbError;

impl Entry {
    /// Whether the broker that brought it may be the only one to have it: its box has said that this life of its store ended
    /// before it, or was revoked and cannot come again. Whoever settles such a message is not done with it before it is kept.
    pub fn is_last_copy(&self) -> bool {
        let Self::Refused(_, Some(sender), refusal) = self else { return false };
        is_last_copy(sender, refusal)
    }

    /// Whose refused message this is, and which: the same however often it comes. `None` for what is not refused.
    pub(super) fn identity(&self) -> Option<(&DeviceId, Hash)> {
        let Self::Refused(incoming, _, refusal) = self else { return None };
        Some((&incoming.device, refusal.identity_of(incoming)))
    }
}

impl Refusal {
    fn identity_of(&self, incoming: &Incoming) -> Hash {
        self.identity.unwrap_or_else(|| Hash::of(&incoming.message))
    }
}

fn is_last_copy(sender: &Sender, refusal: &Refusal) -> bool {
    sender.revoked || refusal.kept_as == Some(FENCED)
}

/// What became of an attempt to keep something.
enum Tried {
    /// It is kept, and its stream stands here.
    Kept(Option<Head>),
    /// Its box has filled its share, and nobody else has it.
    NoRoom,
}

impl Ingest {
    pub(super) async fn refuse(
        &self,
        incoming: Incoming,
        sender: Option<Arc<Sender>>,
        refusal: Refusal,
    ) -> Settled {
        self.refuse_at(incoming, sender, refusal, None).await
    }

    /// Refuses: counted, logged, and kept with its bytes for people. Nothing is answered before it is kept.
    pub(super) async fn refuse_at(
        &self,
        incoming: Incoming,
        sender: Option<Arc<Sender>>,
        refusal: Refusal,
        head: Option<Head>,
    ) -> Settled {
        tracing::warn!(device = %incoming.device, reason = ?refusal.reason, message = refusal.message, "a batch was refused");
        let head = match &sender {
            None => head,
            Some(known) => match self.keep_refused(&incoming, known, &refusal).await {
                Ok(Tried::Kept(found)) => head.or(found),
                Ok(Tried::NoRoom) => {
                    tracing::error!(device = %incoming.device, "perhaps the last copy of a batch cannot be kept, since too many of its box are open: look at those, and close or book them");
                    return Settled::Stuck(Entry::Refused(incoming, sender, refusal));
                }
                // A box does not send again what it was told is refused: it is told to wait, and asks again.
                Err(error) if error.is_away() => {
                    return Settled::Away(Entry::Refused(incoming, sender, refusal));
                }
                Err(error) => {
                    tracing::error!(device = %incoming.device, error = %with_causes(&error), "a refused batch cannot be kept: it waits in its branch, and somebody has to look");
                    return Settled::Stuck(Entry::Refused(incoming, sender, refusal));
                }
            },
        };
        self.metrics.count("refused");
        let Refusal { batch, reason, message, .. } = refusal;
        Settled::Answered(Answer::Refused { batch, reason, message, head })
    }

    /// Keeps it, tried again where another transaction was in the way.
    async fn keep_refused(
        &self,
        incoming: &Incoming,
        sender: &Sender,
        refusal: &Refusal,
    ) -> Result<Tried, DbError> {
        for _ in 0..RACES_MAX {
            match self.keep_once(incoming, sender, refusal).await {
                Err(error) if is_overtaken(&error) => {}
                kept => return kept,
            }
        }
        Err(DbError::lost())
    }

    async fn keep_once(
        &self,
        incoming: &Incoming,
        sender: &Sender,
        refusal: &Refusal,
    ) -> Result<Tried, DbError> {
        let mut tx = self.db.tenant(&sender.tenant).begin().await?;
        let reason = refusal.word();
        let kept = Quarantined {
            device: &incoming.device,
            channel: incoming.lane.map_or("-", Lane::as_str),
            batch: refusal.batch,
            reason: &reason,
            message: &refusal.message,
            identity: refusal.identity_of(incoming),
            bytes: &incoming.message,
        };
        let kept = quarantine::keep(&mut tx, &sender.tenant, &kept).await?;
        if kept != Kept::Whole && is_last_copy(sender, refusal) {
            // Nor is it counted: it is tried again and again.
            return Ok(Tried::NoRoom);
        }
        let head = match &refusal.stream {
            Some(stream) => store::heads(&mut tx, &[stream], Lock::No).await?.pop().flatten(),
            None => None,
        };
        tx.commit().await?;
        self.live.tell(Changed { alarms: true, ..Changed::nothing(sender.tenant.clone()) });
        Ok(Tried::Kept(head.map(|locked| locked.head)))
    }
}
