//! How branch and centre talk: topics both ways, batches of facts, and the small messages beside them.
//!
//! Everything is JSON, one version in the topic (`v1`) and one in each message. Versions are append-only; the files
//! under `tests/golden/` hold the bytes.

pub mod batch;
pub mod export;
pub mod facts;
pub mod message;
pub mod orders;
pub mod topic;

use serde::Serialize;

/// Version of every message that this code writes.
pub const WIRE_VERSION: u16 = 1;

/// Largest message in bytes, on every topic. The broker and both clients are set to it, since an oversize message
/// would be refused for ever.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// A header and the lines that it speaks of, each ended by a line feed.
fn with_lines<'a>(
    header: &impl Serialize,
    lines: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, serde_json::Error> {
    let mut message = serde_json::to_vec(header)?;
    message.push(b'\n');
    for line in lines {
        message.extend_from_slice(line);
        message.push(b'\n');
    }
    Ok(message)
}
