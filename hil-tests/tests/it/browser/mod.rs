//! The three pages in a real browser: sales by clicks, by keys and by a scanner that types ([`typed`]); each lever of the workbench
//! with what it does at the counter and the console; each page looked at in three widths.

mod counter;
mod devices;
pub(crate) mod driver;
mod levers;
mod papers;
mod typed;

use std::sync::Arc;

use pestle_hil_tests::demo_data::{Article, LotState, articles};
use pestle_hil_tests::workbench;
use pestle_hil_tests::world::{ADMIN, PEOPLE, Place, World};
use thirtyfour::WindowHandle;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use driver::Browser;

/// A browser with a tab for each page, and the world behind them.
struct Pages {
    browser: Browser,
    world: Arc<World>,
    place: Place,
    serving: JoinHandle<std::io::Result<()>>,
    counter: WindowHandle,
    workbench: WindowHandle,
    console: WindowHandle,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sales_are_made_by_clicks_keys_and_scans_and_every_lever_of_the_workbench_is_felt() {
    let _alone = crate::whole_product().await;
    let (pages, folder) = Pages::start().await;
    pages.sign_in_to_the_console().await;
    pages.browser.go_to(&pages.counter).await;
    pages.browser.open_the_till(&PEOPLE[1]).await;
    pages.sell_by_clicks().await;
    pages.sell_by_keys().await;
    pages.sell_by_a_scanner_that_types().await;
    pages.a_long_basket_hides_no_link().await;
    pages.pack_and_paper().await;
    pages.fridge().await;
    pages.scanner().await;
    pages.line().await;
    pages.plug().await;
    pages.many_papers_of_before_a_cut().await;
    pages.end(folder).await;
}

/// Articles that anybody may buy, with no lot that must not be sold, spread over the shelf.
fn plain_articles() -> Vec<Article> {
    let plain = |article: &Article| {
        article.sold_at_counter()
            && article.name.is_ascii()
            && article.lots.iter().all(|lot| lot.state == LotState::Good)
    };
    articles().into_iter().filter(plain).collect()
}

/// A script that says whether an article is in the basket.
fn shows(article: &Article) -> String {
    format!("document.getElementById('lines').textContent.includes({:?})", article.name)
}

impl Pages {
    async fn start() -> (Self, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::at(folder.path()).unwrap();
        let world = Arc::new(World::start(place.clone(), &|doing| println!("{doing}")).await.unwrap());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let bench = format!("http://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(workbench::serve(world.clone(), listener));

        let browser = Browser::start().await;
        let counter = browser.open(&format!("{}/till/till-1", world.branches[0].counter())).await;
        let workbench = browser.open(&bench).await;
        let console = browser.open(&world.console().await).await;
        (Self { browser, world, place, serving, counter, workbench, console }, folder)
    }

    async fn end(self, folder: tempfile::TempDir) {
        let Self { browser, world, place, serving, .. } = self;
        browser.quit().await;
        serving.abort();
        world.stop().await;
        drop(world);
        place.remove().unwrap();
        drop(folder);
    }

    async fn sign_in_to_the_console(&self) {
        let browser = &self.browser;
        browser.go_to(&self.console).await;
        browser.find("input[name=login]").await.send_keys(ADMIN.0).await.unwrap();
        browser.find("input[name=password]").await.send_keys(ADMIN.1).await.unwrap();
        browser.find("form button").await.click().await.unwrap();
        browser.says("main", "North").await;
        browser.says("#link", "Live").await;
    }
}
