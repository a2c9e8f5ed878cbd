//! The relay: brings every fact to the centre, and lets go of none before the centre's own signed word.
//!
//! [`link`] decides (pure): what is sent when, what an answer means, when to try again; [`event`] is what it is told and what it
//! wants done. [`lane`] is its part for one stream, [`rival`] tells whether another box has this one's name. [`driver`] does: it
//! owns the connection ([`connection`]; [`unreached`] has the words for one that fails), reads the journals and runs the link's effects; [`hand`] keeps the acts on their way and makes batches of them; what is heard is read and verified
//! in [`answers`]. Urgent acts that would have to wait long go early, as copies: [`alerts`] says which, `early` sends them.
//! [`state`] is what others see.

pub mod alerts;
pub mod answers;
pub mod connection;
pub mod driver;
mod early;
pub mod event;
pub mod hand;
pub mod lane;
pub mod link;
pub mod rival;
pub mod state;
pub mod unreached;

use pestle_domain::wire::MESSAGE_BYTES_MAX;

pub use driver::{Relay, RelayParts};
pub use state::{LinkState, Phase};

/// Largest batch in bytes of lines. The header has some 700 bytes; the rest of the message's bound is left to a broker's
/// own overhead.
pub const BATCH_BYTES_MAX: usize = 200 * 1024;

const _: () = assert!(BATCH_BYTES_MAX + 4 * 1024 < MESSAGE_BYTES_MAX);
const _: () = assert!(crate::journal::ACT_BYTES_MAX < BATCH_BYTES_MAX);
