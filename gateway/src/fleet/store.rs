//! SQL of the schema `fleet`.

use std::collections::HashSet;

use pestle_domain::{
    enrolment::Hardware,
    ids::{BranchId, DeviceId, TenantId},
    signature::{KeyId, VerifyingKey},
};
use sqlx::types::Json;
use time::OffsetDateTime;

use crate::{
    db::{DbError, Tx},
    http::error::ApiError,
};

/// A box as lists show it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Device {
    /// Its name.
    pub device_id: String,
    /// Of which pharmacy.
    pub branch_id: String,
    /// The how-manieth of its branch.
    pub term: i32,
    /// Name of its key.
    pub key_id: String,
    /// What it said of itself at enrolment.
    pub hardware: Json<Hardware>,
    /// Since when.
    pub enrolled_at: OffsetDateTime,
    /// Until when.
    pub revoked_at: Option<OffsetDateTime>,
    /// Why no longer.
    pub revoked_reason: Option<String>,
    /// Whether it is connected, as far as known.
    pub online: bool,
    /// Its last word.
    pub last_seen: Option<OffsetDateTime>,
    /// Its agent's version.
    pub agent: Option<String>,
    /// Facts that wait in it: of what it stated last, what is not committed yet.
    pub waiting: Option<i64>,
    /// Version of the snapshot that it works with.
    pub snapshot: Option<i64>,
}

const SELECT: &str =
    "SELECT d.device_id, d.branch_id, d.term, d.key_id, d.hardware, d.enrolled_at, d.revoked_at,
    d.revoked_reason, fleet.is_online(p) AS online, p.last_seen, p.agent, fleet.waiting(p) AS waiting, p.snapshot
    FROM fleet.device d LEFT JOIN fleet.presence p USING (tenant_id, device_id)";

/// All boxes of the tenant, or of one branch.
///
/// # Errors
/// [`DbError`].
pub async fn devices(tx: &mut Tx, branch: Option<&BranchId>) -> Result<Vec<Device>, DbError> {
    let sql = format!("{SELECT} WHERE $1::text IS NULL OR d.branch_id = $1 ORDER BY d.branch_id, d.term");
    let rows =
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(branch.map(BranchId::as_str)).fetch_all(&mut **tx);
    Ok(rows.await?)
}

/// One box.
///
/// # Errors
/// [`DbError`].
pub async fn device(tx: &mut Tx, id: &DeviceId) -> Result<Option<Device>, DbError> {
    let sql = format!("{SELECT} WHERE d.device_id = $1");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id.as_str()).fetch_optional(&mut **tx).await?)
}

/// The boxes of the tenant that are connected and work with a snapshot before `version`.
///
/// # Errors
/// [`DbError`].
pub async fn behind(tx: &mut Tx, version: u64) -> Result<Vec<DeviceId>, DbError> {
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT device_id FROM fleet.presence p JOIN fleet.device USING (tenant_id, device_id)
         WHERE fleet.is_online(p) AND revoked_at IS NULL AND coalesce(snapshot, 0) < $1 ORDER BY device_id",
    )
    .bind(i64::try_from(version).unwrap_or(i64::MAX))
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(|text| text.parse().map_err(|_| DbError::bad_row("device", text))).collect()
}

/// The connected boxes that write for these branches.
///
/// # Errors
/// [`DbError`].
pub async fn writers(tx: &mut Tx, branches: &[&BranchId]) -> Result<Vec<DeviceId>, DbError> {
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT d.device_id FROM fleet.device d JOIN fleet.presence p USING (tenant_id, device_id)
         WHERE d.branch_id = ANY($1) AND d.revoked_at IS NULL AND fleet.is_online(p)
           AND d.term = (SELECT max(term) FROM fleet.device l WHERE l.tenant_id = d.tenant_id AND l.branch_id = d.branch_id)
         ORDER BY d.device_id",
    )
    .bind(branches.iter().map(|branch| branch.as_str()).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(|text| text.parse().map_err(|_| DbError::bad_row("device", text))).collect()
}

/// A box on its way into the fleet.
#[derive(Debug)]
pub struct NewDevice<'a> {
    /// Of which chain.
    pub tenant: &'a TenantId,
    /// Of which pharmacy.
    pub branch: &'a BranchId,
    /// Its name.
    pub device: &'a DeviceId,
    /// The how-manieth of its branch.
    pub term: u32,
    /// What it signs with.
    pub key: &'a VerifyingKey,
    /// What it says of itself.
    pub hardware: &'a Hardware,
    /// Now.
    pub at: OffsetDateTime,
}

/// The next term of a branch. The branch's row is locked: two enrolments at once take two terms.
///
/// # Errors
/// [`DbError`].
pub async fn next_term(tx: &mut Tx, branch: &BranchId) -> Result<u32, DbError> {
    sqlx::query("SELECT FROM tenancy.branch WHERE branch_id = $1 FOR UPDATE")
        .bind(branch.as_str())
        .execute(&mut **tx)
        .await?;
    let last: Option<i32> = sqlx::query_scalar("SELECT max(term) FROM fleet.device WHERE branch_id = $1")
        .bind(branch.as_str())
        .fetch_one(&mut **tx)
        .await?;
    let next = last.unwrap_or(0).saturating_add(1);
    u32::try_from(next).map_err(|_| DbError::bad_row("term", next.to_string()))
}

/// Adds a box and its key; false when its name is taken (in whichever chain).
///
/// # Errors
/// [`DbError`].
pub async fn add(tx: &mut Tx, new: &NewDevice<'_>) -> Result<bool, DbError> {
    let key_id = new.key.id().0;
    let added = sqlx::query(
        "INSERT INTO fleet.device (tenant_id, device_id, branch_id, term, key_id, hardware, enrolled_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (device_id) DO NOTHING",
    )
    .bind(new.tenant.as_str())
    .bind(new.device.as_str())
    .bind(new.branch.as_str())
    .bind(i32::try_from(new.term).unwrap_or(i32::MAX))
    .bind(&key_id)
    .bind(Json(new.hardware))
    .bind(new.at)
    .execute(&mut **tx)
    .await?;
    if added.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query(
        "INSERT INTO fleet.device_key (tenant_id, key_id, device_id, public_key, since) VALUES ($1, $2, $3, $4, $5)",
    )
    .bind(new.tenant.as_str())
    .bind(&key_id)
    .bind(new.device.as_str())
    .bind(new.key.point().as_slice())
    .bind(new.at)
    .execute(&mut **tx)
    .await?;
    sqlx::query("INSERT INTO fleet.presence (tenant_id, device_id) VALUES ($1, $2)")
        .bind(new.tenant.as_str())
        .bind(new.device.as_str())
        .execute(&mut **tx)
        .await?;
    Ok(true)
}

/// The public key of that name with which a box of the tenant signs, or signed.
///
/// # Errors
/// [`DbError`].
pub async fn key(tx: &mut Tx, device: &DeviceId, key: &KeyId) -> Result<Option<VerifyingKey>, DbError> {
    let point: Option<Vec<u8>> =
        sqlx::query_scalar("SELECT public_key FROM fleet.device_key WHERE device_id = $1 AND key_id = $2")
            .bind(device.as_str())
            .bind(&key.0)
            .fetch_optional(&mut **tx)
            .await?;
    point
        .map(|point| {
            VerifyingKey::from_point(&point).map_err(|_| DbError::bad_row("public key", hex::encode(point)))
        })
        .transpose()
}

/// Notes that `device` was `earlier` before, and so whoever that was; returns all of them.
///
/// # Errors
/// [`DbError`].
pub async fn succeed(
    tx: &mut Tx,
    tenant: &TenantId,
    device: &DeviceId,
    earlier: &DeviceId,
) -> Result<Vec<DeviceId>, DbError> {
    let rows: Vec<String> = sqlx::query_scalar(
        "INSERT INTO fleet.succession (tenant_id, device_id, earlier_id)
         SELECT $1, $2, $3 UNION SELECT $1, $2, earlier_id FROM fleet.succession WHERE device_id = $3
         RETURNING earlier_id",
    )
    .bind(tenant.as_str())
    .bind(device.as_str())
    .bind(earlier.as_str())
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(|text| text.parse().map_err(|_| DbError::bad_row("device", text))).collect()
}

/// Revokes a box; what it was before, or `None` when there is no such box. Revoking twice keeps the first reason.
///
/// # Errors
/// [`DbError`].
pub async fn revoke(
    tx: &mut Tx,
    id: &DeviceId,
    reason: &str,
    now: OffsetDateTime,
) -> Result<Option<Device>, DbError> {
    let before = device(tx, id).await?;
    sqlx::query(
        "UPDATE fleet.device SET revoked_at = $2, revoked_reason = $3 WHERE device_id = $1 AND revoked_at IS NULL",
    )
    .bind(id.as_str())
    .bind(now)
    .bind(reason)
    .execute(&mut **tx)
    .await?;
    Ok(before)
}

/// All revoked boxes of all tenants, in the system scope.
///
/// # Errors
/// [`DbError`].
pub async fn revoked(tx: &mut Tx) -> Result<HashSet<DeviceId>, DbError> {
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT device_id FROM fleet.device WHERE revoked_at IS NOT NULL")
            .fetch_all(&mut **tx)
            .await?;
    rows.into_iter().map(|text| text.parse().map_err(|_| DbError::bad_row("device", text))).collect()
}

/// Refuses a box that was revoked or is not known.
///
/// # Errors
/// AUTHORIZATION, or the database's error.
pub async fn refuse_revoked(tx: &mut Tx, id: &DeviceId) -> Result<(), ApiError> {
    let revoked: Option<bool> =
        sqlx::query_scalar("SELECT revoked_at IS NOT NULL FROM fleet.device WHERE device_id = $1")
            .bind(id.as_str())
            .fetch_optional(&mut **tx)
            .await?;
    match revoked {
        Some(false) => Ok(()),
        Some(true) => {
            Err(ApiError::authorization("this box was revoked: enrol it again with a new claim code"))
        }
        None => {
            Err(ApiError::authorization("this box is not known here: enrol it again with a new claim code"))
        }
    }
}
