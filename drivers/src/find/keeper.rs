//! The task that keeps the box's names: it hears that something was plugged in or pulled, looks, and tells each
//! driver where its device is and whether it may be opened.
//!
//! A driver's line that asks here ([`DevicePlace::Kept`](crate::line::place::DevicePlace)) tries again within a
//! second, so a device is in use about a second after it was plugged in.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use pestle_domain::causes::with_causes;
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot, watch,
    },
    task::AbortHandle,
    time::{self, Instant},
};

use super::{
    binding::{Binding, Wanted},
    change::{AnswerError, Change, NoSuchQuestion, Standing},
    device::FoundDevice,
    keeping::Keeping,
    memory::{Forgets, Memory},
    question::{Answer, Asked, Question},
    sysfs::{self, System},
    uevent::Uevents,
};
use crate::device::DeviceName;

/// Changes that may wait for the agent. A flapping device makes ten and is then told no more.
const CHANGES_WAITING_MAX: usize = 256;

/// Answers of people that may wait.
const ANSWERS_WAITING_MAX: usize = 8;

/// How often it looks where the kernel's word is heard: for what the word does not reach, such as a name that a person gave
/// a device by a rule of udev's. A look reads some hundred names: more of them would be the most of what a box does at rest.
const LOOK_WITH_WORD: Duration = Duration::from_secs(60);

/// How often it looks where it is not: a device is to be usable a second after it was plugged in.
const LOOK_WITHOUT_WORD: Duration = Duration::from_secs(1);

/// One plug rings the bell ten times and more, an interface and a layer each.
const BELL_RINGS_FOR: Duration = Duration::from_millis(50);

/// Between two looks that the kernel's word asks for: a device that flaps rings without end.
const LOOKS_APART: Duration = Duration::from_millis(200);

/// How the keeper looks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeeperSettings {
    /// Where.
    pub system: System,
    /// How often, in place of the usual; `None` for the usual.
    pub look_every: Option<Duration>,
}

/// The handle of the keeper. When it and all places are dropped, names are kept no more.
#[derive(Debug)]
pub struct Keeper {
    system: System,
    standings: BTreeMap<DeviceName, watch::Receiver<Standing>>,
    attached: watch::Receiver<Arc<[FoundDevice]>>,
    questions: watch::Receiver<BTreeMap<DeviceName, Asked>>,
    answers: mpsc::Sender<Answered>,
    task: AbortHandle,
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where a kept device is, for a line. Two are the same when they are of one name.
#[derive(Debug, Clone)]
pub struct KeptPlace {
    name: DeviceName,
    system: System,
    standing: watch::Receiver<Standing>,
}

#[derive(Debug)]
struct Answered {
    name: DeviceName,
    asked: Question,
    answer: Answer,
    reply: oneshot::Sender<Result<(), AnswerError>>,
}

/// Starts keeping, without a memory; returns the handle and what changes. Must be called within a tokio runtime.
#[must_use]
pub fn start(settings: KeeperSettings, wanted: Vec<Wanted>) -> (Keeper, mpsc::Receiver<Change>) {
    start_with(settings, wanted, Arc::new(Forgets))
}

/// Starts keeping; what is bound goes to `memory` first. Must be called within a tokio runtime.
#[must_use]
pub fn start_with(
    settings: KeeperSettings,
    wanted: Vec<Wanted>,
    memory: Arc<dyn Memory>,
) -> (Keeper, mpsc::Receiver<Change>) {
    let (changes_out, changes) = mpsc::channel(CHANGES_WAITING_MAX);
    let (answers, answers_in) = mpsc::channel(ANSWERS_WAITING_MAX);
    let (attached_out, attached) = watch::channel(Arc::from(Vec::new()));
    let (questions_out, questions) = watch::channel(BTreeMap::new());
    let mut standings = BTreeMap::new();
    let mut standings_out = BTreeMap::new();
    for one in &wanted {
        let name = &one.name;
        let (out, standing) = watch::channel(Standing::Not(format!("{name} has not been looked for yet")));
        standings.insert(name.clone(), standing);
        standings_out.insert(name.clone(), out);
    }
    let system = settings.system.clone();
    let owner = Owner {
        settings,
        keeping: Keeping::new(wanted),
        memory,
        standings: standings_out,
        attached: attached_out,
        questions: questions_out,
        changes: changes_out,
        unkept: BTreeMap::new(),
        blind: false,
    };
    let task = tokio::spawn(owner.run(answers_in)).abort_handle();
    (Keeper { system, standings, attached, questions, answers, task }, changes)
}

impl Keeper {
    /// Where a device is, for its line. `None` for a name that was not wanted.
    #[must_use]
    pub fn place(&self, name: &DeviceName) -> Option<KeptPlace> {
        let standing = self.standings.get(name)?.clone();
        Some(KeptPlace { name: name.clone(), system: self.system.clone(), standing })
    }

    /// Whether a device may be opened now, and where. `None` for a name that was not wanted.
    #[must_use]
    pub fn standing(&self, name: &DeviceName) -> Option<Standing> {
        Some(self.standings.get(name)?.borrow().clone())
    }

    /// What is attached; changes can be awaited.
    #[must_use]
    pub fn attached(&self) -> watch::Receiver<Arc<[FoundDevice]>> {
        self.attached.clone()
    }

    /// What is asked of people; changes can be awaited.
    #[must_use]
    pub fn questions(&self) -> watch::Receiver<BTreeMap<DeviceName, Asked>> {
        self.questions.clone()
    }

    /// A person has answered what they saw `asked`. When this returns, it is kept and in force.
    ///
    /// # Errors
    /// That is not asked, or not any more; or this is no answer to it; or it cannot be kept, and nothing has changed.
    pub async fn answer(
        &self,
        name: &DeviceName,
        asked: &Question,
        answer: Answer,
    ) -> Result<(), AnswerError> {
        let (reply, replied) = oneshot::channel();
        let none = || NoSuchQuestion::about(name);
        let answered = Answered { name: name.clone(), asked: asked.clone(), answer, reply };
        self.answers.send(answered).await.map_err(|_ended| none())?;
        replied.await.map_err(|_ended| none())?
    }
}

impl KeptPlace {
    /// Whose place it is.
    #[must_use]
    pub fn name(&self) -> &DeviceName {
        &self.name
    }

    /// The device file as of now. What the keeper saw may be a second old, and another device may have the same file
    /// by now, so it is looked at once more.
    ///
    /// # Errors
    /// Why it must not be opened now, for a person.
    pub fn file(&self) -> Result<PathBuf, String> {
        let standing = self.standing.borrow().clone();
        let spot = match standing {
            Standing::Here(spot) => spot,
            Standing::Not(why) => return Err(why),
        };
        let attached = sysfs::scan(&self.system).map_err(|error| with_causes(&error))?;
        match spot.holds(&attached) {
            true => Ok(spot.file),
            false => Err(format!("{} is being unplugged, or was this moment", self.name)),
        }
    }

    /// Can a device that looks the same take its place? One that tells a number of its own cannot be taken for another.
    #[must_use]
    pub fn may_hold_a_twin(&self) -> bool {
        matches!(&*self.standing.borrow(), Standing::Here(spot) if !spot.is_numbered())
    }

    /// Waits until the answer of [`KeptPlace::file`] may be another. Cancel-safe.
    pub async fn changed(&mut self) {
        if self.standing.changed().await.is_err() {
            // Nobody keeps it any more: it stays as it is.
            std::future::pending().await
        }
    }
}

impl PartialEq for KeptPlace {
    fn eq(&self, other: &KeptPlace) -> bool {
        self.name == other.name
    }
}
impl Eq for KeptPlace {}

/// The task behind the handle.
struct Owner {
    settings: KeeperSettings,
    keeping: Keeping,
    memory: Arc<dyn Memory>,
    standings: BTreeMap<DeviceName, watch::Sender<Standing>>,
    attached: watch::Sender<Arc<[FoundDevice]>>,
    questions: watch::Sender<BTreeMap<DeviceName, Asked>>,
    changes: mpsc::Sender<Change>,
    /// Bindings that nobody has read yet, while the others fill the channel: the last of each name is what is to be kept.
    unkept: BTreeMap<DeviceName, Change>,
    /// The kernel's list could not be read when it was looked at last.
    blind: bool,
}

impl Owner {
    async fn run(mut self, mut answers: mpsc::Receiver<Answered>) {
        let mut bell = Uevents::listen()
            .inspect_err(|error| tracing::warn!(%error, "the kernel does not tell of devices; looking every second instead"))
            .ok();
        loop {
            self.look().await;
            let usual = if bell.is_some() { LOOK_WITH_WORD } else { LOOK_WITHOUT_WORD };
            let mut next = Instant::now() + self.settings.look_every.unwrap_or(usual);
            if let Some(rested) = self.keeping.next_look() {
                next = next.min(rested.into());
            }
            let not_before = Instant::now() + LOOKS_APART;
            let changes = self.changes.clone();
            tokio::select! {
                () = time::sleep_until(next) => {}
                Ok(room) = changes.reserve(), if !self.unkept.is_empty() => {
                    if let Some((_name, bound)) = self.unkept.pop_first() {
                        room.send(bound);
                    }
                }
                rung = ring(bell.as_ref()) => match rung {
                    Ok(()) => {
                        time::sleep(BELL_RINGS_FOR).await;
                        time::sleep_until(not_before).await;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "the kernel tells of devices no more; looking every second instead");
                        bell = None;
                    }
                },
                answered = answers.recv() => match answered {
                    None => return,
                    Some(answered) => self.answer(answered).await,
                },
            }
        }
    }

    async fn look(&mut self) {
        let system = self.settings.system.clone();
        // A driver that hangs may hold its attributes: that must not hold up the box.
        let scanned = tokio::task::spawn_blocking(move || sysfs::scan(&system)).await;
        let attached = match scanned {
            Ok(Ok(attached)) => attached,
            Ok(Err(error)) => return self.told_blind(&with_causes(&error)),
            Err(error) => return self.told_blind(&error.to_string()),
        };
        self.blind = false;
        let changes = self.keeping.see(Instant::now().into_std(), attached.clone());
        // What was seen for the first time is used all the same: it is bound anew at the next start.
        if let Err(error) = self.memory.keep(&bound(&changes)).await {
            tracing::error!(error, "which device this is could not be kept");
        }
        self.publish(&attached, changes);
    }

    /// What was seen last stays in force: a list that cannot be read is no empty list.
    fn told_blind(&mut self, error: &str) {
        if !std::mem::replace(&mut self.blind, true) {
            tracing::error!(error, "it is not known which devices are attached");
        }
    }

    async fn answer(&mut self, Answered { name, asked, answer, reply }: Answered) {
        let answered = self.take(&name, &asked, answer).await;
        tracing::info!(device = %name, ?answer, ok = answered.is_ok(), "which device it is was answered");
        let _caller_gave_up = reply.send(answered);
    }

    /// Kept first; nobody is told, and no driver may open anything, before that.
    async fn take(&mut self, name: &DeviceName, asked: &Question, answer: Answer) -> Result<(), AnswerError> {
        if self.keeping.asked(name).is_none_or(|now| now.question != *asked) {
            return Err(NoSuchQuestion::about(name).into());
        }
        let before = self.keeping.clone();
        let mut changes = self.keeping.answer(name, answer)?;
        let attached = self.attached.borrow().clone();
        changes.extend(self.keeping.see(Instant::now().into_std(), attached.to_vec()));
        if let Err(reason) = self.memory.keep(&bound(&changes)).await {
            self.keeping = before;
            return Err(AnswerError::NotKept { name: name.clone(), reason });
        }
        self.publish(&attached, changes);
        Ok(())
    }

    fn publish(&mut self, attached: &[FoundDevice], changes: Vec<Change>) {
        self.attached.send_if_modified(|current| {
            let changed = **current != *attached;
            if changed {
                *current = Arc::from(attached);
            }
            changed
        });
        let asked = self
            .standings
            .keys()
            .filter_map(|name| self.keeping.asked(name).map(|asked| (name.clone(), asked)));
        let asked: BTreeMap<_, _> = asked.collect();
        self.questions.send_if_modified(|current| {
            let changed = *current != asked;
            *current = asked;
            changed
        });
        for (name, out) in &self.standings {
            if let Some(standing) = self.keeping.standing(name) {
                out.send_if_modified(|current| {
                    let changed = *current != standing;
                    *current = standing;
                    changed
                });
            }
        }
        for change in changes {
            tracing::info!(?change, "devices");
            // Keeping goes on even when nobody reads, and what is to be kept is told as soon as somebody does.
            match self.changes.try_send(change) {
                Ok(()) => {}
                Err(TrySendError::Full(Change::Bound { name, binding })) => {
                    self.unkept.insert(name.clone(), Change::Bound { name, binding });
                }
                Err(error) => tracing::error!(%error, "a change of the devices was dropped"),
            }
        }
    }
}

/// What is to be kept of these changes, the last word of each name.
fn bound(changes: &[Change]) -> Vec<(DeviceName, Binding)> {
    let bound = changes.iter().filter_map(|change| match change {
        Change::Bound { name, binding } => Some((name.clone(), binding.clone())),
        _ => None,
    });
    bound.collect::<BTreeMap<_, _>>().into_iter().collect()
}

async fn ring(bell: Option<&Uevents>) -> std::io::Result<()> {
    match bell {
        Some(bell) => bell.heard().await,
        None => std::future::pending().await,
    }
}
