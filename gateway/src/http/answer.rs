//! Around every request: its number, its log line, its count, and the body of its error.

use std::{sync::Arc, time::Instant};

use axum::{
    Json,
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use uuid::Uuid;

use super::error::{ApiError, ErrorBody};
use crate::app::App;

/// Both ways: a caller may bring its own number.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest number that a caller may bring.
const REQUEST_ID_LENGTH_MAX: usize = 64;

/// The number of the request at hand, as an extension.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// The middleware.
pub async fn around(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let began = Instant::now();
    let id = request_id(&request);
    request.extensions_mut().insert(RequestId(id.clone()));
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let mut response = render_error(response, &id);
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let status = response.status();
    app.metrics.http.observe(&method, &route, status, began.elapsed());
    tracing::debug!(%method, route, status = status.as_u16(), request_id = id, elapsed = ?began.elapsed(), "answered");
    response
}

fn request_id(request: &Request) -> String {
    let brought = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|id| {
        (1..=REQUEST_ID_LENGTH_MAX).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    });
    brought.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// Gives an error its body. Errors of the framework (a path that is none, a method that is none) come without an
/// [`ApiError`] and get one.
fn render_error(mut response: Response, id: &str) -> Response {
    let error = match response.extensions_mut().remove::<ApiError>() {
        Some(error) => error,
        None => match response.status() {
            StatusCode::METHOD_NOT_ALLOWED => {
                ApiError::not_found("this address does not take that method: see /api/v1/openapi.json")
            }
            StatusCode::PAYLOAD_TOO_LARGE => ApiError::validation("the request is too large"),
            _ => return response,
        },
    };
    let status = if response.status().is_success() { error.code.status() } else { response.status() };
    let body = ErrorBody {
        success: false,
        error: error.code,
        message: error.message.into_owned(),
        status_code: status.as_u16(),
        request_id: id.to_owned(),
        details: error.details,
    };
    let mut rendered = (status, Json(body)).into_response();
    // Allow, WWW-Authenticate and their like stay; length and type are the new body's.
    for (name, value) in response.headers() {
        if name != header::CONTENT_LENGTH && name != header::CONTENT_TYPE {
            rendered.headers_mut().append(name.clone(), value.clone());
        }
    }
    if let Some(wait) = error.retry_after
        && let Ok(value) = HeaderValue::from_str(&wait.as_secs().max(1).to_string())
    {
        rendered.headers_mut().insert(header::RETRY_AFTER, value);
    }
    rendered
}
