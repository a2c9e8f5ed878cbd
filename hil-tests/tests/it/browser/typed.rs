//! A scanner that types into the counter's page, in a real browser: what it sends before it was learned and after, what a
//! person's typing stays, and what becomes of a scan that the box did not answer.
//!
//! With `PESTLE_RECORD_KEYS` set, what the page sent is written to `drivers/tests/data/page/`, as tests there read it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use pestle_drivers::scanner::learn::sheet::TestCode;
use pestle_drivers::scanner::page::{BATCH_SILENCE_MS, PageKey, is_a_scanner_s};
use pestle_hil_tests::demo_data::Article;
use pestle_hil_tests::world::PEOPLE;
use serde_json::{Value, json};
use thirtyfour::Key;
use thirtyfour::common::command::{Actions, Command};

use super::driver::{Browser, Separator};
use super::{Pages, plain_articles, shows};

/// How often a scan is tried: a busy machine may type it with a pause, as no scanner does.
const SCANS_MAX: usize = 5;

/// From character to character of a slow scanner, over Bluetooth.
const SLOW_SCANNER: Duration = Duration::from_millis(20);

/// And of a person who types twice as quickly as most can.
const QUICK_PERSON: Duration = Duration::from_millis(48);

/// A scan was refused, or never came together.
pub(super) const NOT_TAKEN: &str =
    "!!document.querySelector('#notice .refused') || !document.getElementById('not-taken').hidden";

/// Keeps what the page sends, and how long it takes from the last key to the line. `lose` loses so many answers; `cut` keeps
/// requests from being sent at all.
const WATCH: &str = r#"
    window.watched = { batches: [], answers: [], took: [], last: 0, lose: 0, cut: false };
    const send = window.fetch;
    window.fetch = async (address, options) => {
        if (!/\/(typed|learn)$/.test(address)) return send(address, options);
        if (watched.cut) throw new TypeError("cut by the test");
        const said = JSON.parse(options.body);
        if (said.keys) watched.batches.push(said.keys);
        const answer = await send(address, options);
        watched.answers.push(answer.status);
        if (watched.lose > 0) { watched.lose -= 1; throw new TypeError("lost by the test"); }
        return answer;
    };
    window.addEventListener("keydown", (event) => { watched.last = event.timeStamp; }, true);
    let timed = 0;
    new MutationObserver(() => {
        if (timed === watched.batches.length) return;
        timed = watched.batches.length;
        const suffix = watched.batches.at(-1).findLast((key) => key.down);
        watched.took.push(performance.now() - suffix.at_us / 1000);
    }).observe(document.getElementById("lines"), { childList: true });"#;

/// A character as the keyboard of the United States types it.
fn is_shifted(character: char) -> bool {
    character.is_ascii_uppercase() || "~!@#$%^&*()_+{}|:\"<>?".contains(character)
}

impl Browser {
    /// Types as a scanner does that is set up as a keyboard of the United States: each capital with Shift, Enter at the
    /// end, `pause` from character to character. The driver's own key by key would take no pause.
    async fn scan_typed(&self, code: &str, separator: Separator, pause: Duration) {
        let mut actions = Vec::new();
        let mut held = |with: Option<char>, key: char| {
            let act = |kind: &str, value: char| json!({"type": kind, "value": value});
            actions.extend(with.map(|with| act("keyDown", with)));
            actions.extend([act("keyDown", key), act("keyUp", key)]);
            actions.extend(with.map(|with| act("keyUp", with)));
            actions.push(json!({"type": "pause", "duration": pause.as_millis()}));
        };
        for character in code.chars() {
            match (character, separator) {
                ('\u{1d}', Separator::F8) => held(None, Key::F8.into()),
                ('\u{1d}', Separator::CtrlBracket) => held(Some(Key::Control.into()), ']'),
                _ if is_shifted(character) => held(Some(Key::Shift.into()), character),
                _ => held(None, character),
            }
        }
        held(None, Key::Enter.into());
        let keyboard = json!([{"type": "key", "id": "keyboard", "actions": actions}]);
        self.page.cmd(Command::PerformActions(Actions::from(keyboard))).await.unwrap();
    }

    pub(super) async fn says_true(&self, script: &str) -> bool {
        self.page.execute(format!("return {script}"), vec![]).await.unwrap().json() == &Value::Bool(true)
    }

    async fn watched(&self) -> Value {
        self.page.execute("return window.watched", vec![]).await.unwrap().json().clone()
    }

    /// The till as the box shows it to this browser.
    async fn till(&self) -> Value {
        let script = "const done = arguments[0]; \
                      fetch('/till/till-1/state').then((answer) => answer.json()).then(done)";
        self.page.execute_async(script, vec![]).await.unwrap().json().clone()
    }

    /// Keeps the streams for the tests of the drivers, where that is wanted; in any case they are what a scanner types.
    fn keep(recorded: &BTreeMap<String, Vec<PageKey>>) {
        for (name, keys) in recorded {
            let gaps: Vec<u64> =
                keys.windows(2).map(|two| two[1].at_us.saturating_sub(two[0].at_us)).collect();
            let mean = gaps.iter().sum::<u64>() / u64::try_from(gaps.len()).unwrap();
            println!("{name}: {} events, {mean} µs apart, at most {:?} µs", keys.len(), gaps.iter().max());
            assert!(is_a_scanner_s(keys), "{name}");
        }
        if std::env::var_os("PESTLE_RECORD_KEYS").is_some() {
            let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../drivers/tests/data/page/chromium.json");
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, serde_json::to_string(recorded).unwrap() + "\n").unwrap();
        }
    }

    async fn focused(&self, id: &str) {
        self.holds("the focus", &format!("document.activeElement.id === '{id}'")).await;
    }
}

/// What is on a pack, as a scanner sends it that names no symbology.
fn code_of(article: &Article, serial: &str) -> String {
    article.data_matrix(&article.lots[0], serial)[3..].to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scanner_types_into_the_page_and_a_person_s_keys_are_left_alone() {
    let _alone = crate::whole_product().await;
    let (pages, folder) = Pages::start().await;
    pages.browser.go_to(&pages.counter).await;
    pages.browser.open_the_till(&PEOPLE[1]).await;
    pages.an_unproved_scanner_types().await;
    pages.a_person_types_quickly().await;
    pages.a_scan_without_an_answer().await;
    let mut recorded = pages.the_scanner_is_learned().await;
    recorded.insert("pack".to_owned(), pages.a_proved_scanner_sells().await);
    pages.a_scan_with_nobody_signed_in().await;
    Browser::keep(&recorded);
    pages.end(folder).await;
}

impl Pages {
    /// Scans until the page has it as one scan; says how many tries it took.
    async fn scan_until(&self, code: &str, separator: Separator, pause: Duration, outcome: &str) -> usize {
        let browser = &self.browser;
        for tried in 1..=SCANS_MAX {
            // What was typed before does not belong to it.
            tokio::time::sleep(Duration::from_millis(u64::from(2 * BATCH_SILENCE_MS))).await;
            browser.scan_typed(code, separator, pause).await;
            browser.holds("what came of the scan", &format!("({outcome}) || {NOT_TAKEN}")).await;
            if browser.says_true(outcome).await {
                return tried;
            }
            self.put_all_aside().await;
        }
        panic!("{code} did not come through in {SCANS_MAX} scans");
    }

    /// After a scan that a busy machine typed with a pause, as no scanner does.
    pub(super) async fn put_all_aside(&self) {
        let browser = &self.browser;
        browser.type_by_hand(Key::Escape).await;
        browser.type_by_hand(Key::Escape).await;
        browser.gone("#notice .refused, #not-taken").await;
        browser.find("#entry").await.clear().await.unwrap();
    }

    /// Before it was learned: the pack's number, and nothing else of it; wherever the focus is.
    pub(super) async fn an_unproved_scanner_types(&self) {
        let browser = &self.browser;
        let all = plain_articles();
        browser.page.execute(WATCH, vec![]).await.unwrap();
        browser.type_by_hand(Key::Escape).await;
        browser.focused("entry").await;
        let code = code_of(&all[0], "TYPED1");
        self.scan_until(&code, Separator::F8, Duration::ZERO, &shows(&all[0])).await;
        assert_eq!(browser.value("#entry").await, "");

        browser.type_by_hand(Key::F2).await;
        browser.focused("tendered").await;
        browser.type_by_hand("5").await;
        let code = code_of(&all[1], "TYPED2");
        self.scan_until(&code, Separator::CtrlBracket, SLOW_SCANNER, &shows(&all[1])).await;
        assert_eq!(browser.value("#tendered").await, "5", "what stood there is back");

        // Enter and space would take the first line off.
        browser.page.execute("document.querySelector('[data-void]').focus()", vec![]).await.unwrap();
        let code = code_of(&all[2], "TYPED3");
        self.scan_until(&code, Separator::F8, Duration::ZERO, &shows(&all[2])).await;

        let till = browser.till().await;
        let lines = till["basket"]["lines"].as_array().unwrap();
        assert_eq!(lines.len(), 3, "{till:#}");
        for line in lines {
            assert_eq!((&line["lot"], &line["serials"]), (&Value::Null, &json!([])), "not believed: {line}");
        }
    }

    /// However quick, a person's keys stay in their field, do what they always do, and are not sent.
    pub(super) async fn a_person_types_quickly(&self) {
        let browser = &self.browser;
        let before = browser.watched().await["batches"].as_array().unwrap().len();
        browser.type_by_hand(Key::Escape).await;
        browser.focused("entry").await;
        let name = plain_articles()[3].name.clone();
        let words: String = name.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        browser.scan_typed(&words, Separator::F8, QUICK_PERSON).await;
        browser.says("#hits", &name).await;
        browser.type_by_hand(Key::Escape).await;
        browser.gone("#hits").await;
        assert_eq!(browser.watched().await["batches"].as_array().unwrap().len(), before);
        let packs = &browser.till().await["basket"]["packs"];
        assert_eq!(packs, 3, "nothing of it was a scan");
    }

    /// A scan whose answer is lost is sent again and is one pack; one that cannot be sent is told.
    pub(super) async fn a_scan_without_an_answer(&self) {
        let browser = &self.browser;
        let all = plain_articles();
        browser.page.execute("watched.lose = 2; watched.answers = []", vec![]).await.unwrap();
        let code = code_of(&all[4], "LOST1");
        let tries = self.scan_until(&code, Separator::F8, Duration::ZERO, &shows(&all[4])).await;
        browser.holds("the third answer", "watched.answers.length >= 3").await;
        let quantity = |till: &Value, name: &str| {
            let lines = till["basket"]["lines"].as_array().cloned().unwrap_or_default();
            lines.iter().find(|line| line["name"] == name).map(|line| line["quantity"].clone())
        };
        if tries == 1 {
            assert_eq!(quantity(&browser.till().await, &all[4].name), Some(json!(1)), "once");
        }
        assert!(browser.says_true("document.getElementById('not-taken').hidden").await);

        browser.page.execute("watched.cut = true", vec![]).await.unwrap();
        let told = "document.getElementById('not-taken').textContent.includes('scan again')";
        self.scan_until(&code_of(&all[5], "CUT1"), Separator::F8, Duration::ZERO, told).await;
        browser.page.execute("watched.cut = false", vec![]).await.unwrap();
        assert_eq!(quantity(&browser.till().await, &all[5].name), None);
        browser.find("#not-taken-seen").await.click().await.unwrap();
        browser.gone("#not-taken").await;
    }

    /// The sheet's codes from the screen, one after the other; then the basket that was begun is still there.
    pub(super) async fn the_scanner_is_learned(&self) -> BTreeMap<String, Vec<PageKey>> {
        let browser = &self.browser;
        browser.type_by_hand(Key::F1).await;
        browser.find("#help-dialog a[href$='/learn']").await.click().await.unwrap();
        browser.says("#step", "Scan code A").await;
        browser.says("#now", "not proved").await;
        let watch = "window.lessons = []; \
                     document.addEventListener('typed-scan', ({ detail }) => lessons.push(detail.keys))";
        browser.page.execute(watch, vec![]).await.unwrap();
        let mut recorded = BTreeMap::new();
        for code in TestCode::ALL {
            let drawn = format!(
                "(() => {{ const code = document.getElementById('code'); \
                 return code.dataset.code === '{code}' && code.complete && code.naturalWidth > 50; }})()"
            );
            browser.holds("the picture of the code", &drawn).await;
            self.scan_code(code).await;
            let keys = browser.page.execute("return window.lessons.at(-1)", vec![]).await.unwrap();
            recorded.insert(code.to_string(), keys.convert().unwrap());
        }
        browser.says("#step", "The scanner is proved").await;
        browser.says("#now", "lot and serial number are taken").await;
        browser.look("learn").await;
        browser.find("a.button").await.click().await.unwrap();
        browser.find("#entry").await;
        recorded
    }

    async fn scan_code(&self, code: TestCode) {
        let browser = &self.browser;
        let read = format!(
            "document.getElementById('step').textContent.startsWith('Code {code} was read') \
             || document.getElementById('code').hidden"
        );
        for _ in 0..SCANS_MAX {
            tokio::time::sleep(Duration::from_millis(u64::from(2 * BATCH_SILENCE_MS))).await;
            browser.page.execute("document.getElementById('step').textContent = ''", vec![]).await.unwrap();
            browser.scan_typed(&code.data(), Separator::CtrlBracket, Duration::ZERO).await;
            browser.holds("the next step", "document.getElementById('step').textContent !== ''").await;
            if browser.says_true(&read).await {
                return;
            }
        }
        panic!("code {code} was not read in {SCANS_MAX} scans");
    }

    /// After it was learned: lot and serial as they are on the pack, sold and on paper.
    pub(super) async fn a_proved_scanner_sells(&self) -> Vec<PageKey> {
        let browser = &self.browser;
        let article = &plain_articles()[6];
        browser.page.execute(WATCH, vec![]).await.unwrap();
        let serial = "Proved-1/x";
        let in_basket = format!("document.getElementById('lines').textContent.includes({serial:?})");
        self.scan_until(&code_of(article, serial), Separator::CtrlBracket, Duration::ZERO, &in_basket).await;
        let till = browser.till().await;
        let lines = till["basket"]["lines"].as_array().unwrap();
        let line = lines.iter().find(|line| line["name"] == article.name.as_str()).unwrap();
        assert_eq!((&line["lot"], &line["serials"]), (&json!(article.lots[0].lot), &json!([serial])));
        let keys = browser.watched().await["batches"].as_array().unwrap().last().unwrap().clone();

        for (article, number) in plain_articles().iter().skip(8).zip(0..10) {
            let serial = format!("SPEED{number}");
            let shown = format!("document.getElementById('lines').textContent.includes({serial:?})");
            self.scan_until(&code_of(article, &serial), Separator::CtrlBracket, Duration::ZERO, &shown).await;
        }
        let watched = browser.watched().await;
        let took: Vec<_> = watched["took"].as_array().unwrap().iter().filter_map(Value::as_f64).collect();
        println!("from the suffix to the line, in ms: {took:.1?}");

        browser.find("#quick button.note:last-of-type").await.click().await.unwrap();
        browser.says("#total", "Change").await;
        assert!(browser.till().await["last_sale"]["receipt"]["number"].is_u64());
        serde_json::from_value(keys).unwrap()
    }

    /// With nobody signed in, the scan is told and the PIN stays what it was.
    pub(super) async fn a_scan_with_nobody_signed_in(&self) {
        let browser = &self.browser;
        browser.find("footer [data-do=sign-out]").await.click().await.unwrap();
        browser.find("#pin").await.click().await.unwrap();
        browser.type_by_hand("24").await;
        let told = "document.getElementById('not-taken').textContent.includes('Sign in first')";
        let code = code_of(&plain_articles()[7], "NOBODY");
        for _ in 0..SCANS_MAX {
            tokio::time::sleep(Duration::from_millis(u64::from(2 * BATCH_SILENCE_MS))).await;
            browser.scan_typed(&code, Separator::F8, Duration::ZERO).await;
            let outcome = format!("{told} || performance.now() - watched.last > 2000");
            browser.holds("what came of the scan", &outcome).await;
            if browser.says_true(told).await {
                assert_eq!(browser.value("#pin").await, "24", "a PIN that was begun is left alone");
                return;
            }
            browser.find("#pin").await.clear().await.unwrap();
            browser.type_by_hand("24").await;
        }
        panic!("nobody was told in {SCANS_MAX} scans");
    }
}
