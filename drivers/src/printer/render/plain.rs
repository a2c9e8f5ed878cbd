//! Letters of a fixed width without any font file: Latin, from the font that is compiled in. Pure.

use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster};

use crate::printer::bitmap::Bitmap;

/// Dots of a character across, as font A of a receipt printer.
pub const CELL_WIDTH: usize = 12;

/// And down.
pub const CELL_HEIGHT: usize = 24;

/// Rows above the base line.
pub const ASCENT: usize = 19;

/// From this darkness on (of 255) a dot is black: thin strokes stay whole.
const BLACK_FROM: u8 = 96;

/// Can it be drawn?
#[must_use]
pub fn has(character: char) -> bool {
    matches!(character, '─' | '€')
        || get_raster(character, FontWeight::Regular, RasterHeight::Size24).is_some()
}

/// A line of characters, twelve dots each. One that it does not have is a box, so that it is seen to be there.
#[must_use]
pub fn draw(text: &[char], bold: bool) -> Bitmap {
    let mut line = Bitmap::new(text.len() * CELL_WIDTH, CELL_HEIGHT);
    for (at, character) in text.iter().enumerate() {
        draw_character(&mut line, *character, bold, at * CELL_WIDTH);
    }
    line
}

fn draw_character(line: &mut Bitmap, character: char, bold: bool, left: usize) {
    match character {
        ' ' | '\u{a0}' => {}
        // Of the line-drawing characters receipts use this one.
        '─' => line.fill(left, CELL_HEIGHT / 2, CELL_WIDTH, 1),
        '€' => {
            draw_glyph(line, 'C', bold, left);
            line.fill(left, 10, 8, 1);
            line.fill(left, 13, 8, 1);
        }
        other => {
            if !draw_glyph(line, other, bold, left) {
                line.fill(left + 2, 4, 8, 1);
                line.fill(left + 2, 19, 8, 1);
                line.fill(left + 2, 4, 1, 16);
                line.fill(left + 9, 4, 1, 16);
            }
        }
    }
}

fn draw_glyph(line: &mut Bitmap, character: char, bold: bool, left: usize) -> bool {
    let weight = if bold { FontWeight::Bold } else { FontWeight::Regular };
    let Some(glyph) = get_raster(character, weight, RasterHeight::Size24) else { return false };
    let left = left + CELL_WIDTH.saturating_sub(glyph.width()) / 2;
    for (y, row) in glyph.rows().enumerate() {
        for (x, _) in row.iter().enumerate().filter(|(_, darkness)| **darkness >= BLACK_FROM) {
            line.set(left + x, y, true);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_stand_on_a_grid_of_twelve_dots() {
        let line = draw(&['A', ' ', '€', '─'], false);
        assert_eq!((line.width(), line.height()), (48, 24));
        let black = |from: usize, to: usize| (from..to).any(|x| (0..24).any(|y| line.get(x, y)));
        assert!(black(0, 12) && !black(12, 24) && black(24, 36) && black(36, 48));
    }

    #[test]
    fn what_the_font_lacks_is_told_and_drawn_as_a_box() {
        assert!(has('ź') && has('€') && !has('漢') && !has('Ж'));
        assert!(draw(&['漢'], false).get(2, 4));
    }
}
