//! The one question that a printer has not answered yet. Pure.

use std::time::Instant;

use super::status::Question;

/// A question that is on its way, or waits behind what the printer does not take.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenQuestion {
    pub(super) question: Question,
    /// How many of its answers have not come. It is asked again where it may have been lost, so there may be several.
    missing: u32,
    /// One of them has come: the printer takes bytes, and the others follow at once or were lost.
    pub(super) answered: bool,
    asked_first: Instant,
    asked_last: Instant,
}

impl OpenQuestion {
    pub(super) fn asked(question: Question, now: Instant) -> OpenQuestion {
        OpenQuestion { question, missing: 1, answered: false, asked_first: now, asked_last: now }
    }

    /// Is it time to ask once more? Each time after twice as long, so that a night without paper fills no buffer.
    pub(super) fn is_due_again(&self, now: Instant) -> bool {
        let waited = self.asked_last.duration_since(self.asked_first);
        let pause = waited.max(std::time::Duration::from_secs(3));
        now.duration_since(self.asked_last) >= pause
    }

    pub(super) fn asked_again(&mut self, now: Instant) {
        self.missing += 1;
        self.asked_last = now;
    }

    /// Takes in an answer; `None` when it was the last one.
    pub(super) fn take_answer(self) -> Option<OpenQuestion> {
        let missing = self.missing.saturating_sub(1);
        (missing > 0).then_some(OpenQuestion { missing, answered: true, ..self })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_question_is_asked_ever_more_seldom_and_is_over_with_its_last_answer() {
        let began = Instant::now();
        let mut open = OpenQuestion::asked(Question::Printer, began);
        let mut asked = vec![];
        for second in 1..=3_600 {
            let now = began + Duration::from_secs(second);
            if open.is_due_again(now) {
                open.asked_again(now);
                asked.push(second);
            }
        }
        assert_eq!(asked, [3, 6, 12, 24, 48, 96, 192, 384, 768, 1_536, 3_072]);
        let mut rest = Some(open);
        for _ in 0..11 {
            rest = rest.and_then(OpenQuestion::take_answer);
            assert!(rest.is_some_and(|open| open.answered));
        }
        assert!(rest.and_then(OpenQuestion::take_answer).is_none());
    }
}
