//! `GET /health`: alive, and ready or why not.

use std::sync::Arc;

use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use pestle_domain::causes::with_causes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{app::App, authority::keyring::UnwrapError};

/// What `GET /health` says.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// The process answers.
    pub live: bool,
    /// Work can be done.
    pub ready: bool,
    /// Why not; empty when ready.
    pub causes: Vec<Cause>,
    /// What somebody has to mend though work goes on.
    pub warnings: Vec<Cause>,
    /// The gateway's version.
    pub version: &'static str,
}

/// One thing that is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct Cause {
    /// Which part.
    pub part: &'static str,
    /// What is wrong with it.
    pub message: String,
}

/// `GET /health`: 200 when ready, 503 with the causes when not.
#[utoipa::path(get, path = "/health", tag = "machines", responses(
    (status = 200, body = Health, description = "Ready"),
    (status = 503, body = Health, description = "Alive, not ready"),
))]
pub async fn health(State(app): State<Arc<App>>) -> impl IntoResponse {
    let mut causes = Vec::new();
    if let Err(error) = app.db.check().await {
        causes.push(Cause { part: "database", message: with_causes(&error) });
    }
    if !app.broker.metrics().link.stands() {
        let message = "not linked to the broker: what branches send waits in them; read the gateway's log";
        causes.push(Cause { part: "broker", message: message.into() });
    }
    if app.stop.is_cancelled() {
        causes.push(Cause { part: "gateway", message: "it is stopping".into() });
    }
    let missing = |key: String| Cause {
        part: "patients",
        message: format!("patients' keys cannot be opened: {}", UnwrapError::NoSuchKey(key)),
    };
    let warnings = app.authority.keyring().missing().into_iter().map(missing).collect();
    let ready = causes.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Health { live: true, ready, causes, warnings, version: env!("CARGO_PKG_VERSION") }))
}
