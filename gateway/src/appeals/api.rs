//! What people ask, and decide.

use std::sync::Arc;

use axum::extract::State;
use pestle_domain::{
    appeal::{Contested, Parting, parting},
    ids::{AppealId, BranchId},
    staff::Role,
};
use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    rule::{self, Judge, NotRuled},
    rules::{self, Choice},
    store::{self, AppealRow},
};
use crate::{
    app::App,
    db::{DbError, Tx},
    enrolment::{enrol, rules as claims},
    http::{
        envelope::{Envelope, Page, PageRequest},
        error::{ApiError, ErrorBody},
        extract::{Body, Named, Params},
    },
    identity::Principal,
    ingest::{self, live::Changed},
};

/// Who decides which of two boxes is the branch's.
pub const MAY_RULE: &[Role] = &[Role::CentralIt];

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(rule_one))
}

/// A box that asks what it is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct AppealView {
    /// Of the running program that asks; another start asks under another one.
    pub id: String,
    /// The name under which it asks.
    pub device: String,
    /// The branch whose records are refused.
    pub branch: String,
    /// The machine's name.
    pub host: String,
    /// Its own address, as it says.
    pub address: String,
    /// From where it came, as the centre saw it.
    pub seen_from: String,
    /// Where its pages are.
    pub pages: String,
    /// Where it keeps its data.
    pub data_dir: String,
    /// Since when its program runs, by its own clock, RFC 3339.
    pub running_since: String,
    /// When it asked first, RFC 3339.
    pub first_at: String,
    /// And last.
    pub last_at: String,
    /// Whether it still asks.
    pub asks: bool,
    /// Facts that wait in it.
    pub waiting: u64,
    /// What differs, a sentence for each stream.
    pub differences: Vec<String>,
    /// go_on or own_name, once decided.
    pub ruling: Option<String>,
    /// The epoch in which it goes on.
    pub epoch: Option<i64>,
    /// Who decided.
    pub by: Option<String>,
    /// When, RFC 3339.
    pub ruled_at: Option<String>,
    /// Whether the box has carried it out, as far as it has reached the centre.
    pub carried_out: bool,
}

fn rfc3339(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

/// An appeal beside what the centre has.
///
/// # Errors
/// [`DbError`].
pub async fn view(tx: &mut Tx, row: &AppealRow, now: OffsetDateTime) -> Result<AppealView, DbError> {
    let mut differences = Vec::with_capacity(row.said.contested.len());
    for contested in &row.said.contested {
        let (centre, parting) = compare(tx, contested).await?;
        differences.push(rules::difference(contested, centre, parting));
    }
    let place = &row.said.place;
    let since = OffsetDateTime::from_unix_timestamp_nanos(i128::from(place.running_since.0) * 1_000_000);
    Ok(AppealView {
        id: row.appeal_id.to_string(),
        device: row.device_id.clone(),
        branch: row.branch_id.clone(),
        host: place.host.to_string(),
        address: place.address.to_string(),
        seen_from: row.seen_from.clone(),
        pages: place.pages.to_string(),
        data_dir: place.data_dir.to_string(),
        running_since: since.map(rfc3339).unwrap_or_default(),
        first_at: rfc3339(row.first_at),
        last_at: rfc3339(row.last_at),
        asks: rules::is_heard(row.last_at, now),
        waiting: row.said.contested.iter().map(|one| one.waiting).sum(),
        differences,
        ruling: row.choice.clone(),
        epoch: row.epoch,
        by: row.by_name.clone(),
        ruled_at: row.ruled_at.map(rfc3339),
        carried_out: row.carried,
    })
}

/// Where the centre stands in a stream, and how far both are the same.
async fn compare(tx: &mut Tx, contested: &Contested) -> Result<(u64, Parting), DbError> {
    let heads = ingest::store::heads(tx, &[&contested.stream], ingest::store::Lock::No).await?;
    let Some(Some(locked)) = heads.into_iter().next() else {
        return Ok((0, Parting { same_to: 0, differs_at: None }));
    };
    let places: Vec<(i64, u64)> = contested.values.iter().map(|value| (locked.id, value.seq)).collect();
    let kept = ingest::store::chain_values(tx, &places).await?;
    let other = |seq: u64| {
        let hash = *kept.get(&(locked.id, seq))?;
        Some(pestle_domain::journal::Head { seq, hash })
    };
    Ok((locked.head.seq, parting(&contested.values, other)))
}

/// Lists the boxes that asked what to do about a contradiction, the latest first (central_it, field_tech, admin).
#[utoipa::path(get, path = "/api/v1/appeals", tag = "appeals", params(PageRequest), responses(
    (status = 200, body = Page<AppealView>),
    (status = 403, body = ErrorBody, description = "Another role does this"),
))]
async fn list(
    State(app): State<Arc<App>>,
    who: Principal,
    Params(page): Params<PageRequest>,
) -> Result<Page<AppealView>, ApiError> {
    who.require(&[Role::CentralIt, Role::FieldTech])?;
    let page = page.check()?;
    let mut tx = app.db.tenant(&who.tenant).begin().await?;
    let (rows, total) = store::list(&mut tx, page.limit(), page.offset()).await?;
    let mut views = Vec::with_capacity(rows.len());
    for row in &rows {
        views.push(view(&mut tx, row, app.now()).await?);
    }
    tx.commit().await?;
    Ok(Page::new(views, page, total))
}

/// What is decided.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RulingRequest {
    /// go_on: this is the branch's box, it goes on in a new epoch. own_name: this is a second box, it gets a name of its own.
    pub choice: String,
}

/// What was decided, and what is to be done now.
#[derive(Debug, Serialize, ToSchema)]
pub struct RulingView {
    /// The box.
    pub appeal: AppealView,
    /// What a technician types at the box, with a claim code that is told once; for own_name alone.
    pub step: Option<String>,
}

/// Decides what a box is that asks (central_it, admin). A decision stands.
#[utoipa::path(post, path = "/api/v1/appeals/{appeal}/ruling", tag = "appeals", request_body = RulingRequest,
    params(("appeal" = String, Path, description = "The id under which the box asks")), responses(
    (status = 200, body = Envelope<RulingView>),
    (status = 403, body = ErrorBody, description = "Another role does this"),
    (status = 404, body = ErrorBody, description = "No box asks under this id"),
    (status = 409, body = ErrorBody, description = "It was decided, or the box must be enrolled for another branch first"),
    (status = 422, body = ErrorBody, description = "There is no such choice"),
))]
async fn rule_one(
    State(app): State<Arc<App>>,
    who: Principal,
    Named(appeal): Named<AppealId>,
    Body(request): Body<RulingRequest>,
) -> Result<Envelope<RulingView>, ApiError> {
    who.require(MAY_RULE)?;
    let choice = request
        .choice
        .parse()
        .map_err(|()| ApiError::validation("choice: write go_on or own_name".to_owned()))?;
    Ok(Envelope::saying(decide(&app, &who, appeal, choice).await?, "decided"))
}

/// Decides, durably, and tells what is to be done.
///
/// # Errors
/// What the person is told.
pub async fn decide(
    app: &App,
    who: &Principal,
    appeal: AppealId,
    choice: Choice,
) -> Result<RulingView, ApiError> {
    let by = who.user.to_string();
    let mut tx = app.db.tenant(&who.tenant).begin().await?;
    let judge = Judge { by: &by, name: &who.name };
    let row = rule::rule(&mut tx, &who.tenant, (appeal, choice), judge, app.now()).await.map_err(refused)?;
    let view = view(&mut tx, &row, app.now()).await?;
    tx.commit().await?;
    app.live.tell(Changed { alarms: true, ..Changed::nothing(who.tenant.clone()) });
    let step = match choice {
        Choice::GoOn => None,
        Choice::OwnName => Some(technicians_step(app, who, &row, &by).await?),
    };
    Ok(RulingView { appeal: view, step })
}

async fn technicians_step(app: &App, who: &Principal, row: &AppealRow, by: &str) -> Result<String, ApiError> {
    let branch: BranchId =
        row.branch_id.parse().map_err(|_| DbError::bad_row("branch", row.branch_id.clone()))?;
    let place = (&who.tenant, &branch);
    let life = (by, claims::LIFE_DEFAULT_HOURS);
    let issued = enrol::issue(&app.db, &app.authority.fingerprint(), place, life, app.now()).await;
    let (claim, _) = issued.map_err(|error| ApiError::internal("claim", &error))?;
    Ok(rules::step(&app.public_https(), &row.said.place.data_dir, Some(&claim.to_string())))
}

fn refused(error: NotRuled) -> ApiError {
    match error {
        NotRuled::Unknown => ApiError::not_found(error.to_string()),
        NotRuled::Decided { .. } | NotRuled::Elsewhere(_) | NotRuled::NoNumber { .. } => {
            ApiError::conflict(error.to_string())
        }
        NotRuled::Database(error) => error.into(),
    }
}
