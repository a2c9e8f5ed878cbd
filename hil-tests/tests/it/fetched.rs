//! What a box has lost and the centre has comes back into the box's books, on real processes.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use pestle_domain::ids::ActId;
use pestle_hil_tests::{
    centre::Centre,
    counter::{Counter, CounterError, Sale, Till},
    demo_data::{Article, LotState, Serials, articles},
    network::Weather,
    waiting::until,
    world::{Branch, PEOPLE, Place, World, gateway},
};

use crate::whole_product;

/// Sales before the box loses anything: more than one generation of the journal.
const SALES: u64 = 30;
/// With the pauses that grow while the centre is away.
const SOON: Duration = Duration::from_secs(120);
const FLOAT: &str = "100.00";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn books_that_lost_their_checkpoints_and_a_ledger_that_lost_its_end_have_back_from_the_centre_what_they_lack()
 {
    let _alone = whole_product().await;
    let folder = tempfile::tempdir().unwrap();
    let place = Place::at(&folder.path().canonicalize().unwrap().join("fetched")).unwrap();
    gateway::stop_left_postmaster(&place);
    place.begin_anew().unwrap();
    let world = World::start(place.clone(), &|line| println!("{line}")).await.unwrap();
    let centre = Centre::of(&world).await.unwrap();
    let north = Scene::of(&world, &centre, "north");
    north.checkpoints_are_lost().await;
    let south = Scene::of(&world, &centre, "south");
    south.the_ledger_loses_its_end().await;
    world.stop().await;
    drop(world);
    place.remove().unwrap();
}

/// A branch with somebody at its till.
struct Scene<'a> {
    branch: &'a Branch,
    centre: &'a Centre,
    folder: PathBuf,
    article: Article,
    serials: Serials,
}

/// What must not change by anything that is lost and comes back.
#[derive(Debug, PartialEq)]
struct Account {
    session: Option<(String, u64)>,
    /// By the box's own book.
    on_hand: i64,
    at_the_centre: (Vec<(String, i64)>, i64),
}

impl<'a> Scene<'a> {
    fn of(world: &'a World, centre: &'a Centre, slug: &str) -> Self {
        let has_matrix = |article: &Article| article.lot(LotState::Good).is_some();
        Self {
            branch: world.branch(slug).unwrap(),
            centre,
            folder: world.place.branch(slug),
            article: articles().into_iter().find(has_matrix).unwrap(),
            serials: Serials::since_now(),
        }
    }

    /// Both checkpoints are gone after old facts have left the box.
    async fn checkpoints_are_lost(&self) {
        self.branch.stop().await;
        let config = self.folder.join("agent.toml");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, format!("{text}\n[journal]\ngeneration_facts = 100\n")).unwrap();
        self.branch.start().await.unwrap();
        let counter = self.open().await;
        let first = self.sell(&counter).await;
        for _ in 1..SALES {
            self.sell(&counter).await;
        }
        let before = self.account(&counter).await;
        assert_eq!(before.session.as_ref().unwrap().1, SALES);

        self.branch.stop().await;
        let generations = generations(&self.folder, 1);
        assert!(generations.len() > 2, "{generations:?}");
        // As retention takes them, once the centre has them: whole folders, the oldest first.
        for generation in &generations[..generations.len() - 1] {
            fs::remove_dir_all(generation).unwrap();
        }
        for file in ["books-0.checkpoint", "books-1.checkpoint"] {
            fs::remove_file(self.folder.join("counter").join(file)).unwrap();
        }
        let papers = self.branch.printer.view().counts.receipts;
        self.branch.set_line(Weather::Reset);
        self.branch.start().await.unwrap();
        let counter = Counter::open(self.branch).unwrap();
        let lacks = |till: &Till| till.devices.iter().any(|device| device.name == "books");
        counter.shows("that the books lack facts", lacks).await.unwrap();
        counter.sign_in(&PEOPLE[1]).await.unwrap();
        let again = pay_again(&counter, &first).await;
        assert!(matches!(again, Err(CounterError::Refused { .. })), "nobody knows it: {again:?}");
        // It stays on the page until somebody puts it aside, and is not what the next scan is told.
        counter.dismiss().await.unwrap();

        self.branch.set_line(Weather::FAIR);
        let whole = until("whole books", SOON, || async {
            let till = counter.look().await.map_err(|error| error.to_string())?;
            if lacks(&till) { Err(format!("{:?}", till.devices)) } else { Ok(()) }
        });
        whole.await.unwrap();
        assert_eq!(self.account(&counter).await, before, "without a restart");
        is_that_sale(&pay_again(&counter, &first).await.unwrap(), &first);
        let sale = self.sell(&counter).await;
        assert_eq!(sale.receipt.number, SALES + 1);

        let after = self.account(&counter).await;
        self.restart_changes_nothing(&after, &first).await;
        self.printed(papers + 1).await;
        let pages = self.folder.join("counter/fetched");
        let gone = until("the end of the fetched pages", SOON, || {
            let left = fs::read_dir(&pages).map_or(0, Iterator::count);
            std::future::ready(if left == 0 { Ok(()) } else { Err(format!("{left} are left")) })
        });
        gone.await.unwrap();
        let counter = Counter::open(self.branch).unwrap();
        counter.sign_in(&PEOPLE[1]).await.unwrap();
        counter.close_till(ActId(uuid::Uuid::now_v7()), FLOAT).await.unwrap();
        let closing = counter.look().await.unwrap().last_closing.unwrap();
        assert_eq!(closing.sales, SALES + 1);
        self.agrees_about_the_session(&closing.expected.minor).await;
        self.branch.stop().await;
        self.branch.verify().await.unwrap();
    }

    /// The last facts of the ledger and the last readings are gone, after the centre had them.
    async fn the_ledger_loses_its_end(&self) {
        let counter = self.open().await;
        self.sell(&counter).await;
        self.settled(&counter).await;
        // What comes now lies in a generation of its own.
        self.branch.stop().await;
        self.branch.start().await.unwrap();
        let counter = Counter::open(self.branch).unwrap();
        counter.sign_in(&PEOPLE[1]).await.unwrap();
        let mut lost = Vec::new();
        for _ in 0..3 {
            lost.push(self.sell(&counter).await);
        }
        let before = self.account(&counter).await;
        self.branch.stop().await;
        for lane in ["ledger", "telemetry"] {
            fs::remove_dir_all(generations_of(&self.folder, lane, 1).last().unwrap()).unwrap();
        }
        let papers = self.branch.printer.view().counts.receipts;

        self.branch.start().await.unwrap();
        let counter = Counter::open(self.branch).unwrap();
        assert_eq!(counter.ledger_head().await.unwrap().epoch, 2, "the loss was seen");
        counter.sign_in(&PEOPLE[1]).await.unwrap();
        let whole = until("the lost sales", SOON, || async {
            let till = counter.look().await.map_err(|error| error.to_string())?;
            let sales = till.session.as_ref().map(|session| session.sales);
            if sales == Some(4) && till.devices.iter().all(|device| device.name != "books") {
                Ok(())
            } else {
                Err(format!("{sales:?}, {:?}", till.devices))
            }
        });
        whole.await.unwrap();
        assert_eq!(self.account(&counter).await, before);
        for sale in &lost {
            is_that_sale(&pay_again(&counter, sale).await.unwrap(), sale);
        }
        let next = self.sell(&counter).await;
        assert_eq!((next.receipt.epoch, next.receipt.number), (2, 1));
        let after = self.account(&counter).await;
        assert_eq!(after.at_the_centre.0.len(), before.at_the_centre.0.len() + 1);
        self.restart_changes_nothing(&after, &lost[0]).await;
        self.printed(papers + 1).await;
        self.the_same_stock_is_not_booked_twice(&after).await;
    }

    /// The whole first life of the store has left the box, its lost end with it, and the checkpoints are gone: whether the
    /// opening stock was booked only the centre knows.
    async fn the_same_stock_is_not_booked_twice(&self, account: &Account) {
        self.branch.stop().await;
        fs::remove_dir_all(self.folder.join("journal/ledger/epoch-00001")).unwrap();
        for file in ["books-0.checkpoint", "books-1.checkpoint"] {
            let _there_may_be_one = fs::remove_file(self.folder.join("counter").join(file));
        }
        let stock = fs::read_to_string(self.folder.join("opening-stock.csv")).unwrap();
        self.branch.open_stock(&stock).await.unwrap();
        self.branch.start().await.unwrap();
        let counter = Counter::open(self.branch).unwrap();
        counter.sign_in(&PEOPLE[1]).await.unwrap();
        let whole = until("whole books", SOON, || async {
            let till = counter.look().await.map_err(|error| error.to_string())?;
            let (id, sales) = account.session.clone().ok_or("no session")?;
            let session = till.session.as_ref().map(|session| (session.id.clone(), session.sales));
            if session == Some((id, sales)) {
                Ok(())
            } else {
                Err(format!("{session:?}, {:?}", till.devices))
            }
        });
        whole.await.unwrap();
        assert_eq!(self.account(&counter).await, *account);
    }

    async fn open(&self) -> Counter {
        let counter = Counter::open(self.branch).unwrap();
        counter.shows("the sign-in", |till| till.phase == "sign_in").await.unwrap();
        counter.sign_in(&PEOPLE[1]).await.unwrap();
        counter.open_till(ActId(uuid::Uuid::now_v7()), FLOAT).await.unwrap();
        counter
    }

    async fn scan(&self, counter: &Counter) -> Till {
        let before = counter.hears_the_scanner().await.unwrap();
        assert!(before.refusals.is_empty(), "told before the scan: {:?}", before.refusals);
        let lot = self.article.lot(LotState::Good).unwrap();
        let code = self.article.data_matrix(lot, &self.serials.next());
        self.branch.scanner.scan(code.as_bytes()).await.unwrap();
        let said = |till: &Till| till.basket.is_some() || !till.refusals.is_empty();
        let till = counter.shows("the pack", said).await.unwrap();
        assert!(till.basket.is_some(), "{:?}", till.refusals);
        till
    }

    async fn sell(&self, counter: &Counter) -> Sale {
        let basket = self.scan(counter).await.basket.unwrap();
        counter.pay(basket.act, "1000.00").await.unwrap();
        let sold = |till: &Till| till.last_sale.as_ref().is_some_and(|sale| sale.act == basket.act);
        counter.shows("the sale", sold).await.unwrap().last_sale.unwrap()
    }

    /// Waits until the centre has all of it.
    async fn settled(&self, counter: &Counter) {
        let settled = until("the centre to have everything", SOON, || async {
            let till = counter.look().await.map_err(|error| error.to_string())?;
            if till.link.state == "live" && till.link.waiting == 0 {
                Ok(())
            } else {
                Err(format!("{:?}", till.link))
            }
        });
        settled.await.unwrap();
    }

    /// The new sale was printed, and nothing else was.
    async fn printed(&self, papers: u64) {
        let printed = until("the paper", SOON, || {
            let receipts = self.branch.printer.view().counts.receipts;
            std::future::ready(if receipts >= papers { Ok(receipts) } else { Err(format!("{receipts}")) })
        });
        assert_eq!(printed.await.unwrap(), papers);
    }

    async fn account(&self, counter: &Counter) -> Account {
        self.settled(counter).await;
        let shown = self.scan(counter).await;
        let line = shown.basket.unwrap().lines[0].clone();
        counter.void(line.line).await.unwrap();
        let slug = &self.branch.slug;
        let stock = self.centre.stock(slug).await.unwrap();
        let mut sales = self.centre.sales(slug).await.unwrap();
        sales.sort();
        Account {
            session: shown.session.map(|session| (session.id, session.sales)),
            on_hand: line.on_hand,
            at_the_centre: (sales, stock.values().sum()),
        }
    }

    async fn restart_changes_nothing(&self, account: &Account, sale: &Sale) {
        for _ in 0..2 {
            self.branch.pull_the_plug().await;
            self.branch.start().await.unwrap();
            let counter = Counter::open(self.branch).unwrap();
            counter.sign_in(&PEOPLE[1]).await.unwrap();
            assert_eq!(self.account(&counter).await, *account);
            is_that_sale(&pay_again(&counter, sale).await.unwrap(), sale);
        }
    }

    async fn agrees_about_the_session(&self, expected: &i64) {
        let agrees = until("the session at the centre", SOON, || async {
            let sessions =
                self.centre.sessions(&self.branch.slug).await.map_err(|error| format!("{error:#}"))?;
            let session = sessions.into_iter().find(|session| session.state == "closed");
            let session = session.ok_or("it is not closed")?;
            if session.expected_minor == Some(*expected) && session.branch_expected_minor == Some(*expected) {
                Ok(())
            } else {
                Err(format!("{session:?}, the till says {expected}"))
            }
        });
        agrees.await.unwrap();
    }
}

async fn pay_again(counter: &Counter, sale: &Sale) -> Result<serde_json::Value, CounterError> {
    counter.pay_again(sale.act, sale.total, "1000.00").await
}

#[track_caller]
fn is_that_sale(answer: &serde_json::Value, sale: &Sale) {
    let receipt = &answer["receipt"];
    let told = (receipt["epoch"].as_u64(), receipt["number"].as_u64());
    assert_eq!(told, (Some(sale.receipt.epoch.into()), Some(sale.receipt.number)), "{answer}");
}

/// The folders of the generations of one of the ledger's epochs, the oldest first.
fn generations(branch: &Path, epoch: u32) -> Vec<PathBuf> {
    generations_of(branch, "ledger", epoch)
}

fn generations_of(branch: &Path, lane: &str, epoch: u32) -> Vec<PathBuf> {
    let epoch = branch.join(format!("journal/{lane}/epoch-{epoch:05}"));
    let entries = fs::read_dir(epoch).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    found.sort();
    found
}
