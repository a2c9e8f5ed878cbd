//! `/api/v1/enrol` for boxes, `/api/v1/enrolment/claims` for people.

use std::sync::Arc;

use axum::extract::State;
use pestle_domain::{
    enrolment::{EnrolRequest, EnrolResponse},
    ids::BranchId,
    staff::Role,
};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    enrol::{self, IssueError},
    rules, store,
};
use crate::{
    app::App,
    http::{
        envelope::{Created, Envelope, Page, PageRequest},
        error::{ApiError, ErrorBody},
        extract::{Body, Params},
        peer::Peer,
    },
    identity::Principal,
};

/// The module's routes.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(enrol_box)).routes(routes!(list, issue))
}

/// What a box sends; the domain's `EnrolRequest`.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "describes the domain's type for OpenAPI")]
pub struct EnrolBody {
    /// The secret part of the claim: its first three groups.
    code: String,
    /// PKCS #10, PEM, with an ECDSA P-256 key. Its key alone is taken.
    csr_pem: String,
    /// What the box says of itself: hostname, machine_id, version.
    #[schema(value_type = Object)]
    hardware: (),
    /// The proof that the box was another one before (device, key, signature by the old key); may be left out.
    #[schema(value_type = Option<Object>)]
    replaces: (),
}

/// What a box is answered; the domain's `EnrolResponse`.
#[derive(Debug, Serialize, ToSchema)]
#[allow(dead_code, reason = "describes the domain's type for OpenAPI")]
pub struct EnrolAnswer {
    /// Who the box is now.
    identity: EnrolledIdentity,
    /// Client certificate for the links to the centre, PEM, leaf first.
    certificate_pem: String,
    /// Server certificate for the box's own pages, PEM, leaf first; same key.
    web_certificate_pem: String,
    /// The centre's certificate authority, PEM.
    ca_pem: String,
}

/// Who a box is and whom it reports to; the domain's `Identity`.
#[derive(Debug, Serialize, ToSchema)]
#[allow(dead_code, reason = "describes the domain's type for OpenAPI")]
pub struct EnrolledIdentity {
    /// The chain.
    tenant: String,
    /// The pharmacy.
    branch: String,
    /// The box: its name at the broker and in its certificate.
    device: String,
    /// The how-manieth writing device of this branch.
    term: u32,
    /// The centre's HTTPS address, `https://host:port`.
    https: String,
    /// The broker, `host:port`.
    mqtt: String,
    /// Keys whose acknowledgements and snapshots count.
    centre_keys: Vec<String>,
    /// The first epoch that the box may open.
    first_epoch: u32,
    /// Whose records it may deliver beside its own.
    earlier: Vec<String>,
}

/// Enrols a box. The same code with the same key gives the same answer again, so that a lost one can be repeated.
#[utoipa::path(post, path = "/api/v1/enrol", tag = "device", request_body = EnrolBody, responses(
    (status = 200, description = "Identity, both certificates and the authority, in the usual envelope", body = Envelope<EnrolAnswer>),
    (status = 401, body = ErrorBody, description = "The code is not known (details.reason unknown_code)"),
    (status = 409, body = ErrorBody, description = "The code has expired or was used (details.reason expired_code, used_code, revoked_box, known_key)"),
    (status = 422, body = ErrorBody, description = "The signing request cannot be used"),
    (status = 429, body = ErrorBody, description = "Too many tries"),
))]
async fn enrol_box(
    State(app): State<Arc<App>>,
    peer: Peer,
    Body(request): Body<EnrolRequest>,
) -> Result<Envelope<EnrolResponse>, ApiError> {
    let now_ms = app.monotonic_ms();
    app.enrolment
        .per_address
        .take(crate::limits::network(peer.address.ip()), now_ms)
        .map_err(ApiError::rate_limited)?;
    app.enrolment.overall.take((), now_ms).map_err(ApiError::rate_limited)?;
    Ok(Envelope::saying(enrol::enrol(&app, &request).await?, "enrolled"))
}

/// For which branch.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ClaimRequest {
    /// The branch that gets a new box.
    pub branch_id: String,
    /// 1 to 720; default 72.
    pub hours: Option<u32>,
}

/// A claim, told once.
#[derive(Debug, Serialize, ToSchema)]
pub struct IssuedClaim {
    /// What the technician types: 28 characters in 7 groups.
    pub claim: String,
    /// For which branch.
    pub branch_id: String,
    /// Until when, RFC 3339.
    pub expires_at: String,
}

/// Issues a claim (central_it, admin). It is shown once: write it down or print it.
#[utoipa::path(post, path = "/api/v1/enrolment/claims", tag = "enrolment", request_body = ClaimRequest, responses(
    (status = 201, body = Envelope<IssuedClaim>),
    (status = 403, body = ErrorBody, description = "Another role does this"),
    (status = 404, body = ErrorBody, description = "There is no such branch"),
    (status = 422, body = ErrorBody, description = "The hours cannot be meant"),
))]
async fn issue(
    State(app): State<Arc<App>>,
    who: Principal,
    Body(request): Body<ClaimRequest>,
) -> Result<Created<IssuedClaim>, ApiError> {
    who.require(&[Role::CentralIt])?;
    let branch: BranchId =
        request.branch_id.parse().map_err(|error| ApiError::validation(format!("branch_id: {error}")))?;
    let hours = request.hours.unwrap_or(rules::LIFE_DEFAULT_HOURS);
    let by = who.user.to_string();
    let (claim, expires_at) =
        enrol::issue(&app.db, &app.authority.fingerprint(), (&who.tenant, &branch), (&by, hours), app.now())
            .await
            .map_err(|error| match error {
                IssueError::NoBranch(_) => ApiError::not_found(error.to_string()),
                IssueError::Life => ApiError::validation(error.to_string()),
                IssueError::NoRandom => ApiError::internal("claim", &error),
                IssueError::Database(error) => error.into(),
            })?;
    tracing::info!(%branch, by, "a claim was issued");
    let issued =
        IssuedClaim { claim: claim.to_string(), branch_id: branch.into(), expires_at: rfc3339(expires_at) };
    Ok(Envelope::saying(issued, "shown once: write it down or print it").created())
}

/// A claim without its code.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClaimView {
    /// Which.
    #[schema(value_type = String, format = "uuid")]
    pub claim_id: Uuid,
    /// For which branch.
    pub branch_id: String,
    /// Who issued it.
    pub issued_by: String,
    /// When, RFC 3339.
    pub issued_at: String,
    /// Until when, RFC 3339.
    pub expires_at: String,
    /// When it was used, RFC 3339.
    pub used_at: Option<String>,
    /// By which box.
    pub device_id: Option<String>,
}

impl From<store::Listed> for ClaimView {
    fn from(claim: store::Listed) -> Self {
        Self {
            claim_id: claim.claim_id,
            branch_id: claim.branch_id,
            issued_by: claim.issued_by,
            issued_at: rfc3339(claim.issued_at),
            expires_at: rfc3339(claim.expires_at),
            used_at: claim.used_at.map(rfc3339),
            device_id: claim.device_id,
        }
    }
}

/// Lists claims, the newest first (central_it, field_tech, admin).
#[utoipa::path(get, path = "/api/v1/enrolment/claims", tag = "enrolment", params(PageRequest), responses(
    (status = 200, body = Page<ClaimView>),
    (status = 403, body = ErrorBody, description = "Another role does this"),
))]
async fn list(
    State(app): State<Arc<App>>,
    who: Principal,
    Params(page): Params<PageRequest>,
) -> Result<Page<ClaimView>, ApiError> {
    who.require(&[Role::CentralIt, Role::FieldTech])?;
    let page = page.check()?;
    let mut tx = app.db.tenant(&who.tenant).begin().await?;
    let (claims, total) = store::list(&mut tx, page.limit(), page.offset()).await?;
    tx.commit().await?;
    Ok(Page::new(claims.into_iter().map(ClaimView::from).collect(), page, total))
}

fn rfc3339(moment: OffsetDateTime) -> String {
    moment.format(&Rfc3339).unwrap_or_default()
}
