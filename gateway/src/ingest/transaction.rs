//! One transaction of one tenant: heads are locked, batches judged, facts stored, their effects folded, heads moved.
//!
//! What is decided is decided by [`Plan`]. Nothing of it counts before the commit, and after it nothing of it happens
//! again: the head row decides.

use pestle_domain::{ids::TenantId, signature::Hash};
use uuid::Uuid;

use super::{
    fold::{self, Effect},
    live::Changed,
    plan::{self, Mode, Outcome, Plan},
    quarantine::{self, Quarantined},
    rules::{Reading, UNFOLDED, Verified},
    store::{self, Lock, Moved, NewFact},
};
use crate::db::{Db, DbError, Tx};

/// A transaction that was committed.
#[derive(Debug)]
pub struct Done {
    /// Of the database.
    pub incarnation: u64,
    /// One for each batch.
    pub outcomes: Vec<Outcome>,
    /// For those who watch.
    pub changed: Changed,
    /// Facts that were stored.
    pub facts: usize,
    /// Of them, those that were stored unfolded.
    pub unfolded: usize,
}

/// Why a transaction was rolled back.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// Another gateway opened the same stream at the same moment: try again.
    #[error("another gateway was faster")]
    Raced,
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Applies `batches` of `tenant`. They are sorted by stream and first number: consecutive ones join each other.
///
/// # Errors
/// [`Failed`]; nothing was changed then, unless the connection broke at the commit itself, which a repeat finds out.
pub async fn apply(db: &Db, tenant: &TenantId, batches: &[&Verified], mode: Mode) -> Result<Done, Failed> {
    let mut tx = db.tenant(tenant).begin().await?;
    let incarnation = store::incarnation(&mut tx).await?;
    let streams = Plan::streams(batches);
    let heads = store::heads(&mut tx, &streams, Lock::ForUpdate).await?;
    let mut plan = Plan::new(batches, &streams, heads);
    plan.judge(&store::chain_values(&mut tx, &plan.compared()).await?);
    plan.opened(&store::open_streams(&mut tx, tenant, &plan.fresh()).await?.ok_or(Failed::Raced)?);
    let mut new = plan.new_facts(mode);
    // Also where effects are left out: a batch may have both, facts that are here already and one that cannot be folded.
    if mode != Mode::Usual {
        let ids: Vec<Uuid> = new.iter().map(|new| new.fact.id.0).collect();
        let known = store::facts_by_id(&mut tx, &ids).await?;
        let Some(told_apart) = plan::tell_apart(new, known) else {
            let (changed, facts, unfolded) = (Changed::nothing(tenant.clone()), 0, 0);
            return Ok(Done { incarnation, outcomes: plan.contradicted(), changed, facts, unfolded });
        };
        store::note_duplicates(&mut tx, tenant, &told_apart.again).await?;
        new = told_apart.fresh;
    }
    store::append(&mut tx, tenant, &new).await?;
    let effects: Vec<Effect<'_>> = new.iter().filter(|new| new.folded).map(NewFact::effect).collect();
    let mut changed = fold::fold(&mut tx, tenant, &effects).await?;
    changed.devices = !new.is_empty();
    changed.alarms |= note_doubts(&mut tx, tenant, &new, mode).await?;
    let moved: Vec<Moved<'_>> = plan.moved();
    store::advance(&mut tx, &moved).await?;
    tx.commit().await?;
    let unfolded = new.iter().filter(|new| !new.folded).count();
    Ok(Done { incarnation, outcomes: plan.outcomes(), changed, facts: new.len(), unfolded })
}

/// Shows a person what is authentic and yet cannot be. True if there was any.
async fn note_doubts(
    tx: &mut Tx,
    tenant: &TenantId,
    new: &[NewFact<'_>],
    mode: Mode,
) -> Result<bool, DbError> {
    let mut any = false;
    for one in new {
        let message = match (&one.fact.reading, mode) {
            (Reading::Doubtful(what), _) => what.as_str(),
            (Reading::Known(_), Mode::StoreOnly) => "its effects could not be written: see the gateway's log",
            _ => continue,
        };
        any = true;
        let header = &one.batch.header;
        let doubt = Quarantined {
            device: &header.stream.device,
            channel: header.stream.lane.as_str(),
            batch: Some(header.batch),
            reason: UNFOLDED,
            message: &format!("fact {} ({}): {message}", one.fact.id, one.fact.kind),
            identity: Hash::of(one.batch.line(one.fact)),
            // They are in the event store, in their place.
            bytes: b"",
        };
        quarantine::keep(tx, tenant, &doubt).await?;
    }
    Ok(any)
}
