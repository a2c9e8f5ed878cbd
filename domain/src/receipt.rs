//! What the till prints: the receipt of a sale, and the report of a closed session. Free of any printer and of any
//! clock: local times come in as they are to be printed.

use time::OffsetDateTime;

use crate::{
    document::{Align, Block, Document, Size, Style},
    fact::{SaleCompleted, SaleLine, TaxShare, TillClosed},
    ids::ActId,
    money::{BasisPoints, Money},
    snapshot::BranchProfile,
    units::Quantity,
};

/// What a receipt says beside the sale itself.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The branch as it presents itself.
    pub profile: &'a BranchProfile,
    /// The act; printed as a QR code, and what a return is found by.
    pub act: ActId,
    /// When it was recorded, in the branch's time zone.
    pub at: OffsetDateTime,
    /// Who served, as the counter greets them.
    pub staff: &'a str,
    /// The branch's logo at the head of its receipts, by the name of a picture; reports have none.
    pub logo: Option<&'a str>,
}

/// The receipt of a sale.
pub fn receipt(sale: &SaleCompleted, on: &Circumstances<'_>) -> Document {
    let mut document = Document::new(format!("Receipt {}", sale.receipt.number));
    let blocks = &mut document.blocks;
    blocks.extend(on.logo.map(|name| Block::Picture { name: name.into() }));
    head(on.profile, blocks);
    for line in &on.profile.receipt_header {
        blocks.push(centred(line));
    }
    blocks.push(text(&format!("Receipt {}", sale.receipt)));
    blocks.push(columns(&date_time(on.at), &format!("Served by {}", on.staff)));
    blocks.push(Block::Rule);
    blocks.extend(sale.lines.iter().map(|line| item(line, &sale.taxes)));
    blocks.push(Block::Rule);
    let total = |label: &str, amount: Money, strong| Block::Total {
        label: label.into(),
        amount: amount.to_string(),
        strong,
    };
    blocks.push(total("Total", sale.total, true));
    blocks.push(total("Cash", sale.tendered, false));
    blocks.push(total("Change", sale.change, false));
    blocks.push(Block::Feed { lines: 1 });
    tax_summary(&sale.taxes, blocks);
    if !on.profile.receipt_footer.is_empty() {
        blocks.push(Block::Feed { lines: 1 });
    }
    for line in &on.profile.receipt_footer {
        blocks.push(centred(line));
    }
    blocks.push(Block::Feed { lines: 1 });
    blocks.push(Block::Qr { data: on.act.to_string() });
    blocks.push(Block::Cut);
    document
}

/// The words under COPY on a receipt that is printed once more.
pub fn copy_note(title: &str, at: OffsetDateTime, staff: &str) -> String {
    format!("of {title}, printed again {} by {staff}", date_time(at))
}

/// What a session came to, beside its closing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSums {
    /// When it was opened, in the branch's time zone.
    pub opened_at: OffsetDateTime,
    /// Counted in.
    pub float: Money,
    /// Cash from sales.
    pub received: Money,
    /// Put in without a sale.
    pub paid_in: Money,
    /// Taken out without a sale.
    pub paid_out: Money,
    /// Tax of all its sales, by rate.
    pub taxes: Vec<TaxShare>,
}

/// The report of a closed session (a Z report): what was counted against what the book expected.
pub fn closing_report(closed: &TillClosed, sums: &SessionSums, on: &Circumstances<'_>) -> Document {
    let mut document = Document::new(format!("Closing of {}", closed.till));
    let blocks = &mut document.blocks;
    head(on.profile, blocks);
    blocks.push(Block::Heading { text: "Till closed".into() });
    blocks.push(columns("Till", closed.till.as_str()));
    blocks.push(columns("Opened", &date_time(sums.opened_at)));
    blocks.push(columns("Closed", &date_time(on.at)));
    blocks.push(columns("By", on.staff));
    blocks.push(columns("Amounts in", closed.counted.currency.code()));
    blocks.push(Block::Rule);
    blocks.push(columns("Sales", &closed.sales.to_string()));
    let amount = |label: &str, money: Money| columns(label, &money.plain());
    blocks.push(amount("Float", sums.float));
    blocks.push(amount("Cash from sales", sums.received));
    blocks.push(amount("Paid in", sums.paid_in));
    blocks.push(amount("Paid out", sums.paid_out));
    blocks.push(amount("Expected", closed.expected));
    blocks.push(amount("Counted", closed.counted));
    blocks.push(Block::Total { label: "Difference".into(), amount: closed.variance.plain(), strong: true });
    blocks.push(Block::Rule);
    tax_summary(&sums.taxes, blocks);
    blocks.push(text(&format!("Session {}", closed.session.0)));
    blocks.push(Block::Cut);
    document
}

fn head(profile: &BranchProfile, blocks: &mut Vec<Block>) {
    blocks.push(Block::Heading { text: profile.name.to_string() });
    for line in &profile.address {
        blocks.push(centred(line));
    }
    if !profile.tax_number.is_empty() {
        blocks.push(centred(&format!("VAT no. {}", profile.tax_number)));
    }
    blocks.push(Block::Feed { lines: 1 });
}

fn item(line: &SaleLine, taxes: &[TaxShare]) -> Block {
    let quantity =
        (line.quantity != Quantity::ONE).then(|| format!("{} x {}", line.quantity, line.unit_price.plain()));
    Block::Item {
        name: line.name.to_string(),
        quantity,
        amount: format!("{} {}", line.amount.plain(), tax_letter(line.tax, taxes)),
        details: Vec::new(),
    }
}

/// A for the first rate of the summary, B for the second; past Z (which no country has) a question mark.
fn tax_letter(rate: BasisPoints, taxes: &[TaxShare]) -> char {
    let place = taxes.iter().position(|share| share.rate == rate);
    place.and_then(|place| ('A'..='Z').nth(place)).unwrap_or('?')
}

fn tax_summary(taxes: &[TaxShare], blocks: &mut Vec<Block>) {
    for share in taxes {
        let left = format!("{} VAT {} in {}", tax_letter(share.rate, taxes), share.rate, share.gross.plain());
        blocks.push(columns(&left, &share.tax.plain()));
    }
}

fn columns(left: &str, right: &str) -> Block {
    Block::Columns { left: left.into(), right: right.into(), bold: false }
}

fn text(text: &str) -> Block {
    Block::Text { text: text.into(), style: Style::default() }
}

fn centred(text: &str) -> Block {
    let style = Style { align: Align::Centre, bold: false, underline: false, size: Size::Normal };
    Block::Text { text: text.into(), style }
}

/// `21 Nov 2026 10:14`: a month in letters is not read as a day.
pub fn date_time(at: OffsetDateTime) -> String {
    let month = at.month().to_string();
    let short: String = month.chars().take(3).collect();
    format!("{} {short} {} {:02}:{:02}", at.day(), at.year(), at.hour(), at.minute())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        document::layout,
        fact::{ReceiptNumber, Tender},
        gs1::Gtin,
        ids::SessionId,
        money::Currency,
    };
    use time::macros::datetime;

    fn pence(minor: i64) -> Money {
        Money::new(minor, Currency::GBP)
    }

    fn profile() -> BranchProfile {
        BranchProfile {
            name: "North Street Pharmacy".into(),
            address: vec!["1 North Street".into(), "Exampleton".into()],
            tax_number: "GB 123".into(),
            currency: Currency::GBP,
            time_zone: "Europe/London".into(),
            cut_over_minutes: 0,
            receipt_header: vec![],
            receipt_footer: vec!["Thank you".into()],
        }
    }

    fn on(profile: &BranchProfile) -> Circumstances<'_> {
        let act = ActId(uuid::Uuid::from_bytes([7; 16]));
        Circumstances { profile, act, at: datetime!(2026-11-21 10:14 UTC), staff: "Anna", logo: None }
    }

    fn sale() -> SaleCompleted {
        let line = |name: &str, quantity, unit, tax| SaleLine {
            product: "p-1".parse().unwrap(),
            gtin: Gtin::with_check_digit(b"0952000000001").unwrap(),
            name: name.into(),
            quantity: Quantity(quantity),
            unit_price: pence(unit),
            amount: pence(unit * quantity),
            tax: BasisPoints(tax),
        };
        let till: crate::ids::TillId = "till-1".parse().unwrap();
        SaleCompleted {
            till: till.clone(),
            session: SessionId(uuid::Uuid::nil()),
            receipt: ReceiptNumber { till, epoch: 1, number: 1042 },
            lines: vec![line("Sunscreen 50+", 1, 1200, 2000), line("Ibuprofen 200 mg", 2, 250, 0)],
            total: pence(1700),
            taxes: vec![
                TaxShare { rate: BasisPoints(2000), gross: pence(1200), tax: pence(200) },
                TaxShare { rate: BasisPoints(0), gross: pence(500), tax: pence(0) },
            ],
            tender: Tender::Cash,
            tendered: pence(2000),
            change: pence(300),
        }
    }

    fn lines_of(document: &Document) -> String {
        format!("{:?}", layout(document, 42))
    }

    #[test]
    fn a_receipt_carries_all_that_a_customer_and_an_auditor_look_for() {
        let profile = profile();
        let document = receipt(&sale(), &on(&profile));
        assert_eq!(document.check(), Ok(()));
        let printed = lines_of(&document);
        for words in [
            "North Street",
            "1 North Street",
            "VAT no. GB 123",
            "till-1/1/1042",
            "21 Nov 2026 10:14",
            "Served by Anna",
            "12.00 A",
            "2 x 2.50",
            "5.00 B",
            "GBP 17.00",
            "GBP 20.00",
            "GBP 3.00",
            "A VAT 20% in 12.00",
            "2.00",
            "B VAT 0% in 5.00",
            "Thank you",
            "07070707-0707-0707-0707-070707070707",
        ] {
            assert!(printed.contains(words), "{words} is missing in {printed}");
        }
        assert!(!printed.contains("COPY"));
        let copy =
            document.as_copy(copy_note("receipt till-1/1/1042", datetime!(2026-11-21 11:00 UTC), "Ben"));
        assert!(lines_of(&copy).contains("COPY"));
    }

    #[test]
    fn a_logo_stands_at_the_head_of_a_receipt_and_changes_nothing_else() {
        let profile = profile();
        let plain = receipt(&sale(), &on(&profile));
        let mut with = receipt(&sale(), &Circumstances { logo: Some("branch"), ..on(&profile) });
        assert_eq!(with.check(), Ok(()));
        assert_eq!(with.blocks.remove(0), Block::Picture { name: "branch".into() });
        assert_eq!(with, plain);
        assert!(plain.blocks.iter().all(|block| !matches!(block, Block::Picture { .. })));
    }

    #[test]
    fn a_closing_report_shows_the_difference_to_the_book() {
        let profile = profile();
        let closed = TillClosed {
            till: "till-1".parse().unwrap(),
            session: SessionId(uuid::Uuid::nil()),
            counted: pence(11_600),
            expected: pence(11_700),
            variance: pence(-100),
            sales: 1,
        };
        let sums = SessionSums {
            opened_at: datetime!(2026-11-21 08:00 UTC),
            float: pence(10_000),
            received: pence(1_700),
            paid_in: pence(0),
            paid_out: pence(0),
            taxes: sale().taxes,
        };
        let printed = lines_of(&closing_report(&closed, &sums, &on(&profile)));
        for words in ["Difference", "-1.00", "117.00", "116.00", "21 Nov 2026 08:00", "A VAT 20%"] {
            assert!(printed.contains(words), "{words} is missing in {printed}");
        }
    }
}
