//! What an ESC/POS printer says about itself: questions, answers, and what they mean. Pure.
//!
//! Bits are those of Epson's ESC/POS reference: `DLE EOT n` (real-time status), `GS a` (automatic status back),
//! `GS r` (status in the order of the data) and `GS ( H` (process-id response). Answers carry no question, so one
//! question is asked at a time; the fixed bits tell the kinds apart.

use super::{
    model::Level,
    trouble::{LabelTrouble, PageTrouble},
};

/// A real-time question. The printer answers at once, whatever it is printing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Question {
    /// `DLE EOT 1`: online, drawer pin.
    Printer,
    /// `DLE EOT 2`: why offline.
    OfflineCause,
    /// `DLE EOT 3`: which error.
    Error,
    /// `DLE EOT 4`: paper sensors.
    Paper,
}

impl Question {
    /// All, in the order in which they are asked.
    pub const ALL: [Question; 4] =
        [Question::Printer, Question::OfflineCause, Question::Error, Question::Paper];

    /// The bytes that ask.
    #[must_use]
    pub fn bytes(self) -> [u8; 3] {
        let n = match self {
            Question::Printer => 1,
            Question::OfflineCause => 2,
            Question::Error => 3,
            Question::Paper => 4,
        };
        [0x10, 0x04, n]
    }
}

/// `GS a 15`: tell by yourself about drawer, online, errors and paper.
pub const AUTOMATIC_STATUS_ON: [u8; 3] = [0x1d, b'a', 0x0f];

/// `GS r 1`: answered when all before it has been processed; unanswered while the printer is offline.
pub const QUEUED_STATUS: [u8; 3] = [0x1d, b'r', 1];

/// Names a print process; four printable characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProcessId(pub [u8; 4]);

impl ProcessId {
    /// The `number`-th process of a session: four base-36 digits, so that a late answer is told apart for 1.6 million jobs.
    #[must_use]
    pub fn numbered(number: u32) -> ProcessId {
        const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let digit = |place: u32| {
            let index = usize::try_from(number / 36u32.pow(place) % 36).unwrap_or(0);
            DIGITS[index]
        };
        ProcessId([digit(3), digit(2), digit(1), digit(0)])
    }

    /// `GS ( H`, function 48: answer with this id once all before it has been printed.
    #[must_use]
    pub fn request(self) -> Vec<u8> {
        [&[0x1d, b'(', b'H', 6, 0, 48, 48][..], &self.0].concat()
    }
}

/// Something that the printer sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// To the one open [`Question`].
    RealTime(u8),
    /// Four bytes of automatic status.
    Automatic([u8; 4]),
    /// To `GS r`.
    Queued(u8),
    /// This process has been printed.
    Finished(ProcessId),
}

/// Takes the printer's bytes apart. Bytes that belong to no answer are skipped and counted.
#[derive(Debug, Default)]
pub struct AnswerReader {
    partial: Vec<u8>,
    /// Bytes that made no sense, since the start.
    pub strays: u64,
}

/// `37h 22h d1 d2 d3 d4 00h`.
const PROCESS_RESPONSE_LENGTH: usize = 7;

impl AnswerReader {
    /// Takes one byte; returns the answer that it completes.
    pub fn push(&mut self, byte: u8) -> Option<Answer> {
        // XON and XOFF may stand anywhere.
        if matches!(byte, 0x11 | 0x13) {
            return None;
        }
        let Some(&first) = self.partial.first() else {
            return self.start(byte);
        };
        let fits = match (first, self.partial.len()) {
            (0x37, 1) => byte == 0x22,
            (0x37, 2..=5) => (0x20..0x7f).contains(&byte),
            (0x37, _) => byte == 0,
            // Bytes 2 to 4 of an automatic status have bits 4 and 7 clear.
            _ => byte & 0x90 == 0,
        };
        if !fits {
            self.strays += u64::try_from(self.partial.len()).unwrap_or(u64::MAX);
            self.partial.clear();
            return self.start(byte);
        }
        self.partial.push(byte);
        let answer = match self.partial[..] {
            [a, b, c, d] if a != 0x37 => Answer::Automatic([a, b, c, d]),
            [0x37, _, a, b, c, d, _] => Answer::Finished(ProcessId([a, b, c, d])),
            _ => return None,
        };
        debug_assert!(self.partial.len() <= PROCESS_RESPONSE_LENGTH);
        self.partial.clear();
        Some(answer)
    }

    fn start(&mut self, byte: u8) -> Option<Answer> {
        match byte {
            b if b & 0x93 == 0x12 => Some(Answer::RealTime(b)),
            b if b & 0x93 == 0x10 || b == 0x37 => {
                self.partial.push(b);
                None
            }
            // Paper sensors: bits 0 and 1 say "near its end", 2 and 3 "out", each pair alike; the others are 0.
            0x00 | 0x03 | 0x0c | 0x0f => Some(Answer::Queued(byte)),
            _ => {
                self.strays += 1;
                None
            }
        }
    }
}

/// The paper roll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Paper {
    /// Enough, as far as the sensors tell.
    #[default]
    Enough,
    /// A few receipts are left: put a new roll beside it.
    NearEnd,
    /// None.
    Out,
}

/// How a printer that answers is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Condition {
    /// It says that it is offline; the other fields usually tell why.
    pub offline: bool,
    /// The paper roll.
    pub paper: Paper,
    /// The cover is open.
    pub cover_open: bool,
    /// Something is broken or jammed.
    pub error: Option<PrinterError>,
    /// The level of the drawer's sensor pin. What it means depends on the model and the drawer.
    pub drawer_pin_high: bool,
}

/// What is broken or jammed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrinterError {
    /// The autocutter.
    #[error("the cutter is jammed: open the cover, clear the paper, switch off and on")]
    Cutter,
    /// Something that only service mends.
    #[error(
        "the printer reports a fault that it cannot leave by itself: switch it off and on; if it stays, replace it"
    )]
    Unrecoverable,
    /// It cools down or waits, and goes on by itself.
    #[error("the print head is too hot; it goes on by itself in a minute")]
    GoesOnByItself,
    /// An error without a name.
    #[error("the printer reports an error: look at its lamps, open and close the cover")]
    Other,
}

/// Why a printer that answers would not print now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// No paper.
    #[error("the printer is out of paper: put in a new roll")]
    PaperOut,
    /// The cover is open.
    #[error("the printer's cover is open: close it")]
    CoverOpen,
    /// See the error.
    #[error(transparent)]
    Error(#[from] PrinterError),
    /// It says offline and not why.
    #[error("the printer says that it is offline: press its feed button once")]
    Offline,
    /// A label printer's.
    #[error(transparent)]
    Label(#[from] LabelTrouble),
    /// An office printer's.
    #[error(transparent)]
    Page(#[from] PageTrouble),
}

impl Condition {
    /// Takes in an answer to `question`.
    pub fn take_real_time(&mut self, question: Question, byte: u8) {
        let bit = |n: u8| byte & (1 << n) != 0;
        match question {
            Question::Printer => {
                self.drawer_pin_high = bit(2);
                self.offline = bit(3);
            }
            Question::OfflineCause => {
                self.cover_open = bit(2);
                if bit(5) {
                    self.paper = Paper::Out;
                }
                self.error = if bit(6) { self.error.or(Some(PrinterError::Other)) } else { None };
            }
            Question::Error => self.take_error(bit(2), bit(3), bit(5), bit(6)),
            Question::Paper => self.paper = paper(byte & 0x0c != 0, byte & 0x60 != 0),
        }
    }

    /// Takes in an automatic status.
    pub fn take_automatic(&mut self, bytes: [u8; 4]) {
        let bit = |byte: usize, n: u8| bytes[byte] & (1 << n) != 0;
        self.drawer_pin_high = bit(0, 2);
        self.offline = bit(0, 3);
        self.cover_open = bit(0, 5);
        self.take_error(bit(1, 2), bit(1, 3), bit(1, 5), bit(1, 6));
        self.paper = paper(bytes[2] & 0x03 != 0, bytes[2] & 0x0c != 0);
    }

    fn take_error(&mut self, recoverable: bool, cutter: bool, unrecoverable: bool, by_itself: bool) {
        self.error = match () {
            () if cutter => Some(PrinterError::Cutter),
            () if unrecoverable => Some(PrinterError::Unrecoverable),
            () if by_itself => Some(PrinterError::GoesOnByItself),
            () if recoverable => Some(PrinterError::Other),
            () => None,
        };
    }

    /// What keeps it from printing; `None` when it would print.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        if self.cover_open {
            Some(Trouble::CoverOpen)
        } else if self.paper == Paper::Out {
            Some(Trouble::PaperOut)
        } else if let Some(error) = self.error {
            Some(Trouble::Error(error))
        } else if self.offline {
            Some(Trouble::Offline)
        } else {
            None
        }
    }

    /// Is the drawer open? `open_level` is the pin's level when it is.
    #[must_use]
    pub fn drawer_open(&self, open_level: Level) -> bool {
        self.drawer_pin_high == (open_level == Level::High)
    }
}

fn paper(near_end: bool, out: bool) -> Paper {
    match (near_end, out) {
        (_, true) => Paper::Out,
        (true, false) => Paper::NearEnd,
        (false, false) => Paper::Enough,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<Answer> {
        let mut reader = AnswerReader::default();
        bytes.iter().filter_map(|byte| reader.push(*byte)).collect()
    }

    #[test]
    fn answers_of_all_kinds_are_told_apart_in_one_stream() {
        let stream = b"\x12\x1c\x00\x0c\x0f\x13\x37\x2200A7\x00\x11\x0c\x16";
        let expected = [
            Answer::RealTime(0x12),
            Answer::Automatic([0x1c, 0x00, 0x0c, 0x0f]),
            Answer::Finished(ProcessId(*b"00A7")),
            Answer::Queued(0x0c),
            Answer::RealTime(0x16),
        ];
        assert_eq!(read(stream), expected);
    }

    #[test]
    fn a_byte_that_no_printer_answers_with_is_no_answer() {
        let mut reader = AnswerReader::default();
        let answers = (0..=0x7f_u8).filter(|byte| byte & 0x90 == 0 && *byte != 0x37);
        let taken: Vec<u8> =
            answers.filter(|byte| matches!(reader.push(*byte), Some(Answer::Queued(_)))).collect();
        assert_eq!(taken, [0x00, 0x03, 0x0c, 0x0f]);
        assert_eq!(reader.strays, 60);
    }

    #[test]
    fn an_answer_that_was_cut_short_does_not_swallow_the_next_one() {
        assert_eq!(read(b"\x37\x22A\x12"), [Answer::RealTime(0x12)]);
        assert_eq!(read(b"\x10\x00\x12"), [Answer::RealTime(0x12)]);
    }

    #[test]
    fn any_bytes_are_read_without_panic() {
        let mut reader = AnswerReader::default();
        for a in 0..=255u8 {
            for b in 0..=255u8 {
                reader.push(a);
                reader.push(b);
            }
        }
    }

    fn check(answers: &[(Question, u8)], expected: Option<Trouble>) {
        let mut condition = Condition::default();
        for (question, byte) in answers {
            condition.take_real_time(*question, *byte);
        }
        assert_eq!(condition.trouble(), expected);
    }

    #[test]
    fn real_time_answers_say_what_keeps_the_printer_from_printing() {
        check(&[(Question::Printer, 0x12), (Question::OfflineCause, 0x12), (Question::Paper, 0x1e)], None);
        check(&[(Question::Printer, 0x1a), (Question::Paper, 0x7e)], Some(Trouble::PaperOut));
        check(&[(Question::Printer, 0x1a), (Question::OfflineCause, 0x16)], Some(Trouble::CoverOpen));
        let cutter = Some(Trouble::Error(PrinterError::Cutter));
        check(&[(Question::OfflineCause, 0x52), (Question::Error, 0x1a)], cutter);
        check(&[(Question::Printer, 0x1a)], Some(Trouble::Offline));
    }

    #[test]
    fn automatic_status_says_the_same() {
        let mut condition = Condition::default();
        condition.take_automatic([0x3c, 0x00, 0x0f, 0x0f]);
        let expected = Condition {
            offline: true,
            paper: Paper::Out,
            cover_open: true,
            error: None,
            drawer_pin_high: true,
        };
        assert_eq!(condition, expected);
        condition.take_automatic([0x10, 0x00, 0x03, 0x0f]);
        assert_eq!(condition, Condition { paper: Paper::NearEnd, ..Condition::default() });
    }

    #[test]
    fn process_ids_are_printable_and_differ() {
        assert_eq!(ProcessId::numbered(0).0, *b"0000");
        assert_eq!(ProcessId::numbered(36 * 36 + 35).0, *b"010Z");
        assert_ne!(ProcessId::numbered(7), ProcessId::numbered(8));
    }
}
