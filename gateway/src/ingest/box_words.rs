//! What a box says of itself that a person should act on: how much room its disk has, which readings it left out, which
//! facts its own books lack, and which of them came back. Gathered from what facts mean, and written in the transaction that folds them.

use std::collections::BTreeMap;

use pestle_domain::{fact::FactBody, ids::TenantId, journal::Stream};
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use super::rules::VerifiedFact;
use crate::db::DbError;

/// How long readings that were left out are kept here; they are shown for a day.
const SHED_KEPT_DAYS: i32 = 7;

/// How much room a disk has.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Space<'a> {
    origin: &'a Stream,
    seq: u64,
    level: &'static str,
    free_mib: u64,
    days_left: Option<u32>,
    wall_ms: i64,
}

/// Readings that were left out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Shed<'a> {
    origin: &'a Stream,
    fact: Uuid,
    facts: u64,
    wall_ms: i64,
}

/// Facts that a box's own books lack, or have again.
#[derive(Debug, Clone, PartialEq, Eq)]
struct OfBooks<'a> {
    origin: &'a Stream,
    /// They were fetched back, and are in the books.
    fetched: bool,
    epoch: u32,
    from: u64,
    to: u64,
    wall_ms: i64,
}

/// What the facts of one transaction say.
#[derive(Debug, Default)]
pub struct BoxWords<'a> {
    /// By box, which is the order of the locks; of each the last.
    space: BTreeMap<&'a str, Space<'a>>,
    shed: Vec<Shed<'a>>,
    /// In the order in which a box says it: what came back may be lost again.
    books: Vec<OfBooks<'a>>,
}

impl<'a> BoxWords<'a> {
    /// One more fact; those that say nothing of this do nothing.
    pub fn add(&mut self, origin: &'a Stream, seq: u64, fact: &VerifiedFact, body: &'a FactBody) {
        let wall_ms = fact.wall.0;
        match body {
            FactBody::BoxSpaceLow(said) => {
                let (free_mib, days_left) = (said.free_mib, said.days_left);
                let new = Space { origin, seq, level: level(&said.level), free_mib, days_left, wall_ms };
                let place = |space: &Space<'_>| (space.origin.term, space.origin.epoch, space.seq);
                match self.space.get_mut(origin.device.as_str()) {
                    Some(earlier) if place(earlier) > place(&new) => {}
                    _ => drop(self.space.insert(origin.device.as_str(), new)),
                }
            }
            FactBody::BoxShed(said) => {
                self.shed.push(Shed { origin, fact: fact.id.0, facts: said.facts, wall_ms });
            }
            FactBody::BoxBooksIncomplete(said) if said.from <= said.to => {
                let (epoch, from, to) = (said.epoch, said.from, said.to);
                self.books.push(OfBooks { origin, fetched: false, epoch, from, to, wall_ms });
            }
            FactBody::BoxFactsFetched(said) if said.from <= said.to => {
                let (epoch, from, to) = (said.epoch, said.from, said.to);
                self.books.push(OfBooks { origin, fetched: true, epoch, from, to, wall_ms });
            }
            _ => {}
        }
    }

    /// Whether there is nothing to be written.
    pub fn is_empty(&self) -> bool {
        self.space.is_empty() && self.shed.is_empty() && self.books.is_empty()
    }
}

/// The level as it is kept; one that this version does not know is at least not plenty.
fn level(said: &str) -> &'static str {
    ["plenty", "low", "shedding", "full"].into_iter().find(|known| *known == said).unwrap_or("low")
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A box's clock may be wrong, and even absurd: no alarm stands in the future.
const AT: &str = "to_timestamp(least(greatest(new.wall_ms, 0) / 1000.0, extract(epoch FROM now())))";

/// Writes it.
///
/// # Errors
/// [`DbError`]; nothing of the transaction may be kept then.
pub async fn book(
    connection: &mut PgConnection,
    tenant: &TenantId,
    words: &BoxWords<'_>,
) -> Result<(), DbError> {
    for (device, said) in &words.space {
        let insert = format!(
            "INSERT INTO ingest.box_space AS w
                 (tenant_id, device_id, branch_id, term, epoch, seq, level, free_mib, days_left, at)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, {AT} FROM (VALUES ($10::bigint)) AS new (wall_ms)
             ON CONFLICT (tenant_id, device_id) DO UPDATE
                SET (branch_id, term, epoch, seq, level, free_mib, days_left, at)
                  = (excluded.branch_id, excluded.term, excluded.epoch, excluded.seq, excluded.level, excluded.free_mib,
                     excluded.days_left, excluded.at)
              WHERE (w.term, w.epoch, w.seq) < (excluded.term, excluded.epoch, excluded.seq)"
        );
        sqlx::query(sqlx::AssertSqlSafe(insert))
            .bind(tenant.as_str())
            .bind(device)
            .bind(said.origin.branch.as_str())
            .bind(i64::from(said.origin.term))
            .bind(i64::from(said.origin.epoch))
            .bind(signed(said.seq))
            .bind(said.level)
            .bind(signed(said.free_mib))
            .bind(said.days_left.map(i64::from))
            .bind(said.wall_ms)
            .execute(&mut *connection)
            .await?;
    }
    if !words.shed.is_empty() {
        book_shed(connection, tenant, &words.shed).await?;
    }
    if !words.books.is_empty() {
        lock_branches(connection, &words.books).await?;
    }
    for said in &words.books {
        if said.fetched {
            book_fetched(connection, tenant, said).await?;
        } else {
            book_lacks(connection, tenant, said).await?;
        }
    }
    Ok(())
}

/// What came back changes rows of all of its branch's boxes, in the order in which a box says it: of two gateways one waits here for
/// the other.
async fn lock_branches(connection: &mut PgConnection, books: &[OfBooks<'_>]) -> Result<(), DbError> {
    sqlx::query("SELECT FROM tenancy.branch WHERE branch_id = ANY($1) ORDER BY branch_id FOR NO KEY UPDATE")
        .bind(books.iter().map(|said| said.origin.branch.as_str()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

/// The first and the last number of a range. Its end stands behind it, so the greatest number has to have one.
fn range_of(said: &OfBooks<'_>) -> (i64, i64) {
    (signed(said.from).min(i64::MAX - 1), signed(said.to).min(i64::MAX - 1))
}

async fn book_lacks(
    connection: &mut PgConnection,
    tenant: &TenantId,
    said: &OfBooks<'_>,
) -> Result<(), DbError> {
    let insert = format!(
        "INSERT INTO ingest.box_lacks AS w (tenant_id, device_id, branch_id, term, epoch, lacks, at)
         SELECT $1, $2, $3, $4, $5, int8multirange(int8range($6, $7, '[]')), {AT}
         FROM (VALUES ($8::bigint)) AS new (wall_ms)
         ON CONFLICT (tenant_id, device_id, term, epoch) DO UPDATE
            SET lacks = w.lacks + excluded.lacks, at = greatest(w.at, excluded.at)"
    );
    let (from, to) = range_of(said);
    sqlx::query(sqlx::AssertSqlSafe(insert))
        .bind(tenant.as_str())
        .bind(said.origin.device.as_str())
        .bind(said.origin.branch.as_str())
        .bind(i64::from(said.origin.term))
        .bind(i64::from(said.epoch))
        .bind(from)
        .bind(to)
        .bind(said.wall_ms)
        .execute(connection)
        .await?;
    Ok(())
}

/// The branch's box has them again, whatever its name was when it said that it lacks them.
async fn book_fetched(
    connection: &mut PgConnection,
    tenant: &TenantId,
    said: &OfBooks<'_>,
) -> Result<(), DbError> {
    let (from, to) = range_of(said);
    sqlx::query(
        "UPDATE ingest.box_lacks SET lacks = lacks - int8multirange(int8range($3, $4, '[]'))
         WHERE branch_id = $1 AND epoch = $2",
    )
    .bind(said.origin.branch.as_str())
    .bind(i64::from(said.epoch))
    .bind(from)
    .bind(to)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO ingest.box_fetched AS f (tenant_id, branch_id, epoch, fetched)
         VALUES ($1, $2, $3, int8multirange(int8range($4, $5, '[]')))
         ON CONFLICT (tenant_id, branch_id, epoch) DO UPDATE SET fetched = f.fetched + excluded.fetched",
    )
    .bind(tenant.as_str())
    .bind(said.origin.branch.as_str())
    .bind(i64::from(said.epoch))
    .bind(from)
    .bind(to)
    .execute(connection)
    .await?;
    Ok(())
}

async fn book_shed(
    connection: &mut PgConnection,
    tenant: &TenantId,
    shed: &[Shed<'_>],
) -> Result<(), DbError> {
    let insert = format!(
        "INSERT INTO ingest.box_shed (tenant_id, fact_id, branch_id, device_id, term, facts, at)
         SELECT $1, new.fact_id, new.branch_id, new.device_id, new.term, new.facts, {AT}
         FROM unnest($2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
              AS new (fact_id, branch_id, device_id, term, facts, wall_ms)
         ON CONFLICT (tenant_id, fact_id) DO NOTHING"
    );
    sqlx::query(sqlx::AssertSqlSafe(insert))
        .bind(tenant.as_str())
        .bind(shed.iter().map(|said| said.fact).collect::<Vec<_>>())
        .bind(shed.iter().map(|said| said.origin.branch.as_str()).collect::<Vec<_>>())
        .bind(shed.iter().map(|said| said.origin.device.as_str()).collect::<Vec<_>>())
        .bind(shed.iter().map(|said| i64::from(said.origin.term)).collect::<Vec<_>>())
        .bind(shed.iter().map(|said| signed(said.facts)).collect::<Vec<_>>())
        .bind(shed.iter().map(|said| said.wall_ms).collect::<Vec<_>>())
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM ingest.box_shed WHERE at < now() - make_interval(days => $1)")
        .bind(SHED_KEPT_DAYS)
        .execute(connection)
        .await?;
    Ok(())
}

/// What a box says of itself; see `ingest.box_says()`.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct BoxSays {
    /// `space`, `shed` or `books`.
    pub says: String,
    /// The branch.
    pub branch_id: String,
    /// The box.
    pub device_id: String,
    /// `level`, `free_mib` and `days_left`; `facts`; or `lacks`, a list of `epoch`, `from` and `to`.
    pub data: serde_json::Value,
    /// When, by the box's clock and never in the future.
    pub at: OffsetDateTime,
}

/// All of it.
///
/// # Errors
/// [`DbError`].
pub async fn says(connection: &mut PgConnection) -> Result<Vec<BoxSays>, DbError> {
    Ok(sqlx::query_as("SELECT * FROM ingest.box_says()").fetch_all(connection).await?)
}
