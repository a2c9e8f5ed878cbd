//! The page for devices in a real browser: a scanner that was exchanged is mended by a few clicks while the box sells on; each
//! state looked at in three widths.

use std::fs;
use std::sync::Arc;

use pestle_drivers::scanner::learn::sheet::TestCode;
use pestle_drivers::sim::attached::{SimSystem, SimUsbDevice};
use pestle_drivers::sim::scanner::SimScanner;
use pestle_hil_tests::waiting::until;
use pestle_hil_tests::world::{Branch, PEOPLE, Place, World};
use thirtyfour::Key;

use super::driver::{Browser, SOON};
use super::plain_articles;

/// A branch whose list of devices is simulated, and a browser at its till.
struct Shop {
    browser: Browser,
    branch: Arc<Branch>,
    sim: SimSystem,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scanner_that_was_exchanged_is_mended_at_the_page_for_devices_while_the_box_sells_on() {
    let _alone = crate::whole_product().await;
    let folder = tempfile::tempdir().unwrap();
    let place = Place::at(folder.path()).unwrap();
    let world = World::start(place.clone(), &|doing| println!("{doing}")).await.unwrap();
    let branch = world.branches[0].clone();
    let machine = tempfile::tempdir().unwrap();
    let sim = SimSystem::new(machine.path()).unwrap();
    with_names_that_stay(&branch, &place, &sim).await;
    let browser = Browser::start().await;
    let till = browser.open(&format!("{}/till/till-1", branch.counter())).await;
    let shop = Shop { browser, branch, sim };
    // It has looked for its devices: the line at the top that tells of the missing scanner moves what is below it.
    shop.browser.says("#status", "is not attached").await;
    shop.browser.open_the_till(&PEOPLE[1]).await;

    let scanner = shop.plug("1-1", &SimUsbDevice::clone_adapter());
    shop.sim.plug_in("1-4", &SimUsbDevice::receipt_printer(None)).unwrap();
    shop.browser.click("footer a[href$=devices]").await;
    shop.browser.says("#device-counter", "attached since").await;
    shop.browser.says("#loose", "EPSON TM-T20II").await;
    shop.browser.look("devices").await;
    shop.browser.click("#identify-fridge").await;
    shop.browser.says("#device-fridge", "Its lamps flicker").await;
    let scanner = shop.another_stands_there(scanner).await;
    shop.it_learns(&scanner).await;
    shop.a_printer_shows_itself_by_keys().await;
    shop.browser.says("#device-fridge .work", "°C").await;
    shop.a_lot_is_sold_and_its_receipt_looked_at(&scanner).await;

    let Shop { browser, branch, .. } = shop;
    drop((till, branch));
    browser.quit().await;
    world.stop().await;
    drop(world);
    place.remove().unwrap();
}

/// Restarts the box with a scanner that is named by its socket, over a simulated list of devices.
async fn with_names_that_stay(branch: &Branch, place: &Place, sim: &SimSystem) {
    branch.stop().await;
    let file = place.branch(&branch.slug).join("agent.toml");
    let text = fs::read_to_string(&file).unwrap();
    let path = format!("path = {:?}\nbaud = 9600\ntill = \"till-1\"\nproved = true", branch.scanner.path());
    assert!(text.contains(&path), "{text}");
    let text = text.replace(&path, "path = \"usb-port:1-1\"\ntill = \"till-1\"");
    let system = sim.system();
    let text = format!("{text}\n[kernel]\nsys = {:?}\ndev = {:?}\n", system.sys, system.dev);
    fs::write(&file, text).unwrap();
    branch.start().await.unwrap();
}

impl Shop {
    fn plug(&self, port: &str, device: &SimUsbDevice) -> SimScanner {
        let files = self.sim.plug_in(port, device).unwrap();
        SimScanner::plug_in(&files[0]).unwrap()
    }

    /// The scanner breaks, and its spare is plugged in: one click, and it sells.
    async fn another_stands_there(&self, broken: SimScanner) -> SimScanner {
        let browser = &self.browser;
        broken.unplug().await;
        self.sim.unplug("1-1").unwrap();
        browser.says("#device-counter", "missing since").await;
        let spare = self.plug("1-1", &SimUsbDevice::scanner("S21357"));
        browser.says("#questions", "Is this the new counter?").await;
        browser.look("devices-question").await;
        browser.click("#questions button.go").await;
        browser.gone("#questions .ask").await;
        browser.says("#device-counter", "attached since").await;
        browser.says("#device-counter", "Another scanner came in its place").await;
        spare
    }

    /// Its sheet comes out of the till's printer; A to D are recognised in any order, and it is proved.
    async fn it_learns(&self, scanner: &SimScanner) {
        let browser = &self.browser;
        browser.click("#learn-counter").await;
        browser.says("#device-counter", "in any order").await;
        browser.click("#sheet-counter").await;
        browser.says("#device-receipts", "has printed the sheet of test codes").await;
        for code in [TestCode::B, TestCode::A] {
            scanner.scan(code.data().as_bytes()).await.unwrap();
            browser.says("#device-counter", &format!("Code {code} was recognised")).await;
        }
        browser.look("devices-learning").await;
        for code in [TestCode::D, TestCode::C] {
            scanner.scan(code.data().as_bytes()).await.unwrap();
            browser
                .says(&format!("#device-counter .codes li:nth-child({})", code as u8 + 1), "recognised")
                .await;
        }
        browser.says("#device-counter", "counter is proved.").await;
        browser.click("#leave-counter").await;
        browser.says("#device-counter", "learned at").await;
        // Its line is opened anew with what was learned.
        browser.says("#device-counter", "attached since").await;
    }

    async fn a_printer_shows_itself_by_keys(&self) {
        let browser = &self.browser;
        browser.click("#leave-receipts").await;
        browser.find("#identify-receipts").await;
        browser
            .holds(
                "a button to have the focus",
                "(document.getElementById('identify-receipts').focus(), true)",
            )
            .await;
        browser.type_by_hand(Key::Enter).await;
        browser.says("#device-receipts", "receipts has printed its name, and says so itself.").await;
        let paper = self.branch.printer.last_receipt().map(|paper| paper.text()).unwrap_or_default();
        assert!(paper.contains("This printer is") && paper.contains("of Till 1"), "{paper}");
        browser
            .holds("the focus to stay in the card", "!!document.activeElement.closest('#device-receipts')")
            .await;
        browser.type_by_hand(Key::Escape).await;
        browser.gone("#leave-receipts").await;
    }

    /// The scanner is believed at once: the lot stands in the basket, and the receipt can be looked at in the page.
    async fn a_lot_is_sold_and_its_receipt_looked_at(&self, scanner: &SimScanner) {
        let browser = &self.browser;
        browser.click(".back").await;
        let all = plain_articles();
        for (article, serial) in all.iter().step_by(11).take(3).zip(1..) {
            let scan = article.data_matrix(&article.lots[0], &format!("MENDED{serial}"));
            // It learned without symbology identifiers, so a scan with one would not be believed.
            let scan = scan.trim_start_matches("]d2");
            let sold = until("a scan to be taken", SOON, || async {
                scanner.scan(scan.as_bytes()).await.map_err(|error| error.to_string())
            });
            sold.await.unwrap();
            browser.says("#lines", &article.name).await;
            browser.says("#lines", &format!("lot {}", article.lots[0].lot)).await;
        }
        browser.click("#quick button.note:last-of-type").await;
        browser.says("#total", "receipt printed").await;
        browser.click("#total .look summary").await;
        let picture = "(() => { const paper = document.querySelector('#total .look img'); \
                       return paper.complete && paper.naturalWidth > 300 && paper.naturalHeight > 300; })()";
        browser.holds("the picture of the receipt", picture).await;
        browser.look("receipt-in-the-page").await;
    }
}
