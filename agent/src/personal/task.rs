//! Deposits what waits, asks how leases stand, and drops what is over or erased; again and again, with pauses that grow
//! while the centre is away.

use std::{sync::Arc, time::Duration};

use pestle_domain::{
    causes::with_causes,
    ids::PersonId,
    personal::custody::{Custody, PERSONS_MAX},
};
use pestle_drivers::backoff::Backoff;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Persons, SealError,
    centre::AskError,
    custody::{Due, Next, settle},
    kept::{Kept, State},
};
use crate::{clock::Clock, durable_file::FileError};

/// How often the centre is asked what became of leases: an erasure reaches a branch that is connected within this.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// First pause after the centre was asked in vain.
const PAUSE_FIRST: Duration = Duration::from_secs(2);
/// Longest pause: a centre that is back has what waits within this.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The centre.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The disk.
    #[error("what the centre said about patients' keys cannot be kept")]
    Kept(#[from] FileError),
    /// A fault of the program.
    #[error("patients' keys could not be kept: {0}")]
    Failed(String),
}

/// The task.
#[derive(Debug)]
pub struct PersonsTask {
    persons: Persons,
    clock: Arc<Clock>,
}

impl PersonsTask {
    /// For the keys of `persons`.
    pub fn new(persons: Persons, clock: Arc<Clock>) -> Self {
        Self { persons, clock }
    }

    /// Runs until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut backoff = Backoff::new(PAUSE_FIRST, PAUSE_MAX);
        let mut asked: Option<Instant> = None;
        loop {
            let ask = asked.is_none_or(|at| at.elapsed() >= ASK_EVERY);
            let done = tokio::select! {
                () = stop.cancelled() => return,
                done = self.round(ask) => done,
            };
            let pause = match done {
                Ok(()) => {
                    backoff.reset();
                    if ask {
                        asked = Some(Instant::now());
                    }
                    self.persons.change(|state| state.trouble = None);
                    ASK_EVERY
                }
                Err(error) => {
                    let why = with_causes(&error);
                    if self.persons.state().borrow().trouble.as_ref() != Some(&why) {
                        tracing::warn!("{why}");
                    }
                    self.persons.change(|state| state.trouble = Some(why));
                    backoff.pause()
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.persons.0.waits.notified() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Does once what is due; with `ask` the centre is also asked about leases. A box without keys asks nothing.
    ///
    /// # Errors
    /// [`RoundError`]; what was not done stays due.
    pub async fn round(&self, ask: bool) -> Result<(), RoundError> {
        // One after the other, since what a deposit is answered is what is asked about next; and each whatever became of the
        // one before: an erasure is heard of although a key cannot be deposited.
        let deposited = self.deposit().await;
        let asked = if ask { self.ask().await } else { Ok(()) };
        // Not before the centre was asked, if it can be; but not kept because it cannot.
        let ended = if ask { self.end_leases().await } else { Ok(()) };
        if ask && deposited.is_ok() && asked.is_ok() && self.persons.state().borrow().waiting > 0 {
            // The centre has lost some: they are deposited at once.
            self.persons.0.waits.notify_one();
        }
        deposited.and(asked).and(ended)
    }

    async fn deposit(&self) -> Result<(), RoundError> {
        let Due { deposit, .. } = self.persons.due(self.clock.wall());
        for keys in deposit.chunks(PERSONS_MAX) {
            let said = self.persons.0.centre.deposit(keys).await?;
            let taken = self.follow(said).await?;
            self.persons.change(|state| state.deposited += taken);
        }
        Ok(())
    }

    async fn end_leases(&self) -> Result<(), RoundError> {
        let Due { over, .. } = self.persons.due(self.clock.wall());
        for person in over {
            self.persons.on_disk(move |persons| persons.drop_key(person)).await?;
            self.persons.change(|state| state.ended += 1);
        }
        Ok(())
    }

    async fn ask(&self) -> Result<(), RoundError> {
        let Due { ask, .. } = self.persons.due(self.clock.wall());
        for held in ask.chunks(PERSONS_MAX) {
            let said = self.persons.0.centre.ask(held).await?;
            let renewed: Vec<_> = held.iter().filter(|one| one.used).map(|one| one.person).collect();
            self.persons.table().used.retain(|person| !renewed.contains(person));
            self.follow(said).await?;
        }
        Ok(())
    }

    /// Follows the centre's words; how many keys it has now that it had not before.
    async fn follow(&self, said: Vec<Custody>) -> Result<u64, RoundError> {
        let mut taken = 0;
        for Custody { person, state } in said {
            let kept = self.persons.table().kept.get(&person).cloned();
            let damaged = self.persons.table().damaged.contains(&person);
            let Some(kept) = kept else {
                match settle(state) {
                    Next::Drop => self.persons.forget(person).await?,
                    Next::Keep(State::Leased { .. }) if damaged => self.fetch_again(person).await?,
                    Next::Keep(_) => {}
                }
                continue;
            };
            match settle(state) {
                Next::Drop => self.persons.forget(person).await?,
                Next::Keep(next) if next == kept.state => {}
                Next::Keep(next) => {
                    taken += u64::from(kept.state == State::Waiting && matches!(next, State::Leased { .. }));
                    if next == State::Refused {
                        tracing::error!(%person, "the centre has another key of this patient and does not take the branch's");
                    }
                    self.persons.on_disk(move |persons| persons.keep(Kept { state: next, ..kept })).await?;
                }
            }
        }
        Ok(taken)
    }

    /// The centre has a key whose file is damaged here: it takes the file's place.
    async fn fetch_again(&self, person: PersonId) -> Result<(), RoundError> {
        match self.persons.borrow_key(person).await {
            Ok(_) => {
                tracing::info!(%person, "a patient's key that was damaged came back from the centre");
                Ok(())
            }
            Err(SealError::Disk(error)) => Err(error.into()),
            Err(SealError::Away(error)) => Err(error.into()),
            Err(other) => Err(RoundError::Failed(other.to_string())),
        }
    }
}
