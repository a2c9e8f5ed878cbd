//! A scanner that types into the till's page, through the addresses that the page uses.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail as the test does"
)]

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use pestle_drivers::scanner::{
    learn::sheet::TestCode,
    page::{BATCH_KEYS_MAX, PageKey},
};
use serde_json::{Value, json};
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::branch::{Branch, HOST, gtin};

/// Keys of the United States that are no letters: plain, with Shift, and where they are.
const SIGNS: &str = "1!Digit1 2@Digit2 3#Digit3 4$Digit4 5%Digit5 6^Digit6 7&Digit7 8*Digit8 9(Digit9 0)Digit0 -_Minus \
    =+Equal [{BracketLeft ]}BracketRight ;:Semicolon '\"Quote ,<Comma .>Period /?Slash";

/// From key to key of a scanner.
const SCANNER_US: u64 = 5_000;
/// And of a person.
const PERSON_US: u64 = 90_000;

/// What a browser tells when this is typed on a keyboard of the United States; GS is Ctrl+].
fn typed(text: &str, every_us: u64) -> Vec<PageKey> {
    let mut keys = Vec::new();
    for (character, number) in text.chars().zip(1..) {
        let (key, code, shift) = match character {
            '\r' => ("Enter".to_owned(), "Enter".to_owned(), false),
            '\u{1d}' => ("]".to_owned(), "BracketRight".to_owned(), false),
            letter if letter.is_ascii_alphabetic() => (
                letter.to_string(),
                format!("Key{}", letter.to_ascii_uppercase()),
                letter.is_ascii_uppercase(),
            ),
            sign => {
                let word = SIGNS.split(' ').find(|word| word[..2].contains(sign)).unwrap();
                (sign.to_string(), word[2..].to_owned(), word[1..].starts_with(sign))
            }
        };
        for down in [true, false] {
            let at_us = number * every_us + u64::from(!down) * 1_000;
            let (key, code, ctrl) = (key.clone(), code.clone(), character == '\u{1d}');
            keys.push(PageKey {
                down,
                key,
                code,
                ctrl,
                alt: false,
                shift,
                alt_graph: false,
                repeat: false,
                at_us,
            });
        }
    }
    keys
}

/// A pack's DataMatrix.
fn pack(serial: &str) -> String {
    format!("01{}1728010110LOT7\u{1d}21{serial}\r", gtin())
}

fn batch(page: Uuid, text: &str) -> Value {
    json!({"batch": Uuid::now_v7(), "page": page, "keys": typed(text, SCANNER_US)})
}

fn lesson(page: Uuid, texts: &[String], word: &str) -> Value {
    let bursts: Vec<_> = texts.iter().map(|text| typed(text, SCANNER_US)).collect();
    json!({"page": page, "word": word, "bursts": bursts})
}

/// The four codes as a scanner sends them that puts `separator` for GS.
fn sheet(separator: &str) -> Vec<String> {
    TestCode::ALL.iter().map(|code| format!("{}\r", code.parts().join(separator))).collect()
}

impl Branch {
    /// The lots and serial numbers in the basket.
    async fn believed(&self) -> Vec<(Value, Value)> {
        let lines = self.state("till-1").await["basket"]["lines"].as_array().cloned().unwrap_or_default();
        lines.iter().map(|line| (line["lot"].clone(), line["serials"].clone())).collect()
    }

    async fn learn(&mut self, page: Uuid) {
        let codes = sheet("\u{1d}");
        for so_far in 0..codes.len() {
            let answer = self.done("till-1", "learn", lesson(page, &codes[..so_far], "scan")).await;
            let wanted = TestCode::ALL[so_far].to_string();
            assert_eq!((&answer["data"]["code"], &answer["data"]["proved"]), (&json!(wanted), &json!(false)));
        }
        let answer = self.done("till-1", "learn", lesson(page, &codes, "scan")).await;
        assert_eq!(answer["data"], json!({"code": null, "proved": true}), "{answer}");
        assert!(answer["message"].as_str().unwrap().starts_with("The scanner is proved"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_s_scanner_sells_by_number_until_it_is_learned_and_then_by_lot_and_serial_also_after_a_restart()
 {
    let (page, other) = (Uuid::now_v7(), Uuid::now_v7());
    let mut branch = Branch::new().await;
    branch.open_till("till-1").await;
    let answer = branch.done("till-1", "typed", batch(page, &pack("S1"))).await;
    assert_eq!(answer["data"], json!({"typed": "scanned"}));
    assert_eq!(branch.believed().await, [(json!(null), json!([]))]);
    branch.done("till-1", "void-all", json!({})).await;

    branch.learn(page).await;
    branch.done("till-1", "typed", batch(page, &pack("S1"))).await;
    assert_eq!(branch.believed().await, [(json!("LOT7"), json!(["S1"]))]);
    branch.done("till-1", "void-all", json!({})).await;
    for other in [json!(other), json!(null)] {
        let mut typed = batch(page, &pack("S2"));
        typed["page"] = other;
        branch.done("till-1", "typed", typed).await;
        assert_eq!(branch.believed().await, [(json!(null), json!([]))], "another browser is another scanner");
        branch.done("till-1", "void-all", json!({})).await;
    }

    let mut branch = branch.restart().await;
    branch.done("till-1", "sign-in", json!({"staff": "anna", "pin": crate::branch::PIN})).await;
    branch.done("till-1", "typed", batch(page, &pack("S3"))).await;
    assert_eq!(branch.believed().await, [(json!("LOT7"), json!(["S3"]))]);
    let pay = branch.payment("till-1", "5").await;
    branch.done("till-1", "pay", pay).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_sent_again_is_no_second_pack() {
    let mut branch = Branch::new().await;
    branch.open_till("till-1").await;
    let first = batch(Uuid::now_v7(), &pack("S1"));
    for _ in 0..3 {
        let answer = branch.done("till-1", "typed", first.clone()).await;
        assert_eq!(answer["data"]["typed"], "scanned");
    }
    assert_eq!(branch.state("till-1").await["basket"]["packs"], 1);
    // The same keys in a batch of their own: another pack.
    let mut second = first;
    second["batch"] = json!(Uuid::now_v7());
    branch.done("till-1", "typed", second).await;
    assert_eq!(branch.state("till-1").await["basket"]["packs"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_s_typing_is_no_scan_and_nobody_scans_or_learns_for_the_person_who_is_signed_in() {
    let page = Uuid::now_v7();
    let mut branch = Branch::new().await;
    branch.open_till("till-1").await;
    let by_hand = json!({"batch": Uuid::now_v7(), "page": page, "keys": typed(&pack("S1"), PERSON_US)});
    let answer = branch.done("till-1", "typed", by_hand).await;
    assert_eq!(answer["data"]["typed"], "typing");
    for (origin, wanted) in [
        (format!("http://{HOST}"), StatusCode::UNAUTHORIZED),
        ("https://evil.example".into(), StatusCode::FORBIDDEN),
    ] {
        for (path, body) in [
            ("/till/till-1/typed", batch(page, &pack("S1"))),
            ("/till/till-1/learn", lesson(page, &sheet("\u{1d}"), "scan")),
        ] {
            let request = Request::post(path).header(header::HOST, HOST).header(header::ORIGIN, &origin);
            let request = request.body(Body::from(body.to_string())).unwrap();
            let response = branch.router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), wanted, "{path} from {origin}");
        }
    }
    assert_eq!(branch.state("till-1").await["basket"], json!(null));
    let answer = branch.done("till-1", "learn", lesson(page, &[], "scan")).await;
    assert_eq!(answer["data"]["proved"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cut_off_or_is_too_long_is_told_on_the_page_and_counted() {
    let page = Uuid::now_v7();
    let mut branch = Branch::new().await;
    branch.open_till("till-1").await;
    branch.learn(page).await;
    let cut_off = pack("S1").replace('\r', "");
    branch.done("till-1", "typed", batch(page, &cut_off)).await;
    branch.done("till-1", "dismiss", json!({})).await;
    let endless = "1".repeat(BATCH_KEYS_MAX / 2 + 1);
    branch.done("till-1", "typed", batch(page, &endless)).await;
    let state = branch.state("till-1").await;
    let told = state["refusals"].to_string();
    assert!(told.contains("scan again") || told.contains("no barcode"), "{told}");
    assert_eq!(state["basket"], json!(null));
    assert!(branch.metrics().contains("test_scans_rejected_total"), "{}", branch.metrics());
    assert!(!branch.metrics().contains("test_scans_rejected_total 0\n"), "{}", branch.metrics());
    let (status, _) = branch.post("till-1", "typed", json!({"keys": 1})).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_that_swallows_the_separator_is_not_proved_and_takes_the_proof_of_the_one_before_it() {
    let page = Uuid::now_v7();
    let mut branch = Branch::new().await;
    branch.open_till("till-1").await;
    branch.learn(page).await;
    let answer = branch.done("till-1", "learn", lesson(page, &sheet(""), "scan")).await;
    assert_eq!(answer["data"], json!({"code": null, "proved": false}));
    assert!(answer["message"].as_str().unwrap().contains("swallows the separator"), "{answer}");
    branch.learn(page).await;
    let answer = branch.done("till-1", "learn", lesson(page, &[], "forget")).await;
    assert_eq!(answer["data"]["proved"], false);
    let answer = branch.done("till-1", "learn", lesson(page, &sheet("\u{1d}")[..1], "give_up")).await;
    assert!(answer["message"].as_str().unwrap().contains("does not read GS1 DataMatrix"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_learning_shows_each_code_and_a_till_without_typed_scans_has_none_of_it() {
    let config = "[[till]]\nid = \"till-1\"\n[[till]]\nid = \"till-2\"\ntyped_scans = false\n";
    let mut branch = Branch::open(tempfile::tempdir().unwrap(), config).await;
    let (status, page) = branch.get("/till/till-1/learn").await;
    assert_eq!(status, StatusCode::OK);
    assert!(page.contains("/static/page-scanner.js") && page.contains("data-silence-ms=\"60\""), "{page}");
    let (_, makers) = page.split_once("id=\"makers\"").unwrap();
    assert!(makers.contains("/till/till-1/devices/sheet.png?maker=datalogic"), "{makers}");
    assert!(makers.contains("In the maker's manual: “Prefix/Suffix Values”."), "{makers}");
    assert!(
        !makers.contains("data-act"),
        "a scanner that types has no line, and this page no printer: {makers}"
    );
    for code in TestCode::ALL {
        let request =
            branch.browse("GET", &format!("/till/till-1/learn/{code}")).body(Body::empty()).unwrap();
        let response = branch.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "image/png", "{code}");
    }
    assert_eq!(branch.get("/till/till-1/learn/E").await.0, StatusCode::NOT_FOUND);

    assert!(branch.get("/till/till-1").await.1.contains("page-scanner.js"));
    assert!(!branch.get("/till/till-2").await.1.contains("page-scanner.js"));
    assert_eq!(branch.get("/till/till-2/learn").await.0, StatusCode::SEE_OTHER);
    branch.open_till("till-2").await;
    let (status, answer) = branch.post("till-2", "typed", batch(Uuid::now_v7(), &pack("S1"))).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(answer["message"].as_str().unwrap().contains("switched off"), "{answer}");
}
