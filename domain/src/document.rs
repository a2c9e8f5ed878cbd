//! What is printed, free of any printer: a receipt, an X or Z report, a test page.
//!
//! A [`Document`] is a list of [`Block`]s whose texts are ready to read: amounts, dates and quantities arrive already
//! written, so nothing here rounds or formats. [`layout`] breaks it into lines of a fixed number of columns (32, 42 or 48
//! on usual receipt printers) and loses no text: what is too long is wrapped, never cut. Whether the drawer opens is not
//! part of a document, it belongs to the print job.

use serde::{Deserialize, Serialize};

/// The narrowest paper that is laid out, in columns; narrower requests are treated as this.
pub const COLUMNS_MIN: u8 = 16;

/// Longest text of a QR code, in bytes: what stays readable on 58 mm paper with level M correction.
pub const QR_BYTES_MAX: usize = 512;

/// Longest Code 128 text, in characters: what 80 mm paper (576 dots) holds at two dots a module.
pub const CODE128_CHARS_MAX: usize = 22;

/// Longest GS1 element string in a DataMatrix, in bytes (a 52 × 52 symbol).
pub const DATA_MATRIX_BYTES_MAX: usize = 200;

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
    /// A Code 128, centred, with its text under it.
    Code128 {
        /// Printable ASCII, at most [`CODE128_CHARS_MAX`] characters.
        data: String,
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

/// One line as it is to be printed, or a thing between lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaidLine {
    /// Text that fits: at most `columns / style.size.columns_per_char()` characters, its alignment still to be applied.
    Text {
        /// No line feeds in it.
        text: String,
        /// How it looks.
        style: Style,
    },
    /// A line across all columns.
    Rule,
    /// A QR code.
    Qr(String),
    /// An EAN-13.
    Ean13(String),
    /// A Code 128.
    Code128(String),
    /// A GS1 DataMatrix.
    DataMatrix(String),
    /// Empty lines.
    Feed(u8),
    /// Cut the paper.
    Cut,
}

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
    /// Empty, too long, or not printable ASCII.
    #[error("a Code 128 is 1 to {CODE128_CHARS_MAX} printable ASCII characters, this is {0:?}")]
    Code128(String),
    /// Empty or too long.
    #[error("a QR code holds 1 to {QR_BYTES_MAX} bytes here, this has {0}: shorten its text")]
    QrLength(usize),
    /// Empty, too long, or not ASCII.
    #[error("a DataMatrix holds 1 to {DATA_MATRIX_BYTES_MAX} ASCII characters here, this has {0} bytes")]
    DataMatrix(usize),
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
        self.blocks.iter().try_for_each(check_block)
    }
}

fn check_block(block: &Block) -> Result<(), DocumentError> {
    match block {
        Block::Ean13 { data } => {
            let expected = ean13_check_digit(data).ok_or_else(|| DocumentError::Ean13Shape(data.clone()))?;
            if data.chars().last().and_then(|c| c.to_digit(10)) == Some(expected) {
                Ok(())
            } else {
                Err(DocumentError::Ean13CheckDigit { data: data.clone(), expected })
            }
        }
        Block::Code128 { data } => {
            let fits = (1..=CODE128_CHARS_MAX).contains(&data.len());
            if fits && data.bytes().all(|b| (0x20..0x7f).contains(&b)) {
                Ok(())
            } else {
                Err(DocumentError::Code128(data.clone()))
            }
        }
        Block::Qr { data } if !(1..=QR_BYTES_MAX).contains(&data.len()) => {
            Err(DocumentError::QrLength(data.len()))
        }
        Block::DataMatrix { data }
            if !data.is_ascii() || !(1..=DATA_MATRIX_BYTES_MAX).contains(&data.len()) =>
        {
            Err(DocumentError::DataMatrix(data.len()))
        }
        _ => Ok(()),
    }
}

/// The check digit that the first twelve of thirteen digits ask for (GS1 General Specifications 7.9: weights 1 and 3).
fn ean13_check_digit(data: &str) -> Option<u32> {
    let digits = data.chars().map(|c| c.to_digit(10)).collect::<Option<Vec<u32>>>()?;
    if digits.len() != 13 {
        return None;
    }
    let sum: u32 = digits.iter().take(12).zip([1, 3].into_iter().cycle()).map(|(d, w)| d * w).sum();
    Some((10 - sum % 10) % 10)
}

/// Breaks a document into lines of `columns` columns. Words are kept whole where they fit; a word longer than a line is
/// split; no character of any text is lost except the blanks at which a line was broken.
#[must_use]
pub fn layout(document: &Document, columns: u8) -> Vec<LaidLine> {
    let columns = columns.max(COLUMNS_MIN);
    let mut lines = Vec::new();
    if let Some(copy) = &document.copy_of {
        lay_copy_banner(copy, columns, &mut lines);
    }
    // The closing banner belongs above the last cut, or it would head the next customer's paper.
    let tail = document
        .blocks
        .iter()
        .rposition(|b| !matches!(b, Block::Cut | Block::Feed { .. }))
        .map_or(0, |i| i + 1);
    let (body, end) = document.blocks.split_at(tail);
    body.iter().for_each(|block| lay_block(block, columns, &mut lines));
    if let Some(copy) = &document.copy_of {
        lay_copy_banner(copy, columns, &mut lines);
    }
    end.iter().for_each(|block| lay_block(block, columns, &mut lines));
    lines
}

const HEADING: Style = Style { align: Align::Centre, bold: true, underline: false, size: Size::Double };
const CENTRED: Style = Style { align: Align::Centre, bold: false, underline: false, size: Size::Normal };
const PLAIN: Style = Style { align: Align::Left, bold: false, underline: false, size: Size::Normal };

fn lay_copy_banner(copy: &CopyOf, columns: u8, lines: &mut Vec<LaidLine>) {
    lay_text("COPY", HEADING, columns, lines);
    if !copy.note.trim().is_empty() {
        lay_text(&copy.note, CENTRED, columns, lines);
    }
}

fn lay_block(block: &Block, columns: u8, lines: &mut Vec<LaidLine>) {
    match block {
        Block::Heading { text } => lay_text(text, HEADING, columns, lines),
        Block::Text { text, style } => lay_text(text, *style, columns, lines),
        Block::Columns { left, right, bold } => {
            lay_row(left, right, Style { bold: *bold, ..PLAIN }, columns, lines);
        }
        Block::Rule => lines.push(LaidLine::Rule),
        Block::Item { name, quantity, amount, details } => {
            match quantity {
                None => lay_row(name, amount, PLAIN, columns, lines),
                Some(quantity) => {
                    lay_text(name, PLAIN, columns, lines);
                    lay_row(&format!("  {quantity}"), amount, PLAIN, columns, lines);
                }
            }
            for detail in details {
                lay_indented(detail, columns, lines);
            }
        }
        Block::Total { label, amount, strong } => {
            let size = if *strong { Size::Tall } else { Size::Normal };
            lay_row(label, amount, Style { bold: *strong, size, ..PLAIN }, columns, lines);
        }
        Block::Qr { data } => lines.push(LaidLine::Qr(data.clone())),
        Block::Ean13 { data } => lines.push(LaidLine::Ean13(data.clone())),
        Block::Code128 { data } => lines.push(LaidLine::Code128(data.clone())),
        Block::DataMatrix { data } => lines.push(LaidLine::DataMatrix(data.clone())),
        Block::Feed { lines: count } => lines.push(LaidLine::Feed(*count)),
        Block::Cut => lines.push(LaidLine::Cut),
    }
}

fn lay_text(text: &str, style: Style, columns: u8, lines: &mut Vec<LaidLine>) {
    let width = usize::from(columns / style.size.columns_per_char());
    lines.extend(wrap(text, width).into_iter().map(|text| LaidLine::Text { text, style }));
}

fn lay_indented(text: &str, columns: u8, lines: &mut Vec<LaidLine>) {
    for line in wrap(text, usize::from(columns) - 2) {
        lines.push(LaidLine::Text { text: format!("  {line}"), style: PLAIN });
    }
}

/// A row with `right` at the right edge of the last line of `left`. Where the two cannot share a line, `right` gets its own.
fn lay_row(left: &str, right: &str, style: Style, columns: u8, lines: &mut Vec<LaidLine>) {
    let width = usize::from(columns);
    let right_width = right.chars().count();
    // Below eight columns beside it, the left text would stand as a tower of syllables.
    let shares = !right.contains('\n') && right_width + 1 + 8 <= width;
    if !shares {
        lay_text(left, style, columns, lines);
        lay_text(right, Style { align: Align::Right, ..style }, columns, lines);
        return;
    }
    let mut rows = wrap(left, width - right_width - 1);
    let last = rows.pop().unwrap_or_default();
    lines.extend(rows.into_iter().map(|text| LaidLine::Text { text, style }));
    let gap = width - last.chars().count() - right_width;
    lines.push(LaidLine::Text { text: format!("{last}{}{right}", " ".repeat(gap)), style });
}

/// Wraps by words into lines of at most `width` characters. Leading blanks of a line of the text are kept as an indent;
/// an empty line stays an empty line; control characters other than line feed become blanks.
fn wrap(text: &str, width: usize) -> Vec<String> {
    text.split('\n').flat_map(|line| wrap_line(line, width.max(1))).collect()
}

fn wrap_line(line: &str, width: usize) -> Vec<String> {
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let indent = line.chars().take_while(|c| *c == ' ').count().min(width / 2);
    let mut rows = Vec::new();
    let mut row = " ".repeat(indent);
    let mut used = indent;
    let mut row_has_word = false;
    for word in line.split(' ').filter(|w| !w.is_empty()) {
        let length = word.chars().count();
        let needs = length + usize::from(row_has_word);
        if used + needs <= width {
            if row_has_word {
                row.push(' ');
            }
            row.push_str(word);
            used += needs;
            row_has_word = true;
            continue;
        }
        if row_has_word {
            rows.push(std::mem::take(&mut row));
            used = 0;
        }
        for c in word.chars() {
            if used == width {
                rows.push(std::mem::take(&mut row));
                used = 0;
            }
            row.push(c);
            used += 1;
        }
        row_has_word = true;
    }
    rows.push(row.trim_end().to_owned());
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(document: &Document, columns: u8) -> Vec<String> {
        let text = |line| match line {
            LaidLine::Text { text, .. } => Some(text),
            _ => None,
        };
        layout(document, columns).into_iter().filter_map(text).collect()
    }

    fn with(blocks: Vec<Block>) -> Document {
        Document { blocks, ..Document::new("test") }
    }

    fn check_row(left: &str, right: &str, columns: u8, expected: &[&str]) {
        let row = Block::Columns { left: left.into(), right: right.into(), bold: false };
        assert_eq!(texts(&with(vec![row]), columns), expected);
    }

    #[test]
    fn a_row_puts_its_right_text_at_the_right_edge() {
        check_row("Cash", "20.00", 32, &["Cash                       20.00"]);
    }

    #[test]
    fn a_long_left_text_wraps_beside_the_amount_which_stands_on_the_last_line() {
        let expected = ["Amoxicillin 500 mg", "capsules, hard, 21    12.40 A"];
        check_row("Amoxicillin 500 mg capsules, hard, 21", "12.40 A", 29, &expected);
    }

    #[test]
    fn a_right_text_too_wide_to_share_gets_its_own_line() {
        check_row("Paid", "by voucher 0042 of the town", 32, &["Paid", "by voucher 0042 of the town"]);
    }

    #[test]
    fn no_character_of_a_text_is_lost_at_any_width() {
        let text =
            "Take ONE tablet twice a day, Donaudampfschifffahrtsgesellschaft!  Not\twith milk.\n\nKeep cool";
        let bare = |s: &str| s.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        for columns in COLUMNS_MIN..=64 {
            for size in [Size::Normal, Size::Tall, Size::Double] {
                let style = Style { size, ..Style::default() };
                let lines = texts(&with(vec![Block::Text { text: text.into(), style }]), columns);
                assert_eq!(bare(&lines.concat()), bare(text), "{columns} columns");
                let width = usize::from(columns / size.columns_per_char());
                assert!(lines.iter().all(|l| l.chars().count() <= width), "{columns} columns: {lines:?}");
            }
        }
    }

    #[test]
    fn an_item_without_quantity_is_one_row_and_with_quantity_two() {
        let item = |quantity: Option<&str>| Block::Item {
            name: "Ibuprofen 400".into(),
            quantity: quantity.map(Into::into),
            amount: "7.00 A".into(),
            details: vec!["Lot A1".into()],
        };
        assert_eq!(texts(&with(vec![item(None)]), 24), ["Ibuprofen 400     7.00 A", "  Lot A1"]);
        let two = ["Ibuprofen 400", "  2 x 3.50        7.00 A", "  Lot A1"];
        assert_eq!(texts(&with(vec![item(Some("2 x 3.50"))]), 24), two);
    }

    #[test]
    fn a_copy_says_so_at_the_top_and_above_the_last_cut() {
        let document = with(vec![
            Block::Text { text: "Receipt 7".into(), style: Style::default() },
            Block::Feed { lines: 2 },
            Block::Cut,
        ])
        .as_copy("of receipt 7");
        assert_eq!(texts(&document, 32), ["COPY", "of receipt 7", "Receipt 7", "COPY", "of receipt 7"]);
        assert_eq!(layout(&document, 32).last(), Some(&LaidLine::Cut));
    }

    fn check_error(block: Block, expected: Option<DocumentError>) {
        assert_eq!(with(vec![block]).check().err(), expected);
    }

    #[test]
    fn a_code_that_cannot_be_drawn_is_refused_with_what_is_wrong() {
        let ean = |data: &str| Block::Ean13 { data: data.into() };
        check_error(ean("9521234543213"), None);
        let wrong = DocumentError::Ean13CheckDigit { data: "9521234543214".into(), expected: 3 };
        check_error(ean("9521234543214"), Some(wrong));
        check_error(ean("952"), Some(DocumentError::Ean13Shape("952".into())));
        check_error(Block::Code128 { data: "é".into() }, Some(DocumentError::Code128("é".into())));
        check_error(Block::Qr { data: "x".repeat(513) }, Some(DocumentError::QrLength(513)));
        check_error(Block::DataMatrix { data: String::new() }, Some(DocumentError::DataMatrix(0)));
    }

    #[test]
    fn a_document_survives_its_json() {
        let document = with(vec![
            Block::Heading { text: "Pestle".into() },
            Block::Text { text: "hello".into(), style: HEADING },
            Block::Total { label: "Total".into(), amount: "1.00".into(), strong: true },
            Block::Cut,
        ])
        .as_copy("again");
        let json = serde_json::to_string(&document).unwrap();
        assert_eq!(serde_json::from_str::<Document>(&json).unwrap(), document);
    }
}
