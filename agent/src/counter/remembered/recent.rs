//! The newest entries of a map, up to a bound: when one too many comes, the oldest goes. Pure.
//!
//! The entries lie in one flat ring in the order in which they came; a table of 32-bit numbers finds them. So an entry costs
//! its own size and some five bytes, and the order costs nothing.

use std::{
    hash::{BuildHasher as _, Hash, RandomState},
    mem,
};

use hashbrown::HashTable;

/// See the module's text.
#[derive(Debug, Clone)]
pub struct Recent<K, V> {
    max: usize,
    /// Once it is full, a ring that begins at `oldest`.
    entries: Vec<(K, V)>,
    oldest: usize,
    /// Indices of `entries`, by their keys' hashes.
    table: HashTable<u32>,
    hasher: RandomState,
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    /// Remembers `max` entries, at least one and fewer than 2³².
    pub fn new(max: usize) -> Self {
        Self {
            max: max.clamp(1, u32::MAX as usize),
            entries: Vec::new(),
            oldest: 0,
            table: HashTable::new(),
            hasher: RandomState::new(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Makes room for `more` entries, up to the bound, so that it does not grow in steps.
    pub fn make_room(&mut self, more: u32) {
        let more = (more as usize).min(self.max - self.entries.len());
        self.entries.reserve_exact(more);
        let Self { entries, table, hasher, .. } = self;
        table.reserve(more, |index| hasher.hash_one(entries[*index as usize].0));
    }

    /// What came last under `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        let index = self.table.find(self.hasher.hash_one(key), |index| self.key(*index) == *key)?;
        Some(&self.entries[*index as usize].1)
    }

    /// Puts `value` under `key`, and returns the one before. A key that is there keeps its place in the order.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let hash = self.hasher.hash_one(key);
        let Self { entries, table, hasher, .. } = self;
        if let Some(index) = table.find(hash, |index| entries[*index as usize].0 == key) {
            return Some(mem::replace(&mut entries[*index as usize].1, value));
        }
        let index = if entries.len() < self.max {
            if entries.len() == entries.capacity() {
                // As a vector grows, but never past the bound.
                let more = entries.len().max(64).min(self.max - entries.len());
                entries.reserve_exact(more);
            }
            entries.push((key, value));
            entries.len() - 1
        } else {
            let index = self.oldest;
            let gone = hasher.hash_one(entries[index].0);
            if let Ok(found) = table.find_entry(gone, |one| *one as usize == index) {
                found.remove();
            }
            entries[index] = (key, value);
            self.oldest = (index + 1) % self.max;
            index
        };
        // Below `max`, which fits.
        let number = u32::try_from(index).unwrap_or(u32::MAX);
        table.insert_unique(hash, number, |index| hasher.hash_one(entries[*index as usize].0));
        None
    }

    /// All, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (newer, older) = self.entries.split_at(self.oldest);
        older.iter().chain(newer).map(|(key, value)| (key, value))
    }

    fn key(&self, index: u32) -> K {
        self.entries[index as usize].0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, VecDeque};

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_map_that_forgets_the_oldest(
            max in 1usize..9, inserted in proptest::collection::vec((0u8..12, any::<u16>()), 0..80),
        ) {
            let mut recent = Recent::new(max);
            let mut map = HashMap::new();
            let mut order = VecDeque::new();
            for (key, value) in inserted {
                let before = map.insert(key, value);
                if before.is_none() {
                    order.push_back(key);
                }
                if order.len() > max {
                    let oldest = order.pop_front().unwrap();
                    map.remove(&oldest);
                }
                prop_assert_eq!(recent.insert(key, value), before);
                prop_assert_eq!((recent.len(), recent.table.len()), (map.len(), map.len()));
                for key in 0..12u8 {
                    prop_assert_eq!(recent.get(&key), map.get(&key));
                }
                let expected: Vec<_> = order.iter().map(|key| (key, &map[key])).collect();
                prop_assert_eq!(recent.iter().collect::<Vec<_>>(), expected);
            }
        }
    }
}
