//! The files that do not change while this version runs; built in.

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use pestle_domain::signature::Hash;
use std::sync::OnceLock;

const FILES: [(&str, &str, &str); 8] = [
    ("counter.css", "text/css; charset=utf-8", include_str!("../../static/counter.css")),
    ("counter.js", "text/javascript; charset=utf-8", include_str!("../../static/counter.js")),
    ("devices.css", "text/css; charset=utf-8", include_str!("../../static/devices.css")),
    ("devices.js", "text/javascript; charset=utf-8", include_str!("../../static/devices.js")),
    ("learn.js", "text/javascript; charset=utf-8", include_str!("../../static/learn.js")),
    ("live.js", "text/javascript; charset=utf-8", include_str!("../../static/live.js")),
    ("page-scanner.js", "text/javascript; charset=utf-8", include_str!("../../static/page-scanner.js")),
    ("icon.svg", "image/svg+xml", include_str!("../../static/icon.svg")),
];

/// Names the version of all files together: it stands in their addresses, and a page of another version reloads.
pub fn version() -> &'static str {
    static VERSION: OnceLock<String> = OnceLock::new();
    VERSION.get_or_init(|| {
        let all: String = FILES.iter().map(|(_, _, text)| *text).collect();
        Hash::of(all.as_bytes()).short()
    })
}

/// `GET /static/{file}`.
pub async fn file(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(file, ..)| *file == name) {
        Some((_, kind, text)) => {
            // The address carries the version, so the file under it never changes.
            let headers = [
                (header::CONTENT_TYPE, *kind),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
            ];
            (headers, *text).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
