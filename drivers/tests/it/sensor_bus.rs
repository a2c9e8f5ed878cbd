//! Buses of many devices, of any kind of line: whose answer is whose, and who waits for whom.

use std::time::{Duration, Instant};

use pestle_domain::units::MilliCelsius;
use pestle_drivers::{
    device::{DeviceEvent, DeviceName},
    line::{LineAddress, serial::SerialSettings},
    sensor::{
        NoData, Reading, Sensor as _,
        bus::{self, Bus, BusAddress, BusSettings, Framing, InputSettings, SensorSettings},
        calibration::Calibration,
        input::{Input as _, InputKind, InputState},
        profile::SensorProfiles,
        register::Function,
    },
    sim::fridge::{Bank, FridgeFault, SimFridges},
};

use crate::soon;

fn sensor(slave: u8, profile: &str) -> SensorSettings {
    let profile = SensorProfiles::built_in().unwrap().get(profile).unwrap().clone();
    SensorSettings::new(DeviceName::new(format!("fridge-{slave}")), slave, profile)
}

fn serial(fridges: &SimFridges, baud: u32) -> BusAddress {
    let line = LineAddress::Serial(SerialSettings::new(fridges.path(), baud).unwrap());
    BusAddress { line, framing: Framing::Rtu }
}

fn network(fridges: &SimFridges, framing: Framing) -> BusAddress {
    BusAddress { line: LineAddress::Tcp(fridges.network().unwrap()), framing }
}

/// A bus with short times, so that a test takes tenths of seconds.
fn start(address: BusAddress, sensors: Vec<SensorSettings>, inputs: Vec<InputSettings>) -> Bus {
    let mut settings = BusSettings::at(address, sensors, inputs).unwrap();
    settings.answer_timeout = Duration::from_millis(200);
    settings.rest = (Duration::from_millis(20), Duration::from_millis(50));
    bus::start(settings)
}

async fn reads_soon(bus: &Bus, index: usize, expected: Reading) {
    soon(async {
        while bus.sensors[index].read().await != expected {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn three_dead_devices_of_eight_have_no_more_than_their_share_of_the_bus() {
    let folder = tempfile::tempdir().unwrap();
    let slaves: Vec<u8> = (1..=8).collect();
    let fridges = SimFridges::plug_in(folder.path().join("bus"), &slaves).unwrap();
    for dead in [2, 5, 8] {
        fridges.set_fault(dead, FridgeFault::Silent).unwrap();
    }
    let sensors = slaves.iter().map(|slave| sensor(*slave, "xy-md02")).collect();
    let bus = start(serial(&fridges, 115_200), sensors, Vec::new());
    let began = Instant::now();
    let mut rounds = 0u32;
    // Everybody asks again and again, the dead too, five times as long as finding three dead takes at first.
    while began.elapsed() < Duration::from_secs(4) {
        for (slave, sensor) in slaves.iter().zip(&bus.sensors) {
            let dead = fridges.states()[slave].fault == FridgeFault::Silent;
            let expected = if dead { Err(NoData::Timeout) } else { Ok(MilliCelsius(5_000)) };
            assert_eq!(soon(sensor.read()).await, expected, "{slave}");
        }
        rounds += 1;
    }
    let lasted = began.elapsed();
    // A silent device takes 200 ms of waiting and at the least 50 ms of listening to a line that may still speak.
    let dead_time: Duration = [2, 5, 8]
        .iter()
        .map(|dead| Duration::from_millis(250) * u32::try_from(fridges.asked(*dead)).unwrap())
        .sum();
    let first = Duration::from_millis(250) * 3;
    assert!(dead_time <= lasted * 3 / 8 + first, "{dead_time:?} of {lasted:?}");
    // The others had the rest of the time, and used it: some milliseconds a question, five to a round.
    assert!(rounds > 10, "{rounds} rounds in {lasted:?}");
    assert!(fridges.asked(1) >= u64::from(rounds), "{} of {rounds}", fridges.asked(1));
}

#[tokio::test]
async fn there_are_three_and_a_half_characters_of_silence_before_each_question() {
    let folder = tempfile::tempdir().unwrap();
    let fridges = SimFridges::plug_in(folder.path().join("bus"), &[1, 2]).unwrap();
    let bus = start(serial(&fridges, 4_800), vec![sensor(1, "xy-md02"), sensor(2, "xy-md02")], Vec::new());
    for _ in 0..10 {
        assert_eq!(soon(bus.sensors[0].read()).await, Ok(MilliCelsius(5_000)));
        assert_eq!(soon(bus.sensors[1].read()).await, Ok(MilliCelsius(5_000)));
    }
    // 3.5 characters of 11 bits at 4,800 baud.
    let silence = fridges.shortest_silence().unwrap();
    assert!(silence >= Duration::from_micros(8_020), "{silence:?}");
}

/// All that can go wrong with an answer, and the reason that it is.
async fn each_fault_is_a_reason(fridges: &SimFridges, address: BusAddress) {
    let bus = start(address.clone(), vec![sensor(1, "xy-md02"), sensor(2, "xy-md02")], Vec::new());
    fridges.set_milli_celsius(2, 7_000).unwrap();
    let damaged = if address.framing == Framing::Rtu { NoData::Crc } else { NoData::Garbled };
    let cut_off = NoData::Garbled;
    let faults = [
        (FridgeFault::Silent, NoData::Timeout),
        (FridgeFault::WrongCrc, damaged),
        (FridgeFault::Garbage, NoData::Garbled),
        (FridgeFault::WrongUnit(2), NoData::Garbled),
        (FridgeFault::TooMuch, NoData::Garbled),
        (FridgeFault::CutOff, cut_off),
        (FridgeFault::NoProbe, NoData::NoProbe),
        (FridgeFault::Exception(4), NoData::Exception(4)),
    ];
    for (fault, reason) in faults {
        fridges.set_fault(1, fault).unwrap();
        reads_soon(&bus, 0, Err(reason)).await;
        assert_eq!(soon(bus.sensors[1].read()).await, Ok(MilliCelsius(7_000)), "after {fault:?}");
        fridges.set_fault(1, FridgeFault::None).unwrap();
        reads_soon(&bus, 0, Ok(MilliCelsius(5_000))).await;
    }
    // Slow, but whole and in time.
    fridges.set_fault(1, FridgeFault::SlowBytes(Duration::from_millis(5))).unwrap();
    reads_soon(&bus, 0, Ok(MilliCelsius(5_000))).await;
}

#[tokio::test]
async fn each_fault_is_its_own_reason_on_a_serial_line() {
    let folder = tempfile::tempdir().unwrap();
    let fridges = SimFridges::plug_in(folder.path().join("bus"), &[1, 2]).unwrap();
    each_fault_is_a_reason(&fridges, serial(&fridges, 115_200)).await;
}

#[tokio::test]
async fn each_fault_is_its_own_reason_behind_a_converter() {
    let fridges = SimFridges::on_network(Framing::Rtu, &[1, 2]).await.unwrap();
    each_fault_is_a_reason(&fridges, network(&fridges, Framing::Rtu)).await;
}

#[tokio::test]
async fn each_fault_is_its_own_reason_behind_a_modbus_tcp_gateway() {
    let fridges = SimFridges::on_network(Framing::Tcp, &[1, 2]).await.unwrap();
    each_fault_is_a_reason(&fridges, network(&fridges, Framing::Tcp)).await;
}

/// One device answers just too late, again and again: nobody else's reading is ever its answer, nor its own old one.
async fn a_late_answer_is_nobody_s(fridges: &SimFridges, address: BusAddress) {
    let bus = start(address, vec![sensor(1, "xy-md02"), sensor(2, "xy-md02")], Vec::new());
    fridges.set_milli_celsius(2, 2_000).unwrap();
    for round in 1..=4 {
        fridges.set_milli_celsius(1, -1_000).unwrap();
        fridges.set_fault(1, FridgeFault::Slow(Duration::from_millis(210 + 20 * round))).unwrap();
        reads_soon(&bus, 0, Err(NoData::Timeout)).await;
        fridges.set_fault(1, FridgeFault::None).unwrap();
        let now = 1_000 * i32::try_from(round).unwrap();
        fridges.set_milli_celsius(1, now).unwrap();
        soon(async {
            loop {
                assert_eq!(bus.sensors[1].read().await, Ok(MilliCelsius(2_000)));
                match bus.sensors[0].read().await {
                    Ok(told) => break assert_eq!(told, MilliCelsius(now), "an answer of before"),
                    Err(why) => assert_eq!(why, NoData::Timeout),
                }
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_late_answer_behind_a_converter_is_never_taken_for_another() {
    let fridges = SimFridges::on_network(Framing::Rtu, &[1, 2]).await.unwrap();
    a_late_answer_is_nobody_s(&fridges, network(&fridges, Framing::Rtu)).await;
}

#[tokio::test]
async fn a_late_answer_behind_a_modbus_tcp_gateway_is_never_taken_for_another() {
    let fridges = SimFridges::on_network(Framing::Tcp, &[1, 2]).await.unwrap();
    a_late_answer_is_nobody_s(&fridges, network(&fridges, Framing::Tcp)).await;
}

#[tokio::test]
async fn a_silent_device_behind_a_gateway_is_silent_and_no_refusal() {
    let fridges = SimFridges::on_network(Framing::Tcp, &[1, 2]).await.unwrap();
    let bus =
        start(network(&fridges, Framing::Tcp), vec![sensor(1, "xy-md02"), sensor(2, "xy-md02")], Vec::new());
    // Exception 11: the gateway asked, and the device did not answer.
    fridges.set_fault(1, FridgeFault::Exception(11)).unwrap();
    assert_eq!(soon(bus.sensors[0].read()).await, Err(NoData::Timeout));
    assert_eq!(soon(bus.sensors[1].read()).await, Ok(MilliCelsius(5_000)));
}

#[tokio::test]
async fn a_converter_that_is_away_is_gone() {
    let fridges = SimFridges::on_network(Framing::Rtu, &[1]).await.unwrap();
    let bus = start(network(&fridges, Framing::Rtu), vec![sensor(1, "xy-md02")], Vec::new());
    assert_eq!(soon(bus.sensors[0].read()).await, Ok(MilliCelsius(5_000)));
    fridges.unplug();
    reads_soon(&bus, 0, Err(NoData::Gone)).await;
}

/// A Carel PJEZ at 4 with two probes, a door and a fault flag for each probe.
fn carel() -> Bank {
    Bank::from([
        ((Function::Input, 409), 42),
        ((Function::Input, 406), 0xffce),
        ((Function::DiscreteInputs, 4), 0),
        ((Function::DiscreteInputs, 1), 0),
        ((Function::DiscreteInputs, 7), 0),
    ])
}

#[tokio::test]
async fn two_probes_and_a_door_of_one_controller_each_tell_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let fridges = SimFridges::plug_in(folder.path().join("bus"), &[]).unwrap();
    fridges.set_bank(4, carel());
    let [air, mut evaporator] = [sensor(4, "carel-pjez"), sensor(4, "carel-pjez").probe("2")];
    evaporator.name = DeviceName::new("evaporator");
    let paper = Calibration::new(
        "K-1",
        "2026-01-01".parse().unwrap(),
        "2027-01-01".parse().unwrap(),
        MilliCelsius(-150),
    );
    let door = InputSettings::new(DeviceName::new("door"), 4, air.profile.clone(), "door");
    let air = air.calibrated(paper.unwrap());
    let mut bus = start(serial(&fridges, 115_200), vec![air, evaporator], vec![door]);
    let sample = soon(bus.sensors[0].sample()).await;
    assert_eq!((sample.temperature, sample.correction), (Ok(MilliCelsius(4_050)), MilliCelsius(-150)));
    assert_eq!(soon(bus.sensors[1].read()).await, Ok(MilliCelsius(-5_000)));
    assert_eq!(
        (bus.inputs[0].kind(), soon(bus.inputs[0].read()).await),
        (InputKind::Door, Ok(InputState::AtRest))
    );
    fridges.set_word(4, Function::DiscreteInputs, 7, 1).unwrap();
    assert_eq!(soon(bus.inputs[0].read()).await, Ok(InputState::Raised));
    // One probe breaks: the other and the door go on, and only that one is told.
    fridges.set_word(4, Function::DiscreteInputs, 1, 1).unwrap();
    assert_eq!(soon(bus.sensors[1].read()).await, Err(NoData::NoProbe));
    assert_eq!(soon(bus.sensors[0].read()).await, Ok(MilliCelsius(4_050)));
    assert_eq!(soon(bus.inputs[0].read()).await, Ok(InputState::Raised));
    let mut told = Vec::new();
    while let Ok(event) = bus.events.try_recv() {
        told.push((event.source.to_string(), matches!(event.event, DeviceEvent::Attached)));
    }
    let expected = [("fridge-4", true), ("evaporator", true), ("door", true), ("evaporator", false)];
    assert_eq!(told, expected.map(|(name, well)| (name.to_owned(), well)));
}

#[tokio::test]
async fn a_contact_of_a_module_is_what_the_branch_says_and_silence_is_no_state() {
    let fridges = SimFridges::on_network(Framing::Tcp, &[]).await.unwrap();
    let bank = (0..8).map(|at| ((Function::DiscreteInputs, at), 1)).collect();
    fridges.set_bank(9, bank);
    let profile = SensorProfiles::built_in().unwrap().get("waveshare-io8").unwrap().clone();
    let mains = InputSettings {
        kind: Some(InputKind::Power),
        ..InputSettings::new(DeviceName::new("mains"), 9, profile.clone(), "5")
    };
    let bell = InputSettings {
        kind: Some(InputKind::Alarm),
        raised_when: Some(true),
        ..InputSettings::new(DeviceName::new("bell"), 9, profile, "6")
    };
    let bus = start(network(&fridges, Framing::Tcp), Vec::new(), vec![mains, bell]);
    assert_eq!(
        (bus.inputs[0].kind(), soon(bus.inputs[0].read()).await),
        (InputKind::Power, Ok(InputState::AtRest))
    );
    assert_eq!(soon(bus.inputs[1].read()).await, Ok(InputState::Raised), "wired the other way round");
    fridges.set_word(9, Function::DiscreteInputs, 4, 0).unwrap();
    assert_eq!(soon(bus.inputs[0].read()).await, Ok(InputState::Raised));
    fridges.set_fault(9, FridgeFault::Silent).unwrap();
    assert_eq!(soon(bus.inputs[0].read()).await, Err(NoData::Timeout));
}
