//! The table on the terminal and `target/bench.json`.

use std::{
    collections::HashSet,
    fs, io,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::stats::Spread;

/// What a figure must reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reach {
    /// No more than this.
    AtMost(f64),
    /// No less than this.
    AtLeast(f64),
    /// No more than `factor` times the baseline and `plus` more, which is in the figure's unit.
    AtMostAndMore {
        /// Of the baseline.
        factor: f64,
        /// In the figure's unit.
        plus: f64,
    },
}

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Under which name it is measured: [`super::run::FIGURES`].
    pub figure: String,
    /// When, in milliseconds since 1970 UTC: `bench.json` keeps rows of several runs.
    pub measured_ms: u64,
    /// What was measured.
    pub name: String,
    /// Median over the rounds; of a figure that is judged by itself the largest.
    pub value: f64,
    /// Smallest and largest of the rounds.
    pub value_spread: [f64; 2],
    /// Of value and baseline.
    pub unit: String,
    /// The baseline's median; `None` where the figure stands by itself.
    pub baseline: Option<f64>,
    /// What the baseline is.
    pub baseline_name: String,
    /// Median of the rounds' own ratios `value / baseline`.
    pub ratio: Option<f64>,
    /// Smallest and largest ratio.
    pub ratio_spread: Option<[f64; 2]>,
    /// In words.
    pub reach: String,
    /// Whether it was reached.
    pub ok: bool,
    /// How it was measured, and what else was seen.
    pub notes: Vec<String>,
}

impl Row {
    /// A figure that is judged beside a baseline of the same round: `(figure, baseline)` of each.
    #[allow(clippy::float_arithmetic, reason = "a ratio of measurements")]
    pub fn against(name: &str, unit: &str, baseline_name: &str, rounds: &[(f64, f64)], reach: Reach) -> Self {
        let column = |pick: fn(&(f64, f64)) -> f64| Spread::of(&rounds.iter().map(pick).collect::<Vec<_>>());
        let (value, baseline) = (column(|round| round.0), column(|round| round.1));
        let ratio = column(|round| round.0 / round.1);
        let (reach, ok) = match reach {
            Reach::AtMost(most) => (format!("≤ {most} ×"), ratio.median <= most),
            Reach::AtLeast(least) => (format!("≥ {least} ×"), ratio.median >= least),
            Reach::AtMostAndMore { factor, plus } => {
                let limit = factor * baseline.median + plus;
                (format!("≤ {factor} × + {plus} {unit} = {} {unit}", short(limit)), value.median <= limit)
            }
        };
        Self {
            figure: String::new(),
            measured_ms: 0,
            name: name.into(),
            value: value.median,
            value_spread: [value.min, value.max],
            unit: unit.into(),
            baseline: Some(baseline.median),
            baseline_name: baseline_name.into(),
            ratio: Some(ratio.median),
            ratio_spread: Some([ratio.min, ratio.max]),
            reach,
            ok: ok && !rounds.is_empty(),
            notes: Vec::new(),
        }
    }

    /// A figure that is judged by itself: never more than `most`, in no round.
    pub fn alone(name: &str, unit: &str, rounds: &[f64], most: f64) -> Self {
        let value = Spread::of(rounds);
        Self {
            figure: String::new(),
            measured_ms: 0,
            name: name.into(),
            value: value.max,
            value_spread: [value.min, value.max],
            unit: unit.into(),
            baseline: None,
            baseline_name: "–".into(),
            ratio: None,
            ratio_spread: None,
            reach: format!("≤ {most} {unit}"),
            ok: value.max <= most && !rounds.is_empty(),
            notes: Vec::new(),
        }
    }

    /// Measured now, as a row of that figure.
    #[must_use]
    pub fn of_figure(mut self, figure: &str) -> Self {
        figure.clone_into(&mut self.figure);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.measured_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        self
    }

    /// Says how it was measured, or what else was seen.
    #[must_use]
    pub fn noting(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// A figure that does not count, whatever it says, unless `holds`: `what` must be so for it to mean anything.
    #[must_use]
    pub fn only_if(mut self, holds: bool, what: &str) -> Self {
        if !holds {
            self.ok = false;
            self.notes.push(format!("does not count: {what}"));
        }
        self
    }

    /// `1.5 × [1.2–1.8]`; nothing where it stands by itself.
    pub fn ratio_in_words(&self) -> String {
        let both = self.ratio.zip(self.ratio_spread);
        both.map(|(ratio, [low, high])| format!("{} × [{}–{}]", short(ratio), short(low), short(high)))
            .unwrap_or_default()
    }

    /// For the terminal.
    fn line(&self) -> String {
        let against = match self.baseline {
            Some(baseline) => {
                format!("{} {} · {}", self.baseline_name, short(baseline), self.ratio_in_words())
            }
            None => "–".into(),
        };
        format!(
            "{} {:<44} {:>7} {:<8} [{}–{}] | {against} | {}",
            if self.ok { "ok  " } else { "MISS" },
            self.name,
            short(self.value),
            self.unit,
            short(self.value_spread[0]),
            short(self.value_spread[1]),
            self.reach,
        )
    }
}

/// A figure that could not be measured.
#[derive(Debug, Clone, Serialize)]
pub struct Failure {
    /// Which.
    pub name: String,
    /// Why.
    pub error: String,
}

/// The whole.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// In the order of measuring.
    pub rows: Vec<Row>,
    /// What could not be measured.
    pub failures: Vec<Failure>,
}

/// What an earlier run wrote, as it stands there.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Kept {
    rows: Vec<Value>,
    failures: Vec<Value>,
}

impl Kept {
    /// Of that file; nothing where there is none.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        match fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }
}

impl Report {
    /// For the terminal: one line a figure, with its notes.
    pub fn table(&self, with_notes: bool) -> String {
        let mut text = String::new();
        for row in &self.rows {
            text.push_str(&row.line());
            text.push('\n');
            for note in row.notes.iter().filter(|_| with_notes) {
                text.push_str(&format!("       {note}\n"));
            }
        }
        for failure in &self.failures {
            text.push_str(&format!("MISS {}: not measured: {}\n", failure.name, failure.error));
        }
        text
    }

    /// Whether every figure was reached.
    pub fn all_reached(&self) -> bool {
        self.failures.is_empty() && self.rows.iter().all(|row| row.ok)
    }

    /// Nothing of a quick look counts.
    pub fn discount(&mut self) {
        for row in &mut self.rows {
            row.ok = false;
            row.notes.insert(0, "a quick look, not a measurement".into());
        }
    }

    /// Writes the rows as JSON. What is not of a figure that was measured now stays as `kept` has it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn write(&self, path: &Path, kept: Kept) -> io::Result<()> {
        let now: HashSet<&str> = (self.rows.iter().map(|row| row.figure.as_str()))
            .chain(self.failures.iter().map(|failure| failure.name.as_str()))
            .collect();
        let other = |entry: &Value, key: &str| {
            let figure = entry.get(key).and_then(Value::as_str);
            figure.is_some_and(|figure| !now.contains(figure))
        };
        let Kept { mut rows, mut failures } = kept;
        rows.retain(|row| other(row, "figure"));
        failures.retain(|failure| other(failure, "name"));
        for row in &self.rows {
            rows.push(serde_json::to_value(row)?);
        }
        for failure in &self.failures {
            failures.push(serde_json::to_value(failure)?);
        }
        fs::write(path, serde_json::to_vec_pretty(&Kept { rows, failures })?)
    }
}

/// Three significant digits, or whole numbers where they are large.
pub fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUNDS: [(f64, f64); 5] = [(2.0, 1.0), (3.0, 1.0), (9.0, 3.0), (4.0, 1.0), (1.0, 1.0)];

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_and_is_judged_by_its_reach() {
        let row = Row::against("x", "µs", "y", &ROUNDS, Reach::AtMost(3.0));
        assert_eq!((row.ratio, row.ok), (Some(3.0), true));
        assert!(!Row::against("x", "µs", "y", &ROUNDS, Reach::AtMost(2.9)).ok);
        assert!(Row::against("x", "µs", "y", &ROUNDS, Reach::AtLeast(3.0)).ok);
        assert!(!Row::against("x", "µs", "y", &ROUNDS, Reach::AtLeast(3.1)).ok);
    }

    #[test]
    fn a_multiple_and_more_is_judged_by_value_and_told_as_a_limit() {
        // Medians: 3 against 1.
        let judged = |plus| Row::against("x", "ms", "y", &ROUNDS, Reach::AtMostAndMore { factor: 2.0, plus });
        assert!(judged(1.0).ok);
        assert!(!judged(0.9).ok);
        assert_eq!(judged(1.0).reach, "≤ 2 × + 1 ms = 3.00 ms");
    }

    #[test]
    fn a_figure_by_itself_has_a_most_and_what_was_not_measured_is_not_reached() {
        assert!(!Row::alone("x", "MiB", &[41.0], 40.0).ok);
        assert!(Row::alone("x", "MiB", &[40.0], 40.0).ok);
        assert!(!Row::alone("x", "MiB", &[], 40.0).ok);
        let once = Row::alone("x", "MiB", &[1.0, 1.0, 41.0], 40.0);
        assert_eq!((once.value, once.ok), (41.0, false));
        let report = Report { rows: vec![], failures: vec![Failure { name: "x".into(), error: "y".into() }] };
        assert!(!report.all_reached());
    }

    #[test]
    fn a_figure_whose_condition_does_not_hold_is_not_reached_and_says_why() {
        let row = || Row::alone("x", "MiB", &[1.0], 40.0);
        assert!(row().only_if(true, "y").ok);
        let row = row().only_if(false, "the core was idle");
        assert!(!row.ok && row.notes[0].contains("the core was idle"));
    }

    #[test]
    fn a_figure_that_is_measured_by_itself_takes_its_own_rows_place_and_leaves_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bench.json");
        let row = |figure, value| Row::alone(figure, "MiB", &[value], 40.0).of_figure(figure);
        let failed = |name: &str| Failure { name: name.into(), error: "y".into() };
        let write = |rows, failures| {
            Report { rows, failures }.write(&path, Kept::read(&path).unwrap()).unwrap();
            let Kept { rows, failures } = Kept::read(&path).unwrap();
            let rows: Vec<_> =
                rows.iter().map(|row| (row["figure"].to_string(), row["value"].to_string())).collect();
            let failures: Vec<_> = failures.iter().map(|failure| failure["name"].to_string()).collect();
            format!("{rows:?} {failures:?}").replace(['\\', '"'], "")
        };
        assert_eq!(
            write(vec![row("link", 1.0), row("disk", 2.0)], vec![failed("scan")]),
            "[(link, 1.0), (disk, 2.0)] [scan]"
        );
        assert_eq!(write(vec![row("disk", 3.0)], vec![]), "[(link, 1.0), (disk, 3.0)] [scan]");
        // What fails now was measured before: that does not stand beside it.
        assert_eq!(write(vec![row("scan", 4.0)], vec![failed("link")]), "[(disk, 3.0), (scan, 4.0)] [link]");
    }

    #[test]
    fn nothing_of_a_quick_look_is_reached() {
        let mut report = Report { rows: vec![Row::alone("x", "MiB", &[1.0], 40.0)], failures: vec![] };
        assert!(report.all_reached());
        report.discount();
        assert!(!report.all_reached());
    }
}
