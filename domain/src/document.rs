//! What is printed, free of any printer: a receipt, an X or Z report, a shelf label, a test page.
//!
//! A [`Document`] is a list of [`Block`]s whose texts are ready to read: amounts, dates and quantities arrive already
//! written, so nothing here rounds or formats. [`layout`] breaks it into lines of a fixed number of columns (32, 42 or 48
//! on usual receipt printers) and loses no text: what is too long is wrapped, never cut. [`check`] knows what a symbol can
//! hold. [`shelf_label`] and [`report`] build documents. Whether the drawer opens is not part of a document, it belongs to
//! the print job.

mod check;
pub mod dispensing_label;
mod layout;
pub mod report;
pub mod shelf_label;
mod table;

use serde::{Deserialize, Serialize};

pub use check::{
    CODE128_CHARS_MAX, DATA_MATRIX_BYTES_MAX, DocumentError, PICTURE_NAME_CHARS_MAX, QR_BYTES_MAX,
    TABLE_COLUMNS_MAX,
};
pub use layout::{COLUMNS_MIN, LaidCell, LaidLine, columns_of, layout};

/// Something to print.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// What it is, for lists and messages ("Receipt 1042"); not printed.
    pub title: String,
    /// Set when this repeats an earlier print: the word COPY is printed at the top and at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_of: Option<CopyOf>,
    /// From top to bottom.
    pub blocks: Vec<Block>,
}

/// What a reprint says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopyOf {
    /// A line under the word COPY, such as "of receipt 1042, printed again 21 Nov 2026 10:14 by A. Mason". May be empty.
    pub note: String,
}

/// One part of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "block", rename_all = "snake_case")]
pub enum Block {
    /// Centred, bold, double size.
    Heading {
        /// The words; a line feed starts a new line.
        text: String,
    },
    /// A paragraph.
    Text {
        /// The words; a line feed starts a new line.
        text: String,
        /// How they look.
        #[serde(default)]
        style: Style,
    },
    /// Two texts in one row, the second at the right edge.
    Columns {
        /// At the left edge; wraps.
        left: String,
        /// At the right edge.
        right: String,
        /// Printed bold.
        #[serde(default)]
        bold: bool,
    },
    /// A line across the paper.
    Rule,
    /// A line of a sale.
    Item {
        /// The product's name; wraps.
        name: String,
        /// Such as "2 x 3.50"; under the name when there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quantity: Option<String>,
        /// What the line comes to, with its tax letter: "7.00 A".
        amount: String,
        /// Further lines under it: lot, expiry, a reduction.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        details: Vec<String>,
    },
    /// A sum. The strong one is bold and twice as high.
    Total {
        /// Such as "Total".
        label: String,
        /// Such as "EUR 12.40".
        amount: String,
        /// The one that is to be paid.
        #[serde(default)]
        strong: bool,
    },
    /// A table: rows of cells, each wrapped within its column.
    Table {
        /// From left to right, at most [`TABLE_COLUMNS_MAX`].
        columns: Vec<TableColumn>,
        /// As many cells each as there are columns; missing ones are empty.
        rows: Vec<Vec<String>>,
    },
    /// A picture of the branch, such as its logo, centred.
    Picture {
        /// The name of its file without the ending: letters, digits, `-` and `_`.
        name: String,
    },
    /// A QR code, centred.
    Qr {
        /// At most [`QR_BYTES_MAX`] bytes.
        data: String,
    },
    /// An EAN-13, centred, with its digits under it.
    Ean13 {
        /// Thirteen digits with a right check digit.
        data: String,
    },
    /// An EAN-8, centred, with its digits under it.
    Ean8 {
        /// Eight digits with a right check digit.
        data: String,
    },
    /// A Code 128, centred, with its text under it.
    Code128 {
        /// Printable ASCII, at most [`CODE128_CHARS_MAX`] characters.
        data: String,
    },
    /// A GS1-128 (a Code 128 that begins with FNC1), centred, with its elements under it.
    Gs1Barcode {
        /// A GS1 element string: the first FNC1 left out, later ones written as GS (0x1D).
        data: String,
    },
    /// A code that programs a scanner (a Code 128 with FNC3), centred, without text.
    ScannerCode {
        /// What the scanner's maker prints beside FNC3; ASCII.
        data: String,
        /// Where FNC3 stands.
        #[serde(default)]
        fnc3: Fnc3,
    },
    /// A GS1 DataMatrix, centred.
    DataMatrix {
        /// A GS1 element string: the first FNC1 left out, later ones written as GS (0x1D).
        data: String,
    },
    /// Empty lines.
    Feed {
        /// How many.
        lines: u8,
    },
    /// Cut the paper here.
    Cut,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableColumn {
    /// What stands above it, bold; where no column has a title there is no such line.
    #[serde(default)]
    pub title: String,
    /// How many columns of text it takes; `None` shares what the others leave.
    #[serde(default)]
    pub width: Option<u8>,
    /// Where its cells stand in it.
    #[serde(default)]
    pub align: Align,
}

/// A code that a scanner reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// Which.
    pub kind: SymbolKind,
    /// What it holds; see the block of that name.
    pub data: String,
}

/// Where FNC3 stands in a code that programs a scanner. Anywhere in the symbol it says that it is one (ISO/IEC 15417);
/// makers differ in where they write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fnc3 {
    /// Before the text.
    #[default]
    First,
    /// Behind the text.
    Last,
}

/// The codes that a scanner reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SymbolKind {
    /// See [`Block::Qr`].
    Qr,
    /// See [`Block::Ean13`].
    Ean13,
    /// See [`Block::Ean8`].
    Ean8,
    /// See [`Block::Code128`].
    Code128,
    /// See [`Block::Gs1Barcode`].
    Gs1Barcode,
    /// See [`Block::ScannerCode`].
    ScannerCode(Fnc3),
    /// See [`Block::DataMatrix`].
    DataMatrix,
}

/// How a text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Style {
    /// Where it stands.
    pub align: Align,
    /// Printed bold.
    pub bold: bool,
    /// Underlined.
    pub underline: bool,
    /// How large.
    pub size: Size,
}

/// Where a line stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Align {
    /// At the left edge.
    #[default]
    Left,
    /// In the middle.
    Centre,
    /// At the right edge.
    Right,
}

/// How large a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Size {
    /// One column a character.
    #[default]
    Normal,
    /// Twice as high, one column a character.
    Tall,
    /// Twice as high and twice as wide: two columns a character.
    Double,
}

impl Size {
    /// How many columns one character takes.
    #[must_use]
    pub fn columns_per_char(self) -> u8 {
        match self {
            Size::Normal | Size::Tall => 1,
            Size::Double => 2,
        }
    }
}

impl Document {
    /// An empty document with a title.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Document {
        Document { title: title.into(), copy_of: None, blocks: Vec::new() }
    }

    /// The same document, marked COPY. A copy of a copy carries the later note.
    #[must_use]
    pub fn as_copy(mut self, note: impl Into<String>) -> Document {
        self.copy_of = Some(CopyOf { note: note.into() });
        self
    }

    /// Is every code in it one that can be drawn?
    ///
    /// # Errors
    /// The first block that cannot be printed, and what is wrong with it.
    pub fn check(&self) -> Result<(), DocumentError> {
        self.blocks.iter().try_for_each(check::block)
    }
}

impl Block {
    /// The code that this block is; `None` for any other block.
    #[must_use]
    pub fn symbol(&self) -> Option<Symbol> {
        let (kind, data) = match self {
            Block::Qr { data } => (SymbolKind::Qr, data),
            Block::Ean13 { data } => (SymbolKind::Ean13, data),
            Block::Ean8 { data } => (SymbolKind::Ean8, data),
            Block::Code128 { data } => (SymbolKind::Code128, data),
            Block::Gs1Barcode { data } => (SymbolKind::Gs1Barcode, data),
            Block::ScannerCode { data, fnc3 } => (SymbolKind::ScannerCode(*fnc3), data),
            Block::DataMatrix { data } => (SymbolKind::DataMatrix, data),
            _ => return None,
        };
        Some(Symbol { kind, data: data.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_survives_its_json() {
        let document = Document {
            blocks: vec![
                Block::Heading { text: "Pestle".into() },
                Block::Text { text: "hello".into(), style: Style { bold: true, ..Style::default() } },
                Block::Total { label: "Total".into(), amount: "1.00".into(), strong: true },
                Block::Table {
                    columns: vec![TableColumn { title: "Lot".into(), width: Some(8), align: Align::Right }],
                    rows: vec![vec!["A1".into()]],
                },
                Block::ScannerCode { data: "B0010".into(), fnc3: Fnc3::First },
                Block::ScannerCode { data: "~DEFALT.".into(), fnc3: Fnc3::Last },
                Block::Cut,
            ],
            ..Document::new("test")
        }
        .as_copy("again");
        let json = serde_json::to_string(&document).unwrap();
        assert_eq!(serde_json::from_str::<Document>(&json).unwrap(), document);
    }
}
