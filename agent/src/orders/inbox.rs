//! Whether orders that came join what this branch has judged. Pure.
//!
//! The log is one chain. A life of the centre's database (an *incarnation*) goes on where the one before it ended, as far as
//! it knew: after a restore that is behind what the branch has judged. So a run of a later life joins wherever the branch
//! once stood, or before the place at which this box took the log up; a run of the same life joins at the head alone.

use pestle_domain::{order::OrderHead, wire::orders::VerifiedOrders};

use super::book::OrderBook;

/// What is to be done with orders that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// They join: those from this index on are new.
    Take {
        /// How many of the first were judged before.
        skip: usize,
    },
    /// This box is new in its branch, and takes up the log behind this order.
    Join(OrderHead),
    /// All of them were judged before.
    Repeat,
    /// They are older than what can be compared, or of an earlier life: they change nothing.
    Stale,
    /// What comes before them is missing: the centre is to be told where the branch stands.
    Gap,
    /// The same life of the centre has other orders in places that were judged. A person decides.
    Fork,
}

/// Judges verified orders against what this branch has judged.
pub fn judge(book: &OrderBook, came: &VerifiedOrders) -> Verdict {
    let (head, before, after) = (book.head(), came.before, came.after());
    if came.orders.is_empty() {
        let is_new = head == OrderHead::START && before.seq > 0;
        return if is_new { Verdict::Join(before) } else { Verdict::Stale };
    }
    if after.incarnation > head.incarnation {
        // What begins a later life behind a place before this box's time in the branch cannot be compared, and passes nothing over:
        // the centre's log has nothing else between the two lives.
        let joins = book.had(before.seq, &before.hash) || book.is_before_memory(&before);
        return if joins { Verdict::Take { skip: 0 } } else { Verdict::Gap };
    }
    if after.incarnation < head.incarnation {
        return if book.had(after.seq, &after.hash) { Verdict::Repeat } else { Verdict::Stale };
    }
    if before.seq > head.seq {
        return Verdict::Gap;
    }
    if before.seq == head.seq {
        return if before.hash == head.hash { Verdict::Take { skip: 0 } } else { Verdict::Fork };
    }
    overlap(book, came)
}

/// They begin behind the head. One comparison covers all that both have, since each value covers all before it.
fn overlap(book: &OrderBook, came: &VerifiedOrders) -> Verdict {
    let (head, after) = (book.head(), came.after());
    let at = head.seq.min(after.seq);
    let own = if at == head.seq { Some(head) } else { book.head_at(after.incarnation, at) };
    let theirs = came.orders.iter().find(|(place, _)| place.seq == at).map(|(place, _)| *place);
    match (own, theirs) {
        (Some(own), Some(theirs)) if own.hash == theirs.hash => match after.seq > head.seq {
            true => Verdict::Take { skip: usize::try_from(at - came.before.seq).unwrap_or(usize::MAX) },
            false => Verdict::Repeat,
        },
        (Some(_), Some(_)) => Verdict::Fork,
        _ => Verdict::Stale,
    }
}
