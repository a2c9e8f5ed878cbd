//! Key streams that were recorded from a kernel (`pestle-rig keys`), replayed: each `tests/data/keys/NAME.events` is what the
//! kernel's driver told of a USB keyboard, and `NAME.toml` beside it what was typed on that.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use pestle_drivers::scanner::{
    framing::{Frame, FramingRules},
    keyboard::{
        decode::{DecodeRules, KeyState},
        layout::Layout,
        reader::KeyReader,
        record::RecordCutter,
    },
};

/// All that there are: one that is missing or was never recorded is a failure, too.
const RECORDED: [&str; 14] = [
    "alt-code",
    "caps-lock",
    "french",
    "french-caps-lock",
    "function-key-separator",
    "german",
    "gs1-control-bracket",
    "gtin",
    "held-key",
    "keypad",
    "printable-ascii",
    "spanish",
    "uk",
    "upper-and-lower",
];

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Recording {
    layout: Layout,
    function_keys: bool,
    scans: Vec<String>,
    origin: String,
}

fn decoded(told: &Recording, events: &[u8]) -> Vec<String> {
    let rules = DecodeRules { layout: told.layout, function_keys: told.function_keys };
    let mut reader = KeyReader::new(rules, FramingRules::default(), &KeyState::default());
    let now = Instant::now();
    let mut frames = reader.push(now, &RecordCutter::default().push(events));
    frames.extend(reader.tick(now + Duration::from_secs(1)));
    let text = |frame| match frame {
        Frame::Scan { bytes, whole: true } => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    };
    frames.into_iter().map(text).collect()
}

#[test]
fn every_key_stream_recorded_from_a_kernel_is_decoded_to_what_was_typed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keys");
    let mut replayed = Vec::new();
    for entry in fs::read_dir(&folder).expect("the folder of recordings is there") {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "events") {
            continue;
        }
        let told = fs::read_to_string(path.with_extension("toml")).unwrap();
        let told: Recording = toml::from_str(&told).unwrap();
        assert!(!told.origin.is_empty(), "{}", path.display());
        assert_eq!(decoded(&told, &fs::read(&path).unwrap()), told.scans, "{}", path.display());
        assert!(!told.scans.is_empty(), "{}", path.display());
        replayed.push(path.file_stem().and_then(|stem| stem.to_str()).unwrap().to_owned());
    }
    replayed.sort();
    assert_eq!(replayed, RECORDED, "in {}", folder.display());
}
