//! What boxes ask, by their certificate.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use pestle_domain::appeal::Appeal;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    rule::{self, Judge, NotRuled},
    rules::{self, Choice},
    store,
};
use crate::{
    app::App,
    http::{
        error::{ApiError, ErrorBody},
        extract::Body,
        peer::{DevicePeer, Peer},
    },
    ingest::{directory, live::Changed},
};

/// New appeals of one box in an hour: each is a start of its program. More is a fault, and would fill the page.
const APPEALS_MAX: i64 = 60;

/// The module's routes for boxes.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(appeal))
}

/// Takes what a box says whose records the centre cannot join, and answers what a person decided:
/// `{"ruling":"waiting"|"go_on"|"own_name","epoch"?,"branch"?,"device"?}`.
///
/// For boxes, by their certificate; asked every 15 s while the contradiction lasts. The body is described in docs/wire.md.
#[utoipa::path(post, path = "/api/v1/device/appeals", tag = "device", responses(
    (status = 200, description = "What was decided", content_type = "application/json"),
    (status = 401, body = ErrorBody, description = "No device certificate"),
    (status = 403, body = ErrorBody, description = "This box was revoked"),
    (status = 422, body = ErrorBody, description = "Not about this box's own records, too much of it, or unreadable"),
    (status = 429, body = ErrorBody, description = "This box begins again too often"),
    (status = 503, body = ErrorBody, description = "The database is away"),
))]
async fn appeal(
    State(app): State<Arc<App>>,
    device: DevicePeer,
    peer: Peer,
    Body(appeal): Body<Appeal>,
) -> Result<Response, ApiError> {
    let sender = directory::admit(&app.db, &device).await?;
    rules::check(&sender, &appeal).map_err(|error| ApiError::validation(error.to_string()))?;
    let appeal = rules::kept(appeal);
    // Where its records are another branch's, that is the branch whose people are concerned.
    let branch = rules::belongs_elsewhere(&sender.branch, &appeal).unwrap_or(&sender.branch).clone();
    let mut tx = app.db.tenant(&device.tenant).begin().await?;
    if store::count_lately(&mut tx, &device.device).await? >= APPEALS_MAX
        && store::lock(&mut tx, appeal.appeal).await?.is_none()
    {
        return Err(ApiError::rate_limited(std::time::Duration::from_secs(600)));
    }
    let who = (&device.tenant, &branch, &device.device);
    store::keep(&mut tx, who, &appeal, &peer.address.ip().to_string()).await?;
    let mut row =
        store::lock(&mut tx, appeal.appeal).await?.filter(|row| row.device_id == device.device.as_str());
    if row.as_ref().is_some_and(|row| row.choice.is_none())
        && rules::is_decided_by_enrolment(&sender, &appeal)
    {
        let judge = Judge { by: "enrolment", name: "the box's enrolment under its own name" };
        match rule::rule(&mut tx, &device.tenant, (appeal.appeal, Choice::GoOn), judge, app.now()).await {
            Ok(ruled) => row = Some(ruled),
            Err(NotRuled::Database(error)) => return Err(error.into()),
            Err(error) => tracing::warn!(device = %device.device, %error, "an appeal is left to a person"),
        }
    }
    let row = row.ok_or_else(|| ApiError::conflict("this id is another box's: begin again"))?;
    let ruling = rule::told(&row)?;
    tx.commit().await?;
    app.live.tell(Changed { alarms: true, ..Changed::nothing(device.tenant) });
    Ok(([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(ruling)).into_response())
}
