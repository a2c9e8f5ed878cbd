//! REST of sales and tills.

use std::sync::Arc;

use axum::extract::State;
use pestle_domain::{
    fact,
    ids::{ActId, BranchId, TillId},
    units::{Day, UnixMillis},
};
use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::store::read::{self, Sale, SaleFilter, Session};
use crate::{
    app::App,
    db::DbError,
    http::{
        envelope::{Envelope, Page, PageRequest},
        error::{ApiError, ErrorBody},
        extract::{Named, Params},
    },
    identity::{Principal, principal::AT_COUNTERS},
};

/// The routes of this module.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one)).routes(routes!(tills))
}

/// A sale.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SaleSummary {
    /// The act that the receipt's code names.
    pub id: String,
    /// The branch.
    pub branch: String,
    /// The drawer.
    pub till: String,
    /// Its cash session.
    pub session: String,
    /// As printed: till, epoch, number.
    pub receipt: String,
    /// Who sold: `staff:…`.
    pub actor: String,
    /// By the branch's clock, RFC 3339; null when that clock told nothing sensible.
    pub at: Option<String>,
    /// Day of business.
    pub business_date: String,
    /// ISO 4217.
    pub currency: String,
    /// Tax included, in minor units.
    pub total_minor: i64,
    /// The tax inside, in minor units.
    pub tax_minor: i64,
    /// How it was paid.
    pub tender: String,
    /// What was given, in minor units.
    pub tendered_minor: i64,
    /// What was handed back, in minor units.
    pub change_minor: i64,
    /// How many lines.
    pub line_count: i32,
}

/// A moment of a branch's clock.
pub(crate) fn moment(wall_ms: i64) -> Option<String> {
    UnixMillis(wall_ms).utc()?.format(&Rfc3339).ok()
}

impl From<Sale> for SaleSummary {
    fn from(sale: Sale) -> Self {
        Self {
            id: sale.act_id.to_string(),
            branch: sale.branch_id,
            receipt: format!("{}/{}/{}", sale.till_id, sale.receipt_epoch, sale.receipt_number),
            till: sale.till_id,
            session: sale.session_id.to_string(),
            actor: sale.actor,
            at: moment(sale.wall_ms),
            business_date: sale.business_date.to_string(),
            currency: sale.currency,
            total_minor: sale.total_minor,
            tax_minor: sale.tax_minor,
            tender: sale.tender,
            tendered_minor: sale.tendered_minor,
            change_minor: sale.change_minor,
            line_count: sale.lines,
        }
    }
}

/// One line of a sale.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SaleLine {
    /// The article.
    pub product: String,
    /// GTIN-14.
    pub gtin: String,
    /// As it was printed.
    pub name: String,
    /// Packs.
    pub quantity: i64,
    /// Of one pack, tax included, in minor units.
    pub unit_price_minor: i64,
    /// Of the line, in minor units.
    pub amount_minor: i64,
    /// The rate inside, in hundredths of a per cent.
    pub tax_basis_points: i64,
}

impl From<fact::SaleLine> for SaleLine {
    fn from(line: fact::SaleLine) -> Self {
        Self {
            product: line.product.to_string(),
            gtin: line.gtin.to_string(),
            name: line.name.into(),
            quantity: line.quantity.0,
            unit_price_minor: line.unit_price.minor,
            amount_minor: line.amount.minor,
            tax_basis_points: i64::from(line.tax.0),
        }
    }
}

/// A sale with its lines.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct SaleDetail {
    /// The sale.
    #[serde(flatten)]
    pub sale: SaleSummary,
    /// In the receipt's order.
    pub lines: Vec<SaleLine>,
}

/// Which sales.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub struct SaleQuery {
    /// Of one branch.
    #[param(value_type = Option<String>)]
    branch: Option<BranchId>,
    /// Of one drawer.
    #[param(value_type = Option<String>)]
    till: Option<TillId>,
    /// From this day of business on, `2026-11-21`.
    from: Option<String>,
    /// To this day of business, itself included.
    to: Option<String>,
    /// From 1.
    page: Option<u32>,
    /// 1 to 200.
    page_size: Option<u32>,
}

fn day(text: Option<String>) -> Result<Option<time::Date>, ApiError> {
    let parse = |text: String| {
        text.parse::<Day>().map(|day| day.0).map_err(|error| ApiError::validation(error.to_string()))
    };
    text.map(parse).transpose()
}

/// Sales, the latest first (those who work at counters, admin).
///
/// # Errors
/// AUTHENTICATION, AUTHORIZATION, VALIDATION, UNAVAILABLE.
#[utoipa::path(get, path = "/api/v1/sales", tag = "sales", params(SaleQuery),
    responses((status = 200, body = Page<SaleSummary>), (status = 401, body = ErrorBody),
              (status = 403, body = ErrorBody, description = "Another role does this"), (status = 422, body = ErrorBody)))]
pub async fn list(
    State(app): State<Arc<App>>,
    user: Principal,
    Params(query): Params<SaleQuery>,
) -> Result<Page<SaleSummary>, ApiError> {
    user.require(AT_COUNTERS)?;
    let page = PageRequest::of(query.page, query.page_size)?;
    let filter = SaleFilter {
        branch: query.branch.map(String::from),
        till: query.till.map(String::from),
        from: day(query.from)?,
        to: day(query.to)?,
    };
    let mut tx = app.db.tenant(&user.tenant).begin().await?;
    let (rows, total) = read::sales(&mut tx, &filter, page.limit(), page.offset()).await?;
    tx.commit().await?;
    Ok(Page::new(rows.into_iter().map(Into::into).collect(), page, u64::try_from(total).unwrap_or_default()))
}

/// One sale with its lines (those who work at counters, admin).
///
/// # Errors
/// AUTHENTICATION, AUTHORIZATION, NOT_FOUND, UNAVAILABLE.
#[utoipa::path(get, path = "/api/v1/sales/{id}", tag = "sales",
    params(("id" = String, Path, description = "The act that the receipt's code names")),
    responses((status = 200, body = Envelope<SaleDetail>), (status = 401, body = ErrorBody),
              (status = 403, body = ErrorBody, description = "Another role does this"), (status = 404, body = ErrorBody)))]
pub async fn one(
    State(app): State<Arc<App>>,
    user: Principal,
    Named(id): Named<ActId>,
) -> Result<Envelope<SaleDetail>, ApiError> {
    user.require(AT_COUNTERS)?;
    let mut tx = app.db.tenant(&user.tenant).begin().await?;
    let found = read::sale(&mut tx, id.0).await?;
    let sale = found.ok_or_else(|| {
        ApiError::not_found("no such sale has reached the centre: its branch may still have to send it")
    })?;
    let mut facts = crate::ingest::store::facts_by_id(&mut tx, &[sale.fact_id]).await?;
    tx.commit().await?;
    let lines = facts
        .remove(&sale.fact_id)
        .and_then(|line| lines_of(&line))
        .ok_or_else(|| DbError::bad_row("fact of a sale", sale.fact_id.to_string()))?;
    Ok(Envelope::new(SaleDetail { sale: sale.into(), lines }))
}

/// The lines of a sale, as its fact tells them; `None` for what is no sale: an empty receipt would be a lie.
fn lines_of(line: &[u8]) -> Option<Vec<SaleLine>> {
    match fact::Fact::from_line(line) {
        Ok(Some(fact::Fact { body: fact::FactBody::SaleCompleted(sale), .. })) => {
            Some(sale.lines.into_iter().map(Into::into).collect())
        }
        _ => None,
    }
}

/// A cash session of a drawer. Amounts are in minor units.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TillSession {
    /// The session.
    pub id: String,
    /// The branch.
    pub branch: String,
    /// The drawer.
    pub till: String,
    /// `open`, `closed`, or `unknown` while its opening has not come.
    pub state: &'static str,
    /// ISO 4217.
    pub currency: String,
    /// Counted in at the start.
    pub float_minor: Option<i64>,
    /// Float and what moved since, adjustments included; of an open one managers and admins alone are told.
    pub expected_minor: Option<i64>,
    /// By the person who closed it; null while it is open.
    pub counted_minor: Option<i64>,
    /// Counted less expected.
    pub variance_minor: Option<i64>,
    /// What the branch itself expected at the closing.
    pub branch_expected_minor: Option<i64>,
    /// Sales.
    pub sales: i64,
    /// What came after the closing; it is in `expected_minor` already.
    pub late_minor: i64,
    /// How many movements that is.
    pub late_count: i64,
    /// Day of business.
    pub business_date: Option<String>,
    /// By the branch's clock, RFC 3339.
    pub opened_at: Option<String>,
    /// Who opened it.
    pub opened_by: Option<String>,
    /// By the branch's clock, RFC 3339.
    pub closed_at: Option<String>,
    /// Who closed it.
    pub closed_by: Option<String>,
}

impl From<Session> for TillSession {
    fn from(session: Session) -> Self {
        Self {
            state: session.state(),
            expected_minor: session.expected_minor(),
            variance_minor: session.variance_minor(),
            id: session.session_id.to_string(),
            branch: session.branch_id,
            till: session.till_id,
            currency: session.currency,
            float_minor: session.float_minor,
            counted_minor: session.counted_minor,
            branch_expected_minor: session.told_expected_minor,
            sales: session.sales,
            late_minor: session.late_minor,
            late_count: session.late_count,
            business_date: session.business_date.map(|day| day.to_string()),
            opened_at: session.opened_ms.and_then(moment),
            opened_by: session.opened_by,
            closed_at: session.closed_ms.and_then(moment),
            closed_by: session.closed_by,
        }
    }
}

/// Cash sessions of a branch: open ones first, then the latest (those who work at counters, admin).
///
/// # Errors
/// AUTHENTICATION, AUTHORIZATION, VALIDATION, UNAVAILABLE.
#[utoipa::path(get, path = "/api/v1/branches/{branch}/tills", tag = "sales", params(PageRequest, ("branch" = String, Path, description = "The branch")),
    responses((status = 200, body = Page<TillSession>), (status = 401, body = ErrorBody),
              (status = 403, body = ErrorBody, description = "Another role does this")))]
pub async fn tills(
    State(app): State<Arc<App>>,
    user: Principal,
    Named(branch): Named<BranchId>,
    Params(page): Params<PageRequest>,
) -> Result<Page<TillSession>, ApiError> {
    user.require(AT_COUNTERS)?;
    let page = page.check()?;
    let mut tx = app.db.tenant(&user.tenant).begin().await?;
    let (rows, total) = read::sessions(&mut tx, Some(branch.as_str()), page.limit(), page.offset()).await?;
    tx.commit().await?;
    let view = |session: Session| {
        let mut view = TillSession::from(session);
        if view.state != "closed" && !user.may_know_expected() {
            view.expected_minor = None;
        }
        view
    };
    Ok(Page::new(rows.into_iter().map(view).collect(), page, u64::try_from(total).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_sale_has_no_lines_rather_than_none_of_them() {
        let golden = include_str!("../../../domain/tests/golden/facts-v1.jsonl");
        let counts: Vec<usize> =
            golden.lines().filter_map(|line| lines_of(line.as_bytes())).map(|lines| lines.len()).collect();
        assert!(!counts.is_empty() && counts.iter().all(|count| *count > 0), "{counts:?}");
        assert!(counts.len() < golden.lines().count(), "the other kinds are no sales");
        assert!(lines_of(b"{}").is_none());
    }
}
