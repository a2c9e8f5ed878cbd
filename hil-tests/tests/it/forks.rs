//! Forks on real processes: an old copy that was put back, a clone beside the original, a journal that was lost, one that is damaged in
//! what the centre lacks. What was sold in any history, and can be read, reaches the centre once, after a person has decided.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use pestle_domain::ids::ActId;
use pestle_hil_tests::centre::Centre;
use pestle_hil_tests::check::expected::{Stock, opening};
use pestle_hil_tests::counter::{Counter, Sale};
use pestle_hil_tests::demo_data::{Article, LotState, articles};
use pestle_hil_tests::network::{Cable, Weather};
use pestle_hil_tests::processes::{build_folder, tool};
use pestle_hil_tests::waiting::until;
use pestle_hil_tests::world::{ADMIN, Branch, PEOPLE, Place, World, gateway};
use serde_json::Value;
use uuid::Uuid;

use crate::browser::driver::Browser;
use crate::whole_product;

/// From a refusal to a question on the console, and from a decision to the last fact at the centre, on a busy machine.
const SOON: Duration = Duration::from_secs(150);

/// What was sold, in both histories of a branch together.
struct Account {
    stock: Stock,
    sales: Vec<(String, i64)>,
    articles: Vec<Article>,
    serial: u32,
}

impl Account {
    fn new() -> Self {
        let all = articles();
        let plain = |article: &&Article| {
            article.sold_at_counter() && article.lots.iter().all(|lot| lot.state == LotState::Good)
        };
        let plain: Vec<Article> = all.iter().filter(plain).cloned().collect();
        Self { stock: opening(&all, 0), sales: Vec::new(), articles: plain, serial: 0 }
    }

    /// Sells one pack and notes it.
    async fn sell(&mut self, counter: &Counter) -> Sale {
        self.serial += 1;
        let article = &self.articles[self.serial as usize % 7];
        let lot = &article.lots[0];
        counter.scan(&article.data_matrix(lot, &format!("FORK{}", self.serial))).await.unwrap();
        let one = |till: &pestle_hil_tests::counter::Till| {
            till.basket.as_ref().is_some_and(|basket| basket.lines.len() == 1)
        };
        let basket = counter.shows("the pack", one).await.unwrap().basket.unwrap();
        let amount = basket.total.minor;
        counter.pay(basket.act, &format!("{}.{:02}", amount / 100, amount % 100)).await.unwrap();
        let sold = counter
            .shows("the sale", |till| till.last_sale.as_ref().is_some_and(|sale| sale.act == basket.act));
        let sale = sold.await.unwrap().last_sale.unwrap();
        self.sales.push((sale.receipt.to_string(), amount));
        *self.stock.entry((article.id.clone(), lot.lot.clone())).or_default() -= 1;
        sale
    }

    /// Every sale is at the centre once, to the cent and to the pack.
    async fn assert_at(&self, centre: &Centre, with_stock: bool) {
        let mut wanted = self.sales.clone();
        wanted.sort();
        let same = until("every sale at the centre", SOON, || async {
            let mut found = centre.sales("north").await.map_err(|error| format!("{error:#}"))?;
            found.sort();
            if found == wanted { Ok(()) } else { Err(format!("{found:?} instead of {wanted:?}")) }
        });
        same.await.unwrap();
        if with_stock {
            assert_eq!(
                by_article(&centre.stock("north").await.unwrap()),
                by_article(&self.stock),
                "packs at the centre"
            );
        }
        let session: i64 = centre.sessions("north").await.unwrap().iter().map(taken).sum();
        assert_eq!(session, self.sales.iter().map(|(_, amount)| amount).sum::<i64>(), "in the tills");
    }
}

/// Packs by article: a code that is typed says no lot, and the box takes the one that ends first.
fn by_article(stock: &Stock) -> BTreeMap<String, i64> {
    let mut packs = BTreeMap::new();
    for ((article, _), on_hand) in stock {
        *packs.entry(article.clone()).or_default() += on_hand;
    }
    packs.retain(|_, on_hand| *on_hand != 0);
    packs
}

/// What a session took in.
fn taken(session: &pestle_hil_tests::centre::Session) -> i64 {
    session.expected_minor.unwrap() - session.float_minor.unwrap()
}

async fn begin(name: &str) -> (tempfile::TempDir, World) {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::at(&folder.path().canonicalize().unwrap().join(name)).unwrap();
    gateway::stop_left_postmaster(&place);
    place.begin_anew().unwrap();
    let world = World::start(place, &|line| println!("{line}")).await.unwrap();
    (folder, world)
}

async fn end(world: World) {
    world.stop().await;
    let place = world.place.clone();
    drop(world);
    place.remove().unwrap();
}

/// Somebody signs in, and opens the till where it is closed.
async fn at_the_till(branch: &Branch) -> Counter {
    let counter = Counter::open(branch).unwrap();
    counter.shows("the sign-in", |till| till.phase == "sign_in").await.unwrap();
    counter.sign_in(&PEOPLE[1]).await.unwrap();
    let till = counter.shows("the till", |till| till.phase != "sign_in").await.unwrap();
    if till.phase == "closed" {
        counter.open_till(ActId(Uuid::now_v7()), "100.00").await.unwrap();
        counter.shows("the open till", |till| till.phase == "ready").await.unwrap();
    }
    counter
}

/// Two sales, and the centre has them.
async fn sell_two_that_arrive(account: &mut Account, branch: &Branch) {
    let counter = at_the_till(branch).await;
    for _ in 0..2 {
        account.sell(&counter).await;
    }
    nothing_waits(&counter).await;
}

async fn nothing_waits(counter: &Counter) {
    let look = until("the centre's acknowledgement", SOON, || async {
        let till = counter.look().await.map_err(|error| error.to_string())?;
        if till.link.waiting == 0 { Ok(()) } else { Err(format!("{:?}", till.link)) }
    });
    look.await.unwrap();
}

/// The box that asks from that folder.
async fn asks(centre: &Centre, data_dir: &Path) -> Value {
    let wanted = data_dir.display().to_string();
    let look = until("the question at the console", SOON, || async {
        let all = centre.appeals().await.map_err(|error| format!("{error:#}"))?;
        let found = all.iter().find(|one| {
            let about_the_ledger = one["differences"].to_string().contains("ledger");
            one["data_dir"] == *wanted && one["ruling"].is_null() && one["asks"] == true && about_the_ledger
        });
        found.cloned().ok_or_else(|| format!("{all:?}"))
    });
    look.await.unwrap()
}

/// Waits until the box works in that epoch.
async fn goes_on_in(branch: &Branch, epoch: u64) {
    let look = until("the new epoch", SOON, || async {
        let counter = Counter::open(branch).map_err(|error| error.to_string())?;
        let head = counter.ledger_head().await.map_err(|error| error.to_string())?;
        if u64::from(head.epoch) == epoch { Ok(()) } else { Err(format!("{head:?}")) }
    });
    if let Err(overdue) = look.await {
        panic!("{overdue}\n{}", branch.log_tail());
    }
}

/// All that a box keeps; what it is configured with and what runs stays out.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        if ["devices", "agent.toml", "run"].iter().any(|left| name == *left) {
            continue;
        }
        let target = to.join(&name);
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn remove(folder: &Path) {
    for part in ["journal", "counter"] {
        fs::remove_dir_all(folder.join(part)).unwrap();
    }
}

/// Both witnesses agree.
async fn witnesses(world: &World, branch: &Branch) {
    branch.stop().await;
    println!("{}", branch.verify().await.unwrap());
    let export = branch.export().await.unwrap();
    let compared = world.gateway.lock().await.audit("north", &export).await.unwrap();
    assert!(compared.contains("byte for byte"), "{compared}");
}

/// What the box was refused stays among the alarms until somebody says that they have looked at it.
async fn look_after_what_was_kept(browser: &Browser) {
    const DONE: &str = "#alarms button[formaction$=close]";
    browser.find(DONE).await;
    browser.look_at("section:has(#alarms)", "console-alarms").await;
    // Each click loads the page anew, or says that it came again since: the box may be refused once more before it hears of the
    // decision.
    let closed = until("everything that was kept to be closed", SOON, || async {
        let click = format!(
            "if (!document.querySelector('#alarms')) {{ location = '/console'; return -1; }}
             const rows = document.querySelectorAll('{DONE}'); rows[0]?.click(); return rows.length"
        );
        let said = browser.page.execute(&click, vec![]).await.map_err(|error| error.to_string())?;
        if said.json() == &serde_json::json!(0) { Ok(()) } else { Err(format!("{} are left", said.json())) }
    });
    closed.await.unwrap();
    browser.says("#link", "Live").await;
}

/// Central IT looks at the console in a browser and clicks; the epoch that the centre gave.
async fn decide_by_a_click(world: &World, centre: &Centre, asking: &Value) -> u64 {
    let browser = Browser::start().await;
    browser.open(&world.console().await).await;
    browser.find("input[name=login]").await.send_keys(ADMIN.0).await.unwrap();
    browser.find("input[name=password]").await.send_keys(ADMIN.1).await.unwrap();
    browser.find("form button").await.click().await.unwrap();
    browser.says("#link", "Live").await;
    browser.says("#appeals", "This is a second box").await;
    browser.says("#appeals", "the same up to fact").await;
    browser.look_at("section:has(#appeals)", "console-two-boxes").await;
    // The part is renewed while it is looked at: an element that was found may be another by the time of its click.
    let click = "document.querySelector('#appeals button[value=go_on]').click()";
    browser.page.execute(click, vec![]).await.unwrap();
    browser.says("#appeals", "decided that it goes on").await;
    look_after_what_was_kept(&browser).await;
    browser.quit().await;
    let all = centre.appeals().await.unwrap();
    let decided = all.iter().find(|one| one["id"] == asking["id"]).unwrap();
    assert_eq!(
        (&decided["ruling"], &decided["by"]),
        (&serde_json::json!("go_on"), &serde_json::json!("Demo Admin"))
    );
    decided["epoch"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_copy_that_was_put_back_sells_on_and_after_a_decision_both_histories_are_at_the_centre_once() {
    let _alone = whole_product().await;
    let (folder, world) = begin("old-copy").await;
    let north = world.branch("north").unwrap();
    let data = world.place.branch("north");
    let centre = Centre::of(&world).await.unwrap();
    let mut account = Account::new();
    sell_two_that_arrive(&mut account, north).await;
    north.stop().await;
    copy(&data, &folder.path().join("old"));
    north.start().await.unwrap();
    let counter = at_the_till(north).await;
    for _ in 0..3 {
        account.sell(&counter).await;
    }
    nothing_waits(&counter).await;
    north.stop().await;

    remove(&data);
    copy(&folder.path().join("old"), &data);
    north.start().await.unwrap();
    let counter = at_the_till(north).await;
    for _ in 0..2 {
        account.sell(&counter).await;
    }
    let asking = asks(&centre, &data).await;
    assert!(asking["waiting"].as_u64().unwrap() > 0, "{asking}");
    let differences = asking["differences"].to_string();
    assert!(
        differences.contains("ledger, epoch 1") && differences.contains("the same up to fact"),
        "{differences}"
    );
    let till = counter.health().await.unwrap();
    assert!(till.to_string().contains("centre's decision"), "{till}");
    assert_eq!(centre.sales("north").await.unwrap().len(), 5, "nothing of it counts before the decision");

    let epoch = decide_by_a_click(&world, &centre, &asking).await;
    assert!(centre.rule(asking["id"].as_str().unwrap(), "own_name").await.is_err(), "a decision stands");
    goes_on_in(north, epoch).await;
    let counter = at_the_till(north).await;
    let receipt = account.sell(&counter).await.receipt;
    assert_eq!((u64::from(receipt.epoch), receipt.number), (epoch, 1), "fresh numbers");
    nothing_waits(&counter).await;
    account.assert_at(&centre, true).await;
    let health = counter.health().await.unwrap();
    assert_eq!(health["link"]["contradicted"], serde_json::json!([]), "{health}");
    witnesses(&world, north).await;
    assert!(data.join(format!("journal/ledger/aside/before-{epoch:05}/epoch-00001")).exists());
    end(world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clone_beside_the_original_gets_its_own_name_and_what_both_sold_is_at_the_centre_once() {
    let _alone = whole_product().await;
    let (_folder, world) = begin("clone").await;
    let north = world.branch("north").unwrap();
    let centre = Centre::of(&world).await.unwrap();
    let mut account = Account::new();
    let counter = at_the_till(north).await;
    account.sell(&counter).await;
    nothing_waits(&counter).await;
    north.stop().await;
    let cloned = world.place.branch("north-copy");
    copy(&world.place.branch("north"), &cloned);
    north.start().await.unwrap();
    let counter = at_the_till(north).await;
    account.sell(&counter).await;
    nothing_waits(&counter).await;

    let (https, mqtt) = world.gateway.lock().await.sockets().unwrap();
    let cables = (Cable::lay(https).await.unwrap(), Cable::lay(mqtt).await.unwrap());
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let clone = Branch::prepare("north-copy", &world.place, port, cables, &world.keeper).unwrap();
    clone.start().await.unwrap();
    let second = at_the_till(&clone).await;
    for _ in 0..2 {
        account.sell(&second).await;
    }
    let asking = asks(&centre, &cloned).await;
    // Each is thrown off when the other comes in, and says what that may mean; at growing distances.
    let rival = until("the word that another box has this name", SOON, || async {
        let health = counter.health().await.map_err(|error| error.to_string())?;
        let said = health["link"]["detail"].as_str().unwrap_or_default().to_owned();
        if health["link"]["rival"] == true && said.contains("under this box's name") {
            Ok(())
        } else {
            Err(health["link"].to_string())
        }
    });
    rival.await.unwrap();
    let ruled = centre.rule(asking["id"].as_str().unwrap(), "own_name").await.unwrap();
    let step = ruled["step"].as_str().unwrap();
    clone.stop().await;
    let words: Vec<&str> = step.split_whitespace().skip(1).collect();
    tool(&build_folder().join("pestle-provision"), &words, "").await.unwrap();
    clone.start().await.unwrap();
    // Enrolling it was the decision: it asks, is told to go on, and does.
    let carried = until("the carrying over under the new name", SOON, || async {
        let all = centre.appeals().await.map_err(|error| format!("{error:#}"))?;
        let done = all.iter().find(|one| one["device"] != asking["device"] && one["carried_out"] == true);
        done.and_then(|one| one["epoch"].as_u64()).ok_or_else(|| format!("{all:?}\n{}", clone.log_tail()))
    });
    let epoch = carried.await.unwrap();
    goes_on_in(&clone, epoch).await;
    let second = at_the_till(&clone).await;
    let receipt = account.sell(&second).await.receipt;
    assert_eq!((u64::from(receipt.epoch), receipt.number), (epoch, 1));
    account.sell(&counter).await;
    nothing_waits(&second).await;
    nothing_waits(&counter).await;
    account.assert_at(&centre, true).await;
    clone.stop().await;
    end(world).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_was_lost_under_the_same_identity_begins_anew_where_the_centre_says() {
    let _alone = whole_product().await;
    let (_folder, world) = begin("lost").await;
    let north = world.branch("north").unwrap();
    let data = world.place.branch("north");
    let centre = Centre::of(&world).await.unwrap();
    let mut account = Account::new();
    sell_two_that_arrive(&mut account, north).await;
    north.stop().await;
    fs::remove_dir_all(data.join("journal")).unwrap();
    north.start().await.unwrap();
    let counter = at_the_till(north).await;
    account.sell(&counter).await;
    let asking = asks(&centre, &data).await;
    let ruled = centre.rule(asking["id"].as_str().unwrap(), "go_on").await.unwrap();
    let epoch = ruled["appeal"]["epoch"].as_u64().unwrap();
    goes_on_in(north, epoch).await;
    let counter = at_the_till(north).await;
    let receipt = account.sell(&counter).await.receipt;
    assert_eq!((u64::from(receipt.epoch), receipt.number), (epoch, 1));
    nothing_waits(&counter).await;
    // Its books know no stock: what it sells was found on the shelf. What that adds up to is counted by people.
    account.assert_at(&centre, false).await;
    witnesses(&world, north).await;
    end(world).await;
}

/// A bit turns in each copy of that act's lines in the ledger.
fn damage(data: &Path, act: ActId) {
    let folders = ["journal", "ledger"].iter().fold(data.to_owned(), |path, name| path.join(name));
    let named = act.0.to_string();
    let (mut folders, mut turned) = (vec![folders], 0);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
                continue;
            }
            let mut bytes = fs::read(entry.path()).unwrap();
            let found = |(at, some): (usize, &[u8])| (some == named.as_bytes()).then_some(at);
            let places: Vec<usize> = bytes.windows(named.len()).enumerate().filter_map(found).collect();
            if !places.is_empty() {
                places.iter().for_each(|at| bytes[*at] ^= 1);
                fs::write(entry.path(), bytes).unwrap();
                turned += places.len();
            }
        }
    }
    assert!(turned > 0, "{named} is nowhere in the ledger");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lies_behind_a_sale_that_the_disk_has_damaged_is_at_the_centre_after_a_decision() {
    let _alone = whole_product().await;
    let (_folder, world) = begin("torn").await;
    let north = world.branch("north").unwrap();
    let data = world.place.branch("north");
    let centre = Centre::of(&world).await.unwrap();
    let mut account = Account::new();
    let counter = at_the_till(north).await;
    account.sell(&counter).await;
    nothing_waits(&counter).await;
    north.set_line(Weather::Reset);
    account.sell(&counter).await;
    let before = (account.stock.clone(), account.sales.clone());
    let damaged = account.sell(&counter).await;
    (account.stock, account.sales) = before;
    // That its receipt came out is a fact that names it too: it shall lie beside the sale, not behind the next one.
    let printed = |till: &pestle_hil_tests::counter::Till| {
        till.last_sale.as_ref().is_some_and(|sale| sale.act == damaged.act && sale.print == "printed")
    };
    counter.shows("its receipt's print", printed).await.unwrap();
    for _ in 0..2 {
        account.sell(&counter).await;
    }
    north.stop().await;
    damage(&data, damaged.act);

    north.set_line(Weather::FAIR);
    north.start().await.unwrap();
    let counter = at_the_till(north).await;
    account.sell(&counter).await;
    let asking = asks(&centre, &data).await;
    let differences = asking["differences"].to_string();
    assert!(differences.contains("ledger, epoch 1: the box cannot read facts"), "{differences}");
    // What was found is told by now, and any start between that and the decision must not forget it.
    north.stop().await;
    north.start().await.unwrap();
    let again = until("the same question, of the program that runs now", SOON, || async {
        let again = asks(&centre, &data).await;
        if again["id"] == asking["id"] { Err("it is still the old one".to_owned()) } else { Ok(again) }
    });
    let asking = again.await.unwrap();
    let counter = at_the_till(north).await;
    let health = counter.health().await.unwrap();
    assert_eq!(health["link"]["torn"][0]["epoch"], 1, "{health}");
    assert!(health.to_string().contains("somebody there decides that this box goes on"), "{health}");
    // What is sold from now on has a life of its own, and waits for nobody.
    let sold = until("what lies before the damage and what is sold since", SOON, || async {
        let sales = centre.sales("north").await.map_err(|error| format!("{error:#}"))?.len();
        if sales == 3 { Ok(()) } else { Err(format!("{sales}")) }
    });
    sold.await.unwrap();

    let ruled = centre.rule(asking["id"].as_str().unwrap(), "go_on").await.unwrap();
    let epoch = ruled["appeal"]["epoch"].as_u64().unwrap();
    goes_on_in(north, epoch).await;
    let counter = at_the_till(north).await;
    account.sell(&counter).await;
    nothing_waits(&counter).await;
    account.assert_at(&centre, true).await;
    let health = counter.health().await.unwrap();
    assert_eq!(health["link"]["torn"], serde_json::json!([]), "{health}");
    // The new epoch does not say that it holds what is lost.
    let description = data.join(format!("journal/ledger/epoch-{epoch:05}/epoch.json"));
    // A checksum stands in the second line.
    let description = fs::read_to_string(description).unwrap();
    let opened: Value = serde_json::from_str(description.lines().next().unwrap()).unwrap();
    let of_first = opened["carried"].as_array().unwrap().iter().filter(|range| range["epoch"] == 1).count();
    assert_eq!(of_first, 2, "before and behind the damaged sale: {opened}");
    end(world).await;
}
