//! Erasures outlive the database: `<data_dir>/erasures.jsonl`, beside the authority, one line each, only ever appended.
//!
//! A database that is restored from before an erasure has the person's key again. So at every start, before anybody is
//! served, and whenever the database's incarnation has risen, what the file has is done again; and what the file lacks
//! (another gateway erased it) is added to it. A restore of the data folder must leave this file as it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use pestle_domain::{
    causes::with_causes,
    ids::{PersonId, TenantId},
    signature::Hash,
};
use prometheus_client::{metrics::counter::Counter, registry::Registry};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use super::{rules::Why, store};
use crate::{
    app::App,
    authority::keyring::KeyRing,
    db::{Db, DbError, Tx},
    files::{self, FileError},
    ingest, tenancy,
};

/// The file's name.
const FILE: &str = "erasures.jsonl";
/// How often it is looked whether the database was restored, or another gateway erased somebody.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// One erasure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Of which chain.
    pub tenant: TenantId,
    /// Who was erased.
    pub person: PersonId,
    /// When.
    #[serde(with = "moment")]
    pub at: OffsetDateTime,
    /// The user who did it.
    pub by: Uuid,
    /// Why.
    pub why: Why,
    /// Of the letter or the case; may be empty.
    pub reference: Box<str>,
}

/// A moment as people read it (RFC 3339).
mod moment {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _, ser::Error as _};
    use time::{OffsetDateTime, format_description::well_known::Rfc3339};

    pub(super) fn serialize<S: Serializer>(at: &OffsetDateTime, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&at.format(&Rfc3339).map_err(S::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<OffsetDateTime, D::Error> {
        let text = String::deserialize(from)?;
        OffsetDateTime::parse(&text, &Rfc3339).map_err(D::Error::custom)
    }
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ErasuresError {
    /// The disk.
    #[error(transparent)]
    File(#[from] FileError),
    /// A line is not as it was written.
    #[error(
        "line {line} of {} is damaged: restore this file from the latest backup of it. Without it people who were erased could come \
         back with an old database",
        path.display()
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// The file.
#[derive(Debug)]
pub struct Erasures {
    path: PathBuf,
    /// Held while the file is written: one writer.
    writing: Mutex<()>,
    /// Who stands in it, since when. Never held over the disk: whoever reads a patient asks it.
    known: RwLock<BTreeMap<(TenantId, PersonId), OffsetDateTime>>,
    applied_again: Counter,
}

impl Erasures {
    /// Opens the file below `data_dir`; there is none before the first erasure.
    ///
    /// # Errors
    /// [`ErasuresError::File`], [`ErasuresError::Damaged`].
    pub fn open(data_dir: &Path) -> Result<Self, ErasuresError> {
        let path = data_dir.join(FILE);
        let entry = |erasure: Erasure| ((erasure.tenant, erasure.person), erasure.at);
        let known = RwLock::new(read(&path)?.into_iter().map(entry).collect());
        Ok(Self { path, writing: Mutex::new(()), known, applied_again: Counter::default() })
    }

    /// Under its name in the metrics.
    pub fn register(&self, registry: &mut Registry) {
        let help = "People who were erased and had come back with an old database: erased again";
        registry.register("patients_erased_again", help, self.applied_again.clone());
    }

    /// Notes an erasure; when this returns it survives a power cut. One that is there already is not noted again. Blocks
    /// on the disk.
    ///
    /// # Errors
    /// [`ErasuresError::File`].
    pub fn note(&self, erasure: &Erasure) -> Result<(), ErasuresError> {
        let _one_writer = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if self.erased_at(&erasure.tenant, erasure.person).is_some() {
            return Ok(());
        }
        append(&self.path, &line(erasure))?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.insert((erasure.tenant.clone(), erasure.person), erasure.at);
        Ok(())
    }

    /// Since when somebody stands in the file. A database that was restored under a running gateway may have their key
    /// until the task has looked: so this is asked beside it.
    pub fn erased_at(&self, tenant: &TenantId, person: PersonId) -> Option<OffsetDateTime> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&(tenant.clone(), person)).copied()
    }

    /// Does again in the database what the file has, and adds to the file what it lacks.
    ///
    /// # Errors
    /// [`ErasuresError`].
    pub async fn reconcile(self: &Arc<Self>, db: &Db) -> Result<(), ErasuresError> {
        let mut by_tenant: BTreeMap<TenantId, Vec<Erasure>> = BTreeMap::new();
        for erasure in read(&self.path)? {
            by_tenant.entry(erasure.tenant.clone()).or_default().push(erasure);
        }
        let mut tx = db.system().begin().await?;
        let tenants = tenancy::store::tenants(&mut tx).await?;
        tx.commit().await.map_err(DbError::from)?;
        for tenant in tenants {
            let noted = by_tenant.remove(&tenant).unwrap_or_default();
            let done = self.apply(db, &tenant, &noted).await?;
            let file = self.clone();
            let added = tokio::task::spawn_blocking(move || done.iter().try_for_each(|one| file.note(one)));
            added.await.map_err(|_| DbError::lost())??;
        }
        Ok(())
    }

    /// Erases those of `noted` whom the database has not erased; gives all that it has now.
    async fn apply(&self, db: &Db, tenant: &TenantId, noted: &[Erasure]) -> Result<Vec<Erasure>, DbError> {
        let mut tx = db.tenant(tenant).begin().await?;
        let done = store::erasures(&mut tx, tenant).await?;
        tx.commit().await?;
        let known: BTreeSet<PersonId> = done.iter().map(|erasure| erasure.person).collect();
        for erasure in noted.iter().filter(|erasure| !known.contains(&erasure.person)) {
            let mut tx = db.tenant(tenant).begin().await?;
            store::lock_person(&mut tx, tenant, erasure.person).await?;
            store::erase(&mut tx, erasure).await?;
            tx.commit().await?;
            self.applied_again.inc();
            tracing::warn!(%tenant, person = %erasure.person, "somebody who was erased had come back with an old database: erased again");
        }
        Ok(done)
    }
}

/// Since when a person is erased, by this database or by the file: the one may have been restored from before, and the other
/// may not have heard yet of what another gateway did.
///
/// # Errors
/// [`DbError`].
pub async fn erased_at(
    app: &App,
    tx: &mut Tx,
    tenant: &TenantId,
    person: PersonId,
) -> Result<Option<OffsetDateTime>, DbError> {
    match app.erasures.erased_at(tenant, person) {
        Some(at) => Ok(Some(at)),
        None => store::erased_at(tx, person).await,
    }
}

/// The task: reconciles when the database was restored while this gateway runs, and takes over what others erased.
pub async fn run(app: Arc<App>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = None;
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let look = async {
            match look(&app, seen).await {
                Ok(now) => Some(now),
                Err(error) => {
                    tracing::warn!(error = %with_causes(&error), "it cannot be seen now whether all erasures still hold");
                    seen
                }
            }
        };
        tokio::select! {
            () = app.stop.cancelled() => return,
            now = look => seen = now,
        }
    }
}

/// What tells that something has to be done: the database's incarnation, and how many it has erased.
pub type Sign = (u64, i64);

/// Reconciles unless everything is as it was when it was `seen`.
///
/// # Errors
/// [`ErasuresError`].
pub async fn look(app: &App, seen: Option<Sign>) -> Result<Sign, ErasuresError> {
    let mut tx = app.db.system().begin().await?;
    let tenants = tenancy::store::tenants(&mut tx).await?;
    tx.commit().await.map_err(DbError::from)?;
    let (mut incarnation, mut erased) = (0, 0);
    for tenant in &tenants {
        let mut tx = app.db.tenant(tenant).begin().await?;
        incarnation = ingest::store::incarnation(&mut tx).await?;
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM patients.erasure")
            .fetch_one(&mut *tx)
            .await
            .map_err(DbError::from)?;
        erased += count;
        tx.commit().await.map_err(DbError::from)?;
    }
    let now = (incarnation, erased);
    if seen == Some(now) {
        return Ok(now);
    }
    app.erasures.reconcile(&app.db).await?;
    Ok(now)
}

/// At the start, before anybody is served: erasures hold, and the keys that wrap others are here. The latter is said and
/// no more: a centre that cannot read its patients' names still takes its branches' sales.
///
/// # Errors
/// [`ErasuresError`].
pub async fn start(erasures: &Arc<Erasures>, db: &Db, ring: &KeyRing) -> Result<(), ErasuresError> {
    erasures.reconcile(db).await?;
    let mut tx = db.system().begin().await?;
    let tenants = tenancy::store::tenants(&mut tx).await?;
    tx.commit().await.map_err(DbError::from)?;
    for tenant in tenants {
        let mut tx = db.tenant(&tenant).begin().await?;
        for kek in store::keks(&mut tx).await? {
            ring.look_for(&kek);
        }
        tx.commit().await.map_err(DbError::from)?;
    }
    Ok(())
}

/// The JSON, a space, the JSON's SHA-256, and a line end.
fn line(erasure: &Erasure) -> Vec<u8> {
    let json = serde_json::to_string(erasure).unwrap_or_default();
    let hash = Hash::of(json.as_bytes());
    format!("{json} {hash}\n").into_bytes()
}

fn append(path: &Path, line: &[u8]) -> Result<(), FileError> {
    let fresh = !path.exists();
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(files::SECRET)
        .open(path)
        .map_err(FileError::at("open", path))?;
    // What a power cut left of a line that nobody was told of stays a line of its own, and is passed over.
    let torn = !fresh
        && fs::read(path).map_err(FileError::at("read", path))?.last().is_some_and(|last| *last != b'\n');
    if torn {
        file.write_all(b"\n").map_err(FileError::at("write", path))?;
    }
    file.write_all(line).map_err(FileError::at("write", path))?;
    file.sync_all().map_err(FileError::at("flush", path))?;
    if fresh { files::sync_folder(path.parent().unwrap_or(Path::new("."))) } else { Ok(()) }
}

/// What stands in the file. A line that a power cut tore has no whole hash at its end and was never told to anybody; a
/// whole line with a wrong hash is damage.
fn read(path: &Path) -> Result<Vec<Erasure>, ErasuresError> {
    let text = match fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(FileError::at("read", path)(error).into()),
    };
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let damaged = || ErasuresError::Damaged { path: path.to_owned(), line: number + 1 };
        let Some((json, hash)) = line.rsplit_once("} ").map(|(json, hash)| (format!("{json}}}"), hash))
        else {
            continue;
        };
        if hash.len() < 64 {
            continue;
        }
        if Hash::of(json.as_bytes()).to_string() != hash {
            return Err(damaged());
        }
        found.push(serde_json::from_str(&json).map_err(|_| damaged())?);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erasure(byte: u8) -> Erasure {
        Erasure {
            tenant: "acme".parse().unwrap(),
            person: PersonId(Uuid::from_bytes([byte; 16])),
            at: time::macros::datetime!(2026-11-21 12:00 UTC),
            by: Uuid::from_bytes([1; 16]),
            why: Why::Asked,
            reference: "GDPR-1".into(),
        }
    }

    #[test]
    fn what_was_noted_is_there_after_a_restart_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = Erasures::open(folder.path()).unwrap();
        for byte in [1, 2, 1] {
            file.note(&erasure(byte)).unwrap();
        }
        Erasures::open(folder.path()).unwrap().note(&erasure(2)).unwrap();
        assert_eq!(read(&folder.path().join(FILE)).unwrap(), [erasure(1), erasure(2)]);
    }

    #[test]
    fn a_torn_line_is_passed_over_and_a_changed_one_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let whole = line(&erasure(1));
        for length in 0..whole.len() - 1 {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(read(&path).unwrap(), [], "{length} bytes");
        }
        let file = Erasures::open(folder.path()).unwrap();
        file.note(&erasure(2)).unwrap();
        assert_eq!(read(&path).unwrap(), [erasure(2)]);
        file.note(&erasure(3)).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.len() - whole.len() + 5;
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let said = Erasures::open(folder.path()).unwrap_err().to_string();
        assert!(said.contains("line 3") && said.contains("restore"), "{said}");
    }
}
