//! SQL of the schema `staff`.

use pestle_domain::{
    ids::{BranchId, TenantId},
    staff::Member,
    units::Day,
};

use super::import::NewMember;
use crate::{
    db::{DbError, Tx},
    tenancy::store::raise_revision,
};

/// Everybody who may sign in at `branch`.
///
/// # Errors
/// [`DbError`].
pub async fn of_branch(tx: &mut Tx, branch: &BranchId) -> Result<Vec<Member>, DbError> {
    let rows: Vec<(String, String, String, String, Option<time::Date>)> = sqlx::query_as(
        "SELECT staff_id, name, role, pin_verifier, valid_until FROM staff.member
         WHERE active AND (branches = '{}' OR $1 = ANY(branches)) ORDER BY staff_id",
    )
    .bind(branch.as_str())
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|(id, name, role, verifier, valid_until)| {
            Ok(Member {
                id: id.parse().map_err(|_| DbError::bad_row("staff member", id))?,
                name: name.into(),
                role: role.parse().map_err(|_| DbError::bad_row("role", role))?,
                pin_verifier: verifier.into(),
                valid_until: valid_until.map(Day),
            })
        })
        .collect()
}

/// Adds or replaces people, each with the verifier of their PIN, and raises the revision. Who is not named stays.
///
/// # Errors
/// [`DbError`].
pub async fn put(tx: &mut Tx, tenant: &TenantId, members: &[(NewMember, String)]) -> Result<(), DbError> {
    for (member, verifier) in members {
        let branches: Vec<&str> = member.branches.iter().map(BranchId::as_str).collect();
        sqlx::query(
            "INSERT INTO staff.member (tenant_id, staff_id, name, role, pin_verifier, valid_until, branches)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (tenant_id, staff_id) DO UPDATE
                SET name = excluded.name, role = excluded.role, pin_verifier = excluded.pin_verifier,
                    valid_until = excluded.valid_until, branches = excluded.branches, active = true",
        )
        .bind(tenant.as_str())
        .bind(member.id.as_str())
        .bind(&member.name)
        .bind(member.role.as_str())
        .bind(verifier)
        .bind(member.valid_until.map(|day| day.0))
        .bind(branches)
        .execute(&mut **tx)
        .await?;
    }
    raise_revision(tx).await
}
