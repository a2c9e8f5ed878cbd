//! Deciding: once for each appeal, with a number that was never given before, and with the name of whoever decided.

use pestle_domain::{
    appeal::Ruling,
    ids::{AppealId, BranchId, TenantId},
};
use time::OffsetDateTime;

use super::{
    rules::Choice,
    store::{self, AppealRow, NewRuling},
};
use crate::{
    db::{DbError, Tx},
    ingest,
};

/// Who decides.
#[derive(Debug, Clone, Copy)]
pub struct Judge<'a> {
    /// A user's id, or `enrolment`.
    pub by: &'a str,
    /// As people call them.
    pub name: &'a str,
}

/// Why nothing was decided.
#[derive(Debug, thiserror::Error)]
pub enum NotRuled {
    /// There is no such appeal.
    #[error("no box asks under this id: it may have begun again since, and asks under another one")]
    Unknown,
    /// Somebody was faster.
    #[error(
        "{by} has decided on this at {at}: \"{choice}\". A decision stands; where it was wrong, decide on the box that asks next"
    )]
    Decided {
        /// What was decided.
        choice: String,
        /// By whom.
        by: String,
        /// When, RFC 3339.
        at: String,
    },
    /// Its records are another branch's.
    #[error(
        "what this box cannot bring was recorded in the branch {0}: have it enrolled for that branch first, and for its own one \
         once nothing waits in it any more"
    )]
    Elsewhere(BranchId),
    /// What the box says of its epochs cannot be, or the branch has none left.
    #[error(
        "this box says that it has come to epoch {highest}, and no box does: somebody has to look at it first. Have it enrolled with \
         an empty data folder meanwhile, and keep the old one"
    )]
    NoNumber {
        /// What the box says.
        highest: u32,
    },
    /// The database.
    #[error(transparent)]
    Database(#[from] DbError),
}

/// Decides on an appeal, and returns it as it is decided. The transaction is the caller's to commit.
///
/// # Errors
/// [`NotRuled`].
pub async fn rule(
    tx: &mut Tx,
    tenant: &TenantId,
    (appeal, choice): (AppealId, Choice),
    judge: Judge<'_>,
    now: OffsetDateTime,
) -> Result<AppealRow, NotRuled> {
    let row = store::lock(tx, appeal).await?.ok_or(NotRuled::Unknown)?;
    if let Some(choice) = row.choice {
        let at = row.ruled_at.and_then(|at| at.format(&time::format_description::well_known::Rfc3339).ok());
        let (by, at) = (row.by_name.unwrap_or_default(), at.unwrap_or_default());
        return Err(NotRuled::Decided { choice, by, at });
    }
    let bad = |_| DbError::bad_row("branch", row.branch_id.clone());
    let branch: BranchId = row.branch_id.parse().map_err(bad)?;
    let epoch = match choice {
        Choice::OwnName => None,
        Choice::GoOn => {
            if row.own_branch != row.branch_id {
                return Err(NotRuled::Elsewhere(branch));
            }
            let highest = row.said.highest_epoch;
            let given = ingest::store::give_epoch(tx, tenant, &branch, highest).await?;
            Some(given.ok_or(NotRuled::NoNumber { highest })?)
        }
    };
    let Judge { by, name } = judge;
    let ruling =
        NewRuling { appeal: row.appeal_id, choice, branch: &branch, epoch, by, by_name: name, at: now };
    store::rule(tx, tenant, &ruling).await?;
    tracing::warn!(%appeal, device = row.device_id, %branch, choice = choice.as_str(), ?epoch, by, "a contradiction was decided on");
    store::lock(tx, appeal).await?.ok_or(NotRuled::Unknown)
}

/// What the box is told.
///
/// # Errors
/// [`DbError`]: the row cannot be.
pub fn told(row: &AppealRow) -> Result<Ruling, DbError> {
    let bad = |what: &'static str| DbError::bad_row(what, row.appeal_id.to_string());
    match row.choice.as_deref().map(str::parse::<Choice>) {
        None => Ok(Ruling::Waiting),
        Some(Ok(Choice::GoOn)) => {
            let epoch = row.epoch.and_then(|epoch| u32::try_from(epoch).ok()).ok_or_else(|| bad("epoch"))?;
            Ok(Ruling::GoOn { epoch })
        }
        Some(Ok(Choice::OwnName)) => Ok(Ruling::OwnName {
            branch: row.branch_id.parse().map_err(|_| bad("branch"))?,
            device: row.device_id.parse().map_err(|_| bad("device"))?,
        }),
        Some(Err(())) => Err(bad("choice")),
    }
}
