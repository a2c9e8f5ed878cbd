//! Our keyboard layouts against xkeyboard-config's, as libxkbcommon compiles them: `xkbcli` of Debian's
//! `libxkbcommon-tools`.

use std::{collections::BTreeMap, process::Command};

use pestle_drivers::scanner::keyboard::layout::{Layout, Level};

/// What xkeyboard-config has otherwise than Windows, whose layouts scanners type for. Only printable ASCII is compared; `None` is anything else, or nothing. With AltGr
/// xkeyboard-config types much that Windows does not: there only what ours type is compared.
const DIFFERENCES: &[Difference] = &[
    // The key beside the left Shift, which US keyboards do not have.
    (Layout::Us, 86, Level::Plain, Some('\\'), Some('<')),
    (Layout::Us, 86, Level::Shift, Some('|'), Some('>')),
    // Shift with the key left of 1.
    (Layout::French, 41, Level::Shift, None, Some('~')),
];

/// Layout, key code, level, ours, theirs.
type Difference = (Layout, u16, Level, Option<char>, Option<char>);

/// Codes of a layout's keys at the three levels, in printable ASCII; dead keys count as their accent.
type Characters = BTreeMap<(u16, Level), char>;

fn ours(layout: Layout) -> Characters {
    let typed = layout.all_strokes().map(|(stroke, glyph)| ((stroke.code, stroke.level), glyph.character));
    typed.filter(|(_, c)| matches!(c, ' '..='~')).collect()
}

fn theirs(name: &str) -> Characters {
    let output = Command::new("xkbcli")
        .args(["compile-keymap", "--layout", name])
        .output()
        .expect("xkbcli runs; Debian's package is libxkbcommon-tools: hil-tests/setup.sh test installs it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (keycodes, rest) = text.split_once("xkb_symbols").unwrap();
    let codes: BTreeMap<&str, u16> = keycodes
        .lines()
        .filter_map(|line| line.trim().strip_suffix(';')?.split_once('='))
        .filter(|(key, _)| key.trim().starts_with('<'))
        // X's key codes are the kernel's and 8.
        .filter_map(|(key, code)| Some((key.trim(), code.trim().parse::<u16>().ok()? - 8)))
        .collect();
    let mut found = Characters::new();
    for entry in rest.split("key ").skip(1) {
        let Some(code) = entry.split_whitespace().next().and_then(|key| codes.get(key)) else { continue };
        // `[ a, A, at ]`, alone or behind `symbols[Group1]=`.
        let body = entry.split_once("symbols[Group1]=").map_or(entry, |(_, symbols)| symbols);
        let Some(symbols) = body.split_once('[').and_then(|(_, s)| s.split_once(']')) else { continue };
        for (level, symbol) in
            [Level::Plain, Level::Shift, Level::AltGr].into_iter().zip(symbols.0.split(','))
        {
            found.extend(ascii(symbol.trim()).map(|c| ((*code, level), c)));
        }
    }
    found
}

/// The printable ASCII character of a key symbol (`X11/keysymdef.h`), or of the accent that it begins.
fn ascii(symbol: &str) -> Option<char> {
    const NAMES: &str = "exclam ! quotedbl \" numbersign # dollar $ percent % ampersand & apostrophe ' parenleft ( \
        parenright ) asterisk * plus + comma , minus - period . slash / colon : semicolon ; less < equal = greater > \
        question ? at @ bracketleft [ backslash \\ bracketright ] asciicircum ^ underscore _ grave ` braceleft { bar | \
        braceright } asciitilde ~ dead_circumflex ^ dead_grave ` dead_tilde ~";
    let mut letters = symbol.chars();
    if let (Some(one), None) = (letters.next(), letters.next()) {
        return Some(one);
    }
    let names: Vec<&str> = NAMES.split_whitespace().collect();
    names.chunks(2).find(|pair| pair[0] == symbol).and_then(|pair| pair[1].chars().next())
}

#[test]
fn our_layouts_type_what_xkeyboard_config_s_do_but_for_what_is_named_here() {
    let names = [
        (Layout::Us, "us"),
        (Layout::Uk, "gb"),
        (Layout::German, "de"),
        (Layout::French, "fr"),
        (Layout::Spanish, "es"),
    ];
    for (layout, name) in names {
        let (ours, theirs) = (ours(layout), theirs(name));
        assert!(theirs.len() > 90, "{name}: only {} characters were found", theirs.len());
        let keys =
            ours.keys().chain(theirs.keys()).filter(|(code, _)| layout.glyph(*code, Level::Plain).is_some());
        let mut differences: Vec<_> = keys
            // The keypad is not a part of the layouts here.
            .filter(|(code, _)| layout.all_strokes().any(|(stroke, _)| stroke.code == *code))
            .map(|key| (layout, key.0, key.1, ours.get(key).copied(), theirs.get(key).copied()))
            .filter(|(.., ours, theirs)| ours != theirs)
            .filter(|(_, _, level, ours, _)| *level != Level::AltGr || ours.is_some())
            .collect();
        differences.sort_by_key(|(_, code, level, ..)| (*code, *level));
        differences.dedup();
        let named: Vec<_> = DIFFERENCES.iter().filter(|d| d.0 == layout).copied().collect();
        assert_eq!(differences, named, "{name}");
    }
}
