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
    lines: impl IntoIterator<Item = &'a [u8], IntoIter: Clone>,
) -> Result<Vec<u8>, serde_json::Error> {
    let lines = lines.into_iter();
    let mut message = serde_json::to_vec(header)?;
    message.push(b'\n');
    message.reserve_exact(lines.clone().map(|line| line.len() + 1).sum());
    for line in lines {
        message.extend_from_slice(line);
        message.push(b'\n');
    }
    Ok(message)
}

/// The lines of a message; the last may lack its line feed.
fn lines_of(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(message.strip_suffix(b"\n").unwrap_or(message));
    std::iter::from_fn(move || {
        let left = rest?;
        let Some(end) = memchr::memchr(b'\n', left) else { return rest.take() };
        rest = Some(&left[end + 1..]);
        Some(&left[..end])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_falls_into_its_lines_whether_or_not_the_last_is_ended() {
        let check = |message: &[u8], expected: &[&str]| {
            let lines: Vec<_> = lines_of(message).map(|line| String::from_utf8_lossy(line)).collect();
            assert_eq!(lines, expected, "{message:?}");
        };
        check(b"header\none\ntwo\n", &["header", "one", "two"]);
        check(b"header\none\ntwo", &["header", "one", "two"]);
        check(b"header\n\n\n", &["header", "", ""]);
        check(b"header", &["header"]);
        check(b"\n", &[""]);
        check(b"", &[""]);
    }
}
