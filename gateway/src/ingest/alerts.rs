//! Facts that people at the centre are told of: noted as soon as anything tells of them, each once. Those that are urgent come
//! early, as copies; what any of them does is done in its lane's turn.

use std::collections::BTreeMap;

use bytes::Bytes;
use pestle_domain::{
    causes::with_causes,
    ids::{DeviceId, TenantId},
    journal::{Lane, Stream},
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Entry, Incoming, Ingest,
    alert_troubles::{self, Trouble},
    alert_words,
    fold::Effect,
    live::Changed,
    rules::{Verified, VerifiedFact},
};
use crate::db::DbError;

/// How long alerts are kept; they are shown for a day. As long as a box keeps its facts (35 days): a copy and the fact's
/// own turn, which may come that much later, are one.
const KEPT_DAYS: i32 = 35;

/// A fact that people are told of, to be noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert<'a> {
    /// The fact.
    pub fact: Uuid,
    /// The branch.
    pub branch: &'a str,
    /// The box.
    pub device: &'a str,
    /// Its kind.
    pub kind: &'static str,
    /// In words.
    pub message: String,
    /// Whether it should not wait.
    pub urgent: bool,
    /// When it happened, as its box's clock told it.
    pub wall_ms: i64,
    /// Which trouble of its box it began, if it is one that ends.
    pub trouble: Option<String>,
}

impl<'a> Alert<'a> {
    /// What a fact of that stream says to people; `None` for one that is no alert.
    pub fn of(stream: &'a Stream, fact: &VerifiedFact) -> Option<Self> {
        let body = fact.body()?;
        Some(Self {
            fact: fact.id.0,
            branch: stream.branch.as_str(),
            device: stream.device.as_str(),
            kind: body.kind(),
            message: alert_words::words(body, fact.day)?,
            urgent: body.is_urgent(),
            wall_ms: fact.wall.0,
            trouble: match alert_troubles::of(body) {
                Some(Trouble::Begins(name)) => Some(name),
                Some(Trouble::Ends(_)) | None => None,
            },
        })
    }
}

/// The end of a trouble, in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End<'a> {
    device: &'a str,
    trouble: String,
    stream: i64,
    seq: i64,
    wall_ms: i64,
}

impl<'a> End<'a> {
    /// What a fact ends; `None` for one that ends nothing.
    pub fn of(effect: &Effect<'a>) -> Option<Self> {
        let Trouble::Ends(trouble) = alert_troubles::of(effect.fact.body()?)? else { return None };
        Some(Self {
            device: effect.origin.device.as_str(),
            trouble,
            stream: effect.stream,
            seq: i64::try_from(effect.seq).unwrap_or(i64::MAX),
            wall_ms: effect.fact.wall.0,
        })
    }
}

/// Notes alerts that nothing told of before; how many that were.
///
/// # Errors
/// [`DbError`].
pub async fn note(
    connection: &mut PgConnection,
    tenant: &TenantId,
    alerts: &[Alert<'_>],
    early: bool,
) -> Result<u64, DbError> {
    if alerts.is_empty() {
        return Ok(0);
    }
    let text = |of: fn(&Alert<'_>) -> String| alerts.iter().map(of).collect::<Vec<_>>();
    let noted = sqlx::query(
        "INSERT INTO ingest.alert
             (tenant_id, fact_id, branch_id, device_id, kind, message, urgent, wall_ms, trouble, early)
         SELECT $1, *, $10
         FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::boolean[], $8::bigint[], $9::text[])
         ON CONFLICT (tenant_id, fact_id) DO NOTHING",
    )
    .bind(tenant.as_str())
    .bind(alerts.iter().map(|alert| alert.fact).collect::<Vec<_>>())
    .bind(text(|alert| alert.branch.to_owned()))
    .bind(text(|alert| alert.device.to_owned()))
    .bind(text(|alert| alert.kind.to_owned()))
    .bind(text(|alert| alert.message.replace('\0', "\u{FFFD}")))
    .bind(alerts.iter().map(|alert| alert.urgent).collect::<Vec<_>>())
    .bind(alerts.iter().map(|alert| alert.wall_ms).collect::<Vec<_>>())
    .bind(alerts.iter().map(|alert| alert.trouble.as_ref().map(|name| name.replace('\0', "\u{FFFD}"))).collect::<Vec<_>>())
    .bind(early)
    .execute(&mut *connection)
    .await?;
    if noted.rows_affected() > 0 {
        sqlx::query("DELETE FROM ingest.alert WHERE at < now() - make_interval(days => $1)")
            .bind(KEPT_DAYS)
            .execute(connection)
            .await?;
    }
    Ok(noted.rows_affected())
}

/// Notes that troubles have ended. Each end is for what lies before it in the box's history: a copy whose own turn has not come may have
/// begun behind it.
///
/// # Errors
/// [`DbError`].
pub async fn end(connection: &mut PgConnection, tenant: &TenantId, ends: &[End<'_>]) -> Result<(), DbError> {
    if ends.is_empty() {
        return Ok(());
    }
    // Numbers of streams rise as a box's lives follow each other.
    sqlx::query(
        "WITH over AS (
             SELECT DISTINCT ON (a.fact_id) a.fact_id, e.wall_ms
             FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
                  AS e (device_id, trouble, stream_id, seq, wall_ms)
             JOIN ingest.alert a ON a.tenant_id = $1 AND a.device_id = e.device_id AND a.trouble = e.trouble
                                AND a.ended_ms IS NULL
             JOIN ingest.fact f ON f.tenant_id = $1 AND f.fact_id = a.fact_id
             WHERE (f.stream_id, f.seq) < (e.stream_id, e.seq)
             ORDER BY a.fact_id, e.stream_id, e.seq
         )
         UPDATE ingest.alert a SET ended_ms = over.wall_ms FROM over
         WHERE a.tenant_id = $1 AND a.fact_id = over.fact_id",
    )
    .bind(tenant.as_str())
    .bind(ends.iter().map(|end| end.device).collect::<Vec<_>>())
    .bind(ends.iter().map(|end| end.trouble.replace('\0', "\u{FFFD}")).collect::<Vec<_>>())
    .bind(ends.iter().map(|end| end.stream).collect::<Vec<_>>())
    .bind(ends.iter().map(|end| end.seq).collect::<Vec<_>>())
    .bind(ends.iter().map(|end| end.wall_ms).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// An alert that people see.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct AlertRow {
    /// The branch.
    pub branch_id: String,
    /// The box.
    pub device_id: String,
    /// In words.
    pub message: String,
    /// Whether it should not wait.
    pub urgent: bool,
    /// Whether a copy came before the ledger did.
    pub early: bool,
    /// When the centre heard of it.
    pub at: time::OffsetDateTime,
    /// When it happened, in milliseconds since 1970 UTC as its box's clock told it; `None` for what an earlier version noted.
    pub wall_ms: Option<i64>,
    /// When it ended, by the same clock; `None` while it goes on, and for what has no end.
    pub ended_ms: Option<i64>,
}

/// Those that the centre heard of within the last day: what is urgent and goes on before the rest, each with the latest first.
///
/// # Errors
/// [`DbError`].
pub async fn latest(connection: &mut PgConnection, limit: i64) -> Result<Vec<AlertRow>, DbError> {
    Ok(sqlx::query_as(
        "SELECT branch_id, device_id, message, urgent, early, at, wall_ms, ended_ms FROM ingest.alert
         WHERE at > now() - interval '1 day' ORDER BY urgent AND ended_ms IS NULL DESC, at DESC LIMIT $1",
    )
    .bind(limit)
    .fetch_all(connection)
    .await?)
}

impl Ingest {
    /// Takes early copies: verified like any batch of the ledger, noted for people in one transaction for each tenant, and
    /// nothing else. How many facts were news. A copy that cannot be noted is counted and told in the log: its facts come
    /// in their turn, whatever becomes of it.
    pub async fn early(&self, copies: Vec<(DeviceId, Bytes)>) -> u64 {
        self.metrics.alerts.inc_by(copies.len() as u64);
        let incoming = |(device, message)| Incoming { device, lane: Some(Lane::Ledger), message };
        let mut by_tenant: BTreeMap<TenantId, Vec<Box<Verified>>> = BTreeMap::new();
        for entry in self.read(copies.into_iter().map(incoming).collect()).await {
            match entry {
                Entry::Batch(sender, batch) => {
                    by_tenant.entry(sender.tenant.clone()).or_default().push(batch);
                }
                Entry::Refused(Incoming { device, .. }, _, refusal) => {
                    self.metrics.strays.inc();
                    tracing::warn!(%device, reason = ?refusal.reason, "an early copy was left aside: {}", refusal.message);
                }
                Entry::Away(Incoming { device, .. }) => {
                    self.metrics.alerts_lost.inc();
                    tracing::warn!(%device, "an early copy could not be noted, the database is away: the fact comes in its turn");
                }
            }
        }
        let mut news = 0;
        for (tenant, batches) in by_tenant {
            match self.note_early(&tenant, &batches).await {
                Ok(noted) => news += noted,
                Err(error) => {
                    self.metrics.alerts_lost.inc_by(batches.len() as u64);
                    tracing::warn!(%tenant, copies = batches.len(), error = %with_causes(&error), "early copies could not be noted: their facts come in their turn");
                }
            }
        }
        news
    }

    async fn note_early(&self, tenant: &TenantId, batches: &[Box<Verified>]) -> Result<u64, DbError> {
        let facts =
            batches.iter().flat_map(|batch| batch.facts.iter().map(|fact| (&batch.header.stream, fact)));
        // What may come early is what is urgent: nothing else is noted before its turn.
        let urgent: Vec<Alert<'_>> =
            facts.filter_map(|(stream, fact)| Alert::of(stream, fact)).filter(|alert| alert.urgent).collect();
        if urgent.is_empty() {
            return Ok(0);
        }
        let mut tx = self.db.tenant(tenant).begin().await?;
        let noted = note(&mut tx, tenant, &urgent, true).await?;
        tx.commit().await?;
        if noted > 0 {
            self.live.tell(Changed { alarms: true, ..Changed::nothing(tenant.clone()) });
        }
        Ok(noted)
    }
}
