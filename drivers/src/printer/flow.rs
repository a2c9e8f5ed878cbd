//! A document in pieces that are put on labels or pages from top to bottom, and where it may be divided. Pure but for the
//! fonts and logos that drawing opens.

use std::ops::Deref;

use pestle_domain::document::{Block, Document, LaidCell, LaidLine, TableColumn, layout};

use super::{
    bitmap::Bitmap,
    codepage::Replaced,
    render::{self, Artwork, Canvas, MissingPicture, RenderError},
};

/// A drawn block, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Piece {
    /// As it is drawn, with the white below it.
    pub(super) bitmap: Bitmap,
    /// It may be divided where a row of dots is white: text may, a code may not.
    divisible: bool,
    /// It heads what follows, and does not stand at the foot alone.
    heads: bool,
    /// The titles of its table, which stand again above its rows wherever those go on.
    titles: Option<Bitmap>,
}

impl Piece {
    /// How far the next piece is below this one.
    pub(super) fn advance(&self) -> usize {
        self.bitmap.height()
    }

    /// As much of it as ends in white within `room`, and the rest.
    fn divided(&self, room: usize) -> Option<(Piece, Piece)> {
        if !self.divisible {
            return None;
        }
        let white = |row: &&[u8]| row.iter().all(|byte| *byte == 0);
        let rows: Vec<&[u8]> = self.bitmap.rows().take(room + 1).collect();
        // Not above its first ink: that would leave nothing here.
        let ink = rows.iter().position(|row| !white(row))?;
        let at = rows.iter().rposition(white).filter(|at| *at > ink)?;
        let part = |top, height| Piece { bitmap: self.bitmap.slice(top, height), ..self.clone() };
        let rest = part(at, self.bitmap.height());
        (!rest.bitmap.is_white()).then(|| (part(0, at), rest))
    }
}

/// Pieces from top to bottom.
#[derive(Debug, Clone, Default)]
pub(super) struct Pieces {
    all: Vec<Piece>,
    /// Characters that no font has; each was drawn as a box.
    pub(super) replaced: Vec<Replaced>,
    /// Pictures that were left out.
    pub(super) missing_pictures: Vec<MissingPicture>,
    /// Without the white between lines.
    tight: bool,
}

/// The white that `render` leaves below a line.
fn leading(canvas: &Canvas) -> usize {
    canvas.column() / 2
}

impl Deref for Pieces {
    type Target = [Piece];

    fn deref(&self) -> &[Piece] {
        &self.all
    }
}

impl Pieces {
    /// Pieces whose lines stand close, as on a label.
    pub(super) fn tight() -> Pieces {
        Pieces { tight: true, ..Pieces::default() }
    }

    /// How high all of them are together.
    pub(super) fn height(&self) -> usize {
        self.all.iter().map(Piece::advance).sum()
    }

    /// Draws a block below the others. A cut is where the label or page ends anyway: nothing is drawn for it.
    pub(super) fn draw(
        &mut self,
        block: &Block,
        canvas: &Canvas,
        artwork: &Artwork,
    ) -> Result<(), RenderError> {
        match block {
            Block::Cut => Ok(()),
            Block::Table { columns, rows } => self.draw_table(columns, rows, canvas, artwork),
            Block::Text { .. } | Block::Columns { .. } => self.draw_lines(block, canvas, artwork),
            _ => {
                let bitmap = self.picture(block.clone(), canvas, artwork)?;
                let divisible = matches!(block, Block::Item { .. });
                let heads = matches!(block, Block::Heading { .. } | Block::Rule);
                self.all.push(Piece { bitmap, divisible, heads, titles: None });
                Ok(())
            }
        }
    }

    /// Each line by itself, so that a page may end between any two.
    fn draw_lines(&mut self, block: &Block, canvas: &Canvas, artwork: &Artwork) -> Result<(), RenderError> {
        let document = Document { blocks: vec![block.clone()], ..Document::new("") };
        let lines: Option<Vec<Block>> = layout(&document, canvas.columns).into_iter().map(as_block).collect();
        // What cannot be taken apart is drawn as a whole.
        for line in lines.unwrap_or_else(|| vec![block.clone()]) {
            let mut bitmap = self.picture(line, canvas, artwork)?;
            if self.tight {
                bitmap.set_height(bitmap.height().saturating_sub(leading(canvas)));
            }
            self.all.push(Piece { bitmap, ..Piece::default() });
        }
        Ok(())
    }

    /// Titles, then each row by itself, so that a page may end between any two.
    fn draw_table(
        &mut self,
        columns: &[TableColumn],
        rows: &[Vec<String>],
        canvas: &Canvas,
        artwork: &Artwork,
    ) -> Result<(), RenderError> {
        let table = |columns: &[TableColumn], rows: &[Vec<String>]| Block::Table {
            columns: columns.to_vec(),
            rows: rows.to_vec(),
        };
        let titled = columns.iter().any(|column| !column.title.is_empty());
        let titles = self.picture(table(columns, &[]), canvas, artwork)?;
        if titled && titles.is_white() {
            // It is too wide for its columns, and became a list.
            let bitmap = self.picture(table(columns, rows), canvas, artwork)?;
            self.all.push(Piece { bitmap, divisible: true, heads: false, titles: None });
            return Ok(());
        }
        let untitled: Vec<TableColumn> =
            columns.iter().map(|column| TableColumn { title: String::new(), ..column.clone() }).collect();
        let titles = titled.then(|| underlined(titles, canvas));
        if let Some(bitmap) = titles.clone() {
            self.all.push(Piece { bitmap, divisible: false, heads: true, titles: None });
        }
        for row in rows {
            let bitmap = self.picture(table(&untitled, std::slice::from_ref(row)), canvas, artwork)?;
            self.all.push(Piece { bitmap, divisible: true, heads: false, titles: titles.clone() });
        }
        Ok(())
    }

    fn picture(&mut self, block: Block, canvas: &Canvas, artwork: &Artwork) -> Result<Bitmap, RenderError> {
        let document = Document { blocks: vec![block], ..Document::new("") };
        let drawn = render::draw(&document, canvas, artwork)?;
        for replaced in drawn.replaced {
            match self.replaced.iter_mut().find(|known| known.wanted == replaced.wanted) {
                Some(known) => known.times += replaced.times,
                None => self.replaced.push(replaced),
            }
        }
        self.missing_pictures.extend(drawn.missing_pictures);
        Ok(drawn.bitmap)
    }

    /// Puts them on labels or pages, the `number`-th of which (from 0) has `room(number)` dots from top to bottom.
    ///
    /// # Errors
    /// Something that must not be divided is higher than an empty page.
    pub(super) fn split(self, room: impl Fn(usize) -> usize) -> Result<Vec<Vec<Piece>>, RenderError> {
        let mut pages = Filling { room, pages: Vec::new(), page: Vec::new(), used: 0, fresh: true };
        let mut rest = self.all.into_iter().peekable();
        while let Some(piece) = rest.next() {
            // What heads something else takes a little of it along.
            let along =
                rest.peek().filter(|_| piece.heads).map_or(0, |next| next.advance().min(piece.advance() * 2));
            pages.put(piece, along)?;
        }
        Ok(pages.finish())
    }
}

/// A line as a block that is that line again.
fn as_block(line: LaidLine) -> Option<Block> {
    match line {
        LaidLine::Text { text, style } => Some(Block::Text { text, style }),
        LaidLine::Row { cells, style } => match <[LaidCell; 2]>::try_from(cells).ok()? {
            [left, right] => Some(Block::Columns { left: left.text, right: right.text, bold: style.bold }),
        },
        _ => None,
    }
}

/// With a line below, where the white is.
fn underlined(mut titles: Bitmap, canvas: &Canvas) -> Bitmap {
    let thick = (canvas.column() / 10).max(1);
    titles.fill(0, titles.height().saturating_sub(leading(canvas)), titles.width(), thick);
    titles
}

struct Filling<R> {
    room: R,
    pages: Vec<Vec<Piece>>,
    page: Vec<Piece>,
    used: usize,
    /// Nothing but titles that are repeated stands on the page.
    fresh: bool,
}

impl<R: Fn(usize) -> usize> Filling<R> {
    fn left(&self) -> usize {
        (self.room)(self.pages.len()).saturating_sub(self.used)
    }

    fn put(&mut self, mut piece: Piece, along: usize) -> Result<(), RenderError> {
        loop {
            let needed = piece.bitmap.ink_height();
            if needed + along <= self.left() || needed <= self.left() && self.fresh {
                self.push(piece);
                return Ok(());
            }
            // A row of a table that fits on the next page goes there whole.
            let whole_there = piece.titles.is_some() && needed <= (self.room)(self.pages.len() + 1);
            let divided = if whole_there && !self.fresh { None } else { piece.divided(self.left()) };
            match divided {
                Some((here, there)) => {
                    self.push(here);
                    piece = there;
                }
                None if self.fresh => {
                    return Err(RenderError::DoesNotFit { needed, available: self.left() });
                }
                None => {}
            }
            self.turn();
            self.repeat_titles(&piece);
        }
    }

    fn push(&mut self, piece: Piece) {
        self.fresh = false;
        self.used += piece.advance();
        self.page.push(piece);
    }

    fn turn(&mut self) {
        self.pages.push(std::mem::take(&mut self.page));
        self.used = 0;
        self.fresh = true;
    }

    fn repeat_titles(&mut self, piece: &Piece) {
        let Some(titles) = &piece.titles else { return };
        // Titles that left no room for the row would be repeated for ever.
        if titles.height() * 2 < self.left() {
            self.push(Piece { bitmap: titles.clone(), ..Piece::default() });
            self.fresh = true;
        }
    }

    fn finish(mut self) -> Vec<Vec<Piece>> {
        if self.page.iter().any(|piece| !piece.bitmap.is_white()) || self.pages.is_empty() {
            self.turn();
        }
        self.pages
    }
}

#[cfg(test)]
mod tests {
    use pestle_domain::document::Style;

    use super::*;

    /// Lines of two black rows and one white one.
    fn lines(count: usize) -> Piece {
        let mut bitmap = Bitmap::new(8, count * 3);
        (0..count).for_each(|line| bitmap.fill(0, line * 3, 8, 2));
        Piece { bitmap, divisible: true, ..Piece::default() }
    }

    fn block(height: usize) -> Piece {
        let mut bitmap = Bitmap::new(8, height);
        bitmap.fill(0, 0, 8, height);
        Piece { bitmap, ..Piece::default() }
    }

    fn check(pieces: Vec<Piece>, room: usize, expected: &[&[usize]]) {
        let pieces = Pieces { all: pieces, ..Pieces::default() };
        let pages = pieces.split(|_| room).unwrap();
        let heights: Vec<Vec<usize>> =
            pages.iter().map(|page| page.iter().map(|piece| piece.bitmap.ink_height()).collect()).collect();
        assert_eq!(heights, expected);
    }

    #[test]
    fn text_is_divided_between_its_lines() {
        check(vec![lines(5)], 7, &[&[5], &[6], &[3]]);
        check(vec![lines(2)], 5, &[&[5]]);
    }

    #[test]
    fn no_line_of_a_block_is_lost_when_it_is_taken_apart() {
        let left = "Amoxicillin trihydrate 500 mg capsules, hard";
        let long = Block::Text { text: left.into(), style: Style::default() };
        let row = Block::Columns { left: left.into(), right: "21 capsules".into(), bold: true };
        let only_right = Block::Columns { left: String::new(), right: "21 capsules".into(), bold: true };
        for (block, columns, lines) in
            [(long, 24, 2), (row.clone(), 32, 3), (row.clone(), 60, 1), (row, 17, 4), (only_right, 32, 1)]
        {
            let document = Document { blocks: vec![block.clone()], ..Document::new("") };
            assert_eq!(layout(&document, columns).len(), lines, "{block:?} {columns}");
            let canvas = Canvas::strip(usize::from(columns) * 12, 203, columns);
            let mut pieces = Pieces::default();
            pieces.draw(&block, &canvas, &Artwork::default()).unwrap();
            assert_eq!(pieces.len(), lines, "{block:?} {columns}");
            // All of them together are the block as it is drawn at once.
            let whole = render::draw(&document, &canvas, &Artwork::default()).unwrap().bitmap;
            let joined: Vec<u8> = pieces.iter().flat_map(|piece| piece.bitmap.bytes().to_vec()).collect();
            assert!(joined == whole.bytes(), "{block:?} {columns}");
        }
    }

    #[test]
    fn a_code_goes_whole_to_the_next_page() {
        check(vec![lines(1), block(5)], 7, &[&[2], &[5]]);
    }

    #[test]
    fn a_heading_is_not_left_alone() {
        let heading = Piece { heads: true, ..block(2) };
        check(vec![lines(1), heading, lines(3)], 6, &[&[2], &[2, 2], &[6]]);
    }

    #[test]
    fn a_code_that_is_higher_than_a_page_is_an_error_and_not_cut() {
        let pieces = Pieces { all: vec![block(9)], ..Pieces::default() };
        assert!(matches!(pieces.split(|_| 8), Err(RenderError::DoesNotFit { needed: 9, available: 8 })));
    }

    #[test]
    fn titles_stand_again_above_rows_that_go_on() {
        let titles = Some(block(1).bitmap);
        let row = || Piece { titles: titles.clone(), ..lines(1) };
        let head = Piece { heads: true, ..block(1) };
        check(vec![head, row(), row(), row()], 7, &[&[1, 2, 2], &[1, 2]]);
    }
}
