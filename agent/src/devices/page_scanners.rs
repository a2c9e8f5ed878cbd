//! Scanners that type into a paired page: how each is set up, by the browser that it is plugged in at. What was learned is on
//! the disk before anybody is told, and in use from then on, at whichever till the browser shows.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Instant,
};

use pestle_domain::ids::TillId;
use pestle_drivers::scanner::{
    learn::{
        burst::Burst,
        learner::{Learner, Step},
        settings::Learned,
    },
    page::PageRules,
};

use super::kept::{DeviceFiles, LearnedPage, PageId};
use crate::durable_file::FileError;

/// Browsers whose scanners are remembered: far more than a branch has. The one that was learned first is forgotten first,
/// and its scanner is unproved again.
pub const PAGES_MAX: usize = 64;

/// All of them. Clones are the same.
#[derive(Debug, Clone)]
pub struct PageScanners {
    known: Arc<RwLock<Vec<LearnedPage>>>,
    /// Held while the file is written.
    files: Arc<Mutex<DeviceFiles>>,
}

impl PageScanners {
    /// Those that the box remembers.
    pub fn open(files: DeviceFiles) -> Self {
        Self { known: Arc::new(RwLock::new(files.page_scanners())), files: Arc::new(Mutex::new(files)) }
    }

    /// How what is typed at a browser is read.
    pub fn rules(&self, page: Option<PageId>) -> PageRules {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().find(|one| Some(one.page) == page);
        PageRules { learned: found.map(|one| one.learned.clone()) }
    }

    /// All that is known, the newest last.
    pub fn all(&self) -> Vec<LearnedPage> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps what was learned of a browser's scanner; `None` forgets it. Waits for the disk.
    ///
    /// # Errors
    /// The disk refuses; nothing has changed then.
    pub fn keep(&self, page: PageId, learned: Option<(TillId, Learned)>) -> Result<(), FileError> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.all();
        let mut known: Vec<_> = before.iter().filter(|one| one.page != page).cloned().collect();
        if let Some((till, learned)) = learned {
            known.push(LearnedPage { page, till, learned });
        }
        let first = known.len().saturating_sub(PAGES_MAX);
        known.drain(..first);
        if known != before {
            files.keep_page_scanners(&known)?;
            *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        }
        Ok(())
    }
}

/// What the scans so far teach: the page sends all of them each time, so nothing has to be remembered between two.
pub fn learn(now: Instant, bursts: impl IntoIterator<Item = Burst>, gives_up: bool) -> Step {
    let mut learner = Learner::new();
    let mut step = learner.step();
    for burst in bursts {
        if matches!(step, Step::Done(_)) {
            break;
        }
        step = learner.burst(now, &burst);
    }
    match step {
        Step::Scan { .. } if gives_up => Step::Done(learner.give_up(now)),
        step => step,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pestle_drivers::scanner::learn::settings::{RawLearned, Separator, Wire};
    use uuid::Uuid;

    fn learned() -> Learned {
        let raw = RawLearned {
            wire: Wire::Page { layout: None },
            separator: Separator::F8,
            prefix: String::new(),
            suffix: "\r".into(),
            symbology_ids: false,
        };
        Learned::new(raw).unwrap()
    }

    fn page(number: usize) -> PageId {
        PageId(Uuid::from_u128(u128::try_from(number).unwrap()))
    }

    #[test]
    fn what_was_learned_at_a_browser_outlives_the_program_and_is_of_that_browser_alone() {
        let folder = tempfile::tempdir().unwrap();
        let open = || PageScanners::open(DeviceFiles::of(folder.path()));
        let scanners = open();
        assert_eq!(scanners.rules(Some(page(1))).learned, None);
        scanners.keep(page(1), Some(("till-1".parse().unwrap(), learned()))).unwrap();
        for scanners in [scanners, open()] {
            assert_eq!(scanners.rules(Some(page(1))).learned, Some(learned()));
            assert_eq!(scanners.rules(Some(page(2))).learned, None);
            assert_eq!(scanners.rules(None).learned, None);
        }
        open().keep(page(1), None).unwrap();
        assert_eq!(open().all(), []);
    }

    #[test]
    fn of_too_many_browsers_the_first_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let scanners = PageScanners::open(DeviceFiles::of(folder.path()));
        for number in 0..=PAGES_MAX {
            scanners.keep(page(number), Some(("till-1".parse().unwrap(), learned()))).unwrap();
        }
        assert_eq!(scanners.all().len(), PAGES_MAX);
        assert_eq!(scanners.rules(Some(page(0))).learned, None);
        assert!(scanners.rules(Some(page(PAGES_MAX))).learned.is_some());
    }

    #[test]
    fn what_the_disk_did_not_take_is_not_in_use() {
        let folder = tempfile::tempdir().unwrap();
        // A file where the folder would be.
        std::fs::write(folder.path().join("devices"), "").unwrap();
        let scanners = PageScanners::open(DeviceFiles::of(folder.path()));
        scanners.keep(page(1), Some(("till-1".parse().unwrap(), learned()))).unwrap_err();
        assert_eq!(scanners.rules(Some(page(1))).learned, None);
    }
}
