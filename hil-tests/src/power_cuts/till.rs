//! Somebody who sells at a till until its power goes, remembers what the page was told, and comes back.

use anyhow::{Context as _, Result, anyhow};
use pestle_domain::ids::ActId;
use serde_json::Value;
use uuid::Uuid;

use super::{
    account::{Account, Paid},
    papers::Papers,
    provisioned::{Article, SELLER},
};
use crate::{
    counter::{Basket, Counter, CounterError, Receipt},
    seeded::Seeded,
};

/// What is handed over: more than any basket comes to.
const TENDERED: &str = "500.00";
/// Earlier sales of the till that are asked for again after each cut.
const ASKED_AGAIN: usize = 3;

/// See the module.
#[derive(Debug)]
pub struct Till {
    /// Its name.
    pub name: &'static str,
    counter: Counter,
    articles: Vec<Article>,
    seeded: Seeded,
    /// A payment that was sent and not answered.
    pub in_flight: Option<Paid>,
    /// What it was told since the last cut.
    told: Vec<(Paid, Receipt)>,
    /// The basket that the page showed last.
    basket: Option<ActId>,
}

impl Till {
    /// At a till that nobody has used; `counter` is a browser there.
    pub fn new(name: &'static str, counter: Counter, articles: Vec<Article>, seeded: Seeded) -> Self {
        Self { name, counter, articles, seeded, in_flight: None, told: Vec::new(), basket: None }
    }

    /// Sells until nobody answers any more.
    ///
    /// # Errors
    /// The page refuses something.
    pub async fn sell(&mut self) -> Result<()> {
        loop {
            match self.one_sale().await {
                Ok(()) => {}
                Err(CounterError::Gone(_)) => return Ok(()),
                Err(error) => return Err(error).with_context(|| format!("at {}", self.name)),
            }
        }
    }

    /// Scans a few packs and takes the money.
    ///
    /// # Errors
    /// The page refuses, or nobody answers.
    pub async fn one_sale(&mut self) -> Result<(), CounterError> {
        for _ in 0..1 + self.seeded.index(3) {
            let article = self.seeded.index(self.articles.len());
            self.counter.scan(&self.articles[article].code).await?;
        }
        let shown = self.counter.look().await?;
        let Some(basket) = shown.basket else { return Ok(()) };
        let paid = paid(&basket);
        self.basket = Some(paid.act);
        self.in_flight = Some(paid.clone());
        let done = self.counter.pay(paid.act, TENDERED).await?;
        self.in_flight = None;
        self.told.extend(receipt(&done).map(|receipt| (paid, receipt)));
        Ok(())
    }

    /// What it was told since the last time.
    pub fn take_told(&mut self) -> Vec<(Paid, Receipt)> {
        std::mem::take(&mut self.told)
    }

    /// Everything that it was told since the last time goes into the account.
    ///
    /// # Errors
    /// Two sales have one receipt.
    pub fn report(&mut self, account: &mut Account) -> Result<()> {
        self.told
            .drain(..)
            .try_for_each(|(paid, receipt)| account.sold(&paid, &receipt))
            .map_err(anyhow::Error::msg)
    }

    /// The box has power again, and `counter` is a browser at this till: signs in, opens the till if nobody has, finds out what became of the last payment, and asks
    /// for earlier sales again. `kept` is the basket that lay safely on the disk.
    ///
    /// # Errors
    /// The box does not know what it told, or the basket is not as it promises.
    pub async fn come_back(
        &mut self,
        counter: Counter,
        account: &mut Account,
        kept: Option<ActId>,
    ) -> Result<(), TillError> {
        self.counter = counter;
        self.counter.sign_in(&SELLER).await?;
        let shown = self.counter.look().await?;
        if shown.phase == "closed" {
            self.counter.open_till(ActId(Uuid::now_v7()), "100.00").await?;
        }
        let sold = shown.last_sale.as_ref().map(|sale| sale.act);
        let there = shown.basket.as_ref().map(|basket| basket.act);
        if let Some(kept) = kept.filter(|kept| Some(*kept) != sold) {
            wrong(there == Some(kept), || {
                format!("basket {kept} lay on the disk, the page shows {there:?}")
            })?;
        }
        if let Some(paid) = self.in_flight.clone() {
            self.settle(&paid, account).await?;
        }
        let sales = account.of_till(self.name);
        if let Some(session) = self.counter.look().await?.session {
            let wanted = sales.len() as u64;
            wrong(session.sales == wanted, || {
                format!("the session has {} sales, {wanted} were told", session.sales)
            })?;
        }
        let again: Vec<_> = (0..ASKED_AGAIN.min(sales.len()))
            .map(|back| if back == 0 { sales.len() - 1 } else { self.seeded.index(sales.len()) })
            .map(|index| sales[index].clone())
            .collect();
        for (paid, told) in again {
            let done = self.counter.pay_again(paid.act, paid.total, TENDERED).await?;
            let said = receipt(&done);
            wrong(said.as_ref() == Some(&told), || format!("{} was {told}, is {done}", paid.act))?;
        }
        Ok(())
    }

    /// A payment whose answer nobody heard: the page sends it again.
    async fn settle(&mut self, paid: &Paid, account: &mut Account) -> Result<(), TillError> {
        match self.counter.pay_again(paid.act, paid.total, TENDERED).await {
            Ok(done) => {
                let told = receipt(&done)
                    .ok_or_else(|| TillError::Wrong(anyhow!("{} is answered with {done}", paid.act)))?;
                account.sold(paid, &told).map_err(|what| TillError::Wrong(anyhow!("{what}")))?;
            }
            Err(CounterError::Refused { .. }) => account.not_recorded(paid.act),
            Err(other) => return Err(other.into()),
        }
        self.in_flight = None;
        Ok(())
    }

    /// Looks at the prints that have not ended, and answers for those of which nobody knows by the papers that lie in its printer. Says how
    /// many have not ended.
    ///
    /// # Errors
    /// The page refuses, or the printer has forgotten papers.
    pub async fn answer_prints(&self, papers: &mut Papers) -> Result<usize> {
        loop {
            let shown = self.counter.look().await?;
            let asked: Vec<_> = shown.prints.iter().filter(|print| print.state == "unknown").collect();
            if asked.is_empty() {
                return Ok(shown.prints.len());
            }
            // Of many, the page shows the first: the next ones when these are answered.
            for print in asked {
                papers.take()?;
                let word = if papers.has_original(print.document) { "came_out" } else { "print_copy" };
                self.counter.answer_print(print.job, word).await?;
            }
        }
    }

    /// The page of this till.
    pub fn counter(&self) -> &Counter {
        &self.counter
    }

    /// A basket lies at the till by the page's last word.
    pub fn last_basket(&self) -> Option<ActId> {
        self.basket
    }
}

/// Why somebody could not come back to a till.
#[derive(Debug, thiserror::Error)]
pub enum TillError {
    /// The page refused, or the power went again.
    #[error(transparent)]
    Counter(#[from] CounterError),
    /// It answers, and wrongly.
    #[error(transparent)]
    Wrong(anyhow::Error),
}

impl TillError {
    /// Whether nobody answered.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Counter(CounterError::Gone(_)))
    }
}

fn wrong(is_right: bool, what: impl FnOnce() -> String) -> Result<(), TillError> {
    if is_right { Ok(()) } else { Err(TillError::Wrong(anyhow!("{}", what()))) }
}

fn paid(basket: &Basket) -> Paid {
    let packs = basket.lines.iter().map(|line| line.quantity).sum();
    Paid { act: basket.act, total: basket.total, packs }
}

fn receipt(done: &Value) -> Option<Receipt> {
    serde_json::from_value(done.get("receipt")?.clone()).ok()
}
