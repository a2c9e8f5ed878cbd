//! Modbus sensors.

use std::time::Duration;

use pestle_domain::units::MilliCelsius;
use pestle_drivers::{
    device::{DeviceEvent, DeviceName},
    line::{LineAddress, serial::SerialSettings},
    sensor::{
        NoData, Reading, Sample, Sensor as _, SensorEvent,
        bus::{self, Bus, BusSettings, ModbusSensor, SensorSettings},
        profile::SensorProfiles,
    },
    sim::fridge::{FridgeFault, SimFridges},
};
use tokio::sync::mpsc;

use crate::soon;

struct Store {
    _folder: tempfile::TempDir,
    fridges: SimFridges,
    sensors: Vec<ModbusSensor>,
    events: mpsc::Receiver<SensorEvent>,
}

fn store() -> Store {
    store_with((Duration::from_millis(50), Duration::from_secs(2)))
}

fn store_with(rest: (Duration, Duration)) -> Store {
    let folder = tempfile::tempdir().unwrap();
    let fridges = SimFridges::plug_in(folder.path().join("bus"), &[1, 2]).unwrap();
    let profile = SensorProfiles::built_in().unwrap().get("xy-md02").unwrap().clone();
    let sensor =
        |slave: u8| SensorSettings::new(DeviceName::new(format!("fridge-{slave}")), slave, profile.clone());
    // A fast line, so that draining it takes tens of milliseconds and not hundreds.
    let line = LineAddress::Serial(SerialSettings::new(fridges.path(), 115_200).unwrap());
    let mut settings = BusSettings::new(line, vec![sensor(1), sensor(2)]).unwrap();
    settings.answer_timeout = Duration::from_millis(200);
    settings.rest = rest;
    let Bus { sensors, events, .. } = bus::start(settings);
    Store { _folder: folder, fridges, sensors, events }
}

impl Store {
    async fn read(&self, slave: usize) -> Reading {
        soon(self.sensors[slave - 1].read()).await
    }

    /// Reads until it is as expected; a slave that failed is left alone for a while.
    async fn reads_soon(&self, slave: usize, expected: Reading) {
        soon(async {
            while self.sensors[slave - 1].read().await != expected {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_fridge_tells_its_temperature_and_humidity() {
    let mut store = store();
    store.fridges.set_milli_celsius(1, -20_500).unwrap();
    store.fridges.set_humidity_permille(1, 613).unwrap();
    let expected = Sample {
        temperature: Ok(MilliCelsius(-20_500)),
        correction: MilliCelsius(0),
        humidity_permille: Some(Ok(613)),
    };
    assert_eq!(soon(store.sensors[0].sample()).await, expected);
    let event = soon(store.events.recv()).await.unwrap();
    assert_eq!((event.source.as_str(), event.event), ("fridge-1", DeviceEvent::Attached));
}

#[tokio::test]
async fn a_fridge_that_stays_silent_is_a_reason_and_does_not_stall_the_other() {
    let mut store = store();
    store.fridges.set_fault(1, FridgeFault::Silent).unwrap();
    assert_eq!(store.read(1).await, Err(NoData::Timeout));
    for _ in 0..20 {
        assert_eq!(store.read(2).await, Ok(MilliCelsius(5_000)));
        assert_eq!(store.read(1).await, Err(NoData::Timeout));
    }
    let event = soon(store.events.recv()).await.unwrap();
    assert!(matches!(event.event, DeviceEvent::Fault { .. }), "{event:?}");
    store.fridges.set_fault(1, FridgeFault::None).unwrap();
    store.reads_soon(1, Ok(MilliCelsius(5_000))).await;
}

#[tokio::test]
async fn a_silent_fridge_is_left_alone_for_a_while_so_that_the_bus_is_free() {
    let store = store_with((Duration::from_secs(3_600), Duration::from_secs(3_600)));
    store.fridges.set_fault(1, FridgeFault::Silent).unwrap();
    for _ in 0..20 {
        assert_eq!(store.read(1).await, Err(NoData::Timeout));
        assert_eq!(store.read(2).await, Ok(MilliCelsius(5_000)));
    }
    assert_eq!((store.fridges.asked(1), store.fridges.asked(2)), (1, 40));
}

#[tokio::test]
async fn an_answer_that_comes_late_is_never_taken_for_another() {
    let store = store();
    store.fridges.set_milli_celsius(1, 1_000).unwrap();
    store.fridges.set_milli_celsius(2, 2_000).unwrap();
    for _ in 0..3 {
        // Just later than the time-out, so that it arrives while the line is drained.
        store.fridges.set_fault(1, FridgeFault::Slow(Duration::from_millis(220))).unwrap();
        store.reads_soon(1, Err(NoData::Timeout)).await;
        store.fridges.set_fault(1, FridgeFault::None).unwrap();
        for _ in 0..5 {
            assert_eq!(store.read(2).await, Ok(MilliCelsius(2_000)));
        }
        store.reads_soon(1, Ok(MilliCelsius(1_000))).await;
    }
}

#[tokio::test]
async fn each_kind_of_bad_answer_is_its_own_reason_and_never_a_number() {
    let store = store();
    let faults = [
        (FridgeFault::WrongCrc, NoData::Crc),
        (FridgeFault::Garbage, NoData::Garbled),
        (FridgeFault::NoProbe, NoData::NoProbe),
        (FridgeFault::Exception(4), NoData::Exception(4)),
    ];
    for (fault, reason) in faults {
        store.fridges.set_fault(1, fault).unwrap();
        store.reads_soon(1, Err(reason)).await;
        assert_eq!(store.read(2).await, Ok(MilliCelsius(5_000)), "after {fault:?}");
        store.fridges.set_fault(1, FridgeFault::None).unwrap();
        store.reads_soon(1, Ok(MilliCelsius(5_000))).await;
    }
    store.fridges.set_milli_celsius(1, 200_000).unwrap();
    assert_eq!(store.read(1).await, Err(NoData::OutOfRange(200_000)));
}

#[tokio::test]
async fn a_bus_adapter_that_is_pulled_is_gone_and_is_back_when_it_is_plugged_in() {
    let store = store();
    assert_eq!(store.read(1).await, Ok(MilliCelsius(5_000)));
    store.fridges.unplug();
    store.reads_soon(1, Err(NoData::Gone)).await;
    store.fridges.replug().unwrap();
    store.reads_soon(1, Ok(MilliCelsius(5_000))).await;
    store.reads_soon(2, Ok(MilliCelsius(5_000))).await;
}
