//! A document on labels: as large as it fits on one, continued on the next where even small letters do not.
//!
//! Nothing is cut. Letters begin at [`SIZES`]' first size and shrink in its steps until the document fits on one label; if
//! the smallest is still too large, it goes on with "1 of 2" at the foot of each label, and its title at the head of the
//! later ones. A DataMatrix or QR code stands in the upper right corner, the text beside it.

use pestle_domain::document::{Align, Block, Document, Style, Symbol, SymbolKind};

use super::super::{
    bitmap::Bitmap,
    codepage::Replaced,
    flow::{Piece, Pieces},
    render::{Artwork, Canvas, MissingPicture, RenderError},
    symbols::{self, draw::Space},
};

/// Sizes of letters, in tenths of a point, largest first. Smaller letters lose their shapes at 203 dots an inch, and are not
/// for the eyes that need most medicines.
const SIZES: [u16; 5] = [100, 90, 80, 70, SMALLEST];
const SMALLEST: u16 = 65;

/// White at each edge, in tenths of a millimetre: labels do not lie in the printer more exactly than that.
const MARGIN: u16 = 15;

/// White between a code and the text beside it, in tenths of a millimetre.
const BESIDE: u16 = 20;

/// A label as dots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Face {
    /// Across.
    pub width: usize,
    /// Along the roll.
    pub height: usize,
    /// Dots an inch.
    pub dpi: u16,
}

/// A document on labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// One or more labels.
    pub pictures: Vec<Bitmap>,
    /// Characters that no font has; each was drawn as a box.
    pub replaced: Vec<Replaced>,
    /// Pictures that were left out, and why.
    pub missing_pictures: Vec<MissingPicture>,
}

/// Draws a document on as few labels as it needs.
///
/// # Errors
/// It holds a code that cannot be drawn, or one that is larger than the label.
pub fn compose(document: &Document, face: Face, artwork: &Artwork) -> Result<Composed, RenderError> {
    document.check()?;
    for size in SIZES {
        if let Some(composed) = (Sheet { face, size, artwork }).on_one(document)? {
            return Ok(composed);
        }
    }
    Sheet { face, size: SMALLEST, artwork }.on_several(document)
}

/// How many characters of the smallest size stand across a label.
#[must_use]
pub fn columns(face: Face) -> u8 {
    let artwork = Artwork::default();
    Sheet { face, size: SMALLEST, artwork: &artwork }.canvas(0).columns
}

struct Sheet<'a> {
    face: Face,
    size: u16,
    artwork: &'a Artwork,
}

impl Sheet<'_> {
    fn dots(&self, tenths_mm: u16) -> usize {
        usize::from(tenths_mm) * usize::from(self.face.dpi) / 254
    }

    fn width(&self) -> usize {
        self.face.width.saturating_sub(2 * self.dots(MARGIN)).max(1)
    }

    fn height(&self) -> usize {
        self.face.height.saturating_sub(2 * self.dots(MARGIN)).max(1)
    }

    /// What stands beside a code that is `beside` dots wide. A letter of a fixed width is 0.6 of its size wide.
    fn canvas(&self, beside: usize) -> Canvas {
        let column = ((usize::from(self.size) * usize::from(self.face.dpi) * 6 + 3_600) / 7_200).max(1);
        let width = self.width().saturating_sub(beside).max(column);
        let columns = u8::try_from(width / column).unwrap_or(u8::MAX).max(1);
        Canvas::strip(width, self.face.dpi, columns)
    }

    fn on_one(&self, document: &Document) -> Result<Option<Composed>, RenderError> {
        let (corner, pieces) = self.pieces(document)?;
        // The white below the last line may be missing.
        let white = pieces.last().map_or(0, |piece| piece.advance() - piece.bitmap.ink_height());
        if pieces.height() - white > self.height() {
            return Ok(None);
        }
        let pictures = vec![self.label(corner.as_ref(), &pieces, None)];
        let Pieces { replaced, missing_pictures, .. } = pieces;
        Ok(Some(Composed { pictures, replaced, missing_pictures }))
    }

    fn on_several(&self, document: &Document) -> Result<Composed, RenderError> {
        let (corner, pieces) = self.pieces(document)?;
        // A little white above it, or it would read on from the last line.
        let foot = self.line("1 of 9", Align::Right)?.bitmap.height() * 5 / 4;
        let title = self.line(&document.title, Align::Left)?;
        let (replaced, missing_pictures) = (pieces.replaced.clone(), pieces.missing_pictures.clone());
        let room = |number: usize| {
            let head = if number == 0 { 0 } else { title.bitmap.height() };
            self.height().saturating_sub(foot + head)
        };
        let labels = pieces.split(room)?;
        let of = labels.len();
        let mut pictures = Vec::new();
        for (number, mut label) in labels.into_iter().enumerate() {
            if number > 0 {
                label.insert(0, title.clone());
            }
            let foot = self.line(&format!("{} of {of}", number + 1), Align::Right)?;
            let corner = corner.as_ref().filter(|_| number == 0);
            pictures.push(self.label(corner, &label, Some(&foot)));
        }
        Ok(Composed { pictures, replaced, missing_pictures })
    }

    /// The code for the corner, and everything else from top to bottom.
    fn pieces(&self, document: &Document) -> Result<(Option<Bitmap>, Pieces), RenderError> {
        let in_corner = |block: &Block| match block {
            Block::DataMatrix { data } => Some(Symbol { kind: SymbolKind::DataMatrix, data: data.clone() }),
            Block::Qr { data } => Some(Symbol { kind: SymbolKind::Qr, data: data.clone() }),
            _ => None,
        };
        let at = document.blocks.iter().position(|block| in_corner(block).is_some());
        let symbol = at.and_then(|at| document.blocks.get(at)).and_then(in_corner);
        let corner = symbol.map(|symbol| self.corner(&symbol)).transpose()?;
        let beside = corner.as_ref().map_or(0, |code| code.width() + self.dots(BESIDE));
        let below = corner.as_ref().map_or(0, Bitmap::height);
        let mut pieces = Pieces::tight();
        if let Some(copy) = &document.copy_of {
            let text = format!("COPY {}", copy.note);
            let style = Style { bold: true, ..Style::default() };
            pieces.draw(&Block::Text { text, style }, &self.canvas(beside), self.artwork)?;
        }
        let blocks = document.blocks.iter().enumerate().filter(|(number, _)| Some(*number) != at);
        for (_, block) in blocks {
            // Beside the code there is less room; below it there is all of it.
            let beside = if pieces.height() < below { beside } else { 0 };
            pieces.draw(block, &self.canvas(beside), self.artwork)?;
        }
        Ok((corner, pieces))
    }

    /// The code with its quiet zone.
    fn corner(&self, symbol: &Symbol) -> Result<Bitmap, RenderError> {
        let within = |width| symbols::draw::draw(symbol, Space { width, dpi: self.face.dpi });
        // In wide modules it would leave no room for the text.
        let code = within(self.width() / 4)
            .or_else(|_| within(self.width() / 2))
            .or_else(|_| within(self.width()))?;
        if code.height() > self.height() {
            return Err(RenderError::DoesNotFit { needed: code.height(), available: self.height() });
        }
        Ok(code)
    }

    fn line(&self, text: &str, align: Align) -> Result<Piece, RenderError> {
        let style = Style { bold: true, align, ..Style::default() };
        let block = Block::Text { text: text.to_owned(), style };
        let mut pieces = Pieces::tight();
        pieces.draw(&block, &self.canvas(0), self.artwork)?;
        Ok(pieces.first().cloned().unwrap_or_default())
    }

    fn label(&self, corner: Option<&Bitmap>, pieces: &[Piece], foot: Option<&Piece>) -> Bitmap {
        let mut label = Bitmap::new(self.face.width, self.face.height);
        let (left, mut top) = (self.dots(MARGIN), self.dots(MARGIN));
        if let Some(code) = corner {
            label.draw(code, left + self.width().saturating_sub(code.width()), top);
        }
        for piece in pieces {
            label.draw(&piece.bitmap, left, top);
            top += piece.advance();
        }
        if let Some(foot) = foot {
            let bottom = self.face.height.saturating_sub(self.dots(MARGIN));
            label.draw(&foot.bitmap, left, bottom.saturating_sub(foot.bitmap.height()));
        }
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FACE: Face = Face { width: 559, height: 279, dpi: 203 };

    fn lines(count: usize) -> Document {
        let text = |number: usize| Block::Text { text: format!("Line {number}"), style: Style::default() };
        Document { blocks: (1..=count).map(text).collect(), ..Document::new("Mrs Jane Doe: Amoxicillin") }
    }

    fn composed(document: &Document) -> Vec<Bitmap> {
        compose(document, FACE, &Artwork::default()).unwrap().pictures
    }

    fn black(picture: &Bitmap) -> u32 {
        picture.bytes().iter().map(|byte| byte.count_ones()).sum()
    }

    fn sheet<'a>(size: u16, artwork: &'a Artwork) -> Sheet<'a> {
        Sheet { face: FACE, size, artwork }
    }

    #[test]
    fn letters_shrink_step_by_step_and_only_then_a_second_label_follows() {
        let artwork = Artwork::default();
        let sizes: Vec<Option<u16>> = (1..=14)
            .map(|count| {
                let fits = |size: &u16| sheet(*size, &artwork).on_one(&lines(count)).unwrap().is_some();
                SIZES.into_iter().find(fits)
            })
            .collect();
        assert_eq!(sizes[0], Some(100));
        assert!(sizes.is_sorted_by(|one, next| next.is_none() || one >= next), "{sizes:?}");
        assert!(SIZES.iter().all(|size| sizes.contains(&Some(*size))), "{sizes:?}");
        assert_eq!(sizes[13], None);
        assert_eq!(composed(&lines(14)).len(), 2);
    }

    #[test]
    fn nothing_is_cut_and_nothing_covers_another_on_any_number_of_labels() {
        let artwork = Artwork::default();
        let sheet = sheet(SMALLEST, &artwork);
        for count in [14, 25, 40] {
            let document = lines(count);
            let labels = composed(&document);
            let (_, pieces) = sheet.pieces(&document).unwrap();
            let text: u32 = pieces.iter().map(|piece| black(&piece.bitmap)).sum();
            let of = labels.len();
            let foot = |number| sheet.line(&format!("{number} of {of}"), Align::Right).unwrap();
            let feet: u32 = (1..=of).map(|number| black(&foot(number).bitmap)).sum();
            let title = black(&sheet.line(&document.title, Align::Left).unwrap().bitmap);
            let titles = title * u32::try_from(of - 1).unwrap();
            assert_eq!(labels.iter().map(black).sum::<u32>(), text + feet + titles, "{count}");
        }
    }

    #[test]
    fn a_copy_says_so() {
        let document = lines(1).as_copy("of label 7");
        assert!(black(&composed(&document)[0]) > 2 * black(&composed(&lines(1))[0]));
    }

    #[test]
    fn a_code_that_is_larger_than_the_label_is_an_error_and_not_cut() {
        let face = Face { width: 200, height: 100, dpi: 203 };
        let document = Document { blocks: vec![Block::Qr { data: "x".repeat(400) }], ..Document::new("") };
        assert!(compose(&document, face, &Artwork::default()).is_err());
    }

    #[test]
    fn text_beside_a_code_does_not_run_into_it() {
        let mut document = lines(8);
        let data = "010952123454321310A1".to_owned();
        let long = "Take ONE capsule three times a day until the course is finished".to_owned();
        document.blocks.insert(0, Block::Text { text: long, style: Style::default() });
        document.blocks.insert(0, Block::DataMatrix { data });
        let artwork = Artwork::default();
        let label = composed(&document);
        let fits = |size: &u16| sheet(*size, &artwork).on_one(&document).unwrap().is_some();
        let size = SIZES.into_iter().find(fits).unwrap();
        let (corner, pieces) = sheet(size, &artwork).pieces(&document).unwrap();
        let text: u32 = pieces.iter().map(|piece| black(&piece.bitmap)).sum();
        assert_eq!(label.iter().map(black).sum::<u32>(), text + black(&corner.unwrap()));
    }
}
