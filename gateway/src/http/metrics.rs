//! `GET /metrics` in the OpenMetrics text form.
//!
//! A module registers its own with [`Metrics::register`]; names begin with `pestle_gateway_`.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    extract::State,
    http::{Method, StatusCode, header},
    response::IntoResponse,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

use pestle_domain::staff::Role;

use super::{
    error::{ApiError, ErrorBody},
    peer::Peer,
};
use crate::{app::App, identity::Principal};

/// Everything that is counted.
pub struct Metrics {
    registry: Mutex<Registry>,
    /// Requests.
    pub http: HttpMetrics,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("pestle_gateway");
        let http = HttpMetrics::new(&mut registry);
        Self { registry: Mutex::new(registry), http }
    }
}

impl Metrics {
    /// Lets a module register what it counts, once, at start.
    pub fn register<T>(&self, with: impl FnOnce(&mut Registry) -> T) -> T {
        with(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All values in the OpenMetrics text form.
    ///
    /// # Errors
    /// A value that cannot be written.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(text)
    }
}

/// Requests by route and status, and how long they took.
#[derive(Debug)]
pub struct HttpMetrics {
    requests: Family<RouteLabels, Counter>,
    seconds: Histogram,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: &'static str,
    route: String,
    status: u16,
}

impl HttpMetrics {
    fn new(registry: &mut Registry) -> Self {
        let requests = Family::default();
        // 0.5 ms to 8 s.
        let seconds = Histogram::new(exponential_buckets(0.000_5, 2.0, 15));
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register("http_request_duration_seconds", "Time to the answer", seconds.clone());
        Self { requests, seconds }
    }

    /// One answer. `route` is the pattern, never the path, which may name people or grow without bound.
    pub fn observe(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        let labels = RouteLabels { method: known(method), route: route.to_owned(), status: status.as_u16() };
        self.requests.get_or_create(&labels).inc();
        self.seconds.observe(took.as_secs_f64());
    }
}

/// A method as a label. Callers may send any word as one; each would be a series of its own for ever.
fn known(method: &Method) -> &'static str {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::CONNECT,
        Method::TRACE,
    ];
    const NAMES: [&str; 9] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.iter().zip(NAMES).find_map(|(one, name)| (one == method).then_some(name)).unwrap_or("other")
}

/// `GET /metrics`: for programs on this machine, and for central_it and admin from elsewhere.
///
/// # Errors
/// AUTHENTICATION, AUTHORIZATION; INTERNAL when a value cannot be written.
#[utoipa::path(get, path = "/metrics", tag = "machines", responses(
    (status = 200, description = "OpenMetrics text", body = String, content_type = "application/openmetrics-text"),
    (status = 401, body = ErrorBody, description = "From another machine: sign in first"),
    (status = 403, body = ErrorBody, description = "Another role does this"),
))]
pub async fn metrics(
    State(app): State<Arc<App>>,
    peer: Peer,
    who: Option<Principal>,
) -> Result<impl IntoResponse, ApiError> {
    if !peer.address.ip().to_canonical().is_loopback() {
        let who = who.ok_or_else(|| ApiError::authentication("sign in first, or ask from this machine"))?;
        who.require(&[Role::CentralIt])?;
    }
    let text = app.metrics.text().map_err(|error| ApiError::internal("metrics", &error))?;
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_methods_share_one_label() {
        let metrics = Metrics::default();
        for method in ["GET", "FROB", "gET", "X-1"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            metrics.http.observe(&method, "-", StatusCode::OK, Duration::ZERO);
        }
        let text = metrics.text().unwrap();
        let count = |line: &str| text.lines().find_map(|found| found.strip_prefix(line)).map(str::to_owned);
        let label = |method| {
            format!("pestle_gateway_http_requests_total{{method=\"{method}\",route=\"-\",status=\"200\"}} ")
        };
        assert_eq!(count(&label("GET")).as_deref(), Some("1"), "{text}");
        assert_eq!(count(&label("other")).as_deref(), Some("3"), "{text}");
    }
}
