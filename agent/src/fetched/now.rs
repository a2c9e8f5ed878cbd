//! Books that are completed before anything else is done, for a command beside the agent.

use pestle_domain::{
    fact::{Act, Actor, BoxBooksIncomplete, FactBody},
    ids::{ActId, FactId},
    journal::Lane,
    wire::facts::Asked,
};
use uuid::Uuid;

use super::{
    task::{FetchParts, RoundError},
    work::{self, Ended},
};
use crate::{clock::Clock, counter::fold::Folded, journal::JournalError};

/// Why books could not be completed.
#[derive(Debug, thiserror::Error)]
pub enum IncompleteError {
    /// What is missing could not be had.
    #[error(transparent)]
    Fetch(#[from] RoundError),
    /// What was fetched could not be recorded.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Names what `folded` lacks and fetches all of it.
///
/// # Errors
/// [`IncompleteError`]; what was fetched before stays.
pub async fn complete(parts: &FetchParts, folded: &mut Folded, clock: &Clock) -> Result<(), IncompleteError> {
    for range in std::mem::take(&mut folded.missing) {
        record(parts, folded, clock, vec![range.into()]).await?;
    }
    let mut ended = Ended::of(&parts.ledger.epochs());
    ended.learn(parts.set_aside().await?);
    while let Some(BoxBooksIncomplete { epoch, from, to }) = folded.books.missing().first().cloned() {
        let asked = Asked { lane: Lane::Ledger, epoch, store: ended.store(epoch), from, to: Some(to) };
        let not_there = || RoundError::NotThere { epoch, from, to };
        let (taken, message) = parts.page(&asked, &ended).await?.ok_or_else(not_there)?;
        let fetched = taken.fetched.ok_or_else(not_there)?;
        parts.keep(&fetched, message).await?;
        let older = taken.parent.and_then(|parent| {
            ended.note(&parent);
            work::older(&parent, &parts.ledger.epochs())
        });
        let bodies = folded.books.fetching(&fetched, older.as_ref());
        record(parts, folded, clock, bodies).await?;
        folded.books.take_in(&fetched, &taken.acts);
    }
    Ok(())
}

async fn record(
    parts: &FetchParts,
    folded: &mut Folded,
    clock: &Clock,
    bodies: Vec<FactBody>,
) -> Result<(), JournalError> {
    let id = ActId(Uuid::now_v7());
    let act = Act::new(id, &Actor::Machine, &clock.stamp(), bodies, || FactId(Uuid::now_v7()));
    let facts = act.facts.clone();
    let committed = parts.ledger.append(act.into()).await?;
    folded.books.stand_at(committed.last);
    folded.books.apply(&facts, b"");
    Ok(())
}
