//! How a question is asked and waited for, and how few bytes are written, each within its time.

use tokio::{
    io::AsyncWriteExt as _,
    time::{Instant, timeout_at},
};

use super::{Broken, Session};
use crate::printer::{question::OpenQuestion, status::Question};

/// The line takes nothing, or only a part of what must not be divided.
const TAKES_NO_BYTES: &str = "the printer takes no bytes: check its power and cable";

impl Session {
    /// Until when an answer to a question that is asked now may be waited for.
    pub(super) fn answer_by(&self) -> Instant {
        let usual = Instant::from_std(self.pace.free_at(Instant::now().into_std())) + self.timeouts.answer;
        // While it prints what stands before the question, a full printer holds its line.
        self.job_by.filter(|_| self.address.holds_back()).map_or(usual, |job_by| job_by.max(usual))
    }

    /// Asks, and waits for the answer. False when the printer is known to be in trouble and holds its line.
    pub(super) async fn ask(&mut self, question: Question) -> Result<bool, Broken> {
        if self.held && self.open_question.is_some() {
            return self.ask_again().await.map(|()| false);
        }
        let strays = self.answers.strays;
        let deadline = if self.held { Instant::now() } else { self.answer_by() };
        if self.open_question.is_none() {
            if !self.write_by(&question.bytes(), deadline).await? {
                return self.unanswered(strays);
            }
            self.open_question = Some(OpenQuestion::asked(question, Instant::now().into_std()));
        }
        let deadline = deadline.max(self.answer_by());
        while self.open_question.is_some() {
            if !self.hear_until(deadline).await? {
                return self.unanswered(strays);
            }
        }
        Ok(true)
    }

    /// A printer that was switched off and on has lost the question.
    async fn ask_again(&mut self) -> Result<(), Broken> {
        let now = Instant::now();
        let Some(mut open) = self.open_question.filter(|open| open.is_due_again(now.into_std())) else {
            return Ok(());
        };
        if self.write_by(&open.question.bytes(), now).await? {
            open.asked_again(now.into_std());
            self.open_question = Some(open);
        }
        Ok(())
    }

    fn unanswered(&mut self, strays_before: u64) -> Result<bool, Broken> {
        let answered = self.open_question.is_some_and(|open| open.answered);
        if self.address.holds_back() && self.condition.trouble().is_some() && !answered {
            (self.held, self.untold) = (true, true);
            return Ok(false);
        }
        let text = match (self.answers.strays > strays_before, self.address.holds_back()) {
            (true, _) => {
                "the printer sends what makes no sense: check that its speed and parity are those of its line's settings"
            }
            (false, true) => {
                "the printer does not answer, or holds its line: check that it is switched on, has paper, and its cover is closed; then its cable, and its model's settings"
            }
            (false, false) => {
                "the printer does not answer: check that it is switched on, its cable, and its model's settings"
            }
        };
        Err(Broken(text.to_owned()))
    }

    /// Listens once; false at the deadline, also when the printer never stops sending.
    pub(super) async fn hear_until(&mut self, deadline: Instant) -> Result<bool, Broken> {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        match timeout_at(deadline, self.listen()).await {
            Ok(heard) => heard.map(|()| true),
            Err(_elapsed) => Ok(false),
        }
    }

    /// As many NULs as the longest command has bytes: white in an image, nothing between commands.
    pub(super) async fn end_half_a_command(&mut self) -> Result<(), Broken> {
        let nuls = vec![0; self.model.longest_command()];
        let by = Instant::from_std(self.pace.free_with(Instant::now().into_std(), nuls.len()))
            + self.timeouts.send;
        match self.write_by(&nuls, by).await {
            Ok(true) => Ok(()),
            Err(Broken(reason)) if reason != TAKES_NO_BYTES => Err(Broken(reason)),
            Ok(false) | Err(_) => Err(Broken(
                "the printer still holds half a receipt and takes no bytes: put in paper and close its cover"
                    .to_owned(),
            )),
        }
    }

    pub(super) async fn write_control(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let by = self.answer_by();
        match self.write_by(bytes, by).await? {
            true => Ok(()),
            false => Err(Broken(TAKES_NO_BYTES.to_owned())),
        }
    }

    /// Writes all. False when the line took none of it in time; when it took a part, it is of no use any more.
    async fn write_by(&mut self, bytes: &[u8], by: Instant) -> Result<bool, Broken> {
        let mut sent = 0;
        while sent < bytes.len() {
            match timeout_at(by, self.write.write(&bytes[sent..])).await {
                Ok(Ok(count)) if count > 0 => {
                    sent += count;
                    self.pace.wrote(Instant::now().into_std(), count);
                }
                Ok(Ok(_nothing)) => return Err(Broken("the line to the printer takes nothing".to_owned())),
                Ok(Err(error)) => return Err(Broken(format!("the line to the printer failed ({error})"))),
                Err(_elapsed) if sent == 0 => return Ok(false),
                Err(_elapsed) => return Err(Broken(TAKES_NO_BYTES.to_owned())),
            }
        }
        Ok(true)
    }

    /// Waits until all that was written has left the system.
    pub(super) async fn drain(&mut self, by: Instant) -> Result<(), Broken> {
        match timeout_at(by, self.write.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Broken(format!("the line to the printer failed ({error})"))),
            Err(_elapsed) => Err(Broken(TAKES_NO_BYTES.to_owned())),
        }
    }
}
