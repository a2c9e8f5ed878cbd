//! All routes. A module brings `routes()`; the list below is the only place that names them all.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use utoipa::{
    OpenApi,
    openapi::{
        OpenApi as OpenApiDescription,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{answer, error::ApiError, health, metrics};
use crate::{
    app::App,
    catalogue, enrolment, fleet,
    identity::{self, principal::COOKIE},
    snapshot, tenancy,
};

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
pub fn describe() -> OpenApiDescription {
    secured(api().split_for_parts().1)
}

/// Adds how one signs in: people and programs by their token, boxes by their certificate.
fn secured(mut description: OpenApiDescription) -> OpenApiDescription {
    let components = description.components.get_or_insert_default();
    let said = |text: &str| Some(text.to_owned());
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
    let bearer = bearer.description(said("The token of /api/v1/auth/login")).build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let cookie = ApiKeyValue::with_description(COOKIE, "The same token, as the console's pages carry it");
    components.add_security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    let certificate = said("The device's certificate that enrolment gave out");
    let certificate =
        SecurityScheme::MutualTls { description: certificate, deprecated: None, extensions: None };
    components.add_security_scheme("device", certificate);
    for (path, item) in &mut description.paths.paths {
        let needed: &[&str] = match path.as_str() {
            "/health" | "/metrics" | "/api/v1/auth/login" | "/api/v1/enrol" => &[],
            path if path.starts_with("/api/v1/device/") => &["device"],
            _ => &["bearer", "cookie"],
        };
        let needed: Vec<_> =
            needed.iter().map(|name| SecurityRequirement::new(*name, Vec::<String>::new())).collect();
        let methods = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in methods.into_iter().flatten() {
            operation.security = Some(needed.clone());
        }
    }
    description
}

/// The router of the whole port.
pub fn router(app: Arc<App>) -> Router {
    let (router, description) = api().split_for_parts();
    let description = Arc::new(secured(description));
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
        .layer(middleware::from_fn_with_state(REQUEST_TIMEOUT, in_time))
        .layer(middleware::from_fn_with_state(app.clone(), answer::around))
        .with_state(app)
}

/// Drops a caller that sends its request drop by drop. The answer's body, which may be a stream, has no such limit.
async fn in_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let said = format!(
                "this request did not arrive, or could not be answered, within {} s: send it again",
                limit.as_secs()
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
        .merge(crate::orders::api::routes())
        .merge(crate::patients::api::routes())
        .merge(crate::appeals::device::routes())
        .merge(crate::appeals::api::routes())
        .merge(crate::ingest::lost::api::routes())
        .merge(crate::ingest::api::routes())
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::StatusCode, routing::post};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_request_that_never_arrives_is_given_up() {
        let router: Router = Router::new()
            .route("/", post(|body: String| async move { body }))
            .layer(middleware::from_fn_with_state(Duration::from_millis(50), in_time));
        let ask = async |body: Body| {
            let request = Request::post("/").body(body).unwrap_or_default();
            router.clone().oneshot(request).await.map(|answer| answer.status())
        };
        let endless = futures::stream::pending::<Result<&str, std::io::Error>>();
        assert_eq!(ask(Body::from_stream(endless)).await, Ok(StatusCode::SERVICE_UNAVAILABLE));
        assert_eq!(ask(Body::from("all of it")).await, Ok(StatusCode::OK));
    }
}
