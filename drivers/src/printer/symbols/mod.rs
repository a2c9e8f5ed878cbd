//! The codes that a scanner reads, drawn by ourselves: [`ean`] and [`code128`] as bars, [`matrix`] for QR and DataMatrix,
//! [`draw`] puts them on paper with quiet zones, in modules of whole dots, with their text. Pure.

pub mod code128;
pub mod draw;
pub mod ean;
pub mod matrix;

use pestle_domain::document::{Symbol, SymbolKind};

use matrix::Matrix;

/// A code before it has a size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// Bars of one height.
    Bars {
        /// True for black.
        modules: Vec<bool>,
        /// White modules that it needs at its left.
        quiet_left: usize,
        /// And at its right.
        quiet_right: usize,
    },
    /// Squares.
    Matrix {
        /// Without its quiet zone.
        modules: Matrix,
        /// White modules that it needs all around.
        quiet: usize,
    },
}

/// Why a code cannot be drawn.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SymbolError {
    /// It holds what its kind cannot.
    #[error("the code {data:?} cannot be drawn as {kind}: check its characters and its length")]
    Data {
        /// Which kind.
        kind: &'static str,
        /// What it should hold.
        data: String,
    },
    /// Narrower modules than these no scanner reads.
    #[error(
        "the {kind} {data:?} needs {needed} dots across and the paper has {available}: shorten it, or use wider paper"
    )]
    TooWide {
        /// Which kind.
        kind: &'static str,
        /// What it should hold.
        data: String,
        /// With the narrowest modules, and its quiet zones.
        needed: usize,
        /// What the paper has.
        available: usize,
    },
}

/// What a person calls it.
#[must_use]
pub fn kind_name(kind: SymbolKind) -> &'static str {
    match kind {
        SymbolKind::Qr => "QR code",
        SymbolKind::Ean13 => "EAN-13",
        SymbolKind::Ean8 => "EAN-8",
        SymbolKind::Code128 => "Code 128",
        SymbolKind::Gs1Barcode => "GS1-128",
        SymbolKind::ScannerCode(_) => "scanner's programming code",
        SymbolKind::DataMatrix => "DataMatrix",
    }
}

/// Modules that are left white around a QR code: ISO/IEC 18004, 5.3.8.
const QR_QUIET: usize = 4;

/// Draws a symbol in modules, with the quiet zones of its standard.
///
/// # Errors
/// It holds what its kind cannot.
pub fn shape(symbol: &Symbol) -> Result<Shape, SymbolError> {
    let data = symbol.data.as_str();
    let drawn = match symbol.kind {
        // Quiet zones: ISO/IEC 15420, 4.3.2.2 (EAN-13: 11 and 7; EAN-8: 7 and 7), ISO/IEC 15417, 4.3.4 (10 and 10),
        // ISO/IEC 16022, 7.1 (1).
        SymbolKind::Ean13 => ean::ean13(data).map(|modules| bars(modules, 11, 7)),
        SymbolKind::Ean8 => ean::ean8(data).map(|modules| bars(modules, 7, 7)),
        SymbolKind::Code128 => code128::code128(&code128::plain(data)).map(|modules| bars(modules, 10, 10)),
        SymbolKind::Gs1Barcode => code128::code128(&code128::gs1(data)).map(|modules| bars(modules, 10, 10)),
        SymbolKind::ScannerCode(fnc3) => {
            code128::code128(&code128::scanner_code(data, fnc3)).map(|modules| bars(modules, 10, 10))
        }
        SymbolKind::Qr => {
            matrix::qr(data.as_bytes()).map(|modules| Shape::Matrix { modules, quiet: QR_QUIET })
        }
        SymbolKind::DataMatrix => {
            matrix::gs1_data_matrix(data.as_bytes()).map(|modules| Shape::Matrix { modules, quiet: 1 })
        }
    };
    drawn.ok_or_else(|| SymbolError::Data { kind: kind_name(symbol.kind), data: data.to_owned() })
}

fn bars(modules: Vec<bool>, quiet_left: usize, quiet_right: usize) -> Shape {
    Shape::Bars { modules, quiet_left, quiet_right }
}

/// The text that stands below a code for a person; `None` where there is none.
#[must_use]
pub fn text_below(symbol: &Symbol) -> Option<String> {
    match symbol.kind {
        SymbolKind::Ean13 | SymbolKind::Ean8 | SymbolKind::Code128 => Some(symbol.data.clone()),
        SymbolKind::Gs1Barcode => Some(with_brackets(&symbol.data)),
        SymbolKind::ScannerCode(_) | SymbolKind::Qr | SymbolKind::DataMatrix => None,
    }
}

/// An element string with its application identifiers in brackets, as GS1 wants it below a code; as it is, with a blank
/// for each GS, where it is none.
fn with_brackets(data: &str) -> String {
    match pestle_domain::gs1::Elements::parse(data.as_bytes()) {
        Ok(elements) => elements.to_bracketed(),
        Err(_not_gs1) => data.replace('\u{1d}', " "),
    }
}

fn append(modules: &mut Vec<bool>, first_is_black: bool, widths: &[u8]) {
    let mut black = first_is_black;
    for width in widths {
        modules.extend(std::iter::repeat_n(black, usize::from(*width)));
        black = !black;
    }
}
