//! What is being done with devices by hand, for the page: what a scanner reads while it is tried, how far it has learned, what
//! came of a print; and the board on which all of it stands.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use pestle_domain::units::UnixMillis;
use pestle_drivers::scanner::{
    learn::{
        learner::{Seen, Step},
        sheet::TestCode,
        verdict::{Fault, Verdict},
    },
    programming::Purpose,
};
use tokio::sync::watch;

use super::trial::Tried;

/// What a page shows of what a scanner read: a person looks at the last few.
const READ_MAX: usize = 5;

/// By the names of devices.
pub type AllWork = BTreeMap<String, Work>;

/// What is done with one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    // Doing => Came
    /// It is under way.
    Doing(String),
    // Came => (gone), Doing, Trying, Learning
    /// What came of it.
    Came(Tried),
    // Trying => Came
    /// A scanner shows what it reads, and sells nothing of it.
    Trying {
        /// Until then.
        until: UnixMillis,
        /// The last few, the newest first.
        read: Vec<String>,
    },
    // Learning => (gone)
    /// A scanner learns, or has.
    Learning(Learning),
}

/// How far a scanner has learned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learning {
    /// Codes of the sheet that were recognised.
    pub read: BTreeSet<TestCode>,
    /// What the last scan was.
    pub last: Option<String>,
    /// Its line is open: what is scanned arrives.
    pub open: bool,
    /// Why it cannot be read just now.
    pub away: Option<String>,
    /// How it ended; `None` while it learns.
    pub end: Option<LearnEnd>,
}

/// How learning ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LearnEnd {
    /// Proved, kept, and in use.
    Proved,
    /// What is wrong, and what mends it.
    NotProved(Vec<(String, &'static [Purpose])>),
    /// Nothing was scanned for so many minutes.
    Silent(u64),
    /// It could not be kept or read: why.
    Failed(String),
}

impl Work {
    /// It has ended, and stands there to be read.
    pub fn has_ended(&self) -> bool {
        match self {
            Self::Came(_) => true,
            Self::Learning(learning) => learning.end.is_some(),
            Self::Doing(_) | Self::Trying { .. } => false,
        }
    }

    /// A scanner read something while it was tried.
    pub fn read(&mut self, words: String) {
        if let Self::Trying { read, .. } = self {
            read.insert(0, words);
            read.truncate(READ_MAX);
        }
    }
}

impl Learning {
    /// Nothing was scanned yet.
    pub fn begin() -> Self {
        Self { read: BTreeSet::new(), last: None, open: false, away: None, end: None }
    }

    /// Takes in a step; the verdict, where it was the last one. Says whether a person did something.
    pub fn step(&mut self, step: Step) -> Option<Verdict> {
        let (code, seen) = match step {
            Step::Done(verdict) => {
                if verdict.faults.is_empty() {
                    self.read.extend(TestCode::ALL);
                }
                return Some(verdict);
            }
            Step::Scan { code, seen } => (code, seen),
        };
        (self.open, self.away) = (true, None);
        let said = match seen {
            Seen::Nothing => return None,
            Seen::Read { code } | Seen::Again { code } => {
                self.read.insert(code);
                format!("Code {code} was recognised.")
            }
            Seen::Changed { code } => {
                format!("Code {code} arrived with other characters than are printed. Scan it once more.")
            }
            Seen::AnotherBarcode => "That was no code of the sheet; nothing of it was sold.".to_owned(),
        };
        self.last = Some(format!("{said} Next: code {code}."));
        None
    }
}

impl LearnEnd {
    /// Of faults, as a page shows them.
    pub fn not_proved(faults: &[Fault]) -> Self {
        Self::NotProved(faults.iter().map(|fault| (fault.to_string(), fault.mended_by())).collect())
    }
}

/// Where each device's work is shown. Cloned handles show on the same board.
#[derive(Debug, Clone)]
pub struct WorkBoard(Arc<watch::Sender<AllWork>>);

impl Default for WorkBoard {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(AllWork::new())))
    }
}

impl WorkBoard {
    /// Shows it.
    pub fn show(&self, name: &str, work: Work) {
        self.0.send_modify(|all| drop(all.insert(name.to_owned(), work)));
    }

    /// Changes what is shown.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Work)) {
        self.0.send_modify(|all| {
            if let Some(work) = all.get_mut(name) {
                change(work);
            }
        });
    }

    /// Begins something with a device with which nothing is done. Says whether it could.
    pub fn begin(&self, name: &str, work: Work) -> bool {
        self.0.send_if_modified(|all| {
            let free = all.get(name).is_none_or(Work::has_ended);
            if free {
                all.insert(name.to_owned(), work);
            }
            free
        })
    }

    /// Puts away what has ended.
    pub fn put_away(&self, name: &str) {
        self.0
            .send_if_modified(|all| all.get(name).is_some_and(Work::has_ended) && all.remove(name).is_some());
    }

    /// Takes it off the board.
    pub fn clear(&self, name: &str) {
        self.0.send_if_modified(|all| all.remove(name).is_some());
    }

    /// What is shown, and each change.
    pub fn watch(&self) -> watch::Receiver<AllWork> {
        self.0.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_shown_as_they_are_recognised_in_any_order() {
        let mut learning = Learning::begin();
        let scan = |code, seen| Step::Scan { code, seen };
        assert_eq!(learning.step(scan(TestCode::A, Seen::Nothing)), None);
        assert_eq!(learning.last, None);
        learning.step(scan(TestCode::A, Seen::Read { code: TestCode::C }));
        learning.step(scan(TestCode::A, Seen::AnotherBarcode));
        assert_eq!(learning.read, BTreeSet::from([TestCode::C]));
        assert!(learning.last.as_ref().is_some_and(|last| last.contains("nothing of it was sold")));
        let done = learning.step(Step::Done(Verdict { learned: None, faults: vec![] }));
        assert!(done.is_some() && learning.read.len() == 4);
    }

    #[test]
    fn with_a_device_one_thing_is_done_at_a_time_and_what_ended_makes_room() {
        let board = WorkBoard::default();
        assert!(board.begin("a", Work::Doing("printing".into())));
        assert!(!board.begin("a", Work::Learning(Learning::begin())));
        board.put_away("a");
        assert!(!board.begin("a", Work::Doing("printing".into())), "only what has ended is put away");
        board.show("a", Work::Came(Tried::Works("printed".into())));
        assert!(board.begin("a", Work::Doing("printing".into())));
        board.clear("a");
        assert!(board.watch().borrow().is_empty());
    }
}
