//! What a person at the till does, through the scanner's serial line and the page's addresses.

use std::sync::Arc;

use anyhow::{Context, ensure};
use pestle_domain::ids::ActId;

use crate::counter::{Counter, Print, Sale, Till};
use crate::demo_data::{Article, DemoLot, LotState, Serials};
use crate::waiting::until;
use crate::world::{Branch, PEOPLE, Person};

use super::expected::{Expected, Made, Paper, Sold};
use super::paper::{self, Printed};

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

    /// What the book loses with it.
    fn sold(&self) -> Sold<'a> {
        let lot = match self {
            Self::Matrix(_, lot) => Some(lot.lot.as_str()),
            Self::Ean(_) => None,
        };
        Sold { article: self.article(), lot, quantity: 1 }
    }
}

/// How often the drawer must have opened since it was looked at first.
#[derive(Debug, Clone, Copy)]
struct Kicks {
    /// What its counter said then.
    from: u64,
    /// Without doubt.
    certain: u64,
    /// As often more at most: power went between the sale and the kick, or there was no paper.
    perhaps: u64,
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
    kicks: Kicks,
}

impl Cashier {
    /// Opens the page; nobody is signed in yet.
    pub(super) fn new(branch: Arc<Branch>, expected: Expected) -> anyhow::Result<Self> {
        let counter = Counter::open(&branch)?;
        let kicks = Kicks { from: branch.printer.view().counts.kicks, certain: 0, perhaps: 0 };
        // A technician may count and close the till as well.
        Ok(Self { branch, counter, expected, serials: Serials::since_now(), person: &PEOPLE[1], kicks })
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
        let mut shown = self.counter.hears_the_scanner().await?;
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
        let packs = packs.iter().map(Pack::sold).collect::<Vec<_>>();
        self.note_sold(&packs, sale, paper);
    }

    /// The same for packs of any number.
    pub(super) fn note_sold(&mut self, packs: &[Sold<'_>], sale: &Sale, paper: Paper) {
        self.expected.sold(packs, sale, paper);
        match paper {
            Paper::One => self.drawer_opens(),
            Paper::OneOrCopy => self.kicks.perhaps += 1,
        }
    }

    /// Something was done that opens the drawer once.
    pub(super) fn drawer_opens(&mut self) {
        self.kicks.certain += 1;
    }

    /// What was noted as opening the drawer last is not known to open it.
    pub(super) fn drawer_may_stay_shut(&mut self) {
        self.kicks.certain -= 1;
        self.kicks.perhaps += 1;
    }

    /// Kicks of the drawer that nobody can account for, or that are missing.
    fn drawer_fault(&self) -> Option<String> {
        let Kicks { from, certain, perhaps } = self.kicks;
        let found = self.branch.printer.view().counts.kicks - from;
        let fits = (certain..=certain + perhaps).contains(&found);
        (!fits)
            .then(|| format!("the drawer has opened {found} times, not {certain} to {}", certain + perhaps))
    }

    /// Waits until the printer has nothing more to do, and the drawer has opened as often as it had to.
    pub(super) async fn settled(&self) -> anyhow::Result<()> {
        until("prints and drawer", PRINTED_WITHIN, || async {
            let shown = self.counter.look().await.map_err(|error| error.to_string())?;
            if !shown.prints.is_empty() {
                return Err(format!("{:?}", shown.prints));
            }
            self.drawer_fault().map_or(Ok(()), Err)
        })
        .await?;
        Ok(())
    }

    /// Waits until the page says that the centre is away and that at least `facts` wait to be sent.
    pub(super) async fn offline_with(&self, facts: u64, within: std::time::Duration) -> anyhow::Result<()> {
        until("the page to say offline", within, || async {
            let link = self.counter.look().await.map_err(|error| error.to_string())?.link;
            if link.state == "offline" && link.waiting >= facts { Ok(()) } else { Err(format!("{link:?}")) }
        })
        .await?;
        Ok(())
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

    /// Answers each question about a print as a person does: looks whether the paper came out, and has a copy printed
    /// if not.
    pub(super) async fn answer_prints(&self) -> anyhow::Result<()> {
        let ended = |print: &Print| print.state != "queued" && print.state != "sent";
        let shown = self.counter.shows("how prints ended", |till| till.prints.iter().all(ended)).await?;
        for print in shown.prints.iter().filter(|print| print.state == "unknown") {
            let act = print.document.to_string();
            let sale = self.expected.sales.iter().find(|sale| sale.act == act);
            let sale = sale.with_context(|| format!("a print of {act}, which is no sale"))?;
            let came_out = self.papers_of(sale).map_err(anyhow::Error::msg)?.iter().any(|paper| !paper.copy);
            let word = if came_out { "came_out" } else { "print_copy" };
            self.counter.answer_print(print.job, word).await.context("answering for a print")?;
        }
        self.settled().await
    }

    /// Waits until the paper of each sale came out, compares each row with what was sold, and looks for a kick of the
    /// drawer that nobody asked for.
    pub(super) async fn receipts_match(&self) -> anyhow::Result<()> {
        for sale in &self.expected.sales {
            until(&format!("receipt {}", sale.receipt), PRINTED_WITHIN, || {
                std::future::ready(self.paper_of(sale).map(|_paper| ()))
            })
            .await?;
        }
        self.settled().await
    }

    /// What all papers of all sales say together: how many, what they come to in cents, and how many packs. Receipts
    /// that nobody knows of count too.
    pub(super) fn printed_sums(&self) -> Result<(i64, i64, i64), String> {
        let (mut papers, mut cents, mut packs) = (0, 0, 0);
        let copies: Vec<String> = self
            .expected
            .sales
            .iter()
            .filter_map(|sale| self.paper_of(sale).ok().filter(|paper| paper.copy))
            .map(|paper| paper.receipt)
            .collect();
        for paper in self.branch.printer.receipts() {
            let lines = paper.lines();
            if paper::number_of(&lines).is_none() {
                continue;
            }
            let paper = paper::read(&lines)?;
            if !paper.copy || copies.contains(&paper.receipt) {
                papers += 1;
                cents += paper.total;
                packs += paper.lines.iter().map(|line| line.quantity).sum::<i64>();
            }
        }
        Ok((papers, cents, packs))
    }

    /// All papers that bear the sale's number.
    fn papers_of(&self, sale: &Made) -> Result<Vec<Printed>, String> {
        let number = sale.receipt.to_string();
        let papers = self.branch.printer.receipts();
        let mine = papers.iter().filter(|paper| paper::number_of(&paper.lines()) == Some(&number));
        mine.map(|paper| {
            if !paper.qr_codes().contains(&sale.act) {
                return Err(format!("{number}: its codes {:?} do not say {}", paper.qr_codes(), sale.act));
            }
            paper::read(&paper.lines()).map_err(|error| format!("{number}: {error}:\n{}", paper.text()))
        })
        .collect()
    }

    /// The one paper of a sale, which says what was sold.
    fn paper_of(&self, sale: &Made) -> Result<Printed, String> {
        let wanted = paper::wanted(sale);
        let papers = self.papers_of(sale)?;
        let [paper] = papers.as_slice() else {
            return Err(format!("{} papers say {}", papers.len(), wanted.receipt));
        };
        if paper.copy && sale.paper == Paper::One {
            return Err(format!("{} is a copy, and nobody asked for one", wanted.receipt));
        }
        let said = Printed { copy: false, ..paper.clone() };
        if said == wanted { Ok(paper.clone()) } else { Err(format!("printed {said:?}, sold {wanted:?}")) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_hands_over_notes_that_cover_the_price() {
        assert_eq!(notes_for(1), 2_000);
        assert_eq!(notes_for(2_000), 2_000);
        assert_eq!(notes_for(2_001), 4_000);
        assert_eq!(euros(2_005), "20.05");
    }
}
