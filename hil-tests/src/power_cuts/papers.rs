//! The papers of one till's printer, counted by sale and taken away as they come: a simulated printer keeps the last two thousand, and a
//! campaign prints more.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use pestle_domain::ids::ActId;
use pestle_drivers::sim::printer::{Receipt as Paper, SimPrinter};

use super::account::Paid;
use crate::counter::Receipt;

/// See the module.
#[derive(Debug)]
pub struct Papers {
    printer: SimPrinter,
    tally: Tally,
}

/// What was counted. Pure.
#[derive(Debug, Default)]
struct Tally {
    /// By the code that stands on the paper.
    of: BTreeMap<String, Count>,
    papers: u64,
}

/// The papers of one sale.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Count {
    originals: usize,
    /// They say COPY.
    copies: usize,
}

impl Papers {
    /// Of a printer from which nobody else takes papers.
    pub fn of(printer: SimPrinter) -> Self {
        Self { printer, tally: Tally::default() }
    }

    /// Takes what has come out until now.
    ///
    /// # Errors
    /// The printer has forgotten papers: it was not looked at for too long.
    pub fn take(&mut self) -> Result<()> {
        // Counted before: what comes out meanwhile is taken too.
        let came_out = self.printer.view().counts.receipts;
        for paper in self.printer.take_receipts() {
            self.tally.add(&paper);
        }
        let taken = self.tally.papers;
        ensure!(taken >= came_out, "{came_out} papers came out, and the printer kept {taken} of them");
        Ok(())
    }

    /// Whether a paper of that act lies there by now that does not say COPY. The caller takes first.
    pub fn has_original(&self, act: ActId) -> bool {
        self.tally.count(act).originals > 0
    }

    /// Each sale has one paper, or one and copies that a person asked for; says how many are copies. The caller takes first.
    ///
    /// # Errors
    /// One has none, or two without the word.
    pub fn compare<'a>(&self, sales: impl IntoIterator<Item = &'a (Paid, Receipt)>) -> Result<usize> {
        self.tally.compare(sales)
    }

    /// How many there are.
    pub fn len(&self) -> u64 {
        self.tally.papers
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Tally {
    fn add(&mut self, paper: &Paper) {
        self.papers += 1;
        let is_copy = paper.lines().iter().any(|line| line.trim() == "COPY");
        let mut codes = paper.qr_codes();
        // It is one paper, however often its code stands on it.
        codes.sort_unstable();
        codes.dedup();
        for code in codes {
            let count = self.of.entry(code).or_default();
            *if is_copy { &mut count.copies } else { &mut count.originals } += 1;
        }
    }

    fn count(&self, act: ActId) -> Count {
        self.of.get(&act.to_string()).copied().unwrap_or_default()
    }

    fn compare<'a>(&self, sales: impl IntoIterator<Item = &'a (Paid, Receipt)>) -> Result<usize> {
        let mut all_copies = 0;
        for (paid, receipt) in sales {
            let Count { originals, copies } = self.count(paid.act);
            ensure!(originals <= 1, "{receipt} was printed {originals} times without the word COPY");
            ensure!(originals + copies >= 1, "{receipt} has no paper");
            all_copies += copies;
        }
        Ok(all_copies)
    }
}

#[cfg(test)]
mod tests {
    use pestle_domain::money::Money;
    use pestle_drivers::sim::printer::paper_of;
    use uuid::Uuid;

    use super::*;

    /// What a printer of 80 mm makes of a QR code with the act (ESC/POS: GS ( k 80 and 81), and of the word where there is one.
    fn paper(act: ActId, word: &str) -> Paper {
        let code = act.to_string();
        let stored = u8::try_from(code.len() + 3).unwrap();
        let qr = [b"\x1d(k", &[stored, 0][..], b"1P0", code.as_bytes(), b"\x1d(k\x03\x001Q0"].concat();
        paper_of(&[word.as_bytes(), b"\n", &qr, b"\x1dV\x00"].concat(), 576)
    }

    fn sale(number: u64) -> (Paid, Receipt) {
        let paid = Paid {
            act: ActId(Uuid::from_u128(number.into())),
            total: Money::zero("EUR".parse().unwrap()),
            packs: 1,
        };
        (paid, Receipt { till: "till-1".to_owned(), epoch: 1, number })
    }

    #[test]
    fn a_sale_without_a_paper_and_one_with_two_are_found_among_more_papers_than_a_printer_keeps() {
        let sales: Vec<_> = (1..=3_000).map(sale).collect();
        let mut tally = Tally::default();
        let check = |tally: &Tally, words: &str| {
            let said = tally.compare(&sales).unwrap_err().to_string();
            assert!(said.contains(words), "{said}");
        };
        for (paid, _) in &sales[1..] {
            tally.add(&paper(paid.act, "Sale"));
        }
        check(&tally, &format!("{} has no paper", sales[0].1));
        let first = sales[0].0.act;
        tally.add(&paper(first, "COPY"));
        assert_eq!(
            tally.compare(&sales).unwrap(),
            1,
            "a copy alone is a paper: a person said that none came out"
        );
        tally.add(&paper(first, "Sale"));
        assert_eq!((tally.compare(&sales).unwrap(), tally.papers), (1, 3_001));
        tally.add(&paper(first, "Sale"));
        check(&tally, &format!("{} was printed 2 times", sales[0].1));
    }

    #[tokio::test]
    async fn a_printer_that_was_not_looked_at_for_too_long_is_told_of() {
        use tokio::io::AsyncWriteExt as _;
        let printer = SimPrinter::listen(([127, 0, 0, 1], 0).into(), 576).unwrap();
        let mut papers = Papers::of(printer.clone());
        let mut line = tokio::net::TcpStream::connect(printer.address().unwrap()).await.unwrap();
        let mut comes_out = 0;
        for (more, is_kept) in [(1_500, true), (1_500, true), (2_500, false)] {
            line.write_all(&b"x\n\x1dV\x00".repeat(more)).await.unwrap();
            comes_out += more as u64;
            printer.wait_until(|view| view.counts.receipts == comes_out).await;
            assert_eq!(papers.take().is_ok(), is_kept, "{comes_out} papers came out");
        }
    }
}
