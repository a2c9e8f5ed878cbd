//! SQL of sales and tills: booking what a transaction of ingest brings, and reading it.

use std::collections::HashSet;

use pestle_domain::ids::TenantId;
use sqlx::PgConnection;
use time::Date;
use uuid::Uuid;

use super::rules::{SaleRow, SessionChange, SessionKey, Takings};
use crate::db::DbError;

/// Which of `sessions` (branch, session) are closed already.
///
/// # Errors
/// [`DbError`].
pub async fn closed_sessions(
    connection: &mut PgConnection,
    sessions: &HashSet<(&str, Uuid)>,
) -> Result<HashSet<(String, Uuid)>, DbError> {
    if sessions.is_empty() {
        return Ok(HashSet::new());
    }
    let (branches, ids): (Vec<&str>, Vec<Uuid>) = sessions.iter().copied().unzip();
    let rows: Vec<(String, Uuid)> = sqlx::query_as(
        "SELECT branch_id, session_id FROM sales.session
         JOIN unnest($1::text[], $2::uuid[]) AS asked (branch_id, session_id) USING (branch_id, session_id)
         WHERE closed_ms IS NOT NULL",
    )
    .bind(branches)
    .bind(ids)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Writes sales, lines and movements, and adds to sessions and days. Inside the transaction that stores the facts.
///
/// # Errors
/// [`DbError`]; nothing of the transaction may be kept then.
pub async fn book(
    connection: &mut PgConnection,
    tenant: &TenantId,
    takings: &Takings<'_>,
) -> Result<(), DbError> {
    if !takings.sales.is_empty() {
        insert_sales(connection, tenant, &takings.sales).await?;
        insert_lines(connection, tenant, &takings.sales).await?;
        add_to_days(connection, tenant, takings).await?;
    }
    if !takings.movements.is_empty() {
        insert_movements(connection, tenant, takings).await?;
    }
    if !takings.sessions.is_empty() {
        add_to_sessions(connection, tenant, takings).await?;
    }
    Ok(())
}

fn column<'r, R, T>(rows: &'r [R], value: impl Fn(&'r R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

async fn insert_sales(
    connection: &mut PgConnection,
    tenant: &TenantId,
    sales: &[SaleRow<'_>],
) -> Result<(), DbError> {
    sqlx::query(
        "INSERT INTO sales.sale
             (tenant_id, act_id, fact_id, branch_id, device_id, till_id, session_id, receipt_epoch, receipt_number, actor,
              wall_ms, business_date, currency, total_minor, tax_minor, tender, tendered_minor, change_minor, lines)
         SELECT $1, * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::bigint[],
              $9::bigint[], $10::text[], $11::bigint[], $12::date[], $13::text[], $14::bigint[], $15::bigint[],
              $16::text[], $17::bigint[], $18::bigint[], $19::integer[])",
    )
    .bind(tenant.as_str())
    .bind(column(sales, |row| row.at.act))
    .bind(column(sales, |row| row.at.fact))
    .bind(column(sales, |row| row.at.place.branch))
    .bind(column(sales, |row| row.at.device))
    .bind(column(sales, |row| row.sale.till.as_str()))
    .bind(column(sales, |row| row.sale.session.0))
    .bind(column(sales, |row| i64::from(row.sale.receipt.epoch)))
    .bind(column(sales, |row| i64::try_from(row.sale.receipt.number).unwrap_or(i64::MAX)))
    .bind(column(sales, |row| row.at.actor))
    .bind(column(sales, |row| row.at.wall_ms))
    .bind(column(sales, |row| row.at.day))
    .bind(column(sales, |row| row.sale.total.currency.code()))
    .bind(column(sales, |row| row.sale.total.minor))
    .bind(column(sales, |row| row.tax_minor))
    .bind(column(sales, |row| match row.sale.tender {
        pestle_domain::fact::Tender::Cash => "cash",
    }))
    .bind(column(sales, |row| row.sale.tendered.minor))
    .bind(column(sales, |row| row.sale.change.minor))
    .bind(column(sales, |row| i32::try_from(row.sale.lines.len()).unwrap_or(i32::MAX)))
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_lines(
    connection: &mut PgConnection,
    tenant: &TenantId,
    sales: &[SaleRow<'_>],
) -> Result<(), DbError> {
    let lines: Vec<_> = sales
        .iter()
        .flat_map(|row| (0i32..).zip(&row.sale.lines).map(|(index, line)| (row.at.fact, index, line)))
        .collect();
    sqlx::query(
        "INSERT INTO sales.sale_line
             (tenant_id, fact_id, line, product_id, gtin, name, quantity, unit_minor, amount_minor, tax_rate)
         SELECT $1, * FROM unnest($2::uuid[], $3::integer[], $4::text[], $5::text[], $6::text[], $7::bigint[],
              $8::bigint[], $9::bigint[], $10::bigint[])",
    )
    .bind(tenant.as_str())
    .bind(column(&lines, |(fact, ..)| *fact))
    .bind(column(&lines, |(_, index, _)| *index))
    .bind(column(&lines, |(.., line)| line.product.as_str()))
    .bind(column(&lines, |(.., line)| line.gtin.to_string()))
    .bind(column(&lines, |(.., line)| &*line.name))
    .bind(column(&lines, |(.., line)| line.quantity.0))
    .bind(column(&lines, |(.., line)| line.unit_price.minor))
    .bind(column(&lines, |(.., line)| line.amount.minor))
    .bind(column(&lines, |(.., line)| i64::from(line.tax.0)))
    .execute(connection)
    .await?;
    Ok(())
}

async fn insert_movements(
    connection: &mut PgConnection,
    tenant: &TenantId,
    takings: &Takings<'_>,
) -> Result<(), DbError> {
    let rows = &takings.movements;
    sqlx::query(
        "INSERT INTO sales.till_movement
             (tenant_id, stream_id, seq, branch_id, till_id, session_id, kind, amount_minor, currency, wall_ms, reason, late)
         SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::uuid[], $7::text[],
              $8::bigint[], $9::text[], $10::bigint[], $11::text[], $12::boolean[])",
    )
    .bind(tenant.as_str())
    .bind(column(rows, |row| row.at.place.stream))
    .bind(column(rows, |row| row.at.place.seq))
    .bind(column(rows, |row| row.at.place.branch))
    .bind(column(rows, |row| row.till))
    .bind(column(rows, |row| row.session))
    .bind(column(rows, |row| row.kind))
    .bind(column(rows, |row| row.amount.minor))
    .bind(column(rows, |row| row.amount.currency.code()))
    .bind(column(rows, |row| row.at.wall_ms))
    .bind(column(rows, |row| row.reason))
    .bind(column(rows, |row| row.late))
    .execute(connection)
    .await?;
    Ok(())
}

async fn add_to_days(
    connection: &mut PgConnection,
    tenant: &TenantId,
    takings: &Takings<'_>,
) -> Result<(), DbError> {
    let days: Vec<_> = takings.days.iter().collect();
    sqlx::query(
        "INSERT INTO sales.day AS d (tenant_id, branch_id, business_date, currency, sales, gross_minor, tax_minor)
         SELECT $1, * FROM unnest($2::text[], $3::date[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[])
         ON CONFLICT (tenant_id, branch_id, business_date, currency) DO UPDATE
            SET sales = d.sales + excluded.sales,
                gross_minor = d.gross_minor + excluded.gross_minor,
                tax_minor = d.tax_minor + excluded.tax_minor",
    )
    .bind(tenant.as_str())
    .bind(column(&days, |(key, _)| key.0))
    .bind(column(&days, |(key, _)| key.1))
    .bind(column(&days, |(key, _)| key.2))
    .bind(column(&days, |(_, change)| change.sales))
    .bind(column(&days, |(_, change)| change.gross_minor))
    .bind(column(&days, |(_, change)| change.tax_minor))
    .execute(connection)
    .await?;
    Ok(())
}

/// What was opened or closed first stays; sums are added.
async fn add_to_sessions(
    connection: &mut PgConnection,
    tenant: &TenantId,
    takings: &Takings<'_>,
) -> Result<(), DbError> {
    let sessions: Vec<(&SessionKey<'_>, &SessionChange<'_>)> = takings.sessions.iter().collect();
    sqlx::query(
        "INSERT INTO sales.session AS s
             (tenant_id, branch_id, session_id, currency, till_id, device_id, float_minor, opened_ms, opened_by, business_date,
              received_minor, paid_in_minor, paid_out_minor, sales, late_minor, late_count,
              counted_minor, told_expected_minor, told_variance_minor, told_sales, closed_ms, closed_by)
         SELECT $1, * FROM unnest($2::text[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[],
              $9::text[], $10::date[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[], $16::bigint[],
              $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[], $21::bigint[], $22::text[])
         ON CONFLICT (tenant_id, branch_id, session_id, currency) DO UPDATE
            SET float_minor = coalesce(s.float_minor, excluded.float_minor),
                opened_ms = coalesce(s.opened_ms, excluded.opened_ms),
                opened_by = coalesce(s.opened_by, excluded.opened_by),
                business_date = coalesce(s.business_date, excluded.business_date),
                received_minor = s.received_minor + excluded.received_minor,
                paid_in_minor = s.paid_in_minor + excluded.paid_in_minor,
                paid_out_minor = s.paid_out_minor + excluded.paid_out_minor,
                sales = s.sales + excluded.sales,
                late_minor = s.late_minor + excluded.late_minor,
                late_count = s.late_count + excluded.late_count,
                counted_minor = coalesce(s.counted_minor, excluded.counted_minor),
                told_expected_minor = coalesce(s.told_expected_minor, excluded.told_expected_minor),
                told_variance_minor = coalesce(s.told_variance_minor, excluded.told_variance_minor),
                told_sales = coalesce(s.told_sales, excluded.told_sales),
                closed_ms = coalesce(s.closed_ms, excluded.closed_ms),
                closed_by = coalesce(s.closed_by, excluded.closed_by)",
    )
    .bind(tenant.as_str())
    .bind(column(&sessions, |(key, _)| key.branch))
    .bind(column(&sessions, |(key, _)| key.session))
    .bind(column(&sessions, |(key, _)| key.currency))
    .bind(column(&sessions, |(_, change)| change.till))
    .bind(column(&sessions, |(_, change)| change.device))
    .bind(column(&sessions, |(_, change)| change.opening.map(|opening| opening.float_minor)))
    .bind(column(&sessions, |(_, change)| change.opening.map(|opening| opening.wall_ms)))
    .bind(column(&sessions, |(_, change)| change.opening.map(|opening| opening.actor)))
    .bind(column(&sessions, |(_, change)| change.opening.map(|opening| opening.day)))
    .bind(column(&sessions, |(_, change)| change.received_minor))
    .bind(column(&sessions, |(_, change)| change.paid_in_minor))
    .bind(column(&sessions, |(_, change)| change.paid_out_minor))
    .bind(column(&sessions, |(_, change)| change.sales))
    .bind(column(&sessions, |(_, change)| change.late_minor))
    .bind(column(&sessions, |(_, change)| change.late_count))
    .bind(column(&sessions, |(_, change)| change.closing.map(|closing| closing.counted_minor)))
    .bind(column(&sessions, |(_, change)| change.closing.map(|closing| closing.expected_minor)))
    .bind(column(&sessions, |(_, change)| change.closing.map(|closing| closing.variance_minor)))
    .bind(column(&sessions, |(_, change)| change.closing.map(|closing| closing.sales)))
    .bind(column(&sessions, |(_, change)| change.closing.map(|closing| closing.wall_ms)))
    .bind(column(&sessions, |(_, change)| change.closing.map(|closing| closing.actor)))
    .execute(connection)
    .await?;
    Ok(())
}

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

/// One line of a sale.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct SaleLineRow {
    /// The article.
    pub product_id: String,
    /// GTIN-14.
    pub gtin: String,
    /// As it was printed.
    pub name: String,
    /// Packs.
    pub quantity: i64,
    /// Of one pack, minor units.
    pub unit_minor: i64,
    /// Of the line.
    pub amount_minor: i64,
    /// In hundredths of a per cent.
    pub tax_rate: i64,
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
    let query = format!("{SALE_COLUMNS} {SALE_WHERE} ORDER BY wall_ms DESC, act_id LIMIT $5 OFFSET $6");
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

/// One sale by its act, with its lines.
///
/// # Errors
/// [`DbError`].
pub async fn sale(
    connection: &mut PgConnection,
    act: Uuid,
) -> Result<Option<(Sale, Vec<SaleLineRow>)>, DbError> {
    let found: Option<Sale> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
        "{SALE_COLUMNS} WHERE act_id = $1 ORDER BY fact_id LIMIT 1"
    )))
    .bind(act)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(sale) = found else { return Ok(None) };
    let lines = sqlx::query_as(
        "SELECT product_id, gtin, name, quantity, unit_minor, amount_minor, tax_rate
         FROM sales.sale_line WHERE fact_id = $1 ORDER BY line",
    )
    .bind(sale.fact_id)
    .fetch_all(connection)
    .await?;
    Ok(Some((sale, lines)))
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

/// Each branch's latest day of business.
///
/// # Errors
/// [`DbError`].
pub async fn latest_days(connection: &mut PgConnection) -> Result<Vec<Day>, DbError> {
    Ok(sqlx::query_as(
        "SELECT DISTINCT ON (branch_id, currency) branch_id, business_date, currency, sales, gross_minor, tax_minor
         FROM sales.day ORDER BY branch_id, currency, business_date DESC",
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
