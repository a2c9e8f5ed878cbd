//! SQL of articles, in the schema `catalogue`.

use std::collections::HashMap;

use pestle_domain::{
    catalogue::Product,
    gs1::Gtin,
    ids::{ProductId, TenantId},
    money::{BasisPoints, Money},
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    db::{DbError, Tx},
    http::envelope::PageRequest,
    tenancy::store::raise_revision,
};

/// Articles per statement of an import: PostgreSQL takes arrays, so one statement carries them all.
const IMPORT_CHUNK: usize = 5_000;

#[derive(sqlx::FromRow)]
struct Row {
    product_id: String,
    name: String,
    price_minor: i64,
    currency: String,
    tax_basis_points: i32,
    supply: String,
    storage: String,
    gtins: Vec<String>,
}

const COLUMNS: &str =
    "p.product_id, p.name, p.price_minor, p.currency, p.tax_basis_points, p.supply, p.storage,
    (SELECT coalesce(array_agg(k.gtin ORDER BY k.gtin), '{}') FROM catalogue.pack k
      WHERE k.tenant_id = p.tenant_id AND k.product_id = p.product_id) AS gtins";

impl TryFrom<Row> for Product {
    type Error = DbError;
    fn try_from(row: Row) -> Result<Self, DbError> {
        let currency = row.currency.parse().map_err(|_| DbError::bad_row("currency", &row.currency))?;
        let gtin =
            |text: &String| Gtin::from_digits(text.as_bytes()).map_err(|_| DbError::bad_row("GTIN", text));
        Ok(Self {
            id: row.product_id.parse().map_err(|_| DbError::bad_row("product", &row.product_id))?,
            gtins: row.gtins.iter().map(gtin).collect::<Result<_, _>>()?,
            name: row.name.into(),
            price: Money::new(row.price_minor, currency),
            tax: BasisPoints(
                u32::try_from(row.tax_basis_points)
                    .map_err(|_| DbError::bad_row("tax rate", row.tax_basis_points.to_string()))?,
            ),
            supply: from_word("supply", &row.supply)?,
            storage: from_word("storage", &row.storage)?,
        })
    }
}

/// The domain's word for a value, as JSON spells it.
fn to_word(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn from_word<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, DbError> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|_| DbError::bad_row(what, text))
}

/// All articles, by number.
///
/// # Errors
/// [`DbError`].
pub async fn all(tx: &mut Tx) -> Result<Vec<Product>, DbError> {
    let sql = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM catalogue.product p ORDER BY p.product_id"));
    let rows: Vec<Row> = sqlx::query_as(sql).fetch_all(&mut **tx).await?;
    rows.into_iter().map(Product::try_from).collect()
}

/// One article.
///
/// # Errors
/// [`DbError`].
pub async fn get(tx: &mut Tx, id: &ProductId) -> Result<Option<Product>, DbError> {
    let sql =
        sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM catalogue.product p WHERE p.product_id = $1"));
    let row: Option<Row> = sqlx::query_as(sql).bind(id.as_str()).fetch_optional(&mut **tx).await?;
    row.map(Product::try_from).transpose()
}

/// A page of the articles whose name has every word of `words`, or that have `gtin`; with the number of all of them.
///
/// # Errors
/// [`DbError`].
pub async fn search(
    tx: &mut Tx,
    words: &[String],
    gtin: Option<Gtin>,
    page: PageRequest,
) -> Result<(Vec<Product>, u64), DbError> {
    let patterns: Vec<String> = words.iter().map(|word| format!("%{}%", escape_like(word))).collect();
    let filter = "(SELECT bool_and(p.name ILIKE word) FROM unnest($1::text[]) AS word) IS NOT FALSE
        AND ($2::text IS NULL OR EXISTS (SELECT FROM catalogue.pack k
             WHERE k.tenant_id = p.tenant_id AND k.product_id = p.product_id AND k.gtin = $2))";
    let gtin = gtin.map(|gtin| gtin.to_string());
    let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM catalogue.product p WHERE {filter}"));
    let total: i64 = sqlx::query_scalar(count).bind(&patterns).bind(&gtin).fetch_one(&mut **tx).await?;
    let select = sqlx::AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM catalogue.product p WHERE {filter} ORDER BY p.name, p.product_id LIMIT $3 OFFSET $4"
    ));
    let rows: Vec<Row> = sqlx::query_as(select)
        .bind(&patterns)
        .bind(&gtin)
        .bind(page.limit())
        .bind(page.offset())
        .fetch_all(&mut **tx)
        .await?;
    let found = rows.into_iter().map(Product::try_from).collect::<Result<_, _>>()?;
    Ok((found, total.unsigned_abs()))
}

fn escape_like(word: &str) -> String {
    word.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}

/// Adds or replaces articles with their pack numbers, and raises the revision. Articles that are not named stay.
///
/// # Errors
/// [`DbError`]; [`DbError::is_duplicate`] when a pack number belongs to an article that is not named.
pub async fn put(tx: &mut Tx, tenant: &TenantId, products: &[Product]) -> Result<(), DbError> {
    for chunk in products.chunks(IMPORT_CHUNK) {
        put_chunk(tx, tenant, chunk).await?;
    }
    raise_revision(tx).await
}

async fn put_chunk(tx: &mut Tx, tenant: &TenantId, products: &[Product]) -> Result<(), DbError> {
    let column = |of: fn(&Product) -> String| products.iter().map(of).collect::<Vec<_>>();
    let ids = column(|product| product.id.to_string());
    let taxes: Vec<i32> =
        products.iter().map(|product| i32::try_from(product.tax.0).unwrap_or(i32::MAX)).collect();
    sqlx::query(
        "INSERT INTO catalogue.product AS p (tenant_id, product_id, name, price_minor, currency, tax_basis_points, supply, storage)
         SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::text[], $6::int[], $7::text[], $8::text[])
         ON CONFLICT (tenant_id, product_id) DO UPDATE
            SET name = excluded.name, price_minor = excluded.price_minor, currency = excluded.currency,
                tax_basis_points = excluded.tax_basis_points, supply = excluded.supply, storage = excluded.storage,
                changed_at = now()",
    )
    .bind(tenant.as_str())
    .bind(&ids)
    .bind(column(|product| product.name.to_string()))
    .bind(products.iter().map(|product| product.price.minor).collect::<Vec<_>>())
    .bind(column(|product| product.price.currency.code().to_owned()))
    .bind(taxes)
    .bind(column(|product| to_word(&product.supply)))
    .bind(column(|product| to_word(&product.storage)))
    .execute(&mut **tx)
    .await?;
    sqlx::query("DELETE FROM catalogue.pack WHERE product_id = ANY($1)")
        .bind(&ids)
        .execute(&mut **tx)
        .await?;
    let packs = products
        .iter()
        .flat_map(|product| product.gtins.iter().map(|gtin| (gtin.to_string(), product.id.to_string())));
    let (gtins, owners): (Vec<_>, Vec<_>) = packs.unzip();
    sqlx::query(
        "INSERT INTO catalogue.pack (tenant_id, gtin, product_id) SELECT $1, * FROM unnest($2::text[], $3::text[])",
    )
    .bind(tenant.as_str())
    .bind(gtins)
    .bind(owners)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The first of these articles that there is not.
///
/// # Errors
/// [`DbError`].
pub async fn unknown(tx: &mut Tx, ids: &[&ProductId]) -> Result<Option<String>, DbError> {
    let names: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    Ok(sqlx::query_scalar(
        "SELECT asked.id FROM unnest($1::text[]) WITH ORDINALITY AS asked (id, at)
         WHERE NOT EXISTS (SELECT FROM catalogue.product p WHERE p.product_id = asked.id) ORDER BY asked.at LIMIT 1",
    )
    .bind(names)
    .fetch_optional(&mut **tx)
    .await?)
}

/// Names of articles, for lists of other modules.
///
/// # Errors
/// [`DbError`].
pub async fn names(tx: &mut Tx) -> Result<HashMap<String, String>, DbError> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT product_id, name FROM catalogue.product").fetch_all(&mut **tx).await?;
    Ok(rows.into_iter().collect())
}
