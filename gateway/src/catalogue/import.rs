//! Reads a catalogue or a list of recalls from CSV (RFC 4180, UTF-8, with a header). Pure: bytes in, articles or the
//! whole list of errors out. Nothing is taken of a file with an error in it.
//!
//! ```text
//! id,gtins,name,price,currency,tax_percent,supply,storage
//! p0001,9520123000017,"Paracetamol 500 mg tablet, 20 pcs",2.49,EUR,7,general,ambient
//! ```
//!
//! `gtins` holds one or several numbers of 8, 12, 13 or 14 digits, separated by spaces. `supply` is general, pharmacy,
//! prescription or controlled; `storage` is ambient or cold. `tax_percent` has at most two decimals.

use std::{collections::HashMap, fmt::Display};

use pestle_domain::{
    catalogue::{Product, Recall, Storage, Supply},
    gs1::Gtin,
    ids::ProductId,
    money::{BasisPoints, Currency, Money},
};
use serde::{Deserialize, de::DeserializeOwned};

/// Longest name, in characters: what a receipt can still wrap readably.
const NAME_LENGTH_MAX: usize = 120;
/// Longest lot (GS1 AI 10).
const LOT_LENGTH_MAX: usize = 20;

/// One error, where it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct LineError {
    /// Counted from 1, the header among them.
    pub line: u64,
    /// What is wrong there.
    pub message: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProductLine {
    id: String,
    gtins: String,
    name: String,
    price: String,
    currency: String,
    tax_percent: String,
    supply: String,
    storage: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecallLine {
    reference: String,
    product: String,
    lot: String,
    reason: String,
    issued: String,
}

/// Reads a catalogue.
///
/// # Errors
/// Every [`LineError`] of the file, in order.
pub fn products(csv: &[u8]) -> Result<Vec<Product>, Vec<LineError>> {
    let mut ids: HashMap<ProductId, u64> = HashMap::new();
    let mut gtins: HashMap<Gtin, u64> = HashMap::new();
    read(csv, |line: ProductLine, number| {
        let product = product(line)?;
        if let Some(first) = ids.insert(product.id.clone(), number) {
            return Err(format!("the article {} stands in line {first} already", product.id));
        }
        for gtin in &product.gtins {
            if let Some(first) = gtins.insert(*gtin, number) {
                return Err(format!("the GTIN {gtin} stands in line {first} already"));
            }
        }
        Ok(product)
    })
}

fn product(line: ProductLine) -> Result<Product, String> {
    let currency: Currency = line.currency.parse().map_err(|error| format!("currency: {error}"))?;
    let price = Money::parse(&line.price, currency).map_err(|error| format!("price: {error}"))?;
    if price.minor < 0 {
        return Err(format!("price: {} is below zero", line.price));
    }
    let gtins = line
        .gtins
        .split_whitespace()
        .map(|digits| {
            Gtin::from_digits(digits.as_bytes()).map_err(|error| format!("gtins: {digits}: {error}"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    if gtins.is_empty() {
        return Err("gtins: write at least one".into());
    }
    Ok(Product {
        id: line.id.parse().map_err(|error| format!("id: {error}"))?,
        gtins,
        name: text("name", &line.name, NAME_LENGTH_MAX)?,
        price,
        tax: basis_points(&line.tax_percent)?,
        supply: word::<Supply>("supply", &line.supply)?,
        storage: word::<Storage>("storage", &line.storage)?,
    })
}

/// Reads a list of recalls: `reference,product,lot,reason,issued`; an empty lot recalls every lot.
///
/// # Errors
/// Every [`LineError`] of the file, in order.
pub fn recalls(csv: &[u8]) -> Result<Vec<Recall>, Vec<LineError>> {
    read(csv, |line: RecallLine, _| {
        let lot = line.lot.trim();
        Ok(Recall {
            reference: text("reference", &line.reference, 60)?,
            product: line.product.parse().map_err(|error| format!("product: {error}"))?,
            lot: if lot.is_empty() { None } else { Some(text("lot", lot, LOT_LENGTH_MAX)?) },
            reason: text("reason", &line.reason, 200)?,
            issued: line.issued.parse().map_err(|error| format!("issued: {error}"))?,
        })
    })
}

/// Reads every line with `take`, collecting values and errors.
pub(crate) fn read<L: DeserializeOwned, T>(
    csv: &[u8],
    mut take: impl FnMut(L, u64) -> Result<T, String>,
) -> Result<Vec<T>, Vec<LineError>> {
    // Spreadsheets begin UTF-8 files with a byte order mark.
    let csv = csv.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(csv);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(csv);
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(error) => return Err(vec![LineError { line: 1, message: csv_error(&error) }]),
    };
    let (mut values, mut errors) = (Vec::new(), Vec::new());
    let mut record = csv::StringRecord::new();
    loop {
        let line = reader.position().line();
        let outcome = match reader.read_record(&mut record) {
            Ok(false) => break,
            Ok(true) => {
                let line = record.position().map_or(line, csv::Position::line);
                let taken = record.deserialize(Some(&header)).map_err(|error| csv_error(&error));
                taken.and_then(|raw| take(raw, line)).map_err(|message| LineError { line, message })
            }
            Err(error) => {
                let line = error.position().map_or(line, csv::Position::line);
                Err(LineError { line, message: csv_error(&error) })
            }
        };
        match outcome {
            Ok(value) => values.push(value),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

/// The library's message without its own position, which we give ourselves.
fn csv_error(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => err.kind().to_string(),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!("{len} fields instead of {expected_len}: a text with a comma must stand in double quotes")
        }
        csv::ErrorKind::Utf8 { .. } => "the text is not UTF-8: save the file as \"CSV UTF-8\"".into(),
        _ => error.to_string(),
    }
}

fn text(field: &str, text: &str, longest: usize) -> Result<Box<str>, String> {
    let length = text.chars().count();
    if (1..=longest).contains(&length) && !text.chars().any(char::is_control) {
        return Ok(text.into());
    }
    Err(format!("{field}: write 1 to {longest} printable characters"))
}

/// A word of one of the domain's lists, as JSON spells it.
fn word<T: DeserializeOwned>(field: &str, text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|error| format!("{field}: {error}"))
}

/// `7`, `19.0` or `7.25`, in hundredths of a per cent.
fn basis_points(text: &str) -> Result<BasisPoints, String> {
    let bad = || format!("tax_percent: \"{text}\" is no rate: write it like 7 or 7.25");
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 2 || part.len() > 2 || !digits(whole) || !digits(part) {
        return Err(bad());
    }
    format!("{whole}{part:0<2}").parse().map(BasisPoints).map_err(|_| bad())
}

/// All errors, one a line, for a person.
pub fn tell(errors: &[impl Display]) -> String {
    let mut lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.push("nothing was imported: correct the file and import it again".into());
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "id,gtins,name,price,currency,tax_percent,supply,storage\n";

    fn lines(lines: &str) -> Result<Vec<Product>, Vec<LineError>> {
        products(format!("{HEADER}{lines}").as_bytes())
    }

    #[test]
    fn an_article_is_read_with_all_it_has() {
        let gtin = Gtin::with_check_digit(b"0952012300001").unwrap();
        let read =
            lines(&format!("p1,{gtin},\"Ibuprofen 400 mg, 20 pcs\",4.99,EUR,7.25,general,cold\n")).unwrap();
        assert_eq!(&*read[0].name, "Ibuprofen 400 mg, 20 pcs");
        assert_eq!(read[0].gtins, [gtin]);
        assert_eq!(read[0].price, Money::new(499, Currency::EUR));
        assert_eq!((read[0].tax, read[0].storage), (BasisPoints(725), Storage::Cold));
    }

    #[test]
    fn every_error_is_named_with_its_line_and_nothing_is_taken() {
        let errors = lines(
            "p1,9520123000018,A,1.00,EUR,7,general,ambient\n\
             P 2,95,B,x,EUR,7,general,ambient\n\
             p3,,C,1.00,EUR,7,general,ambient\n\
             p4,1,D\n",
        )
        .unwrap_err();
        let at: Vec<u64> = errors.iter().map(|error| error.line).collect();
        assert_eq!(at, [2, 3, 4, 5], "{errors:?}");
        assert!(errors[0].message.contains("9520123000018"), "{}", errors[0]);
        assert!(errors[3].message.contains("double quotes"), "{}", errors[3]);
        assert!(tell(&errors).ends_with("import it again"));
    }

    #[test]
    fn a_missing_or_unknown_column_is_named() {
        let said = products(b"id,name\np1,A\n").unwrap_err().remove(0).to_string();
        assert!(said.contains("gtins"), "{said}");
    }

    #[test]
    fn tax_has_at_most_two_decimals() {
        for (text, points) in [("7", 700), ("19.0", 1900), ("7.25", 725), ("0", 0)] {
            assert_eq!(basis_points(text), Ok(BasisPoints(points)), "{text}");
        }
        for bad in ["", "7.255", "-1", "100", "7,5", ".5"] {
            assert!(basis_points(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_recall_without_a_lot_recalls_every_lot() {
        let csv =
            b"reference,product,lot,reason,issued\nR-1,p1,,Glass,2026-11-01\nR-2,p1,A12,Label,2026-11-02\n";
        let read = recalls(csv).unwrap();
        assert_eq!((read[0].lot.as_deref(), read[1].lot.as_deref()), (None, Some("A12")));
    }
}
