//! One line of text as dots.

use pestle_domain::document::{Align, LaidCell, Size, Style, columns_of};

use super::{Artwork, Canvas, fonts, plain};
use crate::printer::bitmap::Bitmap;

/// White below a line, in columns: a quarter of the letters' height.
const LEADING_COLUMNS_HALVES: usize = 1;

/// A line as dots, as wide as the canvas.
pub(crate) struct LineDrawn {
    /// With the white below it.
    pub(crate) bitmap: Bitmap,
    /// Characters that nothing could draw; each was drawn as a box.
    pub(crate) missing: Vec<char>,
    /// No font is installed that might have had them.
    fontless: bool,
}

impl LineDrawn {
    /// Without fonts a stand-in says more than a box.
    pub(crate) fn is_better_than_stand_ins(&self) -> bool {
        self.missing.is_empty() || !self.fontless
    }
}

/// A text that stands somewhere on the line.
struct Part {
    drawn: fonts::Drawn,
    left: usize,
}

/// A line of one text.
pub(crate) fn draw_text(text: &str, style: Style, canvas: &Canvas, artwork: &Artwork) -> LineDrawn {
    let whole = LaidCell { text: text.to_owned(), start: 0, columns: canvas.columns, align: style.align };
    draw_row(&[whole], style, canvas, artwork)
}

/// A line of several texts.
pub(crate) fn draw_row(cells: &[LaidCell], style: Style, canvas: &Canvas, artwork: &Artwork) -> LineDrawn {
    let column = canvas.column();
    let (cell, down) = match style.size {
        Size::Normal => (column, 1),
        // As a printer does it: each row of dots twice.
        Size::Tall => (column, 2),
        Size::Double => (column * 2, 1),
    };
    let mut parts = Vec::new();
    let mut missing = Vec::new();
    let mut fontless = false;
    for laid in cells.iter().filter(|laid| !laid.text.is_empty()) {
        let from = usize::from(laid.start) * column;
        let room = (usize::from(laid.columns) * column).min(canvas.width.saturating_sub(from));
        // The last column ends at the paper's edge, where dots do not divide evenly.
        let room = if laid.start + laid.columns >= canvas.columns {
            canvas.width.saturating_sub(from)
        } else {
            room
        };
        let outlined = needs_outlines(&laid.text, cell)
            .then(|| artwork.fonts.draw(&laid.text, cell, room, style.bold))
            .flatten();
        fontless |= outlined.is_none();
        let mut drawn = outlined.unwrap_or_else(|| draw_plain(&laid.text, cell, room, style.bold));
        missing.append(&mut drawn.missing);
        let rest = room.saturating_sub(drawn.bitmap.width());
        let left = from
            + match laid.align {
                Align::Left => 0,
                Align::Centre => rest / 2,
                Align::Right => rest,
            };
        parts.push(Part { drawn, left });
    }
    LineDrawn { bitmap: joined(&parts, style, cell, down, canvas), missing, fontless }
}

/// All parts on one base line, underlined if they are, with the white below.
fn joined(parts: &[Part], style: Style, cell: usize, down: usize, canvas: &Canvas) -> Bitmap {
    let ascent = parts.iter().map(|part| part.drawn.ascent).max().unwrap_or(cell * 2 * 4 / 5);
    let below = |part: &Part| part.drawn.bitmap.height().saturating_sub(part.drawn.ascent);
    let descent = parts.iter().map(below).max().unwrap_or(0).max((cell * 2).saturating_sub(ascent));
    let mut bitmap = Bitmap::new(canvas.width, ascent + descent);
    for part in parts {
        bitmap.draw(&part.drawn.bitmap, part.left, ascent - part.drawn.ascent);
        if style.underline {
            let thick = (cell / 8).max(1);
            let at = (ascent + thick * 2).min((ascent + descent).saturating_sub(thick));
            bitmap.fill(part.left, at, part.drawn.bitmap.width(), thick);
        }
    }
    let mut bitmap = bitmap.scaled(1, down);
    bitmap.set_height(bitmap.height() + canvas.column() * LEADING_COLUMNS_HALVES / 2);
    bitmap
}

/// The font that is compiled in has one size, and Latin alone.
fn needs_outlines(text: &str, cell: usize) -> bool {
    cell != plain::CELL_WIDTH || !text.chars().all(plain::has)
}

/// With the font that is compiled in, each dot as many dots as the column allows.
fn draw_plain(text: &str, cell: usize, room: usize, bold: bool) -> fonts::Drawn {
    let characters: Vec<char> = text.chars().collect();
    let missing: Vec<char> = characters.iter().copied().filter(|c| !plain::has(*c) && *c != ' ').collect();
    let columns = columns_of(text).max(characters.len()).max(1);
    let scale = (cell / plain::CELL_WIDTH).min(room / (columns * plain::CELL_WIDTH)).max(1);
    let bitmap = plain::draw(&characters, bold).scaled(scale, scale);
    fonts::Drawn { bitmap, ascent: plain::ASCENT * scale, missing }
}
