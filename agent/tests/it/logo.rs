//! The branch's logo at the head of its receipts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail as the test does"
)]

use std::{sync::Arc, time::Duration};

use axum::{body::Body, http::StatusCode};
use http_body_util::BodyExt as _;
use pestle_agent::counter::view::TillView;
use pestle_drivers::{
    printer::bitmap::Bitmap,
    sim::printer::{
        Receipt, SimPrinter,
        receipt::{PaperAlign, PrintedItem},
    },
};
use serde_json::json;
use tokio::time::timeout;
use tower::ServiceExt as _;

use crate::branch::Branch;

const DEADLINE: Duration = Duration::from_secs(30);

/// Dots that no letter looks like: the corner of a chessboard whose squares grow.
fn logo() -> Bitmap {
    let mut bitmap = Bitmap::new(120, 48);
    for y in 0..48 {
        for x in 0..120 {
            bitmap.set(x, y, (x * x / 90 + y * y / 40) % 2 == 0);
        }
    }
    bitmap
}

struct Shop {
    branch: Branch,
    printer: SimPrinter,
    pictures: tempfile::TempDir,
}

impl Shop {
    /// A till whose receipts have that logo.
    async fn new(logo: &str) -> Self {
        let printer = SimPrinter::listen("127.0.0.1:0".parse().unwrap(), 576).unwrap();
        let pictures = tempfile::tempdir().unwrap();
        let config = format!(
            r#"
            pictures = {:?}
            {logo}
            [[printer]]
            name = "receipts"
            till = "till-1"
            address = "tcp://{}"
            model = "epson-tm-t20"
            "#,
            pictures.path(),
            printer.address().unwrap(),
        );
        let mut branch = Branch::open(tempfile::tempdir().unwrap(), &config).await;
        branch.open_till("till-1").await;
        Self { branch, printer, pictures }
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.pictures.path().join(name), bytes).unwrap();
    }

    async fn until(&self, shows: impl FnMut(&Arc<TillView>) -> bool) -> Arc<TillView> {
        let mut view = self.branch.counter.watch(&"till-1".parse().unwrap()).unwrap();
        timeout(DEADLINE, view.wait_for(shows)).await.expect("the page shows it").unwrap().clone()
    }

    /// Sells a pack, and takes the receipt.
    async fn sell(&mut self) -> (Arc<TillView>, Receipt) {
        let before = self.printer.receipts().len();
        self.branch.scan("till-1").await;
        let pay = self.branch.payment("till-1", "5").await;
        self.branch.done("till-1", "pay", pay).await;
        let receipt = self.next(before).await;
        let view =
            self.until(|view| view.last_sale.as_ref().is_some_and(|sale| sale.print == "printed")).await;
        (view, receipt)
    }

    async fn next(&self, before: usize) -> Receipt {
        let mut changes = self.printer.changes();
        let came = async {
            while self.printer.receipts().len() == before {
                changes.changed().await.unwrap();
            }
        };
        timeout(DEADLINE, came).await.expect("a receipt comes out");
        self.printer.last_receipt().unwrap()
    }

    /// How high the picture of a paper is, in dots (PNG, 11.2.1: the eight bytes behind the chunk's name).
    async fn height_of_paper(&self, path: &str) -> u32 {
        let request = self.branch.browse("GET", path).body(Body::empty()).unwrap();
        let response = self.branch.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let png = response.into_body().collect().await.unwrap().to_bytes();
        u32::from_be_bytes(png[20..24].try_into().unwrap())
    }
}

fn pictures_on(receipt: &Receipt) -> Vec<(usize, &Bitmap, PaperAlign)> {
    let items = receipt.items.iter().enumerate();
    let picture = |(place, item)| match item {
        &PrintedItem::Image { ref bitmap, align } => Some((place, bitmap, align)),
        _ => None,
    };
    items.filter_map(picture).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_logo_comes_out_dot_by_dot_at_the_head_of_receipts_and_copies() {
    let mut shop = Shop::new("logo = \"branch.png\"\n[[till]]\nid = \"till-1\"").await;
    shop.put("branch.png", &logo().png(8).unwrap());
    let (view, receipt) = shop.sell().await;
    let logo = logo();
    let expected = [(0, &logo, PaperAlign::Centre)];
    assert_eq!(pictures_on(&receipt), expected, "{receipt:?}");

    let path = format!("/till/till-1/paper/{}?copy=false", view.last_sale.as_ref().unwrap().act);
    let with = shop.height_of_paper(&path).await;
    std::fs::rename(shop.pictures.path().join("branch.png"), shop.pictures.path().join("away.png")).unwrap();
    let without = shop.height_of_paper(&path).await;
    assert!(with >= without + 48, "the picture of the paper has it, too: {with} and {without} dots high");
    std::fs::rename(shop.pictures.path().join("away.png"), shop.pictures.path().join("branch.png")).unwrap();

    shop.branch.done("till-1", "reprint", json!({})).await;
    let copy = shop.next(1).await;
    assert!(copy.text().contains("COPY"));
    assert_eq!(pictures_on(&copy).iter().filter(|(_, bitmap, _)| **bitmap == logo).count(), 1);
    assert!(view.refusals.is_empty(), "{:?}", view.refusals);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_whose_logo_is_missing_or_unreadable_is_printed_without_it_and_the_till_says_so_once() {
    let mut shop = Shop::new("[[till]]\nid = \"till-1\"\nlogo = \"branch.png\"").await;
    let (_, receipt) = shop.sell().await;
    assert_eq!(pictures_on(&receipt), []);
    let told = |view: &Arc<TillView>, words: &str| {
        view.refusals.iter().filter(|told| told.text.contains(words)).count()
    };
    let missing = "Receipts are printed without their logo: ";
    let view = shop.until(|view| told(view, missing) == 1).await;
    assert_eq!(told(&view, "branch.png cannot be opened: put the picture there as PNG"), 1);
    // A scan puts aside what was said before.
    let (view, _) = shop.sell().await;
    assert_eq!(told(&view, missing), 0, "it is said once");

    shop.put("branch.png", b"no picture");
    let (_, receipt) = shop.sell().await;
    assert_eq!(pictures_on(&receipt), []);
    shop.until(|view| told(view, "is no PNG that can be read") == 1).await;
    shop.put("branch.png", &logo().png(8).unwrap());
    let (_, receipt) = shop.sell().await;
    assert_eq!(pictures_on(&receipt).len(), 1, "a new picture needs no restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_without_a_logo_are_what_they_were() {
    let mut shop = Shop::new("[[till]]\nid = \"till-1\"").await;
    shop.put("branch.png", &logo().png(8).unwrap());
    let (_, receipt) = shop.sell().await;
    assert_eq!(pictures_on(&receipt), []);
}
