//! A cold place with two probes on a real line: what the page shows, what is recorded, and what a restart knows of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail as the test does"
)]

use std::{sync::Arc, time::Duration};

use pestle_agent::{
    counter::view::{PlaceView, TillView},
    journal::{Journal, JournalError, Place},
};
use pestle_domain::{
    fact::{Fact, FactBody, Sample},
    units::MilliCelsius,
};
use pestle_drivers::sim::fridge::{FridgeFault, SimFridges};
use tokio::time::timeout;

use crate::branch::Branch;

const DEADLINE: Duration = Duration::from_secs(30);

fn config(line: &std::path::Path, due: &str) -> String {
    let probe = |name: &str, slave: u8, paper: &str| {
        format!(
            "[[sensor]]\nname = \"{name}\"\npath = \"{}\"\nslave = {slave}\nprofile = \"xy-md02\"\ninterval_s = 1\n{paper}\n",
            line.display()
        )
    };
    let paper = format!(
        "calibration = {{ certificate = \"K-1042\", date = \"2020-03-01\", due = \"{due}\", correction_milli = -300 }}"
    );
    format!(
        "[[till]]\nid = \"till-1\"\n{}{}[[cold_place]]\nname = \"vaccines\"\nprobe = \"air\"\nsecond = \"bottle\"\n",
        probe("air", 10, &paper),
        probe("bottle", 11, "")
    )
}

async fn until(branch: &Branch, mut shows: impl FnMut(&TillView) -> bool) -> Arc<TillView> {
    let mut view = branch.counter.watch(&"till-1".parse().unwrap()).unwrap();
    let shown = timeout(DEADLINE, view.wait_for(|view| shows(view))).await.map(|view| view.unwrap().clone());
    match shown {
        Ok(view) => view,
        Err(_elapsed) => {
            let last = branch.state("till-1").await;
            panic!("the page never showed it; it shows {last:#}")
        }
    }
}

/// Waits until the place is as asked for.
async fn place(branch: &Branch, is: impl Fn(&PlaceView) -> bool) -> PlaceView {
    until(branch, |view| view.cold.places.first().is_some_and(&is)).await.cold.places[0].clone()
}

fn facts(journal: &Journal) -> Vec<FactBody> {
    let mut facts = Vec::new();
    journal
        .for_each(Place::START, |_place, act| -> Result<(), JournalError> {
            facts.extend(act.lines().map(|line| Fact::from_line(line).unwrap().unwrap().body));
            Ok(())
        })
        .unwrap();
    facts
}

#[tokio::test(flavor = "multi_thread")]
async fn two_probes_are_one_place_on_the_page_and_in_the_journal_also_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let line = folder.path().join("fridge");
    let fridge = SimFridges::plug_in(&line, &[10, 11]).unwrap();
    fridge.set_milli_celsius(10, 5_500).unwrap();
    fridge.set_milli_celsius(11, 5_600).unwrap();
    let branch = Branch::open(folder, &config(&line, "2021-03-01")).await;

    // The certificate's correction is in it once: 5.5 °C, less 0.3.
    let here = place(&branch, |place| place.milli_celsius == Some(MilliCelsius(5_200))).await;
    assert_eq!((&*here.sensor, here.out_of_limits), ("air", false));
    let view = until(&branch, |view| view.cold.calibration.is_some()).await;
    assert_eq!(
        view.cold.calibration.as_deref(),
        Some("Have the probes calibrated: air overdue since 2021-03-01")
    );
    assert!(view.readings.iter().all(|reading| reading.place.as_deref() == Some("vaccines")));

    // The first probe says nothing: the second one counts, and that is told.
    fridge.set_fault(10, FridgeFault::Silent).unwrap();
    let fallen = place(&branch, |place| place.sensor == "bottle").await;
    assert_eq!(fallen.milli_celsius, Some(MilliCelsius(5_600)));
    assert!(fallen.details[0].contains("its first probe tells nothing"), "{:?}", fallen.details);
    fridge.set_fault(11, FridgeFault::NoProbe).unwrap();
    let none = place(&branch, |place| place.milli_celsius.is_none()).await;
    assert!(none.missing.is_some() && none.details[0].contains("no probe tells its temperature"), "{none:?}");

    // The silence lasts over a restart, and has one reason.
    fridge.set_fault(11, FridgeFault::None).unwrap();
    fridge.set_milli_celsius(11, 9_100).unwrap();
    let branch = branch.restart_as(&config(&line, "2021-03-01")).await;
    let warm = place(&branch, |place| place.sensor == "bottle" && place.milli_celsius.is_some()).await;
    assert!(warm.out_of_limits && warm.details[0].starts_with("9.1 °C is above 8.0 °C"), "{warm:?}");
    fridge.set_fault(10, FridgeFault::None).unwrap();
    place(&branch, |place| place.milli_celsius == Some(MilliCelsius(5_200))).await;
    until(&branch, |view| view.cold.gaps.iter().any(|gap| gap.starts_with("No readings of air"))).await;
    // Another reading: the one before is on the disk then.
    fridge.set_milli_celsius(10, 5_800).unwrap();
    place(&branch, |place| place.milli_celsius == Some(MilliCelsius(5_500))).await;

    branch.counter.stop().await;
    let papers = facts(&branch.ledger);
    let papers = papers.iter().filter(|body| matches!(body, FactBody::ProbeCalibrated(_))).count();
    assert_eq!(papers, 1, "once, and not at each start");
    let readings = facts(&branch.telemetry);
    let speaks = |body: &FactBody, wanted: &str, milli: i32| {
        matches!(body, FactBody::ReadingSampled(sampled)
            if &*sampled.sensor == wanted && sampled.place.is_some()
            && sampled.sample == Sample::Temperature(MilliCelsius(milli)))
    };
    assert!(readings.iter().any(|body| speaks(body, "air", 5_200)));
    assert!(readings.iter().any(|body| speaks(body, "bottle", 9_100)));
    let gap = readings.iter().position(|body| {
        matches!(body, FactBody::ReadingMissed(missed) if &*missed.sensor == "air" && &*missed.cause == "sensor_silent")
    });
    let before = gap.unwrap();
    assert!(
        readings[before..].iter().any(|body| speaks(body, "air", 5_200)),
        "before the reading that ends it"
    );
}
