//! Writes orders into the logs of branches, each in one transaction with what it changes at the centre.

use pestle_domain::{
    ids::{BranchId, OrderId, ProductId, TenantId},
    order::{ORDER_BYTES_MAX, Order, OrderBody, OrderLog},
    units::UnixMillis,
};

use super::store;
use crate::{
    catalogue,
    db::{DbError, Tx},
    ingest,
};

/// Why an order was not written.
#[derive(Debug, thiserror::Error)]
pub enum NotIssued {
    /// Its id belongs to another order.
    #[error("another order has the id {0}: draw a new one")]
    Taken(OrderId),
    /// Somebody is writing it at this moment: look again.
    #[error("the order is just being written")]
    Overtaken,
    /// Its line is longer than any order.
    #[error("the order is longer than {ORDER_BYTES_MAX} bytes: write fewer words")]
    TooLong,
    /// No such article.
    #[error("there is no article \"{0}\"")]
    NoProduct(ProductId),
    /// No such branch.
    #[error("there is no branch \"{0}\"")]
    NoBranch(BranchId),
    /// There is no such recall to be lifted.
    #[error("no such recall is in force: see its reference, article and lot")]
    NoRecall,
    /// JSON cannot say it.
    #[error("the order cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<sqlx::Error> for NotIssued {
    fn from(error: sqlx::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Who has an order written, and when.
#[derive(Debug, Clone)]
pub struct Writer {
    /// As the line names them.
    pub by: Box<str>,
    /// As people call them.
    pub name: String,
    /// The centre's clock.
    pub at: UnixMillis,
}

impl Writer {
    /// The gateway's own command line.
    pub fn command_line(at: UnixMillis) -> Self {
        Self { by: "command-line".into(), name: "command line".into(), at }
    }
}

/// For which branches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whom {
    /// All that there are.
    All,
    /// These.
    Some(Vec<BranchId>),
}

/// Issues an order: what it changes at the centre, and a place in each branch's log. The same order under the same id again
/// changes nothing; the answer says whether it was new.
///
/// # Errors
/// [`NotIssued`]; then nothing of the transaction may be kept.
pub async fn issue(
    tx: &mut Tx,
    tenant: &TenantId,
    (id, body): (OrderId, OrderBody),
    whom: &Whom,
    writer: &Writer,
) -> Result<bool, NotIssued> {
    if let Some(bytes) = store::bytes(tx, id).await? {
        let same =
            Order::from_line(&bytes).ok().flatten().is_some_and(|order| says_the_same(&order.body, &body));
        return if same { Ok(false) } else { Err(NotIssued::Taken(id)) };
    }
    let branches = branches(tx, whom).await?;
    change_centre(tx, tenant, &body, whom, &branches).await?;
    let order = Order { id, issued_at: writer.at, by: writer.by.clone(), body };
    let line = order.to_line()?;
    if line.len() > ORDER_BYTES_MAX {
        return Err(NotIssued::TooLong);
    }
    write(tx, tenant, (&order, &line), &branches, (&writer.name, false)).await?;
    Ok(true)
}

/// Writes an order that a restore lost into the log of a branch that carried it out, with the bytes that the branch kept.
///
/// # Errors
/// [`NotIssued`]; then nothing of the transaction may be kept.
pub async fn adopt(
    tx: &mut Tx,
    tenant: &TenantId,
    branch: &BranchId,
    (order, line): (&Order, &[u8]),
    by_name: &str,
) -> Result<(), NotIssued> {
    let branches = [branch.clone()];
    let written = store::bytes(tx, order.id).await?;
    match &written {
        // Adopted from another branch before: it is written for this one too.
        Some(bytes) if bytes == line => {}
        Some(_) => return Err(NotIssued::Taken(order.id)),
        None => {}
    }
    change_centre(tx, tenant, &order.body, &Whom::Some(branches.to_vec()), &branches).await.or_else(
        |error| {
            // The restore took the recall as well as its end.
            if matches!(error, NotIssued::NoRecall) { Ok(()) } else { Err(error) }
        },
    )?;
    if written.is_none() {
        return write(tx, tenant, (order, line), &branches, (by_name, true)).await;
    }
    place(tx, tenant, (order, line), &branches).await
}

/// Points every branch to a snapshot that has something new: `body` is given the version.
///
/// # Errors
/// [`NotIssued`].
pub async fn point_to_snapshot(
    tx: &mut Tx,
    tenant: &TenantId,
    body: impl FnOnce(u64) -> OrderBody + Send,
    writer: &Writer,
) -> Result<(), NotIssued> {
    let version = crate::tenancy::store::revision(tx).await?.version;
    let id = OrderId(uuid::Uuid::now_v7());
    issue(tx, tenant, (id, body(version)), &Whom::All, writer).await.map(|_new| ())
}

/// Whether two ask for the same. The day of a recall is the day on which it was first asked for.
fn says_the_same(one: &OrderBody, other: &OrderBody) -> bool {
    match (one, other) {
        (OrderBody::RecallIssued(one), OrderBody::RecallIssued(other)) => {
            let mut other = other.clone();
            other.issued = one.issued;
            *one == other
        }
        _ => one == other,
    }
}

async fn branches(tx: &mut Tx, whom: &Whom) -> Result<Vec<BranchId>, NotIssued> {
    let mut all: Vec<BranchId> =
        crate::tenancy::store::branches(tx).await?.into_iter().map(|branch| branch.id).collect();
    // In one order, so that two who write at once do not wait for each other in turn.
    all.sort();
    let Whom::Some(wanted) = whom else { return Ok(all) };
    if let Some(unknown) = wanted.iter().find(|branch| !all.contains(branch)) {
        return Err(NotIssued::NoBranch(unknown.clone()));
    }
    all.retain(|branch| wanted.contains(branch));
    Ok(all)
}

/// What an order changes in what snapshots say.
async fn change_centre(
    tx: &mut Tx,
    tenant: &TenantId,
    body: &OrderBody,
    whom: &Whom,
    branches: &[BranchId],
) -> Result<(), NotIssued> {
    let some = match whom {
        Whom::All => None,
        Whom::Some(_) => Some(branches),
    };
    match body {
        OrderBody::RecallIssued(issued) => {
            Ok(catalogue::store::add_recall(tx, tenant, &issued.clone().into(), some).await?)
        }
        OrderBody::RecallLifted(lifted) => match catalogue::store::lift_recall(tx, lifted, some).await? {
            true => Ok(()),
            false => Err(NotIssued::NoRecall),
        },
        OrderBody::StockAdjust(_) | OrderBody::CatalogueChanged(_) | OrderBody::StaffChanged(_) => Ok(()),
    }
}

async fn write(
    tx: &mut Tx,
    tenant: &TenantId,
    (order, line): (&Order, &[u8]),
    branches: &[BranchId],
    by: (&str, bool),
) -> Result<(), NotIssued> {
    if !store::keep(tx, tenant, order.id, (order.body.kind(), line), by).await? {
        return Err(NotIssued::Overtaken);
    }
    place(tx, tenant, (order, line), branches).await
}

/// Gives the order its place in each log. The head's row is locked, so that of two gateways one waits for the other.
async fn place(
    tx: &mut Tx,
    tenant: &TenantId,
    (order, line): (&Order, &[u8]),
    branches: &[BranchId],
) -> Result<(), NotIssued> {
    let incarnation = ingest::store::incarnation(tx).await?;
    for branch in branches {
        let log = OrderLog { tenant: tenant.clone(), branch: branch.clone() };
        let after = store::lock_head(tx, tenant, branch).await?.after(&log, incarnation, line);
        store::append(tx, tenant, branch, (order.id, order.body.is_in_snapshots()), &after).await?;
    }
    Ok(())
}
