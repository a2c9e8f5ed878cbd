//! What lists and pages read of orders.

use std::collections::HashMap;

use pestle_domain::{
    ids::{BranchId, OrderId, TenantId},
    order::OrderHead,
};
use sqlx::{PgConnection, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::db::DbError;

/// An order, with what each branch made of it.
#[derive(Debug, sqlx::FromRow)]
pub struct OrderRow {
    /// Which.
    pub order_id: Uuid,
    /// Its kind.
    pub kind: String,
    /// As it was written.
    pub bytes: Vec<u8>,
    /// Who had it written.
    pub by_name: String,
    /// Written anew after a restore.
    pub adopted: bool,
    /// When it was written.
    pub issued_at: OffsetDateTime,
    /// By branch.
    pub branches: Json<Vec<InBranch>>,
}

/// An order in one branch.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
pub struct InBranch {
    /// The branch.
    pub branch: String,
    /// Its number in the branch's log.
    pub seq: i64,
    /// waiting, applied, refused or contained (a box that is new in the branch had it by its snapshot).
    pub state: String,
    /// Why it was refused, for programs: not_understood, bad_data or too_old; else empty.
    pub reason: String,
    /// The same in words.
    pub detail: String,
    /// How often it was carried out; more than once is a fault that the console shows.
    pub done: i32,
}

/// Which orders.
#[derive(Debug, Clone, Default)]
pub struct OrderFilter {
    /// That one alone.
    pub order: Option<Uuid>,
    /// In this branch's log.
    pub branch: Option<String>,
    /// In this state in some branch (in `branch`, where that is named).
    pub state: Option<String>,
}

/// A page of orders, the latest first, and how many there are.
///
/// # Errors
/// [`DbError`].
pub async fn orders(
    connection: &mut PgConnection,
    filter: &OrderFilter,
    limit: i64,
    offset: i64,
) -> Result<(Vec<OrderRow>, i64), DbError> {
    const FILTER: &str = "($1::uuid IS NULL OR i.order_id = $1)
        AND EXISTS (SELECT FROM orders.log l LEFT JOIN orders.outcome o USING (tenant_id, branch_id, order_id)
                    WHERE l.tenant_id = i.tenant_id AND l.order_id = i.order_id
                      AND ($2::text IS NULL OR l.branch_id = $2)
                      AND ($3::text IS NULL OR coalesce(o.state, 'waiting') = $3))";
    let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM orders.issued i WHERE {FILTER}"));
    let total = sqlx::query_scalar(count)
        .bind(filter.order)
        .bind(&filter.branch)
        .bind(&filter.state)
        .fetch_one(&mut *connection)
        .await?;
    let select = sqlx::AssertSqlSafe(format!(
        "SELECT i.order_id, i.kind, i.bytes, i.by_name, i.adopted, i.issued_at,
                (SELECT jsonb_agg(jsonb_build_object(
                            'branch', l.branch_id, 'seq', l.seq, 'state', coalesce(o.state, 'waiting'),
                            'reason', coalesce(o.reason, ''), 'detail', coalesce(o.detail, ''),
                            'done', coalesce(o.done, 0)) ORDER BY l.branch_id)
                 FROM orders.log l LEFT JOIN orders.outcome o USING (tenant_id, branch_id, order_id)
                 WHERE l.tenant_id = i.tenant_id AND l.order_id = i.order_id) AS branches
         FROM orders.issued i WHERE {FILTER} ORDER BY i.issued_at DESC, i.order_id DESC LIMIT $4 OFFSET $5"
    ));
    let rows = sqlx::query_as(select)
        .bind(filter.order)
        .bind(&filter.branch)
        .bind(&filter.state)
        .bind(limit)
        .bind(offset)
        .fetch_all(connection)
        .await?;
    Ok((rows, total))
}

/// An order in one branch that a person should see.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct OpenRow {
    /// The branch.
    pub branch_id: String,
    /// Which.
    pub order_id: Uuid,
    /// Its kind.
    pub kind: String,
    /// As it was written, where that is known.
    pub bytes: Option<Vec<u8>>,
    /// waiting, refused, lost (the branch carried it out, and this log does not have it) or twice (it was carried out more
    /// than once).
    pub state: String,
    /// Why it was refused.
    pub detail: String,
    /// Since when.
    pub at: OffsetDateTime,
}

/// Orders that wait, the oldest first; behind those that were refused, lost or carried out twice. With how many there are of
/// the former, and of the latter.
///
/// # Errors
/// [`DbError`].
pub async fn open(connection: &mut PgConnection, limit: i64) -> Result<(Vec<OpenRow>, i64, i64), DbError> {
    const OPEN: &str = "
        SELECT l.branch_id, l.order_id, i.kind, i.bytes, 'waiting' AS state, '' AS detail, i.issued_at AS at
        FROM orders.log l JOIN orders.issued i USING (tenant_id, order_id)
        LEFT JOIN orders.outcome o USING (tenant_id, branch_id, order_id) WHERE o.order_id IS NULL
        UNION ALL
        SELECT o.branch_id, o.order_id, o.kind, o.bytes,
               CASE WHEN o.done > 1 THEN 'twice' WHEN l.order_id IS NULL THEN 'lost' ELSE 'refused' END, o.detail, o.at
        FROM orders.outcome o LEFT JOIN orders.log l USING (tenant_id, branch_id, order_id)
        WHERE o.done > 1 OR l.order_id IS NULL OR o.state = 'refused'";
    let select = sqlx::AssertSqlSafe(format!(
        "SELECT * FROM ({OPEN}) AS open ORDER BY state = 'waiting', at, branch_id LIMIT $1"
    ));
    let rows = sqlx::query_as(select).bind(limit).fetch_all(&mut *connection).await?;
    let count = sqlx::AssertSqlSafe(format!(
        "SELECT count(*) FILTER (WHERE state = 'waiting'), count(*) FILTER (WHERE state <> 'waiting') FROM ({OPEN}) AS open"
    ));
    let (waiting, troubled): (i64, i64) = sqlx::query_as(count).fetch_one(connection).await?;
    Ok((rows, waiting, troubled))
}

/// An order that a branch has from this centre, and this centre no more.
///
/// # Errors
/// [`DbError`].
pub async fn lost(
    connection: &mut PgConnection,
    branch: &str,
    order: OrderId,
) -> Result<Option<Vec<u8>>, DbError> {
    Ok(sqlx::query_scalar(
        "SELECT o.bytes FROM orders.outcome o LEFT JOIN orders.log l USING (tenant_id, branch_id, order_id)
         WHERE o.branch_id = $1 AND o.order_id = $2 AND l.order_id IS NULL AND o.bytes IS NOT NULL",
    )
    .bind(branch)
    .bind(order.0)
    .fetch_optional(connection)
    .await?)
}

/// A box that has other orders than its branch's log, in this life of the database.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ForkRow {
    /// The box.
    pub device_id: String,
    /// Its branch.
    pub branch_id: String,
    /// The last order that it has judged.
    pub seq: i64,
    /// Since when.
    pub at: OffsetDateTime,
}

/// Such boxes. After a restore a box may be ahead; it names an earlier life of the database then.
///
/// # Errors
/// [`DbError`].
pub async fn forks(connection: &mut PgConnection) -> Result<Vec<ForkRow>, DbError> {
    Ok(sqlx::query_as(
        "SELECT device_id, branch_id, seq, at FROM orders.place
         WHERE NOT known AND incarnation >= (SELECT value FROM ingest.incarnation) ORDER BY at DESC",
    )
    .fetch_all(connection)
    .await?)
}

/// The number of the last order of every branch of every tenant, in the system scope.
///
/// # Errors
/// [`DbError`].
pub async fn last_numbers(
    connection: &mut PgConnection,
) -> Result<HashMap<(TenantId, BranchId), u64>, DbError> {
    let rows: Vec<(String, String, i64)> =
        sqlx::query_as("SELECT tenant_id, branch_id, seq FROM orders.head").fetch_all(connection).await?;
    rows.into_iter()
        .map(|(tenant, branch, seq)| {
            let tenant = tenant.parse().map_err(|_| DbError::bad_row("tenant", tenant))?;
            let branch = branch.parse().map_err(|_| DbError::bad_row("branch", branch))?;
            Ok(((tenant, branch), seq.unsigned_abs()))
        })
        .collect()
}

/// The last order of a branch whose effect its snapshot carries: of the revision that is read in the same transaction.
///
/// # Errors
/// [`DbError`].
pub async fn in_snapshot(connection: &mut PgConnection, branch: &BranchId) -> Result<OrderHead, DbError> {
    let row: Option<(i64, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT incarnation, seq, hash FROM orders.log WHERE branch_id = $1 AND in_snapshots ORDER BY seq DESC LIMIT 1",
    )
    .bind(branch.as_str())
    .fetch_optional(connection)
    .await?;
    row.map_or(Ok(OrderHead::START), super::store::head)
}
