//! What lists and pages read of orders.

use std::collections::HashMap;

use pestle_domain::{
    ids::{BranchId, OrderId, TenantId},
    order::{Order, OrderHead},
};
use sqlx::{PgConnection, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::rules;
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
    /// Why it was refused, for programs: not_understood, bad_data or too_old, or left_behind when the box that refused it,
    /// and would try again, began anew or was replaced; else empty.
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
                            'reason', CASE WHEN orders.left_behind(o) THEN 'left_behind' ELSE coalesce(o.reason, '') END, 'detail', coalesce(o.detail, ''),
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
    /// waiting, refused, left_behind (refused, and the box that would try again began anew or was replaced), lost (the
    /// branch carried it out, and this log does not have it) or twice (it was carried out more than once).
    pub state: String,
    /// Why it was refused.
    pub detail: String,
    /// Since when.
    pub at: OffsetDateTime,
}

/// Those that a person should see.
#[derive(Debug, Clone, Default)]
pub struct Open {
    /// Some of them: those that need a person, then those that wait; of each the oldest first.
    pub rows: Vec<OpenRow>,
    /// How many wait.
    pub waiting: i64,
    /// How many were refused, lost, or carried out twice.
    pub troubled: i64,
}

/// At most `limit` of them. What is lost and was done twice is both.
///
/// # Errors
/// [`DbError`].
pub async fn open(connection: &mut PgConnection, limit: i64) -> Result<Open, DbError> {
    #[derive(sqlx::FromRow)]
    struct Counted {
        waiting: i64,
        troubled: i64,
        #[sqlx(flatten)]
        row: OpenRow,
    }
    let rows: Vec<Counted> = sqlx::query_as(
        "WITH open AS (
             SELECT l.branch_id, l.order_id, i.kind, i.bytes, 'waiting' AS state, '' AS detail, i.issued_at AS at
             FROM orders.log l JOIN orders.issued i USING (tenant_id, order_id) WHERE NOT l.settled
             UNION ALL
             SELECT o.branch_id, o.order_id, o.kind, o.bytes, trouble.state, o.detail, o.at
             FROM orders.outcome o CROSS JOIN LATERAL (VALUES
                 ('lost', o.lost AND o.state <> 'refused'), ('twice', o.done > 1),
                 (CASE WHEN orders.left_behind(o) THEN 'left_behind' ELSE 'refused' END, o.state = 'refused')
             ) AS trouble (state, stands)
             WHERE (o.state = 'refused' OR o.done > 1 OR o.lost) AND trouble.stands
         )
         SELECT *, count(*) FILTER (WHERE state = 'waiting') OVER () AS waiting,
                count(*) FILTER (WHERE state <> 'waiting') OVER () AS troubled
         FROM open ORDER BY state = 'waiting', at, branch_id, state LIMIT $1",
    )
    .bind(limit)
    .fetch_all(connection)
    .await?;
    let (waiting, troubled) = rows.first().map_or((0, 0), |first| (first.waiting, first.troubled));
    Ok(Open { rows: rows.into_iter().map(|one| one.row).collect(), waiting, troubled })
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
        "SELECT bytes FROM orders.outcome WHERE branch_id = $1 AND order_id = $2 AND lost AND bytes IS NOT NULL",
    )
    .bind(branch)
    .bind(order.0)
    .fetch_optional(connection)
    .await?)
}

/// Whether the branch had another order of the same recall behind this one, which it has carried out: the recall issued or
/// lifted again. Orders of other kinds are never overtaken.
///
/// # Errors
/// [`DbError`].
pub async fn is_overtaken(
    connection: &mut PgConnection,
    branch: &BranchId,
    order: &Order,
) -> Result<bool, DbError> {
    let Some(recall) = rules::names_recall(&order.body) else { return Ok(false) };
    // By the places in which the branch carried them out: one that was adopted has another place in the log since.
    let later: Vec<Vec<u8>> = sqlx::query_scalar(
        "SELECT coalesce(i.bytes, o.bytes)
         FROM orders.outcome o
         LEFT JOIN orders.issued i USING (tenant_id, order_id)
         JOIN orders.outcome this
           ON (this.tenant_id, this.branch_id, this.order_id) = (o.tenant_id, o.branch_id, $2)
         WHERE o.branch_id = $1 AND o.order_id <> $2 AND o.kind IN ('recall.issued', 'recall.lifted')
           AND o.state <> 'refused' AND coalesce(i.bytes, o.bytes) IS NOT NULL
           AND (o.incarnation, o.seq) > (this.incarnation, this.seq)
         UNION ALL
         SELECT i.bytes FROM orders.log l JOIN orders.issued i USING (tenant_id, order_id)
         JOIN orders.outcome this
           ON (this.tenant_id, this.branch_id, this.order_id) = (l.tenant_id, l.branch_id, $2)
         WHERE l.branch_id = $1 AND l.order_id <> $2 AND NOT l.settled AND i.kind IN ('recall.issued', 'recall.lifted')
           AND (l.incarnation, l.seq) > (this.incarnation, this.seq)",
    )
    .bind(branch.as_str())
    .bind(order.id.0)
    .fetch_all(connection)
    .await?;
    let same = |line: &Vec<u8>| {
        let other = Order::from_line(line).ok().flatten();
        other.is_some_and(|other| rules::names_recall(&other.body) == Some(recall))
    };
    Ok(later.iter().any(same))
}

/// A box that has other orders than its branch's log.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct ForkRow {
    /// The box.
    pub device_id: String,
    /// Its branch.
    pub branch_id: String,
    /// The last order that it has judged.
    pub seq: i64,
    /// Why, as far as can be known: another_branch (it has the orders of a branch in which it was before), same_life (they
    /// were written in this life of the database) or does_not_join (they are from before a restore, and the box does not
    /// go on with those of after it).
    pub why: String,
    /// Since when.
    pub at: OffsetDateTime,
}

/// Such boxes, of those that write for their branches. After a restore in order a box may be ahead for a while: until the
/// branch is ordered something, and the box, which has been heard of since, has had time to take it.
///
/// # Errors
/// [`DbError`].
pub async fn forks(connection: &mut PgConnection) -> Result<Vec<ForkRow>, DbError> {
    Ok(sqlx::query_as(
        "WITH judged AS (
             SELECT p.device_id, p.branch_id, p.seq, p.at,
                    CASE WHEN EXISTS (SELECT FROM orders.log other
                                      WHERE other.branch_id <> p.branch_id
                                        AND (other.seq, other.hash) = (p.seq, p.hash))
                           OR EXISTS (SELECT FROM fleet.succession s JOIN fleet.device earlier
                                      ON (earlier.tenant_id, earlier.device_id) = (s.tenant_id, s.earlier_id)
                                      WHERE s.device_id = p.device_id AND earlier.branch_id <> p.branch_id)
                         THEN 'another_branch'
                         WHEN p.incarnation >= (SELECT value FROM ingest.incarnation) THEN 'same_life'
                         WHEN EXISTS (SELECT FROM orders.log l JOIN orders.issued i USING (tenant_id, order_id)
                                      JOIN fleet.presence heard ON heard.device_id = p.device_id
                                      WHERE l.branch_id = p.branch_id AND l.incarnation > p.incarnation
                                        AND heard.last_seen > greatest(i.issued_at, p.at) + interval '10 minutes')
                         THEN 'does_not_join' END AS why
             FROM orders.place p
             JOIN fleet.device d ON (d.tenant_id, d.device_id, d.branch_id) = (p.tenant_id, p.device_id, p.branch_id)
             WHERE NOT p.known AND d.revoked_at IS NULL
               AND d.term = (SELECT max(latest.term) FROM fleet.device latest WHERE latest.branch_id = d.branch_id)
         )
         SELECT device_id, branch_id, seq, why, at FROM judged WHERE why IS NOT NULL ORDER BY at DESC",
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
