//! SQL of giving facts back: the stream that is asked about, and its facts.

use pestle_domain::{
    ids::StoreId,
    journal::{Head, Stream},
    signature::Hash,
    wire::facts::{PAGE_BYTES_MAX, PAGE_FACTS_MAX},
};
use sqlx::PgConnection;

use super::page::Stored;
use crate::{
    db::DbError,
    ingest::store::{self, Lock},
};

/// A stream that a box may read, and how far the centre has it.
#[derive(Debug, Clone)]
pub struct Kept {
    /// Which.
    pub stream: Stream,
    /// The event store's number of it.
    pub id: i64,
    /// Committed up to here.
    pub head: Head,
}

/// The first of `streams` that the centre has anything of; with `store` the one that comes from that store.
///
/// # Errors
/// [`DbError`].
pub async fn find(
    connection: &mut PgConnection,
    streams: &[Stream],
    store: Option<StoreId>,
) -> Result<Option<Kept>, DbError> {
    let asked: Vec<&Stream> = streams.iter().collect();
    let heads = store::heads(connection, &asked, Lock::No).await?;
    let mut found = None;
    for (stream, locked) in streams.iter().zip(heads) {
        let Some(locked) = locked else { continue };
        if let Some(store) = store
            && store_of(connection, locked.id).await?.is_some_and(|known| known != store)
        {
            continue;
        }
        found.get_or_insert(Kept { stream: stream.clone(), id: locked.id, head: locked.head });
    }
    Ok(found)
}

async fn store_of(connection: &mut PgConnection, id: i64) -> Result<Option<StoreId>, DbError> {
    let store: Option<Option<uuid::Uuid>> =
        sqlx::query_scalar("SELECT store_id FROM ingest.stream WHERE stream_id = $1")
            .bind(id)
            .fetch_optional(connection)
            .await?;
    Ok(store.flatten().map(StoreId))
}

/// Facts of a stream from one number to another, as many as a page may need.
///
/// # Errors
/// [`DbError`].
pub async fn facts(
    connection: &mut PgConnection,
    stream: i64,
    (from, to): (u64, u64),
) -> Result<Vec<Stored>, DbError> {
    let signed = |seq: u64| i64::try_from(seq).unwrap_or(i64::MAX);
    let rows: Vec<(i64, Vec<u8>, Vec<u8>, bool)> = sqlx::query_as(
        "WITH line AS (
             SELECT f.seq, f.hash, f.bytes, false AS again FROM ingest.fact f
             WHERE f.stream_id = $1 AND f.seq BETWEEN $2 AND $3
             UNION ALL
             SELECT d.seq, d.hash, f.bytes, true FROM ingest.duplicate d
             JOIN ingest.fact f ON (f.tenant_id, f.fact_id) = (d.tenant_id, d.fact_id)
             WHERE d.stream_id = $1 AND d.seq BETWEEN $2 AND $3
         ), counted AS (
             SELECT line.*, sum(octet_length(bytes)) OVER (ORDER BY seq) AS so_far FROM line ORDER BY seq LIMIT $4
         )
         SELECT seq, hash, bytes, again FROM counted WHERE so_far <= $5 ORDER BY seq",
    )
    .bind(stream)
    .bind(signed(from))
    .bind(signed(to))
    // An act is far smaller than a page.
    .bind(i64::try_from(2 * PAGE_FACTS_MAX).unwrap_or(i64::MAX))
    .bind(i64::try_from(PAGE_BYTES_MAX).unwrap_or(i64::MAX))
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(seq, hash, bytes, again)| {
            let bad = || DbError::bad_row("chain value", hex::encode(&hash));
            let chain = <[u8; 32]>::try_from(&*hash).map_err(|_| bad())?;
            Ok(Stored { seq: u64::try_from(seq).unwrap_or_default(), hash: Hash(chain), bytes, again })
        })
        .collect()
}

/// The chain's value before a fact.
///
/// # Errors
/// [`DbError`].
pub async fn value_before(
    connection: &mut PgConnection,
    stream: i64,
    first: u64,
) -> Result<Option<Hash>, DbError> {
    let Some(before) = first.checked_sub(1).filter(|before| *before > 0) else {
        return Ok(Some(Head::EMPTY.hash));
    };
    Ok(store::chain_values(connection, &[(stream, before)]).await?.remove(&(stream, before)))
}
