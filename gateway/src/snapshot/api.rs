//! `GET /api/v1/device/snapshot`, and what leads to it from an earlier one.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use pestle_domain::{
    signature::Hash,
    snapshot::{HASH_HEADER, KEY_HEADER, SIGNATURE_HEADER, Snapshot, VERSION_HEADER, WHOLE_ETAG_HEADER},
};
use serde::Deserialize;
use utoipa::IntoParams;
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
        extract::Params,
        peer::DevicePeer,
    },
    tenancy,
};

/// The module's routes.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(snapshot)).routes(routes!(delta))
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
    send(&headers, describe(&packed, &packed.etag)?, &packed.etag, &packed.body)
}

/// What a box has, for a delta.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Base {
    /// The version that it has.
    from: u64,
    /// SHA-256 of that version's JSON, hexadecimal.
    hash: String,
}

/// What leads from the snapshot that a box has to the current one, signed as that one is: `zstd --patch-from` over the two
/// JSON texts.
///
/// For boxes, by their certificate. A gateway keeps a few versions for some minutes; where it has not kept the box's, it
/// answers 404, and the box fetches the whole. Resumable like the whole.
#[utoipa::path(get, path = "/api/v1/device/snapshot/delta", tag = "device", params(Base), responses(
    (status = 200, description = "The delta", content_type = "application/zstd"),
    (status = 206, description = "The rest of it", content_type = "application/zstd"),
    (status = 304, description = "What the box has is current"),
    (status = 401, body = ErrorBody, description = "No device certificate"),
    (status = 403, body = ErrorBody, description = "This box was revoked"),
    (status = 404, body = ErrorBody, description = "There is none: fetch the whole"),
    (status = 503, body = ErrorBody, description = "The database is away"),
))]
async fn delta(
    State(app): State<Arc<App>>,
    device: DevicePeer,
    Params(base): Params<Base>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let packed = current(&app, &device).await?;
    let hash = Hash::try_from(base.hash).map_err(|error| ApiError::validation(format!("hash: {error}")))?;
    if (base.from, hash) == (packed.version, packed.hash) {
        return Ok((StatusCode::NOT_MODIFIED, describe(&packed, &packed.etag)?).into_response());
    }
    let key = (device.tenant.clone(), device.branch.clone(), base.from);
    let made = app.snapshots.delta((key, hash), packed.clone()).await?;
    let Some(delta) = made else {
        return Err(ApiError::not_found("there is no delta from that version: fetch the whole snapshot"));
    };
    let mut described = describe(&packed, &delta.etag)?;
    described.remove(header::CONTENT_ENCODING);
    insert(&mut described, header::CONTENT_TYPE, "application/zstd")?;
    insert(&mut described, header::HeaderName::from_static(WHOLE_ETAG_HEADER), &packed.etag)?;
    send(&headers, described, &delta.etag, &delta.body)
}

/// Answers with a file, or with the part of it that is asked for.
fn send(asked: &HeaderMap, mut answer: HeaderMap, etag: &str, body: &Bytes) -> Result<Response, ApiError> {
    let asked = |name| asked.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let known = asked(header::IF_NONE_MATCH).is_some_and(|list| {
        list == "*" || list.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag)
    });
    if known {
        return Ok((StatusCode::NOT_MODIFIED, answer).into_response());
    }
    // A range of another version than the one at hand would be glued to a foreign beginning.
    let range = match asked(header::IF_RANGE) {
        Some(tag) if tag != etag => None,
        _ => asked(header::RANGE),
    };
    let length = body.len();
    Ok(match part(range, length) {
        Part::Whole => (answer, Body::from(body.clone())).into_response(),
        Part::From { start, end } => {
            insert(&mut answer, header::CONTENT_RANGE, &format!("bytes {start}-{}/{length}", end - 1))?;
            (StatusCode::PARTIAL_CONTENT, answer, Body::from(body.slice(start..end))).into_response()
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

fn describe(packed: &Packed, etag: &str) -> Result<HeaderMap, ApiError> {
    let mut headers = HeaderMap::new();
    insert(&mut headers, header::CONTENT_TYPE, "application/json")?;
    insert(&mut headers, header::CONTENT_ENCODING, "zstd")?;
    insert(&mut headers, header::ACCEPT_RANGES, "bytes")?;
    insert(&mut headers, header::CACHE_CONTROL, "private, no-cache")?;
    insert(&mut headers, header::ETAG, etag)?;
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
