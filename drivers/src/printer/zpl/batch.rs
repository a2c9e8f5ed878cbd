//! Has what was sent been printed? A ZPL printer never says "printed"; it says how much it still has to print. Pure.
//!
//! A batch is believed to be out when the printer says twice in a row that it has nothing more to print, not earlier than
//! the labels could have moved past its head, and when nothing stopped it in between: a person who opens the head or
//! presses PAUSE may as well press CANCEL, which looks just like "printed" from here.

use std::time::Duration;

use super::{super::trouble::LabelTrouble, status::HostStatus};

/// How often in a row it must say that it has nothing more to print.
const IDLE_ANSWERS: u8 = 2;

/// Follows one batch.
#[derive(Debug, Clone, Copy)]
pub struct BatchWatch {
    least: Duration,
    idle_answers: u8,
    trouble: Option<Stop>,
}

#[derive(Debug, Clone, Copy)]
struct Stop {
    trouble: LabelTrouble,
    since: Duration,
    over: bool,
}

/// Where a batch stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Batch {
    // Printing => Printed | Stopped
    /// It is being printed.
    Printing,
    /// It is out.
    Printed,
    // Stopped => Stopped | Interrupted
    /// The printer stands still.
    Stopped {
        /// Why.
        trouble: LabelTrouble,
        /// How long it has stood.
        time: Duration,
    },
    /// It stood still and has nothing more to print: whether all came out, only a person can see.
    Interrupted(LabelTrouble),
}

impl BatchWatch {
    /// A batch that cannot be out before `least`.
    #[must_use]
    pub fn new(least: Duration) -> BatchWatch {
        BatchWatch { least, idle_answers: 0, trouble: None }
    }

    /// Takes in what the printer said `since` the batch was sent.
    pub fn take(&mut self, since: Duration, status: &HostStatus) -> Batch {
        if let Some(trouble) = status.trouble() {
            return self.stopped(since, trouble);
        }
        if let Some(stop) = &mut self.trouble {
            stop.over = true;
        }
        self.idle_answers = if status.idle() { self.idle_answers.saturating_add(1) } else { 0 };
        if self.idle_answers < IDLE_ANSWERS || since < self.least {
            return Batch::Printing;
        }
        self.trouble.map_or(Batch::Printed, |stop| Batch::Interrupted(stop.trouble))
    }

    /// Takes in that it stands still.
    pub fn stopped(&mut self, since: Duration, trouble: LabelTrouble) -> Batch {
        self.idle_answers = 0;
        let began = self.trouble.filter(|stop| !stop.over).map_or(since, |stop| stop.since);
        self.trouble = Some(Stop { trouble, since: began, over: false });
        Batch::Stopped { trouble, time: since.saturating_sub(began) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: HostStatus = HostStatus {
        paper_out: false,
        paused: false,
        label_dots: 280,
        formats_waiting: 0,
        buffer_full: false,
        diagnostic: false,
        partial_format: false,
        settings_lost: false,
        too_cold: false,
        too_hot: false,
        head_open: false,
        ribbon_out: false,
        label_waiting: false,
        labels_remaining: 0,
    };
    const BUSY: HostStatus = HostStatus { labels_remaining: 1, ..IDLE };
    const OPEN: HostStatus = HostStatus { head_open: true, labels_remaining: 1, ..IDLE };

    /// Answers come 200 ms apart; the batch needs half a second.
    fn check(answers: &[HostStatus], expected: Batch) {
        let mut watch = BatchWatch::new(Duration::from_millis(500));
        let mut last = Batch::Printing;
        for (answer, time) in answers.iter().zip((0..).step_by(200)) {
            last = watch.take(Duration::from_millis(time), answer);
        }
        assert_eq!(last, expected, "{answers:?}");
    }

    #[test]
    fn a_batch_is_out_when_the_printer_says_so_twice() {
        check(&[BUSY, BUSY, BUSY, IDLE], Batch::Printing);
        check(&[BUSY, BUSY, BUSY, IDLE, IDLE], Batch::Printed);
        check(&[IDLE, BUSY, IDLE, BUSY, IDLE], Batch::Printing);
    }

    #[test]
    fn a_printer_that_says_so_before_the_label_can_have_moved_is_not_believed() {
        check(&[IDLE, IDLE, IDLE], Batch::Printing);
        check(&[IDLE, IDLE, IDLE, IDLE], Batch::Printed);
    }

    #[test]
    fn after_a_stop_nobody_but_a_person_knows() {
        let time = Duration::from_millis(200);
        check(&[BUSY, OPEN, OPEN], Batch::Stopped { trouble: LabelTrouble::HeadOpen, time });
        check(&[BUSY, OPEN, BUSY, IDLE], Batch::Printing);
        check(&[BUSY, OPEN, BUSY, IDLE, IDLE], Batch::Interrupted(LabelTrouble::HeadOpen));
    }

    #[test]
    fn two_short_stops_do_not_add_up_to_a_long_one() {
        let time = Duration::ZERO;
        check(&[OPEN, BUSY, BUSY, OPEN], Batch::Stopped { trouble: LabelTrouble::HeadOpen, time });
    }
}
