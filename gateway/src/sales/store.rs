//! SQL of sales and tills: booking what a transaction of ingest brings, and [reading](read) it.

pub mod read;

use std::collections::{BTreeSet, HashSet};

use pestle_domain::ids::TenantId;
use sqlx::PgConnection;
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

/// Writes sales and movements, and adds to sessions and days. Inside the transaction that stores the facts.
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
        note_series(connection, tenant, &takings.sales).await?;
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
              wall_ms, business_date, currency, total_minor, tax_minor, tender, tendered_minor, change_minor, lines,
              at_ms)
         SELECT $1, new.*, least(new.wall_ms, (extract(epoch FROM now()) * 1000)::bigint) FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::bigint[],
              $9::bigint[], $10::text[], $11::bigint[], $12::date[], $13::text[], $14::bigint[], $15::bigint[],
              $16::text[], $17::bigint[], $18::bigint[], $19::integer[])
              AS new (act_id, fact_id, branch_id, device_id, till_id, session_id, receipt_epoch, receipt_number, actor,
                      wall_ms, business_date, currency, total_minor, tax_minor, tender, tendered_minor, change_minor, lines)",
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

/// Notes which streams number receipts of which till and epoch.
async fn note_series(
    connection: &mut PgConnection,
    tenant: &TenantId,
    sales: &[SaleRow<'_>],
) -> Result<(), DbError> {
    let series: BTreeSet<(&str, &str, i64, i64)> = sales
        .iter()
        .map(|row| {
            let receipt = &row.sale.receipt;
            (row.at.place.branch, receipt.till.as_str(), i64::from(receipt.epoch), row.at.place.stream)
        })
        .collect();
    let series: Vec<_> = series.into_iter().collect();
    sqlx::query(
        "INSERT INTO sales.receipt_series (tenant_id, branch_id, till_id, epoch, stream_id)
         SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[])
         ON CONFLICT DO NOTHING",
    )
    .bind(tenant.as_str())
    .bind(column(&series, |row| row.0))
    .bind(column(&series, |row| row.1))
    .bind(column(&series, |row| row.2))
    .bind(column(&series, |row| row.3))
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
