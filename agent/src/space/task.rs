//! Measures the room on the disk, carries out what follows from it, and lets go of what may go: by the hour, when the room gets
//! less, and when an acknowledgement or a checkpoint of the books allows more.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    Level, Space,
    machine::{Budget, Effect, Machine, Reading},
    reserve::Reserve,
};
use crate::{
    clock::Clock,
    counter::{
        handle::Counter,
        machine::Event,
        view::{DeviceState, DeviceView},
    },
    journal::{Journal, Place},
};

/// The disk is asked this often. Between two looks the fullest branch writes some kilobytes; what others write is why the
/// borders are megabytes apart.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Old generations are looked for at least this often.
const PRUNE_EVERY: Duration = Duration::from_secs(3_600);
/// And at most this often: acknowledgements come many times a second.
const PRUNE_APART: Duration = Duration::from_secs(10);

/// What it needs.
#[derive(Debug)]
pub struct Parts {
    /// Everything that the box keeps.
    pub data_dir: PathBuf,
    /// Borders and reserve.
    pub budget: Budget,
    /// Everything with an effect.
    pub ledger: Journal,
    /// Readings.
    pub telemetry: Journal,
    /// Who is told.
    pub counter: Counter,
    /// Time.
    pub clock: Arc<Clock>,
    /// For the health page and the metrics.
    pub space: watch::Sender<Space>,
}

/// Runs until `stop`.
pub async fn run(parts: Parts, stop: CancellationToken) {
    let mut task = Task {
        reserve: Reserve::new(&parts.data_dir),
        machine: Machine::new(parts.budget),
        shown: None,
        pruned: None,
        parts,
    };
    let (ledger, counter) = (&task.parts.ledger, &task.parts.counter);
    let (mut trouble, mut acknowledged) = (ledger.watch_trouble(), ledger.watch_acknowledged());
    let mut safe = counter.watch_safe();
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut more_may_go = false;
        tokio::select! {
            _ = look.tick() => {}
            Ok(()) = trouble.changed() => {}
            // What these allow waits until pruning is due again.
            Ok(()) = acknowledged.changed(), if task.may_prune() => more_may_go = true,
            Ok(()) = safe.changed() => more_may_go = true,
            () = stop.cancelled() => return,
        }
        task.look().await;
        task.show_disk().await;
        if more_may_go || task.pruned.is_none_or(|at| at.elapsed() >= PRUNE_EVERY) {
            task.prune().await;
        }
    }
}

struct Task {
    parts: Parts,
    reserve: Reserve,
    machine: Machine,
    /// What the pages show of the disk.
    shown: Option<DeviceView>,
    pruned: Option<Instant>,
}

impl Task {
    fn may_prune(&self) -> bool {
        self.pruned.is_none_or(|at| at.elapsed() >= PRUNE_APART)
    }

    async fn look(&mut self) {
        let (reserve, folder) = (self.reserve.clone(), self.parts.data_dir.clone());
        let no_room = self.parts.ledger.is_out_of_room();
        match blocking(move || read(&folder, &reserve, no_room)).await {
            Some(Ok(reading)) => {
                let now_ms = self.parts.clock.mono_ms();
                for effect in self.machine.handle(now_ms, reading) {
                    self.carry_out(effect).await;
                }
            }
            Some(Err(error)) => tracing::warn!(%error, "the disk does not say how much room it has"),
            None => {}
        }
    }

    async fn carry_out(&mut self, effect: Effect) {
        let reserve = self.reserve.clone();
        match effect {
            Effect::ReleaseReserve => {
                if let Some(Err(error)) = blocking(move || reserve.release()).await {
                    tracing::error!(%error, "the reserve cannot be given up");
                } else {
                    tracing::warn!("the disk is full: the reserve was given up, to end what was begun");
                }
            }
            Effect::MakeReserve(bytes) => {
                if let Some(Err(error)) = blocking(move || reserve.make(bytes)).await {
                    tracing::warn!(%error, "the reserve cannot be made; it is tried again");
                }
            }
            Effect::Prune => self.prune().await,
            Effect::Tell(space) => {
                let level = space.level.as_str();
                if space.level == Level::Plenty {
                    tracing::info!(level, free_mib = space.free_mib, "room on the disk");
                } else {
                    tracing::warn!(level, free_mib = space.free_mib, days_left = ?space.days_left, "room on the disk");
                }
                self.parts.space.send_replace(space);
                self.parts.counter.tell(Event::Space(space)).await;
            }
        }
    }

    /// Shows at the tills how the disk is, once it is not well.
    async fn show_disk(&mut self) {
        let trouble = self.parts.ledger.watch_trouble().borrow().clone();
        let slow = self.parts.ledger.counters().commits_took.slowest_now();
        let view = disk_view(&self.parts.space.borrow(), trouble, slow);
        let changed = match &self.shown {
            None => view.state != DeviceState::Ok,
            Some(shown) => *shown != view,
        };
        if changed {
            self.shown = Some(view.clone());
            self.parts.counter.tell(Event::Device(view, None)).await;
        }
    }

    /// Telemetry is folded into nothing; of the ledger goes what two checkpoints of the books have.
    async fn prune(&mut self) {
        self.pruned = Some(Instant::now());
        let everything = Place { epoch: u32::MAX, seq: u64::MAX };
        let safe = *self.parts.counter.watch_safe().borrow();
        for (journal, folded) in [(&self.parts.ledger, safe), (&self.parts.telemetry, everything)] {
            let (journal, now) = (journal.clone(), self.parts.clock.stamp());
            match blocking(move || journal.prune(&now, folded)).await {
                Some(Ok(0)) | None => {}
                Some(Ok(removed)) => tracing::info!(removed, "old generations of the journal were removed"),
                Some(Err(error)) => {
                    tracing::error!(%error, "old generations of the journal could not be removed");
                }
            }
        }
        if self.parts.ledger.is_held(&self.parts.clock.stamp(), safe) {
            self.parts.counter.keep_books().await;
        }
    }
}

/// Gives up the reserve where the disk is so full that the journals could not even be opened. Blocks on the disk.
pub fn make_room_to_start(data_dir: &Path, budget: Budget) {
    let reserve = Reserve::new(data_dir);
    let Ok(reading) = read(data_dir, &reserve, false) else { return };
    if Machine::new(budget).handle(0, reading).contains(&Effect::ReleaseReserve) {
        match reserve.release() {
            Ok(()) => tracing::warn!("the disk is full: the reserve was given up, to start at all"),
            Err(error) => tracing::error!(%error, "the reserve cannot be given up"),
        }
    }
}

fn read(folder: &Path, reserve: &Reserve, no_room: bool) -> Result<Reading, rustix::io::Errno> {
    let disk = rustix::fs::statvfs(folder)?;
    let (free, total) = (disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize);
    Ok(Reading { free, total, reserve: reserve.bytes(), no_room })
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Some(done),
        Err(panic) => {
            tracing::error!(%panic, "work on the disk failed");
            None
        }
    }
}

/// How the disk stands among what needs a person.
fn disk_view(space: &Space, trouble: Option<String>, slow: Option<Duration>) -> DeviceView {
    let days = match space.days_left {
        Some(days) => format!(", for about {days} days as it goes now"),
        None => String::new(),
    };
    let (state, detail) = match (trouble, slow, space.level) {
        (Some(trouble), ..) => (DeviceState::Away, Some(trouble)),
        (None, _, Level::Full) => (DeviceState::Away, Some(FULL.to_owned())),
        (None, Some(took), _) => {
            let text = format!(
                "the disk is slow ({} s to record something): wait until a sale says that it is recorded, and call support",
                took.as_secs()
            );
            (DeviceState::Trouble, Some(text))
        }
        (None, None, Level::Shedding) => {
            let text = format!(
                "little room is left ({} MiB{days}): temperatures are shown and not recorded any more. Call support now",
                space.free_mib
            );
            (DeviceState::Trouble, Some(text))
        }
        (None, None, Level::Low) => {
            let text =
                format!("room is left for {} MiB{days}: call support. Selling goes on", space.free_mib);
            (DeviceState::Trouble, Some(text))
        }
        (None, None, Level::Plenty) => (DeviceState::Ok, None),
    };
    DeviceView { name: "disk".into(), class: "disk".into(), state, detail }
}

/// What is said, and answered, when no new business can begin.
pub const FULL: &str = "the box's disk is full: no new sale, opening or pay-in. Finish what was begun, close the till, and call support";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_of_the_disk_has_its_word_with_what_to_do() {
        let check = |level, trouble: Option<&str>, slow, state, word: &str| {
            let space =
                Space { level, free_mib: 300, days_left: Some(12), reserve: true, takes_nothing: false };
            let view = disk_view(&space, trouble.map(Into::into), slow);
            assert_eq!(view.state, state, "{view:?}");
            assert!(view.detail.unwrap_or_default().contains(word), "{word}");
        };
        let slow = Some(Duration::from_secs(4));
        check(Level::Plenty, None, None, DeviceState::Ok, "");
        check(Level::Low, None, None, DeviceState::Trouble, "300 MiB, for about 12 days");
        check(Level::Shedding, None, None, DeviceState::Trouble, "not recorded");
        check(Level::Full, None, slow, DeviceState::Away, "no new sale");
        check(Level::Low, None, slow, DeviceState::Trouble, "4 s");
        check(Level::Full, Some("not recorded; read-only"), None, DeviceState::Away, "read-only");
    }
}
