//! SQL of what was refused, or that a person should look at.

use pestle_domain::{
    ids::{BatchId, DeviceId, TenantId},
    signature::Hash,
};
use sqlx::{AssertSqlSafe, PgConnection};

use super::rules::{FENCED, NOT_ALLOWED, REPEATED, UNFOLDED};
use crate::db::DbError;

/// What of one device a person has yet to look at. What was booked or closed takes up no share.
#[derive(Debug, Clone, Copy)]
struct Share {
    /// Rows. What comes after is counted in the oldest, of the same reason if there is one.
    rows: i64,
    /// Of them, those whose bytes are kept; of later ones the hash alone is.
    with_bytes: i64,
}

/// Of all that is refused and that its box still has, whoever sent it.
const USUAL: Share = Share { rows: 1_000, with_bytes: 200 };
/// Of what may be the last copy: what came of an ended life of a store, and what came of a revoked box. None is kept without its bytes.
/// A day's batches of a busy branch are some hundred.
const LAST_COPIES: Share = Share { rows: 10_000, with_bytes: 10_000 };
/// Of what is shown without bytes, since the event store has them.
const DOUBTS: Share = Share { rows: 1_000, with_bytes: 1_000 };

/// Reasons that have a share each. All others have one together.
const APART: [&str; 4] = [FENCED, NOT_ALLOWED, UNFOLDED, REPEATED];

fn share_of(reason: &str) -> Share {
    match reason {
        FENCED | NOT_ALLOWED => LAST_COPIES,
        UNFOLDED | REPEATED => DOUBTS,
        _ => USUAL,
    }
}

/// SQL for the rows that share with one that is to be kept, given its device and reason.
fn shared(device: &str, reason: &str) -> String {
    let apart = APART.map(|reason| format!("'{reason}'")).join(", ");
    format!(
        "device_id = {device} AND booked_at IS NULL AND closed_at IS NULL
         AND (reason = {reason} OR NOT (reason IN ({apart}) OR {reason} IN ({apart})))"
    )
}

/// Something that was refused, or that a person should look at.
#[derive(Debug, Clone)]
pub struct Quarantined<'a> {
    /// Who sent it.
    pub device: &'a DeviceId,
    /// On which channel.
    pub channel: &'a str,
    /// Which batch, if that could be read.
    pub batch: Option<BatchId>,
    /// In one word.
    pub reason: &'a str,
    /// In words.
    pub message: &'a str,
    /// What makes it the same when it comes again: a box that tries again sends other bytes, since each batch has its
    /// own id and signature.
    pub identity: Hash,
    /// Exactly as it came.
    pub bytes: &'a [u8],
}

/// What is kept of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// A row of its own, with its bytes.
    Whole,
    /// That it came: its device has filled its share.
    ThatItCame,
}

/// Keeps it; the same for the same reason is counted instead, and a person looks at it again if one had closed it.
///
/// # Errors
/// [`DbError`].
pub async fn keep(
    connection: &mut PgConnection,
    tenant: &TenantId,
    kept: &Quarantined<'_>,
) -> Result<Kept, DbError> {
    // A zero character is text for Rust, and none for PostgreSQL.
    let message = kept.message.replace('\0', "\u{FFFD}");
    let share = share_of(kept.reason);
    let shared = shared("$2", "$5");
    let insert = format!(
        "INSERT INTO ingest.quarantine AS q (tenant_id, device_id, channel, batch_id, reason, message, bytes_hash, bytes)
         SELECT $1, $2, $3, $4, $5, $6, $7, CASE WHEN own.with_bytes < $9 THEN $8::bytea END
         FROM (SELECT count(*) AS rows, count(bytes) AS with_bytes FROM ingest.quarantine WHERE {shared}) AS own
         WHERE own.rows < $10
            OR EXISTS (SELECT FROM ingest.quarantine WHERE (device_id, reason, bytes_hash) = ($2, $5, $7))
         ON CONFLICT (tenant_id, device_id, reason, bytes_hash) DO UPDATE
         SET times = q.times + 1, last_at = now(), bytes = coalesce(q.bytes, EXCLUDED.bytes), closed_by = NULL, closed_at = NULL
         RETURNING q.bytes IS NOT NULL"
    );
    let whole: Option<bool> = sqlx::query_scalar(AssertSqlSafe(insert))
        .bind(tenant.as_str())
        .bind(kept.device.as_str())
        .bind(kept.channel)
        .bind(kept.batch.map(|batch| batch.0))
        .bind(kept.reason)
        .bind(&message)
        .bind(&kept.identity.0[..])
        .bind(kept.bytes)
        .bind(share.with_bytes)
        .bind(share.rows)
        .fetch_optional(&mut *connection)
        .await?;
    // Of last copies nothing is counted that is not kept: they are tried again.
    if whole.is_none() && ![FENCED, NOT_ALLOWED].contains(&kept.reason) {
        count_with_the_oldest(connection, kept, &message).await?;
    }
    Ok(if whole == Some(true) { Kept::Whole } else { Kept::ThatItCame })
}

/// The device has filled its share of rows.
async fn count_with_the_oldest(
    connection: &mut PgConnection,
    kept: &Quarantined<'_>,
    message: &str,
) -> Result<(), DbError> {
    let shared = shared("$2", "$3");
    let count = format!(
        "UPDATE ingest.quarantine SET times = times + 1, last_at = now(), message = $1
         WHERE quarantine_id = (SELECT quarantine_id FROM ingest.quarantine WHERE {shared}
                                ORDER BY reason <> $3, quarantine_id LIMIT 1)"
    );
    sqlx::query(AssertSqlSafe(count))
        .bind(format!("and others, of which the last: {message}"))
        .bind(kept.device.as_str())
        .bind(kept.reason)
        .execute(connection)
        .await?;
    Ok(())
}

/// One row of the quarantine, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct QuarantineRow {
    /// Its number.
    pub quarantine_id: i64,
    /// Who sent it.
    pub device_id: String,
    /// On which channel.
    pub channel: String,
    /// In one word.
    pub reason: String,
    /// In words.
    pub message: String,
    /// How often it came.
    pub times: i64,
    /// When it came last.
    pub last_at: time::OffsetDateTime,
}

/// The latest of the quarantine that nobody has booked or closed, and how many rows there are of these.
///
/// # Errors
/// [`DbError`].
pub async fn latest(connection: &mut PgConnection, limit: i64) -> Result<(Vec<QuarantineRow>, i64), DbError> {
    let rows = sqlx::query_as(
        "SELECT quarantine_id, device_id, channel, reason, message, times, last_at
         FROM ingest.quarantine WHERE booked_at IS NULL AND closed_at IS NULL ORDER BY last_at DESC LIMIT $1",
    )
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    let total = sqlx::query_scalar(
        "SELECT count(*) FROM ingest.quarantine WHERE booked_at IS NULL AND closed_at IS NULL",
    )
    .fetch_one(connection)
    .await?;
    Ok((rows, total))
}

/// One row with its bytes.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct KeptRow {
    /// Who sent it.
    pub device_id: String,
    /// In one word.
    pub reason: String,
    /// Exactly as it came; `None` where the device had filled its share.
    pub bytes: Option<Vec<u8>>,
}

/// What is kept under a number.
///
/// # Errors
/// [`DbError`].
pub async fn find(connection: &mut PgConnection, number: i64) -> Result<Option<KeptRow>, DbError> {
    Ok(sqlx::query_as("SELECT device_id, reason, bytes FROM ingest.quarantine WHERE quarantine_id = $1")
        .bind(number)
        .fetch_optional(connection)
        .await?)
}

/// It is booked, and nobody needs to look at it any more.
///
/// # Errors
/// [`DbError`].
pub async fn note_booked(connection: &mut PgConnection, number: i64, by: &str) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE ingest.quarantine SET booked_by = $2, booked_at = now() WHERE quarantine_id = $1 AND booked_at IS NULL",
    )
    .bind(number)
    .bind(by)
    .execute(connection)
    .await?;
    Ok(())
}

/// That somebody needs to look at a row no more.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Closed {
    /// Who said so.
    #[sqlx(rename = "closed_by")]
    pub by: String,
    /// And when.
    #[sqlx(rename = "closed_at")]
    pub at: time::OffsetDateTime,
}

/// What became of a word that nobody needs to look any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closing {
    /// It is closed, now or before.
    Closed(Closed),
    /// It came again since.
    CameAgain,
    /// Nothing is kept under this number.
    Unknown,
}

/// Nobody needs to look at it any more; a repeat changes nothing. Whoever says how often they have `seen` it come closes no more
/// than that.
///
/// # Errors
/// [`DbError`].
pub async fn close(
    connection: &mut PgConnection,
    number: i64,
    seen: Option<i64>,
    by: &str,
) -> Result<Closing, DbError> {
    let closed = sqlx::query_as(
        "UPDATE ingest.quarantine SET closed_by = coalesce(closed_by, $2), closed_at = coalesce(closed_at, now())
         WHERE quarantine_id = $1 AND ($3::bigint IS NULL OR times = $3 OR closed_at IS NOT NULL) RETURNING closed_by, closed_at",
    )
    .bind(number)
    .bind(by)
    .bind(seen)
    .fetch_optional(&mut *connection)
    .await?;
    Ok(match closed {
        Some(closed) => Closing::Closed(closed),
        None if find(connection, number).await?.is_some() => Closing::CameAgain,
        None => Closing::Unknown,
    })
}
