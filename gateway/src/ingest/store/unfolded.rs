//! Facts that were stored by a version that could not give them their effects.

use pestle_domain::{
    journal::{Lane, Stream},
    signature::Hash,
};
use sqlx::PgConnection;

use super::{hash, signed, unsigned};
use crate::{
    db::DbError,
    ingest::{fold::Effect, rules::UNFOLDED},
};

/// The streams that have facts without effects.
///
/// # Errors
/// [`DbError`].
pub async fn streams(connection: &mut PgConnection) -> Result<Vec<(i64, Stream)>, DbError> {
    #[derive(sqlx::FromRow)]
    struct Row {
        stream_id: i64,
        tenant_id: String,
        branch_id: String,
        term: i64,
        device_id: String,
        lane: String,
        epoch: i64,
    }
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT stream_id, tenant_id, branch_id, term, device_id, lane, epoch FROM ingest.stream s
         WHERE EXISTS (SELECT FROM ingest.fact f
                       WHERE f.tenant_id = s.tenant_id AND f.stream_id = s.stream_id AND NOT f.folded)
         ORDER BY stream_id",
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let bad =
                |what: &'static str| move || DbError::bad_row(what, format!("of stream {}", row.stream_id));
            let stream = Stream {
                tenant: row.tenant_id.parse().map_err(|_| bad("tenant")())?,
                branch: row.branch_id.parse().map_err(|_| bad("branch")())?,
                term: u32::try_from(row.term).map_err(|_| bad("term")())?,
                device: row.device_id.parse().map_err(|_| bad("device")())?,
                lane: Lane::ALL.into_iter().find(|lane| lane.as_str() == row.lane).ok_or_else(bad("lane"))?,
                epoch: u32::try_from(row.epoch).map_err(|_| bad("epoch")())?,
            };
            Ok((row.stream_id, stream))
        })
        .collect()
}

/// Locks a stream's row until the transaction ends.
///
/// # Errors
/// [`DbError`].
pub async fn lock_stream(connection: &mut PgConnection, stream: i64) -> Result<(), DbError> {
    sqlx::query("SELECT FROM ingest.stream WHERE stream_id = $1 FOR UPDATE")
        .bind(stream)
        .execute(connection)
        .await?;
    Ok(())
}

/// A fact without its effects.
#[derive(Debug, Clone)]
pub struct Unfolded {
    /// Its number in the stream.
    pub seq: u64,
    /// The chain's value.
    pub hash: Hash,
    /// As it was hashed.
    pub bytes: Vec<u8>,
}

/// The first `most` facts without effects behind `after`, in order.
///
/// # Errors
/// [`DbError`].
pub async fn facts(
    connection: &mut PgConnection,
    stream: i64,
    after: u64,
    most: usize,
) -> Result<Vec<Unfolded>, DbError> {
    let rows: Vec<(i64, Vec<u8>, Vec<u8>)> = sqlx::query_as(
        "SELECT seq, hash, bytes FROM ingest.fact WHERE stream_id = $1 AND NOT folded AND seq > $2 ORDER BY seq LIMIT $3",
    )
    .bind(stream)
    .bind(signed(after))
    .bind(i64::try_from(most).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(seq, chain, bytes)| Ok(Unfolded { seq: unsigned(seq), hash: hash(&chain)?, bytes }))
        .collect()
}

/// Who closes what was kept of a fact that has its effect in the end.
const BY_FOLDING: &str = "the centre, which has booked it";

/// Notes that facts have had their effect: a person need not look at them any more.
///
/// # Errors
/// [`DbError`].
pub async fn mark_folded(
    connection: &mut PgConnection,
    stream: i64,
    facts: &[Effect<'_>],
) -> Result<(), DbError> {
    sqlx::query(
        "WITH done AS (
             UPDATE ingest.fact f SET folded = true, kind = new.kind
             FROM unnest($2::bigint[], $3::text[]) AS new (seq, kind)
             WHERE f.stream_id = $1 AND f.seq = new.seq AND NOT f.folded
             RETURNING sha256(f.bytes) AS identity)
         UPDATE ingest.quarantine q SET closed_by = $4, closed_at = now()
         FROM done JOIN ingest.stream s ON s.stream_id = $1
         WHERE (q.device_id, q.reason, q.bytes_hash) = (s.device_id, $5, done.identity) AND q.closed_at IS NULL",
    )
    .bind(stream)
    .bind(facts.iter().map(|effect| signed(effect.seq)).collect::<Vec<_>>())
    .bind(facts.iter().map(|effect| &*effect.fact.kind).collect::<Vec<_>>())
    .bind(BY_FOLDING)
    .bind(UNFOLDED)
    .execute(connection)
    .await?;
    Ok(())
}
