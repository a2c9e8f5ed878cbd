//! The disk of a box as the journal uses it, at the level of its protocol: an act counts once it is synced; what was not
//! is on the disk or not after a power cut, as a prefix; the mark is written beside it; generations are sealed, and removed as
//! a whole. How the real journal keeps to that on a real file system is proved by power cuts.

use std::rc::Rc;

use pestle_agent::{
    counter::books::Books,
    journal::{
        Finding, Place, StoredAct,
        age::Age,
        manifest::{Begun, EpochManifest, Sealed},
        mark::Mark,
        record::{Joiner, encode},
    },
};
use pestle_domain::{
    fact::Fact,
    journal::{Carried, Head, Parent},
};

/// A box's disk.
#[derive(Debug, Clone)]
pub struct Disk {
    /// One folder per lane.
    pub lanes: [LaneFolder; 2],
    /// Whether the branch's first stock was recorded here, or in another box before.
    pub stocked: bool,
    /// The books' checkpoints, the older first: what they were once everything up to a place was in them.
    pub checkpoints: [(Books, Place); 2],
}

/// A lane's folder.
#[derive(Debug, Clone, Default)]
pub struct LaneFolder {
    /// The oldest first.
    pub epochs: Vec<EpochFolder>,
    /// What a person set aside: kept, and not sent any more.
    pub aside: Vec<EpochFolder>,
    /// How long it has been in use.
    pub age: Age,
    /// Found, told or not.
    pub findings: Vec<Finding>,
    /// The highest number that any epoch ever had here.
    pub highest: u32,
    /// What the next epoch will hold of those that a person has just set aside.
    pub carries: Option<(Option<Parent>, Vec<Carried>)>,
}

/// An epoch's folder.
#[derive(Debug, Clone)]
pub struct EpochFolder {
    /// What it says of itself.
    pub manifest: EpochManifest,
    /// Generations that were not removed, the oldest first; the last one is written.
    pub generations: Vec<GenerationFolder>,
    /// The mark, as it was synced last.
    pub mark: Mark,
    /// Acts that are synced, of those in the last generation.
    pub synced: usize,
}

/// A generation's folder.
#[derive(Debug, Clone)]
pub struct GenerationFolder {
    /// The head before its first fact.
    pub begun: Begun,
    /// Once it takes no more.
    pub sealed: Option<Sealed>,
    /// Its acts.
    pub acts: Vec<Rc<OnDisk>>,
}

/// An act on the disk, beside what it says: so that it need not be parsed at each simulated start.
#[derive(Debug)]
pub struct OnDisk {
    /// As the journal stores it.
    pub stored: StoredAct,
    /// As it was written.
    pub facts: Vec<Fact>,
    /// Which attempt of a person it is.
    pub attempt: usize,
}

impl OnDisk {
    /// An act in the bytes of the real record.
    pub fn new(facts: &[Fact], lines: &[Vec<u8>], after: &Head, attempt: usize) -> Option<Self> {
        let act = facts.first()?.act;
        let mut joiner = Joiner::default();
        let mut stored = None;
        let confirmed = after.seq.saturating_sub(lines.len() as u64);
        for (key, chunk) in encode(act, confirmed, after, lines, &[]) {
            stored = joiner.push(&key, &chunk).ok()?;
        }
        Some(Self { stored: stored?, facts: facts.to_vec(), attempt })
    }
}

impl EpochFolder {
    /// One without a fact.
    pub fn new(manifest: EpochManifest) -> Self {
        let first = GenerationFolder { begun: Begun { before: Head::EMPTY }, sealed: None, acts: Vec::new() };
        Self { manifest, generations: vec![first], mark: Mark::EMPTY, synced: 0 }
    }

    /// All acts, the oldest first.
    pub fn acts(&self) -> impl DoubleEndedIterator<Item = &Rc<OnDisk>> {
        self.generations.iter().flat_map(|generation| &generation.acts)
    }

    /// Acts that a power cut leaves for certain.
    pub fn synced_acts(&self) -> impl Iterator<Item = &Rc<OnDisk>> {
        let last = self.generations.len().saturating_sub(1);
        self.generations.iter().enumerate().flat_map(move |(index, generation)| {
            let kept = if index == last { self.synced } else { generation.acts.len() };
            generation.acts.iter().take(kept)
        })
    }

    /// The head after the last act that can be read.
    pub fn readable(&self) -> Head {
        let before = self.generations.last().map_or(Head::EMPTY, |generation| generation.begun.before);
        self.acts().next_back().map_or(before, |act| act.stored.after)
    }

    /// The head before the first act that is still here.
    pub fn before_kept(&self) -> Head {
        self.generations.first().map_or(Head::EMPTY, |generation| generation.begun.before)
    }

    /// The power goes: of what was not synced, `kept` acts stay.
    pub fn cut(&mut self, kept: usize) {
        if let Some(last) = self.generations.last_mut() {
            last.acts.truncate(self.synced + kept);
            self.synced = last.acts.len();
        }
    }

    /// The last `count` acts vanish from the written generation, synced or not.
    pub fn lose_tail(&mut self, count: usize) {
        if let Some(last) = self.generations.last_mut() {
            last.acts.truncate(last.acts.len().saturating_sub(count));
            self.synced = self.synced.min(last.acts.len());
        }
    }
}

impl Default for Disk {
    fn default() -> Self {
        let nothing = (Books::default(), Place::START);
        Self { lanes: Default::default(), stocked: false, checkpoints: [nothing.clone(), nothing] }
    }
}

impl Disk {
    /// The books as a start makes them: the newest checkpoint whose facts are in the ledger or have left it, and every act
    /// behind it; or all but the last, as a bug has it.
    pub fn books(&self, without_last: bool) -> Books {
        let belongs = |place: Place| {
            let epoch = self.lanes[0].epochs.iter().find(|epoch| epoch.manifest.stream.epoch == place.epoch);
            epoch.is_none_or(|epoch| epoch.readable().seq >= place.seq)
        };
        let newest = self.checkpoints.iter().rev().find(|(_, place)| belongs(*place));
        let (mut books, place) = newest.cloned().unwrap_or((Books::default(), Place::START));
        let behind = |epoch: &EpochFolder, act: &OnDisk| {
            Place { epoch: epoch.manifest.stream.epoch, seq: act.stored.after.seq } > place
        };
        let mut acts: Vec<&Rc<OnDisk>> = Vec::new();
        for epoch in &self.lanes[0].epochs {
            acts.extend(epoch.acts().filter(|act| behind(epoch, act)));
        }
        if without_last {
            acts.pop();
        }
        for act in acts {
            books.apply(&act.facts, act.stored.attachment());
        }
        books
    }

    /// Everything that is in the ledger is in these books.
    pub fn keep(&mut self, books: &Books) {
        let last = self.lanes[0].epochs.last();
        let place = last.map_or(Place::START, |epoch| Place {
            epoch: epoch.manifest.stream.epoch,
            seq: epoch.readable().seq,
        });
        let [older, newer] = &mut self.checkpoints;
        if newer.1 != place {
            *older = std::mem::replace(newer, (books.clone(), place));
        }
    }

    /// The same where the ledger was recorded anew: no earlier checkpoint is of this ledger.
    pub fn keep_anew(&mut self, books: &Books) {
        self.keep(books);
        self.checkpoints[0] = self.checkpoints[1].clone();
    }

    /// Up to here the ledger may go: both checkpoints have it.
    pub fn safe(&self) -> Place {
        self.checkpoints[0].1
    }

    /// Every folder with acts in it.
    pub fn folders(&self) -> impl Iterator<Item = &EpochFolder> {
        self.lanes.iter().flat_map(|lane| lane.aside.iter().chain(&lane.epochs))
    }
}
