//! Bit images for a printer (`GS v 0`), kept free of bytes that it would take for a command.
//!
//! Some printers execute `DLE EOT n`, `DLE ENQ n` and `DLE DC4 n` wherever they meet them, in the middle of an image too.
//! An image that holds such bytes is moved right by a dot until it does not.

/// A black-and-white picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    width: u16,
    height: u16,
    /// Row by row; true is black.
    dots: Vec<bool>,
}

impl Bitmap {
    /// A white picture.
    #[must_use]
    pub fn new(width: u16, height: u16) -> Bitmap {
        Bitmap { width, height, dots: vec![false; usize::from(width) * usize::from(height)] }
    }

    /// A picture from rows of dots, each dot drawn `scale` dots wide and high. Short rows are filled with white.
    #[must_use]
    pub fn scaled(rows: &[Vec<bool>], scale: u16) -> Bitmap {
        let size = |count: usize| u16::try_from(count).unwrap_or(u16::MAX).saturating_mul(scale);
        let mut bitmap = Bitmap::new(size(rows.iter().map(Vec::len).max().unwrap_or(0)), size(rows.len()));
        for y in 0..bitmap.height {
            for x in 0..bitmap.width {
                let row = &rows[usize::from(y / scale)];
                bitmap.set(x, y, row.get(usize::from(x / scale)).copied().unwrap_or(false));
            }
        }
        bitmap
    }

    /// Width in dots.
    #[must_use]
    pub fn width(&self) -> u16 {
        self.width
    }

    /// Height in dots.
    #[must_use]
    pub fn height(&self) -> u16 {
        self.height
    }

    /// Is this dot black? White outside the picture.
    #[must_use]
    pub fn get(&self, x: u16, y: u16) -> bool {
        x < self.width
            && self
                .dots
                .get(usize::from(y) * usize::from(self.width) + usize::from(x))
                .copied()
                .unwrap_or(false)
    }

    /// Sets a dot; nothing outside the picture.
    pub fn set(&mut self, x: u16, y: u16, black: bool) {
        if x < self.width
            && let Some(dot) = self.dots.get_mut(usize::from(y) * usize::from(self.width) + usize::from(x))
        {
            *dot = black;
        }
    }

    fn packed(&self, shift: u16) -> Vec<u8> {
        let row_bytes = (self.width + shift).div_ceil(8);
        let mut bytes = Vec::with_capacity(usize::from(row_bytes) * usize::from(self.height));
        for y in 0..self.height {
            for column in 0..row_bytes {
                let dot = |bit: u16| (column * 8 + bit).checked_sub(shift).is_some_and(|x| self.get(x, y));
                bytes.push((0..8).fold(0u8, |byte, bit| byte << 1 | u8::from(dot(bit))));
            }
        }
        bytes
    }

    /// The bytes that print it where the line stands.
    #[must_use]
    pub fn print_command(&self) -> Vec<u8> {
        let (shift, mut data) = (0..8)
            .map(|shift| (shift, self.packed(shift)))
            .find(|(_, data)| real_time_command_at(data).is_none())
            .unwrap_or_else(|| (0, self.packed(0)));
        // No shift helps: whiten the one dot of 04, 05 or 14 that breaks the command.
        while let Some(at) = real_time_command_at(&data) {
            data[at + 1] &= !0x04;
        }
        let row_bytes = (self.width + shift).div_ceil(8);
        let ([x_low, x_high], [y_low, y_high]) = (row_bytes.to_le_bytes(), self.height.to_le_bytes());
        [&[0x1d, b'v', b'0', 0, x_low, x_high, y_low, y_high][..], &data].concat()
    }
}

/// Where in `bytes` a printer might see a real-time command.
#[must_use]
pub fn real_time_command_at(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair[0] == 0x10 && matches!(pair[1], 0x04 | 0x05 | 0x14))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_bytes(row: &[u8]) -> Bitmap {
        let dots = row.iter().flat_map(|byte| (0..8).map(move |bit| byte << bit & 0x80 != 0)).collect();
        Bitmap::scaled(&[dots], 1)
    }

    #[test]
    fn a_picture_is_packed_eight_dots_a_byte_from_the_left() {
        let command = Bitmap::scaled(&[vec![true, false, true], vec![false, true]], 2).print_command();
        assert_eq!(
            command,
            [0x1d, b'v', b'0', 0, 1, 0, 4, 0, 0b1100_1100, 0b1100_1100, 0b0011_0000, 0b0011_0000]
        );
    }

    #[test]
    fn an_image_never_holds_a_real_time_command() {
        for second in [0x04, 0x05, 0x14] {
            for third in 0..=255u8 {
                let picture = from_bytes(&[0x10, second, third]);
                let command = picture.print_command();
                assert_eq!(real_time_command_at(&command[8..]), None, "{second:#x} {third:#x}");
                let black = |bytes: &[u8]| bytes.iter().map(|b| b.count_ones()).sum::<u32>();
                assert_eq!(black(&command[8..]), black(&[0x10, second, third]), "a shift loses no dot");
            }
        }
    }

    #[test]
    fn an_image_that_no_shift_saves_loses_single_dots_and_no_command_stays() {
        // Every shift of 10 04 somewhere in it.
        let mut row = Vec::new();
        for shift in 0..8u32 {
            row.extend_from_slice(&(0x1004_u32 << shift << 8).to_be_bytes());
        }
        assert_eq!(real_time_command_at(&from_bytes(&row).print_command()[8..]), None);
    }
}
