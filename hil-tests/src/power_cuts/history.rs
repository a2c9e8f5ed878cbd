//! What had been told when the power went. Pure.

use std::collections::{BTreeMap, BTreeSet};

use pestle_domain::journal::Head;
use serde::{Deserialize, Serialize};

use crate::disk::op::Op;

/// Something that happened between the journal and whoever uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// An act was handed over.
    Submitted {
        /// Which.
        number: u32,
    },
    /// It was told that an act is recorded.
    Told {
        /// Which.
        number: u32,
        /// Its first fact.
        first: u64,
        /// After its last fact.
        head: Head,
    },
    /// It was told that nothing of an act was recorded.
    Refused {
        /// Which.
        number: u32,
    },
    /// The centre's word was taken.
    Acknowledged {
        /// Up to here.
        head: Head,
    },
    /// Pruning begins: what is folded up to here may go, if it is acknowledged.
    MayPrune {
        /// Up to here.
        folded: u64,
    },
}

/// All that had been told up to a moment.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Acts that were handed over: they may be there.
    pub submitted: BTreeSet<u32>,
    /// Acts that must be there, with their first fact and the head after them.
    pub told: BTreeMap<u32, (u64, Head)>,
    /// Acts that must not be there.
    pub refused: BTreeSet<u32>,
    /// As far as the centre has it.
    pub acknowledged: u64,
    /// As far as facts may be gone.
    pub may_be_gone: u64,
}

impl History {
    /// Of a list of events.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut history = Self::default();
        for event in events {
            match *event {
                Event::Submitted { number } => {
                    history.submitted.insert(number);
                }
                Event::Told { number, first, head } => {
                    history.told.insert(number, (first, head));
                }
                Event::Refused { number } => {
                    history.refused.insert(number);
                }
                Event::Acknowledged { head } => history.acknowledged = history.acknowledged.max(head.seq),
                Event::MayPrune { folded } => {
                    history.may_be_gone = history.may_be_gone.max(folded.min(history.acknowledged));
                }
            }
        }
        history
    }
}

/// The events that had happened before the operation at `cut` of a trace.
pub fn before_cut<'a>(events: &'a [Event], trace: &'a [Op], cut: usize) -> impl Iterator<Item = &'a Event> {
    trace[..cut].iter().filter_map(|op| match op {
        Op::Note(event) => events.get(*event),
        _ => None,
    })
}
