//! The inside of the simulated printer: a receive buffer, the mechanism, sensors, paper. Pure: bytes in, bytes out.
//!
//! As in a real one, what is received while it cannot print waits in the buffer and is printed when it can; real-time
//! commands are seen as they arrive, wherever they stand; and a power cut loses the buffer.

use super::{
    codes::{CODE128, code_page, code128_elements, ean_digits, readable},
    decode::{Command, Parsed, first_command},
    receipt::{Look, PaperAlign, PrintedItem, Receipt, ReceiptEnd, Span},
};
use crate::printer::{bitmap::Bitmap, codepage::CodePage, status::Paper};

/// Receipts that are kept; a day's sales of a busy till, some megabytes.
const RECEIPTS_KEPT_MAX: usize = 2_000;

/// Dots of one character of font A, across.
const CHARACTER_DOTS: u16 = 12;

/// Dots of paper that a line takes.
const LINE_DOTS: u16 = 30;

/// What can be seen and set from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Controls {
    /// The paper roll.
    pub paper: Paper,
    /// The cover is open.
    pub cover_open: bool,
    /// Someone pressed "offline".
    pub offline: bool,
    /// The cutter is jammed.
    pub cutter_jammed: bool,
    /// It hangs: takes bytes and does nothing, not even answer.
    pub hung: bool,
    /// It holds its line and reads nothing.
    pub busy: bool,
    /// It does so whenever it cannot print.
    pub busy_when_offline: bool,
    /// The drawer is open.
    pub drawer_open: bool,
    /// The drawer is locked: a kick does nothing.
    pub drawer_locked: bool,
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Receipts that were cut or torn off.
    pub receipts: u64,
    /// Drawer kicks.
    pub kicks: u64,
    /// Beeps.
    pub beeps: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Real-time commands in the middle of other commands' data: a driver's mistake.
    pub real_time_inside_data: u64,
    /// Commands that this printer does not know: a driver's mistake.
    pub unknown_commands: u64,
}

/// The printer's inside.
#[derive(Debug)]
pub(super) struct Engine {
    pub(super) controls: Controls,
    pub(super) counts: Counts,
    pub(super) receipts: Vec<Receipt>,
    /// Paper ends after so many more lines.
    pub(super) lines_left: Option<u32>,
    /// The cover is opened after so many more lines.
    pub(super) cover_opens_after: Option<u32>,
    /// XOFF is sent after so many more bytes.
    pub(super) xoff_after: Option<usize>,
    dots: u16,
    buffer: Vec<u8>,
    to_host: Vec<u8>,
    real_time: Vec<u8>,
    automatic_status: bool,
    told: [u8; 4],
    page: CodePage,
    align: PaperAlign,
    look: Look,
    line: Vec<Span>,
    items: Vec<PrintedItem>,
    barcode: (u8, u8, bool),
    qr: (u8, Vec<u8>),
    kept_image: Option<Bitmap>,
}

impl Engine {
    pub(super) fn new(dots: u16) -> Engine {
        Engine {
            controls: Controls {
                paper: Paper::Enough,
                cover_open: false,
                offline: false,
                cutter_jammed: false,
                hung: false,
                busy: false,
                busy_when_offline: false,
                drawer_open: false,
                drawer_locked: false,
            },
            counts: Counts::default(),
            receipts: Vec::new(),
            lines_left: None,
            cover_opens_after: None,
            xoff_after: None,
            dots,
            buffer: Vec::new(),
            to_host: Vec::new(),
            real_time: Vec::new(),
            automatic_status: false,
            told: [0; 4],
            page: CodePage::Pc437,
            align: PaperAlign::Left,
            look: Look::default(),
            line: Vec::new(),
            items: Vec::new(),
            barcode: (162, 3, false),
            qr: (3, Vec::new()),
            kept_image: None,
        }
    }

    /// Bytes that wait for paper.
    pub(super) fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// Takes bytes from the host.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.counts.bytes += bytes.len() as u64;
        for byte in bytes {
            self.watch_for_real_time(*byte);
        }
        if let Some(left) = self.xoff_after {
            self.xoff_after = left.checked_sub(bytes.len()).filter(|left| *left > 0);
            if self.xoff_after.is_none() {
                self.to_host.push(0x13);
            }
        }
        self.buffer.extend_from_slice(bytes);
        self.work();
    }

    /// Changes something from outside, and goes on printing if it can now.
    pub(super) fn control(&mut self, change: impl FnOnce(&mut Controls)) {
        change(&mut self.controls);
        if self.controls.paper != Paper::Out && self.lines_left == Some(0) {
            self.lines_left = None;
        }
        self.work();
    }

    /// What goes to the host.
    pub(super) fn take_answers(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.to_host)
    }

    /// Power goes: the buffer and the settings are lost, the paper that hangs out is torn off.
    pub(super) fn lose_power(&mut self) {
        self.buffer.clear();
        self.to_host.clear();
        self.real_time.clear();
        self.automatic_status = false;
        self.initialise();
        if !self.items.is_empty() {
            self.finish_receipt(ReceiptEnd::TornOff);
        }
    }

    /// What hangs out of the printer, uncut.
    pub(super) fn hanging(&self) -> Receipt {
        Receipt { items: self.items.clone(), end: ReceiptEnd::Hanging, dots: self.dots }
    }

    /// Does it hold its line?
    pub(super) fn is_busy(&self) -> bool {
        self.controls.busy || self.controls.busy_when_offline && !self.can_print()
    }

    fn can_print(&self) -> bool {
        let controls = &self.controls;
        controls.paper != Paper::Out
            && !controls.cover_open
            && !controls.offline
            && !controls.cutter_jammed
            && !controls.hung
    }

    fn work(&mut self) {
        let mut done = 0;
        while self.can_print() {
            let Parsed::Command(command, length) = first_command(&self.buffer[done..]) else { break };
            let bytes = &self.buffer[done..done + length];
            let inner = bytes.get(3..).unwrap_or_default();
            let hidden =
                inner.windows(2).filter(|pair| pair[0] == 0x10 && matches!(pair[1], 4 | 5 | 0x14)).count();
            self.counts.real_time_inside_data += hidden as u64;
            done += length;
            self.carry_out(command);
        }
        self.buffer.drain(..done);
        self.tell_changes();
    }

    /// `DLE EOT n` is answered, and `DLE DC4 1 m t` opens the drawer, as they arrive.
    fn watch_for_real_time(&mut self, byte: u8) {
        self.real_time.push(byte);
        match self.real_time[..] {
            [0x10] | [0x10, 0x04] | [0x10, 0x14] | [0x10, 0x14, 1] | [0x10, 0x14, 1, 0 | 1] => return,
            [0x10, 0x04, n] if !self.controls.hung => self.answer_real_time(n),
            [0x10, 0x14, 1, _, 1..=8] if !self.controls.hung => self.kick(),
            _ => {}
        }
        self.real_time.clear();
        if byte == 0x10 {
            self.real_time.push(byte);
        }
    }

    fn kick(&mut self) {
        self.counts.kicks += 1;
        self.controls.drawer_open |= !self.controls.drawer_locked;
    }

    /// Bytes that nobody asked for: a bad contact.
    pub(super) fn make_noise(&mut self, bytes: &[u8]) {
        self.to_host.extend_from_slice(bytes);
    }

    fn answer_real_time(&mut self, n: u8) {
        let controls = self.controls;
        let bit = |set: bool, n: u8| u8::from(set) << n;
        let cause = match n {
            1 => bit(controls.drawer_open, 2) | bit(!self.can_print(), 3),
            2 => {
                bit(controls.cover_open, 2)
                    | bit(controls.paper == Paper::Out, 5)
                    | bit(controls.cutter_jammed, 6)
            }
            3 => bit(controls.cutter_jammed, 3),
            4 => match controls.paper {
                Paper::Enough => 0,
                Paper::NearEnd => 0x0c,
                Paper::Out => 0x6c,
            },
            _ => return,
        };
        self.to_host.push(0x12 | cause);
    }

    fn automatic(&self) -> [u8; 4] {
        let controls = self.controls;
        let bit = |set: bool, n: u8| u8::from(set) << n;
        let paper = match controls.paper {
            Paper::Enough => 0,
            Paper::NearEnd => 0x03,
            Paper::Out => 0x0f,
        };
        let first =
            0x10 | bit(controls.drawer_open, 2) | bit(!self.can_print(), 3) | bit(controls.cover_open, 5);
        [first, bit(controls.cutter_jammed, 3), paper, 0x0f]
    }

    fn tell_changes(&mut self) {
        let now = self.automatic();
        if self.automatic_status && !self.controls.hung && now != self.told {
            self.to_host.extend(now);
            self.told = now;
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Print(byte) => self.put(byte),
            Command::LineFeed => self.end_line(),
            Command::Initialise => self.initialise(),
            Command::CodePage(number) => self.page = code_page(number),
            Command::Align(n) => {
                self.align = match n {
                    1 => PaperAlign::Centre,
                    2 => PaperAlign::Right,
                    _ => PaperAlign::Left,
                }
            }
            Command::Bold(on) => self.look.bold = on,
            Command::Underline(on) => self.look.underline = on,
            Command::Size { width, height } => (self.look.width, self.look.height) = (width, height),
            Command::PrintMode(n) => {
                let bit = |place: u8| n >> place & 1;
                self.look =
                    Look { bold: bit(3) == 1, underline: bit(7) == 1, width: bit(5) + 1, height: bit(4) + 1 };
            }
            Command::FeedLines(lines) => {
                self.flush_line();
                self.items.push(PrintedItem::Feed(u16::from(lines) * LINE_DOTS));
            }
            Command::FeedDots(dots) => {
                self.flush_line();
                self.items.push(PrintedItem::Feed(u16::from(dots)));
            }
            Command::Cut { partial } => {
                self.flush_line();
                self.finish_receipt(if partial { ReceiptEnd::PartialCut } else { ReceiptEnd::FullCut });
            }
            Command::Kick { .. } => self.kick(),
            Command::BarcodeHeight(dots) => self.barcode.0 = dots,
            Command::BarcodeModule(dots) => self.barcode.1 = dots,
            Command::TextBelow(on) => self.barcode.2 = on,
            Command::Barcode { system, data } => self.print_barcode(system, &data),
            Command::QrModule(dots) => self.qr.0 = dots,
            Command::QrStore(data) => self.qr.1 = data,
            Command::QrPrint => {
                let (module, data) = self.qr.clone();
                self.items.push(PrintedItem::Qr { data, module, align: self.align });
            }
            Command::Raster { row_bytes, data } => self.print_raster(row_bytes, &data),
            Command::GraphicsStore { width, data } => {
                self.kept_image = Some(Bitmap::from_packed(usize::from(width).div_ceil(8), data));
            }
            Command::GraphicsPrint => {
                if let Some(image) = self.kept_image.take() {
                    self.put_image(image);
                }
            }
            Command::Beep => self.counts.beeps += 1,
            Command::AutomaticStatus(mask) => {
                self.automatic_status = mask != 0;
                // Enabling answers at once.
                self.told = [0; 4];
                self.tell_changes();
            }
            Command::QueuedStatus(n) => {
                let near_end = if self.controls.paper == Paper::NearEnd { 0x03 } else { 0 };
                self.to_host.push(if n % 48 == 1 { near_end } else { u8::from(self.controls.drawer_open) });
            }
            Command::ProcessId(id) => self.to_host.extend([&[0x37, 0x22][..], &id, &[0]].concat()),
            Command::QrCorrection(_) | Command::Ignored => {}
            Command::Unknown(_) => self.counts.unknown_commands += 1,
        }
    }

    fn initialise(&mut self) {
        self.page = CodePage::Pc437;
        self.align = PaperAlign::Left;
        self.look = Look::default();
        self.line.clear();
        self.barcode = (162, 3, false);
        self.qr = (3, Vec::new());
    }

    fn put(&mut self, byte: u8) {
        let used: u16 = self.line.iter().map(span_dots).sum();
        if used + CHARACTER_DOTS * u16::from(self.look.width) > self.dots {
            self.end_line();
        }
        let character = self.page.decode(byte);
        match self.line.last_mut() {
            Some(span) if span.look == self.look => span.text.push(character),
            _ => self.line.push(Span { text: character.to_string(), look: self.look }),
        }
    }

    fn flush_line(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        self.items.push(PrintedItem::Line { spans: std::mem::take(&mut self.line), align: self.align });
        if let Some(left) = &mut self.cover_opens_after {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.controls.cover_open = true;
                self.cover_opens_after = None;
            }
        }
        if let Some(left) = &mut self.lines_left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.controls.paper = Paper::Out;
            }
        }
    }

    fn print_barcode(&mut self, system: u8, data: &[u8]) {
        let elements = if system == CODE128 { code128_elements(data) } else { Vec::new() };
        let text = if elements.is_empty() {
            ean_digits(system, data)
        } else {
            elements.iter().filter_map(readable).collect()
        };
        let (height, module, text_below) = self.barcode;
        let align = self.align;
        self.items.push(PrintedItem::Barcode { system, text, elements, height, module, text_below, align });
    }

    fn print_raster(&mut self, row_bytes: u16, data: &[u8]) {
        let bitmap = Bitmap::from_packed(usize::from(row_bytes), data.to_vec());
        self.put_image(bitmap);
    }

    /// Pieces of an image that follow each other touch on paper: they are one.
    fn put_image(&mut self, bitmap: Bitmap) {
        let align = self.align;
        if let Some(PrintedItem::Image { bitmap: above, align: before }) = self.items.last_mut()
            && (above.width(), *before) == (bitmap.width(), align)
        {
            *above = above.above(&bitmap);
        } else {
            self.items.push(PrintedItem::Image { bitmap, align });
        }
    }

    fn finish_receipt(&mut self, end: ReceiptEnd) {
        let items = std::mem::take(&mut self.items);
        if self.receipts.len() == RECEIPTS_KEPT_MAX {
            self.receipts.remove(0);
        }
        self.receipts.push(Receipt { items, end, dots: self.dots });
        self.counts.receipts += 1;
    }
}

fn span_dots(span: &Span) -> u16 {
    u16::try_from(span.text.chars().count()).unwrap_or(u16::MAX) * CHARACTER_DOTS * u16::from(span.look.width)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_at_paper_end_is_printed_when_paper_is_back() {
        let mut printer = Engine::new(576);
        printer.lines_left = Some(1);
        printer.receive(b"one\ntwo\n\x1dV\x00\x1d(H\x06\x0000ABCD");
        assert_eq!(printer.hanging().lines(), ["one"]);
        assert!(printer.waiting() > 0);
        assert_eq!(printer.take_answers(), b"");
        printer.control(|controls| controls.paper = Paper::Enough);
        assert_eq!(printer.receipts[0].lines(), ["one", "two"]);
        assert_eq!(printer.take_answers(), b"\x37\x22ABCD\x00");
    }

    #[test]
    fn a_power_cut_loses_the_buffer_and_leaves_a_torn_receipt() {
        let mut printer = Engine::new(576);
        printer.receive(b"one\nhal");
        printer.lose_power();
        assert_eq!(
            (printer.receipts[0].lines(), printer.receipts[0].end),
            (vec!["one".into()], ReceiptEnd::TornOff)
        );
    }

    #[test]
    fn status_is_answered_in_real_time_while_paper_is_out() {
        let mut printer = Engine::new(576);
        printer.control(|controls| controls.paper = Paper::Out);
        printer.receive(b"held\n\x10\x04\x04\x10\x04\x01");
        assert_eq!(printer.take_answers(), [0x7e, 0x1a]);
    }

    #[test]
    fn the_drawer_opens_in_real_time_while_paper_is_out_and_once() {
        let mut printer = Engine::new(576);
        printer.control(|controls| controls.paper = Paper::Out);
        printer.receive(b"held\n\x1bp\x00\x32\x64\x10\x14\x01\x00\x01");
        assert!(printer.controls.drawer_open);
        assert_eq!(printer.counts.kicks, 1, "the ordinary kick waits behind the paper");
        printer.control(|controls| controls.paper = Paper::Enough);
        assert_eq!((printer.counts.kicks, printer.counts.unknown_commands), (2, 0));
    }

    #[test]
    fn automatic_status_is_sent_when_enabled_and_at_each_change() {
        let mut printer = Engine::new(576);
        printer.receive(b"\x1da\x0f");
        assert_eq!(printer.take_answers(), [0x10, 0, 0, 0x0f]);
        printer.control(|controls| controls.cover_open = true);
        assert_eq!(printer.take_answers(), [0x38, 0, 0, 0x0f]);
        printer.control(|_nothing| ());
        assert!(printer.take_answers().is_empty());
    }

    #[test]
    fn a_line_that_is_too_long_goes_on_in_the_next_one() {
        let mut printer = Engine::new(24);
        printer.receive(b"abc\n");
        assert_eq!(printer.hanging().lines(), ["ab", "c"]);
    }

    #[test]
    fn a_real_time_command_inside_an_image_is_counted_as_a_mistake() {
        let mut printer = Engine::new(576);
        printer.receive(b"\x1dv0\x00\x03\x00\x01\x00\x10\x04\x01");
        assert_eq!(printer.counts.real_time_inside_data, 1);
        assert_eq!(printer.take_answers(), [0x12]);
    }
}
