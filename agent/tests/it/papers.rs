//! A till with a receipt, a label and an office printer, each of which speaks its real counterpart's language.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail as the test does"
)]

use std::{sync::Arc, time::Duration};

use pestle_agent::counter::{
    machine::Event,
    papers::DispensingPaper,
    view::{DeviceState, TillView},
};
use pestle_domain::{
    document::{Block, Document, Style},
    ids::ActId,
};
use pestle_drivers::sim::{printer::SimPrinter, zebra::SimZebra};
use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use crate::{branch::Branch, office::Office};

const DEADLINE: Duration = Duration::from_secs(30);

struct Rig {
    branch: Branch,
    receipts: SimPrinter,
    labels: SimZebra,
}

impl Rig {
    async fn new() -> Self {
        let receipts = SimPrinter::listen("127.0.0.1:0".parse().unwrap(), 576).unwrap();
        let labels = SimZebra::listen("127.0.0.1:0".parse().unwrap(), 203, 832).unwrap();
        labels.set_roll(280);
        labels.set_label_time(Duration::from_millis(20));
        let config = format!(
            r#"
            [[till]]
            id = "till-1"
            [[printer]]
            name = "receipts"
            till = "till-1"
            address = "tcp://{}"
            model = "epson-tm-t20"
            [[printer]]
            name = "labels"
            till = "till-1"
            kind = "zpl"
            address = "tcp://{}"
            model = "zebra-zd421-203"
            label = {{ size = "70x35" }}
            "#,
            receipts.address().unwrap(),
            labels.address().unwrap(),
        );
        let mut branch = Branch::open(tempfile::tempdir().unwrap(), &config).await;
        branch.open_till("till-1").await;
        let rig = Self { branch, receipts, labels };
        rig.until(|view| view.devices.iter().filter(|one| one.state == DeviceState::Ok).count() == 2).await;
        rig
    }

    async fn until(&self, mut shows: impl FnMut(&TillView) -> bool) -> Arc<TillView> {
        let mut view = self.branch.counter.watch(&"till-1".parse().unwrap()).unwrap();
        let shown =
            timeout(DEADLINE, view.wait_for(|view| shows(view))).await.map(|view| view.unwrap().clone());
        match shown {
            Ok(view) => view,
            Err(_elapsed) => {
                let last = self.branch.state("till-1").await;
                panic!("the page never showed it; it shows {last:#}")
            }
        }
    }

    async fn ask_for_label(&mut self) {
        let body = json!({"act": Uuid::now_v7(), "product": "ibuprofen-200"});
        self.branch.done("till-1", "shelf-label", body).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_come_from_the_label_printer_whose_trouble_holds_up_no_receipt() {
    let mut rig = Rig::new().await;
    rig.ask_for_label().await;
    rig.until(|view| view.prints.is_empty()).await;
    assert_eq!((rig.labels.view().counts.labels, rig.receipts.receipts().len()), (1, 0));

    rig.labels.control(|controls| controls.head_open = true);
    let view = rig.until(|view| view.devices.iter().any(|one| one.state == DeviceState::Trouble)).await;
    let trouble = view.devices.iter().find(|one| one.state == DeviceState::Trouble).unwrap();
    let words = "the label printer's head is open: close it until it clicks on both sides";
    assert_eq!((&*trouble.name, trouble.detail.as_deref()), ("labels", Some(words)));
    rig.ask_for_label().await;
    let view = rig.until(|view| view.prints.iter().any(|print| print.state == "not_printed")).await;
    assert_eq!(
        (&*view.prints[0].printer, &*view.prints[0].title),
        ("labels", "Shelf label of Ibuprofen 200 mg <24>")
    );
    rig.branch.scan("till-1").await;
    let pay = rig.branch.payment("till-1", "5").await;
    rig.branch.done("till-1", "pay", pay).await;
    rig.until(|view| view.last_sale.as_ref().is_some_and(|sale| sale.print == "printed")).await;
    rig.labels.control(|controls| controls.head_open = false);
    rig.until(|view| view.prints.is_empty()).await;
    assert_eq!((rig.labels.view().counts.labels, rig.receipts.receipts().len()), (2, 1));
    assert_eq!(rig.labels.view().counts.unknown_commands, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispensing_label_that_is_put_in_comes_from_the_label_printer() {
    let rig = Rig::new().await;
    let words = |text: &str| Block::Text { text: text.to_owned(), style: Style::default() };
    let document =
        Document { blocks: vec![words("Mrs Jane Doe"), words("one a day")], ..Document::new("Jane Doe: x") };
    let till = "till-1".parse().unwrap();
    let wanted = DispensingPaper { act: ActId(Uuid::now_v7()), till, document };
    rig.branch.counter.tell(Event::DispensingLabel(wanted)).await;
    let mut changes = rig.labels.changes();
    let printed = async {
        while rig.labels.view().counts.labels == 0 {
            changes.changed().await.unwrap();
        }
    };
    assert!(timeout(DEADLINE, printed).await.is_ok(), "no label came out");
    rig.until(|view| view.prints.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_of_a_closing_comes_out_of_the_office_printer() {
    let office = Office::open().await;
    let receipts = SimPrinter::listen("127.0.0.1:0".parse().unwrap(), 576).unwrap();
    let config = format!(
        r#"
        [[till]]
        id = "till-1"
        [[printer]]
        name = "receipts"
        till = "till-1"
        address = "tcp://{}"
        model = "epson-tm-t20"
        [[printer]]
        name = "pages"
        till = "till-1"
        kind = "ipp"
        address = "{}"
        "#,
        receipts.address().unwrap(),
        office.address(),
    );
    let mut branch = Branch::open(tempfile::tempdir().unwrap(), &config).await;
    branch.open_till("till-1").await;
    receipts.wait_until(|view| view.counts.kicks == 1).await;
    receipts.set_drawer_open(false);
    branch.done("till-1", "close", json!({"act": Uuid::now_v7(), "counted": "100.00"})).await;
    let mut view = branch.counter.watch(&"till-1".parse().unwrap()).unwrap();
    let closed = view.wait_for(|view| view.last_closing.is_some() && view.prints.is_empty());
    assert!(timeout(DEADLINE, closed).await.is_ok(), "the report never came out");
    assert_eq!((office.jobs(), receipts.receipts().len()), (1, 0));
    receipts.wait_until(|view| view.counts.kicks == 2).await;
}
