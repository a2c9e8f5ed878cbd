//! The steps, in their order. Each stands on the ones before.
//!
//! [`selling`] is an ordinary day, [`cuts`] what a branch's plug does, [`centre`] what happens to the centre and the line
//! to it, [`orders`] what the centre has the branch do, [`totals`] what is compared.

mod centre;
mod cuts;
mod orders;
mod selling;
mod totals;

use std::time::Duration;

use anyhow::bail;
use pestle_domain::ids::ActId;
use uuid::Uuid;

use super::Length;
use super::expected::{Expected, opening};
use super::steps::Steps;
use super::till::Cashier;
use crate::centre::Centre;
use crate::demo_data::{Article, BRANCHES, LotState, articles};
use crate::waiting::until;
use crate::world::World;

/// From an act at the counter to the centre's figures, with everything running.
const AT_THE_CENTRE: Duration = Duration::from_secs(60);

/// Whether the box sends again what a restored centre has lost, on every stream and after its own restart.
const CENTRE_MAY_BE_RESTORED: bool = true;

/// The float with which the till is opened, in cents.
const FLOAT: i64 = 15_000;

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
    story.an_ordinary_day(steps).await?;
    story.plugs(length, steps).await?;
    story.the_centre_and_the_line(length, steps).await?;
    story.the_evening(steps).await
}

impl Story<'_> {
    async fn an_ordinary_day(&mut self, steps: &mut Steps<'_>) -> anyhow::Result<()> {
        steps.step("both branches are known to the centre, and online", self.online()).await?;
        steps.step("the centre has both branches' opening stock", self.all_equal()).await?;
        steps.step("a technician signs in and opens the till with a float", self.open()).await?;
        steps
            .step("DataMatrix and EAN-13 through the serial line are sold for cash", self.first_sales())
            .await?;
        steps
            .step("unknown, damaged and over-long codes are refused with a reason", self.odd_codes())
            .await?;
        steps.step("an expired and a recalled lot are refused with the reason", self.blocked_lots()).await?;
        steps.step("a pack that the book does not have is sold and found", self.beyond_the_book()).await?;
        steps.step("each receipt says what was sold, row by row", self.north.receipts_match()).await?;
        steps.step("the centre's stock, sales and till have moved by exactly that", self.all_equal()).await?;
        steps
            .step("without paper a sale counts, and is printed once there is paper", self.no_paper())
            .await?;
        steps.step("a fridge that stays silent is a reason, never a number", self.silent_fridge()).await
    }

    async fn plugs(&mut self, length: Length, steps: &mut Steps<'_>) -> anyhow::Result<()> {
        steps.step("the basket is back after a power cut", self.basket_is_back()).await?;
        let cuts = length.power_cuts();
        let what = format!("power cuts while paying, {cuts} at least: each sale counts once");
        let seen = steps.step(&what, self.cuts_while_paying(cuts)).await?;
        steps.note(&seen.to_string());
        steps
            .step("a box that starts with the centre away signs in by PIN, sells and prints", self.cut_off())
            .await
    }

    async fn the_centre_and_the_line(&mut self, length: Length, steps: &mut Steps<'_>) -> anyhow::Result<()> {
        let took = steps
            .step(
                "a recall at the centre: the lot is refused at the counter, until it is lifted",
                self.recalled(),
            )
            .await?;
        steps.note(&format!("{took} ms from the centre to the till and back"));
        steps
            .step("a correction for a branch out of reach, with the gateway killed, is done once", {
                self.corrected_late()
            })
            .await?;
        let sales = length.sales_without_network() / 2;
        let lacked = steps
            .step("the gateway is killed when half a batch has come", self.killed_half_way(sales))
            .await?;
        steps.note(&format!("{lacked} facts were in the box alone"));
        let lacked =
            steps.step("the gateway is killed while it books a batch", self.killed_while_booking()).await?;
        steps.note(&format!("{lacked} facts were in the box alone"));
        steps.step("PostgreSQL is killed while the branch sells", self.database_killed()).await?;
        if CENTRE_MAY_BE_RESTORED {
            steps
                .step("an old copy of the centre's database is restored: the branch sends it all again", {
                    self.restored()
                })
                .await?;
        }
        let sales = length.sales_without_network();
        steps.step(&format!("{sales} sales with the network cut"), self.without_network(sales)).await?;
        steps.step("all of them reach the centre when it is healed", self.all_equal()).await
    }

    async fn the_evening(&mut self, steps: &mut Steps<'_>) -> anyhow::Result<()> {
        steps.step("the till is closed by count, without a difference", self.close()).await?;
        steps
            .step("receipts: one each, no number twice, no gap, and no kick of the drawer too many", {
                self.receipts()
            })
            .await?;
        steps.step("the centre's figures after the closing", self.all_equal()).await?;
        let said = steps
            .step("local, printed and central totals are equal, to the cent and the pack", self.totals())
            .await?;
        steps.note(&said);
        let said = steps
            .step("both ends prove the branch's history by signatures, and byte for byte", self.witnesses())
            .await?;
        steps.note(&said);
        Ok(())
    }

    /// The next article of the shelf that a plain sale may take: in stock, nothing blocked, letters that every printer
    /// has.
    fn article(&mut self) -> anyhow::Result<&'static Article> {
        let count = self.articles.len();
        for _ in 0..count {
            self.next = (self.next + 7) % count;
            let article = &self.articles[self.next];
            let plain = article.lots.iter().all(|lot| lot.state == LotState::Good) && article.name.is_ascii();
            // A DataMatrix names the first lot.
            let first =
                article.lots.first().map_or(0, |lot| self.north.expected.on_hand_of(article, &lot.lot));
            if article.sold_at_counter() && plain && first > 2 {
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
}

/// The articles, made once and kept for as long as the process lives: the story borrows from them freely.
fn shelf() -> &'static [Article] {
    static SHELF: std::sync::OnceLock<Vec<Article>> = std::sync::OnceLock::new();
    SHELF.get_or_init(articles)
}

fn new_act() -> ActId {
    ActId(Uuid::now_v7())
}
