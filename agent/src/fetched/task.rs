//! Fetches what the books lack, page by page, whenever the centre can be reached; and asks at each start, and now and then, whether
//! the centre has more of an earlier life of the store than the box.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use pestle_domain::{
    causes::with_causes,
    fact::BoxFactsFetched,
    journal::{Lane, Stream},
    signature::Hash,
    wire::facts::Asked,
};
use pestle_drivers::backoff::Backoff;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Lacks,
    centre::ask,
    kept::FetchedPages,
    page::{self, NotTaken, Taken},
    work::{self, Done, Ended},
};
use crate::{
    centre::{Centre, ExchangeError},
    counter::{event::Event, handle::Counter},
    durable_file::FileError,
    identity::DeviceIdentity,
    journal::{Journal, Place, aside::SetAside},
};

/// First pause after the centre was asked in vain.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
/// Longest pause: a centre that is back is asked within this.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How often it is asked whether the centre has more of an ended life: what was on its way to it when the store lost its tail
/// is there within the first of these.
const TAILS_EVERY: Duration = Duration::from_secs(60);
/// And how often that, before it is only asked at the next start.
const TAILS_TIMES: u32 = 10;
/// For the ledger to record what was fetched; a disk that takes longer has its own words.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);
/// Pages that nobody needs any more are looked for this often while there are any: checkpoints are no closer together.
const CLEAN_EVERY: Duration = Duration::from_secs(10);

/// Why a round ended early.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The centre.
    #[error(transparent)]
    Ask(#[from] ExchangeError),
    /// What it sent.
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    /// The centre does not have what the books lack.
    #[error("the centre does not have facts {from} to {to} of epoch {epoch}, which this box's books lack")]
    NotThere {
        /// Which life of the store.
        epoch: u32,
        /// The first.
        from: u64,
        /// The last.
        to: u64,
    },
    /// The disk.
    #[error("fetched facts cannot be kept")]
    Kept(#[from] FileError),
    /// The disk.
    #[error("what the box's earlier records say of themselves cannot be read")]
    Aside(#[source] FileError),
    /// The journal did not take it in time.
    #[error("what was fetched was not recorded in time")]
    NotRecorded,
    /// A fault of the program.
    #[error("fetched facts could not be worked on: {0}")]
    Failed(String),
}

/// All that the task needs.
#[derive(Debug, Clone)]
pub struct FetchParts {
    /// Whose box it is, and what the centre signs with.
    pub identity: Arc<DeviceIdentity>,
    /// Whose chain it must be.
    pub ledger: Journal,
    /// And the chain of the readings, which no books need: only where it ends is compared.
    pub telemetry: Journal,
    /// Where pages are kept.
    pub pages: FetchedPages,
    /// Who is asked.
    pub centre: Centre,
}

/// The task.
#[derive(Debug)]
pub struct FetchTask {
    parts: FetchParts,
    counter: Counter,
    lacks: watch::Receiver<Lacks>,
    ended: Ended,
    /// Whether the epochs that were set aside are among them.
    knows_aside: bool,
    tails_asked: u32,
    /// Lives of the store behind whose ends the centre has another history.
    parted: BTreeSet<(Lane, u32)>,
    done: Done,
}

impl FetchTask {
    /// For the books of `counter`.
    pub fn new(parts: FetchParts, counter: Counter) -> Self {
        let epochs = parts.ledger.epochs();
        let lacks = counter.lacks();
        Self {
            ended: Ended::of(&epochs),
            knows_aside: false,
            parts,
            counter,
            lacks,
            tails_asked: 0,
            parted: BTreeSet::new(),
            done: Done::default(),
        }
    }

    /// Runs until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut backoff = Backoff::new(PAUSE_FIRST, PAUSE_MAX);
        let mut tails_due = Instant::now();
        let mut said = None;
        loop {
            let round = async {
                if !self.knows_aside {
                    self.ended.learn(self.parts.set_aside().await?);
                    self.knows_aside = true;
                }
                if self.tails_asked < TAILS_TIMES && Instant::now() >= tails_due {
                    self.look_for_tails().await?;
                    self.tails_asked += 1;
                    tails_due = Instant::now() + TAILS_EVERY;
                }
                self.fetch_all().await
            };
            let done = tokio::select! {
                () = stop.cancelled() => return,
                done = round => done,
            };
            let pause = match done {
                Ok(()) => {
                    backoff.reset();
                    said = None;
                    self.clean().await
                }
                Err(error) => {
                    let why = with_causes(&error);
                    if said.as_ref() != Some(&why) {
                        tracing::warn!("{why}");
                        said = Some(why);
                    }
                    backoff.pause()
                }
            };
            let tails = tails_due.saturating_duration_since(Instant::now());
            let pause =
                if said.is_none() && self.tails_asked < TAILS_TIMES { pause.min(tails) } else { pause };
            tokio::select! {
                () = stop.cancelled() => return,
                Ok(()) = self.lacks.changed() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Names what the centre has behind the ends of earlier lives, and lets what lies before them rest: the centre has that too.
    async fn look_for_tails(&mut self) -> Result<(), RoundError> {
        let readings = Ended::of(&self.parts.telemetry.epochs());
        let ledger = self.ended.clone();
        for (lane, ended) in [(Lane::Ledger, ledger), (Lane::Telemetry, readings)] {
            self.look_behind(lane, &ended).await?;
        }
        Ok(())
    }

    async fn look_behind(&mut self, lane: Lane, ended: &Ended) -> Result<(), RoundError> {
        for asked in ended.tails(lane) {
            let taken = match self.parts.page(&asked, ended).await {
                Ok(Some((taken, _))) => taken,
                Ok(None) => continue,
                // Another history stands there. That is for a person, who hears of it where it is refused.
                Err(RoundError::NotTaken(error @ NotTaken::Contradicts { .. })) => {
                    if self.parted.insert((lane, asked.epoch)) {
                        tracing::warn!("{}", with_causes(&error));
                    }
                    continue;
                }
                Err(error) => return Err(error),
            };
            if taken.last >= asked.from.saturating_sub(1) {
                let journal = self.parts.journal(lane).clone();
                blocking(move || journal.all_there(asked.epoch, taken.incarnation)).await?;
            }
            if let Some(lost) = work::tail(&asked, taken.last) {
                tracing::warn!(?lane, ?lost, "the centre has facts that this box has lost");
                if lane == Lane::Ledger {
                    self.counter.tell(Event::Missing(lost)).await;
                }
            }
        }
        Ok(())
    }

    /// Fetches all that can be had. What the centre does not have, or has otherwise, holds up nothing else.
    async fn fetch_all(&mut self) -> Result<(), RoundError> {
        let (mut any, mut left, mut why) = (false, BTreeSet::new(), None);
        loop {
            let lacks = self.lacks.borrow_and_update().clone();
            let Some(asked) = work::next_page(&lacks, &self.ended, &left) else { break };
            match self.fetch(&asked).await {
                Ok(()) => any = true,
                Err(error @ (RoundError::NotThere { .. } | RoundError::NotTaken(_))) => {
                    left.insert((asked.epoch, asked.from));
                    why.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        if any {
            self.counter.keep_books().await;
        }
        why.map_or(Ok(()), Err)
    }

    async fn fetch(&mut self, asked: &Asked) -> Result<(), RoundError> {
        let (epoch, from, to) = (asked.epoch, asked.from, asked.to.unwrap_or(asked.from));
        let not_there = || RoundError::NotThere { epoch, from, to };
        let (taken, message) = self.parts.page(asked, &self.ended).await?.ok_or_else(not_there)?;
        let fetched = taken.fetched.ok_or_else(not_there)?;
        self.parts.keep(&fetched, message).await?;
        let older = taken.parent.and_then(|parent| {
            self.ended.note(&parent);
            work::older(&parent, &self.parts.ledger.epochs())
        });
        let to = fetched.to;
        self.counter.tell(Event::Fetched(fetched, taken.acts, older)).await;
        self.taken_in(epoch, from).await?;
        tracing::info!(epoch, from, to, "facts were fetched back from the centre");
        Ok(())
    }

    /// Waits until the books have the fact.
    async fn taken_in(&mut self, epoch: u32, seq: u64) -> Result<(), RoundError> {
        let has = |lacks: &Lacks| {
            lacks.fetched.iter().any(|one| one.epoch == epoch && (one.from..=one.to).contains(&seq))
        };
        match timeout(TAKEN_WITHIN, self.lacks.wait_for(has)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(RoundError::NotRecorded),
        }
    }

    /// Removes pages that two checkpoints of the books are behind of; how long until it is to be looked again.
    async fn clean(&mut self) -> Duration {
        let (pages, lacks) = (self.parts.pages.clone(), self.lacks.borrow().clone());
        // After what the books lack: of whatever they have taken in, the act lies before it.
        let ledger = &self.parts.ledger;
        let head = Place { epoch: ledger.stream().epoch, seq: ledger.head().seq };
        let (safe, mut done) = (*self.counter.watch_safe().borrow(), self.done.clone());
        let looked = blocking(move || {
            done.look(&pages.ranges()?, &lacks, head);
            let gone = done.in_checkpoints(safe).iter().try_for_each(|range| pages.remove(range));
            gone.map(|()| (done.waits_for(safe), done))
        });
        let left = looked.await.map(|looked| {
            looked.map(|(waits, done)| {
                self.done = done;
                waits
            })
        });
        match left {
            Ok(Ok(true)) => {
                self.counter.keep_books().await;
                CLEAN_EVERY
            }
            Ok(Ok(false)) => PAUSE_MAX,
            Ok(Err(error)) => {
                tracing::warn!(%error, "fetched pages that nobody needs any more cannot be removed");
                PAUSE_MAX
            }
            Err(error) => {
                tracing::error!(%error, "fetched pages could not be looked through");
                PAUSE_MAX
            }
        }
    }
}

impl FetchParts {
    fn journal(&self, lane: Lane) -> &Journal {
        match lane {
            Lane::Ledger => &self.ledger,
            Lane::Telemetry => &self.telemetry,
        }
    }

    /// Asks for a page and verifies it; `None` where the centre has nothing of that life of the store.
    ///
    /// # Errors
    /// [`RoundError`].
    pub async fn page(&self, asked: &Asked, ended: &Ended) -> Result<Option<(Taken, Vec<u8>)>, RoundError> {
        let Some(message) = ask(&self.centre, asked).await? else { return Ok(None) };
        let (journal, identity, ended, asked) =
            (self.journal(asked.lane).clone(), self.identity.clone(), ended.clone(), *asked);
        let taken = blocking(move || {
            let known = |epoch: u32, seq: u64| -> Option<Hash> {
                ended.hash_at(epoch, seq).or_else(|| journal.hash_at(epoch, seq).ok().flatten())
            };
            // Whose it was before it was enrolled anew only the centre knows: the chain is compared where the box has it.
            let own = |stream: &Stream| stream.tenant == identity.identity.tenant;
            let key = |ack: &pestle_domain::journal::Acknowledgement| identity.centre_key(&ack.key).cloned();
            page::take(&message, &asked, own, &known, key).map(|taken| (taken, message))
        });
        Ok(Some(taken.await??))
    }

    /// What is known of epochs that were set aside.
    ///
    /// # Errors
    /// [`RoundError`].
    pub async fn set_aside(&self) -> Result<Vec<SetAside>, RoundError> {
        let journal = self.ledger.clone();
        blocking(move || journal.set_aside()).await?.map_err(RoundError::Aside)
    }

    /// Keeps a page durably.
    ///
    /// # Errors
    /// [`RoundError`].
    pub async fn keep(&self, fetched: &BoxFactsFetched, message: Vec<u8>) -> Result<(), RoundError> {
        let (pages, fetched) = (self.pages.clone(), fetched.clone());
        Ok(blocking(move || pages.keep(&fetched, &message)).await??)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, RoundError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| RoundError::Failed(error.to_string()))
}
