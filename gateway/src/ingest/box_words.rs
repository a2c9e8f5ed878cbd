//! What a box says of itself that a person should act on: how much room its disk has, which readings it left out, which
//! facts its own books lack. Gathered from what facts mean, and written in the transaction that folds them.

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

/// Facts that a box's own books lack.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Lacks<'a> {
    origin: &'a Stream,
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
    lacks: Vec<Lacks<'a>>,
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
                self.lacks.push(Lacks { origin, epoch: said.epoch, from: said.from, to: said.to, wall_ms });
            }
            _ => {}
        }
    }

    /// Whether there is nothing to be written.
    pub fn is_empty(&self) -> bool {
        self.space.is_empty() && self.shed.is_empty() && self.lacks.is_empty()
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
    for said in &words.lacks {
        let insert = format!(
            "INSERT INTO ingest.box_lacks AS w (tenant_id, device_id, branch_id, term, epoch, lacks, at)
             SELECT $1, $2, $3, $4, $5, int8multirange(int8range($6, $7, '[]')), {AT}
             FROM (VALUES ($8::bigint)) AS new (wall_ms)
             ON CONFLICT (tenant_id, device_id, term, epoch) DO UPDATE
                SET lacks = w.lacks + excluded.lacks, at = greatest(w.at, excluded.at)"
        );
        sqlx::query(sqlx::AssertSqlSafe(insert))
            .bind(tenant.as_str())
            .bind(said.origin.device.as_str())
            .bind(said.origin.branch.as_str())
            .bind(i64::from(said.origin.term))
            .bind(i64::from(said.epoch))
            // The end of a range stands behind it, so the greatest number has to have one.
            .bind(signed(said.from).min(i64::MAX - 1))
            .bind(signed(said.to).min(i64::MAX - 1))
            .bind(said.wall_ms)
            .execute(&mut *connection)
            .await?;
    }
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
