//! What the centre orders: a recall that stops a lot at the counter, and a correction that reaches a branch late, once.

use anyhow::{Context, ensure};
use serde_json::json;
use uuid::Uuid;

use super::super::till::Pack;
use super::{AT_THE_CENTRE, Story};
use crate::demo_data::{Article, BRANCHES};
use crate::network::Weather;
use crate::waiting::until;

/// Packs that the correction adds.
const FOUND: i64 = 5;

impl Story<'_> {
    /// The branch says what became of an order, at the centre.
    async fn order_is(&self, order: Uuid, state: &str) -> anyhow::Result<()> {
        until(&format!("the order to be {state}"), AT_THE_CENTRE, || async {
            let found =
                self.centre.order_state(order, BRANCHES[0]).await.map_err(|error| format!("{error:#}"))?;
            if found == state { Ok(()) } else { Err(found) }
        })
        .await?;
        Ok(())
    }

    async fn recall(&self, way: &str, article: &Article) -> anyhow::Result<()> {
        let lot = &article.lots.first().context("an article without lots")?.lot;
        let order = Uuid::now_v7();
        let body = json!({
            "id": order, "reference": "R-CHECK", "product": article.id, "lot": lot, "reason": "a check of recalls"
        });
        self.centre.order(way, &body).await?;
        self.order_is(order, "applied").await
    }

    /// Hands back how long it took from the person at the centre to the till, in milliseconds.
    pub(super) async fn recalled(&mut self) -> anyhow::Result<u128> {
        let article = self.article()?;
        let lot = article.lots.first().context("an article without lots")?;
        let begun = std::time::Instant::now();
        self.recall("recalls", article).await?;
        let told = |till: &crate::counter::Till| till.refusals.iter().any(|one| one.text.contains("R-CHECK"));
        self.north.counter.shows("the recall at the till", told).await?;
        let took = begun.elapsed().as_millis();
        self.north.counter.dismiss().await?;
        let scan = article.data_matrix(lot, "RECALLED1");
        let reasons = ["is recalled (r-check)", &article.name, &lot.lot];
        self.refused("a lot that was just recalled", scan.as_bytes(), &reasons).await?;
        self.recall("recalls/lift", article).await.context("lifting the recall")?;
        self.north.sell(&[Pack::good(article)?]).await.context("selling the lot again")?;
        Ok(took)
    }

    /// The branch is out of reach when the correction is ordered, and the gateway dies before it is back.
    pub(super) async fn corrected_late(&mut self) -> anyhow::Result<()> {
        self.north.settled().await?;
        let article = self.article()?;
        let lot = &article.lots.first().context("an article without lots")?.lot;
        self.north.branch.set_line(Weather::Reset);
        let order = Uuid::now_v7();
        let body = json!({
            "id": order, "branch": BRANCHES[0], "product": article.id, "lot": lot, "quantity": FOUND,
            "reason": "found behind the shelf"
        });
        self.centre.order("stock-adjustments", &body).await?;
        self.world.gateway.lock().await.kill();
        self.gateway_returns().await?;
        // Whoever asked did not hear the answer, and asks again.
        self.centre.order("stock-adjustments", &body).await?;
        let state = self.centre.order_state(order, BRANCHES[0]).await?;
        ensure!(state == "waiting", "the order is {state} while the branch is out of reach");
        self.north.branch.set_line(Weather::FAIR);
        self.order_is(order, "applied").await?;
        *self.north.expected.stock.entry((article.id.clone(), lot.clone())).or_default() += FOUND;
        self.all_equal().await?;
        self.north.power_cut().await?;
        self.all_equal().await.context("after a power cut")
    }
}
