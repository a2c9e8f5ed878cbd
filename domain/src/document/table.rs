//! Tables: each cell is wrapped within its column. A table that is too wide for the paper becomes a list.

use super::{
    Align, Size, Style, TableColumn,
    layout::{LaidCell, LaidLine, lay_text, wrap},
};

/// Fewer columns than this for a cell, and it would stand as a tower of syllables.
const CELL_COLUMNS_MIN: u8 = 4;

const PLAIN: Style = Style { align: Align::Left, bold: false, underline: false, size: Size::Normal };

pub(super) fn lay_table(table: &[TableColumn], rows: &[Vec<String>], columns: u8, lines: &mut Vec<LaidLine>) {
    let Some(widths) = widths(table, columns) else { return lay_as_list(table, rows, columns, lines) };
    if table.iter().any(|column| !column.title.is_empty()) {
        let titles: Vec<String> = table.iter().map(|column| column.title.clone()).collect();
        lay_cells(table, &widths, &titles, Style { bold: true, ..PLAIN }, lines);
    }
    for row in rows {
        lay_cells(table, &widths, row, PLAIN, lines);
    }
}

/// How wide each column is, with one blank between two; `None` when they do not fit.
fn widths(table: &[TableColumn], columns: u8) -> Option<Vec<u8>> {
    let gaps = u8::try_from(table.len().checked_sub(1)?).ok()?;
    let fixed = table.iter().filter_map(|column| column.width).try_fold(gaps, u8::checked_add)?;
    let mut left = columns.checked_sub(fixed)?;
    let mut sharing = u8::try_from(table.iter().filter(|column| column.width.is_none()).count()).ok()?;
    let mut widths = Vec::new();
    for column in table {
        let width = match column.width {
            Some(width) => width,
            None => {
                let share = left / sharing;
                left -= share;
                sharing -= 1;
                share
            }
        };
        if width < CELL_COLUMNS_MIN.min(column.width.unwrap_or(CELL_COLUMNS_MIN)).max(1) {
            return None;
        }
        widths.push(width);
    }
    Some(widths)
}

fn lay_cells(table: &[TableColumn], widths: &[u8], row: &[String], style: Style, lines: &mut Vec<LaidLine>) {
    let cell = |at: usize, width: u8| wrap(row.get(at).map_or("", String::as_str), usize::from(width));
    let wrapped: Vec<Vec<String>> = widths.iter().enumerate().map(|(at, width)| cell(at, *width)).collect();
    let height = wrapped.iter().map(Vec::len).max().unwrap_or(0);
    for line in 0..height {
        let mut start = 0;
        let mut cells = Vec::new();
        for ((column, width), texts) in table.iter().zip(widths).zip(&wrapped) {
            if let Some(text) = texts.get(line).filter(|text| !text.is_empty()) {
                cells.push(LaidCell { text: text.clone(), start, columns: *width, align: column.align });
            }
            start += width + 1;
        }
        lines.push(LaidLine::Row { cells, style });
    }
}

/// `Title: cell`, a line each, an empty line between two rows.
fn lay_as_list(table: &[TableColumn], rows: &[Vec<String>], columns: u8, lines: &mut Vec<LaidLine>) {
    for (number, row) in rows.iter().enumerate() {
        if number > 0 {
            lines.push(LaidLine::Feed(1));
        }
        for (column, cell) in table.iter().zip(row) {
            let text =
                if column.title.is_empty() { cell.clone() } else { format!("{}: {cell}", column.title) };
            lay_text(&text, PLAIN, columns, lines);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(title: &str, width: Option<u8>, align: Align) -> TableColumn {
        TableColumn { title: title.into(), width, align }
    }

    fn texts(table: &[TableColumn], rows: &[&[&str]], columns: u8) -> Vec<String> {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| (*cell).to_owned()).collect()).collect();
        let mut lines = Vec::new();
        lay_table(table, &rows, columns, &mut lines);
        let text = |line| match line {
            LaidLine::Row { cells, .. } => LaidLine::row_text(&cells),
            LaidLine::Text { text, .. } => text,
            _ => String::new(),
        };
        lines.into_iter().map(text).collect()
    }

    #[test]
    fn cells_stand_in_their_columns_and_wrap_there() {
        let table = [
            column("Product", None, Align::Left),
            column("Qty", Some(4), Align::Right),
            column("Lot", Some(6), Align::Centre),
        ];
        let rows: &[&[&str]] = &[&["Paracetamol 500 mg tablets", "12", "A1"], &["Cream", "3"]];
        let expected =
            ["Product       Qty  Lot", "Paracetamol    12   A1", "500 mg", "tablets", "Cream           3"];
        assert_eq!(texts(&table, rows, 24), expected);
    }

    #[test]
    fn a_table_that_is_too_wide_becomes_a_list_and_loses_nothing() {
        let table = [column("Product", None, Align::Left), column("Batch", Some(14), Align::Left)];
        let expected = ["Product: Cream", "Batch: A1", "", "Product: Salve", "Batch: B2"];
        assert_eq!(texts(&table, &[&["Cream", "A1"], &["Salve", "B2"]], 16), expected);
    }
}
