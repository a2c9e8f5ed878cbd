//! Learning: for every way in which a simulated scanner can be set up, what is learned is what it does.

use std::time::{Duration, Instant};

use pestle_domain::gs1::Scan;
use pestle_drivers::{
    device::DeviceEvent,
    line::{LineAddress, serial::SerialSettings},
    scanner::{
        framing::{Frame, Framer},
        keyboard::{
            layout::Layout,
            reader::KeyReader,
            record::{EV_KEY, KeyRecord, RecordCutter},
        },
        learn::{
            burst::Burst,
            learner::{Learner, Seen, Step},
            session::{LearnEvent, LearnFrom, LearnSession},
            settings::{Learned, RawLearned, Separator, Wire},
            sheet::TestCode,
            verdict::{Fault, Verdict},
        },
        mending::mending,
        page::{PageFrame, PageInput, PageKey, PageRules, read_batch},
        programming::{Comes, Makers, Purpose},
    },
    sim::{
        keyboard::SimKeyboard,
        scanner::SimScanner,
        typist::{ControlKeys, F8, ScannerSetup, Typist},
    },
};
use proptest::prelude::*;

use crate::soon;

/// After how much silence a scan without its end is taken for cut off: what the drivers have where nothing is configured.
const SILENCE: Duration = Duration::from_millis(50);

/// A scanner and its way to us.
#[derive(Debug, Clone)]
struct Sim {
    setup: ScannerSetup,
    typist: Option<Typist>,
    /// Its keys reach a browser, not our device.
    into_page: bool,
}

impl Sim {
    fn serial(setup: ScannerSetup) -> Sim {
        Sim { setup, typist: None, into_page: false }
    }

    fn keyboard(setup: ScannerSetup, layout: Layout) -> Sim {
        Sim { setup, typist: Some(Typist::new(layout)), into_page: false }
    }

    /// What arrives when it scans a symbol.
    fn scan(&self, id: &str, data: &str) -> Burst {
        let sent = self.setup.sent(id, data);
        match &self.typist {
            None => Burst::Bytes(sent.into_bytes()),
            Some(typist) => {
                let records = typist.press(&sent).expect("the layout has these characters");
                if self.into_page { Burst::Page(in_a_browser(&records)) } else { Burst::Keys(records) }
            }
        }
    }

    fn test_code(&self, code: TestCode) -> Burst {
        self.scan(code.symbology_id(), &code.data())
    }

    fn learn(&self) -> Verdict {
        let mut learner = Learner::new();
        let mut step = learner.step();
        for _ in 0..TestCode::ALL.len() {
            let Step::Scan { code, .. } = step else { break };
            step = learner.burst(Instant::now(), &self.test_code(code));
        }
        match step {
            Step::Done(verdict) => verdict,
            Step::Scan { .. } => panic!("four codes were scanned: {step}"),
        }
    }
}

/// The browser's names of keys by the kernel's codes, from 1 on (W3C UI Events KeyboardEvent code Values, 3.1).
const BROWSER_CODES: &str = "Escape Digit1 Digit2 Digit3 Digit4 Digit5 Digit6 Digit7 Digit8 Digit9 Digit0 Minus Equal \
    Backspace Tab KeyQ KeyW KeyE KeyR KeyT KeyY KeyU KeyI KeyO KeyP BracketLeft BracketRight Enter ControlLeft KeyA KeyS \
    KeyD KeyF KeyG KeyH KeyJ KeyK KeyL Semicolon Quote Backquote ShiftLeft Backslash KeyZ KeyX KeyC KeyV KeyB KeyN KeyM \
    Comma Period Slash ShiftRight NumpadMultiply AltLeft Space CapsLock F1 F2 F3 F4 F5 F6 F7 F8 F9 F10 NumLock ScrollLock \
    Numpad7 Numpad8 Numpad9 NumpadSubtract Numpad4 Numpad5 Numpad6 NumpadAdd Numpad1 Numpad2 Numpad3 Numpad0 \
    NumpadDecimal - - IntlBackslash F11 F12 - - - - - - - NumpadEnter ControlRight NumpadDivide - AltRight";

/// What a browser tells of these keys, on a system whose own layout is of some country that we do not know: its `key` is
/// of no use.
fn in_a_browser(records: &[KeyRecord]) -> Vec<PageKey> {
    let names: Vec<&str> = BROWSER_CODES.split_whitespace().collect();
    let mut held = [false; 128];
    let keys = records.iter().filter(|record| record.kind == EV_KEY);
    keys.map(|record| {
        let down = record.value == 1;
        held[usize::from(record.code)] = down;
        let name = names[usize::from(record.code) - 1];
        let modifiers = [
            ("ControlLeft", "Control"),
            ("ShiftLeft", "Shift"),
            ("AltLeft", "Alt"),
            ("AltRight", "AltGraph"),
        ];
        let key = modifiers.iter().find(|(code, _)| *code == name).map_or("Unidentified", |(_, key)| *key);
        PageKey {
            down,
            key: key.to_owned(),
            code: name.to_owned(),
            ctrl: held[29],
            alt: held[56],
            shift: held[42],
            alt_graph: held[100],
            repeat: false,
            at_us: record.at_us,
        }
    })
    .collect()
}

/// Reads what arrives as the drivers do.
fn read(learned: &Learned, burst: &Burst) -> Vec<(Vec<u8>, bool)> {
    let now = Instant::now();
    if let Burst::Page(keys) = burst {
        let rules = PageRules { learned: Some(learned.clone()) };
        let PageInput::Scanned(frames) = read_batch(&rules, now, keys) else { panic!("a scanner typed it") };
        let scans = frames.into_iter().map(|frame| match frame {
            PageFrame::Scan { bytes, proved } => (bytes, proved),
            PageFrame::Rejected(rejection) => panic!("{rejection}"),
        });
        return scans.collect();
    }
    let late = now + Duration::from_secs(60);
    let frames: Vec<Frame> = match burst {
        Burst::Bytes(bytes) => {
            let mut framer = Framer::new(learned.framing(SILENCE));
            let mut frames = framer.push(now, bytes);
            frames.extend(framer.tick(late));
            frames
        }
        Burst::Keys(records) => {
            let decoding = learned.decoding().expect("a keyboard");
            let mut reader = KeyReader::new(decoding, learned.framing(SILENCE), &Default::default());
            let mut frames = reader.push(now, records);
            frames.extend(reader.tick(late));
            frames
        }
        Burst::Page(_) => unreachable!("read above"),
    };
    frames
        .into_iter()
        .map(|frame| match frame {
            Frame::Scan { bytes, whole } => learned.read(bytes, whole),
            Frame::Rejected(rejection) => panic!("{rejection}"),
        })
        .collect()
}

fn plain() -> ScannerSetup {
    ScannerSetup {
        prefix: String::new(),
        suffix: "\r".into(),
        symbology_ids: false,
        separator: "\u{1d}".into(),
        first_fnc1: false,
    }
}

fn separators(of_keyboard: bool) -> impl Strategy<Value = String> {
    let mut all = vec!["\u{1d}", "|", "~", "^", "@", "{", " ", "~1", "{GS}", "A|"];
    if of_keyboard {
        all.push("\u{f8f8}");
    }
    prop::sample::select(all).prop_map(str::to_owned)
}

fn setups(of_keyboard: bool) -> impl Strategy<Value = ScannerSetup> {
    let prefixes = vec!["", "\u{2}", "A", "SC1:", "|", "]x", "01", "\u{1b}["];
    let suffixes = vec!["\r", "\n", "\r\n", "\t", "#\r", "\u{3}", "\t\r"];
    let suffixes =
        if of_keyboard { suffixes.into_iter().filter(|s| *s != "\u{3}").collect() } else { suffixes };
    (
        prop::sample::select(prefixes),
        prop::sample::select(suffixes),
        any::<bool>(),
        separators(of_keyboard),
        any::<bool>(),
    )
        .prop_map(|(prefix, suffix, symbology_ids, separator, first_fnc1)| ScannerSetup {
            prefix: prefix.to_owned(),
            suffix: suffix.to_owned(),
            symbology_ids,
            separator,
            first_fnc1,
        })
}

/// Any serial scanner, or one in keyboard mode that can type what it is set up to send.
fn sims() -> impl Strategy<Value = Sim> {
    let controls = prop::sample::select(vec![
        ControlKeys::Ctrl,
        ControlKeys::AltThreeDigits,
        ControlKeys::AltFourDigits,
    ]);
    let typists = (prop::sample::select(Layout::ALL.to_vec()), controls, any::<bool>())
        .prop_map(|(layout, controls, all_by_alt)| Typist { layout, controls, all_by_alt });
    let keyboards = (setups(true), typists, any::<bool>()).prop_map(|(setup, typist, into_page)| Sim {
        setup,
        typist: Some(typist),
        into_page,
    });
    prop_oneof![setups(false).prop_map(Sim::serial), keyboards]
}

/// Values of lot and serial: character set 82.
fn values() -> impl Strategy<Value = String> {
    "[!\"%&'()*+,\\-./0-9:;<=>?A-Z_a-z]{1,20}"
}

fn expected(setup: &ScannerSetup, wire: Wire) -> RawLearned {
    let separator = match setup.separator.as_str() {
        "\u{1d}" => Separator::Gs,
        text if text == F8.to_string() => Separator::F8,
        text => Separator::StandIn { text: text.to_owned() },
    };
    let ScannerSetup { prefix, suffix, symbology_ids, .. } = setup.clone();
    RawLearned { wire, separator, prefix, suffix, symbology_ids }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_learned_is_what_the_scanner_does_and_reads_lot_and_serial_back(
        sim in sims(), lot in values(), serial in values(),
    ) {
        let verdict = sim.learn();
        prop_assert_eq!(&verdict.faults, &[], "{:?}", sim);
        let learned = verdict.learned.expect("it is proved");
        prop_assert!(learned.is_proof());
        let wire = match (&sim.typist, learned.raw().wire) {
            (None, _) => Wire::Serial,
            // Where every character is typed by its number, the country shows nowhere.
            (Some(Typist { all_by_alt: true, .. }), wire) => wire,
            (Some(typist), _) if sim.into_page => Wire::Page { layout: Some(typist.layout) },
            (Some(typist), _) => Wire::Keyboard { layout: typist.layout },
        };
        prop_assert_eq!(learned.raw(), &expected(&sim.setup, wire));

        let data = format!("01095212345432201728123110{lot}\u{1d}21{serial}");
        let scans = read(&learned, &sim.scan("]d2", &data));
        prop_assert_eq!(scans.len(), 1, "{:?}", scans);
        prop_assert!(scans[0].1, "proved");
        let scan = Scan::parse(&scans[0].0).expect("an element string");
        prop_assert_eq!((scan.lot(), scan.serial()), (Some(lot.as_str()), Some(serial.as_str())));
        prop_assert_eq!(scan.gtin().map(|gtin| gtin.to_string()), Some("09521234543220".to_owned()));
    }

    #[test]
    fn a_scanner_that_swallows_or_garbles_the_separator_is_never_proved(
        sim in sims(), separator in prop::sample::select(vec!["", "A", "GS", "<GS>", "-", "#", "é", "\t"]),
    ) {
        let setup = ScannerSetup { separator: separator.to_owned(), ..sim.setup.clone() };
        let sim = Sim { setup, ..sim };
        // é cannot be typed everywhere.
        prop_assume!(sim.typist.is_none_or(|typist| typist.press(separator).is_some()));
        let verdict = sim.learn();
        prop_assert!(!verdict.faults.is_empty());
        prop_assert!(!verdict.learned.is_some_and(|learned| learned.is_proof()));
    }

    #[test]
    fn a_scanner_without_a_suffix_is_never_proved(sim in sims()) {
        let setup = ScannerSetup { suffix: String::new(), ..sim.setup.clone() };
        let verdict = Sim { setup, ..sim }.learn();
        prop_assert!(verdict.faults.contains(&Fault::NoSuffix), "{:?}", verdict);
        prop_assert!(!verdict.learned.is_some_and(|learned| learned.is_proof()));
    }

    #[test]
    fn the_codes_may_come_in_any_order_and_again_with_packs_from_the_shelf_between(
        sim in sims(), order in Just([0, 1, 2, 3, 0, 2, 4, 4].to_vec()).prop_shuffle(),
    ) {
        let mut learner = Learner::new();
        let mut last = learner.step();
        for place in order {
            let burst = match TestCode::ALL.get(place) {
                Some(code) => sim.test_code(*code),
                None => sim.scan("]d2", "010400638133393110ABC\u{1d}21XYZ"),
            };
            last = learner.burst(Instant::now(), &burst);
            if let Step::Done(_) = last {
                break;
            }
        }
        let Step::Done(verdict) = last else { panic!("all four were scanned") };
        prop_assert_eq!(verdict.faults, []);
    }

    #[test]
    fn whatever_arrives_the_learner_goes_on_asking(
        bytes in prop::collection::vec(any::<u8>(), 0..400), keys in any::<bool>(),
    ) {
        let records = RecordCutter::default().push(&bytes);
        let burst = if keys { Burst::Keys(records) } else { Burst::Bytes(bytes.clone()) };
        let step = Learner::new().burst(Instant::now(), &burst);
        prop_assert_eq!(step, Step::Scan { code: TestCode::A, seen: Seen::AnotherBarcode });
    }
}

fn check_fault(sim: &Sim, expected: &Fault, mended_by: &[Purpose]) {
    let verdict = sim.learn();
    assert_eq!(verdict.faults, std::slice::from_ref(expected));
    assert_eq!(expected.mended_by(), mended_by);
    let makers = Makers::built_in().unwrap();
    for comes in [Comes::OverLine, Comes::AsKeys] {
        assert!(
            !mending(&makers, mended_by, comes).is_empty(),
            "nothing mends {expected} of one that comes {comes:?}"
        );
    }
    assert!(!verdict.learned.is_some_and(|learned| learned.is_proof()));
}

#[test]
fn each_fault_names_the_maker_s_code_that_mends_it() {
    let with = |separator: &str| Sim::serial(ScannerSetup { separator: separator.into(), ..plain() });
    let gs = [Purpose::TransmitGs, Purpose::FactoryDefault];
    check_fault(&with(""), &Fault::SeparatorSwallowed, &gs);
    let unusable = Fault::SeparatorUnusable { sent: "X".into() };
    check_fault(&with("X"), &unusable, &gs);
    let no_suffix = Sim::serial(ScannerSetup { suffix: String::new(), ..plain() });
    check_fault(&no_suffix, &Fault::NoSuffix, &[Purpose::SuffixCr]);
    let hash = Sim::serial(ScannerSetup { suffix: "#".into(), ..plain() });
    check_fault(&hash, &Fault::SuffixUnusable { sent: "#".into() }, &[Purpose::SuffixCr]);
}

#[test]
fn a_scanner_that_is_not_proved_still_reads_gtins_in_its_layout() {
    let swallows = ScannerSetup { separator: String::new(), ..plain() };
    let sim = Sim::keyboard(swallows, Layout::French);
    let learned = sim.learn().learned.expect("its scans can be read");
    let scans = read(&learned, &sim.scan("]E0", "4006381333931"));
    assert_eq!(scans, [(b"4006381333931".to_vec(), false)]);
}

#[test]
fn prefixes_that_differ_from_code_to_code_are_a_fault() {
    // A maker's own code identifiers, one letter for each symbology.
    let mut learner = Learner::new();
    let mut step = learner.step();
    for (code, letter) in TestCode::ALL.into_iter().zip(["j", "w", "w", "d"]) {
        let sim = Sim::serial(ScannerSetup { prefix: letter.into(), ..plain() });
        step = learner.burst(Instant::now(), &sim.test_code(code));
    }
    let varies = Fault::Varies { what: "prefixes".into() };
    assert_eq!(step, Step::Done(Verdict { learned: None, faults: vec![varies] }));
}

#[test]
fn capitals_that_became_small_letters_are_a_fault_when_they_come_twice() {
    let data = TestCode::A.data().to_lowercase();
    let burst = Burst::Bytes(format!("{data}\r").into_bytes());
    let mut learner = Learner::new();
    let changed = Step::Scan { code: TestCode::A, seen: Seen::Changed { code: TestCode::A } };
    assert_eq!(learner.burst(Instant::now(), &burst), changed);
    let Step::Done(verdict) = learner.burst(Instant::now(), &burst) else { panic!("it came twice") };
    assert_eq!(verdict.faults, [Fault::CaseChanged]);
}

#[test]
fn a_country_that_is_not_known_here_is_a_fault_that_shows_what_came() {
    // As an Italian scanner: letters as in the United States, signs elsewhere.
    let data = TestCode::B.data().replace('/', "-").replace('&', "^");
    let mut learner = Learner::new();
    let press = |data: &str| Burst::Keys(Typist::new(Layout::Us).press(&format!("{data}\r")).unwrap());
    learner.burst(Instant::now(), &press(&TestCode::A.data()));
    learner.burst(Instant::now(), &press(&data));
    let Step::Done(verdict) = learner.burst(Instant::now(), &press(&data)) else { panic!("it came twice") };
    let [Fault::CharactersChanged { code: TestCode::B, sent }] = &verdict.faults[..] else {
        panic!("{verdict:?}")
    };
    assert!(sent.contains("21aQ-^?m"), "{sent}");
}

#[test]
fn two_scanners_of_different_countries_are_not_taken_for_one() {
    let mut learner = Learner::new();
    let mut step = learner.step();
    for (code, layout) in TestCode::ALL.into_iter().zip([Layout::Us, Layout::Us, Layout::German, Layout::Us])
    {
        step = learner.burst(Instant::now(), &Sim::keyboard(plain(), layout).test_code(code));
    }
    assert_eq!(step, Step::Done(Verdict { learned: None, faults: vec![Fault::CountryVaries] }));
}

#[test]
fn a_scanner_that_cannot_read_the_datamatrix_is_told_so() {
    let mut learner = Learner::new();
    learner.burst(Instant::now(), &Sim::serial(plain()).test_code(TestCode::A));
    let verdict = learner.give_up(Instant::now());
    assert_eq!(verdict.faults, [Fault::NoDataMatrix]);
    assert!(!verdict.learned.expect("its suffix is known").is_proof());
    let nothing = Learner::new().give_up(Instant::now());
    assert_eq!((nothing.learned, nothing.faults), (None, vec![Fault::NoDataMatrix]));
}

async fn next_step(session: &mut LearnSession) -> Step {
    loop {
        match soon(session.next()).await.expect("the session goes on") {
            LearnEvent::Step(step) => return step,
            LearnEvent::Device(DeviceEvent::Attached) => {}
            LearnEvent::Device(event) => panic!("{event:?}"),
        }
    }
}

#[tokio::test]
async fn a_serial_scanner_is_learned_over_its_line_and_the_line_is_free_then() {
    let folder = tempfile::tempdir().unwrap();
    let device = SimScanner::plug_in(folder.path().join("scanner")).unwrap();
    device.set_suffix(b"\r\n").await;
    let line = || LineAddress::Serial(SerialSettings::new(device.path(), 9_600).unwrap());
    let mut session = LearnSession::start_with_silence(LearnFrom::Line(line()), Duration::from_millis(20));
    let mut step = next_step(&mut session).await;
    while let Step::Scan { code, .. } = step {
        device.scan(code.data().as_bytes()).await.unwrap();
        step = next_step(&mut session).await;
    }
    let Step::Done(Verdict { learned: Some(learned), faults }) = step else { panic!("{step}") };
    assert_eq!((learned.raw().suffix.as_str(), faults), ("\r\n", vec![]));
    assert_eq!(soon(session.next()).await, None);
    line().open().await.unwrap();
}

#[tokio::test]
async fn a_keyboard_scanner_is_learned_over_its_device_even_if_it_is_pulled_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let device = SimKeyboard::plug_in(folder.path().join("keyboard"), Typist::new(Layout::German)).unwrap();
    let from = LearnFrom::Keyboard(device.source());
    let mut session = LearnSession::start_with_silence(from, Duration::from_millis(20));
    let type_code = async |code: TestCode| device.type_text(&format!("{}\r", code.data())).await.unwrap();
    next_step(&mut session).await;
    type_code(TestCode::A).await;
    let read = Step::Scan { code: TestCode::B, seen: Seen::Read { code: TestCode::A } };
    assert_eq!(next_step(&mut session).await, read);
    device.unplug().await;
    assert!(matches!(soon(session.next()).await, Some(LearnEvent::Device(DeviceEvent::Lost { .. }))));
    device.replug().await.unwrap();
    let mut event = soon(session.next()).await.unwrap();
    if let LearnEvent::Device(DeviceEvent::Fault { .. }) = event {
        event = soon(session.next()).await.unwrap();
    }
    assert_eq!(event, LearnEvent::Device(DeviceEvent::Attached));
    let mut step = next_step(&mut session).await;
    while let Step::Scan { code, .. } = step {
        type_code(code).await;
        step = next_step(&mut session).await;
    }
    let Step::Done(Verdict { learned: Some(learned), .. }) = step else { panic!("{step}") };
    assert_eq!(learned.raw().wire, Wire::Keyboard { layout: Layout::German });
    assert!(learned.is_proof());
}

#[tokio::test]
async fn learning_that_is_given_up_ends_with_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let device = SimScanner::plug_in(folder.path().join("scanner")).unwrap();
    let line = LineAddress::Serial(SerialSettings::new(device.path(), 9_600).unwrap());
    let mut session = LearnSession::start(LearnFrom::Line(line), SILENCE);
    next_step(&mut session).await;
    session.give_up();
    let Step::Done(verdict) = next_step(&mut session).await else { panic!("it was given up") };
    assert_eq!(verdict.faults, [Fault::NoDataMatrix]);
}
