//! How long things take on a serial line with Modbus on it, and how much of it a silent device may take. Pure.

use std::time::Duration;

use super::register::Question;

/// Bytes of each question that is asked here: address, function, register, count, check sum.
const QUESTION_BYTES: u32 = 8;

/// The silence before a frame above 19,200 baud (Modbus over serial line V1.02, 2.5.1.1): below that it is 3.5 characters,
/// which is never less.
const GAP_MIN: Duration = Duration::from_micros(1_750);

/// Bits of a character with parity, or with two stop bits instead (Modbus over serial line V1.02, 2.5.1).
const CHARACTER_BITS: u64 = 11;

/// How long a character takes.
#[must_use]
pub fn character(baud: u32) -> Duration {
    Duration::from_micros(CHARACTER_BITS * 1_000_000 / u64::from(baud.max(1)))
}

/// The silence that must be before each question, so that every device on the line sees that it is a new frame: 3.5
/// characters (t3.5).
#[must_use]
pub fn gap_before_a_question(character: Duration) -> Duration {
    (character * 7 / 2).max(GAP_MIN)
}

/// How long an answer is waited for: what the device may take to begin, and what both frames take on the line.
#[must_use]
pub fn answer_time(device: Duration, character: Duration, question: &Question) -> Duration {
    let answer = u32::try_from(question.answer_bytes()).unwrap_or(u32::MAX);
    device + character.saturating_mul(QUESTION_BYTES.saturating_add(answer))
}

/// How long a device that answered nothing is left alone at least, if asking it took `cost` on a line of `devices`: it then
/// has no more than its share of the line's time, so that the others are asked as if it answered.
#[must_use]
pub fn rest_for_a_fair_share(cost: Duration, devices: usize) -> Duration {
    cost.saturating_mul(u32::try_from(devices.saturating_sub(1)).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensor::register::Function;

    #[test]
    fn the_silence_before_a_question_is_three_and_a_half_characters_and_fixed_above_19200_baud() {
        let micros = |baud| gap_before_a_question(character(baud)).as_micros();
        assert_eq!((micros(9_600), micros(19_200)), (4_007, 2_002));
        assert_eq!((micros(38_400), micros(115_200)), (1_750, 1_750));
    }

    #[test]
    fn an_answer_may_take_the_devices_time_and_both_frames() {
        let question = Question { function: Function::Input, register: 1, count: 2 };
        let time = answer_time(Duration::from_millis(500), Duration::from_millis(1), &question);
        assert_eq!(time, Duration::from_millis(500 + 8 + 9));
        assert_eq!(Question::one(Function::Coils, 0).answer_bytes(), 6);
    }

    #[test]
    fn three_dead_devices_of_eight_take_no_more_than_three_eighths_of_the_line_and_the_others_go_on() {
        // A line that does nothing but ask whoever may be asked, for an hour; asking the dead takes a second each.
        let (dead_cost, well_cost, hour) = (1_000u64, 40u64, 3_600_000u64);
        let rest = rest_for_a_fair_share(Duration::from_millis(dead_cost), 8);
        let rest = u64::try_from(rest.as_millis()).unwrap();
        let (mut now, mut dead_time, mut rounds) = (0, 0, 0u64);
        let mut asked_again = [0u64; 3];
        while now < hour {
            for until in &mut asked_again {
                if *until <= now {
                    now += dead_cost;
                    dead_time += dead_cost;
                    *until = now + rest;
                }
            }
            now += 5 * well_cost;
            rounds += 1;
        }
        assert!(dead_time * 8 <= now * 3, "{dead_time} of {now}");
        assert!(rounds >= hour * 5 / 8 / (5 * well_cost), "{rounds} rounds of the five that are well");
    }
}
