//! Scans that a scanner typed into a till's page. Pure. They are a till's scans as those of any other scanner; a page that had
//! no answer sends a batch again, and that is no other pack.

use std::collections::VecDeque;

use pestle_domain::ids::TillId;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    command::Said,
    live::Scanned,
    machine::{Branch, Effect, Event, Now},
};

/// What a page calls the keys that it sends in one go: drawn there, and the same when they are sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BatchId(pub Uuid);

/// What a batch came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TypedScan {
    /// A barcode.
    Scan(Scanned),
    /// Something that is no barcode; in words for the page.
    Rejected(String),
}

/// Batches of one till that are known again. A page sends one after the other, and gives each up within seconds: many
/// times what can come in that time, from all the pages of a till.
const REMEMBERED_MAX: usize = 64;

/// The batches that a till has taken, the newest last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batches(VecDeque<BatchId>);

impl Batches {
    /// Remembers a batch; `false` for one that was taken before.
    pub fn take(&mut self, batch: BatchId) -> bool {
        if self.0.contains(&batch) {
            return false;
        }
        if self.0.len() >= REMEMBERED_MAX {
            self.0.pop_front();
        }
        self.0.push_back(batch);
        true
    }
}

impl Branch {
    /// Takes what a page's scanner typed, once.
    pub(super) fn typed_scans(
        &mut self,
        now: &mut Now<'_>,
        till: &TillId,
        batch: BatchId,
        scans: Vec<TypedScan>,
        out: &mut Vec<Effect>,
    ) -> Said {
        if self.tills.get_mut(till).is_some_and(|live| live.typed.take(batch)) {
            for scan in scans {
                let event = match scan {
                    TypedScan::Scan(scanned) => Event::Scanned(till.clone(), scanned),
                    TypedScan::Rejected(words) => Event::ScanRejected(till.clone(), words),
                };
                out.extend(self.handle(now, event));
            }
        }
        // What came of it is on the page.
        Said::words("")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_taken_once_and_so_many_are_remembered() {
        let batch = |number| BatchId(Uuid::from_u128(number));
        let mut batches = Batches::default();
        assert!(batches.take(batch(0)));
        assert!(!batches.take(batch(0)), "sent again");
        let room = u128::try_from(REMEMBERED_MAX).unwrap();
        for number in 1..room {
            assert!(batches.take(batch(number)));
        }
        assert!(!batches.take(batch(0)), "the oldest is still known");
        assert!(batches.take(batch(room)));
        assert_eq!(batches.0.len(), REMEMBERED_MAX);
    }
}
