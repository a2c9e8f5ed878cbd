//! From a document to the bytes that print it on one model. Pure but for the files that [`Artwork`] names.
//!
//! A line is sent as bytes of the model's code pages where they have all of it, and as an image of the same line in the
//! same size and style where they have not. A code is drawn by the printer where the model does, and sent as an image
//! where it does not; both are of the same size, and what does not fit the paper is an error before anything is sent.

use std::cell::RefCell;

use escpos::{
    driver::Driver as EscPosDriver,
    errors::PrinterError as EscPosError,
    printer::Printer as EscPos,
    utils::{JustifyMode, Protocol, QRCodeCorrectionLevel, QRCodeModel, QRCodeOption, UnderlineMode},
};
use pestle_domain::document::{
    Align, Document, DocumentError, LaidLine, Size, Style, Symbol, SymbolKind, layout,
};

use super::{
    bitmap::Bitmap,
    codepage::{NumberedPage, Replaced, change_page, encode_line, encode_text},
    model::{Cutter, NativeSymbol, PrinterModel, RasterCommand},
    raster,
    render::{Artwork, Canvas, MissingPicture, PICTURE_HEIGHT_MAX_MM, line},
    symbols::{self, SymbolError, code128, draw::Space},
};

/// A document as bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Composed {
    /// What to send.
    pub bytes: Vec<u8>,
    /// Characters that were not printed as they were written: no font has them, or the model takes no images.
    pub replaced: Vec<Replaced>,
    /// Pictures that were left out, and why.
    pub missing_pictures: Vec<MissingPicture>,
}

/// Why a document cannot be turned into bytes.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// A block in it cannot be printed.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The ESC/POS library refused something.
    #[error("the printing library refused the document")]
    Library(#[from] EscPosError),
    /// A code in it cannot be drawn, or does not fit the paper.
    #[error(transparent)]
    Symbol(#[from] SymbolError),
    /// A code that the printer does not draw by itself, and it takes no images.
    #[error("this printer draws no {0} and takes no images: print it on another one")]
    NoImages(&'static str),
}

/// Lines that are fed before the tear bar of a printer without a cutter.
const TEAR_OFF_LINES: u8 = 4;

/// Height of a printer's own bars, in dots of 203 an inch: 10 mm.
const BARS_HIGH_DOTS: u16 = 80;

/// Composes `document` for `model`.
///
/// # Errors
/// The document holds something that cannot be printed; nothing has been sent.
pub fn compose(
    document: &Document,
    model: &PrinterModel,
    artwork: &Artwork,
) -> Result<Composed, ComposeError> {
    document.check()?;
    let column = usize::from(model.dots) / usize::from(model.columns.max(1));
    let mut composer = Composer {
        printer: EscPos::new(Collected::default(), Protocol::default(), None),
        model,
        artwork,
        // Letters that are drawn stand in the same columns as those that the printer has.
        canvas: Canvas::strip(column * usize::from(model.columns), model.dpi, model.columns),
        pending: Vec::new(),
        encoded: Vec::new(),
        page: None,
        style: Style::default(),
        composed: Composed::default(),
    };
    composer.library()?.init()?;
    if let Some(best) = model.code_pages.first() {
        composer.page(*best);
    }
    for line in layout(document, model.columns) {
        composer.line(&line)?;
    }
    composer.library()?.print()?;
    let Composer { printer, mut composed, .. } = composer;
    composed.bytes = printer.driver().0.take();
    Ok(composed)
}

struct Composer<'a> {
    printer: EscPos<Collected>,
    model: &'a PrinterModel,
    artwork: &'a Artwork,
    canvas: Canvas,
    /// Lines of text that the library has not been given: it is given many at once.
    pending: Vec<u8>,
    /// The line that is being written; kept for its memory.
    encoded: Vec<u8>,
    /// What the printer was last told.
    page: Option<NumberedPage>,
    style: Style,
    composed: Composed,
}

const CENTRED: Style = Style { align: Align::Centre, bold: false, underline: false, size: Size::Normal };

impl Composer<'_> {
    fn line(&mut self, line: &LaidLine) -> Result<(), ComposeError> {
        match line {
            LaidLine::Text { text, style } => {
                let artwork = self.artwork;
                self.text(text, *style, |canvas| line::draw_text(text, *style, canvas, artwork))?;
            }
            LaidLine::Row { cells, style } => {
                let artwork = self.artwork;
                let text = LaidLine::row_text(cells);
                self.text(&text, *style, |canvas| line::draw_row(cells, *style, canvas, artwork))?;
            }
            LaidLine::Rule => self.rule()?,
            LaidLine::Symbol(symbol) => self.symbol(symbol)?,
            LaidLine::Picture(name) => self.picture(name)?,
            LaidLine::Feed(lines) => {
                self.library()?.feeds(*lines)?;
            }
            LaidLine::Cut => self.cut()?,
        }
        Ok(())
    }

    /// In the printer's own letters if it has them all, else as an image, else with stand-ins.
    fn text(
        &mut self,
        text: &str,
        style: Style,
        draw: impl FnOnce(&Canvas) -> line::LineDrawn,
    ) -> Result<(), ComposeError> {
        let mut encoded = std::mem::take(&mut self.encoded);
        encoded.clear();
        let whole = encode_line(text, &self.model.code_pages, &mut self.page, &mut encoded);
        if whole {
            self.style(style)?;
            self.pending.extend_from_slice(&encoded);
            self.pending.push(b'\n');
        }
        self.encoded = encoded;
        if whole {
            return Ok(());
        }
        let drawn = if self.takes_images() { Some(draw(&self.canvas)) } else { None };
        match drawn.filter(line::LineDrawn::is_better_than_stand_ins) {
            Some(drawn) => {
                self.image(&drawn.bitmap, Style::default())?;
                for wanted in drawn.missing {
                    Replaced::note(&mut self.composed.replaced, wanted, "□");
                }
            }
            None => self.stand_ins(text, style)?,
        }
        Ok(())
    }

    fn stand_ins(&mut self, text: &str, style: Style) -> Result<(), ComposeError> {
        let Some(best) = self.model.code_pages.first() else { return Ok(()) };
        self.page(*best);
        self.style(style)?;
        let mut bytes = encode_text(text, best.page, &mut self.composed.replaced);
        bytes.push(b'\n');
        self.pending.append(&mut bytes);
        Ok(())
    }

    fn rule(&mut self) -> Result<(), ComposeError> {
        let best = self.model.code_pages.first().filter(|best| best.page.encode('─').is_some());
        let dash = if best.is_some() { "─" } else { "-" };
        self.stand_ins(&dash.repeat(usize::from(self.model.columns)), Style::default())
    }

    fn page(&mut self, wanted: NumberedPage) {
        change_page(wanted, &mut self.page, &mut self.pending);
    }

    /// The library, after all that was written before.
    fn library(&mut self) -> Result<&mut EscPos<Collected>, ComposeError> {
        if !self.pending.is_empty() {
            let pending = std::mem::take(&mut self.pending);
            self.printer.custom(&pending)?;
        }
        Ok(&mut self.printer)
    }

    fn style(&mut self, style: Style) -> Result<(), ComposeError> {
        if style.align != self.style.align {
            self.library()?.justify(match style.align {
                Align::Left => JustifyMode::LEFT,
                Align::Centre => JustifyMode::CENTER,
                Align::Right => JustifyMode::RIGHT,
            })?;
        }
        if style.bold != self.style.bold {
            self.library()?.bold(style.bold)?;
        }
        if style.underline != self.style.underline {
            let mode = if style.underline { UnderlineMode::Single } else { UnderlineMode::None };
            self.library()?.underline(mode)?;
        }
        if style.size != self.style.size {
            match style.size {
                Size::Normal => self.library()?.size(1, 1)?,
                Size::Tall => self.library()?.size(1, 2)?,
                Size::Double => self.library()?.size(2, 2)?,
            };
        }
        self.style = style;
        Ok(())
    }

    fn takes_images(&self) -> bool {
        self.model.raster.command != RasterCommand::None
    }

    fn image(&mut self, bitmap: &Bitmap, style: Style) -> Result<(), ComposeError> {
        self.style(style)?;
        self.pending.extend(raster::print_command(bitmap, self.model.raster));
        Ok(())
    }

    /// A receipt without its logo is a receipt all the same.
    fn picture(&mut self, name: &str) -> Result<(), ComposeError> {
        let high = PICTURE_HEIGHT_MAX_MM * usize::from(self.model.dpi) * 10 / 254;
        if !self.takes_images() {
            let reason = "this printer takes no images".to_owned();
            self.composed.missing_pictures.push(MissingPicture { name: name.to_owned(), reason });
            return Ok(());
        }
        match self.artwork.pictures.draw(name, usize::from(self.model.dots), high) {
            Ok(bitmap) => self.image(&bitmap, CENTRED)?,
            Err(error) => self.composed.missing_pictures.push(MissingPicture::told(name, &error)),
        }
        Ok(())
    }

    fn symbol(&mut self, symbol: &Symbol) -> Result<(), ComposeError> {
        let space = Space { width: usize::from(self.model.dots), dpi: self.model.dpi };
        // Also for the printer's own: it would leave out, without a word, what does not fit.
        let module = symbols::draw::module_dots(symbol, space)?;
        if self.draws(symbol.kind)
            && let Ok(module) = u8::try_from(module)
            && self.native(symbol, module)?
        {
            return Ok(());
        }
        if !self.takes_images() {
            return Err(ComposeError::NoImages(symbols::kind_name(symbol.kind)));
        }
        self.image(&symbols::draw::draw(symbol, space)?, CENTRED)
    }

    fn draws(&self, kind: SymbolKind) -> bool {
        let native = match kind {
            SymbolKind::Qr => NativeSymbol::Qr,
            SymbolKind::Ean13 => NativeSymbol::Ean13,
            SymbolKind::Ean8 => NativeSymbol::Ean8,
            SymbolKind::Code128 | SymbolKind::Gs1Barcode | SymbolKind::ScannerCode(_) => {
                NativeSymbol::Code128
            }
            // The printers' own DataMatrix cannot begin with FNC1, and without it a code is not GS1's.
            SymbolKind::DataMatrix => return false,
        };
        self.model.symbols.contains(&native)
    }

    /// By the printer itself; false, and nothing sent, where its command cannot say it.
    fn native(&mut self, symbol: &Symbol, module: u8) -> Result<bool, ComposeError> {
        let data = symbol.data.as_bytes();
        match symbol.kind {
            SymbolKind::Qr => {
                self.style(CENTRED)?;
                let option = QRCodeOption::new(QRCodeModel::Model2, module, QRCodeCorrectionLevel::M);
                // Printers leave no quiet zone: four modules (ISO/IEC 18004, 5.3.8).
                let quiet = [0x1b, b'J', module.saturating_mul(4)];
                self.library()?.custom(&quiet)?.qrcode_option(&symbol.data, option)?.custom(&quiet)?;
                Ok(true)
            }
            SymbolKind::Ean13 => self.bars(67, data, module, true),
            SymbolKind::Ean8 => self.bars(68, data, module, true),
            SymbolKind::Code128 => self.code128(&code128::plain(&symbol.data), module, true),
            SymbolKind::ScannerCode(fnc3) => {
                self.code128(&code128::scanner_code(&symbol.data, fnc3), module, false)
            }
            SymbolKind::Gs1Barcode => {
                let drawn = self.code128(&code128::gs1(&symbol.data), module, false)?;
                if let Some(text) = symbols::text_below(symbol).filter(|_| drawn) {
                    // The printer's own text has no brackets.
                    self.stand_ins(&text, CENTRED)?;
                }
                Ok(drawn)
            }
            SymbolKind::DataMatrix => Ok(false),
        }
    }

    fn code128(
        &mut self,
        elements: &[code128::Element],
        module: u8,
        text: bool,
    ) -> Result<bool, ComposeError> {
        match code128::native(elements) {
            // A pair of digits may be the byte of a real-time command, and "16" then "04" is one.
            Some(data) if raster::real_time_command_at(&data).is_none() => self.bars(73, &data, module, text),
            _ => Ok(false),
        }
    }

    /// `GS k m n data`, with its text below. The library has no Code 128 and no counted form. Printers take modules of two
    /// to six dots.
    fn bars(&mut self, system: u8, data: &[u8], module: u8, text: bool) -> Result<bool, ComposeError> {
        let Ok(length) = u8::try_from(data.len()) else { return Ok(false) };
        if !(2..=6).contains(&module) {
            return Ok(false);
        }
        self.style(CENTRED)?;
        let text_below = [0x1d, b'H', if text { 2 } else { 0 }];
        let high = u8::try_from(BARS_HIGH_DOTS * self.model.dpi / 203).unwrap_or(u8::MAX);
        let print = [&[0x1d, b'k', system, length][..], data].concat();
        self.library()?
            .custom(&text_below)?
            .custom(&[0x1d, b'h', high])?
            .custom(&[0x1d, b'w', module])?
            .custom(&print)?;
        Ok(true)
    }

    fn cut(&mut self) -> Result<(), ComposeError> {
        match self.model.cut {
            Cutter::Full => self.library()?.cut()?,
            // The library's own partial cut is `GS V 65 1`, which is a full cut after one dot of feed.
            Cutter::Partial => self.library()?.custom(&[0x1d, b'V', 66, 0])?,
            Cutter::None => self.library()?.feeds(TEAR_OFF_LINES)?,
        };
        Ok(())
    }
}

/// Where the library writes to.
#[derive(Debug, Default)]
struct Collected(RefCell<Vec<u8>>);

impl EscPosDriver for Collected {
    fn name(&self) -> String {
        "collected".to_owned()
    }

    fn write(&self, data: &[u8]) -> Result<(), EscPosError> {
        self.0.borrow_mut().extend_from_slice(data);
        Ok(())
    }

    fn read(&self, _buffer: &mut [u8]) -> Result<usize, EscPosError> {
        Ok(0)
    }

    fn flush(&self) -> Result<(), EscPosError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
