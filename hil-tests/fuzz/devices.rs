//! The targets of what devices, converters and the kernel send, and of the files that describe devices. See `targets.rs`.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, Instant},
};

use pestle_drivers::{
    find::{
        selector::Selector,
        sysfs::{self, System},
    },
    line::{
        rfc2217::{
            FarPort, Wires,
            session::{ConverterError, Session},
        },
        serial::{FlowControl, Parity},
    },
    printer::{
        ipp::{message::Answer as OfficeAnswer, state},
        model::PrinterModels,
        zpl::{model::ZplModels, status::AnswerReader as LabelAnswers},
    },
    scanner::{
        framing::{Frame, FramingRules},
        keyboard::{
            decode::{DecodeRules, KeyState},
            layout::Layout,
            reader::KeyReader,
            record::{RECORD_BYTES, RecordCutter},
        },
        learn::settings::Learned,
        page::{PageFrame, PageInput, PageKey, PageRules, read_batch},
        programming::Makers,
    },
    sensor::{
        profile::SensorProfiles,
        register::{Function, Question},
        settings::Framing,
        timing,
        wire::{Manners, Wire},
    },
};

/// The kernel's key records, in one piece and in pieces: the frames are the same.
pub(crate) fn keys(bytes: &[u8]) {
    let [first, rest @ ..] = bytes else { return };
    let now = Instant::now();
    let layout = Layout::ALL[usize::from(*first) % Layout::ALL.len()];
    let decode = DecodeRules { layout, function_keys: first & 0x80 != 0 };
    let in_pieces_of = |size: usize| {
        let (mut cutter, mut frames) = (RecordCutter::default(), Vec::new());
        let mut reader = KeyReader::new(decode, FramingRules::default(), &KeyState::default());
        for piece in rest.chunks(size.max(1)) {
            frames.extend(reader.push(now, &cutter.push(piece)));
        }
        if reader.is_lost() {
            reader.resync(&KeyState::default());
        }
        frames.extend(reader.tick(now + Duration::from_secs(2)));
        frames
    };
    let whole = in_pieces_of(rest.len());
    assert_eq!(in_pieces_of(RECORD_BYTES), whole);
    assert_eq!(in_pieces_of(7), whole);
    for frame in whole {
        assert!(!matches!(frame, Frame::Scan { bytes, .. } if bytes.is_empty()), "a scan of nothing");
    }
}

/// Keys that a browser tells of, behind a line that says what was learned of the scanner.
pub(crate) fn page_batch(bytes: &[u8]) {
    let (first, rest) = line_and_rest(bytes);
    let rules = PageRules { learned: serde_json::from_slice(first).ok() };
    let Ok(keys) = serde_json::from_slice::<Vec<PageKey>>(rest) else { return };
    let is_proof = rules.learned.as_ref().is_some_and(Learned::is_proof);
    let PageInput::Scanned(frames) = read_batch(&rules, Instant::now(), &keys) else { return };
    for frame in frames {
        if let PageFrame::Scan { bytes, proved } = frame {
            assert!(!bytes.is_empty(), "a scan of nothing");
            assert!(is_proof || !proved, "proved by a scanner of which nothing is known");
        }
    }
}

/// What was learned of a scanner, as it is stored; and a scan that is read by it.
pub(crate) fn learned(bytes: &[u8]) {
    let (first, rest) = line_and_rest(bytes);
    let Ok(learned) = serde_json::from_slice::<Learned>(first) else { return };
    let text = serde_json::to_vec(&learned).expect("what was read can be written");
    assert_eq!(serde_json::from_slice::<Learned>(&text).expect("what was written can be read"), learned);
    let (_, _) = (learned.framing(FramingRules::default().idle_gap), learned.decoding());
    for whole in [false, true] {
        let (_, proved) = learned.read(rest.to_vec(), whole);
        assert!(!proved || whole && learned.is_proof());
    }
}

/// A converter's telnet with RFC 2217, in one piece and in pieces: data and answers are the same.
pub(crate) fn far_port(bytes: &[u8]) {
    let wanted = FarPort {
        baud: 19_200,
        parity: Parity::Even,
        stop_bits: 1,
        flow: FlowControl::None,
        wires: Wires::Raise,
    };
    let in_pieces_of = |size: usize| {
        let (mut data, mut out) = (Vec::new(), Vec::new());
        let mut session = Session::begin(wanted, &mut out);
        for piece in bytes.chunks(size.max(1)) {
            session.hear(piece, &mut data, &mut out)?;
        }
        assert!(session.is_set() || !session.is_settled());
        assert!(data.len() <= bytes.len(), "data out of nothing");
        // A converter cannot make us talk without end: the first words, the settings, and an answer for each option.
        assert!(out.len() <= 1_024 + 2 * 3 * 256, "{} bytes are answered", out.len());
        Ok::<_, ConverterError>((data, out, session.is_settled(), session.is_suspended()))
    };
    assert_eq!(in_pieces_of(1), in_pieces_of(bytes.len()));
}

/// What a label printer sends.
pub(crate) fn label_status(bytes: &[u8]) {
    let mut reader = LabelAnswers::default();
    let answers = bytes.iter().filter_map(|byte| reader.push(*byte)).count();
    // An answer stands between two bytes of its own.
    assert!(2 * answers + usize::try_from(reader.strays).unwrap_or(usize::MAX) <= bytes.len());
}

/// What an office printer answers.
pub(crate) fn ipp_answer(bytes: &[u8]) {
    let Ok(answer) = OfficeAnswer::read(bytes.to_vec().into()) else { return };
    let (_, _) = (answer.refusal(), answer.job_id());
    if let Ok(job) = answer.job() {
        let _ = job.stand();
    }
    if let Ok(printer) = answer.printer() {
        assert!((150..=1_200).contains(&printer.dpi));
        let _ = state::condition(printer.state, &printer.reasons, printer.accepts_jobs);
    }
}

/// Bytes on the line where a slave's answer is waited for: what is taken for one has what was asked for.
pub(crate) fn modbus_answer(bytes: &[u8]) {
    let [first, rest @ ..] = bytes else { return };
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime");
    }
    let framing = if first & 1 == 0 { Framing::Rtu } else { Framing::Tcp };
    let function = [Function::Coils, Function::DiscreteInputs, Function::Holding, Function::Input]
        [usize::from(first >> 1 & 3)];
    let question = Question { function, register: 1, count: 1 + u16::from(first >> 3 & 1) };
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let (ours, mut theirs) = tokio::io::duplex(1 + bytes.len().max(64));
            let manners =
                Manners { framing, character: timing::character(9_600), device: Duration::from_millis(200) };
            let mut wire = Wire::new(Box::new(ours), manners);
            let answer = async {
                let mut asked = [0; 12];
                let _ = theirs.read(&mut asked).await;
                theirs.write_all(rest).await.expect("room was made");
                // Behind the bytes the line is dead: nothing is waited for.
                theirs.shutdown().await.expect("a pipe");
            };
            let (read, ()) = tokio::join!(wire.ask(1, question), answer);
            if let Ok(words) = read {
                assert_eq!(words.len(), usize::from(question.count));
            }
        });
    });
}

/// Files that describe sensors, printers and scanners' own codes.
pub(crate) fn profiles(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(profiles) = SensorProfiles::parse(text) {
        for (name, _) in profiles.iter() {
            assert!(profiles.get(name).is_ok());
        }
    }
    let _ = PrinterModels::parse(text);
    let _ = ZplModels::parse(text);
    let _ = Makers::parse(text);
}

/// What the kernel tells of a device, a file a line; and the names that are made of it, which mean the same when they are read.
pub(crate) fn attached(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(selector) = text.parse::<Selector>()
    {
        assert_eq!(selector.to_string().parse().as_ref(), Ok(&selector));
    }
    SCRATCH.with(|folder| {
        let system = System { sys: folder.path().join("sys"), dev: "/dev".into() };
        let files = ["uevent", "type", "device/name", "device/phys", "device/uniq", "device/capabilities/ev"]
            .into_iter()
            .chain(["device/capabilities/key", "../../bInterfaceNumber", "../../../idVendor"])
            .chain(["../../../idProduct", "../../../serial", "../../ieee1284_id"]);
        let mut lines = bytes.split(|byte| *byte == b'\n');
        for file in files {
            let line = lines.next().unwrap_or_default();
            for class in CLASSES {
                fs::write(place(folder.path(), class).join(file), line).expect("a folder of our own");
            }
        }
        for device in sysfs::scan(&system).expect("the list is there") {
            let _ =
                (device.words(), device.name(), device.types(), device.remark.as_ref().map(|r| r.words()));
            for selector in &device.selectors {
                let again = selector.to_string().parse::<Selector>();
                assert_eq!(again.as_ref(), Ok(selector), "{selector}");
                assert!(selector.fits(&device), "{selector}");
            }
        }
    });
}

/// The classes and the device of each that is looked at.
const CLASSES: [(&str, &str); 3] = [("tty", "ttyUSB0"), ("input", "event3"), ("usbmisc", "lp0")];

fn place(folder: &Path, (class, name): (&str, &str)) -> std::path::PathBuf {
    folder.join("sys/devices").join(class).join("1-2/1-2:1.0").join(class).join(name)
}

thread_local! {
    static SCRATCH: tempfile::TempDir = scratch();
}

/// A kernel's list with one USB device of each class.
fn scratch() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder of our own");
    for class in CLASSES {
        let place = place(folder.path(), class);
        fs::create_dir_all(place.join("device/capabilities")).expect("a folder of our own");
        let links = folder.path().join("sys/class").join(class.0);
        fs::create_dir_all(&links).expect("a folder of our own");
        symlink(&place, links.join(class.1)).expect("a folder of our own");
    }
    folder
}

/// The first line, and what stands behind it.
fn line_and_rest(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}
