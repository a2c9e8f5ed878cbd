//! Devices that come and go for a day, in minutes: the clock is tokio's own and jumps to the next thing that happens,
//! the cables are real pseudo-terminals and sockets, the drivers are those of the box.
//!
//! Each round is an hour when `PESTLE_FLAPPING_HOURS` says how many; without it, two minutes, three times.
//! After each round everything is unplugged, and files and memory are counted. While a device is plugged in, what it
//! tells must arrive once each and in order. To sleep is the schedule of who comes and goes, on a clock on which it takes
//! no time; what has to happen is waited for.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use pestle_domain::{
    document::{Block, Document, Style},
    units::MilliCelsius,
};
use pestle_drivers::{
    device::{DeviceEvent, DeviceName},
    find::{
        binding::Wanted,
        change::Change,
        device::DeviceClass,
        keeper::{self, Keeper, KeeperSettings},
        question::Answer,
    },
    line::{LineAddress, place::DevicePlace, serial::SerialSettings},
    printer::{
        Outcome, PrintJob, Printer as _, PrinterHandle, PrinterStatus,
        driver::{self, EscPosSettings, PrinterTimeouts},
        model::PrinterModels,
        render::Artwork,
    },
    scanner::{
        Scanner, ScannerEvent,
        framing::FramingRules,
        keyboard::{
            decode::DecodeRules,
            evdev::{KeyboardScanner, KeyboardScannerSettings},
            layout::Layout,
        },
        serial::{SerialScanner, SerialScannerSettings},
    },
    sensor::{
        Sensor as _,
        bus::{self, BusSettings, ModbusSensor, SensorSettings},
        profile::SensorProfiles,
    },
    sim::{
        attached::{SimSystem, SimUsbDevice},
        fridge::SimFridges,
        keyboard::SimKeyboard,
        printer::SimPrinter,
        scanner::SimScanner,
        typist::Typist,
    },
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

const SCANNERS: usize = 6;
const KEYBOARDS: usize = 2;
const BUSES: usize = 2;
const PRINTERS: usize = 2;

/// On this clock a time-out would be over before a busy machine has carried the bytes: it jumps whenever nobody has
/// anything to do. It jumps by no more than a tick of the simulated cables (0.1 s), so this is hundreds of thousands of
/// chances for the kernel: its own worker carries the bytes of a pseudo-terminal, and may wait long for a processor.
const PATIENCE: Duration = Duration::from_secs(36_000);

/// Between plugging in and being in use: a look of the keeper and a try of the driver, a second each, and one to spare.
const IN_USE_AFTER: Duration = Duration::from_secs(3);

/// Memory that a day may take beyond what the first round took.
const GROWTH_KIB_MAX: u64 = 2 * 1_024;

/// Numbers from a seed (xorshift64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    /// How long a device is in and then out, several times: one in eight times it flaps, and is then left in for its
    /// rest.
    fn cycles(&mut self) -> Vec<(Duration, Duration)> {
        let seconds = |chance: &mut Chance, from: u64, to: u64| {
            Duration::from_millis(from * 1_000 + chance.below((to - from) * 1_000))
        };
        if self.below(8) > 0 {
            return vec![(seconds(self, 10, 60), seconds(self, 3, 30))];
        }
        let mut burst: Vec<_> =
            (0..8).map(|_| (Duration::from_millis(1_500), Duration::from_millis(1_500))).collect();
        burst.push((Duration::from_secs(60), seconds(self, 3, 30)));
        burst
    }
}

/// What one device did in a round.
#[derive(Default, Clone, Copy)]
struct Tally {
    cycles: u64,
    told: u64,
}

struct World {
    sim: SimSystem,
    keeper: Keeper,
}

/// What a scanner sends its scans over.
enum Cable {
    Line(SimScanner),
    Keys(SimKeyboard),
}

impl Cable {
    async fn scan(&self, code: &str) {
        match self {
            Cable::Line(scanner) => scanner.scan(code.as_bytes()).await,
            Cable::Keys(keyboard) => keyboard.type_text(&format!("{code}\r")).await,
        }
        .unwrap();
    }

    async fn unplug(&self) {
        match self {
            Cable::Line(scanner) => scanner.unplug().await,
            Cable::Keys(keyboard) => keyboard.unplug().await,
        }
    }
}

/// What a scanner tells, on whatever line.
struct Heard {
    driver: Box<dyn Scanner>,
    number: u64,
    attached: bool,
}

impl Heard {
    fn new(driver: impl Scanner + 'static) -> Heard {
        Heard { driver: Box::new(driver), number: 0, attached: false }
    }

    fn name(&self) -> &DeviceName {
        self.driver.name()
    }

    /// Scans until `end`, each when the one before was told; how many were.
    async fn scans(&mut self, end: Instant, chance: &mut Chance, cable: &Cable) -> u64 {
        let mut told = 0;
        while self.attached && Instant::now() < end {
            self.number += 1;
            let code = format!("SCAN{:09}", self.number);
            cable.scan(&code).await;
            match self.driver.next().await.unwrap() {
                ScannerEvent::Scan(scan) => assert_eq!(scan.bytes, code.as_bytes(), "once each and in order"),
                other => panic!("a scan was lost while plugged in: {other:?}"),
            }
            told += 1;
            sleep(Duration::from_millis(500 + chance.below(4_000))).await;
        }
        told
    }

    /// Its cable was pulled.
    async fn goes(&mut self) {
        if self.attached {
            self.until(false).await;
        }
        // It may have come into use at the very end: what it told of that belongs to this cycle.
        sleep(Duration::from_millis(500)).await;
        while let Ok(event) = timeout(Duration::ZERO, self.driver.next()).await {
            self.note(event.expect("the driver runs"));
        }
        assert!(!self.attached, "it is in use though it was pulled");
    }

    fn note(&mut self, event: ScannerEvent) {
        match event {
            ScannerEvent::Device { event, .. } => self.attached = event == DeviceEvent::Attached,
            other => panic!("a scan that was not made: {other:?}"),
        }
    }

    /// Until it is in use, or no more.
    async fn until(&mut self, attached: bool) {
        while self.attached != attached {
            let event = self.driver.next().await.expect("the driver runs");
            self.note(event);
        }
    }
}

struct ScannerRig {
    index: usize,
    heard: Heard,
}

impl ScannerRig {
    /// It has its own number and comes back at one of two ports.
    async fn cycle(&mut self, world: &World, up: Duration, chance: &mut Chance) -> u64 {
        let port = format!("1-{}.{}", self.index + 1, 1 + chance.below(2));
        let device = SimUsbDevice::scanner(&format!("SN{}X", self.index));
        let files = world.sim.plug_in(&port, &device).unwrap();
        let cable = Cable::Line(SimScanner::plug_in(&files[0]).unwrap());
        let end = Instant::now() + up;
        let attached = timeout(up, self.heard.until(true)).await.is_ok();
        let place = world.keeper.place(self.heard.name()).unwrap();
        let resting = || place.file().is_err_and(|why| why.contains("came and went"));
        assert!(attached || up < IN_USE_AFTER || resting(), "not in use after {up:?}: {:?}", place.file());
        let told = self.heard.scans(end, chance, &cable).await;
        cable.unplug().await;
        world.sim.unplug(&port).unwrap();
        self.heard.goes().await;
        told
    }
}

/// The driver opens its keys by itself: a keeper's places are files, and its records come through a socket.
struct KeyboardRig {
    keys: SimKeyboard,
    heard: Heard,
}

impl KeyboardRig {
    async fn cycle(&mut self, up: Duration, chance: &mut Chance) -> u64 {
        self.keys.replug().await.unwrap();
        let end = Instant::now() + up;
        let attached = timeout(up, self.heard.until(true)).await.is_ok();
        assert!(attached || up < IN_USE_AFTER, "not in use after {up:?}");
        let cable = Cable::Keys(self.keys.clone());
        let told = self.heard.scans(end, chance, &cable).await;
        cable.unplug().await;
        self.heard.goes().await;
        told
    }
}

struct BusRig {
    index: usize,
    sensor: ModbusSensor,
    _events: mpsc::Receiver<pestle_drivers::sensor::SensorEvent>,
}

impl BusRig {
    async fn cycle(&mut self, world: &World, up: Duration) -> u64 {
        let port = format!("2-{}", self.index + 1);
        let files = world.sim.plug_in(&port, &SimUsbDevice::clone_adapter()).unwrap();
        let fridges = SimFridges::plug_in(&files[0], &[1]).unwrap();
        let end = Instant::now() + up;
        let (mut told, mut temperature) = (0, 2_000);
        while Instant::now() < end {
            temperature += 100;
            fridges.set_milli_celsius(1, temperature).unwrap();
            match self.sensor.read().await {
                Ok(read) => {
                    assert_eq!(read, MilliCelsius(temperature), "never an earlier answer");
                    told += 1;
                }
                Err(why) => assert_eq!(told, 0, "a reading was lost while plugged in: {why}"),
            }
            sleep(Duration::from_millis(800)).await;
        }
        fridges.unplug();
        world.sim.unplug(&port).unwrap();
        assert!(self.sensor.read().await.is_err(), "an unplugged sensor is a reason and no number");
        told
    }
}

struct PrinterRig {
    device: SimPrinter,
    driver: PrinterHandle,
    number: u64,
    _events: mpsc::Receiver<pestle_drivers::printer::PrinterEvent>,
}

impl PrinterRig {
    async fn cycle(&mut self, up: Duration, chance: &mut Chance) -> u64 {
        self.device.power_on().await.unwrap();
        let end = Instant::now() + up;
        let mut told = 0;
        let ready = async {
            let mut status = self.driver.status();
            status.wait_for(|status| status.ready().is_ok()).await.map(|_| ()).unwrap();
        };
        if timeout(up, ready).await.is_ok() {
            while Instant::now() < end {
                self.number += 1;
                let mut document = Document::new("Receipt");
                let text = format!("Receipt {:09}", self.number);
                document.blocks = vec![Block::Text { text, style: Style::default() }, Block::Cut];
                let report = self.driver.print(PrintJob { document, open_drawer: false }).await;
                assert_eq!(report.outcome, Outcome::Printed, "receipt {}", self.number);
                told += 1;
                sleep(Duration::from_millis(1_000 + chance.below(10_000))).await;
            }
        }
        let expected = (0..told).map(|back| format!("Receipt {:09}", self.number - back)).rev();
        let printed = self.device.receipts().into_iter().map(|receipt| receipt.text().trim().to_owned());
        assert_eq!(printed.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
        self.device.clear_receipts();
        self.device.power_off();
        told
    }
}

enum Rig {
    Scanner(ScannerRig),
    Keyboard(KeyboardRig),
    Bus(BusRig),
    Printer(PrinterRig),
}

impl Rig {
    async fn round(&mut self, world: &World, length: Duration, chance: &mut Chance) -> Tally {
        let mut tally = Tally::default();
        let end = Instant::now() + length;
        while Instant::now() < end {
            for (up, down) in chance.cycles() {
                tally.cycles += 1;
                tally.told += match self {
                    Rig::Scanner(rig) => rig.cycle(world, up, chance).await,
                    Rig::Keyboard(rig) => rig.cycle(up, chance).await,
                    Rig::Bus(rig) => rig.cycle(world, up).await,
                    Rig::Printer(rig) => rig.cycle(up, chance).await,
                };
                sleep(down).await;
            }
        }
        tally
    }
}

/// Until nothing is in use and no device that flapped rests any more.
async fn all_away(world: &World, rigs: &[Rig]) {
    let gone = |name: &DeviceName| {
        let file = world.keeper.place(name).unwrap().file();
        file.is_err_and(|why| !why.contains("came and went"))
    };
    let is_away = |rig: &Rig| match rig {
        Rig::Scanner(rig) => !rig.heard.attached && gone(rig.heard.name()),
        Rig::Keyboard(rig) => !rig.heard.attached,
        Rig::Bus(rig) => gone(&name("bus", rig.index)),
        Rig::Printer(rig) => matches!(*rig.driver.status().borrow(), PrinterStatus::Away { .. }),
    };
    while !rigs.iter().all(is_away) {
        sleep(Duration::from_millis(500)).await;
    }
}

fn name(kind: &str, index: usize) -> DeviceName {
    DeviceName::new(format!("{kind}-{index}"))
}

fn rigs(world: &World, folder: &Path) -> Vec<Rig> {
    let line = |name: &DeviceName| {
        let written = LineAddress::Serial(SerialSettings::new("somewhere", 115_200).unwrap());
        written.at(DevicePlace::Kept(world.keeper.place(name).unwrap()))
    };
    let scanners = (0..SCANNERS).map(|index| {
        let name = name("scanner", index);
        let (line, framing) = (line(&name), FramingRules::default());
        let driver =
            SerialScanner::start(SerialScannerSettings { name, line, learned: None, framing, proved: true });
        Rig::Scanner(ScannerRig { index, heard: Heard::new(driver) })
    });
    let keyboards = (0..KEYBOARDS).map(|index| {
        let keys =
            SimKeyboard::plug_in(folder.join(format!("keyboard-{index}")), Typist::new(Layout::Us)).unwrap();
        let driver = KeyboardScanner::start(KeyboardScannerSettings {
            name: name("keyboard", index),
            source: keys.source(),
            decoding: DecodeRules { layout: Layout::Us, function_keys: false },
            framing: FramingRules { needs_suffix: true, ..FramingRules::default() },
            learned: None,
        });
        Rig::Keyboard(KeyboardRig { keys, heard: Heard::new(driver) })
    });
    let buses = (0..BUSES).map(|index| {
        let profile = SensorProfiles::built_in().unwrap().get("xy-md02").unwrap().clone();
        let sensors = vec![SensorSettings::new(name("fridge", index), 1, profile)];
        let mut settings = BusSettings::new(line(&name("bus", index)), sensors).unwrap();
        settings.answer_timeout = PATIENCE;
        let bus::Bus { mut sensors, events, .. } = bus::start(settings);
        Rig::Bus(BusRig { index, sensor: sensors.remove(0), _events: events })
    });
    let printers = (0..PRINTERS).map(|index| {
        let device = SimPrinter::listen(SocketAddr::from(([127, 0, 0, 1], 0)), 576).unwrap();
        let timeouts = PrinterTimeouts {
            answer: PATIENCE,
            send: PATIENCE,
            confirm: PATIENCE,
            poll: Duration::from_secs(3),
        };
        let settings = EscPosSettings {
            name: name("printer", index),
            address: LineAddress::Tcp(device.address().unwrap()),
            model: PrinterModels::built_in().unwrap().get("epson-tm-t20").unwrap().clone(),
            timeouts,
        };
        let (driver, events) = driver::start(settings, Artwork::default());
        device.power_off();
        Rig::Printer(PrinterRig { device, driver, number: 0, _events: events })
    });
    scanners.chain(keyboards).chain(buses).chain(printers).collect()
}

/// Open files, and resident memory in KiB (proc(5)).
fn taken() -> (usize, u64) {
    let files = fs::read_dir("/proc/self/fd").unwrap().count();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    (files, resident.trim().trim_end_matches(" kB").parse().unwrap())
}

/// Counts what the keeper tells, and is the person who answers: nobody exchanges cables here.
async fn stand_by(mut changes: mpsc::Receiver<Change>, world: Arc<World>, seen: Arc<Mutex<Counts>>) {
    while let Some(change) = changes.recv().await {
        let kind = match &change {
            Change::Came { .. } => "came",
            Change::Went { .. } => "went",
            Change::Flaps { .. } => "flaps",
            Change::Rested { .. } => "rested",
            Change::Moved { .. } => "moved",
            Change::Bound { .. } => "bound",
            Change::Asks { .. } => "asks",
        };
        *seen.lock().unwrap().entry(kind).or_default() += 1;
        if let Change::Asks { name, question } = change {
            // One answer settles a pair: the other's may come too late.
            let _settled = world.keeper.answer(&name, &question, Answer::UseWhatIsThere).await;
        }
    }
}

type Counts = BTreeMap<&'static str, u64>;

/// The least of many moments: a look at the list of devices, or an attempt to connect, has a file open while it lasts.
async fn taken_at_rest() -> (usize, u64) {
    let mut least = taken();
    for _ in 0..50 {
        sleep(Duration::from_millis(70)).await;
        let now = taken();
        least = (least.0.min(now.0), least.1.min(now.1));
    }
    least
}

#[tokio::test(start_paused = true)]
async fn devices_that_come_and_go_for_long_lose_nothing_and_take_no_files_and_no_memory() {
    let hours: Option<u32> = std::env::var("PESTLE_FLAPPING_HOURS").ok().map(|hours| hours.parse().unwrap());
    let (rounds, length) = match hours {
        Some(hours) => (hours, Duration::from_secs(3_600)),
        None => (3, Duration::from_secs(120)),
    };
    let seed = std::env::var("SEED").map_or(20_261_122, |seed| seed.parse().unwrap());
    println!("SEED={seed}");
    let begun = (Instant::now(), std::time::Instant::now());

    let folder = tempfile::tempdir().unwrap();
    let sim = SimSystem::new(folder.path()).unwrap();
    let by_number = (0..SCANNERS).map(|index| (name("scanner", index), format!("usb:05e0:1701:SN{index}X")));
    let by_port = (0..BUSES).map(|index| (name("bus", index), format!("usb-port:2-{}", index + 1)));
    let wanted = by_number
        .chain(by_port)
        .map(|(name, selector)| Wanted::new(name, DeviceClass::Serial, selector.parse().unwrap(), None));
    let settings = KeeperSettings { system: sim.system(), look_every: Some(Duration::from_secs(1)) };
    let (keeper, changes) = keeper::start(settings, wanted.collect());
    let world = Arc::new(World { sim, keeper });
    let seen = Arc::new(Mutex::new(Counts::new()));
    tokio::spawn(stand_by(changes, world.clone(), seen.clone()));
    let mut rigs = rigs(&world, folder.path());
    let (mut total, mut first, mut most) = (Tally::default(), None, (0, 0));
    for round in 0..rounds {
        let mut tasks = JoinSet::new();
        for (index, mut rig) in rigs.drain(..).enumerate() {
            let world = world.clone();
            let mut chance = Chance(seed ^ (u64::from(round) << 32) ^ ((index as u64 + 1) << 8));
            tasks.spawn(async move {
                let tally = rig.round(&world, length, &mut chance).await;
                (index, rig, tally)
            });
        }
        let mut done = tasks.join_all().await;
        done.sort_by_key(|(index, ..)| *index);
        for (index, rig, tally) in done {
            assert!(tally.told > 0, "device {index} told nothing in a whole round");
            total = Tally { cycles: total.cycles + tally.cycles, told: total.told + tally.told };
            rigs.push(rig);
        }
        timeout(PATIENCE, all_away(&world, &rigs)).await.expect("everything lets go of what was unplugged");
        let now = taken_at_rest().await;
        println!(
            "round {round}: {} cycles, {} told, {} files, {} KiB",
            total.cycles, total.told, now.0, now.1
        );
        let first = *first.get_or_insert(now);
        most = (most.0.max(now.0), most.1.max(now.1));
        assert_eq!(now.0, first.0, "files stay open");
        assert!(now.1 <= first.1 + GROWTH_KIB_MAX, "memory grew from {} to {} KiB", first.1, now.1);
    }
    let seen = seen.lock().unwrap().clone();
    println!("{:?} of the devices' time in {:?}: {seen:?}", begun.0.elapsed(), begun.1.elapsed());
    let of = |kind| seen.get(kind).copied().unwrap_or(0);
    assert!(total.cycles > 50 && total.told > 200, "{} cycles, {} told", total.cycles, total.told);
    assert!(of("flaps") > 0 && of("flaps") == of("rested"), "{seen:?}");
    assert!(of("came") == of("went") && of("came") > 0, "{seen:?}");
    // Each once, and again when a doubt about twins comes up and when it is settled.
    assert!(of("bound") >= (SCANNERS + BUSES) as u64, "{seen:?}");
}
