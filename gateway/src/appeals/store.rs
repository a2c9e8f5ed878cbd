//! SQL of the schema `appeals`.

use pestle_domain::{
    appeal::Appeal,
    ids::{AppealId, BranchId, DeviceId, TenantId},
};
use sqlx::{PgConnection, types::Json};
use time::OffsetDateTime;
use uuid::Uuid;

use super::rules::Choice;
use crate::db::DbError;

/// An appeal, with what was decided on it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct AppealRow {
    /// Which.
    pub appeal_id: Uuid,
    /// The name under which the box asks.
    pub device_id: String,
    /// The branch whose records are refused.
    pub branch_id: String,
    /// The box's own branch.
    pub own_branch: String,
    /// As the box said it last.
    pub said: Json<Appeal>,
    /// From where it came, as the centre saw it.
    pub seen_from: String,
    /// Since when it asks.
    pub first_at: OffsetDateTime,
    /// When it asked last.
    pub last_at: OffsetDateTime,
    /// What was decided: `go_on` or `own_name`.
    pub choice: Option<String>,
    /// In which epoch it goes on.
    pub epoch: Option<i64>,
    /// Who decided.
    pub by_name: Option<String>,
    /// When.
    pub ruled_at: Option<OffsetDateTime>,
    /// The new epoch has reached the centre: it is carried out.
    pub carried: bool,
}

const SELECT: &str = "SELECT a.appeal_id, a.device_id, a.branch_id, d.branch_id AS own_branch, a.said, a.seen_from, a.first_at, a.last_at,
           r.choice, r.epoch, r.by_name, r.ruled_at,
           EXISTS (SELECT FROM ingest.stream s
                   WHERE s.tenant_id = a.tenant_id AND s.device_id = a.device_id AND s.epoch = r.epoch
                     AND s.carried IS NOT NULL) AS carried
    FROM appeals.appeal a
    JOIN fleet.device d ON d.tenant_id = a.tenant_id AND d.device_id = a.device_id
    LEFT JOIN appeals.ruling r ON r.tenant_id = a.tenant_id AND r.appeal_id = a.appeal_id";

/// Keeps what a box says; what it said before under the same name is replaced.
///
/// # Errors
/// [`DbError`].
pub async fn keep(
    connection: &mut PgConnection,
    (tenant, branch, device): (&TenantId, &BranchId, &DeviceId),
    said: &Appeal,
    seen_from: &str,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO appeals.appeal AS a (tenant_id, appeal_id, device_id, branch_id, said, seen_from)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (tenant_id, appeal_id) DO UPDATE
            SET said = excluded.said, seen_from = excluded.seen_from, branch_id = excluded.branch_id, last_at = now()
            WHERE a.device_id = excluded.device_id",
    )
    .bind(tenant.as_str())
    .bind(said.appeal.0)
    .bind(device.as_str())
    .bind(branch.as_str())
    .bind(Json(said))
    .bind(seen_from)
    .execute(connection)
    .await?;
    Ok(())
}

/// How many appeals of a box are kept that were made lately.
///
/// # Errors
/// [`DbError`].
pub async fn count_lately(connection: &mut PgConnection, device: &DeviceId) -> Result<i64, DbError> {
    Ok(sqlx::query_scalar(
        "SELECT count(*) FROM appeals.appeal WHERE device_id = $1 AND first_at > now() - interval '1 hour'",
    )
    .bind(device.as_str())
    .fetch_one(connection)
    .await?)
}

/// One appeal, locked until the transaction ends: two who decide at once decide one after the other.
///
/// # Errors
/// [`DbError`].
pub async fn lock(connection: &mut PgConnection, appeal: AppealId) -> Result<Option<AppealRow>, DbError> {
    let sql = format!("{SELECT} WHERE a.appeal_id = $1 FOR UPDATE OF a");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(appeal.0).fetch_optional(connection).await?)
}

/// Those that wait for a decision and were heard lately, those that were decided within a day, and those whose decision is not
/// carried out; the latest first.
///
/// # Errors
/// [`DbError`].
pub async fn current(connection: &mut PgConnection, limit: i64) -> Result<Vec<AppealRow>, DbError> {
    let sql = format!(
        "SELECT * FROM ({SELECT}) AS known
         WHERE (choice IS NULL AND last_at > now() - interval '1 hour') OR ruled_at > now() - interval '1 day'
         ORDER BY choice IS NOT NULL, last_at DESC LIMIT $1"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(limit).fetch_all(connection).await?)
}

/// A page of all appeals, the latest first, with the number of all.
///
/// # Errors
/// [`DbError`].
pub async fn list(
    connection: &mut PgConnection,
    limit: i64,
    offset: i64,
) -> Result<(Vec<AppealRow>, u64), DbError> {
    let total: i64 =
        sqlx::query_scalar("SELECT count(*) FROM appeals.appeal").fetch_one(&mut *connection).await?;
    let sql = format!("{SELECT} ORDER BY a.last_at DESC, a.appeal_id LIMIT $1 OFFSET $2");
    let rows =
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(limit).bind(offset).fetch_all(connection).await?;
    Ok((rows, total.unsigned_abs()))
}

/// A decision.
#[derive(Debug)]
pub struct NewRuling<'a> {
    /// On which appeal.
    pub appeal: Uuid,
    /// What.
    pub choice: Choice,
    /// Of which branch.
    pub branch: &'a BranchId,
    /// In which epoch the box goes on.
    pub epoch: Option<u32>,
    /// Who decided: a user's id, or `enrolment`.
    pub by: &'a str,
    /// As people call them.
    pub by_name: &'a str,
    /// When.
    pub at: OffsetDateTime,
}

/// Notes a decision.
///
/// # Errors
/// [`DbError`]; there is one already.
pub async fn rule(
    connection: &mut PgConnection,
    tenant: &TenantId,
    ruling: &NewRuling<'_>,
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO appeals.ruling (tenant_id, appeal_id, choice, branch_id, epoch, ruled_by, by_name, ruled_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tenant.as_str())
    .bind(ruling.appeal)
    .bind(ruling.choice.as_str())
    .bind(ruling.branch.as_str())
    .bind(ruling.epoch.map(i64::from))
    .bind(ruling.by)
    .bind(ruling.by_name)
    .bind(ruling.at)
    .execute(connection)
    .await?;
    Ok(())
}
