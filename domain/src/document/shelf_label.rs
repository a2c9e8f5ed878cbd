//! The label at a shelf's edge: name, price, what that makes for a unit, and a code to scan.

use serde::{Deserialize, Serialize};

use super::{Align, Block, Document, Size, Style};

/// What a shelf label says. All texts are ready to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShelfLabel {
    /// The product's name.
    pub name: String,
    /// Strength, form and pack size, such as "500 mg, 20 tablets"; may be empty.
    pub pack: String,
    /// What one costs, with its currency.
    pub price: String,
    /// What that makes for a unit, such as "0.16 EUR / tablet"; `None` where none is asked for.
    pub unit_price: Option<String>,
    /// What is scanned.
    pub code: ShelfCode,
    /// A small line at the end, such as the date from which the price holds; may be empty.
    pub note: String,
}

/// The code of a shelf label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShelfCode {
    /// A GTIN-13 with its check digit, as EAN-13.
    Ean13(String),
    /// A GTIN-8 with its check digit, as EAN-8.
    Ean8(String),
    /// A GS1 element string, as DataMatrix.
    DataMatrix(String),
    /// A number of the house, as Code 128.
    Code128(String),
    /// No code.
    None,
}

/// The label as a document. It is not checked here: [`Document::check`] does that.
#[must_use]
pub fn shelf_label(label: &ShelfLabel) -> Document {
    let mut document = Document::new(format!("Shelf label {}", label.name));
    let blocks = &mut document.blocks;
    let text = |text: &str, style: Style| Block::Text { text: text.to_owned(), style };
    blocks.push(text(&label.name, Style { bold: true, ..Style::default() }));
    if !label.pack.is_empty() {
        blocks.push(text(&label.pack, Style::default()));
    }
    let price = Style { align: Align::Right, bold: true, size: Size::Double, underline: false };
    blocks.push(text(&label.price, price));
    if let Some(unit_price) = &label.unit_price {
        blocks.push(text(unit_price, Style { align: Align::Right, ..Style::default() }));
    }
    blocks.extend(match label.code.clone() {
        ShelfCode::Ean13(data) => Some(Block::Ean13 { data }),
        ShelfCode::Ean8(data) => Some(Block::Ean8 { data }),
        ShelfCode::DataMatrix(data) => Some(Block::DataMatrix { data }),
        ShelfCode::Code128(data) => Some(Block::Code128 { data }),
        ShelfCode::None => None,
    });
    if !label.note.is_empty() {
        blocks.push(text(&label.note, Style::default()));
    }
    blocks.push(Block::Cut);
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(code: ShelfCode) -> ShelfLabel {
        ShelfLabel {
            name: "Paracetamol".into(),
            pack: "500 mg, 20 tablets".into(),
            price: "3.20 EUR".into(),
            unit_price: Some("0.16 EUR / tablet".into()),
            code,
            note: String::new(),
        }
    }

    #[test]
    fn a_shelf_label_says_name_price_and_unit_price_and_can_be_scanned() {
        let document = shelf_label(&label(ShelfCode::Ean13("9521234543213".into())));
        assert_eq!(document.check(), Ok(()));
        assert_eq!(document.title, "Shelf label Paracetamol");
        let texts: Vec<&str> = document
            .blocks
            .iter()
            .filter_map(|block| match block {
                Block::Text { text, .. } => Some(text.as_str()),
                _ => None,
            })
            .collect();
        assert_eq!(texts, ["Paracetamol", "500 mg, 20 tablets", "3.20 EUR", "0.16 EUR / tablet"]);
        assert!(document.blocks.contains(&Block::Ean13 { data: "9521234543213".into() }));
    }

    #[test]
    fn a_wrong_code_is_seen_before_it_is_printed() {
        assert!(shelf_label(&label(ShelfCode::Ean8("96385070".into()))).check().is_err());
        assert_eq!(shelf_label(&label(ShelfCode::None)).check(), Ok(()));
    }
}
