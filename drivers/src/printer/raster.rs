//! Bit images for a printer, kept free of bytes that it would take for a command. Pure.
//!
//! Some printers execute `DLE EOT n`, `DLE ENQ n` and `DLE DC4 n` wherever they meet them, in the middle of an image too.
//! An image that holds such bytes is moved right by a dot until it does not, as far as there is white at its right;
//! where nothing helps, single dots are left out.

use super::{
    bitmap::Bitmap,
    model::{Raster, RasterCommand},
};

/// The bytes that print a picture where the line stands, in pieces of at most `raster.rows_max` rows. None for a printer
/// that takes no images.
#[must_use]
pub fn print_command(bitmap: &Bitmap, raster: Raster) -> Vec<u8> {
    let moved = if raster.obeys_inside { free_of_commands(bitmap) } else { None };
    let safe = moved.as_ref().unwrap_or(bitmap);
    let mut bytes = Vec::with_capacity(safe.bytes().len() + 64);
    let rows_max = usize::from(raster.rows_max.max(1));
    for top in (0..safe.height()).step_by(rows_max) {
        let piece = safe.slice(top, rows_max);
        match raster.command {
            RasterCommand::GsV0 => gs_v_0(&piece, &mut bytes),
            RasterCommand::Gs8L => gs_8_l(&piece, &mut bytes),
            RasterCommand::None => {}
        }
    }
    bytes
}

/// `GS v 0`: bytes a row, rows, data.
fn gs_v_0(piece: &Bitmap, bytes: &mut Vec<u8>) {
    let ([x_low, x_high], [y_low, y_high]) = (word(piece.row_bytes()), word(piece.height()));
    bytes.extend([0x1d, b'v', b'0', 0, x_low, x_high, y_low, y_high]);
    bytes.extend_from_slice(piece.bytes());
}

/// `GS 8 L`, function 112: one colour, not enlarged, dots across, rows, data; then `GS ( L`, function 50: print it.
fn gs_8_l(piece: &Bitmap, bytes: &mut Vec<u8>) {
    let ([x_low, x_high], [y_low, y_high]) = (word(piece.row_bytes() * 8), word(piece.height()));
    let length = u32::try_from(piece.bytes().len() + 10).unwrap_or(u32::MAX).to_le_bytes();
    bytes.extend([0x1d, b'8', b'L']);
    bytes.extend(length);
    bytes.extend([48, 112, 48, 1, 1, 49, x_low, x_high, y_low, y_high]);
    bytes.extend_from_slice(piece.bytes());
    bytes.extend([0x1d, b'(', b'L', 2, 0, 48, 50]);
}

fn word(count: usize) -> [u8; 2] {
    u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes()
}

/// The same picture, moved or with single dots left out, so that no printer sees a command in it. `None` where there is
/// none to begin with.
fn free_of_commands(bitmap: &Bitmap) -> Option<Bitmap> {
    real_time_command_at(bitmap.bytes())?;
    let room = bitmap.width() - bitmap.ink_width();
    let moved = (1..8.min(room + 1)).map(|shift| bitmap.moved_right(shift));
    if let Some(moved) = moved.into_iter().find(|moved| real_time_command_at(moved.bytes()).is_none()) {
        return Some(moved);
    }
    let mut data = bitmap.bytes().to_vec();
    // Whiten the one dot of 04, 05 or 14 that makes the command.
    while let Some(byte) = real_time_command_at(&data).and_then(|at| data.get_mut(at + 1)) {
        *byte &= !0x04;
    }
    Some(Bitmap::from_packed(bitmap.row_bytes(), data))
}

/// Where in `bytes` a printer might see a real-time command.
#[must_use]
pub fn real_time_command_at(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair[0] == 0x10 && matches!(pair[1], 0x04 | 0x05 | 0x14))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Raster = Raster { command: RasterCommand::GsV0, rows_max: 100, obeys_inside: true };

    /// With a byte of white at its right, so that it can be moved.
    fn picture(bytes: &[u8]) -> Bitmap {
        Bitmap::from_packed(bytes.len() + 1, [bytes, &[0]].concat())
    }

    fn black(bytes: &[u8]) -> u32 {
        bytes.iter().map(|byte| byte.count_ones()).sum()
    }

    #[test]
    fn a_picture_is_sent_in_pieces_that_together_are_all_of_it() {
        let tall = Bitmap::from_packed(1, vec![1, 2, 3]);
        let expected = b"\x1dv0\x00\x01\x00\x02\x00\x01\x02\x1dv0\x00\x01\x00\x01\x00\x03";
        assert_eq!(print_command(&tall, Raster { rows_max: 2, ..USUAL }), expected);
        assert!(print_command(&Bitmap::new(8, 0), USUAL).is_empty());
        let stored = Raster { command: RasterCommand::Gs8L, ..USUAL };
        let expected = b"\x1d8L\x0d\x00\x00\x00\x30\x70\x30\x01\x01\x31\x08\x00\x03\x00\x01\x02\x03\x1d(L\x02\x00\x30\x32";
        assert_eq!(print_command(&tall, stored), expected);
        assert!(print_command(&tall, Raster { command: RasterCommand::None, ..USUAL }).is_empty());
    }

    #[test]
    fn an_image_never_holds_a_real_time_command() {
        for second in [0x04, 0x05, 0x14] {
            for third in 0..=255u8 {
                let command = print_command(&picture(&[0x10, second, third]), USUAL);
                assert_eq!(real_time_command_at(&command[8..]), None, "{second:#x} {third:#x}");
                assert_eq!(black(&command[8..]), black(&[0x10, second, third]), "a move loses no dot");
            }
        }
    }

    #[test]
    fn an_image_that_no_move_saves_loses_single_dots_and_no_command_stays() {
        // Every shift of 10 04 somewhere in it.
        let mut row = Vec::new();
        for shift in 0..8u32 {
            row.extend_from_slice(&(0x1004_u32 << shift << 8).to_be_bytes());
        }
        let command = print_command(&picture(&row), USUAL);
        assert_eq!(real_time_command_at(&command[8..]), None);
        assert!(black(&command[8..]) < black(&row));
    }

    #[test]
    fn a_printer_that_obeys_no_command_inside_is_sent_the_picture_as_it_is() {
        let deaf = Raster { obeys_inside: false, ..USUAL };
        assert_eq!(print_command(&picture(&[0x10, 0x04, 0x01]), deaf)[8..], [0x10, 0x04, 0x01, 0]);
    }

    #[test]
    fn a_picture_that_fills_the_paper_is_not_moved_over_its_edge() {
        let full = Bitmap::from_packed(3, vec![0x10, 0x04, 0x01]);
        assert_eq!(print_command(&full, USUAL)[8..], [0x10, 0x00, 0x01]);
    }
}
