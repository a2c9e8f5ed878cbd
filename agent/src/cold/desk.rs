//! Takes in what probes and contacts tell, and says what is recorded and shown of the cold places. Pure: the caller owns the
//! clock and the journal.

use std::collections::BTreeMap;

use pestle_domain::{
    cold_chain::Standing,
    fact::{
        Fact, FactBody, InputChanged, PlaceChanged, ProbeCalibrated, ReadingMissed, ReadingSampled, Sample,
        Stamp,
    },
    units::{Day, MilliCelsius, UnixMillis},
};
use pestle_drivers::sensor::{
    NoData, Reading,
    calibration::Standing as Paper,
    gap::Recorded,
    input::InputState,
    place::{self, Counts, Told, Trouble},
};

use super::{
    alarm::{Alarm, Lasting},
    book::ColdBook,
    gaps::{Gap, Gaps},
    settings::{ColdSettings, Place},
};

/// What could not be recorded is tried again after this.
const AGAIN_MS: u64 = 60_000;

/// The cold places of a branch.
#[derive(Debug, Clone, Default)]
pub struct ColdDesk {
    settings: ColdSettings,
    /// What each probe told last, and when (monotonic).
    readings: BTreeMap<String, (Reading, u64)>,
    /// Contacts that can be read.
    contacts: BTreeMap<String, InputState>,
    gaps: Gaps,
    lasting: BTreeMap<(String, Alarm), Lasting>,
    /// When a fact was last asked for (monotonic), by what it is about.
    asked: BTreeMap<String, u64>,
}

/// How a cold place is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceNow {
    /// As configured.
    pub place: String,
    /// Its temperature, or why there is none; `None` before its first probe was asked.
    pub reading: Option<Reading>,
    /// The probe whose word that is.
    pub sensor: String,
    /// What is wrong, the worst first.
    pub troubles: Vec<(Alarm, String)>,
    /// How its door and its mains stand, where that is worth a word.
    pub contacts: Vec<&'static str>,
}

impl PlaceNow {
    /// Whether its probes say anything of this trouble. One without a reading is not known to be warm enough again.
    fn can_tell(&self, alarm: Alarm) -> bool {
        let has = |wanted| self.troubles.iter().any(|(alarm, _)| *alarm == wanted);
        match alarm {
            Alarm::TooWarm | Alarm::TooCold => matches!(self.reading, Some(Ok(_))),
            Alarm::Disagreement => {
                ![Alarm::NoReading, Alarm::FellBack, Alarm::SecondAway].map(has).contains(&true)
            }
            Alarm::NoReading | Alarm::FellBack | Alarm::SecondAway => true,
        }
    }
}

impl ColdDesk {
    /// The desk of a branch; nothing was asked yet.
    pub fn new(settings: ColdSettings) -> Self {
        let gaps = Gaps::of(&settings.probes);
        Self { settings, gaps, ..Self::default() }
    }

    /// Takes in what was recorded before this start. What it says of gaps was told then.
    pub fn remember(&mut self, facts: &[Fact]) {
        for fact in facts {
            match &fact.body {
                FactBody::ReadingSampled(sampled) => {
                    let _told = self.gaps.take(&sampled.sensor, &fact.at, recorded(&sampled.sample));
                }
                FactBody::ReadingMissed(missed) => self.gaps.remember(missed),
                _ => {}
            }
        }
    }

    /// A probe was asked: what is recorded of that, gaps that are over before the reading itself.
    pub fn read(&mut self, at: &Stamp, sensor: &str, reading: Reading) -> (Vec<ReadingMissed>, FactBody) {
        self.readings.insert(sensor.to_owned(), (reading, at.mono_ms));
        let place = self.settings.places.iter().find(|place| place.sensors().any(|one| one == sensor));
        let counts = place.filter(|place| self.judge(place, at).is_some_and(|(_, counts)| counts == sensor));
        let counts = counts.map(|place| place.name().into());
        let reading = reading.map_err(|why| {
            let away = place.is_some_and(|place| self.power(place) == Some(InputState::Raised));
            place::blamed(why, away)
        });
        let sample = match reading {
            Ok(temperature) => Sample::Temperature(temperature),
            Err(why) => Sample::Missing(why.code().into()),
        };
        let missed = self.gaps.take(sensor, at, recorded(&sample));
        (missed, ReadingSampled { sensor: sensor.into(), sample, place: counts }.into())
    }

    /// A contact has changed: gaps that have another reason from now on.
    pub fn contact(&mut self, at: &Stamp, changed: &InputChanged) -> Vec<ReadingMissed> {
        let state = match &*changed.state {
            "open" | "away" | "ringing" => InputState::Raised,
            "closed" | "here" | "quiet" => InputState::AtRest,
            _unknown => {
                self.contacts.remove(&*changed.input);
                return Vec::new();
            }
        };
        self.contacts.insert(changed.input.to_string(), state);
        let is_its_power = |place: &&Place| {
            place.place.power.as_ref().is_some_and(|power| power.as_str() == &*changed.input)
        };
        let places = self.settings.places.iter().filter(is_its_power);
        let sensors: Vec<&str> = places.flat_map(Place::sensors).collect();
        self.gaps.power(&sensors, at, state)
    }

    /// Troubles that are to be recorded now, where the journal has what `book` says. What is asked for and not recorded is
    /// asked for again after a while.
    pub fn changes(&mut self, at: &Stamp, book: &ColdBook) -> Vec<(Option<Alarm>, PlaceChanged)> {
        let mut changes = Vec::new();
        for now in self.places(at) {
            for alarm in Alarm::ALL.into_iter().filter(|alarm| now.can_tell(*alarm)) {
                let detail = now.troubles.iter().find(|(of, _)| *of == alarm).map(|(_, detail)| detail);
                let key = (now.place.clone(), alarm);
                let lasting =
                    self.lasting.entry(key).or_insert_with(|| Lasting::new(at.mono_ms, detail.is_some()));
                lasting.take(at.mono_ms, detail.is_some());
                let told = lasting.to_tell(at.mono_ms, alarm, book.stands(&now.place, alarm.as_str()));
                let Some(told) = told else { continue };
                let temperature = now.reading.and_then(Result::ok).map(|degrees| degrees.to_string());
                let detail = detail.cloned().or(temperature).unwrap_or_default();
                changes.push((
                    Some(alarm),
                    PlaceChanged {
                        place: now.place.as_str().into(),
                        trouble: alarm.as_str().into(),
                        state: told.as_str().into(),
                        detail: detail.into(),
                    },
                ));
            }
        }
        let configured = |name: &str| self.settings.places.iter().any(|place| place.name() == name);
        changes.extend(book.standing().filter(|(place, _)| !configured(place)).map(|(place, trouble)| {
            let detail = "this place is not configured any more".into();
            (
                None,
                PlaceChanged { place: place.into(), trouble: trouble.into(), state: "ended".into(), detail },
            )
        }));
        changes.retain(|(_, change)| self.ask(at.mono_ms, format!("{}/{}", change.place, change.trouble)));
        changes
    }

    /// Certificates that the journal does not have, to be recorded.
    pub fn calibrations(&mut self, at: &Stamp, book: &ColdBook) -> Vec<ProbeCalibrated> {
        let told = self.settings.probes.iter().filter_map(|probe| {
            let paper = probe.calibration.as_ref()?;
            Some(ProbeCalibrated {
                sensor: probe.sensor.as_str().into(),
                certificate: paper.certificate().into(),
                date: paper.date(),
                due: paper.due(),
                correction: paper.correction(),
            })
        });
        let mut new: Vec<ProbeCalibrated> = told.filter(|told| !book.knows(told)).collect();
        new.retain(|told| self.ask(at.mono_ms, format!("calibration of {}", told.sensor)));
        new
    }

    /// One line about all certificates that are due within 30 days or overdue; `None` where none is.
    pub fn papers(&self, today: Day) -> Option<(Paper, String)> {
        let mut worst = Paper::Holds;
        let mut due: Vec<(Day, String)> = Vec::new();
        for probe in &self.settings.probes {
            let Some(paper) = &probe.calibration else { continue };
            let standing = paper.standing(today);
            let word = match standing {
                Paper::Holds => continue,
                Paper::DueSoon => "due",
                Paper::Overdue => "overdue since",
            };
            worst = worst.max(standing);
            due.push((paper.due(), format!("{} {word} {}", probe.sensor, paper.due())));
        }
        due.sort();
        let words: Vec<String> = due.into_iter().map(|(_, words)| words).collect();
        (!words.is_empty()).then(|| (worst, format!("Have the probes calibrated: {}", words.join(", "))))
    }

    /// Times without readings that are still shown.
    pub fn gaps(&self, now: UnixMillis) -> Vec<Gap> {
        self.gaps.shown(now)
    }

    /// The place that a probe belongs to.
    pub fn place_of(&self, sensor: &str) -> Option<&str> {
        let mut places = self.settings.places.iter();
        places.find(|place| place.sensors().any(|one| one == sensor)).map(Place::name)
    }

    /// How all places are.
    pub fn places(&self, at: &Stamp) -> Vec<PlaceNow> {
        self.settings.places.iter().map(|place| self.place(place, at)).collect()
    }

    fn place(&self, place: &Place, at: &Stamp) -> PlaceNow {
        let contacts = [
            (self.power(place) == Some(InputState::Raised)).then_some("the mains are away"),
            (self.state(place.place.door.as_ref()) == Some(InputState::Raised)).then_some("the door is open"),
        ];
        let contacts = contacts.into_iter().flatten().collect();
        let name = place.name().to_owned();
        let Some((judged, sensor)) = self.judge(place, at) else {
            let sensor = place.place.primary.sensor.to_string();
            // A probe that is never asked is as silent as one that does not answer.
            let troubles = vec![(Alarm::NoReading, NOT_ASKED.to_owned())];
            return PlaceNow { place: name, reading: None, sensor, troubles, contacts };
        };
        let mut troubles: Vec<(Alarm, String)> = judged
            .troubles
            .iter()
            .filter_map(|trouble| Some((alarm_of(trouble)?, trouble.to_string())))
            .collect();
        if let Ok(temperature) = judged.reading {
            troubles.extend(outside(place, temperature));
        }
        troubles.sort_by_key(|(alarm, _)| *alarm);
        PlaceNow { place: name, reading: Some(judged.reading), sensor, troubles, contacts }
    }

    /// What a place's sensors mean together, and whose reading that is; `None` before its first probe was asked.
    fn judge(&self, place: &Place, at: &Stamp) -> Option<(place::PlaceReading, String)> {
        let cold = &place.place;
        let primary = self.told_by(cold.primary.sensor.as_str(), at.mono_ms)?;
        let second = cold.second.as_ref().and_then(|probe| self.told_by(probe.sensor.as_str(), at.mono_ms));
        let power = self.power(place).map(Ok);
        let judged = cold.judge(&Told { primary, second, power, today: at.business_date });
        let counts = match (judged.counts, &cold.second) {
            (Counts::Second, Some(second)) => second,
            _ => &cold.primary,
        };
        let counts = counts.sensor.to_string();
        Some((judged, counts))
    }

    /// What a probe told last. What it told long ago is not how it is.
    fn told_by(&self, sensor: &str, now_ms: u64) -> Option<Reading> {
        let (reading, at_ms) = self.readings.get(sensor)?;
        let probe = self.settings.probes.iter().find(|probe| probe.sensor.as_str() == sensor);
        // A line with many devices may take longer than a turn; three turns are silence.
        let old = probe.is_some_and(|probe| {
            u128::from(now_ms.saturating_sub(*at_ms)) > (probe.longest() * 3).as_millis()
        });
        Some(if old { Err(NoData::Timeout) } else { *reading })
    }

    fn power(&self, place: &Place) -> Option<InputState> {
        self.state(place.place.power.as_ref())
    }

    fn state(&self, contact: Option<&pestle_drivers::device::DeviceName>) -> Option<InputState> {
        self.contacts.get(contact?.as_str()).copied()
    }

    /// Whether a fact may be asked for now.
    fn ask(&mut self, now_ms: u64, about: String) -> bool {
        if self.asked.get(&about).is_some_and(|asked| now_ms.saturating_sub(*asked) < AGAIN_MS) {
            return false;
        }
        self.asked.insert(about, now_ms);
        true
    }
}

const NOT_ASKED: &str = "its first probe has not been asked yet";

/// The mains have a fact of their own, and certificates a line of their own.
fn alarm_of(trouble: &Trouble) -> Option<Alarm> {
    match trouble {
        Trouble::Disagreement { .. } => Some(Alarm::Disagreement),
        Trouble::FellBack { .. } => Some(Alarm::FellBack),
        Trouble::SecondAway { .. } => Some(Alarm::SecondAway),
        Trouble::NoReading { .. } => Some(Alarm::NoReading),
        Trouble::PowerAway | Trouble::Overdue { .. } => None,
    }
}

fn outside(place: &Place, temperature: MilliCelsius) -> Option<(Alarm, String)> {
    let limits = place.limits;
    let (alarm, side, limit) = match limits.judge(temperature) {
        Standing::Within => return None,
        Standing::TooWarm => (Alarm::TooWarm, "above", limits.high()),
        Standing::TooCold => (Alarm::TooCold, "below", limits.low()),
    };
    let words = format!(
        "{temperature} is {side} {limit}: shut its door, look at its setting, and ask the pharmacist about what is in it"
    );
    Some((alarm, words))
}

fn recorded(sample: &Sample) -> Recorded {
    match sample {
        Sample::Temperature(_) => Recorded::Reading,
        Sample::Missing(code) => Recorded::Missing(code.clone()),
    }
}
