//! The cold, without a fridge: readings and contacts in, facts and views out.

use std::time::Duration;

use pestle_domain::{
    cold_chain::Limits,
    fact::{ClockQuality, Fact, FactBody, InputChanged, PlaceChanged, ReadingMissed, Sample, Stamp},
    units::{MilliCelsius, UnixMillis},
};
use pestle_drivers::{
    device::DeviceName,
    sensor::{
        NoData, Reading,
        calibration::{Calibration, Standing},
        place::{ColdPlace, PlaceProbe},
    },
};

use super::{
    alarm::Alarm,
    book::ColdBook,
    desk::{ColdDesk, PlaceNow},
    settings::{ColdSettings, Place, Probe},
};

const MINUTE_MS: u64 = 60_000;

fn paper(due: &str) -> Calibration {
    Calibration::new("K-7", "2026-01-10".parse().unwrap(), due.parse().unwrap(), MilliCelsius(-250)).unwrap()
}

fn settings() -> ColdSettings {
    let probe = |name: &str, calibration| Probe {
        sensor: DeviceName::new(name),
        interval: Duration::from_secs(60),
        calibration,
    };
    let hung = |name: &str| PlaceProbe { sensor: DeviceName::new(name), calibration: None };
    let mut place = ColdPlace::new(DeviceName::new("vaccines"), hung("air"));
    place.second = Some(hung("bottle"));
    place.power = Some(DeviceName::new("mains"));
    place.door = Some(DeviceName::new("door"));
    ColdSettings {
        places: vec![Place { place, limits: Limits::FRIDGE }],
        probes: vec![probe("air", Some(paper("2026-12-20"))), probe("bottle", Some(paper("2026-12-10")))],
    }
}

/// A desk with a journal of its own.
struct Fridge {
    desk: ColdDesk,
    book: ColdBook,
    boot: &'static str,
    minute: u64,
    /// What was recorded, but for the readings.
    told: Vec<FactBody>,
    samples: Vec<(Sample, Option<Box<str>>)>,
    telemetry: Vec<Fact>,
}

impl Fridge {
    fn new() -> Self {
        let desk = ColdDesk::new(settings());
        let book = ColdBook::default();
        Self {
            desk,
            book,
            boot: "a",
            minute: 0,
            told: Vec::new(),
            samples: Vec::new(),
            telemetry: Vec::new(),
        }
    }

    /// What a start finds: the journal, and nothing else.
    fn restart(&mut self, boot: &'static str) {
        self.desk = ColdDesk::new(settings());
        self.desk.remember(&self.telemetry);
        self.boot = boot;
    }

    fn stamp(&self) -> Stamp {
        let ms = self.minute * MINUTE_MS;
        Stamp {
            boot: self.boot.into(),
            mono_ms: ms,
            wall_ms: UnixMillis(i64::try_from(ms).unwrap()),
            clock: ClockQuality::Synchronised,
            business_date: "2026-11-22".parse().unwrap(),
        }
    }

    fn keep(&mut self, body: &FactBody) {
        let at = self.stamp();
        let act = pestle_domain::ids::ActId(uuid::Uuid::nil());
        let id = pestle_domain::ids::FactId(uuid::Uuid::nil());
        let (part, actor) = (pestle_domain::fact::Part(1, 1), pestle_domain::fact::Actor::Machine);
        self.telemetry.push(Fact { id, act, part, actor, at, body: body.clone() });
    }

    fn read_one(&mut self, sensor: &str, reading: Reading) {
        let (missed, sampled) = self.desk.read(&self.stamp(), sensor, reading);
        for gap in missed {
            self.keep(&gap.clone().into());
            self.told.push(gap.into());
        }
        self.keep(&sampled);
        let FactBody::ReadingSampled(sampled) = sampled else { panic!() };
        self.samples.push((sampled.sample, sampled.place));
    }

    /// A minute passes, then both probes are asked and all is recorded.
    fn read(&mut self, air: Reading, bottle: Reading) {
        self.minute += 1;
        self.read_one("air", air);
        self.read_one("bottle", bottle);
        let (changes, stamp) = (self.desk.changes(&self.stamp(), &self.book.clone()), self.stamp());
        let papers = self.desk.calibrations(&stamp, &self.book);
        let bodies = changes.into_iter().map(|(_, change)| FactBody::from(change));
        for body in bodies.chain(papers.into_iter().map(FactBody::from)) {
            self.book.apply(&body);
            self.told.push(body);
        }
    }

    fn contact(&mut self, input: &str, state: &str) {
        let changed =
            InputChanged { input: input.into(), kind: "power".into(), state: state.into(), reason: None };
        let missed = self.desk.contact(&self.stamp(), &changed);
        self.told.extend(missed.into_iter().map(FactBody::from));
    }

    fn now(&self) -> PlaceNow {
        self.desk.places(&self.stamp()).remove(0)
    }

    fn alarms(&self) -> Vec<Alarm> {
        self.now().troubles.into_iter().map(|(alarm, _)| alarm).collect()
    }

    fn changes(&self) -> Vec<(&str, &str)> {
        let change = |body: &FactBody| matches!(body, FactBody::PlaceChanged(_));
        let words = |body| match body {
            &FactBody::PlaceChanged(PlaceChanged { ref trouble, ref state, .. }) => (&**trouble, &**state),
            _ => ("", ""),
        };
        self.told.iter().filter(|body| change(body)).map(words).collect()
    }

    fn gaps(&self) -> Vec<(&str, &str, i64, i64)> {
        let minute = |at: UnixMillis| at.0 / i64::try_from(MINUTE_MS).unwrap();
        let gap = |body| match body {
            &FactBody::ReadingMissed(ReadingMissed { ref sensor, from, to, ref cause, .. }) => {
                Some((&**sensor, &**cause, minute(from), minute(to)))
            }
            _ => None,
        };
        self.told.iter().filter_map(gap).collect()
    }
}

fn degrees(milli: i32) -> Reading {
    Ok(MilliCelsius(milli))
}

#[test]
fn the_first_probe_s_reading_is_the_place_s_and_the_second_one_s_where_it_has_none() {
    let mut fridge = Fridge::new();
    fridge.read(degrees(5_000), degrees(5_400));
    fridge.read(Err(NoData::NoProbe), degrees(5_500));
    fridge.read(Err(NoData::NoProbe), Err(NoData::Timeout));
    let speaks = |index: usize| fridge.samples[index].1.as_deref();
    let all: Vec<Option<&str>> = (0..6).map(speaks).collect();
    // When the first of the third pair comes in, the second one's last reading still counts.
    assert_eq!(all, [Some("vaccines"), None, None, Some("vaccines"), None, None]);
    let now = fridge.now();
    assert_eq!((now.reading, now.sensor.as_str()), (Some(Err(NoData::NoProbe)), "air"), "never a number");
    assert_eq!(fridge.alarms(), [Alarm::NoReading]);
    fridge.read(Err(NoData::NoProbe), degrees(5_600));
    assert_eq!((fridge.now().reading, fridge.now().sensor.as_str()), (Some(degrees(5_600)), "bottle"));
    assert_eq!(fridge.alarms(), [Alarm::FellBack]);
}

#[test]
fn a_place_that_was_not_asked_yet_or_not_for_long_has_no_temperature() {
    let mut fridge = Fridge::new();
    assert_eq!((fridge.now().reading, fridge.alarms()), (None, vec![Alarm::NoReading]));
    fridge.read(degrees(5_000), degrees(5_000));
    fridge.minute += 10;
    assert_eq!(fridge.now().reading, Some(Err(NoData::Timeout)), "ten minutes old is not how it is");
}

#[test]
fn a_place_that_is_too_warm_is_shown_at_once_and_told_once_after_half_an_hour() {
    let mut fridge = Fridge::new();
    fridge.read(degrees(5_000), degrees(5_000));
    fridge.read(degrees(8_100), degrees(8_000));
    assert_eq!(fridge.alarms(), [Alarm::TooWarm]);
    for _ in 0..29 {
        fridge.read(degrees(8_100), degrees(8_000));
    }
    assert_eq!(fridge.changes(), []);
    fridge.read(degrees(8_100), degrees(8_000));
    fridge.restart("b");
    for _ in 0..60 {
        fridge.read(degrees(8_100), degrees(8_000));
    }
    assert_eq!(fridge.changes(), [("too_warm", "began")], "a restart says it no second time");
    // Without a reading nobody knows that it is well again.
    for _ in 0..20 {
        fridge.read(Err(NoData::Timeout), Err(NoData::Timeout));
    }
    assert_eq!(fridge.changes()[1..], [("no_reading", "began")]);
    for _ in 0..7 {
        fridge.read(degrees(7_900), degrees(7_900));
    }
    assert_eq!(fridge.changes()[2..], [("too_warm", "ended"), ("no_reading", "ended")]);
}

#[test]
fn one_that_was_cold_for_a_moment_or_disagrees_at_the_edge_is_not_told_each_minute() {
    let mut fridge = Fridge::new();
    for minute in 0..240 {
        let bottle = if minute % 2 == 0 { 5_100 } else { 4_900 };
        fridge.read(degrees(3_000), degrees(bottle));
    }
    fridge.read(degrees(1_900), degrees(2_100));
    fridge.read(degrees(3_000), degrees(3_000));
    assert_eq!(fridge.changes(), []);
}

#[test]
fn probes_that_disagree_are_told_with_both_readings() {
    let mut fridge = Fridge::new();
    for _ in 0..7 {
        fridge.read(degrees(4_000), degrees(7_000));
    }
    assert_eq!(fridge.changes(), [("disagreement", "began")]);
    let FactBody::PlaceChanged(change) = &fridge.told[2] else { panic!("{:?}", fridge.told) };
    assert!(change.detail.starts_with("its probes tell 4.0 °C and 7.0 °C"), "{}", change.detail);
}

#[test]
fn a_certificate_is_recorded_once_and_not_at_each_start() {
    let mut fridge = Fridge::new();
    let papers = |fridge: &Fridge| {
        fridge.told.iter().filter(|body| matches!(body, FactBody::ProbeCalibrated(_))).count()
    };
    fridge.read(degrees(5_000), degrees(5_000));
    assert_eq!(papers(&fridge), 2, "one for each probe");
    fridge.restart("b");
    fridge.read(degrees(5_000), degrees(5_000));
    assert_eq!(papers(&fridge), 2);
    let mut new = settings();
    new.probes[0].calibration = Some(paper("2027-11-22"));
    fridge.desk = ColdDesk::new(new);
    fridge.read(degrees(5_000), degrees(5_000));
    assert_eq!(papers(&fridge), 3, "a new paper");
    let FactBody::ProbeCalibrated(told) = &fridge.told[2] else { panic!() };
    assert_eq!((&*told.certificate, told.correction), ("K-7", MilliCelsius(-250)));
}

#[test]
fn certificates_that_are_due_are_one_line_the_earliest_first() {
    let desk = ColdDesk::new(settings());
    let papers = |day: &str| desk.papers(day.parse().unwrap());
    assert_eq!(papers("2026-11-09"), None);
    let one = "Have the probes calibrated: bottle due 2026-12-10".to_owned();
    assert_eq!(papers("2026-11-10"), Some((Standing::DueSoon, one)));
    let both = "Have the probes calibrated: bottle overdue since 2026-12-10, air due 2026-12-20".to_owned();
    assert_eq!(papers("2026-12-11"), Some((Standing::Overdue, both)));
}

#[test]
fn after_a_start_the_night_without_readings_is_told_with_its_reason() {
    let mut fridge = Fridge::new();
    fridge.read(degrees(5_000), degrees(5_000));
    fridge.restart("b");
    fridge.minute = 600;
    fridge.read(degrees(5_000), degrees(5_000));
    assert_eq!(fridge.gaps(), [("air", "box_off", 1, 601), ("bottle", "box_off", 1, 601)]);
    let shown = fridge.desk.gaps(fridge.stamp().wall_ms);
    assert_eq!(shown.len(), 1, "one line for what both missed: {shown:?}");
    assert_eq!((shown[0].sensors.join(" "), &*shown[0].cause), ("air bottle".into(), "the box was off"));
    fridge.restart("b");
    fridge.read(degrees(5_000), degrees(5_000));
    assert_eq!(fridge.gaps().len(), 2, "told once");
    assert_eq!(fridge.desk.gaps(fridge.stamp().wall_ms).len(), 1, "and shown until the day is over");
    assert_eq!(fridge.desk.gaps(UnixMillis(fridge.stamp().wall_ms.0 + 13 * 3_600_000)), []);
}

#[test]
fn a_sensor_s_own_silence_a_line_that_is_away_and_missing_mains_each_have_their_name() {
    let mut fridge = Fridge::new();
    fridge.read(degrees(5_000), degrees(5_000));
    fridge.read(Err(NoData::Timeout), degrees(5_000));
    fridge.read(degrees(5_000), degrees(5_000));
    fridge.read(Err(NoData::Gone), degrees(5_000));
    fridge.read(degrees(5_000), degrees(5_000));
    fridge.contact("mains", "away");
    fridge.read(Err(NoData::Timeout), degrees(5_000));
    assert_eq!(fridge.samples[10].0, Sample::Missing("power_away".into()), "no bad wire");
    assert_eq!(fridge.now().contacts, ["the mains are away"]);
    fridge.contact("mains", "here");
    fridge.read(degrees(5_000), degrees(5_000));
    let causes: Vec<(&str, &str)> = fridge.gaps().iter().map(|gap| (gap.0, gap.1)).collect();
    assert_eq!(causes, [("air", "sensor_silent"), ("air", "bus_away"), ("air", "power_away")]);
}

#[test]
fn a_silence_that_began_before_the_agent_was_restarted_is_told_from_its_beginning() {
    let mut fridge = Fridge::new();
    fridge.read(degrees(5_000), degrees(5_000));
    for _ in 0..5 {
        fridge.read(Err(NoData::Timeout), degrees(5_000));
    }
    fridge.restart("a");
    fridge.read(degrees(5_000), degrees(5_000));
    assert_eq!(fridge.gaps(), [("air", "sensor_silent", 2, 7)]);
}
