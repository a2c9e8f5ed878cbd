//! The names in all folders of a disk: as programs see them, and which of their changes are not synced yet. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::op::{Node, Place};
use crate::seeded::Seeded;

pub(super) type Folders = BTreeMap<Node, BTreeMap<String, Node>>;

/// A change of names that a power cut may take back, whole.
#[derive(Debug, Clone)]
struct Change {
    /// What each name stands for afterwards.
    sets: Vec<(Place, Option<Node>)>,
    /// Folders that have to be synced before it is durable.
    waits_for: BTreeSet<Node>,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Names {
    now: Folders,
    synced: Folders,
    /// In the order in which they were made.
    changes: Vec<Change>,
}

impl Names {
    /// Names that lie there, all of them synced.
    pub fn synced(folders: Folders) -> Self {
        Self { now: folders.clone(), synced: folders, changes: Vec::new() }
    }

    /// What `place` stands for.
    pub fn get(&self, place: &Place) -> Option<Node> {
        self.now.get(&place.folder)?.get(&place.name).copied()
    }

    /// What is in a folder, by name.
    pub fn list(&self, folder: Node) -> impl Iterator<Item = (&str, Node)> {
        self.now.get(&folder).into_iter().flatten().map(|(name, node)| (name.as_str(), *node))
    }

    /// A new folder, which has no name yet.
    pub fn add_folder(&mut self, folder: Node) {
        self.now.entry(folder).or_default();
    }

    /// A name is given, in place of what had it before.
    pub fn set(&mut self, place: Place, node: Node) {
        self.change(vec![(place, Some(node))]);
    }

    /// A name becomes another.
    pub fn rename(&mut self, from: Place, to: Place) {
        let node = self.get(&from);
        self.change(vec![(from, None), (to, node)]);
    }

    /// A name goes.
    pub fn remove(&mut self, place: Place) {
        self.change(vec![(place, None)]);
    }

    fn change(&mut self, sets: Vec<(Place, Option<Node>)>) {
        sets.iter().for_each(|set| apply(&mut self.now, set));
        let waits_for = sets.iter().map(|(place, _)| place.folder).collect();
        self.changes.push(Change { sets, waits_for });
    }

    /// The names in `folder` are on the disk. A rename from one folder into another is once both were synced.
    pub fn sync(&mut self, folder: Node) {
        let mut open: BTreeSet<Place> = BTreeSet::new();
        let mut left = Vec::new();
        for mut change in std::mem::take(&mut self.changes) {
            change.waits_for.remove(&folder);
            let places = change.sets.iter().map(|(place, _)| place);
            // What is durable, but follows something that is not, waits here for its turn.
            if change.waits_for.is_empty() && places.clone().all(|place| !open.contains(place)) {
                change.sets.iter().for_each(|set| apply(&mut self.synced, set));
            } else {
                open.extend(places.cloned());
                left.push(change);
            }
        }
        self.changes = left;
    }

    /// What a power cut leaves: what is synced, and `keep` in a hundred of what is not.
    pub fn cut(&self, seeded: &mut Seeded, keep: u64) -> Folders {
        let mut left = self.synced.clone();
        for change in &self.changes {
            if change.waits_for.is_empty() || seeded.percent(keep) {
                change.sets.iter().for_each(|set| apply(&mut left, set));
            }
        }
        left
    }

    /// As programs see them.
    pub fn now(&self) -> &Folders {
        &self.now
    }
}

fn apply(folders: &mut Folders, (place, node): &(Place, Option<Node>)) {
    let folder = folders.entry(place.folder).or_default();
    match node {
        Some(node) => folder.insert(place.name.clone(), *node),
        None => folder.remove(&place.name),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(folder: Node, name: &str) -> Place {
        Place { folder, name: name.to_owned() }
    }

    /// Everything that cuts leave in `folder`.
    fn cuts(names: &Names, folder: Node) -> BTreeSet<Vec<(String, Node)>> {
        let left = |seed| names.cut(&mut Seeded::new(seed), 50).remove(&folder).unwrap_or_default();
        (0..200).map(|seed| left(seed).into_iter().collect()).collect()
    }

    fn set(entries: &[&[(&str, Node)]]) -> BTreeSet<Vec<(String, Node)>> {
        let owned = |entries: &&[(&str, Node)]| {
            entries.iter().map(|(name, node)| ((*name).to_owned(), *node)).collect()
        };
        entries.iter().map(owned).collect()
    }

    #[test]
    fn a_rename_over_an_old_name_leaves_the_old_or_the_new_and_never_neither() {
        let mut names = Names::synced([(1, [("a".to_owned(), 5)].into())].into());
        names.set(place(1, "a.part"), 6);
        names.rename(place(1, "a.part"), place(1, "a"));
        let old = [("a", 5)];
        let beside = [("a", 5), ("a.part", 6)];
        assert_eq!(cuts(&names, 1), set(&[&old, &beside, &[("a", 6)]]));
        names.sync(1);
        assert_eq!(cuts(&names, 1), set(&[&[("a", 6)]]));
    }

    #[test]
    fn a_name_is_lost_until_its_folder_is_synced_and_no_other() {
        let mut names = Names::synced(Folders::new());
        names.set(place(1, "a"), 5);
        names.set(place(2, "b"), 6);
        names.sync(2);
        assert_eq!(cuts(&names, 1), set(&[&[], &[("a", 5)]]));
        assert_eq!(cuts(&names, 2), set(&[&[("b", 6)]]));
    }

    #[test]
    fn a_rename_between_folders_happens_in_both_or_in_neither() {
        let mut names = Names::synced([(1, [("a".to_owned(), 5)].into())].into());
        names.rename(place(1, "a"), place(2, "a"));
        names.sync(1);
        for seed in 0..50 {
            let left = names.cut(&mut Seeded::new(seed), 50);
            let there = |folder| left.get(&folder).is_some_and(|names| names.contains_key("a"));
            assert!(there(1) != there(2));
        }
        names.sync(2);
        assert_eq!(cuts(&names, 1), set(&[&[]]));
    }
}
