//! What the link is told, and what it wants done. Pure.

use pestle_domain::{appeal::Torn, ids::BatchId, wire::batch::RefusalReason};

use super::lane::{Act, Run, StreamKey};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// The journal has more, or streams that the link does not know yet.
    Heads(Vec<Known>),
    /// The broker took us, and we are subscribed.
    Connected,
    /// The connection failed or ended. `random` is any number.
    Disconnected {
        /// What happened, in words.
        why: String,
        /// For the jitter.
        random: u64,
    },
    /// The broker ended the connection because somebody came under the same name.
    TakenOver {
        /// For the jitter.
        random: u64,
    },
    /// A read has ended.
    Read(StreamKey, Vec<Act>),
    /// A read has failed.
    Unreadable(StreamKey, String),
    /// Facts that the centre lacks can never be read again; in words too.
    Torn(StreamKey, Torn, String),
    /// A verified acknowledgement of our own head.
    Acknowledged {
        /// Of which stream.
        stream: StreamKey,
        /// Up to here.
        seq: u64,
        /// Of the centre's database.
        incarnation: u64,
    },
    /// The centre stands elsewhere: `ours` says whether we have its head.
    Rewind {
        /// Of which stream.
        stream: StreamKey,
        /// Which batch did not join.
        batch: BatchId,
        /// Where the centre stands.
        seq: u64,
        /// Whether our own chain has the same value there.
        ours: bool,
    },
    /// The centre has more of a life of the store that is over than this box. It acknowledges nothing by that.
    Ahead {
        /// Of which stream.
        stream: StreamKey,
        /// Up to here.
        seq: u64,
    },
    /// A verified statement names a head that we do not have.
    Contradicted(StreamKey, String),
    /// The centre refuses a batch; `None` when it could not even read which.
    Refused {
        /// Which.
        batch: Option<BatchId>,
        /// Why.
        reason: RefusalReason,
        /// In words.
        message: String,
    },
    /// The centre cannot take anything now.
    Busy {
        /// Wait so long.
        retry_ms: u64,
        /// Or this batch, and what its stream sends, alone.
        alone: Option<BatchId>,
    },
    /// The centre asks where we stand.
    Nudged,
    /// The box is shutting down.
    Drain,
}

/// A stream as the journal knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Which.
    pub stream: StreamKey,
    /// Its last fact.
    pub head: u64,
    /// As far as the centre has it.
    pub acknowledged: u64,
    /// In which life of the centre's database; 0 while none was told.
    pub incarnation: u64,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Open a connection.
    Connect,
    /// Drop the connection that is being opened, and say that it failed.
    GiveUp(String),
    /// Read acts of a stream from a position on.
    Read(StreamKey, u64),
    /// Send these facts as one batch.
    Send(StreamKey, Run),
    /// State all heads.
    StateHeads,
    /// A person should look: logged, counted and shown.
    Alarm(String),
    /// The connection may be closed: nothing more will be sent.
    Finished,
}
