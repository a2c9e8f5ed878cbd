//! SQL of recalls, in the schema `catalogue`. A recall that was lifted stays as a row: a list that is imported again says
//! nothing new of it.

use pestle_domain::{
    catalogue::Recall,
    ids::{BranchId, TenantId},
    order::RecallLifted,
    units::Day,
};
use uuid::Uuid;

use crate::{
    db::{DbError, Tx},
    tenancy::store::raise_revision,
};

/// All recalls in force in a branch.
///
/// # Errors
/// [`DbError`].
pub async fn in_force(tx: &mut Tx, branch: &BranchId) -> Result<Vec<Recall>, DbError> {
    let rows: Vec<(String, String, Option<String>, String, time::Date)> = sqlx::query_as(
        "SELECT reference, product_id, lot, reason, issued FROM catalogue.recall r
         WHERE catalogue.holds_in(r, $1) ORDER BY issued, reference, product_id, lot",
    )
    .bind(branch.as_str())
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|(reference, product, lot, reason, issued)| {
            Ok(Recall {
                reference: reference.into(),
                product: product.parse().map_err(|_| DbError::bad_row("product", product))?,
                lot: lot.map(String::into_boxed_str),
                reason: reason.into(),
                issued: Day(issued),
            })
        })
        .collect()
}

/// The columns that name recalls, for `unnest`.
struct Names<'a> {
    references: Vec<&'a str>,
    products: Vec<&'a str>,
    lots: Vec<Option<&'a str>>,
}

impl<'a> Names<'a> {
    fn of(recalls: &'a [Recall]) -> Self {
        Self {
            references: recalls.iter().map(|recall| &*recall.reference).collect(),
            products: recalls.iter().map(|recall| recall.product.as_str()).collect(),
            lots: recalls.iter().map(|recall| recall.lot.as_deref()).collect(),
        }
    }
}

/// Adds recalls, no two of one name, for some branches or for all, and raises the revision. One that is there holds for these
/// branches too; one that was lifted holds for these alone.
///
/// # Errors
/// [`DbError`].
pub async fn add(
    tx: &mut Tx,
    tenant: &TenantId,
    recalls: &[Recall],
    branches: Option<&[BranchId]>,
) -> Result<(), DbError> {
    let Names { references, products, lots } = Names::of(recalls);
    sqlx::query(
        "INSERT INTO catalogue.recall AS r (tenant_id, recall_id, reference, product_id, lot, reason, issued, branches)
         SELECT $1, new.recall_id, new.reference, new.product_id, new.lot, new.reason, new.issued, $8
         FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::date[])
              AS new (recall_id, reference, product_id, lot, reason, issued)
         ON CONFLICT (tenant_id, reference, product_id, lot) DO UPDATE
            SET (branches, lifted_in, lifted_at, reason, issued) = (
                SELECT CASE WHEN again THEN excluded.branches
                            WHEN r.branches IS NULL OR excluded.branches IS NULL THEN NULL
                            ELSE (SELECT array_agg(DISTINCT one) FROM unnest(r.branches || excluded.branches) AS one) END,
                       CASE WHEN again OR excluded.branches IS NULL THEN '{}'
                            ELSE (SELECT coalesce(array_agg(one), '{}') FROM unnest(r.lifted_in) AS one
                                  WHERE one <> ALL (excluded.branches)) END,
                       NULL::timestamptz,
                       CASE WHEN again THEN excluded.reason ELSE r.reason END,
                       CASE WHEN again THEN excluded.issued ELSE r.issued END
                FROM (VALUES (r.lifted_at IS NOT NULL)) AS lifted (again))",
    )
    .bind(tenant.as_str())
    .bind(recalls.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
    .bind(references)
    .bind(products)
    .bind(lots)
    .bind(recalls.iter().map(|recall| &*recall.reason).collect::<Vec<_>>())
    .bind(recalls.iter().map(|recall| recall.issued.0).collect::<Vec<_>>())
    .bind(branches.map(names_of))
    .execute(&mut **tx)
    .await?;
    raise_revision(tx).await
}

/// How a recall stands that a list names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// There is none, or for some branches alone.
    New,
    /// It holds for all branches.
    Holds,
    /// It was lifted, in some branch at least.
    Lifted,
}

/// How recalls stand, in their order.
///
/// # Errors
/// [`DbError`].
pub async fn standings(tx: &mut Tx, recalls: &[Recall]) -> Result<Vec<Standing>, DbError> {
    let Names { references, products, lots } = Names::of(recalls);
    let rows: Vec<(bool, bool)> = sqlx::query_as(
        "SELECT coalesce(r.lifted_at IS NOT NULL OR r.lifted_in <> '{}', false),
                r.recall_id IS NOT NULL AND r.branches IS NULL
         FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS asked (reference, product_id, lot, at)
         LEFT JOIN catalogue.recall r
           ON (r.reference, r.product_id) = (asked.reference, asked.product_id) AND r.lot IS NOT DISTINCT FROM asked.lot
         ORDER BY asked.at",
    )
    .bind(references)
    .bind(products)
    .bind(lots)
    .fetch_all(&mut **tx)
    .await?;
    let standing = |(lifted, for_all)| match (lifted, for_all) {
        (true, _) => Standing::Lifted,
        (false, true) => Standing::Holds,
        (false, false) => Standing::New,
    };
    Ok(rows.into_iter().map(standing).collect())
}

/// Ends a recall, for some branches or for all, and raises the revision. False when no such recall is in force in any of
/// them.
///
/// # Errors
/// [`DbError`].
pub async fn lift(
    tx: &mut Tx,
    lifted: &RecallLifted,
    branches: Option<&[BranchId]>,
) -> Result<bool, DbError> {
    // For all it ends also where no branch is left that it holds in: those that are added later have it no more.
    let left = sqlx::query(
        "UPDATE catalogue.recall r
         SET lifted_at = CASE WHEN $4::text[] IS NULL THEN now() END,
             lifted_in = CASE WHEN $4 IS NULL THEN r.lifted_in
                              ELSE (SELECT array_agg(DISTINCT one ORDER BY one) FROM unnest(r.lifted_in || $4) AS one) END
         WHERE reference = $1 AND product_id = $2 AND lot IS NOT DISTINCT FROM $3 AND lifted_at IS NULL
           AND ($4 IS NULL AND (branches IS NULL OR NOT branches <@ lifted_in)
                OR EXISTS (SELECT FROM unnest($4) AS one WHERE catalogue.holds_in(r, one)))",
    )
    .bind(&*lifted.reference)
    .bind(lifted.product.as_str())
    .bind(lifted.lot.as_deref())
    .bind(branches.map(names_of))
    .execute(&mut **tx)
    .await?;
    raise_revision(tx).await?;
    Ok(left.rows_affected() > 0)
}

fn names_of(branches: &[BranchId]) -> Vec<String> {
    branches.iter().map(ToString::to_string).collect()
}
