//! Which day it is, when the clock cannot be believed (invariant I7).
//!
//! ```text
//! clock behind a time that has passed ──► WANTED ──(a person says the date)──► SAID ──(12 h)──► WANTED
//! clock right again ──► the clock's own day, whatever was said
//! ```
//!
//! While the date is wanted no pack goes into a basket and nothing is paid: expiry could not be judged. It is never
//! judged by an earlier day than the one that the clock's floor has certainly reached.

use pestle_domain::{
    fact::{ClockQuality, Stamp},
    units::Day,
};

use super::{
    command::{DateWord, Refused, Said, Why},
    machine::{Branch, Effect, Now},
};

/// How long a said date holds. Nobody told the box when midnight is, so by then another day may have begun.
const SAID_HOLDS_MS: u64 = 12 * 3_600 * 1_000;

/// A date further ahead of the floor than this is a slip of the finger: no box lies in a drawer for longer.
const YEARS_AHEAD_MAX: i32 = 10;

/// A date that a person said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SaidDate {
    day: Day,
    /// Monotonic.
    until_ms: u64,
}

impl Branch {
    /// The day of business by which expiry is judged: at least the one that has certainly begun.
    pub(super) fn today(&self, now: &Now<'_>) -> Day {
        let said = self.said_date(now).map(|said| said.day);
        now.stamp.business_date.max(self.floor_date(now)).max(said.unwrap_or(now.stamp.business_date))
    }

    /// Whether a person has to say the date before anything is sold.
    pub(super) fn date_wanted(&self, now: &Now<'_>) -> bool {
        clock_is_behind(now) && self.said_date(now).is_none()
    }

    /// Refuses while the date is wanted.
    pub(super) fn date_known(&self, now: &Now<'_>) -> Result<(), Refused> {
        if !self.date_wanted(now) {
            return Ok(());
        }
        Err(Refused::new(
            Why::Conflict,
            "The box is not sure of the date, so it cannot tell what has expired. Say today's date on this page, then go on.",
        ))
    }

    /// Takes a person's word on the date, where it is wanted. True when it is known now.
    pub(super) fn take_date(
        &mut self,
        now: &Now<'_>,
        word: DateWord,
        out: &mut Vec<Effect>,
    ) -> Result<bool, Refused> {
        if !self.date_wanted(now) {
            return Ok(true);
        }
        let day = match word {
            DateWord::Silent => return Ok(false),
            DateWord::AsShown => self.today(now),
            DateWord::Is(day) => day,
        };
        let passed = self.floor_date(now);
        if day < passed {
            let text = format!("It is {passed} or later: the box knows that much. Type today's date.");
            return Err(Refused::new(Why::Validation, text));
        }
        if day.0.year() > passed.0.year() + YEARS_AHEAD_MAX {
            let text = format!("{day} is more than {YEARS_AHEAD_MAX} years ahead. Type today's date.");
            return Err(Refused::new(Why::Validation, text));
        }
        self.said_date = Some(SaidDate { day, until_ms: now.mono_ms.saturating_add(SAID_HOLDS_MS) });
        out.extend([Effect::ConfirmDate, Effect::ShowAll]);
        Ok(true)
    }

    /// A person at an open till says the date.
    pub(super) fn confirm_date(
        &mut self,
        now: &Now<'_>,
        word: DateWord,
        out: &mut Vec<Effect>,
    ) -> Result<Said, Refused> {
        self.take_date(now, word, out)?;
        Ok(Said::words(format!("Noted: today is {}.", self.today(now))))
    }

    /// What facts of this moment carry.
    pub(super) fn stamp(&self, now: &Now<'_>) -> Stamp {
        let mut stamp = now.stamp.clone();
        if clock_is_behind(now) && self.said_date(now).is_some() {
            stamp.clock = ClockQuality::Confirmed;
            stamp.business_date = self.today(now);
        }
        stamp
    }

    fn said_date(&self, now: &Now<'_>) -> Option<SaidDate> {
        self.said_date.filter(|said| clock_is_behind(now) && now.mono_ms < said.until_ms)
    }

    fn floor_date(&self, now: &Now<'_>) -> Day {
        self.shop.as_ref().map_or(now.stamp.business_date, |shop| shop.business_date(now.floor))
    }
}

/// Confirmed says that the clock is behind as much as Doubted does.
fn clock_is_behind(now: &Now<'_>) -> bool {
    matches!(now.stamp.clock, ClockQuality::Doubted | ClockQuality::Confirmed)
}
