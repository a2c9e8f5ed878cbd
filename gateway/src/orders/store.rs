//! SQL that writes the schema `orders`. Everything here runs inside one transaction of one tenant.

use pestle_domain::{
    ids::{BranchId, DeviceId, OrderId, TenantId},
    order::OrderHead,
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

/// Keeps an order's bytes; false when its id is taken, by whichever order.
///
/// # Errors
/// [`DbError`].
pub async fn keep(
    connection: &mut PgConnection,
    tenant: &TenantId,
    order: OrderId,
    (kind, bytes): (&str, &[u8]),
    (by_name, adopted): (&str, bool),
) -> Result<bool, DbError> {
    let kept = sqlx::query(
        "INSERT INTO orders.issued (tenant_id, order_id, kind, bytes, by_name, adopted)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, order_id) DO NOTHING",
    )
    .bind(tenant.as_str())
    .bind(order.0)
    .bind(kind)
    .bind(bytes)
    .bind(by_name)
    .bind(adopted)
    .execute(connection)
    .await?;
    Ok(kept.rows_affected() > 0)
}

/// The bytes of an order that was issued.
///
/// # Errors
/// [`DbError`].
pub async fn bytes(connection: &mut PgConnection, order: OrderId) -> Result<Option<Vec<u8>>, DbError> {
    Ok(sqlx::query_scalar("SELECT bytes FROM orders.issued WHERE order_id = $1")
        .bind(order.0)
        .fetch_optional(connection)
        .await?)
}

/// The head of a branch's log, its row locked until the transaction ends.
///
/// # Errors
/// [`DbError`].
pub async fn lock_head(
    connection: &mut PgConnection,
    tenant: &TenantId,
    branch: &BranchId,
) -> Result<OrderHead, DbError> {
    sqlx::query("INSERT INTO orders.head (tenant_id, branch_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
        .bind(tenant.as_str())
        .bind(branch.as_str())
        .execute(&mut *connection)
        .await?;
    let row =
        sqlx::query_as("SELECT incarnation, seq, hash FROM orders.head WHERE branch_id = $1 FOR UPDATE")
            .bind(branch.as_str())
            .fetch_one(connection)
            .await?;
    head(row)
}

/// Writes an order into a branch's log, whose head row is locked.
///
/// # Errors
/// [`DbError`].
pub async fn append(
    connection: &mut PgConnection,
    tenant: &TenantId,
    branch: &BranchId,
    (order, in_snapshots): (OrderId, bool),
    after: &OrderHead,
) -> Result<(), DbError> {
    sqlx::query(
        "WITH moved AS (UPDATE orders.head SET incarnation = $4, seq = $3, hash = $5 WHERE branch_id = $2)
         INSERT INTO orders.log (tenant_id, branch_id, seq, incarnation, hash, order_id, in_snapshots)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(tenant.as_str())
    .bind(branch.as_str())
    .bind(signed(after.seq))
    .bind(signed(after.incarnation))
    .bind(&after.hash.0[..])
    .bind(order.0)
    .bind(in_snapshots)
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

/// A box that is new in its branch took up the log behind `at`: what snapshots carry of what is before it has come by one.
async fn contain(
    connection: &mut PgConnection,
    tenant: &TenantId,
    branch: &str,
    at: &OrderHead,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO orders.outcome (tenant_id, branch_id, order_id, kind, state, incarnation, seq)
         SELECT l.tenant_id, l.branch_id, l.order_id, i.kind, 'contained', l.incarnation, l.seq
         FROM orders.log l JOIN orders.issued i USING (tenant_id, order_id)
         WHERE l.tenant_id = $1 AND l.branch_id = $2 AND l.seq <= $3 AND l.in_snapshots
           AND EXISTS (SELECT FROM orders.log there WHERE there.branch_id = $2 AND there.seq = $3 AND there.hash = $4)
         ORDER BY l.seq
         ON CONFLICT (tenant_id, branch_id, order_id) DO NOTHING",
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
        "INSERT INTO orders.outcome AS o
             (tenant_id, branch_id, order_id, kind, state, reason, detail, bytes, incarnation, seq, done)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
         ON CONFLICT (tenant_id, branch_id, order_id) DO UPDATE
            SET done = o.done + excluded.done, bytes = coalesce(o.bytes, excluded.bytes),
                state = CASE WHEN o.state = 'applied' THEN o.state ELSE excluded.state END,
                reason = CASE WHEN o.state = 'applied' THEN '' ELSE excluded.reason END,
                detail = CASE WHEN o.state = 'applied' THEN '' ELSE excluded.detail END,
                incarnation = excluded.incarnation, seq = excluded.seq, at = now()",
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
