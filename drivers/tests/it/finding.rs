//! Names of the box through plugging and pulling: the keeper over a simulated list of devices, real drivers on real
//! cables.

use std::{
    io::Write as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use pestle_domain::units::MilliCelsius;
use pestle_drivers::{
    device::DeviceName,
    find::{
        binding::{Binding, Wanted},
        change::{AnswerError, Change},
        device::DeviceClass,
        keeper::{self, Keeper, KeeperSettings},
        memory::{Kept, Memory},
        question::{Answer, Question},
    },
    line::{LineAddress, place::DevicePlace, serial::SerialSettings},
    scanner::{
        Scanner as _, ScannerEvent,
        framing::FramingRules,
        serial::{SerialScanner, SerialScannerSettings},
    },
    sensor::{
        Sensor as _,
        bus::{self, BusSettings, SensorSettings},
        profile::SensorProfiles,
    },
    sim::{
        attached::{SimSystem, SimUsbDevice},
        fridge::SimFridges,
        scanner::SimScanner,
    },
};
use tokio::sync::mpsc;

use crate::soon;

struct Shop {
    _folder: tempfile::TempDir,
    sim: SimSystem,
    keeper: Keeper,
    changes: mpsc::Receiver<Change>,
}

fn name(text: &str) -> DeviceName {
    DeviceName::new(text)
}

impl Shop {
    fn keeping(names: &[(&str, &str)]) -> Shop {
        Shop::keeping_with(names, Duration::from_millis(20))
    }

    fn keeping_with(names: &[(&str, &str)], look_every: Duration) -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let sim = SimSystem::new(folder.path()).unwrap();
        let wanted = names.iter().map(|(one, selector)| {
            Wanted::new(name(one), DeviceClass::Serial, selector.parse().unwrap(), None)
        });
        let settings = KeeperSettings { system: sim.system(), look_every: Some(look_every) };
        let (keeper, changes) = keeper::start(settings, wanted.collect());
        Shop { _folder: folder, sim, keeper, changes }
    }

    fn line(&self, one: &str) -> LineAddress {
        let written = LineAddress::Serial(SerialSettings::new("somewhere", 115_200).unwrap());
        written.at(DevicePlace::Kept(self.keeper.place(&name(one)).unwrap()))
    }

    fn scanner(&self, one: &str) -> SerialScanner {
        SerialScanner::start(SerialScannerSettings {
            name: name(one),
            line: self.line(one),
            learned: None,
            framing: FramingRules::default(),
            proved: true,
        })
    }

    /// Plugs a device's list entry in, and a scanner's cable at its device file.
    fn plug_scanner(&self, port: &str, device: &SimUsbDevice) -> SimScanner {
        let files: Vec<PathBuf> = self.sim.plug_in(port, device).unwrap();
        SimScanner::plug_in(&files[0]).unwrap()
    }

    async fn pull(&self, port: &str, scanner: SimScanner) {
        scanner.unplug().await;
        self.sim.unplug(port).unwrap();
    }

    async fn change(&mut self, mut is: impl FnMut(&Change) -> bool) -> Change {
        loop {
            let change = soon(self.changes.recv()).await.expect("the keeper runs");
            if is(&change) {
                return change;
            }
        }
    }

    async fn bound(&mut self, one: &str) -> Binding {
        let is = |change: &Change| matches!(change, Change::Bound { name, .. } if name.as_str() == one);
        match self.change(is).await {
            Change::Bound { binding, .. } => binding,
            other => panic!("{other:?}"),
        }
    }
}

/// Scans until it arrives: the driver opens the line some moment after the device was plugged in.
async fn reads(scanner: &mut SerialScanner, device: &SimScanner, barcode: &[u8]) {
    soon(async {
        loop {
            match scanner.next().await {
                Some(ScannerEvent::Device {
                    event: pestle_drivers::device::DeviceEvent::Attached, ..
                }) => {
                    device.scan(barcode).await.unwrap();
                }
                Some(ScannerEvent::Scan(scan)) => break assert_eq!(scan.bytes, barcode),
                Some(_) => {}
                None => panic!("the driver has ended"),
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_that_comes_back_at_another_port_under_another_file_goes_on_by_itself() {
    let mut shop = Shop::keeping(&[("scanner-1", "usb:05e0:1701:S21357")]);
    let mut scanner = shop.scanner("scanner-1");
    let device = shop.plug_scanner("1-1", &SimUsbDevice::scanner("S21357"));
    reads(&mut scanner, &device, b"4006381333931").await;
    assert_eq!(shop.bound("scanner-1").await.seen.serial.as_deref(), Some("S21357"));
    shop.pull("1-1", device).await;
    // Another device takes its file's name.
    let _other = shop.plug_scanner("1-1", &SimUsbDevice::scanner("S99999"));
    let device = shop.plug_scanner("1-4.2", &SimUsbDevice::scanner("S21357"));
    assert!(device.path().ends_with("ttyACM1"));
    reads(&mut scanner, &device, b"96385074").await;
    shop.change(|change| matches!(change, Change::Moved { to, .. } if to.as_str() == "1-4.2")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_device_at_the_port_is_not_opened_before_a_person_has_answered() {
    let mut shop = Shop::keeping(&[("scanner-1", "usb-port:1-1")]);
    let mut scanner = shop.scanner("scanner-1");
    let device = shop.plug_scanner("1-1", &SimUsbDevice::clone_adapter());
    reads(&mut scanner, &device, b"4006381333931").await;
    shop.pull("1-1", device).await;
    shop.change(|change| matches!(change, Change::Went { .. })).await;
    let device = shop.plug_scanner("1-1", &SimUsbDevice::scanner("S21357"));
    shop.change(|change| matches!(change, Change::Asks { .. })).await;
    let asked = shop.keeper.questions().borrow().clone();
    let asked = asked[&name("scanner-1")].question.clone();
    assert!(matches!(asked, Question::OtherDevice { .. }));
    let refused = soon(shop.line("scanner-1").open()).await.unwrap_err();
    assert!(refused.contains("Is this the new scanner-1?"), "{refused}");

    let other = Question::PerhapsSwapped { with: name("scanner-2") };
    let stale = soon(shop.keeper.answer(&name("scanner-1"), &other, Answer::UseWhatIsThere)).await;
    assert!(
        matches!(stale, Err(AnswerError::NoSuchQuestion(_))),
        "what the person saw is not asked any more"
    );
    soon(shop.keeper.answer(&name("scanner-1"), &asked, Answer::UseWhatIsThere)).await.unwrap();
    reads(&mut scanner, &device, b"96385074").await;
    let binding = shop.bound("scanner-1").await;
    let binding = if binding.seen.serial.is_some() { binding } else { shop.bound("scanner-1").await };
    assert_eq!(binding.selector.to_string(), "usb:05e0:1701:S21357", "by its own number from now on");
    assert_eq!(binding.configured.to_string(), "usb-port:1-1");
    assert!(soon(shop.keeper.answer(&name("scanner-1"), &asked, Answer::UseWhatIsThere)).await.is_err());
}

/// A disk that can be full.
#[derive(Debug, Default)]
struct Disk {
    full: AtomicBool,
}

impl Memory for Disk {
    fn keep<'a>(&'a self, bound: &'a [(DeviceName, Binding)]) -> Kept<'a> {
        let refused = self.full.load(Ordering::SeqCst) && !bound.is_empty();
        Box::pin(std::future::ready(if refused { Err("the disk is full".to_owned()) } else { Ok(()) }))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_kept_changes_nothing_and_can_be_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let sim = SimSystem::new(folder.path()).unwrap();
    let wanted = Wanted::new(name("scanner-1"), DeviceClass::Serial, "usb-port:1-1".parse().unwrap(), None);
    let settings = KeeperSettings { system: sim.system(), look_every: Some(Duration::from_millis(20)) };
    let disk = Arc::new(Disk::default());
    let (keeper, _changes) = keeper::start_with(settings, vec![wanted], disk.clone());
    sim.plug_in("1-1", &SimUsbDevice::clone_adapter()).unwrap();
    let place = keeper.place(&name("scanner-1")).unwrap();
    soon(async {
        while place.file().is_err() {
            tokio::task::yield_now().await
        }
    })
    .await;
    sim.unplug("1-1").unwrap();
    sim.plug_in("1-1", &SimUsbDevice::scanner("S21357")).unwrap();
    let mut questions = keeper.questions();
    let asked = soon(questions.wait_for(|asked| !asked.is_empty())).await.unwrap().clone();
    let asked = asked[&name("scanner-1")].question.clone();

    disk.full.store(true, Ordering::SeqCst);
    let refused = soon(keeper.answer(&name("scanner-1"), &asked, Answer::UseWhatIsThere)).await.unwrap_err();
    assert!(refused.to_string().contains("the disk is full"), "{refused}");
    assert!(place.file().is_err(), "nothing is opened");
    disk.full.store(false, Ordering::SeqCst);
    soon(keeper.answer(&name("scanner-1"), &asked, Answer::UseWhatIsThere)).await.unwrap();
    assert!(place.file().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_another_device_has_taken_since_the_last_look_is_not_opened() {
    let mut shop = Shop::keeping_with(&[("scanner-1", "usb:05e0:1701:S21357")], Duration::from_millis(500));
    let device = shop.plug_scanner("1-1", &SimUsbDevice::scanner("S21357"));
    shop.change(|change| matches!(change, Change::Came { .. })).await;
    let line = shop.line("scanner-1");
    soon(line.open()).await.unwrap();
    shop.pull("1-1", device).await;
    let _other = shop.plug_scanner("1-1", &SimUsbDevice::scanner("S99999"));
    // Whether the keeper has looked by now or not.
    let refused = soon(line.open()).await.unwrap_err();
    assert!(refused.contains("is being unplugged") || refused.contains("not attached"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sensors_go_on_when_their_adapter_comes_back_under_another_file() {
    let shop = Shop::keeping(&[("fridges", "usb-port:1-3")]);
    let profile = SensorProfiles::built_in().unwrap().get("xy-md02").unwrap().clone();
    let sensors = vec![SensorSettings::new(name("fridge-1"), 1, profile)];
    let mut settings = BusSettings::new(shop.line("fridges"), sensors).unwrap();
    settings.rest = (Duration::from_millis(20), Duration::from_millis(100));
    let bus::Bus { sensors, .. } = bus::start(settings);
    let cool = Ok(MilliCelsius(5_000));
    let read_soon = || soon(async { while sensors[0].read().await != cool {} });

    let files = shop.sim.plug_in("1-3", &SimUsbDevice::clone_adapter()).unwrap();
    let fridges = SimFridges::plug_in(&files[0], &[1]).unwrap();
    read_soon().await;
    fridges.unplug();
    shop.sim.unplug("1-3").unwrap();
    let _other = shop.plug_scanner("1-2", &SimUsbDevice::clone_adapter());
    let files = shop.sim.plug_in("1-3", &SimUsbDevice::clone_adapter()).unwrap();
    assert!(files[0].ends_with("ttyUSB1"));
    let _fridges = SimFridges::plug_in(&files[0], &[1]).unwrap();
    read_soon().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_opened_by_a_selector_without_a_keeper_too() {
    let folder = tempfile::tempdir().unwrap();
    let sim = SimSystem::new(folder.path()).unwrap();
    let place = |text: &str| match DevicePlace::written(text).unwrap() {
        DevicePlace::Selected(selector, _) => DevicePlace::Selected(selector, sim.system()),
        other => panic!("{other:?}"),
    };
    let line =
        |text: &str| LineAddress::Serial(SerialSettings::new("somewhere", 9_600).unwrap().at(place(text)));
    let error = soon(line("usb-port:1-1").open()).await.unwrap_err();
    assert!(error.contains("usb-port:1-1 is not attached"), "{error}");
    let files = sim.plug_in("1-1", &SimUsbDevice::clone_adapter()).unwrap();
    let _device = SimScanner::plug_in(&files[0]).unwrap();
    soon(line("usb-port:1-1").open()).await.unwrap();
    let printer = LineAddress::UsbPrinter(place("usb-port:1-1"));
    assert!(soon(printer.open()).await.unwrap_err().contains("is not attached"), "a scanner is no printer");
}

/// One scan, and whether lot and serial number may be taken from it.
async fn believed(scanner: &mut SerialScanner, device: &SimScanner, barcode: &[u8]) -> bool {
    device.scan(barcode).await.unwrap();
    soon(async {
        loop {
            match scanner.next().await {
                Some(ScannerEvent::Scan(scan)) => break scan.proved,
                Some(_) => {}
                None => panic!("the driver has ended"),
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_without_a_number_that_was_away_is_believed_again_when_it_has_sent_a_separator() {
    let (numbered, plain) = (SimUsbDevice::scanner("S21357"), SimUsbDevice::clone_adapter());
    for (selector, device, after) in [
        ("usb:05e0:1701:S21357", &numbered, [true, true, true]),
        ("usb-port:1-2", &plain, [false, true, true]),
    ] {
        let mut shop = Shop::keeping(&[("scanner-1", selector)]);
        let mut scanner = shop.scanner("scanner-1");
        let cable = shop.plug_scanner("1-2", device);
        shop.bound("scanner-1").await;
        reads(&mut scanner, &cable, b"first").await;
        assert!(believed(&mut scanner, &cable, b"010952123454321310A1").await);
        shop.pull("1-2", cable).await;
        shop.change(|change| matches!(change, Change::Went { .. })).await;
        let cable = shop.plug_scanner("1-2", device);
        reads(&mut scanner, &cable, b"second").await;
        let mut told = Vec::new();
        for barcode in [&b"010952123454321310A1"[..], b"010952123454321310A1\x1d217", b"010952123454321310A1"]
        {
            told.push(believed(&mut scanner, &cable, barcode).await);
        }
        assert_eq!(told, after, "{selector}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_binding_is_told_even_when_nobody_reads_for_a_while() {
    let names: Vec<(String, String)> =
        (1..=140).map(|port| (format!("scanner-{port}"), format!("usb-port:1-{port}"))).collect();
    let borrowed: Vec<(&str, &str)> = names.iter().map(|(one, port)| (one.as_str(), port.as_str())).collect();
    let mut shop = Shop::keeping_with(&borrowed, Duration::from_millis(20));
    for (_, port) in &borrowed {
        shop.sim.plug_in(&port["usb-port:".len()..], &SimUsbDevice::clone_adapter()).unwrap();
    }
    // All are seen before anything is read.
    soon(async {
        while shop.keeper.attached().borrow().len() < names.len() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for (one, _) in &names {
            let place = shop.keeper.place(&name(one)).unwrap();
            while place.file().is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    })
    .await;
    let mut bound = std::collections::BTreeSet::new();
    while bound.len() < names.len() {
        if let Change::Bound { name, .. } = shop.change(|_| true).await {
            bound.insert(name);
        }
    }
}

#[tokio::test]
async fn a_driver_of_the_kernel_that_hangs_holds_up_nobody_who_waits_for_something_else() {
    let folder = tempfile::tempdir().unwrap();
    let sim = SimSystem::new(folder.path()).unwrap();
    sim.plug_in("1-2", &SimUsbDevice::clone_adapter()).unwrap();
    // An attribute that nobody answers for: reading it waits until somebody writes.
    let attribute = find_file(folder.path(), "idVendor").expect("the device has numbers");
    std::fs::remove_file(&attribute).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&attribute).status().unwrap().success());
    let selector = "usb-port:1-2".parse().unwrap();
    let place = DevicePlace::Selected(selector, sim.system());
    let line = LineAddress::Serial(SerialSettings::new("somewhere", 9_600).unwrap().at(place));
    let opening = tokio::spawn(async move { line.open().await.map(|_line| ()) });
    let release = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(2));
        let mut waited_for = std::fs::OpenOptions::new().write(true).open(&attribute).unwrap();
        std::fs::remove_file(&attribute).unwrap();
        std::fs::write(&attribute, "1a86\n").unwrap();
        waited_for.write_all(b"1a86\n").unwrap();
    });
    let began = std::time::Instant::now();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(began.elapsed() < Duration::from_secs(1), "the only thread was held for {:?}", began.elapsed());
    release.join().unwrap();
    let _there_is_no_such_cable = opening.await.unwrap();
}

fn find_file(folder: &std::path::Path, wanted: &str) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten();
    entries.map(|entry| entry.path()).find_map(|path| match path.symlink_metadata() {
        Ok(about) if about.is_dir() => find_file(&path, wanted),
        Ok(_) if path.file_name().is_some_and(|name| name == wanted) => Some(path),
        _ => None,
    })
}
