//! All routes. A module brings `routes()`; the list below is the only place that names them all.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{answer, error::ApiError, health, metrics};
use crate::{app::App, catalogue, enrolment, fleet, identity, snapshot, tenancy};

/// Largest body of a request, in bytes. A catalogue comes by the command line, batches by the broker.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// From a request's headers to its answer's. A megabyte over 256 kbit/s takes 33 s, a statement at most 30 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(OpenApi)]
#[openapi(info(
    title = "Pestle gateway",
    description = "The centre's REST interface. Success is {success, data, message}, lists add meta; an error is \
                   {success, error, message, status_code, request_id, details}."
))]
struct Description;

/// The description of all routes.
pub fn describe() -> utoipa::openapi::OpenApi {
    api().split_for_parts().1
}

/// The router of the whole port.
pub fn router(app: Arc<App>) -> Router {
    let (router, description) = api().split_for_parts();
    let description = Arc::new(description);
    router
        .merge(crate::console::routes())
        .route(
            "/api/v1/openapi.json",
            axum::routing::get(move || async move { axum::Json(description.as_ref().clone()) }),
        )
        .fallback(|| async {
            ApiError::not_found("there is nothing at this address: see /api/v1/openapi.json").into_response()
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn_with_state(app.clone(), answer::around))
        .with_state(app)
}

/// Drops a caller that sends its request drop by drop. The answer's body, which may be a stream, has no such limit.
async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let said = format!(
                "this request did not arrive, or could not be answered, within {} s: send it again",
                REQUEST_TIMEOUT.as_secs()
            );
            ApiError::unavailable(said, Duration::from_secs(2)).into_response()
        }
    }
}

fn api() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(health::health))
        .routes(routes!(metrics::metrics))
        .merge(identity::api::routes())
        .merge(tenancy::api::routes())
        .merge(catalogue::api::routes())
        .merge(enrolment::api::routes())
        .merge(snapshot::api::routes())
        .merge(fleet::api::routes())
        .merge(crate::inventory::api::routes())
        .merge(crate::sales::api::routes())
}
