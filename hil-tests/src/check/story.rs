//! The steps, in their order. Each stands on the ones before.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use pestle_domain::ids::ActId;
use pestle_drivers::printer::status::Paper as Roll;
use uuid::Uuid;

use super::Length;
use super::expected::{Expected, Paper, differences, numbering_faults, opening};
use super::steps::Steps;
use super::till::{Cashier, Pack, euros, packs_in};
use crate::centre::Centre;
use crate::counter::Basket;
use crate::demo_data::{Article, BRANCHES, LotState, articles};
use crate::network::Weather;
use crate::waiting::until;
use crate::world::World;
use crate::world::branch::FRIDGE_SLAVE;

/// From an act at the counter to the centre's figures, with everything running.
const AT_THE_CENTRE: Duration = Duration::from_secs(60);

/// The float with which the till is opened, in cents.
const FLOAT: i64 = 15_000;

/// Bytes that pass before the gateway is killed: more than a TLS handshake takes, less than the backlog of ten sales.
const HALF_A_BATCH: u64 = 12_000;

struct Story<'a> {
    world: &'a World,
    north: Cashier,
    centre: Centre,
    articles: &'static [Article],
    next: usize,
}

pub(super) async fn tell_all(world: &World, length: Length, steps: &mut Steps<'_>) -> anyhow::Result<()> {
    let articles = shelf();
    let north = Cashier::new(world.branches[0].clone(), Expected::new(opening(articles, 0)))?;
    let centre = Centre::of(world).await?;
    let mut story = Story { world, north, centre, articles, next: 0 };

    steps.step("both branches are known to the centre, and online", story.online()).await?;
    steps.step("the centre has both branches' opening stock", story.all_equal()).await?;
    steps.step("a technician signs in and opens the till with a float", story.open()).await?;
    steps
        .step("DataMatrix and EAN-13 through the serial line are sold for cash", story.first_sales())
        .await?;
    steps.step("unknown, damaged and over-long codes are refused with a reason", story.odd_codes()).await?;
    steps.step("an expired and a recalled lot are refused with the reason", story.blocked_lots()).await?;
    steps.step("a pack that the book does not have is sold and found", story.beyond_the_book()).await?;
    steps.step("each receipt says what was sold", story.north.receipts_match()).await?;
    steps.step("the centre's stock, sales and till have moved by exactly that", story.all_equal()).await?;
    steps.step("without paper a sale counts, and is printed once there is paper", story.no_paper()).await?;
    steps.step("a fridge that stays silent is a reason, never a number", story.silent_fridge()).await?;
    steps.step("the basket is back after a power cut", story.basket_is_back()).await?;
    let cuts = length.power_cuts();
    steps
        .step(
            &format!("{cuts} power cuts while paying: each sale counts once"),
            story.cuts_while_paying(cuts),
        )
        .await?;
    steps.step("the gateway is killed in the middle of a batch", story.gateway_killed(length)).await?;
    steps.step("PostgreSQL is killed while the branch sells", story.database_killed()).await?;
    let sales = length.sales_without_network();
    steps.step(&format!("{sales} sales with the network cut"), story.without_network(sales)).await?;
    steps.step("all of them reach the centre when it is healed", story.all_equal()).await?;
    steps.step("the till is closed by count, without a difference", story.close()).await?;
    steps.step("receipts: one each, no number twice, no gap", story.receipts()).await?;
    steps
        .step("local, printed and central totals are equal, to the cent and the pack", story.all_equal())
        .await
}

impl Story<'_> {
    /// The next article of the shelf that a plain sale may take: in stock, nothing blocked, letters that every printer
    /// has.
    fn article(&mut self) -> anyhow::Result<&'static Article> {
        let count = self.articles.len();
        for _ in 0..count {
            self.next = (self.next + 7) % count;
            let article = &self.articles[self.next];
            let on_hand = self.north.expected.stock.get(&article.id).copied().unwrap_or(0);
            let plain = article.lots.iter().all(|lot| lot.state == LotState::Good) && article.name.is_ascii();
            // The whole stock of a lot must do, since a DataMatrix names its lot.
            let first = article.lots.first().map_or(0, |lot| i64::from(lot.quantity[0]));
            let total = article.lots.iter().map(|lot| i64::from(lot.quantity[0])).sum::<i64>();
            let gone = total - on_hand;
            if article.sold_at_counter() && plain && first - gone > 1 {
                return Ok(article);
            }
        }
        bail!("the shelf is sold out: the check sells more than the demo's stock has")
    }

    async fn online(&mut self) -> anyhow::Result<()> {
        until("both boxes online", AT_THE_CENTRE, || async {
            let online = self.centre.online_branches().await.map_err(|error| format!("{error:#}"))?;
            let missing = BRANCHES.iter().filter(|branch| !online.iter().any(|on| on == *branch));
            let missing = missing.collect::<Vec<_>>();
            if missing.is_empty() { Ok(()) } else { Err(format!("missing {missing:?}")) }
        })
        .await?;
        Ok(())
    }

    async fn open(&mut self) -> anyhow::Result<()> {
        self.north.sign_in().await?;
        let kicks = self.north.branch.printer.view().counts.kicks;
        self.north.counter.open_till(new_act(), &euros(FLOAT)).await.context("opening the till")?;
        self.north.counter.shows("the open till", |till| till.phase == "ready").await?;
        // It opens for the float as well, a moment after the page says so.
        self.drawer_opened(kicks, 1).await
    }

    /// Waits until the drawer was opened exactly `times` since it had been `before` times.
    async fn drawer_opened(&self, before: u64, times: u64) -> anyhow::Result<()> {
        until("the drawer", AT_THE_CENTRE, || {
            let opened = self.north.branch.printer.view().counts.kicks - before;
            std::future::ready(if opened == times { Ok(()) } else { Err(format!("{opened} kicks")) })
        })
        .await?;
        Ok(())
    }

    async fn first_sales(&mut self) -> anyhow::Result<()> {
        let (one, two, three) = (self.article()?, self.article()?, self.article()?);
        let kicks = self.north.branch.printer.view().counts.kicks;
        self.north.sell(&[Pack::good(one)?, Pack::Ean(two), Pack::good(one)?]).await?;
        self.north.sell(&[Pack::Ean(three)]).await?;
        self.drawer_opened(kicks, 2).await
    }

    /// Scans what must be refused, and puts the refusal aside.
    async fn refused(&self, what: &str, scan: &[u8], reason: &str) -> anyhow::Result<()> {
        let before = packs_in(&self.north.counter.look().await?);
        self.north.branch.scanner.scan(scan).await?;
        let shown = self
            .north
            .counter
            .shows(&format!("the refusal of {what}"), |till| !till.refusals.is_empty())
            .await?;
        let said = serde_json::to_string(&shown.refusals)?.to_lowercase();
        ensure!(said.contains(reason), "{what}: the page says {said}, not {reason:?}");
        ensure!(packs_in(&shown) == before, "{what} came into the basket");
        self.north.counter.dismiss().await?;
        Ok(())
    }

    async fn odd_codes(&mut self) -> anyhow::Result<()> {
        self.refused("an unknown code", b"]E09520999000016", "9520999000016").await?;
        self.refused("a damaged code", b"]d20109520123000012172901311", "").await?;
        self.refused("an over-long code", &[b"]d2".as_slice(), &b"01".repeat(5_000)].concat(), "").await?;
        let article = self.article()?;
        self.north.sell(&[Pack::good(article)?]).await?;
        Ok(())
    }

    async fn blocked_lots(&mut self) -> anyhow::Result<()> {
        for (state, reason) in [(LotState::Expired, "expire"), (LotState::Recalled, "recall")] {
            let found = self.articles.iter().find_map(|article| {
                let lot = article.lot(state)?;
                article.sold_at_counter().then(|| article.data_matrix(lot, "BLOCKED1"))
            });
            let scan = found.with_context(|| format!("no {state:?} lot on the shelf"))?;
            self.refused(&format!("a lot that is {state:?}"), scan.as_bytes(), reason).await?;
        }
        Ok(())
    }

    async fn beyond_the_book(&mut self) -> anyhow::Result<()> {
        let article = self.article()?;
        let on_hand = self.north.expected.stock.get(&article.id).copied().unwrap_or(0);
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
        self.north.expected.sold(&[(article, quantity)], &sale, Paper::One);
        Ok(())
    }

    async fn no_paper(&mut self) -> anyhow::Result<()> {
        self.north.branch.printer.set_paper(Roll::Out);
        let article = self.article()?;
        self.north.sell(&[Pack::good(article)?]).await?;
        self.north
            .counter
            .shows("the receipt that waits", |till| till.prints.iter().any(|print| print.state != "sent"))
            .await?;
        self.north.branch.printer.set_paper(Roll::Enough);
        self.north.receipts_match().await
    }

    async fn silent_fridge(&mut self) -> anyhow::Result<()> {
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

    /// A basket is kept off the scan's path: the last pack alone may be missing, and is scanned once more.
    async fn basket_is_back(&mut self) -> anyhow::Result<()> {
        let packs = [self.article()?, self.article()?, self.article()?];
        let packs = [Pack::good(packs[0])?, Pack::good(packs[1])?, Pack::good(packs[2])?];
        let before = self.north.scan_by_hand(&packs).await?.basket.context("no basket")?;
        let shown = self.north.power_cut().await?;
        let after = shown.basket.context("the basket is gone")?;
        ensure!(after.act == before.act, "it is another basket");
        let names = |basket: &Basket| basket.lines.iter().map(|line| line.name.clone()).collect::<Vec<_>>();
        let (had, has) = (names(&before), names(&after));
        ensure!(had.starts_with(&has) && has.len() + 1 >= had.len(), "it has {has:?}, not {had:?}");
        self.north.scan(&packs[has.len()..]).await?;
        let price = packs.iter().map(|pack| i64::from(pack.article().price_cents)).sum();
        self.north.pay(after.act, price, &packs).await?;
        Ok(())
    }

    /// The plug is pulled a little later in each round: before the payment is read, while it is written, after.
    async fn cuts_while_paying(&mut self, rounds: u32) -> anyhow::Result<()> {
        for round in 0..rounds {
            self.cut_while_paying(round).await.with_context(|| format!("round {round}"))?;
        }
        Ok(())
    }

    async fn cut_while_paying(&mut self, round: u32) -> anyhow::Result<()> {
        let packs = [Pack::good(self.article()?)?, Pack::good(self.article()?)?];
        let shown = self.north.scan_by_hand(&packs).await?;
        let act = shown.basket.context("no basket")?.act;
        let price = euros(packs.iter().map(|pack| i64::from(pack.article().price_cents)).sum());
        let after = Duration::from_micros(400 * u64::from(round));
        let (paid, ()) = tokio::join!(self.north.counter.pay(act, &price), async {
            tokio::time::sleep(after).await;
            self.north.branch.pull_the_plug().await;
        });
        let shown = self.north.come_back().await?;
        let recorded = shown.last_sale.as_ref().is_some_and(|sale| sale.act == act);
        ensure!(recorded || paid.is_err(), "the page said that it was sold, but the sale is gone");
        let act = match (&shown.basket, recorded) {
            (None, true) => act,
            (Some(basket), true) => bail!("recorded, and the basket {} is there as well", basket.act.0),
            (_, false) => {
                let kept = usize::try_from(packs_in(&shown))?;
                ensure!(kept + 1 >= packs.len(), "the basket has {kept} of {} packs", packs.len());
                let shown = self.north.scan(&packs[kept..]).await?;
                let basket = shown.basket.context("no basket")?;
                ensure!(basket.act == act, "it is another basket");
                act
            }
        };
        // Asked again, as the page does: the same act counts once, whichever it was.
        self.north.counter.pay(act, &price).await.context("paying again")?;
        let first = self.north.sale_of(act).await?;
        self.north.counter.pay(act, &price).await.context("paying a third time")?;
        let second = self.north.sale_of(act).await?;
        ensure!(first.receipt == second.receipt, "one act has {} and {}", first.receipt, second.receipt);
        self.north.note(&packs, &first, if recorded { Paper::AtMostOne } else { Paper::One });
        Ok(())
    }

    /// Once when half a batch has come over the line, once when a whole one is being booked.
    async fn gateway_killed(&mut self, length: Length) -> anyhow::Result<()> {
        self.north.branch.set_line(Weather::Reset);
        for _ in 0..length.sales_without_network() / 2 {
            let article = self.article()?;
            self.north.sell(&[Pack::good(article)?]).await?;
        }
        self.north.branch.https.heal();
        let cable = &self.north.branch.mqtt;
        cable.set(Weather::BreakAfter { bytes: HALF_A_BATCH });
        until("the line to break in the middle of a batch", AT_THE_CENTRE, || {
            let broken = cable.weather() == Weather::FAIR;
            std::future::ready(if broken { Ok(()) } else { Err(format!("{:?}", cable.weather())) })
        })
        .await?;
        self.world.gateway.lock().await.kill();
        let carried = cable.carried_bytes();
        self.world.restart_gateway().await?;
        until("the batch to be under way again", AT_THE_CENTRE, || {
            let bytes = cable.carried_bytes() - carried;
            std::future::ready(if bytes > HALF_A_BATCH { Ok(()) } else { Err(format!("{bytes} bytes")) })
        })
        .await?;
        self.world.gateway.lock().await.kill();
        let article = self.article()?;
        self.north.sell(&[Pack::good(article)?]).await.context("selling while the centre is dead")?;
        self.world.restart_gateway().await?;
        self.centre = Centre::of(self.world).await?;
        self.all_equal().await
    }

    async fn database_killed(&mut self) -> anyhow::Result<()> {
        self.world.gateway.lock().await.kill_database()?;
        for _ in 0..3 {
            let article = self.article()?;
            self.north.sell(&[Pack::good(article)?]).await.context("selling while the database is dead")?;
        }
        self.all_equal().await
    }

    async fn without_network(&mut self, sales: usize) -> anyhow::Result<()> {
        self.north.branch.set_line(Weather::Blackhole);
        for _ in 0..sales {
            let article = self.article()?;
            self.north.sell(&[Pack::good(article)?]).await?;
        }
        let waiting = self.north.counter.look().await?.link.waiting;
        ensure!(waiting >= sales as u64, "the page says that {waiting} facts wait after {sales} sales");
        self.north.branch.set_line(Weather::FAIR);
        Ok(())
    }

    async fn close(&mut self) -> anyhow::Result<()> {
        let counted = FLOAT + self.north.expected.total_cents();
        self.north.counter.close_till(new_act(), &euros(counted)).await.context("closing the till")?;
        let shown = self.north.counter.shows("the closing", |till| till.last_closing.is_some()).await?;
        let closing = shown.last_closing.context("no closing")?;
        ensure!(
            closing.expected.minor == counted,
            "the book expects {}, not {}",
            closing.expected,
            euros(counted)
        );
        ensure!(closing.variance.minor == 0, "the difference is {}", closing.variance);
        let sales = self.north.expected.sales.len() as u64;
        ensure!(closing.sales == sales, "the closing says {} sales, not {sales}", closing.sales);
        Ok(())
    }

    async fn receipts(&mut self) -> anyhow::Result<()> {
        self.north.receipts_match().await?;
        let faults = numbering_faults(self.north.expected.sales.iter().map(|sale| sale.receipt.clone()));
        ensure!(faults.is_empty(), "{}", faults.join("; "));
        Ok(())
    }

    /// Waits until the centre's figures are the branch's, and checks that the second branch has not moved.
    async fn all_equal(&mut self) -> anyhow::Result<()> {
        let expected = &self.north.expected;
        let mut wanted = expected
            .sales
            .iter()
            .map(|sale| (sale.receipt.to_string(), sale.total_cents))
            .collect::<Vec<_>>();
        wanted.sort();
        let centre = &self.centre;
        until("the centre to say the same", AT_THE_CENTRE, || async {
            let in_words = |error: anyhow::Error| format!("{error:#}");
            let mut sales = centre.sales(BRANCHES[0]).await.map_err(in_words)?;
            sales.sort();
            if sales != wanted {
                return Err(format!(
                    "the centre has {} sales, the branch made {}",
                    sales.len(),
                    wanted.len()
                ));
            }
            let takings = centre.takings_cents(BRANCHES[0]).await.map_err(in_words)?;
            if takings != expected.total_cents() {
                return Err(format!(
                    "the centre's tills took {takings} cents, the branch {}",
                    expected.total_cents()
                ));
            }
            let stock = centre.stock(BRANCHES[0]).await.map_err(in_words)?;
            let wrong = differences(&expected.stock, &stock);
            if wrong.is_empty() { Ok(()) } else { Err(format!("article, wanted, found: {wrong:?}")) }
        })
        .await?;
        let south = centre.stock(BRANCHES[1]).await?;
        let moved = differences(&opening(self.articles, 1), &south);
        ensure!(moved.is_empty(), "the second branch has moved: {moved:?}");
        ensure!(centre.sales(BRANCHES[1]).await?.is_empty(), "the second branch has sold");
        Ok(())
    }
}

/// The articles, made once and kept for as long as the process lives: the story borrows from them freely.
fn shelf() -> &'static [Article] {
    static SHELF: std::sync::OnceLock<Vec<Article>> = std::sync::OnceLock::new();
    SHELF.get_or_init(articles)
}

fn new_act() -> ActId {
    ActId(Uuid::now_v7())
}
