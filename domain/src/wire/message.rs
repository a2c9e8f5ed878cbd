//! The small messages: answers to batches, where a branch stands, birth and death, and the nudge.

use serde::{Deserialize, Serialize};

use super::batch::RefusalReason;
use crate::{
    ids::{BatchId, ConnectionId},
    journal::{Acknowledgement, Head, Stream},
    order::OrderHead,
    units::UnixMillis,
};

/// On `down/ack`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Answer {
    /// The database has it. The only answer that lets anything go.
    Committed(Acknowledgement),
    /// The batch does not join: send from behind this head.
    Rewind {
        /// Which batch.
        batch: BatchId,
        /// Whose.
        #[serde(flatten)]
        stream: Stream,
        /// Where the centre stands.
        #[serde(flatten)]
        head: Head,
    },
    /// The batch cannot be taken.
    Refused {
        /// Which batch; `None` where its header could not be read.
        batch: Option<BatchId>,
        /// Why.
        reason: RefusalReason,
        /// In words, for the log and for a person.
        message: String,
        /// Where the centre stands, if the stream could be told.
        head: Option<Head>,
    },
    /// The centre cannot take anything just now (its database is away), or this one batch alone: try again no sooner than this.
    Busy {
        /// Which batch.
        batch: BatchId,
        /// Milliseconds.
        retry_ms: u64,
        /// The database is there and does not take this one: its stream waits, and nothing else does.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        alone: bool,
    },
}

/// On `up/heads`: said on connect, on a gap, on a nudge and every 30 s. The centre answers with what it has
/// committed of each stream; so a lost acknowledgement heals by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heads {
    /// Version of the wire.
    pub v: u16,
    /// Which connection.
    pub connection: ConnectionId,
    /// Each stream of this box that is not wholly acknowledged and pruned, with its last head.
    pub streams: Vec<StreamHead>,
    /// Facts that wait to be sent or acknowledged.
    pub waiting: u64,
    /// Version of the snapshot in use; 0 for none.
    pub snapshot: u64,
    /// The agent's version.
    pub agent: Box<str>,
    /// The last order that this branch has judged; `None` from an agent that knows no orders. The centre answers with
    /// the orders behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<OrderHead>,
}

/// One stream's last head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamHead {
    /// Which.
    #[serde(flatten)]
    pub stream: Stream,
    /// How far.
    #[serde(flatten)]
    pub head: Head,
}

/// On `status`, retained; the death is the connection's will.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the wire.
    pub v: u16,
    /// Which connection: a death ends only its own.
    pub connection: ConnectionId,
    /// Here or gone.
    pub state: Presence,
    /// When the box said so, by its own clock; in a will, when it connected.
    pub at: UnixMillis,
    /// The agent's version.
    pub agent: Box<str>,
}

/// Here or gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// Born.
    Online,
    /// Dead: said by the broker in the box's name.
    Offline,
}

/// On `down/nudge`: the box should ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Nudge {
    /// State your heads.
    Heads,
    /// A snapshot of this version is there.
    Snapshot {
        /// Its version.
        version: u64,
    },
}
