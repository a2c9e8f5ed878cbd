//! SQL of the audit. It only reads.

use pestle_domain::{
    ids::{BranchId, DeviceId, TenantId},
    journal::{Head, Lane, Stream},
    signature::{Hash, Signature},
};
use sqlx::PgConnection;

use crate::db::DbError;

/// A stream as its row has it.
#[derive(Debug, Clone)]
pub struct Audited {
    /// The event store's number.
    pub id: i64,
    /// Which.
    pub stream: Stream,
    /// As far as the row says.
    pub head: Head,
    /// The box's signature over the head, if it was kept.
    pub signature: Option<Signature>,
    /// With which key, as the row says.
    pub key: Option<String>,
}

/// A fact in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number in the stream.
    pub seq: u64,
    /// The chain's value that is stored with it.
    pub hash: Hash,
    /// As it was hashed; `None` where it repeats a fact that is not there.
    pub bytes: Option<Vec<u8>>,
}

#[derive(sqlx::FromRow)]
struct Row {
    stream_id: i64,
    branch_id: String,
    term: i64,
    device_id: String,
    lane: String,
    epoch: i64,
    head_seq: i64,
    head_hash: Vec<u8>,
    head_key: Option<String>,
    head_signature: Option<Vec<u8>>,
}

/// All streams of a branch, in the order in which they began.
///
/// # Errors
/// [`DbError`].
pub async fn streams(
    connection: &mut PgConnection,
    tenant: &TenantId,
    branch: &BranchId,
) -> Result<Vec<Audited>, DbError> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT stream_id, branch_id, term, device_id, lane, epoch, head_seq, head_hash, head_key, head_signature
         FROM ingest.stream WHERE branch_id = $1 ORDER BY stream_id",
    )
    .bind(branch.as_str())
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(|row| audited(tenant, row)).collect()
}

fn audited(tenant: &TenantId, row: Row) -> Result<Audited, DbError> {
    let bad = |what: &'static str| DbError::bad_row(what, format!("of stream {}", row.stream_id));
    let stream = Stream {
        tenant: tenant.clone(),
        branch: row.branch_id.parse().map_err(|_| bad("branch"))?,
        term: u32::try_from(row.term).map_err(|_| bad("term"))?,
        device: row.device_id.parse().map_err(|_| bad("device"))?,
        lane: row.lane.parse::<Lane>().map_err(|()| bad("lane"))?,
        epoch: u32::try_from(row.epoch).map_err(|_| bad("epoch"))?,
    };
    let signature = row.head_signature.map(<[u8; 64]>::try_from).transpose().map_err(|_| bad("signature"))?;
    Ok(Audited {
        id: row.stream_id,
        stream,
        head: Head { seq: row.head_seq.unsigned_abs(), hash: hash(&row.head_hash)? },
        signature: signature.map(Signature::from_bytes),
        key: row.head_key,
    })
}

fn hash(bytes: &[u8]) -> Result<Hash, DbError> {
    let bytes = bytes.try_into().map_err(|_| DbError::bad_row("chain value", hex::encode(bytes)))?;
    Ok(Hash(bytes))
}

/// A number of facts as the database counts them.
fn signed(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

/// The boxes that wrote these streams, and those that succeeded them.
///
/// # Errors
/// [`DbError`].
pub async fn writers(connection: &mut PgConnection, streams: &[Audited]) -> Result<Vec<DeviceId>, DbError> {
    let named: Vec<&str> = streams.iter().map(|audited| audited.stream.device.as_str()).collect();
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT unnest($1::text[]) UNION SELECT device_id FROM fleet.succession WHERE earlier_id = ANY($1)",
    )
    .bind(named)
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(|row| row.parse().map_err(|_| DbError::bad_row("device", row))).collect()
}

/// At most `most` records of a stream behind number `after`, in order. A repeat has the bytes of the fact that it repeats.
///
/// # Errors
/// [`DbError`].
pub async fn records(
    connection: &mut PgConnection,
    audited: &Audited,
    after: u64,
    most: u64,
) -> Result<Vec<Record>, DbError> {
    let rows: Vec<(i64, Vec<u8>, Option<Vec<u8>>)> = sqlx::query_as(
        "SELECT seq, hash, bytes FROM ingest.fact WHERE stream_id = $1 AND seq > $2 AND seq <= $3
         UNION ALL
         SELECT d.seq, d.hash, f.bytes FROM ingest.duplicate d LEFT JOIN ingest.fact f USING (fact_id)
         WHERE d.stream_id = $1 AND d.seq > $2 AND d.seq <= $3
         ORDER BY 1",
    )
    .bind(audited.id)
    .bind(signed(after))
    .bind(signed(after.saturating_add(most).min(audited.head.seq)))
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(seq, chain, bytes)| Ok(Record { seq: seq.unsigned_abs(), hash: hash(&chain)?, bytes }))
        .collect()
}

/// The stored chain value at a number, 0 being before the first.
///
/// # Errors
/// [`DbError`].
pub async fn chain_value(
    connection: &mut PgConnection,
    audited: &Audited,
    seq: u64,
) -> Result<Option<Hash>, DbError> {
    if seq == 0 {
        return Ok(Some(Hash::ZERO));
    }
    let value: Option<Vec<u8>> = sqlx::query_scalar(
        "SELECT hash FROM ingest.fact WHERE stream_id = $1 AND seq = $2
         UNION ALL SELECT hash FROM ingest.duplicate WHERE stream_id = $1 AND seq = $2",
    )
    .bind(audited.id)
    .bind(signed(seq))
    .fetch_optional(connection)
    .await?;
    value.map(|bytes| hash(&bytes)).transpose()
}
