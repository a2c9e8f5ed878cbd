//! What is not taken: counted, logged, kept with its bytes for people, and then answered.

use std::sync::Arc;

use pestle_domain::{
    journal::{Head, Lane},
    signature::Hash,
    wire::message::Answer,
};

use super::{
    Entry, Incoming, Ingest, Settled,
    live::Changed,
    quarantine::{self, Quarantined},
    rules::{Refusal, Sender},
    store::{self, Lock},
};
use crate::{db::DbError, http::error::chain};

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
                Ok(found) => head.or(found),
                Err(error) if error.is_away() => {
                    return Settled::Away(Entry::Refused(incoming, sender, refusal));
                }
                Err(error) => {
                    tracing::error!(error = %chain(&error), "a refused batch could not be kept");
                    head
                }
            },
        };
        self.metrics.count("refused");
        let Refusal { batch, reason, message, .. } = refusal;
        Settled::Answered(Answer::Refused { batch, reason, message, head })
    }

    async fn keep_refused(
        &self,
        incoming: &Incoming,
        sender: &Sender,
        refusal: &Refusal,
    ) -> Result<Option<Head>, DbError> {
        let mut tx = self.db.tenant(&sender.tenant).begin().await?;
        let reason = refusal.word();
        let kept = Quarantined {
            device: &incoming.device,
            channel: incoming.lane.map_or("-", Lane::as_str),
            batch: refusal.batch,
            reason: &reason,
            message: &refusal.message,
            identity: refusal.identity.unwrap_or_else(|| Hash::of(&incoming.message)),
            bytes: &incoming.message,
        };
        quarantine::keep(&mut tx, &sender.tenant, &kept).await?;
        let head = match &refusal.stream {
            Some(stream) => store::heads(&mut tx, &[stream], Lock::No).await?.pop().flatten(),
            None => None,
        };
        tx.commit().await?;
        self.live.tell(Changed { alarms: true, ..Changed::nothing(sender.tenant.clone()) });
        Ok(head.map(|locked| locked.head))
    }
}
