//! Documents as pictures, by the renderer that draws for printers: what the paper will look like.

use pestle_domain::document::Document;
use pestle_drivers::printer::{
    bitmap::PngError,
    render::{Artwork, Canvas, RenderError, draw},
    start::PrinterSettings,
};

/// 80 mm paper at 203 dpi, as most receipt printers have it: codes of this size are read from a screen too.
pub const STRIP: Canvas = Canvas { width: 576, height: None, dpi: 203, columns: 48 };

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// A part of the document cannot be drawn.
    #[error("it cannot be drawn: {0}")]
    Drawn(#[from] RenderError),
    /// The picture cannot be written.
    #[error("its picture cannot be made")]
    Png(#[from] PngError),
}

/// The paper of a printer. A label or an office printer divides what does not fit into several; the picture shows it as a strip.
pub fn paper(printer: &PrinterSettings) -> Canvas {
    match printer {
        PrinterSettings::EscPos(settings) => {
            let model = &settings.model;
            Canvas::strip(usize::from(model.dots), model.dpi, model.columns)
        }
        PrinterSettings::Zpl(_) | PrinterSettings::Ipp(_) => STRIP,
    }
}

/// Draws a document as PNG. Takes milliseconds, and some hundred for a page with many letters that no built-in font has.
///
/// # Errors
/// What in it cannot be drawn.
pub fn png(document: &Document, paper: &Canvas, artwork: &Artwork) -> Result<Vec<u8>, PictureError> {
    let drawn = draw(document, paper, artwork)?;
    Ok(drawn.bitmap.png(paper.dots_per_mm())?)
}
