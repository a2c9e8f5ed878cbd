//! What happens next: events in the order of their time, and of their making where the time is the same.

use std::{cmp::Reverse, collections::BinaryHeap};

/// A queue of events.
#[derive(Debug)]
pub struct Scheduler<E> {
    now: u64,
    made: u64,
    heap: BinaryHeap<Reverse<Due<E>>>,
}

#[derive(Debug)]
struct Due<E> {
    at: u64,
    number: u64,
    event: E,
}

impl<E> PartialEq for Due<E> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl<E> Eq for Due<E> {}
impl<E> PartialOrd for Due<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<E> Ord for Due<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl<E> Default for Scheduler<E> {
    fn default() -> Self {
        Self { now: 0, made: 0, heap: BinaryHeap::new() }
    }
}

impl<E> Scheduler<E> {
    /// Milliseconds since the beginning.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Lets something happen at a time; at once, where that has passed.
    pub fn at(&mut self, at: u64, event: E) {
        self.made += 1;
        self.heap.push(Reverse(Due { at: at.max(self.now), number: self.made, event }));
    }

    /// Lets something happen after a while.
    pub fn after(&mut self, ms: u64, event: E) {
        self.at(self.now + ms, event);
    }

    /// The next event; the time is then its time.
    pub fn advance(&mut self) -> Option<E> {
        let Reverse(due) = self.heap.pop()?;
        self.now = due.at;
        Some(due.event)
    }

    /// How many events were ever made.
    pub fn made(&self) -> u64 {
        self.made
    }
}
