//! Key codes as the kernel numbers them: `linux/input-event-codes.h`. Only those that a decoder has to know by name; the
//! keys that print something stand in the layouts. Pure.

/// Backspace.
pub const KEY_BACKSPACE: u16 = 14;
/// Tabulator.
pub const KEY_TAB: u16 = 15;
/// The main Enter key.
pub const KEY_ENTER: u16 = 28;
/// Left Ctrl.
pub const KEY_LEFTCTRL: u16 = 29;
/// Left Shift.
pub const KEY_LEFTSHIFT: u16 = 42;
/// Right Shift.
pub const KEY_RIGHTSHIFT: u16 = 54;
/// Left Alt.
pub const KEY_LEFTALT: u16 = 56;
/// The space bar.
pub const KEY_SPACE: u16 = 57;
/// Caps Lock.
pub const KEY_CAPSLOCK: u16 = 58;
/// F7, which Honeywell's function-key mode types for FS.
pub const KEY_F7: u16 = 65;
/// F8, for GS.
pub const KEY_F8: u16 = 66;
/// F9, for RS.
pub const KEY_F9: u16 = 67;
/// F10, for US.
pub const KEY_F10: u16 = 68;
/// Num Lock.
pub const KEY_NUMLOCK: u16 = 69;
/// Scroll Lock.
pub const KEY_SCROLLLOCK: u16 = 70;
/// Enter of the numeric keypad.
pub const KEY_KPENTER: u16 = 96;
/// Right Ctrl.
pub const KEY_RIGHTCTRL: u16 = 97;
/// Right Alt: AltGr on most layouts.
pub const KEY_RIGHTALT: u16 = 100;
/// Left Windows key.
pub const KEY_LEFTMETA: u16 = 125;
/// Right Windows key.
pub const KEY_RIGHTMETA: u16 = 126;

/// The highest code there is (`KEY_MAX`).
pub const KEY_MAX: u16 = 0x2ff;

/// What a key of the numeric keypad types; the decimal key differs by layout and is not here.
#[must_use]
pub fn keypad(code: u16) -> Option<char> {
    Some(match code {
        55 => '*',
        71 => '7',
        72 => '8',
        73 => '9',
        74 => '-',
        75 => '4',
        76 => '5',
        77 => '6',
        78 => '+',
        79 => '1',
        80 => '2',
        81 => '3',
        82 => '0',
        98 => '/',
        _ => return None,
    })
}

/// The decimal key of the numeric keypad (`KEY_KPDOT`).
pub const KEY_KPDOT: u16 = 83;

/// The keypad's key for a digit.
#[must_use]
pub fn keypad_digit(digit: u8) -> Option<u16> {
    const CODES: [u16; 10] = [82, 79, 80, 81, 75, 76, 77, 71, 72, 73];
    CODES.get(usize::from(digit)).copied()
}
