//! SQL of what was refused, or that a person should look at.

use pestle_domain::{
    ids::{BatchId, DeviceId, TenantId},
    signature::Hash,
};
use sqlx::PgConnection;

use crate::db::DbError;

/// Rows of one device whose bytes are kept; later ones are counted, and kept as a hash alone.
const BYTES_PER_DEVICE_MAX: i64 = 200;
/// Rows of one device. What comes after is counted in its oldest row of the same reason.
const ROWS_PER_DEVICE_MAX: i64 = 1_000;

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

/// Keeps it; the same for the same reason is counted instead.
///
/// # Errors
/// [`DbError`].
pub async fn keep(
    connection: &mut PgConnection,
    tenant: &TenantId,
    kept: &Quarantined<'_>,
) -> Result<(), DbError> {
    let message = kept.message.replace('\0', "\u{FFFD}");
    let written = sqlx::query(
        "INSERT INTO ingest.quarantine AS q (tenant_id, device_id, channel, batch_id, reason, message, bytes_hash, bytes)
         SELECT $1, $2, $3, $4, $5, $6, $7, CASE WHEN own.with_bytes < $9 THEN $8::bytea END
         FROM (SELECT count(*) AS rows, count(bytes) AS with_bytes,
                      coalesce(bool_or(reason = $5 AND bytes_hash = $7), false) AS again
               FROM ingest.quarantine WHERE device_id = $2) AS own
         WHERE own.again OR own.rows < $10
         ON CONFLICT (tenant_id, device_id, reason, bytes_hash) DO UPDATE SET times = q.times + 1, last_at = now()",
    )
    .bind(tenant.as_str())
    .bind(kept.device.as_str())
    .bind(kept.channel)
    .bind(kept.batch.map(|batch| batch.0))
    .bind(kept.reason)
    .bind(&message)
    .bind(&kept.identity.0[..])
    .bind(kept.bytes)
    .bind(BYTES_PER_DEVICE_MAX)
    .bind(ROWS_PER_DEVICE_MAX)
    .execute(&mut *connection)
    .await?;
    if written.rows_affected() == 0 {
        count_with_the_oldest(connection, kept, &message).await?;
    }
    Ok(())
}

/// The device has filled its share of rows.
async fn count_with_the_oldest(
    connection: &mut PgConnection,
    kept: &Quarantined<'_>,
    message: &str,
) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE ingest.quarantine SET times = times + 1, last_at = now(), message = $2
         WHERE quarantine_id = (SELECT min(quarantine_id) FROM ingest.quarantine WHERE device_id = $1)",
    )
    .bind(kept.device.as_str())
    .bind(format!("and others, of which the last: {message}"))
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

/// The latest of the quarantine that nobody has booked, and how many rows there are of these.
///
/// # Errors
/// [`DbError`].
pub async fn latest(connection: &mut PgConnection, limit: i64) -> Result<(Vec<QuarantineRow>, i64), DbError> {
    let rows = sqlx::query_as(
        "SELECT quarantine_id, device_id, channel, reason, message, times, last_at
         FROM ingest.quarantine WHERE booked_at IS NULL ORDER BY last_at DESC LIMIT $1",
    )
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    let total = sqlx::query_scalar("SELECT count(*) FROM ingest.quarantine WHERE booked_at IS NULL")
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
