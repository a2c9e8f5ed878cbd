//! `/api/v1/products`.

use std::sync::Arc;

use axum::extract::State;
use pestle_domain::{
    catalogue::{Product, Storage, Supply},
    gs1::Gtin,
    ids::ProductId,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::store;
use crate::{
    app::App,
    http::{
        envelope::{Envelope, Page, PageRequest},
        error::{ApiError, ErrorBody},
        extract::{Named, Params},
    },
    identity::Principal,
};

/// Most words of a search.
const WORDS_MAX: usize = 8;

/// The module's routes.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(read))
}

/// An article.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProductView {
    /// The chain's own number.
    pub product_id: String,
    /// All pack numbers, 14 digits each.
    pub gtins: Vec<String>,
    /// As on the receipt.
    pub name: String,
    /// Of one pack in minor units, tax included.
    pub price_minor: i64,
    /// ISO 4217.
    pub currency: &'static str,
    /// The rate inside the price, in hundredths of a per cent.
    pub tax_basis_points: u32,
    /// general, pharmacy, prescription or controlled.
    #[schema(value_type = String)]
    pub supply: Supply,
    /// ambient or cold.
    #[schema(value_type = String)]
    pub storage: Storage,
}

impl From<Product> for ProductView {
    fn from(product: Product) -> Self {
        Self {
            product_id: product.id.into(),
            gtins: product.gtins.iter().map(ToString::to_string).collect(),
            name: product.name.into(),
            price_minor: product.price.minor,
            currency: product.price.currency.code(),
            tax_basis_points: product.tax.0,
            supply: product.supply,
            storage: product.storage,
        }
    }
}

/// What to look for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub struct Search {
    /// Words that the name must have.
    pub q: String,
    /// A pack number of 8, 12, 13 or 14 digits.
    pub gtin: Option<String>,
    /// From 1; default 1.
    pub page: Option<u32>,
    /// 1 to 200; default 50.
    pub page_size: Option<u32>,
}

/// Lists and searches articles.
#[utoipa::path(get, path = "/api/v1/products", tag = "catalogue", params(Search), responses(
    (status = 200, body = Page<ProductView>),
    (status = 401, body = ErrorBody, description = "Sign in first"),
    (status = 422, body = ErrorBody, description = "The GTIN is none"),
))]
async fn list(
    State(app): State<Arc<App>>,
    who: Principal,
    Params(search): Params<Search>,
) -> Result<Page<ProductView>, ApiError> {
    let page = PageRequest::of(search.page, search.page_size)?;
    let gtin = search
        .gtin
        .map(|digits| {
            Gtin::from_digits(digits.as_bytes())
                .map_err(|error| ApiError::validation(format!("gtin: {error}")))
        })
        .transpose()?;
    let words: Vec<String> = search.q.split_whitespace().take(WORDS_MAX).map(str::to_owned).collect();
    let mut tx = app.db.tenant(&who.tenant).begin().await?;
    let (found, total) = store::search(&mut tx, &words, gtin, page).await?;
    tx.commit().await?;
    Ok(Page::new(found.into_iter().map(ProductView::from).collect(), page, total))
}

/// Reads one article.
#[utoipa::path(get, path = "/api/v1/products/{product_id}", tag = "catalogue", params(("product_id" = String, Path, description = "The article's number")), responses(
    (status = 200, body = Envelope<ProductView>),
    (status = 404, body = ErrorBody, description = "There is no such article"),
))]
async fn read(
    State(app): State<Arc<App>>,
    who: Principal,
    Named(id): Named<ProductId>,
) -> Result<Envelope<ProductView>, ApiError> {
    let mut tx = app.db.tenant(&who.tenant).begin().await?;
    let product = store::get(&mut tx, &id).await?;
    tx.commit().await?;
    let product = product.ok_or_else(|| ApiError::not_found(format!("there is no article \"{id}\"")))?;
    Ok(Envelope::new(product.into()))
}
