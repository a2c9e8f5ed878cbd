//! From a document to lines of a fixed number of columns. Nothing is cut: what is too long is wrapped.

use unicode_width::UnicodeWidthChar as _;

use super::{Align, Block, CopyOf, Document, Size, Style, Symbol, table::lay_table};

/// The narrowest paper that is laid out, in columns; narrower requests are treated as this.
pub const COLUMNS_MIN: u8 = 16;

/// One line as it is to be printed, or a thing between lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaidLine {
    /// Text that fits: at most `columns / style.size.columns_per_char()` columns, its alignment still to be applied.
    Text {
        /// No line feeds in it.
        text: String,
        /// How it looks.
        style: Style,
    },
    /// Several texts in one line, from left to right, each within its own columns. None of double width.
    Row {
        /// They do not overlap.
        cells: Vec<LaidCell>,
        /// How they look; each cell has its own alignment.
        style: Style,
    },
    /// A line across all columns.
    Rule,
    /// A code that a scanner reads.
    Symbol(Symbol),
    /// The picture of this name.
    Picture(String),
    /// Empty lines.
    Feed(u8),
    /// Cut the paper.
    Cut,
}

/// A text with its place in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaidCell {
    /// No line feeds in it; it fits.
    pub text: String,
    /// Its first column, from 0.
    pub start: u8,
    /// How many columns it may take.
    pub columns: u8,
    /// Where it stands within them.
    pub align: Align,
}

impl LaidLine {
    /// The text of a row with blanks between its cells, as a printer of fixed-width characters prints it.
    #[must_use]
    pub fn row_text(cells: &[LaidCell]) -> String {
        let end = cells.iter().map(|cell| usize::from(cell.start.saturating_add(cell.columns))).max();
        // Letters of other scripts take more bytes than columns.
        let mut row = String::with_capacity(end.unwrap_or(0) * 2);
        let mut used = 0;
        for cell in cells {
            let columns = columns_of(&cell.text);
            let room = usize::from(cell.columns).saturating_sub(columns);
            let before = match cell.align {
                Align::Left => 0,
                Align::Centre => room / 2,
                Align::Right => room,
            };
            let start = usize::from(cell.start) + before;
            push_blanks(&mut row, start.saturating_sub(used));
            row.push_str(&cell.text);
            used = used.max(start) + columns;
        }
        row.truncate(row.trim_end().len());
        row
    }
}

fn push_blanks(row: &mut String, count: usize) {
    const BLANKS: &str = "                                                                ";
    match BLANKS.get(..count) {
        Some(blanks) => row.push_str(blanks),
        None => row.extend(std::iter::repeat_n(' ', count)),
    }
}

/// How many columns a text takes: two for each wide character of East Asia, none for a mark upon another character
/// (Unicode Standard Annex 11).
#[must_use]
pub fn columns_of(text: &str) -> usize {
    if text.bytes().all(is_plain) {
        return text.len();
    }
    text.chars().map(columns_of_char).sum()
}

/// A printable ASCII character: one column.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

fn columns_of_char(character: char) -> usize {
    character.width().unwrap_or(0)
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
        Block::Table { columns: cells, rows } => lay_table(cells, rows, columns, lines),
        Block::Picture { name } => lines.push(LaidLine::Picture(name.clone())),
        Block::Feed { lines: count } => lines.push(LaidLine::Feed(*count)),
        Block::Cut => lines.push(LaidLine::Cut),
        Block::Qr { .. }
        | Block::Ean13 { .. }
        | Block::Ean8 { .. }
        | Block::Code128 { .. }
        | Block::Gs1Barcode { .. }
        | Block::ScannerCode { .. }
        | Block::DataMatrix { .. } => lines.extend(block.symbol().map(LaidLine::Symbol)),
    }
}

pub(super) fn lay_text(text: &str, style: Style, columns: u8, lines: &mut Vec<LaidLine>) {
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
    // Below eight columns beside it, the left text would stand as a tower of syllables.
    let right_columns = u8::try_from(columns_of(right))
        .ok()
        .filter(|right_columns| !right.contains('\n') && right_columns.saturating_add(1 + 8) <= columns);
    let Some(right_columns) = right_columns else {
        lay_text(left, style, columns, lines);
        lay_text(right, Style { align: Align::Right, ..style }, columns, lines);
        return;
    };
    let left_columns = columns - right_columns - 1;
    let last = if fits_as_it_is(left, usize::from(left_columns)) {
        left.to_owned()
    } else {
        let mut rows = wrap(left, usize::from(left_columns));
        let last = rows.pop().unwrap_or_default();
        lines.extend(rows.into_iter().map(|text| LaidLine::Text { text, style }));
        last
    };
    let left = LaidCell { text: last, start: 0, columns: left_columns, align: Align::Left };
    let start = columns - right_columns;
    let right = LaidCell { text: right.to_owned(), start, columns: right_columns, align: Align::Right };
    lines.push(LaidLine::Row { cells: vec![left, right], style });
}

/// Wraps by words into lines of at most `width` columns. Leading blanks of a line of the text are kept as an indent;
/// an empty line stays an empty line; control characters other than line feed become blanks.
pub(super) fn wrap(text: &str, width: usize) -> Vec<String> {
    // A wide character takes two.
    text.split('\n').flat_map(|line| wrap_line(line, width.max(2))).collect()
}

/// Whether wrapping would leave a text as it is: most do fit, and nothing in them is another line or a blank too many.
fn fits_as_it_is(text: &str, width: usize) -> bool {
    let untouched = !text.starts_with(' ') && !text.ends_with(' ') && !text.contains("  ");
    untouched && text.len() <= width && text.bytes().all(is_plain)
}

fn wrap_line(line: &str, width: usize) -> Vec<String> {
    if fits_as_it_is(line, width) {
        return vec![line.to_owned()];
    }
    let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let indent = line.chars().take_while(|c| *c == ' ').count().min(width / 2);
    let mut rows = Vec::new();
    let mut row = " ".repeat(indent);
    let mut used = indent;
    let mut row_has_word = false;
    for word in line.split(' ').filter(|w| !w.is_empty()) {
        let length = columns_of(word);
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
            // A mark takes no column and stays with its character.
            let needs = columns_of_char(c);
            if used + needs > width {
                rows.push(std::mem::take(&mut row));
                used = 0;
            }
            row.push(c);
            used += needs;
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
            LaidLine::Row { cells, .. } => Some(LaidLine::row_text(&cells)),
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
    fn a_wide_character_takes_two_columns_and_a_mark_none() {
        check_row("阿莫西林胶囊", "9.00", 20, &["阿莫西林胶囊    9.00"]);
        check_row("cre\u{301}me", "9.00", 20, &["cre\u{301}me           9.00"]);
        check_row("阿莫西林胶囊", "9.00", 16, &["阿莫西林胶", "囊          9.00"]);
    }

    #[test]
    fn no_character_of_a_text_is_lost_at_any_width() {
        let text = "Take ONE tablet twice a day, Donaudampfschifffahrtsgesellschaft! 每日两次每次一片饭后服用  Not\twith milk.\n\nKeep cool";
        let bare = |s: &str| s.chars().filter(|c| !c.is_whitespace()).collect::<String>();
        for columns in COLUMNS_MIN..=64 {
            for size in [Size::Normal, Size::Tall, Size::Double] {
                let style = Style { size, ..Style::default() };
                let lines = texts(&with(vec![Block::Text { text: text.into(), style }]), columns);
                assert_eq!(bare(&lines.concat()), bare(text), "{columns} columns");
                let width = usize::from(columns / size.columns_per_char());
                assert!(lines.iter().all(|l| columns_of(l) <= width), "{columns} columns: {lines:?}");
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
}
