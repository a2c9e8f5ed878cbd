//! Folds what an earlier version stored without understanding it, or could not write the effects of.
//!
//! At each start, since a start is what an upgrade is, and every hour. Under the lock of the stream's row like every
//! other writer of its effects; a fact counts once, since it is marked in the transaction that folds it.

use std::{sync::Arc, time::Duration};

use pestle_domain::{causes::with_causes, ids::TenantId, journal::Stream};
use tokio::time::{MissedTickBehavior, interval};

use super::{
    fold::{self, Effect},
    rules::{self, VerifiedFact},
    store::unfolded::{self, Unfolded},
};
use crate::{
    app::App,
    db::{Db, DbError},
    tenancy,
};

/// Between two passes: what could not be written may be writable by now.
const EVERY: Duration = Duration::from_secs(3_600);
/// Facts of one transaction.
const GROUP_FACTS: usize = 500;

/// The task.
pub async fn run(app: Arc<App>) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let pass = async {
            match all(&app.db).await {
                Ok(0) => {}
                Ok(folded) => tracing::info!(folded, "facts that waited for this version were folded"),
                Err(error) => {
                    tracing::warn!(error = %with_causes(&error), "facts that wait for this version cannot be folded now");
                }
            }
        };
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = pass => {}
        }
    }
}

/// Folds what can be folded, of all tenants; how many facts that were.
///
/// # Errors
/// [`DbError`] when the database is away; what one stream's facts cannot do holds up no other.
pub async fn all(db: &Db) -> Result<usize, DbError> {
    let mut tx = db.system().begin().await?;
    let tenants = tenancy::store::tenants(&mut tx).await?;
    tx.commit().await?;
    let mut folded = 0;
    for tenant in tenants {
        let mut tx = db.tenant(&tenant).begin().await?;
        let streams = unfolded::streams(&mut tx).await?;
        tx.commit().await?;
        for (id, origin) in streams {
            folded += one_stream(db, &tenant, id, &origin).await?;
        }
    }
    Ok(folded)
}

async fn one_stream(db: &Db, tenant: &TenantId, id: i64, origin: &Stream) -> Result<usize, DbError> {
    let (mut folded, mut after) = (0, 0);
    loop {
        let run = Run { after, most: GROUP_FACTS };
        match one_run(db, tenant, (id, origin), run).await {
            Ok(None) => return Ok(folded),
            Ok(Some(done)) => {
                folded += done.folded;
                after = done.last;
            }
            Err(error) if error.is_away() => return Err(error),
            Err(error) => {
                tracing::warn!(%tenant, stream = rules::describe(origin), after, error = %with_causes(&error), "facts cannot be folded together: each is tried alone");
                let Some(done) = each_alone(db, tenant, (id, origin), run).await? else { return Ok(folded) };
                folded += done.folded;
                after = done.last;
            }
        }
    }
}

/// Which unfolded facts of a stream: the first so many behind a number.
#[derive(Debug, Clone, Copy)]
struct Run {
    after: u64,
    most: usize,
}

#[derive(Debug, Clone, Copy)]
struct Done {
    folded: usize,
    last: u64,
}

/// Folds a run in one transaction; `None` when there is nothing behind it.
async fn one_run(
    db: &Db,
    tenant: &TenantId,
    (id, origin): (i64, &Stream),
    run: Run,
) -> Result<Option<Done>, DbError> {
    let mut tx = db.tenant(tenant).begin().await?;
    unfolded::lock_stream(&mut tx, id).await?;
    let waiting = unfolded::facts(&mut tx, id, run.after, run.most).await?;
    let Some(last) = waiting.last().map(|fact| fact.seq) else { return Ok(None) };
    let known: Vec<(u64, VerifiedFact)> = waiting.iter().filter_map(understood).collect();
    let effects: Vec<Effect<'_>> =
        known.iter().map(|(seq, fact)| Effect { origin, stream: id, seq: *seq, fact }).collect();
    fold::fold(&mut tx, tenant, &effects).await?;
    unfolded::mark_folded(&mut tx, id, &effects).await?;
    tx.commit().await?;
    Ok(Some(Done { folded: known.len(), last }))
}

async fn each_alone(
    db: &Db,
    tenant: &TenantId,
    stream: (i64, &Stream),
    run: Run,
) -> Result<Option<Done>, DbError> {
    let mut done: Option<Done> = None;
    for _ in 0..run.most {
        let after = done.map_or(run.after, |done| done.last);
        let folded = done.map_or(0, |done| done.folded);
        match one_run(db, tenant, stream, Run { after, most: 1 }).await {
            Ok(None) => break,
            Ok(Some(one)) => done = Some(Done { folded: folded + one.folded, last: one.last }),
            Err(error) if error.is_away() => return Err(error),
            Err(error) => {
                let mut tx = db.tenant(tenant).begin().await?;
                let next = unfolded::facts(&mut tx, stream.0, after, 1).await?;
                let Some(culprit) = next.first() else { break };
                tracing::error!(%tenant, stream = rules::describe(stream.1), seq = culprit.seq, error = %with_causes(&error), "the effects of a fact cannot be written: it stays stored without them");
                done = Some(Done { folded, last: culprit.seq });
            }
        }
    }
    Ok(done)
}

/// The fact as this version reads it, if it understands it.
fn understood(waiting: &Unfolded) -> Option<(u64, VerifiedFact)> {
    let fact = rules::read_line(&waiting.bytes, waiting.hash)?;
    fact.body().is_some().then_some((waiting.seq, fact))
}
