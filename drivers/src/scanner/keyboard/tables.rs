//! The layouts themselves, as data. Pure.
//!
//! A scanner in keyboard mode pretends to be a PC's keyboard of some country, and what it presses is right for
//! *Windows'* layout of that country: so these are Windows' layouts (kbdus, kbduk, kbdgr, kbdfr, kbdsp, as
//! kbdlayout.info shows them), at the three levels that a scanner uses. In printable ASCII they agree with the layouts
//! of xkeyboard-config (`us gb de fr es`), which a test compares; the few differences stand in that test.

use super::layout::Level;

/// One layout. The rows hold one character for each key, in the order of the key codes; `\0` where a key types nothing.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) plain: Rows,
    pub(super) shift: Rows,
    /// Few keys have one, so they are listed.
    pub(super) alt_gr: &'static [(u16, char)],
    /// The accents that wait for the next key.
    pub(super) dead: &'static [(u16, Level)],
    /// Keys without a letter on which Caps Lock works as Shift does. Letters are always affected.
    pub(super) caps_also: &'static [u16],
    /// What the keypad's decimal key types.
    pub(super) keypad_decimal: char,
}

/// A level of a layout.
#[derive(Debug)]
pub(super) struct Rows {
    /// `KEY_1` (2) to `KEY_EQUAL` (13).
    pub(super) digits: &'static str,
    /// `KEY_Q` (16) to `KEY_RIGHTBRACE` (27).
    pub(super) upper: &'static str,
    /// `KEY_A` (30) to `KEY_APOSTROPHE` (40).
    pub(super) home: &'static str,
    /// `KEY_Z` (44) to `KEY_SLASH` (53).
    pub(super) lower: &'static str,
    /// `KEY_GRAVE` (41), `KEY_BACKSLASH` (43), `KEY_102ND` (86).
    pub(super) others: &'static str,
}

use Level::{AltGr, Plain, Shift};

pub(super) const US: Table = Table {
    plain: Rows {
        digits: "1234567890-=",
        upper: "qwertyuiop[]",
        home: "asdfghjkl;'",
        lower: "zxcvbnm,./",
        others: "`\\\\",
    },
    shift: Rows {
        digits: "!@#$%^&*()_+",
        upper: "QWERTYUIOP{}",
        home: "ASDFGHJKL:\"",
        lower: "ZXCVBNM<>?",
        others: "~||",
    },
    alt_gr: &[],
    dead: &[],
    caps_also: &[],
    keypad_decimal: '.',
};

pub(super) const UK: Table = Table {
    plain: Rows {
        digits: "1234567890-=",
        upper: "qwertyuiop[]",
        home: "asdfghjkl;'",
        lower: "zxcvbnm,./",
        others: "`#\\",
    },
    shift: Rows {
        digits: "!\"£$%^&*()_+",
        upper: "QWERTYUIOP{}",
        home: "ASDFGHJKL:@",
        lower: "ZXCVBNM<>?",
        others: "¬~|",
    },
    alt_gr: &[(5, '€'), (18, 'é'), (22, 'ú'), (23, 'í'), (24, 'ó'), (30, 'á'), (41, '¦')],
    dead: &[],
    caps_also: &[],
    keypad_decimal: '.',
};

pub(super) const GERMAN: Table = Table {
    plain: Rows {
        digits: "1234567890ß´",
        upper: "qwertzuiopü+",
        home: "asdfghjklöä",
        lower: "yxcvbnm,.-",
        others: "^#<",
    },
    shift: Rows {
        digits: "!\"§$%&/()=?`",
        upper: "QWERTZUIOPÜ*",
        home: "ASDFGHJKLÖÄ",
        lower: "YXCVBNM;:_",
        others: "°'>",
    },
    alt_gr: &[
        (3, '²'),
        (4, '³'),
        (8, '{'),
        (9, '['),
        (10, ']'),
        (11, '}'),
        (12, '\\'),
        (16, '@'),
        (18, '€'),
        (27, '~'),
        (50, 'µ'),
        (86, '|'),
    ],
    dead: &[(13, Plain), (13, Shift), (41, Plain)],
    // The digits and most signs: Windows' attribute CAPLOK.
    caps_also: &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 27, 43, 51, 52],
    keypad_decimal: ',',
};

pub(super) const FRENCH: Table = Table {
    plain: Rows {
        digits: "&é\"'(-è_çà)=",
        upper: "azertyuiop^$",
        home: "qsdfghjklmù",
        lower: "wxcvbn,;:!",
        others: "²*<",
    },
    shift: Rows {
        digits: "1234567890°+",
        upper: "AZERTYUIOP¨£",
        home: "QSDFGHJKLM%",
        lower: "WXCVBN?./§",
        others: "\0µ>",
    },
    alt_gr: &[
        (3, '~'),
        (4, '#'),
        (5, '{'),
        (6, '['),
        (7, '|'),
        (8, '`'),
        (9, '\\'),
        (10, '^'),
        (11, '@'),
        (12, ']'),
        (13, '}'),
        (18, '€'),
        (27, '¤'),
    ],
    dead: &[(3, AltGr), (8, AltGr), (26, Plain), (26, Shift)],
    // "Verr. maj." is a shift lock: all keys but ² and <.
    caps_also: &[2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 26, 27, 40, 43, 50, 51, 52, 53],
    keypad_decimal: '.',
};

pub(super) const SPANISH: Table = Table {
    plain: Rows {
        digits: "1234567890'¡",
        upper: "qwertyuiop`+",
        home: "asdfghjklñ´",
        lower: "zxcvbnm,.-",
        others: "ºç<",
    },
    shift: Rows {
        digits: "!\"·$%&/()=?¿",
        upper: "QWERTYUIOP^*",
        home: "ASDFGHJKLÑ¨",
        lower: "ZXCVBNM;:_",
        others: "ªÇ>",
    },
    alt_gr: &[
        (2, '|'),
        (3, '@'),
        (4, '#'),
        (5, '~'),
        (6, '€'),
        (7, '¬'),
        (18, '€'),
        (26, '['),
        (27, ']'),
        (40, '{'),
        (41, '\\'),
        (43, '}'),
    ],
    dead: &[(5, AltGr), (26, Plain), (26, Shift), (40, Plain), (40, Shift)],
    caps_also: &[],
    keypad_decimal: '.',
};

/// What an accent makes of the letter that follows it.
#[must_use]
pub(super) fn accented(accent: char, letter: char) -> Option<char> {
    let (letters, made) = match accent {
        '^' => ("aeiouAEIOU", "âêîôûÂÊÎÔÛ"),
        '´' => ("aeiouyAEIOUY", "áéíóúýÁÉÍÓÚÝ"),
        '`' => ("aeiouAEIOU", "àèìòùÀÈÌÒÙ"),
        '¨' => ("aeiouyAEIOU", "äëïöüÿÄËÏÖÜ"),
        '~' => ("naoNAO", "ñãõÑÃÕ"),
        _ => return None,
    };
    let place = letters.chars().position(|c| c == letter)?;
    made.chars().nth(place)
}
