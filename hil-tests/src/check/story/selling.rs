//! An ordinary day at the counter: sales, odd codes, blocked lots, an empty printer, a silent fridge, the closing.

use anyhow::{Context, ensure};
use pestle_drivers::printer::status::Paper as Roll;

use super::super::expected::{Paper, Sold};
use super::super::till::{Pack, euros, packs_in};
use super::{AT_THE_CENTRE, FLOAT, Story, new_act};
use crate::demo_data::{BRANCHES, LotState};
use crate::waiting::until;
use crate::world::branch::FRIDGE_SLAVE;

/// Whether the drawer opens for a sale while the printer has no paper: the money has to go somewhere. It takes the
/// real-time pulse (DLE DC4), since a printer without paper lets other commands wait.
const DRAWER_OPENS_WITHOUT_PAPER: bool = true;

impl Story<'_> {
    pub(super) async fn open(&mut self) -> anyhow::Result<()> {
        self.north.sign_in().await?;
        self.north.counter.open_till(new_act(), &euros(FLOAT)).await.context("opening the till")?;
        self.north.counter.shows("the open till", |till| till.phase == "ready").await?;
        self.north.drawer_opens();
        self.north.settled().await
    }

    pub(super) async fn first_sales(&mut self) -> anyhow::Result<()> {
        let (one, two, three) = (self.article()?, self.article()?, self.article()?);
        self.north.sell(&[Pack::good(one)?, Pack::Ean(two), Pack::good(one)?]).await?;
        self.north.sell(&[Pack::Ean(three)]).await?;
        self.north.settled().await
    }

    /// Scans what must be refused: once, in these words. Puts the refusal aside.
    pub(super) async fn refused(&self, what: &str, scan: &[u8], reasons: &[&str]) -> anyhow::Result<()> {
        let before = packs_in(&self.north.counter.look().await?);
        self.north.branch.scanner.scan(scan).await?;
        let shown = self
            .north
            .counter
            .shows(&format!("the refusal of {what}"), |till| !till.refusals.is_empty())
            .await?;
        // A second one, should there be any, would follow within the framing's own gap.
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
        let after = self.north.counter.look().await?;
        let [refusal] = after.refusals.as_slice() else {
            anyhow::bail!("{what} has {} refusals: {:?}", after.refusals.len(), after.refusals);
        };
        let said = refusal.text.to_lowercase();
        for reason in reasons {
            ensure!(said.contains(&reason.to_lowercase()), "{what}: the page says {said:?}, not {reason:?}");
        }
        ensure!(packs_in(&shown) == before && packs_in(&after) == before, "{what} came into the basket");
        self.north.counter.dismiss().await?;
        self.north.counter.shows("no refusal", |till| till.refusals.is_empty()).await?;
        Ok(())
    }

    pub(super) async fn odd_codes(&mut self) -> anyhow::Result<()> {
        let unknown = ["no article has the number", "9520999000016", "check the pack"];
        self.refused("an unknown code", b"]E09520999000016", &unknown).await?;
        let damaged = ["the barcode cannot be read", "check digit"];
        self.refused("a damaged code", b"]d20109520123000012172901311", &damaged).await?;
        let long = [b"]d2".as_slice(), &b"01".repeat(5_000)].concat();
        self.refused("an over-long code", &long, &["more than 2335 bytes", "suffix"]).await?;
        let article = self.article()?;
        self.north.sell(&[Pack::good(article)?]).await?;
        Ok(())
    }

    pub(super) async fn blocked_lots(&mut self) -> anyhow::Result<()> {
        for (state, reason) in [(LotState::Expired, "expired on"), (LotState::Recalled, "is recalled (R-")] {
            let found = self.articles.iter().find_map(|article| {
                let lot = article.lot(state)?;
                article.sold_at_counter().then(|| (article.data_matrix(lot, "BLOCKED1"), article, lot))
            });
            let (scan, article, lot) = found.with_context(|| format!("no {state:?} lot on the shelf"))?;
            let reasons = [reason, &article.name, &lot.lot, "do not sell it"];
            self.refused(&format!("a lot that is {state:?}"), scan.as_bytes(), &reasons).await?;
        }
        Ok(())
    }

    pub(super) async fn beyond_the_book(&mut self) -> anyhow::Result<()> {
        let article = self.article()?;
        let on_hand = self.north.expected.on_hand(article);
        let shown = self.north.scan(&[Pack::Ean(article)]).await?;
        let basket = shown.basket.context("no basket")?;
        let quantity = on_hand + 1;
        self.north.counter.set_quantity(basket.lines[0].line, quantity).await?;
        self.north.counter.shows("the quantity", |till| packs_in(till) == quantity).await?;
        let price = quantity * i64::from(article.price_cents);
        let tendered = (price + 4_999) / 5_000 * 5_000;
        self.north.counter.pay(basket.act, &euros(tendered)).await?;
        let sale = self.north.sale_of(basket.act).await?;
        ensure!(sale.total.minor == price, "sold for {}", sale.total);
        self.north.note_sold(&[Sold { article, lot: None, quantity }], &sale, Paper::One);
        Ok(())
    }

    pub(super) async fn no_paper(&mut self) -> anyhow::Result<()> {
        self.north.settled().await?;
        let kicks = self.north.branch.printer.view().counts.kicks;
        // Pushed shut after the last sale, as a cashier does: one that is open needs no kick.
        self.north.branch.printer.set_drawer_open(false);
        self.north.branch.printer.set_paper(Roll::Out);
        let article = self.article()?;
        let sale = self.north.sell(&[Pack::good(article)?]).await?;
        let waits = |till: &crate::counter::Till| {
            till.prints.iter().any(|print| print.document == sale.act && print.state == "not_printed")
        };
        let shown = self.north.counter.shows("the receipt that waits", waits).await?;
        let reason = shown.prints.iter().find_map(|print| print.reason.clone()).unwrap_or_default();
        ensure!(reason.to_lowercase().contains("paper"), "the page says {reason:?}, and nothing of paper");
        if DRAWER_OPENS_WITHOUT_PAPER {
            until("the drawer, without paper", AT_THE_CENTRE, || {
                let opened = self.north.branch.printer.view().counts.kicks - kicks;
                std::future::ready(if opened == 1 { Ok(()) } else { Err(format!("{opened} kicks")) })
            })
            .await?;
        } else {
            self.north.drawer_may_stay_shut();
        }
        let printed = self.north.branch.printer.receipts().len();
        ensure!(printed == self.north.expected.sales.len() - 1, "{printed} papers came out without paper");
        self.north.branch.printer.set_paper(Roll::Enough);
        self.north.receipts_match().await
    }

    pub(super) async fn silent_fridge(&mut self) -> anyhow::Result<()> {
        use pestle_drivers::sim::fridge::FridgeFault;
        let counter = &self.north.counter;
        counter
            .shows("a temperature", |till| till.readings.iter().any(|one| one.milli_celsius.is_some()))
            .await?;
        self.north.branch.fridge.set_fault(FRIDGE_SLAVE, FridgeFault::Silent)?;
        let silent = |till: &crate::counter::Till| {
            till.readings.iter().any(|one| one.milli_celsius.is_none() && one.missing.is_some())
        };
        counter.shows("the missing temperature", silent).await?;
        self.north.branch.fridge.set_fault(FRIDGE_SLAVE, FridgeFault::None)?;
        Ok(())
    }

    pub(super) async fn close(&mut self) -> anyhow::Result<()> {
        let sales = self.north.expected.sales.len() as u64;
        let open = self.north.counter.look().await?.session.context("no session is open")?;
        ensure!(open.sales == sales, "the session says {} sales, not {sales}", open.sales);
        let counted = FLOAT + self.north.expected.total_cents();
        self.north.counter.close_till(new_act(), &euros(counted)).await.context("closing the till")?;
        let shown = self.north.counter.shows("the closing", |till| till.last_closing.is_some()).await?;
        self.north.drawer_opens();
        let closing = shown.last_closing.context("no closing")?;
        ensure!(
            closing.expected.minor == counted,
            "the book expects {}, not {}",
            closing.expected,
            euros(counted)
        );
        ensure!(closing.variance.minor == 0, "the difference is {}", closing.variance);
        ensure!(closing.sales == sales, "the closing says {} sales, not {sales}", closing.sales);
        let wanted = crate::centre::Session {
            id: open.id,
            state: "closed".to_owned(),
            float_minor: Some(FLOAT),
            expected_minor: Some(counted),
            counted_minor: Some(counted),
            variance_minor: Some(0),
            branch_expected_minor: Some(counted),
            sales,
        };
        until("the closing at the centre", AT_THE_CENTRE, || async {
            let found = self.centre.sessions(BRANCHES[0]).await.map_err(|error| format!("{error:#}"))?;
            if found == [wanted.clone()] { Ok(()) } else { Err(format!("{found:?}, not {wanted:?}")) }
        })
        .await?;
        Ok(())
    }
}
