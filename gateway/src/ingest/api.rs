//! REST of what is kept for people.

use std::sync::Arc;

use axum::extract::State;
use pestle_domain::staff::Role;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Ingest,
    by_hand::{Booked, NotBooked},
};
use crate::{
    app::App,
    http::{
        envelope::Envelope,
        error::{ApiError, ErrorBody},
        extract::Named,
    },
    identity::Principal,
};

/// Who decides that kept facts are the box's own.
pub const MAY_BOOK: &[Role] = &[Role::CentralIt];

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(book))
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

/// Books facts that came behind the place where their life of the store had ended (central_it, admin): they are what the box
/// had lost, and no second store's. A repeat books nothing more.
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
    who.require(MAY_BOOK)?;
    let Booked { stream, first, last } =
        Ingest::of(&app).book_by_hand(&who.tenant, number, &who.name).await.map_err(|error| match error {
            NotBooked::Unknown => ApiError::not_found(error.to_string()),
            NotBooked::Db(error) => error.into(),
            other => ApiError::conflict(other.to_string()),
        })?;
    tracing::warn!(stream, first, last, by = %who.user, "facts of an ended life of a store were booked by hand");
    Ok(Envelope::saying(BookedView { stream, first, last }, "booked"))
}
