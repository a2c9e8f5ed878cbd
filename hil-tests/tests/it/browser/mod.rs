//! The three pages in a real browser: a sale is clicked through, and each page is looked at in three widths.

mod driver;

use std::sync::Arc;

use pestle_hil_tests::demo_data::{LotState, articles};
use pestle_hil_tests::workbench;
use pestle_hil_tests::world::{ADMIN, PEOPLE, Place, World};
use thirtyfour::By;
use tokio::net::TcpListener;

use driver::Browser;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_is_clicked_through_and_the_three_pages_fit_every_screen() {
    let _alone = crate::whole_product().await;
    let folder = tempfile::tempdir().unwrap();
    let place = Place::at(folder.path()).unwrap();
    let world = Arc::new(World::start(place.clone(), &|doing| println!("{doing}")).await.unwrap());
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let bench = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(workbench::serve(world.clone(), listener));
    let browser = Browser::start().await;

    a_sale(&browser, &world).await;
    the_workbench(&browser, &bench).await;
    the_console(&browser, &world).await;

    browser.quit().await;
    serving.abort();
    world.stop().await;
    place.remove().unwrap();
}

async fn a_sale(browser: &Browser, world: &World) {
    let branch = &world.branches[0];
    browser.page.goto(format!("{}/till/till-1", branch.counter())).await.unwrap();
    let person = &PEOPLE[1];
    browser.find("#staff").await.send_keys(person.id).await.unwrap();
    browser.find("#pin").await.send_keys(person.pin).await.unwrap();
    browser.find("#sign-in .go").await.click().await.unwrap();
    browser.find("#float").await.send_keys("150.00").await.unwrap();
    let doubted = browser.page.find(By::Css("#date-confirmed")).await.unwrap();
    if doubted.is_displayed().await.unwrap() {
        doubted.click().await.unwrap();
    }
    browser.find("#open .go").await.click().await.unwrap();
    browser.says("#lines", "Scan the first pack").await;

    let all = articles();
    let plain = |article: &&pestle_hil_tests::demo_data::Article| {
        article.sold_at_counter() && article.lots.iter().all(|lot| lot.state == LotState::Good)
    };
    for (article, serial) in all.iter().filter(plain).step_by(9).take(4).zip(1..) {
        let scan = article.data_matrix(&article.lots[0], &format!("BROWSER{serial}"));
        branch.scanner.scan(scan.as_bytes()).await.unwrap();
        browser.says("#lines", &article.name).await;
    }
    browser.look("counter").await;

    browser.find("#quick button.note:last-of-type").await.click().await.unwrap();
    browser.says("#total", "Change").await;
    browser.says("#total", "receipt printed").await;
    let paper = branch.printer.last_receipt().unwrap().text();
    assert!(paper.contains("Receipt"), "{paper}");
}

async fn the_workbench(browser: &Browser, bench: &str) {
    browser.page.goto(bench).await.unwrap();
    browser.find("#packs .pack > button").await.click().await.unwrap();
    browser.says("#last-scan", "]d201").await;
    browser.find("#receipt").await;
    browser.look("workbench").await;

    browser.find("#pull").await.click().await.unwrap();
    browser.says("#agent", "No power.").await;
    browser.find("#put").await.click().await.unwrap();
    browser.says("#agent", "The agent runs.").await;
}

async fn the_console(browser: &Browser, world: &World) {
    browser.page.goto(world.console().await).await.unwrap();
    browser.find("input[name=login]").await.send_keys(ADMIN.0).await.unwrap();
    browser.find("input[name=password]").await.send_keys(ADMIN.1).await.unwrap();
    browser.find("form button").await.click().await.unwrap();
    browser.says("main", "North").await;
    browser.look("console").await;
}
