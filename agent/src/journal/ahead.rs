//! The centre has more of an ended epoch than this box, which has lost the rest of it.

use pestle_domain::journal::Head;

use super::Journal;

/// What counts as acknowledged, and in which life of the centre's database, once the chain was compared where an ended epoch ends
/// (`end`), in the life `incarnation`.
pub fn all_there(known: (Head, u64), end: Head, incarnation: u64) -> (Head, u64) {
    (end, incarnation.max(known.1))
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
                    let now = all_there(before, epoch.head, incarnation);
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
