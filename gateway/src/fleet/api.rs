//! `/api/v1/devices`.

use std::sync::Arc;

use axum::extract::State;
use pestle_domain::{
    ids::{BranchId, DeviceId},
    staff::Role,
};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::store::{self, Device};
use crate::{
    app::App,
    http::{
        envelope::{Envelope, Page, PageRequest},
        error::{ApiError, ErrorBody},
        extract::{Body, Named, Params},
    },
    identity::{Principal, principal::AT_BOXES},
};

/// Longest reason for a revocation, in characters.
const REASON_LENGTH_MAX: usize = 200;

/// The module's routes.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read)).routes(routes!(revoke))
}

/// A box.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeviceView {
    /// Its name.
    pub device_id: String,
    /// Of which pharmacy.
    pub branch_id: String,
    /// The how-manieth of its branch.
    pub term: i32,
    /// Whether it is connected, as far as known.
    pub online: bool,
    /// Its last word, RFC 3339.
    pub last_seen: Option<String>,
    /// Facts that wait in it to be sent or acknowledged.
    pub waiting: Option<i64>,
    /// Its agent's version.
    pub agent: Option<String>,
    /// Version of the snapshot that it works with.
    pub snapshot: Option<i64>,
    /// What it called itself at enrolment.
    pub hostname: String,
    /// Name of its key.
    pub key_id: String,
    /// Since when, RFC 3339.
    pub enrolled_at: String,
    /// Until when, RFC 3339.
    pub revoked_at: Option<String>,
    /// Why no longer.
    pub revoked_reason: Option<String>,
}

fn rfc3339(moment: OffsetDateTime) -> String {
    moment.format(&Rfc3339).unwrap_or_default()
}

impl From<Device> for DeviceView {
    fn from(device: Device) -> Self {
        Self {
            device_id: device.device_id,
            branch_id: device.branch_id,
            term: device.term,
            online: device.online && device.revoked_at.is_none(),
            last_seen: device.last_seen.map(rfc3339),
            waiting: device.waiting,
            agent: device.agent,
            snapshot: device.snapshot,
            hostname: device.hardware.0.hostname,
            key_id: device.key_id,
            enrolled_at: rfc3339(device.enrolled_at),
            revoked_at: device.revoked_at.map(rfc3339),
            revoked_reason: device.revoked_reason,
        }
    }
}

/// Which boxes.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct Filter {
    /// Of this branch alone.
    pub branch: Option<String>,
    /// From 1; default 1.
    pub page: Option<u32>,
    /// 1 to 200; default 50.
    pub page_size: Option<u32>,
}

/// Lists boxes with whether they are online, last seen, and how much waits in them (manager, field_tech, central_it,
/// admin).
#[utoipa::path(get, path = "/api/v1/devices", tag = "fleet", params(Filter), responses(
    (status = 200, body = Page<DeviceView>),
    (status = 401, body = ErrorBody, description = "Sign in first"),
    (status = 403, body = ErrorBody, description = "Another role does this"),
))]
async fn list(
    State(app): State<Arc<App>>,
    who: Principal,
    Params(filter): Params<Filter>,
) -> Result<Page<DeviceView>, ApiError> {
    who.require(AT_BOXES)?;
    let page = PageRequest::of(filter.page, filter.page_size)?;
    let branch: Option<BranchId> = filter
        .branch
        .map(|branch| branch.parse().map_err(|error| ApiError::validation(format!("branch: {error}"))))
        .transpose()?;
    let mut tx = app.db.tenant(&who.tenant).begin().await?;
    let all = store::devices(&mut tx, branch.as_ref()).await?;
    tx.commit().await?;
    Ok(Page::of_all(all, page, DeviceView::from))
}

/// Reads one box (manager, field_tech, central_it, admin).
#[utoipa::path(get, path = "/api/v1/devices/{device_id}", tag = "fleet", params(("device_id" = String, Path, description = "The box's name")), responses(
    (status = 200, body = Envelope<DeviceView>),
    (status = 403, body = ErrorBody, description = "Another role does this"),
    (status = 404, body = ErrorBody, description = "There is no such box"),
))]
async fn read(
    State(app): State<Arc<App>>,
    who: Principal,
    Named(id): Named<DeviceId>,
) -> Result<Envelope<DeviceView>, ApiError> {
    who.require(AT_BOXES)?;
    let mut tx = app.db.tenant(&who.tenant).begin().await?;
    let device = store::device(&mut tx, &id).await?;
    tx.commit().await?;
    device.map(|device| Envelope::new(device.into())).ok_or_else(|| no_device(&id))
}

/// Why a box is revoked.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Revocation {
    /// In words, for the record.
    pub reason: String,
}

/// Revokes a box at once and for good (central_it, admin). What it recorded and has not sent yet is not taken from
/// it any more: let a box that merely moves out send everything first.
#[utoipa::path(post, path = "/api/v1/devices/{device_id}/revoke", tag = "fleet", params(("device_id" = String, Path, description = "The box's name")), request_body = Revocation, responses(
    (status = 200, body = Envelope<DeviceView>),
    (status = 403, body = ErrorBody, description = "Another role does this"),
    (status = 404, body = ErrorBody, description = "There is no such box"),
    (status = 409, body = ErrorBody, description = "It was revoked already"),
))]
async fn revoke(
    State(app): State<Arc<App>>,
    who: Principal,
    Named(id): Named<DeviceId>,
    Body(request): Body<Revocation>,
) -> Result<Envelope<DeviceView>, ApiError> {
    who.require(&[Role::CentralIt])?;
    let reason = request.reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON_LENGTH_MAX {
        return Err(ApiError::validation(format!("reason: write 1 to {REASON_LENGTH_MAX} characters")));
    }
    let mut tx = app.db.tenant(&who.tenant).begin().await?;
    let before = store::revoke(&mut tx, &id, reason, app.now()).await?.ok_or_else(|| no_device(&id))?;
    if before.revoked_at.is_some() {
        return Err(ApiError::conflict(format!("the box \"{id}\" was revoked already")));
    }
    let device = store::device(&mut tx, &id).await?.ok_or_else(|| no_device(&id))?;
    tx.commit().await?;
    app.broker.shut_out(&id).await;
    tracing::warn!(device = %id, by = %who.user, "a box was revoked");
    Ok(Envelope::saying(device.into(), "the box was revoked"))
}

fn no_device(id: &DeviceId) -> ApiError {
    ApiError::not_found(format!("there is no box \"{id}\": see /api/v1/devices"))
}
