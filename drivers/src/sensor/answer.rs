//! What was wrong with the bytes that came instead of an answer (Modbus over serial line, v1.02). Pure.

use super::NoData;

/// The check sum that ends each frame, low byte first: polynomial A001h, start FFFFh (Modbus over serial line, 6.2.2).
#[must_use]
pub fn crc(frame: &[u8]) -> u16 {
    frame.iter().fold(0xffff, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xa001 } else { crc >> 1 })
    })
}

/// `frame` with its check sum.
#[must_use]
pub fn with_crc(frame: &[u8]) -> Vec<u8> {
    [frame, &crc(frame).to_le_bytes()].concat()
}

/// Does `frame` end with its check sum?
#[must_use]
pub fn crc_is_right(frame: &[u8]) -> bool {
    // The check sum over a frame and its check sum is 0.
    frame.len() > 2 && crc(frame) == 0
}

/// Why `heard` is no answer of `slave` to `function`. Only asked after the time for an answer has passed.
#[must_use]
pub fn why_no_answer(slave: u8, function: u8, heard: &[u8]) -> NoData {
    match heard {
        [] => NoData::Timeout,
        // The beginning of a right answer, of the right length, whose end does not fit.
        [s, f, length, ..] if *s == slave && *f == function && heard.len() == usize::from(*length) + 5 => {
            NoData::Crc
        }
        _ => NoData::Garbled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sum_is_that_of_the_standard() {
        // Read holding registers 0x2b of slave 1, two words.
        assert_eq!(crc(&[0x01, 0x03, 0x08, 0x2b, 0x00, 0x02]), 0x63b6);
        assert!(crc_is_right(&with_crc(&[1, 4, 2, 0, 42])));
        assert!(!crc_is_right(&[1, 4, 2, 0, 42, 0, 0]));
    }

    fn check(heard: &[u8], expected: NoData) {
        assert_eq!(why_no_answer(1, 4, heard), expected, "{heard:02x?}");
    }

    #[test]
    fn silence_damage_and_nonsense_are_told_apart() {
        check(&[], NoData::Timeout);
        check(&[1, 4, 2, 0, 42, 0xff, 0xff], NoData::Crc);
        check(&[1, 4, 2, 0], NoData::Garbled);
        check(&[0x55; 30], NoData::Garbled);
    }
}
