//! The counter with its devices, each of which speaks its real counterpart's bytes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail as the test does"
)]

use std::{sync::Arc, time::Duration};

use pestle_agent::counter::view::{DeviceState, TillView};
use pestle_drivers::{
    printer::status::Paper,
    sim::{fridge::SimFridges, printer::SimPrinter, scanner::SimScanner},
};
use serde_json::json;
use tokio::time::timeout;

use crate::branch::{Branch, gtin};

const DEADLINE: Duration = Duration::from_secs(30);

struct Rig {
    branch: Branch,
    scanner: SimScanner,
    printer: SimPrinter,
    fridge: SimFridges,
}

impl Rig {
    async fn new() -> Self {
        Self::with_printer("epson-tm-t20").await
    }

    async fn with_printer(model: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (scanner_path, fridge_path) = (folder.path().join("scanner"), folder.path().join("fridge"));
        let scanner = SimScanner::plug_in(&scanner_path).unwrap();
        let printer = SimPrinter::listen("127.0.0.1:0".parse().unwrap(), 576).unwrap();
        let fridge = SimFridges::plug_in(&fridge_path, &[1]).unwrap();
        let config = format!(
            r#"
            [[till]]
            id = "till-1"
            [[scanner]]
            name = "scanner-1"
            till = "till-1"
            proved = true
            path = "{}"
            [[printer]]
            name = "printer-1"
            till = "till-1"
            address = "tcp://{}"
            model = "{model}"
            [[sensor]]
            name = "fridge-1"
            path = "{}"
            slave = 1
            profile = "xy-md02"
            "#,
            scanner_path.display(),
            printer.address().unwrap(),
            fridge_path.display(),
        );
        let mut branch = Branch::open(folder, &config).await;
        branch.open_till("till-1").await;
        let rig = Self { branch, scanner, printer, fridge };
        let is_ready = |view: &TillView| {
            view.devices.iter().filter(|device| device.state == DeviceState::Ok).count() >= 3
        };
        rig.until(is_ready).await;
        rig
    }

    /// Waits until the page shows what is asked for.
    async fn until(&self, mut shows: impl FnMut(&TillView) -> bool) -> Arc<TillView> {
        let mut view = self.branch.counter.watch(&"till-1".parse().unwrap()).unwrap();
        let waited =
            timeout(DEADLINE, view.wait_for(|view| shows(view))).await.map(|view| view.unwrap().clone());
        match waited {
            Ok(view) => view,
            Err(_elapsed) => {
                let last = self.branch.state("till-1").await;
                panic!("the page never showed it; it shows {last:#}")
            }
        }
    }

    async fn sell(&mut self) -> TillView {
        self.scanner.scan(format!("]d201{}1728010110LOT7\u{1D}21S1", gtin()).as_bytes()).await.unwrap();
        let view = self.until(|view| view.basket.is_some()).await;
        let pay = self.branch.payment("till-1", "5").await;
        self.branch.done("till-1", "pay", pay).await;
        (*view).clone()
    }

    /// Sells a pack whose code has its number alone, so that it can be sold again.
    async fn sell_by_number(&mut self) {
        self.scanner.scan(gtin().short().as_bytes()).await.unwrap();
        self.until(|view| view.basket.is_some()).await;
        let pay = self.branch.payment("till-1", "5").await;
        self.branch.done("till-1", "pay", pay).await;
    }

    /// Waits for so many receipts on paper.
    async fn receipts(&self, count: usize) -> Vec<String> {
        let mut changes = self.printer.changes();
        let waiting = async {
            while self.printer.receipts().len() < count {
                changes.changed().await.unwrap();
            }
        };
        assert!(timeout(DEADLINE, waiting).await.is_ok(), "the receipt never came out");
        self.printer.receipts().iter().map(|receipt| receipt.text()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_on_the_line_ends_as_a_receipt_on_paper() {
    let mut rig = Rig::new().await;
    // Opening the till has nothing to print.
    let basket = rig.sell().await.basket.unwrap();
    assert_eq!(basket.lines[0].lot.as_deref(), Some("LOT7"), "a proved scanner supplies the lot");
    assert_eq!(&*basket.lines[0].serials[0], "S1");
    let printed = rig.receipts(1).await;
    for words in ["Receipt till-1/1/1", "Ibuprofen 200 mg <24>", "GBP 4.99", "GBP 0.01"] {
        assert!(printed[0].contains(words), "{words} is missing in\n{}", printed[0]);
    }
    assert_eq!(rig.printer.receipts()[0].qr_codes(), [basket.act.to_string()]);
    rig.until(|view| view.last_sale.as_ref().is_some_and(|sale| sale.print == "printed")).await;

    rig.scanner.scan(format!("]d201{}1728010110LOT7\u{1D}21S1", gtin()).as_bytes()).await.unwrap();
    let view = rig.until(|view| !view.refusals.is_empty()).await;
    assert!(view.refusals[0].text.contains("was sold with receipt till-1/1/1"), "{:?}", view.refusals);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_paper_the_drawer_opens_all_the_same() {
    let mut rig = Rig::new().await;
    rig.printer.wait_until(|view| view.counts.kicks == 1).await;
    rig.printer.set_drawer_open(false);
    rig.printer.set_paper(Paper::Out);
    rig.until(|view| view.devices.iter().any(|device| device.state == DeviceState::Trouble)).await;
    rig.sell().await;
    let opened = rig.printer.wait_until(|view| view.controls.drawer_open);
    assert!(timeout(DEADLINE, opened).await.is_ok(), "the drawer stayed shut");
    rig.printer.set_paper(Paper::Enough);
    rig.receipts(1).await;
    assert_eq!(rig.printer.view().counts.kicks, 2, "once for the opening, once for the sale");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_without_a_way_back_prints_and_asks_nobody() {
    let mut rig = Rig::with_printer("one-way-80").await;
    for number in 1..=2 {
        rig.sell_by_number().await;
        let sent = |view: &TillView| {
            let sale = view.last_sale.as_ref();
            sale.is_some_and(|sale| sale.receipt.number == number && sale.print == "cannot_tell")
        };
        let view = rig.until(sent).await;
        assert!(view.prints.is_empty() && view.refusals.is_empty(), "{:?}", view.prints);
        let printer = view.devices.iter().find(|device| device.class == "printer").unwrap();
        assert!(printer.detail.as_ref().is_some_and(|said| said.contains("cannot say whether it printed")));
    }
    rig.receipts(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drawer_that_cannot_open_without_paper_is_said_at_the_till() {
    let mut rig = Rig::with_printer("generic-80").await;
    rig.printer.set_paper(Paper::Out);
    rig.until(|view| view.devices.iter().any(|device| device.state == DeviceState::Trouble)).await;
    rig.sell_by_number().await;
    let view = rig.until(|view| !view.refusals.is_empty()).await;
    assert!(view.refusals[0].text.contains("open it with its key"), "{:?}", view.refusals);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drawer_that_is_locked_is_said_at_the_till() {
    let mut rig = Rig::new().await;
    rig.printer.wait_until(|view| view.counts.kicks == 1).await;
    rig.printer.set_drawer_open(false);
    rig.printer.set_drawer_locked(true);
    rig.sell().await;
    let view = rig.until(|view| !view.refusals.is_empty()).await;
    assert!(view.refusals[0].text.contains("open it with its key"), "{:?}", view.refusals);
    assert!(rig.branch.metrics().contains("test_drawers_not_opened_total 1\n"), "{}", rig.branch.metrics());
}

#[tokio::test(flavor = "multi_thread")]
async fn noise_and_endless_bytes_on_the_line_are_said_on_the_page_and_the_next_scan_sells() {
    let mut rig = Rig::new().await;
    let noise: Vec<u8> = (0..10_240u32).map(|number| b'0' + u8::try_from(number % 10).unwrap()).collect();
    rig.scanner.scan(&noise).await.unwrap();
    let refused = |view: &TillView, words: &str| view.refusals.iter().any(|one| one.text.contains(words));
    rig.until(|view| refused(view, "more than 2335 bytes arrived without an end")).await;
    rig.scanner.scan(b"95\x0020\xff0001").await.unwrap();
    rig.until(|view| refused(view, "byte 0x00 at position 2")).await;
    rig.scanner.type_raw(format!("]d201{}10LO", gtin()).as_bytes()).await.unwrap();
    let view = rig.until(|view| refused(view, "That scan was cut off")).await;
    assert!(view.basket.is_none(), "nothing of it is taken");
    rig.scanner.type_raw(b"T7\r").await.unwrap();
    rig.sell().await;
    rig.until(|view| view.last_sale.is_some()).await;
    assert!(rig.branch.metrics().contains("test_scans_rejected_total 4\n"), "{}", rig.branch.metrics());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_waits_for_paper_and_comes_out_once() {
    let mut rig = Rig::new().await;
    rig.printer.set_paper(Paper::Out);
    rig.until(|view| view.devices.iter().any(|device| device.state == DeviceState::Trouble)).await;
    rig.sell().await;
    let view = rig.until(|view| view.prints.iter().any(|print| print.state == "not_printed")).await;
    assert!(view.prints[0].reason.as_ref().is_some_and(|reason| reason.contains("put in a new roll")));
    rig.printer.set_paper(Paper::Enough);
    rig.until(|view| view.prints.is_empty()).await;
    let printed = rig.receipts(1).await;
    assert!(printed.len() == 1 && !printed[0].contains("COPY"), "{printed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_printer_that_vanishes_within_the_receipt_asks_a_person_and_prints_a_copy() {
    let mut rig = Rig::new().await;
    rig.printer.vanish_after(100);
    rig.sell().await;
    let view = rig.until(|view| view.prints.iter().any(|print| print.state == "unknown")).await;
    rig.printer.power_on().await.unwrap();
    let answer = json!({"jobs": [view.prints[0].job], "word": "print_copy"});
    rig.branch.done("till-1", "print", answer).await;
    rig.until(|view| view.prints.is_empty()).await;
    let printed = rig.printer.receipts();
    assert!(
        printed.last().unwrap().text().contains("COPY"),
        "{:?}",
        printed.last().map(|receipt| receipt.text())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fridge_is_on_the_page_and_an_unplugged_scanner_is_told() {
    let rig = Rig::new().await;
    let view = rig.until(|view| !view.readings.is_empty()).await;
    let shown = rig.fridge.states()[&1].milli_celsius;
    assert_eq!(view.readings[0].milli_celsius.map(|degrees| degrees.0), Some(shown));
    rig.scanner.unplug().await;
    rig.until(|view| {
        view.devices.iter().any(|device| device.class == "scanner" && device.state == DeviceState::Away)
    })
    .await;
    rig.scanner.replug().await.unwrap();
    rig.until(|view| view.devices.iter().all(|device| device.state == DeviceState::Ok)).await;
}
