//! Which urgent acts are to be sent early, as copies, because the ledger has much to send before them. Pure.
//!
//! ```text
//!   noted ──► Waiting ── connected, and facts before it are not even on their way ──► Sent
//!     ▲                                                                                │
//!     └───────────────────────────── the connection ended ────────────────────────────┘
//!   any ── the ledger's own turn has come ──► gone
//! ```

use std::collections::VecDeque;

/// Alerts that may wait. More at once are one trouble, and the ledger brings them all.
const WAITING_MAX: usize = 32;

/// An urgent act in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alert {
    /// In which life of the store.
    pub epoch: u32,
    /// Its first fact.
    pub first: u64,
    /// Its last fact.
    pub last: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Alerts {
    waiting: VecDeque<Alert>,
    sent: Vec<Alert>,
    dropped: u64,
}

impl Alerts {
    /// An urgent act is on the disk.
    pub fn note(&mut self, alert: Alert) {
        self.waiting.push_back(alert);
        self.give_up_the_oldest();
    }

    /// The connection ended: what was sent on it may not have arrived.
    pub fn disconnected(&mut self) {
        for alert in self.sent.drain(..).rev() {
            self.waiting.push_front(alert);
        }
        self.give_up_the_oldest();
    }

    fn give_up_the_oldest(&mut self) {
        while self.waiting.len() > WAITING_MAX {
            self.waiting.pop_front();
            self.dropped += 1;
        }
    }

    /// The next to be sent early over a connection that is up. `on_its_way` says up to which fact the ledger itself has
    /// sent an epoch: what it has reached needs no copy.
    pub fn next(&mut self, on_its_way: impl Fn(u32) -> u64) -> Option<Alert> {
        let later = |alert: &Alert| alert.last > on_its_way(alert.epoch);
        self.waiting.retain(later);
        self.sent.retain(later);
        let behind = |alert: &Alert| alert.first > on_its_way(alert.epoch).saturating_add(1);
        let at = self.waiting.iter().position(behind)?;
        let alert = self.waiting.remove(at)?;
        if self.sent.len() == WAITING_MAX {
            // It went out once; a second time there is no room for it.
            self.sent.remove(0);
            self.dropped += 1;
        }
        self.sent.push(alert);
        Some(alert)
    }

    /// Whether anything waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// How many were given up since the start, because there were too many: before they went out, or for a second time.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(first: u64) -> Alert {
        Alert { epoch: 1, first, last: first + 1 }
    }

    #[test]
    fn an_alert_goes_early_only_while_facts_before_it_are_not_on_their_way() {
        let mut alerts = Alerts::default();
        alerts.note(alert(500));
        assert_eq!(alerts.next(|_| 499), None, "its turn is now");
        assert_eq!(alerts.next(|_| 100), Some(alert(500)));
        assert_eq!(alerts.next(|_| 100), None, "once");
        alerts.note(alert(502));
        assert_eq!(alerts.next(|_| 503), None, "the ledger has sent it");
        assert!(alerts.is_empty());
    }

    #[test]
    fn what_was_sent_on_a_connection_that_ended_is_sent_again_in_its_order() {
        let mut alerts = Alerts::default();
        alerts.note(alert(500));
        alerts.note(alert(510));
        assert_eq!((alerts.next(|_| 1), alerts.next(|_| 1)), (Some(alert(500)), Some(alert(510))));
        alerts.disconnected();
        assert_eq!((alerts.next(|_| 1), alerts.next(|_| 1)), (Some(alert(500)), Some(alert(510))));
        alerts.disconnected();
        assert_eq!(alerts.next(|_| 505), Some(alert(510)), "the ledger has sent the first meanwhile");
    }

    #[test]
    fn a_flood_is_bounded_and_counted() {
        let mut alerts = Alerts::default();
        (0..40).for_each(|index| alerts.note(alert(500 + 2 * index)));
        assert_eq!(alerts.dropped(), 8);
        assert_eq!(alerts.next(|_| 1), Some(alert(516)), "the oldest are given up");
    }

    #[test]
    fn what_is_not_sent_a_second_time_because_too_much_went_out_is_counted() {
        let mut alerts = Alerts::default();
        for index in 0..40 {
            alerts.note(alert(500 + 2 * index));
            assert!(alerts.next(|_| 1).is_some());
        }
        assert_eq!(alerts.dropped(), 8);
    }

    #[test]
    fn alerts_of_a_ledger_that_stands_still_stay_bounded_over_reconnections() {
        let mut alerts = Alerts::default();
        for round in 0..10 {
            for index in 0..20 {
                alerts.note(alert(500 + 40 * round + 2 * index));
                while alerts.next(|_| 1).is_some() {}
            }
            alerts.disconnected();
            assert!(alerts.waiting.len() <= WAITING_MAX && alerts.sent.is_empty());
        }
        assert_eq!(alerts.next(|_| 1), Some(alert(500 + 40 * 9 + 2 * 19 - 2 * 31)), "the latest stay");
        assert_eq!(alerts.dropped(), 200 - 32, "each that is given up is counted");
    }
}
