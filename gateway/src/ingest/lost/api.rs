//! What boxes ask for that lost facts.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use pestle_domain::{
    journal::{Head, Stream},
    wire::facts::{Asked, FACTS_VERSION, PageHeader, build},
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    page,
    store::{self, Kept},
};
use crate::{
    app::App,
    db::Tx,
    http::{
        error::{ApiError, ErrorBody},
        extract::Body,
        peer::DevicePeer,
    },
    ingest::{directory, rules::Sender, seal::Seal as _, store::incarnation},
};

/// The module's route.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(give))
}

/// Gives a box facts back that it recorded, or that the box it was before recorded:
/// `{"lane","epoch","store","from","to"}`, `store` and `to` may be null. The answer is a page: a header line, then each fact as
/// it was hashed, some 1,000 of them and whole acts; `count` is 0 where the centre has none there.
///
/// For boxes, by their certificate.
#[utoipa::path(post, path = "/api/v1/device/facts", tag = "device", responses(
    (status = 200, description = "A page of facts", content_type = "application/x-ndjson"),
    (status = 401, body = ErrorBody, description = "No device certificate"),
    (status = 403, body = ErrorBody, description = "This box was revoked"),
    (status = 404, body = ErrorBody, description = "The centre has nothing of that life of the box's store"),
    (status = 422, body = ErrorBody, description = "Unreadable"),
    (status = 503, body = ErrorBody, description = "The database is away"),
))]
async fn give(
    State(app): State<Arc<App>>,
    device: DevicePeer,
    Body(asked): Body<Asked>,
) -> Result<Response, ApiError> {
    let sender = directory::admit(&app.db, &device).await?;
    let mut tx = app.db.tenant(&device.tenant).begin().await?;
    let kept = store::find(&mut tx, &streams_of(&sender, &asked), asked.store).await?;
    let kept =
        kept.ok_or_else(|| ApiError::not_found("the centre has nothing of that life of this box's store"))?;
    let page = page_of(&app, &mut tx, &kept, &asked).await?;
    tx.commit().await?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, page).into_response())
}

/// The streams of that number which the box may have written, its own first.
fn streams_of(sender: &Sender, asked: &Asked) -> Vec<Stream> {
    let stream = |branch, device, term| Stream {
        tenant: sender.tenant.clone(),
        branch,
        term,
        device,
        lane: asked.lane,
        epoch: asked.epoch,
    };
    let own = (1..=sender.term).rev().map(|term| stream(sender.branch.clone(), sender.device.clone(), term));
    let earlier =
        sender.earlier.iter().map(|before| stream(before.branch.clone(), before.device.clone(), before.term));
    own.chain(earlier).collect()
}

async fn page_of(app: &App, tx: &mut Tx, kept: &Kept, asked: &Asked) -> Result<Vec<u8>, ApiError> {
    let first = asked.from.max(1);
    let last = asked.to.unwrap_or(u64::MAX).min(kept.head.seq);
    let rows = page::cut(store::facts(tx, kept.id, (first, last)).await?);
    let previous = store::value_before(tx, kept.id, first).await?.unwrap_or(Head::EMPTY.hash);
    let head = rows.last().map_or(kept.head, |row| Head { seq: row.seq, hash: row.hash });
    let incarnation = incarnation(tx).await?;
    let acknowledgement = app
        .acknowledge(incarnation, kept.stream.clone(), head)
        .map_err(|error| ApiError::internal("a signature", &error))?;
    let header = PageHeader {
        facts: FACTS_VERSION,
        first,
        count: rows.len() as u64,
        previous,
        last: kept.head.seq,
        again: rows.iter().filter(|row| row.again).map(|row| row.seq).collect(),
        acknowledgement,
    };
    build(&header, rows.iter().map(|row| &*row.bytes))
        .map_err(|error| ApiError::internal("a page of facts", &error))
}
