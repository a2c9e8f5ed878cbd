//! What is compared: the branch's own account, its papers, its journal, and the centre.

use anyhow::{Context, ensure};

use super::super::expected::{differences, numbering_faults, opening};
use super::super::ledger;
use super::super::owner::{Booked, Owner};
use super::{AT_THE_CENTRE, Story};
use crate::demo_data::BRANCHES;
use crate::waiting::until;

impl Story<'_> {
    pub(super) async fn receipts(&mut self) -> anyhow::Result<()> {
        self.north.receipts_match().await?;
        let faults = numbering_faults(self.north.expected.sales.iter().map(|sale| sale.receipt.clone()));
        ensure!(faults.is_empty(), "{}", faults.join("; "));
        Ok(())
    }

    /// Waits until the centre's figures are the branch's, and checks that nothing there is in doubt and that the
    /// second branch has not moved.
    pub(super) async fn all_equal(&mut self) -> anyhow::Result<()> {
        let mut wanted: Vec<_> = self
            .north
            .expected
            .sales
            .iter()
            .map(|sale| (sale.receipt.to_string(), sale.total_cents))
            .collect();
        wanted.sort();
        until("the centre to say the same", AT_THE_CENTRE, || async {
            self.differs(&wanted).await.map_err(|error| format!("{error:#}"))?.map_or(Ok(()), Err)
        })
        .await?;
        let faults = Owner::of(&self.world.place).await?.faults().await?;
        ensure!(faults.is_empty(), "at the centre:\n{}", faults.join("\n"));
        let south = self.centre.stock(BRANCHES[1]).await?;
        let moved = differences(&opening(self.articles, 1), &south);
        ensure!(moved.is_empty(), "the second branch has moved: {moved:?}");
        ensure!(self.centre.sales(BRANCHES[1]).await?.is_empty(), "the second branch has sold");
        let tills = self.centre.sessions(BRANCHES[1]).await?;
        ensure!(tills.is_empty(), "the second branch's till was opened: {tills:?}");
        Ok(())
    }

    /// What is not yet the same at the centre.
    async fn differs(&self, wanted: &[(String, i64)]) -> anyhow::Result<Option<String>> {
        let expected = &self.north.expected;
        let mut sales = self.centre.sales(BRANCHES[0]).await?;
        sales.sort();
        if sales != wanted {
            let (found, wanted) = (sales.len(), wanted.len());
            return Ok(Some(format!("the centre has {found} sales, the branch made {wanted}")));
        }
        let mut takings = 0;
        for session in self.centre.sessions(BRANCHES[0]).await? {
            let known = |cents: Option<i64>| cents.with_context(|| format!("{session:?} has no sums"));
            takings += known(session.expected_minor)? - known(session.float_minor)?;
        }
        if takings != expected.total_cents() {
            let total = expected.total_cents();
            return Ok(Some(format!("the centre's tills took {takings} cents, the branch {total}")));
        }
        let stock = self.centre.stock(BRANCHES[0]).await?;
        let wrong = differences(&expected.stock, &stock);
        Ok((!wrong.is_empty()).then(|| format!("lot, wanted, found: {wrong:?}")))
    }

    /// Three accounts that were kept apart: the paper that came out, the facts on the box's own disk, the centre's rows.
    pub(super) async fn totals(&mut self) -> anyhow::Result<String> {
        let (papers, printed_cents, printed_packs) =
            self.north.printed_sums().map_err(anyhow::Error::msg).context("the papers")?;
        self.north.branch.stop().await;
        let local = ledger::sum(&self.north.branch.journal().await?).map_err(anyhow::Error::msg)?;
        let Booked { sales, cents, packs } = Owner::of(&self.world.place).await?.booked(BRANCHES[0]).await?;
        let said = format!(
            "printed {papers} receipts, {printed_cents} cents, {printed_packs} packs; \
             local {}, {}, {}; central {sales}, {cents}, {packs}",
            local.sales, local.cents, local.packs
        );
        let printed = (papers, printed_cents, printed_packs);
        ensure!(printed == (local.sales, local.cents, local.packs), "{said}");
        ensure!(printed == (sales, cents, packs), "{said}");
        ensure!(local.packs_moved == local.packs, "{} packs left the local shelf: {said}", local.packs_moved);
        ensure!(local.received_cents == local.cents, "{} cents came into the drawer: {said}", {
            local.received_cents
        });
        let expected = &self.north.expected;
        ensure!(
            printed == (expected.sales.len() as i64, expected.total_cents(), expected.packs()),
            "the cashier's own account is {} sales, {} cents, {} packs: {said}",
            expected.sales.len(),
            expected.total_cents(),
            expected.packs()
        );
        Ok(said)
    }

    /// Each end proves its records by itself and by the other's signature, and then they are compared byte for byte.
    pub(super) async fn witnesses(&mut self) -> anyhow::Result<String> {
        let branch = &self.north.branch;
        let at_the_branch = branch.verify().await?;
        let signed = "are those that the centre signed";
        ensure!(at_the_branch.contains(signed), "the branch says: {at_the_branch}");
        let export = branch.export().await?;
        let at_the_centre = self.world.gateway.lock().await.audit(BRANCHES[0], &export).await?;
        for proof in ["are whole, and those that the box signed", "are the centre's, byte for byte"] {
            ensure!(at_the_centre.contains(proof), "the centre says: {at_the_centre}");
        }
        Ok(at_the_branch.trim().to_owned())
    }
}
