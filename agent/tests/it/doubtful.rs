//! Devices that look alike and were pulled one after the other: what the page asks about shows itself where it stands, and the other
//! one is left alone.

use std::time::Duration;

use pestle_drivers::{
    find::keeping::TOGETHER,
    sim::{attached::SimUsbDevice, fridge::SimFridges, printer::SimPrinter},
};
use serde_json::json;

use crate::devices_page::Shop;

/// What a person pulls and plugs in.
trait Cable {
    /// What stands at the ports 1-1 and 1-2, as the page calls it.
    const NAMES: [&str; 2];

    fn plug_in(shop: &Shop, port: &str) -> Self;
    fn pull(&self);
}

impl Cable for SimPrinter {
    const NAMES: [&str; 2] = ["front", "back"];

    fn plug_in(shop: &Shop, port: &str) -> Self {
        let files = shop.sim.plug_in(port, &SimUsbDevice::clone_adapter()).unwrap();
        SimPrinter::plug_in(&files[0], 576).unwrap()
    }

    fn pull(&self) {
        self.unplug();
    }
}

impl Cable for SimFridges {
    const NAMES: [&str; 2] = ["fridge-1", "fridge-2"];

    fn plug_in(shop: &Shop, port: &str) -> Self {
        let files = shop.sim.plug_in(port, &SimUsbDevice::clone_adapter()).unwrap();
        SimFridges::plug_in(&files[0], &[1]).unwrap()
    }

    fn pull(&self) {
        self.unplug();
    }
}

/// Two at the ports 1-1 and 1-2 that worked (`works` stands on the page for each), were pulled one after the other, and are back,
/// each in the other's socket perhaps: the page asks.
async fn of_two_alike<One: Cable>(shop: &mut Shop, works: &str) -> (One, One) {
    let times = |page: &str| page.matches(works).count();
    let alone = times(&shop.page().await);
    let (first, second) = (One::plug_in(shop, "1-1"), One::plug_in(shop, "1-2"));
    shop.looks("both work", |page| times(page) == alone + 2).await;
    first.pull();
    shop.sim.unplug("1-1").unwrap();
    shop.looks("one is away", |page| times(page) == alone + 1).await;
    shop.found_gone(One::NAMES[0]).await;
    // It must see them go apart.
    tokio::time::sleep(TOGETHER).await;
    second.pull();
    shop.sim.unplug("1-2").unwrap();
    shop.looks("both are away", |page| times(page) == alone).await;
    shop.found_gone(One::NAMES[1]).await;
    let both = (One::plug_in(shop, "1-1"), One::plug_in(shop, "1-2"));
    shop.shows("Identify one of them if in doubt.").await;
    both
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_printers_that_look_the_same_the_one_in_the_asked_socket_prints_its_mark_and_names_follow() {
    let printer = |till: u8, name: &str, port: &str| {
        format!(
            "[[till]]\nid = \"till-{till}\"\nname = \"Till {till}\"\n[[printer]]\nname = \"{name}\"\ntill = \"till-{till}\"\n\
             address = \"serial:usb-port:{port}?baud=19200\"\n"
        )
    };
    let more = printer(2, "front", "1-1") + &printer(3, "back", "1-2");
    let mut shop = Shop::new("path = \"usb-port:1-9\"", &more).await;
    shop.looks("the till's own printer is there", |page| page.matches("attached since").count() == 1).await;
    let (here, there) = of_two_alike::<SimPrinter>(&mut shop, "attached since").await;

    shop.done("identify", json!({"device": "front"})).await;
    shop.shows("front has printed where it is, and says so itself.").await;
    let mark = here.last_receipt().unwrap().text();
    for words in ["This printer is at", "USB port 1-1", "where front was. Is it front?"] {
        assert!(mark.contains(words), "{words:?} is not in {mark}");
    }
    shop.done("identify", json!({"device": "back"})).await;
    shop.shows("back has printed where it is, and says so itself.").await;
    let mark = there.last_receipt().unwrap().text();
    assert!(mark.contains("USB port 1-2") && mark.contains("Is it back?"), "{mark}");
    assert_eq!(
        (here.receipts().len(), there.receipts().len()),
        (1, 1),
        "each was printed at one socket alone"
    );
    for name in ["front", "back"] {
        shop.done("leave", json!({"device": name})).await;
    }

    shop.answer("follow").await;
    shop.looks("all three are used", |page| page.matches("attached since").count() == 3).await;
    shop.done("identify", json!({"device": "front"})).await;
    shop.shows("front has printed its name, and says so itself.").await;
    assert_eq!((here.receipts().len(), there.receipts().len()), (1, 2), "front is in the other socket");
    assert!(there.last_receipt().unwrap().text().contains("of Till 2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_lines_that_look_the_same_the_asked_one_flickers_alone_and_an_answer_meanwhile_leaves_both_working()
 {
    let sensor = |name: &str, port: &str| {
        format!(
            "[[sensor]]\nname = \"{name}\"\npath = \"usb-port:{port}\"\nslave = 1\nprofile = \"xy-md02\"\ninterval_s = 1\n"
        )
    };
    let more = sensor("fridge-1", "1-1") + &sensor("fridge-2", "1-2");
    let mut shop = Shop::new("path = \"usb-port:1-9\"", &more).await;
    let (here, there) = of_two_alike::<SimFridges>(&mut shop, "all answer").await;
    assert_eq!((here.asked(1), there.asked(1)), (0, 0), "nobody is asked before a person has answered");

    shop.done("identify", json!({"device": "fridge-1"})).await;
    shop.shows("lamps of what stands in its socket flicker and rest in turns").await;
    let asked = tokio::time::timeout(Duration::from_secs(10), async {
        while here.asked(1) < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    asked.await.expect("the lamps of the asked one flicker");
    assert_eq!(there.asked(1), 0, "those of the other one rest");

    // Whoever has seen enough answers at once: the line is in use until the flickering ends.
    shop.answer("use").await;
    shop.shows("lamps of the adapter at USB port 1-1 flickered: look which one it was").await;
    shop.done("leave", json!({"device": "fridge-1"})).await;
    shop.looks("both answer", |page| page.matches("all answer").count() == 2).await;
    let before = (here.asked(1), there.asked(1));
    let both = tokio::time::timeout(Duration::from_secs(10), async {
        while here.asked(1) <= before.0 + 1 || there.asked(1) <= before.1 + 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    both.await.expect("both are read again");
    assert!(!shop.page().await.contains("data-question"));
}
