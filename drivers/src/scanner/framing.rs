//! Where one scan ends and the next begins. Pure: bytes and moments in, frames out.
//!
//! A scan ends with a suffix that the scanner adds (carriage return by default in most), or, when the suffix is missing,
//! with a gap in the line. A gap may also be a line that stalled in the middle of a lot, so what it ended is refused
//! where the scanner is known to send a suffix, and is never believed to be whole elsewhere. A frame that holds a byte no barcode has is refused whole: a repaired barcode would be a
//! different barcode.

use std::time::{Duration, Instant};

use super::keyboard::decode::KeyRefusal;

/// How a scanner frames what it sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FramingRules {
    /// Byte strings that end a scan. A frame that is empty is dropped, so CR and LF also cover CR LF.
    pub suffixes: Vec<Vec<u8>>,
    /// Taken off the front when it is there. Empty for none.
    pub prefix: Vec<u8>,
    /// The scanner is known to send its prefix: a scan without it lacks its beginning.
    pub needs_prefix: bool,
    /// Silence after which a scan whose suffix is missing has ended. At 9600 baud a byte takes 1.1 ms and a scanner sends
    /// without pauses; 50 ms leaves room for USB's polling and a busy box.
    pub idle_gap: Duration,
    /// The scanner is known to send a suffix: what a silence ends was cut off.
    pub needs_suffix: bool,
    /// Longest scan in bytes. The largest GS1 DataMatrix holds 2,335 characters, those on packs below 100.
    pub longest: usize,
}

impl Default for FramingRules {
    fn default() -> FramingRules {
        FramingRules {
            suffixes: vec![b"\r".to_vec(), b"\n".to_vec(), b"\t".to_vec()],
            prefix: Vec::new(),
            needs_prefix: false,
            idle_gap: Duration::from_millis(50),
            needs_suffix: false,
            longest: 2_335,
        }
    }
}

/// What comes within this time behind a scan that was cut off is taken for its other half: a person needs longer to scan
/// again.
const OTHER_HALF_WITHIN: Duration = Duration::from_millis(500);

/// What the framer found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A scan without its prefix and suffix; never empty.
    Scan {
        /// What was read.
        bytes: Vec<u8>,
        /// A suffix ended it. What a silence ended may lack its end.
        whole: bool,
    },
    /// Something that is no scan.
    Rejected(Rejection),
}

/// Why something is no scan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// More bytes than a barcode has, without an end.
    #[error(
        "more than {longest} bytes arrived without an end: check that the scanner sends a suffix (carriage return)"
    )]
    TooLong {
        /// The bound.
        longest: usize,
        /// How many were thrown away, with the suffix if one came.
        bytes: usize,
    },
    /// The line fell silent before the suffix came, or the beginning was lost.
    #[error(
        "that scan was cut off after {bytes} bytes: scan again, and check the scanner's cable if it comes back"
    )]
    CutOff {
        /// How many had arrived.
        bytes: usize,
    },
    /// A byte that no barcode holds.
    #[error(
        "byte {byte:#04x} at position {at} is not part of any barcode: scan again, and check the scanner's speed and cable"
    )]
    Garbage {
        /// The first such byte.
        byte: u8,
        /// Its place, from 0.
        at: usize,
        /// All that arrived, for the log.
        bytes: Vec<u8>,
    },
    /// A scanner in keyboard mode pressed a key that means no character.
    #[error("that scan cannot be read: {refusal}")]
    Key {
        /// The first such key.
        refusal: KeyRefusal,
    },
}

/// The state of one line.
///
/// ```text
/// Empty --byte--> Collecting --suffix | gap--> Empty (Scan or Garbage)
///                 Collecting --gap, needs a suffix--> CutOff (CutOff)
/// any --cut_off()--> CutOff (CutOff)
/// CutOff --byte in time--> Collecting the other half --suffix | gap--> Empty (CutOff)
/// any but Overflowing --refuse_key()--> Collecting what is refused --suffix | gap--> Empty (Key)
///                 Collecting --longest passed--> Overflowing --suffix | gap--> Empty (TooLong)
/// ```
#[derive(Debug)]
pub struct Framer {
    rules: FramingRules,
    state: State,
}

#[derive(Debug)]
enum State {
    // Empty => Collecting
    Empty,
    // Collecting => Empty | CutOff | Overflowing
    Collecting { bytes: Vec<u8>, last_at: Instant, flaw: Option<Flaw> },
    // CutOff => Collecting
    CutOff { at: Instant },
    // Overflowing => Empty; the tail is as long as the longest suffix, to see the end
    Overflowing { tail: Vec<u8>, thrown: usize, last_at: Instant },
}

/// Why what is being collected will not be a scan, however it ends.
#[derive(Debug)]
enum Flaw {
    /// Its first half was cut off.
    OtherHalf,
    /// A key in it means nothing.
    Key(KeyRefusal),
}

impl Framer {
    /// A line on which nothing has arrived.
    #[must_use]
    pub fn new(rules: FramingRules) -> Framer {
        Framer { rules, state: State::Empty }
    }

    /// Takes bytes that arrived at `now`; returns what they completed. They continue a scan that has begun, however long
    /// ago: only [`Framer::tick`] ends one by silence, since a busy box reads late what arrived in time.
    pub fn push(&mut self, now: Instant, bytes: &[u8]) -> Vec<Frame> {
        bytes.iter().filter_map(|byte| self.push_byte(now, *byte)).collect()
    }

    /// When [`Framer::tick`] is due, if bytes are waiting for their end.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Empty | State::CutOff { .. } => None,
            State::Collecting { last_at, .. } | State::Overflowing { last_at, .. } => {
                Some(*last_at + self.rules.idle_gap)
            }
        }
    }

    /// Ends a scan whose suffix is missing, if the line has been silent for long enough.
    pub fn tick(&mut self, now: Instant) -> Option<Frame> {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return None;
        }
        let frame = self.finish(None);
        if matches!(frame, Some(Frame::Rejected(Rejection::CutOff { .. }))) {
            self.state = State::CutOff { at: now };
        }
        frame
    }

    /// Forgets a scan that had begun, because the device has gone. Returns how many bytes were lost.
    pub fn discard(&mut self) -> usize {
        match std::mem::replace(&mut self.state, State::Empty) {
            State::Empty | State::CutOff { .. } => 0,
            State::Collecting { bytes, .. } => bytes.len(),
            State::Overflowing { thrown, .. } => thrown,
        }
    }

    /// Bytes were lost on the way, nobody knows how many: what had arrived is cut off, and so is what follows at once.
    pub fn cut_off(&mut self, now: Instant) -> Frame {
        let bytes = self.discard();
        self.state = State::CutOff { at: now };
        Frame::Rejected(Rejection::CutOff { bytes })
    }

    /// Something arrived that is no character: the scan that it belongs to is refused when it ends.
    pub fn refuse_key(&mut self, now: Instant, refusal: KeyRefusal) {
        match &mut self.state {
            State::Empty | State::CutOff { .. } => {
                self.state =
                    State::Collecting { bytes: Vec::new(), last_at: now, flaw: Some(Flaw::Key(refusal)) };
            }
            State::Collecting { last_at, flaw, .. } => {
                *last_at = now;
                if flaw.is_none() {
                    *flaw = Some(Flaw::Key(refusal));
                }
            }
            State::Overflowing { last_at, .. } => *last_at = now,
        }
    }

    fn push_byte(&mut self, now: Instant, byte: u8) -> Option<Frame> {
        match &mut self.state {
            State::Empty => {
                self.state = State::Collecting { bytes: vec![byte], last_at: now, flaw: None };
            }
            State::CutOff { at } => {
                let soon = now.saturating_duration_since(*at) <= OTHER_HALF_WITHIN;
                let flaw = soon.then_some(Flaw::OtherHalf);
                self.state = State::Collecting { bytes: vec![byte], last_at: now, flaw };
            }
            State::Collecting { bytes, last_at, .. } => {
                bytes.push(byte);
                *last_at = now;
            }
            State::Overflowing { tail, thrown, last_at } => {
                tail.push(byte);
                let longest_suffix = self.rules.suffixes.iter().map(Vec::len).max().unwrap_or(0);
                if tail.len() > longest_suffix {
                    tail.remove(0);
                }
                *thrown += 1;
                *last_at = now;
            }
        }
        if let Some(suffix) = self.suffix_at_end() {
            return self.finish(Some(suffix));
        }
        self.overflow_if_too_long();
        None
    }

    fn suffix_at_end(&self) -> Option<usize> {
        let seen = match &self.state {
            State::Empty | State::CutOff { .. } => return None,
            State::Collecting { bytes, .. } => bytes,
            State::Overflowing { tail, .. } => tail,
        };
        self.rules.suffixes.iter().filter(|s| !s.is_empty() && seen.ends_with(s)).map(Vec::len).max()
    }

    fn overflow_if_too_long(&mut self) {
        let room = self.rules.longest
            + self.rules.prefix.len()
            + self.rules.suffixes.iter().map(Vec::len).max().unwrap_or(0);
        if let State::Collecting { bytes, last_at, .. } = &self.state
            && bytes.len() > room
        {
            self.state = State::Overflowing { tail: Vec::new(), thrown: bytes.len(), last_at: *last_at };
        }
    }

    /// `suffix` is the length of the one that was seen; `None` after a gap.
    fn finish(&mut self, suffix: Option<usize>) -> Option<Frame> {
        let longest = self.rules.longest;
        let too_long = |bytes| Some(Frame::Rejected(Rejection::TooLong { longest, bytes }));
        match std::mem::replace(&mut self.state, State::Empty) {
            State::Empty | State::CutOff { .. } => None,
            State::Overflowing { thrown, .. } => too_long(thrown),
            State::Collecting { mut bytes, mut flaw, .. } => {
                bytes.truncate(bytes.len() - suffix.unwrap_or(0));
                if let Some(Flaw::Key(refusal)) = flaw {
                    return Some(Frame::Rejected(Rejection::Key { refusal }));
                }
                if bytes.is_empty() {
                    return None;
                }
                if bytes.starts_with(&self.rules.prefix) {
                    bytes.drain(..self.rules.prefix.len());
                } else if self.rules.needs_prefix {
                    flaw = Some(Flaw::OtherHalf);
                }
                if bytes.is_empty() {
                    return None;
                }
                if bytes.len() > longest {
                    return too_long(bytes.len());
                }
                Some(match garbage_in(&bytes) {
                    Some(at) => Frame::Rejected(Rejection::Garbage { byte: bytes[at], at, bytes }),
                    None if flaw.is_some() || suffix.is_none() && self.rules.needs_suffix => {
                        Frame::Rejected(Rejection::CutOff { bytes: bytes.len() })
                    }
                    None => Frame::Scan { bytes, whole: suffix.is_some() },
                })
            }
        }
    }
}

/// Where the first byte stands that no barcode holds. Printable ASCII, the separators FS GS RS US and EOT (ISO/IEC 15434
/// envelopes), and valid UTF-8 (QR codes) are fine.
fn garbage_in(bytes: &[u8]) -> Option<usize> {
    let control = bytes.iter().position(|b| !matches!(b, 0x04 | 0x1c..=0x7e | 0x80..=0xff));
    let not_text = std::str::from_utf8(bytes).err().map(|error| error.valid_up_to());
    match (control, not_text) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GTIN: &[u8] = b"]d2010952123454321317261231\x1d10A1";

    /// Feeds chunks, each at a number of milliseconds; at the end the line stays silent.
    fn check(rules: FramingRules, chunks: &[(u64, &[u8])], expected: &[Frame]) {
        let start = Instant::now();
        let mut framer = Framer::new(rules);
        let mut frames = Vec::new();
        for (at, bytes) in chunks {
            let now = start + Duration::from_millis(*at);
            frames.extend(framer.tick(now));
            frames.extend(framer.push(now, bytes));
        }
        frames.extend(framer.tick(start + Duration::from_secs(60)));
        assert_eq!(frames, expected);
        assert_eq!(framer.deadline(), None);
    }

    fn scan(bytes: &[u8]) -> Frame {
        Frame::Scan { bytes: bytes.to_vec(), whole: true }
    }

    fn ended_by_gap(bytes: &[u8]) -> Frame {
        Frame::Scan { bytes: bytes.to_vec(), whole: false }
    }

    #[test]
    fn each_usual_suffix_ends_a_scan_and_cr_lf_ends_only_one() {
        let sent = b"4006381333931\r4006381333931\r\n96385074\n12345670\t";
        let expected = [scan(b"4006381333931"), scan(b"4006381333931"), scan(b"96385074"), scan(b"12345670")];
        check(FramingRules::default(), &[(0, sent)], &expected);
    }

    #[test]
    fn a_scan_that_arrives_byte_by_byte_is_one_scan_with_its_group_separator() {
        let bytes: Vec<(u64, &[u8])> = GTIN.chunks(1).map(|b| (3, b)).chain([(4, &b"\r"[..])]).collect();
        check(FramingRules::default(), &bytes, &[scan(GTIN)]);
    }

    #[test]
    fn a_gap_ends_a_scan_whose_suffix_is_missing() {
        check(
            FramingRules::default(),
            &[(0, b"96385074"), (50, b"12345670")],
            &[ended_by_gap(b"96385074"), ended_by_gap(b"12345670")],
        );
        check(FramingRules::default(), &[(0, b"9638"), (49, b"5074")], &[ended_by_gap(b"96385074")]);
    }

    #[test]
    fn a_stalled_line_does_not_turn_the_beginning_of_a_lot_into_a_lot() {
        let rules = FramingRules { needs_suffix: true, ..FramingRules::default() };
        let cut_off = |bytes| Frame::Rejected(Rejection::CutOff { bytes });
        check(
            rules.clone(),
            &[(0, b"]d2010952123454321310A1"), (60, b"2345\r"), (70, b"96385074\r")],
            &[cut_off(23), cut_off(4), scan(b"96385074")],
        );
        check(
            rules.clone(),
            &[(0, b"9638"), (60, b""), (900, b"96385074\r")],
            &[cut_off(4), scan(b"96385074")],
        );
        check(rules, &[(0, b"9638"), (49, b"5074\r")], &[scan(b"96385074")]);
    }

    #[test]
    fn a_configured_prefix_is_taken_off_and_a_longer_suffix_is_seen() {
        let rules = FramingRules {
            prefix: b"\x02".to_vec(),
            suffixes: vec![b"\x03\r\n".to_vec()],
            ..FramingRules::default()
        };
        check(
            rules,
            &[(0, b"\x0296385074\x03\r\n\x0212345670\x03\r\n")],
            &[scan(b"96385074"), scan(b"12345670")],
        );
    }

    #[test]
    fn a_scan_without_the_prefix_that_the_scanner_sends_lacks_its_beginning() {
        let rules = FramingRules { prefix: b"#".to_vec(), needs_prefix: true, ..FramingRules::default() };
        let cut_off = Frame::Rejected(Rejection::CutOff { bytes: 4 });
        check(rules, &[(0, b"#96385074\r5074\r#\r\r")], &[scan(b"96385074"), cut_off]);
    }

    #[test]
    fn what_follows_a_loss_at_once_is_cut_off_and_what_comes_later_is_a_scan() {
        let now = Instant::now();
        let after = |ms| now + Duration::from_millis(ms);
        let cut_off = |bytes| Frame::Rejected(Rejection::CutOff { bytes });
        let mut framer = Framer::new(FramingRules::default());
        framer.push(now, b"9638");
        assert_eq!(framer.cut_off(now), cut_off(4));
        assert_eq!(framer.push(after(20), b"5074\r96385074\r"), [cut_off(4), scan(b"96385074")]);
        assert_eq!(framer.cut_off(after(30)), cut_off(0));
        assert_eq!(framer.push(after(1_000), b"96385074\r"), [scan(b"96385074")]);
    }

    #[test]
    fn a_key_without_a_meaning_refuses_the_whole_scan_and_no_other() {
        let now = Instant::now();
        let refusal = KeyRefusal::PressedTwice { code: 30 };
        let mut framer = Framer::new(FramingRules::default());
        framer.push(now, b"9638");
        framer.refuse_key(now, refusal.clone());
        framer.refuse_key(now, KeyRefusal::PressedTwice { code: 31 });
        let refused = Frame::Rejected(Rejection::Key { refusal: refusal.clone() });
        assert_eq!(framer.push(now, b"5074\r96385074\r"), [refused.clone(), scan(b"96385074")]);
        framer.refuse_key(now, refusal);
        assert_eq!(framer.tick(now + Duration::from_secs(1)), Some(refused), "alone, ended by a gap");
        assert_eq!(framer.deadline(), None);
    }

    #[test]
    fn an_over_long_barcode_is_refused_whole_and_the_next_one_is_read() {
        let rules = FramingRules { longest: 10, ..FramingRules::default() };
        let too_long = |bytes| Frame::Rejected(Rejection::TooLong { longest: 10, bytes });
        let expected = [too_long(31), scan(b"96385074")];
        check(rules.clone(), &[(0, b"123456789012345678901234567890\r96385074\r")], &expected);
        check(rules.clone(), &[(0, b"12345678901\r96385074\r")], &[too_long(11), scan(b"96385074")]);
        check(rules, &[(0, &[b'1'; 4_000]), (70, b"96385074\r")], &[too_long(4_000), scan(b"96385074")]);
    }

    #[test]
    fn garbage_refuses_the_whole_scan_and_says_where() {
        let garbage =
            |byte, at, bytes: &[u8]| Frame::Rejected(Rejection::Garbage { byte, at, bytes: bytes.to_vec() });
        let expected = [garbage(0, 3, b"963\x0085074"), scan(b"12345670")];
        check(FramingRules::default(), &[(0, b"963\x0085074\r12345670\r")], &expected);
        check(FramingRules::default(), &[(0, b"96\xff\r")], &[garbage(0xff, 2, b"96\xff")]);
        check(FramingRules::default(), &[(0, "Stück\r".as_bytes())], &[scan("Stück".as_bytes())]);
    }

    #[test]
    fn nothing_that_arrives_is_ever_left_uncounted() {
        // Every two-byte string, framed: it is a scan, a rejection, or nothing but suffixes.
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                let mut framer = Framer::new(FramingRules::default());
                let now = Instant::now();
                let mut frames = framer.push(now, &[a, b]);
                frames.extend(framer.tick(now + Duration::from_secs(1)));
                let kept: usize = frames
                    .iter()
                    .map(|frame| match frame {
                        Frame::Scan { bytes, .. } | Frame::Rejected(Rejection::Garbage { bytes, .. }) => {
                            bytes.len()
                        }
                        Frame::Rejected(Rejection::TooLong { bytes, .. } | Rejection::CutOff { bytes }) => {
                            *bytes
                        }
                        Frame::Rejected(Rejection::Key { .. }) => panic!("no key was refused"),
                    })
                    .sum();
                let suffixes = [a, b].iter().filter(|c| b"\r\n\t".contains(c)).count();
                assert_eq!(kept, 2 - suffixes, "{a:#x} {b:#x}");
            }
        }
    }
}
