//! What is known about epochs and generations besides their contents; small files, synced when they are written.

use std::path::{Path, PathBuf};

use pestle_domain::{
    ids::StoreId,
    journal::{Carried, Head, Parent, Stream},
    units::UnixMillis,
};
use serde::{Deserialize, Serialize};

use super::witness::Witness;

/// `epoch.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochManifest {
    /// Whose facts, with the epoch's number.
    pub stream: Stream,
    /// Drawn when it began.
    pub store: StoreId,
    /// The one before.
    pub parent: Option<Parent>,
    /// What it holds of lives before it; see [`super::carry`]. Older agents wrote none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carried: Vec<Carried>,
}

/// `begun.json`: written before a generation's first fact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// The head before its first fact.
    pub before: Head,
}

/// `sealed.json`: written when a generation takes no more facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The head after its last fact.
    pub last: Head,
    /// How many facts it holds.
    pub facts: u64,
    /// When, by the box's clock. Nothing is decided by it.
    pub at: UnixMillis,
    /// Since when the centre has all of it: retention counts from here. It is not there before that, nor in what older
    /// agents wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Since>,
}

/// When the centre was first seen to have something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// By the box's clock. Nothing is decided by it.
    pub at: UnixMillis,
    /// In which life of the centre's database: an earlier one's word counts no more.
    pub incarnation: u64,
    /// How long the store had been in use ([`super::age`]), in milliseconds. Older agents wrote none, and counted by the clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
}

/// File names.
pub mod file {
    /// [`super::EpochManifest`].
    pub const EPOCH: &str = "epoch.json";
    /// [`super::super::mark`].
    pub const MARK: &str = "mark";
    /// [`super::Begun`].
    pub const BEGUN: &str = "begun.json";
    /// [`super::Sealed`].
    pub const SEALED: &str = "sealed.json";
    /// sled's folder.
    pub const STORE: &str = "store";
    /// [`super::super::age`].
    pub const AGE: &str = "age.json";
    /// [`super::super::told`].
    pub const FINDINGS: &str = "findings.json";
    /// Ends the names of folders that are being removed.
    pub const REMOVED: &str = "removed";
    /// Where epochs are kept that nobody can read.
    pub const DAMAGED: &str = "damaged";
    /// Where an epoch is built out of others ([`super::super::carry`]).
    pub const BUILDING: &str = "building";
    /// Where epochs are kept whose acts were recorded once more in another.
    pub const ASIDE: &str = "aside";
}

/// The folder of an epoch.
pub fn epoch_folder(lane: &Path, epoch: u32) -> PathBuf {
    lane.join(format!("epoch-{epoch:05}"))
}

/// The number in an epoch folder's name.
pub fn parse_epoch_folder(name: &str) -> Option<u32> {
    name.strip_prefix("epoch-")?.parse().ok()
}

/// The folder of the generation that begins with the fact `first`.
pub fn generation_folder(epoch: &Path, first: u64) -> PathBuf {
    epoch.join(format!("generation-{first:016}"))
}

/// The number in a generation folder's name.
pub fn parse_generation_folder(name: &str) -> Option<u64> {
    name.strip_prefix("generation-")?.parse().ok()
}

/// One generation.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its folder.
    pub folder: PathBuf,
    /// What was known at its beginning.
    pub begun: Begun,
    /// Once it takes no more.
    pub sealed: Option<Sealed>,
}

impl Entry {
    /// Its first fact.
    pub fn first(&self) -> u64 {
        self.begun.before.seq + 1
    }

    /// sled's folder.
    pub fn store(&self) -> PathBuf {
        self.folder.join(file::STORE)
    }
}

/// One epoch.
#[derive(Debug, Clone)]
pub struct Epoch {
    /// Its folder.
    pub folder: PathBuf,
    /// What it says of itself.
    pub manifest: EpochManifest,
    /// In order; those that were pruned are not among them.
    pub generations: Vec<Entry>,
    /// After its last fact. Of the current epoch: when the journal was opened.
    pub head: Head,
    /// As far as the centre has it.
    pub acknowledged: Head,
    /// In which life of the centre's database; 0 while none was told.
    pub incarnation: u64,
    /// The centre's last signed word on it.
    pub witness: Option<Witness>,
}

impl Epoch {
    /// Its number.
    pub fn number(&self) -> u32 {
        self.manifest.stream.epoch
    }

    /// The generation that has, or would have, the fact at `seq`.
    pub fn generation_with(&self, seq: u64) -> Option<&Entry> {
        let index = self.generations.partition_point(|entry| entry.first() <= seq);
        index.checked_sub(1).map(|index| &self.generations[index])
    }
}

/// All epochs of a lane; the last is the current one.
#[derive(Debug, Clone)]
pub struct Book {
    /// The oldest first; never empty.
    pub epochs: Vec<Epoch>,
}

impl Book {
    /// The current epoch.
    #[allow(
        clippy::expect_used,
        reason = "a book is made with its current epoch, and none is removed but older ones"
    )]
    pub fn current(&self) -> &Epoch {
        self.epochs.last().expect("a book has at least its current epoch")
    }

    /// The current epoch.
    #[allow(clippy::expect_used, reason = "as above")]
    pub fn current_mut(&mut self) -> &mut Epoch {
        self.epochs.last_mut().expect("a book has at least its current epoch")
    }

    /// The epoch of that number.
    pub fn epoch(&self, number: u32) -> Option<&Epoch> {
        self.epochs.iter().find(|epoch| epoch.number() == number)
    }

    /// The epoch of that number.
    pub fn epoch_mut(&mut self, number: u32) -> Option<&mut Epoch> {
        self.epochs.iter_mut().find(|epoch| epoch.number() == number)
    }
}
