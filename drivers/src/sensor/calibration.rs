//! What a probe's certificate says: by how much it is off, since when, and until when that can be believed. Pure.

use std::fmt;

use pestle_domain::units::{Day, MilliCelsius};

use super::{NoData, Reading};

/// More than this is no correction but a broken probe. Probes that are sold for vaccines are within 0.5 °C.
const CORRECTION_MAX: i32 = 5_000;

/// A laboratory needs some weeks; from so many days before it is due people are told.
const DUE_SOON_DAYS: i64 = 30;

/// How a certificate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It holds.
    Holds,
    /// It holds, and is due within 30 days.
    DueSoon,
    /// It holds no longer.
    Overdue,
}

/// A certificate's words on one probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calibration {
    certificate: String,
    date: Day,
    due: Day,
    correction: MilliCelsius,
}

/// Why a calibration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CalibrationError {
    /// Without its number nobody finds the paper.
    #[error("the certificate has no number: write the number that stands on the paper")]
    NoCertificate,
    /// The dates are swapped, most likely.
    #[error("the calibration of {date} is due on {due}: the due date comes after it")]
    DueBeforeDate {
        /// When it was made.
        date: Day,
        /// When the next is due.
        due: Day,
    },
    /// A sign or a unit is wrong, most likely.
    #[error(
        "a correction of {0} is no calibration: write what the certificate says is to be added, in thousandths of a degree, 5000 at the most"
    )]
    TooLarge(MilliCelsius),
}

impl Calibration {
    /// What stands on the paper; `correction` is what must be *added* to what the probe tells.
    ///
    /// # Errors
    /// No number, dates in the wrong order, or a correction that is none.
    pub fn new(
        certificate: impl Into<String>,
        date: Day,
        due: Day,
        correction: MilliCelsius,
    ) -> Result<Calibration, CalibrationError> {
        let certificate = certificate.into();
        if certificate.trim().is_empty() {
            return Err(CalibrationError::NoCertificate);
        }
        if due <= date {
            return Err(CalibrationError::DueBeforeDate { date, due });
        }
        if !(-CORRECTION_MAX..=CORRECTION_MAX).contains(&correction.0) {
            return Err(CalibrationError::TooLarge(correction));
        }
        Ok(Calibration { certificate, date, due, correction })
    }

    /// The certificate's number.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// When the probe was calibrated.
    #[must_use]
    pub fn date(&self) -> Day {
        self.date
    }

    /// The last day on which the certificate holds.
    #[must_use]
    pub fn due(&self) -> Day {
        self.due
    }

    /// How the certificate stands on `today`.
    #[must_use]
    pub fn standing(&self, today: Day) -> Standing {
        let days = (self.due.0 - today.0).whole_days();
        match days {
            ..0 => Standing::Overdue,
            0..=DUE_SOON_DAYS => Standing::DueSoon,
            _ => Standing::Holds,
        }
    }

    /// What is added to what the probe tells.
    #[must_use]
    pub fn correction(&self) -> MilliCelsius {
        self.correction
    }

    /// The reading, corrected. A reason stays a reason.
    ///
    /// # Errors
    /// As the reading.
    pub fn apply(&self, reading: Reading) -> Reading {
        reading.and_then(|told| {
            told.0.checked_add(self.correction.0).map(MilliCelsius).ok_or(NoData::OutOfRange(told.0))
        })
    }

    /// Since when the paper is out of date on `today`, in a sentence; `None` while it holds.
    #[must_use]
    pub fn overdue(&self, today: Day) -> Option<String> {
        (today > self.due).then(|| {
            format!(
                "its calibration (certificate {}) was due on {}: have the probe calibrated, or change it",
                self.certificate, self.due
            )
        })
    }
}

/// As it stands beside a reading and on a report: the correction with its sign and unit, and whose word it is.
impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Calibration { certificate, date, due, correction } = self;
        let milli = correction.0.unsigned_abs();
        let sign = if correction.0 < 0 { "-" } else { "+" };
        let (whole, rest) = (milli / 1_000, milli % 1_000);
        write!(f, "corrected by {sign}{whole}.{rest:03} °C, certificate {certificate} of {date}, due {due}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn calibration(correction: i32) -> Result<Calibration, CalibrationError> {
        Calibration::new("K-1042", day("2026-03-01"), day("2027-03-01"), MilliCelsius(correction))
    }

    #[test]
    fn a_certificate_s_correction_is_applied_and_stated() {
        let probe = calibration(-250).unwrap();
        assert_eq!(probe.apply(Ok(MilliCelsius(8_100))), Ok(MilliCelsius(7_850)));
        assert_eq!(probe.apply(Err(NoData::NoProbe)), Err(NoData::NoProbe));
        assert_eq!(
            probe.to_string(),
            "corrected by -0.250 °C, certificate K-1042 of 2026-03-01, due 2027-03-01"
        );
    }

    #[test]
    fn an_old_certificate_is_told_from_the_day_after_it_was_due() {
        let probe = calibration(0).unwrap();
        assert_eq!(probe.overdue(day("2027-03-01")), None);
        assert!(probe.overdue(day("2027-03-02")).unwrap().contains("K-1042"));
    }

    #[test]
    fn a_certificate_is_due_soon_from_thirty_days_before_until_the_day_itself() {
        let probe = calibration(0).unwrap();
        for (today, expected) in [
            ("2027-01-29", Standing::Holds),
            ("2027-01-30", Standing::DueSoon),
            ("2027-03-01", Standing::DueSoon),
            ("2027-03-02", Standing::Overdue),
        ] {
            assert_eq!(probe.standing(day(today)), expected, "{today}");
        }
    }

    #[test]
    fn a_paper_that_makes_no_sense_is_refused_with_what_to_write() {
        assert!(calibration(25_000).unwrap_err().to_string().contains("25.0 °C is no calibration"));
        let swapped = Calibration::new("K", day("2027-03-01"), day("2026-03-01"), MilliCelsius(0));
        assert!(swapped.unwrap_err().to_string().contains("the due date comes after it"));
        let nameless = Calibration::new(" ", day("2026-03-01"), day("2027-03-01"), MilliCelsius(0));
        assert_eq!(nameless, Err(CalibrationError::NoCertificate));
    }
}
