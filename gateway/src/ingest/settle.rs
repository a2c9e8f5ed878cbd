//! From verified batches to answers: one transaction per tenant, what is tried again, and how.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use futures::{FutureExt as _, future::join_all};
use pestle_domain::{causes::with_causes, ids::TenantId, wire::message::Answer};

use super::{
    Entry, Incoming, Ingest, Settled,
    live::Changed,
    plan::{Mode, Outcome},
    rules::{self, Refusal, Sender, Verified},
    seal::Seals,
    transaction::{self, Done, Failed},
};
use crate::db::DbError;

/// How often a transaction is tried that another gateway overtook.
pub(super) const RACES_MAX: usize = 3;

/// What the database made of one batch.
#[derive(Debug)]
enum Attempt {
    /// It is judged, and committed if that was the judgement.
    Done(u64, Outcome),
    /// The database is away: it waits here, with everything behind it.
    Away,
    /// The database is there and does not take it: it waits in its branch, and holds up nobody else.
    Stuck,
}

/// A batch with its place among the messages that it came with.
type Placed = (usize, Arc<Sender>, Box<Verified>);

impl Ingest {
    /// Applies what was read; one [`Settled`] each, in order. Tenants go beside each other, each in one transaction.
    pub async fn settle(&self, entries: Vec<Entry>) -> Vec<Settled> {
        let mut settled: Vec<Option<Settled>> = Vec::with_capacity(entries.len());
        let mut by_tenant: BTreeMap<TenantId, Vec<Placed>> = BTreeMap::new();
        // One wait for a database that is away is enough for all that is refused.
        let mut away = false;
        for (index, entry) in entries.into_iter().enumerate() {
            settled.push(match entry {
                Entry::Batch(sender, batch) => {
                    by_tenant.entry(sender.tenant.clone()).or_default().push((index, sender, batch));
                    None
                }
                untried @ Entry::Refused(_, Some(_), _) if away => Some(Settled::Away(untried)),
                Entry::Refused(incoming, sender, refusal) => {
                    let one = self.refuse(incoming, sender, refusal).await;
                    away |= matches!(one, Settled::Away(_));
                    Some(one)
                }
                away @ Entry::Away(_) => Some(Settled::Away(away)),
            });
        }
        let mut tenants = Vec::with_capacity(by_tenant.len());
        for (tenant, batches) in by_tenant {
            tenants.push(self.settle_tenant(tenant, batches).boxed());
        }
        for (index, one) in join_all(tenants).await.into_iter().flatten() {
            settled[index] = Some(one);
        }
        settled.into_iter().flatten().collect()
    }

    async fn settle_tenant(&self, tenant: TenantId, mut batches: Vec<Placed>) -> Vec<(usize, Settled)> {
        batches.sort_by(|(_, _, one), (_, _, other)| {
            (&one.header.stream, one.header.first).cmp(&(&other.header.stream, other.header.first))
        });
        let all: Vec<&Verified> = batches.iter().map(|(_, _, batch)| &**batch).collect();
        let attempts = self.attempt(&tenant, &all).await;
        let mut seals = Seals::new(&*self.seal);
        let mut settled = Vec::with_capacity(batches.len());
        // It may go between the transaction and what is refused by it.
        let mut away = false;
        for ((index, sender, batch), attempt) in batches.into_iter().zip(attempts) {
            let one = match attempt {
                Attempt::Done(incarnation, outcome) => {
                    let one = self.tell(&mut seals, incarnation, outcome, sender, batch, away).await;
                    away |= matches!(one, Settled::Away(Entry::Refused(..)));
                    one
                }
                Attempt::Away => Settled::Away(Entry::Batch(sender, batch)),
                Attempt::Stuck => Settled::Stuck(Entry::Batch(sender, batch)),
            };
            settled.push((index, one));
        }
        settled
    }

    /// All in one transaction; when the database does not take that, each alone, so that one holds up no other.
    async fn attempt(&self, tenant: &TenantId, batches: &[&Verified]) -> Vec<Attempt> {
        match self.transact(tenant, batches, Mode::Usual).await {
            Ok(done) => {
                done.outcomes.iter().map(|outcome| Attempt::Done(done.incarnation, *outcome)).collect()
            }
            Err(error) if error.is_away() => batches.iter().map(|_| Attempt::Away).collect(),
            Err(error) => {
                tracing::warn!(%tenant, error = %with_causes(&error), batches = batches.len(), "a transaction failed: each batch is tried alone");
                self.metrics.retried_alone.inc();
                let mut attempts = Vec::with_capacity(batches.len());
                for batch in batches {
                    attempts.push(self.attempt_alone(tenant, batch).await);
                }
                attempts
            }
        }
    }

    /// One batch, ever more carefully.
    async fn attempt_alone(&self, tenant: &TenantId, batch: &Verified) -> Attempt {
        let stream = rules::describe(&batch.header.stream);
        let first = batch.header.first;
        let mut mode = Mode::Usual;
        loop {
            match self.transact(tenant, &[batch], mode).await {
                Ok(done) => {
                    return match done.outcomes.first() {
                        Some(outcome) => Attempt::Done(done.incarnation, *outcome),
                        None => Attempt::Stuck,
                    };
                }
                Err(error) if error.is_away() => return Attempt::Away,
                Err(error) => match mode.more_careful(error.is_duplicate()) {
                    Some(next) => {
                        tracing::error!(%tenant, stream, first, error = %with_causes(&error), ?next, "a batch is not taken as it is");
                        mode = next;
                    }
                    None => {
                        tracing::error!(%tenant, stream, first, error = %with_causes(&error), "a batch cannot be stored: it waits in its branch, and somebody has to look");
                        return Attempt::Stuck;
                    }
                },
            }
        }
    }

    /// One transaction, tried again where another gateway was faster, and those who watch are told.
    async fn transact(&self, tenant: &TenantId, batches: &[&Verified], mode: Mode) -> Result<Done, DbError> {
        for _ in 0..RACES_MAX {
            let began = Instant::now();
            match transaction::apply(&self.db, tenant, batches, mode).boxed().await {
                Ok(done) => {
                    self.metrics.database_away.set(0);
                    self.metrics.transaction_seconds.observe(began.elapsed().as_secs_f64());
                    self.metrics.facts.inc_by(done.facts as u64);
                    self.metrics.unfolded.inc_by(done.unfolded as u64);
                    self.spread(&done.changed).await;
                    return Ok(done);
                }
                Err(Failed::Raced) => {}
                Err(Failed::Db(error)) if is_overtaken(&error) => {}
                Err(Failed::Db(error)) => {
                    self.metrics.database_away.set(i64::from(error.is_away()));
                    return Err(error);
                }
            }
        }
        Err(DbError::lost())
    }

    async fn spread(&self, changed: &Changed) {
        self.stock.forget(&changed.tenant, &changed.stock).await;
        self.live.tell(changed.clone());
    }

    /// What its box is told. What is refused is not tried to be kept while the database is `away`.
    async fn tell(
        &self,
        seals: &mut Seals<'_>,
        incarnation: u64,
        outcome: Outcome,
        sender: Arc<Sender>,
        batch: Box<Verified>,
        away: bool,
    ) -> Settled {
        match outcome {
            Outcome::Committed(head) => match seals.acknowledge(incarnation, &batch.header.stream, head) {
                Ok(acknowledgement) => {
                    self.metrics.count("committed");
                    Settled::Answered(Answer::Committed(acknowledgement))
                }
                // It is committed; the box asks again, and is told then.
                Err(error) => {
                    tracing::error!(%error, "an acknowledgement could not be signed");
                    Settled::Away(Entry::Batch(sender, batch))
                }
            },
            Outcome::Gap(head) => Settled::Gap(sender, batch, head),
            Outcome::Contradicts(head) | Outcome::Fenced(head) => {
                let refusal = Refusal::of_history(&batch, matches!(outcome, Outcome::Fenced(_)));
                let lane = Some(batch.header.stream.lane);
                let incoming = Incoming { device: sender.device.clone(), lane, message: batch.message() };
                if away {
                    return Settled::Away(Entry::Refused(incoming, Some(sender), refusal));
                }
                self.refuse_at(incoming, Some(sender), refusal, Some(head)).await
            }
        }
    }
}

/// Deadlock, serialisation failure or lock time-out (SQLSTATE class 40, 55P03): trying again helps.
pub(super) fn is_overtaken(error: &DbError) -> bool {
    let DbError::Statement(error) = error else { return false };
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.starts_with("40") || code == "55P03")
}
