//! `/api/v1/branches`.

use std::sync::Arc;

use axum::extract::State;
use pestle_domain::{ids::BranchId, staff::Role};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    rules::{self, RawProfile},
    store::{self, Branch},
};
use crate::{
    app::App,
    http::{
        envelope::{Created, Envelope, Page, PageRequest},
        error::{ApiError, ErrorBody},
        extract::{Body, Named, Params},
    },
    identity::Principal,
};

/// Who may change branches.
const MAY_CHANGE: &[Role] = &[Role::CentralIt];

/// The module's routes.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(read, change))
}

/// A branch.
#[derive(Debug, Serialize, ToSchema)]
pub struct BranchView {
    /// Its name in addresses and topics.
    pub branch_id: String,
    /// On the receipt and on the pages.
    pub name: String,
    /// Lines of the address, as printed.
    pub address: Vec<String>,
    /// As printed.
    pub tax_number: String,
    /// ISO 4217.
    pub currency: &'static str,
    /// IANA name.
    pub time_zone: String,
    /// The day of business ends this many minutes after midnight.
    pub cut_over_minutes: u16,
    /// Above the lines of a receipt.
    pub receipt_header: Vec<String>,
    /// Below the total.
    pub receipt_footer: Vec<String>,
}

impl From<Branch> for BranchView {
    fn from(branch: Branch) -> Self {
        let profile = branch.profile;
        let owned = |lines: Vec<Box<str>>| lines.into_iter().map(String::from).collect();
        Self {
            branch_id: branch.id.into(),
            name: profile.name.into(),
            address: owned(profile.address),
            tax_number: profile.tax_number.into(),
            currency: profile.currency.code(),
            time_zone: profile.time_zone.into(),
            cut_over_minutes: profile.cut_over_minutes,
            receipt_header: owned(profile.receipt_header),
            receipt_footer: owned(profile.receipt_footer),
        }
    }
}

/// A new branch.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewBranch {
    /// 1 to 40 characters of a-z, 0-9 and -; for ever.
    pub branch_id: String,
    /// The rest.
    #[serde(flatten)]
    pub profile: RawProfile,
}

/// Lists the branches.
#[utoipa::path(get, path = "/api/v1/branches", tag = "tenancy", params(PageRequest), responses(
    (status = 200, body = Page<BranchView>),
    (status = 401, body = ErrorBody, description = "Sign in first"),
))]
async fn list(
    State(app): State<Arc<App>>,
    who: Principal,
    Params(page): Params<PageRequest>,
) -> Result<Page<BranchView>, ApiError> {
    let page = page.check()?;
    let mut tx = app.db.tenant(&who.tenant).begin().await?;
    let all = store::branches(&mut tx).await?;
    tx.commit().await?;
    Ok(Page::of_all(all, page, BranchView::from))
}

/// Reads one branch.
#[utoipa::path(get, path = "/api/v1/branches/{branch_id}", tag = "tenancy", params(("branch_id" = String, Path, description = "The branch")), responses(
    (status = 200, body = Envelope<BranchView>),
    (status = 404, body = ErrorBody, description = "There is no such branch"),
))]
async fn read(
    State(app): State<Arc<App>>,
    who: Principal,
    Named(id): Named<BranchId>,
) -> Result<Envelope<BranchView>, ApiError> {
    let mut tx = app.db.tenant(&who.tenant).begin().await?;
    let branch = store::branch(&mut tx, &id).await?.ok_or_else(|| no_branch(&id))?;
    tx.commit().await?;
    Ok(Envelope::new(branch.into()))
}

/// Adds a branch (central_it, admin).
#[utoipa::path(post, path = "/api/v1/branches", tag = "tenancy", request_body = NewBranch, responses(
    (status = 201, body = Envelope<BranchView>),
    (status = 403, body = ErrorBody, description = "Another role does this"),
    (status = 409, body = ErrorBody, description = "There is one of that name"),
    (status = 422, body = ErrorBody, description = "A field cannot be meant"),
))]
async fn create(
    State(app): State<Arc<App>>,
    who: Principal,
    Body(new): Body<NewBranch>,
) -> Result<Created<BranchView>, ApiError> {
    who.require(MAY_CHANGE)?;
    let branch = Branch {
        id: new.branch_id.parse().map_err(|error| ApiError::validation(format!("branch_id: {error}")))?,
        profile: rules::profile(new.profile).map_err(|error| ApiError::validation(error.to_string()))?,
    };
    let mut tx = app.db.tenant(&who.tenant).begin().await?;
    store::add_branch(&mut tx, &who.tenant, &branch).await.map_err(|error| {
        if error.is_duplicate() {
            ApiError::duplicate(format!("there is a branch \"{}\" already: choose another name", branch.id))
        } else {
            error.into()
        }
    })?;
    tx.commit().await?;
    tracing::info!(branch = %branch.id, by = %who.user, "a branch was added");
    Ok(Envelope::saying(branch.into(), "the branch was added").created())
}

/// Changes a branch (central_it, admin). Boxes get it with their next snapshot.
#[utoipa::path(put, path = "/api/v1/branches/{branch_id}", tag = "tenancy", params(("branch_id" = String, Path, description = "The branch")), request_body = RawProfile, responses(
    (status = 200, body = Envelope<BranchView>),
    (status = 403, body = ErrorBody, description = "Another role does this"),
    (status = 404, body = ErrorBody, description = "There is no such branch"),
    (status = 422, body = ErrorBody, description = "A field cannot be meant"),
))]
async fn change(
    State(app): State<Arc<App>>,
    who: Principal,
    Named(id): Named<BranchId>,
    Body(raw): Body<RawProfile>,
) -> Result<Envelope<BranchView>, ApiError> {
    who.require(MAY_CHANGE)?;
    let profile = rules::profile(raw).map_err(|error| ApiError::validation(error.to_string()))?;
    let branch = Branch { id, profile };
    let mut tx = app.db.tenant(&who.tenant).begin().await?;
    if !store::change_branch(&mut tx, &branch).await? {
        return Err(no_branch(&branch.id));
    }
    tx.commit().await?;
    Ok(Envelope::saying(branch.into(), "the branch was changed"))
}

fn no_branch(id: &BranchId) -> ApiError {
    ApiError::not_found(format!("there is no branch \"{id}\": see /api/v1/branches"))
}
