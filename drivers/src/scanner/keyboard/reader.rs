//! From the kernel's records to scans: decoder and framer together. Pure: the caller owns the device and the clock.

use std::time::Instant;

use super::{
    decode::{DecodeRules, Decoder, KeyChange, KeyState, Typed},
    record::{EV_KEY, EV_SYN, KeyRecord, SYN_DROPPED, SYN_REPORT},
};
use crate::scanner::framing::{Frame, Framer, FramingRules};

/// The state of one scanner in keyboard mode.
///
/// ```text
/// Reading --SYN_DROPPED--> Dropping (the scan is cut off) --SYN_REPORT--> Lost --resync()--> Reading
/// ```
#[derive(Debug)]
pub struct KeyReader {
    decoder: Decoder,
    framer: Framer,
    rules: FramingRules,
    last_at: Option<Instant>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    // Reading => Dropping
    Reading,
    // Dropping => Lost; what stands before the report's end is half of something
    Dropping,
    // Lost => Reading; which keys are down is not known
    Lost,
}

impl KeyReader {
    /// A keyboard in this state, on which nothing is being typed.
    #[must_use]
    pub fn new(decode: DecodeRules, framing: FramingRules, state: &KeyState) -> KeyReader {
        KeyReader {
            decoder: Decoder::new(decode, state),
            framer: Framer::new(framing.clone()),
            rules: framing,
            last_at: None,
            state: State::Reading,
        }
    }

    /// Takes records that were read at `now`; returns what they completed. After a loss it takes no more of them until
    /// [`KeyReader::resync`]: what stands behind in the same read is older than the state that the device will tell.
    pub fn push(&mut self, now: Instant, records: &[KeyRecord]) -> Vec<Frame> {
        let mut frames = Vec::new();
        for record in records {
            match (self.state, record.kind, record.code) {
                (State::Reading, EV_KEY, code) => self.key(now, code, record.value, &mut frames),
                (State::Reading, EV_SYN, SYN_DROPPED) => {
                    frames.push(self.framer.cut_off(now));
                    self.state = State::Dropping;
                }
                (State::Dropping, EV_SYN, SYN_REPORT) => self.state = State::Lost,
                _ => {}
            }
        }
        frames
    }

    /// Were events lost, so that the device must be asked which keys are down?
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.state == State::Lost
    }

    /// Goes on from what the device says.
    pub fn resync(&mut self, state: &KeyState) {
        self.decoder.resync(state);
        self.state = State::Reading;
    }

    /// When [`KeyReader::tick`] is due, if something waits for its end.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let waiting = self.last_at.filter(|_| self.decoder.is_waiting()).map(|at| at + self.rules.idle_gap);
        self.framer.deadline().into_iter().chain(waiting).max()
    }

    /// Ends by silence what has no other end.
    pub fn tick(&mut self, now: Instant) -> Vec<Frame> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return Vec::new();
        }
        let typed = self.decoder.flush();
        let mut frames = Vec::new();
        if let Some(at) = self.last_at {
            self.take(at, typed, &mut frames);
        }
        frames.extend(self.framer.tick(now));
        frames
    }

    /// Forgets a scan that had begun, because the device has gone. Returns how many bytes were lost.
    pub fn discard(&mut self) -> usize {
        self.framer.discard()
    }

    fn key(&mut self, now: Instant, code: u16, value: i32, frames: &mut Vec<Frame>) {
        let change = match value {
            0 => KeyChange::Release,
            1 => KeyChange::Press,
            // The kernel has no values beyond 2.
            _ => KeyChange::Repeat,
        };
        let typed = self.decoder.key(code, change);
        if change == KeyChange::Press {
            self.last_at = Some(now);
        }
        self.take(now, typed, frames);
    }

    fn take(&mut self, now: Instant, typed: Vec<Typed>, frames: &mut Vec<Frame>) {
        for one in typed {
            match one {
                Typed::Character(character) => {
                    frames.extend(self.framer.push(now, character.encode_utf8(&mut [0; 4]).as_bytes()));
                }
                Typed::Refused(refusal) => self.framer.refuse_key(now, refusal),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::scanner::{framing::Rejection, keyboard::layout::Layout};

    const RULES: DecodeRules = DecodeRules { layout: Layout::Us, function_keys: false };

    fn record(kind: u16, code: u16, value: i32) -> KeyRecord {
        KeyRecord { at_us: 0, kind, code, value }
    }

    /// Down and up, with the reports between.
    fn press(code: u16) -> Vec<KeyRecord> {
        let report = record(EV_SYN, SYN_REPORT, 0);
        vec![record(4, 4, 0x70004), record(EV_KEY, code, 1), report, record(EV_KEY, code, 0), report]
    }

    fn presses(codes: &[u16]) -> Vec<KeyRecord> {
        codes.iter().flat_map(|code| press(*code)).collect()
    }

    fn reader() -> KeyReader {
        KeyReader::new(RULES, FramingRules::default(), &KeyState::default())
    }

    fn scan(bytes: &[u8]) -> Frame {
        Frame::Scan { bytes: bytes.to_vec(), whole: true }
    }

    #[test]
    fn records_become_a_scan_at_the_enter_key() {
        let frames = reader().push(Instant::now(), &presses(&[2, 3, 4, 28]));
        assert_eq!(frames, [scan(b"123")]);
    }

    #[test]
    fn a_loss_in_mid_scan_refuses_both_halves_and_the_next_scan_is_read() {
        let now = Instant::now();
        let mut reader = reader();
        let dropped = [record(EV_SYN, SYN_DROPPED, 0), record(EV_KEY, 5, 1), record(EV_SYN, SYN_REPORT, 0)];
        let lost: Vec<_> = [presses(&[2, 3]), dropped.to_vec(), presses(&[6])].concat();
        let cut_off = |bytes| Frame::Rejected(Rejection::CutOff { bytes });
        assert_eq!(reader.push(now, &lost), [cut_off(2)]);
        assert!(reader.is_lost());
        reader.resync(&KeyState { down: vec![42], caps: false });
        let up = [record(EV_KEY, 42, 0)];
        let rest = [presses(&[30]), up.to_vec(), presses(&[3, 28])].concat();
        assert_eq!(reader.push(now, &rest), [cut_off(2)]);
        assert_eq!(reader.push(now, &presses(&[2, 3, 28])), [scan(b"12")]);
    }

    #[test]
    fn an_accent_that_waits_when_the_line_falls_silent_belongs_to_its_scan() {
        let german = DecodeRules { layout: Layout::German, function_keys: false };
        let now = Instant::now();
        let mut reader = KeyReader::new(german, FramingRules::default(), &KeyState::default());
        assert_eq!(reader.push(now, &presses(&[41])), []);
        assert_eq!(reader.deadline(), Some(now + Duration::from_millis(50)));
        assert_eq!(reader.tick(now + Duration::from_millis(49)), []);
        let ended = Frame::Scan { bytes: b"^".to_vec(), whole: false };
        assert_eq!(reader.tick(now + Duration::from_millis(50)), [ended]);
        assert_eq!(reader.deadline(), None);
    }

    #[test]
    fn a_key_without_a_meaning_refuses_the_scan_around_it() {
        let frames = reader().push(Instant::now(), &presses(&[2, 66, 3, 28, 2, 28]));
        assert!(matches!(frames[0], Frame::Rejected(Rejection::Key { .. })), "{frames:?}");
        assert_eq!(frames[1..], [scan(b"1")]);
    }

    #[test]
    fn half_a_scan_is_forgotten_when_the_device_goes() {
        let mut reader = reader();
        reader.push(Instant::now(), &presses(&[2, 3]));
        assert_eq!(reader.discard(), 2);
    }
}
