//! REST of what is kept for people.

use std::sync::Arc;

use axum::extract::State;
use pestle_domain::staff::Role;
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Ingest,
    by_hand::{Booked, NotBooked, NotClosed},
    quarantine::Closed,
};
use crate::{
    app::App,
    http::{
        envelope::Envelope,
        error::{ApiError, ErrorBody},
        extract::{Named, Params},
    },
    identity::Principal,
};

/// Who decides what becomes of what is kept.
pub const MAY_BOOK: &[Role] = &[Role::CentralIt];

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(book)).routes(routes!(close))
}

/// What was booked.
#[derive(Debug, Serialize, ToSchema)]
pub struct BookedView {
    /// Of which stream: branch, box, term, lane and epoch.
    pub stream: String,
    /// Its first fact.
    pub first: u64,
    /// Its last fact.
    pub last: u64,
}

/// Books facts that came behind the place where their life of the store had ended, or of a box that was revoked meanwhile
/// (central_it, admin): they are the box's own, and no second store's. A repeat books nothing more.
#[utoipa::path(post, path = "/api/v1/quarantine/{number}/book", tag = "ingest",
    params(("number" = i64, Path, description = "As the console shows it")), responses(
    (status = 200, body = Envelope<BookedView>),
    (status = 403, body = ErrorBody, description = "Another role does this"),
    (status = 404, body = ErrorBody, description = "Nothing is kept under this number"),
    (status = 409, body = ErrorBody, description = "It cannot be booked: what comes before it is missing, other bytes are in its place, or it was kept for another reason"),
))]
async fn book(
    State(app): State<Arc<App>>,
    who: Principal,
    Named(number): Named<i64>,
) -> Result<Envelope<BookedView>, ApiError> {
    Ok(Envelope::saying(book_one(&app, &who, number).await?, "booked"))
}

/// Books what is kept under `number`, as `who` has decided.
///
/// # Errors
/// Another role does this; nothing is kept there; it cannot be booked; the database.
pub async fn book_one(app: &Arc<App>, who: &Principal, number: i64) -> Result<BookedView, ApiError> {
    who.require(MAY_BOOK)?;
    let Booked { stream, first, last } =
        Ingest::of(app).book_by_hand(&who.tenant, number, &who.name).await.map_err(|error| match error {
            NotBooked::Unknown => ApiError::not_found(error.to_string()),
            NotBooked::Db(error) => error.into(),
            other => ApiError::conflict(other.to_string()),
        })?;
    tracing::warn!(stream, first, last, by = %who.user, "kept facts were booked by hand");
    Ok(BookedView { stream, first, last })
}

/// That nobody needs to look at something any more.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClosedView {
    /// Who said so first.
    pub by: String,
    /// When, RFC 3339.
    pub at: Option<String>,
}

/// What somebody has seen who closes something.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Seen {
    /// How often it had come, as they saw it: where it came again since, it stays open. Without it, it is closed however often.
    pub times: Option<i64>,
}

/// Says that somebody has looked at what is kept, and that nobody else needs to (central_it, admin). It leaves the console's alarms;
/// its bytes stay, and it may still be booked. What comes once more is shown once more. A repeat changes nothing.
#[utoipa::path(post, path = "/api/v1/quarantine/{number}/close", tag = "ingest",
    params(("number" = i64, Path, description = "As the console shows it"), Seen), responses(
    (status = 200, body = Envelope<ClosedView>),
    (status = 403, body = ErrorBody, description = "Another role does this"),
    (status = 404, body = ErrorBody, description = "Nothing is kept under this number"),
    (status = 409, body = ErrorBody, description = "It came again since it was seen: look at it again"),
))]
async fn close(
    State(app): State<Arc<App>>,
    who: Principal,
    Named(number): Named<i64>,
    Params(seen): Params<Seen>,
) -> Result<Envelope<ClosedView>, ApiError> {
    Ok(Envelope::saying(close_one(&app, &who, number, &seen).await?, "closed"))
}

/// Closes what is kept under `number`, as `who` has decided.
///
/// # Errors
/// Another role does this; nothing is kept there; it came again since; the database.
pub async fn close_one(
    app: &Arc<App>,
    who: &Principal,
    number: i64,
    seen: &Seen,
) -> Result<ClosedView, ApiError> {
    who.require(MAY_BOOK)?;
    let closed = Ingest::of(app).close_by_hand(&who.tenant, number, seen.times, &who.name).await;
    let Closed { by, at } = closed.map_err(|error| match error {
        NotClosed::Unknown => ApiError::not_found(error.to_string()),
        NotClosed::CameAgain => ApiError::conflict(error.to_string()),
        NotClosed::Db(error) => error.into(),
    })?;
    tracing::info!(number, by = %who.user, "what was kept was closed");
    Ok(ClosedView { by, at: at.format(&Rfc3339).ok() })
}
