//! Writes orders into the logs of branches, each in one transaction with what it changes at the centre.

use pestle_domain::{
    catalogue::Recall,
    ids::{BranchId, OrderId, ProductId, TenantId},
    order::{ORDER_BYTES_MAX, Order, OrderBody, OrderHead, OrderLog},
    units::UnixMillis,
};
use uuid::Uuid;

use super::{
    read, rules,
    store::{self, Issued, Placed, Written},
};
use crate::{
    catalogue,
    db::{DbError, Tx},
    ingest,
};

/// Places in logs that one statement writes: its arrays are some 2 MB then.
const PLACES_MAX: usize = 20_000;

/// Why an order was not written.
#[derive(Debug, thiserror::Error)]
pub enum NotIssued {
    /// Its id belongs to another order.
    #[error("another order, or the same for other branches, has the id {0}: draw a new one")]
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

impl Whom {
    /// As it is kept beside an order: sorted names, none for all.
    fn names(&self) -> Vec<String> {
        let Self::Some(branches) = self else { return Vec::new() };
        let mut names: Vec<String> = branches.iter().map(ToString::to_string).collect();
        names.sort();
        names.dedup();
        names
    }
}

/// Issues an order: what it changes at the centre, and a place in each branch's log. The same order under the same id, for
/// the same branches, changes nothing; the answer says whether it was new.
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
    if let Some(before) = store::issued(tx, id).await? {
        let same = says_the_same(&before, &body) && is_for_the_same(tx, id, &before, whom).await?;
        return if same { Ok(false) } else { Err(NotIssued::Taken(id)) };
    }
    let branches = branches(tx, whom).await?;
    change_centre(tx, tenant, &body, whom, &branches).await?;
    let order = written(id, body, writer)?;
    write(tx, tenant, &[order], &branches, (Some(whom), &writer.name, false)).await?;
    Ok(true)
}

/// Issues recalls for all branches, each under an id of its own.
///
/// # Errors
/// [`NotIssued`]; then nothing of the transaction may be kept.
pub async fn issue_recalls(
    tx: &mut Tx,
    tenant: &TenantId,
    recalls: &[Recall],
    writer: &Writer,
) -> Result<(), NotIssued> {
    let branches = branches(tx, &Whom::All).await?;
    catalogue::recalls::add(tx, tenant, recalls, None).await?;
    let order = |recall| written(OrderId(Uuid::now_v7()), rules::of_import(recall), writer);
    let orders = recalls.iter().map(order).collect::<Result<Vec<_>, _>>()?;
    write(tx, tenant, &orders, &branches, (Some(&Whom::All), &writer.name, false)).await
}

/// Writes an order that a restore lost into the log of a branch that carried it out, with the bytes that the branch kept.
///
/// A recall or its lifting that the branch did not have last of all changes nothing at the centre: what came behind it,
/// lost or not, says how things are.
///
/// # Errors
/// [`NotIssued`]; then nothing of the transaction may be kept. [`NotIssued::Overtaken`] when somebody has just adopted it.
pub async fn adopt(
    tx: &mut Tx,
    tenant: &TenantId,
    branch: &BranchId,
    (order, line): (Order, Vec<u8>),
    by_name: &str,
) -> Result<(), NotIssued> {
    let branches = [branch.clone()];
    let before = store::issued(tx, order.id).await?;
    match &before {
        // Adopted from another branch before: it is written for this one too.
        Some(before) if before.bytes == line => {}
        Some(_) => return Err(NotIssued::Taken(order.id)),
        None => {}
    }
    if !read::is_overtaken(tx, branch, &order).await? {
        match change_centre(tx, tenant, &order.body, &Whom::Some(branches.to_vec()), &branches).await {
            // The restore took the recall as well as its end.
            Ok(()) | Err(NotIssued::NoRecall) => {}
            Err(error) => return Err(error),
        }
    }
    let orders = [Written { order, line }];
    let placed = if before.is_none() {
        write(tx, tenant, &orders, &branches, (None, by_name, true)).await
    } else {
        place(tx, tenant, &orders, &branches).await
    };
    placed.map_err(|error| match error {
        NotIssued::Db(error) if error.is_duplicate() => NotIssued::Overtaken,
        other => other,
    })
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
    let id = OrderId(Uuid::now_v7());
    issue(tx, tenant, (id, body(version)), &Whom::All, writer).await.map(|_new| ())
}

fn written(id: OrderId, body: OrderBody, writer: &Writer) -> Result<Written, NotIssued> {
    let order = Order { id, issued_at: writer.at, by: writer.by.clone(), body };
    let line = order.to_line()?;
    if line.len() > ORDER_BYTES_MAX {
        return Err(NotIssued::TooLong);
    }
    Ok(Written { order, line })
}

/// Whether an order that was issued is what is asked for. The day of a recall is the day on which it was first asked for.
fn says_the_same(before: &Issued, body: &OrderBody) -> bool {
    let Some(before) = Order::from_line(&before.bytes).ok().flatten() else { return false };
    match (&before.body, body) {
        (OrderBody::RecallIssued(one), OrderBody::RecallIssued(other)) => {
            let mut other = other.clone();
            other.issued = one.issued;
            *one == other
        }
        (one, other) => one == other,
    }
}

/// Whether it was issued for the same branches. Where that was not kept, it is for those in whose logs it stands: a branch
/// that was added since makes it another, which is told, and never an order that somebody believes to be written.
async fn is_for_the_same(tx: &mut Tx, id: OrderId, before: &Issued, whom: &Whom) -> Result<bool, NotIssued> {
    if let Some(names) = &before.whom {
        return Ok(*names == whom.names());
    }
    let asked = Whom::Some(branches(tx, whom).await?).names();
    Ok(store::branches_of(tx, id).await? == asked)
}

async fn branches(tx: &mut Tx, whom: &Whom) -> Result<Vec<BranchId>, NotIssued> {
    let mut all: Vec<BranchId> =
        crate::tenancy::store::branches(tx).await?.into_iter().map(|branch| branch.id).collect();
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
            Ok(catalogue::recalls::add(tx, tenant, &[issued.clone().into()], some).await?)
        }
        OrderBody::RecallLifted(lifted) => match catalogue::recalls::lift(tx, lifted, some).await? {
            true => Ok(()),
            false => Err(NotIssued::NoRecall),
        },
        OrderBody::StockAdjust(_) | OrderBody::CatalogueChanged(_) | OrderBody::StaffChanged(_) => Ok(()),
    }
}

async fn write(
    tx: &mut Tx,
    tenant: &TenantId,
    orders: &[Written],
    branches: &[BranchId],
    (whom, by_name, adopted): (Option<&Whom>, &str, bool),
) -> Result<(), NotIssued> {
    let whom = whom.map(Whom::names);
    if !store::keep(tx, tenant, orders, whom.as_deref(), (by_name, adopted)).await? {
        return Err(NotIssued::Overtaken);
    }
    place(tx, tenant, orders, branches).await
}

/// Gives orders their places in each log. The heads' rows are locked, so that of two gateways one waits for the other.
async fn place(
    tx: &mut Tx,
    tenant: &TenantId,
    orders: &[Written],
    branches: &[BranchId],
) -> Result<(), NotIssued> {
    let incarnation = ingest::store::incarnation(tx).await?;
    let heads = store::lock_heads(tx, tenant, branches).await?;
    let log = |branch: &BranchId| OrderLog { tenant: tenant.clone(), branch: branch.clone() };
    let mut logs: Vec<(&BranchId, OrderLog, OrderHead)> =
        branches.iter().zip(heads).map(|(branch, head)| (branch, log(branch), head)).collect();
    for some in orders.chunks((PLACES_MAX / branches.len().max(1)).max(1)) {
        let mut placed = Vec::with_capacity(some.len() * branches.len());
        for (branch, log, head) in &mut logs {
            for Written { order, line } in some {
                *head = head.after(log, incarnation, line);
                let in_snapshots = order.body.is_in_snapshots();
                placed.push(Placed { branch, order: order.id, in_snapshots, at: *head });
            }
        }
        store::append(tx, tenant, &placed).await?;
    }
    Ok(())
}
