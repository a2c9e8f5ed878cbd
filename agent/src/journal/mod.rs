//! The journal: every act of this box, on the disk before anybody is told (invariant I1), chained, and kept until
//! the centre has it *and* the retention time is over.
//!
//! One journal per lane. On the disk:
//!
//! ```text
//! journal/ledger/
//!   epoch-00001/                      one life of the store
//!     epoch.json                      which stream, which store, from which it descends
//!     mark                            how far it was certainly written, how far the centre has it
//!     generation-0000000000000001/    named by its first fact
//!       begun.json                    the head before its first fact
//!       sealed.json                   when it is full: the head after its last fact
//!       store/                        sled's, and our fence; never opened by sled again once the process has ended
//!   findings.json                     what was found damaged and is not told yet
//!   damaged/                          epochs whose description could not be read, as they were found
//!   building/                         an epoch that is made out of others
//!   aside/before-00007/epoch-00001/   epochs whose acts stand in epoch 7 once more
//! ```
//!
//! In reading order: [`record`] (an act as bytes), [`generation`] (a store that is written), [`fence`] (where it ends after
//! an error), [`raw`] (one that was written), [`manifest`], [`mark`] and [`witness`] (what is known about stores besides
//! their contents), [`load`] (the checks at start-up), [`told`] (what they found), [`open`] (the repairs), [`writer`]
//! (group commit) with [`gather`] (who shares a sync), [`reader`], [`ack`] (acknowledgements and pruning), [`ahead`] (a centre
//! that has more), [`keeper`] (what is done off the commit's path), [`commits_took`] (how long the disk takes), [`carry`] (acts that are recorded once more in a
//! new epoch), [`aside`] (what the epochs before it still tell).

pub mod ack;
pub mod age;
pub mod ahead;
pub mod aside;
pub mod carry;
pub mod commits_took;
pub mod error;
#[cfg(test)]
mod fault_tests;
pub mod fence;
pub mod finding;
pub mod gather;
pub mod generation;
pub mod keeper;
pub mod load;
pub mod manifest;
pub mod mark;
pub mod open;
pub mod raw;
pub mod reader;
pub mod record;
mod shared;
pub mod stores;
#[cfg(test)]
pub mod testing;
pub mod told;
pub mod witness;
pub mod writer;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use pestle_domain::{
    fact::{Act, Stamp},
    ids::StoreId,
    journal::{Acknowledgement, Carried, Head, Lane, Parent, Stream},
};
use tokio::sync::{mpsc, oneshot, watch};

pub use commits_took::CommitsTook;
pub use error::{JournalError, NOT_RECORDED};
pub use finding::Finding;
pub use generation::StoreError;
pub use record::StoredAct;
pub use shared::Counters;

pub(crate) use shared::{Life, Shared};

use stores::Stores;
use writer::{Append, Command};

/// Acts that may wait for the writer: more than a branch has counters, few enough that a full queue means trouble
/// within a second and not within an hour.
const QUEUE_ACTS_MAX: usize = 256;
/// Largest act, lines and attachment together, in bytes. With its header it fits into one batch
/// ([`crate::relay::BATCH_BYTES_MAX`]); a sale of a hundred lines takes about a third.
pub const ACT_BYTES_MAX: usize = 160 * 1024;

/// How large a generation grows and how long it stays.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Facts in one generation.
    pub generation_facts: u64,
    /// Bytes of records in one generation.
    pub generation_bytes: u64,
    /// How long a sealed generation stays after the centre has it.
    pub retention: Duration,
}

impl Default for Limits {
    /// 35 days are longer than the centre's recovery window.
    fn default() -> Self {
        Self {
            generation_facts: 100_000,
            generation_bytes: 64 * 1024 * 1024,
            retention: Duration::from_secs(35 * 86_400),
        }
    }
}

/// Where a journal lies and whose it is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its folder, one per lane.
    pub folder: PathBuf,
    /// Whose facts. The epoch is the journal's own to give; what stands here is the first that it may open, since no box
    /// of a branch may use another's: receipts are numbered by it.
    pub stream: Stream,
    /// Sizes and times.
    pub limits: Limits,
}

/// A fact's place in this box's journal of one lane, over all epochs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Place {
    /// Which life of the store.
    pub epoch: u32,
    /// The fact.
    pub seq: u64,
}

impl Place {
    /// Before everything.
    pub const START: Self = Self { epoch: 0, seq: 0 };
}

/// An act to be recorded.
#[derive(Debug, Clone)]
pub struct NewAct {
    /// One or more facts.
    pub act: Act,
    /// Kept in the same record and neither hashed nor sent: print intents.
    pub attachment: Vec<u8>,
}

impl From<Act> for NewAct {
    fn from(act: Act) -> Self {
        Self { act, attachment: Vec::new() }
    }
}

/// An act is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Position of its first fact.
    pub first: Place,
    /// Position of its last fact.
    pub last: Place,
    /// The head after it.
    pub head: Head,
}

/// What the checks at opening told.
#[derive(Debug, Clone, Default)]
pub struct OpenReport {
    /// What was wrong; empty when all was well.
    pub findings: Vec<Finding>,
}

impl OpenReport {
    /// All findings in sentences; `None` when all was well.
    pub fn sentences(&self) -> Option<String> {
        let all: Vec<_> = self.findings.iter().map(Finding::to_string).collect();
        (!all.is_empty()).then(|| all.join(" "))
    }
}

/// One epoch as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochState {
    /// Its stream.
    pub stream: Stream,
    /// Its store.
    pub store: StoreId,
    /// After its last fact.
    pub head: Head,
    /// As far as the centre has it.
    pub acknowledged: Head,
    /// Its first fact that is still here.
    pub first_kept: u64,
    /// The life before it, as far as it was known when it began.
    pub parent: Option<Parent>,
    /// What it holds of lives before it, once more.
    pub carried: Vec<Carried>,
    /// The centre's last acknowledgement that this store kept, with its signature; not verified again.
    pub witness: Option<Acknowledgement>,
}

impl EpochState {
    /// Facts that the centre has not acknowledged.
    pub fn waiting(&self) -> u64 {
        self.head.seq.saturating_sub(self.acknowledged.seq)
    }
}

/// How far one epoch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Its number.
    pub epoch: u32,
    /// Its last fact.
    pub head: u64,
    /// The last fact that the centre has.
    pub acknowledged: u64,
    /// In which life of the centre's database; 0 while none was told.
    pub incarnation: u64,
}

/// A journal of one lane; cheap to clone. The writer and keeper threads end with [`Journal::close`].
#[derive(Debug, Clone)]
pub struct Journal {
    shared: Arc<Shared>,
    queue: mpsc::Sender<Command>,
}

impl Journal {
    /// Opens the journal in `settings.folder`, creating it if it is not there, and checks it. Blocks on the disk.
    ///
    /// What is damaged is set aside and told in the report; the journal then goes on in a new epoch. `stamp` dates
    /// the fact that opens a new epoch, and from it on time passes for retention.
    ///
    /// # Errors
    /// [`JournalError::Store`] when the disk refuses: then nothing was changed. As [`Journal::append`], where a new epoch's first fact
    /// cannot be recorded.
    pub fn open(settings: Settings, stamp: &Stamp) -> Result<(Self, OpenReport), JournalError> {
        let opened = open::open(&settings, stamp.wall_ms)?;
        let report = OpenReport { findings: opened.findings.pending.clone() };
        for finding in &report.findings {
            tracing::error!(lane = settings.stream.lane.as_str(), "{finding}");
        }
        let new_epoch = opened.head == Head::EMPTY;
        let (keeper, wakes) = keeper::Handle::new();
        let stores = Stores::without_current();
        if let Some((folder, store)) = opened.scanned {
            stores.keep_open(folder, store);
        }
        let mut shared = Shared::new(settings, opened.book, stores, keeper, report.findings.clone());
        shared.kept_findings = Some(Mutex::new(opened.findings));
        shared.age = Mutex::new(age::KeptAge::open(&shared.settings.folder, stamp));
        let shared = Arc::new(shared);
        keeper::spawn(shared.clone(), wakes)?;
        let (queue, commands) = mpsc::channel(QUEUE_ACTS_MAX);
        writer::spawn(shared.clone(), commands)?;
        let journal = Self { shared, queue };
        if new_epoch {
            journal.append_blocking(
                open::epoch_opened(&journal.shared.book().current().manifest, stamp).into(),
            )?;
        }
        Ok((journal, report))
    }

    /// Lets the writer make its store now, which takes some disk accesses, instead of with the first act. Whoever records
    /// hears of what goes wrong with it, and so does health. What is returned resolves when it was tried; nobody need wait.
    pub fn make_ready(&self) -> oneshot::Receiver<()> {
        let (done, tried) = oneshot::channel();
        // One that is full has acts, and with the first of them the store is made.
        let _full = self.queue.try_send(Command::MakeReady(done));
        tried
    }

    /// The journal as it lies there, to be read: nothing is repaired, nothing can be recorded, and no file is changed.
    /// Blocks on the disk.
    ///
    /// # Errors
    /// [`JournalError::Store`] when the disk refuses.
    pub fn open_read_only(settings: Settings) -> Result<(Self, OpenReport), JournalError> {
        let (book, findings) = open::look(&settings, writer::now())?;
        let report = OpenReport { findings: findings.pending };
        let (keeper, _) = keeper::Handle::new();
        let shared = Shared::new(settings, book, Stores::without_current(), keeper, report.findings.clone());
        shared.life.send_replace(Life::Closed);
        let (queue, _) = mpsc::channel(1);
        Ok((Self { shared: Arc::new(shared), queue }, report))
    }

    /// What `report` says stands in a fact that is on the disk: the next start need not tell it. Blocks on the disk.
    pub fn findings_told(&self, report: &OpenReport) {
        self.shared.keep_findings(|kept| {
            kept.tell(&report.findings);
            !report.findings.is_empty()
        });
    }

    /// What is known to be damaged, whether a fact tells it already or not.
    pub(super) fn known_findings(&self) -> Vec<Finding> {
        let mut known = self.findings();
        if let Some(kept) = &self.shared.kept_findings {
            known.extend(kept.lock().unwrap_or_else(PoisonError::into_inner).all().cloned());
        }
        known
    }

    /// Resolves, with the reason, when a thread of the journal fails: the process is then to end and start anew.
    pub async fn died(&self) -> String {
        let mut life = self.shared.life.subscribe();
        let why = life.wait_for(|life| matches!(life, Life::Died(_))).await.map(|life| match &*life {
            Life::Died(why) => why.clone(),
            Life::Running | Life::Closed => String::new(),
        });
        match why {
            Ok(why) => why,
            // Its sender lives as long as this journal.
            Err(_) => std::future::pending().await,
        }
    }

    /// Records an act, and returns once it is on the disk. A dropped future does not take the act back.
    ///
    /// # Errors
    /// [`JournalError::NotRecorded`], [`JournalError::TooLarge`], [`JournalError::Unwritable`], [`JournalError::Closed`],
    /// [`JournalError::Died`]: in each of these nothing was recorded. [`JournalError::Unknown`]: nobody knows.
    pub async fn append(&self, act: NewAct) -> Result<Committed, JournalError> {
        let (append, answer) = prepare(&act, self.stream().lane)?;
        let sent = self.queue.send(Command::Append(append)).await;
        sent.map_err(|_| self.shared.unanswered(false))?;
        answer.await.map_err(|_| self.shared.unanswered(true))?
    }

    /// [`Journal::append`] outside of tokio.
    ///
    /// # Errors
    /// As [`Journal::append`].
    pub fn append_blocking(&self, act: NewAct) -> Result<Committed, JournalError> {
        let (append, answer) = prepare(&act, self.stream().lane)?;
        let sent = self.queue.blocking_send(Command::Append(append));
        sent.map_err(|_| self.shared.unanswered(false))?;
        answer.blocking_recv().map_err(|_| self.shared.unanswered(true))?
    }

    /// The stream of the current epoch.
    pub fn stream(&self) -> &Stream {
        &self.shared.stream
    }

    /// Where it lies.
    pub fn folder(&self) -> &std::path::Path {
        &self.shared.settings.folder
    }

    /// The head up to which everything is on the disk.
    pub fn head(&self) -> Head {
        *self.shared.committed()
    }

    /// Tells each new head.
    pub fn watch_head(&self) -> watch::Receiver<Head> {
        self.shared.head.subscribe()
    }

    /// Changes whenever the centre has acknowledged more.
    pub fn watch_acknowledged(&self) -> watch::Receiver<u64> {
        self.shared.acknowledged.subscribe()
    }

    /// Why nothing can be recorded just now, in a sentence; `None` while all is well.
    pub fn watch_trouble(&self) -> watch::Receiver<Option<String>> {
        self.shared.trouble.subscribe()
    }

    /// Whether nothing can be recorded for want of room on the disk.
    pub fn is_out_of_room(&self) -> bool {
        self.shared.out_of_room.load(Relaxed)
    }

    /// What was found damaged, at opening or since.
    pub fn findings(&self) -> Vec<Finding> {
        self.shared.findings.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the writer has done since the start.
    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// All epochs that have facts here, the oldest first. The last is the current one.
    pub fn epochs(&self) -> Vec<EpochState> {
        let head = self.head();
        let book = self.shared.book();
        let last = book.epochs.len().saturating_sub(1);
        book.epochs
            .iter()
            .enumerate()
            .map(|(index, epoch)| EpochState {
                stream: epoch.manifest.stream.clone(),
                store: epoch.manifest.store,
                head: if index == last { head } else { epoch.head },
                acknowledged: epoch.acknowledged,
                first_kept: epoch
                    .generations
                    .first()
                    .map_or(epoch.head.seq + 1, |entry| entry.begun.before.seq + 1),
                parent: epoch.manifest.parent.clone(),
                carried: epoch.manifest.carried.clone(),
                witness: epoch.witness.map(|witness| witness.acknowledgement(epoch.manifest.stream.clone())),
            })
            .collect()
    }

    /// How far each epoch is, the oldest first: [`Journal::epochs`] without the names.
    pub fn progress(&self) -> Vec<Progress> {
        let head = self.head().seq;
        let book = self.shared.book();
        let last = book.epochs.len().saturating_sub(1);
        book.epochs
            .iter()
            .enumerate()
            .map(|(index, epoch)| Progress {
                epoch: epoch.number(),
                head: if index == last { head } else { epoch.head.seq },
                acknowledged: epoch.acknowledged.seq,
                incarnation: epoch.incarnation,
            })
            .collect()
    }

    /// Facts of all epochs that the centre has not acknowledged.
    pub fn waiting(&self) -> u64 {
        self.progress().iter().map(|epoch| epoch.head.saturating_sub(epoch.acknowledged)).sum()
    }

    /// Ends the writer after what waits, writes the last mark, and closes the stores. The journal then answers
    /// [`JournalError::Closed`].
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.queue.send(Command::Close(done)).await.is_ok() {
            // An error means that the writer has ended already.
            let _ = closed.await;
        }
    }

    /// [`Journal::close`] outside of tokio.
    pub fn close_blocking(&self) {
        let (done, closed) = oneshot::channel();
        if self.queue.blocking_send(Command::Close(done)).is_ok() {
            let _ = closed.blocking_recv();
        }
    }
}

fn prepare(
    act: &NewAct,
    lane: Lane,
) -> Result<(Append, oneshot::Receiver<Result<Committed, JournalError>>), JournalError> {
    if act.act.facts.is_empty() || act.act.facts.len() > record::FACTS_MAX {
        return Err(JournalError::Unwritable);
    }
    // Nothing of a person leaves by the lane that many read (invariant I11), whoever is mistaken.
    if !act.act.facts.iter().all(|fact| fact.body.may_stand_in(lane)) {
        return Err(JournalError::Unwritable);
    }
    let lines = act
        .act
        .facts
        .iter()
        .map(|fact| fact.to_line().map_err(|_| JournalError::Unwritable))
        .collect::<Result<Vec<_>, _>>()?;
    let bytes = lines.iter().map(|line| line.len() + 1).sum::<usize>() + act.attachment.len();
    if bytes > ACT_BYTES_MAX {
        return Err(JournalError::TooLarge { bytes });
    }
    let (answer, answered) = oneshot::channel();
    let draft = record::Draft::new(act.act.id, &lines, &act.attachment);
    Ok((Append { facts: draft.facts(), draft, answer }, answered))
}
