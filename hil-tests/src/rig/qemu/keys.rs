//! What a keyboard-mode scanner presses for a text on a US layout, as QEMU's key names (`QKeyCode`). The kernel of the guest makes
//! its own codes of them; nothing of the product's tables is used here.

/// A stroke: the key, and whether Shift or Control is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stroke {
    /// QEMU's name of the key.
    pub key: &'static str,
    /// Shift is held.
    pub shift: bool,
    /// Control is held.
    pub control: bool,
}

const LETTERS: [&str; 26] = [
    "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u",
    "v", "w", "x", "y", "z",
];
const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
/// Characters with Shift, on the keys of the digits from 0.
const OVER_DIGITS: &[u8; 10] = b")!@#$%^&*(";
/// The other keys: plain, with Shift, name.
const OTHERS: [(u8, u8, &str); 11] = [
    (b'-', b'_', "minus"),
    (b'=', b'+', "equal"),
    (b'[', b'{', "bracket_left"),
    (b']', b'}', "bracket_right"),
    (b';', b':', "semicolon"),
    (b'\'', b'"', "apostrophe"),
    (b'`', b'~', "grave_accent"),
    (b'\\', b'|', "backslash"),
    (b',', b'<', "comma"),
    (b'.', b'>', "dot"),
    (b'/', b'?', "slash"),
];

/// The stroke that types `byte`; GS is Control and `]`, as such scanners are set up. `None` for what no key types.
pub fn stroke(byte: u8) -> Option<Stroke> {
    let plain = |key| Some(Stroke { key, shift: false, control: false });
    let shifted = |key| Some(Stroke { key, shift: true, control: false });
    match byte {
        b'a'..=b'z' => plain(LETTERS[usize::from(byte - b'a')]),
        b'A'..=b'Z' => shifted(LETTERS[usize::from(byte - b'A')]),
        b'0'..=b'9' => plain(DIGITS[usize::from(byte - b'0')]),
        b' ' => plain("spc"),
        b'\r' => plain("ret"),
        b'\t' => plain("tab"),
        0x1d => Some(Stroke { key: "bracket_right", shift: false, control: true }),
        _ => {
            let over = OVER_DIGITS.iter().position(|over| *over == byte).map(|digit| DIGITS[digit]);
            let other = OTHERS.iter().find(|(low, high, _)| *low == byte || *high == byte);
            match (over, other) {
                (Some(key), _) => shifted(key),
                (None, Some((low, _, key))) if *low == byte => plain(key),
                (None, Some((_, _, key))) => shifted(key),
                (None, None) => None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_printable_character_has_its_own_stroke() {
        let strokes: Vec<Stroke> = (b' '..=b'~').map(|byte| stroke(byte).unwrap()).collect();
        for (index, one) in strokes.iter().enumerate() {
            assert!(!strokes[index + 1..].contains(one), "{one:?}");
        }
        assert_eq!(stroke(0x1d).map(|stroke| (stroke.key, stroke.control)), Some(("bracket_right", true)));
        assert_eq!(stroke(0), None);
    }
}
