//! What an office printer says about itself and about a job, and what that means. Pure.
//!
//! RFC 8011: 5.4.11 and 5.4.12 (printer-state and its reasons), 5.3.7 and 5.3.8 (job-state and its reasons), 5.3.14.2
//! (time-at-processing), 5.3.18.2 (job-impressions-completed).

use super::super::trouble::{Notice, PageTrouble};

/// What keywords mean: while the printer stands still, and while it prints all the same.
const REASONS: [(&str, PageTrouble, Notice); 18] = [
    ("door-open", PageTrouble::DoorOpen, Notice::Other),
    ("cover-open", PageTrouble::DoorOpen, Notice::Other),
    ("interlock-open", PageTrouble::DoorOpen, Notice::Other),
    ("media-jam", PageTrouble::Jam, Notice::Other),
    ("input-tray-missing", PageTrouble::TrayOut, Notice::PaperLow),
    ("media-empty", PageTrouble::PaperOut, Notice::PaperLow),
    ("media-needed", PageTrouble::PaperWanted, Notice::PaperLow),
    ("toner-empty", PageTrouble::TonerOut, Notice::TonerLow),
    ("marker-supply-empty", PageTrouble::TonerOut, Notice::TonerLow),
    ("output-area-full", PageTrouble::OutputFull, Notice::OutputNearlyFull),
    ("paused", PageTrouble::Paused, Notice::Other),
    ("moving-to-paused", PageTrouble::Paused, Notice::Other),
    ("shutdown", PageTrouble::Offline, Notice::Other),
    ("stopping", PageTrouble::Offline, Notice::Other),
    ("media-low", PageTrouble::Other, Notice::PaperLow),
    ("toner-low", PageTrouble::Other, Notice::TonerLow),
    ("marker-supply-low", PageTrouble::Other, Notice::TonerLow),
    ("output-area-almost-full", PageTrouble::OutputFull, Notice::OutputNearlyFull),
];

/// How a printer says that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrinterState {
    /// 3: a job would begin at once.
    Idle,
    /// 4: it prints.
    Processing,
    /// 5: a person has to do something.
    Stopped,
}

/// What keeps it from printing, and what it would like to have soon.
#[must_use]
pub fn condition(
    state: PrinterState,
    reasons: &[String],
    accepts_jobs: bool,
) -> (Option<PageTrouble>, Option<Notice>) {
    // A reason with the severity "error" stops it, whatever the state still says; one without stops it when it has
    // stopped: many printers name an empty second tray so.
    let stops = |reason: &str| {
        state == PrinterState::Stopped && !reason.ends_with("-report") || reason.ends_with("-error")
    };
    let bare = |reason: &str| {
        ["-error", "-warning", "-report"]
            .iter()
            .find_map(|end| reason.strip_suffix(end))
            .unwrap_or(reason)
            .to_owned()
    };
    let known = |reason: &String| REASONS.iter().position(|(keyword, ..)| *keyword == bare(reason));
    let others = || {
        reasons
            .iter()
            .filter(|reason| !matches!(reason.as_str(), "none" | "") && !reason.ends_with("-report"))
    };
    let stopping = others().filter(|reason| stops(reason));
    let trouble = match stopping.clone().filter_map(known).min() {
        Some(first) => Some(REASONS[first].1),
        None if state == PrinterState::Stopped || stopping.count() > 0 => Some(PageTrouble::Other),
        None if !accepts_jobs => Some(PageTrouble::TakesNoJobs),
        None => None,
    };
    let notices = others().filter(|reason| !stops(reason));
    let notice = match notices.clone().filter_map(known).min() {
        Some(first) => Some(REASONS[first].2),
        None => (notices.count() > 0).then_some(Notice::Other),
    };
    (trouble, notice)
}

/// What a printer says about a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobReport {
    /// `job-state`: 3 to 9.
    pub state: i32,
    /// `job-state-reasons`.
    pub reasons: Vec<String>,
    /// Pages that are on paper, where it counts them.
    pub impressions: Option<u32>,
    /// Did it ever begin? `None` where it does not say.
    pub began: Option<bool>,
}

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobStand {
    // Waiting => Printing | Stopped | Done | Gone
    /// It has not begun.
    Waiting,
    // Printing => Stopped | Done | Gone
    /// It is being printed.
    Printing,
    // Stopped => Printing | Done | Gone
    /// The printer stands still in the middle of it.
    Stopped,
    /// It is on paper.
    Done,
    /// The printer has given it up, or somebody cancelled it.
    Gone {
        /// Nothing of it was ever begun.
        untouched: bool,
        /// Pages that are on paper, where it counts them.
        impressions: Option<u32>,
        /// What it said.
        why: String,
    },
}

impl JobReport {
    /// Where the job stands.
    #[must_use]
    pub fn stand(&self) -> JobStand {
        let has = |reason: &str| self.reasons.iter().any(|one| one == reason);
        match self.state {
            3 | 4 => JobStand::Waiting,
            5 if has("printer-stopped") => JobStand::Stopped,
            5 => JobStand::Printing,
            6 => JobStand::Stopped,
            9 if !has("job-completed-with-errors") => JobStand::Done,
            _ => JobStand::Gone {
                // Only what was never begun left nothing on paper for certain: the first page may be on its way out.
                untouched: self.began == Some(false) && self.impressions.unwrap_or(0) == 0,
                impressions: self.impressions,
                why: self.why(),
            },
        }
    }

    fn why(&self) -> String {
        let end = match self.state {
            7 => "cancelled",
            8 => "aborted",
            9 => "completed with errors",
            _ => "ended",
        };
        let said: Vec<&str> =
            self.reasons.iter().map(String::as_str).filter(|reason| *reason != "none").collect();
        if said.is_empty() { end.to_owned() } else { format!("{end}: {}", said.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(state: PrinterState, reasons: &[&str], expected: (Option<PageTrouble>, Option<Notice>)) {
        let reasons: Vec<String> = reasons.iter().map(|reason| (*reason).to_owned()).collect();
        assert_eq!(condition(state, &reasons, true), expected, "{state:?} {reasons:?}");
    }

    #[test]
    fn what_stops_the_printer_is_trouble_and_what_does_not_is_a_notice() {
        use PrinterState::{Idle, Processing, Stopped};
        check(Idle, &["none"], (None, None));
        check(Stopped, &["media-empty"], (Some(PageTrouble::PaperOut), None));
        check(Idle, &["media-empty-error"], (Some(PageTrouble::PaperOut), None));
        check(Idle, &["media-empty"], (None, Some(Notice::PaperLow)));
        check(Processing, &["toner-low-warning"], (None, Some(Notice::TonerLow)));
        check(Stopped, &["media-empty-error", "cover-open"], (Some(PageTrouble::DoorOpen), None));
        check(Stopped, &["none"], (Some(PageTrouble::Other), None));
        check(Stopped, &["com.example-coffee-spilt"], (Some(PageTrouble::Other), None));
        check(Idle, &["com.example-coffee-low-warning"], (None, Some(Notice::Other)));
        check(Idle, &["wifi-not-configured-report"], (None, None));
        let trouble = condition(Idle, &["none".to_owned()], false).0;
        assert_eq!(trouble, Some(PageTrouble::TakesNoJobs));
    }

    fn stand(state: i32, reasons: &[&str], impressions: Option<u32>, began: Option<bool>) -> JobStand {
        let reasons = reasons.iter().map(|reason| (*reason).to_owned()).collect();
        JobReport { state, reasons, impressions, began }.stand()
    }

    #[test]
    fn a_job_is_done_only_when_the_printer_says_completed_without_errors() {
        assert_eq!(stand(9, &["job-completed-successfully"], Some(3), Some(true)), JobStand::Done);
        assert_eq!(stand(9, &["job-completed-with-warnings"], Some(3), Some(true)), JobStand::Done);
        let errors = stand(9, &["job-completed-with-errors"], Some(1), Some(true));
        assert!(
            matches!(errors, JobStand::Gone { untouched: false, impressions: Some(1), .. }),
            "{errors:?}"
        );
        assert_eq!(stand(3, &["none"], None, None), JobStand::Waiting);
        assert_eq!(stand(5, &["job-printing"], Some(1), Some(true)), JobStand::Printing);
        assert_eq!(stand(5, &["printer-stopped"], Some(1), Some(true)), JobStand::Stopped);
        assert_eq!(stand(6, &["printer-stopped"], Some(1), Some(true)), JobStand::Stopped);
    }

    #[test]
    fn a_job_that_was_given_up_left_nothing_on_paper_only_if_it_never_began() {
        let gone = |impressions, began| match stand(8, &["aborted-by-system"], impressions, began) {
            JobStand::Gone { untouched, why, .. } => (untouched, why),
            other => panic!("{other:?}"),
        };
        let why = "aborted: aborted-by-system".to_owned();
        assert_eq!(gone(Some(0), Some(false)), (true, why.clone()));
        assert_eq!(gone(Some(0), Some(true)), (false, why.clone()));
        assert_eq!(gone(Some(0), None), (false, why.clone()));
        assert_eq!(gone(Some(2), Some(false)), (false, why));
    }
}
