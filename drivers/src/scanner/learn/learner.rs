//! The machine that learns: bursts in, the next step out. Pure.
//!
//! A person may scan the codes in any order, one of them twice, or a pack from the shelf instead: each burst is looked at
//! by itself, and the step that is answered names the first code that is still missing.

use std::{collections::BTreeMap, fmt, time::Instant};

use serde::{Deserialize, Serialize};

use super::{
    burst::{Burst, ReadBurst},
    sheet::TestCode,
    verdict::{Fault, Sighting, Verdict, find, judge},
};

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Scan this code.
    Scan {
        /// Which.
        code: TestCode,
        /// What was seen of the last burst.
        seen: Seen,
    },
    /// It is done.
    Done(Verdict),
}

/// What a burst was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "seen", rename_all = "snake_case")]
pub enum Seen {
    /// Nothing arrived yet.
    Nothing,
    /// A code of the sheet.
    Read {
        /// Which.
        code: TestCode,
    },
    /// One that had been read before; the later one counts.
    Again {
        /// Which.
        code: TestCode,
    },
    /// A code of the sheet, with other characters. Once may be a fault of the line, twice is the scanner's.
    Changed {
        /// Which.
        code: TestCode,
    },
    /// Some other barcode.
    AnotherBarcode,
}

impl fmt::Display for Step {
    /// As the page shows it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Scan { code, seen } => {
                match seen {
                    Seen::Nothing => {}
                    Seen::Read { code } => write!(f, "Code {code} was read. ")?,
                    Seen::Again { code } => write!(f, "Code {code} was read again. ")?,
                    Seen::Changed { code } => {
                        write!(f, "Code {code} arrived with other characters than are printed. ")?;
                    }
                    Seen::AnotherBarcode => f.write_str("That was no code of the sheet. ")?,
                }
                write!(f, "Scan code {code}.")
            }
            Step::Done(Verdict { faults, .. }) if faults.is_empty() => {
                f.write_str("The scanner is proved: its lots and serial numbers are taken.")
            }
            Step::Done(Verdict { faults, .. }) => {
                f.write_str("The scanner is not proved.")?;
                faults.iter().try_for_each(|fault| write!(f, " {}.", first_letter_large(&fault.to_string())))
            }
        }
    }
}

fn first_letter_large(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect()
}

/// Learns one scanner.
#[derive(Debug, Default)]
pub struct Learner {
    /// Each code that was read, in every way in which it can be read.
    seen: BTreeMap<TestCode, Vec<Sighting>>,
    /// The code that arrived with other characters the last time.
    changed: Option<TestCode>,
}

impl Learner {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Learner {
        Learner::default()
    }

    /// What to do first, or next.
    #[must_use]
    pub fn step(&self) -> Step {
        Step::Scan { code: self.missing().unwrap_or(TestCode::A), seen: Seen::Nothing }
    }

    /// Takes what arrived between two silences; `now` is any moment, for the framer that proves the outcome.
    pub fn burst(&mut self, now: Instant, burst: &Burst) -> Step {
        let readings = burst.readings();
        let found = TestCode::ALL.into_iter().find_map(|code| {
            let sightings: Vec<_> = readings.iter().filter_map(|read| sighting(code, read)).collect();
            (!sightings.is_empty()).then_some((code, sightings))
        });
        let seen = match found {
            Some((code, sightings)) => {
                self.changed = None;
                match self.seen.insert(code, sightings) {
                    Some(_) => Seen::Again { code },
                    None => Seen::Read { code },
                }
            }
            None => match changed_code(&readings) {
                None => Seen::AnotherBarcode,
                Some((code, fault)) if self.changed == Some(code) => {
                    return Step::Done(Verdict { learned: None, faults: vec![fault] });
                }
                Some((code, _)) => {
                    self.changed = Some(code);
                    Seen::Changed { code }
                }
            },
        };
        match self.missing() {
            Some(code) => Step::Scan { code, seen },
            None => Step::Done(self.judge(now)),
        }
    }

    /// The scanner does not react to the code that is asked for: judges what there is. Without the DataMatrix codes a
    /// scanner is never proved.
    #[must_use]
    pub fn give_up(&self, now: Instant) -> Verdict {
        self.judge(now)
    }

    fn missing(&self) -> Option<TestCode> {
        TestCode::ALL.into_iter().find(|code| !self.seen.contains_key(code))
    }

    /// In the first way in which all codes can be read. Where there are several, they agree in all that the codes hold.
    fn judge(&self, now: Instant) -> Verdict {
        let Some(first) = self.seen.values().next() else {
            return Verdict { learned: None, faults: vec![Fault::NoDataMatrix] };
        };
        let in_one_way = first.iter().find_map(|candidate| {
            self.seen
                .iter()
                .map(|(code, ways)| {
                    let same = ways.iter().find(|way| way.wire == candidate.wire)?;
                    Some((*code, same.clone()))
                })
                .collect::<Option<BTreeMap<_, _>>>()
        });
        match in_one_way {
            Some(seen) => judge(&seen, now),
            None => Verdict { learned: None, faults: vec![Fault::CountryVaries] },
        }
    }
}

fn sighting(code: TestCode, read: &ReadBurst) -> Option<Sighting> {
    let (before, separators, after) = find(code, &read.text)?;
    let ReadBurst { wire, text, has_f8 } = read.clone();
    Some(Sighting { wire, text, before, separators, after, has_f8 })
}

/// The code of the sheet whose letters and digits arrived, though not all of its characters as they are printed.
fn changed_code(readings: &[ReadBurst]) -> Option<(TestCode, Fault)> {
    let bare = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    readings.iter().find_map(|read| {
        let arrived = bare(&read.text);
        let code = TestCode::ALL.into_iter().find(|code| arrived.contains(&bare(&code.data())))?;
        let same_but_for_case =
            code.parts().iter().all(|part| read.text.to_lowercase().contains(&part.to_lowercase()));
        let fault = if same_but_for_case {
            Fault::CaseChanged
        } else {
            Fault::CharactersChanged { code, sent: read.text.clone() }
        };
        Some((code, fault))
    })
}
