//! A scanner in keyboard mode.

use std::time::{Duration, Instant};

use pestle_drivers::{
    device::{DeviceEvent, DeviceName},
    scanner::{
        Scan, Scanner as _, ScannerEvent,
        framing::{FramingRules, Rejection},
        keyboard::{
            decode::{DecodeRules, KeyRefusal, KeyState},
            evdev::{KeyboardScanner, KeyboardScannerSettings},
            layout::Layout,
            reader::KeyReader,
            record::{EV_KEY, EV_SYN, KeyRecord, RecordCutter},
        },
        learn::settings::{Learned, RawLearned, Separator, Wire},
        page::{PageInput, PageKey, PageRules, is_a_scanner_s, read_batch},
    },
    sim::{
        keyboard::SimKeyboard,
        typist::{F8, Typist},
    },
};
use proptest::prelude::*;

use crate::soon;

struct Counter {
    _folder: tempfile::TempDir,
    device: SimKeyboard,
    scanner: KeyboardScanner,
}

fn settings(device: &SimKeyboard, layout: Layout) -> KeyboardScannerSettings {
    KeyboardScannerSettings {
        name: DeviceName::new("scanner-1"),
        source: device.source(),
        decoding: DecodeRules { layout, function_keys: false },
        framing: FramingRules { needs_suffix: true, ..FramingRules::default() },
        learned: None,
    }
}

fn learned(layout: Layout, separator: Separator) -> Option<Learned> {
    let wire = Wire::Keyboard { layout };
    let raw =
        RawLearned { wire, separator, prefix: String::new(), suffix: "\r".into(), symbology_ids: false };
    Some(Learned::new(raw).unwrap())
}

impl Counter {
    async fn with(
        layout: Layout,
        change: impl FnOnce(KeyboardScannerSettings) -> KeyboardScannerSettings,
    ) -> Counter {
        let folder = tempfile::tempdir().unwrap();
        let device = SimKeyboard::plug_in(folder.path().join("keyboard"), Typist::new(layout)).unwrap();
        let scanner = KeyboardScanner::start(change(settings(&device, layout)));
        let mut counter = Counter { _folder: folder, device, scanner };
        assert_eq!(counter.device_event().await, DeviceEvent::Attached);
        counter
    }

    async fn new(layout: Layout) -> Counter {
        Counter::with(layout, |settings| settings).await
    }

    async fn event(&mut self) -> ScannerEvent {
        soon(self.scanner.next()).await.expect("the driver runs")
    }

    async fn device_event(&mut self) -> DeviceEvent {
        match self.event().await {
            ScannerEvent::Device { event, .. } => event,
            other => panic!("expected the scanner to come or go, got {other:?}"),
        }
    }

    async fn scan(&mut self) -> Scan {
        match self.event().await {
            ScannerEvent::Scan(scan) => scan,
            other => panic!("expected a scan, got {other:?}"),
        }
    }

    async fn rejection(&mut self) -> Rejection {
        match self.event().await {
            ScannerEvent::Rejected { rejection, .. } => rejection,
            other => panic!("expected a refusal, got {other:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Records as they come from nowhere: whatever they are, and however they are cut, the same comes out.
    #[test]
    fn no_records_break_the_reader_and_pieces_make_no_difference(
        // Mostly keys that exist, some codes that do not, and losses.
        events in prop::collection::vec(
            prop_oneof![
                8 => (Just(EV_KEY), 0u16..130, 0i32..3),
                1 => (Just(EV_KEY), any::<u16>(), any::<i32>()),
                1 => (Just(EV_SYN), 0u16..5, Just(0)),
                1 => (any::<u16>(), any::<u16>(), any::<i32>()),
            ],
            0..300,
        ),
        layout in prop::sample::select(Layout::ALL.to_vec()), function_keys in any::<bool>(), size in 1usize..80,
    ) {
        let now = Instant::now();
        let bytes: Vec<u8> = events
            .into_iter()
            .flat_map(|(kind, code, value)| KeyRecord { at_us: 0, kind, code, value }.to_bytes())
            .collect();
        let read = |size: usize| {
            let rules = DecodeRules { layout, function_keys };
            let mut reader = KeyReader::new(rules, FramingRules::default(), &KeyState::default());
            let mut cutter = RecordCutter::default();
            let mut frames = Vec::new();
            for piece in bytes.chunks(size) {
                frames.extend(reader.push(now, &cutter.push(piece)));
            }
            let lost = reader.is_lost();
            frames.extend(reader.tick(now + Duration::from_secs(1)));
            reader.resync(&KeyState::default());
            frames.extend(reader.push(now, &[]));
            (frames, lost)
        };
        prop_assert_eq!(read(bytes.len().max(1)), read(size));
    }

    /// The same for what a browser sends.
    #[test]
    fn no_batch_of_a_browser_breaks_its_reader(
        keys in prop::collection::vec(
            (
                prop::sample::select(vec!["a", "]", "Enter", "Shift", "AltGraph", "F8", "Dead", "", "é", "\u{1d}"]),
                prop::sample::select(vec!["KeyA", "BracketRight", "Enter", "Numpad0", "AltLeft", "F8", "", "KeyÄ"]),
                any::<[bool; 6]>(),
                any::<u64>(),
            ),
            0..60,
        ),
        layout in prop::option::of(prop::sample::select(Layout::ALL.to_vec())),
        quick in any::<bool>(),
    ) {
        let keys: Vec<PageKey> = keys
            .into_iter()
            .enumerate()
            .map(|(place, (key, code, [down, ctrl, alt, shift, alt_graph, repeat], at_us))| PageKey {
                key: key.to_owned(), code: code.to_owned(), down, ctrl, alt, shift, alt_graph, repeat,
                at_us: if quick { u64::try_from(place).unwrap() * 1_000 } else { at_us },
            })
            .collect();
        let raw = RawLearned {
            wire: Wire::Page { layout },
            separator: Separator::Gs,
            prefix: String::new(),
            suffix: "\r".into(),
            symbology_ids: false,
        };
        for learned in [None, Some(Learned::new(raw).unwrap())] {
            let input = read_batch(&PageRules { learned }, Instant::now(), &keys);
            prop_assert_eq!(input == PageInput::Typing, !is_a_scanner_s(&keys));
        }
    }
}

#[tokio::test]
async fn every_layout_types_a_datamatrix_that_arrives_with_its_group_separator() {
    for layout in Layout::ALL {
        let mut counter = Counter::with(layout, |settings| KeyboardScannerSettings {
            learned: learned(layout, Separator::Gs),
            ..settings
        })
        .await;
        let barcode = "0109521234543213173112 3110Zy-\"_1\u{1d}21aQ/&?";
        counter.device.type_text(&format!("{barcode}\r")).await.unwrap();
        let scan = counter.scan().await;
        assert_eq!((scan.bytes, scan.proved), (barcode.as_bytes().to_vec(), true), "{layout}");
    }
}

#[tokio::test]
async fn a_scanner_that_was_learned_is_waited_for_as_long_as_is_configured() {
    let mut counter = Counter::with(Layout::Us, |settings| KeyboardScannerSettings {
        learned: learned(Layout::Us, Separator::Gs),
        framing: FramingRules { idle_gap: Duration::from_secs(2), ..settings.framing },
        ..settings
    })
    .await;
    counter.device.type_text("40063813").await.unwrap();
    // Longer than the gap of a scanner about which nothing is configured.
    tokio::time::sleep(Duration::from_millis(200)).await;
    counter.device.type_text("33931\r").await.unwrap();
    assert_eq!(counter.scan().await.bytes, b"4006381333931");
}

#[tokio::test]
async fn f8_is_a_separator_only_of_a_scanner_that_was_learned_to_type_it() {
    let barcode = format!("010952123454321310A1{F8}217\r");
    let mut with = Counter::with(Layout::Us, |settings| KeyboardScannerSettings {
        learned: learned(Layout::Us, Separator::F8),
        ..settings
    })
    .await;
    with.device.type_text(&barcode).await.unwrap();
    let scan = with.scan().await;
    assert_eq!((scan.bytes.as_slice(), scan.proved), (&b"010952123454321310A1\x1d217"[..], true));
    let mut without = Counter::new(Layout::Us).await;
    without.device.type_text(&barcode).await.unwrap();
    let refusal = KeyRefusal::NoCharacter { code: 66, layout: Layout::Us };
    assert_eq!(without.rejection().await, Rejection::Key { refusal });
}

#[tokio::test]
async fn a_scanner_of_which_nothing_was_learned_is_not_proved() {
    let mut counter = Counter::new(Layout::Us).await;
    counter.device.type_text("4006381333931\r").await.unwrap();
    let scan = counter.scan().await;
    assert_eq!((scan.bytes.as_slice(), scan.proved), (&b"4006381333931"[..], false));
}

#[tokio::test]
async fn events_lost_in_mid_scan_refuse_the_scan_and_its_rest() {
    let mut counter = Counter::new(Layout::German).await;
    counter.device.type_text("40063").await.unwrap();
    counter.device.drop_events().await.unwrap();
    assert_eq!(counter.rejection().await, Rejection::CutOff { bytes: 5 });
    counter.device.type_text("1333931\r4006381333931\r").await.unwrap();
    assert_eq!(counter.rejection().await, Rejection::CutOff { bytes: 7 });
    assert_eq!(counter.scan().await.bytes, b"4006381333931");
}

#[tokio::test]
async fn a_held_key_is_one_character() {
    let mut counter = Counter::new(Layout::Us).await;
    let key = |value| KeyRecord { at_us: 0, kind: EV_KEY, code: 2, value };
    counter.device.send(&[key(1), key(2), key(2), key(2), key(0)]).await.unwrap();
    counter.device.type_text("2345670\r").await.unwrap();
    assert_eq!(counter.scan().await.bytes, b"12345670");
}

#[tokio::test]
async fn a_scanner_that_is_pulled_in_mid_scan_comes_back_by_itself_and_half_a_scan_is_none() {
    let mut counter = Counter::new(Layout::Us).await;
    for _ in 0..2 {
        // The first is whole, so that all of what was typed is known to have arrived.
        counter.device.type_text("96385074\r9638").await.unwrap();
        assert_eq!(counter.scan().await.bytes, b"96385074");
        counter.device.unplug().await;
        let DeviceEvent::Lost { reason } = counter.device_event().await else { panic!("expected a loss") };
        assert!(reason.ends_with("4 bytes of an unfinished scan were dropped"), "{reason}");
        counter.device.replug().await.unwrap();
        // Told once or not at all, depending on whether the driver looked in between.
        let mut event = counter.device_event().await;
        if let DeviceEvent::Fault { reason } = &event {
            assert!(reason.contains("does not exist: check that the scanner is plugged in"), "{reason}");
            event = counter.device_event().await;
        }
        assert_eq!(event, DeviceEvent::Attached);
        // Typed anew and whole: nothing of the first half stands before it.
        counter.device.type_text("4006381333931\r").await.unwrap();
        assert_eq!(counter.scan().await.bytes, b"4006381333931");
    }
}

#[tokio::test]
async fn what_was_being_typed_while_the_device_was_opened_is_no_scan() {
    let folder = tempfile::tempdir().unwrap();
    let device = SimKeyboard::plug_in(folder.path().join("keyboard"), Typist::new(Layout::Us)).unwrap();
    let mut settings = settings(&device, Layout::Us);
    // So long that the typing below is within it on a machine that is busy.
    settings.framing.idle_gap = Duration::from_secs(2);
    let scanner = KeyboardScanner::start(settings);
    let mut counter = Counter { _folder: folder, device, scanner };
    counter.device.type_text("81333931\r").await.unwrap();
    assert_eq!(counter.rejection().await, Rejection::CutOff { bytes: 9 });
    assert_eq!(counter.device_event().await, DeviceEvent::Attached);
    counter.device.type_text("4006381333931\r").await.unwrap();
    assert_eq!(counter.scan().await.bytes, b"4006381333931");
}

#[tokio::test]
async fn a_key_that_is_stuck_while_the_device_is_opened_does_not_keep_the_scanner_away() {
    let folder = tempfile::tempdir().unwrap();
    let device = SimKeyboard::plug_in(folder.path().join("keyboard"), Typist::new(Layout::Us)).unwrap();
    let repeats = device.clone();
    let stuck = tokio::spawn(async move {
        // As the kernel repeats a key that is down: faster than the gap.
        let key = KeyRecord { at_us: 0, kind: EV_KEY, code: 2, value: 2 };
        while repeats.send(&[key]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let scanner = KeyboardScanner::start(settings(&device, Layout::Us));
    let mut counter = Counter { _folder: folder, device, scanner };
    assert_eq!(counter.device_event().await, DeviceEvent::Attached);
    stuck.abort();
}

#[tokio::test]
async fn several_scanners_type_at_once_and_none_hears_another() {
    let mut counters = Vec::new();
    for layout in Layout::ALL {
        counters.push(Counter::new(layout).await);
    }
    for number in 0..20 {
        for (place, counter) in counters.iter().enumerate() {
            counter.device.type_text(&format!("{place}-{number:05}")).await.unwrap();
        }
        for counter in &counters {
            counter.device.type_text("/z\r").await.unwrap();
        }
    }
    for (place, counter) in counters.iter_mut().enumerate() {
        for number in 0..20 {
            assert_eq!(counter.scan().await.bytes, format!("{place}-{number:05}/z").into_bytes());
        }
    }
}

#[tokio::test]
async fn a_scan_whose_suffix_is_missing_ends_with_the_gap_and_is_not_proved() {
    let mut counter = Counter::with(Layout::Us, |settings| KeyboardScannerSettings {
        framing: FramingRules::default(),
        ..settings
    })
    .await;
    counter.device.type_text("96385074").await.unwrap();
    let scan = counter.scan().await;
    assert_eq!((scan.bytes.as_slice(), scan.proved), (&b"96385074"[..], false));
}

#[tokio::test]
async fn a_scanner_that_is_not_there_is_a_fault_with_its_path() {
    let mut counter = Counter::new(Layout::Us).await;
    counter.device.unplug().await;
    counter.scanner = KeyboardScanner::start(settings(&counter.device, Layout::Us));
    let DeviceEvent::Fault { reason } = counter.device_event().await else { panic!("expected a fault") };
    assert!(reason.contains("keyboard does not exist"), "{reason}");
}
