//! The page for devices, as a browser uses it, over a simulated list of devices and real cables.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers fail as the test does"
)]

use std::time::Duration;

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use http_body_util::BodyExt as _;
use pestle_drivers::{
    find::keeping::TOGETHER,
    printer::status::Paper,
    scanner::learn::sheet::TestCode,
    sensor::settings::Framing,
    sim::{
        attached::{SimInterface, SimSystem, SimUsbDevice},
        fridge::SimFridges,
        printer::SimPrinter,
        scanner::SimScanner,
        zebra::SimZebra,
    },
};
use serde_json::{Value, json};
use tokio::time::timeout;
use tower::ServiceExt as _;

use crate::branch::{Branch, HOST, gtin};

const DEADLINE: Duration = Duration::from_secs(30);
/// A person who hears and sees nothing scans again.
const SCANNED_AGAIN_AFTER: Duration = Duration::from_secs(2);

/// A box whose list of devices is simulated.
pub(crate) struct Shop {
    branch: Branch,
    pub(crate) sim: SimSystem,
    printer: SimPrinter,
    config: String,
    /// The page's stream: whatever comes on it, the page is looked at again.
    stream: Body,
}

impl Shop {
    /// With a scanner of these keys (`DEV` is the folder of device files), a receipt printer, and what `more` configures.
    pub(crate) async fn new(scanner: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sim = SimSystem::new(folder.path().join("machine")).unwrap();
        let scanner = scanner.replace("DEV", sim.system().dev.to_str().unwrap());
        let printer = SimPrinter::listen("127.0.0.1:0".parse().unwrap(), 576).unwrap();
        let system = sim.system();
        let config = format!(
            "data_dir = {:?}\n[kernel]\nsys = {:?}\ndev = {:?}\n[[till]]\nid = \"till-1\"\nname = \"Till 1\"\n\
             [[scanner]]\nname = \"scanner-1\"\ntill = \"till-1\"\n{scanner}\n\
             [[printer]]\nname = \"receipts\"\ntill = \"till-1\"\naddress = \"tcp://{}\"\n{more}",
            folder.path().join("data"),
            system.sys,
            system.dev,
            printer.address().unwrap(),
        );
        let branch = Branch::open(folder, &config).await;
        let mut shop = Self { branch, sim, printer, config, stream: Body::empty() };
        shop.branch.open_till("till-1").await;
        shop.listen().await;
        shop
    }

    /// Opens the page's stream, as the browser does that is signed in.
    async fn listen(&mut self) {
        let events = self.branch.browse("GET", "/till/till-1/devices/events").body(Body::empty()).unwrap();
        let response = self.branch.router.clone().oneshot(events).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        self.stream = response.into_body();
    }

    /// Ends the box and starts it again.
    async fn restart(self) -> Self {
        let Self { branch, sim, printer, config, .. } = self;
        branch.counter.stop().await;
        let branch = Branch::open(branch.close().await, &config).await;
        let mut shop = Self { branch, sim, printer, config, stream: Body::empty() };
        shop.branch.done("till-1", "sign-in", json!({"staff": "anna", "pin": crate::branch::PIN})).await;
        shop.listen().await;
        shop
    }

    fn plug(&self, port: &str, device: &SimUsbDevice) -> SimScanner {
        let files = self.sim.plug_in(port, device).unwrap();
        SimScanner::plug_in(&files[0]).unwrap()
    }

    async fn pull(&self, port: &str, scanner: SimScanner) {
        scanner.unplug().await;
        self.sim.unplug(port).unwrap();
    }

    pub(crate) async fn page(&self) -> String {
        let (status, page) = self.branch.get("/till/till-1/devices").await;
        assert_eq!(status, StatusCode::OK);
        page
    }

    /// Waits until the page says it, and hands the page back.
    pub(crate) async fn shows(&mut self, words: &str) -> String {
        self.looks(words, |page| page.contains(words)).await
    }

    /// Waits until the card of the scanner says it.
    async fn of_the_scanner(&mut self, words: &str) {
        let card = |page: &str| {
            let card = page.split("id=\"device-scanner-1\"").nth(1)?.split("</article>").next()?;
            Some(card.to_owned())
        };
        self.looks(words, |page| card(page).is_some_and(|card| card.contains(words))).await;
    }

    pub(crate) async fn looks(&mut self, words: &str, is_there: impl Fn(&str) -> bool) -> String {
        let waiting = async {
            loop {
                let page = self.page().await;
                if is_there(&page) {
                    return page;
                }
                self.stream.frame().await.expect("the stream goes on").unwrap();
            }
        };
        match timeout(DEADLINE, waiting).await {
            Ok(page) => page,
            Err(_elapsed) => panic!("the page never said {words:?}; it says\n{}", self.page().await),
        }
    }

    async fn act(&mut self, action: &str, body: Value) -> (StatusCode, Value) {
        self.branch.post("till-1", &format!("devices/{action}"), body).await
    }

    pub(crate) async fn done(&mut self, action: &str, body: Value) {
        let (status, answer) = self.act(action, body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
    }

    /// Presses the answer of this key to the one question on the page.
    pub(crate) async fn answer(&mut self, key: &str) {
        let page = self.shows("data-question=").await;
        let id = page.split("data-question=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        self.done("answer", json!({"question": id, "answer": key})).await;
    }

    /// Lets the scanner learn at the page.
    async fn learn(&mut self, device: &SimScanner) {
        self.done("learn", json!({"device": "scanner-1"})).await;
        for code in [TestCode::C, TestCode::A, TestCode::D, TestCode::B] {
            self.shows("in any order").await;
            device.scan(code.data().as_bytes()).await.unwrap();
            self.shows(&match code {
                TestCode::B => "scanner-1 is proved.".to_owned(),
                code => format!("Code {code} was recognised."),
            })
            .await;
        }
        self.done("leave", json!({"device": "scanner-1"})).await;
    }

    /// Waits until the finder has seen that this one is gone, which its line tells earlier: for as long as it sees it, the card
    /// says what it is.
    pub(crate) async fn found_gone(&mut self, scanner: &str) {
        let is_gone = |page: &str| {
            let card = page.split(&format!("id=\"device-{scanner}\"")).nth(1);
            let card = card.and_then(|card| card.split("</article>").next());
            card.is_some_and(|card| !card.contains("<p class=\"what\"><small>"))
        };
        self.looks(&format!("{scanner} is not seen"), is_gone).await;
    }

    /// Scans a pack with a lot, and says which lot is in the basket then; empties the basket. A scanner's line that has just been
    /// opened falls silent first: what comes before that is told at the till, and scanned again as a person would.
    async fn lot_of_a_scan(&mut self, device: &SimScanner) -> Option<String> {
        let mut view = self.branch.counter.watch(&"till-1".parse().unwrap()).unwrap();
        let scanned = timeout(DEADLINE, async {
            loop {
                let told = view.borrow_and_update().refusals.last().map(|refusal| refusal.seq);
                device.scan(format!("01{}10LOT7\u{1D}217", gtin()).as_bytes()).await.unwrap();
                let seen = view.wait_for(|view| {
                    view.basket.is_some() || view.refusals.last().map(|refusal| refusal.seq) != told
                });
                // What came while the line was being opened was heard by nobody.
                if let Ok(seen) = timeout(SCANNED_AGAIN_AFTER, seen).await
                    && seen.as_ref().unwrap().basket.is_some()
                {
                    return seen.unwrap().clone();
                }
            }
        });
        let scanned = scanned.await.unwrap();
        self.branch.done("till-1", "void-all", json!({})).await;
        scanned.basket.as_ref().unwrap().lines[0].lot.as_deref().map(str::to_owned)
    }

    /// A picture, as the browser that is signed in gets it.
    async fn picture(&self, path: &str) -> (StatusCode, Vec<u8>) {
        let request = self.branch.browse("GET", path).body(Body::empty()).unwrap();
        let response = self.branch.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_that_was_exchanged_is_used_after_one_answer_and_believed_after_it_has_learned() {
    let mut shop = Shop::new("path = \"usb-port:1-1\"", "").await;
    let device = shop.plug("1-1", &SimUsbDevice::clone_adapter());
    shop.of_the_scanner("attached since").await;
    shop.shows("It has not learned yet").await;
    assert_eq!(shop.lot_of_a_scan(&device).await, None, "an unproved scanner supplies no lot");
    shop.learn(&device).await;
    let page = shop.shows("learned at").await;
    assert!(!page.contains("It has not learned yet"));
    assert_eq!(shop.lot_of_a_scan(&device).await.as_deref(), Some("LOT7"), "at once, without a restart");

    // Another one in its place: the box asks, at the till too, and nothing is used before the answer.
    shop.pull("1-1", device).await;
    shop.of_the_scanner("missing since").await;
    let device = shop.plug("1-1", &SimUsbDevice::scanner("S21357"));
    let page = shop.shows("Symbol Bar Code Scanner, number S21357. Is this the new scanner-1?").await;
    assert!(page.contains("Yes, this is the new scanner-1"), "{page}");
    let mut till = shop.branch.counter.watch(&"till-1".parse().unwrap()).unwrap();
    timeout(DEADLINE, till.wait_for(|view| view.devices_ask == ["scanner-1"])).await.unwrap().unwrap();
    let (_, till) = shop.branch.get("/till/till-1").await;
    assert!(till.contains("<a href=\"/till/till-1/devices\">Answer on the page for devices</a>"), "{till}");
    let (status, answer) = shop.act("answer", json!({"question": "another", "answer": "use"})).await;
    assert_eq!(status, StatusCode::CONFLICT, "{answer}");

    shop.answer("use").await;
    shop.shows("Another scanner came in its place").await;
    shop.of_the_scanner("attached since").await;
    assert_eq!(shop.lot_of_a_scan(&device).await, None, "what the one before was taught does not hold");
    shop.learn(&device).await;
    assert_eq!(shop.lot_of_a_scan(&device).await.as_deref(), Some("LOT7"));

    // It is kept: after a restart there is no question, and it is believed.
    let mut shop = shop.restart().await;
    shop.of_the_scanner("attached since").await;
    let page = shop.shows("learned at").await;
    assert!(!page.contains("data-question"), "{page}");
    assert_eq!(shop.lot_of_a_scan(&device).await.as_deref(), Some("LOT7"));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_that_look_the_same_each_shows_where_it_is_before_the_question_is_answered() {
    let more = "[[till]]\nid = \"till-2\"\nname = \"Till 2\"\n\
                [[scanner]]\nname = \"scanner-2\"\ntill = \"till-2\"\npath = \"usb-port:1-2\"\n";
    let mut shop = Shop::new("path = \"usb-port:1-1\"", more).await;
    let first = shop.plug("1-1", &SimUsbDevice::clone_adapter());
    let second = shop.plug("1-2", &SimUsbDevice::clone_adapter());
    shop.looks("both are attached, as is the printer", |page| page.matches("attached since").count() == 3)
        .await;
    // A person pulls one after the other, and plugs them in again, each in the other's socket perhaps.
    shop.pull("1-1", first).await;
    shop.of_the_scanner("missing since").await;
    shop.found_gone("scanner-1").await;
    // Two that the finder sees go within this time have lost a hub: it is the rule's own measure, and nothing tells its end.
    tokio::time::sleep(TOGETHER).await;
    shop.pull("1-2", second).await;
    shop.looks("both are missing", |page| page.matches("missing since").count() == 2).await;
    shop.found_gone("scanner-2").await;
    let first = shop.plug("1-1", &SimUsbDevice::clone_adapter());
    let _second = shop.plug("1-2", &SimUsbDevice::clone_adapter());
    shop.shows("Identify one of them if in doubt.").await;

    shop.done("identify", json!({"device": "scanner-1"})).await;
    shop.shows("stands here and sells nothing").await;
    // Its line falls silent first.
    let scanned = timeout(DEADLINE, async {
        loop {
            first.scan(b"0109521234543213").await.unwrap();
            let in_hand = shop.shows("The scanner in your hand is at USB port 1-1");
            if timeout(SCANNED_AGAIN_AFTER, in_hand).await.is_ok() {
                break;
            }
        }
    });
    let scanned = scanned.await;
    assert!(scanned.is_ok(), "{}", shop.page().await);
    assert_eq!(shop.branch.state("till-1").await["basket"], Value::Null);
    shop.done("leave", json!({"device": "scanner-1"})).await;
    shop.answer("use").await;
    shop.looks("both are used, as is the printer", |page| page.matches("attached since").count() == 3).await;
    assert_eq!(shop.lot_of_a_scan(&first).await, None, "it sells");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_scanner_at_a_path_is_not_believed_as_soon_as_it_is_seen() {
    let mut shop = Shop::new("path = \"DEV/ttyACM0\"\nproved = true", "").await;
    let device = shop.plug("1-1", &SimUsbDevice::scanner("S1"));
    shop.of_the_scanner("attached since").await;
    shop.shows("believed by the configuration").await;
    shop.of_the_scanner("number S1").await;
    assert_eq!(shop.lot_of_a_scan(&device).await.as_deref(), Some("LOT7"));
    shop.pull("1-1", device).await;
    shop.of_the_scanner("missing since").await;
    let device = shop.plug("1-2", &SimUsbDevice::scanner("S2"));
    shop.shows("Another scanner came in its place").await;
    shop.of_the_scanner("attached since").await;
    assert_eq!(shop.lot_of_a_scan(&device).await, None, "whatever the configuration says");
    shop.learn(&device).await;
    assert_eq!(shop.lot_of_a_scan(&device).await.as_deref(), Some("LOT7"));
}

#[tokio::test(flavor = "multi_thread")]
async fn printers_that_were_exchanged_are_one_question_and_their_names_follow_them() {
    let more = "[[sensor]]\nname = \"fridge-1\"\npath = \"usb-port:1-3\"\nslave = 1\nprofile = \"xy-md02\"\ninterval_s = 1\n\
                [[sensor]]\nname = \"fridge-2\"\npath = \"usb-port:1-3\"\nslave = 2\nprofile = \"xy-md02\"\ninterval_s = 1\n";
    let mut shop = Shop::new("path = \"usb-port:1-1\"", more).await;
    let scanner = shop.plug("1-1", &SimUsbDevice::scanner("S1"));
    let files = shop.sim.plug_in("1-3", &SimUsbDevice::clone_adapter()).unwrap();
    let fridges = SimFridges::plug_in(&files[0], &[1, 2]).unwrap();
    shop.shows("all answer").await;
    shop.of_the_scanner("attached since").await;

    // Both cables are pulled, and each is plugged into the other's socket.
    shop.pull("1-1", scanner).await;
    fridges.unplug();
    shop.sim.unplug("1-3").unwrap();
    shop.of_the_scanner("missing since").await;
    let scanner = shop.plug("1-3", &SimUsbDevice::scanner("S1"));
    let files = shop.sim.plug_in("1-1", &SimUsbDevice::clone_adapter()).unwrap();
    let _fridges = SimFridges::plug_in(&files[0], &[1, 2]).unwrap();
    let page = shop.shows("Were the cables exchanged?").await;
    // The finder may need another look to see both.
    let page = if page.matches("<article class=\"ask").count() == 1 && page.contains("fridge-1 and scanner-1")
    {
        page
    } else {
        shop.shows("fridge-1 and scanner-1</h2>").await
    };
    assert_eq!(page.matches("<article class=\"ask").count(), 1, "one question for both:\n{page}");
    assert!(page.contains("fridge-1 (with fridge-2 on its line)"), "{page}");
    shop.answer("follow").await;
    shop.done("identify", json!({"device": "fridge-1"})).await;
    shop.shows("Its lamps flicker and rest in turns.").await;
    shop.shows("all answer").await;
    shop.of_the_scanner("attached since").await;
    assert!(!shop.page().await.contains("data-question"));
    shop.lot_of_a_scan(&scanner).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_show_themselves_while_the_box_sells_and_an_unknown_end_stays_unknown() {
    let mut shop = Shop::new("path = \"usb-port:1-1\"", "").await;
    let device = shop.plug("1-1", &SimUsbDevice::scanner("S1"));
    shop.of_the_scanner("attached since").await;
    shop.done("identify", json!({"device": "receipts"})).await;
    shop.shows("receipts has printed its name, and says so itself.").await;
    let paper = shop.printer.last_receipt().unwrap().text();
    assert!(
        paper.contains("This printer is") && paper.contains("receipts") && paper.contains("of Till 1"),
        "{paper}"
    );
    shop.printer.vanish_after(60);
    shop.done("identify", json!({"device": "receipts"})).await;
    shop.shows("It is not known whether it came out").await;
    shop.printer.power_on().await.unwrap();
    let printed = shop.printer.receipts().len();
    shop.done("leave", json!({"device": "receipts"})).await;

    // What the scanner reads stands on the page, and sells nothing.
    shop.done("identify", json!({"device": "scanner-1"})).await;
    let (status, answer) = shop.act("learn", json!({"device": "scanner-1"})).await;
    assert_eq!(status, StatusCode::CONFLICT, "{answer}");
    shop.shows("sells nothing").await;
    device.scan(b"0109521234543213").await.unwrap();
    let page = shop.shows("scanner-1 read 0109521234543213").await;
    assert!(page.contains("means"), "{page}");
    assert_eq!(shop.branch.state("till-1").await["basket"], Value::Null);
    shop.done("leave", json!({"device": "scanner-1"})).await;
    shop.shows("was tried, and sells again").await;
    assert_eq!(shop.lot_of_a_scan(&device).await, None);
    assert_eq!(shop.printer.receipts().len(), printed, "nothing is printed again by itself");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_technician_tries_devices_at_a_till_and_sells_prints_and_empties_nothing() {
    let mut shop = Shop::new("path = \"usb-port:1-1\"", "").await;
    shop.branch.scan("till-1").await;
    let pay = shop.branch.payment("till-1", "5").await;
    let line = shop.branch.state("till-1").await["basket"]["lines"][0]["line"].clone();
    shop.branch.done("till-1", "sign-in", json!({"staff": "tess", "pin": crate::branch::PIN})).await;
    shop.listen().await;
    let basket = shop.branch.state("till-1").await["basket"].clone();
    let refused = [
        ("pay", pay),
        ("void", json!({"line": line})),
        ("void-all", json!({})),
        ("quantity", json!({"line": line, "quantity": 2})),
        ("reprint", json!({})),
        ("shelf-label", json!({"act": uuid::Uuid::now_v7(), "product": "ibuprofen-200"})),
    ];
    for (action, body) in refused {
        let (status, answer) = shop.branch.post("till-1", action, body).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{action}: {answer}");
        assert_eq!(answer["message"], "Tess may not sell. Ask somebody who may to sign in.", "{action}");
    }
    // What a typed scan comes to is on the page.
    shop.branch.done("till-1", "scan", json!({"code": gtin().short()})).await;
    let state = shop.branch.state("till-1").await;
    assert!(state["refusals"].to_string().contains("Tess may not sell"), "{state}");
    assert_eq!(state["basket"], basket);
    shop.done("identify", json!({"device": "receipts"})).await;
    shop.shows("receipts has printed its name, and says so itself.").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_are_measured_a_buzzer_is_sounded_and_certificates_stand_at_the_page() {
    let labels = SimZebra::listen("127.0.0.1:0".parse().unwrap(), 203, 832).unwrap();
    let loud = SimPrinter::listen("127.0.0.1:0".parse().unwrap(), 576).unwrap();
    let fridges = SimFridges::on_network(Framing::Tcp, &[3]).await.unwrap();
    let more = format!(
        "[[printer]]\nname = \"labels\"\ntill = \"till-1\"\nkind = \"zpl\"\naddress = \"tcp://{}\"\n\
         model = \"zebra-zd421-203\"\nlabel = {{ size = \"70x35\" }}\n\
         [[till]]\nid = \"till-2\"\n[[printer]]\nname = \"loud\"\ntill = \"till-2\"\naddress = \"tcp://{}\"\n\
         buzzer = {{ command = \"esc_b\", times = 3, duration = 4 }}\n\
         [[sensor]]\nname = \"air\"\naddress = \"modbus-tcp://{}\"\nslave = 3\nprofile = \"xy-md02\"\n\
         calibration = {{ certificate = \"K-1042\", date = \"2026-03-01\", due = \"2027-03-01\", correction_milli = -250 }}\n",
        labels.address().unwrap(),
        loud.address().unwrap(),
        fridges.network().unwrap(),
    );
    let mut shop = Shop::new("path = \"usb-port:1-1\"", &more).await;
    let page = shop.page().await;
    for there in [
        "id=\"measure-labels\"",
        "id=\"sound-loud\"",
        "Corrected by -0.250 °C, certificate K-1042 of 2026-03-01, due 2027-03-01.",
    ] {
        assert!(page.contains(there), "{there:?} is not in {page}");
    }
    assert!(!page.contains("id=\"measure-receipts\"") && !page.contains("id=\"sound-receipts\""), "{page}");

    labels.set_roll(280);
    shop.done("measure", json!({"device": "labels"})).await;
    shop.shows("labels has measured its labels: 35.0 mm, as configured.").await;
    shop.done("leave", json!({"device": "labels"})).await;
    labels.set_roll(140);
    shop.done("measure", json!({"device": "labels"})).await;
    shop.shows("It has measured labels of 17.5 mm, and 35.0 mm are configured").await;
    let (status, _) = shop.act("measure", json!({"device": "receipts"})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);

    shop.done("sound", json!({"device": "loud"})).await;
    shop.shows("loud was told to sound: did you hear it?").await;
    let sounded = timeout(DEADLINE, loud.wait_until(|view| view.counts.beeps == 1)).await;
    assert!(sounded.is_ok(), "{:?}", loud.view().counts);
    let (status, _) = shop.act("sound", json!({"device": "receipts"})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_that_swallows_separators_says_what_mends_it_and_leaving_changes_nothing() {
    let mut shop = Shop::new("path = \"usb-port:1-1\"", "").await;
    let device = shop.plug("1-1", &SimUsbDevice::scanner("S1"));
    shop.of_the_scanner("attached since").await;
    shop.done("learn", json!({"device": "scanner-1"})).await;
    shop.shows("in any order").await;
    device.scan(gtin().short().as_bytes()).await.unwrap();
    shop.shows("no code of the sheet; nothing of it was sold").await;
    shop.done("leave", json!({"device": "scanner-1"})).await;
    shop.shows("Let it learn").await;
    assert_eq!(shop.branch.state("till-1").await["basket"], Value::Null);
    shop.shows("It has not learned yet").await;

    shop.done("learn", json!({"device": "scanner-1"})).await;
    for (code, number) in TestCode::ALL.into_iter().zip(1..) {
        shop.shows("in any order").await;
        device.scan(code.parts().concat().as_bytes()).await.unwrap();
        if number < 4 {
            shop.shows(&format!("Code {code} was recognised.")).await;
        }
    }
    let page = shop.shows("scanner-1 is not proved.").await;
    assert!(page.contains("swallows the separator GS"), "{page}");
    // For this scanner, which is a serial one: what its maker's sheet, its line and its manual have, and nothing for keyboards.
    let fault = page.split("class=\"faults\"").nth(1).unwrap().split("Learn again").next().unwrap();
    assert!(fault.contains("Look at its codes") && fault.contains("?maker=datalogic"), "{fault}");
    assert!(fault.contains("Print its codes on receipts"), "{fault}");
    assert!(fault.contains("data-maker=\"honeywell\" data-purpose=\"factory_default\""), "{fault}");
    assert!(fault.contains("Set it up over its line: Factory default"), "{fault}");
    let others = ["data-purpose=\"transmit_gs\"", "data-purpose=\"suffix_cr\""];
    assert!(!others.iter().any(|other| fault.contains(other)), "{fault}");
    shop.done("leave", json!({"device": "scanner-1"})).await;
    shop.shows("It has learned, and cannot be believed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_is_set_up_over_its_line_from_the_page_and_is_believed_when_it_has_learned_again() {
    let mut shop = Shop::new("path = \"usb-port:1-1\"", "").await;
    let device = shop.plug("1-1", &SimUsbDevice::scanner("S1"));
    shop.of_the_scanner("attached since").await;
    shop.learn(&device).await;
    let page = shop.shows("Codes of its maker").await;
    let button =
        "data-act=\"set-up\" data-device=\"scanner-1\" data-maker=\"honeywell\" data-purpose=\"suffix_cr\"";
    assert!(page.contains(button) && page.contains("Transmit Code ID Character"), "{page}");

    let command = b"\x16M\rVSUFCR.";
    let asked = json!({"device": "scanner-1", "maker": "honeywell", "purpose": "suffix_cr"});
    let told = async { device.is_told(command.len(), b"VSUFCR\x06.").await.unwrap() };
    let (told, ()) = tokio::join!(told, shop.done("set-up", asked.clone()));
    assert_eq!(told, command);
    shop.shows("scanner-1: the scanner has taken it, and keeps it. Let it learn now").await;
    shop.shows("or it was set up anew: it sells by the article").await;
    shop.done("leave", json!({"device": "scanner-1"})).await;
    shop.of_the_scanner("attached since").await;
    assert_eq!(shop.lot_of_a_scan(&device).await, None, "what it was taught before does not hold");
    shop.learn(&device).await;
    assert_eq!(shop.lot_of_a_scan(&device).await.as_deref(), Some("LOT7"));

    // Another maker's: it says so, and nothing of what it says is sold.
    let told = async { device.is_told(command.len(), b"VSUFCR\x05.").await.unwrap() };
    tokio::join!(told, shop.done("set-up", asked.clone()));
    shop.shows("the scanner does not know it (ENQ)").await;
    shop.of_the_scanner("attached since").await;
    assert_eq!(shop.branch.state("till-1").await["basket"], Value::Null);

    // What would take it off its line, or changes nothing of what comes over one, has no button, and is not done without one.
    let refused = [
        (
            json!({"device": "scanner-1", "maker": "honeywell", "purpose": "usb_keyboard"}),
            StatusCode::CONFLICT,
        ),
        (
            json!({"device": "scanner-1", "maker": "honeywell", "purpose": "transmit_gs"}),
            StatusCode::CONFLICT,
        ),
        (json!({"device": "receipts", "maker": "honeywell", "purpose": "suffix_cr"}), StatusCode::NOT_FOUND),
        (json!({"device": "scanner-1", "maker": "zebra", "purpose": "suffix_cr"}), StatusCode::CONFLICT),
        (json!({"device": "scanner-1", "maker": "nobody", "purpose": "suffix_cr"}), StatusCode::CONFLICT),
    ];
    for (body, status) in refused {
        let (refused, answer) = shop.act("set-up", body).await;
        assert_eq!(refused, status, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scanner_that_types_where_a_serial_one_is_configured_is_named_with_the_code_that_mends_it() {
    let mut shop = Shop::new("path = \"usb-port:1-1\"", "").await;
    let keys = SimUsbDevice {
        product: 0x1200,
        interfaces: vec![SimInterface::Keyboard],
        ..SimUsbDevice::scanner("S1")
    };
    shop.sim.plug_in("1-1", &keys).unwrap();
    let page = shop.shows("is plugged in and types like a keyboard").await;
    let said = page.split("types like a keyboard").nth(1).unwrap().split("</article>").next().unwrap();
    let code = said.split("USB serial: on the sheet").next().unwrap();
    assert!(code.contains("?maker=datalogic"), "{said}");

    // Set up as it is configured, it sells, and nothing is said any more.
    shop.sim.unplug("1-1").unwrap();
    let _device = shop.plug("1-1", &SimUsbDevice::scanner("S1"));
    shop.of_the_scanner("attached since").await;
    assert!(!shop.page().await.contains("types like a keyboard"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sheet_comes_out_of_the_tills_printer_and_is_shown_as_a_picture() {
    let mut shop = Shop::new("path = \"usb-port:1-1\"", "").await;
    shop.done("sheet", json!({"printer": "receipts"})).await;
    shop.shows("receipts has printed the sheet of test codes, and says so itself.").await;
    assert!(shop.printer.last_receipt().unwrap().text().contains("Scanner test codes"));
    for path in ["sheet.png", "sheet.png?maker=datalogic"] {
        let (status, png) = shop.picture(&format!("/till/till-1/devices/{path}")).await;
        assert!(status == StatusCode::OK && png.starts_with(b"\x89PNG"), "{path}");
    }
    for maker in ["nobody", "newland"] {
        let (status, _) = shop.picture(&format!("/till/till-1/devices/sheet.png?maker={maker}")).await;
        assert_eq!(status, StatusCode::CONFLICT, "{maker}");
    }
    let (status, answer) = shop.act("sheet", json!({"printer": "nobody"})).await;
    assert_eq!(status, StatusCode::NOT_FOUND, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_seen_as_a_picture_before_it_is_on_paper_and_its_copy_says_so() {
    let mut shop = Shop::new("path = \"usb-port:1-1\"", "").await;
    shop.printer.set_paper(Paper::Out);
    shop.shows("look at it since").await;
    shop.branch.scan("till-1").await;
    let pay = shop.branch.payment("till-1", "5").await;
    shop.branch.done("till-1", "pay", pay).await;
    let mut view = shop.branch.counter.watch(&"till-1".parse().unwrap()).unwrap();
    let waits = |view: &std::sync::Arc<pestle_agent::counter::view::TillView>| {
        view.prints.iter().any(|print| print.state == "not_printed")
    };
    let view = timeout(DEADLINE, view.wait_for(waits)).await.unwrap().unwrap().clone();
    let act = view.prints[0].document;
    let (_, till) = shop.branch.get("/till/till-1").await;
    assert!(till.contains(&format!("src=\"/till/till-1/paper/{act}?copy=false\"")), "{till}");
    let (status, receipt) = shop.picture(&format!("/till/till-1/paper/{act}?copy=false")).await;
    assert!(status == StatusCode::OK && receipt.starts_with(b"\x89PNG"));
    let (_, copy) = shop.picture(&format!("/till/till-1/paper/{act}?copy=true")).await;
    assert!(copy.len() > receipt.len(), "the word COPY and its note stand on it");
    let (status, _) = shop.picture(&format!("/till/till-1/paper/{}", uuid::Uuid::nil())).await;
    assert_eq!(status, StatusCode::NOT_FOUND);

    // Nobody else on the network sees it, and the state of the devices is for all.
    let stranger = |method: &str, path: String| {
        let request = Request::builder().method(method).uri(path).header(header::HOST, HOST);
        let sent = shop.branch.router.clone().oneshot(request.body(Body::empty()).unwrap());
        async move { sent.await.unwrap() }
    };
    for path in [format!("/till/till-1/paper/{act}"), "/till/till-1/devices/sheet.png".to_owned()] {
        assert_eq!(stranger("GET", path).await.status(), StatusCode::UNAUTHORIZED);
    }
    for action in ["learn", "identify", "answer", "sheet", "leave", "set-up"] {
        let refused = stranger("POST", format!("/till/till-1/devices/{action}")).await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{action}");
    }
    let page = stranger("GET", "/till/till-1/devices".to_owned()).await;
    let page = page.into_body().collect().await.unwrap().to_bytes();
    let page = String::from_utf8(page.to_vec()).unwrap();
    assert!(page.contains("out of paper") && page.contains("Sign in at the till"), "{page}");
    assert!(!page.contains("data-act") && !page.contains("Anna"), "{page}");
    let choice = stranger("GET", "/devices".to_owned()).await;
    assert_eq!(choice.headers()[header::LOCATION], "/till/till-1/devices");
}
