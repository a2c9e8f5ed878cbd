//! What pages and the API read of sales and tills.

use sqlx::PgConnection;
use time::{Date, OffsetDateTime};
use uuid::Uuid;

use crate::db::DbError;

/// One sale, beside its lines.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Sale {
    /// The act that the receipt names.
    pub act_id: Uuid,
    /// The fact.
    pub fact_id: Uuid,
    /// The branch.
    pub branch_id: String,
    /// The box.
    pub device_id: String,
    /// The drawer.
    pub till_id: String,
    /// Its session.
    pub session_id: Uuid,
    /// Life of the store that numbered the receipt.
    pub receipt_epoch: i64,
    /// Number of the receipt.
    pub receipt_number: i64,
    /// Who sold.
    pub actor: String,
    /// By the device's clock, in milliseconds since 1970 UTC.
    pub wall_ms: i64,
    /// Day of business.
    pub business_date: Date,
    /// ISO 4217.
    pub currency: String,
    /// Tax included, minor units.
    pub total_minor: i64,
    /// The tax inside.
    pub tax_minor: i64,
    /// How it was paid.
    pub tender: String,
    /// What was given.
    pub tendered_minor: i64,
    /// What was handed back.
    pub change_minor: i64,
    /// How many lines.
    pub lines: i32,
}

/// Which sales are asked for.
#[derive(Debug, Clone, Default)]
pub struct SaleFilter {
    /// Of one branch.
    pub branch: Option<String>,
    /// Of one drawer.
    pub till: Option<String>,
    /// From this day of business on.
    pub from: Option<Date>,
    /// To this day of business, itself included.
    pub to: Option<Date>,
}

const SALE_COLUMNS: &str = "SELECT act_id, fact_id, branch_id, device_id, till_id, session_id, receipt_epoch, receipt_number,
    actor, wall_ms, business_date, currency, total_minor, tax_minor, tender, tendered_minor, change_minor, lines FROM sales.sale";
const SALE_WHERE: &str = " WHERE ($1::text IS NULL OR branch_id = $1) AND ($2::text IS NULL OR till_id = $2)
    AND ($3::date IS NULL OR business_date >= $3) AND ($4::date IS NULL OR business_date <= $4)";

/// One page of sales, the latest first, and how many there are in all.
///
/// # Errors
/// [`DbError`].
pub async fn sales(
    connection: &mut PgConnection,
    filter: &SaleFilter,
    limit: i64,
    offset: i64,
) -> Result<(Vec<Sale>, i64), DbError> {
    let total =
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM sales.sale {SALE_WHERE}")))
            .bind(&filter.branch)
            .bind(&filter.till)
            .bind(filter.from)
            .bind(filter.to)
            .fetch_one(&mut *connection)
            .await?;
    let rows = latest(connection, filter, limit, offset).await?;
    Ok((rows, total))
}

/// The latest sales, uncounted.
///
/// # Errors
/// [`DbError`].
pub async fn latest(
    connection: &mut PgConnection,
    filter: &SaleFilter,
    limit: i64,
    offset: i64,
) -> Result<Vec<Sale>, DbError> {
    let query = format!("{SALE_COLUMNS} {SALE_WHERE} ORDER BY at_ms DESC, act_id LIMIT $5 OFFSET $6");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(query))
        .bind(&filter.branch)
        .bind(&filter.till)
        .bind(filter.from)
        .bind(filter.to)
        .bind(limit)
        .bind(offset)
        .fetch_all(connection)
        .await?)
}

/// One sale by its act.
///
/// # Errors
/// [`DbError`].
pub async fn sale(connection: &mut PgConnection, act: Uuid) -> Result<Option<Sale>, DbError> {
    let query = format!("{SALE_COLUMNS} WHERE act_id = $1 ORDER BY fact_id LIMIT 1");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(act).fetch_optional(connection).await?)
}

/// A series of receipt numbers that two streams use: a number may be on two receipts.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct SharedSeries {
    /// The branch.
    pub branch_id: String,
    /// The drawer.
    pub till_id: String,
    /// The life of the store that the receipts name.
    pub epoch: i64,
    /// Since when two use it.
    pub at: OffsetDateTime,
}

/// All such series, the latest first.
///
/// # Errors
/// [`DbError`].
pub async fn shared_series(connection: &mut PgConnection) -> Result<Vec<SharedSeries>, DbError> {
    Ok(sqlx::query_as(
        "SELECT branch_id, till_id, epoch, max(since) AS at FROM sales.receipt_series
         GROUP BY branch_id, till_id, epoch HAVING count(*) > 1 ORDER BY at DESC",
    )
    .fetch_all(connection)
    .await?)
}

/// One cash session.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Session {
    /// The branch.
    pub branch_id: String,
    /// The session.
    pub session_id: Uuid,
    /// ISO 4217.
    pub currency: String,
    /// The drawer.
    pub till_id: String,
    /// Counted in at the start, minor units; `None` while its opening has not come.
    pub float_minor: Option<i64>,
    /// By the device's clock.
    pub opened_ms: Option<i64>,
    /// Who opened it.
    pub opened_by: Option<String>,
    /// Day of business.
    pub business_date: Option<Date>,
    /// From sales.
    pub received_minor: i64,
    /// Put in.
    pub paid_in_minor: i64,
    /// Taken out.
    pub paid_out_minor: i64,
    /// How many sales.
    pub sales: i64,
    /// Of the sums, what came after the closing.
    pub late_minor: i64,
    /// How many movements came after the closing.
    pub late_count: i64,
    /// By the person who closed it.
    pub counted_minor: Option<i64>,
    /// What the branch's book expected.
    pub told_expected_minor: Option<i64>,
    /// By the device's clock; `None` while it is open.
    pub closed_ms: Option<i64>,
    /// Who closed it.
    pub closed_by: Option<String>,
}

impl Session {
    /// `open`, `closed`, or `unknown` while its opening has not come.
    pub fn state(&self) -> &'static str {
        match (self.closed_ms, self.opened_ms) {
            (Some(_), _) => "closed",
            (None, Some(_)) => "open",
            (None, None) => "unknown",
        }
    }

    /// What should be in the drawer by the centre's book, adjustments included; `None` while its opening has not come.
    pub fn expected_minor(&self) -> Option<i64> {
        Some(self.float_minor? + self.received_minor + self.paid_in_minor - self.paid_out_minor)
    }

    /// Counted less expected; `None` while it is open.
    pub fn variance_minor(&self) -> Option<i64> {
        Some(self.counted_minor? - self.expected_minor()?)
    }
}

/// The latest sessions, of one branch or of all; open ones first.
///
/// # Errors
/// [`DbError`].
pub async fn sessions(
    connection: &mut PgConnection,
    branch: Option<&str>,
    limit: i64,
    offset: i64,
) -> Result<(Vec<Session>, i64), DbError> {
    let rows = sqlx::query_as(
        "SELECT branch_id, session_id, currency, till_id, float_minor, opened_ms, opened_by, business_date, received_minor,
                paid_in_minor, paid_out_minor, sales, late_minor, late_count, counted_minor, told_expected_minor,
                closed_ms, closed_by
         FROM sales.session WHERE ($1::text IS NULL OR branch_id = $1)
         ORDER BY (closed_ms IS NULL) DESC, opened_ms DESC NULLS FIRST, branch_id, session_id LIMIT $2 OFFSET $3",
    )
    .bind(branch)
    .bind(limit)
    .bind(offset)
    .fetch_all(&mut *connection)
    .await?;
    let total =
        sqlx::query_scalar("SELECT count(*) FROM sales.session WHERE ($1::text IS NULL OR branch_id = $1)")
            .bind(branch)
            .fetch_one(connection)
            .await?;
    Ok((rows, total))
}

/// What a branch sold on a day.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Day {
    /// The branch.
    pub branch_id: String,
    /// Day of business.
    pub business_date: Date,
    /// ISO 4217.
    pub currency: String,
    /// How many sales.
    pub sales: i64,
    /// Tax included, minor units.
    pub gross_minor: i64,
    /// The tax inside.
    pub tax_minor: i64,
}

/// Each branch's latest day of business. No branch of the world is further than a day ahead of the centre: a day beyond
/// tomorrow is a wrong clock's.
///
/// # Errors
/// [`DbError`].
pub async fn latest_days(connection: &mut PgConnection) -> Result<Vec<Day>, DbError> {
    Ok(sqlx::query_as(
        "SELECT DISTINCT ON (branch_id, currency) branch_id, business_date, currency, sales, gross_minor, tax_minor
         FROM sales.day WHERE business_date <= current_date + 1 ORDER BY branch_id, currency, business_date DESC",
    )
    .fetch_all(connection)
    .await?)
}

/// A session or day that is not the sum of its movements or sales: nothing, when all is well.
///
/// # Errors
/// [`DbError`].
pub async fn unequal(connection: &mut PgConnection) -> Result<Vec<(String, String, String)>, DbError> {
    Ok(sqlx::query_as("SELECT what, branch_id, name FROM sales.unequal()").fetch_all(connection).await?)
}
