//! From a document to the bytes that print it on one model. Pure.

use std::cell::RefCell;

use datamatrix::{DataMatrix, SymbolList};
use escpos::{
    driver::Driver as EscPosDriver,
    errors::PrinterError as EscPosError,
    printer::Printer as EscPos,
    utils::{JustifyMode, Protocol, QRCodeCorrectionLevel, QRCodeModel, QRCodeOption, UnderlineMode},
};
use pestle_domain::document::{Align, Document, DocumentError, LaidLine, Size, Style, layout};

use super::{
    codepage::{Replaced, encode_text},
    model::{Cutter, PrinterModel},
    raster::Bitmap,
};

/// A document as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Composed {
    /// What to send.
    pub bytes: Vec<u8>,
    /// Characters that the printer's code page does not have.
    pub replaced: Vec<Replaced>,
}

/// Why a document cannot be turned into bytes.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// A code in it cannot be drawn.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// The ESC/POS library refused something.
    #[error("the printing library refused the document")]
    Library(#[from] EscPosError),
    /// The DataMatrix has no symbol that is large enough.
    #[error("the DataMatrix {0:?} fits no symbol: shorten it")]
    DataMatrix(String),
}

/// Dots a DataMatrix module is wide: 0.5 mm at 203 dpi, what GS1 asks for in retail at the least (0.396 mm).
const DATA_MATRIX_MODULE_DOTS: u16 = 4;

/// Lines that are fed before the tear bar of a printer without a cutter.
const TEAR_OFF_LINES: u8 = 4;

/// Composes `document` for `model`.
///
/// # Errors
/// The document holds something that cannot be printed; nothing has been sent.
pub fn compose(document: &Document, model: &PrinterModel) -> Result<Composed, ComposeError> {
    document.check()?;
    let mut composer = Composer {
        printer: EscPos::new(Collected::default(), Protocol::default(), None),
        model,
        replaced: Vec::new(),
        style: Style::default(),
    };
    composer.printer.init()?.custom(&[0x1b, b't', model.code_page_number])?;
    for line in layout(document, model.columns) {
        composer.line(&line)?;
    }
    composer.printer.print()?;
    Ok(Composed { bytes: composer.printer.driver().0.into_inner(), replaced: composer.replaced })
}

struct Composer<'a> {
    printer: EscPos<Collected>,
    model: &'a PrinterModel,
    replaced: Vec<Replaced>,
    /// What the printer was last told.
    style: Style,
}

const CENTRED: Style = Style { align: Align::Centre, bold: false, underline: false, size: Size::Normal };

impl Composer<'_> {
    fn line(&mut self, line: &LaidLine) -> Result<(), ComposeError> {
        match line {
            LaidLine::Text { text, style } => self.text(text, *style)?,
            LaidLine::Rule => {
                let dash = if self.model.code_page.encode('─').is_some() { "─" } else { "-" };
                self.text(&dash.repeat(usize::from(self.model.columns)), Style::default())?;
            }
            LaidLine::Qr(data) => {
                self.style(CENTRED)?;
                // Short texts get larger modules, so that a worn phone camera reads them.
                let size = if data.len() <= 100 { 6 } else { 4 };
                let option = QRCodeOption::new(QRCodeModel::Model2, size, QRCodeCorrectionLevel::M);
                // Printers leave no quiet zone: four modules (ISO/IEC 18004, 5.3.8).
                let quiet = [0x1b, b'J', 4 * size];
                self.printer.custom(&quiet)?.qrcode_option(data, option)?.custom(&quiet)?;
            }
            LaidLine::Ean13(data) => self.barcode(67, data.as_bytes())?,
            LaidLine::Code128(data) => {
                let data = [b"{B".to_vec(), data.replace('{', "{{").into_bytes()].concat();
                self.barcode(73, &data)?;
            }
            LaidLine::DataMatrix(data) => self.data_matrix(data)?,
            LaidLine::Feed(lines) => {
                self.printer.feeds(*lines)?;
            }
            LaidLine::Cut => self.cut()?,
        }
        Ok(())
    }

    fn text(&mut self, text: &str, style: Style) -> Result<(), ComposeError> {
        self.style(style)?;
        let mut bytes = encode_text(text, self.model.code_page, &mut self.replaced);
        bytes.push(b'\n');
        self.printer.custom(&bytes)?;
        Ok(())
    }

    fn style(&mut self, style: Style) -> Result<(), ComposeError> {
        if style.align != self.style.align {
            self.printer.justify(match style.align {
                Align::Left => JustifyMode::LEFT,
                Align::Centre => JustifyMode::CENTER,
                Align::Right => JustifyMode::RIGHT,
            })?;
        }
        if style.bold != self.style.bold {
            self.printer.bold(style.bold)?;
        }
        if style.underline != self.style.underline {
            let mode = if style.underline { UnderlineMode::Single } else { UnderlineMode::None };
            self.printer.underline(mode)?;
        }
        if style.size != self.style.size {
            match style.size {
                Size::Normal => self.printer.size(1, 1)?,
                Size::Tall => self.printer.size(1, 2)?,
                Size::Double => self.printer.size(2, 2)?,
            };
        }
        self.style = style;
        Ok(())
    }

    /// `GS k m n data`, with its text below. The library has no Code 128 and no counted form.
    fn barcode(&mut self, system: u8, data: &[u8]) -> Result<(), ComposeError> {
        self.style(CENTRED)?;
        let text_below = [0x1d, b'H', 2];
        let height_dots = [0x1d, b'h', 80];
        let module_dots = [0x1d, b'w', 2];
        let length = u8::try_from(data.len()).unwrap_or(u8::MAX);
        let print = [&[0x1d, b'k', system, length][..], data].concat();
        self.printer.custom(&text_below)?.custom(&height_dots)?.custom(&module_dots)?.custom(&print)?;
        Ok(())
    }

    /// As an image: the printers' own DataMatrix cannot begin with FNC1, and without it a code is not GS1's.
    fn data_matrix(&mut self, data: &str) -> Result<(), ComposeError> {
        let code = DataMatrix::encode_gs1(data.as_bytes(), SymbolList::default().enforce_square())
            .map_err(|_too_long| ComposeError::DataMatrix(data.to_owned()))?;
        let modules = code.bitmap();
        // One module of quiet zone above and below (ISO/IEC 16022, 7.1); at the sides there is paper enough.
        let mut rows = vec![Vec::new()];
        rows.extend(modules.bits().chunks(modules.width()).map(<[bool]>::to_vec));
        rows.push(Vec::new());
        self.style(CENTRED)?;
        self.printer.custom(&Bitmap::scaled(&rows, DATA_MATRIX_MODULE_DOTS).print_command())?;
        Ok(())
    }

    fn cut(&mut self) -> Result<(), ComposeError> {
        match self.model.cut {
            Cutter::Full => self.printer.cut()?,
            // The library's own partial cut is `GS V 65 1`, which is a full cut after one dot of feed.
            Cutter::Partial => self.printer.custom(&[0x1d, b'V', 66, 0])?,
            Cutter::None => self.printer.feeds(TEAR_OFF_LINES)?,
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
mod tests {
    use pestle_domain::document::Block;

    use super::*;
    use crate::printer::{model::PrinterModels, raster::real_time_command_at};

    fn composed(blocks: Vec<Block>, model: &str) -> Composed {
        let document = Document { blocks, ..Document::new("test") };
        compose(&document, PrinterModels::built_in().unwrap().get(model).unwrap()).unwrap()
    }

    #[test]
    fn a_line_of_text_is_initialisation_code_page_and_bytes_of_that_page() {
        let text = Block::Text { text: "5 €".into(), style: Style::default() };
        assert_eq!(composed(vec![text], "epson-tm-t20").bytes, b"\x1b@\x1bt\x135 \xd5\n");
    }

    #[test]
    fn a_character_that_the_page_lacks_is_told() {
        let text = Block::Text { text: "5 €".into(), style: Style::default() };
        let composed = composed(vec![text], "one-way-80");
        assert_eq!(composed.replaced, [Replaced { wanted: '€', printed: "?".into(), times: 1 }]);
    }

    #[test]
    fn no_job_holds_a_real_time_command() {
        for number in 0..200 {
            let data = format!("0109521234543213{}21{number}", "10ABC\u{1d}");
            let composed =
                composed(vec![Block::DataMatrix { data }, Block::Rule, Block::Cut], "epson-tm-t20");
            assert_eq!(real_time_command_at(&composed.bytes), None, "{number}");
        }
    }

    #[test]
    fn a_printer_without_a_cutter_feeds_to_its_tear_bar() {
        assert!(composed(vec![Block::Cut], "generic-58").bytes.ends_with(&[0x1b, b'd', TEAR_OFF_LINES]));
        assert!(composed(vec![Block::Cut], "epson-tm-t20").bytes.ends_with(&[0x1d, b'V', 66, 0]));
    }
}
