//! SQL that writes the schema `orders`. Everything here runs inside one transaction of one tenant.

use std::collections::HashMap;

use pestle_domain::{
    ids::{BranchId, DeviceId, OrderId, TenantId},
    order::{Order, OrderHead},
    signature::Hash,
};
use sqlx::PgConnection;
use uuid::Uuid;

use super::book::{Outcome, Outcomes};
use crate::db::DbError;

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A head as its columns have it.
pub(super) fn head((incarnation, seq, hash): (i64, i64, Vec<u8>)) -> Result<OrderHead, DbError> {
    let number =
        |value: i64| u64::try_from(value).map_err(|_| DbError::bad_row("order's place", value.to_string()));
    let bytes = hash.try_into().map_err(|bytes| DbError::bad_row("chain value", hex::encode(bytes)))?;
    Ok(OrderHead { incarnation: number(incarnation)?, seq: number(seq)?, hash: Hash(bytes) })
}

/// An order with the line that says it.
#[derive(Debug, Clone)]
pub struct Written {
    /// What it says.
    pub order: Order,
    /// As it is kept and sent.
    pub line: Vec<u8>,
}

/// An order as it was issued.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Issued {
    /// Its line.
    pub bytes: Vec<u8>,
    /// The branches that were named, sorted; none for all; `None` where that was not kept.
    pub whom: Option<Vec<String>>,
}

/// Keeps orders; false when an id is taken, by whichever order. Then nothing of the transaction may be kept.
///
/// # Errors
/// [`DbError`].
pub async fn keep(
    connection: &mut PgConnection,
    tenant: &TenantId,
    orders: &[Written],
    whom: Option<&[String]>,
    (by_name, adopted): (&str, bool),
) -> Result<bool, DbError> {
    let kept = sqlx::query(
        "INSERT INTO orders.issued (tenant_id, order_id, kind, bytes, by_name, adopted, whom)
         SELECT $1, new.order_id, new.kind, new.bytes, $5, $6, $7
         FROM unnest($2::uuid[], $3::text[], $4::bytea[]) AS new (order_id, kind, bytes)
         ON CONFLICT (tenant_id, order_id) DO NOTHING",
    )
    .bind(tenant.as_str())
    .bind(orders.iter().map(|one| one.order.id.0).collect::<Vec<_>>())
    .bind(orders.iter().map(|one| one.order.body.kind()).collect::<Vec<_>>())
    .bind(orders.iter().map(|one| &one.line[..]).collect::<Vec<_>>())
    .bind(by_name)
    .bind(adopted)
    .bind(whom)
    .execute(connection)
    .await?;
    Ok(kept.rows_affected() == orders.len() as u64)
}

/// An order that was issued.
///
/// # Errors
/// [`DbError`].
pub async fn issued(connection: &mut PgConnection, order: OrderId) -> Result<Option<Issued>, DbError> {
    Ok(sqlx::query_as("SELECT bytes, whom FROM orders.issued WHERE order_id = $1")
        .bind(order.0)
        .fetch_optional(connection)
        .await?)
}

/// The branches in whose logs an order stands, sorted.
///
/// # Errors
/// [`DbError`].
pub async fn branches_of(connection: &mut PgConnection, order: OrderId) -> Result<Vec<String>, DbError> {
    let mut names: Vec<String> = sqlx::query_scalar("SELECT branch_id FROM orders.log WHERE order_id = $1")
        .bind(order.0)
        .fetch_all(connection)
        .await?;
    names.sort();
    Ok(names)
}

/// The heads of the logs of `branches`, in their order, the rows locked until the transaction ends.
///
/// # Errors
/// [`DbError`].
pub async fn lock_heads(
    connection: &mut PgConnection,
    tenant: &TenantId,
    branches: &[BranchId],
) -> Result<Vec<OrderHead>, DbError> {
    let names: Vec<&str> = branches.iter().map(BranchId::as_str).collect();
    sqlx::query(
        "INSERT INTO orders.head (tenant_id, branch_id)
         SELECT $1, name FROM unnest($2::text[]) AS name ORDER BY name ON CONFLICT DO NOTHING",
    )
    .bind(tenant.as_str())
    .bind(&names)
    .execute(&mut *connection)
    .await?;
    // All in one order, so that two who write at once do not wait for each other in turn.
    let rows: Vec<(String, i64, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT branch_id, incarnation, seq, hash FROM orders.head WHERE branch_id = ANY($1)
         ORDER BY branch_id FOR UPDATE",
    )
    .bind(&names)
    .fetch_all(connection)
    .await?;
    let mut heads: HashMap<String, OrderHead> = HashMap::with_capacity(rows.len());
    for (branch, incarnation, seq, hash) in rows {
        heads.insert(branch, head((incarnation, seq, hash))?);
    }
    let find =
        |name: &&str| heads.get(*name).copied().ok_or_else(|| DbError::bad_row("head of the log of", *name));
    names.iter().map(find).collect()
}

/// An order in its place in a branch's log.
#[derive(Debug, Clone, Copy)]
pub struct Placed<'a> {
    /// The branch.
    pub branch: &'a BranchId,
    /// The order.
    pub order: OrderId,
    /// Whether a snapshot carries what it says.
    pub in_snapshots: bool,
    /// The log's head with it.
    pub at: OrderHead,
}

/// Writes orders into the logs of branches, whose head rows are locked; of each branch the last is its head then.
///
/// # Errors
/// [`DbError`]; [`DbError::is_duplicate`] when an order stands in a log already.
pub async fn append(
    connection: &mut PgConnection,
    tenant: &TenantId,
    placed: &[Placed<'_>],
) -> Result<(), DbError> {
    fn column<'p, T>(placed: &'p [Placed<'_>], value: impl Fn(&'p Placed<'_>) -> T) -> Vec<T> {
        placed.iter().map(value).collect()
    }
    // One that was lost with a restore has been judged long ago, and is lost no more.
    sqlx::query(
        "WITH new AS (
             SELECT * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bytea[], $6::uuid[], $7::boolean[])
                      AS new (branch_id, seq, incarnation, hash, order_id, in_snapshots)
         ), moved AS (
             UPDATE orders.head h SET incarnation = last.incarnation, seq = last.seq, hash = last.hash
             FROM (SELECT DISTINCT ON (branch_id) * FROM new ORDER BY branch_id, seq DESC) AS last
             WHERE h.branch_id = last.branch_id
         ), found AS (
             UPDATE orders.outcome o SET lost = false
             FROM new WHERE (o.branch_id, o.order_id) = (new.branch_id, new.order_id)
             RETURNING o.branch_id, o.order_id
         )
         INSERT INTO orders.log (tenant_id, branch_id, seq, incarnation, hash, order_id, in_snapshots, settled)
         SELECT $1, new.branch_id, new.seq, new.incarnation, new.hash, new.order_id, new.in_snapshots,
                EXISTS (SELECT FROM found WHERE (found.branch_id, found.order_id) = (new.branch_id, new.order_id))
         FROM new",
    )
    .bind(tenant.as_str())
    .bind(column(placed, |one| one.branch.as_str()))
    .bind(column(placed, |one| signed(one.at.seq)))
    .bind(column(placed, |one| signed(one.at.incarnation)))
    .bind(column(placed, |one| &one.at.hash.0[..]))
    .bind(column(placed, |one| one.order.0))
    .bind(column(placed, |one| one.in_snapshots))
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes where a box said that it stands; nothing is written while that is as before.
///
/// # Errors
/// [`DbError`].
pub async fn note_place(
    connection: &mut PgConnection,
    tenant: &TenantId,
    (branch, device): (&BranchId, &DeviceId),
    stated: &OrderHead,
    known: bool,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO orders.place AS p (tenant_id, device_id, branch_id, incarnation, seq, hash, known)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (tenant_id, device_id) DO UPDATE
            SET branch_id = excluded.branch_id, incarnation = excluded.incarnation, seq = excluded.seq,
                hash = excluded.hash, known = excluded.known, at = now()
          WHERE (p.branch_id, p.incarnation, p.seq, p.hash, p.known)
             <> (excluded.branch_id, excluded.incarnation, excluded.seq, excluded.hash, excluded.known)",
    )
    .bind(tenant.as_str())
    .bind(device.as_str())
    .bind(branch.as_str())
    .bind(signed(stated.incarnation))
    .bind(signed(stated.seq))
    .bind(&stated.hash.0[..])
    .bind(known)
    .execute(connection)
    .await?;
    Ok(())
}

/// Books what facts say of orders, inside the transaction that stores them. In whichever order they come: what was done
/// once is done.
///
/// # Errors
/// [`DbError`]; nothing of the transaction may be kept then.
pub async fn book(
    connection: &mut PgConnection,
    tenant: &TenantId,
    outcomes: &Outcomes<'_>,
) -> Result<(), DbError> {
    for (branch, at) in &outcomes.joined {
        contain(connection, tenant, branch, at).await?;
    }
    for ((branch, _), outcome) in &outcomes.judged {
        put(connection, tenant, branch, outcome).await?;
    }
    Ok(())
}

/// A box that is new in its branch took up the log behind `at`: what snapshots carry of what is before it has come by one,
/// also what another box refused. What else was refused before, nobody tries again.
async fn contain(
    connection: &mut PgConnection,
    tenant: &TenantId,
    branch: &str,
    at: &OrderHead,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO orders.joined (tenant_id, branch_id, incarnation, seq) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(tenant.as_str())
    .bind(branch)
    .bind(signed(at.incarnation))
    .bind(signed(at.seq))
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "WITH contained AS (
             INSERT INTO orders.outcome AS o (tenant_id, branch_id, order_id, kind, state, incarnation, seq)
             SELECT l.tenant_id, l.branch_id, l.order_id, i.kind, 'contained', l.incarnation, l.seq
             FROM orders.log l JOIN orders.issued i USING (tenant_id, order_id)
             WHERE l.tenant_id = $1 AND l.branch_id = $2 AND l.seq <= $3 AND l.in_snapshots
               AND EXISTS (SELECT FROM orders.log there WHERE there.branch_id = $2 AND there.seq = $3 AND there.hash = $4)
             ORDER BY l.seq
             ON CONFLICT (tenant_id, branch_id, order_id) DO UPDATE
                SET state = excluded.state, reason = '', detail = '', at = now() WHERE o.state = 'refused'
             RETURNING o.order_id
         )
         UPDATE orders.log l SET settled = true FROM contained c
         WHERE l.branch_id = $2 AND l.order_id = c.order_id AND NOT l.settled",
    )
    .bind(tenant.as_str())
    .bind(branch)
    .bind(signed(at.seq))
    .bind(&at.hash.0[..])
    .execute(connection)
    .await?;
    Ok(())
}

async fn put(
    connection: &mut PgConnection,
    tenant: &TenantId,
    branch: &str,
    outcome: &Outcome<'_>,
) -> Result<(), DbError> {
    let order = match outcome.order {
        Some(order) => order.0,
        None => nameless(connection, branch, &outcome.at).await?,
    };
    sqlx::query(
        "WITH settled AS (
             UPDATE orders.log SET settled = true WHERE branch_id = $2 AND order_id = $3 AND NOT settled
         )
         INSERT INTO orders.outcome AS o
             (tenant_id, branch_id, order_id, kind, state, reason, detail, bytes, incarnation, seq, done, lost)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,
                 NOT EXISTS (SELECT FROM orders.log WHERE branch_id = $2 AND order_id = $3))
         ON CONFLICT (tenant_id, branch_id, order_id) DO UPDATE
            SET done = o.done + excluded.done, bytes = coalesce(o.bytes, excluded.bytes), lost = excluded.lost,
                -- What was done is done, and what a snapshot brought is there, whatever an earlier box refused.
                (state, reason, detail) = (
                    SELECT CASE WHEN keeps THEN o.state ELSE excluded.state END,
                           CASE WHEN keeps THEN '' ELSE excluded.reason END,
                           CASE WHEN keeps THEN '' ELSE excluded.detail END
                    FROM (VALUES (o.state = 'applied' OR (o.state = 'contained' AND excluded.state = 'refused'))) AS k (keeps)),
                -- The place in which it was done stays: one that was adopted is told once more, as known, from another place.
                (incarnation, seq) = (
                    SELECT CASE WHEN keeps THEN o.incarnation ELSE excluded.incarnation END,
                           CASE WHEN keeps THEN o.seq ELSE excluded.seq END
                    FROM (VALUES (o.state = 'applied' AND o.done > 0 AND excluded.done = 0)) AS k (keeps)),
                at = now()",
    )
    .bind(tenant.as_str())
    .bind(branch)
    .bind(order)
    .bind(outcome.kind)
    .bind(outcome.state)
    .bind(outcome.reason)
    .bind(outcome.detail)
    .bind(outcome.line.as_bytes())
    .bind(signed(outcome.at.incarnation))
    .bind(signed(outcome.at.seq))
    .bind(outcome.done)
    .execute(connection)
    .await?;
    Ok(())
}

/// The order in a place of the log. A box that cannot read an order cannot name it; where the log does not have the place
/// either, the place itself is its name.
async fn nameless(connection: &mut PgConnection, branch: &str, at: &OrderHead) -> Result<Uuid, DbError> {
    let found: Option<Uuid> =
        sqlx::query_scalar("SELECT order_id FROM orders.log WHERE branch_id = $1 AND seq = $2 AND hash = $3")
            .bind(branch)
            .bind(signed(at.seq))
            .bind(&at.hash.0[..])
            .fetch_optional(connection)
            .await?;
    let mut name = [0; 16];
    name.copy_from_slice(&at.hash.0[..16]);
    Ok(found.unwrap_or(Uuid::from_bytes(name)))
}
