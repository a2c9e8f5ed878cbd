//! What boxes ask about persons' keys, by their certificate: to deposit one, to keep one, to have one again.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use pestle_domain::{
    ids::PersonId,
    personal::{
        PersonKey,
        custody::{Custody, CustodyState, Deposit, Held, Leases, Lent, PERSONS_MAX},
    },
    units::UnixMillis,
};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    erasures,
    rules::{self, LEASE, Taken},
    store::{self, Stored},
};
use crate::{
    app::App,
    db::Tx,
    fleet,
    http::{
        error::{ApiError, ErrorBody},
        extract::{Body, Named},
        peer::DevicePeer,
    },
};

/// The module's routes for boxes.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(deposit)).routes(routes!(leases)).routes(routes!(fetch))
}

/// Takes keys that a box made: `{"keys":[{"person","generation","secret"}]}`, at most 200, answered by
/// `[{"person","state":"leased"|"erased"|"contradicts"}]`.
///
/// For boxes, by their certificate. The same again is no second deposit. A key of somebody who was erased is not taken. One
/// that the centre cannot compare with the one that it has is left out of the answer: the box keeps it, and asks again.
#[utoipa::path(post, path = "/api/v1/device/persons/keys", tag = "device", responses(
    (status = 200, description = "How each key stands", content_type = "application/json"),
    (status = 401, body = ErrorBody, description = "No device certificate"),
    (status = 403, body = ErrorBody, description = "This box was revoked"),
    (status = 422, body = ErrorBody, description = "Too many at once, or unreadable"),
    (status = 503, body = ErrorBody, description = "The database is away"),
))]
async fn deposit(
    State(app): State<Arc<App>>,
    device: DevicePeer,
    Body(Deposit { keys }): Body<Deposit>,
) -> Result<Response, ApiError> {
    answer_each(&app, &device, keys.into_iter().map(Asked::Take).collect()).await
}

/// What a box wants done with one person's key.
enum Asked {
    /// It deposits it.
    Take(PersonKey),
    /// It asks how the lease stands.
    Stands(Held),
}

/// Answers one after the other, each in a transaction of its own, so that one that fails keeps no other waiting.
async fn answer_each(app: &App, device: &DevicePeer, asked: Vec<Asked>) -> Result<Response, ApiError> {
    at_most(asked.len())?;
    admitted(app, device).await?;
    let mut answers = Vec::with_capacity(asked.len());
    for one in asked {
        let mut tx = app.db.tenant(&device.tenant).begin().await?;
        let (person, state) = match one {
            Asked::Take(key) => (key.person, take(app, &mut tx, device, &key).await?),
            Asked::Stands(held) => (held.person, Some(stands(app, &mut tx, device, held).await?)),
        };
        tx.commit().await?;
        if state == Some(CustodyState::Contradicts) {
            tracing::error!(device = %device.device, %person, "a box deposited another key than the centre has, or one of a person that was never lent to its branch");
        }
        answers.extend(state.map(|state| Custody { person, state }));
    }
    answer(&answers)
}

/// `None` where the centre has a key of that name and cannot open it: nothing can be said of the box's then.
async fn take(
    app: &App,
    tx: &mut Tx,
    device: &DevicePeer,
    key: &PersonKey,
) -> Result<Option<CustodyState>, ApiError> {
    let (tenant, person, now) = (&device.tenant, key.person, app.now());
    store::lock_person(tx, tenant, person).await?;
    let erased = erasures::erased_at(app, tx, tenant, person).await?.is_some();
    let stored = store::keys(tx, person).await?;
    let ring = app.authority.keyring();
    let kept = stored.iter().find(|stored| stored.generation == key.generation);
    let kept = match kept.map(|kept| ring.unwrap(tenant, person, kept.generation, &kept.wrapped)) {
        Some(Err(_)) if erased => None,
        Some(Err(error)) => {
            tracing::error!(%person, device = %device.device, "a deposit has to wait: {error}");
            return Ok(None);
        }
        Some(Ok(kept)) => Some(kept),
        None => None,
    };
    let lent = store::lease(tx, person, &device.branch).await?.is_some();
    match rules::judge(key, erased, kept.as_ref(), !stored.is_empty(), lent) {
        Taken::Erased => return Ok(Some(CustodyState::Erased)),
        Taken::Contradicts => return Ok(Some(CustodyState::Contradicts)),
        Taken::Known => {}
        Taken::New => {
            let wrapped =
                ring.wrap(tenant, key).map_err(|error| ApiError::internal("a person's key", &error))?;
            let stored = Stored { generation: key.generation, wrapped };
            store::keep_key(tx, tenant, (&device.branch, &device.device), person, &stored, now).await?;
        }
    }
    let until = now + LEASE;
    store::lend(tx, tenant, person, &device.branch, until).await?;
    Ok(Some(CustodyState::Leased { until: millis(until) }))
}

/// Says how the leases stand that a box holds: `{"held":[{"person","used"}]}`, at most 200, answered by
/// `[{"person","state":"leased"|"unknown"|"erased"}]`. One that was used is renewed.
///
/// For boxes, by their certificate.
#[utoipa::path(post, path = "/api/v1/device/persons/leases", tag = "device", responses(
    (status = 200, description = "How each lease stands", content_type = "application/json"),
    (status = 401, body = ErrorBody, description = "No device certificate"),
    (status = 403, body = ErrorBody, description = "This box was revoked"),
    (status = 422, body = ErrorBody, description = "Too many at once, or unreadable"),
    (status = 503, body = ErrorBody, description = "The database is away"),
))]
async fn leases(
    State(app): State<Arc<App>>,
    device: DevicePeer,
    Body(Leases { held }): Body<Leases>,
) -> Result<Response, ApiError> {
    answer_each(&app, &device, held.into_iter().map(Asked::Stands).collect()).await
}

async fn stands(app: &App, tx: &mut Tx, device: &DevicePeer, held: Held) -> Result<CustodyState, ApiError> {
    let person = held.person;
    store::lock_person(tx, &device.tenant, person).await?;
    if erasures::erased_at(app, tx, &device.tenant, person).await?.is_some() {
        return Ok(CustodyState::Erased);
    }
    let lease = store::lease(tx, person, &device.branch).await?;
    // Without a key or a lease this database is from before the deposit; the box, which has the key, deposits it again.
    let Some(mut until) = lease else { return Ok(CustodyState::Unknown) };
    if store::keys(tx, person).await?.is_empty() {
        return Ok(CustodyState::Unknown);
    }
    if held.used {
        until = until.max(app.now() + LEASE);
        store::lend(tx, &device.tenant, person, &device.branch, until).await?;
    }
    Ok(CustodyState::Leased { until: millis(until) })
}

/// Lends a person's key to the box's branch again: `{"key":{"person","generation","secret"},"until"}`.
///
/// For boxes, by their certificate, and for branches that it was lent to before.
#[utoipa::path(post, path = "/api/v1/device/persons/{person}/lease", tag = "device",
    params(("person" = String, Path, description = "The person")), responses(
    (status = 200, description = "The key", content_type = "application/json"),
    (status = 401, body = ErrorBody, description = "No device certificate"),
    (status = 403, body = ErrorBody, description = "This box was revoked"),
    (status = 404, body = ErrorBody, description = "Nobody of that id was lent to this branch, or they were erased"),
    (status = 503, body = ErrorBody, description = "The database is away"),
))]
async fn fetch(
    State(app): State<Arc<App>>,
    device: DevicePeer,
    Named(person): Named<PersonId>,
) -> Result<Response, ApiError> {
    admitted(&app, &device).await?;
    let mut tx = app.db.tenant(&device.tenant).begin().await?;
    store::lock_person(&mut tx, &device.tenant, person).await?;
    let unknown = || {
        ApiError::not_found(
            "no patient of that id was lent to this branch, or they were erased: look them up at the centre",
        )
    };
    let erased = erasures::erased_at(&app, &mut tx, &device.tenant, person).await?.is_some();
    if erased || store::lease(&mut tx, person, &device.branch).await?.is_none() {
        return Err(unknown());
    }
    let stored = store::keys(&mut tx, person).await?.into_iter().next().ok_or_else(unknown)?;
    let key = app.authority.keyring().unwrap(&device.tenant, person, stored.generation, &stored.wrapped);
    let key = key.map_err(|error| ApiError::internal("a person's key", &error))?;
    let until = app.now() + LEASE;
    store::lend(&mut tx, &device.tenant, person, &device.branch, until).await?;
    tx.commit().await?;
    answer(&Lent { key, until: millis(until) })
}

async fn admitted(app: &App, device: &DevicePeer) -> Result<(), ApiError> {
    let mut tx = app.db.tenant(&device.tenant).begin().await?;
    fleet::store::refuse_revoked(&mut tx, &device.device).await?;
    Ok(tx.commit().await?)
}

fn at_most(number: usize) -> Result<(), ApiError> {
    if number <= PERSONS_MAX {
        return Ok(());
    }
    Err(ApiError::validation(format!(
        "at most {PERSONS_MAX} persons at once: send the rest in a second request"
    )))
}

fn millis(at: OffsetDateTime) -> UnixMillis {
    UnixMillis(i64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX))
}

/// Whatever is between box and centre keeps nothing of it.
fn answer(body: &impl Serialize) -> Result<Response, ApiError> {
    Ok(([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body)).into_response())
}
