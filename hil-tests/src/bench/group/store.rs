//! SQLite and redb, each durable before it answers: behind a thread that groups commits as the journal's does, and shared
//! by all tills without it. And sled alone, as the journal uses it, to tell what of the journal's time is its store's.

use std::{
    fs::File,
    path::Path,
    sync::{Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Instant,
};

use anyhow::{Context as _, Result, anyhow};
use pestle_agent::journal::gather::Gathering;
use redb::{Database, Durability, TableDefinition};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

/// As the journal's writer has it.
const GROUP_ACTS_MAX: usize = 64;
/// sled's own file.
const LOG: &str = "db";
const ACTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("acts");

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// With a write-ahead log and `synchronous=FULL`: a commit is synced before it returns.
    Sqlite,
    /// With immediate durability: the same.
    Redb,
    /// Its flush and an `fdatasync`, since the one does not do without the other.
    Sled,
}

#[derive(Debug)]
enum Store {
    Sqlite(Connection),
    Redb(Database),
    Sled(sled::Db, File),
}

impl Store {
    fn open(kind: Kind, folder: &Path) -> Result<Self> {
        Ok(match kind {
            Kind::Sqlite => {
                let connection = Connection::open(folder.join("acts.sqlite"))?;
                connection.pragma_update(None, "journal_mode", "WAL")?;
                connection.pragma_update(None, "synchronous", "FULL")?;
                connection
                    .execute_batch("CREATE TABLE acts (first INTEGER PRIMARY KEY, body BLOB NOT NULL)")?;
                Self::Sqlite(connection)
            }
            Kind::Redb => Self::Redb(Database::create(folder.join("acts.redb"))?),
            Kind::Sled => {
                let store = sled::Config::new().path(folder).flush_every_ms(None).open()?;
                Self::Sled(store, File::open(folder.join(LOG))?)
            }
        })
    }

    /// All in one transaction.
    fn commit<'a>(&mut self, acts: impl Iterator<Item = (u64, &'a [u8])>) -> Result<()> {
        match self {
            Self::Sqlite(connection) => {
                let transaction = connection.transaction()?;
                {
                    let mut insert = transaction.prepare_cached("INSERT INTO acts VALUES (?1, ?2)")?;
                    for (first, body) in acts {
                        insert.execute((i64::try_from(first)?, body))?;
                    }
                }
                transaction.commit()?;
            }
            Self::Redb(database) => {
                let mut transaction = database.begin_write()?;
                transaction.set_durability(Durability::Immediate)?;
                {
                    let mut table = transaction.open_table(ACTS)?;
                    for (first, body) in acts {
                        table.insert(first, body)?;
                    }
                }
                transaction.commit()?;
            }
            Self::Sled(store, log) => {
                for (first, body) in acts {
                    store.insert(first.to_be_bytes(), body)?;
                }
                store.flush()?;
                log.sync_data()?;
            }
        }
        Ok(())
    }
}

struct Waiting {
    body: Vec<u8>,
    answer: oneshot::Sender<Result<()>>,
}

/// Behind a thread that takes what waits into one commit.
#[derive(Debug)]
pub struct Grouped {
    queue: mpsc::Sender<Waiting>,
    writer: JoinHandle<()>,
}

impl Grouped {
    /// A new one in an empty folder.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn open(kind: Kind, folder: &Path) -> Result<Self> {
        let mut store = Store::open(kind, folder)?;
        let (queue, mut waiting) = mpsc::channel::<Waiting>(4 * GROUP_ACTS_MAX);
        let writer = thread::Builder::new().name("group".to_owned()).spawn(move || {
            let mut next = 1;
            let mut group = Vec::with_capacity(GROUP_ACTS_MAX);
            let mut gathering = Gathering::default();
            while gathering.next(&mut waiting, &mut group, GROUP_ACTS_MAX, |_| false) {
                let began = Instant::now();
                let outcome = store.commit((next..).zip(group.iter().map(|one| &*one.body)));
                next += group.len() as u64;
                gathering.committed(group.len(), waiting.len(), began.elapsed());
                for one in group.drain(..) {
                    // Whoever asked waits for it.
                    let _ = one.answer.send(outcome.as_ref().copied().map_err(|error| anyhow!("{error:#}")));
                }
            }
        })?;
        Ok(Self { queue, writer })
    }

    /// Returns once it is on the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn commit(&self, body: Vec<u8>) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        self.queue.blocking_send(Waiting { body, answer }).ok().context("the writer has ended")?;
        answered.blocking_recv().context("the writer has ended")?
    }

    /// Ends the thread and closes the store.
    ///
    /// # Errors
    /// When the thread fell over.
    pub fn close(self) -> Result<()> {
        drop(self.queue);
        self.writer.join().map_err(|_| anyhow!("the writer fell over"))
    }
}

/// Shared by all tills, a transaction for each sale.
#[derive(Debug)]
pub struct Shared(Mutex<Store>);

impl Shared {
    /// A new one in an empty folder.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn open(kind: Kind, folder: &Path) -> Result<Self> {
        Ok(Self(Mutex::new(Store::open(kind, folder)?)))
    }

    /// Returns once it is on the disk.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn commit(&self, first: u64, body: &[u8]) -> Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).commit(std::iter::once((first, body)))
    }
}
