//! SQL of the event store. Everything here runs inside one transaction of one tenant.

use std::collections::HashMap;

use pestle_domain::{
    fact::EpochOpened,
    ids::{BatchId, DeviceId, TenantId},
    journal::{Head, Stream},
    signature::Hash,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::rules::{Verified, VerifiedFact};
use crate::db::DbError;

/// Rows of quarantined bytes that one device may fill; what comes after is counted, and kept as a hash alone.
const QUARANTINED_PER_DEVICE_MAX: i64 = 200;

/// A stream's row, locked.
#[derive(Debug, Clone, Copy)]
pub struct Locked {
    /// The event store's number of the stream.
    pub id: i64,
    /// Its head.
    pub head: Head,
}

fn hash(bytes: &[u8]) -> Result<Hash, DbError> {
    let bytes = bytes.try_into().map_err(|_| DbError::bad_row("chain value", hex::encode(bytes)))?;
    Ok(Hash(bytes))
}

/// A number of facts as the database counts them.
fn signed(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

fn unsigned(seq: i64) -> u64 {
    u64::try_from(seq).unwrap_or_default()
}

/// The columns of the key of many streams, for `unnest`.
struct StreamColumns<'a> {
    branches: Vec<&'a str>,
    terms: Vec<i64>,
    devices: Vec<&'a str>,
    lanes: Vec<&'static str>,
    epochs: Vec<i64>,
}

impl<'a> StreamColumns<'a> {
    fn new(streams: &[&'a Stream]) -> Self {
        Self {
            branches: streams.iter().map(|stream| stream.branch.as_str()).collect(),
            terms: streams.iter().map(|stream| i64::from(stream.term)).collect(),
            devices: streams.iter().map(|stream| stream.device.as_str()).collect(),
            lanes: streams.iter().map(|stream| stream.lane.as_str()).collect(),
            epochs: streams.iter().map(|stream| i64::from(stream.epoch)).collect(),
        }
    }
}

/// Whether heads are read to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Rows are locked in device order until the transaction ends.
    ForUpdate,
    /// Just looked at.
    No,
}

/// Heads of `streams`, in their order; `None` for a stream that the centre has nothing of.
///
/// # Errors
/// [`DbError`].
pub async fn heads(
    connection: &mut PgConnection,
    streams: &[&Stream],
    lock: Lock,
) -> Result<Vec<Option<Locked>>, DbError> {
    const FIND: &str = "SELECT asked.at, s.stream_id, s.head_seq, s.head_hash
        FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bigint[]) WITH ORDINALITY
             AS asked (branch_id, term, device_id, lane, epoch, at)
        JOIN ingest.stream s USING (device_id, branch_id, term, lane, epoch)
        ORDER BY s.device_id, s.lane, s.epoch, s.term, s.branch_id";
    let columns = StreamColumns::new(streams);
    let query = match lock {
        Lock::ForUpdate => sqlx::query_as(sqlx::AssertSqlSafe(format!("{FIND} FOR UPDATE OF s"))),
        Lock::No => sqlx::query_as(FIND),
    };
    let rows: Vec<(i64, i64, i64, Vec<u8>)> = query
        .bind(columns.branches)
        .bind(columns.terms)
        .bind(columns.devices)
        .bind(columns.lanes)
        .bind(columns.epochs)
        .fetch_all(connection)
        .await?;
    let mut heads = vec![None; streams.len()];
    for (at, id, seq, bytes) in rows {
        let index = usize::try_from(at - 1).unwrap_or(usize::MAX);
        if let Some(slot) = heads.get_mut(index) {
            *slot = Some(Locked { id, head: Head { seq: unsigned(seq), hash: hash(&bytes)? } });
        }
    }
    Ok(heads)
}

/// Opens streams that the centre has nothing of; their order is that of the locks. `None` where another transaction
/// was faster: everything is to be judged anew.
///
/// # Errors
/// [`DbError`].
pub async fn open_streams(
    connection: &mut PgConnection,
    tenant: &TenantId,
    streams: &[&Stream],
) -> Result<Option<HashMap<Stream, i64>>, DbError> {
    if streams.is_empty() {
        return Ok(Some(HashMap::new()));
    }
    let columns = StreamColumns::new(streams);
    let rows: Vec<(i64, String, i64, String, String, i64)> = sqlx::query_as(
        "INSERT INTO ingest.stream (tenant_id, branch_id, term, device_id, lane, epoch)
         SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::bigint[])
         ON CONFLICT (tenant_id, device_id, branch_id, term, lane, epoch) DO NOTHING
         RETURNING stream_id, branch_id, term, device_id, lane, epoch",
    )
    .bind(tenant.as_str())
    .bind(columns.branches)
    .bind(columns.terms)
    .bind(columns.devices)
    .bind(columns.lanes)
    .bind(columns.epochs)
    .fetch_all(connection)
    .await?;
    let find = |(id, branch, term, device, lane, epoch): &(i64, String, i64, String, String, i64)| {
        let same = |stream: &&&Stream| {
            stream.branch.as_str() == branch
                && i64::from(stream.term) == *term
                && stream.device.as_str() == device
                && stream.lane.as_str() == lane
                && i64::from(stream.epoch) == *epoch
        };
        streams.iter().find(same).map(|stream| ((*stream).clone(), *id))
    };
    let opened: HashMap<Stream, i64> = rows.iter().filter_map(find).collect();
    Ok((opened.len() == streams.len()).then_some(opened))
}

/// Chain values at (stream, number), for those that the centre has.
///
/// # Errors
/// [`DbError`].
pub async fn chain_values(
    connection: &mut PgConnection,
    places: &[(i64, u64)],
) -> Result<HashMap<(i64, u64), Hash>, DbError> {
    if places.is_empty() {
        return Ok(HashMap::new());
    }
    let (streams, seqs): (Vec<i64>, Vec<i64>) =
        places.iter().map(|(stream, seq)| (*stream, signed(*seq))).unzip();
    let rows: Vec<(i64, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT asked.stream_id, asked.seq, coalesce(f.hash, d.hash)
         FROM unnest($1::bigint[], $2::bigint[]) AS asked (stream_id, seq)
         LEFT JOIN ingest.fact f USING (stream_id, seq)
         LEFT JOIN ingest.duplicate d USING (stream_id, seq)
         WHERE coalesce(f.hash, d.hash) IS NOT NULL",
    )
    .bind(streams)
    .bind(seqs)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(|(stream, seq, bytes)| Ok(((stream, unsigned(seq)), hash(&bytes)?))).collect()
}

/// A fact on its way into the store.
#[derive(Debug, Clone, Copy)]
pub struct NewFact<'a> {
    /// The event store's number of the stream.
    pub stream: i64,
    /// Its number in the stream.
    pub seq: u64,
    /// The fact.
    pub fact: &'a VerifiedFact,
    /// Its batch.
    pub batch: &'a Verified,
    /// Whether its effects are folded in this transaction.
    pub folded: bool,
}

/// Appends facts. One statement for all of them: row-level security does not allow `COPY`, and a column each through
/// `unnest` is the next fastest.
///
/// # Errors
/// [`DbError`]; [`DbError::is_duplicate`] when a fact's id is there already.
pub async fn append(
    connection: &mut PgConnection,
    tenant: &TenantId,
    facts: &[NewFact<'_>],
) -> Result<(), DbError> {
    fn column<'f, T>(facts: &'f [NewFact<'_>], value: impl Fn(&'f NewFact<'_>) -> T) -> Vec<T> {
        facts.iter().map(value).collect()
    }
    if facts.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO ingest.fact
             (tenant_id, stream_id, seq, fact_id, act_id, wall_ms, business_date, folded, kind, hash, bytes)
         SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::uuid[], $5::uuid[], $6::bigint[], $7::date[],
                                  $8::boolean[], $9::text[], $10::bytea[], $11::bytea[])",
    )
    .bind(tenant.as_str())
    .bind(column(facts, |new| new.stream))
    .bind(column(facts, |new| signed(new.seq)))
    .bind(column(facts, |new| new.fact.id.0))
    .bind(column(facts, |new| new.fact.act.0))
    .bind(column(facts, |new| new.fact.wall.0))
    .bind(column(facts, |new| new.fact.day.0))
    .bind(column(facts, |new| new.folded))
    .bind(column(facts, |new| &*new.fact.kind))
    .bind(column(facts, |new| &new.fact.hash.0[..]))
    .bind(column(facts, |new| new.batch.line(new.fact)))
    .execute(connection)
    .await?;
    Ok(())
}

/// The bytes that the centre has under these fact ids.
///
/// # Errors
/// [`DbError`].
pub async fn facts_by_id(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Vec<u8>>, DbError> {
    let rows: Vec<(Uuid, Vec<u8>)> =
        sqlx::query_as("SELECT fact_id, bytes FROM ingest.fact WHERE fact_id = ANY($1)")
            .bind(ids)
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().collect())
}

/// Notes facts that hold a place in the chain and have had their effect already.
///
/// # Errors
/// [`DbError`].
pub async fn note_duplicates(
    connection: &mut PgConnection,
    tenant: &TenantId,
    facts: &[NewFact<'_>],
) -> Result<(), DbError> {
    if facts.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO ingest.duplicate (tenant_id, stream_id, seq, fact_id, hash)
         SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::uuid[], $5::bytea[])",
    )
    .bind(tenant.as_str())
    .bind(facts.iter().map(|new| new.stream).collect::<Vec<_>>())
    .bind(facts.iter().map(|new| signed(new.seq)).collect::<Vec<_>>())
    .bind(facts.iter().map(|new| new.fact.id.0).collect::<Vec<_>>())
    .bind(facts.iter().map(|new| &new.fact.hash.0[..]).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves heads; the rows are locked by this transaction.
///
/// # Errors
/// [`DbError`].
pub async fn advance(connection: &mut PgConnection, heads: &[Locked]) -> Result<(), DbError> {
    if heads.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE ingest.stream s SET head_seq = new.seq, head_hash = new.hash, changed_at = now()
         FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) AS new (stream_id, seq, hash)
         WHERE s.stream_id = new.stream_id",
    )
    .bind(heads.iter().map(|locked| locked.id).collect::<Vec<_>>())
    .bind(heads.iter().map(|locked| signed(locked.head.seq)).collect::<Vec<_>>())
    .bind(heads.iter().map(|locked| &locked.head.hash.0[..]).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes which store a stream comes from.
///
/// # Errors
/// [`DbError`].
pub async fn note_store(
    connection: &mut PgConnection,
    stream: i64,
    opened: &EpochOpened,
) -> Result<(), DbError> {
    sqlx::query(
        "UPDATE ingest.stream SET store_id = $2, parent = $3 WHERE stream_id = $1 AND store_id IS NULL",
    )
    .bind(stream)
    .bind(opened.store.0)
    .bind(opened.parent.as_ref().map(sqlx::types::Json))
    .execute(connection)
    .await?;
    Ok(())
}

/// Which life of the centre's database this is.
///
/// # Errors
/// [`DbError`].
pub async fn incarnation(connection: &mut PgConnection) -> Result<u64, DbError> {
    let value: i64 = sqlx::query_scalar("SELECT value FROM ingest.incarnation").fetch_one(connection).await?;
    Ok(unsigned(value))
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
    /// Exactly as it came.
    pub bytes: &'a [u8],
}

/// Keeps it; the same bytes for the same reason are counted instead.
///
/// # Errors
/// [`DbError`].
pub async fn quarantine(
    connection: &mut PgConnection,
    tenant: &TenantId,
    kept: &Quarantined<'_>,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO ingest.quarantine AS q (tenant_id, device_id, channel, batch_id, reason, message, bytes_hash, bytes)
         SELECT $1, $2, $3, $4, $5, $6, $7,
                CASE WHEN (SELECT count(*) FROM ingest.quarantine WHERE device_id = $2 AND bytes IS NOT NULL) < $9
                     THEN $8::bytea END
         ON CONFLICT (tenant_id, device_id, reason, bytes_hash) DO UPDATE SET times = q.times + 1, last_at = now()",
    )
    .bind(tenant.as_str())
    .bind(kept.device.as_str())
    .bind(kept.channel)
    .bind(kept.batch.map(|batch| batch.0))
    .bind(kept.reason)
    .bind(kept.message.replace('\0', "\u{FFFD}"))
    .bind(&Hash::of(kept.bytes).0[..])
    .bind(kept.bytes)
    .bind(QUARANTINED_PER_DEVICE_MAX)
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

/// The latest of the quarantine, and how many rows there are.
///
/// # Errors
/// [`DbError`].
pub async fn quarantined(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<(Vec<QuarantineRow>, i64), DbError> {
    let rows = sqlx::query_as(
        "SELECT quarantine_id, device_id, channel, reason, message, times, last_at
         FROM ingest.quarantine ORDER BY last_at DESC LIMIT $1",
    )
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    let total = sqlx::query_scalar("SELECT count(*) FROM ingest.quarantine").fetch_one(connection).await?;
    Ok((rows, total))
}

/// How many facts wait for a version that understands them.
///
/// # Errors
/// [`DbError`].
pub async fn unfolded(connection: &mut PgConnection) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM ingest.fact WHERE NOT folded").fetch_one(connection).await?)
}
