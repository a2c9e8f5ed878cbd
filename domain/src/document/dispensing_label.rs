//! The label on a dispensed medicine.
//!
//! What it says follows the Human Medicines Regulations 2012 (United Kingdom), schedule 25, part 1: the name of the person
//! whom it is for, the supplier's name and address, the date, and, as prescribed or as the pharmacist judges, the product,
//! directions for use and precautions. "Keep out of the reach and sight of children" is what the Royal Pharmaceutical
//! Society recommends beside that (Medicines, Ethics and Practice, 3.3.7). 21 CFR 1306.14(a) (United States, schedule II)
//! asks for the prescription's serial number and the prescriber too. All texts arrive ready to read, in the patient's
//! language; nothing is formatted here.

use super::{Block, Document, Style};

/// What a dispensing label says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispensingLabel {
    /// The patient's name.
    pub patient: String,
    /// The product, its strength and its form: "Amoxicillin 500 mg capsules".
    pub product: String,
    /// How much is in the container: "21 capsules".
    pub quantity: String,
    /// How to take it: "Take ONE three times a day".
    pub directions: String,
    /// Precautions and warnings, each a sentence of its own; may be empty.
    pub warnings: Vec<String>,
    /// The day of dispensing.
    pub date: String,
    /// Who supplies it: name and address of the pharmacy.
    pub pharmacy: String,
    /// The number of the prescription or the dispensing.
    pub serial: Option<String>,
    /// Who prescribed it.
    pub prescriber: Option<String>,
    /// Batch and expiry, where they are not readable on the pack: "Lot A1, exp 12/2027".
    pub lot: Option<String>,
    /// Such as "Keep out of the reach and sight of children".
    pub children: String,
    /// The code of this dispensing, for the hand-out.
    pub code: DispensingCode,
}

/// How a dispensing is scanned when it is handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DispensingCode {
    /// A GS1 element string.
    DataMatrix(String),
    /// Any text.
    Qr(String),
    /// No code.
    None,
}

/// What a label must say and does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a dispensing label needs {0}")]
pub struct LabelLacks(pub &'static str);

/// The label as a document. Whether its code can be drawn is for [`Document::check`].
///
/// # Errors
/// A text without which no label may leave the pharmacy is empty.
pub fn dispensing_label(label: &DispensingLabel) -> Result<Document, LabelLacks> {
    let needed = [
        (&label.patient, "the patient's name"),
        (&label.product, "the product"),
        (&label.quantity, "the quantity"),
        (&label.directions, "directions for use"),
        (&label.date, "the date of dispensing"),
        (&label.pharmacy, "the pharmacy's name and address"),
        (&label.children, "\"keep out of the reach and sight of children\""),
    ];
    if let Some((_, what)) = needed.iter().find(|(text, _)| text.trim().is_empty()) {
        return Err(LabelLacks(what));
    }
    let mut document = Document::new(format!("{}: {}", label.patient, label.product));
    let line = |text: &str, bold| {
        let style = Style { bold, ..Style::default() };
        Block::Text { text: text.to_owned(), style }
    };
    let row = |left: &str, right: &str, bold| Block::Columns { left: left.into(), right: right.into(), bold };
    document.blocks = match label.code.clone() {
        DispensingCode::DataMatrix(data) => vec![Block::DataMatrix { data }],
        DispensingCode::Qr(data) => vec![Block::Qr { data }],
        DispensingCode::None => Vec::new(),
    };
    let blocks = &mut document.blocks;
    blocks.push(row(&label.product, &label.quantity, true));
    blocks.push(line(&label.directions, true));
    blocks.extend(label.warnings.iter().map(|warning| line(warning, false)));
    blocks.push(row(&label.patient, &label.date, true));
    blocks.extend(match (&label.prescriber, &label.serial) {
        (None, None) => None,
        (Some(prescriber), None) => Some(line(prescriber, false)),
        (None, Some(serial)) => Some(line(serial, false)),
        (Some(prescriber), Some(serial)) => Some(row(prescriber, serial, false)),
    });
    blocks.extend(label.lot.as_ref().map(|lot| line(lot, false)));
    blocks.push(line(&label.children, false));
    blocks.push(line(&label.pharmacy, false));
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{LaidLine, layout};

    fn label() -> DispensingLabel {
        DispensingLabel {
            patient: "Mrs Jane Doe".into(),
            product: "Amoxicillin 500 mg capsules".into(),
            quantity: "21 capsules".into(),
            directions: "Take ONE three times a day".into(),
            warnings: vec!["Space the doses evenly. Finish the course.".into()],
            date: "22 Nov 2026".into(),
            pharmacy: "Old Town Pharmacy, 1 Market Square, Old Town".into(),
            serial: None,
            prescriber: None,
            lot: None,
            children: "Keep out of the reach and sight of children".into(),
            code: DispensingCode::None,
        }
    }

    fn lines(label: &DispensingLabel) -> Vec<String> {
        let text = |line| match line {
            LaidLine::Text { text, .. } => text,
            LaidLine::Row { cells, .. } => LaidLine::row_text(&cells),
            LaidLine::Symbol(symbol) => symbol.data,
            other => format!("{other:?}"),
        };
        layout(&dispensing_label(label).unwrap(), 48).into_iter().map(text).collect()
    }

    #[test]
    fn a_label_says_all_that_it_must() {
        let expected = [
            "Amoxicillin 500 mg capsules          21 capsules",
            "Take ONE three times a day",
            "Space the doses evenly. Finish the course.",
            "Mrs Jane Doe                         22 Nov 2026",
            "Keep out of the reach and sight of children",
            "Old Town Pharmacy, 1 Market Square, Old Town",
        ];
        assert_eq!(lines(&label()), expected);
    }

    #[test]
    fn a_controlled_substance_names_its_prescriber_and_number_too() {
        let label = DispensingLabel {
            prescriber: Some("Dr A. Reed".into()),
            serial: Some("No 4711".into()),
            lot: Some("Lot A1, exp 12/2027".into()),
            code: DispensingCode::Qr("4711".into()),
            ..label()
        };
        let lines = lines(&label);
        assert_eq!(lines[0], "4711");
        assert_eq!(lines[5..7], ["Dr A. Reed                               No 4711", "Lot A1, exp 12/2027"]);
    }

    #[test]
    fn a_label_that_lacks_what_it_must_say_is_not_made() {
        let check = |change: fn(&mut DispensingLabel), what| {
            let mut label = label();
            change(&mut label);
            assert_eq!(dispensing_label(&label), Err(LabelLacks(what)));
        };
        check(|label| label.patient = " ".into(), "the patient's name");
        check(|label| label.directions.clear(), "directions for use");
        check(|label| label.pharmacy.clear(), "the pharmacy's name and address");
        check(|label| label.children.clear(), "\"keep out of the reach and sight of children\"");
    }
}
