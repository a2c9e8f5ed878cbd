//! `GET /api/v1/device/snapshot`.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use pestle_domain::snapshot::{HASH_HEADER, KEY_HEADER, SIGNATURE_HEADER, Snapshot, VERSION_HEADER};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    range::{Part, part},
    rules::{self, Packed},
    store,
};
use crate::{
    app::App,
    fleet,
    http::{
        error::{ApiError, ErrorBody},
        peer::DevicePeer,
    },
    tenancy,
};

/// The module's routes.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(snapshot))
}

/// The branch's snapshot: zstd of JSON, signed, resumable.
///
/// For boxes, by their certificate. `If-None-Match` answers 304 when nothing changed, `Range` with `If-Range` goes on
/// where a fetch was cut off. `x-pestle-sha256` is the hash of the unpacked JSON, `x-pestle-signature` the centre's
/// over it (label `pestle-snapshot-v1`).
#[utoipa::path(get, path = "/api/v1/device/snapshot", tag = "device", responses(
    (status = 200, description = "The whole", content_type = "application/json"),
    (status = 206, description = "The rest", content_type = "application/json"),
    (status = 304, description = "What the box has is current"),
    (status = 401, body = ErrorBody, description = "No device certificate"),
    (status = 403, body = ErrorBody, description = "This box was revoked"),
    (status = 503, body = ErrorBody, description = "The database is away"),
))]
async fn snapshot(
    State(app): State<Arc<App>>,
    device: DevicePeer,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let packed = current(&app, &device).await?;
    let asked = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let mut answer = describe(&packed)?;
    let known = asked(header::IF_NONE_MATCH).is_some_and(|list| {
        list == "*" || list.split(',').any(|tag| tag.trim().trim_start_matches("W/") == packed.etag)
    });
    if known {
        return Ok((StatusCode::NOT_MODIFIED, answer).into_response());
    }
    // A range of another version than the one at hand would be glued to a foreign beginning.
    let range = match asked(header::IF_RANGE) {
        Some(tag) if tag != packed.etag => None,
        _ => asked(header::RANGE),
    };
    let length = packed.body.len();
    Ok(match part(range, length) {
        Part::Whole => (answer, Body::from(packed.body.clone())).into_response(),
        Part::From { start, end } => {
            insert(&mut answer, header::CONTENT_RANGE, &format!("bytes {start}-{}/{length}", end - 1))?;
            (StatusCode::PARTIAL_CONTENT, answer, Body::from(packed.body.slice(start..end))).into_response()
        }
        Part::Unsatisfiable => {
            insert(&mut answer, header::CONTENT_RANGE, &format!("bytes */{length}"))?;
            (StatusCode::RANGE_NOT_SATISFIABLE, answer).into_response()
        }
    })
}

/// The current snapshot of the box's branch, from the cache or made now.
async fn current(app: &Arc<App>, device: &DevicePeer) -> Result<Arc<Packed>, ApiError> {
    let mut tx = app.db.tenant(&device.tenant).begin_one_moment().await?;
    fleet::store::refuse_revoked(&mut tx, &device.device).await?;
    let version = tenancy::store::revision(&mut tx).await?.version;
    // Given back before anybody waits: a hundred boxes that hear of a new version together hold no connections.
    tx.commit().await?;
    let key = (device.tenant.clone(), device.branch.clone(), version);
    // Of its own moment, which may be a later version; that is then what the box gets.
    let gather = Box::pin(async {
        let mut tx = app.db.tenant(&device.tenant).begin_one_moment().await?;
        let gathered = store::gather(&mut tx, &device.tenant, &device.branch).await?;
        tx.commit().await?;
        gathered.ok_or_else(|| ApiError::not_found("this box's branch is not there any more"))
    });
    let signs = app.clone();
    let pack = move |gathered: &Snapshot| {
        let packed = rules::pack(gathered, signs.authority.signer())?;
        tracing::info!(branch = %gathered.branch, version = packed.version, bytes = packed.body.len(), "a snapshot was made");
        Ok(packed)
    };
    app.snapshots.get(key, gather, pack).await
}

fn describe(packed: &Packed) -> Result<HeaderMap, ApiError> {
    let mut headers = HeaderMap::new();
    insert(&mut headers, header::CONTENT_TYPE, "application/json")?;
    insert(&mut headers, header::CONTENT_ENCODING, "zstd")?;
    insert(&mut headers, header::ACCEPT_RANGES, "bytes")?;
    insert(&mut headers, header::CACHE_CONTROL, "private, no-cache")?;
    insert(&mut headers, header::ETAG, &packed.etag)?;
    for (name, value) in [
        (HASH_HEADER, packed.hash.to_string()),
        (VERSION_HEADER, packed.version.to_string()),
        (KEY_HEADER, packed.key.to_string()),
        (SIGNATURE_HEADER, String::from(packed.signature.clone())),
    ] {
        insert(&mut headers, header::HeaderName::from_static(name), &value)?;
    }
    Ok(headers)
}

fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) -> Result<(), ApiError> {
    let value = HeaderValue::from_str(value).map_err(|error| ApiError::internal("header", &error))?;
    headers.insert(name, value);
    Ok(())
}
