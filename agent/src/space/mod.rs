//! How much room the box's disk has, and what follows from it (invariant I5): [`machine`] decides and is pure, [`trend`] tells
//! how long the room lasts, [`reserve`] is a file that is given up when nothing else is left, [`task`] measures, carries out,
//! and lets go what may go.
//!
//! ```text
//! Plenty ── little room ──► Low ── less ──► Shedding ── hardly any ──► Full
//!    ◄── a quarter more room than what led there ──────────────────────┘
//! ```
//!
//! Low is said. In Shedding readings are shown and not recorded, counted and reported. In Full no new business begins, and what
//! was begun can be ended; for that, and to seal, mark and report, the reserve is there.

pub mod machine;
pub mod reserve;
pub mod task;
pub mod trend;

use serde::Serialize;

/// How much room there is; the last is the worst.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// All goes its way.
    #[default]
    Plenty,
    /// It still takes everything; a person should make room.
    Low,
    /// Readings are not recorded any more.
    Shedding,
    /// No new business.
    Full,
}

impl Level {
    /// As it stands in facts and figures.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plenty => "plenty",
            Self::Low => "low",
            Self::Shedding => "shedding",
            Self::Full => "full",
        }
    }
}

/// How it is, for the counter, the health page and the metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Space {
    /// What follows from it.
    pub level: Level,
    /// Free for the box, in MiB; the reserve is not among it.
    pub free_mib: u64,
    /// How long that lasts as it has been used lately; `None` where nobody can tell, or where it does not get less.
    pub days_left: Option<u32>,
    /// Whether the reserve is there.
    pub reserve: bool,
    /// The last thing that was to be recorded failed for want of room, however much is free.
    pub takes_nothing: bool,
}
