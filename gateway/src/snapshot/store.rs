//! Gathers what a branch needs, in one transaction and so of one moment.

use pestle_domain::{
    ids::{BranchId, TenantId},
    snapshot::{SNAPSHOT_FORM, Snapshot},
};

use crate::{
    catalogue,
    db::{DbError, Tx},
    orders, staff, tenancy,
};

/// The snapshot of `branch`; `None` when there is no such branch. For a transaction of one moment
/// ([`crate::db::TenantScope::begin_one_moment`]).
///
/// # Errors
/// [`DbError`].
pub async fn gather(tx: &mut Tx, tenant: &TenantId, branch: &BranchId) -> Result<Option<Snapshot>, DbError> {
    let revision = tenancy::store::revision(tx).await?;
    let Some(found) = tenancy::store::branch(tx, branch).await? else { return Ok(None) };
    Ok(Some(Snapshot {
        form: SNAPSHOT_FORM,
        tenant: tenant.clone(),
        branch: branch.clone(),
        version: revision.version,
        made_at: revision.at,
        profile: found.profile,
        products: catalogue::store::all(tx).await?,
        recalls: catalogue::recalls::in_force(tx, branch).await?,
        staff: staff::store::of_branch(tx, branch).await?,
        orders: Some(orders::read::in_snapshot(tx, branch).await?),
    }))
}
