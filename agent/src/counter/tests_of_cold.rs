//! Cold places at the counter: what is recorded, said and sounded.

use std::time::Duration;

use pestle_domain::{cold_chain::Limits, fact::FactBody, units::MilliCelsius};
use pestle_drivers::{
    device::DeviceName,
    sensor::{
        NoData, Reading,
        place::{ColdPlace, PlaceProbe},
    },
};

use super::{machine::Event, testing::Rig, view::DeviceState};
use crate::cold::{
    desk::ColdDesk,
    settings::{ColdSettings, Place, Probe},
};

fn with_a_fridge() -> Rig {
    let mut rig = Rig::open();
    let sensor = DeviceName::new("air");
    let primary = PlaceProbe { sensor: sensor.clone(), calibration: None };
    let place = ColdPlace::new(DeviceName::new("vaccines"), primary);
    let cold = ColdSettings {
        places: vec![Place { place, limits: Limits::FRIDGE }],
        probes: vec![Probe { sensor, interval: Duration::from_secs(60), calibration: None }],
    };
    rig.branch.cold = ColdDesk::new(cold);
    rig.branch.settings.buzzers = vec!["printer-2".into()];
    rig
}

fn read(rig: &mut Rig, reading: Reading) {
    rig.now_ms += 60_000;
    // Somebody serves all the time.
    rig.hear(Event::Reading("air".into(), reading));
    rig.commit();
}

#[test]
fn a_missing_temperature_is_a_reason_on_the_page_and_in_the_journal_and_never_a_number() {
    let mut rig = with_a_fridge();
    read(&mut rig, Err(NoData::NoProbe));
    let view = rig.view(1);
    assert_eq!((view.readings[0].milli_celsius, view.cold.places[0].milli_celsius), (None, None));
    assert!(view.readings[0].missing.as_ref().unwrap().contains("probe is missing"));
    assert_eq!(view.cold.places[0].state, DeviceState::Away);
    let (facts, _) = rig.journal.last().unwrap();
    let FactBody::ReadingSampled(sampled) = &facts[0].body else { panic!("{facts:?}") };
    assert_eq!(sampled.sample, pestle_domain::fact::Sample::Missing("no_probe".into()));
    assert_eq!(sampled.place.as_deref(), Some("vaccines"));
}

#[test]
fn a_fridge_that_stays_too_warm_is_said_at_each_till_sounded_once_and_recorded() {
    let mut rig = with_a_fridge();
    read(&mut rig, Ok(MilliCelsius(9_000)));
    let view = rig.view(1);
    assert!(view.cold.places[0].out_of_limits, "shown at once");
    assert!(view.refusals.is_empty() && rig.ordered.is_empty(), "and not said: a delivery is put in");
    for _ in 0..40 {
        read(&mut rig, Ok(MilliCelsius(9_000)));
    }
    rig.refused_with(1, "vaccines: 9.0 °C is above 8.0 °C");
    rig.refused_with(2, "vaccines: 9.0 °C is above 8.0 °C");
    assert_eq!(rig.ordered, ["printer-2 beep"]);
    assert_eq!(rig.kinds().iter().filter(|kind| **kind == "place.changed").count(), 1);
    for _ in 0..10 {
        read(&mut rig, Ok(MilliCelsius(5_000)));
    }
    assert_eq!(rig.kinds().iter().filter(|kind| **kind == "place.changed").count(), 2);
    assert_eq!(rig.ordered.len(), 1);
}

#[test]
fn what_could_not_be_recorded_is_recorded_later() {
    let mut rig = with_a_fridge();
    for _ in 0..32 {
        rig.now_ms += 60_000;
        rig.hear(Event::Reading("air".into(), Ok(MilliCelsius(9_000))));
        while !rig.pending.is_empty() {
            let (commit, ..) = rig.pending.remove(0);
            rig.hear(Event::Appended(commit, Err("not recorded".into())));
        }
    }
    assert!(!rig.kinds().contains(&"place.changed"));
    read(&mut rig, Ok(MilliCelsius(9_000)));
    assert!(rig.kinds().contains(&"place.changed"), "{:?}", rig.kinds());
}

#[test]
fn a_gap_is_shown_in_the_branch_s_own_time_and_recorded_before_the_reading_that_ends_it() {
    let mut rig = with_a_fridge();
    read(&mut rig, Ok(MilliCelsius(5_000)));
    read(&mut rig, Err(NoData::Timeout));
    assert!(rig.view(1).cold.gaps.is_empty());
    read(&mut rig, Ok(MilliCelsius(5_000)));
    let kinds = rig.kinds();
    assert_eq!(kinds[kinds.len() - 2..], ["reading.missed", "reading.sampled"]);
    let gaps = rig.view(1).cold.gaps;
    assert!(
        gaps.len() == 1
            && gaps[0].starts_with("No readings of air from 2026-11-18 ")
            && gaps[0].ends_with(": the sensor told no temperature (timeout)"),
        "{gaps:?}"
    );
}
