//! What a symbol, a picture's name and a table can hold. Whether it fits the paper is the printer's to say.

use super::Block;
use crate::gs1;

/// Longest text of a QR code, in bytes: what stays readable on 58 mm paper with level M correction.
pub const QR_BYTES_MAX: usize = 512;

/// Longest text of a Code 128 of any kind, in characters: what GS1 allows in one symbol (GS1 General Specifications,
/// 5.4.4.2). Paper may hold less.
pub const CODE128_CHARS_MAX: usize = 48;

/// Longest GS1 element string in a DataMatrix, in bytes (a 52 × 52 symbol).
pub const DATA_MATRIX_BYTES_MAX: usize = 200;

/// Longest name of a picture.
pub const PICTURE_NAME_CHARS_MAX: usize = 40;

/// Columns of a table: more than fit 48 characters.
pub const TABLE_COLUMNS_MAX: usize = 12;

/// Why a document cannot be printed as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Not thirteen digits.
    #[error("an EAN-13 is thirteen digits, this is {0:?}: give the GTIN-13 with its check digit")]
    Ean13Shape(String),
    /// The last digit does not follow from the others.
    #[error("the check digit of EAN-13 {data:?} should be {expected}")]
    Ean13CheckDigit {
        /// The thirteen digits as given.
        data: String,
        /// The digit that follows from the first twelve.
        expected: u32,
    },
    /// Not eight digits.
    #[error("an EAN-8 is eight digits, this is {0:?}: give the GTIN-8 with its check digit")]
    Ean8Shape(String),
    /// The last digit does not follow from the others.
    #[error("the check digit of EAN-8 {data:?} should be {expected}")]
    Ean8CheckDigit {
        /// The eight digits as given.
        data: String,
        /// The digit that follows from the first seven.
        expected: u32,
    },
    /// Empty, too long, or not printable ASCII.
    #[error("a Code 128 is 1 to {CODE128_CHARS_MAX} printable ASCII characters, this is {0:?}")]
    Code128(String),
    /// Empty, too long, or not made of printable ASCII and GS.
    #[error(
        "a GS1-128 is an element string of 1 to {CODE128_CHARS_MAX} characters, GS between its elements; this is {0:?}"
    )]
    Gs1Barcode(String),
    /// Empty, too long, or not ASCII.
    #[error("a scanner's programming code is 1 to {CODE128_CHARS_MAX} ASCII characters, this is {0:?}")]
    ScannerCode(String),
    /// Empty or too long.
    #[error("a QR code holds 1 to {QR_BYTES_MAX} bytes here, this has {0}: shorten its text")]
    QrLength(usize),
    /// Empty, too long, or not ASCII.
    #[error("a DataMatrix holds 1 to {DATA_MATRIX_BYTES_MAX} ASCII characters here, this has {0} bytes")]
    DataMatrix(usize),
    /// A name that no file of ours has.
    #[error(
        "a picture's name has 1 to {PICTURE_NAME_CHARS_MAX} letters, digits, '-' or '_', this is {0:?}: leave folder and ending out"
    )]
    PictureName(String),
    /// No columns, or too many.
    #[error("a table has 1 to {TABLE_COLUMNS_MAX} columns, this has {0}")]
    TableColumns(usize),
}

pub(super) fn block(block: &Block) -> Result<(), DocumentError> {
    let ok = |fits: bool, error: DocumentError| if fits { Ok(()) } else { Err(error) };
    match block {
        Block::Ean13 { data } => {
            let expected = check_digit(data, 13).ok_or_else(|| DocumentError::Ean13Shape(data.clone()))?;
            ok(ends_with(data, expected), DocumentError::Ean13CheckDigit { data: data.clone(), expected })
        }
        Block::Ean8 { data } => {
            let expected = check_digit(data, 8).ok_or_else(|| DocumentError::Ean8Shape(data.clone()))?;
            ok(ends_with(data, expected), DocumentError::Ean8CheckDigit { data: data.clone(), expected })
        }
        Block::Code128 { data } => {
            ok(fits_code128(data, |b| (0x20..0x7f).contains(&b)), DocumentError::Code128(data.clone()))
        }
        Block::Gs1Barcode { data } => ok(
            fits_code128(data, |b| (0x20..0x7f).contains(&b) || b == 0x1d),
            DocumentError::Gs1Barcode(data.clone()),
        ),
        Block::ScannerCode { data, .. } => {
            ok(fits_code128(data, |b| b.is_ascii()), DocumentError::ScannerCode(data.clone()))
        }
        Block::Qr { data } => {
            ok((1..=QR_BYTES_MAX).contains(&data.len()), DocumentError::QrLength(data.len()))
        }
        Block::DataMatrix { data } => ok(
            data.is_ascii() && (1..=DATA_MATRIX_BYTES_MAX).contains(&data.len()),
            DocumentError::DataMatrix(data.len()),
        ),
        Block::Picture { name } => ok(is_picture_name(name), DocumentError::PictureName(name.clone())),
        Block::Table { columns, .. } => {
            ok((1..=TABLE_COLUMNS_MAX).contains(&columns.len()), DocumentError::TableColumns(columns.len()))
        }
        _ => Ok(()),
    }
}

fn fits_code128(data: &str, allowed: impl Fn(u8) -> bool) -> bool {
    (1..=CODE128_CHARS_MAX).contains(&data.len()) && data.bytes().all(allowed)
}

/// Nothing that could lead out of the folder of pictures.
fn is_picture_name(name: &str) -> bool {
    (1..=PICTURE_NAME_CHARS_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

fn ends_with(data: &str, digit: u32) -> bool {
    data.chars().last().and_then(|c| c.to_digit(10)) == Some(digit)
}

/// The check digit that all but the last of `length` digits ask for. `None` for anything but so many digits.
fn check_digit(data: &str, length: usize) -> Option<u32> {
    let body = data.as_bytes().get(..length.checked_sub(1)?)?;
    if data.len() != length || !data.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    char::from(gs1::check::check_digit(body)).to_digit(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{Document, Fnc3, TableColumn};

    fn check(block: Block, expected: Option<DocumentError>) {
        let document = Document { blocks: vec![block], ..Document::new("test") };
        assert_eq!(document.check().err(), expected);
    }

    #[test]
    fn a_code_that_cannot_be_drawn_is_refused_with_what_is_wrong() {
        let ean = |data: &str| Block::Ean13 { data: data.into() };
        check(ean("9521234543213"), None);
        let wrong = DocumentError::Ean13CheckDigit { data: "9521234543214".into(), expected: 3 };
        check(ean("9521234543214"), Some(wrong));
        check(ean("952"), Some(DocumentError::Ean13Shape("952".into())));
        // The EAN-8 of GS1's own examples.
        check(Block::Ean8 { data: "96385074".into() }, None);
        let wrong = DocumentError::Ean8CheckDigit { data: "96385070".into(), expected: 4 };
        check(Block::Ean8 { data: "96385070".into() }, Some(wrong));
        check(Block::Code128 { data: "é".into() }, Some(DocumentError::Code128("é".into())));
        check(Block::ScannerCode { data: "\u{2}A".into(), fnc3: Fnc3::First }, None);
        check(Block::Gs1Barcode { data: "10A\u{1d}211".into() }, None);
        check(Block::Gs1Barcode { data: "\n".into() }, Some(DocumentError::Gs1Barcode("\n".into())));
        check(Block::Qr { data: "x".repeat(513) }, Some(DocumentError::QrLength(513)));
        check(Block::DataMatrix { data: String::new() }, Some(DocumentError::DataMatrix(0)));
    }

    #[test]
    fn a_pictures_name_leads_nowhere_but_to_its_file() {
        check(Block::Picture { name: "logo-2_a".into() }, None);
        for name in ["", "../key", "logo.png", "a/b", "a\\b", "é"] {
            check(Block::Picture { name: name.into() }, Some(DocumentError::PictureName(name.into())));
        }
    }

    #[test]
    fn a_table_without_columns_is_refused() {
        let column = TableColumn { title: String::new(), width: None, align: Default::default() };
        let table = |count| Block::Table { columns: vec![column.clone(); count], rows: Vec::new() };
        check(table(1), None);
        check(table(0), Some(DocumentError::TableColumns(0)));
        check(table(13), Some(DocumentError::TableColumns(13)));
    }
}
