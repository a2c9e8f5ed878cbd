//! SQL of stock: booking what a transaction of ingest brings, and reading it.

use pestle_domain::ids::{BranchId, ProductId, TenantId};
use sqlx::PgConnection;
use time::Date;

use super::rules::{BookLine, Booked, Change};
use crate::db::DbError;

/// Writes movements, adds to balances, and notes what cannot be right. Inside the transaction that stores the facts.
///
/// # Errors
/// [`DbError`]; nothing of the transaction may be kept then.
pub async fn book(
    connection: &mut PgConnection,
    tenant: &TenantId,
    booked: &Booked<'_>,
) -> Result<(), DbError> {
    if booked.changes.is_empty() {
        return Ok(());
    }
    let rows = &booked.movements;
    sqlx::query(
        "INSERT INTO inventory.movement
             (tenant_id, stream_id, seq, line, branch_id, product_id, lot, expiry, on_hand, kind)
         SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::integer[], $5::text[], $6::text[], $7::text[],
                                  $8::date[], $9::bigint[], $10::text[])",
    )
    .bind(tenant.as_str())
    .bind(&rows.streams)
    .bind(&rows.seqs)
    .bind(&rows.lines)
    .bind(&rows.branches)
    .bind(&rows.products)
    .bind(&rows.lots)
    .bind(&rows.expiries)
    .bind(&rows.on_hands)
    .bind(&rows.kinds)
    .execute(&mut *connection)
    .await?;

    let mut doubts = disagreeing(connection, booked).await?;
    doubts.extend(add_to_balances(connection, tenant, booked).await?);
    note(connection, tenant, &doubts).await
}

struct Doubt<'a> {
    line: BookLine<'a>,
    kind: &'static str,
    on_hand: i64,
    last: (i64, i64),
}

/// Lots that are told a last day of use which is not the one in the book. Few facts tell one.
async fn disagreeing<'a>(
    connection: &mut PgConnection,
    booked: &Booked<'a>,
) -> Result<Vec<Doubt<'a>>, DbError> {
    let told: Vec<(&BookLine<'a>, &Change, Date)> =
        booked.changes.iter().filter_map(|(line, change)| Some((line, change, change.expiry?))).collect();
    if told.is_empty() {
        return Ok(Vec::new());
    }
    let differing: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT told.at, b.on_hand
         FROM unnest($1::text[], $2::text[], $3::text[], $4::date[]) WITH ORDINALITY
              AS told (branch_id, product_id, lot, expiry, at)
         JOIN inventory.balance b USING (branch_id, product_id, lot)
         WHERE b.expiry <> told.expiry",
    )
    .bind(told.iter().map(|(line, ..)| line.branch).collect::<Vec<_>>())
    .bind(told.iter().map(|(line, ..)| line.product).collect::<Vec<_>>())
    .bind(told.iter().map(|(line, ..)| line.lot).collect::<Vec<_>>())
    .bind(told.iter().map(|(.., expiry)| *expiry).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    let doubt = |line: &BookLine<'a>, change: &Change, on_hand: i64| Doubt {
        line: *line,
        kind: "expiry_disagrees",
        on_hand: on_hand.saturating_add(change.on_hand),
        last: change.last,
    };
    let kept = differing.iter().filter_map(|(at, on_hand)| {
        let (line, change, _) = told.get(usize::try_from(*at).ok()?.checked_sub(1)?)?;
        Some(doubt(line, change, *on_hand))
    });
    let within = told
        .iter()
        .filter(|(_, change, _)| change.expiries_differ)
        .map(|(line, change, _)| doubt(line, change, 0));
    Ok(kept.chain(within).collect())
}

/// Adds the changes, and returns the lines that went below zero.
async fn add_to_balances<'a>(
    connection: &mut PgConnection,
    tenant: &TenantId,
    booked: &Booked<'a>,
) -> Result<Vec<Doubt<'a>>, DbError> {
    let (lines, changes): (Vec<&BookLine<'a>>, Vec<&Change>) = booked.changes.iter().unzip();
    let negative: Vec<(String, String, String, i64)> = sqlx::query_as(
        "WITH written AS (
             INSERT INTO inventory.balance AS b (tenant_id, branch_id, product_id, lot, expiry, on_hand)
             SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::date[], $6::bigint[])
             ON CONFLICT (tenant_id, branch_id, product_id, lot) DO UPDATE
                SET on_hand = b.on_hand + excluded.on_hand,
                    expiry = least(b.expiry, excluded.expiry),
                    changed_at = now()
             RETURNING b.branch_id, b.product_id, b.lot, b.on_hand
         )
         SELECT * FROM written WHERE on_hand < 0",
    )
    .bind(tenant.as_str())
    .bind(lines.iter().map(|line| line.branch).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.product).collect::<Vec<_>>())
    .bind(lines.iter().map(|line| line.lot).collect::<Vec<_>>())
    .bind(changes.iter().map(|change| change.expiry).collect::<Vec<_>>())
    .bind(changes.iter().map(|change| change.on_hand).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    let below = negative.iter().filter_map(|(branch, product, lot, on_hand)| {
        let (line, change) = booked
            .changes
            .iter()
            .find(|(line, _)| line.product == product && line.lot == lot && line.branch == branch)?;
        change.left.then_some(Doubt { line: *line, kind: "below_zero", on_hand: *on_hand, last: change.last })
    });
    Ok(below.collect())
}

async fn note(connection: &mut PgConnection, tenant: &TenantId, doubts: &[Doubt<'_>]) -> Result<(), DbError> {
    if doubts.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO inventory.discrepancy (tenant_id, branch_id, product_id, lot, kind, on_hand, stream_id, seq)
         SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[])",
    )
    .bind(tenant.as_str())
    .bind(doubts.iter().map(|doubt| doubt.line.branch).collect::<Vec<_>>())
    .bind(doubts.iter().map(|doubt| doubt.line.product).collect::<Vec<_>>())
    .bind(doubts.iter().map(|doubt| doubt.line.lot).collect::<Vec<_>>())
    .bind(doubts.iter().map(|doubt| doubt.kind).collect::<Vec<_>>())
    .bind(doubts.iter().map(|doubt| doubt.on_hand).collect::<Vec<_>>())
    .bind(doubts.iter().map(|doubt| doubt.last.0).collect::<Vec<_>>())
    .bind(doubts.iter().map(|doubt| doubt.last.1).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// One lot at one place, with the article's name.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct LotRow {
    /// The branch.
    pub branch_id: String,
    /// Its name, or its id where it has none.
    pub branch_name: String,
    /// The article.
    pub product_id: String,
    /// Its name, or its id where the catalogue does not know it.
    pub product_name: String,
    /// The lot; empty where nobody knows it.
    pub lot: String,
    /// Last day of use.
    pub expiry: Option<Date>,
    /// Packs; below zero where the book is wrong.
    pub on_hand: i64,
}

/// Which lots are asked for.
#[derive(Debug, Clone, Default)]
pub struct StockFilter {
    /// Of one branch.
    pub branch: Option<String>,
    /// Of one article.
    pub product: Option<String>,
    /// Of the article with this GTIN-14.
    pub gtin: Option<String>,
    /// Words of the article's name, or a part of its id, GTIN or lot.
    pub search: Option<String>,
    /// Lowest quantity first, instead of by branch and name.
    pub lowest_first: bool,
}

const LOTS_FROM: &str = " FROM inventory.balance b
    LEFT JOIN catalogue.product p ON p.tenant_id = b.tenant_id AND p.product_id = b.product_id
    LEFT JOIN tenancy.branch n ON n.tenant_id = b.tenant_id AND n.branch_id = b.branch_id
    WHERE ($1::text IS NULL OR b.branch_id = $1)
      AND ($2::text IS NULL OR b.product_id = $2)
      AND ($3::text IS NULL OR b.product_id IN (SELECT k.product_id FROM catalogue.pack k WHERE k.gtin = $3))
      AND ($4::text IS NULL OR p.name ILIKE $4 OR b.product_id ILIKE $4 OR b.lot ILIKE $4
           OR EXISTS (SELECT FROM catalogue.pack k WHERE k.product_id = b.product_id AND k.gtin LIKE $4))";

/// One page of lots, and how many there are in all.
///
/// # Errors
/// [`DbError`].
pub async fn lots(
    connection: &mut PgConnection,
    filter: &StockFilter,
    limit: i64,
    offset: i64,
) -> Result<(Vec<LotRow>, i64), DbError> {
    let pattern = filter.search.as_deref().map(like_pattern);
    let order = if filter.lowest_first {
        "b.on_hand, b.branch_id, b.product_id, b.lot"
    } else {
        "b.branch_id, product_name, b.product_id, b.expiry, b.lot"
    };
    let select = format!(
        "SELECT b.branch_id, coalesce(n.name, b.branch_id) AS branch_name, b.product_id,
                coalesce(p.name, b.product_id) AS product_name, b.lot, b.expiry, b.on_hand
         {LOTS_FROM} ORDER BY {order} LIMIT $5 OFFSET $6"
    );
    let rows = sqlx::query_as(sqlx::AssertSqlSafe(select))
        .bind(&filter.branch)
        .bind(&filter.product)
        .bind(&filter.gtin)
        .bind(&pattern)
        .bind(limit)
        .bind(offset)
        .fetch_all(&mut *connection)
        .await?;
    let total = sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) {LOTS_FROM}")))
        .bind(&filter.branch)
        .bind(&filter.product)
        .bind(&filter.gtin)
        .bind(&pattern)
        .fetch_one(connection)
        .await?;
    Ok((rows, total))
}

/// `%text%`, with LIKE's own characters taken literally.
fn like_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for character in text.trim().chars() {
        if matches!(character, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push('%');
    pattern
}

/// All lots of one article in one branch, earliest last day first, and the article's name if the catalogue knows it.
///
/// # Errors
/// [`DbError`].
pub async fn of_product(
    connection: &mut PgConnection,
    branch: &BranchId,
    product: &ProductId,
) -> Result<(Option<String>, Vec<LotRow>), DbError> {
    let name: Option<String> = sqlx::query_scalar("SELECT name FROM catalogue.product WHERE product_id = $1")
        .bind(product.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    let rows = sqlx::query_as(
        "SELECT b.branch_id, b.branch_id AS branch_name, b.product_id, b.product_id AS product_name,
                b.lot, b.expiry, b.on_hand
         FROM inventory.balance b WHERE b.branch_id = $1 AND b.product_id = $2 ORDER BY b.expiry, b.lot",
    )
    .bind(branch.as_str())
    .bind(product.as_str())
    .fetch_all(connection)
    .await?;
    Ok((name, rows))
}

/// One book line that is not the sum of its movements.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Unequal {
    /// The branch.
    pub branch_id: String,
    /// The article.
    pub product_id: String,
    /// The lot, or empty.
    pub lot: String,
    /// What the balance says; `None` where there is none.
    pub balance: Option<i64>,
    /// What the movements give.
    pub movements: Option<i64>,
}

/// Every balance that is not the sum of its movements: nothing, when all is well.
///
/// # Errors
/// [`DbError`].
pub async fn unequal(connection: &mut PgConnection) -> Result<Vec<Unequal>, DbError> {
    Ok(sqlx::query_as("SELECT * FROM inventory.unequal()").fetch_all(connection).await?)
}

/// A place where the book cannot be right.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct DiscrepancyRow {
    /// The branch.
    pub branch_id: String,
    /// The article.
    pub product_id: String,
    /// The lot, or empty.
    pub lot: String,
    /// `below_zero` or `expiry_disagrees`.
    pub kind: String,
    /// What the book said then.
    pub on_hand: i64,
    /// When the centre saw it.
    pub at: time::OffsetDateTime,
}

/// How many lots the books have below zero.
///
/// # Errors
/// [`DbError`].
pub async fn below_zero(connection: &mut PgConnection) -> Result<i64, DbError> {
    let count = sqlx::query_scalar("SELECT count(*) FROM inventory.balance WHERE on_hand < 0");
    Ok(count.fetch_one(connection).await?)
}

/// The latest discrepancies.
///
/// # Errors
/// [`DbError`].
pub async fn discrepancies(
    connection: &mut PgConnection,
    limit: i64,
) -> Result<Vec<DiscrepancyRow>, DbError> {
    let query = "SELECT branch_id, product_id, lot, kind, on_hand, at
                 FROM inventory.discrepancy ORDER BY discrepancy_id DESC LIMIT $1";
    Ok(sqlx::query_as(query).bind(limit).fetch_all(connection).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_searches_is_taken_literally() {
        assert_eq!(like_pattern(" 50% off_ "), "%50\\% off\\_%");
    }
}
