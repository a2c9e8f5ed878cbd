//! Persons' keys in the branch (invariant I11): made here when a patient is registered, kept until the centre has them,
//! lent by the centre from then on.
//!
//! In reading order: [`kept`] is one key's file; [`custody`] says what follows from the centre's word (pure); [`centre`]
//! is the HTTPS; [`Persons`] is the handle that makes and finds keys and seals with them; [`task`] deposits what waits,
//! asks how leases stand, and drops what is over or erased.
//!
//! A key is on the disk before anything is sealed with it, and anything sealed is sealed before its fact is recorded: a
//! fact whose key is nowhere cannot come about. Keys stand in `<data_dir>/personal/` and nowhere else: not in the
//! journal, so not in an export or a copy of it, and in no log and no figure.

pub mod centre;
pub mod custody;
pub mod kept;
pub mod task;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::rand::SystemRandom;
use pestle_domain::{
    ids::{PersonId, TenantId},
    personal::{self, PatientDetails, PersonKey, PersonalError, Sealed},
    units::UnixMillis,
};
use serde::Serialize;
use tokio::sync::{Notify, watch};

use crate::{centre::Centre, durable_file::FileError};
use centre::AskError;
use kept::{Folder, Found, Kept, State};
use task::RoundError;

/// Why personal fields could not be sealed. What a person sees.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The disk does not take the key.
    #[error(
        "not recorded; the box's disk does not take the patient's key. Free some space or call support, then do it again"
    )]
    Disk(#[source] FileError),
    /// The cipher or the random source.
    #[error("not recorded; {0}")]
    Personal(#[from] PersonalError),
    /// The key is not here and the centre was asked in vain.
    #[error(
        "not recorded; this patient's key is not in this branch, and the centre cannot be asked for it now. Do it again when the centre is reached"
    )]
    Away(#[source] AskError),
    /// The centre does not lend it.
    #[error(
        "not recorded; the centre does not know this patient in this branch, or they were erased. Register them anew"
    )]
    NotLent,
    /// A fault of the program.
    #[error("not recorded; the box failed at it. Do it again; call support if it stays so")]
    Failed(String),
}

/// For whom something is to be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// Somebody new: their key is made.
    New(PersonId),
    /// Somebody who is known: their key is here, or the centre lends it.
    Known(PersonId),
}

/// How the keys of this box stand, for the health page; no key, no name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PersonalState {
    /// Keys that were made here and are not at the centre yet.
    pub waiting: usize,
    /// Keys that the centre lends.
    pub leased: usize,
    /// Keys that the centre does not take, because it has others under their names.
    pub refused: usize,
    /// Files of keys that cannot be read; they are left as they are.
    pub damaged: usize,
    /// Keys that were dropped since the start because their person was erased.
    pub erased: u64,
    /// Keys that were dropped since the start because their lease was over.
    pub ended: u64,
    /// Deposits that the centre has taken since the start.
    pub deposited: u64,
    /// Why the centre could not be asked last.
    pub trouble: Option<String>,
}

impl PersonalState {
    /// What a person should look at, in a sentence.
    pub fn concern(&self) -> Option<String> {
        if self.refused > 0 {
            return Some(format!(
                "The centre has other keys for {} of this branch's patients: their details cannot be read there. Call support.",
                self.refused
            ));
        }
        (self.damaged > 0).then(|| {
            format!(
                "{} files of patients' keys are damaged and left as they are: if the centre does not have these keys, the patients' details are lost. Call support.",
                self.damaged
            )
        })
    }

    /// What waits, in words for the counter.
    pub fn waits(&self) -> Option<String> {
        (self.waiting > 0).then(|| format!("{} of patients' keys wait for the centre", self.waiting))
    }
}

/// What keys need.
#[derive(Debug)]
pub struct PersonsParts {
    /// Where they lie; this box's alone.
    pub folder: PathBuf,
    /// What is sealed is bound to it.
    pub tenant: TenantId,
    /// Who lends them.
    pub centre: Centre,
}

/// The handle.
#[derive(Debug, Clone)]
pub struct Persons(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: Folder,
    tenant: TenantId,
    centre: Centre,
    table: Mutex<Table>,
    state: watch::Sender<PersonalState>,
    /// A key waits that did not before.
    waits: Notify,
    random: SystemRandom,
}

#[derive(Debug, Default)]
struct Table {
    kept: BTreeMap<PersonId, Kept>,
    /// Since the centre was last asked.
    used: BTreeSet<PersonId>,
    /// Their files cannot be read: the centre is asked for the keys, or says that they are to go.
    damaged: BTreeSet<PersonId>,
    /// Files that cannot be read and name nobody.
    nameless: usize,
}

impl Persons {
    /// Reads the keys that are here. Blocks on the disk.
    ///
    /// # Errors
    /// [`FileError::Disk`] when the folder cannot be read; a damaged file is counted and left as it is.
    pub fn open(parts: PersonsParts) -> Result<Self, FileError> {
        let folder = Folder::open(parts.folder)?;
        let Found { kept, damaged, nameless } = folder.load()?;
        let kept = kept.into_iter().map(|kept| (kept.key.person, kept)).collect();
        let persons = Self(Arc::new(Inner {
            folder,
            tenant: parts.tenant,
            centre: parts.centre,
            table: Mutex::new(Table { kept, used: BTreeSet::new(), damaged, nameless }),
            state: watch::Sender::new(PersonalState::default()),
            waits: Notify::new(),
            random: SystemRandom::new(),
        }));
        persons.recount();
        Ok(persons)
    }

    /// How the keys stand, now and after each change.
    pub fn state(&self) -> watch::Receiver<PersonalState> {
        self.0.state.subscribe()
    }

    /// Seals a patient's details. Somebody new gets a key, which is on the disk when this returns.
    ///
    /// # Errors
    /// [`SealError`]; nothing was sealed.
    pub async fn seal(&self, whose: Whose, details: PatientDetails) -> Result<Sealed, SealError> {
        let key = match whose {
            Whose::New(person) => {
                let persons = self.clone();
                let made = tokio::task::spawn_blocking(move || persons.make(person));
                made.await.map_err(|panic| SealError::Failed(panic.to_string()))??
            }
            Whose::Known(person) => match self.use_key(person) {
                Some(key) => key,
                None => self.borrow_key(person).await?,
            },
        };
        let nonce = personal::draw_nonce(&self.0.random)?;
        Ok(details.seal(&key, &self.0.tenant, nonce)?)
    }

    /// Forgets somebody who was erased, whoever says so: the centre when it is asked about leases, or an order of it.
    /// That nothing of them is here is no error.
    ///
    /// # Errors
    /// [`RoundError::Kept`] when the disk refuses; the key may still be there then.
    pub async fn forget(&self, person: PersonId) -> Result<(), RoundError> {
        // Whatever the table says: a file may be there that could not be read, or not yet be in it.
        if self.on_disk(move |persons| persons.drop_key(person)).await? {
            self.change(|state| state.erased += 1);
            tracing::info!(%person, "a patient was erased: the key is gone from this box");
        }
        Ok(())
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, FileError> + Send + 'static,
    ) -> Result<T, RoundError> {
        let persons = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&persons)).await;
        Ok(done.map_err(|panic| RoundError::Failed(panic.to_string()))??)
    }

    /// Makes somebody's first key, and puts it onto the disk.
    fn make(&self, person: PersonId) -> Result<PersonKey, SealError> {
        let key = PersonKey::first(person, &self.0.random)?;
        self.keep(Kept { key: key.clone(), state: State::Waiting }).map_err(SealError::Disk)?;
        self.0.waits.notify_one();
        Ok(key)
    }

    /// A key that is here; its lease is renewed with the next question.
    fn use_key(&self, person: PersonId) -> Option<PersonKey> {
        let mut table = self.table();
        let key = table.kept.get(&person)?.key.clone();
        table.used.insert(person);
        Some(key)
    }

    async fn borrow_key(&self, person: PersonId) -> Result<PersonKey, SealError> {
        let lent = self.0.centre.fetch(person).await.map_err(|error| match error {
            AskError::NotLent => SealError::NotLent,
            other => SealError::Away(other),
        })?;
        let kept = Kept { key: lent.key.clone(), state: State::Leased { until: lent.until } };
        let persons = self.clone();
        let done = tokio::task::spawn_blocking(move || persons.keep(kept));
        done.await.map_err(|panic| SealError::Failed(panic.to_string()))?.map_err(SealError::Disk)?;
        Ok(lent.key)
    }

    /// Puts a key, or its new state, onto the disk and then into use. Blocks.
    fn keep(&self, kept: Kept) -> Result<(), FileError> {
        self.0.folder.put(&kept)?;
        let mut table = self.table();
        table.damaged.remove(&kept.key.person);
        table.kept.insert(kept.key.person, kept);
        drop(table);
        self.recount();
        Ok(())
    }

    /// Forgets a key, and says whether there was anything of it. Blocks.
    fn drop_key(&self, person: PersonId) -> Result<bool, FileError> {
        let removed = self.0.folder.remove(person)?;
        let mut table = self.table();
        table.kept.remove(&person);
        table.used.remove(&person);
        table.damaged.remove(&person);
        drop(table);
        self.recount();
        Ok(removed)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recount(&self) {
        let table = self.table();
        let count = |is: fn(&State) -> bool| table.kept.values().filter(|kept| is(&kept.state)).count();
        let waiting = count(|state| matches!(state, State::Waiting));
        let leased = count(|state| matches!(state, State::Leased { .. }));
        let refused = count(|state| matches!(state, State::Refused));
        let damaged = table.damaged.len() + table.nameless;
        drop(table);
        self.change(|state| {
            (state.waiting, state.leased, state.refused, state.damaged) = (waiting, leased, refused, damaged);
        });
    }

    fn change(&self, change: impl FnOnce(&mut PersonalState)) {
        self.0.state.send_if_modified(|state| {
            let before = state.clone();
            change(state);
            *state != before
        });
    }

    /// Those of which the centre's word is needed or over at `now`, as [`custody`] decides.
    fn due(&self, now: UnixMillis) -> custody::Due {
        let table = self.table();
        custody::due(table.kept.values(), &table.damaged, &table.used, now)
    }
}
