//! The branch's plug, pulled at every moment of a payment.

use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::super::expected::Paper;
use super::super::till::{Pack, euros, packs_in};
use super::Story;
use crate::counter::{Basket, CounterError, Till};
use crate::network::Weather;
use crate::world::Power;

/// Rounds beyond those that were asked for, until each outcome was seen.
const MORE_ROUNDS_MAX: u32 = 25;

/// No payment takes longer: a cut after this is after its answer.
const DELAY_MAX: Duration = Duration::from_secs(3);

/// The first cut. A commit takes some milliseconds.
const DELAY_FIRST: Duration = Duration::from_millis(2);

/// Whether the page offers to sign in while the centre is away, and for how long the box may take for that.
const OFFLINE_WITHIN: Duration = Duration::from_secs(90);

/// What a power cut met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    /// The sale was not on the disk: the basket is back.
    NotRecorded,
    /// It was on the disk, and nobody had been told.
    Unanswered,
    /// The page had been told.
    Answered,
}

/// How often each was met.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    not_recorded: u32,
    unanswered: u32,
    answered: u32,
}

impl Seen {
    fn note(&mut self, met: Met) {
        match met {
            Met::NotRecorded => self.not_recorded += 1,
            Met::Unanswered => self.unanswered += 1,
            Met::Answered => self.answered += 1,
        }
    }

    /// Cuts before the answer and after it.
    fn both_sides(self) -> bool {
        self.not_recorded + self.unanswered > 0 && self.answered > 0
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { not_recorded, unanswered, answered } = self;
        write!(
            formatter,
            "{not_recorded} not recorded, {unanswered} recorded and unanswered, {answered} answered"
        )
    }
}

/// When to cut next: around the moment of the answer, which differs from machine to machine. Pure.
#[derive(Debug, Clone, Copy, Default)]
struct Aim {
    /// The longest delay that was before the answer.
    before: Option<Duration>,
    /// The shortest that was after it.
    after: Option<Duration>,
    /// How often in a row it was the same side.
    in_a_row: u32,
    /// Which side that was.
    last_after: bool,
}

/// So many cuts in a row on one side say that the moment is not where it was.
const IN_A_ROW_MAX: u32 = 3;

impl Aim {
    fn delay(self) -> Duration {
        match (self.before, self.after) {
            (None, None) => DELAY_FIRST,
            (None, Some(after)) => after / 2,
            (Some(before), None) => (before * 2).clamp(DELAY_FIRST, DELAY_MAX),
            (Some(before), Some(after)) => (before + after) / 2,
        }
    }

    /// A machine under load moves the moment: what contradicts the newest cuts is forgotten.
    fn met(&mut self, delay: Duration, met: Met) {
        if met == Met::Answered {
            self.after = Some(delay);
            self.before = self.before.filter(|before| *before < delay);
        } else {
            self.before = Some(delay);
            self.after = self.after.filter(|after| *after > delay);
        }
        if let (Some(before), Some(after)) = (self.before, self.after)
            && after - before < Duration::from_micros(100)
        {
            // Narrower than a machine repeats itself: open up again.
            (self.before, self.after) = (Some(before / 2), Some(after * 2));
        }
        let is_after = met == Met::Answered;
        self.in_a_row = if is_after == self.last_after { self.in_a_row + 1 } else { 1 };
        self.last_after = is_after;
        if self.in_a_row >= IN_A_ROW_MAX {
            match is_after {
                true => self.before = None,
                false => self.after = None,
            }
        }
    }
}

impl Story<'_> {
    /// A basket is kept off the scan's path: the last pack alone may be missing, and is scanned once more.
    pub(super) async fn basket_is_back(&mut self) -> anyhow::Result<()> {
        let packs = [self.article()?, self.article()?, self.article()?];
        let packs = [Pack::good(packs[0])?, Pack::good(packs[1])?, Pack::good(packs[2])?];
        // What the last sale has to print is not this step's.
        self.north.settled().await?;
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

    /// The plug is pulled around the moment of the answer: before the payment is read, while it is written, after.
    pub(super) async fn cuts_while_paying(&mut self, rounds: u32) -> anyhow::Result<Seen> {
        let (mut seen, mut aim) = (Seen::default(), Aim::default());
        for round in 0..rounds + MORE_ROUNDS_MAX {
            if round >= rounds && seen.both_sides() {
                break;
            }
            let delay = aim.delay();
            let met = self.cut_while_paying(delay).await;
            let met = met.with_context(|| format!("round {round}, cut after {delay:?}"))?;
            aim.met(delay, met);
            seen.note(met);
        }
        ensure!(seen.both_sides(), "no cut was on either side of the answer: {seen}");
        self.north.receipts_match().await?;
        Ok(seen)
    }

    async fn cut_while_paying(&mut self, after: Duration) -> anyhow::Result<Met> {
        self.north.settled().await?;
        let packs = [Pack::good(self.article()?)?, Pack::good(self.article()?)?];
        let shown = self.north.scan_by_hand(&packs).await?;
        let act = shown.basket.context("no basket")?.act;
        let cents: i64 = packs.iter().map(|pack| i64::from(pack.article().price_cents)).sum();
        let price = euros(cents);
        let (paid, ()) = tokio::join!(self.north.counter.pay(act, &price), async {
            tokio::time::sleep(after).await;
            self.north.branch.pull_the_plug().await;
        });
        let shown = self.north.come_back().await?;
        let recorded = shown.last_sale.as_ref().is_some_and(|sale| sale.act == act);
        let met = match (&paid, recorded) {
            (Ok(_), true) => Met::Answered,
            (Err(CounterError::Gone(_)), true) => Met::Unanswered,
            (Err(CounterError::Gone(_)), false) => Met::NotRecorded,
            (Ok(_), false) => bail!("the page said that it was sold, but the sale is gone"),
            (Err(error), _) => bail!("the payment was not taken: {error}"),
        };
        match (&shown.basket, recorded) {
            (None, true) => {}
            (Some(basket), true) => bail!("recorded, and the basket {} is there as well", basket.act.0),
            (_, false) => {
                let kept = usize::try_from(packs_in(&shown))?;
                ensure!(kept + 1 >= packs.len(), "the basket has {kept} of {} packs", packs.len());
                let shown = self.north.scan(&packs[kept..]).await?;
                let basket = shown.basket.context("no basket")?;
                ensure!(basket.act == act, "it is another basket");
            }
        }
        // Asked again, as the page does: the same act counts once, whichever it was.
        self.north.counter.pay(act, &price).await.context("paying again")?;
        let first = self.north.sale_of(act).await?;
        ensure!(first.total.minor == cents, "sold for {}, the packs cost {price}", first.total);
        ensure!(first.change.minor == 0, "the change is {} of an exact payment", first.change);
        self.north.counter.pay(act, &price).await.context("paying a third time")?;
        let second = self.north.sale_of(act).await?;
        ensure!(first.receipt == second.receipt, "one act has {} and {}", first.receipt, second.receipt);
        self.north.note(&packs, &first, if recorded { Paper::OneOrCopy } else { Paper::One });
        self.north.answer_prints().await?;
        Ok(met)
    }

    /// The cable is out and the plug was pulled: what the box knows of people, prices and lots is what it kept.
    pub(super) async fn cut_off(&mut self) -> anyhow::Result<()> {
        self.all_equal().await?;
        self.north.settled().await?;
        self.north.branch.set_line(Weather::Blackhole);
        self.north.branch.pull_the_plug().await;
        ensure!(self.north.branch.power() == Power::Unplugged, "it has power without a plug");
        self.north.branch.start().await.context("starting with the centre away")?;
        self.north.counter.moved_to(self.north.branch.counter());
        self.north.sign_in().await?;
        let as_it_was = |till: &Till| matches!(till.phase.as_str(), "ready" | "change");
        self.north.counter.shows("the till as it was", as_it_was).await?;
        let packs = [Pack::good(self.article()?)?, Pack::Ean(self.article()?)];
        self.north.sell(&packs).await?;
        self.north.receipts_match().await?;
        self.north.offline_with(1, OFFLINE_WITHIN).await?;
        self.north.branch.set_line(Weather::FAIR);
        self.all_equal().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts against a machine that answers after `answer`.
    fn aimed_at(answer: Duration, rounds: u32) -> (Seen, Aim) {
        let (mut seen, mut aim) = (Seen::default(), Aim::default());
        for _ in 0..rounds {
            let delay = aim.delay();
            let met = if delay >= answer { Met::Answered } else { Met::NotRecorded };
            aim.met(delay, met);
            seen.note(met);
        }
        (seen, aim)
    }

    #[test]
    fn both_sides_of_the_answer_are_met_on_a_quick_machine_and_on_a_slow_one() {
        for micros in [300, 2_000, 9_000, 130_000, 1_900_000] {
            let (seen, _) = aimed_at(Duration::from_micros(micros), 4 + MORE_ROUNDS_MAX);
            assert!(seen.both_sides(), "{micros} µs: {seen}");
        }
    }

    #[test]
    fn the_aim_follows_a_machine_that_becomes_slower() {
        let (_, mut aim) = aimed_at(Duration::from_millis(3), 10);
        let mut delay = Duration::ZERO;
        for _ in 0..10 {
            delay = aim.delay();
            aim.met(delay, if delay >= Duration::from_millis(80) { Met::Answered } else { Met::Unanswered });
        }
        assert!(delay > Duration::from_millis(20), "{delay:?}");
    }
}
