//! What a person at the till does, through the scanner's serial line and the page's addresses.

use std::sync::Arc;

use anyhow::{Context, ensure};
use pestle_domain::ids::ActId;

use crate::counter::{Counter, Sale, Till};
use crate::demo_data::{Article, DemoLot, LotState, Serials};
use crate::waiting::until;
use crate::world::{Branch, PEOPLE, Person};

use super::expected::{Expected, Made, Paper};

/// From a sale to the paper. The printer is quick; the machine may be busy with a whole build.
const PRINTED_WITHIN: std::time::Duration = std::time::Duration::from_secs(30);

/// From one pack to the next, for a person in a hurry.
const HAND: std::time::Duration = std::time::Duration::from_millis(300);

/// A pack in the hand, and the symbol on it that is held under the scanner.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pack<'a> {
    /// GS1 DataMatrix with lot, expiry and a serial number of its own.
    Matrix(&'a Article, &'a DemoLot),
    /// EAN-13: the number alone.
    Ean(&'a Article),
}

impl<'a> Pack<'a> {
    /// A good pack of that article.
    pub(super) fn good(article: &'a Article) -> anyhow::Result<Self> {
        let lot = article.lot(LotState::Good).context("an article without a good lot")?;
        Ok(Self::Matrix(article, lot))
    }

    /// The article in the box.
    pub(super) fn article(&self) -> &'a Article {
        match self {
            Self::Matrix(article, _) | Self::Ean(article) => article,
        }
    }
}

/// A person at the till of a branch.
#[derive(Debug)]
pub(super) struct Cashier {
    /// The branch.
    pub(super) branch: Arc<Branch>,
    /// Their browser.
    pub(super) counter: Counter,
    /// What must have changed.
    pub(super) expected: Expected,
    serials: Serials,
    person: &'static Person,
}

impl Cashier {
    /// Opens the page; nobody is signed in yet.
    pub(super) fn new(branch: Arc<Branch>, expected: Expected) -> anyhow::Result<Self> {
        let counter = Counter::open(&branch)?;
        // A technician may count and close the till as well.
        Ok(Self { branch, counter, expected, serials: Serials::since_now(), person: &PEOPLE[1] })
    }

    /// Signs in.
    pub(super) async fn sign_in(&self) -> anyhow::Result<()> {
        self.counter.shows("the sign-in", |till| till.phase == "sign_in").await?;
        self.counter.sign_in(self.person).await.context("signing in")?;
        Ok(())
    }

    /// Holds a pack under the scanner, without waiting.
    pub(super) async fn beep(&self, pack: Pack<'_>) -> anyhow::Result<()> {
        let text = match pack {
            Pack::Matrix(article, lot) => article.data_matrix(lot, &self.serials.next()),
            Pack::Ean(article) => article.ean13(),
        };
        self.branch.scanner.scan(text.as_bytes()).await.context("the serial line")
    }

    /// Holds packs under the scanner, each when the one before is on the page.
    pub(super) async fn scan(&self, packs: &[Pack<'_>]) -> anyhow::Result<Till> {
        let mut shown = self.counter.look().await?;
        for pack in packs {
            let before = packs_in(&shown);
            self.beep(*pack).await?;
            shown = self.counter.shows(&pack.article().name, |till| packs_in(till) == before + 1).await?;
        }
        Ok(shown)
    }

    /// The same at a hand's pace: the box keeps an open basket off the scan's path, and a machine's pace would leave it
    /// several packs behind.
    pub(super) async fn scan_by_hand(&self, packs: &[Pack<'_>]) -> anyhow::Result<Till> {
        let mut shown = self.counter.look().await?;
        for pack in packs {
            shown = self.scan(&[*pack]).await?;
            tokio::time::sleep(HAND).await;
        }
        Ok(shown)
    }

    /// Scans, takes the money, and checks what the page says of it.
    pub(super) async fn sell(&mut self, packs: &[Pack<'_>]) -> anyhow::Result<Sale> {
        let shown = self.scan(packs).await?;
        let basket = shown.basket.context("no basket after a scan")?;
        let price = packs.iter().map(|pack| i64::from(pack.article().price_cents)).sum::<i64>();
        ensure!(basket.total.minor == price, "the page says {}, the packs cost {price} cents", basket.total);
        self.pay(basket.act, price, packs).await
    }

    /// Pays the basket with notes and checks change and repetition.
    pub(super) async fn pay(&mut self, act: ActId, price: i64, packs: &[Pack<'_>]) -> anyhow::Result<Sale> {
        let tendered = notes_for(price);
        self.counter.pay(act, &euros(tendered)).await.context("paying")?;
        let sale = self.sale_of(act).await?;
        ensure!(sale.total.minor == price, "sold for {}, the packs cost {price} cents", sale.total);
        ensure!(
            sale.change.minor == tendered - price,
            "the change is {}, not {} cents",
            sale.change,
            tendered - price
        );
        self.note(packs, &sale, Paper::One);
        Ok(sale)
    }

    /// The last sale, which must be that act.
    pub(super) async fn sale_of(&self, act: ActId) -> anyhow::Result<Sale> {
        let shown = self
            .counter
            .shows("the sale", |till| till.last_sale.as_ref().is_some_and(|sale| sale.act == act))
            .await?;
        shown.last_sale.context("no last sale")
    }

    /// Counts a sale as made.
    pub(super) fn note(&mut self, packs: &[Pack<'_>], sale: &Sale, paper: Paper) {
        let packs = packs.iter().map(|pack| (pack.article(), 1)).collect::<Vec<_>>();
        self.expected.sold(&packs, sale, paper);
    }

    /// Pulls the plug at this moment, puts it back, and signs in again.
    pub(super) async fn power_cut(&mut self) -> anyhow::Result<Till> {
        self.branch.pull_the_plug().await;
        self.come_back().await
    }

    /// Puts the plug back and signs in, if nobody is.
    pub(super) async fn come_back(&mut self) -> anyhow::Result<Till> {
        self.branch.start().await?;
        self.counter.moved_to(self.branch.counter());
        let shown = self.counter.shows("the page after the cut", |till| till.phase != "no_catalogue").await?;
        if shown.phase == "sign_in" {
            self.sign_in().await?;
        }
        Ok(self.counter.look().await?)
    }

    /// Waits until the paper of each sale came out, and compares it with what was sold.
    pub(super) async fn receipts_match(&self) -> anyhow::Result<()> {
        for sale in &self.expected.sales {
            until(&format!("receipt {}", sale.receipt), PRINTED_WITHIN, || {
                std::future::ready(self.paper_of(sale))
            })
            .await?;
        }
        Ok(())
    }

    fn paper_of(&self, sale: &Made) -> Result<(), String> {
        let papers = self.branch.printer.receipts();
        let number = format!("Receipt {}", sale.receipt);
        let mine = papers
            .iter()
            .filter(|paper| paper.lines().iter().any(|line| has_word(line, &number)))
            .filter(|paper| !paper.text().contains("COPY"))
            .collect::<Vec<_>>();
        if sale.paper == Paper::AtMostOne && mine.len() <= 1 {
            return Ok(());
        }
        let [paper] = mine.as_slice() else {
            return Err(format!("{} papers of {} say {number}", mine.len(), papers.len()));
        };
        let text = squeezed(&paper.text());
        for name in &sale.names {
            if !text.contains(&squeezed(name)) {
                return Err(format!("the paper does not say {name:?}:\n{}", paper.text()));
            }
        }
        if !text.contains(&format!("Total{}", squeezed(&euros(sale.total_cents))))
            && !text.contains(&euros(sale.total_cents))
        {
            return Err(format!("the paper does not say {}:\n{}", euros(sale.total_cents), paper.text()));
        }
        if !paper.qr_codes().iter().any(|code| code.contains(&sale.act)) {
            return Err(format!("its QR codes {:?} do not say {}", paper.qr_codes(), sale.act));
        }
        Ok(())
    }
}

/// Packs in the basket.
pub(super) fn packs_in(till: &Till) -> i64 {
    till.basket.as_ref().map_or(0, |basket| basket.lines.iter().map(|line| line.quantity).sum())
}

/// `12.34`.
pub(super) fn euros(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// What a customer hands over: the next full twenty euros.
fn notes_for(price: i64) -> i64 {
    (price + 1_999) / 2_000 * 2_000
}

/// Line breaks and columns are the layout's business.
fn squeezed(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_whitespace()).collect()
}

/// Whether `line` says `words` and the number does not go on: receipt 4 is not receipt 41.
fn has_word(line: &str, words: &str) -> bool {
    line.match_indices(words)
        .any(|(at, _)| !line[at + words.len()..].starts_with(|letter: char| letter.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_number_is_not_found_inside_a_longer_one() {
        assert!(has_word("Receipt till-1/1/4   21 Nov 2026", "Receipt till-1/1/4"));
        assert!(!has_word("Receipt till-1/1/41  21 Nov 2026", "Receipt till-1/1/4"));
    }

    #[test]
    fn a_customer_hands_over_notes_that_cover_the_price() {
        assert_eq!(notes_for(1), 2_000);
        assert_eq!(notes_for(2_000), 2_000);
        assert_eq!(notes_for(2_001), 4_000);
        assert_eq!(euros(2_005), "20.05");
    }
}
