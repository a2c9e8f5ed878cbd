//! In what ways a journal is used while it is recorded.

use std::{sync::Mutex, thread, time::Duration};

use anyhow::{Context as _, Result, anyhow};
use pestle_agent::journal::{Journal, JournalError, Limits, Place, Settings};
use serde::{Deserialize, Serialize};

use super::{
    acts::{self, Size},
    history::Event,
};
use crate::disk::{
    fault::{Failing, Faults, Touch},
    state::Disk,
};
use crate::seeded::Seeded;

/// One way of using a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
pub enum Script {
    /// One till after the other, small acts, a new generation now and then.
    Small,
    /// Acts of many chunks, all in one store.
    Large,
    /// Six tills at once, so that acts share a sync.
    Together,
    /// Eight at once, each with acts of many chunks: more in one sync than a segment of sled's log takes, so that sled copies
    /// what it stored before and writes over where it was.
    Crowded,
    /// Generations that are acknowledged and go.
    Pruning,
    /// Started and ended again and again.
    Restarts,
    /// Syncs fail, and sometimes the fence too.
    Failing,
    /// After a cut: opened, a few more acts, ended.
    Recovery,
}

impl Script {
    /// Those that begin with an empty disk.
    pub const FROM_NOTHING: [Self; 7] = [
        Self::Small,
        Self::Large,
        Self::Together,
        Self::Crowded,
        Self::Pruning,
        Self::Restarts,
        Self::Failing,
    ];

    /// How large the generations are.
    pub fn limits(self) -> Limits {
        let generation_facts = match self {
            Self::Large | Self::Crowded => 100_000,
            Self::Together => 100,
            Self::Pruning => 20,
            Self::Small | Self::Restarts | Self::Failing | Self::Recovery => 60,
        };
        Limits { generation_facts, retention: Duration::ZERO, ..Limits::default() }
    }
}

/// Writes down what happens beside what is done to the disk.
#[derive(Debug)]
pub struct Recorder {
    /// The disk that is used.
    pub disk: Disk,
    events: Mutex<Vec<Event>>,
}

impl Recorder {
    /// Of a disk.
    pub fn new(disk: Disk) -> Self {
        Self { disk, events: Mutex::default() }
    }

    /// It happened now.
    pub fn tell(&self, event: Event) {
        let mut events = self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.disk.note(events.len());
        events.push(event);
    }

    /// All that happened.
    pub fn into_events(self) -> Vec<Event> {
        self.events.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A script that is played.
#[derive(Debug)]
pub struct Player<'a> {
    /// Which.
    pub script: Script,
    /// Where the journal lies, and whose it is.
    pub settings: Settings,
    /// Where it is written down.
    pub recorder: &'a Recorder,
    /// The number of the first act that is new.
    pub first: u32,
}

impl Player<'_> {
    /// Plays it to its end.
    ///
    /// # Errors
    /// Where the journal does what it may not even on a disk that keeps its power.
    pub fn play(&self, seeded: &mut Seeded) -> Result<()> {
        match self.script {
            Script::Small => self.in_one_life(|journal| self.append_all(journal, 0..45, Size::Small)),
            Script::Large => self.in_one_life(|journal| self.append_all(journal, 0..40, Size::Large)),
            Script::Together => self.in_one_life(|journal| {
                self.together(journal, 6, 15, |number| {
                    if number.is_multiple_of(7) { Size::Large } else { Size::Small }
                })
            }),
            Script::Crowded => {
                self.in_one_life(|journal| self.together(journal, 8, 6, |_number| Size::Large))
            }
            Script::Pruning => self.in_one_life(|journal| self.pruning(journal, seeded)),
            Script::Restarts => (0..4).try_for_each(|life| {
                self.in_one_life(|journal| self.append_all(journal, life * 8..life * 8 + 8, Size::Small))
            }),
            Script::Failing => self.in_one_life(|journal| self.failing(journal, seeded)),
            Script::Recovery => self.in_one_life(|journal| {
                self.append_all(journal, 0..4, Size::Small)?;
                self.append_all(journal, 4..6, Size::Large)
            }),
        }
    }

    fn in_one_life(&self, work: impl FnOnce(&Journal) -> Result<()>) -> Result<()> {
        let (journal, report) =
            Journal::open(self.settings.clone(), &acts::stamp()).context("the journal does not open")?;
        if let Some(found) = report.sentences() {
            return Err(anyhow!("a journal that was not damaged says: {found}"));
        }
        let worked = work(&journal);
        journal.close_blocking();
        worked
    }

    fn append_all(&self, journal: &Journal, numbers: std::ops::Range<u32>, size: Size) -> Result<()> {
        numbers.into_iter().try_for_each(|number| self.append(journal, number, size))
    }

    /// Numbers of large acts are odd, so that whoever compares knows.
    fn append(&self, journal: &Journal, number: u32, size: Size) -> Result<()> {
        let number = 2 * (self.first + number) + u32::from(size == Size::Large);
        self.recorder.tell(Event::Submitted { number });
        match journal.append_blocking(acts::act(number, size)) {
            Ok(done) => self.recorder.tell(Event::Told { number, first: done.first.seq, head: done.head }),
            Err(JournalError::Unknown(_)) => {}
            Err(error) if error.is_certain() => self.recorder.tell(Event::Refused { number }),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// So many tills at once, each with so many acts.
    fn together(
        &self,
        journal: &Journal,
        tills: u32,
        acts: u32,
        size: impl Fn(u32) -> Size + Copy + Send + Sync,
    ) -> Result<()> {
        thread::scope(|scope| {
            let sell = |till: u32| {
                (till * acts..(till + 1) * acts)
                    .try_for_each(|number| self.append(journal, number, size(number)))
            };
            let tills: Vec<_> = (0..tills).map(|till| scope.spawn(move || sell(till))).collect();
            tills.into_iter().try_for_each(|till| till.join().map_err(|_| anyhow!("a till panicked"))?)
        })
    }

    fn pruning(&self, journal: &Journal, seeded: &mut Seeded) -> Result<()> {
        for number in 0..45 {
            self.append(journal, number, Size::Small)?;
            if seeded.percent(15) {
                let head = journal.head();
                let word =
                    acts::acknowledgement(journal.stream(), head).map_err(|_| anyhow!("no signature"))?;
                self.recorder.tell(Event::Acknowledged { head });
                journal.acknowledge(&word)?;
            }
            if seeded.percent(15) {
                let folded = seeded.below(journal.head().seq + 1);
                self.recorder.tell(Event::MayPrune { folded });
                journal.prune(&acts::stamp(), Place { epoch: journal.stream().epoch, seq: folded })?;
            }
        }
        Ok(())
    }

    fn failing(&self, journal: &Journal, seeded: &mut Seeded) -> Result<()> {
        let once = |name: &str| {
            let (name, below) = (name.to_owned(), String::new());
            Failing { touch: Touch::Sync, name, below, after: 0, times: 1 }
        };
        for number in 0..40 {
            let mut faults = Faults::default();
            if seeded.percent(20) {
                faults.failing.push(once("db"));
                if seeded.percent(25) {
                    faults.failing.push(once("fence"));
                }
            }
            self.recorder.disk.set_faults(faults);
            self.append(journal, number, if seeded.percent(20) { Size::Large } else { Size::Small })?;
        }
        self.recorder.disk.set_faults(Faults::default());
        Ok(())
    }
}
