//! SQL of the schema `tenancy`.

use std::collections::HashMap;

use pestle_domain::{
    ids::{BranchId, TenantId},
    snapshot::BranchProfile,
    units::UnixMillis,
};
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::db::{DbError, Tx};

/// A branch as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// Which.
    pub id: BranchId,
    /// How it presents itself.
    pub profile: BranchProfile,
}

/// How the tenant's shared data stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision {
    /// Rises with each change.
    pub version: u64,
    /// When it last rose.
    pub at: UnixMillis,
}

/// All tenants, in the system scope.
///
/// # Errors
/// [`DbError`].
pub async fn tenants(tx: &mut Tx) -> Result<Vec<TenantId>, DbError> {
    let rows: Vec<String> = sqlx::query_scalar("SELECT tenant_id FROM tenancy.tenant ORDER BY tenant_id")
        .fetch_all(&mut **tx)
        .await?;
    rows.into_iter().map(|text| text.parse().map_err(|_| DbError::bad_row("tenant", text))).collect()
}

/// How far the shared data of every tenant is, in the system scope.
///
/// # Errors
/// [`DbError`].
pub async fn revisions(tx: &mut Tx) -> Result<HashMap<TenantId, u64>, DbError> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT tenant_id, revision FROM tenancy.tenant").fetch_all(&mut **tx).await?;
    rows.into_iter()
        .map(|(tenant, version)| {
            let tenant = tenant.parse().map_err(|_| DbError::bad_row("tenant", tenant))?;
            let version =
                u64::try_from(version).map_err(|_| DbError::bad_row("revision", version.to_string()))?;
            Ok((tenant, version))
        })
        .collect()
}

/// Adds a tenant, in its own scope.
///
/// # Errors
/// [`DbError`]; [`DbError::is_duplicate`] when it is there.
pub async fn add_tenant(tx: &mut Tx, tenant: &TenantId, name: &str) -> Result<(), DbError> {
    sqlx::query("INSERT INTO tenancy.tenant (tenant_id, name) VALUES ($1, $2)")
        .bind(tenant.as_str())
        .bind(name)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Raises the tenant's revision: what branches are told has changed in this transaction.
///
/// # Errors
/// [`DbError`].
pub async fn raise_revision(tx: &mut Tx) -> Result<(), DbError> {
    // Row-level security leaves one row, the tenant's.
    sqlx::query("UPDATE tenancy.tenant SET revision = revision + 1, revised_at = now()")
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The tenant's revision.
///
/// # Errors
/// [`DbError`].
pub async fn revision(tx: &mut Tx) -> Result<Revision, DbError> {
    let (version, at): (i64, OffsetDateTime) =
        sqlx::query_as("SELECT revision, revised_at FROM tenancy.tenant").fetch_one(&mut **tx).await?;
    Ok(Revision {
        version: u64::try_from(version).map_err(|_| DbError::bad_row("revision", version.to_string()))?,
        at: UnixMillis(i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX)),
    })
}

/// The tenant's revision alone.
///
/// # Errors
/// [`DbError`].
pub async fn version(connection: &mut PgConnection) -> Result<u64, DbError> {
    let version: i64 =
        sqlx::query_scalar("SELECT revision FROM tenancy.tenant").fetch_one(connection).await?;
    u64::try_from(version).map_err(|_| DbError::bad_row("revision", version.to_string()))
}

#[derive(sqlx::FromRow)]
struct Row {
    branch_id: String,
    name: String,
    address: Vec<String>,
    tax_number: String,
    currency: String,
    time_zone: String,
    cut_over_minutes: i32,
    receipt_header: Vec<String>,
    receipt_footer: Vec<String>,
}

impl TryFrom<Row> for Branch {
    type Error = DbError;
    fn try_from(row: Row) -> Result<Self, DbError> {
        let boxed = |lines: Vec<String>| lines.into_iter().map(String::into_boxed_str).collect();
        Ok(Self {
            id: row.branch_id.parse().map_err(|_| DbError::bad_row("branch", row.branch_id))?,
            profile: BranchProfile {
                name: row.name.into(),
                address: boxed(row.address),
                tax_number: row.tax_number.into(),
                currency: row.currency.parse().map_err(|_| DbError::bad_row("currency", row.currency))?,
                time_zone: row.time_zone.into(),
                cut_over_minutes: u16::try_from(row.cut_over_minutes)
                    .map_err(|_| DbError::bad_row("cut-over", row.cut_over_minutes.to_string()))?,
                receipt_header: boxed(row.receipt_header),
                receipt_footer: boxed(row.receipt_footer),
            },
        })
    }
}

/// All branches of the tenant.
///
/// # Errors
/// [`DbError`].
pub async fn branches(tx: &mut Tx) -> Result<Vec<Branch>, DbError> {
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT branch_id, name, address, tax_number, currency, time_zone, cut_over_minutes, receipt_header, receipt_footer
         FROM tenancy.branch ORDER BY branch_id",
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Branch::try_from).collect()
}

/// One branch.
///
/// # Errors
/// [`DbError`].
pub async fn branch(tx: &mut Tx, id: &BranchId) -> Result<Option<Branch>, DbError> {
    let row: Option<Row> = sqlx::query_as(
        "SELECT branch_id, name, address, tax_number, currency, time_zone, cut_over_minutes, receipt_header, receipt_footer
         FROM tenancy.branch WHERE branch_id = $1",
    )
    .bind(id.as_str())
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Branch::try_from).transpose()
}

/// Adds a branch and raises the revision.
///
/// # Errors
/// [`DbError`]; [`DbError::is_duplicate`] when it is there.
pub async fn add_branch(tx: &mut Tx, tenant: &TenantId, branch: &Branch) -> Result<(), DbError> {
    bind(
        sqlx::query(
            "INSERT INTO tenancy.branch (branch_id, name, address, tax_number, currency, time_zone, cut_over_minutes,
                                         receipt_header, receipt_footer, tenant_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        ),
        branch,
    )
    .bind(tenant.as_str())
    .execute(&mut **tx)
    .await?;
    raise_revision(tx).await
}

/// Changes a branch and raises the revision; false when there is none.
///
/// # Errors
/// [`DbError`].
pub async fn change_branch(tx: &mut Tx, branch: &Branch) -> Result<bool, DbError> {
    let done = bind(
        sqlx::query(
            "UPDATE tenancy.branch SET name = $2, address = $3, tax_number = $4, currency = $5, time_zone = $6,
                                       cut_over_minutes = $7, receipt_header = $8, receipt_footer = $9
             WHERE branch_id = $1",
        ),
        branch,
    )
    .execute(&mut **tx)
    .await?;
    raise_revision(tx).await?;
    Ok(done.rows_affected() == 1)
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bind<'q>(query: Query<'q>, branch: &Branch) -> Query<'q> {
    let owned = |lines: &[Box<str>]| lines.iter().map(|line| line.to_string()).collect::<Vec<_>>();
    let profile = &branch.profile;
    query
        .bind(branch.id.to_string())
        .bind(profile.name.to_string())
        .bind(owned(&profile.address))
        .bind(profile.tax_number.to_string())
        .bind(profile.currency.code())
        .bind(profile.time_zone.to_string())
        .bind(i32::from(profile.cut_over_minutes))
        .bind(owned(&profile.receipt_header))
        .bind(owned(&profile.receipt_footer))
}
