//! What the journal's handles, its writer, its keeper and its readers share.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU64},
    },
    time::{Duration, Instant},
};

use pestle_domain::journal::{Head, Stream};
use tokio::sync::watch;

use super::{
    CommitsTook, Finding, JournalError, Settings, StoreError, age::KeptAge, keeper, manifest::Book,
    stores::Stores, told::Findings,
};

/// Whether the journal's threads work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Life {
    // Running => Closed | Died
    Running,
    Closed,
    /// Why, in words.
    Died(String),
}

/// What writer, keeper and readers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    /// The stream of the current epoch: an epoch never ends while the journal is open.
    pub(crate) stream: Stream,
    pub(crate) book: RwLock<Book>,
    pub(crate) stores: Stores,
    /// The head up to which everything is on the disk.
    pub(crate) committed: Mutex<Head>,
    pub(crate) head: watch::Sender<Head>,
    /// Rises whenever an acknowledgement lets something go.
    pub(crate) acknowledged: watch::Sender<u64>,
    /// When the centre last said of each epoch that it has it.
    heard: Mutex<HashMap<u32, Instant>>,
    /// How long it has been in use.
    pub(super) age: Mutex<KeptAge>,
    /// Why nothing can be recorded just now.
    pub(crate) trouble: watch::Sender<Option<String>>,
    /// Whether that is for want of room.
    pub(crate) out_of_room: AtomicBool,
    pub(crate) life: watch::Sender<Life>,
    /// All that is not as it was written, since the start or not told before it.
    pub(crate) findings: Mutex<Vec<Finding>>,
    /// The same as it is kept for the next start; `None` for whoever only looks.
    pub(crate) kept_findings: Option<Mutex<Findings>>,
    pub(crate) keeper: keeper::Handle,
    pub(crate) counters: Counters,
}

/// What the writer has done since the start, for the metrics.
#[derive(Debug, Default)]
pub struct Counters {
    /// Acts on the disk.
    pub acts: AtomicU64,
    /// Facts on the disk.
    pub facts: AtomicU64,
    /// Groups that shared one sync.
    pub commits: AtomicU64,
    /// Acts that were refused because of the disk.
    pub failures: AtomicU64,
    /// Generations that were sealed.
    pub sealed: AtomicU64,
    /// How long the commits took.
    pub commits_took: CommitsTook,
}

impl Shared {
    pub(super) fn new(
        settings: Settings,
        book: Book,
        stores: Stores,
        keeper: keeper::Handle,
        findings: Vec<Finding>,
    ) -> Self {
        let head = book.current().head;
        Self {
            stream: book.current().manifest.stream.clone(),
            settings,
            book: RwLock::new(book),
            stores,
            committed: Mutex::new(head),
            head: watch::Sender::new(head),
            acknowledged: watch::Sender::new(0),
            heard: Mutex::default(),
            age: Mutex::default(),
            trouble: watch::Sender::new(None),
            out_of_room: AtomicBool::new(false),
            life: watch::Sender::new(Life::Running),
            findings: Mutex::new(findings),
            kept_findings: None,
            keeper,
            counters: Counters::default(),
        }
    }

    pub(crate) fn book(&self) -> RwLockReadGuard<'_, Book> {
        self.book.read().unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn book_mut(&self) -> RwLockWriteGuard<'_, Book> {
        self.book.write().unwrap_or_else(PoisonError::into_inner)
    }
    pub(crate) fn committed(&self) -> MutexGuard<'_, Head> {
        self.committed.lock().unwrap_or_else(PoisonError::into_inner)
    }
    pub(super) fn age(&self) -> MutexGuard<'_, KeptAge> {
        self.age.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// The centre has said that it has an epoch, as far as it was acknowledged.
    pub(super) fn heard(&self, epoch: u32) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(epoch, Instant::now());
    }
    /// Whether it said so within a time.
    pub(super) fn heard_lately(&self, epoch: u32, within: Duration) -> bool {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.get(&epoch).is_some_and(|at| at.elapsed() < within)
    }
    pub(crate) fn found(&self, finding: Finding) {
        tracing::error!(lane = self.stream.lane.as_str(), "{finding}");
        self.keep_findings(|kept| kept.add([finding.clone()]));
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
    }

    /// Changes what is kept for the next start; `change` says whether it is to be written.
    pub(super) fn keep_findings(&self, change: impl FnOnce(&mut Findings) -> bool) {
        let Some(kept) = &self.kept_findings else { return };
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if change(&mut kept)
            && let Err(error) = kept.write(&self.settings.folder)
        {
            tracing::error!(%error, "what was found damaged could not be written down");
        }
    }

    /// A thread of the journal failed: nothing can be recorded any more, and the process is to start anew.
    pub(crate) fn died(&self, why: String) {
        tracing::error!(lane = self.stream.lane.as_str(), "{why}");
        self.trouble.send_replace(Some(JournalError::Died.to_string()));
        self.life.send_replace(Life::Died(why));
    }

    /// What a caller hears whose act was taken and never answered: `taken` says whether the writer may have had it.
    pub(super) fn unanswered(&self, taken: bool) -> JournalError {
        match (&*self.life.borrow(), taken) {
            (Life::Closed, _) => JournalError::Closed,
            (_, false) => JournalError::Died,
            (_, true) => JournalError::Unknown(Arc::new(StoreError::Panicked {
                path: self.settings.folder.clone(),
                what: "the journal's writer ended in the middle".to_owned(),
            })),
        }
    }
}
