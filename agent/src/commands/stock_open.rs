//! `pestle-agent stock-open FILE.csv`: books a branch's first stock. The columns are `gtin,lot,expiry,quantity` in any
//! order, or `product` in place of `gtin`; lot and expiry may be empty. The ids of its acts follow from the file's content,
//! so the same file twice changes nothing.

use std::collections::BTreeMap;

use pestle_domain::{
    fact::{Act, Actor, LotIn, Stamp, StockOpened},
    gs1::Gtin,
    ids::{ActId, FactId, ProductId},
    signature::Hash,
    units::{Day, Quantity},
};
use uuid::Uuid;

use crate::{
    counter::books::Books,
    journal::{Journal, JournalError},
};

/// Lines in one act: some 100 bytes each, so an act of stock is far below what a batch may carry.
const LINES_PER_ACT: usize = 500;
/// Longest lot (GS1 AI 10).
const LOT_CHARACTERS_MAX: usize = 20;
/// Under which act ids of stock files are derived (RFC 9562, version 5); drawn once.
const NAMESPACE: Uuid = Uuid::from_u128(0x7b0d_5a52_3c0e_4f5a_9a56_7a1d_2f40_91c3);

/// Why a file is not booked. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StockFileError {
    /// The first line.
    #[error("line 1: {0}")]
    Header(String),
    /// Another line.
    #[error("line {line}: {what}")]
    Line {
        /// From 1.
        line: usize,
        /// What is wrong, and what to write.
        what: String,
    },
    /// Not text, or in an older encoding.
    #[error("line {line}: this is no UTF-8 text: save the file as \"CSV UTF-8\"")]
    NotText {
        /// From 1.
        line: usize,
    },
    /// Nothing to book.
    #[error("the file has no line of stock below its header")]
    Empty,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Booked {
    /// Lines that were booked now.
    pub lines: usize,
    /// Acts that were there already.
    pub repeated: usize,
}

/// Reads the file; `product_of` finds a GTIN's article.
///
/// # Errors
/// [`StockFileError`] with the line.
pub fn parse(
    text: &str,
    product_of: impl Fn(Gtin) -> Option<ProductId>,
) -> Result<Vec<LotIn>, StockFileError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = (1..).zip(text.lines());
    let (_, header) = lines.next().ok_or(StockFileError::Empty)?;
    let columns = columns(header).map_err(StockFileError::Header)?;
    let mut stock = Vec::new();
    for (line, row) in lines.filter(|(_, row)| !row.trim().is_empty()) {
        stock.push(read_row(row, &columns, &product_of).map_err(|what| StockFileError::Line { line, what })?);
    }
    if stock.is_empty() { Err(StockFileError::Empty) } else { Ok(stock) }
}

/// The text of a file.
///
/// # Errors
/// [`StockFileError::NotText`].
pub fn text(bytes: &[u8]) -> Result<&str, StockFileError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        StockFileError::NotText { line: before.split(|byte| *byte == b'\n').count() }
    })
}

fn columns(header: &str) -> Result<BTreeMap<&str, usize>, String> {
    let known = ["gtin", "product", "lot", "expiry", "quantity"];
    let mut columns = BTreeMap::new();
    for (index, name) in header.split(',').map(str::trim).enumerate() {
        if !known.contains(&name) {
            return Err(format!("\"{name}\" is no column: write gtin,lot,expiry,quantity"));
        }
        if columns.insert(name, index).is_some() {
            return Err(format!("the column \"{name}\" is there twice"));
        }
    }
    if !columns.contains_key("quantity") || !(columns.contains_key("gtin") || columns.contains_key("product"))
    {
        return Err("the columns gtin (or product) and quantity are needed: write gtin,lot,expiry,quantity"
            .to_owned());
    }
    Ok(columns)
}

fn read_row(
    row: &str,
    columns: &BTreeMap<&str, usize>,
    product_of: &impl Fn(Gtin) -> Option<ProductId>,
) -> Result<LotIn, String> {
    let cells: Vec<&str> = row.split(',').map(str::trim).collect();
    if cells.len() != columns.len() {
        return Err(format!("{} cells, but {} columns", cells.len(), columns.len()));
    }
    let cell = |name: &str| {
        columns.get(name).and_then(|index| cells.get(*index)).copied().filter(|text| !text.is_empty())
    };
    let product = match (cell("product"), cell("gtin")) {
        (Some(product), _) => product.parse().map_err(|error| format!("{error}"))?,
        (None, Some(digits)) => {
            let gtin =
                Gtin::from_digits(digits.as_bytes()).map_err(|error| format!("gtin {digits}: {error}"))?;
            product_of(gtin).ok_or_else(|| {
                format!("gtin {digits} is not in this branch's catalogue: add it at the centre, or leave the line out")
            })?
        }
        (None, None) => return Err("the gtin is missing".to_owned()),
    };
    let lot = cell("lot");
    if lot.is_some_and(|lot| lot.chars().count() > LOT_CHARACTERS_MAX) {
        return Err(format!("a lot has at most {LOT_CHARACTERS_MAX} characters"));
    }
    let expiry: Option<Day> =
        cell("expiry").map(str::parse).transpose().map_err(|error| format!("expiry: {error}"))?;
    let quantity = cell("quantity").and_then(|text| text.parse().ok()).map(Quantity);
    let quantity = quantity
        .filter(|quantity| *quantity > Quantity::ZERO)
        .ok_or("the quantity is a whole number of packs above zero")?;
    Ok(LotIn { product, lot: lot.map(Into::into), expiry, quantity })
}

/// The acts that book `stock`; the same content gives the same ids.
pub fn acts(text: &str, stock: &[LotIn], stamp: &Stamp) -> Vec<Act> {
    let content = Hash::of(text.as_bytes());
    stock
        .chunks(LINES_PER_ACT)
        .enumerate()
        .map(|(index, lines)| {
            let id = ActId(Uuid::new_v5(&NAMESPACE, format!("stock-open/{content}/{index}").as_bytes()));
            let body = StockOpened { lines: lines.to_vec() };
            // The fact's bytes have the time in them: under the same id the centre would take them for a contradiction.
            Act::new(id, &Actor::Machine, stamp, vec![body.into()], || FactId(Uuid::now_v7()))
        })
        .collect()
}

/// Why stock is not booked.
#[derive(Debug, thiserror::Error)]
pub enum StockError {
    /// The disk refuses.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Nobody can tell here whether the file was booked before.
    #[error(
        "this box's own books lack facts that have left it, and the centre did not give them: whether this file was booked before cannot be told. Check the network, and call support if it stays so"
    )]
    BooksIncomplete,
    /// It was to be the first file, and is not.
    #[error(
        "this box has booked its opening stock from another file. If the power went while it did, bring that file once more, and the box goes on with it; what differs otherwise is booked as a delivery, or with a count"
    )]
    NotFirst,
}

/// Appends those of `acts` that `books`, folded from this journal, do not have. (The journal alone does not say it: its old
/// facts may have left the box.) With `first`, only if no other file was booked before.
///
/// # Errors
/// [`StockError`]; what was booked before it stays booked, and a repeat books the rest.
pub fn book(journal: &Journal, books: &Books, acts: Vec<Act>, first: bool) -> Result<Booked, StockError> {
    let (known, new): (Vec<_>, Vec<_>) = acts.into_iter().partition(|act| books.has_opened_stock(act.id));
    if !new.is_empty() && !books.missing().is_empty() {
        return Err(StockError::BooksIncomplete);
    }
    if first && known.is_empty() && books.has_stock_opened() {
        return Err(StockError::NotFirst);
    }
    let mut booked = Booked { lines: 0, repeated: known.len() };
    for act in new {
        booked.lines += lines_of(&act);
        journal.append_blocking(act.into())?;
    }
    Ok(booked)
}

fn lines_of(act: &Act) -> usize {
    act.facts
        .iter()
        .map(|fact| match &fact.body {
            pestle_domain::fact::FactBody::StockOpened(opened) => opened.lines.len(),
            _ => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        counter::{fold::Nowhere, keep::Keep},
        journal::{Settings, testing},
    };

    fn product(gtin: Gtin) -> Option<ProductId> {
        (gtin.as_str() == "09520123456788").then(|| "aspirin".parse().unwrap())
    }

    fn check(text: &str, expected: &str) {
        let said = parse(text, product).unwrap_err().to_string();
        assert!(said.contains(expected), "{said:?} should contain {expected:?}");
    }

    const GOOD: &str = "gtin,lot,expiry,quantity\n09520123456788,A1,2027-01-31,12\n9520123456788,,,3\n";

    #[test]
    fn a_file_is_read_with_what_is_wrong_in_which_line() {
        let stock = parse(GOOD, product).unwrap();
        assert_eq!(stock.len(), 2);
        assert_eq!((stock[0].lot.as_deref(), stock[0].quantity), (Some("A1"), Quantity(12)));
        assert_eq!((stock[1].lot.as_deref(), stock[1].expiry), (None, None));
        assert_eq!(parse("quantity,product\r\n1,aspirin\r\n", product).unwrap()[0].quantity, Quantity::ONE);
        assert_eq!(text(b"gtin\n\xef\xbb\xbfK\xc3\xb6"), Ok("gtin\n\u{feff}K\u{f6}"));
        let said = text(b"gtin,lot\n1,2\nK\xf6ln").unwrap_err().to_string();
        assert!(said.contains("line 3") && said.contains("CSV UTF-8"), "{said}");
        check("", "no line");
        check("gtin,lot,expiry,quantity\n", "no line");
        check("gtin,batch,quantity\n", "line 1: \"batch\" is no column");
        check("lot,quantity\n", "line 1: the columns gtin");
        check("gtin,quantity\n09520123456789,1\n", "line 2: gtin 09520123456789");
        check("gtin,quantity\n09520000000004,1\n", "line 2: gtin");
        check("gtin,quantity\n09520123456788,0\n", "line 2: the quantity");
        check("gtin,quantity\n09520123456788\n", "line 2: 1 cells");
        check("gtin,expiry,quantity\n09520123456788,31.1.2027,1\n", "line 2: expiry");
    }

    #[test]
    fn the_same_file_twice_changes_nothing_and_another_is_no_first_one() {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            Settings { folder: folder.path().into(), stream: testing::stream(), limits: Default::default() };
        let (journal, _) = Journal::open(settings, &testing::stamp()).unwrap();
        let stock = parse(GOOD, product).unwrap();
        let keep = Keep::new(folder.path().join("counter")).unwrap();
        let booked = || {
            let books = keep.fold(&journal, &Nowhere).unwrap().books;
            book(&journal, &books, acts(GOOD, &stock, &testing::stamp()), true).unwrap()
        };
        let first = booked();
        assert_eq!(first, Booked { lines: 2, repeated: 0 });
        let head = journal.head();
        let again = booked();
        assert_eq!(again, Booked { lines: 0, repeated: 1 });
        assert_eq!(journal.head(), head);

        let other = format!("{GOOD}9520123456788,A2,,1\n");
        let stock = parse(&other, product).unwrap();
        let books = keep.fold(&journal, &Nowhere).unwrap().books;
        let refused = book(&journal, &books, acts(&other, &stock, &testing::stamp()), true);
        assert!(matches!(refused, Err(StockError::NotFirst)), "{refused:?}");
        assert_eq!(journal.head(), head);
        let added = book(&journal, &books, acts(&other, &stock, &testing::stamp()), false).unwrap();
        assert_eq!(added, Booked { lines: 3, repeated: 0 });
        journal.close_blocking();
    }

    #[test]
    fn a_file_that_was_booked_in_part_is_gone_on_with_after_another_was_refused() {
        let folder = tempfile::tempdir().unwrap();
        let settings =
            Settings { folder: folder.path().into(), stream: testing::stream(), limits: Default::default() };
        let (journal, _) = Journal::open(settings, &testing::stamp()).unwrap();
        let keep = Keep::new(folder.path().join("counter")).unwrap();
        let long = format!("{GOOD}{}", "9520123456788,B1,,1\n".repeat(LINES_PER_ACT));
        let booked = |text: &str, acts_max: usize| {
            let stock = parse(text, product).unwrap();
            let acts = acts(text, &stock, &testing::stamp()).into_iter().take(acts_max).collect();
            let books = keep.fold(&journal, &Nowhere).unwrap().books;
            book(&journal, &books, acts, true)
        };
        // The power goes after the first of two acts.
        assert_eq!(booked(&long, 1).unwrap(), Booked { lines: LINES_PER_ACT, repeated: 0 });
        let refused = booked(GOOD, usize::MAX);
        assert!(matches!(refused, Err(StockError::NotFirst)), "{refused:?}");
        assert_eq!(booked(&long, usize::MAX).unwrap(), Booked { lines: 2, repeated: 1 });
        journal.close_blocking();
    }
}
