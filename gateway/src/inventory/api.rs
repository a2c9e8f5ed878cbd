//! REST of stock.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use pestle_domain::{
    gs1::Gtin,
    ids::{BranchId, ProductId},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    cache::Answer,
    store::{self, LotRow, StockFilter},
};
use crate::{
    app::App,
    http::{
        envelope::{Envelope, Page, PageRequest},
        error::{ApiError, ErrorBody},
        extract::{Named, Params},
    },
    identity::{Principal, principal::AT_COUNTERS},
};

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(check))
}

/// One lot at one place.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StockLine {
    /// The branch.
    pub branch: String,
    /// Its name.
    pub branch_name: String,
    /// The article.
    pub product: String,
    /// Its name.
    pub product_name: String,
    /// The lot; null where nobody knows it.
    pub lot: Option<String>,
    /// Last day of use, `2027-01-31`.
    pub expiry: Option<String>,
    /// Packs; below zero where the book is wrong.
    pub quantity: i64,
    /// Packs that are kept for somebody.
    pub reserved: i64,
    /// Fewest packs that should be there; null while nobody set it.
    pub min: Option<i64>,
    /// Most packs that should be there.
    pub max: Option<i64>,
    /// At how many packs to order.
    pub reorder: Option<i64>,
}

impl From<LotRow> for StockLine {
    fn from(row: LotRow) -> Self {
        Self {
            branch: row.branch_id,
            branch_name: row.branch_name,
            product: row.product_id,
            product_name: row.product_name,
            lot: (!row.lot.is_empty()).then_some(row.lot),
            expiry: row.expiry.map(|day| day.to_string()),
            quantity: row.on_hand,
            reserved: 0,
            min: None,
            max: None,
            reorder: None,
        }
    }
}

/// Which stock.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub struct StockQuery {
    /// Of one branch.
    #[param(value_type = Option<String>)]
    branch: Option<BranchId>,
    /// Of one article.
    #[param(value_type = Option<String>)]
    product: Option<ProductId>,
    /// Of the article with this pack number, 8 to 14 digits.
    gtin: Option<String>,
    /// Words of the name, or a part of the article's number, pack number or lot.
    q: Option<String>,
    /// From 1.
    page: Option<u32>,
    /// 1 to 200.
    page_size: Option<u32>,
}

/// Stock by place, article and lot (those who work at counters, admin).
///
/// # Errors
/// AUTHENTICATION, AUTHORIZATION, VALIDATION, UNAVAILABLE.
#[utoipa::path(get, path = "/api/v1/stock", tag = "inventory", params(StockQuery),
    responses((status = 200, body = Page<StockLine>), (status = 401, body = ErrorBody),
              (status = 403, body = ErrorBody, description = "Another role does this"), (status = 422, body = ErrorBody)))]
pub async fn list(
    State(app): State<Arc<App>>,
    user: Principal,
    Params(query): Params<StockQuery>,
) -> Result<Page<StockLine>, ApiError> {
    user.require(AT_COUNTERS)?;
    let page = PageRequest::of(query.page, query.page_size)?;
    let gtin = query
        .gtin
        .map(|text| text.parse::<Gtin>())
        .transpose()
        .map_err(|error| ApiError::validation(format!("gtin cannot be used: {error}")))?;
    let filter = StockFilter {
        branch: query.branch.map(String::from),
        product: query.product.map(String::from),
        gtin: gtin.map(|gtin| gtin.to_string()),
        search: query.q.filter(|words| !words.trim().is_empty()),
        lowest_first: false,
    };
    let mut tx = app.db.tenant(&user.tenant).begin().await?;
    let (rows, total) = store::lots(&mut tx, &filter, page.limit(), page.offset()).await?;
    tx.commit().await?;
    Ok(Page::new(rows.into_iter().map(Into::into).collect(), page, u64::try_from(total).unwrap_or_default()))
}

/// What a branch has of one article.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct StockCheck {
    /// The branch.
    pub branch: String,
    /// The article.
    pub product: String,
    /// Its name; null where the catalogue does not know it.
    pub product_name: Option<String>,
    /// Packs of all lots.
    pub quantity: i64,
    /// Packs that are kept for somebody.
    pub reserved: i64,
    /// By lot, the earliest last day first.
    pub lots: Vec<LotQuantity>,
}

/// One lot.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct LotQuantity {
    /// Null where nobody knows it.
    pub lot: Option<String>,
    /// Last day of use.
    pub expiry: Option<String>,
    /// Packs.
    pub quantity: i64,
}

/// How many packs a branch has of an article (those who work at counters, admin). Answered from memory until the next change; send the `ETag` back as
/// `If-None-Match` to be told 304 when nothing changed.
///
/// # Errors
/// AUTHENTICATION, NOT_FOUND, UNAVAILABLE.
#[utoipa::path(get, path = "/api/v1/branches/{branch}/stock/{product}", tag = "inventory",
    params(("branch" = String, Path, description = "The branch"), ("product" = String, Path, description = "The article")),
    responses((status = 200, body = Envelope<StockCheck>), (status = 304, description = "As it was"),
              (status = 401, body = ErrorBody), (status = 403, body = ErrorBody, description = "Another role does this"),
              (status = 404, body = ErrorBody)))]
pub async fn check(
    State(app): State<Arc<App>>,
    user: Principal,
    Named((branch, product)): Named<(BranchId, ProductId)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    user.require(AT_COUNTERS)?;
    let answer = match app.stock.get(&user.tenant, &branch, &product).await {
        Some(kept) => kept,
        None => read_check(&app, &user, &branch, &product).await?,
    };
    Ok(send(&answer, &headers))
}

async fn read_check(
    app: &App,
    user: &Principal,
    branch: &BranchId,
    product: &ProductId,
) -> Result<Arc<Answer>, ApiError> {
    let epoch = app.stock.epoch();
    let mut tx = app.db.tenant(&user.tenant).begin().await?;
    let (name, rows) = store::of_product(&mut tx, branch, product).await?;
    tx.commit().await?;
    if name.is_none() && rows.is_empty() {
        return Err(ApiError::not_found(
            "this branch has never had such an article, and the catalogue has none of that number",
        ));
    }
    let checked = StockCheck {
        branch: branch.to_string(),
        product: product.to_string(),
        product_name: name,
        quantity: rows.iter().map(|row| row.on_hand).sum(),
        reserved: 0,
        lots: rows
            .into_iter()
            .map(|row| LotQuantity {
                lot: (!row.lot.is_empty()).then_some(row.lot),
                expiry: row.expiry.map(|day| day.to_string()),
                quantity: row.on_hand,
            })
            .collect(),
    };
    let body = serde_json::to_vec(&Envelope::new(checked))
        .map_err(|error| ApiError::internal("stock check", &error))?;
    let answer = Arc::new(Answer::new(Bytes::from(body)));
    app.stock.keep(epoch, (&user.tenant, branch, product), answer.clone()).await;
    Ok(answer)
}

fn send(answer: &Answer, asked: &HeaderMap) -> Response {
    let known = asked.get(header::IF_NONE_MATCH).is_some_and(|tags| {
        tags.as_bytes().split(|byte| *byte == b',').any(|tag| tag.trim_ascii() == answer.etag.as_bytes())
    });
    // A shared cache must not mix tenants: only the caller's own may keep it, and has to ask each time.
    const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-cache");
    let headers = [(header::ETAG, answer.etag.clone()), (header::CACHE_CONTROL, PRIVATE)];
    if known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    (headers, [(header::CONTENT_TYPE, JSON)], Body::from(answer.body.clone())).into_response()
}
