//! What the decoder makes of keys, key by key.

use super::*;
use KeyChange::{Press, Release, Repeat};

fn rules(layout: Layout) -> DecodeRules {
    DecodeRules { layout, function_keys: true }
}

/// Presses keys as written: `+42` down, `-42` up, `42` both, `~42` repeat; an accent that waits is flushed at the end.
fn check(layout: Layout, state: &KeyState, keys: &str, expected: &str) {
    let mut decoder = Decoder::new(rules(layout), state);
    let mut typed: Vec<Typed> = keys
        .split_whitespace()
        .flat_map(|word| {
            let (changes, number): (&[KeyChange], &str) = match word.split_at(1) {
                ("+", rest) => (&[Press], rest),
                ("-", rest) => (&[Release], rest),
                ("~", rest) => (&[Repeat], rest),
                _ => (&[Press, Release], word),
            };
            let code = number.parse().unwrap();
            changes.iter().flat_map(|change| decoder.key(code, *change)).collect::<Vec<_>>()
        })
        .collect();
    typed.extend(decoder.flush());
    let text: Result<String, KeyRefusal> = typed
        .into_iter()
        .map(|typed| match typed {
            Typed::Character(c) => Ok(c),
            Typed::Refused(refusal) => Err(refusal),
        })
        .collect();
    assert_eq!(text, Ok(expected.to_owned()), "{layout}: {keys}");
}

fn check_refused(layout: Layout, keys: &[(u16, KeyChange)], expected: KeyRefusal) {
    let mut decoder = Decoder::new(rules(layout), &KeyState::default());
    let typed: Vec<_> = keys.iter().flat_map(|(code, change)| decoder.key(*code, *change)).collect();
    assert_eq!(typed, [Typed::Refused(expected)]);
}

fn up() -> KeyState {
    KeyState::default()
}

#[test]
fn either_shift_makes_capitals_and_signs_and_only_while_it_is_down() {
    check(Layout::Us, &up(), "30 +42 30 2 -42 30 +54 40 -54 40", "aA!a\"'");
    check(Layout::Uk, &up(), "+42 3 40 4 -42 43 86", "\"@£#\\");
    check(Layout::French, &up(), "+42 2 3 11 -42 2 16 30 39", "120&aqm");
    check(Layout::German, &up(), "21 44 +42 8 -42 53", "zy/-");
    check(Layout::Spanish, &up(), "39 +42 39 -42 12 86 +54 86", "ñÑ'<>");
}

#[test]
fn caps_lock_shifts_letters_and_on_german_and_french_keyboards_digits_too() {
    check(Layout::Us, &up(), "58 30 2 +42 30 -42 58 30", "A1aa");
    check(Layout::Spanish, &up(), "58 39 2 58 39", "Ñ1ñ");
    check(Layout::French, &up(), "58 2 16 51 86 58 2", "1A.<&");
    check(Layout::German, &up(), "58 2 30 +42 2 -42 58 2", "!A11");
}

#[test]
fn alt_gr_and_ctrl_with_alt_make_the_third_level() {
    check(Layout::German, &up(), "+100 9 10 16 -100 +29 +56 10 -56 -29", "[]@]");
    check(Layout::French, &up(), "+100 6 12 11 -100", "[]@");
    check(Layout::Spanish, &up(), "+100 3 43 -100", "@}");
}

#[test]
fn dead_keys_wait_for_a_space_or_a_letter() {
    check(Layout::German, &up(), "41 57 41 30 41 16", "^â^q");
    check(Layout::French, &up(), "26 18 +42 26 -42 57 +100 3 -100 57", "ê¨~");
    check(Layout::Spanish, &up(), "40 57 40 40 26 28 26", "´´´`\r`");
}

#[test]
fn ctrl_makes_control_characters_by_letter_and_gs_by_the_place_of_the_bracket() {
    for layout in Layout::ALL {
        check(layout, &up(), "+29 27 -29 +97 27 -97 +29 26 43 -29", "\u{1d}\u{1d}\u{1b}\u{1c}");
    }
    check(Layout::Us, &up(), "+29 32 50 +42 7 12 -42 7 12 28", "\u{4}\r\u{1e}\u{1f}\u{1e}\u{1f}\n");
    check(Layout::French, &up(), "+29 39", "\r");
    // AltGr and Ctrl is AltGr, as Windows has it.
    check(Layout::German, &up(), "+29 +100 10", "]");
}

#[test]
fn function_keys_are_separators_only_where_they_are_allowed() {
    check(Layout::Us, &up(), "65 66 67 68", "\u{1c}\u{1d}\u{1e}\u{1f}");
    let mut strict = Decoder::new(DecodeRules { layout: Layout::Us, function_keys: false }, &up());
    let refusal = KeyRefusal::NoCharacter { code: 66, layout: Layout::Us };
    assert_eq!(strict.key(66, Press), [Typed::Refused(refusal)]);
}

#[test]
fn the_numeric_keypad_types_digits_whatever_num_lock_says() {
    let keys = "82 79 80 81 75 76 77 71 72 73 74 78 55 98 83 96";
    check(Layout::Us, &up(), keys, "0123456789-+*/.\r");
    check(Layout::Us, &up(), &format!("69 {keys} 69"), "0123456789-+*/.\r");
    check(Layout::German, &up(), "83", ",");
}

#[test]
fn alt_with_digits_of_the_keypad_types_one_character_when_alt_goes_up() {
    check(Layout::Us, &up(), "+56 82 77 76 -56 +56 82 82 80 73 -56 +100 77 76 -100", "A\u{1d}A");
    check(Layout::German, &up(), "+56 79 81 82 -56 +56 82 80 81 81 -56", "éé");
    check(Layout::Us, &up(), "56 30", "a");
}

#[test]
fn a_held_key_is_one_character() {
    check(Layout::Us, &up(), "+30 ~30 ~30 ~30 -30 30", "aa");
}

#[test]
fn modifiers_that_were_down_at_the_opening_count_and_other_keys_do_not() {
    let shift = KeyState { down: vec![42], caps: false };
    check(Layout::Us, &shift, "30 -42 30", "Aa");
    check(Layout::Us, &KeyState { down: vec![], caps: true }, "30 58 30", "Aa");
    let typing = KeyState { down: vec![42, 30], caps: false };
    assert!(Decoder::new(rules(Layout::Us), &typing).is_typing());
    assert!(!Decoder::new(rules(Layout::Us), &shift).is_typing());
    check(Layout::Us, &typing, "-30 30", "A");
}

#[test]
fn what_has_no_meaning_is_refused_with_its_key() {
    let no_character = |code| KeyRefusal::NoCharacter { code, layout: Layout::Us };
    for code in [1, 14, 59, 102, 103, 111, 183, 240, 700, KEY_MAX, u16::MAX] {
        check_refused(Layout::Us, &[(code, Press)], no_character(code));
    }
    let command = |code, modifier| KeyRefusal::Command { code, modifier };
    check_refused(Layout::Us, &[(56, Press), (30, Press)], command(30, "Alt"));
    check_refused(Layout::Us, &[(29, Press), (2, Press)], command(2, "Ctrl"));
    check_refused(Layout::Us, &[(125, Press), (30, Press)], command(30, "the Windows key"));
    let typed = |keys: &[(u16, KeyChange)]| {
        let mut decoder = Decoder::new(rules(Layout::Us), &up());
        keys.iter().flat_map(|(code, change)| decoder.key(*code, *change)).collect::<Vec<_>>()
    };
    let twice = Typed::Refused(KeyRefusal::PressedTwice { code: 30 });
    assert_eq!(typed(&[(30, Press), (30, Press)]), [Typed::Character('a'), twice]);
    let alt_999 =
        [(56, Press), (73, Press), (73, Release), (73, Press), (73, Release), (73, Press), (56, Release)];
    let digits = "999".to_owned();
    assert_eq!(typed(&alt_999), [Typed::Refused(KeyRefusal::AltCode { digits })]);
}

#[test]
fn an_alt_sequence_that_never_ends_is_refused() {
    let mut decoder = Decoder::new(rules(Layout::Us), &up());
    decoder.key(56, Press);
    for _ in 0..2 {
        decoder.key(73, Press);
        decoder.key(73, Release);
    }
    assert!(decoder.is_waiting());
    let refusal = KeyRefusal::AltCode { digits: "99".to_owned() };
    assert_eq!(decoder.flush(), [Typed::Refused(refusal)]);
    assert!(!decoder.is_waiting());
}
