//! SQL of the event store. Everything here runs inside one transaction of one tenant.

pub mod unfolded;

use std::collections::{BTreeSet, HashMap};

use pestle_domain::{
    fact::EpochOpened,
    ids::{BranchId, TenantId},
    journal::{Head, Stream},
    signature::Hash,
    wire::batch::Header,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    fold::Effect,
    repeats::{ActKey, FactPlace, Repeat},
    rules::{self, Verified, VerifiedFact},
};
use crate::db::DbError;

/// A stream's row, locked.
#[derive(Debug, Clone, Copy)]
pub struct Locked {
    /// The event store's number of the stream.
    pub id: i64,
    /// Its head.
    pub head: Head,
    /// Where it ended by the word of a later life of the same box's store, if there is one: what would come behind that is another
    /// store's. 0 where the later life holds all of this one once more.
    pub fence: Option<u64>,
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

/// Which of those that were asked for, the stream, its head's number and chain value, and its fence.
type HeadRow = (i64, i64, i64, Vec<u8>, Option<i64>);

/// Heads of `streams`, in their order; `None` for a stream that the centre has nothing of.
///
/// # Errors
/// [`DbError`].
pub async fn heads(
    connection: &mut PgConnection,
    streams: &[&Stream],
    lock: Lock,
) -> Result<Vec<Option<Locked>>, DbError> {
    const FIND: &str = "SELECT asked.at, s.stream_id, s.head_seq, s.head_hash,
               (SELECT least(min(CASE WHEN c.carried IS NULL THEN (c.parent->>'seq')::numeric ELSE 0 END), 9007199254740992)::bigint
                FROM ingest.stream c
                WHERE (c.tenant_id, c.device_id, c.branch_id, c.term, c.lane)
                    = (s.tenant_id, s.device_id, s.branch_id, s.term, s.lane)
                  AND c.epoch > s.epoch AND (c.parent->>'epoch')::numeric = s.epoch
                  AND ((c.parent->>'store')::uuid = s.store_id OR c.carried IS NOT NULL)) AS fence
        FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::bigint[]) WITH ORDINALITY
             AS asked (branch_id, term, device_id, lane, epoch, at)
        JOIN ingest.stream s USING (device_id, branch_id, term, lane, epoch)
        ORDER BY s.device_id, s.lane, s.epoch, s.term, s.branch_id";
    let columns = StreamColumns::new(streams);
    let query = match lock {
        Lock::ForUpdate => sqlx::query_as(sqlx::AssertSqlSafe(format!("{FIND} FOR UPDATE OF s"))),
        Lock::No => sqlx::query_as(FIND),
    };
    let rows: Vec<HeadRow> = query
        .bind(columns.branches)
        .bind(columns.terms)
        .bind(columns.devices)
        .bind(columns.lanes)
        .bind(columns.epochs)
        .fetch_all(connection)
        .await?;
    let mut heads = vec![None; streams.len()];
    for (at, id, seq, bytes, fence) in rows {
        let index = usize::try_from(at - 1).unwrap_or(usize::MAX);
        if let Some(slot) = heads.get_mut(index) {
            let head = Head { seq: unsigned(seq), hash: hash(&bytes)? };
            *slot = Some(Locked { id, head, fence: fence.map(unsigned) });
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

impl<'a> NewFact<'a> {
    /// To be folded.
    pub fn effect(&self) -> Effect<'a> {
        Effect { origin: &self.batch.header.stream, stream: self.stream, seq: self.seq, fact: self.fact }
    }
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

/// Facts of these acts whose effects other transactions wrote before, with their branches. The acts' branches are locked until
/// this transaction ends.
///
/// # Errors
/// [`DbError`].
pub async fn counted(
    connection: &mut PgConnection,
    acts: &[ActKey<'_>],
) -> Result<Vec<(String, Uuid, FactPlace)>, DbError> {
    if acts.is_empty() {
        return Ok(Vec::new());
    }
    let branches: BTreeSet<&str> = acts.iter().map(|(branch, _)| *branch).collect();
    let rows: Vec<(String, Uuid, i64, i64)> =
        sqlx::query_as("SELECT branch_id, act_id, stream_id, seq FROM ingest.counted($1, $2)")
            .bind(branches.into_iter().collect::<Vec<_>>())
            .bind(acts.iter().map(|(_, act)| *act).collect::<Vec<_>>())
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(|(branch, act, stream, seq)| (branch, act, (stream, unsigned(seq)))).collect())
}

/// Notes an act that counted before.
///
/// # Errors
/// [`DbError`].
pub async fn note_repeat(
    connection: &mut PgConnection,
    tenant: &TenantId,
    repeat: &Repeat<'_>,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO ingest.repeat (tenant_id, stream_id, first_seq, last_seq, act_id, counted_stream, counted_seq)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
    )
    .bind(tenant.as_str())
    .bind(repeat.effect.stream)
    .bind(signed(repeat.first))
    .bind(signed(repeat.last))
    .bind(repeat.effect.fact.act.0)
    .bind(repeat.counted.0)
    .bind(signed(repeat.counted.1))
    .execute(connection)
    .await?;
    Ok(())
}

/// The bytes and the chain value of a fact.
///
/// # Errors
/// [`DbError`].
pub async fn fact_at(
    connection: &mut PgConnection,
    (stream, seq): FactPlace,
) -> Result<Option<(Vec<u8>, Hash)>, DbError> {
    let row: Option<(Vec<u8>, Vec<u8>)> =
        sqlx::query_as("SELECT bytes, hash FROM ingest.fact WHERE stream_id = $1 AND seq = $2")
            .bind(stream)
            .bind(signed(seq))
            .fetch_optional(connection)
            .await?;
    row.map(|(bytes, chain)| Ok((bytes, hash(&chain)?))).transpose()
}

/// Where a stream stands behind a batch.
#[derive(Debug, Clone, Copy)]
pub struct Moved<'a> {
    /// The event store's number of the stream.
    pub id: i64,
    /// The last batch that joined: its box signed the new head.
    pub last: &'a Header,
}

/// Moves heads; the rows are locked by this transaction.
///
/// # Errors
/// [`DbError`].
pub async fn advance(connection: &mut PgConnection, heads: &[Moved<'_>]) -> Result<(), DbError> {
    if heads.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE ingest.stream s
         SET head_seq = new.seq, head_hash = new.hash, head_key = new.key, head_signature = new.signature, changed_at = now()
         FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::text[], $5::bytea[])
              AS new (stream_id, seq, hash, key, signature)
         WHERE s.stream_id = new.stream_id",
    )
    .bind(heads.iter().map(|moved| moved.id).collect::<Vec<_>>())
    .bind(heads.iter().map(|moved| signed(moved.last.after().seq)).collect::<Vec<_>>())
    .bind(heads.iter().map(|moved| &moved.last.hash.0[..]).collect::<Vec<_>>())
    .bind(heads.iter().map(|moved| &*moved.last.key.0).collect::<Vec<_>>())
    .bind(heads.iter().map(|moved| &moved.last.signature.as_bytes()[..]).collect::<Vec<_>>())
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
        "UPDATE ingest.stream SET store_id = $2, parent = $3, carried = $4 WHERE stream_id = $1 AND store_id IS NULL",
    )
    .bind(stream)
    .bind(opened.store.0)
    .bind(opened.parent.as_ref().map(sqlx::types::Json))
    .bind(Some(&opened.carried).filter(|carried| !carried.is_empty()).map(sqlx::types::Json))
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives the number of an epoch that no box of `branch` is known to have opened, that is above `above`, and that was never given
/// before. The branch's row is locked: two that are given at once are two. `None` when no number is left, or `above` is one to which
/// no box can have counted.
///
/// # Errors
/// [`DbError`].
pub async fn give_epoch(
    connection: &mut PgConnection,
    tenant: &TenantId,
    branch: &BranchId,
    above: u32,
) -> Result<Option<u32>, DbError> {
    // No stronger: whoever wrote of the branch before in its transaction, as every appeal does, holds the row's key already, and
    // two who both do would wait for each other.
    sqlx::query("SELECT FROM tenancy.branch WHERE branch_id = $1 FOR NO KEY UPDATE")
        .bind(branch.as_str())
        .execute(&mut *connection)
        .await?;
    let known: Vec<i64> = sqlx::query_scalar(
        "SELECT epoch FROM ingest.stream WHERE branch_id = $1
         UNION SELECT epoch FROM ingest.epoch_given WHERE branch_id = $1
         UNION SELECT first_epoch FROM enrolment.claim WHERE branch_id = $1 AND used_at IS NOT NULL",
    )
    .bind(branch.as_str())
    .fetch_all(&mut *connection)
    .await?;
    let next = rules::next_epoch(known.into_iter().chain([i64::from(above)]));
    let Some(given) = next.filter(|given| *given > above) else { return Ok(None) };
    sqlx::query("INSERT INTO ingest.epoch_given (tenant_id, branch_id, epoch) VALUES ($1, $2, $3)")
        .bind(tenant.as_str())
        .bind(branch.as_str())
        .bind(i64::from(given))
        .execute(connection)
        .await?;
    Ok(Some(given))
}

/// Which life of the centre's database this is.
///
/// # Errors
/// [`DbError`].
pub async fn incarnation(connection: &mut PgConnection) -> Result<u64, DbError> {
    let value: i64 = sqlx::query_scalar("SELECT value FROM ingest.incarnation").fetch_one(connection).await?;
    Ok(unsigned(value))
}
