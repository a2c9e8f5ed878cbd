//! The real agent on a disk that is full, takes no writes, is slow, or fails once: a clear word, nothing told is lost, and it
//! goes on by itself once the disk is well.

use std::time::{Duration, Instant};

use pestle_domain::ids::ActId;
use pestle_hil_tests::counter::{Counter, CounterError, Receipt};
use pestle_hil_tests::disk::fault::{Failing, Faults, Touch};
use pestle_hil_tests::disk::mount;
use pestle_hil_tests::power_cuts::account::{Account, Paid};
use pestle_hil_tests::power_cuts::agent_on_disk::{AgentOnDisk, TILLS};
use pestle_hil_tests::power_cuts::campaign;
use pestle_hil_tests::power_cuts::provisioned::{self, SELLER};
use pestle_hil_tests::seeded::Seeded;
use uuid::Uuid;

/// Sales after which a disk without room must have refused one: a sale takes about a kilobyte of a block of four.
const SALES_MAX: usize = 40;

/// The room is looked at when the disk refuses, and every few seconds.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// How often a person tries again.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A box with an open till.
struct Shop {
    on: AgentOnDisk,
    counter: Counter,
    code: String,
    account: Account,
    _place: tempfile::TempDir,
}

impl Shop {
    async fn open() -> Self {
        mount::sweep().unwrap();
        let place = campaign::place().unwrap();
        let mut on = AgentOnDisk::new(place.path(), None).await.unwrap();
        assert!(on.start().await.unwrap());
        let counter = on.counter(TILLS[0]).unwrap();
        counter.sign_in(&SELLER).await.unwrap();
        counter.open_till(ActId(Uuid::now_v7()), "100.00").await.unwrap();
        let code = provisioned::articles().unwrap().remove(0).code;
        Self { on, counter, code, account: Account::default(), _place: place }
    }

    /// Puts a pack into the basket, and says what is to be paid.
    async fn fill(&self) -> Paid {
        self.counter.scan(&self.code).await.unwrap();
        let basket = self.counter.look().await.unwrap().basket.unwrap();
        let packs = basket.lines.iter().map(|line| line.quantity).sum();
        Paid { act: basket.act, total: basket.total, packs }
    }

    /// The same where the box may begin nothing new.
    async fn begin(&self) -> Option<Paid> {
        // What it says stands on the page.
        let _ = self.counter.scan(&self.code).await;
        let basket = self.counter.look().await.unwrap().basket?;
        let packs = basket.lines.iter().map(|line| line.quantity).sum();
        Some(Paid { act: basket.act, total: basket.total, packs })
    }

    async fn pay(&mut self, paid: &Paid) -> Result<(), CounterError> {
        let done = self.counter.pay(paid.act, "500.00").await?;
        let receipt: Receipt = serde_json::from_value(done["receipt"].clone()).unwrap();
        self.account.sold(paid, &receipt).unwrap();
        Ok(())
    }

    async fn sell(&mut self) -> Result<(), (Paid, CounterError)> {
        let paid = self.fill().await;
        self.pay(&paid).await.map_err(|error| (paid, error))
    }

    /// Sells until the disk refuses; hands back what was to be paid, and the words.
    async fn sell_until_refused(&mut self) -> (Paid, String) {
        for _ in 0..SALES_MAX {
            match self.sell().await {
                Ok(()) => {}
                Err((paid, CounterError::Refused { message, .. })) => return (paid, message),
                Err((_, error)) => panic!("{error}"),
            }
        }
        panic!("{SALES_MAX} sales, and the disk refused none")
    }

    /// The power goes, and comes back: the journal says what was told.
    async fn told_is_there(mut self, seed: u64) {
        self.on.cut(&mut Seeded::new(seed)).unwrap();
        let shown = self.on.command(&["journal", "show"]).await.unwrap();
        self.account.compare(&shown, &[]).unwrap();
        assert!(self.on.start().await.unwrap());
        self.on.stop().await;
        let shown = self.on.command(&["journal", "show"]).await.unwrap();
        self.account.compare(&shown, &[]).unwrap();
    }
}

/// What a person reads who was refused: what is wrong, and what to do next.
fn is_clear(message: &str, wrong: &str) -> bool {
    message.starts_with("Not recorded; the box's disk")
        && message.contains(wrong)
        && message.contains("all support")
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_what_was_begun_is_finished_from_the_reserve_and_nothing_new_begins() {
    let _alone = crate::whole_product().await;
    let mut shop = Shop::open().await;
    shop.sell().await.unwrap();
    shop.on.disk.set_faults(Faults { quota: Some(shop.on.disk.used_bytes()), ..Faults::default() });
    let began = Instant::now();
    while let Some(paid) = shop.begin().await {
        // The box gives its reserve up, so that the same payment is taken after all.
        while let Err(error) = shop.pay(&paid).await {
            let CounterError::Refused { message, .. } = error else { panic!("{error}") };
            assert!(is_clear(&message, "is full"), "{message}");
            assert!(began.elapsed() < SEEN_WITHIN, "{message}");
        }
        assert!(began.elapsed() < SEEN_WITHIN, "it goes on beginning sales");
    }
    let said = shop.counter.look().await.unwrap().refusals.pop().unwrap().text;
    assert!(said.starts_with("Not begun; ") && said.contains("all support"), "{said}");

    // The same page, without a restart.
    shop.on.disk.set_faults(Faults::default());
    let paid = loop {
        if let Some(paid) = shop.begin().await {
            break paid;
        }
        assert!(began.elapsed() < 2 * SEEN_WITHIN, "it does not sell again");
        tokio::time::sleep(LOOK_EVERY).await;
    };
    shop.pay(&paid).await.unwrap();
    shop.told_is_there(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_read_only_disk_a_sale_is_refused_clearly_and_made_once_it_takes_writes() {
    let _alone = crate::whole_product().await;
    let mut shop = Shop::open().await;
    shop.sell().await.unwrap();
    shop.on.disk.set_faults(Faults { read_only: true, ..Faults::default() });
    let (paid, message) = shop.sell_until_refused().await;
    let wrong = "it can only be read";
    assert!(is_clear(&message, wrong), "{message}");
    let basket = shop.counter.look().await.unwrap().basket.unwrap();
    assert_eq!(basket.act, paid.act, "the basket stays");
    let again = shop.pay(&paid).await.unwrap_err();
    assert!(matches!(&again, CounterError::Refused { message, .. } if is_clear(message, wrong)), "{again}");

    // The same page, without a restart.
    shop.on.disk.set_faults(Faults::default());
    shop.pay(&paid).await.unwrap();
    shop.sell().await.unwrap();
    shop.told_is_there(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sync_that_fails_costs_one_refusal_and_the_same_sale_is_made_at_once() {
    let _alone = crate::whole_product().await;
    let mut shop = Shop::open().await;
    for seed in 0..3 {
        shop.sell().await.unwrap();
        // The other journal makes its store while a box that is ready begins to sell.
        let (name, below) = ("db".to_owned(), "ledger".to_owned());
        let failing = Failing { touch: Touch::Sync, name, below, after: 0, times: 1 };
        shop.on.disk.set_faults(Faults { failing: vec![failing], ..Faults::default() });
        let (paid, message) = shop.sell_until_refused().await;
        assert!(is_clear(&message, "does not take it"), "{seed}: {message}");
        shop.pay(&paid).await.unwrap();
    }
    shop.told_is_there(3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_disk_that_takes_seconds_to_sync_sales_take_that_long_and_the_page_does_not() {
    let _alone = crate::whole_product().await;
    let mut shop = Shop::open().await;
    let takes = Duration::from_millis(2_500);
    shop.on.disk.set_faults(Faults { sync_takes: takes, ..Faults::default() });
    for _ in 0..2 {
        let paid = shop.fill().await;
        let begun = Instant::now();
        let looked = async {
            let begun = Instant::now();
            shop.counter.look().await.unwrap();
            begun.elapsed()
        };
        let (done, looked) = tokio::join!(shop.counter.pay(paid.act, "500.00"), looked);
        let receipt = serde_json::from_value(done.unwrap()["receipt"].clone()).unwrap();
        assert!(begun.elapsed() >= takes, "told before the disk had it");
        assert!(looked < takes / 2, "the page took {looked:?}");
        shop.account.sold(&paid, &receipt).unwrap();
    }
    // Two such syncs lie between a power cut and the first answer; nothing is hurried by it.
    shop.on.disk.set_faults(Faults::default());
    shop.told_is_there(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_that_is_read_only_at_the_second_try_is_no_damage() {
    let _alone = crate::whole_product().await;
    let mut shop = Shop::open().await;
    for _ in 0..5 {
        shop.sell().await.unwrap();
    }
    shop.on.cut(&mut Seeded::new(5)).unwrap();
    let (name, below) = ("db".to_owned(), "ledger".to_owned());
    let failing = Failing { touch: Touch::Read, name, below, after: 0, times: 1 };
    shop.on.disk.set_faults(Faults { failing: vec![failing], ..Faults::default() });
    assert!(shop.on.start().await.unwrap());
    shop.on.stop().await;
    let shown = shop.on.command(&["journal", "show"]).await.unwrap();
    shop.account.compare(&shown, &[]).unwrap();
}

/// A box that was off while its disk became bad: it says what is wrong, and starts once the disk is well.
async fn says_why_it_does_not_start(faults: impl FnOnce(&AgentOnDisk) -> Faults, why: &str, seed: u64) {
    let _alone = crate::whole_product().await;
    let mut shop = Shop::open().await;
    for _ in 0..3 {
        shop.sell().await.unwrap();
    }
    shop.on.cut(&mut Seeded::new(seed)).unwrap();
    shop.on.disk.set_faults(faults(&shop.on));
    let said = shop.on.start().await.unwrap_err().to_string();
    let last = said.trim().lines().last().unwrap();
    assert!(last.starts_with("pestle-agent: ") && last.contains(why), "{said}");
    shop.on.disk.set_faults(Faults::default());
    assert!(shop.on.start().await.unwrap());
    shop.on.stop().await;
    shop.told_is_there(seed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_gives_its_reserve_up_to_start_on_a_full_disk() {
    let _alone = crate::whole_product().await;
    let mut shop = Shop::open().await;
    for _ in 0..3 {
        shop.sell().await.unwrap();
    }
    shop.on.stop().await;
    shop.on.disk.set_faults(Faults { quota: Some(shop.on.disk.used_bytes()), ..Faults::default() });
    assert!(shop.on.start().await.unwrap());
    shop.counter = shop.on.counter(TILLS[0]).unwrap();
    shop.counter.sign_in(&SELLER).await.unwrap();
    shop.sell().await.unwrap();
    shop.told_is_there(6).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_box_that_starts_on_a_read_only_disk_says_so_and_starts_once_it_takes_writes() {
    let read_only = |_: &AgentOnDisk| Faults { read_only: true, ..Faults::default() };
    Box::pin(says_why_it_does_not_start(read_only, "Read-only file system", 7)).await;
}
