//! What stands on a receipt, read row by row as a customer and an auditor do. Pure.

use super::expected::Made;

/// A receipt that came out of a printer. Amounts are in cents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Printed {
    /// `till-1/1/42`.
    pub receipt: String,
    /// It says COPY.
    pub copy: bool,
    /// From top to bottom.
    pub lines: Vec<PrintedLine>,
    /// Behind "Total".
    pub total: i64,
    /// Behind "Cash".
    pub tendered: i64,
    /// Behind "Change".
    pub change: i64,
    /// The summary, by rising letter.
    pub taxes: Vec<PrintedTax>,
}

/// What was sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrintedLine {
    /// The article.
    pub name: String,
    /// Packs.
    pub quantity: i64,
    /// Of the line.
    pub amount: i64,
    /// Points into the summary.
    pub letter: char,
}

/// Value-added tax at one rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrintedTax {
    /// As the lines name it.
    pub letter: char,
    /// `7%`.
    pub rate: String,
    /// Sold at that rate, tax included.
    pub gross: i64,
    /// The tax inside.
    pub tax: i64,
}

/// The number of the receipt that these lines are, or `None` for another paper (a closing's report).
pub fn number_of(lines: &[String]) -> Option<&str> {
    let number = |line: &'_ String| line.trim().starts_with("Receipt ").then_some(());
    let line = lines.iter().find(|line| number(line).is_some())?;
    line.trim().strip_prefix("Receipt ")?.split_whitespace().next()
}

/// Reads the lines of a receipt.
///
/// # Errors
/// What is missing, or stands where it should not.
pub fn read(lines: &[String]) -> Result<Printed, String> {
    let receipt = number_of(lines).ok_or("no line says which receipt it is")?.to_owned();
    let rules: Vec<usize> =
        lines.iter().zip(0..).filter(|(line, _)| is_rule(line)).map(|(_, index)| index).collect();
    let [first, second] = rules[..] else {
        return Err(format!("{} rules, not one above and one below what was sold", rules.len()));
    };
    let (items, sums) = (&lines[first + 1..second], &lines[second + 1..]);
    let sum = |label: &str| -> Result<i64, String> {
        let found: Vec<&str> =
            sums.iter().filter_map(|line| line.trim().strip_prefix(label)).map(str::trim).collect();
        let [amount] = found[..] else { return Err(format!("{} lines begin with {label}", found.len())) };
        let amount = amount.strip_prefix("EUR ").ok_or(format!("{label}: {amount:?} is not in EUR"))?;
        cents(amount).ok_or(format!("{label}: {amount:?} is no amount"))
    };
    Ok(Printed {
        receipt,
        copy: lines.iter().any(|line| line.trim() == "COPY"),
        lines: read_items(items)?,
        total: sum("Total ")?,
        tendered: sum("Cash ")?,
        change: sum("Change ")?,
        taxes: sums.iter().filter_map(|line| read_tax(line)).collect(),
    })
}

/// What the paper of a sale must say.
pub fn wanted(made: &Made) -> Printed {
    let mut rates: Vec<u32> = made.lines.iter().map(|line| line.tax).collect();
    rates.sort_unstable_by(|one, other| other.cmp(one));
    rates.dedup();
    let letter = |tax: u32| {
        let place = rates.iter().position(|rate| *rate == tax).unwrap_or_default();
        ('A'..='Z').nth(place).unwrap_or('?')
    };
    let lines = made.lines.iter().map(|line| PrintedLine {
        name: line.name.clone(),
        quantity: line.quantity,
        amount: line.quantity * line.unit_cents,
        letter: letter(line.tax),
    });
    let tax = |rate: &u32| {
        let at_rate = made.lines.iter().filter(|line| line.tax == *rate);
        let gross: i64 = at_rate.map(|line| line.quantity * line.unit_cents).sum();
        // gross × rate / (1 + rate), to the nearest cent; a half is rounded up, since nothing here is negative.
        let (rate_in_bp, whole) = (i64::from(*rate), 10_000 + i64::from(*rate));
        let tax = (2 * gross * rate_in_bp + whole) / (2 * whole);
        PrintedTax { letter: letter(*rate), rate: format!("{}%", rate / 100), gross, tax }
    };
    Printed {
        receipt: made.receipt.to_string(),
        copy: false,
        lines: lines.collect(),
        total: made.lines.iter().map(|line| line.quantity * line.unit_cents).sum(),
        tendered: made.tendered_cents,
        change: made.change_cents,
        taxes: rates.iter().map(tax).collect(),
    }
}

fn is_rule(line: &str) -> bool {
    let line = line.trim();
    line.chars().count() >= 16 && line.chars().all(|letter| matches!(letter, '-' | '─'))
}

/// A name may take several lines; the line that ends in an amount and a tax letter ends its article.
fn read_items(lines: &[String]) -> Result<Vec<PrintedLine>, String> {
    let mut items = Vec::new();
    let mut name: Vec<&str> = Vec::new();
    for line in lines {
        let Some((before, amount, letter)) = amount_and_letter(line) else {
            name.push(line.trim());
            continue;
        };
        let quantity = match before.trim().split_once(" x ") {
            Some((count, unit)) if line.starts_with("  ") => {
                let count: i64 = count.parse().map_err(|_| format!("{line:?}: no quantity"))?;
                let unit = cents(unit).ok_or(format!("{line:?}: no price"))?;
                if count * unit != amount {
                    return Err(format!("{line:?}: {count} times {unit} cents is not {amount} cents"));
                }
                count
            }
            _ => {
                name.push(before.trim());
                1
            }
        };
        let whole = name.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" ");
        items.push(PrintedLine { name: whole, quantity, amount, letter });
        name.clear();
    }
    if name.is_empty() { Ok(items) } else { Err(format!("no amount behind {name:?}")) }
}

/// `Ibuprofen 5 % gel, 50 g      5.49 A` is `("Ibuprofen 5 % gel, 50 g", 549, 'A')`.
fn amount_and_letter(line: &str) -> Option<(&str, i64, char)> {
    let (rest, letter) = line.trim_end().rsplit_once(' ')?;
    let mut letters = letter.chars();
    let letter = letters.next().filter(|letter| letter.is_ascii_uppercase() && letters.next().is_none())?;
    let (before, amount) = rest.trim_end().rsplit_once(' ')?;
    Some((before, cents(amount)?, letter))
}

/// `A VAT 7% in 12.00      0.79`.
fn read_tax(line: &str) -> Option<PrintedTax> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [letter, "VAT", rate, "in", gross, tax] = words[..] else { return None };
    let letter = letter.chars().next()?;
    Some(PrintedTax { letter, rate: rate.to_owned(), gross: cents(gross)?, tax: cents(tax)? })
}

/// `12.34` in cents; exactly two digits behind the point.
fn cents(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.')?;
    if part.len() != 2 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(whole.parse::<i64>().ok()? * 100 + part.parse::<i64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::super::expected::{Paper, SoldLine};
    use super::*;
    use crate::counter::Receipt;

    const PAPER: &str = "North Pharmacy\n1 North Street\nReceipt till-1/1/4\n21 Nov 2026 10:14      Served by Tom\n\
                         ------------------------------------------------\n\
                         Sunscreen 50+                           12.00 A\n\
                         Ibuprofen 5 % gel with a name that takes more\n\
                         than one line, 50 g                      5.49 B\n\
                         Paracetamol 500 mg tablet, 16 pcs\n\
                         \x20 2 x 1.49                              2.98 B\n\
                         ------------------------------------------------\n\
                         Total                                 EUR 20.47\n\
                         Cash                                  EUR 40.00\n\
                         Change                                EUR 19.53\n\
                         A VAT 19% in 12.00                         1.92\n\
                         B VAT 7% in 8.47                           0.55";

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    fn made() -> Made {
        let line = |name: &str, quantity, unit_cents, tax| SoldLine {
            article: "p".into(),
            lot: None,
            name: name.into(),
            quantity,
            unit_cents,
            tax,
        };
        Made {
            receipt: Receipt { till: "till-1".into(), epoch: 1, number: 4 },
            act: String::new(),
            lines: vec![
                line("Sunscreen 50+", 1, 1_200, 1_900),
                line("Ibuprofen 5 % gel with a name that takes more than one line, 50 g", 1, 549, 700),
                line("Paracetamol 500 mg tablet, 16 pcs", 2, 149, 700),
            ],
            total_cents: 2_047,
            tendered_cents: 4_000,
            change_cents: 1_953,
            paper: Paper::One,
        }
    }

    #[test]
    fn a_paper_is_read_as_what_was_sold() {
        assert_eq!(read(&lines(PAPER)).unwrap(), wanted(&made()));
    }

    #[test]
    fn each_wrong_row_is_seen() {
        for (right, wrong) in [
            ("Sunscreen 50+ ", "Sunscreen 30+ "),
            ("12.00 A", "12.01 A"),
            ("5.49 B", "5.49 A"),
            ("2 x 1.49                              2.98", "3 x 1.49                              4.47"),
            ("EUR 20.47", "EUR 20.46"),
            ("EUR 40.00", "EUR 20.47"),
            ("EUR 19.53", "EUR 19.52"),
            ("8.47                           0.55", "8.47                           0.56"),
            ("till-1/1/4", "till-1/1/41"),
        ] {
            let paper = PAPER.replacen(right, wrong, 1);
            assert_ne!(paper, PAPER, "{right} is not on the paper");
            assert_ne!(read(&lines(&paper)).unwrap(), wanted(&made()), "{wrong} was not seen");
        }
    }

    #[test]
    fn a_paper_that_is_no_whole_receipt_is_refused() {
        for missing in ["Total", "Change", "----", "Receipt"] {
            let kept = PAPER.lines().filter(|line| !line.starts_with(missing)).map(str::to_owned);
            assert!(read(&kept.collect::<Vec<_>>()).is_err(), "{missing}");
        }
        let wrong = PAPER.replace("EUR 20.47", "20.47");
        assert!(read(&lines(&wrong)).is_err(), "the total names no currency");
        let wrong = PAPER.replace("2 x 1.49", "3 x 1.49");
        assert!(read(&lines(&wrong)).is_err(), "quantity times price is not the amount");
        assert_eq!(number_of(&lines("Till closed\nSales 3")), None);
    }
}
