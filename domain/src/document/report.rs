//! A report: a title, what it is about, and tables.

use super::{Align, Block, Document, Size, Style, TableColumn};

/// A report that is being written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    document: Document,
}

impl Report {
    /// A report with its title at the top.
    #[must_use]
    pub fn new(title: &str) -> Report {
        let mut document = Document::new(title);
        document.blocks.push(Block::Heading { text: title.to_owned() });
        Report { document }
    }

    /// A line such as "Branch … Old Town": what it is, and what it says.
    #[must_use]
    pub fn fact(mut self, label: &str, value: &str) -> Report {
        self.document.blocks.push(Block::Columns {
            left: label.to_owned(),
            right: value.to_owned(),
            bold: false,
        });
        self
    }

    /// A paragraph.
    #[must_use]
    pub fn paragraph(mut self, text: &str) -> Report {
        self.document.blocks.push(Block::Text { text: text.to_owned(), style: Style::default() });
        self
    }

    /// A table between two rules, with a title of its own above it if there is one. A table without rows says so.
    #[must_use]
    pub fn table(mut self, title: &str, columns: Vec<TableColumn>, rows: Vec<Vec<String>>) -> Report {
        let blocks = &mut self.document.blocks;
        if !title.is_empty() {
            let style = Style { bold: true, ..Style::default() };
            blocks.push(Block::Text { text: title.to_owned(), style });
        }
        blocks.push(Block::Rule);
        if rows.is_empty() {
            let style = Style { align: Align::Centre, bold: false, underline: false, size: Size::Normal };
            blocks.push(Block::Text { text: "(none)".to_owned(), style });
        } else {
            blocks.push(Block::Table { columns, rows });
        }
        blocks.push(Block::Rule);
        self
    }

    /// A sum.
    #[must_use]
    pub fn total(mut self, label: &str, amount: &str) -> Report {
        self.document.blocks.push(Block::Total {
            label: label.to_owned(),
            amount: amount.to_owned(),
            strong: true,
        });
        self
    }

    /// The document, cut at its end.
    #[must_use]
    pub fn finish(mut self) -> Document {
        self.document.blocks.push(Block::Cut);
        self.document
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{LaidLine, layout};

    #[test]
    fn a_report_is_a_title_facts_and_tables_between_rules() {
        let column = |title: &str, width, align| TableColumn { title: title.into(), width, align };
        let columns = vec![column("Product", None, Align::Left), column("On hand", Some(7), Align::Right)];
        let document = Report::new("Stock")
            .fact("Branch", "Old Town")
            .table("Below minimum", columns.clone(), vec![vec!["Cream".into(), "2".into()]])
            .table("Expired", columns, Vec::new())
            .total("Lines", "1")
            .finish();
        assert_eq!(document.check(), Ok(()));
        let text = |line| match line {
            LaidLine::Text { text, .. } => text,
            LaidLine::Row { cells, .. } => LaidLine::row_text(&cells),
            LaidLine::Rule => "-".to_owned(),
            _ => "|".to_owned(),
        };
        let lines: Vec<String> = layout(&document, 24).into_iter().map(text).collect();
        let expected = [
            "Stock",
            "Branch          Old Town",
            "Below minimum",
            "-",
            "Product          On hand",
            "Cream                  2",
            "-",
            "Expired",
            "-",
            "(none)",
            "-",
            "Lines                  1",
            "|",
        ];
        assert_eq!(lines, expected);
    }
}
