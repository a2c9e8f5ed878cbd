//! Browser's events: some as W3C (UI Events) specifies them, some as Chromium told them.

use std::collections::BTreeMap;

use super::*;
use crate::scanner::{
    framing::Rejection,
    learn::{
        burst::Burst,
        learner::{Learner, Step},
        settings::RawLearned,
        sheet::TestCode,
    },
};

/// What the counter's page told in Chromium while its driver program typed the sheet's codes and a pack's as a scanner of the
/// United States does, GS as Ctrl+]. The browser test of the page writes it anew (`PESTLE_RECORD_KEYS`).
fn recorded() -> BTreeMap<String, Vec<PageKey>> {
    serde_json::from_str(include_str!("../../tests/data/page/chromium.json")).unwrap()
}

/// What the recorded pack's DataMatrix holds.
const RECORDED_PACK: &str = "01095201230000801730013110F91W91\u{1d}21Proved-1/x";

/// Keys 5 ms apart; `S` before a code is Shift, `C` Ctrl.
fn batch(codes: &str) -> Vec<PageKey> {
    let mut keys = Vec::new();
    for (place, word) in codes.split_whitespace().enumerate() {
        let (shift, ctrl) = (word.starts_with('+'), word.starts_with('^'));
        let (code, key) = word.trim_start_matches(['+', '^']).split_once('=').unwrap();
        for down in [true, false] {
            let at_us = u64::try_from(place).unwrap() * 5_000 + u64::from(!down) * 2_000;
            let (key, code) = (key.to_owned(), code.to_owned());
            let held =
                PageKey { down, key, code, ctrl, alt: false, shift, alt_graph: false, repeat: false, at_us };
            keys.push(held);
        }
    }
    keys
}

fn rules(layout: Option<Layout>, separator: Separator) -> PageRules {
    let raw = RawLearned {
        wire: Wire::Page { layout },
        separator,
        prefix: String::new(),
        suffix: "\r".into(),
        symbology_ids: false,
    };
    PageRules { learned: Some(Learned::new(raw).unwrap()) }
}

fn check(rules: &PageRules, keys: &[PageKey], expected: &str, proved: bool) {
    let scan = PageFrame::Scan { bytes: expected.as_bytes().to_vec(), proved };
    assert_eq!(read_batch(rules, Instant::now(), keys), PageInput::Scanned(vec![scan]));
}

const LOT: &str = "Digit1=1 Digit0=0 +KeyA=A Digit1=1 ^BracketRight=] Digit2=2 Digit1=1 Digit7=7 Enter=Enter";

#[test]
fn a_scanner_s_keys_are_a_scan_with_gs_as_ctrl_and_the_bracket() {
    check(&rules(Some(Layout::Us), Separator::Gs), &batch(LOT), "10A1\u{1d}217", true);
    check(&rules(None, Separator::Gs), &batch(LOT), "10A1\u{1d}217", true);
}

#[test]
fn f8_is_gs_where_it_was_learned() {
    let keys = batch(&LOT.replace("^BracketRight=]", "F8=F8"));
    for layout in [None, Some(Layout::Us)] {
        check(&rules(layout, Separator::F8), &keys, "10A1\u{1d}217", true);
        let PageInput::Scanned(frames) = read_batch(&rules(layout, Separator::Gs), Instant::now(), &keys)
        else {
            panic!("a scanner typed it");
        };
        assert!(matches!(frames[..], [PageFrame::Rejected(Rejection::Key { .. })]), "{frames:?}");
    }
}

#[test]
fn the_tablet_s_own_layout_and_caps_lock_do_not_matter_where_the_layout_was_learned() {
    // A scanner set to Germany on a tablet set to the United States, with Caps Lock on.
    let keys = batch("KeyY=Y +KeyZ=y +Digit7=& Digit1=1 Digit2=2 Digit3=3 Enter=Enter");
    check(&rules(Some(Layout::German), Separator::Gs), &keys, "zY/123", true);
    check(&rules(None, Separator::Gs), &keys, "Yy&123", true);
}

#[test]
fn a_person_s_typing_is_no_scan_however_much_it_is() {
    let mut keys = batch("KeyI=i KeyB=b KeyU=u KeyP=p KeyR=r KeyO=o KeyF=f Enter=Enter");
    assert!(is_a_scanner_s(&keys));
    for (place, key) in keys.iter_mut().enumerate() {
        key.at_us = u64::try_from(place).unwrap() * 30_000;
    }
    assert_eq!(read_batch(&PageRules::default(), Instant::now(), &keys), PageInput::Typing);
    // Two hands that roll over the keys, and a key that is held.
    assert_eq!(
        read_batch(&PageRules::default(), Instant::now(), &batch("KeyT=t KeyH=h KeyE=e")),
        PageInput::Typing
    );
    let mut held = vec![batch("KeyT=t").remove(0); 30];
    held.iter_mut().skip(1).for_each(|key| key.repeat = true);
    assert_eq!(read_batch(&PageRules::default(), Instant::now(), &held), PageInput::Typing);
    assert_eq!(read_batch(&PageRules::default(), Instant::now(), &[]), PageInput::Typing);
}

#[test]
fn what_was_not_learned_or_has_no_suffix_is_not_proved() {
    let text = "Digit9=9 Digit6=6 Digit3=3 Digit8=8 Digit5=5 Digit0=0 Digit7=7 Digit4=4";
    check(&PageRules::default(), &batch(&format!("{text} Enter=Enter")), "96385074", false);
    check(&PageRules::default(), &batch(text), "96385074", false);
    let cut_off = PageFrame::Rejected(Rejection::CutOff { bytes: 8 });
    let learned = rules(Some(Layout::Us), Separator::Gs);
    assert_eq!(read_batch(&learned, Instant::now(), &batch(text)), PageInput::Scanned(vec![cut_off]));
}

#[test]
fn a_modifier_whose_event_another_window_got_is_taken_from_the_key_itself() {
    // Shift is told with the letter alone: no event of its own came, as in `batch` throughout.
    let keys = batch("+KeyA=A KeyB=b Numpad1=1 NumpadEnter=Enter KeyC=c KeyD=d Tab=Tab");
    let text = text(&keys, Some(Layout::Us), false);
    assert_eq!(text, "Ab1\rcd\t");
}

#[test]
fn every_code_of_the_main_block_is_known() {
    let rows = "Digit1 Digit2 Digit3 Digit4 Digit5 Digit6 Digit7 Digit8 Digit9 Digit0 Minus Equal | KeyQ KeyW KeyE KeyR \
        KeyT KeyY KeyU KeyI KeyO KeyP BracketLeft BracketRight | KeyA KeyS KeyD KeyF KeyG KeyH KeyJ KeyK KeyL Semicolon \
        Quote Backquote | Backslash | KeyZ KeyX KeyC KeyV KeyB KeyN KeyM Comma Period Slash | IntlBackslash";
    let known: Vec<Vec<u16>> = rows
        .split('|')
        .map(|row| row.split_whitespace().map(|code| kernel_code(code).unwrap()).collect())
        .collect();
    let expected: [Vec<u16>; 5] =
        [(2..=13).collect(), (16..=27).collect(), (30..=41).collect(), vec![43], (44..=53).collect()];
    assert_eq!(known[..5], expected);
    assert_eq!(known[5], [86]);
    assert_eq!(
        [kernel_code("Lang1"), kernel_code(""), kernel_code("KeyÄ"), kernel_code("Digit12")],
        [None; 4]
    );
}

#[test]
fn a_key_survives_its_json_as_the_page_sends_it() {
    let json = r#"{"down":true,"key":"]","code":"BracketRight","ctrl":true,"at_us":12345}"#;
    let key: PageKey = serde_json::from_str(json).unwrap();
    assert!(key.ctrl && !key.shift && key.at_us == 12_345);
    assert_eq!(serde_json::from_str::<PageKey>(&serde_json::to_string(&key).unwrap()).unwrap(), key);
}

#[test]
fn what_chromium_tells_of_the_sheet_proves_the_scanner_and_reads_a_pack_as_it_is_printed() {
    let recorded = recorded();
    let mut learner = Learner::new();
    let steps = TestCode::ALL.map(|code| {
        let burst = Burst::Page(recorded[&code.to_string()].clone());
        learner.burst(Instant::now(), &burst)
    });
    let Some(Step::Done(verdict)) = steps.last() else { panic!("{steps:?}") };
    assert_eq!(verdict.faults, []);
    // The driver types ">" on a key that keyboards of the United States do not have, so by the keys' places it is no country's.
    let learned = rules(None, Separator::Gs);
    assert_eq!(verdict.learned, learned.learned);
    check(&learned, &recorded["pack"], RECORDED_PACK, true);
    check(&rules(Some(Layout::Us), Separator::Gs), &recorded["pack"], RECORDED_PACK, true);
    check(&PageRules::default(), &recorded["pack"], RECORDED_PACK, false);
}

#[test]
fn the_bounds_hold_what_chromium_tells_by_far_and_the_same_keys_at_a_person_s_pace_are_typing() {
    for (name, keys) in recorded() {
        let silence_us = u64::from(BATCH_SILENCE_MS) * 1_000;
        let longest = keys.windows(2).map(|two| two[1].at_us - two[0].at_us).max().unwrap();
        assert!(4 * longest < silence_us, "{name}: {longest} µs between two events");
        assert!(is_a_scanner_s(&keys), "{name}");
        let slowed = |pace_us: u64| {
            let mut typed = 0;
            let slowed = keys.iter().cloned().map(|mut key| {
                typed += u64::from(key.down && !is_modifier(&key.key));
                key.at_us = typed * pace_us;
                key
            });
            slowed.collect::<Vec<_>>()
        };
        assert!(is_a_scanner_s(&slowed(20_000)), "{name}: over Bluetooth");
        assert!(!is_a_scanner_s(&slowed(48_000)), "{name}: a person");
    }
}
