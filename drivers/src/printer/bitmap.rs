//! A black-and-white picture, eight dots a byte. Pure.

use std::{fmt, io};

/// A picture of black and white dots. Rows are whole bytes, the leftmost dot in the highest bit, 1 is black: as receipt
/// printers (`GS v 0`) and label printers (`^GF`) take it.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Bitmap {
    width: usize,
    height: usize,
    row_bytes: usize,
    /// Dots beyond the width are white.
    bytes: Vec<u8>,
}

/// Its size alone: the dots of one receipt would fill a log.
impl fmt::Debug for Bitmap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bitmap({} x {})", self.width, self.height)
    }
}

/// A picture could not be written.
#[derive(Debug, thiserror::Error)]
pub enum PngError {
    /// Only memory can be at fault, or a picture without dots.
    #[error("the picture could not be written as PNG")]
    Encode(#[from] png::EncodingError),
}

impl Bitmap {
    /// A white picture.
    #[must_use]
    pub fn new(width: usize, height: usize) -> Bitmap {
        let row_bytes = width.div_ceil(8);
        Bitmap { width, height, row_bytes, bytes: vec![0; row_bytes * height] }
    }

    /// A picture from bytes as a printer takes them; a short last row is filled with white.
    #[must_use]
    pub fn from_packed(row_bytes: usize, mut bytes: Vec<u8>) -> Bitmap {
        let height = bytes.len().div_ceil(row_bytes.max(1));
        bytes.resize(height * row_bytes, 0);
        Bitmap { width: row_bytes * 8, height, row_bytes, bytes }
    }

    /// Width in dots.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in dots.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Bytes a row.
    #[must_use]
    pub fn row_bytes(&self) -> usize {
        self.row_bytes
    }

    /// All rows, one after the other.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The rows from the top.
    pub fn rows(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.chunks(self.row_bytes.max(1))
    }

    /// Is this dot black? White outside the picture.
    #[must_use]
    pub fn get(&self, x: usize, y: usize) -> bool {
        x < self.width
            && self.bytes.get(y * self.row_bytes + x / 8).is_some_and(|byte| byte << (x % 8) & 0x80 != 0)
    }

    /// Sets a dot; nothing outside the picture.
    pub fn set(&mut self, x: usize, y: usize, black: bool) {
        if x < self.width
            && let Some(byte) = self.bytes.get_mut(y * self.row_bytes + x / 8)
        {
            let bit = 0x80 >> (x % 8);
            *byte = if black { *byte | bit } else { *byte & !bit };
        }
    }

    /// Blackens a rectangle, as far as it is inside the picture.
    pub fn fill(&mut self, left: usize, top: usize, width: usize, height: usize) {
        let right = left.saturating_add(width).min(self.width);
        for y in top..top.saturating_add(height).min(self.height) {
            for x in left..right {
                self.set(x, y, true);
            }
        }
    }

    /// Draws the black dots of another picture upon this one, as far as they are inside it.
    pub fn draw(&mut self, other: &Bitmap, left: usize, top: usize) {
        for (y, row) in other.rows().enumerate() {
            for (at, byte) in row.iter().enumerate().filter(|(_, byte)| **byte != 0) {
                let x = left + at * 8;
                self.or_byte(x, top + y, *byte);
            }
        }
    }

    /// Eight dots that begin anywhere.
    fn or_byte(&mut self, x: usize, y: usize, byte: u8) {
        if x >= self.width || y >= self.height {
            return;
        }
        let [high, low] = (u16::from(byte) << (8 - x % 8)).to_be_bytes();
        let at = y * self.row_bytes + x / 8;
        for (place, part) in [(x / 8, high), (x / 8 + 1, low)] {
            // No dot beyond the right edge, where the last byte may have room.
            let room = (self.width.saturating_sub(place * 8)).min(8);
            let mask = u8::try_from(0xff00_u16 >> room & 0xff).unwrap_or(0xff);
            if room > 0
                && let Some(there) = self.bytes.get_mut(at + place - x / 8)
            {
                *there |= part & mask;
            }
        }
    }

    /// Each dot drawn `across` dots wide and `down` dots high.
    #[must_use]
    pub fn scaled(&self, across: usize, down: usize) -> Bitmap {
        if (across, down) == (1, 1) {
            return self.clone();
        }
        let mut scaled = Bitmap::new(self.width * across, self.height * down);
        for y in 0..self.height {
            for x in (0..self.width).filter(|x| self.get(*x, y)) {
                scaled.fill(x * across, y * down, across, down);
            }
        }
        scaled
    }

    /// Turned by a quarter, clockwise.
    #[must_use]
    pub fn turned(&self) -> Bitmap {
        let mut turned = Bitmap::new(self.height, self.width);
        for y in 0..self.height {
            for x in (0..self.width).filter(|x| self.get(*x, y)) {
                turned.set(self.height - 1 - y, x, true);
            }
        }
        turned
    }

    /// Every black dot also one dot to the right, as a printer's bold is.
    pub fn embolden(&mut self) {
        for row in self.bytes.chunks_mut(self.row_bytes.max(1)) {
            let mut carried = 0;
            for byte in row {
                let before = *byte;
                *byte |= before >> 1 | carried << 7;
                carried = before & 1;
            }
        }
        self.whiten_beyond_width();
    }

    fn whiten_beyond_width(&mut self) {
        let spare = self.row_bytes * 8 - self.width;
        let mask = 0xff_u8.checked_shl(u32::try_from(spare).unwrap_or(0)).unwrap_or(0);
        for row in self.bytes.chunks_mut(self.row_bytes.max(1)) {
            if let Some(last) = row.last_mut() {
                *last &= mask;
            }
        }
    }

    /// Makes it so high: white is added, or what is below is taken off.
    pub fn set_height(&mut self, height: usize) {
        self.height = height;
        self.bytes.resize(self.row_bytes * height, 0);
    }

    /// Puts another picture below this one; it is as wide as the wider of the two.
    #[must_use]
    pub fn above(&self, below: &Bitmap) -> Bitmap {
        let mut both = Bitmap::new(self.width.max(below.width), self.height + below.height);
        both.draw(self, 0, 0);
        both.draw(below, 0, self.height);
        both
    }

    /// The rows from `top`, at most `height` of them.
    #[must_use]
    pub fn slice(&self, top: usize, height: usize) -> Bitmap {
        let from = (top * self.row_bytes).min(self.bytes.len());
        let to = (top.saturating_add(height) * self.row_bytes).min(self.bytes.len());
        let bytes = self.bytes.get(from..to).unwrap_or_default().to_vec();
        Bitmap { height: bytes.len() / self.row_bytes.max(1), bytes, ..*self }
    }

    /// No black dot in it.
    #[must_use]
    pub fn is_white(&self) -> bool {
        self.bytes.iter().all(|byte| *byte == 0)
    }

    /// Rows down to the last black dot.
    #[must_use]
    pub fn ink_height(&self) -> usize {
        self.bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last / self.row_bytes.max(1) + 1)
    }

    /// With `dots` of white more at its right.
    #[must_use]
    pub fn widened(&self, dots: usize) -> Bitmap {
        let mut widened = Bitmap::new(self.width + dots, self.height);
        widened.draw(self, 0, 0);
        widened
    }

    /// Moved right by `dots`, in the same width.
    #[must_use]
    pub fn moved_right(&self, dots: usize) -> Bitmap {
        let mut moved = Bitmap::new(self.width, self.height);
        moved.draw(self, dots, 0);
        moved
    }

    /// Dots across up to the rightmost black one.
    #[must_use]
    pub fn ink_width(&self) -> usize {
        (0..self.width).rev().find(|x| (0..self.height).any(|y| self.get(*x, y))).map_or(0, |last| last + 1)
    }

    /// The picture as PNG, one bit a dot, with its resolution in it.
    ///
    /// # Errors
    /// See [`PngError`].
    pub fn png(&self, dots_per_mm: usize) -> Result<Vec<u8>, PngError> {
        let mut bytes = Vec::new();
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let mut encoder =
            png::Encoder::new(io::Cursor::new(&mut bytes), number(self.width), number(self.height));
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(png::BitDepth::One);
        let per_metre = number(dots_per_mm.saturating_mul(1_000));
        encoder.set_pixel_dims(Some(png::PixelDimensions {
            xppu: per_metre,
            yppu: per_metre,
            unit: png::Unit::Meter,
        }));
        let mut writer = encoder.write_header()?;
        // In a PNG, 0 is black.
        let inverted: Vec<u8> = self.bytes.iter().map(|byte| !byte).collect();
        writer.write_image_data(&inverted)?;
        writer.finish()?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(rows: &[&str]) -> Bitmap {
        let mut bitmap = Bitmap::new(rows.iter().map(|row| row.len()).max().unwrap_or(0), rows.len());
        for (y, row) in rows.iter().enumerate() {
            row.bytes().enumerate().for_each(|(x, dot)| bitmap.set(x, y, dot == b'#'));
        }
        bitmap
    }

    #[test]
    fn dots_are_packed_eight_a_byte_from_the_left() {
        assert_eq!(picture(&["# # # # ##", "         #"]).bytes(), [0xaa, 0xc0, 0x00, 0x40]);
        let whole = Bitmap::from_packed(2, vec![0xaa, 0xc0, 0x00]);
        assert_eq!((whole.width(), whole.height(), whole.get(9, 0), whole.get(9, 1)), (16, 2, true, false));
    }

    #[test]
    fn a_picture_is_drawn_anywhere_and_never_beyond_the_edge() {
        let stamp = picture(&["####", "####"]);
        for left in 0..14 {
            let mut paper = Bitmap::new(11, 2);
            paper.draw(&stamp, left, 1);
            for x in 0..24 {
                assert_eq!(paper.get(x, 1), (left..left + 4).contains(&x) && x < 11, "{left} {x}");
                assert!(!paper.get(x, 0));
            }
            assert!(paper.bytes().iter().skip(1).step_by(2).all(|byte| byte & 0x1f == 0), "{left}");
        }
    }

    #[test]
    fn a_picture_is_scaled_turned_and_made_bold() {
        assert_eq!(picture(&["# ", " #"]).scaled(2, 1), picture(&["##  ", "  ##"]));
        assert_eq!(picture(&["##", "# ", "  "]).turned(), picture(&[" ##", "  #"]));
        let mut bold = picture(&["#      #  #"]);
        bold.embolden();
        assert_eq!(bold, picture(&["##     ## #"]));
    }

    #[test]
    fn a_slice_is_what_is_there() {
        let tall = picture(&["#", " ", "#"]);
        assert_eq!(tall.slice(1, 9), picture(&[" ", "#"]));
        assert_eq!(tall.slice(5, 2).height(), 0);
        assert_eq!(tall.slice(0, 1).above(&tall.slice(1, 2)), tall);
    }

    #[test]
    fn a_png_holds_the_same_dots() {
        let drawn = picture(&["#  #  #  # ", "  #########"]);
        let png = drawn.png(8).unwrap();
        let mut reader = png::Decoder::new(io::Cursor::new(&png)).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut bytes).unwrap();
        let info = reader.info();
        assert_eq!((info.width, info.height, info.bit_depth), (11, 2, png::BitDepth::One));
        assert_eq!(info.pixel_dims.unwrap().xppu, 8_000);
        let mask = [0xff, 0xe0, 0xff, 0xe0];
        let dark: Vec<u8> = bytes.iter().zip(mask).map(|(byte, mask)| !byte & mask).collect();
        assert_eq!(dark, drawn.bytes());
    }
}
