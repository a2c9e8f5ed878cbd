//! What may be ordered, and what people call it. Pure.

use pestle_domain::{
    catalogue::Recall,
    fact::Lot,
    ids::ProductId,
    order::{OrderBody, RecallIssued, RecallLifted, StockAdjust},
    units::{Day, Quantity},
};

use crate::http::error::ApiError;

/// Longest number of a recall, in characters.
const REFERENCE_LENGTH_MAX: usize = 60;
/// Longest reason, in characters: it is shown at every till.
const REASON_LENGTH_MAX: usize = 200;
/// Longest lot (GS1 AI 10).
const LOT_LENGTH_MAX: usize = 20;
/// More packs than any delivery has: a slip of the finger.
const PACKS_MAX: i64 = 1_000_000;

/// A recall as somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRecall {
    /// The authority's or the maker's number.
    pub reference: String,
    /// The article.
    pub product: ProductId,
    /// The lot; empty or none for all.
    pub lot: Option<String>,
    /// In words.
    pub reason: String,
}

/// A recall to be issued `on` that day.
///
/// # Errors
/// VALIDATION, naming the field.
pub fn recall(raw: RawRecall, on: Day) -> Result<RecallIssued, ApiError> {
    let RawRecall { reference, product, lot, reason } = raw;
    Ok(RecallIssued {
        reference: text("reference", &reference, REFERENCE_LENGTH_MAX)?,
        product,
        lot: lot_of(lot)?,
        reason: text("reason", &reason, REASON_LENGTH_MAX)?,
        issued: on,
    })
}

/// A recall to be lifted.
///
/// # Errors
/// VALIDATION, naming the field.
pub fn lifting(raw: RawRecall) -> Result<RecallLifted, ApiError> {
    let RawRecall { reference, product, lot, reason } = raw;
    Ok(RecallLifted {
        reference: text("reference", &reference, REFERENCE_LENGTH_MAX)?,
        product,
        lot: lot_of(lot)?,
        reason: text("reason", &reason, REASON_LENGTH_MAX)?,
    })
}

/// A correction of a branch's book.
///
/// # Errors
/// VALIDATION, naming the field.
pub fn adjustment(
    product: ProductId,
    lot: Option<String>,
    quantity: i64,
    reason: &str,
) -> Result<StockAdjust, ApiError> {
    if quantity == 0 || quantity.unsigned_abs() > PACKS_MAX.unsigned_abs() {
        return Err(ApiError::validation(format!(
            "quantity: write how many packs to add, or to take off with a minus; at most {PACKS_MAX}, and not 0"
        )));
    }
    let reason = text("reason", reason, REASON_LENGTH_MAX)?;
    Ok(StockAdjust { product, lot: lot_of(lot)?, delta: Quantity(quantity), reason })
}

fn lot_of(lot: Option<String>) -> Result<Option<Lot>, ApiError> {
    match lot.as_deref().map(str::trim).filter(|lot| !lot.is_empty()) {
        Some(lot) => text("lot", lot, LOT_LENGTH_MAX).map(Some),
        None => Ok(None),
    }
}

fn text(field: &str, text: &str, longest: usize) -> Result<Box<str>, ApiError> {
    let text = text.trim();
    if (1..=longest).contains(&text.chars().count()) && !text.chars().any(char::is_control) {
        return Ok(text.into());
    }
    Err(ApiError::validation(format!("{field}: write 1 to {longest} printable characters")))
}

/// The same recall, whatever else is said of it.
pub fn names_recall(body: &OrderBody) -> Option<(&str, &ProductId, Option<&str>)> {
    match body {
        OrderBody::RecallIssued(recall) => Some((&recall.reference, &recall.product, recall.lot.as_deref())),
        OrderBody::RecallLifted(recall) => Some((&recall.reference, &recall.product, recall.lot.as_deref())),
        _ => None,
    }
}

/// What an order says, in a line for people; the kind alone for what this version does not know.
pub fn summary(kind: &str, body: Option<&OrderBody>) -> String {
    let lot =
        |lot: &Option<Lot>| lot.as_deref().map_or_else(|| "every lot".into(), |lot| format!("lot {lot}"));
    match body {
        Some(OrderBody::RecallIssued(recall)) => {
            format!(
                "Recall {}: {}, {} – {}",
                recall.reference,
                recall.product,
                lot(&recall.lot),
                recall.reason
            )
        }
        Some(OrderBody::RecallLifted(recall)) => {
            format!("Recall {} is over: {}, {}", recall.reference, recall.product, lot(&recall.lot))
        }
        Some(OrderBody::StockAdjust(adjust)) => {
            let sign = if adjust.delta.0 > 0 { "+" } else { "" };
            format!(
                "Stock of {}, {}: {sign}{} – {}",
                adjust.product,
                lot(&adjust.lot),
                adjust.delta,
                adjust.reason
            )
        }
        Some(OrderBody::CatalogueChanged(changed)) => {
            format!("Catalogue changed (version {})", changed.version)
        }
        Some(OrderBody::StaffChanged(changed)) => format!("Staff changed (version {})", changed.version),
        None => kind.to_owned(),
    }
}

/// A recall of an import, as an order.
pub fn of_import(recall: &Recall) -> OrderBody {
    RecallIssued::from(recall.clone()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error::ErrorCode;

    fn raw(reference: &str, lot: &str, reason: &str) -> RawRecall {
        RawRecall {
            reference: reference.into(),
            product: "p-1".parse().unwrap(),
            lot: Some(lot.into()),
            reason: reason.into(),
        }
    }

    #[test]
    fn a_field_that_cannot_be_is_named() {
        let on: Day = "2026-11-21".parse().unwrap();
        for (bad, field) in [
            (raw("", "A", "glass"), "reference"),
            (raw("R-1", &"A".repeat(21), "glass"), "lot"),
            (raw("R-1", "A", "glass\nfound"), "reason"),
        ] {
            let error = recall(bad.clone(), on).unwrap_err();
            assert!(error.code == ErrorCode::Validation && error.message.starts_with(field), "{error:?}");
            assert!(lifting(bad).is_err());
        }
        assert_eq!(recall(raw("R-1", " ", "glass"), on).unwrap().lot, None);
        for quantity in [0, PACKS_MAX + 1, i64::MIN] {
            assert!(adjustment("p-1".parse().unwrap(), None, quantity, "x").is_err(), "{quantity}");
        }
    }

    #[test]
    fn what_an_order_says_is_told_in_a_line() {
        let adjust = adjustment("p-1".parse().unwrap(), Some("A".into()), 3, "found").unwrap();
        assert_eq!(summary("stock.adjust", Some(&adjust.into())), "Stock of p-1, lot A: +3 – found");
        assert_eq!(summary("price.changed", None), "price.changed");
    }
}
