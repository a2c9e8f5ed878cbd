//! A document on pages: registers and reports with a head, a foot and page numbers; a table's titles stand again on each
//! page that it goes on.

use pestle_domain::document::{Align, Block, Document, Style};

use super::{
    super::{
        bitmap::Bitmap,
        codepage::Replaced,
        flow::{Piece, Pieces},
        render::{Artwork, Canvas, MissingPicture, RenderError},
    },
    raster::Paper,
};

/// Characters across a page: letters of 9 points.
pub const COLUMNS: u8 = 96;

/// White at the left and right edge, in millimetres. No office printer needs more than 6.
const SIDE_MM: usize = 15;

/// White at the top and bottom edge, in millimetres.
const END_MM: usize = 12;

/// White between the text and the head or foot, in millimetres.
const GAP_MM: usize = 4;

/// A document on pages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// One or more pages, each of the paper's full size.
    pub pictures: Vec<Bitmap>,
    /// Characters that no font has; each was drawn as a box.
    pub replaced: Vec<Replaced>,
    /// Pictures that were left out, and why.
    pub missing_pictures: Vec<MissingPicture>,
}

/// Draws a document on pages.
///
/// # Errors
/// It holds a code that cannot be drawn, or something that is higher than a page.
pub fn compose(
    document: &Document,
    paper: Paper,
    dpi: u16,
    artwork: &Artwork,
) -> Result<Composed, RenderError> {
    document.check()?;
    let (width, height) = paper.dots(dpi);
    let sheet = Sheet { width: width.into(), height: height.into(), dpi, artwork };
    let mut pieces = Pieces::default();
    for block in &document.blocks {
        match block {
            // Letters of double height are for receipts.
            Block::Total { label, amount, strong } => {
                let row = Block::Columns { left: label.clone(), right: amount.clone(), bold: *strong };
                pieces.draw(&row, &sheet.canvas(), artwork)?;
            }
            other => pieces.draw(other, &sheet.canvas(), artwork)?,
        }
    }
    let (replaced, missing_pictures) = (pieces.replaced.clone(), pieces.missing_pictures.clone());
    let pages = pieces.split(|_number| sheet.room())?;
    let of = pages.len();
    let pages = pages.iter().enumerate().map(|(number, page)| sheet.page(document, page, number + 1, of));
    Ok(Composed { pictures: pages.collect::<Result<_, _>>()?, replaced, missing_pictures })
}

struct Sheet<'a> {
    width: usize,
    height: usize,
    dpi: u16,
    artwork: &'a Artwork,
}

impl Sheet<'_> {
    fn dots(&self, millimetres: usize) -> usize {
        millimetres * usize::from(self.dpi) * 10 / 254
    }

    fn canvas(&self) -> Canvas {
        Canvas::strip(self.width - 2 * self.dots(SIDE_MM), self.dpi, COLUMNS)
    }

    /// Head and foot are a line each.
    fn line_height(&self) -> usize {
        self.canvas().column() * 5 / 2
    }

    fn room(&self) -> usize {
        self.height - 2 * (self.dots(END_MM) + self.dots(GAP_MM) + self.line_height())
    }

    fn page(
        &self,
        document: &Document,
        pieces: &[Piece],
        number: usize,
        of: usize,
    ) -> Result<Bitmap, RenderError> {
        let mut page = Bitmap::new(self.width, self.height);
        let left = self.dots(SIDE_MM);
        let copy = document.copy_of.as_ref().map(|copy| format!("COPY {}", copy.note));
        let head = match copy {
            Some(copy) => self.line("", &copy)?,
            // The first page begins with its own heading.
            None if number == 1 => self.line("", "")?,
            None => self.line(&document.title, "")?,
        };
        page.draw(&head, left, self.dots(END_MM));
        let mut top = self.dots(END_MM) + self.line_height() + self.dots(GAP_MM);
        for piece in pieces {
            page.draw(&piece.bitmap, left, top);
            top += piece.advance();
        }
        let foot = self.line(&document.title, &format!("page {number} of {of}"))?;
        let bottom = self.height - self.dots(END_MM) - self.line_height();
        page.fill(left, bottom - self.dots(1), self.canvas().width, (self.dots(1) / 6).max(1));
        page.draw(&foot, left, bottom);
        Ok(page)
    }

    /// Two texts at the edges; what is too long for a line is shortened, since the page itself says it in full.
    fn line(&self, left: &str, right: &str) -> Result<Bitmap, RenderError> {
        let columns = usize::from(COLUMNS);
        let short = |text: &str, room: usize| -> String {
            if text.chars().count() <= room {
                text.to_owned()
            } else {
                text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
            }
        };
        let right = short(right, columns);
        let left = short(left, columns.saturating_sub(right.chars().count() + 2));
        let block = match left.is_empty() {
            true => Block::Text { text: right, style: Style { align: Align::Right, ..Style::default() } },
            false => Block::Columns { left, right, bold: false },
        };
        let mut pieces = Pieces::default();
        pieces.draw(&block, &self.canvas(), self.artwork)?;
        Ok(pieces.first().map(|piece| piece.bitmap.clone()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use pestle_domain::document::TableColumn;

    use super::*;

    fn report(rows: usize) -> Document {
        let column = |title: &str| TableColumn { title: title.into(), width: None, align: Align::Left };
        let row = |number: usize| vec![format!("{number}"), format!("Product {number}")];
        let table = Block::Table {
            columns: vec![column("Number"), column("Product")],
            rows: (0..rows).map(row).collect(),
        };
        Document {
            blocks: vec![Block::Heading { text: "Stock".into() }, table],
            ..Document::new("Stock, Old Town")
        }
    }

    fn black(picture: &Bitmap) -> usize {
        picture.bytes().iter().map(|byte| byte.count_ones() as usize).sum()
    }

    #[test]
    fn a_long_table_goes_on_below_its_titles_and_nothing_is_cut() {
        let artwork = Artwork::default();
        for (paper, rows) in [(Paper::A4, 150), (Paper::Letter, 150), (Paper::A4, 3)] {
            let document = report(rows);
            let pages = compose(&document, paper, 150, &artwork).unwrap().pictures;
            let (width, height) = paper.dots(150);
            assert!(pages.iter().all(|page| (page.width(), page.height()) == (width.into(), height.into())));
            let sheet = Sheet { width: width.into(), height: height.into(), dpi: 150, artwork: &artwork };
            let mut pieces = Pieces::default();
            document.blocks.iter().for_each(|block| pieces.draw(block, &sheet.canvas(), &artwork).unwrap());
            let text: usize = pieces.iter().map(|piece| black(&piece.bitmap)).sum();
            // The second piece is the table's titles.
            let titles = black(&pieces[1].bitmap) * (pages.len() - 1);
            let bare = |number| sheet.page(&document, &[], number, pages.len()).unwrap();
            let bare: usize = (1..=pages.len()).map(|number| black(&bare(number))).sum();
            assert_eq!(pages.iter().map(black).sum::<usize>(), text + titles + bare, "{paper:?} {rows}");
            assert_eq!(pages.len() > 1, rows > 3);
        }
    }

    #[test]
    fn a_copy_says_so_on_every_page() {
        let artwork = Artwork::default();
        let plain = compose(&report(100), Paper::A4, 150, &artwork).unwrap().pictures;
        let copy = compose(&report(100).as_copy("of the report"), Paper::A4, 150, &artwork).unwrap().pictures;
        assert_eq!(plain.len(), copy.len());
        assert!(plain.iter().zip(&copy).all(|(plain, copy)| plain != copy));
    }
}
