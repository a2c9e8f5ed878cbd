//! The inside of the simulated label printer: a buffer, a head, a roll. Pure: bytes in, bytes out, time from outside.

use std::collections::VecDeque;

use super::decode::{Command, Reader, draw};
use crate::printer::bitmap::Bitmap;

/// Labels that are kept; some megabytes.
const LABELS_KEPT_MAX: usize = 1_000;

/// What can be seen and set from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Controls {
    /// The head is up.
    pub head_open: bool,
    /// No labels.
    pub media_out: bool,
    /// It does not find the gap; a calibration helps.
    pub gap_lost: bool,
    /// No ribbon.
    pub ribbon_out: bool,
    /// Paused.
    pub paused: bool,
    /// The cutter is jammed: told by `~HQES` alone.
    pub cutter_jammed: bool,
    /// It would like to have its head cleaned: told by `~HQES` alone.
    pub head_dirty: bool,
    /// It does not answer `~HS` while it is in trouble, as the programming guide allows.
    pub silent_in_trouble: bool,
    /// It takes bytes and does nothing, not even answer.
    pub hung: bool,
}

impl Controls {
    fn stands(&self) -> bool {
        self.head_open
            || self.media_out
            || self.gap_lost
            || self.ribbon_out
            || self.paused
            || self.cutter_jammed
            || self.hung
    }
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Labels that came out whole.
    pub labels: u64,
    /// Labels that power or head stopped in the middle.
    pub spoiled: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Commands and pictures that this printer does not understand: a driver's mistake.
    pub unknown_commands: u64,
    /// Times it was told to calibrate.
    pub calibrations: u64,
}

/// The printer's inside.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) controls: Controls,
    pub(super) counts: Counts,
    pub(super) labels: Vec<Bitmap>,
    /// The roll ends after so many more labels.
    pub(super) labels_left: Option<u32>,
    /// What a calibration finds, in dots.
    pub(super) roll_label_dots: u32,
    /// What it takes for the length of a label.
    label_dots: u32,
    dpi: u16,
    head_dots: usize,
    darkness: u8,
    reader: Reader,
    format: Option<Vec<(String, String)>>,
    waiting: VecDeque<(Bitmap, u32)>,
    printing: Option<(Bitmap, u32)>,
    to_host: Vec<u8>,
}

impl Engine {
    pub(super) fn new(dpi: u16, head_dots: usize) -> Engine {
        Engine {
            controls: Controls::default(),
            counts: Counts::default(),
            labels: Vec::new(),
            labels_left: None,
            roll_label_dots: 280,
            label_dots: 1_225,
            dpi,
            head_dots,
            darkness: 10,
            reader: Reader::default(),
            format: None,
            waiting: VecDeque::new(),
            printing: None,
            to_host: Vec::new(),
        }
    }

    /// Labels that are still to come.
    pub(super) fn queued(&self) -> usize {
        self.waiting.len() + usize::from(self.printing.is_some())
    }

    pub(super) fn darkness(&self) -> u8 {
        self.darkness
    }

    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.counts.bytes += u64::try_from(bytes.len()).unwrap_or(0);
        for byte in bytes {
            for command in self.reader.push(*byte) {
                self.take(command);
            }
        }
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Control(name) => self.control(&name),
            // Inside a format it begins none: what came before stands on the label too.
            Command::Begin => {
                self.format.get_or_insert_default();
            }
            Command::Format(name, parameters) => match &mut self.format {
                Some(format) => format.push((name, parameters)),
                None => self.counts.unknown_commands += 1,
            },
            Command::End => match self.format.take() {
                Some(format) => {
                    let label = draw(&format, self.head_dots, &mut self.counts.unknown_commands);
                    self.waiting.push_back(label);
                }
                None => self.counts.unknown_commands += 1,
            },
        }
    }

    fn control(&mut self, name: &str) {
        if self.controls.hung {
            return;
        }
        match name {
            "HS" if self.controls.silent_in_trouble && self.controls.stands() => {}
            "HS" => self.host_status(),
            "HQES" => self.error_status(),
            "HI" => {
                let dots = self.dpi / 25;
                self.answer(&format!("ZTC simulated-{}dpi ZPL,V1.0.0,{dots},8192KB", self.dpi));
            }
            "JC" => {
                self.counts.calibrations += 1;
                self.controls.gap_lost = false;
                self.label_dots = self.roll_label_dots;
            }
            "JX" => self.format = None,
            "JA" => {
                self.format = None;
                self.waiting.clear();
            }
            _ => match name.strip_prefix("SD").and_then(|digits| digits.parse().ok()) {
                Some(darkness) if darkness <= 30 => self.darkness = darkness,
                _ => self.counts.unknown_commands += 1,
            },
        }
    }

    fn host_status(&mut self) {
        let (controls, flag) = (self.controls, u8::from);
        let first = format!(
            "030,{},{},{:04},{:03},0,0,{},000,0,0,0",
            flag(controls.media_out || controls.gap_lost),
            flag(controls.paused),
            self.label_dots,
            self.waiting.len(),
            flag(self.format.is_some()),
        );
        let remaining = self.printing.as_ref().map_or(0, |(_, copies)| *copies);
        let (head, ribbon) = (flag(controls.head_open), flag(controls.ribbon_out));
        let second = format!("000,0,{head},{ribbon},0,2,4,0,{remaining:08},1,000");
        for line in [first.as_str(), second.as_str(), "1234,0"] {
            self.answer(line);
        }
    }

    fn error_status(&mut self) {
        let controls = self.controls;
        let bits = [
            (controls.media_out || controls.gap_lost, 0x1),
            (controls.ribbon_out, 0x2),
            (controls.head_open, 0x4),
            (controls.cutter_jammed, 0x8),
            (controls.paused, 0x1_0000),
        ];
        let errors: u32 = bits.iter().filter(|(is, _)| *is).map(|(_, bit)| bit).sum();
        let warnings = u32::from(controls.head_dirty) * 2 + u32::from(controls.gap_lost);
        let line =
            |label: &str, bits: u32| format!("  {label:<15} {} 00000000 {bits:08X}\r\n", u8::from(bits != 0));
        let (errors, warnings) = (line("ERRORS:", errors), line("WARNINGS:", warnings));
        self.answer(&format!("\r\n  PRINTER STATUS\r\n{errors}{warnings}"));
    }

    fn answer(&mut self, text: &str) {
        self.to_host.push(0x02);
        self.to_host.extend_from_slice(text.as_bytes());
        self.to_host.extend_from_slice(b"\x03\r\n");
    }

    pub(super) fn make_noise(&mut self, bytes: &[u8]) {
        self.to_host.extend_from_slice(bytes);
    }

    pub(super) fn take_answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.to_host)
    }

    /// Begins a label, if there is one and nothing stands in its way.
    pub(super) fn begin(&mut self) -> bool {
        if self.controls.stands() {
            return false;
        }
        if self.printing.is_none() {
            self.printing = self.waiting.pop_front();
        }
        self.printing.is_some()
    }

    /// The label has run past the head. One that was stopped in between is spoiled, and begun again later.
    pub(super) fn finish(&mut self) {
        let Some((label, copies)) = self.printing.take() else { return };
        if self.controls.stands() {
            self.counts.spoiled += 1;
            self.printing = Some((label, copies));
            return;
        }
        self.counts.labels += 1;
        if self.labels.len() == LABELS_KEPT_MAX {
            self.labels.remove(0);
        }
        self.labels.push(label.clone());
        if copies > 1 {
            self.printing = Some((label, copies - 1));
        }
        self.labels_left = self.labels_left.map(|left| left.saturating_sub(1));
        if self.labels_left == Some(0) {
            self.controls.media_out = true;
            self.labels_left = None;
        }
    }

    /// All that was not on a label is lost.
    pub(super) fn lose_power(&mut self) {
        self.counts.spoiled += u64::from(self.printing.is_some());
        self.reader = Reader::default();
        (self.format, self.printing) = (None, None);
        self.waiting.clear();
        self.to_host.clear();
    }
}
