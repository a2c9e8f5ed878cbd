//! From rows of the event store to a page. Pure.

use pestle_domain::{
    fact::Envelope,
    signature::Hash,
    wire::facts::{PAGE_BYTES_MAX, PAGE_FACTS_MAX},
};

/// A fact as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its number in the stream.
    pub seq: u64,
    /// The chain's value.
    pub hash: Hash,
    /// As it was hashed.
    pub bytes: Vec<u8>,
    /// It stands elsewhere too, and counts there.
    pub again: bool,
}

/// The first of `rows` that make a page: whole acts, at least one, until there is enough. Nothing where the rows are not
/// even one act, which no box writes.
pub fn cut(mut rows: Vec<Stored>) -> Vec<Stored> {
    let (mut bytes, mut whole) = (0usize, 0usize);
    for (count, row) in (1..).zip(&rows) {
        bytes = bytes.saturating_add(row.bytes.len() + 1);
        if whole > 0 && (count > PAGE_FACTS_MAX || bytes > PAGE_BYTES_MAX / 2) {
            break;
        }
        if ends_act(&row.bytes) {
            whole = count;
        }
    }
    rows.truncate(whole);
    rows
}

/// Whether a line is the last of its act. One that this version cannot read stands for itself.
fn ends_act(line: &[u8]) -> bool {
    Envelope::parse(line).map_or(true, |envelope| envelope.of.0 >= envelope.of.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(acts: &[usize], bytes: usize) -> Vec<Stored> {
        let mut rows = Vec::new();
        for facts in acts {
            for part in 1..=*facts {
                let filler = "x".repeat(bytes);
                let line = format!(
                    r#"{{"v":1,"id":"00000000-0000-0000-0000-000000000001","act":"00000000-0000-0000-0000-000000000002","of":[{part},{facts}],"actor":"box","at":{{"boot":"b","mono_ms":1,"wall_ms":1,"clock":"free","business_date":"2026-11-21"}},"kind":"box.x","data":"{filler}"}}"#
                );
                let seq = rows.len() as u64 + 1;
                rows.push(Stored { seq, hash: Hash([0; 32]), bytes: line.into_bytes(), again: false });
            }
        }
        rows
    }

    #[test]
    fn a_page_ends_with_an_act_and_is_never_empty_where_there_is_one() {
        let check = |acts: &[usize], bytes, expected| {
            assert_eq!(cut(rows(acts, bytes)).len(), expected, "{acts:?} of {bytes} bytes");
        };
        check(&[], 0, 0);
        check(&[3, 2], 0, 5);
        check(&[PAGE_FACTS_MAX - 1, 2], 0, PAGE_FACTS_MAX - 1);
        check(&[PAGE_FACTS_MAX + 5, 2], 0, PAGE_FACTS_MAX + 5);
        check(&[1, 2, 1], PAGE_BYTES_MAX / 4, 1);
        check(&[2, 2], PAGE_BYTES_MAX / 2, 2);
        // The rows end within an act: it comes with the next page.
        let mut cut_off = rows(&[2, 3], 0);
        cut_off.truncate(4);
        assert_eq!(cut(cut_off).len(), 2);
    }
}
