//! Draws a receipt, dot by dot, as a PNG.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster};
use qrcode::{Color, QrCode};

use super::receipt::{Look, PaperAlign, PrintedItem, Receipt, ReceiptEnd, Span};
use crate::printer::{
    bitmap::Bitmap,
    render::fonts::Fonts,
    symbols::{code128, ean},
};

/// A character of font A: 12 × 24 dots.
const CHARACTER: (usize, usize) = (12, 24);

/// White between two lines of text, in dots.
const LEADING: usize = 6;

/// White paper around what can be printed, in dots.
const MARGIN: usize = 24;

/// Unprinted paper is a little grey, so that a page can show where it ends.
const WHITE: u8 = 252;

/// A picture could not be written. Only memory can be at fault.
#[derive(Debug, thiserror::Error)]
#[error("the picture of the receipt could not be written")]
pub struct PictureError(#[from] png::EncodingError);

impl Receipt {
    /// The receipt as a PNG picture, eight bits of grey, one pixel a dot.
    ///
    /// # Errors
    /// See [`PictureError`].
    pub fn png(&self) -> Result<Vec<u8>, PictureError> {
        let mut paper = Paper::new(usize::from(self.dots));
        for item in &self.items {
            paper.draw(item);
        }
        paper.finish(self.end);
        let mut bytes = Vec::new();
        let size = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let mut encoder =
            png::Encoder::new(&mut bytes, size(paper.width), size(paper.pixels.len() / paper.width));
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&paper.pixels)?;
        writer.finish()?;
        Ok(bytes)
    }
}

/// Grows downwards.
struct Paper {
    width: usize,
    printable: usize,
    pixels: Vec<u8>,
    /// Where the next item begins, in dots from the top.
    y: usize,
    /// For letters that the built-in font lacks: Greek and Cyrillic of a code page.
    fonts: Fonts,
}

impl Paper {
    fn new(printable: usize) -> Paper {
        let mut paper = Paper {
            width: printable + 2 * MARGIN,
            printable,
            pixels: Vec::new(),
            y: MARGIN,
            fonts: Fonts::default(),
        };
        paper.reach(MARGIN);
        paper
    }

    fn draw(&mut self, item: &PrintedItem) {
        match item {
            PrintedItem::Line { spans, align } => self.draw_line(spans, *align),
            PrintedItem::Feed(dots) => self.advance(usize::from(*dots)),
            PrintedItem::Qr { data, module, align } => self.draw_qr(data, usize::from(*module), *align),
            PrintedItem::Barcode { system, text, elements, height, module, text_below, align } => {
                let modules = match system {
                    67 => ean::ean13(text),
                    68 => ean::ean8(text),
                    _ => code128::code128(elements),
                };
                let Some(modules) = modules else { return self.draw_line(&plain("[bad barcode]"), *align) };
                self.draw_bars(&modules, usize::from(*module), usize::from(*height), *align);
                if *text_below {
                    self.draw_line(&plain(text), *align);
                }
            }
            PrintedItem::Image { bitmap, align } => self.draw_bitmap(bitmap, *align),
        }
    }

    fn finish(&mut self, end: ReceiptEnd) {
        self.advance(MARGIN);
        let bottom = self.y;
        for x in 0..self.width {
            match end {
                ReceiptEnd::FullCut => self.ink(x, bottom.saturating_sub(1), 60),
                // The bridge is in the middle.
                ReceiptEnd::PartialCut if x.abs_diff(self.width / 2) > 12 => {
                    self.ink(x, bottom.saturating_sub(1), 60);
                }
                // A ragged edge.
                ReceiptEnd::TornOff => self.ink(x, bottom.saturating_sub(1 + (x * 7 % 13).min(x % 9)), 120),
                ReceiptEnd::PartialCut | ReceiptEnd::Hanging => {}
            }
        }
    }

    fn draw_line(&mut self, spans: &[Span], align: PaperAlign) {
        let height = spans.iter().map(|span| usize::from(span.look.height)).max().unwrap_or(1) * CHARACTER.1;
        let width = |span: &Span| span.text.chars().count() * CHARACTER.0 * usize::from(span.look.width);
        let mut x = self.left(spans.iter().map(width).sum(), align);
        let top = self.y;
        self.advance(height + LEADING);
        for span in spans {
            // Characters of different heights stand on one base line.
            let y = top + height - CHARACTER.1 * usize::from(span.look.height);
            for character in span.text.chars() {
                self.draw_character(character, span.look, x, y);
                x += CHARACTER.0 * usize::from(span.look.width);
            }
        }
    }

    fn draw_character(&mut self, character: char, look: Look, x: usize, y: usize) {
        let (wide, high) = (usize::from(look.width), usize::from(look.height));
        let fonts = self.fonts.clone();
        let mut dot = |column: usize, row: usize, darkness: u8| {
            for dy in 0..high {
                for dx in 0..wide {
                    self.ink(x + column * wide + dx, y + row * high + dy, darkness);
                }
            }
        };
        match character {
            // Of the line-drawing characters receipts use this one.
            '─' => (0..CHARACTER.0).for_each(|column| dot(column, CHARACTER.1 / 2, 255)),
            '€' => {
                glyph('C', look.bold, &mut dot);
                (0..8).for_each(|column| [10, 13].iter().for_each(|row| dot(column, *row, 230)));
            }
            other => {
                if !glyph(other, look.bold, &mut dot) && !outlined(&fonts, other, look.bold, &mut dot) {
                    // Not in our font: a box, so that it is seen to be there.
                    (2..10).for_each(|column| [4, 19].iter().for_each(|row| dot(column, *row, 255)));
                    (4..20).for_each(|row| [2, 9].iter().for_each(|column| dot(*column, row, 255)));
                }
            }
        }
        if look.underline {
            (0..CHARACTER.0).for_each(|column| dot(column, CHARACTER.1 - 1, 255));
        }
    }

    fn draw_qr(&mut self, data: &[u8], module: usize, align: PaperAlign) {
        let Ok(code) = QrCode::with_error_correction_level(data, qrcode::EcLevel::M) else {
            return self.draw_line(&plain("[QR code too long]"), align);
        };
        let size = code.width();
        let (left, top) = (self.left(size * module, align), self.y);
        self.advance(size * module);
        for (index, color) in code.to_colors().into_iter().enumerate() {
            if color == Color::Dark {
                self.block(left + index % size * module, top + index / size * module, module, module);
            }
        }
    }

    fn draw_bars(&mut self, modules: &[bool], module: usize, height: usize, align: PaperAlign) {
        let (left, top) = (self.left(modules.len() * module, align), self.y);
        self.advance(height + LEADING);
        for (index, _) in modules.iter().enumerate().filter(|(_, black)| **black) {
            self.block(left + index * module, top, module, height);
        }
    }

    fn draw_bitmap(&mut self, bitmap: &Bitmap, align: PaperAlign) {
        let (left, top) = (self.left(bitmap.width(), align), self.y);
        self.advance(bitmap.height());
        for y in 0..bitmap.height() {
            for x in (0..bitmap.width()).filter(|x| bitmap.get(*x, y)) {
                self.ink(left + x, top + y, 255);
            }
        }
    }

    fn block(&mut self, left: usize, top: usize, width: usize, height: usize) {
        for y in top..top + height {
            for x in left..left + width {
                self.ink(x, y, 255);
            }
        }
    }

    fn left(&self, width: usize, align: PaperAlign) -> usize {
        let room = self.printable.saturating_sub(width);
        MARGIN
            + match align {
                PaperAlign::Left => 0,
                PaperAlign::Centre => room / 2,
                PaperAlign::Right => room,
            }
    }

    fn advance(&mut self, dots: usize) {
        self.y += dots;
        self.reach(self.y);
    }

    fn reach(&mut self, height: usize) {
        let needed = height * self.width;
        if self.pixels.len() < needed {
            self.pixels.resize(needed, WHITE);
        }
    }

    fn ink(&mut self, x: usize, y: usize, darkness: u8) {
        if x < self.width
            && let Some(pixel) = self.pixels.get_mut(y * self.width + x)
        {
            *pixel = (*pixel).min(WHITE.saturating_sub(darkness));
        }
    }
}

/// Draws a character of the font; false when the font does not have it.
fn glyph(character: char, bold: bool, dot: &mut impl FnMut(usize, usize, u8)) -> bool {
    let weight = if bold { FontWeight::Bold } else { FontWeight::Regular };
    let Some(glyph) = get_raster(character, weight, RasterHeight::Size24) else { return false };
    for (row, darkness) in glyph.rows().enumerate() {
        for (column, darkness) in darkness.iter().enumerate().filter(|(_, darkness)| **darkness > 0) {
            dot(column, row, *darkness);
        }
    }
    true
}

/// Draws a character with an installed font; false when none has it.
fn outlined(fonts: &Fonts, character: char, bold: bool, dot: &mut impl FnMut(usize, usize, u8)) -> bool {
    let drawn = fonts.draw(&character.to_string(), CHARACTER.0, CHARACTER.0, bold);
    let Some(drawn) = drawn.filter(|drawn| drawn.missing.is_empty()) else { return false };
    for row in 0..drawn.bitmap.height().min(CHARACTER.1) {
        for column in (0..drawn.bitmap.width()).filter(|column| drawn.bitmap.get(*column, row)) {
            dot(column, row, 255);
        }
    }
    true
}

fn plain(text: &str) -> Vec<Span> {
    vec![Span { text: text.to_owned(), look: Look::default() }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_becomes_a_picture_as_wide_as_its_paper() {
        let line = PrintedItem::Line { spans: plain("Total 5.00 €"), align: PaperAlign::Right };
        let qr = PrintedItem::Qr { data: b"act".to_vec(), module: 4, align: PaperAlign::Centre };
        let receipt = Receipt { items: vec![line, qr], end: ReceiptEnd::PartialCut, dots: 576 };
        let picture = receipt.png().unwrap();
        let reader = png::Decoder::new(std::io::Cursor::new(&picture)).read_info().unwrap();
        assert_eq!(usize::try_from(reader.info().width).unwrap(), 576 + 2 * MARGIN);
        assert!(reader.info().height > 100);
    }
}
