//! The centre has more of an ended epoch than this box, which has lost the rest of it.

use pestle_domain::journal::Head;

use super::{Journal, ack::compare_lives};

/// What counts as acknowledged, and in which life of the centre's database, once the chain was compared where an ended epoch ends
/// (`end`), in the life `incarnation`. `None` where that life is over: the centre was restored since, and what it had before
/// allows nothing.
pub fn all_there(known: (Head, u64), end: Head, incarnation: u64) -> Option<(Head, u64)> {
    compare_lives(known.1, incarnation).is_ge().then_some((end, incarnation))
}

impl Journal {
    /// The centre has all of an ended epoch that this box has, and perhaps more: its chain was compared where ours ends. What
    /// it says of later facts of that epoch allows nothing here, so that this is noted by itself.
    pub fn all_there(&self, number: u32, incarnation: u64) {
        let current = self.stream().epoch;
        let noted = {
            let mut book = self.shared.book_mut();
            match book.epoch_mut(number) {
                Some(epoch) if number != current => {
                    let before = (epoch.acknowledged, epoch.incarnation);
                    let Some(now) = all_there(before, epoch.head, incarnation) else { return };
                    (epoch.acknowledged, epoch.incarnation) = now;
                    before != now
                }
                _ => return,
            }
        };
        self.shared.heard(number);
        if noted {
            self.shared.acknowledged.send_modify(|count| *count += 1);
            // No fact is new; but the relay is to look again at what is known, and no answer tells it.
            self.shared.head.send_modify(|_| ());
            self.shared.keeper.mark();
        }
    }
}

#[cfg(test)]
mod tests {
    use pestle_domain::{
        journal::{Acknowledgement, Stream},
        signature::{Hash, KeyId, Signature},
    };

    use super::*;
    use crate::journal::{
        Settings,
        ack::Word,
        testing::{act, stamp, stream},
    };

    #[test]
    fn what_an_earlier_life_of_the_centre_had_allows_nothing_in_the_next() {
        let head = |seq| Head { seq, hash: Hash([7; 32]) };
        let end = head(90);
        assert_eq!(all_there((head(40), 3), end, 3), Some((end, 3)));
        assert_eq!(all_there((head(40), 3), end, 4), Some((end, 4)));
        assert_eq!(all_there((head(40), 0), end, 3), Some((end, 3)), "the first that is told");
        assert_eq!(all_there((head(40), 4), end, 3), None);
    }

    #[test]
    fn a_page_that_was_under_way_since_before_the_restore_takes_nothing_back_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let settings = |term| Settings {
            folder: folder.path().to_owned(),
            stream: Stream { term, ..stream() },
            limits: crate::journal::Limits::default(),
        };
        let (first, _) = Journal::open(settings(1), &stamp()).unwrap();
        for number in 1..=4 {
            first.append_blocking(act(number, 2).into()).unwrap();
        }
        let at = |seq| Head { seq, hash: first.hash_at(1, seq).unwrap().unwrap() };
        let (middle, end) = (at(4), first.head());
        first.close_blocking();
        let (journal, _) = Journal::open(settings(2), &stamp()).unwrap();
        let known = || {
            let epoch = journal.epochs().into_iter().find(|epoch| epoch.stream.epoch == 1).unwrap();
            (epoch.acknowledged, journal.progress()[0].incarnation)
        };
        let word = |incarnation, head| {
            let ack = Acknowledgement {
                incarnation,
                stream: stream(),
                head,
                key: KeyId("0011223344556677".into()),
                signature: Signature::from_bytes([1; 64]),
            };
            journal.acknowledge(&ack).unwrap()
        };
        journal.all_there(1, 3);
        assert_eq!(known(), (end, 3));
        assert_eq!(word(4, middle), Word::Restored(middle));
        journal.all_there(1, 3);
        assert_eq!(known(), (middle, 4), "what lies behind it is sent again");
        journal.all_there(1, 4);
        assert_eq!(known(), (end, 4));
        journal.close_blocking();
    }
}
