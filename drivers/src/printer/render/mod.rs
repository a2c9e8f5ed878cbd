//! A document as a picture: the preview, and what a printer without letters of its own prints.
//!
//! [`draw`] is pure but for the files that [`Artwork`] names: fonts and logos, opened only when a line needs them.
//! Latin is drawn with [`plain`], the font that is compiled in; everything else with [`fonts`].

pub mod fonts;
pub(crate) mod line;
pub mod pictures;
pub mod plain;

use pestle_domain::{
    causes::with_causes,
    document::{Document, DocumentError, LaidLine, Symbol, layout},
};

use super::{
    bitmap::Bitmap,
    codepage::Replaced,
    symbols::{SymbolError, draw::Space},
};
use fonts::Fonts;
use pictures::Pictures;

/// Tallest document, in millimetres: a report of some hundred pages. More is a mistake, and would take memory.
const HEIGHT_MAX_MM: usize = 30_000;

/// Tallest logo, in millimetres.
pub(crate) const PICTURE_HEIGHT_MAX_MM: usize = 40;

/// What is drawn on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Canvas {
    /// Dots across that can be printed.
    pub width: usize,
    /// Its height where that is fixed, as on a label; `None` for a strip that is as long as its document.
    pub height: Option<usize>,
    /// Dots an inch.
    pub dpi: u16,
    /// Characters across; the letters' size follows.
    pub columns: u8,
}

impl Canvas {
    /// A strip of paper.
    #[must_use]
    pub fn strip(width: usize, dpi: u16, columns: u8) -> Canvas {
        Canvas { width, height: None, dpi, columns }
    }

    /// Dots of one column.
    #[must_use]
    pub fn column(&self) -> usize {
        (self.width / usize::from(self.columns.max(1))).max(1)
    }

    /// Whole dots a millimetre, for a picture's resolution.
    #[must_use]
    pub fn dots_per_mm(&self) -> usize {
        (usize::from(self.dpi) * 10 + 127) / 254
    }

    fn dots(&self, millimetres: usize) -> usize {
        millimetres * usize::from(self.dpi) * 10 / 254
    }
}

/// What a drawing needs beside the document.
#[derive(Debug, Clone, Default)]
pub struct Artwork {
    /// Letters.
    pub fonts: Fonts,
    /// Logos.
    pub pictures: Pictures,
}

/// A document as a picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// All of it, from top to bottom.
    pub bitmap: Bitmap,
    /// Rows at which the paper is cut.
    pub cuts: Vec<usize>,
    /// Characters that no font has; each was drawn as a box.
    pub replaced: Vec<Replaced>,
    /// Pictures that were not drawn, and why.
    pub missing_pictures: Vec<MissingPicture>,
}

/// A picture that was not printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingPicture {
    /// Its name in the document.
    pub name: String,
    /// Why, and what to do.
    pub reason: String,
}

/// Why a document cannot be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A block in it cannot be printed.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// A code in it cannot be drawn, or does not fit.
    #[error(transparent)]
    Symbol(#[from] SymbolError),
    /// It is higher than the label.
    #[error(
        "the document is {needed} dots high and the label has {available}: shorten it, or use a larger label"
    )]
    DoesNotFit {
        /// What it takes.
        needed: usize,
        /// What there is.
        available: usize,
    },
    /// It would never end.
    #[error("the document is longer than {HEIGHT_MAX_MM} mm: split it")]
    TooLong,
}

/// Draws a document.
///
/// # Errors
/// It holds a code that cannot be drawn, or it does not fit.
pub fn draw(document: &Document, canvas: &Canvas, artwork: &Artwork) -> Result<Drawn, RenderError> {
    document.check()?;
    let mut strip = Strip {
        canvas,
        artwork,
        drawn: Drawn {
            bitmap: Bitmap::new(canvas.width, 0),
            cuts: Vec::new(),
            replaced: Vec::new(),
            missing_pictures: Vec::new(),
        },
    };
    for line in layout(document, canvas.columns) {
        strip.line(&line)?;
        if strip.drawn.bitmap.height() > canvas.dots(HEIGHT_MAX_MM) {
            return Err(RenderError::TooLong);
        }
    }
    strip.finish()
}

struct Strip<'a> {
    canvas: &'a Canvas,
    artwork: &'a Artwork,
    drawn: Drawn,
}

impl Strip<'_> {
    fn line(&mut self, line: &LaidLine) -> Result<(), RenderError> {
        let column = self.canvas.column();
        match line {
            LaidLine::Text { text, style } => {
                self.put(line::draw_text(text, *style, self.canvas, self.artwork))
            }
            LaidLine::Row { cells, style } => {
                self.put(line::draw_row(cells, *style, self.canvas, self.artwork))
            }
            LaidLine::Rule => {
                let top = self.feed(column * 5 / 2);
                self.drawn.bitmap.fill(0, top + column, self.canvas.width, (column / 6).max(1));
            }
            LaidLine::Symbol(symbol) => self.symbol(symbol)?,
            LaidLine::Picture(name) => self.picture(name),
            LaidLine::Feed(lines) => {
                self.feed(usize::from(*lines) * column * 5 / 2);
            }
            LaidLine::Cut => self.drawn.cuts.push(self.drawn.bitmap.height()),
        }
        Ok(())
    }

    /// White at the end; returns where it begins.
    fn feed(&mut self, dots: usize) -> usize {
        let top = self.drawn.bitmap.height();
        self.drawn.bitmap.set_height(top + dots);
        top
    }

    fn put(&mut self, line: line::LineDrawn) {
        let top = self.feed(line.bitmap.height());
        self.drawn.bitmap.draw(&line.bitmap, 0, top);
        line.missing.into_iter().for_each(|wanted| Replaced::note(&mut self.drawn.replaced, wanted, "□"));
    }

    fn put_centred(&mut self, bitmap: &Bitmap) {
        let top = self.feed(bitmap.height() + self.canvas.column());
        self.drawn.bitmap.draw(bitmap, self.canvas.width.saturating_sub(bitmap.width()) / 2, top);
    }

    fn symbol(&mut self, symbol: &Symbol) -> Result<(), RenderError> {
        let space = Space { width: self.canvas.width, dpi: self.canvas.dpi };
        let bitmap = super::symbols::draw::draw(symbol, space)?;
        self.put_centred(&bitmap);
        Ok(())
    }

    /// A receipt without its logo is a receipt all the same.
    fn picture(&mut self, name: &str) {
        let high = self.canvas.dots(PICTURE_HEIGHT_MAX_MM);
        match self.artwork.pictures.draw(name, self.canvas.width, high) {
            Ok(bitmap) => self.put_centred(&bitmap),
            Err(error) => self.drawn.missing_pictures.push(MissingPicture::told(name, &error)),
        }
    }

    fn finish(mut self) -> Result<Drawn, RenderError> {
        if let Some(available) = self.canvas.height {
            // White at the end may be left away, ink may not.
            let needed = self.drawn.bitmap.ink_height();
            if needed > available {
                return Err(RenderError::DoesNotFit { needed, available });
            }
            self.drawn.bitmap.set_height(available);
        }
        Ok(self.drawn)
    }
}

impl MissingPicture {
    pub(super) fn told(name: &str, error: &pictures::PictureError) -> MissingPicture {
        let reason = with_causes(error);
        tracing::warn!(picture = name, reason, "a picture was not printed");
        MissingPicture { name: name.to_owned(), reason }
    }
}

#[cfg(test)]
mod tests {
    use pestle_domain::document::{Block, Size, Style};

    use super::*;

    fn with(blocks: Vec<Block>) -> Document {
        Document { blocks, ..Document::new("test") }
    }

    fn text(text: &str, size: Size) -> Block {
        Block::Text { text: text.into(), style: Style { size, ..Style::default() } }
    }

    const PAPER_80: Canvas = Canvas { width: 576, height: None, dpi: 203, columns: 48 };

    fn drawn(blocks: Vec<Block>, canvas: Canvas) -> Drawn {
        draw(&with(blocks), &canvas, &Artwork::default()).unwrap()
    }

    #[test]
    fn a_line_is_as_high_as_on_a_receipt_printer_and_a_tall_one_twice() {
        assert_eq!(drawn(vec![text("Total", Size::Normal)], PAPER_80).bitmap.height(), 30);
        assert_eq!(drawn(vec![text("Total", Size::Tall)], PAPER_80).bitmap.height(), 54);
        let empty = drawn(vec![text("", Size::Normal)], PAPER_80);
        assert_eq!((empty.bitmap.height(), empty.bitmap.is_white()), (30, true));
    }

    #[test]
    fn a_right_text_ends_at_the_right_edge_whatever_its_script() {
        for right in ["20.00", "٢٠٫٠٠", "二十元"] {
            let row = Block::Columns { left: "Cash".into(), right: right.into(), bold: false };
            let bitmap = drawn(vec![row], PAPER_80).bitmap;
            let ink = |x: usize| (0..bitmap.height()).any(|y| bitmap.get(x, y));
            let last = (0..576).rev().find(|x| ink(*x)).unwrap();
            assert!((560..576).contains(&last), "{right}: {last}");
        }
    }

    #[test]
    fn letters_grow_with_the_dots_of_a_column() {
        let label = Canvas { width: 1_200, height: None, dpi: 300, columns: 40 };
        let bitmap = drawn(vec![text("HHHH", Size::Normal)], label).bitmap;
        let ink: Vec<usize> =
            (0..1_200).filter(|x| (0..bitmap.height()).any(|y| bitmap.get(*x, y))).collect();
        assert!((100..=120).contains(ink.last().unwrap()), "four columns of thirty dots: {:?}", ink.last());
    }

    #[test]
    fn a_label_keeps_its_height_and_refuses_what_does_not_fit() {
        let label = Canvas { width: 400, height: Some(240), dpi: 203, columns: 32 };
        let lines = |count: usize| with(vec![text("line", Size::Normal); count]);
        let fits = draw(&lines(7), &label, &Artwork::default()).unwrap();
        assert_eq!(fits.bitmap.height(), 240);
        let error = draw(&lines(9), &label, &Artwork::default()).unwrap_err();
        assert!(matches!(error, RenderError::DoesNotFit { available: 240, .. }), "{error}");
    }

    #[test]
    fn a_missing_logo_is_told_and_the_rest_is_drawn() {
        let drawn =
            drawn(vec![Block::Picture { name: "logo".into() }, text("Pestle", Size::Normal)], PAPER_80);
        assert_eq!(drawn.missing_pictures[0].name, "logo");
        assert!(!drawn.bitmap.is_white());
    }

    #[test]
    fn a_character_that_nothing_draws_is_told_once_with_its_count() {
        let drawn = drawn(vec![text("\u{e000} and \u{e000}", Size::Normal)], PAPER_80);
        let told: Vec<_> = drawn.replaced.iter().map(|r| (r.wanted, r.printed.as_str(), r.times)).collect();
        assert_eq!(told, [('\u{e000}', "□", 2)]);
    }

    #[test]
    fn cuts_are_told_by_their_rows() {
        let blocks = vec![text("a", Size::Normal), Block::Cut, text("b", Size::Normal), Block::Cut];
        assert_eq!(drawn(blocks, PAPER_80).cuts, [30, 60]);
    }
}
