//! One line per step: what was done, whether it held, how long it took.

use std::time::Instant;

/// Runs steps and tells each outcome.
pub struct Steps<'a> {
    tell: &'a (dyn Fn(&str) + Sync),
    number: u32,
}

impl std::fmt::Debug for Steps<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Steps").field("number", &self.number).finish_non_exhaustive()
    }
}

impl<'a> Steps<'a> {
    /// No step yet.
    pub fn new(tell: &'a (dyn Fn(&str) + Sync)) -> Self {
        Self { tell, number: 0 }
    }

    /// Does one step and tells how it went.
    ///
    /// # Errors
    /// The step's own: what comes after stands on it, so the caller stops there.
    pub async fn step<T>(
        &mut self,
        what: &str,
        doing: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        self.number += 1;
        let begun = Instant::now();
        let outcome = doing.await;
        let word = if outcome.is_ok() { "ok  " } else { "FAIL" };
        (self.tell)(&format!("{word} {:>2}  {what}  ({} ms)", self.number, begun.elapsed().as_millis()));
        if let Err(error) = &outcome {
            (self.tell)(&format!("         {error:#}"));
        }
        outcome
    }

    /// Says what the last step saw.
    pub fn note(&self, what: &str) {
        (self.tell)(&format!("         {what}"));
    }

    /// How many steps were begun.
    pub fn count(&self) -> u32 {
        self.number
    }
}
