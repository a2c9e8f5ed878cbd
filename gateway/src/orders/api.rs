//! REST of orders.

use std::sync::Arc;

use axum::extract::State;
use pestle_domain::{
    ids::{BranchId, OrderId, ProductId},
    order::{Order, OrderBody},
    staff::Role,
    units::Day,
};
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    issue::{self, NotIssued, Whom, Writer},
    read::{self, InBranch, OrderFilter, OrderRow},
    rules::{self, RawRecall},
};
use crate::{
    app::App,
    catalogue,
    http::{
        envelope::{Created, Envelope, Page, PageRequest},
        error::{ApiError, ErrorBody},
        extract::{Body, Named, Params},
    },
    identity::Principal,
    ingest::live::Changed,
};

/// Who may recall packs, and set a branch's book right.
const MAY_ORDER: &[Role] = &[Role::Pharmacist, Role::Manager];
/// Who may recall packs: a recall may come at night.
const MAY_RECALL: &[Role] = &[Role::Pharmacist, Role::Manager, Role::CentralIt];
/// How often an order is tried that somebody writes at the same moment.
const TRIES: usize = 3;

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(read_one))
        .routes(routes!(issue_recall))
        .routes(routes!(lift_recall))
        .routes(routes!(adjust))
        .routes(routes!(adopt))
}

/// An order, with what each branch made of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderView {
    /// Its id, drawn by whoever asked for it.
    pub id: String,
    /// recall.issued, recall.lifted, stock.adjust, catalogue.changed or staff.changed.
    pub kind: String,
    /// What it says, in a line for people.
    pub summary: String,
    /// When it was written, RFC 3339.
    pub issued_at: String,
    /// Who had it written.
    pub by: String,
    /// Whether a person wrote it anew after a restore had lost it.
    pub adopted: bool,
    /// By branch.
    pub branches: Vec<InBranch>,
}

impl From<OrderRow> for OrderView {
    fn from(row: OrderRow) -> Self {
        let body = body_of(&row.bytes);
        Self {
            id: row.order_id.to_string(),
            summary: rules::summary(&row.kind, body.as_ref()),
            kind: row.kind,
            issued_at: row.issued_at.format(&Rfc3339).unwrap_or_default(),
            by: row.by_name,
            adopted: row.adopted,
            branches: row.branches.0,
        }
    }
}

/// What an order's bytes say, as far as this version knows.
pub fn body_of(bytes: &[u8]) -> Option<OrderBody> {
    Order::from_line(bytes).ok().flatten().map(|order| order.body)
}

/// Which orders.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct OrderQuery {
    /// In this branch's log.
    #[param(value_type = Option<String>)]
    branch: Option<BranchId>,
    /// waiting, applied, refused or contained, in that branch or in some.
    state: Option<String>,
    /// From 1.
    page: Option<u32>,
    /// 1 to 200.
    page_size: Option<u32>,
}

/// Orders with their state in each branch, the latest first (pharmacist, manager, central_it, admin).
#[utoipa::path(get, path = "/api/v1/orders", tag = "orders", params(OrderQuery), responses(
    (status = 200, body = Page<OrderView>),
    (status = 401, body = ErrorBody, description = "Sign in first"),
    (status = 403, body = ErrorBody, description = "Another role does this"),
    (status = 422, body = ErrorBody, description = "There is no such state"),
))]
async fn list(
    State(app): State<Arc<App>>,
    who: Principal,
    Params(query): Params<OrderQuery>,
) -> Result<Page<OrderView>, ApiError> {
    who.require(MAY_RECALL)?;
    let page = PageRequest::of(query.page, query.page_size)?;
    let known = ["waiting", "applied", "refused", "contained"];
    if let Some(state) = query.state.as_deref().filter(|state| !known.contains(state)) {
        return Err(ApiError::validation(format!("state: \"{state}\" is none of {}", known.join(", "))));
    }
    let filter = OrderFilter { order: None, branch: query.branch.map(String::from), state: query.state };
    let mut tx = app.db.tenant(&who.tenant).begin().await?;
    let (rows, total) = read::orders(&mut tx, &filter, page.limit(), page.offset()).await?;
    tx.commit().await?;
    Ok(Page::new(rows.into_iter().map(OrderView::from).collect(), page, total.unsigned_abs()))
}

/// One order with its state in each branch (pharmacist, manager, central_it, admin).
#[utoipa::path(get, path = "/api/v1/orders/{order_id}", tag = "orders", params(("order_id" = Uuid, Path, description = "The order")), responses(
    (status = 200, body = Envelope<OrderView>),
    (status = 403, body = ErrorBody, description = "Another role does this"),
    (status = 404, body = ErrorBody, description = "There is no such order"),
))]
async fn read_one(
    State(app): State<Arc<App>>,
    who: Principal,
    Named(id): Named<Uuid>,
) -> Result<Envelope<OrderView>, ApiError> {
    who.require(MAY_RECALL)?;
    view(&app, &who, id).await.map(Envelope::new)
}

async fn view(app: &App, who: &Principal, id: Uuid) -> Result<OrderView, ApiError> {
    let mut tx = app.db.tenant(&who.tenant).begin().await?;
    let filter = OrderFilter { order: Some(id), ..OrderFilter::default() };
    let (rows, _) = read::orders(&mut tx, &filter, 1, 0).await?;
    tx.commit().await?;
    let row = rows.into_iter().next();
    row.map(OrderView::from).ok_or_else(|| ApiError::not_found(format!("there is no order \"{id}\"")))
}

/// A recall to be issued, or lifted.
#[derive(Debug, Deserialize, ToSchema)]
pub struct RecallRequest {
    /// Drawn by whoever asks (a UUID): the same again is the same order.
    pub id: Uuid,
    /// The authority's or the maker's number.
    pub reference: String,
    /// The article.
    #[schema(value_type = String)]
    pub product: ProductId,
    /// The lot; none for every lot.
    pub lot: Option<String>,
    /// In words for the counter.
    pub reason: String,
    /// For these branches; none for all.
    #[schema(value_type = Option<Vec<String>>)]
    pub branches: Option<Vec<BranchId>>,
}

impl RecallRequest {
    fn split(self) -> Result<(OrderId, RawRecall, Whom), ApiError> {
        let Self { id, reference, product, lot, reason, branches } = self;
        if branches.as_ref().is_some_and(Vec::is_empty) {
            return Err(ApiError::validation("branches: name at least one, or leave it out for all"));
        }
        let whom = branches.map_or(Whom::All, Whom::Some);
        Ok((OrderId(id), RawRecall { reference, product, lot, reason }, whom))
    }
}

/// Recalls packs, for all branches or some (pharmacist, manager, central_it, admin). Tills that are connected refuse them
/// within seconds, the others as soon as they hear of it.
#[utoipa::path(post, path = "/api/v1/orders/recalls", tag = "orders", request_body = RecallRequest, responses(
    (status = 201, body = Envelope<OrderView>),
    (status = 403, body = ErrorBody, description = "Another role does this"),
    (status = 409, body = ErrorBody, description = "Another order has this id"),
    (status = 422, body = ErrorBody, description = "A field cannot be meant"),
))]
async fn issue_recall(
    State(app): State<Arc<App>>,
    who: Principal,
    Body(request): Body<RecallRequest>,
) -> Result<Created<OrderView>, ApiError> {
    who.require(MAY_RECALL)?;
    let (id, raw, whom) = request.split()?;
    let recall = rules::recall(raw, Day(app.now().date()))?;
    order(&app, &who, id, recall.into(), &whom).await
}

/// Says that a recall is over (pharmacist, manager, admin).
#[utoipa::path(post, path = "/api/v1/orders/recalls/lift", tag = "orders", request_body = RecallRequest, responses(
    (status = 201, body = Envelope<OrderView>),
    (status = 403, body = ErrorBody, description = "Another role does this"),
    (status = 404, body = ErrorBody, description = "No such recall is in force"),
    (status = 409, body = ErrorBody, description = "Another order has this id"),
    (status = 422, body = ErrorBody, description = "A field cannot be meant"),
))]
async fn lift_recall(
    State(app): State<Arc<App>>,
    who: Principal,
    Body(request): Body<RecallRequest>,
) -> Result<Created<OrderView>, ApiError> {
    who.require(MAY_ORDER)?;
    let (id, raw, whom) = request.split()?;
    let lifting = rules::lifting(raw)?;
    order(&app, &who, id, lifting.into(), &whom).await
}

/// A correction of a branch's book.
#[derive(Debug, Deserialize, ToSchema)]
pub struct AdjustmentRequest {
    /// Drawn by whoever asks (a UUID): the same again is the same order.
    pub id: Uuid,
    /// In which branch.
    #[schema(value_type = String)]
    pub branch: BranchId,
    /// The article.
    #[schema(value_type = String)]
    pub product: ProductId,
    /// The lot; none for packs of which nobody knows it.
    pub lot: Option<String>,
    /// Packs to add, or to take off with a minus.
    pub quantity: i64,
    /// In words.
    pub reason: String,
}

/// Has a branch set its book right (pharmacist, manager, admin). It is done when the branch has carried it out, offline
/// branches later; see the order's state.
#[utoipa::path(post, path = "/api/v1/orders/stock-adjustments", tag = "orders", request_body = AdjustmentRequest, responses(
    (status = 201, body = Envelope<OrderView>),
    (status = 403, body = ErrorBody, description = "Another role does this"),
    (status = 409, body = ErrorBody, description = "Another order has this id"),
    (status = 422, body = ErrorBody, description = "A field cannot be meant"),
))]
async fn adjust(
    State(app): State<Arc<App>>,
    who: Principal,
    Body(request): Body<AdjustmentRequest>,
) -> Result<Created<OrderView>, ApiError> {
    who.require(MAY_ORDER)?;
    let AdjustmentRequest { id, branch, product, lot, quantity, reason } = request;
    let adjustment = rules::adjustment(product, lot, quantity, &reason)?;
    order(&app, &who, OrderId(id), adjustment.into(), &Whom::Some(vec![branch])).await
}

async fn order(
    app: &Arc<App>,
    who: &Principal,
    id: OrderId,
    body: OrderBody,
    whom: &Whom,
) -> Result<Created<OrderView>, ApiError> {
    let writer = Writer { by: format!("user:{}", who.user).into(), name: who.name.clone(), at: app.now_ms() };
    let mut tries = 0;
    let new = loop {
        tries += 1;
        match write(app, who, (id, body.clone()), whom, &writer).await {
            Err(NotIssued::Overtaken) if tries < TRIES => {}
            written => break written.map_err(refused)?,
        }
    };
    if new {
        tracing::info!(order = %id, kind = body.kind(), by = %who.user, "an order was issued");
        told(app, who);
    }
    let message = if new { "the order was issued" } else { "the order was issued before" };
    Ok(Envelope::saying(view(app, who, id.0).await?, message).created())
}

async fn write(
    app: &App,
    who: &Principal,
    (id, body): (OrderId, OrderBody),
    whom: &Whom,
    writer: &Writer,
) -> Result<bool, NotIssued> {
    let mut tx = app.db.tenant(&who.tenant).begin().await?;
    if let Some(product) = product_of(&body)
        && catalogue::store::get(&mut tx, product).await?.is_none()
    {
        return Err(NotIssued::NoProduct(product.clone()));
    }
    let new = issue::issue(&mut tx, &who.tenant, (id, body), whom, writer).await?;
    tx.commit().await?;
    Ok(new)
}

fn product_of(body: &OrderBody) -> Option<&ProductId> {
    match body {
        OrderBody::StockAdjust(adjust) => Some(&adjust.product),
        other => rules::names_recall(other).map(|(_, product, _)| product),
    }
}

/// Boxes and pages hear of it at once.
fn told(app: &App, who: &Principal) {
    app.nudge.notify_one();
    app.live.tell(Changed { alarms: true, ..Changed::nothing(who.tenant.clone()) });
}

fn refused(error: NotIssued) -> ApiError {
    match error {
        NotIssued::Taken(_) => ApiError::duplicate(error.to_string()),
        NotIssued::Overtaken => {
            ApiError::conflict("somebody writes the same order: look whether it is there")
        }
        NotIssued::NoBranch(_) | NotIssued::NoProduct(_) | NotIssued::TooLong => {
            ApiError::validation(error.to_string())
        }
        NotIssued::NoRecall => ApiError::not_found(error.to_string()),
        NotIssued::Json(error) => ApiError::internal("an order", &error),
        NotIssued::Db(error) => error.into(),
    }
}

/// Which order of which branch.
#[derive(Debug, Deserialize)]
struct Lost {
    branch: BranchId,
    order: Uuid,
}

/// Writes an order anew that a restore of the centre lost and the branch carried out (pharmacist, manager, admin). It keeps
/// its id, so that no box carries it out twice.
#[utoipa::path(post, path = "/api/v1/branches/{branch}/orders/{order}/adopt", tag = "orders",
    params(("branch" = String, Path, description = "The branch"), ("order" = Uuid, Path, description = "The order")), responses(
    (status = 201, body = Envelope<OrderView>),
    (status = 403, body = ErrorBody, description = "Another role does this"),
    (status = 404, body = ErrorBody, description = "No such order was lost"),
    (status = 409, body = ErrorBody, description = "This gateway does not understand it, or another order has its id"),
))]
async fn adopt(
    State(app): State<Arc<App>>,
    who: Principal,
    Named(Lost { branch, order }): Named<Lost>,
) -> Result<Created<OrderView>, ApiError> {
    who.require(MAY_ORDER)?;
    let mut tx = app.db.tenant(&who.tenant).begin().await?;
    let line = read::lost(&mut tx, branch.as_str(), OrderId(order)).await?;
    let line = line.ok_or_else(|| ApiError::not_found("no such order was lost in this branch"))?;
    let read = Order::from_line(&line).ok().flatten();
    let read = read.ok_or_else(|| {
        ApiError::conflict("this gateway does not understand the order: adopt it after the gateway's upgrade")
    })?;
    match issue::adopt(&mut tx, &who.tenant, &branch, (read, line), &who.name).await {
        Ok(()) => {
            tx.commit().await?;
            tracing::warn!(order = %order, %branch, by = %who.user, "an order that was lost was adopted");
            told(&app, &who);
        }
        // Somebody else did at the same moment, and has committed it.
        Err(NotIssued::Overtaken) => drop(tx),
        Err(error) => return Err(refused(error)),
    }
    Ok(Envelope::saying(view(&app, &who, order).await?, "the order is in the log again").created())
}
