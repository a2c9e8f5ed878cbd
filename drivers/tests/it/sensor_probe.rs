//! Probing devices and looking for them, on lines that answer.

use std::time::Duration;

use pestle_domain::units::MilliCelsius;
use pestle_drivers::{
    device::DeviceName,
    line::{LineAddress, serial::SerialSettings},
    sensor::{
        NoData, Sensor as _,
        bus::{self, Bus, BusSettings, Framing, SensorSettings},
        probe::{Support, Verdict, probe},
        profile::SensorProfiles,
        register::Function,
        scan::{ScanPlan, scan},
    },
    sim::fridge::{Bank, FridgeFault, SimFridges},
};

use crate::soon;

fn profiles() -> SensorProfiles {
    SensorProfiles::built_in().unwrap()
}

fn bus(fridges: &SimFridges, slave: u8) -> Bus {
    let line = LineAddress::Serial(SerialSettings::new(fridges.path(), 115_200).unwrap());
    let profile = profiles().get("xy-md02").unwrap().clone();
    let sensor = SensorSettings::new(DeviceName::new("fridge"), slave, profile);
    let mut settings = BusSettings::new(line, vec![sensor]).unwrap();
    settings.answer_timeout = Duration::from_millis(100);
    bus::start(settings)
}

#[tokio::test]
async fn a_device_in_use_is_probed_between_its_readings_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let fridges = SimFridges::plug_in(folder.path().join("bus"), &[17]).unwrap();
    let bus = bus(&fridges, 17);
    let profiles = profiles();
    let mut probing = Box::pin(probe(&bus.handle, 17, &profiles));
    let report = soon(async {
        loop {
            tokio::select! {
                report = &mut probing => break report,
                reading = bus.sensors[0].read() => assert_eq!(reading, Ok(MilliCelsius(5_000))),
            }
        }
    })
    .await;
    assert_eq!(report.verdict, Verdict::Fits("xy-md02".into()), "{report}");
    assert_eq!(report.functions[&Function::Coils], Support::Unknown);
    assert!(report.to_string().contains("this fits xy-md02\n"), "{report}");
}

#[tokio::test]
async fn a_clone_with_other_units_is_told_and_a_silent_address_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let fridges = SimFridges::plug_in(folder.path().join("bus"), &[1]).unwrap();
    fridges.set_bank(1, Bank::from([((Function::Input, 1), 421), ((Function::Input, 2), 4_510)]));
    let bus = bus(&fridges, 1);
    // Read as what it looks like, it would be 42 degrees.
    assert_eq!(soon(bus.sensors[0].read()).await, Ok(MilliCelsius(42_100)));
    let report = soon(probe(&bus.handle, 1, &profiles())).await;
    assert_eq!(report.verdict, Verdict::CannotTell(vec!["md02".into()]), "{report}");
    let nobody = soon(probe(&bus.handle, 2, &profiles())).await;
    assert_eq!(nobody.verdict, Verdict::Silent(NoData::Timeout), "{nobody}");
}

#[tokio::test]
async fn a_scan_finds_whoever_answers_and_names_what_it_can() {
    let fridges = SimFridges::on_network(Framing::Tcp, &[11]).await.unwrap();
    fridges.set_bank(4, Bank::from([((Function::Holding, 999), 1)]));
    // A gateway says at once that nobody is there; the silent addresses would take a second each.
    for slave in (1..=12).filter(|slave| ![4, 11].contains(slave)) {
        fridges.set_bank(slave, Bank::new());
        fridges.set_fault(slave, FridgeFault::Exception(11)).unwrap();
    }
    let written = format!("modbus-tcp://{}", fridges.network().unwrap());
    let plan = ScanPlan { addresses: 1..=12, ..written.parse().unwrap() };
    let report = soon(scan(&plan, &profiles())).await.unwrap();
    let found: Vec<(u8, Verdict)> =
        report.found.iter().map(|(_, one)| (one.slave, one.verdict.clone())).collect();
    assert_eq!(found, [(4, Verdict::Unknown), (11, Verdict::Fits("xy-md02".into()))], "{report}");
    assert!(report.left_out.is_empty());
}

#[tokio::test]
async fn a_scan_goes_through_speeds_and_says_what_it_had_no_time_for() {
    let folder = tempfile::tempdir().unwrap();
    let fridges = SimFridges::plug_in(folder.path().join("bus"), &[1]).unwrap();
    let place = fridges.path().display().to_string();
    let all: ScanPlan = place.parse().unwrap();
    assert_eq!(all.lines.len(), 4);
    let plan = ScanPlan { lines: all.lines[..2].to_vec(), addresses: 1..=1, ..all };
    let report = soon(scan(&plan, &profiles())).await.unwrap();
    let found: Vec<&str> = report.found.iter().map(|(written, _)| written.as_str()).collect();
    // A pseudo-terminal has no speed: the device answers at each.
    let expected = ["9600", "19200"].map(|baud| format!("serial:{place}?baud={baud}"));
    assert_eq!(found, expected, "{report}");
    let hurried = ScanPlan { addresses: 1..=32, longest: Duration::ZERO, ..plan };
    let report = soon(scan(&hurried, &profiles())).await.unwrap();
    assert!(report.found.is_empty());
    let text = report.to_string();
    let left_out =
        format!("not looked at, since the time was up: serial:{place}?baud=9600, addresses 1 to 32");
    assert!(text.contains(&left_out), "{text}");
    let one: ScanPlan = format!("serial:{place}?baud=4800&parity=even").parse().unwrap();
    assert_eq!(one.lines.len(), 1, "who knows the speed is not made to wait for the others");
    assert!("fridge 1".parse::<ScanPlan>().unwrap_err().contains("write"), "no line");
}

#[tokio::test]
async fn what_was_found_is_told_although_the_line_does_not_open_in_another_way() {
    let folder = tempfile::tempdir().unwrap();
    let fridges = SimFridges::plug_in(folder.path().join("bus"), &[1]).unwrap();
    let here: ScanPlan = format!("{}?baud=9600", fridges.path().display()).parse().unwrap();
    let gone: ScanPlan = format!("{}?baud=19200", folder.path().join("gone").display()).parse().unwrap();
    let lines = |plans: &[&ScanPlan]| plans.iter().flat_map(|plan| plan.lines.clone()).collect::<Vec<_>>();
    // What opens is looked at, before and behind what does not.
    let plan = ScanPlan { lines: lines(&[&here, &gone, &here]), addresses: 1..=1, ..here.clone() };
    let report = soon(scan(&plan, &profiles())).await.unwrap();
    assert_eq!(report.found.len(), 2, "{report}");
    let text = report.to_string();
    let [called] = &lines(&[&gone])[..] else { panic!("{text}") };
    let said = format!("not looked at: {}: ", called.0);
    let line = text.lines().find(|line| line.starts_with(&said));
    assert!(line.is_some_and(|line| line.contains("check that the device is plugged in")), "{text}");

    let nobody = ScanPlan { lines: lines(&[&here, &gone]), addresses: 2..=2, ..here };
    let report = soon(scan(&nobody, &profiles())).await.unwrap().to_string();
    assert!(report.contains("nobody answers") && report.contains(&said), "{report}");
    let nowhere = ScanPlan { lines: lines(&[&gone, &gone]), ..nobody };
    assert!(soon(scan(&nowhere, &profiles())).await.unwrap_err().contains("does not exist"));
}

#[tokio::test]
async fn a_bus_that_is_in_use_is_not_scanned() {
    let folder = tempfile::tempdir().unwrap();
    let fridges = SimFridges::plug_in(folder.path().join("bus"), &[1]).unwrap();
    let bus = bus(&fridges, 1);
    assert_eq!(soon(bus.sensors[0].read()).await, Ok(MilliCelsius(5_000)));
    let plan: ScanPlan = fridges.path().display().to_string().parse().unwrap();
    let refused = soon(scan(&plan, &profiles())).await.unwrap_err();
    assert!(refused.contains("in use by another program"), "{refused}");
}
