//! A cold place: a fridge or a room with one or two probes, its door and its mains. Which probe counts, and what a person
//! must be told. Pure.

use std::{collections::BTreeMap, fmt};

use pestle_domain::units::{Day, MilliCelsius};

use super::{
    NoData, Reading,
    calibration::Calibration,
    input::{InputReading, InputState},
};
use crate::device::DeviceName;

/// Two probes in one fridge differ by where they hang; by more than this, one of them is wrong, or warm food stands at it.
const USUAL_DIFFERENCE: MilliCelsius = MilliCelsius(2_000);

/// A probe of a cold place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceProbe {
    /// The sensor's name.
    pub sensor: DeviceName,
    /// What its certificate says: for the due date alone, the driver applies the correction.
    pub calibration: Option<Calibration>,
}

/// A cold place as the configuration states it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColdPlace {
    /// What the branch calls it.
    pub name: DeviceName,
    /// The probe that counts.
    pub primary: PlaceProbe,
    /// The one that stands in for it, and watches it.
    pub second: Option<PlaceProbe>,
    /// By how much the two may differ.
    pub difference_max: MilliCelsius,
    /// The contact that tells whether its mains are there.
    pub power: Option<DeviceName>,
    /// The contact of its door.
    pub door: Option<DeviceName>,
}

/// Why a cold place is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// One probe cannot stand in for itself.
    #[error("{place}: both probes are {sensor}: name another as the second, or none")]
    SameProbe {
        /// Which place.
        place: DeviceName,
        /// The probe.
        sensor: DeviceName,
    },
    /// They would always or never be in trouble.
    #[error(
        "{place}: two probes may differ by 100 to 20000 thousandths of a degree, not {limit}: write 2000 unless you know better"
    )]
    Difference {
        /// Which place.
        place: DeviceName,
        /// What was asked for.
        limit: i32,
    },
}

/// What is wrong with a place, for a person. Told when it begins, and when it has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The two probes tell different things.
    Disagreement {
        /// What the first tells.
        primary: MilliCelsius,
        /// What the second tells.
        second: MilliCelsius,
    },
    /// The first probe tells nothing; the second one counts meanwhile.
    FellBack {
        /// Why.
        why: NoData,
    },
    /// The second probe tells nothing; nobody watches the first.
    SecondAway {
        /// Why.
        why: NoData,
    },
    /// No probe tells anything.
    NoReading {
        /// Why the first does not.
        why: NoData,
    },
    /// The mains are away.
    PowerAway,
    /// A probe's certificate is out of date.
    Overdue {
        /// Which probe.
        sensor: DeviceName,
        /// In a sentence.
        detail: String,
    },
}

/// Which trouble it is, whatever the numbers in it: what is told once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TroubleKind {
    /// [`Trouble::Disagreement`].
    Disagreement,
    /// [`Trouble::FellBack`].
    FellBack,
    /// [`Trouble::SecondAway`].
    SecondAway,
    /// [`Trouble::NoReading`].
    NoReading,
    /// [`Trouble::PowerAway`].
    PowerAway,
    /// [`Trouble::Overdue`] of this probe.
    Overdue(DeviceName),
}

impl Trouble {
    /// Which trouble it is.
    #[must_use]
    pub fn kind(&self) -> TroubleKind {
        match self {
            Trouble::Disagreement { .. } => TroubleKind::Disagreement,
            Trouble::FellBack { .. } => TroubleKind::FellBack,
            Trouble::SecondAway { .. } => TroubleKind::SecondAway,
            Trouble::NoReading { .. } => TroubleKind::NoReading,
            Trouble::PowerAway => TroubleKind::PowerAway,
            Trouble::Overdue { sensor, .. } => TroubleKind::Overdue(sensor.clone()),
        }
    }
}

/// What happened and what to do.
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Disagreement { primary, second } => write!(
                f,
                "its probes tell {primary} and {second}: compare both with a thermometer, and move what stands at one of them"
            ),
            Trouble::FellBack { why } => {
                write!(f, "its first probe tells nothing, the second one counts meanwhile: {why}")
            }
            Trouble::SecondAway { why } => {
                write!(f, "its second probe tells nothing, nobody watches the first: {why}")
            }
            Trouble::NoReading { why } => write!(f, "no probe tells its temperature: {why}"),
            Trouble::PowerAway => f.write_str("its mains are away: check the plug and the fuse"),
            Trouble::Overdue { sensor, detail } => write!(f, "{sensor}: {detail}"),
        }
    }
}

/// Whose reading counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// The first probe's.
    Primary,
    /// The second one's, since the first tells nothing.
    Second,
}

/// What a place told at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceReading {
    /// Its temperature, or why there is none.
    pub reading: Reading,
    /// Whose reading that is.
    pub counts: Counts,
    /// All that is wrong.
    pub troubles: Vec<Trouble>,
}

/// What its sensors tell, and the day.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// What the first probe tells.
    pub primary: Reading,
    /// What the second probe tells, if there is one.
    pub second: Option<Reading>,
    /// How the mains' contact stands, if there is one; settled, see [`Debounce`](super::input::Debounce).
    pub power: Option<InputReading>,
    /// Today, in the branch.
    pub today: Day,
}

impl ColdPlace {
    /// A place with one probe.
    #[must_use]
    pub fn new(name: DeviceName, primary: PlaceProbe) -> ColdPlace {
        let difference_max = USUAL_DIFFERENCE;
        ColdPlace { name, primary, second: None, difference_max, power: None, door: None }
    }

    /// Checks what was set.
    ///
    /// # Errors
    /// One probe as both, or a difference that makes no sense.
    pub fn checked(self) -> Result<ColdPlace, PlaceError> {
        if self.second.as_ref().is_some_and(|second| second.sensor == self.primary.sensor) {
            return Err(PlaceError::SameProbe { place: self.name, sensor: self.primary.sensor });
        }
        // Tenths are what probes tell; beyond 20 degrees no two probes of a fridge are.
        if !(100..=20_000).contains(&self.difference_max.0) {
            return Err(PlaceError::Difference { place: self.name, limit: self.difference_max.0 });
        }
        Ok(self)
    }

    /// What its sensors mean together.
    #[must_use]
    pub fn judge(&self, told: &Told) -> PlaceReading {
        let power_away = told.power == Some(Ok(InputState::Raised));
        let mut troubles = Vec::new();
        if power_away {
            troubles.push(Trouble::PowerAway);
        }
        let (counts, reading) = match (told.primary, told.second) {
            (Ok(primary), Some(Ok(second))) => {
                if i64::from(primary.0).abs_diff(i64::from(second.0))
                    > u64::from(self.difference_max.0.unsigned_abs())
                {
                    troubles.push(Trouble::Disagreement { primary, second });
                }
                (Counts::Primary, Ok(primary))
            }
            (Ok(primary), Some(Err(why))) => {
                troubles.push(Trouble::SecondAway { why: blamed(why, power_away) });
                (Counts::Primary, Ok(primary))
            }
            (Ok(primary), None) => (Counts::Primary, Ok(primary)),
            (Err(why), Some(Ok(second))) => {
                troubles.push(Trouble::FellBack { why: blamed(why, power_away) });
                (Counts::Second, Ok(second))
            }
            (Err(why), Some(Err(_)) | None) => {
                let why = blamed(why, power_away);
                troubles.push(Trouble::NoReading { why });
                (Counts::Primary, Err(why))
            }
        };
        for probe in [Some(&self.primary), self.second.as_ref()].into_iter().flatten() {
            let overdue = probe.calibration.as_ref().and_then(|paper| paper.overdue(told.today));
            if let Some(detail) = overdue {
                troubles.push(Trouble::Overdue { sensor: probe.sensor.clone(), detail });
            }
        }
        PlaceReading { reading, counts, troubles }
    }
}

/// Why a probe tells nothing, if the mains at it are away: then silence has another reason than a bad wire.
#[must_use]
pub fn blamed(why: NoData, power_away: bool) -> NoData {
    match why {
        NoData::Timeout | NoData::Gone | NoData::Garbled | NoData::Crc if power_away => NoData::PowerAway,
        _ => why,
    }
}

/// A trouble that begins or has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaceChange {
    /// It is new.
    Began(Trouble),
    /// It is over.
    Ended(Trouble),
}

/// What was told of one place: each trouble once when it begins, once when it has ended.
#[derive(Debug, Clone, Default)]
pub struct PlaceWatch {
    told: BTreeMap<TroubleKind, Trouble>,
}

impl PlaceWatch {
    /// Takes in what the place tells now; what changed.
    pub fn take(&mut self, now: &PlaceReading) -> Vec<PlaceChange> {
        let standing: BTreeMap<TroubleKind, Trouble> =
            now.troubles.iter().map(|trouble| (trouble.kind(), trouble.clone())).collect();
        let ended = self.told.iter().filter(|(kind, _)| !standing.contains_key(*kind));
        let mut changes: Vec<PlaceChange> =
            ended.map(|(_, trouble)| PlaceChange::Ended(trouble.clone())).collect();
        let began = standing.iter().filter(|(kind, _)| !self.told.contains_key(*kind));
        changes.extend(began.map(|(_, trouble)| PlaceChange::Began(trouble.clone())));
        self.told = standing;
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn probe(sensor: &str) -> PlaceProbe {
        let paper = Calibration::new("K-7", day("2026-01-10"), day("2027-01-10"), MilliCelsius(100)).unwrap();
        PlaceProbe { sensor: DeviceName::new(sensor), calibration: Some(paper) }
    }

    fn fridge() -> ColdPlace {
        let place = ColdPlace::new(DeviceName::new("fridge"), probe("air"));
        ColdPlace { second: Some(probe("bottle")), power: Some(DeviceName::new("mains")), ..place }
    }

    fn told(primary: Reading, second: Reading) -> Told {
        Told { primary, second: Some(second), power: Some(Ok(InputState::AtRest)), today: day("2026-11-22") }
    }

    fn degrees(milli: i32) -> Reading {
        Ok(MilliCelsius(milli))
    }

    #[test]
    fn the_first_probe_counts_and_two_that_disagree_are_a_told_trouble() {
        let well = fridge().judge(&told(degrees(4_000), degrees(6_000)));
        assert_eq!((well.reading, well.counts, well.troubles.len()), (degrees(4_000), Counts::Primary, 0));
        let apart = fridge().judge(&told(degrees(4_000), degrees(6_001)));
        assert_eq!(apart.reading, degrees(4_000));
        assert!(apart.troubles[0].to_string().contains("4.0 °C and 6.0 °C: compare both"), "{apart:?}");
    }

    #[test]
    fn one_probe_stands_in_for_the_other_and_says_so() {
        let fell_back = fridge().judge(&told(Err(NoData::NoProbe), degrees(5_000)));
        assert_eq!((fell_back.reading, fell_back.counts), (degrees(5_000), Counts::Second));
        assert_eq!(fell_back.troubles, [Trouble::FellBack { why: NoData::NoProbe }]);
        let alone = fridge().judge(&told(degrees(5_000), Err(NoData::Timeout)));
        assert_eq!(alone.troubles, [Trouble::SecondAway { why: NoData::Timeout }]);
        let none = fridge().judge(&told(Err(NoData::Crc), Err(NoData::Timeout)));
        assert_eq!(
            (none.reading, none.troubles),
            (Err(NoData::Crc), vec![Trouble::NoReading { why: NoData::Crc }])
        );
    }

    #[test]
    fn silence_while_the_mains_are_away_is_the_mains_and_a_broken_probe_stays_one() {
        let away = |primary, second| {
            fridge().judge(&Told { power: Some(Ok(InputState::Raised)), ..told(primary, second) })
        };
        assert_eq!(away(Err(NoData::Timeout), Err(NoData::Timeout)).reading, Err(NoData::PowerAway));
        assert_eq!(away(Err(NoData::NoProbe), Err(NoData::NoProbe)).reading, Err(NoData::NoProbe));
        let unknown =
            Told { power: Some(Err(NoData::Gone)), ..told(Err(NoData::Timeout), Err(NoData::Timeout)) };
        assert_eq!(
            fridge().judge(&unknown).reading,
            Err(NoData::Timeout),
            "an unknown contact proves nothing"
        );
        let battery = away(degrees(5_000), degrees(5_000));
        assert_eq!((battery.reading, battery.troubles), (degrees(5_000), vec![Trouble::PowerAway]));
    }

    #[test]
    fn an_overdue_certificate_is_told_for_the_probe_that_has_it() {
        let late = Told { today: day("2027-01-11"), ..told(degrees(5_000), degrees(5_000)) };
        let sensors: Vec<String> = fridge().judge(&late).troubles.iter().map(ToString::to_string).collect();
        assert_eq!(sensors.len(), 2);
        assert!(
            sensors[0].starts_with("air: its calibration (certificate K-7) was due on 2027-01-10"),
            "{sensors:?}"
        );
    }

    #[test]
    fn each_trouble_is_told_once_when_it_begins_and_once_when_it_has_ended() {
        let (mut watch, place) = (PlaceWatch::default(), fridge());
        let mut take = |primary, second| watch.take(&place.judge(&told(primary, second)));
        assert_eq!(take(degrees(5_000), degrees(5_000)), []);
        let began = take(degrees(5_000), degrees(9_000));
        assert!(matches!(began[..], [PlaceChange::Began(Trouble::Disagreement { .. })]), "{began:?}");
        assert_eq!(take(degrees(5_000), degrees(9_500)), [], "still the same trouble");
        let changed = take(Err(NoData::Timeout), degrees(9_500));
        assert!(
            matches!(
                changed[..],
                [
                    PlaceChange::Ended(Trouble::Disagreement { .. }),
                    PlaceChange::Began(Trouble::FellBack { .. })
                ]
            ),
            "{changed:?}"
        );
    }

    #[test]
    fn a_place_that_makes_no_sense_is_refused_with_what_to_write() {
        let same = ColdPlace { second: Some(probe("air")), ..fridge() }.checked().unwrap_err();
        assert!(same.to_string().contains("both probes are air"), "{same}");
        let wild = ColdPlace { difference_max: MilliCelsius(-1), ..fridge() }.checked().unwrap_err();
        assert!(wild.to_string().contains("write 2000"), "{wild}");
        assert!(fridge().checked().is_ok());
    }
}
