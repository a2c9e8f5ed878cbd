//! The person at each till: sells on through everything, and keeps an account of what they were told.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use pestle_domain::ids::ActId;
use tokio::{sync::watch, task::JoinHandle};
use uuid::Uuid;

use super::{SELLS_WITHIN, field::Field};
use crate::{
    check::expected::{Expected, Paper, Sold, opening},
    counter::{Basket, Counter, CounterError, Print, Sale, Till},
    demo_data::{Article, LotState, Serials, articles},
    seeded::Seeded,
    waiting::until,
    world::{Branch, PEOPLE},
};

/// What a person waits for a line to appear, before they look again.
const LINE_WITHIN: Duration = Duration::from_secs(5);
/// Who is at the till while the box starts looks at the page this often.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The float with which each till is opened.
const FLOAT: &str = "100.00";

/// What one person was told.
#[derive(Debug, Clone)]
pub struct Account {
    /// The branch.
    pub branch: String,
    /// Stock and sales, as they must be.
    pub expected: Expected,
    /// Payments of which nobody could tell at first whether they counted.
    pub doubted: u64,
    /// Of these, those that did not.
    pub not_recorded: u64,
}

/// What the people are asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    Sell,
    Pause,
    End,
}

/// What they say, after each sale.
#[derive(Debug, Clone)]
struct Word {
    account: Arc<Account>,
    paused: bool,
}

/// All of them.
#[derive(Debug)]
pub struct Sellers {
    wish: watch::Sender<Wish>,
    people: Vec<Person>,
}

#[derive(Debug)]
struct Person {
    word: watch::Receiver<Word>,
    /// `None` once it was asked what came of it.
    task: Option<JoinHandle<Result<()>>>,
}

impl Sellers {
    /// One at each branch's till, who begins at once.
    pub fn start(field: &Field, seed: u64) -> Self {
        let wish = watch::Sender::new(Wish::Sell);
        let people = field.world.branches.iter().enumerate().map(|(index, branch)| {
            let account = Account {
                branch: branch.slug.clone(),
                expected: Expected::new(opening(&articles(), index)),
                doubted: 0,
                not_recorded: 0,
            };
            let (said, heard) = watch::channel(Word { account: Arc::new(account.clone()), paused: false });
            let (branch, wish) = (branch.clone(), wish.subscribe());
            let seeded = Seeded::of(seed, u64::MAX - index as u64);
            let task = tokio::spawn(async move {
                let mut seller = Seller::new(branch, account, seeded)?;
                seller.work(wish, &said).await
            });
            Person { word: heard, task: Some(task) }
        });
        let people = people.collect();
        Self { wish, people }
    }

    /// Waits until each has sold once more, and says how many sales there are in all.
    ///
    /// # Errors
    /// When somebody cannot sell, or gave up and why.
    pub async fn all_sell(&mut self) -> Result<usize> {
        let mut sales = 0;
        for index in 0..self.people.len() {
            let before = self.people[index].word.borrow().account.expected.sales.len();
            self.wait_for(index, |word| word.account.expected.sales.len() > before).await?;
            sales += self.people[index].word.borrow().account.expected.sales.len();
        }
        Ok(sales)
    }

    /// Has everybody finish what they began, and hands back what they were told.
    ///
    /// # Errors
    /// As [`Sellers::all_sell`].
    pub async fn pause(&mut self) -> Result<Vec<Arc<Account>>> {
        self.wish.send_replace(Wish::Pause);
        for index in 0..self.people.len() {
            self.wait_for(index, |word| word.paused).await?;
        }
        Ok(self.people.iter().map(|person| person.word.borrow().account.clone()).collect())
    }

    /// After a pause.
    pub fn go_on(&self) {
        self.wish.send_replace(Wish::Sell);
    }

    /// Sends everybody home, and hands back what they were told.
    ///
    /// # Errors
    /// As [`Sellers::all_sell`].
    pub async fn end(self) -> Result<Vec<Arc<Account>>> {
        self.wish.send_replace(Wish::End);
        let mut accounts = Vec::new();
        for mut person in self.people {
            match tokio::time::timeout(SELLS_WITHIN, person.outcome()).await {
                Ok(outcome) => outcome?,
                Err(_) => bail!("{} did not finish in {SELLS_WITHIN:?}", person.word.borrow().account.branch),
            }
            accounts.push(person.word.borrow().account.clone());
        }
        Ok(accounts)
    }

    /// Sends everybody home in the middle of whatever they do: what they were told does not matter any more.
    pub fn abandon(&self) {
        self.people.iter().filter_map(|person| person.task.as_ref()).for_each(JoinHandle::abort);
    }

    async fn wait_for(&mut self, index: usize, is: impl Fn(&Word) -> bool) -> Result<()> {
        let person = &mut self.people[index];
        let waited = tokio::time::timeout(SELLS_WITHIN, person.word.wait_for(is)).await;
        match waited.map(|said| said.map(drop)) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => match person.outcome().await {
                Ok(()) => bail!("the person at the till went home"),
                Err(error) => Err(error),
            },
            Err(_) => bail!("{} did not sell in {SELLS_WITHIN:?}", person.word.borrow().account.branch),
        }
    }
}

impl Person {
    /// Waits for the end, and says what came of it, once.
    async fn outcome(&mut self) -> Result<()> {
        match self.task.take() {
            None => Ok(()),
            Some(task) => task.await.context("the person at the till fell over")?,
        }
    }
}

struct Seller {
    branch: Arc<Branch>,
    counter: Counter,
    account: Account,
    articles: Vec<Article>,
    serials: Serials,
    seeded: Seeded,
}

impl Seller {
    fn new(branch: Arc<Branch>, account: Account, seeded: Seeded) -> Result<Self> {
        let counter = Counter::open(&branch)?;
        let plain = |article: &Article| {
            article.sold_at_counter()
                && article.lots.first().is_some_and(|lot| lot.state == LotState::Good)
                && article.lots.iter().all(|lot| lot.state == LotState::Good)
        };
        let articles = articles().into_iter().filter(plain).collect();
        Ok(Self { branch, counter, account, articles, serials: Serials::since_now(), seeded })
    }

    async fn work(&mut self, mut wish: watch::Receiver<Wish>, said: &watch::Sender<Word>) -> Result<()> {
        loop {
            let wanted = *wish.borrow_and_update();
            match wanted {
                Wish::Sell => self.sell().await?,
                Wish::Pause | Wish::End => {}
            }
            let word = Word { account: Arc::new(self.account.clone()), paused: wanted == Wish::Pause };
            said.send_replace(word);
            match wanted {
                Wish::Sell => {}
                Wish::Pause => drop(wish.changed().await),
                Wish::End => return Ok(()),
            }
        }
    }

    /// One sale, from the first scan to the certainty whether it counted.
    async fn sell(&mut self) -> Result<()> {
        let Some(basket) = self.fill().await? else { return Ok(()) };
        self.pay(basket).await
    }

    /// Scans one to three packs, and hands back what the page then shows.
    async fn fill(&mut self) -> Result<Option<Basket>> {
        let mut till = self.at_the_till().await?;
        let packs = 1 + self.seeded.below(3);
        for _ in 0..packs {
            let article = self.articles[self.seeded.index(self.articles.len())].clone();
            let Some(lot) = article.lots.first() else { continue };
            let before = packs_in(&till);
            let code = article.data_matrix(lot, &self.serials.next());
            // Nobody may listen at this moment: the pack is then not on the page, and the person goes on.
            let _ = self.branch.scanner.scan(code.as_bytes()).await;
            let shown = until("the line", LINE_WITHIN, || async {
                let shown = self.counter.look().await.map_err(|error| error.to_string())?;
                if packs_in(&shown) > before { Ok(shown) } else { Err("not yet".to_owned()) }
            });
            match shown.await {
                Ok(shown) => till = shown,
                Err(_) => return Ok(None),
            }
        }
        Ok(till.basket.filter(|basket| !basket.lines.is_empty()))
    }

    /// Pays, and asks again until it is certain whether that counted.
    async fn pay(&mut self, mut basket: Basket) -> Result<()> {
        let act = basket.act;
        let began = Instant::now();
        loop {
            let paid = self.counter.pay(act, &cents(basket.total.minor)).await;
            if let Ok(_told) = paid {
                let shown = self.shows_sale(act).await?;
                self.note(&basket, &shown);
                return Ok(());
            }
            self.account.doubted += 1;
            if let Err(last) = &paid {
                let branch = &self.branch.slug;
                ensure!(began.elapsed() < SELLS_WITHIN, "{branch}: {} cannot be paid for: {last}", act.0);
            }
            let till = self.at_the_till().await?;
            if let Some(sale) = till.last_sale.filter(|sale| sale.act == act) {
                self.note(&basket, &sale);
                return Ok(());
            }
            match (till.basket, paid) {
                // The basket is back, perhaps without its last pack: it is paid as it is now.
                (Some(back), _) if back.act == act && !back.lines.is_empty() => basket = back,
                (_, Err(CounterError::Refused { .. })) => {
                    self.account.not_recorded += 1;
                    return Ok(());
                }
                // Asked once more: an act that counted says so, whatever lies on the counter.
                _ => {}
            }
        }
    }

    /// The page says that it was sold; a power cut may come before it can be looked at.
    async fn shows_sale(&mut self, act: ActId) -> Result<Sale> {
        let till = self.at_the_till().await?;
        let sale = till.last_sale.filter(|sale| sale.act == act);
        sale.with_context(|| format!("the page said that {} was sold, and the sale is gone", act.0))
    }

    fn note(&mut self, basket: &Basket, sale: &Sale) {
        let packs: Vec<Sold<'_>> = basket
            .lines
            .iter()
            .filter_map(|line| {
                let article = self.articles.iter().find(|article| article.name == line.name)?;
                Some(Sold { article, lot: line.lot.as_deref(), quantity: line.quantity })
            })
            .collect();
        self.account.expected.sold(&packs, sale, Paper::OneOrCopy);
    }

    /// Waits until the box is there, signs in and opens the till where that is needed, and answers what it asks.
    async fn at_the_till(&mut self) -> Result<Till> {
        let began = Instant::now();
        loop {
            let address = self.branch.counter();
            if !address.is_empty() {
                self.counter.moved_to(address);
            }
            let last = match self.ready().await {
                Ok(Some(till)) => return Ok(till),
                Ok(None) => "it is being made ready".to_owned(),
                Err(error) => error.to_string(),
            };
            ensure!(began.elapsed() < SELLS_WITHIN, "{}: the till is not ready: {last}", self.branch.slug);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn ready(&self) -> Result<Option<Till>, CounterError> {
        let till = self.counter.look().await?;
        match till.phase.as_str() {
            "sign_in" => drop(self.counter.sign_in(&PEOPLE[1]).await?),
            "closed" => drop(self.counter.open_till(ActId(Uuid::now_v7()), FLOAT).await?),
            "no_catalogue" => {}
            _ if !till.refusals.is_empty() || till.question.is_some() => drop(self.counter.dismiss().await?),
            _ => {
                // Nobody looks at the paper here.
                let unknown = till.prints.iter().filter(|print: &&Print| print.state == "unknown");
                for print in unknown {
                    self.counter.answer_print(print.job, "came_out").await?;
                }
                return Ok(Some(till));
            }
        }
        Ok(None)
    }
}

fn packs_in(till: &Till) -> i64 {
    till.basket.as_ref().map_or(0, |basket| basket.lines.iter().map(|line| line.quantity).sum())
}

/// `12.34`.
fn cents(amount: i64) -> String {
    format!("{}.{:02}", amount / 100, amount % 100)
}
