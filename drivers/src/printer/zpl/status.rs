//! What a ZPL printer says about itself: questions, answers, and what they mean. Pure.
//!
//! Zebra's ZPL programming guide: `~HS` (host status, three lines), `~HQES` (errors and warnings as bits) and `~HI`
//! (identification). Every answer stands between STX and ETX and can be told from the others by its form. The guide says
//! that `~HS` stays unanswered while labels or ribbon are out or the head is open; many printers answer all the same, so
//! both are handled: after silence `~HQES` is asked.

use super::super::trouble::{LabelTrouble, Notice};

/// Ask how it is, and how much it still has to print. Carried out as it arrives.
pub const HOST_STATUS: &[u8] = b"~HS\r\n";
/// Ask for errors and warnings.
pub const ERROR_STATUS: &[u8] = b"~HQES\r\n";
/// Ask what it is. Answers come in order: what came before its answer belongs to earlier questions.
pub const IDENTIFY: &[u8] = b"~HI\r\n";
/// Measure the label's length and set the sensors; feeds some labels.
pub const CALIBRATE: &[u8] = b"~JC\r\n";

/// Throw away the label that has come in part; those that have come whole are printed.
pub const CANCEL_PARTIAL: &[u8] = b"~JX\r\n";
/// Throw away all that is not printed yet.
pub const CANCEL_ALL: &[u8] = b"~JA\r\n";

/// A longer label than any printer has, in dots: 39 inches at 600 dpi and some more.
const LABEL_DOTS_MAX: u32 = 32_000;

/// A longer answer is none: `~HQES` and `~HI` stay well below this.
const ANSWER_BYTES_MAX: usize = 512;

const STX: u8 = 0x02;
const ETX: u8 = 0x03;

/// The answer to [`HOST_STATUS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HostStatus {
    /// No labels under the sensor.
    pub paper_out: bool,
    /// Paused, at its button or after an error.
    pub paused: bool,
    /// What it takes for the length of a label, in dots.
    pub label_dots: u32,
    /// Labels that it has received and not begun.
    pub formats_waiting: u32,
    /// It takes no more bytes.
    pub buffer_full: bool,
    /// It prints what it receives as numbers.
    pub diagnostic: bool,
    /// It is in the middle of receiving a label.
    pub partial_format: bool,
    /// Its settings are gone.
    pub settings_lost: bool,
    /// The head is colder than it should be.
    pub too_cold: bool,
    /// The head is hotter than it may be.
    pub too_hot: bool,
    /// The head is up.
    pub head_open: bool,
    /// No ribbon.
    pub ribbon_out: bool,
    /// A peeled label waits to be taken.
    pub label_waiting: bool,
    /// Labels of the present batch that are still to come.
    pub labels_remaining: u32,
}

impl HostStatus {
    /// What keeps it from printing.
    #[must_use]
    pub fn trouble(&self) -> Option<LabelTrouble> {
        match () {
            () if self.head_open => Some(LabelTrouble::HeadOpen),
            () if self.paper_out => Some(LabelTrouble::NoLabels),
            () if self.ribbon_out => Some(LabelTrouble::RibbonOut),
            () if self.diagnostic => Some(LabelTrouble::Diagnostic),
            () if self.too_hot => Some(LabelTrouble::HeadTooHot),
            () if self.label_waiting && self.labels_remaining > 0 => Some(LabelTrouble::TakeLabel),
            () if self.paused => Some(LabelTrouble::Paused),
            () => None,
        }
    }

    /// Has it nothing more to print?
    #[must_use]
    pub fn idle(&self) -> bool {
        self.formats_waiting == 0
            && self.labels_remaining == 0
            && !self.partial_format
            && !self.buffer_full
            && self.trouble().is_none()
    }

    fn from_lines(first: &[&str], second: &[&str]) -> Option<HostStatus> {
        let number = |fields: &[&str], index: usize| fields.get(index)?.trim().parse::<u32>().ok();
        let flag = |fields: &[&str], index| number(fields, index).map(|n| n == 1);
        Some(HostStatus {
            paper_out: flag(first, 1)?,
            paused: flag(first, 2)?,
            label_dots: number(first, 3)?.min(LABEL_DOTS_MAX),
            formats_waiting: number(first, 4)?,
            buffer_full: flag(first, 5)?,
            diagnostic: flag(first, 6)?,
            partial_format: flag(first, 7)?,
            settings_lost: flag(first, 9)?,
            too_cold: flag(first, 10)?,
            too_hot: flag(first, 11)?,
            head_open: flag(second, 2)?,
            ribbon_out: flag(second, 3)?,
            label_waiting: flag(second, 7)?,
            labels_remaining: number(second, 8)?,
        })
    }
}

/// The answer to [`ERROR_STATUS`]: the bits of group 1, which all printers share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ErrorStatus {
    /// It cannot print.
    pub errors: u32,
    /// It prints, and would like to have something.
    pub warnings: u32,
}

impl ErrorStatus {
    /// What keeps it from printing. A bit that has no name here is a fault all the same.
    #[must_use]
    pub fn trouble(&self) -> Option<LabelTrouble> {
        let bit = |mask: u32| self.errors & mask != 0;
        match () {
            () if bit(0x4) => Some(LabelTrouble::HeadOpen),
            () if bit(0x1) => Some(LabelTrouble::NoLabels),
            () if bit(0x2) => Some(LabelTrouble::RibbonOut),
            () if bit(0x8) => Some(LabelTrouble::Cutter),
            () if bit(0x10) => Some(LabelTrouble::HeadTooHot),
            () if self.errors & !0x1_0000 != 0 => Some(LabelTrouble::Fault),
            () if bit(0x1_0000) => Some(LabelTrouble::Paused),
            () => None,
        }
    }

    /// What it would like to have.
    #[must_use]
    pub fn notice(&self) -> Option<Notice> {
        let bit = |mask: u32| self.warnings & mask != 0;
        match () {
            () if bit(0x1) => Some(Notice::NeedsCalibration),
            () if bit(0x4) => Some(Notice::ReplaceHead),
            () if bit(0x2) => Some(Notice::CleanHead),
            () if bit(0x8) => Some(Notice::LabelsLow),
            () => None,
        }
    }
}

/// The answer to [`IDENTIFY`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// Such as `ZTC ZD421-203dpi ZPL`.
    pub model: String,
    /// Its firmware.
    pub firmware: String,
    /// 6, 8, 12 or 24; `None` where it says something else.
    pub dots_per_mm: Option<u16>,
}

/// Something that the printer sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`HOST_STATUS`].
    Status(HostStatus),
    /// To [`ERROR_STATUS`].
    Errors(ErrorStatus),
    /// To [`IDENTIFY`].
    Identity(Identity),
}

/// Takes the printer's bytes apart. What belongs to no answer is skipped and counted.
#[derive(Debug, Default)]
pub struct AnswerReader {
    inside: Option<Vec<u8>>,
    /// The lines of a host status that have come so far.
    lines: Vec<String>,
    /// Answers and bytes that made no sense, since the start.
    pub strays: u64,
}

impl AnswerReader {
    /// Takes one byte; returns the answer that it completes.
    pub fn push(&mut self, byte: u8) -> Option<Answer> {
        match (byte, &mut self.inside) {
            (STX, inside) => {
                self.strays += u64::from(inside.is_some());
                *inside = Some(Vec::new());
                None
            }
            (ETX, inside) => {
                let bytes = inside.take()?;
                self.frame(&String::from_utf8_lossy(&bytes))
            }
            (_, Some(bytes)) if bytes.len() < ANSWER_BYTES_MAX => {
                bytes.push(byte);
                None
            }
            (_, inside) => {
                let stray = inside.take().is_some() || !matches!(byte, b'\r' | b'\n');
                self.strays += u64::from(stray);
                None
            }
        }
    }

    fn frame(&mut self, text: &str) -> Option<Answer> {
        if let Some(errors) = parse_errors(text) {
            return Some(Answer::Errors(errors));
        }
        let fields = text.split(',').count();
        match (fields, self.lines.len()) {
            (12, _) => self.lines.clear(),
            (11, 1) => {}
            (2, 2) => {
                let lines = std::mem::take(&mut self.lines);
                let split = |index: usize| -> Vec<&str> { lines[index].split(',').collect() };
                let status = HostStatus::from_lines(&split(0), &split(1));
                self.strays += u64::from(status.is_none());
                return status.map(Answer::Status);
            }
            (4..=5, _) => return self.identity(text),
            _ => {
                self.strays += 1;
                self.lines.clear();
                return None;
            }
        }
        self.lines.push(text.to_owned());
        None
    }

    fn identity(&mut self, text: &str) -> Option<Answer> {
        let mut fields = text.split(',').map(str::trim);
        let (model, firmware, dots) = (fields.next()?, fields.next()?, fields.next()?);
        let dots_per_mm = dots.parse().ok().filter(|dots| matches!(dots, 6 | 8 | 12 | 24));
        Some(Answer::Identity(Identity { model: model.into(), firmware: firmware.into(), dots_per_mm }))
    }
}

/// `PRINTER STATUS`, then `ERRORS:` and `WARNINGS:`, each with a flag and two groups of eight digits, group 2 first.
fn parse_errors(text: &str) -> Option<ErrorStatus> {
    let group_1 = |label: &str| {
        let (_, rest) = text.split_once(label)?;
        u32::from_str_radix(rest.split_whitespace().nth(2)?, 16).ok()
    };
    Some(ErrorStatus { errors: group_1("ERRORS:")?, warnings: group_1("WARNINGS:")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Vec<Answer> {
        let mut reader = AnswerReader::default();
        bytes.iter().filter_map(|byte| reader.push(*byte)).collect()
    }

    /// The form of the guide's `~HS`, with values of a printer at 203 dpi that stands ready.
    const READY: &[u8] = b"\x02030,0,0,0280,000,0,0,0,000,0,0,0\x03\r\n\x02000,0,0,0,0,2,4,0,00000000,1,000\x03\r\n\x021234,0\x03\r\n";
    const ERRORS: &[u8] =
        b"\x02\r\n  PRINTER STATUS\r\n  ERRORS:         1 00000000 00000005\r\n  WARNINGS:       1 00000000 00000002\r\n\x03";

    fn host(change: impl FnOnce(&mut HostStatus)) -> HostStatus {
        let mut status = HostStatus { label_dots: 280, ..HostStatus::default() };
        change(&mut status);
        status
    }

    #[test]
    fn answers_of_all_kinds_are_told_apart_in_one_stream() {
        let identity = b"\x02ZTC ZD421-203dpi ZPL,V93.21.07Z,8,65536KB\x03\r\n";
        let stream = [identity, READY, ERRORS, READY].concat();
        let identity = Identity {
            model: "ZTC ZD421-203dpi ZPL".into(),
            firmware: "V93.21.07Z".into(),
            dots_per_mm: Some(8),
        };
        let ready = Answer::Status(host(|_| {}));
        let errors = Answer::Errors(ErrorStatus { errors: 5, warnings: 2 });
        assert_eq!(read(&stream), [Answer::Identity(identity), ready.clone(), errors, ready]);
    }

    #[test]
    fn each_flag_of_the_host_status_is_read_from_its_own_place() {
        let busy = b"\x02030,1,1,0280,003,1,1,1,000,1,1,1\x03\r\n\x02000,0,1,1,0,2,4,1,00000012,1,000\x03\r\n\x021234,0\x03\r\n";
        let all = HostStatus {
            paper_out: true,
            paused: true,
            label_dots: 280,
            formats_waiting: 3,
            buffer_full: true,
            diagnostic: true,
            partial_format: true,
            settings_lost: true,
            too_cold: true,
            too_hot: true,
            head_open: true,
            ribbon_out: true,
            label_waiting: true,
            labels_remaining: 12,
        };
        assert_eq!(read(busy), [Answer::Status(all)]);
        assert!(!all.idle());
    }

    #[test]
    fn an_answer_that_was_cut_short_does_not_swallow_the_next_one() {
        let stream = [&READY[..50], READY].concat();
        assert_eq!(read(&stream), [Answer::Status(host(|_| {}))]);
        let noise = [b"\x00garbage\x02".as_slice(), &[b'x'; 600], READY].concat();
        assert_eq!(read(&noise), [Answer::Status(host(|_| {}))]);
    }

    #[test]
    fn any_bytes_are_read_without_panic() {
        let mut reader = AnswerReader::default();
        for a in 0..=255u8 {
            for b in [STX, b',', b'1', ETX, a] {
                reader.push(b);
            }
        }
    }

    fn check(change: impl FnOnce(&mut HostStatus), expected: Option<LabelTrouble>) {
        assert_eq!(host(change).trouble(), expected);
    }

    #[test]
    fn the_host_status_says_what_keeps_the_printer_from_printing() {
        check(|_| {}, None);
        check(|s| (s.paused, s.head_open) = (true, true), Some(LabelTrouble::HeadOpen));
        check(|s| (s.paused, s.paper_out) = (true, true), Some(LabelTrouble::NoLabels));
        check(|s| s.ribbon_out = true, Some(LabelTrouble::RibbonOut));
        check(|s| s.paused = true, Some(LabelTrouble::Paused));
        check(|s| s.too_hot = true, Some(LabelTrouble::HeadTooHot));
        check(|s| s.diagnostic = true, Some(LabelTrouble::Diagnostic));
        check(|s| (s.label_waiting, s.labels_remaining) = (true, 1), Some(LabelTrouble::TakeLabel));
        check(|s| s.label_waiting = true, None);
        check(|s| s.too_cold = true, None);
    }

    #[test]
    fn an_error_bit_without_a_name_is_a_fault_and_never_nothing() {
        let trouble = |errors| ErrorStatus { errors, warnings: 0 }.trouble();
        assert_eq!(trouble(0), None);
        assert_eq!(trouble(0x5), Some(LabelTrouble::HeadOpen));
        assert_eq!(trouble(0x1_0001), Some(LabelTrouble::NoLabels));
        assert_eq!(trouble(0x1_0000), Some(LabelTrouble::Paused));
        assert_eq!(trouble(0x8000_0000), Some(LabelTrouble::Fault));
        let notice = |warnings| ErrorStatus { errors: 0, warnings }.notice();
        assert_eq!((notice(0x1), notice(0x8)), (Some(Notice::NeedsCalibration), Some(Notice::LabelsLow)));
    }
}
