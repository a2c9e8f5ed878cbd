//! The console: one page, rendered here, kept live by server-sent events. No build step, nothing from elsewhere.
//!
//! In reading order: [`pages`] serves sign-in, page and event stream; [`parts`] reads and renders each part of the page,
//! [`alarms`] the one of what cannot be right, with [`alerts`] among it, [`orders`] the one of what branches are to do, [`appeals`] the one of boxes that ask which of two they are;
//! [`store`] is the SQL that no other module has; [`view`] turns rows into words, purely.

pub mod alarms;
mod alerts;
pub mod appeals;
pub mod orders;
pub mod pages;
pub mod parts;
pub mod store;
pub mod view;

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderValue, header},
    response::IntoResponse,
    routing::{get, post},
};

use crate::app::App;

/// Nothing but our own: a page that shows a text from a box cannot be made to run it.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                              form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The console's routes, beside the REST interface.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(|| async { axum::response::Redirect::to("/console") }))
        .route("/console", get(pages::page))
        .route("/console/sign-in", get(pages::door).post(pages::sign_in))
        .route("/console/sign-out", post(pages::sign_out))
        .route("/console/events", get(pages::events))
        .route("/console/appeals/{appeal}", post(appeals::rule))
        .route("/console/quarantine/{number}/close", post(alarms::close))
        .route("/console/quarantine/{number}/book", post(alarms::book))
        .route(
            "/console/console.css",
            get(|| async { asset("text/css; charset=utf-8", include_str!("console.css")) }),
        )
        .route(
            "/console/console.js",
            get(|| async { asset("text/javascript; charset=utf-8", include_str!("console.js")) }),
        )
        .route("/console/icon.svg", get(|| async { asset("image/svg+xml", include_str!("icon.svg")) }))
}

fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static(kind));
    // The files change with the program alone, but carry no version in their name: asked for again each hour.
    ([kind, (header::CACHE_CONTROL, HeaderValue::from_static("max-age=3600"))], text)
}
